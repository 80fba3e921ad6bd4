"""The tables of a fit, checked and brought into one order before any long work starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._checks import name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.survival.covariates import CovariateValues, read_covariates
from times_stats.survival.effects import check_columns
from times_stats.survival.measurement import EvidenceError, read_evidence_error
from times_stats.survival.outcomes import SurvivalOutcome, read_outcome
from times_stats.survival.spec import SurvivalSpec

_LARGEST_EVIDENCE = 500.0  # a relative hazard of e^500


@dataclass(frozen=True, slots=True, eq=False)
class FitInputs:
    """Patients of a fit in the order of their identifiers.

    Parameters
    ----------
    patients : Index
        Identifiers.
    columns : MultiIndex
        Marker and region of the evidence; empty for a model of covariates alone.
    evidence : ndarray, shape (n, n_coefficients)
        Evidence, 0 where missing.
    is_missing : ndarray of bool, shape (n, n_coefficients)
        Where it was missing.
    outcome : SurvivalOutcome
        What is known of the events.
    cohorts : tuple of str
        Names of the cohorts.
    cohort : ndarray of int, shape (n,)
        Position of each patient's cohort.
    covariates : CovariateValues
        Covariates of the specification.
    error : EvidenceError, optional
        How far the evidence may be off.
    """

    patients: pd.Index
    columns: pd.MultiIndex
    evidence: FloatArray
    is_missing: BoolArray
    outcome: SurvivalOutcome
    cohorts: tuple[str, ...]
    cohort: IntArray
    covariates: CovariateValues
    error: EvidenceError | None


def read_inputs(
    spec: SurvivalSpec,
    evidence: pd.DataFrame | None,
    y: pd.DataFrame,
    *,
    cohort: pd.Series | None,
    covariates: pd.DataFrame | None,
    evidence_se: pd.DataFrame | None,
    n_tiles: pd.DataFrame | None,
) -> FitInputs:
    """Check the tables of a fit.

    Parameters
    ----------
    spec : SurvivalSpec
        What is to be fitted.
    evidence, y, cohort, covariates, evidence_se, n_tiles
        As in `fit_survival`.

    Returns
    -------
    FitInputs
        Sums round by order: in the order of the identifiers, shuffled rows give the same draws.

    Raises
    ------
    InputError
        As in `fit_survival`.
    """
    if evidence is None:
        if not spec.covariates:
            raise InputError("there is neither evidence nor a covariate: give one of them")
        evidence = pd.DataFrame(index=y.index)
    columns = check_columns(evidence.columns, may_be_empty=bool(spec.covariates))
    evidence = evidence.iloc[np.argsort(evidence.index.astype(str).to_numpy(dtype=str))]
    patients = evidence.index
    outcome = read_outcome(y)[_positions(patients, y.index)]
    names, codes = _cohort_codes(patients, cohort)
    values = check_evidence(evidence)
    error = None
    if (evidence_se is None) != (n_tiles is None):
        raise InputError("evidence_se and n_tiles belong together: give both or neither")
    if evidence_se is not None and n_tiles is not None:
        error = read_evidence_error(evidence, evidence_se, n_tiles)
    return FitInputs(
        patients=patients,
        columns=columns,
        evidence=np.nan_to_num(values, nan=0.0),
        is_missing=np.isnan(values),
        outcome=outcome,
        cohorts=names,
        cohort=codes,
        covariates=read_covariates(spec.covariates, covariates, patients),
        error=error,
    )


def check_evidence(evidence: pd.DataFrame) -> FloatArray:
    """Return evidence as an array, once no value is infinite or beyond all hazards.

    Parameters
    ----------
    evidence : DataFrame, patients x (marker, region)
        Evidence; missing values are allowed.

    Returns
    -------
    ndarray, shape (n, n_coefficients)

    Raises
    ------
    InputError
        If a value is infinite, or beyond 500 in size.
    """
    z = evidence.to_numpy(dtype=np.float64)
    huge = (np.isfinite(z) & (np.abs(z) > _LARGEST_EVIDENCE)).any(axis=1)
    if huge.any():
        raise InputError(
            f"evidence is beyond {_LARGEST_EVIDENCE:g} for patient "
            f"{name_rows(evidence.index[huge])}: give log hazards, or standardised values"
        )
    if np.isinf(z).any():
        rows = evidence.index[np.isinf(z).any(axis=1)]
        raise InputError(f"evidence is infinite for patient {name_rows(rows)}: give finite values")
    return z


def _positions(patients: pd.Index, rows: pd.Index) -> IntArray:
    """Return the row of the outcome that belongs to each patient of the evidence."""
    for name, index in (("evidence", patients), ("outcome", rows)):
        if index.has_duplicates:
            twice = name_rows(index[index.duplicated()])
            raise InputError(f"{name} has more than one row for patient {twice}: keep one each")
    odd = patients.symmetric_difference(rows)
    if len(odd):
        raise InputError(
            f"patient {name_rows(odd)} has evidence or an outcome, not both: give the same patients"
        )
    return rows.get_indexer(patients).astype(np.int64)


def _cohort_codes(index: pd.Index, cohort: pd.Series | None) -> tuple[tuple[str, ...], IntArray]:
    if cohort is None:
        return ("all",), np.zeros(len(index), dtype=np.int64)
    labels = read_labels(index, cohort)
    without = index[labels.isna()]
    if len(without):
        raise InputError(f"cohort is missing for patient {name_rows(without)}: name one for each")
    names, codes = np.unique(labels.to_numpy(dtype=str), return_inverse=True)
    return tuple(str(name) for name in names), codes.astype(np.int64)


def read_labels(index: pd.Index, cohort: object) -> pd.Series:
    """Return the cohort of each patient as text, missing where it is not known.

    Parameters
    ----------
    index : Index
        Patients.
    cohort : Series
        Label by patient; others are not looked at. Whole numbers are the same label whether a
        missing one has made them floats or not.

    Returns
    -------
    Series of object

    Raises
    ------
    InputError
        If it is no series, a patient is there twice or not at all, or a label is a fraction.
    """
    if not isinstance(cohort, pd.Series):
        raise InputError(
            f"cohort is a {type(cohort).__name__}: give a pandas Series of labels by patient"
        )
    if cohort.index.has_duplicates:
        twice = name_rows(cohort.index[cohort.index.duplicated()])
        raise InputError(f"cohort has more than one row for patient {twice}: keep one each")
    absent = index.difference(cohort.index)
    if len(absent):
        raise InputError(f"cohort is missing for patient {name_rows(absent)}: name one for each")
    chosen = cohort.loc[index].astype(object)
    known = chosen.notna()
    whole = chosen[known].map(lambda label: not isinstance(label, float) or label.is_integer())
    if not whole.all():
        odd = name_rows(whole.index[~whole.astype(bool)])
        raise InputError(f"cohort is a fraction for patient {odd}: give names")
    labels = pd.Series(None, index=index, dtype=object)
    labels[known] = [
        str(int(label)) if isinstance(label, float) else str(label) for label in chosen[known]
    ]
    return labels
