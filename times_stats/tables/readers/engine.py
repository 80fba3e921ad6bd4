"""The engine that reads cells out of core: one DuckDB connection, its limits, its complaints.

DuckDB (MIT licence) scans text and Parquet lazily in threads, groups and sorts in bounded memory,
and writes what does not fit to a temporary folder. Nothing is installed or fetched by it here.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from times_stats.errors import InputError

# The small side of a join stands on the right: of text the engine knows no size to choose by.
_AS_WRITTEN = "join_order,build_side_probe_side"
_NAME_OF_FILE = (
    r"^\s*file = (.+)$",
    r"[\"']([^\"'\n]+\.(?:csv|tsv|txt|parquet|gz))[\"']",
    r": ([^:\n]+\.(?:csv|tsv|txt|parquet|gz))$",
)
MAX_THREADS = 4  # every thread holds buffers of its own: more would not keep to the memory


@contextmanager
def open_engine(*, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine with a limit on its memory and a folder to spill to.

    Parameters
    ----------
    memory_mb : int
        Megabytes that sorting and grouping may hold before they spill.

    Yields
    ------
    DuckDBPyConnection
        Closed, with its folder removed, at the end.

    Raises
    ------
    InputError
        In place of any error of the engine, with the remedy.

    Examples
    --------
    >>> with open_engine(memory_mb=100) as engine:
    ...     engine.sql("SELECT 1 + 1").fetchall()
    [(2,)]
    """
    with tempfile.TemporaryDirectory(prefix="times_stats_cells_") as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": folder,
            "threads": min(MAX_THREADS, os.cpu_count() or 1),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        try:
            with duckdb.connect(":memory:", config=settings) as engine:
                engine.execute("SET python_enable_replacements = false")
                engine.execute(f"SET disabled_optimizers = '{_AS_WRITTEN}'")
                yield engine
        except (duckdb.Error, pa.ArrowException) as error:
            raise InputError(explain(str(error))) from None


def explain(complaint: str) -> str:
    """Return a complaint of the engine as one sentence with a remedy.

    Parameters
    ----------
    complaint : str
        Its message, of any number of lines.

    Returns
    -------
    str
        What is wrong, in which file and line, and what to do.

    Examples
    --------
    >>> explain("Out of Memory Error: failed to allocate 2 MB")
    'the engine ran out of its memory: give it more with memory_mb'
    """
    matches = (re.search(shape, complaint, re.MULTILINE) for shape in _NAME_OF_FILE)
    named = next((match for match in matches if match), None)
    where = f"file '{Path(named.group(1).strip()).name}': " if named else ""
    line = re.search(r"on Line: (\d+)", complaint)
    place = f" (line {line.group(1)})" if line else ""
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", complaint)
    if "Out of Memory" in complaint:
        return "the engine ran out of its memory: give it more with memory_mb"
    if fields:
        expected, seen = fields.groups()
        return (
            f"{where}a row has {seen} fields where the header has {expected}{place}: "
            "put quotes around fields that hold the separator"
        )
    if "unicode" in complaint or "utf-8" in complaint.lower():
        return f"{where}the file is not UTF-8{place}: save it as UTF-8 text"
    if "unterminated quote" in complaint:
        return f"{where}an open quotation mark{place}: close it, or export the table again"
    if "No files found" in complaint or "Cannot open file" in complaint:
        return f"{where}a file of cells is gone or cannot be opened: check the path and its rights"
    first = " ".join(complaint.split("\n")[0].split())
    return f"{where}the file cannot be read{place} ({first}): check or export it again"


def quote_text(text: str) -> str:
    """Return a text as a literal of the query language.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The literal.

    Examples
    --------
    >>> print(quote_text("O'Brien"))
    'O''Brien'
    """
    return "'" + text.replace("'", "''") + "'"
