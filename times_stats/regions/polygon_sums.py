"""Exact sums over the edges of a polygon with holes: overlap with its translates.

Every edge has the interior on its left. Then the indicator of the polygon is a signed sum over its
edges of the strips below them, and integrals over the polygon are sums over edges or pairs of
edges; holes and parts need no case of their own.
"""

from __future__ import annotations

import numpy as np

from times_stats._compiled import compiled
from times_stats._typing import FloatArray


@compiled
def overlap_areas(edges: FloatArray, dx: FloatArray, dy: FloatArray) -> FloatArray:
    """Areas that a polygon and its translates share.

    Parameters
    ----------
    edges : ndarray of shape (n_edges, 4)
        ``x1, y1, x2, y2`` of each edge, interior on the left.
    dx, dy : ndarray of shape (n,)
        Translations.

    Returns
    -------
    ndarray of shape (n,)
    """
    n_edges = edges.shape[0]
    left = np.empty(n_edges)
    right = np.empty(n_edges)
    sign = np.empty(n_edges)
    slope = np.empty(n_edges)
    height = np.empty(n_edges)  # y of the line at x = origin
    origin_x, origin_y = edges[0, 0], edges[0, 1]
    for e in range(n_edges):
        origin_x = min(origin_x, edges[e, 0])
        origin_y = min(origin_y, edges[e, 1])
    used = 0
    for e in range(n_edges):
        x1, y1 = edges[e, 0] - origin_x, edges[e, 1] - origin_y
        x2, y2 = edges[e, 2] - origin_x, edges[e, 3] - origin_y
        if x1 == x2:
            continue
        left[used], right[used] = min(x1, x2), max(x1, x2)
        sign[used] = 1.0 if x2 < x1 else -1.0
        slope[used] = (y2 - y1) / (x2 - x1)
        height[used] = y1 - slope[used] * x1
        used += 1
    order = np.argsort(left[:used])
    left, right, sign = left[order], right[order], sign[order]
    slope, height = slope[order], height[order]
    # The widest edge tells how far back edges can begin that still reach over a given x.
    widest = (right - left).max()
    areas = np.empty(dx.size)
    for k in range(dx.size):
        # The polygon below keeps its place; both are measured from the lower of the two floors.
        lift = max(0.0, -dy[k])
        shift, rise = dx[k], dy[k] + lift
        total = 0.0
        first = 0
        for e in range(used):
            lowest = left[e] - shift - widest
            while first < used and left[first] < lowest:
                first += 1
            for f in range(first, used):
                if left[f] + shift >= right[e]:
                    break
                a = max(left[e], left[f] + shift)
                b = min(right[e], right[f] + shift)
                if b <= a:
                    continue
                ya = slope[e] * a + height[e] + lift
                yb = slope[e] * b + height[e] + lift
                za = slope[f] * (a - shift) + height[f] + rise
                zb = slope[f] * (b - shift) + height[f] + rise
                lower_a, lower_b = min(ya, za), min(yb, zb)
                area = 0.5 * (lower_a + lower_b) * (b - a)
                if (ya - za) * (yb - zb) < 0.0:
                    # The lines cross: the lower envelope has a bend above the chord.
                    share = (ya - za) / ((ya - za) - (yb - zb))
                    bend = ya + share * (yb - ya)
                    chord = lower_a + share * (lower_b - lower_a)
                    area += 0.5 * (bend - chord) * (b - a)
                total += sign[e] * sign[f] * area
        areas[k] = max(total, 0.0)
    return areas
