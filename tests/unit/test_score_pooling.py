from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from times_stats.datasets import load_times_published
from times_stats.errors import InputError
from times_stats.score import (
    VariancePrior,
    estimate_between_marker_variance,
    fit_latent_prior,
    fit_tile_prior,
    fit_variance_prior,
    pool_gls,
    pool_linear,
    pool_published,
    pool_random_effects,
    pool_shrunken,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "score"
MARKERS = ["SPON2", "ZFP36L2", "ZFP36", "VIM", "HLA_DRB1"]
EXACT = 1e12  # degrees of freedom that stand for known variances


@pytest.fixture(scope="module")
def published():
    return load_times_published().components


def tile_arrays(n=40, markers=4, seed=3):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 0.9, (n, markers)), rng.uniform(0.001, 0.03, (n, markers))


def test_published_values_of_all_61_samples(published):
    mean = published[[f"mean_{m}" for m in MARKERS]]
    weight = published[[f"weight_{m}" for m in MARKERS]].to_numpy()
    table = pool_published(mean.set_axis(MARKERS, axis=1), 1 / weight)
    assert len(table) == 61
    np.testing.assert_allclose(table["score"], published["TIMES"], atol=1e-7, rtol=0)
    np.testing.assert_allclose(
        table[[f"weight_{m}" for m in MARKERS]], weight / weight.sum(1, keepdims=True), rtol=1e-12
    )
    assert table[["se", "lower", "upper"]].isna().all(axis=None)
    assert (table["se_naive"] > 0).all()


def test_published_rule_refuses_a_zero_variance_by_row():
    mean = pd.DataFrame([[0.5, 0.6], [0.4, 0.3]], index=["p1", "p2"])
    with pytest.raises(ValueError, match=r"variance zero or missing in row p2: .*pool_shrunken"):
        pool_published(mean, [[0.1, 0.1], [0.0, 0.1]])
    with pytest.raises(InputError, match=r"mean outside \(0, 1\] in row p1"):
        pool_published(mean - 0.5, [[0.1, 0.1], [0.1, 0.1]])


def test_published_missing_marker_has_weight_zero():
    table = pool_published([[0.5, np.nan], [np.nan, np.nan]], [[0.1, np.nan], [np.nan, np.nan]])
    assert table["score"].iloc[0] == pytest.approx(0.5)
    assert table[["weight_1", "weight_2"]].to_numpy().tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert np.isnan(table["score"].iloc[1])


@pytest.mark.parametrize("pool", [pool_shrunken, pool_random_effects])
def test_finite_at_zero_variance_and_at_the_edges(pool):
    mean, variance = tile_arrays()
    variance[:5] = 0
    mean[5], mean[6] = 0.0, 1.0
    table = pool(mean, variance, n_tiles=4)
    assert np.isfinite(table.to_numpy(dtype=float)).all()
    weights = table[[f"weight_{k}" for k in range(1, 5)]]
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert ((table["lower"] < table["score"]) & (table["score"] < table["upper"])).all()
    still = pool(mean, np.zeros_like(variance), n_tiles=4)
    assert np.isfinite(still.to_numpy(dtype=float)).all()


@pytest.mark.parametrize("pool", [pool_shrunken, pool_random_effects])
def test_missing_markers(pool):
    mean, variance = tile_arrays()
    mean[0, 1] = np.nan
    mean[1] = np.nan
    table = pool(mean, variance, n_tiles=4)
    assert table["weight_2"].iloc[0] == 0
    assert table.filter(like="weight_").iloc[0, :4].sum() == pytest.approx(1)
    assert table.loc[1, ["score", "se", "lower", "upper"]].isna().all()


def test_one_tile_uses_the_prior_alone():
    mean, variance = tile_arrays()
    prior = fit_tile_prior(mean, variance, n_tiles=4)
    table = pool_shrunken(mean, variance, n_tiles=1, prior=prior)
    np.testing.assert_allclose(
        table.filter(like="weight_"), np.tile(table.filter(like="weight_").iloc[0], (40, 1))
    )
    with pytest.raises(InputError, match="give a prior learned on patients with several tiles"):
        pool_shrunken(mean, variance, n_tiles=1)


