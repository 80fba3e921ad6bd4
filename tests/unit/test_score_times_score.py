from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from times_stats.boosting import MarkerModel, complementary_log_log
from times_stats.errors import InputError
from times_stats.score import TimesScore
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


def test_refuses():
    features, y = study()
    with pytest.raises(InputError, match="pooling 'mean' is unknown"):
        TimesScore(pooling="mean", horizon=HORIZON).fit(features, y)
    with pytest.raises(InputError, match="n_repeats=2 or more"):
        TimesScore(horizon=HORIZON, n_repeats=1).fit(features, y)


def test_error_correlation_recovers_a_known_one():
    rng = np.random.default_rng(1)
    truth = np.array([[1, 0.6, 0], [0.6, 1, 0.3], [0, 0.3, 1]])
    margin = rng.multivariate_normal(np.zeros(3), truth, size=(20, 400))
    margin[:, :50, 2] = np.nan
    found = estimate_error_correlation(margin)
    np.testing.assert_allclose(found, truth, atol=0.04)
    same = estimate_error_correlation(np.repeat(margin[:, 50:, :1], 3, axis=2))
    assert np.linalg.eigvalsh(same).min() > 0
