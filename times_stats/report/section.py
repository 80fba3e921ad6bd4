"""One part of the report, as the template wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from times_stats.report.figures import Picture
from times_stats.report.table_views import Table


@dataclass(frozen=True, slots=True)
class Section:
    """One part of an analysis: heading, paragraphs, pictures, tables, lists."""

    key: str
    heading: str
    paragraphs: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    bullets: Sequence[str] = ()
    refused: str = ""
    reasons: Sequence[str] = ()
    folded: Sequence[Table] = field(default_factory=tuple)
    callout: str = ""
    beside: bool = False
