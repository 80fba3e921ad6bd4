"""Bands of distance to the tumour boundary, and the band of each cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.regions.compartments import check_signed_distance


def check_edges(edges: ArrayLike) -> FloatArray:
    """Return the limits of the bands as a clean array.

    Parameters
    ----------
    edges : array-like of shape (n_bands + 1,)
        Limits in micrometres, rising; negative inside the tumour.

    Returns
    -------
    ndarray of shape (n_bands + 1,)

    Raises
    ------
    InputError
        If there are fewer than two limits, or they are not finite and strictly rising.

    Examples
    --------
    >>> check_edges([-100, 0, 100])
    array([-100.,    0.,  100.])
    """
    try:
        limits = np.asarray(edges, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("edges are not numeric: give the limits of the bands") from None
    if limits.ndim != 1 or limits.size < 2:
        raise InputError(f"edges have shape {limits.shape}: give two limits or more")
    if not np.isfinite(limits).all() or (np.diff(limits) <= 0).any():
        raise InputError("edges are not finite and strictly rising: sort them, each once")
    return limits


def check_distance(distance: ArrayLike) -> FloatArray:
    """Return signed distances as a clean array.

    Parameters
    ----------
    distance : array-like of shape (n_cells,)
        Micrometres; no cell at all is allowed.

    Returns
    -------
    ndarray of shape (n_cells,)

    Raises
    ------
    InputError
        If the array is not numeric, not one-dimensional, or holds a value that is not finite.

    Examples
    --------
    >>> check_distance([-20, 35.5])
    array([-20. ,  35.5])
    """
    values = check_signed_distance(distance)
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise InputError(
            f"distance is missing or infinite in row {name_rows(np.flatnonzero(wrong))}: leave "
            "these cells out, or draw the boundary of the tumour"
        )
    return values


def band_codes(distance: FloatArray, limits: FloatArray) -> IntArray:
    """Return the band of each distance.

    Parameters
    ----------
    distance : ndarray of shape (n_cells,)
        Micrometres, checked.
    limits : ndarray of shape (n_bands + 1,)
        Rising limits, checked. A band holds its lower limit and not its upper one.

    Returns
    -------
    ndarray of int64 of shape (n_cells,)
        0 to ``n_bands - 1``, or -1 outside all bands.

    Examples
    --------
    >>> band_codes(np.array([-1.0, 0.0, 5.0, 10.0, 11.0]), np.array([0.0, 5.0, 10.0]))
    array([-1,  0,  1, -1, -1])
    """
    band = np.searchsorted(limits, distance, side="right") - 1
    band[band > limits.size - 2] = -1
    return band.astype(np.int64)
