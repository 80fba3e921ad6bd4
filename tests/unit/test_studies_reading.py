"""Study files with cells: read, checked, measured; and those with measurements, as before."""

from __future__ import annotations

import json
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest

from times_stats.errors import DataWarning, InputError
from times_stats.features import build_feature_table, measuring
from times_stats.features.matrix import ALL_IMAGES
from times_stats.pipeline.application import _check_same_regions
from times_stats.pipeline.outputs import CELLS
from times_stats.regions.window import Window
from times_stats.studies import (
    open_study_cells,
    read_new_patients,
    read_study,
    spatial_functions,
)
from times_stats.studies.marked_cells import count_marked_cells
from times_stats.tables import build_study

N = 15
STUDY = """
[study]
name = "toy"
horizon = 20
[patients]
path = "patients.csv"
[cells]
path = "cells.parquet"
tumour = ["CK"]
window = "rectangle"
[regions]
invasive_front = [-50, 50]
peritumour = false
[features]
radii = [10, 20]
min_cells = 999
"""


def make_cells(seed=1, n=100):
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(N):
        xy = rng.uniform(0, 300, (n, 2))
        kind = np.where(xy[:, 0] < 150, "CK", "stroma")
        kind = np.where(rng.random(n) < 0.3, "CD8", kind)
        kind = np.where((kind == "CD8") & (rng.random(n) < 0.4), "CD4", kind)
        names = {"patient_id": f"p{k:02d}", "image_id": f"i{k:02d}"}
        parts.append(pd.DataFrame({**names, "x": xy[:, 0], "y": xy[:, 1], "cell_type": kind}))
    return pd.concat(parts, ignore_index=True)


def make_patients():
    ids = [f"p{k:02d}" for k in range(N)]
    return pd.DataFrame(
        {"patient_id": ids, "time": np.arange(N) * 2 + 3.0, "event": [1, 1, 1, 1, 0] * 3}
    )


def write(folder, *, study=STUDY, cells=None, patients=None):
    folder.mkdir(exist_ok=True)
    cells = make_cells() if cells is None else cells
    if ".csv" in study.split("[cells]")[-1]:
        cells.to_csv(folder / "cells.csv", index=False)
    else:
        cells.to_parquet(folder / "cells.parquet", index=False)
    (make_patients() if patients is None else patients).to_csv(folder / "patients.csv", index=False)
    (folder / "study.toml").write_text(study, encoding="utf-8")
    return folder / "study.toml"


def write_few(folder, **tables):
    """Four patients: enough where nothing is learned from outcomes."""
    few = make_cells().query("patient_id < 'p04'")
    return write(folder, **{"cells": few, "patients": make_patients().iloc[:4], **tables})


def toml(*changes):
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


WHOLE = toml(("min_cells = 999\n", ""))  # functions take most of the time


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("cells") / "study", study=WHOLE).parent


@pytest.fixture(scope="module")
def study(folder):
    return read_study(folder / "study.toml")


# What comes out.


def test_intensities_are_the_measurements(study):
    assert len(study.patients) == N
    assert study.measurements.columns.tolist() == [
        *("patient_id", "marker", "region", "image_id", "value", "weight")
    ]
    assert set(study.measurements["marker"]) == {"CD4", "CD8", "stroma"}
    assert set(study.measurements["region"]) == {"tumour_centre", "invasive_front", "adjacent"}
    pd.testing.assert_frame_equal(
        study.measurements,
        study.cells.amounts().sort_values(
            ["patient_id", "marker", "region", "image_id"], ignore_index=True
        ),
    )
    assert study.score.tumour_region == "tumour_centre"
    assert study.scaled_by_region == ()
    assert study.functions == ("l_tumour", "l_self", "gradient", "neighbour_excess")
    assert study.path.endswith("study.toml")
    table = build_feature_table(study)
    assert table.is_weighted
    pooled = study.cells.patients.query("statistic == 'intensity'")
    pooled = pooled.set_index(["patient_id", "marker", "region"])["value"]
    for (marker, region), column in table.values.items():
        expected = pooled[:, marker, region]
        np.testing.assert_allclose(column, expected[column.index], rtol=1e-12)


def test_levels_are_all_cells_over_all_areas(study):
    levels = build_feature_table(study).levels
    cells = make_cells()
    counts = cells.groupby(["patient_id", "cell_type"]).size()
    spans = cells.groupby("patient_id")[["x", "y"]].agg(np.ptp)
    area = spans["x"] * spans["y"] * 1e-6
    for marker in ("CD4", "CD8", "stroma"):
        np.testing.assert_allclose(levels[marker], counts[:, marker] / area, rtol=1e-6)


