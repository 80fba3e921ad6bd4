"""The outer loop that every reported performance comes from, the survival model included."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from times_stats._typing import FloatArray, IntArray
from times_stats.boosting.calibration import complementary_log_log
from times_stats.boosting.marker_model import MarkerModel, Objective
from times_stats.errors import ConvergenceWarning, DataWarning
from times_stats.features.matrix import marker_levels
from times_stats.nonparametric import nelson_aalen
from times_stats.resampling import spawn_rng
from times_stats.rivals.cox import RidgeCox
from times_stats.rivals.marginal import NullModel
from times_stats.rivals.stage import StageModel
from times_stats.rivals.transforms import learn_transform
from times_stats.score.pooling import Rule
from times_stats.score.times_score import TimesScore, VarianceSource
from times_stats.survival.prediction import linear_predictor, predict_survival
from times_stats.survival.sampling import CompiledSurvival, fit_survival

SCORE, SURVIVAL, RAW = "times_score", "survival_model", "raw_survival_model"
MOST_FAILED = 0.1


@dataclass(frozen=True, slots=True)
class NestedSettings:
    """What the outer loop needs to know besides the data.

    Attributes
    ----------
    horizon : float
        Landmark, months.
    times : ndarray of shape (n_times,)
        Times of the survival predictions, months; the last is the horizon.
    objective, pooling, variance : str
        As in `MarkerModel` and `TimesScore`.
    censoring_strata : tuple of str
        Columns of the outcome table, for the censoring weights of the logistic objective.
    tuning : bool
        Choose the parameters of the marker models inside each outer training set.
    n_folds, n_repeats : int
        Inner cross-fitting that makes the evidence inside each outer training set.
    """

    horizon: float
    times: FloatArray
    objective: Objective = "survival:cox"
    pooling: Rule = "shrunken"
    variance: VarianceSource = "jackknife"
    censoring_strata: tuple[str, ...] = ()
    tuning: bool = False
    n_folds: int = 5
    n_repeats: int = 3

    def marker_model(self) -> MarkerModel:
        """Return the template of the marker models."""
        return MarkerModel(
            objective=self.objective, horizon=self.horizon, censoring_strata=self.censoring_strata
        )

    @property
    def candidates(self) -> Literal["default"] | None:
        """Return the search space of the marker models, if they are tuned."""
        return "default" if self.tuning else None


@dataclass(frozen=True, slots=True)
class FoldEvidence:
    """What one outer training set says about its own patients and about the test patients."""

    train: IntArray
    test: IntArray
    evidence_train: pd.DataFrame
    evidence_test: pd.DataFrame
    raw_train: pd.DataFrame
    raw_test: pd.DataFrame
    score_test: FloatArray
    cut_off: float
    linear_predictor: Mapping[str, FloatArray]
    survival: Mapping[str, FloatArray]
    n_borrowed: int
    uninformative: tuple[str, ...]
    tuned: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NestedPredictions:
    """Predictions of the outer test patients, each from models that never saw them.

    Attributes
    ----------
    folds : ndarray of shape (n_repeats, n_patients)
        Outer folds.
    times : ndarray of shape (n_times,)
        Months.
    linear_predictor : dict of str to ndarray of shape (n_repeats, n_patients)
        Risk of each model on its own log scale; larger is earlier.
    survival : dict of str to ndarray of shape (n_repeats, n_patients, n_times)
        Survival probabilities of each model.
    above_cut : ndarray of shape (n_repeats, n_patients)
        TIMES score minus the cut-off learned in the outer training set.
    fits : DataFrame
        One row per posterior fit: repeat, fold, model, status, max_rhat, min_ess, divergences.
    n_borrowed : int
        Predictions of a stage that the training set does not hold, taken from the next lower one.
    uninformative : dict of str to int
        In how many outer training sets no model of a marker found a split.
    tuned : tuple of dict
        Parameters that each outer training set chose, in the order of repeats and folds; empty
        dictionaries where nothing was tuned.
    splits : DataFrame
        ``repeat``, ``fold``, ``patient_id``, ``role`` (train or test) and ``evidence`` (its sum):
        the rows that the survival model of each outer fold was fitted to and applied to.
    """

    folds: IntArray
    times: FloatArray
    linear_predictor: dict[str, FloatArray]
    survival: dict[str, FloatArray]
    above_cut: FloatArray
    fits: pd.DataFrame
    n_borrowed: int
    uninformative: dict[str, int]
    tuned: tuple[dict[str, Any], ...] = ()
    splits: pd.DataFrame = field(default_factory=pd.DataFrame)


def _standardise(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Yeo-Johnson and unit variance, learned on the training patients."""
    every = np.ones(train.shape[1], dtype=np.bool_)
    learned = learn_transform(train, gaussianise=every, rescale=every)

    def apply(part: pd.DataFrame) -> pd.DataFrame:
        values = learned.apply(part.to_numpy(dtype=np.float64))
        return pd.DataFrame(values, index=part.index, columns=part.columns)

    return apply(train), apply(test)


