"""Prediction error: Brier score with weights for censoring, and its relatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_cause, check_survival_arrays
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.censoring_curves import (
    Censoring,
    CensoringCurves,
    resolve_censoring,
)
from times_stats.evaluation.inputs import check_probabilities, check_times, refuse_entry
from times_stats.nonparametric.censoring_weights import weights_at
from times_stats.nonparametric.estimators import aalen_johansen, kaplan_meier


def brier_score(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    *,
    times: ArrayLike,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    censoring: CensoringCurves | None = None,
    entry: ArrayLike | None = None,
) -> FloatArray:
    """Mean squared error of predicted survival at each time.

    ``BS(t) = (1/n) sum_i w_i(t) (1(t_i > t) - S_i(t))^2`` with weights ``1 / G(t_i-)`` for events
    by t, ``1 / G(t)`` for patients followed beyond t, and 0 for those censored by t. With competing
    events `survival` is one minus the cumulative incidence of the event, and a patient whose
    competing event came by t is free of it, with weight ``1 / G(t_i-)``.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    survival : array-like, shape (n, n_times)
        Predicted probability of no event by each time.
    times : array-like, shape (n_times,)
        Evaluation times (months), increasing, within follow-up.
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
    ndarray, shape (n_times,)
        Brier scores; 0 is perfect, .25 what a prediction of one half gets.

    Raises
    ------
    InputError
        If the arrays are not valid or follow-up does not carry the last time.

    Notes
    -----
    Graf et al. (1999),
    doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5; Gerds and
    Schumacher (2006), doi:10.1002/bimj.200610301. Same as R ``riskRegression::Score(metrics =
    "brier", cens.model = "km")`` and ``pec::pec(cens.model = "marginal")`` without strata.

    Examples
    --------
    >>> survival = [[0.2], [0.6], [0.7], [0.9]]
    >>> brier_score([1, 2, 3, 4], [1, 1, 0, 0], survival, times=[2]).round(3)
    array([0.125])
    >>> brier_score([1, 2, 3, 4], [1, 0, 0, 0], survival, times=[2], cause=[1, 2, 0, 0]).round(3)
    array([0.075])
    """
    refuse_entry(entry)
    losses, _ = weighted_losses(time, event, survival, times, strata, cause, censoring)
    return losses.mean(axis=0)


def integrated_brier(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    *,
    times: ArrayLike,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    censoring: CensoringCurves | None = None,
    entry: ArrayLike | None = None,
) -> float:
    """Brier score averaged over time.

    Trapezoid rule over `times`, divided by their span; the Brier score itself with one time.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    survival : array-like, shape (n, n_times)
        Predicted probability of no event by each time.
    times : array-like, shape (n_times,)
        Evaluation times (months), increasing, within follow-up.
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
        Integrated Brier score.

    Raises
    ------
    InputError
        As `brier_score`.

    Notes
    -----
    Graf et al. (1999). Depends on the grid: report it with the result.

    Examples
    --------
    >>> survival = [[0.5, 0.2], [0.8, 0.6], [0.9, 0.7], [1.0, 0.9]]
    >>> round(integrated_brier([1, 2, 3, 4], [1, 1, 0, 0], survival, times=[1, 2]), 4)
    0.1
    """
    refuse_entry(entry)
    grid = check_times(times)
    losses, _ = weighted_losses(time, event, survival, grid, strata, cause, censoring)
    return float(losses.mean(axis=0) @ time_weights(grid))


def index_of_prediction_accuracy(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    *,
    times: ArrayLike,
    null_survival: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    censoring: CensoringCurves | None = None,
    entry: ArrayLike | None = None,
) -> FloatArray:
    """Brier score relative to a model that knows nothing of the patient.

    ``IPA(t) = 1 - BS(t) / BS_null(t)``.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    survival : array-like, shape (n, n_times)
        Predicted probability of no event by each time.
    times : array-like, shape (n_times,)
        Evaluation times (months), increasing, within follow-up.
    null_survival : array-like, shape (n, n_times), optional
        Predictions of the null model; by default the Kaplan-Meier curve of these same patients (one
        minus their Aalen-Johansen incidence where events compete), a null model that has seen the
        outcomes and is therefore a little hard to beat.
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
    ndarray, shape (n_times,)
        1 is perfect, 0 no better than the null model, negative worse.

    Raises
    ------
    InputError
        As `brier_score`.

    Notes
    -----
    Kattan and Gerds (2018), doi:10.1186/s41512-018-0029-2. Same as R
    ``riskRegression::Score(summary = "ipa")``.

    Examples
    --------
    >>> survival = [[0.2], [0.6], [0.7], [0.9]]
    >>> index_of_prediction_accuracy([1, 2, 3, 4], [1, 1, 0, 0], survival, times=[2]).round(3)
    array([0.5])
    """
    refuse_entry(entry)
    months, happened = check_survival_arrays(time, event)
    grid = check_times(times)
    if null_survival is None:
        if cause is None:
            curve = kaplan_meier(months, happened).at(grid)
        else:
            curves = aalen_johansen(months, check_cause(happened, cause))
            curve = 1 - curves[1].at(grid) if 1 in curves else np.ones(grid.size)
        null_survival = np.tile(curve, (months.size, 1))
    own, null = (
        weighted_losses(months, happened, predicted, grid, strata, cause, censoring)[0].mean(axis=0)
        for predicted in (survival, null_survival)
    )
    if (null == 0).any():
        raise InputError(
            "the null model predicts every outcome by some time: choose times between the first "
            "and the last event"
        )
    return 1 - own / null


def time_weights(times: FloatArray) -> FloatArray:
    """Weights of the times in the trapezoid rule, summing to one.

    Parameters
    ----------
    times : ndarray, shape (n_times,)
        Increasing times.

    Returns
    -------
    ndarray, shape (n_times,)

    Examples
    --------
    >>> time_weights(np.array([1.0, 2.0, 3.0]))
    array([0.25, 0.5 , 0.25])
    """
    if times.size == 1:
        return np.ones(1)
    gaps = np.diff(times)
    weights: FloatArray = (np.r_[gaps, 0.0] + np.r_[0.0, gaps]) / (2 * gaps.sum())
    return weights


def weights_on_grid(
    distribution: Censoring,
    time: FloatArray,
    event: IntArray,
    *,
    times: FloatArray,
    strata: ArrayLike | None = None,
) -> FloatArray:
    """Censoring weight of each patient at each time.

    Parameters
    ----------
    distribution : CensoringDistribution or CensoringCurves
        Censoring distribution.
    time, event : ndarray, shape (n,)
        Checked outcome; the event is that of any cause.
    times : ndarray, shape (n_times,)
        Evaluation times.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    ndarray, shape (n, n_times)

    Examples
    --------
    >>> from times_stats.nonparametric import censoring_distribution
    >>> time, event = np.array([1.0, 2.0, 3.0]), np.array([1, 0, 1])
    >>> G = censoring_distribution(time, event)
    >>> weights_on_grid(G, time, event, times=np.array([1.0, 2.0]))
    array([[1., 1.],
           [1., 0.],
           [1., 2.]])
    """
    return np.column_stack(
        [weights_at(distribution, time, event, horizon=float(t), strata=strata) for t in times]
    )


def weighted_losses(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    strata: ArrayLike | None,
    cause: ArrayLike | None,
    censoring: CensoringCurves | None,
) -> tuple[FloatArray, IntArray]:
    """Weighted squared error of each patient at each time, and who ended with any event.

    Parameters
    ----------
    time, event, survival, times, strata, cause, censoring
        As in `brier_score`.

    Returns
    -------
    losses : ndarray, shape (n, n_times)
        Their means are the Brier scores.
    ended : ndarray of int, shape (n,)
        Whether an event of any cause ended follow-up.

    Examples
    --------
    >>> weighted_losses([1, 2, 3], [1, 0, 1], [[0.5], [0.5], [0.5]], [2], None, None, None)[0].T
    array([[0.25, 0.  , 0.5 ]])
    """
    months, happened = check_survival_arrays(time, event)
    grid = check_times(times)
    predicted = check_probabilities(survival, (months.size, grid.size), "survival")
    kinds = happened if cause is None else check_cause(happened, cause)
    ended = (kinds > 0).astype(np.int64)
    last = float(grid[-1])
    G = resolve_censoring(months, ended, horizon=last, strata=strata, censoring=censoring)
    weights = weights_on_grid(G, months, ended, times=grid, strata=strata)
    free = (months[:, None] > grid) | (happened == 0)[:, None]
    losses: FloatArray = weights * (free - predicted) ** 2
    return losses, ended
