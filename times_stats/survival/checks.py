"""What a fit says about itself: forest table, pointwise likelihood, leave-one-out."""

from __future__ import annotations

from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.survival.baseline import Baseline
from times_stats.survival.cohorts import cohort_baseline, known_cohort
from times_stats.survival.diagnostics import Diagnostics, diagnose
from times_stats.survival.hazard import (
    baseline_cumulative_hazard,
    baseline_log_hazard,
    stacked,
)
from times_stats.survival.predictor import PredictorValues, predictor_draws
from times_stats.survival.result import SurvivalFit

__all__ = ["Diagnostics", "diagnose", "log_likelihood", "loo", "posterior_summary"]


def posterior_summary(fit: SurvivalFit, *, prob: float = 0.95) -> pd.DataFrame:
    """Tabulate the slopes by marker and region, for a forest plot.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    prob : float
        Mass of the equal-tailed credible interval.

    Returns
    -------
    DataFrame
        One row per coefficient: marker, region, mean, sd, lower, upper, rhat, ess (the smaller of
        bulk and tail). A slope multiplies evidence in log-hazard units: 1 takes the boosted model
        at its word, 0 ignores it. Intervals are conditional on the evidence.

    Raises
    ------
    InputError
        If `prob` is not between 0 and 1.

    Examples
    --------
    >>> from times_stats.survival import posterior_summary
    >>> posterior_summary(fit)[["marker", "region", "mean", "lower", "upper"]]  # doctest: +SKIP
    """
    if not 0 < prob < 1:
        raise InputError(f"prob is {prob}: use a number between 0 and 1")
    if not len(fit.columns):
        raise InputError("the model has no evidence, hence no slopes: see covariate_summary")
    posterior = fit.posterior["posterior"].to_dataset()
    beta = posterior[["beta"]]
    draws = stacked(posterior, "beta")
    lower, upper = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    sizes = [az.ess(beta, method=method)["beta"].to_numpy() for method in ("bulk", "tail")]
    return pd.DataFrame(
        {
            "marker": fit.columns.get_level_values(0),
            "region": fit.columns.get_level_values(1),
            "mean": draws.mean(axis=0),
            "sd": draws.std(axis=0, ddof=1),
            "lower": lower,
            "upper": upper,
            "rhat": az.rhat(beta)["beta"].to_numpy(),
            "ess": np.minimum(*sizes),
        }
    )


def log_likelihood(fit: SurvivalFit) -> xr.DataArray:
    r"""Evaluate each training patient's log likelihood per draw: :math:`d \log h(t) - H(t)`.

    With delayed entry and events found at scans as in `build_model`.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with its training data.

    Returns
    -------
    DataArray
        Dims ``chain, draw, patient``; density per month, so baselines can be compared.

    Raises
    ------
    InputError
        If the fit was saved without its training data.

    Examples
    --------
    >>> from times_stats.survival.checks import log_likelihood
    >>> log_likelihood(fit).sum("patient")  # doctest: +SKIP
    """
    tree = fit.training_data()
    posterior = tree["posterior"].to_dataset()
    observed = tree["observed_data"].to_dataset()
    values = training_values(fit)
    code = tree["constant_data"]["cohort_index"].to_numpy()
    n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
    pointwise = np.empty((n_samples, code.size))
    groups = (
        [(code == k, k) for k in np.unique(code)]
        if fit.n_cohorts > 1
        else [(np.ones(code.size, dtype=np.bool_), 0)]
    )
    for rows, number in groups:
        effects = known_cohort(posterior, int(number))
        eta = predictor_draws(fit.spec, posterior, values[rows], effects)
        baseline = cohort_baseline(posterior, effects)
        pointwise[:, rows] = pointwise_log_likelihood(
            fit.baseline, baseline, eta, observed.isel(patient=rows)
        )
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    return xr.DataArray(
        pointwise.reshape(chains, draws, -1),
        dims=("chain", "draw", "patient"),
        coords={name: posterior[name].to_numpy() for name in ("chain", "draw")}
        | {"patient": tree["observed_data"]["patient"].to_numpy()},
        name="outcome",
    )


