"""Paired comparison of predictions on the same patients, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from times_stats._checks import Faults, as_survival_table, name_rows, nearest_hint
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.evaluation.inputs import check_probabilities, check_times
from times_stats.evaluation.resampled_metrics import ResampledMetrics
from times_stats.resampling import bootstrap_weights, check_folds

MOST_UNDEFINED = 0.05  # share of resamples that may lack a metric before its interval is withheld


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
    folds: ArrayLike | None = None,
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
        Outcome with the columns ``time`` (months) and ``event``, one row per patient. With
        ``cause`` (0 censored, 1 the event, 2 a competing event) the measures are those for
        competing events (Notes).
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
    folds : array-like of int, shape (n_repeats, n), optional
        Outer test fold of each patient in each repeat of the cross-validation that made the
        predictions; adds the concordances within folds (Notes). A model has one row of risk for
        each repeat, or one row for all (a recorded stage).
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
        ``calibration_slope``, ``calibration_in_the_large``; with `folds` also
        ``concordance_harrell_within_folds`` and ``concordance_uno_within_folds``. A metric that a
        model does not have (no survival, no or a constant linear predictor) is NaN; where more than
        5 % of the resamples lack it, its limits and se are.

    Raises
    ------
    InputError
        If outcome or predictions are not valid (a NaN names its patients), names repeat or are
        unknown, `horizon` is not one of `times`, follow-up does not carry the last time, or
        `folds` are not valid or do not match the repeats of a model.

    Notes
    -----
    Concordances and the AUC are ratios of quadratic forms ``w' N w / w' D w`` in the multiplicities
    w; Brier scores are weighted means; the slope is refitted by Newton's method under the weights
    (`efron_slopes` in `times_stats.evaluation.slopes`). ``ipa_horizon`` is one minus
    the ratio of the mean Brier scores of model and null. Efron and Tibshirani (1993),
    doi:10.1201/9780429246593.

    *Competing events.* Where ``cause`` holds a 2, Uno's C, AUC, Brier scores and calibration in the
    large are those of the functions with ``cause=``, and ``survival`` must be one minus the
    cumulative incidence of the event. Harrell's C and the slope take a competing event as the end
    of follow-up. Leave the column out to judge predictions for a world without the competing event.

    *Why within folds.* The plain concordances rank all patients of a repeat together, although each
    test fold was predicted by a model of its own. A fold with more early events than its share
    leaves fewer of them for training, so the model that scores it tends to predict lower: between
    folds the ranking runs against the outcome, and a model that knows nothing falls below .5 (the
    second example shows one). Two patients of one test fold are scored by one model, and the pairs
    within folds are free of this bias: Parker et al. (2007), doi:10.1186/1471-2105-8-326; Airola et
    al. (2011), doi:10.1016/j.csda.2010.11.018. Their concordance is
    ``sum_r w' N_r w / sum_r w' D_r w`` with ``N_r`` and ``D_r`` the pair matrices of repeat r, 0
    for pairs of different folds. The concordances of all pairs stay in the table because they are
    what the literature reports.

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

    The event rate of each training set knows nothing of the patients it is applied to:

    >>> folds = np.array([[0, 0, 0, 1, 1, 1]])
    >>> outcome = pd.DataFrame({"time": [1, 2, 3, 4, 5, 6], "event": [1, 1, 1, 0, 1, 0]})
    >>> rate = Prediction("rate", np.where(folds == 0, 1 / 3, 1.0))
    >>> table = compare(outcome, [rate], times=[3], horizon=3, folds=folds, n_resamples=50,
    ...                 rng=np.random.default_rng(1))
    >>> table.set_index("metric")["estimate"].filter(like="harrell").round(3).to_dict()
    {'concordance_harrell': 0.154, 'concordance_harrell_within_folds': 0.5}
    """
    check_level(confidence_level)
    drawn = draw_metrics(
        outcome,
        predictions,
        times=times,
        horizon=horizon,
        references=references,
        null=null,
        strata=strata,
        folds=folds,
        n_resamples=n_resamples,
        rng=rng,
    )
    return tabulate_models(drawn, references=references, confidence_level=confidence_level)


