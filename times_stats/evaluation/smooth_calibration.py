"""Smooth calibration curves: what a regression on the prediction says was observed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import check_cause, check_survival_arrays
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.inputs import check_probabilities, refuse_entry
from times_stats.evaluation.subdistribution import subdistribution_event_probability
from times_stats.nonparametric.censoring import check_horizon
from times_stats.nonparametric.step_curve import step_value
from times_stats.partial_likelihood import (
    build_risk_sets,
    efron_cumulative_hazard,
    efron_derivatives,
)

_FEWEST_VALUES = 5  # distinct predictions a smooth calibration curve needs
_MAX_STEPS = 50
_TOLERANCE = 1e-9
# The log likelihood is concave, so steps of the standardised slopes only need a leash.
_LONGEST_STEP = 2.0
_LARGEST_SLOPE = 50.0  # standardised: beyond this the likelihood has no maximum
_LARGEST_CONDITION = 1e12


def calibration_curve(
    time: ArrayLike,
    event: ArrayLike,
    survival_at_horizon: ArrayLike,
    *,
    horizon: float,
    cause: ArrayLike | None = None,
    entry: ArrayLike | None = None,
) -> pd.DataFrame:
    """Smooth curve of the observed on the predicted probability of the event by the horizon.

    The curve is a Cox regression (Efron) of the outcome on a restricted cubic spline of ``log(-log
    S(horizon))`` with knots at the 10th, 50th and 90th percentile; a regression of the
    subdistribution hazard (Fine and Gray) where events compete.

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
        Delayed entry (months): refused with the reason, unless 0 for all.

    Returns
    -------
    DataFrame
        One row per patient, in the order given: ``predicted`` and ``observed`` probability of the
        event; ``observed`` is NaN where the regression has no solution.

    Raises
    ------
    InputError
        If the arrays are not valid, the horizon lies beyond follow-up, or the predictions take
        fewer than five values or the knots coincide: use `calibration_groups` there.

    Notes
    -----
    Austin, Harrell and van Klaveren (2020), doi:10.1002/sim.8570; competing events: Austin et al.
    (2022), doi:10.1186/s41512-021-00114-6.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rate = np.exp(rng.normal(size=200))
    >>> time = rng.exponential(1 / rate)
    >>> curve = calibration_curve(time, np.ones(200), np.exp(-rate), horizon=1.0)
    >>> bool(curve.corr().loc["predicted", "observed"] > 0.99)
    True
    """
    refuse_entry(entry)
    months, happened = check_survival_arrays(time, event)
    survival = check_probabilities(survival_at_horizon, (months.size,), "survival_at_horizon")
    kinds = None if cause is None else check_cause(happened, cause)
    check_horizon(months, happened, horizon=horizon, min_probability=0.0)
    predicted = 1 - survival
    bounded = np.clip(survival, 1e-10, 1 - 1e-10)
    transformed = np.log(-np.log(bounded))
    knots = np.quantile(transformed, [0.1, 0.5, 0.9])
    coincide = (np.diff(knots) <= 1e-8 * max(1.0, float(np.abs(knots).max()))).any()
    if coincide or np.unique(transformed).size < _FEWEST_VALUES:
        raise InputError(
            "survival_at_horizon takes too few values for a smooth calibration curve: use "
            "calibration_groups"
        )
    basis = np.column_stack([transformed, _restricted_spline(transformed, knots)])
    if kinds is None:
        observed = cox_event_probability(months, happened, basis, horizon=horizon)
    else:
        observed = subdistribution_event_probability(months, kinds, basis, horizon=horizon)
    if observed is None:
        observed = np.full(months.size, np.nan)
    return pd.DataFrame({"predicted": predicted, "observed": observed})


def ici(
    time: ArrayLike,
    event: ArrayLike,
    survival_at_horizon: ArrayLike,
    *,
    horizon: float,
    cause: ArrayLike | None = None,
    entry: ArrayLike | None = None,
) -> float:
    """Integrated calibration index: mean distance from a smooth calibration curve.

    The curve is that of `calibration_curve`.

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
        Delayed entry (months): refused with the reason, unless 0 for all.

    Returns
    -------
    float
        ``mean_i |P_observed(p_i) - p_i|``; 0 is perfect. NaN where the regression has no solution.

    Raises
    ------
    InputError
        If the arrays are not valid, the horizon lies beyond follow-up, or the predictions take
        fewer than five values or the knots coincide: use `calibration_groups` there.

    Notes
    -----
    Austin, Harrell and van Klaveren (2020), doi:10.1002/sim.8570; competing events: Austin et al.
    (2022), doi:10.1186/s41512-021-00114-6.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rate = np.exp(rng.normal(size=200))
    >>> time = rng.exponential(1 / rate)
    >>> ici(time, np.ones(200), np.exp(-rate), horizon=1.0) < 0.05
    True
    """
    refuse_entry(entry)
    curve = calibration_curve(time, event, survival_at_horizon, horizon=horizon, cause=cause)
    return float((curve["observed"] - curve["predicted"]).abs().mean(skipna=False))


def cox_event_probability(
    time: FloatArray, event: IntArray, X: FloatArray, *, horizon: float
) -> FloatArray | None:
    """Probability of the event by the horizon from a Cox regression of the outcome on `X`.

    Efron's partial likelihood and Efron's baseline hazard, as in R ``survfit(coxph(...))``.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    X : ndarray, shape (n, p)
        Predictors, linearly independent.
    horizon : float
        Landmark (months).

    Returns
    -------
    ndarray, shape (n,), or None
        Fitted probability of each patient; None where Newton's method finds no maximum.

    Examples
    --------
    >>> time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 1, 0])
    >>> X = np.array([[1.0], [2.0], [0.0], [1.0]])
    >>> cox_event_probability(time, event, X, horizon=2).round(3)
    array([0.43 , 0.552, 0.325, 0.43 ])
    """
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    sets = build_risk_sets(time, event)
    ordered = x[sets.order]
    beta = np.zeros(X.shape[1])
    for _ in range(_MAX_STEPS):
        _, gradient, information = efron_derivatives(sets, ordered, ordered @ beta)
        if np.linalg.cond(information) > _LARGEST_CONDITION:
            return None
        step = np.linalg.solve(information, gradient)
        longest = float(np.abs(step).max())
        beta = beta + step * min(1.0, _LONGEST_STEP / max(longest, _LONGEST_STEP))
        if longest < _TOLERANCE:
            hazard = efron_cumulative_hazard(sets, ordered @ beta)
            baseline = float(step_value(sets.event_times, hazard, horizon, start=0.0))
            probability: FloatArray = 1 - np.exp(-baseline * np.exp(x @ beta))
            return probability
        if np.abs(beta).max() > _LARGEST_SLOPE:
            return None
    return None


def _restricted_spline(x: FloatArray, knots: FloatArray) -> FloatArray:
    """Non-linear term of a restricted cubic spline with three knots."""
    first, middle, last = knots
    cubes = [np.maximum(x - knot, 0.0) ** 3 for knot in knots]
    term = (
        cubes[0]
        - cubes[1] * (last - first) / (last - middle)
        + cubes[2] * (middle - first) / (last - middle)
    )
    return np.asarray(term / (last - first) ** 2)
