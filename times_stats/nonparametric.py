"""Estimates without a model: Kaplan-Meier and its relatives, log-rank, censoring weights.

Ties everywhere: at the same time events precede censorings.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2

from times_stats._checks import check_survival_arrays, name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import DataWarning, InputError

_ALL = "all"  # name of the single stratum where none are declared


@dataclass(frozen=True, slots=True)
class StepCurve:
    """A step function of time, continuous from the right, with its risk sets.

    Attributes
    ----------
    times : ndarray, shape (k,)
        Distinct follow-up times (events and censorings), increasing.
    values : ndarray, shape (k,)
        Value from each time on.
    at_risk, events : ndarray, shape (k,)
        Number at risk just before each time, and number of events at it.
    se : ndarray, shape (k,)
        Standard error of `values`.
    start : float
        Value before the first time (1 for survival, 0 for hazard and incidence).
    """

    times: FloatArray
    values: FloatArray
    at_risk: FloatArray
    events: FloatArray
    se: FloatArray
    start: float = 1.0

    def at(self, t: ArrayLike) -> FloatArray:
        """Return the value at `t`; after the last time the last value is carried on.

        Parameters
        ----------
        t : array-like
            Times.

        Returns
        -------
        ndarray
            Values, of the shape of `t`.
        """
        return self._value(t, "right")

    def before(self, t: ArrayLike) -> FloatArray:
        """Return the limit from the left at `t`.

        Parameters
        ----------
        t : array-like
            Times.

        Returns
        -------
        ndarray
            Values, of the shape of `t`.
        """
        return self._value(t, "left")

    def se_at(self, t: ArrayLike) -> FloatArray:
        """Return the standard error at `t` (0 before the first time).

        Parameters
        ----------
        t : array-like
            Times.

        Returns
        -------
        ndarray
            Standard errors, of the shape of `t`.
        """
        position = np.searchsorted(self.times, np.asarray(t, dtype=np.float64), "right")
        return np.asarray(np.r_[0.0, self.se][position], dtype=np.float64)

    def number_at_risk(self, t: ArrayLike) -> FloatArray:
        """Return the number still under observation just before `t`.

        Parameters
        ----------
        t : array-like
            Times.

        Returns
        -------
        ndarray
            Counts (or weights), of the shape of `t`.
        """
        position = np.searchsorted(self.times, np.asarray(t, dtype=np.float64), "left")
        return np.asarray(np.r_[self.at_risk, 0.0][position], dtype=np.float64)

    def quantile(self, p: float) -> float:
        """Return the time at which the curve has moved by `p` from its start.

        Parameters
        ----------
        p : float
            Fraction in (0, 1); .5 gives the median survival time.

        Returns
        -------
        float
            First time at which the change reaches `p`; the middle of the flat stretch where it
            equals `p` exactly (the rule of R ``quantile.survfit``); NaN if it is never reached.
        """
        change = np.abs(self.values - self.start)
        tolerance = 1e-9
        reached = np.flatnonzero(change >= p - tolerance)
        if reached.size == 0:
            return float("nan")
        passed = np.flatnonzero(change > p + tolerance)
        last = passed[0] if passed.size else len(change) - 1
        return float((self.times[reached[0]] + self.times[last]) / 2)

    def _value(self, t: ArrayLike, side: Literal["left", "right"]) -> FloatArray:
        position = np.searchsorted(self.times, np.asarray(t, dtype=np.float64), side)
        return np.asarray(np.r_[self.start, self.values][position], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class LogRankResult:
    """Log-rank statistic, its degrees of freedom and p value.

    Attributes
    ----------
    statistic : float
        Chi-square statistic.
    df : int
        Number of groups less one.
    p_value : float
        Upper tail of the chi-square distribution.
    """

    statistic: float
    df: int
    p_value: float


@dataclass(frozen=True, slots=True)
class CensoringDistribution:
    """Probability G(t) of being uncensored beyond t, in each stratum.

    Attributes
    ----------
    curves : mapping of str to StepCurve
        Reverse Kaplan-Meier curve of each stratum; the one stratum ``"all"`` if none were declared.
    """

    curves: Mapping[str, StepCurve]

    def at(self, t: ArrayLike, strata: ArrayLike | None = None) -> FloatArray:
        """Return G(t).

        Parameters
        ----------
        t : array-like
            Times, of one value or one for each entry of `strata`.
        strata : array-like, shape (n,), optional
            Strata; needed where strata were declared.

        Returns
        -------
        ndarray
            Probabilities.

        Raises
        ------
        InputError
            If `strata` is missing or holds a stratum that was not declared.
        """
        return self._value(t, strata, left=False)

    def before(self, t: ArrayLike, strata: ArrayLike | None = None) -> FloatArray:
        """Return G(t-), the limit from the left.

        Parameters
        ----------
        t : array-like
            Times, of one value or one for each entry of `strata`.
        strata : array-like, shape (n,), optional
            Strata; needed where strata were declared.

        Returns
        -------
        ndarray
            Probabilities.

        Raises
        ------
        InputError
            If `strata` is missing or holds a stratum that was not declared.
        """
        return self._value(t, strata, left=True)

    def _value(self, t: ArrayLike, strata: ArrayLike | None, *, left: bool) -> FloatArray:
        moments = np.asarray(t, dtype=np.float64)
        if strata is None:
            if set(self.curves) != {_ALL}:
                raise InputError("the censoring distribution has strata: give the stratum per time")
            curve = self.curves[_ALL]
            return curve.before(moments) if left else curve.at(moments)
        labels = np.asarray(strata).astype(str)
        unknown = sorted(set(labels) - set(self.curves))
        if unknown:
            raise InputError(
                f"censoring stratum {name_rows(unknown)} is not known: use {', '.join(self.curves)}"
            )
        moments = np.broadcast_to(moments, labels.shape)
        result = np.empty(labels.shape)
        for name in np.unique(labels):
            rows = labels == name
            curve = self.curves[str(name)]
            result[rows] = curve.before(moments[rows]) if left else curve.at(moments[rows])
        return result


def kaplan_meier(
    time: ArrayLike, event: ArrayLike, *, weights: ArrayLike | None = None
) -> StepCurve:
    """Estimate the survival function by the product limit.

    ``S(t) = prod_{s <= t} (1 - d(s) / Y(s))`` with Greenwood's standard error.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator (1 happened, 0 censored).
    weights : array-like, shape (n,), optional
        Case weights, not negative.

    Returns
    -------
    StepCurve
        Survival; the standard error is NaN where the curve has reached 0.

    Raises
    ------
    InputError
        If the outcome or the weights are not valid.

    Notes
    -----
    Kaplan and Meier (1958), doi:10.1080/01621459.1958.10501452. R ``survival::survfit``.

    Examples
    --------
    >>> kaplan_meier([1, 2, 2, 3], [1, 1, 0, 0]).at([0.5, 2]).round(3)
    array([1. , 0.5])
    """
    months, happened = check_survival_arrays(time, event)
    times, at_risk, events, _ = _risk_sets(months, happened, _check_weights(weights, months.size))
    return _product_limit(times, at_risk, events)


def nelson_aalen(
    time: ArrayLike, event: ArrayLike, *, weights: ArrayLike | None = None
) -> StepCurve:
    """Estimate the cumulative hazard.

    ``H(t) = sum_{s <= t} d(s) / Y(s)`` with variance ``sum d(s) / Y(s)^2``.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    weights : array-like, shape (n,), optional
        Case weights, not negative.

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
    times, at_risk, events, _ = _risk_sets(months, happened, _check_weights(weights, months.size))
    steps = _divide(events, at_risk)
    se = np.sqrt(np.cumsum(_divide(events, at_risk**2)))
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
    times, at_risk, events, censored = _risk_sets(months, happened, np.ones(months.size))
    return _product_limit(times, at_risk - events, censored)