@dataclass(frozen=True, slots=True, eq=False)
class MetricDraws:
    """Metrics of every model of a comparison, on the patients and on one set of resamples.

    Attributes
    ----------
    values : dict of str to dict of str to ndarray, shape (1 + n_resamples,)
        Model and metric to the estimate, followed by the value of each resample.
    metrics : tuple of str
        Names of the metrics, in the order of the table.
    n, events : int
        Patients and events.
    """

    values: dict[str, dict[str, FloatArray]]
    metrics: tuple[str, ...]
    n: int
    events: int


def draw_metrics(
    outcome: pd.DataFrame,
    predictions: Sequence[Prediction],
    *,
    times: ArrayLike,
    horizon: float,
    references: Sequence[str] = (),
    null: str | None = None,
    strata: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    n_resamples: int,
    rng: np.random.Generator,
) -> MetricDraws:
    """Check predictions and compute every metric of each on the same resamples.

    Parameters and errors are those of `compare`.

    Parameters
    ----------
    outcome : DataFrame
        Outcome, one row per patient.
    predictions : sequence of Prediction
        Models.
    times : array-like, shape (n_times,)
        Evaluation times.
    horizon : float
        One of them.
    references : sequence of str
        Names that must be those of models.
    null : str, optional
        Model without predictors.
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution.
    folds : array-like of int, shape (n_repeats, n), optional
        Test fold of each patient.
    n_resamples : int
        Number of resamples.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    MetricDraws

    Examples
    --------
    >>> outcome = pd.DataFrame({"time": [1, 2, 3, 4], "event": [1, 1, 1, 0]})
    >>> drawn = draw_metrics(outcome, [Prediction("a", np.array([[4.0, 3, 1, 2]]))], times=[3],
    ...                      horizon=3, n_resamples=9, rng=np.random.default_rng(1))
    >>> drawn.values["a"]["concordance_harrell"].shape, drawn.events
    ((10,), 3)
    """
    table = as_survival_table(outcome)
    grid = check_times(times)
    at_horizon = find_horizon(grid, horizon)
    models = check_predictions(predictions, table.index, grid.size)
    check_names(models, references, null)
    tested = None if folds is None else check_folds(folds, table.index)
    if tested is not None:
        _check_repeats(models, len(tested))
    resamples = bootstrap_weights(len(table), n_resamples=n_resamples, rng=rng)
    time, event = table["time"].to_numpy(), table["event"].to_numpy()
    ended = (table["cause"].to_numpy() > 0).astype(np.int64) if "cause" in table else event
    # One BLAS thread adds in one order: the last digits do not depend on the machine's settings.
    with threadpool_limits(limits=1, user_api="blas"):
        metrics = ResampledMetrics(
            time,
            event,
            times=grid,
            at_horizon=at_horizon,
            strata=strata,
            folds=tested,
            resamples=resamples,
            ended=ended,
        )
        draws = {m.name: metrics.of(m.risk, m.survival, m.linear_predictor) for m in models}
    if null is not None:
        baseline = draws[null]["brier_horizon"].copy()
        for values in draws.values():
            with np.errstate(divide="ignore", invalid="ignore"):
                values["ipa_horizon"] = 1 - values["brier_horizon"] / baseline
    return MetricDraws(draws, metrics.names, len(table), int(table["event"].sum()))


def tabulate_models(
    drawn: MetricDraws, *, references: Sequence[str] = (), confidence_level: float
) -> pd.DataFrame:
    """Return the table of `compare` from draws.

    Parameters
    ----------
    drawn : MetricDraws
        From `draw_metrics`.
    references : sequence of str
        Models to subtract from every other model.
    confidence_level : float
        Level of the intervals.

    Returns
    -------
    DataFrame
        As `compare`.
    """
    draws = drawn.values
    records = [
        {
            "model": model,
            "reference": reference,
            "metric": metric,
            **summarise_draws(difference, confidence_level),
        }
        for reference in ("", *references)
        for model in draws
        if model != reference
        for metric in drawn.metrics
        for difference in [draws[model][metric] - (draws[reference][metric] if reference else 0.0)]
    ]
    result = pd.DataFrame.from_records(records)
    return result.assign(n=drawn.n, events=drawn.events)


