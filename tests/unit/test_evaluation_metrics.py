from __future__ import annotations

import numpy as np
import pytest

from times_stats import evaluation
from times_stats.errors import InputError
from times_stats.evaluation import (
    brier_score,
    calibration_groups,
    calibration_in_the_large,
    calibration_slope,
    concordance_harrell,
    concordance_uno,
    ici,
    index_of_prediction_accuracy,
    integrated_brier,
    net_benefit,
    time_dependent_auc,
)
from times_stats.nonparametric import kaplan_meier


@pytest.fixture
def cohort():
    rng = np.random.default_rng(7)
    predictor = rng.normal(size=150)
    failure = rng.exponential(20 * np.exp(-predictor))
    censoring = rng.uniform(5, 60, 150)
    time = np.minimum(failure, censoring)
    times = np.array([6.0, 12.0, 24.0])
    survival = np.exp(-times / 20 * np.exp(predictor)[:, None])
    return time, (failure <= censoring).astype(int), predictor, survival, times


def test_every_public_name_is_there():
    assert set(evaluation.__all__) <= set(dir(evaluation))
    assert all(getattr(evaluation, name).__name__ == name for name in evaluation.__all__)


def test_risk_ties_count_one_half():
    assert concordance_harrell([1, 2, 3], [1, 1, 1], [5, 5, 5]) == 0.5
    assert concordance_harrell([1, 2, 3], [1, 1, 0], [2, 1, 1]) == pytest.approx(2.5 / 3)


def test_time_ties():
    # an event and a censoring at one time are compared, two events are not
    assert concordance_harrell([2, 2], [1, 0], [3, 1]) == 1
    with pytest.raises(InputError, match="no two patients can be compared"):
        concordance_harrell([2, 2], [1, 1], [3, 1])


def test_metrics_agree_with_scikit_survival(cohort):
    metrics = pytest.importorskip("sksurv.metrics")
    util = pytest.importorskip("sksurv.util")
    time, event, predictor, survival, times = cohort
    y = util.Surv.from_arrays(event.astype(bool), time)
    assert concordance_harrell(time, event, predictor) == pytest.approx(
        metrics.concordance_index_censored(event.astype(bool), time, predictor)[0]
    )
    assert concordance_uno(time, event, predictor, horizon=24) == pytest.approx(
        metrics.concordance_index_ipcw(y, y, predictor, tau=24)[0]
    )
    np.testing.assert_allclose(
        time_dependent_auc(time, event, predictor, times=times),
        metrics.cumulative_dynamic_auc(y, y, predictor, times)[0],
    )
    np.testing.assert_allclose(
        brier_score(time, event, survival, times=times),
        metrics.brier_score(y, y, survival, times)[1],
    )
    assert integrated_brier(time, event, survival, times=times) == pytest.approx(
        metrics.integrated_brier_score(y, y, survival, times)
    )


def test_where_scikit_survival_has_another_rule():
    """A censoring tied with an event, an event at the horizon, risks 1e-9 apart."""
    metrics = pytest.importorskip("sksurv.metrics")
    util = pytest.importorskip("sksurv.util")
    time = np.array([2.0, 4.0, 4.0, 5.0, 6.0, 8.0, 9.0])
    event = np.array([1, 1, 0, 1, 1, 0, 0])
    risk = np.array([5.0, 2.0, 4.0, 3.0, 1.0, 2.0, 0.0])
    y = util.Surv.from_arrays(event.astype(bool), time)
    ours = concordance_harrell(time, event, risk)
    assert ours == metrics.concordance_index_censored(event.astype(bool), time, risk)[0]
    near = risk + np.array([0, 0, 0, 0, 0, 1e-9, 0])
    assert concordance_harrell(time, event, near) < ours
    assert metrics.concordance_index_censored(event.astype(bool), time, near)[0] == ours
    # an event at the horizon counts here, so a later horizon without events changes nothing
    uno = concordance_uno(time, event, risk, horizon=6)
    assert uno == concordance_uno(time, event, risk, horizon=6.5)
    theirs = [metrics.concordance_index_ipcw(y, y, risk, tau=tau)[0] for tau in (6, 6.5)]
    assert theirs[0] != pytest.approx(theirs[1])
    # G(t-) here, G(t) there: equal once the tie is gone
    survival = np.linspace(0.2, 0.8, 7)[:, None]
    gaps = []
    for moved in (time, time + np.array([0, 0, 0.1, 0, 0, 0, 0])):
        y = util.Surv.from_arrays(event.astype(bool), moved)
        there = metrics.brier_score(y, y, survival, [6.0])[1][0]
        gaps.append(abs(brier_score(moved, event, survival, times=[6])[0] - there))
    assert gaps[1] < 1e-12 < 1e-3 < gaps[0]


def test_uno_ignores_events_beyond_the_horizon(cohort):
    time, event, predictor, _, _ = cohort
    altered = np.where(time > 24, -predictor, predictor)
    beyond = (time > 24) & (event == 1)
    assert beyond.any()
    flat = concordance_uno(time, np.where(time > 24, 0, event), altered, horizon=24)
    # G is the same up to the horizon, so only events by then count
    assert concordance_uno(time, event, altered, horizon=24) == pytest.approx(flat)


def test_auc_is_nan_without_cases(cohort):
    time, event, predictor, _, _ = cohort
    values = time_dependent_auc(time + 1, event, predictor, times=[0.5, 12])
    assert np.isnan(values[0])
    assert 0.5 < values[1] < 1


