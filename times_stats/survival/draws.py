"""From the sampler's raw output to the quantities the model is described by."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr

from times_stats._typing import FloatArray, IntArray
from times_stats.survival.effects import EffectDesign
from times_stats.survival.measurement import cell_values
from times_stats.survival.model_data import SurvivalData, zero_sum_contrasts
from times_stats.survival.spec import SurvivalSpec

_STATISTICS = ("diverging", "n_steps", "step_size", "energy", "logp")


def read_trace(trace: Any) -> tuple[dict[str, FloatArray], xr.Dataset]:
    """Read nutpie's Arrow trace, warm-up dropped.

    Parameters
    ----------
    trace : object
        Result of ``nutpie.sample(..., return_raw_trace=True)``. Its own conversion to a DataTree
        costs as much as sampling does at these sizes.

    Returns
    -------
    draws : dict of str to ndarray, shape (n_chains, n_draws, ...)
        Variables of the graph.
    statistics : Dataset
        Dims chain, draw: diverging, n_steps, step_size, energy, logp.
    """
    chains = [
        (pa.record_batch(draws), pa.record_batch(stats))
        for draws, stats in zip(*trace.get_arrow_trace(), strict=True)
    ]
    kept = [~_column(stats, "tuning").astype(bool) for _, stats in chains]
    draws = {
        name: np.stack(
            [_column(batch, name)[rows] for (batch, _), rows in zip(chains, kept, strict=True)]
        ).astype(np.float64)
        for name in chains[0][0].schema.names
    }
    statistics = {
        name: np.stack(
            [_column(batch, name)[rows] for (_, batch), rows in zip(chains, kept, strict=True)]
        )
        for name in _STATISTICS
    }
    coords = {"chain": np.arange(len(kept)), "draw": np.arange(int(kept[0].sum()))}
    return draws, xr.Dataset(
        {name: (("chain", "draw"), values) for name, values in statistics.items()}, coords=coords
    )


def _column(batch: Any, name: str) -> Any:
    """One variable, a row per draw; the shape of an array stands in the field's metadata."""
    column = batch.column(name)
    shape = (batch.schema.field(name).metadata or {}).get(b"shape")
    if shape is None:
        return column.to_numpy(zero_copy_only=False)
    sizes = [int(size) for size in shape.decode().split(",")]
    return column.flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, *sizes)


def name_posterior(
    draws: Mapping[str, FloatArray],
    spec: SurvivalSpec,
    columns: pd.MultiIndex,
    design: EffectDesign,
    n_cohorts: int,
    arrays: Mapping[str, FloatArray | IntArray],
    cohorts: tuple[str, ...],
) -> xr.Dataset:
    """Turn the free variables of the graph into slopes, effects and baseline parameters.

    Parameters
    ----------
    draws : mapping of str to ndarray
        From `read_trace`.
    spec : SurvivalSpec
        What was fitted.
    columns : MultiIndex
        Marker and region of each coefficient.
    design : EffectDesign
        Effects of the columns.
    n_cohorts : int
        Cohorts the model has room for.
    arrays : mapping of str to ndarray
        Data of the fit, from `data_arrays`.
    cohorts : tuple of str
        Cohorts of the training data, which come first.

    Returns
    -------
    Dataset
        See `SurvivalFit.posterior`.
    """
    centred = arrays["centred"]
    n_chains, n_draws = draws["level"].shape
    found = _Quantities(
        {},
        {
            "chain": np.arange(n_chains),
            "draw": np.arange(n_draws),
            "marker": ("coefficient", np.array(columns.get_level_values(0), dtype=str)),
            "region": ("coefficient", np.array(columns.get_level_values(1), dtype=str)),
        },
    )
    if n_cohorts > 1:
        found.coords["cohort"] = np.array(cohorts, dtype=str)
    if len(columns):
        _name_slopes(found, draws, len(columns), design, centred)
    shift = (
        found.values["beta"][1] @ arrays["z_centre"]
        if "z_centre" in arrays and len(columns)
        else 0.0
    )
    found.add("intercept", draws["level"] - shift + arrays["prior"][4])
    _name_cohort_effects(found, draws, spec, centred, len(cohorts))
    _name_covariates(found, draws, spec, centred, len(cohorts))
    if "log_shape" in draws:
        found.add("shape", np.exp(draws["log_shape"]))
    else:
        found.add("smoothness", draws["smoothness"])
        log_weight = _walk(_step_scaled(draws, centred)) + arrays["log_weight"]
        found.add("weight", _softmax(log_weight), "basis")
    if "evidence_latent" in draws:
        used = int(np.sum(arrays["cell_used"]))
        column = arrays["cell_column"]
        value, _ = cell_values(
            draws["evidence_latent"],
            draws["evidence_mean"][..., column],
            draws["evidence_sd"][..., column],
            arrays["cell_z"],
            arrays["cell_measured"] / arrays["cell_se"] ** 2,
        )
        found.add("evidence_mean", draws["evidence_mean"], "coefficient")
        found.add("evidence_sd", draws["evidence_sd"], "coefficient")
        if used:
            found.add("true_evidence", value[..., :used], "evidence_cell")
    if "missing_latent" in draws:
        used = int(np.max(arrays["missing"]))
        if used:  # the room may be empty
            found.add("missing_number", draws["missing_latent"][..., :used], "missing_cell")
    return xr.Dataset(found.values, coords=found.coords)


