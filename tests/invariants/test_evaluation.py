from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from times_stats.evaluation import (
    Prediction,
    brier_score,
    calibration_in_the_large,
    calibration_slope,
    compare,
    concordance_harrell,
    concordance_uno,
    time_dependent_auc,
)
from times_stats.evaluation.slopes import efron_slopes
from times_stats.nonparametric import (
    censoring_distribution,
    ipcw_weights,
    kaplan_meier,
    logrank,
    nelson_aalen,
)
from times_stats.resampling import assign_folds, check_folds, spawn_rng

# a shared machine may be slow, and a test must not change from run to run
steady = settings(deadline=None, derandomize=True)


@st.composite
def outcomes(draw, smallest=5, largest=40):
    n = draw(st.integers(smallest, largest))
    time = np.array(draw(st.lists(st.integers(1, 12), min_size=n, max_size=n)), dtype=float)
    event = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    risk = np.array(draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n)), dtype=float)
    return time, event, risk


def has_pairs(time, event):
    later = (time[None, :] > time[:, None]) | (
        (time[None, :] == time[:, None]) & (event[None, :] == 0)
    )
    return bool((later & (event == 1)[:, None]).any())


@steady
@given(outcomes())
def test_reversed_risk_has_the_complementary_concordance(data):
    time, event, risk = data
    assume(has_pairs(time, event))
    c = concordance_harrell(time, event, risk)
    assert concordance_harrell(time, event, -risk) == pytest.approx(1 - c)
    assert concordance_harrell(time, event, np.exp(risk)) == c
    assert concordance_harrell(time, event, np.zeros(time.size)) == 0.5


@steady
@given(outcomes(), st.randoms(use_true_random=False))
def test_relabelling_patients_changes_nothing(data, random):
    time, event, risk = data
    assume(has_pairs(time, event))
    order = np.array(random.sample(range(time.size), time.size))
    assert concordance_harrell(time[order], event[order], risk[order]) == pytest.approx(
        concordance_harrell(time, event, risk)
    )
    np.testing.assert_allclose(
        calibration_slope(time[order], event[order], risk[order]),
        calibration_slope(time, event, risk),
        rtol=1e-6,
        atol=1e-8,
    )


@steady
@given(outcomes())
def test_censoring_weighted_measures(data):
    time, event, risk = data
    G = censoring_distribution(time, event)
    horizon = 6.0
    assume(time.max() >= horizon and float(G.at(horizon)) >= 0.1)
    weights = ipcw_weights(time, event, horizon=horizon)
    assert weights.mean() == pytest.approx(1)
    survival = 1 / (1 + np.exp(risk))
    observed = 1 - float(kaplan_meier(time, event).at(horizon))
    assert calibration_in_the_large(time, event, survival, horizon=horizon) == pytest.approx(
        observed - (1 - survival).mean()
    )
    assert 0 <= brier_score(time, event, survival[:, None], times=[horizon])[0] <= weights.max()
    perfect = (time > horizon).astype(float)
    assert brier_score(time, event, perfect[:, None], times=[horizon])[0] == 0
    auc = time_dependent_auc(time, event, risk, times=[horizon])[0]
    other = time_dependent_auc(time, event, -risk, times=[horizon])[0]
    np.testing.assert_allclose(other, 1 - auc)
    if has_pairs(time, np.where(time <= horizon, event, 0)):
        uno = concordance_uno(time, event, risk, horizon=horizon)
        assert 0 <= uno <= 1
        assert concordance_uno(time, event, -risk, horizon=horizon) == pytest.approx(1 - uno)
        one = np.zeros(time.size)
        assert concordance_uno(time, event, risk, horizon=horizon, strata=one) == pytest.approx(uno)


@steady
@given(outcomes(smallest=8), st.integers(2, 3), st.integers(0, 99))
def test_concordance_within_folds(data, n_folds, seed):
    time, event, risk = data
    G = censoring_distribution(time, event)
    horizon = 6.0
    assume(time.max() >= horizon and float(G.at(horizon)) >= 0.1)
    folds = assign_folds(np.arange(time.size), n_folds=n_folds, n_repeats=2, rng=spawn_rng(seed))
    inside = risk * 2.0 ** (folds - 1) + 7 * folds  # increasing within each fold
    table = compare(
        pd.DataFrame({"time": time, "event": event}),
        [
            Prediction("plain", risk[None]),
            Prediction("reversed", -risk[None]),
            Prediction("inside", inside),
        ],
        times=[horizon],
        horizon=horizon,
        folds=folds,
        n_resamples=2,
        rng=spawn_rng(seed),
    )
    estimates = table.pivot_table(
        index="metric", columns="model", values="estimate", dropna=False
    ).loc[["concordance_harrell_within_folds", "concordance_uno_within_folds"]]
    plain = estimates["plain"].to_numpy()
    assume(np.isfinite(plain).all())
    assert ((plain >= 0) & (plain <= 1)).all()
    np.testing.assert_allclose(estimates["reversed"], 1 - plain, atol=1e-12)
    np.testing.assert_allclose(estimates["inside"], plain, atol=1e-12)


@steady
@given(outcomes())
def test_uncensored_uno_is_harrell(data):
    time, _, risk = data
    event = np.ones(time.size, dtype=int)
    assume(has_pairs(time, event))
    assert concordance_uno(time, event, risk, horizon=float(time.max())) == pytest.approx(
        concordance_harrell(time, event, risk)
    )


@steady
@given(outcomes())
def test_slope_scales_and_shifts(data):
    time, event, risk = data
    slope = calibration_slope(time, event, risk)
    assume(np.isfinite(slope))
    assert calibration_slope(time, event, 10 * risk + 3) == pytest.approx(slope / 10, abs=1e-7)
    weights = np.vstack([np.ones(time.size), np.full(time.size, 3)])
    np.testing.assert_allclose(efron_slopes(time, event, risk, weights), slope, atol=1e-7)


@steady
@given(outcomes())
def test_survival_curve(data):
    time, event, _ = data
    curve, hazard = kaplan_meier(time, event), nelson_aalen(time, event)
    assert ((curve.values >= 0) & (curve.values <= 1)).all()
    assert (np.diff(np.r_[1.0, curve.values]) <= 0).all()
    assert (np.diff(np.r_[0.0, hazard.values]) >= 0).all()
    assert (curve.values <= np.exp(-hazard.values) + 1e-12).all()
    if not (event == 0).any():
        grid = np.arange(13)
        np.testing.assert_allclose(curve.at(grid), (time[:, None] > grid).mean(axis=0), atol=1e-12)


@steady
@given(outcomes())
def test_logrank_does_not_depend_on_the_names_of_the_groups(data):
    time, event, risk = data
    group = (risk > 0).astype(int)
    assume(np.unique(group).size == 2)
    result = logrank(time, event, group)
    assert result.statistic >= -1e-9
    assert logrank(time, event, 1 - group).statistic == pytest.approx(result.statistic, abs=1e-9)


@steady
@given(st.lists(st.integers(0, 12), min_size=6, max_size=60), st.integers(2, 4), st.integers(0, 99))
def test_folds_keep_patients_together(groups, n_folds, seed):
    assume(len(set(groups)) >= n_folds)
    folds = assign_folds(groups, n_folds=n_folds, n_repeats=2, rng=spawn_rng(seed))
    np.testing.assert_array_equal(check_folds(folds, groups), folds)
    assert all(set(labels) == set(range(n_folds)) for labels in folds)
