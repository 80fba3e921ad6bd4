"""Distance to the nearest of many segments."""

from __future__ import annotations

import numpy as np
import shapely

from times_stats.regions.segment_distance import nearest_segment_distance


def test_is_that_of_geos_for_any_segments():
    rng = np.random.default_rng(1)
    for n in (1, 15, 16, 17, 300):
        starts = rng.uniform(-100, 100, (n, 2))
        segments = np.hstack([starts, starts + rng.normal(0, 10, (n, 2))])
        points = rng.uniform(-150, 150, (500, 2))
        lines = shapely.MultiLineString(list(segments.reshape(n, 2, 2)))
        expected = shapely.distance(shapely.points(points), lines)
        np.testing.assert_allclose(nearest_segment_distance(segments, points), expected, atol=1e-9)


def test_a_segment_without_length_is_a_point():
    segments = np.array([[1.0, 1.0, 1.0, 1.0]])
    points = np.array([[1.0, 1.0], [4.0, 5.0]])
    np.testing.assert_array_equal(nearest_segment_distance(segments, points), [0.0, 5.0])


def test_no_point_no_distance():
    assert nearest_segment_distance(np.zeros((3, 4)), np.empty((0, 2))).shape == (0,)
