"""The fraction of tumour cells as a smooth function of place, its bandwidth and its level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial import cKDTree

from times_stats._typing import BoolArray, FloatArray, IntArray

type ComplexArray = NDArray[np.complex128]

_NEIGHBOURS = 6  # what a cell has on average in a tessellation of the plane
_LARGEST_AREA = 4.0  # of what a cell may stand for, in median areas: beyond is empty space
_SMALLEST_AREA = 0.05
_BANDWIDTHS = np.geomspace(1.0, 6.0, 7)  # candidates, in cell spacings
_PIXELS_PER_SPACING = 2.0  # of the raster on which bandwidths are compared
_MOST = 2048  # pixels along the longer side of that raster
_REACH = 5.0  # bandwidths after which the kernel is nil


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
        Log likelihood above that of one fraction for all cells.
    """

    inside: float
    outside: float
    gain: float

    @property
    def level(self) -> float:
        """Fraction halfway between both, which a kernel fraction takes at the edge."""
        return 0.5 * (self.inside + self.outside)


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
        Square micrometres, ``pi d^2 / k`` with `d` the distance to the neighbour of rank ``k = 6``
        (``n - 1`` where there are fewer), held between 0.05 and 4 times the median so that a cell
        beside empty space does not stand for it. Where most cells share their place with six
        others, cells at one place share its area, which is 1 for a single place.

    Examples
    --------
    >>> cell_areas(np.array([[0.0, 0.0], [2.0, 0.0]])).round(1)
    array([12.6, 12.6])
    """
    rank = min(_NEIGHBOURS, len(points) - 1)
    if rank < 1:
        return np.ones(len(points))
    distances, _ = cKDTree(points).query(points, k=[rank + 1])
    areas = np.pi * distances[:, 0] ** 2 / rank
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
    """Choose the bandwidth that predicts each cell best from the others.

    Maximises ``sum_i a_i log P_h(label_i | other cells)``, the leave-one-out Bernoulli likelihood
    of the kernel fraction, weighted by the area ``a_i`` of each cell. The fraction at a cell is
    shrunk towards that of the whole tissue by one cell, so that an isolated cell costs a finite
    amount. Seven bandwidths from 1 to 6 cell spacings are compared, and a parabola through the
    best and its neighbours gives the maximum between them. Cells cluster with their own kind at
    the shortest distances, so that less than one spacing would draw clusters, not tissue.

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
    Cells are binned to half a spacing; a cell's own share is taken out exactly.
    """
    spacing = cell_spacing(areas)
    raster = _BinnedCells.of(points, is_tumour, areas, reach=_REACH * _BANDWIDTHS[-1] * spacing)
    scores = np.array([raster.left_out_score(c * spacing) for c in _BANDWIDTHS])
    best = int(np.argmax(scores))
    step = np.log(_BANDWIDTHS[1] / _BANDWIDTHS[0])
    shift = 0.0
    if 0 < best < len(scores) - 1:
        before, here, after = scores[best - 1 : best + 2]
        bend = before - 2 * here + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return max(float(spacing * _BANDWIDTHS[best] * np.exp(shift * step)), raster.pixel)


def split_in_two(
    points: FloatArray, is_tumour: BoolArray, areas: FloatArray, *, bandwidth: float
) -> TwoFractions:
    """Split the cells in two by their kernel fraction so that two fractions explain them best.

    Each cell is placed by the fraction among the *other* cells around it, so that its own label
    does not choose its side. Of all cuts of that order, the one with the largest two-region
    Bernoulli likelihood is taken.

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
    raster = _BinnedCells.of(points, is_tumour, areas, reach=_REACH * bandwidth)
    tumour, every = raster.left_out(bandwidth)
    fraction = tumour / np.maximum(every, np.finfo(float).tiny)
    order = np.argsort(fraction, kind="stable")
    ranked, labels = fraction[order], is_tumour[order].astype(np.float64)
    n, total = len(labels), float(labels.sum())
    below = np.arange(1, n)
    tumour_below = np.cumsum(labels)[:-1]
    outside, inside = tumour_below / below, (total - tumour_below) / (n - below)
    likelihood = below * _log_likelihood(outside) + (n - below) * _log_likelihood(inside)
    likelihood[(ranked[1:] <= ranked[:-1]) | (inside <= outside)] = -np.inf
    whole = total / n
    best = int(np.argmax(likelihood))
    gain = float(likelihood[best]) - n * float(_log_likelihood(np.array(whole)))
    if not gain > 0:
        return TwoFractions(inside=whole, outside=whole, gain=0.0)
    return TwoFractions(inside=float(inside[best]), outside=float(outside[best]), gain=gain)


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
    x0, y0, x1, y1 = bounds
    n_x = int(np.ceil((x1 - x0) / resolution)) + 5
    n_y = int(np.ceil((y1 - y0) / resolution)) + 5
    x = np.asarray(x0 + resolution * (np.arange(n_x) - 2.0), dtype=np.float64)
    y = np.asarray(y0 + resolution * (np.arange(n_y) - 2.0), dtype=np.float64)
    column, row = (points[:, 0] - x[0]) / resolution, (points[:, 1] - y[0]) / resolution
    left, low = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    right_share, high_share = column - left, row - low
    mass = np.zeros(n_x * n_y, dtype=np.complex128)
    weight = areas / resolution**2
    for up in (0, 1):
        for along in (0, 1):
            part = weight * (high_share if up else 1 - high_share)
            part = part * (right_share if along else 1 - right_share)
            pixel = (low + up) * n_x + left + along
            mass += np.bincount(pixel, part, mass.size)
            mass += 1j * np.bincount(pixel, part * is_tumour, mass.size)
    smooth = _Smoother.of(mass.reshape(n_y, n_x), _REACH * bandwidth / resolution)
    sigma = bandwidth / resolution
    both = smooth.blurred(sigma) / smooth.kernel_sum(sigma)
    cover = np.maximum(both.real, 0.0)
    near = cover > 1e-9
    fraction = np.divide(both.imag, cover, out=np.zeros_like(cover), where=near)
    return FractionField(x, y, np.clip(fraction, 0.0, 1.0), cover)


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
class _BinnedCells:
    """Cells binned to a raster, for fractions that leave one cell out."""

    pixel: float
    bins: IntArray
    is_tumour: BoolArray
    weight: FloatArray
    smoother: _Smoother

    @classmethod
    def of(
        cls, points: FloatArray, is_tumour: BoolArray, areas: FloatArray, *, reach: float
    ) -> _BinnedCells:
        longer = float(np.ptp(points, axis=0).max())
        pixel = max(cell_spacing(areas) / _PIXELS_PER_SPACING, longer / _MOST)
        index = np.floor((points - points.min(axis=0)) / pixel).astype(np.int64)
        n_x, n_y = (int(size) + 1 for size in index.max(axis=0))
        bins = index[:, 1] * n_x + index[:, 0]
        weight = areas / areas.mean()
        image = np.bincount(bins, weight, n_x * n_y) + 1j * np.bincount(
            bins, weight * is_tumour, n_x * n_y
        )
        smoother = _Smoother.of(image.reshape(n_y, n_x), reach / pixel)
        return cls(pixel, bins, is_tumour, weight, smoother)

    def left_out(self, bandwidth: float) -> tuple[FloatArray, FloatArray]:
        """Smoothed weight of tumour cells and of all cells at each cell, itself left out.

        In units of the kernel's peak, so that a cell at the same place counts with its weight.
        """
        both = self.smoother.blurred(bandwidth / self.pixel).ravel()[self.bins]
        every = np.maximum(both.real - self.weight, 0.0)
        tumour = np.clip(both.imag - self.weight * self.is_tumour, 0.0, every)
        return tumour, every

    def left_out_score(self, bandwidth: float) -> float:
        """Leave-one-out Bernoulli log likelihood, weighted by area."""
        tumour, every = self.left_out(bandwidth)
        whole = float(np.average(self.is_tumour, weights=self.weight))
        fraction = (tumour + whole) / (every + 1.0)
        likelihood = np.log(np.where(self.is_tumour, fraction, 1.0 - fraction))
        return float(np.dot(self.weight, likelihood))
