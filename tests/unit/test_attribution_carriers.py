"""Both games on one study: what adds up, who is left out, and when there is no game."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution import carriers
from times_stats.attribution.carriers import find_carriers
from times_stats.attribution.prediction_game import (
    prediction_shapley,
    summarise_prediction_shapley,
)
from times_stats.pipeline.storage import read_record, write_record
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

LOST = "P003"


def prepare(n=100):
    study = simulate_study(n_patients=n, markers=2, location_effect=1.0, seed=8)
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    )
    patients = study.patients.set_index("patient_id")
    stages = patients[["tnm"]].astype(pd.CategoricalDtype(["I", "II", "III", "IV"], ordered=True))
    return features, patients[["time", "event"]], stages


def play(features, outcome, stages, **changes):
    folds = assign_folds(outcome.index.to_numpy(), n_folds=4, rng=spawn_rng(1, "folds"))
    options = {
        "stages": stages, "levels": None, "folds": folds, "horizon": 24.0, "strata": None,
        "tumour_region": None, "scaled_by_region": ("M2",), "n_resamples": 50, "seed": 1, "jobs": 1,
    }  # fmt: skip
    return find_carriers(features, outcome, **(options | changes))


@pytest.fixture(scope="module")
def played():
    features, outcome, stages = prepare()
    features.loc[LOST, ("M1", "tumour_centre")] = np.nan
    return play(features, outcome, stages)


def test_values_add_up_to_the_gain(played):
    rows = played.table[played.table["game"] == "performance"].set_index("player")
    players = rows[rows["part"] != "total"]
    assert list(players.index) == ["M1 level", "M2 level", "M1 location", "M2 location"]
    gain = rows.loc["all", "estimate"] - rows.loc["none", "estimate"]
    assert rows.loc["gain", "estimate"] == pytest.approx(gain)
    assert players["estimate"].sum() == pytest.approx(gain)
    assert players["estimate"].idxmax() == "M1 location"
    is_shared = bool(rows.loc["gain", "lower"] > 0)
    assert players["share"].notna().all() == is_shared
    assert is_shared
    assert (rows["lower"] <= rows["estimate"]).all()


def test_prediction_game_knows_the_stage(played):
    rows = played.table[played.table["game"] == "prediction"].set_index("player")
    assert set(rows.index) == {"M1 level", "M2 level", "M1 location", "M2 location", "stage"}
    assert rows.loc["stage", ["marker", "part"]].tolist() == ["", "stage"]
    assert rows.loc["M1 location", ["marker", "part"]].tolist() == ["M1", "location"]
    assert (rows["estimate"] > 0).all()
    assert rows["estimate"].idxmax() == "M1 location"
    assert rows["share"].isna().all()


def test_folds_are_put_together(monkeypatch):
    """Base and fraction off support are those of all folds, not of one."""
    parts, whole = [], []

    def keep(result, **options):
        whole.append(result)
        return summarise_prediction_shapley(result, **options)

    def explain(*arguments, **options):
        parts.append(prediction_shapley(*arguments, **options))
        return parts[-1]

    monkeypatch.setattr(carriers, "prediction_shapley", explain)
    monkeypatch.setattr(carriers, "summarise_prediction_shapley", keep)
    found = play(*prepare(n=60), n_resamples=10)
    fraction = np.mean([part.off_support.fraction for part in parts])
    assert len(parts) == 4
    assert whole[0].off_support.fraction == pytest.approx(fraction)
    assert whole[0].off_support.n_hybrids == sum(part.off_support.n_hybrids for part in parts)
    assert float(whole[0].base[0]) == pytest.approx(np.mean([part.base[0] for part in parts]))
    assert f"{fraction:.0%} of the hybrids" in found.notes[-1]


def test_gaps_are_left_out_and_counted(played):
    told = " ".join(played.notes)
    assert "1 of 100 patients lack a marker or a stage and are left out of the games." in told
    assert "of the hybrids that they rest on are unlike any patient" in told
    assert "The regions of M2 were each scaled on their own" in told


def test_a_stored_record_is_read_back(played, tmp_path):
    write_record(played, tmp_path)
    again = read_record(type(played), tmp_path)
    pd.testing.assert_frame_equal(again.table, played.table)
    assert (again.statement, again.notes, again.is_played) == (
        played.statement, played.notes, True,
    )  # fmt: skip


def test_too_few_patients_are_no_game_and_no_error(tmp_path):
    features, outcome, stages = prepare()
    stages.iloc[30:, 0] = np.nan
    found = play(features, outcome, stages)
    assert not found.is_played
    assert found.table.empty
    assert found.statement.startswith("No game was played: 30 patients with")
    write_record(found, tmp_path)
    pd.testing.assert_frame_equal(read_record(type(found), tmp_path).table, found.table)


def test_follow_up_that_does_not_reach_the_horizon_is_no_game():
    features, outcome, stages = prepare()
    found = play(features, outcome, stages, horizon=10_000.0)
    assert not found.is_played
    assert "No game was played: " in found.statement
