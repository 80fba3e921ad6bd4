"""Discrimination: the patient with the higher risk should have the earlier event.

All measures are ratios of two sums over pairs (i, j) in which i has an event. `harrell_pairs`,
`uno_pairs` and `auc_pairs` give the pair weights and `risk_order` the pair scores; bootstrap
resamples reuse both. Where a weight belongs to the event alone, no pair is formed (`event_sums`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import (
    check_cause,
    check_entry,
    check_positive_horizon,
    check_survival_arrays,
)
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.censoring_curves import (
    Censoring,
    CensoringCurves,
    resolve_censoring,
)
from times_stats.evaluation.inputs import check_times, check_values, refuse_entry
from times_stats.evaluation.pair_sums import EventSums, event_sums
from times_stats.nonparametric.censoring import CensoringDistribution
from times_stats.nonparametric.censoring_weights import weights_at

_LARGEST_BLOCK = 2**21  # pairs held in memory at once
NO_PAIR = (
    "no two patients can be compared: no event is followed by a longer time; "
    "give more follow-up or a later horizon"
)


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


def concordance_harrell(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    horizon: float | None = None,
    entry: ArrayLike | None = None,
) -> float:
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
    horizon : float, optional
        Last event time that counts (months); all events by default. Later events are patients
        followed beyond.
    entry : array-like, shape (n,), optional
        Delayed entry (months): an event is compared with the patients under observation at it,
        who entered before.

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
    ``survival::concordance(Surv(time, event) ~ risk, ymax = horizon, reverse = TRUE)``, with
    ``Surv(entry, time, event)`` for delayed entry. Takes O(n log n) time and O(n) memory.

    Examples
    --------
    >>> concordance_harrell([1, 2, 3, 4], [1, 1, 0, 1], [4, 3, 3, 1])
    0.9
    >>> concordance_harrell([1, 2, 3, 4], [1, 1, 0, 1], [4, 3, 3, 1], entry=[0, 1, 0, 3])
    0.75
    """
    months, happened = check_survival_arrays(time, event)
    values = check_values(risk, months.size, "risk")
    late = None if entry is None else check_entry(entry, months)
    if horizon is not None:
        check_positive_horizon(horizon)
    counts = np.ones(months.size) if horizon is None else (months <= horizon).astype(np.float64)
    sums = event_sums(months, happened, values, event_weights=counts, entry=late)
    return _from_sums(sums, counts)


def concordance_uno(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    censoring: CensoringCurves | None = None,
    entry: ArrayLike | None = None,
) -> float:
    """Uno's concordance up to a horizon: free of the censoring distribution.

    Pairs whose first event is at or before the horizon, each weighted by
    ``1 / (G_i(t_i-) G_j(t_i-))``, which is ``1 / G(t_i-)^2`` without strata. Ties as in
    `concordance_harrell`. With competing events a patient whose competing event came at or before
    ``t_i`` will never have the event, and so stands beyond it, with ``G_j(t_j-)`` in the weight.

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
    cause : array-like of int, shape (n,), optional
        What ended follow-up where events compete: 0 censored, 1 the event, 2, 3, ... another.
    censoring : CensoringCurves, optional
        Chance of being uncensored from a model, in place of Kaplan-Meier in `strata`.
    entry : array-like, shape (n,), optional
        Delayed entry (months): refused with the reason, unless 0 for all.

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
    doi:10.1002/sim.5681; competing events: Wolbers et al. (2014),
    doi:10.1093/biostatistics/kxt059. Same as R ``survival::concordance(..., timewt = "n/G2",
    ymax = horizon, reverse = TRUE)`` without strata and competing events, in O(n log n) time;
    else O(n^2) time, in blocks of bounded memory.

    Examples
    --------
    >>> round(concordance_uno([1, 2, 3, 4], [1, 0, 1, 0], [3, 1, 1, 2], horizon=3), 4)
    0.5714
    >>> concordance_uno([1, 2, 3, 4], [0, 0, 1, 0], [3, 4, 2, 1], horizon=3, cause=[2, 2, 1, 0])
    0.3333333333333333
    """
    refuse_entry(entry)
    months, happened = check_survival_arrays(time, event)
    values = check_values(risk, months.size, "risk")
    kinds = happened if cause is None else check_cause(happened, cause)
    ended = (kinds > 0).astype(np.int64)
    G = resolve_censoring(months, ended, horizon=horizon, strata=strata, censoring=censoring)
    if strata is None and cause is None and isinstance(G, CensoringDistribution):
        weights = np.zeros(months.size)
        counts = (happened == 1) & (months <= horizon)
        weights[counts] = 1 / G.before(months[counts]) ** 2
        return _from_sums(event_sums(months, happened, values, event_weights=weights), weights)
    wins = total = 0.0
    counted = np.flatnonzero((happened == 1) & (months <= horizon))
    for rows in blocks(counted, months.size):
        pairs = uno_pairs(
            months, happened, G, horizon=horizon, strata=strata, ended=ended, rows=rows
        )
        total += float(pairs.weights.sum())
        wins += float((pairs.weights * risk_order(values, pairs.rows)).sum())
    if total == 0:
        raise InputError(NO_PAIR)
    return wins / total


