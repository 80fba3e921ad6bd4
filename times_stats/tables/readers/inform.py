"""Cells exported from inForm (Akoya Biosciences).

``..._cell_seg_data.txt`` is tab-separated, one row per cell: ``Sample Name``, ``Slide ID``,
``Tissue Category``, ``Phenotype`` (or one ``Phenotype-<scheme>`` or ``Phenotype <marker>`` per
scheme), ``Cell ID``, ``Cell X Position``, ``Cell Y Position``, areas, and statistics of each stain
by compartment: ``Nucleus CD8 (Opal 520) Mean (Normalized Counts, Total Weighting)``. Positions are
in pixels unless a column of the file speaks of microns. Sources: ``read_cell_seg_data`` and the
vignette "Reading inForm tables" of phenoptr, Akoya's own reader
(https://akoyabio.github.io/phenoptr/reference/read_cell_seg_data.html), which also says that inForm
writes decimal commas in some locales: they are refused here with the remedy.

A single ``Phenotype`` is the cell type. Phenotypes in several columns become flags: ``CD8+`` sets
CD8; ``CD8-``, ``other`` and an empty field do not, as in Akoya's consolidated tables; empty fields
are counted. The region is ``Tissue Category``. Of the statistics the means are read:
``CD8 nucleus``, and ``CD8 cell`` for the entire cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from times_stats.tables.readers.cell_files import CellTable, Column
from times_stats.tables.readers.cell_layout import (
    CellLayout,
    Field,
    label_field,
    number_field,
    text_sql,
)
from times_stats.tables.readers.engine import quote_text

BLANK = "cells with an empty phenotype in a column of several, taken as negative"
_MEAN = re.compile(
    r"(?P<where>Nucleus|Cytoplasm|Membrane|Entire Cell) (?P<marker>.+?)(?: \((?P<dye>[^()]*)\))? "
    r"Mean(?: \(.*\))?"
)
_WHERE = {
    "Nucleus": "nucleus",
    "Cytoplasm": "cytoplasm",
    "Membrane": "membrane",
    "Entire Cell": "cell",
}


def lay_out_inform(
    table: CellTable, *, pixel_size: float | None, distinct: Callable[[Column], list[str]]
) -> CellLayout:
    """Find the canonical columns of an inForm export.

    Parameters
    ----------
    table : CellTable
        Headers.
    pixel_size : float or None
        Micrometres per pixel.
    distinct : callable
        Returns the values of a column.

    Returns
    -------
    CellLayout
        Without patients; map ``Slide ID`` to ``patient_id`` where it is one.

    Examples
    --------
    >>> names = ("Sample Name", "Tissue Category", "Phenotype", "Cell X Position",
    ...          "Cell Y Position", "Nucleus Area (pixels)", "Nucleus CD8 (Opal 520) Mean")
    >>> columns = tuple(Column(name, f"k{i}", "text") for i, name in enumerate(names))
    >>> layout = lay_out_inform(CellTable(columns, ()), pixel_size=0.5, distinct=lambda _: [])
    >>> list(layout.intensity), layout.unit
    (['CD8 nucleus'], 'pixel')
    """
    by_name = {column.name: column for column in table.columns}
    image = by_name.get("Sample Name", by_name.get("Annotation ID"))
    region = by_name.get("Tissue Category")
    single = by_name.get("Phenotype")
    schemes = [column for column in table.columns if re.fullmatch(r"Phenotype[ -].+", column.name)]
    counted = {}
    if schemes:
        counted = {BLANK: " OR ".join(f"{text_sql(column)} IS NULL" for column in schemes)}
    scale = pixel_size or 1.0
    x, y = by_name.get("Cell X Position"), by_name.get("Cell Y Position")
    said = " ".join(by_name).lower()
    unit = "micrometre" if "micron" in said else "pixel" if "pixel" in said else "unknown"
    return CellLayout(
        image_id=label_field(image) if image else None,
        x=number_field(x, scale=scale) if x else None,
        y=number_field(y, scale=scale) if y else None,
        cell_type=label_field(single) if single else None,
        region=label_field(region) if region else None,
        positive=_flags({column: distinct(column) for column in schemes}),
        intensity=_means(table),
        counted=counted,
        unit=unit,
    )


def _flags(schemes: dict[Column, list[str]]) -> dict[str, Field]:
    """Return one flag per phenotype that any scheme names, set where a scheme says so."""
    names: dict[str, None] = {}
    for values in schemes.values():
        for value in values:
            if value.lower() not in ("other", "other+", "other-"):
                names.setdefault(value.removesuffix("+").removesuffix("-"))
    found = {}
    for name in sorted(names):
        positive = f"({quote_text(name)}, {quote_text(f'{name}+')})"
        tests = [f"coalesce({text_sql(column)} IN {positive}, false)" for column in schemes]
        columns = tuple(
            column.name
            for column, values in schemes.items()
            if {name, f"{name}+", f"{name}-"} & set(values)
        )
        found[name] = Field("(" + " OR ".join(tests) + ")", columns)
    return found


def _means(table: CellTable) -> dict[str, Field]:
    matches = [(_MEAN.fullmatch(column.name), column) for column in table.columns]
    dyes: dict[str, set[str | None]] = {}
    for match, _ in matches:
        if match:
            dyes.setdefault(match["marker"], set()).add(match["dye"])
    found: dict[str, Field] = {}
    for match, column in matches:
        if match:
            marker = match["marker"]
            if len(dyes[marker]) > 1 and match["dye"]:
                marker = f"{marker} ({match['dye']})"
            found.setdefault(f"{marker} {_WHERE[match['where']]}", number_field(column))
    return found
