"""A simulated study in files: tables, truth, and the study file that ``times-stats run`` takes."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from times_stats.errors import InputError
from times_stats.pipeline.csv_files import write_csv
from times_stats.simulate.simulated import SimulatedStudy
from times_stats.tables.cell_opening import cells_from_frame
from times_stats.tables.cell_writing import write_cells

_HORIZON = 24.0  # months, at most
_OF_FOLLOW_UP = 0.8  # of the mean time of censoring, so that enough are followed beyond
_STUDY = """\
[study]
name = {name}
endpoint = "event-free survival"
population = "simulated patients, whose truth stands in truth.csv and truth.json"
time_unit = "months"
horizon = {horizon}
seed = {seed}

[patients]
path = "patients.csv"

{tissue}
[score]
markers = {markers}

[compare]
staging = ["tnm", "bclc"]
"""
_MEASUREMENTS = """\
[measurements]
path = "measurements.csv"
"""
_CELLS = """\
[cells]
path = "cells.parquet"
tumour = ["tumour"]
window = "rectangle"

[regions]
invasive_front = [{inner:g}, {outer:g}]
peritumour = false
"""


def write_simulated_study(
    simulated: SimulatedStudy, *, out: str | os.PathLike[str], name: str = "simulated study"
) -> Path:
    """Write a simulated study to a folder, with the study file that `read_study` takes.

    Parameters
    ----------
    simulated : SimulatedStudy
        From `simulate_study`, `simulate_cells` or `simulate_published_study`.
    out : path
        A new or empty folder: ``study.toml``, ``patients.csv``, ``measurements.csv`` or
        ``cells.parquet``; ``truth.csv`` has one row per patient, ``truth.json`` the rest. The
        horizon is 24 months, or four fifths of the mean follow-up where that is shorter.
    name : str
        Name of the study, in any script.

    Returns
    -------
    Path
        The study file.

    Raises
    ------
    InputError
        If `out` is a file or holds files, the folder it is to lie in is missing, or `name` is no
        text that a file can hold. Nothing is written then.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from times_stats import read_study
    >>> from times_stats.simulate import simulate_study
    >>> with TemporaryDirectory() as folder:
    ...     file = write_simulated_study(simulate_study(n_patients=60, seed=1), out=folder)
    ...     len(read_study(file).patients)
    60
    """
    out = Path(out)
    check_new_folder(out)
    quoted = _toml_string(name)
    target = out.resolve()  # "." has neither a name nor a parent of its own
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as made:
        folder = Path(made) / "study"
        folder.mkdir()
        _write_tables(simulated, folder, quoted)
        if target.exists():
            # the folder stays, for it may be the one we stand in
            for path in sorted(folder.iterdir()):
                shutil.move(path, target / path.name)
        else:
            shutil.move(folder, target)
    return out / "study.toml"


def check_new_folder(out: Path) -> None:
    """Check that a folder can be made, or is there and empty.

    Parameters
    ----------
    out : Path
        The folder.

    Raises
    ------
    InputError
        If it is a file or holds files, or its parent is missing.

    Examples
    --------
    >>> check_new_folder(Path("no such place") / "study")
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: the folder no such place is missing: make it, or name another one
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder with --out")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} holds files already; name an empty or a new folder")
    if not out.resolve().parent.is_dir():
        raise InputError(f"the folder {out.parent} is missing: make it, or name another one")


def _toml_string(name: str) -> str:
    """Return a TOML basic string: JSON's, but without the surrogate pairs of its escapes."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"name is {name!r}, which UTF-8 cannot write: leave the character out"
        ) from error
    # TOML forbids a bare DEL, which JSON allows
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _horizon(follow_up: tuple[float, float]) -> float:
    """Return months that fit the follow-up."""
    return min(_HORIZON, float(f"{_OF_FOLLOW_UP * sum(follow_up) / 2:.3g}"))


def _write_tables(simulated: SimulatedStudy, folder: Path, quoted: str) -> None:
    truth = simulated.truth
    tissue = _MEASUREMENTS
    if simulated.cells is None:
        write_csv(simulated.measurements, folder / "measurements.csv")
    else:
        write_cells(cells_from_frame(simulated.cells), folder / "cells.parquet")
        inner, outer = truth["tissue_design"].compartments.invasive_front
        tissue = _CELLS.format(inner=inner, outer=outer)
    write_csv(simulated.patients, folder / "patients.csv")
    by_patient, rest = _split_truth(truth, simulated.patients["patient_id"])
    write_csv(by_patient.reset_index(), folder / "truth.csv")
    text = json.dumps(rest, indent=1, allow_nan=False)
    (folder / "truth.json").write_text(text + "\n", encoding="utf-8")
    settings = _STUDY.format(
        name=quoted,
        horizon=f"{_horizon(truth['patient_design'].follow_up):g}",
        seed=truth["seed"],
        tissue=tissue,
        markers=json.dumps(sorted(truth["levels"].columns)),
    )
    (folder / "study.toml").write_text(settings, encoding="utf-8")


def _split_truth(
    truth: Mapping[str, Any], patient_ids: pd.Series
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return what is true of each patient as one table, and the rest in plain values."""
    index = pd.Index(patient_ids, name="patient_id")
    columns: dict[str, pd.Series] = {}
    rest: dict[str, Any] = {}
    for name, value in truth.items():
        if isinstance(value, pd.Series) and value.index.name == "patient_id":
            columns[name] = value
        elif isinstance(value, pd.DataFrame) and value.index.name == "patient_id":
            for column in value:
                parts = column if isinstance(column, tuple) else (column,)
                columns["_".join([name, *map(str, parts)])] = value[column]
        else:
            rest[name] = _plain(value)
    return pd.DataFrame(columns).reindex(index), rest


def _plain(value: Any) -> Any:
    """Return values that JSON can hold; what is not finite becomes text."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, pd.Series):
        value = value.to_dict()
    if isinstance(value, pd.DataFrame):
        by_number = isinstance(value.index, pd.RangeIndex)
        value = value.to_dict(orient="records" if by_number else "index")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
