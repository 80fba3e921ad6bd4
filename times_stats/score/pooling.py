"""Pooling of marker estimates on a linear scale: weights, standard error, interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import t as student_t

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.score.latent_evidence import LatentPrior, update_evidence

type Rule = Literal["shrunken", "gls", "random_effects", "bayesian"]
type NegativeWeights = Literal["allow", "truncate"]
RULES: tuple[str, ...] = ("shrunken", "gls", "random_effects", "bayesian")
NEGATIVE_WEIGHTS: tuple[str, ...] = ("allow", "truncate")
_MOST_DF = 1e15  # normal, and finite
_SERIES_FROM = 1000.0


@dataclass(frozen=True, slots=True)
class LinearPool:
    """Pooled estimates on the linear scale.

    Parameters
    ----------
    value, se, lower, upper : ndarray, shape (n_patients,)
        Estimate, standard error, and t interval; NaN for patients without any marker.
    df : ndarray, shape (n_patients,)
        Degrees of freedom of the interval.
    weights : ndarray, shape (n_patients, n_markers)
        Sum to one (``bayesian``: to what the prior leaves); 0 for a missing marker (all 0 for
        patients without any).
    """

    value: FloatArray
    se: FloatArray
    lower: FloatArray
    upper: FloatArray
    df: FloatArray
    weights: FloatArray

    @property
    def variance(self) -> FloatArray:
        """Variance of each estimate: that of the scaled t distribution behind its interval."""
        return conditional_variance(self.se**2, self.df)


def pool_linear(
    estimate: FloatArray,
    variance: FloatArray,
    *,
    df: FloatArray,
    rule: Rule = "shrunken",
    tau_squared: float = 0.0,
    latent_prior: LatentPrior | None = None,
    error_correlation: FloatArray | None = None,
    common_variance: float = 0.0,
    negative_weights: NegativeWeights = "allow",
    confidence_level: float = 0.95,
) -> LinearPool:
    r"""Pool the estimates of several markers, patient by patient.

    With shrunken variances an estimate has, given its variance, a scaled t distribution, so its
    variance is :math:`D_m = v_m d_m / (d_m - 2)`. Weights are

    .. math:: w \propto 1/D \;\text{(shrunken)}, \qquad
              w \propto V^{-1} 1,\; V = G R G + D - G^2 \;\text{(gls)}
              \;\text{or}\; G R G + D - G^2 + \tau^2 I \;\text{(random effects)}

    where G are the means of the standard deviations, given the same data (below the roots of D: V
    is the mean covariance). The standard error is :math:`\sqrt{w'Vw + c}` rescaled to a t interval
    with :math:`1/f = \sum_m p_m^2 / d_m`, where p_m is the part of the variance that comes from
    marker m's own error. One marker (and c = 0) gives back its exact t interval.

    ``bayesian`` updates a normal prior of the patient's value with the ``gls`` estimate
    (`update_evidence`); the posterior variance without c is :math:`\lambda w'Vw` (and a little for
    the error of a learned mean), of which the share :math:`\lambda` comes from the measurements, so
    that its degrees of freedom are :math:`f / \lambda^2`. With a flat prior it is ``gls``, and
    without correlation ``shrunken``.

    Parameters
    ----------
    estimate : ndarray, shape (n_patients, n_markers)
        NaN = missing marker.
    variance : ndarray, same shape
        Shrunken variance v of each estimate (not of one tile), positive.
    df : ndarray, same shape
        Its degrees of freedom d.
    rule : {"shrunken", "gls", "random_effects", "bayesian"}
        Markers estimate one quantity (``gls``: with errors that go together), quantities scattered
        about it, or one quantity that is itself drawn from a population of patients.
    tau_squared : float, default 0
        Variance between markers (``random_effects`` alone).
    latent_prior : LatentPrior, optional
        Population of the patients' values; ``bayesian`` needs it, and no other rule takes it.
    error_correlation : ndarray, shape (n_markers, n_markers), optional
        Correlation R of the markers' errors; identity if left out. It enters the weights of all
        rules but ``shrunken`` (they may be negative) and the standard error of all.
    common_variance : float, default 0
        Variance c of an error that all markers share in full. It adds to the squared standard
        error whatever the number of markers, and changes no weight.
    negative_weights : {"allow", "truncate"}
        Keep negative weights, or leave the markers that have them out and solve again
        (``gls`` and ``random_effects``).
    confidence_level : float, default .95

    Returns
    -------
    LinearPool

    Raises
    ------
    InputError
        An unknown rule, an argument the rule does not use, a confidence level outside (0, 1), a
        negative common variance, an estimate whose variance is not positive, or an error
        correlation that is not positive definite.

    References
    ----------
    Aitken (1936), doi:10.1017/S0370164600014346; Satterthwaite (1946), doi:10.2307/3002019.

    Examples
    --------
    >>> import numpy as np
    >>> pool = pool_linear(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]]), df=np.full((1, 2), 1e6))
    >>> pool.weights.round(3), pool.value.round(3), pool.se.round(3)
    (array([[0.75, 0.25]]), array([0.25]), array([0.866]))
    """
    if rule not in RULES:
        raise InputError(f"pooling {rule!r} is unknown: use one of {', '.join(RULES)}")
    _check_rule(rule, tau_squared, latent_prior, negative_weights)
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level}: give a number in (0, 1)")
    if not (np.isfinite(common_variance) and common_variance >= 0):
        raise InputError(f"common_variance is {common_variance}: give a number of 0 or more")
    n_markers = estimate.shape[1]
    certain = (~np.isnan(estimate) & ~(variance > 0)).any(axis=1)
    if certain.any():
        raise InputError(
            f"variance is missing, 0 or negative in row {name_rows(np.flatnonzero(certain))}: give "
            "a positive one for each estimate, as by shrinking (fit_variance_prior)"
        )
    correlation = _check_correlation(error_correlation, n_markers)
    weights = np.zeros_like(estimate)
    error = np.full(len(estimate), np.nan)
    own = conditional_variance(variance, df)
    shared = _mean_deviation(own, df)
    for rows, kept in _patterns(~np.isnan(estimate)):
        block = np.ix_(rows, kept)
        covariance = _covariance(
            own[block], shared[block], correlation[np.ix_(kept, kept)], tau_squared
        )
        if rule == "shrunken":
            raw = 1 / own[block]
            part = raw / raw.sum(axis=1, keepdims=True)
        else:
            part = _generalised_weights(covariance, negative_weights)
        weights[block] = part
        error[rows] = np.einsum("ij,ijk,ik->i", part, covariance, part)
    value = np.where(np.isnan(error), np.nan, (weights * np.nan_to_num(estimate)).sum(axis=1))
    if latent_prior is not None:
        measured = ~np.isnan(error)
        updated = update_evidence(value[measured], error[measured], prior=latent_prior)
        value[measured], error[measured], own_share = updated
        weights[measured] *= own_share[:, None]
    total = error + common_variance
    own_error = weights**2 * np.where(weights != 0, own, 0.0)
    share = np.divide(own_error, total[:, None], out=np.zeros_like(own), where=own_error > 0)
    share = np.clip(share, 0, 1)
    freedom = 1 / np.maximum((share**2 / df).sum(axis=1), 1 / _MOST_DF)
    se = np.sqrt(total / _inflation(freedom))
    half = student_t.ppf((1 + confidence_level) / 2, freedom) * se
    return LinearPool(
        value=value, se=se, lower=value - half, upper=value + half, df=freedom, weights=weights
    )


def conditional_variance(variance: FloatArray, df: FloatArray) -> FloatArray:
    """Variance of an estimate given its shrunken variance: that of a scaled t distribution.

    Parameters
    ----------
    variance : ndarray
        Shrunken variance v.
    df : ndarray
        Degrees of freedom d; below 3 they count as 3, where the variance is finite.

    Returns
    -------
    ndarray
        ``v d / (d - 2)``.

    Examples
    --------
    >>> import numpy as np
    >>> conditional_variance(np.array([1.0]), np.array([4.0]))
    array([2.])
    """
    return variance * _inflation(df)


def estimate_between_marker_variance(
    estimate: FloatArray,
    variance: FloatArray,
    *,
    df: FloatArray,
    error_correlation: FloatArray | None = None,
) -> float:
    r"""Variance between markers, from all patients at once (Paule-Mandel).

    Solves :math:`\sum_i Q_i(\tau^2) = \sum_i (M_i - 1)` with Q_i the generalised weighted sum of
    squares of patient i's M_i markers about their pooled value.

    Parameters
    ----------
    estimate, variance, df, error_correlation
        As in `pool_linear`.

    Returns
    -------
    float
        tau^2, 0 or more; 0 where no patient has two markers.

    References
    ----------
    Paule and Mandel (1982), doi:10.6028/jres.087.022; DerSimonian and Kacker (2007),
    doi:10.1016/j.cct.2006.04.004.

    Examples
    --------
    >>> import numpy as np
    >>> estimate = np.array([[0.0, 2.0], [1.0, 3.0]])
    >>> df = np.full((2, 2), 1e6)
    >>> round(estimate_between_marker_variance(estimate, np.ones((2, 2)), df=df), 3)
    1.0
    """
    correlation = _check_correlation(error_correlation, estimate.shape[1])
    own = conditional_variance(variance, df)
    shared = _mean_deviation(own, df)
    blocks = [
        (
            estimate[np.ix_(rows, kept)],
            own[np.ix_(rows, kept)],
            shared[np.ix_(rows, kept)],
            correlation[np.ix_(kept, kept)],
        )
        for rows, kept in _patterns(~np.isnan(estimate))
        if kept.size > 1
    ]
    target = sum(values.shape[0] * (values.shape[1] - 1) for values, *_ in blocks)
    if target == 0:
        return 0.0

    def excess(tau_squared: float) -> float:
        found = 0.0
        for values, spread, together, corr in blocks:
            covariance = _covariance(spread, together, corr, tau_squared)
            weights = _generalised_weights(covariance, "allow")
            centred = values - (weights * values).sum(axis=1, keepdims=True)
            solved = np.linalg.solve(covariance, centred[..., None])[..., 0]
            found += float((centred * solved).sum())
        return float(found - target)

    if excess(0.0) <= 0:
        return 0.0
    high = max(float(np.var(values)) for values, *_ in blocks) + 1e-12
    while excess(high) > 0:
        high *= 4
    return float(brentq(excess, 0.0, high, xtol=1e-14, rtol=1e-12))


def _check_rule(
    rule: Rule,
    tau_squared: float,
    latent_prior: LatentPrior | None,
    negative_weights: NegativeWeights,
) -> None:
    """Refuse what a rule would ignore."""
    faults = Faults()
    if tau_squared != 0 and rule != "random_effects":
        faults.add(
            f"tau_squared has no part in pooling {rule!r}: leave it out, or use 'random_effects'"
        )
    if negative_weights not in NEGATIVE_WEIGHTS:
        faults.add(
            f"negative_weights {negative_weights!r} is unknown: use one of "
            f"{', '.join(NEGATIVE_WEIGHTS)}"
        )
    elif negative_weights != "allow" and rule not in ("gls", "random_effects"):
        faults.add(
            f"negative_weights has no part in pooling {rule!r}: leave it out, or use 'gls' or "
            "'random_effects'"
        )
    if (latent_prior is not None) != (rule == "bayesian"):
        faults.add(
            "latent_prior belongs to pooling 'bayesian', which needs it: learn it with "
            "fit_latent_prior, or leave it out for other rules"
        )
    faults.raise_if_any()


def _inflation(df: FloatArray) -> FloatArray:
    finite = np.maximum(df, 3.0)
    return np.asarray(finite / (finite - 2), dtype=np.float64)


def _patterns(observed: BoolArray) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows and observed markers of each pattern of missing markers."""
    distinct, which = np.unique(observed, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(which.ravel() == k), np.flatnonzero(pattern))
        for k, pattern in enumerate(distinct)
        if pattern.any()
    ]


