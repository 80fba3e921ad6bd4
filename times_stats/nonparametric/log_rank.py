"""The log-rank test of equal survival in all groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from times_stats._checks import check_survival_arrays
from times_stats.errors import InputError
from times_stats.nonparametric.risk_sets import divide, group_codes


@dataclass(frozen=True, slots=True)
class LogRankResult:
    """Log-rank statistic, its degrees of freedom and p value.

    Attributes
    ----------
    statistic : float
        Chi-square statistic.
    df : int
        Number of groups less one.
    p_value : float
        Upper tail of the chi-square distribution.
    """

    statistic: float
    df: int
    p_value: float


def logrank(time: ArrayLike, event: ArrayLike, group: ArrayLike) -> LogRankResult:
    """Test whether survival is equal in all groups.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    group : array-like, shape (n,)
        Group of each patient, two groups or more.

    Returns
    -------
    LogRankResult

    Raises
    ------
    InputError
        If the outcome is not valid, or there are fewer than two groups.

    Notes
    -----
    Mantel (1966), Cancer Chemother Rep 50:163-170, with the hypergeometric variance at tied times.
    R ``survival::survdiff`` (rho = 0).

    Examples
    --------
    >>> logrank([1, 2, 3, 4], [1, 1, 1, 1], ["a", "a", "b", "b"]).p_value.__round__(4)
    0.0896
    """
    months, happened = check_survival_arrays(time, event)
    names, code = group_codes(group, months.size, kind="group")
    if len(names) < 2:
        raise InputError("the log-rank test has one group only: give two groups or more")
    times, position = np.unique(months, return_inverse=True)
    member = (code[:, None] == np.arange(len(names))).astype(np.float64)
    leaving = np.zeros((times.size, len(names)))
    observed = np.zeros_like(leaving)
    np.add.at(leaving, position, member)
    np.add.at(observed, position, member * happened[:, None])
    at_risk = leaving[::-1].cumsum(axis=0)[::-1]
    total, deaths = at_risk.sum(axis=1), observed.sum(axis=1)
    share = at_risk / total[:, None]
    excess = (observed - deaths[:, None] * share).sum(axis=0)
    spread = deaths * divide(total - deaths, total - 1)
    variance = np.diag((spread[:, None] * share).sum(axis=0)) - share.T @ (spread[:, None] * share)
    statistic = float(excess[1:] @ np.linalg.pinv(variance[1:, 1:], hermitian=True) @ excess[1:])
    df = len(names) - 1
    return LogRankResult(statistic, df, float(chi2.sf(statistic, df)))
