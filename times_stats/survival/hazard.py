"""Log hazard and cumulative hazard of posterior draws, in numpy: no further compilation."""

from __future__ import annotations

import numpy as np
import xarray as xr

from times_stats._typing import FloatArray
from times_stats.survival.baseline import Baseline, log_hazard_terms


def stacked(posterior: xr.Dataset, name: str) -> FloatArray:
    """Return draws of a quantity, chains one after the other.

    Parameters
    ----------
    posterior : Dataset
        Group ``posterior`` of a fit.
    name : str
        Quantity.

    Returns
    -------
    ndarray, shape (n_samples, ...)
    """
    values = np.asarray(posterior[name].transpose("chain", "draw", ...), dtype=np.float64)
    return values.reshape(-1, *values.shape[2:])


def weighted_sums(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Return ``weights @ values.T``, term by term in the order of the columns.

    A BLAS product, and `numpy.einsum`, choose the order of the sum by shape and threads; here a
    patient's number depends neither on the other patients nor on the machine.

    Parameters
    ----------
    weights : ndarray, shape (n_samples, n_terms)
    values : ndarray, shape (n_rows, n_terms)

    Returns
    -------
    ndarray, shape (n_samples, n_rows)

    Examples
    --------
    >>> weighted_sums(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]))
    array([[11., 17.]])
    """
    total = np.zeros((weights.shape[0], values.shape[0]))
    for term in range(weights.shape[1]):
        total += weights[:, term, None] * values[None, :, term]
    return total


def baseline_cumulative_hazard(
    baseline: Baseline, posterior: xr.Dataset, times: FloatArray
) -> FloatArray:
    """Evaluate H(t) at evidence 0 for each draw.

    Parameters
    ----------
    baseline : Baseline
        Scale and knots.
    posterior : Dataset
        Draws.
    times : ndarray, shape (n_times,)
        Months, 0 or more.

    Returns
    -------
    ndarray, shape (n_samples, n_times)
    """
    level = np.exp(stacked(posterior, "intercept"))[:, None]
    if baseline.kind == "weibull":
        shape = stacked(posterior, "shape")[:, None]
        return np.asarray(level * (times / baseline.time_scale) ** shape)
    _, integral = log_hazard_terms(baseline, times)
    return np.asarray(level * weighted_sums(stacked(posterior, "weight"), integral))


def baseline_log_hazard(baseline: Baseline, posterior: xr.Dataset, times: FloatArray) -> FloatArray:
    """Evaluate log h(t), per month, at evidence 0 for each draw.

    Parameters
    ----------
    baseline : Baseline
        Scale and knots.
    posterior : Dataset
        Draws.
    times : ndarray, shape (n_times,)
        Months; positive for the Weibull.

    Returns
    -------
    ndarray, shape (n_samples, n_times)
    """
    intercept = stacked(posterior, "intercept")[:, None] - np.log(baseline.time_scale)
    if baseline.kind == "weibull":
        shape = stacked(posterior, "shape")[:, None]
        log_time = np.log(times / baseline.time_scale)
        return np.asarray(intercept + np.log(shape) + (shape - 1) * log_time)
    basis, _ = log_hazard_terms(baseline, times)
    return np.asarray(intercept + np.log(weighted_sums(stacked(posterior, "weight"), basis)))
