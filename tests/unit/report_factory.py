"""Made-up but realistic contents of a report, for the tests of figures and page."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from times_stats.nonparametric import logrank
from times_stats.report.contents import ReportContents

METRICS = {
    "concordance_harrell": (0.60, 0.030),
    "concordance_uno": (0.60, 0.032),
    "concordance_uno_within_folds": (0.60, 0.033),
    "auc_horizon": (0.62, 0.038),
    "brier_horizon": (0.235, 0.009),
    "ipa_horizon": (0.03, 0.025),
    "integrated_brier": (0.171, 0.006),
    "calibration_slope": (0.92, 0.28),
    "calibration_in_the_large": (0.01, 0.11),
}
MODELS = {
    "times_score": -0.002,
    "survival_model": 0.004,
    "raw_survival_model": 0.016,
    "ridge_cox": 0.006,
    "levels_ridge_cox": 0.034,
    "stage_and_score": 0.041,
    "tnm": -0.006,
    "bclc": 0.014,
    "no_predictors": -0.1,
}
REFERENCES = ("no_predictors", "tnm", "bclc", "levels_ridge_cox")


def make_comparison(*, n: int, events: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    lower_is_better = {"brier_horizon", "integrated_brier"}
    alone: dict[tuple[str, str], tuple[float, float]] = {}
    rows: list[dict[str, Any]] = []
    for model, shift in MODELS.items():
        for metric, (centre, se) in METRICS.items():
            effect = -0.3 * shift if metric in lower_is_better else shift
            estimate = centre + effect + rng.normal(0, se / 12)
            if metric == "ipa_horizon":
                estimate = 0.4 * (shift + 0.1)
            if model == "no_predictors":
                estimate = {"ipa_horizon": 0.0, "calibration_slope": np.nan}.get(
                    metric, 0.5 if "conc" in metric or "auc" in metric else estimate
                )
                se = 0.0 if metric != "brier_horizon" else se
            alone[model, metric] = (estimate, se)
    for reference in ("", *REFERENCES):
        for model in MODELS:
            if model == reference or (reference and model == "no_predictors"):
                continue
            for metric in METRICS:
                estimate, se = alone[model, metric]
                if reference:
                    estimate -= alone[reference, metric][0]
                    se = 0.8 * METRICS[metric][1]
                rows.append(
                    {
                        "model": model,
                        "reference": reference,
                        "metric": metric,
                        "estimate": estimate,
                        "lower": estimate - 1.96 * se,
                        "upper": estimate + 1.96 * se,
                        "se": se,
                        "n": n,
                        "events": events,
                    }
                )
    return pd.DataFrame(rows)


def make_integration() -> SimpleNamespace:
    rungs = {
        "stage": 0.594,
        "stage + levels": 0.641,
        "stage + tumour region alone": 0.612,
        "stage + all regions": 0.633,
        "levels": 0.627,
        "tumour region alone": 0.561,
        "all regions": 0.602,
    }
    table, differences = [], []
    for learner, shift in (("ridge_cox", 0.0), ("boosted_cox", -0.021)):
        for rung, value in rungs.items():
            table.append(_estimate(learner, rung, "", value + shift * (rung != "stage"), 0.031))
        pairs = (
            ("stage + levels", "stage"),
            ("stage + all regions", "stage + levels"),
            ("stage + all regions", "stage + tumour region alone"),
            ("all regions", "levels"),
        )
        for model, reference in pairs:
            row = _estimate(learner, model, reference, rungs[model] - rungs[reference], 0.017)
            differences.append({**row, "minimal_detectable_difference": 2.8 * 0.017})
    return SimpleNamespace(
        table=pd.DataFrame(table).drop(columns="reference"),
        differences=pd.DataFrame(differences),
        nulls=pd.DataFrame(
            {
                "null": ["conditional location", "label exchangeability"],
                "statistic": [12.5, 9.25],
                "p_value": [0.035, 0.21],
                "p_error": [0.0130, 0.0289],
                "n_permutations": [199, 199],
                "n": [101, 101],
                "events": [65, 65],
            }
        ),
        verdict="cannot tell",
        statement="Adding location to levels changed C (Uno) at 24 months by −0.025 (95 % interval "
        "−0.058 to 0.008); differences above 0.048 would have been found.",
        notes=["CXCL17 is scaled within each region: a region-free level is not identified."],
    )


def make_carriers(markers: tuple[str, ...]) -> SimpleNamespace:
    players = [(marker, part) for part in ("level", "location") for marker in markers]
    rows = [
        {
            "game": game,
            "player": f"{marker} {part}".strip(),
            "marker": marker,
            "part": part,
            "estimate": 0.02 - 0.004 * k if game == "performance" else 0.06 / (1 + k),
            "lower": -0.01 - 0.004 * k if game == "performance" else 0.05 / (1 + k),
            "upper": 0.05 - 0.004 * k if game == "performance" else 0.07 / (1 + k),
            "share": 0.4 - 0.08 * k if game == "performance" else np.nan,
            "share_lower": -0.2 if game == "performance" else np.nan,
            "share_upper": 1.1 if game == "performance" else np.nan,
        }
        for game in ("performance", "prediction")
        for k, (marker, part) in enumerate(
            [*players, *([("", "stage")] if game == "prediction" else [])]
        )
    ]
    totals = [
        {"game": "performance", "player": name, "marker": "", "part": "total", "estimate": value}
        for name, value in (("none", 0.639), ("all", 0.696), ("gain", 0.058))
    ]
    return SimpleNamespace(
        table=pd.DataFrame([*rows, *totals]),
        is_played=True,
        horizon=24.0,
        statement="Uno's C within folds at 24 months: 0.639 without players, 0.696 with all, gain "
        "0.058 (0.013 to 0.103).",
        notes=(),
    )


def _estimate(
    learner: str, model: str, reference: str, value: float, se: float
) -> dict[str, object]:
    return {
        "learner": learner,
        "model": model,
        "reference": reference,
        "metric": "concordance_uno_within_folds",
        "estimate": value,
        "lower": value - 1.96 * se,
        "upper": value + 1.96 * se,
        "se": se,
        "n": 227,
        "events": 143,
    }


def make_contents(
    *,
    markers: tuple[str, ...] = ("CXCL17", "CD57", "CD8", "CD4", "CD20", "CD15", "CD68"),
    n: int = 101,
    name: str = "Hepatocellular carcinoma, analysis B: complete markers",
    status: str = "converged",
    seed: int = 3,
    **changes: Any,
) -> ReportContents:
    """Return contents with made-up numbers; the same arguments give the same contents."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"P{k:03d}" for k in range(n)], name="patient_id")
    regions = {m: ["intratumoral", "nontumoral"] for m in markers}
    regions[markers[0]] = ["intratumoral", "nontumoral", "peritumoral"]
    columns = pd.MultiIndex.from_tuples(
        [(m, r) for m in sorted(markers) for r in regions[m]], names=["marker", "region"]
    )
    features = pd.DataFrame(rng.lognormal(3, 1, (n, len(columns))), index=ids, columns=columns)
    scale = np.linspace(0.02, 0.16, len(columns))
    ranks = features.rank(pct=True) - 0.5
    phi = ranks * scale * 2 * np.where(np.arange(len(columns)) % 3, 1, -1)
    phi = phi + rng.normal(0, 0.012, phi.shape)
    lp = phi.sum(axis=1)
    time = rng.weibull(0.9, n) * 42 * np.exp(-0.9 * lp)
    censored = rng.uniform(20, 85, n)
    event = (time <= censored).astype(int)
    time = np.minimum(time, censored).round(0)
    group = np.where(lp > lp.median(), "high", "low")
    outcome = pd.DataFrame({"time": time, "event": event}, index=ids)
    events = int(event.sum())
    weights = rng.dirichlet(np.linspace(3, 8, len(markers)), n)
    score = 1 - np.exp(-np.exp(lp - 0.4))
    scores = pd.DataFrame({"score": score, "se": 0.08, "risk_group": group}, index=ids)
    for k, marker in enumerate(markers):
        scores[f"weight_{marker}"] = weights[:, k] if len(markers) > 1 else 1.0
    mean = np.linspace(1.05, 0.18, len(columns))
    mean_absolute = phi.abs().mean().to_numpy()
    predicted = np.array([0.24, 0.36, 0.45, 0.55, 0.68])
    observed = np.array([0.31, 0.33, 0.52, 0.50, 0.61])
    keys = columns.to_frame(index=False)
    values: dict[str, Any] = {
        "study": SimpleNamespace(
            name=name,
            endpoint="recurrence-free survival",
            horizon=24.0,
            evaluate=SimpleNamespace(margin=0.03),
            scaled_by_region=(),
            cells=None,
        ),
        "flow": pd.DataFrame(
            {
                "step": ["in the table", "with a time", "with a complete marker"],
                "n_patients": [227, 227, n],
                "n_events": [143, 143, events],
                "reason": ["", "", f"{227 - n} patients without the markers of this analysis"],
            }
        ),
        "patterns": pd.DataFrame(
            {"pattern": ["complete"], "n_patients": [n], "n_events": [events]}
        ),
        "cohort_table": pd.DataFrame(
            {
                "cohort": ["all"],
                "patients": [n],
                "events": [events],
                "events_by_horizon": [int((event & (time <= 24)).sum())],
                "median_follow_up": [43.02],
                "survival_at_horizon": [0.5347],
            }
        ),
        "estimand": {
            "population": "Patients after resection of hepatocellular carcinoma, one centre",
            "time zero": "Day of resection",
            "endpoint": "Recurrence-free survival: recurrence or death, whichever comes first; no "
            "patient died without recurrence",
            "horizon": "24 months",
            "patients": f"{n} patients, {events} events",
            "performance": "4 times 5-fold nested cross-validation",
            "intervals": "95 % bootstrap over patients of stored out-of-fold predictions: "
            "conditional on the fitted models, about patients like these",
        },
        "scores": scores,
        "comparison": make_comparison(n=n, events=events, seed=seed),
        "risk_groups": outcome.assign(risk_group=group).reset_index(),
        "logrank_p": float(logrank(time, event, group).p_value),
        "hazard_ratios": pd.DataFrame(
            {
                "per": ["SD", "IQR", "0.1"],
                "hazard_ratio": [1.284, 1.421, 1.118],
                "lower": [1.041, 1.06, 1.02],
                "upper": [1.59, 1.903, 1.228],
            }
        ),
        "posterior": keys.assign(
            mean=mean, lower=mean - 0.72, upper=mean + 0.75, rhat=1.003, ess=812.0
        ),
        "diagnostics": {
            "status": status,
            "max_rhat": 1.004 if status == "converged" else 1.31,
            "min_ess": 812.4,
            "divergences": 0 if status == "converged" else 97,
            "reasons": []
            if status == "converged"
            else ["largest R-hat 1.31 is above 1.01", "97 divergent transitions"],
            "outer_fits": 20,
            "outer_fits_failed": 0,
        },
        "survival_status": status,
        "calibration": pd.DataFrame(
            {
                "group": range(1, 6),
                "predicted": predicted,
                "observed": observed,
                "lower": observed - 0.17,
                "upper": observed + 0.19,
                "n": [n // 5] * 5,
                "events": [n // 10] * 5,
            }
        ),
        "attribution": keys.assign(
            mean_absolute=mean_absolute,
            lower=mean_absolute * 0.82,
            upper=mean_absolute * 1.21,
            share=mean_absolute / mean_absolute.sum(),
        ),
        "phi": phi,
        "features": features,
        "integration": make_integration(),
        "carriers": make_carriers(markers),
        "rmst": pd.DataFrame(
            {
                "risk_group": ["high", "low"],
                "rmst": [14.7123, 18.2456],
                "lower": [13.1, 16.9],
                "upper": [16.2, 19.6],
                "n": [n // 2, n - n // 2],
            }
        ),
        "provenance": {
            "package": "times_stats 0.1.0",
            "seed": 1,
            "data_hash": "9f1c2b7d5a3e8c4407d1a6e2b95f3380c6d4e1f7a2b8093d5c7e6f1a4b2d9c80",
            "finished": "2026-11-22T02:10:44+00:00",
            "settings": {"baseline": "weibull", "draws": 500, "chains": 4},
            "versions": {"python": "3.12.12", "numpy": "2.5.5", "xgboost": "3.4.1"},
        },
        "notes": [
            "TNM and BCLC have two levels in these data: beating a two-level stage is not beating "
            "the staging system.",
            "No external cohort was used: nothing here says how the score does in other hospitals.",
        ],
        "survival_notes": [
            "The survival model ranks these patients worse than a ridge Cox model on levels: "
            "difference in Uno's C -0.030 (-0.071 to 0.011).",
        ],
        "warnings": ["Censoring differs between cohorts (log-rank p 6e-16)."],
        "slope_prior": (-0.8, 1.8),
    }
    return ReportContents(**{**values, **changes})


def make_demo(*, status: str = "converged") -> list[ReportContents]:
    """Return the two analyses of the demo."""
    first = make_contents(
        markers=("CXCL17",),
        n=227,
        name="Hepatocellular carcinoma, analysis A: all patients",
        seed=5,
        rmst=pd.DataFrame(
            {"risk_group": ["high"], "rmst": [12.34], "lower": [11.0], "upper": [13.9], "n": [113]}
        ),
    )
    return [first, make_contents(status=status)]
