"""The score statistic that the nulls of location share, and what they hold fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from times_stats._checks import Faults, name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.permutation import permutation_p
from times_stats.errors import InputError
from times_stats.partial_likelihood import build_risk_sets, martingale_residuals
from times_stats.rivals.cox import maximise_penalised

BATCH = 50  # permutations at once
_WEAK_PRECISION = 1.0 / 2.0**2


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
        Permutation p-value and its Monte Carlo standard error.
    n_permutations : int
        Permutations drawn.
    n, events : int
        Patients and events.
    scores : DataFrame
        Columns marker, region, z: the studentised score of each contrast, positive where more of
        the marker in that region than its level lets expect goes with an earlier event.
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
    cohort : ndarray of int, shape (n,)
    events : int
    """

    residual: FloatArray
    predictor: FloatArray
    cohort: IntArray
    events: int


def normal_scores(values: pd.DataFrame) -> pd.DataFrame:
    """Return the standard normal quantile of each value's rank in its column, ties averaged.

    Parameters
    ----------
    values : DataFrame, shape (n, p)
        NaN stays NaN.

    Returns
    -------
    DataFrame, shape (n, p)

    Examples
    --------
    >>> normal_scores(pd.DataFrame({"CD8": [5.0, 1.0, np.nan, 9.0]}))["CD8"].round(2).tolist()
    [0.0, -0.97, nan, 0.97]
    """
    rank = rankdata(values.to_numpy(dtype=np.float64), axis=0, nan_policy="omit")
    count = values.notna().sum(axis=0).to_numpy()
    scores = norm.ppf((rank - 0.5) / np.maximum(count, 1))
    return pd.DataFrame(scores, index=values.index, columns=values.columns)


def run_test(
    null: str,
    fixed: OutcomeGivenLevels,
    contrast: FloatArray,
    permuted: Iterator[FloatArray],
    columns: pd.Index,
    stop_after: int | None,
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
    permuted : iterator of ndarray, shape (n_batch, n, n_markers, n_regions)
        Batches of permuted contrasts.
    columns : MultiIndex
        Marker and region of the contrasts that exist.
    stop_after : int or None
        As for `permutation_p`.
    notes : list of str
        What was left out or could not be permuted.

    Returns
    -------
    NullTest
    """
    z = studentised_scores(fixed.residual, contrast)
    observed = float((z**2).sum())
    found = permutation_p(
        observed,
        ((studentised_scores(fixed.residual, batch) ** 2).sum(axis=(1, 2)) for batch in permuted),
        stop_after=stop_after,
    )
    markers, regions = marker_and_region_names(columns)
    named = pd.DataFrame(
        [
            (marker, region, z[m, r])
            for m, marker in enumerate(markers)
            for r, region in enumerate(regions)
            if (marker, region) in columns
        ],
        columns=["marker", "region", "z"],
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


def batches(draw: Callable[[int], FloatArray], n_permutations: int) -> Iterator[FloatArray]:
    """Draw permuted contrasts as they are asked for.

    Parameters
    ----------
    draw : callable
        From a number of permutations to as many permuted contrasts.
    n_permutations : int
        How many in all.

    Yields
    ------
    ndarray
        At most `BATCH` at once.
    """
    for start in range(0, n_permutations, BATCH):
        yield draw(min(BATCH, n_permutations - start))


def fit_without_location(
    outcome: pd.DataFrame, stages: pd.DataFrame | None, levels: FloatArray
) -> OutcomeGivenLevels:
    """Fit a Cox model of stage, cohort and levels, each with the weak prior N(0, 2^2).

    Parameters
    ----------
    outcome, stages
        As for `weak_columns`.
    levels : ndarray, shape (n, p)
        From `design_of_levels`.

    Returns
    -------
    OutcomeGivenLevels
    """
    columns = np.column_stack([weak_columns(outcome, stages), levels])
    columns = columns - columns.mean(axis=0)
    event = outcome["event"].to_numpy(dtype=np.int64)
    if not event.any():
        raise InputError("no event in the data: there is no outcome to test against")
    sets = build_risk_sets(outcome["time"].to_numpy(dtype=np.float64), event)
    precision = np.full(columns.shape[1], _WEAK_PRECISION)
    fit = maximise_penalised(sets, columns[sets.order], precision, np.zeros(columns.shape[1]))
    predictor = columns @ fit.coefficients
    residual = np.empty(len(outcome))
    residual[sets.order] = martingale_residuals(sets, predictor[sets.order])
    cohort = outcome["cohort"] if "cohort" in outcome else np.zeros(len(outcome))
    return OutcomeGivenLevels(
        residual, predictor, pd.factorize(np.asarray(cohort))[0], int(event.sum())
    )


def weak_columns(outcome: pd.DataFrame, stages: pd.DataFrame | None) -> FloatArray:
    """Return steps of the stages, and indicators of the cohorts but the first.

    Parameters
    ----------
    outcome : DataFrame
        With `cohort`, if there are several.
    stages : DataFrame of ordered categoricals or None

    Returns
    -------
    ndarray, shape (n, n_steps)
    """
    found = [np.empty((len(outcome), 0))]
    for system in [] if stages is None else stages.columns:
        assert stages is not None
        codes = stages[system].cat.codes.to_numpy()
        found.append((codes[:, None] >= np.unique(codes)[1:]).astype(np.float64))
    if "cohort" in outcome:
        codes = pd.factorize(outcome["cohort"], sort=True)[0]
        found.append((codes[:, None] == np.arange(1, codes.max() + 1)).astype(np.float64))
    return np.column_stack(found)


def design_of_levels(levels: FloatArray) -> FloatArray:
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


def marker_and_region_names(columns: pd.Index) -> tuple[list[str], list[str]]:
    """Return markers and regions in the order in which they first appear.

    Parameters
    ----------
    columns : MultiIndex
        Marker and region.

    Returns
    -------
    tuple of two lists of str
    """
    markers = list(dict.fromkeys(columns.get_level_values(0)))
    return markers, list(dict.fromkeys(columns.get_level_values(1)))


def by_region(features: pd.DataFrame) -> FloatArray:
    """Arrange values by patient, marker and region.

    Parameters
    ----------
    features : DataFrame, shape (n, n_columns)
        Columns (marker, region).

    Returns
    -------
    ndarray, shape (n, n_markers, n_regions)
        NaN where a marker has no such region.
    """
    markers, regions = marker_and_region_names(features.columns)
    every = pd.MultiIndex.from_product([markers, regions])
    values = features.reindex(columns=every).to_numpy(dtype=np.float64)
    return values.reshape(len(features), len(markers), len(regions))


def check_stages(faults: Faults, stages: pd.DataFrame | None, table: pd.DataFrame) -> None:
    """Add what is wrong with the stages to the faults.

    Parameters
    ----------
    faults : Faults
    stages : DataFrame or None
    table : DataFrame
        Outcome, whose patients the stages must be of.
    """
    if stages is None:
        return
    if not stages.index.equals(table.index):
        faults.add("stages and outcome are not of the same patients in the same order")
    elif not all(getattr(stage.dtype, "ordered", False) for _, stage in stages.items()):
        faults.add("stages must be ordered categoricals: give each system its order")
    elif stages.isna().any(axis=None):
        without = table.index[stages.isna().any(axis=1)]
        faults.add(
            f"stages are missing for {len(without)} patients ({name_rows(without)}): leave them out"
            " and count them"
        )
