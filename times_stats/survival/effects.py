"""How slopes by marker and region share strength: the effects the columns can tell apart."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._checks import name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True)
class EffectDesign:
    """Sum of effects that makes up each slope: ``beta = slope + matrix @ effects``.

    Parameters
    ----------
    matrix : ndarray, shape (n_coefficients, n_effects)
        How much of an effect enters a slope: 1 where it belongs to it; of a step between ordered
        regions, what keeps the mean over the regions at 0.
    group : ndarray of int, shape (n_effects,)
        Group, hence scale, of each effect.
    groups : tuple of str
        Names of the groups: ``marker``, ``region``, ``interaction``, as far as identified.
    labels : tuple of str
        Name of each effect.
    """

    matrix: FloatArray
    group: IntArray
    groups: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def n_shared(self) -> int:
        """How many effects come before those, if any, that belong to one column each."""
        n = len(self.matrix)
        last = self.matrix[:, -n:]
        by_column = last.shape == (n, n) and np.array_equal(last, np.eye(n))
        return self.group.size - n * by_column


NO_COLUMNS = pd.MultiIndex.from_arrays([[], []], names=["marker", "region"])
"""Columns of a model without evidence."""


def check_columns(columns: pd.Index, *, may_be_empty: bool = False) -> pd.MultiIndex:
    """Return evidence columns as a two-level index, or say what is wrong with them.

    Parameters
    ----------
    columns : MultiIndex
        Levels marker and region.
    may_be_empty : bool
        Whether a model without evidence makes sense: it has covariates.

    Returns
    -------
    MultiIndex
        The columns, with the names ``marker`` and ``region``.

    Raises
    ------
    InputError
        If there is no column, a column twice, or not two levels.

    Examples
    --------
    >>> check_columns(pd.MultiIndex.from_tuples([("CD8", "tumour")])).names
    FrozenList(['marker', 'region'])
    """
    if len(columns) == 0:
        if may_be_empty:
            return NO_COLUMNS
        raise InputError("the evidence has no column: give at least one marker in one region")
    if not isinstance(columns, pd.MultiIndex) or columns.nlevels != 2:
        raise InputError("evidence columns are not (marker, region): give a two-level index")
    if columns.has_duplicates:
        twice = columns[columns.duplicated()][0]
        raise InputError(f"evidence column {twice} is there twice: drop one")
    pairs = [(str(marker), str(region)) for marker, region in columns]
    return pd.MultiIndex.from_tuples(pairs, names=["marker", "region"])


def design_effects(columns: pd.MultiIndex, *, region_order: tuple[str, ...] = ()) -> EffectDesign:
    """Lay out the effects of marker, region and their interaction.

    Parameters
    ----------
    columns : MultiIndex
        Levels marker and region, one entry per slope.
    region_order : tuple of str
        Regions by distance: effects of region, and of region within marker, become random walks
        along them.

    Returns
    -------
    EffectDesign
        Groups are dropped when they have one member, and the interaction when each marker or
        each region has one column only, as it would repeat another group.

    Raises
    ------
    InputError
        If a region of the columns has no place in the order.

    Examples
    --------
    >>> pairs = [("CD8", "front"), ("CD8", "tumour"), ("Ki67", "front"), ("Ki67", "tumour")]
    >>> design_effects(pd.MultiIndex.from_tuples(pairs)).groups
    ('marker', 'region', 'interaction')
    >>> design_effects(pd.MultiIndex.from_tuples(pairs[:2])).groups
    ('region',)
    >>> design_effects(pd.MultiIndex.from_tuples(pairs[::2])).groups
    ('marker',)
    >>> ordered = design_effects(
    ...     pd.MultiIndex.from_tuples(pairs[:2]), region_order=("tumour", "front")
    ... )
    >>> ordered.labels, ordered.matrix.ravel().tolist()
    (('region tumour to front',), [0.5, -0.5])
    """
    markers = columns.get_level_values(0)
    regions = columns.get_level_values(1)
    n = len(columns)
    n_markers, n_regions = len(markers.unique()), len(regions.unique())
    blocks: list[tuple[str, pd.Index]] = []
    if n_markers > 1:
        blocks.append(("marker", markers))
    if n_regions > 1 and not 1 < n_markers == n:
        blocks.append(("region", regions))
    if len(blocks) == 2 and n_regions < n:
        blocks.append(("interaction", pd.Index([f"{m}, {r}" for m, r in columns])))
    matrix, group, labels = [np.empty((n, 0))], [], []
    for number, (name, level) in enumerate(blocks):
        if region_order and name != "marker":
            block, members = _walks(markers, regions, region_order, apart=name == "interaction")
        else:
            members = list(dict.fromkeys(level))
            block = (np.asarray(level)[:, None] == np.asarray(members)[None, :]).astype(float)
        matrix.append(block)
        group += [number] * len(members)
        labels += [f"{name} {member}" for member in members]
    return EffectDesign(
        matrix=np.hstack(matrix),
        group=np.asarray(group, dtype=np.int64),
        groups=tuple(name for name, _ in blocks),
        labels=tuple(labels),
    )


def _walks(
    markers: pd.Index, regions: pd.Index, order: tuple[str, ...], *, apart: bool
) -> tuple[FloatArray, list[str]]:
    """Return steps between neighbouring regions, common to the markers or for each apart."""
    odd = regions.unique().difference(pd.Index(order))
    if len(odd):
        raise InputError(f"region {name_rows(odd)} has no place in region_order: name it there")
    present = [region for region in order if region in set(regions)]
    place = np.array([present.index(region) for region in regions])
    beyond = (np.arange(len(present))[:, None] > np.arange(len(present) - 1)).astype(float)
    steps = (beyond - beyond.mean(axis=0))[place]
    names = [f"{a} to {b}" for a, b in itertools.pairwise(present)]
    if not apart:
        return steps, names
    members = list(dict.fromkeys(markers))
    own = np.asarray(markers)[:, None] == np.asarray(members)[None, :]
    return (
        (own[:, :, None] * steps[:, None, :]).reshape(len(regions), -1),
        [f"{member}, {name}" for member in members for name in names],
    )
