"""The PyMC graph against a density written by hand in numpy: exact, and without sampling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from times_stats.survival.baseline import (
    constant_hazard_weights,
    learn_baseline,
    log_hazard_terms,
)
from times_stats.survival.build import SurvivalData, build_model, centring
from times_stats.survival.effects import design_effects
from times_stats.survival.spec import SurvivalSpec

PAIRS = [("A", "x"), ("A", "y"), ("B", "x"), ("B", "y")]


def made_up_data(spec, *, pairs=PAIRS, n_cohorts=1, n=25, seed=0, slope_prior=None):
    rng = np.random.default_rng(seed)
    time = np.round(rng.exponential(20, n), 1)
    time[0] = 0.0
    event = (rng.random(n) < 0.6).astype(np.int64)
    event[0] = 1
    baseline, time, used = learn_baseline(time, event, spec)
    return SurvivalData(
        columns=pd.MultiIndex.from_tuples(pairs),
        evidence=rng.normal(size=(n, len(pairs)))[used],
        time=time[used],
        event=event[used],
        cohort=rng.integers(0, n_cohorts, n)[used],
        n_cohorts=n_cohorts,
        baseline=baseline,
        slope_prior=slope_prior,
    )


def hand_written(spec, data, point, centred):
    """Log density and the pointwise log likelihood, on the scaled time, at a named point."""
    design = design_effects(data.columns)
    mean, sd = data.slope_prior or (spec.prior_slope_mean, spec.prior_slope_sd)
    total = stats.norm.logpdf(point["slope"], mean, sd)
    beta = np.full(len(data.columns), point["slope"])

    def half_normal(name, scale):  # of exp(x), with the Jacobian of the log
        value = np.exp(point[f"{name}_log__"])
        return value, np.sum(stats.halfnorm.logpdf(value, scale=scale) + point[f"{name}_log__"])

    if design.groups:
        scale, density = half_normal("effect_scale", spec.prior_effect_scale)
        latent, each = point["effect_latent"], scale[design.group]
        total += density + stats.norm.logpdf(latent, 0, each if centred else 1.0).sum()
        beta = beta + design.matrix @ (latent if centred else latent * each)
    total += stats.norm.logpdf(point["level"], 0, spec.prior_intercept_sd)
    eta = point["level"] + data.baseline.log_rate + data.evidence @ beta
    if data.n_cohorts > 1:
        scale, density = half_normal("cohort_scale", spec.prior_cohort_scale)
        latent = point["cohort_latent"]
        total += density + stats.norm.logpdf(latent, 0, scale if centred else 1.0).sum()
        eta = eta + (latent if centred else latent * scale)[data.cohort]
    if spec.baseline == "weibull":
        total += stats.norm.logpdf(point["log_shape"], 0, spec.prior_shape_sd)
        scaled = data.time / data.baseline.time_scale
        law = stats.weibull_min(
            np.exp(point["log_shape"]), scale=np.exp(-eta / np.exp(point["log_shape"]))
        )
        pointwise = np.where(data.event == 1, law.logpdf(scaled), law.logsf(scaled))
    else:
        smooth, density = half_normal("smoothness", spec.prior_smoothness_scale)
        steps = point["step_latent"]
        total += density + stats.norm.logpdf(steps).sum()
        walk = np.concatenate([[0.0], np.cumsum(steps * smooth)])
        weight = np.exp(walk) * constant_hazard_weights(data.baseline.knots)
        weight /= weight.sum()
        basis, integral = log_hazard_terms(data.baseline, data.time)
        pointwise = data.event * (eta + np.log(basis @ weight)) - np.exp(eta) * (integral @ weight)
    return total + pointwise.sum(), pointwise


CASES = [
    ("weibull", PAIRS, 1, "non_centred"),
    ("weibull", PAIRS, 3, "centred"),
    ("weibull", PAIRS[:1], 1, "non_centred"),
    ("mspline", PAIRS, 3, "non_centred"),
    ("mspline", PAIRS[:2], 2, "centred"),
]


@pytest.mark.parametrize(("baseline", "pairs", "n_cohorts", "parameterisation"), CASES)
def test_log_density_equals_the_hand_written_one(baseline, pairs, n_cohorts, parameterisation):
    from pytensor.compile.mode import Mode

    spec = SurvivalSpec(
        baseline=baseline,
        parameterisation=parameterisation,
        prior_effect_scale=0.4,
        prior_cohort_scale=0.7,
        prior_shape_sd=0.6,
        prior_smoothness_scale=0.8,
        prior_intercept_sd=1.7,
    )
    data = made_up_data(spec, pairs=pairs, n_cohorts=n_cohorts, slope_prior=(0.1, 0.8))
    model = build_model(spec, data)
    quick = Mode(linker="py", optimizer=None)
    density = model.compile_fn(
        [model.logp(), model.logp(model.observed_RVs, sum=False)[0]], mode=quick
    )
    shapes = model.initial_point(0)
    rng = np.random.default_rng(5)
    for _ in range(4):
        point = {name: rng.normal(0, 0.7, np.shape(value)) for name, value in shapes.items()}
        total, pointwise = density(point)
        wanted, wanted_pointwise = hand_written(
            spec, data, point, centred=parameterisation == "centred"
        )
        assert total == pytest.approx(wanted, abs=1e-9)
        np.testing.assert_allclose(pointwise, wanted_pointwise, atol=1e-9)


def test_no_row_dimension_is_fixed():
    spec = SurvivalSpec(baseline="mspline")
    model = build_model(spec, made_up_data(spec, n_cohorts=2))
    for name in ("z", "event", "cohort", "basis", "integral"):
        assert model[name].type.shape[0] is None, name


@pytest.mark.parametrize(("n", "wanted"), [(60, [0.0, 0.0]), (20_000, [1.0, 1.0])])
def test_parameterisation_follows_the_events_per_group(n, wanted):
    spec = SurvivalSpec()
    data = made_up_data(spec, n_cohorts=3, n=n)
    assert centring(spec, data, design_effects(data.columns)).tolist() == wanted
