"""What each null of location permutes: contrasts, and how they may be exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.null_inputs import (
    UntestableError,
    check_features,
    check_levels,
    check_outcome,
)
from times_stats.attribution.rank_scores import normal_scores_within
from times_stats.attribution.score_statistic import (
    OutcomeGivenLevels,
    fit_without_location,
    level_columns,
    weak_columns,
)
from times_stats.resampling import spawn_rng

CONDITIONAL, EXCHANGEABLE = "conditional location", "label exchangeability"
_N_STRATA = 3


@dataclass(frozen=True, slots=True, eq=False)
class PermutableContrasts:
    """Contrasts of location, what no permutation changes, and the permutations of a null.

    Attributes
    ----------
    null : str
        Name of the null hypothesis.
    table : DataFrame, shape (n, ...)
        Outcome.
    weak : ndarray, shape (n, n_weak)
        Steps of cohorts and stages.
    levels : ndarray, shape (n, n_levels)
        Levels of the markers, 0 where missing, with indicators of what is missing.
    fixed : OutcomeGivenLevels
        Model of the outcome without location.
    contrast, before : ndarray, shape (n, n_markers, n_regions)
        Contrasts, 0 where missing, and what they were before the levels were taken out.
    permute : callable
        From a number of permutations to as many permuted contrasts; each call draws on.
    notes : tuple of str
        What cannot be permuted.
    """

    null: str
    table: pd.DataFrame
    weak: FloatArray
    levels: FloatArray
    fixed: OutcomeGivenLevels
    contrast: FloatArray
    before: FloatArray
    permute: Callable[[int], FloatArray]
    notes: tuple[str, ...]


def exchange_labels(
    features: pd.DataFrame, outcome: pd.DataFrame, *, stages: pd.DataFrame | None, seed: int
) -> PermutableContrasts:
    """Prepare the exchange of the regions of each patient, one exchange for all markers.

    Parameters
    ----------
    features, outcome, stages, seed
        As for `times_stats.attribution.label_exchangeability_test`.

    Returns
    -------
    PermutableContrasts

    Raises
    ------
    InputError
        As for `times_stats.attribution.label_exchangeability_test`.
    """
    table, cohort = check_outcome(outcome, stages)
    scores, level = _scores_and_level(features, table, cohort)
    weak, held = weak_columns(table, stages), level_columns(level)
    fixed = fit_without_location(table, np.column_stack([weak, held]))
    contrast = np.nan_to_num(scores - level[:, :, None])
    labels = _exchangeable_regions(np.isfinite(scores))
    stuck = int(((labels[:, :, None] == labels[:, None, :]).sum(axis=2) < 2).all(axis=1).sum())
    if stuck == len(table):
        raise UntestableError(
            "no patient has two regions with the same markers: there is nothing to exchange"
        )
    rng = spawn_rng(seed, EXCHANGEABLE)

    def exchange(size: int) -> FloatArray:
        order = _permute_within(labels, size, rng)
        return np.take_along_axis(contrast[None], order[:, :, None, :], axis=3)

    told = f"{stuck} patients have no two regions with the same markers: nothing to exchange."
    return PermutableContrasts(
        null=EXCHANGEABLE,
        table=table,
        weak=weak,
        levels=held,
        fixed=fixed,
        contrast=contrast,
        before=contrast,
        permute=exchange,
        notes=(told,) if stuck else (),
    )


def exchange_residuals(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    stages: pd.DataFrame | None,
    levels: pd.DataFrame | None,
    seed: int,
) -> PermutableContrasts:
    """Prepare the exchange between patients of what levels leave of the contrasts.

    Parameters
    ----------
    features, outcome, stages, levels, seed
        As for `times_stats.attribution.conditional_location_test`.

    Returns
    -------
    PermutableContrasts

    Raises
    ------
    InputError
        As for `times_stats.attribution.conditional_location_test`.
    """
    table, cohort = check_outcome(outcome, stages)
    scores, level = _scores_and_level(features, table, cohort)
    amounts = level
    if levels is not None:
        amounts = normal_scores_within(check_levels(levels, table), cohort)
    weak, held = weak_columns(table, stages), level_columns(amounts)
    known = np.column_stack([weak, held])
    fixed = fit_without_location(table, known)
    contrast = scores - level[:, :, None]
    measured = np.isfinite(contrast)
    remove = _projections(measured, np.column_stack([np.ones(len(table)), known]))
    before = np.nan_to_num(contrast)
    left = remove(before)
    strata = _strata(cohort, measured, fixed.predictor)
    alone = int((np.bincount(strata) == 1).sum())
    if alone == len(table):
        raise UntestableError(
            "every patient has a cohort or missing regions of its own: nothing can be exchanged"
        )
    rng = spawn_rng(seed, CONDITIONAL)

    def exchange(size: int) -> FloatArray:
        return remove(left[_permute_within(strata[None], size, rng)[:, 0]])

    told = f"{alone} patients are alone in their stratum and stay in place."
    return PermutableContrasts(
        null=CONDITIONAL,
        table=table,
        weak=weak,
        levels=held,
        fixed=fixed,
        contrast=left,
        before=before,
        permute=exchange,
        notes=(told,) if alone else (),
    )


def _scores_and_level(
    features: pd.DataFrame, table: pd.DataFrame, cohort: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return scores by patient, marker and region, and their mean over two or more regions."""
    scores = normal_scores_within(check_features(features, table), cohort)
    known = np.isfinite(scores)
    count = known.sum(axis=2)
    total = np.where(known, scores, 0.0).sum(axis=2)
    return scores, np.where(count > 1, total / np.maximum(count, 1), np.nan)


