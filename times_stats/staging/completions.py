"""What a rule can say of a patient whose inputs are known in part: the truth table, searched.

Every input is cut into the few levels that a rule tells apart (a diameter at 2, 3 and 5 cm), and
the rule is evaluated once on all combinations of levels. A known input leaves one level possible, a
missing one all of them; the answers that remain are those of the completions, and no other. One
distinct answer is the patient's; of several, the lowest and the highest are reported. The table is
extended, input by input, by the unions over the sets of levels that occur, so that each patient is
one look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from times_stats._typing import BoolArray, IntArray

type Grid = Mapping[str, IntArray]

IMPOSSIBLE = -1  # outcome of a combination that contradicts itself


def possible_levels(codes: IntArray, n_levels: int) -> BoolArray:
    """Return which levels each patient's input may have.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Level of each patient; -1 where the input is missing.
    n_levels : int
        Number of levels.

    Returns
    -------
    ndarray of bool, shape (n, n_levels)

    Examples
    --------
    >>> possible_levels(np.array([1, -1]), 2).tolist()
    [[False, True], [True, True]]
    """
    levels = np.arange(n_levels)
    return np.asarray((codes[:, None] == levels) | (codes[:, None] < 0), dtype=bool)


def tabulate_rule(rule: Callable[[Grid], IntArray], levels: Mapping[str, int]) -> IntArray:
    """Evaluate a rule on every combination of levels.

    Parameters
    ----------
    rule : callable
        Takes arrays of levels by input and returns the outcome of each combination, from 0 on, or
        `IMPOSSIBLE` where the inputs contradict each other.
    levels : mapping of str to int
        Number of levels of each input.

    Returns
    -------
    ndarray of int
        One axis an input, in the order given.

    Examples
    --------
    >>> tabulate_rule(lambda on: on["a"] & on["b"], {"a": 2, "b": 2}).tolist()
    [[0, 0], [0, 1]]
    """
    grid = np.indices(tuple(levels.values()), dtype=np.int64)
    return rule(dict(zip(levels, grid, strict=True)))


def search_completions(
    table: IntArray, possible: Mapping[str, BoolArray], levels: Mapping[str, int]
) -> tuple[IntArray, IntArray]:
    """Return the lowest and the highest outcome over the completions of each patient's inputs.

    Parameters
    ----------
    table : ndarray of int
        Truth table, one axis an input.
    possible : mapping of str to ndarray of bool, shape (n, number of levels)
        Levels that each input may have; every patient has a combination that is possible.
    levels : mapping of str to int
        Number of levels of each input, in the order of the table's axes.

    Returns
    -------
    lowest, highest : ndarray of int, shape (n,)

    Examples
    --------
    >>> table = np.array([[0, 0], [0, 1]])  # a and b
    >>> unknown, yes = np.array([[True, True]]), np.array([[False, True]])
    >>> search_completions(table, {"a": unknown, "b": yes}, {"a": 2, "b": 2})
    (array([0]), array([1]))
    """
    sets = np.where(table == IMPOSSIBLE, 0, 1 << np.maximum(table, 0))  # one bit an outcome
    cells = []
    for axis, (name, count) in enumerate(levels.items()):
        known = possible[name].astype(np.int64) @ (1 << np.arange(count))
        subsets, of_patient = np.unique(known, return_inverse=True)
        unions = [
            np.bitwise_or.reduce(sets.take(_members(int(subset), count), axis=axis), axis=axis)
            for subset in subsets
        ]
        sets = np.stack(unions, axis=axis)
        cells.append(of_patient)
    outcomes = np.asarray(sets[tuple(cells)], dtype=np.int64)
    return _position(outcomes & -outcomes), _position(outcomes)


def _members(subset: int, count: int) -> list[int]:
    return [level for level in range(count) if subset >> level & 1]


def _position(bits: IntArray) -> IntArray:
    """Return the place of the highest bit, counted from 0."""
    return np.asarray(np.frexp(bits.astype(np.float64))[1] - 1, dtype=np.int64)
