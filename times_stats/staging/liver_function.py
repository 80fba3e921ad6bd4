"""Liver function: Child-Pugh, ALBI with its modification, PALBI.

Child-Pugh is compared in mg/dL and g/dL (1 mg/dL bilirubin = 17.1 umol/L, 1 g/dL albumin = 10 g/L),
and a value that equals a limit has 2 points. The grades of ALBI and PALBI are read from scores that
are not rounded.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.staging.clinical_columns import ClinicalColumns, settled
from times_stats.staging.systems import Bounds, StagingSystem, graded, known_or_between

UMOL_L_PER_MG_DL = 17.1  # bilirubin
G_L_PER_G_DL = 10.0  # albumin
CHILD_PUGH_COLUMNS = ("bilirubin_umol_l", "albumin_g_l", "inr", "ascites", "encephalopathy")
ALBI_COLUMNS = ("bilirubin_umol_l", "albumin_g_l")
PALBI_COLUMNS = (*ALBI_COLUMNS, "platelets_10e9_l")
CLASSES = ("A", "B", "C")


def bilirubin_mg_dl(inputs: ClinicalColumns) -> FloatArray:
    """Return bilirubin in mg/dL, exact where it equals a limit."""
    return settled(inputs.number("bilirubin_umol_l") / UMOL_L_PER_MG_DL)


def albumin_g_dl(inputs: ClinicalColumns) -> FloatArray:
    """Return albumin in g/dL, exact where it equals a limit."""
    return settled(inputs.number("albumin_g_l") / G_L_PER_G_DL)


def _points(values: FloatArray, low: float, high: float) -> IntArray:
    return 1 + (values >= low).astype(np.int64) + (values > high)


def _child_pugh_points(inputs: ClinicalColumns) -> Bounds:
    inr = settled(inputs.number("inr"))
    albumin = albumin_g_dl(inputs)
    items = (
        (bilirubin_mg_dl(inputs), _points(bilirubin_mg_dl(inputs), 2, 3)),
        (albumin, _points(-albumin, -3.5, -2.8)),
        (inr, _points(inr, 1.7, 2.3)),
        (inputs.number("ascites"), 1.0 + inputs.number("ascites")),
        (inputs.number("encephalopathy"), _points(inputs.number("encephalopathy"), 1, 2)),
    )
    lowest = np.sum([np.where(np.isnan(values), 1, points) for values, points in items], axis=0)
    highest = np.sum([np.where(np.isnan(values), 3, points) for values, points in items], axis=0)
    return lowest, highest


def _class(points: FloatArray) -> FloatArray:
    return np.searchsorted((6, 9), points).astype(np.float64)


def _child_pugh(inputs: ClinicalColumns) -> Bounds:
    lowest, highest = _child_pugh_points(inputs)
    return _class(lowest), _class(highest)


def possible_classes(inputs: ClinicalColumns) -> BoolArray:
    """Return which Child-Pugh classes the known inputs of each patient allow, (n, 3).

    Points rise one by one from the lowest to the highest, so that no class between is left out.
    """
    lowest, highest = _child_pugh(inputs)
    classes = np.arange(3)
    return (classes >= lowest[:, None]) & (classes <= highest[:, None])


def _albi(inputs: ClinicalColumns) -> Bounds:
    log_bilirubin = np.log10(inputs.number("bilirubin_umol_l"))
    albumin = inputs.number("albumin_g_l")
    low, high = known_or_between(0.66 * log_bilirubin, -np.inf, np.inf)
    low_albumin, high_albumin = known_or_between(-0.085 * albumin, -np.inf, 0.0)
    return low + low_albumin, high + high_albumin


def _palbi(inputs: ClinicalColumns) -> Bounds:
    bilirubin = np.log10(inputs.number("bilirubin_umol_l"))
    platelets = np.log10(inputs.number("platelets_10e9_l"))
    terms = (
        known_or_between(2.02 * bilirubin - 0.37 * bilirubin**2, -np.inf, 2.02**2 / (4 * 0.37)),
        known_or_between(-0.04 * inputs.number("albumin_g_l"), -np.inf, 0.0),
        known_or_between(-3.48 * platelets + 1.01 * platelets**2, -(3.48**2) / (4 * 1.01), np.inf),
    )
    lowest, highest = zip(*terms, strict=True)
    return np.sum(lowest, axis=0), np.sum(highest, axis=0)


def albi_grades(inputs: ClinicalColumns) -> Bounds:
    """Return the lowest and highest ALBI grade, counted from 0."""
    return graded(_albi(inputs), -2.60, -1.39)


def _malbi_grades(inputs: ClinicalColumns) -> Bounds:
    return graded(_albi(inputs), -2.60, -2.27, -1.39)


def _palbi_grades(inputs: ClinicalColumns) -> Bounds:
    return graded(_palbi(inputs), -2.53, -2.09)


CHILD_PUGH_POINTS = StagingSystem(
    "child_pugh_points", CHILD_PUGH_COLUMNS, _child_pugh_points, dtype="Int64", limits=(5, 15)
)
CHILD_PUGH = StagingSystem("child_pugh", CHILD_PUGH_COLUMNS, _child_pugh, CLASSES)
ALBI = StagingSystem("albi", ALBI_COLUMNS, _albi, dtype="float64")
ALBI_GRADE = StagingSystem("albi_grade", ALBI_COLUMNS, albi_grades, ("1", "2", "3"))
MALBI_GRADE = StagingSystem("malbi_grade", ALBI_COLUMNS, _malbi_grades, ("1", "2a", "2b", "3"))
PALBI = StagingSystem("palbi", PALBI_COLUMNS, _palbi, dtype="float64")
PALBI_GRADE = StagingSystem("palbi_grade", PALBI_COLUMNS, _palbi_grades, ("1", "2", "3"))


def child_pugh_points(patients: pd.DataFrame) -> pd.Series:
    """Return Child-Pugh points, 5 to 15.

    One, two or three points each: bilirubin below 2, 2 to 3, above 3 mg/dL; albumin above 3.5, 2.8
    to 3.5, below 2.8 g/dL; INR below 1.7, 1.7 to 2.3, above 2.3; ascites none, mild, moderate or
    severe; encephalopathy grade 0, 1-2, 3-4. A missing input gives a missing answer where it could
    change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``bilirubin_umol_l``, ``albumin_g_l``, ``inr``, ``ascites``,
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
    Pugh R. N. H. et al. (1973). Transection of the oesophagus for bleeding oesophageal varices. *Br
    J Surg* 60, 646-649. doi:10.1002/bjs.1800600817. The INR in place of the prothrombin time is
    later usage.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> child_pugh_points(patients).tolist()
    [5, <NA>]
    """
    return CHILD_PUGH_POINTS.stage(patients)


def child_pugh_points_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest sum of points that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `child_pugh_points`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `child_pugh_points` has an answer.

    Raises
    ------
    InputError
        As `child_pugh_points`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> child_pugh_points_bounds(patients).to_numpy().tolist()
    [[5, 5], [9, 11]]
    """
    return CHILD_PUGH_POINTS.bound(patients)


