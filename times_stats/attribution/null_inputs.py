"""What the nulls of location are tested on, checked and arranged."""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats._checks import Faults, as_survival_table, name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError


class UntestableError(InputError):
    """A sample in which a null cannot be tested, though the request is sound."""


def check_outcome(
    outcome: pd.DataFrame, stages: pd.DataFrame | None
) -> tuple[pd.DataFrame, IntArray]:
    """Check outcome and stages.

    Parameters
    ----------
    outcome : DataFrame
        Indexed by patient; columns `time`, `event`, optional `cohort`.
    stages : DataFrame of ordered categoricals or None
        Same index, nothing missing.

    Returns
    -------
    table : DataFrame
        The outcome.
    cohort : ndarray of int, shape (n,)

    Raises
    ------
    InputError
        No event; a patient twice; a cohort or stage missing; stages without an order.
    """
    table = as_survival_table(outcome)
    faults = Faults()
    twice = table.index[table.index.duplicated()]
    if len(twice):
        faults.add(f"patients are there twice ({name_rows(twice)}): keep one row each")
    if not table["event"].any():
        faults.add("no event in the data: there is no outcome to test against")
    cohort = table["cohort"] if "cohort" in table else pd.Series("", index=table.index)
    if cohort.isna().any():
        faults.add(f"cohort is missing ({name_rows(table.index[cohort.isna()])}): fill it in")
    if stages is not None:
        _check_stages(faults, stages, table)
    faults.raise_if_any()
    return table, np.unique(cohort.astype(str).to_numpy(), return_inverse=True)[1]


def _check_stages(faults: Faults, stages: pd.DataFrame, table: pd.DataFrame) -> None:
    if not stages.index.equals(table.index):
        faults.add("stages and outcome are not of the same patients in the same order")
    elif not all(getattr(stage.dtype, "ordered", False) for _, stage in stages.items()):
        faults.add("stages must be ordered categoricals: give each system its order")
    elif stages.isna().any(axis=None):
        without = table.index[stages.isna().any(axis=1)]
        faults.add(
            f"stages are missing for {len(without)} patients ({name_rows(without)}): leave them out"
            " and count them"
        )


def check_features(features: pd.DataFrame, table: pd.DataFrame) -> FloatArray:
    """Arrange values by patient, marker and region.

    Parameters
    ----------
    features : DataFrame, shape (n, n_columns)
        Columns (marker, region), NaN = missing.
    table : DataFrame
        Outcome, whose patients the features must be of.

    Returns
    -------
    ndarray, shape (n, n_markers, n_regions)
        NaN where a value is missing or a marker has no such region.

    Raises
    ------
    InputError
        Other patients; columns that are not (marker, region) or not numbers; no patient in whom a
        marker was measured in two regions.
    """
    _check_numbers(features, table, "features", levels=2)
    values = by_region(features)
    if not (np.isfinite(values).sum(axis=2) > 1).any():
        raise UntestableError(
            "level and location cannot be told apart: no patient has a marker in two regions"
        )
    return values


def check_levels(levels: pd.DataFrame, table: pd.DataFrame) -> FloatArray:
    """Return levels as an array.

    Parameters
    ----------
    levels : DataFrame, shape (n, p)
        NaN = missing.
    table : DataFrame
        Outcome, whose patients the levels must be of.

    Returns
    -------
    ndarray, shape (n, p)

    Raises
    ------
    InputError
        Other patients; values that are not numbers.
    """
    _check_numbers(levels, table, "levels", levels=1)
    return levels.to_numpy(dtype=np.float64)


def _check_numbers(frame: pd.DataFrame, table: pd.DataFrame, name: str, *, levels: int) -> None:
    faults = Faults()
    if not frame.index.equals(table.index):
        faults.add(f"outcome and {name} are not of the same patients in the same order")
    if frame.columns.nlevels != levels:
        wanted = "(marker, region)" if levels == 2 else "one label each"
        faults.add(f"{name} must have columns of {wanted}")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        faults.add(f"{name} hold the column {twice} twice: keep one")
    text = [name for name, kind in frame.dtypes.items() if kind.kind not in "biuf"]
    if text:
        faults.add(f"{name} hold columns that are not numbers: {text[:5]}")
    elif np.isinf(frame.to_numpy(dtype=np.float64)).any():
        faults.add(f"{name} hold infinite values: replace them or mark them as missing")
    faults.raise_if_any()


def check_permutations(n_permutations: int, stop_after: int | None) -> None:
    """Refuse numbers of permutations that are not whole numbers of 1 or more.

    Parameters
    ----------
    n_permutations : int
    stop_after : int or None

    Raises
    ------
    InputError
    """
    faults = Faults()
    for name, value in (("n_permutations", n_permutations), ("stop_after", stop_after)):
        if value is not None and not (isinstance(value, (int, np.integer)) and value >= 1):
            faults.add(f"{name} is {value!r}: give a whole number of 1 or more")
    faults.raise_if_any()


def marker_and_region_names(columns: pd.Index) -> tuple[list[str], list[str]]:
    """Return markers and regions in the order in which they first appear.

    Parameters
    ----------
    columns : MultiIndex
        Marker and region.

    Returns
    -------
    tuple of two lists of str
    """
    markers = list(dict.fromkeys(columns.get_level_values(0)))
    return markers, list(dict.fromkeys(columns.get_level_values(1)))


def by_region(features: pd.DataFrame) -> FloatArray:
    """Arrange values by row, marker and region.

    Parameters
    ----------
    features : DataFrame, shape (n, n_columns)
        Columns (marker, region).

    Returns
    -------
    ndarray, shape (n, n_markers, n_regions)
        NaN where a marker has no such region.
    """
    markers, regions = marker_and_region_names(features.columns)
    every = pd.MultiIndex.from_product([markers, regions])
    values = features.reindex(columns=every).to_numpy(dtype=np.float64)
    return values.reshape(len(features), len(markers), len(regions))
