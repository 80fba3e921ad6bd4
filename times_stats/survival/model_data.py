"""Training data as the arrays that a compiled model takes, whatever its engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._typing import FloatArray, IntArray
from times_stats.survival.baseline import (
    Baseline,
    constant_hazard_weights,
    log_hazard_terms,
    piecewise_terms,
)
from times_stats.survival.covariates import CovariateValues
from times_stats.survival.effects import EffectDesign
from times_stats.survival.measurement import EvidenceError, latent_cells
from times_stats.survival.outcomes import SurvivalOutcome
from times_stats.survival.spec import SurvivalSpec


@dataclass(frozen=True, slots=True)
class SurvivalData:
    """Checked training data of one fit, as arrays.

    Parameters
    ----------
    columns : MultiIndex
        Marker and region of each column of `evidence`.
    evidence : ndarray, shape (n, n_coefficients)
        Evidence z, no missing value.
    outcome : SurvivalOutcome
        What is known of the time of each event.
    cohort : ndarray of int, shape (n,)
        Position of the cohort.
    n_cohorts : int
        Cohorts the model has room for.
    baseline : Baseline
        What the baseline learned from these patients.
    slope_prior : tuple of float, optional
        Mean and sd of the common slope, in place of those of the specification.
    delayed_entry, interval_censoring : bool
        Whether the model has room for patients who entered late, and for events found at scans.
    covariates : CovariateValues, optional
        Values of the covariates of the specification.
    error : EvidenceError, optional
        How far the evidence may be off.
    n_missing, n_latent : int
        Missing numbers, and uncertain values of evidence, that the model has room for.
    """

    columns: pd.MultiIndex
    evidence: FloatArray
    outcome: SurvivalOutcome
    cohort: IntArray
    n_cohorts: int
    baseline: Baseline
    slope_prior: tuple[float, float] | None = None
    delayed_entry: bool = False
    interval_censoring: bool = False
    covariates: CovariateValues | None = None
    error: EvidenceError | None = None
    n_missing: int = 0
    n_latent: int = 0


PRIORS = (
    *("slope_mean", "slope_sd", "effect_scale", "intercept_sd", "log_rate", "cohort_scale"),
    *("shape", "cohort_slope_scale", "cohort_shape_scale", "covariate_sd"),
)
"""Entries of the data vector ``prior``."""


def zero_sum_contrasts(n: int) -> FloatArray:
    """Return an orthonormal basis of the vectors of length n that sum to zero (Helmert).

    Parameters
    ----------
    n : int
        2 or more.

    Returns
    -------
    ndarray, shape (n, n - 1)

    Examples
    --------
    >>> zero_sum_contrasts(2).round(3).tolist()
    [[0.707], [-0.707]]
    """
    columns = [
        np.concatenate([np.ones(k), [-float(k)], np.zeros(n - k - 1)]) / np.sqrt(k * (k + 1))
        for k in range(1, n)
    ]
    return np.column_stack(columns)


def data_arrays(
    spec: SurvivalSpec, data: SurvivalData, design: EffectDesign
) -> dict[str, FloatArray | IntArray]:
    """Return every array that changes between fits, under the name the graph knows it by.

    Parameters
    ----------
    spec : SurvivalSpec
        Priors and parameterisation.
    data : SurvivalData
        Training data.
    design : EffectDesign
        Effects of the columns.

    Returns
    -------
    dict of str to ndarray
    """
    slope_mean, slope_sd = data.slope_prior or (spec.prior_slope_mean, spec.prior_slope_sd)
    weibull = spec.baseline == "weibull"
    arrays: dict[str, FloatArray | IntArray] = {
        "z": data.evidence,
        "event": data.outcome.event.astype(np.float64),
        "prior": np.array(
            [
                slope_mean,
                slope_sd,
                spec.prior_effect_scale,
                spec.prior_intercept_sd,
                data.baseline.log_rate,
                spec.prior_cohort_scale,
                spec.prior_shape_sd if weibull else spec.prior_smoothness_scale,
                spec.prior_cohort_slope_scale,
                spec.prior_cohort_shape_scale,
                spec.prior_covariate_sd,
            ]
        ),
        "centred": centring(spec, data, design),
    }
    if data.n_cohorts > 1:
        arrays["cohort"] = data.cohort
    if data.covariates is not None and spec.covariates:
        arrays |= _covariate_arrays(data.covariates, data.n_missing)
    if data.n_latent:
        arrays |= latent_cells(data.evidence, data.error, n_latent=data.n_latent)
    outcome, baseline = data.outcome, data.baseline
    roles = {"": outcome.time}
    if data.delayed_entry:
        roles["_entry"] = outcome.entry
    if data.interval_censoring:
        arrays["found"] = outcome.is_interval.astype(np.float64)
        roles["_upper"] = np.where(outcome.is_interval, outcome.upper, outcome.time)
    if not weibull:
        arrays["log_weight"] = np.log(constant_hazard_weights(baseline))
    if spec.baseline == "piecewise":
        widths = np.diff(np.array(baseline.knots) / baseline.time_scale)
        arrays["log_width"] = np.log(widths)
    for role, time in roles.items():
        scaled = time / baseline.time_scale
        if weibull:  # the log of time 0 is left out of the graph, and its gradient with it
            if role or data.interval_censoring:
                arrays[f"begun{role}"] = (scaled > 0).astype(np.float64)
            arrays[f"log_time{role}"] = np.log(np.where(scaled > 0, scaled, 1.0))
        elif spec.baseline == "piecewise":
            limits = tuple(knot / baseline.time_scale for knot in baseline.knots)
            arrays[f"interval{role}"], arrays[f"within{role}"] = piecewise_terms(scaled, limits)
        else:
            basis, arrays[f"integral{role}"] = log_hazard_terms(baseline, time)
            if not role:
                arrays["basis"] = basis
    return arrays


def centring(spec: SurvivalSpec, data: SurvivalData, design: EffectDesign) -> FloatArray:
    """Choose centred (1) or non-centred (0) effects by the information in the data.

    Parameters
    ----------
    spec : SurvivalSpec
        `parameterisation` and its threshold in events per group.
    data : SurvivalData
        Training data.
    design : EffectDesign
        Effects of the columns.

    Returns
    -------
    ndarray, shape (3,)
        For slopes (events per coefficient), for cohorts (events of the smallest cohort) and for the
        steps of the random walk (events per step).
    """
    if spec.parameterisation != "auto":
        return np.full(3, float(spec.parameterisation == "centred"))
    happened = data.outcome.has_happened
    per_slope = happened.sum() / max(1, design.matrix.shape[0])
    per_cohort = np.bincount(data.cohort, happened, minlength=data.n_cohorts).min()
    per_step = happened.sum() / spec.n_basis
    events = np.array([per_slope, per_cohort, per_step])
    return (events >= spec.events_for_centring).astype(np.float64)


def _covariate_arrays(values: CovariateValues, n_missing: int) -> dict[str, FloatArray | IntArray]:
    arrays: dict[str, FloatArray | IntArray] = {}
    if values.numbers.shape[1]:
        arrays["numbers"] = values.numbers
    if values.levels.shape[1]:
        arrays["levels"] = values.levels
    if n_missing:  # position of each missing number among the parameters, from 1
        place = np.cumsum(values.is_missing.ravel()).reshape(values.is_missing.shape)
        arrays["missing"] = np.where(values.is_missing, place, 0).astype(np.int64)
    return arrays
