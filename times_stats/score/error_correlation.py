"""Correlation of errors that were seen a few times in each of many patients."""

from __future__ import annotations

import numpy as np

from times_stats._typing import FloatArray

_LEAST_EIGENVALUE = 0.05  # keeps the estimated correlation positive definite


def correlate_errors(scaled: FloatArray) -> FloatArray:
    """Correlation of scaled deviations from zero, positive definite.

    Parameters
    ----------
    scaled : ndarray, shape (n, n_markers)
        Deviations from each patient's mean, divided by the patient's spread; 0 = not seen.

    Returns
    -------
    ndarray, shape (n_markers, n_markers)
        Of the rows that have both markers; eigenvalues at least .05 before rescaling; 0 where two
        markers share no row.

    Examples
    --------
    >>> correlate_errors(np.array([[1.0, 1.0], [-1.0, 1.0]]))
    array([[1., 0.],
           [0., 1.]])
    """
    cross = scaled.T @ scaled
    used = (scaled != 0).astype(np.float64)
    shared = np.sqrt(((scaled**2).T @ used) * (used.T @ scaled**2))
    correlation = np.divide(cross, shared, out=np.zeros_like(cross), where=shared > 0)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    mended = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(mended))
    mended = mended / np.outer(scale, scale)
    np.fill_diagonal(mended, 1.0)
    return np.asarray((mended + mended.T) / 2, dtype=np.float64)
