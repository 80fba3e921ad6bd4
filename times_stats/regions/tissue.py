"""The window where nobody drew one: the tissue that the cells cover, or their rectangle."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike
from scipy.ndimage import distance_transform_edt

from times_stats._checks import check_points
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.regions.contours import polygons_above
from times_stats.regions.kernel_fraction import neighbour_areas
from times_stats.regions.window import Window

_SPARSE = 0.95  # quantile of the cells' spacings that the discs must bridge
_BRIDGE = 1.5  # radius of a disc, in spacings of sparse cells
_LARGEST = 4.0  # radius of a disc at most, in typical spacings
_PIXELS_PER_SPACING = 5.0
_MOST = 2000.0  # pixels along the longer side
_LEAST_PIXELS = 3.0  # radius of a disc at least
_SIMPLER = 0.25  # pixels by which the outline may be simplified


def bounding_rectangle(points: ArrayLike, *, margin: float = 0.0) -> Window:
    """Return the smallest rectangle with sides along the axes that holds all cells.

    For a field of view that was cut as a rectangle and is full of tissue.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Positions of the cells, micrometres.
    margin : float
        Distance between the outermost cells and the frame, micrometres.

    Returns
    -------
    Window

    Raises
    ------
    InputError
        If there is no cell, the rectangle has no area, or the margin is negative or not finite.

    Examples
    --------
    >>> bounding_rectangle([(0, 0), (30, 10), (20, 40)]).area
    1200.0
    """
    cells = check_points(points)
    if not (np.isfinite(margin) and margin >= 0):
        raise InputError(f"margin is {margin}: give micrometres from 0 on")
    if len(cells) == 0:
        raise InputError("points hold no cell: draw the window")
    x0, y0 = cells.min(axis=0) - margin
    x1, y1 = cells.max(axis=0) + margin
    if not (x1 > x0 and y1 > y0):
        raise InputError("points lie on one line along an axis: give a margin or draw the window")
    return Window.rectangle(x=(float(x0), float(x1)), y=(float(y0), float(y1)))


def tissue_window(points: ArrayLike, *, radius: float | None = None) -> Window:
    """Return the tissue that the cells cover: discs around all cells, drawn back from empty space.

    A morphological closing of the cells. Discs of the radius ``rho`` around all cells are united,
    and the union is eroded by ``rho`` less half a cell spacing. Gaps wider than about ``2 rho``
    stay outside, narrower ones are tissue.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Positions of all cells, micrometres.
    radius : float, optional
        Radius ``rho`` of the discs, micrometres. By default 1.5 spacings of sparse cells, and at
        most 4 typical spacings. The spacing of a cell is ``d sqrt(pi / 6)`` with `d` the distance
        to its sixth neighbour, the root of the area it stands for; typical is the median over
        cells, sparse the 95 % quantile.

    Returns
    -------
    Window
        Holds every cell. Of several parts where groups of cells lie apart.

    Raises
    ------
    InputError
        If there is no cell, the radius is not above 0 or too small for the extent of the cells, or
        no radius is given and most cells have one position.

    Notes
    -----
    The frame runs about half a spacing outside the outermost cells, scalloped between them. The
    raster has a fifth of a spacing a pixel, and the outline is simplified by a quarter of a pixel:
    so far it may differ for tissue that is turned or mirrored. The window is estimated from the
    same cells as what is counted in it: an intensity in it is that of the tissue that holds cells.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cells = rng.uniform(0, 300, (900, 2))
    >>> window = tissue_window(cells)
    >>> bool(window.contains(cells).all()), bool(0.9 < window.area / 300**2 < 1.1)
    (True, True)
    """
    cells = check_points(points)
    if len(cells) == 0:
        raise InputError("points hold no cell: draw the window")
    cells = np.unique(cells, axis=0)  # a second cell at one place says nothing about the tissue
    if radius is not None and not (np.isfinite(radius) and radius > 0):
        raise InputError(f"radius is {radius}: give micrometres above 0")
    spacings = _spacings(cells)
    typical = float(np.median(spacings))
    extent = float(np.ptp(cells, axis=0).max())
    coarsest = extent / _MOST
    if radius is None:
        if not typical > 0:
            raise InputError("most points have one position: give a radius")
        sparse = float(np.quantile(spacings, _SPARSE))
        rho = max(min(_BRIDGE * sparse, _LARGEST * typical), _LEAST_PIXELS * coarsest)
    elif radius < _LEAST_PIXELS * coarsest:
        raise InputError(
            f"radius is {radius} and the cells extend over {extent:g} um: give at least "
            f"{_LEAST_PIXELS * coarsest:.2g} um"
        )
    else:
        rho = float(radius)
    step = min(typical, rho) if typical > 0 else rho
    pixel = max(step / _PIXELS_PER_SPACING, coarsest)
    margin = max(min(step, rho) / 2, 1.5 * pixel)
    return Window.from_geometry(_closing(cells, rho=rho, margin=margin, pixel=pixel))


def _spacings(cells: FloatArray) -> FloatArray:
    """Root of the area each cell stands for, by the distance to its sixth neighbour."""
    return np.sqrt(neighbour_areas(cells)) if len(cells) > 1 else np.zeros(len(cells))


def _closing(cells: FloatArray, *, rho: float, margin: float, pixel: float) -> shapely.Geometry:
    """Discs of radius `rho` around the cells, eroded by `rho` less the margin, on a raster."""
    # One pixel lies in the middle of the cells, so that the raster is the same from every side.
    middle = (cells.min(axis=0) + cells.max(axis=0)) / 2
    half = np.ceil((np.ptp(cells, axis=0) / 2 + rho) / pixel).astype(np.int64) + 2
    x, y = (middle[axis] + pixel * np.arange(-half[axis], half[axis] + 1) for axis in (0, 1))
    column, row = (np.rint((cells - middle) / pixel).astype(np.int64) + half).T
    empty = np.ones((len(y), len(x)), dtype=np.bool_)
    empty[row, column] = False
    near = distance_transform_edt(empty) * pixel <= rho
    depth = distance_transform_edt(near) * pixel
    # The edge of what is near lies half a pixel before the first pixel that is not.
    area = polygons_above(depth, x=x, y=y, level=rho - margin + pixel / 2)
    area = shapely.simplify(area, _SIMPLER * pixel)
    shapely.prepare(area)
    missed = cells[~shapely.intersects_xy(area, cells[:, 0], cells[:, 1])]
    if len(missed):  # a raster cannot promise it
        discs = shapely.buffer(shapely.points(missed), margin)
        area = shapely.union_all([area, *discs])
    return area
