"""A fitted survival model: posterior, what was learned beside it, and its diagnostics."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import xarray as xr

from times_stats.errors import InputError
from times_stats.survival.baseline import Baseline
from times_stats.survival.diagnostics import Diagnostics
from times_stats.survival.spec import SurvivalSpec


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalFit:
    """Posterior of the survival model; made by `fit_survival`.

    Parameters
    ----------
    spec : SurvivalSpec
        What was fitted.
    posterior : DataTree
        ArviZ groups ``posterior``, ``sample_stats``, and the training data in ``constant_data``
        (``evidence``, ``cohort_index``) and ``observed_data`` (``time``, ``event``, and
        ``entry``, ``time_upper`` where the model has room for them), absent when saved without.
        Quantities: ``slope`` (mu), ``beta`` (coefficient), ``effect`` and ``effect_scale``,
        ``intercept`` (log cumulative hazard at evidence 0: at
        ``baseline.time_scale`` for the Weibull, at the last knot for the others), ``shape`` or
        ``weight`` and ``smoothness``, ``cohort_effect`` and ``cohort_scale``.
    columns : MultiIndex
        Marker and region of each coefficient.
    cohorts : tuple of str
        Cohorts of the training data.
    n_cohorts : int
        Cohorts the model has room for; 1 means no cohort effects.
    baseline : Baseline
        Scale, knots, and how follow-up of length 0 was handled.
    diagnostics : Diagnostics
        The gate: a fit with status "failed" is no result.
    n, events : int
        Patients and events used.
    n_filled : int
        Missing evidence values set to 0, the average.
    seed : int
        Seed of the chains, and of effects drawn for unknown cohorts.
    slope_prior : tuple of float
        Mean and sd of the prior of the common slope.
    centred : tuple of bool
        Whether slopes and cohort effects were sampled in centred form.
    """

    spec: SurvivalSpec
    posterior: xr.DataTree
    columns: pd.MultiIndex
    cohorts: tuple[str, ...]
    n_cohorts: int
    baseline: Baseline
    diagnostics: Diagnostics
    n: int
    events: int
    n_filled: int
    seed: int
    slope_prior: tuple[float, float]
    centred: tuple[bool, bool]

    @property
    def evidence(self) -> pd.DataFrame:
        """Evidence the model was fitted on, missing values filled with 0, by patient.

        Raises
        ------
        InputError
            If the fit was saved without its training data.
        """
        data = self.training_data()["constant_data"]
        return pd.DataFrame(
            data["evidence"].to_numpy(),
            index=pd.Index(data["patient"].to_numpy(), name="patient_id"),
            columns=self.columns,
        )

    def training_data(self) -> xr.DataTree:
        """Return the posterior tree, once it is known to hold the training data.

        Returns
        -------
        DataTree

        Raises
        ------
        InputError
            If the fit was saved without its training data.
        """
        if "constant_data" not in self.posterior.children:
            raise InputError(
                "this fit was saved without its training data: load the one of the run folder, "
                "or fit it again"
            )
        return self.posterior
