"""A new cohort's own effects from its first events, and cohorts left out in turn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from times_stats.errors import InputError
from times_stats.survival.baseline import Baseline
from times_stats.survival.covariates import Covariate
from times_stats.survival.diagnostics import Diagnostics
from times_stats.survival.effects import NO_COLUMNS
from times_stats.survival.hazard import baseline_cumulative_hazard, stacked
from times_stats.survival.left_out_cohorts import leave_one_cohort_out
from times_stats.survival.prediction import linear_predictor, predict_survival
from times_stats.survival.result import SurvivalFit
from times_stats.survival.spec import SurvivalSpec
from times_stats.survival.storage import load_posterior, save_posterior
from times_stats.survival.updating import update_cohort

N_DRAWS = 2000
LEVELS, BY_STAGE, SHAPES = (0.6, -0.4), (0.3, -0.5), (0.4, -0.4)


def fixed_fit(spec, *, cohorts=("a", "b"), scales=(0.8, 0.4, 0.5, 0.3)):
    """A fit whose posterior draws are all the same: what is drawn for a new cohort stands alone."""
    level, _, by_stage, shape = scales
    n = len(cohorts)

    def same(value, *dims):
        values = np.broadcast_to(np.asarray(value, float), (1, N_DRAWS, *np.shape(value)))
        return (("chain", "draw", *dims), values.copy())

    quantities = {
        "intercept": same(-0.5),
        "covariate_effect": same([0.7], "covariate"),
        "cohort_scale": same(level),
        "cohort_effect": same(LEVELS[:n], "cohort"),
        "covariate_cohort_scale": same([by_stage], "varying_covariate"),
        "covariate_cohort_effect": same([BY_STAGE[:n]], "varying_covariate", "cohort"),
    }
    knots: tuple[float, ...] = ()
    if spec.baseline == "weibull":
        quantities["shape"] = same(1.2)
        shapes = np.array(SHAPES[:n])
    else:
        quantities["weight"] = same([0.2, 0.3, 0.5], "basis")
        quantities["smoothness"] = same(0.5)
        shapes = np.outer(SHAPES[:n], [-1.0, 0.0, 1.0])
        knots = (0.0, 10.0, 30.0, 60.0)
    if "shape" in spec.cohort_effects:
        quantities["cohort_shape_scale"] = same(shape)
        quantities["cohort_shape_effect"] = same(shapes, *("cohort", "basis")[: shapes.ndim])
    posterior = xr.Dataset(quantities, coords={"cohort": np.array(cohorts, dtype=str)})
    return SurvivalFit(
        spec=spec,
        posterior=xr.DataTree.from_dict({"posterior": posterior}),
        columns=NO_COLUMNS,
        cohorts=cohorts,
        n_cohorts=n,
        baseline=Baseline(spec.baseline, 20.0, -0.5, 60.0, knots),
        diagnostics=Diagnostics("converged", 1.0, 1000.0, 0),
        n=100,
        events=60,
        n_filled=0,
        n_modelled=0,
        scaling={},
        seed=3,
        slope_prior=(0.5, 0.5),
        centred=(False, False, False),
    )


STAGE = Covariate("stage", ("low", "high"), by_cohort=True)


def new_cohort(n=60, seed=5):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"q{number:03d}" for number in range(n)])
    stage = pd.DataFrame({"stage": rng.choice(["low", "high"], n)}, index=index)
    time = rng.exponential(8, n) + 0.1
    censored = rng.uniform(5, 40, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    return y, stage


def log_prior(own, known, prior_scale, wider=1.0):
    """Log density of a new cohort's effect given those of others, over its half-normal scale."""
    scale = np.linspace(1e-3, 12 * prior_scale, 20_000)
    log = -((scale / prior_scale) ** 2) / 2
    for value in known:
        log = log - np.log(scale) - (value / scale) ** 2 / 2
    log = log[:, None] - np.log(scale)[:, None] - (own / wider / scale[:, None]) ** 2 / 2
    return np.log(np.exp(log - log.max()).sum(axis=0))


