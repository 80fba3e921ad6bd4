"""G, F and J: closed forms, brute force, odd input."""

from __future__ import annotations

import numpy as np
import pytest

from times_stats import features
from times_stats.errors import InputError
from times_stats.regions import Window

SQUARE = Window.rectangle(x=(0, 100), y=(0, 100))
CORRECTIONS = ("kaplan_meier", "border", "none")
POINTS = np.random.default_rng(1).uniform(0, 100, size=(60, 2))
R = np.array([2.0, 5.0, 9.0, 14.0])


def brute_distances(first: np.ndarray, second: np.ndarray, *, same: bool) -> np.ndarray:
    distance = np.hypot(*(first[:, None, :] - second[None, :, :]).transpose(2, 0, 1))
    if same:
        np.fill_diagonal(distance, np.inf)
    return distance.min(axis=1)


def brute_share(d: np.ndarray, b: np.ndarray, r: float, correction: str) -> float:
    if correction == "none":
        return float((d <= r).mean())
    if correction == "border":
        return float((d[b >= r] <= r).mean())
    survival = 1.0
    for s in np.unique(d[(d <= b) & (d <= r)]):
        survival *= 1 - ((d == s) & (d <= b)).sum() / (np.minimum(d, b) >= s).sum()
    return 1 - survival


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_definitions_by_brute_force(correction):
    first, second = POINTS[:35], POINTS[35:]
    b = np.minimum(first, 100 - first).min(axis=1)
    options = {"window": SQUARE, "r": R, "correction": correction}
    own = [brute_share(brute_distances(first, first, same=True), b, r, correction) for r in R]
    np.testing.assert_allclose(features.nearest_neighbour_g(first, **options), own, rtol=1e-12)
    other = [brute_share(brute_distances(first, second, same=False), b, r, correction) for r in R]
    np.testing.assert_allclose(features.cross_g(first, second, **options), other, rtol=1e-12)
    places = features.grid_places(SQUARE, spacing=4)
    gap = np.minimum(places, 100 - places).min(axis=1)
    empty = [brute_share(brute_distances(places, first, same=False), gap, r, correction) for r in R]
    f = features.empty_space_f(first, spacing=4, **options)
    np.testing.assert_allclose(f, empty, rtol=1e-9)
    j = features.j_function(first, spacing=4, **options)
    np.testing.assert_allclose(j, (1 - np.array(own)) / (1 - np.array(empty)), rtol=1e-9)


def test_complete_randomness():
    """Mean of many patterns against 1 - exp(-lambda pi r^2), on a window with a hole."""
    window = Window.polygon(
        [(0, 0), (100, 0), (100, 100), (0, 100)], holes=[[(30, 30), (60, 30), (60, 60), (30, 60)]]
    )
    rng, rate, r = np.random.default_rng(3), 0.02, np.array([2.0, 4.0, 6.0])
    expected = 1 - np.exp(-rate * np.pi * r**2)
    found: dict[str, list[np.ndarray]] = {"g": [], "f": [], "border": [], "cross": []}
    for _ in range(60):
        both = rng.uniform(0, 100, size=(2, rng.poisson(rate * 1e4), 2))
        points, others = (part[window.contains(part)] for part in both)
        found["g"].append(features.nearest_neighbour_g(points, window=window, r=r))
        found["f"].append(features.empty_space_f(points, window=window, r=r, spacing=2))
        found["cross"].append(features.cross_g(others, points, window=window, r=r))
        found["border"].append(
            features.nearest_neighbour_g(points, window=window, r=r, correction="border")
        )
    for name, values in found.items():
        mean, se = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(60)
        assert (np.abs(mean - expected) < 3.5 * se + 0.003).all(), name
    j = features.j_function(points, window=window, r=[3.0], spacing=2)
    assert 0.5 < j[0] < 1.6


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_odd_patterns(correction):
    options = {"window": SQUARE, "r": [0.0, 10.0, 500.0], "correction": correction}
    empty, one = np.empty((0, 2)), [(50.0, 40.0)]
    assert np.isnan(features.nearest_neighbour_g(empty, **options)).all()
    assert np.isnan(features.nearest_neighbour_g(one, **options)).all()
    assert np.isnan(features.cross_g(empty, one, **options)).all()
    nobody = features.cross_g(one, empty, **options)
    assert np.nan_to_num(nobody).tolist() == [0.0, 0.0, 0.0]
    nowhere = features.empty_space_f(empty, **options)
    assert np.nan_to_num(nowhere).tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(features.j_function(one, **options)).all()
    twins = features.nearest_neighbour_g(one * 2, **options)
    assert twins[0] == 1.0
    small = Window.rectangle(x=(0, 0.5), y=(0, 0.5))
    wide = features.empty_space_f([(0.1, 0.1)], window=small, r=[1], spacing=2, correction="none")
    assert np.isnan(wide).all()  # no place of so wide a grid lies in the window
    if correction == "border":
        assert np.isnan(features.cross_g(one, empty, **options)[2])
    crowd = features.j_function(POINTS, window=SQUARE, r=[90.0], correction="none")
    assert np.isnan(crowd).all()  # F is 1


def test_a_distance_equal_to_the_radius_or_to_the_edge_counts():
    points = [(3.0, 4.0), (6.0, 8.0)]
    g = features.nearest_neighbour_g(points, window=SQUARE, r=[5.0], correction="none")
    assert g == [1.0]
    one = features.cross_g([(3.0, 40.0)], [(3.0, 43.0)], window=SQUARE, r=[3.0])
    assert one == [1.0]  # as far as the edge: seen, not censored
    held = features.cross_g(
        [(3.0, 40.0)], [(3.0, 43.0)], window=SQUARE, r=[3.0], correction="border"
    )
    assert held == [1.0]


def test_faults():
    with pytest.raises(InputError, match="correction is 'km': use kaplan_meier or border or none"):
        features.nearest_neighbour_g(POINTS, window=SQUARE, r=R, correction="km")
    with pytest.raises(InputError, match="the same points: use nearest_neighbour_g"):
        features.cross_g(POINTS, POINTS, window=SQUARE, r=R)
    with pytest.raises(InputError, match="spacing is -1: give positive micrometres"):
        features.empty_space_f(POINTS, window=SQUARE, r=R, spacing=-1)
    with pytest.raises(InputError, match="points_from lie outside"):
        features.cross_g([(200, 1)], POINTS, window=SQUARE, r=R)
