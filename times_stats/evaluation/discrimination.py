"""Discrimination: the patient with the higher risk should have the earlier event.

All measures are ratios of two sums over pairs (i, j) in which i has an event. `harrell_pairs`,
`uno_pairs` and `auc_pairs` give
the pair weights and `risk_order` the pair scores; bootstrap resamples reuse both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_survival_arrays
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.inputs import check_times, check_values
from times_stats.nonparametric.censoring import CensoringDistribution, check_horizon
from times_stats.nonparametric.censoring_weights import weights_at


@dataclass(frozen=True, slots=True)
class Pairs:
    """Weights of the comparable pairs of one measure.

    Attributes
    ----------
    rows : ndarray of int, shape (k,)
        Patients with an event that can come first in a pair.
    weights : ndarray, shape (k, n)
        Weight of the pair (row, column), 0 where the two cannot be compared.
    """

    rows: IntArray
    weights: FloatArray


def concordance_harrell(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Harrell's concordance: share of comparable pairs that the risk orders rightly.

    A pair is comparable when the shorter time is an event. Of two patients with equal times, one
    with an event and one censored, the event came first; two events at one time are not compared.
    Equal risks count one half.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    risk : array-like, shape (n,)
        Risk, larger = earlier event.

    Returns
    -------
    float
        C in [0, 1]; .5 is chance.

    Raises
    ------
    InputError
        If the arrays are not valid or no pair is comparable.

    Notes
    -----
    ``C = sum_ij D_ij [1(r_i > r_j) + 1(r_i = r_j) / 2] / sum_ij D_ij``. Harrell et al. (1996),
    doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4. Same as R
    ``survival::concordance(..., reverse = TRUE)``.

    Examples
    --------
    >>> concordance_harrell([1, 2, 3, 4], [1, 1, 0, 1], [4, 3, 3, 1])
    0.9
    """
    months, happened = check_survival_arrays(time, event)
    return _concordance(harrell_pairs(months, happened), check_values(risk, months.size, "risk"))


def concordance_uno(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
) -> float:
    """Uno's concordance up to a horizon: free of the censoring distribution.

    Pairs whose first event is at or before the horizon, each weighted by
    ``1 / (G_i(t_i-) G_j(t_i-))``, which is ``1 / G(t_i-)^2`` without strata. Ties as in
    `concordance_harrell`.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    risk : array-like, shape (n,)
        Risk, larger = earlier event.
    horizon : float
        Last event time that counts (months); within follow-up.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    float
        C in [0, 1].

    Raises
    ------
    InputError
        If the arrays are not valid, follow-up does not carry the horizon (`check_horizon` in
        `times_stats.nonparametric`), or no pair is comparable.

    Notes
    -----
    Uno et al. (2011), doi:10.1002/sim.4154; the product form with strata: Gerds et al. (2013),
    doi:10.1002/sim.5681. Same as R ``survival::concordance(..., timewt = "n/G2", ymax = horizon,
    reverse = TRUE)`` without strata.

    Examples
    --------
    >>> round(concordance_uno([1, 2, 3, 4], [1, 0, 1, 0], [3, 1, 1, 2], horizon=3), 4)
    0.5714
    """
    months, happened = check_survival_arrays(time, event)
    values = check_values(risk, months.size, "risk")
    G = check_horizon(months, happened, horizon=horizon, strata=strata)
    return _concordance(uno_pairs(months, happened, G, horizon=horizon, strata=strata), values)


def time_dependent_auc(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    times: ArrayLike,
    strata: ArrayLike | None = None,
) -> FloatArray:
    """Area under the cumulative/dynamic ROC curve at each time.

    Cases have the event at or before t and weight ``1 / G(t_i-)``; controls are followed beyond t
    and have weight ``1 / G(t)``. Equal risks count one half.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    risk : array-like, shape (n,)
        Risk, larger = earlier event.
    times : array-like, shape (n_times,)
        Evaluation times (months), increasing, within follow-up.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    ndarray, shape (n_times,)
        AUC; NaN at a time without cases or without controls.

    Raises
    ------
    InputError
        If the arrays are not valid or follow-up does not carry the last time.

    Notes
    -----
    Uno et al. (2007), doi:10.1198/016214507000000149; Blanche et al. (2013), doi:10.1002/sim.5958.
    Same as R ``riskRegression::Score(metrics = "auc", cens.model = "km")``.

    Examples
    --------
    >>> time_dependent_auc([1, 2, 3, 4], [1, 1, 1, 0], [3, 1, 2, 1], times=[1, 2]).round(3)
    array([1.  , 0.625])
    """
    months, happened = check_survival_arrays(time, event)
    values = check_values(risk, months.size, "risk")
    grid = check_times(times)
    G = check_horizon(months, happened, horizon=float(grid[-1]), strata=strata)
    result = np.full(grid.size, np.nan)
    for k, t in enumerate(grid):
        pairs = auc_pairs(months, happened, G, horizon=float(t), strata=strata)
        total = pairs.weights.sum()
        if total > 0:
            result[k] = (pairs.weights * risk_order(values, pairs.rows)).sum() / total
    return result