def test_effects_are_those_of_the_exact_posterior():
    """Level, effect of the stage and log shape of a Weibull, against a sum over a grid."""
    spec = SurvivalSpec(covariates=(STAGE,), cohort_effects=("level", "shape"))
    fit = fixed_fit(spec)
    y, stage = new_cohort()
    updated = update_cohort(fit, None, y, name="new", covariates=stage, seed=1)
    posterior = updated.posterior["posterior"].to_dataset()
    drawn = {
        "level": stacked(posterior, "cohort_effect")[:, 2],
        "stage": stacked(posterior, "covariate_cohort_effect")[:, 0, 2],
        "shape": stacked(posterior, "cohort_shape_effect")[:, 2],
    }
    axes = [np.linspace(-4, 4, 81), np.linspace(-3.5, 3.5, 71), np.linspace(-2.5, 2.5, 71)]
    level, by_stage, shape = np.meshgrid(*axes, indexing="ij")
    # Shapes of two cohorts that sum to zero are one number, their difference over root 2.
    one = (np.diff(SHAPES) / np.sqrt(2)).tolist()
    density = (
        log_prior(axes[0], LEVELS, spec.prior_cohort_scale)[:, None, None]
        + log_prior(axes[1], BY_STAGE, spec.prior_cohort_slope_scale)[:, None]
        + log_prior(axes[2], one, spec.prior_cohort_shape_scale, wider=np.sqrt(1.5))
    )
    log_t = np.log(y["time"].to_numpy() / 20.0)
    high = (stage["stage"] == "high").to_numpy()
    for t, d, x in zip(log_t, y["event"], high, strict=True):
        k = 1.2 * np.exp(shape)
        eta = -0.5 + level + x * (0.7 + by_stage)
        density = density + d * (eta + np.log(k) + (k - 1) * t) - np.exp(eta + k * t)
    weight = np.exp(density - density.max())
    weight /= weight.sum()
    for (name, found), grid in zip(drawn.items(), (level, by_stage, shape), strict=True):
        mean = (weight * grid).sum()
        sd = np.sqrt((weight * (grid - mean) ** 2).sum())
        assert abs(found.mean() - mean) < 4.5 * sd / np.sqrt(N_DRAWS), name
        assert found.std() == pytest.approx(sd, rel=0.06), name


def test_a_spline_baseline_learns_its_steps():
    spec = SurvivalSpec(
        baseline="piecewise", n_basis=3, covariates=(STAGE,), cohort_effects=("level", "shape")
    )
    fit = fixed_fit(spec, scales=(0.8, 0.4, 0.5, 1.0))
    y, stage = new_cohort(n=120)  # an exponential hazard of 1/8 where the fit has a rising one
    updated = update_cohort(fit, None, y, name="new", covariates=stage)
    late = y.assign(cohort="new")["cohort"]
    curves = predict_survival(
        updated, None, times=[5.0, 10.0, 20.0], covariates=stage, cohort=late
    ).mean(("sample", "patient"))
    np.testing.assert_allclose(curves, np.exp(-np.array([5.0, 10.0, 20.0]) / 8), atol=0.06)
    before = predict_survival(
        fit, None, times=[5.0], covariates=stage, unknown_cohort="average"
    ).mean()
    assert abs(float(before) - np.exp(-5 / 8)) > 0.15


