"""Kaplan-Meier, Nelson-Aalen and Aalen-Johansen. Events precede censorings at the same time."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_entry, check_survival_arrays
from times_stats._typing import FloatArray
from times_stats.errors import DataWarning, InputError
from times_stats.nonparametric.risk_sets import divide, risk_sets
from times_stats.nonparametric.step_curve import StepCurve

_LARGEST_BLOCK = 2**21  # entries of an array of patients by times held in memory at once


def kaplan_meier(
    time: ArrayLike,
    event: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    entry: ArrayLike | None = None,
) -> StepCurve:
    """Estimate the survival function by the product limit.

    ``S(t) = prod_{s <= t} (1 - d(s) / Y(s))`` with Greenwood's standard error.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator (1 happened, 0 censored).
    weights : array-like, shape (n,), optional
        Case weights, not negative.
    entry : array-like, shape (n,), optional
        Delayed entry (months): a patient is at risk after it.

    Returns
    -------
    StepCurve
        Survival; the standard error is NaN where the curve has reached 0. With delayed entry a
        curve can reach 0 early, where a small first risk set dies out: look at ``at_risk``.

    Raises
    ------
    InputError
        If the outcome, the weights or the entries are not valid.

    Warns
    -----
    DataWarning
        If with delayed entry the curve reaches 0 while patients are still to come.

    Notes
    -----
    Kaplan and Meier (1958), doi:10.1080/01621459.1958.10501452. R ``survival::survfit``.

    Examples
    --------
    >>> kaplan_meier([1, 2, 2, 3], [1, 1, 0, 0]).at([0.5, 2]).round(3)
    array([1. , 0.5])
    """
    months, happened = check_survival_arrays(time, event)
    given = _check_weights(weights, months.size)
    late = None if entry is None else check_entry(entry, months)
    times, at_risk, events, _ = risk_sets(months, happened, given, entry=late)
    curve = _product_limit(times, at_risk, events)
    if late is not None:
        _warn_if_died_out(times, curve.values)
    return curve


def nelson_aalen(
    time: ArrayLike,
    event: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    entry: ArrayLike | None = None,
) -> StepCurve:
    """Estimate the cumulative hazard.

    ``H(t) = sum_{s <= t} d(s) / Y(s)`` with variance ``sum d(s) / Y(s)^2``.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    weights : array-like, shape (n,), optional
        Case weights, not negative.
    entry : array-like, shape (n,), optional
        Delayed entry (months): a patient is at risk after it.

    Returns
    -------
    StepCurve
        Cumulative hazard, starting at 0.

    Raises
    ------
    InputError
        If the outcome or the weights are not valid.

    Notes
    -----
    Aalen (1978), doi:10.1214/aos/1176344247. R ``survival::survfit(...)$cumhaz`` with ``ctype =
    1``.

    Examples
    --------
    >>> nelson_aalen([1, 2, 2, 3], [1, 1, 0, 0]).at(2).round(4)
    np.float64(0.5833)
    """
    months, happened = check_survival_arrays(time, event)
    given = _check_weights(weights, months.size)
    late = None if entry is None else check_entry(entry, months)
    times, at_risk, events, _ = risk_sets(months, happened, given, entry=late)
    steps = divide(events, at_risk)
    se = np.sqrt(np.cumsum(divide(events, at_risk**2)))
    return StepCurve(times, np.cumsum(steps), at_risk, events, se, start=0.0)


def reverse_kaplan_meier(time: ArrayLike, event: ArrayLike) -> StepCurve:
    """Estimate the distribution of follow-up: censoring is the event.

    At a tied time the events have left the risk set before the censorings happen.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator (1 happened, 0 censored).

    Returns
    -------
    StepCurve
        Probability G(t) of being uncensored beyond t; its median is the median follow-up. `at_risk`
        and `events` count the patients at risk of being censored, and the censorings.

    Raises
    ------
    InputError
        If the outcome is not valid.

    Notes
    -----
    Schemper and Smith (1996), doi:10.1016/0197-2456(96)00075-X. R ``prodlim(..., reverse = TRUE)``.

    Examples
    --------
    >>> reverse_kaplan_meier([1, 2, 2, 3], [1, 1, 0, 0]).at([1, 2, 3])
    array([1. , 0.5, 0. ])
    """
    months, happened = check_survival_arrays(time, event)
    times, at_risk, events, censored = risk_sets(months, happened, np.ones(months.size))
    return _product_limit(times, at_risk - events, censored)


def aalen_johansen(
    time: ArrayLike, cause: ArrayLike, *, entry: ArrayLike | None = None
) -> dict[int, StepCurve]:
    """Estimate the cumulative incidence of each competing cause.

    ``F_j(t) = sum_{s <= t} S(s-) d_j(s) / Y(s)`` with S the survival free of every cause.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up (months).
    cause : array-like of int, shape (n,)
        0 censored, 1, 2, ... the cause of the event.
    entry : array-like, shape (n,), optional
        Delayed entry (months): a patient is at risk after it.

    Returns
    -------
    dict of int to StepCurve
        Cumulative incidence of each cause that occurs; standard errors by the infinitesimal
        jackknife.

    Raises
    ------
    InputError
        If the outcome is not valid, or a cause is not a whole number from 0 on.

    Warns
    -----
    DataWarning
        If with delayed entry nobody is left free of every cause while patients are still to come.

    Notes
    -----
    Aalen and Johansen (1978), Scand J Stat 5:141-150. R ``survival::survfit`` with a factor status.

    Examples
    --------
    >>> curves = aalen_johansen([1, 2, 3, 4], [1, 2, 0, 1])
    >>> {j: float(c.at(4).round(2)) for j, c in curves.items()}
    {1: 0.75, 2: 0.25}
    """
    try:
        kinds = np.asarray(cause, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("cause is not numeric: code 0 censored, 1, 2, ... causes") from None
    if not (np.isfinite(kinds).all() and (kinds >= 0).all() and (kinds == np.floor(kinds)).all()):
        raise InputError("cause is not a whole number from 0 on: code 0 censored, 1, 2, ... causes")
    months, happened = check_survival_arrays(time, kinds > 0)
    late = None if entry is None else check_entry(entry, months)
    times, at_risk, events, _ = risk_sets(months, happened, np.ones(months.size), entry=late)
    survival = np.cumprod(1 - events / at_risk)
    if late is not None:
        _warn_if_died_out(times, survival)
    left = np.r_[1.0, survival[:-1]]
    names = np.unique(kinds[kinds > 0])
    counts = [
        np.bincount(np.searchsorted(times, months[kinds == kind]), minlength=times.size)
        for kind in names
    ]
    variances = np.zeros((names.size, times.size))
    size = max(1, _LARGEST_BLOCK // times.size)
    for first in range(0, months.size, size):  # patients by times, in blocks of bounded memory
        block = slice(first, first + size)
        exposed = months[block, None] >= times  # patient at risk at each time
        if late is not None:
            exposed &= late[block, None] < times
        here = months[block, None] == times
        any_cause = (here & (happened[block, None] == 1)) - exposed * (events / at_risk)
        # A risk set that dies out ends the survival function: its influence is 0 from there on.
        log_survival = -np.cumsum(divide(any_cause / at_risk, 1 - events / at_risk), axis=1)
        left_influence = np.c_[np.zeros(len(here)), log_survival[:, :-1]] * left
        for variance, kind, count in zip(variances, names, counts, strict=True):
            hazard = count / at_risk
            own = ((here & (kinds[block] == kind)[:, None]) - exposed * hazard) / at_risk
            influence = np.cumsum(left_influence * hazard + left * own, axis=1)
            variance += (influence**2).sum(axis=0)
    return {
        int(kind): StepCurve(
            times,
            np.cumsum(left * (count / at_risk)),
            at_risk,
            count.astype(np.float64),
            np.sqrt(variance),
            start=0.0,
        )
        for variance, kind, count in zip(variances, names, counts, strict=True)
    }


def _warn_if_died_out(times: FloatArray, survival: FloatArray) -> None:
    gone = np.flatnonzero(survival[:-1] == 0)
    if gone.size:
        warnings.warn(
            f"everybody at risk at {times[gone[0]]:g} months had the event, before others entered: "
            "survival is 0 from there on, whatever they went through; start the analysis later, "
            "among those free of the event then",
            DataWarning,
            stacklevel=3,
        )


def _product_limit(times: FloatArray, at_risk: FloatArray, events: FloatArray) -> StepCurve:
    values = np.cumprod(1 - divide(events, at_risk))
    # rounding can leave 1 - d/Y just off 0 with non-integer weights
    values = np.where(values < 1e-14, 0.0, values)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.where(events > 0, events / (at_risk * (at_risk - events)), 0.0)
        se = values * np.sqrt(np.cumsum(greenwood))
    se = np.where(values == 0, np.nan, se)
    return StepCurve(times, values, at_risk, events, se)


def _check_weights(weights: ArrayLike | None, n: int) -> FloatArray:
    if weights is None:
        return np.ones(n)
    try:
        values = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("weights are not numeric: give an array of numbers") from None
    if values.shape != (n,) or not np.isfinite(values).all() or (values < 0).any():
        raise InputError(f"weights are not {n} finite numbers from 0 on: give one per patient")
    if values.sum() == 0:
        raise InputError("weights are all 0: give at least one positive weight")
    return values
