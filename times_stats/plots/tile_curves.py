"""How a score gains from more tiles: expected curves, and what resampled tiles show."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from times_stats.errors import InputError
from times_stats.plots.labels import plain_text
from times_stats.plots.style import (
    GRID,
    GROUP_COLOURS,
    INK,
    MUTED,
    figure_style,
    new_figure,
    require_columns,
)

_COLUMNS = ["measure", "n_tiles", "estimate", "lower", "upper"]
_LABELS = {
    "reliability": "Reliability of the mean",
    "correlation_truth": "Correlation with the true value",
    "correlation_all": "Correlation with all tiles",
    "spearman_all": "Spearman correlation with all tiles",
}
_MARKERS = "osD^v"
_APART = 0.09  # between the points of two rules, in tiles


def plot_tile_curve(
    curve: pd.DataFrame,
    *,
    measure: str = "reliability",
    resampled: pd.DataFrame | None = None,
    target: float | None = None,
) -> Figure:
    """Draw what is expected of n tiles, and beside it what resampled tiles show.

    Parameters
    ----------
    curve : DataFrame
        From `predict_tile_curve`.
    measure : str, default "reliability"
        ``reliability``, ``correlation_truth``, ``correlation_all`` or ``spearman_all``.
    resampled : DataFrame, optional
        From `resample_tiles`: one set of points for each rule.
    target : float, optional
        A value to draw a line at.

    Returns
    -------
    matplotlib.figure.Figure
        Line and band: the expected curve and its interval. Points and bars: the rules.

    Raises
    ------
    InputError
        A column is missing, or no row has this measure.

    Examples
    --------
    >>> import pandas as pd
    >>> curve = pd.DataFrame({"measure": "reliability", "n_tiles": [1, 2], "estimate": [.5, .67],
    ...                       "lower": [.4, .57], "upper": [.6, .75]})
    >>> plot_tile_curve(curve, target=.6).axes[0].get_ylabel()
    'Reliability of the mean'
    """
    require_columns(curve, _COLUMNS, name="curve")
    rows = curve[curve["measure"] == measure].sort_values("n_tiles")
    if rows.empty:
        raise InputError(
            f"curve: no row with measure {measure!r}; measures there are "
            f"{', '.join(map(str, pd.unique(curve['measure'])))}"
        )
    with figure_style():
        figure = new_figure(height=3.3)
        axes = figure.subplots()
        number = rows["n_tiles"].to_numpy()
        lower, upper = rows["lower"].to_numpy(), rows["upper"].to_numpy()
        axes.fill_between(number, lower, upper, color=GRID, linewidth=0)
        axes.plot(number, rows["estimate"], color=INK, linewidth=1.4, label="expected")
        if resampled is not None:
            require_columns(resampled, ["rule", *_COLUMNS], name="resampled")
            points = resampled[resampled["measure"] == measure]
            rules = pd.unique(points["rule"]).tolist()
            for k, rule in enumerate(rules):
                own = points[points["rule"] == rule]
                place = own["n_tiles"] + _APART * (k - (len(rules) - 1) / 2)
                colour = GROUP_COLOURS[k % len(GROUP_COLOURS)]
                axes.vlines(place, own["lower"], own["upper"], color=colour, linewidth=1.2)
                axes.plot(
                    place,
                    own["estimate"],
                    marker=_MARKERS[k % len(_MARKERS)],
                    markersize=5,
                    linestyle="none",
                    color=colour,
                    label=plain_text(str(rule).replace("_", " "), length=24),
                )
            axes.legend(loc="lower right")
        if target is not None:
            axes.axhline(target, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.set_xlabel("Tiles of a patient")
        axes.set_ylabel(_LABELS.get(measure, measure.replace("_", " ")))
        axes.set_ylim(top=1.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))
        )
    return figure
