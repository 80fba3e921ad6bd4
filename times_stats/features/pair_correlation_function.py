"""The pair correlation: how many neighbours at a distance, not within it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.features.pair_sums import Correction, sum_pairs
from times_stats.features.point_checks import (
    check_choice,
    check_points_in_window,
    check_positive,
    check_radii,
)
from times_stats.regions.window import Window

type Divisor = Literal["r", "d"]
_SMOOTHED: tuple[Correction, ...] = ("translation", "isotropic", "none")
_PIECES = 512  # of the kernel half width; binning errs by the order of 1 / pieces^2


def pair_correlation(
    points: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: Correction = "isotropic",
    bandwidth: float | None = None,
    divisor: Divisor = "r",
) -> FloatArray:
    r"""Estimate the pair correlation function by an Epanechnikov kernel.

    .. math:: \hat g(r) = \frac{|W|}{2 \pi r\, n (n - 1)} \sum_{i \ne j} w_{ij} k(r - d_{ij})

    with the pair weights of `ripley_k`; with ``divisor="d"`` each pair is divided by its own
    distance in place of r, which is better at small distances. 1 under complete randomness.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres, inside the window.
    window : Window
        Observed area.
    r : array-like of shape (n_r,)
        Distances, micrometres.
    correction : {"isotropic", "translation", "none"}, default "isotropic"
        Edge correction.
    bandwidth : float, optional
        Standard deviation of the kernel, micrometres (its half width is sqrt(5) times that);
        :math:`0.15 / \sqrt{5 \lambda}` (Stoyan's rule) if left out.
    divisor : {"r", "d"}, default "r"
        What the sum is divided by.

    Returns
    -------
    ndarray of shape (n_r,)
        Not negative; NaN where undefined: fewer than two points, or r = 0 with ``divisor="r"``.

    Raises
    ------
    InputError
        As in `ripley_k`; or if the bandwidth is not positive.

    Notes
    -----
    R ``spatstat.explore::pcf``. Distances are binned to 1/512 of the kernel's half width first.

    References
    ----------
    Stoyan D, Stoyan H (1994). Fractals, Random Shapes and Point Fields. Wiley.

    Baddeley A, Rubak E, Turner R (2015). Spatial Point Patterns. doi:10.1201/b19708

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> points = [(10, 10), (20, 10), (20, 40), (70, 80)]
    >>> pair_correlation(points, window=window, r=[10], correction="none", bandwidth=5).round(2)
    array([1.78])
    """
    checked = check_points_in_window(points, window, name="points")
    codes = np.zeros(len(checked), dtype=np.int64)
    return _smoothed(checked, codes, window, check_radii(r), correction, bandwidth, divisor)


def cross_pair_correlation(
    points_from: ArrayLike,
    points_to: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: Correction = "isotropic",
    bandwidth: float | None = None,
    divisor: Divisor = "r",
) -> FloatArray:
    r"""Estimate the pair correlation function between two types.

    As `pair_correlation`, over pairs of a point of each type, with :math:`n_a n_b` for
    :math:`n (n - 1)`.

    Parameters
    ----------
    points_from, points_to : array-like of shape (n, 2) and (m, 2)
        Points of the two types, micrometres.
    window, r, correction, bandwidth, divisor
        As in `pair_correlation`; the bandwidth left out is by the intensity of `points_to`.

    Returns
    -------
    ndarray of shape (n_r,)
        Not negative; 1 where the types are independent, NaN where a type has no point.

    Raises
    ------
    InputError
        As in `pair_correlation`; or if both types are the same points.

    References
    ----------
    Baddeley A, Rubak E, Turner R (2015). Spatial Point Patterns. doi:10.1201/b19708

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> g = cross_pair_correlation([(10, 10)], [(20, 10)], window=window, r=[10, 60], bandwidth=5,
    ...                            correction="none")
    >>> g.round(2)
    array([10.68,  0.  ])
    """
    first = check_points_in_window(points_from, window, name="points_from")
    second = check_points_in_window(points_to, window, name="points_to")
    if len(first) and np.array_equal(first, second):
        raise InputError("points_from and points_to are the same points: use pair_correlation")
    codes = np.repeat(np.arange(2, dtype=np.int64), [len(first), len(second)])
    both = np.concatenate([first, second])
    return _smoothed(both, codes, window, check_radii(r), correction, bandwidth, divisor)


def _smoothed(
    points: FloatArray,
    codes: IntArray,
    window: Window,
    r: FloatArray,
    correction: Correction,
    bandwidth: float | None,
    divisor: Divisor,
) -> FloatArray:
    check_choice(correction, _SMOOTHED, name="correction")
    check_choice(divisor, ("r", "d"), name="divisor")
    last = int(codes.max(initial=0))
    counts = np.bincount(codes, minlength=last + 1)
    n_pairs = counts[0] * (counts[0] - 1) if last == 0 else counts[0] * counts[1]
    if n_pairs == 0:
        return np.full(r.size, np.nan)
    if bandwidth is None:
        half = 0.15 / np.sqrt(counts[last] / window.area)
    else:
        half = np.sqrt(5.0) * check_positive(bandwidth, name="bandwidth", what="micrometres")
    step = half / _PIECES
    edges = step * np.arange(int(np.ceil((r.max() + half) / step)) + 2)
    sums = sum_pairs(
        points, codes, n_types=last + 1, window=window, r=edges, correction=correction
    ).numerator[0, last]
    weight, middle = np.diff(sums, prepend=0.0), edges - step / 2
    middle[0] = 0.0
    if divisor == "d":
        weight = np.divide(weight, middle, out=np.zeros(weight.size), where=middle > 0)
    total = np.array([_kernel_sum(weight, middle, x, half) for x in r])
    total *= window.area / (2.0 * np.pi * n_pairs)
    if divisor == "d":
        return np.asarray(total, dtype=np.float64)
    ratio = np.full(r.size, np.nan)
    np.divide(total, r, out=ratio, where=r > 0)
    return ratio


def _kernel_sum(weight: FloatArray, middle: FloatArray, at: float, half: float) -> float:
    """Sum of the weights of bins no farther than the half width, under the kernel."""
    first, last = np.searchsorted(middle, [at - half, at + half])
    gap = (at - middle[first:last]) / half
    return float(weight[first:last] @ (0.75 * (1.0 - gap**2) / half))