def harrell_pairs(time: FloatArray, event: IntArray) -> Pairs:
    """Return the comparable pairs of Harrell's concordance, weight 1.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.

    Returns
    -------
    Pairs

    Examples
    --------
    >>> harrell_pairs(np.array([1.0, 1.0, 2.0]), np.array([1, 0, 1])).weights
    array([[0., 1., 1.],
           [0., 0., 0.]])
    """
    rows = np.flatnonzero(event == 1)
    own = time[rows, None]
    later = (time > own) | ((time == own) & (event == 0))
    return Pairs(rows, later.astype(np.float64))


def uno_pairs(
    time: FloatArray,
    event: IntArray,
    distribution: CensoringDistribution,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
) -> Pairs:
    """Return the comparable pairs of Uno's concordance with their censoring weights.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    distribution : CensoringDistribution
        Censoring distribution.
    horizon : float
        Last event time that counts.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    Pairs

    Examples
    --------
    >>> from times_stats.nonparametric import censoring_distribution
    >>> time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 1, 0])
    >>> G = censoring_distribution(time, event)
    >>> uno_pairs(time, event, G, horizon=3).weights
    array([[0.  , 1.  , 1.  , 1.  ],
           [0.  , 0.  , 0.  , 2.25]])
    """
    pairs = harrell_pairs(time, event)
    keep = time[pairs.rows] <= horizon
    rows, weights = pairs.rows[keep], pairs.weights[keep]
    if strata is None:
        return Pairs(rows, weights / distribution.before(time[rows])[:, None] ** 2)
    labels = np.asarray(strata).astype(str)
    uncensored = np.empty_like(weights)  # G of the column's stratum just before the row's event
    for name in np.unique(labels):
        before = distribution.before(time[rows], strata=np.full(rows.size, name))
        uncensored[:, labels == name] = before[:, None]
    own = distribution.before(time[rows], strata=labels[rows])
    return Pairs(rows, weights / (own[:, None] * uncensored))


def auc_pairs(
    time: FloatArray,
    event: IntArray,
    distribution: CensoringDistribution,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
) -> Pairs:
    """Return the pairs of a case by the horizon and a control beyond it, weighted.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    distribution : CensoringDistribution
        Censoring distribution.
    horizon : float
        Time of evaluation.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    Pairs

    Examples
    --------
    >>> from times_stats.nonparametric import censoring_distribution
    >>> time, event = np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0])
    >>> auc_pairs(time, event, censoring_distribution(time, event), horizon=1).weights
    array([[0., 1., 1.]])
    """
    rows = np.flatnonzero((event == 1) & (time <= horizon))
    weights = weights_at(distribution, time, event, horizon=horizon, strata=strata)
    return Pairs(rows, weights[rows, None] * np.where(time > horizon, weights, 0.0))


def risk_order(risk: FloatArray, rows: IntArray) -> FloatArray:
    """Return the score of each pair: 1 if the row has the higher risk, one half if equal, else 0.

    Parameters
    ----------
    risk : ndarray, shape (n,)
        Risk.
    rows : ndarray of int, shape (k,)
        First patients of the pairs.

    Returns
    -------
    ndarray, shape (k, n)

    Examples
    --------
    >>> risk_order(np.array([2.0, 1.0, 2.0]), np.array([0]))
    array([[0.5, 1. , 0.5]])
    """
    own = risk[rows, None]
    score: FloatArray = (own > risk) + 0.5 * (own == risk)
    return score


def _concordance(pairs: Pairs, risk: FloatArray) -> float:
    total = pairs.weights.sum()
    if total == 0:
        raise InputError(
            "no two patients can be compared: no event is followed by a longer time; "
            "give more follow-up or a later horizon"
        )
    return float((pairs.weights * risk_order(risk, pairs.rows)).sum() / total)
