"""Real data shipped with the package, with licence and citation beside each table."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "load_hcc_ihc": "times_stats.datasets.hepatocellular",
    "hcc_ihc_study_file": "times_stats.datasets.hepatocellular",
    "load_times_published": "times_stats.datasets.published",
    "load_lung_vectra": "times_stats.datasets.lung",
    "lung_vectra_folder": "times_stats.datasets.lung",
    "lung_vectra_study_file": "times_stats.datasets.lung",
    "PublishedTimes": "times_stats.datasets.published",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
