"""Ranks of simulation-based calibration against uniform ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import binom

from times_stats.plots.style import GRID, INK, MUTED, figure_style, new_figure, require_columns
from times_stats.survival.sbc import N_RANKS, check_ranks, ranks_by_quantity

_ACROSS = 4


def plot_ranks(ranks: pd.DataFrame) -> Figure:
    """Draw the distribution function of each quantity's ranks minus that of uniform ones.

    Parameters
    ----------
    ranks : DataFrame
        From `rank_truths`; studies that were left out do not count.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a quantity; grey: where the lines of all quantities lie together with probability
        .99 if all ranks are uniform (see `check_ranks`). A line that rises first and falls later
        shows posteriors that are too narrow; one that stays above or below 0 shows a bias.

    Raises
    ------
    InputError
        If there is no rank.

    Examples
    --------
    >>> ranks = pd.DataFrame({"status": "converged", "slope": np.arange(101)})
    >>> plot_ranks(ranks).axes[0].get_title(loc="left")
    'slope'
    """
    require_columns(ranks, ["status"], name="ranks")
    kept = ranks_by_quantity(ranks)
    value = np.arange(N_RANKS + 1)
    uniform = (value + 1) / (N_RANKS + 1)
    limit = float(check_ranks(ranks)["limit"].iloc[0])
    low = binom.ppf(limit / 2, len(kept), uniform) / len(kept) - uniform
    high = binom.isf(limit / 2, len(kept), uniform) / len(kept) - uniform
    down = -(-kept.shape[1] // _ACROSS)
    with figure_style():
        figure = new_figure(width=8.0, height=0.5 + 1.45 * down)
        axes = figure.subplots(down, _ACROSS, sharex=True, sharey=True, squeeze=False)
        for ax, (name, own) in zip(axes.ravel(), kept.items(), strict=False):
            found = np.searchsorted(np.sort(own.to_numpy()), value, side="right") / len(kept)
            ax.fill_between(value, low, high, color=GRID, linewidth=0)
            ax.axhline(0, color=MUTED, linewidth=0.7)
            ax.plot(value, found - uniform, color=INK, linewidth=1.2, drawstyle="steps-post")
            ax.set_title(str(name).replace("_", " "), fontsize=9, fontweight="normal")
        for ax in axes.ravel()[kept.shape[1] :]:
            ax.set_axis_off()
        figure.supxlabel("Rank of the truth", fontsize=9.5)
        figure.supylabel("Difference from uniform", fontsize=9.5)
    return figure