def test_variance_of_a_mean_by_hand():
    prior = VariancePrior(df=np.array([4.0]), scale=np.array([0.3]))
    table = pool_shrunken([[0.6]], [[0.02]], n_tiles=5, prior=prior)
    logit_variance = 0.02 * 5 / 4 / (0.6 * 0.4) ** 2
    v = (4 * 0.3 + 4 * logit_variance) / 8 / 5
    assert table["se"].iloc[0] == pytest.approx(np.sqrt(v) * 0.24)
    assert table["upper"].iloc[0] == pytest.approx(
        expit(np.log(0.6 / 0.4) + 2.306004135 * np.sqrt(v))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_tiles": 0}, "n_tiles must hold whole numbers"),
        ({"n_tiles": [1, 2]}, "n_tiles must be one number"),
        ({"mean": np.full((40, 4), 1.2)}, "mean outside"),
        ({"variance": np.full((40, 4), -1.0)}, "negative or infinite variance"),
        ({"variance": np.full((40, 4), np.nan)}, "variance missing"),
        ({"variance": np.zeros((2, 2))}, "variance has shape"),
        ({"mean": np.zeros(3)}, "no numeric table"),
        ({"confidence_level": 1.5}, "confidence_level"),
        ({"prior": VariancePrior(np.ones(2), np.ones(2))}, "the prior holds 2 markers"),
        ({"tau_squared": -1.0}, "tau_squared"),
        ({"error_correlation": np.ones((4, 4))}, "positive definite"),
    ],
)
def test_faulty_input_is_named(change, message):
    mean, variance = tile_arrays()
    arguments = {"mean": mean, "variance": variance, "n_tiles": 4} | change
    with pytest.raises(InputError, match=message):
        pool_random_effects(arguments.pop("mean"), arguments.pop("variance"), **arguments)
    with pytest.raises(InputError, match="unknown"):
        pool_linear(mean, variance, df=np.ones_like(mean), rule="median")


@pytest.mark.parametrize("ignored", [{"tau_squared": 0.1}, {"negative_weights": "truncate"}])
def test_shrunken_pooling_refuses_what_it_would_ignore(ignored):
    mean, variance = tile_arrays()
    with pytest.raises(InputError, match="no part in pooling 'shrunken'"):
        pool_linear(mean, variance, df=np.ones_like(mean), **ignored)


@pytest.mark.parametrize("rule", ["shrunken", "random_effects"])
def test_common_variance_adds_to_the_squared_error_and_moves_no_weight(rule):
    mean, variance = tile_arrays()
    df = np.full_like(mean, EXACT)
    plain = pool_linear(mean, variance, df=df, rule=rule)
    shared = pool_linear(mean, variance, df=df, rule=rule, common_variance=0.3)
    np.testing.assert_array_equal(plain.weights, shared.weights)
    np.testing.assert_allclose(shared.se**2, plain.se**2 + 0.3, rtol=1e-9)
    few = pool_linear(mean, variance, df=np.full_like(mean, 4.0), rule=rule)
    fewer = pool_linear(mean, variance, df=np.full_like(mean, 4.0), rule=rule, common_variance=0.3)
    assert (fewer.df > few.df).all()
    assert (fewer.upper - fewer.lower > few.upper - few.lower).all()
    with pytest.raises(InputError, match="common_variance is -1"):
        pool_linear(mean, variance, df=df, rule=rule, common_variance=-1)


def test_a_marker_of_zero_tile_variances_does_not_take_all_the_weight():
    mean, variance = tile_arrays()
    variance[:, 2] = 0
    prior = fit_tile_prior(mean, variance, n_tiles=4)
    others = np.delete(prior.scale, 2)
    assert prior.scale[2] == pytest.approx(0.1 * np.median(others))
    assert (prior.scale[2] < others).all()
    table = pool_shrunken(mean, variance, n_tiles=4)
    assert table["weight_3"].max() < 0.95
    assert table["weight_3"].mean() < 0.8
    two = np.where(np.arange(4) >= 2, 0, variance)
    assert pool_shrunken(mean, two, n_tiles=4)["weight_1"].min() > 0.001


def test_between_marker_variance_is_a_column():
    mean, variance = tile_arrays()
    table = pool_random_effects(mean, variance, n_tiles=4, tau_squared=0.2)
    assert (table["tau_squared"] == 0.2).all()


