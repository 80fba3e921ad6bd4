from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from times_stats.boosting import (
    MarkerModel,
    complementary_log_log,
    out_of_fold_margin_variance,
)
from times_stats.errors import DataWarning, InputError
from times_stats.score import TimesScore, fit_variance_prior
from times_stats.score.times_score import estimate_error_correlation

HORIZON = 24.0


def study(n=120, seed=1):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    columns = pd.MultiIndex.from_product([["CD57", "CD8"], ["adjacent", "tumour"]])
    features = pd.DataFrame(rng.lognormal(size=(n, 4)), index=index, columns=columns)
    time = rng.exponential(size=n) * 40 * np.exp(-0.8 * np.log(features.iloc[:, 1].to_numpy()))
    censored = rng.uniform(5, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    features.iloc[0] = np.nan
    features.iloc[1:20, 3] = np.nan
    return features, y


@pytest.fixture(scope="module")
def fitted():
    return TimesScore(horizon=HORIZON, n_repeats=3).fit(*study())


@pytest.mark.parametrize("pooling", ["shrunken", "random_effects"])
@pytest.mark.parametrize("objective", ["survival:cox", "binary:logistic"])
def test_table(pooling, objective):
    features, y = study()
    score = TimesScore(
        model=MarkerModel(objective=objective), pooling=pooling, horizon=HORIZON, n_repeats=2
    )
    table = score.fit(features, y).out_of_fold_
    assert list(table.columns) == [
        *("score", "se", "lower", "upper", "linear_predictor"),
        *("weight_CD57", "weight_CD8", "probability_CD57", "probability_CD8"),
    ]
    assert table.iloc[0].drop(["weight_CD57", "weight_CD8"]).isna().all()
    rest = table.iloc[1:]
    assert np.isfinite(rest.drop(columns="probability_CD8")).all(axis=None)
    np.testing.assert_allclose(rest[["weight_CD57", "weight_CD8"]].sum(axis=1), 1)
    assert (rest["weight_CD8"].iloc[:19] == 0).all()
    assert ((rest["lower"] < rest["score"]) & (rest["score"] < rest["upper"])).all()
    logs = complementary_log_log(rest[["probability_CD57", "probability_CD8"]].fillna(0.5))
    pooled = (logs * rest[["weight_CD57", "weight_CD8"]].to_numpy()).sum(axis=1)
    np.testing.assert_allclose(rest["score"], 1 - np.exp(-np.exp(pooled)))
    assert (score.tau_squared_ > 0) <= (pooling == "random_effects")


def test_bayesian_weights_and_that_of_the_mean_sum_to_one(fitted):
    table = fitted.repool(pooling="bayesian").out_of_fold_
    weights = table.filter(like="weight_")
    assert list(weights) == ["weight_CD57", "weight_CD8", "weight_prior"]
    np.testing.assert_allclose(weights.iloc[1:].sum(axis=1), 1)
    assert (weights["weight_prior"].iloc[1:] > 0).all()
    assert (weights.iloc[0] == 0).all()  # nothing was measured
    assert "weight_prior" not in fitted.out_of_fold_


@pytest.mark.parametrize("variance", ["jackknife", "bootstrap"])
def test_variances_are_those_of_the_pooled_scale(variance):
    model = MarkerModel(objective="survival:aft", aft_scale=2.0, reg_lambda=1.0, n_rounds=10)
    options = {"variance": variance, "n_bootstrap": 10, "horizon": HORIZON, "n_repeats": 2}
    features, y = study()
    score = TimesScore(model=model, **options).fit(features, y)
    if variance == "jackknife":
        margins, df = out_of_fold_margin_variance(score.crossfit_).to_numpy(), 1.0
    else:
        margins, df = score.bootstrap_.out_of_bag_variance()
    seen = (margins > 0) & (score.split_share_ > 0)
    assert seen.any()
    # log H = (log h - location + margin) / 2 with an extreme-value error of scale 2
    freedom = np.broadcast_to(df, margins.shape)[seen][:, None]
    prior = fit_variance_prior(margins[seen][:, None] / 4, df=freedom)
    np.testing.assert_allclose(score.prior_.scale, prior.scale)
    assert np.isfinite(score.predict_interval(features.iloc[1:])).all()


def test_new_patients(fitted):
    features, _ = study(15, seed=4)
    table = fitted.predict_table(features)
    np.testing.assert_array_equal(fitted.predict(features), table["score"])
    np.testing.assert_array_equal(fitted.predict_interval(features), table[["lower", "upper"]])
    narrow = fitted.predict_interval(features, confidence_level=0.5)
    assert (np.diff(narrow[1:]) < np.diff(fitted.predict_interval(features)[1:])).all()
    z = fitted.evidence(features)
    margin = z.T.groupby(level=0).sum().T
    weights = table[["weight_CD57", "weight_CD8"]].to_numpy()
    expected = (weights * margin.to_numpy()).sum(axis=1)
    np.testing.assert_allclose(table["linear_predictor"][1:], expected[1:], atol=1e-6)
    assert table.columns.equals(fitted.out_of_fold_.columns)
    one_marker = features.drop(columns="CD8")
    with pytest.raises(InputError, match="needs the features CD8"):
        fitted.predict(one_marker)


def test_own_outcome_does_not_move_own_marker_probabilities():
    features, y = study()
    folds = np.array([np.random.default_rng(s).permutation(120) % 5 for s in range(2)])
    altered = y.copy()
    altered.iloc[50] = [1.0, 1 - y["event"].iloc[50]]
    columns = ["probability_CD57", "probability_CD8"]
    first, second = (
        TimesScore(horizon=HORIZON).fit(features, outcome, folds=folds) for outcome in (y, altered)
    )
    pd.testing.assert_series_equal(
        first.out_of_fold_[columns].iloc[50], second.out_of_fold_[columns].iloc[50]
    )
    pd.testing.assert_series_equal(
        first.out_of_fold_evidence_.iloc[50], second.out_of_fold_evidence_.iloc[50]
    )


def test_scikit_learn_protocol(fitted):
    template = TimesScore(model=MarkerModel(n_rounds=10), horizon=12.0, seed=4)
    assert clone(template).get_params()["model__n_rounds"] == 10
    with pytest.raises(NotFittedError):
        template.predict(study()[0])
    assert fitted.training_range_.shape == (4, 2)
    assert list(fitted.training_range_.columns) == ["min", "max"]


def test_a_marker_that_no_patient_has_is_named():
    features, y = study()
    features[("CD8", "tumour")] = np.nan
    with pytest.raises(InputError, match=r"marker CD8 .* in no patient: leave it out"):
        TimesScore(horizon=HORIZON, n_repeats=2).fit(features, y)


def test_refuses():
    features, y = study()
    with pytest.raises(InputError, match="pooling 'mean' is unknown"):
        TimesScore(pooling="mean", horizon=HORIZON).fit(features, y)
    with pytest.raises(InputError, match="n_repeats=2 or more"):
        TimesScore(horizon=HORIZON, n_repeats=1).fit(features, y)


def inflated(seed, zeros=0.95, n=101):
    """A good marker, noise, and one that is zero in all but a few patients."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    columns = pd.MultiIndex.from_product([["good", "noise", "zeros"], ["adjacent", "tumour"]])
    values = rng.lognormal(size=(n, 6))
    values[:, 4:] *= rng.random((n, 2)) >= zeros
    time = rng.exponential(size=n) * 40 * np.exp(-0.8 * np.log(values[:, 1]))
    censored = rng.uniform(5, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    return pd.DataFrame(values, index=index, columns=columns), y


@pytest.mark.parametrize("pooling", ["shrunken", "random_effects"])
def test_a_marker_without_a_split_has_weight_zero(pooling):
    for seed in (1, 2):
        features, y = inflated(seed)
        features.iloc[3, :4] = np.nan  # has the dull marker alone
        score = TimesScore(horizon=HORIZON, pooling=pooling, n_repeats=3)
        with pytest.warns(DataWarning, match="no split in any fold model of zeros: carries no"):
            score.fit(features, y)
        assert score.uninformative_ == ("zeros",)
        assert score.split_share_.tolist() == [1, 1, 0]
        assert score.prior_.scale.shape == (1,)
        assert score.prior_.scale[0] > 1e-3
        for table in (score.out_of_fold_, score.predict_table(features)):
            others = table.drop(index="p003")
            assert (others["weight_zeros"] == 0).all()
            assert others["weight_good"].mean() > 0.3
            assert table.loc["p003", "weight_zeros"] == 1
            assert np.isfinite(table["score"]).all()
            assert np.isfinite(table["probability_zeros"]).all()


def test_a_marker_that_hardly_ever_splits_has_hardly_any_weight():
    score = TimesScore(horizon=HORIZON, seed=1).fit(*inflated(1, zeros=0.85))
    assert score.uninformative_ == ()
    assert 0 < score.split_share_[2] < 0.1
    for table in (score.out_of_fold_, score.predict_table(inflated(1, zeros=0.85)[0])):
        weights = table[["weight_good", "weight_noise", "weight_zeros"]].mean()
        assert weights["weight_zeros"] < 0.1
        assert weights["weight_zeros"] < weights["weight_good"]


@pytest.mark.parametrize("pooling", ["shrunken", "random_effects"])
@pytest.mark.parametrize("objective", ["survival:cox", "binary:logistic"])
def test_markers_without_any_split_have_equal_weights(pooling, objective):
    model = MarkerModel(objective=objective, min_child_weight=1000)
    score = TimesScore(model=model, pooling=pooling, horizon=HORIZON, n_repeats=2)
    with pytest.warns(DataWarning, match="CD57, CD8"):
        score.fit(*study())
    table = score.out_of_fold_
    weights = table[["weight_CD57", "weight_CD8"]]
    np.testing.assert_allclose(weights.iloc[20:], 0.5)
    np.testing.assert_array_equal(weights.iloc[1:20], [[1, 0]] * 19)
    assert (table["linear_predictor"].iloc[1:] == 0).all()
    rest = table.iloc[1:]
    assert ((rest["lower"] < rest["score"]) & (rest["score"] < rest["upper"])).all()


def test_interval_holds_the_baseline_hazard(fitted):
    found = [
        models[marker].baseline_.log_variance_at(HORIZON)
        for folds in fitted.crossfit_.models
        for models in folds
        for marker in ("CD57", "CD8")
    ]
    assert fitted.baseline_variance_ == pytest.approx(0.8 * np.mean(found))
    assert 0.01 < fitted.baseline_variance_ < 0.05
    table = fitted.out_of_fold_.iloc[1:]
    log_hazard = complementary_log_log(table["score"].to_numpy())
    se = table["se"] / np.exp(log_hazard - np.exp(log_hazard))
    assert (se > 0.9 * np.sqrt(fitted.baseline_variance_)).all()
    logistic = MarkerModel(objective="binary:logistic")
    score = TimesScore(model=logistic, horizon=HORIZON, n_repeats=2).fit(*study())
    assert score.baseline_variance_ == 0


def test_error_correlation_recovers_a_known_one():
    rng = np.random.default_rng(1)
    truth = np.array([[1, 0.6, 0], [0.6, 1, 0.3], [0, 0.3, 1]])
    margin = rng.multivariate_normal(np.zeros(3), truth, size=(20, 400))
    margin[:, :50, 2] = np.nan
    found = estimate_error_correlation(margin)
    np.testing.assert_allclose(found, truth, atol=0.04)
    same = estimate_error_correlation(np.repeat(margin[:, 50:, :1], 3, axis=2))
    assert np.linalg.eigvalsh(same).min() > 0


@pytest.mark.parametrize("n_repeats", [2, 3, 5])
def test_few_repeats_do_not_flatten_the_error_correlation(n_repeats):
    truth = np.array([[1, 0.6, 0], [0.6, 1, -0.5], [0, -0.5, 1]])
    spread = np.random.default_rng(5).uniform(0.2, 2.0, size=(20_000, 3))
    margin = spread * np.random.default_rng(6).multivariate_normal(
        np.zeros(3), truth, size=(n_repeats, 20_000)
    )
    # Two repeats give one sign a patient: Monte Carlo error pi / 2 / sqrt(n) = .011.
    np.testing.assert_allclose(estimate_error_correlation(margin), truth, atol=0.04)


def test_neither_row_order_nor_jobs_change_a_number():
    features, y = inflated(2, zeros=0.75)
    folds = np.array([np.random.default_rng(s).permutation(101) % 5 for s in range(2)])
    order = np.random.default_rng(0).permutation(101)
    first = TimesScore(horizon=HORIZON).fit(features, y, folds=folds)
    second = TimesScore(horizon=HORIZON, jobs=2).fit(
        features.iloc[order], y.iloc[order[::-1]], folds=folds[:, order]
    )
    assert first.baseline_variance_ == second.baseline_variance_
    np.testing.assert_array_equal(first.split_share_, second.split_share_)
    pd.testing.assert_frame_equal(first.out_of_fold_, second.out_of_fold_, check_exact=True)
