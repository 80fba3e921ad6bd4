from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from times_stats.boosting import (
    BreslowBaseline,
    MarkerModel,
    complementary_log_log,
    estimate_baseline,
    event_probability,
)
from times_stats.errors import InputError

HORIZON = 24.0


def study(n=150, seed=1, regions=("adjacent", "tumour")):
    rng = np.random.default_rng(seed)
    index = [f"p{i:03d}" for i in range(n)]
    X = pd.DataFrame(rng.lognormal(size=(n, len(regions))), index=index, columns=list(regions))
    time = rng.exponential(size=n) * 40 * np.exp(-0.8 * np.log(X.iloc[:, -1].to_numpy()))
    censored = rng.uniform(5, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    return X, y


def model_of(objective, **changes):
    horizon = HORIZON if objective == "binary:logistic" else None
    return MarkerModel(objective=objective, horizon=horizon, **changes)


BOTH = pytest.mark.parametrize("objective", ["survival:cox", "binary:logistic"])


@BOTH
def test_treeshap_and_base_value_sum_to_the_margin(objective):
    import xgboost as xgb

    X, y = study()
    model = model_of(objective).fit(X, y)
    raw = model.booster_.predict(xgb.DMatrix(X.to_numpy()), output_margin=True)
    attribution = model.attribute(X)
    assert attribution.shape == X.shape
    np.testing.assert_allclose(attribution.sum(axis=1) + model.base_value_, raw, atol=5e-6)
    np.testing.assert_allclose(attribution.sum(axis=1), model.predict(X), rtol=0, atol=0)
    assert np.std(model.predict(X)) > 0.05


@BOTH
def test_learns_the_region_that_matters(objective):
    X, y = study(300)
    share = np.abs(model_of(objective).fit(X, y).attribute(X)).mean(axis=0)
    assert share[1] > 2 * share[0]


def test_probability_is_breslow_of_the_margin():
    X, y = study()
    model = MarkerModel().fit(X, y)
    base = estimate_baseline(y["time"].to_numpy(), y["event"].to_numpy(), model.predict(X))
    expected = 1 - np.exp(-base.at(HORIZON) * np.exp(model.predict(X)))
    found = model.predict_event_probability(X, horizon=HORIZON)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert complementary_log_log(found) == pytest.approx(
        np.log(base.at(HORIZON)) + model.predict(X)
    )


def test_logistic_probability_needs_its_horizon():
    X, y = study()
    model = model_of("binary:logistic").fit(X, y)
    p = model.predict_event_probability(X, horizon=HORIZON)
    assert ((p > 0) & (p < 1)).all()
    np.testing.assert_allclose(np.log(p / (1 - p)) - model.base_value_, model.predict(X), atol=1e-9)
    with pytest.raises(InputError, match="logistic model fitted for 24"):
        model.predict_event_probability(X, horizon=12.0)
    with pytest.raises(InputError, match="needs a horizon"):
        MarkerModel(objective="binary:logistic").fit(X, y)


def test_baseline_refuses_what_it_cannot_know():
    base = BreslowBaseline(np.array([2.0]), np.array([0.1]), np.array([0.004]), 10.0)
    assert base.at(5) == 0.1
    assert base.log_variance_at(5) == pytest.approx(0.4)
    with pytest.raises(InputError, match="beyond the longest follow-up"):
        base.at(11)
    with pytest.raises(InputError, match="no event by the horizon"):
        base.at(1)
    np.testing.assert_allclose(event_probability(np.array([-np.inf, 50])), [0, 1])


def test_variance_of_the_log_baseline_by_hand_and_by_resampling():
    hand = estimate_baseline(np.array([1.0, 2, 3]), np.array([1, 0, 1]), np.zeros(3))
    assert hand.log_variance_at(1) == pytest.approx(1)
    assert hand.log_variance_at(3) == pytest.approx((1 / 9 + 1) / (4 / 3) ** 2)
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        time, censored = rng.exponential(40, size=100), rng.uniform(5, 70, size=100)
        event = (time <= censored).astype(int)
        base = estimate_baseline(np.minimum(time, censored), event, np.zeros(100))
        found.append((np.log(base.at(HORIZON)), base.log_variance_at(HORIZON)))
    logs, variances = np.array(found).T
    assert variances.mean() == pytest.approx(logs.var(ddof=1), rel=0.15)


def test_smallest_leaf_follows_the_objective():
    X, y = study(80)
    assert MarkerModel().get_params()["min_child_weight"] is None
    assert MarkerModel().fit(X, y).min_child_weight_ == 10
    model = model_of("binary:logistic").fit(X, y)
    assert model.min_child_weight_ == 2.5
    assert model.min_child_weight is None
    assert model.has_split()
    cox_default = model_of("binary:logistic", min_child_weight=10).fit(X, y)
    assert not cox_default.has_split()
    assert (cox_default.predict(X) == 0).all()
    with pytest.raises(InputError, match="min_child_weight is -1"):
        MarkerModel(min_child_weight=-1).fit(X, y)


def test_time_zero_keeps_its_sign():
    X, y = study()
    y.iloc[:12, 0] = 0.0
    censored, happened = y.copy(), y.copy()
    censored.iloc[:12, 1] = 0
    happened.iloc[:12, 1] = 1
    without = MarkerModel().fit(X.iloc[12:], y.iloc[12:])
    # patients censored at time zero are in no risk set: only row order could tell them apart
    margin = MarkerModel(min_child_weight=0).fit(X, censored).predict(X)
    alone = MarkerModel(min_child_weight=0).fit(X.iloc[12:], y.iloc[12:]).predict(X)
    assert np.corrcoef(margin, alone)[0, 1] > 0.98
    assert MarkerModel().fit(X, censored).n_events_ == without.n_events_
    assert MarkerModel().fit(X, happened).n_events_ == without.n_events_ + 12
    assert not np.allclose(MarkerModel().fit(X, happened).predict(X), margin)


def test_rows_in_any_order_give_the_same_trees():
    X, y = study()
    order = np.random.default_rng(0).permutation(len(X))
    first = MarkerModel().fit(X, y)
    second = MarkerModel().fit(X.iloc[order], y)
    assert bytes(first.booster_.save_raw("json")) == bytes(second.booster_.save_raw("json"))
    np.testing.assert_array_equal(first.predict(X), second.predict(X))


def test_tiles_share_the_weight_of_their_patient():
    X, y = study()
    twice = pd.concat([X, X])
    tiles = MarkerModel().fit(twice, y, groups=twice.index.to_numpy())
    assert tiles.n_events_ == int(y["event"].sum())
    once = MarkerModel().fit(X, y).predict(X)
    assert np.corrcoef(tiles.predict(X), once)[0, 1] > 0.98
    unweighted = MarkerModel().fit(twice, y).predict(X)
    assert np.abs(tiles.predict(X) - once).mean() < np.abs(unweighted - once).mean()


def test_incomplete_new_rows_have_no_evidence():
    X, y = study()
    model = MarkerModel().fit(X, y)
    holes = X.copy()
    holes.iloc[0, 0] = np.nan
    told = model.predict_evidence(holes, horizon=HORIZON)
    assert np.isnan(told.margin[0])
    assert np.isnan(told.attribution[0]).all()
    assert np.isnan(told.probability[0])
    np.testing.assert_array_equal(told.margin[1:], model.predict(X)[1:])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (X * 0 + 3, y), "constant features: adjacent, tumour"),
        (lambda X, y: (X, y.assign(event=0)), "0 patients with an event, 5 are needed"),
        (lambda X, y: (X.mask(X.iloc[3, 0] == X), y), "missing or infinite values in row 3"),
        (lambda X, y: (X * 1e300, y), "missing or infinite values"),
        (lambda X, y: (X, y.drop(columns="event")), "no column 'event'"),
        (lambda X, y: (X, y.iloc[:50]), "no outcome for patient p050"),
        (lambda X, y: (X.iloc[:0], y.iloc[:0]), "empty"),
        (lambda X, y: (X.astype(str).replace(r".*", "x", regex=True), y), "not numeric"),
    ],
)
def test_bad_input_is_named(spoil, message):
    with pytest.raises(InputError, match=message):
        MarkerModel().fit(*spoil(*study()))


