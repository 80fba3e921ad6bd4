"""Discrimination, calibration, error and utility of predictions: arrays in, numbers out."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "concordance_harrell": "times_stats.evaluation.discrimination",
    "concordance_uno": "times_stats.evaluation.discrimination",
    "time_dependent_auc": "times_stats.evaluation.discrimination",
    "brier_score": "times_stats.evaluation.brier",
    "integrated_brier": "times_stats.evaluation.brier",
    "index_of_prediction_accuracy": "times_stats.evaluation.brier",
    "calibration_slope": "times_stats.evaluation.calibration",
    "calibration_in_the_large": "times_stats.evaluation.calibration",
    "calibration_groups": "times_stats.evaluation.calibration",
    "calibration_curve": "times_stats.evaluation.smooth_calibration",
    "ici": "times_stats.evaluation.smooth_calibration",
    "observed_expected": "times_stats.evaluation.observed_events",
    "ObservedExpected": "times_stats.evaluation.observed_events",
    "net_benefit": "times_stats.evaluation.decision",
    "threshold_accuracy": "times_stats.evaluation.decision",
    "CensoringCurves": "times_stats.evaluation.censoring_curves",
    "cox_censoring": "times_stats.evaluation.censoring_curves",
    "InfluenceEstimate": "times_stats.evaluation.influence",
    "estimate_auc": "times_stats.evaluation.influence",
    "estimate_brier": "times_stats.evaluation.influence",
    "estimate_concordance_harrell": "times_stats.evaluation.influence",
    "estimate_concordance_uno": "times_stats.evaluation.influence",
    "BootstrapEstimate": "times_stats.evaluation.stratified_bootstrap",
    "bootstrap_metric": "times_stats.evaluation.stratified_bootstrap",
    "cohort_metrics": "times_stats.evaluation.stratified_bootstrap",
    "CohortPool": "times_stats.evaluation.cohort_pooling",
    "pool_cohorts": "times_stats.evaluation.cohort_pooling",
    "log_density_score": "times_stats.evaluation.log_density",
    "Prediction": "times_stats.evaluation.comparison",
    "compare": "times_stats.evaluation.comparison",
    "compare_pairs": "times_stats.evaluation.paired_differences",
    "compare_subgroups": "times_stats.evaluation.subgroups",
    "simultaneous_intervals": "times_stats.evaluation.paired_differences",
    "minimal_sample_size": "times_stats.evaluation.sample_size",
    "PredictionInstability": "times_stats.evaluation.instability",
    "prediction_instability": "times_stats.evaluation.instability",
    "optimism": "times_stats.evaluation.apparent",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
