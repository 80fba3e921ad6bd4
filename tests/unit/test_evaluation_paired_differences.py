"""All differences at once, Riley's sample size, and how far predictions move."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.evaluation import (
    Prediction,
    compare,
    compare_pairs,
    minimal_sample_size,
    prediction_instability,
    simultaneous_intervals,
)
from times_stats.resampling import spawn_rng


def differences(values):
    return np.stack([values[b] - values[a] for a, b in combinations(range(len(values)), 2)])


def test_five_equal_means_are_all_held_at_once():
    """Bootstrap draws of five equal estimates: the family errs in 5 %, single intervals oftener."""
    n, errors, rejected, alone = 300, 0, 0, 0
    for k in range(n):
        rng = spawn_rng(3, "equal", k)
        estimate = rng.normal(size=5)
        drawn = estimate[:, None] + rng.normal(size=(5, 199))
        values = differences(np.column_stack([estimate, drawn]))
        table = simultaneous_intervals(values)
        errors += ((table["lower_simultaneous"] > 0) | (table["upper_simultaneous"] < 0)).any()
        rejected += (table["p_adjusted"] <= 0.05).any()
        lower, upper = np.quantile(values[:, 1:], [0.025, 0.975], axis=1)
        alone += ((lower > 0) | (upper < 0)).any()
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)
    assert errors / n < most
    assert rejected / n < most
    assert rejected > 0  # and it is no empty promise
    assert alone / n > 0.2


def test_adjusted_p_values_by_hand():
    """Step down: the largest against the maximum of both, the second against itself."""
    values = np.array([[3.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 1.0, 1.0, -1.0]])
    se = values[:, 1:].std(axis=1, ddof=1)
    statistic = np.abs(values[:, 0]) / se
    deviation = np.abs(values[:, 1:] - values[:, [0]]) / se[:, None]
    first = (1 + (deviation.max(axis=0) >= statistic[0]).sum()) / 5
    second = (1 + (deviation[1] >= statistic[1]).sum()) / 5
    table = simultaneous_intervals(values, confidence_level=0.5)
    assert statistic[0] > statistic[1]
    assert table["p_adjusted"].tolist() == [first, max(first, second)]
    width = np.sort(deviation.max(axis=0))[2] * se  # of 4 resamples, position .5 (4 + 1)
    np.testing.assert_allclose(table["upper_simultaneous"], values[:, 0] + width)
    np.testing.assert_allclose(table["lower_simultaneous"], values[:, 0] - width)


def test_equal_and_undefined_differences():
    rng = np.random.default_rng(1)
    values = np.vstack([np.zeros(100), rng.normal(size=100), np.full(100, np.nan)])
    values[2, :50] = 1.0
    table = simultaneous_intervals(values)
    assert table.loc[0].tolist() == [0.0, 0.0, 1.0, 2.0]
    assert table.loc[2].isna().tolist() == [True, True, True, False]
    only = simultaneous_intervals(values[1:2])
    assert table.loc[1, "p_adjusted"] == only.loc[0, "p_adjusted"]
    assert simultaneous_intervals(values[2:])["n_differences"].tolist() == [0]


def test_resamples_that_never_define_all_leave_no_interval():
    """Each row lacks a share of its own, few enough alone, and no resample has all of them."""
    values = np.random.default_rng(1).normal(size=(25, 101))
    for k in range(25):
        values[k, 1 + 4 * k : 5 + 4 * k] = np.nan
    table = simultaneous_intervals(values)
    assert (table["n_differences"] == 25).all()
    assert table[["lower_simultaneous", "upper_simultaneous", "p_adjusted"]].isna().all(axis=None)
    assert simultaneous_intervals(values[:20]).notna().all(axis=None)  # 20 resamples are left


def test_too_few_resamples_are_refused():
    values = np.random.default_rng(1).normal(size=(2, 20))
    assert simultaneous_intervals(values).notna().all(axis=None)
    with pytest.raises(InputError, match=r"18 resamples cannot .* 0\.95: use n_resamples of 19"):
        simultaneous_intervals(values[:, :-1])
    with pytest.raises(InputError, match="n_resamples of 99 at least"):
        simultaneous_intervals(values, confidence_level=0.99)


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(3)
    hazard = rng.normal(size=80)
    outcome = pd.DataFrame({"time": rng.exponential(20 * np.exp(-hazard)), "event": 1})
    models = [
        Prediction("null", np.zeros((1, 80)), np.full((1, 80, 1), 0.5)),
        Prediction("a", (hazard + rng.normal(size=80))[None]),
        Prediction("b", hazard[None], np.exp(-0.6 * np.exp(hazard))[None, :, None]),
        Prediction("c", -hazard[None]),
    ]
    return outcome, models


def test_pairs_are_the_differences_of_compare(study):
    outcome, models = study
    options = {"times": [12.0], "horizon": 12.0, "null": "null", "n_resamples": 100}
    pairs = compare_pairs(outcome, models, rng=spawn_rng(1), **options)
    table = compare(outcome, models, references=["a", "b"], rng=spawn_rng(1), **options)
    key = ["model", "reference", "metric"]
    assert set(zip(pairs["model"], pairs["reference"], strict=True)) == {
        ("b", "a"),
        ("c", "a"),
        ("c", "b"),
    }
    same = pairs.merge(table, on=key, suffixes=("", "_compare"))
    assert len(same) == len(pairs)
    for column in ("estimate", "lower", "upper", "se"):
        np.testing.assert_array_equal(same[column], same[f"{column}_compare"])
    harrell = pairs[pairs["metric"] == "concordance_harrell"].set_index(["model", "reference"])
    assert harrell.loc[("c", "b"), "p_adjusted"] == pytest.approx(1 / 101)
    assert (harrell["n_differences"] == 3).all()
    brier = pairs[pairs["metric"] == "brier_horizon"]
    assert brier["estimate"].isna().all()
    assert (brier["n_differences"] == 0).all()


def test_pairs_need_two_models_and_a_level(study):
    outcome, models = study
    options = {"times": [12.0], "horizon": 12.0, "n_resamples": 10, "rng": spawn_rng(1)}
    with pytest.raises(InputError, match="no two models to compare"):
        compare_pairs(outcome, models[:2], null="null", **options)
    with pytest.raises(InputError, match="confidence_level is 95"):
        compare_pairs(outcome, models, confidence_level=95, **options)


# Patients that the first criterion asks for: tests of the R package pmsampsize 1.1.3
# (tests/testthat/test_surv.R, 3.1 to 3.3) and the example of its manual, from
# doi:10.1136/bmj.m441.
# For the second those tests hold numbers of an earlier version, under a tolerance of 100 %.
@pytest.mark.parametrize(
    ("n_parameters", "r_squared", "n"),
    [(25, 0.051, 4286), (25, 0.065, 3335), (50, 0.051, 8572), (30, 0.051, 5143)],
)
def test_sample_sizes_against_pmsampsize(n_parameters, r_squared, n):
    table = minimal_sample_size(
        n_parameters=n_parameters,
        r_squared=r_squared,
        event_rate=0.065,
        mean_follow_up=2.07,
        horizon=2,
    )
    assert table.loc["shrinkage", "n"] == table.loc["all", "n"] == n
    # The second, with the rounding of the package's code: largest R squared .55, S three decimals.
    second = round(r_squared / (r_squared + 0.05 * 0.55), 3)
    rounded = np.ceil(n_parameters / ((second - 1) * np.log(1 - r_squared / second)))
    assert table.loc["optimism", "n"] == pytest.approx(rounded, rel=0.02)
    assert table.loc["optimism", "value"] == pytest.approx(second, abs=0.005)


def test_the_overall_risk_is_as_precise_as_asked():
    given = {"n_parameters": 1, "r_squared": 0.3, "event_rate": 0.065, "mean_follow_up": 2.07}
    table = minimal_sample_size(horizon=2, **given)

    def margin(n):
        upper = 0.065 + 1.96 * np.sqrt(0.065 / (n * 2.07))
        return np.exp(-0.065 * 2) - np.exp(-upper * 2)

    n = table.loc["overall_risk", "n"]
    assert margin(n) <= 0.05 < margin(n - 1)
    assert table.loc["overall_risk", "value"] == pytest.approx(margin(n))
    assert table.loc["all", "n"] == n


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_parameters": 0}, "n_parameters is 0"),
        ({"n_parameters": 2.5}, "no whole number"),
        ({"n_parameters": np.nan}, "n_parameters is nan: give a number above 0"),
        ({"n_parameters": np.inf}, "n_parameters is inf: give a number above 0"),
        ({"event_rate": -1}, "event_rate is -1"),
        ({"event_rate": 0.02, "mean_follow_up": 60}, "is 1.2 events a patient"),
        ({"r_squared": 1.2}, "r_squared is 1.2: give a number between"),
        ({"r_squared": 0.6}, "it is below 0.555"),
        ({"margin": 0.9}, "as large as the chance"),
        ({"shrinkage": 0.04}, "below the shrinkage"),
    ],
)
def test_impossible_sample_sizes_are_refused(change, said):
    given = {"n_parameters": 5, "r_squared": 0.05, "event_rate": 0.065, "mean_follow_up": 2.07}
    with pytest.raises(InputError, match=said):
        minimal_sample_size(**({"horizon": 2} | given | change))


def test_instability_of_models_that_agree_and_that_flip():
    prediction = pd.Series([0.2, 0.7], index=["a", "b"])
    still = prediction_instability(prediction, np.tile(prediction, (5, 1)), threshold=0.5)
    assert still.average == 0
    assert still.patients["share_moved"].tolist() == [0, 0]
    flipped = prediction_instability(prediction, [[0.7, 0.2], [0.2, 0.7]], threshold=0.5)
    np.testing.assert_allclose(flipped.patients["mean_absolute_error"], 0.25)
    assert flipped.patients["share_moved"].to_dict() == {"a": 0.5, "b": 0.5}
    assert flipped.n_models == 2
    assert prediction_instability([0.2], [[0.1], [0.4]]).patients["share_moved"].isna().all()


@pytest.mark.parametrize(
    ("prediction", "resampled", "said"),
    [
        ([0.1, 0.2], [[0.1, 0.2]], r"resampled has shape \(1, 2\)"),
        ([0.1, 0.2], [[0.1], [0.2]], r"give \(n_models, 2\)"),
        ([0.1, 1.2], [[0.1, 0.2]] * 2, "prediction is no probability .* position 1"),
        ([0.1, 0.2], [[0.1, np.nan]] * 2, "resampled is no probability .* position 1"),
        ([0.1, 0.2], [[0.1, 0.2], [0.1]], "resampled is not numeric"),
    ],
)
def test_instability_refuses_what_is_no_prediction(prediction, resampled, said):
    with pytest.raises(InputError, match=said):
        prediction_instability(prediction, resampled)
    with pytest.raises(InputError, match="threshold is 2"):
        prediction_instability([0.1], [[0.1], [0.2]], threshold=2)
