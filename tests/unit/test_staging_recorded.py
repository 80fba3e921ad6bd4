from __future__ import annotations

import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.staging import albi_bounds, inside_bounds, read_recorded_stage, tnm_bounds


def recorded(*values):
    return pd.Series(list(values), index=[f"p{i}" for i in range(len(values))])


@pytest.mark.parametrize(
    ("system", "values", "categories", "form"),
    [
        ("tnm", ("IIIB", "I", "stage II", "IIIA", None), ["I", "II", "IIIA", "IIIB"], "numeral"),
        ("tnm", (2, 1, None), ["1", "2"], "code"),
        ("tnm", ("2.0", "1"), ["1", "2"], "code"),
        ("tnm", ("Ⅲ", "Ⅱ"), ["II", "III"], "numeral"),
        ("stage", ("IA2", "IA1", "IV"), ["IA1", "IA2", "IV"], "numeral"),
        ("bclc", ("c", "0", "A", None), ["0", "A", "C"], "letter"),
        ("bclc", (2, 1), ["1", "2"], "code"),
        ("cnlc", ("IIIb", "Ia"), ["IA", "IIIB"], "numeral"),
        ("child_pugh", ("B", "A"), ["A", "B"], "letter"),
        ("clip", (6, 0, 3), ["0", "3", "6"], "points"),
    ],
)
def test_recorded_stages_are_put_in_order(system, values, categories, form):
    stages, audit = read_recorded_stage(recorded(*values), system=system)
    assert list(stages.cat.categories) == categories
    assert stages.cat.ordered
    assert stages.isna().tolist() == [value is None for value in values]
    expected = ["missing" if value is None else form for value in values]
    assert audit["read_as"].tolist() == expected
    assert audit.index.tolist() == stages.index.tolist()
    assert stages.dropna().tolist() == audit["stage"].dropna().tolist()


@pytest.mark.parametrize(
    ("system", "values", "named"),
    [
        ("tnm", ("I", "V", "II"), "p1"),
        ("tnm", ("I", "II", "2"), "p2"),
        ("tnm", (1, 2, 0), "p2"),
        ("tnm", (1.5, 2, 1), "p0"),
        ("bclc", ("A", "E"), "p1"),
        ("clip", (3, 7), "p1"),
        ("jis", (5, 6), "p1"),
        ("tnm", ("IA", "I1"), "p1"),
    ],
)
def test_a_stage_that_cannot_be_read_names_the_patient_and_the_remedy(system, values, named):
    with pytest.raises(InputError, match=rf"'{system}' cannot be read for patient {named}: use "):
        read_recorded_stage(recorded(*values), system=system)


def test_all_missing_stays_missing():
    stages, audit = read_recorded_stage(recorded(None, None), system="tnm")
    assert stages.isna().all()
    assert audit["read_as"].eq("missing").all()


def test_an_unknown_system_names_the_nearest():
    with pytest.raises(InputError, match=r"'tnn' is unknown \(nearest: 'tnm'\)"):
        read_recorded_stage(recorded("I"), system="tnn")


def test_tnm_is_read_with_an_account_of_what_was_taken_for_granted():
    values = ("pT2 Nx M0", "T3bN0M0", "Stage IIIA", "II", "mpT3", "T4 N1", "pT1a,N0,M1", "T1N0M0")
    stages, audit = read_recorded_stage(recorded(*values, None), system="tnm")
    expected = ["II", "IIIB", "IIIA", "II", "IIIA", "IVA", "IVB", "I"]
    assert audit["stage"].tolist()[:-1] == expected
    assert list(stages.cat.categories) == ["I", "II", "IIIA", "IIIB", "IVA", "IVB"]
    forms = ["tnm", "tnm", "numeral", "numeral", "tnm", "tnm", "tnm", "tnm", "missing"]
    assert audit["read_as"].tolist() == forms
    assert audit["note"].tolist() == [
        "NX read as N0",
        "T3b is of the seventh edition, stage IIIB in both",
        "",
        "",
        "N not written, read as N0; M not written, read as M0",
        "M not written, read as M0",
        "",
        "",
        "",
    ]
    assert audit["recorded"].tolist()[:2] == ["pT2 Nx M0", "T3bN0M0"]


def test_editions_differ_where_they_should():
    stages, _ = read_recorded_stage(recorded("T3N0M0", "T4N0M0", "T1N0M0"), system="tnm_ajcc7")
    assert stages.tolist() == ["III", "IIIC", "I"]
    for text, system in (("T1aN0M0", "tnm_ajcc7"), ("TXN0M0", "tnm"), ("T2bN0M0", "tnm")):
        with pytest.raises(InputError, match="cannot be read for patient p0: use numerals"):
            read_recorded_stage(recorded(text, "I"), system=system)


def test_a_recorded_stage_is_held_against_bounds():
    patients = pd.DataFrame(
        {
            "tumour_size_cm": [1.0, 3.0, 6.0, 6.0, 3.0],
            "tumour_count": [1, 1, 3, 3, 1],
            "satellites": False,
            "vascular_invasion": "none",
            "adjacent_organ_invasion": False,
            "nodal_metastasis": False,
            "distant_metastasis": False,
        },
        index=[f"p{i}" for i in range(5)],
    )
    stages, _ = read_recorded_stage(recorded("I", "IA", "III", "II", None), system="tnm")
    inside = inside_bounds(stages, tnm_bounds(patients))
    assert inside.dtype == "boolean"
    assert inside[:-1].tolist() == [True, False, True, False]
    assert inside.isna().tolist() == [False] * 4 + [True]
    codes, _ = read_recorded_stage(recorded(1, 2, 1, 2, 1), system="tnm")
    with pytest.raises(InputError, match="recorded stage 1, 2 is none of IA, IB"):
        inside_bounds(codes, tnm_bounds(patients))
    for none in (albi_bounds(pd.DataFrame({"albumin_g_l": [40.0]})), pd.DataFrame({"low": [1]})):
        with pytest.raises(InputError, match="no lowest and highest stage or points: give those"):
            inside_bounds(pd.Series(["1"]), none)
    with pytest.raises(InputError, match="of different patients: align their index"):
        inside_bounds(stages, tnm_bounds(patients.reset_index(drop=True)))
