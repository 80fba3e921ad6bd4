"""Draws from the prior, ranks, and the check that holds them: no sampler involved."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from times_stats import plots
from times_stats.errors import InputError
from times_stats.survival.baseline import Baseline, learn_baseline
from times_stats.survival.hazard import baseline_cumulative_hazard, stacked
from times_stats.survival.outcomes import read_outcome
from times_stats.survival.prior import draw_prior, prior_survival
from times_stats.survival.sbc import (
    N_RANKS,
    check_ranks,
)
from times_stats.survival.simulated_studies import (
    _invert,
    _shape_integral,
    reference_baseline,
)
from times_stats.survival.spec import SurvivalSpec

COLUMNS = pd.MultiIndex.from_product([["A", "B"], ["x", "y"]])
BASELINES = ["weibull", "piecewise", "mspline"]


def drawn(spec, n_draws=20_000, cohorts=("a", "b", "c"), seed=0):
    baseline = reference_baseline(spec)
    return draw_prior(
        spec, columns=COLUMNS, baseline=baseline, cohorts=cohorts, n_draws=n_draws, seed=seed
    )


@pytest.mark.parametrize("baseline", BASELINES)
def test_moments_of_the_prior_are_those_of_the_specification(baseline):
    spec = SurvivalSpec(
        baseline=baseline,
        prior_slope_mean=0.2,
        prior_slope_sd=0.3,
        prior_effect_scale=0.4,
        prior_cohort_scale=0.6,
        prior_intercept_sd=1.5,
        prior_shape_sd=0.7,
        prior_smoothness_scale=0.5,
    )
    prior = drawn(spec)
    assert prior.sizes["draw"] == 20_000

    def moments(name):
        values = stacked(prior, name)
        return values.mean(axis=0), values.std(axis=0)

    mean, sd = moments("slope")
    assert (mean, sd) == pytest.approx((0.2, 0.3), abs=0.01)
    mean, sd = moments("intercept")
    assert mean == pytest.approx(reference_baseline(spec).log_rate, abs=0.04)
    assert sd == pytest.approx(1.5, rel=0.02)
    half = np.sqrt(2 / np.pi)
    assert moments("effect_scale")[0] == pytest.approx(0.4 * half, rel=0.02)
    assert moments("cohort_scale")[0] == pytest.approx(0.6 * half, rel=0.02)
    # A slope: its mean, and three effects with half-normal scales.
    mean, sd = moments("beta")
    assert mean == pytest.approx(0.2, abs=0.02)
    assert sd**2 == pytest.approx(0.3**2 + 3 * 0.4**2, rel=0.05)
    assert moments("cohort_effect")[1] == pytest.approx(0.6, rel=0.04)
    if baseline == "weibull":
        log_shape = np.log(stacked(prior, "shape"))
        assert (log_shape.mean(), log_shape.std()) == pytest.approx((0.0, 0.7), abs=0.02)
        return
    assert moments("smoothness")[0] == pytest.approx(0.5 * half, rel=0.02)
    weight = stacked(prior, "weight")
    np.testing.assert_allclose(weight.sum(axis=1), 1.0)
    flat = dataclasses.replace(spec, prior_smoothness_scale=1e-9)
    at = np.array([10.0, 30.0, 60.0])
    even = baseline_cumulative_hazard(reference_baseline(spec), drawn(flat, 5), at)
    np.testing.assert_allclose(even / even[:, [2]], np.tile(at / 60, (5, 1)), rtol=1e-6)


def test_same_seed_same_draws_and_one_cohort_has_no_effect():
    spec = SurvivalSpec()
    first, second = drawn(spec, 5, seed=3), drawn(spec, 5, seed=3)
    np.testing.assert_array_equal(first["beta"], second["beta"])
    assert not np.array_equal(first["beta"], drawn(spec, 5, seed=4)["beta"])
    assert "cohort_scale" not in drawn(spec, 5, cohorts=("all",))
    with pytest.raises(InputError, match="n_draws is 0"):
        drawn(spec, 0)


@pytest.mark.parametrize("baseline", BASELINES)
def test_curves_of_the_prior_fall_and_cover_what_is_plausible(baseline):
    rng = np.random.default_rng(1)
    y = pd.DataFrame({"time": rng.exponential(30, 80), "event": rng.integers(0, 2, 80)})
    spec = SurvivalSpec(baseline=baseline)
    curves = prior_survival(spec, y, times=[0.0, 12.0, 36.0], n_draws=2000, seed=1)
    assert (curves.isel(time=0) == 1).all()
    assert (np.diff(curves, axis=1) <= 0).all()
    low, high = np.quantile(curves.sel(time=36.0), [0.05, 0.95])
    assert low < 0.1
    assert high > 0.9
    assert 0.2 < np.median(curves.sel(time=36.0)) < 0.8
    tight = dataclasses.replace(spec, prior_intercept_sd=0.05, prior_cohort_scale=2.0)
    one, several = (
        prior_survival(tight, y, times=[30.0], n_draws=2000, seed=1, several_cohorts=many)
        for many in (False, True)
    )
    assert several.std() > 1.3 * one.std()


@pytest.mark.parametrize("baseline", BASELINES)
def test_inverse_of_the_cumulative_hazard(baseline):
    spec = SurvivalSpec(baseline=baseline)
    truth, fixed = drawn(spec, 1), reference_baseline(spec)
    times = np.array([0.01, 5.0, 24.0, 59.9, 60.0, 75.0, 300.0])
    target = _shape_integral(truth, fixed, times)
    np.testing.assert_allclose(_invert(truth, fixed, target), times, rtol=1e-9)


def test_a_baseline_of_another_kind_is_refused():
    outcome = read_outcome(pd.DataFrame({"time": [3.0, 5.0], "event": [1, 0]}))
    given = Baseline("weibull", 12.0, -1.0, 40.0)
    found, _, _ = learn_baseline(outcome, SurvivalSpec(), given=given)
    assert found == given
    with pytest.raises(InputError, match=r"'weibull' with 0 knots .* asks for 'piecewise' with 7"):
        learn_baseline(outcome, SurvivalSpec(baseline="piecewise"), given=given)


# Ranks.


def uniform_ranks(n=300, names=("a", "b", "c"), seed=0):
    rng = np.random.default_rng(seed)
    ranks = {name: rng.integers(0, N_RANKS + 1, n) for name in names}
    return pd.DataFrame({"replicate": range(n), "n_events": 30, "status": "converged", **ranks})


def test_uniform_ranks_pass_as_often_as_they_should():
    """All three quantities inside with probability .9: 200 tables, three binomial sds."""
    passed = [
        check_ranks(uniform_ranks(100, seed=seed), prob=0.9, n_simulations=2000)["inside"].all()
        for seed in range(200)
    ]
    assert abs(np.mean(passed) - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 200)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: N_RANKS // 2 + (r - N_RANKS // 2) * 2 // 3,  # posterior too wide
        lambda r: np.where(np.abs(r - 50) < 15, (r * 7) % 30 + 70 * (r % 2), r),  # too narrow
        lambda r: np.minimum(r + 12, N_RANKS),  # biased
    ],
    ids=["wide", "narrow", "biased"],
)
def test_wrong_posteriors_are_seen(change):
    ranks = uniform_ranks()
    ranks["b"] = change(ranks["b"].to_numpy())
    found = check_ranks(ranks, n_simulations=5000).set_index("quantity")
    assert found["inside"].tolist() == [True, False, True]
    assert found["deviation"].idxmax() == "b"


def test_studies_left_out_do_not_count():
    ranks = uniform_ranks(60)
    gone = ranks.assign(status="left out")[["replicate", "n_events", "status"]]
    both = pd.concat([ranks, gone])
    pd.testing.assert_frame_equal(
        check_ranks(both, n_simulations=1000), check_ranks(ranks, n_simulations=1000)
    )
    for function in (check_ranks, plots.plot_ranks):
        with pytest.raises(InputError, match="ranks hold no study"):
            function(gone.assign(a=0))
    with pytest.raises(InputError, match="prob is 99"):
        check_ranks(ranks, prob=99)


def test_picture_has_a_panel_for_each_quantity():
    figure = plots.plot_ranks(uniform_ranks(names=[f"q{k}" for k in range(6)]))
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert titles == [f"q{k}" for k in range(6)]
    line = figure.axes[0].get_lines()[1].get_ydata()
    assert len(line) == N_RANKS + 1
    assert line[-1] == pytest.approx(0.0)
