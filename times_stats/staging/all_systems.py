"""Every stage and score that the columns of a table allow."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from times_stats.staging.ajcc import TNM, TNM_AJCC7
from times_stats.staging.barcelona import BCLC, BCLC_2011
from times_stats.staging.chinese import CNLC
from times_stats.staging.clinical_columns import COLUMNS, read_clinical
from times_stats.staging.liver_function import (
    ALBI,
    ALBI_GRADE,
    CHILD_PUGH,
    CHILD_PUGH_POINTS,
    MALBI_GRADE,
    PALBI,
    PALBI_GRADE,
)
from times_stats.staging.points import CLIP, JIS, OKUDA
from times_stats.staging.recurrence import (
    ERASL_POST,
    ERASL_POST_GROUP,
    ERASL_PRE,
    ERASL_PRE_GROUP,
)
from times_stats.staging.systems import StagingSystem
from times_stats.staging.transplantation import MILAN, UP_TO_SEVEN, UP_TO_SEVEN_PATHOLOGY

SYSTEMS: tuple[StagingSystem, ...] = (
    *(CHILD_PUGH, CHILD_PUGH_POINTS, ALBI, ALBI_GRADE, MALBI_GRADE, PALBI, PALBI_GRADE),
    *(TNM, TNM_AJCC7, BCLC, BCLC_2011, CNLC, OKUDA, CLIP, JIS),
    *(MILAN, UP_TO_SEVEN, UP_TO_SEVEN_PATHOLOGY),
    *(ERASL_PRE, ERASL_PRE_GROUP, ERASL_POST, ERASL_POST_GROUP),
)


@dataclass(frozen=True, slots=True, eq=False)
class StagedPatients:
    """Stages and scores of a table of patients.

    Attributes
    ----------
    table : DataFrame
        Index as given; per system its answer, ``..._lowest`` and ``..._highest``.
    answered : dict of str to int
        System to the number of patients with an answer; zero where there are bounds alone.
    left_out : tuple of str
        Systems of which the columns say nothing for any patient.
    absent : dict of str to tuple of str
        System to the columns it reads and the table lacks.
    """

    table: pd.DataFrame
    answered: dict[str, int]
    left_out: tuple[str, ...]
    absent: dict[str, tuple[str, ...]]


def stage_patients(patients: pd.DataFrame) -> StagedPatients:
    """Find every stage and score that the columns allow, with bounds.

    Parameters
    ----------
    patients : DataFrame
        One row per patient, canonical columns; other columns are not looked at.

    Returns
    -------
    StagedPatients

    Raises
    ------
    InputError
        If the table has no clinical column, or holds values that cannot be.

    Warns
    -----
    DataWarning
        If a column is absent and a name like it is there, or a unit is doubtful.

    Examples
    --------
    >>> table = pd.DataFrame({"bilirubin_umol_l": [12.0, 30.0], "albumin_g_l": [42.0, None]})
    >>> staged = stage_patients(table)
    >>> staged.table[["albi_grade", "albi_grade_lowest", "albi_grade_highest"]].to_numpy().tolist()
    [['1', '1', '1'], [nan, '1', '3']]
    >>> staged.answered["albi"], staged.absent["palbi"], "bclc" in staged.left_out
    (1, ('platelets_10e9_l',), True)
    """
    inputs = read_clinical(patients, COLUMNS)
    columns: dict[str, pd.Series] = {}
    answered: dict[str, int] = {}
    left_out: list[str] = []
    for system in SYSTEMS:
        bounds = system.search(inputs)
        if not system.says_something(bounds):
            left_out.append(system.name)
            continue
        answer = system.settle(inputs.index, bounds)
        frame = system.frame(inputs.index, bounds)
        answered[system.name] = int(answer.notna().sum())
        columns[system.name] = answer
        columns[f"{system.name}_lowest"] = frame["lowest"]
        columns[f"{system.name}_highest"] = frame["highest"]
    absent = {
        system.name: tuple(name for name in system.columns if name in inputs.absent)
        for system in SYSTEMS
    }
    return StagedPatients(
        pd.DataFrame(columns, index=inputs.index), answered, tuple(left_out), absent
    )
