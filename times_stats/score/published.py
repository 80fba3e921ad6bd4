"""The pooling rule as published: kept to reproduce the paper, not to use."""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats._checks import Faults
from times_stats._typing import FloatArray
from times_stats.score.marker_table import (
    add_patients,
    as_marker_table,
    check_variance,
    pooled_table,
)


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
        add_patients(faults, wrong, index, what, remedy)
    faults.raise_if_any("pool_published")
    raw = np.divide(1.0, spread, out=np.zeros_like(means), where=observed)
    total = raw.sum(axis=1, keepdims=True)
    weights = np.divide(raw, total, out=np.zeros_like(raw), where=total > 0)
    filled = np.where(observed, means, 1.0)
    score = np.exp((weights * np.log(filled)).sum(axis=1))
    score[~observed.any(axis=1)] = np.nan
    relative = np.where(observed, spread, 0.0) / filled**2
    naive = score * np.sqrt((weights**2 * relative).sum(axis=1))
    unknown = np.full_like(score, np.nan)
    table = pooled_table(
        index, markers, score=score, se=unknown, lower=unknown, upper=unknown, weights=weights
    )
    table["se_naive"] = naive
    return table
