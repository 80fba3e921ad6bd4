"""Accelerated failure time: XGBoost against scipy, signs, probabilities, refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xgboost as xgb

from times_stats.boosting import MarkerModel, complementary_log_log, crossfit
from times_stats.boosting.failure_time import (
    DISTRIBUTIONS,
    failure_time_log_likelihood,
    failure_time_probability,
    fit_failure_time_location,
    log_density,
    log_hazard_slope,
    log_survival,
)
from times_stats.errors import InputError

SCIPY = {
    "normal": scipy.stats.norm,
    "logistic": scipy.stats.logistic,
    "extreme": scipy.stats.gumbel_l,
}
EACH = pytest.mark.parametrize("distribution", DISTRIBUTIONS)


def study(n=150, seed=1):
    rng = np.random.default_rng(seed)
    index = [f"p{i:03d}" for i in range(n)]
    X = pd.DataFrame(rng.normal(size=(n, 2)), index=index, columns=["adjacent", "tumour"])
    time = 30 * np.exp(-0.7 * X["tumour"] + rng.normal(size=n))
    censored = rng.uniform(5, 90, n)
    event = (time <= censored).astype(int)
    return X, pd.DataFrame({"time": np.minimum(time, censored), "event": event}, index=index)


@EACH
def test_closed_forms_are_those_of_scipy(distribution):
    z = np.linspace(-8, 4, 25)
    law = SCIPY[distribution]
    np.testing.assert_allclose(
        log_density(z, distribution=distribution), law.logpdf(z), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(
        log_survival(z, distribution=distribution), np.log(law.sf(z)), rtol=1e-9, atol=1e-12
    )
    found = failure_time_probability(
        np.array([2.0, np.nan]), horizon=24.0, distribution=distribution, scale=1.3
    )
    assert found[0] == pytest.approx(law.cdf((np.log(24) - 2) / 1.3), rel=1e-12)
    assert np.isnan(found[1])


@EACH
def test_common_location_maximises_the_likelihood(distribution):
    _, y = study()
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    weight = np.random.default_rng(2).uniform(0.5, 2, len(y))
    options = {"distribution": distribution, "scale": 0.8}
    best = fit_failure_time_location(time, event, weight, **options)

    def total(location):
        return weight @ failure_time_log_likelihood(time, event, location, **options)

    assert total(best) > max(total(best - 1e-3), total(best + 1e-3))


@EACH
@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_loss_and_leaves_of_xgboost_are_the_formula(distribution, scale):
    """One unpenalised stump: XGBoost's loss, and a Newton step from derivatives by differences."""
    X, y = study(80)
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    model = MarkerModel(
        objective="survival:aft",
        aft_distribution=distribution,
        aft_scale=scale,
        n_rounds=1,
        max_depth=1,
        learning_rate=1.0,
        min_child_weight=1.0,
        reg_lambda=3.0,
    ).fit(X, y)
    options = {"distribution": distribution, "scale": scale}
    start = fit_failure_time_location(time, event, np.ones(len(y)), **options)
    raw = model.booster_.predict(xgb.DMatrix(X.to_numpy()), output_margin=True).astype(float)
    leaf_values, step = np.unique(raw), 1e-4
    assert leaf_values.size == 2
    for value in leaf_values:
        rows = raw == value
        low, middle, high = (
            failure_time_log_likelihood(time[rows], event[rows], start + shift, **options).sum()
            for shift in (-step, 0.0, step)
        )
        gradient = (high - low) / (2 * step)
        hessian = -(high - 2 * middle + low) / step**2
        assert value - start == pytest.approx(gradient / (hessian + 3.0), rel=2e-3, abs=2e-5)
    matrix = xgb.DMatrix(X.to_numpy())
    matrix.set_float_info("label_lower_bound", time)
    matrix.set_float_info("label_upper_bound", np.where(event == 1, time, np.inf))
    # Asked of a trained booster, XGBoost forgets the scale of its metric: train once more.
    told: dict = {}
    parameters = model._booster_parameters(None) | {
        "base_score": float(np.exp(start)),
        "eval_metric": "aft-nloglik",
    }
    xgb.train(
        parameters, matrix, 1, evals=[(matrix, "same")], evals_result=told, verbose_eval=False
    )
    expected = -failure_time_log_likelihood(time, event, raw, **options).mean()
    assert told["same"]["aft-nloglik"][0] == pytest.approx(expected, rel=1e-5)