def test_late_entry_and_scans_enter_the_update():
    """Of patients seen late the early survival is not learned from: against the exact posterior."""
    spec = SurvivalSpec(covariates=(STAGE,))
    fit = fixed_fit(spec)
    y, stage = new_cohort()
    y = y.assign(entry=y["time"] / 2, time_lower=np.nan, time_upper=np.nan)
    found = (y["event"] == 1) & (np.arange(len(y)) % 2 == 0)
    y.loc[found, "time_lower"] = y["time"] * 0.75
    y.loc[found, "time_upper"] = y["time"]
    low = stage.assign(stage="low")
    updated = update_cohort(fit, None, y, name="new", covariates=low, seed=2)
    drawn = stacked(updated.posterior["posterior"].to_dataset(), "cohort_effect")[:, 2]
    grid = np.linspace(-4, 4, 4001)

    def hazard(t):
        return np.exp(-0.5 + grid[:, None]) * (np.asarray(t) / 20.0) ** 1.2

    log = log_prior(grid, LEVELS, spec.prior_cohort_scale)
    seen = ~found.to_numpy()
    log = log + (y["event"].to_numpy()[seen] * grid[:, None]).sum(axis=1)
    log = log - hazard(y["time"][seen]).sum(axis=1) + hazard(y["entry"]).sum(axis=1)
    between = np.exp(-hazard(y["time_lower"][found])) - np.exp(-hazard(y["time_upper"][found]))
    log = log + np.log(between).sum(axis=1)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = (weight * grid).sum()
    sd = np.sqrt((weight * (grid - mean) ** 2).sum())
    assert abs(drawn.mean() - mean) < 4.5 * sd / np.sqrt(N_DRAWS)
    assert drawn.std() == pytest.approx(sd, rel=0.06)


def test_a_fit_of_one_cohort_gets_a_level(tmp_path):
    spec = SurvivalSpec(covariates=(dataclasses.replace(STAGE, by_cohort=False),))
    fit = fixed_fit(spec, cohorts=("all",))
    names = ["cohort_scale", "cohort_effect", "covariate_cohort_scale", "covariate_cohort_effect"]
    posterior = fit.posterior["posterior"].to_dataset().drop_vars([*names, "cohort"])
    fit = dataclasses.replace(fit, posterior=xr.DataTree.from_dict({"posterior": posterior}))
    y, stage = new_cohort(n=120)
    updated = update_cohort(fit, None, y, name="new", covariates=stage)
    assert (updated.cohorts, updated.n_cohorts) == (("all", "new"), 2)
    save_posterior(updated, tmp_path)
    again = load_posterior(tmp_path)
    at = {"times": [6.0, 12.0], "covariates": stage}
    for name in ("all", "new"):
        labels = pd.Series(name, index=stage.index)
        np.testing.assert_array_equal(
            predict_survival(again, None, cohort=labels, **at),
            predict_survival(updated, None, cohort=labels, **at),
        )
    np.testing.assert_array_equal(
        predict_survival(updated, None, cohort=pd.Series("all", index=stage.index), **at),
        predict_survival(fit, None, **at),
    )
    # Its prior is that of the difference of two cohorts: without events, root 2 of the scale.
    nobody = update_cohort(
        fit, None, y.iloc[:1].assign(time=1e-9, event=0), name="empty", covariates=stage.iloc[:1]
    )
    drawn = stacked(nobody.posterior["posterior"].to_dataset(), "cohort_effect")[:, 1]
    assert drawn.std() == pytest.approx(np.sqrt(2) * spec.prior_cohort_scale, rel=0.06)
    by_cohort = dataclasses.replace(fit, spec=SurvivalSpec(covariates=(STAGE,)))
    with pytest.raises(InputError, match="can get a level for a new one and nothing else"):
        update_cohort(by_cohort, None, y, name="new", covariates=stage)
    total = baseline_cumulative_hazard(
        updated.baseline, updated.posterior["posterior"].to_dataset(), y["time"].to_numpy()
    )
    eta = linear_predictor(
        updated, None, covariates=stage, cohort=pd.Series("new", index=stage.index)
    )
    expected = (total * np.exp(eta.to_numpy())).sum(axis=1).mean()
    assert expected == pytest.approx(y["event"].sum(), rel=0.05)


