"""The boundary of the tumour, estimated from its cells, and the distance to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike

from times_stats._checks import Faults, check_points, name_rows
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.regions.contours import polygons_above, visible_lines, without_specks
from times_stats.regions.kernel_fraction import (
    cell_areas,
    cell_spacing,
    choose_bandwidth,
    smooth_fraction,
    split_in_two,
)
from times_stats.regions.segment_distance import nearest_segment_distance
from times_stats.regions.window import Window

NO_TUMOUR_CELL = "no tumour cell"
ALL_TUMOUR = "every cell is tumour"
NOT_INSIDE = "no boundary inside the window"
EVEN = "tumour cells are spread evenly, as far as the cells tell"
MIN_CELLS = 10
TOO_FEW = f"fewer than {MIN_CELLS} cells"

_EVIDENCE = 10.0  # log likelihood that two fractions of tumour cells must gain over one
_COVER = 0.25  # smoothed area of cells per area below which a place counts as empty
_PIXELS_PER_SPACING = 3.0
_FINEST = 3000  # pixels along the longer side, where the resolution is not given
_MOST = 4096  # pixels along the longer side


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TumourBoundary:
    """Where the tumour ends, as far as the window shows it.

    Attributes
    ----------
    tumour : shapely MultiPolygon
        The tumour inside the window, micrometres; empty where there is none.
    lines : shapely MultiLineString
        Outline of the tumour without the stretches along the frame of the window, where the tumour
        goes on unseen; empty where there is no boundary.
    window : Window
        The observed area.
    bandwidth : float
        Standard deviation of the kernel, micrometres; NaN for an annotation.
    level : float
        Kernel fraction of tumour cells at the boundary; NaN for an annotation.
    fraction_inside, fraction_outside : float
        Observed fraction of tumour cells on both sides; NaN where there are no cells.
    n_cells : int
        Number of cells used.
    n_ignored : int
        Number of cells outside the window or without a label, which were left out.
    reason : str
        Why there is no boundary; empty where there is one.

    Examples
    --------
    >>> from times_stats.regions.given_boundary import boundary_from_annotation
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> boundary_from_annotation(Window.rectangle(x=(0, 40), y=(0, 100)), window=window)
    <TumourBoundary: 100 um of boundary, 40% of the window is tumour>
    """

    tumour: Any
    lines: Any
    window: Window
    bandwidth: float
    level: float
    fraction_inside: float
    fraction_outside: float
    n_cells: int
    n_ignored: int
    reason: str

    def __repr__(self) -> str:
        share = self.tumour.area / self.window.area
        length = self.reason or f"{self.lines.length:.0f} um of boundary"
        return f"<TumourBoundary: {length}, {share:.0%} of the window is tumour>"

    @property
    def segments(self) -> FloatArray:
        """The boundary as segments ``x1, y1, x2, y2``, shape (n_segments, 4), micrometres."""
        lines = shapely.get_parts(self.lines)
        vertices, line = shapely.get_coordinates(lines, return_index=True)
        same = line[1:] == line[:-1]
        return np.ascontiguousarray(np.hstack([vertices[:-1], vertices[1:]])[same])


def tumour_boundary(
    points: ArrayLike,
    is_tumour: ArrayLike,
    *,
    window: Window,
    bandwidth: float | None = None,
    level: float | None = None,
    min_area: float | None = None,
    resolution: float | None = None,
) -> TumourBoundary:
    """Estimate the boundary of the tumour from its cells.

    The kernel fraction of tumour cells,
    ``p(x) = sum_i a_i t_i K((x - x_i) / h) / sum_i a_i K((x - x_i) / h)`` with a Gaussian `K` and
    the area ``a_i`` that each cell stands for, is drawn on a raster, and its contour at one level
    is the boundary. Bandwidth and level come from the data unless they are given.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Positions of all cells, micrometres. Cells outside the window are left out and counted.
    is_tumour : array-like of bool of shape (n,)
        Whether each cell is a tumour cell.
    window : Window
        The observed area.
    bandwidth : float, optional
        Standard deviation ``h`` of the kernel, micrometres. By default the one that predicts each
        cell from the others, averaged over candidates by their leave-one-out likelihood.
    level : float, optional
        Kernel fraction at the boundary, above 0 and below 1. By default halfway between the
        fractions of tumour cells in the two regions that explain the cells best: a nest of purity
        0.6 in clean stroma ends at 0.3, not at 0.5.
    min_area : float, optional
        Parts of the tumour and gaps in it that are smaller, in square micrometres, are noise. By
        default ``4 pi s^2`` with `s` the typical distance between cells: about a dozen cells.
    resolution : float, optional
        Side of a pixel of the raster, micrometres. By default a third of the distance between
        cells (about 6 um at 3,000 cells per square millimetre).

    Returns
    -------
    TumourBoundary
        Without a boundary, and with the reason, where there are fewer than 10 cells, no tumour
        cell, tumour cells only, no contour in the window, or the cells do not show two regions:
        two fractions of tumour cells gain at most 10 in log likelihood over one, on average over
        cuts. In this last case the tumour is the whole window if at least half of the cells are
        tumour cells, else nothing.

    Raises
    ------
    InputError
        If points or labels are not valid, or an option is out of its range.

    Notes
    -----
    Weights by area matter where the tumour is denser than its surroundings: the plain fraction at
    the edge leans to the denser side. A place that hardly any cell covers (smoothed cover below
    one quarter) is never tumour, whatever the ratio there; draw such places out of the window where
    they are no tissue, or their outline counts as boundary.

    Mirrored, turned by 90 degrees or moved together with its window, tissue has the same boundary
    up to rounding. Other turns and stirred positions change the raster under the cells, and windows
    drawn around tissue change a little too: ``benchmarks/boundary/stability.txt`` holds how far on
    real images, ``benchmarks/boundary/accuracy.txt`` the error on simulated tissue.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> cells = rng.uniform(0, 600, (1500, 2))
    >>> tumour = rng.random(1500) < np.where(cells[:, 0] < 300, 0.8, 0.02)
    >>> found = tumour_boundary(cells, tumour, window=Window.rectangle(x=(0, 600), y=(0, 600)))
    >>> bool(abs(shapely.get_coordinates(found.lines)[:, 0].mean() - 300) < 10)
    True
    """
    cells = check_points(points)
    labels = _checked_labels(is_tumour, len(cells))
    faults = Faults()
    for name, value in (("bandwidth", bandwidth), ("resolution", resolution)):
        if value is not None and not (np.isfinite(value) and value > 0):
            faults.add(f"{name} is {value}: give micrometres above 0")
    if level is not None and not 0 < level < 1:
        faults.add(f"level is {level}: give a fraction above 0 and below 1")
    if min_area is not None and not (np.isfinite(min_area) and min_area >= 0):
        faults.add(f"min_area is {min_area}: give square micrometres from 0 on")
    x0, y0, x1, y1 = window.bounds
    longer = max(x1 - x0, y1 - y0)
    if resolution is not None and resolution > 0 and longer / resolution > _MOST:
        faults.add(
            f"resolution is {resolution}: the window would be more than {_MOST} pixels long, "
            "give larger pixels"
        )
    faults.raise_if_any()
    seen = window.contains(cells)
    n_ignored = int((~seen).sum())
    cells, labels = cells[seen], labels[seen]
    whole = shapely.MultiPolygon(shapely.get_parts(window.geometry))
    nothing = shapely.MultiPolygon()
    if len(cells) < MIN_CELLS:
        return _without(nothing, window, labels, n_ignored, reason=TOO_FEW)
    if not labels.any():
        return _without(nothing, window, labels, n_ignored, reason=NO_TUMOUR_CELL)
    if labels.all():
        return _without(whole, window, labels, n_ignored, reason=ALL_TUMOUR)
    mostly = whole if labels.mean() >= 0.5 else nothing
    areas = cell_areas(cells)
    spacing = cell_spacing(areas)
    if bandwidth is None:
        bandwidth = choose_bandwidth(cells, labels, areas)
    if level is None:
        split = split_in_two(cells, labels, areas, bandwidth=bandwidth)
        if split.gain <= _EVIDENCE:
            return _without(mostly, window, labels, n_ignored, bandwidth, reason=EVEN)
        level = split.level
    field = smooth_fraction(
        cells,
        labels,
        areas,
        bandwidth=bandwidth,
        bounds=window.bounds,
        resolution=resolution or max(spacing / _PIXELS_PER_SPACING, longer / _FINEST),
    )
    height = np.minimum(field.fraction - level, field.cover - _COVER)
    polygons = polygons_above(height, x=field.x, y=field.y, level=0.0)
    smallest = 4 * math.pi * spacing**2 if min_area is None else min_area
    tumour = without_specks(polygons, window.geometry, min_area=smallest)
    lines = visible_lines(tumour, window.geometry)
    if lines.is_empty:
        return _without(tumour, window, labels, n_ignored, bandwidth, level, reason=NOT_INSIDE)
    inside = _contains(tumour, cells)
    return TumourBoundary(
        tumour=tumour,
        lines=lines,
        window=window,
        bandwidth=float(bandwidth),
        level=float(level),
        fraction_inside=_mean(labels[inside]),
        fraction_outside=_mean(labels[~inside]),
        n_cells=len(cells),
        n_ignored=n_ignored,
        reason="",
    )


def signed_distance(points: ArrayLike, boundary: TumourBoundary) -> FloatArray:
    """Return the distance of each point to the boundary of the tumour, negative inside.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres.
    boundary : TumourBoundary
        The boundary; stretches along the frame of the window do not count.

    Returns
    -------
    ndarray of shape (n,)
        Micrometres to the nearest point of the lines, exact; NaN where there is no boundary and
        for points outside the window, whose side is not known.

    Raises
    ------
    InputError
        If the points are not pairs of finite numbers.

    Examples
    --------
    >>> from times_stats.regions.given_boundary import boundary_from_annotation
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> found = boundary_from_annotation(Window.rectangle(x=(0, 40), y=(0, 100)), window=window)
    >>> signed_distance([(10, 50), (90, 50), (150, 50)], found)
    array([-30.,  50.,  nan])
    """
    cells = check_points(points)
    distances = np.full(len(cells), np.nan)
    if boundary.reason:
        return distances
    seen = boundary.window.contains(cells)
    distances[seen] = nearest_segment_distance(boundary.segments, cells[seen])
    inside = _contains(boundary.tumour, cells)
    return np.where(inside, -distances, distances) + 0.0


def _checked_labels(is_tumour: ArrayLike, n_cells: int) -> BoolArray:
    try:
        values = np.asarray(is_tumour, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("is_tumour is not true or false: give one boolean per cell") from None
    if values.size == 0:
        values = values.reshape(0)
    if values.shape != (n_cells,):
        raise InputError(
            f"is_tumour has shape {values.shape} and points {n_cells} rows: "
            "give one of each per cell"
        )
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        raise InputError(
            f"is_tumour is not true or false in row {name_rows(np.flatnonzero(wrong))}: "
            "leave out cells whose type is not known"
        )
    return np.asarray(values == 1, dtype=np.bool_)


def _without(
    tumour: Any,
    window: Window,
    labels: BoolArray,
    n_ignored: int,
    bandwidth: float = math.nan,
    level: float = math.nan,
    *,
    reason: str,
) -> TumourBoundary:
    everywhere = _mean(labels)
    return TumourBoundary(
        tumour=tumour,
        lines=shapely.MultiLineString(),
        window=window,
        bandwidth=float(bandwidth),
        level=float(level),
        fraction_inside=math.nan if tumour.is_empty else everywhere,
        fraction_outside=everywhere if tumour.is_empty else math.nan,
        n_cells=len(labels),
        n_ignored=n_ignored,
        reason=reason,
    )


def _contains(tumour: Any, points: FloatArray) -> BoolArray:
    shapely.prepare(tumour)
    inside = shapely.intersects_xy(tumour, points[:, 0], points[:, 1])
    return np.asarray(inside, dtype=np.bool_)


def _mean(labels: BoolArray) -> float:
    return float(labels.mean()) if labels.size else math.nan
