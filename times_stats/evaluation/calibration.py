"""Calibration: agreement of predicted probabilities with what happened."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import check_survival_arrays
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.inputs import check_probabilities, check_values
from times_stats.evaluation.slopes import efron_slopes
from times_stats.nonparametric.censoring import check_horizon
from times_stats.nonparametric.censoring_weights import weights_at
from times_stats.nonparametric.estimators import kaplan_meier
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


def calibration_slope(time: ArrayLike, event: ArrayLike, linear_predictor: ArrayLike) -> float:
    """Slope of a Cox regression of the outcome on the linear predictor.

    1 is perfect; below 1 the predictions are too extreme (overfitting), above 1 too timid.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    linear_predictor : array-like, shape (n,)
        Log-hazard of each patient, up to a constant.

    Returns
    -------
    float
        Slope; NaN where it does not exist: a constant linear predictor, no event, or events that it
        orders perfectly.

    Raises
    ------
    InputError
        If the arrays are not valid.

    Notes
    -----
    van Houwelingen (2000), doi:10.1002/1097-0258(20001230)19:24<3401::AID-SIM554>3.0.CO;2-2. Same
    as R ``coef(survival::coxph(Surv(time, event) ~ lp, ties = "efron"))``.

    Examples
    --------
    >>> round(calibration_slope([1, 2, 3, 4], [1, 1, 1, 0], [1, 2, 0, 1]), 3)
    0.358
    >>> calibration_slope([1, 2, 3, 4], [1, 1, 1, 0], [1, 1, 1, 1])
    nan
    """
    months, happened = check_survival_arrays(time, event)
    predictor = check_values(linear_predictor, months.size, "linear_predictor")
    return float(efron_slopes(months, happened, predictor, np.ones((1, months.size)))[0])


def calibration_in_the_large(
    time: ArrayLike,
    event: ArrayLike,
    survival_at_horizon: ArrayLike,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
) -> float:
    """Observed less mean predicted probability of the event by the horizon.

    0 is perfect; above 0 the predictions are too low. The observed probability is ``(1/n) sum_i
    1(event by the horizon) / G(t_i-)``, which without strata equals one minus the Kaplan-Meier
    estimate.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    survival_at_horizon : array-like, shape (n,)
        Predicted probability of no event by the horizon.
    horizon : float
        Landmark (months), within follow-up.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    float
        Difference of probabilities, in [-1, 1].

    Raises
    ------
    InputError
        If the arrays are not valid or follow-up does not carry the horizon.

    Notes
    -----
    McLernon et al. (2023), doi:10.7326/M22-0844.

    Examples
    --------
    >>> survival = [0.4, 0.5, 0.6, 0.7]
    >>> round(calibration_in_the_large([1, 2, 3, 4], [1, 1, 0, 0], survival, horizon=2), 3)
    0.05
    """
    months, happened = check_survival_arrays(time, event)
    survival = check_probabilities(survival_at_horizon, (months.size,), "survival_at_horizon")
    G = check_horizon(months, happened, horizon=horizon, strata=strata)
    weights = weights_at(G, months, happened, horizon=horizon, strata=strata)
    observed = np.where(months <= horizon, weights, 0.0).mean()
    return float(observed - (1 - survival).mean())


def calibration_groups(
    time: ArrayLike,
    event: ArrayLike,
    survival_at_horizon: ArrayLike,
    *,
    horizon: float,
    n_groups: int = 5,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Observed and predicted probability of the event in groups of predicted probability.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    survival_at_horizon : array-like, shape (n,)
        Predicted probability of no event by the horizon.
    horizon : float
        Landmark (months).
    n_groups : int
        Number of groups, cut at quantiles; equal predictions stay together, so there may be fewer.
    confidence_level : float
        Level of the pointwise intervals (log-minus-log scale).

    Returns
    -------
    DataFrame
        One row per group, lowest predicted probability first: ``group``, ``predicted`` (mean),
        ``observed`` (one minus Kaplan-Meier), ``lower``, ``upper``, ``n``, ``events`` (by the
        horizon). A group whose follow-up ends before the horizon has NaN for what was observed;
        limits are NaN where nobody or everybody had the event.

    Raises
    ------
    InputError
        If the arrays are not valid, the horizon lies beyond follow-up, or `n_groups` is below 1.

    Examples
    --------
    >>> survival = [0.4, 0.5, 0.8, 0.9]
    >>> table = calibration_groups([1, 2, 3, 4], [1, 1, 0, 0], survival, horizon=2, n_groups=2)
    >>> table[["predicted", "observed", "n"]].round(3)
       predicted  observed  n
    0       0.15       0.0  2
    1       0.55       1.0  2
    """
    months, happened = check_survival_arrays(time, event)
    survival = check_probabilities(survival_at_horizon, (months.size,), "survival_at_horizon")
    if n_groups < 1:
        raise InputError(f"n_groups is {n_groups}: use 1 or more")
    check_horizon(months, happened, horizon=horizon, min_probability=0.0)
    predicted = 1 - survival
    cuts = np.unique(np.quantile(predicted, np.linspace(0, 1, n_groups + 1)[1:-1]))
    group = np.unique(np.searchsorted(cuts, predicted, side="left"), return_inverse=True)[1]
    records = []
    for k in range(group.max() + 1):
        rows = group == k
        curve = kaplan_meier(months[rows], happened[rows])
        estimate = float(curve.at(horizon))
        ended = months[rows].max() < horizon and estimate > 0
        limits = [
            1 - float(step_value(curve.times, limit, horizon, start=curve.start))
            for limit in curve.interval(confidence_level=confidence_level)
        ]
        inside = 0 < estimate < 1 and not ended
        records.append(
            {
                "group": k + 1,
                "predicted": float(predicted[rows].mean()),
                "observed": np.nan if ended else 1 - estimate,
                "lower": min(limits) if inside else np.nan,
                "upper": max(limits) if inside else np.nan,
                "n": int(rows.sum()),
                "events": int((happened[rows] * (months[rows] <= horizon)).sum()),
            }
        )
    return pd.DataFrame.from_records(records)


def ici(
    time: ArrayLike, event: ArrayLike, survival_at_horizon: ArrayLike, *, horizon: float
) -> float:
    """Integrated calibration index: mean distance from a smooth calibration curve.

    The curve is a Cox regression (Efron) of the outcome on a restricted cubic spline of ``log(-log
    S(horizon))`` with knots at the 10th, 50th and 90th percentile.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    survival_at_horizon : array-like, shape (n,)
        Predicted probability of no event by the horizon.
    horizon : float
        Landmark (months), within follow-up.

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
    Austin, Harrell and van Klaveren (2020), doi:10.1002/sim.8570.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rate = np.exp(rng.normal(size=200))
    >>> time = rng.exponential(1 / rate)
    >>> ici(time, np.ones(200), np.exp(-rate), horizon=1.0) < 0.05
    True
    """
    months, happened = check_survival_arrays(time, event)
    survival = check_probabilities(survival_at_horizon, (months.size,), "survival_at_horizon")
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
    observed = cox_event_probability(months, happened, basis, horizon=horizon)
    return float("nan") if observed is None else float(np.abs(observed - predicted).mean())


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
