"""The files of a run folder; each is replaced in one go, so that a kill leaves no half file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from times_stats.audit.run_record import AUDIT, FILES, RunRecord, describe_record
from times_stats.model_files import write_manifest
from times_stats.pipeline.checkpoints import MARK, replacing
from times_stats.pipeline.csv_files import write_csv
from times_stats.report.contents import ReportContents
from times_stats.report.figure_files import write_figures
from times_stats.report.page import write_report
from times_stats.survival.sampling import SurvivalFit
from times_stats.survival.storage import save_posterior
from times_stats.tables.cell_measures import CellMeasures

CELLS = "cells.json"
"""Rules by which regions were drawn, in the folder of a model fitted to cells."""


def cell_tables(cells: CellMeasures) -> dict[str, pd.DataFrame]:
    """Return the tables of a study with cells, by the names of their files."""
    return {"features": cells.patients, "images": cells.summary, "cells": cells.counts}


def _write_json(value: object, path: Path) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _replacing_folder(path: Path) -> Iterator[Path]:
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    yield part
    shutil.rmtree(path, ignore_errors=True)
    part.replace(path)


def write_outputs(
    out: Path,
    contents: ReportContents,
    *,
    tables: dict[str, pd.DataFrame],
    fit: SurvivalFit,
    model_path: Path,
    record: RunRecord,
) -> None:
    """Write every file of a finished run.

    Parameters
    ----------
    out : Path
        Folder of the run.
    contents : ReportContents
        What the report shows.
    tables : dict of str to DataFrame
        Name of each CSV file, and its table.
    fit : SurvivalFit
        Survival model on all patients; the copy in ``model/`` goes without patients.
    model_path : Path
        Folder of the saved score.
    record : RunRecord
        What the audit reads.
    """
    for name, table in (tables | record.tables).items():
        with replacing(out / f"{name}.csv") as part:
            write_csv(table, part)
    with _replacing_folder(out / "model") as part:
        shutil.copytree(model_path, part, dirs_exist_ok=True)
        save_posterior(fit, part, training_data=False)
        if contents.study.cells is not None:
            _write_json(contents.study.cells.settings, part / CELLS)
        write_manifest(part)
    with _replacing_folder(out / ".posterior") as part:
        save_posterior(fit, part)
        (part / "posterior.nc").replace(out / "posterior.nc")
    shutil.rmtree(out / ".posterior")
    with _replacing_folder(out / "figures") as part:
        write_figures(contents, part)
    files = {f"{name}.csv": out / f"{name}.csv" for name in FILES}
    _write_json(describe_record(record, contents.audit, files), out / AUDIT)
    with replacing(out / "report.html") as part:
        write_report([contents], part)
    _write_json({**contents.provenance, "diagnostics": contents.diagnostics}, out / MARK)
