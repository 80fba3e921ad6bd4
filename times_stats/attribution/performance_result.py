"""Result of a performance game: its tables, its intervals and its answer in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from times_stats._typing import BoolArray, FloatArray
from times_stats.attribution.coalition_play import GamePlan, GamePlayed
from times_stats.attribution.coalition_scores import Metric
from times_stats.attribution.player_columns import Game, Players

_MOST_UNDEFINED = 0.05  # of refits: if more fail, neither their intervals nor shares are given
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
    refit_lower, refit_upper, refit_se (models fitted again in every resample: estimate give or
    take t quantiles of their standard deviation; NaN unless asked for, or if more than 5 % of the
    resamples had no game).

    Shares of the gain ``v(all) - v(none)`` are given where its lower limit is above 0 and, if
    refits were asked for, no more than 5 % of them had no game and the gain's refit_lower is above
    0 too. Otherwise all are NaN, and statement and notes say which condition failed.

    Attributes
    ----------
    players : DataFrame
        Also player, marker, part (region, or "level" or "location"), monte_carlo_se (0 where all
        coalitions were fitted) and share with share_lower, share_upper (percentiles over the
        resamples with a gain above 0, conditional on the fitted models).
    sums : DataFrame
        Also by ("marker" or "part") and name: values summed over players.
    totals : DataFrame
        Also quantity: none, all, gain (all - none).
    coalitions : DataFrame
        One bool column a player, and value: performance of every coalition fitted.
    game, metric : str
        What was played, and for what.
    horizon : float
        Months.
    is_exact : bool
        Whether all coalitions were fitted.
    n, events : int
        Patients, and those with an event.
    n_refits, n_failed_refits : int
        Refitted resamples asked for, and those in which a model or a metric did not exist; the
        notes count why.
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
    refits: list[GamePlayed | str],
    table: pd.DataFrame,
    *,
    confidence_level: float,
) -> PerformanceShapley:
    """Turn what was played into tables with intervals and a statement.

    Parameters
    ----------
    plan : GamePlan
        The game.
    played : GamePlayed
        Outcome on the sample and its resamples.
    refits : list of GamePlayed or str
        Outcomes of the refitted resamples, or why they had no game.
    table : DataFrame, shape (n, ...)
        Outcome of the patients.
    confidence_level : float
        Level of the intervals.

    Returns
    -------
    PerformanceShapley
    """
    players = plan.players
    done = [refit for refit in refits if not isinstance(refit, str)]
    failed = Counter(refit for refit in refits if isinstance(refit, str))
    too_many = failed.total() > _MOST_UNDEFINED * len(refits)
    again = [] if too_many else done

    def summarise(rows: FloatArray, refitted: list[FloatArray]) -> pd.DataFrame:
        return _summary(rows, refitted, confidence_level)

    totals = _totals(played)
    total_table = summarise(
        np.stack([*totals.values()]),
        [np.stack([*_totals(refit).values()])[:, 0] for refit in again],
    )
    total_table.insert(0, "quantity", [*totals])
    values = played.shapley.values
    player_table = summarise(values, [refit.shapley.values[:, 0] for refit in again])
    player_table.insert(0, "player", players.names)
    player_table.insert(1, "marker", players.markers)
    player_table.insert(2, "part", players.parts)
    player_table["monte_carlo_se"] = played.shapley.monte_carlo_se[:, 0]
    withheld = _why_no_shares(
        total_table,
        is_refitted=bool(again),
        failures=f"{failed.total()} of {len(refits)}" if too_many else "",
    )
    _add_shares(player_table, values, totals["gain"], confidence_level, is_given=not withheld)
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
    notes = _notes(plan, played, n_refits=len(refits), failed=failed, withheld=withheld)
    return PerformanceShapley(
        players=player_table,
        sums=sum_table,
        totals=total_table,
        coalitions=coalitions,
        game=players.game,
        metric=plan.metric,
        horizon=plan.horizon,
        is_exact=played.shapley.is_exact,
        n=len(table),
        events=int(table["event"].sum()),
        n_refits=len(refits),
        n_failed_refits=failed.total(),
        statement=_state(plan, total_table, sum_table, withheld=withheld, refitted=bool(again)),
        notes=notes,
    )


def _totals(played: GamePlayed) -> dict[str, FloatArray]:
    none, everybody = played.shapley.empty, played.shapley.full
    return {"none": none, "all": everybody, "gain": everybody - none}


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
    reach = refit_se * (stdtrit(len(refitted) - 1, 1.0 - tail) if refitted else np.nan)
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


def _why_no_shares(totals: pd.DataFrame, *, is_refitted: bool, failures: str) -> str:
    """Return the condition that the shares fail, or nothing if they are given."""
    if failures:
        return f"{failures} refitted resamples had no game"
    gain = totals.set_index("quantity").loc["gain"]
    if not gain["lower"] > 0.0:
        return "the interval of the gain is not above 0"
    if is_refitted and not gain["refit_lower"] > 0.0:
        return "the interval of the gain from refitted resamples is not above 0"
    return ""


def _add_shares(
    table: pd.DataFrame,
    values: FloatArray,
    gain: FloatArray,
    confidence_level: float,
    *,
    is_given: bool,
) -> None:
    tail = (1.0 - confidence_level) / 2.0
    table["share"], table["share_lower"], table["share_upper"] = np.nan, np.nan, np.nan
    if not is_given:
        return
    usable = gain > 0.0  # all but the lower tail, whose limit is above 0
    shares = values[:, usable] / gain[usable]
    table["share"] = shares[:, 0]
    table["share_lower"], table["share_upper"] = np.quantile(
        shares[:, 1:], [tail, 1.0 - tail], axis=1
    )


def _notes(
    plan: GamePlan, played: GamePlayed, *, n_refits: int, failed: Counter[str], withheld: str
) -> tuple[str, ...]:
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
    if failed:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in failed.most_common())
        notes.append(
            f"{failed.total()} of {n_refits} refitted resamples had no game to play: {reasons}."
        )
    if withheld:
        notes.append(f"Shares are not given: {withheld}.")
    if plan.players.data.cohort_steps.shape[1]:
        notes.append("Cohort indicators are in every coalition.")
    return tuple(notes)


def _state(
    plan: GamePlan, totals: pd.DataFrame, sums: pd.DataFrame, *, withheld: str, refitted: bool
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
    verdict = f" Shares are not given: {withheld}." if withheld else f" Of the gain: {parts}."
    return (
        f"{words}: {value[at['none']]:.3f} without players, {value[at['all']]:.3f} with all, gain"
        f" {told(totals, at['gain'])}.{verdict} Intervals"
        + (" from refitted resamples." if refitted else " conditional on the fitted models.")
    )
