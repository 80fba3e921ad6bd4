"""Graphs of neighbouring cells: within a radius, nearest, or touching in the Delaunay sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.spatial import Delaunay, cKDTree

from times_stats._checks import check_points
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.features.point_checks import check_positive

_FLAT = 1e-12  # smaller over larger spread of points on a line; Qhull gives up at some 1e-15
_ROUNDING = 1e-9  # relative slack of a search radius; what it lets in is ranked exactly


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NeighbourGraph:
    """Which cells are neighbours of which.

    Attributes
    ----------
    source, target : ndarray of int64 of shape (n_arcs,)
        Row numbers of the cells an arc leads from and to, sorted by source, then target; no arc
        occurs twice and none leads from a cell to itself. A graph without directions holds each
        link as two arcs.
    n_cells : int
        Number of cells, those without a neighbour included.

    Examples
    --------
    >>> graph = radius_graph([(0, 0), (3, 4), (50, 0)], radius=5)
    >>> graph
    <NeighbourGraph: 3 cells, 2 arcs>
    >>> graph.source, graph.target
    (array([0, 1]), array([1, 0]))
    """

    source: IntArray
    target: IntArray
    n_cells: int

    def __repr__(self) -> str:
        return f"<NeighbourGraph: {self.n_cells} cells, {self.source.size} arcs>"

    @property
    def out_degree(self) -> IntArray:
        """Number of neighbours of each cell."""
        return np.bincount(self.source, minlength=self.n_cells).astype(np.int64)

    @property
    def in_degree(self) -> IntArray:
        """Number of cells each cell is a neighbour of."""
        return np.bincount(self.target, minlength=self.n_cells).astype(np.int64)

    def to_sparse(self) -> Any:
        """Return the graph as a sparse matrix of ones.

        Returns
        -------
        scipy.sparse.csr_array of shape (n_cells, n_cells)
            Row: source; column: target.

        Examples
        --------
        >>> radius_graph([(0, 0), (3, 4)], radius=5).to_sparse().toarray()
        array([[0, 1],
               [1, 0]], dtype=int8)
        """
        start = np.concatenate([[0], np.cumsum(self.out_degree)])
        ones = np.ones(self.source.size, dtype=np.int8)
        return csr_array((ones, self.target, start), shape=(self.n_cells, self.n_cells))


def radius_graph(points: ArrayLike, *, radius: float) -> NeighbourGraph:
    """Link all cells that lie within a distance of each other.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres, micrometres. Coinciding cells are neighbours.
    radius : float
        Largest distance of neighbours, micrometres, itself included.

    Returns
    -------
    NeighbourGraph
        Without directions: each link is two arcs.

    Raises
    ------
    InputError
        If the radius is not positive and finite, or the points are not pairs of finite numbers.

    Examples
    --------
    >>> radius_graph([(0, 0), (0, 10), (0, 30)], radius=10).out_degree
    array([1, 1, 0])
    """
    checked = check_points(points)
    reach = check_positive(radius, name="radius", what="micrometres")
    n = len(checked)
    if n < 2:
        return _without_arcs(n)
    pairs = cKDTree(checked).query_pairs(reach, output_type="ndarray")
    return _of_links(pairs[:, 0], pairs[:, 1], n)


def nearest_neighbour_graph(points: ArrayLike, *, n_neighbours: int) -> NeighbourGraph:
    """Link each cell to its nearest others.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres, micrometres.
    n_neighbours : int
        Neighbours of each cell, itself not counted; all others where there are fewer.

    Returns
    -------
    NeighbourGraph
        With directions: B may be nearest to A, and A not to B.

    Raises
    ------
    InputError
        If `n_neighbours` is not a whole number from 1 on, or the points are not pairs of finite
        numbers.

    Notes
    -----
    Of several cells equally far at the last place, those with the smaller x are taken, then those
    with the smaller y; only coinciding cells are told apart by their rows. So the neighbours do not
    depend on the order of the rows.

    Examples
    --------
    >>> nearest_neighbour_graph([(0, 0), (1, 0), (5, 0)], n_neighbours=1).target
    array([1, 0, 1])
    """
    checked = check_points(points)
    k = check_count(n_neighbours, name="n_neighbours")
    n = len(checked)
    k = min(k, n - 1)
    if k < 1:
        return _without_arcs(n)
    target = nearest_rows(checked, n_neighbours=k)
    target.sort(axis=1)
    return NeighbourGraph(np.repeat(np.arange(n, dtype=np.int64), k), target.ravel(), n)


def delaunay_graph(points: ArrayLike, *, longest: float) -> NeighbourGraph:
    """Link the cells whose Voronoi polygons touch, as far as they lie close to each other.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres, micrometres.
    longest : float
        Longest link, micrometres, itself included; ``numpy.inf`` keeps all. Triangulations link
        cells across empty tissue and along the outline, so a limit is asked for.

    Returns
    -------
    NeighbourGraph
        Without directions: each link is two arcs.

    Raises
    ------
    InputError
        If `longest` is not positive, or the points are not pairs of finite numbers.

    Notes
    -----
    Delaunay triangulation by Qhull (Barber et al. 1996, doi:10.1145/235815.235821). Coinciding
    cells share all neighbours and are neighbours of each other. Cells on one line are linked to the
    next along it. Where four cells lie on one circle one diagonal of the two is taken, the same for
    any order of the rows.

    Examples
    --------
    >>> delaunay_graph([(0, 0), (10, 0), (0, 10), (200, 200)], longest=50).out_degree
    array([2, 2, 2, 0])
    """
    checked = check_points(points)
    if not longest > 0:
        raise InputError(f"longest is {longest}: give a positive length in micrometres")
    n = len(checked)
    if n < 2:
        return _without_arcs(n)
    sites, site_of = _distinct(checked)
    first, second, site_of = _touching_sites(sites, site_of)
    near = _squared_distance(sites, first, second) <= float(longest) ** 2
    first, second = _expand(first[near], second[near], site_of)
    return _of_links(first, second, n)


def nearest_rows(points: FloatArray, *, n_neighbours: int) -> IntArray:
    """Return the rows of the nearest other points, whatever the order of the rows.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Micrometres, checked.
    n_neighbours : int
        From 1 to ``n - 1``.

    Returns
    -------
    ndarray of int64 of shape (n, n_neighbours)
        Neighbours of each point, in no order; ties at the last place as `nearest_neighbour_graph`.

    Examples
    --------
    >>> nearest_rows(np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]), n_neighbours=1).ravel()
    array([2, 0, 0])
    """
    n, k = len(points), n_neighbours
    tree = cKDTree(points)
    distance, row = tree.query(points, k=min(k + 2, n))
    other = row != np.arange(n)[:, None]
    surplus = other.all(axis=1)  # more points coincide than were asked for: the point is not there
    other[surplus, -1] = False
    distance = distance[other].reshape(n, -1)
    target: IntArray = row[other].reshape(n, -1)[:, :k].astype(np.int64)
    tied = surplus if k == n - 1 else surplus | (distance[:, k] <= distance[:, k - 1])
    if tied.any():
        target[tied] = _break_ties(points, tree, np.flatnonzero(tied), distance[tied, k - 1], k)
    return target


def check_count(value: int, *, name: str) -> int:
    """Return a number of things as an integer.

    Parameters
    ----------
    value : int
        Whole number from 1 on.
    name : str
        Name of the argument in messages.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is no whole number from 1 on.

    Examples
    --------
    >>> check_count(10, name="n_neighbours")
    10
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < 1:
        raise InputError(f"{name} is {value}: give a whole number from 1 on")
    return int(value)


