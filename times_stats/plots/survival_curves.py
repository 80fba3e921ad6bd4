"""Survival curves: Kaplan-Meier by group with numbers at risk, and predicted bands."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from times_stats._typing import FloatArray
from times_stats.nonparametric import StepCurve, kaplan_meier
from times_stats.nonparametric.step_curve import step_value
from times_stats.plots.labels import plain_text
from times_stats.plots.style import (
    MUTED,
    figure_style,
    group_colours,
    new_figure,
    require_columns,
)

_DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (5, 1.6)), (0, (1.5, 1.2)))


def _group_order(groups: pd.Series) -> list[object]:
    """Return the groups: category order, else low < intermediate < high, else sorted."""
    if isinstance(groups.dtype, pd.CategoricalDtype):
        present = set(groups.dropna())
        return [group for group in groups.cat.categories if group in present]
    known = {"low": 0, "intermediate": 1, "medium": 1, "middle": 1, "high": 2}
    labels = pd.unique(groups.dropna()).tolist()
    if all(str(label).lower() in known for label in labels):
        return sorted(labels, key=lambda label: known[str(label).lower()])
    return sorted(labels, key=str)


def time_ticks(end: float) -> FloatArray:
    """Return about six round tick positions (whole years where they fit) from 0 to the end.

    Parameters
    ----------
    end : float
        Last time, months.

    Returns
    -------
    ndarray
    """
    step = next((s for s in (1, 2, 3, 6, 12, 24, 36, 60, 120) if end / s <= 7), None)
    step = step or math.ceil(end / 6 / 120) * 120
    return np.arange(0, end + 1e-9, step, dtype=float)


def _step_points(curve: StepCurve, values: FloatArray, *, end: float) -> tuple[FloatArray, ...]:
    """Return the corners of a step function from time 0 (value 1) to `end`."""
    inside = curve.times[(curve.times > 0) & (curve.times <= end)]
    x = np.concatenate([[0.0], inside, [end]])
    return x, step_value(curve.times, values, x, start=curve.start)


def _draw_at_risk(
    axes: Axes, curves: Sequence[StepCurve], *, names: list[str], colours: list[str], end: float
) -> None:
    """Write the numbers at risk, one row per group, under the ticks of the curves."""
    ticks = time_ticks(end)
    for row, curve in enumerate(curves):
        for tick, number in zip(ticks, curve.number_at_risk(ticks), strict=True):
            axes.text(tick, row, f"{number:.0f}", ha="center", va="center", fontsize=9.5)
    axes.set_ylim(len(curves) - 0.4, -0.6)
    axes.set_yticks(range(len(curves)), names)
    for label, colour in zip(axes.get_yticklabels(), colours, strict=True):
        label.set_color(colour)
        label.set_fontweight("bold")
    axes.tick_params(length=0, labelbottom=False)
    axes.tick_params(axis="y", pad=16)
    axes.spines[:].set_visible(False)
    axes.set_title("Number at risk", fontsize=9.5, fontweight="normal", pad=3)


def plot_kaplan_meier(
    groups: pd.DataFrame,
    *,
    p_value: float | None = None,
    horizon: float | None = None,
    end: float | None = None,
    confidence_level: float = 0.95,
    endpoint: str = "Event-free proportion",
    time_unit: str = "months",
) -> Figure:
    """Draw Kaplan-Meier curves by risk group with numbers at risk.

    Parameters
    ----------
    groups : DataFrame
        One row per patient: ``time``, ``event`` (0 or 1) and ``risk_group``.
    p_value : float, optional
        Log-rank p-value to print.
    horizon : float, optional
        Landmark marked by a dotted line, in the unit of ``time``.
    end : float, optional
        Last time drawn; the largest time when left out.
    confidence_level : float, default 0.95
        Level of the pointwise bands (complementary log-log, Greenwood's variance).
    endpoint : str, default "Event-free proportion"
        What survival means here; names the vertical axis.
    time_unit : str, default "months"
        Unit of ``time``.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    InputError
        A column is missing or there are no rows.

    Notes
    -----
    Bands: Kalbfleisch and Prentice, doi:10.1002/9781118032985. Numbers at risk count patients
    with ``time >= t``.

    Examples
    --------
    >>> import pandas as pd
    >>> groups = pd.DataFrame({"time": [5.0, 9.0, 3.0, 4.0], "event": [0, 1, 1, 1],
    ...                        "risk_group": ["low", "low", "high", "high"]})
    >>> len(plot_kaplan_meier(groups).axes)
    2
    """
    require_columns(groups, ["time", "event", "risk_group"], name="groups")
    order = _group_order(groups["risk_group"])
    last = float(groups["time"].max()) if end is None else float(end)
    last = last if last > 0 else 1.0
    colours = group_colours(len(order))
    parts = [groups[groups["risk_group"] == group] for group in order]
    names = [plain_text(str(group).replace("_", " "), length=20) for group in order]
    curves = [kaplan_meier(part["time"].to_numpy(), part["event"].to_numpy()) for part in parts]
    with figure_style():
        figure = new_figure(height=3.7 + 0.24 * len(order))
        axes, table = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [3.2, 0.3 + 0.24 * len(order)]}
        )
        for k, (part, curve, name, colour) in enumerate(
            zip(parts, curves, names, colours, strict=True)
        ):
            x, y = _step_points(curve, curve.values, end=min(last, float(part["time"].max())))
            lower, upper = curve.interval(confidence_level=confidence_level)
            _, low = _step_points(curve, lower, end=x[-1])
            _, high = _step_points(curve, upper, end=x[-1])
            axes.fill_between(x, low, high, step="post", color=colour, alpha=0.13, linewidth=0)
            label = f"{name.capitalize()} ({len(part)} patients, {int(part['event'].sum())} events)"
            axes.step(
                x, y, where="post", color=colour, linestyle=_DASHES[k % len(_DASHES)], label=label
            )
            censored = np.unique(part.loc[part["event"] == 0, "time"].to_numpy(float))
            censored = censored[censored <= last]
            axes.plot(censored, curve.at(censored), "|", color=colour, markersize=5, alpha=0.8)
        if horizon is not None and horizon < last:
            axes.axvline(horizon, color=MUTED, linewidth=0.9, linestyle=":")
        axes.set_ylim(0, 1.02)
        axes.set_xlim(0, last * 1.02)
        axes.set_xticks(time_ticks(last))
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(f"Time ({time_unit})")
        axes.set_ylabel(plain_text(endpoint[:1].upper() + endpoint[1:]))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2, handlelength=2.4)
        if p_value is not None:
            text = "p < .001" if p_value < 0.001 else f"p = {p_value:.3f}".replace("0.", ".", 1)
            axes.text(0.02, 0.03, f"Log-rank {text}", transform=axes.transAxes, fontsize=9.5)
        _draw_at_risk(table, curves, names=names, colours=colours, end=last)
    return figure


def plot_survival_curves(bands: pd.DataFrame, *, time_unit: str = "months") -> Figure:
    """Draw predicted survival with credible bands for a few patients or profiles.

    Parameters
    ----------
    bands : DataFrame
        Tidy: ``profile``, ``time``, ``estimate``, ``lower``, ``upper`` (probabilities).
    time_unit : str, default "months"
        Unit of ``time``.

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
    >>> bands = pd.DataFrame({"profile": "median", "time": [0.0, 12.0], "estimate": [1.0, 0.7],
    ...                       "lower": [1.0, 0.6], "upper": [1.0, 0.8]})
    >>> plot_survival_curves(bands).axes[0].get_ylabel()
    'Predicted survival'
    """
    require_columns(bands, ["profile", "time", "estimate", "lower", "upper"], name="bands")
    profiles = pd.unique(bands["profile"]).tolist()
    with figure_style():
        figure = new_figure(height=3.5)
        axes = figure.subplots()
        for k, (profile, colour) in enumerate(
            zip(profiles, group_colours(len(profiles)), strict=True)
        ):
            part = bands[bands["profile"] == profile].sort_values("time")
            time = part["time"].to_numpy(float)
            low, high = part["lower"].to_numpy(float), part["upper"].to_numpy(float)
            axes.fill_between(time, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(
                time,
                part["estimate"].to_numpy(float),
                color=colour,
                linestyle=_DASHES[k % len(_DASHES)],
                label=plain_text(profile),
            )
        last = float(bands["time"].max()) or 1.0
        axes.set_ylim(0, 1.02)
        axes.set_xlim(0, last)
        axes.set_xticks(time_ticks(last))
        axes.set_xlabel(f"Time ({time_unit})")
        axes.set_ylabel("Predicted survival")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
    return figure
