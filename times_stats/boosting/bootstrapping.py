"""The marker models on bootstrap resamples of the patients: how far each might have been off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import xarray as xr
from joblib import Parallel, delayed
from sklearn.base import clone

from times_stats._checks import as_survival_table
from times_stats._typing import FloatArray, IntArray
from times_stats.boosting.crossfitting import CrossFit, marker_slices
from times_stats.boosting.marker_model import MarkerModel
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng

_LEAST_FITTED = 0.8  # share of the draws on which a marker must have been fitted


@dataclass(frozen=True, slots=True)
class MarkerBootstrap:
    """Marker models fitted on bootstrap resamples of the training patients.

    Parameters
    ----------
    models : tuple of mappings
        ``models[draw][marker]``; a marker that a resample could not carry is absent there.
    margin : DataArray (draw, patient, marker)
        Margin without base value of the rows whose patient the resample left out, in the order of
        the cross-fit; NaN for those it holds and for incomplete markers.
    """

    models: tuple[Mapping[str, MarkerModel], ...]
    margin: xr.DataArray

    @property
    def n_draws(self) -> int:
        """Number of resamples."""
        return len(self.models)

    def out_of_bag_variance(self) -> tuple[FloatArray, FloatArray]:
        """Variance of each margin over the resamples that left its patient out.

        Returns
        -------
        variance, df : ndarray, shape (n_rows, n_markers)
            0 with 0 degrees of freedom where fewer than two resamples speak, and where the marker
            is incomplete.
        """
        return _variance_over_draws(self.margin.to_numpy())

    def predict_variance(self, features: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Variance of the margin of new patients over all resamples.

        Parameters
        ----------
        features : DataFrame
            Columns of the training features.

        Returns
        -------
        variance, df : ndarray, shape (n, n_markers)
            0 with 0 degrees of freedom where the marker is incomplete.
        """
        markers = [str(name) for name in self.margin["marker"].to_numpy()]
        features = features.sort_index(axis=1)
        slices = marker_slices(features.columns)
        margin = np.full((self.n_draws, len(features), len(markers)), np.nan)
        for m, marker in enumerate(markers):
            block = features.iloc[:, slices[marker]]
            for draw, models in enumerate(self.models):
                if marker in models:
                    margin[draw, :, m] = models[marker].predict(block)
        return _variance_over_draws(margin)


def bootstrap_models(
    crossfit: CrossFit,
    features: pd.DataFrame,
    y: pd.DataFrame,
    *,
    groups: object = None,
    n_draws: int = 50,
    seed: int = 0,
    jobs: int = 1,
) -> MarkerBootstrap:
    r"""Fit every marker model of a cross-fit anew on bootstrap resamples of its patients.

    Patients are drawn with replacement within strata of event and cohort, each with all its rows,
    so that every resample has the events of the study; all markers of a draw see the same patients,
    which is what makes the correlation of their errors visible. A margin of a training patient is
    read off the resamples that left the patient out, about :math:`1/e` of them.

    A patient drawn twice is two patients to the booster. Variances therefore speak of training sets
    with some 63 % of the patients in them, and are rather too large; the jackknife over repeats
    (`out_of_fold_margin_variance`) errs in the same direction, and the covering of both is in
    ``benchmarks/coverage/pooling_coverage.txt``.

    Parameters
    ----------
    crossfit : CrossFit
        Its models give the settings of each marker.
    features, y, groups
        What it was made from.
    n_draws : int, default 50
    seed : int, default 0
        Each draw has a stream of its own.
    jobs : int, default 1
        Processes; the result does not depend on it.

    Returns
    -------
    MarkerBootstrap

    Raises
    ------
    InputError
        Fewer than ten draws, or a marker that more than a fifth of the resamples cannot carry.

    References
    ----------
    Efron (1979), doi:10.1214/aos/1176344552; Davison and Hinkley (1997), section 3.5,
    doi:10.1017/CBO9780511802843.

    Examples
    --------
    >>> from times_stats.boosting import crossfit
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(60, 2)), columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 60), "event": 1})
    >>> fit = crossfit(features, y, horizon=24.0, n_folds=2, n_repeats=2)
    >>> bootstrap_models(fit, features, y, n_draws=10).margin.shape
    (10, 60, 1)
    """
    if n_draws < 10:
        raise InputError(f"{n_draws} bootstrap draws give no variance: use n_bootstrap=10 or more")
    order = np.argsort(features.index.to_numpy(), kind="stable")
    table = features.iloc[order].sort_index(axis=1)
    outcome = as_survival_table(y).loc[table.index]
    rows = table.index.to_numpy() if groups is None else np.asarray(groups)[order]
    _, patient = np.unique(rows.astype(str), return_inverse=True)
    keys = [name for name in ("event", "cohort") if name in outcome.columns]
    strata = outcome[keys].astype(str).agg(" / ".join, axis=1).to_numpy()
    task = _Task(
        values=table.to_numpy(dtype=np.float64),
        slices=marker_slices(table.columns),
        columns=cast("pd.MultiIndex", table.columns),
        outcome=outcome,
        patient=patient.astype(np.int64),
        stratum=np.unique(strata, return_inverse=True)[1].astype(np.int64),
        templates=crossfit.models[0][0],
        seed=seed,
    )
    batches = np.array_split(np.arange(n_draws), 1 if jobs == 1 else min(n_draws, 4 * jobs))
    if jobs == 1:
        done = [_fit_draws(task, batches[0])]
    else:
        done = Parallel(n_jobs=jobs, backend="loky")(
            delayed(_fit_draws)(task, batch) for batch in batches
        )
    drawn = [draw for batch in done for draw in batch]
    models = tuple(fitted for fitted, _ in drawn)
    for marker in task.slices:
        n_fitted = sum(marker in fitted for fitted in models)
        if n_fitted < _LEAST_FITTED * n_draws:
            raise InputError(
                f"marker {marker} could be fitted on {n_fitted} of {n_draws} bootstrap resamples "
                "alone: use variance='jackknife', or leave the marker out"
            )
    margin = xr.DataArray(
        np.stack([values for _, values in drawn]),
        coords={
            "draw": np.arange(n_draws),
            "patient": table.index.to_numpy(),
            "marker": list(task.slices),
        },
        dims=("draw", "patient", "marker"),
        name="margin",
    )
    return MarkerBootstrap(models=models, margin=margin)


