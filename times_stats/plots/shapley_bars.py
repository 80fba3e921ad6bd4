"""Who carries a prediction or its performance: one bar a player, with its interval."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from times_stats.plots.labels import plain_text
from times_stats.plots.style import (
    INK,
    MUTED,
    figure_style,
    label_rows,
    model_colour,
    name_axis,
    new_figure,
    require_columns,
)

_BAR = "#9CC7E3"


def plot_shapley(
    table: pd.DataFrame,
    *,
    quantity: str = "Shapley value",
    beside: pd.DataFrame | None = None,
    beside_label: str = "Sum of feature values",
) -> Figure:
    """Draw the Shapley value of each player as a bar with its interval, largest first.

    Parameters
    ----------
    table : DataFrame
        ``player``, ``estimate``, ``lower``, ``upper``: the players of
        `times_stats.attribution.performance_shapley`, or one output of
        `times_stats.attribution.summarise_prediction_shapley`.
    quantity : str, default "Shapley value"
        What is shared out and its unit: the name of the axis.
    beside : DataFrame, optional
        ``player`` and ``estimate`` of another attribution of the same players, such as sums of
        feature values: drawn as open circles.
    beside_label : str, default "Sum of feature values"
        Name of that attribution.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    InputError
        A column is missing or there are no rows.

    Examples
    --------
    >>> table = pd.DataFrame({"player": ["CD8 level", "CD8 location"], "estimate": [0.01, 0.04],
    ...                       "lower": [-0.02, 0.01], "upper": [0.04, 0.07]})
    >>> [label.get_text() for label in plot_shapley(table).axes[0].get_yticklabels()]
    ['CD8 location', 'CD8 level']
    """
    require_columns(table, ["player", "estimate", "lower", "upper"], name="table")
    if beside is not None:
        require_columns(beside, ["player", "estimate"], name="beside")
    rows = table.sort_values(["estimate", "player"], ascending=[False, True], kind="stable")
    colour = model_colour("times_score")
    with figure_style():
        figure = new_figure(height=1.0 + 0.3 * len(rows) + (0.3 if beside is not None else 0.0))
        axes = figure.subplots()
        numbers = rows[["estimate", "lower", "upper"]].to_numpy(float)
        for row, (estimate, lower, upper) in enumerate(numbers.tolist()):
            axes.barh(row, estimate, height=0.62, color=_BAR, linewidth=0)
            axes.plot([lower, upper], [row, row], color=colour, linewidth=1.6)
        if beside is not None:
            other = beside.set_index("player")["estimate"].reindex(rows["player"])
            axes.plot(
                other.to_numpy(float),
                range(len(rows)),
                marker="o",
                markersize=5.5,
                markerfacecolor="white",
                color=INK,
                linestyle="none",
                zorder=3,
            )
            keys = [
                Patch(facecolor=_BAR, label="Groups as players"),
                Line2D(
                    [], [], marker="o", markersize=5.5, markerfacecolor="white", color=INK,
                    linestyle="none", label=plain_text(beside_label),
                ),
            ]  # fmt: skip
            figure.legend(handles=keys, loc="outside upper left", ncols=2, borderaxespad=0.2)
        label_rows(axes, [plain_text(player) for player in rows["player"]])
        axes.axvline(0, color=MUTED, linewidth=0.9)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}".replace("-", "−")))
        name_axis(axes, plain_text(quantity, length=70))
    return figure
