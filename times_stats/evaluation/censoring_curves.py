"""Censoring weights from a model: the chance of being uncensored, patient by patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_survival_arrays, name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.nonparametric.censoring import CensoringDistribution, check_horizon
from times_stats.partial_likelihood import (
    build_risk_sets,
    efron_cumulative_hazard,
    efron_derivatives,
)

_MAX_STEPS = 50
_TOLERANCE = 1e-10
_LARGEST_SLOPE = 50.0  # standardised: beyond this the likelihood has no maximum
_LARGEST_CONDITION = 1e12


@dataclass(frozen=True, slots=True)
class CensoringCurves:
    """Probability of being uncensored, G_i(t), from any model of censoring.

    Step functions: G_i keeps a value from one time of the grid until the next and is 1 before the
    first. A smooth model is given on a fine grid that holds the evaluation times.

    Attributes
    ----------
    times : ndarray, shape (k,)
        Grid (months), from 0 on and increasing.
    values : ndarray, shape (n, k)
        G_i at each time of the grid, in (0, 1], not increasing.

    Raises
    ------
    InputError
        If the grid is not increasing, or a curve leaves [0, 1] or rises (rows named).

    Examples
    --------
    >>> curves = CensoringCurves([6, 12], [[0.9, 0.8], [0.7, 0.5]])
    >>> curves.at(12), curves.before([12, 12])
    (array([0.8, 0.5]), array([0.9, 0.7]))
    """

    times: FloatArray
    values: FloatArray

    def __post_init__(self) -> None:
        try:
            grid = np.asarray(self.times, dtype=np.float64)
            values = np.asarray(self.values, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError("censoring curves are not numeric: give arrays of numbers") from None
        if grid.ndim != 1 or grid.size == 0 or not np.isfinite(grid).all():
            raise InputError("times of the censoring curves are not finite: give at least one")
        if grid[0] < 0 or (np.diff(grid) <= 0).any():
            raise InputError(
                "times of the censoring curves are not increasing from 0 on: sort them"
            )
        if values.ndim != 2 or values.shape[1] != grid.size:
            raise InputError(
                f"censoring curves have shape {values.shape}: give (n, {grid.size}), a row per "
                "patient"
            )
        wrong = ~(np.isfinite(values) & (values >= 0) & (values <= 1)).all(axis=1)
        wrong |= (np.diff(values, axis=1) > 0).any(axis=1)
        if wrong.any():
            raise InputError(
                f"censoring curve is outside [0, 1] or rises in row "
                f"{name_rows(np.flatnonzero(wrong))}: give probabilities of being uncensored"
            )
        object.__setattr__(self, "times", grid)
        object.__setattr__(self, "values", values)

    def at(self, t: ArrayLike, *, strata: ArrayLike | None = None) -> FloatArray:
        """Return G_i(t).

        Parameters
        ----------
        t : array-like
            Times, one for all patients or one for each.
        strata : None
            A curve belongs to a patient, not to a stratum.

        Returns
        -------
        ndarray, shape (n,)
        """
        return self._value(t, strata, "right")

    def before(self, t: ArrayLike, *, strata: ArrayLike | None = None) -> FloatArray:
        """Return G_i(t-), the limit from the left.

        Parameters
        ----------
        t : array-like
            Times, one for all patients or one for each.
        strata : None
            A curve belongs to a patient, not to a stratum.

        Returns
        -------
        ndarray, shape (n,)
        """
        return self._value(t, strata, "left")

    def all_before(self, t: FloatArray) -> FloatArray:
        """Return G_j(t-) of every patient at every time.

        Parameters
        ----------
        t : ndarray, shape (m,)
            Times.

        Returns
        -------
        ndarray, shape (m, n)
        """
        position = np.searchsorted(self.times, t, side="left")
        reached = self.values[:, np.maximum(position - 1, 0)].T
        return np.where(position[:, None] == 0, 1.0, reached)

    def _value(
        self, t: ArrayLike, strata: ArrayLike | None, side: Literal["left", "right"]
    ) -> FloatArray:
        if strata is not None:
            raise InputError("strata and censoring are both given: give one model of censoring")
        n = len(self.values)
        moments = np.broadcast_to(np.asarray(t, dtype=np.float64), (n,))
        position = np.searchsorted(self.times, moments, side)
        reached = self.values[np.arange(n), np.maximum(position - 1, 0)]
        return np.where(position == 0, 1.0, reached)


type Censoring = CensoringDistribution | CensoringCurves


def resolve_censoring(
    time: FloatArray,
    any_event: IntArray,
    *,
    horizon: float,
    strata: ArrayLike | None,
    censoring: CensoringCurves | None,
    min_probability: float = 0.1,
) -> Censoring:
    """Return the censoring distribution asked for, checked to carry the horizon.

    Parameters
    ----------
    time, any_event : ndarray, shape (n,)
        Checked follow-up, and whether an event of any cause ended it.
    horizon : float
        Last time of interest.
    strata : array-like, shape (n,), optional
        Strata of Kaplan-Meier weights.
    censoring : CensoringCurves, optional
        Curves of a model in their place.
    min_probability : float
        Least acceptable G(horizon).

    Returns
    -------
    CensoringDistribution or CensoringCurves

    Raises
    ------
    InputError
        If strata and curves are both given, the curves belong to another number of patients, or G
        is too small at the horizon.

    Examples
    --------
    >>> time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 1, 0])
    >>> G = resolve_censoring(time, event, horizon=3, strata=None, censoring=None)
    >>> G.at(3).round(3)
    np.float64(0.667)
    """
    if censoring is None:
        return check_horizon(
            time, any_event, horizon=horizon, strata=strata, min_probability=min_probability
        )
    if strata is not None:
        raise InputError("strata and censoring are both given: give one model of censoring")
    if not isinstance(censoring, CensoringCurves):
        raise InputError(
            f"censoring is a {type(censoring).__name__}: give CensoringCurves, or strata for "
            "Kaplan-Meier weights"
        )
    # the horizon itself is checked as it is for Kaplan-Meier weights
    check_horizon(time, any_event, horizon=horizon, min_probability=0.0)
    if len(censoring.values) != time.size:
        raise InputError(
            f"censoring has curves of {len(censoring.values)} patients and there are {time.size}: "
            "give one curve for each"
        )
    # just before the end of follow-up, or at the horizon: no weight is larger than that
    needed = np.where(time > horizon, censoring.at(horizon), censoring.before(time))
    thin = needed < min_probability
    if thin.any():
        raise InputError(
            f"the chance of being uncensored is below {min_probability:g} in row "
            f"{name_rows(np.flatnonzero(thin))}: choose an earlier horizon or a simpler model of "
            "censoring"
        )
    return censoring


def cox_censoring(time: ArrayLike, event: ArrayLike, X: ArrayLike) -> CensoringCurves:
    """Estimate the chance of being uncensored by a Cox regression of censoring.

    Censoring is the event; at a tied time the events leave the risk set before the censorings
    happen. Efron's partial likelihood and baseline hazard; ``G_i(t) = exp(-H_0(t) exp(x_i b))``.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and whether an event of any cause ended it: with competing events give
        ``cause > 0``, so that only true censorings are modelled.
    X : array-like, shape (n, p)
        Covariates of censoring, finite and linearly independent.

    Returns
    -------
    CensoringCurves

    Raises
    ------
    InputError
        If the arrays are not valid, nobody is censored, or the regression has no solution.

    Notes
    -----
    Gerds and Schumacher (2006), doi:10.1002/bimj.200610301. R ``survival::coxph(Surv(k, 1 - event)
    ~ x)`` with ``k = 2 rank(time) + (1 - event)``, which orders the ties; without ties the model of
    ``riskRegression::Score(cens.method = "ipcw", cens.model = "cox")``.

    Examples
    --------
    >>> curves = cox_censoring([1, 2, 3, 4, 5], [0, 1, 0, 1, 0], [[0], [1], [1], [0], [1]])
    >>> curves.at(3).round(3)
    array([0.481, 0.655, 0.655, 0.481, 0.655])
    """
    months, ended = check_survival_arrays(time, event)
    try:
        covariates = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("X is not numeric: give an array of numbers") from None
    if covariates.ndim != 2 or len(covariates) != months.size or not np.isfinite(covariates).all():
        raise InputError(
            f"X has shape {covariates.shape}: give finite covariates, a row for each of "
            f"{months.size} patients"
        )
    if ended.all():
        raise InputError("nobody is censored, so there is nothing to weigh: leave censoring out")
    spread = covariates.std(axis=0)
    if (spread == 0).any():
        raise InputError(
            f"X is constant in column {name_rows(np.flatnonzero(spread == 0))}: leave it out"
        )
    x = (covariates - covariates.mean(axis=0)) / spread
    grid, position = np.unique(months, return_inverse=True)
    sets = build_risk_sets((2 * position + (1 - ended)).astype(np.float64), 1 - ended)
    ordered = x[sets.order]
    beta = np.zeros(x.shape[1])
    for _ in range(_MAX_STEPS):
        _, gradient, information = efron_derivatives(sets, ordered, ordered @ beta)
        if np.linalg.cond(information) > _LARGEST_CONDITION or np.abs(beta).max() > _LARGEST_SLOPE:
            raise InputError(
                "the Cox regression of censoring has no solution: its covariates separate the "
                "censored or depend on each other; use fewer"
            )
        step = np.linalg.solve(information, gradient)
        beta = beta + step
        if np.abs(step).max() < _TOLERANCE:
            break
    else:
        raise InputError("the Cox regression of censoring did not converge: use fewer covariates")
    hazard = efron_cumulative_hazard(sets, ordered @ beta)
    own_time = grid[(sets.event_times.astype(np.int64) - 1) // 2]
    return CensoringCurves(own_time, np.exp(-np.exp(x @ beta)[:, None] * hazard))
