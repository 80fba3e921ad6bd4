"""Neighbourhood enrichment: which cell types are neighbours more often than by chance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from times_stats._compiled import compiled
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.features.cell_types import check_types, type_codes
from times_stats.features.neighbour_graph import NeighbourGraph, check_count

TOO_FEW_CELLS = "fewer than two cells of a type"
NO_VARIATION = "the count cannot vary"
_DIMS = ("type_from", "type_to")


def neighbourhood_enrichment(
    graph: NeighbourGraph, cell_type: ArrayLike, *, types: Sequence[Hashable]
) -> xr.Dataset:
    r"""Compare the neighbours of each pair of types with random labelling, in closed form.

    Parameters
    ----------
    graph : NeighbourGraph
        Neighbours, with or without directions.
    cell_type : array-like of shape (n_cells,)
        Type of each cell.
    types : sequence of hashable
        Types wanted. Cells of other types keep their place in the graph and take part in the random
        labelling, but have no row.

    Returns
    -------
    xarray.Dataset
        Dims ``type_from``, ``type_to``:

        ``count``
            Arcs from a cell of the one type to a cell of the other. In a graph without directions a
            link of two cells of one type is two arcs.
        ``expected``, ``sd``
            Mean and standard deviation of the count over all permutations of the labels over the
            fixed positions.
        ``z``
            ``(count - expected) / sd``; NaN where ``reason`` is not empty.
        ``reason``
            ``"fewer than two cells of a type"`` or ``"the count cannot vary"`` (no arcs, one type
            only, all cells linked to all), else empty.

    Raises
    ------
    InputError
        If types are missing, of the wrong number, or named twice.

    Notes
    -----
    With m arcs, :math:`n_a` cells of type a out of n, and falling factorials
    :math:`n^{(k)} = n (n - 1) \dots (n - k + 1)`, the mean is :math:`m\, n_a n_b / n^{(2)}`
    for two types and :math:`m\, n_a^{(2)} / n^{(2)}` for one. The second moment sums over pairs of
    arcs by what they share: both cells, an arc and its reverse, the source, the target, the target
    of one as the source of the other, nothing. These are the join counts of several colours without
    replacement (Cliff and Ord 1981, Spatial Processes; Epperson 2003,
    doi:10.1016/S0040-5809(03)00023-6), here for graphs with directions as well. Sums are exact
    integers, so large graphs neither overflow nor cancel. The z score is a scale, not a p value:
    it is approximately normal only where both types and the expected count are large.

    Examples
    --------
    >>> from times_stats.features.neighbour_graph import radius_graph
    >>> line = radius_graph([(0, 0), (1, 0), (2, 0), (3, 0)], radius=1)
    >>> found = neighbourhood_enrichment(line, ["T", "T", "B", "B"], types=["B", "T"])
    >>> found["count"].to_numpy()
    array([[2, 1],
           [1, 2]])
    >>> found["expected"].to_numpy()
    array([[1., 2.],
           [2., 1.]])
    """
    listed = check_types(types)
    codes = type_codes(cell_type, types=listed, n_cells=graph.n_cells)
    n_of_type = np.bincount(codes[codes >= 0], minlength=len(listed))
    count = _count_arcs(graph, codes, len(listed))
    expected, variance = _moments(graph, n_of_type)
    return _as_dataset(listed, n_of_type, count, expected, np.sqrt(variance))


def permute_neighbourhood_enrichment(
    graph: NeighbourGraph,
    cell_type: ArrayLike,
    *,
    types: Sequence[Hashable],
    n_permutations: int,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Compare the counts of neighbours of each pair of types with permuted labels.

    What `neighbourhood_enrichment` knows in closed form, with p values on top.

    Parameters
    ----------
    graph : NeighbourGraph
        Neighbours, with or without directions.
    cell_type : array-like of shape (n_cells,)
        Type of each cell.
    types : sequence of hashable
        Types wanted; cells of other types are permuted along.
    n_permutations : int
        Permutations of the labels over the fixed positions, two or more.
    rng : numpy.random.Generator
        Source of the permutations.

    Returns
    -------
    xarray.Dataset
        As `neighbourhood_enrichment`, with mean and standard deviation over the permutations, and
        ``p_more`` and ``p_fewer``: the share of labellings, the observed one included, with at
        least, or at most, as many arcs.

    Raises
    ------
    InputError
        If `n_permutations` is not a whole number from 2 on, or as `neighbourhood_enrichment`.

    Notes
    -----
    p values with the observed labelling counted (Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585); one-sided, not adjusted for the number of pairs of types.

    Examples
    --------
    >>> from times_stats.features.neighbour_graph import radius_graph
    >>> line = radius_graph([(0, 0), (1, 0), (2, 0), (3, 0)], radius=1)
    >>> found = permute_neighbourhood_enrichment(
    ...     line, ["T", "T", "B", "B"], types=["B", "T"], n_permutations=99,
    ...     rng=np.random.default_rng(1))
    >>> bool(found["p_more"].sel(type_from="B", type_to="B") > 0.2)
    True
    """
    listed = check_types(types)
    codes = type_codes(cell_type, types=listed, n_cells=graph.n_cells)
    n_permuted = check_count(n_permutations, name="n_permutations")
    if n_permuted < 2:
        raise InputError("n_permutations is 1: give 2 or more, one has no spread")
    n_of_type = np.bincount(codes[codes >= 0], minlength=len(listed))
    count = _count_arcs(graph, codes, len(listed))
    permuted = np.stack(
        [_count_arcs(graph, rng.permutation(codes), len(listed)) for _ in range(n_permuted)]
    )
    spread = permuted.std(axis=0, ddof=1)
    table = _as_dataset(listed, n_of_type, count, permuted.mean(axis=0), spread)
    for name, hits in (("p_more", permuted >= count), ("p_fewer", permuted <= count)):
        table[name] = (_DIMS, (hits.sum(axis=0) + 1) / (n_permuted + 1))
    return table.assign_attrs(n_permutations=n_permuted)


