"""The reader that fits the name of a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from times_stats._checks import nearest_hint
from times_stats.errors import InputError
from times_stats.tables.readers.delimited import read_delimited
from times_stats.tables.readers.parquet import read_parquet

_SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table in the format its name says.

    Parameters
    ----------
    path : str or Path
        File whose name ends in ``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz`` or ``.parquet``.

    Returns
    -------
    DataFrame
        The table as stored; delimited text stays text.

    Raises
    ------
    InputError
        If the file is missing, of another format, or cannot be read.

    Examples
    --------
    >>> read_table("patients.xlsx")
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: file 'patients.xlsx' is of no known format: save it as csv, ...
    """
    path = Path(path)
    name = path.name.lower()
    ending = next((end for end in (*_SEPARATORS, ".parquet") if name.endswith(end)), None)
    if ending is None:
        raise InputError(
            f"file '{path.name}' is of no known format: save it as csv, csv.gz, tsv or parquet"
        )
    if path.is_dir():
        raise InputError(f"'{path.name}' is a folder: name the file in it")
    if not path.is_file():
        hint = nearest_hint(path.name, _names_beside(path))
        raise InputError(f"file '{path.name}' is missing{hint}: correct the path")
    try:
        if ending == ".parquet":
            return read_parquet(path)
        return read_delimited(path, separator=_SEPARATORS[ending])
    except InputError as error:
        raise InputError([f"file '{path.name}': {fault}" for fault in error.faults]) from None


def _names_beside(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    except OSError:
        return []
