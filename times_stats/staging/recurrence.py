"""Early recurrence after resection: ERASL before and after the operation.

Microvascular invasion of the model after the operation is read as any vascular invasion: a tumour
that has entered large vessels has entered small ones.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.staging.clinical_columns import ClinicalColumns
from times_stats.staging.liver_function import ALBI_COLUMNS, albi_grades
from times_stats.staging.systems import Bounds, StagingSystem, graded, known_or_between
from times_stats.staging.tumour_inputs import VESSELS

PRE_COLUMNS = ("sex", *ALBI_COLUMNS, "afp_ng_ml", "tumour_size_cm", "tumour_count")
POST_COLUMNS = (*PRE_COLUMNS, *VESSELS)
GROUPS = ("low", "intermediate", "high")


def _logarithm(values: FloatArray) -> Bounds:
    return known_or_between(np.log(values), -np.inf, np.inf)


def _common_terms(inputs: ClinicalColumns) -> tuple[Bounds, ...]:
    """Return sex, ALBI grade above 1, ln AFP, ln size and number of tumours."""
    afp = inputs.number("afp_ng_ml")
    if (afp == 0).any():
        raise InputError(
            "column 'afp_ng_ml' is 0, and its logarithm is needed, for patient "
            f"{name_rows(inputs.patients[afp == 0])}: enter the detection limit"
        )
    lowest, highest = albi_grades(inputs)
    count = inputs.number("tumour_count")
    number = np.where(np.isnan(count), np.nan, np.searchsorted((1, 3), count))
    return (
        known_or_between(inputs.number("sex"), 0, 1),
        ((lowest > 0).astype(np.float64), (highest > 0).astype(np.float64)),
        _logarithm(afp),
        _logarithm(inputs.number("tumour_size_cm")),
        known_or_between(number, 0, 2),
    )


def _weighted(terms: tuple[Bounds, ...], weights: tuple[float, ...]) -> Bounds:
    pairs = list(zip(weights, terms, strict=True))
    lowest = np.sum([weight * low for weight, (low, _) in pairs], axis=0)
    highest = np.sum([weight * high for weight, (_, high) in pairs], axis=0)
    return lowest, highest


def _pre(inputs: ClinicalColumns) -> Bounds:
    return _weighted(_common_terms(inputs), (0.818, 0.447, 0.100, 0.580, 0.492))


def _post(inputs: ClinicalColumns) -> Bounds:
    vascular = inputs.number("vascular_invasion")
    thrombus = inputs.number("portal_vein_tumour_thrombus")
    invaded = np.where(np.isnan(vascular), np.nan, 1.0 * (vascular > 0))
    invaded = np.where(thrombus == 1, 1.0, invaded)
    terms = (*_common_terms(inputs), known_or_between(invaded, 0, 1))
    return _weighted(terms, (0.677, 0.414, 0.097, 0.425, 0.401, 0.676))


def _pre_group(inputs: ClinicalColumns) -> Bounds:
    return graded(_pre(inputs), 2.558, 3.521)


def _post_group(inputs: ClinicalColumns) -> Bounds:
    return graded(_post(inputs), 2.332, 3.445)


ERASL_PRE = StagingSystem("erasl_pre", PRE_COLUMNS, _pre, dtype="float64")
ERASL_PRE_GROUP = StagingSystem("erasl_pre_group", PRE_COLUMNS, _pre_group, GROUPS)
ERASL_POST = StagingSystem("erasl_post", POST_COLUMNS, _post, dtype="float64")
ERASL_POST_GROUP = StagingSystem("erasl_post_group", POST_COLUMNS, _post_group, GROUPS)


def erasl_pre(patients: pd.DataFrame) -> pd.Series:
    """Return the ERASL score of early recurrence, before the resection.

    ``0.818 male + 0.447 (ALBI grade 2 or 3) + 0.100 ln(AFP, ug/L) + 0.580 ln(size, cm) + 0.492
    number``, number 0 for one tumour, 1 for two or three, 2 for four or more. AFP in ng/mL equals
    ug/L; an AFP of 0 is an error, because its logarithm is needed: enter the detection limit. A
    missing input gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``sex``, ``bilirubin_umol_l``, ``albumin_g_l``, ``afp_ng_ml``,
        ``tumour_size_cm``, ``tumour_count``.

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
    Chan A. W. H. et al. (2018). Development of pre and post-operative models to predict early
    recurrence of hepatocellular carcinoma after surgical resection. *J Hepatol* 69, 1284-1293.
    doi:10.1016/j.jhep.2018.08.027

    Examples
    --------
    >>> patients = pd.DataFrame({"sex": ["male", "female"], "bilirubin_umol_l": 12.0,
    ...     "albumin_g_l": 42.0, "afp_ng_ml": [1000.0, 5.0], "tumour_size_cm": [6.0, 2.0],
    ...     "tumour_count": 1, "vascular_invasion": ["micro", "none"]})
    >>> erasl_pre(patients).round(3).tolist()
    [2.548, 0.563]
    """
    return ERASL_PRE.stage(patients)


def erasl_pre_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest score that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `erasl_pre`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `erasl_pre` has an answer.

    Raises
    ------
    InputError
        As `erasl_pre`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [12.0], "albumin_g_l": [42.0],
    ...     "afp_ng_ml": [20.0], "tumour_size_cm": [5.0], "tumour_count": [1],
    ...     "vascular_invasion": ["none"]})  # sex unknown
    >>> erasl_pre_bounds(patients).round(3).to_numpy().tolist()
    [[1.233, 2.051]]
    """
    return ERASL_PRE.bound(patients)


