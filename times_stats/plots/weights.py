"""How much each marker weighs in the pooled score, over the patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from times_stats.errors import InputError
from times_stats.plots.labels import plain_text
from times_stats.plots.style import (
    MUTED,
    figure_style,
    label_rows,
    model_colour,
    name_axis,
    new_figure,
)

PRIOR = "prior"
_PRIOR_LABEL = "mean of the training patients"


def weight_summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Return quantiles over patients of each marker's pooling weight, largest median first.

    Parameters
    ----------
    scores : DataFrame
        One row per patient with a column ``weight_<marker>`` per marker; ``weight_prior`` is what
        Bayesian pooling leaves to the mean of the training patients.

    Returns
    -------
    DataFrame
        ``marker``, ``q05``, ``q25``, ``median``, ``q75``, ``q95``, ``n``.

    Raises
    ------
    InputError
        There is no column ``weight_<marker>``.

    Examples
    --------
    >>> import pandas as pd
    >>> weight_summary(pd.DataFrame({"weight_CD8": [0.4, 0.6]}))["median"].tolist()
    [0.5]
    """
    columns = [str(name) for name in scores.columns if str(name).startswith("weight_")]
    if not columns:
        raise InputError("scores: no column weight_<marker>; hand in the table of TimesScore")
    levels = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
    rows: list[dict[str, object]] = []
    for column in columns:
        values = scores[column].dropna().to_numpy(float)
        spread = {
            name: float(np.quantile(values, level)) if values.size else float("nan")
            for name, level in levels.items()
        }
        rows.append({"marker": column.removeprefix("weight_"), **spread, "n": int(values.size)})
    table = pd.DataFrame(rows)
    return table.sort_values(["median", "marker"], ascending=[False, True]).reset_index(drop=True)


def weight_label(marker: str) -> str:
    """Return the name of a row of weights: the marker, or the mean that Bayesian pooling draws to.

    Parameters
    ----------
    marker : str

    Returns
    -------
    str

    Examples
    --------
    >>> weight_label("prior")
    'mean of the training patients'
    """
    return _PRIOR_LABEL if marker == PRIOR else plain_text(marker)


def plot_weights(scores: pd.DataFrame) -> Figure:
    """Draw the spread of the pooling weights over patients, one row per marker.

    Parameters
    ----------
    scores : DataFrame
        One row per patient with a column ``weight_<marker>`` per marker.

    Returns
    -------
    matplotlib.figure.Figure
        Median (dot), quartiles (thick) and 5th to 95th percentile (thin); the dashed line is the
        weight each marker would have if all weighed the same and nothing were left to the mean.

    Raises
    ------
    InputError
        There is no column ``weight_<marker>``.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"weight_CD8": [0.4, 0.6], "weight_CD4": [0.6, 0.4]})
    >>> plot_weights(scores).axes[0].get_xlabel()
    'Weight in the score'
    """
    table = weight_summary(scores)
    colour = model_colour("times_score")
    with figure_style():
        figure = new_figure(height=0.95 + 0.29 * len(table))
        axes = figure.subplots()
        for row, record in enumerate(table.to_dict("records")):
            axes.plot([record["q05"], record["q95"]], [row, row], color=colour, linewidth=1.2)
            axes.plot(
                [record["q25"], record["q75"]],
                [row, row],
                color=colour,
                linewidth=4.5,
                alpha=0.55,
                solid_capstyle="butt",
            )
            axes.plot([record["median"]], [row], "o", color=colour, markersize=6)
        label_rows(axes, [weight_label(marker) for marker in table["marker"]])
        n_markers = int((table["marker"] != PRIOR).sum())
        axes.axvline(1 / max(n_markers, 1), color=MUTED, linewidth=0.9, linestyle="--", zorder=0.5)
        low = float(np.nanmin(table[["q05"]].to_numpy(float)))
        high = float(np.nanmax(table[["q95"]].to_numpy(float)))
        axes.set_xlim(min(0.0, low * 1.05), high * 1.08 or 1.0)
        name_axis(axes, "Weight in the score")
    return figure
