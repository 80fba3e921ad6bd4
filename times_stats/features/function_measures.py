"""Functions of distance and organisation of one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from times_stats._typing import BoolArray, FloatArray
from times_stats.features.aggregates import find_aggregates
from times_stats.features.band_limits import band_codes
from times_stats.features.cell_plan import CellPlan
from times_stats.features.enrichment import neighbourhood_enrichment
from times_stats.features.infiltration import infiltration_gradient
from times_stats.features.kfunctions import cross_k, ripley_k
from times_stats.features.located_cells import TUMOUR, LocatedCells
from times_stats.features.measured_rows import AGGREGATES, IMAGE, MeasuredRow
from times_stats.features.mixing import count_interactions
from times_stats.features.nearest_distances import cross_g, nearest_distance
from times_stats.features.neighbour_graph import NeighbourGraph, nearest_neighbour_graph
from times_stats.features.quadrats import morisita_horn
from times_stats.regions.compartments import compartment_windows, distance_bands
from times_stats.regions.window import Window

FEW_CELLS = "no more cells than neighbours asked for"
FEW_MARKER = "too few cells of the marker"
FEW_TUMOUR = "too few tumour cells"
SAME_PLACES = "the marker's cells stand where the tumour cells do"
SMALL_WINDOW = "the window is too small for this radius"
UNSEEN = "no cell could be seen that far"
_LEAST_OVERLAP = 0.1  # share of the window that is left when it is moved by a radius
# Half a turn, as the overlap is the same both ways; none along the axes, where a strip may lie.
_DIRECTIONS = (np.arange(8) + 0.5) * np.pi / 8


def measure_functions(located: LocatedCells, *, plan: CellPlan) -> Iterator[MeasuredRow]:
    """Measure what concerns the whole image: functions of distance and organisation.

    Parameters
    ----------
    located : LocatedCells
        From `locate_cells`.
    plan : CellPlan
        What is measured.

    Yields
    ------
    MeasuredRow
    """
    tumour = located.is_marker[TUMOUR]
    graph = None
    if len(located.points) > plan.n_neighbours:
        graph = nearest_neighbour_graph(located.points, n_neighbours=plan.n_neighbours)
    areas, is_narrow = _band_areas(located, plan), _narrow_radii(located.window, plan)
    for marker, mask in located.is_marker.items():
        if marker != TUMOUR:
            own = mask & ~tumour  # a flag may be seen in tumour cells
            yield from _curves(located, plan, marker, own, is_narrow)
            yield _gradient(located, plan, marker, own, areas)
            yield from _organisation(located, plan, marker, own, graph)
    if plan.aggregate_seeds:
        yield from _aggregates(located, plan)


def _band_areas(located: LocatedCells, plan: CellPlan) -> list[float]:
    if located.boundary is None or located.reason:
        return []
    parts = compartment_windows(located.boundary, compartments=distance_bands(plan.bands))
    return [0.0 if part is None else part.area for part in parts.values()]


def _narrow_radii(window: Window | None, plan: CellPlan) -> BoolArray:
    """Tell for which radii hardly anything of the window is left when it is moved so far."""
    radii = np.asarray(plan.radii)
    if window is None:
        return np.ones(radii.size, dtype=np.bool_)
    step = radii[:, None, None] * np.stack([np.cos(_DIRECTIONS), np.sin(_DIRECTIONS)])
    overlap = window.translation_overlap(step[:, 0].ravel(), step[:, 1].ravel())
    left = overlap.reshape(radii.size, -1).mean(axis=1) / window.area
    return np.asarray(left < _LEAST_OVERLAP, dtype=np.bool_)


def _shortage(located: LocatedCells, plan: CellPlan, own: BoolArray, *, of_both: bool) -> str:
    """Return why a function cannot be measured; nothing where it can."""
    if located.window is None:
        return located.reason
    tumour = located.is_marker[TUMOUR]
    if own.sum() < plan.min_cells:
        return FEW_MARKER
    if of_both and tumour.sum() < plan.min_cells:
        return FEW_TUMOUR
    if of_both and _same_places(located.points[own], located.points[tumour]):
        return SAME_PLACES
    return ""


def _same_places(first: FloatArray, second: FloatArray) -> bool:
    if len(first) != len(second):
        return False
    return np.array_equal(first[np.lexsort(first.T)], second[np.lexsort(second.T)])


def _curves(
    located: LocatedCells, plan: CellPlan, marker: str, own: BoolArray, is_narrow: BoolArray
) -> Iterator[MeasuredRow]:
    radii, window = np.asarray(plan.radii), located.window
    first, second = located.points[own], located.points[located.is_marker[TUMOUR]]
    alone = _shortage(located, plan, own, of_both=False)
    paired = _shortage(located, plan, own, of_both=True)
    curves: dict[str, tuple[str, Callable[[Window], FloatArray]]] = {
        "l_tumour": (
            paired,
            lambda w: _l_minus_r(
                cross_k(first, second, window=w, r=radii, correction=plan.correction), radii
            ),
        ),
        "l_self": (
            alone,
            lambda w: _l_minus_r(
                ripley_k(first, window=w, r=radii, correction=plan.correction), radii
            ),
        ),
        "g_tumour": (paired, lambda w: _seen_g(first, second, w, radii)),
    }
    for statistic, (why, measure) in curves.items():
        if window is None or why:
            for r in radii:
                yield MeasuredRow(IMAGE, marker, statistic, float(r), np.nan, 0.0, why)
            continue
        values = np.where(is_narrow, np.nan, measure(window))
        for r, value, narrow in zip(radii, values, is_narrow, strict=True):
            known = bool(np.isfinite(value))
            reason = "" if known else SMALL_WINDOW if narrow else UNSEEN
            weight = float(own.sum()) if known else 0.0
            yield MeasuredRow(IMAGE, marker, statistic, float(r), float(value), weight, reason)


def _l_minus_r(k: FloatArray, radii: FloatArray) -> FloatArray:
    return np.sqrt(k / np.pi) - radii


def _seen_g(first: FloatArray, second: FloatArray, window: Window, radii: FloatArray) -> FloatArray:
    """Share with a neighbour within r, as far as any distance was seen."""
    g = cross_g(first, second, window=window, r=radii)
    last = np.minimum(nearest_distance(first, second), window.boundary_distance(first)).max()
    return np.where((radii > last) & (g < 1.0), np.nan, g)


def _gradient(
    located: LocatedCells, plan: CellPlan, marker: str, own: BoolArray, areas: list[float]
) -> MeasuredRow:
    why = located.reason or (FEW_MARKER if own.sum() < plan.min_cells else "")
    if why:
        return MeasuredRow(IMAGE, marker, "gradient", np.nan, np.nan, 0.0, why)
    distance = located.distance[own]
    band = band_codes(distance, np.asarray(plan.bands, dtype=np.float64))
    # A cell on the frame may lie on the limit of a band of which the window shows nothing.
    shown = (band < 0) | (np.asarray(areas)[band] > 0)
    found = infiltration_gradient(distance[shown], edges=plan.bands, areas=areas)
    if found.reason or found.n_cells < plan.min_cells:
        reason = found.reason or FEW_MARKER
        return MeasuredRow(IMAGE, marker, "gradient", np.nan, np.nan, 0.0, reason)
    return MeasuredRow(IMAGE, marker, "gradient", np.nan, found.slope, found.se**-2, "")


def _organisation(
    located: LocatedCells,
    plan: CellPlan,
    marker: str,
    own: BoolArray,
    graph: NeighbourGraph | None,
) -> Iterator[MeasuredRow]:
    def row(statistic: str, value: float, information: float, why: str) -> MeasuredRow:
        weight = 0.0 if why else information
        return MeasuredRow(IMAGE, marker, statistic, np.nan, value, weight, why)

    why, window = _shortage(located, plan, own, of_both=True), located.window
    if window is None or why:
        for statistic in ("neighbour_excess", "mixing", "morisita_horn"):
            yield row(statistic, np.nan, 0.0, why)
        return
    tumour, n_own = located.is_marker[TUMOUR], int(own.sum())
    kinds = np.where(own, "own", np.where(tumour, "tumour", "other"))
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
    gap = "" if np.isfinite(index) else SMALL_WINDOW
    yield row("morisita_horn", float(index), window.area_mm2, gap)


def _aggregates(located: LocatedCells, plan: CellPlan) -> Iterator[MeasuredRow]:
    def row(statistic: str, value: float, information: float, why: str) -> MeasuredRow:
        return MeasuredRow(IMAGE, AGGREGATES, statistic, np.nan, value, information, why)

    if located.window is None:
        for statistic in ("aggregate_intensity", "aggregate_share"):
            yield row(statistic, np.nan, 0.0, located.reason)
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
    yield row("aggregate_intensity", len(found) / area, area, "")
    share = float(found["n_cells"].sum()) / members if members else np.nan
    yield row("aggregate_share", share, float(members), "" if members else FEW_MARKER)
