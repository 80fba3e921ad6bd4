"""Predictive check: the observed Kaplan-Meier curve in the band of those the model predicts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from times_stats._typing import FloatArray
from times_stats.plots.labels import plain_text
from times_stats.plots.style import (
    INK,
    MUTED,
    figure_style,
    model_colour,
    new_figure,
    require_columns,
)
from times_stats.plots.survival_curves import time_ticks

_COLUMNS = ["cohort", "time", "observed", "n_at_risk", "lower", "median", "upper"]
_MAX_NUMBERS = 5  # at risk, written in one panel


def plot_kaplan_meier_bands(table: pd.DataFrame, *, time_unit: str = "months") -> Figure:
    """Draw each cohort's Kaplan-Meier curve over the band of replicated ones, a panel each.

    Parameters
    ----------
    table : DataFrame
        From `predictive_kaplan_meier`: ``cohort``, ``time``, ``observed``, ``n_at_risk``,
        ``lower``, ``median``, ``upper``. The curves are drawn at the times of the table alone: a
        dense grid shows their steps.
    time_unit : str, default "months"
        Unit of ``time``.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; the grey numbers under each time axis are patients at risk.

    Raises
    ------
    InputError
        A column is missing or there are no rows.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"cohort": "east", "time": [0.0, 12.0], "observed": [1.0, 0.7],
    ...                       "n_at_risk": [40, 25], "lower": [1.0, 0.6], "median": [1.0, 0.72],
    ...                       "upper": [1.0, 0.8]})
    >>> [axes.get_title(loc="left") for axes in plot_kaplan_meier_bands(table).axes]
    ['east']
    """
    require_columns(table, _COLUMNS, name="table")
    cohorts = pd.unique(table["cohort"]).tolist()
    n_columns = min(2, len(cohorts))
    n_rows = math.ceil(len(cohorts) / n_columns)
    last = float(table["time"].max()) or 1.0
    with figure_style():
        figure = new_figure(height=0.7 + (3.1 if n_columns == 1 else 2.4) * n_rows)
        panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, cohort in zip(panels, cohorts, strict=False):
            _draw_panel(axes, table[table["cohort"] == cohort])
            axes.set_title(plain_text(cohort, length=30), loc="left")
            axes.tick_params(labelbottom=True)
        for axes in panels[len(cohorts) :]:
            axes.remove()
        panels[0].set_ylim(0, 1.02)
        panels[0].set_xlim(0, last * 1.02)
        panels[0].set_xticks(time_ticks(last)[:: 1 if n_columns == 1 else 2])
        figure.supxlabel(f"Time ({time_unit})", fontsize=10)
        figure.supylabel("Event-free proportion", fontsize=10)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["observed"].notna()].sort_values("time")

    def values(name: str) -> FloatArray:
        return rows[name].to_numpy(np.float64)

    time, colour = values("time"), model_colour("survival_model")
    axes.fill_between(
        time, values("lower"), values("upper"), color=colour, alpha=0.18, linewidth=0,
        label="Predicted",
    )  # fmt: skip
    axes.plot(
        time, values("median"), color=colour, linestyle=(0, (5, 1.6)), linewidth=1.2,
        label="Median",
    )  # fmt: skip
    axes.plot(time, values("observed"), color=INK, label="Observed (Kaplan–Meier)")
    shown = np.unique(np.linspace(0, max(len(rows) - 1, 0), _MAX_NUMBERS).round().astype(int))
    for row in shown[: len(rows)]:
        axes.annotate(
            f"{values('n_at_risk')[row]:.0f}",
            (time[row], 0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, -20),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8.5,
            color=MUTED,
            annotation_clip=False,
        )
