"""The cells of images: listed, and read one image at a time, whatever the size of the files.

Nothing here loads a table whole. `list_images` is a grouped scan inside the engine;
`iterate_images` sorts out of core by patient and image and hands the images out one by one, so that
the order of rows in the files does not matter; `read_image` scans for one image. A table that is
read often is worth arranging once with `write_cells`: one image is then found without a scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from times_stats._checks import name_rows, nearest_hint
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.tables.cell_sources import CellSource, cells_query, connected

_KEYS = ["patient_id", "image_id"]
_ROWS_AT_ONCE = 50_000
_WANTED = "wanted_images"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImageCells:
    """The cells of one image, sorted by x, y, type, region, flags and stainings.

    Attributes
    ----------
    patient_id, image_id : str
        Whose image, and which.
    points : ndarray of float64, shape (n, 2)
        Positions, micrometres.
    cell_type : ndarray of str, shape (n,), or None
        Type of each cell; None where the source knows none.
    positive : DataFrame of bool, n rows
        One column per marker with a flag, possibly none.
    intensity : DataFrame of float64, n rows
        One column per staining, possibly none; NaN where it was not measured.
    region : ndarray of str, shape (n,), or None
        Region of each cell; None where the source knows none.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet")
    >>> read_image(source, patient_id="8", image_id="8_1")
    <ImageCells: patient 8, image 8_1, 655 cells>
    """

    patient_id: str
    image_id: str
    points: FloatArray
    cell_type: np.ndarray | None
    positive: pd.DataFrame
    intensity: pd.DataFrame
    region: np.ndarray | None

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        plural = "s" * (len(self) != 1)
        return (
            f"<ImageCells: patient {self.patient_id}, image {self.image_id}, "
            f"{len(self)} cell{plural}>"
        )


def list_images(source: CellSource) -> pd.DataFrame:
    """List the images of a source and count their cells.

    Parameters
    ----------
    source : CellSource
        Cells.

    Returns
    -------
    DataFrame
        ``patient_id``, ``image_id``, ``n_cells``, sorted.

    Raises
    ------
    InputError
        If a file cannot be read, or a cell has no patient or image.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> list_images(open_cells(lung_vectra_folder() / "cells.parquet")).head(2)
      patient_id image_id  n_cells
    0         10     10_1     1418
    1         10     10_2     1253
    """
    query = f"SELECT patient_id, image_id, count(*) AS n_cells FROM ({cells_query(source)})"
    return grouped(source, f"{query} GROUP BY ALL ORDER BY ALL")


def read_image(source: CellSource, *, patient_id: str, image_id: str) -> ImageCells:
    """Read the cells of one image.

    Parameters
    ----------
    source : CellSource
        Cells. Text files are scanned whole; of a Parquet file only the row groups that may hold
        the image are read.
    patient_id, image_id : str
        As `list_images` gives them.

    Returns
    -------
    ImageCells

    Raises
    ------
    InputError
        If there is no such image, or it has a fault that `check_cells` reports.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet")
    >>> read_image(source, patient_id="8", image_id="8_1").points[0]
    array([ 48.5, 428. ])
    """
    wanted = pd.DataFrame({"patient_id": [str(patient_id)], "image_id": [str(image_id)]})
    return next(iterate_images(source, images=wanted))


def iterate_images(
    source: CellSource, *, images: pd.DataFrame | None = None
) -> Iterator[ImageCells]:
    """Read image after image in memory that does not grow with their number.

    One out-of-core sort by patient and image serves all of them, whatever the order of rows.

    Parameters
    ----------
    source : CellSource
        Cells.
    images : DataFrame, optional
        Rows of `list_images`: the images wanted, such as the share of one process; all of them, if
        left out.

    Yields
    ------
    ImageCells
        Sorted by patient and image.

    Raises
    ------
    InputError
        If an image wanted is not there, or one has a fault that `check_cells` reports.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet")
    >>> sum(len(cells) for cells in iterate_images(source))
    285412
    """
    with connected(source) as engine:
        query = f"SELECT * FROM ({cells_query(source)})"
        if images is not None:
            wanted = _wanted(source, images)
            engine.register(_WANTED, wanted)
            query += (
                f" WHERE (patient_id, image_id) IN (SELECT (patient_id, image_id) FROM {_WANTED})"
            )
        relation = engine.sql(f"{query} ORDER BY patient_id, image_id")
        for table in split_by_image(relation):
            yield _image_cells(table, source)


def _wanted(source: CellSource, images: pd.DataFrame) -> pa.Table:
    missing = [key for key in _KEYS if key not in images.columns]
    if missing:
        raise InputError(f"images has no column '{missing[0]}': give rows of list_images")
    known = list_images(source)
    pairs = set(zip(known["patient_id"], known["image_id"], strict=True))
    asked = list(dict.fromkeys(zip(images["patient_id"], images["image_id"], strict=True)))
    absent = [image for patient, image in asked if (patient, image) not in pairs]
    if absent:
        hint = nearest_hint(str(absent[0]), known["image_id"])
        raise InputError(
            f"image {name_rows(absent)} of that patient is not there{hint}: "
            "take a row of list_images",
            source="cells",
        )
    return pa.table(
        {key: pa.array([pair[i] for pair in asked], pa.string()) for i, key in enumerate(_KEYS)}
    )


def grouped(source: CellSource, query: str) -> pd.DataFrame:
    """Return the result of a grouped query, which must not lack a key.

    Parameters
    ----------
    source : CellSource
        Cells.
    query : str
        Query over `cells_query`.

    Returns
    -------
    DataFrame
        Names as text.

    Raises
    ------
    InputError
        If a file cannot be read, or a patient, image, region or type is missing.
    """
    with connected(source) as engine:
        table: pd.DataFrame = engine.sql(query).to_arrow_table().to_pandas()
    for key in ("patient_id", "image_id", "region", "cell_type"):
        if key in table:
            if table[key].isna().any():
                raise incomplete(key)
            table[key] = table[key].astype("str")
    return table


def incomplete(what: str) -> InputError:
    """Return the error of cells that were read before they were checked.

    Parameters
    ----------
    what : str
        What is missing.

    Returns
    -------
    InputError
        To be raised.
    """
    return InputError(
        f"{what} is missing or unreadable in some cells: run check_cells to see every fault",
        source="cells",
    )


def split_by_image(relation: duckdb.DuckDBPyRelation) -> Iterator[pa.Table]:
    """Stream a query sorted by patient and image, cut into one table per image.

    Parameters
    ----------
    relation : DuckDBPyRelation
        Query with ``patient_id`` and ``image_id``, sorted by both.

    Yields
    ------
    pyarrow.Table
        Rows of one image.
    """
    reader = relation.to_arrow_reader(_ROWS_AT_ONCE)
    waiting: list[pa.Table] = []
    current: tuple[Any, Any] | None = None
    for batch in reader:
        table = pa.Table.from_batches([batch])
        starts = _starts(table)
        for start, stop in zip(starts, [*starts[1:], table.num_rows], strict=True):
            part = table.slice(start, stop - start)
            key = (part["patient_id"][0].as_py(), part["image_id"][0].as_py())
            if current is not None and key != current:
                yield pa.concat_tables(waiting)
                waiting = []
            current = key
            waiting.append(part)
    if waiting:
        yield pa.concat_tables(waiting)


def _starts(table: pa.Table) -> list[int]:
    if table.num_rows == 0:
        return []
    changed = np.zeros(table.num_rows, dtype=bool)
    changed[0] = True
    for key in _KEYS:
        encoded = table[key].combine_chunks().dictionary_encode(null_encoding="encode")
        codes = encoded.indices.to_numpy()
        changed[1:] |= codes[1:] != codes[:-1]
    return [int(start) for start in np.flatnonzero(changed)]


def _image_cells(table: pa.Table, source: CellSource) -> ImageCells:
    layout = source.layout
    for key in _KEYS:
        if table[key].null_count:
            raise incomplete(key)
    patient, image = (str(table[key][0].as_py()) for key in _KEYS)
    x, y = (_numbers(table, axis) for axis in "xy")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise incomplete(f"image {image}: a position")
    types = _labels(table, "cell_type", image) if layout.cell_type else None
    regions = _labels(table, "region", image) if layout.region else None
    flags, stains = {}, {}
    for i, marker in enumerate(layout.positive):
        if table[f"f{i}"].null_count:
            raise incomplete(f"image {image}: the flag of {marker}")
        flags[marker] = table[f"f{i}"].to_numpy().astype(bool)
    for i, marker in enumerate(layout.intensity):
        stains[marker] = _numbers(table, f"m{i}")
    keys: list[np.ndarray] = [x, y]
    keys += [labels[0] for labels in (types, regions) if labels is not None]
    keys += [*flags.values(), *stains.values()]
    order = np.lexsort(keys[::-1])
    identity = [x, y, *([] if types is None else [types[0]]), *flags.values()]
    if source.duplicates == "error" and _repeats(identity, np.lexsort(identity[::-1])):
        raise _duplicated(image)
    return ImageCells(
        patient_id=patient,
        image_id=image,
        points=np.column_stack([x, y])[order],
        cell_type=None if types is None else types[1][types[0][order]],
        positive=_frame(flags, order, bool),
        intensity=_frame(stains, order, np.float64),
        region=None if regions is None else regions[1][regions[0][order]],
    )


def _numbers(table: pa.Table, name: str) -> FloatArray:
    return np.asarray(table[name].to_pandas().to_numpy(dtype=np.float64, na_value=np.nan))


def _labels(table: pa.Table, name: str, image: str) -> tuple[IntArray, np.ndarray]:
    """Return the codes of a column of names, and the names in their order."""
    if table[name].null_count:
        raise incomplete(f"image {image}: {name}")
    encoded = table[name].combine_chunks().dictionary_encode()
    names = np.asarray(encoded.dictionary.to_pylist(), dtype=np.str_)
    order = np.argsort(names, kind="stable")
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return place[encoded.indices.to_numpy()], names[order]


def _repeats(identity: list[np.ndarray], order: IntArray) -> bool:
    same: BoolArray = np.ones(max(len(order) - 1, 0), dtype=bool)
    for values in identity:
        arranged = values[order]
        same &= arranged[1:] == arranged[:-1]
    return bool(same.any())


def _duplicated(image: str) -> InputError:
    return InputError(
        f"image {image} has cells that agree in position and type: run check_cells to see all, "
        "then open the cells with duplicates = 'drop' or 'keep'",
        source="cells",
    )


def _frame(columns: dict[str, np.ndarray], order: IntArray, kind: type) -> pd.DataFrame:
    index = pd.RangeIndex(len(order))
    if not columns:
        return pd.DataFrame(index=index)
    return pd.DataFrame({n: v[order].astype(kind) for n, v in columns.items()}, index=index)
