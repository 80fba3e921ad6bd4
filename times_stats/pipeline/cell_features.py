"""The feature table alone: cells measured and pooled, without outcome or model."""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from times_stats._checks import Faults
from times_stats.errors import InputError
from times_stats.features.located_cells import LocatedCells, locate_cells
from times_stats.pipeline.checkpoints import replacing
from times_stats.pipeline.csv_files import write_csv
from times_stats.pipeline.steps import Display
from times_stats.studies.reading import measure_study_cells, open_study_cells
from times_stats.tables.cells import read_image
from times_stats.tables.study import Study

_ENDINGS = (".csv", ".parquet")


def write_features(
    study: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    jobs: int = 1,
    display: Display | None = None,
) -> pd.DataFrame:
    """Measure the cells of a study and write the features of its patients.

    Parameters
    ----------
    study : path
        Study file with ``[cells]``; its patients are not needed and not read.
    out : path
        ``.csv`` or ``.parquet`` file. Beside it ``<name>.images.csv`` holds one row per image:
        cells, area, boundary, what was left out; ``<name>.cells.csv`` counts what was read, dropped
        or warned of.
    jobs : int, default 1
        Processes; the result does not depend on it.
    display : Display, optional
        Shows progress.

    Returns
    -------
    DataFrame
        ``patient_id``, ``region``, ``marker``, ``statistic``, ``r`` (micrometres), ``value``,
        ``variance`` between images, ``information``, ``n_images``, ``n_missing``, ``reason``.

    Raises
    ------
    InputError
        Lists every fault of the study file and of its cells; or `out` is of another format, or its
        folder is missing; or a file to be written is a folder or one of the study.

    Examples
    --------
    >>> from times_stats.pipeline import write_features
    >>> write_features("study.toml", out="features.csv")  # doctest: +SKIP
    """
    out = Path(out)
    if out.suffix.lower() not in _ENDINGS:
        raise InputError(f"{out.name} is of no known format: name it .csv or .parquet")
    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} is missing: make it, or name another one")
    inputs = open_study_cells(Path(study))
    targets = [out, *(out.with_name(f"{out.stem}.{name}.csv") for name in ("images", "cells"))]
    _check_targets(targets, inputs.files)
    step = nullcontext(lambda: None) if display is None else display.step("measuring images")
    with threadpool_limits(limits=1), step as advance:
        cells = measure_study_cells(inputs, Path(study), jobs=jobs, advance=advance)
    with ExitStack() as all_written:
        parts = [all_written.enter_context(replacing(target)) for target in targets]
        for table, part in zip((cells.patients, cells.summary, cells.counts), parts, strict=True):
            if part is parts[0] and out.suffix.lower() == ".parquet":
                table.to_parquet(part, index=False)
            else:
                write_csv(table, part)
    return cells.patients


def _check_targets(targets: list[Path], files: tuple[Path, ...]) -> None:
    faults = Faults()
    read = {file.resolve() for file in files}
    for target in targets:
        if target.is_dir():
            faults.add(f"{target} is a folder: name another file")
        elif target.resolve() in read:
            faults.add(f"{target} belongs to the study: name another file")
    faults.raise_if_any()


def example_image(study: Study) -> LocatedCells | None:
    """Return the image of median size among those with a boundary, with its regions.

    Parameters
    ----------
    study : Study
        A study; the cells are read again from the files it names.

    Returns
    -------
    LocatedCells or None
        None in a study without cells, without a study file, or without a boundary in any image.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> example_image(load_hcc_ihc()) is None
    True
    """
    if study.cells is None or study.path is None:
        return None
    summary = study.cells.summary
    bounded = summary[summary["reason"] == ""].sort_values(
        ["n_cells", "patient_id", "image_id"], kind="stable"
    )
    if bounded.empty:
        return None
    row = bounded.iloc[len(bounded) // 2]
    inputs = open_study_cells(study.path)
    image = str(row["image_id"])
    cells = read_image(inputs.source, patient_id=str(row["patient_id"]), image_id=image)
    return locate_cells(
        cells,
        plan=replace(inputs.plan, markers=study.cells.markers),
        window=None if inputs.windows is None else inputs.windows[image],
        annotation=None if inputs.annotations is None else inputs.annotations.get(image),
    )
