"""Cell types as codes: each cell's place in a list of types, or -1."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import BoolArray, IntArray
from times_stats.errors import InputError


def check_types(types: Sequence[Hashable], *, name: str = "types") -> tuple[Hashable, ...]:
    """Return a list of cell types as a tuple.

    Parameters
    ----------
    types : sequence of hashable
        Types, at least one, each once; one bare string is refused, since it would be read letter
        by letter.
    name : str
        Name of the argument in messages.

    Returns
    -------
    tuple of hashable

    Raises
    ------
    InputError
        If the list is a bare string, empty, or names a type twice.

    Examples
    --------
    >>> check_types(["B", "T"])
    ('B', 'T')
    """
    if isinstance(types, str | bytes):
        raise InputError(f"{name} is the string {types!r}: give a list, as in [{types!r}]")
    listed = tuple(types)
    if not listed:
        raise InputError(f"{name} is empty: name at least one cell type")
    if len(set(listed)) < len(listed):
        twice = name_rows(value for value in listed if listed.count(value) > 1)
        raise InputError(f"{name} names {twice} more than once: name each type once")
    return listed


def type_codes(cell_type: ArrayLike, *, types: Sequence[Hashable], n_cells: int) -> IntArray:
    """Return the place of each cell's type in a list of types.

    Parameters
    ----------
    cell_type : array-like of shape (n_cells,)
        Type of each cell; none may be missing.
    types : sequence of hashable
        Types wanted, in order.
    n_cells : int
        Number of points the types belong to.

    Returns
    -------
    ndarray of int64 of shape (n_cells,)
        0 to ``len(types) - 1``, or -1 where the cell is of no type listed.

    Raises
    ------
    InputError
        If a type is missing (rows named), there is not one per point, or the list is refused by
        `check_types`.

    Examples
    --------
    >>> type_codes(["B", "T", "stroma"], types=["T", "B"], n_cells=3)
    array([ 1,  0, -1])
    """
    listed = check_types(types)
    labels = cell_type if isinstance(cell_type, pd.Series) else pd.Series(np.ravel(cell_type))
    if np.ndim(cell_type) != 1 or len(labels) != n_cells:
        raise InputError(
            f"cell_type has shape {np.shape(cell_type)} and there are {n_cells} points: give one "
            "type per point"
        )
    missing = labels.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"cell_type is missing in row {name_rows(np.flatnonzero(missing))}: name the type, or "
            "leave these cells out"
        )
    return np.asarray(pd.Index(listed).get_indexer(pd.Index(labels)), dtype=np.int64)


def is_among(cell_type: ArrayLike, *, types: Sequence[Hashable], n_cells: int) -> BoolArray:
    """Tell which cells are of one of the types listed.

    Parameters
    ----------
    cell_type : array-like of shape (n_cells,)
        Type of each cell.
    types : sequence of hashable
        Types wanted.
    n_cells : int
        Number of points the types belong to.

    Returns
    -------
    ndarray of bool of shape (n_cells,)

    Raises
    ------
    InputError
        As `type_codes`.

    Examples
    --------
    >>> is_among(["B", "T", "stroma"], types=["B", "T"], n_cells=3)
    array([ True,  True, False])
    """
    return type_codes(cell_type, types=types, n_cells=n_cells) >= 0
