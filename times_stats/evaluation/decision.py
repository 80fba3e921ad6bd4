"""Clinical utility: net benefit of treating those above a threshold of predicted probability."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import check_survival_arrays
from times_stats.errors import InputError
from times_stats.evaluation.inputs import check_probabilities
from times_stats.nonparametric.censoring import check_horizon
from times_stats.nonparametric.censoring_weights import weights_at


def net_benefit(
    time: ArrayLike,
    event: ArrayLike,
    probability: ArrayLike,
    *,
    horizon: float,
    thresholds: ArrayLike,
    strata: ArrayLike | None = None,
) -> pd.DataFrame:
    """Net benefit of treating patients whose predicted probability reaches a threshold.

    ``NB(p) = TP - FP p / (1 - p)`` where TP and FP are the shares of all patients who are treated
    and do, or do not, have the event by the horizon, weighted for censoring: ``1 / G(t_i-)`` for
    events, ``1 / G(horizon)`` for patients followed beyond it.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    probability : array-like, shape (n,)
        Predicted probability of the event by the horizon.
    horizon : float
        Landmark (months), within follow-up.
    thresholds : array-like, shape (k,)
        Threshold probabilities in (0, 1).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.

    Returns
    -------
    DataFrame
        One row per threshold: ``threshold``, ``net_benefit``, ``treat_all`` (net benefit of
        treating everybody; of treating nobody it is 0) and ``n_treated``.

    Raises
    ------
    InputError
        If the arrays are not valid, a threshold is not inside (0, 1), or follow-up does not carry
        the horizon.

    Notes
    -----
    Vickers and Elkin (2006), doi:10.1177/0272989X06295361; Vickers et al. (2008),
    doi:10.1186/1472-6947-8-53. A patient exactly at the threshold is treated. R ``dcurves``
    estimates TP and FP by Kaplan-Meier among the treated instead; `treat_all` is the same there.

    Examples
    --------
    >>> table = net_benefit([1, 2, 3, 4], [1, 1, 0, 0], [0.9, 0.3, 0.6, 0.1], horizon=2,
    ...                     thresholds=[0.2, 0.5])
    >>> table.round(4)
       threshold  net_benefit  treat_all  n_treated
    0        0.2       0.4375      0.375          3
    1        0.5       0.0000      0.000          2
    """
    months, happened = check_survival_arrays(time, event)
    predicted = check_probabilities(probability, (months.size,), "probability")
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.ndim != 1 or cuts.size == 0 or not ((cuts > 0) & (cuts < 1)).all():
        raise InputError("thresholds are not probabilities inside (0, 1): give at least one")
    G = check_horizon(months, happened, horizon=horizon, strata=strata)
    weights = weights_at(G, months, happened, horizon=horizon, strata=strata) / months.size
    cases = np.where(months <= horizon, weights, 0.0)
    controls = np.where(months > horizon, weights, 0.0)
    treated = predicted[None, :] >= cuts[:, None]
    odds = cuts / (1 - cuts)
    return pd.DataFrame(
        {
            "threshold": cuts,
            "net_benefit": treated @ cases - odds * (treated @ controls),
            "treat_all": cases.sum() - odds * controls.sum(),
            "n_treated": treated.sum(axis=1),
        }
    )
