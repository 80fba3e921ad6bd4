from __future__ import annotations

import math

import numpy as np
import pytest

from times_stats.errors import InputError
from times_stats.features.quadrats import morisita_horn, morisita_horn_index, tabulate_quadrats
from times_stats.regions.window import Window

SQUARE = Window.rectangle(x=(0, 300), y=(0, 200))
DISC = Window.polygon(
    [(100 * np.cos(a), 100 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 90, endpoint=False)],
    holes=[[(-20, -20), (-20, 20), (20, 20), (20, -20)]],
)


def inside(window: Window, n: int, seed: int = 1) -> np.ndarray:
    x0, y0, x1, y1 = window.bounds
    points = np.random.default_rng(seed).uniform((x0, y0), (x1, y1), (n, 2))
    return points[window.contains(points)]


def test_index_in_closed_form():
    x, y = np.array([4.0, 0, 2]), np.array([1.0, 1, 2])
    p, q = x / x.sum(), y / y.sum()
    expected = 2 * (p @ q) / (p @ p + q @ q)
    assert morisita_horn_index(x, y) == pytest.approx(expected, rel=1e-14)
    assert morisita_horn_index(x, y, areas=[7, 7, 7]) == pytest.approx(expected, rel=1e-14)
    assert morisita_horn_index(x, 3 * x) == pytest.approx(1)
    assert morisita_horn_index([1, 0], [0, 1]) == 0


def test_merging_quadrats_of_one_density_changes_nothing():
    """Two halves with the counts of a uniform density are one quadrat of twice the area."""
    cut = morisita_horn_index([3, 3, 8], [5, 5, 1], areas=[1, 1, 1])
    whole = morisita_horn_index([6, 8], [10, 1], areas=[2, 1])
    assert cut == pytest.approx(whole, rel=1e-14)


def test_areas_of_quadrats_add_up_to_the_window():
    for window in (SQUARE, DISC):
        for side in (17, 40, 1000):
            table = tabulate_quadrats([], [], window=window, side=side)
            assert table["area"].sum() == pytest.approx(window.area, rel=1e-12)
            assert table["coverage"].between(0, 1).all()
            assert (table["coverage"] > 0).all()


def test_a_rectangle_has_full_quadrats_only():
    table = tabulate_quadrats([], [], window=SQUARE, side=45)  # 300 / 45 -> 7, 200 / 45 -> 4
    assert len(table) == 28
    assert (table["coverage"] == 1).all()
    np.testing.assert_allclose(table["area"], 300 / 7 * 50)


def test_every_cell_is_in_one_quadrat():
    for window in (SQUARE, DISC):
        first, second = inside(window, 300), inside(window, 200, seed=2)
        table = tabulate_quadrats(first, second, window=window, side=30)
        assert (table["n_from"].sum(), table["n_to"].sum()) == (len(first), len(second))


def test_cells_on_the_outline_and_on_the_lines():
    corners = [(0, 0), (300, 0), (0, 200), (300, 200), (100, 100)]
    table = tabulate_quadrats(corners, [], window=SQUARE, side=100).set_index(["x", "y"])
    assert table["n_from"].sum() == 5
    assert table.loc[(100, 100), "n_from"] == 1
    assert table.loc[(200, 100), "n_from"] == 1


def test_a_cell_on_an_outline_that_is_a_line_is_not_lost():
    """The notch ends on a line of the grid: its corner cell lies in a quadrat without area."""
    notched = Window.polygon([(0, 0), (100, 0), (100, 50), (50, 50), (50, 100), (0, 100)])
    table = tabulate_quadrats([(60, 50)], [(10, 10)], window=notched, side=50)
    assert table["n_from"].sum() == 1
    row = table[table["n_from"] == 1].iloc[0]
    assert (row["area"], row["coverage"]) == (0, 0)
    found = morisita_horn([(60, 50)], [(10, 10)], window=notched, side=50, min_coverage=0)
    assert math.isnan(found)


def test_slivers_are_left_out_by_their_coverage():
    table = tabulate_quadrats(inside(DISC, 400), inside(DISC, 300, 2), window=DISC, side=30)
    assert table["coverage"].min() < 0.5 < table["coverage"].max()
    for share in (0.0, 0.5, 0.9, 1.0):
        kept = table[table["coverage"] > share - 1e-6]
        expected = morisita_horn_index(kept["n_from"], kept["n_to"], areas=kept["area"])
        found = morisita_horn(
            inside(DISC, 400), inside(DISC, 300, 2), window=DISC, side=30, min_coverage=share
        )
        assert found == expected
    small = tabulate_quadrats(inside(DISC, 400), inside(DISC, 300, 2), window=DISC, side=19)
    kept = small[small["coverage"] >= 0.25]
    assert 0 < len(kept) < len(small)
    default = morisita_horn(inside(DISC, 400), inside(DISC, 300, 2), window=DISC, side=19)
    assert default == morisita_horn_index(kept["n_from"], kept["n_to"], areas=kept["area"])


def test_separate_halves_overlap_nowhere_and_equal_points_fully():
    points = inside(SQUARE, 200)
    left, right = points[points[:, 0] < 150], points[points[:, 0] >= 150]
    assert morisita_horn(left, right, window=SQUARE, side=50) == 0
    assert morisita_horn(points, points, window=SQUARE, side=50) == pytest.approx(1)


def test_a_missing_type_is_nan():
    points = inside(SQUARE, 10)
    assert math.isnan(morisita_horn(points, [], window=SQUARE, side=50))
    assert math.isnan(morisita_horn([], points, window=SQUARE, side=50))
    assert math.isnan(morisita_horn_index([], []))


def test_faults_are_named():
    with pytest.raises(
        InputError, match=r"points_from lie outside the window in row 0: .*points_to"
    ):
        morisita_horn([(-1, 0)], [(1, 1), (999, 0)], window=SQUARE, side=50)
    with pytest.raises(InputError, match="side is 0: give positive micrometres"):
        morisita_horn([], [], window=SQUARE, side=0)
    with pytest.raises(InputError, match=r"min_coverage is 1.5: give a share from 0 to 1"):
        morisita_horn([], [], window=SQUARE, side=50, min_coverage=1.5)
    with pytest.raises(InputError, match="points_to have shape"):
        morisita_horn([], [1, 2, 3], window=SQUARE, side=50)
    with pytest.raises(InputError, match="counts_from are negative or not finite in row 1"):
        morisita_horn_index([1, -1], [1, 1])
    with pytest.raises(
        InputError, match=r"have shapes \(2,\), \(3,\) and \(2,\): give one of each"
    ):
        morisita_horn_index([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="areas are not all positive"):
        morisita_horn_index([1, 2], [1, 2], areas=[0, 1])
    with pytest.raises(InputError, match="counts_to have 2 dimensions: give one count per quadrat"):
        morisita_horn_index([1, 2], [[1, 2]])
