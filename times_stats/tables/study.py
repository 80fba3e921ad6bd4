"""A study: settings, patients and measurements, read, checked and selected in one go."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import Faults
from times_stats.errors import InputError
from times_stats.tables.columns import as_labels
from times_stats.tables.measurements import check_measurements
from times_stats.tables.patients import check_patients
from times_stats.tables.readers.formats import read_table
from times_stats.tables.selection import (
    check_spread,
    find_tumour_region,
    scaled_markers,
    select_measurements,
    select_patients,
)
from times_stats.tables.settings import (
    CompareSettings,
    EvaluateSettings,
    ScoreSettings,
    StudySettings,
    SurvivalSettings,
    check_settings,
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Study:
    """A study ready to be analysed.

    Attributes
    ----------
    name, endpoint : str
        What the study is, and what ``event`` means.
    population, time_zero : str
        Who the patients are and what times are counted from; ``""`` where the study file is silent.
    time_unit : str
        Unit of the times in the source; inside the package they are months.
    horizon : float
        Landmark in months.
    censoring_strata : tuple of str
        Columns of `patients` whose values are strata of the censoring distribution.
    seed : int
        Seed of every random number of the analysis.
    patients : DataFrame
        The patients analysed, sorted: ``patient_id``, ``cohort``, ``time`` (months), ``event``,
        recorded stages and clinical columns.
    measurements : DataFrame
        Their measurements of the markers and regions analysed, long and sorted.
    score, survival, compare, evaluate
        Settings of the sections of the same name.
    scaled_by_region : tuple of str
        Markers whose regions were each scaled on their own, judged on every patient measured (a
        selection of patients no longer shows it): their level is not identified.
    flow : DataFrame
        ``step``, ``n_patients``, ``n_events``, ``reason``.
    path : str or None
        The study file, if there is one.
    source_hash : str
        SHA-256 of settings and tables; the order of rows does not change it.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> load_hcc_ihc()
    <Study 'Hepatocellular carcinoma, analysis A: all patients': 227 patients, 143 events>
    """

    name: str
    endpoint: str
    population: str
    time_zero: str
    time_unit: str
    horizon: float
    censoring_strata: tuple[str, ...]
    seed: int
    patients: pd.DataFrame
    measurements: pd.DataFrame
    score: ScoreSettings
    survival: SurvivalSettings
    compare: CompareSettings
    evaluate: EvaluateSettings
    scaled_by_region: tuple[str, ...]
    flow: pd.DataFrame
    path: str | None
    source_hash: str

    def __repr__(self) -> str:
        events = int(self.patients["event"].sum())
        return f"<Study {self.name!r}: {len(self.patients)} patients, {events} events>"


def read_study(path: str | Path) -> Study:
    """Read a study file (TOML) and the tables it names.

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
    >>> read_study(folder / "complete.toml").flow["n_patients"].tolist()
    [227, 227, 101, 101]
    """
    path = Path(str(path))
    faults = Faults()
    settings = _parsed(path)
    patients = _named_table(settings, "patients", path, faults)
    measurements = _named_table(settings, "measurements", path, faults)
    return _build(settings, patients, measurements, str(path), str(path), faults)


def build_study(
    settings: Mapping[str, Any],
    patients: pd.DataFrame,
    measurements: pd.DataFrame,
    *,
    source: str | None = None,
) -> Study:
    """Build a study from tables in memory.

    Parameters
    ----------
    settings : mapping
        The sections of a study file; ``path`` keys are not used.
    patients, measurements : DataFrame
        The two tables, under the names that ``columns`` of their sections give.
    source : str, optional
        Where the tables come from, for messages.

    Returns
    -------
    Study
        Checked, in canonical columns, sorted by ``patient_id``.

    Raises
    ------
    InputError
        Lists every fault of the settings and of both tables.

    Examples
    --------
    >>> ids = [f"p{i:02d}" for i in range(20)]
    >>> patients = pd.DataFrame({"patient_id": ids, "time": range(20), "event": [0, 1] * 10})
    >>> rows = [(i, r, "CD8", k * (r == "tumour")) for k, i in enumerate(ids)
    ...         for r in ("tumour", "adjacent")]
    >>> long = pd.DataFrame(rows, columns=["patient_id", "region", "marker", "value"])
    >>> build_study({"study": {"name": "toy", "horizon": 12}}, patients, long)
    <Study 'toy': 20 patients, 10 events>
    """
    return _build(settings, patients, measurements, source, None, Faults())


def read_new_patients(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read patients without outcome from a study file, to score them with a fitted model.

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
    >>> patients, measurements = read_new_patients(folder / "all.toml")
    >>> "time" in patients, len(measurements)
    (False, 1893)
    """
    path = Path(str(path))
    faults = Faults()
    settings = _parsed(path)
    section = settings.get("study", {})
    if isinstance(section, Mapping):
        settings["study"] = {"horizon": 1, **section}
    checked = check_settings(settings, faults)
    raw_patients = _named_table(settings, "patients", path, faults)
    raw_measurements = _named_table(settings, "measurements", path, faults)
    patients, measurements = _checked_tables(
        checked, raw_patients, raw_measurements, faults, with_outcome=False
    )
    faults.raise_if_any(str(path))
    return _present(patients), _present(measurements)


