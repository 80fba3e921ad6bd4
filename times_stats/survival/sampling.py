"""Compile once, fit many times: nutpie on the model of `build`, same draws whatever the cores."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import pytensor
import xarray as xr

from times_stats._checks import name_rows
from times_stats._typing import IntArray
from times_stats.errors import ConvergenceWarning, InputError
from times_stats.survival.baseline import Baseline, learn_baseline
from times_stats.survival.build import SurvivalData, build_model, data_arrays
from times_stats.survival.diagnostics import Diagnostics, diagnose
from times_stats.survival.draws import data_groups, name_posterior, read_trace
from times_stats.survival.effects import EffectDesign, check_columns, design_effects
from times_stats.survival.outcomes import SurvivalOutcome, read_outcome
from times_stats.survival.result import SurvivalFit
from times_stats.survival.spec import SurvivalSpec

_LARGEST_EVIDENCE = 500.0  # a relative hazard of e^500

__all__ = ["CompiledSurvival", "Diagnostics", "SurvivalFit", "compile_survival", "fit_survival"]


@dataclass(frozen=True, slots=True)
class CompiledSurvival:
    """A compiled model, for data of any size with the same columns and number of cohorts.

    Parameters
    ----------
    spec : SurvivalSpec
        Specification it was compiled for. Only `baseline` and `n_basis` are compiled in.
    columns : MultiIndex
        Marker and region of each coefficient.
    n_cohorts : int
        Cohorts the model has room for.
    design : EffectDesign
        Effects of the columns.
    model : object
        Compiled nutpie model.
    delayed_entry, interval_censoring : bool
        Whether it has room for patients who entered late, and for events found at scans.
    """

    spec: SurvivalSpec
    columns: pd.MultiIndex
    n_cohorts: int
    design: EffectDesign
    model: Any
    delayed_entry: bool = False
    interval_censoring: bool = False


def compile_survival(
    spec: SurvivalSpec,
    *,
    columns: pd.Index,
    n_cohorts: int = 1,
    delayed_entry: bool = False,
    interval_censoring: bool = False,
) -> CompiledSurvival:
    """Compile the survival model once, for every fold and size of data.

    Parameters
    ----------
    spec : SurvivalSpec
        Baseline; priors and sampler settings may differ at each fit.
    columns : MultiIndex
        Levels marker and region of the evidence.
    n_cohorts : int
        Cohorts of the study; a fit may see fewer.
    delayed_entry, interval_censoring : bool
        Whether data may hold patients who entered late, and events found at scans. Either makes
        the model a little slower.

    Returns
    -------
    CompiledSurvival

    Raises
    ------
    InputError
        If the columns are not (marker, region) pairs.

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
    columns = check_columns(columns)
    if n_cohorts < 1:
        raise InputError(f"n_cohorts is {n_cohorts}: use 1 or more")
    time = np.arange(1.0, spec.n_basis + 3)
    event = np.ones(time.size, dtype=np.int64)
    outcome = SurvivalOutcome(time, event, np.zeros(time.size), np.full(time.size, np.nan))
    baseline, _, _ = learn_baseline(outcome, spec)
    data = SurvivalData(
        columns=columns,
        evidence=np.zeros((time.size, len(columns))),
        outcome=outcome,
        cohort=np.zeros(time.size, dtype=np.int64),
        n_cohorts=n_cohorts,
        baseline=baseline,
        delayed_entry=delayed_entry,
        interval_censoring=interval_censoring,
    )
    with pytensor.config.change_flags(numba__fastmath=False):
        model = nutpie.compile_pymc_model(build_model(spec, data))
    design = design_effects(columns)
    return CompiledSurvival(
        spec, columns, n_cohorts, design, model, delayed_entry, interval_censoring
    )


