"""Everything that is measured of one image: regions, functions, organisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.features.aggregates import find_aggregates
from times_stats.features.band_limits import band_codes
from times_stats.features.cell_plan import CellPlan
from times_stats.features.composition import shannon_entropy
from times_stats.features.enrichment import neighbourhood_enrichment
from times_stats.features.infiltration import infiltration_gradient
from times_stats.features.kfunctions import cross_k, ripley_k
from times_stats.features.mixing import count_interactions
from times_stats.features.nearest_distances import cross_g
from times_stats.features.neighbour_graph import NeighbourGraph, nearest_neighbour_graph
from times_stats.features.quadrats import morisita_horn
from times_stats.regions.boundary import TumourBoundary, signed_distance, tumour_boundary
from times_stats.regions.compartments import (
    Compartments,
    assign_compartments,
    compartment_windows,
    distance_bands,
    is_certain,
)
from times_stats.regions.given_boundary import boundary_from_annotation, boundary_from_labels
from times_stats.regions.tissue import bounding_rectangle, tissue_window
from times_stats.regions.window import Window
from times_stats.tables.cells import ImageCells

IMAGE = "image"  # the region of what is measured over the whole image
COMPOSITION, AGGREGATES = "composition", "aggregates"  # markers of what concerns all cells
STATISTICS: dict[str, str] = {
    "intensity": "cells per mm2 of the region; images weigh by area",
    "fraction": "share of the region's cells; images weigh by cells",
    "entropy": "Shannon entropy of the cell types in the region, nats; images weigh by cells",
    "l_tumour": "cross L from the marker to tumour cells minus r, um; images weigh by cells",
    "l_self": "Besag's L of the marker minus r, um; images weigh by cells",
    "g_tumour": "share of the marker's cells with a tumour cell within r; images weigh by cells",
    "gradient": "log intensity per 100 um outwards from the boundary; images weigh by cells",
    "neighbour_excess": (
        "tumour cells among the nearest neighbours of the marker's cells, as a share, minus what "
        "random labels would give; images weigh by cells"
    ),
    "mixing": "normalised mixing score of the marker with tumour cells; images weigh by cells",
    "morisita_horn": "Morisita-Horn index of the marker and tumour cells; images weigh by area",
    "aggregate_intensity": "aggregates per mm2; images weigh by area",
    "aggregate_share": "share of the member cells that sit in aggregates; images weigh by cells",
}
BY_REGION = ("intensity", "fraction", "entropy")
ORGANISATION = tuple(name for name in STATISTICS if name not in BY_REGION)  # of the whole image
COLUMNS = [
    *("patient_id", "image_id", "region", "marker", "statistic"),
    *("r", "value", "information", "reason"),
]

NO_WINDOW = "too few cells to see the tissue"
FEW_CELLS = "no more cells than neighbours asked for"
NO_ANNOTATION = "the image has no annotation"
NO_REGION = "the image shows nothing of the region"
NO_CELLS = "no cell in the region"
FEW_MARKER = "too few cells of the marker"
FEW_TUMOUR = "too few tumour cells"
SMALL_WINDOW = "the window is too small for this radius"
_FEW = 10  # cells below which no window can be drawn around them

type _Row = tuple[str, str, str, float, float, float, str]


@dataclass(frozen=True, slots=True, eq=False)
class LocatedCells:
    """The cells of an image inside its window, with their place relative to the tumour.

    Attributes
    ----------
    cells : ImageCells
        All cells of the image.
    points : ndarray of shape (n, 2)
        Cells inside the window, micrometres.
    is_marker : dict of str to ndarray of bool of shape (n,)
        Which of them each marker is seen in; ``""`` for the tumour's.
    labels : ndarray of str of shape (n,)
        Their types.
    window : Window or None
        Observed area; None where there are too few cells to see it.
    boundary : TumourBoundary or None
        The tumour's boundary; None without a window.
    distance : ndarray of shape (n,)
        Signed distance to it, micrometres; NaN where there is none.
    """

    cells: ImageCells
    points: FloatArray
    is_marker: dict[str, BoolArray]
    labels: np.ndarray
    window: Window | None
    boundary: TumourBoundary | None
    distance: FloatArray


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
        of which the window shows nothing (``n_without_area``).
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
        If the boundary is that of the region column and the cells have none.

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
    >>> plan = CellPlan(tumour=("CK",), compartments=Compartments(invasive_front=(-20, 20)))
    >>> measured = measure_image(cells, plan=plan).values
    >>> bool(measured.query("marker == 'CD8' and statistic == 'intensity'")["value"].notna().any())
    True
    """
    located = locate_cells(cells, plan=plan, window=window, annotation=annotation)
    rows = list(measure_regions(located, compartments=plan.compartments))
    rows += _functions(located, plan)
    values = as_table(cells, rows)
    shown_nothing = {region for region, *_, why in rows if why == NO_REGION}
    return ImageMeasures(values, _summary(located, plan, shown_nothing))


