"""Features of patients: spatial statistics of cells, and the wide table of markers by region."""

from __future__ import annotations

from times_stats._lazy import attach

_MODULES = {
    "intensities": ("IntervalEstimate", "intensity", "positive_fraction", "poisson_interval"),
    "kfunctions": ("ripley_k", "besag_l", "cross_k", "cross_l", "cross_k_all"),
    "inhomogeneous": ("inhomogeneous_k", "inhomogeneous_cross_k", "smoothed_intensity"),
    "pair_correlation_function": ("pair_correlation", "cross_pair_correlation"),
    "nearest_distances": (
        "nearest_neighbour_g",
        "cross_g",
        "empty_space_f",
        "j_function",
        "nearest_distance",
        "grid_places",
    ),
    "matrix": (
        "FeatureTable",
        "build_feature_table",
        "feature_matrix",
        "complete_markers",
        "marker_levels",
        "missing_patterns",
        "scaled_by_region",
    ),
}
_EXPORTS = {
    name: f"times_stats.features.{module}" for module, names in _MODULES.items() for name in names
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