def _strata(cohort: IntArray, measured: np.ndarray, predictor: FloatArray) -> IntArray:
    """Tell apart patients by cohort, regions measured, and third of the linear predictor."""
    pattern = np.unique(measured.reshape(len(measured), -1), axis=0, return_inverse=True)[1]
    third = np.floor(_N_STRATA * (rankdata(predictor) - 0.5) / predictor.size)
    every = np.column_stack([cohort, pattern.ravel(), third])
    return np.asarray(np.unique(every, axis=0, return_inverse=True)[1].ravel())


def _projections(known: np.ndarray, given: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return what takes a regression on `given` out of contrasts, over the patients who have them.

    Permuted contrasts are put through it again: else their scores would spread less than the
    observed one, whose columns the residuals of the outcome were fitted to.
    """
    patterns, which = np.unique(known.reshape(len(known), -1), axis=1, return_inverse=True)
    bases = [_basis(given * rows[:, None]) for rows in patterns.T]

    def remove(contrast: FloatArray) -> FloatArray:
        flat = contrast.reshape(*contrast.shape[:-2], -1)
        left = np.empty_like(flat)
        for k, basis in enumerate(bases):
            own = flat[..., which == k]
            left[..., which == k] = own - basis @ (basis.T @ own)
        return np.asarray((left * known.reshape(len(known), -1)).reshape(contrast.shape))

    return remove


def _basis(columns: FloatArray) -> FloatArray:
    """Orthonormal basis of what the columns span, whatever their rank."""
    directions, size, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(directions[:, size > 1e-9 * size.max(initial=0.0)])


def _exchangeable_regions(measured: np.ndarray) -> IntArray:
    """Group of each patient's regions, shape (n, n_regions): those with the same markers."""
    n, n_markers, n_regions = measured.shape
    rows = measured.transpose(0, 2, 1).reshape(-1, n_markers)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(n, n_regions)


def _permute_within(groups: IntArray, size: int, rng: np.random.Generator) -> IntArray:
    """Random orders of the last axis that move only within equal groups, shape (size, n, k)."""
    n, k = groups.shape
    where = np.argsort(groups, axis=1, kind="stable")
    noise = rng.random((size, n, k))
    drawn = np.lexsort((noise, np.broadcast_to(groups, noise.shape)), axis=-1)
    order = np.empty((size, n, k), dtype=np.int64)
    np.put_along_axis(order, np.broadcast_to(where, order.shape), drawn, axis=2)
    return order
