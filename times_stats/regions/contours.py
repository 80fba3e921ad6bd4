"""Outlines of areas: contours of a raster, specks, stretches along a frame."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import contourpy
import numpy as np
import shapely

from times_stats._typing import FloatArray

_ROUNDING = 1e-12
_HAIR = 1e-9  # of the coordinates: two lines so close are one
_ALONG = 5.0  # tolerances that a line runs beside another before it counts as running along it


def polygons_above(field: FloatArray, *, x: FloatArray, y: FloatArray, level: float) -> Any:
    """Return the area where a field lies above a level, by linear interpolation.

    Parameters
    ----------
    field : ndarray of shape (n_y, n_x)
        Value at each pixel's centre, finite.
    x, y : ndarray of shape (n_x,), (n_y,)
        Centres of the pixels, evenly spaced.
    level : float
        Where the outline runs.

    Returns
    -------
    shapely MultiPolygon
        Closed along the margin of the raster; empty where nothing lies above the level.

    Examples
    --------
    >>> ramp = np.tile([0.0, 1.0, 2.0], (3, 1))
    >>> axis = np.arange(3.0)
    >>> round(polygons_above(ramp, x=axis, y=axis, level=0.5).area, 6)
    3.0
    """
    generator = contourpy.contour_generator(x, y, field, fill_type=contourpy.FillType.OuterOffset)
    outlines, offsets = generator.filled(level, np.inf)
    parts = []
    for outline, starts in zip(outlines, offsets, strict=True):
        rings = [outline[a:b] for a, b in pairwise(starts)]
        parts.append(shapely.Polygon(rings[0], rings[1:]))
    whole = shapely.MultiPolygon(parts)
    if not whole.is_valid:  # a saddle can pinch a ring to a point
        whole = shapely.make_valid(whole)
    return large_parts(whole, min_area=0.0)


def large_parts(geometry: Any, *, min_area: float) -> Any:
    """Return the polygons of a geometry that are not too small.

    Parameters
    ----------
    geometry : shapely geometry
        Of any kind; points and lines are dropped.
    min_area : float
        Smallest area kept; rounding errors of the whole are dropped in any case.

    Returns
    -------
    shapely MultiPolygon

    Examples
    --------
    >>> both = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 9, 9)])
    >>> large_parts(both, min_area=2.0).area
    16.0
    """
    smallest = max(min_area, _ROUNDING * geometry.area)
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.MultiPolygon(
        [p for p in parts if p.geom_type == "Polygon" and p.area > 0 and p.area >= smallest]
    )


def without_specks(area: Any, whole: Any, *, min_area: float) -> Any:
    """Clip an area to a whole, and drop small parts of it and of what it leaves free.

    Parameters
    ----------
    area, whole : shapely Polygon or MultiPolygon
        The area, and what it is a part of.
    min_area : float
        Smallest part, and smallest gap, that stays.

    Returns
    -------
    shapely MultiPolygon

    Examples
    --------
    >>> ring = shapely.box(0, 0, 10, 10) - shapely.box(4, 4, 5, 5)
    >>> without_specks(ring, shapely.box(0, 0, 20, 10), min_area=2.0).area
    100.0
    """
    kept = large_parts(shapely.intersection(area, whole), min_area=min_area)
    free = large_parts(shapely.difference(whole, kept), min_area=min_area)
    # What is free is taken from the whole, so that a gap that is filled leaves no seam.
    return large_parts(shapely.difference(whole, free), min_area=min_area)


def visible_lines(area: Any, whole: Any, *, tolerance: float = 0.0) -> Any:
    """Return the outline of an area without its stretches along the outline of the whole.

    Parameters
    ----------
    area, whole : shapely Polygon or MultiPolygon
        The area, and the window it is seen in.
    tolerance : float
        What runs this close to the outline of the whole, for more than five times that length,
        counts as that; a line that meets the outline at an angle keeps its end.

    Returns
    -------
    shapely MultiLineString

    Examples
    --------
    >>> round(visible_lines(shapely.box(0, 0, 5, 10), shapely.box(0, 0, 20, 10)).length, 3)
    10.0
    """
    hair = _HAIR * float(np.abs(whole.bounds).max())
    frame = shapely.boundary(whole)
    on_frame = shapely.buffer(frame, hair, quad_segs=2)
    lines = shapely.line_merge(shapely.difference(shapely.boundary(area), on_frame))
    if tolerance > hair:
        near = shapely.intersection(lines, shapely.buffer(frame, tolerance))
        pieces = shapely.get_parts(shapely.line_merge(near))
        along = pieces[shapely.length(pieces) > _ALONG * tolerance]
        beside = shapely.union_all(shapely.buffer(along, hair, cap_style="flat"))
        lines = shapely.difference(lines, beside)
    return shapely.MultiLineString(
        [part for part in shapely.get_parts(lines) if part.length > hair]
    )
