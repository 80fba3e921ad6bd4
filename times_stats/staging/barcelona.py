"""Barcelona Clinic Liver Cancer stages: the strategy of 2022, and the reading before it.

Two choices are ours. The strategy of 2022 asks for preserved liver function in stages 0, A and B,
which no column holds: Child-Pugh A and B count as preserved. And a candidate for transplantation
with Child-Pugh C is staged by tumour and performance status, as if liver function were preserved.
Microvascular invasion changes nothing, and satellites are not counted as nodules.
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

COLUMNS = (
    "tumour_size_cm", "tumour_count", *VESSELS, *SPREAD, "ecog", *CHILD_PUGH_COLUMNS,
    "transplant_candidate",
)  # fmt: skip
STAGES = ("0", "A", "B", "C", "D")
_LEVELS = {
    name: LEVELS[name]
    for name in (
        *("size", "count", "vascular", "thrombus", "node", "distant", "ecog", "candidate"),
        "child_pugh",
    )
}


def _stage(on: Grid, *, largest_single: int) -> IntArray:
    """Stage all combinations; a single tumour beyond the level `largest_single` is B."""
    single, few = on["count"] == 0, on["count"] == 1
    stages = first_true(
        [
            ((on["ecog"] == 2) | ((on["child_pugh"] == 2) & (on["candidate"] == 0)), 4),
            (macroscopic(on) | spread(on) | (on["ecog"] == 1), 3),
            (single & (on["size"] == 0), 0),
            ((single & (on["size"] <= largest_single)) | (few & (on["size"] <= 1)), 1),
        ],
        2,
    )
    return except_contradictions(stages, on)


def _stage_2022(on: Grid) -> IntArray:
    return _stage(on, largest_single=3)


def _stage_2011(on: Grid) -> IntArray:
    return _stage(on, largest_single=2)


BCLC = StagingSystem("bclc", COLUMNS, rule_search(_stage_2022, _LEVELS, possible_inputs), STAGES)
BCLC_2011 = StagingSystem(
    "bclc_2011", COLUMNS, rule_search(_stage_2011, _LEVELS, possible_inputs), STAGES
)


def bclc(patients: pd.DataFrame) -> pd.Series:
    """Return the Barcelona (BCLC) stage of 2022, 0 to D.

    D: ECOG 3 or 4, or Child-Pugh C in a patient who is no candidate for transplantation. C: else
    macrovascular invasion, nodes, distant metastasis, or ECOG 1 or 2. Otherwise 0: one tumour up to
    2 cm; A: one tumour of any size, or two or three none of which exceeds 3 cm; B: the rest. A
    missing input gives a missing answer where it could change it. So does the question of
    transplantation, where Child-Pugh C is possible.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``, ``nodal_metastasis``, ``distant_metastasis``, ``ecog``,
        ``bilirubin_umol_l``, ``albumin_g_l``, ``inr``, ``ascites``, ``encephalopathy``,
        ``transplant_candidate``.

    Returns
    -------
    Series
        Ordered categorical ``0 A B C D``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Reig M. et al. (2022). BCLC strategy for prognosis prediction and treatment recommendation: the
    2022 update. *J Hepatol* 76, 681-693. doi:10.1016/j.jhep.2021.11.018

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [2.0, 7.0], "tumour_count": 1,
    ...     "vascular_invasion": "none", "nodal_metastasis": False, "distant_metastasis": False,
    ...     "ecog": 0, "bilirubin_umol_l": 15.0, "albumin_g_l": 40.0, "inr": 1.0, "ascites": "none",
    ...     "encephalopathy": 0})
    >>> bclc(patients).tolist()
    ['0', 'A']
    """
    return BCLC.stage(patients)


def bclc_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest stage that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `bclc`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `bclc` has an answer.

    Raises
    ------
    InputError
        As `bclc`.

    Examples
    --------
    >>> patients = pd.DataFrame({"vascular_invasion": ["macro", "none"], "ecog": [0, 3]})
    >>> bclc_bounds(patients).to_numpy().tolist()
    [['C', 'D'], ['D', 'D']]
    """
    return BCLC.bound(patients)


def bclc_2011(patients: pd.DataFrame) -> pd.Series:
    """Return the BCLC stage with a single tumour above 5 cm in stage B.

    As `bclc` in all else. Records made before 2022 often read the strategy so: its tables spoke of
    one tumour up to 5 cm in stage A, and what lies beyond was left to the reader. Made for
    comparison with recorded stages. A missing input gives a missing answer where it could change
    it.

    Parameters
    ----------
    patients : DataFrame
        One row per patient. Reads ``tumour_size_cm``, ``tumour_count``, ``vascular_invasion``,
        ``portal_vein_tumour_thrombus``, ``nodal_metastasis``, ``distant_metastasis``, ``ecog``,
        ``bilirubin_umol_l``, ``albumin_g_l``, ``inr``, ``ascites``, ``encephalopathy``,
        ``transplant_candidate``.

    Returns
    -------
    Series
        Ordered categorical ``0 A B C D``. Index as given.

    Raises
    ------
    InputError
        If none of the columns is there, or a value cannot be; columns and patients are named.

    References
    ----------
    Llovet J. M. et al. (1999). Prognosis of hepatocellular carcinoma: the BCLC staging
    classification. *Semin Liver Dis* 19, 329-338. doi:10.1055/s-2007-1007122. Bruix J., Sherman M.
    (2011). Management of hepatocellular carcinoma: an update. *Hepatology* 53, 1020-1022.
    doi:10.1002/hep.24199

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [2.0, 7.0], "tumour_count": 1,
    ...     "vascular_invasion": "none", "nodal_metastasis": False, "distant_metastasis": False,
    ...     "ecog": 0, "bilirubin_umol_l": 15.0, "albumin_g_l": 40.0, "inr": 1.0, "ascites": "none",
    ...     "encephalopathy": 0})
    >>> bclc_2011(patients).tolist()
    ['0', 'B']
    """
    return BCLC_2011.stage(patients)


def bclc_2011_bounds(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest stage that the known inputs allow.

    Parameters
    ----------
    patients : DataFrame
        As `bclc_2011`.

    Returns
    -------
    DataFrame
        ``lowest`` and ``highest``, index as given; equal where `bclc_2011` has an answer.

    Raises
    ------
    InputError
        As `bclc_2011`.

    Examples
    --------
    >>> patients = pd.DataFrame({"tumour_size_cm": [7.0], "ecog": [0]})
    >>> bclc_2011_bounds(patients).loc[0].tolist()
    ['B', 'D']
    """
    return BCLC_2011.bound(patients)
