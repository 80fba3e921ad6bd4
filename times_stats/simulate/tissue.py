"""Simulated tissue: nests of tumour in a window, and what is to be found around them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely

from times_stats._checks import Faults
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.regions.compartments import Compartments
from times_stats.regions.window import Window

_SQUARE_MICROMETRES = 1e6  # in a mm^2
_LEAST_SHARE = 0.05  # of the window, of each compartment
_TRIES = 30
_RADIUS_SPREAD = 0.2
_SIDE_PER_RADIUS = 30


@dataclass(frozen=True, slots=True)
class TissueDesign:
    """What simulated tissue looks like, and where immune cells sit in it.

    Attributes
    ----------
    side : float
        Side of the square window, micrometres.
    tumour_share : float
        Least share of the window that nests cover.
    nest_radius : float
        Median radius of the discs that nests are unions of, micrometres; at least half of
        `front_width` and a thirtieth of `side`.
    front_width : float
        The invasive front reaches this far to both sides of the boundary, micrometres.
    tumour_intensity, stroma_intensity : float
        Cells per mm^2 of nests, and of the rest, immune cells not counted.
    purity : float
        Share of these cells that are tumour cells in nests, and stroma cells elsewhere.
    level : float
        Median over patients of the expected immune cells of a marker per mm^2 of the image.
    level_sd : float
        Standard deviation of the log of that, between patients.
    front_share : float
        Median share of a marker's cells that lie in the invasive front.
    location_sd : float
        Standard deviation of the logit of that, between patients.
    centre_share : float
        Share of the cells outside the front that lie in the tumour centre; the others lie in the
        adjacent tissue.
    exclusion : float
        Share of the cells of the tumour centre that are kept out of it, into the adjacent tissue.
    cluster_size : float
        Mean number of cells around a parent point (Thomas process within a compartment); 0 places
        cells independently.
    cluster_radius : float
        Standard deviation of their distance from the parent along each axis, micrometres.

    Raises
    ------
    InputError
        Lists every setting that cannot be used.

    Examples
    --------
    >>> TissueDesign(front_share=0.6).compartments.names
    ('tumour_centre', 'invasive_front', 'adjacent')
    """

    side: float = 1000.0
    tumour_share: float = 0.4
    nest_radius: float = 180.0
    front_width: float = 50.0
    tumour_intensity: float = 2500.0
    stroma_intensity: float = 1500.0
    purity: float = 0.97
    level: float = 400.0
    level_sd: float = 0.5
    front_share: float = 0.4
    location_sd: float = 0.8
    centre_share: float = 0.4
    exclusion: float = 0.0
    cluster_size: float = 0.0
    cluster_radius: float = 25.0

    def __post_init__(self) -> None:
        faults = Faults()
        positive = ("side", "nest_radius", "front_width", "tumour_intensity", "stroma_intensity")
        for name in (*positive, "level", "cluster_radius"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                faults.add(f"{name} is {value}: give a positive number")
        for name in ("tumour_share", "front_share"):
            if not 0 < getattr(self, name) < 1:
                faults.add(f"{name} is {getattr(self, name)}: give a share between 0 and 1")
        for name in ("centre_share", "exclusion"):
            if not 0 <= getattr(self, name) <= 1:
                faults.add(f"{name} is {getattr(self, name)}: give a share from 0 to 1")
        if not 0.5 < self.purity <= 1:
            faults.add(f"purity is {self.purity}: give a share above 0.5, up to 1")
        for name in ("level_sd", "location_sd", "cluster_size"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                faults.add(f"{name} is {value}: give a number from 0 on")
        if not faults:
            # below, nests are all front, or so many that drawing them takes minutes
            least = max(self.front_width / 2, self.side / _SIDE_PER_RADIUS)
            if self.nest_radius < least:
                faults.add(
                    f"nest_radius is {self.nest_radius:g}: give at least {least:g} um, which is "
                    f"half of front_width or 1/{_SIDE_PER_RADIUS} of side, or lower these"
                )
        faults.raise_if_any("tissue")

    @property
    def compartments(self) -> Compartments:
        """Tumour centre, invasive front and adjacent tissue."""
        return Compartments(invasive_front=(-self.front_width, self.front_width), peritumour=None)

    @property
    def area_mm2(self) -> float:
        """Area of the window, mm^2."""
        return self.side**2 / _SQUARE_MICROMETRES

    def shares(self, location: FloatArray) -> FloatArray:
        """Return the expected shares of a marker's cells in the compartments.

        Parameters
        ----------
        location : ndarray
            Standardised location: 0 gives `front_share`.

        Returns
        -------
        ndarray
            With a last axis for tumour centre, invasive front and adjacent tissue; sums to 1.

        Examples
        --------
        >>> TissueDesign(front_share=0.5, exclusion=1.0).shares(np.zeros(1))
        array([[0. , 0.5, 0.5]])
        """
        logit = math.log(self.front_share / (1 - self.front_share)) + self.location_sd * location
        front = 1.0 / (1.0 + np.exp(-logit))
        centre = (1.0 - front) * self.centre_share * (1.0 - self.exclusion)
        return np.stack([centre, front, 1.0 - front - centre], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Nests:
    """Nests of tumour in a window.

    Attributes
    ----------
    tumour : Window
        Area of the nests; it may reach beyond the window.
    window : Window
        The window.
    share : float
        Share of the window that is tumour.
    areas : ndarray of shape (3,)
        mm^2 of tumour centre, invasive front and adjacent tissue.
    """

    tumour: Window
    window: Window
    share: float
    areas: FloatArray


def draw_nests(rng: np.random.Generator, design: TissueDesign) -> Nests:
    """Draw discs until they cover their share of the window, leaving room for every compartment.

    Parameters
    ----------
    rng : Generator
        Source of random numbers.
    design : TissueDesign
        Size of window, nests and front.

    Returns
    -------
    Nests

    Raises
    ------
    InputError
        If no arrangement leaves 5 % of the window to each compartment.

    Examples
    --------
    >>> nests = draw_nests(np.random.default_rng(1), TissueDesign())
    >>> bool(nests.areas.min() > 0.05), round(float(nests.areas.sum()), 6)
    (True, 1.0)
    """
    window = Window.rectangle(x=(0.0, design.side), y=(0.0, design.side))
    for _ in range(_TRIES):
        area = shapely.Polygon()
        while shapely.intersection(area, window.geometry).area < design.tumour_share * window.area:
            radius = design.nest_radius * math.exp(_RADIUS_SPREAD * rng.standard_normal())
            centre = rng.uniform(-0.5 * radius, design.side + 0.5 * radius, size=2)
            area = shapely.union(area, shapely.Point(centre).buffer(radius, quad_segs=24))
        areas = _compartment_areas(area, window, design.front_width)
        if (areas >= _LEAST_SHARE * areas.sum()).all():
            share = shapely.intersection(area, window.geometry).area / window.area
            return Nests(Window.from_geometry(area), window, float(share), areas)
    raise InputError(
        f"nests of radius {design.nest_radius:g} that cover {design.tumour_share:.0%} of a window "
        f"of {design.side:g} um leave no room for a centre, a front of {design.front_width:g} um "
        "and a stroma: narrow front_width, or change nest_radius, tumour_share or side",
        source="tissue",
    )


def _compartment_areas(area: shapely.Geometry, window: Window, width: float) -> FloatArray:
    """Return mm^2 of centre, front and adjacent tissue.

    As in `signed_distance`, only the boundary that the window shows counts.
    """
    lines = shapely.intersection(shapely.boundary(area), window.geometry)
    seen = shapely.intersection(shapely.buffer(lines, width, quad_segs=24), window.geometry)
    inside = shapely.intersection(area, window.geometry)
    centre = shapely.difference(inside, seen).area
    sizes = np.array([centre, seen.area, window.area - centre - seen.area])
    areas: FloatArray = np.maximum(sizes, 0.0) / _SQUARE_MICROMETRES
    return areas
