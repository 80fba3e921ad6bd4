"""Who carries the score: mean contributions by marker and region, and their spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from times_stats._typing import FloatArray
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


def plot_attribution(summary: pd.DataFrame, *, unit: str = "log hazard") -> Figure:
    """Draw the mean absolute contribution of each marker and region, largest first.

    Parameters
    ----------
    summary : DataFrame
        ``marker``, ``region``, ``mean_absolute``, ``lower``, ``upper``.
    unit : str, default "log hazard"
        Unit of the contributions (`MarkerModel.margin_unit`).

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
    >>> import pandas as pd
    >>> summary = pd.DataFrame({"marker": ["CD57"], "region": ["intratumoral"],
    ...                         "mean_absolute": [0.2], "lower": [0.1], "upper": [0.3]})
    >>> plot_attribution(summary).axes[0].get_xlim()[0]
    np.float64(0.0)
    """
    require_columns(
        summary, ["marker", "region", "mean_absolute", "lower", "upper"], name="summary"
    )
    keys = ["mean_absolute", "marker", "region"]
    rows = summary.sort_values(keys, ascending=[False, True, True], kind="stable")
    labels = [feature_label(pair) for pair in zip(rows["marker"], rows["region"], strict=True)]
    with figure_style():
        figure = new_figure(height=0.95 + 0.27 * len(rows))
        axes = figure.subplots()
        numbers = rows[["mean_absolute", "lower", "upper"]].to_numpy(float)
        for row, (mean, lower, upper) in enumerate(numbers.tolist()):
            draw_interval(
                axes,
                row,
                estimate=mean,
                lower=lower,
                upper=upper,
                colour=model_colour("times_score"),
            )
        label_rows(axes, labels)
        axes.set_xlim(0, float(np.nanmax(numbers)) * 1.06 or 1.0)
        name_axis(axes, f"Mean absolute contribution ({unit})")
    return figure


def _swarm_offsets(values: FloatArray, *, n_bins: int = 60, width: float = 0.36) -> FloatArray:
    """Return vertical offsets that spread points of equal value evenly, without chance."""
    offsets = np.zeros(values.size)
    finite = np.flatnonzero(np.isfinite(values))
    if finite.size == 0:
        return offsets
    low, high = values[finite].min(), values[finite].max()
    span = high - low if high > low else 1.0
    bins = np.minimum(((values[finite] - low) / span * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    for k in np.flatnonzero(counts > 1):
        members = finite[bins == k]
        members = members[np.argsort(values[members], kind="stable")]
        place = np.arange(members.size) - (members.size - 1) / 2
        offsets[members] = place / counts.max() * 2 * width
    return offsets


def plot_beeswarm(
    phi: pd.DataFrame, *, features: pd.DataFrame | None = None, unit: str = "log hazard"
) -> Figure:
    """Draw every patient's contribution by marker and region, coloured by the measurement.

    Parameters
    ----------
    phi : DataFrame, shape (n_patients, n_features)
        Contributions to the linear predictor; columns (``marker``, ``region``).
    features : DataFrame, optional
        Measurements of the same shape; colour is their rank within the column. Grey without.
    unit : str, default "log hazard"
        Unit of the contributions (`MarkerModel.margin_unit`).

    Returns
    -------
    matplotlib.figure.Figure
        The figure; rows ordered by mean absolute contribution.

    Raises
    ------
    InputError
        `phi` is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = pd.MultiIndex.from_tuples([("CD57", "tumour")], names=["marker", "region"])
    >>> plot_beeswarm(pd.DataFrame([[0.1], [-0.2]], columns=columns)).axes[0].get_xlabel()
    'Contribution to the log hazard'
    """
    require_columns(phi, [], name="phi")
    order = phi.abs().mean().fillna(0.0).sort_values(ascending=False, kind="stable").index
    with figure_style():
        figure = new_figure(height=1.0 + 0.36 * len(order))
        axes = figure.subplots()
        drawn = None
        for row, column in enumerate(order):
            values = phi[column].to_numpy(float)
            colour: dict[str, Any] = {"color": "#6B6B6B"}
            if features is not None and column in features.columns:
                measured = features[column].reindex(phi.index)
                rank = measured.rank(pct=True).fillna(0.5).to_numpy(float)
                colour = {"c": rank, "cmap": "cividis", "vmin": 0.0, "vmax": 1.0}
            drawn = axes.scatter(
                values, row + _swarm_offsets(values), s=9, linewidths=0, rasterized=True, **colour
            )
        label_rows(axes, [feature_label(column) for column in order])
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=0.5)
        name_axis(axes, f"Contribution to the {unit}")
        if features is not None and drawn is not None and drawn.get_array() is not None:
            bar = figure.colorbar(drawn, ax=axes, location="top", aspect=40, shrink=0.6, pad=0.02)
            bar.set_ticks([0.02, 0.98], labels=["lowest measurement", "highest"])
            bar.ax.tick_params(length=0)
            bar.outline.set_visible(False)
    return figure
