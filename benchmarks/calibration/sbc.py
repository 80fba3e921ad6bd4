"""Simulation-based calibration of the survival model: raw ranks, and how they were held.

Each cell is one baseline with one kind of outcome: 1,000 studies of 100 patients for the default,
400 where the outcome is of another kind, 200 for the others, in three cohorts, with two markers in
two regions. The first half of the 1,000 and of the 400 is fitted by the graph, the second by the
kernel, which knows no other option. Truths come from the shipped
priors; a study is known by its number and the seed 1. Studies with fewer than five events are left
out; a fit that misses its gate is drawn again with twice the draws, and counted; if it misses the
gate again, its first draws are ranked all the same and it is counted as failed. Ranks are appended
to one CSV file a cell, so that a run that was stopped goes on.

Run: python benchmarks/calibration/sbc.py [CELL ...] > benchmarks/calibration/sbc.txt
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom

from times_stats.survival.covariates import Covariate
from times_stats.survival.sampling import compile_survival
from times_stats.survival.sbc import N_RANKS, check_ranks, rank_truths, ranks_by_quantity
from times_stats.survival.spec import SurvivalSpec

HERE = Path(__file__).parent
COLUMNS = pd.MultiIndex.from_product([["A", "B"], ["x", "y"]])
COVARIATES = (
    Covariate("age", missing="model"),
    Covariate("stage", ("I", "II", "III", "IV"), by_cohort=True),
)
SHAPES = {"cohort_effects": ("level", "shape")}
EVERYTHING = {
    "cohort_effects": ("level", "slope", "shape"),
    "covariates": COVARIATES,
    "region_order": ("x", "y"),
}
CELLS: dict[str, tuple[str, str, int, dict[str, object]]] = {
    "weibull": ("weibull", "right", 1000, {}),
    "piecewise": ("piecewise", "right", 1000, {}),
    "mspline": ("mspline", "right", 1000, {}),
    "weibull_delayed": ("weibull", "delayed", 400, {}),
    "weibull_interval": ("weibull", "interval", 400, {}),
    "piecewise_delayed": ("piecewise", "delayed", 400, {}),
    "piecewise_interval": ("piecewise", "interval", 400, {}),
    "mspline_delayed": ("mspline", "delayed", 400, {}),
    "mspline_interval": ("mspline", "interval", 400, {}),
    "weibull_one_cohort": ("weibull", "right", 200, {"n_cohorts": 1}),
    "weibull_slopes": ("weibull", "right", 200, {"cohort_effects": ("level", "slope")}),
    "weibull_shapes": ("weibull", "right", 200, SHAPES),
    "piecewise_shapes": ("piecewise", "right", 200, SHAPES),
    "mspline_shapes": ("mspline", "right", 200, SHAPES),
    "weibull_covariates": ("weibull", "right", 200, {"covariates": COVARIATES}),
    "weibull_stage_alone": ("weibull", "right", 200, {"covariates": COVARIATES[1:], "columns": 0}),
    "weibull_regions": ("weibull", "right", 200, {"region_order": ("x", "y")}),
    "weibull_uncertain": ("weibull", "right", 200, {"n_latent": 400}),
    "piecewise_all": ("piecewise", "right", 200, EVERYTHING),
}
TAIL = 6
NOMINAL = (N_RANKS + 1 - 2 * TAIL) / (N_RANKS + 1)
SIZES = ("n_cohorts", "columns", "n_latent")
AT_ONCE = 50
SEED = 1
AGAIN = "converged with twice the draws"


def simulate(cell: str) -> pd.DataFrame:
    """Return the ranks of a cell, made as far as they are not kept yet."""
    baseline, kind, n_studies, options = CELLS[cell]
    changes = {name: value for name, value in options.items() if name not in SIZES}
    file = HERE / f"sbc_{cell}.csv"
    done = pd.read_csv(file) if file.exists() else pd.DataFrame()
    spec = SurvivalSpec(baseline=baseline, **changes).for_folds()
    spec = dataclasses.replace(spec, target_accept=0.98)
    compiled, made = None, ""

    def rank(first: int, n: int, engine: str, spec: SurvivalSpec) -> pd.DataFrame:
        nonlocal compiled, made
        if engine != made:
            made = engine
            compiled = compile_survival(
                spec,
                columns=COLUMNS if options.get("columns", 1) else None,
                n_cohorts=options.get("n_cohorts", 3),
                delayed_entry=kind == "delayed",
                interval_censoring=kind == "interval",
                n_missing=100 // 4 if any(c.missing == "model" for c in spec.covariates) else 0,
                n_latent=options.get("n_latent", 0),
                engine=engine,
            )
        return rank_truths(
            spec, compiled, n_replicates=n, kind=kind, first=first, seed=SEED, cores=2
        )

    def engine_of(number: int) -> str:
        return "graph" if options or number < n_studies // 2 else "kernel"

    while len(done) < n_studies:
        n = min(AT_ONCE, n_studies - len(done))
        more = rank(len(done), n, engine_of(len(done)), spec)
        ranks = [name for name in more.columns if more[name].dtype.kind == "f"]
        more = more.astype(dict.fromkeys(ranks, "Int64"))
        more.to_csv(file, mode="a", header=not file.exists(), index=False)
        done = pd.read_csv(file)
    missed = np.flatnonzero(done["status"] == "failed")
    if missed.size:  # as a user would: twice the draws
        longer = dataclasses.replace(spec, draws=2 * spec.draws)
        done = done.astype({name: "Int64" for name in done if done[name].dtype.kind == "f"})
        for number in missed:
            row = rank(int(number), 1, engine_of(int(number)), longer).iloc[0].to_dict()
            if row["status"] == "converged":
                for name, value in (row | {"status": AGAIN}).items():
                    done.loc[number, name] = value
        done.to_csv(file, index=False)
    return done


def coverage(ranks: pd.DataFrame) -> tuple[pd.Series, tuple[float, float]]:
    """Share of truths inside their central interval, by quantity, and the band it must lie in.

    The interval from the 6th lowest to the 6th highest of 100 draws holds a truth of the right
    posterior with probability 89 / 101, whatever the posterior.
    """
    kept = ranks_by_quantity(ranks)
    inside = ((kept >= TAIL) & (kept <= N_RANKS - TAIL)).mean()
    tail = 0.005 / kept.shape[1]
    band = binom.ppf([tail, 1 - tail], len(kept), NOMINAL) / len(kept)
    return inside, (float(band[0]), float(band[1]))


def main() -> None:
    cells = sys.argv[1:] or list(CELLS)
    tables = {cell: simulate(cell) for cell in cells}
    print("Ranks of truths drawn from the shipped priors: uniform where the posterior is right.")
    print("A cell is inside where all of its quantities are, in a simultaneous 99 % band.")
    print(f"Coverage is that of central {NOMINAL:.1%} intervals, lowest and highest of all")
    print("quantities, with the simultaneous 99 % binomial band over them.\n")
    print(
        f"{'cell':20} {'studies':>7} {'left out':>8} {'again':>5} {'failed':>6} {'quantities':>10} "
        f"{'outside':>7}  {'coverage':>11} {'band':>13}  {'largest deviation'}"
    )
    for cell, ranks in tables.items():
        checked = check_ranks(ranks)
        status = ranks["status"].value_counts()
        worst = checked.loc[checked["deviation"].idxmax()]
        outside = checked[~checked["inside"]]
        inside, band = coverage(ranks)
        print(
            f"{cell:20} {len(ranks):7d} {status.get('left out', 0):8d} "
            f"{status.get(AGAIN, 0):5d} {status.get('failed', 0):6d} "
            f"{len(checked):10d} {len(outside):7d}  "
            f"{inside.min():.3f}-{inside.max():.3f}  {band[0]:.3f}-{band[1]:.3f}  "
            f"{worst['deviation']:.3f} {worst['quantity']}"
        )
        for row in outside.itertuples():
            print(f"  outside: {row.quantity}, tail {row.tail:.1e}, limit {row.limit:.1e}")


if __name__ == "__main__":
    main()
