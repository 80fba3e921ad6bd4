"""Bootstrap of any metric: patients are drawn within strata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.nonparametric.risk_sets import group_codes

_MOST_UNDEFINED = 0.05  # share of resamples that may lack a metric before its interval is withheld


@dataclass(frozen=True, slots=True)
class BootstrapEstimate:
    """A metric with its bootstrap standard error and percentile interval.

    Attributes
    ----------
    estimate : float
        Metric of the patients themselves.
    se, lower, upper : float
        Standard deviation and percentiles over the resamples; NaN where more than 5 % of the
        resamples have no such metric.
    resamples : ndarray, shape (n_resamples,)
        Metric of each resample, NaN where it has none.
    """

    estimate: float
    se: float
    lower: float
    upper: float
    resamples: FloatArray


def bootstrap_metric(
    metric: Callable[[IntArray], float],
    strata: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> BootstrapEstimate:
    """Bootstrap a metric of predictions, patients drawn within strata.

    The metric is computed anew in every resample, its censoring weights included; no model is
    refitted, so the interval is **conditional on the fitted model**.

    Parameters
    ----------
    metric : callable
        Takes row numbers (with repeats, in no order) and returns the metric of those patients.
    strata : array-like, shape (n,)
        Stratum of each patient (its cohort): every resample has as many patients of each.
    n_resamples : int
        Number of resamples, 2 or more.
    confidence_level : float
        Level of the percentile interval.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    BootstrapEstimate

    Raises
    ------
    InputError
        If labels are missing, there are fewer than two resamples, or the level is not inside
        (0, 1); and what the metric itself raises for the patients as they are. A resample for
        which the metric raises `InputError` counts as one without the metric.

    Notes
    -----
    Efron and Tibshirani (1993), doi:10.1201/9780429246593.

    Examples
    --------
    >>> from times_stats.evaluation import concordance_harrell
    >>> time, event, risk = np.arange(1.0, 9), np.ones(8), np.array([8, 5, 7, 6, 2, 4, 3, 1])
    >>> found = bootstrap_metric(
    ...     lambda rows: concordance_harrell(time[rows], event[rows], risk[rows]),
    ...     ["a", "b"] * 4, n_resamples=200, rng=np.random.default_rng(1))
    >>> round(found.estimate, 3), 0 < found.lower < found.estimate < found.upper <= 1
    (0.857, True)
    """
    probe = np.asarray(strata)
    names, code = group_codes(probe, probe.size, kind="stratum")
    if n_resamples < 2:
        raise InputError(f"n_resamples is {n_resamples}: use 2 or more")
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    members = [np.flatnonzero(code == k) for k in range(len(names))]
    estimate = float(metric(np.arange(code.size)))
    drawn = np.full(n_resamples, np.nan)
    for b in range(n_resamples):
        rows = np.concatenate([rng.choice(own, size=own.size) for own in members])
        try:
            drawn[b] = metric(rows)
        except InputError:
            continue
    defined = drawn[np.isfinite(drawn)]
    if np.isnan(estimate) or defined.size < max(2, (1 - _MOST_UNDEFINED) * n_resamples):
        return BootstrapEstimate(estimate, np.nan, np.nan, np.nan, drawn)
    tail = (1 - confidence_level) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return BootstrapEstimate(
        estimate, float(defined.std(ddof=1)), float(lower), float(upper), drawn
    )


def cohort_metrics(
    metric: Callable[[IntArray], float],
    cohort: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compute a metric in each cohort, with its bootstrap standard error.

    Parameters
    ----------
    metric : callable
        Takes row numbers and returns the metric of those patients.
    cohort : array-like, shape (n,)
        Cohort of each patient.
    n_resamples : int
        Number of resamples of each cohort.
    confidence_level : float
        Level of the percentile intervals.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    DataFrame
        One row per cohort, by name: ``cohort``, ``n``, ``estimate``, ``se``, ``lower``, ``upper``.
        A cohort in which the metric does not exist has NaN: say so beside the pooled value.

    Raises
    ------
    InputError
        As `bootstrap_metric`; what the metric raises in a cohort names that cohort.

    Examples
    --------
    >>> from times_stats.evaluation import concordance_harrell
    >>> time, event, risk = np.arange(1.0, 9), np.ones(8), np.array([8, 5, 7, 6, 2, 4, 3, 1])
    >>> table = cohort_metrics(
    ...     lambda rows: concordance_harrell(time[rows], event[rows], risk[rows]),
    ...     ["a", "b"] * 4, n_resamples=50, rng=np.random.default_rng(1))
    >>> table[["cohort", "n", "estimate"]].round(3)
      cohort  n  estimate
    0      a  4     0.833
    1      b  4     0.833
    """
    probe = np.asarray(cohort)
    names, code = group_codes(probe, probe.size, kind="cohort")
    records = []
    for k, name in enumerate(names):
        rows = np.flatnonzero(code == k)

        def within(chosen: IntArray, rows: IntArray = rows) -> float:
            return metric(rows[chosen])

        try:
            found = bootstrap_metric(
                within,
                np.zeros(rows.size),
                n_resamples=n_resamples,
                confidence_level=confidence_level,
                rng=rng,
            )
        except InputError as error:
            raise InputError(f"cohort {name}: {error}") from error
        records.append(
            {
                "cohort": name,
                "n": rows.size,
                "estimate": found.estimate,
                "se": found.se,
                "lower": found.lower,
                "upper": found.upper,
            }
        )
    return pd.DataFrame.from_records(records)
