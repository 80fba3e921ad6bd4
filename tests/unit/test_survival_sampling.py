"""Fits on one compilation: determinism, gate, predictions, cohorts, storage."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from threadpoolctl import threadpool_limits

from times_stats.errors import ConvergenceWarning, InputError, ModelFileError
from times_stats.survival.checks import log_likelihood, loo, posterior_summary
from times_stats.survival.competing import predict_cumulative_incidence
from times_stats.survival.patients import draw_patients, read_patients
from times_stats.survival.prediction import (
    linear_predictor,
    predict_rmst,
    predict_survival,
)
from times_stats.survival.sampling import compile_survival, fit_survival
from times_stats.survival.spec import SurvivalSpec
from times_stats.survival.storage import load_posterior, save_posterior

WEIBULL = dataclasses.replace(SurvivalSpec().for_folds(), tune=500, draws=500)
MSPLINE = dataclasses.replace(WEIBULL, baseline="mspline")
PIECEWISE = dataclasses.replace(WEIBULL, baseline="piecewise", tune=1000, target_accept=0.99)
COHORTS = ["east", "north", "south"]


def made_up_study(columns, n=120, seed=3, n_cohorts=1):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{number:03d}" for number in range(n)], name="patient_id")
    z = pd.DataFrame(rng.normal(0, 0.5, (n, len(columns))), columns=columns, index=index)
    hidden = rng.integers(0, n_cohorts, n)
    eta = 0.8 * z.sum(axis=1).to_numpy() + np.array([0.0, 0.7, -0.7])[hidden]
    time = 30 * (rng.exponential(size=n) / np.exp(eta)) ** (1 / 1.2)
    censored = rng.uniform(10, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    return z, y, pd.Series(np.array(COHORTS)[hidden], index=index)


@pytest.fixture(scope="module")
def weibull_fit(compiled_weibull):
    z, y, _ = made_up_study(compiled_weibull.columns)
    return fit_survival(WEIBULL, z, y, seed=7, compiled=compiled_weibull, cores=2)


@pytest.fixture(scope="module")
def mspline_fit(compiled_mspline):
    z, y, cohort = made_up_study(compiled_mspline.columns, n_cohorts=3)
    return fit_survival(MSPLINE, z, y, cohort=cohort, seed=7, compiled=compiled_mspline, cores=2)


def made_late_and_scanned(y):
    """A fifth enter late, at half their time; a third of the events are found at half-years."""
    number = np.arange(len(y))
    late = number % 5 == 0
    found = (number % 3 == 1) & (y["event"] == 1) & ~late
    return y.assign(
        entry=np.where(late, y["time"] / 2, 0.0),
        time=np.where(found, np.ceil(y["time"] / 6) * 6, y["time"]),
        time_lower=np.where(found, np.floor(y["time"] / 6) * 6, np.nan),
        time_upper=np.where(found, np.ceil(y["time"] / 6) * 6, np.nan),
    )


@pytest.fixture(scope="module")
def piecewise_fit(compiled_piecewise):
    z, y, _ = made_up_study(compiled_piecewise.columns)
    y = made_late_and_scanned(y)
    return fit_survival(PIECEWISE, z, y, seed=7, compiled=compiled_piecewise, cores=2)


def draws_of(fit):
    return {name: fit.posterior["posterior"][name].to_numpy() for name in ("beta", "intercept")}


def assert_same_draws(first, second):
    for name, values in draws_of(first).items():
        np.testing.assert_array_equal(values, draws_of(second)[name])


def test_fits_converge_and_slopes_are_sums_of_effects(weibull_fit, piecewise_fit, mspline_fit):
    for fit in (weibull_fit, piecewise_fit, mspline_fit):
        assert fit.diagnostics.status == "converged", fit.diagnostics
        assert fit.diagnostics.reasons == ()
        posterior = fit.posterior["posterior"]
        effect = posterior["effect"]
        beta = posterior["beta"].sel(coefficient=1)
        total = posterior["slope"] + effect.sel(
            effect_label=["marker CD57", "region tumour", "interaction CD57, tumour"]
        ).sum("effect_label")
        np.testing.assert_allclose(beta, total, atol=1e-12)
        assert str(beta["marker"].item()) == "CD57"
        assert str(beta["region"].item()) == "tumour"


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_draws_do_not_depend_on_cores_row_order_or_blas_threads(
    compiled_weibull, weibull_fit, cores
):
    z, y, _ = made_up_study(compiled_weibull.columns)
    z = z.sample(frac=1, random_state=cores)
    with threadpool_limits(limits=cores):
        again = fit_survival(WEIBULL, z, y, seed=7, compiled=compiled_weibull, cores=cores)
        curves = predict_survival(again, again.evidence, times=[12, 24])
    assert_same_draws(weibull_fit, again)
    wanted = predict_survival(weibull_fit, weibull_fit.evidence, times=[12, 24])
    np.testing.assert_array_equal(curves, wanted)


def test_another_seed_gives_other_draws(compiled_weibull, weibull_fit):
    z, y, _ = made_up_study(compiled_weibull.columns)
    other = fit_survival(WEIBULL, z, y, seed=8, compiled=compiled_weibull)
    assert not np.array_equal(draws_of(other)["beta"], draws_of(weibull_fit)["beta"])


@pytest.mark.parametrize("n", [40, 200])
def test_one_compilation_serves_other_sizes(compiled_mspline, n):
    z, y, cohort = made_up_study(compiled_mspline.columns, n=n, seed=11, n_cohorts=2)
    fit = fit_survival(MSPLINE, z, y, cohort=cohort, seed=1, compiled=compiled_mspline)
    assert (fit.n, fit.n_cohorts, fit.cohorts) == (n, 3, ("east", "north"))
    assert fit.posterior["posterior"]["cohort_effect"].sizes["cohort"] == 2


def test_late_entry_and_scans_need_a_model_with_room_for_them(
    compiled_weibull, compiled_piecewise, piecewise_fit
):
    z, y, _ = made_up_study(compiled_weibull.columns)
    both = made_late_and_scanned(y)
    assert piecewise_fit.events == both["event"].sum()
    observed = piecewise_fit.posterior["observed_data"]
    assert (observed["entry"] > 0).sum() == (both["entry"] > 0).sum() > 10
    assert np.isfinite(observed["time_upper"]).sum() == both["time_upper"].notna().sum() > 10
    with pytest.raises(InputError, match="compiled with delayed_entry=True"):
        fit_survival(WEIBULL, z, both[["time", "event", "entry"]], compiled=compiled_weibull)
    bounds = both[["time", "event", "time_lower", "time_upper"]]
    with pytest.raises(InputError, match="compiled with interval_censoring=True"):
        fit_survival(WEIBULL, z, bounds, compiled=compiled_weibull)


def test_log_likelihood_of_late_and_scanned_patients(piecewise_fit):
    """Against survival curves: entry conditions on them, a scan interval is a difference."""
    found = log_likelihood(piecewise_fit)
    observed = piecewise_fit.posterior["observed_data"].to_dataset().to_dataframe()
    z = piecewise_fit.evidence
    for name in [*observed.index[:10], *observed.index[observed["time_upper"].notna()][:5]]:
        row = observed.loc[name]
        before = row["time"] - 1e-6  # an event on a knot belongs to the interval that it ends
        other = row["time_upper"] if np.isfinite(row["time_upper"]) else before
        times = [row["entry"], row["time"], other]
        curve = predict_survival(piecewise_fit, z.loc[[name]], times=times).to_numpy()[:, 0]
        expected = np.log(curve[:, 1] / curve[:, 0])
        if np.isfinite(row["time_upper"]):
            expected = np.log((curve[:, 1] - curve[:, 2]) / curve[:, 0])
        elif row["event"] == 1:
            expected += np.log((np.log(curve[:, 2]) - np.log(curve[:, 1])) / 1e-6)
        atol = 1e-3 if row["event"] == 1 else 1e-9
        np.testing.assert_allclose(found.sel(patient=name).to_numpy().ravel(), expected, atol=atol)


def without_data(fit):
    only = {"posterior": fit.posterior["posterior"].to_dataset()}
    return dataclasses.replace(fit, posterior=xr.DataTree.from_dict(only))


def test_cumulative_incidence_is_the_integral_and_adds_up_to_one(weibull_fit, piecewise_fit):
    new, other_fit = weibull_fit.evidence.iloc[:3], without_data(piecewise_fit)
    times = np.array([0.0, 6.0, 24.0, 60.0])
    first = predict_cumulative_incidence(weibull_fit, other_fit, new, times=times)
    second = predict_cumulative_incidence(other_fit, weibull_fit, new, times=times)
    alive = predict_survival(weibull_fit, new, times=times).to_numpy() * predict_survival(
        other_fit, new, times=times
    )
    np.testing.assert_allclose(first + second + alive.to_numpy(), 1.0, atol=1e-12)
    assert (first.isel(time=0) == 0).all()
    assert (first <= 1 - predict_survival(weibull_fit, new, times=times) + 1e-12).all()
    fine = np.linspace(0, 24, 200_001)
    some = [0, 500, 999]
    own = predict_survival(weibull_fit, new.iloc[[0]], times=fine).to_numpy()[some, 0]
    other = predict_survival(other_fit, new.iloc[[0]], times=fine).to_numpy()[some, 0]
    middle = (other[:, 1:] + other[:, :-1]) / 2
    wanted = (middle * (own[:, :-1] - own[:, 1:])).sum(axis=1)
    np.testing.assert_allclose(first[some, 0, 2], wanted, rtol=1e-4)
    assert first.attrs["n_filled"] == 0
    lacking = new.copy()
    lacking.iloc[0] = np.nan
    gap = predict_cumulative_incidence(weibull_fit, other_fit, lacking, times=[24.0])
    assert gap.attrs["n_filled"] == new.shape[1]
    # Whatever else is asked for.
    far = predict_cumulative_incidence(weibull_fit, other_fit, new, times=[24.0, 1e6])
    np.testing.assert_allclose(far[:, :, 0], first[:, :, 2], rtol=1e-3, atol=1e-6)
    last = min(weibull_fit.baseline.last_event, other_fit.baseline.last_event)
    assert first["extrapolated"].to_numpy().tolist() == [bool(t > last) for t in times]


def test_cumulative_incidence_of_a_hazard_beyond_all_numbers(weibull_fit):
    posterior = weibull_fit.posterior["posterior"].to_dataset()
    huge = posterior.assign(intercept=posterior["intercept"] * 0 + 720.0)
    fit = dataclasses.replace(weibull_fit, posterior=xr.DataTree.from_dict({"posterior": huge}))
    new = weibull_fit.evidence.iloc[:1] * 0
    found = predict_cumulative_incidence(fit, fit, new, times=[12.0, 24.0]).to_numpy()
    np.testing.assert_allclose(found, 0.5, atol=1e-6)


def test_two_causes_must_be_two_causes(weibull_fit, piecewise_fit):
    new = weibull_fit.evidence.iloc[:2]
    with pytest.raises(InputError, match=r"holds events found at scans.*illness-death"):
        predict_cumulative_incidence(weibull_fit, piecewise_fit, new, times=[12.0])
    with pytest.raises(InputError, match="has the event in both models: censor each"):
        predict_cumulative_incidence(weibull_fit, weibull_fit, new, times=[12.0])


def test_effects_of_an_unknown_cohort_are_drawn_apart_for_both_causes(mspline_fit):
    """With one seed, too: survival of both causes would be narrower were they the same."""
    fit = without_data(mspline_fit)
    new = mspline_fit.evidence.iloc[[0]]
    west = pd.Series(["west"], index=new.index)

    def eta(cohort, stream):
        return draw_patients(fit, read_patients(fit, new, cohort=cohort), stream=stream).eta

    effect = [
        eta(west, stream)[:, 0]
        - eta("east", stream)[:, 0]
        + fit.posterior["posterior"]["cohort_effect"].sel(cohort="east").to_numpy().ravel()
        for stream in ("unknown cohort", "unknown cohort, competing")
    ]
    scale = fit.posterior["posterior"]["cohort_scale"].to_numpy().ravel()
    assert abs(np.corrcoef(effect[0] / scale, effect[1] / scale)[0, 1]) < 0.15
    np.testing.assert_array_equal(
        linear_predictor(fit, new, cohort=west),
        eta(west, "unknown cohort"),
    )


def test_evidence_beyond_all_hazards_is_refused(compiled_weibull):
    z, y, _ = made_up_study(compiled_weibull.columns)
    z.iloc[3, 0] = 1e6
    with pytest.raises(InputError, match="evidence is beyond 500 for patient p003"):
        fit_survival(WEIBULL, z, y, compiled=compiled_weibull)


def test_slope_prior_needs_no_new_compilation(compiled_weibull):
    z, y, _ = made_up_study(compiled_weibull.columns)
    longer = dataclasses.replace(WEIBULL, draws=2 * WEIBULL.draws)
    tight = fit_survival(longer, z, y, seed=1, compiled=compiled_weibull, slope_prior=(1.5, 0.01))
    assert tight.posterior["posterior"]["slope"].mean().item() == pytest.approx(1.5, abs=0.05)
    assert tight.slope_prior == (1.5, 0.01)


@pytest.mark.parametrize("kind", ["weibull", "mspline"])
def test_a_bad_fit_fails_as_a_value_and_warns(compiled_weibull, compiled_mspline, kind):
    compiled = {"weibull": compiled_weibull, "mspline": compiled_mspline}[kind]
    spec = SurvivalSpec(baseline=kind, draws=5, tune=2, chains=2)
    z, y, _ = made_up_study(compiled.columns)
    with pytest.warns(ConvergenceWarning, match="failed its convergence gate"):
        fit = fit_survival(spec, z, y, compiled=compiled)
    assert fit.diagnostics.status == "failed"
    assert any("ESS" in reason for reason in fit.diagnostics.reasons)


def test_divergences_fail_the_gate(compiled_weibull):
    z, y, _ = made_up_study(compiled_weibull.columns)
    spec = dataclasses.replace(
        WEIBULL, parameterisation="centred", target_accept=0.4, max_divergent=0.0
    )
    with pytest.warns(ConvergenceWarning):
        fit = fit_survival(spec, z, y, compiled=compiled_weibull)
    assert fit.diagnostics.divergences > 0
    assert any("diverged" in reason for reason in fit.diagnostics.reasons)


def test_weibull_predictions_equal_the_formula(weibull_fit):
    new = weibull_fit.evidence.iloc[:5]
    posterior = weibull_fit.posterior["posterior"]
    beta, shape, intercept = (
        posterior[name].to_numpy().reshape(1000, -1).T for name in ("beta", "shape", "intercept")
    )
    eta = new.to_numpy() @ beta
    times = np.array([0.0, 6.0, 36.0])
    scaled = (times / weibull_fit.baseline.time_scale)[:, None] ** shape
    hazard = np.exp(intercept + eta)[:, None, :] * scaled
    found = predict_survival(weibull_fit, new, times=times)
    assert found.dims == ("sample", "patient", "time")
    assert list(found["patient"].to_numpy()) == list(new.index)
    np.testing.assert_allclose(found.transpose("patient", "time", "sample"), np.exp(-hazard))
    np.testing.assert_allclose(linear_predictor(weibull_fit, new).transpose(), eta, atol=1e-12)


def test_missing_evidence_counts_as_average(weibull_fit):
    new = weibull_fit.evidence.iloc[:2].copy()
    new.iloc[0] = np.nan
    eta = linear_predictor(weibull_fit, new)
    assert eta.attrs["n_filled"] == 4
    assert (eta.isel(patient=0) == 0).all()


def test_known_and_unknown_cohorts(mspline_fit):
    new = mspline_fit.evidence.iloc[:4]
    labels = pd.Series(["east", "west", "west", None], index=new.index)
    eta = linear_predictor(mspline_fit, new, cohort=labels).to_numpy()
    base = np.einsum(
        "cdk,nk->cdn", mspline_fit.posterior["posterior"]["beta"].to_numpy(), new.to_numpy()
    ).reshape(-1, 4)
    effect = eta - base
    posterior = mspline_fit.posterior["posterior"]
    east = posterior["cohort_effect"].sel(cohort="east").to_numpy().ravel()
    np.testing.assert_allclose(effect[:, 0], east, atol=1e-12)
    np.testing.assert_allclose(effect[:, 1], effect[:, 2], atol=1e-12)
    assert not np.allclose(effect[:, 1], effect[:, 3])
    # Integrated over Normal(0, sigma): variance is the posterior mean of sigma squared.
    scale = posterior["cohort_scale"].to_numpy().ravel()
    ratio = effect[:, 1] / scale
    assert abs(ratio.mean()) < 4 / np.sqrt(ratio.size)
    assert ratio.std() == pytest.approx(1, abs=0.1)
    # No cohorts at all: every patient shares the draw of the nameless cohort.
    unnamed = linear_predictor(mspline_fit, new).to_numpy() - base
    np.testing.assert_allclose(unnamed, effect[:, [3, 3, 3, 3]], atol=1e-12)
    # A patient's prediction does not depend on the others.
    alone = linear_predictor(mspline_fit, new.iloc[[1]], cohort=labels).to_numpy()
    np.testing.assert_array_equal(alone[:, 0], eta[:, 1])


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # of a few patients
def test_log_likelihood_and_loo_by_patient(weibull_fit, piecewise_fit, mspline_fit):
    for fit in (weibull_fit, piecewise_fit, mspline_fit):
        pointwise = log_likelihood(fit)
        assert pointwise.sizes["patient"] == fit.n
        found = loo(fit)
        assert found.elpd_i.shape == (fit.n,)
        assert pointwise.mean(("chain", "draw")).sum() > found.elpd > -1000
        assert (found.pareto_k < 0.7).mean() > 0.9


def test_posterior_summary_is_an_equal_tailed_forest_table(weibull_fit):
    table = posterior_summary(weibull_fit)
    assert list(table.columns[:6]) == ["marker", "region", "mean", "sd", "lower", "upper"]
    assert list(zip(table["marker"], table["region"], strict=True)) == list(weibull_fit.columns)
    draws = weibull_fit.posterior["posterior"]["beta"].to_numpy().reshape(-1, 4)
    np.testing.assert_allclose(table["lower"], np.quantile(draws, 0.025, axis=0))
    assert (table["ess"] >= 100).all()
    with pytest.raises(InputError, match="prob is 95"):
        posterior_summary(weibull_fit, prob=95)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # of a few patients
@pytest.mark.parametrize("kind", ["weibull", "piecewise", "mspline"])
def test_a_loaded_fit_predicts_the_same(weibull_fit, piecewise_fit, mspline_fit, kind, tmp_path):
    fit = {"weibull": weibull_fit, "piecewise": piecewise_fit, "mspline": mspline_fit}[kind]
    save_posterior(fit, tmp_path)
    again = load_posterior(tmp_path)
    for field in dataclasses.fields(fit):
        if field.name not in ("posterior", "columns"):
            assert getattr(again, field.name) == getattr(fit, field.name), field.name
    assert again.columns.equals(fit.columns)
    assert again.posterior.identical(fit.posterior)
    new, times = fit.evidence, [3.0, 24.0, 90.0]
    pd.testing.assert_frame_equal(again.evidence, new)
    cohort = pd.Series("unheard of", index=new.index)
    np.testing.assert_array_equal(
        predict_survival(again, new, times=times, cohort=cohort),
        predict_survival(fit, new, times=times, cohort=cohort),
    )
    np.testing.assert_array_equal(
        predict_rmst(again, new, horizon=24.0), predict_rmst(fit, new, horizon=24.0)
    )
    assert loo(again).elpd == loo(fit).elpd
    save_posterior(fit, tmp_path / "shared", training_data=False)
    shared = load_posterior(tmp_path / "shared")
    np.testing.assert_array_equal(
        predict_survival(shared, new, times=times), predict_survival(fit, new, times=times)
    )
    with pytest.raises(InputError, match="without its training data"):
        loo(shared)


def damaged_record(change):
    def damage(folder):
        path = folder / "survival.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        change(record)
        path.write_text(json.dumps(record), encoding="utf-8")

    return damage


DAMAGE = {
    "no record": lambda folder: (folder / "survival.json").unlink(),
    "no draws": lambda folder: (folder / "posterior.nc").unlink(),
    "draws cut": lambda folder: (folder / "posterior.nc").write_bytes(
        (folder / "posterior.nc").read_bytes()[:4000]
    ),
    "not JSON": lambda folder: (folder / "survival.json").write_text("{"),
    "a list": lambda folder: (folder / "survival.json").write_text("[]"),
    "nested": lambda folder: (folder / "survival.json").write_text("[" * 200_000),
    "format": damaged_record(lambda record: record.update(format=99)),
    "no columns": damaged_record(lambda record: record.update(columns=[])),
    "a column more": damaged_record(lambda record: record["columns"].append(["X", "y"])),
    "unknown setting": damaged_record(lambda record: record["spec"].update(colour="red")),
    "other baseline": damaged_record(lambda record: record["spec"].update(baseline="mspline")),
    "scale 0": damaged_record(lambda record: record["baseline"].update(time_scale=0.0)),
    "scale text": damaged_record(lambda record: record["baseline"].update(time_scale="x")),
    "no scaling": damaged_record(
        lambda record: record["spec"].update(covariates=[{"name": "age", "levels": []}])
    ),
    "a strange covariate": damaged_record(
        lambda record: record["spec"].update(covariates=[{"name": "age", "colour": 1}])
    ),
    "more cohorts": damaged_record(lambda record: record.update(n_cohorts=3)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_refused(weibull_fit, tmp_path, name):
    save_posterior(weibull_fit, tmp_path)
    DAMAGE[name](tmp_path)
    with pytest.raises(ModelFileError):
        load_posterior(tmp_path)


def test_input_faults_name_patients_and_remedy(compiled_weibull, weibull_fit):
    z, y, _ = made_up_study(compiled_weibull.columns, n=20)

    def fit(z=z, y=y, **options):
        return fit_survival(WEIBULL, z, y, compiled=compiled_weibull, **options)

    with pytest.raises(InputError, match="patient p019 has evidence or an outcome"):
        fit(y=y.iloc[:19])
    with pytest.raises(InputError, match="more than one row for patient p000"):
        fit(y=pd.concat([y, y.iloc[:1]]))
    infinite = z.copy()
    infinite.iloc[0] = np.inf
    with pytest.raises(InputError, match="infinite for patient p000"):
        fit(z=infinite)
    with pytest.raises(InputError, match="other evidence columns"):
        fit(z=z.iloc[:, :2])
    with pytest.raises(InputError, match="cohort is missing for patient p000"):
        fit(cohort=pd.Series("east", index=z.index[1:]))
    with pytest.raises(InputError, match="n_cohorts=2"):
        fit(cohort=pd.Series(["east", "west"] * 10, index=z.index))
    with pytest.raises(InputError, match="compile it for this one"):
        fit_survival(MSPLINE, z, y, compiled=compiled_weibull)
    with pytest.raises(InputError, match="lacks"):
        predict_survival(weibull_fit, z.iloc[:, :2], times=[1])
    with pytest.raises(InputError, match="times hold a negative"):
        predict_survival(weibull_fit, z, times=[-1])
    with pytest.raises(InputError, match="horizon is 0"):
        predict_rmst(weibull_fit, z, horizon=0)
    with pytest.raises(InputError, match="n_cohorts is 0"):
        compile_survival(WEIBULL, columns=z.columns, n_cohorts=0)
