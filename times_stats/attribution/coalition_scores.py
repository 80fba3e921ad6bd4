"""What a coalition is worth: the performance of its out-of-fold predictions, resampled at once.

A score says what is kept of each fold's model (`predict`), and turns the kept numbers of all
patients into the performance on them and on every bootstrap resample (`evaluate`).
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.player_columns import FoldDesign
from times_stats.attribution.unplayable import UnplayableError
from times_stats.errors import InputError
from times_stats.evaluation.discrimination import risk_order, uno_pairs
from times_stats.nonparametric.censoring import check_horizon
from times_stats.nonparametric.censoring_weights import weights_at
from times_stats.nonparametric.estimators import kaplan_meier
from times_stats.nonparametric.step_curve import step_value
from times_stats.partial_likelihood import efron_cumulative_hazard

type Metric = Literal["concordance", "ipa", "log_density"]
METRICS: tuple[Metric, ...] = ("concordance", "ipa", "log_density")
_N_PIECES = 5
_SHORT = "follow-up that does not carry the horizon"


class Score(Protocol):
    """Performance of predictions under one metric."""

    def predict(self, fold: FoldDesign, eta: FloatArray) -> FloatArray:
        """Return what is kept of a fold's model, one number for each of its test patients."""
        ...

    def evaluate(self, kept: FloatArray) -> FloatArray:
        """Return the performance, then that of every resample, from (n_repeats, n) numbers."""
        ...


def build_score(
    metric: Metric,
    *,
    time: FloatArray,
    event: IntArray,
    horizon: float,
    folds: IntArray,
    strata: ArrayLike | None,
    multiplicity: FloatArray,
    designs: list[FoldDesign],
) -> Score:
    """Return the score of a metric for one outcome, its folds and its resamples.

    Parameters
    ----------
    metric : {"concordance", "ipa", "log_density"}
        Uno's concordance at the horizon within folds; index of prediction accuracy at the horizon
        against the Kaplan-Meier curve of the training patients; mean log density up to the horizon.
    time, event : array, shape (n,)
        Outcome.
    horizon : float
        Months.
    folds : int array, shape (n_repeats, n)
        Patients between whom pairs are compared share a label (concordance).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    multiplicity : float array, shape (1 + n_resamples, n)
        How often each patient counts; ones in the first row.
    designs : list of FoldDesign
        Folds of the models.

    Returns
    -------
    Score

    Raises
    ------
    InputError
        Unknown metric.
    UnplayableError
        Follow-up does not carry the horizon; no event by it; nobody to compare.
    """
    if metric not in METRICS:
        raise InputError(f"metric is {metric!r}: use one of {', '.join(map(repr, METRICS))}")
    if not ((event == 1) & (time <= horizon)).any():
        raise UnplayableError(
            f"no event by the horizon {horizon:g}: choose a later one",
            reason="no event by the horizon",
        )
    if metric == "log_density":
        if not 0 < horizon <= time.max():
            raise UnplayableError(
                f"horizon is {horizon:g} but follow-up ends at {time.max():g}: choose one within"
                " it",
                reason=_SHORT,
            )
        return _LogDensity(time, event, horizon, multiplicity)
    try:
        G = check_horizon(time, event, horizon=horizon, strata=strata)
    except InputError as error:
        raise UnplayableError(str(error), reason=_SHORT) from error
    if metric == "ipa":
        weights = weights_at(G, time, event, horizon=horizon, strata=strata)
        return _Accuracy(time, event, horizon, weights, multiplicity, designs, len(folds))
    pairs = uno_pairs(time, event, G, horizon=horizon, strata=strata)
    return _Concordance(pairs.rows, pairs.weights, folds, multiplicity)


class _Concordance:
    """Uno's C over pairs of one test fold, as ``concordance_uno_within_folds`` of `compare`."""

    def __init__(
        self, rows: IntArray, weights: FloatArray, folds: IntArray, multiplicity: FloatArray
    ) -> None:
        same = np.stack([fold[rows, None] == fold for fold in folds])
        self._rows = rows
        self._weights = weights * same / len(folds)
        total = self._weights.sum(axis=0)
        first = multiplicity[:, rows]
        denominator = ((first @ total) * multiplicity).sum(axis=1)
        if denominator[0] == 0.0:
            raise UnplayableError(
                "no two patients of one test fold can be compared: use fewer folds or a later"
                " horizon",
                reason="no pair to compare",
            )
        usable = denominator > 0.0
        self._first, self._second = first[usable], multiplicity[usable]
        self._denominator = denominator[usable]

    def predict(self, fold: FoldDesign, eta: FloatArray) -> FloatArray:
        return eta[fold.test]

    def evaluate(self, kept: FloatArray) -> FloatArray:
        ordered = np.zeros(self._weights.shape[1:])
        for weights, risk in zip(self._weights, kept, strict=True):
            ordered += weights * risk_order(risk, self._rows)
        sums = np.einsum("bn,bn->b", self._first @ ordered, self._second)
        return np.asarray(sums / self._denominator)


