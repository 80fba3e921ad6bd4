"""Outlines of fields, specks, and stretches along a frame."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from times_stats.regions.contours import (
    large_parts,
    polygons_above,
    visible_lines,
    without_specks,
)

AXIS = np.arange(-60.0, 61.0)
RADIUS = np.hypot(*np.meshgrid(AXIS, AXIS))


def test_disc_and_ring_have_their_area():
    disc = polygons_above(-RADIUS, x=AXIS, y=AXIS, level=-40.0)
    assert disc.area == pytest.approx(np.pi * 1600, rel=1e-3)
    ring = polygons_above(-np.abs(RADIUS - 30), x=AXIS, y=AXIS, level=-10.0)
    assert ring.area == pytest.approx(np.pi * (1600 - 400), rel=1e-3)
    assert len(ring.geoms[0].interiors) == 1


def test_nothing_and_everything():
    assert polygons_above(-RADIUS, x=AXIS, y=AXIS, level=1.0).is_empty
    assert polygons_above(-RADIUS, x=AXIS, y=AXIS, level=-999.0).area == 120**2


def test_saddles_give_valid_polygons():
    field = np.random.default_rng(1).integers(0, 3, (40, 40)).astype(float)
    found = polygons_above(field, x=np.arange(40.0), y=np.arange(40.0), level=1.0)
    assert found.is_valid
    assert found.area > 0


def test_large_parts_drop_points_and_lines():
    mixed = shapely.GeometryCollection(
        [shapely.box(0, 0, 2, 2), shapely.Point(9, 9), shapely.LineString([(0, 5), (5, 5)])]
    )
    assert large_parts(mixed, min_area=0.0).equals(shapely.box(0, 0, 2, 2))
    assert large_parts(mixed, min_area=5.0).is_empty


def test_specks_of_both_kinds_go_and_large_ones_stay():
    whole = shapely.box(0, 0, 100, 100)
    area = (
        shapely.box(-10, -10, 50, 110) - shapely.box(10, 10, 13, 13) - shapely.box(20, 40, 40, 60)
    )
    area = area | shapely.box(80, 80, 82, 82) - shapely.box(48, 98, 110, 110)
    found = without_specks(area, whole, min_area=20.0)
    assert found.equals(shapely.box(0, 0, 50, 100) - shapely.box(20, 40, 40, 60))


def test_visible_lines_leave_out_what_runs_along_the_frame():
    whole = shapely.box(0, 0, 100, 100) - shapely.box(40, 40, 60, 60)
    area = shapely.intersection(whole, shapely.box(-5, -5, 50, 200))
    found = visible_lines(area, whole)
    assert found.length == pytest.approx(80, abs=1e-4)
    assert {line.bounds[0] for line in found.geoms} == {50.0}
    assert visible_lines(whole, whole).is_empty
    assert visible_lines(shapely.MultiPolygon(), whole).is_empty