def name_markers(study, *markers):
    return replace(study, score=replace(study.score, markers=markers))


def test_marks_are_counted_by_image_and_region_and_what_is_left_out_is_said(study):
    study = name_markers(study, "CD4", "CD8", "stroma")
    marked = count_marked_cells(study)
    cells = make_cells()
    own = cells[cells["cell_type"] != "CK"]
    counted = own.groupby(["patient_id", "cell_type"]).size()
    found = marked.counts.T.groupby(level="marker").sum().T.droplevel("image_id")
    for marker in ("CD4", "CD8", "stroma"):
        pd.testing.assert_series_equal(
            found[marker], counted[:, marker], check_names=False, check_index_type=False
        )
    assert marked.immune.to_numpy().sum() == len(own)
    assert (
        marked.immune >= marked.counts.T.groupby(level="region").max().T[marked.immune.columns]
    )[marked.immune.columns].all(axis=None)
    assert len(marked.notes) == 1
    assert f"marks move among {len(own)} cells of CD4, CD8, stroma in 15 images" in marked.notes[0]

    summary = study.cells.summary.copy()
    summary.loc[0, "reason"] = "no tumour cell"
    images = study.cells.images.copy()
    lost = images["image_id"].eq("i00") & images["region"].isin(study.cells.regions)
    images.loc[lost, ["value", "information"]] = [np.nan, 0.0]
    without = replace(study, cells=replace(study.cells, summary=summary, images=images))
    n = int((own["image_id"] == "i00").sum())
    assert count_marked_cells(without).notes[1:] == (
        f"1 images with {n} such cells show no region: no tumour cell (1).",
        "1 patients have no image that shows regions.",
    )


def test_marks_that_a_cell_may_share_are_refused(study, tmp_path):
    flagged = make_cells().assign(CD8_positive=lambda cells: cells["cell_type"] == "CD8")
    file = write(tmp_path / "flags", cells=flagged.query("patient_id < 'p01'"))
    moved = replace(name_markers(study, "CD4", "CD8"), path=str(file))
    with pytest.raises(InputError, match="CD8: flags, of which a cell may carry several"):
        count_marked_cells(moved)
    with pytest.raises(InputError, match="which cell types are immune is not said"):
        count_marked_cells(study)
    with pytest.raises(InputError, match="no marks to move"):
        count_marked_cells(replace(study, cells=None))


def test_csv_gives_the_same_study_in_any_order_with_any_workers(study, tmp_path):
    shuffled = make_cells().sample(frac=1, random_state=2)
    path = write(
        tmp_path / "s",
        study=WHOLE.replace("cells.parquet", "cells.csv"),
        cells=shuffled,
    )
    done = []
    with joblib.parallel_config("threading"):
        other = read_study(path, jobs=2, advance=lambda: done.append(1))
    assert len(done) == N
    pd.testing.assert_frame_equal(other.measurements, study.measurements, check_exact=True)
    pd.testing.assert_frame_equal(other.cells.patients, study.cells.patients, check_exact=True)


def test_hash_follows_the_cells(tmp_path):
    cells = make_cells()
    first = read_study(write(tmp_path / "a", cells=cells))
    again = read_study(write(tmp_path / "b", cells=cells[::-1]))
    assert again.source_hash == first.source_hash
    own = cells.index[cells["cell_type"] == "CD8"][0]
    cells.loc[own, "cell_type"] = "CD4"
    assert read_study(write(tmp_path / "c", cells=cells)).source_hash != first.source_hash


def test_a_cell_that_moves_a_little_moves_the_functions_and_the_hash(study, tmp_path):
    cells = make_cells()
    own = cells.index[cells["cell_type"] == "CD8"][0]
    cells.loc[own, "y"] += 0.01
    moved = read_study(write(tmp_path / "s", study=WHOLE, cells=cells))
    pd.testing.assert_frame_equal(moved.measurements, study.measurements, rtol=1e-3)
    assert moved.source_hash != study.source_hash


def test_days_become_months_and_micrometres_stay(study, tmp_path):
    patients = make_patients()
    patients["time"] *= 30.4375
    path = write(
        tmp_path / "s", study=toml(("[study]", '[study]\ntime_unit = "days"')), patients=patients
    )
    other = read_study(path)
    np.testing.assert_allclose(other.patients["time"], study.patients["time"])
    assert other.horizon == 20
    assert other.cells.settings["invasive_front"] == [-50.0, 50.0]


