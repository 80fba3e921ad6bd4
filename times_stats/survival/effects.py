"""How slopes by marker and region share strength: the effects the columns can tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True)
class EffectDesign:
    """Sum of effects that makes up each slope: ``beta = slope + matrix @ effects``.

    Parameters
    ----------
    matrix : ndarray, shape (n_coefficients, n_effects)
        1 where an effect belongs to a slope.
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


def check_columns(columns: pd.Index) -> pd.MultiIndex:
    """Return evidence columns as a two-level index, or say what is wrong with them.

    Parameters
    ----------
    columns : MultiIndex
        Levels marker and region.

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
    if not isinstance(columns, pd.MultiIndex) or columns.nlevels != 2:
        raise InputError("evidence columns are not (marker, region): give a two-level index")
    if len(columns) == 0:
        raise InputError("the evidence has no column: give at least one marker in one region")
    if columns.has_duplicates:
        twice = columns[columns.duplicated()][0]
        raise InputError(f"evidence column {twice} is there twice: drop one")
    pairs = [(str(marker), str(region)) for marker, region in columns]
    return pd.MultiIndex.from_tuples(pairs, names=["marker", "region"])


def design_effects(columns: pd.MultiIndex) -> EffectDesign:
    """Lay out the effects of marker, region and their interaction.

    Parameters
    ----------
    columns : MultiIndex
        Levels marker and region, one entry per slope.

    Returns
    -------
    EffectDesign
        Groups are dropped when they have one member, and the interaction when each marker or
        each region has one column only, as it would repeat another group.

    Examples
    --------
    >>> pairs = [("CD8", "front"), ("CD8", "tumour"), ("Ki67", "front"), ("Ki67", "tumour")]
    >>> design_effects(pd.MultiIndex.from_tuples(pairs)).groups
    ('marker', 'region', 'interaction')
    >>> design_effects(pd.MultiIndex.from_tuples(pairs[:2])).groups
    ('region',)
    >>> design_effects(pd.MultiIndex.from_tuples(pairs[::2])).groups
    ('marker',)
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
    if len(blocks) == 2 and n_regions == n:
        blocks.pop()
    if len(blocks) == 2:
        blocks.append(("interaction", pd.Index([f"{m}, {r}" for m, r in columns])))
    matrix, group, labels = [np.empty((n, 0))], [], []
    for number, (name, level) in enumerate(blocks):
        members = list(dict.fromkeys(level))
        matrix.append((np.asarray(level)[:, None] == np.asarray(members)[None, :]).astype(float))
        group += [number] * len(members)
        labels += [f"{name} {member}" for member in members]
    return EffectDesign(
        matrix=np.hstack(matrix),
        group=np.asarray(group, dtype=np.int64),
        groups=tuple(name for name, _ in blocks),
        labels=tuple(labels),
    )
