"""Result of a performance game: its tables, its intervals and its answer in words."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from times_stats._typing import BoolArray, FloatArray
from times_stats.attribution.coalition_play import ADDITIVE, JOINT, RIDGE, GamePlan, GamePlayed
from times_stats.attribution.coalition_scores import Metric
from times_stats.attribution.player_columns import Game, Players

_MOST_UNDEFINED = 0.05  # share of refits that may fail before their interval is withheld
_METRIC_WORDS = {
    "concordance": "Uno's C within folds at {h:g} months",
    "ipa": "IPA at {h:g} months",
    "log_density": "mean log density up to {h:g} months (nats a patient)",
}


@dataclass(frozen=True, slots=True, eq=False)
class PerformanceShapley:
    """Shapley values of out-of-fold performance.

    Every table has the columns estimate, lower, upper, se (percentiles and standard deviation of a
    bootstrap over patients of the stored predictions, conditional on the fitted models) and
    refit_lower, refit_upper, refit_se (models fitted again in every resample; NaN unless asked
    for).

    Attributes
    ----------
    players : DataFrame
        Also player, marker, part (region, or "level" or "location"), monte_carlo_se (0 where all
        coalitions were fitted) and share of ``v(all) - v(none)`` with share_lower, share_upper
        (conditional on the fitted models); shares are NaN unless the lower limit of that gain is
        above 0, that of the refits where there are refits.
    sums : DataFrame
        Also by ("marker" or "part") and name: values summed over players.
    totals : DataFrame
        Also quantity: none, all, gain (all - none), the boosted models on all columns, and
        interaction (joint boosted model minus the best additive one).
    coalitions : DataFrame
        One bool column a player, and value: performance of every coalition fitted.
    game, metric : str
        What was played, and for what.
    horizon : float
        Months.
    best_additive : str
        The additive model that the interaction is measured against.
    is_exact : bool
        Whether all coalitions were fitted.
    n, events : int
        Patients, and those with an event.
    n_refits, n_failed_refits : int
        Refitted resamples, and those in which a model or a metric did not exist.
    statement : str
        The answer in plain words, with its figures.
    notes : tuple of str
        What was left out, filled or assumed.
    """

    players: pd.DataFrame
    sums: pd.DataFrame
    totals: pd.DataFrame
    coalitions: pd.DataFrame
    game: Game
    metric: Metric
    horizon: float
    best_additive: str
    is_exact: bool
    n: int
    events: int
    n_refits: int
    n_failed_refits: int
    statement: str
    notes: tuple[str, ...]


def report_game(
    plan: GamePlan,
    played: GamePlayed,
    refits: list[GamePlayed],
    table: pd.DataFrame,
    *,
    n_refits: int,
    confidence_level: float,
) -> PerformanceShapley:
    """Turn what was played into tables with intervals and a statement.

    Parameters
    ----------
    plan : GamePlan
        The game.
    played : GamePlayed
        Outcome on the sample and its resamples.
    refits : list of GamePlayed
        Outcomes of the refitted resamples that had a game.
    table : DataFrame, shape (n, ...)
        Outcome of the patients.
    n_refits : int
        Refitted resamples asked for.
    confidence_level : float
        Level of the intervals.

    Returns
    -------
    PerformanceShapley
    """
    players = plan.players
    additive = {RIDGE: played.shapley.full} | {name: played.boosted[name] for name in ADDITIVE}
    best = max(additive, key=lambda name: float(additive[name][0]))
    enough = n_refits > 0 and len(refits) >= max(2, (1.0 - _MOST_UNDEFINED) * n_refits)
    again = refits if enough else []

    def summarise(rows: FloatArray, refitted: list[FloatArray]) -> pd.DataFrame:
        return _summary(rows, refitted, confidence_level)

    totals = _totals(played, best)
    total_table = summarise(
        np.stack([*totals.values()]),
        [np.stack([*_totals(refit, best).values()])[:, 0] for refit in again],
    )
    total_table.insert(0, "quantity", [*totals])
    values = played.shapley.values
    player_table = summarise(values, [refit.shapley.values[:, 0] for refit in again])
    player_table.insert(0, "player", players.names)
    player_table.insert(1, "marker", players.markers)
    player_table.insert(2, "part", players.parts)
    player_table["monte_carlo_se"] = played.shapley.monte_carlo_se[:, 0]
    gain = total_table.set_index("quantity").loc["gain"]
    is_above = bool(gain["refit_lower" if enough else "lower"] > 0.0)
    _add_shares(player_table, values, totals["gain"], confidence_level, is_above=is_above)
    sums = _sums(players)
    sum_table = summarise(
        np.stack([values[member].sum(axis=0) for _, _, member in sums]),
        [
            np.stack([refit.shapley.values[member, 0].sum() for _, _, member in sums])
            for refit in again
        ],
    )
    sum_table.insert(0, "by", [by for by, _, _ in sums])
    sum_table.insert(1, "name", [name for _, name, _ in sums])
    coalitions = pd.DataFrame(played.coalitions, columns=[*players.names])
    coalitions["value"] = played.worth[:, 0]
    notes = _notes(plan, played, n_refits=n_refits, n_failed=n_refits - len(refits))
    return PerformanceShapley(
        players=player_table,
        sums=sum_table,
        totals=total_table,
        coalitions=coalitions,
        game=players.game,
        metric=plan.metric,
        horizon=plan.horizon,
        best_additive=best,
        is_exact=played.shapley.is_exact,
        n=len(table),
        events=int(table["event"].sum()),
        n_refits=n_refits,
        n_failed_refits=n_refits - len(refits),
        statement=_state(plan, total_table, sum_table, is_above=is_above, refitted=enough),
        notes=notes,
    )


def _totals(played: GamePlayed, best: str) -> dict[str, FloatArray]:
    none, everybody = played.shapley.empty, played.shapley.full
    reference = everybody if best == RIDGE else played.boosted[best]
    return {
        "none": none,
        "all": everybody,
        "gain": everybody - none,
        **played.boosted,
        "interaction": played.boosted[JOINT] - reference,
    }


def _sums(players: Players) -> list[tuple[str, str, BoolArray]]:
    return [
        (by, name, np.array([label == name for label in labels], dtype=np.bool_))
        for by, labels in (("part", players.parts), ("marker", players.markers))
        for name in dict.fromkeys(labels)
    ]


def _summary(rows: FloatArray, refitted: list[FloatArray], confidence_level: float) -> pd.DataFrame:
    tail = (1.0 - confidence_level) / 2.0
    estimate, draws = rows[:, 0], rows[:, 1:]
    lower, upper = np.quantile(draws, [tail, 1.0 - tail], axis=1)
    refit_se = np.full(len(rows), np.nan)
    if refitted:
        refit_se = np.std(refitted, axis=0, ddof=1)
    reach = NormalDist().inv_cdf(1.0 - tail) * refit_se
    return pd.DataFrame(
        {
            "estimate": estimate,
            "lower": lower,
            "upper": upper,
            "se": draws.std(axis=1, ddof=1),
            "refit_lower": estimate - reach,
            "refit_upper": estimate + reach,
            "refit_se": refit_se,
        }
    )


def _add_shares(
    table: pd.DataFrame,
    values: FloatArray,
    gain: FloatArray,
    confidence_level: float,
    *,
    is_above: bool,
) -> None:
    tail = (1.0 - confidence_level) / 2.0
    table["share"], table["share_lower"], table["share_upper"] = np.nan, np.nan, np.nan
    # an interval of a share needs a gain above 0 in practically all resamples too
    if not is_above or (gain <= 0.0).mean() > tail:
        return
    usable = gain > 0.0
    shares = values[:, usable] / gain[usable]
    table["share"] = shares[:, 0]
    table["share_lower"], table["share_upper"] = np.quantile(
        shares[:, 1:], [tail, 1.0 - tail], axis=1
    )


def _notes(plan: GamePlan, played: GamePlayed, *, n_refits: int, n_failed: int) -> tuple[str, ...]:
    notes = [*plan.players.notes]
    notes.append(
        "lower, upper and se are conditional on the fitted models: patients are resampled, their"
        " out-of-fold predictions are not made again."
    )
    if plan.unidentified and plan.players.game == "level_location":
        notes.append(
            f"The regions of {', '.join(plan.unidentified)} were each scaled on their own: a level"
            " free of region is not identified there, and neither is what location adds to it."
        )
    if not played.shapley.is_exact:
        notes.append(
            f"{len(played.coalitions)} of 2^{len(plan.players.names)} coalitions were fitted, along"
            f" {2 * plan.n_pairs} orders: values carry the error monte_carlo_se."
        )
    if played.plain:
        notes.append(
            "Yeo-Johnson found no usable power for columns of"
            f" {', '.join(sorted(played.plain))} in some folds; they were only standardised there."
        )
    if n_failed:
        notes.append(f"{n_failed} of {n_refits} refitted resamples had no game to play.")
    if plan.players.data.cohort_steps.shape[1]:
        notes.append("Cohort indicators are in every coalition.")
    return tuple(notes)


def _state(
    plan: GamePlan, totals: pd.DataFrame, sums: pd.DataFrame, *, is_above: bool, refitted: bool
) -> str:
    prefix = "refit_" if refitted else ""

    def told(table: pd.DataFrame, row: int) -> str:
        numbers = table[["estimate", prefix + "lower", prefix + "upper"]].to_numpy(np.float64)
        estimate, lower, upper = numbers[row]
        return f"{estimate:.3f} ({lower:.3f} to {upper:.3f})"

    at = {str(name): row for row, name in enumerate(totals["quantity"])}
    value = totals["estimate"].to_numpy(np.float64)
    words = _METRIC_WORDS[plan.metric].format(h=plan.horizon)
    parts = ", ".join(
        f"{name} {told(sums, row)}"
        for row, (by, name) in enumerate(zip(sums["by"], sums["name"], strict=True))
        if by == "part"
    )
    verdict = (
        f" Of the gain: {parts}."
        if is_above
        else " Its interval is not above 0: shares are not given."
    )
    return (
        f"{words}: {value[at['none']]:.3f} without players, {value[at['all']]:.3f} with all, gain"
        f" {told(totals, at['gain'])}.{verdict}"
        f" Interaction {told(totals, at['interaction'])}. Intervals"
        + (" from refitted resamples." if refitted else " conditional on the fitted models.")
    )
