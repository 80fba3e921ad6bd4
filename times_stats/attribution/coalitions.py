"""Shapley values of a set function: what each player adds, averaged over all orders of arrival."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError

MAX_EXACT_PLAYERS = 14
"""Most players whose coalitions are all evaluated unless asked otherwise: 2^14 = 16,384."""
_MOST_PLAYERS = 20  # all coalitions of more would not fit into memory


@dataclass(frozen=True, slots=True, eq=False)
class ShapleyValues:
    """Shapley values of a set function.

    Attributes
    ----------
    players : tuple of str
        Names of the players.
    values : float array, shape (n_players,) or (n_players, k)
        Value of each player; they add up to ``full - empty``.
    monte_carlo_se : float array, of the shape of `values`
        Standard error from sampling orders; 0 where all coalitions were evaluated.
    empty, full : float array, shape () or (k,)
        The set function of nobody and of everybody.
    n_coalitions : int
        Coalitions evaluated.
    is_exact : bool
        Whether these were all.
    """

    players: tuple[str, ...]
    values: FloatArray
    monte_carlo_se: FloatArray
    empty: FloatArray
    full: FloatArray
    n_coalitions: int
    is_exact: bool


def shapley_values(
    value: Callable[[BoolArray], FloatArray],
    players: Sequence[str],
    *,
    max_exact_players: int = MAX_EXACT_PLAYERS,
    n_pairs: int = 200,
    rng: np.random.Generator | None = None,
) -> ShapleyValues:
    r"""Share out ``v(all) - v(none)`` among players by their mean marginal contribution.

    .. math:: \phi_i = \sum_{S \not\ni i} \frac{|S|!\,(n - |S| - 1)!}{n!}
              \left[ v(S \cup i) - v(S) \right]

    With at most `max_exact_players` players all :math:`2^n` coalitions enter. With more, players
    arrive in random orders, each followed by its reverse: what a player adds early and what it adds
    late then tend to balance. Coalitions that recur are evaluated once. The values still add up
    exactly, because each order does.

    Parameters
    ----------
    value : callable
        The set function: takes coalitions, a bool array of shape (n_coalitions, n_players), and
        returns a finite number for each, shape (n_coalitions,), or k numbers, (n_coalitions, k).
    players : sequence of str
        Names of the players, no two alike.
    max_exact_players : int, default 14
        Most players for which all coalitions are evaluated; 20 at most.
    n_pairs : int, default 200
        Pairs of an order and its reverse, for more players; 2 at least.
    rng : numpy Generator, optional
        Source of the orders; needed only for more players.

    Returns
    -------
    ShapleyValues
        Values with their Monte Carlo standard error, the standard deviation of the pairs' values
        over the square root of their number.

    Raises
    ------
    InputError
        No players, names that repeat, a set function of the wrong shape or not finite, no `rng`
        where orders are to be drawn.

    References
    ----------
    Shapley L. S. (1953). A value for n-person games. In *Contributions to the Theory of Games II*,
    307-318. doi:10.1515/9781400881970-018. Castro J., Gómez D., Tejada J. (2009). Polynomial
    calculation of the Shapley value based on sampling. *Comput Oper Res* 36, 1726-1730.
    doi:10.1016/j.cor.2008.04.004. Antithetic orders: Mitchell R. et al. (2022). Sampling
    permutations for Shapley value estimation. *JMLR* 23(43). arXiv:2104.12199

    Examples
    --------
    Two gloves make a pair, and one player holds the only left one:

    >>> def pairs(coalitions):
    ...     left, right = coalitions[:, 0], coalitions[:, 1:].sum(axis=1)
    ...     return np.minimum(left, right).astype(float)
    >>> shapley_values(pairs, ["left", "right 1", "right 2"]).values.round(3)
    array([0.667, 0.167, 0.167])
    """
    names = tuple(map(str, players))
    _check(names, max_exact_players, n_pairs)
    if len(names) <= max_exact_players:
        coalitions = all_coalitions(len(names))
        outcomes = _evaluate(value, coalitions)
        values = exact_weights(len(names)) @ outcomes
        return ShapleyValues(
            names, values, np.zeros_like(values), outcomes[0], outcomes[-1], len(coalitions), True
        )
    if rng is None:
        raise InputError(
            f"{len(names)} players are more than {max_exact_players}, so orders are drawn at"
            " random: give rng=, or merge players"
        )
    orders = draw_orders(len(names), n_pairs=n_pairs, rng=rng)
    coalitions, position = coalitions_on_the_way(orders)
    outcomes = _evaluate(value, coalitions)
    values, error = average_over_orders(outcomes, position, orders)
    start, end = position[0, 0], position[0, -1]
    return ShapleyValues(
        names, values, error, outcomes[start], outcomes[end], len(coalitions), False
    )


def all_coalitions(n_players: int) -> BoolArray:
    """Return every coalition, nobody first and everybody last.

    Parameters
    ----------
    n_players : int
        Number of players.

    Returns
    -------
    bool array, shape (2 ** n_players, n_players)
        Row k holds the binary digits of k, the first player's the lowest.

    Examples
    --------
    >>> all_coalitions(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    digits = np.arange(2**n_players)[:, None] >> np.arange(n_players)
    return np.asarray(digits % 2 == 1)


def exact_weights(n_players: int) -> FloatArray:
    """Return the weights that turn the set function of all coalitions into Shapley values.

    Parameters
    ----------
    n_players : int
        Number of players.

    Returns
    -------
    float array, shape (n_players, 2 ** n_players)
        ``(s - 1)! (n - s)! / n!`` where the player is in the coalition of size s, else minus
        ``s! (n - s - 1)! / n!``; coalitions as in `all_coalitions`.

    Examples
    --------
    >>> exact_weights(2)
    array([[-0.5,  0.5, -0.5,  0.5],
           [-0.5, -0.5,  0.5,  0.5]])
    """
    coalitions = all_coalitions(n_players)
    size = coalitions.sum(axis=1)
    # s! (n - s - 1)! / n! = 1 / (n C(n - 1, s))
    arrival = np.array([1.0 / (n_players * comb(n_players - 1, s)) for s in range(n_players)])
    joins, stays_out = arrival[np.maximum(size - 1, 0)], arrival[np.minimum(size, n_players - 1)]
    return np.ascontiguousarray(np.where(coalitions, joins[:, None], -stays_out[:, None]).T)


def draw_orders(n_players: int, *, n_pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Draw orders of arrival, each followed by its reverse.

    Parameters
    ----------
    n_players, n_pairs : int
        Number of players and of pairs.
    rng : numpy Generator
        Source of the orders.

    Returns
    -------
    int array, shape (2 * n_pairs, n_players)
        Player that arrives at each step.

    Examples
    --------
    >>> first, second = draw_orders(4, n_pairs=1, rng=np.random.default_rng(1))
    >>> bool((first == second[::-1]).all())
    True
    """
    forward = rng.permuted(np.tile(np.arange(n_players), (n_pairs, 1)), axis=1)
    return np.stack([forward, forward[:, ::-1]], axis=1).reshape(-1, n_players)


def coalitions_on_the_way(orders: np.ndarray) -> tuple[BoolArray, np.ndarray]:
    """Return the distinct coalitions that form while players arrive, and where they stand.

    Parameters
    ----------
    orders : int array, shape (n_orders, n_players)
        Orders of arrival.

    Returns
    -------
    coalitions : bool array, shape (n_coalitions, n_players)
        Distinct coalitions.
    position : int array, shape (n_orders, n_players + 1)
        Row of the coalition before each arrival, and after the last.

    Examples
    --------
    >>> coalitions, position = coalitions_on_the_way(np.array([[0, 1], [1, 0]]))
    >>> coalitions.shape, position.shape
    ((4, 2), (2, 3))
    """
    n_orders, n_players = orders.shape
    arrival = np.argsort(orders, axis=1)
    steps = np.arange(n_players + 1)
    formed = arrival[:, None, :] < steps[None, :, None]
    coalitions, position = np.unique(formed.reshape(-1, n_players), axis=0, return_inverse=True)
    return coalitions, position.reshape(n_orders, n_players + 1)


def average_over_orders(
    outcomes: FloatArray, position: np.ndarray, orders: np.ndarray
) -> tuple[FloatArray, FloatArray]:
    """Average the marginal contributions of each player over orders in antithetic pairs.

    Parameters
    ----------
    outcomes : float array, shape (n_coalitions,) or (n_coalitions, k)
        Set function of the distinct coalitions.
    position, orders : int array
        As `coalitions_on_the_way` gives and takes them.

    Returns
    -------
    values, monte_carlo_se : float array, shape (n_players,) or (n_players, k)

    Examples
    --------
    >>> orders = np.array([[0, 1], [1, 0]])
    >>> coalitions, position = coalitions_on_the_way(orders)
    >>> average_over_orders(coalitions.all(axis=1) * 1.0, position, orders)[0]
    array([0.5, 0.5])
    """
    n_pairs, n_players = len(orders) // 2, orders.shape[1]
    values = np.zeros((n_players, *outcomes.shape[1:]))
    squares = np.zeros_like(values)
    for pair in range(n_pairs):
        own = np.zeros_like(values)
        for row in (2 * pair, 2 * pair + 1):
            own[orders[row]] += 0.5 * np.diff(outcomes[position[row]], axis=0)
        change = own - values
        values += change / (pair + 1)
        squares += change * (own - values)
    return values, np.sqrt(squares / (n_pairs * max(n_pairs - 1, 1)))


def _check(names: tuple[str, ...], max_exact_players: int, n_pairs: int) -> None:
    faults = Faults()
    if not names:
        faults.add("there are no players: give at least one")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        faults.add(f"players share the name {name_rows(repeated)}: give each its own")
    if max_exact_players > _MOST_PLAYERS:
        faults.add(f"max_exact_players is {max_exact_players}: use {_MOST_PLAYERS} or fewer")
    if n_pairs < 2:
        faults.add(f"n_pairs is {n_pairs}: a standard error needs 2 pairs of orders or more")
    faults.raise_if_any()


def _evaluate(value: Callable[[BoolArray], FloatArray], coalitions: BoolArray) -> FloatArray:
    outcomes = np.asarray(value(coalitions), dtype=np.float64)
    if outcomes.ndim not in (1, 2) or len(outcomes) != len(coalitions):
        raise InputError(
            f"the set function returned shape {outcomes.shape} for {len(coalitions)} coalitions:"
            " return one number, or one row of numbers, for each"
        )
    if not np.isfinite(outcomes).all():
        wrong = ~np.isfinite(outcomes.reshape(len(outcomes), -1)).all(axis=1)
        raise InputError(
            f"the set function is missing or infinite for {int(wrong.sum())} of {len(coalitions)}"
            " coalitions: it must have a value for every one, nobody included"
        )
    return outcomes
