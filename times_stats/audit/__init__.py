"""Audit of analyses: leakage between training and test."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {"find_leakage": "times_stats.audit.leakage"}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS, {"check_run": "leakage report of a finished run"})
