"""Infiltration: intensity of cells by distance to the tumour boundary, and its gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm, t

from times_stats._checks import name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.features.band_limits import band_codes, check_distance, check_edges
from times_stats.features.intensities import poisson_interval
from times_stats.features.point_checks import check_level

NO_AREA = "the band has no area"
NO_CELL = "no cell lies in the bands"
ONE_BAND = "fewer than two bands have area"
OUTERMOST = "all cells lie in one outermost band: the slope is infinite"
_MM2 = 1e-6  # square millimetres in a square micrometre
_STEP = 100.0  # micrometres the slope is given for
_TOLERANCE = 1e-12
_MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class InfiltrationGradient:
    """Slope of the log intensity with the distance to the tumour boundary.

    Attributes
    ----------
    slope : float
        Change of the log intensity per 100 micrometres outwards; below 0 where cells are denser
        inside.
    se, lower, upper : float
        Standard error and interval of the slope if the cells are a Poisson process.
    intercept : float
        Log intensity per square millimetre at the boundary.
    dispersion : float
        Pearson chi-squared over its degrees of freedom: about 1 for a Poisson process, above it
        for clustered cells; NaN with two bands.
    se_quasi, lower_quasi, upper_quasi : float
        Standard error times the root of the dispersion, and the interval from Student's t with
        ``n_bands - 2`` degrees of freedom; NaN with two bands.
    n_cells, n_bands : int
        Cells and bands used; bands without area are not.
    reason : str
        Why the numbers are NaN; empty where they are not.

    Examples
    --------
    >>> found = infiltration_gradient([-50, 50, 50], edges=[-100, 0, 100], areas=[1e6, 1e6])
    >>> round(found.slope, 4), found.reason
    (0.6931, '')
    """

    slope: float
    se: float
    lower: float
    upper: float
    intercept: float
    dispersion: float
    se_quasi: float
    lower_quasi: float
    upper_quasi: float
    n_cells: int
    n_bands: int
    reason: str


def infiltration_profile(
    distance: ArrayLike, *, edges: ArrayLike, areas: ArrayLike, confidence_level: float = 0.95
) -> pd.DataFrame:
    """Return the intensity of cells in bands of distance to the tumour boundary.

    Parameters
    ----------
    distance : array-like of shape (n_cells,)
        Signed distance of each cell to the boundary, micrometres, negative inside the tumour.
    edges : array-like of shape (n_bands + 1,)
        Limits of the bands, micrometres, rising. A band holds its lower limit and not
        its upper one.
    areas : array-like of shape (n_bands,)
        Observed area of each band, square micrometres; 0 where the window has none of it.
    confidence_level : float
        Coverage of the intervals.

    Returns
    -------
    DataFrame
        One row per band: ``lower``, ``upper`` (limits of the band), ``count``, ``area_mm2``,
        ``intensity`` (cells per square millimetre), ``intensity_lower``, ``intensity_upper`` (exact
        interval of a Poisson count), ``reason`` (why these are NaN, else empty). Cells outside all
        bands are in ``attrs["n_outside"]``.

    Raises
    ------
    InputError
        If a distance is missing or infinite, limits do not rise, or areas are negative, missing or
        not one per band.

    Notes
    -----
    Limits of Garwood (1936), doi:10.1093/biomet/28.3-4.437: quantiles of chi-squared. They hold for
    cells that are independent of each other; clustered cells vary more.

    Examples
    --------
    >>> table = infiltration_profile([-20, 30, 40], edges=[-100, 0, 100], areas=[1e6, 5e5])
    >>> table[["count", "area_mm2", "intensity"]]
       count  area_mm2  intensity
    0      1       1.0        1.0
    1      2       0.5        4.0
    """
    limits, count, area, n_outside = _count_bands(distance, edges, areas)
    seen = area > 0
    low, high = poisson_interval(count, confidence_level=confidence_level)
    size = np.where(seen, area, np.nan) * _MM2
    table = pd.DataFrame(
        {
            "lower": limits[:-1],
            "upper": limits[1:],
            "count": count,
            "area_mm2": area * _MM2,
            "intensity": count / size,
            "intensity_lower": low / size,
            "intensity_upper": high / size,
            "reason": pd.Series(np.where(seen, "", NO_AREA), dtype="str"),
        }
    )
    table.attrs["n_outside"] = n_outside
    return table


def infiltration_gradient(
    distance: ArrayLike, *, edges: ArrayLike, areas: ArrayLike, confidence_level: float = 0.95
) -> InfiltrationGradient:
    r"""Return the slope of the log intensity over the distance to the tumour boundary.

    Parameters
    ----------
    distance : array-like of shape (n_cells,)
        Signed distance of each cell to the boundary, micrometres, negative inside the tumour.
    edges : array-like of shape (n_bands + 1,)
        Limits of the bands, micrometres, rising.
    areas : array-like of shape (n_bands,)
        Observed area of each band, square micrometres.
    confidence_level : float
        Coverage of the intervals.

    Returns
    -------
    InfiltrationGradient
        All NaN, with a reason, where no cell lies in the bands, fewer than two have area, or all
        cells lie in one outermost band.

    Raises
    ------
    InputError
        As `infiltration_profile`; also where cells lie in a band without area.

    Notes
    -----
    Poisson regression of the counts :math:`y_b` on the middle :math:`x_b` of the bands with the log
    of their areas :math:`A_b` as offset. Given the slope :math:`\beta` the intercept is explicit,
    and the score equation left is that of an exponentially tilted mean,

    .. math:: \frac{\sum_b A_b x_b e^{\beta x_b}}{\sum_b A_b e^{\beta x_b}}
              = \frac{\sum_b y_b x_b}{\sum_b y_b},

    with one root wherever the cells do not all lie in one outermost band. The information is the
    number of cells times the tilted variance of :math:`x`. The quasi-Poisson interval (Wedderburn
    1974, doi:10.1093/biomet/61.3.439) allows for clustered cells; prefer it where ``dispersion`` is
    above 1. A gradient of one line is a summary, not a claim that the profile is straight.

    Examples
    --------
    >>> found = infiltration_gradient(
    ...     [-50] * 5 + [50] * 10 + [150] * 20, edges=[-100, 0, 100, 200], areas=[1e5, 1e5, 1e5])
    >>> round(found.slope, 6), round(found.dispersion, 6)
    (0.693147, 0.0)
    """
    check_level(confidence_level)
    limits, count, area, _ = _count_bands(distance, edges, areas)
    seen = area > 0
    if (count[~seen] > 0).any():
        raise InputError(
            f"cells lie in band {name_rows(np.flatnonzero(~seen & (count > 0)))}, which has no "
            "area: measure distances and areas on the same window"
        )
    x = ((limits[:-1] + limits[1:]) / 2 / _STEP)[seen]
    y, weight = count[seen].astype(np.float64), area[seen] * _MM2
    reason = _reason(x, y)
    if reason:
        nothing = dict.fromkeys(_NUMBERS, float("nan"))
        return InfiltrationGradient(
            **nothing, n_cells=int(y.sum()), n_bands=int(seen.sum()), reason=reason
        )
    slope, share = _tilt(x, weight, float(y @ x / y.sum()))
    centre = float(share @ x)
    se = float(1 / np.sqrt(y.sum() * (share @ (x - centre) ** 2)))
    fitted = y.sum() * share
    intercept = float(np.log(fitted[0] / weight[0]) - slope * x[0])
    free = x.size - 2
    dispersion = float(((y - fitted) ** 2 / fitted).sum() / free) if free else float("nan")
    se_quasi = se * float(np.sqrt(dispersion))
    tail = (1 - confidence_level) / 2
    wide = float(norm.ppf(1 - tail)) * se
    wider = float(t.ppf(1 - tail, free)) * se_quasi if free else float("nan")
    return InfiltrationGradient(
        slope=slope,
        se=se,
        lower=slope - wide,
        upper=slope + wide,
        intercept=intercept,
        dispersion=dispersion,
        se_quasi=se_quasi,
        lower_quasi=slope - wider,
        upper_quasi=slope + wider,
        n_cells=int(y.sum()),
        n_bands=x.size,
        reason="",
    )


_NUMBERS = (
    "slope",
    "se",
    "lower",
    "upper",
    "intercept",
    "dispersion",
    "se_quasi",
    "lower_quasi",
    "upper_quasi",
)


def _count_bands(
    distance: ArrayLike, edges: ArrayLike, areas: ArrayLike
) -> tuple[FloatArray, IntArray, FloatArray, int]:
    limits = check_edges(edges)
    n_bands = limits.size - 1
    try:
        area = np.asarray(areas, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("areas are not numeric: give square micrometres") from None
    if area.shape != (n_bands,):
        raise InputError(
            f"areas have shape {area.shape} and there are {n_bands} bands: give one each"
        )
    wrong = ~(np.isfinite(area) & (area >= 0))
    if wrong.any():
        raise InputError(
            f"areas are negative, missing or infinite in band {name_rows(np.flatnonzero(wrong))}: "
            "give square micrometres, 0 where the window has none"
        )
    band = band_codes(check_distance(distance), limits)
    count = np.bincount(band[band >= 0], minlength=n_bands).astype(np.int64)
    return limits, count, area, int((band < 0).sum())


def _reason(x: FloatArray, y: FloatArray) -> str:
    if x.size < 2:
        return ONE_BAND
    if not y.any():
        return NO_CELL
    return OUTERMOST if y[0] == y.sum() or y[-1] == y.sum() else ""


def _tilt(x: FloatArray, weight: FloatArray, mean: float) -> tuple[float, FloatArray]:
    """Return the tilt that gives weights a mean, and the tilted weights: Newton in a bracket."""
    low, high, slope = -np.inf, np.inf, 0.0
    share = weight / weight.sum()
    for _ in range(_MAX_STEPS):
        centre = float(share @ x)
        spread = float(share @ (x - centre) ** 2)
        low, high = (slope, high) if centre < mean else (low, slope)
        step = (mean - centre) / spread if spread > 0 else np.copysign(np.inf, mean - centre)
        if abs(step) <= _TOLERANCE * max(1.0, abs(slope)):
            break
        step = float(np.clip(step, -1 - abs(slope), 1 + abs(slope)))
        inside = low < slope + step < high
        slope = slope + step if inside else (low + high) / 2
        tilted = np.log(weight) + slope * x
        share = np.exp(tilted - tilted.max())
        share /= share.sum()
    return slope, share