def _without_arcs(n_cells: int) -> NeighbourGraph:
    none = np.empty(0, dtype=np.int64)
    return NeighbourGraph(none, none, n_cells)


def _of_links(first: IntArray, second: IntArray, n_cells: int) -> NeighbourGraph:
    """Make each link two arcs and sort them: two counting sorts beat one comparison sort."""
    row, column = np.concatenate([first, second]), np.concatenate([second, first])
    ones = np.ones(row.size, dtype=np.int8)
    by_column = csr_array((ones, (column, row)), shape=(n_cells, n_cells))
    sorted_rows = by_column.T.tocsr()  # symmetric; the conversion leaves columns in order
    source = np.repeat(np.arange(n_cells, dtype=np.int64), np.diff(sorted_rows.indptr))
    return NeighbourGraph(source, sorted_rows.indices.astype(np.int64), n_cells)


def _break_ties(
    points: FloatArray, tree: cKDTree, rows: IntArray, reach: FloatArray, k: int
) -> IntArray:
    """Rank all candidates of the tied points by distance, x, y and row, and keep the first k."""
    found = tree.query_ball_point(points[rows], reach * (1 + _ROUNDING))
    sizes = np.fromiter((len(near) for near in found), dtype=np.int64, count=len(rows))
    candidate = np.concatenate([np.asarray(near, dtype=np.int64) for near in found])
    place = np.repeat(np.arange(len(rows)), sizes)
    other = candidate != rows[place]
    candidate, place = candidate[other], place[other]
    squared = _squared_distance(points, candidate, rows[place])
    x, y = points[candidate, 0], points[candidate, 1]
    order = np.lexsort((candidate, y, x, squared, place))
    start = np.searchsorted(place[order], np.arange(len(rows)))
    chosen: IntArray = candidate[order][start[:, None] + np.arange(k)]
    return chosen


