"""The TIMES score as an estimator: marker models, their cross-fitting, and pooling in one."""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any, Literal, Self, cast

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from times_stats._typing import FloatArray
from times_stats.boosting.bootstrapping import MarkerBootstrap, bootstrap_models
from times_stats.boosting.calibration import event_probability
from times_stats.boosting.crossfitting import (
    CrossFit,
    crossfit,
)
from times_stats.boosting.evidence import (
    NewEvidence,
    apply_models,
    out_of_fold_evidence,
    out_of_fold_log_hazard,
    out_of_fold_margin,
    out_of_fold_margin_variance,
)
from times_stats.boosting.marker_model import MarkerModel
from times_stats.boosting.tuning import Candidates, Tuning, tune
from times_stats.errors import DataWarning, InputError
from times_stats.score.error_correlation import correlate_errors
from times_stats.score.latent_evidence import LatentPrior, fit_latent_prior
from times_stats.score.marker_table import pooled_table
from times_stats.score.new_marker import predict_new_marker
from times_stats.score.pooling import (
    RULES,
    LinearPool,
    NegativeWeights,
    Rule,
    estimate_between_marker_variance,
    pool_linear,
)
from times_stats.score.shrinkage import VariancePrior, fit_variance_prior

type VarianceSource = Literal["jackknife", "bootstrap"]
VARIANCES: tuple[str, ...] = ("jackknife", "bootstrap")