@pytest.mark.parametrize(
    "changes",
    [{"objective": "reg:squarederror"}, {"n_rounds": 0}, {"learning_rate": 2}, {"reg_lambda": -1}],
)
def test_bad_parameters(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        MarkerModel(**changes).fit(*study())


def test_logistic_needs_both_outcomes_and_known_censoring():
    X, y = study()
    with pytest.raises(InputError, match="patients without an event at the horizon"):
        model_of("binary:logistic").fit(X, y.assign(event=1, time=[30.0] * 3 + [5.0] * 147))
    strata = y.assign(cohort=np.where(np.arange(len(y)) % 2, "a", "b"))
    by_cohort = model_of("binary:logistic", censoring_strata=("cohort",)).fit(X, strata)
    plain = model_of("binary:logistic").fit(X, strata)
    assert not np.array_equal(by_cohort.predict(X), plain.predict(X))


def test_scikit_learn_protocol():
    X, y = study()
    model = MarkerModel(n_rounds=20, reg_lambda=3.0)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert model.fit(X, y) is model
    assert list(model.feature_names_in_) == list(X.columns)
    assert model.training_range_.shape == (2, 2)
    assert model.booster_.num_boosted_rounds() == 20
    with pytest.raises(InputError, match="fitted on the columns adjacent, tumour and got"):
        model.predict(X.iloc[:, ::-1])
    with pytest.raises(InputError, match="infinite values in row 0"):
        model.predict(X * np.inf)
    weights = np.where(np.arange(len(X)) < 5, 0.0, 1.0)
    weighted = clone(model).fit(X, y, sample_weight=weights).predict(X)
    np.testing.assert_allclose(
        weighted, clone(model).fit(X.iloc[5:], y.iloc[5:]).predict(X), atol=1e-6
    )
    with pytest.raises(InputError, match="sample_weight"):
        clone(model).fit(X, y, sample_weight=weights - 1)