def _squared_distance(points: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
    step = points[first] - points[second]
    squared: FloatArray = step[:, 0] ** 2 + step[:, 1] ** 2
    return squared


def _distinct(points: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the distinct points, sorted by x and y, and the one each row is."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    ranked = points[order]
    is_new = np.concatenate([[True], (ranked[1:] != ranked[:-1]).any(axis=1)])
    site_of = np.empty(len(points), dtype=np.int64)
    site_of[order] = np.cumsum(is_new) - 1
    return ranked[is_new], site_of


def _touching_sites(sites: FloatArray, site_of: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the links of the triangulation, and the site of each row once twins are merged."""
    centred = sites - sites.mean(axis=0)
    spread = np.linalg.svd(centred, compute_uv=False) if len(sites) > 2 else np.zeros(2)
    if spread[-1] <= _FLAT * spread[0]:
        return (*_along_the_line(len(sites)), site_of)
    mesh = Delaunay(centred)
    merged = np.arange(len(sites))
    merged[mesh.coplanar[:, 0]] = mesh.coplanar[:, 2]  # too close to another for Qhull
    corner, beyond = mesh.simplices.astype(np.int64), mesh.neighbors
    once = np.arange(len(corner))[:, None] > beyond  # a side between two triangles, or outermost
    first = np.roll(corner, -1, axis=1)[once]
    second = np.roll(corner, -2, axis=1)[once]
    return first, second, merged[site_of]


def _along_the_line(n_sites: int) -> tuple[IntArray, IntArray]:
    """Link each site to the next: sorted by x and y, sites of one line stand in its order."""
    first = np.arange(n_sites - 1, dtype=np.int64)
    return first, first + 1


def _expand(first: IntArray, second: IntArray, site_of: IntArray) -> tuple[IntArray, IntArray]:
    """Turn links of sites into links of cells: coinciding cells share them and link each other."""
    by_site = np.argsort(site_of, kind="stable")
    size = np.bincount(site_of)
    if size.max() == 1:
        return by_site[first], by_site[second]
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    shared = _products(start, size, first, second)
    twins = np.flatnonzero(size > 1)
    own = _products(start, size, twins, twins)
    keep: BoolArray = own[0] < own[1]
    return (
        by_site[np.concatenate([shared[0], own[0][keep]])],
        by_site[np.concatenate([shared[1], own[1][keep]])],
    )


def _products(
    start: IntArray, size: IntArray, first: IntArray, second: IntArray
) -> tuple[IntArray, IntArray]:
    """All pairs of a cell of the first site and a cell of the second, link by link."""
    count = size[first] * size[second]
    link = np.repeat(np.arange(first.size), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    width = size[second][link]
    return start[first][link] + within // width, start[second][link] + within % width
