"""Draws from the prior: what the model believes before it sees an outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng
from times_stats.survival.baseline import Baseline, constant_hazard_weights, learn_baseline
from times_stats.survival.cohorts import cohort_baseline, known_cohort
from times_stats.survival.draws import name_posterior
from times_stats.survival.effects import check_columns, design_effects
from times_stats.survival.hazard import baseline_cumulative_hazard, stacked
from times_stats.survival.outcomes import read_outcome
from times_stats.survival.prediction import check_times
from times_stats.survival.spec import SurvivalSpec


def draw_prior(
    spec: SurvivalSpec,
    *,
    columns: pd.Index,
    baseline: Baseline,
    cohorts: tuple[str, ...] = ("all",),
    n_draws: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Draw the quantities of a posterior from the prior instead.

    Parameters
    ----------
    spec : SurvivalSpec
        Model and priors.
    columns : MultiIndex
        Levels marker and region of the evidence.
    baseline : Baseline
        Scale, crude rate and knots, which the priors refer to.
    cohorts : tuple of str
        Cohorts; one leaves cohort effects out.
    n_draws : int
        Independent draws.
    seed : int
        Same seed, same draws.

    Returns
    -------
    Dataset
        As ``SurvivalFit.posterior["posterior"]``, one chain of `n_draws` draws.

    Raises
    ------
    InputError
        If the columns are not (marker, region) pairs, or there is no draw.

    Examples
    --------
    >>> columns = pd.MultiIndex.from_tuples([("CD8", "front"), ("CD8", "centre")])
    >>> baseline = Baseline("weibull", time_scale=20.0, log_rate=-0.5, last_event=60.0)
    >>> prior = draw_prior(SurvivalSpec(), columns=columns, baseline=baseline, n_draws=4000)
    >>> round(float(prior["slope"].mean()), 1), round(float(prior["slope"].std()), 1)
    (0.5, 0.5)
    """
    columns = check_columns(columns, may_be_empty=bool(spec.covariates))
    if n_draws < 1:
        raise InputError(f"n_draws is {n_draws}: use 1 or more")
    design = design_effects(columns, region_order=spec.region_order)
    rng = spawn_rng(seed, "prior")

    def normal(*shape: int) -> FloatArray:
        return rng.standard_normal((1, n_draws, *shape))

    draws = {
        "slope": spec.prior_slope_mean + spec.prior_slope_sd * normal(),
        "level": spec.prior_intercept_sd * normal(),
    }
    if not len(columns):
        del draws["slope"]
    if design.groups:
        draws["effect_scale"] = spec.prior_effect_scale * np.abs(normal(len(design.groups)))
        effect = normal(design.group.size)
        draws["effect_latent"] = effect[..., : design.n_shared]
        draws["column_latent"] = effect[..., design.n_shared :]
    if len(cohorts) > 1 and "level" in spec.cohort_effects:
        draws["cohort_scale"] = spec.prior_cohort_scale * np.abs(normal())
        draws["cohort_latent"] = normal(len(cohorts))
    arrays: dict[str, FloatArray] = {
        "centred": np.zeros(3),
        "prior": np.array([0.0, 0.0, 0.0, 0.0, baseline.log_rate]),
    }
    if spec.baseline == "weibull":
        draws["log_shape"] = spec.prior_shape_sd * normal()
    else:
        draws["smoothness"] = spec.prior_smoothness_scale * np.abs(normal())
        draws["step_latent"] = normal(spec.n_basis - 1)
        arrays["log_weight"] = np.log(constant_hazard_weights(baseline))
    draws |= _structure_draws(spec, len(columns), len(cohorts), normal, rng)
    return name_posterior(draws, spec, columns, design, len(cohorts), arrays, cohorts)


def _structure_draws(
    spec: SurvivalSpec,
    n_columns: int,
    n_cohorts: int,
    normal: Callable[..., FloatArray],
    rng: np.random.Generator,
) -> dict[str, FloatArray]:
    """Draws of what not every model has: covariates, slopes and shapes of cohorts."""
    draws = {}
    if n_cohorts > 1 and n_columns and "slope" in spec.cohort_effects:
        draws["cohort_slope_scale"] = spec.prior_cohort_slope_scale * np.abs(normal())
        draws["cohort_slope_latent"] = normal(n_cohorts)
    if n_cohorts > 1 and "shape" in spec.cohort_effects:
        n_terms = 1 if spec.baseline == "weibull" else spec.n_basis - 1
        draws["cohort_shape_scale"] = spec.prior_cohort_shape_scale * np.abs(normal())
        draws["cohort_shape_latent"] = normal(n_cohorts - 1, n_terms)
    if spec.covariates:
        draws["covariate_effect"] = spec.prior_covariate_sd * normal(len(spec.covariates))
    n_varying = sum(term.by_cohort for term in spec.covariates)
    if n_varying and n_cohorts > 1:
        draws["covariate_cohort_scale"] = spec.prior_cohort_slope_scale * np.abs(normal(n_varying))
        draws["covariate_cohort_latent"] = normal(n_varying, n_cohorts)
    size = normal().shape
    for term in spec.covariates:
        if len(term.levels) > 2:
            draws[f"steps_{term.name}"] = rng.dirichlet(np.ones(len(term.levels) - 1), size)
    return draws


def prior_survival(
    spec: SurvivalSpec,
    y: pd.DataFrame,
    *,
    times: ArrayLike,
    several_cohorts: bool = False,
    n_draws: int = 1000,
    seed: int = 0,
) -> xr.DataArray:
    """Draw survival curves that the prior holds possible, for a patient with average evidence.

    Parameters
    ----------
    spec : SurvivalSpec
        Model and priors.
    y : DataFrame
        Outcome whose scale, crude rate and knots the priors refer to (see `read_outcome`). Nothing
        else is taken from it.
    times : array-like, shape (n_times,)
        Months, 0 or more.
    several_cohorts : bool
        Whether the patient's cohort has an effect of its own.
    n_draws : int
        Curves.
    seed : int
        Same seed, same curves.

    Returns
    -------
    DataArray
        Dims ``sample, time``. Curves should cover what is plausible before the data are seen, and
        not much that is impossible: if most drop to 0 at once or never fall, change the priors.

    Raises
    ------
    InputError
        If the outcome or a time is not valid.

    Examples
    --------
    >>> y = pd.DataFrame({"time": [4.0, 9.0, 20.0, 33.0], "event": [1, 1, 0, 1]})
    >>> curves = prior_survival(SurvivalSpec(), y, times=[0.0, 12.0], n_draws=500)
    >>> curves.shape, float(curves[:, 0].min())
    ((500, 2), 1.0)
    """
    grid = check_times(times)
    baseline, _, _ = learn_baseline(read_outcome(y), spec)
    spec = dataclasses.replace(spec, region_order=())  # of one region there is no order
    prior = draw_prior(
        spec,
        columns=pd.MultiIndex.from_tuples([("any", "any")]),
        baseline=baseline,
        cohorts=("one", "other") if several_cohorts else ("all",),
        n_draws=n_draws,
        seed=seed,
    )
    if several_cohorts:
        prior = cohort_baseline(prior, known_cohort(prior, 0))
    cumulative = baseline_cumulative_hazard(baseline, prior, grid)
    if "cohort_effect" in prior:
        cumulative = cumulative * np.exp(stacked(prior, "cohort_effect")[:, :1])
    return xr.DataArray(
        np.exp(-cumulative), dims=("sample", "time"), coords={"time": grid}, name="survival"
    )
