"""What evaluation refuses, warns of, and computes in blocks."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

from times_stats import evaluation
from times_stats.errors import DataWarning, InputError
from times_stats.evaluation import (
    CensoringCurves,
    Prediction,
    brier_score,
    calibration_groups,
    calibration_in_the_large,
    compare,
    concordance_harrell,
    concordance_uno,
    cox_censoring,
    discrimination,
    estimate_auc,
    estimate_concordance_harrell,
    integrated_brier,
    log_density_score,
    net_benefit,
    observed_expected,
    pool_cohorts,
    time_dependent_auc,
)
from times_stats.nonparametric import (
    aalen_johansen,
    censoring_distribution,
    estimators,
    kaplan_meier,
    restricted_mean_survival,
)
from times_stats.nonparametric.risk_sets import risk_sets

T, E = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 1, 0])


@pytest.fixture(scope="module")
def study():
    """120 patients in whole months, a competing event, two sites."""
    rng = np.random.default_rng(5)
    n = 120
    x = rng.normal(size=n)
    first, second = rng.exponential(20 * np.exp(-x)), rng.exponential(40, n)
    censored = rng.exponential(50, n) + 3
    time = np.ceil(np.minimum.reduce([first, second, censored]))
    ended = np.minimum(first, second) <= censored
    cause = np.where(ended, np.where(first < second, 1, 2), 0)
    total = np.exp(x) / 20 + 1 / 40
    times = np.array([6.0, 12.0])
    survival = 1 - (np.exp(x) / 20 / total)[:, None] * (1 - np.exp(-total[:, None] * times))
    return {
        "time": time,
        "event": (cause == 1).astype(int),
        "cause": cause,
        "x": x,
        "site": rng.choice(["north", "south"], n),
        "times": times,
        "survival": survival,
    }


def test_interval_of_a_difference_may_be_negative(study):
    time, event = study["time"], study["event"]
    good = estimate_concordance_harrell(time, event, study["x"])
    bad = estimate_concordance_harrell(time, event, -study["x"])
    gap = bad.minus(good)
    lower, upper = gap.interval()
    assert -1 <= lower < gap.estimate < upper < 0
    lower, upper = good.minus(bad).interval()
    assert 0 < lower < upper <= 1
    assert (gap.lowest, good.lowest) == (-1, 0)


def test_restricted_likelihood_is_found_where_full_steps_jump():
    """Fisher scoring jumped between two values here, and said so as an error."""
    y, se = np.array([0.81233438, 0.27645498]), np.array([0.02176223, 0.00489398])
    pool = pool_cohorts(y, se)
    # two cohorts: the estimate is that of the moments, (y1 - y2)^2 / 2 - mean(v)
    assert pool.tau**2 == pytest.approx((y[0] - y[1]) ** 2 / 2 - (se**2).mean(), rel=1e-6)
    rng = np.random.default_rng(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        for _ in range(200):
            k = int(rng.integers(2, 8))
            se = 10 ** rng.uniform(-4, 0, k)
            y = rng.normal(size=k) * 10 ** rng.uniform(-4, 1)
            assert np.isfinite(pool_cohorts(y, se).tau)


def test_entry_at_zero_is_no_delay():
    time, event = np.array([0.0, 0.0, 2.0, 3.0]), np.array([1, 0, 1, 0])
    ones = np.ones(4)
    for plain, late in zip(
        risk_sets(time, event, ones),
        risk_sets(time, event, ones, entry=np.zeros(4)),
        strict=True,
    ):
        np.testing.assert_array_equal(plain, late)
    late = np.array([0.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(risk_sets(time, event, ones, entry=late)[1], [3, 2, 1])


def _with_entry():
    """Public measures that do not use entry, by the line that refuses it."""
    return [
        name
        for name in evaluation.__all__
        if callable(getattr(evaluation, name))
        and "refuse_entry(entry)" in inspect.getsource(getattr(evaluation, name))
    ]


def test_every_measure_weighted_for_censoring_gives_the_reason_against_entry():
    arguments = {
        "risk": T,
        "survival": [[0.5]] * 4,
        "survival_at_horizon": [0.5] * 4,
        "probability": [0.5] * 4,
        "times": [2],
        "horizon": 2,
        "thresholds": [0.5],
    }
    names = _with_entry()
    assert len(names) == 13
    for name in names:
        function = getattr(evaluation, name)
        needed = inspect.signature(function).parameters
        given = {key: value for key, value in arguments.items() if key in needed}
        with pytest.raises(InputError, match="entry is delayed in row 1, and this measure"):
            function(T, E, **given, entry=[0, 1, 0, 0])
    assert brier_score(T, E, [[0.5]] * 4, times=[2], entry=[0] * 4) == brier_score(
        T, E, [[0.5]] * 4, times=[2]
    )


def test_comparison_names_what_takes_other_outcomes():
    outcome = pd.DataFrame({"time": T, "event": E, "entry": [0, 1, 0, 0]})
    model = Prediction("model", T[None])
    kw = {"times": [2], "horizon": 2, "rng": np.random.default_rng(1)}
    with pytest.raises(InputError, match=r"'entry'.*concordance_harrell.*observed_expected"):
        compare(outcome, [model], **kw)
    scans = outcome.drop(columns="entry").assign(time_lower=[0.5, np.nan, 2, np.nan])
    with pytest.raises(InputError, match=r"'time_lower'.*log_density_score compares"):
        compare(scans, [model], **kw)


def test_comparison_takes_competing_events(study):
    outcome = pd.DataFrame({key: study[key] for key in ("time", "event", "cause")})
    model = Prediction("model", study["x"][None], study["survival"][None])
    kw = {"times": study["times"], "horizon": 12, "strata": study["site"], "n_resamples": 2}
    table = compare(outcome, [model], **kw, rng=np.random.default_rng(1))
    found = table.set_index("metric")["estimate"]
    single = {"strata": study["site"], "cause": study["cause"]}
    time, event, x, survival = (study[k] for k in ("time", "event", "x", "survival"))
    expected = {
        "concordance_harrell": concordance_harrell(time, event, x),
        "concordance_uno": concordance_uno(time, event, x, horizon=12, **single),
        "auc_horizon": time_dependent_auc(time, event, x, times=[12], **single)[0],
        "brier_horizon": brier_score(time, event, survival, times=[6, 12], **single)[1],
        "integrated_brier": integrated_brier(time, event, survival, times=[6, 12], **single),
        "calibration_in_the_large": calibration_in_the_large(
            time, event, survival[:, 1], horizon=12, **single
        ),
    }
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, abs=1e-12), metric
    plain = compare(outcome.drop(columns="cause"), [model], **kw, rng=np.random.default_rng(1))
    assert plain.set_index("metric")["estimate"]["brier_horizon"] != found["brier_horizon"]


def test_blocks_change_no_number(study, monkeypatch):
    time, event, cause, x = (study[k] for k in ("time", "event", "cause", "x"))
    G = censoring_distribution(time, cause > 0)
    curves = CensoringCurves(np.unique(time), np.tile(G.at(np.unique(time)), (time.size, 1)))
    late = np.where(np.arange(time.size) % 3 == 0, time / 2, 0)

    def everything():
        curve = aalen_johansen(time, cause)
        delayed = aalen_johansen(time, cause, entry=late)
        return [
            concordance_uno(time, event, x, horizon=12, strata=study["site"], cause=cause),
            concordance_uno(time, event, x, horizon=12, cause=cause, censoring=curves),
            concordance_uno(time, event, x, horizon=12, cause=cause),
            *curve[1].se,
            *curve[2].se,
            *delayed[1].se,
        ]

    whole = everything()
    assert whole[1] == pytest.approx(whole[2], abs=1e-12)  # one curve for all is Kaplan-Meier
    monkeypatch.setattr(discrimination, "_LARGEST_BLOCK", 500)
    monkeypatch.setattr(estimators, "_LARGEST_BLOCK", 500)
    np.testing.assert_allclose(everything(), whole, rtol=1e-12, equal_nan=True)


def test_a_first_risk_set_that_dies_out_is_no_silent_zero():
    time, event, entry = [2, 3, 10, 11, 12], [1, 1, 0, 0, 1], [0, 1, 5, 5, 6]
    message = "everybody at risk at 3 months had the event, before others entered"
    for call in (
        lambda: kaplan_meier(time, event, entry=entry),
        lambda: aalen_johansen(time, event, entry=entry),
        lambda: restricted_mean_survival(time, event, horizon=11, entry=entry),
        lambda: observed_expected(time, event, [0.5] * 5, horizon=11, entry=entry),
        lambda: calibration_groups(time, event, [0.5] * 5, horizon=11, entry=entry),
    ):
        with pytest.warns(DataWarning, match=message):
            call()


def test_log_density_needs_no_upper_survival_of_the_censored():
    found = log_density_score(["interval", "censored"], [0.9, 0.5], [0.4, np.nan])
    np.testing.assert_allclose(found, np.log([0.5, 0.5]))
    with pytest.raises(InputError, match="survival_upper is missing or infinite in row 0"):
        log_density_score(["interval", "censored"], [0.9, 0.5], [np.nan, np.nan])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: concordance_uno(T, E, T, horizon="2"), "horizon is not a number"),
        (lambda: concordance_harrell(T, E, T, horizon=np.nan), "horizon is nan"),
        (lambda: concordance_harrell(T, E, T, horizon="2"), "horizon is not a number"),
        (lambda: estimate_concordance_harrell(T, E, T, horizon=-1), "horizon is -1"),
        (lambda: restricted_mean_survival(T, E, horizon="2"), "horizon is not a number"),
        (
            lambda: concordance_uno(T, E, T, horizon=2, censoring=censoring_distribution(T, E)),
            "CensoringDistribution: give CensoringCurves, or strata",
        ),
        (lambda: brier_score(T, E, [[0.5]] * 4, times=["a"]), "times are not numeric"),
        (
            lambda: net_benefit(T, E, [0.5] * 4, horizon=2, thresholds=["a"]),
            "thresholds are not numeric",
        ),
        (lambda: estimate_auc(T, E, T, times=[2], entry=["a"] * 4), "entry is not numeric"),
        (lambda: cox_censoring(T, E, [["a"]] * 4), "X is not numeric"),
        (lambda: CensoringCurves(["a"], [[1.0]]), "censoring curves are not numeric"),
        (lambda: log_density_score(["exact"], [0.5], [0], hazard=["a"]), "hazard is not numeric"),
        (lambda: log_density_score(["censored"], [0.5], ["a"]), "survival_upper is not numeric"),
        (lambda: aalen_johansen(T, ["a"] * 4), "cause is not numeric"),
        (lambda: kaplan_meier(T, E, weights=["a"] * 4), "weights are not numeric"),
        (lambda: kaplan_meier(T, E).interval(confidence_level=95), "confidence_level is 95"),
    ],
)
def test_odd_input_gets_a_reason(call, message):
    with pytest.raises(InputError, match=message):
        call()
