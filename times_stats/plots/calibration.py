"""Calibration: predicted against observed event probability in groups of patients."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from times_stats.plots.labels import model_label
from times_stats.plots.style import (
    GRID,
    MUTED,
    figure_style,
    model_colour,
    new_figure,
    require_columns,
)


def plot_calibration(groups: pd.DataFrame, *, horizon: float | None = None) -> Figure:
    """Draw observed (Kaplan-Meier) against predicted event probability by group.

    Parameters
    ----------
    groups : DataFrame
        ``predicted``, ``observed``, ``lower``, ``upper`` (event probabilities by the horizon) and,
        with several models, ``model``.
    horizon : float, optional
        Horizon in months, for the axis names.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, both axes from 0 to 1, with the line of perfect calibration.

    Raises
    ------
    InputError
        A column is missing or there are no rows.

    Examples
    --------
    >>> import pandas as pd
    >>> groups = pd.DataFrame({"predicted": [0.2, 0.6], "observed": [0.25, 0.5],
    ...                        "lower": [0.1, 0.3], "upper": [0.4, 0.7]})
    >>> plot_calibration(groups, horizon=24).axes[0].get_xlabel()
    'Predicted event probability at 24 months'
    """
    require_columns(groups, ["predicted", "observed", "lower", "upper"], name="groups")
    has_models = "model" in groups
    models = pd.unique(groups["model"]).tolist() if has_models else ["survival_model"]
    shapes = ("o", "s", "^", "D", "v")
    when = "" if horizon is None else f" at {horizon:g} months"
    with figure_style():
        figure = new_figure(width=4.6, height=4.4 + 0.2 * (len(models) - 1))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle="--", zorder=1)
        for k, model in enumerate(models):
            part = groups[groups["model"] == model] if has_models else groups
            part = part.sort_values("predicted", kind="stable")
            numbers = part[["predicted", "observed", "lower", "upper"]].to_numpy(float)
            shift = 0.008 * (k - (len(models) - 1) / 2)
            axes.vlines(
                numbers[:, 0] + shift, numbers[:, 2], numbers[:, 3], color=model_colour(model)
            )
            axes.plot(
                numbers[:, 0] + shift,
                numbers[:, 1],
                marker=shapes[k % len(shapes)],
                markersize=6,
                linewidth=0.9,
                color=model_colour(model),
                label=model_label(model),
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.grid(color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"Predicted event probability{when}")
        axes.set_ylabel(f"Observed (Kaplan–Meier){when}")
        if len(models) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
    return figure