def child_pugh(patients: pd.DataFrame) -> pd.Series:
    """Return the Child-Pugh class, A, B or C.

    A 5 or 6, B 7 to 9, C 10 to 15 points of `child_pugh_points`. A missing input gives a missing
    answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``bilirubin_umol_l``, ``albumin_g_l``, ``inr``, ``ascites``,
        ``encephalopathy``.

    Returns
    -------
    Series
        Ordered categorical ``A B C``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Pugh R. N. H. et al. (1973). Transection of the oesophagus for bleeding oesophageal varices. *Br
    J Surg* 60, 646-649. doi:10.1002/bjs.1800600817. The INR in place of the prothrombin time is
    later usage.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> child_pugh(patients).tolist()
    ['A', nan]
    """
    return CHILD_PUGH.stage(patients)


def child_pugh_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest class that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `child_pugh`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `child_pugh` has an answer.

    Raises
    ------
    InputError
        As `child_pugh`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> child_pugh_bounds(patients).loc[1].tolist()
    ['B', 'C']
    """
    return CHILD_PUGH.bound(patients)


def albi(patients: pd.DataFrame) -> pd.Series:
    """Return the albumin-bilirubin score.

    ``0.66 log10(bilirubin, umol/L) - 0.085 albumin, g/L``; higher is worse. A missing input gives a
    missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``bilirubin_umol_l``, ``albumin_g_l``.

    Returns
    -------
    Series
        Floating-point numbers. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Johnson P. J. et al. (2015). Assessment of liver function in patients with hepatocellular
    carcinoma: a new evidence-based approach - the ALBI grade. *J Clin Oncol* 33, 550-558.
    doi:10.1200/JCO.2014.57.9151

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> albi(patients).round(3).tolist()
    [-2.586, -1.368]
    """
    return ALBI.stage(patients)


def albi_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest score that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `albi`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `albi` has an answer.

    Raises
    ------
    InputError
        As `albi`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [10.0], "albumin_g_l": [None]})
    >>> albi_bounds(patients).to_numpy().tolist()
    [[-inf, 0.66]]
    """
    return ALBI.bound(patients)


