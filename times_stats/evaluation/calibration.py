"""Calibration: agreement of predicted probabilities with what happened."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import check_cause, check_entry, check_survival_arrays
from times_stats.errors import InputError
from times_stats.evaluation.censoring_curves import CensoringCurves, resolve_censoring
from times_stats.evaluation.inputs import check_probabilities, check_values, refuse_entry
from times_stats.evaluation.observed_events import observed_probability
from times_stats.evaluation.slopes import efron_slopes
from times_stats.nonparametric.censoring import check_horizon
from times_stats.nonparametric.censoring_weights import weights_at


def calibration_slope(
    time: ArrayLike,
    event: ArrayLike,
    linear_predictor: ArrayLike,
    *,
    entry: ArrayLike | None = None,
) -> float:
    """Slope of a Cox regression of the outcome on the linear predictor.

    1 is perfect; below 1 the predictions are too extreme (overfitting), above 1 too timid.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    linear_predictor : array-like, shape (n,)
        Log-hazard of each patient, up to a constant.
    entry : array-like, shape (n,), optional
        Delayed entry (months).

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
    as R ``coef(survival::coxph(Surv(time, event) ~ lp, ties = "efron"))``, with ``Surv(entry, time,
    event)`` for delayed entry. Where events compete this is the slope of the cause-specific hazard:
    a competing event ends follow-up.

    Examples
    --------
    >>> round(calibration_slope([1, 2, 3, 4], [1, 1, 1, 0], [1, 2, 0, 1]), 3)
    0.358
    >>> calibration_slope([1, 2, 3, 4], [1, 1, 1, 0], [1, 1, 1, 1])
    nan
    """
    months, happened = check_survival_arrays(time, event)
    predictor = check_values(linear_predictor, months.size, "linear_predictor")
    late = None if entry is None else check_entry(entry, months)
    ones = np.ones((1, months.size))
    return float(efron_slopes(months, happened, predictor, ones, entry=late)[0])


def calibration_in_the_large(
    time: ArrayLike,
    event: ArrayLike,
    survival_at_horizon: ArrayLike,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    censoring: CensoringCurves | None = None,
    entry: ArrayLike | None = None,
) -> float:
    """Observed less mean predicted probability of the event by the horizon.

    0 is perfect; above 0 the predictions are too low. The observed probability is ``(1/n) sum_i
    1(event by the horizon) / G(t_i-)``, which without strata equals one minus the Kaplan-Meier
    estimate, or the Aalen-Johansen estimate where events compete.

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
    cause : array-like of int, shape (n,), optional
        What ended follow-up where events compete: 0 censored, 1 the event, 2, 3, ... another.
    censoring : CensoringCurves, optional
        Chance of being uncensored from a model, in place of Kaplan-Meier in `strata`.
    entry : array-like, shape (n,), optional
        Delayed entry (months): refused with the reason, unless 0 for all.

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
    McLernon et al. (2023), doi:10.7326/M22-0844. For its standard error, the ratio, and delayed
    entry: `observed_expected`.

    Examples
    --------
    >>> survival = [0.4, 0.5, 0.6, 0.7]
    >>> round(calibration_in_the_large([1, 2, 3, 4], [1, 1, 0, 0], survival, horizon=2), 3)
    0.05
    """
    refuse_entry(entry)
    months, happened = check_survival_arrays(time, event)
    survival = check_probabilities(survival_at_horizon, (months.size,), "survival_at_horizon")
    kinds = happened if cause is None else check_cause(happened, cause)
    ended = (kinds > 0).astype(np.int64)
    G = resolve_censoring(months, ended, horizon=horizon, strata=strata, censoring=censoring)
    weights = weights_at(G, months, ended, horizon=horizon, strata=strata)
    observed = np.where((happened == 1) & (months <= horizon), weights, 0.0).mean()
    return float(observed - (1 - survival).mean())


def calibration_groups(
    time: ArrayLike,
    event: ArrayLike,
    survival_at_horizon: ArrayLike,
    *,
    horizon: float,
    n_groups: int = 5,
    confidence_level: float = 0.95,
    cause: ArrayLike | None = None,
    entry: ArrayLike | None = None,
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
    cause : array-like of int, shape (n,), optional
        What ended follow-up where events compete: 0 censored, 1 the event, 2, 3, ... another.
    entry : array-like, shape (n,), optional
        Delayed entry (months).

    Returns
    -------
    DataFrame
        One row per group, lowest predicted probability first: ``group``, ``predicted`` (mean),
        ``observed`` (one minus Kaplan-Meier, or Aalen-Johansen with `cause`), ``lower``,
        ``upper``, ``n``, ``events`` (by the horizon). A group whose follow-up ends before the
        horizon has NaN for what was observed; limits are NaN where nobody or everybody had the
        event.

    Raises
    ------
    InputError
        If the arrays are not valid, the horizon lies beyond follow-up, or `n_groups` is below 1.

    Warns
    -----
    DataWarning
        As `kaplan_meier`, where with delayed entry a first risk set dies out.

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
    kinds = None if cause is None else check_cause(happened, cause)
    late = None if entry is None else check_entry(entry, months)
    check_horizon(months, happened, horizon=horizon, min_probability=0.0)
    predicted = 1 - survival
    cuts = np.unique(np.quantile(predicted, np.linspace(0, 1, n_groups + 1)[1:-1]))
    group = np.unique(np.searchsorted(cuts, predicted, side="left"), return_inverse=True)[1]
    records = []
    for k in range(group.max() + 1):
        rows = group == k
        seen = observed_probability(
            months[rows],
            happened[rows],
            horizon=horizon,
            cause=None if kinds is None else kinds[rows],
            entry=None if late is None else late[rows],
            confidence_level=confidence_level,
        )
        records.append(
            {
                "group": k + 1,
                "predicted": float(predicted[rows].mean()),
                "observed": seen.estimate,
                "lower": seen.lower,
                "upper": seen.upper,
                "n": int(rows.sum()),
                "events": int((happened[rows] * (months[rows] <= horizon)).sum()),
            }
        )
    return pd.DataFrame.from_records(records)
