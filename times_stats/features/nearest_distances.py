"""Distances to the nearest point: the functions G, F and J."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.features.point_checks import (
    check_choice,
    check_points_in_window,
    check_positive,
    check_radii,
)
from times_stats.nonparametric import kaplan_meier
from times_stats.regions.window import Window

type DistanceCorrection = Literal["kaplan_meier", "border", "none"]
DISTANCE_CORRECTIONS: tuple[DistanceCorrection, ...] = ("kaplan_meier", "border", "none")

_GRID = 128  # test points along the longer side of the window


def nearest_neighbour_g(
    points: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: DistanceCorrection = "kaplan_meier",
) -> FloatArray:
    r"""Estimate G, the distribution of the distance to the nearest other point.

    With d the distance to the nearest other point and b that to the outline of the window:
    ``none`` is the share of points with :math:`d \le r`; ``border`` (reduced sample) the share
    among points with :math:`b \ge r`; ``kaplan_meier`` one minus the product limit of d censored
    at b. Under complete randomness of intensity :math:`\lambda`,
    :math:`G(r) = 1 - \exp(-\lambda \pi r^2)`; larger values mean clustering.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres, inside the window.
    window : Window
        Observed area.
    r : array-like of shape (n_r,)
        Radii, micrometres.
    correction : {"kaplan_meier", "border", "none"}, default "kaplan_meier"
        Edge correction.

    Returns
    -------
    ndarray of shape (n_r,)
        In [0, 1]. NaN where undefined: fewer than two points; (``border``) no point as far as r
        from the outline. ``kaplan_meier`` carries its last value on beyond the largest distance
        seen, where it is a lower limit.

    Raises
    ------
    InputError
        If a point is not finite or outside the window, a radius negative, a correction unknown.

    Notes
    -----
    R ``spatstat.explore::Gest``; its Kaplan-Meier and reduced-sample estimates depend on the radii
    asked for, these do not.

    References
    ----------
    Baddeley A, Gill RD (1997). Ann Stat 25:263-292. doi:10.1214/aos/1034276629

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> points = [(40, 50), (50, 50), (50, 80)]
    >>> nearest_neighbour_g(points, window=window, r=[10, 30], correction="none").round(2)
    array([0.67, 1.  ])
    """
    check_choice(correction, DISTANCE_CORRECTIONS, name="correction")
    radii = check_radii(r)
    checked = check_points_in_window(points, window, name="points")
    if len(checked) < 2:
        return np.full(radii.size, np.nan)
    distance = cKDTree(checked).query(checked, k=2)[0][:, 1]
    return _distribution(distance, window.boundary_distance(checked), radii, correction)


def cross_g(
    points_from: ArrayLike,
    points_to: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: DistanceCorrection = "kaplan_meier",
) -> FloatArray:
    """Estimate the cross-type G: the distance from points of one type to the nearest of another.

    Parameters
    ----------
    points_from : array-like of shape (n, 2)
        Points that look for a neighbour, micrometres.
    points_to : array-like of shape (m, 2)
        Points that are looked for.
    window, r, correction
        As in `nearest_neighbour_g`.

    Returns
    -------
    ndarray of shape (n_r,)
        In [0, 1]. NaN where undefined: no point that looks, or as in `nearest_neighbour_g`. With
        no point to be found, 0.

    Raises
    ------
    InputError
        As in `nearest_neighbour_g`; or if both types are the same points.

    References
    ----------
    Baddeley A, Rubak E, Turner R (2015). Spatial Point Patterns. doi:10.1201/b19708

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> cross_g([(50, 50), (40, 40)], [(50, 60)], window=window, r=[10, 30], correction="none")
    array([0.5, 1. ])
    """
    check_choice(correction, DISTANCE_CORRECTIONS, name="correction")
    radii = check_radii(r)
    first = check_points_in_window(points_from, window, name="points_from")
    second = check_points_in_window(points_to, window, name="points_to")
    if len(first) and np.array_equal(first, second):
        raise InputError("points_from and points_to are the same points: use nearest_neighbour_g")
    if len(first) == 0:
        return np.full(radii.size, np.nan)
    depth = window.boundary_distance(first)
    return _distribution(nearest_distance(first, second), depth, radii, correction)


def empty_space_f(
    points: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: DistanceCorrection = "kaplan_meier",
    spacing: float | None = None,
) -> FloatArray:
    r"""Estimate F, the distribution of the distance from any place to the nearest point.

    Under complete randomness :math:`F(r) = 1 - \exp(-\lambda \pi r^2)`; smaller values mean
    clustering, which leaves wide gaps.

    Parameters
    ----------
    points, window, r, correction
        As in `nearest_neighbour_g`.
    spacing : float, optional
        Distance between the places looked at, a square grid inside the window, micrometres; 1/128
        of the longer side if left out.

    Returns
    -------
    ndarray of shape (n_r,)
        In [0, 1]; NaN where undefined: no place in the window, or as in `nearest_neighbour_g`.
        Without any point, 0.

    Raises
    ------
    InputError
        As in `nearest_neighbour_g`; or if the spacing is not positive.

    Notes
    -----
    R ``spatstat.explore::Fest``, which measures distances on pixels.

    References
    ----------
    Baddeley A, Gill RD (1997). Ann Stat 25:263-292. doi:10.1214/aos/1034276629

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 2), y=(0, 2))
    >>> empty_space_f([(1, 1)], window=window, r=[1], correction="none", spacing=0.01).round(2)
    array([0.79])
    """
    check_choice(correction, DISTANCE_CORRECTIONS, name="correction")
    radii = check_radii(r)
    checked = check_points_in_window(points, window, name="points")
    places = grid_places(window, spacing=spacing)
    if len(places) == 0:
        return np.full(radii.size, np.nan)
    depth = window.boundary_distance(places)
    return _distribution(nearest_distance(places, checked), depth, radii, correction)


def j_function(
    points: ArrayLike,
    *,
    window: Window,
    r: ArrayLike,
    correction: DistanceCorrection = "kaplan_meier",
    spacing: float | None = None,
) -> FloatArray:
    r"""Estimate :math:`J(r) = (1 - G(r)) / (1 - F(r))`.

    1 under complete randomness, below 1 for clustering, above 1 for regularity.

    Parameters
    ----------
    points, window, r, correction, spacing
        As in `empty_space_f`.

    Returns
    -------
    ndarray of shape (n_r,)
        Not negative; NaN where G or F is undefined, or F is 1.

    Raises
    ------
    InputError
        As in `empty_space_f`.

    References
    ----------
    van Lieshout MNM, Baddeley AJ (1996). Stat Neerl 50:344-361.
    doi:10.1111/j.1467-9574.1996.tb01501.x

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> points = [(25, 25), (25, 75), (75, 25), (75, 75)]
    >>> j = j_function(points, window=window, r=[0, 20], correction="none")
    >>> bool(j[0] == 1), bool(j[1] > 1)
    (True, True)
    """
    g = nearest_neighbour_g(points, window=window, r=r, correction=correction)
    f = empty_space_f(points, window=window, r=r, correction=correction, spacing=spacing)
    ratio = np.full(g.size, np.nan)
    np.divide(1 - g, 1 - f, out=ratio, where=f < 1)
    return ratio


def nearest_distance(points_from: FloatArray, points_to: FloatArray) -> FloatArray:
    """Return the distance of each point to the nearest of others.

    Parameters
    ----------
    points_from : ndarray of shape (n, 2)
        Micrometres.
    points_to : ndarray of shape (m, 2)
        Micrometres.

    Returns
    -------
    ndarray of shape (n,)
        Micrometres; infinite where there is no other point.

    Examples
    --------
    >>> nearest_distance(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [9.0, 9.0]]))
    array([5.])
    """
    if len(points_to) == 0 or len(points_from) == 0:
        return np.full(len(points_from), np.inf)
    return np.asarray(cKDTree(points_to).query(points_from)[0], dtype=np.float64)


def grid_places(window: Window, *, spacing: float | None = None) -> FloatArray:
    """Return places inside a window on a square grid.

    Parameters
    ----------
    window : Window
        Observed area.
    spacing : float, optional
        Micrometres between neighbours; 1/128 of the longer side if left out.

    Returns
    -------
    ndarray of shape (n, 2)
        Centres of the squares of the grid that lie in the window.

    Raises
    ------
    InputError
        If the spacing is not positive.

    Examples
    --------
    >>> grid_places(Window.rectangle(x=(0, 2), y=(0, 1)), spacing=1).tolist()
    [[0.5, 0.5], [1.5, 0.5]]
    """
    x0, y0, x1, y1 = window.bounds
    step = max(x1 - x0, y1 - y0) / _GRID
    if spacing is not None:
        step = check_positive(spacing, name="spacing", what="micrometres")
    x, y = np.meshgrid(np.arange(x0 + step / 2, x1, step), np.arange(y0 + step / 2, y1, step))
    places = np.column_stack([x.ravel(), y.ravel()])
    return places[window.contains(places)]


def _distribution(
    distance: FloatArray, depth: FloatArray, r: FloatArray, correction: DistanceCorrection
) -> FloatArray:
    if correction == "none":
        return np.asarray(np.searchsorted(np.sort(distance), r, side="right") / distance.size)
    seen: BoolArray = distance <= depth
    if correction == "border":
        return _reduced_sample(distance, depth, r)
    return 1.0 - kaplan_meier(np.minimum(distance, depth), seen.astype(np.int64)).at(r)


def _reduced_sample(distance: FloatArray, depth: FloatArray, r: FloatArray) -> FloatArray:
    """Share with d <= r among those with b >= r; each is counted from its d up to its b."""
    kept = np.sort(depth)
    n_kept = depth.size - np.searchsorted(kept, r, side="left")
    inside = distance <= depth
    begun = np.searchsorted(np.sort(distance[inside]), r, side="right")
    ended = np.searchsorted(np.sort(depth[inside]), r, side="left")
    share = np.full(r.size, np.nan)
    np.divide(begun - ended, n_kept, out=share, where=n_kept > 0)
    return share
