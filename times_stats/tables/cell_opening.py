"""Opening cells: from a path or a table in memory to a checked description of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats.errors import InputError
from times_stats.tables.cell_sources import CellSource, connected
from times_stats.tables.cell_wishes import CellWishes, fulfil
from times_stats.tables.columns import as_labels
from times_stats.tables.readers.anndata import ENDING, read_anndata
from times_stats.tables.readers.cell_files import (
    ENDINGS,
    CellTable,
    Column,
    find_files,
    read_headers,
    table_in_memory,
)
from times_stats.tables.readers.cell_layout import CellLayout, expressions_of, text_sql
from times_stats.tables.readers.formats import read_table
from times_stats.tables.readers.generic import lay_out_generic
from times_stats.tables.readers.halo import lay_out_halo
from times_stats.tables.readers.inform import lay_out_inform
from times_stats.tables.readers.qupath import lay_out_qupath

MEMORY_MB = 200
FORMATS = ("generic", "qupath", "halo", "inform", "anndata")
_DUPLICATES = ("error", "drop", "keep")


def open_cells(
    path: str | Path | Sequence[str | Path],
    *,
    format: Literal["generic", "qupath", "halo", "inform", "anndata"] = "generic",
    columns: Mapping[str, str] | None = None,
    pixel_size: float | None = None,
    images: str | Path | pd.DataFrame | None = None,
    cell_types: Mapping[str, str] | None = None,
    regions: Mapping[str, str] | None = None,
    phenotypes: Mapping[str, Sequence[str]] | None = None,
    markers: Sequence[str] | None = None,
    duplicates: Literal["error", "drop", "keep"] = "error",
    memory_mb: int = MEMORY_MB,
) -> CellSource:
    """Open files of cells: read the headers, find the columns, load nothing.

    Parameters
    ----------
    path : path or sequence of path
        File, pattern (``exports/*.csv``), folder, or a list of them: csv, tsv or txt, gzipped or
        not, or Parquet; h5ad for AnnData.
    format : str
        Program that exported the file; see the module of that name in
        ``times_stats.tables.readers``.
    columns : mapping of str to str, optional
        Canonical name to the name in the file: ``patient_id``, ``image_id``, ``x``, ``y``,
        ``cell_type``, ``region``, ``CD8_positive`` for a flag, ``CD8`` for a staining. One column
        may serve twice: ``{"patient_id": "Image", "image_id": "Image"}``.
    pixel_size : float, optional
        Micrometres per pixel, where positions are in pixels.
    images : path or DataFrame, optional
        Table with ``image_id`` and ``patient_id``, where the cells do not name the patient.
    cell_types, regions : mapping of str to str, optional
        Name in the file to name in the study; ``""`` names what has none in the file.
    phenotypes : mapping of str to sequence of str, optional
        Cell type to the flags it needs, as in ``{"Treg": ["CD3+", "FOXP3+"], "T": ["CD3+"],
        "other": []}``: the first that fits is taken, an empty list fits every cell. Takes the
        place of a cell type in the file.
    markers : sequence of str, optional
        Markers whose flags and stainings are read; all that the format shows, if left out.
    duplicates : {"error", "drop", "keep"}
        What becomes of cells of an image that agree in position and type: an error of
        `check_cells`, one of each kept, or all kept; the last two are counted.
    memory_mb : int
        Megabytes that sorting and grouping may hold before they spill to disk.

    Returns
    -------
    CellSource
        Description of the files; the cells are read by `iterate_images`, `read_image` and
        `count_cells`, and checked by `check_cells`.

    Raises
    ------
    InputError
        Lists every fault of the headers and of the arguments.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet", cell_types={"CK": "tumour"})
    >>> source.format, source.flags
    ('generic', ())
    """
    faults = Faults()
    _check_arguments(format, duplicates, memory_mb, faults)
    faults.raise_if_any("cells")
    wishes = CellWishes(
        columns=dict(columns or {}),
        pixel_size=pixel_size,
        cell_types=dict(cell_types or {}),
        regions=dict(regions or {}),
        phenotypes={name: tuple(needed) for name, needed in (phenotypes or {}).items()},
        markers=None if markers is None else tuple(markers),
    )
    endings = (ENDING,) if format == "anndata" else ENDINGS
    files = find_files(path, endings=endings)
    frame = None
    if format == "anndata":
        read = [read_anndata(file, markers=markers) for file in files]
        frame = _arrow_table(pd.concat([cells for cells, _ in read], ignore_index=True))
        stainings = {name: name for _, variables in read for name in variables}
        wishes = replace(wishes, columns=stainings | dict(wishes.columns))
        table = table_in_memory(frame)
    else:
        table = read_headers(files)
    listed = tuple(map(str, files))
    return _source(listed, format, table, frame, wishes, images, duplicates, memory_mb)


def cells_from_frame(
    frame: pd.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
    pixel_size: float | None = None,
    images: str | Path | pd.DataFrame | None = None,
    cell_types: Mapping[str, str] | None = None,
    regions: Mapping[str, str] | None = None,
    phenotypes: Mapping[str, Sequence[str]] | None = None,
    markers: Sequence[str] | None = None,
    duplicates: Literal["error", "drop", "keep"] = "error",
    memory_mb: int = MEMORY_MB,
) -> CellSource:
    """Take cells from a table in memory.

    Parameters
    ----------
    frame : DataFrame
        One row per cell, in canonical columns or those that `columns` names.
    columns, pixel_size, images, cell_types, regions, phenotypes, markers, duplicates, memory_mb
        As in `open_cells`.

    Returns
    -------
    CellSource
        Gives what `open_cells` would give on the same table in a file; it does hold the cells.

    Raises
    ------
    InputError
        Lists every fault of the columns and of the arguments.

    Examples
    --------
    >>> cells_from_frame(pd.DataFrame({"patient_id": [1], "image_id": ["a"], "x": [0.5],
    ...                                "y": [2.0], "CD8_positive": [True]}))
    <CellSource: generic, a frame, 1 flag, no staining>
    """
    faults = Faults()
    _check_arguments("generic", duplicates, memory_mb, faults)
    if not isinstance(frame, pd.DataFrame):
        faults.add(f"frame is a {type(frame).__name__}: give a DataFrame with one row per cell")
    faults.raise_if_any("cells")
    wishes = CellWishes(
        columns=dict(columns or {}),
        pixel_size=pixel_size,
        cell_types=dict(cell_types or {}),
        regions=dict(regions or {}),
        phenotypes={name: tuple(needed) for name, needed in (phenotypes or {}).items()},
        markers=None if markers is None else tuple(markers),
    )
    arrow = _arrow_table(frame)
    table = table_in_memory(arrow)
    return _source((), "generic", table, arrow, wishes, images, duplicates, memory_mb)


def _check_arguments(format: str, duplicates: str, memory_mb: int, faults: Faults) -> None:
    if format not in FORMATS:
        hint = nearest_hint(str(format), FORMATS)
        faults.add(f"format is {format!r}{hint}: choose one of {', '.join(FORMATS)}")
    if duplicates not in _DUPLICATES:
        faults.add(f"duplicates is {duplicates!r}: choose 'error', 'drop' or 'keep'")
    if isinstance(memory_mb, bool) or not isinstance(memory_mb, int) or memory_mb < 50:
        faults.add(f"memory_mb is {memory_mb!r}: give a whole number of at least 50")


def _source(
    files: tuple[str, ...],
    format: str,
    table: CellTable,
    frame: pa.Table | None,
    wishes: CellWishes,
    images: str | Path | pd.DataFrame | None,
    duplicates: str,
    memory_mb: int,
) -> CellSource:
    faults = Faults()
    patients = _image_patients(images, faults)
    bare = CellSource(
        files, format, table, CellLayout(), wishes.pixel_size, None, duplicates, memory_mb, frame
    )
    layout = _found(bare, wishes.pixel_size)
    layout = fulfil(layout, table, wishes, faults)
    if patients is None and layout.patient_id is None:
        faults.add(
            "the cells name no patient: map patient_id in columns, or give a table with image_id "
            "and patient_id as images"
        )
    if patients is not None and layout.patient_id is not None and "patient_id" in wishes.columns:
        faults.add("patients are named by columns and by images: give one of the two")
    faults.raise_if_any("cells")
    table = table.narrowed(expressions_of(layout))
    return replace(bare, table=table, layout=layout, patients=patients)


def _found(source: CellSource, pixel_size: float | None) -> CellLayout:
    def distinct(column: Column) -> list[str]:
        with connected(source) as engine:
            text = text_sql(column)
            query = f"SELECT DISTINCT {text} AS v FROM ({source.table.query()}) ORDER BY v"
            return [row[0] for row in engine.execute(query).fetchall() if row[0] is not None]

    if source.format == "qupath":
        return lay_out_qupath(source.table, pixel_size=pixel_size, distinct=distinct)
    if source.format == "inform":
        return lay_out_inform(source.table, pixel_size=pixel_size, distinct=distinct)
    if source.format == "halo":
        return lay_out_halo(source.table, pixel_size=pixel_size)
    return lay_out_generic(source.table, pixel_size=pixel_size)


def _image_patients(
    images: str | Path | pd.DataFrame | None, faults: Faults
) -> tuple[tuple[str, str], ...] | None:
    if images is None:
        return None
    try:
        table = images if isinstance(images, pd.DataFrame) else read_table(images)
    except InputError as error:
        faults.extend(f"images: {fault}" for fault in error.faults)
        return ()
    missing = [name for name in ("image_id", "patient_id") if name not in table.columns]
    for name in missing:
        hint = nearest_hint(name, map(str, table.columns))
        faults.add(f"the table of images has no column '{name}'{hint}: name it so")
    if missing:
        return ()
    image, patient = as_labels(table["image_id"]), as_labels(table["patient_id"])
    empty = image.isna() | patient.isna()
    if empty.any():
        where = name_rows(np.flatnonzero(empty) + 1)
        faults.add(
            f"the table of images lacks an image_id or patient_id in data row {where}: add it"
        )
    pairs = pd.DataFrame({"image": image, "patient": patient})[~empty].drop_duplicates()
    twice = pairs["image"].duplicated(keep=False)
    if twice.any():
        faults.add(
            f"the table of images gives image {name_rows(pairs.loc[twice, 'image'])} to several "
            "patients: keep one"
        )
    return tuple(zip(pairs["image"], pairs["patient"], strict=True))


def _arrow_table(frame: pd.DataFrame) -> pa.Table:
    arrays = []
    for position in range(frame.shape[1]):
        values = frame.iloc[:, position]
        try:
            array = pa.Array.from_pandas(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            texts = [
                None if missing else str(value)
                for value, missing in zip(values, values.isna(), strict=True)
            ]
            array = pa.array(texts, type=pa.string())
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        arrays.append(array.cast(pa.string()) if pa.types.is_null(array.type) else array)
    return pa.table(arrays, names=[" ".join(str(name).split()) for name in frame.columns])
