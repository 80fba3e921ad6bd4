"""Standard errors of concordances, AUC and Brier score by their influence functions.

The influence of patient k is the derivative of the estimate in the case weight of k, at equal
weights: the infinitesimal jackknife. It has a part that takes the censoring weights as known and a
part for their estimation; both come with the estimate, so that differences between two models on
the same patients have a standard error too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from times_stats._checks import (
    check_cause,
    check_entry,
    check_positive_horizon,
    check_survival_arrays,
)
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.brier import weighted_losses
from times_stats.evaluation.discrimination import NO_PAIR, auc_scores
from times_stats.evaluation.inputs import check_times, check_values, refuse_entry
from times_stats.evaluation.pair_sums import EventSums, event_sums, other_sums
from times_stats.nonparametric.censoring import check_horizon
from times_stats.nonparametric.censoring_weights import weights_at
from times_stats.nonparametric.risk_sets import divide, group_codes


@dataclass(frozen=True, slots=True)
class InfluenceEstimate:
    """An estimate with the influence of every patient on it.

    Attributes
    ----------
    estimate : ndarray, shape (n_times,)
        Estimate at each time; one value for a concordance.
    influence : ndarray, shape (n, n_times)
        Influence of each patient; columns sum to 0 up to rounding.
    influence_known_weights : ndarray, shape (n, n_times)
        The same with the censoring weights taken as known.
    lowest : float
        Least possible value: 0 for a measure, -1 for a difference of two.
    """

    estimate: FloatArray
    influence: FloatArray
    influence_known_weights: FloatArray
    lowest: float = 0.0

    @property
    def se(self) -> FloatArray:
        """Standard error, the estimation of the censoring weights included."""
        return np.sqrt((self.influence**2).sum(axis=0))

    @property
    def se_known_weights(self) -> FloatArray:
        """Standard error with the censoring weights taken as known."""
        return np.sqrt((self.influence_known_weights**2).sum(axis=0))

    def interval(self, *, confidence_level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return normal limits of the estimate, within [0, 1]; of a difference, within [-1, 1].

        Parameters
        ----------
        confidence_level : float
            Level of each interval.

        Returns
        -------
        lower, upper : ndarray, shape (n_times,)

        Raises
        ------
        InputError
            If the level is not inside (0, 1).
        """
        if not 0 < confidence_level < 1:
            raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
        width = norm.ppf(0.5 + confidence_level / 2) * self.se
        lower, upper = self.estimate - width, self.estimate + width
        return np.clip(lower, self.lowest, 1), np.clip(upper, self.lowest, 1)

    def minus(self, other: InfluenceEstimate) -> InfluenceEstimate:
        """Return the paired difference from another model on the same patients.

        Parameters
        ----------
        other : InfluenceEstimate
            Estimate of the same measure for the same patients, in the same order.

        Returns
        -------
        InfluenceEstimate

        Raises
        ------
        InputError
            If the two do not have the same patients and times.
        """
        if self.influence.shape != other.influence.shape:
            raise InputError(
                f"influences have shapes {self.influence.shape} and {other.influence.shape}: take "
                "the difference on the same patients and times"
            )
        return InfluenceEstimate(
            self.estimate - other.estimate,
            self.influence - other.influence,
            self.influence_known_weights - other.influence_known_weights,
            lowest=-1.0,
        )


def estimate_concordance_harrell(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    horizon: float | None = None,
    entry: ArrayLike | None = None,
) -> InfluenceEstimate:
    """Harrell's concordance with its influence function.

    Parameters
    ----------
    time, event, risk, horizon, entry
        As in `concordance_harrell`.

    Returns
    -------
    InfluenceEstimate
        One value; no censoring weights, so both standard errors are the same.

    Raises
    ------
    InputError
        As `concordance_harrell`.

    Notes
    -----
    The standard error is that of R ``survival::concordance``, whose vignette derives it.
    Takes O(n log n) time.

    Examples
    --------
    >>> found = estimate_concordance_harrell([1, 2, 3, 4], [1, 1, 0, 1], [4, 3, 3, 1])
    >>> found.estimate, found.se.round(4)
    (array([0.9]), array([0.102]))
    """
    months, happened = check_survival_arrays(time, event)
    values = check_values(risk, months.size, "risk")
    late = None if entry is None else check_entry(entry, months)
    if horizon is not None:
        check_positive_horizon(horizon)
    counts = np.ones(months.size) if horizon is None else (months <= horizon).astype(np.float64)
    sums = event_sums(months, happened, values, event_weights=counts, entry=late)
    others = other_sums(months, happened, values, event_weights=counts, entry=late)
    estimate, influence, _ = _concordance_influence(sums, others, counts)
    return InfluenceEstimate(np.array([estimate]), influence[:, None], influence[:, None])