def _mean_deviation(own: FloatArray, df: FloatArray) -> FloatArray:
    """Mean of the standard deviation, where `own` is the mean of the variance.

    Smaller than its root, by sqrt((d - 2) / 2) Gamma((d - 1) / 2) / Gamma(d / 2).
    """
    d = np.maximum(df, 3.0)
    near = np.minimum(d, _SERIES_FROM)
    exact = np.sqrt((near - 2) / 2) * np.exp(gammaln((near - 1) / 2) - gammaln(near / 2))
    series = 1 - 1 / (4 * d) - 15 / (32 * d**2)  # differences of large gammaln lose their digits
    return np.asarray(np.sqrt(own) * np.where(d < _SERIES_FROM, exact, series), dtype=np.float64)


def _covariance(
    own: FloatArray, shared: FloatArray, correlation: FloatArray, tau_squared: float
) -> FloatArray:
    """Covariance of the markers' errors, the mean over what their variances might be.

    Deviations enter products of two markers by their means. With the roots of the mean variances
    instead, strong correlations are overstated, and weights of opposite sign cancel errors on paper
    alone.
    """
    covariance = shared[:, :, None] * correlation * shared[:, None, :]
    diagonal = np.arange(own.shape[1])
    covariance[:, diagonal, diagonal] = own + tau_squared
    return np.asarray(covariance, dtype=np.float64)


