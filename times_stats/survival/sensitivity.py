"""Does the posterior hang on its priors? Power-scaling of the priors and of the likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import halfnorm, norm

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.survival.checks import log_likelihood
from times_stats.survival.measurement import POPULATION_PRIOR
from times_stats.survival.predictive_checks import check_converged
from times_stats.survival.result import SurvivalFit

_THRESHOLD = 0.05  # of Kallioinen et al. (2024)

type LogDensity = Callable[[FloatArray, SurvivalFit], FloatArray]


@dataclass(frozen=True, slots=True)
class _Normal:
    """Log density of a normal prior, on the scale on which it is stated."""

    mean: Callable[[SurvivalFit], float]
    sd: Callable[[SurvivalFit], float]
    scale: Callable[[FloatArray], FloatArray] = np.asarray

    def __call__(self, draws: FloatArray, fit: SurvivalFit) -> FloatArray:
        return np.asarray(norm.logpdf(self.scale(draws), self.mean(fit), self.sd(fit)))


@dataclass(frozen=True, slots=True)
class _HalfNormal:
    """Log density of a half-normal prior of a scale."""

    scale: Callable[[SurvivalFit], float]

    def __call__(self, draws: FloatArray, fit: SurvivalFit) -> FloatArray:
        return np.asarray(halfnorm.logpdf(draws, scale=self.scale(fit)))


TOP_LEVEL_PRIORS: dict[str, LogDensity] = {
    "slope": _Normal(lambda fit: fit.slope_prior[0], lambda fit: fit.slope_prior[1]),
    "effect_scale": _HalfNormal(lambda fit: fit.spec.prior_effect_scale),
    "intercept": _Normal(
        lambda fit: fit.baseline.log_rate, lambda fit: fit.spec.prior_intercept_sd
    ),
    "cohort_scale": _HalfNormal(lambda fit: fit.spec.prior_cohort_scale),
    "cohort_slope_scale": _HalfNormal(lambda fit: fit.spec.prior_cohort_slope_scale),
    "cohort_shape_scale": _HalfNormal(lambda fit: fit.spec.prior_cohort_shape_scale),
    "covariate_effect": _Normal(lambda _: 0.0, lambda fit: fit.spec.prior_covariate_sd),
    "covariate_cohort_scale": _HalfNormal(lambda fit: fit.spec.prior_cohort_slope_scale),
    "shape": _Normal(lambda _: 0.0, lambda fit: fit.spec.prior_shape_sd, np.log),
    "smoothness": _HalfNormal(lambda fit: fit.spec.prior_smoothness_scale),
    "evidence_mean": _Normal(lambda _: 0.0, lambda _: POPULATION_PRIOR),
    "evidence_sd": _HalfNormal(lambda _: POPULATION_PRIOR),
}
"""Priors that no other parameter shapes, by quantity of the posterior. A flat one, such as the
uniform simplex of the steps of a stage, has nothing to scale and no entry."""


def log_prior(fit: SurvivalFit) -> xr.Dataset:
    """Evaluate the log density of each top-level prior at the draws of the posterior.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.

    Returns
    -------
    Dataset
        Dims ``chain, draw``; one variable per quantity of the posterior with a prior of its own:
        those of `TOP_LEVEL_PRIORS`, as far as the model has them: ``slope``, ``intercept``,
        ``effect_scale`` (summed over its groups), ``shape`` (density of its logarithm) and so on.

    Notes
    -----
    Effects given their scale, and steps of the random walk given its smoothness, are left out: they
    are the model's structure more than its prior, and their power would be that of the scale
    (section 3.3 of Kallioinen et al. 2024, doi:10.1007/s11222-023-10366-5).

    Examples
    --------
    >>> from times_stats.survival.sensitivity import log_prior
    >>> log_prior(fit)["slope"].mean()  # doctest: +SKIP
    """
    posterior = fit.posterior["posterior"].to_dataset()
    found = {}
    for name, density in TOP_LEVEL_PRIORS.items():
        if name in posterior:
            draws = posterior[name].transpose("chain", "draw", ...)
            values = density(draws.to_numpy().astype(np.float64), fit)
            total = values.reshape(*values.shape[:2], -1).sum(axis=2)
            found[name] = (("chain", "draw"), total)
    return xr.Dataset(found, coords={name: posterior[name] for name in ("chain", "draw")})


def prior_sensitivity(fit: SurvivalFit, *, priors: Sequence[str] | None = None) -> pd.DataFrame:
    r"""Measure how much slopes, scales and baseline move when priors or likelihood get weight.

    The density of the priors (or the likelihood) is raised to the power :math:`\alpha`, from .99
    to 1.01, by importance weights and without a new fit. The sensitivity of a quantity is the
    change of its distribution (cumulative Jensen-Shannon distance) per unit of
    :math:`\log_2 \alpha`.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with its training data.
    priors : sequence of str, optional
        Priors to scale, of those that `log_prior` names; all together if left out. One alone tells
        which of them a quantity hangs on.

    Returns
    -------
    DataFrame
        One row per slope, then per scale and parameter of the baseline: ``quantity``, ``label``
        (marker and region of a slope, group of an effect scale; empty where there is one value),
        ``prior``, ``likelihood`` (sensitivities, 0 none) and ``finding``, for sensitivities from
        .05 on: "prior and data disagree" where both move the quantity, "the prior decides" where
        the prior alone does, "the data decide" where the likelihood alone does, "nothing moves it"
        where neither does (as when they pull the same way with little at stake).

    Raises
    ------
    InputError
        If the fit did not converge or was saved without its training data, or a prior is not known.

    Notes
    -----
    Only top-level priors are scaled (see `log_prior`). A cohort sd of three or four cohorts, and
    the common slope where few markers and regions say what is common to them, are expected to hang
    on their priors. The likelihood is that of the outcomes: where evidence is uncertain, given its
    true values. Kallioinen et al. (2024), doi:10.1007/s11222-023-10366-5.

    Examples
    --------
    >>> from times_stats.survival import prior_sensitivity
    >>> prior_sensitivity(fit)  # doctest: +SKIP
    """
    check_converged(fit)
    if fit.is_updated:
        raise InputError("a cohort was added to this fit: use the fit before the update")
    densities = log_prior(fit)
    unknown = sorted(set(priors or ()) - set(map(str, densities)))
    if unknown or (priors is not None and not len(priors)):
        given = name_rows(f"'{name}'" for name in unknown) or "none"
        raise InputError(
            f"priors named: {given}; this fit has {', '.join(f"'{name}'" for name in densities)}: "
            "name some of these, or leave priors out"
        )
    posterior = fit.posterior["posterior"].to_dataset()
    wanted = ["beta", *(str(name) for name in densities)]
    if "weight" in posterior:
        wanted.append("weight")
    wanted = [name for name in wanted if name in posterior]
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior[wanted],
            "log_prior": densities if priors is None else densities[[*priors]],
            "log_likelihood": log_likelihood(fit).to_dataset(),
        }
    )
    moved = {group: az.psense(tree, group=group) for group in ("prior", "likelihood")}
    rows = [
        (name, label, *values)
        for name in wanted
        for label, *values in zip(
            _labels(posterior[name], fit),
            *(np.atleast_1d(found[name].to_numpy()).ravel() for found in moved.values()),
            strict=True,
        )
    ]
    table = pd.DataFrame(rows, columns=["quantity", "label", "prior", "likelihood"])
    by_prior, by_data = table["prior"] >= _THRESHOLD, table["likelihood"] >= _THRESHOLD
    table["finding"] = np.select(
        [by_prior & by_data, by_prior, by_data],
        ["prior and data disagree", "the prior decides", "the data decide"],
        "nothing moves it",
    )
    return table


def _labels(draws: xr.DataArray, fit: SurvivalFit) -> list[str]:
    others = [dim for dim in draws.dims if dim not in ("chain", "draw")]
    if not others:
        return [""]
    (dim,) = others
    if dim == "coefficient":
        return [f"{marker}, {region}" for marker, region in fit.columns]
    return [str(value) for value in draws[dim].to_numpy()]
