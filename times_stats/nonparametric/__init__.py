"""Estimates without a model: Kaplan-Meier and its relatives, log-rank, censoring weights.

Ties everywhere: at the same time events precede censorings.
"""

from __future__ import annotations

from times_stats.nonparametric.censoring import (
    CensoringDistribution,
    censoring_distribution,
    check_censoring_strata,
    check_horizon,
)
from times_stats.nonparametric.censoring_weights import ipcw_weights, weights_at
from times_stats.nonparametric.estimators import (
    aalen_johansen,
    kaplan_meier,
    nelson_aalen,
    reverse_kaplan_meier,
)
from times_stats.nonparametric.log_rank import LogRankResult, logrank
from times_stats.nonparametric.restricted_mean import RestrictedMean, restricted_mean_survival
from times_stats.nonparametric.step_curve import StepCurve

__all__ = [
    "CensoringDistribution",
    "LogRankResult",
    "RestrictedMean",
    "StepCurve",
    "aalen_johansen",
    "censoring_distribution",
    "check_censoring_strata",
    "check_horizon",
    "ipcw_weights",
    "kaplan_meier",
    "logrank",
    "nelson_aalen",
    "restricted_mean_survival",
    "reverse_kaplan_meier",
    "weights_at",
]
