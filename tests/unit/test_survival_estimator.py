"""The scikit-learn face of the survival model: what it adds to the functions behind it."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from times_stats.errors import ConvergenceWarning, InputError
from times_stats.evaluation.discrimination import concordance_harrell
from times_stats.survival import estimator as module
from times_stats.survival.estimator import SurvivalModel
from times_stats.survival.prediction import linear_predictor, predict_survival
from times_stats.survival.sampling import fit_survival
from times_stats.survival.spec import SurvivalSpec

SPEC = dataclasses.replace(SurvivalSpec().for_folds(), tune=500, draws=500)
FOLDS = KFold(3, shuffle=True, random_state=1)


def made_up_study(columns, n=90, seed=8):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{number:03d}" for number in range(n)], name="patient_id")
    z = pd.DataFrame(rng.normal(0, 0.6, (n, len(columns))), columns=columns, index=index)
    time = 25 * rng.exponential(size=n) / np.exp(0.8 * z.sum(axis=1).to_numpy())
    censored = rng.uniform(15, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    return z, y


@pytest.fixture
def compilations(monkeypatch, compiled_weibull, compiled_options):
    """What was asked to be compiled; the models of the session stand in for the compiler."""
    asked = []

    def compile_survival(spec, *, columns, **needs):
        ready = compiled_options if spec.covariates else compiled_weibull
        assert columns.equals(ready.columns)
        assert spec.structure == ready.spec.structure
        asked.append(needs)
        return ready

    monkeypatch.setattr(module, "compile_survival", compile_survival)
    module._compile.cache_clear()
    yield asked
    module._compile.cache_clear()


@pytest.fixture
def study(compiled_weibull):
    return made_up_study(compiled_weibull.columns)


def test_it_says_what_the_functions_say(compilations, compiled_weibull, study):
    z, y = study
    model = SurvivalModel(spec=SPEC, seed=4).fit(z, y)
    fit = fit_survival(SPEC, z, y, seed=4, compiled=compiled_weibull)
    assert model.fit_.posterior.identical(fit.posterior)
    assert model.fit_.diagnostics.status == "converged"
    assert (model.feature_names_in_, model.n_features_in_) == (list(z.columns), 4)
    np.testing.assert_allclose(model.predict(z), linear_predictor(fit, z).mean("sample"))
    curves = model.predict_survival(z, times=[6.0, 24.0])
    wanted = predict_survival(fit, z, times=[6.0, 24.0]).mean("sample").to_numpy()
    np.testing.assert_allclose(curves, wanted)
    assert model.score(z, y) == concordance_harrell(y["time"], y["event"], model.predict(z)) > 0.6
    assert model.score(z, y.iloc[::-1]) == model.score(z, y)
    assert compilations == [
        {"n_cohorts": 1, "n_missing": 0, "delayed_entry": False, "interval_censoring": False}
    ]


def test_survival_of_blocks_of_patients_is_that_of_all(compilations, study, monkeypatch):
    z, y = study
    model = SurvivalModel(spec=SPEC).fit(z, y)
    wanted = model.predict_survival(z, times=[6.0, 24.0])
    monkeypatch.setattr(module, "_BLOCK", 7 * 1000 * 2)
    np.testing.assert_array_equal(model.predict_survival(z, times=[6.0, 24.0]), wanted)
    assert model.predict_survival(z, times=[]).shape == (len(z), 0)


@pytest.mark.filterwarnings("ignore::times_stats.errors.ConvergenceWarning")  # short chains
def test_folds_and_a_search_share_one_compilation(compilations, study):
    z, y = study
    model = make_pipeline(FunctionTransformer(), SurvivalModel(spec=SPEC))
    scores = cross_val_score(model, z, y, cv=FOLDS, error_score="raise")
    by_hand = [
        SurvivalModel(spec=SPEC).fit(z.iloc[train], y.iloc[train]).score(z.iloc[test], y.iloc[test])
        for train, test in FOLDS.split(z)
    ]
    np.testing.assert_array_equal(scores, by_hand)
    sceptical = dataclasses.replace(SPEC, prior_slope_mean=0.0)
    search = GridSearchCV(SurvivalModel(), {"spec": [SPEC, sceptical]}, cv=FOLDS)
    search.fit(z, y)
    np.testing.assert_array_equal(
        [search.cv_results_[f"split{fold}_test_score"][0] for fold in range(3)], scores
    )
    assert len(compilations) == 1


def test_copies_predict_the_same_and_compile_nothing(compilations, study):
    z, y = study
    model = SurvivalModel(spec=SPEC, seed=2).fit(z, y)
    np.testing.assert_array_equal(clone(model).fit(z, y).predict(z), model.predict(z))
    assert not hasattr(clone(model), "fit_")
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(z), model.predict(z))
    assert len(compilations) == 1


@pytest.mark.filterwarnings("ignore::times_stats.errors.ConvergenceWarning")
def test_cohorts_and_covariates_are_routed(compilations, compiled_options, study):
    """Chains far too short to converge: what arrives is the claim, in folds that lack a cohort."""
    z, y = study
    rng = np.random.default_rng(3)
    cohort = pd.Series(["east", "north"] * 45, index=z.index)
    test = next(iter(FOLDS.split(z)))[1]
    cohort.iloc[test[:10]] = "south"  # the first training fold has none of it
    table = pd.DataFrame(
        {"age": rng.normal(60, 9, 90), "stage": rng.choice(["I", "II", "III", "IV"], 90)},
        index=z.index,
    )
    table.iloc[::9, 0] = np.nan
    spec = dataclasses.replace(compiled_options.spec, chains=1, tune=40, draws=20)
    with sklearn.config_context(enable_metadata_routing=True):
        model = (
            SurvivalModel(spec=spec, n_cohorts=3, n_missing=12)
            .set_fit_request(cohort=True, covariates=True)
            .set_score_request(cohort=True, covariates=True)
        )
        scores = cross_val_score(
            model,
            z,
            y,
            cv=FOLDS,
            params={"cohort": cohort, "covariates": table},
            error_score="raise",
        )
    both = {"cohort": cohort, "covariates": table}
    by_hand = []
    for train, held in FOLDS.split(z):
        rows = {name: values.iloc[train] for name, values in both.items()}
        fit = fit_survival(spec, z.iloc[train], y.iloc[train], compiled=compiled_options, **rows)
        risk = linear_predictor(fit, z.iloc[held], **both).mean("sample")
        outcome = y.iloc[held]
        by_hand.append(concordance_harrell(outcome["time"], outcome["event"], risk))
    np.testing.assert_array_equal(scores, by_hand)
    assert compilations == [
        {"n_cohorts": 3, "n_missing": 12, "delayed_entry": False, "interval_censoring": False}
    ]


@pytest.mark.filterwarnings("ignore::times_stats.errors.ConvergenceWarning")
def test_unknown_cohorts_are_treated_as_asked(compilations, compiled_options, study):
    z, y = study
    spec = dataclasses.replace(compiled_options.spec, chains=1, tune=40, draws=20)
    cohort = pd.Series(["east", "north", "south"] * 30, index=z.index)
    stage = np.array(["I", "II", "III", "IV"])[np.arange(90) % 4]
    table = pd.DataFrame({"age": np.arange(90.0), "stage": stage}, index=z.index)
    table.iloc[0, 0] = np.nan
    model = SurvivalModel(spec=spec, n_missing=12, unknown_cohort="average")
    model.fit(z, y, cohort=cohort, covariates=table)
    assert compilations[0]["n_cohorts"] == 3
    new, west = z.iloc[1:5], pd.Series("west", index=z.index)
    wanted = predict_survival(
        model.fit_, new, times=[12.0], cohort=west, covariates=table, unknown_cohort="average"
    )
    found = model.predict_survival(new, times=[12.0], cohort=west, covariates=table)
    np.testing.assert_allclose(found, wanted.mean("sample"))
    integrated = clone(model).set_params(unknown_cohort="integrated")
    integrated.fit_ = model.fit_
    assert not np.allclose(
        integrated.predict_survival(new, times=[12.0], cohort=west, covariates=table), found
    )


def test_other_data_ask_for_another_compilation(monkeypatch, study):
    """By what the data need, and not by what else has been compiled."""
    z, y = study
    asked = []

    class StopError(Exception):
        pass

    def compile_survival(spec, **needs):
        asked.append((spec, needs["n_cohorts"], needs["delayed_entry"]))
        raise StopError

    monkeypatch.setattr(module, "compile_survival", compile_survival)
    module._compile.cache_clear()
    spline = dataclasses.replace(SPEC, baseline="mspline")
    two = pd.Series(["east", "west"] * 45, index=z.index)
    for model, outcome, cohort in (
        (SurvivalModel(spec=SPEC, n_cohorts=3), y, two),
        (SurvivalModel(spec=SPEC), y, two),
        (SurvivalModel(spec=spline), y, None),
        (SurvivalModel(spec=SPEC), y.assign(entry=y["time"] / 2), None),
        (SurvivalModel(), y, None),
    ):
        with pytest.raises(StopError):
            model.fit(z, outcome, cohort=cohort)
    assert [(spec.baseline, *rest) for spec, *rest in asked] == [
        ("weibull", 3, False),
        ("weibull", 2, False),
        ("mspline", 1, False),
        ("weibull", 1, True),
        ("weibull", 1, False),
    ]


def test_a_failed_fit_warns_and_can_be_read(compilations, study):
    z, y = study
    model = SurvivalModel(spec=SurvivalSpec(draws=5, tune=2, chains=2))
    with pytest.warns(ConvergenceWarning, match="failed its convergence gate"):
        model.fit(z, y)
    assert model.fit_.diagnostics.status == "failed"
    assert model.fit_.diagnostics.reasons


def test_faults_name_what_and_remedy(compilations, study):
    z, y = study
    with pytest.raises(InputError, match="X is a ndarray: give a DataFrame"):
        SurvivalModel(spec=SPEC).fit(z.to_numpy(), y)
    with pytest.raises(InputError, match="cohort is a list: give a Series by patient"):
        SurvivalModel(spec=SPEC).fit(z, y, cohort=["east"] * 90)
    with pytest.raises(InputError, match="covariates is a ndarray: give a DataFrame by patient"):
        SurvivalModel(spec=SPEC).fit(z, y, covariates=np.zeros((90, 1)))
    assert not compilations
    model = SurvivalModel(spec=SPEC).fit(z, y)
    with pytest.raises(InputError, match="no outcome of patient p000: give one for each"):
        model.score(z, y.iloc[1:])
    with pytest.raises(InputError, match="fit_survival takes"):
        model.score(z, y.assign(entry=y["time"] / 2))
    with pytest.raises(InputError, match="lacks"):
        model.predict(z.iloc[:, 1:])
    with pytest.raises(InputError, match="times hold a negative"):
        model.predict_survival(z, times=[-1.0])