def as_table(cells: ImageCells, rows: list[_Row]) -> pd.DataFrame:
    """Return measured rows as a table with the names of patient and image.

    Parameters
    ----------
    cells : ImageCells
        The image measured.
    rows : list of tuple
        ``region``, ``marker``, ``statistic``, ``r``, ``value``, ``information``, ``reason``.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`.
    """
    table = pd.DataFrame(rows, columns=COLUMNS[2:])
    table.insert(0, "patient_id", cells.patient_id)
    table.insert(1, "image_id", cells.image_id)
    return table.astype(
        {
            **dict.fromkeys(("patient_id", "image_id", "region", "marker"), "str"),
            **dict.fromkeys(("statistic", "reason"), "str"),
            **dict.fromkeys(("r", "value", "information"), np.float64),
        }
    )


def locate_cells(
    cells: ImageCells,
    *,
    plan: CellPlan,
    window: Window | None = None,
    annotation: Window | None = None,
) -> LocatedCells:
    """Find the window of an image, the tumour's boundary, and where each cell lies.

    Parameters
    ----------
    cells, plan, window, annotation
        As in `measure_image`.

    Returns
    -------
    LocatedCells

    Raises
    ------
    InputError
        As in `measure_image`.
    """
    observed = window if window is not None else _window(cells, plan)
    inside = (
        np.zeros(len(cells), dtype=np.bool_)
        if observed is None
        else observed.contains(cells.points)
    )
    labels = np.full(len(cells), "cell") if cells.cell_type is None else np.asarray(cells.cell_type)
    masks = {"": np.isin(labels, plan.tumour)}
    for marker in _markers(cells, plan):
        masks[marker] = (
            cells.positive[marker].to_numpy(dtype=np.bool_)
            if marker in cells.positive
            else labels == marker
        )
    boundary = None
    points = cells.points[inside]
    distance = np.full(len(points), np.nan)
    if observed is not None:
        boundary = _boundary(cells, masks[""], observed, plan, annotation)
        distance = signed_distance(points, boundary)
    return LocatedCells(
        cells=cells,
        points=points,
        is_marker={name: mask[inside] for name, mask in masks.items()},
        labels=labels[inside],
        window=observed,
        boundary=boundary,
        distance=distance,
    )


def _markers(cells: ImageCells, plan: CellPlan) -> list[str]:
    flags = list(cells.positive.columns)
    if plan.markers is not None:
        return list(plan.markers)
    types = [] if cells.cell_type is None else sorted(set(cells.cell_type.tolist()))
    return [name for name in dict.fromkeys([*types, *flags]) if name not in plan.tumour]


def _window(cells: ImageCells, plan: CellPlan) -> Window | None:
    places = len(np.unique(cells.points, axis=0))
    if places < _FEW:
        return None
    try:
        if plan.window == "rectangle":
            return bounding_rectangle(cells.points)
        return tissue_window(cells.points)
    except InputError:  # all cells on one line, or most of them on one place
        return None


def _boundary(
    cells: ImageCells,
    is_tumour: BoolArray,
    window: Window,
    plan: CellPlan,
    annotation: Window | None,
) -> TumourBoundary:
    if plan.source == "boundary":
        return tumour_boundary(cells.points, is_tumour, window=window)
    if plan.source == "column":
        if cells.region is None:
            raise InputError(
                "the cells have no region column: map one in [cells.columns], or take the "
                "boundary from the tumour cells",
                source="cells",
            )
        return boundary_from_labels(
            cells.points, cells.region, tumour=plan.tumour_regions, window=window
        )
    if annotation is None:
        found = tumour_boundary(np.empty((0, 2)), np.empty(0, dtype=np.bool_), window=window)
        return replace(found, reason=NO_ANNOTATION)
    return boundary_from_annotation(annotation, window=window)


