"""Clinical covariates beside the evidence: measured numbers, and ordered stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError

MISSING = ("refuse", "model")
_LARGEST = 500.0  # sds from the training mean: a relative hazard of e^500 at an effect of 1 an sd
_FLATTENED = 0.01  # share of the sd that is left without one patient


@dataclass(frozen=True, slots=True)
class Covariate:
    r"""One clinical covariate of the survival model.

    Parameters
    ----------
    name : str
        Column of the covariates.
    levels : tuple of str, optional
        Levels from lowest to highest, of an ordered covariate such as a stage. Its effect is
        monotone: :math:`b \sum_{j \le x} \delta_j`, with :math:`b` the log hazard ratio of the
        highest level to the lowest, and shares :math:`\delta` of the steps between neighbours that
        sum to one (uniform on the simplex at the prior). Without levels the covariate is a number,
        and its effect is linear.
    by_cohort : bool
        Whether each cohort has an effect of its own, pooled towards the common one: for a stage
        that cohorts assigned by different editions.
    missing : {"refuse", "model"}
        What to do where a number is missing. "model": it is a parameter of the fit, normal with
        mean and sd of the patients who have it. That is right where it is missing completely at
        random and unrelated to the other covariates; missing more often in patients with an early
        event, its effect and the level are biased. A missing level is always refused.

    Raises
    ------
    InputError
        If there is one level, a level twice, or `missing` is not known or asks to model a level.

    References
    ----------
    Buerkner and Charpentier (2020), doi:10.1111/bmsp.12195.

    Examples
    --------
    >>> Covariate("tnm_stage", levels=("I", "II", "III", "IV"), by_cohort=True).is_ordered
    True
    >>> Covariate("age").is_ordered
    False
    """

    name: str
    levels: tuple[str, ...] = ()
    by_cohort: bool = field(default=False, kw_only=True)
    missing: str = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        faults = Faults()
        if not (isinstance(self.name, str) and self.name and "/" not in self.name):
            faults.add(f"name of a covariate is {self.name!r}: give text without a slash")
        if isinstance(self.levels, str) or not all(isinstance(x, str) for x in self.levels):
            faults.add(f"levels of '{self.name}' are {self.levels!r}: give a tuple of texts")
            faults.raise_if_any()
        object.__setattr__(self, "levels", tuple(self.levels))
        if self.levels and (len(self.levels) < 2 or len(set(self.levels)) < len(self.levels)):
            faults.add(f"levels of '{self.name}' are {self.levels}: name two or more, each once")
        if self.missing not in MISSING:
            faults.add(f"missing of '{self.name}' is '{self.missing}': use 'refuse' or 'model'")
        if self.levels and self.missing == "model":
            faults.add(f"a missing level of '{self.name}' has no model: leave its patients out")
        faults.raise_if_any()

    @property
    def is_ordered(self) -> bool:
        """Whether it has levels."""
        return bool(self.levels)


@dataclass(frozen=True, slots=True, eq=False)
class CovariateValues:
    """Covariates of some patients, as the model takes them.

    Parameters
    ----------
    numbers : ndarray, shape (n, n_numeric)
        Standardised by mean and sd of the training patients; 0 where missing.
    is_missing : ndarray of bool, shape (n, n_numeric)
        Where a number is missing, and modelled.
    levels : ndarray of int, shape (n, n_ordered)
        Position of each level, from 0.
    scaling : dict of str to tuple of float
        Mean and sd of each numeric covariate in the training patients.
    """

    numbers: FloatArray
    is_missing: np.ndarray
    levels: IntArray
    scaling: Mapping[str, tuple[float, float]]

    def __getitem__(self, rows: np.ndarray) -> CovariateValues:
        """Return the covariates of some patients."""
        return CovariateValues(
            self.numbers[rows], self.is_missing[rows], self.levels[rows], self.scaling
        )


def read_covariates(
    terms: tuple[Covariate, ...],
    table: pd.DataFrame | None,
    patients: pd.Index,
    *,
    scaling: Mapping[str, tuple[float, float]] | None = None,
) -> CovariateValues:
    """Check the covariates of the patients and put them on the scale of the model.

    Parameters
    ----------
    terms : tuple of Covariate
        Covariates of the specification.
    table : DataFrame, optional
        One row per patient, a column for each covariate; other columns are not looked at.
    patients : Index
        Patients wanted, in their order.
    scaling : mapping, optional
        Mean and sd by numeric covariate, learned from training patients; learned from these
        patients if left out.

    Returns
    -------
    CovariateValues

    Raises
    ------
    InputError
        If the table, a column or a patient is missing; a patient is there twice; a value is missing
        and its covariate refuses that; a number is not finite, or the same for all training
        patients; a level is not known.

    Examples
    --------
    >>> table = pd.DataFrame({"age": [40.0, 60.0], "stage": ["II", "I"]}, index=["p1", "p2"])
    >>> terms = (Covariate("age"), Covariate("stage", levels=("I", "II")))
    >>> values = read_covariates(terms, table, pd.Index(["p1", "p2"]))
    >>> values.numbers.ravel().tolist(), values.levels.ravel().tolist()
    ([-1.0, 1.0], [1, 0])
    """
    numeric = [term for term in terms if not term.is_ordered]
    ordered = [term for term in terms if term.is_ordered]
    if not terms:
        empty = np.empty((len(patients), 0))
        return CovariateValues(empty, empty.astype(bool), empty.astype(np.int64), {})
    chosen = _rows(terms, table, patients)
    faults = Faults()
    learned: dict[str, tuple[float, float]] = {}
    numbers = [_number(term, chosen, scaling, learned, faults) for term in numeric]
    levels = [_level(term, chosen, faults) for term in ordered]
    faults.raise_if_any()
    stacked = np.column_stack(numbers) if numbers else np.empty((len(patients), 0))
    missing = np.isnan(stacked)
    return CovariateValues(
        np.where(missing, 0.0, stacked),
        missing,
        np.column_stack(levels) if levels else np.empty((len(patients), 0), dtype=np.int64),
        learned if scaling is None else dict(scaling),
    )


def _rows(
    terms: tuple[Covariate, ...], table: pd.DataFrame | None, patients: pd.Index
) -> pd.DataFrame:
    names = [term.name for term in terms]
    if table is None:
        raise InputError(f"the model has covariates {name_rows(names)}: give a table with them")
    for name in names:
        if (table.columns == name).sum() > 1:
            raise InputError(f"the covariates have the column '{name}' twice: keep one")
        if name not in table:
            hint = nearest_hint(name, [str(column) for column in table.columns])
            raise InputError(f"the covariates have no column '{name}'{hint}: give it")
    if table.index.has_duplicates:
        twice = name_rows(table.index[table.index.duplicated()])
        raise InputError(f"covariates have more than one row for patient {twice}: keep one each")
    without = patients.difference(table.index)
    if len(without):
        raise InputError(f"covariates have no row for patient {name_rows(without)}: give one each")
    return table.loc[patients, names]


def _number(
    term: Covariate,
    table: pd.DataFrame,
    scaling: Mapping[str, tuple[float, float]] | None,
    learned: dict[str, tuple[float, float]],
    faults: Faults,
) -> FloatArray:
    try:
        values = table[term.name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        faults.add(f"covariate '{term.name}' is not numeric: give numbers, or name its levels")
        return np.zeros(len(table))
    infinite, missing = np.isinf(values), np.isnan(values)
    if infinite.any():
        rows = name_rows(table.index[infinite])
        faults.add(f"covariate '{term.name}' is infinite for patient {rows}: give finite values")
        return np.zeros(len(table))
    if missing.any() and term.missing == "refuse":
        _add_missing(term, table.index[missing], faults, ", or set missing='model'")
        return np.zeros(len(table))
    if scaling is None:
        there = values[~missing]
        with np.errstate(over="ignore"):
            mean, sd = (there.mean(), there.std()) if there.size else (0.0, 0.0)
        if there.size > 2:
            farthest = int(np.argmax(np.abs(there - np.median(there))))
            with np.errstate(over="ignore"):
                rest = np.delete(there, farthest).std()
            if not np.isfinite(sd) or 0 < rest < _FLATTENED * sd:
                faults.add(
                    f"covariate '{term.name}' is so large for patient "
                    f"{table.index[~missing][farthest]} that all others are as good as alike: "
                    "correct it, or give the logarithm"
                )
                return np.zeros(len(table))
        if not sd > 1e-12 * max(1.0, abs(mean)):
            faults.add(f"covariate '{term.name}' is the same for all patients: leave it out")
            return np.zeros(len(table))
        learned[term.name] = (float(mean), float(sd))
    mean, sd = (learned if scaling is None else scaling)[term.name]
    standardised = np.asarray((values - mean) / sd)
    beyond = np.abs(standardised) > _LARGEST
    if beyond.any():
        faults.add(
            f"covariate '{term.name}' is beyond {_LARGEST:g} standard deviations for patient "
            f"{name_rows(table.index[beyond])}: give it in the unit of the training patients"
        )
        return np.zeros(len(table))
    return standardised


def _level(term: Covariate, table: pd.DataFrame, faults: Faults) -> IntArray:
    given = table[term.name]
    missing = given.isna().to_numpy()
    if missing.any():
        _add_missing(term, table.index[missing], faults, "")
    if pd.api.types.is_float_dtype(given) and (given.dropna() % 1 == 0).all():
        given = given.astype("Int64")  # whole numbers that a missing one has made floats
    text = given.astype("string").fillna("").to_numpy(dtype=str)
    known = {level: position for position, level in enumerate(term.levels)}
    codes = np.array([known.get(value, -1) for value in text], dtype=np.int64)
    odd = (codes < 0) & ~missing
    if odd.any():
        seen = name_rows(sorted({f"'{value}'" for value in text[odd]}))
        faults.add(
            f"covariate '{term.name}' has the level {seen} for patient "
            f"{name_rows(table.index[odd])}: name it among the levels, or correct it"
        )
    return np.maximum(codes, 0)


def _add_missing(term: Covariate, rows: pd.Index, faults: Faults, more: str) -> None:
    faults.add(
        f"covariate '{term.name}' is missing for patient {name_rows(rows)}: complete it, leave the "
        f"patients out and say so{more}"
    )
