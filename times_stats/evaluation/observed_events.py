"""Observed against expected events by a horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from times_stats._checks import check_cause, check_entry, check_survival_arrays
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.inputs import check_probabilities
from times_stats.nonparametric.censoring import check_horizon
from times_stats.nonparametric.estimators import aalen_johansen, kaplan_meier
from times_stats.nonparametric.step_curve import step_value


@dataclass(frozen=True, slots=True)
class ObservedProbability:
    """Estimated probability of the event by a horizon.

    Attributes
    ----------
    estimate, lower, upper : float
        Probability and its pointwise limits on the log-minus-log scale; all NaN where follow-up
        ends before the horizon, limits NaN where the estimate is 0 or 1.
    se : float
        Standard error (Greenwood; infinitesimal jackknife where events compete).
    """

    estimate: float
    lower: float
    upper: float
    se: float


@dataclass(frozen=True, slots=True)
class ObservedExpected:
    """Observed and expected probability of the event by a horizon.

    Attributes
    ----------
    observed, observed_se : float
        Kaplan-Meier or Aalen-Johansen estimate and its standard error.
    expected : float
        Mean predicted probability.
    difference : float
        Observed less expected: calibration in the large.
    ratio, lower, upper : float
        Observed over expected, with limits on the log scale.
    """

    observed: float
    observed_se: float
    expected: float
    difference: float
    ratio: float
    lower: float
    upper: float


def observed_expected(
    time: ArrayLike,
    event: ArrayLike,
    survival_at_horizon: ArrayLike,
    *,
    horizon: float,
    cause: ArrayLike | None = None,
    entry: ArrayLike | None = None,
    confidence_level: float = 0.95,
) -> ObservedExpected:
    """Observed over expected probability of the event by the horizon.

    Observed is one minus Kaplan-Meier, or Aalen-Johansen where events compete; the standard error
    of the log ratio is that of the log of the observed, the predictions taken as fixed.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    survival_at_horizon : array-like, shape (n,)
        Predicted probability of no event by the horizon.
    horizon : float
        Landmark (months), within follow-up.
    cause : array-like of int, shape (n,), optional
        What ended follow-up where events compete: 0 censored, 1 the event, 2, 3, ... another.
    entry : array-like, shape (n,), optional
        Delayed entry (months). The predictions are those from time zero on of the patients
        observed, who stand for everybody only where entry does not depend on the prediction.
    confidence_level : float
        Level of the interval.

    Returns
    -------
    ObservedExpected
        A ratio above 1: more events than predicted. Limits are NaN where no event was observed.

    Raises
    ------
    InputError
        If the arrays are not valid, the horizon lies beyond follow-up, or all predicted
        probabilities are 0.

    Warns
    -----
    DataWarning
        As `kaplan_meier`, where with delayed entry a first risk set dies out.

    Notes
    -----
    Debray et al. (2017), doi:10.1136/bmj.i6460. R ``survival::survfit``.

    Examples
    --------
    >>> result = observed_expected([1, 2, 3, 4], [1, 1, 0, 0], [0.4, 0.5, 0.6, 0.7], horizon=2)
    >>> round(result.ratio, 3), round(result.difference, 3)
    (1.111, 0.05)
    """
    months, happened = check_survival_arrays(time, event)
    survival = check_probabilities(survival_at_horizon, (months.size,), "survival_at_horizon")
    kinds = None if cause is None else check_cause(happened, cause)
    late = None if entry is None else check_entry(entry, months)
    check_horizon(months, happened, horizon=horizon, min_probability=0.0)
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    expected = float((1 - survival).mean())
    if expected == 0:
        raise InputError("no event is expected: survival_at_horizon is 1 for every patient")
    seen = observed_probability(
        months,
        happened,
        horizon=horizon,
        cause=kinds,
        entry=late,
        confidence_level=confidence_level,
    )
    ratio = seen.estimate / expected
    factor = np.nan
    if seen.estimate > 0:
        factor = float(np.exp(norm.ppf(0.5 + confidence_level / 2) * seen.se / seen.estimate))
    return ObservedExpected(
        observed=seen.estimate,
        observed_se=seen.se,
        expected=expected,
        difference=seen.estimate - expected,
        ratio=ratio,
        lower=ratio / factor,
        upper=ratio * factor,
    )


def observed_probability(
    time: FloatArray,
    event: IntArray,
    *,
    horizon: float,
    cause: IntArray | None,
    entry: FloatArray | None,
    confidence_level: float,
) -> ObservedProbability:
    """Estimate the probability of the event by a horizon.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    horizon : float
        Landmark (months).
    cause : ndarray of int, shape (n,), or None
        Checked causes where events compete.
    entry : ndarray, shape (n,), or None
        Checked delayed entry.
    confidence_level : float
        Level of the limits.

    Returns
    -------
    ObservedProbability

    Examples
    --------
    >>> time, event = np.array([1.0, 2.0, 3.0]), np.array([1, 0, 0])
    >>> seen = observed_probability(time, event, horizon=2, cause=None, entry=None,
    ...                             confidence_level=0.95)
    >>> round(seen.estimate, 3)
    0.333
    """
    any_event = event if cause is None else (cause > 0).astype(np.int64)
    free = kaplan_meier(time, any_event, entry=entry)
    if time.max() < horizon and float(free.at(horizon)) > 0:
        return ObservedProbability(np.nan, np.nan, np.nan, np.nan)
    curve = free
    if cause is not None:
        curves = aalen_johansen(time, cause, entry=entry)
        if 1 not in curves:
            return ObservedProbability(0.0, np.nan, np.nan, 0.0)
        curve = curves[1]
    limits = [
        float(step_value(curve.times, limit, horizon, start=curve.start))
        for limit in curve.interval(confidence_level=confidence_level)
    ]
    value = float(curve.at(horizon))
    if cause is None:
        value, limits = 1 - value, [1 - limit for limit in limits]
    inside = 0 < value < 1
    return ObservedProbability(
        value,
        min(limits) if inside else np.nan,
        max(limits) if inside else np.nan,
        float(curve.se_at(horizon)),
    )
