"""Settings of a study with cells: the sections ``[cells]``, ``[regions]`` and ``[features]``."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CellSettings:
    """Where the cells are and how they are read: section ``[cells]``.

    Attributes
    ----------
    path : tuple of str
        Files or patterns, relative to the study file.
    format : str
        ``generic``, ``qupath``, ``halo``, ``inform`` or ``anndata``.
    tumour : tuple of str
        Cell types that are tumour cells.
    window : str
        ``tissue`` or ``rectangle``, or a pattern such as ``windows/{image_id}.geojson``.
    columns, cell_types, regions : dict of str to str
        As in `open_cells`.
    phenotypes : dict of str to tuple of str
        Cell type to the flags it needs.
    markers : tuple of str or None
        Markers whose flags are read.
    images : str or None
        Table with ``image_id`` and ``patient_id``.
    pixel_size : float or None
        Micrometres per pixel of the positions of cells.
    outline_pixel_size : float or None
        Micrometres per unit of the GeoJSON of windows and annotations; needed where there are any.
    duplicates : str
        ``error``, ``drop`` or ``keep``.

    Examples
    --------
    >>> CellSettings().window
    'tissue'
    """

    path: tuple[str, ...] = ()
    format: str = "generic"
    tumour: tuple[str, ...] = ()
    window: str = "tissue"
    columns: dict[str, str] = field(default_factory=dict)
    cell_types: dict[str, str] = field(default_factory=dict)
    regions: dict[str, str] = field(default_factory=dict)
    phenotypes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    markers: tuple[str, ...] | None = None
    images: str | None = None
    pixel_size: float | None = None
    outline_pixel_size: float | None = None
    duplicates: str = "error"


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """How cells get their region: section ``[regions]``.

    Attributes
    ----------
    source : str
        ``boundary``, ``column`` or ``annotation``.
    invasive_front : tuple of float
        Limits of the invasive front, micrometres from the boundary, negative inside.
    peritumour : float or None
        Where the peritumour ends; None for none.
    tumour_regions : tuple of str
        Labels of the region column that mean tumour.
    annotation : str or None
        Pattern such as ``annotations/{image_id}.geojson``.

    Examples
    --------
    >>> RegionSettings().invasive_front
    (-100.0, 100.0)
    """

    source: str = "boundary"
    invasive_front: tuple[float, float] = (-100.0, 100.0)
    peritumour: float | None = 250.0
    tumour_regions: tuple[str, ...] = ()
    annotation: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """What is measured of every image: section ``[features]``.

    Attributes
    ----------
    radii, bands : tuple of float
        Micrometres, increasing.
    correction : str
        Edge correction of the K functions.
    n_neighbours, min_cells : int
        As in `CellPlan`.
    mixing_radius, quadrat : float
        As in `CellPlan`.
    aggregate_seeds, aggregate_members : tuple of str
        As in `CellPlan`.
    aggregate_radius : float
        As in `CellPlan`.
    aggregate_cells : int
        As in `CellPlan`.
    functions : tuple of str
        Statistics that stand above the regions in the ladder of nested models.

    Examples
    --------
    >>> FeatureSettings().functions
    ('l_tumour', 'l_self', 'gradient', 'neighbour_excess')
    """

    radii: tuple[float, ...] = tuple(float(r) for r in range(10, 101, 10))
    bands: tuple[float, ...] = (-100.0, -75.0, -50.0, -25.0, 0.0, 25.0, 50.0, 75.0, 100.0)
    correction: str = "isotropic"
    n_neighbours: int = 10
    min_cells: int = 10
    mixing_radius: float = 20.0
    quadrat: float = 50.0
    aggregate_seeds: tuple[str, ...] = ()
    aggregate_members: tuple[str, ...] = ()
    aggregate_radius: float = 20.0
    aggregate_cells: int = 20
    functions: tuple[str, ...] = ("l_tumour", "l_self", "gradient", "neighbour_excess")
