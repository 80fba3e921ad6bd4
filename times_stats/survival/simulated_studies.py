"""Studies drawn from the prior of a survival model, for its calibration by simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np
import pandas as pd
import xarray as xr

from times_stats._typing import FloatArray, IntArray
from times_stats.resampling import spawn_rng
from times_stats.survival.baseline import Baseline, log_hazard_terms
from times_stats.survival.cohorts import cohort_baseline, known_cohort
from times_stats.survival.covariates import read_covariates
from times_stats.survival.hazard import stacked
from times_stats.survival.measurement import POPULATION_PRIOR
from times_stats.survival.predictor import PredictorValues, covariate_draws
from times_stats.survival.prior import draw_prior
from times_stats.survival.result import SurvivalFit
from times_stats.survival.sampling import CompiledSurvival
from times_stats.survival.spec import SurvivalSpec

type OutcomeKind = Literal["right", "delayed", "interval"]

TIME_SCALE = 24.0
"""Months: scale of the baseline, and the time at which survival of a new patient is ranked."""

_LAST, _LOG_RATE = 60.0, -0.5  # months; about 60 % of events by then
_CENSORED = (6.0, 72.0)  # months between which follow-up ends
_SCANS = 6.0  # months
_LATE = 0.3  # share of patients who enter late, within the first year
_PATIENT = 0.5  # evidence of the new patient
_MISSING = 0.1  # share of the numbers of a covariate whose missing values are modelled
_ERRORS = (0.1, 0.5)  # standard errors of uncertain evidence
_TILES = (3, 10)  # least, and one more than most
_BISECTIONS = 60


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedStudy:
    """Truth and data of one study.

    Parameters
    ----------
    truth : Dataset
        One draw of the quantities of a posterior, those of the patients included.
    baseline : Baseline
        Scale, rate and knots.
    evidence, y, cohort, covariates, evidence_se, n_tiles
        As `fit_survival` takes them.
    """

    truth: xr.Dataset
    baseline: Baseline
    evidence: pd.DataFrame | None
    y: pd.DataFrame
    cohort: pd.Series
    covariates: pd.DataFrame | None
    evidence_se: pd.DataFrame | None
    n_tiles: pd.DataFrame | None


def reference_baseline(spec: SurvivalSpec) -> Baseline:
    """Return the scale, rate and evenly spaced knots that studies are simulated with.

    Parameters
    ----------
    spec : SurvivalSpec
        Form of the baseline.

    Returns
    -------
    Baseline

    Examples
    --------
    >>> reference_baseline(SurvivalSpec(baseline="piecewise", n_basis=3)).knots
    (0.0, 20.0, 40.0, 60.0)
    """
    knots = tuple(float(knot) for knot in np.linspace(0.0, _LAST, spec.n_knots))
    return Baseline(spec.baseline, TIME_SCALE, _LOG_RATE, _LAST, knots)


def simulate_from_prior(
    spec: SurvivalSpec,
    compiled: CompiledSurvival,
    *,
    n_patients: int,
    kind: OutcomeKind,
    rng: np.random.Generator,
    stream: tuple[int, int],
) -> SimulatedStudy:
    """Draw a truth from the prior, and a study from the truth.

    Parameters
    ----------
    spec : SurvivalSpec
        Model and priors.
    compiled : CompiledSurvival
        Its columns, number of cohorts and room for uncertain evidence are those of the study.
    n_patients : int
        Patients.
    kind : {"right", "delayed", "interval"}
        See `rank_truths`.
    rng : Generator
        Source of what every study has.
    stream : tuple of int
        Seed and number: the source of covariates and of errors of the evidence.

    Returns
    -------
    SimulatedStudy
    """
    baseline = reference_baseline(spec)
    cohorts = tuple(f"cohort {number:05d}" for number in range(1, compiled.n_cohorts + 1))
    truth = draw_prior(
        spec,
        columns=compiled.columns,
        baseline=baseline,
        cohorts=cohorts,
        n_draws=1,
        seed=int(rng.integers(2**31)),
    )
    index = pd.Index([f"p{number:05d}" for number in range(n_patients)], name="patient_id")
    z = rng.normal(0.0, 0.5, (n_patients, len(compiled.columns)))
    code = rng.integers(0, len(cohorts), n_patients)
    code[: len(cohorts)] = np.arange(len(cohorts))[:n_patients]  # every cohort has a patient
    own = spawn_rng(*stream, "covariates and errors")
    measured, se, n_tiles = z, None, None
    if compiled.n_latent:
        truth, z, measured, se, n_tiles = _measure(truth, z.shape, own)
    eta = z @ stacked(truth, "beta")[0] if len(compiled.columns) else np.zeros(n_patients)
    if "cohort_effect" in truth:
        eta = eta + stacked(truth, "cohort_effect")[0][code]
    if "cohort_slope" in truth:
        eta = eta + stacked(truth, "cohort_slope")[0][code] * z.sum(axis=1)
    covariates = None
    if spec.covariates:
        truth, covariates, part = _draw_covariates(spec, truth, code, index, own)
        eta = eta + part
    relative = np.exp(eta + stacked(truth, "intercept")[0])
    truths = [cohort_baseline(truth, known_cohort(truth, k)) for k in range(len(cohorts))]
    y = _outcome(truths, baseline, relative, code, kind, rng).set_index(index)

    def table(values: np.ndarray | None) -> pd.DataFrame | None:
        return (
            pd.DataFrame(values, index=index, columns=compiled.columns)
            if values is not None and len(compiled.columns)
            else None
        )

    return SimulatedStudy(
        truth=truth,
        baseline=baseline,
        evidence=table(measured),
        y=y,
        cohort=pd.Series(np.array(cohorts)[code], index=index),
        covariates=covariates,
        evidence_se=table(se),
        n_tiles=table(n_tiles),
    )


def _measure(
    truth: xr.Dataset, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[xr.Dataset, FloatArray, FloatArray, FloatArray, IntArray]:
    """Give the evidence a population of its own, and errors of the mean over tiles."""
    mean, sd = POPULATION_PRIOR * rng.standard_normal((2, shape[1]))
    sd = np.abs(sd)
    true = mean + sd * rng.standard_normal(shape)
    n_tiles = rng.integers(*_TILES, shape)
    se = rng.uniform(*_ERRORS, shape)
    measured = true + se * rng.standard_t(n_tiles - 1)
    by_draw = ("chain", "draw")
    truth = truth.assign(
        evidence_mean=((*by_draw, "coefficient"), np.reshape(mean, (1, 1, -1))),
        evidence_sd=((*by_draw, "coefficient"), np.reshape(sd, (1, 1, -1))),
        true_evidence=((*by_draw, "evidence_cell"), true.reshape(1, 1, -1)),
    )
    return truth, true, measured, se, n_tiles


def _draw_covariates(
    spec: SurvivalSpec,
    truth: xr.Dataset,
    code: IntArray,
    index: pd.Index,
    rng: np.random.Generator,
) -> tuple[xr.Dataset, pd.DataFrame, FloatArray]:
    """Covariates as a fit sees them, and their part of the linear predictor."""
    table, hidden = pd.DataFrame(index=index), []
    complete = table.copy()
    for term in spec.covariates:
        if term.is_ordered:
            complete[term.name] = rng.choice(np.array(term.levels), len(index))
            table[term.name] = complete[term.name]
            continue
        number = rng.standard_normal(len(index))
        gone = (rng.random(len(index)) < _MISSING) & (term.missing == "model")
        number[~gone] = (number[~gone] - number[~gone].mean()) / number[~gone].std()
        complete[term.name], table[term.name] = number, np.where(gone, np.nan, number)
        hidden.append(gone)
    numeric = [term.name for term in spec.covariates if not term.is_ordered]
    values = read_covariates(
        spec.covariates, complete, index, scaling=dict.fromkeys(numeric, (0.0, 1.0))
    )
    if hidden and np.any(hidden):
        gone = np.column_stack(hidden)
        truth = truth.assign(
            missing_number=(("chain", "draw", "missing_cell"), values.numbers[gone][None, None])
        )
    part = np.empty(len(index))
    for cohort in np.unique(code):
        rows = code == cohort
        given = PredictorValues(
            np.empty((rows.sum(), 0)), values.numbers[rows], values.levels[rows]
        )
        part[rows] = covariate_draws(spec, truth, given, known_cohort(truth, int(cohort)))[0]
    return truth, table, part


def _outcome(
    truths: list[xr.Dataset],
    baseline: Baseline,
    relative: FloatArray,
    code: IntArray,
    kind: OutcomeKind,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw times from the hazards of each cohort, censored, entered late or found at scans."""
    n = code.size
    entry = np.zeros(n)
    if kind == "delayed":
        entry = np.where(rng.random(n) < _LATE, rng.uniform(0.0, 12.0, n), 0.0)
    more = rng.exponential(size=n) / relative
    time = np.empty(n)
    for number, truth in enumerate(truths):
        rows = code == number
        # One who entered late was free of the event until then.
        passed = _shape_integral(truth, baseline, entry[rows])
        time[rows] = _invert(truth, baseline, passed + more[rows])
    time = np.maximum(time, np.nextafter(entry, np.inf))
    end = np.maximum(rng.uniform(*_CENSORED, n), entry + 1.0)
    if kind == "interval":
        end = _SCANS * np.floor(end / _SCANS)
    event = time <= end
    y = pd.DataFrame({"time": np.where(event, time, end), "event": event.astype(np.int64)})
    if kind == "delayed":
        y["entry"] = entry
    if kind == "interval":
        scan = np.maximum(np.ceil(time / _SCANS), 1.0)
        y["time_lower"] = np.where(event, _SCANS * (scan - 1.0), np.nan)
        y["time_upper"] = np.where(event, _SCANS * scan, np.nan)
        y["time"] = np.where(event, _SCANS * scan, end)
    return y


