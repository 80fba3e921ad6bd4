"""Study tables in canonical names: patients, measurements, and the study file that joins them."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "Study": "times_stats.tables.study",
    "ScoreSettings": "times_stats.tables.settings",
    "SurvivalSettings": "times_stats.tables.settings",
    "CompareSettings": "times_stats.tables.settings",
    "EvaluateSettings": "times_stats.tables.settings",
    "read_study": "times_stats.tables.study",
    "read_new_patients": "times_stats.tables.study",
    "build_study": "times_stats.tables.study",
    "outcome": "times_stats.tables.study",
    "check_patients": "times_stats.tables.patients",
    "check_measurements": "times_stats.tables.measurements",
    "read_table": "times_stats.tables.readers.formats",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
