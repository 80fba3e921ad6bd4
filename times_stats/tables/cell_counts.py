"""Counts of cells by patient, image, region and type or marker, made inside the engine."""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats.errors import InputError
from times_stats.tables.cell_sources import CellSource, cells_query
from times_stats.tables.cells import grouped, incomplete

_KEYS = ["patient_id", "image_id"]


def count_cells(source: CellSource) -> pd.DataFrame:
    """Count the cells of each type by patient, image and region, inside the engine.

    Parameters
    ----------
    source : CellSource
        Cells with types.

    Returns
    -------
    DataFrame
        ``patient_id``, ``image_id``, ``region`` (``""`` where the source knows none),
        ``cell_type``, ``n_cells``, sorted: every type of the source for every region that an image
        has, 0 where it holds no such cell.

    Raises
    ------
    InputError
        If the source has no types, a file cannot be read, or a cell lacks patient, image, region
        or type.

    Examples
    --------
    >>> from times_stats.datasets.lung import lung_vectra_folder
    >>> from times_stats.tables.cell_opening import open_cells
    >>> counts = count_cells(open_cells(lung_vectra_folder() / "cells.parquet"))
    >>> counts.groupby("cell_type")["n_cells"].sum()["CK"]
    np.int64(187373)
    """
    if source.layout.cell_type is None:
        raise InputError(
            "the cells have no type: define phenotypes in open_cells, or use count_positive",
            source="cells",
        )
    region = "region" if source.layout.region else "''"
    query = (
        f"SELECT patient_id, image_id, {region} AS region, cell_type, count(*) AS n_cells "
        f"FROM ({cells_query(source)}) GROUP BY ALL ORDER BY ALL"
    )
    counts = grouped(source, query)
    places = counts[[*_KEYS, "region"]].drop_duplicates()
    types = pd.DataFrame({"cell_type": sorted(counts["cell_type"].unique())})
    grid = places.merge(types, how="cross")
    full = grid.merge(counts, how="left", on=[*_KEYS, "region", "cell_type"])
    full["n_cells"] = full["n_cells"].fillna(0).astype(np.int64)
    return full


def count_positive(source: CellSource) -> pd.DataFrame:
    """Count the cells positive for each marker by patient, image and region, inside the engine.

    Parameters
    ----------
    source : CellSource
        Cells with flags.

    Returns
    -------
    DataFrame
        ``patient_id``, ``image_id``, ``region`` (``""`` where the source knows none), ``marker``,
        ``n_positive``, ``n_cells`` (of any kind), sorted.

    Raises
    ------
    InputError
        If the source has no flags, a file cannot be read, or a cell lacks patient, image, region
        or a flag.

    Examples
    --------
    >>> cells = pd.DataFrame({"patient_id": ["a"] * 3, "image_id": ["a1"] * 3, "x": [1, 2, 3],
    ...                       "y": [1, 2, 3], "CD8_positive": [1, 0, 1]})
    >>> from times_stats.tables.cell_opening import cells_from_frame
    >>> count_positive(cells_from_frame(cells))
      patient_id image_id region marker  n_positive  n_cells
    0          a       a1           CD8           2        3
    """
    if not source.flags:
        raise InputError(
            "the cells have no flag: map one, such as CD8_positive, in columns of open_cells",
            source="cells",
        )
    region = "region" if source.layout.region else "''"
    sums = ", ".join(
        f"count(*) FILTER (f{i}) AS f{i}, count(*) FILTER (f{i} IS NULL) AS g{i}"
        for i in range(len(source.flags))
    )
    query = (
        f"SELECT patient_id, image_id, {region} AS region, count(*) AS n_cells, {sums} "
        f"FROM ({cells_query(source)}) GROUP BY ALL ORDER BY patient_id, image_id, region"
    )
    table = grouped(source, query)
    parts = []
    for i, marker in enumerate(source.flags):
        if table[f"g{i}"].any():
            raise incomplete(f"the flag of {marker}")
        part = table[[*_KEYS, "region", "n_cells"]].copy()
        part.insert(3, "marker", marker)
        part.insert(4, "n_positive", table[f"f{i}"])
        parts.append(part)
    long = pd.concat(parts, ignore_index=True)
    return long.sort_values([*_KEYS, "region", "marker"], kind="stable", ignore_index=True)
