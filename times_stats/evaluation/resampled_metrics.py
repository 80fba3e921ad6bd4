"""Metrics of predictions on the patients and on every bootstrap resample of them at once.

A resample is a row of multiplicities w. Concordances and the AUC are ratios of quadratic forms
``w' N w / w' D w``, Brier scores are weighted means, and the slope is refitted under w.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.evaluation.brier import time_weights, weights_on_grid
from times_stats.evaluation.discrimination import (
    Pairs,
    auc_pairs,
    harrell_pairs,
    risk_order,
    uno_pairs,
)
from times_stats.evaluation.slopes import efron_slopes
from times_stats.nonparametric.censoring import check_horizon
from times_stats.nonparametric.censoring_weights import weights_at

_CONCORDANCES = ("concordance_harrell", "concordance_uno")
_WITHIN = "_within_folds"


class ResampledMetrics:
    """Everything about outcome, resamples and folds that is shared by the models of a comparison.

    The first row of the weights is all ones, so that element 0 of every metric is its estimate.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked outcome.
    times : ndarray, shape (n_times,)
        Evaluation times (months) of the survival predictions.
    at_horizon : int
        Position of the horizon in `times`.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    folds : ndarray of int, shape (n_repeats, n), optional
        Test fold of each patient in each repeat.
    resamples : ndarray of int, shape (n_resamples, n)
        How often each patient occurs in each resample.
    ended : ndarray of int, shape (n,), optional
        Whether an event of any cause ended follow-up; `event` itself where no events compete.

    Examples
    --------
    >>> time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 1, 0])
    >>> metrics = ResampledMetrics(time, event, times=np.array([3.0]), at_horizon=0, strata=None,
    ...                            folds=None, resamples=np.array([[1, 1, 1, 1], [2, 0, 1, 1]]))
    >>> metrics.of(np.array([[2.0, 3, 1, 0]]))["concordance_harrell"].round(3)
    array([0.833, 0.833, 1.   ])
    """

    def __init__(
        self,
        time: FloatArray,
        event: IntArray,
        *,
        times: FloatArray,
        at_horizon: int,
        strata: ArrayLike | None,
        folds: IntArray | None,
        resamples: IntArray,
        ended: IntArray | None = None,
    ) -> None:
        horizon = float(times[at_horizon])
        ended = event if ended is None else ended
        G = check_horizon(time, ended, horizon=float(times[-1]), strata=strata)
        self._time, self._event = time, event
        self._multiplicity = np.vstack([np.ones(time.size), resamples]).astype(np.float64)
        self._rows = np.flatnonzero(event == 1)
        self._pairs = {
            "concordance_harrell": harrell_pairs(time, event),
            "concordance_uno": uno_pairs(
                time, event, G, horizon=horizon, strata=strata, ended=ended
            ),
            "auc_horizon": auc_pairs(time, event, G, horizon=horizon, strata=strata, ended=ended),
        }
        self._totals = {name: self._quadratic(p) for name, p in self._pairs.items()}
        self._same_fold: list[BoolArray] = []
        if folds is not None:
            self._same_fold = [fold[self._rows, None] == fold for fold in folds]
            share = _mean(self._same_fold)
            for name in _CONCORDANCES:
                self._totals[name + _WITHIN] = self._quadratic(self._pairs[name], share)
        self._free = (time[:, None] > times) | ((ended == 1) & (event == 0))[:, None]
        self._censoring = weights_on_grid(G, time, ended, times=times, strata=strata)
        self._time_weights = time_weights(times)
        self._at_horizon = at_horizon
        known = weights_at(G, time, ended, horizon=horizon, strata=strata)
        self._observed = np.where((event == 1) & (time <= horizon), known, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the table."""
        within = [name + _WITHIN for name in _CONCORDANCES] if self._same_fold else []
        return (
            *_CONCORDANCES,
            *within,
            "auc_horizon",
            "brier_horizon",
            "ipa_horizon",
            "integrated_brier",
            "calibration_slope",
            "calibration_in_the_large",
        )

    def of(
        self,
        risk: FloatArray,
        survival: FloatArray | None = None,
        linear_predictor: FloatArray | None = None,
    ) -> dict[str, FloatArray]:
        """Return the metrics of a model: estimate first, then one value per resample.

        Parameters
        ----------
        risk : ndarray, shape (n_repeats, n)
            Risk; where there are folds, one row for each repeat of theirs, or one for all.
        survival : ndarray, shape (n_repeats, n, n_times), optional
            Probability of no event by each time.
        linear_predictor : ndarray, shape (n_repeats, n), optional
            Log-hazard, up to a constant.

        Returns
        -------
        dict of str to ndarray, shape (1 + n_resamples,)
            A value for each of `names`; NaN where the model or the resample has no such metric.
            ``ipa_horizon`` is left NaN: it needs a second model.
        """
        undefined = np.full(self._multiplicity.shape[0], np.nan)
        values = dict.fromkeys(self.names, undefined)
        order = _mean(risk_order(row, self._rows) for row in risk)
        for name in self._pairs:
            values[name] = self._ratio(name, name, order)
        if self._same_fold:
            if len(risk) == 1:  # the same risk in every repeat: only the pairs change
                together = order * _mean(self._same_fold)
            else:
                together = _mean(
                    same * risk_order(row, self._rows)
                    for same, row in zip(self._same_fold, risk, strict=True)
                )
            for name in _CONCORDANCES:
                values[name + _WITHIN] = self._ratio(name, name + _WITHIN, together)
        if survival is not None:
            squares = _mean((self._free - repeat) ** 2 for repeat in survival)
            losses = self._censoring * squares
            values["brier_horizon"] = self._average(losses[:, self._at_horizon])
            values["integrated_brier"] = self._average(losses @ self._time_weights)
            predicted = 1 - survival[:, :, self._at_horizon].mean(axis=0)
            values["calibration_in_the_large"] = self._average(self._observed - predicted)
        if linear_predictor is not None:
            values["calibration_slope"] = _mean(
                efron_slopes(self._time, self._event, row, self._multiplicity)
                for row in linear_predictor
            )
        return values

    def _ratio(self, pairs: str, total: str, scores: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._quadratic(self._pairs[pairs], scores) / self._totals[total]

    def _quadratic(self, pairs: Pairs, scores: FloatArray | None = None) -> FloatArray:
        """``w' M w`` for every row w of the weights; M: pair weights, times scores of all events.

        Both matrices have rows for events only.
        """
        matrix = pairs.weights
        if scores is not None:
            matrix = matrix * scores[np.searchsorted(self._rows, pairs.rows)]
        first = self._multiplicity[:, pairs.rows]
        return np.asarray(((first @ matrix) * self._multiplicity).sum(axis=1))

    def _average(self, values: FloatArray) -> FloatArray:
        return np.asarray(self._multiplicity @ values / values.size)


def _mean(parts: Iterable[FloatArray | BoolArray]) -> FloatArray:
    """Mean over repeats, holding one part at a time."""
    total, count = np.zeros(1), 0
    for part in parts:
        total, count = total + part, count + 1
    return total / count
