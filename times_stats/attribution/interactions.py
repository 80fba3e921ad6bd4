"""Do markers or regions interact: boosted models that may, against the same models that may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import xgboost as xgb
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from times_stats._checks import Faults, as_survival_table
from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.coalition_scores import Metric, Score, build_score
from times_stats.attribution.player_columns import FoldDesign, Players, design_folds, find_players
from times_stats.attribution.rungs import check_same_patients
from times_stats.resampling import bootstrap_weights, check_folds, spawn_rng, split_folds

type Grouping = Literal["nothing", "regions", "all"]
_GROUPINGS: tuple[Grouping, ...] = ("nothing", "regions", "all")
_GAINS: tuple[Grouping, ...] = ("regions", "all")
_WORDS = {"regions": "between the regions of a marker", "all": "between any columns"}
_LEARNER = {  # as `MarkerModel`, but for the rounds
    "objective": "survival:cox",
    "tree_method": "exact",
    "max_depth": 2,
    "eta": 0.05,
    "min_child_weight": 10.0,
    "reg_lambda": 20.0,
    "nthread": 1,
    "verbosity": 0,
}


@dataclass(frozen=True, slots=True, eq=False)
class InteractionGain:
    """What interactions add to out-of-fold performance.

    Attributes
    ----------
    gains : DataFrame
        One row each for interactions between the regions of a marker ("regions") and between any
        columns ("all"), named in `between`: estimate, lower, upper, se. All but the estimate are
        NaN where both models predict alike: as few patients as that grow no tree of two columns.
    performance : DataFrame
        Columns interacting ("nothing", "regions": of one marker; "all") and value: performance of
        the model in which they may.
    metric : str
        What performance is.
    horizon : float
        Months.
    n, events : int
        Patients, and those with an event.
    statement : str
        The answer in plain words, with its figures.
    notes : tuple of str
        What was left out or assumed.
    """

    gains: pd.DataFrame
    performance: pd.DataFrame
    metric: Metric
    horizon: float
    n: int
    events: int
    statement: str
    notes: tuple[str, ...]


def interaction_gain(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    folds: ArrayLike,
    horizon: float,
    metric: Metric = "concordance",
    stages: pd.DataFrame | None = None,
    strata: ArrayLike | None = None,
    n_rounds: int = 150,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> InteractionGain:
    r"""Estimate what interactions add to out-of-fold performance, signed.

    Three boosted Cox regressions with trees of depth 2 are fitted on the same outer folds with the
    same settings. They differ in which columns may stand in one tree: none with another; the
    regions of one marker; all. A tree of one column is a step function of it, so the first model is
    a sum of functions of one column each, of any shape, and what the others add to its out-of-fold
    performance is interaction and not non-linearity:

    .. math:: v(\text{regions}) - v(\text{none}), \qquad v(\text{all}) - v(\text{none}).

    Stage and cohort, where given, are in every model and never interact. A tree that may split
    on several columns also learns main effects in fewer rounds. The default of 150 is enough for
    the additive model to catch up; with 50, interactions seemed to be there under additive truths.
    Freedom that is not needed costs performance: without interactions the expectation is 0 or
    below, and a gain that is not above 0 does not show that there are none. The difference between
    the two gains is no estimate of interactions between markers. All this was simulated for
    concordance, and in part for the log density (``benchmarks/calibration/interaction_gain.py``,
    where that difference came out above 0 under a linear truth); not for the IPA, and not with
    other numbers of rounds than 150, except that 50 are too few.

    Parameters
    ----------
    features : DataFrame, shape (n, n_markers * n_regions)
        Raw values, indexed by patient_id, columns (marker, region); all markers of all patients who
        have any.
    outcome : DataFrame
        Indexed by patient_id, columns `time` (months), `event`, optional `cohort`.
    folds : int array, shape (n_repeats, n) or (n,)
        Outer fold of each patient.
    horizon : float
        Months.
    metric : {"concordance", "ipa", "log_density"}, default "concordance"
        As `performance_shapley`. Concordance does not depend on how far a model is shrunken; the
        others do, and punish freedom that is not needed more.
    stages : DataFrame of ordered categoricals, optional
        Recorded stages; patients without one are left out and counted.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    n_rounds : int, default 150
        Trees of each model.
    n_resamples : int, default 1000
        Bootstrap resamples of the patients, the same for all models. The fitted models are kept, so
        the intervals are conditional on them.
    confidence_level : float, default 0.95
        Level of the intervals (percentiles).
    seed : int, default 0
        Seed of the resamples.

    Returns
    -------
    InteractionGain

    Raises
    ------
    InputError
        As `performance_shapley`; no round.

    References
    ----------
    Chen T., Guestrin C. (2016). XGBoost. doi:10.1145/2939672.2939785. Friedman J. H., Popescu B. E.
    (2008). Predictive learning via rule ensembles. *Ann Appl Stat* 2, 916-954.
    doi:10.1214/07-AOAS148 (interactions as departures from additivity)

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["A"], ["rim", "core"]], names=["marker", "region"])
    >>> X = pd.DataFrame(rng.normal(size=(300, 2)), columns=columns)
    >>> risk = np.exp(1.5 * X["A", "rim"] * X["A", "core"]).to_numpy()
    >>> y = pd.DataFrame({"time": rng.exponential(20 / risk), "event": 1})
    >>> found = interaction_gain(X, y, folds=np.arange(300) % 4, horizon=24.0, n_resamples=100)
    >>> bool(found.gains.set_index("between").loc["regions", "lower"] > 0.05)
    True
    """
    table = as_survival_table(outcome)
    check_same_patients(features, outcome=table, stages=stages)
    _check_settings(
        n_rounds, n_resamples, confidence_level, strata=strata, n_patients=len(features)
    )
    labels = check_folds(folds, features.index.to_numpy())
    players = find_players(
        features,
        game="marker_region",
        levels=None,
        stages=stages,
        cohort=table.get("cohort"),
        tumour_region=None,
    )
    table, labels = table[players.kept], labels[:, players.kept]
    own = bootstrap_weights(
        len(table), n_resamples=n_resamples, rng=spawn_rng(seed, "interaction", "bootstrap")
    )
    time = table["time"].to_numpy(dtype=np.float64)
    event = table["event"].to_numpy(dtype=np.int64)
    with threadpool_limits(limits=1, user_api="blas"):
        designs, _ = design_folds(
            players, time=time, event=event, rows=np.arange(len(table)), folds=labels
        )
        score = build_score(
            metric,
            time=time,
            event=event,
            horizon=horizon,
            folds=split_folds(labels, table["cohort"]) if "cohort" in table else labels,
            strata=None if strata is None else np.asarray(strata)[players.kept],
            multiplicity=np.vstack([np.ones(len(table)), own]).astype(np.float64),
            designs=designs,
        )
        worth = {
            grouping: _play(
                designs,
                score,
                time=time,
                event=event,
                groups=_column_groups(players, designs[0], grouping),
                n_rounds=n_rounds,
                shape=labels.shape,
            )
            for grouping in _GROUPINGS
        }
    return _report(
        worth, players, table, metric=metric, horizon=horizon, confidence_level=confidence_level
    )


def fit_margins(
    fold: FoldDesign,
    *,
    time: FloatArray,
    event: IntArray,
    groups: list[list[int]],
    n_rounds: int,
) -> FloatArray:
    """Fit a boosted Cox regression on the training patients of a fold.

    Parameters
    ----------
    fold : FoldDesign
        Columns and training patients.
    time, event : array, shape (n,)
        Outcome.
    groups : list of list of int
        Columns that may stand in one tree; each column in one group.
    n_rounds : int
        Trees.

    Returns
    -------
    float array, shape (n,)
        Log hazard of all patients, mean 0 over the training patients.
    """
    rank = np.unique(time[fold.train], return_inverse=True)[1] + 1.0
    label = np.where(event[fold.train] == 1, rank, -rank)
    X = fold.X[fold.train]
    # one order of rows, whatever the caller's: sums, hence trees, depend on it
    order = np.lexsort((*X.T[::-1], label))
    matrix = xgb.DMatrix(X[order], label[order], nthread=1)
    booster = xgb.train(_LEARNER | {"interaction_constraints": str(groups)}, matrix, n_rounds)
    margin = booster.inplace_predict(fold.X, predict_type="margin").astype(np.float64)
    return np.asarray(margin - margin[fold.train].mean())


def _column_groups(players: Players, fold: FoldDesign, grouping: Grouping) -> list[list[int]]:
    """Columns that may interact; stage and cohort stay alone."""
    groups: dict[object, list[int]] = {}
    for column, owner in enumerate(fold.owner):
        key: object = "features"
        if owner < 0 or grouping == "nothing":
            key = column
        elif grouping == "regions":
            key = players.markers[owner]
        groups.setdefault(key, []).append(column)
    return [*groups.values()]


def _play(
    designs: list[FoldDesign],
    score: Score,
    *,
    time: FloatArray,
    event: IntArray,
    groups: list[list[int]],
    n_rounds: int,
    shape: tuple[int, ...],
) -> FloatArray:
    kept = np.empty(shape)
    for fold in designs:
        eta = fit_margins(fold, time=time, event=event, groups=groups, n_rounds=n_rounds)
        kept[fold.repeat, fold.test] = score.predict(fold, eta)
    return score.evaluate(kept)


def _report(
    worth: dict[Grouping, FloatArray],
    players: Players,
    table: pd.DataFrame,
    *,
    metric: Metric,
    horizon: float,
    confidence_level: float,
) -> InteractionGain:
    tail = (1.0 - confidence_level) / 2.0
    rows, told = [], []
    for name in _GAINS:
        difference = worth[name] - worth["nothing"]
        differs = bool(difference.any())
        spread = difference[1:] if differs else np.full(2, np.nan)
        lower, upper = np.quantile(spread, [tail, 1.0 - tail])
        rows.append(
            {
                "between": name,
                "estimate": difference[0],
                "lower": lower,
                "upper": upper,
                "se": spread.std(ddof=1),
            }
        )
        told.append(
            f"{_WORDS[name]} "
            + (
                f"{difference[0]:.3f} ({lower:.3f} to {upper:.3f})"
                if differs
                else "nothing to compare, since models with and without them predict alike"
            )
        )
    notes = [*players.notes]
    notes.append(
        "Intervals are conditional on the fitted models: patients are resampled, their out-of-fold"
        " predictions are not made again."
    )
    if players.data.cohort_steps.shape[1] or players.data.stage_steps.shape[1]:
        notes.append("Stage and cohort are in every model and interact with nothing.")
    return InteractionGain(
        gains=pd.DataFrame(rows),
        performance=pd.DataFrame(
            {"interacting": [*worth], "value": [values[0] for values in worth.values()]}
        ),
        metric=metric,
        horizon=horizon,
        n=len(table),
        events=int(table["event"].sum()),
        statement=(
            f"What interactions add to {metric} at {horizon:g} months: {', '.join(told)}."
            " Intervals conditional on the fitted models."
        ),
        notes=tuple(notes),
    )


def _check_settings(
    n_rounds: int,
    n_resamples: int,
    confidence_level: float,
    *,
    strata: ArrayLike | None,
    n_patients: int,
) -> None:
    faults = Faults()
    if n_rounds < 1:
        faults.add(f"n_rounds is {n_rounds}: give 1 or more")
    if n_resamples < 2:
        faults.add(f"n_resamples is {n_resamples}: an interval needs 2 or more")
    if not 0.0 < confidence_level < 1.0:
        faults.add(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    if strata is not None and np.shape(strata) != (n_patients,):
        faults.add(
            f"strata have shape {np.shape(strata)}: give one for each of {n_patients} patients"
        )
    faults.raise_if_any()
