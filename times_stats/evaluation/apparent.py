"""Apparent performance against nested performance: what a model flatters itself by."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats.evaluation.comparison import Prediction, compare

_APPARENT, _NESTED = "apparent", "nested"


def optimism(
    outcome: pd.DataFrame,
    *,
    apparent: Prediction,
    nested: Prediction,
    times: ArrayLike,
    horizon: float,
    strata: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    r"""Difference between apparent and nested performance of one model, with its interval.

    .. math:: \text{optimism} = \text{metric}(\text{apparent}) - \text{metric}(\text{nested})

    *Apparent*: the final model judged by the patients it was made from. *Nested*: the same patients
    predicted by models that never saw them, every learned step repeated in each outer training set.
    Both are judged on the same patients and resamples, so the difference is paired. For
    concordances and the AUC a positive value flatters, for Brier scores a negative one, and an
    apparent calibration slope above the nested one.

    Parameters
    ----------
    outcome : DataFrame
        Outcome with the columns ``time`` (months) and ``event``, one row per patient.
    apparent, nested : Prediction
        Predictions of the same model for the patients of `outcome`, in their order; the names do
        not matter. `nested` has a row per repeat of the outer loop, `apparent` one.
    times : array-like, shape (n_times,)
        Times (months) of the survival predictions; must hold `horizon`.
    horizon : float
        Landmark (months).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    folds : array-like of int, shape (n_repeats, n), optional
        Outer folds; adds the concordances within folds, of both predictions on the same pairs.
    n_resamples : int
        Bootstrap resamples of patients.
    confidence_level : float
        Level of the intervals.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    DataFrame
        One row per metric of `compare` that both predictions have: ``metric``, ``apparent``,
        ``nested``, ``optimism``, ``lower``, ``upper``, ``se``, ``n``, ``events``. Intervals are
        conditional on the fitted models.

    Raises
    ------
    InputError
        As `compare`.

    References
    ----------
    Efron (1983), doi:10.1080/01621459.1983.10477973 (apparent error and its optimism); Steyerberg
    et al. (2001), doi:10.1016/S0895-4356(01)00341-9.

    Examples
    --------
    >>> outcome = pd.DataFrame({"time": [1, 2, 3, 4, 5, 6], "event": [1, 1, 0, 1, 1, 0]})
    >>> table = optimism(
    ...     outcome,
    ...     apparent=Prediction("score", np.array([[6.0, 5, 4, 3, 2, 1]])),
    ...     nested=Prediction("score", np.array([[2.0, 5, 4, 6, 1, 3]])),
    ...     times=[3], horizon=3, n_resamples=50, rng=np.random.default_rng(1),
    ... )
    >>> table.set_index("metric").loc["concordance_harrell", ["apparent", "optimism"]].to_list()
    [1.0, 0.5]
    """
    table = compare(
        outcome,
        [
            dataclasses.replace(apparent, name=_APPARENT),
            dataclasses.replace(nested, name=_NESTED),
        ],
        times=times,
        horizon=horizon,
        references=[_NESTED],
        strata=strata,
        folds=folds,
        n_resamples=n_resamples,
        confidence_level=confidence_level,
        rng=rng,
    )
    alone = table[table["reference"] == ""].set_index(["model", "metric"])["estimate"]
    paired = table[(table["reference"] == _NESTED) & (table["model"] == _APPARENT)]
    result = paired.rename(columns={"estimate": "optimism"}).drop(columns=["model", "reference"])
    result = result[result["optimism"].notna()]
    for column, name in ((1, _APPARENT), (2, _NESTED)):
        result.insert(column, name, alone[name].loc[result["metric"]].to_numpy())
    return result.reset_index(drop=True)
