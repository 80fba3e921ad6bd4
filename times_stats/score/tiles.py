"""Pooling of tile probabilities on the logit scale, with shrunken tile variances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.score.latent_evidence import LatentPrior, fit_latent_prior
from times_stats.score.marker_table import pooled_table
from times_stats.score.new_marker import predict_new_marker
from times_stats.score.pooling import (
    LinearPool,
    NegativeWeights,
    Rule,
    estimate_between_marker_variance,
    pool_linear,
)
from times_stats.score.shrinkage import VariancePrior
from times_stats.score.tile_variances import shrunken_means


def pool_shrunken(
    mean: pd.DataFrame | FloatArray,
    variance: object,
    *,
    n_tiles: object,
    prior: VariancePrior | None = None,
    error_correlation: FloatArray | None = None,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    r"""Pool markers on the logit scale with shrunken inverse-variance weights.

    The population variance of the tiles becomes a sample variance (times n / (n - 1)) on the logit
    scale (divided by (m (1 - m))^2), is shrunk towards the prior, and divided by n:

    .. math:: v_k = \frac{1}{n}\,
        \frac{d_0 s_0^2 + (n - 1)\,\frac{n}{n-1} s_k^2 / (m_k (1 - m_k))^2}{d_0 + n - 1}

    Always finite; every marker is taken to estimate the same probability.

    Parameters
    ----------
    mean : DataFrame or array, shape (n_patients, n_markers)
        Mean tile probability in [0, 1] (within .001 of 0 or 1 it is moved there); NaN = missing.
    variance : DataFrame or array, same shape
        *Population* variance of the tile probabilities; not used where there is one tile.
    n_tiles : int or array, shape (n_patients,) or (n_patients, n_markers)
        Tiles behind each mean. One tile: the prior alone.
    prior : VariancePrior, optional
        Learned on training patients by `fit_tile_prior`; from these patients if left out.
    error_correlation : array, shape (n_markers, n_markers), optional
        Correlation of the markers' errors (`summarise_tiles`), for the standard error alone; the
        identity if left out, and the interval too short where markers read on the same tiles err
        together.
    confidence_level : float, default .95

    Returns
    -------
    DataFrame
        A row per patient: ``score``, ``se`` (delta method), ``lower``, ``upper``, one
        ``weight_<marker>`` (summing to one; 0 where missing). NaN for patients without any marker.

    Raises
    ------
    InputError
        Means outside [0, 1], faulty variances or tile counts; no patient with two tiles and no
        prior.

    References
    ----------
    Smyth (2004), doi:10.2202/1544-6115.1027.

    Examples
    --------
    >>> table = pool_shrunken([[.8, .6], [.3, .5]], [[.01, .0], [.02, .01]], n_tiles=4)
    >>> bool((table[["weight_1", "weight_2"]].sum(axis=1).round(9) == 1).all())
    True
    """
    fitted = _pool(
        mean,
        variance,
        n_tiles=n_tiles,
        prior=prior,
        rule="shrunken",
        error_correlation=error_correlation,
        confidence_level=confidence_level,
    )
    return _as_table(fitted)


def pool_gls(
    mean: pd.DataFrame | FloatArray,
    variance: object,
    *,
    n_tiles: object,
    error_correlation: FloatArray,
    prior: VariancePrior | None = None,
    negative_weights: NegativeWeights = "allow",
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    r"""Pool markers on the logit scale by generalised least squares.

    Markers read on the same tiles err together. With V the covariance of a patient's markers, from
    the variances of `pool_shrunken` and the correlation of the errors, weights are
    :math:`V^{-1} 1 / 1'V^{-1} 1`: the unbiased combination of the smallest variance, where all
    markers estimate the same probability. A marker that errs with a more exact one can have a
    negative weight: it is kept and counted unless truncated.

    Parameters
    ----------
    mean, variance, n_tiles, prior, confidence_level
        As in `pool_shrunken`.
    error_correlation : array, shape (n_markers, n_markers)
        Correlation of the markers' errors, learned on training patients by `summarise_tiles`.
    negative_weights : {"allow", "truncate"}
        Keep negative weights, or leave those markers out and solve again.

    Returns
    -------
    DataFrame
        As `pool_shrunken`, and ``negative_weights``, the number of them.

    Raises
    ------
    InputError
        As `pool_shrunken`; an error correlation that is not positive definite.

    References
    ----------
    Aitken (1936), doi:10.1017/S0370164600014346.

    Examples
    --------
    >>> table = pool_gls([[.8, .6]], [[.01, .02]], n_tiles=4,
    ...                  error_correlation=[[1, .5], [.5, 1]])
    >>> int(table["negative_weights"].sum())
    0
    """
    fitted = _pool(
        mean,
        variance,
        n_tiles=n_tiles,
        prior=prior,
        rule="gls",
        error_correlation=error_correlation,
        negative_weights=negative_weights,
        confidence_level=confidence_level,
    )
    table = _as_table(fitted)
    table["negative_weights"] = (fitted.pool.weights < 0).sum(axis=1)
    return table


def pool_bayesian(
    mean: pd.DataFrame | FloatArray,
    variance: object,
    *,
    n_tiles: object,
    prior: VariancePrior | None = None,
    latent_prior: LatentPrior | None = None,
    error_correlation: FloatArray | None = None,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    r"""Pool markers as measurements of one latent logit, normal over patients.

    .. math:: \theta_i \sim N(m, s^2), \qquad \hat\theta_i \mid \theta_i \sim N(\theta_i 1, V_i)

    The posterior mean is the pooled value of `pool_gls` (`pool_shrunken`, where errors are not
    correlated), drawn towards m the more the less is known of the patient; with a flat prior it is
    that value exactly. ``lower`` and ``upper`` are a credible interval given s; a learned m adds
    its own error, without which the interval would have no width where s is estimated as 0.

    Parameters
    ----------
    mean, variance, n_tiles, prior
        As in `pool_shrunken`.
    latent_prior : LatentPrior, optional
        m and s on the logit scale, learned on training patients by `fit_latent_prior`; from these
        patients if left out. ``LatentPrior(0.0, math.inf)`` is flat.
    error_correlation : array, shape (n_markers, n_markers), optional
        Correlation of the markers' errors; identity if left out.
    confidence_level : float, default .95
        Probability of the credible interval.

    Returns
    -------
    DataFrame
        As `pool_shrunken`; the weights of the markers and ``weight_prior`` sum to one. NaN for
        patients without any marker.

    Raises
    ------
    InputError
        As `pool_shrunken`; an error correlation that is not positive definite; fewer than two
        patients and no latent prior.

    References
    ----------
    Lindley and Smith (1972), doi:10.1111/j.2517-6161.1972.tb00885.x; Efron and Morris (1973),
    doi:10.1080/01621459.1973.10481350.

    Examples
    --------
    >>> given = {"mean": [[.8, .6], [.3, .5]], "variance": [[.01, .02], [.02, .01]], "n_tiles": 4}
    >>> flat = pool_bayesian(**given, latent_prior=LatentPrior(mean=0.0, sd=float("inf")))
    >>> bool(np.allclose(flat["score"], pool_shrunken(**given)["score"], rtol=1e-12))
    True
    """
    fitted = _pool(
        mean,
        variance,
        n_tiles=n_tiles,
        prior=prior,
        rule="bayesian",
        latent_prior=latent_prior,
        error_correlation=error_correlation,
        confidence_level=confidence_level,
    )
    table = _as_table(fitted)
    known = table["score"].notna()
    table["weight_prior"] = np.where(known, 1 - fitted.pool.weights.sum(axis=1), 0.0)
    return table


def pool_random_effects(
    mean: pd.DataFrame | FloatArray,
    variance: object,
    *,
    n_tiles: object,
    prior: VariancePrior | None = None,
    tau_squared: float | None = None,
    error_correlation: FloatArray | None = None,
    negative_weights: NegativeWeights = "allow",
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Pool markers on the logit scale, the markers scattered about the patient's value.

    Variances as in `pool_shrunken`; tau^2 is estimated from all patients together, not from one
    patient's few markers. With correlated errors the weights are those of generalised least
    squares and may be negative: they are kept and counted unless truncated.

    Parameters
    ----------
    mean, variance, n_tiles, prior, confidence_level
        As in `pool_shrunken`.
    tau_squared : float, optional
        Variance between markers on the logit scale, learned on training patients; estimated from
        these patients if left out.
    error_correlation : array, shape (n_markers, n_markers), optional
        Correlation of the markers' errors; identity if left out.
    negative_weights : {"allow", "truncate"}
        Keep negative weights, or leave those markers out and solve again.

    Returns
    -------
    DataFrame
        As `pool_shrunken`, and ``prediction_lower`` and ``prediction_upper``, the interval for
        what a new marker would truly say of the patient (`predict_new_marker`, M - 2 degrees of
        freedom; NaN with fewer than three markers), ``negative_weights``, the number of them, and
        ``tau_squared``, the same in every row.

    Raises
    ------
    InputError
        As `pool_shrunken`; an error correlation that is not positive definite.

    References
    ----------
    DerSimonian and Laird (1986), doi:10.1016/0197-2456(86)90046-2; Paule and Mandel (1982),
    doi:10.6028/jres.087.022; Higgins, Thompson and Spiegelhalter (2009),
    doi:10.1111/j.1467-985X.2008.00552.x.

    Examples
    --------
    >>> table = pool_random_effects([[.9, .2], [.3, .8]], [[.01, .02], [.02, .01]], n_tiles=4)
    >>> bool((table["tau_squared"] > 0).all())
    True
    """
    fitted = _pool(
        mean,
        variance,
        n_tiles=n_tiles,
        prior=prior,
        rule="random_effects",
        tau_squared=tau_squared,
        error_correlation=error_correlation,
        negative_weights=negative_weights,
        confidence_level=confidence_level,
    )
    table = _as_table(fitted)
    pool = fitted.pool
    lower, upper = predict_new_marker(
        pool.value,
        pool.variance,
        tau_squared=fitted.tau_squared,
        n_markers=fitted.n_markers,
        confidence_level=confidence_level,
    )
    after = [*table.columns].index("upper") + 1
    table.insert(after, "prediction_lower", expit(lower))
    table.insert(after + 1, "prediction_upper", expit(upper))
    table["negative_weights"] = (pool.weights < 0).sum(axis=1)
    table["tau_squared"] = fitted.tau_squared
    return table


