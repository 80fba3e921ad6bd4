"""Out-of-fold predictions of every rung of the level-or-location ladder."""

from __future__ import annotations

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.attribution.rungs import LadderData, RungDesign
from times_stats.boosting.marker_model import MarkerModel
from times_stats.evaluation.comparison import Prediction
from times_stats.rivals.cox import RidgeCox
from times_stats.rivals.marginal import NullModel

RIDGE, BOOSTED = "ridge_cox", "boosted_cox"


def predict_ladder(
    data: LadderData,
    outcome: pd.DataFrame,
    *,
    folds: IntArray,
    times: FloatArray,
    seed: int,
    jobs: int = 1,
) -> tuple[dict[str, Prediction], tuple[str, ...]]:
    """Predict every patient out of fold with every rung and learner.

    Parameters
    ----------
    data : LadderData
        Columns before anything is learned.
    outcome : DataFrame, shape (n, ...)
        Columns `time`, `event`, optional `cohort`.
    folds : int array, shape (n_repeats, n)
        Fold of each patient.
    times : float array, shape (n_times,)
        Months at which survival is predicted.
    seed : int
        Seed of the boosted learner.
    jobs : int
        Processes.

    Returns
    -------
    dict
        "no_predictors" and "<learner>/<rung>" to its prediction, named after the rung.
    tuple of str
        Markers of which a column was only standardised in some fold, for want of a usable power.
    """
    n_repeats, n = folds.shape
    tasks = [(repeat, fold) for repeat in range(n_repeats) for fold in np.unique(folds[repeat])]
    parts = Parallel(n_jobs=jobs)(
        delayed(_predict_fold)(data, outcome, folds[repeat] == fold, times, seed)
        for repeat, fold in tasks
    )
    survival_free = [f"{BOOSTED}/{rung}" for rung in data.rungs()]
    keys = ["no_predictors", *(f"{RIDGE}/{rung}" for rung in data.rungs())]
    risk = {key: np.full((n_repeats, n), np.nan) for key in [*keys, *survival_free]}
    survival = {key: np.full((n_repeats, n, times.size), np.nan) for key in keys}
    plain: set[str] = set()
    for (repeat, fold), (part, markers) in zip(tasks, parts, strict=True):
        test = folds[repeat] == fold
        plain |= markers
        for key, (predictor, curve) in part.items():
            risk[key][repeat, test] = predictor
            if curve is not None:
                survival[key][repeat, test] = curve
    predictions = {
        key: Prediction(
            name=key.rpartition("/")[2],
            risk=values,
            survival=survival.get(key),
            linear_predictor=None if key == "no_predictors" else values,
        )
        for key, values in risk.items()
    }
    return predictions, tuple(sorted(plain))


def _predict_fold(
    data: LadderData, outcome: pd.DataFrame, test: BoolArray, times: FloatArray, seed: int
) -> tuple[dict[str, tuple[FloatArray, FloatArray | None]], set[str]]:
    train, held_out = np.flatnonzero(~test), np.flatnonzero(test)
    y = outcome.iloc[train]
    null = NullModel().fit(y, y)
    new = outcome.iloc[held_out]
    part: dict[str, tuple[FloatArray, FloatArray | None]] = {
        "no_predictors": (null.predict(new), null.predict_survival(new, times=times))
    }
    designs, plain = data.build_designs(train)
    for rung, design in designs.items():
        ridge = RidgeCox(weak=design.weak, transform="standardise").fit(design.X.iloc[train], y)
        X = design.X.iloc[held_out]
        part[f"{RIDGE}/{rung}"] = (ridge.predict(X), ridge.predict_survival(X, times=times))
        part[f"{BOOSTED}/{rung}"] = (boost(design, train, held_out, y, seed), None)
    return part, plain


def boost(
    design: RungDesign, train: IntArray, held_out: IntArray, y: pd.DataFrame, seed: int
) -> FloatArray:
    """Fit one boosted Cox on all columns; NaN is the training mean, 0, as for the ridge.

    Parameters
    ----------
    design : RungDesign
        Columns of the rung.
    train, held_out : int array
        Positions of the patients.
    y : DataFrame
        Outcome of the training patients.
    seed : int
        Seed of the learner.

    Returns
    -------
    float array, shape (n_held_out,)
        Risk.
    """
    filled = design.X.fillna(0.0)
    varied = filled.columns[np.ptp(filled.iloc[train].to_numpy(), axis=0) > 0.0]
    if varied.empty:
        return np.zeros(held_out.size)
    model = MarkerModel(seed=seed).fit(filled.iloc[train][varied], y)
    return model.predict(filled.iloc[held_out][varied])