def _score_survival(score: FloatArray, y: pd.DataFrame, settings: NestedSettings) -> FloatArray:
    """Survival curve of a score: the training set's marginal hazard shape, through 1 - score."""
    hazard = nelson_aalen(y["time"], y["event"])
    shape = hazard.at(settings.times) / hazard.at(np.array([settings.horizon]))
    return np.exp(np.log1p(-np.clip(score, 0.0, 1 - 1e-12))[:, None] * shape[None, :])


def _flat(features: pd.DataFrame) -> pd.DataFrame:
    return features.set_axis([" ".join(map(str, key)) for key in features.columns], axis=1)


def cohort_indicators(outcome: pd.DataFrame) -> pd.DataFrame:
    """Return 0/1 columns of the cohorts but the first; none where there is one cohort.

    Parameters
    ----------
    outcome : DataFrame
        Column ``cohort``.

    Returns
    -------
    DataFrame
        A row per patient.
    """
    return pd.get_dummies(outcome[["cohort"]], drop_first=True, dtype=float)


def cox_inputs(
    features: pd.DataFrame, outcome: pd.DataFrame, *, levels: pd.DataFrame | None = None
) -> dict[str, pd.DataFrame]:
    """Return the predictors of the ridge Cox rivals, cohort indicators beside the markers.

    Parameters
    ----------
    features, outcome, levels : DataFrame
        As in `learn_fold`.

    Returns
    -------
    dict of str to DataFrame
        By the name of the rival.
    """
    cohorts = cohort_indicators(outcome)
    return {
        name: pd.concat([values, cohorts], axis=1)
        for name, values in (
            ("ridge_cox", _flat(features)),
            ("levels_ridge_cox", marker_levels(features) if levels is None else levels),
        )
    }


