"""Exact distance from points to the nearest of many line segments."""

from __future__ import annotations

import math

import numpy as np

from times_stats._compiled import compiled
from times_stats._typing import FloatArray

_BLOCK = 16


@compiled
def nearest_segment_distance(segments: FloatArray, points: FloatArray) -> FloatArray:
    """Distance of each point to the nearest segment.

    Consecutive segments of a line lie close together: blocks of 16 are boxed, and a block whose
    box is farther than the best distance so far is passed over. The result is exact.

    Parameters
    ----------
    segments : ndarray of shape (n_segments, 4)
        ``x1, y1, x2, y2`` of each segment, in the order of the lines; at least one.
    points : ndarray of shape (n, 2)

    Returns
    -------
    ndarray of shape (n,)
    """
    n_segments = segments.shape[0]
    n_blocks = (n_segments + _BLOCK - 1) // _BLOCK
    boxes = np.empty((n_blocks, 4))
    for b in range(n_blocks):
        boxes[b, 0], boxes[b, 1], boxes[b, 2], boxes[b, 3] = np.inf, np.inf, -np.inf, -np.inf
        for s in range(b * _BLOCK, min(n_segments, (b + 1) * _BLOCK)):
            boxes[b, 0] = min(boxes[b, 0], segments[s, 0], segments[s, 2])
            boxes[b, 1] = min(boxes[b, 1], segments[s, 1], segments[s, 3])
            boxes[b, 2] = max(boxes[b, 2], segments[s, 0], segments[s, 2])
            boxes[b, 3] = max(boxes[b, 3], segments[s, 1], segments[s, 3])
    distances = np.empty(points.shape[0])
    bounds = np.empty(n_blocks)
    for i in range(points.shape[0]):
        x, y = points[i, 0], points[i, 1]
        first = 0
        for b in range(n_blocks):
            gap_x = max(boxes[b, 0] - x, x - boxes[b, 2], 0.0)
            gap_y = max(boxes[b, 1] - y, y - boxes[b, 3], 0.0)
            bounds[b] = gap_x * gap_x + gap_y * gap_y
            if bounds[b] < bounds[first]:
                first = b
        best = _nearest_in_block(segments, first, x, y)
        for b in range(n_blocks):
            if bounds[b] < best and b != first:
                best = min(best, _nearest_in_block(segments, b, x, y))
        distances[i] = math.sqrt(best)
    return distances


@compiled
def _nearest_in_block(segments: FloatArray, block: int, x: float, y: float) -> float:
    best = np.inf
    for s in range(block * _BLOCK, min(segments.shape[0], (block + 1) * _BLOCK)):
        ux, uy = segments[s, 2] - segments[s, 0], segments[s, 3] - segments[s, 1]
        vx, vy = x - segments[s, 0], y - segments[s, 1]
        squared = ux * ux + uy * uy
        along = (ux * vx + uy * vy) / squared if squared > 0.0 else 0.0
        along = min(1.0, max(0.0, along))
        gap_x, gap_y = vx - along * ux, vy - along * uy
        best = min(best, gap_x * gap_x + gap_y * gap_y)
    return best
