"""All pooling rules on the same folds and the same marker models, judged out of fold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from times_stats._checks import as_survival_table, name_rows, nearest_hint
from times_stats._typing import FloatArray, IntArray
from times_stats.boosting.calibration import complementary_log_log, event_probability
from times_stats.boosting.crossfitting import marker_slices
from times_stats.boosting.evidence import apply_models
from times_stats.boosting.marker_model import MarkerModel
from times_stats.errors import DataWarning, InputError
from times_stats.evaluation.comparison import Prediction, compare
from times_stats.nonparametric import kaplan_meier
from times_stats.resampling import assign_folds, check_folds, spawn_rng
from times_stats.score.pooling import Rule
from times_stats.score.tile_pooling import TILE_RULES, TilePooling, TileRule
from times_stats.score.tile_tables import TileSummary, summarise_tiles
from times_stats.score.times_score import TimesScore, VarianceSource

NO_MARKERS = "no_markers"
_EDGE = 1e-6  # a probability of 0 or 1 has no log cumulative hazard


def compare_pooling(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    horizon: float,
    rules: Sequence[TileRule] = TILE_RULES,
    references: Sequence[str] = ("equal", "shrunken"),
    model: MarkerModel | None = None,
    variance: VarianceSource = "jackknife",
    n_bootstrap: int = 50,
    n_folds: int = 5,
    n_repeats: int = 5,
    n_outer_folds: int = 5,
    n_outer_repeats: int = 2,
    folds: object = None,
    strata: object = None,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    seed: int = 0,
    jobs: int = 1,
) -> pd.DataFrame:
    """Compare all pooling rules in an outer loop, each on the same marker models.

    In each outer training set the marker models are cross-fitted once; every rule learns its
    variances, correlations and populations from these, and pools what the models say of the test
    patients. Differences between rules are paired.

    Where patients have several rows (tiles), the models are learned from tiles, whole patients in a
    fold, and the rules are those for tiles: variances between a patient's tiles. Where each patient
    has one row, variances come from the fold models or from the bootstrap; ``published`` then takes
    the fold models in the place of tiles, which is not what was published, but is its rule.

    Parameters
    ----------
    features : DataFrame, shape (n_rows, n_features)
        Columns (marker, region); the index holds the patient, and may repeat (tiles).
    outcome : DataFrame
        A row per patient with the columns ``time`` (months) and ``event``.
    horizon : float
        Months.
    rules : sequence of str
        ``equal`` (plain mean on the linear scale), ``published``, ``shrunken``, ``gls``,
        ``gls_truncated``, ``random_effects``, ``bayesian``.
    references : sequence of str, default ("equal", "shrunken")
        Rules that every other is subtracted from.
    model, variance, n_bootstrap, n_folds, n_repeats
        As in `TimesScore`, inside each outer training set.
    n_outer_folds, n_outer_repeats : int
        Outer loop; ignored where `folds` is given.
    folds : array-like of int, shape (n_repeats, n_patients), optional
        Outer fold of each patient, in the order of the sorted patients.
    strata : Series, optional
        Stratum of the censoring distribution, by patient.
    n_resamples, confidence_level
        As in `times_stats.evaluation.compare`.
    seed : int, default 0
    jobs : int, default 1
        Processes; the result does not depend on it.

    Returns
    -------
    DataFrame
        Tidy: ``rule``, ``reference`` (empty for a rule alone, else the rule subtracted),
        ``metric``, ``estimate``, ``lower``, ``upper``, ``se``, ``n``, ``events``, ``n_without``
        (patients to whom the rule gave no score in the mean outer repeat; they have the event rate
        of the training set). ``no_markers`` knows that rate alone. Intervals are conditional on the
        fitted models. The calibration slope is that of the log cumulative hazard at the horizon.

    Raises
    ------
    InputError
        Unknown rules or references, patients without an outcome or without any complete marker,
        and whatever cross-fitting and comparison find.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ids = [f"p{i:03d}" for i in range(100)]
    >>> columns = pd.MultiIndex.from_product([["CD8", "CD57"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(100, 4)), index=ids, columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 100), "event": 1}, index=ids)
    >>> table = compare_pooling(features, y, horizon=24.0, rules=["equal", "shrunken"],
    ...                         n_folds=2, n_repeats=2, n_outer_folds=2, n_outer_repeats=1,
    ...                         n_resamples=20)
    >>> table["rule"].unique().tolist()
    ['equal', 'shrunken', 'no_markers']
    """
    _check_rules(rules, references)
    table = as_survival_table(outcome)
    patients = pd.Index(np.unique(features.index.to_numpy()), name="patient_id")
    absent = patients.difference(table.index)
    if len(absent):
        raise InputError(f"no outcome for patient {name_rows(absent)}: add it or drop the rows")
    table = table.loc[patients]
    _check_measured(features, patients)
    rng = spawn_rng(seed, "pooling rules", "outer folds")
    outer = (
        assign_folds(
            patients.to_numpy(),
            strata=table["event"].astype(str).to_numpy(),
            n_folds=n_outer_folds,
            n_repeats=n_outer_repeats,
            rng=rng,
        )
        if folds is None
        else check_folds(cast("IntArray", folds), patients.to_numpy())
    )
    setting = _Setting(
        horizon=horizon,
        rules=tuple(rules),
        model=model,
        variance=variance,
        n_bootstrap=n_bootstrap,
        n_folds=n_folds,
        n_repeats=n_repeats,
    )
    splits = [(r, int(k)) for r, labels in enumerate(outer) for k in np.unique(labels)]
    done = Parallel(n_jobs=jobs)(
        delayed(_score_fold)(
            features,
            table,
            outer[repeat] == fold,
            setting,
            int(spawn_rng(seed, "pooling rules", repeat, fold).integers(2**31)),
        )
        for repeat, fold in splits
    )
    names = [*rules, NO_MARKERS]
    scores = {name: np.full(outer.shape, np.nan) for name in names}
    lost = dict.fromkeys(names, 0)
    for (repeat, fold), found in zip(splits, done, strict=True):
        test = outer[repeat] == fold
        for name in names:
            known = np.isfinite(found[name])
            scores[name][repeat, test] = np.where(known, found[name], found[NO_MARKERS])
            lost[name] += int((~known).sum())
    predictions = []
    for name in names:
        inside = np.clip(scores[name], _EDGE, 1 - _EDGE)
        linear = complementary_log_log(inside)
        predictions.append(Prediction(name, linear, (1 - inside)[..., None], linear))
    compared = compare(
        table,
        predictions,
        times=[horizon],
        horizon=horizon,
        references=references,
        null=NO_MARKERS,
        strata=None if strata is None else pd.Series(strata).loc[patients].to_numpy(),
        folds=outer,
        n_resamples=n_resamples,
        confidence_level=confidence_level,
        rng=spawn_rng(seed, "pooling rules", "resamples"),
    )
    compared = compared.rename(columns={"model": "rule"})
    return compared.assign(n_without=compared["rule"].map(lost) / len(outer))


@dataclass(frozen=True, slots=True)
class _Setting:
    horizon: float
    rules: tuple[TileRule, ...]
    model: MarkerModel | None
    variance: VarianceSource
    n_bootstrap: int
    n_folds: int
    n_repeats: int


def _check_rules(rules: Sequence[str], references: Sequence[str]) -> None:
    for name in rules:
        if name not in TILE_RULES:
            hint = nearest_hint(name, TILE_RULES)
            raise InputError(f"rule {name!r} is unknown{hint}: use some of {', '.join(TILE_RULES)}")
    lacking = [name for name in references if name not in rules]
    if lacking:
        raise InputError(
            f"reference {lacking[0]!r} is not among the rules: add it, or name one of "
            f"{', '.join(rules)}"
        )


def _check_measured(features: pd.DataFrame, patients: pd.Index) -> None:
    ordered = features.sort_index(axis=1)
    complete = np.zeros(len(ordered), dtype=np.bool_)
    for where in marker_slices(ordered.columns).values():
        complete |= ordered.iloc[:, where].notna().all(axis=1).to_numpy()
    without = patients.difference(pd.Index(ordered.index[complete]))
    if len(without):
        raise InputError(
            f"no complete marker for patient {name_rows(without)}: no rule scores them, leave "
            "them out"
        )


def _score_fold(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    held_out: np.ndarray,
    setting: _Setting,
    seed: int,
) -> dict[str, FloatArray]:
    """Scores of the held-out patients by each rule, from models of the others."""
    test = outcome.index[held_out]
    is_test = features.index.isin(test)
    known = outcome[~held_out]
    score = TimesScore(
        model=setting.model,
        variance=setting.variance,
        n_bootstrap=setting.n_bootstrap,
        horizon=setting.horizon,
        n_folds=setting.n_folds,
        n_repeats=setting.n_repeats,
        seed=seed,
    )
    train = features[~is_test]
    with warnings.catch_warnings():
        # A marker without a split in one outer training set is no news to the reader of the table.
        warnings.simplefilter("ignore", DataWarning)
        score.fit(train, known, groups=train.index.to_numpy())
    rate = 1 - float(kaplan_meier(known["time"], known["event"]).at(np.array([setting.horizon]))[0])
    new = features[is_test]
    pool = _pool_rows if features.index.is_unique else _pool_tiles
    found = {
        rule: values.loc[test].to_numpy() for rule, values in pool(score, new, setting).items()
    }
    return found | {NO_MARKERS: np.full(len(test), rate)}


def _pool_rows(score: TimesScore, new: pd.DataFrame, setting: _Setting) -> dict[str, pd.Series]:
    evidence = apply_models(score.crossfit_, new)
    found: dict[str, pd.Series] = {}
    for rule in setting.rules:
        if rule == "equal":
            told = evidence.log_cumulative_hazard
            informative = [m for m in told.columns if m not in score.uninformative_]
            mean = told[informative].mean(axis=1).fillna(told.mean(axis=1))
            found[rule] = pd.Series(event_probability(mean.to_numpy()), index=new.index)
        elif rule == "published":
            found[rule] = _published_over_models(score, new)
        else:
            pooled = score.repool(
                pooling=cast("Rule", rule.removesuffix("_truncated")),
                negative_weights="truncate" if rule == "gls_truncated" else "allow",
            )
            found[rule] = pooled.pool_evidence(evidence, new)["score"]
    return found


def _published_over_models(score: TimesScore, new: pd.DataFrame) -> pd.Series:
    """Pool by the published rule, with the probabilities of the fold models as those of tiles."""
    crossfit = score.crossfit_
    table = new.loc[:, crossfit.columns]
    probability = {
        marker: np.array(
            [
                models[marker]
                .predict_evidence(table.iloc[:, where], horizon=crossfit.horizon)
                .probability
                for folds in crossfit.models
                for models in folds
            ]
        )
        for marker, where in marker_slices(crossfit.columns).items()
        if marker not in score.uninformative_
    }
    if not probability:
        return pd.Series(np.nan, index=new.index)
    mean = pd.DataFrame({m: p.mean(axis=0) for m, p in probability.items()}, index=new.index)
    variance = pd.DataFrame({m: p.var(axis=0) for m, p in probability.items()}, index=new.index)
    counted = mean.notna() * len(next(iter(probability.values())))
    none = np.eye(mean.shape[1])
    return TilePooling.published(TileSummary(mean, variance, counted, none))["score"]


def _pool_tiles(score: TimesScore, new: pd.DataFrame, setting: _Setting) -> dict[str, pd.Series]:
    crossfit = score.crossfit_
    learned = complementary_log_log(crossfit.probability.to_numpy()).mean(axis=0)
    training = pd.DataFrame(
        event_probability(learned),
        index=crossfit.probability["patient"].to_numpy(),
        columns=list(crossfit.markers),
    )
    told = apply_models(crossfit, new).probability
    informative = [m for m in crossfit.markers if m not in score.uninformative_]
    kept = informative or list(crossfit.markers)
    pooling = TilePooling(summarise_tiles(training[kept]))
    tiles = summarise_tiles(told[kept])
    return {
        rule: pd.Series(pooling.score(tiles, rule=rule), index=tiles.mean.index)
        for rule in setting.rules
    }
