from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from times_stats.errors import InputError
from times_stats.evaluation import (
    Prediction,
    brier_score,
    calibration_in_the_large,
    calibration_slope,
    compare,
    concordance_harrell,
    concordance_uno,
    index_of_prediction_accuracy,
    integrated_brier,
    time_dependent_auc,
)
from times_stats.nonparametric import censoring_distribution, kaplan_meier
from times_stats.resampling import assign_folds, bootstrap_weights, spawn_rng

TIMES = np.array([6.0, 12.0, 24.0])


@pytest.fixture
def study():
    rng = np.random.default_rng(3)
    n = 90
    predictor = rng.normal(size=n)
    failure = np.ceil(rng.exponential(20 * np.exp(-predictor)))
    censoring = np.ceil(rng.uniform(15, 60, n))
    outcome = pd.DataFrame(
        {"time": np.minimum(failure, censoring), "event": (failure <= censoring).astype(int)},
        index=pd.Index([f"p{k:03d}" for k in range(n)], name="patient_id"),
    )
    noisy = predictor + rng.normal(size=(4, n))
    curve = kaplan_meier(outcome["time"], outcome["event"]).at(TIMES)
    score = Prediction("score", noisy, np.exp(-TIMES / 20 * np.exp(noisy)[:, :, None]), noisy)
    stage = Prediction("stage", np.round(predictor)[None])
    null = Prediction("null", np.zeros((1, n)), np.tile(curve, (1, n, 1)), np.zeros((1, n)))
    return outcome, score, stage, null


def run(outcome, predictions, **options):
    settings = {
        "times": TIMES,
        "horizon": 12.0,
        "references": ["stage"],
        "null": "null",
        "n_resamples": 60,
        "rng": spawn_rng(1, "compare"),
    }
    return compare(outcome, predictions, **(settings | options))


def value(table, model, metric, reference="", column="estimate"):
    keep = (
        (table["model"] == model) & (table["metric"] == metric) & (table["reference"] == reference)
    )
    assert keep.sum() == 1
    return table.loc[keep, column].iloc[0]


def test_estimates_are_the_metrics_averaged_over_repeats(study):
    outcome, score, stage, null = study
    time, event = outcome["time"], outcome["event"]
    table = run(outcome, [score, stage, null])
    repeats = range(4)

    def mean(function):
        return pytest.approx(np.mean([function(k) for k in repeats]), abs=1e-12)

    expected = {
        "concordance_harrell": mean(lambda k: concordance_harrell(time, event, score.risk[k])),
        "concordance_uno": mean(lambda k: concordance_uno(time, event, score.risk[k], horizon=12)),
        "auc_horizon": mean(
            lambda k: time_dependent_auc(time, event, score.risk[k], times=[12])[0]
        ),
        "brier_horizon": mean(
            lambda k: brier_score(time, event, score.survival[k], times=TIMES)[1]
        ),
        "ipa_horizon": mean(
            lambda k: index_of_prediction_accuracy(time, event, score.survival[k], times=TIMES)[1]
        ),
        "integrated_brier": mean(
            lambda k: integrated_brier(time, event, score.survival[k], times=TIMES)
        ),
        "calibration_slope": mean(
            lambda k: calibration_slope(time, event, score.linear_predictor[k])
        ),
        "calibration_in_the_large": mean(
            lambda k: calibration_in_the_large(time, event, score.survival[k, :, 1], horizon=12)
        ),
    }
    assert {m: value(table, "score", m) for m in expected} == expected
    assert value(table, "stage", "concordance_harrell") == pytest.approx(
        concordance_harrell(time, event, stage.risk[0])
    )
    difference = value(table, "score", "concordance_harrell", "stage")
    assert difference == pytest.approx(
        value(table, "score", "concordance_harrell") - value(table, "stage", "concordance_harrell")
    )


