"""Sums over all close pairs of points, by distance and by type: the engine of the K functions.

Symmetric weights are summed over unordered pairs and mirrored; the others over ordered pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from times_stats._compiled import compiled
from times_stats._typing import FloatArray, IntArray
from times_stats.features.point_grid import (
    PointGrid,
    arrange_points,
    count_close_pairs,
    squared_limits,
)
from times_stats.regions.window import Window

type Correction = Literal["border", "translation", "isotropic", "none"]
CORRECTIONS: tuple[Correction, ...] = ("border", "translation", "isotropic", "none")

MANY_PAIRS = 100_000  # from here on the overlap of a polygon with its translates is interpolated
_NODES = 64  # of that interpolation from 0 to the largest radius, and twice as many directions
_MOST_NODES = 512
_CHECKED = 512  # displacements between nodes at which the interpolation is checked
_CLOSE_ENOUGH = 1e-4  # relative error of an overlap; beyond it there are more nodes, or none
_LARGEST_WEIGHT = 100.0  # of one pair under the isotropic correction, as in spatstat
_BUFFER = 1024
_STEPS = 8192  # of the table from squared distance to radius
_PLAIN, _RECTANGLE, _TABLE, _CIRCLE_IN_RECTANGLE, _CIRCLE_IN_POLYGON, _BORDER = range(6)


@dataclass(frozen=True, slots=True)
class PairSums:
    """Weighted numbers of pairs up to each radius.

    Attributes
    ----------
    numerator : ndarray of shape (n_types, n_types, n_r)
        Sum of the weights of the ordered pairs (from, to) no farther apart than r.
    denominator : ndarray of shape (n_types, n_r)
        Points that the sum starts from: all of the type, or for the border correction those no
        nearer to the outline than r. With point weights, the sum of the weights.
    """

    numerator: FloatArray
    denominator: FloatArray


class _Rule(NamedTuple):
    """Edge correction: which, and what it needs to know of the window."""

    kind: int
    left: float
    bottom: float
    right: float
    top: float
    table: FloatArray
    per_step: float
    edges: FloatArray


class _Bins(NamedTuple):
    """Radii as limits of the squared distance, and a table of the first that may hold one."""

    limits: FloatArray
    first: IntArray
    per_step: float


def sum_pairs(
    points: FloatArray,
    codes: IntArray,
    *,
    n_types: int,
    n_from: int | None = None,
    window: Window,
    r: FloatArray,
    correction: Correction,
    weights: FloatArray | None = None,
) -> PairSums:
    """Sum edge-corrected weights over pairs of points up to each radius.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Micrometres, inside the window.
    codes : ndarray of int of shape (n,)
        Type of each point, 0 to ``n_types - 1``.
    n_types : int
        Number of types.
    n_from : int, optional
        How many of the types, the first ones, are wanted as first points; all, if left out. The
        sums of the others may be left at 0.
    window : Window
        Observed area.
    r : ndarray of shape (n_r,)
        Radii, not negative, in any order. A pair counts where its distance, rounded to double
        precision, is r or less.
    correction : {"border", "translation", "isotropic", "none"}
        Edge correction. On a polygon with many pairs (`MANY_PAIRS`) the translation weights are
        interpolated.
    weights : ndarray of shape (n,), optional
        Factor of each point, as the inverse of an intensity; a pair has the product.

    Returns
    -------
    PairSums

    Examples
    --------
    >>> points = np.array([[1.0, 1.0], [4.0, 5.0], [5.0, 5.0]])
    >>> window = Window.rectangle(x=(0, 10), y=(0, 10))
    >>> found = sum_pairs(points, np.zeros(3, dtype=np.int64), n_types=1, window=window,
    ...                   r=np.array([1.0, 5.0]), correction="none")
    >>> found.numerator[0, 0]
    array([2., 4.])
    """
    radii, place = np.unique(r, return_inverse=True)
    factor = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=np.float64)
    deep = correction in ("border", "isotropic")
    depth = window.boundary_distance(points) if deep else np.zeros(len(points))
    denominator = _starting_points(codes, factor, depth, n_types, radii, correction)
    if len(points) < 2 or radii[-1] == 0.0:
        raw = _coincident(points, codes, factor, n_types, radii.size)
    elif correction == "translation" and not window.is_rectangle:
        raw = _polygon_translation(points, codes, factor, n_types, window, radii)
    else:
        grid = arrange_points(points, codes, factor, depth, radii)
        rule = _rule(window, correction)
        first = n_types if n_from is None else n_from
        raw = _sum_pairs(grid, rule, _bins(radii), n_types, first, int(weights is not None))
    numerator = raw[..., : radii.size].cumsum(axis=2)
    return PairSums(numerator[..., place], denominator[:, place])


def _starting_points(
    codes: IntArray,
    factor: FloatArray,
    depth: FloatArray,
    n_types: int,
    radii: FloatArray,
    correction: Correction,
) -> FloatArray:
    if correction != "border":
        total = np.bincount(codes, weights=factor, minlength=n_types)
        return np.repeat(total[:, None], radii.size, axis=1)
    held = np.zeros((n_types, radii.size + 1))
    np.add.at(held, (codes, np.searchsorted(radii, depth, side="right")), factor)
    return np.ascontiguousarray(held[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:])


def _coincident(
    points: FloatArray, codes: IntArray, factor: FloatArray, n_types: int, n_r: int
) -> FloatArray:
    """Sum pairs at distance 0: what is left where the only radius is 0."""
    raw = np.zeros((n_types, n_types, n_r))
    if len(points) < 2:
        return raw
    _, same = np.unique(points, axis=0, return_inverse=True)
    by_place = np.zeros((int(same.max()) + 1, n_types))
    np.add.at(by_place, (same, codes), factor)
    raw[..., 0] = by_place.T @ by_place
    raw[..., 0] -= np.diag(np.bincount(codes, weights=factor**2, minlength=n_types))
    return raw


def _bins(radii: FloatArray) -> _Bins:
    limits = squared_limits(radii)
    per_step = (_STEPS - 1) / limits[-1]
    steps = np.arange(_STEPS) / per_step
    first = np.searchsorted(limits, steps * (1.0 - 1e-12), side="left")
    return _Bins(limits, np.minimum(first, radii.size - 1).astype(np.int64), float(per_step))


def _rule(window: Window, correction: Correction) -> _Rule:
    kinds = {
        "none": _PLAIN,
        "border": _BORDER,
        "translation": _RECTANGLE,
        "isotropic": _CIRCLE_IN_RECTANGLE if window.is_rectangle else _CIRCLE_IN_POLYGON,
    }
    return _Rule(kinds[correction], *window.bounds, np.zeros((1, 1)), 0.0, window.edges)


def _polygon_translation(
    points: FloatArray,
    codes: IntArray,
    factor: FloatArray,
    n_types: int,
    window: Window,
    radii: FloatArray,
) -> FloatArray:
    """Sum translation weights on a polygon: exact overlaps of few pairs, interpolated of many."""
    largest = float(radii[-1])
    n_pairs = count_close_pairs(points, largest)
    table = _overlap_table(window, largest) if n_pairs > MANY_PAIRS else None
    if table is not None:
        rule = _rule(window, "translation")._replace(
            kind=_TABLE, table=table, per_step=(table.shape[0] - 1) / largest
        )
        grid = arrange_points(points, codes, factor, np.zeros(len(points)), radii)
        return _sum_pairs(grid, rule, _bins(radii), n_types, n_types, 1)
    pairs = cKDTree(points).query_pairs(largest * (1.0 + 1e-9), output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    step = points[j] - points[i]
    bins = np.searchsorted(squared_limits(radii), (step * step).sum(axis=1), side="left")
    overlap = window.translation_overlap(step[:, 0], step[:, 1])
    weight = np.divide(
        factor[i] * factor[j] * window.area, overlap, out=np.zeros(len(pairs)), where=overlap > 0
    )
    raw = np.zeros((n_types, n_types, radii.size + 1))
    np.add.at(raw, (codes[i], codes[j], bins), weight)
    np.add.at(raw, (codes[j], codes[i], bins), weight)
    return raw


def _overlap_table(window: Window, largest: float) -> FloatArray | None:
    """Shares |W and W + h| / |W| by distance and direction of h, half a turn; None if too rough.

    For one direction the share begins at 1 and falls evenly, so that nodes in polar coordinates
    need not be close near h = 0, where the share has a kink.
    """
    nodes = _NODES
    while nodes <= _MOST_NODES:
        distance = np.linspace(0.0, largest, nodes + 1)
        angle = np.linspace(0.0, np.pi, 2 * nodes + 1)
        mesh = np.meshgrid(distance, angle, indexing="ij")
        table = _shares(window, mesh[0], mesh[1])
        # Halfway between nodes, in an even spread over the half disc.
        k = np.arange(_CHECKED)
        row = np.minimum((np.sqrt((k + 0.5) / _CHECKED) * nodes).astype(np.int64), nodes - 1)
        column = (k * 0.6180339887498949 % 1.0 * 2 * nodes).astype(np.int64)
        step = largest / nodes, np.pi / (2 * nodes)
        halfway = np.asarray((row + 0.5) * step[0]), np.asarray((column + 0.5) * step[1])
        exact = _shares(window, halfway[0], halfway[1])
        corners = [table[row + a, column + b] for a in (0, 1) for b in (0, 1)]
        error = np.abs(np.mean(corners, axis=0) - exact)
        if (error <= _CLOSE_ENOUGH * np.maximum(exact, 1e-12)).all():
            return np.ascontiguousarray(table)
        nodes *= 2
    return None


def _shares(window: Window, distance: FloatArray, angle: FloatArray) -> FloatArray:
    dx, dy = distance * np.cos(angle), distance * np.sin(angle)
    overlap = window.translation_overlap(dx.ravel(), dy.ravel())
    return np.asarray(overlap.reshape(distance.shape) / window.area)


@compiled
def _fraction_in_rectangle(x: float, y: float, d: float, rule: _Rule) -> float:
    """Fraction of the circle around a point of a rectangle that lies in the rectangle."""
    outside = 0.0
    left, right = (x - rule.left) / d, (rule.right - x) / d
    bottom, top = (y - rule.bottom) / d, (rule.top - y) / d
    a = math.acos(left) if left < 1.0 else 0.0
    b = math.acos(right) if right < 1.0 else 0.0
    c = math.acos(bottom) if bottom < 1.0 else 0.0
    e = math.acos(top) if top < 1.0 else 0.0
    outside = 2.0 * (a + b + c + e)
    # Arcs beyond two sides at once have been counted twice.
    quarter = 0.5 * math.pi
    outside -= max(0.0, a + c - quarter) + max(0.0, a + e - quarter)
    outside -= max(0.0, b + c - quarter) + max(0.0, b + e - quarter)
    return 1.0 - outside / (2.0 * math.pi)


@compiled
def _fraction_in_polygon(
    x: float, y: float, d: float, edges: FloatArray, near: IntArray, n_near: int
) -> float:
    """Fraction of the circle around a point that lies in a polygon, from the edges near it.

    Each crossing is entered or left; the arcs inside add up to the angles of leaving minus those
    of entering, up to whole turns. The circle holds a point of the window, so none is all outside.
    """
    square = d * d
    inside = 0.0
    crossings = 0
    for k in range(n_near):
        e = near[k]
        px, py = edges[e, 0] - x, edges[e, 1] - y
        qx, qy = edges[e, 2] - x, edges[e, 3] - y
        ux, uy = qx - px, qy - py
        p_out = px * px + py * py > square
        q_out = qx * qx + qy * qy > square
        if not p_out and not q_out:
            continue
        length2 = ux * ux + uy * uy
        along = -(px * ux + py * uy) / length2
        cross = px * uy - py * ux
        # Half the chord, as a share of the edge.
        rest = square * length2 - cross * cross
        if p_out and q_out and (rest <= 0.0 or along <= 0.0 or along >= 1.0):
            continue
        half = math.sqrt(max(rest, 0.0)) / length2
        if p_out:  # the edge comes into the disc; going round, the circle leaves or enters there
            t = along - half
            inside += math.atan2(py + t * uy, px + t * ux)
            crossings += 1
        if q_out:
            t = along + half
            inside -= math.atan2(py + t * uy, px + t * ux)
            crossings += 1
    if crossings == 0:
        return 1.0
    turn = 2.0 * math.pi
    inside -= turn * math.floor(inside / turn)
    if inside < 1e-9:
        inside = turn
    return inside / turn


@compiled
def _near_edges(x: float, y: float, reach: float, edges: FloatArray, near: IntArray) -> int:
    found = 0
    for e in range(edges.shape[0]):
        ux, uy = edges[e, 2] - edges[e, 0], edges[e, 3] - edges[e, 1]
        vx, vy = x - edges[e, 0], y - edges[e, 1]
        length2 = ux * ux + uy * uy
        along = min(1.0, max(0.0, (ux * vx + uy * vy) / length2)) if length2 > 0.0 else 0.0
        gap_x, gap_y = vx - along * ux, vy - along * uy
        if length2 > 0.0 and gap_x * gap_x + gap_y * gap_y <= reach * reach:
            near[found] = e
            found += 1
    return found


@compiled
def _interpolate(table: FloatArray, per_step: float, dx: float, dy: float) -> float:
    """Share of the window that a displacement leaves, from nodes by distance and direction."""
    if dy < 0.0:
        dx, dy = -dx, -dy
    u = math.sqrt(dx * dx + dy * dy) * per_step
    v = math.atan2(dy, dx) * (table.shape[1] - 1) / math.pi
    i = min(int(u), table.shape[0] - 2)
    j = min(max(int(v), 0), table.shape[1] - 2)
    u -= i
    v -= j
    low = table[i, j] + v * (table[i, j + 1] - table[i, j])
    high = table[i + 1, j] + v * (table[i + 1, j + 1] - table[i + 1, j])
    found: float = low + u * (high - low)
    return found


@compiled
def _weigh(
    grid: PointGrid,
    rule: _Rule,
    i: int,
    found: int,
    squares: FloatArray,
    close: IntArray,
    weights: FloatArray,
    near: IntArray,
    n_near: int,
) -> None:
    """Fill in the edge weights of one point's pairs; plain loops run several at once."""
    x, y, depth = grid.x[i], grid.y[i], grid.depth[i]
    for k in range(found):
        weights[k] = 1.0 if close[k] != i else 0.0
    if rule.kind == _TABLE:
        for k in range(found):
            j = close[k]
            share = _interpolate(rule.table, rule.per_step, grid.x[j] - x, grid.y[j] - y)
            weights[k] = 1.0 / share if share > 0.0 else 0.0
    elif rule.kind == _CIRCLE_IN_RECTANGLE or rule.kind == _CIRCLE_IN_POLYGON:
        for k in range(found):
            if squares[k] > depth * depth:
                d = math.sqrt(squares[k])
                if rule.kind == _CIRCLE_IN_RECTANGLE:
                    share = _fraction_in_rectangle(x, y, d, rule)
                else:
                    share = _fraction_in_polygon(x, y, d, rule.edges, near, n_near)
                weights[k] = min(_LARGEST_WEIGHT, 1.0 / share)


