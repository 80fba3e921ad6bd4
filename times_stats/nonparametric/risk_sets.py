"""Who is at risk, in which group, and what leaves the risk set at each time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError


def risk_sets(
    time: FloatArray, event: IntArray, weights: FloatArray, *, entry: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the distinct times, and at each the weight at risk, of events and of censorings.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    weights : ndarray, shape (n,)
        Case weights, not negative.
    entry : ndarray, shape (n,), optional
        Delayed entry: a patient is at risk after `entry`, up to and including `time`; with entry 0
        from time zero on, an event at time zero included.

    Returns
    -------
    tuple of four ndarray, shape (k,)
        Times, increasing; weight at risk just before each; weight of the events and of the
        censorings at it.

    Examples
    --------
    >>> risk_sets(np.array([1.0, 2.0, 2.0]), np.array([1, 1, 0]), np.ones(3))
    (array([1., 2.]), array([3., 2.]), array([1., 1.]), array([0., 1.]))
    """
    times, position = np.unique(time, return_inverse=True)
    leaving = np.bincount(position, weights, times.size)
    events = np.bincount(position, weights * event, times.size)
    censored = np.bincount(position, weights * (1 - event), times.size)
    at_risk = leaving[::-1].cumsum()[::-1]
    if entry is not None:
        # the weight that enters at or after a time is not yet at risk there
        late = np.flatnonzero(entry > 0)
        order = late[np.argsort(entry[late], kind="stable")]
        later = np.r_[weights[order][::-1].cumsum()[::-1], 0.0]
        at_risk = at_risk - later[np.searchsorted(entry[order], times, side="left")]
    return times, at_risk, events, censored


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, 0 where nothing is at risk.

    Parameters
    ----------
    numerator, denominator : ndarray
        Arrays that broadcast; the denominator is not negative.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> divide(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    array([0.5, 0. ])
    """
    top, bottom = np.broadcast_arrays(numerator, denominator)
    quotient: FloatArray = np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)
    return quotient


def group_codes(group: ArrayLike, n: int, *, kind: str) -> tuple[list[str], IntArray]:
    """Return the sorted names of the groups and the position of each patient's among them.

    Parameters
    ----------
    group : array-like, shape (n,)
        Label of each patient.
    n : int
        Number of patients.
    kind : str
        What a label is called in an error ("stratum", "group").

    Returns
    -------
    tuple of list of str and ndarray of int64, shape (n,)

    Raises
    ------
    InputError
        If labels are missing or not `n` in number.

    Examples
    --------
    >>> group_codes(["west", "east", "west"], 3, kind="stratum")
    (['east', 'west'], array([1, 0, 1]))
    """
    labels = np.asarray(group)
    if labels.shape != (n,):
        raise InputError(
            f"{kind} labels have shape {labels.shape}: give one for each of {n} patients"
        )
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        raise InputError(
            f"{kind} labels are missing in row {name_rows(np.flatnonzero(missing))}: give all"
        )
    names, code = np.unique(labels.astype(str), return_inverse=True)
    return [str(name) for name in names], code.astype(np.int64)
