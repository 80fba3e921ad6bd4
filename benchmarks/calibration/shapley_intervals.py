"""Coverage of the refit intervals of a performance game: a simulation.

Studies of 163 patients, 2 markers and 2 regions (4 players) are drawn as in ``shapley_gain.py``, and
`performance_shapley` plays level against location with 5 folds and 50 refitted resamples. What an
interval should cover is the mean over fresh studies of the same size, estimated from studies played
without refits (``target``; its standard error is ``sd`` over the root of their number). ``covers``
is the fraction of 95 % intervals that hold it, with its standard error; ``below`` and ``above`` are
the fractions that lie wholly on one side of it. ``sd`` is the standard deviation of the estimate
over studies, ``se`` the mean standard error of the intervals. ``fixed`` is the coverage of the
intervals that resample stored predictions and keep the fitted models. Rows: the gain v(all) -
v(none), and the value of the location of the marker whose location matters.

    python benchmarks/calibration/shapley_intervals.py > benchmarks/calibration/shapley_intervals.txt
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import pandas as pd

from times_stats.attribution import performance_shapley
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

HORIZON, FOLDS, RESAMPLES = 36.0, 5, 400
CASES = {"nothing": (0.0, 1.0), "level and location": (0.4, 2.0)}
PLAYER = "M1 location"


def one_study(effect: float, ratio: float, metric: str, refits: int, number: int) -> pd.DataFrame:
    """Simulate one study; rows gain and player."""
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
        n_refits=refits,
        seed=number,
    )
    rows = [
        result.totals.set_index("quantity").loc[["gain"]],
        result.players.set_index("player").loc[[PLAYER]],
    ]
    columns = ["estimate", "lower", "upper", "refit_lower", "refit_upper", "refit_se"]
    return pd.concat(rows)[columns]


def main() -> None:
    """Run the simulation and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=120)
    parser.add_argument("--fresh", type=int, default=600)
    parser.add_argument("--refits", type=int, default=50)
    parser.add_argument("--metrics", nargs="+", default=["log_density"])
    settings = parser.parse_args()
    started = time.process_time()
    rows = []
    for metric in settings.metrics:
        for name, (effect, ratio) in CASES.items():
            played = [
                one_study(effect, ratio, metric, settings.refits, number)
                for number in range(settings.studies)
            ]
            fresh = [
                one_study(effect, ratio, metric, 0, 100_000 + number)
                for number in range(settings.fresh)
            ]
            for row in ("gain", PLAYER):
                found = pd.DataFrame([table.loc[row] for table in played])
                means = np.array([table.loc[row, "estimate"] for table in fresh])
                rows.append(summarise(found, means) | {"metric": metric, "truth": name, "of": row})
    table = pd.DataFrame(rows)
    first = ["metric", "truth", "of"]
    print(
        f"163 patients, 2 markers, 2 regions; horizon {HORIZON:g} months, {FOLDS} folds,"
        f" {settings.studies} studies of {settings.refits} refits and {settings.fresh} fresh ones a"
        f" row; {(time.process_time() - started) / 60:.0f} CPU minutes of 1 process, load"
        f" {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    )
    print(table[[*first, *table.columns.drop(first)]].round(3).to_string(index=False))


def summarise(found: pd.DataFrame, fresh: np.ndarray) -> dict:
    """Compare the intervals of one quantity with its mean over fresh studies."""
    target = fresh.mean()
    covers = (found["refit_lower"] <= target) & (target <= found["refit_upper"])
    fixed = (found["lower"] <= target) & (target <= found["upper"])
    return {
        "target": target,
        "sd": fresh.std(ddof=1),
        "se": found["refit_se"].mean(),
        "covers": covers.mean(),
        "error": np.sqrt(covers.mean() * (1 - covers.mean()) / len(covers)),
        "below": (found["refit_upper"] < target).mean(),
        "above": (found["refit_lower"] > target).mean(),
        "fixed": fixed.mean(),
    }


if __name__ == "__main__":
    main()