def test_score_markers_and_regions_are_chosen(tmp_path):
    chosen = STUDY + '[score]\nmarkers = ["CD8"]\nregions = ["tumour_centre", "adjacent"]\n'
    study = read_study(write(tmp_path / "s", study=chosen))
    assert study.measurements["marker"].unique().tolist() == ["CD8"]
    assert sorted(study.measurements["region"].unique()) == ["adjacent", "tumour_centre"]
    assert set(study.cells.markers) == {"CD4", "CD8", "stroma"}
    functions = spatial_functions(study)
    assert {marker for marker, _ in functions.curves} == {"CD8"}


# Where the boundary and the window come from.


def labelled():
    cells = make_cells()
    return cells.assign(**{"Classifier Label": np.where(cells["x"] < 150, "Tumor", "Stroma")})


COLUMN = toml(
    ("[regions]", '[cells.columns]\nregion = "Classifier Label"\n[regions]\nsource = "column"'),
    ("peritumour = false", 'peritumour = false\ntumour_regions = ["Tumor"]'),
)


def test_boundary_from_the_region_column(tmp_path):
    study = read_study(write(tmp_path / "s", study=COLUMN, cells=labelled()))
    assert study.cells.settings["source"] == "column"
    assert (study.cells.summary["reason"] == "").all()
    assert study.cells.summary["tumour_mm2"].mean() == pytest.approx(0.045, rel=0.1)
    assert (study.cells.summary["fraction_inside"] > 0.9).all()  # of the label: CK are fewer


DRAWN_WINDOWS = (
    'window = "rectangle"',
    'window = "w/{image_id}.geojson"\noutline_pixel_size = 1',
)


def draw(folder, name, window, images=range(N)):
    (folder / name).mkdir(parents=True)
    for k in images:
        file = folder / name / f"i{k:02d}.geojson"
        file.write_text(json.dumps(window.to_geojson()), encoding="utf-8")


def test_boundary_from_annotations_and_images_without_one(tmp_path):
    path = write(
        tmp_path / "s",
        study=toml(
            (
                "[regions]",
                "outline_pixel_size = 1\n"
                '[regions]\nsource = "annotation"\nannotation = "drawn/{image_id}.geojson"',
            )
        ),
    )
    draw(path.parent, "drawn", Window.rectangle(x=(-5, 150), y=(-5, 305)), range(N - 2))
    study = read_study(path)
    assert (study.cells.summary["reason"].iloc[-2:] == "the image has no annotation").all()
    assert study.flow["n_patients"].tolist() == [N, N - 2, N - 2, N - 2]
    widths = study.measurements.query("region == 'invasive_front'")["weight"]
    assert widths.to_numpy() == pytest.approx(0.03, rel=0.06)  # less what has no cell


def test_windows_by_image(tmp_path):
    path = write(tmp_path / "s", study=toml(DRAWN_WINDOWS))
    draw(path.parent, "w", Window.rectangle(x=(0, 300), y=(0, 250)))
    study = read_study(path)
    assert study.cells.summary["area_mm2"].to_numpy() == pytest.approx(0.075)
    outside = (make_cells()["y"] > 250).sum()
    row = study.cells.counts.set_index("what").loc["cells outside the window, left out"]
    assert row["n_cells"] == outside
    assert study.cells.settings["window"] == "given"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (range(0), r"w/{image_id}.geojson names no file for image i00, i01, i02, i03, i04 \(and"),
        (range(1, N), r"names no file for image i00: draw the outlines, or correct the pattern"),
    ],
)
def test_a_missing_window_is_a_fault(files, message, tmp_path):
    path = write(tmp_path / "s", study=toml(DRAWN_WINDOWS))
    draw(path.parent, "w", Window.rectangle(x=(0, 300), y=(0, 300)), files)
    with pytest.raises(InputError, match=message):
        read_study(path)


def test_outlines_without_a_unit_are_a_fault(tmp_path):
    path = write(
        tmp_path / "s", study=toml(('window = "rectangle"', 'window = "w/{image_id}.geojson"'))
    )
    draw(path.parent, "w", Window.rectangle(x=(0, 300), y=(0, 300)))
    with pytest.raises(InputError, match="outline_pixel_size is missing, and outlines do not say"):
        read_study(path)