def test_resamples_are_the_metrics_of_the_replicated_data(study):
    outcome, score, _, null = study
    table = run(outcome, [score, null], references=[])
    weights = bootstrap_weights(len(outcome), n_resamples=60, rng=spawn_rng(1, "compare"))
    time, event = outcome["time"].to_numpy(), outcome["event"].to_numpy()
    replicated = []
    for w in weights:
        rows = np.repeat(np.arange(len(outcome)), w)
        replicated.append(
            np.mean([concordance_harrell(time[rows], event[rows], r[rows]) for r in score.risk])
        )
    lower, upper = np.quantile(replicated, [0.025, 0.975])
    assert value(table, "score", "concordance_harrell", column="lower") == pytest.approx(lower)
    assert value(table, "score", "concordance_harrell", column="upper") == pytest.approx(upper)
    assert value(table, "score", "concordance_harrell", column="se") == pytest.approx(
        np.std(replicated, ddof=1)
    )


HARRELL, UNO = "concordance_harrell_within_folds", "concordance_uno_within_folds"


@pytest.fixture
def folds():
    return assign_folds(np.arange(90), n_folds=5, n_repeats=4, rng=spawn_rng(1, "folds"))


def concordance_by_pairs(time, event, risk, folds, pair_weight):
    """Concordance of the pairs within folds, one pair at a time."""
    right = total = 0.0
    for row, fold in enumerate(folds):
        r = risk[row if len(risk) > 1 else 0]
        for i, j in np.ndindex(time.size, time.size):
            first = time[i] < time[j] or (time[i] == time[j] and event[j] == 0)
            if event[i] == 1 and first and fold[i] == fold[j]:
                right += pair_weight[i] * (1.0 if r[i] > r[j] else 0.5 if r[i] == r[j] else 0.0)
                total += pair_weight[i]
    return right / total


def weights_of_pairs(outcome, horizon):
    """Weight of the pairs of each first patient: of Harrell and of Uno up to the horizon."""
    time, event = outcome["time"].to_numpy(), outcome["event"].to_numpy()
    before = censoring_distribution(time, event).before(time)
    return {HARRELL: np.ones(time.size), UNO: np.where(time <= horizon, before**-2.0, 0.0)}


def test_within_folds_only_pairs_of_one_test_fold_count(study, folds):
    outcome, score, stage, null = study
    time, event = outcome["time"].to_numpy(), outcome["event"].to_numpy()
    table = run(outcome, [score, stage, null], folds=folds)
    for metric, weight in weights_of_pairs(outcome, 12).items():
        estimates = {m.name: value(table, m.name, metric) for m in (score, stage, null)}
        assert estimates == {
            m.name: pytest.approx(concordance_by_pairs(time, event, m.risk, folds, weight))
            for m in (score, stage, null)
        }
        assert estimates["null"] == 0.5
        assert value(table, "score", metric, "stage") == pytest.approx(
            estimates["score"] - estimates["stage"]
        )


def test_within_folds_resamples_are_the_replicated_data(study, folds):
    outcome, score, stage, _ = study
    table = run(outcome, [score, stage], null=None, folds=folds, n_resamples=4)
    pair_weights = weights_of_pairs(outcome, 12)
    replicated = {(m, s): [] for m in pair_weights for s in ("score", "difference")}
    for w in bootstrap_weights(len(outcome), n_resamples=4, rng=spawn_rng(1, "compare")):
        rows = np.repeat(np.arange(len(outcome)), w)
        time, event = outcome["time"].to_numpy()[rows], outcome["event"].to_numpy()[rows]
        for metric, weight in pair_weights.items():
            c, other = (
                concordance_by_pairs(time, event, m.risk[:, rows], folds[:, rows], weight[rows])
                for m in (score, stage)
            )
            replicated[metric, "score"].append(c)
            replicated[metric, "difference"].append(c - other)
    for metric in pair_weights:
        for reference, what in (("", "score"), ("stage", "difference")):
            drawn = replicated[metric, what]
            limits = [value(table, "score", metric, reference, c) for c in ("lower", "upper", "se")]
            assert limits == pytest.approx(
                [*np.quantile(drawn, [0.025, 0.975]), np.std(drawn, ddof=1)]
            )


def test_an_offset_of_each_fold_moves_the_pooled_concordance_alone(study, folds):
    outcome, score, _, null = study
    shifted = Prediction("shifted", score.risk + 3.0 * folds)
    table = run(outcome, [score, shifted, null], references=["score"], folds=folds)
    difference = table[table["reference"] == "score"].set_index(["model", "metric"])
    for metric in (HARRELL, UNO):
        row = difference.loc[("shifted", metric), ["estimate", "lower", "upper", "se"]]
        assert (row == 0).all()
    assert abs(difference.loc[("shifted", "concordance_harrell"), "estimate"]) > 0.05
    assert abs(difference.loc[("shifted", "concordance_uno"), "estimate"]) > 0.05


