"""Compile once, fit many times: nutpie on the model of `build`, same draws whatever the cores."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import pytensor
import xarray as xr

from times_stats._checks import as_survival_table, name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import ConvergenceWarning, InputError
from times_stats.survival.baseline import learn_baseline
from times_stats.survival.build import SurvivalData, build_model, data_arrays
from times_stats.survival.diagnostics import Diagnostics, diagnose
from times_stats.survival.effects import EffectDesign, check_columns, design_effects
from times_stats.survival.result import SurvivalFit
from times_stats.survival.spec import SurvivalSpec

__all__ = ["CompiledSurvival", "Diagnostics", "SurvivalFit", "compile_survival", "fit_survival"]

_STATISTICS = ("diverging", "n_steps", "step_size", "energy", "logp")


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
    """

    spec: SurvivalSpec
    columns: pd.MultiIndex
    n_cohorts: int
    design: EffectDesign
    model: Any


def compile_survival(
    spec: SurvivalSpec, *, columns: pd.Index, n_cohorts: int = 1
) -> CompiledSurvival:
    """Compile the survival model once, for all folds, resamples and sizes.

    Parameters
    ----------
    spec : SurvivalSpec
        Baseline; priors and sampler settings may differ at each fit.
    columns : MultiIndex
        Levels marker and region of the evidence.
    n_cohorts : int
        Cohorts of the study; a fit may see fewer.

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
    """
    columns = check_columns(columns)
    if n_cohorts < 1:
        raise InputError(f"n_cohorts is {n_cohorts}: use 1 or more")
    time = np.arange(1.0, spec.n_basis + 3)
    event = np.ones(time.size, dtype=np.int64)
    baseline, _, _ = learn_baseline(time, event, spec)
    data = SurvivalData(
        columns=columns,
        evidence=np.zeros((time.size, len(columns))),
        time=time,
        event=event,
        cohort=np.zeros(time.size, dtype=np.int64),
        n_cohorts=n_cohorts,
        baseline=baseline,
    )
    with pytensor.config.change_flags(numba__fastmath=False):
        model = nutpie.compile_pymc_model(build_model(spec, data))
    return CompiledSurvival(spec, columns, n_cohorts, design_effects(columns), model)


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
        Outcome of the same patients, in any order, with ``time`` (months) and ``event``.
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
    concordance of .62.
    """
    columns = check_columns(evidence.columns)
    # Sums round by order: in the order of the identifiers, shuffled rows give the same draws.
    evidence = evidence.iloc[np.argsort(evidence.index.astype(str).to_numpy(dtype=str))]
    table = _aligned(evidence, as_survival_table(y))
    names, codes = _cohort_codes(evidence.index, cohort)
    if compiled is None:
        compiled = compile_survival(spec, columns=columns, n_cohorts=len(names))
    _check_compiled(compiled, spec, columns, names)
    z = evidence.to_numpy(dtype=np.float64)
    missing = np.isnan(z)
    if np.isinf(z).any():
        rows = evidence.index[np.isinf(z).any(axis=1)]
        raise InputError(f"evidence is infinite for patient {name_rows(rows)}: give finite values")
    event = table["event"].to_numpy()
    baseline, time, used = learn_baseline(table["time"].to_numpy(), event, spec)
    data = SurvivalData(
        columns=columns,
        evidence=np.where(missing, 0.0, z)[used],
        time=time[used],
        event=event[used],
        cohort=codes[used],
        n_cohorts=compiled.n_cohorts,
        baseline=baseline,
        slope_prior=slope_prior,
    )
    arrays = data_arrays(spec, data, compiled.design)
    sample = nutpie.sample(
        compiled.model.with_data(**arrays),
        draws=spec.draws,
        tune=spec.tune,
        chains=spec.chains,
        cores=min(cores, spec.chains),
        seed=seed,
        target_accept=spec.target_accept,
        save_warmup=False,
        progress_bar=False,
    )
    posterior = _named_posterior(sample["posterior"].to_dataset(), compiled, arrays, names)
    statistics = sample["sample_stats"].to_dataset()
    statistics = statistics[[name for name in _STATISTICS if name in statistics]]
    diagnostics = diagnose(posterior, statistics["diverging"].to_numpy(), spec)
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
            **_data_groups(data, evidence.index[used]),
        }
    )
    return SurvivalFit(
        spec=spec,
        posterior=tree,
        columns=columns,
        cohorts=names,
        n_cohorts=compiled.n_cohorts,
        baseline=baseline,
        diagnostics=diagnostics,
        n=int(used.sum()),
        events=int(data.event.sum()),
        n_filled=int(missing[used].sum()),
        seed=seed,
        slope_prior=(float(arrays["prior"][0]), float(arrays["prior"][1])),
        centred=(bool(arrays["centred"][0]), bool(arrays["centred"][1])),
    )


def _aligned(evidence: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    for name, index in (("evidence", evidence.index), ("outcome", y.index)):
        if index.has_duplicates:
            rows = name_rows(index[index.duplicated()])
            raise InputError(f"{name} has more than one row for patient {rows}: keep one each")
    odd = evidence.index.symmetric_difference(y.index)
    if len(odd):
        raise InputError(
            f"patient {name_rows(odd)} has evidence or an outcome, not both: give the same patients"
        )
    return y.loc[evidence.index]


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
    compiled: CompiledSurvival, spec: SurvivalSpec, columns: pd.MultiIndex, names: tuple[str, ...]
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
            f"the model was compiled for baseline '{compiled.spec.baseline}' with "
            f"{compiled.spec.n_basis} splines, not for this one: compile it for this one"
        )


def _named_posterior(
    raw: xr.Dataset,
    compiled: CompiledSurvival,
    arrays: Mapping[str, FloatArray | IntArray],
    cohorts: tuple[str, ...],
) -> xr.Dataset:
    """Turn the free variables of the graph into the quantities the model is described by."""
    draws = {str(name): raw[name].to_numpy() for name in raw.data_vars}
    design, columns, centred = compiled.design, compiled.columns, arrays["centred"]
    by_draw = ("chain", "draw")
    slope = draws["slope"]
    found: dict[str, tuple[tuple[str, ...], FloatArray]] = {"slope": (by_draw, slope)}
    beta = np.repeat(slope[..., None], len(columns), axis=-1)
    coords: dict[str, Any] = {
        "chain": np.arange(slope.shape[0]),
        "draw": np.arange(slope.shape[1]),
        "marker": ("coefficient", np.array(columns.get_level_values(0), dtype=str)),
        "region": ("coefficient", np.array(columns.get_level_values(1), dtype=str)),
    }
    if design.groups:
        scale = draws["effect_scale"]
        effect = draws["effect_latent"] * scale[..., design.group] ** (1 - centred[0])
        beta = beta + np.einsum("cde,ke->cdk", effect, design.matrix)
        found["effect_scale"] = ((*by_draw, "effect_group"), scale)
        found["effect"] = ((*by_draw, "effect_label"), effect)
        coords["effect_group"] = np.array(design.groups, dtype=str)
        coords["effect_label"] = np.array(design.labels, dtype=str)
    found["beta"] = ((*by_draw, "coefficient"), beta)
    found["intercept"] = (by_draw, draws["level"] + arrays["prior"][4])
    if compiled.n_cohorts > 1:
        scale = draws["cohort_scale"]
        effect = draws["cohort_latent"] * scale[..., None] ** (1 - centred[1])
        found["cohort_scale"] = (by_draw, scale)
        found["cohort_effect"] = ((*by_draw, "cohort"), effect[..., : len(cohorts)])
        coords["cohort"] = np.array(cohorts, dtype=str)
    if "log_shape" in draws:
        found["shape"] = (by_draw, np.exp(draws["log_shape"]))
    else:
        found["smoothness"] = (by_draw, draws["smoothness"])
        found["weight"] = ((*by_draw, "basis"), _spline_weights(draws, arrays["log_weight"]))
    return xr.Dataset(found, coords=coords)


def _spline_weights(
    draws: Mapping[str, FloatArray], log_weight: FloatArray | IntArray
) -> FloatArray:
    walk = np.cumsum(draws["step_latent"], axis=-1) * draws["smoothness"][..., None]
    walk = np.concatenate([np.zeros_like(walk[..., :1]), walk], axis=-1) + log_weight
    weight = np.exp(walk - walk.max(axis=-1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def _data_groups(data: SurvivalData, patients: pd.Index) -> dict[str, xr.Dataset]:
    coords = {"patient": np.array(patients.astype(str), dtype=str)}
    return {
        "constant_data": xr.Dataset(
            {
                "evidence": (("patient", "coefficient"), data.evidence),
                "cohort_index": (("patient",), data.cohort),
            },
            coords=coords,
        ),
        "observed_data": xr.Dataset(
            {"time": (("patient",), data.time), "event": (("patient",), data.event)}, coords=coords
        ),
    }
