"""Compile once, fit many times: nutpie on the model of `build`, same draws whatever the cores."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import nutpie
import pandas as pd
import xarray as xr

from times_stats.errors import ConvergenceWarning, InputError
from times_stats.survival.baseline import Baseline, learn_baseline
from times_stats.survival.diagnostics import Diagnostics, diagnose
from times_stats.survival.draws import data_groups, name_posterior, read_trace
from times_stats.survival.effects import EffectDesign, check_columns, design_effects
from times_stats.survival.inputs import FitInputs, read_inputs
from times_stats.survival.kernel import compile_kernel
from times_stats.survival.model_data import SurvivalData, data_arrays
from times_stats.survival.result import SurvivalFit
from times_stats.survival.spec import SurvivalSpec

__all__ = ["CompiledSurvival", "Diagnostics", "SurvivalFit", "compile_survival", "fit_survival"]


@dataclass(frozen=True, slots=True)
class CompiledSurvival:
    """A compiled model, for data of any size with the same columns and number of cohorts.

    Parameters
    ----------
    spec : SurvivalSpec
        Specification it was compiled for. Only its `structure` is compiled in.
    columns : MultiIndex
        Marker and region of each coefficient.
    n_cohorts : int
        Cohorts the model has room for.
    design : EffectDesign
        Effects of the columns.
    model : object
        Compiled nutpie model.
    inputs : frozenset of str, optional
        Data vectors the model knows; all, if None.
    delayed_entry, interval_censoring : bool
        Whether it has room for patients who entered late, and for events found at scans.
    n_missing, n_latent : int
        Missing numbers, and uncertain values of evidence, that it has room for.
    """

    spec: SurvivalSpec
    columns: pd.MultiIndex
    n_cohorts: int
    design: EffectDesign
    model: Any
    inputs: frozenset[str] | None
    delayed_entry: bool = False
    interval_censoring: bool = False
    n_missing: int = 0
    n_latent: int = 0


def compile_survival(
    spec: SurvivalSpec,
    *,
    columns: pd.Index | None = None,
    n_cohorts: int = 1,
    delayed_entry: bool = False,
    interval_censoring: bool = False,
    n_missing: int = 0,
    n_latent: int = 0,
    engine: Literal["graph", "kernel"] = "graph",
) -> CompiledSurvival:
    """Compile the survival model once, for every fold and size of data.

    Parameters
    ----------
    spec : SurvivalSpec
        Baseline, covariates, effects; priors and sampler settings may differ at each fit.
    columns : MultiIndex, optional
        Levels marker and region of the evidence; none for a model of covariates alone.
    n_cohorts : int
        Cohorts of the study; a fit may see fewer.
    delayed_entry, interval_censoring : bool
        Whether data may hold patients who entered late, and events found at scans. Either makes
        the model a little slower.
    n_missing, n_latent : int
        Missing numbers of covariates, and uncertain values of evidence, at most.
    engine : {"graph", "kernel"}
        ``graph``: the PyMC graph, compiled by nutpie, which knows every option. ``kernel``: the
        same density in loops whose machine code is kept on disk, so that a new process need not
        compile; evidence and levels of cohorts only. Draws of the two differ by how sums round.

    Returns
    -------
    CompiledSurvival

    Raises
    ------
    InputError
        If the columns are not (marker, region) pairs, or the kernel has no room for an option.

    Notes
    -----
    The code is compiled without fast-math: with it, a first run and a later one that takes the
    code from the disk cache round differently, and chains of the same seed part ways.

    Examples
    --------
    >>> from times_stats.survival import SurvivalSpec, compile_survival, fit_survival
    >>> compiled = compile_survival(SurvivalSpec(), columns=evidence.columns)  # doctest: +SKIP
    >>> fit_survival(SurvivalSpec(), evidence, y, compiled=compiled)  # doctest: +SKIP
    """
    columns = check_columns(
        pd.Index([]) if columns is None else columns, may_be_empty=bool(spec.covariates)
    )
    if n_cohorts < 1:
        raise InputError(f"n_cohorts is {n_cohorts}: use 1 or more")
    if engine == "kernel":
        if n_missing or n_latent:
            raise InputError("the kernel has no room for values that are not known: use 'graph'")
        inputs: frozenset[str] | None = None
        model: Any = compile_kernel(
            spec,
            columns=columns,
            n_cohorts=n_cohorts,
            delayed_entry=delayed_entry,
            interval_censoring=interval_censoring,
        )
    elif engine == "graph":
        # PyMC takes seconds to import, which a process with the kernel need not wait for.
        from times_stats.survival.build import compile_graph

        model = compile_graph(
            spec,
            columns=columns,
            n_cohorts=n_cohorts,
            delayed_entry=delayed_entry,
            interval_censoring=interval_censoring,
            n_missing=n_missing,
            n_latent=n_latent,
        )
        inputs = frozenset(str(variable.name) for variable in model.shared_var_keys)
    else:
        raise InputError(f"engine is '{engine}': use 'graph' or 'kernel'")
    return CompiledSurvival(
        spec=spec,
        columns=columns,
        n_cohorts=n_cohorts,
        design=design_effects(columns, region_order=spec.region_order),
        model=model,
        inputs=inputs,
        delayed_entry=delayed_entry,
        interval_censoring=interval_censoring,
        n_missing=n_missing,
        n_latent=n_latent,
    )


def fit_survival(
    spec: SurvivalSpec,
    evidence: pd.DataFrame | None,
    y: pd.DataFrame,
    *,
    cohort: pd.Series | None = None,
    covariates: pd.DataFrame | None = None,
    evidence_se: pd.DataFrame | None = None,
    n_tiles: pd.DataFrame | None = None,
    seed: int = 0,
    compiled: CompiledSurvival | None = None,
    cores: int = 1,
    slope_prior: tuple[float, float] | None = None,
    baseline: Baseline | None = None,
) -> SurvivalFit:
    """Fit the survival model to cross-fitted evidence.

    Parameters
    ----------
    spec : SurvivalSpec
        Model, priors, sampler settings and gate.
    evidence : DataFrame, patients x (marker, region), or None
        Out-of-fold evidence z in log-hazard units, made inside the patients fitted on; a missing
        value becomes 0, the average, and is counted. None: a model of the covariates alone.
    y : DataFrame
        Outcome of the same patients, in any order, with ``time`` (months) and ``event``; with
        ``entry`` where some were followed late, and ``time_lower`` and ``time_upper`` where the
        event was found at a scan (see `read_outcome`).
    cohort : Series, optional
        Cohort by patient; one cohort, or none given, leaves cohort effects out.
    covariates : DataFrame, optional
        A column for each covariate of the specification (see `Covariate`), by patient.
    evidence_se, n_tiles : DataFrame, optional
        Standard error of each value of the evidence from the variance between its tiles, and the
        number of these, with the columns of the evidence. The true value is then a parameter,
        normal in the population, and the measured one is off by a t distribution with one degree
        of freedom less than there are tiles. Missing evidence is drawn from the population. Where
        the standard error is 0 or missing, the evidence is taken as exact. The population has a
        Normal(0, 1/2) mean and a half-normal(1/2) sd in each column, all cohorts together: evidence
        in log hazards. Bring other values to such a scale first.
    seed : int
        Same seed, same draws, whatever `cores`.
    compiled : CompiledSurvival, optional
        From `compile_survival`; compiled on the spot if left out.
    cores : int
        Chains run at the same time.
    slope_prior : tuple of float, optional
        Mean and sd of the prior of the common slope, in place of the specification's: (0, .5) for
        raw region values in place of evidence. No new compilation.
    baseline : Baseline, optional
        Scale, crude rate and knots, in place of those learned from these patients: for fits that
        must share them, and for simulations from the prior, which refers to them.

    Returns
    -------
    SurvivalFit
        With ``diagnostics.status`` "converged" or "failed".

    Raises
    ------
    InputError
        If patients of the tables differ, there are no events, evidence is infinite, a covariate is
        missing or not as the specification says, or `compiled` is for another model.

    Warns
    -----
    ConvergenceWarning
        If the fit failed its gate.

    Notes
    -----
    The posterior is conditional on the evidence. Performance must come from an outer loop in which
    the evidence was remade: fitted and judged on the same evidence, pure noise reaches a
    concordance well above .5.

    Examples
    --------
    >>> from times_stats.survival import SurvivalSpec, fit_survival
    >>> fit_survival(SurvivalSpec(), evidence, y).diagnostics.status  # doctest: +SKIP
    'converged'
    """
    inputs = read_inputs(
        spec,
        evidence,
        y,
        cohort=cohort,
        covariates=covariates,
        evidence_se=evidence_se,
        n_tiles=n_tiles,
    )
    needs = _needs(inputs)
    if compiled is None:
        compiled = compile_survival(spec, columns=inputs.columns, **needs)
    _check_compiled(compiled, spec, inputs, needs)
    learned, outcome, used = learn_baseline(inputs.outcome, spec, given=baseline)
    data = SurvivalData(
        columns=inputs.columns,
        evidence=inputs.evidence[used],
        outcome=outcome[used],
        cohort=inputs.cohort[used],
        n_cohorts=compiled.n_cohorts,
        baseline=learned,
        slope_prior=slope_prior,
        delayed_entry=compiled.delayed_entry,
        interval_censoring=compiled.interval_censoring,
        covariates=inputs.covariates[used],
        error=None if inputs.error is None else inputs.error[used],
        n_missing=compiled.n_missing,
        n_latent=compiled.n_latent,
    )
    arrays = data_arrays(spec, data, compiled.design)
    known = arrays if compiled.inputs is None else compiled.inputs
    in_graph = {name: values for name, values in arrays.items() if name in known}
    trace = nutpie.sample(
        compiled.model.with_data(**in_graph),
        draws=spec.draws,
        tune=spec.tune,
        chains=spec.chains,
        cores=min(cores, spec.chains),
        seed=seed,
        target_accept=spec.target_accept,
        save_warmup=False,
        progress_bar=False,
        return_raw_trace=True,
    )
    draws, statistics = read_trace(trace)
    names, centred = inputs.cohorts, arrays["centred"]
    posterior = name_posterior(
        draws, spec, inputs.columns, compiled.design, compiled.n_cohorts, arrays, names
    )
    diagnostics = diagnose(
        posterior.drop_vars("effect", errors="ignore"), statistics["diverging"].to_numpy(), spec
    )
    if diagnostics.status == "failed":
        warnings.warn(
            "the survival model failed its convergence gate: " + "; ".join(diagnostics.reasons),
            ConvergenceWarning,
            stacklevel=2,
        )
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": statistics,
            **data_groups(data, inputs.patients[used]),
        }
    )
    return SurvivalFit(
        spec=spec,
        posterior=tree,
        columns=inputs.columns,
        cohorts=names,
        n_cohorts=compiled.n_cohorts,
        baseline=learned,
        diagnostics=diagnostics,
        n=int(used.sum()),
        events=int(data.outcome.has_happened.sum()),
        n_filled=0 if inputs.error is not None else int(inputs.is_missing[used].sum()),
        n_modelled=int(data.covariates.is_missing.sum()) if data.covariates else 0,
        scaling=dict(inputs.covariates.scaling),
        seed=seed,
        slope_prior=(float(arrays["prior"][0]), float(arrays["prior"][1])),
        centred=(bool(centred[0]), bool(centred[1]), bool(centred[2])),
    )


class _Needs(TypedDict):
    n_cohorts: int
    delayed_entry: bool
    interval_censoring: bool
    n_missing: int
    n_latent: int


def _needs(inputs: FitInputs) -> _Needs:
    """Say what the data ask of a compiled model."""
    return _Needs(
        n_cohorts=len(inputs.cohorts),
        delayed_entry=inputs.outcome.is_delayed,
        interval_censoring=inputs.outcome.has_intervals,
        n_missing=int(inputs.covariates.is_missing.sum()),
        n_latent=0 if inputs.error is None else int(inputs.error.is_latent.sum()),
    )


def _check_compiled(
    compiled: CompiledSurvival, spec: SurvivalSpec, inputs: FitInputs, needs: _Needs
) -> None:
    if not compiled.columns.equals(inputs.columns):
        raise InputError("the model was compiled for other evidence columns: compile it for these")
    if compiled.n_cohorts < needs["n_cohorts"]:
        raise InputError(
            f"the model was compiled for {compiled.n_cohorts} cohorts and the data have "
            f"{needs['n_cohorts']}: compile it with n_cohorts={needs['n_cohorts']}"
        )
    if compiled.spec.baseline != spec.baseline or compiled.spec.structure[:2] != spec.structure[:2]:
        raise InputError(
            f"the model was compiled for baseline '{compiled.spec.baseline}' with n_basis "
            f"{compiled.spec.n_basis}, not for this one: compile it for this one"
        )
    if compiled.spec.structure != spec.structure:
        raise InputError(
            "the model was compiled for other covariates, cohort effects or another order of the "
            "regions: compile it for this specification"
        )
    for option, needed, has in (
        ("delayed_entry", needs["delayed_entry"], compiled.delayed_entry),
        ("interval_censoring", needs["interval_censoring"], compiled.interval_censoring),
    ):
        if needed and not has:
            raise InputError(f"the data need a model compiled with {option}=True: compile it so")
    for name, count, room in (
        ("n_missing", needs["n_missing"], compiled.n_missing),
        ("n_latent", needs["n_latent"], compiled.n_latent),
    ):
        if count > room:
            raise InputError(
                f"the data need a model compiled with {name}={count}, and it has {room}: "
                "compile it with more"
            )