def fit_tile_latent_prior(
    mean: pd.DataFrame | FloatArray,
    variance: object,
    *,
    n_tiles: object,
    prior: VariancePrior | None = None,
    error_correlation: FloatArray | None = None,
) -> LatentPrior:
    """Learn the population of the patients' logits, for `pool_bayesian`.

    Parameters
    ----------
    mean, variance, n_tiles, prior, error_correlation
        Of the training patients, as in `pool_bayesian`.

    Returns
    -------
    LatentPrior

    Examples
    --------
    >>> prior = fit_tile_latent_prior([[.8], [.3], [.5]], [[.01], [.02], [.04]], n_tiles=4)
    >>> bool(prior.sd > 0)
    True
    """
    estimate, of_mean, df, _, _ = shrunken_means(mean, variance, n_tiles, prior)
    return _learn_latent(estimate, of_mean, df, error_correlation)


@dataclass(frozen=True, slots=True)
class _Pooled:
    pool: LinearPool
    index: pd.Index[Any]
    markers: tuple[str, ...]
    n_markers: IntArray
    tau_squared: float


def _pool(
    mean: pd.DataFrame | FloatArray,
    variance: object,
    *,
    n_tiles: object,
    prior: VariancePrior | None,
    rule: Rule,
    tau_squared: float | None = None,
    latent_prior: LatentPrior | None = None,
    error_correlation: FloatArray | None = None,
    negative_weights: NegativeWeights = "allow",
    confidence_level: float,
) -> _Pooled:
    estimate, of_mean, df, index, markers = shrunken_means(mean, variance, n_tiles, prior)
    tau = 0.0
    if rule == "random_effects":
        if tau_squared is not None and not (np.isfinite(tau_squared) and tau_squared >= 0):
            raise InputError(f"tau_squared is {tau_squared}: give a number of 0 or more")
        tau = (
            estimate_between_marker_variance(
                estimate, of_mean, df=df, error_correlation=error_correlation
            )
            if tau_squared is None
            else float(tau_squared)
        )
    if rule == "bayesian" and latent_prior is None:
        latent_prior = _learn_latent(estimate, of_mean, df, error_correlation)
    pool = pool_linear(
        estimate,
        of_mean,
        df=df,
        rule=rule,
        tau_squared=tau,
        latent_prior=latent_prior,
        error_correlation=error_correlation,
        negative_weights=negative_weights,
        confidence_level=confidence_level,
    )
    n_markers = (~np.isnan(estimate)).sum(axis=1)
    return _Pooled(pool, index, markers, n_markers, tau)


def _learn_latent(
    estimate: FloatArray,
    variance: FloatArray,
    df: FloatArray,
    error_correlation: FloatArray | None,
) -> LatentPrior:
    likelihood = pool_linear(
        estimate, variance, df=df, rule="gls", error_correlation=error_correlation
    )
    return fit_latent_prior(likelihood.value, likelihood.variance)


def _as_table(fitted: _Pooled) -> pd.DataFrame:
    pool = fitted.pool
    score = expit(pool.value)
    return pooled_table(
        fitted.index,
        fitted.markers,
        score=score,
        se=pool.se * score * expit(-pool.value),
        lower=expit(pool.lower),
        upper=expit(pool.upper),
        weights=pool.weights,
    )
