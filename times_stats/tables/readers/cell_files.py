"""Files of cells: found, their headers read, and handed to the engine by position.

Columns get plain keys (``k0``, ``k1``, ...) here, so that no name of a text file ever reaches a
query, and those of Parquet files only in quotation marks: names may hold quotes, dots, percent
signs, Greek letters, or differ in case alone.
"""

from __future__ import annotations

import csv
import glob
import gzip
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats.errors import InputError
from times_stats.tables.readers.engine import open_engine, quote_text

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
ENDINGS = (*TEXT_ENDINGS, ".parquet")
IN_MEMORY = "cells_in_memory"
MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "<NA>")
_BUFFER = 4_000_000  # bytes of text that a thread holds
_UNTIDY = ("'  '", "chr(9)", "chr(10)", "chr(13)", "chr(160)")  # blanks that are not one space


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the files.

    Attributes
    ----------
    name : str
        As the file spells it.
    key : str
        Its identifier in queries.
    kind : str
        ``text``, ``integer``, ``real`` or ``boolean``.
    """

    name: str
    key: str
    kind: str

    @property
    def text(self) -> str:
        """Identifier of its tidy text, NULL where missing; of a column of text alone."""
        return f"t{self.key[1:]}"


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Files of one kind and one header.

    Attributes
    ----------
    files : tuple of str
        Paths.
    scan : str
        Call that scans the files; ``{files}`` stands for their list.
    names : tuple of str
        Header, in the order of the positions.
    identifiers : tuple of str
        How the scan calls the positions, quoted.
    kinds : tuple of str
        Kind of each position.
    """

    files: tuple[str, ...]
    scan: str
    names: tuple[str, ...]
    identifiers: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CellTable:
    """One table spread over any number of files; a column that a file lacks is missing there.

    Attributes
    ----------
    columns : tuple of Column
        Union of the headers, in the order they are met.
    groups : tuple of FileGroup
        Files by header; none for a table in memory.
    """

    columns: tuple[Column, ...]
    groups: tuple[FileGroup, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of all files."""
        return tuple(file for group in self.groups for file in group.files)

    def narrowed(self, expressions: Iterable[str]) -> Self:
        """Return the table with the columns that some expressions use, so that no other is read.

        Parameters
        ----------
        expressions : iterable of str
            Expressions over keys.

        Returns
        -------
        CellTable
            Of the same files; a key keeps its column.
        """
        used = {match for text in expressions for match in re.findall(r"\b[kt](\d+)\b", text)}
        kept = tuple(column for column in self.columns if column.key[1:] in used)
        return type(self)(kept or self.columns[:1], self.groups)

    def query(self, *, file: str | None = None) -> str:
        """Return the query that reads the table, or one file of it.

        Parameters
        ----------
        file : str, optional
            One of the files.

        Returns
        -------
        str
            A ``SELECT`` that names its columns by their keys, and tidy texts by theirs.
        """
        texts = [column for column in self.columns if column.kind == "text"]
        tidy = "".join(f", {_tidied(column.key)} AS c{column.text}" for column in texts)
        there = "".join(f", {_present(f'c{column.text}')} AS {column.text}" for column in texts)
        return f"SELECT *{there} FROM (SELECT *{tidy} FROM ({self._scans(file)}))"

    def _scans(self, file: str | None) -> str:
        if not self.groups:
            keys = ", ".join(
                f"CAST(c{column.key[1:]} AS VARCHAR) AS {column.key}"
                if column.kind == "text"
                else f"c{column.key[1:]} AS {column.key}"
                for column in self.columns
            )
            return f"SELECT {keys} FROM {IN_MEMORY}"
        parts = []
        for group in self.groups:
            chosen = [name for name in group.files if file in (None, name)]
            if chosen:
                listed = "[" + ", ".join(quote_text(_unglobbed(name)) for name in chosen) + "]"
                parts.append(f"SELECT {self._keys(group)} FROM {group.scan.format(files=listed)}")
        return " UNION ALL ".join(parts)

    def _keys(self, group: FileGroup) -> str:
        position = {name: i for i, name in enumerate(group.names)}
        chosen = []
        for column in self.columns:
            i = position.get(column.name)
            if i is not None and group.kinds[i] == column.kind != "text":
                chosen.append(f"{group.identifiers[i]} AS {column.key}")
            else:
                found = "NULL" if i is None else group.identifiers[i]
                chosen.append(f"CAST({found} AS {_SQL_TYPES[column.kind]}) AS {column.key}")
        return ", ".join(chosen)


_SQL_TYPES = {"text": "VARCHAR", "integer": "BIGINT", "real": "DOUBLE", "boolean": "BOOLEAN"}


def _tidied(key: str) -> str:
    """Return the expression of a text without surplus blanks; only untidy texts are rewritten."""
    marks = " OR ".join(f"contains({key}, {mark})" for mark in _UNTIDY)
    untidy = f"{marks} OR starts_with({key}, ' ') OR ends_with({key}, ' ')"
    single = f"trim(regexp_replace({key}, '[\\s\\x{{A0}}]+', ' ', 'g'))"
    return f"CASE WHEN {untidy} THEN {single} ELSE {key} END"


def _present(text: str) -> str:
    """Return the expression of a text that is NULL where it stands for nothing.

    A list after ``IN`` would become a join, which is slower and keeps columns alive that nobody
    asked for.
    """
    longest = max(map(len, MISSING))
    missing = " ".join(f"WHEN {quote_text(word)} THEN NULL" for word in MISSING)
    short = f"CASE {text} {missing} ELSE {text} END"
    return f"CASE WHEN strlen({text}) > {longest} THEN {text} ELSE {short} END"


def find_files(path: str | Path | Sequence[str | Path], *, endings: Sequence[str]) -> list[Path]:
    """Return the files that a path, a pattern, a folder or a list of them means.

    Parameters
    ----------
    path : path or sequence of path
        A file; a pattern with ``*``, ``?`` or ``**``; a folder, for every table in it and below.
    endings : sequence of str
        Endings of the tables that can be read.

    Returns
    -------
    list of Path
        Sorted, each once.

    Raises
    ------
    InputError
        If nothing is found, or a file is of another kind.

    Examples
    --------
    >>> find_files("cells.xlsx", endings=ENDINGS)
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: file 'cells.xlsx' is of no known format: save it as csv, ...
    """
    given = [path] if isinstance(path, str | Path) else list(path)
    faults = Faults()
    if not given:
        faults.add("path is an empty list: name a file of cells")
    found: set[Path] = set()
    for item in map(Path, given):
        if item.is_file() or not glob.has_magic(str(item)):
            files = [item] if not item.is_dir() else _tables_below(item, endings)
        else:
            anchor = Path(item.anchor)
            matches = anchor.glob(str(item.relative_to(anchor)))
            files = [name for name in matches if name.is_file()]
        if not files:
            listed = ", ".join(endings)
            faults.add(f"'{item}' holds no table: name files that end in {listed}")
        for file in files:
            _check_file(file, endings, faults)
        found.update(files)
    faults.raise_if_any()
    return sorted(found)


def _tables_below(folder: Path, endings: Sequence[str]) -> list[Path]:
    below = (name for name in folder.rglob("*") if name.is_file())
    return [
        name
        for name in below
        if name.name.lower().endswith(tuple(endings)) and not name.name.startswith((".", "_"))
    ]


def _check_file(file: Path, endings: Sequence[str], faults: Faults) -> None:
    if not file.name.lower().endswith(tuple(endings)):
        kinds = ", ".join(ending.lstrip(".") for ending in endings[:-1])
        last = endings[-1].lstrip(".")
        choice = f"{kinds} or {last}" if kinds else last
        faults.add(f"file '{file.name}' is of no known format: save it as {choice}")
    elif not file.is_file():
        try:
            beside = sorted(entry.name for entry in file.parent.iterdir())
        except OSError:
            beside = []
        hint = nearest_hint(file.name, beside)
        faults.add(f"file '{file.name}' is missing{hint}: correct the path")


def read_headers(files: Iterable[Path]) -> CellTable:
    """Read the headers of files and join them into one table.

    Parameters
    ----------
    files : iterable of Path
        Text or Parquet files.

    Returns
    -------
    CellTable
        Nothing but the headers was read.

    Raises
    ------
    InputError
        Lists every file that is empty, damaged, not UTF-8, or names a column twice.

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = files("times_stats") / "datasets" / "lung_vectra" / "cells.parquet"
    >>> [column.name for column in read_headers([Path(str(path))]).columns]
    ['patient_id', 'image_id', 'x', 'y', 'cell_type']
    """
    faults = Faults()
    groups: dict[tuple[object, ...], FileGroup] = {}
    for file in files:
        try:
            group = _parquet(file) if file.name.lower().endswith(".parquet") else _delimited(file)
        except InputError as error:
            faults.extend(f"file '{file.name}': {fault}" for fault in error.faults)
            continue
        key = (group.scan, group.names, group.kinds)
        known = groups[key].files if key in groups else ()
        groups[key] = FileGroup(
            (*known, *group.files), group.scan, group.names, group.identifiers, group.kinds
        )
    faults.raise_if_any()
    kinds: dict[str, set[str]] = {}
    for group in groups.values():
        for name, kind in zip(group.names, group.kinds, strict=True):
            kinds.setdefault(name, set()).add(kind)
    return CellTable(_columns(kinds), tuple(groups.values()))


def table_in_memory(table: pa.Table) -> CellTable:
    """Describe a table in memory, whose columns the engine knows as ``c0``, ``c1``, ...

    Parameters
    ----------
    table : pyarrow.Table
        The cells.

    Returns
    -------
    CellTable
        Without files.

    Raises
    ------
    InputError
        If a column is named twice.
    """
    names = [str(name) for name in table.column_names]
    _check_names(names)
    kinds = {
        name: {_arrow_kind(field.type)} for name, field in zip(names, table.schema, strict=True)
    }
    return CellTable(_columns(kinds), ())


def _columns(kinds: dict[str, set[str]]) -> tuple[Column, ...]:
    columns = []
    for number, (name, found) in enumerate(kinds.items()):
        if len(found) == 1:
            kind = next(iter(found))
        else:
            kind = "real" if found <= {"integer", "real"} else "text"
        columns.append(Column(name, f"k{number}", kind))
    return tuple(columns)


def _check_names(names: Sequence[str]) -> None:
    repeated = [name for name in names if name and list(names).count(name) > 1]
    if repeated:
        raise InputError(f"column {name_rows(repeated)} occurs twice: rename or remove one")


def _delimited(file: Path) -> FileGroup:
    zipped = file.name.lower().endswith(".gz")
    header = _header_line(file, zipped=zipped)
    separator = next((mark for mark in "\t,;" if mark in header), "")
    if not separator:
        raise InputError(
            "the header holds one column: save the table with commas or tabs between the columns"
        )
    names = [" ".join(name.split()) for name in next(csv.reader([header], delimiter=separator))]
    _check_names(names)
    positions = [f"c{i}" for i in range(len(names))]
    types = ", ".join(f"{quote_text(position)}: 'VARCHAR'" for position in positions)
    scan = (
        f"read_csv({{files}}, auto_detect = false, header = true, delim = {quote_text(separator)}, "
        "quote = '\"', escape = '\"', null_padding = false, strict_mode = true, "
        f"buffer_size = {_BUFFER}, max_line_size = {_BUFFER // 2}, "
        f"compression = {quote_text('gzip' if zipped else 'none')}, "
        f"columns = {{{{{types}}}}})"
    )
    named = [i for i, name in enumerate(names) if name]
    return FileGroup(
        (str(file),),
        scan,
        tuple(names[i] for i in named),
        tuple(positions[i] for i in named),
        ("text",) * len(named),
    )


def _header_line(file: Path, *, zipped: bool) -> str:
    try:
        with gzip.open(file, "rb") if zipped else file.open("rb") as stream:
            content = stream.readline()
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "damaged or truncated"
        raise InputError(f"the file cannot be read ({reason}): check or export it again") from None
    try:
        line = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError("the file is not UTF-8 (line 1): save it as UTF-8 text") from None
    if not line or not line[0].strip():
        raise InputError("the file is empty: give a header line and one row per cell")
    if "\0" in line[0]:
        raise InputError("the file is binary, not text: save it as UTF-8 text")
    return line[0]


def _parquet(file: Path) -> FileGroup:
    try:
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException):
        raise InputError("the file is no readable Parquet file: export it again") from None
    names = [str(name) for name in schema.names]
    _check_names(names)
    listed = "[" + quote_text(_unglobbed(str(file))) + "]"
    scan = "read_parquet({files}, hive_partitioning = false)"
    with open_engine(memory_mb=100) as engine:
        described = engine.execute(f"DESCRIBE SELECT * FROM {scan.format(files=listed)}").fetchall()
    identifiers = ['"' + str(row[0]).replace('"', '""') + '"' for row in described]
    return FileGroup(
        (str(file),),
        scan,
        tuple(names),
        tuple(identifiers),
        tuple(_arrow_kind(field.type) for field in schema),
    )


def _arrow_kind(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "real"
    return "text"


def _unglobbed(name: str) -> str:
    """Return a file name in which the engine finds no pattern."""
    return name.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")
