"""Competing events, delayed entry, censoring curves, influence, pooling: rules and refusals."""

from __future__ import annotations

import time as clock

import numpy as np
import pytest

from times_stats.errors import DataWarning, InputError
from times_stats.evaluation import (
    CensoringCurves,
    bootstrap_metric,
    brier_score,
    calibration_curve,
    calibration_groups,
    cohort_metrics,
    concordance_harrell,
    concordance_uno,
    cox_censoring,
    estimate_auc,
    estimate_brier,
    estimate_concordance_harrell,
    estimate_concordance_uno,
    ici,
    integrated_brier,
    log_density_score,
    net_benefit,
    observed_expected,
    pool_cohorts,
    threshold_accuracy,
    time_dependent_auc,
)
from times_stats.evaluation.discrimination import auc_pairs, harrell_pairs, risk_order
from times_stats.evaluation.pair_sums import event_sums, other_sums
from times_stats.nonparametric import (
    aalen_johansen,
    censoring_distribution,
    kaplan_meier,
    restricted_mean_survival,
)


@pytest.fixture(scope="module")
def study():
    """200 patients: whole months, a competing event, censoring that depends on the site."""
    rng = np.random.default_rng(11)
    n = 200
    x, site = rng.normal(size=n), rng.integers(0, 2, n)
    first = rng.exponential(25 * np.exp(-x))
    second = rng.exponential(50, n)
    censored = rng.exponential(60 * np.exp(-site)) + 2
    time = np.ceil(np.minimum.reduce([first, second, censored, np.full(n, 48.0)]))
    ended = np.minimum(first, second) <= np.minimum(censored, 48)
    cause = np.where(ended, np.where(first < second, 1, 2), 0)
    total = np.exp(x) / 25 + 1 / 50
    times = np.array([6.0, 12.0, 24.0])
    incidence = (np.exp(x) / 25 / total)[:, None] * (1 - np.exp(-total[:, None] * times))
    return {
        "time": time,
        "event": (cause == 1).astype(int),
        "cause": cause,
        "x": x,
        "site": site,
        "times": times,
        "survival": 1 - incidence,
        "cohort": np.array(["a", "b", "c", "d"])[np.arange(n) % 4],
        "entry": np.minimum(rng.integers(0, 6, n), time - 1),
    }


def test_without_competing_events_cause_changes_nothing(study):
    time, event, s = study["time"], study["event"], study["survival"]
    kw, horizon, cuts = {"cause": event}, 12, [0.2, 0.4]
    np.testing.assert_array_equal(
        brier_score(time, event, s, times=study["times"]),
        brier_score(time, event, s, times=study["times"], **kw),
    )
    assert integrated_brier(time, event, s, times=study["times"]) == integrated_brier(
        time, event, s, times=study["times"], **kw
    )
    assert concordance_uno(time, event, study["x"], horizon=horizon) == pytest.approx(
        concordance_uno(time, event, study["x"], horizon=horizon, **kw), abs=1e-14
    )
    for measure in (net_benefit, threshold_accuracy):
        plain = measure(time, event, 1 - s[:, 1], horizon=horizon, thresholds=cuts)
        same = measure(time, event, 1 - s[:, 1], horizon=horizon, thresholds=cuts, **kw)
        assert plain.equals(same)
    # a smooth curve by subdistribution hazard is then the Cox curve
    cox = calibration_curve(time, event, s[:, 1], horizon=horizon)
    fine_gray = calibration_curve(time, event, s[:, 1], horizon=horizon, **kw)
    np.testing.assert_allclose(cox, fine_gray, atol=1e-8)


def test_a_competing_event_is_not_a_censoring(study):
    """Censoring it instead says that those patients could still have the event."""
    time, cause = study["time"], study["cause"]
    found = observed_expected(
        time, study["event"], study["survival"][:, 2], horizon=24, cause=cause
    )
    naive = 1 - kaplan_meier(time, study["event"]).at(24)
    assert found.observed < naive - 0.02
    assert found.lower < 1 < found.upper  # the true incidences are calibrated
    wrong = observed_expected(time, study["event"], study["survival"][:, 2], horizon=24)
    assert wrong.ratio > found.upper


def test_risk_of_the_competing_event_is_no_credit():
    """A patient with a competing event stands among the controls."""
    time, cause = [1, 2, 3, 4], [1, 2, 0, 0]
    event = [1, 0, 0, 0]
    kw = {"times": [2], "cause": cause}
    assert time_dependent_auc(time, event, [2, 3, 1, 1], **kw)[0] == pytest.approx(2 / 3)
    assert time_dependent_auc(time, event, [3, 2, 1, 1], **kw)[0] == 1


