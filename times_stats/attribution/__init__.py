"""Who carries the prognostic power: which marker, which region, level or location."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "explain_marker_model": "times_stats.attribution.explanation",
    "marker_region_shapley": "times_stats.attribution.shapley",
    "summarise_attribution": "times_stats.attribution.shapley",
    "IntegrationResult": "times_stats.attribution.integration",
    "integration_test": "times_stats.attribution.integration",
    "NullTest": "times_stats.attribution.score_statistic",
    "conditional_location_test": "times_stats.attribution.null_tests",
    "label_exchangeability_test": "times_stats.attribution.null_tests",
    "random_labelling_test": "times_stats.attribution.random_labelling",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
