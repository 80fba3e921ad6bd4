"""Pictures of cells: one image with its regions, amounts by region, functions of distance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import FuncFormatter

from times_stats._checks import Faults, nearest_hint
from times_stats.errors import InputError
from times_stats.features.located_cells import LocatedCells
from times_stats.plots.labels import plain_text
from times_stats.plots.style import (
    GRID,
    INK,
    MUTED,
    figure_style,
    new_figure,
    require_columns,
)
from times_stats.regions.compartments import Compartments, compartment_windows

MARKER_COLOURS = ("#0072B2", "#D55E00", "#B5558C", "#007F5F", "#A87900", "#332288", "#6B6B6B")
"""Colours of markers, in the order of their names."""

_REGION_COLOURS = {
    "tumour_centre": "#E7E1D5",
    "invasive_front": "#F6DFA4",
    "peritumour": "#DCE7F2",
    "adjacent": "#F1F4F7",
}
_MOST_MARKERS = len(MARKER_COLOURS)


def plot_tissue(
    located: LocatedCells, *, compartments: Compartments, markers: tuple[str, ...] | None = None
) -> Figure:
    """Draw the cells of an image over its regions, with the tumour's boundary.

    Parameters
    ----------
    located : LocatedCells
        Cells of one image inside its window, from `locate_cells`.
    compartments : Compartments
        Regions by distance to the boundary.
    markers : tuple of str, optional
        Markers drawn; all, if left out. Colours tell seven apart: the legend says how many more are
        not drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the image has no window, or a marker was not measured.

    Examples
    --------
    >>> from times_stats.datasets import lung_vectra_folder
    >>> from times_stats.features import CellPlan, locate_cells
    >>> from times_stats.tables import open_cells, read_image
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet")
    >>> cells = read_image(source, patient_id="142", image_id="142_3")
    >>> plan = CellPlan(tumour=("CK",), compartments=Compartments((-20, 20), None))
    >>> figure = plot_tissue(locate_cells(cells, plan=plan), compartments=plan.compartments)
    >>> figure.axes[0].get_xlabel()
    'Micrometres'
    """
    if located.window is None or located.boundary is None:
        raise InputError(f"the image has no window ({located.reason}): draw another one")
    chosen = _chosen(markers, [name for name in located.is_marker if name])
    x0, y0, x1, y1 = located.window.bounds
    ratio = (y1 - y0) / max(x1 - x0, 1.0)
    with figure_style():
        figure = new_figure(width=6.4, height=1.4 + 5.4 * float(np.clip(ratio, 0.3, 2.0)))
        axes = figure.subplots()
        windows = compartment_windows(located.boundary, compartments=compartments)
        for name, window in windows.items():
            if window is not None:
                colour = _REGION_COLOURS.get(name, GRID)
                axes.add_patch(_patch(window.geometry, facecolor=colour, edgecolor="none"))
                axes.plot([], [], "s", color=colour, markersize=8, label=name.replace("_", " "))
        axes.add_patch(_patch(located.window.geometry, facecolor="none", edgecolor=MUTED))
        tumour = located.is_marker[""]
        drawn = [("tumour cells", tumour, "#B9B2A3", 3.0)]
        drawn += [
            (plain_text(name), located.is_marker[name] & ~tumour, colour, 7.0)
            for name, colour in zip(chosen[:_MOST_MARKERS], MARKER_COLOURS, strict=False)
        ]
        for label, mask, colour, size in drawn:
            points = located.points[mask]
            axes.scatter(
                points[:, 0], points[:, 1], s=size, c=colour, linewidths=0, rasterized=True
            )
            axes.plot([], [], ".", color=colour, markersize=8, label=f"{label} ({len(points)})")
        if len(chosen) > _MOST_MARKERS:
            rest = f"{len(chosen) - _MOST_MARKERS} more, not drawn"
            axes.plot([], [], " ", label=rest)
        for line in shapely.get_parts(located.boundary.lines):
            xy = shapely.get_coordinates(line)
            axes.plot(xy[:, 0], xy[:, 1], color=INK, linewidth=1.2)
        axes.set_aspect("equal")
        axes.set_xlim(x0, x1)
        axes.set_ylim(y0, y1)
        axes.set_xlabel("Micrometres")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.3)
    return figure


def _chosen(markers: tuple[str, ...] | None, known: list[str]) -> list[str]:
    if markers is None:
        return known
    faults = Faults()
    for name in markers:
        if name not in known:
            hint = nearest_hint(name, known)
            faults.add(f"markers names {name!r}, which was not measured{hint}: correct it")
    faults.raise_if_any()
    return list(markers)


def _patch(geometry: shapely.Geometry, *, facecolor: str, edgecolor: str) -> PathPatch:
    vertices, codes = [], []
    for part in shapely.get_parts(geometry):
        for ring in (part.exterior, *part.interiors):
            xy = shapely.get_coordinates(ring)
            vertices.append(xy)
            steps = np.full(len(xy), Outline.LINETO, dtype=np.uint8)
            steps[0], steps[-1] = Outline.MOVETO, Outline.CLOSEPOLY
            codes.append(steps)
    outline = Outline(np.concatenate(vertices), np.concatenate(codes))
    return PathPatch(outline, facecolor=facecolor, edgecolor=edgecolor, linewidth=0.8)


def plot_regional_amounts(patients: pd.DataFrame, *, regions: tuple[str, ...]) -> Figure:
    """Draw the intensity of each marker in each region: median and quartiles over patients.

    Parameters
    ----------
    patients : DataFrame
        ``patients`` of `CellMeasures`.
    regions : tuple of str
        Regions, from the inside of the tumour outwards.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        A column is missing or there is no intensity.

    Examples
    --------
    >>> table = pd.DataFrame({"marker": "CD8", "region": ["x", "x"], "statistic": "intensity",
    ...                       "value": [10.0, 30.0]})
    >>> plot_regional_amounts(table, regions=("x",)).axes[0].get_xlabel()
    'Cells per mm2 of the region (median, quartiles)'
    """
    require_columns(patients, ["marker", "region", "statistic", "value"], name="patients")
    rows = patients[patients["statistic"] == "intensity"].dropna(subset=["value"])
    if rows.empty:
        raise InputError("patients: no intensity; measure cells first")
    markers = sorted(rows["marker"].unique())
    names, y = [], 0.0
    with figure_style():
        figure = new_figure(height=0.9 + 0.26 * len(markers) * len(regions) + 0.12 * len(markers))
        axes = figure.subplots()
        ticks = []
        for k, marker in enumerate(markers):
            colour = MARKER_COLOURS[k % _MOST_MARKERS]
            for region in regions:
                part = rows[(rows["marker"] == marker) & (rows["region"] == region)]["value"]
                low, middle, high = (
                    part.quantile([0.25, 0.5, 0.75]) if len(part) else (np.nan, np.nan, np.nan)
                )
                axes.plot([low, high], [y, y], color=colour, linewidth=3, solid_capstyle="butt")
                axes.plot([middle], [y], "o", color=colour, markersize=6)
                names.append(f"{plain_text(marker)}, {region.replace('_', ' ')}")
                ticks.append(y)
                y += 1.0
            y += 0.5
        axes.set_yticks(ticks, names)
        axes.set_ylim(y - 0.9, -0.8)
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.grid(axis="x", color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_xlabel("Cells per mm2 of the region (median, quartiles)")
    return figure


def plot_functions(patients: pd.DataFrame, *, statistic: str, label: str) -> Figure:
    """Draw a function of distance for each marker: median and quartiles over patients.

    Parameters
    ----------
    patients : DataFrame
        ``patients`` of `CellMeasures`.
    statistic : str
        Such as ``l_tumour``.
    label : str
        What it is, for the axis.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        A column is missing or no patient has the function.

    Examples
    --------
    >>> table = pd.DataFrame({"marker": "CD8", "statistic": "l_self", "r": [10.0, 20.0],
    ...                       "value": [3.0, 4.0]})
    >>> plot_functions(table, statistic="l_self", label="L(r) - r").axes[0].get_xlabel()
    'Distance r, micrometres'
    """
    require_columns(patients, ["marker", "statistic", "r", "value"], name="patients")
    rows = patients[patients["statistic"] == statistic].dropna(subset=["value"])
    if rows.empty:
        raise InputError(f"patients: no value of {statistic!r}; name a function that was measured")
    with figure_style():
        figure = new_figure(height=3.4)
        axes = figure.subplots()
        axes.axhline(0, color=MUTED, linewidth=0.9)
        n_markers = rows["marker"].nunique()
        step = np.diff(np.unique(rows["r"])).min(initial=np.inf)
        step = 0.14 * (step if np.isfinite(step) else 1.0)
        for k, (marker, part) in enumerate(rows.groupby("marker", sort=True)):
            colour = MARKER_COLOURS[k % _MOST_MARKERS]
            by_distance = part.groupby("r")["value"]
            low, middle, high = (by_distance.quantile(q) for q in (0.25, 0.5, 0.75))
            r = middle.index.to_numpy() + step * (k - (n_markers - 1) / 2)
            axes.vlines(r, low, high, color=colour, linewidth=1.2)
            axes.plot(r, middle, "o-", color=colour, markersize=4.5, label=plain_text(marker))
        axes.set_xticks(np.unique(rows["r"]))
        axes.grid(color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_xlabel("Distance r, micrometres")
        axes.set_ylabel(label)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.3)
    return figure
