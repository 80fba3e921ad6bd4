"""Regions of tissue from cells: the window, the tumour's boundary, compartments."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {"Window": "times_stats.regions.window"}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(
    __name__,
    _EXPORTS,
    dict.fromkeys(("tumour_boundary", "signed_distance"), "regions from cells"),
)
