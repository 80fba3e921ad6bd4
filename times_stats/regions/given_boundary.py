"""The boundary of the tumour where it is given: by the region of each cell, by an annotation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike

from times_stats._checks import check_points
from times_stats.errors import InputError
from times_stats.regions.boundary import NOT_INSIDE, TumourBoundary, tumour_boundary
from times_stats.regions.contours import large_parts, visible_lines
from times_stats.regions.window import Window

_HALF = 0.5


def boundary_from_labels(
    points: ArrayLike,
    labels: ArrayLike,
    *,
    tumour: str | Iterable[str],
    window: Window,
    bandwidth: float | None = None,
    min_area: float | None = None,
    resolution: float | None = None,
) -> TumourBoundary:
    """Estimate the boundary of the tumour from a label of each cell's region.

    For cells of any type that a tissue classifier or a reader has placed in tumour or elsewhere:
    the contour at one half of the kernel fraction of cells labelled as tumour.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Positions of all cells, micrometres.
    labels : array-like of str of shape (n,)
        Region of each cell; cells without a label are left out and counted.
    tumour : str or iterable of str
        The labels that mean tumour.
    window : Window
        The observed area.
    bandwidth, min_area, resolution : float, optional
        As in `tumour_boundary`.

    Returns
    -------
    TumourBoundary
        Without a boundary, and with the reason, where it cannot be drawn.

    Raises
    ------
    InputError
        If points or labels are not valid, or an option is out of its range.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> cells = rng.uniform(0, 300, (500, 2))
    >>> region = np.where(cells[:, 0] < 150, "Tumor", "Stroma")
    >>> window = Window.rectangle(x=(0, 300), y=(0, 300))
    >>> found = boundary_from_labels(cells, region, tumour="Tumor", window=window)
    >>> bool(found.fraction_inside > 0.95), found.reason
    (True, '')
    """
    cells = check_points(points)
    regions = pd.Series(np.asarray(labels, dtype=object).ravel(), dtype=object)
    if len(regions) != len(cells):
        raise InputError(
            f"labels have {len(regions)} values and points {len(cells)}: give one of each per cell"
        )
    names = {tumour} if isinstance(tumour, str) else set(tumour)
    if not names:
        raise InputError("tumour names no label: name the labels that mean tumour")
    known = regions.notna().to_numpy()
    found = tumour_boundary(
        cells[known],
        regions[known].isin(names).to_numpy(),
        window=window,
        bandwidth=bandwidth,
        level=_HALF,
        min_area=min_area,
        resolution=resolution,
    )
    return replace(found, n_ignored=found.n_ignored + int((~known).sum()))


def boundary_from_annotation(
    tumour: Window, *, window: Window, frame_tolerance: float = 1.0
) -> TumourBoundary:
    """Take the boundary of the tumour from an annotation.

    Parameters
    ----------
    tumour : Window
        Area of the tumour, as drawn; ``Window.from_geojson`` reads the export of a viewer.
    window : Window
        The observed area.
    frame_tolerance : float
        Outline of the tumour that runs this close to the frame of the window, in micrometres, is
        taken as frame, not as boundary: annotations are drawn along the edge of the tissue by hand.

    Returns
    -------
    TumourBoundary
        Without a boundary, and with the reason, where no outline of the tumour lies inside the
        window.

    Raises
    ------
    InputError
        If the tolerance is negative or not finite.

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 100), y=(0, 100))
    >>> tumour = Window.rectangle(x=(0, 40), y=(0, 100))
    >>> round(boundary_from_annotation(tumour, window=window).lines.length, 3)
    100.0
    """
    if not (np.isfinite(frame_tolerance) and frame_tolerance >= 0):
        raise InputError(f"frame_tolerance is {frame_tolerance}: give micrometres from 0 on")
    area = large_parts(shapely.intersection(tumour.geometry, window.geometry), min_area=0.0)
    lines = visible_lines(area, window.geometry, tolerance=frame_tolerance)
    return TumourBoundary(
        tumour=area,
        lines=lines,
        window=window,
        bandwidth=math.nan,
        level=math.nan,
        fraction_inside=math.nan,
        fraction_outside=math.nan,
        n_cells=0,
        n_ignored=0,
        reason=NOT_INSIDE if lines.is_empty else "",
    )
