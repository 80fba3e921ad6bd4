from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import DataWarning
from times_stats.features import (
    build_feature_table,
    complete_markers,
    feature_matrix,
    marker_levels,
    missing_patterns,
    scaled_by_region,
)
from times_stats.tables import build_study

KEYS = ["marker", "region"]


def study(drop=None, **score):
    rng = np.random.default_rng(4)
    ids = [f"p{i:02d}" for i in range(40)]
    patients = pd.DataFrame(
        {"patient_id": ids, "time": np.arange(40) + 1.0, "event": [1, 0, 1, 1] * 10}
    )
    rows = [
        (name, region, marker, image, rng.gamma(2.0))
        for name in ids
        for marker, regions in (("CD8", ("tumour", "adjacent")), ("CD4", ("tumour", "edge")))
        for region in regions
        for image in ("t1", "t2")
    ]
    long = pd.DataFrame(rows, columns=["patient_id", "region", "marker", "image_id", "value"])
    if drop is not None:
        long = drop(long)
    return build_study({"study": {"horizon": 12}, "score": score}, patients, long), long


def test_the_mean_over_images_lands_in_its_cell():
    one, long = study()
    table = build_feature_table(one)
    assert table.values.columns.names == KEYS
    assert table.values.columns.tolist() == [
        ("CD4", "edge"),
        ("CD4", "tumour"),
        ("CD8", "adjacent"),
        ("CD8", "tumour"),
    ]
    expected = long.groupby(["patient_id", *KEYS])["value"].mean()
    assert table.values.loc["p07", ("CD4", "edge")] == expected["p07", "CD4", "edge"]
    assert (table.n_images.to_numpy() == 2).all()
    assert (table.reasons.to_numpy() == "").all()
    assert table.values.index.name == "patient_id"
    assert table.values.dtypes.eq("float64").all()


def test_the_order_of_rows_does_not_change_a_bit():
    one, _ = study()
    other, _ = study(drop=lambda long: long.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(
        build_feature_table(one).values, build_feature_table(other).values, check_exact=True
    )


def test_gaps_keep_their_reason_and_are_counted_by_pattern():
    def spoil(long):
        gone = (long["patient_id"] == "p00") & (long["region"] == "edge")
        empty = (long["patient_id"] == "p01") & (long["marker"] == "CD8")
        one_image = (long["patient_id"] == "p02") & (long["image_id"] == "t2")
        return long.assign(value=long["value"].mask(empty))[~gone & ~one_image]

    one, _ = study(drop=spoil)
    table = build_feature_table(one)
    assert table.reasons.loc["p00", ("CD4", "edge")] == "not measured"
    assert table.reasons.loc["p01", ("CD8", "tumour")] == "value missing"
    assert table.n_images.loc["p00", ("CD4", "edge")] == 0
    assert (table.n_images.loc["p02"] == 1).all()
    pd.testing.assert_frame_equal(
        table.values.isna(), table.reasons.ne(""), check_names=False, check_dtype=False
    )
    patterns = missing_patterns(table).set_index("pattern")
    assert patterns.loc["complete", "n_patients"] == 38
    assert patterns.loc["without CD4 (edge)", "n_events"] == 1
    assert patterns.loc["without CD8", "n_events"] == 0
    assert patterns["n_patients"].sum() == 40
    complete = complete_markers(table.values)
    assert complete.loc["p00"].to_dict() == {"CD4": False, "CD8": True}
    levels = marker_levels(table.values)
    assert np.isnan(levels.loc["p00", "CD4"])
    assert levels.loc["p00", "CD8"] == pytest.approx(table.values.loc["p00", "CD8"].mean())


def test_a_block_of_patients_without_a_marker_is_a_warning_with_both_follow_ups():
    one, _ = study(drop=lambda long: long[(long["marker"] == "CD4") | (long["patient_id"] < "p20")])
    # Censored at 2, 6, ..., 18 with 19, 15, 11, 7, 3 at risk: the curve passes one half at 18.
    message = (
        r"marker CD8 is complete for 20 patients \(median follow-up 18 months, reverse "
        r"Kaplan-Meier\) and not for 20 \(38 months\)"
    )
    with pytest.warns(DataWarning, match=message):
        build_feature_table(one)


def test_complete_analyses_do_not_warn():
    one, _ = study(
        drop=lambda long: long[(long["marker"] == "CD4") | (long["patient_id"] < "p20")],
        missing="complete",
    )
    table = build_feature_table(one)
    assert len(table.values) == 20
    assert missing_patterns(table)["pattern"].tolist() == ["complete"]


def test_new_patients_take_the_columns_of_the_model():
    _, long = study()
    columns = pd.MultiIndex.from_tuples(
        [("CD8", "tumour"), ("CD20", "tumour"), ("CD4", "edge")], names=KEYS
    )
    values = feature_matrix(long, ["p03", "zz"], columns=columns)
    assert values.columns.equals(columns)
    assert values.notna().to_numpy().tolist() == [[True, False, True], [False, False, False]]


def test_only_markers_with_equal_regional_means_are_scaled_by_region():
    columns = pd.MultiIndex.from_product([["A", "B", "C"], ["x", "y"]], names=KEYS)
    columns = columns.append(pd.MultiIndex.from_tuples([("D", "x")], names=KEYS))
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 7))
    values -= values.mean(axis=0)
    frame = pd.DataFrame(
        values + np.array([100.0, 104.0, 100.0, 120.0, 0.0, 0.0, 1.0]), columns=columns
    )
    assert scaled_by_region(frame) == ["A", "C"]
    assert scaled_by_region(frame, tolerance=0.01) == ["C"]
