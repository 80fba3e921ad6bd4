"""The survival model as a scikit-learn estimator, for pipelines and cross-validation."""

from __future__ import annotations

import functools
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from times_stats._checks import as_survival_table, name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.evaluation.discrimination import concordance_harrell
from times_stats.survival.cohorts import UnknownCohort
from times_stats.survival.inputs import FitInputs, read_inputs
from times_stats.survival.prediction import check_times, linear_predictor, predict_survival
from times_stats.survival.result import SurvivalFit
from times_stats.survival.sampling import CompiledSurvival, compile_survival, fit_survival
from times_stats.survival.spec import SurvivalSpec

_COMPILED_KEPT = 4  # structures in use at a time; each holds a few megabytes
_BLOCK = 10_000_000  # draws of survival held at a time


class SurvivalModel(BaseEstimator):  # type: ignore[misc]
    """The survival model of `fit_survival` behind ``fit``, ``predict`` and ``score``.

    Models are compiled once a process for each structure: the folds of a cross-validation share one
    compilation, without anything to hand in. A fold that lacks a cohort, or has fewer missing
    numbers, is another structure, unless `n_cohorts` and `n_missing` make room for the whole study.

    Parameters
    ----------
    spec : SurvivalSpec, optional
        Model, priors, sampler settings and gate; the default `SurvivalSpec` if left out.
        `SurvivalSpec.for_folds` is quicker, for cross-validation.
    n_cohorts, n_missing : int, optional
        Cohorts, and missing numbers of covariates, to make room for; those of the training patients
        if left out.
    unknown_cohort : {"integrated", "average"}, default "integrated"
        What predictions take for the effects of an unknown cohort (see `linear_predictor`).
    seed : int, default 0
        Same seed, same draws, whatever `cores`.
    cores : int, default 1
        Chains run at the same time.

    Attributes
    ----------
    fit_ : SurvivalFit
        Posterior and all else. A fit with ``fit_.diagnostics.status`` "failed" is no result.
    feature_names_in_ : list of tuple
        Marker and region of each column of `X`.
    n_features_in_ : int
        Number of columns.

    Notes
    -----
    In a cross-validation, `cohort` and `covariates` reach ``fit`` and ``score`` by the metadata
    routing of scikit-learn: see the example. Evidence must be remade inside the training patients
    of each fold: evidence made once, with all outcomes, flatters the model.

    Examples
    --------
    >>> from times_stats.survival import SurvivalModel, SurvivalSpec
    >>> model = SurvivalModel(spec=SurvivalSpec(baseline="mspline").for_folds())
    >>> model.fit(evidence, y, cohort=cohort).predict(new, cohort=new_cohort)  # doctest: +SKIP

    With cohorts in a cross-validation:

    >>> import sklearn
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     model = SurvivalModel().set_fit_request(cohort=True).set_score_request(cohort=True)
    >>> with sklearn.config_context(enable_metadata_routing=True):  # doctest: +SKIP
    ...     cross_val_score(model, evidence, y, params={"cohort": cohort})
    """

    def __init__(
        self,
        *,
        spec: SurvivalSpec | None = None,
        n_cohorts: int | None = None,
        n_missing: int | None = None,
        unknown_cohort: UnknownCohort = "integrated",
        seed: int = 0,
        cores: int = 1,
    ) -> None:
        self.spec = spec
        self.n_cohorts = n_cohorts
        self.n_missing = n_missing
        self.unknown_cohort = unknown_cohort
        self.seed = seed
        self.cores = cores

    def fit(
        self,
        X: pd.DataFrame,
        y: pd.DataFrame,
        *,
        cohort: pd.Series | None = None,
        covariates: pd.DataFrame | None = None,
    ) -> Self:
        """Draw from the posterior.

        Parameters
        ----------
        X : DataFrame, patients x (marker, region)
            Out-of-fold evidence; without columns for a model of covariates alone.
        y : DataFrame
            Outcome of the same patients, matched by index: ``time`` (months), ``event``, and what
            else `fit_survival` takes.
        cohort : Series, optional
            Cohort by patient.
        covariates : DataFrame, optional
            A column for each covariate of the specification, by patient.

        Returns
        -------
        SurvivalModel
            The fitted model.

        Raises
        ------
        InputError
            As `fit_survival`.

        Warns
        -----
        ConvergenceWarning
            If the fit failed its gate; ``fit_.diagnostics`` says why.
        """
        _check_tables(X, cohort, covariates)
        spec = SurvivalSpec() if self.spec is None else self.spec
        inputs = read_inputs(
            spec, X, y, cohort=cohort, covariates=covariates, evidence_se=None, n_tiles=None
        )
        self.fit_: SurvivalFit = fit_survival(
            spec,
            X,
            y,
            cohort=cohort,
            covariates=covariates,
            seed=self.seed,
            compiled=self._compiled(spec, inputs),
            cores=self.cores,
        )
        self.feature_names_in_ = list(X.columns)
        self.n_features_in_ = len(X.columns)
        return self

    def predict(
        self,
        X: pd.DataFrame,
        *,
        cohort: pd.Series | None = None,
        covariates: pd.DataFrame | None = None,
    ) -> FloatArray:
        """Return the risk, the posterior mean of the linear predictor, larger = earlier event.

        Parameters
        ----------
        X : DataFrame, patients x (marker, region)
            Evidence from the fold models, with the columns of the training patients.
        cohort : Series, optional
            Cohort by patient; an unknown one as `unknown_cohort` says.
        covariates : DataFrame, optional
            Covariates by patient.

        Returns
        -------
        ndarray, shape (n,)
            Log hazard against a patient with evidence 0. Where cohorts differ in shape it orders
            the patients of one cohort only.

        Raises
        ------
        InputError
            As `linear_predictor`.
        """
        check_is_fitted(self, "fit_")
        _check_tables(X, cohort, covariates)
        drawn = linear_predictor(
            self.fit_, X, cohort=cohort, covariates=covariates, unknown_cohort=self.unknown_cohort
        )
        # A contiguous row per patient: the order of its sum then does not depend on the others.
        return np.ascontiguousarray(drawn.to_numpy().T).mean(axis=1)

    def predict_survival(
        self,
        X: pd.DataFrame,
        *,
        times: ArrayLike,
        cohort: pd.Series | None = None,
        covariates: pd.DataFrame | None = None,
    ) -> FloatArray:
        """Return the posterior mean of S(t), the predictive survival of each patient.

        Parameters
        ----------
        X : DataFrame, patients x (marker, region)
            Evidence from the fold models.
        times : array-like, shape (n_times,)
            Months.
        cohort, covariates
            As in `predict`.

        Returns
        -------
        ndarray, shape (n, n_times)
            Probabilities of no event by each time.

        Raises
        ------
        InputError
            As `times_stats.survival.predict_survival`.
        """
        check_is_fitted(self, "fit_")
        _check_tables(X, cohort, covariates)
        grid = check_times(times)
        posterior = self.fit_.posterior["posterior"]
        n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
        # All draws of all patients at all times would fill the memory; patients are independent.
        step = max(1, _BLOCK // (n_samples * max(1, grid.size)))
        found = np.empty((len(X), grid.size))
        for start in range(0, len(X), step):
            rows = slice(start, start + step)
            drawn = predict_survival(
                self.fit_,
                X.iloc[rows],
                times=grid,
                cohort=cohort,
                covariates=covariates,
                unknown_cohort=self.unknown_cohort,
            )
            found[rows] = drawn.mean("sample").to_numpy()
        return found

    def score(
        self,
        X: pd.DataFrame,
        y: pd.DataFrame,
        *,
        cohort: pd.Series | None = None,
        covariates: pd.DataFrame | None = None,
    ) -> float:
        """Return Harrell's concordance of the risk with the outcome.

        Parameters
        ----------
        X : DataFrame, patients x (marker, region)
            Evidence from the fold models.
        y : DataFrame
            Outcome of the same patients, with ``time`` and ``event``, matched by index.
        cohort, covariates
            As in `predict`.

        Returns
        -------
        float
            In [0, 1]; .5 is chance.

        Raises
        ------
        InputError
            As `predict`; if a patient has no outcome; or if the outcome has late entry or events
            found at scans, which this concordance does not know.
        """
        risk = self.predict(X, cohort=cohort, covariates=covariates)
        table = as_survival_table(y)
        without = X.index.difference(table.index)
        if len(without):
            raise InputError(f"no outcome of patient {name_rows(without)}: give one for each")
        rows = table.loc[X.index]
        return concordance_harrell(rows["time"].to_numpy(), rows["event"].to_numpy(), risk)

    def _compiled(self, spec: SurvivalSpec, inputs: FitInputs) -> CompiledSurvival:
        structure = SurvivalSpec(
            baseline=spec.baseline,
            n_basis=spec.n_basis,
            covariates=spec.covariates,
            cohort_effects=spec.cohort_effects,
            region_order=spec.region_order,
        )
        return _compile(
            structure,
            tuple(inputs.columns),
            max(len(inputs.cohorts), self.n_cohorts or 1),
            max(int(inputs.covariates.is_missing.sum()), self.n_missing or 0),
            delayed_entry=inputs.outcome.is_delayed,
            interval_censoring=inputs.outcome.has_intervals,
        )


@functools.lru_cache(maxsize=_COMPILED_KEPT)
def _compile(
    structure: SurvivalSpec,
    columns: tuple[tuple[str, str], ...],
    n_cohorts: int,
    n_missing: int,
    *,
    delayed_entry: bool,
    interval_censoring: bool,
) -> CompiledSurvival:
    """Compile a structure once a process; a parameter could not be cloned, as it has no copy.

    Only what the data ask for counts: were a roomier model taken where there is one, a fit would
    depend on those before it.
    """
    return compile_survival(
        structure,
        columns=pd.MultiIndex.from_tuples(columns) if columns else None,
        n_cohorts=n_cohorts,
        delayed_entry=delayed_entry,
        interval_censoring=interval_censoring,
        n_missing=n_missing,
    )


def _check_tables(X: object, cohort: object, covariates: object) -> None:
    for name, value, kind, what in (
        ("X", X, pd.DataFrame, "a DataFrame of patients x (marker, region)"),
        ("cohort", cohort, pd.Series, "a Series by patient"),
        ("covariates", covariates, pd.DataFrame, "a DataFrame by patient"),
    ):
        if not isinstance(value, kind) and (value is not None or name == "X"):
            raise InputError(f"{name} is a {type(value).__name__}: give {what}")
