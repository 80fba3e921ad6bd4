"""Who carries the performance: every coalition of players is fitted again on fixed outer folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from times_stats._checks import Faults, as_survival_table
from times_stats.attribution.coalition_play import GamePlan, play_game, play_resample
from times_stats.attribution.coalition_scores import Metric
from times_stats.attribution.coalitions import MAX_EXACT_PLAYERS
from times_stats.attribution.performance_result import PerformanceShapley, report_game
from times_stats.attribution.player_columns import Game, find_players
from times_stats.attribution.rungs import check_same_patients
from times_stats.resampling import bootstrap_weights, check_folds, spawn_rng

_LEAST_REFITS = 20


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

    The ridge is a sum over columns, so no interaction is in these values: see `interaction_gain`.

    Parameters
    ----------
    features : DataFrame, shape (n, n_markers * n_regions)
        Raw values, indexed by patient_id, columns (marker, region). Patients without any complete
        marker are left out and counted; the others need all markers.
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
        Resamples in which the whole game is fitted again: 0, or 20 or more. Copies of a patient
        keep its fold, so none is in training and test at once. A resample holds 63 % of the
        patients and predicts worse, so these intervals are the estimate give or take standard
        deviations of the resamples, as many as a t quantile with one degree of freedom fewer than
        there were resamples. Their simulated coverage is in
        ``benchmarks/calibration/shapley_intervals.txt``, for one truth and the log density.
    confidence_level : float, default 0.95
        Level of the intervals.
    max_exact_players, n_pairs : int
        As `shapley_values`: beyond so many players, coalitions are sampled.
    seed : int, default 0
        Seed of resamples and orders.
    jobs : int, default 1
        Processes for the refits; the result does not depend on it.

    Returns
    -------
    PerformanceShapley
        Values, sums by marker and by part, totals, and the worth of every coalition.

    Raises
    ------
    InputError
        Tables of different patients, unknown game or metric, no marker in two regions, markers
        missing for some patients, 1 to 19 refits, follow-up that does not carry the horizon, too
        few events.

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
    check_same_patients(features, outcome=table, stages=stages, levels=levels)
    _check_settings(
        n_resamples,
        n_refits=n_refits,
        confidence_level=confidence_level,
        strata=strata,
        n_patients=len(features),
    )
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
    plan = GamePlan(players, metric, horizon, unidentified, max_exact_players, n_pairs, seed)
    n = len(table)
    with threadpool_limits(limits=1, user_api="blas"):
        own = bootstrap_weights(
            n, n_resamples=n_resamples, rng=spawn_rng(seed, "shapley", "bootstrap")
        )
        played = play_game(plan, table, np.arange(n), labels, groups, resamples=own)
        refits = Parallel(n_jobs=jobs)(
            delayed(play_resample)(plan, table, labels, groups, number)
            for number in range(n_refits)
        )
    return report_game(plan, played, refits, table, confidence_level=confidence_level)


def _check_settings(
    n_resamples: int,
    *,
    n_refits: int,
    confidence_level: float,
    strata: ArrayLike | None,
    n_patients: int,
) -> None:
    faults = Faults()
    if strata is not None and np.shape(strata) != (n_patients,):
        faults.add(
            f"strata have shape {np.shape(strata)}: give one for each of {n_patients} patients"
        )
    if n_resamples < 2:
        faults.add(f"n_resamples is {n_resamples}: an interval needs 2 or more")
    if not 0.0 < confidence_level < 1.0:
        faults.add(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    if n_refits != 0 and n_refits < _LEAST_REFITS:
        faults.add(f"n_refits is {n_refits}: give 0 for none, or {_LEAST_REFITS} or more")
    faults.raise_if_any()
