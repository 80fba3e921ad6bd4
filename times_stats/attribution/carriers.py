"""Both games on one study: who carries the predictions, and who their performance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from times_stats._checks import as_survival_table
from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.off_support import OffSupport
from times_stats.attribution.performance_game import performance_shapley
from times_stats.attribution.performance_result import PerformanceShapley
from times_stats.attribution.prediction_game import (
    PredictionShapley,
    prediction_shapley,
    summarise_prediction_shapley,
)
from times_stats.attribution.rungs import ALL_REGIONS, LadderData, collect_ladder
from times_stats.errors import InputError
from times_stats.features.matrix import ALL_IMAGES, complete_markers, marker_levels
from times_stats.resampling import spawn_rng
from times_stats.rivals.cox import RidgeCox

PERFORMANCE, PREDICTION = "performance", "prediction"
TOTAL = "total"
_EXACT_PLAYERS = 8  # 256 coalitions; beyond, orders are drawn
_PAIRS = 25
_LEAST_PATIENTS, _LEAST_EVENTS = 40, 20
_COLUMNS = (
    *("game", "player", "marker", "part", "estimate", "lower", "upper", "se", "monte_carlo_se"),
    *("share", "share_lower", "share_upper"),
)


@dataclass(frozen=True, slots=True)
class Carriers:
    """Shapley values of the level and the location of each marker in two games.

    Attributes
    ----------
    table : DataFrame
        Columns game ("performance" or "prediction"), player, marker, part ("level", "location",
        "stage", "cohort" or "total"), estimate, lower, upper, se (over resampled patients, the
        models as fitted), monte_carlo_se (in the prediction game the largest of any patient),
        share, share_lower, share_upper (of the gain in performance; NaN where its interval is not
        above 0). Rows of part "total" are none, all
        and gain of the performance game. Empty where no game can be played.
    is_played : bool
        Whether there is a table.
    horizon : float
        Months.
    statement : str
        The answer in plain words, or why there is none.
    notes : tuple of str
        What was left out or assumed.
    """

    table: pd.DataFrame
    is_played: bool
    horizon: float
    statement: str
    notes: tuple[str, ...]


def find_carriers(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    stages: pd.DataFrame | None,
    levels: pd.DataFrame | None,
    folds: IntArray,
    horizon: float,
    strata: np.ndarray | None,
    tumour_region: str | None,
    scaled_by_region: Sequence[str],
    n_resamples: int,
    seed: int,
    jobs: int,
) -> Carriers:
    """Play the performance game and the prediction game of levels and locations.

    Parameters
    ----------
    features, outcome, stages, levels, folds, horizon, strata, tumour_region, scaled_by_region
        As for `integration_test`. Patients with a gap in any marker or stage are left out and
        counted.
    n_resamples, seed, jobs
        As for `performance_shapley`.

    Returns
    -------
    Carriers
        Performance: Uno's C within folds of ridge Cox regressions, refitted for every coalition.
        Prediction: event probability by the horizon from ridge Cox regressions on levels and
        location, every patient by the model of the first repeat that was learned without it,
        against its training patients.
    """
    table = as_survival_table(outcome)
    levels = marker_levels(features) if levels is None else levels
    known = complete_markers(features).all(axis=1) & levels.notna().all(axis=1)
    if stages is not None:
        known &= stages.notna().all(axis=1)
    keep = known.to_numpy(dtype=np.bool_)
    events = int(table.loc[keep, "event"].sum())
    left = f"{int((~keep).sum())} of {len(keep)} patients lack a marker or a stage and are left out"
    notes = [] if keep.all() else [f"{left} of the games."]
    if keep.sum() < _LEAST_PATIENTS or events < _LEAST_EVENTS:
        return _unplayed(
            f"{int(keep.sum())} patients with {events} events have every marker and stage, and"
            f" {_LEAST_PATIENTS} with {_LEAST_EVENTS} are needed",
            horizon,
        )
    stages = None if stages is None else stages[keep]
    features, table, levels, folds = features[keep], table[keep], levels[keep], folds[:, keep]
    try:
        performance = performance_shapley(
            features,
            table,
            folds=folds,
            horizon=horizon,
            game="level_location",
            stages=stages,
            levels=levels,
            strata=None if strata is None else strata[keep],
            tumour_region=tumour_region,
            scaled_by_region=scaled_by_region,
            n_resamples=n_resamples,
            max_exact_players=_EXACT_PLAYERS,
            n_pairs=_PAIRS,
            seed=seed,
            jobs=jobs,
        )
        data = collect_ladder(
            features,
            levels=levels,
            complete=complete_markers(features),
            stages=stages,
            cohort=table.get("cohort"),
            tumour_region=tumour_region,
        )
        prediction = _explain(data, table, folds=folds[0], horizon=horizon, seed=seed)
    except InputError as error:  # such as too few events in a fold: the run goes on without games
        return _unplayed("; ".join(error.faults), horizon)
    summary = summarise_prediction_shapley(
        prediction, n_resamples=n_resamples, rng=spawn_rng(seed, "prediction game")
    )
    rows = pd.concat(
        [_performance_rows(performance), _prediction_rows(summary, prediction)], ignore_index=True
    )
    notes += [f"Performance game: {note}" for note in performance.notes]
    notes.append(
        "Prediction game: mean absolute contributions are above 0 even of what predicts nothing;"
        f" {prediction.off_support.fraction:.0%} of the hybrids that they rest on are unlike any"
        " patient."
    )
    return Carriers(rows, True, horizon, performance.statement, tuple(notes))


def _unplayed(reason: str, horizon: float) -> Carriers:
    empty = pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in _COLUMNS})
    return Carriers(empty, False, horizon, f"No game was played: {reason}.", ())


def _dtype(name: str) -> str:
    return "str" if name in ("game", "player", "marker", "part") else "float64"


def _explain(
    data: LadderData, table: pd.DataFrame, *, folds: IntArray, horizon: float, seed: int
) -> PredictionShapley:
    """Explain every patient by the model learned without its fold.

    Base and fraction off support are means over the folds, each of which has its own.
    """
    parts = []
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        designs, _ = data.build_designs(train)
        staged = f"stage_{ALL_REGIONS}"
        design = designs[staged if staged in designs else ALL_REGIONS]
        model = RidgeCox(weak=design.weak, transform="standardise").fit(
            design.X.iloc[train], table.iloc[train]
        )

        def risk(X: pd.DataFrame, model: RidgeCox = model) -> FloatArray:
            return np.asarray(1.0 - model.predict_survival(X, times=np.array([horizon]))[:, 0])

        groups: dict[str, list[str]] = {}
        for column in design.X.columns:
            groups.setdefault(" ".join(_player(str(column))).strip(), []).append(str(column))
        parts.append(
            prediction_shapley(
                risk,
                design.X.iloc[test],
                design.X.iloc[train],
                groups=groups,
                max_exact_players=_EXACT_PLAYERS,
                n_pairs=_PAIRS // 5,
                seed=seed,
            )
        )
    support = [part.off_support for part in parts]
    return PredictionShapley(
        values=xr.concat([part.values for part in parts], dim="patient"),
        monte_carlo_se=xr.concat([part.monte_carlo_se for part in parts], dim="patient"),
        base=xr.concat([part.base for part in parts], dim="fold").mean("fold"),
        prediction=xr.concat([part.prediction for part in parts], dim="patient"),
        off_support=OffSupport(
            fraction=float(np.mean([own.fraction for own in support])),
            se=float(np.linalg.norm([own.se for own in support])) / len(support),
            limit=float(np.mean([own.limit for own in support])),
            n_hybrids=sum(own.n_hybrids for own in support),
        ),
        is_exact=all(part.is_exact for part in parts),
    )


def _player(column: str) -> tuple[str, str]:
    """Return marker and part of a column of the ladder; stage and cohort have no marker."""
    kind, _, rest = column.partition(":")
    if kind == "level":
        return rest.removesuffix(ALL_IMAGES), "level"
    if kind == "contrast":
        return rest.rpartition(":")[0], "location"
    return "", kind


def _performance_rows(result: PerformanceShapley) -> pd.DataFrame:
    totals = result.totals.rename(columns={"quantity": "player"}).assign(marker="", part=TOTAL)
    rows = pd.concat([result.players, totals], ignore_index=True).assign(game=PERFORMANCE)
    return rows.reindex(columns=[*_COLUMNS])


def _prediction_rows(summary: pd.DataFrame, result: PredictionShapley) -> pd.DataFrame:
    error = result.monte_carlo_se.max("patient").to_series().groupby("player").max()
    names = [str(player) for player in summary["player"]]
    parts = [name.rpartition(" ") for name in names]
    rows = summary.drop(columns=["output", "share"]).assign(
        game=PREDICTION,
        marker=[marker for marker, _, _ in parts],
        part=[part for _, _, part in parts],
        monte_carlo_se=[float(error[name]) for name in names],
    )
    return rows.reindex(columns=[*_COLUMNS])