class TimesScore(BaseEstimator):  # type: ignore[misc]
    r"""Probability of the event by the horizon, pooled over cross-fitted marker models.

    .. math:: \mathrm{score}_i = 1 - \exp\Big(-\exp \sum_m w_{im}\,\log(-\log(1 - P_{im}))\Big)

    P is the probability of marker m's model, w its weight: the inverse of the shrunken variance of
    the marker's margin (``shrunken``), generalised least squares with errors that go together
    (``gls``) and a variance between markers (``random_effects``), or the posterior mean of a latent
    evidence that is normal over patients (``bayesian``: the weights sum to less than one, and the
    mean of the training patients has the rest). `pool_linear` gives the formulas.

    What is pooled is the log cumulative hazard at the horizon. Cox margins are on that scale; the
    variances of log odds and log times are taken to it by the delta method.

    Variances, and the correlation of the markers' errors, come from the repeats of the cross-fit
    (``jackknife``) or from models fitted on bootstrap resamples of the patients (``bootstrap``).

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
    prints their coverage, and ``pooling_coverage.py`` beside it that of every rule.

    Parameters
    ----------
    model : MarkerModel, optional
        Template of the marker models; the default `MarkerModel` if left out.
    pooling : {"shrunken", "gls", "random_effects", "bayesian"}, default "shrunken"
    variance : {"jackknife", "bootstrap"}, default "jackknife"
        Source of the variances of the margins.
    n_bootstrap : int, default 50
        Resamples of ``variance="bootstrap"``, 10 or more.
    negative_weights : {"allow", "truncate"}, default "allow"
        What ``gls`` and ``random_effects`` do with negative weights.
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
        The spread over repeats is the source of the jackknife variances, which need 2 or more.
    seed : int, default 0
    jobs : int, default 1
        Processes; the result does not depend on it.

    Attributes
    ----------
    crossfit_ : CrossFit
    tuning_ : Tuning or None
        Chosen parameters and the table of candidates; None without `tuning`.
    prior_ : VariancePrior
        Prior of the variance of a marker's log cumulative hazard, one for all markers, learned on
        the training patients.
    uninformative_ : tuple of str
        Markers without a split in any fold model.
    split_share_ : ndarray, shape (n_markers,)
        Share of each marker's fold models that have a split.
    baseline_variance_ : float
        Variance of the log baseline hazard at the horizon (Breslow, margins held fixed): mean over
        the fold models of the informative markers, times (K - 1) / K, since the K models of a
        repeat together see all patients; 0 for ``binary:logistic`` and ``survival:aft``.
    bootstrap_ : MarkerBootstrap or None
        Models of the resamples (``variance="bootstrap"``).
    error_correlation_ : ndarray, shape (n_markers, n_markers)
        Correlation of the markers' errors over repeats or resamples.
    tau_squared_ : float
        Variance between markers (``random_effects``; else 0).
    latent_prior_ : LatentPrior or None
        Normal distribution of the latent evidence over the training patients (``bayesian``).
    n_negative_weights_ : int
        Training patients with a negative weight.
    out_of_fold_ : DataFrame
        Index patient_id; ``score``, ``se``, ``lower``, ``upper``, ``linear_predictor``, one
        ``weight_<marker>`` (``bayesian``: also ``weight_prior``, what is left of one) and one
        ``probability_<marker>``.
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
        variance: VarianceSource = "jackknife",
        n_bootstrap: int = 50,
        negative_weights: NegativeWeights = "allow",
        tuning: Candidates | None = None,
        horizon: float = 24.0,
        n_folds: int = 5,
        n_repeats: int = 5,
        seed: int = 0,
        jobs: int = 1,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.variance = variance
        self.n_bootstrap = n_bootstrap
        self.negative_weights = negative_weights
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
            Unknown pooling or variance, one repeat (``jackknife``), and whatever `crossfit` and
            `bootstrap_models` find.

        Warns
        -----
        DataWarning
            Markers without a split in any fold model.
        """
        self._check_rule()
        self._cross_fit(X, y, groups=groups, folds=folds)
        self.bootstrap_: MarkerBootstrap | None = None
        if self.variance == "bootstrap":
            self.bootstrap_ = bootstrap_models(
                self.crossfit_,
                X,
                y,
                groups=groups,
                n_draws=self.n_bootstrap,
                seed=self.seed,
                jobs=self.jobs,
            )
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
        self.out_of_fold_evidence_ = out_of_fold_evidence(self.crossfit_)
        self.training_range_ = X.agg(["min", "max"]).T.sort_index()
        self._learn_pooling()
        return self

    def repool(self, *, pooling: Rule, negative_weights: NegativeWeights = "allow") -> TimesScore:
        """Pool the same marker models by another rule, without fitting them again.

        Parameters
        ----------
        pooling : {"shrunken", "gls", "random_effects", "bayesian"}
        negative_weights : {"allow", "truncate"}, default "allow"

        Returns
        -------
        TimesScore
            A fitted score, equal to one fitted with these arguments from the start.

        Raises
        ------
        InputError
            Unknown pooling, an argument it does not use, or a score that was loaded from files:
            it holds no training patients.
        """
        check_is_fitted(self)
        if self.crossfit_.margin.sizes["patient"] == 0:
            raise InputError(
                "a loaded score holds no patients to learn another rule from: fit it again"
            )
        other = copy(self).set_params(pooling=pooling, negative_weights=negative_weights)
        other._check_rule()
        other._learn_pooling()
        return cast("TimesScore", other)

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
        return self.pool_evidence(told, X, confidence_level=confidence_level)

    def pool_evidence(
        self, told: NewEvidence, X: pd.DataFrame, *, confidence_level: float = 0.95
    ) -> pd.DataFrame:
        """Pool what the marker models said of new patients, for rules that share the models.

        Parameters
        ----------
        told : NewEvidence
            ``apply_models(score.crossfit_, X)``.
        X : DataFrame
            The same patients: bootstrap variances are read off their features.
        confidence_level : float, default .95

        Returns
        -------
        DataFrame
            As `predict_table`.
        """
        check_is_fitted(self)
        pool = self._pool_new(told, X, confidence_level)
        return self._as_table(pool, told.log_cumulative_hazard, told.margin)

    def predict_new_marker_interval(
        self, X: pd.DataFrame, *, confidence_level: float = 0.95
    ) -> FloatArray:
        """Interval for the probability that a marker not measured here would give new patients.

        The markers are taken as a sample of those there might be (`predict_new_marker`, with
        M - 2 degrees of freedom): wider than the interval of the score, which is about their mean.

        Parameters
        ----------
        X : DataFrame
        confidence_level : float, default .95

        Returns
        -------
        ndarray, shape (n, 2)
            NaN for patients with fewer than three informative markers.

        Raises
        ------
        InputError
            If pooling is not ``random_effects``.
        """
        check_is_fitted(self)
        if self.pooling != "random_effects":
            raise InputError(
                f"pooling {self.pooling!r} has no variance between markers: use repool(pooling="
                "'random_effects')"
            )
        told = apply_models(self.crossfit_, X)
        pool = self._pool_new(told, X, confidence_level)
        telling = ~np.isnan(self._telling(told.log_cumulative_hazard))
        limits = predict_new_marker(
            pool.value,
            pool.variance,
            tau_squared=self.tau_squared_,
            n_markers=(telling & (self.split_share_ > 0)).sum(axis=1),
            confidence_level=confidence_level,
        )
        return np.column_stack([event_probability(limit) for limit in limits])

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

    def _check_rule(self) -> None:
        if self.pooling not in RULES:
            raise InputError(f"pooling {self.pooling!r} is unknown: use one of {', '.join(RULES)}")
        if self.variance not in VARIANCES:
            raise InputError(
                f"variance {self.variance!r} is unknown: use one of {', '.join(VARIANCES)}"
            )

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

    def _learn_pooling(self) -> None:
        """Learn what the rule needs, and pool the training patients."""
        if self.bootstrap_ is None:
            variance = out_of_fold_margin_variance(self.crossfit_).to_numpy()
            self.variance_df_ = float(self.crossfit_.n_repeats - 1)
            df = np.full(variance.shape, self.variance_df_)
            margin = self.crossfit_.margin.to_numpy()
        else:
            variance, df = self.bootstrap_.out_of_bag_variance()
            self.variance_df_ = float(self.bootstrap_.n_draws - 1)
            margin = self.bootstrap_.margin.to_numpy()
        self.baseline_variance_ = _baseline_variance(self.crossfit_, self.uninformative_)
        log_hazard = out_of_fold_log_hazard(self.crossfit_)
        variance = self._rescale(variance, log_hazard)
        self.prior_: VariancePrior = self._learn_prior(variance, df)
        self.error_correlation_ = estimate_error_correlation(margin)
        telling = self._telling(log_hazard)
        self.tau_squared_ = 0.0
        self.latent_prior_: LatentPrior | None = None
        if self.pooling == "random_effects":
            shrunken, own_df = self._shrink(variance, df)
            self.tau_squared_ = estimate_between_marker_variance(
                telling, shrunken, df=own_df, error_correlation=self.error_correlation_
            )
        elif self.pooling == "bayesian":
            shrunken, own_df = self._shrink(variance, df)
            likelihood = pool_linear(
                telling,
                shrunken,
                df=own_df,
                rule="gls",
                error_correlation=self.error_correlation_,
            )
            self.latent_prior_ = fit_latent_prior(likelihood.value, likelihood.variance)
        pool = self._pool(log_hazard, variance, df, 0.95)
        self.n_negative_weights_ = int((pool.weights < 0).any(axis=1).sum())
        self.out_of_fold_ = self._as_table(pool, log_hazard, out_of_fold_margin(self.crossfit_))

    def _rescale(self, variance: FloatArray, log_hazard: pd.DataFrame) -> FloatArray:
        """Variance of a margin as that of the log cumulative hazard it gives (delta method)."""
        template = next(iter(self.crossfit_.models[0][0].values()))
        return variance * template.log_hazard_slope(log_hazard.to_numpy(dtype=np.float64)) ** 2

    def _learn_prior(self, variance: FloatArray, df: FloatArray) -> VariancePrior:
        measured = (variance > 0) & (self.split_share_ > 0)
        if not measured.any():
            return fit_variance_prior(np.zeros((1, 1)), df=self.variance_df_)
        return fit_variance_prior(variance[measured][:, None], df=df[measured][:, None])

    def _shrink(self, variance: FloatArray, df: FloatArray) -> tuple[FloatArray, FloatArray]:
        shrunken, total = self.prior_.shrink(variance, np.where(variance > 0, df, 0.0))
        return shrunken / np.where(self.split_share_ > 0, self.split_share_, 1.0), total

    def _telling(self, log_hazard: pd.DataFrame) -> FloatArray:
        """Log hazards without uninformative markers, unless the patient has nothing else."""
        values = log_hazard.to_numpy(dtype=np.float64, copy=True)
        dull = self.split_share_ == 0
        others = ~np.isnan(values[:, ~dull]).all(axis=1)
        values[np.ix_(others, dull)] = np.nan
        return values

    def _pool_new(self, told: NewEvidence, X: pd.DataFrame, confidence_level: float) -> LinearPool:
        if self.bootstrap_ is None:
            variance = told.variance.to_numpy()
            df = np.full(variance.shape, self.variance_df_)
        else:
            variance, df = self.bootstrap_.predict_variance(X.loc[:, self.crossfit_.columns])
        variance = self._rescale(variance, told.log_cumulative_hazard)
        return self._pool(told.log_cumulative_hazard, variance, df, confidence_level)

    def _pool(
        self,
        log_hazard: pd.DataFrame,
        variance: FloatArray,
        df: FloatArray,
        confidence_level: float,
    ) -> LinearPool:
        shrunken, own_df = self._shrink(variance, df)
        return pool_linear(
            self._telling(log_hazard),
            shrunken,
            df=own_df,
            rule=self.pooling,
            tau_squared=self.tau_squared_,
            latent_prior=self.latent_prior_,
            error_correlation=self.error_correlation_,
            common_variance=self.baseline_variance_,
            negative_weights=self.negative_weights,
            confidence_level=confidence_level,
        )

    def _as_table(
        self, pool: LinearPool, log_hazard: pd.DataFrame, margin: pd.DataFrame
    ) -> pd.DataFrame:
        table = pooled_table(
            log_hazard.index,
            log_hazard.columns.to_list(),
            score=event_probability(pool.value),
            se=pool.se * np.exp(pool.value - np.exp(pool.value)),
            lower=event_probability(pool.lower),
            upper=event_probability(pool.upper),
            weights=pool.weights,
        )
        known = ~np.isnan(pool.value)
        if self.pooling == "bayesian":
            table["weight_prior"] = np.where(known, 1 - pool.weights.sum(axis=1), 0.0)
        weighted: Any = (pool.weights * margin.fillna(0.0).to_numpy()).sum(axis=1)
        predictor = np.where(known, weighted, np.nan)
        table.insert([*table.columns].index("upper") + 1, "linear_predictor", predictor)
        for marker in log_hazard.columns:
            table[f"probability_{marker}"] = event_probability(log_hazard[marker].to_numpy())
        return table


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
    """Correlation of the markers' errors, from their moves together over repeats or resamples.

    Each patient's deviations from the mean over repeats are divided by the patient's own spread
    of that marker, then correlated over all repeats and patients that have both markers. A spread
    of a few repeats flattens the correlation, which is allowed for (`undo_flattening`).

    Parameters
    ----------
    margin : ndarray, shape (n_repeats, n_patients, n_markers)
        Out-of-fold (out-of-bag) margins; NaN = missing.

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
    seen = ~np.isnan(margin)
    n_seen = np.maximum(seen.sum(axis=0), 1)
    deviation = np.where(seen, margin - np.where(seen, margin, 0.0).sum(axis=0) / n_seen, 0.0)
    spread = np.sqrt((deviation**2).sum(axis=0) / n_seen)
    scaled = np.divide(deviation, spread, out=np.zeros_like(deviation), where=spread > 0)
    several = n_seen[n_seen > 1]
    df = float(several.mean()) - 1 if several.size else None
    return correlate_errors(scaled.reshape(-1, margin.shape[2]), df=df)
