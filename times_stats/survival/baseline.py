"""Baseline hazards in closed form: Weibull, piecewise constant and M-splines, in numpy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import BSpline

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.survival.outcomes import SurvivalOutcome
from times_stats.survival.spec import SPLINE_DEGREE, SurvivalSpec


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a baseline learned from the training data, but for its posterior.

    Parameters
    ----------
    kind : {"weibull", "piecewise", "mspline"}
        Form of the hazard.
    time_scale : float
        Median positive follow-up in months; times are divided by it.
    log_rate : float
        Log of the crude event rate, where the prior of the level is centred: per `time_scale`
        (Weibull) or up to the last knot (the others).
    last_event : float
        Last training event in months, or the scan that found it. The hazard beyond it is
        extrapolated.
    knots : tuple of float
        Boundary and inner knots in months, ascending from 0; empty for the Weibull.
    n_shifted : int
        Events at time 0 moved to half the smallest positive time, where a Weibull hazard is finite.
    n_uninformative : int
        Patients censored at time 0: they contribute nothing, and are left out.
    """

    kind: Literal["weibull", "piecewise", "mspline"]
    time_scale: float
    log_rate: float
    last_event: float
    knots: tuple[float, ...] = ()
    n_shifted: int = 0
    n_uninformative: int = 0


def learn_baseline(
    outcome: SurvivalOutcome, spec: SurvivalSpec, *, given: Baseline | None = None
) -> tuple[Baseline, SurvivalOutcome, BoolArray]:
    """Learn scale and knots of a baseline, and clear up follow-up of length 0.

    Parameters
    ----------
    outcome : SurvivalOutcome
        Training patients. An event found at a scan counts in the middle of its interval.
    spec : SurvivalSpec
        Form of the baseline.
    given : Baseline, optional
        Scale, crude rate and knots in place of those that would be learned.

    Returns
    -------
    baseline : Baseline
    outcome : SurvivalOutcome
        With events seen at time 0 moved to half the smallest positive time.
    used : ndarray of bool, shape (n,)
        False for patients censored at time 0.

    Raises
    ------
    InputError
        If there is no event, no positive time, or fewer distinct event times than knots; all
        events, more than one, happened at one time that ends follow-up; or the baseline given is of
        another kind, or has another number of knots.

    Examples
    --------
    >>> import pandas as pd
    >>> from times_stats.survival.outcomes import read_outcome
    >>> y = pd.DataFrame({"time": [0.0, 0.0, 4.0, 8.0], "event": [1, 0, 1, 0]})
    >>> baseline, moved, used = learn_baseline(read_outcome(y), SurvivalSpec())
    >>> moved.time.tolist(), used.tolist()
    ([2.0, 0.0, 4.0, 8.0], [True, False, True, True])
    >>> baseline.time_scale, baseline.n_shifted, baseline.n_uninformative
    (6.0, 1, 1)
    """
    time, happened = outcome.typical_time, outcome.has_happened
    positive = time > 0
    n_events = int(happened.sum())
    if n_events == 0 or not positive.any():
        raise InputError(
            "the survival model has no event or no follow-up to learn from: "
            "give patients with events, or use fewer folds"
        )
    shift = (time == 0) & (outcome.event == 1)
    used = positive | shift
    moved = np.where(shift, time[positive].min() / 2, time)
    scale = float(np.median(time[positive]))
    moved_outcome = dataclasses.replace(outcome, time=np.where(shift, moved, outcome.time))
    n_shifted, n_uninformative = int(shift.sum()), int((~used).sum())
    if given is not None:
        if given.kind != spec.baseline or len(given.knots) != spec.n_knots:
            raise InputError(
                f"the baseline given is '{given.kind}' with {len(given.knots)} knots and the "
                f"specification asks for '{spec.baseline}' with {spec.n_knots}: "
                "give one of its kind"
            )
        own = dataclasses.replace(given, n_shifted=n_shifted, n_uninformative=n_uninformative)
        return own, moved_outcome, used
    last = np.where(outcome.is_interval, outcome.upper, moved)
    last_event = float(last[happened].max())
    seen = moved[happened]
    if n_events > 1 and not outcome.has_intervals and seen.min() == seen.max() == moved.max():
        raise InputError(
            f"all {n_events} events happened at one time and nobody was followed beyond it, which "
            "bounds no hazard: give times as fine as they are known, or longer follow-up"
        )
    knots: tuple[float, ...] = ()
    unit = scale
    if spec.baseline != "weibull":
        knots = event_knots(moved[happened], n_inner=spec.n_knots - 2, last=last_event)
        unit = last_event
    return (
        Baseline(
            kind=spec.baseline,
            time_scale=scale,
            log_rate=float(np.log(n_events * unit / (moved - outcome.entry)[used].sum())),
            last_event=last_event,
            knots=knots,
            n_shifted=n_shifted,
            n_uninformative=n_uninformative,
        ),
        moved_outcome,
        used,
    )


