"""The report: one self-contained HTML page over the tables of a run."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "ReportContents": "times_stats.report.contents",
    "write_report": "times_stats.report.page",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