@dataclass(frozen=True, slots=True)
class _Task:
    """What every draw is fitted from, rows sorted by patient."""

    values: FloatArray
    slices: dict[str, slice]
    columns: pd.MultiIndex
    outcome: pd.DataFrame
    patient: IntArray
    stratum: IntArray
    templates: Mapping[str, MarkerModel]
    seed: int


def _fit_draws(task: _Task, draws: IntArray) -> list[tuple[dict[str, MarkerModel], FloatArray]]:
    return [_fit_draw(task, int(draw)) for draw in draws]


def _fit_draw(task: _Task, draw: int) -> tuple[dict[str, MarkerModel], FloatArray]:
    drawn = _draw_patients(task, spawn_rng(task.seed, "marker bootstrap", draw))
    rows_of = np.split(
        np.argsort(task.patient, kind="stable"), np.bincount(task.patient).cumsum()[:-1]
    )
    row = np.concatenate([rows_of[p] for p in drawn])
    copy = np.repeat(np.arange(drawn.size), [rows_of[p].size for p in drawn])
    left_out = ~np.isin(task.patient, drawn)
    outcome = task.outcome.iloc[row].reset_index(drop=True)
    models: dict[str, MarkerModel] = {}
    margin = np.full((len(task.values), len(task.slices)), np.nan)
    for m, (marker, where) in enumerate(task.slices.items()):
        block = pd.DataFrame(task.values[:, where], columns=task.columns[where])
        sample = block.iloc[row].reset_index(drop=True)
        known = sample.notna().all(axis=1).to_numpy()
        model = cast("MarkerModel", clone(task.templates[marker]))
        try:
            model.fit(sample[known], outcome[known], groups=copy[known])
        except InputError:
            continue  # counted by the caller
        models[marker] = model
        margin[left_out, m] = model.predict(block[left_out])
    return models, margin


def _draw_patients(task: _Task, rng: np.random.Generator) -> IntArray:
    """Draw as many patients of each stratum as it has."""
    stratum = np.zeros(task.patient.max() + 1, dtype=np.int64)
    stratum[task.patient] = task.stratum
    return np.concatenate(
        [
            rng.choice(members, size=members.size)
            for label in np.unique(stratum)
            for members in [np.flatnonzero(stratum == label)]
        ]
    )


def _variance_over_draws(margin: FloatArray) -> tuple[FloatArray, FloatArray]:
    told = ~np.isnan(margin)
    n = told.sum(axis=0)
    values = np.where(told, margin, 0.0)
    mean = values.sum(axis=0) / np.maximum(n, 1)
    squares = np.where(told, (values - mean) ** 2, 0.0).sum(axis=0)
    return squares / np.maximum(n - 1, 1), np.maximum(n - 1, 0).astype(np.float64)
