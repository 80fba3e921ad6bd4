"""The PyMC model: a small graph over `pm.Data`, with the log likelihood in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt

from times_stats._typing import FloatArray, IntArray
from times_stats.survival.baseline import (
    Baseline,
    constant_hazard_weights,
    log_hazard_terms,
    piecewise_terms,
)
from times_stats.survival.effects import EffectDesign, design_effects
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


def build_model(spec: SurvivalSpec, data: SurvivalData) -> Any:
    r"""Build the PyMC model of `SurvivalSpec` on the data.

    Parameters
    ----------
    spec : SurvivalSpec
        Baseline and priors. Only `baseline` and `n_basis` shape the graph: every prior enters as
        data, so one compilation serves them all.
    data : SurvivalData
        Training data; their number of rows is not fixed.

    Returns
    -------
    pymc.Model
        Free variables: ``slope``, ``effect_scale`` and ``effect_latent``, ``cohort_scale`` and
        ``cohort_latent`` (as far as identified), ``level``, and ``log_shape`` or ``smoothness`` and
        ``step_latent``.

    Notes
    -----
    The likelihood is a `pm.CustomDist` with :math:`\log p = d \log h(t) - H(t)` per patient; with
    :math:`+ H(t_0)` for one who entered at :math:`t_0`; and with
    :math:`-H(l) + \log(1 - e^{-(H(u) - H(l))})` for an event found between :math:`l` and :math:`u`.
    An effect is ``latent * scale**(1 - c)`` with ``latent ~ Normal(0, scale**c)``: centred for
    ``c = 1``, non-centred for ``c = 0``; `c` is data, see `centring`.
    """
    design = design_effects(data.columns)
    arrays = data_arrays(spec, data, design)
    with pm.Model(check_bounds=False) as model:
        shared = {name: pm.Data(name, value) for name, value in arrays.items()}
        prior, centred = shared["prior"], shared["centred"]
        slope = pm.Normal("slope", prior[0], prior[1])
        beta: Any = pt.ones(len(data.columns)) * slope
        if design.groups:
            scale = pm.HalfNormal("effect_scale", prior[2], shape=len(design.groups))
            effect = _effects("effect_latent", scale[design.group], centred[0], design.group.size)
            beta = slope + (design.matrix * effect).sum(axis=1)
        eta = pm.Normal("level", 0.0, prior[3]) + prior[4] + (shared["z"] * beta).sum(axis=1)
        if data.n_cohorts > 1:
            spread = pm.HalfNormal("cohort_scale", prior[5])
            cohort_effect = _effects("cohort_latent", spread, centred[1], data.n_cohorts)
            eta = eta + cohort_effect[shared["cohort"]]
        if spec.baseline == "weibull":
            log_shape = pm.Normal("log_shape", 0.0, prior[6])
            log_hazard, cumulative_hazard = _weibull(shared, eta, log_shape)
        else:
            smoothness = pm.HalfNormal("smoothness", prior[6])
            steps = pm.Normal("step_latent", 0.0, 1.0, shape=spec.n_basis - 1)
            walk = (_walk_matrix(spec.n_basis) * steps).sum(axis=1) * smoothness
            raw = pt.exp(shared["log_weight"] + walk)
            weight = raw / raw.sum()
            form = _piecewise if spec.baseline == "piecewise" else _mspline
            log_hazard, cumulative_hazard = form(shared, eta, weight)
        terms = [log_hazard, cumulative_hazard("")]
        if data.delayed_entry:
            terms[1] = terms[1] - cumulative_hazard("_entry")
        if data.interval_censoring:
            found = shared["found"]
            more = cumulative_hazard("_upper") - cumulative_hazard("")
            terms.append(found * pt.log(-pt.expm1(-pt.switch(found > 0, more, 1.0))))
        pm.CustomDist("outcome", *terms, logp=_logp, observed=shared["event"])
    return model


def _logp(event: Any, log_hazard: Any, at_risk: Any, *found: Any) -> Any:
    """Log density from the log hazard, the cumulative hazard since entry, and that of a find."""
    return sum(found, event * log_hazard - at_risk)


type CumulativeHazard = Callable[[str], Any]


def _weibull(shared: Mapping[str, Any], eta: Any, log_shape: Any) -> tuple[Any, CumulativeHazard]:
    """Log hazard at the time, and the cumulative hazard up to the time of a role."""
    shape = pt.exp(log_shape)
    log_hazard = eta + log_shape + (shape - 1.0) * shared["log_time"]

    def cumulative(role: str) -> Any:
        begun = shared.get(f"begun{role}", 1.0)
        return begun * pt.exp(eta + shape * shared[f"log_time{role}"])

    return log_hazard, cumulative


def _piecewise(shared: Mapping[str, Any], eta: Any, weight: Any) -> tuple[Any, CumulativeHazard]:
    before, relative = pt.cumsum(weight) - weight, pt.exp(eta)

    def cumulative(role: str) -> Any:
        interval = shared[f"interval{role}"]
        return relative * (before[interval] + weight[interval] * shared[f"within{role}"])

    return eta + (pt.log(weight) - shared["log_width"])[shared["interval"]], cumulative


def _mspline(shared: Mapping[str, Any], eta: Any, weight: Any) -> tuple[Any, CumulativeHazard]:
    def cumulative(role: str) -> Any:
        return pt.exp(eta) * (shared[f"integral{role}"] * weight).sum(axis=1)

    return eta + pt.log((shared["basis"] * weight).sum(axis=1)), cumulative


def _effects(name: str, scale: Any, centred: Any, size: int) -> Any:
    log_scale = pt.log(scale)
    latent = pm.Normal(name, 0.0, pt.exp(centred * log_scale), shape=size)
    return latent * pt.exp((1.0 - centred) * log_scale)


def _walk_matrix(n_basis: int) -> FloatArray:
    """Cumulative sum of the steps as a matrix; the walk starts at 0, which the softmax absorbs."""
    return np.asarray(np.tril(np.ones((n_basis, n_basis - 1)), -1))


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
            ]
        ),
        "centred": centring(spec, data, design),
    }
    if data.n_cohorts > 1:
        arrays["cohort"] = data.cohort
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
    ndarray, shape (2,)
        For slopes (events per coefficient) and for cohorts (events of the smallest cohort).
    """
    if spec.parameterisation != "auto":
        return np.full(2, float(spec.parameterisation == "centred"))
    happened = data.outcome.has_happened
    per_slope = happened.sum() / max(1, design.matrix.shape[0])
    per_cohort = np.bincount(data.cohort, happened, minlength=data.n_cohorts).min()
    return (np.array([per_slope, per_cohort]) >= spec.events_for_centring).astype(np.float64)
