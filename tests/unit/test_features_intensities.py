"""Intensity and positive fraction: exact limits, coverage, odd input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, poisson

from times_stats import features
from times_stats.errors import InputError
from times_stats.regions import Window

MM2 = Window.rectangle(x=(0, 1000), y=(0, 1000))


@pytest.mark.parametrize("count", [0, 1, 7, 250])
def test_poisson_limits_solve_their_equations(count):
    lower, upper = (float(x) for x in features.poisson_interval(count))
    assert poisson.cdf(count, upper) == pytest.approx(0.025, rel=1e-9)
    if count == 0:
        assert lower == 0.0
    else:
        assert poisson.sf(count - 1, lower) == pytest.approx(0.025, rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (3, 17), (1, 400)])
def test_binomial_limits_solve_their_equations(k, n):
    found = features.positive_fraction(np.arange(n) < k, confidence_level=0.9)
    assert found.estimate == k / n
    assert found.n == n
    if k < n:
        assert binom.cdf(k, n, found.upper) == pytest.approx(0.05, rel=1e-9)
    else:
        assert found.upper == 1.0
    if k > 0:
        assert binom.sf(k - 1, n, found.lower) == pytest.approx(0.05, rel=1e-9)
    else:
        assert found.lower == 0.0


def test_intensity_is_per_square_millimetre():
    points = np.random.default_rng(1).uniform(0, 500, size=(40, 2))
    quarter = Window.rectangle(x=(0, 500), y=(0, 500))
    found = features.intensity(points, window=quarter)
    assert found.estimate == 160.0
    lower, upper = features.poisson_interval(40)
    assert (found.lower, found.upper) == (pytest.approx(4 * lower), pytest.approx(4 * upper))
    empty = features.intensity([], window=MM2)
    assert (empty.estimate, empty.lower, empty.n) == (0.0, 0.0, 0)
    assert empty.upper == pytest.approx(3.6889, abs=1e-4)


def test_no_cell_has_no_fraction():
    found = features.positive_fraction([])
    assert np.isnan(found.estimate)
    assert found.reason == "no cell"


def test_faults():
    with pytest.raises(InputError, match="positive is not a list of true and false"):
        features.positive_fraction([0, 2])
    with pytest.raises(InputError, match="confidence_level is 95"):
        features.intensity([], window=MM2, confidence_level=95)
    with pytest.raises(InputError, match="confidence_level is 0"):
        features.positive_fraction([True], confidence_level=0)
    with pytest.raises(InputError, match="points lie outside"):
        features.intensity([(2000, 1)], window=MM2)
