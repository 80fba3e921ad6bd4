"""One look for all figures: colours that are safe for colour-blind readers, and stable files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from times_stats.errors import InputError

MODEL_COLOURS: dict[str, str] = {
    "times_score": "#0072B2",
    "survival_model": "#D55E00",
    "raw_survival_model": "#B5558C",
    "ridge_cox": "#007F5F",
    "levels_ridge_cox": "#B07800",
    "stage_and_score": "#3A9BD6",
    "tnm": "#1A1A1A",
    "bclc": "#6B6B6B",
    "no_predictors": "#949494",
}
"""Colour of each model, the same in every figure (after Okabe and Ito, darkened to 3:1)."""

GROUP_COLOURS = ("#2A9D8F", "#882255", "#A87900", "#332288", "#6B6B6B")
"""Colours of patient groups, lowest and highest risk first; none is a model's colour."""

INK = "#222222"
MUTED = "#5A5A5A"
GRID = "#DDDDDD"
WIDTH = 5.4
"""Width of a figure, inches: small enough to be read on a telephone without zooming."""

_OTHER_MODELS = ("#7A5C2E", "#44546A", "#705090", "#3D6B35")
_STYLE: dict[str, object] = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 180,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "times_stats",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9.5,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Set the look of the figures inside the ``with`` block, and restore the caller's after it."""
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        yield


def new_figure(*, width: float = WIDTH, height: float) -> Figure:
    """Return an empty figure on an Agg canvas, outside pyplot's state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def model_colour(key: object) -> str:
    """Return the colour of a model, the same in every figure.

    Parameters
    ----------
    key : object
        Key of the comparison table.

    Returns
    -------
    str
        Hexadecimal colour; unknown keys get one of four by their letters.

    Examples
    --------
    >>> model_colour("times_score")
    '#0072B2'
    """
    name = str(key)
    return MODEL_COLOURS.get(name, _OTHER_MODELS[sum(map(ord, name)) % len(_OTHER_MODELS)])


def group_colours(n_groups: int) -> list[str]:
    """Return one colour per patient group, ordered from the lowest to the highest risk."""
    if n_groups > 2:
        middle = [GROUP_COLOURS[2 + k % 3] for k in range(n_groups - 2)]
        return [GROUP_COLOURS[0], *middle, GROUP_COLOURS[1]]
    return list(GROUP_COLOURS[:n_groups])


def draw_interval(
    axes: Axes,
    row: float,
    *,
    estimate: float,
    lower: float,
    upper: float,
    colour: str,
    filled: bool = True,
    marker: str = "o",
) -> None:
    """Draw one estimate and its interval as a horizontal line at height `row`."""
    axes.plot([lower, upper], [row, row], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot(
        [estimate],
        [row],
        marker=marker,
        markersize=6,
        color=colour,
        markerfacecolor=colour if filled else "white",
        markeredgewidth=1.4,
        linestyle="none",
    )


def name_axis(axes: Axes, label: str) -> None:
    """Name the horizontal axis of a dot plot; a long name ends at the right edge of the figure."""
    axes.set_xlabel(label, loc="right" if len(label) > 36 else "center")


def label_rows(axes: Axes, labels: Sequence[str], *, below: float = 0.6) -> None:
    """Name the rows 0, 1, ... of a dot plot, the first at the top, with quiet guide lines."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 1 + below, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def require_columns(table: object, columns: Sequence[str], *, name: str) -> None:
    """Raise `InputError` when a table lacks columns a figure needs, or has no rows."""
    present = [str(column) for column in getattr(table, "columns", ())]
    missing = [column for column in columns if column not in present]
    if missing:
        raise InputError(
            f"{name}: column {', '.join(missing)} missing (got {', '.join(present) or 'none'}); "
            "hand in the table as the package makes it"
        )
    if len(table) == 0:  # type: ignore[arg-type]
        raise InputError(f"{name}: no rows to draw; leave the figure out")


def figure_svg(figure: Figure) -> str:
    """Return a figure as SVG text, the same bytes for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any figure of `times_stats.plots`.

    Returns
    -------
    str
        SVG document without dates, program names or random identifiers; letters stay text.

    Examples
    --------
    >>> svg = figure_svg(new_figure(height=1))
    >>> svg.startswith("<?xml"), "<dc:date>" in svg
    (True, False)
    """
    buffer = io.StringIO()
    with figure_style(), warnings.catch_warnings():
        # The browser finds a font for letters that ours lacks: the text is kept as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(
            buffer,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return buffer.getvalue()
