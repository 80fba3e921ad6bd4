"""How honest are the intervals of a performance game: a simulation.

Studies of 163 patients, 2 markers and 2 regions (4 players) are drawn with a level effect and a
location effect of known size, and `performance_shapley` plays level against location for the mean
log density and for Uno's C, with 5 folds and without refits. ``gain`` is the mean of
v(all) - v(none), ``sd`` its standard deviation over studies, ``se`` the mean standard error within
a study; ``shares`` is the fraction of studies in which shares are given. ``located`` and
``sd located`` are mean and standard deviation of the summed value of the location players.

    python benchmarks/calibration/shapley_gain.py --studies 30
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from times_stats.attribution import performance_shapley
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

HORIZON, FOLDS, RESAMPLES = 36.0, 5, 400
CASES = {"nothing": (0.0, 1.0), "level": (0.4, 1.0), "level and location": (0.4, 2.0)}


def one_study(effect: float, ratio: float, metric: str, number: int) -> dict:
    """Simulate one study and return the gain and whether it is shared out."""
    study = simulate_study(
        effect=effect,
        location_effect=float(np.log(ratio)),
        markers=2,
        stage_effect=0.0,
        seed=number,
    )
    outcome = study.patients.set_index("patient_id")[["time", "event"]]
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)
    outcome = outcome.loc[features.index]
    result = performance_shapley(
        features,
        outcome,
        folds=assign_folds(
            outcome.index.to_numpy(),
            strata=outcome["event"].to_numpy(),
            n_folds=FOLDS,
            rng=spawn_rng(number, "folds"),
        ),
        horizon=HORIZON,
        game="level_location",
        metric=metric,
        n_resamples=RESAMPLES,
        seed=number,
    )
    gain = result.totals.set_index("quantity").loc["gain"]
    located = result.sums.set_index("name").loc["location"]
    return {
        "gain": gain["estimate"],
        "se": gain["se"],
        "shares": result.players["share"].notna().all(),
        "located": located["estimate"],
    }


def main() -> None:
    """Run the simulation and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=30)
    settings = parser.parse_args()
    started = time.perf_counter()
    rows = []
    for metric in ("concordance", "log_density"):
        for name, (effect, ratio) in CASES.items():
            table = pd.DataFrame(
                [one_study(effect, ratio, metric, number) for number in range(settings.studies)]
            )
            rows.append(
                {
                    "metric": metric,
                    "truth": name,
                    "gain": table["gain"].mean(),
                    "sd": table["gain"].std(),
                    "se": table["se"].mean(),
                    "shares": table["shares"].mean(),
                    "located": table["located"].mean(),
                    "sd located": table["located"].std(),
                }
            )
    minutes = (time.perf_counter() - started) / 60
    print(
        f"163 patients, 2 markers, 2 regions; horizon {HORIZON:g} months, {FOLDS} folds,"
        f" {settings.studies} studies a row, {RESAMPLES} resamples;"
        f" {minutes:.0f} minutes on 1 process"
    )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
