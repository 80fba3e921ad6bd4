"""Points sorted into a grid, so that the close ones of each stand together in memory."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from times_stats._compiled import compiled
from times_stats._typing import FloatArray, IntArray


class PointGrid(NamedTuple):
    """Points sorted by grid cell, with what each carries.

    The cells of a row, and so the candidates of a point in that row, are a run of the arrays.
    """

    x: FloatArray
    y: FloatArray
    code: IntArray
    weight: FloatArray
    depth: FloatArray
    last: IntArray
    start: IntArray
    columns: int
    rows: int
    reach: int


def squared_limits(radii: FloatArray) -> FloatArray:
    """Return the largest squared distance whose root, rounded, is within each radius.

    Parameters
    ----------
    radii : ndarray of shape (n,)
        Not negative.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> bool((squared_limits(np.sqrt([2.0, 3.0])) >= [2.0, 3.0]).all())
    True
    """
    limits = np.asarray(radii * radii)
    for _ in range(4):
        limits = np.where(np.sqrt(limits) > radii, np.nextafter(limits, 0.0), limits)
    for _ in range(4):
        above = np.nextafter(limits, np.inf)
        limits = np.where(np.sqrt(above) <= radii, above, limits)
    return limits


def count_close_pairs(points: FloatArray, r: float) -> int:
    """Count the unordered pairs of points no farther apart than r.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Micrometres.
    r : float
        Radius, positive.

    Returns
    -------
    int

    Examples
    --------
    >>> count_close_pairs(np.array([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]]), 5.0)
    1
    """
    if len(points) < 2:
        return 0
    radii = np.array([r], dtype=np.float64)
    nothing = np.zeros(len(points))
    grid = arrange_points(points, np.zeros(len(points), dtype=np.int64), nothing, nothing, radii)
    return int(count_pairs(grid, float(squared_limits(radii)[0])))


def arrange_points(
    points: FloatArray, codes: IntArray, factor: FloatArray, depth: FloatArray, radii: FloatArray
) -> PointGrid:
    """Sort points by grid cell.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Micrometres, two or more.
    codes : ndarray of int of shape (n,)
        Type of each point.
    factor, depth : ndarray of shape (n,)
        Weight of each point, and its distance to the outline.
    radii : ndarray of shape (n_r,)
        Increasing, the last above 0.

    Returns
    -------
    PointGrid
        Cells have a third of the largest radius a side, unless most would stay empty.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    spans = np.maximum(high - low, 1e-9)
    largest = float(radii[-1])
    largest *= 1.0 + 1e-9  # rounding may put a point on the wrong side of a cell
    side = max(largest / 3.0, math.sqrt(float(spans[0]) * float(spans[1]) / len(points)))
    side = max(side, float(spans.max()) / 20_000.0)
    columns, rows = (int(span / side) + 1 for span in spans)
    cell = ((points - low) / side).astype(np.int64)
    number = cell[:, 1] * columns + cell[:, 0]
    order = np.argsort(number, kind="stable")
    start = np.zeros(columns * rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(number, minlength=columns * rows), out=start[1:])
    sorted_depth = depth[order]
    return PointGrid(
        x=points[order, 0].copy(),
        y=points[order, 1].copy(),
        code=codes[order].astype(np.int64),
        weight=factor[order],
        depth=sorted_depth,
        last=np.searchsorted(radii, sorted_depth, side="right").astype(np.int64),
        start=start,
        columns=columns,
        rows=rows,
        reach=math.ceil(largest / side),
    )


@compiled
def count_pairs(grid: PointGrid, limit: float) -> int:
    """Count the unordered pairs whose squared distance is within a limit."""
    found = 0
    for row in range(grid.rows):
        for column in range(grid.columns):
            cell = row * grid.columns + column
            low = max(column - grid.reach, 0)
            high = min(column + grid.reach, grid.columns - 1)
            for i in range(grid.start[cell], grid.start[cell + 1]):
                x, y = grid.x[i], grid.y[i]
                for other in range(row, min(row + grid.reach, grid.rows - 1) + 1):
                    first = grid.start[other * grid.columns + low]
                    if other == row:
                        first = i + 1
                    for j in range(first, grid.start[other * grid.columns + high + 1]):
                        dx, dy = grid.x[j] - x, grid.y[j] - y
                        found += dx * dx + dy * dy <= limit
    return found
