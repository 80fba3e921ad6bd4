"""Pooling of markers into the TIMES score: the published rule and honest ones."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "pool_published": "times_stats.score.published",
    "VariancePrior": "times_stats.score.shrinkage",
    "fit_variance_prior": "times_stats.score.shrinkage",
    "LatentPrior": "times_stats.score.latent_evidence",
    "fit_latent_prior": "times_stats.score.latent_evidence",
    "update_evidence": "times_stats.score.latent_evidence",
    "LinearPool": "times_stats.score.pooling",
    "estimate_between_marker_variance": "times_stats.score.pooling",
    "pool_linear": "times_stats.score.pooling",
    "predict_new_marker": "times_stats.score.new_marker",
    "TileSummary": "times_stats.score.tile_tables",
    "summarise_tiles": "times_stats.score.tile_tables",
    "fit_tile_latent_prior": "times_stats.score.tiles",
    "fit_tile_prior": "times_stats.score.tile_variances",
    "pool_bayesian": "times_stats.score.tiles",
    "pool_gls": "times_stats.score.tiles",
    "pool_random_effects": "times_stats.score.tiles",
    "pool_shrunken": "times_stats.score.tiles",
    "TileComponents": "times_stats.score.tile_reliability",
    "count_tiles_needed": "times_stats.score.tile_reliability",
    "estimate_tile_components": "times_stats.score.tile_reliability",
    "predict_tile_curve": "times_stats.score.tile_reliability",
    "resample_tiles": "times_stats.score.tile_resampling",
    "TimesScore": "times_stats.score.times_score",
    "compare_pooling": "times_stats.score.rule_comparison",
    "ScoresOfLeftOutCohorts": "times_stats.score.left_out",
    "evaluate_left_out_cohorts": "times_stats.score.left_out",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
