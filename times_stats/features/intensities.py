"""Amounts: cells per area and shares of positive cells, with exact intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, chi2

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.features.point_checks import check_level, check_points_in_window
from times_stats.regions.window import Window


@dataclass(frozen=True, slots=True)
class IntervalEstimate:
    """An estimate with its interval.

    Attributes
    ----------
    estimate, lower, upper : float
        NaN where undefined.
    n : int
        Cells it rests on.
    reason : str
        Why it is undefined; ``""`` where it is not.

    Examples
    --------
    >>> IntervalEstimate(1.0, 0.5, 2.0, 7, "").n
    7
    """

    estimate: float
    lower: float
    upper: float
    n: int
    reason: str


def intensity(
    points: ArrayLike, *, window: Window, confidence_level: float = 0.95
) -> IntervalEstimate:
    """Estimate the number of cells per square millimetre, with an exact Poisson interval.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres, inside the window; none at all gives 0 with its upper limit.
    window : Window
        Observed area.
    confidence_level : float, default 0.95
        Level of the interval. It holds for independent cells; clustered cells vary more.

    Returns
    -------
    IntervalEstimate
        Per square millimetre.

    Raises
    ------
    InputError
        If a point is not finite or outside the window, or the level is not between 0 and 1.

    References
    ----------
    Garwood F (1936). Biometrika 28:437-442. doi:10.1093/biomet/28.3-4.437

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 1000), y=(0, 1000))
    >>> found = intensity([(1, 1), (5, 9)], window=window)
    >>> round(found.lower, 3), found.estimate, round(found.upper, 3)
    (0.242, 2.0, 7.225)
    """
    n = len(check_points_in_window(points, window, name="points"))
    lower, upper = poisson_interval(n, confidence_level=confidence_level)
    area = window.area_mm2
    return IntervalEstimate(n / area, float(lower) / area, float(upper) / area, n, "")


def positive_fraction(positive: ArrayLike, *, confidence_level: float = 0.95) -> IntervalEstimate:
    """Estimate the share of cells that carry a marker, with an exact binomial interval.

    Parameters
    ----------
    positive : array-like of bool of shape (n,)
        Whether each cell is positive.
    confidence_level : float, default 0.95
        Level of the interval.

    Returns
    -------
    IntervalEstimate
        In [0, 1]; NaN with its reason where there is no cell.

    Raises
    ------
    InputError
        If a value is not true or false, or the level is not between 0 and 1.

    References
    ----------
    Clopper CJ, Pearson ES (1934). Biometrika 26:404-413. doi:10.1093/biomet/26.4.404

    Examples
    --------
    >>> found = positive_fraction([True, False, False, False])
    >>> round(found.lower, 4), found.estimate, round(found.upper, 4)
    (0.0063, 0.25, 0.8059)
    """
    values = np.asarray(positive)
    if values.size == 0:
        return IntervalEstimate(np.nan, np.nan, np.nan, 0, "no cell")
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise InputError("positive is not a list of true and false: give one for each cell")
    n, k = values.size, int(values.sum())
    tail = (1.0 - check_level(confidence_level)) / 2.0
    lower = float(beta.ppf(tail, k, n - k + 1)) if k > 0 else 0.0
    upper = float(beta.ppf(1.0 - tail, k + 1, n - k)) if k < n else 1.0
    return IntervalEstimate(k / n, lower, upper, n, "")


def poisson_interval(
    count: ArrayLike, *, confidence_level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    r"""Return exact limits of the mean of a Poisson count.

    .. math:: \tfrac12 \chi^2_{2k,\,\alpha/2}, \quad \tfrac12 \chi^2_{2k+2,\,1-\alpha/2}

    Parameters
    ----------
    count : array-like of int
        Counts k.
    confidence_level : float, default 0.95
        One minus alpha.

    Returns
    -------
    lower, upper : ndarray
        Limits, of the shape of `count`; the lower one of 0 is 0.

    Raises
    ------
    InputError
        If the level is not between 0 and 1.

    References
    ----------
    Garwood F (1936). Biometrika 28:437-442. doi:10.1093/biomet/28.3-4.437

    Examples
    --------
    >>> lower, upper = poisson_interval([0, 10])
    >>> upper.round(3)
    array([ 3.689, 18.39 ])
    """
    k = np.asarray(count, dtype=np.float64)
    tail = (1.0 - check_level(confidence_level)) / 2.0
    lower = np.where(k > 0, chi2.ppf(tail, np.maximum(2.0 * k, 1.0)) / 2.0, 0.0)
    return np.asarray(lower), np.asarray(chi2.ppf(1.0 - tail, 2.0 * k + 2.0) / 2.0)
