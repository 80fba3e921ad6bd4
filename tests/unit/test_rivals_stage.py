"""A recorded stage and no covariate at all as rivals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.nonparametric import kaplan_meier
from times_stats.rivals.marginal import NullModel
from times_stats.rivals.stage import StageModel

TIMES = np.array([1.0, 6.0, 12.0, 30.0])
ORDER = ["I", "II", "III", "IV"]


def sample(seed=0, n=80, stages=("I", "II", "IV")):
    rng = np.random.default_rng(seed)
    stage = pd.Series(
        pd.Categorical(rng.choice(list(stages), size=n), ORDER, ordered=True),
        index=[f"P{i:03d}" for i in range(n)],
    )
    y = pd.DataFrame(
        {
            "time": rng.exponential(20, size=n) / (1 + stage.cat.codes.to_numpy()),
            "event": rng.integers(0, 2, size=n),
        },
        index=stage.index,
    )
    return stage, y


def test_each_stage_gets_its_kaplan_meier():
    stage, y = sample()
    model = StageModel().fit(stage, y)
    survival = model.predict_survival(stage, times=TIMES)
    for name in ("I", "II", "IV"):
        member = (stage == name).to_numpy()
        expected = kaplan_meier(y["time"][member], y["event"][member]).at(TIMES)
        np.testing.assert_array_equal(survival[member], np.tile(expected, (member.sum(), 1)))


def test_risk_is_the_order_of_the_stage():
    stage, y = sample()
    risk = StageModel().fit(stage, y).predict(stage)
    assert risk.tolist() == [float(ORDER.index(name)) for name in stage]


def test_unseen_stage_borrows_from_below_else_from_above_and_is_counted():
    stage, y = sample(stages=("II", "IV"))
    model = StageModel().fit(stage, y)
    assert model.unseen_ == {"I": "II", "III": "II"}
    new = pd.Series(pd.Categorical(["I", "II", "III"], ORDER, ordered=True))
    survival = model.predict_survival(new, times=TIMES)
    np.testing.assert_array_equal(survival[0], survival[1])
    np.testing.assert_array_equal(survival[2], survival[1])
    assert new.isin([*model.unseen_]).sum() == 2
    assert stage.isin([*model.unseen_]).sum() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, y: StageModel().fit(s.astype(str), y), "must be an ordered categorical"),
        (lambda s, y: StageModel().fit(s.cat.as_unordered(), y), "must be an ordered categorical"),
        (lambda s, y: StageModel().fit(s.where(s != "II"), y), "stage is missing for patients"),
        (lambda s, y: StageModel().fit(s[:-1], y), "stage has 79 rows and y has 80"),
        (
            lambda s, y: StageModel().fit(s, y).predict(s.cat.remove_unused_categories()),
            "same ordered categories",
        ),
    ],
)
def test_stage_faults_are_named(change, message):
    stage, y = sample()
    with pytest.raises(InputError, match=message):
        change(stage, y)


def test_null_model_says_the_same_of_everybody():
    _, y = sample()
    model = NullModel().fit(y, y)
    assert (model.predict(y) == 0).all()
    expected = kaplan_meier(y["time"], y["event"]).at(TIMES)
    survival = model.predict_survival(y, times=TIMES)
    np.testing.assert_array_equal(survival, np.tile(expected, (80, 1)))


def test_null_model_has_a_curve_per_cohort_and_pools_for_unknown_ones():
    _, y = sample()
    y["cohort"] = np.where(np.arange(80) < 40, "A", "B")
    model = NullModel().fit(y, y)
    new = pd.DataFrame({"cohort": ["B", "elsewhere"]})
    survival = model.predict_survival(new, times=TIMES)
    np.testing.assert_array_equal(
        survival[0], kaplan_meier(y["time"][40:], y["event"][40:]).at(TIMES)
    )
    np.testing.assert_array_equal(survival[1], kaplan_meier(y["time"], y["event"]).at(TIMES))


def test_null_model_reads_no_marker_columns():
    _, y = sample()
    columns = pd.MultiIndex.from_tuples([("cohort", "tumour")], names=["marker", "region"])
    X = pd.DataFrame(np.zeros((80, 1)), index=y.index, columns=columns)
    assert NullModel().fit(X, y).cohort_curves_ == {}
    with pytest.raises(InputError, match="X has 79 rows"):
        NullModel().fit(X[:-1], y)
