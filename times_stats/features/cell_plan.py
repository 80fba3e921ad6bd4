"""The plan: what is measured of the cells of every image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Real
from typing import Literal

from times_stats._checks import Faults, name_rows
from times_stats.features.pair_sums import CORRECTIONS, Correction
from times_stats.regions.compartments import Compartments

type WindowKind = Literal["tissue", "rectangle"]
type BoundarySource = Literal["boundary", "column", "annotation"]

_KINDS: tuple[WindowKind, ...] = ("tissue", "rectangle")
_SOURCES: tuple[BoundarySource, ...] = ("boundary", "column", "annotation")
_BANDS = (-100.0, -75.0, -50.0, -25.0, 0.0, 25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True, slots=True)
class CellPlan:
    """What is measured of the cells of every image; holds no data.

    Attributes
    ----------
    tumour : tuple of str
        Cell types that are tumour cells.
    markers : tuple of str or None
        Cell types and flags that are measured; None for every type but the tumour's, and every
        flag.
    compartments : Compartments
        Regions by distance to the tumour's boundary.
    source : {"boundary", "column", "annotation"}
        Where the boundary comes from: the tumour cells, the region column of the cells, or
        annotations.
    tumour_regions : tuple of str
        Labels of the region column that mean tumour (``source="column"``).
    window : {"tissue", "rectangle"}
        Observed area where none is given: the tissue around the cells, or the rectangle that just
        holds them.
    radii : tuple of float
        Distances at which functions are measured, micrometres, increasing.
    correction : str
        Edge correction of the K functions.
    bands : tuple of float
        Limits of the bands of the infiltration gradient, micrometres from the boundary.
    n_neighbours : int
        Neighbours of a cell whose types are counted.
    mixing_radius : float
        Distance within which two cells interact, micrometres.
    quadrat : float
        Side of the quadrats of the Morisita-Horn index, micrometres.
    min_cells : int
        Cells of a type that an image must hold for a function of it.
    aggregate_seeds, aggregate_members : tuple of str
        Types that aggregates form around and consist of, as B cells, and B and T cells for
        lymphoid aggregates; none are looked for where empty.
    aggregate_radius : float
        Distance between neighbours in an aggregate, micrometres.
    aggregate_cells : int
        Least cells of an aggregate.

    Raises
    ------
    InputError
        Lists every setting that cannot be used.

    Examples
    --------
    >>> CellPlan(tumour=("CK",)).compartments.names[1]
    'invasive_front'
    """

    tumour: tuple[str, ...]
    markers: tuple[str, ...] | None = None
    compartments: Compartments = field(default_factory=Compartments)
    source: BoundarySource = "boundary"
    tumour_regions: tuple[str, ...] = ()
    window: WindowKind = "tissue"
    radii: tuple[float, ...] = tuple(float(r) for r in range(10, 101, 10))
    correction: Correction = "isotropic"
    bands: tuple[float, ...] = _BANDS
    n_neighbours: int = 10
    mixing_radius: float = 20.0
    quadrat: float = 50.0
    min_cells: int = 10
    aggregate_seeds: tuple[str, ...] = ()
    aggregate_members: tuple[str, ...] = ()
    aggregate_radius: float = 20.0
    aggregate_cells: int = 20

    def __post_init__(self) -> None:
        faults = Faults()
        for name in ("tumour", "markers", "tumour_regions", "aggregate_seeds", "aggregate_members"):
            if isinstance(getattr(self, name), str):
                faults.add(f"{name} is a single text: give a list")
        faults.raise_if_any("plan")
        if not self.tumour:
            faults.add("tumour is empty: name the cell types that are tumour cells")
        if self.markers is not None and not self.markers:
            faults.add("markers is empty: name what is measured, or None for everything")
        both = sorted(set(self.markers or ()) & set(self.tumour))
        if both:
            faults.add(f"markers names the tumour type {both[0]}: leave it out")
        for name, known in (
            ("source", _SOURCES),
            ("window", _KINDS),
            ("correction", CORRECTIONS),
        ):
            if getattr(self, name) not in known:
                faults.add(f"{name} is {getattr(self, name)!r}: use {' or '.join(known)}")
        if self.source == "column" and not self.tumour_regions:
            faults.add("tumour_regions is empty: name the labels of the region column for tumour")
        for name, low, least in (("radii", 0.0, 1), ("bands", -math.inf, 3)):
            if not _rise(getattr(self, name), low=low, least=least):
                above = f" above {low:g}" if math.isfinite(low) else ""
                faults.add(
                    f"{name} is {getattr(self, name)}: give increasing micrometres{above}, "
                    f"{least} or more"
                )
        for name in ("mixing_radius", "quadrat", "aggregate_radius"):
            value = getattr(self, name)
            if not _rise((value,), low=0.0, least=1):
                faults.add(f"{name} is {value!r}: give positive micrometres")
        for name, least in (("n_neighbours", 1), ("min_cells", 2), ("aggregate_cells", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                faults.add(f"{name} is {value!r}: give a whole number of at least {least}")
        if bool(self.aggregate_seeds) != bool(self.aggregate_members):
            faults.add("aggregates need both aggregate_seeds and aggregate_members")
        elif not set(self.aggregate_seeds) <= set(self.aggregate_members):
            foreign = [name for name in self.aggregate_seeds if name not in self.aggregate_members]
            faults.add(
                f"aggregate_seeds names {name_rows(foreign)}, not among aggregate_members: "
                "add it there"
            )
        faults.raise_if_any("plan")


def _rise(values: object, *, low: float, least: int) -> bool:
    if not isinstance(values, tuple | list) or len(values) < least:
        return False
    if any(isinstance(value, bool) or not isinstance(value, Real) for value in values):
        return False
    if not all(map(math.isfinite, values)):
        return False
    return all(a < b for a, b in pairwise([low, *values]))
