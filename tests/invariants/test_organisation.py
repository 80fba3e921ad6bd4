"""Identities of the statistics of tissue organisation, over random tissues."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from times_stats.features.aggregates import find_aggregates, label_aggregates
from times_stats.features.cellular_neighbourhoods import (
    assign_neighbourhoods,
    learn_neighbourhoods,
    neighbourhood_composition,
)
from times_stats.features.composition import entropy_by_band, shannon_entropy
from times_stats.features.enrichment import neighbourhood_enrichment
from times_stats.features.infiltration import infiltration_gradient, infiltration_profile
from times_stats.features.mixing import count_interactions
from times_stats.features.neighbour_graph import (
    NeighbourGraph,
    delaunay_graph,
    nearest_neighbour_graph,
    radius_graph,
)
from times_stats.features.quadrats import morisita_horn, morisita_horn_index
from times_stats.regions.window import Window

SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
TYPES = ["B", "T", "tumour"]
BUILDERS = {
    "radius": lambda points, scale: radius_graph(points, radius=12 * scale),
    "nearest": lambda points, _scale: nearest_neighbour_graph(points, n_neighbours=4),
    "delaunay": lambda points, scale: delaunay_graph(points, longest=30 * scale),
}
every_graph = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


@st.composite
def tissues(draw, *, lattice: bool = False):
    """Up to 60 cells in a square, with ties and coinciding cells if on a lattice."""
    n = draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    points = rng.uniform(0, 100, (n, 2))
    if lattice:
        points = np.round(points, -1)
    return points, rng.choice([*TYPES, "stroma"], size=n)


def arcs(graph: NeighbourGraph) -> set[tuple[int, int]]:
    return set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))


def moved_arcs(graph: NeighbourGraph, order: np.ndarray) -> set[tuple[int, int]]:
    """Arcs in the rows of the tissue that `order` was taken from."""
    return {(int(order[a]), int(order[b])) for a, b in arcs(graph)}


@every_graph
@SETTINGS
@given(tissues(), st.integers(0, 100))
def test_graphs_move_with_the_rows(build, tissue, seed):
    points, _ = tissue
    order = np.random.default_rng(seed).permutation(len(points))
    assert moved_arcs(build(points[order], 1), order) == arcs(build(points, 1))


@every_graph
@SETTINGS
@given(tissues(), st.integers(-500, 500), st.sampled_from([0.25, 4.0]))
def test_graphs_do_not_change_when_tissue_is_moved_turned_or_scaled(build, tissue, shift, scale):
    """Quarter turns and powers of two: exact in floating point but for the shift."""
    points, _ = tissue
    turned = points[:, ::-1] * (1, -1)
    assert arcs(build(turned * scale, scale)) == arcs(build(points, 1))
    assert arcs(build(points + shift, 1)) == arcs(build(points, 1))


@SETTINGS
@given(tissues(lattice=True))
def test_links_without_directions_lead_both_ways(tissue):
    points, _ = tissue
    for name in ("radius", "delaunay"):
        found = arcs(BUILDERS[name](points, 1))
        assert found == {(b, a) for a, b in found}


@SETTINGS
@given(tissues(lattice=True), st.integers(1, 8))
def test_each_cell_has_its_neighbours(tissue, k):
    points, _ = tissue
    graph = nearest_neighbour_graph(points, n_neighbours=k)
    assert (graph.out_degree == min(k, max(len(points) - 1, 0))).all()


@every_graph
@SETTINGS
@given(tissues(lattice=True))
def test_counts_and_expectations_add_up_to_the_arcs(build, tissue):
    points, types = tissue
    graph = build(points, 1)
    table = neighbourhood_enrichment(graph, types, types=[*TYPES, "stroma"])
    assert int(table["count"].sum()) == graph.source.size
    if len(points) > 1:
        np.testing.assert_allclose(table["expected"].sum(), graph.source.size, rtol=1e-12)
    assert (np.isnan(table["z"]) == (table["reason"] != "")).all()
    assert (table["sd"] >= 0).all()


@every_graph
@SETTINGS
@given(tissues())
def test_enrichment_by_name_and_not_by_order_of_types(build, tissue):
    points, types = tissue
    graph = build(points, 1)
    table = neighbourhood_enrichment(graph, types, types=TYPES)
    turned = neighbourhood_enrichment(graph, types, types=TYPES[::-1])
    assert turned.sel(type_from=TYPES, type_to=TYPES).equals(table)
    part = neighbourhood_enrichment(graph, types, types=["T"])
    assert part.equals(table.sel(type_from=["T"], type_to=["T"]))


@SETTINGS
@given(tissues())
def test_mixing_counts_are_arcs_of_the_radius_graph(tissue):
    points, types = tissue
    found = count_interactions(points, types, immune=["B", "T"], tumour=["tumour"], radius=12)
    table = neighbourhood_enrichment(radius_graph(points, radius=12), types, types=TYPES)["count"]
    immune = table.sel(type_from=["B", "T"])
    assert found.immune_tumour == int(immune.sel(type_to="tumour").sum())
    assert 2 * found.immune_immune == int(immune.sel(type_to=["B", "T"]).sum())


@SETTINGS
@given(tissues(lattice=True), st.sampled_from([0.5, 2.0]))
def test_mixing_scores_are_free_of_scale(tissue, scale):
    points, types = tissue
    options = {"immune": ["B", "T"], "tumour": ["tumour"]}
    assert count_interactions(points, types, **options, radius=12) == count_interactions(
        points * scale, types, **options, radius=12 * scale
    )


COUNTS = st.lists(st.integers(0, 20), min_size=4, max_size=4)


@SETTINGS
@given(COUNTS, COUNTS, st.integers(1, 5))
def test_overlap_is_symmetric_free_of_size_and_at_most_one(first, second, times):
    areas = [1.0, 2.0, 0.5, 4.0]
    found = morisita_horn_index(first, second, areas=areas)
    assert np.isnan(found) == (not any(first) or not any(second))
    if np.isnan(found):
        return
    assert -1e-12 <= found <= 1 + 1e-12
    assert morisita_horn_index(second, first, areas=areas) == pytest.approx(found, abs=1e-12)
    more = morisita_horn_index([times * k for k in first], second, areas=areas)
    assert more == pytest.approx(found, abs=1e-12)
    assert morisita_horn_index(first, first, areas=areas) == pytest.approx(1)


@SETTINGS
@given(tissues(), st.sampled_from([0.5, 2.0]))
def test_overlap_moves_with_the_window(tissue, scale):
    points, types = tissue
    immune, tumour = points[np.isin(types, ["B", "T"])], points[types == "tumour"]
    window = Window.rectangle(x=(0, 100), y=(0, 100))
    found = morisita_horn(immune, tumour, window=window, side=20)
    large = Window.rectangle(x=(0, 100 * scale), y=(0, 100 * scale))
    again = morisita_horn(immune * scale, tumour * scale, window=large, side=20 * scale)
    assert again == pytest.approx(found, nan_ok=True, abs=1e-12)


BANDS = st.lists(st.integers(0, 30), min_size=5, max_size=5)
EDGES = np.array([-300.0, -100.0, 0.0, 50.0, 100.0, 300.0])
AREAS = np.array([3e5, 1e5, 5e4, 5e4, 2e5])


@SETTINGS
@given(BANDS, st.floats(0.1, 10), st.integers(-500, 500))
def test_gradient_is_free_of_units_of_area_and_origin(counts, scale, shift):
    distance = np.repeat((EDGES[:-1] + EDGES[1:]) / 2, counts)
    found = infiltration_gradient(distance, edges=EDGES, areas=AREAS)
    larger = infiltration_gradient(distance, edges=EDGES, areas=AREAS * scale)
    moved = infiltration_gradient(distance + shift, edges=EDGES + shift, areas=AREAS)
    mirrored = infiltration_gradient(-distance, edges=-EDGES[::-1], areas=AREAS[::-1])
    assert larger.reason == moved.reason == mirrored.reason == found.reason
    for name in ("slope", "se", "dispersion", "se_quasi"):
        value = getattr(found, name)
        sign = -1 if name == "slope" else 1
        for other, expected in ((larger, value), (moved, value), (mirrored, sign * value)):
            assert getattr(other, name) == pytest.approx(expected, rel=1e-7, abs=1e-9, nan_ok=True)
    if not found.reason:
        assert larger.intercept == pytest.approx(found.intercept - np.log(scale), abs=1e-7)


@SETTINGS
@given(BANDS)
def test_profile_holds_every_cell(counts):
    distance = np.repeat((EDGES[:-1] + EDGES[1:]) / 2, counts)
    table = infiltration_profile([*distance, 900.0], edges=EDGES, areas=AREAS)
    assert table["count"].tolist() == counts
    assert table.attrs["n_outside"] == 1
    assert (table["intensity_lower"] <= table["intensity"]).all()
    assert (table["intensity"] <= table["intensity_upper"]).all()


@SETTINGS
@given(COUNTS, st.integers(1, 4))
def test_entropy_is_between_zero_and_the_log_of_the_types(counts, times):
    found = shannon_entropy(counts)
    if not any(counts):
        assert np.isnan(found)
        return
    assert 0 <= found <= np.log(sum(k > 0 for k in counts)) + 1e-12
    assert shannon_entropy([times * k for k in counts]) == pytest.approx(found, abs=1e-12)
    assert shannon_entropy(counts[::-1]) == pytest.approx(found, abs=1e-12)


@SETTINGS
@given(tissues())
def test_bands_hold_every_cell_once(tissue):
    points, types = tissue
    table = entropy_by_band(points[:, 0], types, edges=[0, 30, 60, 100], types=TYPES)
    assert table["n_cells"].sum() + table["n_other"].sum() == len(points)
    effective = table["effective_types"].dropna()
    assert effective.between(1 - 1e-12, len(TYPES) + 1e-12).all()


@SETTINGS
@given(tissues(), st.integers(1, 12), st.integers(0, 100))
def test_windows_move_with_the_rows(tissue, size, seed):
    points, types = tissue
    order = np.random.default_rng(seed).permutation(len(points))
    found = neighbourhood_composition(points, types, types=TYPES, n_neighbours=size)
    moved = neighbourhood_composition(points[order], types[order], types=TYPES, n_neighbours=size)
    assert (moved.shares == found.shares[order]).all()
    full = neighbourhood_composition(points, types, types=[*TYPES, "stroma"], n_neighbours=size)
    np.testing.assert_allclose(full.shares.sum(axis=1), 1)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_kinds_hold_every_training_cell_and_names_of_types_are_nothing(seed, n_kinds):
    rng = np.random.default_rng(seed)
    points, types = rng.uniform(0, 100, (80, 2)), rng.choice(TYPES, size=80)
    image = neighbourhood_composition(points, types, types=TYPES, n_neighbours=5)
    kinds = learn_neighbourhoods([image], n_neighbourhoods=n_kinds, rng=np.random.default_rng(seed))
    assert kinds.n_cells.sum() == 80
    assert (np.diff(kinds.n_cells) <= 0).all()
    label = assign_neighbourhoods(kinds, image)
    assert np.bincount(label, minlength=n_kinds).tolist() == kinds.n_cells.tolist()
    np.testing.assert_allclose(kinds.centres.sum(axis=1), 1)


@SETTINGS
@given(tissues(lattice=True), st.integers(1, 5), st.integers(1, 4), st.integers(0, 100))
def test_aggregates_hold_what_was_asked_for_whatever_the_order(tissue, size, near, seed):
    points, types = tissue
    options = {"radius": 15.0, "min_cells": size, "min_neighbours": near}
    label = label_aggregates(points, types, **options)
    table = find_aggregates(points, types, **options)
    assert table["n_cells"].tolist() == np.bincount(label[label >= 0]).tolist()
    assert (table["n_cells"] >= size).all()
    assert (table["n_B"] >= 1).all()
    assert (table["n_cells"] == table["n_B"] + table["n_T"]).all()
    order = np.random.default_rng(seed).permutation(len(points))
    again = find_aggregates(points[order], types[order], **options)
    assert again["n_cells"].tolist() == table["n_cells"].tolist()
    if len(np.unique(points, axis=0)) == len(points):  # twins are told apart by their rows
        assert (label_aggregates(points[order], types[order], **options) == label[order]).all()
