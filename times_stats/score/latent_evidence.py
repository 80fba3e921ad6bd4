"""Latent evidence: pooling as Bayes' theorem with a normal prior over patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True)
class LatentPrior:
    """Normal prior of a patient's latent evidence.

    Parameters
    ----------
    mean : float
        On the linear scale: log cumulative hazard, or logit.
    sd : float
        Positive, or 0 where patients do not differ; infinite for a flat prior.
    mean_se : float, default 0
        Standard error of the mean, where it was learned.
    """

    mean: float
    sd: float
    mean_se: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no normal distribution."""
        if not (np.isfinite(self.mean) and self.sd >= 0 and 0 <= self.mean_se < np.inf):
            raise InputError(
                f"the latent prior has mean {self.mean}, sd {self.sd} and mean_se {self.mean_se}: "
                "give a finite mean, an sd of 0 or more (infinite = flat) and a finite mean_se"
            )


def update_evidence(
    value: FloatArray, variance: FloatArray, *, prior: LatentPrior
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Posterior of the latent evidence, given estimates of known variance.

    .. math:: \theta_i \sim N(m, s^2),\quad \hat\theta_i \mid \theta_i \sim N(\theta_i, v_i)
              \;\Rightarrow\; E(\theta_i \mid \hat\theta_i) = m + \lambda_i(\hat\theta_i - m),
              \quad \mathrm{var}(\theta_i \mid \hat\theta_i) = \lambda_i v_i,
              \quad \lambda_i = \frac{s^2}{s^2 + v_i}

    A mean m that was learned has an error of its own; it adds
    :math:`(1 - \lambda_i)^2 \mathrm{se}(m)^2` to the variance, all there is where s = 0 (Morris
    1983). The error of s is left out.

    A flat prior has :math:`\lambda = 1` and gives back what it was given, to the last bit. Several
    estimates of one patient may be taken one after the other, or pooled first with weights
    :math:`V^{-1} 1`: the pooled value is sufficient.

    Parameters
    ----------
    value, variance : ndarray, shape (n,)
        Pooled estimates and their variances; NaN = nothing measured.
    prior : LatentPrior

    Returns
    -------
    mean, variance : ndarray, shape (n,)
        Of the posterior; the prior's where nothing is measured (NaN for a flat prior).
    share : ndarray, shape (n,)
        Weight :math:`\lambda` of the patient's own measurements.

    References
    ----------
    Lindley and Smith (1972), doi:10.1111/j.2517-6161.1972.tb00885.x; Efron and Morris (1973),
    doi:10.1080/01621459.1973.10481350; Morris (1983), doi:10.1080/01621459.1983.10477920.

    Examples
    --------
    >>> mean, variance, share = update_evidence(
    ...     np.array([2.0]), np.array([1.0]), prior=LatentPrior(mean=0.0, sd=1.0)
    ... )
    >>> mean, variance, share
    (array([1.]), array([0.5]), array([0.5]))
    """
    missing = np.isnan(value)
    if np.isinf(prior.sd):
        share = np.where(missing, 0.0, 1.0)
        return value.copy(), variance.copy(), share
    spread = prior.sd**2
    total = spread + variance
    share = np.divide(spread, total, out=np.ones_like(total), where=total > 0)
    share = np.where(missing, 0.0, share)
    mean = np.where(missing, prior.mean, prior.mean + share * (value - prior.mean))
    left = np.where(missing, spread, share * variance) + ((1 - share) * prior.mean_se) ** 2
    return mean, left, share


def fit_latent_prior(value: FloatArray, variance: FloatArray) -> LatentPrior:
    r"""Learn the prior from the estimates of many patients (empirical Bayes, Paule-Mandel).

    Solves :math:`\sum_i (\hat\theta_i - m)^2 / (s^2 + v_i) = n - 1` with m the mean weighted by
    :math:`1 / (s^2 + v_i)`.

    Parameters
    ----------
    value, variance : ndarray, shape (n,)
        Pooled estimates of the training patients and their variances; NaN = nothing measured.

    Returns
    -------
    LatentPrior
        With sd 0 where the estimates scatter no more than their variances say: then every patient
        has the mean, and its standard error.

    Raises
    ------
    InputError
        If fewer than two patients have an estimate, or one lacks a positive variance.

    References
    ----------
    Paule and Mandel (1982), doi:10.6028/jres.087.022; Efron and Morris (1973),
    doi:10.1080/01621459.1973.10481350.

    Examples
    --------
    >>> prior = fit_latent_prior(np.array([-2.0, 0.0, 2.0]), np.ones(3))
    >>> round(prior.mean, 6), round(prior.sd**2, 6)
    (0.0, 3.0)
    """
    known = ~np.isnan(value)
    values, own = value[known], variance[known]
    if values.size < 2:
        raise InputError(
            f"{values.size} patients have an estimate, and a latent prior is learned from two or "
            "more: give latent_prior"
        )
    if not (own > 0).all():
        rows = np.flatnonzero(known & ~(variance > 0))
        raise InputError(
            f"variance is missing, 0 or negative in row {name_rows(rows)}: give a positive one for "
            "each estimate"
        )

    def centre(spread: float) -> float:
        precision = 1 / (spread + own)
        return float((precision * values).sum() / precision.sum())

    def learned(spread: float) -> LatentPrior:
        error = float((1 / (spread + own)).sum()) ** -0.5
        return LatentPrior(mean=centre(spread), sd=spread**0.5, mean_se=error)

    def excess(spread: float) -> float:
        return float(((values - centre(spread)) ** 2 / (spread + own)).sum()) - (values.size - 1)

    if excess(0.0) <= 0:
        return learned(0.0)
    high = float(values.var(ddof=1)) + 1e-12
    while excess(high) > 0:
        high *= 4
    spread = float(brentq(excess, 0.0, high, xtol=1e-14, rtol=1e-12))
    return learned(spread)
