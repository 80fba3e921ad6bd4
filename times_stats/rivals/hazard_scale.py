"""Hazard ratios on scales a reader can judge: per SD, per IQR and per 0.1 of a 0-1 score."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import as_survival_table
from times_stats.errors import InputError


def hazard_ratios(
    outcome: pd.DataFrame,
    score: pd.Series,
    *,
    strata: ArrayLike | None = None,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Return Cox hazard ratios of a score per standard deviation, per IQR and per 0.1.

    One Cox regression with Efron's handling of ties (statsmodels `PHReg`), Wald intervals; only the
    unit differs between the rows. A ratio per whole unit of a 0-1 score compares patients that do
    not exist, so it is not offered.

    Parameters
    ----------
    outcome : DataFrame
        Indexed by patient_id, columns `time` (months) and `event`.
    score : Series
        Indexed by patient_id; patients without a score are left out and show in `n`.
    strata : array-like of shape (n,), optional
        Strata of the baseline hazard. Out-of-fold scores belong to the stratum of their test fold:
        between folds they differ by what each training set took for the baseline, which runs
        against the outcomes left out of it.
    confidence_level : float, default 0.95
        Level of the Wald intervals.

    Returns
    -------
    DataFrame
        Columns per ("sd", "iqr", "0.1"), unit (its size on the scale of the score), hazard_ratio,
        lower, upper, n, events.

    Raises
    ------
    InputError
        If the score has no row for a patient, does not vary, or no event is left.

    References
    ----------
    Cox D. R. (1972). Regression models and life-tables. *JRSS B* 34, 187-220.
    doi:10.1111/j.2517-6161.1972.tb00899.x

    Examples
    --------
    >>> y = pd.DataFrame({"time": [5.0, 4.0, 3.0, 2.0, 1.0], "event": [1, 1, 0, 1, 1]})
    >>> table = hazard_ratios(y, pd.Series([0.1, 0.4, 0.3, 0.2, 0.9]))
    >>> table["per"].tolist(), bool((table["hazard_ratio"] > 1).all())
    (['sd', 'iqr', '0.1'], True)
    """
    from scipy.stats import norm
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.tools.sm_exceptions import ConvergenceWarning as NotConverged

    table = as_survival_table(outcome)
    if not table.index.isin(score.index).all():
        raise InputError("score lacks patients of the outcome: give both the same patient_id index")
    values = score.reindex(table.index).to_numpy(dtype=np.float64)
    known = np.isfinite(values)
    values, time = values[known], table["time"].to_numpy()[known]
    event = table["event"].to_numpy()[known]
    sd = float(np.std(values, ddof=1)) if values.size > 1 else 0.0
    if not event.any() or not sd > 0.0:
        raise InputError(
            "a hazard ratio needs at least one event and a score that varies among the patients"
            " who have one"
        )
    codes = None if strata is None else np.unique(strata, return_inverse=True)[1][known]
    standardised = (values - values.mean()) / sd
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotConverged)
        try:
            fit = PHReg(time, standardised[:, None], status=event, strata=codes, ties="efron").fit(
                disp=0
            )
        except NotConverged:
            raise InputError(
                "the Cox regression of the score did not converge: the score separates patients"
                " with and without the event"
            ) from None
    slope, se = float(fit.params[0]) / sd, float(fit.bse[0]) / sd
    quantile = float(norm.ppf(0.5 + confidence_level / 2.0))
    first, third = np.quantile(values, [0.25, 0.75])
    units = {"sd": sd, "iqr": float(third - first), "0.1": 0.1}
    return pd.DataFrame(
        {
            "per": [*units],
            "unit": [*units.values()],
            "hazard_ratio": [np.exp(slope * unit) for unit in units.values()],
            "lower": [np.exp((slope - quantile * se) * unit) for unit in units.values()],
            "upper": [np.exp((slope + quantile * se) * unit) for unit in units.values()],
            "n": int(known.sum()),
            "events": int(event.sum()),
        }
    )
