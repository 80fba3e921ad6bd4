"""Objects exported from HALO (Indica Labs).

The object data hold one row per cell: ``Image Location`` or another name of the image,
``Analysis Region``, ``Object Id``, the bounding box ``XMin``, ``XMax``, ``YMin``, ``YMax`` in
pixels, the phenotypes of the analysis as 0/1 columns (``CD3+ CD8+``), then each stain with its
flags and intensities (``CD8 (Opal 520) Positive``, in newer versions ``Positive Classification``;
``CD8 (Opal 520) Nucleus Intensity``), areas, and ``Classifier Label``. R writes dots for blanks and
punctuation: ``CD8..Opal.520..Positive``; both spellings are read and give the same names, but for
punctuation inside a marker's name, which R has lost (``PD.L1``). Sources: the example data of
spatialTIME (Creed JH, et al. Bioinformatics 2021;37:4584-4586. doi:10.1093/bioinformatics/btab757)
and the HALO reader of SPIAT (https://rdrr.io/github/TrigosTeam/SPIAT/man/format_halo_to_spe.html).

A cell sits at the middle of its bounding box. Flags of single compartments (``Positive Nucleus``)
are not read. The region is ``Classifier Label``, or ``Analysis Region`` where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from times_stats.tables.readers.cell_files import CellTable, Column
from times_stats.tables.readers.cell_layout import (
    CellLayout,
    Field,
    flag_field,
    label_field,
    middle_field,
    number_field,
)

_IMAGES = ("image location", "image file name", "image tag", "image name")
_BOX = ("xmin", "xmax", "ymin", "ymax")
_FLAG = re.compile(r"(?P<marker>.+?)(?: \((?P<dye>[^()]*)\))? Positive(?: Classification)?")
_STAIN = re.compile(
    r"(?P<marker>.+?)(?: \((?P<dye>[^()]*)\))? "
    r"(?P<where>Nucleus|Cytoplasm|Membrane|Cell) (?:Intensity|OD)"
)
_FROM_R = re.compile(
    r"(?P<marker>.+?)\.\.(?P<dye>.+?)\.\.(?P<rest>(?:Positive|Nucleus|Cytoplasm|Membrane|Cell)\b.*)"
)


def lay_out_halo(table: CellTable, *, pixel_size: float | None) -> CellLayout:
    """Find the canonical columns of a HALO export.

    Parameters
    ----------
    table : CellTable
        Headers, as HALO or as R spells them.
    pixel_size : float or None
        Micrometres per pixel.

    Returns
    -------
    CellLayout
        Without patients, which HALO does not know, and without a cell type: define phenotypes by
        the flags.

    Examples
    --------
    >>> names = ("Image Location", "XMin", "XMax", "YMin", "YMax", "CD3+ CD8+",
    ...          "CD8 (Opal 520) Positive", "CD8 (Opal 520) Nucleus Intensity")
    >>> columns = tuple(Column(name, f"k{i}", "text") for i, name in enumerate(names))
    >>> layout = lay_out_halo(CellTable(columns, ()), pixel_size=0.5)
    >>> list(layout.positive), list(layout.intensity)
    (['CD3+ CD8+', 'CD8'], ['CD8 nucleus'])
    """
    names = [_spelled_out(column.name) for column in table.columns]
    by_name = {name.lower(): column for name, column in zip(names, table.columns, strict=True)}
    image = next((by_name[name] for name in _IMAGES if name in by_name), None)
    region = by_name.get("classifier label", by_name.get("analysis region"))
    box = [number_field(by_name[side], scale=pixel_size or 1.0) for side in _BOX if side in by_name]
    return CellLayout(
        image_id=_file_name(image) if image else None,
        x=middle_field(box[0], box[1]) if len(box) == 4 else None,
        y=middle_field(box[2], box[3]) if len(box) == 4 else None,
        region=label_field(region) if region else None,
        positive=_phenotypes(names, table.columns) | _matching(_FLAG, names, table, flag_field),
        intensity=_matching(_STAIN, names, table, number_field),
        unit="pixel",
    )


def _spelled_out(name: str) -> str:
    """Return a name of R as HALO wrote it, as far as that can be known."""
    if " " in name or "." not in name:
        return name
    match = _FROM_R.fullmatch(name)
    if match:
        dye, rest = (match[part].replace(".", " ") for part in ("dye", "rest"))
        return f"{match['marker']} ({dye}) {rest}"
    if name.endswith((".Positive", ".Positive.Classification", ".Intensity", ".OD")):
        marker = re.split(r"\.(?=Positive|Nucleus|Cytoplasm|Membrane|Cell)", name)[0]
        return marker + name[len(marker) :].replace(".", " ")
    return name if name.endswith(".") else name.replace(".", " ")


def _phenotypes(names: list[str], columns: tuple[Column, ...]) -> dict[str, Field]:
    """Return the 0/1 columns that stand between the bounding box and the first stain."""
    lowered = [name.lower() for name in names]
    if not set(_BOX) <= set(lowered):
        return {}
    start = max(lowered.index(side) for side in _BOX) + 1
    stains = [i for i, name in enumerate(names) if _FLAG.fullmatch(name) or _STAIN.fullmatch(name)]
    stop = min((i for i in stains if i >= start), default=start)
    found = {}
    for name, column in zip(names[start:stop], columns[start:stop], strict=True):
        if name.endswith("."):  # R's spelling of "CD3+ CD8+"
            name = " ".join(f"{part}+" for part in name[:-1].split(".."))
        found[name] = flag_field(column)
    return found


def _matching(
    shape: re.Pattern[str], names: list[str], table: CellTable, read: Callable[[Column], Field]
) -> dict[str, Field]:
    matches = [
        (match, column)
        for name, column in zip(names, table.columns, strict=True)
        if (match := shape.fullmatch(name))
    ]
    found: dict[str, Field] = {}
    dyes: dict[str, set[str | None]] = {}
    for match, _ in matches:
        dyes.setdefault(match["marker"], set()).add(match["dye"])
    for match, column in matches:
        marker = match["marker"]
        if len(dyes[marker]) > 1 and match["dye"]:  # one marker, several dyes: tell them apart
            marker = f"{marker} ({match['dye']})"
        where = match.groupdict().get("where")
        found.setdefault(f"{marker} {where.lower()}" if where else marker, read(column))
    return found


def _file_name(column: Column) -> Field:
    label = label_field(column)
    return Field(f"regexp_extract({label.sql}, '[^/\\\\]+$')", label.columns)