def measure_regions(located: LocatedCells, *, compartments: Compartments) -> Iterator[_Row]:
    """Measure amounts by region: intensity, fraction and entropy.

    Parameters
    ----------
    located : LocatedCells
        From `locate_cells`.
    compartments : Compartments
        Regions by distance to the boundary.

    Yields
    ------
    tuple
        ``region``, ``marker``, ``statistic``, ``r``, ``value``, ``information``, ``reason``.
    """
    markers = [name for name in located.is_marker if name]
    if located.boundary is None or located.boundary.reason:
        why = NO_WINDOW if located.boundary is None else located.boundary.reason
        for region in compartments.names:
            yield from _missing_region(region, markers, why)
        return
    windows = compartment_windows(located.boundary, compartments=compartments)
    assigned = np.asarray(assign_compartments(located.distance, compartments=compartments))
    for region, window in windows.items():
        held = assigned == region
        if window is None:
            yield from _missing_region(region, markers, NO_REGION)
            continue
        n_cells = int(held.sum())
        for marker in markers:
            count = int((held & located.is_marker[marker]).sum())
            area = window.area_mm2
            yield region, marker, "intensity", np.nan, count / area, area, ""
            share = count / n_cells if n_cells else np.nan
            why = "" if n_cells else NO_CELLS
            yield region, marker, "fraction", np.nan, share, float(n_cells), why
        _, counts = np.unique(located.labels[held], return_counts=True)
        entropy = shannon_entropy(counts) if n_cells else np.nan
        why = "" if n_cells else NO_CELLS
        yield region, COMPOSITION, "entropy", np.nan, float(entropy), float(n_cells), why


def _missing_region(region: str, markers: list[str], why: str) -> Iterator[_Row]:
    for marker in markers:
        for statistic in ("intensity", "fraction"):
            yield region, marker, statistic, np.nan, np.nan, 0.0, why
    yield region, COMPOSITION, "entropy", np.nan, np.nan, 0.0, why


def _functions(located: LocatedCells, plan: CellPlan) -> Iterator[_Row]:
    """Measure what concerns the whole image: functions of distance and organisation."""
    tumour = located.is_marker[""]
    graph = None
    areas = _band_areas(located, plan)
    if len(located.points) > plan.n_neighbours:
        graph = nearest_neighbour_graph(located.points, n_neighbours=plan.n_neighbours)
    for marker, mask in located.is_marker.items():
        if marker:
            own = mask & ~tumour  # a flag may be seen in tumour cells
            yield from _curves(located, plan, marker, own, tumour)
            yield from _scalars(located, plan, marker, own, tumour, areas, graph)
    if plan.aggregate_seeds:
        yield from _aggregates(located, plan)


def _band_areas(located: LocatedCells, plan: CellPlan) -> list[float]:
    if located.boundary is None or located.boundary.reason:
        return []
    parts = compartment_windows(located.boundary, compartments=distance_bands(plan.bands))
    return [0.0 if part is None else part.area for part in parts.values()]


def _curves(
    located: LocatedCells, plan: CellPlan, marker: str, own: BoolArray, tumour: BoolArray
) -> Iterator[_Row]:
    radii = np.asarray(plan.radii)
    n_own, n_tumour, window = int(own.sum()), int(tumour.sum()), located.window
    few_own = FEW_MARKER if n_own < plan.min_cells else ""
    few_tumour = FEW_TUMOUR if n_tumour < plan.min_cells else ""
    first, second = located.points[own], located.points[tumour]
    jobs: dict[str, tuple[str, Callable[[Window], FloatArray]]] = {
        "l_tumour": (
            few_own or few_tumour,
            lambda w: _l_minus_r(
                cross_k(first, second, window=w, r=radii, correction=plan.correction), radii
            ),
        ),
        "l_self": (
            few_own,
            lambda w: _l_minus_r(
                ripley_k(first, window=w, r=radii, correction=plan.correction), radii
            ),
        ),
        "g_tumour": (few_own or few_tumour, lambda w: cross_g(first, second, window=w, r=radii)),
    }
    for statistic, (why, work) in jobs.items():
        if window is None or why:
            told = NO_WINDOW if window is None else why
            for r in radii:
                yield IMAGE, marker, statistic, float(r), np.nan, 0.0, told
            continue
        x0, y0, x1, y1 = window.bounds
        too_wide = radii > min(x1 - x0, y1 - y0) / 2
        values = np.where(too_wide, np.nan, work(window))
        for r, value in zip(radii, values, strict=True):
            reason = "" if np.isfinite(value) else SMALL_WINDOW
            yield IMAGE, marker, statistic, float(r), float(value), float(n_own), reason


def _l_minus_r(k: FloatArray, radii: FloatArray) -> FloatArray:
    return np.sqrt(k / np.pi) - radii


