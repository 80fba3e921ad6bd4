"""Every difference between the models of a comparison, with control over all of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.evaluation.comparison import (
    MOST_UNDEFINED,
    MetricDraws,
    Prediction,
    check_level,
    draw_metrics,
    summarise_draws,
)

_NO_SPREAD = 1e-12  # se of a difference that is the same in every resample, up to rounding


def compare_pairs(
    outcome: pd.DataFrame,
    predictions: Sequence[Prediction],
    *,
    times: ArrayLike,
    horizon: float,
    null: str | None = None,
    strata: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare every two predictions on the same patients, simultaneously.

    All differences of one metric are a family. Beside the interval of each difference alone stands
    one of a set that holds *all* true differences of the metric with probability
    `confidence_level`, and a p-value adjusted for all of them. Metrics are families of their own:
    name the one that counts before looking.

    Parameters
    ----------
    outcome : DataFrame
        Outcome with the columns ``time`` (months) and ``event``, one row per patient.
    predictions : sequence of Prediction
        Two or more models; an earlier one is subtracted from a later one.
    times : array-like, shape (n_times,)
        Evaluation times (months) of the survival predictions; must hold `horizon`.
    horizon : float
        Landmark (months), within follow-up.
    null : str, optional
        Name of the model that knows nothing of the patient, for ``ipa_horizon``; it has no
        differences of its own.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    folds : array-like of int, shape (n_repeats, n), optional
        As in `compare`.
    n_resamples : int
        Number of bootstrap resamples; as many as in `compare` with an equal `rng` are the same.
    confidence_level : float
        Level of the intervals.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    DataFrame
        Tidy, a row per pair and metric: ``model``, ``reference`` (the model subtracted),
        ``metric``, ``estimate``, ``lower``, ``upper``, ``se`` (of the difference alone, as
        `compare` gives them), ``lower_simultaneous``, ``upper_simultaneous``, ``p_adjusted``,
        ``n_differences`` (size of the family), ``n``, ``events``. Differences of a metric that a
        model does not have are NaN and not of the family.

    Raises
    ------
    InputError
        As `compare`, or if there are fewer than two models to compare, or too few resamples for the
        level: .95 needs 19.

    Notes
    -----
    With ``d`` a difference, ``d*`` its value in a resample and s the standard deviation of d*, the
    simultaneous interval is ``d ± q s``, q the quantile of the largest ``|d* - d| / s`` over the
    family. Adjusted p-values step down from the largest ``|d| / s``: each is compared with the
    largest of those not yet dealt with (Romano and Wolf 2005, doi:10.1198/016214504000000539;
    Westfall and Young 1993). They control the chance of any false rejection whichever differences
    are 0, and are a little more powerful than the intervals, so one may be below .05 where the
    interval just holds 0. Like all intervals here they are **conditional on the fitted models**.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> truth = rng.normal(size=60)
    >>> outcome = pd.DataFrame({"time": rng.exponential(np.exp(-truth)), "event": 1})
    >>> models = [Prediction("noise", rng.normal(size=(1, 60))), Prediction("truth", truth[None])]
    >>> table = compare_pairs(outcome, models, times=[0.5], horizon=0.5, n_resamples=200, rng=rng)
    >>> row = table[table["metric"] == "concordance_harrell"].iloc[0]
    >>> row["model"], row["reference"], bool(row["p_adjusted"] < 0.05)
    ('truth', 'noise', True)
    """
    check_level(confidence_level)
    drawn = draw_metrics(
        outcome,
        predictions,
        times=times,
        horizon=horizon,
        null=null,
        strata=strata,
        folds=folds,
        n_resamples=n_resamples,
        rng=rng,
    )
    names = [name for name in drawn.values if name != null]
    if len(names) < 2:
        raise InputError("there are no two models to compare: give at least two")
    return tabulate_pairs(
        drawn,
        [(later, first) for first, later in combinations(names, 2)],
        confidence_level=confidence_level,
    )


def tabulate_pairs(
    drawn: MetricDraws, pairs: Sequence[tuple[str, str]], *, confidence_level: float
) -> pd.DataFrame:
    """Return the table of `compare_pairs` for chosen pairs, which are then the family.

    Parameters
    ----------
    drawn : MetricDraws
        From `draw_metrics`.
    pairs : sequence of (str, str)
        Model, and the model subtracted from it; one or more.
    confidence_level : float
        Level of the intervals.

    Returns
    -------
    DataFrame
        As `compare_pairs`.
    """
    tables = []
    for metric in drawn.metrics:
        values = np.stack(
            [drawn.values[model][metric] - drawn.values[other][metric] for model, other in pairs]
        )
        names = pd.DataFrame(pairs, columns=["model", "reference"]).assign(metric=metric)
        alone = [summarise_draws(row, confidence_level) for row in values]
        together = simultaneous_intervals(values, confidence_level=confidence_level)
        tables.append(pd.concat([names, pd.DataFrame.from_records(alone), together], axis=1))
    result = pd.concat(tables, ignore_index=True)
    return result.assign(n=drawn.n, events=drawn.events)


