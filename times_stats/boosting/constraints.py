"""What a marker model may do with its regions: directions, and whether regions interact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from times_stats._checks import name_rows, nearest_hint
from times_stats.errors import InputError


def read_directions(
    monotone_constraints: Mapping[str, int] | None, names: Sequence[str]
) -> tuple[int, ...] | None:
    """Direction of the risk in each column.

    Parameters
    ----------
    monotone_constraints : mapping of str to {-1, 0, 1} or None
        By region (``"tumour"``) or column (``"CD8:tumour"``, which goes before the region).
    names : sequence of str
        Columns of the model, ``region`` or ``marker:region``.

    Returns
    -------
    tuple of int, or None
        1: the risk never falls as the value rises; -1: it never rises; 0: free. None where
        nothing is constrained.

    Raises
    ------
    InputError
        If a key is no column or region of the model, or a direction is not -1, 0 or 1.

    Examples
    --------
    >>> read_directions({"tumour": -1}, ["CD8:adjacent", "CD8:tumour"])
    (0, -1)
    """
    if monotone_constraints is None:
        return None
    check_directions(monotone_constraints)
    regions = [_region(name) for name in names]
    unknown = [key for key in monotone_constraints if key not in (*names, *regions)]
    if unknown:
        raise InputError(
            f"monotone_constraints names {name_rows(unknown)}, no region of this model"
            f"{nearest_hint(unknown[0], (*names, *regions))}: use "
            f"{', '.join(dict.fromkeys(regions))}"
        )
    chosen = tuple(
        int(monotone_constraints.get(name, monotone_constraints.get(region, 0)))
        for name, region in zip(names, regions, strict=True)
    )
    return chosen if any(chosen) else None


def check_directions(monotone_constraints: Any) -> None:
    """Check that constraints are a mapping to -1, 0 or 1.

    Parameters
    ----------
    monotone_constraints : mapping of str to int

    Raises
    ------
    InputError
        If they are not.

    Examples
    --------
    >>> check_directions({"tumour": 1})
    """
    if not isinstance(monotone_constraints, Mapping):
        raise InputError(
            'monotone_constraints is no mapping: give the direction by region, as in {"tumour": 1}'
        )
    for key, direction in monotone_constraints.items():
        whole = isinstance(direction, Integral) and not isinstance(direction, bool)
        if not (whole and direction in (-1, 0, 1)):
            raise InputError(
                f"monotone_constraints of {key} is {direction!r}: give 1 where the risk rises with "
                "the value, -1 where it falls, 0 where it is free"
            )


def directions_of_marker(
    monotone_constraints: Mapping[str, int] | None, names: Sequence[str]
) -> dict[str, int] | None:
    """Keep the constraints that a marker has columns for.

    Parameters
    ----------
    monotone_constraints : mapping of str to int or None
        Constraints of all markers.
    names : sequence of str
        Columns of this marker, ``marker:region``.

    Returns
    -------
    dict of str to int, or None

    Examples
    --------
    >>> directions_of_marker({"tumour": 1, "CD4:tumour": -1}, ["CD8:adjacent", "CD8:tumour"])
    {'tumour': 1}
    """
    if monotone_constraints is None:
        return None
    own = {*names, *map(_region, names)}
    return {key: value for key, value in monotone_constraints.items() if key in own}


def _region(name: str) -> str:
    return name.partition(":")[2] or name