@compiled
def _sum_pairs(
    grid: PointGrid, rule: _Rule, bins: _Bins, n_types: int, n_from: int, weighted: int
) -> FloatArray:
    """Histogram of pair weights, (from, to, radius); a last column is a waste bin."""
    xs, ys, codes, factors = grid.x, grid.y, grid.code, grid.weight
    start, rows, columns, reach = grid.start, grid.rows, grid.columns, grid.reach
    limits, first_bin, per_step = bins.limits, bins.first, bins.per_step
    n_r = limits.size
    limit = limits[n_r - 1]
    largest = math.sqrt(limit) * (1.0 + 1e-9)
    sums = np.zeros((n_types, n_types, n_r + 1))
    ordered = rule.kind >= _CIRCLE_IN_RECTANGLE
    width, height = rule.right - rule.left, rule.top - rule.bottom
    area = width * height
    squares, weights = np.empty(_BUFFER), np.empty(_BUFFER)
    close, places = np.empty(_BUFFER, dtype=np.int64), np.empty(_BUFFER, dtype=np.int64)
    near = np.empty(rule.edges.shape[0], dtype=np.int64)
    for row in range(rows):
        for column in range(columns):
            cell = row * columns + column
            low = max(column - reach, 0)
            high = min(column + reach, columns - 1)
            bottom = max(row - reach, 0) if ordered else row
            top = min(row + reach, rows - 1)
            for i in range(start[cell], start[cell + 1]):
                if ordered and codes[i] >= n_from:
                    continue
                x, y, last = xs[i], ys[i], grid.last[i]
                own = sums[codes[i]]
                n_near = 0
                if rule.kind == _CIRCLE_IN_POLYGON and grid.depth[i] < largest:
                    n_near = _near_edges(x, y, largest, rule.edges, near)
                for other in range(bottom, top + 1):
                    first = start[other * columns + low]
                    if other == row and not ordered:
                        first = i + 1
                    end = start[other * columns + high + 1]
                    while first < end:
                        stop = min(end, first + _BUFFER)
                        found = 0
                        for j in range(first, stop):  # no branch: several at once
                            dx, dy = xs[j] - x, ys[j] - y
                            square = dx * dx + dy * dy
                            squares[found] = square
                            close[found] = j
                            found += square <= limit
                        first = stop
                        if rule.kind == _PLAIN:
                            for k in range(found):
                                weights[k] = 1.0
                        elif rule.kind == _RECTANGLE:
                            for k in range(found):
                                dx, dy = xs[close[k]] - x, ys[close[k]] - y
                                weights[k] = area / ((width - abs(dx)) * (height - abs(dy)))
                        else:
                            _weigh(grid, rule, i, found, squares, close, weights, near, n_near)
                        if weighted:
                            for k in range(found):
                                weights[k] *= factors[i] * factors[close[k]]
                        for k in range(found):
                            radius = first_bin[int(squares[k] * per_step)]
                            while squares[k] > limits[radius]:
                                radius += 1
                            places[k] = radius
                        if rule.kind == _BORDER:
                            # A pair counts from its distance on, up to its first point's depth.
                            for k in range(found):
                                if close[k] != i and places[k] < last:
                                    own[codes[close[k]], places[k]] += weights[k]
                                    own[codes[close[k]], last] -= weights[k]
                        else:
                            for k in range(found):
                                own[codes[close[k]], places[k]] += weights[k]
    if not ordered:
        for a in range(n_types):
            for b in range(a + 1):
                for k in range(n_r):
                    both = sums[a, b, k] + sums[b, a, k]
                    sums[a, b, k] = both
                    sums[b, a, k] = both
    return sums
