"""What the 61 published samples and the printed results of the TIMES score say by themselves.

Nothing is simulated. The rows are those of the discovery samples (`load_times_published`): five
means, five weights and the score. Their outcomes are not public, nor are the rows of the other
patients, so what can be computed is the score, how its weights are spread, what other pooling rules
make of the same means and variances, and the arithmetic of the printed results.

    python benchmarks/reproduction/published_rows.py > benchmarks/reproduction/published_rows.txt
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import norm

from times_stats.datasets import load_times_published
from times_stats.score import pool_published, pool_random_effects, pool_shrunken

MARKERS = ("SPON2", "ZFP36L2", "ZFP36", "VIM", "HLA_DRB1")
QUANTILES, NAMES = (0.0, 0.25, 0.5, 0.75, 1.0), ("min", "Q1", "median", "Q3", "max")
MIDDLE = (0.3, 0.7)
COUNTS = ("above .5", "above .9", "middle", "at .5", "crossed", "TN", "FP", "FN", "TP")
# Confusion of the 163 labelled patients at .5 (doi:10.1038/s41586-025-08668-x).
TN, FP, FN, TP = 78, 13, 16, 56


def pooled() -> dict[str, pd.DataFrame]:
    """Return the 61 samples pooled by each rule."""
    rows = load_times_published().components
    mean = rows[[f"mean_{marker}" for marker in MARKERS]].set_axis(MARKERS, axis=1)
    variance = 1 / rows[[f"weight_{marker}" for marker in MARKERS]].to_numpy()
    tiles = rows["n_roi"].to_numpy()
    return {
        "published": pool_published(mean, variance),
        "shrunken": pool_shrunken(mean, variance, n_tiles=tiles),
        "random effects": pool_random_effects(mean, variance, n_tiles=tiles),
    }


def weights_of(table: pd.DataFrame) -> np.ndarray:
    """Return the weights, shape (61, 5)."""
    return table.filter(like="weight_").to_numpy()


def weight_table(pools: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return how far each rule puts the weight of a sample on one marker."""
    found = {}
    for rule, table in pools.items():
        weights = weights_of(table)
        largest = weights.max(axis=1)
        found[rule] = {
            "median": np.median(largest),
            "largest": largest.max(),
            "above .5": int((largest > 0.5).sum()),
            "above .9": int((largest > 0.9).sum()),
            "markers": np.median(1 / (weights**2).sum(axis=1)),
        }
    return pd.DataFrame(found).T


