"""Specification, effects and baselines: no sampler involved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.survival.baseline import (
    Baseline,
    constant_hazard_weights,
    event_knots,
    learn_baseline,
    mspline_basis,
)
from times_stats.survival.effects import check_columns, design_effects
from times_stats.survival.outcomes import read_outcome
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


def test_piecewise_needs_two_intervals():
    assert SurvivalSpec(baseline="piecewise", n_basis=2).n_basis == 2
    with pytest.raises(InputError, match="n_basis is 1: use 2 or more intervals"):
        SurvivalSpec(baseline="piecewise", n_basis=1)


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
        ([("A", "x"), ("A", "y"), ("B", "z")], ("marker", "region")),
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


def outcome(time, event, **columns):
    return read_outcome(pd.DataFrame({"time": time, "event": event, **columns}))


def test_follow_up_of_length_zero_is_counted():
    time = np.array([0.0, 0.0, 3.0, 10.0])
    event = np.array([1, 0, 1, 1])
    baseline, moved, used = learn_baseline(outcome(time, event), SurvivalSpec())
    assert moved.time.tolist() == [1.5, 0.0, 3.0, 10.0]
    assert used.tolist() == [True, False, True, True]
    assert (baseline.n_shifted, baseline.n_uninformative) == (1, 1)
    assert baseline.log_rate == pytest.approx(np.log(3 * 6.5 / 14.5))


def test_no_event_is_an_error():
    with pytest.raises(InputError, match="no event"):
        learn_baseline(outcome([1.0, 2.0], [0, 0]), SurvivalSpec())


def test_tied_event_times_never_give_two_knots_at_one_place():
    knots = event_knots(np.repeat([1.0, 2.0, 3.0], [50, 1, 1]), n_inner=1)
    assert knots == (0.0, 2.0, 3.0)
    with pytest.raises(InputError, match="2 distinct event times"):
        event_knots(np.array([1.0, 1.0, 2.0]), n_inner=2)


def test_hazard_is_constant_beyond_the_last_knot_and_under_constant_weights():
    knots = (0.0, 4.0, 9.0, 20.0)
    times = np.array([0.0, 3.0, 20.0, 30.0])
    basis, integral = mspline_basis(times, knots)
    assert (basis[3] == basis[2]).all()
    np.testing.assert_allclose(integral[3], integral[2] + 10 * basis[2])
    weights = constant_hazard_weights(Baseline("mspline", 1.0, 0.0, 20.0, knots))
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(basis @ weights, 1 / 20)
    np.testing.assert_allclose(integral @ weights, times / 20)


# What is known of an event.


def test_delayed_entry_and_intervals_enter_scale_rate_and_knots():
    found = outcome(
        [10.0, 8.0, 6.0, 4.0],
        [1, 1, 0, 1],
        entry=[2.0, 0.0, 1.0, 0.0],
        time_lower=[7.0, np.nan, np.nan, 4.0],
        time_upper=[10.0, np.nan, np.nan, 4.0],
    )
    assert found.time.tolist() == [7.0, 8.0, 6.0, 4.0]
    assert found.event.tolist() == [0, 1, 0, 1]  # equal bounds are a known time
    assert found.has_happened.tolist() == [True, True, False, True]
    baseline, _, used = learn_baseline(found, SurvivalSpec(baseline="piecewise", n_basis=2))
    assert used.all()
    assert baseline.knots == (
        0.0,
        8.0,
        10.0,
    )  # events at 4, 8 and, in the middle of an interval, 8.5
    assert baseline.last_event == 10.0
    exposure = (8.5 - 2) + 8 + (6 - 1) + 4
    assert baseline.log_rate == pytest.approx(np.log(3 * 10 / exposure))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"entry": ["early", 0, 0]}, "column 'entry' is not numeric: give months"),
        ({"entry": [np.nan, 0, 0]}, "entry is missing for patient 0: 0 where follow-up began"),
        ({"entry": [-1, 0, 0]}, "entry is negative for patient 0"),
        ({"entry": [0, 9, 0]}, "entry does not come before the end of follow-up for patient 1"),
        ({"time_lower": [1, 2, 3]}, "has 'time_lower' alone: give time_lower and time_upper"),
        (
            {"time_lower": [1, np.nan, np.nan], "time_upper": [np.nan] * 3},
            "one of time_lower and time_upper is missing for patient 0",
        ),
        (
            {"time_lower": [np.nan, np.nan, 1], "time_upper": [np.nan, np.nan, 9]},
            "time_lower and time_upper are given without the event for patient 2",
        ),
        (
            {"time_lower": [6, np.nan, np.nan], "time_upper": [9, np.nan, np.nan]},
            "time lies outside time_lower and time_upper for patient 0",
        ),
        (
            {
                "entry": [4, 0, 0],
                "time_lower": [3, np.nan, np.nan],
                "time_upper": [5, np.nan, np.nan],
            },
            "entry comes after time_lower for patient 0",
        ),
        (
            {"time_lower": [np.inf, np.nan, np.nan], "time_upper": [np.inf, np.nan, np.nan]},
            "time_lower is infinite for patient 0",
        ),
    ],
)
def test_outcomes_that_cannot_be(columns, message):
    with pytest.raises(InputError, match=message):
        outcome([5.0, 7.0, 9.0], [1, 1, 0], **columns)


def test_scans_and_competing_deaths_together_are_refused():
    columns = {
        "time_lower": [3.0, np.nan, np.nan],
        "time_upper": [5.0, np.nan, np.nan],
    }
    assert outcome([5.0, 7.0, 9.0], [1, 1, 0], cause=[1, 1, 0], **columns).is_interval[0]
    with pytest.raises(InputError, match=r"competing deaths \(patient 2\).*illness-death"):
        outcome([5.0, 7.0, 9.0], [1, 1, 0], cause=[1, 1, 2], **columns)


def test_event_and_cause_agree():
    assert outcome([5.0, 7.0], [1, 0], cause=[1, 2], entry=[1.0, 0.0]).event.tolist() == [1, 0]
    with pytest.raises(InputError, match="event and cause disagree in row 1: event is 1 where"):
        outcome([5.0, 7.0], [1, 1], cause=[1, 2])
    with pytest.raises(InputError, match="cause is not 0, 1 or 2 in row 1"):
        outcome([5.0, 7.0], [1, 0], cause=[1, "death"])


def test_bounds_that_differ_by_rounding_are_one_time():
    found = outcome(
        [15 / 30.4375, 6.0],
        [1, 1],
        time_lower=[15 * (1 / 30.4375), np.nextafter(6, 0)],
        time_upper=[15 / 30.4375, 6.0],
    )
    assert not found.is_interval.any()
    assert found.event.tolist() == [1, 1]
    assert found.time.tolist() == [15 / 30.4375, 6.0]
