"""`times-stats simulate`: files that `read_study` takes, and one clear line for what is wrong."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pandas as pd
import pytest

import times_stats as ts
from times_stats.__main__ import main
from times_stats.errors import InputError
from times_stats.pipeline.preparation import LEAST_FOLLOWED
from times_stats.pipeline.simulated_files import write_simulated_study
from times_stats.simulate import PatientDesign, simulate_study

CELLS = ("--level", "cells", "--patients", "20", "--front-share", "0.5", "--exclusion", "0.2")


def simulate(out, *words):
    return main(["simulate", "--out", str(out), *words])


def test_measurements_are_written_and_read_back(tmp_path, capsys):
    out = tmp_path / "study"
    words = ("--patients", "60", "--images", "2", "--location-effect", "0.6", "--seed", "4")
    assert simulate(out, *words, "--missing-block", "--reliability", "0.8") == 0
    said = capsys.readouterr()
    assert said.err == "simulating\n"
    expected = simulate_study(
        n_patients=60,
        n_images=2,
        location_effect=0.6,
        missing_block=True,
        reliability=0.8,
        seed=4,
    )
    events = expected.patients["event"].sum()
    assert said.out == f"60 patients, {events} events: {out / 'study.toml'}\n"
    assert sorted(path.name for path in out.iterdir()) == [
        *("measurements.csv", "patients.csv", "study.toml", "truth.csv", "truth.json")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]
    study = ts.read_study(out / "study.toml")
    assert study.seed == 4
    assert study.score.markers == ("M1", "M2", "M3", "M4", "M5")
    assert study.compare.staging == ("tnm", "bclc")
    pd.testing.assert_series_equal(
        study.patients["time"], expected.patients["time"], check_names=False
    )
    keys = ["patient_id", "image_id", "region", "marker"]
    written = study.measurements.set_index(keys)["value"].dropna().sort_index()
    made = expected.measurements.set_index(keys)["value"].sort_index()
    np.testing.assert_allclose(written, made, rtol=1e-9)
    assert written.index.equals(made.index)


def test_truth_is_written_by_patient_and_as_a_whole(tmp_path):
    assert simulate(tmp_path / "s", "--patients", "20", "--cohorts", "2", "--quiet") == 0
    expected = simulate_study(n_patients=20, n_cohorts=2, seed=1).truth
    by_patient = pd.read_csv(tmp_path / "s" / "truth.csv", index_col="patient_id")
    for name in ("linear_predictor", "location_index", "stage_latent"):
        np.testing.assert_allclose(by_patient[name], expected[name], rtol=1e-8)
    np.testing.assert_allclose(by_patient["levels_M2"], expected["levels"]["M2"], rtol=1e-8)
    front = expected["true_values"]["M1", "invasive_front"]
    np.testing.assert_allclose(by_patient["true_values_M1_invasive_front"], front, rtol=1e-8)
    rest = json.loads((tmp_path / "s" / "truth.json").read_text(encoding="utf-8"))
    assert set(rest) | {"linear_predictor", "levels"} <= set(expected)
    assert rest["cohort_effect"] == expected["cohort_effect"].to_dict()
    assert rest["effect"] == 0.4
    assert (
        PatientDesign(
            **{n: tuple(v) if isinstance(v, list) else v for n, v in rest["patient_design"].items()}
        )
        == PatientDesign()
    )


def test_cells_are_written_and_read_back(tmp_path, capsys):
    out = tmp_path / "cells"
    out.mkdir()  # an empty folder will do
    assert simulate(out, *CELLS, "--cluster-size", "5", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    study = ts.read_study(out / "study.toml")
    assert len(study.patients) == 20
    assert study.score.markers == ("M1", "M2")
    assert study.cells.regions == ("tumour_centre", "invasive_front", "adjacent")
    assert (study.cells.summary["reason"] == "").all()
    truth = json.loads((out / "truth.json").read_text(encoding="utf-8"))
    assert truth["tissue_design"]["front_share"] == 0.5
    assert truth["tissue_design"]["cluster_size"] == 5.0
    assert len(truth["images"]) == 20


def test_published_study_is_written_with_its_genes(tmp_path):
    assert simulate(tmp_path / "p", "--level", "published", "--images", "3", "--quiet") == 0
    study = ts.read_study(tmp_path / "p" / "study.toml")
    assert len(study.patients) == 292
    assert study.score.markers == ("HLA-DRB1", "SPON2", "VIM", "ZFP36", "ZFP36L2")
    assert study.measurements["image_id"].nunique() == 292 * 3
    truth = json.loads((tmp_path / "p" / "truth.json").read_text(encoding="utf-8"))
    assert truth["patient_design"]["bclc_cuts"][0] == "-inf"


def test_same_command_same_files(tmp_path):
    for name in ("a", "b"):
        assert simulate(tmp_path / name, *CELLS, "--patients", "10", "--quiet") == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--patients", "3"), "n_patients must be at least 10, got 3"),
        (("--reliability", "2"), "reliability is out of its range"),
        (("--batch-effect", "0.2"), "batch_effect needs at least two cohorts"),
        (("--front-share", "0.5"), "--front-share does not apply to --level measurements"),
        (
            ("--level", "cells", "--regions", "3", "--missing-block"),
            "--regions, --missing-block do not apply to --level cells",
        ),
        (("--level", "published", "--patients", "80"), "--patients does not apply"),
        (("--level", "cells", "--exclusion", "7"), "exclusion is 7.0: give a share"),
    ],
)
def test_bad_options_leave_one_line_and_no_folder(words, message, tmp_path, capsys):
    assert simulate(tmp_path / "out", *words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if line.startswith("times-stats: error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("kept")
    assert simulate(tmp_path) == 2
    assert "holds files already; name an empty or a new folder" in capsys.readouterr().err
    assert simulate(tmp_path / "mine.txt") == 2
    assert "is a file; name a folder" in capsys.readouterr().err
    assert simulate(tmp_path / "no" / "where") == 2
    assert "is missing: make it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_folder_we_stand_in_will_do(tmp_path, monkeypatch):
    out = tmp_path / "here"
    out.mkdir()
    monkeypatch.chdir(out)
    file = write_simulated_study(simulate_study(n_patients=20, seed=1), out=".")
    assert len(ts.read_study(file).patients) == 20
    assert (out / "truth.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("name", ["spleen \U0001f52c", 'a "b" \\ \n', "del \x7f", "H\u00e9patite"])
def test_name_in_any_script_is_read_back(name, tmp_path):
    simulated = simulate_study(n_patients=20, seed=1)
    file = write_simulated_study(simulated, out=tmp_path / "s", name=name)
    assert tomllib.loads(file.read_text(encoding="utf-8"))["study"]["name"] == name


def test_name_that_no_file_can_hold_is_refused(tmp_path):
    simulated = simulate_study(n_patients=20, seed=1)
    with pytest.raises(InputError, match="which UTF-8 cannot write: leave the character out"):
        write_simulated_study(simulated, out=tmp_path / "s", name="\ud83d")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("follow_up", "horizon"),
    [((20.0, 80.0), 24.0), ((5.0, 25.0), 12.0), ((20.0, 20.0), 16.0), ((2.0, 6.0), 3.2)],
)
def test_horizon_fits_the_follow_up(follow_up, horizon, tmp_path):
    design = PatientDesign(follow_up=follow_up)
    simulated = simulate_study(n_patients=100, patient_design=design, seed=1)
    study = ts.read_study(write_simulated_study(simulated, out=tmp_path / "s"))
    assert study.horizon == horizon
    assert (study.patients["time"] > horizon).sum() >= LEAST_FOLLOWED


def test_unreadable_numbers_exit_2(tmp_path, capsys):
    for words in (("--patients", "many"), ("--level", "tissue"), ("--seed", "-1")):
        with pytest.raises(SystemExit) as stopped:
            simulate(tmp_path / "out", *words)
        assert stopped.value.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