def albi_grade(patients: pd.DataFrame) -> pd.Series:
    """Return the ALBI grade, 1 to 3.

    Grade 1 up to -2.60, 2 up to -1.39, 3 above, of the score `albi` as it is, not rounded to two
    decimals. A missing input gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``bilirubin_umol_l``, ``albumin_g_l``.

    Returns
    -------
    Series
        Ordered categorical ``1 2 3``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Johnson P. J. et al. (2015). Assessment of liver function in patients with hepatocellular
    carcinoma: a new evidence-based approach - the ALBI grade. *J Clin Oncol* 33, 550-558.
    doi:10.1200/JCO.2014.57.9151

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> albi_grade(patients).tolist()
    ['2', '3']
    """
    return ALBI_GRADE.stage(patients)


def albi_grade_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest grade that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `albi_grade`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `albi_grade` has an answer.

    Raises
    ------
    InputError
        As `albi_grade`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> albi_grade_bounds(patients.drop(columns="albumin_g_l")).loc[0].tolist()
    ['1', '3']
    """
    return ALBI_GRADE.bound(patients)


def malbi_grade(patients: pd.DataFrame) -> pd.Series:
    """Return the modified ALBI grade, 1, 2a, 2b or 3.

    As `albi_grade`, with grade 2 divided at -2.27: 2a up to it, 2b above. A missing input gives a
    missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``bilirubin_umol_l``, ``albumin_g_l``.

    Returns
    -------
    Series
        Ordered categorical ``1 2a 2b 3``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Hiraoka A. et al. (2017). Validation and potential of albumin-bilirubin grade and
    prognostication in a nationwide survey of 46,681 hepatocellular carcinoma patients in Japan.
    *Liver Cancer* 6, 325-336. doi:10.1159/000479984

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> malbi_grade(patients).tolist()
    ['2a', '3']
    """
    return MALBI_GRADE.stage(patients)


def malbi_grade_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest grade that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `malbi_grade`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `malbi_grade` has an answer.

    Raises
    ------
    InputError
        As `malbi_grade`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [17.1, 34.2], "albumin_g_l": [40.0, 28.0],
    ...     "inr": [1.1, 1.7], "ascites": ["none", "mild"], "encephalopathy": [0, None]})
    >>> malbi_grade_bounds(patients).loc[0].tolist()
    ['2a', '2a']
    """
    return MALBI_GRADE.bound(patients)


def palbi(patients: pd.DataFrame) -> pd.Series:
    """Return the platelet-albumin-bilirubin score.

    ``2.02 L - 0.37 L^2 - 0.04 albumin - 3.48 P + 1.01 P^2`` with ``L = log10(bilirubin, umol/L)``,
    albumin in g/L and ``P = log10(platelets, 10^9/L)``; higher is worse. A missing input gives a
    missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``bilirubin_umol_l``, ``albumin_g_l``, ``platelets_10e9_l``.

    Returns
    -------
    Series
        Floating-point numbers. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Roayaie S. et al. (2015). PALBI, an objective score based on platelets, albumin and bilirubin.
    *Hepatology* 62 (suppl. 1), 631A-632A (abstract); the formula and its limits as printed in table
    1 of doi:10.1038/s41598-018-22923-4.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [10.0], "albumin_g_l": [40.0],
    ...     "platelets_10e9_l": [100.0]})
    >>> palbi(patients).round(3).tolist()
    [-2.87]
    """
    return PALBI.stage(patients)


def palbi_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest score that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `palbi`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `palbi` has an answer.

    Raises
    ------
    InputError
        As `palbi`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [10.0], "albumin_g_l": [40.0]})
    >>> palbi_bounds(patients).round(3).to_numpy().tolist()
    [[-2.948, inf]]
    """
    return PALBI.bound(patients)


def palbi_grade(patients: pd.DataFrame) -> pd.Series:
    """Return the PALBI grade, 1 to 3.

    Grade 1 up to -2.53, 2 up to -2.09, 3 above, of the score `palbi`. A missing input gives a
    missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``bilirubin_umol_l``, ``albumin_g_l``, ``platelets_10e9_l``.

    Returns
    -------
    Series
        Ordered categorical ``1 2 3``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Roayaie S. et al. (2015). PALBI, an objective score based on platelets, albumin and bilirubin.
    *Hepatology* 62 (suppl. 1), 631A-632A (abstract); the formula and its limits as printed in table
    1 of doi:10.1038/s41598-018-22923-4.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [10.0], "albumin_g_l": [40.0],
    ...     "platelets_10e9_l": [100.0]})
    >>> palbi_grade(patients).tolist()
    ['1']
    """
    return PALBI_GRADE.stage(patients)


def palbi_grade_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest grade that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `palbi_grade`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `palbi_grade` has an answer.

    Raises
    ------
    InputError
        As `palbi_grade`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [30.0], "albumin_g_l": [35.0]})
    >>> palbi_grade_bounds(patients).loc[0].tolist()
    ['2', '3']
    """
    return PALBI_GRADE.bound(patients)
