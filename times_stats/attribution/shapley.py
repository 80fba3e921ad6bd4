"""Marker x region Shapley values of the score: whose evidence moves a patient's risk."""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats.errors import InputError
from times_stats.resampling import bootstrap_mean


def marker_region_shapley(evidence: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """Carry the evidence of each marker and region through the pooling to the patient's score.

    The pooled linear predictor is linear in the margins of the marker models, so its exact Shapley
    values are ``phi[m, r] = w[m] z[m, r]`` with z the TreeSHAP values of marker m, and they add up:
    ``sum over m, r of phi = linear predictor`` (to float32, the precision of XGBoost). The weights
    are taken as given: what they owe to the data is not attributed.

    Parameters
    ----------
    evidence : DataFrame, shape (n, n_markers * n_regions)
        Out-of-fold evidence z in log-hazard (or log-odds) units; columns (marker, region), NaN
        where the marker is incomplete.
    weights : DataFrame, shape (n, n_markers)
        Pooling weight of each marker and patient; columns are the markers.

    Returns
    -------
    DataFrame, shape (n, n_markers * n_regions)
        Attribution phi in the units of the evidence; NaN where the marker was not measured (its
        weight is 0), so that sums skip it.

    Raises
    ------
    InputError
        If a marker has no weights or the patients differ.

    References
    ----------
    Lundberg S. M. et al. (2020). From local explanations to global understanding with explainable
    AI for trees. *Nat Mach Intell* 2, 56-67. doi:10.1038/s42256-019-0138-9

    Examples
    --------
    >>> columns = pd.MultiIndex.from_product([["A", "B"], ["tumour"]], names=["marker", "region"])
    >>> z = pd.DataFrame([[0.4, -0.2]], index=["P1"], columns=columns)
    >>> w = pd.DataFrame([[0.75, 0.25]], index=["P1"], columns=["A", "B"])
    >>> marker_region_shapley(z, w).round(3).to_numpy().tolist()
    [[0.3, -0.05]]
    """
    markers = evidence.columns.get_level_values("marker")
    absent = sorted(set(markers) - set(weights.columns))
    faults = []
    if absent:
        faults.append(f"weights have no column for the markers {absent[:5]}")
    if not evidence.index.equals(weights.index):
        faults.append("evidence and weights are not of the same patients in the same order")
    if faults:
        raise InputError(faults)
    spread = weights.loc[:, list(markers)].to_numpy(dtype=np.float64)
    return pd.DataFrame(
        spread * evidence.to_numpy(dtype=np.float64),
        index=evidence.index,
        columns=evidence.columns,
    )


def summarise_attribution(
    phi: pd.DataFrame,
    *,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Average the absolute attributions over patients, with bootstrap intervals.

    The mean is over every patient with at least one attribution; a marker that was not measured
    contributes 0 there, as its weight is 0. Intervals are percentiles of a bootstrap over patients
    and are conditional on the fitted models.

    Parameters
    ----------
    phi : DataFrame, shape (n, n_markers * n_regions)
        Attributions of `marker_region_shapley`.
    n_resamples : int, default 1000
        Bootstrap resamples.
    confidence_level : float, default 0.95
        Level of the intervals.
    rng : numpy Generator
        Source of the resamples.

    Returns
    -------
    DataFrame
        Columns marker, region, mean_absolute, lower, upper, share (of the total over the table,
        NaN where every attribution is 0), n (patients measured); in the order of `phi`.

    Raises
    ------
    InputError
        If no patient has an attribution.

    Examples
    --------
    >>> columns = pd.MultiIndex.from_product([["A"], ["rim", "core"]], names=["marker", "region"])
    >>> phi = pd.DataFrame([[0.3, -0.1], [-0.3, 0.1]], columns=columns)
    >>> table = summarise_attribution(phi, n_resamples=50, rng=np.random.default_rng(1))
    >>> table[["region", "mean_absolute", "share"]].round(2).to_numpy().tolist()
    [['rim', 0.3, 0.75], ['core', 0.1, 0.25]]
    """
    values = phi.to_numpy(dtype=np.float64)
    measured = np.isfinite(values)
    values = values[measured.any(axis=1)]
    if values.size == 0:
        raise InputError("no patient has an attribution: every marker is incomplete for everybody")
    size = np.nan_to_num(np.abs(values))
    mean_absolute, lower, upper, _ = bootstrap_mean(
        size, n_resamples=n_resamples, confidence_level=confidence_level, rng=rng
    )
    total = mean_absolute.sum()
    return pd.DataFrame(
        {
            "marker": phi.columns.get_level_values("marker"),
            "region": phi.columns.get_level_values("region"),
            "mean_absolute": mean_absolute,
            "lower": lower,
            "upper": upper,
            "share": mean_absolute / total if total > 0.0 else np.nan,
            "n": measured.sum(axis=0),
        }
    )
