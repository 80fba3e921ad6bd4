"""From the sampler's raw output to the quantities the model is described by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr

from times_stats._typing import FloatArray, IntArray
from times_stats.survival.build import SurvivalData
from times_stats.survival.effects import EffectDesign

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
    if n_cohorts > 1:
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
    coords = {"patient": np.array(patients.astype(str), dtype=str)}
    outcome = data.outcome
    observed = {"time": outcome.time, "event": outcome.event}
    if data.delayed_entry:
        observed["entry"] = outcome.entry
    if data.interval_censoring:
        observed["time_upper"] = outcome.upper
    return {
        "constant_data": xr.Dataset(
            {
                "evidence": (("patient", "coefficient"), data.evidence),
                "cohort_index": (("patient",), data.cohort),
            },
            coords=coords,
        ),
        "observed_data": xr.Dataset(
            {name: (("patient",), values) for name, values in observed.items()}, coords=coords
        ),
    }
