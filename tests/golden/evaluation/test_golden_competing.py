"""Competing events, delayed entry, standard errors and pooling against make_golden_competing.R."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.evaluation import (
    brier_score,
    calibration_groups,
    calibration_in_the_large,
    calibration_slope,
    concordance_harrell,
    concordance_uno,
    cox_censoring,
    estimate_auc,
    estimate_brier,
    estimate_concordance_harrell,
    estimate_concordance_uno,
    ici,
    index_of_prediction_accuracy,
    net_benefit,
    observed_expected,
    pool_cohorts,
    threshold_accuracy,
    time_dependent_auc,
)
from times_stats.nonparametric import (
    aalen_johansen,
    kaplan_meier,
    nelson_aalen,
    restricted_mean_survival,
)

HERE = Path(__file__).parent
GOLDEN = pd.read_csv(HERE / "golden_competing.csv", dtype={"argument": str})
COMPETING = pd.read_csv(HERE / "competing.csv")
HORIZON = 12


class Sample:
    """Outcome, predictions and times of one data set of the golden values."""

    def __init__(self, name: str) -> None:
        own = name in ("hcc", "tied")
        d = pd.read_csv(HERE / f"{name}.csv") if own else COMPETING
        self.times = {"hcc": [12, 24, 36], "tied": [4, 8, 12]}.get(name, [6, 12, 18])
        self.time = d["whole" if name in ("whole", "late") else "time"].to_numpy()
        self.event = d["event"].to_numpy() if own else (d["cause"] == 1).astype(int).to_numpy()
        self.cause = None if own else d["cause"].to_numpy()
        self.entry = d["entry"].to_numpy() if name == "late" else None
        self.risk = d["linear_predictor" if own else "x"].to_numpy()
        self.survival = d[[f"survival_{t}" for t in self.times]].to_numpy()
        self.covariates = None if own else d[["x", "site"]].to_numpy()

    @property
    def any_event(self) -> np.ndarray:
        return self.event if self.cause is None else (self.cause > 0).astype(int)


SAMPLES = {name: Sample(name) for name in ("hcc", "tied", "smooth", "whole", "late")}
competing = pytest.mark.parametrize("name", ["smooth", "whole"])
every = pytest.mark.parametrize("name", ["hcc", "tied", "smooth", "whole"])


def golden(name: str, quantity: str) -> np.ndarray:
    rows = GOLDEN[(GOLDEN["data"] == name) & (GOLDEN["quantity"] == quantity)]
    assert len(rows) > 0, f"no golden value {name} {quantity}"
    return rows["value"].to_numpy()


def arguments(name: str, quantity: str) -> np.ndarray:
    rows = GOLDEN[(GOLDEN["data"] == name) & (GOLDEN["quantity"] == quantity)]
    return rows["argument"].astype(float).to_numpy()


def check(actual, name: str, quantity: str, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(
        np.atleast_1d(actual), golden(name, quantity), rtol=0, atol=atol, err_msg=quantity
    )


def test_curves_with_delayed_entry():
    s = SAMPLES["late"]
    km = kaplan_meier(s.time, s.any_event, entry=s.entry)
    at = arguments("late", "kaplan_meier")
    check(km.at(at), "late", "kaplan_meier")
    check(km.se_at(at), "late", "kaplan_meier_se")
    check(km.number_at_risk(arguments("late", "at_risk")), "late", "at_risk")
    check(nelson_aalen(s.time, s.any_event, entry=s.entry).at(at), "late", "nelson_aalen")
    curves = aalen_johansen(s.time, s.cause, entry=s.entry)
    for cause in (1, 2):
        check(curves[cause].at(at), "late", f"aalen_johansen_{cause}")
        check(curves[cause].se_at(at), "late", f"aalen_johansen_se_{cause}")


@pytest.mark.parametrize("name", ["hcc", "whole", "late"])
def test_restricted_mean(name):
    s = SAMPLES[name]
    horizons = arguments(name, "restricted_mean")
    found = [
        restricted_mean_survival(s.time, s.any_event, horizon=tau, entry=s.entry)
        for tau in horizons
    ]
    check([f.estimate for f in found], name, "restricted_mean", 1e-10)
    check([f.se for f in found], name, "restricted_mean_se", 1e-10)


@pytest.mark.parametrize("name", ["hcc", "tied", "smooth", "late"])
def test_harrell_at_a_horizon_and_with_delayed_entry(name):
    s = SAMPLES[name]
    horizons = [None, {"hcc": 24, "tied": 8}.get(name, HORIZON)]
    values = [
        concordance_harrell(s.time, s.event, s.risk, horizon=h, entry=s.entry) for h in horizons
    ]
    check(values, name, "concordance_harrell")
    found = [
        estimate_concordance_harrell(s.time, s.event, s.risk, horizon=h, entry=s.entry)
        for h in horizons
    ]
    check([f.estimate[0] for f in found], name, "concordance_harrell")
    check([f.se[0] for f in found], name, "concordance_harrell_se")


@pytest.mark.parametrize(("name", "horizon"), [("hcc", 24), ("tied", 8)])
def test_uno_standard_errors(name, horizon):
    s = SAMPLES[name]
    found = estimate_concordance_uno(s.time, s.event, s.risk, horizon=horizon)
    value = concordance_uno(s.time, s.event, s.risk, horizon=horizon)
    assert found.estimate[0] == pytest.approx(value, abs=1e-14)
    check(found.se_known_weights, name, "concordance_uno_se_known_weights")
    if name == "tied":  # what R leaves out, by numerical derivatives
        check(found.se, name, "concordance_uno_se", 1e-9)


def test_slope_with_delayed_entry():
    s = SAMPLES["late"]
    check(
        calibration_slope(s.time, s.event, s.risk, entry=s.entry), "late", "calibration_slope", 1e-8
    )


@competing
def test_competing_events_error_and_discrimination(name):
    s = SAMPLES[name]
    args, kw = (s.time, s.event), {"times": s.times, "cause": s.cause}
    check(brier_score(*args, s.survival, **kw), name, "brier_score")
    ipa = index_of_prediction_accuracy(*args, s.survival, **kw)
    check(ipa, name, "index_of_prediction_accuracy")
    auc = [
        time_dependent_auc(*args, 1 - column, times=[t], cause=s.cause)[0]
        for t, column in zip(s.times, s.survival.T, strict=True)
    ]
    check(auc, name, "time_dependent_auc")
    uno = concordance_uno(*args, s.risk, horizon=HORIZON, cause=s.cause)
    check(uno, name, "concordance_uno")


@competing
def test_competing_events_at_thresholds(name):
    s = SAMPLES[name]
    cuts = arguments(name, "sensitivity")
    probability = 1 - s.survival[:, 1]
    kw = {"horizon": HORIZON, "thresholds": cuts, "cause": s.cause}
    table = threshold_accuracy(s.time, s.event, probability, **kw)
    for column in ("sensitivity", "specificity", "ppv", "npv", "accuracy"):
        check(table[column], name, column)
    benefit = net_benefit(s.time, s.event, probability, **kw)
    check(benefit["net_benefit"], name, "net_benefit")


@competing
def test_competing_events_calibration(name):
    s = SAMPLES[name]
    at_horizon = s.survival[:, 1]
    kw = {"horizon": HORIZON, "cause": s.cause}
    found = observed_expected(s.time, s.event, at_horizon, **kw)
    check(found.observed, name, "observed")
    check(found.observed_se, name, "observed_se")
    check(found.ratio, name, "observed_expected")
    check(found.lower, name, "observed_expected_lower", 1e-10)
    large = calibration_in_the_large(s.time, s.event, at_horizon, **kw)
    assert large == pytest.approx(found.difference, abs=1e-12)
    groups = calibration_groups(s.time, s.event, at_horizon, n_groups=4, **kw)
    for column in ("observed", "lower", "upper"):
        check(groups[column], name, f"group_{column}", 1e-10)
    check(ici(s.time, s.event, at_horizon, **kw), name, "ici", 1e-8)


@competing
def test_censoring_by_cox_regression(name):
    s = SAMPLES[name]
    curves = cox_censoring(s.time, s.any_event, s.covariates)
    kw = {"cause": s.cause, "censoring": curves}
    brier = brier_score(s.time, s.event, s.survival[:, [1]], times=[HORIZON], **kw)
    check(brier, name, "brier_score_cox", 1e-8)
    auc = time_dependent_auc(s.time, s.event, s.risk, times=[HORIZON], **kw)
    check(auc, name, "time_dependent_auc_cox", 1e-8)
    uno = concordance_uno(s.time, s.any_event, s.risk, horizon=HORIZON, censoring=curves)
    check(uno, name, "concordance_uno_cox", 1e-8)


@every
def test_standard_errors_of_brier_and_auc(name):
    s = SAMPLES[name]
    n = s.time.size
    in_r = np.sqrt(n / (n - 1))  # Score takes the standard deviation of the influence, over n - 1
    brier = estimate_brier(s.time, s.event, s.survival, times=s.times, cause=s.cause)
    np.testing.assert_allclose(
        brier.estimate,
        brier_score(s.time, s.event, s.survival, times=s.times, cause=s.cause),
        atol=1e-14,
    )
    found = {"brier_score": brier}
    auc = [
        estimate_auc(s.time, s.event, 1 - column, times=[t], cause=s.cause)
        for t, column in zip(s.times, s.survival.T, strict=True)
    ]
    known = [a.se_known_weights[0] * in_r for a in auc]
    check(brier.se_known_weights * in_r, name, "brier_score_se_known_weights")
    check(known, name, "time_dependent_auc_se_known_weights")
    auc_se = np.array([a.se[0] for a in auc])
    if name == "smooth":  # Score's term for the estimated weights is that of untied times
        check(found["brier_score"].se * in_r, name, "brier_score_se", 1e-6)
        check(auc_se * in_r, name, "time_dependent_auc_se", 1e-6)
    else:
        check(brier.se, name, "brier_score_se_derivative", 1e-9)
        check(auc_se, name, "time_dependent_auc_se_derivative", 1e-9)


def test_where_ties_part_us_from_score():
    """With tied times riskRegression's term for the weights is off its own derivative."""
    for name in ("hcc", "tied", "whole"):
        n = SAMPLES[name].time.size
        derivative = golden(name, "brier_score_se_derivative") * np.sqrt(n / (n - 1))
        gap = np.abs(golden(name, "brier_score_se") - derivative).max()
        assert 1e-6 < gap < 1e-4


@pytest.mark.parametrize("scale", ["identity", "logit", "log"])
@pytest.mark.parametrize(("method", "row"), [("reml", 0), ("dersimonian_laird", 1)])
def test_random_effects_are_metafor(scale, method, row):
    pool = pool_cohorts(
        [0.62, 0.71, 0.66, 0.58, 0.69],
        [0.03, 0.04, 0.025, 0.05, 0.035],
        scale=scale,
        method=method,
    )
    for field in ("estimate", "lower", "upper", "prediction_lower", "prediction_upper", "q"):
        expected = golden(f"pool_{scale}", field)[row]
        assert getattr(pool, field) == pytest.approx(expected, abs=1e-9), field
    assert pool.tau**2 == pytest.approx(golden(f"pool_{scale}", "tau2")[row], abs=1e-10)


def test_every_golden_value_names_its_function_and_tie_rule():
    assert GOLDEN[["r_function", "tie_rule"]].notna().all().all()
    assert GOLDEN["value"].notna().all()
