"""The window: the area of tissue in which cells could have been seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import shapely
from numpy.typing import ArrayLike

from times_stats._checks import Faults, check_points
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.regions.polygon_sums import overlap_areas
from times_stats.regions.segment_distance import nearest_segment_distance

_MM2 = 1e-6  # square millimetres in a square micrometre


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Window:
    """Observed area: a polygon with holes, of one part or several, in micrometres.

    Make one with `rectangle`, `polygon`, `from_geometry` or `from_geojson`.

    Attributes
    ----------
    geometry : shapely Polygon or MultiPolygon
        The area; exteriors run counterclockwise, holes clockwise.
    edges : ndarray of shape (n_edges, 4)
        ``x1, y1, x2, y2`` of each edge, interior on the left.
    is_rectangle : bool
        Whether the window is one rectangle with sides along the axes.

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 500), y=(0, 400))
    >>> window.area
    200000.0
    >>> Window.polygon([(0, 0), (4, 0), (4, 4), (0, 4)], holes=[[(1, 1), (2, 1), (2, 2)]]).area
    15.5
    """

    geometry: Any
    edges: FloatArray
    is_rectangle: bool

    @classmethod
    def rectangle(cls, *, x: tuple[float, float], y: tuple[float, float]) -> Self:
        """Make a rectangle with sides along the axes.

        Parameters
        ----------
        x, y : tuple of float
            Lower and upper limit, micrometres.

        Returns
        -------
        Window

        Raises
        ------
        InputError
            If a limit is not finite or the upper one is not above the lower.

        Examples
        --------
        >>> Window.rectangle(x=(0, 10), y=(0, 5)).perimeter
        30.0
        """
        faults = Faults()
        for name, limits in (("x", x), ("y", y)):
            values = np.asarray(limits, dtype=np.float64)
            if values.shape != (2,) or not np.isfinite(values).all() or values[0] >= values[1]:
                faults.add(f"{name} is {limits!r}: give a lower and a larger upper limit")
        faults.raise_if_any("window")
        return cls._of(shapely.box(x[0], y[0], x[1], y[1]))

    @classmethod
    def polygon(cls, exterior: ArrayLike, *, holes: Sequence[ArrayLike] = ()) -> Self:
        """Make a polygon with holes.

        Parameters
        ----------
        exterior : array-like of shape (k, 2)
            Vertices of the outline, micrometres; the first need not be repeated.
        holes : sequence of array-like of shape (k, 2)
            Vertices of each hole.

        Returns
        -------
        Window

        Raises
        ------
        InputError
            If a ring has fewer than three vertices or one that is not finite, or the rings cross.

        Examples
        --------
        >>> Window.polygon([(0, 0), (10, 0), (0, 10)]).area
        50.0
        """
        rings = []
        faults = Faults()
        for number, ring in enumerate([exterior, *holes]):
            name = "exterior" if number == 0 else f"hole {number}"
            try:
                vertices = np.asarray(ring, dtype=np.float64)
            except (TypeError, ValueError):
                faults.add(f"{name} is not numeric: give x and y of each vertex")
                continue
            if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
                faults.add(f"{name} has shape {vertices.shape}: give x and y of 3 vertices or more")
            elif not np.isfinite(vertices).all():
                faults.add(f"{name} has a vertex that is missing or infinite: give finite numbers")
            else:
                rings.append(vertices)
        faults.raise_if_any("window")
        return cls.from_geometry(shapely.Polygon(rings[0], rings[1:]))

    @classmethod
    def from_geometry(cls, geometry: Any) -> Self:
        """Make a window of a shapely geometry.

        Parameters
        ----------
        geometry : shapely Polygon or MultiPolygon
            Area in micrometres.

        Returns
        -------
        Window

        Raises
        ------
        InputError
            If the geometry is no polygon, empty, or its rings cross.

        Examples
        --------
        >>> import shapely
        >>> Window.from_geometry(shapely.box(0, 0, 2, 3)).area
        6.0
        """
        kind = getattr(geometry, "geom_type", type(geometry).__name__)
        if kind not in ("Polygon", "MultiPolygon"):
            raise InputError(f"the window is a {kind}: give a polygon or several")
        if not shapely.is_valid(geometry):
            reason = shapely.is_valid_reason(geometry)
            raise InputError(f"the window is no valid polygon ({reason}): mend its outline")
        if geometry.is_empty or not geometry.area > 0:
            raise InputError("the window has no area: give one that surrounds the cells")
        return cls._of(geometry)

    @classmethod
    def _of(cls, geometry: Any) -> Self:
        oriented = shapely.orient_polygons(shapely.remove_repeated_points(geometry))
        rings = [
            np.asarray(ring.coords)
            for part in shapely.get_parts(oriented)
            for ring in (part.exterior, *part.interiors)
        ]
        edges = np.concatenate([np.hstack([ring[:-1], ring[1:]]) for ring in rings])
        box = shapely.box(*oriented.bounds)
        is_rectangle = len(rings) == 1 and len(edges) == 4 and bool(shapely.equals(oriented, box))
        return cls(oriented, np.ascontiguousarray(edges, dtype=np.float64), is_rectangle)

    @classmethod
    def from_geojson(
        cls, source: str | Path | Mapping[str, Any], *, pixel_size: float = 1.0
    ) -> Self:
        """Read a window from GeoJSON, as QuPath and other viewers export annotations.

        Parameters
        ----------
        source : path or mapping
            File, or its parsed content: a geometry, a feature or a collection of features; several
            polygons are united.
        pixel_size : float, default 1
            Micrometres in a unit of the coordinates: viewers export annotations in pixels.

        Returns
        -------
        Window

        Raises
        ------
        InputError
            If the content is no GeoJSON or holds no polygon.

        Examples
        --------
        >>> window = Window.rectangle(x=(0, 10), y=(0, 5))
        >>> Window.from_geojson(window.to_geojson()).area
        50.0
        """
        content = source if isinstance(source, Mapping) else _parsed(Path(source))
        name = None if isinstance(source, Mapping) else str(source)
        found = []
        for part in _geometries(content):
            try:
                geometry = shapely.from_geojson(json.dumps(part))
            except (shapely.GEOSException, TypeError, ValueError):
                raise InputError(
                    "a geometry is no readable GeoJSON: export the annotation again", source=name
                ) from None
            if geometry.geom_type in ("Polygon", "MultiPolygon"):
                if not shapely.is_valid(geometry):
                    reason = shapely.is_valid_reason(geometry)
                    raise InputError(
                        f"an outline crosses itself ({reason}): mend the annotation", source=name
                    )
                found.append(geometry)
        if not found:
            raise InputError("the file holds no polygon: export area annotations", source=name)
        united = shapely.union_all(found)
        if pixel_size != 1.0:
            united = shapely.transform(united, lambda xy: xy * float(pixel_size))
        return cls.from_geometry(united)

    def to_geojson(self) -> dict[str, Any]:
        """Return the window as a GeoJSON geometry.

        Returns
        -------
        dict
            ``type`` and ``coordinates``, micrometres.

        Examples
        --------
        >>> Window.rectangle(x=(0, 1), y=(0, 1)).to_geojson()["type"]
        'Polygon'
        """
        parsed: dict[str, Any] = json.loads(shapely.to_geojson(self.geometry))
        return parsed

    def __repr__(self) -> str:
        x0, y0, x1, y1 = self.bounds
        kind = "rectangle" if self.is_rectangle else f"polygon of {len(self.edges)} edges"
        return f"<Window: {kind}, {x1 - x0:g} x {y1 - y0:g} um, {self.area * _MM2:.4g} mm2>"

    @property
    def area(self) -> float:
        """Area, square micrometres."""
        return float(self.geometry.area)

    @property
    def area_mm2(self) -> float:
        """Area, square millimetres."""
        return self.area * _MM2

    @property
    def perimeter(self) -> float:
        """Length of all outlines, micrometres."""
        return float(self.geometry.length)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Lowest x, lowest y, highest x, highest y."""
        x0, y0, x1, y1 = self.geometry.bounds
        return float(x0), float(y0), float(x1), float(y1)

    def contains(self, points: ArrayLike) -> BoolArray:
        """Tell which points lie in the window, its outline included.

        Parameters
        ----------
        points : array-like of shape (n, 2)
            Micrometres.

        Returns
        -------
        ndarray of bool of shape (n,)

        Raises
        ------
        InputError
            If the points are not pairs of finite numbers.

        Examples
        --------
        >>> Window.rectangle(x=(0, 1), y=(0, 1)).contains([(1, 1), (2, 0)])
        array([ True, False])
        """
        checked = check_points(points)
        shapely.prepare(self.geometry)
        inside = shapely.intersects_xy(self.geometry, checked[:, 0], checked[:, 1])
        return np.asarray(inside, dtype=np.bool_)

    def boundary_distance(self, points: ArrayLike) -> FloatArray:
        """Return the distance of each point to the outline of the window.

        Parameters
        ----------
        points : array-like of shape (n, 2)
            Micrometres.

        Returns
        -------
        ndarray of shape (n,)
            Micrometres, never negative.

        Raises
        ------
        InputError
            If the points are not pairs of finite numbers.

        Examples
        --------
        >>> Window.rectangle(x=(0, 10), y=(0, 10)).boundary_distance([(5, 5), (1, 4)])
        array([5., 1.])
        """
        return nearest_segment_distance(self.edges, check_points(points))

    def erode(self, distance: float) -> Self | None:
        """Return the part of the window farther than a distance from its outline.

        Parameters
        ----------
        distance : float
            Micrometres, not negative. Corners of holes are rounded by arcs of 64 chords a circle.

        Returns
        -------
        Window or None
            None where nothing is left.

        Raises
        ------
        InputError
            If the distance is negative or not finite.

        Examples
        --------
        >>> Window.rectangle(x=(0, 10), y=(0, 10)).erode(2).area
        36.0
        >>> Window.rectangle(x=(0, 10), y=(0, 10)).erode(6) is None
        True
        """
        if not (np.isfinite(distance) and distance >= 0):
            raise InputError(f"distance is {distance}: give micrometres from 0 on")
        return self.part(shapely.buffer(self.geometry, -float(distance), quad_segs=16))

    def part(self, geometry: Any) -> Self | None:
        """Return the part of the window inside a geometry.

        Parameters
        ----------
        geometry : shapely geometry
            Area in micrometres.

        Returns
        -------
        Window or None
            None where they share no area.

        Examples
        --------
        >>> import shapely
        >>> Window.rectangle(x=(0, 10), y=(0, 10)).part(shapely.box(5, 5, 20, 20)).area
        25.0
        """
        shared = shapely.intersection(self.geometry, geometry)
        parts = [p for p in shapely.get_parts(shared) if p.geom_type == "Polygon" and p.area > 0]
        if not parts:
            return None
        return type(self)._of(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))

    def translation_overlap(self, dx: ArrayLike, dy: ArrayLike) -> FloatArray:
        """Return the area that the window shares with its translates, the set covariance.

        Parameters
        ----------
        dx, dy : array-like of shape (n,)
            Translations, micrometres.

        Returns
        -------
        ndarray of shape (n,)
            Square micrometres; exact but for rounding.

        Examples
        --------
        >>> Window.rectangle(x=(0, 10), y=(0, 10)).translation_overlap([0, 4, 20], [0, -5, 0])
        array([100.,  30.,   0.])
        """
        x = np.atleast_1d(np.asarray(dx, dtype=np.float64))
        y = np.atleast_1d(np.asarray(dy, dtype=np.float64))
        if self.is_rectangle:
            x0, y0, x1, y1 = self.bounds
            return np.maximum(x1 - x0 - np.abs(x), 0.0) * np.maximum(y1 - y0 - np.abs(y), 0.0)
        return overlap_areas(self.edges, x, y)


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError("the file is missing: correct the path", source=str(path)) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise InputError("the file is no readable GeoJSON", source=str(path)) from None


def _geometries(content: Any) -> list[Any]:
    """Return the geometries of a GeoJSON object, whatever wraps them."""
    if isinstance(content, list):  # QuPath writes a bare list of features
        return [part for entry in content for part in _geometries(entry)]
    if not isinstance(content, Mapping):
        return []
    if content.get("type") == "FeatureCollection":
        return _geometries(content.get("features", []))
    if content.get("type") == "Feature":
        return _geometries(content.get("geometry"))
    if content.get("type") == "GeometryCollection":
        return _geometries(content.get("geometries", []))
    return [content] if "type" in content else []
