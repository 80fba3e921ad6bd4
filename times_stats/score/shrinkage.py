"""Shrinkage of variances that rest on few values: a scaled inverse chi-square prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from times_stats._typing import FloatArray
from times_stats.errors import InputError

_MOST_DF = 1e6  # stands for "no spread between the true variances": finite in JSON and in t
_LEAST_SCALE = 1e-12  # variances that are zero in every patient still give finite weights
_LEAST_OF_MEDIAN = 0.1  # smallest prior scale, as a part of the median marker's
_LEAST_RELATIVE = 1e-5  # a zero variance enters the logarithm as this part of the median


@dataclass(frozen=True, slots=True)
class VariancePrior:
    """Scaled inverse chi-square prior of the variance, one per marker or one for all.

    Parameters
    ----------
    df : ndarray, shape (n_markers,) or (1,)
        Prior degrees of freedom d_0 (at most 1e6).
    scale : ndarray, same shape
        Prior variance s_0^2.
    """

    df: FloatArray
    scale: FloatArray

    def shrink(self, variance: FloatArray, df: FloatArray) -> tuple[FloatArray, FloatArray]:
        r"""Posterior variance and degrees of freedom.

        .. math:: \tilde s^2 = (d_0 s_0^2 + d s^2) / (d_0 + d)

        Parameters
        ----------
        variance : ndarray, shape (n_patients, n_markers)
            Sample variances (divisor d); ignored where d is 0.
        df : ndarray, same shape
            Their degrees of freedom d, 0 or more.

        Returns
        -------
        variance : ndarray, shape (n_patients, n_markers)
        df : ndarray, same shape
            d_0 + d.
        """
        own = np.where(df > 0, variance * df, 0.0)
        total = self.df + df
        return (self.df * self.scale + own) / total, np.minimum(total, _MOST_DF)


def fit_variance_prior(variance: FloatArray, *, df: FloatArray | float) -> VariancePrior:
    """Learn the prior of each marker's variance from the training patients.

    Moments of log s^2, as limma does: log s^2 has mean ``log s_0^2 + psi(d/2) - log(d/2) -
    psi(d_0/2) + log(d_0/2)`` and variance ``psi'(d/2) + psi'(d_0/2)``. No marker's scale falls
    below a tenth of the median scale (of the markers whose variances are not all zero): a marker
    whose variances are all zero shows no more than that it was not put to the test, and must not
    take all the weight.

    Parameters
    ----------
    variance : ndarray, shape (n_patients, n_markers)
        Sample variances (divisor d); NaN = missing.
    df : float or ndarray, same shape
        Degrees of freedom d; entries with d = 0 are left out.

    Returns
    -------
    VariancePrior

    Raises
    ------
    InputError
        If a marker has no variance with at least one degree of freedom.

    References
    ----------
    Smyth (2004), doi:10.2202/1544-6115.1027.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> truth = 6 * 0.5 / rng.chisquare(6, size=(5000, 1))
    >>> prior = fit_variance_prior(truth * rng.chisquare(4, size=(5000, 1)) / 4, df=4)
    >>> prior.df.round(), prior.scale.round(1)
    (array([6.]), array([0.5]))
    """
    values = np.asarray(variance, dtype=np.float64)
    freedom = np.broadcast_to(np.asarray(df, dtype=np.float64), values.shape)
    learned = []
    for k in range(values.shape[1]):
        usable = np.isfinite(values[:, k]) & (freedom[:, k] > 0)
        if not usable.any():
            raise InputError(
                f"marker {k + 1} has no variance of two or more values: give a prior learned on "
                "patients with several tiles"
            )
        learned.append(_moments(values[usable, k], freedom[usable, k]))
    df0, scale = np.array(learned).T
    moving = scale[scale > _LEAST_SCALE]
    if moving.size:
        scale = np.maximum(scale, _LEAST_OF_MEDIAN * np.median(moving))
    return VariancePrior(df=df0, scale=scale)


def _moments(variance: FloatArray, df: FloatArray) -> tuple[float, float]:
    middle = float(np.median(variance))
    if middle == 0:
        middle = float(variance.mean())
    if middle == 0:
        return _MOST_DF, _LEAST_SCALE
    logs = np.log(np.maximum(variance, _LEAST_RELATIVE * middle))
    centred = logs - digamma(df / 2) + np.log(df / 2)
    mean = float(centred.mean())
    n = centred.size
    if n == 1:
        return _MOST_DF, max(float(variance.mean()), _LEAST_SCALE)
    excess = float((n / (n - 1) * (centred - mean) ** 2 - polygamma(1, df / 2)).mean())
    least = float(polygamma(1, _MOST_DF / 2))
    if excess <= least:
        return _MOST_DF, max(float(variance.mean()), _LEAST_SCALE)
    half = float(brentq(lambda x: float(polygamma(1, x)) - excess, 1e-4, _MOST_DF))
    scale = float(np.exp(mean + digamma(half) - np.log(half)))
    return 2 * half, max(scale, _LEAST_SCALE)
