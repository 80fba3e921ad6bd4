"""K and its relatives: definitions by brute force, ties, odd input, faults."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from times_stats import features
from times_stats.errors import InputError
from times_stats.features import pair_sums, point_grid
from times_stats.regions import Window

CORRECTIONS = pair_sums.CORRECTIONS
SQUARE = Window.rectangle(x=(0, 100), y=(0, 100))
HOLED = Window.polygon(
    [(0, 0), (110, -5), (120, 60), (60, 70), (50, 120), (-10, 90)],
    holes=[[(20, 20), (40, 25), (35, 45)]],
)


def inside(window: Window, n: int, seed: int) -> np.ndarray:
    x0, y0, x1, y1 = window.bounds
    points = np.random.default_rng(seed).uniform((x0, y0), (x1, y1), size=(8 * n, 2))
    return points[window.contains(points)][:n]


def arc_inside(window: Window, centre: np.ndarray, d: float) -> float:
    """Share of a circle that lies in the window, from many places on it."""
    angle = (np.arange(20_000) + 0.5) * 2 * np.pi / 20_000
    circle = centre + d * np.column_stack([np.cos(angle), np.sin(angle)])
    return float(window.contains(circle).mean())


def brute_k(first: np.ndarray, second: np.ndarray, window: Window, r: float, correction: str):
    same = first is second
    depth = shapely.distance(shapely.boundary(window.geometry), shapely.points(first))
    total = n_first = 0.0
    for i, a in enumerate(first):
        if correction == "border" and depth[i] < r:
            continue
        n_first += 1
        for j, b in enumerate(second):
            d = float(np.hypot(*(b - a)))
            if (same and i == j) or d > r:
                continue
            if correction == "translation":
                moved = shapely.transform(window.geometry, lambda c, h=b - a: c + h)
                total += window.area / shapely.intersection(window.geometry, moved).area
            elif correction == "isotropic":
                total += min(100.0, 1.0 / arc_inside(window, a, d)) if d > 0 else 1.0
            else:
                total += 1.0
    partners = len(second) - (1 if same and correction != "border" else 0)
    return window.area * total / (partners * n_first)


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("window", [SQUARE, HOLED], ids=["square", "holed"])
def test_definitions_by_brute_force(window, correction):
    points = inside(window, 40, seed=5)
    first, second = points[:25], points[25:]
    rtol = 2e-4 if correction == "isotropic" else 1e-9
    for r in (8.0, 18.0):
        options = {"window": window, "r": [r], "correction": correction}
        np.testing.assert_allclose(
            features.ripley_k(first, **options),
            brute_k(first, first, window, r, correction),
            rtol=rtol,
        )
        np.testing.assert_allclose(
            features.cross_k(first, second, **options),
            brute_k(first, second, window, r, correction),
            rtol=rtol,
        )


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_all_pairs_at_once_are_the_pairs_one_by_one(correction):
    points = inside(HOLED, 90, seed=7)
    types = np.array(["B", "T", "tumour"])[np.arange(90) % 3]
    options = {"window": HOLED, "r": [30.0, 5.0, 0.0, 17.5], "correction": correction}
    k = features.cross_k_all(points, types, **options)
    assert k.dims == ("type_from", "type_to", "r")
    assert k["r"].to_numpy().tolist() == [30.0, 5.0, 0.0, 17.5]
    for a in ("B", "T", "tumour"):
        for b in ("B", "T", "tumour"):
            one = (
                features.ripley_k(points[types == a], **options)
                if a == b
                else features.cross_k(points[types == a], points[types == b], **options)
            )
            np.testing.assert_allclose(k.sel(type_from=a, type_to=b), one, rtol=1e-12)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_distance_equal_to_the_radius_counts(correction):
    points = [(30, 40), (33, 44), (30, 41), (60, 60), (61, 61)]  # 5, 1, root 2 and others
    options = {"window": SQUARE, "correction": correction}
    radii = np.array([1.0, np.sqrt(2.0), 5.0])
    at, below = (features.ripley_k(points, r=r, **options) for r in (radii, radii - 1e-9))
    steps = at - below
    assert (steps > 0).all()
    wide = features.ripley_k(points, r=radii + 1e-9, **options)
    np.testing.assert_allclose(at, wide)


def test_integer_points_count_every_tie():
    side = np.arange(0, 30)
    points = np.column_stack([a.ravel() for a in np.meshgrid(side, side)]).astype(float)
    window = Window.rectangle(x=(-0.5, 29.5), y=(-0.5, 29.5))
    r = np.sqrt(np.arange(0, 200))
    distance2 = ((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=2).astype(int)
    counts = np.bincount(distance2.ravel(), minlength=200)[:200].cumsum() - len(points)
    k = features.ripley_k(points, window=window, r=r, correction="none")
    np.testing.assert_array_equal(
        np.rint(k * len(points) * (len(points) - 1) / window.area).astype(int), counts
    )


def test_limits_of_squares_reach_the_radius_exactly():
    radii = np.concatenate([np.sqrt(np.arange(1, 500)), np.linspace(0.1, 99.9, 999)])
    limits = point_grid.squared_limits(radii)
    assert (np.sqrt(limits) <= radii).all()
    assert (np.sqrt(np.nextafter(limits, np.inf)) > radii).all()


def test_many_pairs_on_a_polygon_are_interpolated_closely(monkeypatch):
    """The docstrings promise 1e-4; the window has slanted sides, a notch and a hole."""
    window = Window.polygon(
        [(0, 0), (1100, -50), (1200, 600), (600, 700), (500, 1200), (-100, 900)],
        holes=[[(200, 200), (400, 250), (350, 450)]],
    )
    points = inside(window, 2500, seed=9)
    options = {"window": window, "r": [20.0, 60.0, 150.0], "correction": "translation"}
    assert point_grid.count_close_pairs(points, 150.0) > pair_sums.MANY_PAIRS
    quick = features.ripley_k(points, **options)
    monkeypatch.setattr(pair_sums, "MANY_PAIRS", 10**9)
    exact = features.ripley_k(points, **options)
    np.testing.assert_allclose(quick, exact, rtol=1e-4)
    assert (quick != exact).any()


def test_close_pairs_are_counted():
    points = np.random.default_rng(4).uniform(0, 100, size=(300, 2))
    distance = np.hypot(*(points[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
    for r in (0.5, 7.0, 60.0, 200.0):
        assert point_grid.count_close_pairs(points, r) == ((distance <= r).sum() - 300) // 2
    assert point_grid.count_close_pairs(points[:1], 5.0) == 0


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_odd_patterns_have_a_value_or_none(correction):
    options = {"window": SQUARE, "r": [0.0, 10.0, 60.0, 500.0], "correction": correction}
    empty = np.empty((0, 2))
    one = np.array([[50.0, 50.0]])
    assert np.isnan(features.ripley_k(empty, **options)).all()
    assert np.isnan(features.ripley_k(one, **options)).all()
    assert np.isnan(features.cross_k(empty, one, **options)).all()
    assert np.isnan(features.cross_k(one, empty, **options)).all()
    assert features.cross_k_all(empty, [], **options).shape == (0, 0, 4)
    line = np.column_stack([np.linspace(1, 99, 50), np.full(50, 20.0)])
    on_line = features.ripley_k(line, **options)
    assert np.isfinite(on_line[:2]).all()
    assert on_line[0] == 0
    assert on_line[1] > np.pi * 10**2
    twins = np.repeat([[50.0, 50.0], [20.0, 70.0]], 2, axis=0)
    at_zero = features.ripley_k(twins, window=SQUARE, r=[0.0], correction=correction)
    partners = 4 if correction == "border" else 3
    np.testing.assert_allclose(at_zero, SQUARE.area * 4 / (partners * 4))
    same_place = np.repeat(one, 5, axis=0)
    assert np.isfinite(features.ripley_k(same_place, **options)[:2]).all()


def test_a_radius_beyond_the_window():
    points = inside(SQUARE, 30, seed=2)
    options = {"window": SQUARE, "r": [200.0]}
    whole = SQUARE.area
    np.testing.assert_allclose(features.ripley_k(points, correction="none", **options), whole)
    assert np.isnan(features.ripley_k(points, correction="border", **options)).all()
    for correction in ("translation", "isotropic"):
        value = features.ripley_k(points, correction=correction, **options)
        assert np.isfinite(value).all()
        assert value > whole


def test_the_weight_of_a_pair_is_capped():
    """From a corner, a pair across the window would weigh far more than a hundred."""
    points = [(0.01, 0.01), (99.99, 99.99)]
    k = features.ripley_k(points, window=SQUARE, r=[150.0], correction="isotropic")
    assert k == pytest.approx(100.0 * SQUARE.area)


def test_faults_are_named():
    points = [(1, 1), (2, 2), (3, 3)]
    with pytest.raises(InputError, match="points lie outside the window in row 1, 2"):
        features.ripley_k([(1, 1), (200, 2), (3, -1)], window=SQUARE, r=[5])
    with pytest.raises(InputError, match="points_to are missing or infinite in row 0"):
        features.cross_k(points, [(np.nan, 1)], window=SQUARE, r=[5])
    with pytest.raises(InputError, match=r"correction is 'ripley': use border or"):
        features.ripley_k(points, window=SQUARE, r=[5], correction="ripley")
    with pytest.raises(InputError, match="negative or not finite"):
        features.ripley_k(points, window=SQUARE, r=[5, -1])
    with pytest.raises(InputError, match="r has shape"):
        features.ripley_k(points, window=SQUARE, r=[])
    with pytest.raises(InputError, match="r is not numeric"):
        features.ripley_k(points, window=SQUARE, r=["a"])
    with pytest.raises(InputError, match="the same points: use ripley_k"):
        features.cross_k(points, points, window=SQUARE, r=[5])
    with pytest.raises(InputError, match="cell_type is missing in row 1"):
        features.cross_k_all(points, ["A", None, "B"], window=SQUARE, r=[5])
    with pytest.raises(InputError, match=r"cell_type has shape \(2,\)"):
        features.cross_k_all(points, ["A", "B"], window=SQUARE, r=[5])


def test_l_is_the_root_of_k():
    points = inside(SQUARE, 60, seed=3)
    first, second = points[:30], points[30:]
    options = {"window": SQUARE, "r": [10.0, 20.0], "correction": "translation"}
    np.testing.assert_allclose(
        features.besag_l(first, **options) ** 2 * np.pi, features.ripley_k(first, **options)
    )
    np.testing.assert_allclose(
        features.cross_l(first, second, **options) ** 2 * np.pi,
        features.cross_k(first, second, **options),
    )


def test_constant_intensity_gives_the_homogeneous_k():
    points = inside(HOLED, 60, seed=6)
    first, second = points[:35], points[35:]
    r = [8.0, 20.0]
    for correction in CORRECTIONS:
        options = {"window": HOLED, "r": r, "correction": correction}
        n = 35 if correction == "border" else 34
        cross = features.inhomogeneous_cross_k(
            first,
            second,
            intensities_from=np.full(35, 35 / HOLED.area),
            intensities_to=np.full(25, 25 / HOLED.area),
            **options,
        )
        np.testing.assert_allclose(cross, features.cross_k(first, second, **options), rtol=1e-9)
        own = features.inhomogeneous_k(first, intensities=np.full(35, 35 / HOLED.area), **options)
        np.testing.assert_allclose(own * 35 / n, features.ripley_k(first, **options), rtol=1e-9)


def test_faults_of_intensities():
    points = [(1, 1), (2, 2)]
    with pytest.raises(InputError, match="intensities is not positive in row 1"):
        features.inhomogeneous_k(points, window=SQUARE, r=[5], intensities=[1, 0])
    with pytest.raises(InputError, match=r"intensities_to has shape \(2,\)"):
        features.inhomogeneous_cross_k(
            points, [(3, 3)], window=SQUARE, r=[5], intensities_from=[1, 1], intensities_to=[1, 1]
        )
    with pytest.raises(InputError, match="the same points: use inhomogeneous_k"):
        features.inhomogeneous_cross_k(
            points, points, window=SQUARE, r=[5], intensities_from=[1, 1], intensities_to=[1, 1]
        )
    with pytest.raises(InputError, match="bandwidth is 0: give positive micrometres"):
        features.smoothed_intensity(points, window=SQUARE, bandwidth=0)
    assert np.isnan(
        features.inhomogeneous_k(points[:1], window=SQUARE, r=[5], intensities=[1])
    ).all()
    none = features.inhomogeneous_cross_k(
        points, np.empty((0, 2)), window=SQUARE, r=[5], intensities_from=[1, 1], intensities_to=[]
    )
    assert np.isnan(none).all()


def test_smoothed_intensity_integrates_the_kernel_over_the_window():
    points = inside(HOLED, 400, seed=8)
    values = features.smoothed_intensity(points, window=HOLED, bandwidth=15)
    truth = 400 / HOLED.area
    assert values.mean() == pytest.approx(truth, rel=0.1)  # the edges are made up for
    whole = Window.polygon([(0, 0), (50, 0), (100, 0), (100, 100), (0, 100)])
    grid = inside(SQUARE, 200, seed=1)
    exact = features.smoothed_intensity(grid, window=SQUARE, bandwidth=10)
    pixels = features.smoothed_intensity(grid, window=whole, bandwidth=10)
    np.testing.assert_allclose(pixels, exact, rtol=0.02)
    assert np.isnan(features.smoothed_intensity(grid[:1], window=SQUARE, bandwidth=10)).all()
    apart = features.smoothed_intensity([(1, 1), (99, 99)], window=SQUARE, bandwidth=5)
    assert apart.tolist() == [0.0, 0.0]