def erasl_pre_group(patients: pd.DataFrame) -> pd.Series:
    """Return the ERASL risk group, before the resection.

    Low up to the first, intermediate up to the second, high above the second of 2.558 and 3.521 of
    `erasl_pre`. A missing input gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``sex``, ``bilirubin_umol_l``, ``albumin_g_l``, ``afp_ng_ml``,
        ``tumour_size_cm``, ``tumour_count``.

    Returns
    -------
    Series
        Ordered categorical ``low intermediate high``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Chan A. W. H. et al. (2018). Development of pre and post-operative models to predict early
    recurrence of hepatocellular carcinoma after surgical resection. *J Hepatol* 69, 1284-1293.
    doi:10.1016/j.jhep.2018.08.027

    Examples
    --------
    >>> patients = pd.DataFrame({"sex": ["male", "female"], "bilirubin_umol_l": 12.0,
    ...     "albumin_g_l": 42.0, "afp_ng_ml": [1000.0, 5.0], "tumour_size_cm": [6.0, 2.0],
    ...     "tumour_count": 1, "vascular_invasion": ["micro", "none"]})
    >>> erasl_pre_group(patients).tolist()
    ['low', 'low']
    """
    return ERASL_PRE_GROUP.stage(patients)


def erasl_pre_group_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest group that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `erasl_pre_group`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `erasl_pre_group` has an answer.

    Raises
    ------
    InputError
        As `erasl_pre_group`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [12.0], "albumin_g_l": [42.0],
    ...     "afp_ng_ml": [20.0], "tumour_size_cm": [5.0], "tumour_count": [1],
    ...     "vascular_invasion": ["none"]})  # sex unknown
    >>> erasl_pre_group_bounds(patients).loc[0].tolist()
    ['low', 'low']
    """
    return ERASL_PRE_GROUP.bound(patients)


def erasl_post(patients: pd.DataFrame) -> pd.Series:
    """Return the ERASL score of early recurrence, after the resection.

    ``0.677 male + 0.414 (ALBI grade 2 or 3) + 0.676 (microvascular invasion) + 0.097 ln(AFP, ug/L)
    + 0.425 ln(size, cm) + 0.401 number``, number 0 for one tumour, 1 for two or three, 2 for four
    or more. Any vascular invasion counts, macroscopic too. AFP in ng/mL equals ug/L; an AFP of 0 is
    an error, because its logarithm is needed: enter the detection limit. A missing input gives a
    missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``sex``, ``bilirubin_umol_l``, ``albumin_g_l``, ``afp_ng_ml``,
        ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``.

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
    Chan A. W. H. et al. (2018). Development of pre and post-operative models to predict early
    recurrence of hepatocellular carcinoma after surgical resection. *J Hepatol* 69, 1284-1293.
    doi:10.1016/j.jhep.2018.08.027

    Examples
    --------
    >>> patients = pd.DataFrame({"sex": ["male", "female"], "bilirubin_umol_l": 12.0,
    ...     "albumin_g_l": 42.0, "afp_ng_ml": [1000.0, 5.0], "tumour_size_cm": [6.0, 2.0],
    ...     "tumour_count": 1, "vascular_invasion": ["micro", "none"]})
    >>> erasl_post(patients).round(3).tolist()
    [2.785, 0.451]
    """
    return ERASL_POST.stage(patients)


def erasl_post_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest score that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `erasl_post`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `erasl_post` has an answer.

    Raises
    ------
    InputError
        As `erasl_post`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [12.0], "albumin_g_l": [42.0],
    ...     "afp_ng_ml": [20.0], "tumour_size_cm": [5.0], "tumour_count": [1],
    ...     "vascular_invasion": ["none"]})  # sex unknown
    >>> erasl_post_bounds(patients).round(3).to_numpy().tolist()
    [[0.975, 1.652]]
    """
    return ERASL_POST.bound(patients)


def erasl_post_group(patients: pd.DataFrame) -> pd.Series:
    """Return the ERASL risk group, after the resection.

    Low up to the first, intermediate up to the second, high above the second of 2.332 and 3.445 of
    `erasl_post`. A missing input gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``sex``, ``bilirubin_umol_l``, ``albumin_g_l``, ``afp_ng_ml``,
        ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``.

    Returns
    -------
    Series
        Ordered categorical ``low intermediate high``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Chan A. W. H. et al. (2018). Development of pre and post-operative models to predict early
    recurrence of hepatocellular carcinoma after surgical resection. *J Hepatol* 69, 1284-1293.
    doi:10.1016/j.jhep.2018.08.027

    Examples
    --------
    >>> patients = pd.DataFrame({"sex": ["male", "female"], "bilirubin_umol_l": 12.0,
    ...     "albumin_g_l": 42.0, "afp_ng_ml": [1000.0, 5.0], "tumour_size_cm": [6.0, 2.0],
    ...     "tumour_count": 1, "vascular_invasion": ["micro", "none"]})
    >>> erasl_post_group(patients).tolist()
    ['intermediate', 'low']
    """
    return ERASL_POST_GROUP.stage(patients)


def erasl_post_group_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest group that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `erasl_post_group`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `erasl_post_group` has an answer.

    Raises
    ------
    InputError
        As `erasl_post_group`.

    Examples
    --------
    >>> patients = pd.DataFrame({"bilirubin_umol_l": [12.0], "albumin_g_l": [42.0],
    ...     "afp_ng_ml": [20.0], "tumour_size_cm": [5.0], "tumour_count": [1],
    ...     "vascular_invasion": ["none"]})  # sex unknown
    >>> erasl_post_group_bounds(patients).loc[0].tolist()
    ['low', 'low']
    """
    return ERASL_POST_GROUP.bound(patients)