def fit_survival(
    spec: SurvivalSpec,
    evidence: pd.DataFrame,
    y: pd.DataFrame,
    *,
    cohort: pd.Series | None = None,
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
    evidence : DataFrame, patients x (marker, region)
        Out-of-fold evidence z in log-hazard units, made inside the patients fitted on; a missing
        value becomes 0, the average, and is counted.
    y : DataFrame
        Outcome of the same patients, in any order, with ``time`` (months) and ``event``; with
        ``entry`` where some were followed late, and ``time_lower`` and ``time_upper`` where the
        event was found at a scan (see `read_outcome`).
    cohort : Series, optional
        Cohort by patient; one cohort, or none given, leaves cohort effects out.
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
        If patients of the tables differ, there are no events, evidence is infinite, or `compiled`
        is for other columns or another baseline.

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
    columns = check_columns(evidence.columns)
    # Sums round by order: in the order of the identifiers, shuffled rows give the same draws.
    evidence = evidence.iloc[np.argsort(evidence.index.astype(str).to_numpy(dtype=str))]
    outcome = read_outcome(y)[_positions(evidence.index, y.index)]
    names, codes = _cohort_codes(evidence.index, cohort)
    if compiled is None:
        compiled = compile_survival(
            spec,
            columns=columns,
            n_cohorts=len(names),
            delayed_entry=outcome.is_delayed,
            interval_censoring=outcome.has_intervals,
        )
    _check_compiled(compiled, spec, columns, names, outcome)
    z = evidence.to_numpy(dtype=np.float64)
    missing = np.isnan(z)
    huge = (np.isfinite(z) & (np.abs(z) > _LARGEST_EVIDENCE)).any(axis=1)
    if huge.any():
        raise InputError(
            f"evidence is beyond {_LARGEST_EVIDENCE:g} for patient "
            f"{name_rows(evidence.index[huge])}: give log hazards, or standardised values"
        )
    if np.isinf(z).any():
        rows = evidence.index[np.isinf(z).any(axis=1)]
        raise InputError(f"evidence is infinite for patient {name_rows(rows)}: give finite values")
    learned, outcome, used = learn_baseline(outcome, spec, given=baseline)
    data = SurvivalData(
        columns=columns,
        evidence=np.where(missing, 0.0, z)[used],
        outcome=outcome[used],
        cohort=codes[used],
        n_cohorts=compiled.n_cohorts,
        baseline=learned,
        slope_prior=slope_prior,
        delayed_entry=compiled.delayed_entry,
        interval_censoring=compiled.interval_censoring,
    )
    arrays = data_arrays(spec, data, compiled.design)
    in_graph = dict(arrays)
    if not compiled.design.groups and compiled.n_cohorts == 1:
        del in_graph["centred"]  # nothing uses it, so the compiled model does not know it
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
    posterior = name_posterior(draws, columns, compiled.design, compiled.n_cohorts, arrays, names)
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
            **data_groups(data, evidence.index[used]),
        }
    )
    return SurvivalFit(
        spec=spec,
        posterior=tree,
        columns=columns,
        cohorts=names,
        n_cohorts=compiled.n_cohorts,
        baseline=learned,
        diagnostics=diagnostics,
        n=int(used.sum()),
        events=int(data.outcome.has_happened.sum()),
        n_filled=int(missing[used].sum()),
        seed=seed,
        slope_prior=(float(arrays["prior"][0]), float(arrays["prior"][1])),
        centred=(bool(arrays["centred"][0]), bool(arrays["centred"][1])),
    )


def _positions(patients: pd.Index, rows: pd.Index) -> IntArray:
    """Return the row of the outcome that belongs to each patient of the evidence."""
    for name, index in (("evidence", patients), ("outcome", rows)):
        if index.has_duplicates:
            twice = name_rows(index[index.duplicated()])
            raise InputError(f"{name} has more than one row for patient {twice}: keep one each")
    odd = patients.symmetric_difference(rows)
    if len(odd):
        raise InputError(
            f"patient {name_rows(odd)} has evidence or an outcome, not both: give the same patients"
        )
    return rows.get_indexer(patients).astype(np.int64)


def _cohort_codes(index: pd.Index, cohort: pd.Series | None) -> tuple[tuple[str, ...], IntArray]:
    if cohort is None:
        return ("all",), np.zeros(len(index), dtype=np.int64)
    without = index.difference(cohort.index[cohort.notna()])
    if len(without):
        raise InputError(f"cohort is missing for patient {name_rows(without)}: name one for each")
    labels = cohort.loc[index].astype(str).to_numpy(dtype=str)
    names, codes = np.unique(labels, return_inverse=True)
    return tuple(str(name) for name in names), codes.astype(np.int64)


def _check_compiled(
    compiled: CompiledSurvival,
    spec: SurvivalSpec,
    columns: pd.MultiIndex,
    names: tuple[str, ...],
    outcome: SurvivalOutcome,
) -> None:
    if not compiled.columns.equals(columns):
        raise InputError("the model was compiled for other evidence columns: compile it for these")
    if compiled.n_cohorts < len(names):
        raise InputError(
            f"the model was compiled for {compiled.n_cohorts} cohorts and the data have "
            f"{len(names)}: compile it with n_cohorts={len(names)}"
        )
    same_basis = spec.baseline == "weibull" or compiled.spec.n_basis == spec.n_basis
    if compiled.spec.baseline != spec.baseline or not same_basis:
        raise InputError(
            f"the model was compiled for baseline '{compiled.spec.baseline}' with n_basis "
            f"{compiled.spec.n_basis}, not for this one: compile it for this one"
        )
    for needed, has, option in (
        (outcome.is_delayed, compiled.delayed_entry, "delayed_entry"),
        (outcome.has_intervals, compiled.interval_censoring, "interval_censoring"),
    ):
        if needed and not has:
            raise InputError(f"the data need a model compiled with {option}=True: compile it so")
