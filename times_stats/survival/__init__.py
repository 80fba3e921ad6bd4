"""Bayesian hierarchical survival model: evidence by region in, survival curves out."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "SurvivalSpec": "times_stats.survival.spec",
    "Covariate": "times_stats.survival.covariates",
    "mspline_basis": "times_stats.survival.baseline",
    "read_outcome": "times_stats.survival.outcomes",
    "compile_survival": "times_stats.survival.sampling",
    "fit_survival": "times_stats.survival.sampling",
    "TrainingTables": "times_stats.survival.result",
    "SurvivalFit": "times_stats.survival.result",
    "predict_survival": "times_stats.survival.prediction",
    "predict_rmst": "times_stats.survival.prediction",
    "predict_event_probability": "times_stats.survival.prediction",
    "predict_hazard_ratio": "times_stats.survival.prediction",
    "predict_cumulative_incidence": "times_stats.survival.competing",
    "linear_predictor": "times_stats.survival.prediction",
    "Diagnostics": "times_stats.survival.diagnostics",
    "draw_prior": "times_stats.survival.prior",
    "prior_survival": "times_stats.survival.prior",
    "rank_truths": "times_stats.survival.sbc",
    "check_ranks": "times_stats.survival.sbc",
    "log_prior": "times_stats.survival.sensitivity",
    "prior_sensitivity": "times_stats.survival.sensitivity",
    "predictive_kaplan_meier": "times_stats.survival.predictive_checks",
    "refit_loo": "times_stats.survival.influence",
    "LeaveOneOut": "times_stats.survival.influence",
    "stacking_weights": "times_stats.survival.influence",
    "check_proportional_hazards": "times_stats.survival.proportional_hazards",
    "score_test_of_constant_effects": "times_stats.survival.proportional_hazards",
    "update_cohort": "times_stats.survival.updating",
    "leave_one_cohort_out": "times_stats.survival.left_out_cohorts",
    "LeftOutCohorts": "times_stats.survival.left_out_cohorts",
    "SurvivalModel": "times_stats.survival.estimator",
    "effect_profile": "times_stats.survival.summaries",
    "covariate_summary": "times_stats.survival.summaries",
    "posterior_summary": "times_stats.survival.checks",
    "loo": "times_stats.survival.checks",
    "save_posterior": "times_stats.survival.storage",
    "load_posterior": "times_stats.survival.storage",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
