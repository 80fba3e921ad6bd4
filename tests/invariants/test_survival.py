"""Identities every posterior draw of the survival model obeys, whatever the draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from times_stats.survival.baseline import Baseline, mspline_basis
from times_stats.survival.diagnostics import Diagnostics
from times_stats.survival.hazard import baseline_cumulative_hazard, baseline_log_hazard
from times_stats.survival.prediction import predict_rmst, predict_survival
from times_stats.survival.result import SurvivalFit
from times_stats.survival.spec import SurvivalSpec

COLUMNS = pd.MultiIndex.from_tuples([("A", "x"), ("A", "y")], names=["marker", "region"])
KNOTS = (0.0, 3.0, 11.0, 24.0)


def made_up_fit(seed, kind):
    rng = np.random.default_rng(seed)
    draws = ("chain", "draw")
    values = {
        "intercept": (draws, rng.normal(-0.5, 1.0, (2, 3))),
        "beta": ((*draws, "coefficient"), rng.normal(0.5, 0.5, (2, 3, 2))),
    }
    if kind == "weibull":
        values["shape"] = (draws, np.exp(rng.normal(0, 0.5, (2, 3))))
    else:
        n_basis = 3 if kind == "piecewise" else 6
        values["weight"] = ((*draws, "basis"), rng.dirichlet(np.full(n_basis, 3.0), (2, 3)))
    return SurvivalFit(
        spec=SurvivalSpec(baseline=kind),
        posterior=xr.DataTree.from_dict({"posterior": xr.Dataset(values)}),
        columns=COLUMNS,
        cohorts=("all",),
        n_cohorts=1,
        baseline=Baseline(
            kind=kind,
            time_scale=14.0,
            log_rate=0.0,
            last_event=24.0,
            knots=() if kind == "weibull" else KNOTS,
        ),
        diagnostics=Diagnostics("converged", 1.0, 1000.0, 0),
        n=10,
        events=5,
        n_filled=0,
        n_modelled=0,
        scaling={},
        seed=0,
        slope_prior=(0.5, 0.5),
        centred=(False, False, False),
    )


cases = given(st.integers(0, 10**6), st.sampled_from(["weibull", "piecewise", "mspline"]))


@cases
@settings(deadline=None, max_examples=20)
def test_survival_is_a_falling_curve_in_the_unit_interval(seed, kind):
    fit = made_up_fit(seed, kind)
    new = pd.DataFrame(
        np.random.default_rng(seed).normal(size=(4, 2)), columns=COLUMNS, index=list("abcd")
    )
    times = np.linspace(0, 40, 81)
    survival = predict_survival(fit, new, times=times)
    values = survival.to_numpy()
    assert values.shape == (6, 4, 81)
    assert (values >= 0).all()
    assert (values <= 1).all()
    assert (values[:, :, 0] == 1).all()
    assert (np.diff(values, axis=2) <= 1e-12).all()
    assert (survival["extrapolated"].to_numpy() == (times > 24)).all()
    # The restricted mean is the area under the curve.
    for horizon in (20.0, 36.0):
        fine = horizon * np.linspace(0, 1, 3001) ** 4  # dense near 0, where S may drop at once
        area = np.trapezoid(predict_survival(fit, new, times=fine).to_numpy(), fine, axis=2)
        rmst = predict_rmst(fit, new, horizon=horizon)
        np.testing.assert_allclose(rmst.to_numpy(), area, rtol=2e-3, atol=2e-3)
        assert rmst.attrs["extrapolated"] == (horizon > 24)


@cases
@settings(deadline=None, max_examples=40)
def test_hazard_is_the_derivative_of_the_cumulative_hazard(seed, kind):
    fit = made_up_fit(seed, kind)
    posterior = fit.posterior["posterior"].to_dataset()
    times = np.array([0.7, 2.0, 7.5, 18.0, 30.0])
    step = 1e-5
    up, down = (
        baseline_cumulative_hazard(fit.baseline, posterior, times + sign * step) for sign in (1, -1)
    )
    hazard = np.exp(baseline_log_hazard(fit.baseline, posterior, times))
    np.testing.assert_allclose((up - down) / (2 * step), hazard, rtol=1e-4, atol=1e-9)


@given(st.lists(st.floats(0.5, 60), min_size=2, max_size=5, unique=True))
@settings(deadline=None)
def test_msplines_integrate_to_one(inner):
    knots = (0.0, *sorted(round(knot, 3) for knot in set(inner)))
    if (np.diff(knots) < 1e-2).any():
        return
    basis, integral = mspline_basis(np.linspace(0, knots[-1], 50), knots)
    assert (basis >= 0).all()
    assert (np.diff(integral, axis=0) >= -1e-12).all()
    np.testing.assert_allclose(integral[-1], 1, rtol=1e-9)
