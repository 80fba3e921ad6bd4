"""Who carries the performance: every coalition of players is fitted again on fixed outer folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from times_stats._checks import Faults, as_survival_table
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.attribution.coalition_cox import fit_subset
from times_stats.attribution.coalition_scores import Metric, Score, build_score
from times_stats.attribution.coalitions import MAX_EXACT_PLAYERS, ShapleyValues, shapley_values
from times_stats.attribution.player_columns import (
    FoldDesign,
    Game,
    Players,
    design_folds,
    find_players,
)
from times_stats.boosting.marker_model import MarkerModel
from times_stats.errors import InputError
from times_stats.resampling import bootstrap_weights, check_folds, spawn_rng, split_folds

_JOINT = "boosted_cox"
_ADDITIVE = {"boosted_cox_stumps": 1, "boosted_cox_twice_the_stumps": 2}  # times the usual rounds
_RIDGE = "ridge_cox"
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
        coalitions were fitted) and share of ``v(all) - v(none)`` with share_lower, share_upper;
        shares are NaN unless the lower limit of that gain is above 0.
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one play of the game needs besides the patients."""

    players: Players
    metric: Metric
    horizon: float
    unidentified: tuple[str, ...]
    max_exact_players: int
    n_pairs: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class _Played:
    """Outcome of one play: columns are the sample itself, then its resamples."""

    shapley: ShapleyValues
    coalitions: BoolArray
    worth: FloatArray
    boosted: dict[str, FloatArray]
    plain: set[str]


