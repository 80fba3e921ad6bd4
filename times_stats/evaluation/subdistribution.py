"""Regression of the subdistribution hazard (Fine and Gray): the calibration curve's, nothing more.

A patient whose competing event came at s stays at risk of the event, with the weight
``G(t-) / G(s-)`` of not having been censored meanwhile.
"""

from __future__ import annotations

import numpy as np

from times_stats._typing import FloatArray, IntArray
from times_stats.nonparametric.estimators import reverse_kaplan_meier

_MAX_STEPS = 50
_TOLERANCE = 1e-9
_LONGEST_STEP = 2.0  # the log likelihood is concave: steps only need a leash
_LARGEST_SLOPE = 50.0
_LARGEST_CONDITION = 1e12


def subdistribution_event_probability(
    time: FloatArray, cause: IntArray, X: FloatArray, *, horizon: float
) -> FloatArray | None:
    """Cumulative incidence by the horizon from a Fine-Gray regression of the outcome on `X`.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Checked follow-up.
    cause : ndarray of int, shape (n,)
        0 censored, 1 the event, 2, 3, ... a competing event.
    X : ndarray, shape (n, p)
        Predictors, linearly independent.
    horizon : float
        Landmark (months).

    Returns
    -------
    ndarray, shape (n,), or None
        Fitted probability of each patient; None where Newton's method finds no maximum.

    Notes
    -----
    Fine and Gray (1999), doi:10.1080/01621459.1999.10474144, with Efron's rule for tied events. R
    ``survival::coxph`` on ``survival::finegray``.

    Examples
    --------
    >>> time, cause = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 1, 0])
    >>> X = np.array([[1.0], [2.0], [0.0], [1.0]])
    >>> subdistribution_event_probability(time, cause, X, horizon=2).round(3)
    array([0.182, 0.074, 0.406, 0.182])
    """
    if not (cause == 1).any():
        return None
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    event_times = np.unique(time[cause == 1])
    chance = reverse_kaplan_meier(time, (cause > 0).astype(np.int64))
    weights = (time >= event_times[:, None]).astype(np.float64)
    gone = (cause > 1) & (time < event_times[:, None])
    kept = chance.before(event_times)[:, None] / chance.before(time)
    weights = np.where(gone, kept, weights)
    own = (cause == 1) & (time == event_times[:, None])
    # Efron: the l-th of d tied events sees the risk set less l / d of the tied
    deaths = own.sum(axis=1)
    moment = np.repeat(np.arange(event_times.size), deaths)
    fraction = (np.arange(moment.size) - np.repeat(np.cumsum(deaths) - deaths, deaths)) / deaths[
        moment
    ]
    at_risk = weights[moment] - fraction[:, None] * own[moment]
    total = (own @ x).sum(axis=0)
    beta = np.zeros(x.shape[1])
    for _ in range(_MAX_STEPS):
        relative = at_risk * np.exp(x @ beta)
        size = relative.sum(axis=1)
        means = relative @ x / size[:, None]
        squares = x.T @ ((relative / size[:, None]).sum(axis=0)[:, None] * x)
        information = squares - means.T @ means
        if np.linalg.cond(information) > _LARGEST_CONDITION:
            return None
        step = np.linalg.solve(information, total - means.sum(axis=0))
        longest = float(np.abs(step).max())
        beta = beta + step * min(1.0, _LONGEST_STEP / max(longest, _LONGEST_STEP))
        if longest < _TOLERANCE:
            size = (at_risk * np.exp(x @ beta)).sum(axis=1)
            hazard = float((1 / size)[event_times[moment] <= horizon].sum())
            probability: FloatArray = 1 - np.exp(-hazard * np.exp(x @ beta))
            return probability
        if np.abs(beta).max() > _LARGEST_SLOPE:
            return None
    return None
