"""Study files: TOML read and joined with the tables it names."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from times_stats._checks import Faults
from times_stats.errors import InputError
from times_stats.tables.readers.formats import read_table
from times_stats.tables.settings import check_settings
from times_stats.tables.study import Study, assemble_study, check_tables, present_table


def read_measured_study(path: str | Path) -> Study:
    """Read a study file (TOML) with measurements, and the tables it names.

    ``times_stats.read_study`` reads study files of both kinds, with measurements and with cells.

    Parameters
    ----------
    path : str or Path
        Study file; the paths in it are relative to its folder.

    Returns
    -------
    Study
        Checked, in canonical columns, sorted by ``patient_id``.

    Raises
    ------
    InputError
        Lists every fault of the study file and of both tables.

    Examples
    --------
    >>> from importlib.resources import files
    >>> folder = files("times_stats") / "datasets" / "hcc_ihc_regions"
    >>> read_measured_study(folder / "complete.toml").flow["n_patients"].tolist()
    [227, 227, 101, 101]
    """
    path = Path(str(path))
    faults = Faults()
    settings = parse_study_file(path)
    if "cells" in settings:
        raise InputError("this study has [cells]: use times_stats.read_study", source=str(path))
    patients = read_named_table(settings, "patients", path, faults)
    measurements = read_named_table(settings, "measurements", path, faults)
    return assemble_study(
        settings, patients, measurements, source=str(path), path=str(path), faults=faults
    )


def read_measured_patients(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read patients without outcome from a study file with measurements.

    Parameters
    ----------
    path : str or Path
        Study file with ``[patients]`` and ``[measurements]``; ``time`` and ``event`` are not
        needed and not read, and ``[study] horizon`` may be left out.

    Returns
    -------
    patients : DataFrame
        ``patient_id``, ``cohort`` and the clinical columns, sorted.
    measurements : DataFrame
        Canonical measurements of every marker and region in the file.

    Raises
    ------
    InputError
        Lists every fault of the study file and of both tables.

    Examples
    --------
    >>> from importlib.resources import files
    >>> folder = files("times_stats") / "datasets" / "hcc_ihc_regions"
    >>> patients, measurements = read_measured_patients(folder / "all.toml")
    >>> "time" in patients, len(measurements)
    (False, 1893)
    """
    path = Path(str(path))
    faults = Faults()
    settings = parse_study_file(path)
    if "cells" in settings:
        raise InputError(
            "this study has [cells]: use times_stats.studies.read_new_patients", source=str(path)
        )
    section = settings.get("study", {})
    if isinstance(section, Mapping):
        settings["study"] = {"horizon": 1, **section}
    checked = check_settings(settings, faults)
    raw_patients = read_named_table(settings, "patients", path, faults)
    raw_measurements = read_named_table(settings, "measurements", path, faults)
    patients, measurements = check_tables(
        checked, raw_patients, raw_measurements, faults, with_outcome=False
    )
    faults.raise_if_any(str(path))
    return present_table(patients), present_table(measurements)


def parse_study_file(path: Path) -> dict[str, Any]:
    """Return the sections of a study file, as TOML gives them.

    Parameters
    ----------
    path : Path
        Study file.

    Returns
    -------
    dict
        Unchecked.

    Raises
    ------
    InputError
        If the file is missing, not readable or no TOML.
    """
    if path.is_dir():
        raise InputError("this is a folder: name the study file in it", source=str(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("the study file is missing: check the path", source=str(path)) from None
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise InputError(f"the study file cannot be read ({reason})", source=str(path)) from None
    except UnicodeDecodeError:
        raise InputError(
            "the study file is not UTF-8: save it as UTF-8 text", source=str(path)
        ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"the study file is no valid TOML: {error}; put texts in quotes", source=str(path)
        ) from None


def read_named_table(
    settings: Mapping[str, Any], section: str, path: Path, faults: Faults
) -> pd.DataFrame | None:
    """Read the table that a section of a study file names.

    Parameters
    ----------
    settings : mapping
        Sections of the study file.
    section : str
        ``patients`` or ``measurements``.
    path : Path
        Study file; the table's path is relative to its folder.
    faults : Faults
        Collects what is wrong.

    Returns
    -------
    DataFrame or None
        None where there is a fault.
    """
    given = settings.get(section)
    name = given.get("path") if isinstance(given, Mapping) else None
    if name is None:
        faults.add(f'[{section}] path is missing: add path = "{section}.csv"')
        return None
    if not isinstance(name, str):
        return None
    try:
        return read_table(path.parent / name)
    except InputError as error:
        faults.extend(f"{section}: {fault}" for fault in error.faults)
        return None
