from __future__ import annotations

import itertools

import numpy as np
import pytest

from times_stats.errors import InputError
from times_stats.features.enrichment import (
    NO_VARIATION,
    TOO_FEW_CELLS,
    neighbourhood_enrichment,
    permute_neighbourhood_enrichment,
)
from times_stats.features.neighbour_graph import (
    NeighbourGraph,
    nearest_neighbour_graph,
    radius_graph,
)

TINY = np.random.default_rng(5).uniform(0, 10, (7, 2))
GRAPHS = {
    "without directions": radius_graph(TINY, radius=4.5),
    "with directions": nearest_neighbour_graph(TINY, n_neighbours=2),
    "some of both": NeighbourGraph(
        np.array([0, 0, 1, 2, 3, 3, 5]), np.array([1, 3, 0, 1, 0, 2, 6]), 7
    ),
}


def counted(graph: NeighbourGraph, labels: np.ndarray, types: list[str]) -> np.ndarray:
    table = np.zeros((len(types), len(types)))
    for i, j in zip(graph.source, graph.target, strict=True):
        if labels[i] in types and labels[j] in types:
            table[types.index(labels[i]), types.index(labels[j])] += 1
    return table


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("labels", ["AAABBCC", "AAAABBB", "AABBCCD", "AABCCCC"])
def test_moments_are_those_of_all_labellings(graph, labels):
    """Every permutation of the labels over the seven places, with one type not asked for."""
    types = ["A", "B", "C"]
    every = np.array(
        [counted(graph, labelling, types) for labelling in set(itertools.permutations(labels))]
    )
    table = neighbourhood_enrichment(graph, list(labels), types=types)
    np.testing.assert_allclose(table["expected"], every.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["sd"], every.std(axis=0), rtol=1e-12, atol=1e-14)
    assert (table["count"].to_numpy() == counted(graph, labels, types)).all()


@pytest.mark.parametrize("n", [2, 3])
def test_moments_of_the_smallest_graphs(n):
    graph = radius_graph(np.column_stack([np.arange(n), np.zeros(n)]), radius=1)
    labels = "AB" if n == 2 else "AAB"
    every = np.array([counted(graph, p, ["A", "B"]) for p in itertools.permutations(labels)])
    table = neighbourhood_enrichment(graph, list(labels), types=["A", "B"])
    np.testing.assert_allclose(table["expected"], every.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["sd"], every.std(axis=0), rtol=1e-12, atol=1e-14)


def test_dims_and_coordinates():
    table = neighbourhood_enrichment(GRAPHS["with directions"], list("AAABBCC"), types=["C", "A"])
    assert table["z"].dims == ("type_from", "type_to")
    assert table["type_from"].to_numpy().tolist() == ["C", "A"]
    assert set(table.data_vars) == {"count", "expected", "sd", "z", "reason"}
    assert table["count"].dtype == np.int64
    z = (table["count"] - table["expected"]) / table["sd"]
    np.testing.assert_allclose(table["z"], z, rtol=1e-14)
    assert (table["reason"] == "").all()


def test_types_with_too_few_cells_have_no_z():
    table = neighbourhood_enrichment(
        GRAPHS["without directions"], list("AAABBBC"), types=["A", "C", "nowhere"]
    )
    known = table["reason"].to_numpy()
    assert known[0, 0] == ""
    assert (known[1:] == TOO_FEW_CELLS).all()
    assert (known[:, 1:] == TOO_FEW_CELLS).all()
    assert np.isnan(table["z"].to_numpy()[known != ""]).all()
    assert table["count"].sel(type_from="nowhere").sum() == 0
    assert (table["expected"].sel(type_from="nowhere") == 0).all()


@pytest.mark.parametrize(
    ("graph", "labels"),
    [
        (radius_graph(TINY, radius=1e-6), "AAAABBB"),  # no arcs
        (radius_graph(TINY, radius=100), "AAAABBB"),  # all linked to all
        (radius_graph(TINY, radius=4.5), "AAAAAAA"),  # one type
    ],
    ids=["no arcs", "complete", "one type"],
)
def test_a_count_that_cannot_vary_has_no_z(graph, labels):
    table = neighbourhood_enrichment(graph, list(labels), types=["A"])
    assert table["sd"].item() == 0
    assert np.isnan(table["z"].item())
    assert table["reason"].item() == NO_VARIATION
    assert table["count"].item() == table["expected"].item()


