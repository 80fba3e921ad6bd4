"""`times-stats stage`: every stage the columns allow, and one clear line for what is wrong."""

from __future__ import annotations

import pandas as pd
import pytest

from times_stats import staging
from times_stats.__main__ import main

TABLE = """patient_id,tumour_size_cm,tumour_count,vascular_invasion,bilirubin_umol_l,albumin_g_l
007,3,1,none,12,41
b,6,3,macro,51.3,30
c,,2,,20,NA
"""


@pytest.fixture
def patients(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text(TABLE)
    return path


def test_stages_are_written_with_bounds_and_reasons(patients, capsys):
    out = patients.with_name("stages.csv")
    assert main(["stage", str(patients), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    first, *reasons = said.out.splitlines()
    bounds_only = [line for line in reasons if line.startswith("bounds only: ")]
    left_out = [line for line in reasons if line.startswith("left out: ")]
    assert reasons == bounds_only + left_out
    written = pd.read_csv(out, dtype={"patient_id": str, "albi_grade": str, "bclc_lowest": str})
    assert written["patient_id"].tolist() == ["007", "b", "c"]
    assert first == f"3 patients, {(written.shape[1] - 1) // 3} stages and scores: {out}"
    assert bounds_only[0] == (
        "bounds only: child_pugh, child_pugh_points (no inr, ascites, encephalopathy)"
    )
    assert "milan, up_to_seven" not in said.out
    assert left_out == [
        "left out: erasl_pre, erasl_pre_group (no sex, afp_ng_ml)",
        "left out: erasl_post, erasl_post_group (no sex, afp_ng_ml, portal_vein_tumour_thrombus)",
    ]
    assert written["albi_grade"].tolist()[:2] == ["1", "2"]
    assert written["albi_grade"].isna().tolist() == [False, False, True]
    assert written["bclc_lowest"].tolist() == ["A", "C", "A"]
    table = pd.read_csv(patients)
    bounds = staging.tnm_bounds(table)
    assert written["tnm_lowest"].tolist() == bounds["lowest"].tolist()
    assert written["tnm_highest"].tolist() == bounds["highest"].tolist()
    assert [path.name for path in patients.parent.iterdir() if path.name.startswith(".")] == []


def test_quiet_prints_nothing(patients, capsys):
    out = patients.with_name("stages.csv")
    assert main(["stage", str(patients), "--out", str(out), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert out.exists()


BAD = {
    "no file": (lambda _: None, ["'patients.csv' is missing"]),
    "no patient_id": (lambda t: t.replace("patient_id", "patient"), ["'patient_id'", "patient'"]),
    "patient twice": (lambda t: t.replace("\nb,", "\n007,"), ["patient 007 more than once"]),
    "patient unnamed": (lambda t: t.replace("\nb,", "\n,"), ["missing in data row 2"]),
    "no rows": (lambda t: t.splitlines()[0] + "\n", ["no rows"]),
    "no clinical column": (lambda _: "patient_id,note\na,x\n", ["no column of"]),
    "semicolons": (lambda t: t.replace(",", ";"), ["the header holds no comma"]),
    "decimal comma": (lambda t: t.replace("51.3", '"51,3"'), ["_umol_l", "patient b", "point"]),
    "no nodules": (lambda t: t.replace("c,,2", "c,,0"), ["tumour_count", "patient c"]),
    "other units": (
        lambda _: "patient_id,bilirubin_mg_dl\na,0.8\n",
        ["'bilirubin_mg_dl' is no 'bilirubin_umol_l': mind the unit"],
    ),
    "mg/dL": (
        lambda t: t.replace(",12,", ",0.7,").replace("51.3", "3.0").replace(",20,", ",1.2,"),
        ["bilirubin_umol_l", "looks like mg/dL", "17.1"],
    ),
    "unknown word": (lambda t: t.replace("macro", "present"), ["vascular_invasion", "patient b"]),
    "two faults": (lambda t: t.replace("macro", "x").replace(",6,3", ",-6,0"), ["_size", "_count"]),
}


@pytest.mark.parametrize("fault", list(BAD))
def test_bad_input_is_one_line_and_no_file(patients, capsys, fault):
    change, words = BAD[fault]
    text = change(TABLE)
    patients.unlink() if text is None else patients.write_text(text)
    out = patients.with_name("stages.csv")
    assert main(["stage", str(patients), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("times-stats: error: ")
    assert [word for word in words if word not in said.err] == []
    assert not out.exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("stages.xlsx", "name it .csv"),
        ("nowhere/stages.csv", "is missing: make it"),
        ("patients.csv", "or the table itself: name another"),
    ],
)
def test_the_output_must_be_a_new_csv_file(patients, capsys, out, said):
    assert main(["stage", str(patients), "--out", str(patients.parent / out)]) == 2
    assert said in capsys.readouterr().err
    assert patients.read_text() == TABLE


def test_quoted_numbers_are_numbers_and_the_output_is_replaced(patients):
    out = patients.with_name("stages.csv")
    assert main(["stage", str(patients), "--out", str(out), "--quiet"]) == 0
    plain = out.read_text()
    quoted = '"' + TABLE.strip().replace(",", '","').replace("\n", '"\n"') + '"\n'
    patients.write_text(quoted)
    out.write_text("an older file")
    assert main(["stage", str(patients), "--out", str(out), "--quiet"]) == 0
    assert out.read_text() == plain


def test_doubtful_units_are_said_on_stderr(patients, capsys):
    rows = "".join(f"x{i},3,1,none,{0.9 if i == 0 else 12},41\n" for i in range(30))
    patients.write_text(TABLE + rows)
    assert main(["stage", str(patients), "--out", str(patients.with_name("s.csv"))]) == 0
    assert "times-stats: warning: column 'bilirubin_umol_l' holds" in capsys.readouterr().err
