"""Gains from interactions: what may stand in one tree, how gains add up, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution.interactions import _column_groups, fit_margins, interaction_gain
from times_stats.attribution.player_columns import design_folds, find_players
from times_stats.errors import InputError
from times_stats.resampling import assign_folds, spawn_rng

COLUMNS = pd.MultiIndex.from_product([["A", "B"], ["core", "rim"]], names=["marker", "region"])
PAIRS = {(a, b) for b in range(4) for a in range(b)}


def study(log_hazard, n=240, seed=0):
    rng = spawn_rng(seed, "study")
    index = pd.Index([f"P{i:03d}" for i in range(n)], name="patient_id")
    z = pd.DataFrame(rng.normal(size=(n, 4)), index=index, columns=COLUMNS)
    hidden = rng.exponential(25.0 * np.exp(-log_hazard(z).to_numpy()))
    end = rng.uniform(20.0, 60.0, size=n)
    y = pd.DataFrame(
        {"time": np.minimum(hidden, end), "event": (hidden <= end).astype(int)}, index=index
    )
    return z, y, assign_folds(index, strata=y["event"], n_folds=4, rng=spawn_rng(seed, "folds"))


def markers_multiply(z):
    return 1.5 * z["A", "core"] * z["B", "rim"]


def gain(data, **keywords):
    X, y, folds = data
    settings = {"folds": folds, "horizon": 24.0, "n_resamples": 100, "seed": 1}
    return interaction_gain(X, y, **(settings | keywords))


@pytest.fixture(scope="module")
def data():
    return study(markers_multiply)


@pytest.fixture(scope="module")
def result(data):
    return gain(data)


def test_what_multiplies_is_found_where_it_is(result):
    table = result.gains.set_index("between")
    assert table.loc["all", "lower"] > 0.05
    assert table.loc["regions", "lower"] < 0.02
    assert f"between any columns {table.loc['all', 'estimate']:.3f}" in result.statement


def test_gains_are_differences_to_the_additive_model(result):
    value = result.performance.set_index("interacting")["value"]
    table = result.gains.set_index("between")["estimate"]
    for name in ("regions", "all"):
        assert table[name] == pytest.approx(value[name] - value["nothing"], abs=1e-12)
    assert table.index.to_list() == ["regions", "all"]


@pytest.mark.parametrize(
    ("grouping", "allowed"), [("nothing", set()), ("regions", {(0, 1), (2, 3)}), ("all", PAIRS)]
)
def test_only_allowed_columns_interact(data, grouping, allowed):
    X, y, folds = data
    players = find_players(
        X, game="marker_region", levels=None, stages=None, cohort=None, tumour_region=None
    )
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    designs, _ = design_folds(players, time=time, event=event, rows=np.arange(len(y)), folds=folds)
    groups = _column_groups(players, designs[0], grouping)
    found = set()
    for a, b in PAIRS:
        # the mixed difference f(u, v) - f(u, 0) - f(0, v) + f(0, 0) of two columns
        corners = np.repeat(designs[0].X[None], 4, axis=0)
        corners[[1, 3], :, a] = 0.0
        corners[[2, 3], :, b] = 0.0
        f = [fit_on(designs[0], corner, time, event, groups) for corner in corners]
        if np.abs(f[0] - f[1] - f[2] + f[3]).max() > 1e-5:  # margins are in single precision
            found.add((a, b))
    assert found <= allowed
    assert ((0, 3) in found) == (grouping == "all")


def fit_on(fold, values, time, event, groups):
    """Log hazard of other values, by the model of the fold: its own patients come last."""
    n = len(fold.X)
    stacked = type(fold)(
        fold.repeat, fold.train + n, fold.test, np.vstack([values, fold.X]), fold.owner, fold.sets
    )
    twice = np.r_[time, time], np.r_[event, event]
    margins = fit_margins(stacked, time=twice[0], event=twice[1], groups=groups, n_rounds=30)
    return margins[:n]


def test_stage_and_cohort_interact_with_nothing(data):
    X, y, folds = data
    multiplier = X["A", "core"].to_numpy()
    stages = pd.DataFrame(
        {"tnm": pd.cut(multiplier, [-9, 0, 9], labels=["I", "II"])}, index=X.index
    )
    stages.iloc[:2] = np.nan
    y = y.assign(cohort=np.where(np.arange(len(y)) % 2, "north", "south"))
    players = find_players(
        X, game="marker_region", levels=None, stages=stages, cohort=y["cohort"], tumour_region=None
    )
    kept = players.kept
    designs, _ = design_folds(
        players,
        time=y.loc[kept, "time"].to_numpy(),
        event=y.loc[kept, "event"].to_numpy(),
        rows=np.arange(kept.sum()),
        folds=folds[:, kept],
    )
    assert _column_groups(players, designs[0], "all") == [[0], [1], [2, 3, 4, 5]]
    assert _column_groups(players, designs[0], "regions") == [[0], [1], [2, 3], [4, 5]]
    result = gain((X, y, folds), stages=stages, n_rounds=10)
    assert result.n == len(X) - 2
    assert "Stage and cohort are in every model and interact with nothing." in result.notes
    assert "2 patients without a recorded stage were left out (P000, P001)." in result.notes


def test_relabelled_patients_change_nothing(data, result):
    X, y, folds = data
    order = spawn_rng(1, "order").permutation(len(X))
    moved = gain((X.iloc[order], y.iloc[order], folds[:, order]))
    np.testing.assert_allclose(moved.gains["estimate"], result.gains["estimate"], atol=1e-4)


def test_models_that_predict_alike_give_no_interval(data):
    X, y, folds = data
    few = np.r_[np.flatnonzero(y["event"] == 1)[:16], np.flatnonzero(y["event"] == 0)[:24]]
    found = gain((X.iloc[few], y.iloc[few], folds[:, few]), n_rounds=5)
    assert (found.gains["estimate"] == 0.0).all()
    assert found.gains[["lower", "upper", "se"]].isna().all(axis=None)
    assert "between any columns nothing to compare, since models with" in found.statement


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n_rounds": 0}, "n_rounds is 0: give 1 or more"),
        ({"n_resamples": 1}, "n_resamples is 1"),
        ({"confidence_level": 95.0}, "confidence_level is 95"),
        ({"metric": "auc"}, "metric is 'auc'"),
        ({"strata": ["a"]}, r"strata have shape \(1,\): give one for each of 240 patients"),
        ({"horizon": 500.0}, "longest follow-up"),
    ],
)
def test_faults(data, keywords, message):
    with pytest.raises(InputError, match=message):
        gain(data, **keywords)
