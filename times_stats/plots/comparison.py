"""Models side by side: a metric with its interval, or paired differences from a reference."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from times_stats.errors import InputError
from times_stats.plots.labels import LOWER_IS_BETTER, metric_label, model_label
from times_stats.plots.style import (
    MUTED,
    draw_interval,
    figure_style,
    label_rows,
    model_colour,
    name_axis,
    new_figure,
    require_columns,
)

_NO_SKILL = {
    "concordance_harrell": 0.5,
    "concordance_uno": 0.5,
    "concordance_harrell_within_folds": 0.5,
    "concordance_uno_within_folds": 0.5,
    "auc_horizon": 0.5,
    "ipa_horizon": 0.0,
    "calibration_slope": 1.0,
    "calibration_in_the_large": 0.0,
}


def sort_models(rows: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Return the rows of one metric, best model first, ties by key."""
    ascending = metric in LOWER_IS_BETTER
    return rows.sort_values(["estimate", "model"], ascending=[ascending, True], kind="stable")


def plot_comparison(
    comparison: pd.DataFrame, *, metric: str = "concordance_uno", reference: str = ""
) -> Figure:
    """Draw one metric of all models, or their paired differences from one reference.

    Parameters
    ----------
    comparison : DataFrame
        Tidy: ``model``, ``reference`` ("" for single models), ``metric``, ``estimate``,
        ``lower``, ``upper``.
    metric : str, default "concordance_uno"
        Metric to draw.
    reference : str, default ""
        Empty for the models themselves; a model key for the differences from that model.

    Returns
    -------
    matplotlib.figure.Figure
        Dot plot with intervals, best first; each model in its own colour.

    Raises
    ------
    InputError
        A column is missing, or no row has this metric and reference.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"model": ["tnm", "times_score"], "reference": "",
    ...     "metric": "concordance_uno", "estimate": [0.59, 0.62], "lower": [0.54, 0.56],
    ...     "upper": [0.65, 0.67]})
    >>> [label.get_text() for label in plot_comparison(table).axes[0].get_yticklabels()]
    ['TIMES score', 'TNM stage']
    """
    columns = ["model", "reference", "metric", "estimate", "lower", "upper"]
    require_columns(comparison, columns, name="comparison")
    chosen = (comparison["metric"] == metric) & (comparison["reference"].fillna("") == reference)
    rows = sort_models(comparison[chosen].dropna(subset=["estimate"]), metric=metric)
    if rows.empty:
        raise InputError(
            f"comparison: no row with metric {metric!r} and reference {reference!r}; "
            f"metrics there are {', '.join(map(str, pd.unique(comparison['metric'])))}"
        )
    with figure_style():
        figure = new_figure(height=0.95 + 0.29 * len(rows))
        axes = figure.subplots()
        for row, record in enumerate(rows.to_dict("records")):
            draw_interval(
                axes,
                row,
                estimate=float(record["estimate"]),
                lower=float(record["lower"]),
                upper=float(record["upper"]),
                colour=model_colour(record["model"]),
            )
        label_rows(axes, [model_label(model) for model in rows["model"]])
        zero = 0.0 if reference else _NO_SKILL.get(metric)
        if zero is not None:
            axes.axvline(zero, color=MUTED, linewidth=0.9, zorder=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        if reference:
            axes.xaxis.set_major_formatter(
                FuncFormatter(lambda v, _: "0" if abs(v) < 1e-9 else f"{v:+.2f}".replace("-", "−"))
            )
            label = f"Difference in {metric_label(metric)} from {model_label(reference)}"
        else:
            label = metric_label(metric)
        if metric in LOWER_IS_BETTER:
            label += " (lower is better)"
        name_axis(axes, label)
    return figure