@EACH
@pytest.mark.parametrize("scale", [0.6, 1.7])
def test_the_log_hazard_rises_with_the_margin_as_its_slope_says(distribution, scale):
    options = {"distribution": distribution, "scale": scale}
    margin = np.linspace(-3, 1.5, 25) * scale

    def log_hazard(shift):
        told = failure_time_probability(np.log(24.0) - margin - shift, horizon=24, **options)
        return complementary_log_log(told)

    expected = (log_hazard(1e-5) - log_hazard(-1e-5)) / 2e-5
    np.testing.assert_allclose(log_hazard_slope(log_hazard(0.0), **options), expected, rtol=1e-6)
    model = MarkerModel(objective="survival:aft", aft_distribution=distribution, aft_scale=scale)
    np.testing.assert_allclose(model.log_hazard_slope(log_hazard(0.0)), expected, rtol=1e-6)


def test_log_odds_have_the_slope_of_a_logistic_error():
    odds = np.linspace(-4, 4, 9)
    step = 1e-5

    def log_hazard(values):
        return complementary_log_log(1 / (1 + np.exp(-values)))

    expected = (log_hazard(odds + step) - log_hazard(odds - step)) / (2 * step)
    found = MarkerModel(objective="binary:logistic").log_hazard_slope(log_hazard(odds))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (MarkerModel().log_hazard_slope(odds) == 1).all()


def test_units_of_the_margin():
    assert MarkerModel().margin_unit == "log hazard"
    assert MarkerModel(objective="binary:logistic").margin_unit == "log odds"
    assert MarkerModel(objective="survival:aft").margin_unit == "log hazard"
    for changes in ({"aft_scale": 2.0}, {"aft_distribution": "normal"}):
        model = MarkerModel(objective="survival:aft", **changes)
        assert model.margin_unit == "negative log time"


@EACH
def test_without_a_split_the_probability_is_that_of_the_null_model(distribution):
    X, y = study()
    model = MarkerModel(
        objective="survival:aft", aft_distribution=distribution, min_child_weight=1e6
    ).fit(X, y)
    assert not model.has_split()
    location = fit_failure_time_location(
        y["time"].to_numpy(),
        y["event"].to_numpy(),
        np.ones(len(y)),
        distribution=distribution,
        scale=1.0,
    )
    expected = SCIPY[distribution].cdf(np.log(24.0) - location)
    found = model.predict_event_probability(X, horizon=24.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X), 0.0)


def test_larger_is_earlier_and_treeshap_adds_up():
    X, y = study()
    model = MarkerModel(objective="survival:aft").fit(X, y)
    raw = model.booster_.predict(xgb.DMatrix(X.to_numpy()), output_margin=True)
    margin = model.predict(X)
    np.testing.assert_allclose(model.base_value_ - margin, raw, atol=5e-6)
    assert np.corrcoef(margin, X["tumour"])[0, 1] > 0.6  # tumour shortens the time
    assert (
        np.abs(model.attribute(X)).mean(axis=0)[1] > 2 * np.abs(model.attribute(X)).mean(axis=0)[0]
    )
    p = model.predict_event_probability(X, horizon=24.0)
    z = np.log(24.0) - (model.base_value_ - margin)
    np.testing.assert_allclose(p, scipy.stats.gumbel_l.cdf(z), rtol=1e-9)
    assert model.baseline_ is None
    assert (model.predict_event_probability(X, horizon=36.0) > p).all()


def test_units_of_time_change_nothing_but_the_base_value():
    X, y = study()
    months = MarkerModel(objective="survival:aft").fit(X, y)
    days = MarkerModel(objective="survival:aft").fit(X, y.assign(time=y["time"] * 30.4375))
    np.testing.assert_allclose(months.predict(X), days.predict(X), atol=2e-4)
    assert days.base_value_ - months.base_value_ == pytest.approx(np.log(30.4375), abs=1e-4)


def test_row_order_and_weights():
    X, y = study()
    whole = MarkerModel(objective="survival:aft").fit(X, y)
    shuffled = np.random.default_rng(3).permutation(len(X))
    again = MarkerModel(objective="survival:aft").fit(X.iloc[shuffled], y.iloc[shuffled])
    np.testing.assert_array_equal(whole.predict(X), again.predict(X))
    weights = np.where(np.arange(len(X)) < 5, 0.0, 1.0)
    weighted = MarkerModel(objective="survival:aft").fit(X, y, sample_weight=weights).predict(X)
    fewer = MarkerModel(objective="survival:aft").fit(X.iloc[5:], y.iloc[5:]).predict(X)
    np.testing.assert_allclose(weighted, fewer, atol=1e-6)


