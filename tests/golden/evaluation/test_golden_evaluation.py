"""Values from R (make_golden.R, session_info.txt); golden.csv names function and tie rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import DataWarning
from times_stats.evaluation import (
    brier_score,
    calibration_groups,
    calibration_in_the_large,
    calibration_slope,
    concordance_harrell,
    concordance_uno,
    ici,
    index_of_prediction_accuracy,
    integrated_brier,
    net_benefit,
    time_dependent_auc,
)
from times_stats.evaluation.slopes import efron_slopes
from times_stats.nonparametric import (
    aalen_johansen,
    check_censoring_strata,
    kaplan_meier,
    logrank,
    nelson_aalen,
    reverse_kaplan_meier,
)

HERE = Path(__file__).parent
GOLDEN = pd.read_csv(HERE / "golden.csv", dtype={"argument": str})
DATA = {name: pd.read_csv(HERE / f"{name}.csv") for name in ("tied", "hcc")}
TIMES = {"tied": [4.0, 8.0, 12.0], "hcc": [12.0, 24.0, 36.0]}
both = pytest.mark.parametrize("name", ["tied", "hcc"])


def golden(name: str, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    rows = GOLDEN[(GOLDEN["data"] == name) & (GOLDEN["quantity"] == quantity)]
    assert len(rows) > 0, quantity
    return rows["argument"].to_numpy(), rows["value"].to_numpy()


def check_curve(name, quantity, values, tolerance=1e-10):
    arguments, expected = golden(name, quantity)
    np.testing.assert_allclose(values(arguments.astype(float)), expected, rtol=0, atol=tolerance)


def survival(name: str) -> np.ndarray:
    return DATA[name].filter(like="survival_").to_numpy()


@both
def test_kaplan_meier_and_nelson_aalen_are_survfit(name):
    d = DATA[name]
    km, na = kaplan_meier(d["time"], d["event"]), nelson_aalen(d["time"], d["event"])
    check_curve(name, "kaplan_meier", km.at)
    check_curve(name, "kaplan_meier_se", km.se_at)
    check_curve(name, "nelson_aalen", na.at)
    check_curve(name, "nelson_aalen_se", na.se_at)
    check_curve(name, "at_risk", km.number_at_risk)
    check_curve(name, "quantile", lambda p: [km.quantile(q) for q in p])


@both
def test_reverse_kaplan_meier_is_prodlim(name):
    d = DATA[name]
    check_curve(name, "reverse_kaplan_meier", reverse_kaplan_meier(d["time"], d["event"]).at)


def test_weighted_kaplan_meier_is_survfit():
    d = DATA["tied"]
    check_curve(
        "tied",
        "kaplan_meier_weighted",
        kaplan_meier(d["time"], d["event"], weights=d["weight"]).at,
    )


@pytest.mark.parametrize("cause", [1, 2])
def test_aalen_johansen_is_survfit(cause):
    curve = aalen_johansen(DATA["tied"]["time"], DATA["tied"]["cause"])[cause]
    check_curve("tied", f"aalen_johansen_{cause}", curve.at)
    check_curve("tied", f"aalen_johansen_se_{cause}", curve.se_at)


@both
def test_logrank_is_survdiff(name):
    d = DATA[name]
    (df,), (statistic,) = golden(name, "logrank")
    result = logrank(d["time"], d["event"], d["cohort"])
    assert result.df == int(df)
    assert result.statistic == pytest.approx(statistic, abs=1e-9)


@both
def test_logrank_of_censoring_is_survdiff(name):
    d = DATA[name]
    _, (statistic,) = golden(name, "censoring_logrank")
    result = check_censoring_strata(d["time"], d["event"], d["cohort"], level=0.0)
    assert result.statistic == pytest.approx(statistic, abs=1e-9)


@both
def test_concordances_are_survival_concordance(name):
    d, horizon = DATA[name], TIMES[name][1]
    for column, expected in zip(*golden(name, "concordance_harrell"), strict=True):
        value = concordance_harrell(d["time"], d["event"], d[column])
        assert value == pytest.approx(expected, abs=1e-12)
    for column, expected in zip(*golden(name, "concordance_uno"), strict=True):
        value = concordance_uno(d["time"], d["event"], d[column], horizon=horizon)
        assert value == pytest.approx(expected, abs=1e-12)


def test_blocks_of_the_shipped_data_differ_in_follow_up():
    d = DATA["hcc"]
    with pytest.warns(DataWarning, match=r"p = .*e-16; .*absent 64, present 43"):
        check_censoring_strata(d["time"], d["event"], d["cohort"])


def test_stages_of_the_shipped_data():
    d = DATA["hcc"]
    tnm = concordance_harrell(d["time"], d["event"], d["tnm"])
    bclc = concordance_harrell(d["time"], d["event"], d["bclc"])
    assert (round(tnm, 3), round(bclc, 3)) == (0.595, 0.616)


@both
def test_uno_within_strata(name):
    d = DATA[name]
    value = concordance_uno(
        d["time"],
        d["event"],
        d["linear_predictor"],
        horizon=TIMES[name][1],
        strata=d["cohort"],
    )
    assert value == pytest.approx(golden(name, "concordance_uno_strata")[1][0], abs=1e-12)


@both
@pytest.mark.parametrize("stratified", [False, True])
def test_auc_and_brier_are_riskregression_and_pec(name, stratified):
    d, times = DATA[name], TIMES[name]
    strata, suffix = (d["cohort"], "_strata") if stratified else (None, "")
    auc = [
        time_dependent_auc(d["time"], d["event"], 1 - S, times=[t], strata=strata)[0]
        for t, S in zip(times, survival(name).T, strict=True)
    ]
    np.testing.assert_allclose(auc, golden(name, f"time_dependent_auc{suffix}")[1], atol=1e-12)
    brier = brier_score(d["time"], d["event"], survival(name), times=times, strata=strata)
    np.testing.assert_allclose(brier, golden(name, f"brier_score{suffix}")[1], atol=1e-12)


@both
def test_ipa_and_integrated_brier(name):
    d, times = DATA[name], TIMES[name]
    ipa = index_of_prediction_accuracy(d["time"], d["event"], survival(name), times=times)
    np.testing.assert_allclose(ipa, golden(name, "index_of_prediction_accuracy")[1], atol=1e-12)
    brier = brier_score(d["time"], d["event"], survival(name), times=times)
    np.testing.assert_allclose(brier, golden(name, "brier_score_pec")[1], atol=1e-12)
    ibs = integrated_brier(d["time"], d["event"], survival(name), times=times)
    assert ibs == pytest.approx(golden(name, "integrated_brier")[1][0], abs=1e-12)


@both
def test_calibration(name):
    d, horizon = DATA[name], TIMES[name][1]
    slope = calibration_slope(d["time"], d["event"], d["linear_predictor"])
    assert slope == pytest.approx(golden(name, "calibration_slope")[1][0], abs=1e-7)
    at_horizon = survival(name)[:, 1]
    large = calibration_in_the_large(d["time"], d["event"], at_horizon, horizon=horizon)
    assert large == pytest.approx(golden(name, "calibration_in_the_large")[1][0], abs=1e-12)
    index = ici(d["time"], d["event"], at_horizon, horizon=horizon)
    assert index == pytest.approx(golden(name, "ici")[1][0], abs=1e-6)
    groups = calibration_groups(d["time"], d["event"], at_horizon, horizon=horizon, n_groups=4)
    for column in ("observed", "lower", "upper"):
        np.testing.assert_allclose(groups[column], golden(name, f"group_{column}")[1], atol=1e-10)


def test_weighted_slope_is_coxph():
    d = DATA["tied"]
    time = d["time"].to_numpy() + np.arange(len(d)) / 1000
    slope = efron_slopes(
        time, d["event"].to_numpy(), d["linear_predictor"].to_numpy(), d[["weight"]].to_numpy().T
    )
    expected = golden("untied", "calibration_slope_weighted")[1][0]
    assert slope[0] == pytest.approx(expected, abs=1e-7)


@both
def test_net_benefit(name):
    d = DATA[name]
    cuts, expected = golden(name, "net_benefit")
    table = net_benefit(
        d["time"],
        d["event"],
        1 - survival(name)[:, 1],
        horizon=TIMES[name][1],
        thresholds=cuts.astype(float),
    )
    np.testing.assert_allclose(table["net_benefit"], expected, atol=1e-12)
    np.testing.assert_allclose(table["treat_all"], golden(name, "treat_all")[1], atol=1e-12)


def test_every_golden_value_names_its_function_and_tie_rule():
    assert GOLDEN[["r_function", "tie_rule"]].notna().all().all()
    assert GOLDEN["value"].notna().all()
