"""How often is each verdict on location given, and are its intervals honest: a simulation.

Studies of 163 patients, 5 markers and 2 regions are drawn with a level effect of .4 and a location
effect of known size (log hazard ratio per SD of one marker's location index); every study goes
through `integration_test` with ridge and boosted Cox. ``adds``, ``suffice`` and ``cannot tell``
are fractions of studies; ``adds alone`` and ``suffice alone`` are what the headline interval would
say without the sensitivity analyses. ``gain`` is the mean headline estimate, ``sd`` its standard
deviation over studies, ``se`` the mean bootstrap standard error within a study.

    python benchmarks/calibration/location_verdict.py --studies 40 --jobs 2
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from times_stats.attribution.integration import integration_test
from times_stats.attribution.verdict import decide
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

HAZARD_RATIOS = (1.0, 1.4, 2.0)
HORIZON, MARGIN, FOLDS, REPEATS, RESAMPLES = 36.0, 0.03, 5, 2, 200


def one_study(hazard_ratio: float, number: int) -> dict[str, object]:
    """Simulate one study and return its headline difference and verdicts."""
    study = simulate_study(location_effect=float(np.log(hazard_ratio)), seed=number)
    patients = study.patients.set_index("patient_id")
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)
    outcome = patients[["time", "event"]]
    stages = patients[["tnm"]].astype(pd.CategoricalDtype(["I", "II", "III", "IV"], ordered=True))
    result = integration_test(
        features,
        outcome,
        stages=stages,
        folds=assign_folds(
            outcome.index.to_numpy(),
            strata=outcome["event"].to_numpy(),
            n_folds=FOLDS,
            n_repeats=REPEATS,
            rng=spawn_rng(number, "folds"),
        ),
        horizon=HORIZON,
        n_resamples=RESAMPLES,
        margin=MARGIN,
        seed=number,
    )
    row = result.differences.query(
        "learner == 'ridge_cox' and metric == 'concordance_uno_within_folds'"
        " and model == 'stage_all_regions' and reference == 'stage_levels'"
    ).iloc[0]
    return {
        "verdict": result.verdict,
        "alone": decide(row["lower"], row["upper"], [], margin=MARGIN),
        "gain": row["estimate"],
        "se": row["se"],
    }


def summarise(hazard_ratio: float, studies: pd.DataFrame) -> dict[str, float]:
    """Return one row of the table."""
    sd, se = studies["gain"].std(), studies["se"].mean()
    return {
        "hazard ratio": hazard_ratio,
        "studies": len(studies),
        "adds": (studies["verdict"] == "location adds").mean(),
        "suffice": (studies["verdict"] == "levels suffice").mean(),
        "cannot tell": (studies["verdict"] == "cannot tell").mean(),
        "adds alone": (studies["alone"] == "location adds").mean(),
        "suffice alone": (studies["alone"] == "levels suffice").mean(),
        "gain": studies["gain"].mean(),
        "sd": sd,
        "se": se,
        "se / sd": se / sd,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.perf_counter()
    rows = []
    for hazard_ratio in HAZARD_RATIOS:
        studies = Parallel(n_jobs=arguments.jobs)(
            delayed(one_study)(hazard_ratio, number) for number in range(arguments.studies)
        )
        rows.append(summarise(hazard_ratio, pd.DataFrame(studies)))
    print(
        f"163 patients, 5 markers, 2 regions; horizon {HORIZON:g} months, margin {MARGIN:g},"
        f" {FOLDS} folds x {REPEATS} repeats, {RESAMPLES} resamples;"
        f" {(time.perf_counter() - start) / 60:.0f} minutes on {arguments.jobs} processes"
    )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