def _generalised_weights(covariance: FloatArray, negative: NegativeWeights) -> FloatArray:
    n, size, _ = covariance.shape
    solved = np.linalg.solve(covariance, np.ones((n, size, 1)))[..., 0]
    weights = solved / solved.sum(axis=1, keepdims=True)
    if negative == "truncate":
        for i in np.flatnonzero((weights < 0).any(axis=1)):
            weights[i] = _truncated(covariance[i])
    return np.asarray(weights, dtype=np.float64)


def _truncated(covariance: FloatArray) -> FloatArray:
    kept = np.arange(len(covariance))
    while True:
        solved = np.linalg.solve(covariance[np.ix_(kept, kept)], np.ones(kept.size))
        if (solved >= 0).all():
            weights = np.zeros(len(covariance))
            weights[kept] = solved / solved.sum()
            return weights
        kept = kept[solved >= 0]


def _check_correlation(correlation: FloatArray | None, n_markers: int) -> FloatArray:
    if correlation is None:
        return np.eye(n_markers)
    matrix = np.asarray(correlation, dtype=np.float64)
    if (
        matrix.shape != (n_markers, n_markers)
        or not np.isfinite(matrix).all()
        or not np.allclose(np.diag(matrix), 1)
        or not np.allclose(matrix, matrix.T)
        or np.linalg.eigvalsh(matrix).min() <= 0
    ):
        raise InputError(
            f"error_correlation must be a positive definite {n_markers} x {n_markers} correlation "
            "matrix: symmetric, ones on the diagonal"
        )
    return matrix
