"""P-values from random permutations, with their Monte Carlo error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from times_stats._typing import FloatArray
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True)
class PermutationP:
    """P-value of an observed statistic among permuted ones.

    Attributes
    ----------
    p_value : float
    error : float
        Monte Carlo standard error of the p-value.
    n_permutations : int
        Permutations drawn.
    n_reached : int
        Permuted statistics at least as large as the observed one.
    """

    p_value: float
    error: float
    n_permutations: int
    n_reached: int


def permutation_p(
    observed: float, permuted: Iterator[FloatArray], *, stop_after: int | None = None
) -> PermutationP:
    r"""Return the share of permuted statistics at least as large as the observed one.

    With b of B permuted statistics as large, ``p = (b + 1) / (B + 1)``: the observed labelling is
    one of the possible ones, and p is never 0 (Phipson and Smyth 2010). With `stop_after` = h the
    drawing ends at the h-th such statistic, the l-th drawn, and ``p = h / l`` (Besag and Clifford
    1991). Both are valid: under the null ``P(p <= a) <= a`` for every a.

    Parameters
    ----------
    observed : float
        Larger means further from the null.
    permuted : iterator of ndarray
        Batches of permuted statistics, drawn as needed.
    stop_after : int, optional
        Stop at this many statistics as large as the observed one.

    Returns
    -------
    PermutationP

    Raises
    ------
    InputError
        If no permuted statistic is drawn.

    References
    ----------
    Phipson B., Smyth G. K. (2010). Permutation p-values should never be zero. *Stat Appl Genet Mol
    Biol* 9, 39. doi:10.2202/1544-6115.1585. Besag J., Clifford P. (1991). Sequential Monte Carlo
    p-values. *Biometrika* 78, 301-304. doi:10.1093/biomet/78.2.301

    Examples
    --------
    >>> permutation_p(3.0, iter([np.array([1.0, 2.0, 3.0, 0.0])])).p_value
    0.4
    >>> permutation_p(3.0, iter([np.array([1.0, 4.0, 3.0, 0.0])]), stop_after=1).p_value
    0.5
    """
    # Sums in another order differ in the last places: a permutation that changes nothing must count
    least = observed - 1e-9 * max(abs(observed), 1.0)
    drawn = reached = 0
    for batch in permuted:
        large = np.cumsum(np.asarray(batch) >= least) + reached
        if stop_after is not None and large.size and large[-1] >= stop_after:
            drawn += int(np.searchsorted(large, stop_after)) + 1
            p = stop_after / drawn
            return PermutationP(p, _error(p, drawn), drawn, stop_after)
        drawn += large.size
        reached = int(large[-1]) if large.size else reached
    if not drawn:
        raise InputError("no permutation was drawn: give n_permutations of 1 or more")
    p = (reached + 1) / (drawn + 1)
    return PermutationP(p, _error(p, drawn), drawn, reached)


def _error(p: float, drawn: int) -> float:
    return float(np.sqrt(p * (1.0 - p) / drawn))
