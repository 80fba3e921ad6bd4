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
    return np.asarray(level * np.einsum("sk,tk->st", stacked(posterior, "weight"), integral))


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
    return np.asarray(
        intercept + np.log(np.einsum("sk,tk->st", stacked(posterior, "weight"), basis))
    )
