"""Draw the figure of the README from a finished demo.

python docs/make_figure.py demo --out docs/figures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from times_stats.datasets import load_hcc_ihc
from times_stats.plots import model_label

METRIC = "concordance_uno"


def read_estimates(folder: Path) -> pd.DataFrame:
    """Return the concordance rows of single models, in the order of the table."""
    table = pd.read_csv(folder / "comparison.csv", keep_default_na=False)
    alone = (table["reference"] == "") & (table["model"] != "null")  # the null is the line at 1/2
    rows = table[alone & (table["metric"] == METRIC)]
    if rows.empty:
        raise SystemExit(f"error: {folder / 'comparison.csv'} holds no {METRIC} of a single model")
    return rows.astype({"estimate": float, "lower": float, "upper": float})


def draw_comparison(demo: Path) -> Figure:
    """Return one panel per analysis: estimate and 95 % interval of each model."""
    analyses = ("all", "complete")
    tables = [read_estimates(demo / name) for name in analyses]
    height = 1.3 + 0.3 * max(len(table) for table in tables)
    figure = Figure(figsize=(10.5, height), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    for axis, name, table in zip(axes, analyses, tables, strict=True):
        study = load_hcc_ihc(name)
        position = range(len(table))[::-1]
        error = [table["estimate"] - table["lower"], table["upper"] - table["estimate"]]
        axis.errorbar(table["estimate"], position, xerr=error, fmt="o", color="#1f4e79", capsize=2)
        axis.axvline(0.5, color="0.6", linewidth=1, linestyle="--")
        axis.set_yticks(list(position), [model_label(model) for model in table["model"]])
        axis.set_xlabel(f"Uno's C by {study.horizon:g} months")
        n, events = table[["n", "events"]].iloc[0]
        markers = study.measurements["marker"].nunique()
        plural = "s" if markers > 1 else ""
        axis.set_title(f"{n} patients, {events} events, {markers} marker{plural}", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Write demo_comparison.png; the bytes depend on the demo alone."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("demo", type=Path, help="output folder of `times-stats demo`")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / "demo_comparison.png"
    draw_comparison(arguments.demo).savefig(target, dpi=150, metadata={"Software": None})
    print(target)


if __name__ == "__main__":
    main()
