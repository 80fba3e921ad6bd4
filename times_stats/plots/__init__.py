"""Figures from tidy tables: each function returns a matplotlib figure and saves nothing."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "figure_svg": "times_stats.plots.style",
    "model_label": "times_stats.plots.labels",
    "plot_attribution": "times_stats.plots.attributions",
    "plot_beeswarm": "times_stats.plots.attributions",
    "plot_calibration": "times_stats.plots.calibration",
    "plot_comparison": "times_stats.plots.comparison",
    "plot_effect_profile": "times_stats.plots.effect_profiles",
    "plot_forest": "times_stats.plots.forest",
    "plot_kaplan_meier": "times_stats.plots.survival_curves",
    "plot_functions": "times_stats.plots.tissue",
    "plot_kaplan_meier_bands": "times_stats.plots.kaplan_meier_bands",
    "plot_ladder": "times_stats.plots.ladder",
    "plot_ranks": "times_stats.plots.ranks",
    "plot_regional_amounts": "times_stats.plots.tissue",
    "plot_shapley": "times_stats.plots.shapley_bars",
    "plot_survival_curves": "times_stats.plots.survival_curves",
    "plot_tile_curve": "times_stats.plots.tile_curves",
    "plot_tissue": "times_stats.plots.tissue",
    "plot_weights": "times_stats.plots.weights",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
