"""Aggregates of lymphocytes, as in tertiary lymphoid structures."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components

from times_stats._checks import check_points, name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.features.band_limits import check_distance
from times_stats.features.cell_types import check_types, type_codes
from times_stats.features.neighbour_graph import NeighbourGraph, check_count, radius_graph


def find_aggregates(
    points: ArrayLike,
    cell_type: ArrayLike,
    *,
    seeds: Sequence[Hashable] = ("B",),
    members: Sequence[Hashable] = ("B", "T"),
    radius: float,
    min_cells: int,
    min_neighbours: int = 1,
    min_seeds: int = 1,
    distance: ArrayLike | None = None,
) -> pd.DataFrame:
    """Describe the aggregates of lymphocytes of an image.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres, micrometres.
    cell_type : array-like of shape (n,)
        Type of each cell.
    seeds : sequence of hashable
        Types an aggregate must hold, B cells by default; among the members.
    members : sequence of hashable
        Types an aggregate is made of.
    radius, min_cells, min_neighbours, min_seeds
        As in `label_aggregates`.
    distance : array-like of shape (n,), optional
        Signed distance of each cell to the tumour boundary, micrometres, negative inside.

    Returns
    -------
    DataFrame
        One row per aggregate, numbered as in `label_aggregates`: ``n_cells``, ``n_`` and the name
        for each member type, ``share_seeds``, ``x``, ``y`` (mean of the centres), ``area`` (convex
        hull of the centres, square micrometres: 0 for cells on a line), ``distance_mean`` and
        ``distance_min`` of its cells (NaN where no distances were given). No row where there is no
        aggregate.

    Raises
    ------
    InputError
        As `label_aggregates`, or if distances are missing, infinite or of the wrong number.

    Notes
    -----
    The area is that of the hull, not of the cells: of a crescent it is too large.

    Examples
    --------
    >>> points = [(0, 0), (10, 0), (0, 10), (300, 0)]
    >>> table = find_aggregates(points, ["B", "T", "B", "B"], radius=15, min_cells=3)
    >>> table[["n_cells", "n_B", "n_T", "area"]]
               n_cells  n_B  n_T  area
    aggregate
    0                3    2    1  50.0
    """
    checked = check_points(points)
    label = label_aggregates(
        checked,
        cell_type,
        seeds=seeds,
        members=members,
        radius=radius,
        min_cells=min_cells,
        min_neighbours=min_neighbours,
        min_seeds=min_seeds,
    )
    apart = np.full(len(checked), np.nan) if distance is None else check_distance(distance)
    if apart.size != len(checked):
        raise InputError(
            f"distance has {apart.size} values and there are {len(checked)} points: give one each"
        )
    codes = type_codes(cell_type, types=members, n_cells=len(checked))
    counts_as_seed = np.array([kind in seeds for kind in members])
    inside = np.flatnonzero(label >= 0)  # sorted: sums in one order, whatever that of the rows
    x, y = checked[inside].T
    inside = inside[np.lexsort((apart[inside], y, x, label[inside]))]
    n_found = int(label.max(initial=-1)) + 1
    starts = np.searchsorted(label[inside], np.arange(1, n_found))
    rows = []
    for cells in np.split(inside, starts) if n_found else []:
        counts = np.bincount(codes[cells], minlength=len(members))
        rows.append(
            [
                cells.size,
                *counts,
                counts[counts_as_seed].sum() / cells.size,
                *checked[cells].mean(axis=0),
                shapely.convex_hull(shapely.MultiPoint(checked[cells])).area,
                apart[cells].mean(),
                apart[cells].min(),
            ]
        )
    counted = ["n_cells", *(f"n_{kind}" for kind in members)]
    measured = ["share_seeds", "x", "y", "area", "distance_mean", "distance_min"]
    table = pd.DataFrame(
        np.array(rows, dtype=np.float64).reshape(len(rows), len(counted) + len(measured)),
        columns=[*counted, *measured],
        index=pd.RangeIndex(len(rows), name="aggregate"),
    )
    return table.astype(dict.fromkeys(counted, "int64"))


def label_aggregates(
    points: ArrayLike,
    cell_type: ArrayLike,
    *,
    seeds: Sequence[Hashable] = ("B",),
    members: Sequence[Hashable] = ("B", "T"),
    radius: float,
    min_cells: int,
    min_neighbours: int = 1,
    min_seeds: int = 1,
) -> IntArray:
    """Tell the aggregate of lymphocytes each cell belongs to.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres, micrometres.
    cell_type : array-like of shape (n,)
        Type of each cell.
    seeds : sequence of hashable
        Types an aggregate must hold, B cells by default; among the members.
    members : sequence of hashable
        Types an aggregate is made of.
    radius : float
        Largest distance of linked cells, micrometres, itself included.
    min_cells : int
        Fewest cells of an aggregate.
    min_neighbours : int
        Fewest member cells within the radius of a core cell, itself included. With 1 every member
        is a core cell and aggregates are the connected parts of the radius graph; more keeps
        strands of scattered cells from joining aggregates.
    min_seeds : int
        Fewest cells of the seed types in an aggregate.

    Returns
    -------
    ndarray of int64 of shape (n,)
        0 for the cells of the largest aggregate and so on (of equal size the one with the smaller
        mean x, then y, first), -1 for cells outside. Independent of the order of the cells.

    Raises
    ------
    InputError
        If a seed is no member, a number is not positive, types are missing, or the points are not
        pairs of finite numbers.

    Notes
    -----
    Density-based clusters of the member cells (DBSCAN, Schubert et al. 2017, doi:10.1145/3068335),
    with one difference: a cell that is no core cell joins its nearest core cell (of equally near
    ones that with the smaller x, then y), where DBSCAN takes the first found. Graphs of
    lymphocytes linked within a distance, told apart by the types of their cells, describe tertiary
    lymphoid organs in Schaadt et al. (2020), doi:10.1371/journal.pcbi.1007385. There is no agreed
    radius or number of cells: this finds aggregates that may be such structures, and cannot tell
    one without germinal centre or vessel from a dense infiltrate.

    Examples
    --------
    >>> points = [(0, 0), (10, 0), (0, 10), (300, 0)]
    >>> label_aggregates(points, ["B", "T", "B", "B"], radius=15, min_cells=3)
    array([ 0,  0,  0, -1])
    """
    checked = check_points(points)
    least = {
        name: check_count(value, name=name)
        for name, value in (
            ("min_cells", min_cells),
            ("min_neighbours", min_neighbours),
            ("min_seeds", min_seeds),
        )
    }
    allowed = check_types(members, name="members")
    foreign = [kind for kind in check_types(seeds, name="seeds") if kind not in allowed]
    if foreign:
        raise InputError(
            f"seeds name {name_rows(foreign)}, which is not among the members: add it there"
        )
    codes = type_codes(cell_type, types=allowed, n_cells=len(checked))
    is_seed = np.array([kind in seeds for kind in allowed])[codes] & (codes >= 0)
    order = np.lexsort((checked[:, 1], checked[:, 0]))
    rows = order[codes[order] >= 0]
    graph = radius_graph(checked[rows], radius=radius)
    part = _dense_parts(graph, checked[rows], graph.out_degree + 1 >= least["min_neighbours"])
    label = np.full(len(checked), -1, dtype=np.int64)
    label[rows] = _number(
        part, checked[rows], is_seed[rows], least["min_cells"], least["min_seeds"]
    )
    return label


def _dense_parts(graph: NeighbourGraph, points: FloatArray, is_core: BoolArray) -> IntArray:
    """Return the connected parts of the core cells, each other cell joined to its nearest one."""
    inner = is_core[graph.source] & is_core[graph.target]
    cores = NeighbourGraph(graph.source[inner], graph.target[inner], graph.n_cells)
    _, part = connected_components(cores.to_sparse(), directed=False)
    part = np.where(is_core, part, -1).astype(np.int64)
    outer = ~is_core[graph.source] & is_core[graph.target]
    border, core = graph.source[outer], graph.target[outer]
    squared = ((points[border] - points[core]) ** 2).sum(axis=1)
    nearest = np.lexsort((core, squared, border))  # rows are sorted by x and y
    found, first = np.unique(border[nearest], return_index=True)
    part[found] = part[core[nearest[first]]]
    return part


def _number(
    part: IntArray, points: FloatArray, is_seed: BoolArray, min_cells: int, min_seeds: int
) -> IntArray:
    """Return the place of each cell's part among those large enough, the largest first."""
    inside = part >= 0
    n_parts = int(part.max(initial=-1)) + 1
    size = np.bincount(part[inside], minlength=n_parts)
    seeds = np.bincount(part[inside & is_seed], minlength=n_parts)
    sums = [np.bincount(part[inside], points[inside, axis], minlength=n_parts) for axis in (0, 1)]
    kept = np.flatnonzero((size >= min_cells) & (seeds >= min_seeds))
    x, y = (total[kept] / size[kept] for total in sums)
    number = np.full(n_parts + 1, -1, dtype=np.int64)  # the last place is that of part -1
    number[kept[np.lexsort((y, x, -size[kept]))]] = np.arange(kept.size)
    return number[part]
