"""Tuning: one choice for all folds and markers, by held-out log-likelihood, on the same folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from times_stats.boosting import MarkerModel, crossfit, default_candidates, tune
from times_stats.boosting.tuning import held_out_log_likelihood
from times_stats.errors import InputError
from times_stats.nonparametric import ipcw_weights
from times_stats.score import TimesScore

HORIZON = 24.0
FOLDS = {"n_folds": 2, "n_repeats": 2}


def study(n=100, seed=1, effect=0.0):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    columns = pd.MultiIndex.from_product([["CD57", "CD8"], ["adjacent", "tumour"]])
    features = pd.DataFrame(rng.normal(size=(n, 4)), index=index, columns=columns)
    time = 30 * np.exp(-effect * features.iloc[:, 3]) * rng.exponential(size=n)
    censored = rng.uniform(10, 80, n)
    event = (time <= censored).astype(int)
    return features, pd.DataFrame({"time": np.minimum(time, censored), "event": event}, index=index)


def cox_by_hand(time, event, margin):
    """Breslow's partial likelihood, one patient at a time (no ties here)."""
    return sum(
        margin[i] - np.log(np.exp(margin[time >= time[i]]).sum())
        for i in np.flatnonzero(event == 1)
    )


def test_partial_likelihood_is_that_of_each_held_out_fold():
    features, y = study(effect=1.0)
    features.iloc[4, 0] = np.nan
    fit = crossfit(features, y, horizon=HORIZON, **FOLDS)
    found = held_out_log_likelihood(fit, y, groups=features.index)
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    for m, marker in enumerate(fit.markers):
        repeats = []
        for margin, folds in zip(fit.margin.to_numpy()[:, :, m], fit.folds, strict=True):
            rows = [(folds == fold) & ~np.isnan(margin) for fold in (0, 1)]
            repeats.append(sum(cox_by_hand(time[r], event[r], margin[r]) for r in rows))
        assert found[marker] == pytest.approx(np.mean(repeats), rel=1e-9)


def test_likelihood_of_times_and_of_the_event_by_the_horizon():
    features, y = study(effect=1.0)
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    aft = MarkerModel(objective="survival:aft", aft_distribution="extreme", aft_scale=1.2)
    fit = crossfit(features, y, model=aft, horizon=HORIZON, **FOLDS)
    location = np.zeros(len(y))
    for fold in (0, 1):
        rows = fit.folds[0] == fold
        model = fit.models[0][fold]["CD8"]
        raw = model.booster_.inplace_predict(features["CD8"].to_numpy(), predict_type="margin")
        location[rows] = raw[rows]
    law = scipy.stats.gumbel_l(location, 1.2)
    expected = np.where(
        event == 1, law.logpdf(np.log(time)) - np.log(time), law.logsf(np.log(time))
    )
    first = crossfit(features, y, model=aft, horizon=HORIZON, folds=fit.folds[:1])
    found = held_out_log_likelihood(first, y, groups=features.index)
    assert found["CD8"] == pytest.approx(expected.sum(), rel=1e-5)

    logistic = MarkerModel(objective="binary:logistic")
    fit = crossfit(features, y, model=logistic, horizon=HORIZON, folds=fit.folds[:1])
    p = fit.probability.to_numpy()[0, :, 1]
    weights = ipcw_weights(time, event, horizon=HORIZON)
    happened = (event == 1) & (time <= HORIZON)
    expected = (weights * np.where(happened, np.log(p), np.log(1 - p))).sum()
    found = held_out_log_likelihood(fit, y, groups=features.index)
    assert found["CD8"] == pytest.approx(expected, rel=1e-9)


def test_noise_chooses_little_and_signal_more():
    candidates = [{"n_rounds": 150}, {"n_rounds": 5}]
    few, fit = tune(*study(), candidates=candidates, horizon=HORIZON, **FOLDS)
    assert few.parameters == {"n_rounds": 5}
    assert few.table["n_rounds"].to_list() == [5, 150]  # the simplest first
    assert few.table["chosen"].to_list() == [True, False]
    by_marker = few.table[["log_likelihood_CD57", "log_likelihood_CD8"]].sum(axis=1)
    np.testing.assert_allclose(by_marker, few.table["log_likelihood"])
    assert few.table["less_than_best"].min() == 0
    assert {model.n_rounds for folds in fit.models for f in folds for model in f.values()} == {5}
    many, _ = tune(*study(effect=1.5), candidates=candidates, horizon=HORIZON, **FOLDS)
    assert many.parameters == {"n_rounds": 150}


def test_ties_go_to_the_simpler_model():
    candidates = [
        {"n_rounds": 60, "max_depth": 1},
        {"n_rounds": 30, "max_depth": 3},
        {"n_rounds": 30, "max_depth": 2},
        {"n_rounds": 30, "max_depth": 2, "reg_lambda": 40.0},
        {"n_rounds": 30, "max_depth": 2, "reg_lambda": 40.0, "region_interaction": False},
    ]
    silent = MarkerModel(min_child_weight=1e6)  # no split anywhere: all candidates are tied
    tuning, _ = tune(*study(), candidates=candidates, model=silent, horizon=HORIZON, **FOLDS)
    assert tuning.parameters == candidates[4]
    assert (tuning.table["less_than_best"] == 0).all()


