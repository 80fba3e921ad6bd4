"""K functions of points whose intensity varies over the window."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree
from scipy.special import ndtr

from times_stats._checks import Faults, name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.features.pair_sums import CORRECTIONS, Correction, sum_pairs
from times_stats.features.point_checks import (
    check_choice,
    check_points_in_window,
    check_positive,
    check_radii,
)
from times_stats.regions.window import Window

_CHUNK = 2_000  # points whose neighbours are in memory together
_PIXELS = 6  # of a bandwidth, where the kernel's mass inside a polygon is summed
_REACH = 6.0  # bandwidths after which the kernel is zero


def inhomogeneous_k(
    points: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    intensities: ArrayLike,
    correction: Correction = "isotropic",
) -> FloatArray:
    r"""Estimate the K function where the intensity varies, so that trend is no clustering.

    .. math:: \hat K(r) = \frac{1}{\sum_i 1 / \lambda_i}
       \sum_{i \ne j} \frac{w_{ij} 1\{d_{ij} \le r\}}{\lambda_i \lambda_j}

    with the pair weights of `ripley_k`; ``border`` divides the sum over points as far as r from
    the outline by their own :math:`\sum 1 / \lambda_i`, times :math:`|W| / \sum_i 1 / \lambda_i`.
    :math:`\pi r^2` for a Poisson process of that intensity.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres, inside the window.
    window : Window
        Observed area.
    r : array-like of shape (n_r,)
        Radii, micrometres.
    intensities : array-like of shape (n,)
        Intensity at each point, per square micrometre, as by `smoothed_intensity`.
    correction : {"border", "translation", "isotropic", "none"}, default "isotropic"
        Edge correction.

    Returns
    -------
    ndarray of shape (n_r,)
        Square micrometres; NaN where undefined, as in `ripley_k`.

    Raises
    ------
    InputError
        As in `ripley_k`; or if an intensity is not positive.

    Notes
    -----
    R ``spatstat.explore::Kinhom`` with its default renormalisation.

    References
    ----------
    Baddeley A, Møller J, Waagepetersen R (2000). Stat Neerl 54:329-350.
    doi:10.1111/1467-9574.00144

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> points = [(10, 10), (20, 10), (20, 40), (70, 80)]
    >>> inhomogeneous_k(points, window=window, r=[10], intensities=[4e-4] * 4, correction="none")
    array([1250.])
    """
    check_choice(correction, CORRECTIONS, name="correction")
    checked = check_points_in_window(points, window, name="points")
    radii = check_radii(r)
    inverse = 1.0 / _check_intensities(intensities, len(checked), name="intensities")
    if len(checked) < 2:
        return np.full(radii.size, np.nan)
    codes = np.zeros(len(checked), dtype=np.int64)
    sums = sum_pairs(
        checked, codes, n_types=1, window=window, r=radii, correction=correction, weights=inverse
    )
    if correction != "border":
        return np.asarray(sums.numerator[0, 0] / inverse.sum())
    held = sums.denominator[0]
    share = np.divide(sums.numerator[0, 0], held, out=np.full(radii.size, np.nan), where=held > 0)
    return np.asarray(share * window.area / inverse.sum())


def inhomogeneous_cross_k(
    points_from: ArrayLike,
    points_to: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    intensities_from: ArrayLike,
    intensities_to: ArrayLike,
    correction: Correction = "isotropic",
) -> FloatArray:
    r"""Estimate the cross-type K function where both intensities vary.

    .. math:: \hat K_{ab}(r) = \frac{1}{|W|}
       \sum_{i \in a, j \in b} \frac{w_{ij} 1\{d_{ij} \le r\}}{\lambda_a(x_i) \lambda_b(x_j)}

    For ``border``, :math:`|W|` gives way to the sum of :math:`1 / \lambda_a(x_i)` over the first
    points as far as r from the outline.

    Parameters
    ----------
    points_from, points_to : array-like of shape (n, 2) and (m, 2)
        Points of the two types, micrometres.
    window, r, correction
        As in `inhomogeneous_k`.
    intensities_from, intensities_to : array-like of shape (n,) and (m,)
        Intensity of its own type at each point, per square micrometre.

    Returns
    -------
    ndarray of shape (n_r,)
        Square micrometres; NaN where a type has no point, or as in `cross_k`.

    Raises
    ------
    InputError
        As in `inhomogeneous_k`.

    Notes
    -----
    R ``spatstat.explore::Kcross.inhom``, which does not renormalise.

    References
    ----------
    Møller J, Waagepetersen RP (2003). Statistical Inference and Simulation for Spatial Point
    Processes. doi:10.1201/9780203496930

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> inhomogeneous_cross_k([(10, 10)], [(10, 20)], window=window, r=[10], correction="none",
    ...                       intensities_from=[1e-4], intensities_to=[1e-4])
    array([10000.])
    """
    check_choice(correction, CORRECTIONS, name="correction")
    first = check_points_in_window(points_from, window, name="points_from")
    second = check_points_in_window(points_to, window, name="points_to")
    if len(first) and np.array_equal(first, second):
        raise InputError("points_from and points_to are the same points: use inhomogeneous_k")
    radii = check_radii(r)
    inverse = 1.0 / np.concatenate(
        [
            _check_intensities(intensities_from, len(first), name="intensities_from"),
            _check_intensities(intensities_to, len(second), name="intensities_to"),
        ]
    )
    if len(first) == 0 or len(second) == 0:
        return np.full(radii.size, np.nan)
    codes = np.repeat(np.arange(2, dtype=np.int64), [len(first), len(second)])
    sums = sum_pairs(
        np.concatenate([first, second]),
        codes,
        n_types=2,
        n_from=1,
        window=window,
        r=radii,
        correction=correction,
        weights=inverse,
    )
    if correction != "border":
        return np.asarray(sums.numerator[0, 1] / window.area)
    held, ratio = sums.denominator[0], np.full(radii.size, np.nan)
    np.divide(sums.numerator[0, 1], held, out=ratio, where=held > 0)
    return ratio


def smoothed_intensity(points: ArrayLike, *, window: Window, bandwidth: float) -> FloatArray:
    r"""Estimate the intensity at each point from the others by a Gaussian kernel.

    .. math:: \hat\lambda(x_i) = \frac{\sum_{j \ne i} \phi_h(x_i - x_j)}{\int_W \phi_h(x_i - u) du}

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres, inside the window.
    window : Window
        Observed area.
    bandwidth : float
        Standard deviation h of the kernel, micrometres.

    Returns
    -------
    ndarray of shape (n,)
        Per square micrometre; 0 for a point without another within 6 bandwidths, NaN for a single
        point.

    Raises
    ------
    InputError
        If a point is not finite or outside the window, or the bandwidth not positive.

    Notes
    -----
    R ``density.ppp(at = "points", leaveoneout = TRUE)``. The kernel's mass in a rectangle is exact;
    in a polygon it is summed over pixels of a sixth of the bandwidth.

    References
    ----------
    Diggle PJ (1985). J R Stat Soc C 34:138-147. doi:10.2307/2347366

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> intensity = smoothed_intensity([(50, 50), (50, 60)], window=window, bandwidth=10)
    >>> (intensity * 1e6).round()
    array([965., 965.])
    """
    h = check_positive(bandwidth, name="bandwidth", what="micrometres")
    checked = check_points_in_window(points, window, name="points")
    if len(checked) < 2:
        return np.full(len(checked), np.nan)
    tree = cKDTree(checked)
    sums = np.empty(len(checked))
    for begin in range(0, len(checked), _CHUNK):
        part = checked[begin : begin + _CHUNK]
        pairs = cKDTree(part).sparse_distance_matrix(tree, _REACH * h, output_type="coo_matrix")
        kernel = np.exp(-0.5 * (pairs.data / h) ** 2)
        # The point itself, at distance zero, is one of its neighbours.
        sums[begin : begin + _CHUNK] = np.bincount(pairs.row, kernel, minlength=len(part)) - 1.0
    return np.maximum(sums, 0.0) / (2.0 * np.pi * h * h) / _mass_inside(checked, window, h)


def _mass_inside(points: FloatArray, window: Window, h: float) -> FloatArray:
    x0, y0, x1, y1 = window.bounds
    if window.is_rectangle:
        across = ndtr((x1 - points[:, 0]) / h) - ndtr((x0 - points[:, 0]) / h)
        along = ndtr((y1 - points[:, 1]) / h) - ndtr((y0 - points[:, 1]) / h)
        return np.asarray(across * along)
    step = h / _PIXELS
    x = np.arange(x0 - step / 2, x1 + step, step)
    y = np.arange(y0 - step / 2, y1 + step, step)
    grid_x, grid_y = np.meshgrid(x, y, indexing="ij")
    inside = window.contains(np.column_stack([grid_x.ravel(), grid_y.ravel()]))
    mass = gaussian_filter(
        inside.reshape(grid_x.shape).astype(np.float64), _PIXELS, mode="constant", truncate=5.0
    )
    place = [(points[:, 0] - x[0]) / step, (points[:, 1] - y[0]) / step]
    return np.asarray(map_coordinates(mass, place, order=1, mode="nearest"))


def _check_intensities(intensities: ArrayLike, n: int, *, name: str) -> FloatArray:
    values = np.asarray(intensities, dtype=np.float64)
    if values.shape != (n,):
        raise InputError(f"{name} has shape {values.shape}: give one for each of the {n} points")
    faults = Faults()
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        faults.add(
            f"{name} is not positive in row {name_rows(np.flatnonzero(wrong))}: "
            "use a wider bandwidth, or leave these points out"
        )
    faults.raise_if_any()
    return values
