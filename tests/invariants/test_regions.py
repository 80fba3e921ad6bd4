"""Properties of boundaries, compartments and windows over random tissue."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from times_stats.regions.boundary import signed_distance, tumour_boundary
from times_stats.regions.compartments import (
    Compartments,
    assign_compartments,
    compartment_windows,
    distance_bands,
    is_certain,
)
from times_stats.regions.given_boundary import boundary_from_annotation
from times_stats.regions.tissue import tissue_window
from times_stats.regions.window import Window

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10_000)
SIDE = 600.0


def tissue(seed, n=900):
    rng = np.random.default_rng(seed)
    cells = rng.uniform(0, SIDE, (n, 2))
    angle, shift = rng.uniform(0, 6), rng.uniform(-100, 100)
    along = (cells - SIDE / 2) @ [np.cos(angle), np.sin(angle)]
    across = (cells - SIDE / 2) @ [-np.sin(angle), np.cos(angle)]
    inside = along + 40 * np.sin(across / 70) < shift
    return cells, rng.random(n) < np.where(inside, 0.85, 0.03)


def square(offset=(0.0, 0.0), scale=1.0):
    x, y = offset
    return Window.rectangle(x=(x, x + scale * SIDE), y=(y, y + scale * SIDE))


def draw_nest(seed, centre, radius):
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    reach = np.ones_like(angle)
    for wave in (2, 3, 5):
        reach += rng.uniform(0, 0.5 / wave) * np.cos(wave * angle + rng.uniform(0, 6))
    ring = centre + radius * np.column_stack([np.cos(angle), np.sin(angle)]) * reach[:, None]
    return shapely.Polygon(ring)


@SETTINGS
@given(SEEDS, st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0.1, 10))
def test_boundary_moves_and_grows_with_the_cells(seed, x, y, scale):
    cells, is_tumour = tissue(seed)
    found = tumour_boundary(cells, is_tumour, window=square())
    moved = tumour_boundary(
        cells * scale + [x, y], is_tumour, window=square((x, y), scale), resolution=None
    )
    assert moved.reason == found.reason
    np.testing.assert_allclose(moved.bandwidth, scale * found.bandwidth, rtol=1e-3)
    expected = signed_distance(cells, found)
    np.testing.assert_allclose(
        signed_distance(cells * scale + [x, y], moved) / scale, expected, atol=3.0
    )


SIDES = {
    "order": np.eye(2),
    "mirrored in x": np.diag([-1.0, 1.0]),
    "mirrored in y": np.diag([1.0, -1.0]),
    "axes swapped": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "turned by 90 degrees": np.array([[0.0, 1.0], [-1.0, 0.0]]),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("window", ["square", "tissue"])
@SETTINGS
@given(seed=SEEDS)
def test_seen_from_another_side_the_boundary_is_the_same(side, window, seed):
    cells, is_tumour = tissue(seed)
    order = np.random.default_rng(seed).permutation(len(cells))
    turned = cells @ SIDES[side]
    if window == "square":
        x, y = np.sort([[0.0, 0.0], np.array([SIDE, SIDE]) @ SIDES[side]], axis=0).T
        frames = square(), Window.rectangle(x=tuple(x), y=tuple(y))
    else:
        frames = tissue_window(cells), tissue_window(turned)
    found = tumour_boundary(cells, is_tumour, window=frames[0])
    again = tumour_boundary(turned[order], is_tumour[order], window=frames[1])
    assert again.bandwidth == pytest.approx(found.bandwidth, rel=1e-9)
    assert again.level == pytest.approx(found.level, rel=1e-9)
    moved = np.abs(signed_distance(turned, again) - signed_distance(cells, found))
    if window == "square":
        assert np.max(moved) < 1e-6
    else:  # the outline of tissue is simplified, by a twentieth of a spacing, from its first point
        assert np.mean(moved > 1.0) < 0.01


@SETTINGS
@given(SEEDS, st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_a_shift_by_less_than_a_pixel_moves_nothing_else(seed, x, y):
    cells, is_tumour = tissue(seed)
    shifted = cells + np.array([x, y])
    found = tumour_boundary(cells, is_tumour, window=square())
    again = tumour_boundary(shifted, is_tumour, window=square((x, y)))
    expected = signed_distance(cells, found)
    np.testing.assert_allclose(signed_distance(shifted, again), expected, atol=1e-6)


@SETTINGS
@given(SEEDS)
def test_cells_that_stir_by_a_tenth_of_a_micrometre_stir_the_boundary_as_little(seed):
    cells, is_tumour = tissue(seed)
    found = tumour_boundary(cells, is_tumour, window=square())
    stirred = cells + np.random.default_rng(seed).uniform(-0.1, 0.1, cells.shape)
    stirred = np.clip(stirred, 0, SIDE)
    again = tumour_boundary(stirred, is_tumour, window=square())
    moved = np.abs(signed_distance(stirred, again) - signed_distance(cells, found))
    assert np.mean(moved) < 0.3


@SETTINGS
@given(SEEDS)
def test_signed_distance_changes_no_faster_than_the_place(seed):
    cells, is_tumour = tissue(seed)
    found = tumour_boundary(cells, is_tumour, window=square())
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0, SIDE, (2, 500, 2))
    b = np.clip(a + (b - a) * rng.uniform(0, 0.3, (500, 1)), 0, SIDE)
    change = np.abs(signed_distance(a, found) - signed_distance(b, found))
    assert (change <= np.hypot(*(a - b).T) + 1e-6).all()


@SETTINGS
@given(SEEDS, st.lists(st.integers(-150, 250), min_size=2, max_size=6, unique=True))
def test_areas_agree_with_the_names_of_points(seed, edges):
    nest = draw_nest(seed, np.array([250.0, 300.0]), 150)
    boundary = boundary_from_annotation(Window.from_geometry(nest), window=square())
    bands = distance_bands(sorted(edges))
    parts = compartment_windows(boundary, compartments=bands)
    areas = [part.area if part else 0.0 for part in parts.values()]
    points = np.random.default_rng(seed).uniform(0, SIDE, (2000, 2))
    distance = signed_distance(points, boundary)
    names = np.asarray(assign_compartments(distance, compartments=bands))
    limits = np.array([0.0, *bands.limits])
    clear = (np.abs(distance[:, None] - limits) > 1e-6 + 0.002 * np.abs(limits)).all(axis=1)
    for name, part in parts.items():
        inside = part.contains(points) if part else np.zeros(len(points), dtype=bool)
        np.testing.assert_array_equal(inside[clear], (names == name)[clear])
    united = shapely.union_all([part.geometry for part in parts.values() if part])
    np.testing.assert_allclose(sum(areas), united.area, rtol=1e-6, atol=1e-6)


@SETTINGS
@given(SEEDS)
def test_compartments_that_are_certain_hold_whatever_lies_outside(seed):
    """Many nests in a large tissue, of which the window shows a part."""
    rng = np.random.default_rng(seed)
    nests = [draw_nest(seed + k, rng.uniform(-500, 1100, 2), 120) for k in range(8)]
    tumour = shapely.union_all(nests)
    tissue_seen = boundary_from_annotation(
        Window.from_geometry(tumour), window=square(), frame_tolerance=0
    )
    if tissue_seen.reason:
        return
    spec = Compartments(invasive_front=(-30, 40), peritumour=90)
    points = rng.uniform(0, SIDE, (1500, 2))
    distance = signed_distance(points, tissue_seen)
    certain = is_certain(points, distance, window=square(), compartments=spec)
    true = shapely.distance(shapely.points(points), tumour.boundary)
    true = np.where(shapely.intersects_xy(tumour, *points.T), -true, true)
    named = assign_compartments(distance, compartments=spec)
    truly = assign_compartments(true, compartments=spec)
    exact = (np.abs(true[:, None] - [-30, 40, 90]) > 1e-3).all(axis=1)
    assert (np.asarray(named) == np.asarray(truly))[certain & exact].all()
    assert 0.3 < certain.mean() < 1


@SETTINGS
@given(SEEDS, st.integers(2, 300), st.floats(0.05, 1))
def test_every_cell_lies_in_the_tissue(seed, n, gather):
    rng = np.random.default_rng(seed)
    cells = rng.uniform(0, SIDE, (n, 2)) * gather ** rng.integers(0, 3, (n, 1))
    window = tissue_window(cells)
    assert window.contains(cells).all()
    assert window.geometry.is_valid