def test_random_effects_against_metafor():
    golden = pd.read_csv(GOLDEN / "random_effects.csv")
    y = golden.filter(regex="^y").to_numpy()
    v = golden.filter(regex="^v").to_numpy()
    df = np.full_like(y, EXACT)
    tau = [
        estimate_between_marker_variance(y[i : i + 1], v[i : i + 1], df=df[:1])
        for i in range(len(y))
    ]
    np.testing.assert_allclose(tau, golden["tau2_pm"], atol=1e-8)
    fixed = pool_linear(y, v, df=df, rule="random_effects", tau_squared=0.2)
    np.testing.assert_allclose(fixed.value, golden["fixed_value"], rtol=1e-9)
    np.testing.assert_allclose(fixed.se, golden["fixed_se"], rtol=1e-9)
    np.testing.assert_allclose(fixed.weights, golden.filter(regex="^fixed_w"), rtol=1e-9)
    correlation = 0.6 ** np.abs(np.subtract.outer(range(5), range(5)))
    gls = pool_linear(
        y, v, df=df, rule="random_effects", tau_squared=0.05, error_correlation=correlation
    )
    np.testing.assert_allclose(gls.value, golden["gls_value"], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(gls.se, golden["gls_se"], rtol=1e-8)
    np.testing.assert_allclose(gls.weights, golden.filter(regex="^gls_w"), rtol=1e-7, atol=1e-10)


def test_variance_prior_against_r():
    golden = pd.read_csv(GOLDEN / "variance_prior.csv")
    prior = fit_variance_prior(golden[["variance"]].to_numpy(), df=golden[["df"]].to_numpy())
    assert prior.df[0] == pytest.approx(golden["prior_df"][0], rel=1e-7)
    assert prior.scale[0] == pytest.approx(golden["prior_scale"][0], rel=1e-7)


def test_negative_weights_are_kept_counted_or_truncated():
    mean, variance = tile_arrays(markers=2)
    variance[:, 0] *= 30
    correlation = np.array([[1, 0.95], [0.95, 1]])
    arguments = {"n_tiles": 4, "error_correlation": correlation, "tau_squared": 0.0}
    allowed = pool_random_effects(mean, variance, **arguments)
    assert (allowed["negative_weights"] > 0).any()
    np.testing.assert_allclose(allowed.filter(like="weight_").sum(axis=1), 1)
    cut = pool_random_effects(mean, variance, **arguments, negative_weights="truncate")
    assert (cut["negative_weights"] == 0).all()
    np.testing.assert_allclose(cut.filter(like="weight_").sum(axis=1), 1)
    assert (cut["se"] >= allowed["se"] * (1 - 1e-9))[cut["weight_1"] == 0].all()


def test_gls_weights_minimise_the_variance_of_a_known_covariance():
    rng = np.random.default_rng(2)
    correlation = 0.3 * np.eye(3) + 0.7
    variance = np.array([[0.1, 0.4, 0.9]])
    pool = pool_linear(
        rng.normal(size=(1, 3)),
        variance,
        df=np.full((1, 3), EXACT),
        rule="gls",
        error_correlation=correlation,
    )
    covariance = np.sqrt(np.outer(variance, variance)) * correlation
    solved = np.linalg.solve(covariance, np.ones(3))
    np.testing.assert_allclose(pool.weights[0], solved / solved.sum(), rtol=1e-9)
    assert pool.se[0] ** 2 == pytest.approx(1 / solved.sum())
    assert (pool.weights < 0).any()


def test_products_of_markers_enter_by_mean_deviations():
    """Against the mean covariance over draws of the true variances, given the same data."""
    d, v, rho = 7.0, np.array([0.2, 0.5]), 0.8
    pool = pool_linear(
        np.zeros((1, 2)),
        v[None],
        df=np.full((1, 2), d),
        rule="gls",
        error_correlation=np.array([[1, rho], [rho, 1]]),
    )
    truth = v * d / np.random.default_rng(1).chisquare(d, (400_000, 2))
    off = rho * np.sqrt(truth[:, 0] * truth[:, 1]).mean()
    covariance = np.array([[truth[:, 0].mean(), off], [off, truth[:, 1].mean()]])
    solved = np.linalg.solve(covariance, np.ones(2))
    np.testing.assert_allclose(pool.weights[0], solved / solved.sum(), rtol=0.02)
    assert pool.variance[0] == pytest.approx(1 / solved.sum(), rel=0.01)


def test_gls_of_tiles_counts_negative_weights_and_knows_one_rule_from_another():
    mean, variance = tile_arrays(markers=2)
    variance[:, 0] *= 30
    correlation = np.array([[1, 0.97], [0.97, 1]])
    given = {"n_tiles": 4, "error_correlation": correlation}
    table = pool_gls(mean, variance, **given)
    negative = (table[["weight_1", "weight_2"]] < 0).sum(axis=1)
    assert (table["negative_weights"] == negative).all()
    assert negative.sum() > 0
    assert (pool_gls(mean, variance, **given, negative_weights="truncate")["weight_1"] >= 0).all()
    alone = pool_gls(mean, variance, n_tiles=4, error_correlation=np.eye(2))
    shrunken = pool_shrunken(mean, variance, n_tiles=4)
    np.testing.assert_allclose(alone["score"], shrunken["score"], rtol=1e-12)
    np.testing.assert_allclose(alone["upper"], shrunken["upper"], rtol=1e-12)
    together = pool_shrunken(mean, variance, **given)
    np.testing.assert_array_equal(together["score"], shrunken["score"])
    assert (together["se"] > shrunken["se"]).all()


def coverage(
    n, seed, *, d=3, n_tiles=4, tau=0.0, correlation=None, rule="shrunken", negative_weights="allow"
):
    """theta known, variances from their prior, estimates normal given the true variances."""
    rng = np.random.default_rng(seed)
    markers = 5
    truth = 0.4 * 6 / rng.chisquare(6, (n, markers))
    corr = np.eye(markers) if correlation is None else correlation
    errors = rng.multivariate_normal(np.zeros(markers), corr, n) * np.sqrt(truth / n_tiles)
    theta = rng.normal(size=n)
    estimate = theta[:, None] + tau * rng.normal(size=(n, markers)) + errors
    sample = truth * rng.chisquare(d, (n, markers)) / d
    prior = fit_variance_prior(sample, df=d)
    shrunken, df = prior.shrink(sample, np.full_like(sample, d))
    learned = {}
    if rule == "random_effects":
        learned["tau_squared"] = estimate_between_marker_variance(
            estimate, shrunken / n_tiles, df=df, error_correlation=correlation
        )
    if rule == "bayesian":
        told = pool_linear(
            estimate, shrunken / n_tiles, df=df, rule="gls", error_correlation=correlation
        )
        learned["latent_prior"] = fit_latent_prior(told.value, told.variance)
    pool = pool_linear(
        estimate,
        shrunken / n_tiles,
        df=df,
        rule=rule,
        error_correlation=correlation,
        negative_weights=negative_weights,
        **learned,
    )
    return float(((pool.lower <= theta) & (theta <= pool.upper)).mean())


CASES = {
    "shrunken": {},
    "shrunken, 2 tiles": {"d": 1, "n_tiles": 2},
    "random effects": {"tau": 0.5, "rule": "random_effects"},
    "random effects, none there": {"tau": 0.0, "rule": "random_effects"},
    "random effects, correlated": {
        "tau": 0.3,
        "rule": "random_effects",
        "correlation": 0.5 * np.eye(5) + 0.5,
    },
    "shrunken, correlated": {"correlation": 0.5 * np.eye(5) + 0.5},
    "gls": {"rule": "gls", "correlation": 0.5 * np.eye(5) + 0.5},
    "gls, 2 tiles": {"rule": "gls", "d": 1, "n_tiles": 2, "correlation": 0.5 * np.eye(5) + 0.5},
    "gls, errors nearly the same": {"rule": "gls", "correlation": 0.1 * np.eye(5) + 0.9},
    "gls, truncated": {
        "rule": "gls",
        "correlation": 0.1 * np.eye(5) + 0.9,
        "negative_weights": "truncate",
    },
    "bayesian": {"rule": "bayesian"},
    "bayesian, correlated": {"rule": "bayesian", "correlation": 0.5 * np.eye(5) + 0.5},
}


@pytest.mark.parametrize("case", CASES)
def test_coverage_small(case):
    assert 0.93 <= coverage(2000, 11, **CASES[case]) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_coverage(case):
    # Four studies: one of 10,000 patients has a Monte Carlo sd of .0025, and of 19 with "errors
    # nearly the same" (mean .948) one had .9397.
    covered = [coverage(10_000, seed, **CASES[case]) for seed in range(11, 15)]
    assert 0.94 <= np.mean(covered) <= 0.96
