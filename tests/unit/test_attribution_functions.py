"""Spatial functions in the ladder: columns, the last rung, and leaks that the tests would catch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution import rungs
from times_stats.attribution.integration import integration_test
from times_stats.attribution.ladder import predict_ladder
from times_stats.attribution.rungs import (
    ALL_REGIONS,
    FUNCTIONS,
    collect_ladder,
    learn_function_columns,
)
from times_stats.features.function_components import (
    SpatialFunctions,
    component_scores,
    learn_components,
)
from times_stats.features.matrix import complete_markers, marker_levels
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

R = np.array([10.0, 20.0, 40.0, 80.0])
N, N_TRAIN = 90, 60


def simulated(n=N, seed=3, **keywords):
    study = simulate_study(n_patients=n, markers=2, seed=seed, **keywords)
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)
    outcome = study.patients.set_index("patient_id")[["time", "event", "cohort"]]
    return features, outcome


def functions_of(index, seed=5, signal=None):
    """Two curves and one number of a marker; the first component of a curve may be a signal."""
    rng = np.random.default_rng(seed)
    n = len(index)
    first = rng.normal(size=n) if signal is None else signal
    curves = {}
    for name, strength in ((("M1", "l_self"), 3.0), (("M2", "l_tumour"), 1.0)):
        values = strength * first[:, None] * np.sqrt(R) + rng.normal(size=(n, 1)) * np.sin(R / 30)
        curves[name] = pd.DataFrame(values + rng.normal(size=(n, R.size)), index=index, columns=R)
        first = rng.normal(size=n)
    scalars = pd.DataFrame({("M1", "gradient"): rng.normal(size=n)}, index=index)
    return SpatialFunctions(scalars, curves)


def ladder_data(features, outcome, functions):
    return collect_ladder(
        features,
        levels=marker_levels(features),
        complete=complete_markers(features),
        stages=None,
        cohort=outcome["cohort"],
        tumour_region="tumour_centre",
        functions=functions,
    )


@pytest.fixture(scope="module")
def data():
    features, outcome = simulated()
    order = np.random.default_rng(0).permutation(N)
    return (
        features,
        outcome,
        functions_of(features.index),
        np.sort(order[:N_TRAIN]),
        np.sort(order[N_TRAIN:]),
    )


def altered(functions, patients, *, times=7.0):
    """Change the functions of some patients, and nothing about the others."""
    curves = {}
    for name, table in functions.curves.items():
        curves[name] = table.copy()
        curves[name].iloc[patients] = table.iloc[patients].to_numpy()[:, ::-1] * times + 3
    scalars = functions.scalars.copy()
    scalars.iloc[patients] = scalars.iloc[patients].to_numpy() * times + 3
    return SpatialFunctions(scalars, curves)


# Columns.


def test_columns_are_the_numbers_and_two_components_of_each_curve(data):
    _, _, functions, train, _ = data
    columns = learn_function_columns(functions, train)
    assert columns.columns.tolist() == [
        ("M1", "gradient"),
        ("M1", "l_self 1"),
        ("M1", "l_self 2"),
        ("M2", "l_tumour 1"),
        ("M2", "l_tumour 2"),
    ]
    assert columns.columns.names == ["marker", "function"]
    assert columns.index.equals(functions.scalars.index)
    values = functions.curves["M1", "l_self"].to_numpy()
    learned = learn_components(values[train], r=R)
    np.testing.assert_array_equal(
        columns["M1"][["l_self 1", "l_self 2"]], component_scores(learned, values)
    )
    np.testing.assert_allclose(columns.iloc[train, 1:].mean(), 0, atol=1e-9)


def test_missing_functions_stay_missing_and_empty_columns_go(data):
    _, _, functions, train, test = data
    curves = {name: table.copy() for name, table in functions.curves.items()}
    curves["M1", "l_self"].iloc[[train[0], test[0]], 1] = np.nan
    curves["M2", "l_tumour"].iloc[train] = np.nan  # nothing to learn from
    scalars = functions.scalars.copy()
    scalars["M2", "mixing"] = 1.0
    scalars.iloc[test[0], 0] = np.nan
    columns = learn_function_columns(SpatialFunctions(scalars, curves), train)
    assert columns.columns.tolist() == [("M1", "gradient"), ("M1", "l_self 1"), ("M1", "l_self 2")]
    missing = columns.isna().to_numpy()
    assert np.flatnonzero(missing[:, 1]).tolist() == sorted([train[0], test[0]])
    assert np.flatnonzero(missing[:, 0]).tolist() == [test[0]]


def test_nothing_measured_leaves_the_rung_of_all_regions(data):
    features, outcome, functions, train, _ = data
    nothing = SpatialFunctions(
        functions.scalars * np.nan, {name: f * np.nan for name, f in functions.curves.items()}
    )
    assert learn_function_columns(nothing, train).shape == (N, 0)
    designs, _ = ladder_data(features, outcome, nothing).build_designs(train)
    pd.testing.assert_frame_equal(designs[FUNCTIONS].X, designs[ALL_REGIONS].X)


def test_last_rung_holds_all_regions_and_the_functions(data):
    features, outcome, functions, train, _ = data
    ladder = ladder_data(features, outcome, functions)
    assert ladder.rungs()[-1] == FUNCTIONS
    designs, _ = ladder.build_designs(train)
    X, below = designs[FUNCTIONS].X, designs[ALL_REGIONS].X
    pd.testing.assert_frame_equal(X[below.columns], below)
    extra = [column for column in X if column not in below]
    assert extra[:2] == ["function:M1:gradient", "function:M1:l_self 1"]
    np.testing.assert_allclose(X[extra].iloc[train].mean(), 0, atol=1e-9)
    np.testing.assert_allclose(X[extra].iloc[train].std(ddof=0), 1)
    assert designs[FUNCTIONS].weak == designs[ALL_REGIONS].weak
    assert FUNCTIONS not in ladder_data(features, outcome, None).rungs()


# Leaks.


def moved_designs(data):
    """Name what the training patients and the first test patient see of the other test patients."""
    features, outcome, functions, train, test = data
    others, sealed = test[1:], np.r_[train, test[:1]]
    before, after = (
        ladder_data(features, outcome, kind).build_designs(train)[0]
        for kind in (functions, altered(functions, others))
    )
    return {
        column
        for rung in before
        for column in before[rung].X
        if not np.array_equal(
            before[rung].X[column].iloc[sealed], after[rung].X[column].iloc[sealed], equal_nan=True
        )
    }


def test_curves_of_held_out_patients_move_nobody_else(data):
    assert moved_designs(data) == set()


def test_curves_of_training_patients_move_the_components(data):
    _, _, functions, train, test = data
    before = learn_function_columns(functions, train)
    after = learn_function_columns(altered(functions, train[:5]), train)
    assert (before.iloc[test, 1:] != after.iloc[test, 1:]).all(axis=None)


def test_components_learned_on_everybody_would_be_caught(data, monkeypatch):
    honest = rungs.learn_function_columns
    monkeypatch.setattr(
        rungs,
        "learn_function_columns",
        lambda functions, _train: honest(functions, np.arange(len(functions.scalars))),
    )
    assert "function:M1:l_self 1" in moved_designs(data)


def test_powers_learned_on_everybody_would_be_caught(data, monkeypatch):
    honest = rungs._transform
    monkeypatch.setattr(
        rungs, "_transform", lambda frame, _train: honest(frame, np.arange(len(frame)))
    )
    assert {"function:M1:gradient", "function:M2:l_tumour 2"} <= moved_designs(data)


def predictions(features, outcome, functions, folds):
    ladder = ladder_data(features, outcome, functions)
    return predict_ladder(ladder, outcome, folds=folds, times=np.array([24.0]), seed=1)[0]


def test_neither_curves_nor_outcomes_of_a_test_fold_move_a_prediction_in_it(data):
    features, outcome, functions, _, test = data
    folds = np.zeros((1, N), dtype=np.int64)
    folds[0, test] = 1
    others = test[1:]
    spoiled = outcome.copy()
    spoiled.iloc[test, 0] = np.random.default_rng(2).uniform(1, 80, test.size)
    spoiled.iloc[test, 1] = 1 - spoiled["event"].iloc[test].to_numpy()
    before = predictions(features, outcome, functions, folds)
    after = predictions(features, spoiled, altered(functions, others), folds)
    for key in ("ridge_cox", "boosted_cox"):
        name = f"{key}/{FUNCTIONS}"
        assert before[name].risk[0, test[0]] == after[name].risk[0, test[0]]
        changed = before[name].risk[0, others] != after[name].risk[0, others]
        assert changed.mean() > 0.5  # their own curves are what they are told by


# The ladder.


@pytest.fixture(scope="module")
def climbed():
    features, outcome = simulated(n=240, seed=8, location_effect=0.0, effect=0.2)
    # What the levels leave of the order of the outcome, as a curve would carry it.
    signal = -np.log(outcome["time"].to_numpy()) + np.random.default_rng(1).normal(size=240)
    functions = functions_of(features.index, signal=signal)
    folds = assign_folds(
        outcome.index.to_numpy(),
        strata=outcome["event"].to_numpy(),
        n_folds=3,
        rng=spawn_rng(1, "folds"),
    )
    return integration_test(
        features,
        outcome,
        stages=None,
        functions=functions,
        folds=folds,
        horizon=24.0,
        n_resamples=100,
        tumour_region="tumour_centre",
        seed=1,
    )


def test_functions_are_compared_with_all_regions(climbed):
    rows = climbed.differences.query(
        "model == @FUNCTIONS and reference == @ALL_REGIONS"
        " and metric == 'concordance_uno_within_folds'"
    ).set_index("learner")
    assert rows.index.tolist() == ["ridge_cox", "boosted_cox"]
    assert (rows["lower"] > 0).all()
    single = climbed.table.query("metric == 'concordance_uno_within_folds'")
    single = single.set_index(["learner", "model"])["estimate"]
    for learner, row in rows.iterrows():
        assert row["estimate"] == pytest.approx(
            single[learner, FUNCTIONS] - single[learner, ALL_REGIONS]
        )
        assert row["minimal_detectable_difference"] == pytest.approx(2.8 * row["se"])


def test_headline_is_not_touched_by_the_functions(climbed):
    assert climbed.differences["model"].iloc[0] == ALL_REGIONS
    assert climbed.verdict != "location adds"
    assert set(climbed.table["model"]) == {
        *("no_predictors", "levels", "tumour_region", "all_regions", FUNCTIONS)
    }


def test_functions_follow_the_patients_who_stay():
    features, outcome = simulated(n=60, seed=9)
    functions = functions_of(features.index)
    features.iloc[4] = np.nan
    folds = np.tile(np.arange(3), 20)[None]
    result = integration_test(
        features,
        outcome,
        stages=None,
        functions=functions,
        folds=folds,
        horizon=24.0,
        n_resamples=100,
        seed=1,
    )
    keep = np.arange(60) != 4
    without = integration_test(
        features[keep],
        outcome[keep],
        stages=None,
        functions=dataclasses.replace(functions).of(keep),
        folds=folds[:, keep],
        horizon=24.0,
        n_resamples=100,
        seed=1,
    )
    assert (result.table["n"] == 59).all()
    pd.testing.assert_frame_equal(result.differences, without.differences)