def test_training_event_rates_are_chance_within_folds_and_below_it_between(study):
    """The reason for the metric: a fold with many events is scored by a model that saw few."""
    outcome = study[0]
    pooled = []
    for seed in range(10):
        rng = spawn_rng(seed, "null")
        shuffled = outcome.set_axis(rng.permutation(outcome.index.to_numpy()))
        folds = assign_folds(np.arange(90), n_folds=5, n_repeats=4, rng=rng)
        event = shuffled["event"].to_numpy()
        rate = [[event[fold != k].mean() for k in fold] for fold in folds]
        table = run(
            shuffled, [Prediction("rate", np.array(rate))], references=[], null=None, folds=folds
        )
        assert value(table, "rate", HARRELL) == 0.5
        assert value(table, "rate", UNO) == 0.5
        pooled.append(value(table, "rate", "concordance_harrell"))
    assert np.mean(pooled) < 0.5 - 3 * np.std(pooled, ddof=1) / np.sqrt(10)


def test_one_row_of_risk_is_compared_with_the_folds_of_every_repeat(study, folds):
    outcome, score, stage, null = study
    repeated = Prediction("repeated", np.repeat(stage.risk, 4, axis=0))
    table = run(outcome, [score, stage, repeated, null], folds=folds)
    for column in ("estimate", "lower", "upper", "se"):
        for metric in (HARRELL, UNO):
            assert value(table, "repeated", metric, column=column) == pytest.approx(
                value(table, "stage", metric, column=column), abs=1e-12
            )


def test_folds_add_two_metrics_and_leave_the_others(study, folds):
    outcome, score, stage, null = study
    plain = run(outcome, [score, stage, null])
    table = run(outcome, [score, stage, null], folds=folds)
    added = table["metric"].isin([HARRELL, UNO])
    assert not plain["metric"].isin([HARRELL, UNO]).any()
    pd.testing.assert_frame_equal(table[~added].reset_index(drop=True), plain, check_exact=True)
    assert len(table) == 10 * (3 + 2)
    assert (table.loc[added, "se"].loc[table["model"] != "null"] > 0).all()


def test_folds_without_a_comparable_pair_have_no_concordance():
    outcome = pd.DataFrame({"time": [1.0, 2, 3, 4], "event": [1, 0, 0, 0]})
    model = Prediction("m", np.array([[4.0, 3, 2, 1]]))
    table = compare(
        outcome,
        [model],
        times=[1],
        horizon=1,
        rng=spawn_rng(1),
        n_resamples=20,
        folds=[[0, 1, 1, 1]],
    )
    assert value(table, "m", "concordance_harrell") == 1
    assert np.isnan(value(table, "m", HARRELL))


@pytest.mark.parametrize(
    ("faulty_folds", "message"),
    [
        (np.arange(180).reshape(2, 90) % 5, "risk of model 'score' has 4 repeats and folds have 2"),
        (np.zeros((4, 90)), "one fold only"),
        (np.zeros((4, 89)), r"folds have shape \(4, 89\): give \(n_repeats, 90\)"),
        (np.full((4, 90), np.nan), "not whole numbers"),
    ],
)
def test_faulty_folds_are_refused(study, faulty_folds, message):
    with pytest.raises(InputError, match=message):
        run(study[0], list(study[1:]), folds=faulty_folds)


def test_a_model_minus_its_copy_is_exactly_zero(study):
    outcome, score, _, null = study
    copy = Prediction("copy", score.risk, score.survival, score.linear_predictor)
    table = run(outcome, [score, copy, null], references=["score"])
    rows = table[(table["model"] == "copy") & (table["reference"] == "score")]
    assert len(rows) == 8
    assert (rows[["estimate", "lower", "upper", "se"]] == 0).all().all()


