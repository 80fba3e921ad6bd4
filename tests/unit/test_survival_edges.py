"""The edges of the data: each has a defined answer, or a refusal that names what and the remedy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.survival.covariates import Covariate
from times_stats.survival.hazard import stacked
from times_stats.survival.inputs import read_inputs
from times_stats.survival.prediction import linear_predictor, predict_rmst, predict_survival
from times_stats.survival.sampling import fit_survival
from times_stats.survival.spec import SurvivalSpec

TIMES = [0.0, 1.0, 12.0, 24.0, 200.0]
KINDS = ["weibull", "mspline"]
STAGES = ["I", "II", "III", "IV"]


@dataclasses.dataclass(frozen=True)
class Study:
    """Three cohorts of 40 patients, north with nearly three times the hazard of south."""

    spec: SurvivalSpec
    compiled: object
    z: pd.DataFrame
    y: pd.DataFrame
    cohort: pd.Series
    covariates: pd.DataFrame | None

    def fit(self, **changes):
        given = {
            "y": self.y, "cohort": self.cohort, "covariates": self.covariates, **changes
        }  # fmt: skip
        return fit_survival(
            self.spec, self.z, given.pop("y"), seed=1, compiled=self.compiled, **given
        )

    def survival(self, fit, cohort, **options):
        """Draws of survival of one average patient of the first rows, in a cohort."""
        new = self.z.iloc[:1] * 0
        labels = pd.Series(cohort, index=new.index)
        return predict_survival(
            fit, new, times=TIMES, cohort=labels, covariates=self.covariates, **options
        ).to_numpy()[:, 0]


def made_up_study(compiled, spec):
    rng = np.random.default_rng(21)
    n = 120
    index = pd.Index([f"p{number:03d}" for number in range(n)], name="patient_id")
    z = pd.DataFrame(
        rng.normal(0, 0.5, (n, len(compiled.columns))), columns=compiled.columns, index=index
    )
    code = np.arange(n) % 3
    eta = 0.8 * z.sum(axis=1).to_numpy() + np.log([1.0, 1.7, 0.6])[code]
    time = 30 * (rng.exponential(size=n) / np.exp(eta)) ** (1 / 1.2)
    censored = rng.uniform(10, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    table = pd.DataFrame(
        {"age": rng.normal(60, 10, n), "stage": rng.choice(STAGES, n)}, index=index
    )
    table.iloc[110:114, 0] = np.nan
    cohort = pd.Series(np.array(["east", "north", "south"])[code], index=index)
    return Study(spec, compiled, z, y, cohort, table if spec.covariates else None)


@pytest.fixture(params=KINDS)
def study(request, compiled_options, compiled_mspline):
    """Weibull with covariates, slopes and shapes by cohort; M-splines with levels by cohort."""
    compiled = {"weibull": compiled_options, "mspline": compiled_mspline}[request.param]
    spec = compiled.spec.for_folds()
    if request.param == "weibull":
        spec = dataclasses.replace(spec, target_accept=0.98)
    return made_up_study(compiled, spec)


@pytest.fixture
def plain(compiled_weibull):
    """Weibull without covariates and without room for a second cohort."""
    study = made_up_study(compiled_weibull, SurvivalSpec().for_folds())
    return dataclasses.replace(study, cohort=None)


def assert_sound(fit, *curves):
    assert fit.diagnostics.status == "converged", fit.diagnostics
    for name, draws in fit.posterior["posterior"].data_vars.items():
        assert np.isfinite(draws).all(), name
    for curve in curves:
        assert (curve[:, 0] == 1).all()
        assert (np.diff(curve, axis=1) <= 0).all()
        assert (curve >= 0).all()


def effects(fit):
    draws = stacked(fit.posterior["posterior"].to_dataset(), "cohort_effect")
    return dict(zip(fit.cohorts, draws.T, strict=True))


def test_one_cohort_is_a_study_without_cohorts(study):
    """By name or without one, in a model with room for three: the same draws."""
    named = study.fit(cohort=pd.Series("east", index=study.z.index))
    nameless = study.fit(cohort=None)
    assert (named.cohorts, nameless.cohorts) == (("east",), ("all",))
    assert_sound(named, study.survival(named, "east"), study.survival(named, "elsewhere"))
    for name, draws in named.posterior["posterior"].data_vars.items():
        np.testing.assert_array_equal(draws, nameless.posterior["posterior"][name], err_msg=name)


def test_one_cohort_without_room_for_more_has_no_cohort_effect(plain):
    fit = plain.fit(cohort=pd.Series("east", index=plain.z.index))
    assert "cohort_effect" not in fit.posterior["posterior"]
    known = plain.survival(fit, "east")
    assert_sound(fit, known)
    np.testing.assert_array_equal(known, plain.survival(fit, "elsewhere"))
    np.testing.assert_array_equal(known, plain.survival(fit, None))


def test_two_cohorts_differ_as_they_do(study):
    fit = study.fit(cohort=study.cohort.replace({"east": "north"}))
    assert fit.cohorts == ("north", "south")
    north, south = study.survival(fit, "north"), study.survival(fit, "south")
    assert_sound(fit, north, south)
    assert (effects(fit)["north"] > effects(fit)["south"]).mean() > 0.95
    assert north[:, 3].mean() < south[:, 3].mean()


def test_a_cohort_without_an_event_is_pulled_to_the_others(study):
    """Its maximum likelihood is a hazard of 0; the pooled one is low, and uncertain."""
    y = study.y.copy()
    y.loc[study.cohort == "south", "event"] = 0
    fit = study.fit(y=y)
    own = {name: study.survival(fit, name) for name in fit.cohorts}
    assert_sound(fit, *own.values())
    found = effects(fit)
    for other in ("east", "north"):
        assert (found["south"] < found[other]).mean() > 0.99
        assert found["south"].std() > found[other].std()
    assert own["east"][:, 3].mean() < own["south"][:, 3].mean()
    assert (own["south"][:, -1] < 1).all()


def test_a_cohort_of_one_patient_says_little_about_it(study):
    cohort = study.cohort.replace({"south": "north"})
    cohort.iloc[5] = "south"
    fit = study.fit(cohort=cohort)
    curve = study.survival(fit, "south")
    assert_sound(fit, curve)
    found = effects(fit)
    assert found["south"].std() > found["north"].std()
    scale = stacked(fit.posterior["posterior"].to_dataset(), "cohort_scale").ravel()
    # Seen once, its effect is near what it would be unseen: drawn around 0 with the scale.
    assert abs(found["south"].mean()) < 0.5 * scale.mean()
    assert found["south"].std() > 0.6 * np.sqrt((scale**2).mean())


def test_nobody_with_the_event_is_refused(study, plain, compiled_piecewise):
    piecewise = dataclasses.replace(
        plain, spec=compiled_piecewise.spec.for_folds(), compiled=compiled_piecewise
    )
    for kind in (study, plain, piecewise):
        with pytest.raises(InputError, match="no event or no follow-up to learn from: give"):
            kind.fit(y=kind.y.assign(event=0))
        with pytest.raises(InputError, match="no event or no follow-up to learn from: give"):
            kind.fit(y=kind.y.assign(time=0.0))


@pytest.mark.parametrize("before", [12.0, 6.0])
def test_events_at_one_time_that_ends_follow_up_carry_no_shape(plain, before):
    """The likelihood grows with the shape without end, and restricted means come out as 0."""
    y = plain.y.assign(time=np.where(plain.y["event"] == 1, 12.0, before))
    message = f"all {y['event'].sum()} events happened at one time .*: give times as fine"
    with pytest.raises(InputError, match=message):
        plain.fit(y=y)


def test_events_at_one_time_before_others_leave_have_a_weibull(plain):
    """Those who go on without the event bound the shape."""
    y = plain.y.assign(time=np.where(plain.y["event"] == 1, 12.0, 24.0))
    fit = plain.fit(y=y)
    curve = plain.survival(fit, None)
    assert_sound(fit, curve)
    assert fit.posterior["posterior"]["shape"].max() < 5
    share = (y["event"] == 0).mean()
    assert curve[:, 3].mean() == pytest.approx(share, abs=0.12)
    rmst = predict_rmst(fit, plain.z.iloc[:1] * 0, horizon=24.0).to_numpy()
    assert ((rmst > 12 * share) & (rmst < 24)).all()


@pytest.mark.parametrize(("n_times", "needs"), [(1, 4), (3, 4)])
def test_splines_need_as_many_event_times_as_knots(compiled_mspline, n_times, needs):
    study = made_up_study(compiled_mspline, compiled_mspline.spec.for_folds())
    tied = 6.0 * (1 + np.arange(len(study.y)) % n_times)
    y = study.y.assign(time=np.where(study.y["event"] == 1, tied, 60.0))
    with pytest.raises(InputError, match=f"{n_times} distinct event times.*needs {needs}: use"):
        study.fit(y=y)


def test_follow_up_of_length_zero(study):
    """Events move to half the smallest time, censored patients say nothing; both are counted."""
    y = study.y.copy()
    y.iloc[:20, 0] = 0.0
    fit = study.fit(y=y)
    happened = int(y["event"].iloc[:20].sum())
    assert 0 < happened < 20
    assert (fit.baseline.n_shifted, fit.baseline.n_uninformative) == (happened, 20 - happened)
    assert (fit.n, fit.events) == (len(y) - 20 + happened, y["event"].sum())
    assert_sound(fit, study.survival(fit, "east"))
    moved = fit.posterior["observed_data"]["time"].to_numpy()
    assert moved.min() == y["time"].iloc[20:].min() / 2


def test_patients_who_left_at_time_zero_change_nothing(compiled_mspline):
    study = made_up_study(compiled_mspline, compiled_mspline.spec.for_folds())
    y = study.y.copy()
    y.iloc[:20] = [0.0, 0]
    fit = study.fit(y=y)
    assert (fit.n, fit.baseline.n_uninformative) == (100, 20)
    again = dataclasses.replace(study, z=study.z.iloc[20:]).fit(y=y.iloc[20:])
    for name, draws in fit.posterior["posterior"].data_vars.items():
        np.testing.assert_array_equal(draws, again.posterior["posterior"][name], err_msg=name)


def test_the_unit_of_a_covariate_does_not_matter(compiled_options):
    """Numbers of 60,000,000,000 in all patients; powers of 2, so that nothing rounds."""
    study = made_up_study(
        compiled_options,
        dataclasses.replace(compiled_options.spec.for_folds(), tune=300, draws=300),
    )
    unit = 2.0**30
    huge = study.covariates.assign(age=study.covariates["age"] * unit)
    fit, other = study.fit(), study.fit(covariates=huge)
    assert other.scaling["age"] == tuple(value * unit for value in fit.scaling["age"])
    for name, draws in fit.posterior["posterior"].data_vars.items():
        np.testing.assert_array_equal(draws, other.posterior["posterior"][name], err_msg=name)
    np.testing.assert_array_equal(
        linear_predictor(fit, study.z, covariates=study.covariates),
        linear_predictor(other, study.z, covariates=huge),
    )


@pytest.mark.parametrize("value", [1e9, -1e200, 1e308])
@pytest.mark.parametrize("kind", KINDS)
def test_one_huge_number_that_makes_all_others_alike_is_refused(compiled_weibull, kind, value):
    study = made_up_study(
        compiled_weibull, SurvivalSpec(baseline=kind, covariates=(Covariate("age"),))
    )
    table = pd.DataFrame({"age": 60.0 + np.arange(120) % 30}, index=study.z.index)
    table.loc["p007", "age"] = value
    with pytest.raises(InputError, match=r"'age'.*patient p007.*: correct it"):
        read_inputs(
            study.spec,
            study.z,
            study.y,
            cohort=None,
            covariates=table,
            evidence_se=None,
            n_tiles=None,
        )


def test_a_rare_yes_is_no_huge_number(compiled_weibull):
    """One patient of 120 has it: nothing can be learned, and nothing is wrong."""
    study = made_up_study(compiled_weibull, SurvivalSpec(covariates=(Covariate("rare"),)))
    table = pd.DataFrame({"rare": np.zeros(120)}, index=study.z.index)
    table.iloc[7] = 1.0
    inputs = read_inputs(
        study.spec, study.z, study.y, cohort=None, covariates=table, evidence_se=None, n_tiles=None
    )
    assert inputs.covariates.numbers.max() == pytest.approx(np.sqrt(119))


def test_new_evidence_beyond_all_hazards_is_refused(study):
    """Survival would be 0 or 1 by the sign of each draw, and no number at time 0."""
    fit = study.fit()
    new = study.z.iloc[:2].copy()
    new.iloc[1, 0] = 1e6
    with pytest.raises(InputError, match="beyond 500 for patient p001: give log hazards"):
        predict_survival(fit, new, times=TIMES, covariates=study.covariates)


def test_a_new_number_beyond_all_hazards_is_refused(compiled_options):
    spec = dataclasses.replace(compiled_options.spec.for_folds(), target_accept=0.98)
    study = made_up_study(compiled_options, spec)
    fit = study.fit()
    table = study.covariates.copy()
    table.loc["p001", "age"] = 1e9
    message = "'age' is beyond 500 standard deviations for patient p001: give it in the unit"
    with pytest.raises(InputError, match=message):
        predict_survival(fit, study.z.iloc[:2], times=TIMES, covariates=table)


def test_room_for_missing_numbers_may_stay_empty(compiled_options):
    spec = dataclasses.replace(compiled_options.spec.for_folds(), target_accept=0.98)
    study = made_up_study(compiled_options, spec)
    fit = study.fit(covariates=study.covariates.fillna({"age": 60.0}))
    assert fit.n_modelled == 0
    assert "missing_number" not in fit.posterior["posterior"]
    assert_sound(fit, study.survival(fit, "east"))
