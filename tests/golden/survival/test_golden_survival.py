"""Baselines against R: splines2::mSpline / iSpline, survival::survreg (script: make_golden.R)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.survival.baseline import Baseline, mspline_basis
from times_stats.survival.hazard import baseline_cumulative_hazard, baseline_log_hazard

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
