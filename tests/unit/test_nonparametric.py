from __future__ import annotations

import numpy as np
import pytest

from times_stats.errors import DataWarning, InputError
from times_stats.nonparametric import (
    aalen_johansen,
    censoring_distribution,
    check_censoring_strata,
    check_horizon,
    ipcw_weights,
    kaplan_meier,
    logrank,
    nelson_aalen,
    reverse_kaplan_meier,
)

TIME = [1, 2, 2, 3, 5, 5]
EVENT = [1, 1, 0, 0, 1, 0]


def test_curve_steps_at_its_times_from_the_right():
    curve = kaplan_meier(TIME, EVENT)
    np.testing.assert_allclose(curve.times, [1, 2, 3, 5])
    np.testing.assert_allclose(
        curve.at([0, 1, 1.5, 2, 4, 5, 99]), np.array([6, 5, 5, 4, 4, 2, 2]) / 6
    )
    np.testing.assert_allclose(curve.before([1, 2, 5]), np.array([6, 5, 4]) / 6)
    np.testing.assert_allclose(curve.number_at_risk([0, 2, 2.5, 5, 6]), [6, 5, 3, 2, 0])
    np.testing.assert_allclose(curve.se_at([0.5]), [0])


def test_events_precede_censorings_at_one_time():
    G = reverse_kaplan_meier(TIME, EVENT)
    # at 2 the event has left: one censoring among four; at 5 the last patient is censored
    np.testing.assert_allclose(G.at([1, 2, 3, 5]), [1, 3 / 4, 3 / 4 * 2 / 3, 0])


def test_weights_equal_copies():
    rng = np.random.default_rng(1)
    time, event = rng.integers(1, 9, 40), rng.integers(0, 2, 40)
    weights = rng.integers(0, 4, 40)
    weighted = kaplan_meier(time, event, weights=weights)
    copied = kaplan_meier(np.repeat(time, weights), np.repeat(event, weights))
    grid = np.arange(0, 10, 0.5)
    np.testing.assert_allclose(weighted.at(grid), copied.at(grid), atol=1e-12)
    hazard = nelson_aalen(time, event, weights=weights)
    np.testing.assert_allclose(
        hazard.at(grid), nelson_aalen(np.repeat(time, weights), np.repeat(event, weights)).at(grid)
    )


@pytest.mark.parametrize("weights", [[1, 2], [1, 1, 1, 1, 1, -1], [0] * 6, [np.nan] * 6])
def test_faulty_weights_are_refused(weights):
    with pytest.raises(InputError, match="weights are"):
        kaplan_meier(TIME, EVENT, weights=weights)


def test_quantile_takes_the_middle_of_a_flat_stretch_and_nan_beyond():
    curve = kaplan_meier([1, 2, 3, 4], [1, 1, 1, 1])
    assert curve.quantile(0.5) == 2.5
    assert curve.quantile(0.6) == 3
    assert np.isnan(kaplan_meier([1, 2, 3], [1, 0, 0]).quantile(0.5))


def test_incidences_and_survival_sum_to_one():
    rng = np.random.default_rng(2)
    time, cause = rng.integers(1, 20, 80), rng.integers(0, 4, 80)
    curves = aalen_johansen(time, cause)
    free = kaplan_meier(time, cause > 0)
    assert sorted(curves) == [1, 2, 3]
    np.testing.assert_allclose(
        sum(c.values for c in curves.values()) + free.values, 1.0, atol=1e-12
    )


@pytest.mark.parametrize("cause", [[0, 1.5], [0, -1], [0, np.nan]])
def test_faulty_causes_are_refused(cause):
    with pytest.raises(InputError, match="cause is not"):
        aalen_johansen([1, 2], cause)


def test_logrank_needs_two_groups_and_sees_a_difference():
    time = np.r_[np.arange(1, 31), np.arange(1, 31) + 25]
    result = logrank(time, np.ones(60), np.repeat(["a", "b"], 30))
    assert result.df == 1
    assert result.p_value < 1e-6
    with pytest.raises(InputError, match="two groups"):
        logrank([1, 2], [1, 1], ["a", "a"])


def test_strata_have_their_own_censoring_distribution():
    G = censoring_distribution([1, 2, 3, 4], [0, 1, 1, 1], strata=["a", "a", "b", "b"])
    np.testing.assert_allclose(G.at(1, strata=["a", "b"]), [0.5, 1])
    np.testing.assert_allclose(G.before([1, 2], strata=["a", "a"]), [1, 0.5])
    with pytest.raises(InputError, match="give the stratum"):
        G.at(1)
    with pytest.raises(InputError, match="stratum c is not known: use a, b"):
        G.at(1, strata=["c"])


def test_mean_weight_is_one_and_recovers_the_kaplan_meier():
    rng = np.random.default_rng(3)
    time, event = rng.integers(1, 30, 200), rng.integers(0, 2, 200)
    weights = ipcw_weights(time, event, horizon=15)
    assert weights.mean() == pytest.approx(1)
    observed = (weights * (time <= 15)).mean()
    assert observed == pytest.approx(1 - float(kaplan_meier(time, event).at(15)))
    assert (weights[(time <= 15) & (event == 0)] == 0).all()


def test_thin_follow_up_names_the_stratum():
    time, event = np.r_[np.full(20, 3), [30], np.full(20, 30)], np.zeros(41, int)
    strata = np.r_[np.repeat("west", 21), np.repeat("east", 20)]
    with pytest.raises(InputError, match=r"stratum west \(G = 0\.048\), below 0\.1"):
        ipcw_weights(time, event, horizon=24, strata=strata)
    assert ipcw_weights(time, event, horizon=24, strata=strata, min_probability=0.04).max() > 20


@pytest.mark.parametrize(
    ("horizon", "message"), [(6, "longest follow-up is 5"), (0, "positive"), (np.nan, "positive")]
)
def test_impossible_horizons_are_refused(horizon, message):
    with pytest.raises(InputError, match=message):
        check_horizon(TIME, EVENT, horizon=horizon)


@pytest.mark.parametrize(
    ("strata", "message"), [(["a"], "shape"), (["a"] * 5 + [None], "missing in row 5")]
)
def test_faulty_strata_are_refused(strata, message):
    with pytest.raises(InputError, match=message):
        censoring_distribution(TIME, EVENT, strata=strata)


def test_censoring_that_differs_is_a_warning_with_the_figures():
    time = np.r_[np.arange(1, 41), np.arange(1, 41) + 40]
    strata = np.repeat(["early", "late"], 40)
    with pytest.warns(DataWarning, match=r"p = .*early 20.5, late 60.5"):
        result = check_censoring_strata(time, np.zeros(80, int), strata)
    assert result is not None
    assert result.p_value < 0.01
    assert check_censoring_strata(time, np.zeros(80, int), np.repeat("one", 80)) is None


def test_limits_are_on_the_log_minus_log_scale_and_close_at_0_and_1():
    curve = kaplan_meier([1, 2, 3, 4], [0, 1, 1, 1])
    lower, upper = curve.interval(confidence_level=0.9)
    assert (lower[0], upper[0], lower[-1], upper[-1]) == (1, 1, 0, 0)
    z = (np.log(-np.log(lower[1:-1])) - np.log(-np.log(upper[1:-1]))) / 2
    values, se = curve.values[1:-1], curve.se[1:-1]
    np.testing.assert_allclose(z, 1.6448536 * se / (values * -np.log(values)), rtol=1e-7)