def aalen_johansen(time: ArrayLike, cause: ArrayLike) -> dict[int, StepCurve]:
    """Estimate the cumulative incidence of each competing cause.

    ``F_j(t) = sum_{s <= t} S(s-) d_j(s) / Y(s)`` with S the survival free of every cause.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up (months).
    cause : array-like of int, shape (n,)
        0 censored, 1, 2, ... the cause of the event.

    Returns
    -------
    dict of int to StepCurve
        Cumulative incidence of each cause that occurs; standard errors by the infinitesimal
        jackknife.

    Raises
    ------
    InputError
        If the outcome is not valid, or a cause is not a whole number from 0 on.

    Notes
    -----
    Aalen and Johansen (1978), Scand J Stat 5:141-150. R ``survival::survfit`` with a factor status.

    Examples
    --------
    >>> curves = aalen_johansen([1, 2, 3, 4], [1, 2, 0, 1])
    >>> {j: float(c.at(4).round(2)) for j, c in curves.items()}
    {1: 0.75, 2: 0.25}
    """
    kinds = np.asarray(cause, dtype=np.float64)
    if not (np.isfinite(kinds).all() and (kinds >= 0).all() and (kinds == np.floor(kinds)).all()):
        raise InputError("cause is not a whole number from 0 on: code 0 censored, 1, 2, ... causes")
    months, happened = check_survival_arrays(time, kinds > 0)
    times, at_risk, events, _ = _risk_sets(months, happened, np.ones(months.size))
    survival = np.cumprod(1 - events / at_risk)
    left = np.r_[1.0, survival[:-1]]
    exposed = months[:, None] >= times[None, :]  # patient at risk at each time
    here = months[:, None] == times[None, :]
    any_cause = (here & (happened[:, None] == 1)) - exposed * (events / at_risk)
    # A risk set that dies out ends the survival function: its influence is 0 from there on.
    log_survival = -np.cumsum(_divide(any_cause / at_risk, 1 - events / at_risk), axis=1)
    left_influence = np.c_[np.zeros(months.size), log_survival[:, :-1]] * left
    result: dict[int, StepCurve] = {}
    for kind in np.unique(kinds[kinds > 0]).astype(int):
        count = (here & (kinds == kind)[:, None]).sum(axis=0).astype(np.float64)
        hazard = count / at_risk
        own = ((here & (kinds == kind)[:, None]) - exposed * hazard) / at_risk
        influence = np.cumsum(left_influence * hazard + left * own, axis=1)
        se = np.sqrt((influence**2).sum(axis=0))
        result[int(kind)] = StepCurve(
            times, np.cumsum(left * hazard), at_risk, count, se, start=0.0
        )
    return result


