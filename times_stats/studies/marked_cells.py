"""Cells by image, region and type, as random labelling wants them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats.errors import InputError
from times_stats.features.measured_rows import IMAGE
from times_stats.studies.reading import open_study_cells
from times_stats.tables.cell_measures import CellMeasures
from times_stats.tables.study import Study


@dataclass(frozen=True, slots=True, eq=False)
class MarkedCells:
    """Cells of the analysed types in the images that show regions.

    Attributes
    ----------
    counts : DataFrame of int, shape (n_images, n_markers * n_regions)
        Indexed by (patient_id, image_id), columns (marker, region).
    immune : DataFrame of int, shape (n_images, n_regions)
        Cells of any of these types.
    notes : tuple of str
        What was left out, counted.
    """

    counts: pd.DataFrame
    immune: pd.DataFrame
    notes: tuple[str, ...]


def count_marked_cells(study: Study) -> MarkedCells:
    """Count the cells of each analysed type by image and region.

    Parameters
    ----------
    study : Study
        A study with cells.

    Returns
    -------
    MarkedCells

    Raises
    ------
    InputError
        If the study has no cells; if its file names no markers, so that stroma cells may be among
        them; if a marker is a flag, since a cell may then carry several marks.

    Examples
    --------
    >>> from times_stats.datasets import load_lung_vectra
    >>> marked = count_marked_cells(load_lung_vectra(jobs=2))  # doctest: +SKIP
    >>> marked.immune.sum()  # doctest: +SKIP
    """
    cells = study.cells
    if cells is None or study.path is None:
        raise InputError("this study has no [cells]: there are no marks to move")
    if not study.score.markers:
        raise InputError(
            "which cell types are immune is not said: name them in [score] markers, since tumour"
            " and stroma cells stay where they are"
        )
    markers = list(dict.fromkeys(study.measurements["marker"]))
    flags = [name for name in markers if name in open_study_cells(study.path).source.flags]
    if flags:
        raise InputError(
            f"{', '.join(flags)}: flags, of which a cell may carry several: name disjoint cell"
            " types in [score] markers"
        )
    rows = cells.images[
        cells.images["statistic"].eq("intensity")
        & cells.images["marker"].isin(markers)
        & cells.images["patient_id"].isin(study.patients["patient_id"])
    ]
    # an intensity is a count over an area, and the area is kept beside it
    rows = rows.assign(n=np.rint((rows["value"] * rows["information"]).fillna(0.0)).astype(int))
    placed = rows[rows["region"].isin(cells.regions)]
    shown = placed.groupby(["patient_id", "image_id"])["value"].transform(
        lambda values: values.notna().any()
    )
    table = placed[shown.to_numpy(dtype=np.bool_)].pivot_table(
        index=["patient_id", "image_id"], columns=["marker", "region"], values="n", fill_value=0
    )
    columns = pd.MultiIndex.from_product([markers, cells.regions], names=["marker", "region"])
    counts = table.reindex(columns=columns, fill_value=0).astype(int)
    immune = counts.T.groupby(level="region", sort=False).sum().T[list(cells.regions)]
    return MarkedCells(counts, immune, tuple(_left_out(study, cells, rows, counts)))


def _left_out(
    study: Study, cells: CellMeasures, rows: pd.DataFrame, counts: pd.DataFrame
) -> list[str]:
    """Count images without regions, cells outside the regions, patients without an image."""
    everywhere = rows[rows["region"].eq(IMAGE)].groupby(["patient_id", "image_id"])["n"].sum()
    kept = everywhere.index.isin(counts.index)
    summary = cells.summary.set_index(["patient_id", "image_id"])
    images = summary.loc[summary.index.isin(everywhere.index) & ~summary.index.isin(counts.index)]
    n_lost = int(everywhere[~kept].sum())
    n_beyond = int(everywhere[kept].sum()) - int(counts.to_numpy().sum())
    ids = set(study.patients["patient_id"])
    without = ids - set(counts.index.get_level_values("patient_id"))
    notes = [
        f"marks move among {int(counts.to_numpy().sum())} cells of"
        f" {', '.join(counts.columns.unique('marker'))} in {len(counts)} images of"
        f" {len(ids) - len(without)} patients; immune cells of types that [score] markers does not"
        " name stay in place"
    ]
    if len(images):
        why = images["reason"].value_counts()
        told = ", ".join(f"{reason} ({n})" for reason, n in why.items())
        notes.append(f"{len(images)} images with {n_lost} such cells show no region: {told}")
    if n_beyond > 0:
        notes.append(f"{n_beyond} such cells of the images kept lie in no region")
    if without:
        notes.append(f"{len(without)} patients have no image that shows regions")
    return [f"{note}." for note in notes]
