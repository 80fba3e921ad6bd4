"""A file of patients, staged: every stage and score that its columns allow."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats.errors import InputError
from times_stats.pipeline.checkpoints import replacing
from times_stats.pipeline.csv_files import write_csv
from times_stats.staging.all_systems import StagedPatients, stage_patients
from times_stats.tables.columns import as_labels
from times_stats.tables.readers.formats import read_table


def write_stages(
    patients: str | os.PathLike[str], *, out: str | os.PathLike[str]
) -> StagedPatients:
    """Stage the patients of a file and write their stages and scores.

    Parameters
    ----------
    patients : path
        Table with ``patient_id`` and clinical columns: csv, tsv or parquet.
    out : path
        ``.csv`` file: ``patient_id``, and per system its answer, ``..._lowest``, ``..._highest``.

    Returns
    -------
    StagedPatients

    Raises
    ------
    InputError
        If a file is missing or of another format, or the table holds what cannot be.
    """
    source, target = Path(patients), Path(out)
    if target.suffix.lower() != ".csv":
        raise InputError(f"{target.name} is of no known format: name it .csv")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} is missing: make it, or name another one")
    if target.is_dir() or target.resolve() == source.resolve():
        raise InputError(f"{target} is a folder or the table itself: name another file")
    table = read_table(source)
    faults = Faults()
    if table.empty:
        faults.add("the table has no rows: give one row per patient")
    elif "patient_id" not in table.columns:
        hint = nearest_hint("patient_id", map(str, table.columns))
        faults.add(f"column 'patient_id' is missing{hint}: name the patients in it")
    else:
        labels = as_labels(table["patient_id"])
        table["patient_id"] = labels
        if labels.isna().any():
            rows = name_rows(np.flatnonzero(labels.isna()) + 1)
            faults.add(f"column 'patient_id' is missing in data row {rows}: name every patient")
        twice = labels.duplicated(keep=False) & labels.notna()
        if twice.any():
            faults.add(
                f"column 'patient_id' names patient {name_rows(labels[twice])} more than once: "
                "keep one row per patient"
            )
    faults.raise_if_any(source.name)
    try:
        staged = stage_patients(table)
    except InputError as error:
        raise InputError(error.faults, source=source.name) from None
    written = staged.table.copy()
    written.insert(0, "patient_id", table["patient_id"])
    with replacing(target) as part:
        write_csv(written, part)
    return staged