def test_windows_far_larger_than_their_cells_are_counted(tmp_path):
    study = toml((DRAWN_WINDOWS[0], DRAWN_WINDOWS[1].replace("= 1", "= 3")))
    path = write(tmp_path / "s", study=study)
    draw(path.parent, "w", Window.rectangle(x=(0, 300), y=(0, 300)))
    counts = read_study(path).cells.counts.set_index("what")
    told = "cells that reach over less than half of their window: check its unit"
    assert counts.loc[told, ["n_cells", "n_images"]].tolist() == [len(make_cells()), N]


def test_levels_of_images_without_a_boundary_stand_beside_the_others(tmp_path):
    """Only the second images lack tumour cells: their CD8 cells count in one of both levels."""
    cells = make_cells()
    more = cells[cells["patient_id"].isin(["p00", "p01"])].copy()
    more["image_id"] += "b"
    more["x"] = 300 - more["x"]
    more["cell_type"] = more["cell_type"].replace("CK", "CD8")
    path = write(tmp_path / "s", cells=pd.concat([cells, more]))
    table = build_feature_table(read_study(path))
    alone = build_feature_table(read_study(write(tmp_path / "t", cells=cells)))
    assert alone.levels.columns.tolist() == ["CD4", "CD8", "stroma"]
    beside = [f"{name}{ALL_IMAGES}" for name in ("CD4", "CD8", "stroma")]
    assert set(table.levels.columns) <= {"CD4", "CD8", "stroma", *beside}
    assert f"CD8{ALL_IMAGES}" in table.levels
    pd.testing.assert_frame_equal(table.levels[alone.levels.columns], alone.levels)
    other = table.levels[f"CD8{ALL_IMAGES}"] / table.levels["CD8"]
    assert (other[["p00", "p01"]] > 1.05).all()
    np.testing.assert_allclose(other.drop(["p00", "p01"]), 1.0)


def test_outlines_that_cannot_be_read_and_annotations_that_are_all_absent(tmp_path):
    path = write(
        tmp_path / "s",
        study=toml(
            DRAWN_WINDOWS,
            ("[regions]", '[regions]\nsource = "annotation"\nannotation = "a/{image_id}.json"'),
        ),
    )
    draw(path.parent, "w", Window.rectangle(x=(0, 300), y=(0, 300)))
    (path.parent / "w" / "i03.geojson").write_text("{")
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "i03.geojson",
        "a/{image_id}.json names no file for image i00, i01, i02, i03, i04 (and 10 more)",
    ]


def test_outlines_wait_for_cells_that_have_their_faults_named(tmp_path):
    cells = make_cells()
    cells.loc[5, "image_id"] = None
    cells.loc[900, "x"] = np.nan
    path = write(
        tmp_path / "s",
        study=toml(DRAWN_WINDOWS),
        cells=cells,
    )
    with pytest.raises(InputError) as caught:
        read_study(path)
    said = str(caught.value)
    assert "column 'image_id' is missing for 1 cell" in said
    assert "column 'x' is missing for 1 cell" in said
    assert "run check_cells" not in said


# Patients and cells that do not meet.


def test_patients_without_cells_are_counted(tmp_path):
    cells = make_cells()
    path = write(tmp_path / "s", cells=cells[~cells["patient_id"].isin(["p03", "p07"])])
    with pytest.warns(DataWarning, match=r"patient p03, p07 has no image"):
        study = read_study(path)
    assert study.flow["n_patients"].tolist() == [N, N - 2, N - 2, N - 2]
    assert study.flow["reason"].tolist()[1] == "2 left out: no measurement"
    assert study.cells.counts["what"].tolist()[-1] == "patients without an image"
    assert not study.patients["patient_id"].isin(["p03", "p07"]).any()


def test_patients_without_a_boundary_are_counted(tmp_path):
    cells = make_cells()
    own = cells["patient_id"] == "p05"
    cells.loc[own & (cells["cell_type"] == "CK"), "cell_type"] = "stroma"
    study = read_study(write(tmp_path / "s", cells=cells))
    assert study.flow["n_patients"].tolist() == [N, N - 1, N - 1, N - 1]
    missing = study.cells.patients.query(
        "patient_id == 'p05' and statistic == 'intensity' and region != 'image'"
    )
    assert set(missing["reason"]) == {"no tumour cell"}
    functions = spatial_functions(study)
    assert "p05" not in functions.scalars.index


