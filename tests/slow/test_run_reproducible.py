"""Same seed, same files: whatever the jobs, the rows, the BLAS threads, or a kill on the way."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from times_stats.simulate import simulate_study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sampling")]

STUDY = """
[study]
name = "two centres"
endpoint = "recurrence"
time_unit = "days"
horizon = 24
seed = 7
[patients]
path = "clinic.csv"
[patients.columns]
patient_id = "case"
time = "days"
event = "relapse"
cohort = "centre"
tnm = "stage"
[measurements]
path = "long.csv"
[score]
n_folds = 4
n_repeats = 3
[compare]
staging = ["tnm"]
[evaluate]
n_folds = 4
n_repeats = 2
n_resamples = 200
"""
STEPS = ("score", "nested", "survival", "integration", "carriers", "comparison", "finish")
RUN = "import sys; from times_stats.__main__ import main; sys.exit(main(sys.argv[1:]))"
KILLED = """
import os, signal, sys
from times_stats.__main__ import main
from times_stats.pipeline.checkpoints import RunFolder
after = sys.argv.pop(1)
honest = RunFolder.step
def step(self, name, **work):
    result = honest(self, name, **work)
    if name == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
RunFolder.step = step
if after == "finish":
    RunFolder.finish = lambda self: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(main(sys.argv[1:]))
"""


def write_study(folder: Path, *, shuffle: bool = False) -> Path:
    simulated = simulate_study(
        n_patients=110, markers=3, regions=2, n_cohorts=2, missing_block=True, seed=4
    )
    patients = simulated.patients.rename(
        columns={
            "patient_id": "case",
            "time": "days",
            "event": "relapse",
            "cohort": "centre",
            "tnm": "stage",
        }
    )
    patients["days"] = (patients["days"] * 30.4375).round()
    long = simulated.measurements
    if shuffle:
        patients, long = (
            patients.sample(frac=1, random_state=3),
            long.sample(frac=1, random_state=5),
        )
    folder.mkdir()
    patients.to_csv(folder / "clinic.csv", index=False)
    long.to_csv(folder / "long.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    return folder / "study.toml"


def start(code: str, words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run in a session of its own, so that what a kill leaves behind can be cleared away."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        code_of_exit = process.wait(timeout=600)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said.seek(0)
        return subprocess.CompletedProcess(words, code_of_exit, "", said.read())


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    study = write_study(folder / "study")
    done = start(RUN, ["run", str(study), "--out", str(folder / "out"), "--jobs", "1"])
    assert done.returncode == 0, done.stderr
    return folder / "out"


def assert_same_files(out: Path, reference: Path) -> None:
    names = {str(path.relative_to(reference)) for path in reference.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {"scores.csv", "comparison.csv", "report.html", "model/posterior.nc"} <= names
    for name in sorted(names):
        assert (out / name).read_bytes() == (reference / name).read_bytes(), name


def test_other_study_runs_without_touching_code(reference):
    scores = pd.read_csv(reference / "scores.csv", dtype={"patient_id": str})
    assert len(scores) == 110
    assert scores["score"].between(0, 1).all()
    weights = scores.filter(like="weight_")
    assert weights.shape[1] == 3
    assert weights.sum(axis=1).to_numpy() == pytest.approx(1.0)
    comparison = pd.read_csv(reference / "comparison.csv")
    assert {"tnm", "times_score", "survival_model"} <= set(comparison["model"])
    for name in ("report.html", "posterior.nc", "provenance.json", "model", "figures"):
        assert (reference / name).exists()
    assert not (reference / ".times_stats").exists()


def test_jobs_rows_and_threads_do_not_matter(reference, tmp_path):
    study = write_study(tmp_path / "study", shuffle=True)
    done = start(
        RUN,
        ["run", str(study), "--out", str(tmp_path / "out"), "--jobs", "2"],
        OPENBLAS_NUM_THREADS="2",
        OMP_NUM_THREADS="2",
    )
    assert done.returncode == 0, done.stderr
    assert_same_files(tmp_path / "out", reference)


def test_run_killed_after_each_step_in_turn_ends_with_the_same_files(reference, tmp_path):
    study = write_study(tmp_path / "study")
    words = ["run", str(study), "--out", str(tmp_path / "out"), "--jobs", "2"]
    steps = tmp_path / "out" / ".times_stats"
    for number, after in enumerate(STEPS):
        killed = start(KILLED, [after, *words])
        assert killed.returncode == -9, (after, killed.stderr)
        kept = {path.name for path in steps.iterdir() if path.is_dir()}
        assert kept == set(STEPS[: number + 1]) - {"finish"}
    done = start(RUN, words)
    assert done.returncode == 0, done.stderr
    assert_same_files(tmp_path / "out", reference)


def test_every_other_option_runs(tmp_path):
    study = write_study(tmp_path / "study")
    text = study.read_text().replace('[compare]\nstaging = ["tnm"]\n', "")
    text = text.replace(
        "[score]\n", '[score]\nobjective = "binary:logistic"\npooling = "random_effects"\n'
    )
    study.write_text(text + '[survival]\nbaseline = "mspline"\n')
    out = tmp_path / "out"
    done = start(RUN, ["run", str(study), "--out", str(out), "--jobs", "2"])
    assert done.returncode == 0, done.stderr
    comparison = pd.read_csv(out / "comparison.csv")
    assert set(comparison["model"]) >= {
        "no_predictors",
        "times_score",
        "survival_model",
        "ridge_cox",
    }
    assert not set(comparison["model"]) & {"tnm", "stage_and_score"}
    estimate = comparison[comparison["metric"] == "concordance_uno"]["estimate"]
    assert estimate.notna().all()
