"""Survival curves, event probabilities, restricted means and hazard ratios, as posterior draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import gamma, gammainc

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.survival.cohorts import UnknownCohort
from times_stats.survival.hazard import baseline_cumulative_hazard, stacked
from times_stats.survival.patients import PatientDraws, draw_patients, read_patients
from times_stats.survival.result import SurvivalFit

_NODES_PER_PIECE = 16


def linear_predictor(
    fit: SurvivalFit,
    new: pd.DataFrame | None,
    *,
    cohort: pd.Series | None = None,
    covariates: pd.DataFrame | None = None,
    unknown_cohort: UnknownCohort = "integrated",
    evidence_se: pd.DataFrame | None = None,
    n_tiles: pd.DataFrame | None = None,
) -> xr.DataArray:
    r"""Draw :math:`\eta` of new patients: evidence times slopes, covariates, and the cohort effect.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region), or None
        Evidence from the fold models; a missing value becomes 0, the average. None for a model of
        covariates alone.
    cohort : Series, optional
        Cohort by patient. A label the fit does not know, a missing one, or None with a fit over
        several cohorts is an unknown cohort.
    covariates : DataFrame, optional
        Covariates of the specification, by patient. A missing number is drawn from the population
        where the specification models it, and refused otherwise.
    unknown_cohort : {"integrated", "average"}
        What an unknown cohort has for its own; nothing in a fit of one cohort, which has no notion
        of how cohorts differ. ``integrated``: effects drawn from their
        distribution for each posterior draw, shared by the patients of the label. ``average``:
        none, which is the median cohort, and leaves its uncertainty out.
    evidence_se, n_tiles : DataFrame, optional
        Of a fit with uncertain evidence: standard errors and tiles of the new patients, whose true
        evidence is drawn from their own tiles and the population; needed there, and refused
        elsewhere. Evidence with a standard error of 0 is taken as exact, missing evidence is drawn
        from the population.

    Returns
    -------
    DataArray
        Dims ``sample, patient``; attribute ``n_filled`` counts missing evidence that became 0, and
        ``n_drawn`` missing values that were drawn.

    Raises
    ------
    InputError
        If columns or patients do not fit, or a covariate is missing.

    Examples
    --------
    >>> from times_stats.survival import linear_predictor
    >>> linear_predictor(fit, new).mean("sample")  # doctest: +SKIP
    """
    patients = read_patients(
        fit,
        new,
        cohort=cohort,
        covariates=covariates,
        unknown_cohort=unknown_cohort,
        evidence_se=evidence_se,
        n_tiles=n_tiles,
    )
    drawn = draw_patients(fit, patients)
    return _as_array(drawn.eta, drawn, "linear_predictor")


def _as_array(values: FloatArray, drawn: PatientDraws, name: str) -> xr.DataArray:
    return xr.DataArray(
        values,
        dims=("sample", "patient"),
        coords={"patient": drawn.names},
        name=name,
        attrs={"n_filled": drawn.n_filled, "n_drawn": drawn.n_drawn},
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
    fit: SurvivalFit,
    new: pd.DataFrame | None,
    *,
    times: ArrayLike,
    cohort: pd.Series | None = None,
    covariates: pd.DataFrame | None = None,
    unknown_cohort: UnknownCohort = "integrated",
    evidence_se: pd.DataFrame | None = None,
    n_tiles: pd.DataFrame | None = None,
) -> xr.DataArray:
    r"""Draw survival curves of new patients, :math:`S(t) = \exp(-H_0(t) e^{\eta})`.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region), or None
        Evidence from the fold models; a missing value becomes 0, the average.
    times : array-like, shape (n_times,)
        Months, 0 or more.
    cohort, covariates, unknown_cohort, evidence_se, n_tiles
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
    drawn = draw_patients(
        fit,
        read_patients(
            fit,
            new,
            cohort=cohort,
            covariates=covariates,
            unknown_cohort=unknown_cohort,
            evidence_se=evidence_se,
            n_tiles=n_tiles,
        ),
    )
    found = np.empty((*drawn.eta.shape, grid.size))
    for rows, posterior in drawn.groups:
        cumulative = baseline_cumulative_hazard(fit.baseline, posterior, grid)
        found[:, rows] = np.exp(-np.exp(drawn.eta[:, rows])[:, :, None] * cumulative[:, None, :])
    return xr.DataArray(
        found,
        dims=("sample", "patient", "time"),
        coords={
            "patient": drawn.names,
            "time": grid,
            "extrapolated": ("time", grid > fit.baseline.last_event),
        },
        name="survival",
        attrs={"n_filled": drawn.n_filled, "n_drawn": drawn.n_drawn},
    )


