"""Patients of a simulated study: cohorts, recorded stages, and a censored Weibull outcome."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import Faults
from times_stats._typing import FloatArray, IntArray
from times_stats.resampling import spawn_rng

_STAGES = {"tnm": ("I", "II", "III", "IV"), "bclc": ("0", "A", "B", "C")}
_CUTS = (-0.5, 0.4, 1.2)
_MARKER_CORRELATION = 0.3


@dataclass(frozen=True, slots=True)
class PatientDesign:
    """Who the simulated patients are, and how they fare.

    Attributes
    ----------
    cohort_sizes : tuple of int or None
        Patients of each cohort, in this order; None deals the patients out evenly.
    cohort_sd : float
        Standard deviation of the effects of cohorts on the log hazard.
    median_months : float
        Median time to the event at a linear predictor of 0.
    shape : float
        Shape of the Weibull baseline.
    follow_up : tuple of float
        Censoring is uniform between these months. Times are rounded to a tenth of a month, and are
        at least .1; whether the event came first is settled before rounding.
    stage_agreement : tuple of float
        Correlation of the grade behind ``tnm`` and behind ``bclc`` with the latent severity that
        the hazard depends on; 0 for a stage that says nothing, 1 for one that says all.
    tnm_cuts, bclc_cuts : tuple of float
        Standard normal quantiles that cut a grade into four stages, increasing; minus infinity
        for a stage that does not occur.

    Raises
    ------
    InputError
        Lists every setting that cannot be used.

    Examples
    --------
    >>> PatientDesign(cohort_sizes=(61, 102)).cohort_sizes
    (61, 102)
    """

    cohort_sizes: tuple[int, ...] | None = None
    cohort_sd: float = 0.3
    median_months: float = 40.0
    shape: float = 1.1
    follow_up: tuple[float, float] = (20.0, 80.0)
    stage_agreement: tuple[float, float] = (0.8, 0.8)
    tnm_cuts: tuple[float, float, float] = _CUTS
    bclc_cuts: tuple[float, float, float] = _CUTS

    def __post_init__(self) -> None:
        faults = Faults()
        if self.cohort_sizes is not None and (
            not self.cohort_sizes or any(size < 1 for size in self.cohort_sizes)
        ):
            faults.add(f"cohort_sizes is {self.cohort_sizes}: give one patient or more per cohort")
        if not (math.isfinite(self.cohort_sd) and self.cohort_sd >= 0):
            faults.add(f"cohort_sd is {self.cohort_sd}: give a number from 0 on")
        for name in ("median_months", "shape"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                faults.add(f"{name} is {value}: give a positive number")
        if len(self.follow_up) != 2 or not (0 < self.follow_up[0] <= self.follow_up[1] < math.inf):
            faults.add(
                f"follow_up is {self.follow_up}: give two positive months, the earlier first"
            )
        pair = self.stage_agreement
        if len(pair) != 2 or any(not 0 <= value <= 1 for value in pair):
            faults.add(f"stage_agreement is {pair}: give two correlations from 0 to 1")
        for name in ("tnm_cuts", "bclc_cuts"):
            cuts = getattr(self, name)
            if len(cuts) != 3 or any(not a <= b for a, b in pairwise(cuts)):
                faults.add(f"{name} is {cuts}: give three numbers in increasing order")
        faults.raise_if_any("patients")


def check_counts(
    *, n_patients: int, n_cohorts: int, patients: PatientDesign, faults: Faults, **counts: int
) -> None:
    """Record counts that are too small, and cohorts that do not add up.

    Parameters
    ----------
    n_patients, n_cohorts : int
        Numbers of patients and of cohorts.
    patients : PatientDesign
        With the sizes of the cohorts, where they are given.
    faults : Faults
        Collects what is wrong.
    **counts : int
        Other counts by their argument's name; each must be 1 or more.

    Examples
    --------
    >>> faults = Faults()
    >>> check_counts(n_patients=3, n_cohorts=1, patients=PatientDesign(), faults=faults, markers=1)
    >>> faults.messages
    ['n_patients must be at least 10, got 3']
    """
    least = {"n_patients": 10}
    for name, value in {"n_patients": n_patients, **counts, "n_cohorts": n_cohorts}.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            faults.add(f"{name} is {value!r}: give a whole number")
        elif value < least.get(name, 1):
            faults.add(f"{name} must be at least {least.get(name, 1)}, got {value}")
    sizes = patients.cohort_sizes
    if sizes is not None and (len(sizes) != n_cohorts or sum(sizes) != n_patients):
        faults.add(
            f"cohort_sizes names {len(sizes)} cohorts of {sum(sizes)} patients, and the study has "
            f"{n_cohorts} of {n_patients}: set n_cohorts and n_patients to match"
        )


def check_seed(seed: object, *, faults: Faults) -> None:
    """Record a seed that is no whole number from 0 on.

    Parameters
    ----------
    seed : object
        What was given.
    faults : Faults
        Collects what is wrong.

    Examples
    --------
    >>> faults = Faults()
    >>> check_seed(1.5, faults=faults)
    >>> faults.messages
    ['seed is 1.5: give a whole number from 0 on']
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        faults.add(f"seed is {seed!r}: give a whole number from 0 on")


