"""Prediction error: Brier score with weights for censoring, and its relatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_survival_arrays
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.inputs import check_probabilities, check_times
from times_stats.nonparametric.censoring import CensoringDistribution, check_horizon
from times_stats.nonparametric.censoring_weights import weights_at
from times_stats.nonparametric.estimators import kaplan_meier


def brier_score(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    *,
    times: ArrayLike,
    strata: ArrayLike | None = None,
) -> FloatArray:
    """Mean squared error of predicted survival at each time.

    ``BS(t) = (1/n) sum_i w_i(t) (1(t_i > t) - S_i(t))^2`` with weights ``1 / G(t_i-)`` for events
    by t, ``1 / G(t)`` for patients followed beyond t, and 0 for those censored by t.

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
    """
    return _losses(time, event, survival, times, strata).mean(axis=0)


def integrated_brier(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    *,
    times: ArrayLike,
    strata: ArrayLike | None = None,
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
    grid = check_times(times)
    return float(_losses(time, event, survival, grid, strata).mean(axis=0) @ time_weights(grid))


def index_of_prediction_accuracy(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    *,
    times: ArrayLike,
    null_survival: ArrayLike | None = None,
    strata: ArrayLike | None = None,
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
        Predictions of the null model; by default the Kaplan-Meier curve of these same patients, a
        null model that has seen the outcomes and is therefore a little hard to beat.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

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
    months, happened = check_survival_arrays(time, event)
    grid = check_times(times)
    if null_survival is None:
        null_survival = np.tile(kaplan_meier(months, happened).at(grid), (months.size, 1))
    own = _losses(months, happened, survival, grid, strata).mean(axis=0)
    null = _losses(months, happened, null_survival, grid, strata).mean(axis=0)
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
    distribution: CensoringDistribution,
    time: FloatArray,
    event: IntArray,
    *,
    times: FloatArray,
    strata: ArrayLike | None = None,
) -> FloatArray:
    """Censoring weight of each patient at each time.

    Parameters
    ----------
    distribution : CensoringDistribution
        Censoring distribution.
    time, event : ndarray, shape (n,)
        Checked outcome.
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


def _losses(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    strata: ArrayLike | None,
) -> FloatArray:
    """Weighted squared error of each patient at each time."""
    months, happened = check_survival_arrays(time, event)
    grid = check_times(times)
    predicted = check_probabilities(survival, (months.size, grid.size), "survival")
    G = check_horizon(months, happened, horizon=float(grid[-1]), strata=strata)
    weights = weights_on_grid(G, months, happened, times=grid, strata=strata)
    losses: FloatArray = weights * ((months[:, None] > grid) - predicted) ** 2
    return losses
