"""The score from fewer tiles, directly: tiles of real patients drawn without replacement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import rankdata

from times_stats._checks import nearest_hint
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng
from times_stats.score.tile_pooling import TILE_RULES, TilePooling, TileRule
from times_stats.score.tile_tables import summarise_tiles
from times_stats.score.tile_variances import EDGE


def resample_tiles(
    tiles: pd.DataFrame,
    *,
    rules: Sequence[TileRule] = ("equal", "published", "shrunken"),
    n_tiles: Sequence[int] = (1, 2, 3, 4),
    n_resamples: int = 100,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of the score of n tiles with that of all tiles of a patient.

    In each resample n of a patient's tiles are drawn without replacement and the score is made
    again from these alone, with variance priors, correlations and populations learned from all
    tiles. A rule whose weights come from the patient's few tiles changes more than its markers do.

    Parameters
    ----------
    tiles : DataFrame, shape (n_tiles, n_markers)
        Probability of each tile and marker, the patient in the index, as in `summarise_tiles`.
    rules : sequence of str
        Of ``equal`` (plain mean of the logits), ``published``, ``shrunken``, ``gls``,
        ``gls_truncated``, ``random_effects``, ``bayesian``.
    n_tiles : sequence of int, default (1, 2, 3, 4)
        Patients with fewer tiles are left out of that row; those with as many agree with
        themselves.
    n_resamples : int, default 100
    confidence_level : float, default .95
    seed : int, default 0

    Returns
    -------
    DataFrame
        Tidy: ``rule``, ``measure`` (``correlation_all`` of the logits, ``spearman_all``),
        ``n_tiles``, ``estimate`` (mean over resamples), ``lower``, ``upper`` (percentiles over
        resamples of tiles and patients), ``n`` patients, ``n_without`` (mean number of patients for
        whom the rule gives no score; they do not enter the correlations).

    Raises
    ------
    InputError
        Unknown rules, fewer than ten patients with that many tiles, numbers of tiles or resamples
        below 1, a confidence level outside (0, 1).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> patient = np.repeat(np.arange(30), 4)
    >>> logits = rng.normal(size=30)[patient, None] + .5 * rng.normal(size=(120, 2))
    >>> tiles = pd.DataFrame(1 / (1 + np.exp(-logits)), index=patient)
    >>> table = resample_tiles(tiles, rules=["shrunken"], n_tiles=[1, 2], n_resamples=10)
    >>> table["measure"].to_list()
    ['correlation_all', 'spearman_all', 'correlation_all', 'spearman_all']
    """
    unknown = [rule for rule in rules if rule not in TILE_RULES]
    if unknown:
        hint = nearest_hint(unknown[0], TILE_RULES)
        raise InputError(
            f"rule {unknown[0]!r} is unknown{hint}: use one of {', '.join(TILE_RULES)}"
        )
    smallest = min([n_resamples, *n_tiles])
    if smallest < 1 or any(n != int(n) for n in n_tiles):
        raise InputError("n_tiles and n_resamples must be whole numbers of 1 or more")
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level}: give a number in (0, 1)")
    whole = summarise_tiles(tiles)
    pooling = TilePooling(whole)
    full = {rule: pooling.score(whole, rule=rule) for rule in rules}
    patients = whole.mean.index
    code = patients.get_indexer(tiles.index)
    has = np.bincount(code, minlength=len(patients))
    rows = []
    for n in n_tiles:
        enough = np.flatnonzero(has >= n)
        if enough.size < 10:
            raise InputError(
                f"{enough.size} patients have {n} tiles: ask for agreement where ten or more have"
            )
        drawn: dict[str, list[FloatArray]] = {rule: [] for rule in rules}
        lost: dict[str, list[float]] = {rule: [] for rule in rules}
        for resample in range(n_resamples):
            rng = spawn_rng(seed, "tiles", int(n), resample)
            few = summarise_tiles(tiles.iloc[_draw_rows(code, has, int(n), enough, rng)])
            again = rng.integers(enough.size, size=enough.size)
            for rule in rules:
                score, all_of_it = pooling.score(few, rule=rule), full[rule][enough]
                known = np.isfinite(score) & np.isfinite(all_of_it)
                lost[rule].append(float((~known).sum()))
                both = np.stack([score, all_of_it])
                drawn[rule].append(
                    np.array(
                        [
                            *_agreement(both[:, known]),
                            *_agreement(both[:, again][:, known[again]]),
                        ]
                    )
                )
        for rule in rules:
            values = np.array(drawn[rule])
            tail = (1 - confidence_level) / 2
            for k, measure in enumerate(("correlation_all", "spearman_all")):
                lower, upper = np.quantile(values[:, 2 + k], [tail, 1 - tail])
                rows.append(
                    {
                        "rule": rule,
                        "measure": measure,
                        "n_tiles": int(n),
                        "estimate": float(values[:, k].mean()),
                        "lower": float(lower),
                        "upper": float(upper),
                        "n": int(enough.size),
                        "n_without": float(np.mean(lost[rule])),
                    }
                )
    return pd.DataFrame(rows)


def _draw_rows(
    code: IntArray, has: IntArray, n: int, enough: IntArray, rng: np.random.Generator
) -> IntArray:
    """Rows of n tiles of every patient that has as many, all tiles equally likely."""
    order = np.lexsort((rng.random(code.size), code))
    rank = np.arange(code.size) - (np.cumsum(has) - has)[code[order]]
    return order[(rank < n) & np.isin(code[order], enough)]


def _agreement(both: FloatArray) -> tuple[float, float]:
    """Pearson's correlation of the logits, and Spearman's; NaN where all patients are alike."""
    if both.shape[1] < 2 or (both == both[:, :1]).all(axis=1).any():
        return np.nan, np.nan
    inside = logit(np.clip(both, EDGE, 1 - EDGE))
    ranks = np.stack([rankdata(row) for row in both])
    return float(np.corrcoef(inside)[0, 1]), float(np.corrcoef(ranks)[0, 1])
