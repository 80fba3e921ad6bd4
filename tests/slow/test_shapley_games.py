"""Performance games over many studies: nothing is shared out where there is nothing, any jobs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution.performance_game import performance_shapley
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

pytestmark = pytest.mark.slow

N_STUDIES = 60


def play(seed, *, effect, **keywords):
    study = simulate_study(n_patients=120, markers=2, effect=effect, stage_effect=0.0, seed=seed)
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)
    outcome = study.patients.set_index("patient_id").loc[features.index, ["time", "event"]]
    folds = assign_folds(
        features.index, strata=outcome["event"], n_folds=4, rng=spawn_rng(seed, "folds")
    )
    settings = {"horizon": 36.0, "game": "level_location", "n_resamples": 400, "seed": seed}
    return performance_shapley(features, outcome, folds=folds, **(settings | keywords))


def test_shares_are_rare_where_nothing_predicts():
    found = [play(seed, effect=0.0) for seed in range(N_STUDIES)]
    shared = np.mean([result.players["share"].notna().all() for result in found])
    # the nominal rate is 2.5 %; .085 is three binomial standard errors above it
    assert shared <= 0.085
    located = [result.sums.set_index("name").loc["location", "estimate"] for result in found]
    assert abs(np.mean(located)) < 3 * np.std(located, ddof=1) / np.sqrt(N_STUDIES) + 0.01


def test_the_number_of_jobs_changes_nothing():
    one = play(1, effect=0.4, n_refits=20, metric="log_density")
    two = play(1, effect=0.4, n_refits=20, metric="log_density", jobs=2)
    pd.testing.assert_frame_equal(one.players, two.players)
    pd.testing.assert_frame_equal(one.totals, two.totals)
