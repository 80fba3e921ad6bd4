"""Studies from study files of both kinds: with measurements by region, or with cells."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "CellInputs": "times_stats.studies.reading",
    "open_study_cells": "times_stats.studies.reading",
    "read_new_patients": "times_stats.studies.reading",
    "read_study": "times_stats.studies.reading",
    "spatial_functions": "times_stats.studies.function_tables",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
