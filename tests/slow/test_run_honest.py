"""The main job on the shipped data: known figures come out, nothing is cached into them."""

from __future__ import annotations

import dataclasses
import functools
import shutil

import numpy as np
import pandas as pd
import pytest

import times_stats as ts
from times_stats.__main__ import main
from times_stats.datasets import hcc_ihc_study_file
from times_stats.pipeline import preparation, steps
from times_stats.score.times_score import TimesScore
from times_stats.survival.spec import SurvivalSpec

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sampling")]


@pytest.fixture(scope="module", autouse=True)
def one_compilation():
    """Compile the model of these data once for all runs of this module."""
    honest, kept = steps.compile_survival, {}

    def compile_once(spec, *, columns, n_cohorts):
        key = (spec.baseline, tuple(columns), n_cohorts)
        if key not in kept:
            kept[key] = honest(spec, columns=columns, n_cohorts=n_cohorts)
        return kept[key]

    steps.compile_survival = compile_once
    yield
    steps.compile_survival = honest


@functools.cache
def study() -> ts.Study:
    full = ts.datasets.load_hcc_ihc("all")
    evaluate = dataclasses.replace(full.evaluate, n_repeats=1, n_resamples=200)
    score = dataclasses.replace(full.score, n_repeats=2)
    return dataclasses.replace(full, evaluate=evaluate, score=score)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return ts.run(study(), out=tmp_path_factory.mktemp("runs") / "run", jobs=2)


def estimate(table: pd.DataFrame, model: str, metric: str) -> float:
    row = table[
        (table["model"] == model) & (table["metric"] == metric) & (table["reference"] == "")
    ]
    return float(row["estimate"].item())


def test_known_concordance_of_the_stages(finished):
    assert estimate(finished.comparison, "tnm", "concordance_harrell") == pytest.approx(
        0.595, abs=5e-4
    )
    assert estimate(finished.comparison, "bclc", "concordance_harrell") == pytest.approx(
        0.616, abs=5e-4
    )


def test_audit_of_an_honest_run_is_silent_and_of_a_doctored_one_is_not(finished, tmp_path):
    findings = ts.audit.check_run(finished)
    assert findings["status"].eq("passed").all(), findings.to_string()
    assert (finished.out / "report.html").read_text().count("nobody on both sides") == 1
    shutil.copytree(finished.out, tmp_path / "doctored")
    predictions = pd.read_csv(tmp_path / "doctored" / "predictions.csv")
    own = pd.read_csv(tmp_path / "doctored" / "in_sample.csv").set_index("patient_id")
    swapped = predictions.assign(ridge_cox=own.loc[predictions["patient_id"], "ridge_cox"].array)
    swapped.to_csv(tmp_path / "doctored" / "predictions.csv", index=False)
    told = ts.audit.check_run(tmp_path / "doctored").query("status == 'found'")
    assert told["check"].tolist() == ["comparison", "rivals_out_of_fold", "files"]


def test_one_changed_outcome_changes_the_outputs(finished, tmp_path):
    patients = study().patients.copy()
    row = patients.index[patients["event"] == 1][0]
    patients.loc[row, ["time", "event"]] = [60.0, 0]
    changed = ts.run(
        dataclasses.replace(study(), patients=patients, source_hash="changed"),
        out=tmp_path / "changed",
        jobs=2,
    )
    patient = patients.loc[row, "patient_id"]
    moved = (changed.scores["score"] != finished.scores["score"]).drop(patient)
    assert moved.all()
    before = (finished.out / "comparison.csv").read_text()
    assert (changed.out / "comparison.csv").read_text() != before


def test_fit_that_fails_its_checks_is_refused_by_the_report(tmp_path, monkeypatch):
    def hasty(**kwargs):
        return dataclasses.replace(SurvivalSpec(**kwargs), tune=5, draws=20, chains=2)

    monkeypatch.setattr(preparation, "SurvivalSpec", hasty)
    with pytest.warns(ts.errors.ConvergenceWarning):
        failed = ts.run(study(), out=tmp_path / "failed", jobs=2)
    assert failed.contents.diagnostics["status"] == "failed"
    assert not failed.contents.survival_is_shown
    page = (failed.out / "report.html").read_text(encoding="utf-8")
    assert "failed" in page
    assert not (failed.out / "figures" / "slopes.svg").exists()


def test_saved_model_scores_new_patients_without_fitting(finished, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("nothing may be fitted")

    monkeypatch.setattr(TimesScore, "fit", refuse)
    out = tmp_path / "new.csv"
    words = ["score", str(finished.out / "model"), "--study", str(hcc_ihc_study_file("all"))]
    assert main([*words, "--out", str(out)]) == 0
    table = pd.read_csv(out, dtype={"patient_id": str}).set_index("patient_id")
    assert len(table) == 227
    assert (table["lower"] < table["score"]).all()
    assert (table["score"] < table["upper"]).all()
    assert table["survival"].between(0, 1).all()
    assert table["rmst"].between(0, 24).all()
    # The training patients score higher or lower as their out-of-fold scores do.
    together = table["score"].corr(finished.scores["score"], method="spearman")
    assert together > 0.7
    assert np.isfinite(table.filter(like="weight_")).all(axis=None)


def test_damaged_model_is_refused_in_one_line(finished, tmp_path, capsys):
    import shutil

    shutil.copytree(finished.out / "model", tmp_path / "model")
    victim = tmp_path / "model" / "score.json"
    victim.write_bytes(victim.read_bytes()[:-20])
    words = ["score", str(tmp_path / "model"), "--study", str(hcc_ihc_study_file("all"))]
    assert main([*words, "--out", str(tmp_path / "new.csv")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "new.csv").exists()
