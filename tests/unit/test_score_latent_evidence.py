from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student_t

from times_stats.errors import InputError
from times_stats.score import (
    LatentPrior,
    fit_latent_prior,
    fit_tile_latent_prior,
    pool_bayesian,
    pool_gls,
    pool_linear,
    pool_random_effects,
    pool_shrunken,
    predict_new_marker,
    update_evidence,
)
from times_stats.survival.measurement import cell_values, draw_true_evidence

FLAT = LatentPrior(mean=0.0, sd=np.inf)
EXACT = 1e12  # degrees of freedom that stand for known variances


def estimates(n=30, markers=4, seed=5):
    rng = np.random.default_rng(seed)
    estimate = rng.normal(size=(n, markers))
    estimate[0, 1], estimate[1] = np.nan, np.nan
    return estimate, rng.uniform(0.05, 0.4, (n, markers)), np.full((n, markers), 6.0)


def fields(pool):
    return [pool.value, pool.se, pool.lower, pool.upper, pool.df, pool.weights]


def test_a_flat_prior_gives_inverse_variance_pooling_exactly():
    estimate, variance, df = estimates()
    bayes = pool_linear(estimate, variance, df=df, rule="bayesian", latent_prior=FLAT)
    plain = pool_linear(estimate, variance, df=df)
    for found, expected in zip(fields(bayes), fields(plain), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    correlation = 0.5 * np.eye(4) + 0.5
    given = {"df": df, "error_correlation": correlation, "common_variance": 0.2}
    bayes = pool_linear(estimate, variance, **given, rule="bayesian", latent_prior=FLAT)
    gls = pool_linear(estimate, variance, **given, rule="gls")
    for found, expected in zip(fields(bayes), fields(gls), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    wide = LatentPrior(mean=3.0, sd=1e8)
    nearly = pool_linear(estimate, variance, **given, rule="bayesian", latent_prior=wide)
    np.testing.assert_allclose(nearly.value, gls.value, rtol=1e-9)


def test_the_posterior_is_the_normal_one_by_integration():
    prior = LatentPrior(mean=-0.4, sd=0.7)
    estimate, variance = np.array([[0.9, 0.1, 0.5]]), np.array([[0.2, 0.3, 0.5]])
    pool = pool_linear(
        estimate, variance, df=np.full((1, 3), EXACT), rule="bayesian", latent_prior=prior
    )
    grid = np.linspace(-6, 6, 200_001)
    density = norm.pdf(grid, prior.mean, prior.sd)
    for value, spread in zip(estimate[0], variance[0], strict=True):
        density = density * norm.pdf(value, grid, np.sqrt(spread))
    density /= density.sum()
    mean = (grid * density).sum()
    sd = np.sqrt(((grid - mean) ** 2 * density).sum())
    assert pool.value[0] == pytest.approx(mean, abs=1e-9)
    assert pool.se[0] == pytest.approx(sd, abs=1e-9)
    assert pool.upper[0] == pytest.approx(mean + norm.ppf(0.975) * sd, abs=1e-8)
    taken_in_turn = prior
    for value, spread in zip(estimate[0], variance[0], strict=True):
        after, left, _ = update_evidence(np.array([value]), np.array([spread]), prior=taken_in_turn)
        taken_in_turn = LatentPrior(mean=float(after[0]), sd=float(left[0] ** 0.5))
    assert taken_in_turn.mean == pytest.approx(pool.value[0], abs=1e-12)
    assert taken_in_turn.sd == pytest.approx(pool.se[0], abs=1e-12)


def test_it_is_the_conjugate_case_of_the_latent_evidence_of_the_survival_model():
    prior = LatentPrior(mean=0.3, sd=0.8)
    value, variance = np.array([1.2, -0.5]), np.array([0.1, 0.9])
    mean, left, share = update_evidence(value, variance, prior=prior)
    centre, width = cell_values(np.zeros(2), prior.mean, prior.sd, value, 1 / variance)
    np.testing.assert_allclose(centre, mean, rtol=1e-12)
    np.testing.assert_allclose(width, np.sqrt(left), rtol=1e-12)
    np.testing.assert_allclose(left, share * variance, rtol=1e-12)
    n = 2000
    drawn = draw_true_evidence(
        value,
        np.sqrt(variance),
        np.full(2, 1e9),
        np.full(n, prior.mean),
        np.full(n, prior.sd),
        np.random.default_rng(1),
    )
    assert (np.abs(drawn.mean(axis=0) - mean) < 4 * np.sqrt(left / n)).all()
    np.testing.assert_allclose(drawn.var(axis=0), left, rtol=4 * np.sqrt(2 / n))


def test_the_prior_is_learned_from_the_patients():
    rng = np.random.default_rng(3)
    variance = rng.uniform(0.1, 0.6, 20_000)
    theta = rng.normal(-0.5, 0.6, 20_000)
    value = theta + np.sqrt(variance) * rng.normal(size=20_000)
    prior = fit_latent_prior(np.append(value, np.nan), np.append(variance, np.nan))
    assert prior.mean == pytest.approx(-0.5, abs=0.03)
    assert prior.sd == pytest.approx(0.6, abs=0.03)
    mean, left, _ = update_evidence(value, variance, prior=prior)
    assert ((mean - theta) ** 2).mean() < 0.75 * ((value - theta) ** 2).mean()
    inside = np.abs(mean - theta) <= 1.96 * np.sqrt(left)
    assert 0.94 < inside.mean() < 0.96
    alike = fit_latent_prior(np.array([0.1, 0.2, 0.3]), np.ones(3))
    assert (round(alike.mean, 12), alike.sd) == (0.2, 0.0)
    mean, left, share = update_evidence(np.array([5.0, np.nan]), np.ones(2), prior=alike)
    assert (mean == alike.mean).all()
    np.testing.assert_allclose(left, 1 / 3)  # of a mean of three, each of variance 1
    assert (share == 0).all()
    told = pool_linear(
        np.array([[5.0]]), np.ones((1, 1)), df=np.full((1, 1), EXACT), rule="bayesian",
        latent_prior=alike,
    )  # fmt: skip
    assert told.se[0] == pytest.approx(3**-0.5)


def test_tiles_shrink_towards_the_population():
    rng = np.random.default_rng(4)
    mean, variance = rng.uniform(0.2, 0.8, (40, 3)), rng.uniform(0.005, 0.05, (40, 3))
    mean[0, 2], mean[1] = np.nan, np.nan
    given = {"n_tiles": 4, "error_correlation": 0.4 * np.eye(3) + 0.6}
    table = pool_bayesian(mean, variance, **given)
    plain = pool_gls(mean, variance, **given)
    prior = fit_tile_latent_prior(mean, variance, **given)
    weights = table.filter(like="weight_").drop(index=1)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    expected = prior.mean + (1 - table["weight_prior"]) * (logit(plain["score"]) - prior.mean)
    np.testing.assert_allclose(logit(table["score"]), expected)
    assert table["score"].std() < plain["score"].std()
    assert ((table["upper"] - table["lower"]) < (plain["upper"] - plain["lower"])).iloc[2:].all()
    assert table.loc[1, ["score", "lower"]].isna().all()
    given = pool_bayesian(mean, variance, n_tiles=4, latent_prior=FLAT)
    np.testing.assert_allclose(
        given["score"], pool_shrunken(mean, variance, n_tiles=4)["score"], rtol=1e-12
    )


def test_prediction_interval_by_hand_and_beside_the_confidence_interval():
    lower, upper = predict_new_marker(
        np.array([0.2, 0.2]), np.array([0.09, 0.09]), tau_squared=0.16, n_markers=np.array([5, 2])
    )
    half = student_t.ppf(0.975, 3) * 0.5
    np.testing.assert_allclose([lower[0], upper[0]], [0.2 - half, 0.2 + half])
    assert np.isnan([lower[1], upper[1]]).all()
    rng = np.random.default_rng(4)
    mean, variance = rng.uniform(0.2, 0.8, (40, 4)), rng.uniform(0.005, 0.05, (40, 4))
    mean[0, :2] = np.nan
    table = pool_random_effects(mean, variance, n_tiles=4)
    assert table.loc[0, ["prediction_lower", "prediction_upper"]].isna().all()
    assert ((table["prediction_lower"] < table["lower"])[1:]).all()
    assert ((table["prediction_upper"] > table["upper"])[1:]).all()
    assert table.columns.get_loc("prediction_lower") == table.columns.get_loc("upper") + 1


def test_prediction_interval_covers_a_new_marker():
    """tau^2 known: normal quantiles cover as they say; M - 2 degrees of freedom cover more."""
    rng = np.random.default_rng(7)
    n, markers, tau = 5000, 5, 0.6
    theta = rng.normal(size=n)
    variance = rng.uniform(0.05, 0.3, (n, markers))
    estimate = theta[:, None] + rng.normal(size=(n, markers)) * np.sqrt(tau**2 + variance)
    pool = pool_linear(
        estimate,
        variance,
        df=np.full_like(estimate, EXACT),
        rule="random_effects",
        tau_squared=tau**2,
    )
    new = theta + tau * rng.normal(size=n)
    covered = []
    for df in (1e9, None):
        low, high = predict_new_marker(
            pool.value, pool.variance, tau_squared=tau**2, n_markers=np.full(n, markers), df=df
        )
        covered.append(((low <= new) & (new <= high)).mean())
    assert 0.94 < covered[0] < 0.96
    assert covered[1] > 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LatentPrior(mean=np.nan, sd=1.0), "latent prior has mean nan"),
        (lambda: LatentPrior(mean=0.0, sd=-1.0), "sd -1.0"),
        (lambda: LatentPrior(mean=0.0, sd=1.0, mean_se=-1.0), "mean_se -1.0"),
        (lambda: fit_latent_prior(np.array([1.0]), np.ones(1)), "1 patients have an estimate"),
        (lambda: fit_latent_prior(np.ones(3), np.array([1.0, 0.0, np.nan])), "in row 1, 2: give"),
        (
            lambda: pool_linear(np.ones((2, 1)), np.array([[1.0], [0.0]]), df=np.ones((2, 1))),
            "0 or negative in row 1",
        ),
        (
            lambda: predict_new_marker(
                np.zeros(1), np.ones(1), tau_squared=-1, n_markers=np.ones(1)
            ),
            "tau_squared is -1",
        ),
        (
            lambda: predict_new_marker(
                np.zeros(1), np.ones(1), tau_squared=1, n_markers=np.ones(1), df=0
            ),
            "df is 0",
        ),
        (
            lambda: predict_new_marker(
                np.zeros(1), np.ones(1), tau_squared=1, n_markers=np.ones(1), confidence_level=1
            ),
            "confidence_level is 1",
        ),
    ],
)
def test_faulty_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "bayesian"}, "latent_prior belongs to pooling 'bayesian'"),
        ({"rule": "gls", "latent_prior": FLAT}, "latent_prior belongs to pooling 'bayesian'"),
        ({"rule": "gls", "tau_squared": 0.1}, "tau_squared has no part in pooling 'gls'"),
        (
            {"rule": "bayesian", "latent_prior": FLAT, "negative_weights": "truncate"},
            "negative_weights has no part in pooling 'bayesian'",
        ),
        ({"rule": "gls", "negative_weights": "drop"}, "'drop' is unknown: use one of allow"),
    ],
)
def test_a_rule_refuses_what_it_would_ignore(arguments, message):
    estimate, variance, df = estimates()
    with pytest.raises(InputError, match=message):
        pool_linear(estimate, variance, df=df, **arguments)


def test_logits_and_probabilities_are_one_scale():
    table = pool_gls([[0.7]], [[0.01]], n_tiles=4, error_correlation=np.eye(1))
    assert table["score"].iloc[0] == pytest.approx(0.7)
    assert expit(logit(table["lower"].iloc[0])) < 0.7
