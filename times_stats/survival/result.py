"""A fitted survival model: posterior, what was learned beside it, and its diagnostics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from times_stats.errors import InputError
from times_stats.survival.baseline import Baseline
from times_stats.survival.diagnostics import Diagnostics
from times_stats.survival.spec import SurvivalSpec


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTables:
    """What a model was fitted to, as `fit_survival` takes it.

    Parameters
    ----------
    evidence : DataFrame, optional
        Evidence; None for a model of covariates alone.
    y : DataFrame
        Outcome.
    cohort : Series, optional
        Cohort by patient; None where the model has no room for more than one.
    covariates : DataFrame, optional
        Covariates; None where the model has none.
    evidence_se, n_tiles : DataFrame, optional
        Standard errors and tiles, where the evidence was uncertain.
    """

    evidence: pd.DataFrame | None
    y: pd.DataFrame
    cohort: pd.Series | None
    covariates: pd.DataFrame | None
    evidence_se: pd.DataFrame | None
    n_tiles: pd.DataFrame | None

    def without(self, patients: pd.Index) -> TrainingTables:
        """Return the tables without some patients.

        Parameters
        ----------
        patients : Index
            Patients to leave out.

        Returns
        -------
        TrainingTables
        """
        kept = self.y.index.difference(patients, sort=False)

        def rows[T: (pd.DataFrame, pd.Series)](table: T | None) -> T | None:
            return None if table is None else table.loc[kept]

        return TrainingTables(
            rows(self.evidence),
            self.y.loc[kept],
            rows(self.cohort),
            rows(self.covariates),
            rows(self.evidence_se),
            rows(self.n_tiles),
        )


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
        ``weight`` and ``smoothness``; where the model has them ``cohort_effect``, ``cohort_slope``
        and ``cohort_shape_effect`` (added to the log shape, or to the log weights), each with its
        ``..._scale``; ``covariate_effect``, ``steps_<covariate>``, ``covariate_cohort_effect`` and
        its scale; ``true_evidence`` with ``evidence_mean`` and ``evidence_sd``; and
        ``missing_number``.
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
    n_modelled : int
        Missing numbers of covariates that were parameters of the model.
    scaling : dict of str to tuple of float
        Mean and sd of each numeric covariate in the training patients.
    seed : int
        Seed of the chains, and of effects drawn for unknown cohorts.
    slope_prior : tuple of float
        Mean and sd of the prior of the common slope.
    centred : tuple of bool
        Whether slopes, cohort effects and steps of the random walk were sampled in centred form.
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
    n_modelled: int
    scaling: dict[str, tuple[float, float]]
    seed: int
    slope_prior: tuple[float, float]
    centred: tuple[bool, bool, bool]

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

    @property
    def is_updated(self) -> bool:
        """Whether a cohort was added after the fit, whose patients are not in the training data."""
        tree = self.training_data()
        return len(self.cohorts) > int(tree["constant_data"]["cohort_index"].max()) + 1

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

    def training_tables(self) -> TrainingTables:
        """Return the tables the model was fitted to, to fit it again without some patients.

        Returns
        -------
        TrainingTables

        Raises
        ------
        InputError
            If the fit was saved without its training data.
        """
        tree = self.training_data()
        data, observed = tree["constant_data"].to_dataset(), tree["observed_data"].to_dataset()
        index = pd.Index(data["patient"].to_numpy(), name="patient_id")
        y = pd.DataFrame(
            {name: observed[name].to_numpy() for name in ("time", "event")}, index=index
        )
        if "entry" in observed:
            y["entry"] = observed["entry"].to_numpy()
        if "time_upper" in observed:
            upper = observed["time_upper"].to_numpy()
            found = np.isfinite(upper)
            y["time_lower"] = np.where(found, y["time"], np.nan)
            y["time_upper"] = upper
            y["time"] = np.where(found, upper, y["time"])
            y["event"] = np.where(found, 1, y["event"])
        cohort = None
        if self.n_cohorts > 1:
            names = np.array(self.cohorts)[data["cohort_index"].to_numpy()]
            cohort = pd.Series(names, index=index, name="cohort")
        evidence, se, n_tiles = None, None, None
        if len(self.columns):
            evidence = self.evidence
            if "evidence_se" in data:

                def table(name: str) -> pd.DataFrame:
                    return pd.DataFrame(data[name].to_numpy(), index=index, columns=self.columns)

                evidence = evidence.mask(table("evidence_is_missing"))
                se, n_tiles = table("evidence_se"), table("evidence_df") + 1
        return TrainingTables(evidence, y, cohort, self._covariates(data, index), se, n_tiles)

    def _covariates(self, data: xr.Dataset, index: pd.Index) -> pd.DataFrame | None:
        if not self.spec.covariates:
            return None
        table = pd.DataFrame(index=index)
        numeric = [term.name for term in self.spec.covariates if not term.is_ordered]
        ordered = [term for term in self.spec.covariates if term.is_ordered]
        for k, name in enumerate(numeric):
            mean, sd = self.scaling[name]
            missing = data["number_is_missing"].to_numpy()[:, k]
            table[name] = np.where(missing, np.nan, mean + sd * data["numbers"].to_numpy()[:, k])
        for k, term in enumerate(ordered):
            table[term.name] = np.array(term.levels)[data["levels"].to_numpy()[:, k]]
        return table