def logrank(time: ArrayLike, event: ArrayLike, group: ArrayLike) -> LogRankResult:
    """Test whether survival is equal in all groups.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    group : array-like, shape (n,)
        Group of each patient, two groups or more.

    Returns
    -------
    LogRankResult

    Raises
    ------
    InputError
        If the outcome is not valid, or there are fewer than two groups.

    Notes
    -----
    Mantel (1966), Cancer Chemother Rep 50:163-170, with the hypergeometric variance at tied times.
    R ``survival::survdiff`` (rho = 0).

    Examples
    --------
    >>> logrank([1, 2, 3, 4], [1, 1, 1, 1], ["a", "a", "b", "b"]).p_value.__round__(4)
    0.0896
    """
    months, happened = check_survival_arrays(time, event)
    names, code = _strata_codes(group, months.size)
    if len(names) < 2:
        raise InputError("the log-rank test has one group only: give two groups or more")
    times, position = np.unique(months, return_inverse=True)
    member = (code[:, None] == np.arange(len(names))).astype(np.float64)
    leaving = np.zeros((times.size, len(names)))
    observed = np.zeros_like(leaving)
    np.add.at(leaving, position, member)
    np.add.at(observed, position, member * happened[:, None])
    at_risk = leaving[::-1].cumsum(axis=0)[::-1]
    total, deaths = at_risk.sum(axis=1), observed.sum(axis=1)
    share = at_risk / total[:, None]
    excess = (observed - deaths[:, None] * share).sum(axis=0)
    spread = deaths * _divide(total - deaths, total - 1)
    variance = np.diag((spread[:, None] * share).sum(axis=0)) - share.T @ (spread[:, None] * share)
    statistic = float(excess[1:] @ np.linalg.pinv(variance[1:, 1:], hermitian=True) @ excess[1:])
    df = len(names) - 1
    return LogRankResult(statistic, df, float(chi2.sf(statistic, df)))


