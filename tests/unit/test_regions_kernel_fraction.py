"""The kernel fraction against sums over all pairs of cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import xlogy

from times_stats.regions.kernel_fraction import (
    cell_areas,
    cell_spacing,
    choose_bandwidth,
    smooth_fraction,
    split_in_two,
)


def lattice_cells(seed=1, n=500, side=60):
    """Cells on whole micrometres, several at one place now and then, tumour on the left."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, side + 1, (n, 2)).astype(float)
    cells[:2] = [[0, 0], [side, side]]  # the middle of a raster is on the lattice
    return cells, rng.random(n) < np.where(cells[:, 0] < side / 2, 0.8, 0.1)


def left_out(cells, is_tumour, weight, bandwidth):
    kernel = np.exp(-0.5 * (cdist(cells, cells) / bandwidth) ** 2)
    np.fill_diagonal(kernel, 0)
    return kernel @ (weight * is_tumour), kernel @ weight


def score(cells, is_tumour, areas, bandwidth):
    weight = areas / areas.mean()
    tumour, every = left_out(cells, is_tumour, weight, bandwidth)
    fraction = (tumour + np.average(is_tumour, weights=weight)) / (every + 1)
    return np.sum(weight * np.log(np.where(is_tumour, fraction, 1 - fraction)))


def test_areas_of_a_lattice():
    """Sixth neighbour on a square lattice: across the diagonal."""
    axis = np.arange(0, 200, 10.0)
    cells = np.column_stack([a.ravel() for a in np.meshgrid(axis, axis)])
    areas = cell_areas(cells)
    assert np.median(areas) == pytest.approx(np.pi * 200 / 6)
    assert cell_spacing(areas) == pytest.approx(10 * np.sqrt(np.pi / 3))


def test_areas_add_up_to_the_tissue():
    cells = np.random.default_rng(2).uniform(0, 1000, (4000, 2))
    assert cell_areas(cells).sum() == pytest.approx(1e6, rel=0.1)


def test_areas_are_held_and_defined_for_odd_cells():
    np.testing.assert_array_equal(cell_areas(np.zeros((1, 2))), [1.0])
    np.testing.assert_array_equal(cell_areas(np.zeros((20, 2))), np.full(20, 1 / 20))
    pairs = np.array([[0.0, 0.0]] * 10 + [[6.0, 0.0]] * 20)
    areas = cell_areas(pairs)
    assert areas[:10].sum() == pytest.approx(areas[10:].sum()) == pytest.approx(np.pi * 36)
    cells = np.vstack([np.random.default_rng(3).uniform(0, 100, (200, 2)), [[5000.0, 5000.0]]])
    areas = cell_areas(cells)
    assert areas[-1] == pytest.approx(4 * np.median(areas))


def test_fraction_on_the_raster_is_the_sum_over_cells():
    cells, is_tumour = lattice_cells()
    areas = np.random.default_rng(4).uniform(2, 6, len(cells))
    field = smooth_fraction(
        cells, is_tumour, areas, bandwidth=4.0, bounds=(0, 0, 60, 60), resolution=1.0
    )
    places = np.column_stack([a.ravel() for a in np.meshgrid(field.x, field.y)])
    kernel = np.exp(-0.5 * (cdist(places, cells) / 4.0) ** 2)
    expected = (kernel @ (areas * is_tumour)) / (kernel @ areas)
    np.testing.assert_allclose(field.fraction.ravel(), expected, atol=1e-5)
    cover = kernel @ areas / (2 * np.pi * 16)
    np.testing.assert_allclose(field.cover.ravel(), cover, atol=1e-6)


def test_fraction_off_the_raster_is_close():
    rng = np.random.default_rng(5)
    cells = rng.uniform(0, 60, (500, 2))
    is_tumour = cells[:, 1] < 30
    field = smooth_fraction(
        cells, is_tumour, np.ones(500), bandwidth=4.0, bounds=(0, 0, 60, 60), resolution=1.0
    )
    places = np.column_stack([a.ravel() for a in np.meshgrid(field.x, field.y)])
    kernel = np.exp(-0.5 * (cdist(places, cells) / 4.0) ** 2)
    expected = kernel @ is_tumour / kernel.sum(axis=1)
    assert np.abs(field.fraction.ravel() - expected).max() < 0.02


def test_far_from_all_cells_there_is_no_fraction():
    cells = np.random.default_rng(6).uniform(0, 10, (50, 2))
    field = smooth_fraction(
        cells, np.ones(50, bool), np.ones(50), bandwidth=1.0, bounds=(0, 0, 200, 10), resolution=1.0
    )
    assert (field.fraction[:, -100:] == 0).all()
    assert field.cover.min() >= 0


def test_bandwidth_maximises_the_leave_one_out_likelihood():
    cells, is_tumour = lattice_cells(seed=7, n=900)
    areas = np.full(len(cells), 4.0)  # spacing 2, so that the raster has one pixel a micrometre
    chosen = choose_bandwidth(cells, is_tumour, areas)
    tried = np.geomspace(2, 12, 40)
    scores = [score(cells, is_tumour, areas, h) for h in tried]
    assert 2 < chosen < 12
    assert score(cells, is_tumour, areas, chosen) > max(scores) - 0.3
    assert min(scores) < max(scores) - 5


def test_bandwidth_narrows_where_the_boundary_is_sharper():
    cells = np.random.default_rng(8).uniform(0, 100, (3000, 2))
    stripes = np.sin(cells[:, 0] / 2) > 0
    halves = np.random.default_rng(9).random(3000) < np.where(cells[:, 0] < 50, 0.6, 0.1)
    areas = cell_areas(cells)
    assert choose_bandwidth(cells, stripes, areas) < 0.6 * choose_bandwidth(cells, halves, areas)


def test_split_averages_all_cuts_by_their_likelihood():
    cells, is_tumour = lattice_cells(seed=10)
    areas = np.full(len(cells), 4.0)
    tumour, every = left_out(cells, is_tumour, np.ones(len(cells)), 5.0)
    fraction = tumour / every

    def likelihood(labels):
        k, n = labels.sum(), len(labels)
        return xlogy(k, k / n) + xlogy(n - k, 1 - k / n)

    places = np.unique(fraction)
    sides = [(is_tumour[fraction >= cut], is_tumour[fraction < cut]) for cut in places[1:]]
    whole = likelihood(is_tumour)
    gains = np.array([likelihood(a) + likelihood(b) for a, b in sides]) - whole
    share = np.exp(gains - gains.max()) * np.diff(places)
    share /= share.sum()
    found = split_in_two(cells, is_tumour, areas, bandwidth=5.0)
    assert found.gain == pytest.approx(share @ gains, rel=1e-4)
    assert found.inside == pytest.approx(share @ [a.mean() for a, _ in sides], rel=1e-4)
    assert found.outside == pytest.approx(share @ [b.mean() for _, b in sides], rel=1e-4)
    assert found.level == pytest.approx((found.inside + found.outside) / 2)
    assert gains.max() - 3 < found.gain < gains.max()


def test_no_split_where_all_cells_are_alike():
    found = split_in_two(np.zeros((20, 2)), np.arange(20) < 8, np.ones(20), bandwidth=3.0)
    assert (found.gain, found.inside, found.outside) == (0.0, 0.4, 0.4)
