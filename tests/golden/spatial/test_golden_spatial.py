"""Spatial statistics against R spatstat 3.0.6 and exact polygon geometry.

README.md here says how the values were made and which are defined how; ``make_golden_more.R`` adds
a window with holes, integer points and varying intensity.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats import features
from times_stats.regions.window import Window

HERE = Path(__file__).parent
PATTERNS = ("p1_poisson_rect", "p2_thomas_rect", "p4_poisson_L")
RADII = np.arange(151.0)


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / f"{name}.csv")


def window_of(pattern: str) -> Window:
    rings = [ring[["x", "y"]].to_numpy() for _, ring in table(f"{pattern}_window").groupby("ring")]
    if "rect" in pattern:
        (x0, y0), (x1, y1) = rings[0].min(axis=0), rings[0].max(axis=0)
        return Window.rectangle(x=(x0, x1), y=(y0, y1))
    return Window.polygon(rings[0], holes=rings[1:])


def points_of(pattern: str) -> dict[str, np.ndarray]:
    found = table(f"{pattern}_points")
    return {name: part[["x", "y"]].to_numpy() for name, part in found.groupby("type")}


def assert_same(values: np.ndarray, golden: np.ndarray, rtol: float) -> None:
    """Equal within rtol, missing in the same places (R's first radius, 0, aside)."""
    np.testing.assert_array_equal(np.isnan(values[1:]), np.isnan(golden[1:]))
    known = ~np.isnan(golden) & ~np.isnan(values)
    assert known.sum() > 10
    np.testing.assert_allclose(values[known], golden[known], rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("correction", "source", "column"),
    [
        ("none", "K_L", "none"),
        ("isotropic", "K_L", "iso"),
        ("translation", "K_exact", "translate_exact"),
        ("isotropic", "K_exact", "iso_exact"),
        ("border", "border_finegrid", "K_border"),
    ],
)
def test_cross_k_agrees_with_spatstat(pattern, correction, source, column):
    golden = table(f"{pattern}_{source}")
    found = table(f"{pattern}_points")
    k = features.cross_k_all(
        found[["x", "y"]], found["type"], window=window_of(pattern), r=RADII, correction=correction
    )
    for (i, j), part in golden.groupby(["i", "j"]):
        values = k.sel(type_from=i, type_to=j, r=part["r"].to_numpy()).to_numpy()
        assert_same(values, part[column].to_numpy(), rtol=1e-9)


@pytest.mark.parametrize("pattern", PATTERNS[:2])
def test_translation_on_rectangles_agrees_with_spatstat(pattern):
    golden = table(f"{pattern}_K_L")
    points, window = points_of(pattern), window_of(pattern)
    for (i, j), part in golden.groupby(["i", "j"]):
        options = {"window": window, "r": part["r"], "correction": "translation"}
        if i == j:
            k, root = (f(points[i], **options) for f in (features.ripley_k, features.besag_l))
        else:
            k, root = (
                f(points[i], points[j], **options) for f in (features.cross_k, features.cross_l)
            )
        assert_same(k, part["translate"].to_numpy(), rtol=1e-9)
        assert_same(root, part["L_translate"].to_numpy(), rtol=1e-9)


def test_spatstat_pixels_are_close_to_our_outline():
    """The translation correction of spatstat on polygons is on pixels: 1e-2 at best."""
    golden = table("p4_poisson_L_K_L")
    points, window = points_of("p4_poisson_L"), window_of("p4_poisson_L")
    part = golden[(golden["i"] == "A") & (golden["j"] == "B") & (golden["r"] > 10)]
    k = features.cross_k(
        points["A"], points["B"], window=window, r=part["r"], correction="translation"
    )
    np.testing.assert_allclose(k, part["translate"], rtol=1e-2)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("correction", "column", "rtol", "atol"),
    [("border", "G_rs", 1e-9, 0.0), ("kaplan_meier", "G_km", 0.0, 1e-3)],
)
def test_nearest_neighbour_g_agrees_with_spatstat(pattern, correction, column, rtol, atol):
    golden = table(f"{pattern}_border_finegrid")
    points, window = points_of(pattern), window_of(pattern)
    for (i, j), part in golden.groupby(["i", "j"]):
        options = {"window": window, "r": part["r"], "correction": correction}
        if i == j:
            values = features.nearest_neighbour_g(points[i], **options)
        else:
            values = features.cross_g(points[i], points[j], **options)
        expected = part[column].to_numpy()
        np.testing.assert_array_equal(np.isnan(values[1:]), np.isnan(expected[1:]))
        assert np.isfinite(values).sum() > 30
        np.testing.assert_allclose(values, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nearest_distances_agree_with_spatstat(pattern):
    golden, window = table(f"{pattern}_nncross"), window_of(pattern)
    points = points_of(pattern)
    part = golden[(golden["i"] == "A") & (golden["j"] == "B")]
    values = features.nearest_distance(points["A"], points["B"])
    np.testing.assert_allclose(values, part["dist"], rtol=1e-9)
    depth = table(f"{pattern}_bdist")
    np.testing.assert_allclose(
        window.boundary_distance(depth[["x", "y"]]), depth["bdist"], rtol=1e-9
    )


@pytest.mark.parametrize("pattern", PATTERNS[:2])
@pytest.mark.parametrize("divisor", ["r", "d"])
@pytest.mark.parametrize("correction", [("translation", "translate"), ("isotropic", "iso")])
def test_pair_correlation_agrees_with_spatstat(pattern, divisor, correction):
    golden = table(f"{pattern}_pcf")
    points, window = points_of(pattern), window_of(pattern)
    ours, theirs = correction
    for i, j in (("A", "A"), ("A", "C")):
        part = golden[(golden["i"] == i) & (golden["j"] == j) & (golden["divisor"] == divisor)]
        part = part[part["r"] > 12]
        options = {
            "window": window,
            "r": part["r"],
            "correction": ours,
            "bandwidth": 6,
            "divisor": divisor,
        }
        if i == j:
            values = features.pair_correlation(points[i], **options)
        else:
            values = features.cross_pair_correlation(points[i], points[j], **options)
        np.testing.assert_allclose(values, part[theirs], rtol=1e-2)


def test_a_window_with_holes():
    golden, window = table("p3_holes_K"), window_of("p3_holes")
    assert len(window.geometry.interiors) == 2
    points = points_of("p3_holes")
    everything = table("p3_holes_points")[["x", "y"]]
    depth = table("p3_holes_bdist")["bdist"]
    np.testing.assert_allclose(window.boundary_distance(everything), depth, rtol=1e-9)
    for (i, j), part in golden.groupby(["i", "j"]):
        for correction, column in (("none", "none"), ("border", "border"), ("isotropic", "iso")):
            options = {"window": window, "r": part["r"], "correction": correction}
            if i == j:
                values = features.ripley_k(points[i], **options)
            else:
                values = features.cross_k(points[i], points[j], **options)
            np.testing.assert_allclose(values, part[column], rtol=1e-9)
        options["correction"] = "border"
        if i == j:
            values = features.nearest_neighbour_g(points[i], **options)
        else:
            values = features.cross_g(points[i], points[j], **options)
        np.testing.assert_allclose(values, part["G_rs"], rtol=1e-9)


def test_varying_intensity_agrees_with_spatstat():
    golden, window = table("p3_holes_inhomogeneous"), window_of("p3_holes")
    points, given = points_of("p3_holes"), table("p3_holes_intensity")
    intensity = {name: part["intensity"].to_numpy() for name, part in given.groupby("type")}
    for correction, column in (("border", "border"), ("isotropic", "iso")):
        options = {"window": window, "r": golden["r"], "correction": correction}
        one = features.inhomogeneous_k(points["A"], intensities=intensity["A"], **options)
        np.testing.assert_allclose(one, golden[f"one_{column}"], rtol=1e-9)
        cross = features.inhomogeneous_cross_k(
            points["A"],
            points["B"],
            intensities_from=intensity["A"],
            intensities_to=intensity["B"],
            **options,
        )
        np.testing.assert_allclose(cross, golden[f"cross_{column}"], rtol=1e-9)


def test_smoothed_intensity_agrees_with_spatstat():
    points = points_of("p3_holes")["A"]
    window = Window.rectangle(x=(-10, 650), y=(-50, 530))
    values = features.smoothed_intensity(points, window=window, bandwidth=60)
    golden = table("p3_holes_density")["intensity"]
    np.testing.assert_allclose(values, golden, rtol=5e-3)  # R takes the edge factor from pixels


def test_integer_points_between_their_ties():
    golden, points = table("p5_integers_K"), table("p5_integers_points")
    window = Window.rectangle(x=(0, 60), y=(0, 40))
    assert points.duplicated().any()
    for correction, column in (
        ("none", "none"),
        ("border", "border"),
        ("translation", "translate"),
        ("isotropic", "iso"),
    ):
        k = features.ripley_k(points, window=window, r=golden["r"], correction=correction)
        np.testing.assert_allclose(k, golden[column], rtol=1e-9)
    for correction in ("none", "border"):
        g = features.nearest_neighbour_g(
            points, window=window, r=golden["r"], correction=correction
        )
        column = "G_none" if correction == "none" else "G_rs"
        np.testing.assert_allclose(g, golden[column], rtol=1e-9)


def test_empty_space_is_near_spatstats_pixels():
    golden = table("p1_poisson_rect_F")
    points, window = points_of("p1_poisson_rect")["A"], window_of("p1_poisson_rect")
    for correction, column in (("border", "rs"), ("kaplan_meier", "km")):
        f = features.empty_space_f(
            points, window=window, r=golden["r"], correction=correction, spacing=1.0
        )
        np.testing.assert_allclose(f, golden[column], atol=1e-2)
