"""Clinical staging: stages as recorded; stages from clinical columns are planned."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {"read_recorded_stage": "times_stats.staging.recorded"}
__all__ = [*_EXPORTS]

_SYSTEMS = ("tnm", "tnm_ajcc7", "bclc", "bclc_2011", "cnlc", "okuda", "clip", "jis", "child_pugh")
_PLANNED = (
    *_SYSTEMS,
    *(f"{name}_bounds" for name in _SYSTEMS),
    "child_pugh_points",
    "albi",
    "albi_grade",
    "malbi_grade",
    "palbi",
    "palbi_grade",
    "milan",
    "up_to_seven",
    "up_to_seven_pathology",
    "erasl_pre",
    "erasl_pre_group",
    "erasl_post",
    "erasl_post_group",
)

__getattr__, __dir__ = attach(
    __name__, _EXPORTS, dict.fromkeys(_PLANNED, "stages from clinical columns")
)
