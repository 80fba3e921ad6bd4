"""The PyMC model: a small graph over `pm.Data`, with the log likelihood in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt

from times_stats._typing import FloatArray
from times_stats.survival.baseline import learn_baseline
from times_stats.survival.covariates import CovariateValues
from times_stats.survival.effects import EffectDesign, design_effects
from times_stats.survival.measurement import POPULATION_PRIOR, cell_values
from times_stats.survival.model_data import SurvivalData, data_arrays, zero_sum_contrasts
from times_stats.survival.outcomes import SurvivalOutcome
from times_stats.survival.spec import SurvivalSpec


def compile_graph(
    spec: SurvivalSpec,
    *,
    columns: pd.MultiIndex,
    n_cohorts: int,
    delayed_entry: bool,
    interval_censoring: bool,
    n_missing: int,
    n_latent: int,
) -> Any:
    """Build the graph on data that only have its shape, and compile it.

    Parameters
    ----------
    spec, columns, n_cohorts, delayed_entry, interval_censoring, n_missing, n_latent
        As in `compile_survival`.

    Returns
    -------
    nutpie.compile_pymc.CompiledPyMCModel
    """
    time = np.arange(1.0, spec.n_basis + 3)
    n, event = time.size, np.ones(time.size, dtype=np.int64)
    outcome = SurvivalOutcome(time, event, np.zeros(n), np.full(n, np.nan))
    baseline, _, _ = learn_baseline(outcome, spec)
    n_ordered = sum(term.is_ordered for term in spec.covariates)
    numbers = np.zeros((n, len(spec.covariates) - n_ordered))
    data = SurvivalData(
        columns=columns,
        evidence=np.zeros((n, len(columns))),
        outcome=outcome,
        cohort=np.zeros(n, dtype=np.int64),
        n_cohorts=n_cohorts,
        baseline=baseline,
        delayed_entry=delayed_entry,
        interval_censoring=interval_censoring,
        covariates=CovariateValues(
            numbers, numbers.astype(np.bool_), np.zeros((n, n_ordered), dtype=np.int64), {}
        ),
        n_missing=n_missing,
        n_latent=n_latent,
    )
    with pytensor.config.change_flags(numba__fastmath=False):
        return nutpie.compile_pymc_model(build_model(spec, data))


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
        Free variables, as far as the model has them: ``slope``, ``effect_scale``,
        ``effect_latent`` and ``column_latent``; ``level``; ``cohort_scale`` and ``cohort_latent``;
        ``cohort_slope_scale`` and ``cohort_slope_latent``; ``covariate_effect``,
        ``covariate_cohort_scale`` and ``covariate_cohort_latent``, ``steps_<covariate>`` and
        ``missing_latent``; ``evidence_mean``, ``evidence_sd`` and ``evidence_latent``;
        ``log_shape``, or ``smoothness`` and ``step_latent``; ``cohort_shape_scale`` and
        ``cohort_shape_latent``.

    Notes
    -----
    The likelihood is a `pm.CustomDist` with :math:`\log p = d \log h(t) - H(t)` per patient; with
    :math:`+ H(t_0)` for one who entered at :math:`t_0`; and with
    :math:`-H(l) + \log(1 - e^{-(H(u) - H(l))})` for an event found between :math:`l` and :math:`u`.
    An effect is ``(latent - c * mean) * scale**(1 - c)`` with ``latent ~ Normal(c * mean,
    scale**c)``: centred for ``c = 1``, non-centred for ``c = 0``; `c` is data, see `centring`.
    Where evidence is uncertain, ``level`` is the log hazard at the centre of the evidence.
    Effects that belong to one column each have the sum of the other effects as their mean, so
    that the latent value is the column's slope; those of cohorts have the level. Effects that
    those columns share stay non-centred. Every other mean is 0: that of steps between ordered
    regions, whose columns have no effect of their own, and of slopes, covariates and shapes by
    cohort.
    """
    design = design_effects(data.columns, region_order=spec.region_order)
    arrays = data_arrays(spec, data, design)
    with pm.Model(check_bounds=False) as model:
        shared = {name: pm.Data(name, value) for name, value in arrays.items()}
        prior, centred = shared["prior"], shared["centred"]
        eta, shift = 0.0, 0.0
        if len(data.columns):
            eta, shift = _evidence_part(spec, data, design, shared)
        level = pm.Normal("level", shift, prior[3])
        eta = level + prior[4] + (eta - shift)
        if spec.covariates:
            eta = eta + _covariate_part(spec, data, shared)
        if data.n_cohorts > 1 and "level" in spec.cohort_effects:
            spread = pm.HalfNormal("cohort_scale", prior[5])
            cohort_effect = _effects("cohort_latent", spread, centred[1], data.n_cohorts, level)
            eta = eta + cohort_effect[shared["cohort"]]
        if spec.baseline == "weibull":
            log_shape: Any = pm.Normal("log_shape", 0.0, prior[6])
            if _differ_in_shape(spec, data):
                log_shape = (log_shape + _shape_deviations(data, shared, 1)[:, 0])[shared["cohort"]]
            log_hazard, cumulative_hazard = _weibull(shared, eta, log_shape)
        else:
            weight = _basis_weights(spec, data, shared)
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


