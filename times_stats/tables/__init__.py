"""Study tables in canonical names: patients, measurements, and the study file that joins them."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "Study": "times_stats.tables.study",
    "ScoreSettings": "times_stats.tables.settings",
    "SurvivalSettings": "times_stats.tables.settings",
    "CompareSettings": "times_stats.tables.settings",
    "EvaluateSettings": "times_stats.tables.settings",
    "CellSource": "times_stats.tables.cell_sources",
    "open_cells": "times_stats.tables.cell_opening",
    "cells_from_frame": "times_stats.tables.cell_opening",
    "CellReport": "times_stats.tables.cell_faults",
    "check_cells": "times_stats.tables.cell_faults",
    "find_outside": "times_stats.tables.cell_faults",
    "ImageCells": "times_stats.tables.cells",
    "list_images": "times_stats.tables.cells",
    "read_image": "times_stats.tables.cells",
    "iterate_images": "times_stats.tables.cells",
    "count_cells": "times_stats.tables.cell_counts",
    "count_positive": "times_stats.tables.cell_counts",
    "write_cells": "times_stats.tables.cell_writing",
    "CellMeasures": "times_stats.tables.cell_measures",
    "CellSettings": "times_stats.tables.cell_settings",
    "FeatureSettings": "times_stats.tables.cell_settings",
    "RegionSettings": "times_stats.tables.cell_settings",
    "build_study": "times_stats.tables.study",
    "outcome": "times_stats.tables.study",
    "check_patients": "times_stats.tables.patients",
    "check_measurements": "times_stats.tables.measurements",
    "check_risks": "times_stats.tables.risk_files",
    "ForeignRisks": "times_stats.tables.risk_files",
    "read_table": "times_stats.tables.readers.formats",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
