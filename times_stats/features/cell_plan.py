"""The plan: what is measured of the cells of every image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from times_stats._checks import Faults
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
        for name in ("tumour", "tumour_regions", "aggregate_seeds", "aggregate_members"):
            if isinstance(getattr(self, name), str):
                faults.add(f"{name} is a single text: give a list")
        if not self.tumour:
            faults.add("tumour is empty: name the cell types that are tumour cells")
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
        for name, low in (("radii", 0.0), ("bands", -np.inf)):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            rises = values.size >= (1 if name == "radii" else 3) and (np.diff(values) > 0).all()
            if not rises or not np.isfinite(values).all() or values[0] <= low:
                faults.add(f"{name} is {getattr(self, name)}: give increasing micrometres")
        for name in ("mixing_radius", "quadrat", "aggregate_radius"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                faults.add(f"{name} is {getattr(self, name)}: give positive micrometres")
        for name, least in (("n_neighbours", 1), ("min_cells", 2), ("aggregate_cells", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                faults.add(f"{name} is {value!r}: give a whole number of at least {least}")
        if bool(self.aggregate_seeds) != bool(self.aggregate_members):
            faults.add("aggregates need both aggregate_seeds and aggregate_members")
        faults.raise_if_any("plan")
