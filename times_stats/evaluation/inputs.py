"""Checks of predictions: risks, survival probabilities and evaluation times."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError

_TOLERANCE = 1e-6  # float32 probabilities may leave [0, 1] by rounding


def check_values(values: ArrayLike, n: int, name: str) -> FloatArray:
    """Return one finite number per patient.

    Parameters
    ----------
    values : array-like, shape (n,)
        Numbers to check.
    n : int
        Number of patients.
    name : str
        Name of the argument in messages.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    InputError
        If the shape is wrong, or a value is missing, infinite or not numeric.

    Examples
    --------
    >>> check_values([1, 2], 2, "risk")
    array([1., 2.])
    """
    return _finite(values, (n,), name)


def check_times(times: ArrayLike) -> FloatArray:
    """Return positive, increasing evaluation times.

    Parameters
    ----------
    times : array-like, shape (n_times,)
        Times (months).

    Returns
    -------
    ndarray of float64, shape (n_times,)

    Raises
    ------
    InputError
        If there is no time, or the times are not positive and increasing.

    Examples
    --------
    >>> check_times([12, 24])
    array([12., 24.])
    """
    try:
        grid = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("times are not numeric: give a list of months") from None
    if grid.ndim != 1 or grid.size == 0 or not np.isfinite(grid).all():
        raise InputError("times are not a list of finite numbers: give at least one time")
    if grid[0] <= 0 or (np.diff(grid) <= 0).any():
        raise InputError("times are not positive and increasing: sort them and drop repeats")
    return grid


def refuse_entry(entry: ArrayLike | None) -> None:
    """Refuse delayed entry, with the reason, where a measure weighs for censoring.

    Parameters
    ----------
    entry : array-like, shape (n,), or None
        Delayed entry; zeros for all are no delay.

    Raises
    ------
    InputError
        If a patient entered late, or entry is not numeric.

    Examples
    --------
    >>> refuse_entry(None)
    >>> refuse_entry([0, 0])
    """
    if entry is None:
        return
    try:
        late = np.asarray(entry, dtype=np.float64) != 0
    except (TypeError, ValueError):
        raise InputError("entry is not numeric: give an array of numbers") from None
    if late.any():
        raise InputError(
            f"entry is delayed in row {name_rows(np.flatnonzero(late))}, and this measure is of "
            "patients followed from time zero: those who had the event before they could enter are "
            "missing, and no weight for censoring brings them back; use concordance_harrell, "
            "calibration_slope, calibration_groups or observed_expected, which take entry, or "
            "log_density_score"
        )


def check_probabilities(values: ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    """Return probabilities of a given shape.

    Parameters
    ----------
    values : array-like
        Probabilities.
    shape : tuple of int
        Shape required; patients on the first axis.
    name : str
        Name of the argument in messages.

    Returns
    -------
    ndarray of float64
        Values, with rounding errors outside [0, 1] clipped.

    Raises
    ------
    InputError
        If the shape is wrong, or a value is missing or outside [0, 1].

    Examples
    --------
    >>> check_probabilities([0.1, 0.9], (2,), "survival")
    array([0.1, 0.9])
    """
    array = _finite(values, shape, name)
    outside = (array < -_TOLERANCE) | (array > 1 + _TOLERANCE)
    if outside.any():
        raise InputError(
            f"{name} is outside [0, 1] in row {name_rows(np.unique(np.nonzero(outside)[0]))}: "
            "give probabilities"
        )
    return np.clip(array, 0.0, 1.0)


def _finite(values: ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not numeric: give an array of numbers") from None
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}: give shape {shape}, patients first")
    wrong = ~np.isfinite(array)
    if wrong.any():
        raise InputError(
            f"{name} is missing or infinite in row {name_rows(np.unique(np.nonzero(wrong)[0]))}: "
            "leave those patients out of every model compared"
        )
    return array
