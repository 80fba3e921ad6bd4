"""Ridge Cox regressions on many subsets of the same columns, in compiled loops.

The fit is that of `times_stats.rivals.RidgeCox` on columns that are standardised already; what does
not depend on the subset (risk sets, transforms) is made once and shared.
"""

from __future__ import annotations

import numpy as np

from times_stats._compiled import compiled
from times_stats._typing import FloatArray, IntArray
from times_stats.partial_likelihood import RiskSets
from times_stats.rivals.cox import LOG_PENALTY_BOUNDS, WEAK_PRECISION

_N_GRID = 5
_LOG_PENALTY_TOLERANCE = 0.1
_GOLDEN = (5.0**0.5 - 1.0) / 2.0
_MAX_NEWTON = 50
_FINAL_TOLERANCE = 1e-14
_SEARCH_TOLERANCE = 1e-6
_NEAR_MAXIMUM = 1e-8
_MAX_HALVINGS = 30


def fit_subset(
    sets: RiskSets, X: FloatArray, *, n_weak: int, penalty: float | None = None
) -> tuple[FloatArray, float]:
    """Fit a ridge Cox regression and learn its penalty from the marginal likelihood.

    Columns after the first `n_weak` share one penalty, which maximises the Laplace approximation of
    the log marginal likelihood: a grid of five between 0.1 and 10,000 on the log scale, then golden
    sections around the best, to .1. The weak columns keep the prior N(0, 2^2).

    Parameters
    ----------
    sets : RiskSets
        Sorted training sample.
    X : float array, shape (n, p)
        Standardised columns, in *sorted* order, without gaps.
    n_weak : int
        Number of leading columns with the fixed weak prior (stage, cohort).
    penalty : float, optional
        Penalty, in place of learning it.

    Returns
    -------
    coefficients : float array, shape (p,)
    penalty : float
        NaN where there is no column to penalise.

    Examples
    --------
    >>> from times_stats.partial_likelihood import build_risk_sets
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(60, 1))
    >>> sets = build_risk_sets(rng.exponential(np.exp(-x[:, 0])), np.ones(60, dtype=np.int64))
    >>> coefficients, penalty = fit_subset(sets, x[sets.order], n_weak=0)
    >>> bool(coefficients[0] > 0.5), bool(0.1 <= penalty <= 1e4)
    (True, True)
    """
    if X.shape[1] == 0:
        return np.zeros(0), np.nan
    coefficients, log_penalty = _learn(
        np.ascontiguousarray(X),
        sets.event,
        sets.first_at_risk,
        sets.tie_of_event,
        sets.fraction,
        sets.n_times_passed,
        n_weak,
        np.nan if penalty is None else float(np.log(penalty)),
        WEAK_PRECISION,
        *LOG_PENALTY_BOUNDS,
    )
    return coefficients, float(np.exp(log_penalty)) if n_weak < X.shape[1] else np.nan


@compiled
def _log_likelihood(
    eta: FloatArray,
    event: FloatArray,
    first_at_risk: IntArray,
    tie: IntArray,
    fraction: FloatArray,
) -> float:
    """Efron log partial likelihood of a linear predictor in sorted order."""
    n, n_ties = eta.size, first_at_risk.size
    shift = eta.max()
    at_risk, tied = np.zeros(n_ties), np.zeros(n_ties)
    running, k = 0.0, n_ties - 1
    total = 0.0
    e = tie.size - 1
    for i in range(n - 1, -1, -1):
        risk = np.exp(eta[i] - shift)
        running += risk
        if event[i] == 1.0:
            tied[tie[e]] += risk
            total += eta[i] - shift
            e -= 1
        if k >= 0 and i == first_at_risk[k]:
            at_risk[k] = running
            k -= 1
    for e in range(tie.size):
        total -= np.log(at_risk[tie[e]] - fraction[e] * tied[tie[e]])
    return total


@compiled
def _derivatives(
    X: FloatArray,
    eta: FloatArray,
    event: FloatArray,
    first_at_risk: IntArray,
    tie: IntArray,
    fraction: FloatArray,
    n_times_passed: IntArray,
) -> tuple[float, FloatArray, FloatArray]:
    """Efron log partial likelihood, gradient and information, as `efron_derivatives`."""
    n, p = X.shape
    n_ties, n_events = first_at_risk.size, tie.size
    shift = eta.max()
    risk = np.exp(eta - shift)
    at_risk, tied = np.zeros(n_ties), np.zeros(n_ties)
    at_risk_sum, tied_sum = np.zeros((n_ties, p)), np.zeros((n_ties, p))
    running, running_sum = 0.0, np.zeros(p)
    log_likelihood = 0.0
    k, e = n_ties - 1, n_events - 1
    for i in range(n - 1, -1, -1):
        running += risk[i]
        for j in range(p):
            running_sum[j] += risk[i] * X[i, j]
        if event[i] == 1.0:
            tied[tie[e]] += risk[i]
            for j in range(p):
                tied_sum[tie[e], j] += risk[i] * X[i, j]
            log_likelihood += eta[i] - shift
            e -= 1
        if k >= 0 and i == first_at_risk[k]:
            at_risk[k] = running
            at_risk_sum[k] = running_sum
            k -= 1
    means = np.empty((n_events, p))
    hazard, own = np.zeros(n_ties + 1), np.zeros(n_ties)
    for e in range(n_events):
        k = tie[e]
        denominator = at_risk[k] - fraction[e] * tied[k]
        log_likelihood -= np.log(denominator)
        for j in range(p):
            means[e, j] = (at_risk_sum[k, j] - fraction[e] * tied_sum[k, j]) / denominator
        hazard[k + 1] += 1.0 / denominator
        own[k] += fraction[e] / denominator
    for k in range(n_ties):
        hazard[k + 1] += hazard[k]
    residual, weighted = np.empty(n), np.empty((n, p))
    e = 0
    for i in range(n):
        expected = hazard[n_times_passed[i]]
        if event[i] == 1.0:
            expected -= own[tie[e]]
            e += 1
        expected *= risk[i]
        residual[i] = event[i] - expected
        for j in range(p):
            weighted[i, j] = expected * X[i, j]
    gradient = np.dot(X.T, residual)
    information = np.dot(X.T, weighted) - np.dot(means.T, means)
    return log_likelihood, gradient, information


