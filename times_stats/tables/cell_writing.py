"""Cells arranged by patient and image in one file, so that one image is found without a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from times_stats.errors import InputError
from times_stats.tables.cell_opening import open_cells
from times_stats.tables.cell_sources import CellSource
from times_stats.tables.cells import ImageCells, iterate_images
from times_stats.tables.readers.generic import FLAG

_KEYS = ["patient_id", "image_id"]


def write_cells(source: CellSource, path: str | Path, *, row_group: int = 50_000) -> CellSource:
    """Write the cells of a source to one Parquet file, arranged by patient and image.

    Parameters
    ----------
    source : CellSource
        Cells.
    path : path
        File to write, ending in ``.parquet``.
    row_group : int
        Cells after which a row group of the file ends, at the end of an image; one image is then
        read without its neighbours.

    Returns
    -------
    CellSource
        The file written, with the same cells, in canonical columns.

    Raises
    ------
    InputError
        If the file cannot be written, or an image has a fault that `check_cells` reports.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from times_stats.tables.cell_opening import cells_from_frame
    >>> from times_stats.tables.cells import list_images
    >>> cells = pd.DataFrame({"patient_id": ["a"], "image_id": ["a1"], "x": [1], "y": [2],
    ...                       "cell_type": ["CK"]})
    >>> with TemporaryDirectory() as folder:
    ...     written = write_cells(cells_from_frame(cells), Path(folder) / "cells.parquet")
    ...     len(list_images(written))
    1
    """
    path = Path(path)
    if path.suffix != ".parquet":
        raise InputError(f"file '{path.name}' does not end in .parquet: name it so")
    if path.exists() and str(path.resolve()) in {str(Path(f).resolve()) for f in source.files}:
        raise InputError(f"file '{path.name}' is read from: write to another one")
    names = ["x", "y"] + ["cell_type"] * (source.layout.cell_type is not None)
    names += ["region"] * (source.layout.region is not None)
    fields = [pa.field(name, pa.string()) for name in _KEYS]
    fields += [pa.field(n, pa.float64() if n in ("x", "y") else pa.string()) for n in names]
    fields += [pa.field(f"{marker}{FLAG}", pa.bool_()) for marker in source.flags]
    fields += [pa.field(marker, pa.float64()) for marker in source.stainings]
    schema = pa.schema(fields)
    try:
        with pq.ParquetWriter(path, schema, compression="zstd", compression_level=19) as writer:
            waiting: list[pa.Table] = []
            for cells in iterate_images(source):
                waiting.append(_arrow(cells, schema))
                if sum(part.num_rows for part in waiting) >= row_group:
                    writer.write_table(pa.concat_tables(waiting), row_group_size=1 << 26)
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting), row_group_size=1 << 26)
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise InputError(f"file '{path.name}' cannot be written ({reason})") from None
    markers = list(dict.fromkeys([*source.flags, *source.stainings]))
    return open_cells(path, markers=markers or None, duplicates="keep", memory_mb=source.memory_mb)


def _arrow(cells: ImageCells, schema: pa.Schema) -> pa.Table:
    n = len(cells)
    columns: dict[str, Any] = {
        "patient_id": [cells.patient_id] * n,
        "image_id": [cells.image_id] * n,
        "x": cells.points[:, 0],
        "y": cells.points[:, 1],
    }
    for name, values in (("cell_type", cells.cell_type), ("region", cells.region)):
        if values is not None:
            columns[name] = values.tolist()
    columns |= {f"{name}{FLAG}": cells.positive[name].to_numpy() for name in cells.positive}
    for marker, stain in cells.intensity.items():
        columns[str(marker)] = pa.array(stain.to_numpy(), from_pandas=True)
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
