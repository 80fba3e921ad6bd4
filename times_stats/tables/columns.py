"""Columns of a foreign table, made canonical: names, labels, numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from times_stats._checks import Faults, nearest_hint
from times_stats._typing import BoolArray, FloatArray


def rename_columns(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    known: Collection[str],
    required: Sequence[str],
    section: str,
    faults: Faults,
) -> pd.DataFrame:
    """Give the declared columns their canonical names and drop every other.

    Parameters
    ----------
    table : DataFrame
        Table as read.
    columns : mapping of str to str
        Canonical name to the name in the file; a canonical name that is left out is looked up as
        it stands.
    known : collection of str
        Canonical names.
    required : sequence of str
        Canonical names that must be there.
    section : str
        Section of the study file the mapping stands in, for the messages.
    faults : Faults
        Collects what is wrong.

    Returns
    -------
    DataFrame
        The known columns that exist, in canonical order.

    Examples
    --------
    >>> raw = pd.DataFrame({"Number": [1], "RFS": [12.0], "note": ["x"]})
    >>> known = ("patient_id", "time")
    >>> mapping = {"patient_id": "Number", "time": "RFS"}
    >>> list(rename_columns(raw, mapping, known=known, required=known, section="patients",
    ...                     faults=Faults()))
    ['patient_id', 'time']
    """
    present = [str(name) for name in table.columns]
    claimed = {columns.get(name, name) for name in known}
    chosen: dict[str, int] = {}
    for name in columns:
        if name not in known:
            hint = nearest_hint(name, known)
            faults.add(f"[{section}.columns] has the unknown key '{name}'{hint}: correct it")
    for name in known:
        foreign = columns.get(name, name)
        if foreign in present:
            chosen[name] = present.index(foreign)
        elif name in columns or name in required:
            meant = f" (for {name})" if foreign != name else ""
            hint = nearest_hint(foreign, [column for column in present if column not in claimed])
            faults.add(
                f"column '{foreign}'{meant} is missing{hint}: "
                f"name the right one in [{section}.columns]"
            )
    renamed = table.iloc[:, list(chosen.values())].copy()
    renamed.columns = pd.Index(list(chosen))
    return renamed.reset_index(drop=True)


def as_labels(values: pd.Series) -> pd.Series:
    """Return identifiers and names as text; a whole number loses its ``.0``.

    Parameters
    ----------
    values : Series
        Text or numbers.

    Returns
    -------
    Series
        Text without surrounding blanks; missing where it was missing or empty.

    Examples
    --------
    >>> as_labels(pd.Series([7.0, 12.0])).tolist()
    ['7', '12']
    """
    labels = {value: _label(value) for value in values.dropna().unique()}
    return pd.Series(
        [labels.get(value) if pd.notna(value) else None for value in values],
        index=values.index,
        dtype="str",
        name=values.name,
    )


def _label(value: object) -> str | None:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    text = " ".join(str(value).split())
    if re.fullmatch(r"-?\d+\.0+", text):
        text = text.partition(".")[0]
    return text or None


def as_numbers(values: pd.Series) -> tuple[FloatArray, BoolArray]:
    """Return a column as numbers, with a mark where it holds something else.

    Parameters
    ----------
    values : Series
        Numbers, or text that holds numbers with a decimal point.

    Returns
    -------
    numbers : ndarray of float64
        NaN where missing or unreadable.
    unreadable : ndarray of bool
        True where a value is there but is no number.

    Examples
    --------
    >>> numbers, unreadable = as_numbers(pd.Series(["1.5", "high", None]))
    >>> unreadable.tolist()
    [False, True, False]
    """
    missing = values.isna().to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(values), bool)
    readings = {value: _number(value) for value in values.dropna().unique()}
    read = [
        math.nan if gone else readings[value] for value, gone in zip(values, missing, strict=True)
    ]
    numbers = np.array([math.nan if value is None else value for value in read], dtype=np.float64)
    blank = np.array([isinstance(value, str) and not value.strip() for value in values], bool)
    unreadable = np.array([value is None for value in read], bool) & ~blank
    return numbers, unreadable


def _number(value: object) -> float | None:
    text = str(value).strip()
    if isinstance(value, bool | np.bool_) or text.lower() in {"true", "false"}:
        return float(text.lower() == "true")
    try:
        number = float(text) if "_" not in text else None
    except ValueError:
        return None
    return None if number is not None and math.isnan(number) and text else number
