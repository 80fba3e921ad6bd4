"""Size and power of the tests of location by refitted gain, with 19 permutations.

Studies of 163 patients, 3 markers and 2 regions with an effect of the level (log hazard ratio .4
per SD); location has no effect (a null: p <= .05 in 5 of 100 studies), or a hazard ratio of 1.4
per SD of one marker's location. ``refitted`` is `location_gain_test` on five folds, ``scores``
the test of the same null without refits, with as many permutations. One permutation in twenty
reaches p = .05, so that this is the fewest that can reject.

    python benchmarks/calibration/location_gain.py > benchmarks/calibration/location_gain.txt
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from times_stats.attribution import (
    conditional_location_test,
    label_exchangeability_test,
    location_gain_test,
)
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

PERMUTATIONS, FOLDS = 19, 5
CASES = {1.0: 200, 1.4: 50}  # hazard ratio of location: studies
SCORES = {
    "conditional location": conditional_location_test,
    "label exchangeability": label_exchangeability_test,
}


def one_study(hazard_ratio: float, number: int) -> dict[tuple[str, str], float]:
    """Return the p-values of one study."""
    study = simulate_study(
        markers=3, location_effect=float(np.log(hazard_ratio)), seed=50_000 + number
    )
    patients = study.patients.set_index("patient_id")
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    )
    outcome = patients[["time", "event"]]
    folds = assign_folds(
        outcome.index.to_numpy(),
        strata=outcome["event"].to_numpy(),
        n_folds=FOLDS,
        rng=spawn_rng(number, "folds"),
    )
    options = {"n_permutations": PERMUTATIONS, "seed": number}
    found = {}
    for null, test in SCORES.items():
        found[null, "scores"] = test(features, outcome, **options).p_value
        gain = location_gain_test(features, outcome, folds=folds, null=null, **options)
        found[null, "refitted"] = gain.p_value
    return found


def main() -> None:
    """Print the table."""
    start, rows = time.process_time(), []
    for hazard_ratio, n_studies in CASES.items():
        with threadpool_limits(limits=1):
            found = pd.DataFrame([one_study(hazard_ratio, k) for k in range(n_studies)])
        for (null, statistic), p_values in found.items():
            share = (p_values <= 0.05).mean()
            rows.append(
                {
                    "HR": hazard_ratio,
                    "null": null,
                    "statistic": statistic,
                    "studies": n_studies,
                    "p <= .05": share,
                    "p <= .10": (p_values <= 0.10).mean(),
                    "Monte Carlo error": np.sqrt(share * (1 - share) / n_studies),
                    "mean p": p_values.mean(),
                }
            )
    print(
        f"163 patients, 3 markers, 2 regions, {FOLDS} folds, {PERMUTATIONS} permutations;"
        f" {(time.process_time() - start) / 60:.1f} CPU minutes\n"
    )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
