"""Evidence: what cross-fitted models say of their held-out patients and of new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from times_stats._typing import FloatArray
from times_stats.boosting.calibration import complementary_log_log, event_probability
from times_stats.boosting.crossfitting import CrossFit, marker_slices
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True)
class NewEvidence:
    """Evidence of the stored fold models for patients none of them saw.

    Parameters
    ----------
    margin : DataFrame, patient x marker
        Mean margin over folds and repeats.
    log_cumulative_hazard : DataFrame, patient x marker
        Mean complementary log-log of the probability by the horizon.
    probability : DataFrame, patient x marker
        ``1 - exp(-exp(log_cumulative_hazard))``.
    evidence : DataFrame, patient x (marker, region)
        Mean TreeSHAP values z.
    variance : DataFrame, patient x marker
        Grouped jackknife variance of the margin.
    """

    margin: pd.DataFrame
    log_cumulative_hazard: pd.DataFrame
    probability: pd.DataFrame
    evidence: pd.DataFrame
    variance: pd.DataFrame


def out_of_fold_evidence(crossfit: CrossFit) -> pd.DataFrame:
    """Evidence z: out-of-fold TreeSHAP values, mean over repeats.

    Parameters
    ----------
    crossfit : CrossFit

    Returns
    -------
    DataFrame, patient x (marker, region)
        NaN where the marker is incomplete.

    Examples
    --------
    >>> from times_stats.boosting import crossfit
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(60, 2)), columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 60), "event": 1})
    >>> fit = crossfit(features, y, horizon=24.0, n_folds=2, n_repeats=2)
    >>> z = out_of_fold_evidence(fit)
    >>> bool(np.allclose(z.sum(axis=1), out_of_fold_margin(fit)["CD8"], atol=1e-6))
    True
    """
    mean = crossfit.attribution.mean("repeat", skipna=False)
    return pd.DataFrame(
        mean.to_numpy(), index=_patients(crossfit.attribution), columns=crossfit.columns
    )


def out_of_fold_margin(crossfit: CrossFit) -> pd.DataFrame:
    """Out-of-fold margin without base value, mean over repeats.

    Parameters
    ----------
    crossfit : CrossFit

    Returns
    -------
    DataFrame, patient x marker
        NaN where the marker is incomplete.

    Examples
    --------
    >>> from times_stats.boosting import crossfit
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(60, 2)), columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 60), "event": 1})
    >>> fit = crossfit(features, y, horizon=24.0, n_folds=2, n_repeats=2)
    >>> out_of_fold_margin(fit).shape
    (60, 1)
    """
    return _by_marker(crossfit, crossfit.margin.to_numpy().mean(axis=0))


def out_of_fold_log_hazard(crossfit: CrossFit) -> pd.DataFrame:
    """Out-of-fold log cumulative hazard at the horizon, mean over repeats.

    Parameters
    ----------
    crossfit : CrossFit

    Returns
    -------
    DataFrame, patient x marker
        Mean of ``log(-log(1 - P))``; NaN where the marker is incomplete.

    Examples
    --------
    >>> from times_stats.boosting import crossfit
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(60, 2)), columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 60), "event": 1})
    >>> fit = crossfit(features, y, horizon=24.0, n_folds=2, n_repeats=2)
    >>> out_of_fold_log_hazard(fit).columns.to_list()
    ['CD8']
    """
    scaled = complementary_log_log(crossfit.probability.to_numpy())
    return _by_marker(crossfit, scaled.mean(axis=0))


def out_of_fold_margin_variance(crossfit: CrossFit) -> pd.DataFrame:
    """Variance of a patient's out-of-fold margin: delete-d jackknife over the repeats.

    Each repeat leaves out one fold (d = n / K patients, the patient among them), so the variance
    of the margin is ``(n - d) / d = K - 1`` times the variance over repeats. It has
    ``n_repeats - 1`` degrees of freedom; `score.shrinkage` pools it over patients. Against the
    spread over fresh training sets its root was 10-30 % too large (trees are not smooth);
    ``benchmarks/coverage/margin_variance.py`` prints the table.

    Parameters
    ----------
    crossfit : CrossFit
        At least two repeats.

    Returns
    -------
    DataFrame, patient x marker

    Raises
    ------
    InputError
        If there is only one repeat.

    References
    ----------
    Shao and Wu (1989), doi:10.1214/aos/1176347263.

    Examples
    --------
    >>> from times_stats.boosting import crossfit
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(60, 2)), columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 60), "event": 1})
    >>> fit = crossfit(features, y, horizon=24.0, n_folds=2, n_repeats=2)
    >>> bool((out_of_fold_margin_variance(fit) >= 0).all(axis=None))
    True
    """
    if crossfit.n_repeats < 2:
        raise InputError("one repeat has no variance over repeats: use n_repeats=2 or more")
    variance = crossfit.margin.to_numpy().var(axis=0, ddof=1)
    return _by_marker(crossfit, (crossfit.n_folds - 1) * variance)


def apply_models(crossfit: CrossFit, features: pd.DataFrame) -> NewEvidence:
    """Apply the stored fold models to new patients.

    Parameters
    ----------
    crossfit : CrossFit
    features : DataFrame
        New patients with the columns of the training features (more are ignored).

    Returns
    -------
    NewEvidence
        Means over folds and repeats. The variance is the grouped jackknife over the K folds,
        ``(K - 1)`` times the population variance, mean over repeats.

    Raises
    ------
    InputError
        If a training column is absent or a value is not finite.

    Examples
    --------
    >>> from times_stats.boosting import crossfit
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(60, 2)), columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 60), "event": 1})
    >>> fit = crossfit(features, y, horizon=24.0, n_folds=2, n_repeats=2)
    >>> new = pd.DataFrame([[0.3, -0.2], [np.nan, 0.1]], columns=columns)
    >>> apply_models(fit, new).margin["CD8"].isna().to_list()
    [False, True]
    """
    absent = crossfit.columns[~crossfit.columns.isin(features.columns)]
    if len(absent):
        names = ", ".join(":".join(map(str, column)) for column in absent)
        raise InputError(f"the model needs the features {names}: add them, or leave them missing")
    table = features.loc[:, crossfit.columns]
    shape = (crossfit.n_repeats, crossfit.n_folds, len(table))
    margin = np.empty((*shape, len(crossfit.markers)))
    log_hazard = np.empty_like(margin)
    z = np.zeros((len(table), len(crossfit.columns)))
    for m, (marker, columns) in enumerate(marker_slices(crossfit.columns).items()):
        block = table.iloc[:, columns]
        for repeat, fold_models in enumerate(crossfit.models):
            for fold, models in enumerate(fold_models):
                told = models[marker].predict_evidence(block, horizon=crossfit.horizon)
                margin[repeat, fold, :, m] = told.margin
                log_hazard[repeat, fold, :, m] = complementary_log_log(told.probability)
                z[:, columns] += told.attribution
    z /= crossfit.n_repeats * crossfit.n_folds
    mean_log_hazard = log_hazard.mean(axis=(0, 1))

    def frame(array: FloatArray) -> pd.DataFrame:
        return pd.DataFrame(array, index=table.index, columns=list(crossfit.markers))

    return NewEvidence(
        margin=frame(margin.mean(axis=(0, 1))),
        log_cumulative_hazard=frame(mean_log_hazard),
        probability=frame(event_probability(mean_log_hazard)),
        evidence=pd.DataFrame(z, index=table.index, columns=crossfit.columns),
        variance=frame((crossfit.n_folds - 1) * margin.var(axis=1).mean(axis=0)),
    )


def _patients(array: xr.DataArray) -> Any:
    return pd.Index(array["patient"].to_numpy(), name="patient_id")


def _by_marker(crossfit: CrossFit, values: FloatArray) -> pd.DataFrame:
    return pd.DataFrame(values, index=_patients(crossfit.margin), columns=list(crossfit.markers))
