"""Covariates, slopes and shapes of cohorts, ordered regions: fits and predictions."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import ConvergenceWarning, InputError
from times_stats.survival.checks import log_likelihood
from times_stats.survival.cohorts import draw_cohort
from times_stats.survival.covariates import Covariate, read_covariates
from times_stats.survival.hazard import stacked
from times_stats.survival.prediction import (
    linear_predictor,
    predict_event_probability,
    predict_hazard_ratio,
    predict_rmst,
    predict_survival,
)
from times_stats.survival.sampling import fit_survival
from times_stats.survival.spec import SurvivalSpec
from times_stats.survival.storage import load_posterior, save_posterior

COHORTS = ["east", "north", "south"]
STAGES = ["I", "II", "III", "IV"]


def made_up_study(columns, n=150, seed=4):
    """Slopes 1, age .3 per sd, stages worth 0, .2, 1 and 1.2, shapes 0.8, 1.2 and 1.6 by cohort."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{number:03d}" for number in range(n)], name="patient_id")
    z = pd.DataFrame(rng.normal(0, 0.5, (n, len(columns))), columns=columns, index=index)
    code, stage, age = rng.integers(0, 3, n), rng.integers(0, 4, n), rng.normal(60, 10, n)
    eta = z.sum(axis=1).to_numpy() + 0.03 * (age - 60) + np.array([0, 0.2, 1, 1.2])[stage]
    shape = np.array([0.8, 1.2, 1.6])[code]
    time = 30 * (rng.exponential(size=n) / np.exp(eta)) ** (1 / shape)
    censored = rng.uniform(10, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    table = pd.DataFrame({"age": age, "stage": np.array(STAGES)[stage]}, index=index)
    table.iloc[:10, 0] = np.nan
    return z, y, pd.Series(np.array(COHORTS)[code], index=index), table


@pytest.fixture(scope="module")
def study(compiled_options):
    return made_up_study(compiled_options.columns)


@pytest.fixture(scope="module")
def fit(compiled_options, study):
    z, y, cohort, table = study
    spec = dataclasses.replace(compiled_options.spec.for_folds(), target_accept=0.98)
    found = fit_survival(
        spec, z, y, cohort=cohort, covariates=table, seed=7, compiled=compiled_options, cores=2
    )
    assert found.diagnostics.status == "converged", found.diagnostics
    return found


def test_quantities_are_named_and_tied_together(fit):
    posterior = fit.posterior["posterior"].to_dataset()
    assert posterior["covariate"].to_numpy().tolist() == ["age", "stage"]
    assert posterior["stage_step"].to_numpy().tolist() == ["I to II", "II to III", "III to IV"]
    np.testing.assert_allclose(posterior["steps_stage"].sum("stage_step"), 1.0)
    # Deviations of the shape sum to zero over the cohorts.
    np.testing.assert_allclose(posterior["cohort_shape_effect"].sum("cohort"), 0.0, atol=1e-12)
    # Effects of ordered regions keep a marker's mean over its regions.
    by_marker = posterior["beta"].groupby("marker").mean()
    marker = posterior["effect"].isel(effect_label=[0, 1])
    np.testing.assert_allclose(
        by_marker.transpose("chain", "draw", "marker"),
        (posterior["slope"] + marker).transpose("chain", "draw", "effect_label"),
        atol=1e-12,
    )
    assert posterior["effect_label"].to_numpy()[2] == "region tumour to invasive_front"
    assert (fit.n_modelled, fit.n_filled) == (10, 0)
    assert posterior.sizes["missing_cell"] == 10


def test_fit_finds_what_was_put_in(fit):
    posterior = fit.posterior["posterior"]
    shapes = posterior["cohort_shape_effect"].mean(("chain", "draw")).to_numpy()
    assert shapes[0] < shapes[1] < shapes[2]
    stage = posterior["covariate_effect"].sel(covariate="stage")
    assert float((stage > 0).mean()) > 0.99
    steps = posterior["steps_stage"].mean(("chain", "draw")).to_numpy()
    assert steps.argmax() == 1  # II to III is the large one


def test_predictions_equal_the_formula(fit, study):
    z, _, _, table = study
    new, rows = z.iloc[20:24], table.iloc[20:24]
    posterior = fit.posterior["posterior"].to_dataset()
    mean, sd = fit.scaling["age"]
    slope = stacked(posterior, "beta") + stacked(posterior, "cohort_slope")[:, [0]]
    effect = stacked(posterior, "covariate_effect")
    own = stacked(posterior, "covariate_cohort_effect")[:, 0, 0]
    climbed = np.cumsum(np.pad(stacked(posterior, "steps_stage"), ((0, 0), (1, 0))), axis=1)
    codes = [STAGES.index(stage) for stage in rows["stage"]]
    eta = (
        slope @ new.to_numpy().T
        + effect[:, [0]] * ((rows["age"].to_numpy() - mean) / sd)
        + (effect[:, 1] + own)[:, None] * climbed[:, codes]
        + stacked(posterior, "cohort_effect")[:, [0]]
    )
    options = {"cohort": pd.Series("east", index=new.index), "covariates": rows}
    np.testing.assert_allclose(linear_predictor(fit, new, **options), eta, atol=1e-12)
    shape = stacked(posterior, "shape") * np.exp(stacked(posterior, "cohort_shape_effect")[:, 0])
    times = np.array([6.0, 30.0])
    power = (times / fit.baseline.time_scale) ** shape[:, None]
    level = np.exp(stacked(posterior, "intercept")[:, None] + eta)
    wanted = np.exp(-level[:, :, None] * power[:, None, :])
    survival = predict_survival(fit, new, times=times, **options)
    np.testing.assert_allclose(survival, wanted, atol=1e-12)
    risk = predict_event_probability(fit, new, horizon=30.0, since=6.0, **options)
    np.testing.assert_allclose(risk, 1 - wanted[:, :, 1] / wanted[:, :, 0], atol=1e-9)
    grid = 24 * np.linspace(0, 1, 4001) ** 2  # dense where a hazard may be steep
    fine = predict_survival(fit, new.iloc[[0]], times=grid, **options).to_numpy()[:, 0]
    rmst = predict_rmst(fit, new.iloc[[0]], horizon=24.0, **options).to_numpy()[:, 0]
    np.testing.assert_allclose(rmst, np.trapezoid(fine, grid, axis=1), rtol=1e-3)
    ratio = predict_hazard_ratio(
        fit,
        new,
        new.iloc[[1]],
        cohort="east",
        covariates=rows,
        reference_covariates=rows.iloc[[1]],
    )
    np.testing.assert_allclose(ratio, np.exp(eta - eta[:, [1]]), atol=1e-9)
    # Several cohorts at once, each with its own baseline.
    mixed = pd.Series(["east", "south", "east", "west"], index=new.index)
    together = predict_survival(fit, new, times=times, cohort=mixed, covariates=rows)
    np.testing.assert_array_equal(together[:, [0, 2]], survival[:, [0, 2]])
    assert not np.allclose(together[:, 1], survival[:, 1])


def test_unknown_cohorts_are_integrated_or_average(fit, study):
    z, _, _, table = study
    posterior = fit.posterior["posterior"].to_dataset()
    new, rows = z.iloc[[20]], table.iloc[[20]]
    average = draw_cohort(fit, posterior, None, stream="s", unknown_cohort="average")
    assert not average.level.any()
    assert not average.slope.any()
    assert not average.shape.any()
    drawn = draw_cohort(fit, posterior, "west", stream="s")
    for values, scale, wider in (
        (drawn.level, "cohort_scale", 1.0),
        (drawn.slope, "cohort_slope_scale", 1.0),
        (drawn.covariates[:, 0], "covariate_cohort_scale", 1.0),
        (drawn.shape, "cohort_shape_scale", np.sqrt(4 / 3)),
    ):
        ratio = values / stacked(posterior, scale).reshape(-1)
        assert ratio.std() == pytest.approx(wider, rel=0.08)
        assert abs(ratio.mean()) < 4 * wider / np.sqrt(ratio.size)
    curves = {
        choice: predict_survival(
            fit, new, times=[24.0], covariates=rows, unknown_cohort=choice
        ).to_numpy()
        for choice in ("integrated", "average")
    }
    assert curves["integrated"].std() > curves["average"].std()
    with pytest.raises(InputError, match="unknown_cohort is 'zero': use 'integrated' or"):
        predict_survival(fit, new, times=[1.0], covariates=rows, unknown_cohort="zero")


def test_labels_of_cohorts_are_the_same_as_text_number_and_float(compiled_mspline):
    z, y, cohort, _ = made_up_study(compiled_mspline.columns)
    spec = dataclasses.replace(compiled_mspline.spec.for_folds(), tune=100, draws=100)
    numbered = cohort.map({"east": 1, "north": 2, "south": 3})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = fit_survival(spec, z, y, cohort=numbered, compiled=compiled_mspline, cores=2)
    assert fit.cohorts == ("1", "2", "3")
    new = z.iloc[:5]
    wanted = linear_predictor(fit, new, cohort=numbered)
    for labels in (numbered.astype(str), numbered.astype(float), numbered.astype("Int64")):
        np.testing.assert_array_equal(linear_predictor(fit, new, cohort=labels), wanted)
    for labels, message in (
        (numbered + 0.5, "cohort is a fraction for patient p000"),
        (["1"] * 5, "cohort is a list: give a pandas Series"),
        (pd.concat([numbered, numbered.iloc[:1]]), "more than one row for patient p000"),
        (numbered.iloc[1:], "cohort is missing for patient p000"),
    ):
        with pytest.raises(InputError, match=message):
            linear_predictor(fit, new, cohort=labels)
    with pytest.raises(InputError, match="new patients have more than one row for p000"):
        linear_predictor(fit, pd.concat([new, new.iloc[:1]]), cohort=numbered)


def test_missing_numbers_are_drawn_and_counted(fit, study):
    z, _, _, table = study
    new = z.iloc[:3]
    eta = linear_predictor(fit, new, covariates=table.iloc[:3], unknown_cohort="average")
    assert eta.attrs["n_drawn"] == 3
    known = table.iloc[:3].assign(age=fit.scaling["age"][0])
    at_mean = linear_predictor(fit, new, covariates=known, unknown_cohort="average")
    effect = stacked(fit.posterior["posterior"].to_dataset(), "covariate_effect")[:, 0]
    drawn = (eta - at_mean).to_numpy() / effect[:, None]
    assert drawn.std() == pytest.approx(1.0, abs=0.06)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.1
    alone = linear_predictor(
        fit, new.iloc[[1]], covariates=table.iloc[:3], unknown_cohort="average"
    )
    np.testing.assert_array_equal(alone[:, 0], eta[:, 1])


def test_log_likelihood_equals_the_density_of_the_predictions(fit, study):
    """At the posterior draws, for patients with all covariates known, by their cohort."""
    z, y, cohort, table = study
    pointwise = log_likelihood(fit)
    patients = z.index[20:26]
    for patient in patients:
        options = {"cohort": cohort.loc[[patient]], "covariates": table.loc[[patient]]}
        at, step = y.loc[patient, "time"], 1e-4
        curve = predict_survival(
            fit, z.loc[[patient]], times=[at - step, at, at + step], **options
        ).to_numpy()[:, 0]
        density = (curve[:, 0] - curve[:, 2]) / (2 * step)
        wanted = np.log(density) if y.loc[patient, "event"] else np.log(curve[:, 1])
        found = pointwise.sel(patient=patient).to_numpy().ravel()
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_loaded_fit_is_the_same(fit, study, tmp_path):
    z, _, cohort, table = study
    save_posterior(fit, tmp_path)
    again = load_posterior(tmp_path)
    for field in dataclasses.fields(fit):
        if field.name not in ("posterior", "columns"):
            assert getattr(again, field.name) == getattr(fit, field.name), field.name
    options = {"times": [3.0, 24.0], "cohort": cohort, "covariates": table}
    np.testing.assert_array_equal(
        predict_survival(again, z, **options), predict_survival(fit, z, **options)
    )
    np.testing.assert_array_equal(log_likelihood(again), log_likelihood(fit))


def test_training_tables_are_those_of_the_fit(fit, study):
    z, y, cohort, table = study
    tables = fit.training_tables()
    pd.testing.assert_frame_equal(tables.evidence, z)
    pd.testing.assert_frame_equal(tables.y, y)
    pd.testing.assert_series_equal(tables.cohort, cohort, check_names=False, check_dtype=False)
    pd.testing.assert_frame_equal(tables.covariates, table, check_dtype=False)
    fewer = tables.without(z.index[:5])
    assert fewer.y.index.equals(z.index[5:])
    assert fewer.covariates.index.equals(z.index[5:])


def test_a_compilation_serves_only_its_structure(compiled_options, study):
    z, y, cohort, table = study

    def fit_with(**changes):
        spec = dataclasses.replace(compiled_options.spec, **changes)
        return fit_survival(spec, z, y, cohort=cohort, covariates=table, compiled=compiled_options)

    for changes in ({"cohort_effects": ("level",)}, {"region_order": ()}):
        with pytest.raises(InputError, match="compiled for other covariates, cohort effects or"):
            fit_with(**changes)
    table = table.assign(age=np.nan)
    with pytest.raises(InputError, match="'age' is the same for all patients"):
        fit_with()
    table.loc[z.index[-4:], "age"] = [50, 60, 61, 70]
    with pytest.raises(InputError, match="n_missing=146, and it has 12"):
        fit_with()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: None, "the model has covariates age, stage: give a table with them"),
        (lambda t: t.drop(columns="stage").assign(stages="I"), r"no column 'stage' \(nearest"),
        (lambda t: t.iloc[1:], "no row for patient p1"),
        (lambda t: pd.concat([t, t[["age"]]], axis=1), "the column 'age' twice: keep one"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "more than one row for patient p1"),
        (lambda t: t.assign(age=["a", "b", "c"]), "'age' is not numeric"),
        (lambda t: t.assign(age=[1.0, np.inf, 2.0]), "'age' is infinite for patient p2"),
        (lambda t: t.assign(age=[1.0, np.nan, 2.0]), "'age' is missing for patient p2: complete"),
        (lambda t: t.assign(age=3.0), "'age' is the same for all patients: leave it out"),
        (lambda t: t.assign(stage=["I", "V", "II"]), "level 'V' for patient p2: name it among"),
        (lambda t: t.assign(stage=["I", None, "II"]), "'stage' is missing for patient p2"),
    ],
)
def test_faults_of_covariates_name_patients_and_remedy(change, message):
    terms = (Covariate("age"), Covariate("stage", ("I", "II")))
    index = pd.Index(["p1", "p2", "p3"])
    table = pd.DataFrame({"age": [40.0, 50.0, 60.0], "stage": ["I", "II", "I"]}, index=index)
    read_covariates(terms, table, index)
    with pytest.raises(InputError, match=message):
        read_covariates(terms, change(table), index)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": ("I",)}, "name two or more"),
        ({"levels": "ABC"}, "give a tuple of texts"),
        ({"levels": (1, 2)}, "give a tuple of texts"),
        ({"levels": ("I", "I")}, "each once"),
        ({"missing": "mean"}, "missing of 'stage' is 'mean': use 'refuse' or 'model'"),
        ({"levels": ("I", "II"), "missing": "model"}, "has no model: leave its patients out"),
    ],
)
def test_a_covariate_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        Covariate("stage", **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cohort_effects": ("level", "size")}, "cohort effect 'size' is not known"),
        ({"covariates": (Covariate("a"), Covariate("a"))}, "covariates name something twice"),
        ({"cohort_effects": "level"}, "cohort_effects is 'level': give a tuple"),
        ({"covariates": ("age",)}, "covariates holds something else than Covariate"),
        ({"n_basis": 5.5}, "n_basis is 5.5: use a whole number"),
        ({"prior_slope_mean": np.nan}, "prior_slope_mean is nan: use a number"),
        ({"region_order": ("a",)}, "region_order names one region"),
        ({"region_order": ("a", "a")}, "region_order name something twice"),
    ],
)
def test_a_structure_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        SurvivalSpec(**changes)


def test_a_region_outside_the_order_is_refused(study):
    z, y, _, _ = study
    with pytest.raises(InputError, match="region tumour has no place in region_order"):
        fit_survival(SurvivalSpec(region_order=("invasive_front", "adjacent")), z, y)


def test_a_list_is_as_good_as_a_tuple():
    spec = SurvivalSpec(cohort_effects=["level"], region_order=["a", "b"])
    assert hash(spec) == hash(SurvivalSpec(region_order=("a", "b")))


def test_levels_that_a_gap_has_made_floats():
    terms = (Covariate("stage", ("1", "2")),)
    index = pd.Index(["p1", "p2", "p3"])
    table = pd.DataFrame({"stage": [1.0, 2.0, 1.0]}, index=index)
    assert read_covariates(terms, table, index).levels.ravel().tolist() == [0, 1, 0]


def test_neither_evidence_nor_covariates(study):
    _, y, _, _ = study
    with pytest.raises(InputError, match="neither evidence nor a covariate"):
        fit_survival(SurvivalSpec(), None, y)
