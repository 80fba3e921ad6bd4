"""The claims of a finished run, checked on what it wrote."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from times_stats._typing import FloatArray
from times_stats.audit.near_duplicates import EXPECTED
from times_stats.audit.run_record import RunRecord, read_record
from times_stats.evaluation.discrimination import concordance_harrell

PASSED, FOUND, OPEN = "passed", "found", "not checked"
SCORE = "times_score"
SECOND_STAGES = ("survival_model", "raw_survival_model")

_TRACES = {
    "similar_id": "names alike and the same outcome",
    "identical_features": "identical features",
    "near_features": "nearly identical features",
    "rescaled_features": "the same features in another unit",
    "shared_values": "many equal values",
}
_SAME_MODEL = 1e-9  # 1 - r^2 of two predictions that are one, as read from ten digits
_SAME_VALUE = 1e-8
_FEW_VALUES = 10  # such as the recorded stages, which no model makes
_MOST_EQUAL = 0.05
_C_TOLERANCE = 1e-6


class _Finished(Protocol):
    @property
    def out(self) -> Path: ...


def check_run(run: str | os.PathLike[str] | _Finished) -> pd.DataFrame:
    """Check what a finished run claims on the files it wrote.

    Parameters
    ----------
    run : path or RunResult
        Folder of the run, or what `run` returned; the files are read.

    Returns
    -------
    DataFrame
        One row per check: ``check``, ``status`` ("passed", "found" or "not checked"), ``what`` was
        seen, ``patients`` it is about (tuple of str), ``remedy``.

    Raises
    ------
    InputError
        If the folder is not that of a finished run or its files are damaged.

    Notes
    -----
    ``split_by_patient``: in each repeat a patient is in one test fold, is tested once, and is not
    among the rows that the second stage of that fold was fitted to. ``copied_patients``: no two
    names for one patient (`find_leakage`), as the run itself found, since features are not in the
    folder; names that are alike count where outcome or features agree too. ``same_patients``: every
    model predicts the same patients, and every row of the comparison counts them and their events.
    ``comparison``: Harrell's C of every model, computed again from the predictions.
    ``score_out_of_fold`` and ``rivals_out_of_fold``: predictions are not, up to unit and origin,
    those that the run itself made by models of all patients, and differ between repeats. Models of
    all patients that were fitted otherwise, transformed or given some noise are not recognised.
    ``second_stage``: the same of the survival models, and the evidence of a patient was made anew
    in every outer fold: evidence that is equal in two folds is of a single level, whose evaluation
    is not honest. ``data`` and ``files``: hashes.

    A leak inside a training fold, such as a scale learned on all patients, leaves no trace in these
    files. The ladder of nested models and the Shapley games keep no predictions and are not
    audited. Evidence of 0 (no split) says nothing; where all is 0 the check is open.

    Examples
    --------
    >>> import times_stats as ts
    >>> findings = ts.audit.check_run("results")  # doctest: +SKIP
    >>> findings.query("status == 'found'")["check"].tolist()  # doctest: +SKIP
    []
    """
    folder = Path(run) if isinstance(run, str | os.PathLike) else Path(run.out)
    record = read_record(folder)
    files = _as_table([_data(record), _files(record)])
    return pd.concat([check_record(record), files], ignore_index=True)


def check_record(record: RunRecord) -> pd.DataFrame:
    """Check what a run keeps, before or after it is written.

    Parameters
    ----------
    record : RunRecord
        What the run keeps.

    Returns
    -------
    DataFrame
        As `check_run`, without ``data`` and ``files``, which only files can fail.
    """
    rivals = [name for name in record.models if name not in (SCORE, *SECOND_STAGES)]
    return _as_table(
        [
            _split_by_patient(record),
            _copied_patients(record),
            _same_patients(record),
            _comparison(record),
            _out_of_fold(record, [SCORE], check="score_out_of_fold"),
            _second_stage(record),
            _out_of_fold(record, rivals, check="rivals_out_of_fold"),
        ]
    )


type _Row = tuple[str, str, str, tuple[str, ...], str]


def _as_table(rows: list[_Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["check", "status", "what", "patients", "remedy"])


def _row(
    check: str, faults: Iterable[str], passed: str, patients: Iterable[str], remedy: str
) -> _Row:
    told = "; ".join(faults)
    if told:
        return check, FOUND, told, tuple(sorted(set(patients))), remedy
    return check, PASSED, passed, (), ""


def _split_by_patient(record: RunRecord) -> _Row:
    tests = record.predictions[["repeat", "fold", "patient_id"]]
    folds = tests.groupby(["repeat", "patient_id"])
    split = folds["fold"].transform("nunique") > 1
    twice = tests.duplicated(["repeat", "patient_id"], keep=False) & ~split
    roles = record.splits.groupby(["repeat", "fold", "patient_id"])["role"].nunique()
    both = roles[roles > 1].reset_index()
    marked = record.splits.loc[record.splits["role"] == "test", ["repeat", "fold", "patient_id"]]
    other = marked.drop_duplicates().merge(tests.drop_duplicates(), how="outer", indicator=True)
    moved = other[other["_merge"] != "both"]
    n_repeats = tests["repeat"].nunique()
    seen = tests.drop_duplicates(["repeat", "patient_id"])["patient_id"].value_counts()
    lacking = seen.index[seen < n_repeats]
    faults, patients = [], []
    for who, text in (
        (tests.loc[split, "patient_id"], "rows of {} on both sides of a split"),
        (both["patient_id"], "{} in the training and the test rows of one fold"),
        (tests.loc[twice, "patient_id"], "{} predicted twice in a repeat"),
        (lacking, "{} not predicted in every repeat"),
        (moved["patient_id"], "{} predicted in another fold than the one left out"),
    ):
        if len(who):
            faults.append(text.format(_n_patients(who)))
            patients += list(who)
    n = tests["patient_id"].nunique()
    n_folds = len(tests[["repeat", "fold"]].drop_duplicates())
    return _row(
        "split_by_patient",
        faults,
        f"{_count(n, 'patient')}, {_count(n_folds, 'outer fold')} in {_count(n_repeats, 'repeat')}:"
        f" {len(record.splits)} rows of training and test, nobody on both sides",
        patients,
        "split by patient, all tiles of a patient in one fold, and run again",
    )


def _copied_patients(record: RunRecord) -> _Row:
    found = record.duplicates
    by_name = found["kind"] == "similar_id"
    traced = found[~by_name & (found["expected"] <= EXPECTED)]
    others = {tuple(sorted(pair)) for *pair, _ in _triples(traced)}
    # Cohorts number their patients alike, 001 and 1: a name alone accuses nobody.
    alike = found[by_name]
    same_outcome = alike["same_outcome"].astype("boolean").fillna(value=False)
    backed = np.array(
        [
            bool(same) or tuple(sorted(pair)) in others
            for (*pair, _), same in zip(_triples(alike), same_outcome, strict=True)
        ],
        dtype=bool,
    )
    found = pd.concat([traced, alike[backed]])
    n_alike = int((~backed).sum())
    pairs = {tuple(sorted(pair)): kind for *pair, kind in _triples(found)}
    by_kind = Counter(pairs.values())
    faults = [f"{_count(n, 'pair')} with {_TRACES.get(kind, kind)}" for kind, n in by_kind.items()]
    return _row(
        "copied_patients",
        faults,
        f"{_count(len(record.features), 'patient')} by name and features: no copies"
        + (f" ({_count(n_alike, 'pair')} with names alike, but no more)" if n_alike else ""),
        [f"{first} = {second}" for first, second in pairs],
        "keep one row of each patient, or give both one patient_id",
    )


def _triples(found: pd.DataFrame) -> Iterable[tuple[str, str, str]]:
    return zip(found["train_id"], found["test_id"], found["kind"], strict=True)


def _same_patients(record: RunRecord) -> _Row:
    table = record.predictions[record.predictions["compared"] == 1]
    everybody = table.drop_duplicates("patient_id")
    n, events = len(everybody), int(everybody["event"].sum())
    faults, patients = [], []
    for name in record.models:
        absent = table.loc[table[name].isna(), "patient_id"]
        if len(absent):
            faults.append(f"{name} does not predict {_n_patients(absent)}")
            patients += list(absent)
    sizes = record.comparison[["model", "reference", "n", "events"]].drop_duplicates()
    other = sizes[(sizes["n"] != n) | (sizes["events"] != events)]
    for model, reference, *size in other.fillna({"reference": ""}).to_numpy().tolist():
        against = f" against {reference}" if reference else ""
        faults.append(f"{model}{against} on {size[0]} patients, {size[1]} events")
    if len(other):
        faults.append(f"the comparison is of {_count(n, 'patient')}, {_count(events, 'event')}")
    return _row(
        "same_patients",
        faults,
        f"{_count(len(record.models), 'model')} on the same {_count(n, 'patient')}, "
        f"{_count(events, 'event')}",
        patients,
        "compare all models on the patients that every one of them predicts",
    )


def _comparison(record: RunRecord) -> _Row:
    table = record.comparison
    alone = table[
        (table["metric"] == "concordance_harrell") & (table["reference"].fillna("") == "")
    ]
    stated = alone.set_index("model")["estimate"]
    faults = []
    for name in record.models:
        if name not in stated:
            faults.append(f"{name} is not in the comparison")
            continue
        again = _concordance(record.predictions, name)
        if not abs(again - float(stated[name])) <= _C_TOLERANCE:
            faults.append(f"Harrell's C of {name} is {again:.3f}, stated is {stated[name]:.3f}")
    faults += [f"{name} has no predictions" for name in stated.index.difference(record.models)]
    return _row(
        "comparison",
        faults,
        f"Harrell's C of {_count(len(record.models), 'model')} again from the predictions",
        [],
        "make the comparison from the predictions that were kept: run again",
    )


def _concordance(predictions: pd.DataFrame, name: str) -> float:
    table = predictions[(predictions["compared"] == 1) & predictions[name].notna()]
    values = [
        float(concordance_harrell(*(part[k].to_numpy(float) for k in ("time", "event", name))))
        for _, part in table.groupby("repeat")
        if part["event"].any()
    ]
    return float(np.mean(values)) if values else float("nan")


def _is_coarse(values: FloatArray) -> bool:
    return bool(np.unique(values[np.isfinite(values)]).size <= _FEW_VALUES)


def _is_same_model(first: FloatArray, second: FloatArray) -> bool:
    """Tell whether one prediction is the other, up to unit and origin."""
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    if _is_coarse(first) or _is_coarse(second):
        return False
    first, second = first - first.mean(), second - second.mean()
    r2 = (first @ second) ** 2 / ((first @ first) * (second @ second))
    return bool(1 - r2 < _SAME_MODEL)


def _in_sample_faults(record: RunRecord, models: Iterable[str]) -> list[str]:
    faults = []
    honest = record.predictions.drop_duplicates(["repeat", "patient_id"])
    fitted = record.in_sample.drop_duplicates("patient_id").set_index("patient_id")
    for name in models:
        wide = honest.set_index(["patient_id", "repeat"])[name].unstack()  # noqa: PD010
        values = wide.to_numpy(float)
        if name in fitted:
            own = fitted[name].reindex(wide.index).to_numpy(float)
            equal = sum(_is_same_model(column, own) for column in values.T)
            if equal:
                repeats = f"{equal} of {_count(values.shape[1], 'repeat')}"
                faults.append(f"{name} predicts as the model fitted to all patients in {repeats}")
                continue
        if any(_is_same_model(column, values[:, 0]) for column in values[:, 1:].T):
            faults.append(
                f"{name} predicts alike in two repeats, as one model of all patients does"
            )
    if SCORE in models and SCORE in fitted:
        scores = record.scores.drop_duplicates("patient_id").set_index("patient_id")
        own = fitted[SCORE].reindex(scores.index).to_numpy(float)
        if _is_same_model(scores["linear_predictor"].to_numpy(float), own):
            faults.append("scores.csv holds the scores of the model fitted to all patients")
    return faults


def _out_of_fold(record: RunRecord, models: list[str], *, check: str) -> _Row:
    known = [name for name in models if name in record.models]
    graded = [name for name in known if not _is_coarse(record.predictions[name].to_numpy(float))]
    n_repeats = record.predictions["repeat"].nunique()
    fitted = [name for name in graded if name in record.in_sample]
    passed = []
    if n_repeats > 1 and graded:
        passed.append(f"{', '.join(graded)}: {n_repeats} repeats differ")
    if fitted:
        passed.append(f"{', '.join(fitted)}: not as fitted to all patients")
    if not passed:
        return check, OPEN, "nothing to compare: one repeat, or constant or coarse risks", (), ""
    if len(graded) < len(known):
        coarse = ", ".join(name for name in known if name not in graded)
        passed.append(f"not compared, with {_FEW_VALUES} different risks or fewer: {coarse}")
    faults = _in_sample_faults(record, known)
    remedy = "report predictions of outer test patients only"
    return _row(check, faults, "; ".join(passed), [], remedy)


def _second_stage(record: RunRecord) -> _Row:
    check = "second_stage"
    known = [name for name in SECOND_STAGES if name in record.models]
    rows = record.splits.dropna(subset=["evidence"])
    rows = rows[rows["evidence"] != 0]
    faults = _in_sample_faults(record, known)
    ordered = rows.sort_values(["patient_id", "evidence"], kind="stable")
    step = ordered.groupby("patient_id")["evidence"].diff()
    equal = step.abs() <= _SAME_VALUE * ordered["evidence"].abs()
    n_pairs = int(step.notna().sum())
    patients: list[str] = []
    if n_pairs and equal.sum() > _MOST_EQUAL * n_pairs:
        patients = ordered.loc[equal, "patient_id"].tolist()
        faults.append(
            f"evidence of {_n_patients(patients)} is the same in several outer folds: single-level "
            "evidence, which knows the outcomes of the test patients"
        )
    if not faults and not n_pairs:
        return check, OPEN, "no evidence differs from 0: no model found a split", (), ""
    n_folds = len(record.splits[["repeat", "fold"]].drop_duplicates())
    return _row(
        check,
        faults,
        f"evidence made anew in each of {_count(n_folds, 'outer fold')}",
        patients,
        "make the evidence inside each outer training set (fully nested) and run again",
    )


def _data(record: RunRecord) -> _Row:
    differ = sorted(
        name
        for name in {*record.hashes, *record.provenance}
        if record.hashes.get(name) != record.provenance.get(name)
    )
    named = set(record.predictions["patient_id"])
    unknown = named ^ set(record.features)
    faults = [f"{name} is not that of provenance.json" for name in differ]
    if unknown:
        faults.append(f"{_n_patients(unknown)} not in both features and predictions")
    return _row(
        "data",
        faults,
        f"{_count(len(record.hashes), 'hash', 'hashes')} of the data as in provenance.json",
        unknown,
        "do not mix the files of two runs: run again",
    )


def _files(record: RunRecord) -> _Row:
    faults = [f"{name} is not the file the run wrote" for name in record.changed]
    return _row(
        "files",
        faults,
        "the tables are those the run wrote",
        [],
        "keep the files of a run as they are: run again",
    )


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _n_patients(names: Iterable[str]) -> str:
    return _count(len(set(names)), "patient")
