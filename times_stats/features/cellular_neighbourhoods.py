"""Cellular neighbourhoods: kinds of surroundings, learned on some images and found in others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from times_stats import __version__
from times_stats._checks import Faults, check_points
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.features.cell_types import check_types, type_codes
from times_stats.features.neighbour_graph import check_count, nearest_rows

NO_CELL = "no cell in the image"
_STARTS = 10
_MAX_STEPS = 1000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NeighbourhoodComposition:
    """What surrounds each cell of one image.

    Attributes
    ----------
    shares : ndarray of shape (n_cells, n_types)
        Share of each type among the cells of the window; rows sum to one less the share of types
        not listed.
    types : tuple of hashable
        Types of the columns.
    n_neighbours : int
        Cells in a window, the cell itself included.

    Examples
    --------
    >>> neighbourhood_composition([(0, 0), (1, 0)], ["B", "T"], types=["B", "T"], n_neighbours=2)
    <NeighbourhoodComposition: 2 cells, 2 types, windows of 2 cells>
    """

    shares: FloatArray
    types: tuple[Hashable, ...]
    n_neighbours: int

    def __repr__(self) -> str:
        n_cells, n_types = self.shares.shape
        return (
            f"<NeighbourhoodComposition: {n_cells} cells, {n_types} types, windows of "
            f"{self.n_neighbours} cells>"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Neighbourhoods:
    """Kinds of surroundings learned on training images, the most frequent first.

    Attributes
    ----------
    centres : ndarray of shape (n_neighbourhoods, n_types)
        Mean composition of each kind.
    types : tuple of hashable
        Types of the columns.
    n_neighbours : int
        Cells in a window, the cell itself included.
    n_cells : ndarray of int64 of shape (n_neighbourhoods,)
        Training cells of each kind.
    n_images : int
        Training images.
    inertia : float
        Sum of squared distances of the training cells to their centres.
    converged : bool
        Whether the search for the centres came to rest.
    versions : tuple of (str, str)
        Packages that learned them, and their versions.

    Examples
    --------
    >>> image = neighbourhood_composition(
    ...     [(0, 0), (1, 0), (9, 0), (10, 0)], ["B", "B", "T", "T"], types=["B", "T"],
    ...     n_neighbours=2)
    >>> learn_neighbourhoods([image], n_neighbourhoods=2, rng=np.random.default_rng(1))
    <Neighbourhoods: 2 kinds of 2 types, learned on 4 cells of 1 images>
    """

    centres: FloatArray
    types: tuple[Hashable, ...]
    n_neighbours: int
    n_cells: IntArray
    n_images: int
    inertia: float
    converged: bool
    versions: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        n_kinds, n_types = self.centres.shape
        return (
            f"<Neighbourhoods: {n_kinds} kinds of {n_types} types, learned on "
            f"{int(self.n_cells.sum())} cells of {self.n_images} images>"
        )


def neighbourhood_composition(
    points: ArrayLike, cell_type: ArrayLike, *, types: Sequence[Hashable], n_neighbours: int
) -> NeighbourhoodComposition:
    """Return the composition of the window of nearest cells around each cell of one image.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres of one image, micrometres.
    cell_type : array-like of shape (n,)
        Type of each cell.
    types : sequence of hashable
        Types of the composition; cells of other types keep their place in the windows.
    n_neighbours : int
        Cells in a window, the cell itself included; the whole image where it has fewer.

    Returns
    -------
    NeighbourhoodComposition
        One row per cell, in the order of the points.

    Raises
    ------
    InputError
        If `n_neighbours` is not a whole number from 1 on, types are missing, of the wrong number or
        named twice, or the points are not pairs of finite numbers.

    Notes
    -----
    Windows of Schürch et al. (2020), doi:10.1016/j.cell.2020.07.005, with 10 cells: as in their
    code the cell itself is the first of them. Equally far cells are told apart as in
    `nearest_neighbour_graph`. Cells at the edge of the image look inwards only.

    Examples
    --------
    >>> found = neighbourhood_composition(
    ...     [(0, 0), (1, 0), (5, 0)], ["B", "T", "T"], types=["B", "T"], n_neighbours=2)
    >>> found.shares
    array([[0.5, 0.5],
           [0.5, 0.5],
           [0. , 1. ]])
    """
    checked = check_points(points)
    listed = check_types(types)
    size = check_count(n_neighbours, name="n_neighbours")
    n = len(checked)
    codes = type_codes(cell_type, types=listed, n_cells=n)
    place = np.where(codes < 0, len(listed), codes)
    others = min(size, n) - 1
    row = np.arange(n, dtype=np.int64)[:, None]
    if others > 0:
        row = np.concatenate([row, nearest_rows(checked, n_neighbours=others)], axis=1)
    width = len(listed) + 1
    cell = np.arange(n, dtype=np.int64)[:, None] * width + place[row]
    counts = np.bincount(cell.ravel(), minlength=n * width).reshape(n, width)[:, :-1]
    return NeighbourhoodComposition(counts / max(others + 1, 1), listed, size)


def learn_neighbourhoods(
    compositions: Sequence[NeighbourhoodComposition],
    *,
    n_neighbourhoods: int,
    rng: np.random.Generator,
) -> Neighbourhoods:
    """Learn the kinds of surroundings of the cells of training images, by k-means.

    Parameters
    ----------
    compositions : sequence of NeighbourhoodComposition
        One per training image. Images that are to be judged later have no place here: kinds
        learned on them would know them.
    n_neighbourhoods : int
        Number of kinds.
    rng : numpy.random.Generator
        Source of the starts.

    Returns
    -------
    Neighbourhoods
        Kind 0 is the most frequent one among the training cells, and so on; equally frequent kinds
        are ordered by their centres. Given the state of `rng`, the result does not depend on the
        order of cells or images, nor on the number of threads.

    Raises
    ------
    InputError
        If there is no training cell, images differ in types or size of the windows, or there are
        fewer different compositions than kinds.

    Notes
    -----
    k-means (scikit-learn, Lloyd's algorithm, k-means++, the best of ten starts) on the shares, as
    in Schürch et al. (2020), doi:10.1016/j.cell.2020.07.005. Compositions that occur several times
    enter once, with their number as weight. Images count by their cells: a large image shapes the
    kinds more than a small one.

    Examples
    --------
    >>> image = neighbourhood_composition(
    ...     [(0, 0), (1, 0), (2, 0), (9, 0), (10, 0)], ["T", "T", "T", "B", "B"],
    ...     types=["B", "T"], n_neighbours=2)
    >>> learn_neighbourhoods([image], n_neighbourhoods=2, rng=np.random.default_rng(1)).centres
    array([[0., 1.],
           [1., 0.]])
    """
    n_kinds = check_count(n_neighbourhoods, name="n_neighbourhoods")
    images = list(compositions)
    if not images:
        raise InputError("compositions are empty: give one per training image")
    faults = Faults()
    for image in images:
        _add_difference(faults, image, images[0].types, images[0].n_neighbours)
    faults.raise_if_any("compositions")
    rows, weight = np.unique(
        np.concatenate([image.shares for image in images]), axis=0, return_counts=True
    )
    if len(rows) < n_kinds:
        raise InputError(
            f"n_neighbourhoods is {n_kinds} but the training cells have {len(rows)} different "
            "compositions: ask for fewer kinds, or give more images"
        )
    search = KMeans(
        n_kinds, n_init=_STARTS, max_iter=_MAX_STEPS, random_state=int(rng.integers(2**31))
    )
    with threadpool_limits(limits=1):  # sums over threads would round differently
        search.fit(rows, sample_weight=weight.astype(np.float64))
    centres: FloatArray = search.cluster_centers_
    kind = _nearest_centre(rows, centres)
    n_cells = np.bincount(kind, weights=weight, minlength=n_kinds).astype(np.int64)
    order = np.lexsort((*centres.T[::-1], -n_cells))
    return Neighbourhoods(
        centres=centres[order],
        types=images[0].types,
        n_neighbours=images[0].n_neighbours,
        n_cells=n_cells[order],
        n_images=len(images),
        inertia=float(search.inertia_),
        converged=bool(search.n_iter_ < _MAX_STEPS),
        versions=(("times_stats", __version__), ("scikit-learn", sklearn.__version__)),
    )


def assign_neighbourhoods(
    neighbourhoods: Neighbourhoods, composition: NeighbourhoodComposition
) -> IntArray:
    """Tell the kind of surroundings of each cell of an image.

    Parameters
    ----------
    neighbourhoods : Neighbourhoods
        Kinds learned on training images.
    composition : NeighbourhoodComposition
        Windows of the image, of the same types and size.

    Returns
    -------
    ndarray of int64 of shape (n_cells,)
        Kind with the nearest centre, the lower number of two equally near; nothing is learned here,
        and a cell's kind depends on its own window only.

    Raises
    ------
    InputError
        If the types or the size of the windows are not those of the training.

    Examples
    --------
    >>> image = neighbourhood_composition(
    ...     [(0, 0), (1, 0), (2, 0), (9, 0), (10, 0)], ["T", "T", "T", "B", "B"],
    ...     types=["B", "T"], n_neighbours=2)
    >>> kinds = learn_neighbourhoods([image], n_neighbourhoods=2, rng=np.random.default_rng(1))
    >>> assign_neighbourhoods(kinds, image)
    array([0, 0, 0, 1, 1])
    """
    faults = Faults()
    _add_difference(faults, composition, neighbourhoods.types, neighbourhoods.n_neighbours)
    faults.raise_if_any("composition")
    return _nearest_centre(composition.shares, neighbourhoods.centres)


def neighbourhood_shares(
    neighbourhoods: Neighbourhoods, compositions: Mapping[str, NeighbourhoodComposition]
) -> pd.DataFrame:
    """Return the share of cells of each kind of surroundings, image by image.

    Parameters
    ----------
    neighbourhoods : Neighbourhoods
        Kinds learned on training images.
    compositions : mapping of str to NeighbourhoodComposition
        Windows of each image, by ``image_id``.

    Returns
    -------
    DataFrame
        Indexed by ``image_id`` in the order given: ``n_cells``, ``share_0`` and so on (they sum to
        one), ``reason`` (why the shares are NaN, else empty).

    Raises
    ------
    InputError
        As `assign_neighbourhoods`.

    Examples
    --------
    >>> image = neighbourhood_composition(
    ...     [(0, 0), (1, 0), (2, 0), (9, 0), (10, 0)], ["T", "T", "T", "B", "B"],
    ...     types=["B", "T"], n_neighbours=2)
    >>> kinds = learn_neighbourhoods([image], n_neighbourhoods=2, rng=np.random.default_rng(1))
    >>> neighbourhood_shares(kinds, {"a": image})
              n_cells  share_0  share_1 reason
    image_id
    a               5      0.6      0.4
    """
    n_kinds = len(neighbourhoods.centres)
    rows = []
    for image in compositions.values():
        kind = assign_neighbourhoods(neighbourhoods, image)
        count = np.bincount(kind, minlength=n_kinds)
        rows.append(count / kind.size if kind.size else np.full(n_kinds, np.nan))
    sizes = [len(image.shares) for image in compositions.values()]
    index = pd.Index([str(name) for name in compositions], name="image_id", dtype="str")
    table = pd.DataFrame(
        np.array(rows).reshape(len(index), n_kinds),
        index=index,
        columns=[f"share_{number}" for number in range(n_kinds)],
    )
    table.insert(0, "n_cells", np.array(sizes, dtype=np.int64))
    reasons = ["" if size else NO_CELL for size in sizes]
    table["reason"] = pd.Series(reasons, index=index, dtype="str")
    return table


def _add_difference(
    faults: Faults,
    image: NeighbourhoodComposition,
    types: tuple[Hashable, ...],
    n_neighbours: int,
) -> None:
    if image.types != types:
        faults.add(f"types are {image.types} and not {types}: use one list of types for all images")
    if image.n_neighbours != n_neighbours:
        faults.add(
            f"windows have {image.n_neighbours} cells and not {n_neighbours}: use one n_neighbours "
            "for all images"
        )


def _nearest_centre(shares: FloatArray, centres: FloatArray) -> IntArray:
    """Distances row by row, so that no row's rounding depends on the others."""
    kind: IntArray = cdist(shares, centres, "sqeuclidean").argmin(axis=1).astype(np.int64)
    return kind
