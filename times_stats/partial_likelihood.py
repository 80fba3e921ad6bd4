"""Cox partial likelihood with Efron's correction for ties, by cumulative sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from times_stats._typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class RiskSets:
    """Risk sets of one sample, sorted once and shared by every evaluation.

    Attributes
    ----------
    order : int array, shape (n,)
        Positions of the patients by increasing time.
    event : float array, shape (n,)
        1 where the event happened, in that order.
    first_at_risk : int array, shape (n_event_times,)
        First sorted position at risk at each distinct event time.
    tie_of_event : int array, shape (n_events,)
        Index of the event time of each event.
    fraction : float array, shape (n_events,)
        Efron's fraction l / d of each event: 0, 1/d, ..., (d - 1)/d among d tied events.
    n_times_passed : int array, shape (n,)
        Number of distinct event times at or before each patient's time.
    event_times : float array, shape (n_event_times,)
        The distinct event times.
    """

    order: IntArray
    event: FloatArray
    first_at_risk: IntArray
    tie_of_event: IntArray
    fraction: FloatArray
    n_times_passed: IntArray
    event_times: FloatArray


def build_risk_sets(time: FloatArray, event: IntArray) -> RiskSets:
    """Sort a right-censored sample and describe its risk sets.

    Events precede censorings at the same time: a patient censored at an event time is at risk.

    Parameters
    ----------
    time : float array, shape (n,)
        Follow-up in months.
    event : int array, shape (n,)
        1 if the event happened at `time`, 0 if censored.

    Returns
    -------
    RiskSets
        Sorted sample with the ties of its events.

    Examples
    --------
    >>> sets = build_risk_sets(np.array([2.0, 1.0, 2.0]), np.array([1, 0, 1]))
    >>> sets.event_times, sets.fraction
    (array([2.]), array([0. , 0.5]))
    """
    order = np.argsort(time, kind="stable")
    sorted_time = time[order]
    happened = event[order] == 1
    event_times, tie_of_event, deaths = np.unique(
        sorted_time[happened], return_inverse=True, return_counts=True
    )
    first_event = np.cumsum(deaths) - deaths
    rank = np.arange(tie_of_event.size) - first_event[tie_of_event]
    return RiskSets(
        order=order,
        event=happened.astype(np.float64),
        first_at_risk=np.searchsorted(sorted_time, event_times, side="left"),
        tie_of_event=tie_of_event,
        fraction=rank / deaths[tie_of_event],
        n_times_passed=np.searchsorted(event_times, sorted_time, side="right"),
        event_times=event_times,
    )


def _reverse_cumulative(values: FloatArray) -> FloatArray:
    return np.cumsum(values[::-1], axis=0)[::-1]


def _denominators(sets: RiskSets, relative_risk: FloatArray) -> FloatArray:
    """Return the Efron denominator of each event, shape (n_events,)."""
    at_risk = _reverse_cumulative(relative_risk)[sets.first_at_risk]
    tied = np.bincount(
        sets.tie_of_event,
        weights=relative_risk[sets.event == 1.0],
        minlength=sets.event_times.size,
    )
    return at_risk[sets.tie_of_event] - sets.fraction * tied[sets.tie_of_event]


def _expected_events(
    sets: RiskSets, relative_risk: FloatArray, denominators: FloatArray
) -> FloatArray:
    """Return each patient's cumulative hazard over the follow-up, shape (n,)."""
    tie, fraction, n_ties = sets.tie_of_event, sets.fraction, sets.event_times.size
    inverse = 1.0 / denominators
    hazard = np.concatenate([[0.0], np.cumsum(np.bincount(tie, inverse, n_ties))])
    expected = hazard[sets.n_times_passed]
    expected[sets.event == 1.0] -= np.bincount(tie, fraction * inverse, n_ties)[tie]
    return np.asarray(expected * relative_risk)


