"""Left-out cohorts: each judged by a score of the others; optimism of apparent performance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.boosting import MarkerModel, complementary_log_log
from times_stats.errors import InputError
from times_stats.evaluation import (
    Prediction,
    calibration_slope,
    compare,
    concordance_harrell,
    concordance_uno,
    optimism,
)
from times_stats.score import TimesScore, evaluate_left_out_cohorts

HORIZON = 24.0
SCORE = TimesScore(
    model=MarkerModel(n_rounds=20, min_child_weight=3), horizon=HORIZON, n_folds=2, n_repeats=2
)


def study(n=150, seed=1):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:03d}" for i in rng.permutation(n)], name="patient_id")
    columns = pd.MultiIndex.from_product([["CD57", "CD8"], ["adjacent", "tumour"]])
    features = pd.DataFrame(rng.normal(size=(n, 4)), index=index, columns=columns)
    time = 30 * np.exp(-features.iloc[:, 3]) * rng.exponential(size=n)
    censored = rng.uniform(10, 80, n)
    event = (time <= censored).astype(int)
    cohort = pd.Series(np.array(["Basel", "Paris", "Rome"])[np.arange(n) % 3], index=index)
    features.iloc[[0, 3], [0, 2]] = np.nan  # two of Basel, without any complete marker
    return (
        features,
        pd.DataFrame({"time": np.minimum(time, censored), "event": event}, index),
        cohort,
    )


@pytest.fixture(scope="module")
def data():
    return study()


@pytest.fixture(scope="module")
def found(data):
    X, y, cohort = data
    return evaluate_left_out_cohorts(SCORE, X, y, cohort=cohort, n_resamples=200)


def test_one_row_per_cohort_with_what_was_left_out(data, found):
    X, y, cohort = data
    table = found.table.set_index("cohort")
    assert table.index.to_list() == ["Basel", "Paris", "Rome"] == list(found.models)
    assert table["n"].to_list() == [48, 50, 50]
    assert table["n_unscored"].to_list() == [2, 0, 0]
    assert table["n_train"].to_list() == [100, 100, 100]
    lost = X.index[[0, 3]]
    assert table.loc["Basel", "events_unscored"] == y.loc[lost, "event"].sum()
    events = y["event"].groupby(cohort).sum()
    assert (table["events"] + table["events_unscored"]).equals(events.astype(int))
    assert (table["events_train"] == y["event"].sum() - events).all()
    assert found.predictions["score"].isna().sum() == 2
    assert found.predictions.index.equals(X.index)


def test_each_cohort_is_predicted_by_a_score_of_the_others(data, found):
    X, y, cohort = data
    for name in ("Basel", "Rome"):
        own = (cohort == name).to_numpy()
        alone = TimesScore(**SCORE.get_params(deep=False)).fit(X[~own], y[~own])
        np.testing.assert_array_equal(
            found.predictions.loc[own, "score"].to_numpy(), alone.predict(X[own])
        )
        judged = own & found.predictions["score"].notna().to_numpy()
        risk = complementary_log_log(found.predictions.loc[judged, "score"].to_numpy())
        time, event = y.loc[judged, "time"], y.loc[judged, "event"]
        row = found.table.set_index("cohort").loc[name]
        assert row["concordance"] == pytest.approx(concordance_harrell(time, event, risk))
        assert row["calibration_slope"] == pytest.approx(calibration_slope(time, event, risk))


def test_intervals_surround_their_estimates(found):
    for name in ("concordance", "calibration_slope"):
        value, low, high = (found.table[f"{name}{end}"] for end in ("", "_lower", "_upper"))
        assert ((low < value) & (value < high)).all()
    assert (found.table["concordance"] > 0.55).all()


def test_the_left_out_outcome_teaches_nothing(data, found):
    X, y, cohort = data
    rng = np.random.default_rng(4)
    altered = y.copy()
    rome = (cohort == "Rome").to_numpy()
    altered.loc[rome, "time"] = rng.uniform(1, 60, rome.sum())
    altered.loc[rome, "event"] = 1 - y.loc[rome, "event"]
    again = evaluate_left_out_cohorts(SCORE, X, altered, cohort=cohort, n_resamples=20)
    before, after = found.predictions["score"], again.predictions["score"]
    np.testing.assert_array_equal(before[rome], after[rome])
    assert not np.array_equal(before[~rome], after[~rome])


def test_unos_concordance_and_its_horizon(data):
    X, y, cohort = data
    two = cohort.replace({"Rome": "Paris"})
    found = evaluate_left_out_cohorts(SCORE, X, y, cohort=two, concordance="uno", n_resamples=20)
    paris = (two == "Paris").to_numpy()
    risk = complementary_log_log(found.predictions.loc[paris, "score"].to_numpy())
    expected = concordance_uno(y["time"][paris], y["event"][paris], risk, horizon=HORIZON)
    assert found.table["concordance"][1] == pytest.approx(expected)
    short = y.copy()
    short.loc[paris, "time"] = np.minimum(short.loc[paris, "time"], 20.0)
    with pytest.raises(InputError, match=r"^cohort Paris: .*horizon"):
        evaluate_left_out_cohorts(SCORE, X, short, cohort=two, concordance="uno")


def test_bad_input_is_named(data):
    X, y, cohort = data

    def refused(message, **changes):
        given = {"cohort": cohort, **changes}
        table, outcome = given.pop("X", X), given.pop("y", y)
        with pytest.raises(InputError, match=message):
            evaluate_left_out_cohorts(SCORE, table, outcome, **given)

    refused(
        "all patients are of cohort Rome: .*two or more",
        cohort=pd.Series("Rome", index=cohort.index),
    )
    refused(r"cohort Basel \(\d+\), Paris \(\d+\), Rome .* fewer than 60 events", min_events=60)
    refused("min_events is 1", min_events=1)
    refused("concordance 'c' is unknown", concordance="c")
    refused("confidence_level is 2", confidence_level=2)
    refused("cohort is missing for patient", cohort=cohort.where(np.arange(150) != 7))
    refused(f"no cohort for patient {X.index[5]}", cohort=cohort.drop(X.index[5]))
    refused(f"no outcome for patient {X.index[5]}", y=y.drop(X.index[5]))
    refused("occurs twice", X=pd.concat([X, X.iloc[:1]]))
    refused("cohort given twice", cohort=pd.concat([cohort, cohort.iloc[:1]]))
    refused("the outcome has 'entry'", y=y.assign(entry=0.0))
    few = cohort.where(np.arange(150) < 100, "Paris").where(np.arange(150) > 40, "Oslo")
    none = y.assign(event=np.where(few == "Oslo", y["event"], 0))
    refused(r"cohort .*Paris \(0\)", y=none, cohort=few)


def test_the_other_cohorts_must_carry_a_score(data):
    X, y, cohort = data
    two = cohort.where(np.arange(150) < 12, "rest").where(np.arange(150) >= 12, "few")
    with pytest.raises(InputError, match=r"^without cohort rest: marker"):
        evaluate_left_out_cohorts(SCORE, X, y, cohort=two, min_events=2)


# --- optimism ------------------------------------------------------------------------------------


def test_optimism_is_the_paired_difference():
    rng = np.random.default_rng(1)
    n = 80
    outcome = pd.DataFrame({"time": rng.exponential(30, n), "event": rng.integers(0, 2, n)})
    outcome.iloc[:3] = [60.0, 1]
    noise = rng.normal(size=(2, n))
    fitted = -outcome["time"].to_numpy() / 20 + rng.normal(size=n)
    survival = np.clip(outcome["time"].to_numpy() / 60, 0.05, 0.95)[None, :, None]
    apparent = Prediction("score", fitted[None], survival, fitted[None])
    nested = Prediction("score", noise, np.full((2, n, 1), 0.5), noise)
    folds = np.array([np.arange(n) % 4, np.arange(n) // 4 % 4])
    options = {"times": [12.0], "horizon": 12.0, "folds": folds, "n_resamples": 100}
    table = optimism(
        outcome, apparent=apparent, nested=nested, rng=np.random.default_rng(2), **options
    ).set_index("metric")
    time, event = outcome["time"], outcome["event"]
    row = table.loc["concordance_harrell"]
    assert row["apparent"] == pytest.approx(concordance_harrell(time, event, fitted))
    expected = np.mean([concordance_harrell(time, event, risk) for risk in noise])
    assert row["nested"] == pytest.approx(expected)
    assert row["optimism"] == pytest.approx(row["apparent"] - expected)
    assert 0 < row["lower"] < row["optimism"] < row["upper"]
    assert row["n"] == n
    assert table.loc["brier_horizon", "optimism"] < 0
    assert {"concordance_harrell_within_folds", "calibration_slope"} <= set(table.index)
    assert "ipa_horizon" not in table.index
    both = compare(
        outcome,
        [Prediction("a", apparent.risk), Prediction("b", nested.risk)],
        references=["b"],
        rng=np.random.default_rng(2),
        **options,
    )
    same = both[(both["model"] == "a") & (both["reference"] == "b")].set_index("metric")
    assert row["lower"] == pytest.approx(same.loc["concordance_harrell", "lower"])


def test_a_prediction_has_no_optimism_against_itself():
    outcome = pd.DataFrame({"time": np.arange(1.0, 21), "event": 1})
    one = Prediction("score", np.random.default_rng(3).normal(size=(1, 20)))
    table = optimism(
        outcome,
        apparent=one,
        nested=one,
        times=[5],
        horizon=5,
        n_resamples=20,
        rng=np.random.default_rng(1),
    )
    assert (table[["optimism", "lower", "upper"]] == 0).all(axis=None)