def learn_fold(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    stages: pd.DataFrame,
    *,
    levels: pd.DataFrame | None = None,
    train: IntArray,
    test: IntArray,
    settings: NestedSettings,
    seed: int,
) -> FoldEvidence:
    """Learn everything but the posterior on one outer training set; predict its test patients.

    Parameters
    ----------
    features : DataFrame of shape (n_patients, n_features)
        Wide feature table, columns (marker, region).
    outcome : DataFrame
        Columns ``time`` (months), ``event`` and ``cohort``.
    stages : DataFrame
        One ordered categorical column per recorded staging system.
    levels : DataFrame of shape (n_patients, n_markers), optional
        Level of each marker; the plain mean over its regions, if left out.
    train, test : ndarray of int
        Row positions.
    settings : NestedSettings
        Horizon, times and inner cross-fitting.
    seed : int
        Seed of this outer fold.

    Returns
    -------
    FoldEvidence
        Cross-fitted evidence of the training patients, evidence of the test patients, and the
        test predictions of the score and of every rival without a posterior.
    """
    x_train, x_test = features.iloc[train], features.iloc[test]
    y_train = outcome.iloc[train]
    predictor: dict[str, FloatArray] = {}
    survival: dict[str, FloatArray] = {}

    with warnings.catch_warnings():
        # Markers without a split are counted in `uninformative`, not announced fold by fold.
        warnings.simplefilter("ignore", DataWarning)
        model = TimesScore(
            model=settings.marker_model(),
            pooling=settings.pooling,
            variance=settings.variance,
            tuning=settings.candidates,
            horizon=settings.horizon,
            n_folds=settings.n_folds,
            n_repeats=settings.n_repeats,
            seed=seed,
        ).fit(x_train, y_train)
    table = model.predict_table(x_test)
    score = table["score"].to_numpy()
    # A monotone function of the score itself, free of the training set's baseline.
    predictor[SCORE] = complementary_log_log(score) - np.nanmean(
        complementary_log_log(model.out_of_fold_["score"].to_numpy())
    )
    survival[SCORE] = _score_survival(score, y_train, settings)

    def fit_rival(name: str, rival: Any, inputs: Any, new: Any, y: pd.DataFrame) -> None:
        rival.fit(inputs, y)
        predictor[name] = np.asarray(rival.predict(new), dtype=float)
        survival[name] = np.asarray(rival.predict_survival(new, times=settings.times), dtype=float)

    fit_rival("no_predictors", NullModel(), y_train, outcome.iloc[test], y_train)
    n_borrowed = 0
    known = stages.notna().all(axis=1).to_numpy()
    seen = train[known[train]]
    known_test = known[test]
    for system in stages.columns.astype(str):
        predictor[system] = np.full(test.size, np.nan)
        survival[system] = np.full((test.size, settings.times.size), np.nan)
        stage = StageModel().fit(stages[system].iloc[seen], outcome.iloc[seen])
        new = stages[system].iloc[test[known_test]]
        predictor[system][known_test] = stage.predict(new)
        n_borrowed += int(new.isin(list(stage.unseen_)).sum())
        survival[system][known_test] = stage.predict_survival(new, times=settings.times)
    cohorts = cohort_indicators(outcome)
    for name, both in cox_inputs(features, outcome, levels=levels).items():
        rival = RidgeCox(weak=list(cohorts.columns))
        fit_rival(name, rival, both.iloc[train], both.iloc[test], y_train)
    if len(stages.columns):
        dummies = pd.get_dummies(stages, drop_first=True, dtype=float).join(cohorts)
        told = pd.concat([model.out_of_fold_["score"], table["score"]])
        told = pd.Series(complementary_log_log(told.to_numpy()), index=told.index)
        both = dummies.assign(score=told)
        with warnings.catch_warnings():
            # A score that hardly varies, because no marker had a split, is only standardised.
            warnings.simplefilter("ignore", DataWarning)
            rival = RidgeCox(weak=list(dummies.columns)).fit(both.iloc[seen], outcome.iloc[seen])
        new = both.iloc[list(test)]
        predictor["stage_and_score"] = np.where(known_test, rival.predict(new), np.nan)
        survival["stage_and_score"] = np.where(
            known_test[:, None], rival.predict_survival(new, times=settings.times), np.nan
        )
    raw_train, raw_test = _standardise(x_train, x_test)
    return FoldEvidence(
        train=train,
        test=test,
        evidence_train=model.out_of_fold_evidence_,
        evidence_test=model.evidence(x_test),
        raw_train=raw_train,
        raw_test=raw_test,
        score_test=score,
        cut_off=float(np.nanmedian(model.out_of_fold_["score"])),
        linear_predictor=predictor,
        survival=survival,
        n_borrowed=n_borrowed,
        uninformative=tuple(model.uninformative_),
        tuned={} if model.tuning_ is None else model.tuning_.parameters,
    )


