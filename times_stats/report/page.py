"""The page: from the contents of one or more analyses to one self-contained HTML file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

import times_stats
from times_stats.errors import InputError
from times_stats.nonparametric import reverse_kaplan_meier
from times_stats.report import table_views
from times_stats.report.contents import ReportContents
from times_stats.report.formatting import fixed
from times_stats.report.sections import build_sections, stated_estimand
from times_stats.report.table_views import Table
from times_stats.report.verdicts import short_verdict


def _follow_up(contents: ReportContents) -> str:
    groups = contents.risk_groups
    median = reverse_kaplan_meier(groups["time"].to_numpy(), groups["event"].to_numpy())
    return f"{fixed(median.quantile(0.5), 1)} months"


def _location_verdict(contents: ReportContents) -> str:
    verdict, scaled = contents.integration.verdict, contents.study.scaled_by_region
    unclear = f"; no region-free level of {', '.join(scaled)} is identified" if scaled else ""
    return f"{verdict}{unclear}"


def _titles(titles: Sequence[str]) -> tuple[str, list[str]]:
    """Return the title of the page and of each analysis: a common beginning is said once."""
    if len(titles) == 1:
        return titles[0], list(titles)
    if len(set(titles)) < len(titles):
        titles = [f"{title} ({k})" for k, title in enumerate(titles, start=1)]
    alike = (len(set(letters)) == 1 for letters in zip(*titles, strict=False))
    shared = titles[0][: sum(takewhile(bool, alike))]
    shared = shared[: max(shared.rfind(mark) + len(mark) for mark in (", ", ": ", " – "))]
    if len(shared) < 8:
        return " and ".join(titles), list(titles)
    ends = [title[len(shared) :] for title in titles]
    return shared.strip(" ,:–"), [end[:1].upper() + end[1:] for end in ends]


def _front(analyses: Sequence[ReportContents], *, names: Sequence[str]) -> Table:
    stated = [stated_estimand(contents) for contents in analyses]
    keys = list(dict.fromkeys(key for estimand in stated for key in estimand if key != "patients"))
    shared = [
        (key.capitalize(), [estimand.get(key, "not stated") for estimand in stated]) for key in keys
    ]
    groups = [contents.risk_groups for contents in analyses]
    rows: list[tuple[str, list[str]]] = [
        ("Level or location", [_location_verdict(contents) for contents in analyses]),
        (
            "TIMES score ranks patients",
            [short_verdict(c.shown_comparison, "times_score") for c in analyses],
        ),
        ("Survival model", [_status(contents) for contents in analyses]),
        ("Patients", [str(len(group)) for group in groups]),
        ("Events", [str(int(group["event"].sum())) for group in groups]),
        (
            "Median follow-up (reverse Kaplan–Meier)",
            [_follow_up(contents) for contents in analyses],
        ),
    ]
    return table_views.front_table(analyses, names=names, shared=shared, rows=rows)


def _status(contents: ReportContents) -> str:
    if contents.survival_is_shown:
        return "converged"
    return "failed its convergence checks; not shown"


def render_report(contents: Sequence[ReportContents]) -> str:
    """Return the report as one HTML document; see `write_report`."""
    if not contents:
        raise InputError("contents: no analysis to report; hand in at least one ReportContents")
    environment = Environment(
        loader=PackageLoader("times_stats.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    title, names = _titles([item.title for item in contents])
    page = environment.get_template("page.html.j2").render(
        title=title,
        version=times_stats.__version__,
        front=_front(contents, names=names) if len(contents) > 1 else None,
        analyses=[
            {"anchor": f"a{k}", "title": name, "sections": build_sections(item)}
            for k, (item, name) in enumerate(zip(contents, names, strict=True), start=1)
        ],
    )
    return page.replace(" %", "\u00a0%")


def write_report(contents: Sequence[ReportContents], path: str | os.PathLike[str]) -> Path:
    """Write one self-contained HTML page over one or more analyses.

    Parameters
    ----------
    contents : sequence of ReportContents
        One record per analysis; with several, the page opens with a table that sets them side by
        side.
    path : path
        File to write; an existing one is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        `contents` is empty.

    Notes
    -----
    The page loads nothing from elsewhere, runs no script, and is the same bytes for the same
    contents. Whatever comes from a user is escaped. If the survival model failed its checks, the
    page says so in place of every number of that model.

    Examples
    --------
    >>> write_report([], "report.html")
    Traceback (most recent call last):
    times_stats.errors.InputError: contents: no analysis to report; hand in at least one ...
    """
    path = Path(path)
    path.write_text(render_report(contents), encoding="utf-8", newline="\n")
    return path
