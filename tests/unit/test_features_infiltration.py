from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import poisson

from times_stats.errors import InputError
from times_stats.features.infiltration import (
    NO_AREA,
    NO_CELL,
    ONE_BAND,
    OUTERMOST,
    InfiltrationGradient,
    infiltration_gradient,
    infiltration_profile,
)

EDGES = [-200.0, -100.0, 0.0, 100.0, 200.0]
AREAS = [2e5, 1e5, 1e5, 3e5]


def spread(counts: list[int], edges: list[float] = EDGES) -> np.ndarray:
    middle = (np.asarray(edges[:-1]) + np.asarray(edges[1:])) / 2
    return np.repeat(middle, counts)


def test_profile_counts_and_divides():
    table = infiltration_profile([-150, -0.1, 0, 50, 200, 300], edges=EDGES, areas=AREAS)
    assert table["count"].tolist() == [1, 1, 2, 0]  # 200 is the limit of the next band
    assert table["lower"].tolist() == EDGES[:-1]
    assert table["upper"].tolist() == EDGES[1:]
    np.testing.assert_allclose(table["area_mm2"], np.array(AREAS) / 1e6)
    np.testing.assert_allclose(table["intensity"], table["count"] / table["area_mm2"])
    assert table.attrs["n_outside"] == 2
    assert (table["reason"] == "").all()


def test_limits_are_where_the_tails_of_the_count_are_small():
    table = infiltration_profile(spread([0, 1, 5, 40]), edges=EDGES, areas=AREAS)
    for row in table.itertuples():
        low, high = row.intensity_lower * row.area_mm2, row.intensity_upper * row.area_mm2
        assert poisson.cdf(row.count, high) == pytest.approx(0.025)
        if row.count:
            assert poisson.sf(row.count - 1, low) == pytest.approx(0.025)
        else:
            assert low == 0
        assert low <= row.count <= high


def test_a_band_without_area_is_nan_with_a_reason():
    table = infiltration_profile(spread([1, 2, 0, 3]), edges=EDGES, areas=[0, 1e5, 0, 1e5])
    assert table["reason"].tolist() == [NO_AREA, "", NO_AREA, ""]
    numbers = table[["intensity", "intensity_lower", "intensity_upper"]]
    assert numbers.isna().all(axis=1).tolist() == [True, False, True, False]
    assert table["count"].tolist() == [1, 2, 0, 3]


def test_no_cell_is_an_intensity_of_zero_with_an_upper_limit():
    table = infiltration_profile([], edges=EDGES, areas=AREAS)
    assert (table["intensity"] == 0).all()
    np.testing.assert_allclose(
        table["intensity_upper"] * table["area_mm2"], -math.log(0.025), rtol=1e-12
    )


def test_slope_of_two_bands_is_the_log_ratio():
    found = infiltration_gradient(
        spread([3, 12], [-50, 50, 150]), edges=[-50, 50, 150], areas=[1e5, 2e5]
    )
    assert found.slope == pytest.approx(math.log(12 / 2 / 3))
    assert found.se == pytest.approx(math.sqrt(1 / 3 + 1 / 12))
    assert found.intercept == pytest.approx(math.log(3 / 0.1))
    assert math.isnan(found.dispersion)
    assert math.isnan(found.se_quasi)
    assert math.isnan(found.lower_quasi)
    assert (found.n_bands, found.n_cells, found.reason) == (2, 15, "")


def test_score_equations_hold():
    counts = np.array([2, 0, 7, 31])
    found = infiltration_gradient(spread(counts.tolist()), edges=EDGES, areas=AREAS)
    x = np.array([-1.5, -0.5, 0.5, 1.5])
    fitted = np.array(AREAS) / 1e6 * np.exp(found.intercept + found.slope * x)
    assert fitted.sum() == pytest.approx(counts.sum(), rel=1e-12)
    assert fitted @ x == pytest.approx(counts @ x, rel=1e-12)
    information = fitted @ x**2 - (fitted @ x) ** 2 / fitted.sum()
    assert found.se == pytest.approx(information**-0.5, rel=1e-10)
    assert found.dispersion == pytest.approx((((counts - fitted) ** 2) / fitted).sum() / 2)
    assert found.se_quasi == pytest.approx(found.se * math.sqrt(found.dispersion))