def test_cells_of_unknown_patients_are_a_fault(tmp_path):
    path = write(tmp_path / "s", patients=make_patients().iloc[:-1])
    with pytest.raises(InputError, match=r"study\.toml: cells: image i14 belongs to patient p14"):
        read_study(path)


def test_no_image_with_a_region_is_said_so(tmp_path):
    cells = make_cells()
    cells["cell_type"] = np.random.default_rng(0).permutation(cells["cell_type"])
    few = cells.groupby("image_id").head(9)
    message = (
        r"study\.toml: cells: no image shows a region \(too few cells to see the tissue \(15\)\): "
        r"check \[cells\] tumour, window and \[regions\]"
    )
    with pytest.raises(InputError, match=message):
        read_study(write(tmp_path / "s", cells=few))
    with pytest.raises(InputError, match=message):
        read_new_patients(write(tmp_path / "n", cells=few))


# Faults: all of them, with the study file, before anything is measured.


def test_faults_of_patients_cells_and_settings_come_together(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "measure_image", None)
    path = write(
        tmp_path / "s",
        study=toml(("[features]", '[features]\nfunctions = ["l_tumor", "intensity"]'))
        + '[cells.columns]\ny = "Y"\n[score]\nregions = ["tumor_centre", "adjacent"]\n',
        patients=make_patients().assign(time=-1.0),
    )
    with pytest.raises(InputError) as caught:
        read_study(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    for words in (
        "[features] functions names 'l_tumor', which is not measured over images "
        "(nearest: 'l_tumour'): use l_tumour, l_self",
        "functions names 'intensity', which is not measured over images",
        "'Y'",
        "patients: column 'time' is negative",
    ):
        assert words in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ('regions = ["tumor_centre", "adjacent"]', r"regions names 'tumor_centre'.*tumour_centre"),
        ('tumour_region = "core"', r"tumour_region names 'core' that is not among the regions"),
        ('regions = ["peritumour", "adjacent"]', r"regions names 'peritumour'"),
    ],
)
def test_regions_that_the_rules_do_not_give(score, message, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "measure_image", None)
    with pytest.raises(InputError, match=message):
        read_study(write(tmp_path / "s", study=f"{STUDY}[score]\n{score}\n"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'annotation = "a/{image_id}.geojson"',
            r"\[regions\] annotation is given and source is 'boundary', which does not use it: "
            'add source = "annotation", or remove it',
        ),
        (
            'tumour_regions = ["Tumor"]',
            r"\[regions\] tumour_regions is given and source is 'boundary'.* source = \"column\"",
        ),
    ],
)
def test_settings_that_nothing_uses_are_faults(line, message, tmp_path):
    path = write(tmp_path / "s", study=toml(("[regions]", f"[regions]\n{line}")))
    with pytest.raises(InputError, match=message):
        read_study(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('tumour = ["CK"]', 'tumour = ["PanCK"]'), "cells: tumour names 'PanCK', which no cell"),
        (("cells.parquet", "none.parquet"), "cells: .*none.parquet"),
        (("[features]", "[features]\nn_neighbors = 3"), "unknown key 'n_neighbors'"),
        (("[cells]", "[cell]"), r"section \[cell\] is unknown \(nearest: \[cells\]\)"),
        (('path = "patients.csv"', ""), r"\[patients\] path is missing"),
    ],
)
def test_each_fault_is_named_with_the_study_file(change, message, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "measure_image", None)
    path = write(tmp_path / "s", study=toml(change))
    with pytest.raises(InputError, match=message) as caught:
        read_study(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_region_column_settings_need_the_label(tmp_path):
    wrong = COLUMN.replace('["Tumor"]', '["Tumour"]')
    path = write(tmp_path / "s", study=wrong, cells=labelled())
    with pytest.raises(InputError, match=r"cells: tumour_regions names 'Tumour', where no cell is"):
        read_study(path)
    path = write(tmp_path / "t", study=COLUMN.replace('region = "Classifier Label"\n', ""))
    with pytest.raises(InputError, match="cells: the cells have no region column: map one in"):
        read_study(path)


# Cells alone, and new patients.


def test_cells_are_opened_without_patients(folder, tmp_path):
    path = tmp_path / "study.toml"
    text = STUDY.replace('[patients]\npath = "patients.csv"\n', "").replace("horizon = 20\n", "")
    path.write_text(text.replace("cells.parquet", str(folder / "cells.parquet")))
    inputs = open_study_cells(path)
    assert inputs.plan.tumour == ("CK",)
    assert inputs.plan.radii == (10, 20)
    assert inputs.plan.window == "rectangle"
    assert (inputs.windows, inputs.annotations) == (None, None)


def test_opening_needs_cells_and_good_settings(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("[study]\nhorizon = 3\n")
    with pytest.raises(InputError, match=r"this study has no \[cells\]: there is nothing to meas"):
        open_study_cells(path)
    path.write_text("study = 3\n[cells]\n")
    with pytest.raises(InputError, match=r"\[study\] is no section.*\[cells\] path is missing"):
        open_study_cells(path)


def test_new_patients_need_no_outcome(study, tmp_path):
    path = write_few(
        tmp_path / "s",
        study=toml(("horizon = 20\n", "")),
        patients=make_patients()[["patient_id"]].iloc[:4],
    )
    patients, measurements, cells = read_new_patients(path)
    assert "time" not in patients
    assert len(patients) == 4
    expected = study.measurements.query("patient_id < 'p04'")
    pd.testing.assert_frame_equal(measurements, expected, check_exact=True)
    assert cells.settings == study.cells.settings


def test_new_patients_without_cells_stay(tmp_path):
    cells = make_cells().query("'p00' < patient_id < 'p04'")
    path = write_few(tmp_path / "s", cells=cells)
    with pytest.warns(DataWarning, match="patient p00 has no image"):
        patients, measurements, _ = read_new_patients(path)
    assert patients["patient_id"].iloc[0] == "p00"
    assert "p00" not in set(measurements["patient_id"])


def test_a_patient_is_measured_alike_whoever_else_is_in_the_file(tmp_path):
    declared = STUDY + '[score]\nmarkers = ["CD4", "CD8"]\n'
    cells = make_cells().query("patient_id < 'p04'")
    own = cells["patient_id"] == "p02"
    cells = cells[~own | (cells["cell_type"] != "CD4")]  # none there: p02 alone knows no CD4
    together = read_new_patients(write_few(tmp_path / "all", study=declared, cells=cells))[1]
    single = read_new_patients(
        write_few(
            tmp_path / "one",
            study=declared,
            cells=cells[cells["patient_id"] == "p02"],
            patients=make_patients().iloc[[2]],
        )
    )[1]
    together = together.query("patient_id == 'p02'").reset_index(drop=True)
    pd.testing.assert_frame_equal(single, together, check_exact=True)
    assert (single.query("marker == 'CD4'")["value"] == 0).all()


def test_tumour_types_of_the_model_may_be_absent_in_new_patients(tmp_path):
    text = toml(('tumour = ["CK"]', 'tumour = ["CK", "CK_dim"]'))
    path = write_few(tmp_path / "s", study=text)
    _, _, cells = read_new_patients(path)
    assert cells.settings["tumour"] == ["CK", "CK_dim"]
    assert "CK_dim" not in cells.markers
    early = path.read_text(encoding="utf-8").replace("horizon = 20", "horizon = 5")
    path.write_text(early, encoding="utf-8")
    with pytest.raises(InputError, match="tumour names 'CK_dim', which no cell is"):
        read_study(path)


# Studies with measurements.


def test_studies_with_measurements_are_read_as_before(tmp_path):
    rng = np.random.default_rng(0)
    make_patients().to_csv(tmp_path / "patients.csv", index=False)
    long = pd.DataFrame(
        [
            (f"p{k:02d}", region, "CD8", rng.gamma(2.0))
            for k in range(N)
            for region in ("tumour", "adjacent")
        ],
        columns=["patient_id", "region", "marker", "value"],
    )
    long.to_csv(tmp_path / "long.csv", index=False)
    path = tmp_path / "study.toml"
    path.write_text(
        "[study]\nhorizon = 20\n[patients]\npath = 'patients.csv'\n"
        "[measurements]\npath = 'long.csv'\n"
    )
    study = read_study(path)
    assert study.cells is None
    assert (study.functions, spatial_functions(study)) == ((), None)
    assert not build_feature_table(study).is_weighted
    patients, measurements, cells = read_new_patients(path)
    assert (len(patients), len(measurements), cells) == (N, 2 * N, None)


def test_weights_of_measurements_by_hand():
    ids = [f"p{k:02d}" for k in range(N)]
    rows = [
        (name, region, "CD8", image, 10.0 * k + shift, weight)
        for k, name in enumerate(ids)
        for region, image, shift, weight in (
            ("tumour", "a", 0.0, 1.0),
            ("tumour", "b", 4.0, 3.0),
            ("adjacent", "a", 1.0, 6.0),
        )
    ]
    columns = ["patient_id", "region", "marker", "image_id", "value", "weight"]
    long = pd.DataFrame(rows, columns=columns)
    long.loc[1, "value"] = np.nan  # the second image of p00: its weight goes with it
    settings = {"study": {"horizon": 20}}
    table = build_feature_table(build_study(settings, make_patients(), long))
    assert table.is_weighted
    k = 10.0 * np.arange(N)
    tumour, level = k + (0 + 3 * 4) / 4, k + (0 + 3 * 4 + 6 * 1) / 10
    tumour[0], level[0] = 0.0, (0 * 1 + 1 * 6) / 7
    np.testing.assert_allclose(table.values["CD8", "tumour"], tumour)
    np.testing.assert_allclose(table.values["CD8", "adjacent"], k + 1)
    np.testing.assert_allclose(table.levels["CD8"], level)
    plain = build_feature_table(build_study(settings, make_patients(), long.drop(columns="weight")))
    assert not plain.is_weighted
    np.testing.assert_allclose(plain.levels["CD8"][1:], k[1:] + (2 + 1) / 2)


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf, "much"])
def test_weights_that_do_not_count(weight):
    long = pd.DataFrame(
        [
            (f"p{k:02d}", region, "CD8", float(k), 1.0)
            for k in range(N)
            for region in ("tumour", "adjacent")
        ],
        columns=["patient_id", "region", "marker", "value", "weight"],
    ).astype({"weight": object})
    long.loc[4, "weight"] = weight
    with pytest.raises(
        InputError, match="column 'weight' is not a positive number for patient p02: give how much"
    ):
        build_study({"study": {"horizon": 20}}, make_patients(), long)


