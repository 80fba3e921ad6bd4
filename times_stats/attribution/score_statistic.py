"""The score statistic that the nulls of location share, and what they hold fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._typing import FloatArray
from times_stats.attribution.null_inputs import UntestableError, marker_and_region_names
from times_stats.attribution.permutation import permutation_p
from times_stats.attribution.rungs import cohort_steps, stage_steps
from times_stats.partial_likelihood import build_risk_sets, martingale_residuals
from times_stats.rivals.cox import WEAK_PRECISION, maximise_penalised

_BATCH = 50  # permutations at once
_NOTHING = 1e-9  # share of a contrast's size that is rounding


@dataclass(frozen=True, slots=True)
class NullTest:
    """Result of one test of location.

    Attributes
    ----------
    null : str
        Name of the null hypothesis.
    statistic : float
        Sum of the squared scores in `scores`.
    p_value, p_error : float
        Permutation p-value and its Monte Carlo standard error; NaN where the sample cannot carry
        the test, and the notes say why.
    n_permutations : int
        Permutations drawn.
    n, events : int
        Patients and events.
    scores : DataFrame
        Columns marker, region; z, the studentised score of the contrast, positive where more of the
        marker in that region than its level lets expect goes with an earlier event; free, the share
        of the contrast's variance that levels, stage and cohort leave.
    notes : tuple of str
        What was left out or could not be permuted.
    """

    null: str
    statistic: float
    p_value: float
    p_error: float
    n_permutations: int
    n: int
    events: int
    scores: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutcomeGivenLevels:
    """What no permutation changes: the model of the outcome without location.

    Attributes
    ----------
    residual : ndarray, shape (n,)
        Martingale residuals.
    predictor : ndarray, shape (n,)
        Log relative hazard.
    events : int
    """

    residual: FloatArray
    predictor: FloatArray
    events: int


def fit_without_location(table: pd.DataFrame, columns: FloatArray) -> OutcomeGivenLevels:
    """Fit a Cox model of stage, cohort and levels, each with the weak prior N(0, 2^2).

    Parameters
    ----------
    table : DataFrame
        Columns `time` and `event`.
    columns : ndarray, shape (n, p)
        Stage, cohort and levels.

    Returns
    -------
    OutcomeGivenLevels
    """
    columns = columns - columns.mean(axis=0)
    event = table["event"].to_numpy(dtype=np.int64)
    sets = build_risk_sets(table["time"].to_numpy(dtype=np.float64), event)
    precision = np.full(columns.shape[1], WEAK_PRECISION)
    fit = maximise_penalised(sets, columns[sets.order], precision, np.zeros(columns.shape[1]))
    predictor = columns @ fit.coefficients
    residual = np.empty(len(table))
    residual[sets.order] = martingale_residuals(sets, predictor[sets.order])
    return OutcomeGivenLevels(residual, predictor, int(event.sum()))


def weak_columns(table: pd.DataFrame, stages: pd.DataFrame | None) -> FloatArray:
    """Return the steps of cohorts and stages, as the ladder of nested models has them.

    Parameters
    ----------
    table : DataFrame, shape (n, ...)
        Outcome, with `cohort` if there are several.
    stages : DataFrame of ordered categoricals or None

    Returns
    -------
    ndarray, shape (n, n_steps)
    """
    index = table.index
    steps = (cohort_steps(table.get("cohort"), index=index), stage_steps(stages, index=index))
    return np.column_stack([block.to_numpy(dtype=np.float64) for block in steps])


def level_columns(levels: FloatArray) -> FloatArray:
    """Put 0 where a level is missing, and add an indicator of each pattern of missing ones.

    Parameters
    ----------
    levels : ndarray, shape (n, p)

    Returns
    -------
    ndarray, shape (n, p + n_patterns - 1)
    """
    missing = np.isnan(levels)
    patterns, code = np.unique(missing, axis=0, return_inverse=True)
    shown = (code.ravel()[:, None] == np.arange(1, len(patterns))).astype(np.float64)
    return np.column_stack([np.where(missing, 0.0, levels), shown])


def compare_contrasts(
    null: str,
    fixed: OutcomeGivenLevels,
    contrast: FloatArray,
    *,
    permute: Callable[[int], FloatArray],
    n_permutations: int,
    stop_after: int | None,
    columns: pd.Index,
    before: FloatArray,
    notes: list[str],
) -> NullTest:
    """Hold the observed contrasts against permuted ones.

    Parameters
    ----------
    null : str
        Name of the null hypothesis.
    fixed : OutcomeGivenLevels
        What no permutation changes.
    contrast : ndarray, shape (n, n_markers, n_regions)
        Observed contrasts, 0 where missing.
    permute : callable
        From a number of permutations to as many permuted contrasts.
    n_permutations, stop_after
        As for `permutation_p`.
    columns : MultiIndex
        Marker and region of the contrasts that exist.
    before : ndarray, shape (n, n_markers, n_regions)
        The contrasts before the levels were taken out, 0 where missing.
    notes : list of str
        What was left out or could not be permuted.

    Returns
    -------
    NullTest

    Raises
    ------
    UntestableError
        If nothing of any contrast is left.
    """
    free = left_of_contrasts(contrast, before=before)
    used = free > 0.0
    z = studentised_scores(fixed.residual, contrast) * used
    observed = float((z**2).sum())

    def statistics() -> Iterator[FloatArray]:
        for start in range(0, n_permutations, _BATCH):
            batch = permute(min(_BATCH, n_permutations - start))
            yield ((studentised_scores(fixed.residual, batch) * used) ** 2).sum(axis=(1, 2))

    found = permutation_p(observed, statistics(), stop_after=stop_after)
    markers, regions = marker_and_region_names(columns)
    named = pd.DataFrame(
        [
            (marker, region, z[m, r], min(free[m, r], 1.0))
            for m, marker in enumerate(markers)
            for r, region in enumerate(regions)
            if (marker, region) in columns
        ],
        columns=["marker", "region", "z", "free"],
    )
    return NullTest(
        null=null,
        statistic=observed,
        p_value=found.p_value,
        p_error=found.error,
        n_permutations=found.n_permutations,
        n=fixed.residual.size,
        events=fixed.events,
        scores=named,
        notes=tuple(notes),
    )


def left_of_contrasts(contrast: FloatArray, *, before: FloatArray) -> FloatArray:
    """Return the share of each contrast's variance that levels, stage and cohort leave.

    Parameters
    ----------
    contrast, before : ndarray, shape (n, n_markers, n_regions)
        Contrasts, 0 where missing, and what they were before the levels were taken out.

    Returns
    -------
    ndarray, shape (n_markers, n_regions)
        0 where the rest is rounding.

    Raises
    ------
    UntestableError
        If nothing of any contrast is left.
    """
    spread = ((before - before.mean(axis=0)) ** 2).sum(axis=0)
    free = (contrast**2).sum(axis=0) / np.where(spread > 0.0, spread, np.inf)
    free = np.where(free > _NOTHING, free, 0.0)
    if not free.any():
        raise UntestableError(
            "levels, stage and cohort leave nothing of where the markers sit: there are too few"
            " patients for so many levels, or the levels hold the regions themselves"
        )
    return np.asarray(free)


def studentised_scores(residual: FloatArray, contrast: FloatArray) -> FloatArray:
    """Divide the score of each contrast by the root of its sum of squares.

    Parameters
    ----------
    residual : ndarray, shape (n,)
    contrast : ndarray, shape (..., n, n_markers, n_regions)

    Returns
    -------
    ndarray, shape (..., n_markers, n_regions)
        0 where nothing varies.
    """
    score = np.einsum("i,...imr->...mr", residual, contrast)
    square = np.einsum("i,...imr->...mr", residual**2, contrast**2)
    return np.asarray(score / np.sqrt(np.where(square > 0.0, square, np.inf)))
