"""The level-or-location ladder: nested models and the differences between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from times_stats.errors import InputError
from times_stats.plots.labels import learner_label, metric_label, rung_label
from times_stats.plots.style import (
    GRID,
    MUTED,
    draw_interval,
    figure_style,
    label_rows,
    name_axis,
    new_figure,
    require_columns,
)

_LEARNER_COLOURS = ("#007F5F", "#332288", "#A87900")
_LEARNER_SHAPES = ("o", "s", "^")


def _draw_rungs(axes: Axes, rows: pd.DataFrame, *, keys: list[Any], learners: list[str]) -> None:
    """Draw one row per key and, within it, one interval per learner."""
    step = 0.24
    for k, learner in enumerate(learners):
        part = rows[rows["learner"].astype(str) == learner]
        for record in part.to_dict("records"):
            row = keys.index(record["key"]) + step * (k - (len(learners) - 1) / 2)
            draw_interval(
                axes,
                row,
                estimate=float(record["estimate"]),
                lower=float(record["lower"]),
                upper=float(record["upper"]),
                colour=_LEARNER_COLOURS[k % 3],
                filled=k == 0,
                marker=_LEARNER_SHAPES[k % 3],
            )
        axes.plot(
            [],
            [],
            marker=_LEARNER_SHAPES[k % 3],
            color=_LEARNER_COLOURS[k % 3],
            markerfacecolor=_LEARNER_COLOURS[k % 3] if k == 0 else "white",
            label=learner_label(learner),
        )


def plot_ladder(
    table: pd.DataFrame,
    *,
    differences: pd.DataFrame | None = None,
    metric: str = "concordance_uno",
    margin: float | None = None,
) -> Figure:
    """Draw the ladder of nested models and, below it, the paired differences.

    Parameters
    ----------
    table : DataFrame
        ``learner``, ``model`` (rung), ``metric``, ``estimate``, ``lower``, ``upper``, in the order
        of the ladder; the first learner is the headline.
    differences : DataFrame, optional
        The same columns and ``reference``: model minus reference.
    metric : str, default "concordance_uno"
        Metric to draw.
    margin : float, optional
        Smallest difference that matters; shaded around zero in the lower panel.

    Returns
    -------
    matplotlib.figure.Figure
        One panel, or two with `differences`.

    Raises
    ------
    InputError
        A column is missing, or no row has this metric.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"learner": "ridge_cox", "model": ["levels", "all_regions"],
    ...     "metric": "concordance_uno", "estimate": [0.63, 0.6], "lower": [0.58, 0.55],
    ...     "upper": [0.68, 0.65]})
    >>> len(plot_ladder(table).axes)
    1
    """
    require_columns(
        table, ["learner", "model", "metric", "estimate", "lower", "upper"], name="table"
    )
    rows = table[table["metric"] == metric].copy()
    if rows.empty:
        raise InputError(f"table: no row with metric {metric!r}; name one of the table's metrics")
    rows["key"] = rows["model"].astype(str)
    keys: list[Any] = pd.unique(rows["key"]).tolist()
    learners = [str(learner) for learner in pd.unique(rows["learner"])]
    lower_rows, pairs = _difference_rows(differences, metric=metric)
    with figure_style():
        heights = [0.9 + 0.42 * len(keys), 0.9 + 0.42 * len(pairs)] if pairs else [1.0]
        size = 1.2 + 0.42 * len(keys) + (1.0 + 0.42 * len(pairs) if pairs else 0)
        figure = new_figure(height=size)
        panels = figure.subplots(
            len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        _draw_rungs(panels[0], rows, keys=keys, learners=learners)
        label_rows(panels[0], [rung_label(key) for key in keys])
        panels[0].axvline(0.5, color=MUTED, linewidth=0.9, zorder=0.5)
        name_axis(panels[0], metric_label(metric))
        if len(learners) > 1:
            panels[0].legend(
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(learners), borderaxespad=0.2
            )
        if pairs:
            _draw_rungs(panels[1], lower_rows, keys=pairs, learners=learners)
            label_rows(
                panels[1], [f"{rung_label(a)}\nminus {rung_label(b).lower()}" for a, b in pairs]
            )
            panels[1].axvline(0, color=MUTED, linewidth=0.9, zorder=0.5)
            if margin is not None:
                panels[1].axvspan(-margin, margin, color=GRID, alpha=0.6, linewidth=0, zorder=0)
            name_axis(panels[1], f"Paired difference in {metric_label(metric)}")
            panels[1].xaxis.set_major_formatter(
                FuncFormatter(lambda v, _: "0" if abs(v) < 1e-9 else f"{v:+.2f}".replace("-", "−"))
            )
        for panel in panels:
            panel.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    return figure


def _difference_rows(
    differences: pd.DataFrame | None, *, metric: str
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Return the differences of one metric with their (model, reference) keys in order."""
    if differences is None or len(differences) == 0:
        return pd.DataFrame(), []
    columns = ["learner", "model", "reference", "metric", "estimate", "lower", "upper"]
    require_columns(differences, columns, name="differences")
    rows = differences[differences["metric"] == metric].copy()
    pairs = list(zip(rows["model"].astype(str), rows["reference"].astype(str), strict=True))
    keys = np.empty(len(pairs), dtype=object)
    keys[:] = pairs
    rows["key"] = keys
    return rows, list(dict.fromkeys(pairs))