def event_knots(
    event_times: FloatArray, *, n_inner: int, last: float | None = None
) -> tuple[float, ...]:
    """Place knots at 0, at quantiles of the distinct event times, and at the last one.

    Parameters
    ----------
    event_times : ndarray
        Times of the events, positive.
    n_inner : int
        Number of knots between the first and the last.
    last : float, optional
        Last knot; the last event time if left out.

    Returns
    -------
    tuple of float
        ``n_inner + 2`` knots, strictly ascending. Distinct times are used so that tied events
        (follow-up in whole months) never give two knots at one place.

    Raises
    ------
    InputError
        If there are fewer distinct event times than that.

    Examples
    --------
    >>> event_knots(np.array([1.0, 2.0, 3.0, 4.0]), n_inner=2)
    (0.0, 2.0, 3.0, 4.0)
    """
    distinct = np.unique(event_times)
    if distinct.size < n_inner + 2:
        raise InputError(
            f"{distinct.size} distinct event times carry no baseline with {n_inner} inner knots, "
            f"which needs {n_inner + 2}: use baseline 'weibull' or a smaller n_basis"
        )
    inner = np.quantile(distinct, np.arange(1, n_inner + 1) / (n_inner + 1))
    return (0.0, *(float(knot) for knot in inner), float(distinct[-1]) if last is None else last)


