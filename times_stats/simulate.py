"""Simulated region-level studies with known truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng

_REGIONS = ("tumour_centre", "invasive_front", "peritumour", "adjacent")
_STAGES = {"tnm": ("I", "II", "III", "IV"), "bclc": ("0", "A", "B", "C")}
_STAGE_CUTS = (-0.5, 0.4, 1.2)
_WEIBULL_SHAPE = 1.1
_MEDIAN_MONTHS = 40.0
_FOLLOW_UP_MONTHS = (20.0, 80.0)
_COHORT_SD = 0.3
_MARKER_CORRELATION = 0.3


@dataclass(frozen=True, slots=True)
class SimulatedStudy:
    """A synthetic study and the truth behind it.

    Attributes
    ----------
    patients : DataFrame
        Columns patient_id, cohort, time (months), event, tnm, bclc; sorted by patient_id.
    measurements : DataFrame
        Long table patient_id, region, marker, value (arbitrary staining unit, positive).
    truth : dict
        ``linear_predictor``, ``level_index``, ``location_index`` and ``stage_latent`` (Series by
        patient_id), ``levels`` (DataFrame patient x marker, standardised log amounts),
        ``cohort_effect`` (Series), the keyword arguments, ``shape`` and ``scale`` of the Weibull
        baseline: ``S(t | x) = exp(-(t / scale)^shape * exp(linear_predictor))``.
    """

    patients: pd.DataFrame
    measurements: pd.DataFrame
    truth: dict[str, Any] = field(default_factory=dict)


def simulate_study(
    *,
    n_patients: int = 163,
    markers: int = 5,
    regions: int = 2,
    effect: float = 0.4,
    location_effect: float = 0.0,
    stage_effect: float = 0.3,
    n_cohorts: int = 1,
    missing_block: bool = False,
    seed: int,
) -> SimulatedStudy:
    """Simulate stainings by region and a censored Weibull outcome with known truth.

    Each marker has an *amount* (log-normal, correlated .3 between markers) and *shares* that spread
    it over the regions, the first region holding most on average; a region's value is amount x
    shares x number of regions, so the plain mean over regions is exactly the amount. Level and
    location are therefore separate by construction: with ``location_effect=0`` the outcome is
    independent of where the markers sit, given how much of them there is.

    Parameters
    ----------
    n_patients : int, default 163
        Number of patients.
    markers : int, default 5
        Number of markers, named M1, M2, ...
    regions : int, default 2
        Number of regions: tumour_centre, invasive_front, peritumour, adjacent, region_5, ...
    effect : float, default 0.4
        Log hazard ratio per standard deviation of the level index (mean of the standardised log
        amounts, itself scaled to standard deviation 1 in the population).
    location_effect : float, default 0.0
        Log hazard ratio per standard deviation of the location index: how much of marker M1 sits
        in the first region rather than in the others (centred log share of that region).
    stage_effect : float, default 0.3
        Log hazard ratio per standard deviation of the latent severity behind tnm and bclc.
    n_cohorts : int, default 1
        Number of cohorts, named C1, C2, ... with effects on the log hazard of sd .3.
    missing_block : bool, default False
        Leave the second half of the markers unmeasured in a random 40 % of the patients.
    seed : int
        Seed; the same seed and arguments give the same study.

    Returns
    -------
    SimulatedStudy
        Patients, measurements and truth. About half of the patients have the event.

    Raises
    ------
    InputError
        If a count is too small, or a block is asked to be missing of a single marker.

    Examples
    --------
    >>> study = simulate_study(n_patients=50, markers=2, location_effect=0.7, seed=1)
    >>> study.measurements.shape
    (200, 4)
    >>> study.truth["linear_predictor"].index[0]
    'P001'
    """
    _check_arguments(n_patients, markers, regions, n_cohorts, missing_block=missing_block)
    names = [f"M{1 + m}" for m in range(markers)]
    places = [_REGIONS[r] if r < len(_REGIONS) else f"region_{1 + r}" for r in range(regions)]
    width = max(3, len(str(n_patients)))
    ids = pd.Index([f"P{1 + i:0{width}d}" for i in range(n_patients)], name="patient_id")

    rng = spawn_rng(seed, "simulate", "tissue")
    levels = _correlated_normals(rng, n_patients, markers)
    log_share = rng.standard_normal((n_patients, markers, regions))
    log_share -= log_share.mean(axis=2, keepdims=True)
    shares = np.exp(0.7 * log_share + np.linspace(0.3, -0.3, regions))
    shares /= shares.sum(axis=2, keepdims=True)
    amounts = np.exp(4.0 + 0.6 * levels)
    values = amounts[:, :, None] * shares * regions

    index_sd = np.sqrt((1.0 + (markers - 1) * _MARKER_CORRELATION) / markers)
    level_index = levels.mean(axis=1) / index_sd
    location_index = np.zeros(n_patients)
    if regions > 1:
        location_index = log_share[:, 0, 0] / np.sqrt(1.0 - 1.0 / regions)
    stage_latent = rng.standard_normal(n_patients)
    cohort_code = np.arange(n_patients) % n_cohorts
    cohort_effect = _COHORT_SD * rng.standard_normal(n_cohorts) * (n_cohorts > 1)
    linear_predictor = (
        effect * level_index
        + location_effect * location_index
        + stage_effect * stage_latent
        + cohort_effect[cohort_code]
    )
    time, event, scale = _simulate_outcome(linear_predictor, spawn_rng(seed, "simulate", "outcome"))
    cohorts = np.array([f"C{1 + c}" for c in range(n_cohorts)], dtype=object)
    noise = spawn_rng(seed, "simulate", "staging").standard_normal((2, n_patients))
    patients = pd.DataFrame(
        {
            "patient_id": ids.to_numpy(),
            "cohort": cohorts[cohort_code],
            "time": time,
            "event": event,
            **{
                name: np.array(labels, dtype=object)[
                    np.digitize(0.8 * stage_latent + 0.6 * noise[row], _STAGE_CUTS)
                ]
                for row, (name, labels) in enumerate(_STAGES.items())
            },
        }
    )
    measurements = _long_table(values, ids, places, names)
    if missing_block:
        measurements = _drop_block(measurements, ids, names, spawn_rng(seed, "simulate", "block"))
    truth = {
        "linear_predictor": pd.Series(linear_predictor, index=ids),
        "level_index": pd.Series(level_index, index=ids),
        "location_index": pd.Series(location_index, index=ids),
        "stage_latent": pd.Series(stage_latent, index=ids),
        "levels": pd.DataFrame(levels, index=ids, columns=names),
        "cohort_effect": pd.Series(cohort_effect, index=cohorts),
        "effect": effect,
        "location_effect": location_effect,
        "stage_effect": stage_effect,
        "shape": _WEIBULL_SHAPE,
        "scale": scale,
    }
    return SimulatedStudy(patients, measurements, truth)


def _check_arguments(
    n_patients: int, markers: int, regions: int, n_cohorts: int, *, missing_block: bool
) -> None:
    faults = [
        f"{name} must be at least {least}, got {value}"
        for name, value, least in (
            ("n_patients", n_patients, 10),
            ("markers", markers, 1),
            ("regions", regions, 1),
            ("n_cohorts", n_cohorts, 1),
        )
        if value < least
    ]
    if missing_block and markers < 2:
        faults.append("missing_block needs at least two markers: raise markers")
    if faults:
        raise InputError(faults)


def _correlated_normals(rng: np.random.Generator, n: int, k: int) -> FloatArray:
    shared = rng.standard_normal((n, 1))
    own = rng.standard_normal((n, k))
    mixed: FloatArray = (
        np.sqrt(_MARKER_CORRELATION) * shared + np.sqrt(1.0 - _MARKER_CORRELATION) * own
    )
    return mixed


def _simulate_outcome(
    linear_predictor: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, np.ndarray, float]:
    n = linear_predictor.size
    scale = _MEDIAN_MONTHS / np.log(2.0) ** (1.0 / _WEIBULL_SHAPE)
    event_time = scale * (rng.exponential(size=n) * np.exp(-linear_predictor)) ** (
        1.0 / _WEIBULL_SHAPE
    )
    censoring = rng.uniform(*_FOLLOW_UP_MONTHS, size=n)
    time = np.maximum(np.round(np.minimum(event_time, censoring), 1), 0.1)
    return time, (event_time <= censoring).astype(np.int64), float(scale)


def _long_table(
    values: FloatArray, ids: pd.Index, places: list[str], names: list[str]
) -> pd.DataFrame:
    keys = pd.MultiIndex.from_product(
        [ids, names, places], names=["patient_id", "marker", "region"]
    )
    long = pd.DataFrame({"value": values.ravel()}, index=keys).reset_index()
    long = long[["patient_id", "region", "marker", "value"]]
    return long.sort_values(["patient_id", "marker", "region"], ignore_index=True)


def _drop_block(
    measurements: pd.DataFrame, ids: pd.Index, names: list[str], rng: np.random.Generator
) -> pd.DataFrame:
    absent = names[(len(names) + 1) // 2 :]
    without = ids[np.sort(rng.permutation(len(ids))[: round(0.4 * len(ids))])]
    gone = measurements["marker"].isin(absent) & measurements["patient_id"].isin(without)
    return measurements[~gone].reset_index(drop=True)
