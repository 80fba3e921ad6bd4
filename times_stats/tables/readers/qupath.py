"""Measurements of cells exported from QuPath.

The measurement exporter writes a tab- or comma-separated table with one row per object and the
columns ``Image``, ``Object ID``, ``Object type``, ``Name``, ``Classification`` (``Class`` in older
versions), ``Parent``, ``ROI``, ``Centroid X µm`` and ``Centroid Y µm``, or ``px`` where an image
has no pixel size, and then the measurements: ``Nucleus: CD8 mean`` of the built-in cell detection,
``CD8: Nucleus: Mean`` or ``CD8: Mean`` of the others. Sources: the tutorial "Exporting
measurements" (https://github.com/qupath/qupath-docs, docs/tutorials/exporting_measurements.md) and
``ObservableMeasurementTableData`` with the builders of its columns, in the source of QuPath
(https://github.com/qupath/qupath, qupath-gui-fx, package ``qupath.lib.gui.measure``).

A class of several parts, ``Tumor: CD8: PD1``, is kept as the cell type, and every part but
``Negative`` becomes a flag. Objects that are neither cells nor detections (annotations, tiles,
cores) are left out and counted. Of the measurements the means are read: ``CD8 nucleus``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from times_stats.tables.readers.cell_files import CellTable, Column
from times_stats.tables.readers.cell_layout import (
    CellLayout,
    Field,
    first_field,
    label_field,
    number_field,
    text_sql,
)
from times_stats.tables.readers.engine import quote_text

NOT_CELLS = "objects that are no cells, left out"
_CELLS = ("cell", "detection", "pathcellobject", "pathdetectionobject")
_MEANS = (
    re.compile(r"(?P<where>nucleus|cytoplasm|membrane|cell): (?P<marker>.+) mean", re.IGNORECASE),
    re.compile(r"(?P<marker>.+): (?P<where>nucleus|cytoplasm|membrane|cell): mean", re.IGNORECASE),
    re.compile(r"(?P<marker>[^:]+): mean", re.IGNORECASE),
)


def lay_out_qupath(
    table: CellTable, *, pixel_size: float | None, distinct: Callable[[Column], list[str]]
) -> CellLayout:
    """Find the canonical columns of a QuPath export.

    Parameters
    ----------
    table : CellTable
        Headers.
    pixel_size : float or None
        Micrometres per pixel of the images that have none in QuPath.
    distinct : callable
        Returns the values of a column.

    Returns
    -------
    CellLayout
        Without patients, which QuPath does not know, and without regions: map ``Parent`` or
        ``TMA core`` to ``region`` where they are.

    Examples
    --------
    >>> names = ("Image", "Object type", "Classification", "Centroid X µm", "Centroid Y µm",
    ...          "Nucleus: CD8 mean")
    >>> columns = tuple(Column(name, f"k{i}", "text") for i, name in enumerate(names))
    >>> layout = lay_out_qupath(CellTable(columns, ()), pixel_size=None,
    ...                         distinct=lambda column: ["Tumor", "Tumor: CD8"])
    >>> list(layout.positive), list(layout.intensity), layout.unit
    (['CD8', 'Tumor'], ['CD8 nucleus'], 'micrometre')
    """
    by_name = {_plain(column.name): column for column in table.columns}
    image = by_name.get("image")
    kind = by_name.get("object type")
    classes = by_name.get("classification", by_name.get("class"))
    rows, counted = "true", {}
    if kind is not None:
        listed = ", ".join(map(quote_text, _CELLS))
        rows = f"coalesce(lower({text_sql(kind)}) IN ({listed}), false)"
        counted = {NOT_CELLS: f"NOT {rows}"}
    x, y, unit = _centroids(by_name, pixel_size)
    return CellLayout(
        image_id=label_field(image) if image else None,
        x=x,
        y=y,
        cell_type=label_field(classes) if classes else None,
        positive=_parts(classes, distinct(classes)) if classes else {},
        intensity=_means(table),
        rows=rows,
        counted=counted,
        unit=unit,
    )


def _plain(name: str) -> str:
    """Return a name in lower case, with one kind of mu."""
    return unicodedata.normalize("NFKC", name).casefold().replace("\u03bcm", "um")


def _centroids(
    by_name: dict[str, Column], pixel_size: float | None
) -> tuple[Field | None, Field | None, str]:
    found: list[Field | None] = []
    unit = "micrometre"
    for axis in "xy":
        micrometres = by_name.get(f"centroid {axis} um")
        pixels = by_name.get(f"centroid {axis} px")
        parts = [number_field(micrometres)] if micrometres else []
        if pixels and (pixel_size is not None or not micrometres):
            parts.append(number_field(pixels, scale=pixel_size or 1.0))
            unit = "pixel"
        found.append(first_field(*parts) if parts else None)
    return found[0], found[1], unit


def _parts(classes: Column, values: list[str]) -> dict[str, Field]:
    names = sorted({part for value in values for part in value.split(": ")} - {"Negative", ""})
    text = f"coalesce({text_sql(classes)}, '')"
    return {
        name: Field(
            f"list_contains(string_split({text}, ': '), {quote_text(name)})", (classes.name,)
        )
        for name in names
    }


def _means(table: CellTable) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for column in table.columns:
        match = next((m for m in (shape.fullmatch(column.name) for shape in _MEANS) if m), None)
        if match:
            where = match.groupdict().get("where")
            name = match["marker"] + (f" {where.lower()}" if where else "")
            found.setdefault(name, number_field(column))
    return found
