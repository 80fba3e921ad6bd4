"""The patients table: one row a patient, outcome and recorded stages in canonical columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats._typing import BoolArray
from times_stats.tables.columns import as_labels, as_numbers, rename_columns
from times_stats.tables.stages import SYSTEMS, order_stages

DAYS_PER_MONTH = 30.4375
CLINICAL = (
    "age", "sex", "cirrhosis", "tumour_size_cm", "tumour_count", "tumour_over_half_liver",
    "vascular_invasion", "portal_vein_tumour_thrombus", "satellites", "bile_duct_invasion",
    "transplant_candidate", "adjacent_organ_invasion", "nodal_metastasis", "distant_metastasis",
    "ecog", "albumin_g_l", "bilirubin_umol_l", "inr", "platelets_10e9_l", "afp_ng_ml", "ascites",
    "encephalopathy", "resection_margin_positive",
)  # fmt: skip
KNOWN = ("patient_id", "cohort", "time", "event", *SYSTEMS, *CLINICAL)
PLANNED = {
    "entry": "delayed entry",
    "time_lower": "interval censoring",
    "time_upper": "interval censoring",
    "cause": "competing risks",
    "treatment": "treatment benefit",
}
_OTHER_OUTCOME = (
    "studies are followed from time zero and right-censored, survival.fit_survival knows more; "
    "leave such patients out, then the column"
)


def check_patients(
    table: pd.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
    time_unit: str = "months",
    staging: Sequence[str] = (),
    strata: Sequence[str] = ("cohort",),
    with_outcome: bool = True,
) -> pd.DataFrame:
    """Check a patients table and put it into canonical form.

    Parameters
    ----------
    table : DataFrame
        One row per patient.
    columns : mapping of str to str, optional
        Canonical column name to the name in `table`.
    time_unit : str
        Unit of ``time`` in `table`: ``months`` or ``days`` (30.4375 days to the month).
    staging : sequence of str
        Columns of recorded stages that the analysis compares with.
    strata : sequence of str
        Columns whose values are strata of the censoring distribution.
    with_outcome : bool
        False for new patients, whose outcome is not known: ``time`` and ``event`` are not read.

    Returns
    -------
    DataFrame
        Sorted by ``patient_id`` (text), with ``cohort`` (``"all"`` if there is none), ``time`` in
        months, ``event`` 0 or 1, and the known clinical columns that the table has.

    Raises
    ------
    InputError
        Lists every fault of the table with columns, patients and remedy.

    Examples
    --------
    >>> raw = pd.DataFrame({"Number": [2, 1], "days": [60.875, 913.125], "event": [1, 0]})
    >>> check_patients(raw, columns={"patient_id": "Number", "time": "days"}, time_unit="days")
      patient_id cohort  time  event
    0          1    all  30.0      0
    1          2    all   2.0      1
    """
    faults = Faults()
    columns = dict(columns or {})
    for name, part in PLANNED.items():
        declared = columns.pop(name, None)
        of_outcome = name != "treatment"
        if declared is not None or (of_outcome and name in table.columns):
            remedy = _OTHER_OUTCOME if of_outcome else "remove or rename it"
            faults.add(f"column '{name}' ({part}) is not built yet: {remedy}")
    if table.empty:
        faults.add("the table has no rows: give one row per patient")
        faults.raise_if_any("patients")
    outcome = ("time", "event") if with_outcome else ()
    known = tuple(name for name in KNOWN if with_outcome or name not in ("time", "event"))
    needed = [name for name in (*staging, *strata) if name in known and name != "cohort"]
    patients = rename_columns(
        table,
        {name: column for name, column in columns.items() if name in known or name not in KNOWN},
        known=known,
        required=("patient_id", *outcome, *needed),
        section="patients",
        faults=faults,
    )
    for name in strata:
        if name not in known:
            hint = nearest_hint(name, known)
            faults.add(
                f"[study] censoring_strata names the unknown column '{name}'{hint}: correct it"
            )
    names = _identifiers(patients, faults)
    if "time" in patients:
        patients["time"] = _times(patients["time"], names, faults)
        if time_unit == "days":
            patients["time"] /= DAYS_PER_MONTH
    if "event" in patients:
        patients["event"] = _events(patients["event"], names, faults)
    _cohorts(patients, names, faults)
    for name in strata:
        if name in patients and name != "cohort":
            _report(patients[name].isna(), names, f"column '{name}' is missing", _COMPLETE, faults)
    for system in SYSTEMS:
        if system in patients:
            _stages(patients, system, names, faults, asked=system in staging)
    for name in CLINICAL:
        if name in patients:
            patients[name] = _clinical(patients[name])
    faults.raise_if_any("patients")
    order = [name for name in known if name in patients]
    return patients[order].sort_values("patient_id", kind="stable", ignore_index=True)


_COMPLETE = "complete it or leave these patients out"


def _report(
    wrong: pd.Series | BoolArray, names: pd.Series, what: str, remedy: str, faults: Faults
) -> None:
    mask = np.asarray(wrong, dtype=bool)
    if mask.any():
        faults.add(f"{what} for patient {name_rows(names[mask])}: {remedy}")


def _identifiers(patients: pd.DataFrame, faults: Faults) -> pd.Series:
    rows = pd.Series([f"in row {row}" for row in range(1, len(patients) + 1)], dtype="str")
    if "patient_id" not in patients:
        return rows
    labels = as_labels(patients["patient_id"])
    patients["patient_id"] = labels
    missing = labels.isna()
    if missing.any():
        where = name_rows(np.flatnonzero(missing) + 1)
        faults.add(f"column 'patient_id' is missing in data row {where}: name every patient")
    twice = labels.duplicated(keep=False) & ~missing
    if twice.any():
        faults.add(
            f"column 'patient_id' names patient {name_rows(labels[twice])} more than once: "
            "keep one row per patient, with names that differ between cohorts"
        )
    return labels.where(~missing, rows)


def _times(values: pd.Series, names: pd.Series, faults: Faults) -> np.ndarray:
    numbers, unreadable = as_numbers(values)
    missing = np.isnan(numbers) & ~unreadable
    remedy = "give the follow-up from time zero, as a number with a decimal point"
    _report(unreadable, names, "column 'time' is not numeric", remedy, faults)
    _report(missing, names, "column 'time' is missing", _COMPLETE, faults)
    _report(np.isinf(numbers), names, "column 'time' is infinite", "give finite times", faults)
    _report(
        np.isfinite(numbers) & (numbers < 0),
        names,
        "column 'time' is negative",
        "count from time zero, or leave these patients out",
        faults,
    )
    return numbers


def _events(values: pd.Series, names: pd.Series, faults: Faults) -> np.ndarray:
    numbers, unreadable = as_numbers(values)
    missing = np.isnan(numbers) & ~unreadable
    other = unreadable | (~missing & ~np.isin(numbers, (0.0, 1.0)))
    remedy = "code 1 where the event happened and 0 where follow-up was censored"
    _report(missing, names, "column 'event' is missing", _COMPLETE, faults)
    _report(other, names, "column 'event' is not 0 or 1", remedy, faults)
    if not (missing | other).any() and not numbers.any():
        faults.add("column 'event' holds no event: nothing can be learned; check its coding")
    return np.where(missing | other, 0, numbers).astype(np.int64)


def _cohorts(patients: pd.DataFrame, names: pd.Series, faults: Faults) -> None:
    if "cohort" not in patients:
        patients["cohort"] = pd.Series("all", index=patients.index, dtype="str")
        return
    patients["cohort"] = as_labels(patients["cohort"])
    remedy = "name the cohort of every patient"
    _report(patients["cohort"].isna(), names, "column 'cohort' is missing", remedy, faults)


def _stages(
    patients: pd.DataFrame, system: str, names: pd.Series, faults: Faults, *, asked: bool
) -> None:
    labels = as_labels(patients[system])
    patients[system] = labels
    if asked:
        order_stages(labels.set_axis(pd.Index(names)), system=system, faults=faults)
        if labels.isna().all():
            faults.add(
                f"column '{system}' has no value: fill it, or take it out of [compare] staging"
            )


def _clinical(values: pd.Series) -> pd.Series:
    numbers, unreadable = as_numbers(values)
    if unreadable.any():
        return as_labels(values)
    return pd.Series(numbers, index=values.index)
