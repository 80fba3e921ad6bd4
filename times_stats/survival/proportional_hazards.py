"""Does the linear predictor act alike early and late? The score test of Grambsch and Therneau."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2, norm, rankdata

from times_stats._checks import Faults, check_survival_arrays, name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.nonparametric.risk_sets import group_codes
from times_stats.survival.checks import training_values
from times_stats.survival.cohorts import draw_cohort
from times_stats.survival.predictive_checks import (
    check_converged,
    check_seen_events,
    product_limit,
)
from times_stats.survival.predictor import PredictorValues, predictor_draws
from times_stats.survival.result import SurvivalFit

type Transform = Literal["km", "rank", "log", "identity"]

_TRANSFORMS = ("km", "rank", "log", "identity")
_MAX_NEWTON = 50
_MAX_HALVINGS = 30
_LAST_GAIN = 1e-12  # of the log partial likelihood; the step that promises less is the last
_NEAR_MAXIMUM = 1e-8  # below this gain a comparison of heights would compare rounding errors
_SINGULAR = 1e-8  # least information, of that of standardised columns without effect


@dataclass(frozen=True, slots=True)
class _EventMoments:
    """What the partial likelihood is made of: each event against the patients at risk.

    Tied events each stand for themselves, with Efron's share of the others taken away.
    """

    log_likelihood: float
    time: FloatArray
    excess: FloatArray
    variance: FloatArray


@dataclass(frozen=True, slots=True)
class _Sample:
    """Checked right-censored sample, columns standardised."""

    time: FloatArray
    event: IntArray
    entry: FloatArray
    stratum: IntArray
    columns: FloatArray


def check_proportional_hazards(
    fit: SurvivalFit, *, transform: Transform = "km", confidence_level: float = 0.95
) -> pd.DataFrame:
    r"""Test whether the effects of the model are constant over time, cohorts as strata.

    Tested are the evidence part of the linear predictor at the posterior mean, and the part of
    each clinical covariate, with values as they were measured. Every cohort keeps a baseline of its
    own, so that a baseline the model got wrong is not mistaken for an effect that changes.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with its training data.
    transform : {"km", "rank", "log", "identity"}
        See `score_test_of_constant_effects`.
    confidence_level : float
        Level of the intervals.

    Returns
    -------
    DataFrame
        As `score_test_of_constant_effects`: row ``evidence``, one for each covariate, and
        ``GLOBAL``. Columns are in units of the model's own log hazard: a coefficient of 1 means
        that the data, with a free baseline, agree with the size of the effect. A negative slope of
        ``evidence`` means that it tells early events better than late ones.

    Raises
    ------
    InputError
        If the fit did not converge, was saved without its training data, or holds events found at
        scans: the partial likelihood needs the order of the events, which scans hide.

    Notes
    -----
    The p value takes the evidence as given; evidence made from the same outcomes says nothing about
    new patients here either. Grambsch and Therneau (1994), doi:10.1093/biomet/81.3.515.

    Examples
    --------
    >>> from times_stats.survival import check_proportional_hazards
    >>> check_proportional_hazards(fit)[["column", "statistic", "p_value"]]  # doctest: +SKIP
    """
    check_converged(fit)
    observed = check_seen_events(fit, "the partial likelihood needs the order of the events")
    columns = _parts_of_predictor(fit)
    return score_test_of_constant_effects(
        observed["time"].to_numpy(),
        observed["event"].to_numpy(),
        columns.to_numpy(),
        entry=observed["entry"].to_numpy(),
        strata=observed["cohort"].to_numpy(),
        names=[*columns],
        transform=transform,
        confidence_level=confidence_level,
    )


def score_test_of_constant_effects(
    time: ArrayLike,
    event: ArrayLike,
    columns: ArrayLike,
    *,
    entry: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    transform: Transform = "km",
    names: Sequence[str] | None = None,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    r"""Test whether effects on the hazard are constant over time.

    In the Cox model :math:`h_{s}(t) \exp\{\sum_j x_j (\beta_j + \theta_j g(t))\}` with a baseline
    for each stratum, the score test of :math:`\theta = 0` at the maximum of the partial likelihood:
    for each column alone (1 degree of freedom) and for all together.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (months) and event indicator.
    columns : array-like, shape (n, p)
        Covariates.
    entry : array-like, shape (n,), optional
        Months at which follow-up began; a patient is at risk from just after it.
    strata : array-like, shape (n,), optional
        Label of the stratum of each patient.
    transform : {"km", "rank", "log", "identity"}
        :math:`g`: one minus the Kaplan-Meier curve of all patients just before the time (little
        moved by a few late events), the rank of the time among all follow-up times, its logarithm,
        or the time.
    names : sequence of str, optional
        Names of the columns; ``column 1`` and so on if left out.
    confidence_level : float
        Level of the intervals.

    Returns
    -------
    DataFrame
        One row per column, then ``GLOBAL``: ``column``, ``coefficient`` (:math:`\beta_j` if
        constant), ``statistic``, ``df``, ``p_value``, and ``slope``, ``lower``, ``upper`` of
        :math:`\theta_j` (change of the log hazard ratio per unit of :math:`g`; empty for
        ``GLOBAL``).

    Raises
    ------
    InputError
        If the outcome, entry, strata or columns are not valid, a column does not vary among
        patients at risk together, columns repeat each other or separate the events, or there are
        too few distinct event times.

    Notes
    -----
    Ties by Efron's method. The statistics are those of R ``survival::cox.zph`` (version 3 or
    later) of ``coxph(..., ties = "efron")``, which is the score test itself and not the older
    approximation by the correlation of residuals. The slope is one Newton step from
    :math:`\theta_j = 0`, so its z value squared is the statistic and its interval leaves 0 out
    just where the p value is below 1 - `confidence_level`. Grambsch and Therneau (1994),
    doi:10.1093/biomet/81.3.515.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(200, 1))
    >>> time = rng.exponential(np.exp(-x[:, 0]))
    >>> table = score_test_of_constant_effects(time, np.ones(200), x)
    >>> table["column"].tolist(), bool(table["p_value"].min() > 0.05)
    (['column 1', 'GLOBAL'], True)
    """
    if transform not in _TRANSFORMS:
        raise InputError(
            f"transform '{transform}' is not known: use 'km', 'rank', 'log' or 'identity'"
        )
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level}: use a number between 0 and 1")
    sample, labels, scale = _check_sample(time, event, columns, entry, strata, names)
    transformed = _transform_times(sample, transform)
    beta, moments = _maximise(sample, labels)
    at_event = transformed[sample.event == 1]
    g = np.interp(moments.time, *_by_time(sample.time[sample.event == 1], at_event))
    g = g - at_event.mean()
    score = g @ moments.excess
    steady, mixed, changing = (
        np.einsum("e,eij->ij", weight, moments.variance) for weight in (np.ones_like(g), g, g**2)
    )
    information = changing - mixed @ np.linalg.solve(steady, mixed)
    spread = np.diag(information)
    least = np.linalg.eigvalsh(information).min()
    if not least > _SINGULAR * np.linalg.eigvalsh(changing).max():
        raise InputError(
            f"{np.unique(moments.time).size} distinct event times cannot tell a change of "
            f"{len(labels)} effects over time: test fewer columns, or more patients"
        )
    single = score**2 / spread
    total = float(score @ np.linalg.solve(information, score))
    slope, half = score / spread, norm.ppf(0.5 + confidence_level / 2) / np.sqrt(spread)
    nothing = [np.nan]
    statistic, df = np.r_[single, total], np.r_[np.ones(len(labels)), len(labels)]
    return pd.DataFrame(
        {
            "column": [*labels, "GLOBAL"],
            "coefficient": np.r_[beta / scale, nothing],
            "statistic": statistic,
            "df": df.astype(np.int64),
            "p_value": chi2.sf(statistic, df),
            "slope": np.r_[slope / scale, nothing],
            "lower": np.r_[(slope - half) / scale, nothing],
            "upper": np.r_[(slope + half) / scale, nothing],
        }
    )


def _parts_of_predictor(fit: SurvivalFit) -> pd.DataFrame:
    """Return the part of evidence and of each covariate in the mean linear predictor, by patient.

    A part is what is lost when its values are 0 for all: the average, or the lowest level.
    """
    data = fit.training_data()["constant_data"].to_dataset()
    whole = training_values(fit)
    # As measured: true values, and missing numbers, of the posterior know the outcome.
    whole = dataclasses.replace(
        whole,
        evidence=data["evidence"].to_numpy(),
        numbers=data["numbers"].to_numpy() if "numbers" in data else whole.numbers,
    )
    mean = _mean_predictor(fit, whole)
    return pd.DataFrame(
        {name: mean - _mean_predictor(fit, rest) for name, rest in _left_out(fit, whole).items()}
    )


def _mean_predictor(fit: SurvivalFit, values: PredictorValues) -> FloatArray:
    tree = fit.training_data()
    posterior = tree["posterior"].to_dataset()
    code = tree["constant_data"]["cohort_index"].to_numpy()
    mean = np.empty(code.size)
    for number in np.unique(code):
        rows = code == number
        effects = draw_cohort(fit, posterior, fit.cohorts[number], stream="training")
        mean[rows] = predictor_draws(fit.spec, posterior, values[rows], effects).mean(axis=0)
    return mean


def _left_out(fit: SurvivalFit, whole: PredictorValues) -> dict[str, PredictorValues]:
    """Return the values with evidence, or one covariate, set to 0, by the name of what is 0."""
    found = {}
    if len(fit.columns):
        found["evidence"] = dataclasses.replace(whole, evidence=whole.evidence * 0.0)
    n_numeric = n_ordered = 0
    for term in fit.spec.covariates:
        if term.is_ordered:
            levels = whole.levels.copy()
            levels[:, n_ordered] = 0
            found[term.name] = dataclasses.replace(whole, levels=levels)
            n_ordered += 1
        else:
            numbers = whole.numbers.copy()
            numbers[..., n_numeric] = 0.0
            found[term.name] = dataclasses.replace(whole, numbers=numbers)
            n_numeric += 1
    return found


def _check_sample(
    time: ArrayLike,
    event: ArrayLike,
    columns: ArrayLike,
    entry: ArrayLike | None,
    strata: ArrayLike | None,
    names: Sequence[str] | None,
) -> tuple[_Sample, list[str], FloatArray]:
    months, happened = check_survival_arrays(time, event)
    n = months.size
    try:
        values = np.asarray(columns, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("columns are not numeric: give an array of numbers") from None
    if values.ndim != 2 or values.shape[0] != n or values.shape[1] == 0:
        raise InputError(f"columns have shape {values.shape}: give ({n}, p), a row per patient")
    faults = Faults()
    infinite = ~np.isfinite(values).all(axis=1)
    if infinite.any():
        rows = name_rows(np.flatnonzero(infinite))
        faults.add(f"columns are missing or infinite in row {rows}: complete them")
    labels = [f"column {k + 1}" for k in range(values.shape[1])] if names is None else [*names]
    if len(labels) != values.shape[1]:
        faults.add(f"names are {len(labels)} for {values.shape[1]} columns: give one for each")
    entered = np.zeros(n) if entry is None else np.asarray(entry, dtype=np.float64)
    if entered.shape != (n,):
        faults.add(f"entry has shape {entered.shape}: give one for each of {n} patients")
    elif not (np.isfinite(entered) & (entered >= 0) & ((entered < months) | (entered == 0))).all():
        wrong = ~(np.isfinite(entered) & (entered >= 0) & ((entered < months) | (entered == 0)))
        rows = name_rows(np.flatnonzero(wrong))
        faults.add(f"entry is not a number from 0 to before the time in row {rows}: correct it")
    faults.raise_if_any()
    if not happened.any():
        raise InputError("no event in the data: a test of effects needs some")
    code = np.zeros(n, dtype=np.int64)
    if strata is not None:
        code = group_codes(strata, n, kind="stratum")[1]
    scale = values.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    standardised = (values - values.mean(axis=0)) / scale
    return _Sample(months, happened, entered, code, standardised), labels, scale


def _transform_times(sample: _Sample, transform: Transform) -> FloatArray:
    time = sample.time
    if transform == "identity":
        return time
    if transform == "rank":
        return np.asarray(rankdata(time), dtype=np.float64)
    if transform == "log":
        if ((time == 0) & (sample.event == 1)).any():
            rows = name_rows(np.flatnonzero((time == 0) & (sample.event == 1)))
            raise InputError(f"an event at time 0 has no logarithm, row {rows}: use another scale")
        return np.asarray(np.log(np.where(time > 0, time, 1.0)))
    return 1 - product_limit(time, sample.event, sample.entry).before(time)


def _by_time(time: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    distinct, first = np.unique(time, return_index=True)
    return distinct, value[first]


def _maximise(sample: _Sample, labels: Sequence[str]) -> tuple[FloatArray, _EventMoments]:
    """Maximise the partial likelihood by Newton's method, steps halved where they overshoot."""
    beta = np.zeros(sample.columns.shape[1])
    moments = _event_moments(sample, beta)
    without = moments.variance.sum(axis=0)
    flat = np.diag(without) <= _SINGULAR * np.count_nonzero(sample.event)
    if flat.any():
        named = name_rows(label for label, is_flat in zip(labels, flat, strict=True) if is_flat)
        raise InputError(
            f"column {named} does not vary among patients at risk together: leave it out, or use "
            "fewer strata"
        )
    unsure = InputError(
        f"the effects of {name_rows(labels)} are not identified: leave out columns that repeat each"
        " other or separate patients with the event from the others"
    )
    floor = _SINGULAR * np.linalg.eigvalsh(without).max()
    for _ in range(_MAX_NEWTON):
        information = moments.variance.sum(axis=0)
        if not np.linalg.eigvalsh(information).min() > floor:
            raise unsure
        score = moments.excess.sum(axis=0)
        step = np.linalg.solve(information, score)
        gain = float(score @ step)
        for halving in range(_MAX_HALVINGS):
            trial = beta + step / 2**halving
            found = _event_moments(sample, trial)
            if found.log_likelihood >= moments.log_likelihood or gain < _NEAR_MAXIMUM:
                break
        beta, moments = trial, found
        if gain < _LAST_GAIN:
            return beta, moments
    raise unsure


