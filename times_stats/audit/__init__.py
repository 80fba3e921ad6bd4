"""Audit of analyses: leakage between training and test, and the claims of a finished run."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "check_run": "times_stats.audit.run_checks",
    "find_leakage": "times_stats.audit.leakage",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
