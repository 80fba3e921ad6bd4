"""The measurements table: one value per patient, region, marker and image."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats.tables.columns import as_labels, as_numbers, rename_columns

KNOWN = ("patient_id", "region", "marker", "image_id", "value", "weight")
_KEYS = ["patient_id", "marker", "region", "image_id"]


def check_measurements(
    table: pd.DataFrame,
    *,
    patient_ids: Collection[str] | None = None,
    columns: Mapping[str, str] | None = None,
    regions: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Check a measurements table and put it into canonical form.

    Parameters
    ----------
    table : DataFrame
        One row per patient, region and marker, and per image (tile) where there are several; an
        optional ``weight`` says how much an image counts, such as its area.
    patient_ids : collection of str, optional
        Patients of the study; a measurement of anybody else is a fault.
    columns : mapping of str to str, optional
        Canonical column name to the name in `table`.
    regions : mapping of str to str, optional
        Name of a region in `table` to its name in the study.

    Returns
    -------
    DataFrame
        ``patient_id``, ``marker``, ``region``, ``image_id`` (text, ``""`` where there is none) and
        ``value`` (NaN where missing), sorted by these keys; ``weight`` where it was given.

    Raises
    ------
    InputError
        Lists every fault of the table with columns, patients and remedy.

    Examples
    --------
    >>> raw = pd.DataFrame({"patient_id": [1, 1], "region": ["T", "N"],
    ...                     "marker": ["CD8", "CD8"], "value": [3.5, 2.0]})
    >>> check_measurements(raw, regions={"T": "tumour", "N": "adjacent"})
      patient_id marker    region image_id  value
    0          1    CD8  adjacent             2.0
    1          1    CD8    tumour             3.5
    """
    faults = Faults()
    if table.empty:
        faults.add("the table has no rows: give one row per patient, region and marker")
        faults.raise_if_any("measurements")
    long = rename_columns(
        table,
        dict(columns or {}),
        known=KNOWN,
        required=("patient_id", "region", "marker", "value"),
        section="measurements",
        faults=faults,
    )
    if "image_id" not in long:
        long["image_id"] = pd.Series("", index=long.index, dtype="str")
        has_images = False
    else:
        has_images = True
    for key in _KEYS:
        if key in long and (has_images or key != "image_id"):
            long[key] = as_labels(long[key])
            missing = long[key].isna()
            if missing.any():
                where = name_rows(np.flatnonzero(missing) + 1)
                faults.add(f"column '{key}' is missing in data row {where}: name it in every row")
    if regions and "region" in long:
        _rename_regions(long, regions, faults)
    if "value" in long:
        _values(long, faults)
    if "weight" in long:
        _weights(long, faults)
    if patient_ids is not None and "patient_id" in long:
        unknown = ~long["patient_id"].isin(list(patient_ids)) & long["patient_id"].notna()
        if unknown.any():
            faults.add(
                f"column 'patient_id' names patient {name_rows(long.loc[unknown, 'patient_id'])}, "
                "unknown to the patients table: add them there or remove their rows"
            )
    if set(_KEYS) <= set(long.columns):
        _duplicates(long, faults, has_images=has_images)
    faults.raise_if_any("measurements")
    kept = [*_KEYS, "value", *(["weight"] if "weight" in long else [])]
    return long[kept].sort_values(_KEYS, kind="stable", ignore_index=True)


def _rename_regions(long: pd.DataFrame, regions: Mapping[str, str], faults: Faults) -> None:
    present = sorted(long["region"].dropna().unique())
    for name in regions:
        if name not in present:
            hint = nearest_hint(name, present)
            faults.add(
                f"[measurements.regions] names the region '{name}' that column 'region' "
                f"does not hold{hint}: correct or remove it"
            )
    long["region"] = long["region"].replace(dict(regions)).astype("str")


def _rows_of(long: pd.DataFrame, wrong: np.ndarray) -> str:
    if "patient_id" in long:
        names = long.loc[wrong, "patient_id"].dropna()
        if len(names):
            return f"patient {name_rows(names)}"
    return f"data row {name_rows(np.flatnonzero(wrong) + 1)}"


def _values(long: pd.DataFrame, faults: Faults) -> None:
    numbers, unreadable = as_numbers(long["value"])
    long["value"] = numbers
    if unreadable.any():
        faults.add(
            f"column 'value' is not numeric for {_rows_of(long, unreadable)}: "
            "give numbers with a decimal point, or leave the field empty"
        )
    infinite = np.isinf(numbers)
    if infinite.any():
        faults.add(
            f"column 'value' is infinite for {_rows_of(long, infinite)}: "
            "give finite numbers, or leave the field empty"
        )
    if not unreadable.any() and np.isnan(numbers).all():
        faults.add("column 'value' is missing in every row: give the measured values")


def _weights(long: pd.DataFrame, faults: Faults) -> None:
    numbers, _ = as_numbers(long["weight"])
    long["weight"] = numbers
    wrong = ~(np.isfinite(numbers) & (numbers > 0))
    if wrong.any():
        faults.add(
            f"column 'weight' is not a positive number for {_rows_of(long, wrong)}: "
            "give how much each image counts, such as its area, or leave the column out"
        )


def _duplicates(long: pd.DataFrame, faults: Faults, *, has_images: bool) -> None:
    complete = long[_KEYS].notna().all(axis=1)
    twice = complete & long.duplicated(_KEYS, keep=False)
    if twice.any():
        markers = name_rows(long.loc[twice, "marker"])
        keys = "(patient_id, region, marker, image_id)"
        remedy = "keep one row of each" if has_images else "name the tiles in a column 'image_id'"
        faults.add(
            f"{keys} occurs more than once for {_rows_of(long, twice.to_numpy())} "
            f"(marker {markers}): {remedy}"
        )


def check_asked(
    asked: Sequence[str] | None, present: Collection[str], *, what: str, faults: Faults
) -> None:
    """Record the markers or regions asked for that the measurements do not hold.

    Parameters
    ----------
    asked : sequence of str or None
        Names in the study file.
    present : collection of str
        Names in the measurements.
    what : str
        ``marker`` or ``region``.
    faults : Faults
        Collects what is wrong.

    Examples
    --------
    >>> faults = Faults()
    >>> check_asked(["CD80"], ["CD8"], what="marker", faults=faults)
    >>> faults.messages
    ["[score] markers names 'CD80' that the measurements do not hold (nearest: 'CD8'): ..."]
    """
    for name in asked or ():
        if name not in present:
            hint = nearest_hint(name, present)
            faults.add(
                f"[score] {what}s names '{name}' that the measurements do not hold{hint}: "
                f"correct it, or leave the key out to take every {what}"
            )
