"""How long the refits of a performance game take, and how much of it the transform was.

330 patients, 90 columns, 5 outer folds: `performance_shapley`, level against location, for the mean
log density, with 200 refitted resamples. Each refit learns the Yeo-Johnson powers of all columns
and levels in each of its training sets, and fits every coalition there. The same game is then
played with 20 refits twice: as it is, and with the powers that scikit-learn's `PowerTransformer`
finds by scipy's search, one column after another. CPU seconds of one process; compiled loops are
loaded before the clock starts, and the first call of each design is not counted.

    python benchmarks/speed/shapley_refits.py > benchmarks/speed/shapley_refits.txt
"""

from __future__ import annotations

import argparse
import os
import time
from unittest import mock

import numpy as np
import pandas as pd
from sklearn.preprocessing import PowerTransformer, StandardScaler

from times_stats.attribution import PerformanceShapley, performance_shapley
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals import transforms
from times_stats.rivals.yeo_johnson import PoweredScaler, take_powers
from times_stats.simulate import simulate_study

N, FOLDS, HORIZON, FEW = 330, 5, 36.0, 20
DESIGNS = {"3 markers x 30 regions": (3, 30), "5 markers x 18 regions": (5, 18)}


def simulate(markers: int, regions: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """One study: features, outcome, folds."""
    study = simulate_study(
        n_patients=N, markers=markers, regions=regions, location_effect=0.5, seed=1
    )
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)
    outcome = study.patients.set_index("patient_id").loc[features.index, ["time", "event"]]
    folds = assign_folds(
        features.index, strata=outcome["event"], n_folds=FOLDS, rng=spawn_rng(1, "folds")
    )
    return features, outcome, folds


def play(data: tuple, n_refits: int) -> tuple[float, PerformanceShapley]:
    """CPU seconds of a game, and its result."""
    features, outcome, folds = data
    started = time.process_time()
    result = performance_shapley(
        features,
        outcome,
        folds=folds,
        horizon=HORIZON,
        game="level_location",
        metric="log_density",
        n_refits=n_refits,
        seed=1,
    )
    return time.process_time() - started, result


def learn_power_by_scipy(values: np.ndarray) -> tuple[PoweredScaler, np.ndarray]:
    """Do what `transforms` did before: take powers from scikit-learn, all usable here."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        powers = PowerTransformer().fit(values).lambdas_
    scaler = StandardScaler().fit(take_powers(values, powers))
    return PoweredScaler(powers, scaler), np.ones(len(powers), dtype=np.bool_)


def main() -> None:
    """Play the games and print their times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refits", type=int, default=200)
    settings = parser.parse_args()
    rows = []
    load = os.getloadavg()[0]
    for name, size in DESIGNS.items():
        data = simulate(*size)
        play(data, 0)
        all_refits, result = play(data, settings.refits)
        few, own = play(data, FEW)
        with mock.patch.object(transforms, "_learn_power", learn_power_by_scipy):
            by_scipy, other = play(data, FEW)
        apart = (own.players["refit_se"] - other.players["refit_se"]).abs().max()
        rows.append(
            {
                "columns": name,
                "players": len(result.players),
                "fits": 2 ** len(result.players) * FOLDS * (settings.refits + 1),
                f"{settings.refits} refits": round(all_refits),
                f"{FEW} refits": round(few, 1),
                f"{FEW} by scipy": round(by_scipy, 1),
                "ratio": round(by_scipy / few, 1),
                "largest difference of se": f"{apart:.0e}",
            }
        )
    print(
        f"{N} patients, 90 columns, {FOLDS} folds; CPU seconds of one process, load"
        f" {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end of 2 cores\n"
    )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
