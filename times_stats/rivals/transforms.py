"""Transforms of skewed stainings, learned on training patients and reused on others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from times_stats._typing import BoolArray, FloatArray

_POWER_BOUNDS = (-4.0, 6.0)
_N_SEARCH_STEPS = 32
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


def yeo_johnson(values: FloatArray, power: FloatArray) -> FloatArray:
    """Return the Yeo-Johnson transform of each column.

    Parameters
    ----------
    values : float array, shape (n, p)
        Data in any unit; NaN stays NaN.
    power : float array, shape (p,)
        Power of each column; 1 leaves it as it is.

    Returns
    -------
    float array, shape (n, p)
        ``((x + 1)^k - 1) / k`` for x >= 0 and ``-((1 - x)^(2 - k) - 1) / (2 - k)`` below, with
        the logarithm as the limit of zero exponents.

    References
    ----------
    Yeo I.-K., Johnson R. A. (2000). A new family of power transformations to improve normality or
    symmetry. *Biometrika* 87, 954-959. doi:10.1093/biomet/87.4.954

    Examples
    --------
    >>> yeo_johnson(np.array([[0.0], [3.0]]), np.array([0.5])).ravel()
    array([0., 2.])
    """
    exponent = np.where(values >= 0.0, power, 2.0 - power)
    logarithm = np.log1p(np.abs(values))
    near_zero = np.abs(exponent) < 1e-8
    divisor = np.where(near_zero, 1.0, exponent)
    grown = np.where(near_zero, logarithm, np.expm1(divisor * logarithm) / divisor)
    transformed: FloatArray = np.where(values >= 0.0, grown, -grown)
    return transformed


def _profile_log_likelihood(values: FloatArray, power: FloatArray) -> FloatArray:
    transformed = yeo_johnson(values, power)
    n_observed = np.isfinite(values).sum(axis=0)
    variance = np.nanvar(transformed, axis=0)
    scale = np.nanmean(np.abs(transformed), axis=0)
    log_jacobian = np.nansum(np.sign(values) * np.log1p(np.abs(values)), axis=0)
    usable = variance > (1e-10 * scale) ** 2
    fitted = -0.5 * n_observed * np.log(np.where(usable, variance, 1.0))
    return np.where(usable, fitted + (power - 1.0) * log_jacobian, -np.inf)


def estimate_power(values: FloatArray) -> FloatArray:
    """Return the maximum-likelihood Yeo-Johnson power of each column.

    All columns are searched at once by golden section: the negative log-likelihood is strictly
    convex in the power.

    Parameters
    ----------
    values : float array, shape (n, p)
        Training data; NaN is left out.

    Returns
    -------
    float array, shape (p,)
        Powers between -4 and 6.

    References
    ----------
    Marchand T. et al. (2022). SecureFedYJ: a safe feature Gaussianization protocol for federated
    learning. *NeurIPS* 35. doi:10.48550/arXiv.2210.01639
    """
    low = np.full(values.shape[1], _POWER_BOUNDS[0])
    high = np.full(values.shape[1], _POWER_BOUNDS[1])
    left = high - _GOLDEN * (high - low)
    right = low + _GOLDEN * (high - low)
    value_left = _profile_log_likelihood(values, left)
    value_right = _profile_log_likelihood(values, right)
    for _ in range(_N_SEARCH_STEPS):
        go_left = value_left > value_right
        high = np.where(go_left, right, high)
        low = np.where(go_left, low, left)
        new_left = high - _GOLDEN * (high - low)
        new_right = low + _GOLDEN * (high - low)
        fresh = _profile_log_likelihood(values, np.where(go_left, new_left, new_right))
        value_left, value_right = (
            np.where(go_left, fresh, value_right),
            np.where(go_left, value_left, fresh),
        )
        left, right = new_left, new_right
    middle: FloatArray = (low + high) / 2.0
    return middle


@dataclass(frozen=True, slots=True)
class ColumnTransform:
    """Learned transform of the columns of a matrix.

    Attributes
    ----------
    power : float array, shape (p,)
        Yeo-Johnson power, 1 (no change) for columns that were left alone.
    mean, scale : float array, shape (p,)
        Training mean and standard deviation after the power; scale 1 for constant columns.
    constant : bool array, shape (p,)
        Columns without variation in training; they become 0.
    """

    power: FloatArray
    mean: FloatArray
    scale: FloatArray
    constant: BoolArray

    def apply(self, values: FloatArray) -> FloatArray:
        """Return transformed data, shape (n, p); NaN stays NaN and constant columns become 0."""
        transformed = values.astype(np.float64, copy=True)
        changed = self.power != 1.0
        if changed.any():
            transformed[:, changed] = yeo_johnson(values[:, changed], self.power[changed])
        standardised: FloatArray = (transformed - self.mean) / self.scale
        standardised[:, self.constant] = 0.0
        return standardised


def learn_transform(
    values: FloatArray, *, gaussianise: BoolArray, rescale: BoolArray
) -> ColumnTransform:
    """Learn the transform of each column from training patients.

    Parameters
    ----------
    values : float array, shape (n, p)
        Training data; NaN is left out.
    gaussianise : bool array, shape (p,)
        Columns that get a Yeo-Johnson power, unless they hold two values or fewer.
    rescale : bool array, shape (p,)
        Columns divided by their standard deviation; the others are centred only.

    Returns
    -------
    ColumnTransform
        State to apply to these and to other patients.

    Examples
    --------
    >>> skewed = np.exp(np.linspace(0.0, 4.0, 50))[:, None]
    >>> every = np.array([True])
    >>> state = learn_transform(skewed, gaussianise=every, rescale=every)
    >>> bool(abs(state.apply(skewed).mean()) < 1e-12)
    True
    """
    n_columns = values.shape[1]
    power = np.ones(n_columns)
    constant = np.array([_n_distinct(column) < 2 for column in values.T], dtype=np.bool_)
    continuous = gaussianise & np.array(
        [_n_distinct(column) > 2 for column in values.T], dtype=np.bool_
    )
    if continuous.any():
        power[continuous] = estimate_power(values[:, continuous])
    transformed = values.astype(np.float64, copy=True)
    transformed[:, continuous] = yeo_johnson(values[:, continuous], power[continuous])
    mean, scale = np.zeros(n_columns), np.ones(n_columns)
    varied = ~constant
    mean[varied] = np.nanmean(transformed[:, varied], axis=0)
    stretched = varied & rescale
    scale[stretched] = np.nanstd(transformed[:, stretched], axis=0)
    constant |= scale <= 0.0
    return ColumnTransform(power, mean, np.where(constant, 1.0, scale), constant)


def _n_distinct(column: FloatArray) -> int:
    return int(np.unique(column[np.isfinite(column)]).size)
