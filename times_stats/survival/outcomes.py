"""Outcome tables of the survival model: right-censored, interval-censored, entered late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._checks import Faults, as_survival_table, name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError

_BOUNDS = ("time_lower", "time_upper")
HIDDEN = (
    "an event between the last scan and the death is never found, which needs an illness-death "
    "model, and this is none"
)
_SAME_TIME = 1e-6  # relative: days turned into months in two ways
_COMPETING = 2  # code of `cause` for an event that precludes the one of interest


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalOutcome:
    """What is known of the time of each patient's event.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Months: of the event where it was seen to happen, of the last scan without it where it was
        found at a scan, of censoring otherwise.
    event : ndarray of int, shape (n,)
        1 where the event was seen to happen at `time`.
    entry : ndarray, shape (n,)
        Months after time zero from which the patient was at risk of being seen: 0 unless followed
        late.
    upper : ndarray, shape (n,)
        Scan at which the event was found, after `time`; NaN where it was not found at a scan.
    """

    time: FloatArray
    event: IntArray
    entry: FloatArray
    upper: FloatArray

    def __getitem__(self, rows: BoolArray | IntArray) -> SurvivalOutcome:
        """Return the outcome of some patients."""
        return SurvivalOutcome(
            self.time[rows], self.event[rows], self.entry[rows], self.upper[rows]
        )

    @property
    def is_interval(self) -> BoolArray:
        """Whether the event was found at a scan, shape (n,)."""
        return np.isfinite(self.upper)

    @property
    def is_delayed(self) -> bool:
        """Whether anybody entered late."""
        return bool((self.entry > 0).any())

    @property
    def has_intervals(self) -> bool:
        """Whether any event was found at a scan."""
        return bool(self.is_interval.any())

    @property
    def has_happened(self) -> BoolArray:
        """Whether the event happened, seen or found, shape (n,)."""
        return np.asarray((self.event == 1) | self.is_interval, dtype=np.bool_)

    @property
    def typical_time(self) -> FloatArray:
        """Times, with the middle of the interval where the event was found at a scan."""
        return np.where(self.is_interval, (self.time + self.upper) / 2, self.time)


def read_outcome(y: object) -> SurvivalOutcome:
    """Check an outcome table and sort out what is known of each event.

    Parameters
    ----------
    y : DataFrame
        ``time`` (months) and ``event`` (1 where it happened), one row per patient. Optional
        ``entry``: months after time zero at which follow-up began, 0 for most. Optional
        ``time_lower`` and ``time_upper``: last scan without the event and the scan that found it,
        missing where its time is known (bounds within a millionth of each other are one time). A
        patient followed by scans whose event was not found is censored at the last scan. Optional
        ``cause``, whose code 2 is a competing death.

    Returns
    -------
    SurvivalOutcome

    Raises
    ------
    InputError
        If a column is missing or not numeric; entry does not come before the time; bounds do not
        hold the time or belong to a patient without the event; `event` and `cause` disagree; or
        events found at scans come with competing deaths: an event between the last scan and the
        death is never found, and needs an illness-death model.

    Examples
    --------
    >>> y = pd.DataFrame({"time": [9.0, 8.0, 5.0], "event": [1, 1, 0], "entry": [0.0, 2.0, 0.0],
    ...                   "time_lower": [6.0, np.nan, np.nan], "time_upper": [9.0, np.nan, np.nan]})
    >>> outcome = read_outcome(y)
    >>> outcome.time.tolist(), outcome.event.tolist(), outcome.upper.tolist()
    ([6.0, 8.0, 5.0], [0, 1, 0], [9.0, nan, nan])
    """
    table = as_survival_table(y, right_censored=False)
    faults = Faults()
    time, event = table["time"].to_numpy(), table["event"].to_numpy()
    entry = _numbers(table, "entry", faults) if "entry" in table else np.zeros(len(table))
    upper = np.full(len(table), np.nan)
    given = [name for name in _BOUNDS if name in table]
    if len(given) == 1:
        faults.add(f"the outcome has '{given[0]}' alone: give {' and '.join(_BOUNDS)}, or neither")
    faults.raise_if_any()
    if given:
        time, event, upper = _intervals(table, time, event, faults)
    unknown = np.isnan(entry)
    _add(faults, table, unknown, "entry is missing", "0 where follow-up began at time zero")
    _add(faults, table, entry < 0, "entry is negative", "count months from time zero")
    late = ~unknown & (entry >= np.where(np.isfinite(upper), upper, time)) & (entry > 0)
    _add(faults, table, late, "entry does not come before the end of follow-up", "correct it")
    late = ~unknown & np.isfinite(upper) & (entry > time) & (entry > 0)
    _add(faults, table, late, "entry comes after time_lower", "a patient enters free of the event")
    faults.raise_if_any()
    if np.isfinite(upper).any() and "cause" in table:
        competing = pd.to_numeric(table["cause"], errors="coerce") == _COMPETING
        if competing.any():
            raise InputError(
                "the outcome holds events found at scans, and competing deaths "
                f"(patient {name_rows(table.index[competing])}): {HIDDEN}"
            )
    return SurvivalOutcome(time, event, entry, upper)


def _numbers(table: pd.DataFrame, name: str, faults: Faults) -> FloatArray:
    try:
        values = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        faults.add(f"column '{name}' is not numeric: give months")
        return np.zeros(len(table))
    _add(faults, table, np.isinf(values), f"{name} is infinite", "give months")
    return np.asarray(values)


def _intervals(
    table: pd.DataFrame, time: FloatArray, event: IntArray, faults: Faults
) -> tuple[FloatArray, IntArray, FloatArray]:
    lower, upper = (_numbers(table, name, faults) for name in _BOUNDS)
    half = np.isnan(lower) != np.isnan(upper)
    _add(faults, table, half, "one of time_lower and time_upper is missing", "give both or neither")
    both = ~np.isnan(lower) & ~np.isnan(upper)
    _add(faults, table, both & (lower < 0), "time_lower is negative", "count from time zero")
    _add(
        faults,
        table,
        both & (event == 0),
        "time_lower and time_upper are given without the event",
        "leave them empty, or code the event 1",
    )
    near = 1 + _SAME_TIME
    outside = both & (event == 1) & ~((lower <= time * near) & (time <= upper * near))
    _add(faults, table, outside, "time lies outside time_lower and time_upper", "correct them")
    found = both & (event == 1) & (lower < upper * (1 - _SAME_TIME))
    return (
        np.where(found, lower, time),
        np.where(found, 0, event).astype(np.int64),
        np.where(found, upper, np.nan),
    )


def _add(faults: Faults, table: pd.DataFrame, wrong: BoolArray, what: str, remedy: str) -> None:
    if wrong.any():
        faults.add(f"{what} for patient {name_rows(table.index[wrong])}: {remedy}")
