"""Where each canonical column of cells comes from, as expressions over the columns of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from times_stats.tables.readers.cell_files import Column
from times_stats.tables.readers.engine import quote_text

_TRUE = ("1", "1.0", "true", "yes", "positive")
_FALSE = ("0", "0.0", "false", "no", "negative")
_DECIMAL_COMMA = r"[+-]?[0-9]+,[0-9]+"


@dataclass(frozen=True, slots=True)
class Field:
    """One canonical value of a row.

    Attributes
    ----------
    sql : str
        Expression of the value; NULL where it is missing or unreadable.
    columns : tuple of str
        Names in the file, for messages.
    unreadable : str
        Condition: something is there, but it is not of the kind asked for.
    decimal_comma : str
        Condition: it is unreadable because it has a decimal comma.
    remedy : str
        What to do where it is missing, if not the usual.
    """

    sql: str
    columns: tuple[str, ...]
    unreadable: str = "false"
    decimal_comma: str = "false"
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class CellLayout:
    """Where the canonical columns of a format are found.

    Attributes
    ----------
    patient_id, image_id, x, y, cell_type, region : Field or None
        None where the file does not say.
    positive, intensity : mapping of str to Field
        Flags and stainings by marker.
    rows : str
        Condition that a row of the file is a cell.
    counted : mapping of str to str
        What a report must count, and its condition over the rows of the file.
    unit : str
        Unit of the coordinates: ``micrometre``, ``pixel`` or ``unknown``.
    renames : mapping of str to (Field, tuple of str)
        Setting that renames, the names as the file has them, and those the setting lists.
    """

    patient_id: Field | None = None
    image_id: Field | None = None
    x: Field | None = None
    y: Field | None = None
    cell_type: Field | None = None
    region: Field | None = None
    positive: Mapping[str, Field] = field(default_factory=dict)
    intensity: Mapping[str, Field] = field(default_factory=dict)
    rows: str = "true"
    counted: Mapping[str, str] = field(default_factory=dict)
    unit: str = "micrometre"
    renames: Mapping[str, tuple[Field, tuple[str, ...]]] = field(default_factory=dict)


def expressions_of(layout: CellLayout) -> list[str]:
    """Return every expression of a layout.

    Parameters
    ----------
    layout : CellLayout
        Where the canonical columns are found.

    Returns
    -------
    list of str
        Expressions and conditions over the columns of the file.

    Examples
    --------
    >>> expressions_of(CellLayout(x=Field("k1", ("x",))))[:2]
    ['true', 'k1']
    """
    single = (layout.patient_id, layout.image_id, layout.x, layout.y)
    fields = [*single, layout.cell_type, layout.region]
    fields += [*layout.positive.values(), *layout.intensity.values()]
    fields += [names for names, _ in layout.renames.values()]
    found = [layout.rows]
    for one in fields:
        if one is not None:
            found += [one.sql, one.unreadable, one.decimal_comma]
    return found + list(layout.counted.values())


def text_sql(column: Column) -> str:
    """Return the expression of a column as text without surplus blanks, NULL where missing.

    Parameters
    ----------
    column : Column
        Any column.

    Returns
    -------
    str
        Expression.
    """
    if column.kind == "text":
        return column.text
    if column.kind == "real":
        whole = f"isfinite({column.key}) AND {column.key} = trunc({column.key})"
        return (
            f"(CASE WHEN isnan({column.key}) THEN NULL "
            f"WHEN {whole} AND abs({column.key}) < 1e15 "
            f"THEN CAST(CAST({column.key} AS BIGINT) AS VARCHAR) "
            f"ELSE CAST({column.key} AS VARCHAR) END)"
        )
    return f"CAST({column.key} AS VARCHAR)"


def label_field(column: Column) -> Field:
    """Return a column as a name; a whole number loses its ``.0``.

    Parameters
    ----------
    column : Column
        Text or numbers.

    Returns
    -------
    Field
        Always readable.

    Examples
    --------
    >>> label_field(Column("Sample", "k3", "integer")).sql
    'CAST(k3 AS VARCHAR)'
    """
    text = text_sql(column)
    if column.kind == "text":
        whole = f"regexp_replace({text}, '^(-?[0-9]+)\\.0+$', '\\1')"
        text = f"(CASE WHEN ends_with({text}, '.0') THEN {whole} ELSE {text} END)"
    return Field(text, (column.name,))


def number_field(column: Column, *, scale: float = 1.0) -> Field:
    """Return a column as a number.

    Parameters
    ----------
    column : Column
        Numbers, or text that holds numbers with a decimal point.
    scale : float
        Factor, such as the size of a pixel.

    Returns
    -------
    Field
        NULL where missing, not a number, or unreadable.

    Examples
    --------
    >>> number_field(Column("x", "k0", "integer"), scale=0.5).sql
    '(CAST(k0 AS DOUBLE) * 0.5)'
    """
    key, unreadable, comma = column.key, "false", "false"
    if column.kind == "text":
        text = text_sql(column)
        cast = f"TRY_CAST({key} AS DOUBLE)"
        value = f"(CASE WHEN NOT contains({key}, '_') AND NOT isnan({cast}) THEN {cast} END)"
        unreadable = (
            f"coalesce(CASE WHEN {cast} IS NULL THEN {text} IS NOT NULL "
            f"ELSE contains({key}, '_') END, false)"
        )
        comma = (
            f"coalesce(CASE WHEN {cast} IS NULL THEN "
            f"regexp_full_match({text}, '{_DECIMAL_COMMA}') END, false)"
        )
    elif column.kind == "real":
        value = f"(CASE WHEN NOT isnan({key}) THEN CAST({key} AS DOUBLE) END)"
    elif column.kind == "boolean":
        value = f"CAST(CAST({key} AS INTEGER) AS DOUBLE)"
    else:
        value = f"CAST({key} AS DOUBLE)"
    if scale != 1.0:
        value = f"({value} * {scale!r})"
    return Field(value, (column.name,), unreadable, comma)


def flag_field(column: Column) -> Field:
    """Return a column as a flag: 0/1, true/false, yes/no, or a text that ends in ``+`` or ``-``.

    Parameters
    ----------
    column : Column
        Flags.

    Returns
    -------
    Field
        NULL where missing or unreadable.

    Examples
    --------
    >>> flag_field(Column("CD8_positive", "k5", "boolean")).sql
    'k5'
    """
    key = column.key
    if column.kind == "boolean":
        return Field(key, (column.name,))
    if column.kind == "text":
        text = text_sql(column)
        words = " ".join(f"WHEN {quote_text(word)} THEN true" for word in _TRUE)
        words += "".join(f" WHEN {quote_text(word)} THEN false" for word in _FALSE)
        value = (
            f"(CASE WHEN ends_with({text}, '+') THEN true WHEN ends_with({text}, '-') THEN false "
            f"ELSE CASE lower({text}) {words} END END)"
        )
        return Field(value, (column.name,), f"({text} IS NOT NULL AND {value} IS NULL)")
    value = f"(CASE WHEN {key} = 1 THEN true WHEN {key} = 0 THEN false END)"
    there = f"{key} IS NOT NULL" if column.kind == "integer" else f"NOT isnan({key})"
    return Field(value, (column.name,), f"coalesce({there} AND {value} IS NULL, false)")


def middle_field(low: Field, high: Field) -> Field:
    """Return the middle of two numbers, such as the sides of a bounding box.

    Parameters
    ----------
    low, high : Field
        Numbers.

    Returns
    -------
    Field
        Half their sum.
    """
    return Field(
        f"(({low.sql} + {high.sql}) / 2)",
        (*low.columns, *high.columns),
        f"({low.unreadable} OR {high.unreadable})",
        f"({low.decimal_comma} OR {high.decimal_comma})",
    )


def first_field(*fields: Field) -> Field:
    """Return the first of several values that is there.

    Parameters
    ----------
    *fields : Field
        Values of one kind.

    Returns
    -------
    Field
        The first that is not missing.
    """
    if len(fields) == 1:
        return fields[0]
    return Field(
        "coalesce(" + ", ".join(part.sql for part in fields) + ")",
        tuple(name for part in fields for name in part.columns),
        "(" + " OR ".join(part.unreadable for part in fields) + ")",
        "(" + " OR ".join(part.decimal_comma for part in fields) + ")",
    )


def renamed_field(found: Field, names: Mapping[str, str]) -> Field:
    """Return a name as the study calls it.

    Parameters
    ----------
    found : Field
        Names of the file.
    names : mapping of str to str
        Name in the file to name in the study; ``""`` names what has none in the file.

    Returns
    -------
    Field
        A name that is not listed stays as it is.

    Examples
    --------
    >>> renamed_field(Field("k0", ("Class",)), {"Tumor: CD8": "CD8"}).sql
    "(CASE coalesce(k0, '') WHEN 'Tumor: CD8' THEN 'CD8' ELSE k0 END)"
    """
    if not names:
        return found
    cases = " ".join(
        f"WHEN {quote_text(' '.join(old.split()))} THEN {quote_text(new)}"
        for old, new in names.items()
    )
    sql = f"(CASE coalesce({found.sql}, '') {cases} ELSE {found.sql} END)"
    return Field(sql, found.columns, found.unreadable, found.decimal_comma, found.remedy)


def name_columns(found: Field, meant: str) -> str:
    """Return the name of a column for a message, and what it stands for.

    Parameters
    ----------
    found : Field
        A value.
    meant : str
        Its canonical name.

    Returns
    -------
    str
        ``column 'XMin' (for x)``.

    Examples
    --------
    >>> name_columns(Field("k0", ("XMin", "XMax")), "x")
    "columns 'XMin', 'XMax' (for x)"
    """
    names = ", ".join(f"'{name}'" for name in found.columns)
    plural = "s" if len(found.columns) > 1 else ""
    stands = "" if found.columns == (meant,) else f" (for {meant})"
    return f"column{plural} {names}{stands}"
