"""Pooling of tile probabilities on the logit scale, with shrunken tile variances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from times_stats._checks import Faults
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.score.marker_table import (
    add_patients,
    as_marker_table,
    check_variance,
    pooled_table,
)
from times_stats.score.pooling import (
    LinearPool,
    NegativeWeights,
    Rule,
    estimate_between_marker_variance,
    pool_linear,
)
from times_stats.score.shrinkage import VariancePrior, fit_variance_prior

_EDGE = 1e-3  # means nearer to 0 or 1 are moved here: the delta method says nothing beyond


def pool_shrunken(
    mean: pd.DataFrame | FloatArray,
    variance: object,
    *,
    n_tiles: object,
    prior: VariancePrior | None = None,
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
    pool, index, markers, _ = _pool(
        mean,
        variance,
        n_tiles=n_tiles,
        prior=prior,
        rule="shrunken",
        confidence_level=confidence_level,
    )
    return _as_table(pool, index, markers)


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
        As `pool_shrunken`, and ``negative_weights``, the number of them, and ``tau_squared``, the
        same in every row.

    Raises
    ------
    InputError
        As `pool_shrunken`; an error correlation that is not positive definite.

    References
    ----------
    DerSimonian and Laird (1986), doi:10.1016/0197-2456(86)90046-2; Paule and Mandel (1982),
    doi:10.6028/jres.087.022.

    Examples
    --------
    >>> table = pool_random_effects([[.9, .2], [.3, .8]], [[.01, .02], [.02, .01]], n_tiles=4)
    >>> bool((table["tau_squared"] > 0).all())
    True
    """
    pool, index, markers, tau = _pool(
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
    table = _as_table(pool, index, markers)
    table["negative_weights"] = (pool.weights < 0).sum(axis=1)
    table["tau_squared"] = tau
    return table


def fit_tile_prior(
    mean: pd.DataFrame | FloatArray, variance: object, *, n_tiles: object
) -> VariancePrior:
    """Learn the prior of the tile variances of each marker, on the logit scale.

    Parameters
    ----------
    mean, variance, n_tiles
        Of the training patients, as in `pool_shrunken`.

    Returns
    -------
    VariancePrior

    Examples
    --------
    >>> prior = fit_tile_prior([[.8], [.3], [.5]], [[.01], [.02], [.04]], n_tiles=4)
    >>> prior.scale.shape
    (1,)
    """
    _, sample, tiles, _, _ = _on_logit_scale(mean, variance, n_tiles)
    return fit_variance_prior(sample, df=tiles - 1)


def _pool(
    mean: pd.DataFrame | FloatArray,
    variance: object,
    *,
    n_tiles: object,
    prior: VariancePrior | None,
    rule: Rule,
    tau_squared: float | None = None,
    error_correlation: FloatArray | None = None,
    negative_weights: NegativeWeights = "allow",
    confidence_level: float,
) -> tuple[LinearPool, pd.Index[Any], tuple[str, ...], float]:
    estimate, sample, tiles, index, markers = _on_logit_scale(mean, variance, n_tiles)
    known = fit_variance_prior(sample, df=tiles - 1) if prior is None else prior
    if len(known.df) != len(markers):
        raise InputError(
            f"the prior holds {len(known.df)} markers and the means {len(markers)}: learn it on "
            "the same markers"
        )
    shrunken, df = known.shrink(sample, tiles - 1)
    of_mean = shrunken / tiles
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
    pool = pool_linear(
        estimate,
        of_mean,
        df=df,
        rule=rule,
        tau_squared=tau,
        error_correlation=error_correlation,
        negative_weights=negative_weights,
        confidence_level=confidence_level,
    )
    return pool, index, markers, tau


def _on_logit_scale(
    mean: pd.DataFrame | FloatArray, variance: object, n_tiles: object
) -> tuple[FloatArray, FloatArray, FloatArray, pd.Index[Any], tuple[str, ...]]:
    """Logit of the means, sample variance of a tile's logit, tiles, patients, markers."""
    means, index, markers = as_marker_table(mean)
    population = check_variance(variance, means, index)
    tiles = _check_tiles(n_tiles, means)
    faults = Faults()
    for wrong, what, remedy in (
        ((means < 0) | (means > 1), "mean outside [0, 1]", "give mean tile probabilities"),
        (
            ~np.isnan(means) & np.isnan(population) & (tiles > 1),
            "variance missing where the mean is not",
            "give both",
        ),
    ):
        add_patients(faults, wrong, index, what, remedy)
    faults.raise_if_any()
    inside = np.clip(means, _EDGE, 1 - _EDGE)
    several = tiles > 1
    factor = np.divide(tiles, tiles - 1, out=np.zeros_like(tiles), where=several)
    sample = np.where(several, factor * population, np.nan) / (inside * (1 - inside)) ** 2
    return (
        np.asarray(logit(inside)),
        np.where(np.isnan(means), np.nan, sample),
        tiles,
        index,
        markers,
    )


def _check_tiles(n_tiles: object, means: FloatArray) -> FloatArray:
    try:
        tiles = np.asarray(n_tiles, dtype=np.float64)
        if tiles.ndim == 1:
            tiles = tiles[:, None]
        tiles = np.array(np.broadcast_to(tiles, means.shape))
    except (TypeError, ValueError) as error:
        raise InputError(
            "n_tiles must be one number, one per patient, or one per patient and marker"
        ) from error
    tiles[np.isnan(means)] = 1.0
    if not ((tiles >= 1) & (tiles == np.floor(tiles)) & np.isfinite(tiles)).all():
        raise InputError("n_tiles must hold whole numbers of 1 or more")
    return tiles


def _as_table(pool: LinearPool, index: pd.Index[Any], markers: tuple[str, ...]) -> pd.DataFrame:
    score = expit(pool.value)
    return pooled_table(
        index,
        markers,
        score=score,
        se=pool.se * score * expit(-pool.value),
        lower=expit(pool.lower),
        upper=expit(pool.upper),
        weights=pool.weights,
    )
