"""Stages as a hospital recorded them, put in order."""

from __future__ import annotations

import pandas as pd

from times_stats._checks import Faults, nearest_hint
from times_stats.errors import InputError
from times_stats.tables.columns import as_labels
from times_stats.tables.stages import SYSTEMS, order_stages


def read_recorded_stage(series: pd.Series, *, system: str) -> tuple[pd.Series, pd.DataFrame]:
    """Read recorded stages as an ordered categorical, with an account of how each was read.

    Parameters
    ----------
    series : Series
        Stages, indexed by ``patient_id``: numerals ``I`` to ``IV`` with ``A`` to ``C``, letters of
        BCLC (``0``, ``A`` to ``D``) and Child-Pugh, points of CLIP and JIS, or the codes 1, 2, ...
        of a study that recorded groups of stages. One form in the whole series.
    system : str
        ``tnm``, ``tnm_ajcc7``, ``bclc``, ``cnlc``, ``okuda``, ``clip``, ``jis``, ``child_pugh``, or
        ``stage`` for another system of numerals.

    Returns
    -------
    stages : Series
        Ordered categorical of the stages that occur, lowest first; missing stays missing.
    audit : DataFrame
        Indexed as `series`: ``recorded``, ``stage`` and ``read_as`` (``numeral``, ``letter``,
        ``points``, ``code`` or ``missing``).

    Raises
    ------
    InputError
        If the system is unknown or a stage cannot be read; patients are named.

    Examples
    --------
    >>> recorded = pd.Series(["Stage II", "IIIA", None], index=["1", "2", "3"])
    >>> stages, audit = read_recorded_stage(recorded, system="tnm")
    >>> stages.cat.codes.tolist()
    [0, 1, -1]
    >>> audit["read_as"].tolist()
    ['numeral', 'numeral', 'missing']
    """
    if system not in SYSTEMS:
        hint = nearest_hint(system, SYSTEMS)
        raise InputError(f"staging system '{system}' is unknown{hint}: use one of {[*SYSTEMS]}")
    faults = Faults()
    stages, form = order_stages(series, system=system, faults=faults)
    faults.raise_if_any()
    recorded = as_labels(series)
    audit = pd.DataFrame(
        {
            "recorded": recorded,
            "stage": stages.astype("str").where(stages.notna()),
            "read_as": recorded.isna().map({True: "missing", False: form}),
        },
        index=series.index,
    )
    return stages, audit
