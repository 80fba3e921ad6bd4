r"""Accelerated failure time: the log time is a location plus a scale times a known error.

.. math:: \log T = \mu + \sigma Z, \qquad S(t) = S_Z\big((\log t - \mu) / \sigma\big)
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_expit, log_ndtr, ndtri_exp

from times_stats._typing import FloatArray, IntArray

type FailureTimeDistribution = Literal["normal", "logistic", "extreme"]
DISTRIBUTIONS: tuple[str, ...] = ("normal", "logistic", "extreme")
_WIDEST = 60.0  # scales between the data and the location that maximises the likelihood


def log_survival(z: FloatArray, *, distribution: FailureTimeDistribution) -> FloatArray:
    """Log probability that the error exceeds z.

    Parameters
    ----------
    z : ndarray
        Standardised log times.
    distribution : {"normal", "logistic", "extreme"}
        ``extreme`` is the smallest extreme value (Gumbel of minima): T is Weibull.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> log_survival(np.array([0.0]), distribution="extreme")
    array([-1.])
    """
    if distribution == "normal":
        return np.asarray(log_ndtr(-z), dtype=np.float64)
    if distribution == "logistic":
        return np.asarray(log_expit(-z), dtype=np.float64)
    return np.asarray(-np.exp(z), dtype=np.float64)


def log_density(z: FloatArray, *, distribution: FailureTimeDistribution) -> FloatArray:
    """Log density of the error.

    Parameters
    ----------
    z : ndarray
        Standardised log times.
    distribution : {"normal", "logistic", "extreme"}
        As in `log_survival`.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> log_density(np.array([0.0]), distribution="extreme")
    array([-1.])
    """
    if distribution == "normal":
        return np.asarray(-0.5 * z**2 - 0.5 * np.log(2 * np.pi), dtype=np.float64)
    if distribution == "logistic":
        return np.asarray(log_expit(z) + log_expit(-z), dtype=np.float64)
    return np.asarray(z - np.exp(z), dtype=np.float64)


def failure_time_log_likelihood(
    time: FloatArray,
    event: IntArray,
    location: FloatArray | float,
    *,
    distribution: FailureTimeDistribution,
    scale: float,
) -> FloatArray:
    r"""Log likelihood of each right-censored time.

    .. math:: \delta\,\{\log f_Z(z) - \log(\sigma t)\} + (1 - \delta) \log S_Z(z), \qquad
              z = (\log t - \mu) / \sigma

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Months, above 0; 1 = event.
    location : ndarray, shape (n,), or float
        Location of log T.
    distribution : {"normal", "logistic", "extreme"}
    scale : float
        Positive.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> one = failure_time_log_likelihood(
    ...     np.array([2.0]), np.array([1]), np.log(4.0), distribution="extreme", scale=1.0
    ... )
    >>> one.round(4), float(round(-np.log(4) - 2 / 4, 4))  # exponential, mean 4
    (array([-1.8863]), -1.8863)
    """
    z = (np.log(time) - location) / scale
    happened = log_density(z, distribution=distribution) - np.log(scale * time)
    free = log_survival(z, distribution=distribution)
    return np.where(event == 1, happened, free)


def failure_time_probability(
    location: FloatArray,
    *,
    horizon: float,
    distribution: FailureTimeDistribution,
    scale: float,
) -> FloatArray:
    """Probability of the event by a horizon: ``1 - S((log horizon - location) / scale)``.

    Parameters
    ----------
    location : ndarray
        Location of log T; NaN stays NaN.
    horizon : float
        Months, above 0.
    distribution : {"normal", "logistic", "extreme"}
    scale : float
        Positive.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> failure_time_probability(
    ...     np.log([24.0]), horizon=24.0, distribution="normal", scale=1.0
    ... )
    array([0.5])
    """
    z = (np.log(horizon) - location) / scale
    return np.asarray(-np.expm1(log_survival(z, distribution=distribution)), dtype=np.float64)


def log_hazard_slope(
    log_hazard: FloatArray, *, distribution: FailureTimeDistribution, scale: float
) -> FloatArray:
    r"""How fast the log cumulative hazard at a horizon rises with the margin.

    .. math:: \frac{d \log(-\log S_Z(z))}{d(-\mu)} = \frac{h_Z(z)}{-\sigma \log S_Z(z)}

    with h_Z the hazard of the error. It is :math:`1 / \sigma` for ``extreme``, and less than that
    for the others where events are likely; ``logistic`` of scale 1 is that of the log odds.

    Parameters
    ----------
    log_hazard : ndarray
        Log cumulative hazard at the horizon, log(-log S).
    distribution : {"normal", "logistic", "extreme"}
    scale : float
        Positive.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> log_hazard_slope(np.log([np.log(2)]), distribution="logistic", scale=1.0).round(3)
    array([0.721])
    """
    hazard = np.exp(log_hazard)
    if distribution == "extreme":
        return np.full_like(hazard, 1 / scale)
    if distribution == "logistic":
        return np.asarray(-np.expm1(-hazard) / (hazard * scale), dtype=np.float64)
    z = -ndtri_exp(-hazard)
    return np.asarray(_hazard(z, distribution) / (hazard * scale), dtype=np.float64)


def fit_failure_time_location(
    time: FloatArray,
    event: IntArray,
    weight: FloatArray,
    *,
    distribution: FailureTimeDistribution,
    scale: float,
) -> float:
    """Location common to all patients that maximises the likelihood, the scale held fixed.

    Parameters
    ----------
    time, event, weight : ndarray, shape (n,)
        Months, above 0; 1 = event, at least one; case weights.
    distribution : {"normal", "logistic", "extreme"}
    scale : float
        Positive.

    Returns
    -------
    float
        Location of log T. The likelihood is log-concave in it, so the root of its derivative is
        the only one.

    Examples
    --------
    >>> location = fit_failure_time_location(
    ...     np.array([1.0, 3.0, 8.0]), np.array([1, 1, 0]), np.ones(3),
    ...     distribution="extreme", scale=1.0,
    ... )
    >>> float(round(np.exp(location), 6))  # exponential: total time per event
    6.0
    """
    logs = np.log(time)

    def slope(location: float) -> float:
        z = (logs - location) / scale
        return float(
            weight
            @ np.where(event == 1, -_density_slope(z, distribution), _hazard(z, distribution))
        )

    low, high = logs.min() - _WIDEST * scale, logs.max() + _WIDEST * scale
    return float(brentq(slope, low, high, xtol=1e-12))


def _hazard(z: FloatArray, distribution: FailureTimeDistribution) -> FloatArray:
    logs = log_density(z, distribution=distribution) - log_survival(z, distribution=distribution)
    return np.asarray(np.exp(logs), dtype=np.float64)


def _density_slope(z: FloatArray, distribution: FailureTimeDistribution) -> FloatArray:
    """Return the derivative of the log density."""
    if distribution == "normal":
        return -z
    if distribution == "logistic":
        return np.asarray(-np.tanh(z / 2), dtype=np.float64)
    return np.asarray(1 - np.exp(z), dtype=np.float64)
