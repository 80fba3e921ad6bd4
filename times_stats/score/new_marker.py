"""What a marker that was not measured would say: prediction intervals over markers."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student_t

from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError


def predict_new_marker(
    value: FloatArray,
    variance: FloatArray,
    *,
    tau_squared: float,
    n_markers: IntArray,
    df: float | None = None,
    confidence_level: float = 0.95,
) -> tuple[FloatArray, FloatArray]:
    r"""Interval for what one more marker, drawn as these were, would truly say of each patient.

    .. math:: \hat\theta \pm t_{M - 2}\,\sqrt{\tau^2 + \mathrm{var}(\hat\theta)}

    The confidence interval of a pooled value narrows with every marker; this one does not fall
    below the scatter of the markers. M - 2 degrees of freedom belong to a :math:`\tau^2` that was
    estimated from these M markers of one patient. Learned over many patients it is known far
    better, and the interval covers more than it says: give `df` for one that does not.

    Parameters
    ----------
    value, variance : ndarray, shape (n_patients,)
        Pooled estimates on the linear scale and their variances.
    tau_squared : float
        Variance between markers.
    n_markers : ndarray of int, shape (n_patients,)
        Markers M behind each estimate.
    df : float, optional
        Degrees of freedom; M - 2 if left out.
    confidence_level : float, default .95

    Returns
    -------
    lower, upper : ndarray, shape (n_patients,)
        NaN where M - 2 is below 1.

    Raises
    ------
    InputError
        A negative variance between markers, degrees of freedom that are not positive, a level
        outside (0, 1).

    References
    ----------
    Higgins, Thompson and Spiegelhalter (2009), doi:10.1111/j.1467-985X.2008.00552.x, section 3.3.

    Examples
    --------
    >>> lower, upper = predict_new_marker(
    ...     np.array([0.0]), np.array([0.25]), tau_squared=0.75, n_markers=np.array([12])
    ... )
    >>> upper.round(3)
    array([2.228])
    """
    if not (np.isfinite(tau_squared) and tau_squared >= 0):
        raise InputError(f"tau_squared is {tau_squared}: give a number of 0 or more")
    if df is not None and not df > 0:
        raise InputError(f"df is {df}: give a positive number, or leave it out for M - 2")
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level}: give a number in (0, 1)")
    freedom = np.asarray(n_markers - 2.0 if df is None else np.full(value.shape, df))
    freedom = np.where(freedom > 0, freedom, np.nan)
    half = student_t.ppf((1 + confidence_level) / 2, freedom) * np.sqrt(tau_squared + variance)
    return value - half, value + half
