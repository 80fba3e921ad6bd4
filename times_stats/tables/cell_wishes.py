"""What a user asks of cells beyond their format: names, phenotypes, markers, pixel size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from times_stats._checks import Faults, name_rows, nearest_hint, nearest_key
from times_stats.tables.readers.cell_files import CellTable, Column
from times_stats.tables.readers.cell_layout import (
    CellLayout,
    Field,
    flag_field,
    label_field,
    number_field,
    renamed_field,
)
from times_stats.tables.readers.engine import quote_text
from times_stats.tables.readers.generic import FIXED, FLAG

SEVERAL = "cells that fit several phenotypes, the first taken"
_COMPARTMENTS = ("nucleus", "cytoplasm", "membrane", "cell")


@dataclass(frozen=True, slots=True)
class CellWishes:
    """Arguments of `open_cells` that concern columns; see there."""

    columns: Mapping[str, str]
    pixel_size: float | None
    cell_types: Mapping[str, str]
    regions: Mapping[str, str]
    phenotypes: Mapping[str, tuple[str, ...]]
    markers: tuple[str, ...] | None


def fulfil(layout: CellLayout, table: CellTable, wishes: CellWishes, faults: Faults) -> CellLayout:
    """Apply the wishes of a user to the columns that a format has found.

    Parameters
    ----------
    layout : CellLayout
        What the format found.
    table : CellTable
        Headers.
    wishes : CellWishes
        Arguments of `open_cells`.
    faults : Faults
        Collects what is wrong.

    Returns
    -------
    CellLayout
        With the columns asked for; what is missing is recorded as a fault.
    """
    _check_pixels(layout, wishes, faults)
    layout = _with_columns(layout, table, wishes, faults)
    layout = _with_markers(layout, table, wishes, faults)
    if wishes.phenotypes:
        layout = _with_phenotypes(layout, wishes, faults)
    for name, names, found in (
        ("cell_types", wishes.cell_types, layout.cell_type),
        ("regions", wishes.regions, layout.region),
    ):
        if names and found is None:
            what = "cell type" if name == "cell_types" else "region"
            faults.add(f"{name} renames, but the cells have no {what}: map its column in columns")
    renames: dict[str, tuple[Field, tuple[str, ...]]] = {}
    if layout.cell_type is not None and wishes.cell_types:
        renames["cell_types"] = (layout.cell_type, tuple(wishes.cell_types))
        layout = replace(layout, cell_type=renamed_field(layout.cell_type, wishes.cell_types))
    if layout.region is not None and wishes.regions:
        renames["regions"] = (layout.region, tuple(wishes.regions))
        layout = replace(layout, region=renamed_field(layout.region, wishes.regions))
    layout = replace(layout, renames=renames)
    _check_complete(layout, table, faults)
    return layout


def _check_pixels(layout: CellLayout, wishes: CellWishes, faults: Faults) -> None:
    size = wishes.pixel_size
    mapped = {"x", "y"} <= set(wishes.columns)
    if size is not None:
        if (
            isinstance(size, bool)
            or not isinstance(size, int | float)
            or not (math.isfinite(size) and size > 0)
        ):
            faults.add(f"pixel_size is {size!r}: give a number above 0, micrometres per pixel")
        elif layout.unit == "micrometre" and layout.x is not None and not mapped:
            faults.add("positions are in micrometres already: leave pixel_size out")
    elif layout.unit == "pixel" and layout.x is not None and not mapped:
        faults.add("positions are in pixels: give pixel_size, micrometres per pixel")
    elif layout.unit == "unknown" and layout.x is not None and not mapped:
        faults.add(
            "the file does not say the unit of its positions: give pixel_size, micrometres per "
            "pixel (1 where they are micrometres)"
        )


def _with_columns(
    layout: CellLayout, table: CellTable, wishes: CellWishes, faults: Faults
) -> CellLayout:
    by_name = {column.name: column for column in table.columns}
    scale = wishes.pixel_size or 1.0
    fixed: dict[str, Field] = {}
    positive, intensity = dict(layout.positive), dict(layout.intensity)
    for meant, foreign in wishes.columns.items():
        near = nearest_key(meant, [name for name in FIXED if len(name) > 1])
        known = meant in FIXED or meant in by_name
        if not known and near and near not in wishes.columns:
            faults.add(f"columns has the unknown key '{meant}' (nearest: '{near}'): correct it")
            continue
        column = by_name.get(" ".join(foreign.split()))
        if column is None:
            hint = nearest_hint(foreign, by_name)
            stands = "" if foreign == meant else f" (for {meant})"
            faults.add(
                f"column '{foreign}'{stands} is missing{hint}: name the right one in columns"
            )
        elif meant in ("x", "y"):
            fixed[meant] = number_field(column, scale=scale)
        elif meant in FIXED:
            fixed[meant] = label_field(column)
        elif meant.endswith(FLAG):
            positive[meant.removesuffix(FLAG)] = flag_field(column)
        else:
            intensity[meant] = number_field(column)
    return replace(
        layout,
        patient_id=fixed.get("patient_id", layout.patient_id),
        image_id=fixed.get("image_id", layout.image_id),
        x=fixed.get("x", layout.x),
        y=fixed.get("y", layout.y),
        cell_type=fixed.get("cell_type", layout.cell_type),
        region=fixed.get("region", layout.region),
        positive=positive,
        intensity=intensity,
    )


def _with_markers(
    layout: CellLayout, table: CellTable, wishes: CellWishes, faults: Faults
) -> CellLayout:
    if wishes.markers is None:
        return layout
    by_name: dict[str, Column] = {column.name: column for column in table.columns}
    intensity = dict(layout.intensity)
    known = {*layout.positive, *intensity, *by_name} - set(FIXED)
    for marker in wishes.markers:
        found = marker in layout.positive or any(_is_of(name, marker) for name in intensity)
        if not found and marker in by_name and marker not in FIXED:
            intensity[marker] = number_field(by_name[marker])
        elif not found:
            hint = nearest_hint(marker, known)
            faults.add(f"markers names '{marker}' that the cells do not hold{hint}: correct it")
    return replace(
        layout,
        positive={name: flag for name, flag in layout.positive.items() if name in wishes.markers},
        intensity={
            name: stain
            for name, stain in intensity.items()
            if any(_is_of(name, marker) for marker in wishes.markers)
        },
    )


def _is_of(name: str, marker: str) -> bool:
    """Tell whether a staining is that of a marker, in any compartment."""
    return name == marker or name in {f"{marker} {where}" for where in _COMPARTMENTS}


def _with_phenotypes(layout: CellLayout, wishes: CellWishes, faults: Faults) -> CellLayout:
    if "cell_type" in wishes.columns:
        faults.add("cell types are named by columns and by phenotypes: give one of the two")
    tests: dict[str, str] = {}
    for name, needed in wishes.phenotypes.items():
        parts = []
        for flag in needed:
            marker, sign = flag[:-1], flag[-1:]
            if sign not in ("+", "-"):
                faults.add(f"phenotype '{name}' needs '{flag}': end each flag in + or -")
            elif marker not in layout.positive:
                hint = nearest_hint(marker, layout.positive)
                faults.add(
                    f"phenotype '{name}' needs '{flag}', but there is no flag "
                    f"'{marker}'{hint}: correct it"
                )
            else:
                parts.append(("" if sign == "+" else "NOT ") + layout.positive[marker].sql)
        tests[name] = "(" + " AND ".join(parts or ["true"]) + ")"
    cases = " ".join(f"WHEN {test} THEN {quote_text(name)}" for name, test in tests.items())
    specific = [test for name, test in tests.items() if wishes.phenotypes[name]]
    counted = dict(layout.counted)
    if len(specific) > 1:
        fits = " + ".join(f"CAST(coalesce({test}, false) AS INTEGER)" for test in specific)
        counted[SEVERAL] = f"({layout.rows}) AND ({fits}) > 1"
    flags = dict.fromkeys(flag[:-1] for needed in wishes.phenotypes.values() for flag in needed)
    columns = tuple(
        dict.fromkeys(
            column
            for flag in flags
            if flag in layout.positive
            for column in layout.positive[flag].columns
        )
    )
    remedy = "add a last phenotype that fits every cell, as in {'other': []}"
    found = Field(f"(CASE {cases} END)", columns, remedy=remedy)
    return replace(layout, cell_type=found, counted=counted)


def _check_complete(layout: CellLayout, table: CellTable, faults: Faults) -> None:
    names = [column.name for column in table.columns]
    for meant in ("image_id", "x", "y"):
        if getattr(layout, meant) is None:
            hint = nearest_hint(meant, names)
            faults.add(
                f"column '{meant}' is missing{hint}: name the right one in columns; "
                f"the file has {name_rows(names)}"
            )
    if layout.cell_type is None and not layout.positive and not layout.intensity:
        faults.add(
            "the cells have neither a type nor a marker: map cell_type, or a flag such as "
            "CD8_positive, in columns, or name stainings in markers"
        )
