"""The fraction of tumour cells as a smooth function of place, its bandwidth and its level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import CubicSpline
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from times_stats._typing import BoolArray, FloatArray

type ComplexArray = NDArray[np.complex128]

_NEIGHBOURS = 6  # what a cell has on average in a tessellation of the plane
_LARGEST_AREA = 4.0  # of what a cell may stand for, in median areas: beyond is empty space
_SMALLEST_AREA = 0.05
_BANDWIDTHS = np.geomspace(1.0, 6.0, 7)  # candidates, in cell spacings
_STEPS = 20  # of the likelihood between two candidates
_PIXELS_PER_SPACING = 2.0  # of the raster on which bandwidths are compared
_MOST = 2048  # pixels along the longer side of that raster
_REACH = 5.0  # bandwidths after which the kernel is nil
_NIL = 1e-6  # weight of neighbours at the kernel's peak that says nothing about a place
_ROUNDING = 1e-6  # pixels by which the sides of a raster may miss a whole number


@dataclass(frozen=True, slots=True, eq=False)
class FractionField:
    """Kernel fraction on a raster.

    Attributes
    ----------
    x, y : ndarray of shape (n_x,), (n_y,)
        Centres of the pixels, micrometres.
    fraction : ndarray of shape (n_y, n_x)
        Smoothed share of tumour cells; 0 where there is no cell within reach.
    cover : ndarray of shape (n_y, n_x)
        Smoothed area that cells stand for, per area: about 1 in tissue, 0 in empty space.
    """

    x: FloatArray
    y: FloatArray
    fraction: FloatArray
    cover: FloatArray


@dataclass(frozen=True, slots=True)
class TwoFractions:
    """Two regions with one fraction of tumour cells each.

    Attributes
    ----------
    inside, outside : float
        Fraction of tumour cells on both sides of the split.
    gain : float
        Log likelihood above that of one fraction for all cells; on average over cuts.
    """

    inside: float
    outside: float
    gain: float

    @property
    def level(self) -> float:
        """Fraction halfway between both, which a kernel fraction takes at the edge."""
        return 0.5 * (self.inside + self.outside)


def neighbour_areas(points: FloatArray) -> FloatArray:
    """Return the area of each cell by the distance to its sixth neighbour, as it comes.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Two cells or more, micrometres.

    Returns
    -------
    ndarray of shape (n,)
        Square micrometres, ``pi d^2 / k`` with `d` the distance to the neighbour of rank ``k = 6``
        (``n - 1`` where there are fewer).

    Examples
    --------
    >>> neighbour_areas(np.array([[0.0, 0.0], [2.0, 0.0]])).round(1)
    array([12.6, 12.6])
    """
    rank = min(_NEIGHBOURS, len(points) - 1)
    distances, _ = cKDTree(points).query(points, k=[rank + 1])
    return np.asarray(np.pi * distances[:, 0] ** 2 / rank, dtype=np.float64)


def cell_areas(points: FloatArray) -> FloatArray:
    """Return the area that each cell stands for, from the distance to its sixth neighbour.

    Weights of this kind make a kernel fraction an average over area. Unweighted, the fraction at
    an edge leans to the side where cells are denser, and moves the boundary to the other side.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Micrometres.

    Returns
    -------
    ndarray of shape (n,)
        Square micrometres, those of `neighbour_areas` held between 0.05 and 4 times the median so
        that a cell beside empty space does not stand for it. Where most cells share their place
        with six others, cells at one place share its area, which is 1 for a single place.

    Examples
    --------
    >>> cell_areas(np.array([[0.0, 0.0], [2.0, 0.0]])).round(1)
    array([12.6, 12.6])
    """
    if len(points) < 2:
        return np.ones(len(points))
    areas = neighbour_areas(points)
    middle = float(np.median(areas))
    if not middle > 0:
        places, place, n_at = np.unique(points, axis=0, return_inverse=True, return_counts=True)
        return np.asarray(cell_areas(places)[place] / n_at[place], dtype=np.float64)
    held = np.clip(areas, _SMALLEST_AREA * middle, _LARGEST_AREA * middle)
    return np.asarray(held, dtype=np.float64)


def cell_spacing(areas: FloatArray) -> float:
    """Return the typical distance between cells, the root of the median area of a cell.

    Parameters
    ----------
    areas : ndarray of shape (n,)
        Area of each cell, square micrometres.

    Returns
    -------
    float
        Micrometres.

    Examples
    --------
    >>> cell_spacing(np.array([100.0, 100.0, 400.0]))
    10.0
    """
    return float(np.sqrt(np.median(areas)))


def choose_bandwidth(points: FloatArray, is_tumour: BoolArray, areas: FloatArray) -> float:
    """Choose the bandwidth that predicts each cell from the others.

    The mean of ``log h`` over bandwidths from 1 to 6 cell spacings, each weighted by its
    leave-one-out Bernoulli likelihood ``exp(sum_i a_i log P_h(label_i | other cells))``, in which
    the area ``a_i`` of each cell counts in units of the mean area. Where the data are clear that
    is the bandwidth of the highest likelihood; where several predict as well, it moves smoothly
    with the cells instead of jumping from one to another. The fraction at a cell is shrunk towards
    that of the whole tissue by one cell, so that an isolated cell costs a finite amount. Cells
    cluster with their own kind at the shortest distances, so that less than one spacing would draw
    clusters, not tissue.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Micrometres.
    is_tumour : ndarray of bool of shape (n,)
    areas : ndarray of shape (n,)
        Area of each cell, square micrometres.

    Returns
    -------
    float
        Standard deviation of the Gaussian kernel, micrometres.

    Notes
    -----
    Cells are shared linearly among pixels of half a spacing; a cell's own share is taken out
    exactly. The likelihood is computed at seven bandwidths, with a cubic spline between them.
    """
    spacing = cell_spacing(areas)
    cells = _SharedCells.of(points, is_tumour, areas, reach=_REACH * _BANDWIDTHS[-1] * spacing)
    scores = [cells.left_out_score(candidate * spacing) for candidate in _BANDWIDTHS]
    logs = np.log(_BANDWIDTHS)
    fine = np.linspace(logs[0], logs[-1], _STEPS * (len(logs) - 1) + 1)
    likelihood = CubicSpline(logs, scores)(fine)
    weight = np.exp(likelihood - likelihood.max())
    chosen = spacing * float(np.exp(np.average(fine, weights=weight)))
    return max(chosen, cells.pixel)


def split_in_two(
    points: FloatArray, is_tumour: BoolArray, areas: FloatArray, *, bandwidth: float
) -> TwoFractions:
    """Split the cells in two by their kernel fraction so that two fractions explain them best.

    Each cell is placed by the fraction among the *other* cells around it, so that its own label
    does not choose its side. Every cut of that order gives two fractions; they are averaged over
    all cuts, each weighted by its two-region Bernoulli likelihood and by the width of fractions
    that give this cut. One cut stands out where the data are clear; where many explain the cells
    about as well, the average moves smoothly with the cells.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Micrometres.
    is_tumour : ndarray of bool of shape (n,)
        Both kinds occur.
    areas : ndarray of shape (n,)
        Area of each cell, square micrometres.
    bandwidth : float
        Micrometres.

    Returns
    -------
    TwoFractions
        With gain 0 and both fractions equal where no cut separates more tumour from fewer.
    """
    cells = _SharedCells.of(points, is_tumour, areas, reach=_REACH * bandwidth)
    tumour, every = cells.left_out(bandwidth)
    whole = float(is_tumour.mean())
    fraction = (tumour + _NIL * whole) / (every + _NIL)
    order = np.argsort(fraction, kind="stable")
    labels = is_tumour[order].astype(np.float64)
    n, total = len(labels), float(labels.sum())
    below = np.arange(1, n)
    tumour_below = np.cumsum(labels)[:-1]
    outside, inside = tumour_below / below, (total - tumour_below) / (n - below)
    likelihood = below * _log_likelihood(outside) + (n - below) * _log_likelihood(inside)
    gains = np.maximum(likelihood - n * float(_log_likelihood(np.array(whole))), 0.0)
    gains[inside <= outside] = 0.0
    best = float(gains.max())
    weight = np.diff(fraction[order]) * (np.exp(gains - best) - np.exp(-best))
    if not weight.sum() > 0:
        return TwoFractions(inside=whole, outside=whole, gain=0.0)
    share = weight / weight.sum()
    return TwoFractions(
        inside=float(share @ inside), outside=float(share @ outside), gain=float(share @ gains)
    )


def smooth_fraction(
    points: FloatArray,
    is_tumour: BoolArray,
    areas: FloatArray,
    *,
    bandwidth: float,
    bounds: tuple[float, float, float, float],
    resolution: float,
) -> FractionField:
    """Return the kernel fraction of tumour cells on a raster.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Micrometres.
    is_tumour : ndarray of bool of shape (n,)
    areas : ndarray of shape (n,)
        Area of each cell, square micrometres.
    bandwidth : float
        Standard deviation of the Gaussian kernel, micrometres.
    bounds : tuple of float
        Lowest x, lowest y, highest x, highest y of the window; the raster reaches a little beyond.
    resolution : float
        Side of a pixel, micrometres.

    Returns
    -------
    FractionField
        ``sum_i a_i t_i K(x - x_i) / sum_i a_i K(x - x_i)``. Each cell is shared among the four
        nearest pixels, which keeps its place to a fraction of a pixel.
    """
    raster = _Raster.around(bounds, pixel=resolution)
    shares, _ = raster.shares(points)
    mass = raster.spread(shares, areas / resolution**2, is_tumour)
    smooth = _Smoother.of(mass, _REACH * bandwidth / resolution)
    sigma = bandwidth / resolution
    both = smooth.blurred(sigma) / smooth.kernel_sum(sigma)
    cover = np.maximum(both.real, 0.0)
    near = cover > 1e-9
    fraction = np.divide(both.imag, cover, out=np.zeros_like(cover), where=near)
    return FractionField(raster.x, raster.y, np.clip(fraction, 0.0, 1.0), cover)


def _log_likelihood(fraction: FloatArray) -> FloatArray:
    """Mean Bernoulli log likelihood of labels with their own fraction, 0 log 0 being 0."""
    f = np.clip(fraction, np.finfo(float).tiny, 1.0)
    g = np.clip(1 - fraction, np.finfo(float).tiny, 1.0)
    return np.asarray(f * np.log(f) + g * np.log(g))


@dataclass(frozen=True, slots=True, eq=False)
class _Smoother:
    """Fourier transform of an image, ready for Gaussian blurs of several widths."""

    spectrum: ComplexArray
    shape: tuple[int, int]

    @classmethod
    def of(cls, image: ComplexArray, reach: float) -> _Smoother:
        # Zeros beyond the image, as far as the kernel reaches, keep its sides from meeting.
        padded = [fft.next_fast_len(size + min(size, int(np.ceil(reach)))) for size in image.shape]
        return cls(fft.fft2(image, padded), image.shape)

    def blurred(self, sigma: float) -> ComplexArray:
        """Blur by a Gaussian of peak 1 whose standard deviation is given in pixels."""
        # The transform of the sampled kernel, not the continuous one: no ripples, exact peak.
        down, across = (fft.fft(_gaussian(size, sigma)).real for size in self.spectrum.shape)
        product = self.spectrum * down[:, None]
        product *= across
        blurred = fft.ifft2(product, overwrite_x=True)
        return np.asarray(blurred[: self.shape[0], : self.shape[1]])

    def kernel_sum(self, sigma: float) -> float:
        """Sum of that Gaussian over all pixels."""
        down, across = (_gaussian(size, sigma).sum() for size in self.spectrum.shape)
        return float(down * across)


def _gaussian(size: int, sigma: float) -> FloatArray:
    """Gaussian of peak 1 at pixel 0 of a ring of pixels."""
    steps = np.arange(size, dtype=np.float64)
    return np.asarray(np.exp(-0.5 * (np.minimum(steps, size - steps) / sigma) ** 2))


@dataclass(frozen=True, slots=True, eq=False)
class _Raster:
    """Square pixels, one of them in the middle: the same from every one of the four sides."""

    x: FloatArray
    y: FloatArray
    pixel: float

    @classmethod
    def around(cls, bounds: tuple[float, float, float, float], *, pixel: float) -> _Raster:
        """Cover the bounds and two pixels more."""
        x0, y0, x1, y1 = bounds
        axes = []
        for low, high in ((x0, x1), (y0, y1)):
            half = int(np.ceil((high - low) / (2 * pixel) - _ROUNDING)) + 2
            axes.append((low + high) / 2 + pixel * np.arange(-half, half + 1.0))
        return cls(axes[0], axes[1], pixel)

    def shares(self, points: FloatArray) -> tuple[csr_array, FloatArray]:
        """Share each point among the four nearest pixels, linearly along each axis.

        Returns the shares, one row a point and one column a pixel, and the shares of the upper of
        both pixels along each axis, shape (n, 2).
        """
        middle = np.array([len(self.x) // 2, len(self.y) // 2])
        steps = (points - [self.x[middle[0]], self.y[middle[1]]]) / self.pixel
        low = np.floor(steps)
        upper = steps - low
        corner = (low.astype(np.int64) + middle) @ [1, len(self.x)]
        pixels = corner[:, None] + [0, 1, len(self.x), len(self.x) + 1]
        both = np.stack([1 - upper, upper], axis=2)
        values = both[:, 1, :, None] * both[:, 0, None, :]
        starts = np.arange(0, 4 * len(points) + 1, 4)
        shape = (len(points), len(self.x) * len(self.y))
        return csr_array((values.ravel(), pixels.ravel(), starts), shape=shape), upper

    def spread(self, shares: csr_array, weight: FloatArray, is_tumour: BoolArray) -> ComplexArray:
        """Image of the weight of all cells (real) and of tumour cells (imaginary)."""
        both = np.column_stack([weight, weight * is_tumour])
        image = np.ascontiguousarray(shares.T @ both, dtype=np.float64)
        return np.asarray(image.view(np.complex128)).reshape(len(self.y), len(self.x))


@dataclass(frozen=True, slots=True, eq=False)
class _SharedCells:
    """Cells shared among the pixels of a raster, for fractions that leave one cell out."""

    pixel: float
    shares: csr_array
    upper: FloatArray
    is_tumour: BoolArray
    weight: FloatArray
    smoother: _Smoother

    @classmethod
    def of(
        cls, points: FloatArray, is_tumour: BoolArray, areas: FloatArray, *, reach: float
    ) -> _SharedCells:
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        pixel = max(cell_spacing(areas) / _PIXELS_PER_SPACING, max(x1 - x0, y1 - y0) / _MOST)
        raster = _Raster.around((x0, y0, x1, y1), pixel=pixel)
        shares, upper = raster.shares(points)
        weight = areas / areas.mean()
        image = raster.spread(shares, weight, is_tumour)
        return cls(pixel, shares, upper, is_tumour, weight, _Smoother.of(image, reach / pixel))

    def left_out(self, bandwidth: float) -> tuple[FloatArray, FloatArray]:
        """Smoothed weight of tumour cells and of all cells at each cell, itself left out.

        In units of the kernel's peak, so that a cell at the same place counts with its weight.
        """
        sigma = bandwidth / self.pixel
        blurred = np.ascontiguousarray(self.smoother.blurred(sigma)).reshape(-1, 1)
        both = self.shares @ blurred.view(np.float64)
        # A cell meets itself on the same pixel and on the next, along each axis.
        apart = 2 * self.upper * (1 - self.upper)
        itself = np.prod(1 - apart * (1 - np.exp(-0.5 / sigma**2)), axis=1) * self.weight
        every = np.maximum(both[:, 0] - itself, 0.0)
        tumour = np.clip(both[:, 1] - itself * self.is_tumour, 0.0, every)
        return tumour, every

    def left_out_score(self, bandwidth: float) -> float:
        """Leave-one-out Bernoulli log likelihood, weighted by area."""
        tumour, every = self.left_out(bandwidth)
        whole = float(np.average(self.is_tumour, weights=self.weight))
        fraction = (tumour + whole) / (every + 1.0)
        likelihood = np.log(np.where(self.is_tumour, fraction, 1.0 - fraction))
        return float(np.dot(self.weight, likelihood))