def _evidence_part(
    spec: SurvivalSpec, data: SurvivalData, design: EffectDesign, shared: Mapping[str, Any]
) -> tuple[Any, Any]:
    """Evidence times slopes, those of the patient's cohort where they differ; at the centre too.

    Evidence with a population of its own may lie far from 0. The level is then sampled at its
    centre: the intercept, at 0, would move with every slope.
    """
    prior, centred = shared["prior"], shared["centred"]
    slope = pm.Normal("slope", prior[0], prior[1])
    beta: Any = pt.ones(len(data.columns)) * slope
    if design.groups:
        scale = pm.HalfNormal("effect_scale", prior[2], shape=len(design.groups))
        n_shared, n = design.n_shared, len(design.matrix)
        by_column = n_shared < design.group.size
        if n_shared:
            form: Any = 0.0 if by_column else centred[0]
            effect = _effects("effect_latent", scale[design.group[:n_shared]], form, n_shared)
            beta = slope + (design.matrix[:, :n_shared] * effect).sum(axis=1)
        if by_column:
            beta = beta + _effects("column_latent", scale[-1], centred[0], n, beta)
    z = _latent_evidence(data, shared) if data.n_latent else shared["z"]
    part = (z * beta).sum(axis=1)
    if data.n_cohorts > 1 and "slope" in spec.cohort_effects:
        spread = pm.HalfNormal("cohort_slope_scale", prior[7])
        deviation = _effects("cohort_slope_latent", spread, centred[1], data.n_cohorts)
        part = part + deviation[shared["cohort"]] * z.sum(axis=1)
    return part, (shared["z_centre"] * beta).sum() if data.n_latent else 0.0


def _latent_evidence(data: SurvivalData, shared: Mapping[str, Any]) -> Any:
    """Evidence with its uncertain values as parameters, around the population they come from."""
    mean = pm.Normal("evidence_mean", 0.0, POPULATION_PRIOR, shape=len(data.columns))
    spread = pm.HalfNormal("evidence_sd", POPULATION_PRIOR, shape=len(data.columns))
    raw = pm.Normal("evidence_latent", 0.0, 1.0, shape=data.n_latent)
    column, df = shared["cell_column"], shared["cell_df"]
    value, width = cell_values(
        raw,
        mean[column],
        spread[column],
        shared["cell_z"],
        shared["cell_measured"] / shared["cell_se"] ** 2,
    )
    off = (shared["cell_z"] - value) / shared["cell_se"]
    measured = -0.5 * (df + 1.0) * pt.log1p(off**2 / df)
    # The parameter's own normal density is taken out again, and its change of scale put in.
    density = (
        _normal_density(value, mean[column], spread[column])
        + shared["cell_measured"] * measured
        + pt.log(width)
        + 0.5 * raw**2
    )
    pm.Potential("uncertain", (shared["cell_used"] * density).sum())
    exact = _normal_density(shared["z"], mean, spread)
    pm.Potential("exact", (shared["is_exact"] * exact).sum())
    return shared["z"] + pt.concatenate([pt.zeros(1), value])[shared["cell"]]


def _normal_density(value: Any, mean: Any, sd: Any) -> Any:
    return -0.5 * ((value - mean) / sd) ** 2 - pt.log(sd)


