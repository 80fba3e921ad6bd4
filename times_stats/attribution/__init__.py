"""Who carries the prognostic power: which marker, which region, level or location."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "explain_marker_model": "times_stats.attribution.explanation",
    "InteractionGain": "times_stats.attribution.interactions",
    "interaction_gain": "times_stats.attribution.interactions",
    "OffSupport": "times_stats.attribution.off_support",
    "off_support_fraction": "times_stats.attribution.off_support",
    "PerformanceShapley": "times_stats.attribution.performance_result",
    "performance_shapley": "times_stats.attribution.performance_game",
    "PredictionShapley": "times_stats.attribution.prediction_game",
    "prediction_shapley": "times_stats.attribution.prediction_game",
    "sum_feature_shapley": "times_stats.attribution.prediction_game",
    "summarise_prediction_shapley": "times_stats.attribution.prediction_game",
    "ShapleyValues": "times_stats.attribution.coalitions",
    "shapley_values": "times_stats.attribution.coalitions",
    "marker_region_shapley": "times_stats.attribution.shapley",
    "summarise_attribution": "times_stats.attribution.shapley",
    "IntegrationResult": "times_stats.attribution.integration",
    "integration_test": "times_stats.attribution.integration",
    "NullTest": "times_stats.attribution.score_statistic",
    "conditional_location_test": "times_stats.attribution.null_tests",
    "label_exchangeability_test": "times_stats.attribution.null_tests",
    "location_gain_test": "times_stats.attribution.location_gain",
    "random_labelling_test": "times_stats.attribution.random_labelling",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