def pointwise_log_likelihood(
    baseline: Baseline, posterior: xr.Dataset, eta: FloatArray, observed: xr.Dataset
) -> FloatArray:
    """Evaluate the log likelihood of patients who share a baseline.

    Parameters
    ----------
    baseline : Baseline
        Scale and knots.
    posterior : Dataset
        Draws of intercept and shape, or weights.
    eta : ndarray, shape (n_samples, n)
        Linear predictor.
    observed : Dataset
        ``time`` and ``event``, and ``entry``, ``time_upper`` where there are any, by ``patient``.

    Returns
    -------
    ndarray, shape (n_samples, n)
    """
    time, event = observed["time"].to_numpy(), observed["event"].to_numpy()
    relative = np.exp(eta)

    def cumulative(at: FloatArray) -> FloatArray:
        return baseline_cumulative_hazard(baseline, posterior, at) * relative

    # A scan at time 0 has no Weibull hazard, and needs none.
    log_hazard = baseline_log_hazard(baseline, posterior, np.where(event == 1, time, 1.0))
    pointwise = np.where(event == 1, log_hazard + eta, 0.0) - cumulative(time)
    if "entry" in observed:
        pointwise += cumulative(observed["entry"].to_numpy())
    if "time_upper" in observed:
        upper = observed["time_upper"].to_numpy()
        found = np.isfinite(upper)
        more = cumulative(np.where(found, upper, time)) - cumulative(time)
        pointwise += np.where(found, np.log(-np.expm1(-np.where(found, more, 1.0))), 0.0)
    return pointwise


def training_values(fit: SurvivalFit) -> PredictorValues:
    """Return what the linear predictor of the training patients is made of, by draw if uncertain.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with its training data.

    Returns
    -------
    PredictorValues
    """
    tree = fit.training_data()
    posterior, data = tree["posterior"].to_dataset(), tree["constant_data"].to_dataset()
    n = data.sizes["patient"]
    evidence = data["evidence"].to_numpy()
    if "true_evidence" in posterior:
        latent = (data["evidence_se"] > 0) | data["evidence_is_missing"]
        evidence = _filled(evidence, latent.to_numpy(), stacked(posterior, "true_evidence"))
    numbers = data["numbers"].to_numpy() if "numbers" in data else np.empty((n, 0))
    if "missing_number" in posterior:
        missing = data["number_is_missing"].to_numpy()
        numbers = _filled(numbers, missing, stacked(posterior, "missing_number"))
    levels = data["levels"].to_numpy() if "levels" in data else np.empty((n, 0), dtype=np.int64)
    return PredictorValues(evidence, numbers, levels)


def _filled(values: FloatArray, where: np.ndarray, draws: FloatArray) -> FloatArray:
    """Values by draw, with those of some cells taken from the posterior, in row order."""
    by_draw = np.repeat(values[None], draws.shape[0], axis=0)
    by_draw[:, where] = draws
    return by_draw


def loo(fit: SurvivalFit) -> Any:
    """Estimate leave-one-out predictive density, pointwise by patient (PSIS-LOO).

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with its training data.

    Returns
    -------
    arviz_stats.ELPDData
        With ``elpd``, ``se``, pointwise ``elpd_i`` and ``pareto_k``. To choose a baseline and to
        find outliers only: it is conditional on evidence that was learned with these outcomes.

    Raises
    ------
    InputError
        If the fit was saved without its training data.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), doi:10.1007/s11222-016-9696-4.

    Examples
    --------
    >>> from times_stats.survival import loo
    >>> loo(fit).elpd  # doctest: +SKIP
    """
    tree = xr.DataTree.from_dict(
        {
            "posterior": fit.posterior["posterior"].to_dataset(),
            "log_likelihood": log_likelihood(fit).to_dataset(),
        }
    )
    return az.loo(tree, pointwise=True)
