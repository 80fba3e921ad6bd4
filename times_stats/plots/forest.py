"""Forest plot of the marker x region slopes of the survival model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from times_stats.plots.labels import feature_label
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

_RATIOS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


def _exp(values: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.exp(values)


def _log(values: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values)


def _add_ratio_axis(axes: Axes) -> None:
    """Put the hazard ratio above the slope: equal steps of the slope are equal ratios."""
    top = axes.secondary_xaxis("top", functions=(_exp, _log))
    low, high = axes.get_xlim()
    inside = [ratio for ratio in _RATIOS if low <= math.log(ratio) <= high]
    top.set_xscale("log")
    top.set_xticks(inside)
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xlabel("Hazard ratio per unit of evidence (log scale)")


def plot_forest(
    summary: pd.DataFrame,
    *,
    prior: tuple[float, float] | None = None,
    unit: str = "log hazard",
) -> Figure:
    """Draw posterior means and intervals of the slopes, largest first.

    Parameters
    ----------
    summary : DataFrame
        One row per marker and region: ``marker``, ``region``, ``mean``, ``lower``, ``upper`` of
        the slope, log hazard per unit of the cross-fitted evidence z.
    prior : tuple of float, optional
        Prior interval of one slope, drawn as the last row so that learning can be seen.
    unit : str, default "log hazard"
        Unit of the evidence (`MarkerModel.margin_unit`).

    Returns
    -------
    matplotlib.figure.Figure
        The figure: slopes below, hazard ratios on a log scale above.

    Raises
    ------
    InputError
        A column is missing or there are no rows.

    Notes
    -----
    A slope of 0 ignores the boosted evidence; evidence that is a log hazard is taken at face
    value by a slope of 1, and no slope has that meaning in other units. Intervals are conditional
    on z.

    Examples
    --------
    >>> import pandas as pd
    >>> summary = pd.DataFrame({"marker": ["CD57"], "region": ["intratumoral"], "mean": [0.6],
    ...                         "lower": [0.1], "upper": [1.1]})
    >>> [label.get_text() for label in plot_forest(summary).axes[0].get_yticklabels()]
    ['CD57, intratumoral']
    """
    require_columns(summary, ["marker", "region", "mean", "lower", "upper"], name="summary")
    keys = ["mean", "marker", "region"]
    rows = summary.sort_values(keys, ascending=[False, True, True], kind="stable")
    labels = [feature_label(pair) for pair in zip(rows["marker"], rows["region"], strict=True)]
    n_rows = len(rows) + (prior is not None)
    with figure_style():
        figure = new_figure(height=1.35 + 0.27 * n_rows)
        axes = figure.subplots()
        for row, (mean, lower, upper) in enumerate(
            rows[["mean", "lower", "upper"]].to_numpy(float).tolist()
        ):
            draw_interval(
                axes,
                row,
                estimate=mean,
                lower=lower,
                upper=upper,
                colour=model_colour("survival_model"),
            )
        if prior is not None:
            draw_interval(
                axes,
                len(rows),
                estimate=sum(prior) / 2,
                lower=prior[0],
                upper=prior[1],
                colour=MUTED,
                filled=False,
            )
            labels.append("Prior of each slope")
        label_rows(axes, labels)
        said = f"Slope (log hazard per unit of evidence in {unit}; 0 ignores it)"
        axes.axvline(0.0, color=MUTED, linewidth=0.9, zorder=0.5)
        if unit == "log hazard":
            said = "Slope (0 ignores the evidence, 1 takes it at face value)"
            axes.axvline(1.0, color=MUTED, linewidth=0.9, linestyle="--", zorder=0.5)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.2), max(high, 1.2))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}".replace("-", "−")))
        name_axis(axes, said)
        _add_ratio_axis(axes)
    return figure
