"""The PyMC graph against a density written by hand in numpy: exact, and without sampling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from times_stats.survival.baseline import (
    constant_hazard_weights,
    learn_baseline,
    mspline_basis,
)
from times_stats.survival.build import build_model
from times_stats.survival.covariates import Covariate, read_covariates
from times_stats.survival.draws import name_posterior
from times_stats.survival.effects import NO_COLUMNS, design_effects
from times_stats.survival.measurement import EvidenceError
from times_stats.survival.model_data import SurvivalData, centring
from times_stats.survival.outcomes import read_outcome
from times_stats.survival.spec import SurvivalSpec

PAIRS = [("A", "x"), ("A", "y"), ("B", "x"), ("B", "y")]
KINDS = ("right", "delayed", "interval", "delayed interval")
STEP = 1e-30  # of a derivative along the imaginary axis: nothing is subtracted, nothing rounds


def made_up_covariates(rng, n):
    """Two numbers, one of them with gaps; a stage of four levels and one of two."""
    size = rng.normal(5, 2, n)
    size[:3] = np.nan
    return pd.DataFrame(
        {
            "age": rng.normal(60, 9, n),
            "size": size,
            "stage": rng.choice(["I", "II", "III", "IV"], n),
            "grade": rng.choice(["low", "high"], n),
        },
        index=[f"p{i}" for i in range(n)],
    )


def made_up_data(
    spec,
    *,
    pairs=PAIRS,
    n_cohorts=1,
    n=25,
    seed=0,
    kind="right",
    slope_prior=None,
    uncertain=False,
    spare=0,
):
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
    z, cohort = rng.normal(size=(n, len(pairs))), rng.integers(0, n_cohorts, n)
    table = made_up_covariates(rng, n)
    values = read_covariates(spec.covariates, table, table.index)
    error = None
    if uncertain:
        missing = rng.random(z.shape) < 0.1
        se = np.where(rng.random(z.shape) < 0.5, rng.uniform(0.1, 2, z.shape), 0.0)
        z[missing], se[missing] = 0.0, 0.0
        error = EvidenceError(se, rng.integers(1, 9, z.shape).astype(float), missing)
    return SurvivalData(
        covariates=values[used],
        error=None if error is None else error[used],
        n_missing=int(values.is_missing.sum()) + spare * bool(values.is_missing.any()),
        n_latent=0 if error is None else int(error[used].is_latent.sum()) + spare,
        columns=pd.MultiIndex.from_tuples(pairs) if pairs else NO_COLUMNS,
        evidence=z[used],
        outcome=outcome[used],
        cohort=cohort[used],
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


def shape_deviations(spec, data, point, centred):
    """Deviations of the shape by cohort and term from orthonormal contrasts, and their prior."""
    n = data.n_cohorts
    scale, density = half_normal(point["cohort_shape_scale_log__"], spec.prior_cohort_shape_scale)
    latent = point["cohort_shape_latent"]
    density = density + normal(latent, 0.0, scale if centred else 1.0).sum()
    deviation = np.zeros((n, latent.shape[1]), complex)
    for k in range(1, n):  # the k-th contrast holds the first k cohorts against the next one
        step = (latent[k - 1] if centred else latent[k - 1] * scale) / np.sqrt(k * (k + 1))
        deviation[:k] += step
        deviation[k] -= k * step
    return deviation, density


def shapes_of_patients(spec, data, point, centred):
    """Shape, or log weights, of each patient, and the prior density of all of these."""
    by_cohort = data.n_cohorts > 1 and "shape" in spec.cohort_effects
    own, density = np.zeros((data.n_cohorts, 1)), 0.0
    if by_cohort:
        own, density = shape_deviations(spec, data, point, centred)
    if spec.baseline == "weibull":
        prior = normal(point["log_shape"], 0.0, spec.prior_shape_sd)
        return np.exp(point["log_shape"] + own[data.cohort, 0]), prior + density
    smooth, prior = half_normal(point["smoothness_log__"], spec.prior_smoothness_scale)
    steps = point["step_latent"]
    prior = prior + normal(steps, 0.0, smooth if centred else 1.0).sum()
    walk = np.concatenate([[0.0], np.cumsum(steps if centred else steps * smooth)])
    moved = np.concatenate([np.zeros((len(own), 1)), np.cumsum(own, axis=1)], axis=1)
    if not by_cohort:
        moved = np.zeros((data.n_cohorts, spec.n_basis))
    weight = np.exp(walk + moved) * constant_hazard_weights(data.baseline)
    weight = weight / weight.sum(axis=1, keepdims=True)
    return weight[data.cohort], prior + density


def hazard_at(spec, baseline, times, shapes):
    """Log hazard and cumulative hazard at eta 0, on the scaled time."""
    scaled = times / baseline.time_scale
    if spec.baseline == "weibull":
        with np.errstate(divide="ignore", invalid="ignore"):  # of a scan at 0, which is not used
            log_hazard = np.log(shapes) + (shapes - 1) * np.log(scaled)
        power = np.where(scaled > 0, np.exp(shapes * np.log(np.where(scaled > 0, scaled, 1))), 0)
        return log_hazard, power
    limits = np.array(baseline.knots) / baseline.time_scale
    if spec.baseline == "mspline":
        basis, integral = mspline_basis(scaled, tuple(limits))
        return np.log((basis * shapes).sum(axis=1)), (integral * shapes).sum(axis=1)
    hazard, total = np.empty(len(scaled), complex), np.zeros(len(scaled), complex)
    for row, t in enumerate(scaled):
        rates = shapes[row] / np.diff(limits)
        for k, rate in enumerate(rates):
            last = k == len(rates) - 1
            if limits[k] < t or k == 0:
                hazard[row] = rate
                end = t if last else min(t, limits[k + 1])
                total[row] += rate * (end - limits[k])
    return np.log(hazard), total


def evidence_and_its_prior(data, point):
    """Evidence with uncertain values filled in, and the density of these and of the exact ones."""
    if not data.n_latent:
        return data.evidence, 0.0
    mean, (sd, density) = point["evidence_mean"], half_normal(point["evidence_sd_log__"], 0.5)
    density = density + normal(mean, 0.0, 0.5).sum()
    z = data.evidence.astype(complex)
    rows, columns = np.nonzero(data.error.is_latent)
    for cell, (row, column) in enumerate(zip(rows, columns, strict=True)):
        raw, m, s = point["evidence_latent"][cell], mean[column], sd[column]
        if data.error.is_missing[row, column]:
            z[row, column] = m + s * raw
            density += np.log(s)
            continue
        measured, se = data.evidence[row, column], data.error.se[row, column]
        df = data.error.df[row, column]
        kept = s**2 / (s**2 + se**2)
        width = se * np.sqrt(kept)
        z[row, column] = m + kept * (measured - m) + width * raw
        density += -(df + 1) / 2 * np.log(1 + ((measured - z[row, column]) / se) ** 2 / df)
        density += np.log(width)
    for unused in point["evidence_latent"][len(rows) :]:
        density += normal(unused, 0.0, 1.0)
    population = normal(z, mean, sd) + np.log(2 * np.pi) / 2
    return z, density + population.sum() - len(rows) * np.log(2 * np.pi) / 2


def covariate_part(spec, data, point, centred):
    values = data.covariates
    effect = point["covariate_effect"]
    density = normal(effect, 0.0, spec.prior_covariate_sd).sum()
    numbers = values.numbers.astype(complex)
    if data.n_missing:
        density += normal(point["missing_latent"], 0.0, 1.0).sum()
        numbers[values.is_missing] = point["missing_latent"][: values.is_missing.sum()]
    varying = [term.name for term in spec.covariates if term.by_cohort]
    if varying and data.n_cohorts > 1:
        scale, more = half_normal(
            point["covariate_cohort_scale_log__"], spec.prior_cohort_slope_scale
        )
        latent = point["covariate_cohort_latent"]
        density += more + normal(latent, 0.0, scale[:, None] if centred else 1.0).sum()
        own = latent if centred else latent * scale[:, None]
    part, n_numeric, n_ordered = 0.0, 0, 0
    for k, term in enumerate(spec.covariates):
        slope = effect[k]
        if term.by_cohort and data.n_cohorts > 1:
            slope = slope + own[varying.index(term.name)][data.cohort]
        if not term.levels:
            part = part + slope * numbers[:, n_numeric]
            n_numeric += 1
            continue
        shares = np.ones(1)
        if len(term.levels) > 2:
            free = point[f"steps_{term.name}_simplex__"]
            raw = np.exp(np.append(free, -free.sum()))
            shares = raw / raw.sum()
            n = len(shares)  # uniform on the simplex, and the Jacobian of its transform
            density += math.lgamma(n) + np.log(n) + np.log(shares).sum()
        climbed = np.append(0.0, np.cumsum(shares))
        part = part + slope * climbed[values.levels[:, n_ordered]]
        n_ordered += 1
    return part, density


def hand_written(spec, data, point, centred):
    """Log density and the pointwise log likelihood at a named point."""
    design = design_effects(data.columns, region_order=spec.region_order)
    mean, sd = data.slope_prior or (spec.prior_slope_mean, spec.prior_slope_sd)
    total, eta, shift = 0.0, 0.0, 0.0
    if len(data.columns):
        total = total + normal(point["slope"], mean, sd)
        beta = np.full(len(data.columns), point["slope"])
        if design.groups:
            scale, density = half_normal(point["effect_scale_log__"], spec.prior_effect_scale)
            each = scale[design.group]
            shared = point.get("effect_latent", np.zeros(0))
            as_itself = centred and "column_latent" not in point
            first, own = each[: shared.size], each[shared.size :]
            total += density + normal(shared, 0.0, first if as_itself else 1.0).sum()
            beta = beta + design.matrix[:, : shared.size] @ (shared * (1 if as_itself else first))
            if own.size:  # centred, these are the slopes
                latent = point["column_latent"]
                total += normal(latent, beta if centred else 0.0, own if centred else 1.0).sum()
                beta = latent if centred else beta + latent * own
        z, density = evidence_and_its_prior(data, point)
        total += density
        eta = z @ beta
        if data.n_latent:  # the level is sampled at the mean of what was measured
            measured = np.where(data.error.is_missing, np.nan, data.evidence)
            shift = np.nanmean(measured, axis=0) @ beta
    total += normal(point["level"], shift, spec.prior_intercept_sd)
    eta = point["level"] - shift + data.baseline.log_rate + eta
    for kind, scale_prior, weights in (
        ("cohort", spec.prior_cohort_scale, 1.0),
        ("cohort_slope", spec.prior_cohort_slope_scale, z.sum(axis=1) if data.columns.size else 0),
    ):
        if f"{kind}_latent" in point:
            scale, density = half_normal(point[f"{kind}_scale_log__"], scale_prior)
            latent = point[f"{kind}_latent"]
            mean = point["level"] if centred and kind == "cohort" else 0.0
            total += density + normal(latent, mean, scale if centred else 1.0).sum()
            effect = latent - mean if centred else latent * scale
            eta = eta + effect[data.cohort] * weights
    if spec.covariates:
        part, density = covariate_part(spec, data, point, centred)
        total, eta = total + density, eta + part
    outcome = data.outcome
    found = outcome.is_interval
    shapes, prior = shapes_of_patients(spec, data, point, centred)
    log_hazard, until = hazard_at(spec, data.baseline, outcome.time, shapes)
    _, entered = hazard_at(spec, data.baseline, outcome.entry, shapes)
    _, scanned = hazard_at(
        spec, data.baseline, np.where(found, outcome.upper, outcome.time), shapes
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


PRIORS = {
    "prior_effect_scale": 0.4,
    "prior_cohort_scale": 0.7,
    "prior_shape_sd": 0.6,
    "prior_smoothness_scale": 0.8,
    "prior_intercept_sd": 1.7,
    "prior_cohort_slope_scale": 0.35,
    "prior_cohort_shape_scale": 0.45,
    "prior_covariate_sd": 0.9,
}
COVARIATES = (
    Covariate("age"),
    Covariate("size", missing="model", by_cohort=True),
    Covariate("stage", ("I", "II", "III", "IV"), by_cohort=True),
    Covariate("grade", ("low", "high")),
)


def hold_against_the_hand_written_one(spec, data):
    """Density, pointwise log likelihood and gradient at two random points."""
    from pytensor.compile.mode import Mode

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
        centred = spec.parameterisation == "centred"
        wanted, wanted_pointwise = hand_written(spec, data, point, centred)
        assert total == pytest.approx(wanted, abs=1e-9)
        np.testing.assert_allclose(pointwise, wanted_pointwise, atol=1e-9)
        slopes = derivatives(spec, data, point, centred)
        wanted_gradient = np.concatenate([slopes[name] for name in names])
        np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-8, atol=1e-8)
    return set(names)


@pytest.mark.parametrize(("baseline", "shape", "parameterisation", "kind"), CASES)
def test_density_and_gradient_equal_the_hand_written_ones(baseline, shape, parameterisation, kind):
    spec = SurvivalSpec(baseline=baseline, parameterisation=parameterisation, **PRIORS)
    pairs, n_cohorts = shape
    data = made_up_data(spec, pairs=pairs, n_cohorts=n_cohorts, kind=kind, slope_prior=(0.1, 0.8))
    assert data.outcome.is_interval.any() == ("interval" in kind)
    assert (data.outcome.entry > 0).any() == ("delayed" in kind)
    hold_against_the_hand_written_one(spec, data)


# Each option alone, then all together, by what it adds to the graph.
OPTIONS = {
    "ordered regions": ({"region_order": ("y", "w", "x")}, {}, set()),
    "slopes of cohorts": (
        {"cohort_effects": ("slope",)},
        {},
        {"cohort_slope_scale_log__", "cohort_slope_latent"},
    ),
    "shapes of cohorts": (
        {"cohort_effects": ("level", "shape")},
        {},
        {"cohort_shape_scale_log__", "cohort_shape_latent", "cohort_latent"},
    ),
    "covariates": (
        {"covariates": COVARIATES},
        {"spare": 2},
        {"covariate_effect", "covariate_cohort_latent", "steps_stage_simplex__", "missing_latent"},
    ),
    "covariates alone": (
        {"covariates": COVARIATES[2:3]},
        {"pairs": []},
        {"covariate_effect", "steps_stage_simplex__", "covariate_cohort_scale_log__"},
    ),
    "uncertain evidence": (
        {},
        {"uncertain": True, "spare": 3},
        {"evidence_mean", "evidence_sd_log__", "evidence_latent"},
    ),
    "all": (
        {
            "cohort_effects": ("level", "slope", "shape"),
            "covariates": COVARIATES,
            "region_order": ("x", "y"),
        },
        {"uncertain": True, "kind": "delayed interval"},
        {"evidence_latent", "missing_latent", "cohort_shape_latent", "cohort_slope_latent"},
    ),
}


@pytest.mark.parametrize(
    ("option", "baseline", "parameterisation"),
    [
        case
        for k, case in enumerate(
            itertools.product(
                OPTIONS, ("weibull", "piecewise", "mspline"), ("non_centred", "centred")
            )
        )
        if case[0] in ("all", "shapes of cohorts") or (k // 2 + k) % 2 == 0
    ],
)
def test_density_and_gradient_of_every_option(option, baseline, parameterisation):
    changes, shape, wanted = OPTIONS[option]
    spec = SurvivalSpec(baseline=baseline, parameterisation=parameterisation, **PRIORS, **changes)
    names = hold_against_the_hand_written_one(spec, made_up_data(spec, n_cohorts=3, **shape))
    assert wanted <= names


@pytest.mark.parametrize("option", ["slopes of cohorts", "shapes of cohorts", "covariates"])
def test_one_cohort_has_nothing_of_its_own(option):
    changes, _, _ = OPTIONS[option]
    spec = SurvivalSpec(**changes)
    names = hold_against_the_hand_written_one(spec, made_up_data(spec, n_cohorts=1))
    assert not [name for name in names if name.startswith("cohort") or "cohort_latent" in name]


@pytest.mark.parametrize("baseline", ["weibull", "piecewise", "mspline"])
def test_no_row_dimension_is_fixed(baseline):
    spec = SurvivalSpec(baseline=baseline)
    model = build_model(spec, made_up_data(spec, n_cohorts=2, kind="delayed interval"))
    small = {"prior", "centred", "log_weight", "log_width"}
    rows = [name for name in model.named_vars if hasattr(model[name], "get_value")]
    assert len(set(rows) - small) >= 7
    for name in set(rows) - small:
        assert model[name].type.shape[0] is None, name


@pytest.mark.parametrize(("n", "wanted"), [(60, [0.0, 0.0, 0.0]), (20_000, [1.0, 1.0, 1.0])])
def test_parameterisation_follows_the_events_per_group(n, wanted):
    spec = SurvivalSpec()
    data = made_up_data(spec, n_cohorts=3, n=n)
    assert centring(spec, data, design_effects(data.columns)).tolist() == wanted


@pytest.mark.parametrize("pairs", [PAIRS, PAIRS[:2], [("A", "x"), ("A", "y"), ("B", "z")]])
def test_both_forms_name_the_same_effects(pairs):
    """Latent values of one point in centred and non-centred form, turned back into effects."""
    rng = np.random.default_rng(0)
    columns = pd.MultiIndex.from_tuples(pairs)
    design = design_effects(columns)
    n_shared = design.n_shared
    scale = rng.uniform(0.2, 2.0, (2, 5, len(design.groups)))
    raw, cohort_raw = rng.normal(size=(2, 5, design.group.size)), rng.normal(size=(2, 5, 3))
    slope, level, spread = rng.normal(size=(2, 5)), rng.normal(size=(2, 5)), np.full((2, 5), 0.7)
    effect = raw * scale[..., design.group]
    beta = slope[..., None] + effect @ design.matrix.T
    fixed = {
        "slope": slope,
        "effect_scale": scale,
        "effect_latent": raw[..., :n_shared],
        "level": level,
        "cohort_scale": spread,
        "log_shape": np.zeros((2, 5)),
    }
    forms = {
        0.0: {"column_latent": raw[..., n_shared:], "cohort_latent": cohort_raw},
        1.0: {"column_latent": beta, "cohort_latent": level[..., None] + 0.7 * cohort_raw},
    }
    for centred, latent in forms.items():
        arrays = {"centred": np.array([centred, centred, 0.0]), "prior": np.zeros(10)}
        named = name_posterior(
            fixed | latent, SurvivalSpec(), columns, design, 3, arrays, ("a", "b", "c")
        )
        np.testing.assert_allclose(named["beta"], beta, atol=1e-12)
        np.testing.assert_allclose(named["effect"], effect, atol=1e-12)
        np.testing.assert_allclose(named["cohort_effect"], 0.7 * cohort_raw, atol=1e-12)
        np.testing.assert_allclose(named["intercept"], level, atol=1e-12)
    # Where evidence is uncertain the level is that at its centre.
    centre = np.linspace(-1.0, 2.0, len(columns))
    arrays |= {"z_centre": centre, "prior": np.r_[np.zeros(4), -0.7, np.zeros(5)]}
    named = name_posterior(
        fixed | latent, SurvivalSpec(), columns, design, 3, arrays, ("a", "b", "c")
    )
    np.testing.assert_allclose(named["intercept"], level - beta @ centre - 0.7, atol=1e-12)
