"""Rows nearer to each other than two different patients come by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from times_stats._typing import BoolArray, FloatArray, IntArray

NEARNESS = 0.1
"""Farthest distance of near-duplicates, in units of the spread between patients."""
EXPECTED = 0.01
"""Most pairs as near as a reported one that are expected by chance in the whole comparison."""

_REFERENCE, _FARTHEST = 5, 20  # neighbours: up to four copies of a patient leave the fifth alone
_LEAST = 12
_LEAST_EXACT = 3
_NORMAL_IQR = 1.3489795
_DIFFERENT = 0.8  # least share of different values in a graded column
_HOLDERS = 3  # most rows with one value: a patient and two copies
_DENSEST, _WIDTH = 0.2, 0.05  # the densest fifth of the values spans more than .05 of the spread


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two rows that are nearly the same, and how many such pairs chance would make."""

    train: int
    test: int
    n_features: int
    distance: float
    expected: float


def robust_spread(values: FloatArray) -> FloatArray:
    """Return the spread of each column: interquartile range over 1.35, else the deviation.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features)
        May hold NaN; a column without two values has spread 0.

    Returns
    -------
    ndarray of shape (n_features,)
        In the unit of each column.

    Examples
    --------
    >>> robust_spread(np.array([[0.0], [1.0], [2.0], [3.0], [1000.0]])).round(2).tolist()
    [1.48]
    """
    spread = np.zeros(values.shape[1])
    for k, column in enumerate(values.T):
        seen = column[~np.isnan(column)]
        if seen.size > 1:
            low, high = np.quantile(seen, [0.25, 0.75])
            spread[k] = (high - low) / _NORMAL_IQR or seen.std()
    return spread


def graded_columns(values: FloatArray) -> BoolArray:
    """Tell which columns measure finely enough for equal values to mean something.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features)
        May hold NaN.

    Returns
    -------
    ndarray of bool, shape (n_features,)
        True where at least .8 of the values differ, no value is held by more than three rows, and
        the densest fifth of the values spans more than .05 of `robust_spread`. Counts in classes,
        percentages in steps, values at a detection limit or in the noise below it do not pass; a
        column without values does.

    Examples
    --------
    >>> fine = np.random.default_rng(1).normal(size=60)
    >>> graded_columns(np.column_stack([fine, fine.round(), fine.clip(0)])).tolist()
    [True, False, False]
    """
    spread = robust_spread(values)
    graded = np.ones(values.shape[1], dtype=bool)
    for k, column in enumerate(values.T):
        seen = np.sort(column[~np.isnan(column)])
        if not seen.size:
            continue
        counts = np.unique(seen, return_counts=True)[1]
        graded[k] = counts.size >= _DIFFERENT * seen.size and counts.max() <= _HOLDERS
        step = int(np.ceil(_DENSEST * seen.size))
        if step > _HOLDERS:
            width = (seen[step - 1 :] - seen[: seen.size - step + 1]).min()
            graded[k] &= width > _WIDTH * spread[k]
    return graded


