"""How far a patient's prediction moves when the model is learned from a resample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class PredictionInstability:
    """How far predictions move from resample to resample.

    Attributes
    ----------
    patients : DataFrame
        A row per patient: ``prediction`` (original model), ``mean_absolute_error`` (mean absolute
        difference of the resampled models from it), ``lower``, ``upper`` (2.5 % and 97.5 % quantile
        of the resampled predictions) and ``share_moved`` (resampled predictions on the other side
        of the threshold; NaN without one).
    average : float
        Mean of ``mean_absolute_error`` over the patients.
    largest : float
        Largest of them.
    n_models : int
        Resampled models.
    """

    patients: pd.DataFrame
    average: float
    largest: float
    n_models: int


def prediction_instability(
    prediction: ArrayLike, resampled: ArrayLike, *, threshold: float | None = None
) -> PredictionInstability:
    """Summarise the predictions of models that were learned from bootstrap resamples.

    Every step that made the model, tuning and selection included, is done again in each resample of
    the patients; each resampled model then predicts the *original* patients.

    Parameters
    ----------
    prediction : array-like, shape (n,)
        Predicted probability of the event, from the model learned from all patients. A Series keeps
        its index.
    resampled : array-like, shape (n_models, n)
        Predictions of the same patients by the resampled models, two or more (200 are advised).
    threshold : float, optional
        Probability at which a decision changes.

    Returns
    -------
    PredictionInstability

    Raises
    ------
    InputError
        If shapes do not match, values are no probabilities, or there are fewer than two models.

    Notes
    -----
    ``MAPE_i = mean over models b of |p_bi - p_i|``, Riley and Collins (2023),
    doi:10.1002/bimj.202200302; the share that changes sides is their classification instability.
    Patients who are absent from a resample count like the others, as the authors propose.

    Examples
    --------
    >>> found = prediction_instability([0.2, 0.6], [[0.1, 0.7], [0.3, 0.4]], threshold=0.5)
    >>> found.patients["mean_absolute_error"].round(2).tolist(), round(found.average, 3)
    ([0.1, 0.15], 0.125)
    >>> found.patients["share_moved"].tolist()
    [0.0, 0.5]
    """
    index = prediction.index if isinstance(prediction, pd.Series) else None
    original = _probabilities(prediction, "prediction")
    models = _probabilities(resampled, "resampled")
    if original.ndim != 1:
        raise InputError(f"prediction has shape {original.shape}: give one value per patient")
    if models.ndim != 2 or models.shape[1] != original.size or len(models) < 2 or not models.size:
        raise InputError(
            f"resampled has shape {models.shape}: give (n_models, {original.size}), two models or "
            "more"
        )
    if threshold is not None and not 0 < threshold < 1:
        raise InputError(f"threshold is {threshold:g}: use a value inside (0, 1)")
    error = np.abs(models - original).mean(axis=0)
    lower, upper = np.quantile(models, [0.025, 0.975], axis=0)
    moved = np.full(original.size, np.nan)
    if threshold is not None:
        moved = ((models >= threshold) != (original >= threshold)).mean(axis=0)
    patients = pd.DataFrame(
        {
            "prediction": original,
            "mean_absolute_error": error,
            "lower": lower,
            "upper": upper,
            "share_moved": moved,
        },
        index=index,
    )
    return PredictionInstability(patients, float(error.mean()), float(error.max()), len(models))


def _probabilities(values: ArrayLike, name: str) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not numeric, or its rows differ in length") from None
    wrong = ~((array >= 0) & (array <= 1))
    if wrong.any():
        columns = np.unique(np.nonzero(wrong)[-1]) if array.ndim else np.array([0])
        raise InputError(
            f"{name} is no probability for the patient in position {name_rows(columns)}: give "
            "values from 0 to 1"
        )
    return array