class _NewPatient(TypedDict):
    new: pd.DataFrame | None
    cohort: pd.Series
    covariates: pd.DataFrame | None
    evidence_se: pd.DataFrame | None
    n_tiles: pd.DataFrame | None


def new_patient(fit: SurvivalFit) -> _NewPatient:
    """Return a patient of the first cohort, with evidence above the average.

    Parameters
    ----------
    fit : SurvivalFit
        Fit that shall predict.

    Returns
    -------
    dict
        Arguments of `predict_survival`.
    """
    index = pd.Index(["new"])
    evidence = (
        pd.DataFrame([[_PATIENT] * len(fit.columns)], index=index, columns=fit.columns)
        if len(fit.columns)
        else None
    )
    covariates = None
    if fit.spec.covariates:
        covariates = pd.DataFrame(
            {
                term.name: [term.levels[len(term.levels) // 2] if term.is_ordered else 0.0]
                for term in fit.spec.covariates
            },
            index=index,
        )
    exact = None
    if evidence is not None and "evidence_mean" in fit.posterior["posterior"]:
        exact = evidence * 0
    return {
        "evidence_se": exact,
        "n_tiles": exact,
        "new": evidence,
        "cohort": pd.Series([fit.cohorts[0]], index=index),
        "covariates": covariates,
    }


def _shape_integral(truth: xr.Dataset, baseline: Baseline, times: FloatArray) -> FloatArray:
    """Cumulative hazard at intercept and eta 0."""
    if baseline.kind == "weibull":
        return np.asarray((times / baseline.time_scale) ** stacked(truth, "shape")[0])
    return np.asarray(log_hazard_terms(baseline, times)[1] @ stacked(truth, "weight")[0])


def _invert(truth: xr.Dataset, baseline: Baseline, target: FloatArray) -> FloatArray:
    """Return the times at which the cumulative hazard at intercept and eta 0 reaches the target."""
    if baseline.kind == "weibull":
        with np.errstate(over="ignore"):
            return np.asarray(baseline.time_scale * target ** (1 / stacked(truth, "shape")[0]))
    low, high = np.zeros(target.size), np.full(target.size, baseline.knots[-1])
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        below = _shape_integral(truth, baseline, middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    last = np.array([baseline.knots[-1]])
    beyond = target - _shape_integral(truth, baseline, last)
    rate = _shape_integral(truth, baseline, last + 1.0) - _shape_integral(truth, baseline, last)
    return np.where(beyond > 0, last + beyond / rate, high)
