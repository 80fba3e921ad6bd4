"""Coverage of the refit intervals of a performance game: a simulation.

Studies of 163 patients, 2 markers and 2 regions are drawn as in ``shapley_gain.py``, and
`performance_shapley` plays marker x region (4 players) for the mean log density, with 5 folds and
50 refitted resamples. What an interval should cover is the mean over fresh studies of the same
size, estimated from studies played without refits (``target``; its standard error is ``sd`` over
the root of the number of ``fresh`` studies). ``covers`` is the fraction of 95 % intervals that hold
it, with its standard error; ``below`` and ``above`` are the fractions that lie wholly on one side
of it. ``sd`` is the standard deviation of the estimate over studies, ``se`` the mean standard error
of the intervals. ``fixed`` is the coverage of the intervals that resample stored predictions and
keep the fitted models. Rows: the gain v(all) - v(none), and the value of the marker whose location
matters, in the tumour centre. Studies are kept one by one in ``shapley_intervals.csv``, and a run
plays those that are missing.

    python benchmarks/calibration/shapley_intervals.py
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from times_stats.attribution import performance_shapley
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

METRIC, HORIZON, FOLDS, RESAMPLES = "log_density", 36.0, 5, 400
CASES = {"nothing": (0.0, 1.0), "level and location": (0.4, 2.0)}
PLAYER = "M1 in tumour_centre"
KEPT = Path(__file__).with_suffix(".csv")


def one_study(effect: float, ratio: float, refits: int, number: int) -> pd.DataFrame:
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
        game="marker_region",
        metric=METRIC,
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


def keep_studies(path: Path, case: str, refits: int, numbers: range) -> None:
    """Play the studies that the file does not hold yet, and append them."""
    known = set()
    if path.exists():
        before = pd.read_csv(path)
        known = {*before.loc[(before["truth"] == case) & (before["refits"] == refits), "study"]}
    for number in numbers:
        if number in known:
            continue
        started = time.process_time()
        table = one_study(*CASES[case], refits, number)
        table.insert(0, "seconds", time.process_time() - started)
        for name, label in (("study", number), ("refits", refits), ("truth", case)):
            table.insert(0, name, label)
        table.round(6).to_csv(path, mode="a", header=not path.exists(), index_label="of")


def main() -> None:
    """Play what is missing, and print the table of what was played."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--fresh", type=int, default=300)
    parser.add_argument("--refits", type=int, default=50)
    parser.add_argument("--cases", nargs="+", default=[*CASES])
    parser.add_argument("--keep", type=Path, default=KEPT)
    settings = parser.parse_args()
    for case in settings.cases:
        keep_studies(settings.keep, case, settings.refits, range(settings.studies))
        keep_studies(settings.keep, case, 0, range(100_000, 100_000 + settings.fresh))
    kept = pd.read_csv(settings.keep)
    rows = []
    for (case, row), table in kept.groupby(["truth", "of"], sort=False):
        found, fresh = table[table["refits"] > 0], table[table["refits"] == 0]
        rows.append({"truth": case, "of": row} | summarise(found, fresh["estimate"].to_numpy()))
    print(
        f"163 patients, 2 markers, 2 regions; {METRIC} up to {HORIZON:g} months, {FOLDS} folds,"
        f" {settings.refits} refits a study; {kept['seconds'].sum() / 2 / 60:.0f} CPU minutes of 1"
        " process in all"
    )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


def summarise(found: pd.DataFrame, fresh: np.ndarray) -> dict:
    """Compare the intervals of one quantity with its mean over fresh studies."""
    target = fresh.mean()
    covers = (found["refit_lower"] <= target) & (target <= found["refit_upper"])
    fixed = (found["lower"] <= target) & (target <= found["upper"])
    return {
        "studies": len(found),
        "fresh": len(fresh),
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
