"""Profiles of the effects of markers from the tumour out, with credible bands."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from times_stats.plots.labels import plain_text
from times_stats.plots.style import (
    MUTED,
    figure_style,
    model_colour,
    new_figure,
    require_columns,
)

_COLUMNS = ["marker", "region", "position", "mean", "lower", "upper"]
_ACROSS = 2


def plot_effect_profile(table: pd.DataFrame) -> Figure:
    """Draw the slope of each marker by region with its credible band, a panel a marker.

    Parameters
    ----------
    table : DataFrame
        From `effect_profile`: ``marker``, ``region``, ``position``, ``mean``, ``lower``, ``upper``.

    Returns
    -------
    matplotlib.figure.Figure
        Panels share their axes: regions in the order of their positions, slopes upwards. The solid
        line at 0 ignores the evidence, the dashed one at 1 takes it at face value.

    Raises
    ------
    InputError
        A column is missing or there are no rows.

    Notes
    -----
    A panel a marker, because bands of several markers on one another cannot be told apart.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"marker": "CD57", "region": ["tumour", "invasive_front"],
    ...                       "position": [0, 1], "mean": [0.2, 0.8], "lower": [-0.3, 0.3],
    ...                       "upper": [0.7, 1.3]})
    >>> [label.get_text() for label in plot_effect_profile(table).axes[0].get_xticklabels()]
    ['tumour', 'invasive front']
    """
    require_columns(table, _COLUMNS, name="table")
    markers = pd.unique(table["marker"]).tolist()
    regions = table.drop_duplicates("region").sort_values("position")
    across = min(_ACROSS, len(markers))
    down = math.ceil(len(markers) / across)
    with figure_style():
        figure = new_figure(height=1.1 + (2.4 if across == 1 else 1.75) * down)
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, marker in zip(panels, markers, strict=False):
            _draw_panel(axes, table[table["marker"] == marker])
            axes.set_title(plain_text(marker, length=30), loc="left")
            axes.tick_params(labelbottom=True)
        for axes in panels[len(markers) :]:
            axes.remove()
        names = [plain_text(str(name).replace("_", " "), length=24) for name in regions["region"]]
        for axes in panels[: len(markers)]:
            axes.set_xticks(regions["position"].to_numpy(), names)
            _turn_if_long(axes, names, across)
        low, high = panels[0].get_ylim()
        panels[0].set_ylim(min(low, -0.2), max(high, 1.2))
        panels[0].set_xlim(regions["position"].min() - 0.3, regions["position"].max() + 0.3)
        panels[0].yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        panels[0].yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))
        )
        figure.supylabel("Slope on the evidence", fontsize=10)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows.sort_values("position")
    place, mean, lower, upper = (
        rows[name].to_numpy(np.float64) for name in ("position", "mean", "lower", "upper")
    )
    colour = model_colour("survival_model")
    for value, style in ((0.0, "-"), (1.0, "--")):
        axes.axhline(value, color=MUTED, linewidth=0.9, linestyle=style, zorder=0.5)
    axes.fill_between(place, lower, upper, color=colour, alpha=0.18, linewidth=0)
    axes.plot(place, mean, color=colour, marker="o", markersize=5)


def _turn_if_long(axes: Axes, names: list[str], across: int) -> None:
    """Turn the names of the regions where they would run into one another."""
    if sum(len(name) + 3 for name in names) > 68 // across:
        for label in axes.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
