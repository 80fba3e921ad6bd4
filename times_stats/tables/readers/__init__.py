"""Readers of tables, one module a format."""

from __future__ import annotations

from times_stats._lazy import attach

_EXPORTS = {
    "read_table": "times_stats.tables.readers.formats",
    "read_delimited": "times_stats.tables.readers.delimited",
    "read_parquet": "times_stats.tables.readers.parquet",
}
__all__ = [*_EXPORTS]

__getattr__, __dir__ = attach(__name__, _EXPORTS)
