"""One measured value of an image, and the table of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from times_stats.tables.cells import ImageCells

IMAGE = "image"  # the region of what is measured over the whole image
COMPOSITION, AGGREGATES = "composition", "aggregates"  # markers of what concerns all cells
RESERVED = (IMAGE, COMPOSITION, AGGREGATES)  # no marker may have these names
STATISTICS: dict[str, str] = {
    "intensity": "cells per mm2 of the region; images weigh by area",
    "fraction": "share of the region's cells; images weigh by cells",
    "entropy": "Shannon entropy of the cell types in the region, nats; images weigh by cells",
    "l_tumour": "cross L from the marker to tumour cells minus r, um; images weigh by cells",
    "l_self": "Besag's L of the marker minus r, um; images weigh by cells",
    "g_tumour": "share of the marker's cells with a tumour cell within r; images weigh by cells",
    "gradient": (
        "log intensity per 100 um outwards from the boundary; images weigh by the information of "
        "the slope, one over its squared standard error"
    ),
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


class MeasuredRow(NamedTuple):
    """One value measured of an image.

    Attributes
    ----------
    region, marker, statistic : str
        What was measured where.
    r : float
        Distance, micrometres; NaN for what is no function of distance.
    value : float
        NaN where it is missing.
    information : float
        Weight of the image when a patient's images are pooled.
    reason : str
        Why the value is missing; ``""`` where it is not.
    """

    region: str
    marker: str
    statistic: str
    r: float
    value: float
    information: float
    reason: str


def as_table(cells: ImageCells, rows: Iterable[MeasuredRow]) -> pd.DataFrame:
    """Return measured rows as a table with the names of patient and image.

    Parameters
    ----------
    cells : ImageCells
        The image measured.
    rows : iterable of MeasuredRow
        What was measured.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`.
    """
    table = pd.DataFrame(list(rows), columns=COLUMNS[2:])
    table.insert(0, "patient_id", cells.patient_id)
    table.insert(1, "image_id", cells.image_id)
    return table.astype(
        {
            **dict.fromkeys(("patient_id", "image_id", "region", "marker"), "str"),
            **dict.fromkeys(("statistic", "reason"), "str"),
            **dict.fromkeys(("r", "value", "information"), np.float64),
        }
    )
