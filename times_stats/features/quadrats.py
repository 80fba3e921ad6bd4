"""Overlap of two cell types over the quadrats of a window: the index of Morisita and Horn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike

from times_stats._checks import Faults, check_points, name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.features.point_checks import check_positive
from times_stats.regions.window import Window

_MOST_QUADRATS = 4_000_000
_ROUNDING = 1e-9  # of a coverage


def morisita_horn(
    points_from: ArrayLike,
    points_to: ArrayLike,
    *,
    window: Window,
    side: float,
    min_coverage: float = 0.25,
) -> float:
    """Return how far two types of cells occupy the same quadrats of a window.

    Parameters
    ----------
    points_from, points_to : array-like of shape (n, 2) and (m, 2)
        Cell centres of each type, micrometres, inside the window.
    window : Window
        Observed area.
    side : float
        Side of the quadrats wished for, micrometres (see `tabulate_quadrats`).
    min_coverage : float
        Least share of a quadrat inside the window, from 0 to 1; quadrats below are left out with
        their cells.

    Returns
    -------
    float
        From 0 (no quadrat holds both types) to 1 (the same shares in all quadrats); NaN where a
        type has no cell in the quadrats kept, and where fewer than two are kept, of which the index
        is 1 wherever the cells sit.

    Raises
    ------
    InputError
        If points lie outside the window, the side is not positive, or the share not in 0 to 1.

    Notes
    -----
    `morisita_horn_index` of the counts, weighted by the area inside the window, which makes the
    index that of two densities that are constant in each quadrat: a quadrat cut by the outline is
    neither taken for a full one nor dropped. A sliver that holds one cell would be a very high
    density, hence `min_coverage`; `tabulate_quadrats` shows what is left out. The index depends on
    the side, and with few cells per quadrat it is low even where both types are scattered alike.
    Used on immune and cancer cells by Maley et al. (2015), doi:10.1186/s13058-015-0638-4.

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 200), y=(0, 100))
    >>> left, right = [(20, 50), (60, 50)], [(130, 50)]
    >>> morisita_horn(left, right, window=window, side=100)
    0.0
    >>> morisita_horn(left, left, window=window, side=100)
    1.0
    """
    if not 0 <= min_coverage <= 1:
        raise InputError(f"min_coverage is {min_coverage}: give a share from 0 to 1")
    table = tabulate_quadrats(points_from, points_to, window=window, side=side)
    kept = table[(table["coverage"] >= min_coverage - _ROUNDING) & (table["area"] > 0)]
    if len(kept) < 2:
        return float("nan")
    return morisita_horn_index(kept["n_from"], kept["n_to"], areas=kept["area"])


def morisita_horn_index(
    counts_from: ArrayLike, counts_to: ArrayLike, *, areas: ArrayLike | None = None
) -> float:
    r"""Return the Morisita-Horn overlap of two series of counts.

    Parameters
    ----------
    counts_from, counts_to : array-like of shape (n_quadrats,)
        Cells of each type per quadrat.
    areas : array-like of shape (n_quadrats,), optional
        Area of each quadrat, positive; equal if left out.

    Returns
    -------
    float
        0 to 1; NaN where all counts of a type are 0.

    Raises
    ------
    InputError
        If lengths differ, a count is negative or not finite, or an area is not positive.

    Notes
    -----
    .. math:: \frac{2 \sum_q x_q y_q / (A_q X Y)}
                   {\sum_q x_q^2 / (A_q X^2) + \sum_q y_q^2 / (A_q Y^2)}

    With equal areas it is the index of Horn (1966), doi:10.1086/282436: one minus
    ``vegdist(method = "horn")`` of the R package vegan, not its ``"morisita"``.

    Examples
    --------
    >>> morisita_horn_index([2, 0], [1, 1])
    0.6666666666666666
    >>> morisita_horn_index([0, 0], [1, 1])
    nan
    """
    faults = Faults()
    first = _check_counts(counts_from, "counts_from", faults)
    second = _check_counts(counts_to, "counts_to", faults)
    weight = np.ones_like(first) if areas is None else np.asarray(areas, dtype=np.float64)
    if not first.shape == second.shape == weight.shape:
        faults.add(
            f"counts_from, counts_to and areas have shapes {first.shape}, {second.shape} and "
            f"{weight.shape}: give one of each per quadrat"
        )
    if not (weight > 0).all():
        faults.add("areas are not all positive: leave quadrats without area out")
    faults.raise_if_any()
    if not first.any() or not second.any():
        return float("nan")
    p, q = first / first.sum(), second / second.sum()
    both = 2 * (p * q / weight).sum()
    return float(both / ((p**2 / weight).sum() + (q**2 / weight).sum()))


def tabulate_quadrats(
    points_from: ArrayLike, points_to: ArrayLike, *, window: Window, side: float
) -> pd.DataFrame:
    """Count two types of cells in the quadrats of a window.

    Parameters
    ----------
    points_from, points_to : array-like of shape (n, 2) and (m, 2)
        Cell centres of each type, micrometres, inside the window.
    window : Window
        Observed area.
    side : float
        Side of the quadrats wished for, micrometres. Each side of the box around the window is cut
        into the whole number of equal parts that comes nearest, so a rectangle has full quadrats
        only, and no quadrat depends on an origin.

    Returns
    -------
    DataFrame
        One row per quadrat that shares area with the window or holds a cell on its outline:
        ``x``, ``y`` (its lower left corner), ``area`` inside the window (square micrometres),
        ``coverage`` (the area over that of a whole quadrat), ``n_from``, ``n_to``.

    Raises
    ------
    InputError
        If points lie outside the window or the side is not positive.

    Notes
    -----
    A quadrat holds its lower and left sides, the last ones their upper and right sides too.

    Examples
    --------
    >>> window = Window.polygon([(0, 0), (100, 0), (0, 100)])
    >>> tabulate_quadrats([(10, 10)], [(60, 20)], window=window, side=50)
          x     y    area  coverage  n_from  n_to
    0   0.0   0.0  2500.0       1.0       1     0
    1   0.0  50.0  1250.0       0.5       0     0
    2  50.0   0.0  1250.0       0.5       0     1
    """
    length = check_positive(side, name="side", what="micrometres")
    faults = Faults()
    checked = []
    for name, points in (("points_from", points_from), ("points_to", points_to)):
        array = check_points(points, name=name)
        outside = np.flatnonzero(~window.contains(array))
        if outside.size:
            faults.add(
                f"{name} lie outside the window in row {name_rows(outside)}: leave them out, or "
                "correct the window"
            )
        checked.append(array)
    faults.raise_if_any()
    x0, y0, x1, y1 = window.bounds
    columns, rows = (max(1, round(extent / length)) for extent in (x1 - x0, y1 - y0))
    x, y = np.linspace(x0, x1, columns + 1), np.linspace(y0, y1, rows + 1)
    if columns * rows > _MOST_QUADRATS:
        raise InputError(
            f"side is {length:g} and the window {x1 - x0:g} x {y1 - y0:g}: that is more than "
            f"{_MOST_QUADRATS} quadrats, give a larger side"
        )
    counts = [np.histogram2d(p[:, 0], p[:, 1], bins=(x, y))[0].ravel() for p in checked]
    left, low = np.repeat(x[:-1], rows), np.tile(y[:-1], columns)
    full = (x1 - x0) / columns * ((y1 - y0) / rows)
    area = _areas_inside(window, x, y, full)
    table = pd.DataFrame(
        {
            "x": left,
            "y": low,
            "area": area,
            "coverage": np.minimum(area / full, 1.0),
            "n_from": counts[0].astype(np.int64),
            "n_to": counts[1].astype(np.int64),
        }
    )
    seen = (area > 0) | (table[["n_from", "n_to"]].sum(axis=1).to_numpy() > 0)
    return table[seen].reset_index(drop=True)


def _areas_inside(window: Window, x: FloatArray, y: FloatArray, full: float) -> FloatArray:
    """Area of each quadrat inside the window; only those the outline crosses are cut."""
    columns, rows = x.size - 1, y.size - 1
    area = np.full(columns * rows, full)
    if window.is_rectangle:
        return area
    boxes = shapely.box(
        np.repeat(x[:-1], rows),
        np.tile(y[:-1], columns),
        np.repeat(x[1:], rows),
        np.tile(y[1:], columns),
    )
    shapely.prepare(window.geometry)
    cut = ~shapely.contains(window.geometry, boxes)
    area[cut] = shapely.area(shapely.intersection(window.geometry, boxes[cut]))
    return area


def _check_counts(values: ArrayLike, name: str, faults: Faults) -> FloatArray:
    counts = np.asarray(values, dtype=np.float64)
    if counts.ndim != 1:
        faults.add(f"{name} have {counts.ndim} dimensions: give one count per quadrat")
    wrong = ~(np.isfinite(counts) & (counts >= 0))
    if wrong.any():
        faults.add(
            f"{name} are negative or not finite in row {name_rows(np.flatnonzero(wrong))}: count "
            "the cells again"
        )
    return counts
