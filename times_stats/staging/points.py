"""Stages and scores that add up points: Okuda, CLIP, JIS."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.staging.clinical_columns import ClinicalColumns, settled
from times_stats.staging.completions import Grid, possible_levels
from times_stats.staging.liver_function import (
    CHILD_PUGH_COLUMNS,
    albumin_g_dl,
    bilirubin_mg_dl,
)
from times_stats.staging.systems import Bounds, StagingSystem, rule_search
from times_stats.staging.tumour_inputs import (
    LEVELS,
    SPREAD,
    VESSELS,
    except_contradictions,
    possible_inputs,
)

OKUDA_COLUMNS = ("tumour_over_half_liver", "ascites", "albumin_g_l", "bilirubin_umol_l")
CLIP_COLUMNS = (
    "tumour_count", "tumour_over_half_liver", "afp_ng_ml", *VESSELS, *CHILD_PUGH_COLUMNS,
)  # fmt: skip
JIS_COLUMNS = (
    "tumour_size_cm", "tumour_count", *VESSELS, "bile_duct_invasion", *SPREAD, *CHILD_PUGH_COLUMNS,
)  # fmt: skip
_CLIP_LEVELS = {
    **{name: LEVELS[name] for name in ("count", "over_half", "vascular", "thrombus", "child_pugh")},
    "afp": 2,
}
_JIS_LEVELS = {
    name: LEVELS[name]
    for name in (
        *("size", "count", "vascular", "thrombus", "bile_duct", "node", "distant"),
        "child_pugh",
    )
}


def _okuda(inputs: ClinicalColumns) -> Bounds:
    albumin, bilirubin = albumin_g_dl(inputs), bilirubin_mg_dl(inputs)
    half, ascites = inputs.number("tumour_over_half_liver"), inputs.number("ascites")
    lowest = np.sum([half == 1, ascites > 0, albumin < 3, bilirubin > 3], axis=0)
    unknown = np.isnan([half, ascites, albumin, bilirubin]).sum(axis=0)
    return _okuda_stage(lowest), _okuda_stage(lowest + unknown)


def _okuda_stage(points: IntArray) -> FloatArray:
    return np.searchsorted((0, 2), points).astype(np.float64)


def _clip(on: Grid) -> IntArray:
    morphology = np.where(on["over_half"] == 1, 2, on["count"] > 0)
    points = on["child_pugh"] + morphology + on["afp"] + on["thrombus"]
    return except_contradictions(points, on)


def _clip_possible(inputs: ClinicalColumns) -> Mapping[str, BoolArray]:
    afp = inputs.number("afp_ng_ml")
    raised = np.where(np.isnan(afp), -1, settled(afp) >= 400).astype(np.int64)
    return {**possible_inputs(inputs), "afp": possible_levels(raised, 2)}


def _jis(on: Grid) -> IntArray:
    invaded = (on["vascular"] > 0) | (on["thrombus"] == 1) | (on["bile_duct"] == 1)
    missed = (on["count"] > 0).astype(int) + (on["size"] > 0) + invaded  # T1 misses none, T4 all
    stage = np.where((on["node"] == 1) | (on["distant"] == 1), 3, missed)
    return except_contradictions(stage + on["child_pugh"], on)


OKUDA = StagingSystem("okuda", OKUDA_COLUMNS, _okuda, ("I", "II", "III"))
CLIP = StagingSystem(
    "clip", CLIP_COLUMNS, rule_search(_clip, _CLIP_LEVELS, _clip_possible),
    dtype="Int64", limits=(0, 6),
)  # fmt: skip
JIS = StagingSystem(
    "jis", JIS_COLUMNS, rule_search(_jis, _JIS_LEVELS, possible_inputs),
    dtype="Int64", limits=(0, 5),
)  # fmt: skip


def okuda(patients: pd.DataFrame) -> pd.Series:
    """Return the Okuda stage, I to III.

    One point each for a tumour of more than half of the liver, ascites, albumin below 3 g/dL and
    bilirubin above 3 mg/dL. I without a point, II one or two, III three or four. A missing input
    gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_over_half_liver``, ``ascites``, ``albumin_g_l``,
        ``bilirubin_umol_l``.

    Returns
    -------
    Series
        Ordered categorical ``I II III``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Okuda K. et al. (1985). Natural history of hepatocellular carcinoma and prognosis in relation to
    treatment: study of 850 patients. *Cancer* 56, 918-928.

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_over_half_liver": [False, True],
    ...     "ascites": ["none", "mild"], "albumin_g_l": [30.0, 29.0],
    ...     "bilirubin_umol_l": [51.3, None]})
    >>> okuda(patients).tolist()
    ['I', 'III']
    """
    return OKUDA.stage(patients)


def okuda_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest stage that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `okuda`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `okuda` has an answer.

    Raises
    ------
    InputError
        As `okuda`.

    Examples
    --------
    >>> patients = pd.DataFrame({"ascites": ["mild"], "albumin_g_l": [35.0]})
    >>> okuda_bounds(patients).loc[0].tolist()
    ['II', 'III']
    """
    return OKUDA.bound(patients)


