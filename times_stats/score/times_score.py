"""The TIMES score as an estimator: marker models, their cross-fitting, and pooling in one."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from times_stats._typing import FloatArray
from times_stats.boosting.calibration import event_probability
from times_stats.boosting.crossfitting import (
    CrossFit,
    crossfit,
)
from times_stats.boosting.evidence import (
    apply_models,
    out_of_fold_evidence,
    out_of_fold_log_hazard,
    out_of_fold_margin,
    out_of_fold_margin_variance,
)
from times_stats.boosting.marker_model import MarkerModel
from times_stats.boosting.tuning import Candidates, Tuning, tune
from times_stats.errors import DataWarning, InputError
from times_stats.score.marker_table import pooled_table
from times_stats.score.pooling import (
    RULES,
    LinearPool,
    Rule,
    estimate_between_marker_variance,
    pool_linear,
)
from times_stats.score.shrinkage import VariancePrior, fit_variance_prior

_LEAST_EIGENVALUE = 0.05  # keeps the estimated error correlation positive definite


class TimesScore(BaseEstimator):  # type: ignore[misc]
    r"""Probability of the event by the horizon, pooled over cross-fitted marker models.

    .. math:: \mathrm{score}_i = 1 - \exp\Big(-\exp \sum_m w_{im}\,\log(-\log(1 - P_{im}))\Big)

    P is the probability of marker m's model, w its weight: the inverse of the shrunken jackknife
    variance of the marker's margin, or generalised least squares with a variance between markers
    (``random_effects``).

    All markers share one prior of that variance. A marker without a split in any fold model tells
    no patient from another: its variance of zero is no precision, and it has weight 0. Where a
    patient has such markers alone, they have equal weights. For a marker that splits in a share of
    the fold models its variance is divided by that share, and variances that are exactly zero (no
    split in any model of that patient) are left to the prior.

    Standard errors allow for correlated errors of the markers, which learn from the same outcomes.
    For ``survival:cox`` they hold the variance of the log baseline hazard at the horizon, which
    all markers share and no number of markers averages out. For ``binary:logistic`` and
    ``survival:aft`` nothing is added: their intercept's own variance is left out. They speak of the
    training set that might have been drawn, not of tiles; ``benchmarks/coverage/score_interval.py``
    prints their coverage.

    Parameters
    ----------
    model : MarkerModel, optional
        Template of the marker models; the default `MarkerModel` if left out.
    pooling : {"shrunken", "random_effects"}, default "shrunken"
    tuning : "default", sequence of mapping, or None, default None
        Parameters of the marker models to choose from, once for all markers and folds, by held-out
        log-likelihood on the folds of the cross-fit (`boosting.tune`). None keeps the template:
        tuning mended the slopes of single markers under weak signals, moved concordance little and
        both ways, and made the pooled score, too timid already, more so
        (``benchmarks/coverage/tuning.py`` prints the table).
    horizon : float
        Months.
    n_folds : int, default 5
    n_repeats : int, default 5
        At least 2: the spread over repeats is the source of the variances.
    seed : int, default 0
    jobs : int, default 1
        Processes; the result does not depend on it.

    Attributes
    ----------
    crossfit_ : CrossFit
    tuning_ : Tuning or None
        Chosen parameters and the table of candidates; None without `tuning`.
    prior_ : VariancePrior
        Prior of the margin variance, one for all markers, learned on the training patients.
    uninformative_ : tuple of str
        Markers without a split in any fold model.
    split_share_ : ndarray, shape (n_markers,)
        Share of each marker's fold models that have a split.
    baseline_variance_ : float
        Variance of the log baseline hazard at the horizon (Breslow, margins held fixed): mean over
        the fold models of the informative markers, times (K - 1) / K, since the K models of a
        repeat together see all patients; 0 for ``binary:logistic`` and ``survival:aft``.
    error_correlation_ : ndarray, shape (n_markers, n_markers)
        Correlation of the markers' errors over repeats.
    tau_squared_ : float
        Variance between markers (``random_effects``; else 0).
    out_of_fold_ : DataFrame
        Index patient_id; ``score``, ``se``, ``lower``, ``upper``, ``linear_predictor``, one
        ``weight_<marker>`` and one ``probability_<marker>``.
    out_of_fold_evidence_ : DataFrame
        Evidence z, patient x (marker, region).
    training_range_ : DataFrame
        ``min`` and ``max`` of each (marker, region) over the training patients.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> ids = [f"p{i:03d}" for i in range(100)]
    >>> columns = pd.MultiIndex.from_product([["CD8", "CD57"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(100, 4)), index=ids, columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 100), "event": 1}, index=ids)
    >>> score = TimesScore(horizon=24.0, n_repeats=2).fit(features, y)
    >>> score.predict_interval(features).shape
    (100, 2)
    """

    def __init__(
        self,
        *,
        model: MarkerModel | None = None,
        pooling: Rule = "shrunken",
        tuning: Candidates | None = None,
        horizon: float = 24.0,
        n_folds: int = 5,
        n_repeats: int = 5,
        seed: int = 0,
        jobs: int = 1,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.tuning = tuning
        self.horizon = horizon
        self.n_folds = n_folds
        self.n_repeats = n_repeats
        self.seed = seed
        self.jobs = jobs

    def fit(
        self,
        X: pd.DataFrame,
        y: pd.DataFrame,
        *,
        groups: object = None,
        folds: object = None,
    ) -> Self:
        """Cross-fit the marker models, learn the variance prior, pool the training patients.

        Parameters
        ----------
        X : DataFrame, shape (n, n_features)
            Features with columns (marker, region), NaN = missing.
        y : DataFrame
            Outcome with the columns ``time`` and ``event``, matched by index.
        groups : array-like, shape (n,), optional
            Patient of each row, if rows are tiles.
        folds : array-like, shape (n_repeats, n), optional
            Fold of each row.

        Returns
        -------
        TimesScore

        Raises
        ------
        InputError
            Unknown pooling, fewer than two repeats, and whatever `crossfit` finds.

        Warns
        -----
        DataWarning
            Markers without a split in any fold model.
        """
        if self.pooling not in RULES:
            raise InputError(f"pooling {self.pooling!r} is unknown: use one of {', '.join(RULES)}")
        self._cross_fit(X, y, groups=groups, folds=folds)
        variance = out_of_fold_margin_variance(self.crossfit_).to_numpy()
        self.variance_df_ = float(self.crossfit_.n_repeats - 1)
        self.split_share_ = estimate_split_share(self.crossfit_)
        self.uninformative_ = tuple(
            marker
            for marker, share in zip(self.crossfit_.markers, self.split_share_, strict=True)
            if share == 0
        )
        if self.uninformative_:
            warnings.warn(
                f"no split in any fold model of {', '.join(self.uninformative_)}: carries no "
                "evidence: weight 0",
                DataWarning,
                stacklevel=2,
            )
        self.baseline_variance_ = _baseline_variance(self.crossfit_, self.uninformative_)
        self.prior_: VariancePrior = self._learn_prior(variance)
        self.error_correlation_ = estimate_error_correlation(self.crossfit_.margin.to_numpy())
        log_hazard = out_of_fold_log_hazard(self.crossfit_)
        self.tau_squared_ = 0.0
        if self.pooling == "random_effects":
            shrunken, df = self._shrink(variance)
            self.tau_squared_ = estimate_between_marker_variance(
                self._telling(log_hazard),
                shrunken,
                df=df,
                error_correlation=self.error_correlation_,
            )
        pool = self._pool(log_hazard, variance, 0.95)
        self.out_of_fold_ = _as_table(pool, log_hazard, out_of_fold_margin(self.crossfit_))
        self.out_of_fold_evidence_ = out_of_fold_evidence(self.crossfit_)
        self.training_range_ = X.agg(["min", "max"]).T.sort_index()
        return self

    def predict(self, X: pd.DataFrame) -> FloatArray:
        """Score of new patients.

        Parameters
        ----------
        X : DataFrame
            Features with the training columns.

        Returns
        -------
        ndarray, shape (n,)
            In (0, 1); NaN for patients without any complete marker.
        """
        return self.predict_table(X)["score"].to_numpy(dtype=np.float64)

    def predict_interval(self, X: pd.DataFrame, *, confidence_level: float = 0.95) -> FloatArray:
        """Interval of the score of new patients.

        Parameters
        ----------
        X : DataFrame
        confidence_level : float, default .95

        Returns
        -------
        ndarray, shape (n, 2)
            Lower and upper limit.
        """
        table = self.predict_table(X, confidence_level=confidence_level)
        return table[["lower", "upper"]].to_numpy(dtype=np.float64)

    def predict_table(self, X: pd.DataFrame, *, confidence_level: float = 0.95) -> pd.DataFrame:
        """Score, interval, weights and marker probabilities of new patients.

        Parameters
        ----------
        X : DataFrame
        confidence_level : float, default .95

        Returns
        -------
        DataFrame
            Columns of ``out_of_fold_``.
        """
        check_is_fitted(self)
        told = apply_models(self.crossfit_, X)
        pool = self._pool(told.log_cumulative_hazard, told.variance.to_numpy(), confidence_level)
        return _as_table(pool, told.log_cumulative_hazard, told.margin)

    def evidence(self, X: pd.DataFrame) -> pd.DataFrame:
        """Evidence z of new patients: mean over the fold models.

        Parameters
        ----------
        X : DataFrame

        Returns
        -------
        DataFrame, patient x (marker, region)
        """
        check_is_fitted(self)
        return apply_models(self.crossfit_, X).evidence

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "prior_")

    def _cross_fit(
        self, X: pd.DataFrame, y: pd.DataFrame, *, groups: object, folds: object
    ) -> None:
        """Cross-fit the template, or the best of the candidates that change it."""
        options: dict[str, Any] = {
            "horizon": self.horizon,
            "model": self.model,
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "groups": groups,
            "folds": folds,
            "seed": self.seed,
            "jobs": self.jobs,
        }
        self.tuning_: Tuning | None = None
        if self.tuning is None:
            self.crossfit_: CrossFit = crossfit(X, y, **options)
        else:
            self.tuning_, self.crossfit_ = tune(X, y, candidates=self.tuning, **options)

    def _learn_prior(self, variance: FloatArray) -> VariancePrior:
        measured = variance[:, self.split_share_ > 0]
        measured = measured[measured > 0]
        if measured.size == 0:
            measured = np.zeros(1)
        return fit_variance_prior(measured[:, None], df=self.variance_df_)

    def _shrink(self, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        freedom = np.where(variance > 0, self.variance_df_, 0.0)
        shrunken, df = self.prior_.shrink(variance, freedom)
        return shrunken / np.where(self.split_share_ > 0, self.split_share_, 1.0), df

    def _telling(self, log_hazard: pd.DataFrame) -> FloatArray:
        """Log hazards without uninformative markers, unless the patient has nothing else."""
        values = log_hazard.to_numpy(dtype=np.float64, copy=True)
        dull = self.split_share_ == 0
        others = ~np.isnan(values[:, ~dull]).all(axis=1)
        values[np.ix_(others, dull)] = np.nan
        return values

    def _pool(
        self, log_hazard: pd.DataFrame, variance: FloatArray, confidence_level: float
    ) -> LinearPool:
        shrunken, df = self._shrink(variance)
        return pool_linear(
            self._telling(log_hazard),
            shrunken,
            df=df,
            rule=self.pooling,
            tau_squared=self.tau_squared_,
            error_correlation=self.error_correlation_,
            common_variance=self.baseline_variance_,
            confidence_level=confidence_level,
        )


def estimate_split_share(crossfit: CrossFit) -> FloatArray:
    """Share of each marker's fold models that have a split.

    Parameters
    ----------
    crossfit : CrossFit

    Returns
    -------
    ndarray, shape (n_markers,)
        In [0, 1].
    """
    fold_models = [models for folds in crossfit.models for models in folds]
    splits = [[models[marker].has_split() for marker in crossfit.markers] for models in fold_models]
    return np.asarray(np.mean(splits, axis=0), dtype=np.float64)


def _baseline_variance(crossfit: CrossFit, uninformative: tuple[str, ...]) -> float:
    informative = [marker for marker in crossfit.markers if marker not in uninformative]
    baselines = [
        models[marker].baseline_
        for folds in crossfit.models
        for models in folds
        for marker in informative or crossfit.markers
    ]
    found = [b.log_variance_at(crossfit.horizon) for b in baselines if b is not None]
    return (1 - 1 / crossfit.n_folds) * float(np.mean(found)) if found else 0.0


def estimate_error_correlation(margin: FloatArray) -> FloatArray:
    """Correlation of the markers' errors, from their moves together over repeats.

    Each patient's deviations from the mean over repeats are divided by the patient's own spread
    of that marker, then correlated over all repeats and patients that have both markers.

    Parameters
    ----------
    margin : ndarray, shape (n_repeats, n_patients, n_markers)
        Out-of-fold margins; NaN = missing.

    Returns
    -------
    ndarray, shape (n_markers, n_markers)
        Positive definite (eigenvalues at least .05 before rescaling); 0 where two markers share
        no patient.

    Examples
    --------
    >>> import numpy as np
    >>> estimate_error_correlation(np.zeros((2, 3, 1)))
    array([[1.]])
    """
    deviation = margin - margin.mean(axis=0)
    spread = np.sqrt((deviation**2).mean(axis=0))
    scaled = np.divide(
        deviation, spread, out=np.zeros_like(deviation), where=np.nan_to_num(spread) > 0
    )
    flat = scaled.reshape(-1, margin.shape[2])
    cross = flat.T @ flat
    used = (flat != 0).astype(np.float64)
    shared = np.sqrt(((flat**2).T @ used) * (used.T @ flat**2))
    correlation = np.divide(cross, shared, out=np.zeros_like(cross), where=shared > 0)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    mended = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(mended))
    mended = mended / np.outer(scale, scale)
    np.fill_diagonal(mended, 1.0)
    return np.asarray((mended + mended.T) / 2, dtype=np.float64)


def _as_table(pool: LinearPool, log_hazard: pd.DataFrame, margin: pd.DataFrame) -> pd.DataFrame:
    table = pooled_table(
        log_hazard.index,
        log_hazard.columns.to_list(),
        score=event_probability(pool.value),
        se=pool.se * np.exp(pool.value - np.exp(pool.value)),
        lower=event_probability(pool.lower),
        upper=event_probability(pool.upper),
        weights=pool.weights,
    )
    weighted: Any = (pool.weights * margin.fillna(0.0).to_numpy()).sum(axis=1)
    predictor = np.where(np.isnan(pool.value), np.nan, weighted)
    table.insert([*table.columns].index("upper") + 1, "linear_predictor", predictor)
    for marker in log_hazard.columns:
        table[f"probability_{marker}"] = event_probability(log_hazard[marker].to_numpy())
    return table
