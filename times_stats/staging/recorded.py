"""Stages as a hospital recorded them: read with an account, and held against computed bounds."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.tables.columns import as_labels
from times_stats.tables.stages import SYSTEMS, order_stages

_SIDES = ("lowest", "highest")
_MOST_POINTS = 15  # of Child-Pugh


def read_recorded_stage(series: pd.Series, *, system: str) -> tuple[pd.Series, pd.DataFrame]:
    """Read recorded stages as an ordered categorical, with an account of how each was read.

    Parameters
    ----------
    series : Series
        Stages, indexed by ``patient_id``: numerals ``I`` to ``IV`` with ``A`` to ``C``, TNM such as
        ``pT2 Nx M0``, letters of BCLC (``0``, ``A`` to ``D``) and Child-Pugh, points of CLIP and
        JIS, or the codes 1, 2, ... of a study that recorded groups of stages. Numerals and TNM may
        stand in one series; every other form is alone.
    system : str
        ``tnm`` (eighth edition), ``tnm_ajcc7``, ``bclc``, ``cnlc``, ``okuda``, ``clip``, ``jis``,
        ``child_pugh``, or ``stage`` for another system of numerals.

    Returns
    -------
    stages : Series
        Ordered categorical of the stages that occur, lowest first; missing stays missing.
    audit : DataFrame
        Indexed as `series`: ``recorded``, ``stage``, ``read_as`` (``numeral``, ``tnm``, ``letter``,
        ``points``, ``code`` or ``missing``) and ``note``: what was taken for granted, such as a
        recorded NX that is read as N0.

    Raises
    ------
    InputError
        If the system is unknown or a stage cannot be read; patients are named.

    Notes
    -----
    T1 without a letter is I and T3 of the seventh edition without one III: no letter is invented.
    T3a and T3b are of the seventh edition, and their stages IIIA and IIIB those of the same tumours
    in the eighth.

    Examples
    --------
    >>> recorded = pd.Series(["Stage II", "mpT3 Nx", None], index=["1", "2", "3"])
    >>> stages, audit = read_recorded_stage(recorded, system="tnm")
    >>> stages.cat.codes.tolist()
    [0, 1, -1]
    >>> audit["read_as"].tolist()
    ['numeral', 'tnm', 'missing']
    >>> audit["note"]["2"]
    'NX read as N0; M not written, read as M0'
    """
    if system not in SYSTEMS:
        hint = nearest_hint(system, SYSTEMS)
        raise InputError(f"staging system '{system}' is unknown{hint}: use one of {[*SYSTEMS]}")
    faults = Faults()
    stages, audit = order_stages(series, system=system, faults=faults)
    faults.raise_if_any()
    return stages, audit


def inside_bounds(recorded: pd.Series, bounds: pd.DataFrame) -> pd.Series:
    """Say whether each recorded stage lies inside the bounds from the patient's raw inputs.

    Parameters
    ----------
    recorded : Series
        Stages as `read_recorded_stage` returns them, or points.
    bounds : DataFrame
        ``lowest`` and ``highest`` of the same patients in the same order, as ``..._bounds`` of a
        system of stages, grades or points returns them.

    Returns
    -------
    Series of boolean
        Missing where no stage was recorded. A stage recorded without its letter is inside where any
        of its parts is: III where the bounds hold IIIA.

    Raises
    ------
    InputError
        If the patients differ, a recorded stage is no stage of the system, or the bounds are of no
        system of stages.

    Examples
    --------
    >>> from times_stats.staging import tnm_ajcc7_bounds
    >>> patients = pd.DataFrame({"tumour_count": [1, 1, 3], "tumour_size_cm": [3.0, 3.0, 6.0],
    ...     "vascular_invasion": ["none", "micro", "none"]})
    >>> recorded, _ = read_recorded_stage(pd.Series(["I", "I", "III"]), system="tnm_ajcc7")
    >>> inside_bounds(recorded, tnm_ajcc7_bounds(patients)).tolist()
    [True, False, True]
    """
    if not recorded.index.equals(bounds.index):
        raise InputError("recorded stages and bounds are of different patients: align their index")
    if not set(_SIDES) <= {*bounds.columns} or not all(
        isinstance(bounds[side].dtype, pd.CategoricalDtype | pd.Int64Dtype) for side in _SIDES
    ):
        raise InputError(
            "bounds hold no lowest and highest stage or points: give those of a system of stages, "
            "such as tnm_bounds"
        )
    lowest, highest, names = _as_ranks(bounds)
    values = as_labels(recorded)
    covered = {value: _covers(value, names) for value in values.dropna().unique()}
    foreign = [value for value, parts in covered.items() if parts is None]
    if foreign:
        raise InputError(
            f"recorded stage {name_rows(foreign)} is none of {', '.join(names)}: read it by the "
            "system, and the edition, that the bounds are of"
        )
    inside = pd.Series(pd.NA, index=recorded.index, dtype="boolean", name="inside_bounds")
    for value, parts in covered.items():
        if parts is not None:
            rows = values.eq(value).to_numpy(dtype=bool, na_value=False)
            within = (lowest <= parts[1]) & (highest >= parts[0])
            inside[rows] = within[rows]
    return inside


def _as_ranks(bounds: pd.DataFrame) -> tuple[FloatArray, FloatArray, list[str]]:
    """Return bounds as ranks, and the names of the stages in order."""
    if isinstance(bounds["lowest"].dtype, pd.CategoricalDtype):
        names = [str(name) for name in bounds["lowest"].cat.categories]
        ranks = [np.asarray(bounds[side].cat.codes, dtype=np.float64) for side in _SIDES]
    else:
        top = int(bounds["highest"].max()) if len(bounds) else 0
        names = [str(points) for points in range(max(top, _MOST_POINTS) + 1)]
        ranks = [np.asarray(bounds[side], dtype=np.float64) for side in _SIDES]
    lowest, highest = ranks
    return lowest, highest, names


def _covers(stage: str, names: list[str]) -> tuple[int, int] | None:
    """Return the ranks of the first and last stage that a recorded one may be."""
    parts = [
        rank
        for rank, name in enumerate(names)
        if name.upper() == stage.upper() or re.sub("[A-C]$", "", name.upper()) == stage.upper()
    ]
    return (parts[0], parts[-1]) if parts else None