def test_concordance_of_many_patients_is_that_of_all_pairs(study):
    time, event, risk = study["time"], study["event"], np.round(study["x"], 1)
    pairs = harrell_pairs(time, event)
    sums = event_sums(time, event, risk, event_weights=np.ones(time.size))
    other_wins, other_pairs = other_sums(time, event, risk, event_weights=np.ones(time.size))
    score = pairs.weights * risk_order(risk, pairs.rows)
    np.testing.assert_array_equal(sums.rows, pairs.rows)
    np.testing.assert_array_equal(sums.wins, score.sum(axis=1))
    np.testing.assert_array_equal(sums.pairs, pairs.weights.sum(axis=1))
    np.testing.assert_allclose(other_wins, score.sum(axis=0), atol=1e-9)
    np.testing.assert_array_equal(other_pairs, pairs.weights.sum(axis=0))


def test_auc_is_that_of_all_pairs(study):
    time, event, risk = study["time"], study["event"], np.round(study["x"], 1)
    ended = (study["cause"] > 0).astype(int)
    G = censoring_distribution(time, ended, strata=study["cohort"])
    kw = {"strata": study["cohort"]}
    pairs = auc_pairs(time, event, G, horizon=12, ended=ended, **kw)
    expected = (pairs.weights * risk_order(risk, pairs.rows)).sum() / pairs.weights.sum()
    found = time_dependent_auc(time, event, risk, times=[12], cause=study["cause"], **kw)
    assert found[0] == pytest.approx(expected, abs=1e-14)


def test_concordance_of_100_000_patients():
    rng = np.random.default_rng(2)
    n = 100_000
    risk = np.round(rng.normal(size=n), 2)
    time = np.ceil(rng.exponential(30 * np.exp(-risk)))
    event = rng.integers(0, 2, n)
    start = clock.process_time()
    value = concordance_harrell(time, event, risk)
    assert clock.process_time() - start < 5  # every pair would be 10^10
    part = rng.choice(n, 3000, replace=False)
    assert value == pytest.approx(
        concordance_harrell(time[part], event[part], risk[part]), abs=0.03
    )


def test_an_early_entry_changes_nothing_and_a_late_one_leaves_pairs_out(study):
    time, event, x = study["time"], study["event"], study["x"]
    none = np.zeros(time.size)
    assert concordance_harrell(time, event, x, entry=none) == concordance_harrell(time, event, x)
    curve = kaplan_meier(time, event, entry=none)
    np.testing.assert_array_equal(curve.values, kaplan_meier(time, event).values)
    late = kaplan_meier(time, event, entry=study["entry"])
    assert (late.at_risk <= curve.at_risk).all()
    assert late.number_at_risk(1) == (study["entry"] < 1).sum()
    incidence = aalen_johansen(time, study["cause"], entry=study["entry"])
    free = kaplan_meier(time, study["cause"] > 0, entry=study["entry"])
    np.testing.assert_allclose(incidence[1].values + incidence[2].values + free.values, 1)


def test_groups_take_competing_events_and_delayed_entry(study):
    table = calibration_groups(
        study["time"],
        study["event"],
        study["survival"][:, 1],
        horizon=12,
        n_groups=3,
        cause=study["cause"],
        entry=study["entry"],
    )
    assert ((table["lower"] < table["observed"]) & (table["observed"] < table["upper"])).all()
    assert table["observed"].is_monotonic_increasing


def test_a_group_without_the_event_of_interest():
    found = observed_expected([1, 2, 3, 4], [0, 0, 0, 0], [0.9] * 4, horizon=2, cause=[2, 2, 0, 0])
    assert (found.observed, found.ratio) == (0, 0)
    assert np.isnan([found.lower, found.upper]).all()


def test_curves_of_one_stratum_are_kaplan_meier_weights(study):
    time, event, cause = study["time"], study["event"], study["cause"]
    G = censoring_distribution(time, cause > 0).curves["all"]
    curves = CensoringCurves(G.times[:-1], np.tile(G.values[:-1], (time.size, 1)))
    kw = {"cause": cause, "censoring": curves}
    np.testing.assert_allclose(
        brier_score(time, event, study["survival"], times=study["times"], **kw),
        brier_score(time, event, study["survival"], times=study["times"], cause=cause),
    )
    for measure in (time_dependent_auc, concordance_uno):
        when = {"times": [12]} if measure is time_dependent_auc else {"horizon": 12}
        given = measure(time, event, study["x"], **when, **kw)
        np.testing.assert_allclose(given, measure(time, event, study["x"], **when, cause=cause))


