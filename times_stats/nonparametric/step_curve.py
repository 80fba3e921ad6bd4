"""Step functions of time: what every estimate without a model returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from times_stats._typing import FloatArray
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True)
class StepCurve:
    """A step function of time, continuous from the right, with its risk sets.

    Attributes
    ----------
    times : ndarray, shape (k,)
        Distinct follow-up times (events and censorings), increasing.
    values : ndarray, shape (k,)
        Value from each time on.
    at_risk, events : ndarray, shape (k,)
        Number at risk just before each time, and number of events at it.
    se : ndarray, shape (k,)
        Standard error of `values`.
    start : float
        Value before the first time (1 for survival, 0 for hazard and incidence).
    """

    times: FloatArray
    values: FloatArray
    at_risk: FloatArray
    events: FloatArray
    se: FloatArray
    start: float = 1.0

    def at(self, t: ArrayLike) -> FloatArray:
        """Return the value at `t`; after the last time the last value is carried on.

        Parameters
        ----------
        t : array-like
            Times.

        Returns
        -------
        ndarray
            Values, of the shape of `t`.
        """
        return self._value(t, "right")

    def before(self, t: ArrayLike) -> FloatArray:
        """Return the limit from the left at `t`.

        Parameters
        ----------
        t : array-like
            Times.

        Returns
        -------
        ndarray
            Values, of the shape of `t`.
        """
        return self._value(t, "left")

    def se_at(self, t: ArrayLike) -> FloatArray:
        """Return the standard error at `t` (0 before the first time).

        Parameters
        ----------
        t : array-like
            Times.

        Returns
        -------
        ndarray
            Standard errors, of the shape of `t`.
        """
        return step_value(self.times, self.se, t, start=0.0)

    def number_at_risk(self, t: ArrayLike) -> FloatArray:
        """Return the number still under observation just before `t`.

        Parameters
        ----------
        t : array-like
            Times.

        Returns
        -------
        ndarray
            Counts (or weights), of the shape of `t`.
        """
        position = np.searchsorted(self.times, np.asarray(t, dtype=np.float64), "left")
        return np.asarray(np.r_[self.at_risk, 0.0][position], dtype=np.float64)

    def quantile(self, p: float) -> float:
        """Return the time at which the curve has moved by `p` from its start.

        Parameters
        ----------
        p : float
            Fraction in (0, 1); .5 gives the median survival time.

        Returns
        -------
        float
            First time at which the change reaches `p`; the middle of the flat stretch where it
            equals `p` exactly (the rule of R ``quantile.survfit``); NaN if it is never reached.
        """
        change = np.abs(self.values - self.start)
        tolerance = 1e-9
        reached = np.flatnonzero(change >= p - tolerance)
        if reached.size == 0:
            return float("nan")
        passed = np.flatnonzero(change > p + tolerance)
        last = passed[0] if passed.size else len(change) - 1
        return float((self.times[reached[0]] + self.times[last]) / 2)

    def interval(self, *, confidence_level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        r"""Return pointwise limits of a survival curve on the log-minus-log scale.

        .. math:: S^{\exp(\pm z\, \mathrm{se} / (S \log S))}

        Parameters
        ----------
        confidence_level : float, default 0.95
            Pointwise level.

        Returns
        -------
        lower, upper : ndarray, shape (k,)
            Limits of `values`, in (0, 1); where the value is 0 or 1 both are the value itself.

        Raises
        ------
        InputError
            If the level is not inside (0, 1).

        Notes
        -----
        Kalbfleisch and Prentice (2002), doi:10.1002/9781118032985. R ``survfit(..., conf.type =
        "log-log")``.
        """
        if not 0 < confidence_level < 1:
            raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
        inside = (self.values > 0) & (self.values < 1)
        survival = np.where(inside, self.values, 0.5)
        log = np.log(survival)
        se = np.where(inside, self.se, 0.0)
        width = norm.ppf(0.5 + confidence_level / 2) * se / (survival * np.abs(log))
        lower = np.where(inside, np.exp(log * np.exp(width)), self.values)
        upper = np.where(inside, np.exp(log * np.exp(-width)), self.values)
        return lower, upper

    def _value(self, t: ArrayLike, side: Literal["left", "right"]) -> FloatArray:
        return step_value(self.times, self.values, t, start=self.start, side=side)


def step_value(
    times: FloatArray,
    values: FloatArray,
    t: ArrayLike,
    *,
    start: float,
    side: Literal["left", "right"] = "right",
) -> FloatArray:
    """Return the value of a step function at `t`, or just before it.

    Parameters
    ----------
    times : ndarray, shape (k,)
        Where the function steps, increasing.
    values : ndarray, shape (k,)
        Value from each of these times on.
    t : array-like
        Times asked for.
    start : float
        Value before the first step.
    side : {"right", "left"}
        Value at `t`, or the limit from the left.

    Returns
    -------
    ndarray
        Values, of the shape of `t`.

    Examples
    --------
    >>> step_value(np.array([1.0, 2.0]), np.array([0.3, 0.5]), [0.5, 1.0, 9.0], start=0.0)
    array([0. , 0.3, 0.5])
    """
    position = np.searchsorted(times, np.asarray(t, dtype=np.float64), side)
    return np.asarray(np.r_[start, values][position], dtype=np.float64)
