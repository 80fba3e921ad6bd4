from __future__ import annotations

import pandas as pd
import pytest

from times_stats import staging
from times_stats.errors import InputError, NotBuiltError
from times_stats.staging import read_recorded_stage


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


@pytest.mark.parametrize("name", ["tnm", "bclc", "bclc_bounds", "child_pugh", "albi", "erasl_pre"])
def test_stages_from_clinical_columns_are_planned(name):
    with pytest.raises(NotBuiltError, match=f"{name} is not built yet"):
        getattr(staging, name)(pd.DataFrame())
