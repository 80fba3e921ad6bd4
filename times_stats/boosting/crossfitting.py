"""Cross-fitting: every patient's evidence comes from models that never saw the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import xarray as xr
from joblib import Parallel, delayed
from sklearn.base import clone

from times_stats._checks import as_survival_table, name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.boosting.constraints import directions_of_marker, read_directions
from times_stats.boosting.marker_model import MarkerEvidence, MarkerModel
from times_stats.errors import InputError
from times_stats.resampling import assign_folds, check_folds, spawn_rng

type FoldModels = Sequence[Sequence[Mapping[str, MarkerModel]]]


@dataclass(frozen=True, slots=True)
class CrossFit:
    """Cross-fitted evidence of every marker, and the models that made it.

    Parameters
    ----------
    markers : tuple of str
    columns : MultiIndex
        Columns (marker, region) of the features, sorted.
    folds : ndarray of int, shape (n_repeats, n_patients)
        Fold in which each patient was held out, patients sorted.
    margin : DataArray (repeat, patient, marker)
        Out-of-fold margin without base value; NaN where the marker is incomplete.
    probability : DataArray (repeat, patient, marker)
        Out-of-fold probability of the event by the horizon.
    attribution : DataArray (repeat, patient, feature)
        Out-of-fold TreeSHAP values in the order of `columns`.
    models : nested sequences
        ``models[repeat][fold][marker]``.
    horizon : float
        Months.
    """

    markers: tuple[str, ...]
    columns: pd.MultiIndex
    folds: IntArray
    margin: xr.DataArray
    probability: xr.DataArray
    attribution: xr.DataArray
    models: FoldModels
    horizon: float

    @property
    def n_folds(self) -> int:
        """Folds of each repeat."""
        return len(self.models[0])

    @property
    def n_repeats(self) -> int:
        """Repeats of the fold assignment."""
        return len(self.models)


def crossfit(
    features: pd.DataFrame,
    y: pd.DataFrame,
    *,
    horizon: float,
    model: MarkerModel | None = None,
    n_folds: int = 5,
    n_repeats: int = 5,
    strata: object = None,
    groups: object = None,
    folds: object = None,
    seed: int = 0,
    jobs: int = 1,
) -> CrossFit:
    """Fit one model per marker in every fold of every repeat, and predict the held-out patients.

    A marker is learned from, and predicted for, patients with all its regions; nothing is imputed.

    Parameters
    ----------
    features : DataFrame, shape (n, n_features)
        A row per patient (or tile, with `groups`), columns (marker, region), NaN = missing.
    y : DataFrame
        Outcome with the columns ``time`` and ``event``, matched by index.
    horizon : float
        Months; horizon of the probabilities.
    model : MarkerModel, optional
        Template, cloned for each fit.
    n_folds, n_repeats : int, default 5
        Ignored where `folds` is given.
    strata : array-like, shape (n,), optional
        Balanced over folds; event x cohort if left out.
    groups : array-like, shape (n,), optional
        Patient of each row, if rows are tiles: a patient's rows stay together.
    folds : array-like of int, shape (n_repeats, n) or (n,), optional
        Fold of each row of `features`, in the order given.
    seed : int, default 0
    jobs : int, default 1
        Processes; the result does not depend on it.

    Returns
    -------
    CrossFit
        Patients sorted by identifier, whatever the order of the rows.

    Raises
    ------
    InputError
        Faults of the features, the outcome or the folds; a marker with too few events or without
        variation in a training fold.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> ids = [f"p{i:03d}" for i in range(100)]
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(100, 2)), index=ids, columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 100), "event": 1}, index=ids)
    >>> fit = crossfit(features, y, horizon=24.0, n_repeats=2)
    >>> fit.margin.dims, fit.margin.shape
    (('repeat', 'patient', 'marker'), (2, 100, 1))
    """
    order, table = _sorted_features(features)
    outcome = _outcome_of(table.index, y)
    row_groups = table.index.to_numpy() if groups is None else np.asarray(groups)[order]
    template = _template(model, horizon, seed)
    if folds is None:
        row_strata = _default_strata(outcome) if strata is None else np.asarray(strata)[order]
        assigned = assign_folds(
            row_groups,
            strata=row_strata,
            n_folds=n_folds,
            n_repeats=n_repeats,
            rng=spawn_rng(seed, "folds"),
        )
    else:
        assigned = _given_folds(folds, order)
        check_folds(assigned, row_groups)
    slices = marker_slices(table.columns)
    read_directions(template.monotone_constraints, _column_names(table.columns))
    tasks = [
        (repeat, fold) for repeat in range(len(assigned)) for fold in range(int(assigned.max()) + 1)
    ]
    inputs = _Inputs(
        values=table.to_numpy(dtype=np.float64),
        columns=cast("pd.MultiIndex", table.columns),
        slices=slices,
        outcome=outcome,
        groups=row_groups,
        folds=assigned,
        template=template,
        horizon=horizon,
    )
    results = _run_tasks(tasks, inputs, jobs=jobs)
    return _collect(results, tasks, table, slices, assigned, horizon)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What every fold of every repeat is fitted from."""

    values: FloatArray
    columns: pd.MultiIndex
    slices: dict[str, slice]
    outcome: pd.DataFrame
    groups: Any
    folds: IntArray
    template: MarkerModel
    horizon: float