def martingale_residuals(sets: RiskSets, linear_predictor: FloatArray) -> FloatArray:
    """Return events minus what the Cox model expects of each patient.

    They are the derivatives of `efron_log_likelihood` with respect to the linear predictor: the
    score of any column is its product with them.

    Parameters
    ----------
    sets : RiskSets
        Sorted sample.
    linear_predictor : float array, shape (n,)
        Log relative hazard, in *sorted* order.

    Returns
    -------
    float array, shape (n,)
        Residuals in *sorted* order, which sum to 0.

    References
    ----------
    Therneau T. M., Grambsch P. M., Fleming T. R. (1990). Martingale-based residuals for survival
    models. *Biometrika* 77, 147-160. doi:10.1093/biomet/77.1.147

    Examples
    --------
    >>> sets = build_risk_sets(np.array([1.0, 2.0]), np.array([1, 1]))
    >>> martingale_residuals(sets, np.zeros(2)).round(3).tolist()
    [0.5, -0.5]
    """
    relative_risk = np.exp(linear_predictor - linear_predictor.max())
    expected = _expected_events(sets, relative_risk, _denominators(sets, relative_risk))
    return np.asarray(sets.event - expected)


def efron_log_likelihood(sets: RiskSets, linear_predictor: FloatArray) -> float:
    """Return the log partial likelihood with Efron's handling of ties.

    Parameters
    ----------
    sets : RiskSets
        Sorted sample.
    linear_predictor : float array, shape (n,)
        Log relative hazard, in *sorted* order.

    Returns
    -------
    float
        ``sum over events of eta_i - log(sum at risk - l/d * sum tied)``.
    """
    shift = float(linear_predictor.max())
    denominators = _denominators(sets, np.exp(linear_predictor - shift))
    n_events = denominators.size
    return float(sets.event @ linear_predictor - np.log(denominators).sum() - n_events * shift)


def efron_derivatives(
    sets: RiskSets, X: FloatArray, linear_predictor: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Return the Efron log partial likelihood, its gradient and the information matrix.

    The gradient is ``X' m`` with m the martingale residuals; the information is
    ``X' diag(w c) X - sum over events of a a'`` with a the weighted mean of the risk set, so that
    no matrix per event is formed.

    Parameters
    ----------
    sets : RiskSets
        Sorted sample.
    X : float array, shape (n, p)
        Covariates, in *sorted* order.
    linear_predictor : float array, shape (n,)
        Log relative hazard, in *sorted* order.

    Returns
    -------
    log_likelihood : float
        Log partial likelihood.
    gradient : float array, shape (p,)
        Score vector.
    information : float array, shape (p, p)
        Observed information (minus the Hessian).

    References
    ----------
    Efron B. (1977). The efficiency of Cox's likelihood function for censored data. *JASA* 72,
    557-565. doi:10.1080/01621459.1977.10480613
    """
    shift = float(linear_predictor.max())
    relative_risk = np.exp(linear_predictor - shift)
    happened = sets.event == 1.0
    weighted = relative_risk[:, None] * X
    weighted_events = weighted[happened]
    starts = np.flatnonzero(sets.fraction == 0.0)
    tied_means = np.add.reduceat(weighted_events, starts, axis=0)
    denominators = _denominators(sets, relative_risk)
    tie, fraction = sets.tie_of_event, sets.fraction
    means = (
        _reverse_cumulative(weighted)[sets.first_at_risk][tie] - fraction[:, None] * tied_means[tie]
    ) / denominators[:, None]
    expected = _expected_events(sets, relative_risk, denominators)
    log_likelihood = float(
        sets.event @ linear_predictor - np.log(denominators).sum() - denominators.size * shift
    )
    gradient = X.T @ (sets.event - expected)
    information = X.T @ (expected[:, None] * X) - means.T @ means
    return log_likelihood, gradient, information


def efron_cumulative_hazard(sets: RiskSets, linear_predictor: FloatArray) -> FloatArray:
    """Return the baseline cumulative hazard at the distinct event times.

    Breslow's estimator with Efron's denominators: what `basehaz` of R's survival returns for a
    fit with ``ties = "efron"``.

    Parameters
    ----------
    sets : RiskSets
        Sorted sample.
    linear_predictor : float array, shape (n,)
        Log relative hazard, in *sorted* order.

    Returns
    -------
    float array, shape (n_event_times,)
        Cumulative hazard of a patient whose linear predictor is 0.
    """
    shift = float(linear_predictor.max())
    inverse = 1.0 / _denominators(sets, np.exp(linear_predictor - shift))
    increments = np.bincount(sets.tie_of_event, inverse, sets.event_times.size)
    cumulative: FloatArray = np.cumsum(increments) * np.exp(-shift)
    return cumulative