def test_cox_weights_mend_censoring_that_depends_on_the_site():
    """Site 1 is sicker and leaves early: only weights that know the site see its events."""
    rng = np.random.default_rng(3)
    n = 4000
    site = rng.integers(0, 2, n)
    failure = rng.exponential(30 / (1 + 3 * site))
    leaves = rng.exponential(np.where(site == 1, 20.0, 200.0))
    time, event = np.minimum(failure, leaves), (failure <= leaves).astype(int)
    true = (failure <= 12).mean()
    always = np.full((n, 1), 1.0)  # squared error of "no event" is the probability of the event
    plain = brier_score(time, event, always, times=[12])[0]
    curves = cox_censoring(time, event, site[:, None])
    mended = brier_score(time, event, always, times=[12], censoring=curves)[0]
    assert abs(mended - true) < 0.015 < abs(plain - true)


def test_influences_sum_to_zero_and_give_paired_differences(study):
    time, event, cause = study["time"], study["event"], study["cause"]
    other = np.round(-study["x"])
    kw = {"times": study["times"], "strata": study["cohort"], "cause": cause}
    auc, noise = estimate_auc(time, event, study["x"], **kw), estimate_auc(time, event, other, **kw)
    np.testing.assert_allclose(auc.influence.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(
        auc.estimate,
        time_dependent_auc(time, event, study["x"], **kw),
        atol=1e-14,
    )
    gap = auc.minus(noise)
    assert (gap.estimate - 4 * gap.se > 0).all()
    np.testing.assert_allclose(auc.minus(auc).se, 0)
    lower, upper = auc.interval()
    assert ((lower < auc.estimate) & (auc.estimate < upper)).all()
    brier = estimate_brier(time, event, study["survival"], **kw)
    np.testing.assert_allclose(brier.influence.sum(axis=0), 0, atol=1e-12)
    with pytest.raises(InputError, match="the same patients and times"):
        auc.minus(estimate_auc(time, event, other, times=[12], cause=cause))


def test_influence_agrees_with_leaving_patients_out_within_strata(study):
    """With strata the derivative in a case weight is that of the stratum's own curve."""
    time, event, strata = study["time"], study["event"], study["site"]
    kw = {"times": [12.0]}
    found = estimate_brier(time, event, study["survival"][:, [1]], strata=strata, **kw)
    n = time.size
    out = []
    for k in range(n):
        keep = np.arange(n) != k
        out.append(
            brier_score(
                time[keep], event[keep], study["survival"][keep][:, [1]], strata=strata[keep], **kw
            )[0]
        )
    jackknife = (n - 1) * np.std(out) / np.sqrt(n - 1) * np.sqrt((n - 1) / n)
    assert found.se[0] == pytest.approx(jackknife, rel=0.02)
    assert found.se[0] != pytest.approx(found.se_known_weights[0], rel=1e-4)


def test_auc_without_cases_has_no_standard_error(study):
    found = estimate_auc(study["time"] + 1, study["event"], study["x"], times=[0.5, 12])
    assert np.isnan(found.estimate[0])
    assert np.isnan(found.se[0])
    assert np.isfinite(found.se[1])


def test_bootstrap_agrees_with_the_influence_function(study):
    time, event, x = study["time"], study["event"], study["x"]

    def metric(rows):
        return concordance_harrell(time[rows], event[rows], x[rows])

    found = bootstrap_metric(metric, study["cohort"], n_resamples=200, rng=np.random.default_rng(5))
    expected = estimate_concordance_harrell(time, event, x)
    assert found.estimate == pytest.approx(expected.estimate[0], abs=1e-14)
    assert found.se == pytest.approx(expected.se[0], rel=0.2)
    again = bootstrap_metric(metric, study["cohort"], n_resamples=200, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(found.resamples, again.resamples)


def test_bootstrap_draws_within_strata_and_counts_what_is_undefined():
    strata = np.array(["a"] * 3 + ["b"] * 5)
    sizes = []

    def metric(rows):
        sizes.append([(strata[rows] == name).sum() for name in ("a", "b")])
        if len(sizes) % 2 == 0:
            raise InputError("nobody here")
        return 1.0

    found = bootstrap_metric(metric, strata, n_resamples=10, rng=np.random.default_rng(1))
    assert sizes == [[3, 5]] * 11
    assert np.isnan(found.resamples).sum() == 5
    assert np.isnan([found.se, found.lower, found.upper]).all()


def test_cohorts_are_pooled_with_room_for_a_new_one(study):
    time, event, x = study["time"], study["event"], study["x"]
    table = cohort_metrics(
        lambda rows: concordance_harrell(time[rows], event[rows], x[rows]),
        study["cohort"],
        n_resamples=60,
        rng=np.random.default_rng(1),
    )
    assert table["n"].tolist() == [50] * 4
    pool = pool_cohorts(table["estimate"], table["se"], scale="logit")
    assert pool.prediction_lower <= pool.lower < pool.estimate < pool.upper <= pool.prediction_upper
    assert pool.weights.sum() == pytest.approx(1)
    with pytest.warns(DataWarning, match="half-width is 0 on the identity scale, and 0.0301"):
        alike = pool_cohorts([0.7, 0.7, 0.7], [0.02, 0.03, 0.04])
    assert (alike.tau, alike.q, alike.i_squared) == (0, pytest.approx(0), 0)
    with pytest.raises(InputError, match="cohort b: no two patients can be compared"):
        cohort_metrics(
            lambda rows: concordance_harrell(
                [1, 2, 3, 3][rows[0] : rows[-1] + 1],
                [1, 1, 1, 1][rows[0] : rows[-1] + 1],
                [1, 2, 3, 4][rows[0] : rows[-1] + 1],
            ),
            ["a", "a", "b", "b"],
            n_resamples=2,
            rng=np.random.default_rng(1),
        )


def test_log_density_prefers_the_truth_for_events_found_at_visits():
    rng = np.random.default_rng(4)
    true = rng.exponential(20, 500)
    lower, upper = np.floor(true / 6) * 6, np.floor(true / 6) * 6 + 6
    kind = np.where(lower >= 36, "censored", "interval")
    lower = np.minimum(lower, 36)
    scores = [
        log_density_score(kind, np.exp(-lower / mean), np.exp(-upper / mean)).mean()
        for mean in (10, 20, 40)
    ]
    assert scores[1] > max(scores[0], scores[2])
    assert log_density_score(["interval"], [0.5], [0.5])[0] == -np.inf
    # an interval that shrinks to a moment has the density, up to its width
    width = 1e-6
    narrow = log_density_score(["interval"], [np.exp(-1)], [np.exp(-1 - width)])[0]
    exact = log_density_score(["exact"], [np.exp(-1)], [0], hazard=[1.0])[0]
    assert narrow - np.log(width) == pytest.approx(exact, abs=1e-6)


def test_restricted_mean_of_a_known_curve():
    found = restricted_mean_survival([1, 2, 3, 4], [1, 0, 1, 0], horizon=4)
    assert found.estimate == pytest.approx(1 + 0.75 * 2 + 0.375)
    with pytest.raises(InputError, match="longest follow-up"):
        restricted_mean_survival([1, 2], [1, 1], horizon=5)
    with pytest.raises(InputError, match="positive number"):
        restricted_mean_survival([1, 2], [1, 1], horizon=0)


T, E = [1.0, 2.0, 3.0, 4.0], [1, 0, 1, 0]
SIX = [6.0, 12.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: concordance_harrell(T, E, T, entry=[0, 2, 0, 0]), "not before time in row 1"),
        (lambda: concordance_harrell(T, E, T, entry=[0, -1, 0, 0]), "entry is negative in row 1"),
        (lambda: concordance_harrell(T, E, T, entry=[0, 0]), "entry has shape"),
        (lambda: concordance_harrell(T, E, T, entry=["a"] * 4), "entry is not numeric"),
        (lambda: kaplan_meier(T, E, entry=[0, np.nan, 0, 0]), "entry is missing"),
        (lambda: concordance_harrell(T, E, T, horizon=0.5), "no two patients"),
        (lambda: estimate_concordance_harrell(T, E, T, horizon=0.5), "no two patients"),
        (lambda: concordance_uno(T, E, T, horizon=3, cause=[1, 0, 2, 0]), "disagree in row 2"),
        (lambda: concordance_uno(T, E, T, horizon=3, cause=[1, 0.5, 1, 0]), "whole number"),
        (lambda: concordance_uno(T, E, T, horizon=3, cause=[1, 0]), "cause has shape"),
        (lambda: concordance_uno(T, E, T, horizon=3, cause=["a"] * 4), "cause is not numeric"),
        (lambda: CensoringCurves(SIX, [[0.9], [0.8]]), "have shape"),
        (lambda: CensoringCurves(SIX, [[0.9, 0.8], [0.5, 0.7]]), "rises in row 1"),
        (lambda: CensoringCurves([12, 6], [[0.9, 0.8]]), "not increasing"),
        (lambda: CensoringCurves([], [[]]), "not finite"),
        (lambda: CensoringCurves(SIX, [[0.9, 0.8]]).at(6, strata=["a"]), "both given"),
        (
            lambda: concordance_uno(T, E, T, horizon=3, censoring=CensoringCurves([1], [[1.0]])),
            "curves of 1 patients",
        ),
        (
            lambda: concordance_uno(
                T, E, T, horizon=3, strata=T, censoring=CensoringCurves([1], [[1.0]] * 4)
            ),
            "both given",
        ),
        (
            lambda: brier_score(
                T, E, [[0.5]] * 4, times=[3], censoring=CensoringCurves([1], [[0.05]] * 4)
            ),
            "below 0.1 in row 1, 2, 3",
        ),
        (lambda: cox_censoring(T, [1, 1, 1, 1], [[1], [2], [3], [4]]), "nobody is censored"),
        (lambda: cox_censoring(T, E, [[1], [1], [1], [1]]), "constant in column 0"),
        (lambda: cox_censoring(T, E, [1, 2, 3, 4]), "X has shape"),
        (lambda: cox_censoring(T, E, [[1, 2], [2, 4], [0, 0], [5, 10]]), "has no solution"),
        (lambda: pool_cohorts([0.7], [0.1]), "two cohorts or more"),
        (lambda: pool_cohorts([0.7, np.nan], [0.1, 0.1]), "missing in row 1"),
        (lambda: pool_cohorts([0.7, 0.6], [0.1, 0]), "not positive in row 1"),
        (lambda: pool_cohorts([0.7, 1.2], [0.1, 0.1], scale="logit"), "range of the logit scale"),
        (lambda: pool_cohorts([0.7, 0.6], [0.1, 0.1], scale="probit"), "scale is"),
        (lambda: pool_cohorts([0.7, 0.6], [0.1, 0.1], method="pm"), "method is"),
        (lambda: pool_cohorts([0.7, 0.6], [0.1, 0.1], confidence_level=1), "confidence_level"),
        (lambda: pool_cohorts(["a", "b"], [0.1, 0.1]), "not numeric"),
        (lambda: log_density_score(["scan"], [1], [0]), "kind 'scan' is not known"),
        (lambda: log_density_score([["exact"]], [1], [0]), "dimensions"),
        (lambda: log_density_score(["exact"], [0.5], [0]), "no hazard"),
        (lambda: log_density_score(["exact"], [0.5], [0], hazard=[-1]), "missing or negative"),
        (lambda: log_density_score(["exact"], [0.5], [0], hazard=[1, 1]), "hazard has shape"),
        (lambda: log_density_score(["interval"], [0.5], [0.6]), "above survival_lower in row 0"),
        (lambda: log_density_score(["censored"], [0.5], [0], survival_entry=[0.0]), "is 0 in row"),
        (
            lambda: log_density_score(["censored"], [0.5], [0], survival_entry=[0.4]),
            "survival_entry is below",
        ),
        (lambda: observed_expected(T, E, [1] * 4, horizon=2), "no event is expected"),
        (
            lambda: observed_expected(T, E, [0.5] * 4, horizon=2, confidence_level=0),
            "confidence_level",
        ),
        (
            lambda: bootstrap_metric(len, T, n_resamples=1, rng=np.random.default_rng(1)),
            "n_resamples is 1",
        ),
        (
            lambda: bootstrap_metric(len, T, confidence_level=2, rng=np.random.default_rng(1)),
            "confidence_level",
        ),
        (
            lambda: estimate_concordance_uno(T, E, T, horizon=3).interval(confidence_level=0),
            "confidence_level",
        ),
    ],
)
def test_faulty_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_ici_without_the_event_of_interest_is_nan():
    survival = np.linspace(0.1, 0.9, 8)
    value = ici(np.arange(1.0, 9), np.zeros(8), survival, horizon=4, cause=[2, 0] * 4)
    assert np.isnan(value)
