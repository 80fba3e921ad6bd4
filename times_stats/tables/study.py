"""A study: settings, patients and measurements, read, checked and selected in one go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import Faults
from times_stats.errors import InputError
from times_stats.tables.cell_measures import CellMeasures
from times_stats.tables.columns import as_labels
from times_stats.tables.measurements import check_measurements
from times_stats.tables.patients import check_patients
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
    cells : CellMeasures or None
        What was measured of the cells, in a study with cells; the intensities among it are the
        measurements.
    functions : tuple of str
        Spatial functions of the cells that the ladder of nested models ends with.
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
    cells: CellMeasures | None
    functions: tuple[str, ...]
    path: str | None
    source_hash: str

    def __repr__(self) -> str:
        events = int(self.patients["event"].sum())
        return f"<Study {self.name!r}: {len(self.patients)} patients, {events} events>"


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
    return assemble_study(
        settings, patients, measurements, source=source, path=None, faults=Faults()
    )


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


def check_tables(
    checked: StudySettings,
    patients: pd.DataFrame | None,
    measurements: pd.DataFrame | None,
    faults: Faults,
    *,
    with_outcome: bool,
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Check both tables of a study and put them into canonical form.

    Parameters
    ----------
    checked : StudySettings
        Settings of the study.
    patients, measurements : DataFrame or None
        Tables as read; None where there is none.
    faults : Faults
        Collects what is wrong.
    with_outcome : bool
        False for new patients.

    Returns
    -------
    patients, measurements : DataFrame or None
        None where there is a fault.
    """
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


def present_table(table: pd.DataFrame | None) -> pd.DataFrame:
    """Return a table that has had no fault."""
    if table is None:
        raise AssertionError("a table without a fault is there")
    return table


def _identifiers(patients: pd.DataFrame, columns: Mapping[str, str]) -> list[str] | None:
    name = columns.get("patient_id", "patient_id")
    if list(patients.columns).count(name) != 1:
        return None
    labels = as_labels(patients[name])
    return None if labels.empty or labels.isna().any() else labels.tolist()


def assemble_study(
    settings: Mapping[str, Any],
    patients: pd.DataFrame | None,
    measurements: pd.DataFrame | None,
    *,
    source: str | None,
    path: str | None,
    faults: Faults,
    cells: CellMeasures | None = None,
) -> Study:
    """Check settings and tables together and make a study of them.

    Parameters
    ----------
    settings : mapping
        Sections of a study file.
    patients, measurements : DataFrame or None
        Tables as read; None where reading found a fault.
    source : str or None
        Where they come from, for messages.
    path : str or None
        Study file, if there is one.
    faults : Faults
        Faults found so far.
    cells : CellMeasures, optional
        What the measurements were made from, in a study with cells.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        Lists every fault.
    """
    checked = check_settings(settings, faults)
    canonical, long = check_tables(checked, patients, measurements, faults, with_outcome=True)
    score, flow = checked.score, pd.DataFrame()
    scaled: tuple[str, ...] = ()
    if long is not None:
        before = len(faults)
        long = select_measurements(long, score, faults)
        # Cells per area are one scale in all regions: nothing was scaled region by region.
        scaled = tuple(scaled_markers(long)) if cells is None else ()
        region = find_tumour_region(score.tumour_region, set(long["region"]), faults)
        score = replace(score, tumour_region=region)
        if canonical is not None and len(faults) == before:
            canonical, flow = select_patients(canonical, long, score, faults)
            long = long[long["patient_id"].isin(canonical["patient_id"])].reset_index(drop=True)
        check_spread(long, faults)
    if canonical is not None and len(canonical):
        check_horizon(canonical, checked.horizon, faults)
    faults.raise_if_any(source)
    canonical, long = present_table(canonical), present_table(long)
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
        cells=cells,
        functions=() if cells is None else checked.features.functions,
        path=path,
        source_hash=_hashed(
            replace(checked, score=score),
            *(canonical, long),
            *(() if cells is None else (cells.patients,)),
        ),
    )


def check_horizon(patients: pd.DataFrame, horizon: float, faults: Faults) -> None:
    """Record a horizon beyond the follow-up of everybody, or before the first event.

    Parameters
    ----------
    patients : DataFrame
        Canonical patients.
    horizon : float
        Months; NaN where it is itself a fault.
    faults : Faults
        Collects what is wrong.
    """
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
