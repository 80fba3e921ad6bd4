from __future__ import annotations

import numpy as np
import pytest
import shapely

from times_stats.errors import InputError
from times_stats.features.neighbour_graph import (
    NeighbourGraph,
    delaunay_graph,
    nearest_neighbour_graph,
    radius_graph,
)

BUILDERS = {
    "radius": lambda points: radius_graph(points, radius=30),
    "nearest": lambda points: nearest_neighbour_graph(points, n_neighbours=3),
    "delaunay": lambda points: delaunay_graph(points, longest=60),
}
every_graph = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def arcs(graph: NeighbourGraph) -> set[tuple[int, int]]:
    return set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))


def scatter(n: int, seed: int = 1, side: float = 200.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, side, (n, 2))


def ranked_neighbours(points: np.ndarray, k: int) -> set[tuple[int, int]]:
    """Nearest by distance, then x, then y, then row: the rule, by brute force."""
    found = set()
    for i, here in enumerate(points):
        order = sorted(
            (j for j in range(len(points)) if j != i),
            key=lambda j: (((points[j] - here) ** 2).sum(), *points[j], j),
        )
        found |= {(i, j) for j in order[:k]}
    return found


def test_radius_graph_is_brute_force():
    points = scatter(120)
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    i, j = np.nonzero(distance <= 30)
    assert arcs(radius_graph(points, radius=30)) == {
        (a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True) if a != b
    }


def test_radius_includes_its_own_length():
    assert radius_graph([(0, 0), (3, 4)], radius=5).source.size == 2
    assert radius_graph([(0, 0), (3, 4)], radius=4.999).source.size == 0


@pytest.mark.parametrize("k", [1, 2, 5, 11, 12, 13])
def test_nearest_neighbours_are_brute_force(k):
    points = scatter(13)
    assert arcs(nearest_neighbour_graph(points, n_neighbours=k)) == ranked_neighbours(points, k)


@pytest.mark.parametrize("k", [1, 3, 4, 6, 8])
def test_ties_go_to_the_smaller_x_then_y(k):
    lattice = np.array([(x, y) for x in range(6) for y in range(5)], dtype=float) * 10
    lattice = lattice[np.random.default_rng(3).permutation(len(lattice))]
    assert arcs(nearest_neighbour_graph(lattice, n_neighbours=k)) == ranked_neighbours(lattice, k)


def test_coinciding_cells_are_neighbours():
    points = np.array([(5.0, 5.0)] * 4 + [(6.0, 5.0), (50.0, 50.0)])
    for k in (1, 2, 3, 4):
        assert arcs(nearest_neighbour_graph(points, n_neighbours=k)) == ranked_neighbours(points, k)
    assert radius_graph(points, radius=0.5).out_degree.tolist() == [3, 3, 3, 3, 0, 0]


def test_delaunay_links_are_those_of_geos():
    points = scatter(200)
    mesh = shapely.delaunay_triangles(shapely.MultiPoint(points), only_edges=True)
    row = {tuple(point): number for number, point in enumerate(points.tolist())}
    expected = set()
    for edge in shapely.get_parts(mesh):
        a, b = (row[tuple(end)] for end in edge.coords)
        expected |= {(a, b), (b, a)}
    assert arcs(delaunay_graph(points, longest=np.inf)) == expected


def test_delaunay_leaves_long_links_out():
    points = scatter(200)
    full, cut = delaunay_graph(points, longest=np.inf), delaunay_graph(points, longest=15)
    length = np.hypot(*(points[full.source] - points[full.target]).T)
    assert 0 < cut.source.size < full.source.size
    assert arcs(cut) == {
        (int(a), int(b))
        for a, b, d in zip(full.source, full.target, length, strict=True)
        if d <= 15
    }


def test_delaunay_on_a_line_links_the_next_cell():
    step = np.array([3.0, 1.0, 0.0, 2.0, 4.0])
    for direction in ((1.0, 0.0), (0.0, 1.0), (1.0, 2.0), (0.1, -0.3)):
        graph = delaunay_graph(step[:, None] * direction, longest=np.inf)
        assert arcs(graph) == {
            pair for a, b in [(2, 1), (1, 3), (3, 0), (0, 4)] for pair in ((a, b), (b, a))
        }


def test_delaunay_of_coinciding_cells_shares_the_neighbours():
    corners = [(0.0, 0.0), (10.0, 0.0), (0.0, 10.0)]
    graph = delaunay_graph([*corners, corners[0], corners[0]], longest=np.inf)
    twins = {0, 3, 4}
    expected = {(a, b) for a in twins for b in twins if a != b}
    expected |= {pair for a in twins for b in (1, 2) for pair in ((a, b), (b, a))}
    assert arcs(graph) == expected | {(1, 2), (2, 1)}


def test_delaunay_of_cells_too_close_for_qhull_keeps_them_all():
    points = scatter(60, side=1e5)
    points = np.concatenate([points, points[:5] + 1e-11])
    graph = delaunay_graph(points, longest=np.inf)
    assert (graph.out_degree > 0).all()
    for number in range(5):
        assert (number, 60 + number) in arcs(graph)


def test_delaunay_of_a_nearly_flat_cloud_does_not_crash():
    x = np.linspace(0, 1000, 40)
    y = np.random.default_rng(2).normal(0, 1e-9, 40)
    graph = delaunay_graph(np.column_stack([x, y]), longest=np.inf)
    assert (graph.out_degree > 0).all()


@every_graph
@pytest.mark.parametrize("n", [0, 1])
def test_no_cell_or_one_has_no_neighbour(build, n):
    graph = build(np.zeros((n, 2)))
    assert (graph.n_cells, graph.source.size) == (n, 0)
    assert graph.to_sparse().shape == (n, n)
    assert graph.out_degree.tolist() == [0] * n


@every_graph
def test_two_cells_and_one_place(build):
    assert arcs(build([(0, 0), (1, 1)])) == {(0, 1), (1, 0)}
    assert arcs(build([(2, 2)] * 3)) == {(a, b) for a in range(3) for b in range(3) if a != b}


@every_graph
def test_arcs_are_sorted_and_degrees_add_up(build):
    graph = build(scatter(150))
    key = graph.source * graph.n_cells + graph.target
    assert (np.diff(key) > 0).all()
    assert (graph.source != graph.target).all()
    matrix = graph.to_sparse().toarray()
    assert (matrix.sum(axis=1) == graph.out_degree).all()
    assert (matrix.sum(axis=0) == graph.in_degree).all()
    assert set(zip(*(axis.tolist() for axis in np.nonzero(matrix)), strict=True)) == arcs(graph)
    assert repr(graph) == f"<NeighbourGraph: 150 cells, {graph.source.size} arcs>"


def test_faults_are_named():
    with pytest.raises(InputError, match="radius is 0: give positive micrometres"):
        radius_graph([(0, 0)], radius=0)
    with pytest.raises(InputError, match="radius is inf"):
        radius_graph([(0, 0)], radius=np.inf)
    with pytest.raises(InputError, match="points are missing or infinite in row 1"):
        radius_graph([(0, 0), (np.nan, 1)], radius=1)
    for wrong in (0, 1.5, True):
        with pytest.raises(InputError, match=f"n_neighbours is {wrong}: give a whole number"):
            nearest_neighbour_graph([(0, 0)], n_neighbours=wrong)
    for wrong in (0, np.nan):
        with pytest.raises(InputError, match=f"longest is {wrong}: give a positive length"):
            delaunay_graph([(0, 0)], longest=wrong)
