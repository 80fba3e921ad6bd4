"""Every pooling rule for tiles, with what each learns from training patients."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import logit

from times_stats._checks import nearest_hint
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.score.published import pool_published
from times_stats.score.shrinkage import VariancePrior
from times_stats.score.tile_tables import TileSummary
from times_stats.score.tile_variances import EDGE, fit_tile_prior
from times_stats.score.tiles import (
    fit_tile_latent_prior,
    pool_bayesian,
    pool_gls,
    pool_random_effects,
    pool_shrunken,
)

type TileRule = Literal[
    "equal", "published", "shrunken", "gls", "gls_truncated", "random_effects", "bayesian"
]
TILE_RULES: tuple[TileRule, ...] = (
    "equal",
    "published",
    "shrunken",
    "gls",
    "gls_truncated",
    "random_effects",
    "bayesian",
)


class TilePooling:
    """Every rule for tiles, with what each learns from training patients.

    Parameters
    ----------
    training : TileSummary
        Tiles of the training patients: variance priors, correlation of errors, variance between
        markers and the population of the latent logit come from them.

    Examples
    --------
    >>> from times_stats.score.tile_tables import summarise_tiles
    >>> rng = np.random.default_rng(1)
    >>> tiles = pd.DataFrame(rng.uniform(.2, .8, (40, 3)), index=np.repeat(np.arange(10), 4))
    >>> summary = summarise_tiles(tiles)
    >>> TilePooling(summary).score(summary, rule="shrunken").shape
    (10,)
    """

    def __init__(self, training: TileSummary) -> None:
        counted = training.n_tiles.clip(lower=1)
        given = training.mean, training.variance.fillna(0.0)
        self._correlation = training.error_correlation
        self._prior: VariancePrior = fit_tile_prior(*given, n_tiles=counted)
        learned: dict[str, Any] = {
            "n_tiles": counted,
            "prior": self._prior,
            "error_correlation": self._correlation,
        }
        table = pool_random_effects(*given, **learned)
        self._tau_squared = float(table["tau_squared"].iloc[0])
        self._latent = fit_tile_latent_prior(*given, **learned)

    def table(self, tiles: TileSummary, *, rule: TileRule) -> pd.DataFrame:
        """Pool patients by one rule.

        Parameters
        ----------
        tiles : TileSummary
        rule : {"published", "shrunken", "gls", "gls_truncated", "random_effects", "bayesian"}

        Returns
        -------
        DataFrame
            As the function of that rule. ``published`` has NaN where it gives no score.
        """
        mean, variance = tiles.mean, tiles.variance.fillna(0.0)
        if rule == "published":
            return self.published(tiles)
        correlated: dict[str, Any] = {
            "n_tiles": tiles.n_tiles.clip(lower=1),
            "prior": self._prior,
            "error_correlation": self._correlation,
        }
        match rule:
            case "shrunken":
                return pool_shrunken(mean, variance, **correlated)
            case "gls" | "gls_truncated":
                return pool_gls(
                    mean,
                    variance,
                    **correlated,
                    negative_weights="allow" if rule == "gls" else "truncate",
                )
            case "random_effects":
                return pool_random_effects(
                    mean, variance, **correlated, tau_squared=self._tau_squared
                )
            case "bayesian":
                return pool_bayesian(mean, variance, **correlated, latent_prior=self._latent)
        hint = nearest_hint(rule, TILE_RULES)
        raise InputError(f"rule {rule!r} is unknown{hint}: use one of {', '.join(TILE_RULES)}")

    def score(self, tiles: TileSummary, *, rule: TileRule) -> FloatArray:
        """Score of each patient by one rule.

        Parameters
        ----------
        tiles : TileSummary
        rule : {"equal", ...}
            As in `table`, and ``equal``: the plain mean of the logits.

        Returns
        -------
        ndarray, shape (n_patients,)
        """
        if rule == "equal":
            logits = pd.DataFrame(logit(tiles.mean.clip(EDGE, 1 - EDGE)))
            return np.asarray(1 / (1 + np.exp(-logits.mean(axis=1))), dtype=np.float64)
        return self.table(tiles, rule=rule)["score"].to_numpy(dtype=np.float64)

    @staticmethod
    def published(tiles: TileSummary) -> pd.DataFrame:
        """Pool patients by the published rule where it gives a score.

        Parameters
        ----------
        tiles : TileSummary

        Returns
        -------
        DataFrame
            As `pool_published`; NaN for patients with a zero variance in some marker.
        """
        mean = tiles.mean
        fault = (mean.notna() & ~((tiles.variance > 0) & (mean > 0))).any(axis=1)
        return pool_published(mean[~fault], tiles.variance[~fault]).reindex(mean.index)
