"""What a run keeps of its splits and predictions, so that its claims can be checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import Faults
from times_stats._typing import FloatArray
from times_stats.audit.leakage import find_leakage
from times_stats.errors import InputError

AUDIT = "audit.json"
_PROVENANCE = "provenance.json"
FILES = ("predictions", "splits", "in_sample", "comparison", "scores")
"""Tables of a run that the audit reads, by the names of their CSV files."""

KEYS = ("repeat", "fold", "patient_id", "time", "event", "compared")
"""Columns of the predictions that are no models."""
_ENTRIES = {"duplicates": list, "features": dict, "hashes": dict, "files": dict}
_TRACE = ("kind", "train_id", "test_id", "expected", "same_outcome")
_NEEDED = {
    "predictions": KEYS,
    "splits": ("repeat", "fold", "patient_id", "role", "evidence"),
    "in_sample": ("patient_id",),
    "comparison": ("model", "reference", "metric", "estimate", "n", "events"),
    "scores": ("patient_id", "linear_predictor"),
}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What `check_run` reads.

    Attributes
    ----------
    predictions : DataFrame
        ``repeat``, ``fold``, ``patient_id``, ``time`` (months), ``event``, ``compared`` (1 if the
        patient is in the comparison) and the risk by each model: a row per patient and repeat of
        the outer loop.
    splits : DataFrame
        ``repeat``, ``fold``, ``patient_id``, ``role`` (train or test), ``evidence`` (sum over
        markers and regions, log hazard): every row that entered the second stage of an outer fold.
    in_sample : DataFrame
        ``patient_id`` and the risk by models that were fitted to all patients: what an honest
        prediction must differ from.
    comparison : DataFrame
        As in ``comparison.csv``.
    scores : DataFrame
        As in ``scores.csv``.
    duplicates : DataFrame
        From `find_leakage` within the features of the run.
    features : dict of str to str
        Digest of the features of each patient.
    hashes : dict of str to str
        Hashes of the data, as written to ``audit.json``.
    provenance : dict of str to str
        The same, as written to ``provenance.json``.
    changed : tuple of str
        Files that are not those the run wrote.
    """

    predictions: pd.DataFrame
    splits: pd.DataFrame
    in_sample: pd.DataFrame
    comparison: pd.DataFrame
    scores: pd.DataFrame
    duplicates: pd.DataFrame
    features: Mapping[str, str]
    hashes: Mapping[str, str]
    provenance: Mapping[str, str]
    changed: tuple[str, ...] = ()

    @property
    def models(self) -> list[str]:
        """Names of the models in the predictions."""
        return [str(name) for name in self.predictions.columns if name not in KEYS]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables that only the audit needs, by the names of their files."""
        return {name: getattr(self, name) for name in FILES[:3]}


def data_hashes(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of the data among the entries of a provenance.

    Examples
    --------
    >>> data_hashes({"seed": 1, "patients_hash": "5d18"})
    {'patients_hash': '5d18'}
    """
    return {k: str(v) for k, v in provenance.items() if k.endswith("_hash")}


def digest_features(features: pd.DataFrame) -> dict[str, str]:
    """Return a digest of each patient's features, equal for equal features.

    Parameters
    ----------
    features : DataFrame of shape (n_patients, n_features)
        Index ``patient_id``.

    Returns
    -------
    dict of str to str
        By patient; empty for fewer than two observed values, which prove nothing.

    Examples
    --------
    >>> found = digest_features(pd.DataFrame({"a": [1.0, 1.0], "b": [2.0, 2.0]}, index=["x", "y"]))
    >>> found["x"] == found["y"]
    True
    """
    values: FloatArray = features.to_numpy(dtype=np.float64) + 0.0
    values[np.isnan(values)] = np.nan
    return {
        str(name): hashlib.sha256(row.tobytes()).hexdigest()[:16]
        if np.unique(row[~np.isnan(row)]).size > 1
        else ""
        for name, row in zip(features.index, np.ascontiguousarray(values), strict=True)
    }


