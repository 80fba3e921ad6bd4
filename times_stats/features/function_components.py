"""Functions of distance as few numbers: principal components, learned on training patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class FunctionComponents:
    """Principal components of curves over distance.

    Attributes
    ----------
    r : ndarray of shape (n_r,)
        Distances, micrometres.
    mean : ndarray of shape (n_r,)
        Mean curve of the training patients.
    components : ndarray of shape (n_components, n_r)
        Components, of norm 1 over distance; each has a positive integral, or where that is 0 a
        positive end.
    share : ndarray of shape (n_components,)
        Share of the variance of the training curves.
    n_curves : int
        Complete curves they were learned from.
    """

    r: FloatArray
    mean: FloatArray
    components: FloatArray
    share: FloatArray
    n_curves: int


def learn_components(
    curves: ArrayLike, *, r: ArrayLike, n_components: int = 2
) -> FunctionComponents:
    r"""Learn the principal components of curves.

    The components solve :math:`\int C(r, s) \phi(s)\, ds = \lambda \phi(r)` with the covariance C
    of the curves; the integral is a trapezoid sum over the distances measured.

    Parameters
    ----------
    curves : array-like of shape (n, n_r)
        One curve per training patient; a curve with a missing value is left out.
    r : array-like of shape (n_r,)
        Distances, increasing, micrometres.
    n_components : int, default 2
        Components wanted; there may be fewer where the curves have no more.

    Returns
    -------
    FunctionComponents

    Raises
    ------
    InputError
        If the shapes do not fit, distances do not increase, or `n_components` is below 1.

    References
    ----------
    Ramsay JO, Silverman BW (2005). Functional Data Analysis. doi:10.1007/b98888

    Examples
    --------
    >>> r = np.linspace(0, 1, 5)
    >>> learned = learn_components([0 * r, 1 + r, 2 + 2 * r], r=r)
    >>> learned.share.round(6)
    array([1.])
    """
    values, distances = _check(curves, r)
    if n_components < 1:
        raise InputError(f"n_components is {n_components}: give 1 or more")
    known = values[np.isfinite(values).all(axis=1)]
    if len(known) < 2:
        mean = known.mean(axis=0) if len(known) else np.full(distances.size, np.nan)
        none = np.empty((0, distances.size))
        return FunctionComponents(distances, mean, none, np.empty(0), len(known))
    mean = known.mean(axis=0)
    root = np.sqrt(_trapezoid(distances))
    _, singular, rows = np.linalg.svd((known - mean) * root, full_matrices=False)
    variance = singular**2
    total = variance.sum()
    rounding = (np.finfo(np.float64).eps * np.abs(known * root).max()) ** 2 * known.size
    real = variance > max(1e-12 * total, rounding)
    kept = np.flatnonzero(real)[:n_components]
    components = rows[kept] / root
    share = variance[kept] / total if kept.size else np.empty(0)
    signed = components * _signs(components, distances)[:, None]
    return FunctionComponents(distances, mean, signed, share, len(known))


def component_scores(learned: FunctionComponents, curves: ArrayLike) -> FloatArray:
    """Return the scores of curves on components learned elsewhere.

    Parameters
    ----------
    learned : FunctionComponents
        From the training patients.
    curves : array-like of shape (n, n_r)
        Curves of any patients over the same distances.

    Returns
    -------
    ndarray of shape (n, n_components)
        NaN for a curve with a missing value.

    Raises
    ------
    InputError
        If the curves are of other distances.

    Examples
    --------
    >>> r = np.linspace(0, 1, 5)
    >>> learned = learn_components([0 * r, 1 + 0 * r, 2 + 0 * r], r=r)
    >>> component_scores(learned, [3 + 0 * r])
    array([[2.]])
    """
    values, _ = _check(curves, learned.r)
    centred = (values - learned.mean) * _trapezoid(learned.r)
    return np.asarray(centred @ learned.components.T, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class SpatialFunctions:
    """Spatial functions of the patients of a study, before anything is learned.

    Attributes
    ----------
    scalars : DataFrame, shape (n_patients, n)
        Indexed by ``patient_id``, columns (``marker``, ``statistic``).
    curves : dict of (str, str) to DataFrame
        (marker, statistic) to the curves of the patients, columns r.
    """

    scalars: pd.DataFrame
    curves: dict[tuple[str, str], pd.DataFrame]

    def of(self, chosen: BoolArray) -> SpatialFunctions:
        """Return the functions of some of the patients.

        Parameters
        ----------
        chosen : ndarray of bool, shape (n_patients,)
            Whom to keep.

        Returns
        -------
        SpatialFunctions
        """
        curves = {name: table[chosen] for name, table in self.curves.items()}
        return SpatialFunctions(self.scalars[chosen], curves)


def _check(curves: ArrayLike, r: ArrayLike) -> tuple[FloatArray, FloatArray]:
    distances = np.asarray(r, dtype=np.float64)
    values = np.asarray(curves, dtype=np.float64)
    rises = distances.ndim == 1 and distances.size >= 2 and (np.diff(distances) > 0).all()
    if not rises or not np.isfinite(distances).all():
        raise InputError("r does not increase: give at least two increasing distances")
    if values.ndim != 2 or values.shape[1] != distances.size:
        raise InputError(
            f"curves have shape {values.shape}: give one row per patient and one column for each "
            f"of the {distances.size} distances"
        )
    return values, distances


def _signs(components: FloatArray, r: FloatArray) -> FloatArray:
    """Return the sign that makes each integral positive, or the end where it is 0 but rounding."""
    weight = _trapezoid(r)
    integral = components @ weight
    size = np.abs(components) @ weight
    told = np.where(np.abs(integral) > 1e-9 * size, integral, components[:, -1])
    return np.where(told < 0, -1.0, 1.0)


def _trapezoid(r: FloatArray) -> FloatArray:
    step = np.diff(r)
    return np.asarray((np.r_[step, 0.0] + np.r_[0.0, step]) / 2.0)
