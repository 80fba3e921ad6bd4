"""Risk groups and hazard ratios of a score that knows nothing: how often do they look real.

Null studies: markers without any effect. The TIMES score is predicted for outer test patients,
without the survival model, as the pipeline does it. Printed: how often a 5 % log-rank test rejects
and how often a 95 % interval of the hazard ratio excludes 1, in the two ways of reading
cross-validated scores: pooled over folds, and stratified by test fold (what the report shows).

Run: python benchmarks/calibration/risk_groups.py > benchmarks/calibration/risk_groups.txt
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from times_stats.features.matrix import build_feature_table
from times_stats.nonparametric import logrank
from times_stats.pipeline.nested import SCORE, NestedSettings, learn_fold
from times_stats.pipeline.risk_groups import (
    assign_risk_groups,
    average_hazard_ratios,
    stratified_log_rank,
)
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals.hazard_scale import hazard_ratios
from times_stats.simulate import simulate_study
from times_stats.tables.study import build_study, outcome

N_STUDIES, N_PATIENTS, N_REPEATS, N_FOLDS, HORIZON = 120, 120, 2, 5, 24.0


def study_once(number: int) -> dict[str, float]:
    """Return p values and hazard ratios of one null study."""
    warnings.simplefilter("ignore")
    simulated = simulate_study(
        n_patients=N_PATIENTS, markers=2, regions=2, effect=0.0, stage_effect=0.0, seed=number
    )
    settings = {"study": {"name": "null", "endpoint": "event", "horizon": HORIZON}}
    study = build_study(settings, simulated.patients, simulated.measurements)
    features, y = build_feature_table(study).values, outcome(study)
    folds = assign_folds(
        y.index.to_numpy(),
        strata=y["event"].to_numpy(),
        n_folds=N_FOLDS,
        n_repeats=N_REPEATS,
        rng=spawn_rng(number, "folds"),
    )
    nested = NestedSettings(horizon=HORIZON, times=np.array([HORIZON]), n_repeats=4)
    score, above = np.empty(folds.shape), np.empty(folds.shape)
    for repeat, labels in enumerate(folds):
        for fold in range(N_FOLDS):
            test = np.flatnonzero(labels == fold)
            piece = learn_fold(
                features,
                y,
                pd.DataFrame(index=y.index),
                train=np.flatnonzero(labels != fold),
                test=test,
                settings=nested,
                seed=number,
            )
            score[repeat, test] = 1 - piece.survival[SCORE][:, -1]
            above[repeat, test] = piece.score_test - piece.cut_off
    high = assign_risk_groups(above)
    found = {"log-rank, stratified": stratified_log_rank(y, above, folds)}
    if 0 < high.sum() < len(high):
        found["log-rank, pooled"] = logrank(y["time"], y["event"], high).p_value
    ratios = {
        "hazard ratio, pooled": hazard_ratios(y, pd.Series(score.mean(axis=0), index=y.index)),
        "hazard ratio, stratified": average_hazard_ratios(y, score, folds),
    }
    for name, table in ratios.items():
        if len(table):
            row = table.iloc[0]
            found[f"{name}: log"] = float(np.log(row["hazard_ratio"]))
            found[name] = 0.0 if row["lower"] > 1 or row["upper"] < 1 else 1.0
    return found


def main() -> None:
    """Print the table."""
    found = pd.DataFrame(Parallel(n_jobs=2)(delayed(study_once)(k) for k in range(N_STUDIES)))
    print(
        f"{N_STUDIES} null studies of {N_PATIENTS} patients, 2 markers x 2 regions, "
        f"{N_REPEATS} x {N_FOLDS} outer folds"
    )
    for way in ("pooled", "stratified"):
        p, ratio = found[f"log-rank, {way}"].dropna(), found[f"hazard ratio, {way}"].dropna()
        log = found[f"hazard ratio, {way}: log"].dropna()
        print(
            f"{way:>10}: log-rank p < .05 in {(p < 0.05).mean():.3f} (se "
            f"{np.sqrt(0.05 * 0.95 / len(p)):.3f} at 5 %); interval excludes 1 in "
            f"{(ratio == 0).mean():.3f}; mean log hazard ratio per sd {log.mean():+.3f} "
            f"(se {log.std() / np.sqrt(len(log)):.3f})"
        )


if __name__ == "__main__":
    main()