def simultaneous_intervals(values: FloatArray, *, confidence_level: float = 0.95) -> pd.DataFrame:
    """Return intervals that hold together, and adjusted p-values, of one family of differences.

    Parameters
    ----------
    values : ndarray, shape (n_differences, 1 + n_resamples)
        Estimate of each difference, then its value in each resample, the same resamples for all.
    confidence_level : float
        Chance that all intervals hold their true differences.

    Returns
    -------
    DataFrame
        A row per difference: ``lower_simultaneous``, ``upper_simultaneous``, ``p_adjusted`` (step
        down) and ``n_differences``. A difference that is 0 in every resample has an interval of
        width 0 and p = 1; one that is undefined in more than 5 % of the resamples is NaN, and so
        are all where too few resamples define all of them.

    Raises
    ------
    InputError
        If there are too few resamples for the level: .95 needs 19.

    Notes
    -----
    Formulae and sources: `compare_pairs`. The p-value is ``(1 + hits) / (1 + n_resamples)``.

    Examples
    --------
    >>> draws = np.random.default_rng(1).normal(size=(2, 999)) + [[0.0], [9.0]]
    >>> table = simultaneous_intervals(np.column_stack([[0.0, 9.0], draws]))
    >>> table["p_adjusted"].tolist()
    [1.0, 0.001]
    """
    estimate, resampled = values[:, 0], values[:, 1:]
    n_resamples = resampled.shape[1]
    if not _reaches(n_resamples, confidence_level):
        least = math.ceil(round(confidence_level / (1 - confidence_level), 6))
        raise InputError(
            f"{n_resamples} resamples cannot hold all differences with probability "
            f"{confidence_level:g}: use n_resamples of {least} at least"
        )
    defined = np.isfinite(resampled)
    known = np.isfinite(estimate) & (
        defined.sum(axis=1) >= max(2, (1 - MOST_UNDEFINED) * n_resamples)
    )
    result = pd.DataFrame(
        np.nan,
        index=range(len(values)),
        columns=["lower_simultaneous", "upper_simultaneous", "p_adjusted"],
    ).assign(n_differences=int(known.sum()))
    if not known.any():
        return result
    se = np.full(len(values), np.nan)
    se[known] = [
        row[there].std(ddof=1) for row, there in zip(resampled[known], defined[known], strict=True)
    ]
    # Two models with the same ranks never differ: nothing to control, and nothing to divide by.
    same = known & (se <= _NO_SPREAD) & (np.abs(estimate) <= _NO_SPREAD)
    varying = np.flatnonzero(known & (se > _NO_SPREAD))
    limits = result.to_numpy(dtype=np.float64, copy=True)
    limits[same, :3] = [0.0, 0.0, 1.0]
    usable = defined[varying].all(axis=0)
    # Only resamples in which the whole family is defined have a largest deviation.
    if not _reaches(int(usable.sum()), confidence_level):
        limits[varying, :3] = np.nan
    elif varying.size:
        deviations = (
            np.abs(resampled[np.ix_(varying, usable)] - estimate[varying, None]) / se[varying, None]
        )
        largest = np.sort(deviations.max(axis=0))
        # The order statistic that a test by (1 + hits) / (1 + resamples) agrees with.
        position = math.ceil(confidence_level * (largest.size + 1))
        width = largest[position - 1] * se[varying]
        limits[varying, 0] = estimate[varying] - width
        limits[varying, 1] = estimate[varying] + width
        limits[varying, 2] = _step_down(np.abs(estimate[varying]) / se[varying], deviations)
    return result.assign(
        lower_simultaneous=limits[:, 0], upper_simultaneous=limits[:, 1], p_adjusted=limits[:, 2]
    )


def _reaches(n_resamples: int, confidence_level: float) -> bool:
    """Whether the order statistic of that level is one of the resamples."""
    return math.ceil(confidence_level * (n_resamples + 1)) <= n_resamples


def _step_down(statistic: FloatArray, deviations: FloatArray) -> FloatArray:
    """Return adjusted p-values: the largest statistic against the maximum of all, and so on."""
    order = np.argsort(-statistic, kind="stable")
    largest_left = np.maximum.accumulate(deviations[order[::-1]], axis=0)[::-1]
    hits = (largest_left >= statistic[order, None]).sum(axis=1)
    p_values = np.empty(statistic.size)
    p_values[order] = np.maximum.accumulate((1 + hits) / (1 + deviations.shape[1]))
    return p_values
