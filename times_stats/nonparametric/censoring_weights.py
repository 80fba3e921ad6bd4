"""Inverse probability of censoring weights at a horizon."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_survival_arrays
from times_stats._typing import FloatArray, IntArray
from times_stats.nonparametric.censoring import check_horizon


class UncensoredChance(Protocol):
    """Anything that gives the chance of being uncensored beyond a time, or just before it."""

    def at(self, t: ArrayLike, *, strata: ArrayLike | None = None) -> FloatArray:
        """Return G(t), at one time or at one for each patient."""

    def before(self, t: ArrayLike, *, strata: ArrayLike | None = None) -> FloatArray:
        """Return G(t-), at one time or at one for each patient."""


def ipcw_weights(
    time: ArrayLike,
    event: ArrayLike,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
    min_probability: float = 0.1,
) -> FloatArray:
    """Weigh patients of known status at the horizon by the inverse chance of knowing it.

    ``1 / G(t-)`` for events by the horizon, ``1 / G(horizon)`` for patients followed beyond it, 0
    for those censored by then.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    horizon : float
        Landmark (months).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    min_probability : float
        Least acceptable G(horizon) in a stratum.

    Returns
    -------
    ndarray, shape (n,)
        Weights, 0 or at least 1.

    Raises
    ------
    InputError
        As `check_horizon`.

    Notes
    -----
    Graf et al. (1999),
    doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.

    Examples
    --------
    >>> ipcw_weights([1, 2, 3, 4], [1, 0, 1, 0], horizon=3)
    array([1. , 0. , 1.5, 1.5])
    """
    months, happened = check_survival_arrays(time, event)
    G = check_horizon(
        months, happened, horizon=horizon, strata=strata, min_probability=min_probability
    )
    return weights_at(G, months, happened, horizon=horizon, strata=strata)


def weights_at(
    distribution: UncensoredChance,
    time: FloatArray,
    event: IntArray,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
) -> FloatArray:
    """Weights of `ipcw_weights` at one horizon from a censoring distribution at hand.

    Parameters
    ----------
    distribution : CensoringDistribution
        Censoring distribution, or another object with its `at` and `before`.
    time, event : ndarray, shape (n,)
        Checked follow-up (months) and event indicator.
    horizon : float
        Landmark (months).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> from times_stats.nonparametric import censoring_distribution
    >>> G = censoring_distribution([1, 2, 3, 4], [1, 0, 1, 0])
    >>> weights_at(G, np.array([1.0, 2, 3, 4]), np.array([1, 0, 1, 0]), horizon=2)
    array([1. , 0. , 1.5, 1.5])
    """
    known = (time <= horizon) & (event == 1)
    beyond = time > horizon
    weights = np.zeros(time.size)
    reached = np.broadcast_to(distribution.at(horizon, strata=strata), time.shape)
    left = distribution.before(time, strata=strata)
    weights[known] = 1 / left[known]
    weights[beyond] = 1 / reached[beyond]
    return weights