@dataclass(frozen=True, slots=True)
class _Quantities:
    values: dict[str, tuple[tuple[str, ...], FloatArray]]
    coords: dict[str, Any]

    def add(self, name: str, draws: FloatArray, *dims: str) -> None:
        self.values[name] = (("chain", "draw", *dims), draws)


def _name_slopes(
    found: _Quantities,
    draws: Mapping[str, FloatArray],
    n_columns: int,
    design: EffectDesign,
    centred: FloatArray | IntArray,
) -> None:
    slope = draws["slope"]
    found.add("slope", slope)
    beta = np.repeat(slope[..., None], n_columns, axis=-1)
    if design.groups:
        scale, n_shared = draws["effect_scale"], design.n_shared
        by_column = n_shared < design.group.size
        effect = np.empty((*slope.shape, 0))
        if n_shared:
            power = 1 if by_column else 1 - centred[0]
            effect = draws["effect_latent"] * scale[..., design.group[:n_shared]] ** power
            beta = beta + np.einsum("cde,ke->cdk", effect, design.matrix[:, :n_shared])
        if by_column:
            own = draws["column_latent"] - centred[0] * beta
            own = own * scale[..., -1:] ** (1 - centred[0])
            beta = beta + own
            effect = np.concatenate([effect, own], axis=-1)
        found.add("effect_scale", scale, "effect_group")
        found.add("effect", effect, "effect_label")
        found.coords["effect_group"] = np.array(design.groups, dtype=str)
        found.coords["effect_label"] = np.array(design.labels, dtype=str)
    found.add("beta", beta, "coefficient")


def _name_cohort_effects(
    found: _Quantities,
    draws: Mapping[str, FloatArray],
    spec: SurvivalSpec,
    centred: FloatArray | IntArray,
    n_known: int,
) -> None:
    for scale_name, latent_name, name, mean in (
        ("cohort_scale", "cohort_latent", "cohort_effect", draws["level"]),
        ("cohort_slope_scale", "cohort_slope_latent", "cohort_slope", np.zeros(())),
    ):
        if scale_name in draws:
            scale = draws[scale_name]
            latent = draws[latent_name] - centred[1] * mean[..., None]
            effect = latent * scale[..., None] ** (1 - centred[1])
            found.add(scale_name, scale)
            found.add(name, effect[..., :n_known], "cohort")
    if "cohort_shape_scale" in draws:
        scale = draws["cohort_shape_scale"]
        latent = draws["cohort_shape_latent"] * scale[..., None, None] ** (1 - centred[1])
        contrasts = zero_sum_contrasts(latent.shape[2] + 1)
        deviation = np.einsum("ik,cdkt->cdit", contrasts, latent)[:, :, :n_known]
        found.add("cohort_shape_scale", scale)
        if spec.baseline == "weibull":
            found.add("cohort_shape_effect", deviation[..., 0], "cohort")
        else:
            walk = _walk(deviation)  # a constant added to all log weights changes nothing
            walk = walk - walk.mean(axis=-1, keepdims=True)
            found.add("cohort_shape_effect", walk, "cohort", "basis")


