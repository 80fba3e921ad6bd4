"""Simulated studies with known truth: stainings by region, or cells in tissue, and an outcome."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "PatientDesign": "times_stats.simulate.patient_outcomes",
    "simulate_cells": "times_stats.simulate.cell_studies",
    "simulate_published_study": "times_stats.simulate.published_design",
    "simulate_study": "times_stats.simulate.stainings",
    "SimulatedStudy": "times_stats.simulate.simulated",
    "TissueDesign": "times_stats.simulate.tissue",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