def _sorted_features(features: pd.DataFrame) -> tuple[IntArray, pd.DataFrame]:
    if not isinstance(features, pd.DataFrame) or features.columns.nlevels != 2:
        raise InputError("features must be a DataFrame with columns (marker, region)")
    if features.shape[0] == 0 or features.shape[1] == 0:
        raise InputError("the feature table is empty: check markers, regions and measurements")
    if not features.columns.is_unique:
        raise InputError("a (marker, region) column appears twice: keep one")
    order = np.argsort(features.index.to_numpy(), kind="stable").astype(np.int64)
    return order, features.iloc[order].sort_index(axis=1)


def _outcome_of(patients: pd.Index[Any], y: pd.DataFrame) -> pd.DataFrame:
    outcome = as_survival_table(y)
    twice = outcome.index[outcome.index.duplicated()]
    if len(twice):
        raise InputError(f"outcome given twice for patient {name_rows(twice)}: keep one row each")
    missing = patients.difference(outcome.index)
    if len(missing):
        raise InputError(f"no outcome for patient {name_rows(missing)}: add it or drop the rows")
    return outcome.loc[patients]


def _default_strata(outcome: pd.DataFrame) -> Any:
    strata = outcome["event"].astype(str)
    if "cohort" in outcome.columns:
        strata = strata + " / " + outcome["cohort"].astype(str)
    return strata.to_numpy()


def _template(model: MarkerModel | None, horizon: float, seed: int) -> MarkerModel:
    template = MarkerModel(seed=seed) if model is None else cast("MarkerModel", clone(model))
    if not (np.isfinite(horizon) and horizon > 0):
        raise InputError(f"horizon is {horizon}: give a positive number of months")
    if template.objective == "binary:logistic":
        if template.horizon is None:
            template.set_params(horizon=horizon)
        elif template.horizon != horizon:
            raise InputError(
                f"the model's horizon is {template.horizon:g} and crossfit's {horizon:g}: "
                "give one horizon"
            )
    return template


def _given_folds(folds: object, order: IntArray) -> IntArray:
    given = np.atleast_2d(np.asarray(folds))
    whole = np.issubdtype(given.dtype, np.integer) and given.ndim == 2
    if not whole or given.shape[1] != len(order):
        raise InputError(
            f"folds has shape {given.shape} and type {given.dtype}: give whole numbers, a row per "
            f"repeat and a column for each of the {len(order)} rows"
        )
    assigned = given[:, order].astype(np.int64)
    n_folds = int(assigned.max()) + 1
    for repeat, labels in enumerate(assigned):
        if n_folds < 2 or not np.array_equal(np.unique(labels), np.arange(n_folds)):
            raise InputError(
                f"repeat {repeat} of folds does not use every label 0 to {n_folds - 1}: number at "
                "least two folds from 0"
            )
    return assigned


def marker_slices(columns: pd.Index[Any]) -> dict[str, slice]:
    """Positions of each marker's regions among sorted columns (marker, region).

    Parameters
    ----------
    columns : MultiIndex

    Returns
    -------
    dict of str to slice

    Examples
    --------
    >>> marker_slices(pd.MultiIndex.from_product([["CD4", "CD8"], ["adjacent", "tumour"]]))
    {'CD4': slice(0, 2, None), 'CD8': slice(2, 4, None)}
    """
    names = columns.get_level_values(0)
    found = {}
    for marker in dict.fromkeys(names):
        positions = np.flatnonzero(names == marker)
        found[str(marker)] = slice(int(positions[0]), int(positions[-1]) + 1)
    return found


