"""Nulls of location tested by what location adds out of fold, models fitted under permutations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.coalition_cox import fit_subset
from times_stats.attribution.null_inputs import UntestableError, check_permutations
from times_stats.attribution.null_permutations import (
    CONDITIONAL,
    EXCHANGEABLE,
    PermutableContrasts,
    exchange_labels,
    exchange_residuals,
)
from times_stats.attribution.permutation import permutation_p
from times_stats.attribution.score_statistic import NullTest, left_of_contrasts
from times_stats.errors import InputError
from times_stats.partial_likelihood import RiskSets, build_risk_sets, efron_log_likelihood
from times_stats.resampling import check_folds

type Null = Literal["conditional location", "label exchangeability"]
REFITTED = ", refitted"
_BATCH = 10  # permutations at once: what an early stop may draw too many of


@dataclass(frozen=True, slots=True, eq=False)
class _Fold:
    """Training patients of a fold; the patients and their folds are the same for every fit."""

    train: IntArray
    sets: RiskSets


def location_gain_test(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    folds: ArrayLike,
    null: Null = "conditional location",
    stages: pd.DataFrame | None = None,
    levels: pd.DataFrame | None = None,
    n_permutations: int = 199,
    stop_after: int | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> NullTest:
    r"""Test location by what it adds out of fold, with the models fitted under every permutation.

    Nulls and permutations are those of `conditional_location_test` and
    `label_exchangeability_test`; the statistic is the gain in cross-validated log partial
    likelihood (Verweij and van Houwelingen 1993),

    .. math:: \sum_k \big[\ell(\hat\beta_{-k}) - \ell_{-k}(\hat\beta_{-k})\big]_\text{location}
              - \sum_k \big[\ell(\hat\beta_{-k}) - \ell_{-k}(\hat\beta_{-k})\big]_\text{levels} ,

    the mean over repeats, in nats. Here :math:`\ell` is the Efron log partial likelihood of all
    patients, :math:`\ell_{-k}` that of those outside fold k, and :math:`\hat\beta_{-k}` a ridge Cox
    regression learned on the latter: of stage, cohort (weak prior) and levels; and of these and
    the contrasts. Folds and risk sets are the same for every permutation, and so are the normal
    scores and the model of levels, which no permutation moves. The penalty is learned again in
    every fit: one learned from the data as observed would suit them better than permuted ones, and
    p would come out too small.

    The score statistics of the two other tests look at one contrast at a time, and fit nothing;
    this one asks whether the contrasts together improve predictions. Size and power beside those:
    ``benchmarks/calibration/location_gain.txt``.

    Parameters
    ----------
    features, outcome, stages
        As for `conditional_location_test`.
    folds : int array, shape (n_repeats, n) or (n,)
        Fold of each patient.
    null : {"conditional location", "label exchangeability"}
        What is permuted.
    levels : DataFrame, optional
        As for `conditional_location_test`; label exchangeability knows no other level than the mean
        over the regions that it exchanges.
    n_permutations : int, default 199
        19 are the fewest that can reject at 5 %.
    stop_after : int, optional
        Stop at this many permuted gains as large as the observed one (`permutation_p`).
    seed : int, default 0
    jobs : int, default 1
        Processes; the result does not depend on it.

    Returns
    -------
    NullTest
        Its statistic is the gain; `scores` are empty.

    Raises
    ------
    InputError
        As for the test of that null without refits; unknown null; levels that the null cannot use;
        folds of other patients; a fold without which no event is left.

    References
    ----------
    Verweij P. J. M., van Houwelingen H. C. (1993). Cross-validation in survival analysis. *Stat
    Med* 12, 2305-2314. doi:10.1002/sim.4780122407

    Examples
    --------
    >>> from times_stats.simulate import simulate_study
    >>> study = simulate_study(n_patients=120, markers=2, location_effect=0.7, seed=1)
    >>> features = study.measurements.pivot_table(
    ...     index="patient_id", columns=["marker", "region"], values="value"
    ... )
    >>> outcome = study.patients.set_index("patient_id")[["time", "event"]]
    >>> found = location_gain_test(
    ...     features, outcome, folds=np.arange(120) % 5, n_permutations=19, seed=1
    ... )
    >>> found.p_value, bool(found.statistic > 0)
    (0.05, True)
    """
    check_permutations(n_permutations, stop_after)
    if null not in (CONDITIONAL, EXCHANGEABLE):
        raise InputError(f"null is {null!r}: use {CONDITIONAL!r} or {EXCHANGEABLE!r}")
    labels = check_folds(folds, features.index.to_numpy())
    if null == CONDITIONAL:
        given = exchange_residuals(features, outcome, stages=stages, levels=levels, seed=seed)
    elif levels is not None:
        raise InputError(
            "levels are given, and label exchangeability holds the mean over regions fixed: leave"
            " them out"
        )
    else:
        given = exchange_labels(features, outcome, stages=stages, seed=seed)
    return refit_null(
        given,
        folds=labels,
        n_permutations=n_permutations,
        stop_after=stop_after,
        jobs=jobs,
    )


def refit_null(
    given: PermutableContrasts,
    *,
    folds: IntArray,
    n_permutations: int,
    stop_after: int | None,
    jobs: int,
) -> NullTest:
    """Hold the gain from location against gains under permutations.

    Parameters
    ----------
    given : PermutableContrasts
        Contrasts and their permutations.
    folds : int array, shape (n_repeats, n)
        Fold of each patient.
    n_permutations, stop_after, jobs
        As for `location_gain_test`.

    Returns
    -------
    NullTest
    """
    used = left_of_contrasts(given.contrast, before=given.before) > 0.0
    time = given.table["time"].to_numpy(dtype=np.float64)
    event = given.table["event"].to_numpy(dtype=np.int64)
    every = build_risk_sets(time, event)
    parts = _split(folds, time, event)
    weak = given.weak - given.weak.mean(axis=0)
    held = np.column_stack([weak, _standardise(given.levels)])
    n_weak, n_repeats = weak.shape[1], len(folds)

    def worth(contrast: FloatArray) -> float:
        X = np.column_stack([held, _standardise(contrast)])
        with threadpool_limits(limits=1, user_api="blas"):
            return _cross_validated(X, n_weak, every, parts) / n_repeats

    without = worth(np.zeros((len(time), 0)))
    gain = worth(given.contrast[:, used]) - without

    def permuted() -> Iterator[FloatArray]:
        with Parallel(n_jobs=jobs) as pool:
            for start in range(0, n_permutations, _BATCH):
                batch = given.permute(min(_BATCH, n_permutations - start))
                yield np.array(pool(delayed(worth)(one[:, used]) for one in batch)) - without

    found = permutation_p(gain, permuted(), stop_after=stop_after)
    return NullTest(
        null=given.null + REFITTED,
        statistic=gain,
        p_value=found.p_value,
        p_error=found.error,
        n_permutations=found.n_permutations,
        n=len(time),
        events=int(event.sum()),
        scores=pd.DataFrame(columns=["marker", "region", "z", "free"]),
        notes=given.notes,
    )


def _split(folds: IntArray, time: FloatArray, event: IntArray) -> list[_Fold]:
    parts = []
    for labels in folds:
        for fold in np.unique(labels):
            train = np.flatnonzero(labels != fold)
            if not event[train].any():
                raise UntestableError(
                    f"no event is left without fold {fold}: use fewer folds, or longer follow-up"
                )
            parts.append(_Fold(train, build_risk_sets(time[train], event[train])))
    return parts


def _cross_validated(X: FloatArray, n_weak: int, every: RiskSets, parts: list[_Fold]) -> float:
    """Sum over folds of what the patients of the fold add to the log partial likelihood."""
    total = 0.0
    for part in parts:
        own = X[part.train][part.sets.order]
        try:
            beta, _ = fit_subset(part.sets, own, n_weak=n_weak)
        except ValueError as error:
            raise UntestableError(
                f"{error}: look for a column that separates events from non-events"
            ) from error
        total += efron_log_likelihood(every, X[every.order] @ beta)
        total -= efron_log_likelihood(part.sets, own @ beta)
    return total


def _standardise(columns: FloatArray) -> FloatArray:
    """Centre, and scale to standard deviation 1; columns that do not vary become 0."""
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 0.0, spread, np.inf))
