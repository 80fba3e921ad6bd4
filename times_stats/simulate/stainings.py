"""Stainings by region of a simulated study: amounts, shares, and how imperfectly they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import Faults
from times_stats._typing import FloatArray
from times_stats.resampling import spawn_rng
from times_stats.simulate.image_noise import as_row, check_image_icc, image_deviation_sd
from times_stats.simulate.patient_outcomes import (
    PatientDesign,
    check_counts,
    check_effects,
    check_seed,
    correlated_levels,
    patient_ids,
    simulate_patients,
)
from times_stats.simulate.simulated import SimulatedStudy

_REGIONS = ("tumour_centre", "invasive_front", "peritumour", "adjacent")
_LOG_AMOUNT = 4.0
_AMOUNT_SD = 0.6
_SHARE_SD = 0.7
_PATIENTS = PatientDesign()


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
    n_images: int = 1,
    image_icc: float | Sequence[float] | None = None,
    reliability: float | Sequence[float] = 1.0,
    region_spread: float | Sequence[float] = 1.0,
    region_shift: float | Sequence[float] = 0.0,
    batch_effect: float = 0.0,
    patient_design: PatientDesign = _PATIENTS,
    seed: int,
) -> SimulatedStudy:
    """Simulate stainings by region and a censored Weibull outcome with known truth.

    Each marker has an *amount* (log-normal, correlated .3 between markers) and *shares* that spread
    it over the regions, the first region holding most on average; a region's value is amount x
    shares x number of regions, so the plain mean over regions is exactly the amount. Level and
    location are therefore separate by construction: with ``location_effect=0`` the outcome is
    independent of where the markers sit, given how much of them there is.

    What is measured may be a worse picture of that. In this order: images scatter around their
    patient, a region is read with an error, is stretched, is shifted, and every cohort stains
    differently. The hazard never depends on any of these. A reliability or a shift that differs
    between regions, and any spread other than 1, mix level and location as measured; images,
    batches and a shift of all regions do not, and a common reliability hardly does.

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
        in the first region rather than in the others (centred log share of that region). Must be
        0 where there is one region.
    stage_effect : float, default 0.3
        Log hazard ratio per standard deviation of the latent severity behind tnm and bclc.
    n_cohorts : int, default 1
        Number of cohorts, named C1, C2, ... with effects on the log hazard of sd .3.
    missing_block : bool, default False
        Leave the second half of the markers unmeasured in a random 40 % of the patients.
    n_images : int, default 1
        Images (tiles) of each patient. With more than one, or with `image_icc`, images scatter
        around their patient, and the measurements carry ``image_id``.
    image_icc : float or sequence of float, optional
        Share of the variance between images that lies between patients, for all markers or for
        each; it holds for log amounts and log shares alike. By default that of five genes in
        multi-region liver cancer, in turn: .84, .69, .52, .65, .89.
    reliability : float or sequence of float, default 1.0
        Of all regions, or of each: variance of the patients' true log values as a share of that
        plus the variance of the error with which one image is read. It is the reliability of one
        image, before images scatter and before batches: every image is read with an error of its
        own, so the mean of k log readings has ``k r / (1 + (k - 1) r)``, scatter left out.
    region_spread : float or sequence of float, default 1.0
        Factor that stretches the log values of a region around 4, the mean log amount.
    region_shift : float or sequence of float, default 0.0
        Added to the log values of a region.
    batch_effect : float, default 0.0
        Standard deviation, between cohorts, of a shift of each marker's log values.
    patient_design : PatientDesign
        Sizes of the cohorts, baseline hazard, censoring, and how well stages follow severity.
    seed : int
        Seed; the same seed and arguments give the same study. An option of measurement leaves
        patients, outcomes and truth as they are.

    Returns
    -------
    SimulatedStudy
        Patients, measurements and truth. About half of the patients have the event. The truth
        also holds ``true_values`` (DataFrame patient x (marker, region): what would be measured
        of the patient without images, errors, stretches, shifts or batches), ``batch_shift``
        (DataFrame cohort x marker, log scale), ``image_icc`` (Series by marker, or None),
        ``reliability``, ``region_spread`` and ``region_shift`` (Series by region), and every other
        keyword argument as given.

    Raises
    ------
    InputError
        If a count is too small, the seed is no whole number from 0 on, a single region is to have
        an effect of location, a block is asked to be missing of a single marker, an option is out
        of its range or does not have one value per region, or a single cohort is to have batches.

    References
    ----------
    Losic B. et al. (2020). Intratumoral heterogeneity and clonal evolution in liver cancer.
    *Nat Commun* 11, 291. doi:10.1038/s41467-019-14050-z (one of the two multi-region studies)

    Examples
    --------
    >>> study = simulate_study(n_patients=50, markers=2, location_effect=0.7, seed=1)
    >>> study.measurements.shape
    (200, 4)
    >>> study.truth["linear_predictor"].index[0]
    'P001'
    >>> tiles = simulate_study(n_patients=50, n_images=3, reliability=(0.9, 0.5), seed=1)
    >>> tiles.measurements.columns.tolist()
    ['patient_id', 'image_id', 'region', 'marker', 'value']
    """
    faults = Faults()
    check_counts(
        n_patients=n_patients,
        n_cohorts=n_cohorts,
        patients=patient_design,
        faults=faults,
        markers=markers,
        regions=regions,
        n_images=n_images,
    )
    check_effects(faults, effect=effect, location_effect=location_effect, stage_effect=stage_effect)
    check_seed(seed, faults=faults)
    faults.raise_if_any()
    if regions == 1 and location_effect != 0:
        faults.add(
            f"location_effect is {location_effect:g}, and one region has no location: raise "
            "regions, or set location_effect to 0"
        )
    if missing_block and markers < 2:
        faults.add("missing_block needs at least two markers: raise markers")
    icc = check_image_icc(image_icc, markers=markers, faults=faults)
    reading = {
        name: _by_region(name, given, regions, faults)
        for name, given in (
            ("reliability", reliability),
            ("region_spread", region_spread),
            ("region_shift", region_shift),
        )
    }
    _check_reading(reading, batch_effect, n_cohorts, faults)
    faults.raise_if_any()
    names = [f"M{1 + m}" for m in range(markers)]
    places = [_REGIONS[r] if r < len(_REGIONS) else f"region_{1 + r}" for r in range(regions)]
    ids = patient_ids(n_patients)

    rng = spawn_rng(seed, "simulate", "tissue")
    levels = correlated_levels(rng, n_patients, markers)
    log_share = rng.standard_normal((n_patients, markers, regions))
    log_share -= log_share.mean(axis=2, keepdims=True)
    location_index = np.zeros(n_patients)
    if regions > 1:
        location_index = log_share[:, 0, 0] / np.sqrt(1.0 - 1.0 / regions)
    patients, cohort, truth = simulate_patients(
        rng,
        ids,
        levels=levels,
        location_index=location_index,
        effect=effect,
        location_effect=location_effect,
        stage_effect=stage_effect,
        n_cohorts=n_cohorts,
        design=patient_design,
        seed=seed,
    )

    true_values = _regional_values(levels, log_share)
    has_images = n_images > 1 or image_icc is not None
    values = true_values[:, None]
    if has_images:
        values = _images_of(levels, log_share, icc, n_images, spawn_rng(seed, "simulate", "images"))
    noise = spawn_rng(seed, "simulate", "reading").standard_normal(values.shape)
    shift = batch_effect * spawn_rng(seed, "simulate", "batches").standard_normal(
        (n_cohorts, markers)
    )
    values = _as_read(values, true_values, noise, reading, shift[cohort])
    measurements = _long_table(values, ids, names, places, has_images=has_images)
    if missing_block:
        measurements = _drop_block(measurements, ids, names, spawn_rng(seed, "simulate", "block"))
    columns = pd.MultiIndex.from_product([names, places], names=["marker", "region"])
    truth |= {
        "levels": pd.DataFrame(levels, index=ids, columns=names),
        "true_values": pd.DataFrame(
            true_values.reshape(n_patients, -1), index=ids, columns=columns
        ),
        "batch_shift": pd.DataFrame(shift, index=truth["cohort_effect"].index, columns=names),
        "image_icc": pd.Series(icc, index=names) if has_images else None,
        **{name: pd.Series(given, index=places) for name, given in reading.items()},
        "batch_effect": batch_effect,
        "regions": regions,
        "n_images": n_images,
        "missing_block": missing_block,
    }
    return SimulatedStudy(patients, measurements, truth)


def _by_region(name: str, given: Any, regions: int, faults: Faults) -> FloatArray:
    values = as_row(given, size=regions)
    if values is None:
        faults.add(
            f"{name} is {given!r}: give one number, or one for each of the {regions} regions"
        )
        return np.ones(regions)
    return values


def _check_reading(
    reading: dict[str, FloatArray], batch_effect: float, n_cohorts: int, faults: Faults
) -> None:
    reliability, spread = reading["reliability"], reading["region_spread"]
    if not ((reliability > 0) & (reliability <= 1)).all():
        faults.add("reliability is out of its range: give shares of the variance in (0, 1]")
    if not (np.isfinite(spread) & (spread > 0)).all():
        faults.add("region_spread is out of its range: give positive factors")
    if not np.isfinite(reading["region_shift"]).all():
        faults.add("region_shift is not finite: give shifts of the log values")
    if not (np.isfinite(batch_effect) and batch_effect >= 0):
        faults.add(f"batch_effect is {batch_effect}: give a standard deviation from 0 on")
    elif batch_effect > 0 and n_cohorts < 2:
        faults.add("batch_effect needs at least two cohorts: raise n_cohorts")


def _regional_values(levels: FloatArray, log_share: FloatArray) -> FloatArray:
    """Return amount x share x regions, of levels (..., markers), shares (..., markers, regions)."""
    regions = log_share.shape[-1]
    shares = np.exp(_SHARE_SD * log_share + np.linspace(0.3, -0.3, regions))
    shares /= shares.sum(axis=-1, keepdims=True)
    amounts = np.exp(_LOG_AMOUNT + _AMOUNT_SD * levels)
    values: FloatArray = amounts[..., None] * shares * regions
    return values


def _images_of(
    levels: FloatArray,
    log_share: FloatArray,
    icc: FloatArray,
    n_images: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the values of images, shape (n_patients, n_images, markers, regions)."""
    n_patients, markers, regions = log_share.shape
    sd = image_deviation_sd(icc)
    level = sd * rng.standard_normal((n_patients, n_images, markers))
    share = sd[:, None] * rng.standard_normal((n_patients, n_images, markers, regions))
    share -= share.mean(axis=-1, keepdims=True)
    return _regional_values(levels[:, None] + level, log_share[:, None] + share)


