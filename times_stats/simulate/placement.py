"""Places of cells in simulated tissue: uniform in a compartment, or around parents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.regions.boundary import signed_distance
from times_stats.regions.given_boundary import boundary_from_annotation
from times_stats.simulate.tissue import Nests, TissueDesign

_CANDIDATES = 20_000.0  # places per mm^2, at least
_SPARE = 4  # places per cell of a compartment, at least
_MOST_CANDIDATES = 4_000_000


@dataclass(slots=True, eq=False)
class Places:
    """Places of an image that cells may take: uniform over the window, each taken once.

    Attributes
    ----------
    points : ndarray of shape (n, 2)
        Micrometres.
    compartment : ndarray of int of shape (n,)
        0 tumour centre, 1 invasive front, 2 adjacent tissue.
    in_nest : ndarray of bool of shape (n,)
        Whether the place lies in a nest.
    free : ndarray of bool of shape (n,)
        Whether no cell has taken it.
    """

    points: FloatArray
    compartment: IntArray
    in_nest: BoolArray
    free: BoolArray

    def take(self, rng: np.random.Generator, where: BoolArray, n: int) -> IntArray:
        """Take some free places at random, uniformly.

        Parameters
        ----------
        rng : Generator
            Source of random numbers.
        where : ndarray of bool
            Places to choose from.
        n : int
            How many.

        Returns
        -------
        ndarray of int, shape (n,)
            Rows of the places.
        """
        chosen: IntArray = rng.choice(np.flatnonzero(where & self.free), size=n, replace=False)
        self.free[chosen] = False
        return chosen

    def take_around(
        self, rng: np.random.Generator, where: BoolArray, sizes: IntArray, radius: float
    ) -> IntArray:
        """Take free places around parents, which lie uniformly among the places.

        Parameters
        ----------
        rng : Generator
            Source of random numbers.
        where : ndarray of bool
            Places to choose from.
        sizes : ndarray of int
            Cells of each parent.
        radius : float
            Standard deviation along each axis, micrometres.

        Returns
        -------
        ndarray of int, shape (sizes.sum(),)
            Rows of the places.
        """
        among = np.flatnonzero(where)
        taken: list[IntArray] = [np.empty(0, dtype=np.int64)]
        for size in sizes[sizes > 0]:
            parent = self.points[rng.choice(among)]
            open_places = among[self.free[among]]
            squared = ((self.points[open_places] - parent) ** 2).sum(axis=1)
            # Gumbel noise on log weights draws without replacement, one after the other
            keys = rng.gumbel(size=open_places.size) - squared / (2 * radius**2)
            chosen = open_places[np.argpartition(keys, -size)[-size:]]
            self.free[chosen] = False
            taken.append(chosen)
        return np.concatenate(taken)


def draw_places(
    rng: np.random.Generator, nests: Nests, design: TissueDesign, *, needed: IntArray
) -> Places:
    """Draw places uniformly over the window, enough for the cells of each compartment.

    Parameters
    ----------
    rng : Generator
        Source of random numbers.
    nests : Nests
        The tumour.
    design : TissueDesign
        Width of the front, density of clusters.
    needed : ndarray of int of shape (3,)
        Cells of each compartment.

    Returns
    -------
    Places

    Raises
    ------
    InputError
        If a compartment is to hold more cells than there is room for.
    """
    boundary = boundary_from_annotation(nests.tumour, window=nests.window, frame_tolerance=0.0)
    # a cluster needs places of its own within its radius
    dense = 8e6 * design.cluster_size / (2 * math.pi * design.cluster_radius**2)
    first = math.ceil(max(_CANDIDATES, dense) * design.area_mm2)
    points = np.empty((0, 2))
    distance = np.empty(0)
    while max(first, 2 * len(points), _SPARE * int(needed.sum())) <= _MOST_CANDIDATES:
        more = rng.uniform(0.0, design.side, size=(max(first, len(points)), 2))
        points = np.concatenate([points, more])
        distance = np.concatenate([distance, signed_distance(more, boundary)])
        compartment = np.digitize(distance, [-design.front_width, design.front_width])
        if (np.bincount(compartment, minlength=3) >= _SPARE * needed).all():
            return Places(points, compartment, distance < 0, np.ones(len(points), dtype=bool))
    raise InputError(
        "a compartment is to hold more cells than there is room for: lower level, level_sd, "
        "cluster_size or the intensities",
        source="tissue",
    )
