"""The report's section on cells, its figures, and the front sweep, on synthetic tissue."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cell_factory import write_study
from report_factory import make_contents

from times_stats import plots
from times_stats.errors import InputError
from times_stats.pipeline import sweep_front
from times_stats.pipeline.cell_features import example_image
from times_stats.regions import Compartments
from times_stats.report.cell_sections import cell_pictures, cell_section
from times_stats.report.figure_files import write_figures
from times_stats.report.page import render_report
from times_stats.studies import read_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    return read_study(write_study(folder, n_patients=30))


@pytest.fixture(scope="module")
def contents(study):
    made = make_contents(markers=("CD8",), n=60)
    old = made.study
    shown = SimpleNamespace(
        **{**vars(old), "cells": study.cells, "measurements": study.measurements}
    )
    return dataclasses.replace(made, study=shown, tissue=example_image(study))


def test_the_section_counts_images_cells_and_gaps(contents, study):
    section = cell_section(contents)
    summary = study.cells.summary
    assert (summary["reason"] == "").all()
    by_reason = section.tables[1]
    assert [cell.text for cell in by_reason.rows[0]] == ["with a boundary", "60", "30", "42000"]
    share = summary["n_uncertain"].sum() / summary["n_cells"].sum()
    assert f"{100 * share:.0f} %" in section.paragraphs[1].replace("\u00a0", " ")
    assert "from −50 to 50 µm" in section.paragraphs[0]
    read = section.tables[0]
    assert [cell.text for cell in read.rows[0]][1:] == ["42000", "60", "30"]


def test_the_report_shows_the_cells_between_patients_and_comparison(contents):
    page = render_report([contents])
    order = [page.index(f">{name}</h2>") for name in ("Patients", "Cells, images, regions")]
    assert order == sorted(order)
    assert "Cells, images, regions" not in render_report([make_contents()])


def test_figures_are_written_beside_the_report(contents, tmp_path):
    write_figures(contents, tmp_path)
    written = {path.stem for path in tmp_path.glob("*.svg")}
    assert {"tissue", "regions", "functions", "ladder"} <= written
    assert set(cell_pictures(contents)) == {"tissue", "regions", "functions"}
    text = (tmp_path / "regions.svg").read_text(encoding="utf-8")
    assert "CD20, tumour centre" in text
    assert "mathdefault" not in text


def test_gaps_are_listed_with_their_reason(contents):
    cells = contents.study.cells
    lacking = cells.patients.copy()
    gone = lacking["statistic"].eq("gradient") & lacking["marker"].eq("CD8")
    lacking.loc[gone, ["value", "reason"]] = [np.nan, "no boundary inside the window"]
    poor = dataclasses.replace(cells, patients=lacking)
    shown = SimpleNamespace(**{**vars(contents.study), "cells": poor})
    table = cell_section(dataclasses.replace(contents, study=shown)).tables[2]
    rows = [[cell.text for cell in row] for row in table.rows]
    (row,) = [row for row in rows if row[0] == "Infiltration gradient"]
    assert row[:3] == ["Infiltration gradient", "whole image", "30"]
    assert row[4] == "no boundary inside the window"


def test_the_example_is_the_image_of_median_size(study):
    located = example_image(study)
    sizes = study.cells.summary.sort_values(["n_cells", "patient_id", "image_id"])
    assert located.cells.image_id == sizes["image_id"].iloc[len(sizes) // 2]
    assert located.boundary.reason == ""
    assert example_image(dataclasses.replace(study, path=None)) is None
    none = dataclasses.replace(study.cells, summary=study.cells.summary.assign(reason="none"))
    assert example_image(dataclasses.replace(study, cells=none)) is None


def test_pictures_of_tissue_show_what_is_there(study):
    located = example_image(study)
    figure = plots.plot_tissue(located, compartments=Compartments((-50, 50), None))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:3] == ["tumour centre", "invasive front", "adjacent"]
    assert f"CD8 ({int(located.is_marker['CD8'].sum())})" in labels
    with pytest.raises(InputError, match=r"'CD80', which was not measured \(nearest: 'CD8'\)"):
        plots.plot_tissue(located, compartments=Compartments(), markers=("CD80",))
    nobody = np.zeros(len(located.points), dtype=bool)
    many = {**located.is_marker, **{f"M{k}": nobody for k in range(9 - len(located.is_marker))}}
    crowded = plots.plot_tissue(
        dataclasses.replace(located, is_marker=many), compartments=Compartments()
    )
    labels = [text.get_text() for text in crowded.axes[0].get_legend().get_texts()]
    assert labels[-1] == "1 more, not drawn"
    few = dataclasses.replace(located, window=None, boundary=None)
    with pytest.raises(InputError, match="the image has no window"):
        plots.plot_tissue(few, compartments=Compartments())


def test_pictures_need_their_rows():
    empty = pd.DataFrame(
        {"marker": ["A"], "region": "x", "statistic": "mixing", "r": np.nan, "value": 1.0}
    )
    with pytest.raises(InputError, match="no intensity"):
        plots.plot_regional_amounts(empty, regions=("x",))
    with pytest.raises(InputError, match="no value of 'l_self'"):
        plots.plot_functions(empty, statistic="l_self", label="L")
    one = pd.DataFrame({"marker": "A", "statistic": "l_self", "r": [5.0], "value": [1.0]})
    assert len(plots.plot_functions(one, statistic="l_self", label="L").axes) == 1


def test_a_sweep_keeps_the_patients_and_says_how_ranks_move(tmp_path, monkeypatch):
    monkeypatch.setattr("times_stats.pipeline.front_sweep._OUTER_REPEATS", 1)
    path = write_study(tmp_path, n_patients=60, n_images=1)
    sweep = sweep_front(path, widths=[30, 50], reference=50)
    same = sweep.features[sweep.features["width"] == 50]
    varies = ~same["rank_correlation"].isna()
    assert varies.sum() == 5  # no CD20 cell lies deep in the tumour
    np.testing.assert_allclose(same.loc[varies, "rank_correlation"], 1.0)
    other = sweep.features[sweep.features["width"] == 30]["rank_correlation"].dropna()
    assert ((other > 0.3) & (other < 1.0)).all()
    assert sweep.scores.shape == (60 - sweep.n_left_out, 2)
    paired = sweep.comparison[sweep.comparison["reference"] == "50"]
    assert set(paired["model"]) == {"30"}
    # The amounts at the study's own width are those of the study.
    study = read_study(path)
    pooled = study.cells.patients
    amounts = pooled[(pooled["statistic"] == "intensity") & pooled["marker"].isin(["CD20", "CD8"])]
    medians = amounts.groupby(["marker", "region"])["value"].median()
    found = same.set_index(["marker", "region"])["median"]
    np.testing.assert_allclose(found, medians.reindex(found.index))


def test_a_sweep_refuses_what_is_no_sweep(tmp_path):
    path = write_study(tmp_path, n_patients=12, n_images=1)
    for widths in ([20], [20, 20], [20, -5]):
        with pytest.raises(InputError, match="two or more distinct micrometres above 0"):
            sweep_front(path, widths=widths)
    with pytest.raises(InputError, match="reference is 7: choose one of the widths"):
        sweep_front(path, widths=[10, 20], reference=7)
