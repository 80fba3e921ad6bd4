"""Comma- and tab-separated text."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path

import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats.errors import InputError

_MISSING = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "<NA>"]


def read_delimited(path: str | Path, *, separator: str = ",") -> pd.DataFrame:
    r"""Read delimited text; every column stays text, so that identifiers survive.

    Parameters
    ----------
    path : str or Path
        UTF-8 text with one header line; a name that ends in ``.gz`` is decompressed.
    separator : str
        Character between the fields.

    Returns
    -------
    DataFrame
        One text column per field; an empty field, ``NA`` or ``NaN`` is missing.

    Raises
    ------
    InputError
        If the file is empty, damaged, not UTF-8, or its rows and header do not match.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "patients.csv"
    ...     _ = path.write_text("patient_id,time\n007,12\n")
    ...     read_delimited(path)["patient_id"].tolist()
    ['007']
    """
    text = _decoded(Path(path))
    if not text.strip():
        raise InputError("the file is empty: give a header line and one row per record")
    first = text.lstrip().partition("\n")[0]
    if separator == "," and "," not in first and re.search(r"[;\t|]", first):
        raise InputError(
            "the header holds no comma: save the table with commas between the columns, and points "
            "in decimals"
        )
    try:
        rows = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,
            dtype=str,
            keep_default_na=False,
            na_values=_MISSING,
            skipinitialspace=True,
        )
    except pd.errors.ParserError as error:
        raise InputError(_parser_fault(str(error))) from None
    header = [str(name).strip() for name in rows.iloc[0].fillna("")]
    table = rows.iloc[1:].reset_index(drop=True)
    faults = Faults()
    repeated = [name for name in header if name and header.count(name) > 1]
    if repeated:
        faults.add(f"column {name_rows(repeated)} occurs twice: rename or remove one")
    faults.raise_if_any()
    table.columns = pd.Index(header)
    return table.loc[:, [name != "" for name in header]]


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "damaged or truncated"
        raise InputError(f"the file cannot be read ({reason}): check or export it again") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"the file is not UTF-8 (line {line}): save it as UTF-8 text") from None
    if "\0" in text:
        raise InputError("the file is binary, not text: save it as UTF-8 text")
    return text


def _parser_fault(message: str) -> str:
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if found:
        expected, line, seen = found.groups()
        return (
            f"line {line} has {seen} fields where the header has {expected}: "
            "put quotes around fields that hold the separator"
        )
    return "the rows cannot be told apart (an open quotation mark?): export the table again"
