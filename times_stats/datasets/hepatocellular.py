"""Hepatocellular carcinoma, immunohistochemistry by region: the default data."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from times_stats.errors import InputError
from times_stats.tables.study import Study
from times_stats.tables.study_files import read_measured_study

_ANALYSES = ("all", "complete")


def hcc_ihc_study_file(analysis: Literal["all", "complete"] = "all") -> Path:
    """Return the path of a shipped study file.

    Parameters
    ----------
    analysis : {"all", "complete"}
        See `load_hcc_ihc`.

    Returns
    -------
    Path
        Study file, beside the tables it names.

    Raises
    ------
    InputError
        If there is no such analysis.

    Examples
    --------
    >>> hcc_ihc_study_file("complete").name
    'complete.toml'
    """
    if analysis not in _ANALYSES:
        raise InputError(f"analysis is {analysis!r}: choose 'all' or 'complete'")
    folder = files("times_stats") / "datasets" / "hcc_ihc_regions"
    return Path(str(folder / f"{analysis}.toml"))


def load_hcc_ihc(analysis: Literal["all", "complete"] = "all") -> Study:
    """Load resected hepatocellular carcinoma with markers stained by region.

    Parameters
    ----------
    analysis : {"all", "complete"}
        ``all``: 227 patients, CXCL17 in three regions. ``complete``: the 101 patients with seven
        markers, six of them in two regions. No analysis spans the missing block, whose follow-up
        differs.

    Returns
    -------
    Study
        Recurrence-free survival in months, recorded TNM and BCLC in two levels.

    Raises
    ------
    InputError
        If there is no such analysis.

    References
    ----------
    Li L, et al. PLoS ONE 2014;9:e110064. doi:10.1371/journal.pone.0110064. Data: R package asaur.

    Examples
    --------
    >>> study = load_hcc_ihc("complete")
    >>> len(study.patients), study.measurements["marker"].nunique()
    (101, 7)
    """
    return read_measured_study(hcc_ihc_study_file(analysis))
