"""Rivals every score is compared with: penalised Cox regression, a recorded stage, no covariate."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "RidgeCox": "times_stats.rivals.cox",
    "StageModel": "times_stats.rivals.stage",
    "NullModel": "times_stats.rivals.marginal",
    "AddedValue": "times_stats.rivals.nested_likelihood",
    "added_value": "times_stats.rivals.nested_likelihood",
    "hazard_ratios": "times_stats.rivals.hazard_scale",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