def mask_limits(
    train: FloatArray, test: FloatArray, *, within: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Blank what may agree because of how it was measured.

    Parameters
    ----------
    train, test : ndarray of shape (n_rows, n_features)
        Same features; may hold NaN.
    within : bool, default False
        Whether both are the same table.

    Returns
    -------
    tuple of two ndarrays
        The tables with NaN in columns that are not graded in both (`graded_columns`), and where a
        column's smallest or largest value is held by several rows, as at a detection limit.

    Examples
    --------
    >>> values = np.array([[0.5, 1.0], [0.5, 2.0], [3.0, 3.0], [4.0, 3.5], [5.0, 1.0], [6.0, 7.0]])
    >>> mask_limits(values, values, within=True)[0].T.tolist()
    [[nan, nan, 3.0, 4.0, 5.0, 6.0], [nan, 2.0, 3.0, 3.5, nan, 7.0]]
    """
    graded = graded_columns(train) & graded_columns(test)
    train, test = (np.where(graded, part, np.nan) for part in (train, test))
    stacked = train if within else np.vstack([train, test])
    for k in np.flatnonzero(graded & ~np.isnan(stacked).all(axis=0)):
        for limit in (np.nanmin(stacked[:, k]), np.nanmax(stacked[:, k])):
            if np.count_nonzero(stacked[:, k] == limit) > 1:
                for part in (train, test):
                    part[part[:, k] == limit, k] = np.nan
    return train, test


def find_near_pairs(
    train: FloatArray,
    test: FloatArray,
    *,
    train_patients: IntArray,
    test_patients: IntArray,
    within: bool = False,
    exact: bool = False,
) -> list[NearPair]:
    """Find rows that lie far nearer to each other than to all other patients.

    Parameters
    ----------
    train, test : ndarray of shape (n_rows, n_features)
        Same features; NaN where missing. Values are compared that `mask_limits` leaves, between
        rows that miss the same of them.
    train_patients, test_patients : ndarray of int, shape (n_rows,)
        Patient of each row; rows of one patient are no pair.
    within : bool, default False
        Whether both are the same table; each pair is then reported once.
    exact : bool, default False
        Report pairs at distance 0 too, where they agree in three features or more.

    Returns
    -------
    list of NearPair
        Pairs at a distance above 0 (unless `exact`), up to `NEARNESS`, of which chance makes up
        to `EXPECTED`.

    Notes
    -----
    The distance of two rows is the root mean square of their differences, each in units of
    `robust_spread`, in logs where all values of a column are positive. Close to a row, patients are
    spread evenly over k dimensions; then the distance to a neighbour over that to the fifth
    neighbour is below u with probability at most ``4 u^k``, and ``expected`` is that times the
    number of rows of `test`. The dimension k is estimated from the fifth to the twentieth
    neighbours of all rows, as Levina and Bickel (2004, Advances in Neural Information Processing
    Systems 17) do from the first on, which copies of a patient would distort. Rows with many values
    at a detection limit live in fewer dimensions than others, which one k cannot tell: hence the
    mask.

    Examples
    --------
    >>> values = np.random.default_rng(1).normal(size=(60, 6))
    >>> found = find_near_pairs(values[:40], values[[7, *range(40, 60)]] + 1e-3,
    ...     train_patients=np.arange(40), test_patients=np.arange(40, 61))
    >>> [(pair.train, pair.test) for pair in found]
    [(7, 0)]
    """
    train, test = mask_limits(train, test, within=within)
    positive = ~((train <= 0).any(axis=0) | (test <= 0).any(axis=0))
    for part in (train, test):  # skewed columns are not evenly spread near any row
        part[:, positive] = np.log(part[:, positive])
    spread = robust_spread(train if within else np.vstack([train, test]))
    usable = (spread > 0) & ~np.isnan(train).all(axis=0) & ~np.isnan(test).all(axis=0)
    train, test = train[:, usable] / spread[usable], test[:, usable] / spread[usable]
    found: list[NearPair] = []
    patterns = np.unique(np.isnan(test), axis=0) if len(test) else np.empty((0, 0), bool)
    for pattern in patterns:
        columns = np.flatnonzero(~pattern)
        if columns.size < 2:
            continue
        rows = np.flatnonzero((np.isnan(test) == pattern).all(axis=1))
        known = np.flatnonzero((np.isnan(train) == pattern).all(axis=1))
        distance, neighbour = _neighbours(
            train[np.ix_(known, columns)] / np.sqrt(columns.size),
            test[np.ix_(rows, columns)] / np.sqrt(columns.size),
            train_patients[known],
            test_patients[rows],
        )
        if distance.shape[1] < _LEAST:
            continue
        reference = distance[:, _REFERENCE - 1]
        dimension = _dimension(distance)
        for place in range(_REFERENCE - 1):
            near = distance[:, place]
            with np.errstate(divide="ignore", invalid="ignore"):
                expected = (_REFERENCE - 1) * len(test) * (near / reference) ** dimension
            apart = (near > 0) | (exact and columns.size >= _LEAST_EXACT)
            hits = apart & (reference > 0) & (near <= NEARNESS) & (expected <= EXPECTED)
            found += [
                NearPair(
                    train=int(known[neighbour[i, place]]),
                    test=int(rows[i]),
                    n_features=int(columns.size),
                    distance=float(near[i]),
                    expected=float(expected[i]),
                )
                for i in np.flatnonzero(hits)
            ]
    return [pair for pair in found if pair.train < pair.test] if within else found


def _neighbours(
    train: FloatArray, test: FloatArray, train_patients: IntArray, test_patients: IntArray
) -> tuple[FloatArray, IntArray]:
    """Return distances and positions of the nearest rows of other patients, nearest first."""
    if not len(train):
        return np.empty((len(test), 0)), np.empty((len(test), 0), np.int64)
    own = np.bincount(train_patients).max()
    n = min(len(train), _FARTHEST + int(own))
    distance, position = cKDTree(train).query(test, k=range(1, n + 1))
    foreign = train_patients[position] != test_patients[:, None]
    kept = min(_FARTHEST, int(foreign.sum(axis=1).min()))
    order = np.argsort(~foreign, axis=1, kind="stable")[:, :kept]
    return np.take_along_axis(distance, order, 1), np.take_along_axis(position, order, 1)


def _dimension(distance: FloatArray) -> float:
    """Return the dimension from the growth of the distances beyond the fifth neighbour."""
    rows = distance[distance[:, _REFERENCE - 1] > 0]
    n = distance.shape[1]
    if not len(rows):
        return 0.0
    steps = np.arange(1, n - _REFERENCE + 1)
    # Expected order statistics of n - 1 exponentials: k log(r_n / r_j) in theory.
    expected = np.cumsum(1.0 / (n - steps))
    grown = np.log(rows[:, [-1]] / rows[:, n - 1 - steps]).sum(axis=1).mean()
    return float(expected.sum() / grown) if grown > 0 else 0.0