def clip(patients: pd.DataFrame) -> pd.Series:
    """Return the score of the Cancer of the Liver Italian Program, 0 to 6.

    Child-Pugh A, B, C 0, 1, 2; one nodule 0, several 1, more than half of the liver 2 ("massive" is
    read so); AFP of 400 ng/mL or more 1; tumour thrombus of the portal vein 1. A missing input
    gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_count``, ``tumour_over_half_liver``, ``afp_ng_ml``,
        ``vascular_invasion``, ``portal_vein_tumour_thrombus``, ``bilirubin_umol_l``,
        ``albumin_g_l``, ``inr``, ``ascites``, ``encephalopathy``.

    Returns
    -------
    Series
        Whole numbers (Int64). Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    CLIP investigators (1998). A new prognostic system for hepatocellular carcinoma: a retrospective
    study of 435 patients. *Hepatology* 28, 751-755. doi:10.1002/hep.510280322

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_count": [1, 2], "tumour_over_half_liver": False,
    ...     "afp_ng_ml": [399.0, 400.0], "portal_vein_tumour_thrombus": False,
    ...     "bilirubin_umol_l": 15.0, "albumin_g_l": 40.0, "inr": 1.0, "ascites": "none",
    ...     "encephalopathy": 0})
    >>> clip(patients).tolist()
    [0, 2]
    """
    return CLIP.stage(patients)


def clip_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest score that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `clip`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `clip` has an answer.

    Raises
    ------
    InputError
        As `clip`.

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_count": [2], "afp_ng_ml": [500.0],
    ...     "vascular_invasion": ["none"]})
    >>> clip_bounds(patients).loc[0].tolist()
    [2, 5]
    """
    return CLIP.bound(patients)


def jis(patients: pd.DataFrame) -> pd.Series:
    """Return the Japan Integrated Staging score, 0 to 5.

    The stage of the Liver Cancer Study Group of Japan, I to IV as 0 to 3, and Child-Pugh A, B, C as
    0, 1, 2. Of three conditions (one tumour; up to 2 cm; no invasion of vessels or bile ducts) T1
    meets all, T2 two, T3 one, T4 none; stages I, II and III are T1, T2 and T3, IV is T4, nodes or
    distant metastasis. Invasion of vessels is of any kind, micro too; satellites are not counted. A
    missing input gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``, ``bile_duct_invasion``, ``nodal_metastasis``,
        ``distant_metastasis``, ``bilirubin_umol_l``, ``albumin_g_l``, ``inr``, ``ascites``,
        ``encephalopathy``.

    Returns
    -------
    Series
        Whole numbers (Int64). Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Kudo M. et al. (2003). Prognostic staging system for hepatocellular carcinoma (CLIP score): its
    value and limitations, and a proposal for a new staging system, the Japan Integrated Staging
    score (JIS score). *J Gastroenterol* 38, 207-215. doi:10.1007/s005350300038

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [2.0, 2.1], "tumour_count": 1,
    ...     "vascular_invasion": "none", "bile_duct_invasion": False, "nodal_metastasis": False,
    ...     "distant_metastasis": False, "bilirubin_umol_l": 15.0, "albumin_g_l": 40.0, "inr": 1.0,
    ...     "ascites": "none", "encephalopathy": 0})
    >>> jis(patients).tolist()
    [0, 1]
    """
    return JIS.stage(patients)


def jis_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest score that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `jis`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `jis` has an answer.

    Raises
    ------
    InputError
        As `jis`.

    Examples
    --------
    >>> patients = pd.DataFrame({"distant_metastasis": [True]})
    >>> jis_bounds(patients).loc[0].tolist()
    [3, 5]
    """
    return JIS.bound(patients)
