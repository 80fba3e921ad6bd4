"""From a booster's margin to a probability of the event: baselines learned in the training fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.nonparametric.step_curve import step_value

_SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class BreslowBaseline:
    """Breslow estimate of the cumulative baseline hazard of one training fold.

    Parameters
    ----------
    times : ndarray, shape (n_event_times,)
        Distinct event times of the training fold, ascending, months.
    cumulative_hazard : ndarray, shape (n_event_times,)
        H_0 just after each event time, for a margin of zero.
    variance : ndarray, shape (n_event_times,)
        Variance of H_0 just after each event time, margins held fixed.
    last_time : float
        Longest follow-up of the training fold, months; H_0 is unknown beyond it.
    """

    times: FloatArray
    cumulative_hazard: FloatArray
    variance: FloatArray
    last_time: float

    def at(self, horizon: float) -> float:
        """Cumulative baseline hazard at a horizon.

        Parameters
        ----------
        horizon : float
            Months after time zero.

        Returns
        -------
        float
            H_0(horizon), positive.

        Raises
        ------
        InputError
            If the training fold has no event by the horizon, or no follow-up as long as it.
        """
        if horizon > self.last_time:
            raise InputError(
                f"horizon {horizon:g} lies beyond the longest follow-up of the training fold "
                f"({self.last_time:g}): choose an earlier horizon"
            )
        hazard = float(step_value(self.times, self.cumulative_hazard, horizon, start=0.0))
        if hazard == 0.0:
            raise InputError(
                f"no event by the horizon {horizon:g} in the training fold: choose a later horizon"
            )
        return hazard

    def log_variance_at(self, horizon: float) -> float:
        r"""Variance of log H_0 at a horizon, margins held fixed.

        .. math:: \frac{1}{H_0(h)^2} \sum_{t_j \le h} \frac{d_j}{S_j^2}

        with d_j the events at t_j and S_j the sum of :math:`e^{f_i}` over those at risk.

        Parameters
        ----------
        horizon : float
            Months after time zero.

        Returns
        -------
        float
            Positive.

        Raises
        ------
        InputError
            As `at`.

        References
        ----------
        Tsiatis (1981), doi:10.1214/aos/1176345335 (its first term).
        """
        hazard = self.at(horizon)
        return float(step_value(self.times, self.variance, horizon, start=0.0)) / hazard**2


def estimate_baseline(
    time: FloatArray,
    event: IntArray,
    margin: FloatArray,
    *,
    weight: FloatArray | None = None,
) -> BreslowBaseline:
    r"""Estimate the cumulative baseline hazard, margins held fixed.

    .. math:: H_0(t) = \sum_{t_j \le t} \frac{\sum_i w_i\,1(T_i = t_j, \delta_i = 1)}
              {\sum_i w_i\,1(T_i \ge t_j)\,e^{f_i}}

    Parameters
    ----------
    time : ndarray, shape (n,)
        Follow-up, months.
    event : ndarray, shape (n,)
        1 = event.
    margin : ndarray, shape (n,)
        Log-hazard of each training patient.
    weight : ndarray, shape (n,), optional
        Case weights; 1 if left out.

    Returns
    -------
    BreslowBaseline

    References
    ----------
    Breslow, N. (1972), discussion of Cox, J. R. Stat. Soc. B 34:216-217,
    doi:10.1111/j.2517-6161.1972.tb00900.x.

    Examples
    --------
    >>> import numpy as np
    >>> base = estimate_baseline(np.array([1., 2., 3.]), np.array([1, 0, 1]), np.zeros(3))
    >>> base.cumulative_hazard.round(3)
    array([0.333, 1.333])
    """
    weights = np.ones(time.size) if weight is None else weight
    distinct, position = np.unique(time, return_inverse=True)
    events = np.bincount(position, weights=weights * event, minlength=distinct.size)
    hazard_mass = np.bincount(position, weights=weights * np.exp(margin), minlength=distinct.size)
    at_risk = hazard_mass[::-1].cumsum()[::-1]
    happened = events > 0
    steps = events[happened] / at_risk[happened]
    return BreslowBaseline(
        times=distinct[happened],
        cumulative_hazard=steps.cumsum(),
        variance=(steps / at_risk[happened]).cumsum(),
        last_time=float(distinct[-1]),
    )


def event_probability(log_cumulative_hazard: FloatArray) -> FloatArray:
    """Probability of the event from the log cumulative hazard: ``1 - exp(-exp(x))``.

    Parameters
    ----------
    log_cumulative_hazard : ndarray
        log H at the horizon.

    Returns
    -------
    ndarray
        Probability in [0, 1]; NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> event_probability(np.array([0.0])).round(4)
    array([0.6321])
    """
    return np.asarray(-np.expm1(-np.exp(log_cumulative_hazard)), dtype=np.float64)


def complementary_log_log(probability: FloatArray) -> FloatArray:
    """Log cumulative hazard of a probability: ``log(-log(1 - p))``, finite on [0, 1].

    Parameters
    ----------
    probability : ndarray
        Probabilities; those within 1e-12 of 0 or 1 are moved there.

    Returns
    -------
    ndarray
        log H; NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> complementary_log_log(event_probability(np.array([-1.0, 0.5]))).round(6)
    array([-1. ,  0.5])
    """
    inside = np.clip(probability, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return np.asarray(np.log(-np.log1p(-inside)), dtype=np.float64)
