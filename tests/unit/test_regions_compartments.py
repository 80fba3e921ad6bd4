"""Compartments and bands: names, areas, and what the window leaves open."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import shapely

from times_stats.errors import InputError
from times_stats.regions.boundary import signed_distance, tumour_boundary
from times_stats.regions.compartments import (
    Compartments,
    DistanceBands,
    assign_compartments,
    compartment_windows,
    distance_bands,
    is_certain,
)
from times_stats.regions.given_boundary import boundary_from_annotation
from times_stats.regions.window import Window

WINDOW = Window.rectangle(x=(0, 1000), y=(0, 1000))
HALF = boundary_from_annotation(Window.rectangle(x=(-9, 400), y=(-9, 1009)), window=WINDOW)


def test_default_compartments():
    spec = Compartments()
    assert spec.names == ("tumour_centre", "invasive_front", "peritumour", "adjacent")
    assert spec.limits == (-math.inf, -100, 100, 250, math.inf)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.peritumour = 3  # type: ignore[misc]


def test_without_peritumour_adjacent_begins_at_the_front():
    spec = Compartments(invasive_front=(-20, 20), peritumour=None)
    assert spec.names == ("tumour_centre", "invasive_front", "adjacent")
    assert spec.limits == (-math.inf, -20, 20, math.inf)


def test_limits_may_come_as_a_list_of_whole_numbers():
    spec = Compartments(invasive_front=[-20, 20], peritumour=60)
    assert spec == Compartments(invasive_front=(-20.0, 20.0), peritumour=60.0)
    assert hash(spec) == hash(Compartments(invasive_front=(-20.0, 20.0), peritumour=60.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"invasive_front": (100, -100)}, r"invasive_front is \(100, -100\): give a finite lower"),
        ({"invasive_front": (0, 0)}, "give a finite lower and a larger upper limit"),
        ({"invasive_front": (-math.inf, 5)}, "give a finite lower and a larger upper limit"),
        ({"invasive_front": (10, 50)}, "leaves out the boundary: let 0 lie between the limits"),
        ({"invasive_front": 100}, "invasive_front is 100: give its two limits in micrometres"),
        ({"invasive_front": ("a", 1)}, "give its two limits in micrometres"),
        ({"peritumour": 100}, "peritumour is 100 and the invasive front ends at 100: give a fin"),
        ({"peritumour": "far"}, "peritumour is 'far': give micrometres, or None for no peritumour"),
        ({"peritumour": math.inf}, "give a finite distance beyond the front, or None"),
        (
            {"invasive_front": (30, 20), "peritumour": 10},
            r"invasive_front is \(30, 20\).*; peritumour is 10",
        ),
    ],
)
def test_limits_out_of_order_are_named(options, message):
    with pytest.raises(InputError, match=message):
        Compartments(**options)


def test_bands_are_named_by_their_limits():
    assert distance_bands([-50, 0, 12.5]).names == ("[-50, 0)", "[0, 12.5)")
    assert distance_bands([-math.inf, 0, math.inf]).names == ("(-inf, 0)", "[0, inf)")
    assert distance_bands(np.arange(-100, 101, 50)) == DistanceBands((-100, -50, 0, 50, 100))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([0], r"edges of bands are \(0\): give two or more increasing limits"),
        ([0, 0], r"edges of bands are \(0, 0\)"),
        ([0, math.nan, 5], r"edges of bands are \(0, nan, 5\)"),
        (["a", "b"], "edges are not numeric: give increasing limits in micrometres"),
        ([0, 1e-9 + 1, 1 + 2e-9, 1 + 3e-9], "edges are so close that bands share a name"),
    ],
)
def test_edges_that_do_not_increase_are_named(edges, message):
    with pytest.raises(InputError, match=message):
        distance_bands(edges)


def test_intervals_are_closed_below_and_open_above():
    below = np.nextafter(np.array([-100.0, 100.0, 250.0]), -math.inf)
    names = assign_compartments(below, compartments=Compartments())
    assert list(names) == ["tumour_centre", "invasive_front", "peritumour"]
    names = assign_compartments([-100, 100, 250], compartments=Compartments())
    assert list(names) == ["invasive_front", "peritumour", "adjacent"]
    sides = assign_compartments([-1e-9, 0], compartments=distance_bands([-5, 0, 5]))
    assert list(sides) == ["[-5, 0)", "[0, 5)"]


def test_what_has_no_distance_or_no_band_is_missing():
    names = assign_compartments([np.nan, -6, 5, 4.9], compartments=distance_bands([-5, 0, 5]))
    assert names.isna().tolist() == [True, True, True, False]
    every = assign_compartments([np.nan, -np.inf, np.inf, 1e9], compartments=Compartments())
    assert pd.isna(every[0])
    assert list(every[[1, 3]]) == ["tumour_centre", "adjacent"]
    assert every.ordered
    assert tuple(every.categories) == Compartments().names
    assert len(assign_compartments([], compartments=Compartments())) == 0


@pytest.mark.parametrize(
    ("distance", "message"),
    [
        (["near"], "distance is not numeric: give micrometres"),
        ([[1.0]], r"distance has shape \(1, 1\): give one value per cell"),
    ],
)
def test_distances_of_another_kind_are_named(distance, message):
    with pytest.raises(InputError, match=message):
        assign_compartments(distance, compartments=Compartments())
    with pytest.raises(InputError, match=message):
        is_certain([(0, 0)], distance, window=WINDOW, compartments=Compartments())


def test_areas_at_a_straight_boundary_are_exact():
    found = compartment_windows(HALF, compartments=Compartments())
    assert [part.bounds for part in found.values()] == [
        pytest.approx(bounds, abs=1e-4)
        for bounds in [
            (0, 0, 300, 1000),
            (300, 0, 500, 1000),
            (500, 0, 650, 1000),
            (650, 0, 1000, 1000),
        ]
    ]
    assert found["invasive_front"].perimeter == pytest.approx(2400, abs=1e-3)


def test_areas_around_a_disc_are_rings():
    disc = Window.from_geometry(shapely.Point(500, 500).buffer(200, quad_segs=200))
    boundary = boundary_from_annotation(disc, window=WINDOW)
    bands = distance_bands([-150, -50, 50, 100])
    found = compartment_windows(boundary, compartments=bands)
    rings = [150**2 - 50**2, 250**2 - 150**2, 300**2 - 250**2]
    for part, ring in zip(found.values(), rings, strict=True):
        assert part.area == pytest.approx(np.pi * ring, rel=2e-3)


def test_frame_is_no_boundary():
    """Deep tumour at the frame stays tumour centre, however near the frame."""
    found = compartment_windows(HALF, compartments=Compartments())
    assert found["tumour_centre"].contains([(0, 0), (0, 999)]).all()


def test_bands_beyond_the_window_are_none():
    found = compartment_windows(HALF, compartments=distance_bands([-900, -500, 0, 700, 800]))
    assert found["[-900, -500)"] is None
    assert found["[700, 800)"] is None
    assert found["[-500, 0)"].area == pytest.approx(4e5)
    assert found["[0, 700)"].area == pytest.approx(6e5)


def test_bands_from_a_distance_on():
    found = compartment_windows(HALF, compartments=distance_bands([50, 100, 150]))
    assert [round(part.area) for part in found.values()] == [50_000, 50_000]
    inside = compartment_windows(HALF, compartments=distance_bands([-150, -100, -50]))
    assert [round(part.area) for part in inside.values()] == [50_000, 50_000]


def test_no_boundary_no_compartments():
    nowhere = boundary_from_annotation(WINDOW, window=WINDOW)
    assert compartment_windows(nowhere, compartments=Compartments()) == dict.fromkeys(
        Compartments().names
    )


def irregular(window, seed=1, n=3000):
    rng = np.random.default_rng(seed)
    x0, y0, x1, y1 = window.bounds
    cells = np.column_stack([rng.uniform(x0, x1, n), rng.uniform(y0, y1, n)])
    cells = cells[window.contains(cells)]
    wave = 450 + 90 * np.sin(cells[:, 0] / 90) + 40 * np.cos(cells[:, 0] / 31)
    inside = (cells[:, 1] < wave) ^ (np.hypot(cells[:, 0] - 700, cells[:, 1] - 800) < 120)
    return tumour_boundary(
        cells, rng.random(len(cells)) < np.where(inside, 0.8, 0.03), window=window
    )


WINDOWS = [
    WINDOW,
    Window.polygon(
        [(0, 0), (900, 30), (1000, 900), (400, 1000), (50, 600)],
        holes=[[(300, 300), (420, 310), (400, 420)], [(700, 350), (760, 430), (650, 480)]],
    ),
]


@pytest.mark.parametrize("window", WINDOWS, ids=["square", "holes"])
@pytest.mark.parametrize(
    "spec",
    [Compartments(), Compartments((-20, 30), None), distance_bands([-np.inf, -60, 0, 60, np.inf])],
    ids=["default", "narrow", "bands"],
)
def test_areas_fill_the_window_and_hold_the_points_they_should(window, spec):
    boundary = irregular(window)
    parts = compartment_windows(boundary, compartments=spec)
    assert sum(part.area for part in parts.values() if part) == pytest.approx(window.area, rel=1e-9)
    points = np.random.default_rng(2).uniform(0, 1000, (30_000, 2))
    points = points[window.contains(points)]
    distance = signed_distance(points, boundary)
    names = np.asarray(assign_compartments(distance, compartments=spec))
    limits = np.array([0.0, *[limit for limit in spec.limits if np.isfinite(limit)]])
    gap = np.abs(distance[:, None] - limits)
    # Arcs of 128 chords, and bends that GEOS smooths: two thousandths of the distance.
    near_a_limit = (gap < 1e-6 + 0.002 * np.abs(limits)).any(axis=1)
    assert near_a_limit.mean() < 0.02
    for name, part in parts.items():
        member = (names == name)[~near_a_limit]
        if part is None:
            assert not member.any()
        else:
            np.testing.assert_array_equal(part.contains(points[~near_a_limit]), member)


def test_a_cell_is_certain_if_no_unseen_boundary_can_be_near_enough():
    cells = [(200, 500), (200, 60), (400, 60), (550, 500), (850, 500), (990, 500)]
    distance = signed_distance(cells, HALF)
    np.testing.assert_allclose(distance, [-200, -200, 0, 150, 450, 590], atol=1e-9)
    certain = is_certain(cells, distance, window=WINDOW, compartments=Compartments())
    # The second could lie in the front of a nest below, the fifth 150 um from one on the right.
    assert certain.tolist() == [True, False, True, True, False, False]


def test_a_band_that_could_be_reached_is_not_certain():
    certain = is_certain(
        [(20, 500), (500, 500)], [200, 200], window=WINDOW, compartments=distance_bands([50, 100])
    )
    assert certain.tolist() == [False, True]


def test_nothing_is_certain_without_a_distance():
    certain = is_certain(
        [(500, 500), (1, 1)], [np.nan, np.nan], window=WINDOW, compartments=Compartments()
    )
    assert certain.tolist() == [False, False]


def test_distances_of_other_points_are_named():
    with pytest.raises(InputError, match="distance has 2 values and points 1 rows: give one of"):
        is_certain([(0, 0)], [1, 2], window=WINDOW, compartments=Compartments())