# Spatial functions.


def test_spatial_functions_follow_the_patients(study):
    functions = spatial_functions(study)
    ids = study.patients["patient_id"].tolist()
    assert functions.scalars.index.tolist() == ids
    markers = ("CD4", "CD8", "stroma")
    assert sorted(functions.scalars.columns) == [
        (marker, name) for marker in markers for name in ("gradient", "neighbour_excess")
    ]
    assert sorted(functions.curves) == [
        (marker, name) for marker in markers for name in ("l_self", "l_tumour")
    ]
    pooled = study.cells.patients.set_index(["patient_id", "marker", "statistic", "r"])["value"]
    for (marker, name), curves in functions.curves.items():
        assert curves.shape == (N, 2)
        assert curves.columns.tolist() == [10.0, 20.0]
        assert curves.index.tolist() == ids
        assert curves.loc["p07", 20.0] == pooled["p07", marker, name, 20.0]


def test_patients_without_a_function_are_rows_of_gaps(tmp_path):
    cells = make_cells()
    own = (cells["patient_id"] == "p04") & (cells["cell_type"] == "CD4")
    cells.loc[own, "cell_type"] = "CD8"
    study = read_study(write(tmp_path / "s", study=WHOLE, cells=cells))
    functions = spatial_functions(study)
    assert functions.scalars.loc["p04"].isna().sum() == 2
    assert functions.curves["CD4", "l_self"].loc["p04"].isna().all()
    assert functions.curves["CD8", "l_self"].loc["p04"].notna().all()
    assert functions.scalars.index.tolist() == study.patients["patient_id"].tolist()


