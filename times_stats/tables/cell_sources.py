"""Where cells come from: a description of files and columns, and the queries that read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from times_stats.tables.readers.cell_files import IN_MEMORY, CellTable
from times_stats.tables.readers.cell_layout import CellLayout, Field
from times_stats.tables.readers.engine import open_engine

_PATIENTS = "image_patients"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CellSource:
    """Files of cells and how to read them; made by `open_cells` and `cells_from_frame`.

    Attributes
    ----------
    files : tuple of str
        Paths; empty for a table in memory.
    format : str
        ``generic``, ``qupath``, ``halo``, ``inform`` or ``anndata``.
    table : CellTable
        Columns of the files that are read.
    layout : CellLayout
        Where each canonical column is found.
    pixel_size : float or None
        Micrometres per pixel, where the file has pixels.
    patients : tuple of (str, str) or None
        Image and its patient, where a table of images says so.
    duplicates : str
        What becomes of exact duplicates: ``error``, ``drop`` or ``keep``.
    memory_mb : int
        Megabytes that sorting and grouping may hold.
    frame : pyarrow.Table or None
        The cells, for a table in memory only.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> open_cells(lung_vectra_folder() / "cells.parquet")
    <CellSource: generic, 1 file, no flag, no staining>
    """

    files: tuple[str, ...]
    format: str
    table: CellTable
    layout: CellLayout
    pixel_size: float | None
    patients: tuple[tuple[str, str], ...] | None
    duplicates: str
    memory_mb: int
    frame: pa.Table | None

    def __repr__(self) -> str:
        where = f"{len(self.files)} file{'s' * (len(self.files) != 1)}" if self.files else "a frame"
        flags, stains = len(self.layout.positive), len(self.layout.intensity)
        return (
            f"<CellSource: {self.format}, {where}, {flags or 'no'} flag{'s' * (flags > 1)}, "
            f"{stains or 'no'} staining{'s' * (stains > 1)}>"
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """Markers with a flag."""
        return tuple(self.layout.positive)

    @property
    def stainings(self) -> tuple[str, ...]:
        """Markers, or markers and compartments, with a staining."""
        return tuple(self.layout.intensity)


@contextmanager
def connected(source: CellSource) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine that knows the tables of a source.

    Parameters
    ----------
    source : CellSource
        Cells.

    Yields
    ------
    DuckDBPyConnection
    """
    with open_engine(memory_mb=source.memory_mb) as engine:
        if source.frame is not None:
            width = source.frame.num_columns
            engine.register(IN_MEMORY, source.frame.rename_columns([f"c{i}" for i in range(width)]))
        if source.patients is not None:
            images, patients = zip(*source.patients, strict=True) if source.patients else ((), ())
            engine.register(
                _PATIENTS,
                pa.table(
                    {
                        "image": pa.array(images, pa.string()),
                        "patient": pa.array(patients, pa.string()),
                    }
                ),
            )
        yield engine


def rows_query(source: CellSource, *, extra: Mapping[str, str] | None = None) -> str:
    """Return the query of the rows of a source in canonical columns, nothing dropped but no cells.

    Parameters
    ----------
    source : CellSource
        Cells.
    extra : mapping of str to str, optional
        Further columns: name, expression over the columns of the file.

    Returns
    -------
    str
        Gives ``patient_id, image_id, x, y, cell_type, region``, flags ``f0, f1, ...``, stainings
        ``m0, m1, ...`` and the extra columns.
    """
    layout = source.layout

    def sql(found: Field | None) -> str:
        return "CAST(NULL AS VARCHAR)" if found is None else found.sql

    chosen = {
        "image_id": sql(layout.image_id),
        "x": sql(layout.x),
        "y": sql(layout.y),
        "cell_type": sql(layout.cell_type),
        "region": sql(layout.region),
    }
    chosen |= {f"f{i}": flag.sql for i, flag in enumerate(layout.positive.values())}
    chosen |= {f"m{i}": stain.sql for i, stain in enumerate(layout.intensity.values())}
    chosen |= dict(extra or {})
    listed = ", ".join(f"{value} AS {name}" for name, value in chosen.items())
    where = f"FROM ({source.table.query()}) WHERE {layout.rows}"
    if source.patients is None:
        return f"SELECT {sql(layout.patient_id)} AS patient_id, {listed} {where}"
    return (
        f"SELECT p.patient AS patient_id, c.* FROM (SELECT {listed} {where}) c "
        f"LEFT JOIN {_PATIENTS} p ON c.image_id = p.image"
    )


def cells_query(source: CellSource) -> str:
    """Return the query of the cells of a source, one of each duplicate where they are dropped.

    Parameters
    ----------
    source : CellSource
        Cells.

    Returns
    -------
    str
        Columns as in `rows_query`. Of duplicates, which agree in position, type and flags, the
        one that comes first in region and stainings is kept, so that the order of rows does not
        matter.
    """
    rows = rows_query(source)
    if source.duplicates != "drop":
        return rows
    layout = source.layout
    flags = [f"f{i}" for i in range(len(layout.positive))]
    rest = ["region", *(f"m{i}" for i in range(len(layout.intensity)))]
    packed = ", ".join(f"{name} := {name}" for name in rest)
    unpacked = ", ".join(f"rest.{name} AS {name}" for name in rest)
    keys = ", ".join(["patient_id", "image_id", "x", "y", "cell_type", *flags])
    return (
        f"SELECT {keys}, {unpacked} FROM "
        f"(SELECT {keys}, min(struct_pack({packed})) AS rest FROM ({rows}) GROUP BY ALL)"
    )
