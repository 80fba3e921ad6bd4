"""Criteria for transplantation: Milan, and up to seven.

The size is the largest diameter and the count that of the nodules; satellites are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from times_stats._typing import BoolArray, IntArray
from times_stats.staging.clinical_columns import ClinicalColumns, settled
from times_stats.staging.completions import Grid
from times_stats.staging.systems import StagingSystem, rule_search
from times_stats.staging.tumour_inputs import (
    LEVELS,
    SPREAD,
    VESSELS,
    except_contradictions,
    macroscopic,
    possible_inputs,
    spread,
)

COLUMNS = ("tumour_size_cm", "tumour_count", *VESSELS, *SPREAD)
_CONFINED = {name: LEVELS[name] for name in ("vascular", "thrombus", "node", "distant")}
_MILAN_LEVELS = {name: LEVELS[name] for name in ("size", "count")} | _CONFINED
_SEVEN_LEVELS = {"within_seven": 2} | _CONFINED


def _milan(on: Grid) -> IntArray:
    small = ((on["count"] == 0) & (on["size"] <= 2)) | ((on["count"] == 1) & (on["size"] <= 1))
    return except_contradictions((small & ~macroscopic(on) & ~spread(on)).astype(np.int64), on)


def _up_to_seven(on: Grid) -> IntArray:
    within = (on["within_seven"] == 1) & ~macroscopic(on) & ~spread(on)
    return except_contradictions(within.astype(np.int64), on)


def _up_to_seven_pathology(on: Grid) -> IntArray:
    return np.where(_up_to_seven(on) > 0, on["vascular"] == 0, _up_to_seven(on))


def _seven_possible(inputs: ClinicalColumns) -> Mapping[str, BoolArray]:
    """Tell whether the sum can be up to seven: a size is above 0, a count is 1 or more."""
    size, count = inputs.number("tumour_size_cm"), inputs.number("tumour_count")
    missing = np.isnan(size) | np.isnan(count)
    least = settled(np.where(np.isnan(size), 0.0, size) + np.where(np.isnan(count), 1.0, count))
    can_be = np.where(np.isnan(size), least < 7, least <= 7)
    within = np.column_stack([missing | ~can_be, can_be])
    return {**possible_inputs(inputs), "within_seven": within}


MILAN = StagingSystem(
    "milan", COLUMNS, rule_search(_milan, _MILAN_LEVELS, possible_inputs),
    dtype="boolean", limits=(0, 1),
)  # fmt: skip
UP_TO_SEVEN = StagingSystem(
    "up_to_seven", COLUMNS, rule_search(_up_to_seven, _SEVEN_LEVELS, _seven_possible),
    dtype="boolean", limits=(0, 1),
)  # fmt: skip
UP_TO_SEVEN_PATHOLOGY = StagingSystem(
    "up_to_seven_pathology",
    COLUMNS,
    rule_search(_up_to_seven_pathology, _SEVEN_LEVELS, _seven_possible),
    dtype="boolean",
    limits=(0, 1),
)


def milan(patients: pd.DataFrame) -> pd.Series:
    """Say whether the Milan criteria are met.

    One tumour up to 5 cm, or two or three none of which exceeds 3 cm, without macrovascular
    invasion or spread. A missing input gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``, ``nodal_metastasis``, ``distant_metastasis``.

    Returns
    -------
    Series
        Booleans that may be missing. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Mazzaferro V. et al. (1996). Liver transplantation for the treatment of small hepatocellular
    carcinomas in patients with cirrhosis. *N Engl J Med* 334, 693-699.
    doi:10.1056/NEJM199603143341104

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [5.0, 3.1], "tumour_count": [1, 2],
    ...     "vascular_invasion": "micro", "nodal_metastasis": False, "distant_metastasis": False})
    >>> milan(patients).tolist()
    [True, False]
    """
    return MILAN.stage(patients)


def milan_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest answer that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `milan`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `milan` has an answer.

    Raises
    ------
    InputError
        As `milan`.

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [4.0, 5.1]})
    >>> milan_bounds(patients).to_numpy().tolist()
    [[False, True], [False, False]]
    """
    return MILAN.bound(patients)


def up_to_seven(patients: pd.DataFrame) -> pd.Series:
    """Say whether the up-to-seven criteria are met, as seen before the operation.

    The largest diameter in cm and the number of tumours add up to seven at most, without
    macrovascular invasion or spread. A missing input gives a missing answer where it could change
    it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``, ``nodal_metastasis``, ``distant_metastasis``.

    Returns
    -------
    Series
        Booleans that may be missing. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Mazzaferro V. et al. (2009). Predicting survival after liver transplantation in patients with
    hepatocellular carcinoma beyond the Milan criteria: a retrospective, exploratory analysis.
    *Lancet Oncol* 10, 35-43. doi:10.1016/S1470-2045(08)70284-5

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [4.5, 4.5], "tumour_count": [2, 3],
    ...     "vascular_invasion": "micro", "nodal_metastasis": False, "distant_metastasis": False})
    >>> up_to_seven(patients).tolist()
    [True, False]
    """
    return UP_TO_SEVEN.stage(patients)


def up_to_seven_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest answer that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `up_to_seven`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `up_to_seven` has an answer.

    Raises
    ------
    InputError
        As `up_to_seven`.

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_count": [6, 7]})
    >>> up_to_seven_bounds(patients).to_numpy().tolist()
    [[False, True], [False, False]]
    """
    return UP_TO_SEVEN.bound(patients)


def up_to_seven_pathology(patients: pd.DataFrame) -> pd.Series:
    """Say whether the up-to-seven criteria are met in the specimen.

    As `up_to_seven`, and without microvascular invasion. A missing input gives a missing answer
    where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``, ``nodal_metastasis``, ``distant_metastasis``.

    Returns
    -------
    Series
        Booleans that may be missing. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Mazzaferro V. et al. (2009). Predicting survival after liver transplantation in patients with
    hepatocellular carcinoma beyond the Milan criteria: a retrospective, exploratory analysis.
    *Lancet Oncol* 10, 35-43. doi:10.1016/S1470-2045(08)70284-5

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": 4.5, "tumour_count": 2,
    ...     "vascular_invasion": ["none", "micro"], "nodal_metastasis": False,
    ...     "distant_metastasis": False})
    >>> up_to_seven_pathology(patients).tolist()
    [True, False]
    """
    return UP_TO_SEVEN_PATHOLOGY.stage(patients)


def up_to_seven_pathology_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest answer that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `up_to_seven_pathology`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `up_to_seven_pathology` has an
        answer.

    Raises
    ------
    InputError
        As `up_to_seven_pathology`.

    Examples
    --------
    >>> patients = pd.DataFrame({"vascular_invasion": ["micro"]})
    >>> up_to_seven_pathology_bounds(patients).to_numpy().tolist()
    [[False, False]]
    """
    return UP_TO_SEVEN_PATHOLOGY.bound(patients)