def time_dependent_auc(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    times: ArrayLike,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    censoring: CensoringCurves | None = None,
    entry: ArrayLike | None = None,
) -> FloatArray:
    """Area under the cumulative/dynamic ROC curve at each time.

    Cases have the event at or before t and weight ``1 / G(t_i-)``; controls are followed beyond t
    and have weight ``1 / G(t)``, or had a competing event by t and have weight ``1 / G(t_j-)``.
    Equal risks count one half.

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
    cause : array-like of int, shape (n,), optional
        What ended follow-up where events compete: 0 censored, 1 the event, 2, 3, ... another.
    censoring : CensoringCurves, optional
        Chance of being uncensored from a model, in place of Kaplan-Meier in `strata`.
    entry : array-like, shape (n,), optional
        Delayed entry (months): refused with the reason, unless 0 for all.

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
    Uno et al. (2007), doi:10.1198/016214507000000149; Blanche et al. (2013), doi:10.1002/sim.5958,
    whose second definition of controls is the one used with competing events. Same as R
    ``riskRegression::Score(metrics = "auc", cens.model = "km")``.

    Examples
    --------
    >>> time_dependent_auc([1, 2, 3, 4], [1, 1, 1, 0], [3, 1, 2, 1], times=[1, 2]).round(3)
    array([1.  , 0.625])
    >>> time_dependent_auc([1, 2, 3, 4], [1, 0, 1, 0], [2, 3, 1, 1], times=[2],
    ...                    cause=[1, 2, 1, 0]).round(3)
    array([0.667])
    """
    refuse_entry(entry)
    months, happened = check_survival_arrays(time, event)
    values = check_values(risk, months.size, "risk")
    kinds = happened if cause is None else check_cause(happened, cause)
    ended = (kinds > 0).astype(np.int64)
    grid = check_times(times)
    last = float(grid[-1])
    G = resolve_censoring(months, ended, horizon=last, strata=strata, censoring=censoring)
    result = np.full(grid.size, np.nan)
    for k, t in enumerate(grid):
        weights = weights_at(G, months, ended, horizon=float(t), strata=strata)
        is_case = (happened == 1) & (months <= t)
        cases, controls = np.where(is_case, weights, 0.0), np.where(is_case, 0.0, weights)
        outranked, _, total = auc_scores(cases, controls, values)
        if total > 0:
            result[k] = cases @ outranked / total
    return result


