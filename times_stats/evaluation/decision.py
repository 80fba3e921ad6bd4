"""Decisions at a threshold of predicted probability: net benefit, sensitivity and its relatives."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import check_cause, check_survival_arrays
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.evaluation.censoring_curves import CensoringCurves, resolve_censoring
from times_stats.evaluation.inputs import check_probabilities, refuse_entry
from times_stats.nonparametric.censoring_weights import weights_at


def net_benefit(
    time: ArrayLike,
    event: ArrayLike,
    probability: ArrayLike,
    *,
    horizon: float,
    thresholds: ArrayLike,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    censoring: CensoringCurves | None = None,
    entry: ArrayLike | None = None,
) -> pd.DataFrame:
    """Net benefit of treating patients whose predicted probability reaches a threshold.

    ``NB(p) = TP - FP p / (1 - p)`` where TP and FP are the shares of all patients who are treated
    and do, or do not, have the event by the horizon, weighted for censoring: ``1 / G(t_i-)`` for
    events, ``1 / G(horizon)`` for patients followed beyond it. With competing events a patient
    whose competing event came by the horizon does not have the event, with weight ``1 / G(t_i-)``.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    probability : array-like, shape (n,)
        Predicted probability of the event by the horizon.
    horizon : float
        Landmark (months), within follow-up.
    thresholds : array-like, shape (k,)
        Threshold probabilities in (0, 1).
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
    DataFrame
        One row per threshold: ``threshold``, ``net_benefit``, ``treat_all`` (net benefit of
        treating everybody; of treating nobody it is 0) and ``n_treated``.

    Raises
    ------
    InputError
        If the arrays are not valid, a threshold is not inside (0, 1), or follow-up does not carry
        the horizon.

    Notes
    -----
    Vickers and Elkin (2006), doi:10.1177/0272989X06295361; Vickers et al. (2008),
    doi:10.1186/1472-6947-8-53. A patient exactly at the threshold is treated. R ``dcurves``
    estimates TP and FP by Kaplan-Meier among the treated instead; `treat_all` is the same there.

    Examples
    --------
    >>> table = net_benefit([1, 2, 3, 4], [1, 1, 0, 0], [0.9, 0.3, 0.6, 0.1], horizon=2,
    ...                     thresholds=[0.2, 0.5])
    >>> table.round(4)
       threshold  net_benefit  treat_all  n_treated
    0        0.2       0.4375      0.375          3
    1        0.5       0.0000      0.000          2
    """
    refuse_entry(entry)
    treated, cuts, cases, controls = _above_thresholds(
        time, event, probability, horizon, thresholds, strata, cause, censoring
    )
    odds = cuts / (1 - cuts)
    return pd.DataFrame(
        {
            "threshold": cuts,
            "net_benefit": treated @ cases - odds * (treated @ controls),
            "treat_all": cases.sum() - odds * controls.sum(),
            "n_treated": treated.sum(axis=1),
        }
    )


def threshold_accuracy(
    time: ArrayLike,
    event: ArrayLike,
    probability: ArrayLike,
    *,
    horizon: float,
    thresholds: ArrayLike,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    censoring: CensoringCurves | None = None,
    entry: ArrayLike | None = None,
) -> pd.DataFrame:
    """Sensitivity, specificity, predictive values and accuracy at thresholds, under censoring.

    A patient whose predicted probability reaches the threshold is called positive. Every patient of
    known status at the horizon counts with the weight ``1 / G(t_i-)`` (event or competing event by
    the horizon) or ``1 / G(horizon)`` (followed beyond it); those censored by then with 0. Each
    measure is the ratio of two sums of weights.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    probability : array-like, shape (n,)
        Predicted probability of the event by the horizon.
    horizon : float
        Landmark (months), within follow-up.
    thresholds : array-like, shape (k,)
        Threshold probabilities in (0, 1).
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
    DataFrame
        One row per threshold: ``threshold``, ``sensitivity``, ``specificity``, ``ppv``, ``npv``,
        ``accuracy`` and ``n_positive``; NaN where nobody stands in the denominator.

    Raises
    ------
    InputError
        If the arrays are not valid, a threshold is not inside (0, 1), or follow-up does not carry
        the horizon.

    Notes
    -----
    Blanche et al. (2013), doi:10.1002/sim.5958, with controls of their second definition where
    events compete. R ``timeROC::SeSpPPVNPV`` has the same ratios, but calls a patient positive
    *above* the threshold and counts events *before* the horizon.

    Examples
    --------
    >>> table = threshold_accuracy([1, 2, 3, 4], [1, 1, 0, 0], [0.9, 0.3, 0.6, 0.1], horizon=2,
    ...                            thresholds=[0.5])
    >>> table.round(2)
       threshold  sensitivity  specificity  ppv  npv  accuracy  n_positive
    0        0.5          0.5          0.5  0.5  0.5       0.5           2
    """
    refuse_entry(entry)
    positive, cuts, cases, controls = _above_thresholds(
        time, event, probability, horizon, thresholds, strata, cause, censoring
    )
    true_positive, false_positive = positive @ cases, positive @ controls
    true_negative, false_negative = ~positive @ controls, ~positive @ cases
    right = true_positive + true_negative
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.DataFrame(
            {
                "threshold": cuts,
                "sensitivity": true_positive / (true_positive + false_negative),
                "specificity": true_negative / (true_negative + false_positive),
                "ppv": true_positive / (true_positive + false_positive),
                "npv": true_negative / (true_negative + false_negative),
                "accuracy": right / (right + false_positive + false_negative),
                "n_positive": positive.sum(axis=1),
            }
        )


def _above_thresholds(
    time: ArrayLike,
    event: ArrayLike,
    probability: ArrayLike,
    horizon: float,
    thresholds: ArrayLike,
    strata: ArrayLike | None,
    cause: ArrayLike | None,
    censoring: CensoringCurves | None,
) -> tuple[BoolArray, FloatArray, FloatArray, FloatArray]:
    """Who reaches which threshold, the thresholds, and the weights of cases and of controls."""
    months, happened = check_survival_arrays(time, event)
    predicted = check_probabilities(probability, (months.size,), "probability")
    try:
        cuts = np.asarray(thresholds, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("thresholds are not numeric: give probabilities inside (0, 1)") from None
    if cuts.ndim != 1 or cuts.size == 0 or not ((cuts > 0) & (cuts < 1)).all():
        raise InputError("thresholds are not probabilities inside (0, 1): give at least one")
    kinds = happened if cause is None else check_cause(happened, cause)
    ended = (kinds > 0).astype(np.int64)
    G = resolve_censoring(months, ended, horizon=horizon, strata=strata, censoring=censoring)
    weights = weights_at(G, months, ended, horizon=horizon, strata=strata) / months.size
    is_case = (happened == 1) & (months <= horizon)
    cases, controls = np.where(is_case, weights, 0.0), np.where(is_case, 0.0, weights)
    return predicted[None, :] >= cuts[:, None], cuts, cases, controls
