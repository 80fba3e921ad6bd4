"""Faults of a table of cells: all found in a few scans, before any long work, and counted."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb
import numpy as np
import pandas as pd
import pyarrow.compute as pc

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import DataWarning
from times_stats.tables.cell_repeats import check_copies, check_repeats, count_repeats
from times_stats.tables.cell_scale import check_scale, choose_images, median_nearest
from times_stats.tables.cell_sources import CellSource, connected, rows_query
from times_stats.tables.cell_tallies import Tally
from times_stats.tables.cells import ImageCells, split_by_image
from times_stats.tables.readers.cell_layout import CellLayout, Field, name_columns

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CellReport:
    """What a table of cells holds, and what was found in it.

    Attributes
    ----------
    n_patients, n_images, n_cells : int
        Size of the table, duplicates and all.
    counts : DataFrame
        ``what``, ``n_cells``, ``n_images``, ``n_patients``, ``images`` and ``patients`` (names,
        five at most): the table as a whole, then everything that was dropped, kept in spite of a
        doubt, or warned of.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> check_cells(open_cells(lung_vectra_folder() / "cells.parquet"))
    <CellReport: 50 patients, 247 images, 285412 cells, nothing to report>
    """

    n_patients: int
    n_images: int
    n_cells: int
    counts: pd.DataFrame

    def __repr__(self) -> str:
        found = self.counts["what"].tolist()[1:]
        return (
            f"<CellReport: {self.n_patients} patients, {self.n_images} images, "
            f"{self.n_cells} cells, {'; '.join(found) or 'nothing to report'}>"
        )


def check_cells(source: CellSource, *, patient_ids: Collection[str] | None = None) -> CellReport:
    """Check every cell of a source and report what was found.

    Parameters
    ----------
    source : CellSource
        Cells.
    patient_ids : collection of str, optional
        Patients of the study; a cell of anybody else is a fault, a patient without an image is
        counted and warned of.

    Returns
    -------
    CellReport
        Counts for the outputs of a run.

    Raises
    ------
    InputError
        Lists every fault with columns, images or rows, and remedy: positions missing, not numeric
        or infinite; identifiers, types, regions or flags missing or unreadable; exact duplicates
        (agreeing in image, position and type) unless the source says what becomes of them; one
        image under two patients; one set of positions under two images; a patient who is not in
        the study; a file that cannot be read.

    Warns
    -----
    DataWarning
        If cells of different types share a position, the size of images or the distances between
        cells do not fit micrometres, a patient has no image, or the table of images names one
        without cells.

    Examples
    --------
    >>> from times_stats.tables.cell_opening import cells_from_frame
    >>> cells = pd.DataFrame({"patient_id": ["a", "a"], "image_id": ["a1", "a1"], "x": [1, None],
    ...                       "y": [1, 2], "cell_type": ["CK", "CK"]})
    >>> check_cells(cells_from_frame(cells))
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: cells: column 'x' is missing for 1 cell of image a1: ...
    """
    faults, tally = Faults(), Tally()
    cautions: list[str] = []
    with connected(source) as engine:
        images = _check_values(engine, source, faults, tally)
        _check_renames(engine, source, faults)
        _count_asides(engine, source, tally)
        check_copies(images, faults)
        _check_patients(images, patient_ids, faults, tally, cautions)
        _check_images_named(images, source, tally, cautions)
        measured = _measure_images(engine, source, images)
        check_repeats(
            measured, duplicates=source.duplicates, faults=faults, tally=tally, cautions=cautions
        )
        check_scale(measured, faults=faults, tally=tally, cautions=cautions)
    faults.raise_if_any("cells")
    for caution in cautions:
        warnings.warn(caution, DataWarning, stacklevel=2)
    return CellReport(
        n_patients=images["patient_id"].nunique(),
        n_images=len(images),
        n_cells=int(images["n_cells"].sum()),
        counts=tally.table(),
    )


@dataclass(frozen=True, slots=True)
class _Check:
    """One thing that can be wrong with a value, and what to say of it."""

    condition: str
    field: Field
    meant: str
    what: str
    remedy: str
    decimal_comma: str = "false"


_COMPLETE = "complete it, or leave these cells out of the file"
_POINT = "give numbers with a decimal point"


def _value_checks(layout: CellLayout) -> Iterator[_Check]:
    for axis, found in (("x", layout.x), ("y", layout.y)):
        if found:
            yield from _number_checks(axis, axis, found)
            yield _Check(
                f"{axis} IS NULL AND NOT {found.unreadable}", found, axis, "missing", _COMPLETE
            )
    for name, setting, found in (
        ("cell_type", "cell_types", layout.cell_type),
        ("region", "regions", layout.region),
    ):
        if found:
            usual = f"complete it, or name what has none with {setting} = {{'': 'unclassified'}}"
            yield _Check(f"{name} IS NULL", found, name, "missing", found.remedy or usual)
    for i, (marker, found) in enumerate(layout.positive.items()):
        meant = f"the flag of {marker}"
        kinds = "give 0 or 1, true or false, or a text that ends in + or -"
        missing = f"f{i} IS NULL AND NOT {found.unreadable}"
        yield _Check(found.unreadable, found, meant, "no flag", kinds)
        yield _Check(missing, found, meant, "missing", "complete it, or leave it out with markers")
    for i, (marker, found) in enumerate(layout.intensity.items()):
        yield from _number_checks(f"m{i}", f"the staining of {marker}", found)


def _number_checks(name: str, meant: str, found: Field) -> Iterator[_Check]:
    yield _Check(found.unreadable, found, meant, "not numeric", _POINT, found.decimal_comma)
    yield _Check(f"isinf({name})", found, meant, "infinite", "give finite numbers")


def _check_values(
    engine: duckdb.DuckDBPyConnection, source: CellSource, faults: Faults, tally: Tally
) -> pd.DataFrame:
    """Check every value in one scan; return the images with a name, and what they hold."""
    layout = source.layout
    checks = list(_value_checks(layout))
    extra = {f"u{i}": check.condition for i, check in enumerate(checks)}
    extra |= {f"d{i}": check.decimal_comma for i, check in enumerate(checks)}
    counted = [f"count(*) FILTER (u{i}) AS u{i}" for i in range(len(checks))]
    counted += [f"count(*) FILTER (d{i}) AS d{i}" for i in range(len(checks))]
    counted += [f"count(*) FILTER (m{i} IS NULL) AS n{i}" for i in range(len(layout.intensity))]
    print_of = "CAST(bit_xor(hash(x, y)) AS VARCHAR) || ':' || CAST(sum(hash(x, y)) AS VARCHAR)"
    size = "max(x) - min(x) AS width, max(y) - min(y) AS height"
    query = (
        f"SELECT patient_id, image_id, count(*) AS n_cells, {print_of} AS fingerprint, {size}, "
        f"{', '.join(counted)} FROM ({_checked_query(source, extra)}) GROUP BY ALL "
        "ORDER BY patient_id, image_id"
    )
    images: pd.DataFrame = engine.sql(query).to_arrow_table().to_pandas()
    if images.empty:
        faults.add("there is no cell: give a table with one row per cell")
    else:
        tally.add_images("cells in the table", images, counted="n_cells")
    _check_identifiers(engine, source, images, faults)
    for i, check in enumerate(checks):
        wrong = images[images[f"u{i}"] > 0]
        if len(wrong):
            columns = name_columns(check.field, check.meant)
            verb = "are" if len(check.field.columns) > 1 else "is"
            number = int(wrong[f"u{i}"].sum())
            remedy = check.remedy
            if images[f"d{i}"].any():
                remedy = "it has decimal commas, export the table with decimal points"
            faults.add(f"{columns} {verb} {check.what} for {_cells(number, wrong)}: {remedy}")
    for i, marker in enumerate(layout.intensity):
        tally.add_images(f"cells without a staining of {marker}, kept", images, counted=f"n{i}")
    return images.dropna(subset=["patient_id", "image_id"]).reset_index(drop=True)


def _checked_query(source: CellSource, extra: Mapping[str, str]) -> str:
    """Return the rows with conditions, of which some use the canonical values of the same row."""
    named = {name: f"({condition})" for name, condition in extra.items()}
    return rows_query(source, extra=named)


def _cells(number: int, wrong: pd.DataFrame) -> str:
    images = wrong["image_id"].dropna()
    where = f" of image {name_rows(images)}" if len(images) else ""
    return f"{number} cell{'s' * (number != 1)}{where}"


def _check_identifiers(
    engine: duckdb.DuckDBPyConnection, source: CellSource, images: pd.DataFrame, faults: Faults
) -> None:
    layout = source.layout
    nameless = images[images["image_id"].isna()]
    if len(nameless) and layout.image_id:
        columns = name_columns(layout.image_id, "image_id")
        rows = _data_rows(engine, source, f"{layout.image_id.sql} IS NULL")
        number = int(nameless["n_cells"].sum())
        faults.add(
            f"{columns} is missing for {_cells(number, nameless)} ({rows}): name every image"
        )
    orphans = images[images["patient_id"].isna() & images["image_id"].notna()]
    if not len(orphans):
        return
    if source.patients is not None:
        faults.add(
            f"image {name_rows(orphans['image_id'])} is not in the table of images: add it there"
        )
    elif layout.patient_id:
        columns = name_columns(layout.patient_id, "patient_id")
        number = int(orphans["n_cells"].sum())
        faults.add(f"{columns} is missing for {_cells(number, orphans)}: name it in every row")


def _data_rows(engine: duckdb.DuckDBPyConnection, source: CellSource, condition: str) -> str:
    """Name the first rows of the files that meet a condition."""
    found: list[str] = []
    for file in source.table.files or (None,):
        numbered = f"SELECT *, row_number() OVER () AS r FROM ({source.table.query(file=file)})"
        query = (
            f"SELECT r FROM ({numbered}) "
            f"WHERE ({source.layout.rows}) AND {condition} LIMIT {_MAX_NAMED - len(found)}"
        )
        rows = sorted(row[0] for row in engine.execute(query).fetchall())
        place = f" of '{Path(file).name}'" if file and len(source.table.files) > 1 else ""
        found += [f"{row}{place}" for row in rows]
        if len(found) >= _MAX_NAMED:
            break
    return "data row " + ", ".join(found)


def _measure_images(
    engine: duckdb.DuckDBPyConnection, source: CellSource, images: pd.DataFrame
) -> pd.DataFrame:
    """Add to each image its repeats and distances, in one pass over the cells sorted by image."""
    keys = zip(images["patient_id"], images["image_id"], strict=True)
    chosen = dict(zip(keys, choose_images(images), strict=True))
    flags = "".join(f", '|', f{i}" for i in range(len(source.layout.positive)))
    kind = f"concat(cell_type{flags})" if flags else "cell_type"  # what tells a cell from a copy
    query = (
        f"SELECT patient_id, image_id, x, y, {kind} AS cell_type FROM ({rows_query(source)}) "
        "ORDER BY patient_id, image_id"  # no WHERE: the engine would read every text twice
    )
    rows = []
    for table in split_by_image(engine.sql(query)):
        key = (table["patient_id"][0].as_py(), table["image_id"][0].as_py())
        if key not in chosen:
            continue
        cells = table.filter(pc.and_(pc.is_finite(table["x"]), pc.is_finite(table["y"])))
        near = np.nan
        if chosen[key]:
            near = median_nearest(cells["x"].to_numpy(), cells["y"].to_numpy())
        rows.append((*key, *count_repeats(cells), near))
    columns = ["patient_id", "image_id", "n_exact", "n_different", "nearest"]
    found = pd.DataFrame(rows, columns=columns)
    return images.merge(found, how="left", on=["patient_id", "image_id"])


def _check_renames(engine: duckdb.DuckDBPyConnection, source: CellSource, faults: Faults) -> None:
    for setting, (field, names) in source.layout.renames.items():
        query = (
            f"SELECT DISTINCT {field.sql} AS v FROM ({source.table.query()}) "
            f"WHERE {source.layout.rows}"
        )
        present = {row[0] for row in engine.execute(query).fetchall()}
        for name in names:
            if name and " ".join(name.split()) not in present:
                hint = nearest_hint(name, (value for value in present if value))
                faults.add(
                    f"{setting} names '{name}', which {name_columns(field, setting[:-1])} does not "
                    f"hold{hint}: correct or remove it"
                )


def _count_asides(engine: duckdb.DuckDBPyConnection, source: CellSource, tally: Tally) -> None:
    layout = source.layout
    if not layout.counted or not layout.image_id:
        return
    counted = ", ".join(
        f"count(*) FILTER ({condition}) AS a{i}"
        for i, condition in enumerate(layout.counted.values())
    )
    query = (
        f"SELECT NULL AS patient_id, {layout.image_id.sql} AS image_id, {counted} "
        f"FROM ({source.table.query()}) GROUP BY ALL ORDER BY image_id"
    )
    images: pd.DataFrame = engine.sql(query).to_arrow_table().to_pandas()
    for i, what in enumerate(layout.counted):
        tally.add_images(what, images, counted=f"a{i}")


def _check_patients(
    images: pd.DataFrame,
    patient_ids: Collection[str] | None,
    faults: Faults,
    tally: Tally,
    cautions: list[str],
) -> None:
    if patient_ids is None:
        return
    known = {str(patient) for patient in patient_ids}
    unknown = images[~images["patient_id"].isin(known)]
    if len(unknown):
        faults.add(
            f"image {name_rows(unknown['image_id'])} belongs to patient "
            f"{name_rows(unknown['patient_id'])}, unknown to the patients table: add them there or "
            "leave out their images"
        )
    without = sorted(known - set(images["patient_id"]))
    if without:
        tally.add("patients without an image", n_cells=0, images=(), patients=without)
        cautions.append(
            f"patient {name_rows(without)} has no image: nothing can be said of them from cells"
        )


def _check_images_named(
    images: pd.DataFrame, source: CellSource, tally: Tally, cautions: list[str]
) -> None:
    named = dict(source.patients or ())
    empty = sorted(set(named) - set(images["image_id"]))
    if empty:
        patients = [named[image] for image in empty]
        tally.add("images named that hold no cell", n_cells=0, images=empty, patients=patients)
        cautions.append(
            f"the table of images names image {name_rows(empty)}, which holds no cell: "
            "check its name"
        )


class Area(Protocol):
    """Anything that knows which points it contains, such as a `Window`."""

    def contains(self, points: FloatArray) -> BoolArray:
        """Tell which points lie inside.

        Parameters
        ----------
        points : ndarray of shape (n, 2)
            Micrometres.

        Returns
        -------
        ndarray of bool of shape (n,)
        """


def find_outside(cells: ImageCells, *, window: Area) -> tuple[BoolArray, int]:
    """Find the cells of an image that lie outside a window.

    Parameters
    ----------
    cells : ImageCells
        Cells of one image.
    window : Window
        Observed area, micrometres; its edge belongs to it as far as its ``contains`` says so.

    Returns
    -------
    outside : ndarray of bool, shape (n,)
        True for a cell outside.
    n_outside : int
        How many there are.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.regions.window import Window
    >>> from times_stats.tables.cell_opening import open_cells
    >>> from times_stats.tables.cells import read_image
    >>> source = open_cells(lung_vectra_folder() / "cells.parquet")
    >>> cells = read_image(source, patient_id="8", image_id="8_1")
    >>> find_outside(cells, window=Window.rectangle(x=(0, 674), y=(0, 400)))[1]
    93
    """
    outside = ~np.asarray(window.contains(cells.points), dtype=bool)
    return outside, int(outside.sum())
