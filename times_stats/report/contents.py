"""What a report shows: one frozen record per analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from times_stats.attribution.carriers import Carriers
    from times_stats.attribution.integration import IntegrationResult
    from times_stats.features.located_cells import LocatedCells
    from times_stats.tables.study import Study

SURVIVAL_MODEL = "survival_model"
"""Key of the survival model in the comparison table."""


@dataclass(frozen=True, slots=True)
class ReportContents:
    """Everything one analysis shows in the report.

    Attributes
    ----------
    study : Study
        The study as analysed.
    flow : DataFrame
        ``step``, ``n_patients``, ``n_events``, ``reason``: who was left out, and why.
    patterns : DataFrame
        ``pattern``, ``n_patients``, ``n_events``: which measurements are missing together.
    cohort_table : DataFrame
        One row per cohort.
    estimand : dict of str to str
        Population, time zero, endpoint with its handling of death, horizon, and who the
        intervals are about; shown first, in this order.
    scores : DataFrame
        Out-of-fold score, interval, weights and risk group, a row per patient.
    comparison : DataFrame
        ``model``, ``reference``, ``metric``, ``estimate``, ``lower``, ``upper``, ``n``,
        ``events``: the models and their paired differences.
    risk_groups : DataFrame
        ``patient_id``, ``time`` (months), ``event``, ``risk_group``.
    logrank_p : float
        Log-rank p-value of the risk groups.
    hazard_ratios : DataFrame
        ``per``, ``hazard_ratio``, ``lower``, ``upper`` of the score.
    posterior : DataFrame
        ``marker``, ``region``, ``mean``, ``lower``, ``upper`` of each slope, conditional on z.
    diagnostics : dict
        ``status`` ("converged" or "failed"), ``reasons`` and figures of the sampler.
    survival_status : str
        Status of the survival model.
    calibration : DataFrame
        ``group``, ``predicted``, ``observed``, ``lower``, ``upper``, ``n``; with several models
        also ``model``, else it is the survival model's.
    attribution : DataFrame
        ``marker``, ``region``, ``mean_absolute``, ``lower``, ``upper``, ``share``.
    phi : DataFrame, shape (n_patients, n_features)
        Contribution of each marker and region to each patient's linear predictor.
    integration : IntegrationResult
        The level-or-location ladder and its verdict.
    rmst : DataFrame
        ``risk_group``, ``rmst`` (months), ``lower``, ``upper``, ``n``.
    provenance : dict
        Versions, hashes, seed; shown as it is.
    notes : list of str
        What the data do not show.
    survival_notes : list of str
        Notes that quote the survival model; withheld if it failed its checks.
    carriers : Carriers, optional
        Shapley values of levels and locations.
    tissue : LocatedCells, optional
        An image to show, in a study with cells.
    failed_models : frozenset of str
        Other models whose posterior fits failed their checks; their rows are withheld.
    warnings : list of str
        Warnings of the run.
    features : DataFrame, optional
        Measurements in the shape of `phi`; they colour the contributions.
    slope_prior : tuple of float, optional
        Prior interval of one slope, drawn under the posterior.
    evidence_unit : str
        Unit of the evidence and its contributions (`MarkerModel.margin_unit`).
    audit : DataFrame, optional
        ``check``, ``status``, ``what``, ``patients``, ``remedy``: findings of the audit.
    label : str
        Short name of the analysis where two stand side by side; the study's name if empty.

    Examples
    --------
    >>> "estimand" in ReportContents.__dataclass_fields__
    True
    """

    study: Study
    flow: pd.DataFrame
    patterns: pd.DataFrame
    cohort_table: pd.DataFrame
    estimand: Mapping[str, str]
    scores: pd.DataFrame
    comparison: pd.DataFrame
    risk_groups: pd.DataFrame
    logrank_p: float
    hazard_ratios: pd.DataFrame
    posterior: pd.DataFrame
    diagnostics: Mapping[str, Any]
    survival_status: str
    calibration: pd.DataFrame
    attribution: pd.DataFrame
    phi: pd.DataFrame
    integration: IntegrationResult
    rmst: pd.DataFrame
    provenance: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    features: pd.DataFrame | None = None
    slope_prior: tuple[float, float] | None = None
    label: str = ""
    evidence_unit: str = "log hazard"
    survival_notes: list[str] = field(default_factory=list)
    failed_models: frozenset[str] = frozenset()
    tissue: LocatedCells | None = None
    carriers: Carriers | None = None
    audit: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def title(self) -> str:
        """Short name of the analysis."""
        return self.label or self.study.name

    @property
    def survival_is_shown(self) -> bool:
        """Whether the survival model converged, so that its numbers may be shown."""
        return self.diagnostics.get("status") == "converged" and self.survival_status != "failed"

    @property
    def shown_comparison(self) -> pd.DataFrame:
        """Comparison table without models that failed their checks."""
        table = self.comparison.assign(reference=self.comparison["reference"].fillna(""))
        failed = set(self.failed_models)
        if not self.survival_is_shown:
            failed.add(SURVIVAL_MODEL)
        return table[~table["model"].isin(failed) & ~table["reference"].isin(failed)]

    @property
    def shown_calibration(self) -> pd.DataFrame:
        """Calibration table without the survival model if that failed its checks."""
        if self.survival_is_shown:
            return self.calibration
        if "model" in self.calibration:
            return self.calibration[self.calibration["model"] != SURVIVAL_MODEL]
        return self.calibration.iloc[:0]

    @property
    def shown_notes(self) -> list[str]:
        """Notes, with those on the survival model unless it failed its checks."""
        return [*self.notes, *(self.survival_notes if self.survival_is_shown else [])]