def test_the_crossfit_is_that_of_the_chosen_parameters_on_the_same_folds():
    features, y = study(effect=1.0)
    score = TimesScore(tuning=[{"n_rounds": 10}, {"n_rounds": 80}], horizon=HORIZON, **FOLDS)
    score.fit(features, y)
    chosen = score.tuning_.parameters
    plain = TimesScore(model=MarkerModel(**chosen), horizon=HORIZON, **FOLDS).fit(features, y)
    assert plain.tuning_ is None
    pd.testing.assert_frame_equal(score.out_of_fold_, plain.out_of_fold_, check_exact=True)
    np.testing.assert_array_equal(score.crossfit_.folds, plain.crossfit_.folds)


@pytest.mark.parametrize(
    ("objective", "count"), [("survival:cox", 6), ("survival:aft", 12), ("binary:logistic", 6)]
)
def test_default_space(objective, count):
    candidates = default_candidates(objective)
    assert len(candidates) == count
    silent = MarkerModel(objective=objective, min_child_weight=1e6)
    tuning, _ = tune(
        *study(60), candidates="default", model=silent, horizon=HORIZON, n_folds=2, n_repeats=1
    )
    assert len(tuning.table) == count
    if objective != "survival:aft":  # scales differ in likelihood without any split
        assert tuning.parameters == {"n_rounds": 25, "max_depth": 1}


def test_scale_of_aft_follows_the_data():
    features, y = study(300)
    for sd, expected in ((0.4, 0.5), (2.0, 1.8)):
        rng = np.random.default_rng(7)
        y = y.assign(time=np.exp(3 + sd * rng.normal(size=300)), event=1)
        tuning, _ = tune(
            features,
            y,
            candidates=[{"aft_scale": 0.5}, {"aft_scale": 1.0}, {"aft_scale": 1.8}],
            model=MarkerModel(objective="survival:aft", aft_distribution="normal", n_rounds=5),
            horizon=HORIZON,
            n_folds=2,
            n_repeats=1,
        )
        assert tuning.parameters == {"aft_scale": expected}


def test_tiles_of_a_patient_count_once():
    features, y = study(60, effect=1.0)
    twice = pd.concat([features, features])
    twice.index = [*(f"{name}-a" for name in y.index), *(f"{name}-b" for name in y.index)]
    both = pd.concat([y, y]).set_axis(twice.index)
    groups = np.tile(y.index.to_numpy(), 2)
    folds = np.arange(60) % 2
    fit = crossfit(twice, both, horizon=HORIZON, groups=groups, folds=np.tile(folds, 2))
    order = np.argsort(twice.index.to_numpy(), kind="stable")
    found = held_out_log_likelihood(fit, both, groups=groups[order])
    one = fit.margin.to_numpy()[0, ::2, 1]  # sorted: a and b of each patient in turn
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    expected = sum(
        cox_by_hand(time[folds == f], event[folds == f], one[folds == f]) for f in (0, 1)
    )
    assert found["CD8"] == pytest.approx(expected, rel=1e-9)
    tuning, _ = tune(
        twice,
        both,
        candidates=[{"n_rounds": 50}],
        horizon=HORIZON,
        groups=groups,
        folds=np.tile(folds, 2),
    )
    assert tuning.table["log_likelihood_CD8"][0] == pytest.approx(expected, rel=1e-9)


def test_own_outcome_does_not_move_own_evidence_once_the_choice_is_held():
    """The choice sees all outcomes of the training set; the evidence, given it, does not."""
    features, y = study(effect=1.0)
    folds = np.array([np.arange(100) % 2, np.arange(100) // 2 % 2])
    tuning, fit = tune(features, y, candidates=[{"n_rounds": 30}], horizon=HORIZON, folds=folds)
    altered = y.copy()
    altered.iloc[0] = [1.0, 1]
    _, again = tune(features, altered, candidates=[{"n_rounds": 30}], horizon=HORIZON, folds=folds)
    np.testing.assert_array_equal(fit.margin.to_numpy()[:, 0], again.margin.to_numpy()[:, 0])
    assert not np.array_equal(fit.margin.to_numpy(), again.margin.to_numpy())
    assert tuning.parameters == {"n_rounds": 30}


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ("thorough", "tuning is 'thorough': give None, 'default' or a list"),
        ([], "tuning has no candidate"),
        (5, "tuning is no list of parameters"),
        ([{"rounds": 5}], r"tuning names rounds \(nearest: 'n_rounds'\): tune n_rounds"),
        ([{"objective": "survival:aft"}], "tuning names objective"),
        ([{"n_rounds": "many"}], "n_rounds is 'many': give a whole number"),
        ([{"n_rounds": 2.5}], "n_rounds is 2.5: give a whole number"),
        ([{"reg_lambda": None}], "reg_lambda is None: give a number"),
        ([{"n_rounds": 5}, {"n_rounds": 0}], r"tuning candidate \{'n_rounds': 0\}: n_rounds is 0"),
    ],
)
def test_bad_candidates_are_named(candidates, message):
    with pytest.raises(InputError, match=message):
        TimesScore(tuning=candidates, horizon=HORIZON, **FOLDS).fit(*study())
