"""Where the cells of an image lie: its window, the tumour's boundary, the distance to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from times_stats._checks import check_points, name_rows
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.features.cell_plan import CellPlan
from times_stats.regions.boundary import (
    ALL_TUMOUR,
    NO_TUMOUR_CELL,
    TumourBoundary,
    signed_distance,
    tumour_boundary,
)
from times_stats.regions.given_boundary import boundary_from_annotation, boundary_from_labels
from times_stats.regions.tissue import bounding_rectangle, tissue_window
from times_stats.regions.window import Window
from times_stats.tables.cell_faults import find_outside
from times_stats.tables.cells import ImageCells

TUMOUR = ""  # key of the tumour cells among the markers; no marker has an empty name
NO_WINDOW = "too few cells to see the tissue"
NO_ANNOTATION = "the image has no annotation"
_IN_LABELS = {
    NO_TUMOUR_CELL: "no cell is labelled as tumour",
    ALL_TUMOUR: "every cell is labelled as tumour",
}
_FEW = 10  # places below which no window can be drawn around the cells
_MOST_OUTSIDE = 0.5  # share of an image's cells that may lie outside a window that was given


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
        Observed area; None where it cannot be drawn.
    boundary : TumourBoundary or None
        The tumour's boundary; None without a window.
    distance : ndarray of shape (n,)
        Signed distance to it, micrometres; NaN where there is none.
    reason : str
        Why there is no window or no boundary; ``""`` where there are both.
    """

    cells: ImageCells
    points: FloatArray
    is_marker: dict[str, BoolArray]
    labels: np.ndarray
    window: Window | None
    boundary: TumourBoundary | None
    distance: FloatArray
    reason: str


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
    cells : ImageCells
        Cells of the image, with their types.
    plan : CellPlan
        What is measured, and how regions are drawn.
    window : Window, optional
        Observed area; cells outside it are left out. By default as `plan` says.
    annotation : Window, optional
        The tumour as drawn, for ``source="annotation"``; without one the image has no boundary.

    Returns
    -------
    LocatedCells

    Raises
    ------
    InputError
        If the boundary is that of the region column and the cells have none; if most cells lie
        outside the window given; if a marker is a flag that some cells of the type of that name
        do not have.
    """
    check_points(cells.points, name=f"points of image {cells.image_id}")
    is_marker = _is_marker(cells, plan)
    labels = np.full(len(cells), "cell") if cells.cell_type is None else np.asarray(cells.cell_type)
    observed, reason = (window, "") if window is not None else _window(cells, plan)
    inside = np.zeros(len(cells), dtype=np.bool_)
    if observed is not None:
        outside, n_outside = find_outside(cells, window=observed)
        inside = ~outside
        if n_outside > _MOST_OUTSIDE * len(cells):
            raise InputError(
                f"image {cells.image_id} has {n_outside} of {len(cells)} cells outside its window: "
                "check the window, and the unit of its outline against that of the cells"
            )
    points = cells.points[inside]
    boundary, distance = None, np.full(len(points), np.nan)
    if observed is not None:
        boundary = _boundary(cells, is_marker[TUMOUR], observed, plan, annotation)
        distance, reason = signed_distance(points, boundary), boundary.reason
    return LocatedCells(
        cells=cells,
        points=points,
        is_marker={name: mask[inside] for name, mask in is_marker.items()},
        labels=labels[inside],
        window=observed,
        boundary=boundary,
        distance=distance,
        reason=reason,
    )


def _is_marker(cells: ImageCells, plan: CellPlan) -> dict[str, BoolArray]:
    labels = np.full(len(cells), "") if cells.cell_type is None else np.asarray(cells.cell_type)
    markers = plan.markers
    if markers is None:
        known = [*sorted(set(labels.tolist()) - {""}), *cells.positive.columns]
        markers = tuple(name for name in dict.fromkeys(known) if name not in plan.tumour)
    found = {TUMOUR: np.isin(labels, plan.tumour)}
    for marker in markers:
        of_type = labels == marker
        if marker not in cells.positive:
            found[marker] = of_type
            continue
        found[marker] = cells.positive[marker].to_numpy(dtype=np.bool_)
        bare = of_type & ~found[marker]
        if bare.any():
            raise InputError(
                f"{marker} is a type and a flag, and {int(bare.sum())} cells of the type in image "
                f"{name_rows([cells.image_id])} lack the flag: rename the type with cell_types"
            )
    return found


def _window(cells: ImageCells, plan: CellPlan) -> tuple[Window | None, str]:
    if len(np.unique(cells.points, axis=0)) < _FEW:
        return None, NO_WINDOW
    try:
        if plan.window == "rectangle":
            return bounding_rectangle(cells.points), ""
        return tissue_window(cells.points), ""
    except InputError as error:  # such as all cells on one line: the image says so
        return None, error.faults[0].partition(":")[0]


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
        found = boundary_from_labels(
            cells.points, cells.region, tumour=plan.tumour_regions, window=window
        )
        return replace(found, reason=_IN_LABELS.get(found.reason, found.reason))
    if annotation is None:
        found = tumour_boundary(np.empty((0, 2)), np.empty(0, dtype=np.bool_), window=window)
        return replace(found, reason=NO_ANNOTATION)
    return boundary_from_annotation(annotation, window=window)
