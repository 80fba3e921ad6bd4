"""China liver cancer (CNLC) stages.

Satellites are not counted as nodules, and microvascular invasion changes nothing: the vascular
invasion of stage IIIa is seen on images.
"""

from __future__ import annotations

import pandas as pd

from times_stats._typing import IntArray
from times_stats.staging.completions import Grid
from times_stats.staging.liver_function import CHILD_PUGH_COLUMNS
from times_stats.staging.systems import StagingSystem, rule_search
from times_stats.staging.tumour_inputs import (
    LEVELS,
    SPREAD,
    VESSELS,
    except_contradictions,
    first_true,
    macroscopic,
    possible_inputs,
    spread,
)

COLUMNS = ("tumour_size_cm", "tumour_count", *VESSELS, *SPREAD, "ecog", *CHILD_PUGH_COLUMNS)
STAGES = ("Ia", "Ib", "IIa", "IIb", "IIIa", "IIIb", "IV")
_LEVELS = {
    name: LEVELS[name]
    for name in ("size", "count", "vascular", "thrombus", "node", "distant", "ecog", "child_pugh")
}


def _stage(on: Grid) -> IntArray:
    single, few, many = (on["count"] == level for level in range(3))
    stages = first_true(
        [
            ((on["ecog"] == 2) | (on["child_pugh"] == 2), 6),
            (spread(on), 5),
            (macroscopic(on), 4),
            (many, 3),
            (few & (on["size"] > 1), 2),
            (few | (single & (on["size"] == 3)), 1),
        ],
        0,
    )
    return except_contradictions(stages, on)


CNLC = StagingSystem("cnlc", COLUMNS, rule_search(_stage, _LEVELS, possible_inputs), STAGES)


def cnlc(patients: pd.DataFrame) -> pd.Series:
    """Return the China liver cancer (CNLC) stage of 2022, Ia to IV.

    IV: ECOG 3 or 4, or Child-Pugh C. IIIb: nodes or distant metastasis. IIIa: macrovascular
    invasion. IIb: four nodules or more. IIa: two or three, one of them above 3 cm. Ib: one above 5
    cm, or two or three none of which exceeds 3 cm. Ia: one up to 5 cm. A missing input gives a
    missing answer where it could change it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``, ``nodal_metastasis``, ``distant_metastasis``, ``ecog``,
        ``bilirubin_umol_l``, ``albumin_g_l``, ``inr``, ``ascites``, ``encephalopathy``.

    Returns
    -------
    Series
        Ordered categorical ``Ia Ib IIa IIb IIIa IIIb IV``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Zhou J. et al. (2023). Guidelines for the diagnosis and treatment of primary liver cancer (2022
    edition). *Liver Cancer* 12, 405-444. doi:10.1159/000530495

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [5.0, 3.1], "tumour_count": [1, 2],
    ...     "vascular_invasion": "none", "nodal_metastasis": False, "distant_metastasis": False,
    ...     "ecog": 1, "bilirubin_umol_l": 15.0, "albumin_g_l": 40.0, "inr": 1.0, "ascites": "none",
    ...     "encephalopathy": 0})
    >>> cnlc(patients).tolist()
    ['Ia', 'IIa']
    """
    return CNLC.stage(patients)


def cnlc_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest stage that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `cnlc`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `cnlc` has an answer.

    Raises
    ------
    InputError
        As `cnlc`.

    Examples
    --------
    >>> patients = pd.DataFrame({"vascular_invasion": ["macro"], "ecog": [0]})
    >>> cnlc_bounds(patients).loc[0].tolist()
    ['IIIa', 'IV']
    """
    return CNLC.bound(patients)
