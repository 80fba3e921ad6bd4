"""Differences within subgroups are those of the subgroup alone; heterogeneity is Cochran's Q."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from times_stats.errors import InputError
from times_stats.evaluation import Prediction, compare, compare_subgroups, concordance_harrell
from times_stats.resampling import spawn_rng

N = 120


@pytest.fixture(scope="module")
def study():
    """A new risk that is the truth in one half of the patients and noise in the other."""
    rng = np.random.default_rng(6)
    hazard = rng.normal(size=N)
    outcome = pd.DataFrame({"time": rng.exponential(20 * np.exp(-1.5 * hazard)), "event": 1})
    half = np.arange(N) % 2
    new = np.where(half == 1, hazard, rng.normal(size=N))
    groups = pd.DataFrame({"half": np.where(half == 1, "b", "a"), "rare": [None] * N})
    groups.loc[:4, "rare"] = "yes"
    models = [Prediction("old", np.round(hazard)[None]), Prediction("new", new[None])]
    options = {"references": ["old"], "times": [12.0], "horizon": 12.0, "n_resamples": 200}
    table = compare_subgroups(outcome, models, groups, rng=spawn_rng(1), **options)
    return outcome, models, groups, options, table


def test_each_level_is_evaluated_alone(study):
    outcome, models, groups, _, table = study
    harrell = table[table["metric"] == "concordance_harrell"]
    for level in ("a", "b"):
        member = (groups["half"] == level).to_numpy()
        time, event = outcome["time"][member], outcome["event"][member]
        old, new = (concordance_harrell(time, event, m.risk[0][member]) for m in models)
        rows = harrell[(harrell["variable"] == "half") & (harrell["level"] == level)]
        assert rows.set_index(["model", "reference"])["estimate"].to_dict() == pytest.approx(
            {("old", ""): old, ("new", ""): new, ("new", "old"): new - old}
        )
        assert (rows["n"] == N / 2).all()


def test_heterogeneity_is_cochrans_q(study):
    table = study[-1]
    rows = table[(table["metric"] == "concordance_harrell") & (table["reference"] == "old")]
    first, second = rows["estimate"]
    q = (first - second) ** 2 / (rows["se"] ** 2).sum()  # what Q is for two levels
    assert rows["p_heterogeneity"].tolist() == pytest.approx([chi2.sf(q, 1)] * 2)
    assert rows["p_heterogeneity"].iloc[0] < 0.001
    assert table.loc[table["reference"] == "", "p_heterogeneity"].isna().all()


def test_small_subgroups_are_listed_with_the_reason(study):
    table = study[-1]
    rare = table[table["variable"] == "rare"]
    assert rare[["level", "model", "n", "events"]].to_numpy().tolist() == [["yes", "", 5, 5]]
    assert rare["reason"].item() == "5 events of 5 patients, fewer than 10"
    assert rare["estimate"].isna().all()


def test_a_subgroup_not_followed_to_the_horizon_is_listed(study):
    outcome, models, groups, options, _ = study
    early = outcome.assign(
        time=np.where(groups["half"] == "a", outcome["time"].clip(upper=9), outcome["time"]),
        event=np.where((groups["half"] == "a") & (outcome["time"] > 9), 0, 1),
    )
    table = compare_subgroups(early, models, groups[["half"]], rng=spawn_rng(1), **options)
    assert table["level"].value_counts()["a"] == 1
    assert "follow" in table.loc[table["level"] == "a", "reason"].item()
    assert table.loc[table["level"] == "b", "estimate"].notna().all()


def test_competing_events_are_those_of_the_subgroup(study):
    """With ``cause`` a subgroup is what `compare` makes of its patients, and not what it was."""
    outcome, models, groups, options, _ = study
    cause = np.where(np.arange(N) % 3 == 0, 2, 1)
    competing = outcome.assign(event=(cause == 1).astype(int), cause=cause)
    rng = spawn_rng(1)
    table = compare_subgroups(competing, models, groups[["half"]], rng=rng, **options)
    member = (groups["half"] == "a").to_numpy()
    own = [Prediction(model.name, model.risk[:, member]) for model in models]
    alone = compare(competing.loc[member], own, rng=spawn_rng(1), **options)
    shown = table[table["level"] == "a"].set_index(["model", "reference", "metric"])["estimate"]
    expected = alone.set_index(["model", "reference", "metric"])["estimate"].dropna()
    pd.testing.assert_series_equal(shown, expected)
    without = competing.drop(columns="cause").loc[member]
    uno = ("new", "", "concordance_uno")
    other = compare(without, own, rng=spawn_rng(1), **options)
    assert abs(shown[uno] - other.set_index(expected.index.names)["estimate"][uno]) > 1e-3


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (pd.DataFrame({"x": range(N)}), "'x' has 120 values: cut it into groups"),
        (pd.DataFrame({"x": [None] * N}), "'x' has no value"),
        (pd.DataFrame({"x": [1]}), "subgroups have 1 rows and the outcome 120"),
        (pd.DataFrame(index=range(N)), "no column"),
        (pd.DataFrame([["a", "b"]] * N, columns=["x", "x"]), "variables share the name x"),
    ],
)
def test_bad_subgroups_are_refused(study, groups, said):
    outcome, models, _, options, _ = study
    with pytest.raises(InputError, match=said):
        compare_subgroups(outcome, models, groups, rng=spawn_rng(1), **options)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"references": ["odl"]}, r"reference 'odl' is not a model \(nearest: 'old'\)"),
        ({"horizon": 6.0}, "horizon 6 is not one of the times"),
        ({"times": []}, "times"),
        ({"n_resamples": 0}, "n_resamples is 0"),
    ],
)
def test_wrong_arguments_are_no_reasons(study, change, said):
    outcome, models, groups, options, _ = study
    with pytest.raises(InputError, match=said):
        compare_subgroups(outcome, models, groups, rng=spawn_rng(1), **(options | change))


def test_a_missing_risk_names_its_patient(study):
    outcome, models, groups, options, _ = study
    risk = models[0].risk.copy()
    risk[0, 7] = np.nan
    gap = [Prediction("old", risk), models[1]]
    with pytest.raises(InputError, match=r"risk of model 'old' is missing or infinite for .* 7:"):
        compare_subgroups(outcome, gap, groups, rng=spawn_rng(1), **options)


def test_subgroups_of_other_patients_are_refused(study):
    outcome, models, groups, options, table = study
    named = outcome.set_axis([f"p{k}" for k in range(N)])
    own = groups.set_axis(named.index)
    same = compare_subgroups(named, models, own, rng=spawn_rng(1), **options)
    pd.testing.assert_frame_equal(same, table)
    with pytest.raises(InputError, match="subgroups has the outcome's patients in another order"):
        compare_subgroups(named, models, own[::-1], rng=spawn_rng(1), **options)
    with pytest.raises(InputError, match="strata has the outcome's patients in another order"):
        compare_subgroups(named, models, own, strata=own["half"][::-1], rng=spawn_rng(1), **options)


def test_arrays_of_other_patients_are_refused(study):
    outcome, models, groups, options, _ = study
    short = Prediction("short", models[0].risk[:, :-1])
    with pytest.raises(InputError, match=r"'short' has shape \(1, 119\): .*; strata have shape"):
        compare_subgroups(
            outcome, [*models, short], groups, strata=["a"], rng=spawn_rng(1), **options
        )