def performance_shapley(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    folds: ArrayLike,
    horizon: float,
    game: Game = "marker_region",
    metric: Metric = "concordance",
    stages: pd.DataFrame | None = None,
    levels: pd.DataFrame | None = None,
    strata: ArrayLike | None = None,
    tumour_region: str | None = None,
    scaled_by_region: Sequence[str] = (),
    n_resamples: int = 1000,
    n_refits: int = 0,
    confidence_level: float = 0.95,
    max_exact_players: int = MAX_EXACT_PLAYERS,
    n_pairs: int = 200,
    seed: int = 0,
    jobs: int = 1,
) -> PerformanceShapley:
    r"""Share out the out-of-fold performance of a ridge Cox regression among groups of columns.

    The worth v(S) of a coalition S is the performance of a ridge Cox regression on the columns of
    its members, fitted again on the same outer folds for every S; v(none) is the model without
    players (with stage and cohort, where given: they are always in). Transforms and the penalty
    are learned in the training folds. Two games:

    ``marker_region``
        Players are the columns: each marker in each region, Yeo-Johnson transformed.
    ``level_location``
        Players are the level of each marker (its mean over regions) and its location (transformed
        regions minus transformed level, one region a marker left out), as in `integration_test`.

    A value says what a player adds to *prediction* on average over the order in which players
    arrive. Players that carry the same information share its worth, and one that only adds noise
    has a negative value. It is not an effect, and not a test: `integration_test` has the verdict.

    Metrics: ``concordance``, Uno's C at the horizon over pairs of one test fold (and one cohort);
    ``ipa``, one minus the ratio of the Brier score at the horizon to that of the training
    patients' Kaplan-Meier curve; ``log_density``, the mean log density of the outcome up to the
    horizon under a baseline hazard that is constant between the quintiles of the training event
    times. The last is a proper score of the whole curve, adds up over patients and needs no
    censoring weights; a cross-validated partial likelihood would not split over patients, so
    that it could not be resampled.

    The interaction is v of one boosted Cox regression of depth 2 on the columns of all players,
    minus v of the best *additive* model on the same columns: the ridge, or boosted stumps (depth 1)
    with as many or twice as many rounds. The best is chosen by the performance it is compared in,
    which favours it: an interaction above 0 is not owed to the choice, one below 0 may be.

    Parameters
    ----------
    features : DataFrame, shape (n, n_markers * n_regions)
        Raw values, indexed by patient_id, columns (marker, region), NaN = missing.
    outcome : DataFrame
        Indexed by patient_id, columns `time` (months), `event`, optional `cohort`.
    folds : int array, shape (n_repeats, n) or (n,)
        Outer fold of each patient; the same for all coalitions.
    horizon : float
        Months.
    game : {"marker_region", "level_location"}, default "marker_region"
        Who the players are.
    metric : {"concordance", "ipa", "log_density"}, default "concordance"
        What a coalition is worth.
    stages : DataFrame of ordered categoricals, optional
        Recorded stages, always in the model; patients without one are left out and counted.
    levels : DataFrame, shape (n, n_markers), optional
        Level of each marker; the plain mean over its regions, if left out.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    tumour_region : str, optional
        Region whose contrast is kept for every marker that has it.
    scaled_by_region : sequence of str, optional
        Markers whose regions were each scaled on their own (``Study.scaled_by_region``): the notes
        say that their level is not identified.
    n_resamples : int, default 1000
        Bootstrap resamples of the stored out-of-fold predictions, shared by all coalitions.
    n_refits : int, default 0
        Resamples in which the whole game is fitted again. Copies of a patient keep its fold, so
        none is in training and test at once. A resample holds 63 % of the patients and predicts
        worse, so these intervals are the estimate give or take normal quantiles of their standard
        deviation.
    confidence_level : float, default 0.95
        Level of the intervals.
    max_exact_players, n_pairs : int
        As `shapley_values`: beyond so many players, coalitions are sampled.
    seed : int, default 0
        Seed of resamples, orders and boosted models.
    jobs : int, default 1
        Processes for the refits; the result does not depend on it.

    Returns
    -------
    PerformanceShapley
        Values, sums by marker and by part, totals, and the worth of every coalition.

    Raises
    ------
    InputError
        Tables of different patients, unknown game or metric, no marker in two regions, follow-up
        that does not carry the horizon, too few events.

    References
    ----------
    Jullum M., Redelmeier A., Aas K. (2021). groupShapley: efficient prediction explanation with
    Shapley values for feature groups. arXiv:2106.12228. Covert I., Lundberg S., Lee S.-I. (2020).
    Understanding global feature contributions with additive importance measures. *NeurIPS* 33.
    arXiv:2004.00668. Owen A. B., Prieur C. (2017). On Shapley value for measuring importance of
    dependent inputs. *SIAM/ASA J Uncertain Quantif* 5, 986-1002. doi:10.1137/16M1097717

    Examples
    --------
    >>> from times_stats.attribution import performance_shapley
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["A"], ["rim", "core"]], names=["marker", "region"])
    >>> X = pd.DataFrame(rng.normal(size=(120, 2)), columns=columns)
    >>> time = rng.exponential(20 * np.exp(-X["A", "rim"].to_numpy()))
    >>> y = pd.DataFrame({"time": time, "event": 1})
    >>> result = performance_shapley(
    ...     X, y, folds=np.arange(120) % 4, horizon=24.0, n_resamples=50
    ... )
    >>> result.players.loc[result.players["estimate"].idxmax(), "player"]
    'A in rim'
    """
    table = as_survival_table(outcome)
    _check_tables(features, outcome=table, stages=stages, levels=levels, strata=strata)
    _check_settings(n_refits=n_refits, confidence_level=confidence_level)
    labels = check_folds(folds, features.index.to_numpy())
    players = find_players(
        features,
        game=game,
        levels=levels,
        stages=stages,
        cohort=table.get("cohort"),
        tumour_region=tumour_region,
    )
    kept = players.kept
    table, labels = table[kept], labels[:, kept]
    groups = None if strata is None else np.asarray(strata)[kept]
    unidentified = tuple(marker for marker in scaled_by_region if marker in players.markers)
    plan = _Plan(players, metric, horizon, unidentified, max_exact_players, n_pairs, seed)
    n = len(table)
    with threadpool_limits(limits=1, user_api="blas"):
        own = bootstrap_weights(
            n, n_resamples=n_resamples, rng=spawn_rng(seed, "shapley", "bootstrap")
        )
        played = _play(plan, table, np.arange(n), labels, groups, resamples=own)
        refits = Parallel(n_jobs=jobs)(
            delayed(_refit)(plan, table, labels, groups, number) for number in range(n_refits)
        )
    done = [refit for refit in refits if refit is not None]
    return _report(plan, played, done, table, n_refits=n_refits, confidence_level=confidence_level)