def predict_event_probability(
    fit: SurvivalFit,
    new: pd.DataFrame | None,
    *,
    horizon: float,
    since: float = 0.0,
    cohort: pd.Series | None = None,
    covariates: pd.DataFrame | None = None,
    unknown_cohort: UnknownCohort = "integrated",
    evidence_se: pd.DataFrame | None = None,
    n_tiles: pd.DataFrame | None = None,
) -> xr.DataArray:
    r"""Draw the probability of the event by the horizon, :math:`1 - S(\tau) / S(t_0)`.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region), or None
        Evidence from the fold models; a missing value becomes 0, the average.
    horizon : float
        :math:`\tau`, months, after `since`.
    since : float
        :math:`t_0`: months after time zero at which the patient is known to be free of the event.
    cohort, covariates, unknown_cohort, evidence_se, n_tiles
        See `linear_predictor`.

    Returns
    -------
    DataArray
        Dims ``sample, patient``; attribute ``extrapolated`` tells whether the horizon lies beyond
        the last event of the training data.

    Raises
    ------
    InputError
        If columns or patients do not fit, or the horizon does not come after `since`.

    Notes
    -----
    Draw by draw. Where something of the patient is drawn (an unknown cohort, a missing number, true
    evidence), survival to `since` says something of it, which the mean of these draws leaves out:
    the probability is then one minus the mean of :math:`S(\tau)` over that of :math:`S(t_0)`, from
    `predict_survival`. Where another event can come first this is the probability in its absence;
    see `predict_cumulative_incidence`.

    Examples
    --------
    >>> from times_stats.survival import predict_event_probability
    >>> predict_event_probability(fit, new, horizon=24.0).mean("sample")  # doctest: +SKIP
    """
    if not (np.isfinite(horizon) and horizon > since >= 0):
        raise InputError(
            f"the horizon is {horizon} and since is {since}: give months with 0 <= since < horizon"
        )
    drawn = draw_patients(
        fit,
        read_patients(
            fit,
            new,
            cohort=cohort,
            covariates=covariates,
            unknown_cohort=unknown_cohort,
            evidence_se=evidence_se,
            n_tiles=n_tiles,
        ),
    )
    found = np.empty(drawn.eta.shape)
    for rows, posterior in drawn.groups:
        until = baseline_cumulative_hazard(fit.baseline, posterior, np.array([since, horizon]))
        more = (until[:, 1] - until[:, 0])[:, None]
        found[:, rows] = -np.expm1(-np.exp(drawn.eta[:, rows]) * more)
    return _as_array(found, drawn, "event_probability").assign_attrs(
        extrapolated=bool(horizon > fit.baseline.last_event)
    )


def predict_hazard_ratio(
    fit: SurvivalFit,
    new: pd.DataFrame | None,
    reference: pd.DataFrame | None,
    *,
    cohort: str | None = None,
    covariates: pd.DataFrame | None = None,
    reference_covariates: pd.DataFrame | None = None,
    unknown_cohort: UnknownCohort = "integrated",
) -> xr.DataArray:
    """Draw hazard ratios of patients against one other patient of the same cohort.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region), or None
        Evidence of the patients.
    reference : DataFrame, one row, or None
        Evidence of the patient they are compared with.
    cohort : str, optional
        Cohort of all of them; it matters where slopes differ between cohorts.
    covariates, reference_covariates : DataFrame, optional
        Covariates of the patients, and of the other one.
    unknown_cohort : {"integrated", "average"}
        See `linear_predictor`.

    Returns
    -------
    DataArray
        Dims ``sample, patient``. Within a cohort hazards are proportional: the ratio is the same at
        all times. A missing number that the specification models is drawn.

    Raises
    ------
    InputError
        If columns or patients do not fit, or the reference is not one patient.

    Examples
    --------
    >>> from times_stats.survival import predict_hazard_ratio
    >>> predict_hazard_ratio(fit, new, new.iloc[[0]]).mean("sample")  # doctest: +SKIP
    """
    drawn = []
    for evidence, table in ((new, covariates), (reference, reference_covariates)):
        patients = read_patients(
            fit, evidence, cohort=cohort, covariates=table, unknown_cohort=unknown_cohort
        )
        drawn.append(draw_patients(fit, patients))
    if drawn[1].eta.shape[1] != 1:
        raise InputError(f"the reference has {drawn[1].eta.shape[1]} patients: give one")
    return _as_array(np.exp(drawn[0].eta - drawn[1].eta), drawn[0], "hazard_ratio")


def predict_rmst(
    fit: SurvivalFit,
    new: pd.DataFrame | None,
    *,
    horizon: float,
    cohort: pd.Series | None = None,
    covariates: pd.DataFrame | None = None,
    unknown_cohort: UnknownCohort = "integrated",
    evidence_se: pd.DataFrame | None = None,
    n_tiles: pd.DataFrame | None = None,
) -> xr.DataArray:
    r"""Draw the restricted mean survival time, :math:`\int_0^{\tau} S(t)\,dt`, in months.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region), or None
        Evidence from the fold models; a missing value becomes 0, the average.
    horizon : float
        :math:`\tau`, months, positive.
    cohort, covariates, unknown_cohort, evidence_se, n_tiles
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
    drawn = draw_patients(
        fit,
        read_patients(
            fit,
            new,
            cohort=cohort,
            covariates=covariates,
            unknown_cohort=unknown_cohort,
            evidence_se=evidence_se,
            n_tiles=n_tiles,
        ),
    )
    found = np.empty(drawn.eta.shape)
    for rows, posterior in drawn.groups:
        eta = drawn.eta[:, rows]
        if fit.baseline.kind == "weibull":
            found[:, rows] = _weibull_rmst(fit, posterior, eta, float(horizon))
            continue
        nodes, weights = _nodes(fit.baseline.knots, float(horizon))
        cumulative = baseline_cumulative_hazard(fit.baseline, posterior, nodes)
        relative, values = np.exp(eta), np.zeros_like(eta)
        for node, weight in enumerate(weights):
            values += weight * np.exp(-relative * cumulative[:, node, None])
        found[:, rows] = values
    return _as_array(found, drawn, "rmst").assign_attrs(
        extrapolated=bool(horizon > fit.baseline.last_event)
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