def test_no_cell_at_all():
    table = neighbourhood_enrichment(radius_graph([], radius=1), [], types=["A", "B"])
    assert (table["count"] == 0).all()
    assert (table["reason"] == TOO_FEW_CELLS).all()


def test_two_hundred_thousand_cells_do_not_overflow():
    """A ring with 40 neighbours each, half of each type: mean and variance by hand."""
    n, reach = 200_000, 20
    step = np.concatenate([np.arange(1, reach + 1), n - np.arange(1, reach + 1)])
    source = np.repeat(np.arange(n), 2 * reach)
    target = np.sort((np.arange(n)[:, None] + step) % n, axis=1).ravel()
    graph = NeighbourGraph(source, target, n)
    labels = np.where(np.arange(n) % 2 == 0, "A", "B")
    table = neighbourhood_enrichment(graph, labels, types=["A", "B"])
    m, a = 2.0 * reach * n, n / 2
    np.testing.assert_allclose(
        table["expected"].sel(type_from="A", type_to="A"), m * a * (a - 1) / (n * (n - 1.0))
    )
    # With signs s that sum to 0 the count is m / 4 plus a quarter of the sum of s_i s_j over arcs,
    # each link twice: variance 2 m / 16, but for terms of order 1 / n.
    found = float(table["sd"].sel(type_from="A", type_to="A")) ** 2
    assert found == pytest.approx(2 * m / 16, rel=1e-3)
    assert np.isfinite(table["z"]).all()


def test_permutations_agree_with_the_closed_form():
    rng = np.random.default_rng(8)
    graph = nearest_neighbour_graph(rng.uniform(0, 100, (200, 2)), n_neighbours=5)
    labels = rng.choice(["A", "B", "C"], size=200, p=[0.5, 0.3, 0.2])
    types = ["A", "B", "C"]
    closed = neighbourhood_enrichment(graph, labels, types=types)
    n = 2000
    drawn = permute_neighbourhood_enrichment(
        graph, labels, types=types, n_permutations=n, rng=np.random.default_rng(9)
    )
    assert (drawn["count"] == closed["count"]).all()
    error = (drawn["expected"] - closed["expected"]) / (closed["sd"] / np.sqrt(n))
    assert float(np.abs(error).max()) < 4
    ratio = drawn["sd"] / closed["sd"] - 1
    assert float(np.abs(ratio).max()) < 4 / np.sqrt(2 * n)
    assert drawn.attrs["n_permutations"] == n
    assert (drawn["p_more"] + drawn["p_fewer"] >= 1).all()  # ties count in both
    again = permute_neighbourhood_enrichment(
        graph, labels, types=types, n_permutations=n, rng=np.random.default_rng(9)
    )
    assert drawn.identical(again)


def test_p_values_count_the_observed_labelling():
    """All A on the left, all B on the right of a ladder: nothing is more separated."""
    points = [(x, y) for x in range(20) for y in range(3)]
    labels = ["A" if x < 10 else "B" for x, _ in points]
    drawn = permute_neighbourhood_enrichment(
        radius_graph(points, radius=1),
        labels,
        types=["A", "B"],
        n_permutations=99,
        rng=np.random.default_rng(1),
    )
    assert drawn["p_more"].sel(type_from="A", type_to="A").item() == 0.01
    assert drawn["p_fewer"].sel(type_from="A", type_to="B").item() == 0.01
    assert drawn["p_more"].sel(type_from="A", type_to="B").item() == 1


def test_faults_are_named():
    graph = GRAPHS["with directions"]
    with pytest.raises(InputError, match=r"cell_type has shape \(2,\) and there are 7 points"):
        neighbourhood_enrichment(graph, ["A", "B"], types=["A"])
    with pytest.raises(InputError, match="types names A more than once"):
        neighbourhood_enrichment(graph, list("AAABBCC"), types=["A", "A"])
    for wrong, said in ((0, "give a whole number from 1 on"), (1, "give 2 or more")):
        with pytest.raises(InputError, match=f"n_permutations is {wrong}: {said}"):
            permute_neighbourhood_enrichment(
                graph,
                list("AAABBCC"),
                types=["A"],
                n_permutations=wrong,
                rng=np.random.default_rng(1),
            )
