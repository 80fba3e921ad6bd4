"""The command line on cells: the feature table, and one clear line for whatever is wrong."""

from __future__ import annotations

import sys

import joblib
import numpy as np
import pandas as pd
import pytest

from times_stats.__main__ import main
from times_stats.features import measuring
from times_stats.pipeline import cluster, write_features

STUDY = """
[cells]
path = "cells.csv"
tumour = ["CK"]
window = "rectangle"
[regions]
invasive_front = [-50, 50]
peritumour = false
[features]
radii = [10, 20]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 300, (450, 2))
    kind = np.where(xy[:, 0] < 150, "CK", "CD8")
    pd.DataFrame(
        {
            "patient_id": np.repeat(["001", "002"], [300, 150]),
            "image_id": np.repeat(["a", "b", "c"], 150),
            "x": xy[:, 0],
            "y": xy[:, 1],
            "cell_type": np.where(rng.random(450) < 0.2, "CD8", kind),
        }
    ).to_csv(path / "cells.csv", index=False)
    (path / "study.toml").write_text(STUDY)
    return path


def features(folder, out, *words):
    return main(["features", str(folder / "study.toml"), "--out", str(out), "--jobs", "1", *words])


def one_line(capsys):
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len([line for line in lines if "error" in line]) == 1
    assert "Traceback" not in said.err
    return lines[-1]


def spoiled(folder, tmp_path, *changes):
    text = STUDY.replace("cells.csv", str(folder / "cells.csv"))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "study.toml").write_text(text)
    return tmp_path


def test_csv_has_every_feature_of_every_patient(folder, tmp_path, capsys):
    out = tmp_path / "features.csv"
    assert features(folder, out) == 0
    said = capsys.readouterr()
    table = pd.read_csv(out, dtype={"patient_id": str}, keep_default_na=False, na_values=[""])
    assert said.out == f"2 patients, {len(table)} features: {out}\n"
    assert said.err == "measuring images\n"
    expected = write_features(folder / "study.toml", out=tmp_path / "again.csv")
    assert out.read_bytes() == (tmp_path / "again.csv").read_bytes()
    assert table.columns.tolist() == expected.columns.tolist()
    assert set(table["patient_id"]) == {"001", "002"}
    np.testing.assert_allclose(table["value"], expected["value"], rtol=1e-9)
    assert {"intensity", "l_tumour", "gradient", "mixing"} <= set(table["statistic"])


def test_files_beside_it_say_what_became_of_images_and_cells(folder, tmp_path):
    assert features(folder, tmp_path / "f.parquet", "--quiet") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("f.cells.csv", "f.images.csv", "f.parquet")
    ]
    images = pd.read_csv(tmp_path / "f.images.csv")
    assert images["image_id"].tolist() == ["a", "b", "c"]
    assert images["n_cells"].tolist() == [150] * 3
    counts = pd.read_csv(tmp_path / "f.cells.csv")
    assert counts[["what", "n_cells"]].to_numpy().tolist() == [["cells in the table", 450]]


def test_parquet_holds_the_same_table_and_quiet_says_nothing(folder, tmp_path, capsys):
    assert features(folder, tmp_path / "f.PARQUET", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    expected = write_features(folder / "study.toml", out=tmp_path / "f.csv")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "f.PARQUET"), expected)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("features.xlsx", "features.xlsx is of no known format: name it .csv or .parquet"),
        ("features", "features is of no known format"),
        ("nowhere/features.csv", "nowhere is missing: make it, or name another one"),
    ],
)
def test_bad_outputs_are_refused_before_anything_is_measured(
    out, words, folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(measuring, "measure_image", None)
    assert features(folder, tmp_path / out) == 2
    assert words in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("[cells]", "[measurements]")], "this study has no [cells]: there is nothing to measure"),
        ([('["CK"]', '["PanCK"]')], "tumour names 'PanCK', which no cell is"),
        ([("peritumour = false", "peritumour = 10")], "peritumour ends at 10, inside the invasive"),
        ([("cells.csv", "none.csv")], "none.csv"),
        ([("[regions]", "[region]")], "section [region] is unknown (nearest: [regions])"),
        ([("radii", 'functions = ["k"]\nradii')], "functions names 'k', which is not measured"),
        ([("[cells]", "[cells")], "no valid TOML"),
    ],
)
def test_bad_studies_are_one_clear_line(changes, words, folder, tmp_path, capsys):
    study = spoiled(folder, tmp_path, *changes)
    assert features(study, tmp_path / "f.csv") == 2
    assert words in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_faults_of_cells_are_one_line_and_leave_no_file(folder, tmp_path, capsys):
    cells = pd.read_csv(folder / "cells.csv")
    cells.loc[[3, 400], "x"] = np.nan
    cells.to_csv(tmp_path / "cells.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY)
    assert features(tmp_path, tmp_path / "f.csv") == 2
    assert "column 'x' is missing for 2 cells of image a, c" in one_line(capsys)
    assert not (tmp_path / "f.csv").exists()


def test_missing_study_and_missing_output_exit_2(tmp_path, capsys):
    assert features(tmp_path, tmp_path / "f.csv") == 2
    assert "study.toml: the study file is missing" in one_line(capsys)
    with pytest.raises(SystemExit) as stopped:
        main(["features", "study.toml"])
    assert stopped.value.code == 2
    assert "--out" in one_line(capsys)


def test_features_that_cannot_be_written_leave_nothing_behind(folder, tmp_path, capsys):
    (tmp_path / "f.images.csv").mkdir()
    assert features(folder, tmp_path / "f.csv") == 2
    assert "f.images.csv is a folder: name another file" in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["f.images.csv"]


def test_features_do_not_overwrite_the_study(folder, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for name in [path.name for path in before if path.suffix in (".csv", ".parquet")]:
        assert features(folder, folder / name) == 2
        assert f"{name} belongs to the study: name another file" in one_line(capsys)
    assert len(before) >= 2
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_faults_of_cells_name_the_study_file(folder, tmp_path, capsys):
    study = folder / "other.toml"
    study.write_text((folder / "study.toml").read_text().replace('"CK"', '"KC"'))
    assert main(["features", str(study), "--out", str(tmp_path / "f.csv")]) == 2
    assert "other.toml: cells: " in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_score_of_cells_needs_the_model_of_cells(folder, tmp_path, capsys):
    words = ["score", str(tmp_path / "model"), "--study", str(folder / "study.toml")]
    assert main([*words, "--out", str(tmp_path / "s.csv")]) == 2
    assert "model is no folder" in one_line(capsys)


# A cluster that is not there.


@pytest.mark.parametrize("command", ["features", "run"])
def test_dask_that_is_not_installed(command, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    out = tmp_path / ("f.csv" if command == "features" else "run")
    words = [command, str(folder / "study.toml"), "--out", str(out), "--dask", "tcp://host:8786"]
    assert main(words) == 2
    assert "needs Dask: install it with pip install 'times_stats[distributed]'" in one_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://127.0.0.1:9", "--dask tcp://127.0.0.1:9 cannot be reached (Timed out): check it"),
        ("host", "--dask host cannot be reached (missing port number in address 'host'): check it"),
        ("smtp://host:8786", "cannot be reached (unknown address scheme 'smtp'"),
        (" ", "--dask is empty: name the scheduler, such as tcp://host:8786"),
    ],
)
def test_cluster_that_is_not_there_is_one_clear_line(
    address, words, folder, tmp_path, capsys, monkeypatch
):
    # A client of its own loop and sockets is left to tests/slow/test_dask.py.
    distributed = pytest.importorskip("distributed")

    def no_client(*_, **__):
        raise TimeoutError("Timed\nout")

    monkeypatch.setattr(distributed, "Client", no_client)
    assert features(folder, tmp_path / "f.csv", "--dask", address) == 2
    assert words in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_no_address_is_this_machine():
    with joblib.parallel_config("threading", n_jobs=3), cluster.working_on(None):
        assert joblib.Parallel().n_jobs == 3
