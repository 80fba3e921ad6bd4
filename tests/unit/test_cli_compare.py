"""`times-stats compare`: a risk file against the stages, and one clear line for what is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from times_stats.__main__ import main
from times_stats.evaluation import brier_score, concordance_harrell
from times_stats.nonparametric import kaplan_meier
from times_stats.pipeline import compare_risks
from times_stats.tables import check_risks

N = 90
STUDY = """[study]
name = "toy"
horizon = 12
censoring_strata = []

[patients]
path = "patients.csv"

[compare]
staging = ["tnm"]

[evaluate]
n_folds = 3
n_repeats = 1
n_resamples = 100
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of 90 patients in two cohorts, the fourth without a recorded stage."""
    path = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(4)
    hazard = rng.normal(size=N)
    failure, censoring = rng.exponential(15 * np.exp(-hazard)), rng.uniform(8, 60, N)
    patients = pd.DataFrame(
        {
            "patient_id": [f"{k:03d}" for k in range(N)],
            "cohort": np.where(np.arange(N) < 81, "a", "b"),
            "time": np.minimum(failure, censoring).round(2),
            "event": (failure <= censoring).astype(int),
            "tnm": np.select([hazard > 0.7, hazard > -0.3], ["III", "II"], "I"),
            "bilirubin_umol_l": np.where(hazard > 0.5, 30, 10),
            "albumin_g_l": np.where(rng.random(N) < 0.5, 32, 45),
        }
    )
    patients.loc[3, "tnm"] = None
    patients.to_csv(path / "patients.csv", index=False)
    (path / "study.toml").write_text(STUDY)
    chance = 1 - np.exp(-0.6 * np.exp(hazard))
    risks = pd.DataFrame(
        {
            "patient_id": patients["patient_id"],
            "noisy": hazard + rng.normal(size=N),
            "true@6": chance / 2,
            "true@12": chance,
        }
    )
    risks.iloc[2:].sample(frac=1, random_state=1).to_csv(path / "risks.csv", index=False)
    return path


@pytest.fixture(scope="module")
def compared(folder):
    return compare_risks(folder / "study.toml", folder / "risks.csv", out=folder / "out")


def value(table, model, metric, reference="", cohort="", column="estimate"):
    keep = (table["model"] == model) & (table["metric"] == metric)
    keep &= (table["reference"] == reference) & (table["cohort"] == cohort)
    assert keep.sum() == 1
    return table.loc[keep, column].item()


def read(folder):
    patients = pd.read_csv(folder / "patients.csv", dtype={"patient_id": str})
    risks = pd.read_csv(folder / "risks.csv", dtype={"patient_id": str})
    both = patients.merge(risks, on="patient_id").sort_values("patient_id")
    return both[both["tnm"].notna()]


def test_metrics_are_those_of_the_paired_patients(folder, compared):
    both, table = read(folder), compared.table
    assert len(both) == 87
    time, event = both["time"], both["event"]
    for model, column in (("noisy", "noisy"), ("true", "true@12")):
        expected = concordance_harrell(time, event, both[column])
        assert value(table, model, "concordance_harrell") == pytest.approx(expected, abs=1e-12)
    order = both["tnm"].map({"I": 0, "II": 1, "III": 2})
    expected = concordance_harrell(time, event, order)
    assert value(table, "tnm", "concordance_harrell") == pytest.approx(expected, abs=1e-12)
    assert value(table, "true", "concordance_harrell", "tnm") == pytest.approx(
        concordance_harrell(time, event, both["true@12"]) - expected, abs=1e-12
    )
    survival = 1 - both[["true@12"]].to_numpy()
    expected = brier_score(time, event, survival, times=[12])[0]
    assert value(table, "true", "brier_horizon") == pytest.approx(expected, abs=1e-12)
    null = value(table, "no_predictors", "brier_horizon")
    assert value(table, "true", "ipa_horizon") == pytest.approx(1 - expected / null, abs=1e-12)


def test_a_stage_is_predicted_from_the_other_folds(folder, compared):
    """Worse than its apparent Kaplan-Meier curves, and near them."""
    both = read(folder)
    time, event = both["time"].to_numpy(), both["event"].to_numpy()
    own = np.empty((len(both), 1))
    for stage in both["tnm"].unique():
        member = (both["tnm"] == stage).to_numpy()
        own[member] = kaplan_meier(time[member], event[member]).at([12.0])
    apparent = brier_score(time, event, own, times=[12])[0]
    found = value(compared.table, "tnm", "brier_horizon")
    assert apparent < found < apparent + 0.02


def test_the_family_is_every_difference_with_a_risk(compared):
    table = compared.table[(compared.table["cohort"] == "") & (compared.table["reference"] != "")]
    pairs = set(zip(table["model"], table["reference"], strict=True))
    stages = ("tnm", "albi_grade_computed", "malbi_grade_computed")
    assert pairs == {(m, s) for m in ("noisy", "true") for s in stages} | {("true", "noisy")}
    harrell = table[table["metric"] == "concordance_harrell"]
    assert (harrell["n_differences"] == 7).all()
    assert (harrell["lower_simultaneous"] < harrell["lower"]).mean() > 0.8
    brier = table[table["metric"] == "brier_horizon"]
    assert (brier["n_differences"] == 3).all()  # `noisy` has no probabilities
    assert set(brier["model"]) == {"true"}


def test_who_is_left_out_and_why_is_told(compared):
    flow = compared.flow.set_index("step")
    assert flow["n_patients"].to_dict() == {
        "in the study": 90,
        "in the risk file": 88,
        "with tnm": 87,
        "compared": 87,
    }
    assert "2 without a row in the risk file; 1 without tnm" in compared.text
    assert any("cohort b is not compared on its own: 9 patients" in x for x in compared.notes)
    assert set(compared.table["cohort"]) == {"", "a"}
    assert value(compared.table, "noisy", "concordance_harrell", cohort="a", column="n") == 78


def test_what_a_risk_adds_to_each_stage(compared):
    added = compared.added
    stages = ("tnm", "albi_grade_computed", "malbi_grade_computed")
    assert list(zip(added["risk"], added["stage"], strict=True)) == [
        (risk, stage) for risk in ("noisy", "true") for stage in stages
    ]
    true = added[added["risk"] == "true"]
    assert (true["coefficient"] > 0).all()
    assert (true["difference"] > 0).all()
    assert (true["lower"] > 0).tolist() == [False, True, True]  # tnm is the hazard in three parts
    assert (true["n"] == 87).all()
    gain = added["log_density_both"] - added["log_density_stage"]
    np.testing.assert_allclose(added["difference"], gain, atol=1e-12)


def test_the_command_writes_and_prints(folder, compared, capsys):
    out = folder / "command"
    words = ["compare", str(folder / "study.toml"), "--risk", str(folder / "risks.csv")]
    assert main([*words, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(compared.text)
    written = pd.read_csv(out / "comparison.csv", keep_default_na=False)
    assert len(written) == len(compared.table)
    assert (out / "comparison.md").read_text(encoding="utf-8") == compared.text
    assert sorted(file.name for file in out.iterdir()) == [
        "added_value.csv",
        "comparison.csv",
        "comparison.md",
        "flow.csv",
    ]
    kept = (out / "comparison.csv").read_bytes()
    assert kept == (folder / "out" / "comparison.csv").read_bytes()


BAD = {
    "unknown patient": (lambda t: t.replace("\n007,", "\nx7,"), ["no patient x7"]),
    "patient twice": (lambda t: t.replace("\n007,", "\n008,"), ["patient 008 more than once"]),
    "patient unnamed": (lambda t: t.replace("\n007,", "\n,"), ["missing in data row"]),
    "no patient_id": (lambda t: t.replace("patient_id", "patient"), ["nearest: 'patient'"]),
    "no risk": (lambda t: "".join(f"{r.split(',')[0]}\n" for r in t.split()), ["no column but"]),
    "no rows": (lambda t: t.splitlines()[0] + "\n", ["no rows"]),
    "missing": (lambda t: edit(t, "noisy", ""), ["'noisy' is missing for patient 007"]),
    "text": (lambda t: edit(t, "noisy", "high"), ["'noisy' is not numeric for patient 007"]),
    "infinite": (lambda t: edit(t, "noisy", "inf"), ["'noisy' is infinite for patient 007"]),
    "no probability": (lambda t: edit(t, "true@12", "1.2"), ["no probability for patient 007"]),
    "falling": (lambda t: edit(t, "true@6", "1.0"), ["fall with time for patient 007"]),
    "constant": (lambda t: edit(t, "noisy", "2", every=True), ["'noisy' is the same for every"]),
    "no horizon": (lambda t: t.replace("true@12", "true@18"), ["'true@12' is missing"]),
    "no month": (lambda t: t.replace("true@12", "true@year"), ["'true@year' is not a name, @"]),
    "name of a stage": (lambda t: t.replace("noisy", "tnm"), ["tnm has the name of a stage"]),
    "few patients": (lambda t: "\n".join(t.split("\n")[:9]), ["10 events are needed"]),
    "outcome": (lambda t: t.replace("noisy", "Time"), ["'Time' is of the outcome", "no risk"]),
    "two faults": (lambda t: edit(edit(t, "noisy", "x"), "true@6", "-1"), ["numeric", "no prob"]),
}


def edit(text, column, new, *, every=False):
    rows = [line.split(",") for line in text.strip().split("\n")]
    at = rows[0].index(column)
    for row in rows[1:]:
        if every or row[0] == "007":
            row[at] = new
    return "".join(",".join(row) + "\n" for row in rows)


@pytest.mark.parametrize("fault", list(BAD))
def test_bad_risks_are_one_line_and_no_folder(folder, tmp_path, capsys, fault):
    change, words = BAD[fault]
    path = tmp_path / "risks.csv"
    path.write_text(change((folder / "risks.csv").read_text()))
    out = tmp_path / "out"
    command = ["compare", str(folder / "study.toml"), "--risk", str(path), "--out", str(out)]
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"times-stats: error: {path}: ")
    assert [word for word in words if word not in said.err] == []
    assert not out.exists()


def test_columns_are_chosen_and_out_is_a_folder(folder, tmp_path, capsys):
    words = ["compare", str(folder / "study.toml"), "--risk", str(folder / "risks.csv"), "--quiet"]
    out = tmp_path / "out"
    assert main([*words, "--out", str(out), "--columns", "noisi"]) == 2
    assert "column 'noisi' is missing (nearest: 'noisy')" in capsys.readouterr().err
    assert main([*words, "--out", str(out), "--columns", "noisy"]) == 0
    assert capsys.readouterr() == ("", "")
    assert "true" not in set(pd.read_csv(out / "comparison.csv")["model"])
    assert main([*words, "--out", str(out / "flow.csv")]) == 2
    assert "is a file: name a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["audit.json", "provenance.json"])
def test_a_run_is_not_overwritten(folder, tmp_path, capsys, name):
    (tmp_path / name).write_text("{}")
    words = ["compare", str(folder / "study.toml"), "--risk", str(folder / "risks.csv")]
    assert main([*words, "--out", str(tmp_path)]) == 2
    assert f"holds {name}, and is the folder of a run" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_bar_in_a_name_does_not_end_its_cell(folder, tmp_path):
    found = changed(folder, tmp_path, lambda risks: risks.rename(columns={"noisy": "a|b"}))
    rows = [line for line in found.text.split("\n") if line.startswith("|") and "a\\|b" in line]
    assert len(rows) > 5
    assert "a|b" not in "".join(rows)
    assert "a|b" in set(found.table["model"])


def test_which_way_is_better_is_told_of_every_metric(compared):
    assert "Brier: smaller; slope: 1 is best" in compared.text
    assert "Larger is better" not in compared.text


def test_beside_the_added_value_stands_what_learned_risks_do(compared):
    lines = compared.text.split("\n")
    last = max(k for k, line in enumerate(lines) if line.startswith("|"))
    assert "out of fold or not, its gain and its p are both too good" in lines[last + 2]


def test_a_stage_that_costs_many_patients_is_named(folder, compared, tmp_path):
    study = STUDY.replace('["tnm"]', '["tnm", "bclc"]')

    def staged(patients):
        bclc = patients["tnm"].map({"I": "A", "II": "B", "III": "C"})
        return patients.assign(bclc=bclc.where(np.arange(N) % 4 != 0))

    found = changed(folder, tmp_path, patients=staged, study=study)
    assert [note for note in found.notes if "for want of a stage" in note] == [
        "23 of 88 patients are left out for want of a stage; bclc costs most: 23 lack it, and "
        "without it 22 more would be compared; complete it, or take it out of [compare] staging"
    ]
    assert not any("for want of a stage" in note for note in compared.notes)


def test_the_added_values_are_adjusted_for_each_other(compared):
    added = compared.added
    expected = multipletests(added["p_value"], method="holm")[1]
    np.testing.assert_allclose(added["p_adjusted"], expected, rtol=1e-12)
    assert (added["p_adjusted"] > added["p_value"]).any()
    assert "Its adjusted p is Holm's, for all rows of" in compared.text


def test_no_stage_and_one_risk_leave_no_column_out(folder, compared, tmp_path):
    table = changed(
        folder,
        tmp_path,
        lambda risks: risks[["patient_id", "noisy"]],
        patients=lambda table: table.drop(columns=["tnm", "albumin_g_l", "bilirubin_umol_l"]),
        study=STUDY.replace('["tnm"]', "[]"),
    ).table
    assert set(table.columns) == set(compared.table.columns)
    together = ["lower_simultaneous", "upper_simultaneous", "p_adjusted", "n_differences"]
    assert table[together].isna().all(axis=None)


def test_a_stage_without_events_is_named(folder, tmp_path):
    def rare(patients):
        chosen = patients.index[(patients["event"] == 0) & (patients.index > 3)][:4]
        patients.loc[chosen, "tnm"] = "IV"
        return patients

    found = changed(folder, tmp_path, patients=rare)
    assert [note for note in found.notes if "not added to tnm" in note] == [
        f"{risk} is not added to tnm: none of the 4 patients of stage IV has an event, and a "
        "hazard of 0 has no likelihood ratio: join it with a stage next to it"
        for risk in ("noisy", "true")
    ]
    assert "tnm" not in set(found.added["stage"])
    assert set(found.added["risk"]) == {"noisy", "true"}


def test_a_second_probability_at_a_month_is_refused():
    table = pd.DataFrame({"patient_id": ["a", "b"], "s@12": [0.1, 0.2], "s@12.0": [0.1, 0.3]})
    with pytest.raises(ValueError, match=r"'s@12\.0' gives a second probability at 12"):
        check_risks(table, patient_ids=["a", "b"], horizon=12)


def changed(folder, tmp_path, risks=None, *, patients=None, study=STUDY):
    """Compare the same study with other risks, patients or settings."""
    table = pd.read_csv(folder / "patients.csv", dtype={"patient_id": str})
    (patients(table) if patients else table).to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "study.toml").write_text(study)
    given = pd.read_csv(folder / "risks.csv", dtype={"patient_id": str})
    (risks(given) if risks else given).to_csv(tmp_path / "risks.csv", index=False)
    return compare_risks(tmp_path / "study.toml", tmp_path / "risks.csv", out=tmp_path / "out")


def test_a_probability_of_1_is_moved_inside_and_noted(folder, compared, tmp_path):
    """The added score stays the probability, whatever column NAME holds."""

    def certain(risks):
        top = risks["true@12"].idxmax()
        risks.loc[top, "true@12"] = 1.0
        return risks.assign(true=-risks["noisy"])

    found = changed(folder, tmp_path, certain)
    assert [note for note in found.notes if "true@12 is 0 or 1 for 1 of 87 patients" in note]
    assert not any("0 or 1" in note for note in compared.notes)
    both = [x.added[(x.added["risk"] == "true")]["chi_squared"] for x in (compared, found)]
    np.testing.assert_allclose(both[1], both[0], rtol=0.1)  # one patient of 87 has moved
    assert value(found.table, "true", "calibration_slope") == pytest.approx(
        value(compared.table, "true", "calibration_slope"), abs=0.15
    )
    assert value(found.table, "true", "concordance_harrell") == pytest.approx(
        1 - value(compared.table, "noisy", "concordance_harrell")
    )  # column `true` ranks


def test_certainties_alone_have_no_slope(folder, tmp_path):
    def certain(risks):
        sure = (risks["true@12"] > 0.5).astype(float)
        return risks.assign(**{"true@6": 0.0, "true@12": sure, "true": risks["noisy"]})

    found = changed(folder, tmp_path, certain)
    assert [note for note in found.notes if "true@12 is 0 or 1 for every patient" in note]
    assert "calibration_slope" not in set(found.table.loc[found.table["model"] == "true", "metric"])
    noisy, true = (found.added[found.added["risk"] == name] for name in ("noisy", "true"))
    np.testing.assert_allclose(noisy["chi_squared"], true["chi_squared"])


@pytest.mark.parametrize("n_repeats", [1, 2])
def test_a_stage_has_no_slope_however_many_repeats(folder, tmp_path, n_repeats):
    study = STUDY.replace("n_repeats = 1", f"n_repeats = {n_repeats}")
    table = changed(folder, tmp_path, study=study).table
    assert set(table.loc[table["metric"] == "calibration_slope", "model"]) == {"true"}
