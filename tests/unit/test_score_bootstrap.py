from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.boosting import bootstrap_models, crossfit
from times_stats.errors import InputError
from times_stats.score import TimesScore

HORIZON = 24.0
FOLDS = np.array([np.arange(90) % 3, np.arange(90) // 3 % 3])
GIVEN = {"horizon": HORIZON, "variance": "bootstrap", "n_bootstrap": 12}


def study(n=90, seed=1):
    """Two markers that are nearly one, a third of its own, two cohorts."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    columns = pd.MultiIndex.from_product([["CD57", "CD8", "CXCL17"], ["adjacent", "tumour"]])
    values = rng.normal(size=(n, 6))
    values[:, 2:4] = values[:, :2] + 0.05 * rng.normal(size=(n, 2))
    features = pd.DataFrame(values, index=ids, columns=columns)
    features.iloc[:6, 5] = np.nan
    time = rng.exponential(size=n) * 40 * np.exp(-0.8 * values[:, 1])
    censored = rng.uniform(5, 70, n)
    y = pd.DataFrame(
        {
            "time": np.minimum(time, censored),
            "event": (time <= censored).astype(int),
            "cohort": np.where(np.arange(n) % 3 == 0, "a", "b"),
        },
        index=ids,
    )
    return features, y


@pytest.fixture(scope="module")
def fitted():
    return TimesScore(**GIVEN).fit(*study(), folds=FOLDS)


def test_a_margin_is_read_off_resamples_that_left_the_patient_out(fitted):
    margin = fitted.bootstrap_.margin.to_numpy()
    assert margin.shape == (12, 90, 3)
    told = ~np.isnan(margin[:, 6:])
    assert (told == told[:, :, :1]).all()
    assert 0.25 < told.mean() < 0.5
    assert np.isnan(margin[:, :6, 2]).all()
    variance, df = fitted.bootstrap_.out_of_bag_variance()
    patient = int(np.argmax(told[:, :, 0].sum(axis=0))) + 6
    seen = margin[:, patient, 0][~np.isnan(margin[:, patient, 0])]
    assert variance[patient, 0] == pytest.approx(seen.var(ddof=1))
    assert df[patient, 0] == seen.size - 1
    assert (df[:6, 2] == 0).all()


def test_strata_and_whole_patients(fitted):
    """Each resample has the events of the study, and a tile goes with its patient."""
    features, y = study()
    fit = fitted.crossfit_
    rows = features.loc[np.repeat(features.index, 2)]
    tiles = bootstrap_models(
        fit, rows + 0.01 * np.arange(len(rows))[:, None] % 3, y, groups=rows.index, n_draws=10
    )
    out = ~np.isnan(tiles.margin.to_numpy()[:, :, 0])
    assert (out[:, ::2] == out[:, 1::2]).all()
    for models in tiles.models:
        assert models["CD57"].n_events_ == y["event"].sum()


def test_correlated_markers_are_seen_to_err_together(fitted):
    correlation = fitted.error_correlation_
    assert correlation[0, 1] > 0.7
    assert abs(correlation[0, 2]) < 0.4
    gls = fitted.repool(pooling="gls")
    for table in (gls.out_of_fold_, gls.predict_table(study(20, seed=3)[0])):
        weights = table[["weight_CD57", "weight_CD8", "weight_CXCL17"]]
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        assert weights["weight_CXCL17"][6:].mean() > 0.35
    negative = (gls.out_of_fold_.filter(like="weight_") < 0).any(axis=1).sum()
    assert gls.n_negative_weights_ == negative
    cut = fitted.repool(pooling="gls", negative_weights="truncate")
    assert cut.n_negative_weights_ == 0
    assert (cut.out_of_fold_.filter(like="weight_") >= 0).all(axis=None)


def test_repooling_equals_fitting_and_leaves_the_first_score_alone(fitted):
    before = fitted.out_of_fold_.copy()
    for pooling in ("gls", "random_effects", "bayesian"):
        again = fitted.repool(pooling=pooling)
        assert again.get_params()["pooling"] == pooling
        first = TimesScore(**GIVEN, pooling=pooling).fit(*study(), folds=FOLDS)
        pd.testing.assert_frame_equal(again.out_of_fold_, first.out_of_fold_, check_exact=True)
        if pooling == "bayesian":
            assert again.latent_prior_ == first.latent_prior_
            weights = again.out_of_fold_.filter(like="weight_")
            assert (weights.drop(columns="weight_prior").sum(axis=1) < 1).all()
            np.testing.assert_allclose(weights.sum(axis=1), 1)
            assert again.out_of_fold_["score"].std() < before["score"].std()
    pd.testing.assert_frame_equal(fitted.out_of_fold_, before, check_exact=True)
    assert fitted.pooling == "shrunken"


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_neither_jobs_nor_row_order_change_a_number(fitted, jobs):
    features, y = study()
    order = np.random.default_rng(0).permutation(90)
    other = TimesScore(**GIVEN, jobs=jobs).fit(
        features.iloc[order], y.iloc[order[::-1]], folds=FOLDS[:, order]
    )
    pd.testing.assert_frame_equal(fitted.out_of_fold_, other.out_of_fold_, check_exact=True)
    new = study(20, seed=3)[0]
    pd.testing.assert_frame_equal(fitted.predict_table(new), other.predict_table(new))
    np.testing.assert_array_equal(fitted.error_correlation_, other.error_correlation_)
    another = bootstrap_models(fitted.crossfit_, features, y, n_draws=10, seed=1)
    same = bootstrap_models(fitted.crossfit_, features, y, n_draws=10, seed=0)
    np.testing.assert_array_equal(same.margin, fitted.bootstrap_.margin[:10])
    assert not np.array_equal(np.isnan(another.margin), np.isnan(same.margin))


def test_new_patients_have_the_spread_over_all_resamples(fitted):
    new = study(20, seed=3)[0]
    variance, df = fitted.bootstrap_.predict_variance(new)
    block = new[["CD57"]]
    margins = np.array([models["CD57"].predict(block) for models in fitted.bootstrap_.models])
    np.testing.assert_allclose(variance[:, 0], margins.var(axis=0, ddof=1))
    assert (df[6:] == 11).all()
    assert (df[:6, 2] == 0).all()
    table = fitted.predict_table(new)
    assert ((table["lower"] < table["score"]) & (table["score"] < table["upper"])).all()
    assert table.columns.equals(fitted.out_of_fold_.columns)


def test_interval_for_a_new_marker(fitted):
    new = study(20, seed=3)[0]
    with pytest.raises(InputError, match="pooling 'shrunken' has no variance between markers"):
        fitted.predict_new_marker_interval(new)
    score = fitted.repool(pooling="random_effects")
    limits = score.predict_new_marker_interval(new)
    table = score.predict_table(new)
    assert np.isnan(limits[:6]).all()
    assert (limits[6:, 0] < table["lower"][6:]).all()
    assert (limits[6:, 1] > table["upper"][6:]).all()


def test_faulty_input_is_named(fitted):
    features, y = study()
    with pytest.raises(InputError, match="variance 'tiles' is unknown"):
        TimesScore(horizon=HORIZON, variance="tiles").fit(features, y)
    with pytest.raises(InputError, match="9 bootstrap draws give no variance"):
        bootstrap_models(fitted.crossfit_, features, y, n_draws=9)
    with pytest.raises(InputError, match="negative_weights has no part in pooling 'shrunken'"):
        TimesScore(horizon=HORIZON, negative_weights="truncate").fit(features, y, folds=FOLDS)
    with pytest.raises(InputError, match="pooling 'median' is unknown"):
        fitted.repool(pooling="median")


def test_a_marker_that_resamples_cannot_carry_is_named():
    features, y = study()
    features[("CXCL17", "tumour")] = np.where(
        np.cumsum(y["event"]).to_numpy() <= 9, features[("CXCL17", "adjacent")], np.nan
    )
    y["cohort"] = "a"
    fit = crossfit(features, y, horizon=HORIZON, folds=FOLDS[:1])
    y["event"] = np.where(features[("CXCL17", "tumour")].notna() & (y["event"] == 1), 1, y["event"])
    draws = bootstrap_models(fit, features, y, n_draws=10)
    assert all("CD57" in models for models in draws.models)
    strict = fit.models[0][0]["CXCL17"].set_params(min_events=9)
    assert strict.min_events == 9
    with pytest.raises(InputError, match="marker CXCL17 could be fitted on"):
        bootstrap_models(fit, features, y, n_draws=10)
