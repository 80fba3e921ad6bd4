"""Pooling of a metric over cohorts by random effects."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student_t

from times_stats._checks import Faults, name_rows
from times_stats._typing import FloatArray
from times_stats.errors import DataWarning, InputError

type Scale = Literal["identity", "logit", "log"]
type Heterogeneity = Literal["reml", "dersimonian_laird"]

_MAX_STEPS = 1000
_TOLERANCE = 1e-10  # of the variance


@dataclass(frozen=True, slots=True)
class CohortPool:
    """A metric pooled over cohorts.

    Attributes
    ----------
    estimate, lower, upper : float
        Mean over cohorts, with its confidence interval, on the scale of the metric.
    prediction_lower, prediction_upper : float
        Interval for the true value in a new cohort.
    tau : float
        Standard deviation between cohorts, on the scale of pooling.
    q : float
        Cochran's Q, with one degree of freedom less than there are cohorts.
    i_squared : float
        Share of the variation between estimates that is between cohorts, ``max(0, 1 - df / Q)``.
    weights : ndarray, shape (n_cohorts,)
        Weights of the cohorts, summing to one.
    scale, method : str
        Scale of pooling, and estimator of the variance between cohorts.
    n_cohorts : int
        Number of cohorts.
    """

    estimate: float
    lower: float
    upper: float
    prediction_lower: float
    prediction_upper: float
    tau: float
    q: float
    i_squared: float
    weights: FloatArray
    scale: str
    method: str
    n_cohorts: int


def pool_cohorts(
    estimate: ArrayLike,
    se: ArrayLike,
    *,
    scale: Scale = "identity",
    method: Heterogeneity = "reml",
    confidence_level: float = 0.95,
) -> CohortPool:
    r"""Pool a metric over cohorts by random effects.

    .. math::

        y_c \sim N(\mu, v_c + \tau^2), \qquad w_c = \frac{1}{v_c + \hat\tau^2}, \qquad
        \mathrm{se}^2 = \frac{\sum_c w_c (y_c - \hat\mu)^2}{(k - 1) \sum_c w_c}

    with t limits on k - 1 degrees of freedom (Hartung and Knapp; their standard error is not
    truncated below the usual one), and :math:`\hat\mu \pm t_{k-1} \sqrt{\mathrm{se}^2 +
    \hat\tau^2}` for a new cohort. Higgins et al. (2009) take k - 2 degrees of freedom there, which
    two cohorts do not have.

    Parameters
    ----------
    estimate, se : array-like, shape (k,)
        Metric of each cohort and its standard error, on the scale of the metric.
    scale : {"identity", "logit", "log"}
        Scale of pooling; standard errors are carried over by the delta method. Logit suits C and
        AUC, log the ratio of observed to expected (Snell et al. 2018).
    method : {"reml", "dersimonian_laird"}
        Estimator of the variance between cohorts.
    confidence_level : float
        Level of both intervals.

    Returns
    -------
    CohortPool

    Raises
    ------
    InputError
        If there are fewer than two cohorts, a value is missing, a standard error is not positive,
        or an estimate lies outside the range of the scale. Leave out a cohort without the metric,
        and say so.

    Warns
    -----
    DataWarning
        If the estimates agree more closely than their standard errors suggest, so that the interval
        is narrower than normal limits without any variance between cohorts: chance agreement of a
        few cohorts, not precision. Identical estimates give an interval of no width.

    Warnings
    --------
    With three or four cohorts the variance between them is hardly estimated: the prediction
    interval is wide because it must be.

    Notes
    -----
    DerSimonian and Laird (1986), doi:10.1016/0197-2456(86)90046-2; Hartung and Knapp (2001),
    doi:10.1002/sim.1009; the comparison with normal limits: Jackson et al. (2017),
    doi:10.1002/sim.7411; Higgins et al. (2009), doi:10.1111/j.1467-985X.2008.00552.x; Snell
    et al. (2018), doi:10.1177/0962280217705678. R
    ``metafor::rma(y, v, method = "REML" or "DL", test = "knha")`` and ``predict``.

    Examples
    --------
    >>> pool = pool_cohorts([0.62, 0.71, 0.66], [0.03, 0.04, 0.025], scale="logit")
    >>> round(pool.estimate, 3), round(pool.lower, 3), round(pool.upper, 3)
    (0.656, 0.55, 0.748)
    """
    y, v = _check(estimate, se, scale)
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    if method not in ("reml", "dersimonian_laird"):
        raise InputError(f"method is {method!r}: use 'reml' or 'dersimonian_laird'")
    fixed = 1 / v
    q = float(fixed @ (y - fixed @ y / fixed.sum()) ** 2)
    df = y.size - 1
    # DerSimonian and Laird: the moment of Q
    moment = max(0.0, (q - df) / float(fixed.sum() - (fixed**2).sum() / fixed.sum()))
    tau_squared = moment if method == "dersimonian_laird" else _reml(y, v, moment)
    w = 1 / (v + tau_squared)
    mean = float(w @ y / w.sum())
    variance = float(w @ (y - mean) ** 2 / df / w.sum())
    width = float(student_t.ppf(0.5 + confidence_level / 2, df))
    usual = norm.ppf(0.5 + confidence_level / 2) / np.sqrt(fixed.sum())
    if width * np.sqrt(variance) < usual:
        warnings.warn(
            f"the {y.size} cohorts agree more closely than their standard errors suggest: the "
            f"interval's half-width is {width * np.sqrt(variance):.3g} on the {scale} scale, and "
            f"{usual:.3g} without any variance between cohorts; report the wider",
            DataWarning,
            stacklevel=2,
        )
    near, far = width * np.sqrt(variance), width * np.sqrt(variance + tau_squared)
    ends = np.array([mean, mean - near, mean + near, mean - far, mean + far])
    centre, lower, upper, new_lower, new_upper = _from_scale(ends, scale).tolist()
    return CohortPool(
        estimate=centre,
        lower=lower,
        upper=upper,
        prediction_lower=new_lower,
        prediction_upper=new_upper,
        tau=float(np.sqrt(tau_squared)),
        q=q,
        i_squared=max(0.0, 1 - df / q) if q > 0 else 0.0,
        weights=w / w.sum(),
        scale=scale,
        method=method,
        n_cohorts=y.size,
    )


def _reml(y: FloatArray, v: FloatArray, start: float) -> float:
    """Variance between cohorts by restricted maximum likelihood (Fisher scoring)."""
    tau_squared, damping, last = start, 1.0, 0.0
    for _ in range(_MAX_STEPS):
        w = 1 / (v + tau_squared)
        s1, s2, s3 = w.sum(), (w**2).sum(), (w**3).sum()
        residual = y - w @ y / s1
        step = ((w**2) @ residual**2 - (s1 - s2 / s1)) / (s2 - 2 * s3 / s1 + s2**2 / s1**2)
        if step * last < 0:  # full steps can overshoot and jump between two values for ever
            damping /= 2
        moved = max(0.0, tau_squared + damping * float(step))
        if abs(moved - tau_squared) <= _TOLERANCE * (tau_squared + float(v.min())):
            return moved
        tau_squared, last = moved, float(step)
    raise InputError(
        "the variance between cohorts did not converge: use method='dersimonian_laird'"
    )


def _check(estimate: ArrayLike, se: ArrayLike, scale: str) -> tuple[FloatArray, FloatArray]:
    """Estimates and variances on the scale of pooling."""
    try:
        value, error = np.asarray(estimate, np.float64), np.asarray(se, np.float64)
    except (TypeError, ValueError):
        raise InputError("estimate or se is not numeric: give a number for each cohort") from None
    if value.ndim != 1 or value.shape != error.shape or value.size < 2:
        raise InputError(
            f"estimate and se have shapes {value.shape} and {error.shape}: give one of each for "
            "two cohorts or more"
        )
    low, high = {"identity": (-np.inf, np.inf), "logit": (0.0, 1.0), "log": (0.0, np.inf)}.get(
        scale, (np.nan, np.nan)
    )
    if np.isnan(low):
        raise InputError(f"scale is {scale!r}: use 'identity', 'logit' or 'log'")
    faults = Faults()
    missing = ~(np.isfinite(value) & np.isfinite(error))
    for wrong, what, remedy in (
        (missing, "estimate or se is missing", "leave that cohort out and say so"),
        (~missing & (error <= 0), "se is not positive", "give the standard error of the cohort"),
        (
            ~missing & ~((value > low) & (value < high)),
            f"estimate is outside the range of the {scale} scale",
            "pool on another scale",
        ),
    ):
        if wrong.any():
            faults.add(f"{what} in row {name_rows(np.flatnonzero(wrong))}: {remedy}")
    faults.raise_if_any()
    if scale == "logit":
        return np.asarray(logit(value)), (error / (value * (1 - value))) ** 2
    if scale == "log":
        return np.log(value), (error / value) ** 2
    return value, error**2


def _from_scale(values: FloatArray, scale: str) -> FloatArray:
    if scale == "logit":
        return np.asarray(expit(values))
    return np.exp(values) if scale == "log" else values
