"""Amounts of one image: by region, and over all of its tissue."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from times_stats.features.composition import shannon_entropy
from times_stats.features.located_cells import TUMOUR, LocatedCells
from times_stats.features.measured_rows import COMPOSITION, IMAGE, MeasuredRow
from times_stats.regions.compartments import (
    Compartments,
    assign_compartments,
    compartment_windows,
)

NO_REGION = "the image shows nothing of the region"
NO_CELLS = "no cell in the region"


def measure_levels(located: LocatedCells) -> Iterator[MeasuredRow]:
    """Measure how much there is of each marker whatever the region: cells over the whole window.

    Parameters
    ----------
    located : LocatedCells
        From `locate_cells`; no boundary is needed.

    Yields
    ------
    MeasuredRow
        Intensity of each marker in the region ``image``.
    """
    for marker, mask in located.is_marker.items():
        if marker == TUMOUR:
            continue
        if located.window is None:
            value, area = np.nan, 0.0
        else:
            area = located.window.area_mm2
            value = int(mask.sum()) / area
        why = located.reason if located.window is None else ""
        yield MeasuredRow(IMAGE, marker, "intensity", np.nan, value, area, why)


def measure_regions(located: LocatedCells, *, compartments: Compartments) -> Iterator[MeasuredRow]:
    """Measure amounts by region: intensity, fraction and entropy.

    Parameters
    ----------
    located : LocatedCells
        From `locate_cells`.
    compartments : Compartments
        Regions by distance to the boundary.

    Yields
    ------
    MeasuredRow
    """
    markers = [name for name in located.is_marker if name != TUMOUR]
    if located.boundary is None or located.reason:
        for region in compartments.names:
            yield from _missing_region(region, markers, located.reason)
        return
    windows = compartment_windows(located.boundary, compartments=compartments)
    assigned = np.asarray(assign_compartments(located.distance, compartments=compartments))
    for region, window in windows.items():
        if window is None:
            yield from _missing_region(region, markers, NO_REGION)
            continue
        held, area = assigned == region, window.area_mm2
        n_cells = int(held.sum())
        why = "" if n_cells else NO_CELLS
        for marker in markers:
            count = int((held & located.is_marker[marker]).sum())
            share = count / n_cells if n_cells else np.nan
            yield MeasuredRow(region, marker, "intensity", np.nan, count / area, area, "")
            yield MeasuredRow(region, marker, "fraction", np.nan, share, float(n_cells), why)
        _, counts = np.unique(located.labels[held], return_counts=True)
        entropy = float(shannon_entropy(counts)) if n_cells else np.nan
        yield MeasuredRow(region, COMPOSITION, "entropy", np.nan, entropy, float(n_cells), why)


def _missing_region(region: str, markers: list[str], why: str) -> Iterator[MeasuredRow]:
    for marker in markers:
        for statistic in ("intensity", "fraction"):
            yield MeasuredRow(region, marker, statistic, np.nan, np.nan, 0.0, why)
    yield MeasuredRow(region, COMPOSITION, "entropy", np.nan, np.nan, 0.0, why)
