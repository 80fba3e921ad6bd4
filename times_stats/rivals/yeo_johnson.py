"""Yeo-Johnson powers of many columns at once, by Newton's method in compiled loops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.preprocessing import StandardScaler

from times_stats._compiled import compiled
from times_stats._typing import FloatArray

LOWEST_POWER, HIGHEST_POWER = -4.0, 6.0
"""Powers beyond these are refused."""
_TOLERANCE = 1e-8  # of a Newton step; the error left after it is about its square
_MAX_STEPS = 100
_N_TERMS = 9  # of the series for small arguments, whose error is then below 1e-14
_SMALL = 0.1
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class PoweredScaler:
    """Powers of columns, and the standardisation that follows them.

    Attributes
    ----------
    powers : float array, shape (p,)
        Power of each column.
    scaler : StandardScaler
        Fitted on the training data after their powers were taken.
    """

    powers: FloatArray
    scaler: StandardScaler

    def transform(self, values: FloatArray) -> FloatArray:
        """Return powers of columns, standardised as in training.

        Parameters
        ----------
        values : float array, shape (n, p)
            Columns as in training; NaN stays NaN.
        """
        return np.asarray(self.scaler.transform(take_powers(values, self.powers)))


def likeliest_powers(values: FloatArray) -> FloatArray:
    r"""Return the most likely Yeo-Johnson power of each column.

    With :math:`u = \log(1 + |x|)` and s the sign of x, the log likelihood of power
    :math:`\lambda`, mean and variance profiled out, is

    .. math:: \ell(\lambda) = -\tfrac n2 \log \operatorname{var} y(\lambda)
              + (\lambda - 1) \sum s_i u_i.

    It is concave, so that its maximum is where its slope is 0: found by Newton's method,
    safeguarded by bisection. For a column of one sign u is centred first, which changes the
    likelihood by a constant and keeps its digits far from 0.

    Parameters
    ----------
    values : float array, shape (n, p)
        Columns; NaN is left out.

    Returns
    -------
    float array, shape (p,)
        NaN where the maximum lies outside -4 to 6, or where there is none because the column is
        constant up to rounding.

    References
    ----------
    Yeo I.-K., Johnson R. A. (2000). *Biometrika* 87, 954-959. doi:10.1093/biomet/87.4.954. That the
    likelihood is concave: Marchand T. et al. (2022). SecureFedYJ: a safe feature Gaussianization
    protocol for federated learning. *NeurIPS* 35. arXiv:2210.01639

    Examples
    --------
    >>> skewed = np.exp(np.linspace(0.0, 4.0, 50))[:, None]
    >>> likeliest_powers(np.hstack([skewed, -skewed])).round(3)
    array([-0.118,  2.118])
    """
    return np.asarray(_likeliest(np.ascontiguousarray(values.T, dtype=np.float64)))


def take_powers(values: FloatArray, powers: FloatArray) -> FloatArray:
    r"""Return :math:`((1 + x)^\lambda - 1) / \lambda`, for x below 0 minus the same of -x at 2 - λ.

    Parameters
    ----------
    values : float array, shape (n, p)
        Columns; NaN stays NaN.
    powers : float array, shape (p,)
        Power of each.

    Returns
    -------
    float array, shape (n, p)

    Examples
    --------
    >>> take_powers(np.array([[-1.0], [3.0]]), np.array([2.0])).round(3)
    array([[-0.693],
           [ 7.5  ]])
    """
    return np.asarray(_take(np.ascontiguousarray(values, dtype=np.float64), powers))


@compiled
def _take(values: FloatArray, powers: FloatArray) -> FloatArray:
    n, p = values.shape
    taken = np.empty((n, p))
    for i in range(n):
        for j in range(p):
            x = values[i, j]
            sign, power = (1.0, powers[j]) if x >= 0.0 else (-1.0, 2.0 - powers[j])
            u = np.log1p(abs(x))
            taken[i, j] = sign * (u if abs(power) < _EPS else np.expm1(power * u) / power)
    return taken


@compiled
def _slope_and_curvature(u: FloatArray, sign: FloatArray, power: float) -> tuple[float, float]:
    """First and second derivative of the log likelihood with respect to the power.

    With g(k, u) = (exp(k u) - 1) / k the transformed value is s g, and its derivatives in the power
    are g' and s g'' (in k): integrals of u^(d+1) t^d exp(k u t) over t from 0 to 1.
    """
    n = u.size
    y, first, second = np.empty(n), np.empty(n), np.empty(n)
    largest = 0.0
    for i in range(n):
        k = power if sign[i] > 0.0 else 2.0 - power
        x = k * u[i]
        if abs(x) < _SMALL:
            term, zeroth, once, twice = 1.0, 0.0, 0.0, 0.0
            for order in range(_N_TERMS):
                zeroth += term / (order + 1.0)
                once += term / (order + 2.0)
                twice += term / (order + 3.0)
                term *= x / (order + 1.0)
            zeroth, once, twice = zeroth * u[i], once * u[i] ** 2, twice * u[i] ** 3
        else:
            grown = np.exp(x)
            zeroth = np.expm1(x) / k
            once = (u[i] * grown - zeroth) / k
            twice = (u[i] ** 2 * grown - 2.0 * once) / k
        y[i], first[i], second[i] = sign[i] * zeroth, once, sign[i] * twice
        largest = max(largest, abs(zeroth))
    # the ratios below do not depend on the unit; squares of this one neither over- nor underflow
    y_mean, first_mean, second_mean, total = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        y[i] /= largest
        first[i] /= largest
        second[i] /= largest
        y_mean += y[i] / n
        first_mean += first[i] / n
        second_mean += second[i] / n
        total += sign[i] * u[i]
    variance, covariance, first_variance, second_covariance = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        from_mean, change = y[i] - y_mean, first[i] - first_mean
        variance += from_mean * from_mean
        covariance += from_mean * change
        first_variance += change * change
        second_covariance += from_mean * (second[i] - second_mean)
    ratio = covariance / variance
    slope = total - n * ratio
    curvature = -n * ((first_variance + second_covariance) / variance - 2.0 * ratio * ratio)
    return slope, curvature


@compiled
def _likeliest(columns: FloatArray) -> FloatArray:
    powers = np.full(columns.shape[0], np.nan)
    for j in range(columns.shape[0]):
        column = columns[j][~np.isnan(columns[j])]
        n = column.size
        if n == 0:
            continue
        mean = column.mean()
        variance = ((column - mean) ** 2).mean()
        # variation that the rounding of the mean explains, as scikit-learn counts it
        if variance <= n * _EPS * variance + (n * mean * _EPS) ** 2:
            continue
        sign = np.where(column >= 0.0, 1.0, -1.0)
        u = np.log1p(np.abs(column))
        if abs(sign.sum()) == n:
            u -= u.mean()
        low, high, power = LOWEST_POWER, HIGHEST_POWER, 1.0
        for _ in range(_MAX_STEPS):
            slope, curvature = _slope_and_curvature(u, sign, power)
            if np.isnan(slope) or (power == LOWEST_POWER and slope < 0.0):
                break
            if power == HIGHEST_POWER and slope > 0.0:
                break
            if slope > 0.0:
                low = power
            else:
                high = power
            following = power - slope / curvature if curvature < 0.0 else np.nan
            if abs(following - power) < _TOLERANCE:
                powers[j] = min(max(following, LOWEST_POWER), HIGHEST_POWER)
                break
            if high - low < _TOLERANCE:
                powers[j] = power
                break
            if following >= HIGHEST_POWER and high == HIGHEST_POWER:
                following = HIGHEST_POWER
            elif following <= LOWEST_POWER and low == LOWEST_POWER:
                following = LOWEST_POWER
            elif not low < following < high:
                following = 0.5 * (low + high)
            power = following
    return powers
