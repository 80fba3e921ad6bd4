"""The clinical columns that staging reads: numbers, grades, flags and choices, checked once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import DataWarning, InputError
from times_stats.staging.units import check_units
from times_stats.tables.columns import as_labels, as_numbers

POSITIVE = ("tumour_size_cm", "albumin_g_l", "bilirubin_umol_l", "inr", "platelets_10e9_l")
NUMBERS = (*POSITIVE, "tumour_count", "afp_ng_ml")
GRADES = ("ecog", "encephalopathy")
FLAGS = (
    "tumour_over_half_liver", "portal_vein_tumour_thrombus", "satellites", "bile_duct_invasion",
    "transplant_candidate", "adjacent_organ_invasion", "nodal_metastasis", "distant_metastasis",
)  # fmt: skip
CHOICES: dict[str, dict[str, int]] = {
    "vascular_invasion": {"none": 0, "micro": 1, "macro": 2, "major": 3},
    "ascites": {"none": 0, "mild": 1, "moderate": 2, "severe": 2},
    "sex": {"female": 0, "f": 0, "male": 1, "m": 1},
}
COLUMNS = (*NUMBERS, *GRADES, *FLAGS, *CHOICES)
_WORDS = {"yes": 1.0, "y": 1.0, "no": 0.0, "n": 0.0}
_DIGITS = 9  # of what is compared: 3 x 17.1 umol/L is 3 mg/dL, whatever binary fractions say


def settled(values: FloatArray) -> FloatArray:
    """Return values without the rounding error of their arithmetic, to be compared exactly.

    Nothing is measured to a billionth, so that two values this close are the same.

    Parameters
    ----------
    values : ndarray of float
        Results of arithmetic on values that were given in decimals.

    Returns
    -------
    ndarray of float
        Rounded to nine decimals.

    Examples
    --------
    >>> value = np.array([3 * 17.1])
    >>> bool(value[0] > 51.3), bool(settled(value)[0] > 51.3)
    (True, False)
    """
    return np.round(values, _DIGITS)


@dataclass(frozen=True, slots=True, eq=False)
class ClinicalColumns:
    """Checked clinical columns of a table of patients.

    Attributes
    ----------
    index : Index
        Index of the table.
    patients : ndarray
        Names of the patients, for messages.
    values : dict of str to ndarray of float
        Numbers, grades, flags (0 or 1) and codes of choices; NaN where missing. A column that the
        table lacks is missing for everybody.
    absent : tuple of str
        Columns that were asked for and that the table lacks.
    """

    index: pd.Index
    patients: np.ndarray
    values: dict[str, FloatArray]
    absent: tuple[str, ...]

    def number(self, name: str) -> FloatArray:
        """Return a column as numbers, NaN where missing."""
        return self.values[name]

    def codes(self, name: str) -> IntArray:
        """Return a grade, flag or choice as whole numbers, -1 where missing."""
        values = self.values[name]
        return np.where(np.isnan(values), -1, values).astype(np.int64)


def read_clinical(patients: pd.DataFrame, columns: Iterable[str]) -> ClinicalColumns:
    """Read and check some clinical columns of a table.

    Parameters
    ----------
    patients : DataFrame
        One row per patient, canonical column names; other columns are not looked at.
    columns : iterable of str
        Columns to read.

    Returns
    -------
    ClinicalColumns

    Raises
    ------
    InputError
        If `patients` is no table, has none of the columns, or holds values that cannot be: every
        fault is listed with its column, its patients and the remedy.

    Warns
    -----
    DataWarning
        If a column is absent and a name like it is there, or a unit is doubtful.

    Examples
    --------
    >>> table = pd.DataFrame({"ecog": [0, None], "vascular_invasion": ["macro", "none"]})
    >>> read = read_clinical(table, ("ecog", "vascular_invasion", "satellites"))
    >>> read.codes("vascular_invasion").tolist(), read.codes("ecog").tolist(), read.absent
    ([2, 0], [0, -1], ('satellites',))
    """
    if not isinstance(patients, pd.DataFrame):
        raise InputError(
            f"patients is a {type(patients).__name__}: give a DataFrame with one row per patient"
        )
    wanted = tuple(dict.fromkeys(columns))
    names = [str(name) for name in patients.columns]
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise InputError(f"column {name_rows(twice)} occurs twice: rename or remove one")
    absent = tuple(name for name in wanted if name not in names)
    _hint_at_names(absent, names, nothing_found=len(absent) == len(wanted))
    identifiers = patients["patient_id"] if names.count("patient_id") == 1 else patients.index
    rows = np.asarray([str(name) for name in identifiers], dtype=object)
    faults = Faults()
    values = {
        name: np.full(len(patients), np.nan)
        if name in absent
        else _read(patients[name], name, rows, faults)
        for name in wanted
    }
    _check_thrombus(values, rows, faults)
    faults.raise_if_any()
    return ClinicalColumns(patients.index, rows, values, absent)


def _hint_at_names(absent: tuple[str, ...], names: list[str], *, nothing_found: bool) -> None:
    strangers = [name for name in names if name not in COLUMNS]
    meant = [
        (stranger, name)
        for name in absent
        for stranger in strangers
        if _spelling(stranger) == _spelling(name)
    ]
    if nothing_found:
        almost = " and ".join(f"'{stranger}' is no '{name}'" for stranger, name in meant)
        hint = f" ({almost}: mind the unit)" if meant else nearest_hint(absent[0], strangers)
        raise InputError(f"no column of {', '.join(absent)} is there{hint}: name the columns so")
    for stranger, name in meant:
        warnings.warn(
            f"column '{stranger}' is not read, and '{name}' is absent: rename it if it is "
            "meant, and mind the unit",
            DataWarning,
            stacklevel=5,
        )


def _spelling(name: str) -> str:
    """Return what spellings of one name share: no unit, no case, American as British."""
    words = name.lower().replace("tumor", "tumour").replace("-", "_").replace(" ", "_").split("_")
    units = {"cm", "mm", "g", "mg", "ng", "umol", "l", "dl", "ml", "10e9", "ul"}
    return "_".join(word for word in words if word not in units)


def _read(column: pd.Series, name: str, rows: np.ndarray, faults: Faults) -> FloatArray:
    if name in CHOICES:
        return _choice(column, name, rows, faults)
    numbers, unreadable = as_numbers(column)
    if name in FLAGS:
        return _flag(column, numbers, unreadable, name, rows, faults)
    remedy = "give a number with a decimal point, or the limit of detection"
    unreadable = unreadable | np.isinf(numbers) | _truths(column)
    _report(unreadable, rows, f"column '{name}' is not a number", faults, remedy)
    numbers = np.where(np.isinf(numbers), np.nan, numbers)
    whole = numbers == np.round(numbers)
    if name in GRADES:
        wrong = ~np.isnan(numbers) & ~(whole & (numbers >= 0) & (numbers <= 4))
        _report(wrong, rows, f"column '{name}' is not a grade of 0 to 4", faults, "correct it")
    elif name == "tumour_count":
        wrong = ~np.isnan(numbers) & ~(whole & (numbers >= 1))
        remedy = "count the nodules, or leave it empty"
        _report(wrong, rows, f"column '{name}' is not 1, 2, 3, ...", faults, remedy)
    elif name in POSITIVE:
        wrong = numbers <= 0
        remedy = "correct it, or leave it empty"
        _report(wrong, rows, f"column '{name}' is zero or negative", faults, remedy)
        if not wrong.any() and not unreadable.any():
            check_units(name, numbers, patients=rows, faults=faults)
    else:
        _report(numbers < 0, rows, f"column '{name}' is negative", faults, "correct it")
    return numbers


def _truths(column: pd.Series) -> BoolArray:
    """Mark true and false, which are no numbers: true as a count of tumours meant several."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return np.zeros(len(column), dtype=bool)
    words = as_labels(column).str.lower().isin(("true", "false"))
    return np.asarray(words, dtype=bool)