def test_the_true_model_is_calibrated_and_a_bad_one_is_not(cohort):
    time, event, predictor, survival, _ = cohort
    assert calibration_slope(time, event, predictor) == pytest.approx(1, abs=0.25)
    assert calibration_slope(time, event, 2 * predictor) == pytest.approx(
        calibration_slope(time, event, predictor) / 2
    )
    true, far = survival[:, 1], survival[:, 1] ** 3
    assert abs(calibration_in_the_large(time, event, true, horizon=12)) < 0.1
    assert calibration_in_the_large(time, event, far, horizon=12) < -0.15
    assert ici(time, event, true, horizon=12) < 0.1 < ici(time, event, far, horizon=12)


@pytest.mark.parametrize(
    ("event", "predictor"),
    [([1, 1, 1, 0], [2, 2, 2, 2]), ([0, 0, 0, 0], [1, 2, 3, 4]), ([1, 1, 1, 0], [4, 3, 2, 1])],
    ids=["constant", "no event", "perfect order"],
)
def test_slope_that_does_not_exist_is_nan(event, predictor):
    assert np.isnan(calibration_slope([1, 2, 3, 4], event, predictor))


def test_calibration_groups_keep_equal_predictions_together():
    time, event = np.arange(1, 13), np.tile([1, 1, 0], 4)
    table = calibration_groups(time, event, np.repeat([0.2, 0.8], 6), horizon=5, n_groups=5)
    assert table["n"].tolist() == [6, 6]
    assert table["group"].tolist() == [1, 2]
    assert table["predicted"].tolist() == pytest.approx([0.2, 0.8])


def test_calibration_group_that_is_not_followed_is_nan():
    time, event = [1, 2, 3, 9, 9, 9], [1, 0, 0, 0, 0, 0]
    table = calibration_groups(time, event, [0.2, 0.2, 0.2, 0.8, 0.8, 0.8], horizon=8, n_groups=2)
    assert np.isnan(table["observed"]).tolist() == [False, True]
    assert table["observed"][0] == 0
    assert np.isnan(table[["lower", "upper"]].to_numpy()).all()
    with pytest.raises(InputError, match="n_groups is 0"):
        calibration_groups(time, event, [0.5] * 6, horizon=8, n_groups=0)


def test_ici_refuses_predictions_with_few_values():
    with pytest.raises(InputError, match="use calibration_groups"):
        ici([1, 2, 3, 4], [1, 1, 1, 0], [0.5, 0.5, 0.7, 0.7], horizon=2)


def test_ici_of_a_perfect_order_is_nan():
    time = np.arange(1.0, 41.0)
    assert np.isnan(ici(time, np.ones(40), np.linspace(0.01, 0.99, 40), horizon=20))


def test_kaplan_meier_has_no_accuracy_of_its_own(cohort):
    time, event, _, survival, times = cohort
    null = np.tile(kaplan_meier(time, event).at(times), (time.size, 1))
    np.testing.assert_allclose(
        index_of_prediction_accuracy(time, event, null, times=times), 0, atol=1e-12
    )
    own = index_of_prediction_accuracy(time, event, survival, times=times)
    given = index_of_prediction_accuracy(time, event, survival, times=times, null_survival=null)
    np.testing.assert_allclose(own, given)
    with pytest.raises(InputError, match="predicts every outcome"):
        index_of_prediction_accuracy(time + 1, event, survival, times=[0.1, 0.5, 1.0])


def test_net_benefit_of_treating_all_is_reached_at_low_thresholds(cohort):
    time, event, _, survival, _ = cohort
    table = net_benefit(
        time, event, 1 - survival[:, 1], horizon=12, thresholds=[1e-6, 0.3, 0.999999]
    )
    assert table["n_treated"].iloc[0] == time.size
    assert table["net_benefit"].iloc[0] == pytest.approx(table["treat_all"].iloc[0])
    assert table["net_benefit"].iloc[1] > max(0.0, table["treat_all"].iloc[1])
    with pytest.raises(InputError, match="inside"):
        net_benefit(time, event, 1 - survival[:, 1], horizon=12, thresholds=[0, 0.5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, e, r, _s: concordance_harrell(t, e, r[:-1]), "risk has shape"),
        (lambda t, e, r, _s: concordance_harrell(t, e, np.r_[np.nan, r[1:]]), "infinite in row 0"),
        (lambda t, e, _r, _s: concordance_harrell(t, e, ["a"] * t.size), "risk is not numeric"),
        (lambda t, e, r, _s: concordance_uno(t, e, r, horizon=500), "longest follow-up"),
        (lambda t, e, r, _s: time_dependent_auc(t, e, r, times=[12, 6]), "increasing"),
        (lambda t, e, r, _s: time_dependent_auc(t, e, r, times=[]), "at least one time"),
        (lambda t, e, _r, s: brier_score(t, e, s + 1, times=[6, 12, 24]), "survival is outside"),
        (lambda t, e, _r, s: brier_score(t, e, s, times=[6, 12]), "survival has shape"),
        (lambda t, e, r, _s: calibration_slope(t, e + 2, r), "event"),
    ],
)
def test_faulty_input_is_refused(cohort, call, message):
    time, event, predictor, survival, _ = cohort
    with pytest.raises(InputError, match=message):
        call(time, event, predictor, survival)
