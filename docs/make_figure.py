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
from times_stats.plots.comparison import sort_models
from times_stats.plots.style import (
    MUTED,
    draw_interval,
    figure_style,
    label_rows,
    model_colour,
    new_figure,
)

METRIC = "concordance_uno_within_folds"
ANALYSES = {"all": "Every patient, one marker", "complete": "Patients with all seven markers"}


def read_estimates(folder: Path) -> pd.DataFrame:
    """Return the concordance rows of single models, best first."""
    table = pd.read_csv(folder / "comparison.csv", keep_default_na=False)
    alone = (table["reference"] == "") & (
        table["model"] != "no_predictors"
    )  # the null is the line at 1/2
    rows = table[alone & (table["metric"] == METRIC)]
    if rows.empty:
        raise SystemExit(f"error: {folder / 'comparison.csv'} holds no {METRIC} of a single model")
    rows = rows.astype({"estimate": float, "lower": float, "upper": float, "n": int, "events": int})
    return sort_models(rows, metric=METRIC)


def draw_comparison(demo: Path) -> Figure:
    """Return one panel per analysis, the models in one order: that of the larger analysis."""
    tables = {name: read_estimates(demo / name) for name in ANALYSES}
    models = list(dict.fromkeys(model for table in tables.values() for model in table["model"]))
    horizon = load_hcc_ihc("all").horizon
    with figure_style():
        figure = new_figure(width=8.4, height=1.15 + 0.3 * len(models))
        panels = figure.subplots(1, len(tables), sharex=True, sharey=True)
        for axes, (name, table) in zip(panels, tables.items(), strict=True):
            for record in table.to_dict("records"):
                draw_interval(
                    axes,
                    models.index(record["model"]),
                    estimate=record["estimate"],
                    lower=record["lower"],
                    upper=record["upper"],
                    colour=model_colour(record["model"]),
                )
            label_rows(axes, [model_label(model) for model in models])
            axes.axvline(0.5, color=MUTED, linewidth=0.9, zorder=0.5)
            n, events = table[["n", "events"]].iloc[0]
            axes.set_title(ANALYSES[name], pad=19)
            axes.text(0, 1.03, f"{n} patients, {events} recurrences", transform=axes.transAxes)
        label = f"Uno's C by {horizon:g} months within test folds the model had not seen"
        figure.supxlabel(f"{label} (95 % interval)", fontsize=10)
    return figure


def main() -> None:
    """Write demo_comparison.png; the bytes depend on the demo alone."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("demo", type=Path, help="output folder of `times-stats demo`")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / "demo_comparison.png"
    figure = draw_comparison(arguments.demo)
    with figure_style():
        figure.savefig(target, dpi=200, metadata={"Software": None})
    print(target)


if __name__ == "__main__":
    main()
