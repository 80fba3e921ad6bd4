"""Clinical staging: stages as recorded; stages from clinical columns are planned."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {"read_recorded_stage": "times_stats.staging.recorded"}
__all__ = [*_EXPORTS]

_SYSTEMS = (
    "child_pugh",
    "albi",
    "tnm",
    "tnm_ajcc7",
    "bclc",
    "cnlc",
    "okuda",
    "clip",
    "jis",
    "milan",
    "erasl_pre",
    "erasl_post",
)
_PLANNED = (*_SYSTEMS, *(f"{name}_bounds" for name in _SYSTEMS))

__getattr__, __dir__ = attach(
    __name__, _EXPORTS, dict.fromkeys(_PLANNED, "stages from clinical columns")
)