def test_smallest_leaf_counts_events_whatever_the_scale():
    X, y = study()
    model = MarkerModel(objective="survival:aft", aft_scale=2.0).fit(X, y)
    assert model.min_child_weight_ == 2.5
    config = json.loads(model.booster_.save_config())
    loss = config["learner"]["objective"]["aft_loss_param"]
    assert (loss["aft_loss_distribution"], float(loss["aft_loss_distribution_scale"])) == (
        "extreme",
        2,
    )


def test_time_zero_is_refused_with_advice():
    X, y = study()
    y.iloc[3, 0] = 0.0
    with pytest.raises(InputError, match=r"time is 0 for patient p003.*half a day.*survival:cox"):
        MarkerModel(objective="survival:aft").fit(X, y)
    assert MarkerModel().fit(X, y).n_events_ > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aft_distribution": "weibull"}, "aft_distribution 'weibull' is unknown"),
        ({"aft_scale": 0.1}, "aft_scale is 0.1: give a number of 0.3 or more"),
        ({"aft_scale": np.nan}, "aft_scale is nan"),
        ({"region_interaction": "no"}, "region_interaction is 'no': give True or False"),
        ({"monotone_constraints": ["tumour"]}, "monotone_constraints is no mapping"),
        ({"monotone_constraints": {"tumour": 2}}, "monotone_constraints of tumour is 2"),
        ({"monotone_constraints": {"tumour": True}}, "monotone_constraints of tumour is True"),
        (
            {"monotone_constraints": {"tumor": 1}},
            r"names tumor.*nearest: 'tumour'.*adjacent, tumour",
        ),
    ],
)
def test_bad_parameters(changes, message):
    with pytest.raises(InputError, match=message):
        MarkerModel(objective="survival:aft", **changes).fit(*study())


def test_aft_needs_a_positive_horizon():
    X, y = study()
    with pytest.raises(InputError, match="horizon is 0"):
        MarkerModel(objective="survival:aft").fit(X, y).predict_evidence(X, horizon=0)


# --- constraints of regions ----------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["survival:cox", "survival:aft", "binary:logistic"])
def test_a_direction_is_one_of_the_risk_under_every_objective(objective):
    X, y = study(300)
    light = {"reg_lambda": 1.0, "min_child_weight": 1.0, "max_depth": 2}
    horizon = 24.0 if objective == "binary:logistic" else None

    def moves(**constraint):
        model = MarkerModel(objective=objective, horizon=horizon, **light, **constraint).fit(X, y)
        grid = pd.DataFrame({"adjacent": 0.3, "tumour": np.linspace(-2.5, 2.5, 200)})
        return np.diff(model.predict(grid))

    free = moves()
    assert free.max() > 0.01
    assert free.min() < -0.01  # noise goes both ways
    assert moves(monotone_constraints={"tumour": 1}).min() > -1e-6
    assert moves(monotone_constraints={"tumour": 1}).max() > 0.01
    # The truth rises: a model that may only fall finds next to nothing.
    falling = moves(monotone_constraints={"tumour": -1})
    assert falling.max() < 1e-6


def test_regions_kept_apart_give_a_sum_of_their_functions():
    X, y = study(300)
    y["time"] = 30 * np.exp(-X["tumour"] * X["adjacent"]) + 0.1
    light = {"reg_lambda": 1.0, "min_child_weight": 1.0, "max_depth": 3}

    def interaction(**options):
        model = MarkerModel(**light, **options).fit(X, y)
        a, b = np.meshgrid([-1.0, 1.0], [-1.0, 1.0])
        corner = model.predict(pd.DataFrame({"adjacent": a.ravel(), "tumour": b.ravel()}))
        return corner[0] - corner[1] - corner[2] + corner[3]

    assert abs(interaction()) > 0.2
    assert abs(interaction(region_interaction=False)) < 1e-6


def test_constraints_reach_the_markers_that_have_the_region():
    rng = np.random.default_rng(5)
    X, y = study()
    columns = pd.MultiIndex.from_tuples(
        [("CD4", "front"), ("CD4", "tumour"), ("CD8", "adjacent"), ("CD8", "tumour")]
    )
    features = pd.DataFrame(rng.normal(size=(150, 4)), index=X.index, columns=columns)
    model = MarkerModel(monotone_constraints={"front": -1, "CD8:tumour": 1})
    fit = crossfit(features, y, model=model, horizon=24.0, n_folds=2, n_repeats=1)
    first = fit.models[0][0]
    assert first["CD4"].monotone_constraints == {"front": -1}
    assert first["CD8"].monotone_constraints == {"CD8:tumour": 1}
    with pytest.raises(InputError, match=r"names stroma, no region.*front, tumour, adjacent"):
        crossfit(features, y, model=MarkerModel(monotone_constraints={"stroma": 1}), horizon=24.0)
