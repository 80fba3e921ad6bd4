"""The PyMC graph against a density written by hand in numpy: exact, and without sampling."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from times_stats.survival.baseline import (
    constant_hazard_weights,
    learn_baseline,
    mspline_basis,
)
from times_stats.survival.build import SurvivalData, build_model, centring
from times_stats.survival.effects import design_effects
from times_stats.survival.outcomes import read_outcome
from times_stats.survival.spec import SurvivalSpec

PAIRS = [("A", "x"), ("A", "y"), ("B", "x"), ("B", "y")]
KINDS = ("right", "delayed", "interval", "delayed interval")
STEP = 1e-30  # of a derivative along the imaginary axis: nothing is subtracted, nothing rounds


def made_up_data(spec, *, pairs=PAIRS, n_cohorts=1, n=25, seed=0, kind="right", slope_prior=None):
    rng = np.random.default_rng(seed)
    time = np.round(rng.exponential(20, n), 1) + 0.1
    event = (rng.random(n) < 0.6).astype(np.int64)
    time[0], event[0] = 0.0, 1
    y = pd.DataFrame({"time": time, "event": event})
    if "delayed" in kind:
        y["entry"] = np.where(np.arange(n) % 3 == 1, time / 3, 0.0)
    if "interval" in kind:
        found = (np.arange(n) % 2 == 1) & (event == 1)
        lower = np.where(np.arange(n) % 4 == 1, time / 2, np.where(y.get("entry", 0) > 0, time, 0))
        y["time_lower"] = np.where(found, lower, np.nan)
        y["time_upper"] = np.where(found, time + 3, np.nan)
    baseline, outcome, used = learn_baseline(read_outcome(y), spec)
    return SurvivalData(
        columns=pd.MultiIndex.from_tuples(pairs),
        evidence=rng.normal(size=(n, len(pairs)))[used],
        outcome=outcome[used],
        cohort=rng.integers(0, n_cohorts, n)[used],
        n_cohorts=n_cohorts,
        baseline=baseline,
        slope_prior=slope_prior,
        delayed_entry="delayed" in kind,
        interval_censoring="interval" in kind,
    )


# A second writing of the model, in functions that take complex numbers.


def normal(x, mean, sd):
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def half_normal(log_value, scale):
    """Density of exp(x), with the Jacobian of the log."""
    value = np.exp(log_value)
    return value, np.sum(np.log(2) + normal(value, 0.0, scale) + log_value)


def hazard_at(spec, baseline, times, point):
    """Log hazard and cumulative hazard at eta 0, on the scaled time, and the prior of the shape."""
    scaled = times / baseline.time_scale
    if spec.baseline == "weibull":
        shape = np.exp(point["log_shape"])
        with np.errstate(divide="ignore"):
            log_hazard = np.log(shape) + (shape - 1) * np.log(scaled)
        power = np.where(scaled > 0, np.exp(shape * np.log(np.where(scaled > 0, scaled, 1))), 0)
        return log_hazard, power, normal(point["log_shape"], 0.0, spec.prior_shape_sd)
    smooth, density = half_normal(point["smoothness_log__"], spec.prior_smoothness_scale)
    steps = point["step_latent"]
    walk = np.concatenate([[0.0], np.cumsum(steps * smooth)])
    weight = np.exp(walk) * constant_hazard_weights(baseline)
    weight = weight / weight.sum()
    prior = density + normal(steps, 0.0, 1.0).sum()
    limits = np.array(baseline.knots) / baseline.time_scale
    if spec.baseline == "mspline":
        basis, integral = mspline_basis(scaled, tuple(limits))
        return np.log(basis @ weight), integral @ weight, prior
    rates = weight / np.diff(limits)
    hazard, total = np.empty(len(scaled), complex), np.zeros(len(scaled), complex)
    for row, t in enumerate(scaled):
        for k, rate in enumerate(rates):
            last = k == len(rates) - 1
            if limits[k] < t or k == 0:
                hazard[row] = rate
                end = t if last else min(t, limits[k + 1])
                total[row] += rate * (end - limits[k])
    return np.log(hazard), total, prior


def hand_written(spec, data, point, centred):
    """Log density and the pointwise log likelihood at a named point."""
    design = design_effects(data.columns)
    mean, sd = data.slope_prior or (spec.prior_slope_mean, spec.prior_slope_sd)
    total = normal(point["slope"], mean, sd)
    beta = np.full(len(data.columns), point["slope"])
    if design.groups:
        scale, density = half_normal(point["effect_scale_log__"], spec.prior_effect_scale)
        latent, each = point["effect_latent"], scale[design.group]
        total += density + normal(latent, 0.0, each if centred else np.ones_like(each)).sum()
        beta = beta + design.matrix @ (latent if centred else latent * each)
    total += normal(point["level"], 0.0, spec.prior_intercept_sd)
    eta = point["level"] + data.baseline.log_rate + data.evidence @ beta
    if data.n_cohorts > 1:
        scale, density = half_normal(point["cohort_scale_log__"], spec.prior_cohort_scale)
        latent = point["cohort_latent"]
        total += density + normal(latent, 0.0, scale if centred else 1.0).sum()
        eta = eta + (latent if centred else latent * scale)[data.cohort]
    outcome = data.outcome
    found = outcome.is_interval
    log_hazard, until, prior = hazard_at(spec, data.baseline, outcome.time, point)
    _, entered, _ = hazard_at(spec, data.baseline, outcome.entry, point)
    _, scanned, _ = hazard_at(
        spec, data.baseline, np.where(found, outcome.upper, outcome.time), point
    )
    at_risk = np.exp(eta) * (until - entered)
    seen = np.where(outcome.event == 1, eta + log_hazard, 0.0)
    probability = np.exp(-np.exp(eta) * until) - np.exp(-np.exp(eta) * scanned)
    survived = np.exp(-np.exp(eta) * entered)
    pointwise = np.where(
        found, np.log(np.where(found, probability, 1.0) / survived), seen - at_risk
    )
    return total + prior + pointwise.sum(), pointwise


def derivatives(spec, data, point, centred):
    """Gradient of the hand-written density by the complex step."""
    found = {}
    for name, value in point.items():
        flat = np.ravel(np.asarray(value, dtype=complex))
        slopes = np.empty(flat.size)
        for k in range(flat.size):
            moved = flat.copy()
            moved[k] += 1j * STEP
            other = {**point, name: moved.reshape(np.shape(value))}
            slopes[k] = hand_written(spec, data, other, centred)[0].imag / STEP
        found[name] = slopes
    return found


CASES = [
    *itertools.product(
        ("weibull", "piecewise", "mspline"), [(PAIRS, 3)], ("non_centred", "centred"), KINDS
    ),
    ("weibull", (PAIRS[:1], 1), "non_centred", "right"),
    ("piecewise", (PAIRS[:2], 2), "centred", "right"),
]


@pytest.mark.parametrize(("baseline", "shape", "parameterisation", "kind"), CASES)
def test_density_and_gradient_equal_the_hand_written_ones(baseline, shape, parameterisation, kind):
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
    pairs, n_cohorts = shape
    data = made_up_data(spec, pairs=pairs, n_cohorts=n_cohorts, kind=kind, slope_prior=(0.1, 0.8))
    assert data.outcome.is_interval.any() == ("interval" in kind)
    assert (data.outcome.entry > 0).any() == ("delayed" in kind)
    model = build_model(spec, data)
    quick = Mode(linker="py", optimizer=None)
    names = [variable.name for variable in model.continuous_value_vars]
    density = model.compile_fn(
        [model.logp(), model.logp(model.observed_RVs, sum=False)[0], model.dlogp()], mode=quick
    )
    shapes = model.initial_point(0)
    rng = np.random.default_rng(5)
    for _ in range(2):
        point = {name: rng.normal(0, 0.7, np.shape(value)) for name, value in shapes.items()}
        total, pointwise, gradient = density(point)
        centred = parameterisation == "centred"
        wanted, wanted_pointwise = hand_written(spec, data, point, centred)
        assert total == pytest.approx(wanted, abs=1e-9)
        np.testing.assert_allclose(pointwise, wanted_pointwise, atol=1e-9)
        slopes = derivatives(spec, data, point, centred)
        wanted_gradient = np.concatenate([slopes[name] for name in names])
        np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("baseline", ["weibull", "piecewise", "mspline"])
def test_no_row_dimension_is_fixed(baseline):
    spec = SurvivalSpec(baseline=baseline)
    model = build_model(spec, made_up_data(spec, n_cohorts=2, kind="delayed interval"))
    small = {"prior", "centred", "log_weight", "log_width"}
    rows = [name for name in model.named_vars if hasattr(model[name], "get_value")]
    assert len(set(rows) - small) >= 7
    for name in set(rows) - small:
        assert model[name].type.shape[0] is None, name


@pytest.mark.parametrize(("n", "wanted"), [(60, [0.0, 0.0]), (20_000, [1.0, 1.0])])
def test_parameterisation_follows_the_events_per_group(n, wanted):
    spec = SurvivalSpec()
    data = made_up_data(spec, n_cohorts=3, n=n)
    assert centring(spec, data, design_effects(data.columns)).tolist() == wanted
