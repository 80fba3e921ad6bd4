"""All images of a source measured, beside each other, and pooled by patient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

import pandas as pd
from joblib import Parallel, delayed

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats.errors import InputError
from times_stats.features.cell_plan import CellPlan
from times_stats.features.image_measures import ImageMeasures, measure_image
from times_stats.features.measured_rows import RESERVED
from times_stats.features.patient_pooling import pool_images
from times_stats.regions.window import Window
from times_stats.tables.cell_counts import count_cells
from times_stats.tables.cell_faults import check_cells
from times_stats.tables.cell_measures import CellMeasures
from times_stats.tables.cell_sources import CellSource
from times_stats.tables.cells import ImageCells, iterate_images, list_images
from times_stats.tables.measurements import check_asked

_LEAST_REACH = 0.5  # share of a window that cells reach over, below which its unit is in doubt
_LEAST_CELLS = 10  # of an image, for that doubt


def measure_cells(
    source: CellSource,
    *,
    plan: CellPlan,
    patient_ids: Collection[str] | None = None,
    windows: Mapping[str, Window] | None = None,
    annotations: Mapping[str, Window] | None = None,
    declared: Collection[str] = (),
    required: Collection[str] = (),
    jobs: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> CellMeasures:
    """Measure every image of a source and pool the images of each patient.

    The cells are checked first; then images are read one after the other, in memory that does not
    grow with their number, and measured in parallel.

    Parameters
    ----------
    source : CellSource
        Cells, with types.
    plan : CellPlan
        What is measured.
    patient_ids : collection of str, optional
        Patients of the study; cells of anybody else are a fault.
    windows : mapping of str to Window, optional
        Observed area by image; where it is given it must name every image.
    annotations : mapping of str to Window, optional
        The tumour as drawn, by image.
    declared : collection of str
        Types, flags and tumour regions that were looked for, whether or not a cell has them: as
        markers they are measured, with intensity 0.
    required : collection of str
        Markers that must be among those measured, as those that a study asks for.
    jobs : int, default 1
        Processes (those of a cluster, inside its ``joblib.parallel_config``); the results do not
        depend on it.
    advance : callable
        Called after each image.

    Returns
    -------
    CellMeasures

    Raises
    ------
    InputError
        Lists every fault of the cells; or a tumour type, marker or tumour region that no cell has,
        and images without a window. Nothing is measured before.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet")
    >>> measure_cells(source, plan=CellPlan(tumour=("CK",)), jobs=2)  # doctest: +SKIP
    <CellMeasures: 247 images, 6 markers>
    """
    report = check_cells(source, patient_ids=patient_ids)
    plan = complete_plan(source, plan, declared=declared)
    faults = Faults()
    check_asked(tuple(required), plan.markers or (), what="marker", faults=faults)
    faults.raise_if_any("cells")
    if windows is not None:
        _check_windows(source, windows)
    found = []
    with _closed_at_the_end(iterate_images(source)) as images:
        tasks = (
            delayed(measure_image)(
                cells,
                plan=plan,
                window=None if windows is None else windows[cells.image_id],
                annotation=None if annotations is None else annotations.get(cells.image_id),
            )
            for cells in images
        )
        for measured in Parallel(n_jobs=jobs, return_as="generator")(tasks):
            found.append(measured)
            advance()
    return _collected(found, plan, report.counts, is_given=windows is not None)


@contextmanager
def _closed_at_the_end(images: Iterator[ImageCells]) -> Iterator[Iterator[ImageCells]]:
    """Release the files behind a stream of images, also when a measurement fails."""
    try:
        yield images
    finally:
        if isinstance(images, Generator):
            with suppress(ValueError):  # a thread of joblib is reading: it stops by itself
                images.close()


def _collected(
    found: list[ImageMeasures], plan: CellPlan, counts: pd.DataFrame, *, is_given: bool
) -> CellMeasures:
    summary = pd.DataFrame([measured.summary for measured in found])
    keys = ["patient_id", "image_id"]
    summary = summary.sort_values(keys, kind="stable", ignore_index=True)
    images = pd.concat([measured.values for measured in found], ignore_index=True)
    images = images.sort_values(
        [*keys, "marker", "statistic", "region", "r"], kind="stable", ignore_index=True
    )
    loose = (summary["cells_reach"] < _LEAST_REACH) & (summary["n_cells"] >= _LEAST_CELLS)
    unplaced = summary["area_mm2"].isna()
    for n_cells, what in (
        (summary["n_cells"].where(unplaced, 0), "cells of images without a window, not measured"),
        (
            summary["n_cells"].where(loose, 0),
            "cells that reach over less than half of their window: check its unit",
        ),
        (summary["n_outside"], "cells outside the window, left out"),
        (summary["n_without_area"], "cells of a region without area, left out"),
    ):
        touched = summary[n_cells > 0]
        if len(touched):
            row = {
                "what": what,
                "n_cells": int(n_cells.sum()),
                "n_images": len(touched),
                "n_patients": touched["patient_id"].nunique(),
                "images": name_rows(touched["image_id"]),
                "patients": name_rows(touched["patient_id"]),
            }
            counts = pd.concat([counts, pd.DataFrame([row])], ignore_index=True)
    return CellMeasures(
        images=images,
        patients=pool_images(images),
        summary=summary,
        counts=counts,
        markers=plan.markers or (),
        regions=plan.compartments.names,
        settings={
            "tumour": sorted(plan.tumour),
            "window": "given" if is_given else plan.window,
            "source": plan.source,
            "tumour_regions": sorted(plan.tumour_regions),
            "invasive_front": list(plan.compartments.invasive_front),
            "peritumour": plan.compartments.peritumour,
        },
    )


def _check_windows(source: CellSource, windows: Mapping[str, Window]) -> None:
    absent = [image for image in list_images(source)["image_id"] if image not in windows]
    if absent:
        raise InputError(
            f"image {name_rows(absent)} has no window: draw one for every image", source="cells"
        )


def complete_plan(
    source: CellSource, plan: CellPlan, *, declared: Collection[str] = ()
) -> CellPlan:
    """Name the markers of a plan that leaves them open, and check that all names are known.

    Parameters
    ----------
    source : CellSource
        Cells.
    plan : CellPlan
        Plan, with or without markers.
    declared : collection of str
        Names that are known whether or not a cell has them.

    Returns
    -------
    CellPlan
        The plan with its markers.

    Raises
    ------
    InputError
        If a name is neither a type nor a flag of the cells, or a tumour region none of theirs.
    """
    faults = Faults()
    types: list[str] = []
    places: list[str] = []
    if source.layout.cell_type is not None:
        counts = count_cells(source)
        types, places = (sorted(counts[name].unique()) for name in ("cell_type", "region"))
    known = [*dict.fromkeys([*types, *source.flags])]
    asked = {
        "tumour": plan.tumour,
        "markers": plan.markers or (),
        "aggregate_seeds": plan.aggregate_seeds,
        "aggregate_members": plan.aggregate_members,
    }
    for where, names in asked.items():
        for name in names:
            allowed = known if where == "markers" else types
            if name not in allowed and name not in declared:
                hint = nearest_hint(name, allowed)
                faults.add(f"{where} names '{name}', which no cell is{hint}: correct it")
    for name in types:
        parts = [part.strip() for part in name.split(":")]
        if len(parts) > 1 and name not in plan.tumour and set(parts) & set(plan.tumour):
            faults.add(
                f"type '{name}' holds the name of a tumour type and is none: name it in tumour, or "
                "rename it with cell_types"
            )
    reserved = sorted(set(RESERVED) & {*(plan.markers or known)})
    if reserved:
        faults.add(f"no marker can be called '{reserved[0]}': rename it with cell_types")
    if plan.markers is None and known and not {*known, *declared} - {*plan.tumour}:
        faults.add("every cell is of a tumour type: check tumour, there is no marker to measure")
    if plan.source == "column":
        _check_tumour_regions(source, plan, {*places, *declared}, faults)
    faults.raise_if_any("cells")
    if plan.markers is not None:
        return plan
    outside = {*plan.tumour, *plan.tumour_regions}
    absent = sorted({*declared} - {*known} - outside)
    measured = [name for name in [*known, *absent] if name not in plan.tumour]
    return replace(plan, markers=tuple(measured))


def _check_tumour_regions(
    source: CellSource, plan: CellPlan, places: Collection[str], faults: Faults
) -> None:
    if source.layout.region is None:
        faults.add(
            "the cells have no region column: map one in [cells.columns], or take the boundary "
            "from the tumour cells"
        )
        return
    for name in plan.tumour_regions:
        if name not in places:
            hint = nearest_hint(name, places)
            faults.add(f"tumour_regions names '{name}', where no cell is{hint}: correct it")
