"""Is the gain from interactions zero or less without them, and positive with them? A simulation.

Studies of 163 patients, two markers in two regions, normal with correlation .8 between the regions
of a marker and .4 between markers. The log hazard is a sum of functions of one column (none,
linear, steps, U-shaped) or holds a product of two regions or two markers. `interaction_gain` with
5 folds, at 36 months, for Uno's C or the mean log density, after ``rounds`` trees (150 is the
default). Each gain is the mean over studies, times 1,000, with its Monte Carlo standard error in
brackets; ``sd`` and ``se`` are the spread of the gain of all interactions over studies and its mean
standard error within one, ``above 0`` the fraction of studies in which its interval is above 0, and
``v`` the performance of the additive model. ``markers`` is the difference between ``all`` and
``regions``, which `interaction_gain` does not offer. The last row is a warning: with 50 rounds,
learning main effects in fewer rounds counts as interaction. Studies are kept one by one in
``interaction_gain.csv``, and a run plays those that are missing.

    python benchmarks/calibration/interaction_gain.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from times_stats.attribution.interactions import interaction_gain
from times_stats.resampling import assign_folds, spawn_rng

N, FOLDS, HORIZON, RESAMPLES = 163, 5, 36.0, 200
WITHIN, BETWEEN = 0.8, 0.4
KEPT = Path(__file__).with_suffix(".csv")
COLUMNS = pd.MultiIndex.from_product([["A", "B"], ["core", "rim"]], names=["marker", "region"])
TRUTHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "additive: nothing": lambda z: 0.0 * z[:, 0],
    "additive: linear": lambda z: 0.5 * z[:, 0] + 0.5 * z[:, 2],
    "additive: steps": lambda z: (z[:, :3] > 0).sum(axis=1),
    "additive: U-shaped": lambda z: 0.5 * (z[:, :3] ** 2).sum(axis=1),
    "product of regions": lambda z: 0.8 * _between(z, 0, 1),
    "product of markers": lambda z: 0.8 * _between(z, 0, 2),
}
CASES = [
    *((truth, "concordance", 150) for truth in TRUTHS),
    ("additive: steps", "log_density", 150),
    ("additive: steps", "log_density", 50),
]


def _between(z: np.ndarray, a: int, b: int) -> np.ndarray:
    """Product of what one column holds beside the other, and the other."""
    rho = WITHIN if a // 2 == b // 2 else BETWEEN
    return z[:, a] * (z[:, b] - rho * z[:, a]) / np.sqrt(1 - rho**2)


def simulate(truth: str, number: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """One study: features, outcome, folds."""
    rng = spawn_rng(number, "interaction study")
    covariance = np.kron(np.full((2, 2), BETWEEN), np.ones((2, 2)))
    covariance += np.kron(np.eye(2), np.full((2, 2), WITHIN - BETWEEN)) + 0.2 * np.eye(4)
    z = rng.multivariate_normal(np.zeros(4), covariance, size=N)
    log_hazard = TRUTHS[truth](z)
    hidden = rng.exponential(30.0 * np.exp(log_hazard.mean() - log_hazard))
    end = rng.uniform(20.0, 60.0, N)
    index = pd.Index([f"P{i:03d}" for i in range(N)], name="patient_id")
    outcome = pd.DataFrame(
        {"time": np.minimum(hidden, end), "event": (hidden <= end).astype(int)}, index=index
    )
    folds = assign_folds(
        index, strata=outcome["event"], n_folds=FOLDS, rng=spawn_rng(number, "folds")
    )
    return pd.DataFrame(z, index=index, columns=COLUMNS), outcome, folds


def one_study(truth: str, metric: str, rounds: int, number: int) -> dict:
    """Gains of one study."""
    features, outcome, folds = simulate(truth, number)
    started = time.process_time()
    result = interaction_gain(
        features,
        outcome,
        folds=folds,
        horizon=HORIZON,
        metric=metric,
        n_rounds=rounds,
        n_resamples=RESAMPLES,
        seed=number,
    )
    gains = result.gains.set_index("between")
    value = result.performance.set_index("interacting")["value"]
    return {
        "truth": truth,
        "metric": metric,
        "rounds": rounds,
        "study": number,
        "regions": gains.loc["regions", "estimate"],
        "markers": value["all"] - value["regions"],
        "all": gains.loc["all", "estimate"],
        "lower": gains.loc["all", "lower"],
        "se": gains.loc["all", "se"],
        "v": result.performance["value"].iloc[0],
        "seconds": time.process_time() - started,
    }


def main() -> None:
    """Play what is missing, and print the table of what was played."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--keep", type=Path, default=KEPT)
    settings = parser.parse_args()
    keys = ["truth", "metric", "rounds", "study"]
    known = set()
    if settings.keep.exists():
        known = {*pd.read_csv(settings.keep)[keys].itertuples(index=False, name=None)}
    for number in range(settings.studies):
        for case in CASES:
            if (*case, number) not in known:
                row = pd.DataFrame([one_study(*case, number)]).round(6)
                row.to_csv(settings.keep, mode="a", header=not settings.keep.exists(), index=False)
    kept = pd.read_csv(settings.keep)
    rows = []
    for case in CASES:
        table = kept[(kept[keys[:3]] == [*case]).all(axis=1)]
        row = {**dict(zip(keys, case, strict=False)), "studies": len(table), "v": table["v"].mean()}
        for name in ("regions", "markers", "all"):
            error = table[name].std() / np.sqrt(len(table))
            row[name] = f"{1e3 * table[name].mean():.1f} ({1e3 * error:.1f})"
        row |= {"sd": 1e3 * table["all"].std(), "se": 1e3 * table["se"].mean()}
        rows.append(row | {"above 0": (table["lower"] > 0).mean()})
    print(
        f"{N} patients, 2 markers, 2 regions; {HORIZON:g} months, {FOLDS} folds; gains times 1,000;"
        f" {kept['seconds'].sum() / 60:.1f} CPU minutes of 1 process"
    )
    print(pd.DataFrame(rows).round({"v": 3, "sd": 0, "se": 0, "above 0": 2}).to_string(index=False))


if __name__ == "__main__":
    main()
