"""Does tuning the marker models help? Fixed defaults, tuned models and AFT, on patients left out.

``slope`` is that of the score, ``marker_slope`` the mean slope of the markers' own models.

python benchmarks/coverage/tuning.py > benchmarks/coverage/tuning.txt
"""

from __future__ import annotations

import argparse
import time as clock
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from times_stats.boosting.calibration import complementary_log_log
from times_stats.boosting.evidence import apply_models, out_of_fold_log_hazard
from times_stats.boosting.marker_model import MarkerModel
from times_stats.datasets import load_hcc_ihc
from times_stats.errors import DataWarning
from times_stats.evaluation.calibration import calibration_slope
from times_stats.evaluation.discrimination import concordance_harrell
from times_stats.features.matrix import build_feature_table
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.score.times_score import TimesScore
from times_stats.simulate import simulate_study
from times_stats.tables.study import build_study, outcome

HORIZON = 24.0
METRICS = ("C", "slope", "miss", "marker_slope")
N_TRAIN, N_FRESH = 163, 1000
SIGNALS = {
    "none": {"effect": 0.0, "location_effect": 0.0},
    "weak": {"effect": 0.3, "location_effect": 0.2},
    "strong": {"effect": 0.7, "location_effect": 0.7},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "cox, fixed": {},
    "cox, tuned": {"tuning": "default"},
    "aft normal": {"model": MarkerModel(objective="survival:aft", aft_distribution="normal")},
    "aft extreme": {"model": MarkerModel(objective="survival:aft", aft_distribution="extreme")},
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=2, help="of the outer loop on real data")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    started = clock.process_time()
    rows: list[dict[str, Any]] = []
    choices: dict[str, Counter[str]] = {}
    for signal, effects in SIGNALS.items():
        for number in range(options.studies):
            rows += simulated(signal, effects, number, choices)
    for analysis, letter in (("all", "A"), ("complete", "B")):
        rows += real(analysis, f"hcc {letter}", options.repeats, choices)
    table = pd.DataFrame(rows)
    print("C and calibration slope on patients left out; means over studies (hcc: outer repeats)")
    print(
        table.groupby(["data", "settings"], sort=False)[list(METRICS)].mean().round(3).to_string()
    )
    print("\nTuned less fixed (cox), paired; se over studies", end=" ")
    print("(hcc: none, the repeats share patients)")
    print(paired(table).round(3).to_string())
    print("\nWhat was chosen")
    for data, counter in choices.items():
        print(f"{data}: " + "; ".join(f"{what} in {n}" for what, n in counter.most_common()))
    seconds = clock.process_time() - started
    print(f"\nmiss: |log slope|, slopes below .1 counted as .1; {seconds:.0f} s")


def simulated(
    signal: str, effects: dict[str, float], number: int, choices: dict[str, Counter[str]]
) -> list[dict[str, Any]]:
    """Learn on 163 patients, judge on 1,000 fresh ones."""
    made = simulate_study(
        n_patients=N_TRAIN + N_FRESH, markers=5, regions=2, seed=900 + number, **effects
    )
    study = build_study(
        {"study": {"name": "s", "endpoint": "event", "horizon": HORIZON}},
        made.patients,
        made.measurements,
    )
    features, y = build_feature_table(study).values, outcome(study)
    order = spawn_rng(5, "split", signal, number).permutation(len(y))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    rows = []
    for name, options in SETTINGS.items():
        told = learn(features, y, train, test, options, number, signal, choices)
        rows.append({"data": signal, "settings": name, "unit": number, **judge(y.iloc[test], told)})
    return rows


def real(
    analysis: str, label: str, repeats: int, choices: dict[str, Counter[str]]
) -> list[dict[str, Any]]:
    """Outer loop on the shipped data; metrics within a repeat, slopes over the whole repeat."""
    study = load_hcc_ihc(analysis)  # type: ignore[arg-type]
    features, y = build_feature_table(study).values, outcome(study)
    folds = assign_folds(
        y.index.to_numpy(),
        strata=y["event"].to_numpy(),
        n_folds=5,
        n_repeats=repeats,
        rng=spawn_rng(6, "outer", analysis),
    )
    rows = []
    for name, options in SETTINGS.items():
        for repeat, labels in enumerate(folds):
            told = []
            for fold in np.unique(labels):
                train, test = np.flatnonzero(labels != fold), np.flatnonzero(labels == fold)
                told.append(
                    learn(features, y, train, test, options, 10 * repeat + fold, label, choices)
                )
            both = pd.concat(told).loc[y.index]
            rows.append({"data": label, "settings": name, "unit": repeat, **judge(y, both)})
    return rows


def learn(
    features: pd.DataFrame,
    y: pd.DataFrame,
    train: np.ndarray,
    test: np.ndarray,
    options: dict[str, Any],
    seed: int,
    data: str,
    choices: dict[str, Counter[str]],
) -> pd.DataFrame:
    """Return the test patients' log cumulative hazard, of the score and of each marker's models."""
    score = TimesScore(horizon=HORIZON, n_folds=5, n_repeats=2, seed=seed, **options)
    score.fit(features.iloc[train], y.iloc[train])
    if score.tuning_ is not None:
        told = ", ".join(f"{name} {value:g}" for name, value in score.tuning_.parameters.items())
        choices.setdefault(data, Counter())[told] += 1
    new = features.iloc[test]
    average = np.nanmean(complementary_log_log(score.out_of_fold_["score"].to_numpy()))
    markers = apply_models(score.crossfit_, new).log_cumulative_hazard
    markers = markers - out_of_fold_log_hazard(score.crossfit_).mean()
    return markers.assign(score=complementary_log_log(score.predict(new)) - average)


def judge(y: pd.DataFrame, told: pd.DataFrame) -> dict[str, float]:
    """Return C and slope of the score, its distance from 1, and the markers' mean slope."""
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    slopes = told.apply(lambda risk: calibration_slope(time, event, risk))
    return {
        "C": concordance_harrell(time, event, told["score"]),
        "slope": slopes["score"],
        "miss": abs(np.log(max(slopes["score"], 0.1))),
        "marker_slope": slopes.drop("score").mean(),
    }


def paired(table: pd.DataFrame) -> pd.DataFrame:
    """Mean paired difference of tuned and fixed models, and its standard error."""
    by = table.set_index(["settings", "data", "unit"])
    parts = {}
    for metric in METRICS:
        difference = by[metric]["cox, tuned"] - by[metric]["cox, fixed"]
        grouped = difference.groupby(level="data", sort=False)
        parts[metric] = grouped.mean()
        se = grouped.std(ddof=1) / np.sqrt(grouped.count())
        parts[f"{metric}_se"] = se.where(~se.index.str.startswith("hcc"))
    return pd.DataFrame(parts)


if __name__ == "__main__":
    main()