def _covariate_part(spec: SurvivalSpec, data: SurvivalData, shared: Mapping[str, Any]) -> Any:
    """Sum over covariates of an effect times a number, or times the share of the steps climbed."""
    prior = shared["prior"]
    effect = pm.Normal("covariate_effect", 0.0, prior[9], shape=len(spec.covariates))
    numbers: Any = shared.get("numbers")
    if data.n_missing:
        latent = pm.Normal("missing_latent", 0.0, 1.0, shape=data.n_missing)
        numbers = numbers + pt.concatenate([pt.zeros(1), latent])[shared["missing"]]
    by_cohort = [term.name for term in spec.covariates if term.by_cohort]
    if by_cohort and data.n_cohorts > 1:
        spread = pm.HalfNormal("covariate_cohort_scale", prior[7], shape=len(by_cohort))
        deviation = _effects(
            "covariate_cohort_latent",
            spread[:, None],
            shared["centred"][1],
            (len(by_cohort), data.n_cohorts),
        )
    part: Any = 0.0
    n_numeric = n_ordered = 0
    for number, term in enumerate(spec.covariates):
        own = effect[number]
        if term.by_cohort and data.n_cohorts > 1:
            own = own + deviation[by_cohort.index(term.name)][shared["cohort"]]
        if term.is_ordered:
            climbed = _climbed(term.name, len(term.levels))[shared["levels"][:, n_ordered]]
            n_ordered += 1
        else:
            climbed = numbers[:, n_numeric]
            n_numeric += 1
        part = part + own * climbed
    return part


def _climbed(name: str, n_levels: int) -> Any:
    """Share of the way from the lowest to the highest level, by level."""
    if n_levels == 2:
        return pt.as_tensor_variable(np.array([0.0, 1.0]))
    steps = pm.Dirichlet(f"steps_{name}", np.ones(n_levels - 1))
    return pt.concatenate([pt.zeros(1), pt.cumsum(steps)])


def _differ_in_shape(spec: SurvivalSpec, data: SurvivalData) -> bool:
    return data.n_cohorts > 1 and "shape" in spec.cohort_effects


def _shape_deviations(data: SurvivalData, shared: Mapping[str, Any], n_terms: int) -> Any:
    """Deviations of the shape by cohort and term, which sum to zero over the cohorts."""
    spread = pm.HalfNormal("cohort_shape_scale", shared["prior"][8])
    latent = _effects(
        "cohort_shape_latent", spread, shared["centred"][1], (data.n_cohorts - 1, n_terms)
    )
    return (zero_sum_contrasts(data.n_cohorts)[:, :, None] * latent).sum(axis=1)


def _basis_weights(spec: SurvivalSpec, data: SurvivalData, shared: Mapping[str, Any]) -> Any:
    """Weights of the basis, shape (n_basis,), or a row for each cohort where they differ."""
    prior, centred = shared["prior"], shared["centred"]
    smoothness = pm.HalfNormal("smoothness", prior[6])
    steps = pm.Normal(
        "step_latent", 0.0, pt.switch(centred[2] > 0, smoothness, 1.0), shape=spec.n_basis - 1
    )
    walk = (_walk_matrix(spec.n_basis) * steps).sum(axis=1)
    log_weight = shared["log_weight"] + walk * pt.switch(centred[2] > 0, 1.0, smoothness)
    if _differ_in_shape(spec, data):
        deviations = _shape_deviations(data, shared, spec.n_basis - 1)
        own = (deviations[:, None, :] * _walk_matrix(spec.n_basis)).sum(axis=-1)
        raw = pt.exp(log_weight + own)
        return raw / raw.sum(axis=1, keepdims=True)
    raw = pt.exp(log_weight)
    return raw / raw.sum()


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
    before, relative = pt.cumsum(weight, axis=-1) - weight, pt.exp(eta)

    def place(role: str) -> Any:
        interval = shared[f"interval{role}"]
        return interval if weight.ndim == 1 else (shared["cohort"], interval)

    def cumulative(role: str) -> Any:
        at = place(role)
        return relative * (before[at] + weight[at] * shared[f"within{role}"])

    return eta + (pt.log(weight) - shared["log_width"])[place("")], cumulative


def _mspline(shared: Mapping[str, Any], eta: Any, weight: Any) -> tuple[Any, CumulativeHazard]:
    own = weight if weight.ndim == 1 else weight[shared["cohort"]]

    def cumulative(role: str) -> Any:
        return pt.exp(eta) * (shared[f"integral{role}"] * own).sum(axis=1)

    return eta + pt.log((shared["basis"] * own).sum(axis=1)), cumulative


def _effects(
    name: str, scale: Any, centred: Any, size: int | tuple[int, ...], mean: Any = 0.0
) -> Any:
    """Deviations from a mean; centred, the latent value is the mean and the deviation."""
    log_scale = pt.log(scale)
    latent = pm.Normal(name, centred * mean, pt.exp(centred * log_scale), shape=size)
    return (latent - centred * mean) * pt.exp((1.0 - centred) * log_scale)


def _walk_matrix(n_basis: int) -> FloatArray:
    """Cumulative sum of the steps as a matrix; the walk starts at 0, which the softmax absorbs."""
    return np.asarray(np.tril(np.ones((n_basis, n_basis - 1)), -1))
