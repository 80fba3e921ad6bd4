"""One gradient-boosted model per marker, cross-fitted into out-of-fold evidence."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "MarkerModel": "times_stats.boosting.marker_model",
    "MarkerEvidence": "times_stats.boosting.marker_model",
    "MarkerBootstrap": "times_stats.boosting.bootstrapping",
    "CrossFit": "times_stats.boosting.crossfitting",
    "NewEvidence": "times_stats.boosting.evidence",
    "apply_models": "times_stats.boosting.evidence",
    "bootstrap_models": "times_stats.boosting.bootstrapping",
    "crossfit": "times_stats.boosting.crossfitting",
    "out_of_fold_evidence": "times_stats.boosting.evidence",
    "out_of_fold_log_hazard": "times_stats.boosting.evidence",
    "out_of_fold_margin": "times_stats.boosting.evidence",
    "out_of_fold_margin_variance": "times_stats.boosting.evidence",
    "Tuning": "times_stats.boosting.tuning",
    "default_candidates": "times_stats.boosting.tuning",
    "tune": "times_stats.boosting.tuning",
    "BreslowBaseline": "times_stats.boosting.calibration",
    "estimate_baseline": "times_stats.boosting.calibration",
    "complementary_log_log": "times_stats.boosting.calibration",
    "event_probability": "times_stats.boosting.calibration",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