def _as_read(
    values: FloatArray,
    true_values: FloatArray,
    noise: FloatArray,
    reading: dict[str, FloatArray],
    batch: FloatArray,
) -> FloatArray:
    """Return the values as they are measured; untouched where nothing blurs or moves them."""
    reliability, spread, shift = (
        reading[name] for name in ("reliability", "region_spread", "region_shift")
    )
    if (reliability == 1).all() and (spread == 1).all() and not shift.any() and not batch.any():
        return values
    variance = np.log(true_values).var(axis=0, ddof=1)
    log_values = np.log(values) + noise * np.sqrt(variance * (1.0 - reliability) / reliability)
    log_values = _LOG_AMOUNT + spread * (log_values - _LOG_AMOUNT) + shift
    measured: FloatArray = np.exp(log_values + batch[:, None, :, None])
    return measured


def _long_table(
    values: FloatArray, ids: pd.Index, names: list[str], places: list[str], *, has_images: bool
) -> pd.DataFrame:
    n_images = values.shape[1]
    keys = pd.MultiIndex.from_product(
        [ids, range(1, 1 + n_images), names, places],
        names=["patient_id", "image", "marker", "region"],
    )
    long = pd.DataFrame({"value": values.ravel()}, index=keys).reset_index()
    images = []
    if has_images:
        long["image_id"] = long["patient_id"] + "_" + long["image"].astype(str)
        images = ["image_id"]
    # by number: the tenth image stands behind the second
    long = long.sort_values(["patient_id", "image", "marker", "region"], ignore_index=True)
    return long[["patient_id", *images, "region", "marker", "value"]]


def _drop_block(
    measurements: pd.DataFrame, ids: pd.Index, names: list[str], rng: np.random.Generator
) -> pd.DataFrame:
    absent = names[(len(names) + 1) // 2 :]
    without = ids[np.sort(rng.permutation(len(ids))[: round(0.4 * len(ids))])]
    gone = measurements["marker"].isin(absent) & measurements["patient_id"].isin(without)
    return measurements[~gone].reset_index(drop=True)
