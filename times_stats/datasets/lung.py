"""Lung cancer, multiplex images of tumour tissue: cells, survival, stage."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from times_stats.studies.reading import read_study
from times_stats.tables.study import Study


def lung_vectra_folder() -> Path:
    """Return the folder of the shipped lung data.

    Returns
    -------
    Path
        Holds ``cells.parquet`` (50 patients, 247 images), ``patients.csv``, LICENSE and CITATION.

    References
    ----------
    Johnson AM, et al. J Thorac Oncol 2021;16(10):1694-1704. Data: R package mxfda.

    Examples
    --------
    >>> (lung_vectra_folder() / "cells.parquet").is_file()
    True
    """
    return Path(str(files("times_stats") / "datasets" / "lung_vectra"))


def lung_vectra_study_file() -> Path:
    """Return the path of the shipped study file of the lung data.

    Returns
    -------
    Path
        Study file, beside the tables it names.

    Examples
    --------
    >>> lung_vectra_study_file().name
    'study.toml'
    """
    return lung_vectra_folder() / "study.toml"


def load_lung_vectra(*, jobs: int = 1) -> Study:
    """Load lung cancer with cells of multiplex images, measured by region.

    The stroma was cut away before the data were published: every cell lies in tissue called
    tumour, so regions are nests of tumour cells and what lies between them, and the front is
    narrow.

    Parameters
    ----------
    jobs : int, default 1
        Processes that measure the 247 images (about half a minute of one core).

    Returns
    -------
    Study
        50 patients, overall survival (33 deaths), recorded stage in three levels.

    References
    ----------
    Johnson AM, et al. J Thorac Oncol 2021;16(10):1694-1704. Data: R package mxfda.

    Examples
    --------
    >>> study = load_lung_vectra(jobs=2)  # doctest: +SKIP
    """
    return read_study(lung_vectra_study_file(), jobs=jobs)