def check_effects(faults: Faults, **effects: float) -> None:
    """Record effects on the log hazard that are not finite.

    Parameters
    ----------
    faults : Faults
        Collects what is wrong.
    **effects : float
        Effects by their argument's name.

    Examples
    --------
    >>> faults = Faults()
    >>> check_effects(faults, effect=float("nan"))
    >>> faults.messages
    ['effect is nan: give a finite log hazard ratio']
    """
    for name, value in effects.items():
        if not math.isfinite(value):
            faults.add(f"{name} is {value}: give a finite log hazard ratio")


def patient_ids(n_patients: int) -> pd.Index:
    """Return the names P001, P002, ... of the patients.

    Parameters
    ----------
    n_patients : int
        Number of patients.

    Returns
    -------
    Index
        Named ``patient_id``, sorted.

    Examples
    --------
    >>> list(patient_ids(2))
    ['P001', 'P002']
    """
    width = max(3, len(str(n_patients)))
    return pd.Index([f"P{1 + i:0{width}d}" for i in range(n_patients)], name="patient_id")


def correlated_levels(rng: np.random.Generator, n_patients: int, markers: int) -> FloatArray:
    """Draw standard normal levels, correlated .3 between markers.

    Parameters
    ----------
    rng : Generator
        Source of random numbers.
    n_patients, markers : int
        Shape.

    Returns
    -------
    ndarray of shape (n_patients, markers)

    Examples
    --------
    >>> correlated_levels(np.random.default_rng(1), 5, 2).shape
    (5, 2)
    """
    shared = rng.standard_normal((n_patients, 1))
    own = rng.standard_normal((n_patients, markers))
    mixed: FloatArray = (
        np.sqrt(_MARKER_CORRELATION) * shared + np.sqrt(1.0 - _MARKER_CORRELATION) * own
    )
    return mixed


def level_index(levels: FloatArray) -> FloatArray:
    """Return the mean of the levels, scaled to standard deviation 1 in the population.

    Parameters
    ----------
    levels : ndarray of shape (n_patients, markers)
        From `correlated_levels`.

    Returns
    -------
    ndarray of shape (n_patients,)

    Examples
    --------
    >>> level_index(np.array([[2.0]]))
    array([2.])
    """
    markers = levels.shape[1]
    index_sd = np.sqrt((1.0 + (markers - 1) * _MARKER_CORRELATION) / markers)
    index: FloatArray = levels.mean(axis=1) / index_sd
    return index


