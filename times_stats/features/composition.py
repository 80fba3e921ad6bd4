"""Composition of cells by type, and its diversity in bands of distance to the tumour."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.features.band_limits import band_codes, check_distance, check_edges
from times_stats.features.cell_types import check_types, type_codes

NO_CELL = "no cell of the types in the band"


def entropy_by_band(
    distance: ArrayLike,
    cell_type: ArrayLike,
    *,
    edges: ArrayLike,
    types: Sequence[Hashable],
) -> pd.DataFrame:
    """Return the diversity of cell types in bands of distance to the tumour boundary.

    Parameters
    ----------
    distance : array-like of shape (n_cells,)
        Signed distance of each cell to the boundary, micrometres, negative inside the tumour.
    cell_type : array-like of shape (n_cells,)
        Type of each cell.
    edges : array-like of shape (n_bands + 1,)
        Limits of the bands, micrometres, rising. A band holds its lower limit and not
        its upper one.
    types : sequence of hashable
        Types that make up the composition; cells of other types are counted in ``n_other`` and left
        out.

    Returns
    -------
    DataFrame
        One row per band: ``lower``, ``upper``, ``n_cells``, ``n_other``, ``n_types`` (types seen),
        ``entropy`` (`shannon_entropy`, nats), ``effective_types`` (its exponential, from 1 to the
        number of types), ``entropy_miller_madow`` (`miller_madow_entropy`), ``reason`` (why these
        are NaN, else empty).

    Raises
    ------
    InputError
        If a distance is missing or infinite, limits do not rise, or types are missing, of the wrong
        number, or named twice.

    Notes
    -----
    The effective number of types is Hill's number of order one (Hill 1973, doi:10.2307/1934352).
    The plain entropy is biased downwards in bands with few cells, so a profile of it may show the
    counts and not the composition: compare it with the corrected one.

    Examples
    --------
    >>> table = entropy_by_band(
    ...     [-20, -10, 10], ["T", "B", "T"], edges=[-100, 0, 100], types=["B", "T"])
    >>> table[["n_cells", "n_types", "effective_types"]]
       n_cells  n_types  effective_types
    0        2        2              2.0
    1        1        1              1.0
    """
    limits = check_edges(edges)
    listed = check_types(types)
    values = check_distance(distance)
    codes = type_codes(cell_type, types=listed, n_cells=values.size)
    band = band_codes(values, limits)
    width, n_bands = len(listed) + 1, limits.size - 1
    kept = band >= 0
    place = np.where(codes < 0, len(listed), codes)
    cells = np.bincount(band[kept] * width + place[kept], minlength=n_bands * width)
    counts = cells.reshape(n_bands, width)
    own = counts[:, :-1]
    plain = np.array([shannon_entropy(row) for row in own])
    return pd.DataFrame(
        {
            "lower": limits[:-1],
            "upper": limits[1:],
            "n_cells": own.sum(axis=1).astype(np.int64),
            "n_other": counts[:, -1].astype(np.int64),
            "n_types": (own > 0).sum(axis=1).astype(np.int64),
            "entropy": plain,
            "effective_types": np.exp(plain),
            "entropy_miller_madow": np.array([miller_madow_entropy(row) for row in own]),
            "reason": pd.Series(np.where(own.any(axis=1), "", NO_CELL), dtype="str"),
        }
    )


def shannon_entropy(counts: ArrayLike) -> float:
    r"""Return the Shannon entropy of a composition.

    Parameters
    ----------
    counts : array-like of shape (n_types,)
        Cells of each type.

    Returns
    -------
    float
        :math:`-\sum_k p_k \log p_k` in nats, from 0 to the log of the number of types; NaN where
        there is no cell.

    Raises
    ------
    InputError
        If a count is negative or not finite, or they are not one-dimensional.

    Examples
    --------
    >>> round(shannon_entropy([5, 5]), 6), shannon_entropy([7, 0])
    (0.693147, 0.0)
    """
    numbers = _check_counts(counts)
    total = numbers.sum()
    if total == 0:
        return float("nan")
    share = numbers[numbers > 0] / total
    return 0.0 - float((share * np.log(share)).sum())  # never -0


def miller_madow_entropy(counts: ArrayLike) -> float:
    r"""Return the Shannon entropy with the first-order correction of its bias.

    Parameters
    ----------
    counts : array-like of shape (n_types,)
        Cells of each type.

    Returns
    -------
    float
        Plain entropy plus :math:`(m - 1) / (2 n)` for m types seen among n cells, nats; NaN where
        there is no cell.

    Raises
    ------
    InputError
        As `shannon_entropy`.

    Notes
    -----
    Correction of Miller and Madow, see Paninski (2003), doi:10.1162/089976603321780272: it removes
    the leading term of the bias if all types are seen, not the rest. It may exceed the log of the
    number of types.

    Examples
    --------
    >>> round(miller_madow_entropy([5, 5]), 6)
    0.743147
    """
    numbers = _check_counts(counts)
    plain = shannon_entropy(numbers)
    seen = int((numbers > 0).sum())
    return plain + (seen - 1) / (2 * float(numbers.sum())) if seen else plain


def _check_counts(counts: ArrayLike) -> FloatArray:
    numbers = np.asarray(counts, dtype=np.float64)
    if numbers.ndim != 1:
        raise InputError(f"counts have {numbers.ndim} dimensions: give one count per type")
    wrong = ~(np.isfinite(numbers) & (numbers >= 0))
    if wrong.any():
        raise InputError(
            f"counts are negative or not finite in place {name_rows(np.flatnonzero(wrong))}: count "
            "the cells again"
        )
    return numbers