def _refit(
    plan: _Plan, table: pd.DataFrame, folds: IntArray, strata: np.ndarray | None, number: int
) -> _Played | None:
    """Play the game on one resample of patients; None where it cannot be played there."""
    rng = spawn_rng(plan.seed, "shapley", "refit", number)
    rows = np.sort(rng.integers(len(table), size=len(table)))
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            return _play(
                plan,
                table.iloc[rows],
                rows,
                folds[:, rows],
                None if strata is None else strata[rows],
                resamples=np.empty((0, len(table)), dtype=np.int64),
            )
    except InputError:
        return None


def _play(
    plan: _Plan,
    table: pd.DataFrame,
    rows: IntArray,
    folds: IntArray,
    strata: np.ndarray | None,
    *,
    resamples: IntArray,
) -> _Played:
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
    boosted = {
        name: _boost(designs, score, folds.shape, table, depth=depth, times=times, seed=plan.seed)
        for name, depth, times in [
            (_JOINT, 2, 1), *((name, 1, times) for name, times in _ADDITIVE.items())
        ]
    }  # fmt: skip
    return _Played(shapley, np.vstack(asked), np.vstack(found), boosted, plain)


def _worth(
    coalition: BoolArray, designs: list[FoldDesign], score: Score, shape: tuple[int, ...]
) -> FloatArray:
    kept = np.empty(shape)
    for fold in designs:
        X = fold.X[:, fold.columns_of(coalition)]
        try:
            beta, _ = fit_subset(fold.sets, X[fold.train][fold.sets.order], n_weak=fold.n_weak)
        except ValueError as error:
            raise InputError(
                f"{error}: look for a column that separates events from non-events"
            ) from error
        kept[fold.repeat, fold.test] = score.predict(fold, X @ beta)
    return score.evaluate(kept)


def _boost(
    designs: list[FoldDesign],
    score: Score,
    shape: tuple[int, ...],
    table: pd.DataFrame,
    *,
    depth: int,
    times: int,
    seed: int,
) -> FloatArray:
    rounds = MarkerModel().n_rounds * times
    kept = np.empty(shape)
    for fold in designs:
        varied = np.ptp(fold.X[fold.train], axis=0) > 0.0
        eta = np.zeros(len(fold.X))
        if varied.any():
            X = fold.X[:, varied]
            y = table.iloc[fold.train].reset_index(drop=True)
            model = MarkerModel(max_depth=depth, n_rounds=rounds, seed=seed).fit(X[fold.train], y)
            eta = model.predict(X)
        kept[fold.repeat, fold.test] = score.predict(fold, eta)
    return score.evaluate(kept)


def _report(
    plan: _Plan,
    played: _Played,
    refits: list[_Played],
    table: pd.DataFrame,
    *,
    n_refits: int,
    confidence_level: float,
) -> PerformanceShapley:
    players = plan.players
    additive = {_RIDGE: played.shapley.full} | {name: played.boosted[name] for name in _ADDITIVE}
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


def _totals(played: _Played, best: str) -> dict[str, FloatArray]:
    none, everybody = played.shapley.empty, played.shapley.full
    reference = everybody if best == _RIDGE else played.boosted[best]
    return {
        "none": none,
        "all": everybody,
        "gain": everybody - none,
        **played.boosted,
        "interaction": played.boosted[_JOINT] - reference,
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


def _notes(plan: _Plan, played: _Played, *, n_refits: int, n_failed: int) -> tuple[str, ...]:
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
    plan: _Plan, totals: pd.DataFrame, sums: pd.DataFrame, *, is_above: bool, refitted: bool
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


def _check_tables(
    features: pd.DataFrame, *, strata: ArrayLike | None, **others: pd.DataFrame | None
) -> None:
    faults = Faults()
    for name, frame in others.items():
        if frame is not None and not frame.index.equals(features.index):
            faults.add(
                f"{name} and features are not of the same patients in the same order: reindex one"
            )
    if strata is not None and np.shape(strata) != (len(features),):
        faults.add(
            f"strata have shape {np.shape(strata)}: give one for each of {len(features)} patients"
        )
    faults.raise_if_any()


def _check_settings(*, n_refits: int, confidence_level: float) -> None:
    faults = Faults()
    if not 0.0 < confidence_level < 1.0:
        faults.add(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    if n_refits < 0 or n_refits == 1:
        faults.add(f"n_refits is {n_refits}: use 0 for none, or 2 or more")
    faults.raise_if_any()
