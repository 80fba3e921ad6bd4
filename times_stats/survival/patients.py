"""New patients of a prediction: their tables, checked, and what the posterior draws say of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from times_stats._checks import name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng
from times_stats.survival.cohorts import (
    UnknownCohort,
    check_unknown_cohort,
    cohort_baseline,
    draw_cohort,
)
from times_stats.survival.covariates import CovariateValues, read_covariates
from times_stats.survival.effects import check_columns
from times_stats.survival.hazard import stacked
from times_stats.survival.inputs import check_evidence, read_labels
from times_stats.survival.measurement import EvidenceError, draw_true_evidence, read_evidence_error
from times_stats.survival.predictor import PredictorValues, predictor_draws
from times_stats.survival.result import SurvivalFit


@dataclass(frozen=True, slots=True, eq=False)
class NewPatients:
    """Checked tables of the patients of a prediction.

    Parameters
    ----------
    names : ndarray of str, shape (n,)
        Identifiers.
    evidence : ndarray, shape (n, n_coefficients)
        Evidence, 0 where missing.
    error : EvidenceError, optional
        How far it may be off; None where the fit takes evidence as exact.
    covariates : CovariateValues
        Covariates on the scale of the fit.
    cohort : Series
        Label by patient; missing where unknown.
    unknown_cohort : {"integrated", "average"}
        What unknown cohorts have for their own.
    n_filled, n_drawn : int
        Missing values that became 0, and that are drawn.
    """

    names: np.ndarray
    evidence: FloatArray
    error: EvidenceError | None
    covariates: CovariateValues
    cohort: pd.Series
    unknown_cohort: UnknownCohort
    n_filled: int
    n_drawn: int


@dataclass(frozen=True, slots=True, eq=False)
class PatientDraws:
    """Linear predictors of patients, and the baseline of each cohort among them.

    Parameters
    ----------
    names : ndarray of str, shape (n,)
        Identifiers.
    eta : ndarray, shape (n_samples, n)
        Linear predictor, intercept left out.
    groups : tuple of (ndarray, Dataset)
        Rows of the patients who share a baseline, and its draws.
    n_filled, n_drawn : int
        Missing values that became 0, and that were drawn.
    """

    names: np.ndarray
    eta: FloatArray
    groups: tuple[tuple[BoolArray | IntArray, xr.Dataset], ...]
    n_filled: int
    n_drawn: int


def read_patients(
    fit: SurvivalFit,
    new: pd.DataFrame | None,
    *,
    cohort: pd.Series | str | None = None,
    covariates: pd.DataFrame | None = None,
    unknown_cohort: UnknownCohort = "integrated",
    evidence_se: pd.DataFrame | None = None,
    n_tiles: pd.DataFrame | None = None,
) -> NewPatients:
    """Check the tables of new patients against the fit.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new, covariates, unknown_cohort, evidence_se, n_tiles
        As in `linear_predictor`.
    cohort : Series or str, optional
        Cohort by patient, or of all of them.

    Returns
    -------
    NewPatients

    Raises
    ------
    InputError
        As in `linear_predictor`.
    """
    check_unknown_cohort(unknown_cohort)
    if new is None:
        if len(fit.columns):
            raise InputError("the model has evidence: give that of the new patients")
        if covariates is None:
            raise InputError("the model has covariates: give those of the new patients")
        new = pd.DataFrame(index=covariates.index)
    if new.index.has_duplicates:
        twice = name_rows(new.index[new.index.duplicated()])
        raise InputError(f"new patients have more than one row for {twice}: keep one each")
    values = _evidence_values(fit, new)
    missing = np.isnan(values)
    error, n_filled, n_drawn = None, int(missing.sum()), 0
    if "evidence_mean" in fit.posterior["posterior"]:
        if evidence_se is None or n_tiles is None:
            raise InputError(
                "slopes of the model are those of true evidence: give evidence_se and n_tiles of "
                "the new patients (0 where theirs is exact) to a function that takes them"
            )
        error = read_evidence_error(new, evidence_se, n_tiles)
        n_filled, n_drawn = 0, n_filled
    elif evidence_se is not None or n_tiles is not None:
        raise InputError(
            "the model takes evidence as exact: leave evidence_se and n_tiles out, or fit it with "
            "those of the training patients"
        )
    read = read_covariates(fit.spec.covariates, covariates, new.index, scaling=fit.scaling)
    return NewPatients(
        names=np.array(new.index.astype(str), dtype=str),
        evidence=np.where(missing, 0.0, values),
        error=error,
        covariates=read,
        cohort=_labels(new.index, cohort),
        unknown_cohort=unknown_cohort,
        n_filled=n_filled,
        n_drawn=n_drawn + int(read.is_missing.sum()),
    )


def _evidence_values(fit: SurvivalFit, new: pd.DataFrame) -> FloatArray:
    columns = check_columns(new.columns, may_be_empty=not len(fit.columns))
    if not columns.equals(fit.columns):
        lacking = fit.columns.difference(columns)
        what = f"lacks {name_rows(lacking)}" if len(lacking) else "has others or another order"
        raise InputError(f"the evidence of the new patients {what}: give the columns of the fit")
    return check_evidence(new)


def _labels(index: pd.Index, cohort: pd.Series | str | None) -> pd.Series:
    if cohort is None or isinstance(cohort, str):
        return pd.Series(cohort, index=index, dtype=object)
    return read_labels(index, cohort)


def draw_patients(
    fit: SurvivalFit, patients: NewPatients, *, stream: str = "unknown cohort"
) -> PatientDraws:
    """Draw the linear predictor of each patient, and the baseline of each cohort.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    patients : NewPatients
        From `read_patients`.
    stream : str
        Name of the random stream of unknown cohorts: two models of one prediction must not share
        theirs.

    Returns
    -------
    PatientDraws
    """
    posterior = fit.posterior["posterior"].to_dataset()
    values = patient_values(fit, posterior, patients)
    n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
    eta = np.empty((n_samples, len(patients.names)))
    codes, names = pd.factorize(patients.cohort)
    groups = []
    for code in np.unique(codes):
        rows = codes == code
        effects = draw_cohort(
            fit,
            posterior,
            None if code < 0 else str(names[code]),
            stream=stream,
            unknown_cohort=patients.unknown_cohort,
        )
        eta[:, rows] = predictor_draws(fit.spec, posterior, values[rows], effects)
        groups.append((rows, cohort_baseline(posterior, effects)))
    if "cohort_shape_effect" not in posterior:
        groups = [(np.ones(len(patients.names), dtype=np.bool_), posterior)]
    return PatientDraws(patients.names, eta, tuple(groups), patients.n_filled, patients.n_drawn)


def patient_values(
    fit: SurvivalFit, posterior: xr.Dataset, patients: NewPatients
) -> PredictorValues:
    """Return what the linear predictor of new patients is made of, by draw where it is uncertain.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    posterior : Dataset
        Its draws.
    patients : NewPatients
        From `read_patients`.

    Returns
    -------
    PredictorValues
    """
    return PredictorValues(
        _evidence_draws(fit, posterior, patients),
        _number_draws(fit, posterior, patients),
        patients.covariates.levels,
    )


def _evidence_draws(fit: SurvivalFit, posterior: xr.Dataset, patients: NewPatients) -> FloatArray:
    """Evidence as it is, or by draw where some of it is uncertain."""
    if patients.error is None or not patients.error.is_latent.any():
        return patients.evidence
    mean, sd = stacked(posterior, "evidence_mean"), stacked(posterior, "evidence_sd")
    drawn = np.repeat(patients.evidence[None], mean.shape[0], axis=0)
    se = np.where(patients.error.is_missing, np.inf, patients.error.se)
    for row, column in zip(*np.nonzero(patients.error.is_latent), strict=True):
        at = (slice(row, row + 1), column)
        drawn[:, row, column] = draw_true_evidence(
            patients.evidence[at],
            se[at],
            patients.error.df[at],
            mean[:, column],
            sd[:, column],
            spawn_rng(fit.seed, "true evidence", str(patients.names[row]), int(column)),
        )[:, 0]
    return drawn


def _number_draws(fit: SurvivalFit, posterior: xr.Dataset, patients: NewPatients) -> FloatArray:
    """Standardised numbers as they are, or by draw where some are missing."""
    missing = patients.covariates.is_missing
    if not missing.any():
        return patients.covariates.numbers
    n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
    drawn = np.repeat(patients.covariates.numbers[None], n_samples, axis=0)
    for row, column in zip(*np.nonzero(missing), strict=True):
        rng = spawn_rng(fit.seed, "missing number", str(patients.names[row]), int(column))
        drawn[:, row, column] = rng.standard_normal(n_samples)
    return drawn
