"""Restricted mean survival time: the area under the Kaplan-Meier curve up to a horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_positive_horizon
from times_stats.errors import InputError
from times_stats.nonparametric.estimators import kaplan_meier
from times_stats.nonparametric.risk_sets import divide


@dataclass(frozen=True, slots=True)
class RestrictedMean:
    """A restricted mean survival time and its standard error.

    Attributes
    ----------
    estimate : float
        Mean time free of the event up to the horizon (months).
    se : float
        Standard error.
    horizon : float
        Upper limit (months).
    """

    estimate: float
    se: float
    horizon: float


def restricted_mean_survival(
    time: ArrayLike, event: ArrayLike, *, horizon: float, entry: ArrayLike | None = None
) -> RestrictedMean:
    r"""Estimate the restricted mean survival time.

    .. math::

        \hat\mu(\tau) = \int_0^\tau \hat S(t)\,dt, \qquad
        \widehat{\mathrm{var}} = \sum_{t_k \le \tau} \Big(\int_{t_k}^\tau \hat S(t)\,dt\Big)^2
        \frac{d_k}{Y_k (Y_k - d_k)}

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    horizon : float
        Upper limit (months), within follow-up.
    entry : array-like, shape (n,), optional
        Delayed entry (months).

    Returns
    -------
    RestrictedMean

    Raises
    ------
    InputError
        If the outcome is not valid, or the horizon is not positive or lies beyond follow-up.

    Warns
    -----
    DataWarning
        As `kaplan_meier`, where with delayed entry a first risk set dies out.

    Notes
    -----
    Irwin (1949), doi:10.1017/S0022172400014443. R ``summary(survival::survfit(...), rmean =
    horizon)``.

    Examples
    --------
    >>> restricted_mean_survival([1, 2, 3, 4], [1, 1, 0, 0], horizon=3).estimate
    2.25
    """
    curve = kaplan_meier(time, event, entry=entry)
    check_positive_horizon(horizon)
    if horizon > curve.times[-1]:
        raise InputError(
            f"horizon is {horizon:g} but the longest follow-up is {curve.times[-1]:g}: "
            "choose an earlier horizon"
        )
    steps = curve.times[curve.times < horizon]
    starts = np.r_[0.0, steps]
    areas = np.r_[curve.start, curve.values[: steps.size]] * np.diff(np.r_[starts, horizon])
    remaining = areas[::-1].cumsum()[::-1][1:]  # area to the right of each step
    at_risk, events = curve.at_risk[: steps.size], curve.events[: steps.size]
    variance = remaining**2 @ divide(events, at_risk * (at_risk - events))
    return RestrictedMean(float(areas.sum()), float(np.sqrt(variance)), float(horizon))
