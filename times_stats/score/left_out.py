"""The TIMES score judged where it was not made: each cohort predicted by a score of the others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd
from sklearn.base import clone

from times_stats._checks import as_survival_table, name_rows
from times_stats._typing import FloatArray
from times_stats.boosting.calibration import complementary_log_log
from times_stats.errors import DataWarning, InputError
from times_stats.evaluation.discrimination import Pairs, harrell_pairs, risk_order, uno_pairs
from times_stats.evaluation.slopes import efron_slopes
from times_stats.nonparametric.censoring import check_horizon
from times_stats.resampling import bootstrap_weights, spawn_rng
from times_stats.score.times_score import TimesScore

type Concordance = Literal["harrell", "uno"]
_CONCORDANCES: tuple[str, ...] = ("harrell", "uno")
_MOST_UNDEFINED = 0.05  # share of resamples that may lack a number before its interval is withheld


@dataclass(frozen=True, slots=True, eq=False)
class ScoresOfLeftOutCohorts:
    """Scores made without each cohort in turn, and how they predicted it.

    Parameters
    ----------
    table : DataFrame
        One row per cohort: ``cohort``; ``n``, ``events`` (patients judged); ``n_unscored``,
        ``events_unscored`` (its patients without a complete marker, left out of the judgement);
        ``n_train``, ``events_train`` (of the other cohorts); ``concordance`` within the cohort and
        ``calibration_slope``, each with ``_lower`` and ``_upper``; ``uninformative`` (markers in
        which the other cohorts found nothing).
    predictions : DataFrame
        Index patient_id; ``cohort``, and ``score`` of the model that did not see it (NaN:
        unscored).
    models : dict of str to TimesScore
        Score made without the cohort, by its name.
    """

    table: pd.DataFrame
    predictions: pd.DataFrame
    models: dict[str, TimesScore]


def evaluate_left_out_cohorts(
    score: TimesScore,
    X: pd.DataFrame,
    y: pd.DataFrame,
    *,
    cohort: pd.Series,
    concordance: Concordance = "harrell",
    min_events: int = 10,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> ScoresOfLeftOutCohorts:
    """Make the score without each cohort in turn, and judge it in the cohort left out.

    The outer folds are the cohorts: marker models, tuning (if the score tunes), variances and
    pooling are learned on the other cohorts alone. The linear predictor is the log cumulative
    hazard of the score at its horizon, ``log(-log(1 - score))``. Nothing is ranked across cohorts.

    Parameters
    ----------
    score : TimesScore
        Template, cloned for each cohort; it need not be fitted.
    X : DataFrame, shape (n, n_features)
        Features with columns (marker, region), one row per patient, NaN = missing.
    y : DataFrame
        Right-censored outcome with the columns ``time`` and ``event``, matched by index.
    cohort : Series
        Cohort by patient, two or more.
    concordance : {"harrell", "uno"}, default "harrell"
        Uno's goes up to the horizon of the score, with the censoring of the left-out cohort.
    min_events : int, default 10
        Fewest events among the scored patients of each cohort.
    n_resamples : int, default 1000
        Bootstrap resamples of the left-out cohort's patients.
    confidence_level : float, default .95
    seed : int, default 0
        Of the resamples; the score has its own.

    Returns
    -------
    ScoresOfLeftOutCohorts
        The intervals are *conditional on the fitted scores*: patients of the left-out cohort are
        drawn again, the score is not made again.

    Raises
    ------
    InputError
        If there is one cohort; patients lack a cohort or an outcome, or occur twice; a cohort has
        too few events; Uno's concordance is asked of a cohort whose follow-up does not carry the
        horizon; or the other cohorts do not carry a score.

    References
    ----------
    Royston, Parmar and Sylvester (2004), internal-external cross-validation,
    doi:10.1002/sim.1691.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ids = [f"p{i:03d}" for i in range(120)]
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> X = pd.DataFrame(rng.normal(size=(120, 2)), index=ids, columns=columns)
    >>> time = rng.exponential(20 * np.exp(-X.iloc[:, 1]))
    >>> y = pd.DataFrame({"time": time, "event": 1}, index=ids)
    >>> cohort = pd.Series(np.repeat(["A", "B"], 60), index=ids)
    >>> score = TimesScore(horizon=12.0, n_folds=2, n_repeats=2)
    >>> found = evaluate_left_out_cohorts(score, X, y, cohort=cohort, n_resamples=50)
    >>> found.table[["cohort", "n", "events", "n_train"]].to_numpy().tolist()
    [['A', 60, 60, 60], ['B', 60, 60, 60]]
    """
    if concordance not in _CONCORDANCES:
        raise InputError(
            f"concordance {concordance!r} is unknown: use one of {', '.join(_CONCORDANCES)}"
        )
    for name, value in (("min_events", min_events), ("n_resamples", n_resamples)):
        if value < 2:
            raise InputError(f"{name} is {value}: use 2 or more")
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    outcome, labels = _align(X, y, cohort)
    complete = _scoreable(X)
    _check_cohorts(outcome, labels, complete, min_events)
    pairs = {
        name: _pairs_of(outcome[(labels == name).to_numpy() & complete], name, concordance, score)
        for name in sorted(labels.unique())
    }
    rows, models = [], {}
    predicted = pd.Series(np.nan, index=X.index)
    for name, comparable in pairs.items():
        own = (labels == name).to_numpy()
        model = cast("TimesScore", clone(score))
        with warnings.catch_warnings():
            # Markers without a split stand in the table.
            warnings.simplefilter("ignore", DataWarning)
            try:
                model.fit(X[~own], outcome[~own])
            except InputError as error:
                raise InputError([f"without cohort {name}: {f}" for f in error.faults]) from error
        predicted[own] = model.predict(X[own])
        models[name] = model
        judged = own & complete
        risk = complementary_log_log(predicted[judged].to_numpy())
        rows.append(
            {
                "cohort": name,
                "n": int(judged.sum()),
                "events": int(outcome["event"][judged].sum()),
                "n_unscored": int((own & ~complete).sum()),
                "events_unscored": int(outcome["event"][own & ~complete].sum()),
                "n_train": int((~own).sum()),
                "events_train": int(outcome["event"][~own].sum()),
                **_judge(
                    outcome[judged],
                    risk,
                    comparable,
                    n_resamples=n_resamples,
                    confidence_level=confidence_level,
                    rng=spawn_rng(seed, "left-out cohort", name),
                ),
                "uninformative": ", ".join(model.uninformative_),
            }
        )
    predictions = pd.DataFrame({"cohort": labels.to_numpy(), "score": predicted.to_numpy()})
    predictions.index = pd.Index(X.index, name="patient_id")
    return ScoresOfLeftOutCohorts(pd.DataFrame(rows), predictions, models)


def _align(X: pd.DataFrame, y: pd.DataFrame, cohort: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    if not X.index.is_unique:
        twice = X.index[X.index.duplicated()]
        raise InputError(f"patient {name_rows(twice)} occurs twice: give one row per patient")
    for name in ("entry", "time_lower", "time_upper", "cause"):
        if name in y:
            raise InputError(f"the outcome has '{name}', which C and slope here do not know")
    outcome = as_survival_table(y)
    for what, index in (("outcome", outcome.index), ("cohort", cohort.index)):
        missing = X.index.difference(index)
        if len(missing):
            raise InputError(f"no {what} for patient {name_rows(missing)}: add it")
        if not index.is_unique:
            twice = index[index.duplicated()]
            raise InputError(f"{what} given twice for patient {name_rows(twice)}: keep one each")
    labels = cohort.loc[X.index]
    if labels.isna().any():
        raise InputError(
            f"cohort is missing for patient {name_rows(labels.index[labels.isna()])}: name one "
            "for each"
        )
    return outcome.loc[X.index], labels.astype(str)


def _scoreable(X: pd.DataFrame) -> np.ndarray:
    """Patients with at least one complete marker."""
    whole = X.notna().T.groupby(level=0).all().T
    return np.asarray(whole.any(axis=1).to_numpy(), dtype=np.bool_)


def _check_cohorts(
    outcome: pd.DataFrame, labels: pd.Series, complete: np.ndarray, min_events: int
) -> None:
    names = sorted(labels.unique())
    if len(names) < 2:
        raise InputError(
            f"all patients are of cohort {name_rows(names)}: leaving it out leaves nobody to learn "
            "from; give two or more cohorts, or use the folds of a nested run"
        )
    events = (outcome["event"] * complete).groupby(labels.to_numpy()).sum()
    few = events[events < min_events]
    if len(few):
        counted = [f"{name} ({int(count)})" for name, count in few.items()]
        raise InputError(
            f"cohort {name_rows(counted)} has fewer than {min_events} events among its scored "
            "patients: merge cohorts, or use a smaller min_events"
        )


def _judge(
    outcome: pd.DataFrame,
    risk: FloatArray,
    pairs: Pairs,
    *,
    n_resamples: int,
    confidence_level: float,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Concordance and slope within a cohort, estimate first, then one value per resample."""
    time = outcome["time"].to_numpy(dtype=np.float64)
    event = outcome["event"].to_numpy(dtype=np.int64)
    drawn = bootstrap_weights(time.size, n_resamples=n_resamples, rng=rng)
    weights = np.vstack([np.ones(time.size, dtype=np.int64), drawn])
    multiplicity = weights.astype(np.float64)
    right = _quadratic(pairs, multiplicity, risk_order(risk, pairs.rows))
    with np.errstate(divide="ignore", invalid="ignore"):
        ranked = right / _quadratic(pairs, multiplicity, np.ones_like(pairs.weights))
    slopes = efron_slopes(time, event, risk, multiplicity)
    found: dict[str, float] = {}
    for what, values in (("concordance", ranked), ("calibration_slope", slopes)):
        lower, upper = _interval(values[1:], confidence_level)
        found |= {what: float(values[0]), f"{what}_lower": lower, f"{what}_upper": upper}
    return found


def _pairs_of(
    outcome: pd.DataFrame, name: str, concordance: Concordance, score: TimesScore
) -> Pairs:
    """Return the comparable pairs of one cohort, before any score is made."""
    time = outcome["time"].to_numpy(dtype=np.float64)
    event = outcome["event"].to_numpy(dtype=np.int64)
    if concordance == "harrell":
        return harrell_pairs(time, event)
    try:
        censoring = check_horizon(time, event, horizon=score.horizon)
    except InputError as error:
        raise InputError([f"cohort {name}: {fault}" for fault in error.faults]) from error
    return uno_pairs(time, event, censoring, horizon=score.horizon)


def _quadratic(pairs: Pairs, weights: FloatArray, scores: FloatArray) -> FloatArray:
    first = weights[:, pairs.rows] @ (pairs.weights * scores)
    return np.asarray((first * weights).sum(axis=1), dtype=np.float64)


def _interval(values: FloatArray, confidence_level: float) -> tuple[float, float]:
    defined = values[np.isfinite(values)]
    if defined.size < max(2, (1 - _MOST_UNDEFINED) * values.size):
        return np.nan, np.nan
    tail = (1 - confidence_level) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return float(lower), float(upper)
