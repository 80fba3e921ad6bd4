"""Rungs of the level-or-location ladder: which columns each nested model sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.features.function_components import (
    SpatialFunctions,
    component_scores,
    learn_components,
)
from times_stats.features.matrix import complete_markers
from times_stats.rivals.transforms import learn_transform

LEVELS, TUMOUR, ALL_REGIONS = "levels", "tumour_region", "all_regions"
FUNCTIONS = "spatial_functions"
_COMPONENTS = 2  # of each function of distance


@dataclass(frozen=True, slots=True)
class RungDesign:
    """Columns of one rung, built from the training patients of one fold.

    Attributes
    ----------
    X : DataFrame, shape (n, p)
        All patients, training and test; NaN where a marker is incomplete.
    weak : tuple of str
        Columns with a fixed weak prior: cohorts and steps of the stage.
    """

    X: pd.DataFrame
    weak: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LadderData:
    """What the ladder is built from, before anything is learned.

    Attributes
    ----------
    values : DataFrame, shape (n, n_markers * n_regions)
        Raw values of complete markers, NaN elsewhere; columns (marker, region).
    levels : DataFrame, shape (n, n_markers) or wider
        Mean of the raw values over the regions of a marker, by area or alike, and what stands
        beside it (`features.matrix`). Contrasts are taken from the first.
    stage_steps : DataFrame, shape (n, n_steps)
        One column per step of the ordered stage: 1 from that stage on.
    cohort_steps : DataFrame, shape (n, n_cohorts - 1)
        Indicator of each cohort but the first.
    contrast_columns : tuple of (marker, region)
        Regions whose contrast with the level enters: all but one a marker.
    tumour_columns : tuple of (marker, region)
        Columns of the tumour region; empty if there is none.
    functions : SpatialFunctions or None
        Spatial functions of the same patients, for the last rung.
    """

    values: pd.DataFrame
    levels: pd.DataFrame
    stage_steps: pd.DataFrame
    cohort_steps: pd.DataFrame
    contrast_columns: tuple[tuple[str, str], ...]
    tumour_columns: tuple[tuple[str, str], ...]
    functions: SpatialFunctions | None = None

    def rungs(self) -> tuple[str, ...]:
        """Return the names of the rungs, from the bottom up, those without stage last."""
        markers = [LEVELS, *([TUMOUR] if self.tumour_columns else []), ALL_REGIONS]
        markers += [FUNCTIONS] if self.functions is not None else []
        staged = ["stage", *(f"stage_{rung}" for rung in markers)]
        return (*(staged if self.stage_steps.shape[1] else []), *markers)

    def build_designs(self, train: IntArray) -> tuple[dict[str, RungDesign], set[str]]:
        """Build the columns of every rung with transforms learned on training patients.

        Parameters
        ----------
        train : int array
            Positions of the training patients.

        Returns
        -------
        dict
            Rung to its design.
        set of str
            Markers of which a column had no usable Yeo-Johnson power and was only standardised.
        """
        regions, plain_regions = _transform(self.values, train)
        levels, plain_levels = _transform(self.levels, train)
        markers = [marker for marker, _ in self.contrast_columns]
        contrasts = pd.DataFrame(
            regions[[*self.contrast_columns]].to_numpy() - levels[markers].to_numpy(),
            index=self.values.index,
            columns=[f"contrast:{marker}:{region}" for marker, region in self.contrast_columns],
        )
        tumour = regions[[*self.tumour_columns]]
        tumour.columns = pd.Index([f"tumour:{marker}" for marker, _ in self.tumour_columns])
        levels.columns = pd.Index([f"level:{marker}" for marker in levels.columns])
        blocks: dict[str, list[pd.DataFrame]] = {
            "stage": [],
            LEVELS: [levels],
            TUMOUR: [tumour],
            ALL_REGIONS: [levels, contrasts],
        }
        plain_functions: set[str] = set()
        if self.functions is not None:
            raw = learn_function_columns(self.functions, train)
            functions, plain_functions = _transform(raw, train)
            functions.columns = pd.Index([f"function:{':'.join(name)}" for name in raw.columns])
            blocks[FUNCTIONS] = [levels, contrasts, functions]
        designs = {}
        for rung in self.rungs():
            base, staged = rung.removeprefix("stage_"), rung.startswith("stage")
            weak = [self.cohort_steps, *([self.stage_steps] if staged else [])]
            designs[rung] = RungDesign(
                X=pd.concat([*weak, *blocks[base]], axis=1),
                weak=tuple(column for block in weak for column in block.columns),
            )
        return designs, plain_regions | plain_levels | plain_functions


def learn_function_columns(functions: SpatialFunctions, train: IntArray) -> pd.DataFrame:
    """Turn spatial functions into columns; components are learned on training patients.

    Parameters
    ----------
    functions : SpatialFunctions
        Of all patients.
    train : int array
        Positions of the training patients.

    Returns
    -------
    DataFrame, shape (n, p)
        Columns (marker, column), NaN where missing; a column without two known values among the
        training patients, or with equal ones, is left out.

    Examples
    --------
    >>> curves = pd.DataFrame([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]], columns=[10.0, 20.0])
    >>> functions = SpatialFunctions(pd.DataFrame(index=curves.index), {("CD8", "l_self"): curves})
    >>> learn_function_columns(functions, np.array([0, 1, 2])).shape
    (3, 1)
    """
    columns: dict[tuple[str, str], FloatArray] = {
        (str(name[0]), str(name[1])): functions.scalars[name].to_numpy(np.float64)
        for name in functions.scalars.columns.to_list()
    }
    for (marker, statistic), curves in functions.curves.items():
        r = curves.columns.to_numpy(dtype=np.float64)
        values = curves.to_numpy(dtype=np.float64)
        learned = learn_components(values[train], r=r, n_components=_COMPONENTS)
        scores = component_scores(learned, values)
        for k in range(scores.shape[1]):
            columns[marker, f"{statistic} {k + 1}"] = scores[:, k]
    varied = {
        name: values
        for name, values in columns.items()
        if np.unique(values[train][np.isfinite(values[train])]).size > 1
    }
    names = pd.MultiIndex.from_arrays(
        [[name[k] for name in varied] for k in (0, 1)], names=["marker", "function"]
    )
    table = np.column_stack([np.empty((len(functions.scalars), 0)), *varied.values()])
    return pd.DataFrame(table, index=functions.scalars.index, columns=names)


def collect_ladder(
    features: pd.DataFrame,
    *,
    levels: pd.DataFrame,
    complete: pd.DataFrame,
    stages: pd.DataFrame | None,
    cohort: pd.Series | None,
    tumour_region: str | None,
    functions: SpatialFunctions | None = None,
) -> LadderData:
    """Arrange features, stages and cohorts for the ladder.

    Parameters
    ----------
    features : DataFrame, shape (n, n_markers * n_regions)
        Raw values, columns (marker, region).
    levels, complete : DataFrame, shape (n, n_markers) or wider, (n, n_markers)
        Marker levels and whether the marker is complete (`features.matrix`).
    stages : DataFrame of ordered categoricals or None
        Recorded stages, none missing.
    cohort : Series or None
        Cohort of each patient.
    tumour_region : str or None
        Region a biopsy would give.
    functions : SpatialFunctions, optional
        Spatial functions of the same patients.

    Returns
    -------
    LadderData

    Raises
    ------
    InputError
        If no marker was measured in two regions, or the tumour region is not among the regions.
    """
    columns = [(str(column[0]), str(column[1])) for column in features.columns.to_list()]
    known = sorted({region for _, region in columns})
    if tumour_region is not None and tumour_region not in known:
        raise InputError(f"tumour_region {tumour_region!r} is not among the regions {known}")
    contrasts: list[tuple[str, str]] = []
    for marker in dict.fromkeys(marker for marker, _ in columns):
        own = [column for column in columns if column[0] == marker]
        dropped = [column for column in own if column[1] != tumour_region] or own
        contrasts.extend(column for column in own if column != dropped[-1])
    if not contrasts:
        raise InputError(
            "level and location cannot be told apart: no marker was measured in two regions"
        )
    is_complete = complete[[marker for marker, _ in columns]].to_numpy(dtype=np.bool_)
    values = features.where(is_complete)
    values.columns = pd.MultiIndex.from_tuples(columns, names=["marker", "region"])
    return LadderData(
        values=values,
        levels=levels,
        stage_steps=stage_steps(stages, index=features.index),
        cohort_steps=cohort_steps(cohort, index=features.index),
        contrast_columns=tuple(contrasts),
        tumour_columns=tuple(column for column in columns if column[1] == tumour_region),
        functions=functions,
    )


def stage_steps(stages: pd.DataFrame | None, *, index: pd.Index) -> pd.DataFrame:
    """Return one column per step of each ordered stage: 1 from that stage on.

    Parameters
    ----------
    stages : DataFrame of ordered categoricals or None
        Recorded stages, none missing.
    index : Index
        The patients.

    Returns
    -------
    DataFrame, shape (n, n_steps)
        Steps that nobody or everybody has taken are left out.
    """
    steps = {}
    for system in [] if stages is None else stages.columns:
        assert stages is not None
        codes = stages[system].cat.codes.to_numpy()
        names = stages[system].cat.categories
        for code in range(1, len(names)):
            if 0 < (codes >= code).sum() < codes.size:
                steps[f"stage:{system}>={names[code]}"] = (codes >= code).astype(np.float64)
    return pd.DataFrame(steps, index=index)


def cohort_steps(cohort: pd.Series | None, *, index: pd.Index) -> pd.DataFrame:
    """Return an indicator of each cohort but the first.

    Parameters
    ----------
    cohort : Series or None
        Cohort of each patient.
    index : Index
        The patients.

    Returns
    -------
    DataFrame, shape (n, n_cohorts - 1)
    """
    cohorts = {}
    if cohort is not None:
        for name in sorted(cohort.astype(str).unique())[1:]:
            cohorts[f"cohort:{name}"] = (cohort.astype(str) == name).to_numpy(dtype=np.float64)
    return pd.DataFrame(cohorts, index=index)


def check_same_patients(features: pd.DataFrame, **others: pd.DataFrame | None) -> None:
    """Refuse tables that are not of the patients of the features, in their order.

    Parameters
    ----------
    features : DataFrame
    **others : DataFrame or None
        Tables by the name of their argument.

    Raises
    ------
    InputError
        Names every such table.
    """
    faults = Faults()
    for name, frame in others.items():
        if frame is not None and not frame.index.equals(features.index):
            faults.add(
                f"{name} and features are not of the same patients in the same order: reindex one"
            )
    faults.raise_if_any()


def choose_patients(
    features: pd.DataFrame, stages: pd.DataFrame | None, *, otherwise: str
) -> tuple[BoolArray, list[str]]:
    """Choose patients with a complete marker and every stage.

    Parameters
    ----------
    features : DataFrame, shape (n, n_markers * n_regions)
        Raw values, columns (marker, region), NaN = missing.
    stages : DataFrame or None
        Recorded stages.
    otherwise : str
        What it means that there are none.

    Returns
    -------
    kept : bool array, shape (n,)
    notes : list of str
        Who was left out, and why.

    Raises
    ------
    InputError
        If no patient is left.
    """
    measured = complete_markers(features).any(axis=1).to_numpy(dtype=np.bool_)
    staged = np.ones(len(features), dtype=np.bool_)
    if stages is not None:
        staged = stages.notna().all(axis=1).to_numpy(dtype=np.bool_)
    kept = measured & staged
    if not kept.any():
        raise InputError(f"no patient has a complete marker and a recorded stage: {otherwise}")
    notes = [
        f"{lost.sum()} patients without {what} were left out ({name_rows(features.index[lost])})."
        for lost, what in (
            (~measured, "any complete marker"),
            (measured & ~staged, "a recorded stage"),
        )
        if lost.any()
    ]
    return kept, notes


def _transform(frame: pd.DataFrame, train: IntArray) -> tuple[pd.DataFrame, set[str]]:
    """Return the transformed columns and the markers without a usable power."""
    every = np.ones(frame.shape[1], dtype=np.bool_)
    state = learn_transform(frame.iloc[train], gaussianise=every, rescale=every)
    values = state.apply(frame.to_numpy(dtype=np.float64))
    plain = frame.columns.isin(state.standardised_only)
    markers = set(frame.columns.get_level_values(0)[plain].astype(str))
    return pd.DataFrame(values, index=frame.index, columns=frame.columns), markers
