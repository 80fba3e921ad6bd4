"""Boundaries from labels of cells and from annotations."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from times_stats.errors import InputError
from times_stats.regions.boundary import ALL_TUMOUR, NO_TUMOUR_CELL, NOT_INSIDE, signed_distance
from times_stats.regions.given_boundary import boundary_from_annotation, boundary_from_labels
from times_stats.regions.window import Window

WINDOW = Window.rectangle(x=(0, 500), y=(0, 500))


def labelled(n=2500, seed=1):
    cells = np.random.default_rng(seed).uniform(0, 500, (n, 2))
    inside = np.hypot(cells[:, 0] - 250, cells[:, 1] - 250) < 150
    return cells, np.where(inside, "Tumor", np.where(cells[:, 0] < 250, "Stroma", "Glass"))


def test_labels_give_the_outline_within_a_cell():
    cells, labels = labelled()
    found = boundary_from_labels(cells, labels, tumour="Tumor", window=WINDOW)
    radius = np.hypot(*(shapely.get_coordinates(found.lines) - 250).T)
    assert np.abs(radius - 150).mean() < 5
    assert found.level == 0.5
    assert found.fraction_inside > 0.95
    assert found.fraction_outside < 0.05


def test_several_labels_may_mean_tumour():
    cells, labels = labelled()
    both = boundary_from_labels(cells, labels, tumour=["Tumor", "Glass"], window=WINDOW)
    assert both.tumour.area > 1.5 * np.pi * 150**2
    none = boundary_from_labels(cells, labels, tumour=["tumour"], window=WINDOW)
    assert none.reason == NO_TUMOUR_CELL
    every = boundary_from_labels(cells, labels, tumour=set(labels), window=WINDOW)
    assert every.reason == ALL_TUMOUR


def test_cells_without_a_label_are_left_out_and_counted():
    cells, labels = labelled()
    gaps = labels.astype(object)
    gaps[:7] = [None, np.nan, None, None, np.nan, None, None]
    found = boundary_from_labels(
        np.vstack([cells, [[900, 0]]]), [*gaps, "Tumor"], tumour="Tumor", window=WINDOW
    )
    rest = boundary_from_labels(cells[7:], labels[7:], tumour="Tumor", window=WINDOW)
    assert (found.n_ignored, found.n_cells) == (8, len(cells) - 7)
    assert found.tumour.equals(rest.tumour)


@pytest.mark.parametrize(
    ("labels", "tumour", "message"),
    [
        (["a"], "a", "labels have 1 values and points 2: give one of each per cell"),
        (["a", "b"], [], "tumour names no label: name the labels that mean tumour"),
    ],
)
def test_faults_of_labels_are_named(labels, tumour, message):
    with pytest.raises(InputError, match=message):
        boundary_from_labels([(0, 0), (1, 1)], labels, tumour=tumour, window=WINDOW)


def test_annotation_is_taken_as_drawn():
    nest = Window.from_geometry(shapely.Point(250, 250).buffer(100))
    found = boundary_from_annotation(nest, window=WINDOW)
    assert found.tumour.area == pytest.approx(nest.area)
    assert found.lines.length == pytest.approx(nest.perimeter)
    assert found.reason == ""
    assert np.isnan([found.level, found.bandwidth, found.fraction_inside]).all()


def test_outline_of_an_annotation_along_the_frame_is_no_boundary():
    """Drawn by hand: half a micrometre inside the frame on three sides."""
    drawn = Window.rectangle(x=(0.5, 200), y=(0.5, 499.5))
    found = boundary_from_annotation(drawn, window=WINDOW)
    assert found.lines.bounds == pytest.approx((200, 0.5, 200, 499.5), abs=1.1)
    assert signed_distance([(100, 250)], found) == pytest.approx(-100)
    strict = boundary_from_annotation(drawn, window=WINDOW, frame_tolerance=0)
    assert strict.lines.length == pytest.approx(drawn.perimeter)


def test_a_line_that_meets_the_frame_keeps_its_end():
    slant = Window.polygon([(-10, -10), (200, -10), (300, 510), (-10, 510)])
    for tolerance in (0, 1, 5):
        found = boundary_from_annotation(slant, window=WINDOW, frame_tolerance=tolerance)
        assert found.lines.length == pytest.approx(np.hypot(500, 100 * 500 / 520), rel=1e-6)


@pytest.mark.parametrize(
    ("tumour", "share"),
    [
        (Window.rectangle(x=(-10, 900), y=(-10, 900)), 1),
        (Window.rectangle(x=(600, 900), y=(0, 100)), 0),
        (WINDOW, 1),
    ],
)
def test_annotation_without_an_outline_in_the_window(tumour, share):
    found = boundary_from_annotation(tumour, window=WINDOW)
    assert found.reason == NOT_INSIDE
    assert found.tumour.area == pytest.approx(share * WINDOW.area)
    assert np.isnan(signed_distance([(250, 250)], found)).all()


@pytest.mark.parametrize("tolerance", [-1, np.inf])
def test_tolerance_out_of_range_is_named(tolerance):
    with pytest.raises(InputError, match=f"frame_tolerance is {tolerance}: give micrometres"):
        boundary_from_annotation(WINDOW, window=WINDOW, frame_tolerance=tolerance)
