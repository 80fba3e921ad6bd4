"""Invariances of the spatial statistics: moved, turned, stretched and relabelled patterns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from times_stats import features
from times_stats.features.pair_sums import CORRECTIONS
from times_stats.regions import Window

OUTLINE = np.array([(0, 0), (110, -5), (120, 60), (60, 70), (50, 120), (-10, 90)], dtype=float)
HOLE = np.array([(20, 20), (40, 25), (35, 45)], dtype=float)
HOLED = Window.polygon(OUTLINE, holes=[HOLE])
R = np.array([4.0, 11.0, 19.0])

seeds = st.integers(0, 10_000)
corrections = st.sampled_from(CORRECTIONS)
QUICK = settings(max_examples=25, deadline=None)


def pattern(window: Window, n: int, seed: int) -> np.ndarray:
    x0, y0, x1, y1 = window.bounds
    points = np.random.default_rng(seed).uniform((x0, y0), (x1, y1), size=(8 * n, 2))
    return points[window.contains(points)][:n]


def measured(points: np.ndarray, others: np.ndarray, window: Window, r: np.ndarray, correction):
    distance = "kaplan_meier" if correction in ("translation", "isotropic") else correction
    return {
        "k": features.ripley_k(points, window=window, r=r, correction=correction),
        "cross": features.cross_k(points, others, window=window, r=r, correction=correction),
        "g": features.nearest_neighbour_g(points, window=window, r=r, correction=distance),
        "cross_g": features.cross_g(points, others, window=window, r=r, correction=distance),
    }


@QUICK
@given(seeds, corrections, st.floats(0, 6.28), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_moving_and_turning_changes_nothing(seed, correction, angle, dx, dy):
    points = pattern(HOLED, 60, seed)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def move(xy: np.ndarray) -> np.ndarray:
        return xy @ turn + [dx, dy]

    moved = Window.polygon(move(OUTLINE), holes=[move(HOLE)])
    before = measured(points[:30], points[30:], HOLED, R, correction)
    after = measured(move(points[:30]), move(points[30:]), moved, R, correction)
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, err_msg=name)


@QUICK
@given(seeds, corrections, st.floats(0.01, 100))
def test_stretching_by_s_multiplies_k_by_its_square(seed, correction, s):
    points = pattern(HOLED, 60, seed)
    wide = Window.polygon(OUTLINE * s, holes=[HOLE * s])
    before = measured(points[:30], points[30:], HOLED, R, correction)
    after = measured(points[:30] * s, points[30:] * s, wide, R * s, correction)
    for name in before:
        factor = s**2 if name in ("k", "cross") else 1.0
        np.testing.assert_allclose(after[name], before[name] * factor, rtol=1e-6, err_msg=name)


@QUICK
@given(seeds, corrections)
def test_the_order_of_points_does_not_matter(seed, correction):
    points = pattern(HOLED, 60, seed)
    order = np.random.default_rng(seed).permutation(30)
    before = measured(points[:30], points[30:], HOLED, R, correction)
    after = measured(points[:30][order], points[30:][order], HOLED, R, correction)
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-12, err_msg=name)


@QUICK
@given(seeds, corrections)
def test_functions_rise_and_stay_in_their_range(seed, correction):
    points = pattern(HOLED, 60, seed)
    found = measured(points[:30], points[30:], HOLED, np.linspace(0, 25, 40), correction)
    for name, values in found.items():
        assert (values[np.isfinite(values)] >= 0).all()
        if correction != "border":  # its denominator changes with r
            assert (np.diff(values) >= -1e-9).all(), name
    for name in ("g", "cross_g"):
        assert (found[name][np.isfinite(found[name])] <= 1 + 1e-12).all()


@QUICK
@given(seeds, st.sampled_from(["none", "translation"]))
def test_cross_k_is_symmetric_where_its_weights_are(seed, correction):
    points = pattern(HOLED, 60, seed)
    options = {"window": HOLED, "r": R, "correction": correction}
    there = features.cross_k(points[:20], points[20:], **options)
    back = features.cross_k(points[20:], points[:20], **options)
    np.testing.assert_allclose(there, back, rtol=1e-10)


@pytest.mark.parametrize("correction", ["border", "translation", "isotropic"])
@pytest.mark.parametrize("window", [HOLED, Window.rectangle(x=(0, 150), y=(0, 80))])
def test_l_is_r_under_complete_randomness(window, correction):
    """Mean of K over patterns against pi r^2; L is its root, so its mean is biased by itself."""
    n_patterns, k, cross = 200, [], []
    for seed in range(n_patterns):
        points = pattern(window, 160, 1000 + seed)
        options = {"window": window, "r": R[:2], "correction": correction}
        k.append(features.ripley_k(points[:80], **options))
        cross.append(features.cross_k(points[:80], points[80:], **options))
    for values in (k, cross):
        mean = np.mean(values, axis=0)
        se = np.std(values, axis=0, ddof=1) / np.sqrt(n_patterns)
        low, high = np.sqrt((mean - 3.5 * se) / np.pi), np.sqrt((mean + 3.5 * se) / np.pi)
        # The border estimate of one type divides by n, as R does.
        shift = np.sqrt(79 / 80) if correction == "border" and values is k else 1.0
        assert (low <= R[:2] * shift).all()
        assert (high >= R[:2] * shift).all()
        assert (se / mean < 0.05).all()


def test_without_a_correction_l_falls_short_of_r():
    """The test above would see a missing edge correction."""
    k = [
        features.ripley_k(pattern(HOLED, 80, seed), window=HOLED, r=[11.0], correction="none")
        for seed in range(100)
    ]
    assert np.sqrt(np.mean(k) / np.pi) < 0.95 * 11
