"""The boundary estimated from tumour cells, and the signed distance to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely

from times_stats.errors import InputError
from times_stats.regions.boundary import (
    ALL_TUMOUR,
    EVEN,
    NO_TUMOUR_CELL,
    NOT_INSIDE,
    TOO_FEW,
    TumourBoundary,
    signed_distance,
    tumour_boundary,
)
from times_stats.regions.given_boundary import boundary_from_annotation
from times_stats.regions.window import Window

SIDE = 1000.0
WINDOW = Window.rectangle(x=(0, SIDE), y=(0, SIDE))


def draw(area, *, density, purity, seed, outside=1.0, contamination=0.02, window=WINDOW):
    """Poisson cells; `outside` is the density outside the tumour, relative, at most 1."""
    rng = np.random.default_rng(seed)
    x0, y0, x1, y1 = window.bounds
    n = rng.poisson(density * 1e-6 * (x1 - x0) * (y1 - y0))
    cells = np.column_stack([rng.uniform(x0, x1, n), rng.uniform(y0, y1, n)])
    inside = shapely.intersects_xy(area, cells[:, 0], cells[:, 1])
    kept = window.contains(cells) & (rng.random(n) < np.where(inside, 1.0, outside))
    cells, inside = cells[kept], inside[kept]
    return cells, rng.random(len(cells)) < np.where(inside, purity, contamination)


def draw_nest(seed, *, radius=250.0):
    rng = np.random.default_rng([seed, 5])
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    reach = radius * (1 + 0.1 * np.cos(3 * angle + rng.uniform(0, 6)))
    reach *= 1 + 0.06 * np.cos(5 * angle + rng.uniform(0, 6))
    centre = rng.uniform(0.35 * SIDE, 0.65 * SIDE, 2)
    return shapely.Polygon(
        centre + np.column_stack([np.cos(angle), np.sin(angle)]) * reach[:, None]
    )


def draw_front(seed):
    phase = np.random.default_rng([seed, 6]).uniform(0, 6)
    x = np.linspace(-20, SIDE + 20, 400)
    y = 480 + 70 * np.sin(x / 160 + phase) + 20 * np.cos(x / 60)
    return shapely.Polygon([*np.column_stack([x, y]), (SIDE + 20, -20), (-20, -20)])


def inner_outline(area, window=WINDOW):
    return area.boundary.intersection(window.geometry.buffer(-1e-6))


def mean_error(lines, truth):
    errors = []
    for line, other in ((lines, truth), (truth, lines)):
        steps = np.arange(0, line.length, 3.0)
        if line.geom_type == "MultiLineString":
            points = [part.segmentize(3.0) for part in line.geoms]
            vertices = shapely.points(np.concatenate([shapely.get_coordinates(p) for p in points]))
        else:
            vertices = shapely.line_interpolate_point(line, steps)
        errors.append(shapely.distance(vertices, other).mean())
    return float(np.mean(errors))


@pytest.mark.parametrize("purity", [0.6, 0.75, 0.85, 0.95])
@pytest.mark.parametrize("density", [1000, 3000, 10000])
def test_mean_error_stays_under_one_cell_spacing(purity, density):
    errors = []
    for seed, area in ((1, draw_nest(1)), (2, draw_front(2))):
        cells, is_tumour = draw(area, density=density, purity=purity, seed=[seed, density])
        found = tumour_boundary(cells, is_tumour, window=WINDOW)
        assert found.reason == ""
        errors.append(mean_error(found.lines, inner_outline(area)))
    assert np.mean(errors) < 1000 / math.sqrt(density)


@pytest.mark.parametrize("outside", [0.3, 1.0])
def test_error_stays_small_where_the_surroundings_are_sparser(outside):
    """Weights by area: the plain fraction is off by more than a spacing here."""
    area = draw_front(3)
    cells, is_tumour = draw(area, density=10000, purity=0.85, seed=3, outside=outside)
    found = tumour_boundary(cells, is_tumour, window=WINDOW)
    assert mean_error(found.lines, inner_outline(area)) < 0.7 * 10


def test_level_follows_the_purity_of_the_nest():
    area = draw_nest(4)
    levels = {}
    for purity in (0.6, 0.95):
        cells, is_tumour = draw(area, density=3000, purity=purity, seed=4)
        found = tumour_boundary(cells, is_tumour, window=WINDOW)
        levels[purity] = found.level
        assert abs(found.fraction_inside - purity) < 0.05
        assert found.fraction_outside < 0.06
        if purity == 0.6:
            truth = inner_outline(area)
            halfway = tumour_boundary(cells, is_tumour, window=WINDOW, level=0.5)
            assert mean_error(found.lines, truth) < 0.5 * mean_error(halfway.lines, truth)
    assert abs(levels[0.6] - 0.31) < 0.05
    assert abs(levels[0.95] - 0.485) < 0.05


def test_options_that_are_given_are_used():
    cells, is_tumour = draw(draw_front(1), density=2000, purity=0.9, seed=1)
    found = tumour_boundary(cells, is_tumour, window=WINDOW, bandwidth=40, level=0.4, resolution=8)
    assert (found.bandwidth, found.level) == (40.0, 0.4)
    fine = tumour_boundary(cells, is_tumour, window=WINDOW, bandwidth=40, level=0.4, resolution=4)
    assert len(fine.segments) > 1.5 * len(found.segments)
    assert mean_error(fine.lines, found.lines) < 1.0


def test_lines_leave_out_the_frame():
    area = shapely.box(0, 0, 500, SIDE)
    cells, is_tumour = draw(area, density=3000, purity=0.9, seed=7)
    found = tumour_boundary(cells, is_tumour, window=WINDOW)
    assert 900 < found.lines.length < 1300
    assert found.tumour.length > 2800
    middle = shapely.line_interpolate_point(
        found.lines.geoms[0], np.linspace(0.02, 0.98, 50), normalized=True
    )
    assert WINDOW.boundary_distance(shapely.get_coordinates(middle)).min() > 5


def test_any_window_will_do_and_nothing_is_found_beyond_it():
    window = Window.polygon(
        [(0, 0), (SIDE, 0), (SIDE, 400), (600, 400), (600, SIDE), (0, SIDE)],
        holes=[[(200, 200), (300, 200), (300, 300), (200, 300)]],
    )
    area = shapely.box(0, 0, 350, SIDE)
    cells, is_tumour = draw(area, density=3000, purity=0.9, seed=8, window=window)
    found = tumour_boundary(cells, is_tumour, window=window)
    assert shapely.difference(found.tumour, window.geometry).area < 1e-6
    truth = shapely.LineString([(350, 0), (350, SIDE)])
    assert mean_error(found.lines, truth) < 18
    assert shapely.distance(found.lines, shapely.box(199, 199, 301, 301)) > 20


def test_empty_places_are_not_tumour():
    """The ratio of two kernel sums that are next to nothing says nothing."""
    cells, is_tumour = draw(shapely.box(0, 0, 500, SIDE), density=3000, purity=0.9, seed=9)
    empty = shapely.box(620, 300, 900, 700)
    kept = ~shapely.intersects_xy(empty.union(shapely.box(0, 800, 400, SIDE)), *cells.T)
    stray = np.array([[760.0, 500.0]])
    found = tumour_boundary(
        np.vstack([cells[kept], stray]), np.append(is_tumour[kept], True), window=WINDOW
    )
    assert found.reason == ""
    assert found.tumour.intersection(empty).area == 0
    # Beyond the tissue the tumour ends within three bandwidths, though all cells near are tumour.
    beyond = found.tumour.intersection(shapely.box(0, 800, 400, SIDE))
    assert beyond.area < 400 * 3 * found.bandwidth


def test_specks_are_dropped_on_both_sides():
    cells, is_tumour = draw(shapely.box(0, 0, 500, SIDE), density=3000, purity=0.95, seed=10)
    for x, label in ((800.0, True), (200.0, False)):
        near = np.hypot(cells[:, 0] - x, cells[:, 1] - 500) < 32
        assert near.sum() > 3
        is_tumour[near] = label
    clean = tumour_boundary(cells, is_tumour, window=WINDOW, bandwidth=15)
    assert len(clean.tumour.geoms) == 1
    assert not clean.tumour.geoms[0].interiors
    rough = tumour_boundary(cells, is_tumour, window=WINDOW, bandwidth=15, min_area=0)
    assert len(rough.tumour.geoms) > 1
    assert any(part.interiors for part in rough.tumour.geoms)
    huge = tumour_boundary(cells, is_tumour, window=WINDOW, bandwidth=15, min_area=9e5)
    assert huge.reason == NOT_INSIDE


@pytest.mark.parametrize(
    ("is_tumour", "reason", "share"),
    [
        (np.zeros(400, bool), NO_TUMOUR_CELL, 0),
        (np.ones(400, bool), ALL_TUMOUR, 1),
        (np.arange(400) % 3 == 0, EVEN, 0),
        (np.arange(400) % 3 > 0, EVEN, 1),
    ],
)
def test_reason_where_there_is_no_boundary(is_tumour, reason, share):
    cells = np.random.default_rng(11).uniform(0, SIDE, (400, 2))
    found = tumour_boundary(cells, is_tumour, window=WINDOW)
    assert found.reason == reason
    assert found.lines.is_empty
    assert found.segments.shape == (0, 4)
    assert found.tumour.area == share * WINDOW.area
    fractions = [found.fraction_outside, found.fraction_inside]
    assert math.isnan(fractions[1 - share])
    assert fractions[share] == is_tumour.mean()
    assert np.isnan(signed_distance(cells, found)).all()
    assert repr(found) == f"<TumourBoundary: {reason}, {share:.0%} of the window is tumour>"


def test_few_cells_and_none_have_a_reason():
    for cells in (np.empty((0, 2)), np.full((9, 2), 5.0)):
        found = tumour_boundary(cells, np.ones(len(cells), bool), window=WINDOW)
        assert (found.reason, found.n_cells) == (TOO_FEW, len(cells))
        assert found.tumour.is_empty
    assert TOO_FEW == "fewer than 10 cells"


def test_level_that_is_never_reached_is_no_boundary():
    cells = np.random.default_rng(12).uniform(0, SIDE, (900, 2))
    is_tumour = np.random.default_rng(13).random(900) < 0.5
    high = tumour_boundary(cells, is_tumour, window=WINDOW, level=0.99, bandwidth=100)
    assert (high.reason, high.tumour.area) == (NOT_INSIDE, 0)
    low = tumour_boundary(cells, is_tumour, window=WINDOW, level=0.01, bandwidth=100)
    assert (low.reason, low.tumour.area) == (NOT_INSIDE, pytest.approx(WINDOW.area))


def test_cells_outside_the_window_are_left_out_and_counted():
    cells, is_tumour = draw(draw_front(1), density=2000, purity=0.9, seed=1)
    found = tumour_boundary(cells, is_tumour, window=WINDOW)
    strays = np.array([[-5.0, 10.0], [500.0, 5000.0]])
    more = tumour_boundary(
        np.vstack([cells, strays]), np.append(is_tumour, [True, False]), window=WINDOW
    )
    assert (found.n_ignored, more.n_ignored) == (0, 2)
    assert more.n_cells == found.n_cells == len(cells)
    assert more.tumour.equals(found.tumour)


LINE = np.column_stack([np.linspace(1, 999, 300), np.full(300, 500.0)])
TWICE = np.repeat(np.random.default_rng(14).uniform(0, SIDE, (30, 2)), 10, axis=0)
CLUMP = np.vstack([np.random.default_rng(15).normal(500, 1.0, (299, 2)), [[400.0, 400.0]]])


@pytest.mark.parametrize("bandwidth", [None, 0.01, 1e5])
@pytest.mark.parametrize(
    "cells",
    [np.full((300, 2), 500.0), LINE, TWICE, CLUMP, LINE[:, ::-1], TWICE[:10]],
    ids=["one place", "line", "repeated", "clump", "upright line", "one place, ten cells"],
)
def test_odd_cells_give_a_boundary_or_a_reason(cells, bandwidth):
    is_tumour = cells[:, 0] + cells[:, 1] + np.arange(len(cells)) * 1e-6 < np.median(cells.sum(1))
    if not is_tumour.any():
        is_tumour[: len(is_tumour) // 2] = True
    found = tumour_boundary(cells, is_tumour, window=WINDOW, bandwidth=bandwidth)
    assert isinstance(found, TumourBoundary)
    distances = signed_distance(cells, found)
    assert np.isnan(distances).all() if found.reason else np.isfinite(distances).all()
    assert found.tumour.is_valid


def test_line_of_cells_is_divided_where_the_tumour_ends():
    found = tumour_boundary(LINE, LINE[:, 0] < 400, window=WINDOW, bandwidth=10)
    crossing = signed_distance([(300, 500), (500, 500)], found)
    assert crossing[0] < 0 < crossing[1]


def test_window_smaller_than_the_bandwidth():
    small = Window.rectangle(x=(0, 10), y=(0, 10))
    cells = np.random.default_rng(16).uniform(0, 10, (60, 2))
    found = tumour_boundary(cells, cells[:, 0] < 5, window=small, bandwidth=50, level=0.3)
    assert found.reason in ("", NOT_INSIDE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth": 0}, "bandwidth is 0: give micrometres above 0"),
        ({"bandwidth": np.nan}, "bandwidth is nan: give micrometres above 0"),
        ({"resolution": -1}, "resolution is -1: give micrometres above 0"),
        ({"resolution": 0.01}, "resolution is 0.01: the window would be more than 4096 pixels"),
        ({"level": 0}, "level is 0: give a fraction above 0 and below 1"),
        ({"level": 1.2, "min_area": -1}, r"level is 1.2: .*; min_area is -1: give square micro"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(InputError, match=message):
        tumour_boundary(np.zeros((20, 2)), np.ones(20), window=WINDOW, **options)


@pytest.mark.parametrize(
    ("is_tumour", "message"),
    [
        (["CK+", "CK-", "CK+"], "is_tumour is not true or false: give one boolean per cell"),
        ([1, 0], r"is_tumour has shape \(2,\) and points 3 rows: give one of each per cell"),
        ([1, np.nan, 2], r"is_tumour is not true or false in row 1, 2: leave out cells whose type"),
        ([], r"is_tumour has shape \(0,\) and points 3 rows"),
    ],
)
def test_labels_that_are_no_flags_are_named(is_tumour, message):
    with pytest.raises(InputError, match=message):
        tumour_boundary(np.zeros((3, 2)), is_tumour, window=WINDOW)


def test_points_that_are_not_finite_are_named():
    with pytest.raises(InputError, match="points are missing or infinite in row 1"):
        tumour_boundary([(0, 0), (np.nan, 1)], [1, 0], window=WINDOW)


def test_signed_distance_is_exact():
    area = draw_nest(17)
    found = boundary_from_annotation(Window.from_geometry(area), window=WINDOW)
    points = np.random.default_rng(17).uniform(0, SIDE, (4000, 2))
    distances = signed_distance(points, found)
    expected = shapely.distance(shapely.points(points), area.boundary)
    inside = shapely.contains_xy(area, *points.T)
    np.testing.assert_allclose(distances, np.where(inside, -expected, expected), atol=1e-6)


def test_signed_distance_is_to_the_lines_only_and_missing_outside():
    found = boundary_from_annotation(Window.rectangle(x=(0, 300), y=(0, SIDE)), window=WINDOW)
    points = [(1, 500), (300, 500), (999, 500), (1001, 500)]
    np.testing.assert_allclose(signed_distance(points, found), [-299, 0, 699, np.nan])
    assert signed_distance([], found).shape == (0,)
    assert not np.signbit(signed_distance([(300, 500)], found))[0]


def test_signed_distance_refuses_what_is_no_point():
    found = boundary_from_annotation(Window.rectangle(x=(0, 300), y=(0, SIDE)), window=WINDOW)
    with pytest.raises(InputError, match="points have shape"):
        signed_distance([1, 2, 3], found)
