"""Cells that occur twice: within an image, or as an image copied under another name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray
from times_stats.tables.cell_tallies import Tally

FEWEST_ALIKE = 3  # cells: images of one or two cells may agree by chance


def check_copies(images: pd.DataFrame, faults: Faults) -> None:
    """Record an image under two patients, and images that hold the same positions.

    Parameters
    ----------
    images : DataFrame
        ``patient_id``, ``image_id``, ``n_cells`` and ``fingerprint`` of the positions.
    faults : Faults
        Collects what is wrong.
    """
    several = images[images["image_id"].duplicated(keep=False)]
    if len(several):
        whose = name_rows(several["patient_id"])
        faults.add(
            f"image {name_rows(several['image_id'])} belongs to several patients ({whose}): give "
            "every image a name of its own, such as patient and number, or correct its patient"
        )
    large = images[images["n_cells"] >= FEWEST_ALIKE]
    alike = large[large.duplicated(["n_cells", "fingerprint"], keep=False)]
    pairs = [
        " and ".join(names)
        for _, group in alike.groupby(["n_cells", "fingerprint"], sort=False)
        if len(names := list(dict.fromkeys(group["image_id"]))) > 1
    ]
    if pairs:
        faults.add(
            f"image {name_rows(sorted(pairs))} hold cells at the same positions: leave out the copy"
        )


def count_repeats(table: pa.Table) -> tuple[int, int]:
    """Count the cells of one image that share a position.

    Parameters
    ----------
    table : pyarrow.Table
        ``x``, ``y`` and ``cell_type`` of one image.

    Returns
    -------
    n_exact : int
        Cells that agree with another in position and type, but for one of each.
    n_different : int
        Further types at a position that has one.

    Examples
    --------
    >>> count_repeats(pa.table({"x": [1.0, 1.0, 1.0], "y": [2.0, 2.0, 2.0],
    ...                         "cell_type": ["B", "B", "T"]}))
    (1, 1)
    """
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    order = np.lexsort([y, x])
    if len(order) == 0 or (_changes(x[order]) | _changes(y[order])).all():
        return 0, 0
    encoded = table["cell_type"].combine_chunks().dictionary_encode(null_encoding="encode")
    types = encoded.indices.to_numpy()
    order = np.lexsort([types, y, x])
    new_place = _changes(x[order]) | _changes(y[order])
    new_cell = new_place | _changes(types[order])
    return int((~new_cell).sum()), int((new_cell & ~new_place).sum())


def _changes(values: np.ndarray) -> BoolArray:
    """Tell which values differ from the one before; the first does."""
    return np.concatenate([[True], values[1:] != values[:-1]])


def check_repeats(
    images: pd.DataFrame, *, duplicates: str, faults: Faults, tally: Tally, cautions: list[str]
) -> None:
    """Record the cells of an image that share a position.

    Cells that agree in type as well are exact duplicates, and a fault unless the source says what
    becomes of them; cells of different types are kept, counted and warned of.

    Parameters
    ----------
    images : DataFrame
        ``patient_id``, ``image_id``, ``n_exact``, ``n_different``, as `count_repeats` gives them.
    duplicates : str
        ``error``, ``drop`` or ``keep``.
    faults : Faults
        Collects what is wrong.
    tally : Tally
        Counts what is dropped or kept.
    cautions : list of str
        Collects what to warn of.
    """
    exact, different = images[images["n_exact"] > 0], images[images["n_different"] > 0]
    if len(exact) and duplicates == "error":
        number = int(exact["n_exact"].sum())
        verb = "repeat" if number > 1 else "repeats"
        faults.add(
            f"{number} cell{'s' * (number > 1)} of image {name_rows(exact['image_id'])} {verb} "
            "another in position and type: export them once, or open the cells with "
            "duplicates = 'drop' (one of each is kept) or 'keep'"
        )
    elif len(exact):
        done = "dropped" if duplicates == "drop" else "kept"
        tally.add_images(
            f"cells that repeat another in position and type, {done}", exact, counted="n_exact"
        )
    if len(different):
        number = int(different["n_different"].sum())
        tally.add_images(
            "cells at the position of another of a different type, kept",
            different,
            counted="n_different",
        )
        verb = "sit" if number > 1 else "sits"
        cautions.append(
            f"{number} cell{'s' * (number > 1)} of image {name_rows(different['image_id'])} {verb} "
            "at the position of another of a different type: check whether one cell has two rows"
        )