def score_table(pools: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the scores of the 61 by each rule, and the printed summary of 231."""
    published = pools["published"]["score"]
    found: dict[str, dict[str, object]] = {}
    for rule, table in pools.items():
        score = table["score"]
        found[f"61, {rule}"] = {
            **dict(zip(NAMES, score.quantile(QUANTILES), strict=True)),
            "middle": int(score.between(*MIDDLE).sum()),
            "at .5": int((score >= 0.5).sum()),
            "crossed": int(((score >= 0.5) != (published >= 0.5)).sum()),
            "moved": (score - published).abs().max(),
        }
    printed = load_times_published().results["cohort"]
    found["231, printed"] = {
        **dict(zip(NAMES, quartiles_of_231(), strict=True)),
        "at .5": printed["n_ge_0.5"],
    }
    return pd.DataFrame(found).T


def quartiles_of_231() -> tuple[float, ...]:
    """Return the printed smallest value, quartiles and largest value."""
    summary = load_times_published().results["cohort"]["TIMES_summary"]
    return tuple(summary[name] for name in ("min", "q1", "median", "q3", "max"))


def interpolated_sd() -> float:
    """Return the standard deviation if scores spread evenly between the printed quartiles."""
    ends = np.array(quartiles_of_231())
    low, high = ends[:-1], ends[1:]
    square = ((low**2 + low * high + high**2) / 3).mean()
    return float(np.sqrt(square - ((low + high) / 2).mean() ** 2))


def possible_sds() -> tuple[float, float]:
    """Return the smallest and largest standard deviation that the printed quartiles allow.

    Each quarter of the patients lies anywhere between two printed values: as near to the mean as it
    may, or wholly at one end.
    """
    ends = np.array(quartiles_of_231())
    low, high = ends[:-1], ends[1:]
    near = (low + high) / 2
    for _ in range(1000):
        near = np.clip(near.mean(), low, high)
    far = max(np.std(values) for values in product(*zip(low, high, strict=True)))
    return float(near.std()), float(far)


def hazard_ratio_table() -> pd.DataFrame:
    """Return the printed Cox regression of the score in units that patients differ by."""
    printed = load_times_published().results["cox_dfs"]["TIMES"]
    slope, se = printed["coef"], printed["se"]
    ends = quartiles_of_231()
    smallest, largest = possible_sds()
    units = {
        "unit (printed)": 1.0,
        "SD": interpolated_sd(),
        "SD, smallest": smallest,
        "SD, largest": largest,
        "IQR": ends[3] - ends[1],
        "0.1": 0.1,
    }
    rows = []
    for unit in units.values():
        low, high = (np.exp((slope + sign * norm.ppf(0.975) * se) * unit) for sign in (-1, 1))
        rows.append([unit, np.exp(slope * unit), low, high, 2 * norm.sf(slope / se)])
    columns = ["unit", "HR", "lower", "upper", "p"]
    return pd.DataFrame(rows, index=[f"per {name}" for name in units], columns=columns)


def without_discovery() -> pd.DataFrame:
    """Return the printed confusion, and what is left if all 61 stand in it and all are right."""
    high = int((load_times_published().components["TIMES"] >= 0.5).sum())
    rows = {
        "163, as printed": (TN, FP, FN, TP),
        "61, if all are right": (61 - high, 0, 0, high),
        "102 that are left": (TN - (61 - high), FP, FN, TP - high),
    }
    table = pd.DataFrame(rows, index=["TN", "FP", "FN", "TP"]).T
    total, recurred = table.sum(axis=1), table["TP"] + table["FN"]
    table["accuracy"] = (table["TN"] + table["TP"]) / total
    table["commoner"] = np.maximum(recurred, total - recurred) / total
    table["specificity"] = table["TN"] / (table["TN"] + table["FP"])
    table["sensitivity"] = table["TP"] / (table["TP"] + table["FN"])
    return table


def show(table: pd.DataFrame) -> str:
    """Return a table as text; counts as whole numbers."""

    def text(name: str, values: pd.Series) -> pd.Series:
        pattern = "{:.0f}" if name in COUNTS else "{:.3f}"
        return values.map(lambda value: "-" if pd.isna(value) else pattern.format(value))

    return table.apply(lambda column: text(str(column.name), column)).to_string()


def main() -> None:
    """Print the tables."""
    pools = pooled()
    error = (pools["published"]["score"] - load_times_published().components["TIMES"]).abs()
    print(f"Score of the published means and weights: {int((error < 1e-7).sum())} of {error.size}")
    print(f"within 1e-7 of the published score, largest difference {error.max():.1e}\n")
    print(
        "Share of a sample's weight that its largest marker takes, and the number of markers that"
    )
    print("1 / sum w^2 amounts to (median):\n")
    print(show(weight_table(pools)))
    print(f"\nScores (middle: from {MIDDLE[0]} to {MIDDLE[1]}; at .5: .5 or more; crossed: on")
    print("another side of .5 than the published score; moved: largest difference from it):\n")
    print(show(score_table(pools)))
    ordered = np.sort(load_times_published().components["TIMES"])
    k = int(np.diff(ordered).argmax())
    print(f"\nNo published score lies between {ordered[k]:.3f} and {ordered[k + 1]:.3f}.")
    print("\nThe printed Cox regression (127 patients) in other units; the p value is the same in")
    print("all. The SD is not printed: here scores spread evenly between the printed quartiles;")
    print("smallest, largest: of all spreads that have these quartiles.\n")
    table = hazard_ratio_table()
    table["p"] = table["p"].map("{:.0e}".format)
    print(table.round({"unit": 3, "HR": 2, "lower": 2, "upper": 2}).to_string())
    print("\nConfusion at .5, *if* the 61 stand among the 163 and all are classified rightly;")
    print("commoner: accuracy of saying the commoner outcome of everybody:\n")
    print(show(without_discovery()))


if __name__ == "__main__":
    main()
