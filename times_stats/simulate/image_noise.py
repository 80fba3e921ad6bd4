"""How much images of one patient differ: published intraclass correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from times_stats._checks import Faults
from times_stats._typing import FloatArray

# Expression of the five genes in 68 regions of 16 hepatocellular carcinomas: share of the variance
# that lies between patients, mean of two studies weighted by patients (11 and 5), from
# datasets/times_published/variance_components.csv. First study: Losic B. et al. (2020),
# Nat Commun 11:291, doi:10.1038/s41467-019-14050-z.
PUBLISHED_ICC = {
    "SPON2": 0.844,
    "ZFP36L2": 0.690,
    "ZFP36": 0.520,
    "VIM": 0.648,
    "HLA-DRB1": 0.892,
}


def check_image_icc(
    image_icc: float | Sequence[float] | None, *, markers: int, faults: Faults
) -> FloatArray:
    """Return one intraclass correlation per marker.

    Parameters
    ----------
    image_icc : float, sequence of float or None
        Given for all markers, or for each; None for the published ones, in turn.
    markers : int
        Number of markers.
    faults : Faults
        Collects what is wrong.

    Returns
    -------
    ndarray of shape (markers,)

    Examples
    --------
    >>> check_image_icc(None, markers=2, faults=Faults())
    array([0.844, 0.69 ])
    """
    published = list(PUBLISHED_ICC.values())
    if image_icc is None:
        return np.array([published[m % len(published)] for m in range(markers)])
    values = as_row(image_icc, size=markers)
    if values is None or not ((values > 0) & (values <= 1)).all():
        faults.add(
            f"image_icc is {image_icc!r}: give one share of the variance above 0 and up to 1, or "
            f"one for each of the {markers} markers"
        )
        return np.ones(markers)
    return values


def as_row(given: object, *, size: int) -> FloatArray | None:
    """Return one number for each of several things, from one for all or one for each.

    Parameters
    ----------
    given : object
        What was given.
    size : int
        Number of things.

    Returns
    -------
    ndarray of shape (size,) or None
        None where it is not one number, nor `size` of them.

    Examples
    --------
    >>> as_row(0.5, size=2), as_row((1, 2, 3), size=2)
    (array([0.5, 0.5]), None)
    """
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if values.ndim > 1 or (values.ndim == 1 and values.size not in (1, size)):
        return None
    return np.broadcast_to(values, (size,)).copy()


def image_deviation_sd(icc: FloatArray) -> FloatArray:
    """Return the standard deviation of an image around its patient, in patients' deviations.

    ``sd_within / sd_between = sqrt((1 - icc) / icc)``.

    Parameters
    ----------
    icc : ndarray
        Share of the variance that lies between patients.

    Returns
    -------
    ndarray
        Of the same shape.

    Examples
    --------
    >>> image_deviation_sd(np.array([0.5, 1.0]))
    array([1., 0.])
    """
    ratio: FloatArray = np.sqrt((1.0 - icc) / icc)
    return ratio