def check_level(confidence_level: float) -> None:
    """Refuse a level of intervals outside (0, 1).

    Parameters
    ----------
    confidence_level : float
        Level to check.

    Raises
    ------
    InputError
        If it is not inside (0, 1).
    """
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")


def summarise_draws(values: FloatArray, confidence_level: float) -> dict[str, float]:
    """Return the estimate with its percentile interval and standard error.

    Parameters
    ----------
    values : ndarray, shape (1 + n_resamples,)
        Estimate, then one value per resample.
    confidence_level : float
        Level of the interval.

    Returns
    -------
    dict of str to float
        ``estimate``, ``lower``, ``upper``, ``se``; the last three are NaN where more than 5 % of
        the resamples are.
    """
    estimate, resampled = float(values[0]), values[1:]
    defined = resampled[np.isfinite(resampled)]
    if np.isnan(estimate) or defined.size < max(2, (1 - MOST_UNDEFINED) * resampled.size):
        return {"estimate": estimate, "lower": np.nan, "upper": np.nan, "se": np.nan}
    tail = (1 - confidence_level) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return {
        "estimate": estimate,
        "lower": float(lower),
        "upper": float(upper),
        "se": float(defined.std(ddof=1)),
    }


def find_horizon(grid: FloatArray, horizon: float) -> int:
    """Return the position of the horizon among the times.

    Parameters
    ----------
    grid : ndarray, shape (n_times,)
        Checked evaluation times.
    horizon : float
        Landmark, one of them.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is not one of the times.
    """
    found = np.flatnonzero(np.isclose(grid, horizon, rtol=0, atol=1e-9))
    if found.size == 0:
        raise InputError(f"horizon {horizon:g} is not one of the times: add it to times")
    return int(found[0])


def check_predictions(
    predictions: Sequence[Prediction], patients: pd.Index, n_times: int
) -> list[Prediction]:
    """Return predictions as finite float arrays with a repeat axis.

    Parameters
    ----------
    predictions : sequence of Prediction
        Models.
    patients : Index, length n
        Names of the patients.
    n_times : int
        Evaluation times.

    Returns
    -------
    list of Prediction

    Raises
    ------
    InputError
        If there is none, or an array has another shape, misses a value or is no probability.
    """
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
                faults.add(
                    f"{part} of model '{model.name}' is missing or infinite for patient "
                    f"{name_rows(patients[wrong])}: compare patients that every model predicts"
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


def check_names(models: list[Prediction], references: Sequence[str], null: str | None) -> None:
    """Refuse models that share a name, and names that are of no model.

    Parameters
    ----------
    models : list of Prediction
        Checked predictions.
    references : sequence of str
        Models to subtract.
    null : str or None
        Model without predictors; it needs survival probabilities.

    Raises
    ------
    InputError
        Lists every fault.
    """
    names = [model.name for model in models]
    faults = Faults()
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        faults.add(f"models share the name {name_rows(repeated)}: give each its own")
    if "" in names:
        faults.add("a model has an empty name: name it")
    for role, wanted in [*(("reference", r) for r in references), ("null", null)]:
        if wanted is not None and wanted not in names:
            hint = nearest_hint(wanted, names)
            faults.add(f"{role} '{wanted}' is not a model{hint}: use one of {', '.join(names)}")
    null_model = next((model for model in models if model.name == null), None)
    if null_model is not None and null_model.survival is None:
        faults.add(f"null '{null}' has no survival: give its survival probabilities")
    faults.raise_if_any()


def _check_repeats(models: list[Prediction], n_repeats: int) -> None:
    """Check that each row of risk has its row of folds; a single row goes with all of them."""
    faults = Faults()
    for model in models:
        if len(model.risk) not in (1, n_repeats):
            faults.add(
                f"risk of model '{model.name}' has {len(model.risk)} repeats and folds have "
                f"{n_repeats}: give one row of risk for each row of folds, or a single row"
            )
    faults.raise_if_any()
