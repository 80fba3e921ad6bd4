"""Saved models in plain formats, checked before any library sees their bytes."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "check_manifest": "times_stats.model_files.manifest",
    "write_manifest": "times_stats.model_files.manifest",
    "check_booster": "times_stats.model_files.booster_structure",
    "load_score": "times_stats.model_files.score_files",
    "save_score": "times_stats.model_files.score_files",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