def simulate_patients(
    rng: np.random.Generator,
    ids: pd.Index,
    *,
    levels: FloatArray,
    location_index: FloatArray,
    effect: float,
    location_effect: float,
    stage_effect: float,
    n_cohorts: int,
    design: PatientDesign,
    seed: int,
) -> tuple[pd.DataFrame, IntArray, dict[str, Any]]:
    """Draw severity, cohorts, stages and the outcome of patients whose tissue is known.

    Parameters
    ----------
    rng : Generator
        The stream of the tissue, from which severity and cohort effects are drawn next.
    ids : Index
        Patients.
    levels : ndarray of shape (n, markers)
        Standardised log amounts.
    location_index : ndarray of shape (n,)
        Standardised location.
    effect, location_effect, stage_effect : float
        Log hazard ratios per standard deviation.
    n_cohorts : int
        Number of cohorts.
    design : PatientDesign
        Who the patients are.
    seed : int
        Seed of the study.

    Returns
    -------
    patients : DataFrame
        As in `SimulatedStudy`.
    cohort : ndarray of int, shape (n,)
        Number of each patient's cohort.
    truth : dict
        What every simulation tells of its patients.
    """
    n = len(ids)
    stage_latent = rng.standard_normal(n)
    cohort = np.arange(n) % n_cohorts
    if design.cohort_sizes is not None:
        cohort = np.repeat(np.arange(n_cohorts), design.cohort_sizes)
    cohort_effect = design.cohort_sd * rng.standard_normal(n_cohorts) * (n_cohorts > 1)
    index = level_index(levels)
    linear_predictor = (
        effect * index
        + location_effect * location_index
        + stage_effect * stage_latent
        + cohort_effect[cohort]
    )
    outcome_rng = spawn_rng(seed, "simulate", "outcome")
    time, event, scale = _simulate_outcome(linear_predictor, outcome_rng, design)
    cohorts = np.array([f"C{1 + c}" for c in range(n_cohorts)], dtype=object)
    noise = spawn_rng(seed, "simulate", "staging").standard_normal((2, n))
    patients = pd.DataFrame(
        {
            "patient_id": ids.to_numpy(),
            "cohort": cohorts[cohort],
            "time": time,
            "event": event,
        }
    )
    cuts = (design.tnm_cuts, design.bclc_cuts)
    for row, (name, labels) in enumerate(_STAGES.items()):
        agreement = design.stage_agreement[row]
        grade = agreement * stage_latent + math.sqrt(1.0 - agreement**2) * noise[row]
        patients[name] = np.array(labels, dtype=object)[np.digitize(grade, cuts[row])]
    truth = {
        "linear_predictor": pd.Series(linear_predictor, index=ids),
        "level_index": pd.Series(index, index=ids),
        "location_index": pd.Series(location_index, index=ids),
        "stage_latent": pd.Series(stage_latent, index=ids),
        "cohort_effect": pd.Series(cohort_effect, index=cohorts),
        "effect": effect,
        "location_effect": location_effect,
        "stage_effect": stage_effect,
        "shape": design.shape,
        "scale": scale,
        "n_patients": n,
        "markers": levels.shape[1],
        "n_cohorts": n_cohorts,
        "seed": int(seed),
        "patient_design": design,
    }
    return patients, cohort, truth


def _simulate_outcome(
    linear_predictor: FloatArray, rng: np.random.Generator, design: PatientDesign
) -> tuple[FloatArray, IntArray, float]:
    n = linear_predictor.size
    scale = design.median_months / np.log(2.0) ** (1.0 / design.shape)
    event_time = scale * (rng.exponential(size=n) * np.exp(-linear_predictor)) ** (
        1.0 / design.shape
    )
    censoring = rng.uniform(*design.follow_up, size=n)
    time = np.maximum(np.round(np.minimum(event_time, censoring), 1), 0.1)
    return time, (event_time <= censoring).astype(np.int64), float(scale)
