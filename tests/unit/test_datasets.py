from __future__ import annotations

import tomllib

import numpy as np
import pandas as pd
import pytest

from times_stats.datasets import hcc_ihc_study_file, load_hcc_ihc, load_times_published
from times_stats.errors import DataWarning, InputError
from times_stats.features import build_feature_table, scaled_by_region
from times_stats.tables import build_study, outcome


def test_analysis_a_has_every_patient_and_one_marker():
    study = load_hcc_ihc()
    assert len(study.patients) == 227
    assert study.patients["event"].sum() == 143
    table = build_feature_table(study)
    assert table.values.columns.tolist() == [
        ("CXCL17", "adjacent"),
        ("CXCL17", "peritumour"),
        ("CXCL17", "tumour"),
    ]
    assert table.values.notna().to_numpy().all()
    assert study.score.tumour_region == "tumour"
    assert study.horizon == 24
    assert study.compare.staging == ("tnm", "bclc")


def test_analysis_b_has_the_complete_patients_and_counts_the_others():
    study = load_hcc_ihc("complete")
    assert study.flow["n_patients"].tolist() == [227, 227, 101, 101]
    assert study.flow["n_events"].tolist()[0] == 143
    assert study.flow["n_events"].tolist()[-1] == 65
    assert "126 left out" in study.flow["reason"].tolist()[2]
    table = build_feature_table(study)
    assert table.values.shape == (101, 15)
    assert table.values.notna().to_numpy().all()


def test_one_analysis_over_both_blocks_warns_with_their_follow_up():
    folder = hcc_ihc_study_file().parent
    settings = tomllib.loads((folder / "all.toml").read_text(encoding="utf-8"))
    settings["score"] = {"markers": ["CD8", "CXCL17"]}
    tables = [pd.read_csv(folder / f"{name}.csv") for name in ("patients", "region_marker_long")]
    study = build_study(settings, *tables)
    message = (
        r"marker CD8 is complete for 101 patients \(median follow-up 43 months, reverse "
        r"Kaplan-Meier\) and not for 126 \(64 months\)"
    )
    with pytest.warns(DataWarning, match=message):
        build_feature_table(study)


def test_the_level_of_cxcl17_is_not_identified_in_either_analysis():
    assert scaled_by_region(build_feature_table(load_hcc_ihc()).values) == ["CXCL17"]
    assert load_hcc_ihc().scaled_by_region == ("CXCL17",)
    assert load_hcc_ihc("complete").scaled_by_region == ("CXCL17",)


def test_the_shipped_values_are_those_of_the_source():
    study = load_hcc_ihc()
    values = build_feature_table(study).values.loc["1"]
    assert values.tolist() == [138.2471767, 299.3254039, 113.9472382]
    raw = pd.read_csv(hcc_ihc_study_file().parent / "patients.csv").set_index("Number")
    results = outcome(study)
    results.index = results.index.astype(int)
    np.testing.assert_array_equal(results["time"], raw.loc[results.index, "RFS"])
    np.testing.assert_array_equal(results["event"], raw.loc[results.index, "Recurrence"])


@pytest.mark.parametrize("folder", ["hcc_ihc_regions", "times_published"])
def test_every_data_set_has_its_licence_and_citation(folder):
    place = hcc_ihc_study_file().parent.parent / folder
    for name in ("LICENSE", "CITATION"):
        assert (place / name).read_text(encoding="utf-8").strip()


def test_published_times_are_complete():
    published = load_times_published()
    assert published.components.shape == (61, 13)
    assert published.components.index.name == "slide_id"
    assert published.components.notna().to_numpy().all()
    assert published.results["cox_dfs"]["TIMES"]["c_index"] == 0.814
    assert set(published.variance_components["gene"]) >= {"SPON2", "VIM"}


def test_an_unknown_analysis_is_refused():
    with pytest.raises(InputError, match="choose 'all' or 'complete'"):
        load_hcc_ihc("some")
