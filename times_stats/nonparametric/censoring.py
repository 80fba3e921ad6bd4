"""The censoring distribution, and whether follow-up carries a horizon and agrees between strata.

At the same time events precede censorings.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_positive_horizon, check_survival_arrays, name_rows
from times_stats._typing import FloatArray
from times_stats.errors import DataWarning, InputError
from times_stats.nonparametric.estimators import reverse_kaplan_meier
from times_stats.nonparametric.log_rank import LogRankResult, logrank
from times_stats.nonparametric.risk_sets import group_codes
from times_stats.nonparametric.step_curve import StepCurve

_ALL = "all"  # name of the single stratum where none are declared


@dataclass(frozen=True, slots=True)
class CensoringDistribution:
    """Probability G(t) of being uncensored beyond t, in each stratum.

    Attributes
    ----------
    curves : mapping of str to StepCurve
        Reverse Kaplan-Meier curve of each stratum; the one stratum ``"all"`` if none were declared.
    """

    curves: Mapping[str, StepCurve]

    def at(self, t: ArrayLike, *, strata: ArrayLike | None = None) -> FloatArray:
        """Return G(t).

        Parameters
        ----------
        t : array-like
            Times, of one value or one for each entry of `strata`.
        strata : array-like, shape (n,), optional
            Strata; needed where strata were declared.

        Returns
        -------
        ndarray
            Probabilities.

        Raises
        ------
        InputError
            If `strata` is missing or holds a stratum that was not declared.
        """
        return self._value(t, strata, left=False)

    def before(self, t: ArrayLike, *, strata: ArrayLike | None = None) -> FloatArray:
        """Return G(t-), the limit from the left.

        Parameters
        ----------
        t : array-like
            Times, of one value or one for each entry of `strata`.
        strata : array-like, shape (n,), optional
            Strata; needed where strata were declared.

        Returns
        -------
        ndarray
            Probabilities.

        Raises
        ------
        InputError
            If `strata` is missing or holds a stratum that was not declared.
        """
        return self._value(t, strata, left=True)

    def _value(self, t: ArrayLike, strata: ArrayLike | None, *, left: bool) -> FloatArray:
        moments = np.asarray(t, dtype=np.float64)
        if strata is None:
            if set(self.curves) != {_ALL}:
                raise InputError("the censoring distribution has strata: give the stratum per time")
            curve = self.curves[_ALL]
            return curve.before(moments) if left else curve.at(moments)
        labels = np.asarray(strata).astype(str)
        unknown = sorted(set(labels) - set(self.curves))
        if unknown:
            raise InputError(
                f"censoring stratum {name_rows(unknown)} is not known: use {', '.join(self.curves)}"
            )
        moments = np.broadcast_to(moments, labels.shape)
        result = np.empty(labels.shape)
        for name in np.unique(labels):
            rows = labels == name
            curve = self.curves[str(name)]
            result[rows] = curve.before(moments[rows]) if left else curve.at(moments[rows])
        return result


def censoring_distribution(
    time: ArrayLike, event: ArrayLike, *, strata: ArrayLike | None = None
) -> CensoringDistribution:
    """Estimate the censoring distribution G by reverse Kaplan-Meier within strata.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator; events precede censorings at the same time.
    strata : array-like, shape (n,), optional
        Strata declared for censoring (cohorts).

    Returns
    -------
    CensoringDistribution

    Raises
    ------
    InputError
        If the outcome is not valid, or strata are missing or of another length.

    Examples
    --------
    >>> G = censoring_distribution([1, 2, 3, 4], [1, 0, 1, 0])
    >>> G.before(2), G.at(2).round(3)
    (array(1.), np.float64(0.667))
    """
    months, happened = check_survival_arrays(time, event)
    if strata is None:
        return CensoringDistribution({_ALL: reverse_kaplan_meier(months, happened)})
    names, code = group_codes(strata, months.size, kind="stratum")
    return CensoringDistribution(
        {
            str(name): reverse_kaplan_meier(months[code == k], happened[code == k])
            for k, name in enumerate(names)
        }
    )


def check_horizon(
    time: ArrayLike,
    event: ArrayLike,
    *,
    horizon: float,
    strata: ArrayLike | None = None,
    min_probability: float = 0.1,
) -> CensoringDistribution:
    """Check that follow-up carries the horizon, and return the censoring distribution.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    horizon : float
        Time of interest (months).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    min_probability : float
        Least acceptable G(horizon) in a stratum.

    Returns
    -------
    CensoringDistribution

    Raises
    ------
    InputError
        If the horizon is not positive, lies beyond the longest follow-up, or G(horizon) is below
        `min_probability` in a stratum (named).

    Examples
    --------
    >>> check_horizon([1, 2, 3, 4], [1, 0, 1, 0], horizon=3).at(3).round(3)
    np.float64(0.667)
    """
    months, happened = check_survival_arrays(time, event)
    check_positive_horizon(horizon)
    if horizon > months.max():
        raise InputError(
            f"horizon is {horizon:g} but the longest follow-up is {months.max():g}: "
            "choose an earlier horizon"
        )
    distribution = censoring_distribution(months, happened, strata=strata)
    thin = {
        name: value
        for name, curve in distribution.curves.items()
        if (value := float(curve.at(horizon))) < min_probability
    }
    if thin:
        listed = ", ".join(f"{name} (G = {value:.3f})" for name, value in thin.items())
        raise InputError(
            f"too few patients are followed to the horizon {horizon:g} in censoring stratum "
            f"{listed}, below {min_probability:g}: choose an earlier horizon or other strata"
        )
    return distribution


def check_censoring_strata(
    time: ArrayLike, event: ArrayLike, strata: ArrayLike, *, level: float = 0.01
) -> LogRankResult | None:
    """Warn where follow-up differs between strata.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    strata : array-like, shape (n,)
        Strata to compare: cohorts, or patterns of missing markers.
    level : float
        The warning is given where p is below this.

    Returns
    -------
    LogRankResult or None
        Log-rank test with censoring as the event; None where there is one stratum only.

    Warns
    -----
    DataWarning
        With the p value and the median follow-up of each stratum.

    Examples
    --------
    >>> check_censoring_strata([1, 2, 3, 4], [0, 0, 0, 0], ["a", "b", "a", "b"]).df
    1
    """
    months, happened = check_survival_arrays(time, event)
    names, code = group_codes(strata, months.size, kind="stratum")
    if len(names) < 2:
        return None
    # Events leave before the censorings of the same time: order by time, then events first.
    order = 2 * np.unique(months, return_inverse=True)[1] + (1 - happened)
    result = logrank(order, 1 - happened, code)
    if result.p_value < level:
        curves = censoring_distribution(months, happened, strata=strata).curves
        medians = ", ".join(f"{name} {curve.quantile(0.5):.3g}" for name, curve in curves.items())
        warnings.warn(
            f"censoring differs between strata (log-rank p = {result.p_value:.2g}; median "
            f"follow-up in months: {medians}): estimate censoring within these strata",
            DataWarning,
            stacklevel=2,
        )
    return result