def censoring_distribution(
    time: ArrayLike, event: ArrayLike, *, strata: ArrayLike | None = None
) -> CensoringDistribution:
    """Estimate the censoring distribution G by reverse Kaplan-Meier within strata.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator; events precede censorings at the same time.
    strata : array-like, shape (n,), optional
        Strata declared for censoring (cohorts).

    Returns
    -------
    CensoringDistribution

    Raises
    ------
    InputError
        If the outcome is not valid, or strata are missing or of another length.

    Examples
    --------
    >>> G = censoring_distribution([1, 2, 3, 4], [1, 0, 1, 0])
    >>> G.before(2), G.at(2).round(3)
    (array(1.), np.float64(0.667))
    """
    months, happened = check_survival_arrays(time, event)
    if strata is None:
        return CensoringDistribution({_ALL: reverse_kaplan_meier(months, happened)})
    names, code = _strata_codes(strata, months.size)
    return CensoringDistribution(
        {
            str(name): reverse_kaplan_meier(months[code == k], happened[code == k])
            for k, name in enumerate(names)
        }
    )


def check_horizon(
    time: ArrayLike,
    event: ArrayLike,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
    min_probability: float = 0.1,
) -> CensoringDistribution:
    """Check that follow-up carries the horizon, and return the censoring distribution.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    horizon : float
        Time of interest (months).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    min_probability : float
        Least acceptable G(horizon) in a stratum.

    Returns
    -------
    CensoringDistribution

    Raises
    ------
    InputError
        If the horizon is not positive, lies beyond the longest follow-up, or G(horizon) is below
        `min_probability` in a stratum (named).

    Examples
    --------
    >>> check_horizon([1, 2, 3, 4], [1, 0, 1, 0], horizon=3).at(3).round(3)
    np.float64(0.667)
    """
    months, happened = check_survival_arrays(time, event)
    if not (np.isfinite(horizon) and horizon > 0):
        raise InputError(f"horizon is {horizon:g}: give a positive number of months")
    if horizon > months.max():
        raise InputError(
            f"horizon is {horizon:g} but the longest follow-up is {months.max():g}: "
            "choose an earlier horizon"
        )
    distribution = censoring_distribution(months, happened, strata=strata)
    thin = {
        name: value
        for name, curve in distribution.curves.items()
        if (value := float(curve.at(horizon))) < min_probability
    }
    if thin:
        listed = ", ".join(f"{name} (G = {value:.3f})" for name, value in thin.items())
        raise InputError(
            f"too few patients are followed to the horizon {horizon:g} in censoring stratum "
            f"{listed}, below {min_probability:g}: choose an earlier horizon or other strata"
        )
    return distribution


def ipcw_weights(
    time: ArrayLike,
    event: ArrayLike,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
    min_probability: float = 0.1,
) -> FloatArray:
    """Weigh patients of known status at the horizon by the inverse chance of knowing it.

    ``1 / G(t-)`` for events by the horizon, ``1 / G(horizon)`` for patients followed beyond it, 0
    for those censored by then.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    horizon : float
        Landmark (months).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    min_probability : float
        Least acceptable G(horizon) in a stratum.

    Returns
    -------
    ndarray, shape (n,)
        Weights, 0 or at least 1.

    Raises
    ------
    InputError
        As `check_horizon`.

    Notes
    -----
    Graf et al. (1999),
    doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.

    Examples
    --------
    >>> ipcw_weights([1, 2, 3, 4], [1, 0, 1, 0], horizon=3)
    array([1. , 0. , 1.5, 1.5])
    """
    months, happened = check_survival_arrays(time, event)
    G = check_horizon(
        months, happened, horizon=horizon, strata=strata, min_probability=min_probability
    )
    return weights_at(G, months, happened, horizon=horizon, strata=strata)


