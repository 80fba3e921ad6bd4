"""Normal scores: values replaced by normal quantiles of their ranks."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from times_stats._typing import FloatArray, IntArray


def normal_scores(values: FloatArray, *, reference: FloatArray) -> FloatArray:
    """Return the standard normal quantile of each value's mid-rank in the reference, by column.

    Parameters
    ----------
    values : ndarray, shape (n, p)
        NaN stays NaN.
    reference : ndarray, shape (m, p)
        NaN is passed over; a value beyond all others has the rank of the outermost.

    Returns
    -------
    ndarray, shape (n, p)
        0 where the reference does not vary.

    Examples
    --------
    >>> column = np.array([[5.0], [1.0], [np.nan], [9.0]])
    >>> normal_scores(column, reference=column)[:, 0].round(2).tolist()
    [0.0, -0.97, nan, 0.97]
    """
    scores = np.where(np.isnan(values), np.nan, 0.0)
    for j in range(values.shape[1]):
        known = np.sort(reference[np.isfinite(reference[:, j]), j])
        if known.size == 0 or known[0] == known[-1]:
            continue
        here = np.isfinite(values[:, j])
        below = np.searchsorted(known, values[here, j], side="left")
        up_to = np.searchsorted(known, values[here, j], side="right")
        share = (below + up_to) / 2.0 / known.size
        scores[here, j] = ndtri(np.clip(share, 0.5 / known.size, 1 - 0.5 / known.size))
    return scores


def normal_scores_within(values: FloatArray, groups: IntArray) -> FloatArray:
    """Return normal scores of values among those of their own group.

    Parameters
    ----------
    values : ndarray, shape (n, ...)
        NaN stays NaN.
    groups : ndarray of int, shape (n,)

    Returns
    -------
    ndarray, shape (n, ...)

    Examples
    --------
    >>> values = np.array([[5.0], [1.0], [7.0], [9.0]])
    >>> normal_scores_within(values, np.array([0, 0, 1, 1])).round(2).ravel().tolist()
    [0.67, -0.67, -0.67, 0.67]
    """
    flat = values.reshape(len(values), -1)
    scores = np.empty(flat.shape)
    for group in np.unique(groups):
        own = flat[groups == group]
        scores[groups == group] = normal_scores(own, reference=own)
    return scores.reshape(values.shape)
