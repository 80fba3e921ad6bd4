"""The pooling rule as published: kept to reproduce the paper, not to use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray


def pool_published(mean: pd.DataFrame | FloatArray, variance: object) -> pd.DataFrame:
    r"""Pool markers by the published TIMES rule.

    .. math:: w_k = 1 / s_k^2, \qquad
              \mathrm{TIMES} = \exp\Big(\sum_k w_k \ln m_k \Big/ \sum_k w_k\Big)

    The weights are inverse tile variances on the probability scale although pooling happens on
    the log scale, and tile spread is not estimation error: there is no honest standard error, so
    ``se``, ``lower`` and ``upper`` are NaN. ``se_naive`` is the delta-method value that the rule
    would claim, with s_k^2 taken as the variance of m_k.

    Parameters
    ----------
    mean : DataFrame or array, shape (n_patients, n_markers)
        Mean tile probability m_k, in (0, 1]; NaN = missing marker (weight 0).
    variance : DataFrame or array, same shape
        *Population* variance s_k^2 of the tile probabilities.

    Returns
    -------
    DataFrame
        A row per patient: ``score``, ``se``, ``lower``, ``upper`` (NaN), one ``weight_<marker>``
        (summing to one), ``se_naive``. Patients without any marker have NaN and weights 0.

    Raises
    ------
    InputError
        (a ValueError) if a variance is zero, negative or missing, or a mean is outside (0, 1].

    References
    ----------
    Jia et al. (2025), Nature 640:1031-1041, doi:10.1038/s41586-025-08668-x.

    Examples
    --------
    >>> pool_published([[0.8, 0.4]], [[0.01, 0.02]])["score"].round(4).to_list()
    [0.635]
    """
    means, index, markers = as_marker_table(mean)
    spread = check_variance(variance, means, index)
    observed = ~np.isnan(means)
    faults = Faults()
    for wrong, what, remedy in (
        (
            observed & ((means <= 0) | (means > 1)),
            "mean outside (0, 1]",
            "give mean tile probabilities",
        ),
        (
            observed & ~(spread > 0),
            "variance zero or missing",
            "the published rule has no score there, use pool_shrunken",
        ),
    ):
        _add_patients(faults, wrong, index, what, remedy)
    faults.raise_if_any("pool_published")
    raw = np.divide(1.0, spread, out=np.zeros_like(means), where=observed)
    total = raw.sum(axis=1, keepdims=True)
    weights = np.divide(raw, total, out=np.zeros_like(raw), where=total > 0)
    filled = np.where(observed, means, 1.0)
    score = np.exp((weights * np.log(filled)).sum(axis=1))
    score[~observed.any(axis=1)] = np.nan
    relative = np.where(observed, spread, 0.0) / filled**2
    naive = score * np.sqrt((weights**2 * relative).sum(axis=1))
    table = pd.DataFrame(index=index)
    table["score"] = score
    for name in ("se", "lower", "upper"):
        table[name] = np.nan
    for k, marker in enumerate(markers):
        table[f"weight_{marker}"] = weights[:, k]
    table["se_naive"] = naive
    return table


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
    _add_patients(faults, np.isinf(means), index, "infinite mean", "leave it missing")
    wrong = (values < 0) | np.isinf(values)
    _add_patients(faults, wrong, index, "negative or infinite variance", "give variances >= 0")
    faults.raise_if_any()
    return values


def _add_patients(
    faults: Faults, wrong: BoolArray, index: pd.Index[Any], what: str, remedy: str
) -> None:
    rows = wrong.any(axis=1)
    if rows.any():
        faults.add(f"{what} in row {name_rows(index[rows])}: {remedy}")