def _column_names(columns: pd.Index[Any]) -> list[str]:
    return [":".join(map(str, column)) for column in columns]


def _run_tasks(
    tasks: list[tuple[int, int]], inputs: _Inputs, *, jobs: int
) -> list[dict[str, tuple[MarkerModel, BoolArray, MarkerEvidence]]]:
    if jobs == 1:
        return _fit_batch(tasks, inputs)
    batches = np.array_split(np.arange(len(tasks)), min(len(tasks), 4 * max(jobs, 1)))
    done = Parallel(n_jobs=jobs, backend="loky")(
        delayed(_fit_batch)([tasks[i] for i in batch], inputs) for batch in batches
    )
    return [result for batch in done for result in batch]


def _fit_batch(
    tasks: list[tuple[int, int]], inputs: _Inputs
) -> list[dict[str, tuple[MarkerModel, BoolArray, MarkerEvidence]]]:
    return [_fit_fold(inputs, repeat, fold) for repeat, fold in tasks]


def _fit_fold(
    inputs: _Inputs, repeat: int, fold: int
) -> dict[str, tuple[MarkerModel, BoolArray, MarkerEvidence]]:
    outcome = inputs.outcome
    held_out = inputs.folds[repeat] == fold
    results = {}
    for marker, where in inputs.slices.items():
        block = inputs.values[:, where]
        complete = ~np.isnan(block).any(axis=1)
        if not complete.any():
            raise InputError(
                f"marker {marker} is measured in all its regions ({inputs.columns[where].size}) in "
                "no patient: leave it out, or leave out the region it lacks"
            )
        train, test = complete & ~held_out, complete & held_out
        regions = pd.DataFrame(block, columns=inputs.columns[where], copy=False)
        model = cast("MarkerModel", clone(inputs.template))
        if model.monotone_constraints is not None:
            own = _column_names(inputs.columns[where])
            model.set_params(
                monotone_constraints=directions_of_marker(model.monotone_constraints, own)
            )
        try:
            model.fit(
                regions[train].set_axis(outcome.index[train]),
                outcome[train],
                groups=inputs.groups[train],
            )
            told = model.predict_evidence(regions[test], horizon=inputs.horizon)
        except InputError as error:
            raise InputError(
                [f"marker {marker}, training fold {fold + 1}: {fault}" for fault in error.faults]
            ) from error
        results[marker] = (model, test, told)
    return results


def _collect(
    results: list[dict[str, tuple[MarkerModel, BoolArray, MarkerEvidence]]],
    tasks: list[tuple[int, int]],
    table: pd.DataFrame,
    slices: dict[str, slice],
    folds: IntArray,
    horizon: float,
) -> CrossFit:
    shape = (len(folds), len(table))
    margin = np.full((*shape, len(slices)), np.nan)
    probability = np.full_like(margin, np.nan)
    attribution = np.full((*shape, table.shape[1]), np.nan)
    models: list[list[dict[str, MarkerModel]]] = [[] for _ in folds]
    for (repeat, _), by_marker in zip(tasks, results, strict=True):
        models[repeat].append({marker: told[0] for marker, told in by_marker.items()})
        for m, (marker, where) in enumerate(slices.items()):
            _, test, told = by_marker[marker]
            margin[repeat, test, m] = told.margin
            probability[repeat, test, m] = told.probability
            attribution[repeat, test, where] = told.attribution
    columns = cast("pd.MultiIndex", table.columns)
    coords = {"repeat": np.arange(len(folds)), "patient": table.index.to_numpy()}
    by_marker_coords = {**coords, "marker": list(slices)}
    by_feature_coords = {
        **coords,
        "marker": ("feature", columns.get_level_values(0).to_numpy(dtype=object)),
        "region": ("feature", columns.get_level_values(1).to_numpy(dtype=object)),
    }
    dims = ("repeat", "patient")
    return CrossFit(
        markers=tuple(slices),
        columns=columns,
        folds=folds,
        margin=xr.DataArray(margin, by_marker_coords, (*dims, "marker"), "margin"),
        probability=xr.DataArray(probability, by_marker_coords, (*dims, "marker"), "probability"),
        attribution=xr.DataArray(attribution, by_feature_coords, (*dims, "feature"), "attribution"),
        models=models,
        horizon=float(horizon),
    )