def estimate_concordance_uno(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    horizon: float,
    entry: ArrayLike | None = None,
) -> InfluenceEstimate:
    """Uno's concordance with its influence function; censoring by Kaplan-Meier without strata.

    Parameters
    ----------
    time, event, risk, horizon, entry
        As in `concordance_uno`.

    Returns
    -------
    InfluenceEstimate
        One value.

    Raises
    ------
    InputError
        As `concordance_uno`.

    Notes
    -----
    ``se_known_weights`` is that of R ``survival::concordance(..., timewt = "n/G2", ymax =
    horizon)``, which takes the weights as known; ``se`` adds their estimation (Uno et al. 2011,
    doi:10.1002/sim.4154). For strata, competing events or a model of censoring use
    `bootstrap_metric`.

    Examples
    --------
    >>> found = estimate_concordance_uno([1, 2, 3, 4], [1, 0, 1, 0], [3, 1, 1, 2], horizon=3)
    >>> found.estimate.round(4), found.se.round(3), found.se_known_weights.round(3)
    (array([0.5714]), array([0.283]), array([0.346]))
    """
    refuse_entry(entry)
    months, happened = check_survival_arrays(time, event)
    values = check_values(risk, months.size, "risk")
    G = check_horizon(months, happened, horizon=horizon)
    weights = np.zeros(months.size)
    counts = (happened == 1) & (months <= horizon)
    weights[counts] = 1 / G.before(months[counts]) ** 2
    sums = event_sums(months, happened, values, event_weights=weights)
    others = other_sums(months, happened, values, event_weights=weights)
    estimate, known, total = _concordance_influence(sums, others, weights)
    # 1 / G(t-)^2 moves twice as much as 1 / G(t-)
    amount = np.zeros(months.size)
    amount[sums.rows] = 2 * weights[sums.rows] * (sums.wins - estimate * sums.pairs) / total
    extra = censoring_influence(months, happened, amount, np.zeros(months.size), horizon, None)
    return InfluenceEstimate(np.array([estimate]), (known + extra)[:, None], known[:, None])


def estimate_auc(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    times: ArrayLike,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    entry: ArrayLike | None = None,
) -> InfluenceEstimate:
    """Time-dependent AUC with its influence function; censoring by Kaplan-Meier in strata.

    Parameters
    ----------
    time, event, risk, times, strata, cause, entry
        As in `time_dependent_auc`.

    Returns
    -------
    InfluenceEstimate
        NaN at a time without cases or without controls.

    Raises
    ------
    InputError
        As `time_dependent_auc`.

    Notes
    -----
    Blanche et al. (2013), doi:10.1002/sim.5958. R ``riskRegression::Score`` reports ``se`` and,
    with ``conservative = TRUE``, ``se_known_weights``, both times ``sqrt(n / (n - 1))``.

    Examples
    --------
    >>> found = estimate_auc([1, 2, 3, 4], [1, 1, 1, 0], [3, 1, 2, 1], times=[2])
    >>> found.estimate, found.se.round(3)
    (array([0.625]), array([0.28]))
    """
    refuse_entry(entry)
    months, happened = check_survival_arrays(time, event)
    values = check_values(risk, months.size, "risk")
    kinds = happened if cause is None else check_cause(happened, cause)
    ended = (kinds > 0).astype(np.int64)
    grid = check_times(times)
    G = check_horizon(months, ended, horizon=float(grid[-1]), strata=strata)
    columns = []
    for t in grid.tolist():
        weights = weights_at(G, months, ended, horizon=t, strata=strata)
        is_case = (happened == 1) & (months <= t)
        cases, controls = np.where(is_case, weights, 0.0), np.where(is_case, 0.0, weights)
        outranked, outranking, total = auc_scores(cases, controls, values)
        if total == 0:
            columns.append((np.nan, np.full(months.size, np.nan), np.full(months.size, np.nan)))
            continue
        estimate = float(cases @ outranked / total)
        known = cases * (outranked - estimate * controls.sum())
        known = (known + controls * (outranking - estimate * cases.sum())) / total
        # the weight of a pair is a product: each patient's own part of it is its influence
        by_event = np.where(months <= t, known, 0.0)
        beyond = np.where(months > t, known, 0.0)
        extra = censoring_influence(months, ended, by_event, beyond, t, strata)
        columns.append((estimate, known + extra, known))
    return _stack(columns)