def test_shape_of_the_table(study):
    outcome, score, stage, null = study
    table = run(outcome, [score, stage, null])
    assert list(table.columns) == [
        "model",
        "reference",
        "metric",
        "estimate",
        "lower",
        "upper",
        "se",
        "n",
        "events",
    ]
    assert len(table) == 8 * (3 + 2)
    assert not table.duplicated(["model", "reference", "metric"]).any()
    assert (table["n"] == 90).all()
    assert (table["events"] == outcome["event"].sum()).all()
    known = table.dropna()
    assert ((known["lower"] <= known["upper"]) & (known["se"] >= 0)).all()


def test_missing_parts_are_nan_and_the_rest_is_there(study):
    outcome, score, stage, null = study
    table = run(outcome, [score, stage, null])
    assert np.isnan(value(table, "stage", "brier_horizon"))
    assert np.isnan(value(table, "null", "calibration_slope"))
    assert np.isnan(value(table, "null", "calibration_slope", column="se"))
    assert value(table, "null", "concordance_harrell") == 0.5
    assert value(table, "null", "ipa_horizon") == 0
    assert np.isnan(value(run(outcome, [score], references=[], null=None), "score", "ipa_horizon"))


def test_same_stream_same_table_whatever_the_order_of_the_models(study):
    outcome, score, stage, null = study
    first = run(outcome, [score, stage, null])
    keys = ["model", "reference", "metric"]
    second = run(outcome, [null, stage, score])
    pd.testing.assert_frame_equal(
        first.sort_values(keys, ignore_index=True), second.sort_values(keys, ignore_index=True)
    )


def test_table_does_not_depend_on_the_number_of_blas_threads(study):
    outcome, score, stage, null = study
    tables = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            tables.append(run(outcome, [score, stage, null], n_resamples=400))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_censoring_strata_reach_the_metrics(study):
    outcome, score, _, null = study
    strata = np.arange(90) % 2
    table = run(outcome, [score, null], references=[], strata=strata)
    expected = np.mean(
        [
            brier_score(outcome["time"], outcome["event"], s, times=TIMES, strata=strata)[1]
            for s in score.survival
        ]
    )
    assert value(table, "score", "brier_horizon") == pytest.approx(expected)


def test_interval_is_withheld_where_many_resamples_lack_the_metric():
    outcome = pd.DataFrame({"time": [1.0, 2, 3, 4, 5, 6], "event": [1, 0, 0, 0, 0, 0]})
    model = Prediction("m", np.array([[6.0, 5, 4, 3, 2, 1]]))
    table = compare(outcome, [model], times=[2], horizon=2, rng=spawn_rng(1), n_resamples=50)
    assert value(table, "m", "concordance_harrell") == 1
    assert np.isnan(value(table, "m", "concordance_harrell", column="lower"))


def faulty(study, **changes):
    outcome, score, stage, null = study
    parts = {"name": "score", "risk": score.risk, "survival": score.survival} | changes
    return outcome, [Prediction(**parts), stage, null]


def test_missing_predictions_name_their_patients(study):
    risk = study[1].risk.copy()
    risk[2, 5] = np.nan
    with pytest.raises(InputError, match=r"risk of model 'score' is missing .* patient p005"):
        run(*faulty(study, risk=risk))


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"risk": np.zeros(90)}, {}, r"risk of model 'score' has shape \(90,\)"),
        ({"survival": np.zeros((4, 90, 2))}, {}, r"give \(n_repeats, 90, 3\)"),
        ({"survival": np.full((4, 90, 3), 2.0)}, {}, "survival of model 'score' is outside"),
        ({"name": "stage"}, {}, "share the name stage"),
        ({"name": ""}, {}, "empty name"),
        ({}, {"references": ["stages"]}, "reference 'stages' is not a model .nearest: 'stage'"),
        ({}, {"null": "stage"}, "null 'stage' has no survival"),
        ({}, {"horizon": 11.0}, "horizon 11 is not one of the times"),
        ({}, {"times": [12.0, 24.0, 600.0]}, "longest follow-up"),
        ({}, {"confidence_level": 1.0}, "confidence_level is 1"),
    ],
)
def test_faulty_comparisons_are_refused(study, changes, options, message):
    outcome, predictions = faulty(study, **changes)
    with pytest.raises(InputError, match=message):
        run(outcome, predictions, **options)


def test_nothing_to_compare_is_refused(study):
    with pytest.raises(InputError, match="no prediction"):
        run(study[0], [], references=[], null=None)
