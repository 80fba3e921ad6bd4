"""Scores by hand, limits met exactly, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from times_stats import staging
from times_stats.errors import DataWarning, InputError


def frame(**columns):
    n = max(len(value) for value in columns.values() if isinstance(value, list))
    return pd.DataFrame(columns, index=[f"p{i}" for i in range(n)])


def test_scores_equal_their_formulas():
    table = frame(
        bilirubin_umol_l=[15.2, 28.9, 6.7],
        albumin_g_l=[40.0, 41.0, 42.0],
        platelets_10e9_l=[150.0, 90.0, 250.0],
    )
    by_hand = [-2.61998323195645, -2.520807423780678, -3.0247906302174545]  # bc -l
    np.testing.assert_allclose(staging.albi(table), by_hand, rtol=1e-12)
    assert staging.albi_grade(table).tolist() == ["1", "2", "1"]
    assert staging.malbi_grade(table).tolist() == ["1", "2a", "1"]
    for name, row in table.iterrows():
        bilirubin, platelets = math.log10(row.iloc[0]), math.log10(row.iloc[2])
        by_hand = 2.02 * bilirubin - 0.37 * bilirubin**2 - 0.04 * row.iloc[1]
        by_hand += -3.48 * platelets + 1.01 * platelets**2
        assert staging.palbi(table)[name] == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize(
    ("bilirubin", "albumin", "grade"),
    # -2.27 is met by 1000 umol/L and 50 g/L, the other limits by no pair of decimals.
    [
        *[(1000.0, 50.0, "2a"), (1000.0, 49.99, "2b"), (10.0, 38.36, "1"), (10.0, 38.35, "2a")],
        *[(10.0, 24.12, "2b"), (10.0, 24.11, "3")],
    ],
)
def test_limits_of_albi(bilirubin, albumin, grade):
    table = frame(bilirubin_umol_l=[bilirubin], albumin_g_l=[albumin])
    assert staging.malbi_grade(table).tolist() == [grade]
    assert staging.albi_grade(table).tolist() == [grade[0]]


def test_limits_of_palbi():
    """With 10 umol/L and 100 platelets the score is -1.27 - 0.04 albumin."""
    table = frame(albumin_g_l=[31.51, 31.5, 31.49, 20.5, 20.49])
    table = table.assign(bilirubin_umol_l=10.0, platelets_10e9_l=100.0)
    assert staging.palbi_grade(table).tolist() == ["1", "1", "2", "2", "3"]


def test_equality_survives_units_and_binary_fractions():
    """Whoever computes umol/L from mg/dL, g/L from g/dL or cm from mm meets the limits too."""
    milligrams = [2.0, 3.0, 3.0, 3.1]
    table = frame(
        bilirubin_umol_l=[*(17.1 * value for value in milligrams), 34.2, 51.3],
        albumin_g_l=[10 * 4.0] * 6,
        inr=[1.0] * 6,
        ascites="none",
        encephalopathy=0,
    )
    assert 3 * 17.1 > 51.3  # in binary fractions
    assert staging.child_pugh_points(table).tolist() == [6, 6, 6, 7, 6, 6]
    table = frame(albumin_g_l=[3.5 * 10, 2.8 * 10, 27.99, 35.01], bilirubin_umol_l=[10.0] * 4)
    table = table.assign(inr=[1.7, 2.3, 2.30001, 1.69], ascites="none", encephalopathy=0)
    assert staging.child_pugh_points(table).tolist() == [7, 7, 9, 5]
    table = frame(
        tumour_size_cm=[0.1 * 30, 20 / 10, 4.9 + 0.1, 0.1 + 0.2], tumour_count=[2, 1, 1, 1]
    )
    table = table.assign(vascular_invasion="none", nodal_metastasis=0, distant_metastasis=0)
    assert staging.milan(table).tolist() == [True] * 4
    table = frame(tumour_size_cm=[1.1 + 2.2 + 1.7, 5.1], tumour_count=[2, 2])
    table = table.assign(vascular_invasion="none", nodal_metastasis=0, distant_metastasis=0)
    assert staging.up_to_seven(table).tolist() == [True, False]


def erasl(sex, grade_2, afp, size, number, weights, invaded=0):
    terms = (sex == "male", grade_2, math.log(afp), math.log(size), number, invaded)
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


def test_erasl_by_hand():
    table = frame(
        sex=["male", "female", "M"],
        bilirubin_umol_l=[12.0, 30.0, 12.0],
        albumin_g_l=[42.0, 33.0, 42.0],
        afp_ng_ml=[1000.0, 5.0, 1.0],
        tumour_size_cm=[6.0, 2.0, 1.0],
        tumour_count=[4, 3, 1],
        vascular_invasion=["micro", "none", "macro"],
    )
    rows = [("male", 0, 1000.0, 6.0, 2), ("female", 1, 5.0, 2.0, 1), ("male", 0, 1.0, 1.0, 0)]
    before = (0.818, 0.447, 0.100, 0.580, 0.492, 0.0)
    after = (0.677, 0.414, 0.097, 0.425, 0.401, 0.676)
    expected = [erasl(*row, before) for row in rows]
    np.testing.assert_allclose(staging.erasl_pre(table), expected, rtol=1e-12)
    assert staging.erasl_pre_group(table).tolist() == ["high", "low", "low"]
    expected = [erasl(*row, after, invaded) for row, invaded in zip(rows, (1, 0, 1), strict=True)]
    np.testing.assert_allclose(staging.erasl_post(table), expected, rtol=1e-12)
    assert staging.erasl_post_group(table).tolist() == ["high", "low", "low"]


@pytest.mark.parametrize(("when", "low", "high"), [("pre", 2.558, 3.521), ("post", 2.332, 3.445)])
def test_limits_of_erasl(when, low, high):
    weight = {"pre": 0.100, "post": 0.097}[when]
    scores = [low - 1e-6, low, low + 1e-6, high - 1e-6, high, high + 1e-6]
    table = frame(afp_ng_ml=[math.exp(score / weight) for score in scores]).assign(
        sex="female", bilirubin_umol_l=12.0, albumin_g_l=42.0, tumour_size_cm=1.0,
        tumour_count=1, vascular_invasion="none",
    )  # fmt: skip
    groups = getattr(staging, f"erasl_{when}_group")(table)
    assert groups.tolist() == ["low"] * 2 + ["intermediate"] * 3 + ["high"]


def test_bounds_of_scores_are_what_the_missing_inputs_leave():
    whole = {
        "sex": "male", "bilirubin_umol_l": 30.0, "albumin_g_l": 33.0, "afp_ng_ml": 50.0,
        "tumour_size_cm": 4.0, "tumour_count": 2, "vascular_invasion": "none",
        "platelets_10e9_l": 120.0,
    }  # fmt: skip
    table = pd.DataFrame([whole | {name: None} for name in ("sex", "tumour_count", "albumin_g_l")])
    table["sex"] = [None, "male", "male"]
    complete = pd.DataFrame([whole])
    for when, weights in (("pre", (0.818, 0.492, 0.447)), ("post", (0.677, 0.401, 0.414))):
        score = getattr(staging, f"erasl_{when}")(complete)[0]
        assert getattr(staging, f"erasl_{when}")(table).isna().all()
        bounds = getattr(staging, f"erasl_{when}_bounds")(table)
        male, number, grade = weights
        np.testing.assert_allclose(bounds.loc[0], [score - male, score])
        np.testing.assert_allclose(bounds.loc[1], [score - number, score + number])
        np.testing.assert_allclose(bounds.loc[2], [score - grade, score])
    unknown = pd.DataFrame([whole | {"bilirubin_umol_l": None}])
    assert staging.albi_bounds(unknown).to_numpy().tolist() == [[-math.inf, math.inf]]
    low, high = staging.palbi_bounds(unknown).loc[0]
    reachable = [
        staging.palbi(pd.DataFrame([whole | {"bilirubin_umol_l": value}]))[0]
        for value in np.geomspace(4, 2000, 60).round(3)
    ]
    assert low == -math.inf
    assert max(reachable) <= high <= max(reachable) + 1e-3
    no_platelets = pd.DataFrame([whole | {"platelets_10e9_l": None}])
    low, high = staging.palbi_bounds(no_platelets).loc[0]
    reachable = [
        staging.palbi(pd.DataFrame([whole | {"platelets_10e9_l": value}]))[0]
        for value in np.geomspace(20, 1000, 60).round(3)
    ]
    assert high == math.inf
    assert min(reachable) - 1e-3 <= low <= min(reachable)


def test_a_missing_input_that_cannot_matter_does_not():
    table = frame(
        tumour_size_cm=[None, 1.0, 3.0],
        tumour_count=[None, None, 1],
        vascular_invasion=["none", "none", None],
        nodal_metastasis=[1, 0, 0],
        distant_metastasis=[0, 1, 0],
        ecog=[None, None, 4],
    )
    assert staging.tnm(table).tolist()[:2] == ["IVA", "IVB"]
    assert pd.isna(staging.tnm(table)["p2"])
    assert staging.milan(table).tolist()[:2] == [False, False]
    assert staging.bclc(table).isna().tolist() == [True, True, False]
    assert staging.bclc_bounds(table).loc["p0"].tolist() == ["C", "D"]
    assert staging.bclc(table)["p2"] == "D"


def test_up_to_seven_where_size_or_count_is_missing():
    """A size is above zero and a count is one at least."""
    table = frame(tumour_size_cm=[None, None, 6.0, 6.1], tumour_count=[6, 7, None, None])
    bounds = staging.up_to_seven_bounds(table.assign(vascular_invasion="none"))
    assert bounds["highest"].tolist() == [True, False, True, False]
    assert not bounds["lowest"].any()


def test_candidates_for_transplantation():
    table = frame(transplant_candidate=[1, 0, None, None]).assign(
        tumour_size_cm=3.0, tumour_count=1, vascular_invasion="none", nodal_metastasis=0,
        distant_metastasis=0, ecog=0, bilirubin_umol_l=[60.0, 60.0, 60.0, 17.1],
        albumin_g_l=[27.0, 27.0, 27.0, 40.0], inr=1.0, ascites="moderate", encephalopathy=0,
    )  # fmt: skip
    assert staging.child_pugh(table).tolist() == ["C", "C", "C", "B"]
    assert staging.bclc(table).tolist()[:2] == ["A", "D"]
    assert staging.bclc_bounds(table).loc["p2"].tolist() == ["A", "D"]
    assert staging.bclc(table)["p3"] == "A"


def test_index_and_types_are_kept():
    index = pd.Index([7, 3, 7], name="number")  # rows may share a name
    table = pd.DataFrame({"ascites": ["none", "severe", None], "inr": [1.0, 1.8, 3.0]}, index=index)
    for name in ("child_pugh", "child_pugh_points", "okuda"):
        answer = getattr(staging, name)(table)
        assert answer.index.equals(index)
        assert answer.name == name
        assert getattr(staging, f"{name}_bounds")(table).index.equals(index)
    assert staging.child_pugh_points(table).dtype == "Int64"
    assert staging.child_pugh_points_bounds(table).to_numpy().tolist() == [
        [5, 11],
        [8, 14],
        [7, 15],
    ]
    assert len(staging.tnm(pd.DataFrame({"tumour_count": []}))) == 0
    assert len(staging.okuda_bounds(pd.DataFrame({"ascites": []}))) == 0


def test_what_is_refused_names_column_patients_and_remedy():
    table = frame(
        patient_id=["a", "b", "c"],
        tumour_size_cm=[3.0, -1.0, "big"],
        tumour_count=[0, 1.5, 2],
        vascular_invasion=["none", "micro", "yes"],
        portal_vein_tumour_thrombus=[1, True, 0],
        nodal_metastasis=["no", "maybe", 2],
        ecog=[0, 90, 1],
    )
    with pytest.raises(InputError) as caught:
        staging.bclc(table)
    said = list(caught.value.faults)
    assert said == [
        "column 'tumour_size_cm' is not a number for patient c: give a number with a decimal "
        "point, or the limit of detection",
        "column 'tumour_size_cm' is zero or negative for patient b: correct it, or leave it empty",
        "column 'tumour_count' is not 1, 2, 3, ... for patient a, b: count the nodules, or leave "
        "it empty",
        "column 'vascular_invasion' is not none, micro, macro or major for patient c: use these "
        "words, or leave it empty",
        "column 'nodal_metastasis' is not true or false for patient b, c: code it 1, 0 or empty",
        "column 'ecog' is not a grade of 0 to 4 for patient b: correct it",
        "column 'portal_vein_tumour_thrombus' is true and 'vascular_invasion' none or micro for "
        "patient a, b: a tumour thrombus is macroscopic (macro or major); a bland one is no tumour "
        "thrombus",
    ]


@pytest.mark.parametrize("name", ["tnm", "bclc", "cnlc", "clip", "jis", "milan", "erasl_post"])
def test_every_system_that_reads_vessels_refuses_the_contradiction(name):
    table = frame(vascular_invasion=["micro"], portal_vein_tumour_thrombus=[True])
    with pytest.raises(
        InputError, match="is true and 'vascular_invasion' none or micro for patien"
    ):
        getattr(staging, f"{name}_bounds")(table)


def test_no_column_at_all_and_names_that_are_almost_right():
    with pytest.raises(InputError, match=r"patients is a dict: give a DataFrame"):
        staging.albi({"albumin_g_l": 1})
    with pytest.raises(InputError, match=r"no column of bilirubin_umol_l, albumin_g_l is there"):
        staging.albi(pd.DataFrame({"other": [1]}))
    table = frame(bilirubin_mg_dl=[1.0], Albumin_g_dL=[4.0])
    with pytest.raises(
        InputError,
        match=r"is there \('bilirubin_mg_dl' is no 'bilirubin_umol_l' and 'Albumin_g_dL' is no "
        r"'albumin_g_l': mind the unit\): name the columns so",
    ):
        staging.albi(table)
    twice = pd.DataFrame([[1, 2]], columns=["inr", "inr"])
    with pytest.raises(InputError, match="column inr occurs twice"):
        staging.child_pugh(twice)
    table = frame(tumor_size_cm=[3.0], tumour_count=[1])
    with pytest.warns(
        DataWarning, match="'tumor_size_cm' is not read, and 'tumour_size_cm' is abs"
    ):
        assert staging.milan_bounds(table).loc["p0"].tolist() == [False, True]
    table = frame(bilirubin_mg_dl=[1.0], albumin_g_l=[40.0])
    with pytest.warns(DataWarning, match="'bilirubin_mg_dl' is not read"):
        staging.albi(table)


@pytest.mark.parametrize(
    "values", [[True, True], ["2", "true"], pd.array([True, pd.NA], "boolean")]
)
@pytest.mark.parametrize("column", ["tumour_count", "tumour_size_cm", "ecog"])
def test_true_is_no_number(column, values):
    """Of a count of tumours it would be one, and its writer meant several."""
    with pytest.raises(InputError, match=f"column '{column}' is not a number for patient"):
        staging.bclc_bounds(pd.DataFrame({column: values}))


def test_a_count_beyond_whole_numbers_of_the_machine_is_still_known():
    assert staging.milan(frame(tumour_count=[1e20])).tolist() == [False]


@pytest.mark.parametrize(
    "values",
    [
        pd.Categorical([1, None]),
        pd.array([1, pd.NA], dtype="Int64"),
        pd.Series([1.0, pd.NA], dtype=object),
        pd.Series([True, None], dtype=object),
        pd.array([True, pd.NA], dtype="boolean"),
        pd.Categorical(["yes", None]),
        ["TRUE", " "],
    ],
)
def test_flags_of_every_kind_of_column(values):
    bounds = staging.tnm_bounds(pd.DataFrame({"nodal_metastasis": values}))
    assert bounds.to_numpy().tolist() == [["IVA", "IVB"], ["IA", "IVB"]]


def test_an_afp_of_zero_asks_for_the_detection_limit():
    table = frame(sex=["male", "female"], afp_ng_ml=[0, 5.0])
    with pytest.raises(InputError, match=r"'afp_ng_ml' is 0.* for patient p0: enter the detection"):
        staging.erasl_pre(table)
    assert staging.clip_bounds(table.assign(tumour_count=1))["lowest"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        (
            "bilirubin_umol_l",
            [0.9, 1.1, 3.5, 0.6],
            r"looks like mg/dL.*by 17.1 \(median 1, 75 % of",
        ),
        ("bilirubin_umol_l", [1.0], "looks like mg/dL"),
        ("bilirubin_umol_l", [12.0, 0.8, 15.0, 0.9, 11.0, 10.0], "looks like mg/dL"),
        ("bilirubin_umol_l", [2.0, 2.5, 3.0], "looks like mg/dL"),
        ("tumour_size_cm", [30.0] * 5 + [4.0] * 45, "looks like mm"),
        ("albumin_g_l", [4.1, 3.9], r"looks like g/dL .*multiply by 10"),
        ("albumin_g_l", [600.0], "looks like umol/L or mg/dL"),
        ("tumour_size_cm", [35.0, 60.0, 15.0], "looks like mm: divide by 10"),
        ("inr", [13.1, 14.0], "looks like the prothrombin time or activity"),
        ("inr", [0.2, 0.25], "looks like a share of normal activity"),
        ("platelets_10e9_l", [150000.0], "looks like platelets per uL: divide by 1000"),
    ],
)
def test_columns_in_another_unit_are_noticed(column, values, said):
    with pytest.raises(InputError, match=rf"column '{column}' {said}"):
        staging.stage_patients(frame(**{column: values}))


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        (
            "bilirubin_umol_l",
            [12.0] * 30 + [0.8],
            r"look like mg/dL .* for patient p30 \(median 12",
        ),
        ("bilirubin_umol_l", [2.5], "look like mg/dL"),
        ("bilirubin_umol_l", [3.0, 3.1] + [12.0] * 8, "look like mg/dL"),  # low, and real
        ("tumour_size_cm", [5.0] * 30 + [30.0], "look like mm"),
        (
            "tumour_size_cm",
            [18.0] * 10,
            r"may be in mm: divide by 10, or leave it .*median 18 of 10",
        ),
        ("platelets_10e9_l", [15.0] * 10, r"may be in 10\^4/uL: multiply by 10"),
        ("inr", [1.0] * 30 + [7.0], "look like the prothrombin time"),
    ],
)
def test_doubtful_units_are_warned_of(column, values, said):
    with pytest.warns(DataWarning, match=rf"column '{column}' .*{said}|column '{column}' {said}"):
        staging.stage_patients(frame(**{column: values}))


def test_all_systems_at_once_equal_each_alone():
    rng = np.random.default_rng(1)
    n = 200
    table = pd.DataFrame(
        {
            "tumour_size_cm": rng.uniform(0.5, 12, n).round(1),
            "tumour_count": rng.integers(1, 6, n),
            "satellites": rng.integers(0, 2, n),
            "vascular_invasion": rng.choice(["none", "micro", "macro", "major"], n),
            "adjacent_organ_invasion": 0,
            "nodal_metastasis": rng.integers(0, 2, n),
            "distant_metastasis": 0,
            "ecog": rng.integers(0, 3, n),
            "bilirubin_umol_l": rng.uniform(5, 70, n).round(1),
            "albumin_g_l": rng.uniform(25, 48, n).round(1),
            "inr": rng.uniform(0.9, 2.5, n).round(2),
            "ascites": rng.choice(["none", "mild", "moderate"], n),
            "encephalopathy": rng.integers(0, 4, n),
            "sex": rng.choice(["male", "female"], n),
        }
    ).astype({"tumour_size_cm": float, "albumin_g_l": float})
    table.loc[rng.random(n) < 0.2, "tumour_size_cm"] = np.nan
    table.loc[rng.random(n) < 0.2, "vascular_invasion"] = None
    staged = staging.stage_patients(table)
    assert staged.left_out == ("erasl_pre", "erasl_pre_group", "erasl_post", "erasl_post_group")
    assert staged.absent["erasl_pre"] == ("afp_ng_ml",)
    for name, count in staged.answered.items():
        pd.testing.assert_series_equal(staged.table[name], getattr(staging, name)(table))
        bounds = getattr(staging, f"{name}_bounds")(table)
        for side in ("lowest", "highest"):
            pd.testing.assert_series_equal(
                staged.table[f"{name}_{side}"], bounds[side], check_names=False
            )
        assert count == staged.table[name].notna().sum()
    assert staged.answered["palbi"] == 0
    assert staged.absent["palbi"] == ("platelets_10e9_l",)
