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
from times_stats.nonparametric import kaplan_meier
from times_stats.resampling import bootstrap_weights, spawn_rng

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
    weights = bootstrap_weights(len(outcome), 60, spawn_rng(1, "compare"))
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