def test_a_steep_slope_is_found():
    """All but one cell in one band, and distances far from 0."""
    edges = np.array(EDGES) + 5000
    found = infiltration_gradient(
        spread([1, 0, 0, 100_000], edges.tolist()), edges=edges, areas=[1e5] * 4
    )
    x = np.array([-1.5, -0.5, 0.5, 1.5])
    share = np.exp(found.slope * x)
    assert share @ x / share.sum() == pytest.approx((100_000 * 1.5 - 1.5) / 100_001, rel=1e-12)
    back = infiltration_gradient(
        spread([100_000, 0, 0, 1], edges.tolist()), edges=edges, areas=[1e5] * 4
    )
    assert back.slope == pytest.approx(-found.slope, rel=1e-9)


def test_uniform_cells_have_slope_zero_and_coverage():
    """The interval of a Poisson process holds the true slope about as often as it says."""
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        counts = rng.poisson(200 * np.array(AREAS) / 1e6 * np.exp(0.3 * np.arange(-1.5, 2)))
        found = infiltration_gradient(spread(counts.tolist()), edges=EDGES, areas=AREAS)
        hits += found.lower <= 0.3 <= found.upper
    assert 0.92 <= hits / 400 <= 0.98


def test_bands_without_area_are_not_used():
    full = infiltration_gradient(spread([4, 9, 3], EDGES[:4]), edges=EDGES[:4], areas=AREAS[:3])
    more = infiltration_gradient(spread([4, 9, 3, 0]), edges=EDGES, areas=[*AREAS[:3], 0])
    assert more == full


@pytest.mark.parametrize(
    ("counts", "areas", "reason"),
    [
        ([0, 0, 0, 0], AREAS, NO_CELL),
        ([0, 5, 0, 0], [0, 1e5, 0, 0], ONE_BAND),
        ([0, 0, 0, 0], [0, 0, 0, 0], ONE_BAND),
        ([7, 0, 0, 0], AREAS, OUTERMOST),
        ([0, 0, 0, 7], AREAS, OUTERMOST),
        ([0, 7, 0, 0], [0, 1e5, 1e5, 1e5], OUTERMOST),
    ],
)
def test_undefined_gradients_are_nan_with_a_reason(counts, areas, reason):
    found = infiltration_gradient(spread(counts), edges=EDGES, areas=areas)
    assert found.reason == reason
    assert found.n_cells == sum(counts)
    for field in dataclasses.fields(InfiltrationGradient):
        if field.name not in {"n_cells", "n_bands", "reason"}:
            assert math.isnan(getattr(found, field.name)), field.name


def test_one_inner_band_has_a_slope():
    found = infiltration_gradient(spread([0, 7, 0, 0]), edges=EDGES, areas=[1e5] * 4)
    assert math.isfinite(found.slope)


@pytest.mark.parametrize("function", [infiltration_profile, infiltration_gradient])
def test_faults_are_named(function):
    with pytest.raises(InputError, match=r"areas have shape \(1,\) and there are 4 bands"):
        function([], edges=EDGES, areas=[1])
    with pytest.raises(InputError, match="areas are negative, missing or infinite in band 0, 2"):
        function([], edges=EDGES, areas=[-1, 1, np.nan, 1])
    with pytest.raises(InputError, match="areas are not numeric: give square micrometres"):
        function([], edges=EDGES, areas=["large"] * 4)
    with pytest.raises(InputError, match="confidence_level is 95: give a number between 0 and 1"):
        function([], edges=EDGES, areas=AREAS, confidence_level=95)
    with pytest.raises(InputError, match="distance is missing or infinite in row 0"):
        function([np.nan], edges=EDGES, areas=AREAS)


def test_cells_where_there_is_no_area_are_an_error_for_the_gradient():
    with pytest.raises(InputError, match="cells lie in band 1, which has no area: measure"):
        infiltration_gradient(spread([1, 1, 1, 1]), edges=EDGES, areas=[1e5, 0, 1e5, 1e5])
