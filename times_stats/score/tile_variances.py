"""Variances of tile means on the logit scale, shrunken towards what other patients show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from times_stats._checks import Faults
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.score.marker_table import add_patients, as_marker_table, check_variance
from times_stats.score.shrinkage import VariancePrior, fit_variance_prior

EDGE = 1e-3  # means nearer to 0 or 1 are moved here: the delta method says nothing beyond


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


def shrunken_means(
    mean: pd.DataFrame | FloatArray, variance: object, n_tiles: object, prior: VariancePrior | None
) -> tuple[FloatArray, FloatArray, FloatArray, pd.Index[Any], tuple[str, ...]]:
    """Return logits of the means with their shrunken variances.

    Parameters
    ----------
    mean, variance, n_tiles, prior
        As in `pool_shrunken`.

    Returns
    -------
    estimate, variance, df : ndarray, shape (n_patients, n_markers)
        Logit of each mean, its shrunken variance and the degrees of freedom of that.
    index : Index
        Patients.
    markers : tuple of str

    Raises
    ------
    InputError
        As `pool_shrunken`.
    """
    estimate, sample, tiles, index, markers = _on_logit_scale(mean, variance, n_tiles)
    known = fit_variance_prior(sample, df=tiles - 1) if prior is None else prior
    if len(known.df) != len(markers):
        raise InputError(
            f"the prior holds {len(known.df)} markers and the means {len(markers)}: learn it on "
            "the same markers"
        )
    shrunken, df = known.shrink(sample, tiles - 1)
    return estimate, shrunken / tiles, df, index, markers


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
    inside = np.clip(means, EDGE, 1 - EDGE)
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
