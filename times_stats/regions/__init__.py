"""Regions of tissue from cells: planned; studies with measured regions need none of it."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS: dict[str, str] = {}
__all__: list[str] = []

__getattr__, __dir__ = attach(
    __name__,
    _EXPORTS,
    dict.fromkeys(("Window", "tumour_boundary", "signed_distance"), "regions from cells"),
)
