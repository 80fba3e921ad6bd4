"""Ripley's K, Besag's L and their cross-type forms: how many neighbours within a distance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.features.cell_types import type_codes
from times_stats.features.pair_sums import CORRECTIONS, Correction, sum_pairs
from times_stats.features.point_checks import (
    check_choice,
    check_points_in_window,
    check_radii,
)
from times_stats.regions.window import Window


def ripley_k(
    points: ArrayLike, *, window: Window, r: ArrayLike, correction: Correction = "isotropic"
) -> FloatArray:
    r"""Estimate Ripley's K function.

    .. math:: \hat K(r) = \frac{|W|}{n (n - 1)} \sum_{i \ne j} w_{ij} 1\{d_{ij} \le r\}

    with the pair weights w of the edge correction: 1 (``none``);
    :math:`|W| / |W \cap (W + x_j - x_i)|` (``translation``); the inverse fraction of the circle
    around i through j that lies in the window, at most 100 (``isotropic``). For ``border`` only
    points farther than r from the outline are first points:
    :math:`|W| / n \cdot \#\{d_{ij} \le r, b_i \ge r\} / \#\{b_i \ge r\}`.
    Under complete randomness :math:`K(r) = \pi r^2`.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres, inside the window.
    window : Window
        Observed area.
    r : array-like of shape (n_r,)
        Radii, micrometres. Estimates for radii beyond a quarter of the shorter side are poor.
    correction : {"border", "translation", "isotropic", "none"}, default "isotropic"
        Edge correction. On polygons with more than 100,000 close pairs, translation weights are
        interpolated where the window allows it: between nodes so close that the overlap halfway
        between them is right to 1e-4 of itself; on other windows every pair has its exact weight.

    Returns
    -------
    ndarray of shape (n_r,)
        Square micrometres. NaN where undefined: fewer than two points, or (``border``) no point
        as far as r from the outline.

    Raises
    ------
    InputError
        If a point is not finite or outside the window, a radius negative, a correction unknown.

    Notes
    -----
    Values agree with ``spatstat.explore::Kest`` of R to rounding without correction, with the
    isotropic one and with translation on rectangles; with the border correction where R is given a
    fine grid of radii, as it counts distances by its steps. A distance equal to r counts. Where a
    polygon is corrected by translation, spatstat works on pixels and this on its outline.

    References
    ----------
    Ripley BD (1976). J Appl Probab 13:255-266. doi:10.2307/3212829

    Baddeley A, Rubak E, Turner R (2015). Spatial Point Patterns. doi:10.1201/b19708

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> points = [(10, 10), (20, 10), (20, 40), (70, 80)]
    >>> ripley_k(points, window=window, r=[10, 30], correction="none").round(1)
    array([1666.7, 3333.3])
    """
    checked = check_points_in_window(points, window, name="points")
    codes = np.zeros(len(checked), dtype=np.int64)
    k = _all_k(checked, codes, 1, window=window, r=check_radii(r), correction=correction)
    return np.asarray(k[0, 0], dtype=np.float64)


def besag_l(
    points: ArrayLike, *, window: Window, r: ArrayLike, correction: Correction = "isotropic"
) -> FloatArray:
    r"""Estimate Besag's L function, :math:`L(r) = \sqrt{K(r) / \pi}`.

    Under complete randomness :math:`L(r) = r`; larger values mean clustering.

    Parameters
    ----------
    points, window, r, correction
        As in `ripley_k`.

    Returns
    -------
    ndarray of shape (n_r,)
        Micrometres; NaN where K is undefined.

    Raises
    ------
    InputError
        As in `ripley_k`.

    References
    ----------
    Besag J (1977). Contribution to the discussion of Ripley, J R Stat Soc B 39:193-195.

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> points = [(10, 10), (20, 10), (20, 40), (70, 80)]
    >>> besag_l(points, window=window, r=[10, 30], correction="none").round(1)
    array([23. , 32.6])
    """
    return np.sqrt(ripley_k(points, window=window, r=r, correction=correction) / np.pi)


def cross_k(
    points_from: ArrayLike,
    points_to: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: Correction = "isotropic",
) -> FloatArray:
    r"""Estimate the cross-type K function: points of one type around those of another.

    .. math:: \hat K_{ab}(r) = \frac{|W|}{n_a n_b} \sum_{i \in a, j \in b} w_{ij} 1\{d_{ij} \le r\}

    with the weights of `ripley_k`; for ``border``
    :math:`|W| / n_b \cdot \#\{d_{ij} \le r, b_i \ge r\} / \#\{b_i \ge r\}`.
    :math:`\pi r^2` where the two types are independent.

    Parameters
    ----------
    points_from : array-like of shape (n, 2)
        Points whose surroundings are looked at.
    points_to : array-like of shape (m, 2)
        Points counted; another type, not the same points.
    window, r, correction
        As in `ripley_k`.

    Returns
    -------
    ndarray of shape (n_r,)
        Square micrometres. NaN where undefined: a type without a point, or (``border``) no first
        point as far as r from the outline.

    Raises
    ------
    InputError
        As in `ripley_k`; or if both types are the same points.

    References
    ----------
    Lotwick HW, Silverman BW (1982). J R Stat Soc B 44:406-413.
    doi:10.1111/j.2517-6161.1982.tb01221.x

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> cross_k([(10, 10), (50, 50)], [(10, 20)], window=window, r=[10, 60], correction="none")
    array([ 5000., 10000.])
    """
    first = check_points_in_window(points_from, window, name="points_from")
    second = check_points_in_window(points_to, window, name="points_to")
    if len(first) and np.array_equal(first, second):
        raise InputError("points_from and points_to are the same points: use ripley_k")
    codes = np.repeat(np.arange(2, dtype=np.int64), [len(first), len(second)])
    both = np.concatenate([first, second])
    k = _all_k(both, codes, 2, window=window, r=check_radii(r), correction=correction, n_from=1)
    return np.asarray(k[0, 1], dtype=np.float64)


def cross_l(
    points_from: ArrayLike,
    points_to: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: Correction = "isotropic",
) -> FloatArray:
    r"""Estimate the cross-type L function, :math:`L_{ab}(r) = \sqrt{K_{ab}(r) / \pi}`.

    Parameters
    ----------
    points_from, points_to, window, r, correction
        As in `cross_k`.

    Returns
    -------
    ndarray of shape (n_r,)
        Micrometres; r where the types are independent, NaN where K is undefined.

    Raises
    ------
    InputError
        As in `cross_k`.

    References
    ----------
    Baddeley A, Rubak E, Turner R (2015). Spatial Point Patterns. doi:10.1201/b19708

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> cross_l([(10, 10), (50, 50)], [(10, 20)], window=window, r=[10], correction="none").round(1)
    array([39.9])
    """
    k = cross_k(points_from, points_to, window=window, r=r, correction=correction)
    return np.sqrt(k / np.pi)


def cross_k_all(
    points: ArrayLike,
    cell_type: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: Correction = "isotropic",
) -> xr.DataArray:
    """Estimate the K functions of all ordered pairs of types in one pass over the points.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres, inside the window.
    cell_type : array-like of shape (n,)
        Type of each point.
    window, r, correction
        As in `ripley_k`.

    Returns
    -------
    DataArray of dims (type_from, type_to, r)
        `ripley_k` on the diagonal, `cross_k` elsewhere; types sorted, radii as given.

    Raises
    ------
    InputError
        As in `ripley_k`; or if a type is missing.

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> k = cross_k_all([(10, 10), (50, 50), (10, 20)], ["T", "T", "B"], window=window, r=[10],
    ...                 correction="none")
    >>> k.sel(type_from="T", type_to="B").values
    array([5000.])
    """
    checked = check_points_in_window(points, window, name="points")
    radii = check_radii(r)
    names = sorted(pd.Series(np.ravel(cell_type)).dropna().unique())
    codes = type_codes(cell_type, types=names or [""], n_cells=len(checked))
    k = _all_k(checked, codes, len(names), window=window, r=radii, correction=correction)
    coords = {"type_from": names, "type_to": names, "r": radii}
    return xr.DataArray(k, coords, ("type_from", "type_to", "r"), "k")


def _all_k(
    points: FloatArray,
    codes: IntArray,
    n_types: int,
    *,
    window: Window,
    r: FloatArray,
    correction: Correction,
    n_from: int | None = None,
) -> FloatArray:
    check_choice(correction, CORRECTIONS, name="correction")
    counts = np.bincount(codes, minlength=n_types).astype(np.float64)
    sums = sum_pairs(
        points,
        codes,
        n_types=n_types,
        n_from=n_from,
        window=window,
        r=r,
        correction=correction,
    )
    same = np.eye(n_types, dtype=np.bool_)
    # As in spatstat: the border estimate of one type divides by n, the others by n - 1.
    partners = counts - same * (0.0 if correction == "border" else 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        k = window.area * sums.numerator / (partners[:, :, None] * sums.denominator[:, None, :])
    enough = counts >= np.where(same, 2.0, 1.0)
    defined = enough[:, :, None] & (sums.denominator[:, None, :] > 0)
    return np.where(defined, k, np.nan)
