"""Survival curves, restricted means and linear predictors of new patients, as posterior draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import gamma, gammainc

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng
from times_stats.survival.effects import check_columns
from times_stats.survival.hazard import baseline_cumulative_hazard, stacked, weighted_sums
from times_stats.survival.result import SurvivalFit

_NODES_PER_PIECE = 16


def linear_predictor(
    fit: SurvivalFit, new: pd.DataFrame, *, cohort: pd.Series | None = None
) -> xr.DataArray:
    r"""Draw :math:`\eta` of new patients: evidence times slopes, plus the cohort effect.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region)
        Evidence from the fold models; a missing value becomes 0, the average.
    cohort : Series, optional
        Cohort by patient. A label the fit does not know, a missing one, or None with a fit over
        several cohorts: the effect is integrated out, by a draw from Normal(0, sigma) for each
        posterior draw, shared by the patients of that label.

    Returns
    -------
    DataArray
        Dims ``sample, patient``; attribute ``n_filled`` counts missing evidence.

    Raises
    ------
    InputError
        If columns or patients do not fit.

    Examples
    --------
    >>> from times_stats.survival import linear_predictor
    >>> linear_predictor(fit, new).mean("sample")  # doctest: +SKIP
    """
    return draw_predictor(fit, new, cohort=cohort, stream="unknown cohort")


def draw_predictor(
    fit: SurvivalFit, new: pd.DataFrame, *, cohort: pd.Series | None, stream: str
) -> xr.DataArray:
    """Draw the linear predictor with a random stream of its own for unknown cohorts.

    Parameters
    ----------
    fit, new, cohort
        As in `linear_predictor`.
    stream : str
        Name of the stream: two models of one prediction must not share theirs.

    Returns
    -------
    DataArray
    """
    evidence, n_filled = _checked_evidence(fit, new)
    posterior = fit.posterior["posterior"].to_dataset()
    eta = weighted_sums(stacked(posterior, "beta"), evidence)
    if fit.n_cohorts > 1:
        eta = eta + _cohort_draws(fit, posterior, new.index, cohort, stream)
    return xr.DataArray(
        eta,
        dims=("sample", "patient"),
        coords={"patient": np.array(new.index.astype(str), dtype=str)},
        name="linear_predictor",
        attrs={"n_filled": n_filled},
    )


def check_times(times: ArrayLike) -> FloatArray:
    """Return times of a prediction as a clean array.

    Parameters
    ----------
    times : array-like, shape (n_times,) or a number
        Months, 0 or more.

    Returns
    -------
    ndarray, shape (n_times,)

    Raises
    ------
    InputError
        If a time is negative or not finite, or there is more than one dimension.

    Examples
    --------
    >>> check_times(12)
    array([12.])
    """
    grid = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if grid.ndim != 1 or not (np.isfinite(grid).all() and (grid >= 0).all()):
        raise InputError("times hold a negative or infinite value: give months from 0 on")
    return grid


def predict_survival(
    fit: SurvivalFit, new: pd.DataFrame, *, times: ArrayLike, cohort: pd.Series | None = None
) -> xr.DataArray:
    r"""Draw survival curves of new patients, :math:`S(t) = \exp(-H_0(t) e^{\eta})`.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region)
        Evidence from the fold models; a missing value becomes 0, the average.
    times : array-like, shape (n_times,)
        Months, 0 or more.
    cohort : Series, optional
        See `linear_predictor`.

    Returns
    -------
    DataArray
        Dims ``sample, patient, time``. Coordinate ``extrapolated`` is True for times beyond the
        last event (last knot) of the training data.

    Raises
    ------
    InputError
        If columns or patients do not fit, or a time is negative or not finite.

    Examples
    --------
    >>> from times_stats.survival import predict_survival
    >>> curves = predict_survival(fit, new, times=[12.0, 24.0])  # doctest: +SKIP
    >>> curves.mean("sample")  # doctest: +SKIP
    """
    grid = check_times(times)
    eta = linear_predictor(fit, new, cohort=cohort)
    posterior = fit.posterior["posterior"].to_dataset()
    cumulative = baseline_cumulative_hazard(fit.baseline, posterior, grid)
    survival = np.exp(eta.to_numpy())[:, :, None] * -cumulative[:, None, :]
    return xr.DataArray(
        np.exp(survival, out=survival),
        dims=("sample", "patient", "time"),
        coords={
            "patient": eta["patient"].to_numpy(),
            "time": grid,
            "extrapolated": ("time", grid > fit.baseline.last_event),
        },
        name="survival",
        attrs=dict(eta.attrs),
    )


def predict_rmst(
    fit: SurvivalFit, new: pd.DataFrame, *, horizon: float, cohort: pd.Series | None = None
) -> xr.DataArray:
    r"""Draw the restricted mean survival time, :math:`\int_0^{\tau} S(t)\,dt`, in months.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region)
        Evidence from the fold models; a missing value becomes 0, the average.
    horizon : float
        :math:`\tau`, months, positive.
    cohort : Series, optional
        See `linear_predictor`.

    Returns
    -------
    DataArray
        Dims ``sample, patient``; attribute ``extrapolated`` tells whether the horizon lies beyond
        the last event of the training data.

    Raises
    ------
    InputError
        If columns or patients do not fit, or the horizon is not positive.

    Notes
    -----
    Weibull: incomplete gamma function, exact. Others: Gauss-Legendre with 16 nodes between knots,
    where the cumulative hazard is linear (piecewise) or a quartic (M-splines). Royston and Parmar
    (2013), doi:10.1186/1471-2288-13-152.

    Examples
    --------
    >>> from times_stats.survival import predict_rmst
    >>> predict_rmst(fit, new, horizon=60.0).mean("sample")  # doctest: +SKIP
    """
    if not (np.isfinite(horizon) and horizon > 0):
        raise InputError(f"the horizon is {horizon}: give a positive number of months")
    eta = linear_predictor(fit, new, cohort=cohort)
    posterior = fit.posterior["posterior"].to_dataset()
    if fit.baseline.kind == "weibull":
        values = _weibull_rmst(fit, posterior, eta.to_numpy(), float(horizon))
    else:
        nodes, weights = _nodes(fit.baseline.knots, float(horizon))
        cumulative = baseline_cumulative_hazard(fit.baseline, posterior, nodes)
        relative = np.exp(eta.to_numpy())
        values = np.zeros_like(relative)
        for node, weight in enumerate(weights):
            values += weight * np.exp(-relative * cumulative[:, node, None])
    return (
        eta.copy(data=values)
        .rename("rmst")
        .assign_attrs(extrapolated=bool(horizon > fit.baseline.last_event))
    )


def _weibull_rmst(
    fit: SurvivalFit, posterior: xr.Dataset, eta: FloatArray, horizon: float
) -> FloatArray:
    shape = stacked(posterior, "shape")[:, None]
    log_rate = stacked(posterior, "intercept")[:, None] + eta
    total = np.exp(log_rate) * (horizon / fit.baseline.time_scale) ** shape
    # A tiny hazard has S = 1 throughout, where gamma(1/k) * gammainc(1/k, .) is 0 times infinity.
    safe = np.maximum(total, 1e-12)
    mean = horizon * safe ** (-1 / shape) * gamma(1 / shape) * gammainc(1 / shape, safe) / shape
    return np.asarray(np.where(total < 1e-12, horizon, np.minimum(mean, horizon)))


def _nodes(knots: tuple[float, ...], horizon: float) -> tuple[FloatArray, FloatArray]:
    edges = np.array([*(knot for knot in knots if knot < horizon), horizon])
    unit, weight = np.polynomial.legendre.leggauss(_NODES_PER_PIECE)
    half = np.diff(edges) / 2
    middle = (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * unit).ravel(), (half[:, None] * weight).ravel()


def _checked_evidence(fit: SurvivalFit, new: pd.DataFrame) -> tuple[FloatArray, int]:
    columns = check_columns(new.columns)
    if not columns.equals(fit.columns):
        lacking = fit.columns.difference(columns)
        what = f"lacks {name_rows(lacking)}" if len(lacking) else "has others or another order"
        raise InputError(f"the evidence of the new patients {what}: give the columns of the fit")
    values = new.to_numpy(dtype=np.float64)
    infinite = np.isinf(values).any(axis=1)
    if infinite.any():
        raise InputError(
            f"evidence is infinite for patient {name_rows(new.index[infinite])}: give finite values"
        )
    missing = np.isnan(values)
    return np.where(missing, 0.0, values), int(missing.sum())


def _cohort_draws(
    fit: SurvivalFit,
    posterior: xr.Dataset,
    index: pd.Index,
    cohort: pd.Series | None,
    stream: str,
) -> FloatArray:
    known = {name: number for number, name in enumerate(fit.cohorts)}
    effects = stacked(posterior, "cohort_effect")
    scale = stacked(posterior, "cohort_scale")
    if cohort is None:
        labels = pd.Series(None, index=index, dtype=object)
    else:
        absent = index.difference(cohort.index)
        if len(absent):
            raise InputError(f"cohort has no row for patient {name_rows(absent)}: give one each")
        labels = cohort.loc[index]
    drawn = np.empty((effects.shape[0], len(index)))
    codes, names = pd.factorize(labels)
    for code in np.unique(codes):
        name = "" if code < 0 else str(names[code])
        if code >= 0 and name in known:
            effect = effects[:, known[name]]
        else:
            rng = spawn_rng(fit.seed, stream, name)
            effect = scale * rng.standard_normal(scale.size)
        drawn[:, codes == code] = effect[:, None]
    return drawn