def weights_at(
    distribution: CensoringDistribution,
    time: FloatArray,
    event: IntArray,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
) -> FloatArray:
    """Weights of `ipcw_weights` at one horizon from a censoring distribution at hand.

    Parameters
    ----------
    distribution : CensoringDistribution
        Censoring distribution.
    time, event : ndarray, shape (n,)
        Checked follow-up (months) and event indicator.
    horizon : float
        Landmark (months).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> G = censoring_distribution([1, 2, 3, 4], [1, 0, 1, 0])
    >>> weights_at(G, np.array([1.0, 2, 3, 4]), np.array([1, 0, 1, 0]), horizon=2)
    array([1. , 0. , 1.5, 1.5])
    """
    known = (time <= horizon) & (event == 1)
    beyond = time > horizon
    weights = np.zeros(time.size)
    reached = np.broadcast_to(distribution.at(horizon, strata), time.shape)
    left = distribution.before(time, strata)
    weights[known] = 1 / left[known]
    weights[beyond] = 1 / reached[beyond]
    return weights


def check_censoring_strata(
    time: ArrayLike, event: ArrayLike, strata: ArrayLike, *, level: float = 0.01
) -> LogRankResult | None:
    """Warn where follow-up differs between strata.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    strata : array-like, shape (n,)
        Strata to compare: cohorts, or patterns of missing markers.
    level : float
        The warning is given where p is below this.

    Returns
    -------
    LogRankResult or None
        Log-rank test with censoring as the event; None where there is one stratum only.

    Warns
    -----
    DataWarning
        With the p value and the median follow-up of each stratum.

    Examples
    --------
    >>> check_censoring_strata([1, 2, 3, 4], [0, 0, 0, 0], ["a", "b", "a", "b"]).df
    1
    """
    months, happened = check_survival_arrays(time, event)
    names, code = _strata_codes(strata, months.size)
    if len(names) < 2:
        return None
    # Events leave before the censorings of the same time: order by time, then events first.
    order = 2 * np.unique(months, return_inverse=True)[1] + (1 - happened)
    result = logrank(order, 1 - happened, code)
    if result.p_value < level:
        curves = censoring_distribution(months, happened, strata=strata).curves
        medians = ", ".join(f"{name} {curve.quantile(0.5):.3g}" for name, curve in curves.items())
        warnings.warn(
            f"censoring differs between strata (log-rank p = {result.p_value:.2g}; median "
            f"follow-up in months: {medians}): estimate censoring within these strata",
            DataWarning,
            stacklevel=2,
        )
    return result


def _risk_sets(
    time: FloatArray, event: IntArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Distinct times, and at each the weight at risk, of events and of censorings."""
    times, position = np.unique(time, return_inverse=True)
    leaving = np.bincount(position, weights, times.size)
    events = np.bincount(position, weights * event, times.size)
    censored = np.bincount(position, weights * (1 - event), times.size)
    return times, leaving[::-1].cumsum()[::-1], events, censored


def _product_limit(times: FloatArray, at_risk: FloatArray, events: FloatArray) -> StepCurve:
    values = np.cumprod(1 - _divide(events, at_risk))
    # rounding can leave 1 - d/Y just off 0 with non-integer weights
    values = np.where(values < 1e-14, 0.0, values)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.where(events > 0, events / (at_risk * (at_risk - events)), 0.0)
        se = values * np.sqrt(np.cumsum(greenwood))
    se = np.where(values == 0, np.nan, se)
    return StepCurve(times, values, at_risk, events, se)


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient that is 0 where nothing is at risk."""
    top, bottom = np.broadcast_arrays(numerator, denominator)
    quotient: FloatArray = np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)
    return quotient


def _check_weights(weights: ArrayLike | None, n: int) -> FloatArray:
    if weights is None:
        return np.ones(n)
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (n,) or not np.isfinite(values).all() or (values < 0).any():
        raise InputError(f"weights are not {n} finite numbers from 0 on: give one per patient")
    if values.sum() == 0:
        raise InputError("weights are all 0: give at least one positive weight")
    return values


def _strata_codes(strata: ArrayLike, n: int) -> tuple[list[str], IntArray]:
    labels = np.asarray(strata)
    if labels.shape != (n,):
        raise InputError(
            f"strata have shape {labels.shape}: give one label for each of {n} patients"
        )
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        raise InputError(
            f"strata are missing in row {name_rows(np.flatnonzero(missing))}: give all"
        )
    names, code = np.unique(labels.astype(str), return_inverse=True)
    return [str(name) for name in names], code.astype(np.int64)