def _event_moments(sample: _Sample, beta: FloatArray) -> _EventMoments:
    eta = sample.columns @ beta
    parts = [
        _stratum_moments(
            sample.time[rows],
            sample.event[rows] == 1,
            sample.entry[rows],
            sample.columns[rows],
            eta[rows] - eta[rows].max(),
        )
        for rows in (sample.stratum == code for code in np.unique(sample.stratum))
    ]
    return _EventMoments(
        float(sum(part.log_likelihood for part in parts)),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("time", "excess", "variance")
        ),
    )


def _stratum_moments(
    time: FloatArray, happened: np.ndarray, entry: FloatArray, columns: FloatArray, eta: FloatArray
) -> _EventMoments:
    n, p = columns.shape
    relative = np.exp(eta)[:, None]
    # Weight, weighted columns and weighted products of each patient, summed in one go.
    products = (columns[:, :, None] * columns[:, None, :]).reshape(n, p * p)
    terms = relative * np.hstack([np.ones((n, 1)), columns, products])
    order = np.flatnonzero(happened)
    order = order[np.argsort(time[order], kind="stable")]
    moments, tie, deaths = np.unique(time[order], return_inverse=True, return_counts=True)
    at_risk = _sums_from(time, terms, moments)
    late = entry > 0
    at_risk -= _sums_from(entry[late], terms[late], moments)
    tied = np.zeros_like(at_risk)
    np.add.at(tied, tie, terms[order])
    rank = np.arange(order.size) - (np.cumsum(deaths) - deaths)[tie]
    sums = at_risk[tie] - (rank / deaths[tie])[:, None] * tied[tie]
    mean = sums[:, 1 : p + 1] / sums[:, :1]
    square = (sums[:, p + 1 :] / sums[:, :1]).reshape(-1, p, p)
    return _EventMoments(
        float(eta[order].sum() - np.log(sums[:, 0]).sum()),
        time[order],
        columns[order] - mean,
        square - mean[:, :, None] * mean[:, None, :],
    )


def _sums_from(time: FloatArray, terms: FloatArray, at: FloatArray) -> FloatArray:
    """Sum the terms of those whose time is `at` or later, for each of some times."""
    order = np.argsort(time, kind="stable")
    totals = np.cumsum(terms[order][::-1], axis=0)[::-1]
    totals = np.vstack([totals, np.zeros((1, terms.shape[1]))])
    return np.asarray(totals[np.searchsorted(time[order], at, side="left")])
