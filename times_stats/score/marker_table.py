"""Tables of patients by markers: what pooling takes in, and the table it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray


def as_marker_table(
    mean: pd.DataFrame | FloatArray,
) -> tuple[FloatArray, pd.Index[Any], tuple[str, ...]]:
    """Return values, patients and marker names of a patients x markers table.

    Parameters
    ----------
    mean : DataFrame or array, shape (n_patients, n_markers)

    Returns
    -------
    values : ndarray
    index : Index
        Patients; positions for an array.
    markers : tuple of str
        Column names; ``1``, ``2``, ... for an array.

    Raises
    ------
    InputError
        If the table is not a numeric two-dimensional one.

    Examples
    --------
    >>> as_marker_table([[0.1, 0.2]])[2]
    ('1', '2')
    """
    faults = Faults()
    try:
        values = np.array(mean, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 2 or values.shape[1] == 0:
        faults.add("the means are no numeric table: give a row per patient, a column per marker")
        faults.raise_if_any()
    if isinstance(mean, pd.DataFrame):
        return values, mean.index, tuple(map(str, mean.columns))
    return values, pd.RangeIndex(len(values)), tuple(str(k + 1) for k in range(values.shape[1]))


def check_variance(variance: object, means: FloatArray, index: pd.Index[Any]) -> FloatArray:
    """Return the variances as an array of the shape of the means.

    Parameters
    ----------
    variance : DataFrame or array
    means : ndarray, shape (n_patients, n_markers)
    index : Index
        Patients, for the message.

    Returns
    -------
    ndarray, shape (n_patients, n_markers)

    Raises
    ------
    InputError
        If the shape differs, or a value is negative or infinite; infinite means as well.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> check_variance([[0.1]], np.array([[0.5]]), pd.RangeIndex(1))
    array([[0.1]])
    """
    faults = Faults()
    try:
        values = np.array(variance, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != means.shape:
        faults.add(f"variance has shape {values.shape} and mean {means.shape}: give one of each")
        faults.raise_if_any()
    add_patients(faults, np.isinf(means), index, "infinite mean", "leave it missing")
    wrong = (values < 0) | np.isinf(values)
    add_patients(faults, wrong, index, "negative or infinite variance", "give variances >= 0")
    faults.raise_if_any()
    return values


def add_patients(
    faults: Faults, wrong: BoolArray, index: pd.Index[Any], what: str, remedy: str
) -> None:
    """Note a fault with the patients that have it in any marker.

    Parameters
    ----------
    faults : Faults
        Gets the fault, if there is one.
    wrong : ndarray of bool, shape (n_patients, n_markers)
    index : Index
        Patients.
    what, remedy : str
        What is wrong, and what to do.

    Examples
    --------
    >>> faults = Faults()
    >>> add_patients(faults, np.array([[True]]), pd.Index(["p1"]), "mean missing", "give it")
    >>> bool(faults)
    True
    """
    rows = wrong.any(axis=1)
    if rows.any():
        faults.add(f"{what} in row {name_rows(index[rows])}: {remedy}")


def pooled_table(
    index: pd.Index[Any],
    markers: Sequence[object],
    *,
    score: FloatArray,
    se: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    weights: FloatArray,
) -> pd.DataFrame:
    """Arrange what every pooling rule returns.

    Parameters
    ----------
    index : Index
        Patients.
    markers : sequence
        Names of the markers.
    score, se, lower, upper : ndarray, shape (n_patients,)
    weights : ndarray, shape (n_patients, n_markers)

    Returns
    -------
    DataFrame
        A row per patient: ``score``, ``se``, ``lower``, ``upper``, one ``weight_<marker>``.

    Examples
    --------
    >>> one = np.array([0.5])
    >>> pooled_table(pd.Index(["p1"]), ["CD8"], score=one, se=one, lower=one, upper=one,
    ...              weights=np.ones((1, 1))).columns.to_list()
    ['score', 'se', 'lower', 'upper', 'weight_CD8']
    """
    table = pd.DataFrame({"score": score, "se": se, "lower": lower, "upper": upper}, index=index)
    for k, marker in enumerate(markers):
        table[f"weight_{marker}"] = weights[:, k]
    return table