def find_duplicates(features: pd.DataFrame, outcome: pd.DataFrame) -> pd.DataFrame:
    """Find patients of one study that are listed under two names.

    Parameters
    ----------
    features : DataFrame of shape (n_patients, n_features)
        Index ``patient_id``.
    outcome : DataFrame
        ``time`` and ``event`` of the same patients.

    Returns
    -------
    DataFrame
        From `find_leakage`.

    Examples
    --------
    >>> features = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 3.0]}, index=["P1", "p01"])
    >>> outcome = pd.DataFrame({"time": [5.0, 9.0], "event": [1, 0]}, index=features.index)
    >>> find_duplicates(features, outcome)["kind"].tolist()
    ['similar_id']
    """
    flat = pd.DataFrame(
        features.to_numpy(dtype=np.float64),
        columns=[f"feature {k}" for k in range(features.shape[1])],
        index=features.index.astype(str),
    )
    return find_leakage(flat.assign(**{k: outcome[k].to_numpy() for k in ("time", "event")}))


def describe_record(
    record: RunRecord, findings: pd.DataFrame, files: Mapping[str, Path]
) -> dict[str, Any]:
    """Return what ``audit.json`` holds.

    Parameters
    ----------
    record : RunRecord
        What the run kept.
    findings : DataFrame
        From the checks.
    files : mapping of str to Path
        The files written, by name.

    Returns
    -------
    dict
        Ready for JSON.
    """
    duplicates = record.duplicates.assign(
        same_outcome=record.duplicates["same_outcome"].astype(object)
    )
    return {
        "findings": [
            {**row, "patients": list(row["patients"])} for row in findings.to_dict("records")
        ],
        "duplicates": [
            {k: None if v is pd.NA else v for k, v in row.items()}
            for row in duplicates.to_dict("records")
        ],
        "features": dict(record.features),
        "hashes": dict(record.hashes),
        "files": {name: hash_file(path) for name, path in files.items()},
    }


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_record(folder: Path) -> RunRecord:
    """Read what a finished run kept.

    Parameters
    ----------
    folder : Path
        Folder of the run.

    Returns
    -------
    RunRecord
        Tables as written, names of patients as text.

    Raises
    ------
    InputError
        If the folder is not that of a finished run, or a file is missing or has not the columns
        it needs.
    """
    audit, provenance = (_read_json(folder, name) for name in (AUDIT, _PROVENANCE))
    faults = Faults()
    absent = [name for name, kind in _ENTRIES.items() if not isinstance(audit.get(name), kind)]
    if absent:
        raise InputError(
            f"{folder / AUDIT} has no {', '.join(absent)} as this version writes it: run the study "
            "again"
        )
    tables: dict[str, pd.DataFrame] = {}
    for name in FILES:
        path = folder / f"{name}.csv"
        if not path.exists():
            faults.add(f"{path} is missing: run the study again")
            continue
        try:
            table = pd.read_csv(
                path,
                dtype={"patient_id": str, "model": str, "reference": str, "role": str},
                keep_default_na=False,
                na_values=[""],
            )
        except (ValueError, UnicodeDecodeError) as error:
            faults.add(f"{path} cannot be read ({error}): run the study again")
            continue
        lacking = [column for column in _NEEDED[name] if column not in table]
        if lacking:
            faults.add(f"{path} has no column {', '.join(lacking)}: run the study again")
            continue
        wrong = [
            column
            for column in table
            if column in _numbers(name, table) and not pd.api.types.is_numeric_dtype(table[column])
        ]
        if wrong:
            faults.add(f"{path} holds text in column {', '.join(wrong)}: run the study again")
        tables[name] = table
    faults.raise_if_any()
    duplicates = pd.DataFrame(
        [row if isinstance(row, dict) else {} for row in audit["duplicates"]], columns=_TRACE
    )
    duplicates["expected"] = pd.to_numeric(duplicates["expected"], errors="coerce")
    if duplicates.drop(columns="same_outcome").isna().any(axis=None):
        raise InputError(f"{folder / AUDIT} holds incomplete duplicates: run the study again")
    changed = tuple(
        f"{name}.csv"
        for name in FILES
        if hash_file(folder / f"{name}.csv") != audit["files"].get(f"{name}.csv")
    )
    return RunRecord(
        **tables,
        duplicates=duplicates,
        features=audit["features"],
        hashes=audit["hashes"],
        provenance=data_hashes(provenance),
        changed=changed,
    )


def _numbers(name: str, table: pd.DataFrame) -> set[str]:
    """Return the columns that must hold numbers."""
    if name in ("predictions", "in_sample"):
        return {str(column) for column in table} - {"patient_id"}
    return {"repeat", "fold", "evidence", "estimate", "n", "events", "linear_predictor"}


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise InputError(
            f"{folder} holds no {name}: name the folder of a finished run, such as DIR/all"
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}): run the study again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no table of names: run the study again")
    return value
