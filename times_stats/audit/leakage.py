"""Patients that stand on both sides of a split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats.errors import InputError
from times_stats.tables.columns import as_labels

_NO_FEATURES = ("patient_id", "cohort", "time", "event")


def find_leakage(train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Find patients of the test table that the training table knows.

    Two traces are looked for: a ``patient_id`` in both tables, and rows whose features are
    identical, as after renaming a patient or copying one between cohorts.

    Parameters
    ----------
    train, test : DataFrame
        Feature tables or patients tables. Patients are named by the column ``patient_id``, or by
        the index where there is no such column. Columns ``cohort``, ``time`` and ``event`` are no
        features.

    Returns
    -------
    DataFrame
        One row per overlap: ``kind`` (``patient_id`` or ``identical_features``), ``train_id``,
        ``test_id``, ``n_features`` (values that agree; 0 for ``patient_id``). Empty if none.

    Raises
    ------
    InputError
        If an argument is no table.

    Notes
    -----
    Only numeric columns that both tables hold are compared, a row with fewer than two different
    observed values is not (all zero proves nothing), and gaps must be in the same places. Rows of
    a few coarse values can agree by chance: read ``n_features``.

    Examples
    --------
    >>> train = pd.DataFrame({"CD8": [1.5, 2.5], "CD4": [0.1, 0.2]}, index=["a", "b"])
    >>> test = pd.DataFrame({"CD8": [2.5, 9.0], "CD4": [0.2, 0.3]}, index=["c", "a"])
    >>> find_leakage(train, test)
                     kind train_id test_id  n_features
    0          patient_id        a       a           0
    1  identical_features        b       c           2
    """
    for name, table in (("train", train), ("test", test)):
        if not isinstance(table, pd.DataFrame):
            raise InputError(f"{name} is a {type(table).__name__}: give a DataFrame")
    train_ids, test_ids = _names(train), _names(test)
    rows: list[tuple[str, str, str, int]] = [
        ("patient_id", name, name, 0) for name in sorted(set(train_ids) & set(test_ids))
    ]
    shared = [name for name in train.columns if name in test.columns and _is_feature(train, name)]
    shared = [name for name in shared if _is_feature(test, name)]
    known: dict[bytes, list[str]] = {}
    for name, row in zip(train_ids, _values(train, shared), strict=True):
        known.setdefault(row.tobytes(), []).append(name)
    for name, row in zip(test_ids, _values(test, shared), strict=True):
        observed = row[~np.isnan(row)]
        if np.unique(observed).size < 2:
            continue
        rows += [
            ("identical_features", same, name, observed.size)
            for same in known.get(row.tobytes(), [])
        ]
    found = pd.DataFrame(rows, columns=["kind", "train_id", "test_id", "n_features"])
    ordered = found.sort_values(
        ["kind", "train_id", "test_id"], ascending=[False, True, True], ignore_index=True
    )
    return ordered.astype({"n_features": "int64"})


def _names(table: pd.DataFrame) -> list[str]:
    names = table["patient_id"] if "patient_id" in table.columns else table.index.to_series()
    return [str(name) for name in as_labels(names)]


def _is_feature(table: pd.DataFrame, name: str) -> bool:
    return name not in _NO_FEATURES and pd.api.types.is_numeric_dtype(table[name])


def _values(table: pd.DataFrame, columns: list[str]) -> np.ndarray:
    # One bit pattern each of zero and NaN, so that equal rows have equal bytes.
    values = table[columns].to_numpy(dtype=np.float64, na_value=np.nan) + 0.0
    values[np.isnan(values)] = np.nan
    return np.ascontiguousarray(values)