class _Accuracy:
    """One minus the ratio of Brier scores at the horizon, model to Kaplan-Meier of the training."""

    def __init__(
        self,
        time: FloatArray,
        event: IntArray,
        horizon: float,
        weights: FloatArray,
        multiplicity: FloatArray,
        designs: list[FoldDesign],
        n_repeats: int,
    ) -> None:
        self._free, self._weights, self._horizon = time > horizon, weights, horizon
        null = np.empty((n_repeats, time.size))
        for fold in designs:
            curve = kaplan_meier(time[fold.train], event[fold.train])
            null[fold.repeat, fold.test] = curve.at(horizon)
        baseline = multiplicity @ self._losses(null)
        if baseline[0] == 0.0:
            raise UnplayableError(
                f"the null model predicts every outcome at the horizon {horizon:g}: choose another",
                reason="a null model without error",
            )
        self._multiplicity, self._baseline = multiplicity[baseline > 0], baseline[baseline > 0]

    def predict(self, fold: FoldDesign, eta: FloatArray) -> FloatArray:
        own = eta[fold.train][fold.sets.order]
        cumulative = efron_cumulative_hazard(fold.sets, own)
        at = step_value(fold.sets.event_times, cumulative, np.array([self._horizon]), start=0.0)
        return np.asarray(np.exp(-at[0] * np.exp(eta[fold.test])))

    def evaluate(self, kept: FloatArray) -> FloatArray:
        return np.asarray(1.0 - (self._multiplicity @ self._losses(kept)) / self._baseline)

    def _losses(self, survival: FloatArray) -> FloatArray:
        return np.asarray(self._weights * ((self._free - survival) ** 2).mean(axis=0))


class _LogDensity:
    """Mean log density of the outcome up to the horizon, with a piecewise-constant baseline.

    The baseline hazard of a fold is constant between the quintiles of its training event times, and
    has its maximum likelihood value given the linear predictor: events over exposure weighted by
    the relative hazards.
    """

    def __init__(
        self, time: FloatArray, event: IntArray, horizon: float, multiplicity: FloatArray
    ) -> None:
        self._time = np.minimum(time, horizon)
        self._event = (event == 1) & (time <= horizon)
        self._multiplicity = multiplicity
        self._pieces: dict[FoldDesign, tuple[FloatArray, IntArray]] = {}

    def predict(self, fold: FoldDesign, eta: FloatArray) -> FloatArray:
        exposure, piece = self._exposure(fold)
        relative = np.exp(eta)
        happened = fold.train[self._event[fold.train]]
        events = np.bincount(piece[happened], minlength=exposure.shape[1])
        rate = events / (relative[fold.train] @ exposure[fold.train])
        test = fold.test
        log_hazard = np.log(rate[piece[test]]) + eta[test]
        return np.asarray(
            np.where(self._event[test], log_hazard, 0.0) - relative[test] * (exposure[test] @ rate)
        )

    def evaluate(self, kept: FloatArray) -> FloatArray:
        return np.asarray(self._multiplicity @ kept.mean(axis=0) / kept.shape[1])

    def _exposure(self, fold: FoldDesign) -> tuple[FloatArray, IntArray]:
        """Time of each patient in each piece, and the piece of its last moment; made once."""
        if fold not in self._pieces:
            times = self._time[fold.train[self._event[fold.train]]]
            if times.size == 0:
                raise UnplayableError(
                    "a training set has no event by the horizon: use fewer folds or a later"
                    " horizon",
                    reason="a training set without events by the horizon",
                )
            inner = np.quantile(times, np.arange(1, _N_PIECES) / _N_PIECES, method="lower")
            # a cut at the last event would leave a piece without events
            cuts = np.unique(inner[(inner > 0.0) & (inner < times.max())])
            edges = np.r_[0.0, cuts, np.inf]
            spent = np.clip(self._time[:, None] - edges[:-1], 0.0, np.diff(edges))
            self._pieces[fold] = spent, np.searchsorted(cuts, self._time, side="left")
        return self._pieces[fold]
