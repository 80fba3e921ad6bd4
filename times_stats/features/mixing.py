"""Mixing of immune and tumour cells: the score of Keren et al. and its normalised form."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from times_stats._checks import check_points, name_rows
from times_stats.errors import InputError
from times_stats.features.cell_types import check_types, is_among
from times_stats.features.point_checks import check_positive


@dataclass(frozen=True, slots=True)
class Interactions:
    """Pairs of neighbouring cells between and within two groups of types.

    Attributes
    ----------
    n_immune, n_tumour : int
        Cells of each group.
    immune_tumour : int
        Pairs of an immune and a tumour cell within the radius.
    immune_immune : int
        Pairs of two immune cells within the radius, each pair counted once.

    Examples
    --------
    >>> found = Interactions(n_immune=3, n_tumour=2, immune_tumour=2, immune_immune=1)
    >>> found.mixing_score, found.normalised_mixing_score, found.reason
    (2.0, 1.0, '')
    """

    n_immune: int
    n_tumour: int
    immune_tumour: int
    immune_immune: int

    @property
    def reason(self) -> str:
        """Why the scores are NaN; empty where they are numbers."""
        if self.n_immune == 0:
            return "no immune cell"
        if self.n_tumour == 0:
            return "no tumour cell"
        if self.immune_immune == 0:
            return "no two immune cells within the radius"
        return ""

    @property
    def mixing_score(self) -> float:
        """Immune-tumour pairs over immune-immune pairs, or NaN with a ``reason``."""
        return float("nan") if self.reason else self.immune_tumour / self.immune_immune

    @property
    def normalised_mixing_score(self) -> float:
        """Mixing score over its value under random labelling, or NaN with a ``reason``."""
        if self.reason:
            return float("nan")
        return self.mixing_score * (self.n_immune - 1) / (2 * self.n_tumour)


def count_interactions(
    points: ArrayLike,
    cell_type: ArrayLike,
    *,
    immune: Sequence[Hashable],
    tumour: Sequence[Hashable],
    radius: float,
) -> Interactions:
    """Count the pairs of immune and tumour cells, and of immune cells, within a radius.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres, micrometres.
    cell_type : array-like of shape (n,)
        Type of each cell; cells of types in neither group are not looked at.
    immune, tumour : sequence of hashable
        Types of each group; the groups may not share a type.
    radius : float
        Largest distance of interacting cells, micrometres, itself included.

    Returns
    -------
    Interactions
        Counts, both scores, and the reason where a score is NaN.

    Raises
    ------
    InputError
        If the groups share a type, the radius is not positive, types are missing, or the points are
        not pairs of finite numbers.

    Notes
    -----
    An interaction is a pair of cells within the radius, however many others lie between or nearer:
    a pair, not a nearest neighbour. There is no correction for the edge of the image, where
    pairs of both kinds are lost alike.

    Examples
    --------
    >>> points = [(0, 0), (10, 0), (20, 0), (300, 0)]
    >>> types = ["T", "T", "tumour", "tumour"]
    >>> count_interactions(points, types, immune=["T"], tumour=["tumour"], radius=15)
    Interactions(n_immune=2, n_tumour=2, immune_tumour=1, immune_immune=1)
    """
    checked = check_points(points)
    reach = check_positive(radius, name="radius", what="micrometres")
    targets = check_types(tumour, name="tumour")
    shared = [kind for kind in check_types(immune, name="immune") if kind in targets]
    if shared:
        raise InputError(
            f"immune and tumour share the type {name_rows(shared)}: put each type in one group"
        )
    first = checked[is_among(cell_type, types=immune, n_cells=len(checked))]
    second = checked[is_among(cell_type, types=tumour, n_cells=len(checked))]
    between = within = 0
    if len(first):
        tree = cKDTree(first)
        within = (int(tree.count_neighbors(tree, reach)) - len(first)) // 2
        between = int(tree.count_neighbors(cKDTree(second), reach)) if len(second) else 0
    return Interactions(len(first), len(second), between, within)


def mixing_score(
    points: ArrayLike,
    cell_type: ArrayLike,
    *,
    immune: Sequence[Hashable],
    tumour: Sequence[Hashable],
    radius: float,
) -> float:
    """Return the mixing score: immune-tumour interactions per immune-immune interaction.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres, micrometres.
    cell_type : array-like of shape (n,)
        Type of each cell.
    immune, tumour : sequence of hashable
        Types of each group.
    radius : float
        Largest distance of interacting cells, micrometres, itself included.

    Returns
    -------
    float
        From 0 on, larger where immune and tumour cells mix; NaN where no immune or no tumour cell
        is there, or no two immune cells lie within the radius (`count_interactions` gives the
        reason).

    Raises
    ------
    InputError
        As `count_interactions`.

    Notes
    -----
    Keren et al. (2018), doi:10.1016/j.cell.2018.08.039, who count contacts of segmented cells;
    with centres alone a contact becomes a pair within the radius, as in SPIAT (Feng et al. 2023,
    doi:10.1038/s41467-023-37822-0). Pairs of immune cells count once. Where no two immune cells
    interact SPIAT returns 0; the ratio is undefined there, so this is NaN. The score grows with the
    number of tumour cells and falls with that of immune cells, whatever their places: see
    `normalised_mixing_score`.

    Examples
    --------
    >>> points = [(0, 0), (10, 0), (20, 0), (20, 10)]
    >>> types = ["T", "T", "tumour", "tumour"]
    >>> mixing_score(points, types, immune=["T"], tumour=["tumour"], radius=15)
    2.0
    """
    found = count_interactions(points, cell_type, immune=immune, tumour=tumour, radius=radius)
    return found.mixing_score


def normalised_mixing_score(
    points: ArrayLike,
    cell_type: ArrayLike,
    *,
    immune: Sequence[Hashable],
    tumour: Sequence[Hashable],
    radius: float,
) -> float:
    r"""Return the mixing score over what random labelling would give.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Cell centres, micrometres.
    cell_type : array-like of shape (n,)
        Type of each cell.
    immune, tumour : sequence of hashable
        Types of each group.
    radius : float
        Largest distance of interacting cells, micrometres, itself included.

    Returns
    -------
    float
        About 1 where immune and tumour cells are scattered alike, below where they keep apart; NaN
        as for `mixing_score`.

    Raises
    ------
    InputError
        As `count_interactions`.

    Notes
    -----
    With :math:`n_I` immune cells, :math:`n_T` tumour cells and their interactions,

    .. math:: \frac{N_{IT} / (n_I n_T)}{N_{II} / (n_I (n_I - 1) / 2)}
              = \frac{N_{IT}}{N_{II}} \, \frac{n_I - 1}{2 n_T},

    the share of immune-tumour pairs that interact over the share of immune-immune pairs that do.
    Feng et al. (2023), doi:10.1038/s41467-023-37822-0, as in the code of SPIAT, where each pair of
    immune cells counts once. Under random labelling of fixed positions numerator and denominator
    have the same expectation, so the score is near 1 in large samples.

    Examples
    --------
    >>> points = [(0, 0), (10, 0), (20, 0), (20, 10)]
    >>> types = ["T", "T", "tumour", "tumour"]
    >>> normalised_mixing_score(points, types, immune=["T"], tumour=["tumour"], radius=15)
    0.5
    """
    found = count_interactions(points, cell_type, immune=immune, tumour=tumour, radius=radius)
    return found.normalised_mixing_score
