"""One play of a performance game: every coalition fitted on the same folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.attribution.coalition_cox import fit_subset
from times_stats.attribution.coalition_scores import Metric, Score, build_score
from times_stats.attribution.coalitions import ShapleyValues, shapley_values
from times_stats.attribution.player_columns import FoldDesign, Players, design_folds
from times_stats.attribution.unplayable import UnplayableError
from times_stats.resampling import spawn_rng, split_folds


@dataclass(frozen=True, slots=True)
class GamePlan:
    """What one play of the game needs besides the patients."""

    players: Players
    metric: Metric
    horizon: float
    unidentified: tuple[str, ...]
    max_exact_players: int
    n_pairs: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class GamePlayed:
    """Outcome of one play: columns are the sample itself, then its resamples."""

    shapley: ShapleyValues
    coalitions: BoolArray
    worth: FloatArray
    plain: set[str]


def play_game(
    plan: GamePlan,
    table: pd.DataFrame,
    rows: IntArray,
    folds: IntArray,
    strata: np.ndarray | None,
    *,
    resamples: IntArray,
) -> GamePlayed:
    """Fit every coalition on the same folds, and score them.

    Parameters
    ----------
    plan : GamePlan
        The game.
    table : DataFrame, shape (n, ...)
        Outcome of the rows.
    rows : int array, shape (n,)
        Patient of each row, as a position among those that take part.
    folds : int array, shape (n_repeats, n)
        Fold of each row.
    strata : array, shape (n,), or None
        Censoring stratum of each row.
    resamples : int array, shape (n_resamples, n)
        How often each row counts in each resample of the stored predictions.

    Returns
    -------
    GamePlayed

    Raises
    ------
    InputError
        Unknown metric.
    UnplayableError
        If a training set has too few events, a fit does not converge, or the metric does not exist
        for this outcome.
    """
    time = table["time"].to_numpy(dtype=np.float64)
    event = table["event"].to_numpy(dtype=np.int64)
    designs, plain = design_folds(plan.players, time=time, event=event, rows=rows, folds=folds)
    score = build_score(
        plan.metric,
        time=time,
        event=event,
        horizon=plan.horizon,
        folds=split_folds(folds, table["cohort"]) if "cohort" in table else folds,
        strata=strata,
        multiplicity=np.vstack([np.ones(time.size), resamples]).astype(np.float64),
        designs=designs,
    )
    asked: list[BoolArray] = []
    found: list[FloatArray] = []

    def worth(coalitions: BoolArray) -> FloatArray:
        values = np.stack([_worth(c, designs, score, folds.shape) for c in coalitions])
        asked.append(coalitions)
        found.append(values)
        return values

    shapley = shapley_values(
        worth,
        plan.players.names,
        max_exact_players=plan.max_exact_players,
        n_pairs=plan.n_pairs,
        rng=spawn_rng(plan.seed, "shapley", "orders"),
    )
    return GamePlayed(shapley, np.vstack(asked), np.vstack(found), plain)


def play_resample(
    plan: GamePlan, table: pd.DataFrame, folds: IntArray, strata: np.ndarray | None, number: int
) -> GamePlayed | str:
    """Play the game on one resample of patients, copies of a patient in the patient's fold.

    Parameters
    ----------
    plan : GamePlan
        The game.
    table : DataFrame, shape (n, ...)
        Outcome of the patients that take part.
    folds : int array, shape (n_repeats, n)
        Their folds.
    strata : array, shape (n,), or None
        Their censoring strata.
    number : int
        Number of the resample.

    Returns
    -------
    GamePlayed or str
        Why the resample has no game, where it has none: too few events, a fit that does not
        converge, or a metric that does not exist.
    """
    rng = spawn_rng(plan.seed, "shapley", "refit", number)
    rows = np.sort(rng.integers(len(table), size=len(table)))
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            return play_game(
                plan,
                table.iloc[rows],
                rows,
                folds[:, rows],
                None if strata is None else strata[rows],
                resamples=np.empty((0, len(table)), dtype=np.int64),
            )
    except UnplayableError as error:
        return error.reason


def _worth(
    coalition: BoolArray, designs: list[FoldDesign], score: Score, shape: tuple[int, ...]
) -> FloatArray:
    kept = np.empty(shape)
    for fold in designs:
        X = fold.X[:, fold.columns_of(coalition)]
        try:
            beta, _ = fit_subset(fold.sets, X[fold.train][fold.sets.order], n_weak=fold.n_weak)
        except ValueError as error:
            raise UnplayableError(
                f"{error}: look for a column that separates events from non-events",
                reason="a fit that did not converge",
            ) from error
        kept[fold.repeat, fold.test] = score.predict(fold, X @ beta)
    return score.evaluate(kept)
