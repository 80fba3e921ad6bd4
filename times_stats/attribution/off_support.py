"""How many of the patients an interventional attribution asks about look like no real patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.attribution.rank_scores import normal_scores
from times_stats.errors import InputError

_QUANTILE = 0.95
_ROUNDING = 1e-9  # of a whitened distance: equal rows must not differ by it
LEAST_ROWS = 20
"""Background patients needed to tell whether hybrids are like them."""
_MOST_ROWS = 2000  # of either table; more are thinned at random, for distances between all


@dataclass(frozen=True, slots=True)
class OffSupport:
    """Share of hybrids that lie farther from all patients than patients do.

    Attributes
    ----------
    fraction : float
        Share of the hybrids beyond `limit`; about .05 where groups of columns are independent.
    se : float
        Monte Carlo standard error of `fraction`.
    limit : float
        95 % quantile of the distance of a background patient to its nearest other.
    n_hybrids : int
        Hybrids drawn.
    """

    fraction: float
    se: float
    limit: float
    n_hybrids: int


def off_support_fraction(
    X: pd.DataFrame,
    background: pd.DataFrame,
    *,
    groups: dict[str, IntArray],
    n_hybrids: int = 4000,
    rng: np.random.Generator,
) -> OffSupport:
    """Estimate how many hybrids of two patients are unlike any patient.

    A hybrid has the columns of a coalition from a patient explained and the others from a
    background patient. Coalitions are drawn as Shapley values weigh them: the size evenly from 1 to
    n - 1, then the members. Columns become normal scores of their background ranks and are
    whitened by their Ledoit-Wolf covariance, so that a small step against a strong correlation is
    as far as it is unlikely. A hybrid is off support when its nearest background patient is
    farther than the 95 % quantile of the distances of background patients to their nearest other.
    The two parents of a hybrid are passed over, one row each: they share columns with it and are
    near for that reason alone. Other patients with the same values stay, so that a hybrid at no
    distance from one is on support. A background given k times over counts once (where 20 rows
    stay), or patients would be measured to their own copies. Were the groups independent, a hybrid
    would be a patient like any other and the fraction about .05, or less with ties; what exceeds it
    is due to dependence that the attribution breaks.

    Parameters
    ----------
    X : DataFrame, shape (n, p)
        Patients explained.
    background : DataFrame, shape (m, p)
        Background patients, 20 or more; missing values count as the middle. Of either table 2,000
        patients at most are looked at, drawn at random.
    groups : dict of str to int array
        Positions of the columns of each player.
    n_hybrids : int, default 4000
        Hybrids drawn.
    rng : numpy Generator
        Source of the hybrids.

    Returns
    -------
    OffSupport
        NaN with a single player, or where no column varies: there are no hybrids.

    Raises
    ------
    InputError
        Fewer than 20 background patients.

    References
    ----------
    Ledoit O., Wolf M. (2004). A well-conditioned estimator for large-dimensional covariance
    matrices. *J Multivar Anal* 88, 365-411. doi:10.1016/S0047-259X(03)00096-4. On leaving the data:
    Hooker G., Mentch L., Zhou S. (2021). Unrestricted permutation forces extrapolation. *Stat
    Comput* 31, 82. doi:10.1007/s11222-021-10057-z

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> shared = rng.normal(size=300)
    >>> X = pd.DataFrame({"a": shared, "b": shared + 0.1 * rng.normal(size=300)})
    >>> players = {"a": np.array([0]), "b": np.array([1])}
    >>> bool(off_support_fraction(X, X, groups=players, rng=rng).fraction > 0.5)
    True
    """
    if len(background) < LEAST_ROWS:
        raise InputError(
            f"the background has {len(background)} patients: whether hybrids are like them needs"
            f" {LEAST_ROWS} or more"
        )
    reference = _thin(_once(background.to_numpy(dtype=np.float64)), rng)
    given = _thin(X.to_numpy(dtype=np.float64), rng)
    scored, asked = (  # a missing value counts as the middle
        np.nan_to_num(normal_scores(table, reference=reference)) for table in (reference, given)
    )
    varied = np.ptp(scored, axis=0) > 0.0
    if len(groups) < 2 or not varied.any():
        return OffSupport(np.nan, np.nan, np.nan, 0)
    covariance, _ = ledoit_wolf(scored[:, varied])
    root = np.linalg.cholesky(np.linalg.inv(covariance))
    places = scored[:, varied] @ root
    among = cdist(places, places)
    np.fill_diagonal(among, np.inf)
    limit = float(np.quantile(among.min(axis=1), _QUANTILE))
    first, second = (
        rng.integers(len(asked), size=n_hybrids),
        rng.integers(len(scored), size=n_hybrids),
    )
    from_first = _draw_columns(groups, scored.shape[1], n_hybrids, rng)
    hybrids = np.where(from_first, asked[first], scored[second])
    distance = cdist(hybrids[:, varied] @ root, places)
    distance[np.arange(n_hybrids), second] = np.inf
    twins = (asked[:, None, :] == scored[None, :, :]).all(axis=2)[first]
    twins[np.arange(n_hybrids), second] = False
    twinned = np.flatnonzero(twins.any(axis=1))
    distance[twinned, twins[twinned].argmax(axis=1)] = np.inf
    off = distance.min(axis=1) > limit + _ROUNDING
    fraction = float(off.mean())
    return OffSupport(
        fraction, float(np.sqrt(fraction * (1.0 - fraction) / n_hybrids)), limit, n_hybrids
    )


def _draw_columns(
    groups: dict[str, IntArray], n_columns: int, n_hybrids: int, rng: np.random.Generator
) -> BoolArray:
    """Draw a coalition for each hybrid; return the columns that come from the first parent."""
    size = rng.integers(1, len(groups), size=n_hybrids)
    rank = rng.permuted(np.tile(np.arange(len(groups)), (n_hybrids, 1)), axis=1)
    member = rank < size[:, None]
    from_first = np.zeros((n_hybrids, n_columns), dtype=np.bool_)
    for k, columns in enumerate(groups.values()):
        from_first[:, columns] = member[:, [k]]
    return from_first


def _once(values: FloatArray) -> FloatArray:
    """Keep one copy of a table that was stacked on itself, if enough rows stay."""
    comparable = np.where(np.isnan(values), np.inf, values)
    _, which, counts = np.unique(comparable, axis=0, return_inverse=True, return_counts=True)
    copies = int(np.gcd.reduce(counts))
    if copies == 1 or len(values) // copies < LEAST_ROWS:
        return values
    order = np.argsort(which, kind="stable")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    number = np.arange(len(values)) - starts
    return np.asarray(values[np.sort(order[number % copies == 0])])


def _thin(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    if len(values) <= _MOST_ROWS:
        return values
    return values[np.sort(rng.choice(len(values), _MOST_ROWS, replace=False))]
