"""Nothing learned on an outer training set may know the test patients; planted leaks are caught."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from times_stats.boosting import tuning
from times_stats.boosting.evidence import apply_models
from times_stats.features.matrix import build_feature_table
from times_stats.pipeline import nested
from times_stats.pipeline.nested import NestedSettings, learn_fold
from times_stats.score import times_score
from times_stats.score.shrinkage import fit_variance_prior
from times_stats.simulate import simulate_study
from times_stats.tables.study import build_study, outcome

SETTINGS = NestedSettings(horizon=24.0, times=np.array([12.0, 24.0]), n_folds=3, n_repeats=2)
TUNED = dataclasses.replace(SETTINGS, tuning=True, n_folds=2)


@pytest.fixture(scope="module")
def data():
    simulated = simulate_study(n_patients=90, markers=2, regions=2, seed=3)
    study = build_study(
        {"study": {"name": "simulated", "endpoint": "event", "horizon": 24}},
        simulated.patients,
        simulated.measurements,
    )
    features = build_feature_table(study).values
    y = outcome(study)
    stages = pd.DataFrame(
        {"tnm": pd.Categorical(np.tile(["I", "II", "III"], 30), ordered=True)}, index=y.index
    )
    order = np.random.default_rng(0).permutation(len(y))
    return features, y, stages, np.sort(order[:70]), np.sort(order[70:])


def altered(features, y, test):
    """Change everything about the test patients but the features of the first of them."""
    rng = np.random.default_rng(1)
    features, y = features.copy(), y.copy()
    others = test[1:]
    features.iloc[others] = features.iloc[rng.permutation(others)].to_numpy() * 7 + 3
    y.iloc[test, y.columns.get_loc("time")] = rng.uniform(1, 80, test.size)
    y.iloc[test, y.columns.get_loc("event")] = 1 - y["event"].iloc[test].to_numpy()
    return features, y


def seen_by_first(piece):
    """Everything the first test patient is told, and all that the training set learned."""
    seen = {
        "evidence": piece.evidence_test.iloc[0].to_numpy(),
        "raw": piece.raw_test.iloc[0].to_numpy(),
        "training evidence": piece.evidence_train.to_numpy(),
        "training raw": piece.raw_train.to_numpy(),
        "score": piece.score_test[:1],
        "cut-off": np.array([piece.cut_off]),
        "tuned": np.array([f"{name}={value}" for name, value in piece.tuned.items()]),
    }
    for name in piece.linear_predictor:
        seen[f"{name} linear predictor"] = piece.linear_predictor[name][:1]
        seen[f"{name} survival"] = piece.survival[name][0]
    return seen


def moved(data, settings=SETTINGS):
    """Name what moves for the first test patient when the test patients are altered."""
    features, y, stages, train, test = data
    before, after = (
        seen_by_first(learn_fold(x, out, stages, train=train, test=test, settings=settings, seed=5))
        for x, out in ((features, y), altered(features, y, test))
    )
    assert (before["tuned"].size > 0) == settings.tuning
    return {
        name
        for name in before
        if not np.array_equal(before[name], after[name], equal_nan=name != "tuned")
    }


def test_sealed_when_nothing_leaks(data):
    assert moved(data) == set()


@pytest.mark.parametrize("objective", ["survival:cox", "survival:aft"])
def test_tuning_inside_the_training_set_leaks_nothing(objective, data, monkeypatch):
    # The choice is compared, not the size of the models: a small space is enough.
    for name, values in (("_ROUNDS", (5, 20)), ("_DEPTHS", (1,)), ("_SCALES", (0.7, 1.0))):
        monkeypatch.setattr(tuning, name, values)
    settings = dataclasses.replace(TUNED, objective=objective)
    assert moved(data, settings) == set()


def test_a_choice_that_looks_at_everybody_is_caught(data, monkeypatch):
    """The parameters are scored on all patients, test patients included, and then handed on."""
    everybody = Everybody(monkeypatch)
    honest = times_score.tune

    def leaky(X, y, **options):
        # With more events altogether the candidates end with more rounds.
        rounds = 5 + int(everybody.y["event"].sum())
        return honest(X, y, **(options | {"candidates": [{"n_rounds": rounds}]}))

    monkeypatch.setattr(times_score, "tune", leaky)
    assert {"tuned", "score"} <= moved(data, TUNED)


def leak_scaling(monkeypatch):
    honest = nested._standardise

    def leaky(train, test):
        _, both = honest(pd.concat([train, test]), pd.concat([train, test]))
        return both.iloc[: len(train)], both.iloc[len(train) :]

    monkeypatch.setattr(nested, "_standardise", leaky)
    return "raw"


class Everybody:
    """Wraps `learn_fold` so that a planted leak can reach the whole data."""

    def __init__(self, monkeypatch):
        self.features = self.y = None
        honest = nested.learn_fold

        def spy(features, y, stages, **kwargs):
            self.features, self.y = features, y
            return honest(features, y, stages, **kwargs)

        monkeypatch.setitem(globals(), "learn_fold", spy)


def leak_tuning(monkeypatch):
    everybody = Everybody(monkeypatch)
    honest = nested.MarkerModel

    def tuned(**kwargs):
        # The number of rounds looks at the outcomes of everybody.
        return honest(n_rounds=20 + int(everybody.y["event"].sum()), **kwargs)

    monkeypatch.setattr(nested, "MarkerModel", tuned)
    return "score"


def leak_calibration(monkeypatch):
    everybody = Everybody(monkeypatch)
    honest = nested._score_survival
    monkeypatch.setattr(
        nested,
        "_score_survival",
        lambda score, _y, settings: honest(score, everybody.y, settings),
    )
    return "times_score survival"


def leak_weights(monkeypatch):
    class Leaky(nested.TimesScore):
        def predict_table(self, X):
            # The prior of the variances, and with it the weights, is learned on the test patients.
            variance = apply_models(self.crossfit_, X).variance.to_numpy()
            self.prior_ = fit_variance_prior(variance, df=self.variance_df_)
            return super().predict_table(X)

    monkeypatch.setattr(nested, "TimesScore", Leaky)
    return "times_score linear predictor"


def leak_cut_off(monkeypatch):
    class Leaky(nested.TimesScore):
        def predict_table(self, X):
            table = super().predict_table(X)
            both = pd.concat([self.out_of_fold_, table])
            self.out_of_fold_ = both.iloc[: len(self.out_of_fold_)].assign(
                score=both["score"].median()
            )
            return table

    monkeypatch.setattr(nested, "TimesScore", Leaky)
    return "cut-off"


def leak_second_stage(monkeypatch):
    everybody = Everybody(monkeypatch)

    class SingleLevel(nested.TimesScore):
        def fit(self, X, y, **kwargs):
            # Evidence of the training patients from one cross-fit over everybody.
            super().fit(everybody.features, everybody.y, **kwargs)
            single = self.out_of_fold_evidence_.loc[X.index]
            super().fit(X, y, **kwargs)
            self.out_of_fold_evidence_ = single
            return self

    monkeypatch.setattr(nested, "TimesScore", SingleLevel)
    return "training evidence"


@pytest.mark.parametrize(
    "plant",
    [
        leak_scaling,
        leak_tuning,
        leak_calibration,
        leak_weights,
        leak_cut_off,
        leak_second_stage,
    ],
    ids=lambda plant: plant.__name__,
)
def test_planted_leak_is_caught(plant, data, monkeypatch):
    expected = plant(monkeypatch)
    assert expected in moved(data)
