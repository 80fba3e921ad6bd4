"""Parquet files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from times_stats.errors import InputError


def read_parquet(path: str | Path) -> pd.DataFrame:
    """Read a Parquet file.

    Parameters
    ----------
    path : str or Path
        File to read.

    Returns
    -------
    DataFrame
        The columns as stored, with plain row numbers.

    Raises
    ------
    InputError
        If the file is damaged or no Parquet file.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "patients.parquet"
    ...     pd.DataFrame({"patient_id": [7]}).to_parquet(path)
    ...     read_parquet(path).shape
    (1, 1)
    """
    try:
        table = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError, NotImplementedError):
        raise InputError("the file is no readable Parquet file: export it again") from None
    named = [name for name in table.index.names if name is not None]
    return table.reset_index(drop=not named)
