"""The slope of a Cox regression on one predictor, under many sets of case weights at once."""

from __future__ import annotations

import numpy as np

from times_stats._typing import BoolArray, FloatArray, IntArray

_MAX_STEPS = 50
_TOLERANCE = 1e-9
# The log likelihood is concave, so steps of the standardised slope only need a leash.
_LONGEST_STEP = 2.0
_LARGEST_SLOPE = 50.0  # standardised: beyond this the likelihood has no maximum


def efron_slopes(
    time: FloatArray,
    event: IntArray,
    predictor: FloatArray,
    weights: FloatArray,
    *,
    entry: FloatArray | None = None,
) -> FloatArray:
    """Slope of a Cox regression on one predictor, under many sets of case weights.

    Newton's method on the partial likelihood of all sets at once. Tied events enter by Efron's
    rule: of d events at one time with total weight W, each of the d terms has weight W / d and a
    risk set from which k / d of the tied events are removed (k = 0 ... d - 1), so the slope is a
    smooth function of the weights and unchanged when all weights are doubled.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    predictor : ndarray, shape (n,)
        Linear predictor.
    weights : ndarray, shape (n_sets, n)
        Case weights, 0 or more.
    entry : ndarray, shape (n,), optional
        Delayed entry: a patient is at risk after it.

    Returns
    -------
    ndarray, shape (n_sets,)
        Slopes; NaN where the predictor is constant, no event has weight, or the likelihood has no
        maximum (events ordered perfectly).

    Notes
    -----
    Efron (1977), doi:10.1080/01621459.1977.10480613.

    Examples
    --------
    >>> time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 1, 0])
    >>> efron_slopes(time, event, np.array([1.0, 2.0, 0.0, 1.0]), np.ones((1, 4))).round(3)
    array([0.358])
    """
    n_sets = weights.shape[0]
    spread = float(predictor.std())
    slopes = np.full(n_sets, np.nan)
    if not spread > 1e-12 * max(1.0, float(np.abs(predictor).max())) or not event.any():
        return slopes
    order = np.argsort(-time, kind="stable")
    x = (predictor[order] - predictor.mean()) / spread
    terms = _Terms(time[order], event[order], None if entry is None else entry[order])
    w = weights[:, order].astype(np.float64)
    total = (w * (terms.event * x)).sum(axis=1)
    term_weights = terms.term_weights(w)
    beta = np.zeros(n_sets)
    active = np.arange(n_sets)
    for _ in range(_MAX_STEPS):
        here = w[active]
        # a common factor cancels in every ratio: subtract the largest exponent against overflow
        exponent = beta[active, None] * x
        exponent -= exponent.max(axis=1, keepdims=True)
        relative = here * np.exp(exponent, out=exponent)
        zero = terms.risk_sums(relative)
        relative *= x
        one = terms.risk_sums(relative)
        relative *= x
        two = terms.risk_sums(relative)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(zero > 0, one / zero, 0.0)
            square = np.where(zero > 0, two / zero, 0.0)
        share = term_weights[active]
        gradient = total[active] - (share * mean).sum(axis=1)
        information = (share * (square - mean**2)).sum(axis=1)
        flat = information <= 1e-10 * share.sum(axis=1)
        step = np.divide(gradient, information, out=np.zeros_like(gradient), where=~flat)
        beta[active] += np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        done = (np.abs(step) < _TOLERANCE) & ~flat
        slopes[active[done]] = beta[active[done]] / spread
        lost = flat | (np.abs(beta[active]) > _LARGEST_SLOPE)
        active = active[~(done | lost)]
        if active.size == 0:
            break
    return slopes


class _Terms:
    """Terms of the partial likelihood, one per event, for patients ordered by decreasing time."""

    def __init__(self, time: FloatArray, event: IntArray, entry: FloatArray | None) -> None:
        self.event = event.astype(np.float64)
        rows = np.flatnonzero(event == 1)
        self.rows = rows
        self.times = time[rows]
        # in decreasing time, the risk set of t ends with the last patient whose time is t
        self._last = np.searchsorted(-time, -self.times, side="right") - 1
        self._starts = np.flatnonzero(np.r_[True, np.diff(self.times) != 0])
        self._size = np.diff(np.r_[self._starts, rows.size])
        self._group = np.repeat(np.arange(self._starts.size), self._size)
        within = np.arange(rows.size) - self._starts[self._group]
        self._removed = within / self._size[self._group]
        self._tied: BoolArray = self._removed > 0
        self._last_in: IntArray | None = None
        if entry is not None:  # the last to enter come first: an event has them not yet at risk
            self._last_in = np.argsort(-entry, kind="stable")
            self._absent = np.searchsorted(-entry[self._last_in], -self.times, side="right")

    def risk_sums(self, values: FloatArray) -> FloatArray:
        """Sum of `values` (..., n) over Efron's risk set of each term: (..., n_terms)."""
        sums: FloatArray = np.cumsum(values, axis=-1)[..., self._last]
        if self._last_in is not None:
            entering = np.cumsum(values[..., self._last_in], axis=-1)
            none = np.zeros((*values.shape[:-1], 1))
            sums -= np.concatenate([none, entering], axis=-1)[..., self._absent]
        if self._tied.any():
            own = np.add.reduceat(values[..., self.rows], self._starts, axis=-1)
            sums[..., self._tied] -= (self._removed * own[..., self._group])[..., self._tied]
        return sums

    def term_weights(self, weights: FloatArray) -> FloatArray:
        """Mean weight of the tied events, for each term: (..., n_terms)."""
        total = np.add.reduceat(weights[..., self.rows], self._starts, axis=-1)
        return np.asarray((total / self._size)[..., self._group], dtype=np.float64)
