"""Specification, effects and baselines: no sampler involved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError, NotBuiltError
from times_stats.survival.baseline import (
    constant_hazard_weights,
    event_knots,
    learn_baseline,
    mspline_basis,
)
from times_stats.survival.effects import check_columns, design_effects
from times_stats.survival.spec import SurvivalSpec

PAIRS = [("A", "x"), ("A", "y"), ("B", "x"), ("B", "y")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "weibul"}, "use 'weibull'"),
        ({"n_basis": 3}, "n_basis is 3"),
        ({"prior_effect_scale": 0.0}, "prior_effect_scale is 0.0"),
        ({"prior_slope_sd": float("nan")}, "prior_slope_sd is nan"),
        ({"chains": 0}, "chains is 0"),
        ({"draws": 3}, "draws is 3"),
        ({"target_accept": 1.0}, "target_accept is 1.0"),
        ({"parameterisation": "partial"}, "parameterisation 'partial'"),
    ],
)
def test_bad_settings_name_the_remedy(changes, message):
    with pytest.raises(InputError, match=message):
        SurvivalSpec(**changes)


def test_all_faults_are_listed_at_once():
    with pytest.raises(InputError) as caught:
        SurvivalSpec(n_basis=1, chains=0)
    assert len(caught.value.faults) == 2


def test_planned_baseline_says_not_built_yet():
    with pytest.raises(NotBuiltError, match="not built yet"):
        SurvivalSpec(baseline="piecewise")


def test_fold_settings_keep_the_model_and_widen_the_gate():
    spec = SurvivalSpec(baseline="mspline", prior_effect_scale=0.3)
    short = spec.for_folds()
    assert (short.baseline, short.prior_effect_scale) == ("mspline", 0.3)
    assert (short.max_rhat, short.min_ess) == (1.05, 100.0)
    assert short.draws < spec.draws
    assert (spec.max_rhat, spec.min_ess) == (1.01, 400.0)


@pytest.mark.parametrize(
    ("pairs", "groups"),
    [
        (PAIRS, ("marker", "region", "interaction")),
        (PAIRS[:3], ("marker", "region", "interaction")),
        (PAIRS[:2], ("region",)),
        (PAIRS[::2], ("marker",)),
        ([("A", "x"), ("B", "y")], ("marker",)),
        ([("A", "x"), ("A", "y"), ("B", "z")], ("marker",)),
        (PAIRS[:1], ()),
    ],
)
def test_only_groups_the_columns_can_tell_apart_are_kept(pairs, groups):
    design = design_effects(pd.MultiIndex.from_tuples(pairs))
    assert design.groups == groups
    assert design.matrix.shape == (len(pairs), len(design.labels))
    assert (design.matrix.sum(axis=1) == len(groups)).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (pd.Index(["a"]), "two-level"),
        (pd.MultiIndex.from_tuples([("a", "b"), ("a", "b")]), "twice"),
        (pd.MultiIndex.from_arrays([[], []]), "no column"),
    ],
)
def test_bad_columns(columns, message):
    with pytest.raises(InputError, match=message):
        check_columns(columns)


def test_follow_up_of_length_zero_is_counted():
    time = np.array([0.0, 0.0, 3.0, 10.0])
    event = np.array([1, 0, 1, 1])
    baseline, moved, used = learn_baseline(time, event, SurvivalSpec())
    assert moved.tolist() == [1.5, 0.0, 3.0, 10.0]
    assert used.tolist() == [True, False, True, True]
    assert (baseline.n_shifted, baseline.n_uninformative) == (1, 1)
    assert baseline.log_rate == pytest.approx(np.log(3 * 6.5 / 14.5))


def test_no_event_is_an_error():
    with pytest.raises(InputError, match="no event"):
        learn_baseline(np.array([1.0, 2.0]), np.array([0, 0]), SurvivalSpec())


def test_tied_event_times_never_give_two_knots_at_one_place():
    knots = event_knots(np.repeat([1.0, 2.0, 3.0], [50, 1, 1]), n_basis=5)
    assert knots == (0.0, 2.0, 3.0)
    with pytest.raises(InputError, match="2 distinct event times"):
        event_knots(np.array([1.0, 1.0, 2.0]), n_basis=6)


def test_hazard_is_constant_beyond_the_last_knot_and_under_constant_weights():
    knots = (0.0, 4.0, 9.0, 20.0)
    times = np.array([0.0, 3.0, 20.0, 30.0])
    basis, integral = mspline_basis(times, knots)
    assert (basis[3] == basis[2]).all()
    np.testing.assert_allclose(integral[3], integral[2] + 10 * basis[2])
    weights = constant_hazard_weights(knots)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(basis @ weights, 1 / 20)
    np.testing.assert_allclose(integral @ weights, times / 20)
