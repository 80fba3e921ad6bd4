"""Studies from study files of both kinds: with measurements by region, or with cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats.errors import InputError
from times_stats.features.cell_plan import CellPlan
from times_stats.features.measured_rows import ORGANISATION
from times_stats.features.measuring import measure_cells
from times_stats.regions.compartments import Compartments
from times_stats.regions.window import Window
from times_stats.tables.cell_faults import check_cells
from times_stats.tables.cell_measures import CellMeasures
from times_stats.tables.cell_opening import open_cells
from times_stats.tables.cell_sources import CellSource
from times_stats.tables.cells import list_images
from times_stats.tables.measurements import check_asked
from times_stats.tables.selection import find_tumour_region
from times_stats.tables.settings import StudySettings, check_settings
from times_stats.tables.study import (
    Study,
    assemble_study,
    check_horizon,
    check_tables,
    present_table,
)
from times_stats.tables.study_files import (
    parse_study_file,
    read_measured_patients,
    read_measured_study,
    read_named_table,
)

_KINDS = ("tissue", "rectangle")


@dataclass(frozen=True, slots=True, eq=False)
class CellInputs:
    """The cells of a study file, opened but not measured.

    Attributes
    ----------
    source : CellSource
        Cells.
    plan : CellPlan
        What is measured.
    windows, annotations : dict of str to Window, or None
        Observed area and tumour by image, where the study file names files of them.
    files : tuple of Path
        Every file that the study consists of, its own and those it names.
    """

    source: CellSource
    plan: CellPlan
    windows: dict[str, Window] | None
    annotations: dict[str, Window] | None
    files: tuple[Path, ...]


def read_study(
    path: str | Path, *, jobs: int = 1, advance: Callable[[], None] = lambda: None
) -> Study:
    """Read a study file (TOML) and the tables it names; cells are checked and measured.

    Parameters
    ----------
    path : str or Path
        Study file; the paths in it are relative to its folder.
    jobs : int, default 1
        Processes that measure cells; the result does not depend on it.
    advance : callable
        Called after each image measured.

    Returns
    -------
    Study
        Checked, in canonical columns, sorted by ``patient_id``.

    Raises
    ------
    InputError
        Lists every fault of the study file, of the patients and of the headers of the cells; then
        every fault of the cells, before anything is measured.

    Examples
    --------
    >>> from importlib.resources import files
    >>> folder = files("times_stats") / "datasets" / "hcc_ihc_regions"
    >>> read_study(folder / "complete.toml").flow["n_patients"].tolist()
    [227, 227, 101, 101]
    """
    path = Path(str(path))
    settings = parse_study_file(path)
    if "cells" not in settings:
        return read_measured_study(path)
    faults = Faults()
    checked = check_settings(settings, faults)
    inputs = _open(checked, path, faults)
    patients = read_named_table(settings, "patients", path, faults)
    canonical, _ = check_tables(checked, patients, None, faults, with_outcome=True)
    if canonical is not None and len(canonical):
        check_horizon(canonical, checked.horizon, faults)
    faults.raise_if_any(str(path))
    ids = present_table(canonical)["patient_id"].tolist()
    cells = measure_study_cells(
        _opened(inputs),
        path,
        patient_ids=ids,
        required=checked.score.markers or (),
        jobs=jobs,
        advance=advance,
    )
    _check_shown(cells, path)
    return assemble_study(
        settings,
        patients,
        cells.amounts(),
        source=str(path),
        path=str(path),
        faults=Faults(),
        cells=cells,
    )


def read_new_patients(
    path: str | Path, *, jobs: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame, CellMeasures | None]:
    """Read patients without outcome from a study file, to score them with a fitted model.

    Parameters
    ----------
    path : str or Path
        Study file with ``[patients]`` and ``[measurements]`` or ``[cells]``; ``time`` and ``event``
        are not needed and not read, and ``[study] horizon`` may be left out. In a study with cells,
        ``[score] markers`` and the names of tumour cells and regions say what was looked for: one
        that no cell of these patients has is measured as absent.
    jobs : int, default 1
        Processes that measure cells.

    Returns
    -------
    patients : DataFrame
        ``patient_id``, ``cohort`` and the clinical columns, sorted.
    measurements : DataFrame
        Canonical measurements of every marker and region in the file.
    cells : CellMeasures or None
        What the measurements were made from, in a study with cells.

    Raises
    ------
    InputError
        Lists every fault of the study file and of its tables.

    Examples
    --------
    >>> from importlib.resources import files
    >>> folder = files("times_stats") / "datasets" / "hcc_ihc_regions"
    >>> patients, measurements, _ = read_new_patients(folder / "all.toml")
    >>> "time" in patients, len(measurements)
    (False, 1893)
    """
    path = Path(str(path))
    settings = parse_study_file(path)
    if "cells" not in settings:
        return *read_measured_patients(path), None
    faults = Faults()
    checked = _check_without_horizon(settings, faults)
    inputs = _open(checked, path, faults)
    raw = read_named_table(settings, "patients", path, faults)
    patients, _ = check_tables(checked, raw, None, faults, with_outcome=False)
    faults.raise_if_any(str(path))
    ids = present_table(patients)["patient_id"].tolist()
    cells = measure_study_cells(
        _opened(inputs), path, patient_ids=ids, declared=_declared(checked), jobs=jobs
    )
    _check_shown(cells, path)
    patients, measurements = check_tables(checked, raw, cells.amounts(), faults, with_outcome=False)
    faults.raise_if_any(str(path))
    return present_table(patients), present_table(measurements), cells


def open_study_cells(path: str | Path) -> CellInputs:
    """Open the cells that a study file names, and the windows and annotations of its images.

    Parameters
    ----------
    path : str or Path
        Study file with ``[cells]``; its patients are not read.

    Returns
    -------
    CellInputs

    Raises
    ------
    InputError
        Lists every fault of the study file and of the headers of the cells.

    Examples
    --------
    >>> from times_stats.datasets import lung_vectra_study_file
    >>> open_study_cells(lung_vectra_study_file()).plan.tumour
    ('CK',)
    """
    path = Path(str(path))
    settings = parse_study_file(path)
    if "cells" not in settings:
        raise InputError("this study has no [cells]: there is nothing to measure", source=str(path))
    faults = Faults()
    checked = _check_without_horizon(settings, faults)
    inputs = _open(checked, path, faults)
    faults.raise_if_any(str(path))
    return _opened(inputs)


def _opened(inputs: CellInputs | None) -> CellInputs:
    if inputs is None:
        raise AssertionError("cells without a fault are open")
    return inputs


def _check_without_horizon(settings: Mapping[str, Any], faults: Faults) -> StudySettings:
    """Check settings of which no outcome is read: a horizon left out is no fault."""
    section = settings.get("study", {})
    if isinstance(section, Mapping):
        settings = {**settings, "study": {"horizon": 1, **section}}
    return check_settings(settings, faults)


def measure_study_cells(
    inputs: CellInputs,
    path: Path,
    *,
    patient_ids: Collection[str] | None = None,
    declared: Collection[str] = (),
    required: Collection[str] = (),
    jobs: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> CellMeasures:
    """Measure the cells of a study; faults name the study file.

    Parameters
    ----------
    inputs : CellInputs
        From `open_study_cells`.
    path : Path
        The study file.
    patient_ids, declared, required, jobs, advance
        As in `measure_cells`.

    Returns
    -------
    CellMeasures

    Raises
    ------
    InputError
        As `measure_cells`.

    Examples
    --------
    >>> from times_stats.datasets import lung_vectra_study_file
    >>> file = lung_vectra_study_file()
    >>> measure_study_cells(open_study_cells(file), file, jobs=2)  # doctest: +SKIP
    <CellMeasures: 247 images, 6 markers>
    """
    try:
        return measure_cells(
            inputs.source,
            plan=inputs.plan,
            patient_ids=patient_ids,
            windows=inputs.windows,
            annotations=inputs.annotations,
            declared=declared,
            required=required,
            jobs=jobs,
            advance=advance,
        )
    except InputError as error:
        faults = [f"cells: {fault}" for fault in error.faults]
        raise InputError(faults, source=str(path)) from None


def _open(checked: StudySettings, path: Path, faults: Faults) -> CellInputs | None:
    """Open the cells of a study; faults of the settings leave nothing to open."""
    cells, regions, features = checked.cells, checked.regions, checked.features
    if faults or cells is None:
        return None
    _check_uses(checked, faults)
    try:
        source = open_cells(
            [path.parent / name for name in cells.path],
            format=cells.format,  # type: ignore[arg-type]
            columns=cells.columns,
            pixel_size=cells.pixel_size,
            images=None if cells.images is None else path.parent / cells.images,
            cell_types=cells.cell_types,
            regions=cells.regions,
            phenotypes=cells.phenotypes,
            markers=cells.markers,
            duplicates=cells.duplicates,  # type: ignore[arg-type]
        )
        if regions.source != "column":  # regions that nothing uses need not be complete
            source = replace(source, layout=replace(source.layout, region=None))
        plan = CellPlan(
            tumour=cells.tumour,
            compartments=Compartments(
                invasive_front=regions.invasive_front, peritumour=regions.peritumour
            ),
            source=regions.source,  # type: ignore[arg-type]
            tumour_regions=regions.tumour_regions,
            window=cells.window if cells.window in _KINDS else "tissue",  # type: ignore[arg-type]
            radii=features.radii,
            correction=features.correction,  # type: ignore[arg-type]
            bands=features.bands,
            n_neighbours=features.n_neighbours,
            mixing_radius=features.mixing_radius,
            quadrat=features.quadrat,
            min_cells=features.min_cells,
            aggregate_seeds=features.aggregate_seeds,
            aggregate_members=features.aggregate_members,
            aggregate_radius=features.aggregate_radius,
            aggregate_cells=features.aggregate_cells,
        )
        windows = annotations = None
        if cells.window not in _KINDS or regions.annotation is not None:
            images, unit = _image_names(source), cells.outline_pixel_size
            if unit is None:
                raise InputError(
                    "outline_pixel_size is missing, and outlines do not say their unit: give the "
                    "micrometres of a pixel, or 1 where they are drawn in micrometres"
                )
            if cells.window not in _KINDS:
                windows = _outlines(path.parent, cells.window, images, unit, faults, every=True)
            if regions.annotation is not None:
                annotations = _outlines(
                    path.parent, regions.annotation, images, unit, faults, every=False
                )
    except InputError as error:
        faults.extend(f"cells: {fault}" for fault in error.faults)
        return None
    names = plan.compartments.names
    check_asked(checked.score.regions, names, what="region", faults=faults)
    find_tumour_region(checked.score.tumour_region, checked.score.regions or names, faults)
    named = [checked.patients_path, cells.images]
    patterns = [cells.window if windows is not None else None, regions.annotation]
    outlines = [
        path.parent / pattern.replace("{image_id}", image)
        for pattern in patterns
        if pattern is not None
        for image in {**(windows or {}), **(annotations or {})}
    ]
    files = [*map(Path, source.files), *(path.parent / name for name in named if name), *outlines]
    return CellInputs(source, plan, windows, annotations, (path, *files))


def _check_uses(checked: StudySettings, faults: Faults) -> None:
    """Record settings that nothing would use, and functions that nothing measures."""
    regions = checked.regions
    for key, given, source in (
        ("annotation", regions.annotation is not None, "annotation"),
        ("tumour_regions", bool(regions.tumour_regions), "column"),
    ):
        if given and regions.source != source:
            faults.add(
                f"[regions] {key} is given and source is '{regions.source}', which does not use "
                f'it: add source = "{source}", or remove it'
            )
    for name in checked.features.functions:
        if name not in ORGANISATION:
            hint = nearest_hint(name, ORGANISATION)
            faults.add(
                f"[features] functions names '{name}', which is not measured over images{hint}: "
                f"use {', '.join(ORGANISATION)}"
            )


def _image_names(source: CellSource) -> list[str]:
    try:
        return list_images(source)["image_id"].tolist()
    except InputError:
        check_cells(source)  # names every fault, not the first
        raise


def _declared(checked: StudySettings) -> set[str]:
    """Return what was looked for in the cells, whether or not one of them has it."""
    cells, features = checked.cells, checked.features
    return {
        *(checked.score.markers or ()),
        *(() if cells is None else cells.tumour),
        *checked.regions.tumour_regions,
        *features.aggregate_members,
    }


def _outlines(
    folder: Path, pattern: str, images: list[str], unit: float, faults: Faults, *, every: bool
) -> dict[str, Window]:
    found: dict[str, Window] = {}
    absent = []
    for image in images:
        file = folder / pattern.replace("{image_id}", image)
        if not file.is_file():
            absent.append(image)
            continue
        try:
            found[image] = Window.from_geojson(file, pixel_size=unit)
        except InputError as error:
            faults.extend(f"{file.name}: {fault}" for fault in error.faults)
    if absent and (every or not found):
        faults.add(
            f"{pattern} names no file for image {name_rows(absent)}: draw the outlines, or correct "
            "the pattern"
        )
    return found


def _check_shown(cells: CellMeasures, path: Path) -> None:
    """Refuse cells of which no image shows a region: nothing could be learned from them."""
    if cells.amounts().empty:
        why = cells.summary["reason"].value_counts()
        told = ", ".join(f"{reason} ({n})" for reason, n in why.items())
        raise InputError(
            f"cells: no image shows a region ({told}): check [cells] tumour, window and [regions]",
            source=str(path),
        )
