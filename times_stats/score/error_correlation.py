"""Correlation of errors that were seen a few times in each of many patients."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, hyp2f1

from times_stats._typing import FloatArray

_LEAST_EIGENVALUE = 0.05  # keeps the estimated correlation positive definite


def undo_flattening(correlation: FloatArray, *, df: float) -> FloatArray:
    r"""Correlation behind a mean of sample correlations of a few values each.

    Deviations that are divided by a spread from the same few values correlate less than the errors
    do. For normal errors with :math:`\nu` degrees of freedom a sample correlation has the mean

    .. math:: \rho\,\frac{2}{\nu} \left(\frac{\Gamma((\nu + 1) / 2)}{\Gamma(\nu / 2)}\right)^2
              {}_2F_1\left(\tfrac12, \tfrac12; \tfrac{\nu + 2}{2}; \rho^2\right)

    (:math:`(2 / \pi) \arcsin \rho` for two values), which is inverted here.

    Parameters
    ----------
    correlation : ndarray
        Mean sample correlations.
    df : float
        Values less one; 1 or more.

    Returns
    -------
    ndarray

    References
    ----------
    Hotelling (1953), doi:10.1111/j.2517-6161.1953.tb00135.x.

    Examples
    --------
    >>> undo_flattening(np.array([1 / 3]), df=1).round(3)
    array([0.5])
    """
    truth = np.linspace(0, 1, 2001)
    factor = 2 / df * np.exp(2 * (gammaln((df + 1) / 2) - gammaln(df / 2)))
    flat = np.minimum(truth * factor * hyp2f1(0.5, 0.5, df / 2 + 1, truth**2), 1.0)
    return np.asarray(np.sign(correlation) * np.interp(np.abs(correlation), flat, truth))


def correlate_errors(scaled: FloatArray, *, df: float | None = None) -> FloatArray:
    """Correlation of scaled deviations from zero, positive definite.

    Parameters
    ----------
    scaled : ndarray, shape (n, n_markers)
        Deviations from each patient's mean, divided by the patient's spread; 0 = not seen.
    df : float, optional
        Degrees of freedom of that spread, where it comes from the same few values
        (`undo_flattening`).

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
    if df is not None:
        correlation = undo_flattening(np.clip(correlation, -1, 1), df=df)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    mended = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(mended))
    mended = mended / np.outer(scale, scale)
    np.fill_diagonal(mended, 1.0)
    return np.asarray((mended + mended.T) / 2, dtype=np.float64)
