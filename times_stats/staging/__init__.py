"""Clinical staging of hepatocellular carcinoma: from clinical columns, and as recorded."""

from __future__ import annotations

from times_stats._lazy import attach

_SYSTEMS = {
    "liver_function": (
        *("child_pugh_points", "child_pugh", "albi", "albi_grade", "malbi_grade"),
        *("palbi", "palbi_grade"),
    ),
    "ajcc": ("tnm", "tnm_ajcc7"),
    "barcelona": ("bclc", "bclc_2011"),
    "chinese": ("cnlc",),
    "points": ("okuda", "clip", "jis"),
    "transplantation": ("milan", "up_to_seven", "up_to_seven_pathology"),
    "recurrence": ("erasl_pre", "erasl_pre_group", "erasl_post", "erasl_post_group"),
}
_EXPORTS = {
    **{
        f"{name}{suffix}": f"times_stats.staging.{module}"
        for module, names in _SYSTEMS.items()
        for name in names
        for suffix in ("", "_bounds")
    },
    "inside_bounds": "times_stats.staging.recorded",
    "read_recorded_stage": "times_stats.staging.recorded",
    "StagedPatients": "times_stats.staging.all_systems",
    "stage_patients": "times_stats.staging.all_systems",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
