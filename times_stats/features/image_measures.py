"""Everything that is measured of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._typing import FloatArray
from times_stats.features.cell_plan import CellPlan
from times_stats.features.function_measures import measure_functions
from times_stats.features.located_cells import LocatedCells, locate_cells
from times_stats.features.measured_rows import as_table
from times_stats.features.region_measures import NO_REGION, measure_levels, measure_regions
from times_stats.regions.compartments import assign_compartments, is_certain
from times_stats.regions.window import Window
from times_stats.tables.cells import ImageCells


@dataclass(frozen=True, slots=True, eq=False)
class ImageMeasures:
    """What was measured of one image.

    Attributes
    ----------
    values : DataFrame
        Columns ``patient_id``, ``image_id``, ``region``, ``marker``, ``statistic``, ``r`` (NaN for
        what is no function of distance), ``value``, ``information`` (weight of the image when a
        patient's images are pooled) and ``reason`` (why the value is missing).
    summary : dict
        One row about the image: cells (``n_tumour`` among all of them), area, boundary, and what
        was left out: cells outside the window, and cells on the frame at the very limit of a region
        of which the window shows nothing (``n_without_area``). ``n_uncertain`` counts the cells
        whose region could change if more of the tissue were seen.
    """

    values: pd.DataFrame
    summary: dict[str, object]


def measure_image(
    cells: ImageCells,
    *,
    plan: CellPlan,
    window: Window | None = None,
    annotation: Window | None = None,
) -> ImageMeasures:
    """Measure everything of one image.

    Parameters
    ----------
    cells : ImageCells
        Cells of the image, with their types.
    plan : CellPlan
        What is measured.
    window : Window, optional
        Observed area; cells outside it are left out and counted. By default as `plan` says.
    annotation : Window, optional
        The tumour as drawn, for ``source="annotation"``; without one the image has no boundary.

    Returns
    -------
    ImageMeasures

    Raises
    ------
    InputError
        As `locate_cells`.

    Notes
    -----
    A type or flag that no cell of the image has is absent, not unknown: its intensity is 0.
    `measure_cells` knows all images and refuses names that no cell has.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> from times_stats.tables.cells import read_image
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet")
    >>> cells = read_image(source, patient_id="142", image_id="142_3")
    >>> from times_stats.regions import Compartments
    >>> plan = CellPlan(tumour=("CK",), compartments=Compartments(invasive_front=(-20, 20)))
    >>> measured = measure_image(cells, plan=plan).values
    >>> bool(measured.query("marker == 'CD8' and statistic == 'intensity'")["value"].notna().any())
    True
    """
    located = locate_cells(cells, plan=plan, window=window, annotation=annotation)
    rows = [
        *measure_levels(located),
        *measure_regions(located, compartments=plan.compartments),
        *measure_functions(located, plan=plan),
    ]
    values = as_table(cells, rows)
    shown_nothing = {row.region for row in rows if row.reason == NO_REGION}
    return ImageMeasures(values, _summary(located, plan, shown_nothing))


def _reach(points: FloatArray, window: Window) -> float:
    """Share of the window's box that the cells reach over, along the side where it is larger."""
    if len(points) == 0:
        return 0.0
    x0, y0, x1, y1 = window.bounds
    return float((np.ptp(points, axis=0) / [x1 - x0, y1 - y0]).max())


def _summary(located: LocatedCells, plan: CellPlan, shown_nothing: set[str]) -> dict[str, object]:
    cells, window, boundary = located.cells, located.window, located.boundary
    types = np.empty(0, dtype=np.str_) if cells.cell_type is None else cells.cell_type
    doubtful = astray = 0
    if window is not None and not located.reason:
        sure = is_certain(
            located.points, located.distance, window=window, compartments=plan.compartments
        )
        doubtful = int((~sure).sum())
        held = assign_compartments(located.distance, compartments=plan.compartments)
        astray = int(np.isin(np.asarray(held), list(shown_nothing)).sum())
    return {
        "patient_id": cells.patient_id,
        "image_id": cells.image_id,
        "n_cells": len(cells),
        "n_outside": 0 if window is None else len(cells) - len(located.points),
        "n_tumour": int(np.isin(types, plan.tumour).sum()),
        "area_mm2": np.nan if window is None else window.area_mm2,
        "cells_reach": np.nan if window is None else _reach(located.points, window),
        "tumour_mm2": np.nan if boundary is None else boundary.tumour.area * 1e-6,
        "boundary_um": np.nan if boundary is None else float(boundary.lines.length),
        "bandwidth_um": np.nan if boundary is None else boundary.bandwidth,
        "level": np.nan if boundary is None else boundary.level,
        "fraction_inside": np.nan if boundary is None else boundary.fraction_inside,
        "fraction_outside": np.nan if boundary is None else boundary.fraction_outside,
        "n_uncertain": doubtful,
        "n_without_area": astray,
        "reason": located.reason,
    }
