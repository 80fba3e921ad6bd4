"""Tumour, spread, performance and liver, cut into the levels that staging rules tell apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from times_stats._typing import BoolArray, IntArray
from times_stats.staging.clinical_columns import ClinicalColumns, settled
from times_stats.staging.completions import IMPOSSIBLE, Grid, possible_levels
from times_stats.staging.liver_function import CHILD_PUGH_COLUMNS, possible_classes

SIZE_CUTS = (2.0, 3.0, 5.0)  # cm; a diameter equal to a cut lies below it
LEVELS = {
    "size": 4,  # up to 2, up to 3, up to 5, more
    "count": 3,  # 1, 2 or 3, 4 or more
    "satellites": 2,
    "vascular": 4,  # none, micro, macro, major
    "thrombus": 2,
    "main_branch": 2,  # read from the two above, never recorded alone
    "adjacent": 2,
    "bile_duct": 2,
    "node": 2,
    "distant": 2,
    "ecog": 3,  # 0, 1 or 2, 3 or 4
    "candidate": 2,
    "over_half": 2,
    "child_pugh": 3,
}
_FLAGS = {
    "satellites": "satellites",
    "thrombus": "portal_vein_tumour_thrombus",
    "adjacent": "adjacent_organ_invasion",
    "bile_duct": "bile_duct_invasion",
    "node": "nodal_metastasis",
    "distant": "distant_metastasis",
    "candidate": "transplant_candidate",
    "over_half": "tumour_over_half_liver",
}
VESSELS = ("vascular_invasion", "portal_vein_tumour_thrombus")
SPREAD = ("nodal_metastasis", "distant_metastasis")


def possible_inputs(inputs: ClinicalColumns) -> Mapping[str, BoolArray]:
    """Return the levels that each input may have, for the columns that were read.

    Parameters
    ----------
    inputs : ClinicalColumns
        Columns of the patients.

    Returns
    -------
    mapping of str to ndarray of bool, shape (n, number of levels)

    Examples
    --------
    >>> import pandas as pd
    >>> from times_stats.staging.clinical_columns import read_clinical
    >>> table = pd.DataFrame({"tumour_size_cm": [2.0, 2.1, None]})
    >>> possible_inputs(read_clinical(table, ("tumour_size_cm",)))["size"].astype(int).tolist()
    [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]]
    """
    levels: dict[str, IntArray] = {
        name: inputs.codes(column) for name, column in _FLAGS.items() if column in inputs.values
    }
    if "tumour_size_cm" in inputs.values:
        size = settled(inputs.number("tumour_size_cm"))
        levels["size"] = np.where(np.isnan(size), -1, np.searchsorted(SIZE_CUTS, size))
    if "tumour_count" in inputs.values:
        count = inputs.number("tumour_count")
        levels["count"] = np.where(np.isnan(count), -1, (count > 1).astype(int) + (count > 3))
    if "vascular_invasion" in inputs.values:
        levels["vascular"] = inputs.codes("vascular_invasion")
    if "ecog" in inputs.values:
        ecog = inputs.codes("ecog")
        levels["ecog"] = np.where(ecog < 0, -1, (ecog > 0).astype(int) + (ecog > 2))
    known = {name: possible_levels(codes, LEVELS[name]) for name, codes in levels.items()}
    known["main_branch"] = np.ones((len(inputs.index), 2), dtype=bool)
    if inputs.values.keys() >= set(CHILD_PUGH_COLUMNS):
        known["child_pugh"] = possible_classes(inputs)
    return known


def contradicts(on: Grid) -> BoolArray:
    """Mark combinations of vessels that cannot be.

    A tumour thrombus of the portal vein is macroscopic. The main branch is invaded where invasion
    is major, and may be where a thrombus is known and its reach is not.

    Parameters
    ----------
    on : mapping of str to ndarray of int
        Levels ``vascular`` and ``thrombus``, and ``main_branch`` where the rule asks for it.

    Returns
    -------
    ndarray of bool

    Examples
    --------
    >>> contradicts({"vascular": np.array([1, 2]), "thrombus": np.array([1, 1])}).tolist()
    [True, False]
    """
    vascular, thrombus = on["vascular"], on["thrombus"] == 1
    wrong = thrombus & (vascular < 2)
    if "main_branch" in on:
        main = on["main_branch"] == 1
        open_ = (vascular == 2) & thrombus
        wrong = wrong | (~open_ & (main != (vascular == 3)))
    return np.asarray(wrong, dtype=bool)


def macroscopic(on: Grid) -> BoolArray:
    """Mark macroscopic vascular invasion: macro, major, or a tumour thrombus.

    Parameters
    ----------
    on : mapping of str to ndarray of int
        Levels ``vascular`` and ``thrombus``.

    Returns
    -------
    ndarray of bool

    Examples
    --------
    >>> macroscopic({"vascular": np.array([1, 2]), "thrombus": np.array([0, 0])}).tolist()
    [False, True]
    """
    return np.asarray((on["vascular"] >= 2) | (on["thrombus"] == 1), dtype=bool)


def spread(on: Grid) -> BoolArray:
    """Mark metastasis to nodes or beyond.

    Parameters
    ----------
    on : mapping of str to ndarray of int
        Levels ``node`` and ``distant``.

    Returns
    -------
    ndarray of bool

    Examples
    --------
    >>> spread({"node": np.array([0, 1]), "distant": np.array([0, 0])}).tolist()
    [False, True]
    """
    return np.asarray((on["node"] == 1) | (on["distant"] == 1), dtype=bool)


def first_true(conditions: list[tuple[BoolArray, int]], otherwise: IntArray | int) -> IntArray:
    """Return the outcome of the first condition that holds.

    Parameters
    ----------
    conditions : list of (ndarray of bool, int)
        Conditions in the order they are read, with their outcomes.
    otherwise : ndarray of int or int
        Outcome where none holds.

    Returns
    -------
    ndarray of int

    Examples
    --------
    >>> first_true([(np.array([False, True]), 3)], 1).tolist()
    [1, 3]
    """
    outcomes = np.select(
        [condition for condition, _ in conditions], [out for _, out in conditions], otherwise
    )
    return np.asarray(outcomes, dtype=np.int64)


def except_contradictions(outcomes: IntArray, on: Grid) -> IntArray:
    """Return outcomes with the combinations that cannot be marked as impossible.

    Parameters
    ----------
    outcomes : ndarray of int
        Outcome of each combination.
    on : mapping of str to ndarray of int
        Levels, as in `contradicts`.

    Returns
    -------
    ndarray of int

    Examples
    --------
    >>> grid = {"vascular": np.array([1, 2]), "thrombus": np.array([1, 1])}
    >>> except_contradictions(np.array([0, 3]), grid).tolist()
    [-1, 3]
    """
    return np.where(contradicts(on), IMPOSSIBLE, outcomes)
