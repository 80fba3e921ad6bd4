"""From cells in tissue regions to an honest prognosis."""

from __future__ import annotations

from times_stats._lazy import attach

__version__ = "0.1.0"

_EXPORTS = {
    "Study": "times_stats.tables.study",
    "read_study": "times_stats.studies.reading",
    "TimesScore": "times_stats.score.times_score",
    "run": "times_stats.pipeline",
    "RunResult": "times_stats.pipeline",
    **{
        name: f"times_stats.{name}"
        for name in (
            "attribution",
            "audit",
            "boosting",
            "datasets",
            "errors",
            "evaluation",
            "features",
            "model_files",
            "nonparametric",
            "pipeline",
            "plots",
            "provenance",
            "regions",
            "report",
            "resampling",
            "rivals",
            "score",
            "simulate",
            "staging",
            "studies",
            "survival",
            "tables",
        )
    },
}
__all__ = ["__version__", *_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
