"""Yeo-Johnson powers: the maximum of the likelihood that scipy searches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from times_stats.rivals.yeo_johnson import likeliest_powers, take_powers

Z = np.random.default_rng(0).normal(size=(60, 6))
CASES = {
    "log-normal": np.exp(Z),
    "log-normal below 0": -np.exp(Z),
    "normal": Z,
    "far from 0": 100 + 40 * Z,
    "both signs, skewed": np.exp(Z) - 1,
    "both signs, heavy tails": Z**3,
    "counts": np.floor(np.exp(Z + 1)),
    "large": np.exp(6 + 3 * Z),
}


@pytest.mark.parametrize("case", CASES)
def test_powers_are_those_of_scipy_and_no_less_likely(case):
    columns = CASES[case]
    found = likeliest_powers(columns)
    searched = np.array([stats.yeojohnson_normmax(column) for column in columns.T])
    np.testing.assert_allclose(found, searched, atol=1e-6)
    for column, own, other in zip(columns.T, found, searched, strict=True):
        lead = stats.yeojohnson_llf(own, column) - stats.yeojohnson_llf(other, column)
        assert lead > -1e-11


@pytest.mark.parametrize("power", [-3.0, -1e-17, 0.0, 0.5, 2.0, 2.0 + 1e-9, 5.0])
def test_transformed_values_are_those_of_scipy(power):
    column = np.r_[-3.0, -1e-9, 0.0, 1e-12, 0.4, 1e5]
    found = take_powers(column[:, None], np.array([power]))[:, 0]
    np.testing.assert_allclose(found, stats.yeojohnson(column, power), rtol=1e-13)


def test_gaps_are_left_out_and_stay():
    column = CASES["log-normal"][:, :1]
    holed = np.vstack([column, [[np.nan]]])
    assert likeliest_powers(holed) == likeliest_powers(column)
    assert np.isnan(take_powers(holed, np.array([0.5]))[-1, 0])


def test_powers_mirror_and_do_not_depend_on_the_order_or_on_other_columns():
    columns = CASES["log-normal"]
    found = likeliest_powers(columns)
    np.testing.assert_allclose(likeliest_powers(-columns), 2.0 - found, atol=1e-10)
    np.testing.assert_allclose(likeliest_powers(columns[::-1]), found, atol=1e-10)
    np.testing.assert_array_equal(likeliest_powers(columns[:, 2:3]), found[2:3])


@pytest.mark.parametrize(
    "column",
    [
        1000 + CASES["log-normal"][:, 0],  # beyond 6 or -4
        1e-6 * CASES["log-normal"][:, 0],
        1e6 + 2e-10 * np.arange(60.0),  # constant up to rounding
        np.full(60, 3.0),
        np.full(60, np.nan),
    ],
)
def test_no_power_where_the_maximum_is_outside_or_nowhere(column):
    assert np.isnan(likeliest_powers(column[:, None])).all()


def test_the_slope_is_zero_at_the_power_found():
    column = CASES["both signs, skewed"][:, 0]
    (power,) = likeliest_powers(column[:, None])
    # at the maximum of a parabola both neighbours lie equally low
    near = [stats.yeojohnson_llf(power + step, column) for step in (-1e-3, 0.0, 1e-3)]
    assert near[1] > max(near[0], near[2])
    assert abs(near[2] - near[0]) < 1e-3 * (2 * near[1] - near[0] - near[2])


def test_values_of_every_size_are_handled():
    column = np.geomspace(1e-6, 1e39, 60)[:, None]
    both = np.vstack([column, -column])
    for values in (column, both):
        assert np.isfinite(likeliest_powers(values)).all()
