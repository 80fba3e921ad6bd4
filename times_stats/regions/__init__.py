"""Regions of tissue from cells: the window, the tumour's boundary, compartments."""

from __future__ import annotations

from times_stats._lazy import attach

_MODULES = {
    "window": ("Window",),
    "boundary": ("TumourBoundary", "tumour_boundary", "signed_distance"),
    "given_boundary": ("boundary_from_labels", "boundary_from_annotation"),
    "compartments": (
        "Compartments",
        "DistanceBands",
        "distance_bands",
        "assign_compartments",
        "compartment_windows",
        "is_certain",
    ),
    "tissue": ("tissue_window", "bounding_rectangle"),
}
_EXPORTS = {
    name: f"times_stats.regions.{module}" for module, names in _MODULES.items() for name in names
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
