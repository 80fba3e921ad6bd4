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
    "mixing": (
        "Interactions",
        "count_interactions",
        "mixing_score",
        "normalised_mixing_score",
    ),
    "quadrats": ("morisita_horn", "morisita_horn_index", "tabulate_quadrats"),
    "infiltration": ("InfiltrationGradient", "infiltration_profile", "infiltration_gradient"),
    "composition": ("entropy_by_band", "shannon_entropy", "miller_madow_entropy"),
    "neighbour_graph": (
        "NeighbourGraph",
        "radius_graph",
        "nearest_neighbour_graph",
        "delaunay_graph",
    ),
    "enrichment": ("neighbourhood_enrichment", "permute_neighbourhood_enrichment"),
    "cellular_neighbourhoods": (
        "NeighbourhoodComposition",
        "Neighbourhoods",
        "neighbourhood_composition",
        "learn_neighbourhoods",
        "assign_neighbourhoods",
        "neighbourhood_shares",
    ),
    "cell_plan": ("CellPlan",),
    "located_cells": ("LocatedCells", "locate_cells"),
    "image_measures": ("ImageMeasures", "measure_image"),
    "patient_pooling": ("pool_images",),
    "measuring": ("measure_cells",),
    "function_components": (
        "FunctionComponents",
        "SpatialFunctions",
        "component_scores",
        "learn_components",
    ),
    "aggregates": ("find_aggregates", "label_aggregates"),
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
