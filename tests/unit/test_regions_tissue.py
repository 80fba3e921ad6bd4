"""Windows from cells: closing of the cells, rectangle around them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from times_stats.errors import InputError
from times_stats.regions.tissue import _closing, bounding_rectangle, tissue_window


def scatter(n=2000, side=600.0, seed=1):
    return np.random.default_rng(seed).uniform(0, side, (n, 2))


def test_rectangle_touches_the_outermost_cells():
    cells = scatter()
    window = bounding_rectangle(cells)
    assert window.is_rectangle
    assert window.bounds == (*cells.min(axis=0), *cells.max(axis=0))
    assert window.contains(cells).all()
    assert bounding_rectangle([(5, 5)], margin=2).area == 16


@pytest.mark.parametrize(
    ("points", "margin", "message"),
    [
        ([], 0, "points hold no cell: draw the window"),
        ([(1, 1), (1, 5)], 0, "points lie on one line along an axis: give a margin"),
        ([(1, 1), (2, 5)], -1, "margin is -1: give micrometres from 0 on"),
        ([(1, 1), (2, 5)], np.nan, "margin is nan: give micrometres from 0 on"),
        ([(1, np.inf)], 0, "points are missing or infinite in row 0"),
    ],
)
def test_no_rectangle_from_such_cells(points, margin, message):
    with pytest.raises(InputError, match=message):
        bounding_rectangle(points, margin=margin)


def test_window_is_the_closing_of_the_cells():
    """Against exact discs: outlines half a pixel apart on average, a tenth of a spacing."""
    cells = scatter(400)
    cells = cells[np.hypot(*(cells - 300).T) > 130]
    spacing = 600 / np.sqrt(400)
    found = tissue_window(cells, radius=45)
    discs = shapely.union_all(shapely.buffer(shapely.points(cells), 45, quad_segs=64))
    exact = discs.buffer(-45 + spacing / 2, quad_segs=64)
    assert exact.symmetric_difference(found.geometry).area < 0.1 * spacing * exact.length
    assert abs(exact.area - found.area) < 0.1 * spacing * exact.length
    assert shapely.hausdorff_distance(exact.boundary, found.geometry.boundary) < spacing


def test_gaps_wider_than_two_radii_stay_open():
    cells = scatter(3000)
    spacing = 600 / np.sqrt(3000)
    apart = np.hypot(*(cells - 300).T)
    holed = tissue_window(cells[apart > 70])
    assert not holed.contains([(300, 300)])[0]
    assert np.pi * 60**2 < 600**2 - holed.area + 4 * 600 * spacing
    small = tissue_window(cells[apart > spacing])
    assert small.contains([(300, 300)])[0]
    assert tissue_window(cells[apart > 70], radius=90).contains([(300, 300)])[0]


def test_area_of_a_field_of_view_without_holes():
    for n in (300, 3000):
        assert tissue_window(scatter(n)).area == pytest.approx(600**2, rel=0.08)


def test_groups_apart_are_parts_of_one_window():
    cells = np.vstack([scatter(500, 200), scatter(500, 200) + 1000])
    window = tissue_window(cells)
    assert len(shapely.get_parts(window.geometry)) == 2
    assert window.contains(cells).all()


ODD = {
    "two cells": [(0, 0), (10, 0)],
    "line": np.column_stack([np.arange(50.0), np.zeros(50)]),
    "repeated": np.repeat(scatter(20), 3, axis=0),
    "clump and stray": np.vstack([scatter(200, 0.1), [[5000.0, 5000.0]]]),
    "far from the origin": scatter(100) + 1e6,
}


@pytest.mark.parametrize("cells", ODD.values(), ids=ODD.keys())
def test_every_odd_cell_lies_inside(cells):
    window = tissue_window(cells)
    assert window.contains(cells).all()
    assert window.geometry.is_valid


def test_cells_that_a_coarse_raster_misses_get_a_disc():
    cells = scatter(60, 100)
    area = _closing(cells, rho=6.0, margin=0.5, pixel=4.0)
    assert shapely.intersects_xy(area, *cells.T).all()


def test_a_single_place_needs_a_radius():
    for cells in ([(3, 4)], [(3, 4)] * 40):
        with pytest.raises(InputError, match="most points have one position: give a radius"):
            tissue_window(cells)
        window = tissue_window(cells, radius=10)
        assert window.contains(cells).all()
        assert window.area < np.pi * 100


@pytest.mark.parametrize(
    ("cells", "radius", "message"),
    [
        ([], None, "points hold no cell: draw the window"),
        (scatter(50), 0, "radius is 0: give micrometres above 0"),
        (scatter(50), np.inf, "radius is inf: give micrometres above 0"),
        (scatter(50), 0.1, "radius is 0.1 and the cells extend over .* um: give at least 0.8"),
    ],
)
def test_no_window_from_such_options(cells, radius, message):
    with pytest.raises(InputError, match=message):
        tissue_window(cells, radius=radius)
