"""Checks shared by every layer: collected faults, named rows, survival outcomes."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable

import numpy as np
import pandas as pd

from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError

_MAX_NAMED = 5
_AT_SCANS = "fit_survival takes events found at scans, log_density_score compares models of them"
_OTHER_OUTCOMES = {
    "entry": (
        "fit_survival takes delayed entry, and so do kaplan_meier, concordance_harrell, "
        "calibration_slope, calibration_groups and observed_expected"
    ),
    "time_lower": _AT_SCANS,
    "time_upper": _AT_SCANS,
}


class Faults:
    """Faults of one input, collected so that they are reported together.

    Examples
    --------
    >>> faults = Faults()
    >>> faults.add("column 'time' is missing: add it")
    >>> bool(faults)
    True
    >>> faults.raise_if_any("patients.csv")
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: patients.csv: column 'time' is missing: add it
    """

    __slots__ = ("messages",)

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        """Record one fault, on one line, once.

        Parameters
        ----------
        message : str
            What is wrong, where, and the remedy.
        """
        line = " ".join(message.split())
        if line not in self.messages:
            self.messages.append(line)

    def extend(self, messages: Iterable[str]) -> None:
        """Record several faults.

        Parameters
        ----------
        messages : iterable of str
            One sentence per fault.
        """
        for message in messages:
            self.add(message)

    def __bool__(self) -> bool:
        return bool(self.messages)

    def __len__(self) -> int:
        return len(self.messages)

    def raise_if_any(self, source: str | None = None) -> None:
        """Raise one error that lists every fault, if there is one.

        Parameters
        ----------
        source : str, optional
            File or table the faults were found in.

        Raises
        ------
        InputError
            If a fault was recorded.
        """
        if self.messages:
            raise InputError(self.messages, source=source)


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """Return the words that point to the nearest known name; empty if none is near.

    Parameters
    ----------
    name : str
        What was written.
    known : iterable of str
        What could have been meant.

    Returns
    -------
    str

    Examples
    --------
    >>> nearest_hint("vent", ["time", "event"]), nearest_hint("x", ["time", "event"])
    (" (nearest: 'event')", '')
    """
    near = nearest_key(name, known)
    return f" (nearest: '{near}')" if near else ""


def name_rows(ids: Iterable[object]) -> str:
    """Name at most five rows, and count the others.

    Parameters
    ----------
    ids : iterable of object
        Patient identifiers or row numbers.

    Returns
    -------
    str
        The names, separated by commas.

    Examples
    --------
    >>> name_rows([1, 7, 12])
    '1, 7, 12'
    >>> name_rows(range(9))
    '0, 1, 2, 3, 4 (and 4 more)'
    """
    names = list(dict.fromkeys(str(value) for value in ids))
    shown = ", ".join(names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} (and {more} more)" if more > 0 else shown


def nearest_key(key: str, known: Iterable[str]) -> str | None:
    """Return the known name most like the one given, if any is close.

    Parameters
    ----------
    key : str
        Name that is not known.
    known : iterable of str
        Names that are.

    Returns
    -------
    str or None
        Nearest name, or None where none resembles it.

    Examples
    --------
    >>> nearest_key("horizn", ["horizon", "seed"])
    'horizon'
    >>> nearest_key("zzz", ["horizon", "seed"]) is None
    True
    """
    by_lower = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(str(key).lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def check_survival_arrays(time: object, event: object) -> tuple[FloatArray, IntArray]:
    """Return follow-up times and event indicators as clean arrays.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, finite and not negative.
    event : array-like, shape (n,)
        1 where the event happened, 0 where follow-up was censored.

    Returns
    -------
    time : ndarray of float64, shape (n,)
    event : ndarray of int64, shape (n,)

    Raises
    ------
    InputError
        If the arrays are empty, not one-dimensional, of unequal length, not numeric, or hold a
        value that is not allowed. Rows are named by position; values never are.

    Examples
    --------
    >>> check_survival_arrays([1, 2.5], [True, False])
    (array([1. , 2.5]), array([1, 0]))
    """
    faults = Faults()
    arrays: dict[str, FloatArray] = {}
    for name, values in (("time", time), ("event", event)):
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            faults.add(f"{name} is not numeric: give an array of numbers")
            continue
        if array.ndim != 1:
            faults.add(f"{name} has {array.ndim} dimensions: give one value per patient")
            continue
        arrays[name] = array
    if len(arrays) == 2 and arrays["time"].shape != arrays["event"].shape:
        faults.add(
            f"time has {arrays['time'].size} values and event {arrays['event'].size}: "
            "give one of each per patient"
        )
    if "time" in arrays:
        times = arrays["time"]
        if times.size == 0:
            faults.add("time is empty: give at least one patient")
        _add_rows(faults, ~np.isfinite(times), "time is missing or infinite", "give finite times")
        _add_rows(faults, times < 0, "time is negative", "give times from time zero on")
    if "event" in arrays:
        events = arrays["event"]
        _add_rows(faults, (events != 0) & (events != 1), "event is not 0 or 1", "code it 0 or 1")
    faults.raise_if_any()
    return arrays["time"], arrays["event"].astype(np.int64)


def check_positive_horizon(horizon: float) -> None:
    """Refuse a horizon that is no positive number.

    Parameters
    ----------
    horizon : float
        Landmark (months).

    Raises
    ------
    InputError
        If the horizon is not a number, missing, infinite, or not positive.

    Examples
    --------
    >>> check_positive_horizon(24)
    """
    if not isinstance(horizon, numbers.Real):
        raise InputError("horizon is not a number: give a positive number of months")
    if not (np.isfinite(horizon) and horizon > 0):
        raise InputError(f"horizon is {horizon:g}: give a positive number of months")


def check_entry(entry: object, time: FloatArray) -> FloatArray:
    """Return times of delayed entry as a clean array.

    Parameters
    ----------
    entry : array-like, shape (n,)
        Time at which each patient came under observation, 0 or later and before `time`.
    time : ndarray, shape (n,)
        Checked follow-up.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    InputError
        If entries are not numeric, not one per patient, negative, or not before the follow-up time.

    Examples
    --------
    >>> check_entry([0, 1], np.array([2.0, 3.0]))
    array([0., 1.])
    """
    try:
        entries = np.asarray(entry, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("entry is not numeric: give an array of numbers") from None
    if entries.shape != time.shape:
        raise InputError(f"entry has shape {entries.shape}: give one value for each of {time.size}")
    faults = Faults()
    _add_rows(faults, ~np.isfinite(entries), "entry is missing or infinite", "give 0 for time zero")
    _add_rows(faults, entries < 0, "entry is negative", "give times from time zero on")
    late = entries >= time
    _add_rows(faults, late, "entry is not before time", "leave out patients never observed")
    faults.raise_if_any()
    return entries


def check_cause(event: IntArray, cause: object) -> IntArray:
    """Return what ended each follow-up, checked against the event indicator.

    Parameters
    ----------
    event : ndarray of int, shape (n,)
        Checked event indicator of the cause of interest.
    cause : array-like of int, shape (n,)
        0 censored, 1 the event of interest, 2, 3, ... competing events.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    InputError
        If a cause is not a whole number from 0 on, or event and cause disagree.

    Examples
    --------
    >>> check_cause(np.array([1, 0, 0]), [1, 2, 0])
    array([1, 2, 0])
    """
    try:
        kinds = np.asarray(cause, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("cause is not numeric: code it 0, 1, 2") from None
    if kinds.shape != event.shape:
        raise InputError(f"cause has shape {kinds.shape}: give one for each of {event.size}")
    faults = Faults()
    whole = np.isfinite(kinds) & (kinds >= 0) & (kinds == np.floor(kinds))
    _add_rows(faults, ~whole, "cause is not a whole number from 0 on", "code it 0, 1, 2")
    _add_rows(
        faults,
        whole & ((kinds == 1) != (event == 1)),
        "event and cause disagree",
        "event is 1 where cause is 1, the event of interest",
    )
    faults.raise_if_any()
    return kinds.astype(np.int64)


def _add_rows(faults: Faults, wrong: np.ndarray, what: str, remedy: str) -> None:
    if wrong.any():
        faults.add(f"{what} in row {name_rows(np.flatnonzero(wrong))}: {remedy}")


def check_same_patients(values: object, patients: pd.Index, *, name: str) -> None:
    """Refuse values whose index names other patients, or the same in another order.

    Values without an index, or with the one that pandas gives unasked, are taken by position.

    Parameters
    ----------
    values : object
        Series or DataFrame with a row per patient; anything else carries no names.
    patients : Index
        Index of the outcome.
    name : str
        Name of the argument in messages.

    Raises
    ------
    InputError
        If both name patients, and differently.

    Examples
    --------
    >>> patients = pd.Index(["a", "b"])
    >>> check_same_patients(pd.Series([1, 2]), patients, name="stage")
    >>> check_same_patients(pd.Series([1, 2], index=["b", "a"]), patients, name="stage")
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: stage has the outcome's patients in another order: ...
    """
    if not isinstance(values, pd.Series | pd.DataFrame) or len(values.index) != len(patients):
        return  # lengths are checked, and named, by the caller
    # As text, since a file read twice may hold the same names as text and as numbers.
    given, wanted = values.index.astype(str), patients.astype(str)
    if given.equals(wanted):
        return
    other = ~given.isin(wanted)
    if not other.any() and not (~wanted.isin(given)).any():
        raise InputError(
            f"{name} has the outcome's patients in another order: reorder it by the outcome's "
            "index, or give its values alone where they are in order"
        )
    if not (_is_unasked(values.index) or _is_unasked(patients)):
        raise InputError(
            f"{name} is indexed by other patients than the outcome, "
            f"{name_rows(given[other])} among them: give it for the outcome's patients, in order"
        )


def _is_unasked(index: pd.Index) -> bool:
    """Whether pandas numbered the rows, since nobody named them."""
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def check_points(points: object, *, name: str = "points") -> FloatArray:
    """Return points of the plane as a clean array.

    Parameters
    ----------
    points : array-like, shape (n, 2)
        x and y of each point, micrometres; no point at all is allowed.
    name : str
        Name of the argument in messages.

    Returns
    -------
    ndarray of float64, shape (n, 2)

    Raises
    ------
    InputError
        If the array is not numeric, of another shape, or holds a value that is not finite.

    Examples
    --------
    >>> check_points([(1, 2), (3, 4)]).shape
    (2, 2)
    >>> check_points([]).shape
    (0, 2)
    """
    try:
        array = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} are not numeric: give x and y of each point") from None
    if array.size == 0:
        return np.empty((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(f"{name} have shape {array.shape}: give x and y of each point, (n, 2)")
    faults = Faults()
    wrong = ~np.isfinite(array).all(axis=1)
    _add_rows(faults, wrong, f"{name} are missing or infinite", "leave these points out")
    faults.raise_if_any()
    return np.ascontiguousarray(array)


def as_survival_table(y: object, *, right_censored: bool = True) -> pd.DataFrame:
    """Return an outcome table with float ``time`` and integer ``event``.

    Parameters
    ----------
    y : DataFrame
        Outcome with the named columns ``time`` (months) and ``event`` (0 or 1), one row per
        patient; other columns are kept.
    right_censored : bool, default True
        Whether the caller knows right-censored outcomes only: delayed entry and events found at
        scans are then refused, not read as something else.

    Returns
    -------
    DataFrame
        Copy of `y` with the same index, ``time`` as float64 and ``event`` as int64.

    Raises
    ------
    InputError
        If `y` is no table, a column is missing, a value is not allowed, or the outcome is of a kind
        that the caller does not know.

    Examples
    --------
    >>> as_survival_table(pd.DataFrame({"time": [3, 5], "event": [1, 0]})).dtypes["time"]
    dtype('float64')
    """
    if not isinstance(y, pd.DataFrame):
        raise InputError(
            f"the outcome is a {type(y).__name__}: give a DataFrame with the columns time and event"
        )
    faults = Faults()
    for name in ("time", "event"):
        if name not in y.columns:
            hint = nearest_hint(name, map(str, y.columns))
            faults.add(f"the outcome has no column '{name}'{hint}: name it so")
    for name, remedy in _OTHER_OUTCOMES.items() if right_censored else ():
        if (
            name in y.columns
            and (y[name].notna() & (pd.to_numeric(y[name], errors="coerce") != 0)).any()
        ):
            faults.add(
                f"the outcome has '{name}', and this takes outcomes followed from time zero whose "
                f"events were seen to happen: {remedy}"
            )
    faults.raise_if_any()
    time, event = check_survival_arrays(y["time"].to_numpy(), y["event"].to_numpy())
    if "cause" in y.columns:
        cause = pd.to_numeric(y["cause"], errors="coerce").to_numpy(dtype=np.float64)
        _add_rows(faults, ~np.isin(cause, (0, 1, 2)), "cause is not 0, 1 or 2", "code it so")
        _add_rows(
            faults,
            np.isin(cause, (0, 1, 2)) & ((cause == 1) != (event == 1)),
            "event and cause disagree",
            "event is 1 where cause is 1; for a model of another cause leave the column out",
        )
        faults.raise_if_any()
    table = y.copy()
    table["time"] = time
    table["event"] = event
    return table
