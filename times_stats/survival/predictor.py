"""The linear predictor by posterior draw: evidence, covariates and cohort, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from times_stats._typing import FloatArray, IntArray
from times_stats.survival.cohorts import CohortDraws
from times_stats.survival.hazard import stacked, weighted_sums
from times_stats.survival.spec import SurvivalSpec


@dataclass(frozen=True, slots=True, eq=False)
class PredictorValues:
    """What the linear predictor of some patients is made of.

    Parameters
    ----------
    evidence : ndarray, shape (n, n_coefficients) or (n_samples, n, n_coefficients)
        Evidence; by draw where it is uncertain.
    numbers : ndarray, shape (n, n_numeric) or (n_samples, n, n_numeric)
        Standardised numeric covariates; by draw where some are missing.
    levels : ndarray of int, shape (n, n_ordered)
        Positions of the levels of ordered covariates.
    """

    evidence: FloatArray
    numbers: FloatArray
    levels: IntArray

    def __getitem__(self, rows: np.ndarray) -> PredictorValues:
        """Return the values of some patients."""
        return PredictorValues(
            self.evidence[..., rows, :], self.numbers[..., rows, :], self.levels[rows]
        )

    def of_draws(self, rows: IntArray) -> PredictorValues:
        """Return the values at some of the draws."""
        return PredictorValues(
            self.evidence if self.evidence.ndim == 2 else self.evidence[rows],
            self.numbers if self.numbers.ndim == 2 else self.numbers[rows],
            self.levels,
        )


def predictor_draws(
    spec: SurvivalSpec, posterior: xr.Dataset, values: PredictorValues, effects: CohortDraws
) -> FloatArray:
    """Evaluate the linear predictor, cohort level included and intercept left out.

    Parameters
    ----------
    spec : SurvivalSpec
        What was fitted.
    posterior : Dataset
        Draws.
    values : PredictorValues
        Patients, all of one cohort.
    effects : CohortDraws
        Effects of that cohort.

    Returns
    -------
    ndarray, shape (n_samples, n)
    """
    n = values.levels.shape[0]
    eta = np.zeros((effects.level.size, n))
    if values.evidence.shape[-1]:
        beta = stacked(posterior, "beta")
        if "cohort_slope" in posterior:
            beta = beta + effects.slope[:, None]
        eta = _sums(beta, values.evidence)
    if spec.covariates:
        eta = eta + covariate_draws(spec, posterior, values, effects)
    if "cohort_effect" in posterior:
        eta = eta + effects.level[:, None]
    return eta


def _sums(weights: FloatArray, values: FloatArray) -> FloatArray:
    if values.ndim == 2:
        return weighted_sums(weights, values)
    total = np.zeros(values.shape[:2])
    for term in range(weights.shape[1]):
        total += weights[:, term, None] * values[:, :, term]
    return total


def covariate_draws(
    spec: SurvivalSpec, posterior: xr.Dataset, values: PredictorValues, effects: CohortDraws
) -> FloatArray:
    """Evaluate the part of the covariates in the linear predictor.

    Parameters
    ----------
    spec, posterior, values, effects
        As in `predictor_draws`.

    Returns
    -------
    ndarray, shape (n_samples, n)
    """
    effect = stacked(posterior, "covariate_effect")
    varying = [term.name for term in spec.covariates if term.by_cohort]
    total = np.zeros((effects.level.size, values.levels.shape[0]))
    n_numeric = n_ordered = 0
    for number, term in enumerate(spec.covariates):
        own = effect[:, number]
        if term.by_cohort and effects.covariates.shape[1]:
            own = own + effects.covariates[:, varying.index(term.name)]
        if term.is_ordered:
            climbed = climbed_shares(posterior, term.name, len(term.levels))
            total += own[:, None] * climbed[:, values.levels[:, n_ordered]]
            n_ordered += 1
        else:
            total += own[:, None] * values.numbers[..., n_numeric]
            n_numeric += 1
    return total


def climbed_shares(posterior: xr.Dataset, name: str, n_levels: int) -> FloatArray:
    """Return the share of the way from the lowest to the highest level, by draw and level.

    Parameters
    ----------
    posterior : Dataset
        Draws.
    name : str
        Ordered covariate.
    n_levels : int
        Its levels.

    Returns
    -------
    ndarray, shape (n_samples, n_levels)
        From 0 to 1.
    """
    n = posterior.sizes["chain"] * posterior.sizes["draw"]
    if n_levels == 2:
        return np.tile([0.0, 1.0], (n, 1))
    steps = stacked(posterior, f"steps_{name}")
    return np.concatenate([np.zeros((n, 1)), np.cumsum(steps, axis=1)], axis=1)