@pytest.fixture(scope="module")
def aggregated(tmp_path_factory):
    text = WHOLE.replace(
        "[features]",
        '[features]\nfunctions = ["aggregate_share"]\naggregate_seeds = ["CD4"]\n'
        'aggregate_members = ["CD4", "CD8"]\naggregate_cells = 3',
    )
    return read_study(write(tmp_path_factory.mktemp("aggregates") / "s", study=text))


@pytest.mark.parametrize(
    ("asked", "scalars", "curves"),
    [
        (["aggregate_share"], [("aggregates", "aggregate_share")], []),
        (["mixing"], [("CD4", "mixing"), ("CD8", "mixing"), ("stroma", "mixing")], []),
        (["g_tumour"], [], [("CD4", "g_tumour"), ("CD8", "g_tumour"), ("stroma", "g_tumour")]),
    ],
)
def test_functions_asked_for(asked, scalars, curves, aggregated):
    assert aggregated.functions == ("aggregate_share",)
    functions = spatial_functions(replace(aggregated, functions=tuple(asked)))
    assert sorted(functions.scalars.columns) == scalars
    assert sorted(functions.curves) == curves
    assert len(functions.scalars) == N


def test_no_function_asked_for_is_no_rung(tmp_path):
    text = toml(("[features]", "[features]\nfunctions = []"))
    study = read_study(write(tmp_path / "s", study=text))
    assert study.cells is not None
    assert spatial_functions(study) is None