def estimate_brier(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    *,
    times: ArrayLike,
    strata: ArrayLike | None = None,
    cause: ArrayLike | None = None,
    entry: ArrayLike | None = None,
) -> InfluenceEstimate:
    """Brier score with its influence function; censoring by Kaplan-Meier in strata.

    Parameters
    ----------
    time, event, survival, times, strata, cause, entry
        As in `brier_score`.

    Returns
    -------
    InfluenceEstimate

    Raises
    ------
    InputError
        As `brier_score`.

    Notes
    -----
    R ``riskRegression::Score`` reports ``se`` and, with ``conservative = TRUE``,
    ``se_known_weights``, both times ``sqrt(n / (n - 1))``.

    Examples
    --------
    >>> survival = [[0.2], [0.6], [0.7], [0.9]]
    >>> found = estimate_brier([1, 2, 3, 4], [1, 1, 0, 0], survival, times=[2])
    >>> found.estimate.round(3), found.se.round(3)
    (array([0.125]), array([0.069]))
    """
    refuse_entry(entry)
    months, _ = check_survival_arrays(time, event)
    grid = check_times(times)
    losses, ended = weighted_losses(time, event, survival, grid, strata, cause, None)
    columns = []
    for t, loss in zip(grid.tolist(), losses.T, strict=True):
        estimate, share = float(loss.mean()), loss / months.size
        known = share - estimate / months.size
        by_event, beyond = np.where(months <= t, share, 0.0), np.where(months > t, share, 0.0)
        extra = censoring_influence(months, ended, by_event, beyond, t, strata)
        columns.append((estimate, known + extra, known))
    return _stack(columns)


def censoring_influence(
    time: FloatArray,
    ended: IntArray,
    by_event: FloatArray,
    beyond: FloatArray,
    horizon: float,
    strata: ArrayLike | None,
) -> FloatArray:
    r"""Influence of each patient on a weighted sum through the estimated censoring curve.

    A sum :math:`\sum_i a_i / \hat G(u_i)` changes with the case weight of patient k by
    :math:`\sum_i a_i / \hat G(u_i) \, \psi_k(u_i)`, where :math:`\psi_k(u)` sums over censoring
    times s up to u: one over ``Y(s) - D(s)`` if k is censored at s, less ``D(s) / [Y(s) (Y(s) -
    D(s))]`` if k is at risk of it; D censorings among Y at risk.

    Parameters
    ----------
    time, ended : ndarray, shape (n,)
        Checked follow-up, and whether an event of any cause ended it.
    by_event : ndarray, shape (n,)
        Terms ``a_i / G(t_i-)`` of patients whose event is known.
    beyond : ndarray, shape (n,)
        Terms ``a_i / G(horizon)`` of patients followed beyond the horizon.
    horizon : float
        Time of evaluation.
    strata : array-like, shape (n,), or None
        Strata of the censoring curve.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> time, ended = np.array([1.0, 2.0, 3.0]), np.array([1, 0, 1])
    >>> censoring_influence(time, ended, np.array([0.0, 0.0, 2.0]), np.zeros(3), 3.0, None)
    array([ 0.,  1., -1.])
    """
    code = np.zeros(time.size, dtype=np.int64)
    if strata is not None:
        _, code = group_codes(strata, time.size, kind="stratum")
    result = np.zeros(time.size)
    for k in range(code.max() + 1):
        rows = np.flatnonzero(code == k)
        own, free = time[rows], ended[rows] == 0
        moments = np.unique(own[free & (own <= horizon)])
        if moments.size == 0:
            continue
        censored = np.bincount(
            np.searchsorted(moments, own[free & (own <= horizon)]), minlength=moments.size
        ).astype(np.float64)
        # at risk of censoring: followed longer, or censored then; events have left
        order = np.sort(own)
        ends = np.sort(own[~free])
        longer = own.size - np.searchsorted(order, moments, side="left")
        left = np.searchsorted(ends, moments, side="right")
        at_risk = (longer - left + np.searchsorted(ends, moments, side="left")).astype(np.float64)
        # terms whose G(t-) holds the factor of each moment: a later event, or beyond the horizon
        late_first = np.argsort(-own, kind="stable")
        mass = np.r_[0.0, np.cumsum(by_event[rows][late_first])]
        held = mass[np.searchsorted(-own[late_first], -moments, side="left")] + beyond[rows].sum()
        jump = divide(held, at_risk - censored)
        drift = np.r_[0.0, np.cumsum(jump * divide(censored, at_risk))]
        exposed = np.searchsorted(moments, own, side="right")
        left_at = ~free & (exposed > 0)
        left_at[left_at] = moments[exposed[left_at] - 1] == own[left_at]
        influence = 0.0 - drift[exposed - left_at]
        here = free & (own <= horizon)
        influence[here] += jump[exposed[here] - 1]
        result[rows] = influence
    return result


def _concordance_influence(
    sums: EventSums, others: tuple[FloatArray, FloatArray], weights: FloatArray
) -> tuple[float, FloatArray, float]:
    """Concordance, influence with the weights as known, and the weight of all pairs."""
    own = weights[sums.rows]
    total = float(own @ sums.pairs)
    if total == 0:
        raise InputError(NO_PAIR)
    estimate = float(own @ sums.wins / total)
    influence = others[0] - estimate * others[1]
    influence[sums.rows] += own * (sums.wins - estimate * sums.pairs)
    return estimate, influence / total, total


def _stack(columns: list[tuple[float, FloatArray, FloatArray]]) -> InfluenceEstimate:
    estimates, influences, known = zip(*columns, strict=True)
    return InfluenceEstimate(
        np.array(estimates), np.column_stack(influences), np.column_stack(known)
    )
