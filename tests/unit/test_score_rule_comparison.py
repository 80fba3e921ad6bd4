from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.boosting import MarkerModel
from times_stats.errors import InputError
from times_stats.score import TimesScore, compare_pooling, rule_comparison
from times_stats.score.rule_comparison import NO_MARKERS
from times_stats.score.tile_pooling import TILE_RULES

FAST = {
    "model": MarkerModel(n_rounds=20, learning_rate=0.1, min_child_weight=3, reg_lambda=3),
    "horizon": 24.0,
    "n_folds": 2,
    "n_repeats": 2,
    "n_outer_folds": 2,
    "n_outer_repeats": 2,
    "n_resamples": 50,
}


def study(n=100, seed=1, markers=3):
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    names = [f"M{m + 1}" for m in range(markers)]
    columns = pd.MultiIndex.from_product([names, ["adjacent", "tumour"]])
    values = rng.normal(size=(n, 2 * markers))
    time = rng.exponential(size=n) * 30 * np.exp(-1.2 * values[:, 1])
    censored = rng.uniform(10, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=ids
    )
    return pd.DataFrame(values, index=ids, columns=columns), y


@pytest.fixture(scope="module")
def table():
    return compare_pooling(*study(), **FAST)


def test_every_rule_is_there_alone_and_against_the_references(table):
    alone = table[table["reference"] == ""]
    assert alone["rule"].unique().tolist() == [*TILE_RULES, NO_MARKERS]
    assert set(table["reference"]) == {"", "equal", "shrunken"}
    assert (table["n"] == 100).all()
    wide = alone.pivot_table(index="rule", columns="metric", values="estimate")
    learned = list(TILE_RULES)
    assert (wide.loc[learned, "concordance_harrell_within_folds"] > 0.6).all()
    assert wide.loc[NO_MARKERS, "concordance_harrell_within_folds"] == pytest.approx(0.5)
    assert wide.loc[NO_MARKERS, "ipa_horizon"] == 0
    assert (wide.loc[learned, "ipa_horizon"] > 0).all()
    pair = table[(table["rule"] == "gls") & (table["reference"] == "shrunken")]
    difference = pair.set_index("metric")["estimate"]
    np.testing.assert_allclose(
        difference, (wide.loc["gls"] - wide.loc["shrunken"])[difference.index], atol=1e-12
    )
    assert (pair["se"].to_numpy() < alone[alone["rule"] == "gls"]["se"].to_numpy() + 1e-12).all()
    assert (table["n_without"] == 0).all()


def test_one_rule_is_the_score_in_the_outer_loop():
    """The table's shrunken rule is a TimesScore fitted on the outer training set."""
    features, y = study(seed=4)
    outer = np.array([np.arange(100) % 2])
    found = compare_pooling(features, y, **FAST, rules=["shrunken"], references=[], folds=outer)
    again = compare_pooling(
        features, y, **FAST, rules=["shrunken", "gls"], references=["gls"], folds=outer
    )
    first = found[found["rule"] == "shrunken"].set_index("metric")["estimate"]
    second = again[(again["rule"] == "shrunken") & (again["reference"] == "")]
    np.testing.assert_array_equal(first, second.set_index("metric")["estimate"])
    changed = y.copy()
    changed.loc[changed.index[outer[0] == 0], "time"] *= 1.7
    moved = compare_pooling(
        features, changed, **FAST, rules=["shrunken"], references=[], folds=outer
    )
    assert not np.array_equal(first, moved[moved["rule"] == "shrunken"]["estimate"])


def test_a_patients_outcome_does_not_move_its_own_prediction(monkeypatch):
    seen = []

    def keep(outcome, predictions, **settings):
        seen.append(predictions)
        return pd.DataFrame({"model": ["shrunken"]})

    monkeypatch.setattr(rule_comparison, "compare", keep)
    features, y = study(n=80)
    outer = np.array([np.arange(80) % 2])
    altered = y.copy()
    altered.iloc[0, 0] = altered["time"].max()
    altered.iloc[0, 1] = 1 - altered.iloc[0, 1]
    for outcome in (y, altered):
        compare_pooling(
            features, outcome, **FAST, rules=["shrunken", "bayesian"], references=[], folds=outer
        )
    for before, after in zip(*seen, strict=True):
        own, other = before.risk[0, outer[0] == 0], after.risk[0, outer[0] == 0]
        np.testing.assert_array_equal(own, other)
        assert not np.array_equal(before.risk[0, outer[0] == 1], after.risk[0, outer[0] == 1])


def test_tiles_are_pooled_by_the_rules_for_tiles():
    features, y = study(n=80)
    rng = np.random.default_rng(3)
    tiles = features.loc[np.repeat(features.index, 3)]
    tiles = tiles + 0.5 * rng.normal(size=tiles.shape)
    table = compare_pooling(tiles, y, **FAST, references=["published"])
    alone = table[(table["reference"] == "") & (table["metric"] == "concordance_harrell")]
    assert alone["rule"].tolist() == [*TILE_RULES, NO_MARKERS]
    assert (table["n"] == 80).all()
    assert (alone.set_index("rule").loc[list(TILE_RULES), "estimate"] > 0.55).all()
    shuffled = compare_pooling(tiles.sample(frac=1, random_state=2), y, **FAST, references=[])
    assert set(shuffled["rule"]) == set(alone["rule"])


def test_bootstrap_variances_reach_the_table():
    features, y = study(n=80, markers=2)
    given = {**FAST, "n_outer_repeats": 1, "rules": ["equal", "shrunken"], "references": []}
    one = compare_pooling(features, y, **given)
    two = compare_pooling(features, y, **given, variance="bootstrap", n_bootstrap=10)
    same = one["rule"] == "equal"
    np.testing.assert_array_equal(one[same]["estimate"], two[same]["estimate"])
    other = one["rule"] == "shrunken"
    assert not np.array_equal(one[other]["estimate"], two[other]["estimate"])


def test_faulty_input_is_named():
    features, y = study(n=60, markers=2)
    with pytest.raises(InputError, match="nearest: 'shrunken'"):
        compare_pooling(features, y, **FAST, rules=["shrunk"])
    with pytest.raises(InputError, match="reference 'equal' is not among the rules"):
        compare_pooling(features, y, **FAST, rules=["gls"])
    with pytest.raises(InputError, match="no outcome for patient p000"):
        compare_pooling(features, y.iloc[1:], **FAST)
    features.iloc[3] = np.nan
    with pytest.raises(InputError, match="no complete marker for patient p003"):
        compare_pooling(features, y, **FAST)
    assert TimesScore().variance == "jackknife"
