"""The one CSV dialect of every table that is written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table with ten significant digits, without its index."""
    frame.to_csv(path, index=False, float_format="%.10g", lineterminator="\n")
