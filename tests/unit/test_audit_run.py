"""The audit of a run: silent on an honest one, and naming each mistake of a doctored one."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from report_factory import make_contents
from run_factory import compare_again, make_record, simulate_tiles, write_run

from times_stats.__main__ import main
from times_stats.audit import check_run
from times_stats.audit.run_checks import check_record
from times_stats.errors import InputError
from times_stats.report.sections import audit_section


@pytest.fixture(scope="module")
def study():
    return simulate_tiles()


@pytest.fixture(scope="module")
def honest(study):
    return make_record(*study)


@pytest.fixture
def folder(honest, tmp_path):
    return write_run(honest, tmp_path)


def found(findings):
    """Return what was found by check: text and patients."""
    rows = findings[findings["status"] == "found"]
    return {row.check: (row.what, row.patients) for row in rows.itertuples()}


def rewrite(folder, name, change):
    """Doctor one table of a run and put its hash right, as whoever hides it would."""
    path = folder / f"{name}.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)


def test_an_honest_run_is_passed_and_says_what_was_checked(folder):
    findings = check_run(SimpleNamespace(out=folder))
    assert findings.equals(check_run(folder))
    assert findings["status"].eq("passed").all(), findings.to_string()
    assert findings["check"].tolist() == [
        *("split_by_patient", "copied_patients", "same_patients", "comparison"),
        *("score_out_of_fold", "second_stage", "rivals_out_of_fold", "data", "files"),
    ]
    assert findings["patients"].map(len).eq(0).all()
    what = findings.set_index("check")["what"]
    assert what["split_by_patient"].startswith("60 patients, 8 outer folds in 2 repeats")
    assert what["same_patients"].startswith("4 models on the same 60 patients")
    assert what["rivals_out_of_fold"].endswith("10 different risks or fewer: tnm")


def test_tiles_split_by_rows_are_named_with_their_patients(study):
    told = found(check_record(make_record(*study, rows=True)))
    # Every patient has three tiles in four folds: chance keeps one patient's together 1 time in 16.
    what, patients = told["split_by_patient"]
    assert "on both sides of a split" in what
    assert set(patients) <= set(study[1].index)
    assert len(patients) >= 55


def test_copied_patients_are_named(study):
    tiles, patients = study
    copies = {"P0001x": patients.index[1], "P0002x": patients.index[2]}
    tiles = pd.concat([tiles, *(tiles.loc[[v]].set_axis([k] * 3) for k, v in copies.items())])
    patients = pd.concat([patients, patients.loc[[*copies.values()]].set_axis([*copies])])
    told = found(check_record(make_record(tiles, patients)))
    assert told.keys() == {"copied_patients"}
    assert told["copied_patients"] == (
        "2 pairs with identical features",
        tuple(f"{key} = {value}" for key, value in copies.items()),
    )


def test_names_alike_accuse_only_with_the_same_outcome(honest, tmp_path):
    """Cohorts may number alike, 001 and 1."""
    alike = pd.DataFrame(
        {
            "kind": "similar_id",
            "train_id": ["001", "002", "003"],
            "test_id": ["1", "2", "3"],
            "n_features": 0,
            "distance": 0.0,
            "expected": 0.0,
            "same_outcome": pd.array([False, True, None], dtype="boolean"),
        }
    )
    record = dataclasses.replace(honest, duplicates=alike)
    told = ("1 pair with names alike and the same outcome", ("002 = 2",))
    assert found(check_record(record)) == {"copied_patients": told}
    assert found(check_run(write_run(record, tmp_path))) == {"copied_patients": told}
    clean = check_record(dataclasses.replace(honest, duplicates=alike.iloc[[0, 2]]))
    assert found(clean) == {}
    assert "(2 pairs with names alike, but no more)" in clean["what"][1]


def test_second_stage_on_single_level_evidence_is_named(study):
    told = found(check_record(make_record(*study, single_level=True)))
    assert told.keys() == {"second_stage"}
    what, patients = told["second_stage"]
    assert "single-level evidence" in what
    assert patients == tuple(study[1].index)


@pytest.mark.parametrize(
    ("model", "check"),
    [
        ("ridge_cox", "rivals_out_of_fold"),
        ("times_score", "score_out_of_fold"),
        ("survival_model", "second_stage"),
    ],
)
def test_in_sample_predictions_are_named(study, model, check):
    told = found(check_record(make_record(*study, in_sample=(model,))))
    assert told.keys() == {check}
    assert (
        told[check][0] == f"{model} predicts as the model fitted to all patients in 2 of 2 repeats"
    )


def test_one_model_of_all_patients_is_named_without_its_in_sample_predictions(study):
    record = make_record(*study, in_sample=("ridge_cox",))
    record = dataclasses.replace(record, in_sample=record.in_sample.drop(columns="ridge_cox"))
    told = found(check_record(record))
    assert "predicts alike in two repeats" in told["rivals_out_of_fold"][0]


def test_scores_of_the_model_of_all_patients_are_named(folder):
    def swap(scores):
        own = pd.read_csv(folder / "in_sample.csv").set_index("patient_id")["times_score"]
        return scores.assign(linear_predictor=own.loc[scores["patient_id"]].to_numpy())

    rewrite(folder, "scores", swap)
    told = found(check_run(folder))
    assert "scores.csv holds the scores" in told["score_out_of_fold"][0]
    assert told["files"][0] == "scores.csv is not the file the run wrote"


def test_a_model_on_other_patients_is_named_with_them(folder, honest):
    gone = honest.predictions["patient_id"].unique()[:4]
    rewrite(
        folder,
        "predictions",
        lambda table: table.assign(tnm=table["tnm"].mask(table["patient_id"].isin(gone))),
    )
    what, patients = found(check_run(folder))["same_patients"]
    assert "tnm does not predict 4 patients" in what
    assert patients == tuple(gone)


def test_a_comparison_on_other_patients_is_named(honest):
    doctored = honest.comparison.assign(n=[60, 60, 60, 52], events=[39, 39, 39, 33])
    told = found(check_record(dataclasses.replace(honest, comparison=doctored)))
    assert told["same_patients"][0] == (
        "tnm on 52 patients, 33 events; the comparison is of 60 patients, 39 events"
    )


def test_a_concordance_that_the_predictions_do_not_have_is_named(honest):
    doctored = honest.comparison.assign(estimate=honest.comparison["estimate"] + [0, 0.05, 0, 0])
    told = found(check_record(dataclasses.replace(honest, comparison=doctored)))
    assert told.keys() == {"comparison"}
    assert "Harrell's C of survival_model is" in told["comparison"][0]
    short = dataclasses.replace(honest, comparison=honest.comparison.iloc[1:])
    assert "times_score is not in the comparison" in found(check_record(short))["comparison"][0]


def test_patients_that_were_moved_or_left_out_are_named(honest):
    table = honest.predictions
    name = table["patient_id"][0]
    moved = table.assign(fold=table["fold"].where(table.index != 0, (table["fold"] + 1) % 4))
    told = found(check_record(dataclasses.replace(honest, predictions=moved)))
    assert told["split_by_patient"] == (
        "1 patient predicted in another fold than the one left out",
        (name,),
    )
    short = table.drop(index=0)
    record = dataclasses.replace(honest, predictions=short, comparison=compare_again(short))
    assert (
        "1 patient not predicted in every repeat"
        in (found(check_record(record))["split_by_patient"][0])
    )


def test_no_split_anywhere_leaves_the_second_stage_open(honest):
    record = dataclasses.replace(honest, splits=honest.splits.assign(evidence=0.0))
    findings = check_record(record).set_index("check")
    assert findings.loc["second_stage", "status"] == "not checked"


def test_files_of_two_runs_are_named(folder):
    provenance = folder / "provenance.json"
    provenance.write_text(json.dumps({"patients_hash": "other", "measurements_hash": "89c185c5"}))
    assert found(check_run(folder))["data"][0] == "patients_hash is not that of provenance.json"


def test_command_prints_plain_lines_and_writes_only_what_is_asked(folder, tmp_path, capsys):
    before = sorted(path.name for path in folder.iterdir())
    assert main(["audit", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert all(line.startswith("passed: ") for line in lines)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert main(["audit", str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    rewrite(folder, "comparison", lambda table: table.assign(n=59))
    assert main(["audit", str(folder), "--quiet", "--out", str(tmp_path / "found.csv")]) == 1
    assert capsys.readouterr().out.startswith("found: same patients: ")
    table = pd.read_csv(tmp_path / "found.csv")
    assert table["status"].value_counts().to_dict() == {"passed": 7, "found": 2}


def spoil_duplicates(folder):
    audit = json.loads((folder / "audit.json").read_text())
    (folder / "audit.json").write_text(json.dumps(audit | {"duplicates": [1]}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "audit.json").unlink(), "holds no audit.json: name the folder"),
        (lambda f: (f / "audit.json").write_text("{"), "audit.json is no JSON"),
        (lambda f: (f / "audit.json").write_text("[]"), "holds no table of names"),
        (
            lambda f: (f / "audit.json").write_text("{}"),
            "has no duplicates, features, hashes, files",
        ),
        (spoil_duplicates, "holds incomplete duplicates"),
        (lambda f: (f / "splits.csv").unlink(), "splits.csv is missing"),
        (lambda f: (f / "splits.csv").write_text(""), "splits.csv cannot be read"),
        (lambda f: (f / "scores.csv").write_text("patient_id\n1\n"), "no column linear_predictor"),
        (
            lambda f: (f / "scores.csv").write_text("patient_id,linear_predictor\n1,high\n"),
            "scores.csv holds text in column linear_predictor",
        ),
    ],
)
def test_damaged_runs_are_bad_input(folder, spoil, message, capsys):
    spoil(folder)
    with pytest.raises(InputError, match=message):
        check_run(folder)
    assert main(["audit", str(folder)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_report_shows_the_findings(study, honest):
    assert audit_section(make_contents()) == []
    still = dataclasses.replace(honest, splits=honest.splits.assign(evidence=0.0))
    for record, said in (
        (honest, "Nothing was found."),
        (still, "Nothing was found. 1 could not be made."),
        (make_record(*study, single_level=True), "1 of these checks found something."),
    ):
        findings = check_record(record)
        (section,) = audit_section(make_contents(audit=findings))
        assert section.paragraphs[0].endswith(f"before its files were written. {said}")
        assert "data" not in set(findings["check"])
        rows = section.tables[0].rows
        assert [row[1].text for row in rows] == findings["status"].tolist()
        assert ("(and 55 more)" in rows[5][2].detail) == said.startswith("1")
