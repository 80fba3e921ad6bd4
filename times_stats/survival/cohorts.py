"""What is a cohort's own, by posterior draw: known, drawn for a new one, or left at the average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng
from times_stats.survival.hazard import stacked
from times_stats.survival.result import SurvivalFit

type UnknownCohort = Literal["integrated", "average"]


@dataclass(frozen=True, slots=True, eq=False)
class CohortDraws:
    """Effects of one cohort, a row per posterior draw; 0 where cohorts do not differ.

    Parameters
    ----------
    level : ndarray, shape (n_samples,)
        Added to the linear predictor.
    slope : ndarray, shape (n_samples,)
        Added to every slope of the evidence.
    covariates : ndarray, shape (n_samples, n_varying)
        Added to the effects of the covariates that vary by cohort.
    shape : ndarray, shape (n_samples,) or (n_samples, n_basis), optional
        Added to the log Weibull shape, or to the log weights of the basis; None where cohorts share
        their shape.
    """

    level: FloatArray
    slope: FloatArray
    covariates: FloatArray
    shape: FloatArray | None


def check_unknown_cohort(value: str) -> None:
    """Refuse a treatment of unknown cohorts that is none.

    Parameters
    ----------
    value : str
        ``integrated`` or ``average``.

    Raises
    ------
    InputError
        If it is another.
    """
    if value not in ("integrated", "average"):
        raise InputError(f"unknown_cohort is '{value}': use 'integrated' or 'average'")


def known_cohort(posterior: xr.Dataset, position: int) -> CohortDraws:
    """Return the effects of a cohort of the training data.

    Parameters
    ----------
    posterior : Dataset
        Draws of a fit.
    position : int
        Of the cohort among those of the fit.

    Returns
    -------
    CohortDraws
    """
    n = posterior.sizes["chain"] * posterior.sizes["draw"]

    def own(quantity: str, *more: int) -> FloatArray:
        if quantity not in posterior:
            return np.zeros((n, *more))
        return np.asarray(stacked(posterior, quantity)[..., position])

    shape = None
    if "cohort_shape_effect" in posterior:
        values = posterior["cohort_shape_effect"].isel(cohort=position)
        shape = stacked(values.to_dataset(), "cohort_shape_effect")
    return CohortDraws(
        level=own("cohort_effect"),
        slope=own("cohort_slope"),
        covariates=own("covariate_cohort_effect", 0),
        shape=shape,
    )


def draw_cohort(
    fit: SurvivalFit,
    posterior: xr.Dataset,
    name: str | None,
    *,
    stream: str,
    unknown_cohort: UnknownCohort = "integrated",
) -> CohortDraws:
    r"""Return the effects of a cohort by name, or draw those of one the fit does not know.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    posterior : Dataset
        Its draws.
    name : str, optional
        Cohort; None is one that is not known.
    stream : str
        Name of the random stream: two models of one prediction must not share theirs.
    unknown_cohort : {"integrated", "average"}
        Draw the effects of an unknown cohort from their distribution, or leave them at 0.

    Returns
    -------
    CohortDraws
        Shapes sum to zero over the cohorts of the fit; that of a new one differs from their mean by
        more than theirs do: its variance is :math:`(1 + 1/C)\,\sigma^2` with `C` cohorts.
    """
    if name is not None and name in fit.cohorts:
        return known_cohort(posterior, fit.cohorts.index(name))
    n = posterior.sizes["chain"] * posterior.sizes["draw"]
    rng = spawn_rng(fit.seed, stream, name or "")

    def drawn(scale_name: str, *shape: int) -> FloatArray:
        if scale_name not in posterior or unknown_cohort == "average":
            return np.zeros((n, *shape))
        scale = stacked(posterior, scale_name)
        if scale.ndim < 1 + len(shape):
            scale = scale[:, None]
        return np.asarray(scale * rng.standard_normal((n, *shape)))

    level, slope = drawn("cohort_scale"), drawn("cohort_slope_scale")
    covariates = drawn("covariate_cohort_scale", posterior.sizes.get("varying_covariate", 0))
    new_shape: FloatArray | None = None
    if "cohort_shape_effect" in posterior:
        wider = np.sqrt(1 + 1 / fit.n_cohorts)
        if fit.baseline.kind == "weibull":
            new_shape = wider * drawn("cohort_shape_scale")
        else:
            steps = wider * drawn("cohort_shape_scale", fit.spec.n_basis - 1)
            new_shape = np.concatenate([np.zeros((n, 1)), np.cumsum(steps, axis=1)], axis=1)
    return CohortDraws(level, slope, covariates, new_shape)


def cohort_baseline(posterior: xr.Dataset, effects: CohortDraws) -> xr.Dataset:
    """Return the baseline parameters of a cohort: the level is part of its linear predictor.

    Parameters
    ----------
    posterior : Dataset
        Draws of the fit.
    effects : CohortDraws
        Effects of the cohort.

    Returns
    -------
    Dataset
        The draws, with ``shape`` or ``weight`` those of the cohort.
    """
    if effects.shape is None:
        return posterior
    name = "shape" if "shape" in posterior else "weight"
    common = posterior[name].transpose("chain", "draw", ...)
    own = common.to_numpy() * np.exp(effects.shape.reshape(common.shape))
    if name == "weight":
        own = own / own.sum(axis=-1, keepdims=True)
    return posterior.assign({name: (common.dims, own)})
