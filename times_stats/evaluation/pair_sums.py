"""Sums over the comparable pairs of a concordance without forming the pairs: O(n log n)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from times_stats._typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class EventSums:
    """Sums over the pairs in which a patient's event comes first.

    Attributes
    ----------
    rows : ndarray of int, shape (k,)
        Patients whose event comes first in a pair.
    wins, pairs : ndarray, shape (k,)
        For each of them, the score (1, or one half for equal risks) and the number of its pairs.
    """

    rows: IntArray
    wins: FloatArray
    pairs: FloatArray


def event_sums(
    time: FloatArray,
    event: IntArray,
    risk: FloatArray,
    *,
    event_weights: FloatArray,
    entry: FloatArray | None = None,
) -> EventSums:
    """Sum the scores of comparable pairs over the patient compared with.

    The pair (i, j) is comparable when i has an event and j is at risk then and does not have its
    event at the same time: ``entry_j < t_i < t_j``, or ``t_j = t_i`` with j censored.

    Parameters
    ----------
    time, event, risk : ndarray, shape (n,)
        Checked outcome and risk.
    event_weights : ndarray, shape (n,)
        Weight of each event; an event of weight 0 is left out.
    entry : ndarray, shape (n,), optional
        Delayed entry.

    Returns
    -------
    EventSums

    Notes
    -----
    Ranges of an ordering are searched in a wavelet matrix: Claude and Navarro (2012),
    doi:10.1007/978-3-642-34109-0_18.

    Examples
    --------
    >>> sums = event_sums(np.array([1.0, 2, 3]), np.array([1, 1, 0]), np.array([2.0, 1, 1]),
    ...                   event_weights=np.ones(3))
    >>> sums.wins, sums.pairs
    (array([2. , 0.5]), array([2., 1.]))
    """
    rank, moment = _orders(time, event, risk)
    rows = np.flatnonzero((event == 1) & (event_weights > 0))
    latest_first = np.argsort(-moment, kind="stable")
    later = np.searchsorted(-moment[latest_first], -moment[rows], side="left")
    start = np.zeros(rows.size, dtype=np.int64)
    ones = np.ones(time.size)
    wins = _lower_or_half(rank[latest_first], ones, start, later, rank[rows])
    pairs = later.astype(np.float64)
    if entry is not None:  # those not yet under observation at the event
        last_in_first = np.argsort(-entry, kind="stable")
        absent = np.searchsorted(-entry[last_in_first], -time[rows], side="right")
        wins -= _lower_or_half(rank[last_in_first], ones, start, absent, rank[rows])
        pairs -= absent
    return EventSums(rows, wins, pairs)


def other_sums(
    time: FloatArray,
    event: IntArray,
    risk: FloatArray,
    *,
    event_weights: FloatArray,
    entry: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Sum the scores of comparable pairs over the patient whose event comes first.

    Parameters
    ----------
    time, event, risk, event_weights, entry
        As in `event_sums`.

    Returns
    -------
    wins, pairs : ndarray, shape (n,)
        For every patient, the score and the number of the pairs in which another's event comes
        first, each pair with the weight of that event.

    Examples
    --------
    >>> other_sums(np.array([1.0, 2, 3]), np.array([1, 1, 0]), np.array([2.0, 1, 1]),
    ...            event_weights=np.ones(3))
    (array([0. , 1. , 1.5]), array([0., 1., 2.]))
    """
    n = time.size
    rank, moment = _orders(time, event, risk)
    rows = np.flatnonzero((event == 1) & (event_weights > 0))
    by_time = rows[np.argsort(moment[rows], kind="stable")]
    first = np.zeros(n, dtype=np.int64)
    if entry is not None:
        first = np.searchsorted(time[by_time], entry, side="right").astype(np.int64)
    last = np.maximum(first, np.searchsorted(moment[by_time], moment, side="left"))
    weight = event_weights[by_time]
    cumulative = np.r_[0.0, np.cumsum(weight)]
    pairs = cumulative[last] - cumulative[first]
    return pairs - _lower_or_half(rank[by_time], weight, first, last, rank), pairs


def _orders(time: FloatArray, event: IntArray, risk: FloatArray) -> tuple[IntArray, IntArray]:
    """Rank of each risk, and of each moment at which a patient leaves."""
    rank = np.unique(risk, return_inverse=True)[1].astype(np.int64)
    # events before censorings at one time: a patient is compared with every later moment
    return rank, 2 * np.unique(time, return_inverse=True)[1].astype(np.int64) + (1 - event)


def _lower_or_half(
    rank: IntArray, weight: FloatArray, first: IntArray, last: IntArray, own: IntArray
) -> FloatArray:
    """Weight of the entries ``first[q]:last[q]`` with a rank below ``own[q]``, equal ones half."""
    below, not_above = _weight_below(
        rank, weight, np.tile(first, 2), np.tile(last, 2), np.r_[own, own + 1]
    ).reshape(2, -1)
    return np.asarray((below + not_above) / 2)


def _weight_below(
    rank: IntArray, weight: FloatArray, first: IntArray, last: IntArray, bound: IntArray
) -> FloatArray:
    """Weight of the entries ``first[q]:last[q]`` with a rank below ``bound[q]``, for all q."""
    found = np.zeros(bound.size)
    if rank.size == 0 or bound.size == 0:
        return found
    low, high = first.astype(np.int64), last.astype(np.int64)
    for bit in range(int(max(rank.max(), bound.max())).bit_length() - 1, -1, -1):
        zero = (rank >> bit) & 1 == 0
        n_zeros = np.r_[0, np.cumsum(zero)]
        mass = np.r_[0.0, np.cumsum(np.where(zero, weight, 0.0))]
        one = (bound >> bit) & 1 == 1
        found += np.where(one, mass[high] - mass[low], 0.0)
        low_zeros, high_zeros = n_zeros[low], n_zeros[high]
        low = np.where(one, n_zeros[-1] + low - low_zeros, low_zeros)
        high = np.where(one, n_zeros[-1] + high - high_zeros, high_zeros)
        rank = np.r_[rank[zero], rank[~zero]]
        weight = np.r_[weight[zero], weight[~zero]]
    return found
