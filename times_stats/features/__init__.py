"""Features of patients: the wide table of markers by region, and what is missing in it."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = dict.fromkeys(
    (
        "FeatureTable",
        "build_feature_table",
        "feature_matrix",
        "complete_markers",
        "marker_levels",
        "missing_patterns",
        "scaled_by_region",
    ),
    "times_stats.features.matrix",
)
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(
    __name__,
    _EXPORTS,
    dict.fromkeys(
        (
            "ripley_k",
            "besag_l",
            "pair_correlation",
            "cross_k",
            "cross_l",
            "nearest_neighbour_g",
            "cross_g",
        ),
        "cells and spatial statistics",
    ),
)
