"""Compartments and bands of tissue by the signed distance to the tumour's boundary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike

from times_stats._checks import Faults, check_points
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.regions.boundary import TumourBoundary
from times_stats.regions.contours import large_parts
from times_stats.regions.segment_distance import nearest_segment_distance
from times_stats.regions.window import Window

_QUADRANT = 32  # chords of a quarter of a circle in the outlines of compartments
_SPECK = 1e-9  # of the window's area: what is smaller is rounding


class DistanceIntervals(Protocol):
    """Named intervals ``[limits[k], limits[k + 1])`` of the signed distance, side by side."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each interval, from the inside of the tumour outwards."""
        ...

    @property
    def limits(self) -> tuple[float, ...]:
        """Limits of the intervals, one more than there are names, micrometres."""
        ...


@dataclass(frozen=True, slots=True)
class Compartments:
    """The compartments of tumour tissue by distance to the tumour's boundary.

    Distances are negative inside the tumour. ``tumour_centre`` lies deeper than the invasive
    front; ``peritumour`` follows the front on the outside; ``adjacent`` is all beyond. The default
    limits are a convention of this package, made for fronts of large tumours; fields of view with
    small nests need narrower ones.

    Attributes
    ----------
    invasive_front : tuple of float
        Lower and upper limit of the invasive front, micrometres; 0 lies between them or is one.
    peritumour : float or None
        Distance at which the peritumour ends, micrometres; None for no such compartment, so that
        ``adjacent`` begins where the front ends.

    Raises
    ------
    InputError
        If the limits are not finite or not in order.

    Examples
    --------
    >>> Compartments().names
    ('tumour_centre', 'invasive_front', 'peritumour', 'adjacent')
    >>> Compartments(invasive_front=(-20, 20), peritumour=None).limits
    (-inf, -20.0, 20.0, inf)
    """

    invasive_front: tuple[float, float] = (-100.0, 100.0)
    peritumour: float | None = 250.0

    def __post_init__(self) -> None:
        faults = Faults()
        try:
            inner, outer = (float(limit) for limit in self.invasive_front)
        except (TypeError, ValueError):
            raise InputError(
                f"invasive_front is {self.invasive_front!r}: give its two limits in micrometres"
            ) from None
        if not (math.isfinite(inner) and math.isfinite(outer) and inner < outer):
            faults.add(
                f"invasive_front is ({inner:g}, {outer:g}): give a finite lower and a larger upper "
                "limit"
            )
        elif not inner <= 0 <= outer:
            faults.add(
                f"invasive_front is ({inner:g}, {outer:g}), which leaves out the boundary: "
                "let 0 lie between the limits"
            )
        if self.peritumour is not None:
            try:
                end = float(self.peritumour)
            except (TypeError, ValueError):
                raise InputError(
                    f"peritumour is {self.peritumour!r}: give micrometres, or None for no "
                    "peritumour"
                ) from None
            if not (math.isfinite(end) and end > outer):
                faults.add(
                    f"peritumour is {end:g} and the invasive front ends at {outer:g}: give a "
                    "finite distance beyond the front, or None for no peritumour"
                )
            object.__setattr__(self, "peritumour", end)
        object.__setattr__(self, "invasive_front", (inner, outer))
        faults.raise_if_any("compartments")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the compartments, from the inside of the tumour outwards."""
        middle = () if self.peritumour is None else ("peritumour",)
        return ("tumour_centre", "invasive_front", *middle, "adjacent")

    @property
    def limits(self) -> tuple[float, ...]:
        """Limits between minus and plus infinity, micrometres."""
        middle = () if self.peritumour is None else (self.peritumour,)
        return (-math.inf, *self.invasive_front, *middle, math.inf)


@dataclass(frozen=True, slots=True)
class DistanceBands:
    """Bands of the signed distance to the tumour's boundary; `distance_bands` makes them.

    Attributes
    ----------
    limits : tuple of float
        Limits of the bands, micrometres, negative inside the tumour.

    Raises
    ------
    InputError
        If there are fewer than two limits or they do not increase.

    Examples
    --------
    >>> DistanceBands((-50.0, 0.0, 50.0)).names
    ('[-50, 0)', '[0, 50)')
    """

    limits: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.limits) < 2 or not all(a < b for a, b in pairwise(self.limits)):
            shown = ", ".join(f"{limit:g}" for limit in self.limits)
            raise InputError(f"edges of bands are ({shown}): give two or more increasing limits")
        if len(set(self.names)) < len(self.names):
            raise InputError("edges are so close that bands share a name: give rounder limits")

    @property
    def names(self) -> tuple[str, ...]:
        """Names such as ``"[-50, 0)"``, from the inside of the tumour outwards."""
        return tuple(
            f"{'(' if math.isinf(a) else '['}{a:g}, {b:g})" for a, b in pairwise(self.limits)
        )


def distance_bands(edges: Sequence[float]) -> DistanceBands:
    """Return bands of the signed distance, for profiles across the tumour's boundary.

    Parameters
    ----------
    edges : sequence of float
        Increasing limits, micrometres, negative inside the tumour; minus infinity as the first and
        infinity as the last are allowed. What lies outside them belongs to no band.

    Returns
    -------
    DistanceBands
        One band less than there are edges, each closed below and open above.

    Raises
    ------
    InputError
        If there are fewer than two edges or they do not increase.

    Examples
    --------
    >>> distance_bands([-100, -50, 0, 50, 100]).names
    ('[-100, -50)', '[-50, 0)', '[0, 50)', '[50, 100)')
    """
    try:
        limits = tuple(float(edge) for edge in edges)
    except (TypeError, ValueError):
        raise InputError("edges are not numeric: give increasing limits in micrometres") from None
    return DistanceBands(limits)


def assign_compartments(distance: ArrayLike, *, compartments: DistanceIntervals) -> pd.Categorical:
    """Name the compartment or band of each signed distance.

    Parameters
    ----------
    distance : array-like of shape (n,)
        Signed distance to the tumour's boundary, micrometres, negative inside.
    compartments : Compartments or DistanceBands
        The intervals, each closed below and open above: a cell just on a limit belongs to the
        outer of the two, and one on the boundary is outside the tumour.

    Returns
    -------
    Categorical of length n
        Ordered from the inside of the tumour outwards; missing where the distance is missing or
        in no interval.

    Raises
    ------
    InputError
        If the distances are not one numeric value per cell.

    Examples
    --------
    >>> list(assign_compartments([-300, -100, 0, 100, 250], compartments=Compartments()))
    ['tumour_centre', 'invasive_front', 'invasive_front', 'peritumour', 'adjacent']
    """
    distances = check_signed_distance(distance)
    codes = _position(distances, np.asarray(compartments.limits))
    codes[np.isnan(distances) | (codes >= len(compartments.names))] = -1
    return pd.Categorical.from_codes(
        codes, categories=pd.Index(list(compartments.names), dtype="str"), ordered=True
    )


def compartment_windows(
    boundary: TumourBoundary, *, compartments: DistanceIntervals
) -> dict[str, Window | None]:
    """Return the area of each compartment or band inside the window.

    Parameters
    ----------
    boundary : TumourBoundary
        The boundary of the tumour; distances are to its lines only.
    compartments : Compartments or DistanceBands
        The intervals of the signed distance.

    Returns
    -------
    dict of str to Window or None
        In the order of the names; None where the window holds nothing of a compartment, and for
        all where there is no boundary. The areas do not overlap; those of `Compartments` fill the
        window.

    Notes
    -----
    A compartment is the part of the tumour, or of what is outside it, between two distances to the
    lines. Its outline has 128 chords a circle, and GEOS smooths bends of the lines that are small
    against the distance; the tests hold outlines to two thousandths of the distance.

    Examples
    --------
    >>> from times_stats.regions.given_boundary import boundary_from_annotation
    >>> window = Window.rectangle(x=(0, 1000), y=(0, 1000))
    >>> found = boundary_from_annotation(Window.rectangle(x=(0, 400), y=(0, 1000)), window=window)
    >>> areas = compartment_windows(found, compartments=Compartments())
    >>> {name: round(part.area_mm2, 2) for name, part in areas.items()}
    {'tumour_centre': 0.3, 'invasive_front': 0.2, 'peritumour': 0.15, 'adjacent': 0.35}
    """
    names, limits = compartments.names, compartments.limits
    if boundary.reason:
        return dict.fromkeys(names)
    whole = boundary.window.geometry
    outside = shapely.difference(whole, boundary.tumour)
    inner = _beyond(boundary.tumour, boundary.lines, {-limit for limit in limits if limit <= 0})
    outer = _beyond(outside, boundary.lines, {limit for limit in limits if limit >= 0})
    windows: dict[str, Window | None] = {}
    for name, (lower, upper) in zip(names, pairwise(limits), strict=True):
        if upper <= 0:
            area = shapely.difference(inner[-upper], inner[-lower])
        elif lower >= 0:
            area = shapely.difference(outer[lower], outer[upper])
        else:  # taken from the whole, so that no seam is left along the lines
            area = shapely.difference(shapely.difference(whole, inner[-lower]), outer[upper])
        parts = large_parts(area, min_area=_SPECK * boundary.window.area)
        windows[name] = None if parts.is_empty else Window.from_geometry(parts)
    return windows


def is_certain(
    points: ArrayLike,
    distance: ArrayLike,
    *,
    window: Window,
    compartments: DistanceIntervals,
) -> BoolArray:
    """Tell for which cells the compartment cannot change, whatever lies outside the window.

    A boundary that the window does not show may be nearer than the visible one, but not nearer
    than the frame. With `b` the distance to the frame, the true distance to the boundary lies
    between ``min(|d|, b)`` and ``|d|``, on the side that is known; the compartment is certain if
    both ends fall in the same one.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres.
    distance : array-like of shape (n,)
        Signed distance of the same points to the visible boundary.
    window : Window
        The observed area.
    compartments : Compartments or DistanceBands
        The intervals of the signed distance.

    Returns
    -------
    ndarray of bool of shape (n,)
        False where the distance is missing. A cell in no band is certain if it cannot be in one.

    Raises
    ------
    InputError
        If points or distances are not valid, or their numbers differ.

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 1000), y=(0, 1000))
    >>> is_certain(
    ...     [(500, 500), (500, 60)], [-200, -200], window=window, compartments=Compartments()
    ... )
    array([ True, False])
    """
    cells = check_points(points)
    distances = check_signed_distance(distance)
    if len(distances) != len(cells):
        raise InputError(
            f"distance has {len(distances)} values and points {len(cells)} rows: "
            "give one of each per cell"
        )
    to_frame = nearest_segment_distance(window.edges, cells)
    nearest = np.copysign(np.minimum(np.abs(distances), to_frame), distances)
    limits = np.asarray(compartments.limits)
    same = _position(nearest, limits) == _position(distances, limits)
    return np.asarray(same & ~np.isnan(distances), dtype=np.bool_)


def check_signed_distance(distance: ArrayLike) -> FloatArray:
    """Return signed distances as an array; NaN, where there is no boundary, is allowed.

    Parameters
    ----------
    distance : array-like of shape (n_cells,)
        Micrometres; no cell at all is allowed.

    Returns
    -------
    ndarray of shape (n_cells,)

    Raises
    ------
    InputError
        If the array is not numeric or not one-dimensional.

    Examples
    --------
    >>> check_signed_distance([-20, 35.5])
    array([-20. ,  35.5])
    """
    try:
        values = np.asarray(distance, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("distance is not numeric: give micrometres") from None
    if values.ndim != 1:
        raise InputError(f"distance has shape {values.shape}: give one value per cell")
    return values


def _position(distances: FloatArray, limits: FloatArray) -> IntArray:
    """Return how many limits lie at or below each distance, less one."""
    return np.asarray(np.searchsorted(limits, distances, side="right") - 1, dtype=np.int64)


def _beyond(area: Any, lines: Any, reaches: set[float]) -> dict[float, Any]:
    """Parts of an area farther from lines than each distance, every one inside the one before."""
    found: dict[float, Any] = {}
    rest = area
    for reach in sorted(reaches):
        if math.isinf(reach):
            rest = shapely.MultiPolygon()
        elif reach > 0:
            rest = shapely.difference(rest, shapely.buffer(lines, reach, quad_segs=_QUADRANT))
        found[reach] = rest
    return found
