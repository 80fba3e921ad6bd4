"""How often `find_leakage` accuses clean tables, and how many planted copies it finds.

Simulated studies of 120 patients (two regions a marker), 70 for training and 50 to test; ten
patients of the training table are added to the test table under new names, as they are, rounded to
three or two digits, with half of the columns measured anew, or with the first column of the whole
test table multiplied by 1000. `accused` counts studies without copies in which anything is found,
in the two tables or within all 120; `wrong` counts pairs of different patients that are reported
among the copies, over all five comparisons of a study.

Below, clean studies of 160 patients and 12 columns whose patients correlate by 0 or .8: values
below a quantile set to a limit of the column, percentages in 12 steps, four binary columns with age
and a skewed marker, and skewed markers.

    python benchmarks/leakage/copies.py > benchmarks/leakage/copies.txt
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from times_stats.audit import find_leakage
from times_stats.resampling import spawn_rng
from times_stats.simulate import simulate_study

STUDIES, N, N_TRAIN, N_COPIES = 100, 120, 70, 10
N_CLEAN = 20  # studies of each kind in the second table
type Clean = Callable[[np.ndarray], np.ndarray]
type Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def rounded(digits: int) -> Change:
    """Return a change that keeps so many significant digits."""
    return lambda copies, _rng: copies.map(lambda value: float(f"{value:.{digits - 1}e}"))


def stained_anew(copies: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Shuffle the first half of the columns between the copies."""
    fresh = copies.copy()
    for k in range(copies.shape[1] // 2):
        fresh.iloc[:, k] = rng.permutation(copies.iloc[:, k]) * rng.lognormal(size=len(copies))
    return fresh


CHANGES: dict[str, Change] = {
    "as they are": lambda copies, _rng: copies,
    "three digits": rounded(3),
    "two digits": rounded(2),
    "half anew": stained_anew,
}


def simulate(seed: int, markers: int) -> pd.DataFrame:
    """Return the features of a study."""
    study = simulate_study(n_patients=N, markers=markers, seed=seed)
    return study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value", observed=True
    )


def floored(share: float) -> Clean:
    """Return a change that sets the lowest values of a column to a limit."""
    limits = np.linspace(0.01, 0.02, 12)
    return lambda normal: np.where(normal < ndtri(share), limits, np.exp(normal))


def in_steps(normal: np.ndarray) -> np.ndarray:
    """Return percentages as a pathologist reads them."""
    steps = np.array([0, 1, 5, *range(10, 100, 10)], float)
    return steps[(ndtr(normal) * len(steps)).astype(int)]


def mixed(normal: np.ndarray) -> np.ndarray:
    """Return four binary columns, an age and a skewed marker."""
    yes = (normal[:, :4] > 0).astype(float)
    return np.column_stack([yes, np.round(60 + 10 * normal[:, 4]), np.exp(2 * normal[:, 5])])


CLEAN: dict[str, Clean] = {
    **{f"floor at {share}": floored(share) for share in (0.02, 0.1, 0.5, 0.6, 0.7, 0.8)},
    "percentages": in_steps,
    "binary, age, marker": mixed,
    "skewed": lambda normal: np.exp(2 * normal),
}


def accuses(change: Clean, seed: int, correlation: float) -> bool:
    """Tell whether anything is found in a clean study."""
    rng = spawn_rng(seed, "clean")
    common, own = rng.normal(size=(160, 1)), rng.normal(size=(160, 12))
    normal = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    values = pd.DataFrame(change(normal)).set_axis([f"P{k}" for k in range(160)])
    parts = (find_leakage(values), find_leakage(values.iloc[:90], values.iloc[90:]))
    return any(len(found) > 0 for found in parts)


def main() -> None:
    """Print the tables."""
    rows = []
    for markers in (1, 2, 5):
        accused = 0
        counts: dict[str, list[int]] = {name: [0, 0] for name in (*CHANGES, "another unit")}
        for seed in range(STUDIES):
            values = simulate(seed, markers)
            train, rest = values.iloc[:N_TRAIN], values.iloc[N_TRAIN:]
            accused += not (find_leakage(train, rest).empty and find_leakage(values).empty)
            copies = values.iloc[:N_COPIES].set_axis([f"copy {k}" for k in range(N_COPIES)])
            true = set(zip(values.index[:N_COPIES], copies.index, strict=True))
            for name in counts:
                change = CHANGES.get(name, CHANGES["as they are"])
                test = pd.concat([rest, change(copies, spawn_rng(seed, name))])
                if name == "another unit":
                    test = test.mul(np.where(np.arange(test.shape[1]) == 0, 1000.0, 1.0))
                found = find_leakage(train, test)
                pairs = set(zip(found["train_id"], found["test_id"], strict=True))
                counts[name][0] += len(pairs & true)
                counts[name][1] += len(pairs - true)
        shares = {name: f"{found / STUDIES / N_COPIES:.3f}" for name, (found, _) in counts.items()}
        wrong = sum(count for _, count in counts.values())
        rows.append({"features": 2 * markers, "accused": accused, "wrong": wrong, **shares})
    print(
        f"{STUDIES} simulated studies a row; share of {N_COPIES} copies found by how they differ\n"
    )
    print(pd.DataFrame(rows).to_string(index=False))
    clean = [
        {
            "clean columns": name,
            **{
                f"correlation {r}": sum(accuses(change, seed, r) for seed in range(N_CLEAN))
                for r in (0.0, 0.8)
            },
        }
        for name, change in CLEAN.items()
    ]
    print(f"\nClean studies accused, of {N_CLEAN}\n")
    print(pd.DataFrame(clean).to_string(index=False))


if __name__ == "__main__":
    main()
