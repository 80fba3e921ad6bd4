"""The pair correlation against the kernel sum itself, and odd input."""

from __future__ import annotations

import numpy as np
import pytest

from times_stats import features
from times_stats.errors import InputError
from times_stats.regions import Window

WINDOW = Window.rectangle(x=(0, 200), y=(0, 100))
POINTS = np.random.default_rng(2).uniform((0, 0), (200, 100), size=(120, 2))
R = np.array([3.0, 8.0, 15.0, 30.0])


def kernel_sum(first, second, *, same: bool, bandwidth: float, divisor: str) -> np.ndarray:
    gap = first[:, None, :] - second[None, :, :]
    d = np.hypot(gap[..., 0], gap[..., 1])
    weight = WINDOW.area / ((200 - abs(gap[..., 0])) * (100 - abs(gap[..., 1])))
    if same:
        keep = ~np.eye(len(first), dtype=bool)
        d, weight = d[keep], weight[keep]
    half = bandwidth * np.sqrt(5)
    u = (R[:, None] - d.ravel()) / half
    kernel = np.where(np.abs(u) < 1, 0.75 * (1 - u**2) / half, 0)
    by = R[:, None] if divisor == "r" else d.ravel()
    pairs = len(first) * (len(first) - 1) if same else len(first) * len(second)
    return (kernel * weight.ravel() / by).sum(axis=1) * WINDOW.area / (2 * np.pi * pairs)


@pytest.mark.parametrize("divisor", ["r", "d"])
def test_binning_hardly_moves_the_kernel_sum(divisor):
    first, second = POINTS[:70], POINTS[70:]
    options = {
        "window": WINDOW,
        "r": R,
        "correction": "translation",
        "bandwidth": 4.0,
        "divisor": divisor,
    }
    own = features.pair_correlation(first, **options)
    expected = kernel_sum(first, first, same=True, bandwidth=4.0, divisor=divisor)
    np.testing.assert_allclose(own, expected, rtol=2e-3)
    cross = features.cross_pair_correlation(first, second, **options)
    expected = kernel_sum(first, second, same=False, bandwidth=4.0, divisor=divisor)
    np.testing.assert_allclose(cross, expected, rtol=2e-3)


def test_stoyans_bandwidth_is_the_default():
    half = 0.15 / np.sqrt(len(POINTS) / WINDOW.area)
    given = features.pair_correlation(POINTS, window=WINDOW, r=R, bandwidth=half / np.sqrt(5))
    np.testing.assert_allclose(features.pair_correlation(POINTS, window=WINDOW, r=R), given)


def test_it_is_one_under_complete_randomness():
    rng, found = np.random.default_rng(5), []
    for _ in range(60):
        points = rng.uniform((0, 0), (200, 100), size=(100, 2))
        found.append(features.pair_correlation(points, window=WINDOW, r=R[1:], bandwidth=3))
    se = np.std(found, axis=0, ddof=1) / np.sqrt(60)
    assert (np.abs(np.mean(found, axis=0) - 1) < 3.5 * se).all()


def test_odd_patterns_and_faults():
    options = {"window": WINDOW, "r": [0.0, 5.0]}
    assert np.isnan(features.pair_correlation([(1, 1)], **options)).all()
    assert np.isnan(features.cross_pair_correlation([(1, 1)], [], **options)).all()
    assert np.isnan(features.cross_pair_correlation([], [(1, 1)], **options)).all()
    zero = features.pair_correlation([(50, 50)] * 2, window=WINDOW, r=[0.0, 5.0], bandwidth=4)
    assert np.isnan(zero[0])
    assert zero[1] > 0
    apart = features.pair_correlation([(1, 1), (150, 90)], window=WINDOW, r=[5.0], divisor="d")
    assert apart == [0.0]
    with pytest.raises(InputError, match="correction is 'border': use translation"):
        features.pair_correlation(POINTS, correction="border", **options)
    with pytest.raises(InputError, match="divisor is 'x': use r or d"):
        features.pair_correlation(POINTS, divisor="x", **options)
    with pytest.raises(InputError, match="bandwidth is -2: give positive micrometres"):
        features.pair_correlation(POINTS, bandwidth=-2, **options)
    with pytest.raises(InputError, match="the same points: use pair_correlation"):
        features.cross_pair_correlation(POINTS, POINTS, **options)
