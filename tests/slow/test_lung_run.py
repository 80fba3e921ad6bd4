"""The shipped lung cells from study file to report, and the fitted model on the same patients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.__main__ import main
from times_stats.datasets import lung_vectra_folder, lung_vectra_study_file

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sampling")]

TEXT = ("patient_id", "image_id", "reason", "warnings", "reference")
FEW = ["8", "10", "44", "87", "103"]


def read(path):
    table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str))
    return table.fillna({name: "" for name in TEXT if name in table})


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lung") / "run"
    assert main(["run", str(lung_vectra_study_file()), "--out", str(folder), "--jobs", "2"]) == 0
    return folder


def write_part(folder: Path, *, patients=FEW, change=lambda cells: cells) -> Path:
    """Write the study file with some of the patients, without outcome."""
    folder.mkdir(parents=True)
    source = lung_vectra_folder()
    cells = pd.read_parquet(source / "cells.parquet")
    cells = cells[cells["patient_id"].astype(str).isin(patients)]
    change(cells).to_parquet(folder / "cells.parquet", index=False)
    table = read(source / "patients.csv")
    table = table[table["patient_id"].isin(patients)]
    table[["patient_id"]].to_csv(folder / "patients.csv", index=False)
    path = folder / "study.toml"
    text = lung_vectra_study_file().read_text(encoding="utf-8")
    path.write_text(text.replace('time = "survival_days"\nevent = "survival_status"\n', ""))
    return path


def score(out, study, table):
    words = ["score", str(out / "model"), "--study", str(study), "--out", str(table)]
    assert main([*words, "--jobs", "2"]) == 0
    return read(table).set_index("patient_id")


def test_every_file_is_there(out):
    names = {path.name for path in out.iterdir()}
    assert names >= {
        *("report.html", "scores.csv", "comparison.csv", "integration.csv", "attribution.csv"),
        *("features.csv", "images.csv", "cells.csv", "audit.json", "provenance.json"),
        *("posterior.nc", "model", "figures"),
    }
    assert not any(name.startswith(".") for name in names)
    assert (out / "model" / "cells.json").exists()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Traceback" not in page
    assert "Levels + location + functions" in page


def test_every_cell_and_image_is_counted(out):
    counts = read(out / "cells.csv").set_index("what")
    assert counts.loc["cells in the table", ["n_cells", "n_images", "n_patients"]].tolist() == [
        *(285412, 247, 50)
    ]
    images = read(out / "images.csv")
    assert len(images) == 247
    assert images["n_cells"].sum() == 285412
    assert images["patient_id"].nunique() == 50
    assert (images["n_outside"] == 0).all()
    assert (images["reason"] == "").sum() > 150
    assert images["area_mm2"].notna().all()


def test_features_of_every_patient_with_a_reason_for_each_gap(out):
    features = read(out / "features.csv")
    assert features["patient_id"].nunique() == 50
    told = features["reason"] != ""
    assert (told == features["value"].isna()).all()
    assert told.any()
    per_patient = features.groupby("patient_id").size()
    assert (per_patient == per_patient.iloc[0]).all()
    amounts = features.query("statistic == 'intensity' and region != 'image'")
    images = read(out / "images.csv").query("reason == ''")
    area = amounts.query("marker == 'CD8'").groupby("patient_id")["information"].sum()
    seen = images.groupby("patient_id")["area_mm2"].sum()
    np.testing.assert_allclose(area, seen[area.index], rtol=1e-6)


def test_ladder_ends_with_the_functions(out):
    table = read(out / "integration.csv")
    assert {"all_regions", "spatial_functions", "stage_spatial_functions"} <= set(table["model"])
    pairs = set(zip(table["model"], table["reference"], strict=True))
    assert ("stage_spatial_functions", "stage_all_regions") in pairs
    assert table["estimate"].notna().all()


def test_saved_model_scores_the_same_patients(out, tmp_path):
    fitted = read(out / "scores.csv").set_index("patient_id")
    again = score(out, lung_vectra_study_file(), tmp_path / "all.csv")
    assert sorted(again.index) == sorted(fitted.index)
    assert again["score"].between(0, 1).all()
    assert (again["lower"] <= again["score"]).all()
    assert (again["score"] <= again["upper"]).all()
    assert (again["warnings"] == "").all()  # none outside the range of training
    together = again["score"].corr(fitted["score"].loc[again.index], method="spearman")
    assert together > 0.3

    # Some of them, one with more CD8 cells: nobody else moves, whoever else is in the file.
    def more(cells):
        own = (cells["patient_id"].astype(str) == "44") & (cells["cell_type"] == "CK")
        own &= np.arange(len(cells)) % 3 == 0
        return cells.assign(cell_type=cells["cell_type"].astype("str").mask(own, "CD8"))

    part = score(out, write_part(tmp_path / "part", change=more), tmp_path / "part.csv")
    assert sorted(part.index) == sorted(FEW)
    others = [name for name in FEW if name != "44"]
    pd.testing.assert_frame_equal(part.loc[others], again.loc[others], check_exact=True)
    assert "the training range" in part.loc["44", "warnings"]
    assert part.loc["44", "probability_CD8"] != again.loc["44", "probability_CD8"]
    assert part.loc["44", "score"] != again.loc["44", "score"]


def test_a_patient_alone_without_a_cell_of_a_marker_is_scored(out, tmp_path):
    def without(cells):
        return cells[cells["cell_type"] != "CD19"]

    study = write_part(tmp_path / "alone", patients=["44"], change=without)
    alone = score(out, study, tmp_path / "alone.csv")
    assert alone["score"].notna().all()
    assert "CD19 not measured" not in alone["warnings"].item()


def test_other_rules_are_refused_in_one_line(out, tmp_path, capsys):
    study = write_part(tmp_path / "other", patients=["44"])
    study.write_text(study.read_text().replace("[-20, 20]", "[-30, 20]"))
    capsys.readouterr()
    words = ["score", str(out / "model"), "--study", str(study), "--out", str(tmp_path / "s.csv")]
    assert main([*words, "--jobs", "1"]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(said) == 1
    assert "invasive_front is [-30.0, 20.0] and was [-20.0, 20.0]" in said[0]
    rules = json.loads((out / "model" / "cells.json").read_text())
    assert rules["tumour"] == ["CK"]
