"""Baselines and likelihoods against R: splines2, survreg, survSplit (script: make_golden.R)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.survival.baseline import Baseline, constant_hazard_weights, mspline_basis
from times_stats.survival.build import build_model
from times_stats.survival.hazard import baseline_cumulative_hazard, baseline_log_hazard
from times_stats.survival.model_data import SurvivalData
from times_stats.survival.outcomes import read_outcome
from times_stats.survival.spec import SurvivalSpec

HERE = Path(__file__).parent


def test_mspline_basis_equals_splines2():
    golden = pd.read_csv(HERE / "splines.csv")
    basis, integral = mspline_basis(golden["time"].to_numpy(), (0.0, 5.0, 12.5, 30.0))
    # At the right boundary splines2 evaluates I-splines as 1 and M-splines as the left limit too.
    np.testing.assert_allclose(basis, golden.filter(regex="^m").to_numpy(), atol=1e-14)
    np.testing.assert_allclose(integral, golden.filter(regex="^i").to_numpy(), atol=1e-14)


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("time_scale", [1.0, 17.0])
def test_weibull_log_likelihood_equals_survreg(case, time_scale):
    xr = pytest.importorskip("xarray")
    data = pd.read_csv(HERE / "weibull_data.csv", skipinitialspace=True)
    given = pd.read_csv(HERE / "weibull_loglik.csv", skipinitialspace=True).loc[case]
    # survreg: log T = intercept + x b + scale * W, so shape = 1 / scale, eta = -(x b) / scale.
    shape = 1 / given["scale"]
    eta = -(given["x1"] * data["x1"] + given["x2"] * data["x2"]).to_numpy() * shape
    intercept = shape * (np.log(time_scale) - given["intercept"])
    posterior = xr.Dataset(
        {
            "intercept": (("chain", "draw"), [[intercept]]),
            "shape": (("chain", "draw"), [[shape]]),
        }
    )
    baseline = Baseline(kind="weibull", time_scale=time_scale, log_rate=0.0, last_event=40.0)
    time, event = data["time"].to_numpy(), data["event"].to_numpy()
    log_hazard = baseline_log_hazard(baseline, posterior, time)[0] + eta
    cumulative = baseline_cumulative_hazard(baseline, posterior, time)[0] * np.exp(eta)
    found = (event * log_hazard - cumulative).sum()
    assert found == pytest.approx(given["log_likelihood"], abs=1e-9)


SHAPE, SLOPE = 1.3, 0.6
LEVEL = {"weibull": -3.4, "piecewise": -1.4, "mspline": -1.4}
WEIGHTS = {"piecewise": [0.5, 0.3, 0.2], "mspline": [0.1, 0.15, 0.3, 0.2, 0.15, 0.1]}


@pytest.mark.parametrize("time_scale", [1.0, 17.0])
@pytest.mark.parametrize("kind", ["weibull", "piecewise", "mspline"])
def test_late_entry_and_events_found_at_scans_equal_r(kind, time_scale):
    from pytensor.compile.mode import Mode

    golden = pd.read_csv(HERE / "outcomes.csv", skipinitialspace=True)
    outcome = read_outcome(golden[["time", "event", "entry", "time_lower", "time_upper"]])
    assert outcome.is_interval.sum() > 10
    assert (outcome.entry > 0).sum() > 10
    assert ((outcome.entry > 0) & outcome.is_interval).sum() > 3
    knots = () if kind == "weibull" else (0.0, 5.0, 12.5, 30.0)
    baseline = Baseline(kind, time_scale, 0.0, 30.0, knots)
    weights = np.array(WEIGHTS.get(kind, [1.0]))
    spec = SurvivalSpec(baseline=kind, n_basis=max(len(weights), 4 if kind == "weibull" else 2))
    data = SurvivalData(
        columns=pd.MultiIndex.from_tuples([("A", "x")]),
        evidence=golden[["x"]].to_numpy(),
        outcome=outcome,
        cohort=np.zeros(len(golden), dtype=np.int64),
        n_cohorts=1,
        baseline=baseline,
        delayed_entry=True,
        interval_censoring=True,
    )
    model = build_model(spec, data)
    point = {"slope": np.array(SLOPE), "level": np.array(LEVEL[kind])}
    if kind == "weibull":
        point["level"] = LEVEL[kind] + SHAPE * np.log(time_scale)
        point["log_shape"] = np.log(SHAPE)
    else:
        steps = np.diff(np.log(weights / constant_hazard_weights(baseline)))
        point |= {"smoothness_log__": np.array(0.0), "step_latent": steps}
    density = model.compile_fn(
        model.logp(model.observed_RVs, sum=False)[0], mode=Mode(linker="py", optimizer=None)
    )
    found = density(point) - outcome.event * np.log(time_scale)
    if kind == "weibull":
        wanted = pd.read_csv(HERE / "outcomes_weibull.csv")["log_likelihood"].item()
        assert found.sum() == pytest.approx(wanted, abs=1e-9)
    else:
        np.testing.assert_allclose(found, golden[kind], atol=1e-8)