def _count_arcs(graph: NeighbourGraph, codes: IntArray, n_types: int) -> IntArray:
    """Count the arcs by type of source and target; the last class, all other types, is cut off."""
    place = np.where(codes < 0, n_types, codes)
    counts = np.zeros((n_types + 1, n_types + 1), dtype=np.int64)
    _add_arcs(graph.source, graph.target, place, counts)
    return counts[:n_types, :n_types]


@compiled
def _add_arcs(source: IntArray, target: IntArray, place: IntArray, counts: IntArray) -> None:
    for arc in range(source.size):
        counts[place[source[arc]], place[target[arc]]] += 1


@compiled
def _count_reversed(source: IntArray, target: IntArray, start: IntArray) -> int:
    """Count the arcs whose reverse is an arc too, by bisection among the sorted neighbours."""
    found = 0
    for arc in range(source.size):
        low, high = start[target[arc]], start[target[arc] + 1]
        while low < high:
            middle = (low + high) // 2
            if target[middle] < source[arc]:
                low = middle + 1
            else:
                high = middle
        found += low < start[target[arc] + 1] and target[low] == source[arc]
    return found


def _moments(graph: NeighbourGraph, n_of_type: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of the counts over all labellings, in integers of any size."""
    n = graph.n_cells
    same, reverse, source, target, chain, apart = _pairs_of_arcs(graph)
    cells: Any = n_of_type.astype(object)
    first, second = cells[:, None], cells[None, :]
    alike = np.eye(len(cells), dtype=bool)
    # Labellings in which the cells of both arcs have the types asked for, by number of cells.
    two = np.where(alike, first * (first - 1), first * second)
    two_and_back = np.where(alike, two, 0)
    source_shared = np.where(alike, two * (first - 2), two * (second - 1))
    target_shared = np.where(alike, two * (first - 2), two * (first - 1))
    chained = np.where(alike, two * (first - 2), 0)
    four = np.where(alike, two * (first - 2) * (first - 3), two * (first - 1) * (second - 1))
    third, fourth = max(n - 2, 1), max(n - 3, 1)  # 1 where no pair of arcs has so many cells
    pairs = max(n * (n - 1), 1)
    moment = (
        (same * two + reverse * two_and_back) * third * fourth
        + (source * source_shared + target * target_shared + 2 * chain * chained) * fourth
        + apart * four
    )
    numerator = pairs * moment - same**2 * two**2 * third * fourth
    denominator = pairs**2 * third * fourth
    expected = (same * two / pairs).astype(np.float64)
    return expected, (numerator / denominator).astype(np.float64)


def _pairs_of_arcs(graph: NeighbourGraph) -> tuple[int, int, int, int, int, int]:
    """Count the ordered pairs of arcs: same, reversed, one source, one target, chained, apart."""
    out, into = graph.out_degree, graph.in_degree
    same = graph.source.size
    start = np.concatenate([[0], np.cumsum(out)])
    reverse = int(_count_reversed(graph.source, graph.target, start))
    source = int((out * (out - 1)).sum())
    target = int((into * (into - 1)).sum())
    chain = int((out * into).sum()) - reverse
    apart = same * same - same - reverse - source - target - 2 * chain
    return same, reverse, source, target, chain, apart


def _as_dataset(
    types: tuple[Hashable, ...],
    n_of_type: IntArray,
    count: IntArray,
    expected: FloatArray,
    sd: FloatArray,
) -> xr.Dataset:
    few = n_of_type < 2
    reason = np.where(sd > 0, "", NO_VARIATION).astype(object)
    reason[few[:, None] | few[None, :]] = TOO_FEW_CELLS
    known = reason == ""
    z = np.full(count.shape, np.nan)
    z[known] = (count[known] - expected[known]) / sd[known]
    return xr.Dataset(
        {
            "count": (_DIMS, count),
            "expected": (_DIMS, expected),
            "sd": (_DIMS, sd),
            "z": (_DIMS, z),
            "reason": (_DIMS, reason.astype(str)),
        },
        coords={"type_from": list(types), "type_to": list(types)},
    )
