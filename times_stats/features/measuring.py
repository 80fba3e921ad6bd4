"""All images of a source measured, beside each other, and pooled by patient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import pandas as pd
from joblib import Parallel, delayed

from times_stats._checks import Faults, name_rows, nearest_key
from times_stats.errors import InputError
from times_stats.features.cell_plan import CellPlan
from times_stats.features.image_measures import ImageMeasures, measure_image
from times_stats.features.patient_pooling import pool_images
from times_stats.regions.window import Window
from times_stats.tables.cell_counts import count_cells
from times_stats.tables.cell_faults import check_cells
from times_stats.tables.cell_measures import CellMeasures
from times_stats.tables.cell_sources import CellSource
from times_stats.tables.cells import iterate_images


def measure_cells(
    source: CellSource,
    *,
    plan: CellPlan,
    patient_ids: Collection[str] | None = None,
    windows: Mapping[str, Window] | None = None,
    annotations: Mapping[str, Window] | None = None,
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
        Lists every fault of the cells; or a tumour type or marker that no cell has.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet")
    >>> measure_cells(source, plan=CellPlan(tumour=("CK",)), jobs=2)  # doctest: +SKIP
    <CellMeasures: 247 images, 6 markers>
    """
    report = check_cells(source, patient_ids=patient_ids)
    plan = _complete_plan(source, plan)
    found = []
    tasks = (
        delayed(measure_image)(
            cells,
            plan=plan,
            window=None if windows is None else _window_of(windows, cells.image_id),
            annotation=None if annotations is None else annotations.get(cells.image_id),
        )
        for cells in iterate_images(source)
    )
    for measured in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        found.append(measured)
        advance()
    return _collected(found, plan, report.counts)


def _collected(found: list[ImageMeasures], plan: CellPlan, counts: pd.DataFrame) -> CellMeasures:
    summary = pd.DataFrame([measured.summary for measured in found])
    keys = ["patient_id", "image_id"]
    summary = summary.sort_values(keys, kind="stable", ignore_index=True)
    images = pd.concat([measured.values for measured in found], ignore_index=True)
    images = images.sort_values(
        [*keys, "marker", "statistic", "region", "r"], kind="stable", ignore_index=True
    )
    outside = summary[summary["n_outside"] > 0]
    if len(outside):
        row = {
            "what": "cells outside the window, left out",
            "n_cells": int(outside["n_outside"].sum()),
            "n_images": len(outside),
            "n_patients": outside["patient_id"].nunique(),
            "images": name_rows(outside["image_id"]),
            "patients": name_rows(outside["patient_id"]),
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
            "tumour": list(plan.tumour),
            "window": plan.window,
            "source": plan.source,
            "tumour_regions": list(plan.tumour_regions),
            "invasive_front": list(plan.compartments.invasive_front),
            "peritumour": plan.compartments.peritumour,
        },
    )


def _window_of(windows: Mapping[str, Window], image_id: str) -> Window:
    if image_id not in windows:
        raise InputError(f"image {image_id} has no window: draw one for every image")
    return windows[image_id]


def _complete_plan(source: CellSource, plan: CellPlan) -> CellPlan:
    """Name the markers of a plan that leaves them open, and check that all names are known."""
    faults = Faults()
    types = (
        sorted(count_cells(source)["cell_type"].unique())
        if source.layout.cell_type is not None
        else []
    )
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
            if name not in allowed:
                near = nearest_key(name, allowed)
                hint = f" (nearest: '{near}')" if near else ""
                faults.add(f"{where} names '{name}', which no cell is{hint}: correct it")
    faults.raise_if_any("cells")
    if plan.markers is not None:
        return plan
    return replace(plan, markers=tuple(name for name in known if name not in plan.tumour))
