"""Paired comparison of predictions on the same patients, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from times_stats._checks import Faults, as_survival_table, name_rows, nearest_key
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.brier import time_weights, weights_on_grid
from times_stats.evaluation.discrimination import (
    Pairs,
    auc_pairs,
    harrell_pairs,
    risk_order,
    uno_pairs,
)
from times_stats.evaluation.inputs import check_probabilities, check_times
from times_stats.evaluation.partial_likelihood import efron_slopes
from times_stats.nonparametric import check_horizon, weights_at
from times_stats.resampling import bootstrap_weights

_MOST_UNDEFINED = 0.05  # share of resamples that may lack a metric before its interval is withheld


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions of one model for the patients of a comparison.

    Attributes
    ----------
    name : str
        Name of the model.
    risk : ndarray, shape (n_repeats, n)
        Risk, larger = earlier event; one row per repeat of cross-validation (one row for a recorded
        stage).
    survival : ndarray, shape (n_repeats, n, n_times), optional
        Predicted probability of no event by each time.
    linear_predictor : ndarray, shape (n_repeats, n), optional
        Log-hazard, up to a constant.
    """

    name: str
    risk: FloatArray
    survival: FloatArray | None = None
    linear_predictor: FloatArray | None = None


def compare(
    outcome: pd.DataFrame,
    predictions: Sequence[Prediction],
    *,
    times: ArrayLike,
    horizon: float,
    references: Sequence[str] = (),
    null: str | None = None,
    strata: ArrayLike | None = None,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare predictions on the same patients, each alone and each against references.

    A metric is computed for each repeat and averaged over repeats. Intervals are percentiles of a
    bootstrap of patients; one set of resamples serves all models and metrics, so differences are
    paired. They are **conditional on the fitted models and on the estimated censoring weights**: no
    model is refitted and no censoring distribution re-estimated in a resample.

    Parameters
    ----------
    outcome : DataFrame
        Outcome with the columns ``time`` (months) and ``event``, one row per patient.
    predictions : sequence of Prediction
        Models, patients in the order of `outcome`, no missing values.
    times : array-like, shape (n_times,)
        Evaluation times (months) of the survival predictions; must hold `horizon`.
    horizon : float
        Landmark (months), within follow-up.
    references : sequence of str, optional
        Names of the models to subtract from every other model.
    null : str, optional
        Name of the model that knows nothing of the patient; without it there is no ``ipa_horizon``.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    n_resamples : int
        Number of bootstrap resamples.
    confidence_level : float
        Level of the intervals.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    DataFrame
        Tidy: ``model``, ``reference`` (empty for a model alone, else the model subtracted),
        ``metric``, ``estimate``, ``lower``, ``upper``, ``se`` (standard deviation over resamples),
        ``n``, ``events``. Metrics: ``concordance_harrell``, ``concordance_uno``, ``auc_horizon``,
        ``brier_horizon``, ``ipa_horizon``, ``integrated_brier`` (trapezoid over `times`),
        ``calibration_slope``, ``calibration_in_the_large``. A metric that a model does not have (no
        survival, no or a constant linear predictor) is NaN; where more than 5 % of the resamples
        lack it, its limits and se are.

    Raises
    ------
    InputError
        If outcome or predictions are not valid (a NaN names its patients), names repeat or are
        unknown, `horizon` is not one of `times`, or follow-up does not carry the last time.

    Notes
    -----
    Concordances and the AUC are ratios of quadratic forms ``w' N w / w' D w`` in the multiplicities
    w; Brier scores are weighted means; the slope is refitted by Newton's method under the weights
    (`efron_slopes` in `times_stats.evaluation.partial_likelihood`). ``ipa_horizon`` is one minus
    the ratio of the mean Brier scores of model and null. Efron and Tibshirani (1993),
    doi:10.1201/9780429246593.

    Examples
    --------
    >>> outcome = pd.DataFrame({"time": [1, 2, 3, 4, 5, 6], "event": [1, 1, 0, 1, 1, 0]})
    >>> stage = Prediction("stage", np.array([[2.0, 1, 2, 1, 1, 1]]))
    >>> score = Prediction("score", np.array([[6.0, 5, 4, 3, 1, 2]]))
    >>> table = compare(outcome, [stage, score], times=[3], horizon=3, references=["stage"],
    ...                 n_resamples=50, rng=np.random.default_rng(1))
    >>> rows = table[table["metric"] == "concordance_harrell"]
    >>> rows.set_index(["model", "reference"])["estimate"].round(3).to_list()
    [0.625, 0.917, 0.292]
    """
    table = as_survival_table(outcome)
    grid = check_times(times)
    at_horizon = np.flatnonzero(np.isclose(grid, horizon, rtol=0, atol=1e-9))
    if at_horizon.size == 0:
        raise InputError(f"horizon {horizon:g} is not one of the times: add it to times")
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    models = _check_predictions(predictions, [str(k) for k in table.index], grid.size)
    _check_names(models, references, null)
    resamples = bootstrap_weights(len(table), n_resamples, rng)
    time, event = table["time"].to_numpy(), table["event"].to_numpy()
    # One BLAS thread adds in one order: the last digits do not depend on the machine's settings.
    with threadpool_limits(limits=1, user_api="blas"):
        measures = _Measures(time, event, grid, int(at_horizon[0]), strata, resamples)
        draws = {model.name: measures.of(model) for model in models}
    if null is not None:
        baseline = draws[null]["brier_horizon"].copy()
        for values in draws.values():
            with np.errstate(divide="ignore", invalid="ignore"):
                values["ipa_horizon"] = 1 - values["brier_horizon"] / baseline
    records = [
        {
            "model": model,
            "reference": reference,
            "metric": metric,
            **_summary(difference, confidence_level),
        }
        for reference in ("", *references)
        for model in draws
        if model != reference
        for metric in _METRICS
        for difference in [draws[model][metric] - (draws[reference][metric] if reference else 0.0)]
    ]
    result = pd.DataFrame.from_records(records)
    return result.assign(n=len(table), events=int(table["event"].sum()))


_METRICS = (
    "concordance_harrell",
    "concordance_uno",
    "auc_horizon",
    "brier_horizon",
    "ipa_horizon",
    "integrated_brier",
    "calibration_slope",
    "calibration_in_the_large",
)


class _Measures:
    """Everything about the outcome that is shared by the models of a comparison.

    The first row of the weights is all ones, so that element 0 of every metric is its estimate.
    """

    def __init__(
        self,
        time: FloatArray,
        event: IntArray,
        times: FloatArray,
        at_horizon: int,
        strata: ArrayLike | None,
        resamples: IntArray,
    ) -> None:
        horizon = float(times[at_horizon])
        G = check_horizon(time, event, horizon=float(times[-1]), strata=strata)
        self._time, self._event = time, event
        self._multiplicity = np.vstack([np.ones(time.size), resamples]).astype(np.float64)
        self._rows = np.flatnonzero(event == 1)
        self._pairs = {
            "concordance_harrell": harrell_pairs(time, event),
            "concordance_uno": uno_pairs(time, event, G, horizon=horizon, strata=strata),
            "auc_horizon": auc_pairs(time, event, G, horizon=horizon, strata=strata),
        }
        self._totals = {name: self._quadratic(p, p.weights) for name, p in self._pairs.items()}
        self._free = time[:, None] > times
        self._censoring = weights_on_grid(G, time, event, times=times, strata=strata)
        self._time_weights = time_weights(times)
        self._at_horizon = at_horizon
        known = weights_at(G, time, event, horizon=horizon, strata=strata)
        self._observed = np.where(time <= horizon, known, 0.0)

    def of(self, model: Prediction) -> dict[str, FloatArray]:
        """Metrics of a model: estimate first, then one value per resample."""
        undefined = np.full(self._multiplicity.shape[0], np.nan)
        values = dict.fromkeys(_METRICS, undefined)
        order = _mean(risk_order(risk, self._rows) for risk in model.risk)
        for name, pairs in self._pairs.items():
            ordered = order[np.searchsorted(self._rows, pairs.rows)]
            with np.errstate(divide="ignore", invalid="ignore"):
                values[name] = self._quadratic(pairs, pairs.weights * ordered) / self._totals[name]
        if model.survival is not None:
            squares = _mean((self._free - survival) ** 2 for survival in model.survival)
            losses = self._censoring * squares
            values["brier_horizon"] = self._average(losses[:, self._at_horizon])
            values["integrated_brier"] = self._average(losses @ self._time_weights)
            predicted = 1 - model.survival[:, :, self._at_horizon].mean(axis=0)
            values["calibration_in_the_large"] = self._average(self._observed - predicted)
        if model.linear_predictor is not None:
            values["calibration_slope"] = _mean(
                efron_slopes(self._time, self._event, predictor, self._multiplicity)
                for predictor in model.linear_predictor
            )
        return values

    def _quadratic(self, pairs: Pairs, matrix: FloatArray) -> FloatArray:
        """``w' M w`` for every row of the weights, M having rows for events only."""
        first = self._multiplicity[:, pairs.rows]
        return np.asarray(((first @ matrix) * self._multiplicity).sum(axis=1))

    def _average(self, values: FloatArray) -> FloatArray:
        return np.asarray(self._multiplicity @ values / values.size)


def _mean(parts: Iterable[FloatArray]) -> FloatArray:
    """Mean over repeats, holding one part at a time."""
    total, count = np.zeros(1), 0
    for part in parts:
        total, count = total + part, count + 1
    return total / count


def _summary(values: FloatArray, confidence_level: float) -> dict[str, float]:
    estimate, resampled = float(values[0]), values[1:]
    defined = resampled[np.isfinite(resampled)]
    if np.isnan(estimate) or defined.size < max(2, (1 - _MOST_UNDEFINED) * resampled.size):
        return {"estimate": estimate, "lower": np.nan, "upper": np.nan, "se": np.nan}
    tail = (1 - confidence_level) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return {
        "estimate": estimate,
        "lower": float(lower),
        "upper": float(upper),
        "se": float(defined.std(ddof=1)),
    }


def _check_predictions(
    predictions: Sequence[Prediction], patients: list[str], n_times: int
) -> list[Prediction]:
    """Predictions as finite float arrays with a repeat axis."""
    if not predictions:
        raise InputError("there is no prediction to compare: give at least one")
    faults = Faults()
    n = len(patients)
    checked = []
    for model in predictions:
        arrays: dict[str, FloatArray | None] = {}
        for part, tail in (
            ("risk", (n,)),
            ("survival", (n, n_times)),
            ("linear_predictor", (n,)),
        ):
            given = getattr(model, part)
            arrays[part] = None
            if given is None:
                continue
            array = np.asarray(given, dtype=np.float64)
            if array.ndim != len(tail) + 1 or array.shape[1:] != tail or array.shape[0] == 0:
                faults.add(
                    f"{part} of model '{model.name}' has shape {array.shape}: give (n_repeats, "
                    f"{', '.join(map(str, tail))})"
                )
                continue
            axes = tuple(axis for axis in range(array.ndim) if axis != 1)
            wrong = ~np.isfinite(array).all(axis=axes)
            if wrong.any():
                names = [patients[row] for row in np.flatnonzero(wrong)]
                faults.add(
                    f"{part} of model '{model.name}' is missing or infinite for patient "
                    f"{name_rows(names)}: compare patients that every model predicts"
                )
                continue
            arrays[part] = array
        if arrays["risk"] is not None:
            checked.append(
                Prediction(
                    model.name, arrays["risk"], arrays["survival"], arrays["linear_predictor"]
                )
            )
    faults.raise_if_any()
    return [
        model
        if model.survival is None
        else Prediction(
            model.name,
            model.risk,
            check_probabilities(
                model.survival, model.survival.shape, f"survival of model '{model.name}'"
            ),
            model.linear_predictor,
        )
        for model in checked
    ]


def _check_names(models: list[Prediction], references: Sequence[str], null: str | None) -> None:
    names = [model.name for model in models]
    faults = Faults()
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        faults.add(f"models share the name {name_rows(repeated)}: give each its own")
    if "" in names:
        faults.add("a model has an empty name: name it")
    for role, wanted in [*(("reference", r) for r in references), ("null", null)]:
        if wanted is not None and wanted not in names:
            near = nearest_key(wanted, names)
            hint = f" (nearest: '{near}')" if near else ""
            faults.add(f"{role} '{wanted}' is not a model{hint}: use one of {', '.join(names)}")
    null_model = next((model for model in models if model.name == null), None)
    if null_model is not None and null_model.survival is None:
        faults.add(f"null '{null}' has no survival: give its survival probabilities")
    faults.raise_if_any()