def test_an_update_repeats_and_names_its_faults():
    fit = fixed_fit(SurvivalSpec(covariates=(STAGE,)))
    y, stage = new_cohort()
    first, second = (
        update_cohort(fit, None, y.sample(frac=1, random_state=k), name="new", covariates=stage)
        for k in (1, 2)
    )
    np.testing.assert_allclose(
        first.posterior["posterior"]["cohort_effect"],
        second.posterior["posterior"]["cohort_effect"],
        atol=1e-9,
    )
    with pytest.raises(InputError, match="has a cohort 'a': give the new one another name"):
        update_cohort(fit, None, y, name="a", covariates=stage)
    with pytest.raises(InputError, match="patient q000 does not have one row in each table"):
        update_cohort(fit, None, y.iloc[1:], name="new", covariates=stage)
    with pytest.raises(InputError, match="name is 4: give a text"):
        update_cohort(fit, None, y, name=4, covariates=stage)
    nothing = fit.posterior["posterior"].to_dataset()
    nothing = nothing.drop_vars(["cohort_scale", "covariate_cohort_scale"])
    bare = dataclasses.replace(fit, posterior=xr.DataTree.from_dict({"posterior": nothing}))
    with pytest.raises(InputError, match="cohorts do not differ in anything in this model"):
        update_cohort(bare, None, y, name="new", covariates=stage)


def made_up_cohorts(columns, n=240, seed=8):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{number:03d}" for number in range(n)], name="patient_id")
    z = pd.DataFrame(rng.normal(0, 0.5, (n, len(columns))), columns=columns, index=index)
    code = np.arange(n) % 4
    eta = z.sum(axis=1).to_numpy() + np.array([0.0, 0.2, -0.2, 1.5])[code]
    time = 30 * rng.exponential(size=n) / np.exp(eta)
    y = pd.DataFrame({"time": np.minimum(time, 60.0), "event": (time <= 60).astype(int)}, index)
    return z, y, pd.Series(np.array(["a", "b", "c", "high"])[code], index=index)


@pytest.mark.xdist_group("sampling")
def test_a_cohort_left_out_is_better_calibrated_after_the_update(compiled_mspline):
    z, y, cohort = made_up_cohorts(compiled_mspline.columns)
    spec = dataclasses.replace(compiled_mspline.spec.for_folds(), tune=500, draws=500)
    found = leave_one_cohort_out(
        spec,
        z,
        y,
        cohort=cohort,
        horizon=20.0,
        n_update_events=20,
        compiled=compiled_mspline,
        cores=2,
    )
    table = found.table.set_index(["cohort", "baseline"])
    assert len(table) == 8
    assert (table["events_update"] == 20).all()
    assert set(found.fits["high"].cohorts) == {"a", "b", "c"}
    counts = y["event"].groupby(cohort).agg(["size", "sum"])
    for name in counts.index:
        rows = table.loc[name]
        assert (rows["n"] + rows["n_update"] == counts.loc[name, "size"]).all()
        assert (rows["events"] + rows["events_update"] == counts.loc[name, "sum"]).all()
        share = rows["events_update"].iloc[0] / rows["n_update"].iloc[0]
        assert share == pytest.approx(counts.loc[name, "sum"] / counts.loc[name, "size"], abs=0.02)
        # Levels do not change the order within a cohort.
        assert rows["concordance"].iloc[0] == rows["concordance"].iloc[1]
        assert rows["concordance"].iloc[0] > 0.55
    high = table.loc["high", "calibration_in_the_large"]
    assert high["integrated"] > 0.15
    assert abs(high["re-estimated"]) < high["integrated"] / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cohort": "one"}, "there are 1 cohorts: with fewer than three"),
        ({"entry": 0.0}, "the outcome has 'entry'"),
        ({"n_update_events": 0}, "n_update_events is 0"),
        ({"n_update_events": 40}, "fewer than 80 events: use a smaller n_update_events"),
        ({"cohort": None}, "cohort is missing for patient p000"),
    ],
)
def test_faults_of_leaving_cohorts_out(compiled_mspline, change, message):
    z, y, cohort = made_up_cohorts(compiled_mspline.columns)
    options = {"n_update_events": change.get("n_update_events", 15)}
    if "entry" in change:
        y = y.assign(entry=0.0)
    if "cohort" in change:
        cohort = (
            cohort.where(cohort.index > "p000")
            if change["cohort"] is None
            else pd.Series("one", index=y.index)
        )
    with pytest.raises(InputError, match=message):
        leave_one_cohort_out(
            SurvivalSpec(), z, y, cohort=cohort, horizon=20.0, compiled=compiled_mspline, **options
        )