def _scalars(
    located: LocatedCells,
    plan: CellPlan,
    marker: str,
    own: BoolArray,
    tumour: BoolArray,
    areas: list[float],
    graph: NeighbourGraph | None,
) -> Iterator[_Row]:
    n_own, window, boundary = int(own.sum()), located.window, located.boundary

    def row(statistic: str, value: float, information: float, why: str) -> _Row:
        return IMAGE, marker, statistic, np.nan, value, 0.0 if why else information, why

    if window is None or boundary is None:
        for statistic in ("gradient", "neighbour_excess", "mixing", "morisita_horn"):
            yield row(statistic, np.nan, 0.0, NO_WINDOW)
        return
    if boundary.reason:
        yield row("gradient", np.nan, 0.0, boundary.reason)
    else:
        distance = located.distance[own]
        band = band_codes(distance, np.asarray(plan.bands, dtype=np.float64))
        # A cell on the frame may lie on the limit of a band of which the window shows nothing.
        shown = (band < 0) | (np.asarray(areas)[band] > 0)
        found = infiltration_gradient(distance[shown], edges=plan.bands, areas=areas)
        yield row("gradient", found.slope, float(found.n_cells), found.reason)
    few = FEW_MARKER if n_own < plan.min_cells else ""
    few = few or (FEW_TUMOUR if tumour.sum() < plan.min_cells else "")
    kinds = np.where(own, "own", np.where(tumour, "tumour", "other"))
    if few:
        for statistic in ("neighbour_excess", "mixing", "morisita_horn"):
            yield row(statistic, np.nan, 0.0, few)
        return
    if graph is None:
        yield row("neighbour_excess", np.nan, 0.0, FEW_CELLS)
    else:
        table = neighbourhood_enrichment(graph, kinds, types=["own", "tumour"])
        cell = table.sel(type_from="own", type_to="tumour")
        excess = float(cell["count"] - cell["expected"]) / (n_own * plan.n_neighbours)
        yield row("neighbour_excess", excess, float(n_own), "")
    pairs = count_interactions(
        located.points, kinds, immune=["own"], tumour=["tumour"], radius=plan.mixing_radius
    )
    yield row("mixing", pairs.normalised_mixing_score, float(n_own), pairs.reason)
    first, second = located.points[own], located.points[tumour]
    index = morisita_horn(first, second, window=window, side=plan.quadrat)
    why = "" if np.isfinite(index) else SMALL_WINDOW
    yield row("morisita_horn", float(index), window.area_mm2, why)


def _aggregates(located: LocatedCells, plan: CellPlan) -> Iterator[_Row]:
    if located.window is None:
        for statistic in ("aggregate_intensity", "aggregate_share"):
            yield IMAGE, AGGREGATES, statistic, np.nan, np.nan, 0.0, NO_WINDOW
        return
    found = find_aggregates(
        located.points,
        located.labels,
        seeds=list(plan.aggregate_seeds),
        members=list(plan.aggregate_members),
        radius=plan.aggregate_radius,
        min_cells=plan.aggregate_cells,
    )
    area = located.window.area_mm2
    members = int(np.isin(located.labels, plan.aggregate_members).sum())
    yield IMAGE, AGGREGATES, "aggregate_intensity", np.nan, len(found) / area, area, ""
    share = float(found["n_cells"].sum()) / members if members else np.nan
    why = "" if members else FEW_MARKER
    yield IMAGE, AGGREGATES, "aggregate_share", np.nan, share, float(members), why


def _summary(located: LocatedCells, plan: CellPlan, shown_nothing: set[str]) -> dict[str, object]:
    cells, window, boundary = located.cells, located.window, located.boundary
    nothing = boundary is None
    types = np.empty(0, dtype=np.str_) if cells.cell_type is None else cells.cell_type
    doubtful = astray = 0
    if window is not None and boundary is not None and not boundary.reason:
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
        "tumour_mm2": np.nan if boundary is None else boundary.tumour.area * 1e-6,
        "boundary_um": np.nan if boundary is None else float(boundary.lines.length),
        "bandwidth_um": np.nan if boundary is None else boundary.bandwidth,
        "level": np.nan if boundary is None else boundary.level,
        "fraction_inside": np.nan if boundary is None else boundary.fraction_inside,
        "fraction_outside": np.nan if boundary is None else boundary.fraction_outside,
        "n_uncertain": doubtful,
        "n_without_area": astray,
        "reason": NO_WINDOW if nothing else boundary.reason if boundary is not None else "",
    }
