"""The one place that wires the steps, from a study to its report."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "run": "times_stats.pipeline.analysis",
    "run_demo": "times_stats.pipeline.demonstration",
    "RunResult": "times_stats.pipeline.analysis",
    "apply_saved_model": "times_stats.pipeline.application",
    "compare_risks": "times_stats.pipeline.risk_comparison",
    "RiskComparison": "times_stats.pipeline.risk_comparison",
    "FrontSweep": "times_stats.pipeline.front_sweep",
    "sweep_front": "times_stats.pipeline.front_sweep",
    "write_features": "times_stats.pipeline.cell_features",
    "write_simulated_study": "times_stats.pipeline.simulated_files",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
