"""Cells in canonical columns, or in columns that a mapping names.

``patient_id``, ``image_id``, ``x``, ``y``, ``cell_type``, ``region``; a column ``CD8_positive`` is
the flag of the marker CD8, and a column ``CD8`` beside it its staining. Stainings without a flag
are named in ``markers`` or in the mapping, so that no stray column (an age, a cell number) is taken
for one. Any other column is left unread.
"""

from __future__ import annotations

from times_stats.tables.readers.cell_files import CellTable
from times_stats.tables.readers.cell_layout import (
    CellLayout,
    flag_field,
    label_field,
    number_field,
)

FIXED = ("patient_id", "image_id", "x", "y", "cell_type", "region")
FLAG = "_positive"


def lay_out_generic(table: CellTable, *, pixel_size: float | None) -> CellLayout:
    """Find the canonical columns of a table.

    Parameters
    ----------
    table : CellTable
        Headers.
    pixel_size : float or None
        Micrometres per pixel, where the positions are in pixels.

    Returns
    -------
    CellLayout
        Positions are taken as micrometres unless a pixel size is given.

    Examples
    --------
    >>> from times_stats.tables.readers.cell_files import Column
    >>> names = ("image_id", "x", "y", "CD8_positive", "CD8", "age")
    >>> columns = tuple(Column(name, f"k{i}", "real") for i, name in enumerate(names))
    >>> list(lay_out_generic(CellTable(columns, ()), pixel_size=None).intensity)
    ['CD8']
    """
    by_name = {column.name: column for column in table.columns}
    labels = {name: label_field(by_name[name]) for name in FIXED if name in by_name}
    scale = pixel_size or 1.0
    numbers = {name: number_field(by_name[name], scale=scale) for name in "xy" if name in by_name}
    flagged = [name.removesuffix(FLAG) for name in by_name if name.endswith(FLAG)]
    return CellLayout(
        patient_id=labels.get("patient_id"),
        image_id=labels.get("image_id"),
        x=numbers.get("x"),
        y=numbers.get("y"),
        cell_type=labels.get("cell_type"),
        region=labels.get("region"),
        positive={name: flag_field(by_name[f"{name}{FLAG}"]) for name in flagged if name},
        intensity={name: number_field(by_name[name]) for name in flagged if name in by_name},
        unit="micrometre" if pixel_size is None else "pixel",
    )
