"""Risk groups and hazard ratios of cross-validated scores, compared within their test folds.

Scores of different test folds come from models whose baselines run against the outcomes left out:
pooled over folds, a score that knows nothing seems to predict the wrong way round, and tests that
take the groups as given reject too often. Within a fold the training data are fixed and the
patients exchangeable, so tests and ratios are stratified by fold (the simulation and its table are
``benchmarks/calibration/risk_groups.py``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.duration.survfunc import survdiff

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.rivals.hazard_scale import hazard_ratios


def assign_risk_groups(above_cut: FloatArray) -> BoolArray:
    """Tell which patients lie above the learned cut-offs, on average over the outer repeats.

    Parameters
    ----------
    above_cut : ndarray of shape (n_repeats, n_patients)
        Score minus the cut-off of the training set without the patient.

    Returns
    -------
    ndarray of bool of shape (n_patients,)
        True for high risk.

    Raises
    ------
    InputError
        If a patient has no score.

    Examples
    --------
    >>> assign_risk_groups(np.array([[0.1, -0.2], [0.2, 0.1]]))
    array([ True, False])
    """
    distance = above_cut.mean(axis=0)
    if np.isnan(distance).any():
        raise InputError("a patient has no score: leave out patients without any complete marker")
    return distance > 0


def stratified_log_rank(outcome: pd.DataFrame, above_cut: FloatArray, folds: IntArray) -> float:
    """Test the risk groups of each repeat within its test folds; return twice the median p value.

    Twice the median of dependent p values is a p value (Ruschendorf 1982,
    doi:10.2307/1426677; Vovk and Wang 2020, doi:10.1093/biomet/asaa027).

    Parameters
    ----------
    outcome : DataFrame
        Columns ``time`` (months) and ``event``.
    above_cut : ndarray of shape (n_repeats, n_patients)
        Score minus the cut-off of the training set.
    folds : ndarray of shape (n_repeats, n_patients)
        Test folds, the strata.

    Returns
    -------
    float
        P value, at most 1; NaN where a repeat has one group only.

    Examples
    --------
    >>> y = pd.DataFrame({"time": [1.0, 2, 3, 4, 5, 6], "event": 1})
    >>> stratified_log_rank(y, np.ones((1, 6)), np.array([[0, 0, 0, 1, 1, 1]]))
    nan
    """
    time, event = outcome["time"].to_numpy(), outcome["event"].to_numpy()
    found = []
    for distance, labels in zip(above_cut, folds, strict=True):
        high = distance > 0
        mixed = pd.Series(high).groupby(labels).transform("nunique").to_numpy() == 2
        if not event[mixed].any():
            return float("nan")
        found.append(survdiff(time[mixed], event[mixed], high[mixed], strata=labels[mixed])[1])
    return float(min(1.0, 2 * np.median(found) if len(found) > 1 else found[0]))


def average_hazard_ratios(
    outcome: pd.DataFrame, score: FloatArray, folds: IntArray
) -> pd.DataFrame:
    """Average over repeats the hazard ratios of the outer loop's scores, stratified by test fold.

    Parameters
    ----------
    outcome : DataFrame
        Columns ``time`` (months) and ``event``.
    score : ndarray of shape (n_repeats, n_patients)
        Scores of the outer test patients.
    folds : ndarray of shape (n_repeats, n_patients)
        Test folds.

    Returns
    -------
    DataFrame
        ``per`` (sd, iqr, 0.1), ``unit``, ``hazard_ratio``, ``lower``, ``upper``, ``n``, ``events``:
        geometric means over repeats, so the interval is that of a typical repeat. Empty where the
        score of a repeat does not vary.

    Examples
    --------
    >>> y = pd.DataFrame({"time": [5.0, 4, 3, 2, 1], "event": [1, 1, 0, 1, 1]})
    >>> score = np.array([[0.1, 0.4, 0.3, 0.2, 0.9]])
    >>> average_hazard_ratios(y, score, np.zeros((1, 5), dtype=int))["per"].tolist()
    ['sd', 'iqr', '0.1']
    """
    tables = [
        hazard_ratios(outcome, pd.Series(values, index=outcome.index), strata=labels)
        for values, labels in zip(score, folds, strict=True)
        if np.ptp(values) > 0
    ]
    if len(tables) < len(score):
        return pd.DataFrame(columns=["per", "unit", "hazard_ratio", "lower", "upper"])
    ratios = ["hazard_ratio", "lower", "upper"]
    logs = np.mean([np.log(table[ratios].to_numpy()) for table in tables], axis=0)
    units = np.mean([table["unit"].to_numpy() for table in tables], axis=0)
    return tables[0].assign(unit=units, **dict(zip(ratios, np.exp(logs).T, strict=True)))