def _name_covariates(
    found: _Quantities,
    draws: Mapping[str, FloatArray],
    spec: SurvivalSpec,
    centred: FloatArray | IntArray,
    n_known: int,
) -> None:
    if not spec.covariates:
        return
    names = [term.name for term in spec.covariates]
    found.coords["covariate"] = np.array(names, dtype=str)
    found.add("covariate_effect", draws["covariate_effect"], "covariate")
    for term in spec.covariates:
        if f"steps_{term.name}" in draws:
            found.add(f"steps_{term.name}", draws[f"steps_{term.name}"], f"{term.name}_step")
            found.coords[f"{term.name}_step"] = np.array(
                [f"{a} to {b}" for a, b in itertools.pairwise(term.levels)], dtype=str
            )
    if "covariate_cohort_scale" in draws:
        scale = draws["covariate_cohort_scale"]
        effect = draws["covariate_cohort_latent"] * scale[..., None] ** (1 - centred[1])
        varying = [term.name for term in spec.covariates if term.by_cohort]
        found.coords["varying_covariate"] = np.array(varying, dtype=str)
        found.add("covariate_cohort_scale", scale, "varying_covariate")
        found.add("covariate_cohort_effect", effect[..., :n_known], "varying_covariate", "cohort")


def _step_scaled(draws: Mapping[str, FloatArray], centred: FloatArray | IntArray) -> FloatArray:
    if centred[2]:
        return draws["step_latent"]
    return np.asarray(draws["step_latent"] * draws["smoothness"][..., None])


def _walk(steps: FloatArray) -> FloatArray:
    """Cumulative sums from 0 along the last axis."""
    walk = np.cumsum(steps, axis=-1)
    return np.concatenate([np.zeros_like(walk[..., :1]), walk], axis=-1)


def _softmax(log_weight: FloatArray) -> FloatArray:
    weight = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def data_groups(data: SurvivalData, patients: pd.Index) -> dict[str, xr.Dataset]:
    """Lay out the training data as ArviZ groups.

    Parameters
    ----------
    data : SurvivalData
        Training data.
    patients : Index
        Their identifiers.

    Returns
    -------
    dict of str to Dataset
        ``constant_data`` and ``observed_data``.
    """
    coords: dict[str, Any] = {"patient": np.array(patients.astype(str), dtype=str)}
    outcome = data.outcome
    observed = {"time": outcome.time, "event": outcome.event}
    if data.delayed_entry:
        observed["entry"] = outcome.entry
    if data.interval_censoring:
        observed["time_upper"] = outcome.upper
    constant: dict[str, Any] = {
        "evidence": (("patient", "coefficient"), data.evidence),
        "cohort_index": (("patient",), data.cohort),
    }
    values = data.covariates
    if values is not None and values.numbers.shape[1]:
        constant["numbers"] = (("patient", "number"), values.numbers)
        constant["number_is_missing"] = (("patient", "number"), values.is_missing)
        coords["number"] = np.array(list(values.scaling), dtype=str)
    if values is not None and values.levels.shape[1]:
        constant["levels"] = (("patient", "ordered"), values.levels)
    if data.error is not None:
        constant["evidence_se"] = (("patient", "coefficient"), data.error.se)
        constant["evidence_df"] = (("patient", "coefficient"), data.error.df)
        constant["evidence_is_missing"] = (("patient", "coefficient"), data.error.is_missing)
    return {
        "constant_data": xr.Dataset(constant, coords=coords),
        "observed_data": xr.Dataset(
            {name: (("patient",), values) for name, values in observed.items()},
            coords={"patient": coords["patient"]},
        ),
    }
