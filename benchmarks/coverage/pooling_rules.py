"""All pooling rules on the same outer folds and the same marker models.

Shipped HCC data: analysis A is 227 patients with CXCL17 in three regions, one marker, so that there
is nothing to pool; analysis B is 101 patients with seven markers. Simulated: 163 patients and five
markers whose tiles scatter as those of the five genes do, measured on four tiles each; ``means``: a
row per patient, the mean of the tiles; ``tiles``: a row per tile, and the rules for tiles.

``C``: Harrell's, pairs within outer test folds. ``ipa``: index of prediction accuracy at the
horizon against the event rate of the training set. ``slope``: calibration slope of the log
cumulative hazard. ``C - equal``, ``C - shrunken``: paired differences. Intervals are conditional on
the fitted models. ``without``: patients to whom a rule gave no score.

    python benchmarks/coverage/pooling_rules.py > benchmarks/coverage/pooling_rules.txt
"""

from __future__ import annotations

import argparse
from typing import Any

import pandas as pd

import times_stats as ts
from times_stats.features.matrix import build_feature_table
from times_stats.simulate import simulate_study

C = "concordance_harrell_within_folds"


def simulated() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row per tile, columns (marker, region), and the outcome."""
    study = simulate_study(
        n_patients=163, markers=5, effect=0.6, location_effect=0.4, n_images=4, seed=6
    )
    wide = study.measurements.pivot_table(
        index=["patient_id", "image_id"], columns=["marker", "region"], values="value"
    )
    outcome = study.patients.set_index("patient_id")[["time", "event"]]
    return wide.droplevel("image_id"), outcome


def of_study(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the features and the outcome of a shipped study."""
    table = build_feature_table(ts.datasets.load_hcc_ihc(name))
    return table.values, table.outcome


def lay_out(compared: pd.DataFrame) -> pd.DataFrame:
    """Return a row per rule, estimates with their intervals."""

    def cells(metric: str, reference: str) -> pd.Series:
        rows = compared[(compared["metric"] == metric) & (compared["reference"] == reference)]
        sign = "+" if reference else ""
        return rows.set_index("rule").apply(
            lambda row: f"{row.estimate:{sign}.3f} ({row.lower:{sign}.3f}, {row.upper:{sign}.3f})",
            axis=1,
        )

    alone = compared[compared["reference"] == ""]
    table = pd.DataFrame(
        {
            "C": cells(C, ""),
            "ipa": cells("ipa_horizon", ""),
            "slope": cells("calibration_slope", ""),
            "C - equal": cells(C, "equal"),
            "C - shrunken": cells(C, "shrunken"),
            "without": alone.groupby("rule")["n_without"].first(),
        }
    )
    return table.loc[alone["rule"].unique()].fillna("")


def main() -> None:
    """Print a table for each study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    tiles, outcome = simulated()
    means = tiles.groupby(level=0).mean()
    cases: dict[str, tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]] = {
        "HCC A": (*of_study("all"), {}),
        "HCC B": (*of_study("complete"), {}),
        "HCC B, bootstrap variances": (
            *of_study("complete"),
            {"variance": "bootstrap", "n_bootstrap": 25},
        ),
        "Simulated, means": (means, outcome, {}),
        "Simulated, tiles": (tiles, outcome, {"n_repeats": 2}),
    }
    for name, (features, y, more) in cases.items():
        compared = ts.score.compare_pooling(
            features,
            y,
            **{"horizon": 24.0, "n_repeats": 3, **more},
            n_outer_repeats=arguments.repeats,
            seed=1,
            jobs=arguments.jobs,
        )
        events = compared["events"].iloc[0]
        print(f"{name}: {compared['n'].iloc[0]} patients, {events} events")
        print(lay_out(compared).to_string(), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
