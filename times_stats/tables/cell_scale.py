"""Whether positions can be micrometres: the size of the images and the distances between cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray
from times_stats.tables.cell_tallies import Tally

LARGEST_UM = 50_000.0  # a glass slide is 25 by 75 mm: no image of tissue is wider than 5 cm
ABSURD_UM = 500_000.0  # nothing on a slide is that wide: another unit, or a stray position
NEAREST_UM = 1.0  # centres of cells are several micrometres apart
_IMAGES_MEASURED = 5
_CELLS_MEASURED = 50_000


def choose_images(images: pd.DataFrame) -> BoolArray:
    """Choose the images in which distances are measured: five, spread over the table.

    Parameters
    ----------
    images : DataFrame
        ``n_cells``.

    Returns
    -------
    ndarray of bool
        Five of the images with two cells or more, or all of them.

    Examples
    --------
    >>> choose_images(pd.DataFrame({"n_cells": [9, 1, 9]}))
    array([ True, False,  True])
    """
    several = np.flatnonzero(images["n_cells"] > 1)
    chosen = np.zeros(len(images), dtype=bool)
    if len(several):
        spread = np.linspace(0, len(several) - 1, min(_IMAGES_MEASURED, len(several)))
        chosen[several[spread.astype(int)]] = True
    return chosen


def median_nearest(x: FloatArray, y: FloatArray) -> float:
    """Return the median distance of a cell to its nearest neighbour.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        Positions; where there are more than 50,000 cells, those of lowest x are measured.

    Returns
    -------
    float
        NaN where there are fewer than two cells.

    Examples
    --------
    >>> median_nearest(np.array([0.0, 3.0, 9.0]), np.array([0.0, 4.0, 4.0]))
    5.0
    """
    if len(x) < 2:
        return float("nan")
    first = np.lexsort([y, x])[:_CELLS_MEASURED]
    points = np.column_stack([x, y])[first]
    distance, _ = cKDTree(points).query(points, k=2)
    return float(np.median(distance[:, 1]))


def check_scale(images: pd.DataFrame, *, faults: Faults, tally: Tally, cautions: list[str]) -> None:
    """Record images that are too large, or whose cells are too close, for micrometres.

    Parameters
    ----------
    images : DataFrame
        ``patient_id``, ``image_id``, ``n_cells``, ``width``, ``height`` and ``nearest``, the
        median distance to the nearest cell, NaN where it was not measured.
    faults : Faults
        Collects images too large to be measured at all.
    tally : Tally
        Counts what was found.
    cautions : list of str
        Collects what to warn of.
    """
    extent = images[["width", "height"]].max(axis=1)
    absurd = images[(extent > ABSURD_UM) & np.isfinite(extent)]  # infinite: a fault of its own
    if len(absurd):
        faults.add(
            f"image {name_rows(absurd['image_id'])} is wider than 50 cm: positions must be in "
            "micrometres, and none astray; check pixel_size and the outermost cells"
        )
        return
    large = images[extent > LARGEST_UM]
    if len(large):
        first = large.iloc[0]
        tally.add_images("cells of images wider than 5 cm", large, counted="n_cells")
        cautions.append(
            f"image {name_rows(large['image_id'])} is wider than 5 cm ({first['image_id']}: "
            f"{first['width'] / 1e4:.3g} x {first['height'] / 1e4:.3g} cm): positions must be in "
            "micrometres, check pixel_size"
        )
    close = images[images["nearest"] < NEAREST_UM]
    if len(close):
        tally.add_images("cells of images with cells nearer than 1 um", close, counted="n_cells")
        cautions.append(
            f"half of the cells of image {name_rows(close['image_id'])} are nearer than 1 "
            "micrometre to another: positions must be in micrometres, check pixel_size"
        )