def _flag(
    column: pd.Series,
    numbers: FloatArray,
    unreadable: BoolArray,
    name: str,
    rows: np.ndarray,
    faults: Faults,
) -> FloatArray:
    if unreadable.any():
        words = as_labels(column).str.lower().map(_WORDS).to_numpy(dtype=np.float64)
        numbers = np.where(unreadable, words, numbers)
        unreadable = unreadable & np.isnan(words)
    wrong = unreadable | (~np.isnan(numbers) & ~np.isin(numbers, (0.0, 1.0)))
    _report(wrong, rows, f"column '{name}' is not true or false", faults, "code it 1, 0 or empty")
    return numbers


def _choice(column: pd.Series, name: str, rows: np.ndarray, faults: Faults) -> FloatArray:
    labels = as_labels(column).str.lower()
    codes = labels.map(CHOICES[name]).to_numpy(dtype=np.float64)
    words = [word for word in CHOICES[name] if len(word) > 1]
    listed = f"{', '.join(words[:-1])} or {words[-1]}"
    wrong = labels.notna().to_numpy() & np.isnan(codes)
    _report(
        wrong,
        rows,
        f"column '{name}' is not {listed}",
        faults,
        "use these words, or leave it empty",
    )
    return np.asarray(codes, dtype=np.float64)


def _report(wrong: BoolArray, rows: np.ndarray, what: str, faults: Faults, remedy: str) -> None:
    if wrong.any():
        faults.add(f"{what} for patient {name_rows(rows[wrong])}: {remedy}")


def _check_thrombus(values: dict[str, FloatArray], rows: np.ndarray, faults: Faults) -> None:
    thrombus = values.get("portal_vein_tumour_thrombus")
    vascular = values.get("vascular_invasion")
    if thrombus is None or vascular is None:
        return
    _report(
        (thrombus == 1) & (vascular <= 1),
        rows,
        "column 'portal_vein_tumour_thrombus' is true and 'vascular_invasion' none or micro",
        faults,
        "a tumour thrombus is macroscopic (macro or major); a bland one is no tumour thrombus",
    )