def outcome(study: Study) -> pd.DataFrame:
    """Return the outcome of the patients analysed.

    Parameters
    ----------
    study : Study
        A study.

    Returns
    -------
    DataFrame
        Indexed by ``patient_id``: ``time`` (months), ``event`` (0 or 1), ``cohort``.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> list(outcome(load_hcc_ihc()).columns)
    ['time', 'event', 'cohort']
    """
    return study.patients.set_index("patient_id")[["time", "event", "cohort"]]


def _parsed(path: Path) -> dict[str, Any]:
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


def _named_table(
    settings: Mapping[str, Any], section: str, path: Path, faults: Faults
) -> pd.DataFrame | None:
    given = settings.get(section)
    name = given.get("path") if isinstance(given, Mapping) else None
    if name is None:
        if section == "patients" or "cells" not in settings:
            faults.add(f'[{section}] path is missing: add path = "{section}.csv"')
        return None
    if not isinstance(name, str):
        return None
    try:
        return read_table(path.parent / name)
    except InputError as error:
        faults.extend(f"{section}: {fault}" for fault in error.faults)
        return None


def _checked_tables(
    checked: StudySettings,
    patients: pd.DataFrame | None,
    measurements: pd.DataFrame | None,
    faults: Faults,
    *,
    with_outcome: bool,
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    canonical = long = ids = None
    if patients is not None:
        ids = _identifiers(patients, checked.patient_columns)
        try:
            canonical = check_patients(
                patients,
                columns=checked.patient_columns,
                time_unit=checked.time_unit,
                staging=checked.compare.staging if with_outcome else (),
                strata=checked.censoring_strata if with_outcome else (),
                with_outcome=with_outcome,
            )
        except InputError as error:
            faults.extend(f"patients: {fault}" for fault in error.faults)
    if measurements is not None:
        try:
            long = check_measurements(
                measurements,
                patient_ids=ids,
                columns=checked.measurement_columns,
                regions=checked.measurement_regions,
            )
        except InputError as error:
            faults.extend(f"measurements: {fault}" for fault in error.faults)
    return canonical, long


def _present(table: pd.DataFrame | None) -> pd.DataFrame:
    if table is None:
        raise AssertionError("a table without a fault is there")
    return table


def _identifiers(patients: pd.DataFrame, columns: Mapping[str, str]) -> list[str] | None:
    name = columns.get("patient_id", "patient_id")
    if list(patients.columns).count(name) != 1:
        return None
    labels = as_labels(patients[name])
    return None if labels.empty or labels.isna().any() else labels.tolist()


def _build(
    settings: Mapping[str, Any],
    patients: pd.DataFrame | None,
    measurements: pd.DataFrame | None,
    source: str | None,
    path: str | None,
    faults: Faults,
) -> Study:
    checked = check_settings(settings, faults)
    canonical, long = _checked_tables(checked, patients, measurements, faults, with_outcome=True)
    score, flow = checked.score, pd.DataFrame()
    scaled: tuple[str, ...] = ()
    if long is not None:
        before = len(faults)
        long = select_measurements(long, score, faults)
        scaled = tuple(scaled_markers(long))
        region = find_tumour_region(score.tumour_region, set(long["region"]), faults)
        score = replace(score, tumour_region=region)
        if canonical is not None and len(faults) == before:
            canonical, flow = select_patients(canonical, long, score, faults)
            long = long[long["patient_id"].isin(canonical["patient_id"])].reset_index(drop=True)
        check_spread(long, faults)
    if canonical is not None and len(canonical):
        _check_horizon(canonical, checked.horizon, faults)
    faults.raise_if_any(source)
    canonical, long = _present(canonical), _present(long)
    return Study(
        name=checked.name,
        endpoint=checked.endpoint,
        population=checked.population,
        time_zero=checked.time_zero,
        time_unit=checked.time_unit,
        horizon=checked.horizon,
        censoring_strata=checked.censoring_strata,
        seed=checked.seed,
        patients=canonical,
        measurements=long,
        score=score,
        survival=checked.survival,
        compare=checked.compare,
        evaluate=checked.evaluate,
        scaled_by_region=scaled,
        flow=flow,
        path=path,
        source_hash=_hashed(replace(checked, score=score), canonical, long),
    )


def _check_horizon(patients: pd.DataFrame, horizon: float, faults: Faults) -> None:
    time, event = patients["time"].to_numpy(), patients["event"].to_numpy()
    if np.isnan(horizon):
        return
    if not (time >= horizon).any():
        faults.add(
            f"[study] horizon of {horizon:g} months is beyond the follow-up of every patient "
            "analysed: choose an earlier one (in months, whatever the time unit)"
        )
    elif not ((time <= horizon) & (event == 1)).any():
        faults.add(
            f"[study] horizon of {horizon:g} months comes before the first event: "
            "choose a later one (in months, whatever the time unit)"
        )


def _hashed(settings: StudySettings, *tables: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    content = {key: value for key, value in asdict(settings).items() if not key.endswith("_path")}
    digest.update(json.dumps(content, sort_keys=True, default=_plain).encode())
    for table in tables:
        digest.update(table.to_csv(index=False, lineterminator="\n").encode())
    return digest.hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no setting")