def predict_nested(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    stages: pd.DataFrame,
    *,
    levels: pd.DataFrame | None = None,
    folds: IntArray,
    settings: NestedSettings,
    compile_model: Callable[[], CompiledSurvival],
    seed: int,
    jobs: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> NestedPredictions:
    """Predict every patient from models that were learned without the patient's outer fold.

    For each outer training set the marker models are cross-fitted anew, the survival model is
    fitted on that evidence, and the test patients' evidence comes from the inner fold models
    alone. Fitting the survival model on single-level out-of-fold evidence instead is a leak.

    Parameters
    ----------
    features, outcome, stages, levels : DataFrame
        As in `learn_fold`.
    folds : ndarray of shape (n_repeats, n_patients)
        Outer folds, whole patients.
    settings : NestedSettings
        Horizon, times and inner cross-fitting.
    compile_model : callable
        Returns the compiled survival model; called once, while the boosting runs.
    seed : int
        Seed of the whole loop; results do not depend on `jobs`.
    jobs : int
        Processes for the boosting, threads for the chains.
    advance : callable
        Called after each outer fold and phase, for a progress display.

    Returns
    -------
    NestedPredictions
        Out-of-fold predictions of the score, the survival model and every rival.
    """
    splits: list[tuple[int, int, IntArray, IntArray]] = [
        (repeat, int(fold), np.flatnonzero(labels != fold), np.flatnonzero(labels == fold))
        for repeat, labels in enumerate(folds)
        for fold in np.unique(labels)
    ]
    tasks = [
        delayed(learn_fold)(
            features,
            outcome,
            stages,
            levels=levels,
            train=train,
            test=test,
            settings=settings,
            seed=int(spawn_rng(seed, "outer fold", repeat, fold).integers(2**31)),
        )
        for repeat, fold, train, test in splits
    ]

    def learn_all() -> list[FoldEvidence]:
        done = []
        for piece in Parallel(n_jobs=jobs, return_as="generator")(tasks):
            done.append(piece)
            advance()
        return done

    with ThreadPoolExecutor(max_workers=1) as pool:
        learning = pool.submit(learn_all)
        if jobs == 1:
            learning.result()
        compiled = compile_model()
        pieces = learning.result()

    spec = compiled.spec.for_folds()
    # Slopes of raw values are less well identified than those of evidence: smaller steps.
    careful = replace(spec, target_accept=max(spec.target_accept, 0.99))
    shape = folds.shape
    names = [*pieces[0].linear_predictor, SURVIVAL, RAW]
    predictor = {name: np.full(shape, np.nan) for name in names}
    survival = {name: np.full((*shape, settings.times.size), np.nan) for name in names}
    above_cut = np.full(shape, np.nan)
    rows: list[dict[str, Any]] = []
    splits_used: list[pd.DataFrame] = []
    for (repeat, fold, train, test), piece in zip(splits, pieces, strict=True):
        for name in piece.linear_predictor:
            predictor[name][repeat, test] = piece.linear_predictor[name]
            survival[name][repeat, test] = piece.survival[name]
        above_cut[repeat, test] = piece.score_test - piece.cut_off
        splits_used += [
            _describe_rows(part, repeat=repeat, fold=fold, role=role)
            for role, part in (("train", piece.evidence_train), ("test", piece.evidence_test))
        ]
        cohort_train, cohort_test = outcome["cohort"].iloc[train], outcome["cohort"].iloc[test]
        for name, settled, known, new, prior in (
            (SURVIVAL, spec, piece.evidence_train, piece.evidence_test, None),
            (RAW, careful, piece.raw_train, piece.raw_test, (0.0, 0.5)),
        ):
            with warnings.catch_warnings():
                # A fit that failed its gate is counted in `fits`, not announced one by one.
                warnings.simplefilter("ignore", ConvergenceWarning)
                fit = fit_survival(
                    settled,
                    known,
                    outcome.iloc[train],
                    cohort=cohort_train,
                    seed=int(spawn_rng(seed, "posterior", name, repeat, fold).integers(2**31)),
                    compiled=compiled,
                    cores=jobs,
                    slope_prior=prior,
                )
            drawn = predict_survival(fit, new, times=settings.times, cohort=cohort_test)
            survival[name][repeat, test] = drawn.mean("sample").to_numpy()
            predictor[name][repeat, test] = (
                linear_predictor(fit, new, cohort=cohort_test).mean("sample").to_numpy()
            )
            found = fit.diagnostics
            rows.append(
                {
                    "repeat": repeat,
                    "fold": fold,
                    "model": name,
                    "status": found.status,
                    "max_rhat": found.max_rhat,
                    "min_ess": found.min_ess,
                    "divergences": found.divergences,
                }
            )
        advance()
    return NestedPredictions(
        folds=folds,
        times=settings.times,
        linear_predictor=predictor,
        survival=survival,
        above_cut=above_cut,
        fits=pd.DataFrame(rows),
        n_borrowed=sum(piece.n_borrowed for piece in pieces),
        uninformative=dict(Counter(name for piece in pieces for name in piece.uninformative)),
        tuned=tuple(dict(piece.tuned) for piece in pieces),
        splits=pd.concat(splits_used, ignore_index=True),
    )


def _describe_rows(evidence: pd.DataFrame, *, repeat: int, fold: int, role: str) -> pd.DataFrame:
    """Name the rows of an evidence table by its own index, not by where they should come from."""
    return pd.DataFrame(
        {
            "repeat": repeat,
            "fold": fold,
            "patient_id": evidence.index.astype(str),
            "role": role,
            "evidence": evidence.sum(axis=1, min_count=1).to_numpy(),
        }
    )


def failed_models(fits: pd.DataFrame) -> dict[str, str]:
    """Tell which models lost more than a tenth of their outer fits to the convergence gate.

    Parameters
    ----------
    fits : DataFrame
        ``fits`` of `NestedPredictions`.

    Returns
    -------
    dict of str to str
        Model, and the reason in words. A fit or two of short chains may miss a threshold by
        chance; a tenth of them is more than that.

    Examples
    --------
    >>> fits = pd.DataFrame({"model": ["a"] * 4, "status": ["converged"] * 3 + ["failed"]})
    >>> failed_models(fits)
    {'a': '1 of 4 fits of the outer loop missed their convergence thresholds'}
    """
    return {
        str(name): f"{int(failed.sum())} of {len(failed)} fits of the outer loop missed their "
        "convergence thresholds"
        for name, failed in (fits["status"] == "failed").groupby(fits["model"])
        if failed.mean() > MOST_FAILED
    }
