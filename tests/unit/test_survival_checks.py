"""Checks of a fit: predicted Kaplan-Meier curves, influence, stacking, and hold of the priors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import binom, halfnorm, norm

from times_stats.errors import DataWarning, InputError
from times_stats.nonparametric import kaplan_meier
from times_stats.plots.kaplan_meier_bands import plot_kaplan_meier_bands
from times_stats.survival import influence
from times_stats.survival.baseline import Baseline
from times_stats.survival.build import build_model
from times_stats.survival.checks import loo
from times_stats.survival.covariates import Covariate, read_covariates
from times_stats.survival.diagnostics import Diagnostics
from times_stats.survival.influence import refit_loo, stacking_weights
from times_stats.survival.measurement import EvidenceError
from times_stats.survival.model_data import SurvivalData
from times_stats.survival.outcomes import read_outcome
from times_stats.survival.prediction import predict_survival
from times_stats.survival.predictive_checks import (
    _later_censoring,
    _replicate,
    predictive_kaplan_meier,
    product_limit,
)
from times_stats.survival.proportional_hazards import (
    check_proportional_hazards,
    score_test_of_constant_effects,
)
from times_stats.survival.result import SurvivalFit
from times_stats.survival.sampling import fit_survival
from times_stats.survival.sensitivity import TOP_LEVEL_PRIORS, log_prior, prior_sensitivity
from times_stats.survival.spec import SurvivalSpec

COLUMNS = pd.MultiIndex.from_tuples([("A", "x")], names=["marker", "region"])
SCALE, SLOPE = 20.0, 0.8
PATIENTS = [f"p{number:04d}" for number in range(5000)]
WEIBULL = dataclasses.replace(SurvivalSpec().for_folds(), tune=500, draws=500)
MSPLINE = dataclasses.replace(WEIBULL, baseline="mspline")


# Fits whose every draw is the truth: what is checked is the check, not the sampler.


def known_fit(data, *, shapes=(1.2,), levels=(-0.5,), n_draws=200):
    """Weibull with a shape and level for each cohort, at every draw the true ones."""
    cohorts = tuple("abcdef"[: len(shapes)])
    by_draw, size = ("chain", "draw"), (1, n_draws)
    values = {
        "slope": (by_draw, np.full(size, SLOPE)),
        "beta": ((*by_draw, "coefficient"), np.full((*size, 1), SLOPE)),
        "intercept": (by_draw, np.full(size, levels[0])),
        "shape": (by_draw, np.full(size, shapes[0])),
    }
    if len(cohorts) > 1:
        effect = np.array(levels) - levels[0]
        deviation = np.log(np.array(shapes) / shapes[0])
        values["cohort_effect"] = ((*by_draw, "cohort"), np.broadcast_to(effect, (*size, 2)))
        values["cohort_shape_effect"] = (
            (*by_draw, "cohort"),
            np.broadcast_to(deviation, (*size, 2)),
        )
    coords = {"patient": np.array(PATIENTS[: len(data)])}
    observed = {
        name: ("patient", data[name].to_numpy())
        for name in ("time", "event", "entry", "time_upper")
        if name in data
    }
    constant = {
        "evidence": (("patient", "coefficient"), data[["z"]].to_numpy()),
        "cohort_index": ("patient", data["cohort"].to_numpy()),
    }
    posterior = xr.Dataset(
        values, coords={"chain": [0], "draw": np.arange(n_draws), "cohort": list(cohorts)}
    )
    return SurvivalFit(
        spec=SurvivalSpec(cohort_effects=("level", "shape")),
        posterior=xr.DataTree.from_dict(
            {
                "posterior": posterior,
                "constant_data": xr.Dataset(constant, coords=coords),
                "observed_data": xr.Dataset(observed, coords=coords),
            }
        ),
        columns=COLUMNS,
        cohorts=cohorts,
        n_cohorts=len(cohorts),
        baseline=Baseline("weibull", SCALE, 0.0, 80.0),
        diagnostics=Diagnostics("converged", 1.0, 999.0, 0),
        n=len(data),
        events=int(data["event"].sum()),
        n_filled=0,
        n_modelled=0,
        scaling={},
        seed=0,
        slope_prior=(0.5, 0.5),
        centred=(False, False, False),
    )


def made_up_outcomes(seed, n, *, late=False, shapes=(1.2,), levels=(-0.5,)):
    rng = np.random.default_rng(seed)
    z, cohort = rng.normal(0, 0.5, n), rng.integers(0, len(shapes), n)
    level = np.array(levels)[cohort] + SLOPE * z
    time = SCALE * (rng.exponential(size=n) / np.exp(level)) ** (1 / np.array(shapes)[cohort])
    censored = rng.uniform(10, 70, n)
    data = pd.DataFrame(
        {
            "time": np.minimum(time, censored),
            "event": (time <= censored).astype(np.int64),
            "z": z,
            "cohort": cohort,
        }
    )
    if late:
        data["entry"] = np.where(rng.random(n) < 0.5, rng.uniform(0, 15, n), 0.0)
        data = data[data["entry"] < data["time"]].reset_index(drop=True)
    return data


@pytest.mark.parametrize("late", [False, True])
def test_the_band_of_the_true_model_covers_at_its_nominal_rate(late):
    """Its own parameters: 95 % bands of replicates hold the observed curve as often as they say.

    Limits between the order statistics of 100 draws hold one more draw 93.1 times in 100.
    """
    times, n_studies, n_draws = np.array([3.0, 6.0, 12.0, 24.0, 36.0]), 70, 100
    inside, above = [], []
    for seed in range(n_studies):
        fit = known_fit(made_up_outcomes(seed, 60, late=late), n_draws=n_draws)
        table = predictive_kaplan_meier(fit, times=times, n_draws=n_draws, seed=seed)
        inside.append(table["observed"].between(table["lower"], table["upper"]))
        above.append(np.sign(table["observed"] - table["median"]))
    expected = 1 - 2 * (0.025 * (n_draws - 1) + 1) / (n_draws + 1)
    hits = np.sum(inside, axis=0)
    low, high = binom.ppf([0.001, 0.999], n_studies, expected)
    assert low <= hits.min() <= high, hits
    assert expected - 0.04 < np.mean(inside) < expected + 0.04
    # As often above the middle as below it.
    assert np.abs(np.mean(above, axis=0)).max() < 3.5 / np.sqrt(n_studies)


def test_replicates_follow_the_survival_curves_of_their_patients():
    """Two cohorts that differ in level and shape: Kaplan-Meier of many is their mean curve."""
    shapes, levels, times = (0.8, 2.0), (-0.8, 0.3), np.array([2.0, 8.0, 20.0, 35.0])
    data = made_up_outcomes(1, 4000, shapes=shapes, levels=levels)
    fit = known_fit(data, shapes=shapes, levels=levels, n_draws=20)
    table = predictive_kaplan_meier(fit, times=times, n_draws=20)
    names = pd.Series(np.array(["a", "b"])[data["cohort"]], index=fit.evidence.index)
    curves = predict_survival(fit, fit.evidence, times=times, cohort=names).isel(sample=0)
    for number, name in enumerate("ab"):
        rows = table[table["cohort"] == name]
        mean = curves.to_numpy()[data["cohort"] == number].mean(axis=0)
        own = data[data["cohort"] == number]
        se = kaplan_meier(own["time"], own["event"]).se_at(times)
        assert (np.abs(rows["median"] - mean) < 4 * se / np.sqrt(20) + 1e-9).all()
        expected = kaplan_meier(own["time"], own["event"]).at(times)
        np.testing.assert_allclose(rows["observed"], expected)
        at_risk = (own["time"].to_numpy()[:, None] >= times).sum(axis=0)
        assert rows["n_at_risk"].tolist() == at_risk.tolist()


def test_a_censoring_time_after_an_event_comes_from_the_reverse_curve():
    time, event = np.array([1.0, 2.0, 2.0, 4.0, 5.0]), np.array([1, 0, 1, 0, 1])
    rng, n = np.random.default_rng(3), 8_000
    drawn = np.array([_later_censoring(time, event, np.zeros(5), rng) for _ in range(n)])
    # At 2 one of three is censored (the event there comes first), at 4 one of two, then nobody.
    for patient in (0, 2):
        for value in (2.0, 4.0, np.inf):
            share = np.mean(drawn[:, patient] == value)
            assert share == pytest.approx(1 / 3, abs=0.02)
    assert np.isinf(drawn[:, 4]).all()


def test_an_event_ends_the_stretch_it_falls_in_and_late_ones_do_not_happen():
    nodes, hazard = np.array([0.0, 5.0, 8.0, 10.0]), np.array([0.0, 30.0, 30.5, 31.0])
    time, event, entry = np.array([10.0, 8.0, 10.0]), np.array([1, 0, 1]), np.array([0.0, 0, 5])
    rng = np.random.default_rng(0)
    at_once = _replicate(nodes, hazard, np.full(3, 60.0), time, event, entry, rng)
    assert [part.tolist() for part in at_once] == [[5.0, 5.0, 8.0], [1, 1, 1]]
    never = _replicate(nodes, hazard, np.full(3, -30.0), time, event, entry, rng)
    assert [part.tolist() for part in never] == [[10.0, 8.0, 10.0], [0, 0, 0]]


def test_nothing_is_said_beyond_the_follow_up_of_a_cohort():
    data = made_up_outcomes(4, 50)
    data.loc[0, ["time", "event"]] = 75.0, 0
    fit = known_fit(data)
    table = predictive_kaplan_meier(fit, times=[0.0, 75.0, 75.1, 200.0]).set_index("time")
    assert table["n_at_risk"].tolist() == [50, 1, 0, 0]
    assert table.loc[0.0, ["observed", "lower", "upper"]].tolist() == [1.0, 1.0, 1.0]
    shown = ["observed", "lower", "median", "upper"]
    assert table.loc[[75.1, 200.0], shown].isna().all(axis=None)
    assert table.loc[75.0, shown].notna().all()


def test_times_asked_for_seeds_and_mass_do_what_they_say():
    data = made_up_outcomes(5, 80, late=True)
    fit = known_fit(data)
    table = predictive_kaplan_meier(fit, times=[6.0, 30.0], seed=2)
    again = predictive_kaplan_meier(fit, times=[6.0, 30.0], seed=2)
    pd.testing.assert_frame_equal(table, again)
    other = predictive_kaplan_meier(fit, times=[6.0, 30.0], seed=3)
    assert not np.array_equal(table["median"], other["median"])
    narrow = predictive_kaplan_meier(fit, times=[6.0, 30.0], seed=2, prob=0.5)
    assert (narrow["upper"] - narrow["lower"] < table["upper"] - table["lower"]).all()
    np.testing.assert_array_equal(narrow["median"], table["median"])
    here = (data["entry"] < 6.0) & (data["time"] >= 6.0)
    assert table["n_at_risk"].iloc[0] == here.sum() < (data["time"] >= 6.0).sum()


def test_late_entry_alone_changes_the_product_limit():
    data = made_up_outcomes(6, 100)
    time, event = data["time"].to_numpy(), data["event"].to_numpy()
    plain = product_limit(time, event, np.zeros(100))
    np.testing.assert_array_equal(plain.values, kaplan_meier(time, event).values)
    # One patient who enters at once, written as one who enters late, with the others as they are.
    entry = np.zeros(100)
    entry[0] = time.min() / 2
    late = product_limit(time, event, entry)
    np.testing.assert_allclose(late.values, plain.values, atol=1e-15)
    np.testing.assert_allclose(late.se, plain.se, atol=1e-15)


def failed(fit):
    return dataclasses.replace(
        fit, diagnostics=Diagnostics("failed", 1.4, 9.0, 0, ("R-hat of slope is 1.400",))
    )


def without_data(fit):
    only = {"posterior": fit.posterior["posterior"].to_dataset()}
    return dataclasses.replace(fit, posterior=xr.DataTree.from_dict(only))


def scanned(fit):
    data = made_up_outcomes(7, 30).assign(time_upper=np.nan)
    data.loc[[3, 4], ["event", "time_upper"]] = [[0, 90.0], [0, 91.0]]
    return known_fit(data)


CHECKS = {
    "bands": lambda fit: predictive_kaplan_meier(fit, times=[12.0]),
    "constant effects": check_proportional_hazards,
    "leave-one-out": refit_loo,
    "sensitivity": prior_sensitivity,
    "stacking": lambda fit: stacking_weights({"one": fit, "two": fit}),
}


@pytest.mark.parametrize("check", CHECKS)
def test_failed_fits_and_fits_without_their_data_are_refused(check):
    fit = known_fit(made_up_outcomes(8, 30))
    with pytest.raises(InputError, match=r"failed its convergence gate \(R-hat of slope is 1.400"):
        CHECKS[check](failed(fit))
    with pytest.raises(InputError, match="without its training data"):
        CHECKS[check](without_data(fit))


@pytest.mark.parametrize("check", ["bands", "constant effects"])
def test_events_found_at_scans_are_refused_and_room_for_them_is_not(check):
    fit = known_fit(made_up_outcomes(7, 30).assign(time_upper=np.nan))
    assert len(CHECKS[check](fit)) > 0
    with pytest.raises(InputError, match=r"patient p0003, p0004 were found at scans: compare"):
        CHECKS[check](scanned(fit))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"n_draws": 201}, "n_draws is 201: use 2 or more, up to the 200"),
        ({"n_draws": 1}, "n_draws is 1"),
        ({"prob": 95}, "prob is 95"),
        ({"times": [-1.0]}, "times hold a negative"),
    ],
)
def test_options_of_the_bands_are_checked(option, message):
    fit = known_fit(made_up_outcomes(8, 30))
    with pytest.raises(InputError, match=message):
        predictive_kaplan_meier(fit, **{"times": [12.0]} | option)


def test_constant_effects_are_tested_on_the_parts_of_the_predictor():
    shapes, levels = (0.8, 2.0), (-0.8, 0.3)
    data = made_up_outcomes(9, 300, late=True, shapes=shapes, levels=levels)
    fit = known_fit(data, shapes=shapes, levels=levels)
    table = check_proportional_hazards(fit, transform="rank", confidence_level=0.9)
    expected = score_test_of_constant_effects(
        data["time"],
        data["event"],
        data[["z"]] * SLOPE,
        entry=data["entry"],
        strata=data["cohort"],
        names=["evidence"],
        transform="rank",
        confidence_level=0.9,
    )
    pd.testing.assert_frame_equal(table, expected)
    assert table["coefficient"].iloc[0] == pytest.approx(1, abs=0.4)
    assert table["p_value"].iloc[0] > 0.01


def with_covariates(fit, stage, age):
    """The fit with an age of effect .3 per sd, and a stage whose steps are worth .5 and .2."""
    terms = (Covariate("stage", levels=("I", "II", "III")), Covariate("age"))
    tree = fit.posterior
    posterior, size = tree["posterior"].to_dataset(), (1, fit.posterior["posterior"].sizes["draw"])
    posterior["covariate_effect"] = (
        ("chain", "draw", "covariate"),
        np.broadcast_to([0.7, 0.3], (*size, 2)),
    )
    posterior["steps_stage"] = (
        ("chain", "draw", "stage_step"),
        np.broadcast_to([5 / 7, 2 / 7], (*size, 2)),
    )
    constant = tree["constant_data"].to_dataset()
    constant["levels"] = (("patient", "ordered"), stage[:, None])
    constant["numbers"] = (("patient", "number"), ((age - age.mean()) / age.std())[:, None])
    constant["number_is_missing"] = (("patient", "number"), np.zeros((age.size, 1), np.bool_))
    groups = {"posterior": posterior, "constant_data": constant}
    groups["observed_data"] = tree["observed_data"].to_dataset()
    return dataclasses.replace(
        fit,
        spec=dataclasses.replace(fit.spec, covariates=terms),
        posterior=xr.DataTree.from_dict(groups),
        scaling={"age": (age.mean(), age.std())},
    )


def test_every_covariate_is_a_column_of_its_own():
    data = made_up_outcomes(10, 200)
    rng = np.random.default_rng(0)
    stage, age = rng.integers(0, 3, 200), rng.normal(60, 8, 200)
    table = check_proportional_hazards(with_covariates(known_fit(data), stage, age))
    columns = np.column_stack(
        [SLOPE * data["z"], np.array([0.0, 0.5, 0.7])[stage], 0.3 * (age - age.mean()) / age.std()]
    )
    expected = score_test_of_constant_effects(
        data["time"], data["event"], columns, names=["evidence", "stage", "age"]
    )
    pd.testing.assert_frame_equal(table, expected, rtol=1e-8)


def test_one_panel_a_cohort_with_the_curve_in_its_band():
    shapes, levels = (0.8, 2.0), (-0.8, 0.3)
    data = made_up_outcomes(11, 80, shapes=shapes, levels=levels)
    fit = known_fit(data, shapes=shapes, levels=levels)
    table = predictive_kaplan_meier(fit, times=np.linspace(0, 90, 31), seed=1)
    figure = plot_kaplan_meier_bands(table, time_unit="weeks")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]
    assert figure.get_supxlabel() == "Time (weeks)"
    for axes, cohort in zip(figure.axes, "ab", strict=True):
        rows = table[(table["cohort"] == cohort) & table["observed"].notna()]
        observed = next(line for line in axes.lines if str(line.get_label()).startswith("Obs"))
        np.testing.assert_array_equal(observed.get_ydata(), rows["observed"])
        corners = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert corners.min() == rows["lower"].min()
        assert corners.max() == rows["upper"].max()
        numbers = [text.get_text() for text in axes.texts]
        assert numbers[0] == str(rows["n_at_risk"].iloc[0])
        assert numbers[-1] == str(rows["n_at_risk"].iloc[-1])
    alone = plot_kaplan_meier_bands(
        table[table["cohort"] == "b"].assign(cohort="$x_{$ " + "b" * 60)
    )
    assert len(alone.axes) == 1
    assert alone.axes[0].get_title(loc="left").endswith("…")
    three = pd.concat([table, table[table["cohort"] == "a"].assign(cohort="c")])
    assert len(plot_kaplan_meier_bands(three).axes) == 3
    with pytest.raises(InputError, match="column n_at_risk missing"):
        plot_kaplan_meier_bands(table.drop(columns="n_at_risk"))
    with pytest.raises(InputError, match="no rows to draw"):
        plot_kaplan_meier_bands(table.iloc[:0])


# Priors of the graph, against the table of priors.

POSTERIOR_NAMES = {"level": "intercept", "log_shape": "shape"}
STRUCTURE = {
    "effect_latent",
    "column_latent",
    "step_latent",
    "evidence_latent",
    "missing_latent",
    "steps_stage",
} | {f"{name}_latent" for name in ("cohort", "cohort_slope", "cohort_shape", "covariate_cohort")}


@pytest.mark.parametrize("kind", ["weibull", "mspline"])
def test_every_prior_of_the_graph_is_scaled_or_known_to_be_structure(kind):
    from pytensor.compile.mode import Mode

    terms = (
        Covariate("stage", levels=("I", "II", "III")),
        Covariate("age", by_cohort=True, missing="model"),
    )
    spec = SurvivalSpec(
        baseline=kind,
        covariates=terms,
        cohort_effects=("level", "slope", "shape"),
        prior_slope_sd=0.31,
        prior_effect_scale=0.41,
        prior_cohort_scale=0.43,
        prior_cohort_slope_scale=0.47,
        prior_cohort_shape_scale=0.53,
        prior_covariate_sd=0.59,
        prior_shape_sd=0.61,
        prior_smoothness_scale=0.67,
    )
    n, rng = 12, np.random.default_rng(1)
    table = pd.DataFrame({"stage": ["I", "II", "III"] * 4, "age": rng.normal(60, 5, n)})
    table.loc[3, "age"] = np.nan
    y = pd.DataFrame({"time": rng.exponential(20, n) + 0.1, "event": 1})
    knots = () if kind == "weibull" else (0.0, 5.0, 12.0, 40.0)
    error = EvidenceError(np.full((n, 4), 0.2), np.full((n, 4), 5.0), np.zeros((n, 4), np.bool_))
    fit = dataclasses.replace(
        known_fit(made_up_outcomes(12, n)),
        spec=spec,
        baseline=Baseline(kind, SCALE, -0.7, 40.0, knots),
        slope_prior=(0.9, 0.31),
    )
    data = SurvivalData(
        columns=pd.MultiIndex.from_product([["A", "B"], ["x", "y"]]),
        evidence=rng.normal(size=(n, 4)),
        outcome=read_outcome(y),
        cohort=np.arange(n) % 3,
        n_cohorts=3,
        baseline=fit.baseline,
        slope_prior=fit.slope_prior,
        covariates=read_covariates(terms, table, table.index),
        error=error,
        n_missing=1,
        n_latent=4 * n,
    )
    model = build_model(spec, data)
    names = {str(variable.name) for variable in model.free_RVs}
    scaled = sorted(names - STRUCTURE)
    assert {POSTERIOR_NAMES.get(name, name) for name in scaled} <= set(TOP_LEVEL_PRIORS)
    assert {"slope", "effect_scale", "cohort_scale", "covariate_effect", "evidence_sd"} <= names
    density = model.compile_fn(
        model.logp([model[name] for name in scaled], jacobian=False, sum=False),
        inputs=model.value_vars,
        mode=Mode(linker="py", optimizer=None),
        on_unused_input="ignore",
    )
    point = {
        name: rng.normal(0, 0.7, np.shape(value)) for name, value in model.initial_point(0).items()
    }
    expected = dict(zip(scaled, density(point), strict=True))
    centre = model.replace_rvs_by_values(
        [model["level"].owner.op.dist_params(model["level"].owner)[0]]
    )
    shift = model.compile_fn(
        centre,
        inputs=model.value_vars,
        mode=Mode(linker="py", optimizer=None),
        on_unused_input="ignore",
    )(point)[0]
    draws = {}
    for name in scaled:
        value = np.exp(point[f"{name}_log__"]) if f"{name}_log__" in point else point[name]
        value = (
            value - shift - 0.7
            if name == "level"
            else np.exp(value)
            if name == "log_shape"
            else value
        )
        dims = [f"{name}_{k}" for k in range(np.ndim(value))]
        draws[POSTERIOR_NAMES.get(name, name)] = (("chain", "draw", *dims), value[None, None])
    posterior = xr.Dataset(draws, coords={"chain": [0], "draw": [0]})
    found = log_prior(
        dataclasses.replace(fit, posterior=xr.DataTree.from_dict({"posterior": posterior}))
    )
    for name in scaled:
        value = found[POSTERIOR_NAMES.get(name, name)].item()
        assert value == pytest.approx(np.sum(expected[name]), abs=1e-9), name


# Real fits, on compilations that the session shares.


def made_up_study(columns, n=120, seed=3, n_cohorts=1):
    rng = np.random.default_rng(seed)
    index = pd.Index(PATIENTS[:n], name="patient_id")
    z = pd.DataFrame(rng.normal(0, 0.5, (n, len(columns))), columns=columns, index=index)
    hidden = rng.integers(0, n_cohorts, n)
    eta = 0.8 * z.sum(axis=1).to_numpy() + np.array([0.0, 0.7, -0.7])[hidden]
    time = 30 * (rng.exponential(size=n) / np.exp(eta)) ** (1 / 1.2)
    censored = rng.uniform(10, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    return z, y, pd.Series(np.array(["east", "north", "south"])[hidden], index=index)


@pytest.fixture(scope="module")
def weibull_fit(compiled_weibull):
    z, y, _ = made_up_study(compiled_weibull.columns)
    return fit_survival(WEIBULL, z, y, seed=7, compiled=compiled_weibull, cores=2)


@pytest.fixture(scope="module")
def outlier_fit(compiled_weibull):
    """One patient of extreme evidence who lives on: the full fit says little of it without them."""
    z, y, _ = made_up_study(compiled_weibull.columns, n=60)
    z.iloc[5] = 2.5
    y.iloc[5] = 69.0, 0
    return fit_survival(WEIBULL, z, y, seed=7, compiled=compiled_weibull, cores=2)


@pytest.fixture(scope="module")
def mspline_fit(compiled_mspline):
    z, y, cohort = made_up_study(compiled_mspline.columns, n_cohorts=3)
    return fit_survival(MSPLINE, z, y, cohort=cohort, seed=7, compiled=compiled_mspline, cores=2)


def hump(columns, n=300):
    """Relapses around the tenth month, and few later: no Weibull. The evidence says nothing."""
    rng = np.random.default_rng(2)
    index = pd.Index(PATIENTS[:n], name="patient_id")
    z = pd.DataFrame(rng.normal(0, 0.5, (n, len(columns))), columns=columns, index=index)
    time = np.where(rng.random(n) < 0.6, np.exp(2.3 + 0.6 * rng.normal(size=n)), np.inf)
    censored = rng.uniform(20, 70, n)
    event = (time <= censored).astype(int)
    return z, pd.DataFrame({"time": np.minimum(time, censored), "event": event}, index=index)


def share_inside(fit):
    table = predictive_kaplan_meier(fit, times=np.arange(2.0, 42.0, 2.0), seed=1)
    return table["observed"].between(table["lower"], table["upper"]).mean()


def test_a_wrong_baseline_leaves_its_band(compiled_weibull):
    z, y = hump(compiled_weibull.columns)
    fit = fit_survival(WEIBULL, z, y, seed=1, compiled=compiled_weibull, cores=2)
    assert fit.diagnostics.status == "converged"
    assert share_inside(fit) < 0.6


def test_a_flexible_baseline_stays_in_its_band(compiled_mspline, mspline_fit):
    z, y = hump(compiled_mspline.columns)
    fit = fit_survival(MSPLINE, z, y, seed=1, compiled=compiled_mspline, cores=2)
    assert fit.diagnostics.status == "converged"
    assert share_inside(fit) >= 0.95
    table = predictive_kaplan_meier(mspline_fit, times=[6.0, 12.0, 24.0, 36.0])
    assert table["cohort"].unique().tolist() == ["east", "north", "south"]
    assert table["observed"].between(table["lower"], table["upper"]).mean() > 0.9


def weibull_log_density(fit, z, time, event):
    """Pointwise, by hand."""
    posterior = fit.posterior["posterior"]
    shape, level = (posterior[name].to_numpy().ravel() for name in ("shape", "intercept"))
    eta = posterior["beta"].to_numpy().reshape(-1, z.size) @ z
    scaled = time / fit.baseline.time_scale
    log_hazard = (
        level + eta + np.log(shape / fit.baseline.time_scale) + (shape - 1) * np.log(scaled)
    )
    return event * log_hazard - np.exp(level + eta) * scaled**shape


def test_the_patient_who_pulls_is_left_out_exactly(compiled_weibull, outlier_fit):
    found = refit_loo(outlier_fit, compiled=compiled_weibull, cores=2)
    table = found.by_patient
    assert table.index[table["refitted"]].tolist() == [PATIENTS[5]]
    assert found.n_refitted == 1
    assert (table["pareto_k"] > 0.7).tolist() == table["refitted"].tolist()
    assert table["converged"].all()
    tables = outlier_fit.training_tables().without(pd.Index([PATIENTS[5]]))
    without = fit_survival(
        WEIBULL,
        tables.evidence,
        tables.y,
        seed=7,
        compiled=compiled_weibull,
        baseline=outlier_fit.baseline,
        cores=2,
    )
    z = outlier_fit.evidence.loc[PATIENTS[5]].to_numpy()
    pointwise = weibull_log_density(without, z, 69.0, 0)
    exact = logsumexp(pointwise) - np.log(pointwise.size)
    assert table.loc[PATIENTS[5], "elpd"] == pytest.approx(exact, abs=1e-9)
    estimate = influence._quiet_loo(outlier_fit)
    others = table.index != PATIENTS[5]
    np.testing.assert_array_equal(table["elpd"][others], estimate.elpd_i.to_numpy()[others])
    # Without the patient the others' slopes are steeper, so this outcome surprises more.
    assert exact < estimate.elpd_i.to_numpy()[5] - 0.5
    assert found.elpd == pytest.approx(table["elpd"].sum())
    assert found.se == pytest.approx(np.sqrt(len(table)) * table["elpd"].std(ddof=1))


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # of a few patients
def test_where_the_estimate_holds_a_new_fit_says_the_same(compiled_mspline, mspline_fit):
    estimate = loo(mspline_fit)
    second = float(np.sort(estimate.pareto_k.to_numpy())[-3])
    found = refit_loo(mspline_fit, compiled=compiled_mspline, threshold=second, cores=2)
    table = found.by_patient
    assert found.n_refitted == 2
    np.testing.assert_allclose(table["elpd"], estimate.elpd_i, atol=0.15)
    assert not np.array_equal(table["elpd"], estimate.elpd_i)
    none = refit_loo(mspline_fit, threshold=5.0)
    assert none.n_refitted == 0
    assert none.elpd == pytest.approx(float(estimate.elpd))
    assert none.se == pytest.approx(float(estimate.se))


def test_covariates_of_the_one_left_out_are_on_the_scale_of_the_others(monkeypatch):
    rng = np.random.default_rng(0)
    stage, age = rng.integers(0, 3, 40), rng.normal(60, 8, 40)
    fit = with_covariates(known_fit(made_up_outcomes(13, 40)), stage, age)
    asked = []

    def fit_instead(spec, evidence, y, **options):
        asked.append((evidence, y, options))
        return dataclasses.replace(fit, scaling={"age": (50.0, 4.0)})

    monkeypatch.setattr(influence, "fit_survival", fit_instead)
    without = influence._fit_without(fit, PATIENTS[3], None, 1)
    evidence, y, options = asked[0]
    assert PATIENTS[3] not in {*evidence.index, *y.index, *options["covariates"].index}
    assert len(evidence) == len(y) == 39
    assert (options["slope_prior"], options["baseline"]) == (fit.slope_prior, fit.baseline)
    numbers = without.posterior["constant_data"]["numbers"].to_numpy()[:, 0]
    np.testing.assert_allclose(numbers, (age - 50.0) / 4.0)


def test_a_model_is_compiled_once_where_none_is_given(monkeypatch, compiled_weibull, weibull_fit):
    asked = []

    def compile_instead(spec, **options):
        asked.append((spec, options))
        return compiled_weibull

    monkeypatch.setattr(influence, "compile_survival", compile_instead)
    k = np.sort(loo(weibull_fit).pareto_k.to_numpy())
    given = refit_loo(weibull_fit, compiled=compiled_weibull, threshold=float(k[-3]))
    found = refit_loo(weibull_fit, threshold=float(k[-3]))
    assert found.n_refitted == 2
    assert len(asked) == 1
    spec, options = asked[0]
    assert spec == weibull_fit.spec
    assert options.pop("columns").equals(compiled_weibull.columns)
    assert options == {"n_cohorts": 1, "delayed_entry": False, "interval_censoring": False}
    pd.testing.assert_frame_equal(found.by_patient, given.by_patient)


def test_patients_who_cannot_be_left_out_are_named(compiled_mspline, weibull_fit):
    z, y, cohort = made_up_study(compiled_mspline.columns, n=60, n_cohorts=2)
    cohort.iloc[4] = "lone"
    fit = fit_survival(MSPLINE, z, y, cohort=cohort, seed=7, compiled=compiled_mspline, cores=2)
    with pytest.raises(InputError, match=f"patient {PATIENTS[4]} is the only one of a cohort"):
        refit_loo(fit, compiled=compiled_mspline, threshold=-5.0)
    with pytest.raises(InputError, match="threshold is nan"):
        refit_loo(weibull_fit, threshold=np.nan)
    posterior = weibull_fit.posterior["posterior"].to_dataset()
    latent = posterior.assign(missing_number=posterior["slope"].expand_dims(missing_cell=1, axis=2))
    groups = {
        name: weibull_fit.posterior[name].to_dataset()
        for name in ("constant_data", "observed_data")
    }
    groups["posterior"] = latent
    groups["constant_data"]["numbers"] = (("patient", "number"), np.zeros((weibull_fit.n, 1)))
    gap = np.arange(weibull_fit.n)[:, None] == 0
    groups["constant_data"]["number_is_missing"] = (("patient", "number"), gap)
    hidden = dataclasses.replace(weibull_fit, posterior=xr.DataTree.from_dict(groups))
    with pytest.raises(InputError, match="uncertain evidence or missing covariates"):
        refit_loo(hidden, threshold=-5.0)


def stacked_by_em(log_density):
    density = np.exp(log_density)
    weight = np.full(density.shape[1], 1 / density.shape[1])
    for _ in range(20_000):
        share = density * weight
        weight = (share / share.sum(axis=1, keepdims=True)).mean(axis=0)
    return weight


def test_stacking_maximises_the_log_density_of_the_mixture(compiled_weibull, weibull_fit):
    z, y, _ = made_up_study(compiled_weibull.columns)
    fits = {
        "ours": weibull_fit,
        "noise": fit_survival(
            WEIBULL,
            z.sample(frac=1, random_state=0).set_axis(z.index),
            y,
            seed=1,
            compiled=compiled_weibull,
        ),
        "turned": fit_survival(WEIBULL, -z, y, seed=1, compiled=compiled_weibull),
    }
    weights = stacking_weights(fits)
    assert weights.index.tolist() == ["ours", "noise", "turned"]
    assert weights.sum() == pytest.approx(1)
    pointwise = np.column_stack([loo(fit).elpd_i.to_numpy() for fit in fits.values()])
    expected = stacked_by_em(pointwise)

    def score(weight):
        return np.log(np.exp(pointwise) @ weight).sum()

    assert score(weights.to_numpy()) == pytest.approx(score(expected), abs=1e-4)
    np.testing.assert_allclose(weights, expected, atol=0.02)
    assert weights["ours"] > 0.5


def test_stacking_takes_models_of_the_same_outcomes_only(
    compiled_weibull, weibull_fit, outlier_fit
):
    with pytest.raises(InputError, match="stacking has 1 model: give two or more"):
        stacking_weights({"one": weibull_fit})
    with pytest.raises(InputError, match=r"model 'two': the fit failed its convergence gate"):
        stacking_weights({"one": weibull_fit, "two": failed(weibull_fit)})
    with pytest.raises(InputError, match="different patients, p0060, p0061"):
        stacking_weights({"one": weibull_fit, "two": outlier_fit})
    z, y, _ = made_up_study(compiled_weibull.columns)
    y.iloc[2, 0] += 1.0
    moved = fit_survival(WEIBULL, z, y, seed=7, compiled=compiled_weibull)
    with pytest.raises(InputError, match=r"different outcomes \(time of patient p0002\)"):
        stacking_weights({"one": weibull_fit, "two": moved})
    with pytest.warns(DataWarning, match=r"not reliable.*p0005 \(model 'a'\), p0005 \(model 'b'\)"):
        stacking_weights({"a": outlier_fit, "b": outlier_fit})


def test_sensitivity_tells_priors_that_decide_from_data_that_do(
    compiled_weibull, weibull_fit, mspline_fit
):
    table = prior_sensitivity(weibull_fit).set_index(["quantity", "label"])
    assert table.loc["beta"].index.tolist() == [
        f"{marker}, {region}" for marker, region in weibull_fit.columns
    ]
    assert table.loc["effect_scale"].index.tolist() == ["marker", "region", "interaction"]
    assert {"slope", "intercept", "shape"} <= set(table.index.get_level_values(0))
    for name in ("intercept", "shape"):
        assert table.loc[(name, ""), "finding"] == "the data decide"
    z, y, _ = made_up_study(compiled_weibull.columns)
    tight = fit_survival(
        WEIBULL, z, y, seed=3, compiled=compiled_weibull, slope_prior=(-0.5, 0.15), cores=2
    )
    by_slope, by_level, before = (
        prior_sensitivity(fit, priors=[name]).set_index(["quantity", "label"])
        for fit, name in ((tight, "slope"), (tight, "intercept"), (weibull_fit, "slope"))
    )
    slope = ("slope", "")
    assert by_slope.loc[slope, "finding"] == "the prior decides"
    assert by_slope.loc[slope, "prior"] > 2 * before.loc[slope, "prior"] > 0.05
    assert by_level.loc[slope, "prior"] < 0.02
    np.testing.assert_array_equal(by_level["likelihood"], by_slope["likelihood"])
    cohorts = prior_sensitivity(mspline_fit).set_index(["quantity", "label"])
    assert {"cohort_scale", "smoothness", "weight"} <= set(cohorts.index.get_level_values(0))
    assert cohorts.loc["weight"].shape[0] == 6
    # Three cohorts say little of their spread.
    assert cohorts.loc[("cohort_scale", ""), "prior"] > 0.05


def test_log_priors_are_summed_by_draw(weibull_fit):
    densities, posterior = log_prior(weibull_fit), weibull_fit.posterior["posterior"]
    assert {*densities} == {"slope", "effect_scale", "intercept", "shape"}
    assert all(densities[name].dims == ("chain", "draw") for name in densities)
    np.testing.assert_allclose(densities["slope"], norm.logpdf(posterior["slope"], 0.5, 0.5))
    scale = halfnorm.logpdf(posterior["effect_scale"], scale=0.5).sum(axis=2)
    np.testing.assert_allclose(densities["effect_scale"], scale)


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        (["slope", "level"], r"priors named: 'level'; this fit has 'slope', 'effect_scale'"),
        ([], "priors named: none"),
    ],
)
def test_priors_that_a_fit_does_not_have_are_named(weibull_fit, priors, message):
    with pytest.raises(InputError, match=message):
        prior_sensitivity(weibull_fit, priors=priors)
