"""What a score adds to a stage: the test, and the log density of patients left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.hazard_regression import PHReg

from times_stats.errors import InputError
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals import added_value


def simulated(n, *keys, effect=1.0):
    rng = spawn_rng(5, "added", *keys)
    score, stage = rng.normal(size=n), rng.integers(0, 3, n)
    failure = np.ceil(rng.exponential(20 * np.exp(-effect * score - 0.5 * stage)))
    censoring = np.ceil(rng.uniform(10, 60, n))
    outcome = pd.DataFrame(
        {"time": np.minimum(failure, censoring), "event": (failure <= censoring).astype(int)},
        index=[f"p{k}" for k in range(n)],
    )
    return outcome, pd.Series(stage, index=outcome.index), score


def run(outcome, stage, score, **options):
    folds = assign_folds(outcome.index, n_folds=4, n_repeats=2, rng=spawn_rng(1, "folds"))
    settings = {"folds": folds, "n_resamples": 200, "rng": spawn_rng(1, "boot")}
    return added_value(outcome, stage, score, **(settings | options))


def phreg(outcome, columns):
    return PHReg(outcome["time"], columns, status=outcome["event"], ties="efron")


def test_likelihood_ratio_is_that_of_statsmodels():
    outcome, stage, score = simulated(120)
    cohort = pd.DataFrame({"b": np.arange(120) % 2})
    dummies = np.column_stack([stage == 1, stage == 2, cohort["b"]]).astype(float)
    models = phreg(outcome, dummies), phreg(outcome, np.column_stack([dummies, score]))
    alone, both = (model.fit(disp=0).llf for model in models)
    slope = models[1].fit(disp=0).params[-1]
    empty = phreg(outcome, dummies[:, 2:]).fit(disp=0).llf  # the cohort is no merit of the stage
    found = run(outcome, stage, 3 + 10 * score, covariates=cohort)
    assert found.chi_squared == pytest.approx(2 * (both - alone), abs=1e-6)
    assert found.adequacy == pytest.approx((alone - empty) / (both - empty), abs=1e-6)
    assert found.p_value < 1e-6
    assert found.coefficient == pytest.approx(slope * score.std(), abs=1e-5)
    assert found.log_density.loc["difference", "lower"] > 0


def test_a_stage_of_noise_is_not_adequate_by_its_cohorts():
    outcome, _, score = simulated(120)
    cohort = pd.DataFrame({"b": (score > 0).astype(float)})
    noise = pd.Series(np.arange(120) % 2, index=outcome.index)
    assert run(outcome, noise, score, covariates=cohort).adequacy < 0.05
    flat = run(outcome, noise * 0, score, covariates=cohort)
    assert flat.adequacy == pytest.approx(0, abs=1e-9)


def test_log_density_of_one_rate_is_exponential():
    """One stage and few events: a constant hazard, events over follow-up of the other folds."""
    outcome, stage, score = simulated(24)
    folds = np.arange(24)[None] % 3
    found = run(outcome, stage * 0, score, folds=folds)
    time, event = outcome["time"].to_numpy(), outcome["event"].to_numpy()
    expected = np.empty(24)
    for fold in range(3):
        train, test = folds[0] != fold, folds[0] == fold
        assert event[train].sum() < 20
        rate = event[train].sum() / time[train].sum()
        expected[test] = event[test] * np.log(rate) - rate * time[test]
    assert found.log_density.loc["stage", "estimate"] == pytest.approx(expected.mean(), abs=1e-12)


def test_tied_times_leave_no_piece_without_events():
    outcome, stage, score = simulated(150)
    outcome["time"] = np.where(np.arange(150) % 10 == 0, outcome["time"], 6.0)
    found = run(outcome, stage, score)
    assert np.isfinite(found.patients).all()
    assert np.isfinite(found.log_density.to_numpy()).all()


def test_a_score_of_noise_adds_nothing_to_patients_left_out():
    gains, tests = [], []
    for k in range(12):
        outcome, stage, _ = simulated(80, k)
        found = run(outcome, stage, spawn_rng(9, "noise", k).normal(size=80), n_resamples=10)
        gains.append(found.log_density.loc["difference", "estimate"])
        tests.append(found.p_value)
    assert np.mean(gains) < 0  # what estimating one useless coefficient costs
    assert 0.25 < np.mean(tests) < 0.75  # uniform: the sd of a mean of 12 is .083


def test_scores_of_every_outer_split():
    outcome, stage, score = simulated(60)
    folds = assign_folds(outcome.index, n_folds=4, n_repeats=2, rng=spawn_rng(1, "folds"))
    same = run(outcome, stage, np.tile(score, (2, 4, 1)))
    once = run(outcome, stage, score)
    pd.testing.assert_frame_equal(same.log_density, once.log_density)
    assert same.chi_squared == once.chi_squared
    # what a split gave its training patients is no part of the test, and of other splits' density
    own = np.tile(score, (2, 4, 1))
    own[0, 0, folds[0] != 0] = spawn_rng(2, "x").normal(size=(folds[0] != 0).sum())
    changed = run(outcome, stage, own)
    assert changed.chi_squared == once.chi_squared
    moved = (changed.patients - once.patients).abs().to_numpy() > 1e-12
    assert moved[folds[0] == 0].any()
    assert not moved[folds[0] != 0].any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": np.ones(60)}, "same for every patient"),
        ({"score": np.ones((2, 3, 60))}, r"score has shape \(2, 3, 60\): give \(60,\), or"),
        ({"score": np.r_[np.nan, np.arange(59)]}, "score is missing or infinite for patient p0"),
        ({"stage": pd.Series([None] + [1] * 59)}, "stage is missing for patient p0"),
        ({"stage": pd.Series([1] * 59)}, "stage has 59 rows"),
        ({"covariates": pd.DataFrame({"b": [np.nan] * 60})}, "60 rows of finite numbers"),
        ({"confidence_level": 95}, "confidence_level is 95"),
    ],
)
def test_bad_input_is_refused(change, said):
    outcome, stage, score = simulated(60)
    given = {"stage": stage, "score": score} | change
    with pytest.raises(InputError, match=said):
        run(outcome, given.pop("stage"), given.pop("score"), **given)


def test_competing_events_are_refused():
    outcome, stage, score = simulated(60)
    cause = outcome["event"].copy()
    assert run(outcome.assign(cause=cause), stage, score).events == outcome["event"].sum()
    cause.iloc[int(np.flatnonzero(cause == 0)[0])] = 2
    with pytest.raises(InputError, match=r"cause 2.*leave 'cause' out"):
        run(outcome.assign(cause=cause), stage, score)


def test_patients_in_another_order_are_refused():
    outcome, stage, score = simulated(60)
    named = pd.Series(score, index=outcome.index)
    expected = run(outcome, stage, score).chi_squared
    assert run(outcome, stage, named).chi_squared == expected
    assert run(outcome, stage.reset_index(drop=True), score).chi_squared == expected
    unnamed = outcome.reset_index(drop=True)
    assert run(unnamed, stage, score).chi_squared == expected
    for given in (
        {"stage": stage[::-1], "score": score},
        {"stage": stage, "score": named[::-1]},
        {"stage": stage, "score": score, "covariates": named[::-1].to_frame()},
    ):
        with pytest.raises(InputError, match="patients in another order: reorder it"):
            run(outcome, **given)
    with pytest.raises(InputError, match="stage has the outcome's patients in another order"):
        run(unnamed, stage.reset_index(drop=True)[::-1], score)
    other = stage.rename({"p3": "x3"})
    with pytest.raises(InputError, match=r"stage is indexed by other patients .* x3 among them"):
        run(outcome, other, score)


def test_a_covariate_that_repeats_the_stage_is_told_in_words_of_its_own():
    outcome, stage, score = simulated(60)
    again = pd.DataFrame({"again": (stage == 1).astype(float)})
    with pytest.raises(InputError, match="has no maximum: leave out a covariate"):
        run(outcome, stage, score, covariates=again)
    censored = outcome.assign(event=np.where(stage == 2, 0, outcome["event"]))
    with pytest.raises(InputError, match="patients of stage 2 has an event"):
        run(censored, stage, score)