# A model goes with the rules it was fitted by.


@pytest.fixture
def model(study, tmp_path):
    (tmp_path / CELLS).write_text(json.dumps(study.cells.settings))
    return tmp_path


def test_same_rules_are_accepted(model, study, tmp_path):
    _check_same_regions(model, study.cells, "new.toml")
    (tmp_path / "plain").mkdir()
    _check_same_regions(tmp_path / "plain", None, "new.toml")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "invasive_front",
            [-40.0, 50.0],
            r"new.toml: invasive_front is \[-40.0, 50.0\] and was \[-50.0, 50.0\] when the model",
        ),
        ("peritumour", 90.0, "peritumour is 90.0 and was None when the model was fitted: draw the"),
        ("window", "tissue", "window is tissue and was rectangle when the model"),
        ("source", "column", "source is column and was boundary when"),
        ("tumour", ["CK", "CK_dim"], r"tumour is \['CK', 'CK_dim'\] and was \['CK'\] when"),
        ("tumour_regions", ["Tumor"], r"tumour_regions is \['Tumor'\] and was \[\] when"),
    ],
)
def test_other_rules_are_refused(name, value, message, model, study):
    assert name in study.cells.settings
    other = replace(study.cells, settings=study.cells.settings | {name: value})
    with pytest.raises(InputError, match=message) as caught:
        _check_same_regions(model, other, "new.toml")
    assert len(caught.value.faults) == 1


def test_rules_are_those_of_the_study_file_whatever_the_order_of_names(tmp_path):
    changes = [
        ("[-50, 50]", "[-40, 60]"),
        ("peritumour = false", "peritumour = 90"),
        ('"rectangle"', '"tissue"'),
    ]
    expected = {
        "tumour": ["CK", "CK_dim"],
        "window": "tissue",
        "source": "boundary",
        "tumour_regions": [],
        "invasive_front": [-40.0, 60.0],
        "peritumour": 90.0,
    }
    for types in ('["CK", "CK_dim"]', '["CK_dim", "CK"]'):
        path = write_few(tmp_path / "s", study=toml(*changes, ('["CK"]', types)))
        assert read_new_patients(path)[2].settings == expected


def test_drawn_windows_are_another_rule(model, tmp_path):
    path = write_few(tmp_path / "s", study=toml(DRAWN_WINDOWS))
    draw(path.parent, "w", Window.rectangle(x=(0, 300), y=(0, 300)))
    with pytest.raises(InputError, match="window is given and was rectangle"):
        _check_same_regions(model, read_new_patients(path)[2], "new.toml")


def test_cells_and_measurements_are_not_exchanged(model, study, tmp_path):
    with pytest.raises(InputError, match=r"new.toml: the model was fitted to cells: give \[cells"):
        _check_same_regions(model, None, "new.toml")
    (tmp_path / "plain").mkdir()
    with pytest.raises(InputError, match=r"fitted to measurements: give \[measurements\], not"):
        _check_same_regions(tmp_path / "plain", study.cells, "new.toml")


def test_gaps_of_cells_keep_the_reason_of_the_images(study):
    def rows_of(table, **key):
        return (table[[*key]] == pd.Series(key)).all(axis=1)

    key = {"patient_id": "p03", "marker": "CD8", "region": "adjacent"}
    pooled = study.cells.patients.copy()
    own = rows_of(pooled, **key, statistic="intensity")
    assert own.sum() == 1
    pooled.loc[own, "value"], pooled.loc[own, "reason"] = np.nan, "no tumour cell"
    cut = replace(
        study,
        measurements=study.measurements[~rows_of(study.measurements, **key)],
        cells=replace(study.cells, patients=pooled),
    )
    reasons = build_feature_table(cut).reasons
    assert reasons.loc["p03", ("CD8", "adjacent")] == "no tumour cell"
    assert (reasons != "").to_numpy().sum() == 1
    assert (build_feature_table(study).reasons == "").all(axis=None)