def mspline_basis(times: FloatArray, knots: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    r"""Evaluate cubic M-splines and their integrals, constant beyond the last knot.

    Parameters
    ----------
    times : array-like, shape (n,)
        Times, 0 or more, in the unit of the knots.
    knots : tuple of float
        Boundary and inner knots, strictly ascending.

    Returns
    -------
    basis : ndarray, shape (n, n_knots + 2)
        M-splines: each integrates to one between the boundary knots.
    integral : ndarray, shape (n, n_knots + 2)
        I-splines, from the first knot to each time.

    Notes
    -----
    :math:`M_k = (d+1) B_k / (\tau_{k+d+1} - \tau_k)` with B-splines :math:`B_k` of degree
    :math:`d = 3` on the knots :math:`\tau`; the same functions as ``mSpline`` and ``iSpline`` of
    the R package splines2 with ``intercept = TRUE``. Beyond the last knot :math:`M_k` keeps its
    value there and the integral goes on linearly. Ramsay (1988), doi:10.1214/ss/1177012761.

    Examples
    --------
    >>> basis, integral = mspline_basis(np.array([0.0, 2.0, 3.0]), (0.0, 1.0, 2.0))
    >>> basis.shape, integral[1].round(6).tolist()
    ((3, 5), [1.0, 1.0, 1.0, 1.0, 1.0])
    >>> bool((basis[2] == basis[1]).all())
    True
    """
    at = np.asarray(times, dtype=np.float64)
    first, last = knots[0], knots[-1]
    full = np.concatenate([[first] * SPLINE_DEGREE, knots, [last] * SPLINE_DEGREE])
    spline = BSpline(full, np.diag(1 / _support(full)), SPLINE_DEGREE, extrapolate=False)
    inside = np.clip(at, first, last)
    basis = np.maximum(spline(inside), 0.0)
    integral = np.maximum(spline.antiderivative()(inside), 0.0)
    return basis, integral + (at - inside)[:, None] * basis


def piecewise_terms(times: FloatArray, knots: tuple[float, ...]) -> tuple[IntArray, FloatArray]:
    """Return the interval of each time and the share of that interval gone by.

    Parameters
    ----------
    times : array-like, shape (n,)
        Times, 0 or more, in the unit of the knots.
    knots : tuple of float
        Limits of the intervals, strictly ascending from 0. A time on a limit belongs to the
        interval that ends there, as an event that closes it does.

    Returns
    -------
    interval : ndarray of int, shape (n,)
        From 0; the last one beyond the last knot, where the hazard stays what it was.
    within : ndarray, shape (n,)
        Time since the interval began over its width; above 1 beyond the last knot.

    Examples
    --------
    >>> interval, within = piecewise_terms(np.array([0.0, 1.0, 3.0, 8.0]), (0.0, 1.0, 5.0))
    >>> interval.tolist(), within.tolist()
    ([0, 0, 1, 1], [0.0, 1.0, 0.5, 1.75])
    """
    at, limits = np.asarray(times, dtype=np.float64), np.asarray(knots)
    interval = np.clip(np.searchsorted(limits, at, side="left") - 1, 0, len(knots) - 2)
    within = (at - limits[interval]) / np.diff(limits)[interval]
    return interval.astype(np.int64), within


def constant_hazard_weights(baseline: Baseline) -> FloatArray:
    """Return the weights of the basis that make the hazard constant up to the last knot.

    Parameters
    ----------
    baseline : Baseline
        Of kind ``piecewise`` or ``mspline``.

    Returns
    -------
    ndarray, shape (n_basis,)
        Weights that sum to one: the width of each interval, or, as B-splines sum to one, each
        spline's share of support.

    Examples
    --------
    >>> weights = constant_hazard_weights(Baseline("mspline", 1.0, 0.0, 4.0, (0.0, 1.0, 4.0)))
    >>> basis, _ = mspline_basis(np.array([0.5, 3.0]), (0.0, 1.0, 4.0))
    >>> (basis @ weights).round(6).tolist()
    [0.25, 0.25]
    """
    knots = baseline.knots
    if baseline.kind == "piecewise":
        weights = np.diff(knots)
    else:
        full = np.concatenate([[knots[0]] * SPLINE_DEGREE, knots, [knots[-1]] * SPLINE_DEGREE])
        weights = _support(full)
    return np.asarray(weights / weights.sum())


def _support(full: FloatArray) -> FloatArray:
    """Width of each spline's support over degree + 1: the reciprocal of its M-spline scale."""
    order = SPLINE_DEGREE + 1
    return np.asarray((full[order:] - full[:-order]) / order)


def log_hazard_terms(baseline: Baseline, time: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the data columns that the hazard and its integral need, on the scaled time.

    Parameters
    ----------
    baseline : Baseline
        Scale and knots.
    time : ndarray, shape (n,)
        Months.

    Returns
    -------
    tuple of ndarray
        Piecewise and M-spline: basis and integral, each (n, n_basis). Weibull: log scaled time in
        one column, and an empty column block.
    """
    if baseline.kind == "weibull":
        with np.errstate(divide="ignore"):
            return np.log(time / baseline.time_scale)[:, None], np.empty((time.size, 0))
    scaled = tuple(knot / baseline.time_scale for knot in baseline.knots)
    if baseline.kind == "mspline":
        return mspline_basis(time / baseline.time_scale, scaled)
    interval, within = piecewise_terms(time / baseline.time_scale, scaled)
    chosen = np.arange(len(scaled) - 1) == interval[:, None]
    passed = np.arange(len(scaled) - 1) < interval[:, None]
    return chosen / np.diff(scaled), passed + chosen * within[:, None]
