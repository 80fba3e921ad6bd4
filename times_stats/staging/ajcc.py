"""TNM stages of hepatocellular carcinoma by AJCC, eighth and seventh edition.

Satellites and intrahepatic metastases count as several tumours. Regional nodes and distant
metastasis must be known: an empty column gives bounds, a recorded NX is another matter
(`read_recorded_stage`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats._typing import IntArray
from times_stats.staging.completions import Grid
from times_stats.staging.systems import StagingSystem, rule_search
from times_stats.staging.tumour_inputs import (
    LEVELS,
    SPREAD,
    VESSELS,
    except_contradictions,
    first_true,
    possible_inputs,
)

COLUMNS = (
    "tumour_size_cm", "tumour_count", "satellites", *VESSELS, "adjacent_organ_invasion", *SPREAD,
)  # fmt: skip
STAGES_8 = ("IA", "IB", "II", "IIIA", "IIIB", "IVA", "IVB")
STAGES_7 = ("I", "II", "IIIA", "IIIB", "IIIC", "IVA", "IVB")
_LEVELS = {
    name: LEVELS[name]
    for name in (
        *("size", "count", "satellites", "vascular", "thrombus", "main_branch", "adjacent"),
        *("node", "distant"),
    )
}


def _eighth(on: Grid) -> IntArray:
    several = (on["count"] > 0) | (on["satellites"] == 1)
    stages = first_true(
        [
            (on["distant"] == 1, 6),
            (on["node"] == 1, 5),
            ((on["main_branch"] == 1) | (on["adjacent"] == 1), 4),  # T4, before T1a
            (several & (on["size"] == 3), 3),
            (several, 2),
            (on["size"] == 0, 0),
            (on["vascular"] > 0, 2),
        ],
        1,
    )
    return except_contradictions(stages, on)


def _seventh(on: Grid) -> IntArray:
    several = (on["count"] > 0) | (on["satellites"] == 1)
    stages = first_true(
        [
            (on["distant"] == 1, 6),
            (on["node"] == 1, 5),
            (on["adjacent"] == 1, 4),
            (on["main_branch"] == 1, 3),
            (several & (on["size"] == 3), 2),
            (several | (on["vascular"] > 0), 1),
        ],
        np.zeros_like(on["size"]),
    )
    return except_contradictions(stages, on)


TNM = StagingSystem("tnm", COLUMNS, rule_search(_eighth, _LEVELS, possible_inputs), STAGES_8)
TNM_AJCC7 = StagingSystem(
    "tnm_ajcc7", COLUMNS, rule_search(_seventh, _LEVELS, possible_inputs), STAGES_7
)


def tnm(patients: pd.DataFrame) -> pd.Series:
    """Return the AJCC stage of the eighth edition, IA to IVB.

    T1a one tumour up to 2 cm; T1b one above 2 cm without vascular invasion; T2 one above 2 cm with
    vascular invasion, or several none of which exceeds 5 cm; T3 several, one of them above 5 cm; T4
    a main branch of the portal or hepatic vein, an adjacent organ other than the gallbladder, or
    the visceral peritoneum perforated. IA T1a, IB T1b, II T2, IIIA T3, IIIB T4; IVA N1; IVB M1. T4
    is read first: a tumour of 1.5 cm in a main branch is T4. Vascular invasion is of any kind,
    micro too. A tumour thrombus of the portal vein in an unknown branch leaves T4 open. A missing
    input gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``satellites``,
        ``vascular_invasion``, ``portal_vein_tumour_thrombus``, ``adjacent_organ_invasion``,
        ``nodal_metastasis``, ``distant_metastasis``.

    Returns
    -------
    Series
        Ordered categorical ``IA IB II IIIA IIIB IVA IVB``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Amin M. B. et al., editors (2017). *AJCC Cancer Staging Manual*, 8th edition. Springer. Chapter
    on the liver.

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [1.5, 6.0], "tumour_count": [1, 3],
    ...     "satellites": False, "vascular_invasion": "none", "adjacent_organ_invasion": False,
    ...     "nodal_metastasis": False, "distant_metastasis": False})
    >>> tnm(patients).tolist()
    ['IA', 'IIIA']
    """
    return TNM.stage(patients)


def tnm_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest stage that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `tnm`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `tnm` has an answer.

    Raises
    ------
    InputError
        As `tnm`.

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [6.0], "tumour_count": [3],
    ...     "vascular_invasion": ["none"], "nodal_metastasis": [False],
    ...     "distant_metastasis": [False]})
    >>> tnm_bounds(patients).loc[0].tolist()
    ['IIIA', 'IIIB']
    """
    return TNM.bound(patients)


def tnm_ajcc7(patients: pd.DataFrame) -> pd.Series:
    """Return the AJCC stage of the seventh edition, I to IVB.

    T1 one tumour without vascular invasion; T2 one with vascular invasion, or several none of which
    exceeds 5 cm; T3a several, one of them above 5 cm; T3b a main branch of the portal or hepatic
    vein; T4 an adjacent organ other than the gallbladder, or the visceral peritoneum perforated. I
    T1, II T2, IIIA T3a, IIIB T3b, IIIC T4; IVA N1; IVB M1. Vascular invasion is of any kind, micro
    too. A missing input gives a missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``satellites``,
        ``vascular_invasion``, ``portal_vein_tumour_thrombus``, ``adjacent_organ_invasion``,
        ``nodal_metastasis``, ``distant_metastasis``.

    Returns
    -------
    Series
        Ordered categorical ``I II IIIA IIIB IIIC IVA IVB``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Edge S. B. et al., editors (2010). *AJCC Cancer Staging Manual*, 7th edition. Springer. Chapter
    on the liver.

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [1.5, 6.0], "tumour_count": [1, 3],
    ...     "satellites": False, "vascular_invasion": "none", "adjacent_organ_invasion": False,
    ...     "nodal_metastasis": False, "distant_metastasis": False})
    >>> tnm_ajcc7(patients).tolist()
    ['I', 'IIIA']
    """
    return TNM_AJCC7.stage(patients)


def tnm_ajcc7_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest stage that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `tnm_ajcc7`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `tnm_ajcc7` has an answer.

    Raises
    ------
    InputError
        As `tnm_ajcc7`.

    Examples
    --------
    >>> patients = pd.DataFrame({"vascular_invasion": ["major"], "nodal_metastasis": [False]})
    >>> tnm_ajcc7_bounds(patients).loc[0].tolist()
    ['IIIB', 'IVB']
    """
    return TNM_AJCC7.bound(patients)