@compiled
def _maximise(
    X: FloatArray,
    event: FloatArray,
    first_at_risk: IntArray,
    tie: IntArray,
    fraction: FloatArray,
    n_times_passed: IntArray,
    precision: FloatArray,
    start: FloatArray,
    tolerance: float,
) -> tuple[FloatArray, float, bool]:
    """Newton's method; coefficients, log marginal likelihood, and whether it converged."""
    p = X.shape[1]
    beta = start.copy()
    eta = np.dot(X, beta)
    objective, log_determinant, converged = 0.0, 0.0, False
    for _ in range(_MAX_NEWTON):
        log_likelihood, gradient, information = _derivatives(
            X, eta, event, first_at_risk, tie, fraction, n_times_passed
        )
        objective = log_likelihood
        slope = gradient.copy()
        for j in range(p):
            objective -= 0.5 * precision[j] * beta[j] ** 2
            slope[j] -= precision[j] * beta[j]
            information[j, j] += precision[j]
        root = np.linalg.cholesky(information)
        log_determinant = 0.0
        for j in range(p):
            log_determinant += 2.0 * np.log(root[j, j])
        step = np.linalg.solve(information, slope)
        gain = np.dot(slope, step)
        if gain < tolerance:
            beta = beta + step
            objective += 0.5 * gain
            converged = True
            break
        length, improved = 1.0, False
        for _ in range(_MAX_HALVINGS):
            trial = beta + length * step
            eta = np.dot(X, trial)
            height = _log_likelihood(eta, event, first_at_risk, tie, fraction)
            for j in range(p):
                height -= 0.5 * precision[j] * trial[j] ** 2
            # so near the maximum, a comparison of heights would only compare rounding errors
            if height >= objective or gain < _NEAR_MAXIMUM:
                improved = True
                break
            length /= 2.0
        if not improved:
            converged = True
            break
        beta = trial
    log_marginal = objective - 0.5 * log_determinant
    for j in range(p):
        log_marginal += 0.5 * np.log(precision[j])
    return beta, log_marginal, converged


@compiled
def _learn(
    X: FloatArray,
    event: FloatArray,
    first_at_risk: IntArray,
    tie: IntArray,
    fraction: FloatArray,
    n_times_passed: IntArray,
    n_weak: int,
    given: float,
    weak_precision: float,
    low: float,
    high: float,
) -> tuple[FloatArray, float]:
    """Search the log penalty unless it is given; coefficients and log penalty."""
    p = X.shape[1]
    precision = np.full(p, weak_precision)
    beta = np.zeros(p)
    chosen = given
    if np.isnan(given) and n_weak < p:
        width = (high - low) / (_N_GRID - 1)
        best, top = 0, -np.inf
        for g in range(_N_GRID):
            # from the strongest penalty on: the first start, 0, is nearly the solution there
            value = high - g * width
            precision[n_weak:] = np.exp(value)
            beta, height, _ = _maximise(
                X, event, first_at_risk, tie, fraction, n_times_passed, precision, beta,
                _SEARCH_TOLERANCE,
            )  # fmt: skip
            if height > top:
                best, top = g, height
        chosen = high - best * width
        left, right = max(chosen - width, low), min(chosen + width, high)
        inner = np.array([right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)])
        heights = np.empty(2)
        for side in range(2):
            precision[n_weak:] = np.exp(inner[side])
            beta, heights[side], _ = _maximise(
                X, event, first_at_risk, tie, fraction, n_times_passed, precision, beta,
                _SEARCH_TOLERANCE,
            )  # fmt: skip
        while True:
            for side in range(2):
                if heights[side] > top:
                    chosen, top = inner[side], heights[side]
            if right - left <= _LOG_PENALTY_TOLERANCE:
                break
            if heights[0] > heights[1]:
                right, inner[1], heights[1], side = inner[1], inner[0], heights[0], 0
                inner[0] = right - _GOLDEN * (right - left)
            else:
                left, inner[0], heights[0], side = inner[0], inner[1], heights[1], 1
                inner[1] = left + _GOLDEN * (right - left)
            precision[n_weak:] = np.exp(inner[side])
            beta, heights[side], _ = _maximise(
                X, event, first_at_risk, tie, fraction, n_times_passed, precision, beta,
                _SEARCH_TOLERANCE,
            )  # fmt: skip
    if n_weak < p:
        precision[n_weak:] = np.exp(chosen)
    beta, _, converged = _maximise(
        X, event, first_at_risk, tie, fraction, n_times_passed, precision, beta, _FINAL_TOLERANCE
    )
    if not converged:
        raise ValueError("the penalised Cox regression of a coalition did not converge")
    return beta, chosen