def auc_scores(
    cases: FloatArray, controls: FloatArray, risk: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Weight of the controls that a patient outranks, of the cases that outrank it, of all pairs.

    Parameters
    ----------
    cases, controls : ndarray, shape (n,)
        Weight of each patient as a case and as a control.
    risk : ndarray, shape (n,)
        Risk; equal risks count one half.

    Returns
    -------
    outranked, outranking : ndarray, shape (n,)
    total : float
        Weight of all pairs, summed in the order of ``cases @ outranked``: a perfect ranking has a
        ratio of exactly 1.

    Notes
    -----
    The weight of a pair is a product, so no pair is formed: O(n log n).

    Examples
    --------
    >>> auc_scores(np.array([1.0, 0, 0]), np.array([0.0, 1, 2]), np.array([2.0, 2, 1]))
    (array([2.5, 2.5, 1. ]), array([0.5, 0.5, 1. ]), 3.0)
    """
    rank = np.unique(risk, return_inverse=True)[1]
    own_controls, own_cases = np.bincount(rank, controls), np.bincount(rank, cases)
    below = np.cumsum(own_controls)
    outranked = below - own_controls / 2
    outranking = cases.sum() - np.cumsum(own_cases) + own_cases / 2
    total = float(cases @ np.full(cases.size, below[-1]))
    return outranked[rank], outranking[rank], total


def harrell_pairs(
    time: FloatArray,
    event: IntArray,
    *,
    ended: IntArray | None = None,
    rows: IntArray | None = None,
) -> Pairs:
    """Return the comparable pairs of Harrell's concordance, weight 1.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    ended : ndarray of int, shape (n,), optional
        Whether an event of any cause ended follow-up; `event` itself where no events compete. At
        the time of an event only the censored are compared with it.
    rows : ndarray of int, shape (k,), optional
        Patients with the event whose pairs are wanted; all by default.

    Returns
    -------
    Pairs

    Examples
    --------
    >>> harrell_pairs(np.array([1.0, 1.0, 2.0]), np.array([1, 0, 1])).weights
    array([[0., 1., 1.],
           [0., 0., 0.]])
    """
    if rows is None:
        rows = np.flatnonzero(event == 1)
    own = time[rows, None]
    censored = (event if ended is None else ended) == 0
    later = (time > own) | ((time == own) & censored)
    return Pairs(rows, later.astype(np.float64))


def uno_pairs(
    time: FloatArray,
    event: IntArray,
    distribution: Censoring,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
    ended: IntArray | None = None,
    rows: IntArray | None = None,
) -> Pairs:
    """Return the comparable pairs of Uno's concordance with their censoring weights.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    distribution : CensoringDistribution or CensoringCurves
        Censoring distribution.
    horizon : float
        Last event time that counts.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    ended : ndarray of int, shape (n,), optional
        Whether an event of any cause ended follow-up; `event` itself where no events compete.
    rows : ndarray of int, shape (k,), optional
        Patients with the event whose pairs are wanted; all by default.

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
    any_event = event if ended is None else ended
    pairs = harrell_pairs(time, event, ended=any_event, rows=rows)
    keep = time[pairs.rows] <= horizon
    rows, weights = pairs.rows[keep], pairs.weights[keep]
    if isinstance(distribution, CensoringCurves):
        own = distribution.before(time)[rows]
        uncensored = distribution.all_before(time[rows])
    elif strata is None:
        own = distribution.before(time[rows])
        uncensored = np.repeat(own[:, None], time.size, axis=1)
    else:
        labels = np.asarray(strata).astype(str)
        uncensored = np.empty_like(weights)  # G of the column's stratum just before the row's event
        for name in np.unique(labels):
            before = distribution.before(time[rows], strata=np.full(rows.size, name))
            uncensored[:, labels == name] = before[:, None]
        own = distribution.before(time[rows], strata=labels[rows])
    beyond = (any_event == 1) & (event == 0) & (time <= time[rows, None])
    if beyond.any():  # a competing event: known by its own time that the event never comes
        reached = distribution.before(time, strata=strata)
        uncensored = np.where(beyond, reached, uncensored)
        weights = np.where(beyond, 1.0, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        # G may be 0 where no pair is formed
        return Pairs(rows, np.where(weights > 0, weights / (own[:, None] * uncensored), 0.0))


def auc_pairs(
    time: FloatArray,
    event: IntArray,
    distribution: Censoring,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
    ended: IntArray | None = None,
) -> Pairs:
    """Return the pairs of a case by the horizon and a control beyond it, weighted.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    distribution : CensoringDistribution or CensoringCurves
        Censoring distribution.
    horizon : float
        Time of evaluation.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    ended : ndarray of int, shape (n,), optional
        Whether an event of any cause ended follow-up; `event` itself where no events compete.

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
    any_event = event if ended is None else ended
    cases = (event == 1) & (time <= horizon)
    weights = weights_at(distribution, time, any_event, horizon=horizon, strata=strata)
    rows = np.flatnonzero(cases)
    return Pairs(rows, weights[rows, None] * np.where(cases, 0.0, weights))


def blocks(rows: IntArray, n: int) -> list[IntArray]:
    """Split patients so that an array of each part's pairs with all n has bounded memory.

    Parameters
    ----------
    rows : ndarray of int, shape (k,)
        Patients.
    n : int
        Number of patients each is paired with.

    Returns
    -------
    list of ndarray of int

    Examples
    --------
    >>> [part.tolist() for part in blocks(np.array([0, 2, 3]), 1_500_000)]
    [[0], [2], [3]]
    """
    size = max(1, _LARGEST_BLOCK // n)
    return [rows[first : first + size] for first in range(0, rows.size, size)]


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


def _from_sums(sums: EventSums, weights: FloatArray) -> float:
    own = weights[sums.rows]
    total = float(own @ sums.pairs)
    if total == 0:
        raise InputError(NO_PAIR)
    return float(own @ sums.wins / total)
