"""What a run found, in the tables and sentences that its report shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from times_stats._typing import FloatArray
from times_stats.attribution.carriers import Carriers
from times_stats.attribution.integration import IntegrationResult
from times_stats.evaluation.calibration import calibration_groups
from times_stats.features.located_cells import LocatedCells
from times_stats.features.matrix import missing_patterns
from times_stats.nonparametric import kaplan_meier, reverse_kaplan_meier
from times_stats.pipeline.nested import SCORE, SURVIVAL, NestedPredictions, failed_models
from times_stats.pipeline.preparation import Prepared
from times_stats.pipeline.risk_groups import average_hazard_ratios, stratified_log_rank
from times_stats.pipeline.steps import Fitted
from times_stats.report.contents import ReportContents
from times_stats.survival.checks import posterior_summary
from times_stats.survival.prediction import predict_rmst
from times_stats.survival.sampling import SurvivalFit

SAME_MARKERS = {
    "ridge_cox": "ridge Cox on every region",
    "levels_ridge_cox": "ridge Cox on marker levels",
    "raw_survival_model": "the Bayesian model on raw values",
}


def cohort_table(outcome: pd.DataFrame, *, horizon: float) -> pd.DataFrame:
    """Describe each cohort: patients, events, follow-up, survival at the horizon.

    Parameters
    ----------
    outcome : DataFrame
        Columns ``time`` (months), ``event``, ``cohort``.
    horizon : float
        Landmark, months.

    Returns
    -------
    DataFrame
        One row per cohort; follow-up is the reverse Kaplan-Meier median.

    Examples
    --------
    >>> import pandas as pd
    >>> y = pd.DataFrame({"time": [5.0, 9, 30, 40], "event": [1, 1, 0, 0], "cohort": "a"})
    >>> cohort_table(y, horizon=24)["survival_at_horizon"].item()
    0.5
    """
    rows = []
    for name, part in outcome.groupby("cohort", sort=True):
        curve = kaplan_meier(part["time"], part["event"])
        rows.append(
            {
                "cohort": name,
                "patients": len(part),
                "events": int(part["event"].sum()),
                "events_by_horizon": int(((part["event"] == 1) & (part["time"] <= horizon)).sum()),
                "median_follow_up": reverse_kaplan_meier(part["time"], part["event"]).quantile(0.5),
                "survival_at_horizon": float(curve.at(np.array([horizon]))[0]),
            }
        )
    return pd.DataFrame(rows)


def supported_parameters(n: int, events: int, *, shrinkage: float = 0.9) -> float:
    """Return the number of parameters a cohort supports at an expected shrinkage.

    Riley's criterion for time-to-event models with an anticipated Cox-Snell R2 of 15 % of its
    maximum: ``p = n (S - 1) log(1 - R2 / S)``, where ``max R2 = 1 - exp(2 l0 / n)`` and
    ``l0 = E log(E / n) - E`` for `events` E (Riley et al. 2019, doi:10.1002/sim.7992).

    Parameters
    ----------
    n, events : int
        Patients and events.
    shrinkage : float, default 0.9
        Smallest acceptable expected uniform shrinkage factor S.

    Returns
    -------
    float
        Number of candidate parameters.

    Examples
    --------
    >>> round(supported_parameters(227, 143), 1)
    3.4
    """
    null = events * np.log(events / n) - events
    r2 = 0.15 * (1 - np.exp(2 * null / n))
    return float(n * (shrinkage - 1) * np.log1p(-r2 / shrinkage))


def _estimand(prepared: Prepared) -> dict[str, str]:
    study, y = prepared.study, prepared.outcome
    return {
        "population": study.population or f"{study.name}; not described further in the study file",
        "time zero": study.time_zero or "not stated in the study file",
        "endpoint": study.endpoint,
        "horizon": f"{study.horizon:g} months",
        "patients": f"{len(y)} patients, {int(y['event'].sum())} events",
        "performance": (
            f"{prepared.folds.shape[0]} times {len(np.unique(prepared.folds))}-fold nested "
            "cross-validation: every model, the survival model included, is learned without the "
            "patients it is judged on"
        ),
        "intervals": (
            "95 % bootstrap over patients of stored out-of-fold predictions: conditional on the "
            "fitted models, about patients like these"
        ),
    }


def _row(comparison: pd.DataFrame, model: str, metric: str) -> dict[str, float]:
    chosen = (
        (comparison["model"] == model)
        & (comparison["metric"] == metric)
        & (comparison["reference"] == "")
    )
    row = comparison.loc[chosen, ["estimate", "lower", "upper"]]
    return {str(name): float(row[name].item()) for name in row.columns}


def _score_notes(comparison: pd.DataFrame, failed: set[str], *, n_markers: int) -> list[str]:
    """Say where our own architecture loses, and whether its probabilities are too alike."""
    notes, metric = [], "concordance_uno_within_folds"
    own = _row(comparison, SCORE, metric)["estimate"]
    ahead = [
        f"{name} ({_row(comparison, model, metric)['estimate']:.3f})"
        for model, name in SAME_MARKERS.items()
        if model not in failed and _row(comparison, model, metric)["estimate"] > own
    ]
    if ahead:
        notes.append(
            "One boosted model per marker is not the best use of these markers: with a "
            f"C within folds of {own:.3f} the TIMES score lies behind {' and '.join(ahead)}."
        )
    slope = _row(comparison, SCORE, "calibration_slope")
    if slope["lower"] > 1 or slope["upper"] < 1:
        flat = slope["lower"] > 1
        side = "too close together" if flat else "too far apart"
        reason = ": averaging over markers flattens it" if flat and n_markers > 1 else ""
        notes.append(
            f"The probabilities of the TIMES score are {side}: calibration slope "
            f"{slope['estimate']:.2f} ({slope['lower']:.2f} to {slope['upper']:.2f}). Read the "
            f"score as an index{reason}."
        )
    return notes


def _notes(
    prepared: Prepared,
    nested: NestedPredictions,
    integration: IntegrationResult,
    carriers: Carriers,
    fit: SurvivalFit,
) -> list[str]:
    study, y = prepared.study, prepared.outcome
    notes = []
    for system in prepared.stages.columns.astype(str):
        n_levels = prepared.stages[system].nunique()
        if n_levels <= 2:
            notes.append(
                f"{system.upper()} has {'one level' if n_levels == 1 else 'two levels'} in these "
                "data: beating it is not beating the staging system."
            )
    scaled = study.scaled_by_region
    if scaled:
        notes.append(
            f"{', '.join(scaled)}: every region has about the same mean, so each region was "
            "probably scaled on its own; a level that is free of region is not identified, and "
            "'level' here means the mean of the scaled values."
        )
    supported = supported_parameters(len(y), int(y["event"].sum()))
    notes.append(
        f"{len(y)} patients with {int(y['event'].sum())} events support about {supported:.1f} "
        "candidate parameters of a regression at an expected shrinkage of 0.9, if a model explains "
        "15 % of what can be explained (Riley 2019); the marker models look at "
        f"{prepared.features.shape[1]} marker-region values."
    )
    n_missing = int(prepared.features.isna().to_numpy().sum())
    if n_missing:
        notes.append(
            f"{n_missing} of {prepared.features.size} values are missing. The Cox rivals and the "
            "model on raw values take the training mean in their place; a marker that is not "
            "measured in all its regions gives a patient no evidence, which the survival model "
            "reads as average."
        )
    moved, dropped = fit.baseline.n_shifted, fit.baseline.n_uninformative
    if moved or dropped:
        notes.append(
            f"Follow-up of 0: {moved} events were moved to half the smallest positive time, and "
            f"{dropped} patients censored at 0 say nothing about survival."
        )
    if nested.uninformative:
        n_splits = sum(len(np.unique(labels)) for labels in nested.folds)
        counts = ", ".join(f"{name} in {n}" for name, n in sorted(nested.uninformative.items()))
        notes.append(
            f"Of {n_splits} outer training sets, no model of a marker found a split for {counts}: "
            "there the marker had weight 0."
        )
    if any(nested.tuned):
        chosen = Counter(
            ", ".join(f"{name} {value:g}" for name, value in each.items()) for each in nested.tuned
        )
        counts = "; ".join(f"{what} in {n}" for what, n in chosen.most_common())
        notes.append(
            f"Marker models were tuned inside each of {len(nested.tuned)} outer training sets: "
            f"{counts}."
        )
    if nested.n_borrowed:
        notes.append(
            f"{nested.n_borrowed} predictions of a stage that a training set does not hold were "
            "taken from the next lower stage."
        )
    for model, reason in failed_models(nested.fits).items():
        notes.append(f"{model.replace('_', ' ').capitalize()}: {reason}; it is not shown.")
    n_cohorts = y["cohort"].nunique()
    if n_cohorts > 1:
        notes.append(
            "The TIMES score and the recorded stages do not know the cohort; the Cox rivals, the "
            "Bayesian models and the null model do. Compare them by C within folds, which ranks "
            "patients of one cohort only, not by Brier scores or pooled C."
        )
    if 1 < n_cohorts < 5:
        notes.append(
            f"The spread between {n_cohorts} cohorts rests on its prior more than on the data."
        )
    notes.append(
        "No external cohort was used: nothing here says how the score does in other hospitals."
    )
    notes.extend(integration.notes)
    notes.extend(carriers.notes)
    return notes


def _survival_notes(
    prepared: Prepared, nested: NestedPredictions, comparison: pd.DataFrame
) -> list[str]:
    horizon, notes = prepared.study.horizon, []
    if len(nested.folds) > 1:
        spread = nested.survival[SURVIVAL][:, :, -1].std(axis=0, ddof=1)
        notes.append(
            f"Instability: learned again on other folds of the same patients, the predicted "
            f"survival at {horizon:g} months moves by a standard deviation of "
            f"{np.median(spread):.3f} in the median patient and {np.quantile(spread, 0.95):.3f} "
            "in one of twenty."
        )
    large = _row(comparison, SURVIVAL, "calibration_in_the_large")
    if large["lower"] > 0 or large["upper"] < 0:
        side = "low" if large["estimate"] > 0 else "high"
        notes.append(
            f"The event probabilities of the survival model ({prepared.spec.baseline} baseline) "
            f"at {horizon:g} months are too {side} by {abs(large['estimate']):.2f} on average "
            f"({large['lower']:.2f} to {large['upper']:.2f})."
        )
    return notes


def describe(
    prepared: Prepared,
    fitted: Fitted,
    *,
    scores: pd.DataFrame,
    phi: pd.DataFrame,
    attribution: pd.DataFrame,
    provenance: dict[str, Any],
    warnings: list[str],
    tissue: LocatedCells | None = None,
    audit: pd.DataFrame,
) -> ReportContents:
    """Gather the report's contents.

    Parameters
    ----------
    prepared : Prepared
        The analysed patients.
    fitted : Fitted
        What the steps made.
    scores, attribution : DataFrame
        As in the files of the run.
    phi : DataFrame
        Contribution of each marker in each region to each patient's score.
    provenance : dict
        Versions, hashes and seed.
    warnings : list of str
        What was warned of while the data were prepared.
    tissue : LocatedCells, optional
        An image to show, in a study with cells.
    audit : DataFrame
        Findings, from the checks of the run.

    Returns
    -------
    ReportContents
        What `write_report` shows.
    """
    nested, fit, integration = fitted.nested, fitted.fit, fitted.integration
    study, y = prepared.study, prepared.outcome
    groups = y[["time", "event"]].assign(risk_group=scores["risk_group"])
    survival: FloatArray = nested.survival[SURVIVAL][:, :, -1].mean(axis=0)
    outer = nested.fits[nested.fits["model"] == SURVIVAL]
    failed = failed_models(nested.fits)
    reasons = [*fit.diagnostics.reasons, *([failed[SURVIVAL]] if SURVIVAL in failed else [])]
    status = "failed" if reasons else "converged"
    diagnostics = {
        "status": status,
        "max_rhat": float(fit.diagnostics.max_rhat),
        "min_ess": float(fit.diagnostics.min_ess),
        "divergences": int(fit.diagnostics.divergences),
        "reasons": reasons,
        "outer_fits": len(outer),
        "outer_fits_failed": int((outer["status"] == "failed").sum()),
        "outer_max_rhat": float(outer["max_rhat"].max()),
    }
    rmst = _rmst_by_group(fit, fitted.evidence, prepared, groups)
    ratios = average_hazard_ratios(y, 1 - nested.survival[SCORE][:, :, -1], nested.folds)
    steps = [
        f"{per.upper()} ({unit:.3f})" if per.isalpha() else str(per)
        for per, unit in zip(ratios["per"], ratios["unit"], strict=True)
    ]
    return ReportContents(
        study=study,
        flow=study.flow,
        patterns=missing_patterns(prepared.table),
        cohort_table=cohort_table(y, horizon=study.horizon),
        estimand=_estimand(prepared),
        scores=scores,
        comparison=fitted.comparison,
        risk_groups=groups.reset_index(),
        logrank_p=stratified_log_rank(y, nested.above_cut, nested.folds),
        hazard_ratios=ratios.assign(per=steps),
        posterior=posterior_summary(fit),
        diagnostics=diagnostics,
        survival_status=status,
        calibration=calibration_groups(y["time"], y["event"], survival, horizon=study.horizon),
        attribution=attribution,
        phi=phi,
        integration=integration,
        carriers=fitted.carriers,
        rmst=rmst,
        provenance=provenance,
        notes=_score_notes(
            fitted.comparison,
            set(failed),
            n_markers=prepared.features.columns.get_level_values(0).nunique(),
        )
        + _notes(prepared, nested, integration, fitted.carriers, fit),
        survival_notes=_survival_notes(prepared, nested, fitted.comparison),
        failed_models=frozenset(failed) - {SURVIVAL},
        warnings=warnings,
        features=prepared.features,
        tissue=tissue,
        evidence_unit=_evidence_unit(prepared),
        audit=audit,
    )


def _evidence_unit(prepared: Prepared) -> str:
    model = prepared.settings.marker_model()
    # Tuning also chooses the scale of the failure times, and with it the unit.
    if prepared.settings.tuning and model.objective == "survival:aft":
        return "negative log time"
    return model.margin_unit


def _rmst_by_group(
    fit: SurvivalFit, evidence: pd.DataFrame, prepared: Prepared, groups: pd.DataFrame
) -> pd.DataFrame:
    draws = predict_rmst(
        fit, evidence, horizon=prepared.study.horizon, cohort=prepared.outcome["cohort"]
    ).to_numpy()
    rows = []
    for name, index in groups.groupby("risk_group").indices.items():
        mean = draws[:, index].mean(axis=1)
        low, high = np.quantile(mean, [0.025, 0.975])
        part = groups.iloc[index]
        observed = _observed_rmst(part, horizon=prepared.study.horizon)
        rows.append(
            {
                "risk_group": name,
                "rmst": mean.mean(),
                "lower": low,
                "upper": high,
                "observed": observed,
                "n": len(index),
            }
        )
    return pd.DataFrame(rows)


def _observed_rmst(part: pd.DataFrame, *, horizon: float) -> float:
    """Area under the Kaplan-Meier curve up to the horizon."""
    curve = kaplan_meier(part["time"], part["event"])
    knots = np.concatenate([[0.0], curve.times[curve.times < horizon], [horizon]])
    return float((np.diff(knots) * curve.at(knots[:-1])).sum())
