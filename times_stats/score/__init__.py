"""Pooling of markers into the TIMES score: the published rule and honest ones."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "pool_published": "times_stats.score.published",
    "VariancePrior": "times_stats.score.shrinkage",
    "fit_variance_prior": "times_stats.score.shrinkage",
    "LinearPool": "times_stats.score.pooling",
    "estimate_between_marker_variance": "times_stats.score.pooling",
    "pool_linear": "times_stats.score.pooling",
    "fit_tile_prior": "times_stats.score.tiles",
    "pool_random_effects": "times_stats.score.tiles",
    "pool_shrunken": "times_stats.score.tiles",
    "TimesScore": "times_stats.score.times_score",
    "ScoresOfLeftOutCohorts": "times_stats.score.left_out",
    "evaluate_left_out_cohorts": "times_stats.score.left_out",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
