"""Simulated studies with cells: level and location of immune cells in tissue, and an outcome."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from times_stats._checks import Faults
from times_stats._typing import FloatArray, IntArray
from times_stats.resampling import spawn_rng
from times_stats.simulate.image_noise import check_image_icc, image_deviation_sd
from times_stats.simulate.patient_outcomes import (
    PatientDesign,
    check_counts,
    check_effects,
    check_seed,
    correlated_levels,
    patient_ids,
    simulate_patients,
)
from times_stats.simulate.placement import draw_places
from times_stats.simulate.simulated import SimulatedStudy
from times_stats.simulate.tissue import Nests, TissueDesign, draw_nests

TUMOUR = "tumour"
STROMA = "stroma"
_PATIENTS = PatientDesign()
_TISSUE = TissueDesign()


def simulate_cells(
    *,
    n_patients: int = 40,
    n_images: int = 1,
    markers: int = 2,
    effect: float = 0.4,
    location_effect: float = 0.0,
    stage_effect: float = 0.3,
    n_cohorts: int = 1,
    image_icc: float | Sequence[float] | None = None,
    tissue_design: TissueDesign = _TISSUE,
    patient_design: PatientDesign = _PATIENTS,
    seed: int,
) -> SimulatedStudy:
    """Simulate images of cells, and a censored Weibull outcome with known truth.

    An image is a square window with nests of tumour: tumour cells in them, stroma cells around
    them. Immune cells come in types M1, M2, ... The *level* of a marker is the expected number of
    its cells per mm^2 of the image, wherever they are; its *location* is the share of them in the
    invasive front. The number of cells is drawn first, and the places after it: with the same seed
    another location leaves every number as it is. Nests differ between images and say nothing
    about the outcome.

    Without clusters the number is Poisson. With clusters, parents are Poisson and each has a
    Poisson number of cells, so that numbers are over-dispersed around the same expectation, and
    cells lie around their parents, inside the parent's compartment.

    Parameters
    ----------
    n_patients : int, default 40
        Number of patients.
    n_images : int, default 1
        Images of each patient. With more than one, or with `image_icc`, level and location of
        images scatter around those of their patient.
    markers : int, default 2
        Number of types of immune cells.
    effect : float, default 0.4
        Log hazard ratio per standard deviation of the level index (mean of the standardised log
        levels, scaled to standard deviation 1).
    location_effect : float, default 0.0
        Log hazard ratio per standard deviation of the location of M1 (logit of its share in the
        front).
    stage_effect : float, default 0.3
        Log hazard ratio per standard deviation of the latent severity behind tnm and bclc.
    n_cohorts : int, default 1
        Number of cohorts.
    image_icc : float or sequence of float, optional
        As in `simulate_study`, of log levels and locations.
    tissue_design : TissueDesign
        Window, nests, numbers of cells, front, exclusion and clusters.
    patient_design : PatientDesign
        Sizes of the cohorts, baseline hazard, censoring, and how well stages follow severity.
    seed : int
        Seed; the same seed and arguments give the same study.

    Returns
    -------
    SimulatedStudy
        With cells. The truth also holds ``locations`` (DataFrame patient x marker, standardised),
        ``expected_intensity`` (DataFrame patient x marker, cells per mm^2 of an image, without the
        scatter of images), ``expected_shares`` (DataFrame patient x (marker, region)), ``images``
        (DataFrame, one row per image: ``tumour_share`` and the area of each region, mm^2) and
        every other keyword argument as given.

    Raises
    ------
    InputError
        If a count is too small, the seed is no whole number from 0 on, an option is out of its
        range, or the nests leave no room for a compartment.

    References
    ----------
    Thomas M. (1949). A generalization of Poisson's binomial limit for use in ecology. *Biometrika*
    36, 18-25. doi:10.1093/biomet/36.1-2.18

    Examples
    --------
    >>> study = simulate_cells(n_patients=10, location_effect=0.7, seed=1)
    >>> study.cells.columns.tolist()
    ['patient_id', 'image_id', 'x', 'y', 'cell_type', 'region']
    >>> sorted(study.cells["cell_type"].unique())
    ['M1', 'M2', 'stroma', 'tumour']
    """
    faults = Faults()
    check_counts(
        n_patients=n_patients,
        n_cohorts=n_cohorts,
        patients=patient_design,
        faults=faults,
        markers=markers,
        n_images=n_images,
    )
    check_effects(faults, effect=effect, location_effect=location_effect, stage_effect=stage_effect)
    check_seed(seed, faults=faults)
    faults.raise_if_any()
    icc = check_image_icc(image_icc, markers=markers, faults=faults)
    faults.raise_if_any()
    names = [f"M{1 + m}" for m in range(markers)]
    regions = list(tissue_design.compartments.names)
    ids = patient_ids(n_patients)

    levels = correlated_levels(spawn_rng(seed, "simulate", "levels"), n_patients, markers)
    rng = spawn_rng(seed, "simulate", "locations")
    locations = rng.standard_normal((n_patients, markers))
    patients, _, truth = simulate_patients(
        spawn_rng(seed, "simulate", "severity"),
        ids,
        levels=levels,
        location_index=locations[:, 0],
        effect=effect,
        location_effect=location_effect,
        stage_effect=stage_effect,
        n_cohorts=n_cohorts,
        design=patient_design,
        seed=seed,
    )
    scatter = np.zeros(markers)
    if n_images > 1 or image_icc is not None:
        scatter = image_deviation_sd(icc)
    drawn = spawn_rng(seed, "simulate", "images").standard_normal(
        (2, n_patients, n_images, markers)
    )
    image_levels = levels[:, None] + scatter * drawn[0]
    image_locations = locations[:, None] + scatter * drawn[1]

    cells, images, counts = [], [], []
    for patient, patient_id in enumerate(ids):
        for image in range(n_images):
            keys = {"patient_id": patient_id, "image_id": f"{patient_id}_{1 + image}"}
            nests = draw_nests(spawn_rng(seed, "simulate", "nests", patient, image), tissue_design)
            found = _image_cells(
                nests,
                names,
                _intensity(tissue_design, image_levels[patient, image]),
                tissue_design.shares(image_locations[patient, image]),
                tissue_design,
                (seed, patient, image),
            )
            cells.append(found.assign(**keys))
            areas = dict(zip(regions, nests.areas, strict=True))
            images.append({**keys, "tumour_share": nests.share, **areas})
            counts.append(_measured(found, names, regions, nests.areas).assign(**keys))
    columns = pd.MultiIndex.from_product([names, regions], names=["marker", "region"])
    shares = tissue_design.shares(locations).reshape(n_patients, -1)
    truth |= {
        "levels": pd.DataFrame(levels, index=ids, columns=names),
        "locations": pd.DataFrame(locations, index=ids, columns=names),
        "expected_intensity": pd.DataFrame(
            _intensity(tissue_design, levels), index=ids, columns=names
        ),
        "expected_shares": pd.DataFrame(shares, index=ids, columns=columns),
        "images": pd.DataFrame(images),
        "image_icc": pd.Series(icc, index=names) if scatter.any() else None,
        "n_images": n_images,
        "tissue_design": tissue_design,
    }
    table = pd.concat(cells, ignore_index=True)
    measurements = pd.concat(counts, ignore_index=True)
    return SimulatedStudy(
        patients=patients,
        measurements=measurements[
            ["patient_id", "image_id", "region", "marker", "value", "weight"]
        ],
        truth=truth,
        cells=table[["patient_id", "image_id", "x", "y", "cell_type", "region"]],
    )


def _intensity(design: TissueDesign, levels: FloatArray) -> FloatArray:
    intensity: FloatArray = design.level * np.exp(design.level_sd * levels)
    return intensity


def _image_cells(
    nests: Nests,
    names: list[str],
    intensity: FloatArray,
    shares: FloatArray,
    design: TissueDesign,
    key: tuple[int, int, int],
) -> pd.DataFrame:
    """Return the cells of one image: x, y, cell_type, region."""
    seed, *image = key
    rng = spawn_rng(seed, "simulate", "numbers", *image)
    frame = rng.poisson(
        np.array([design.tumour_intensity, design.stroma_intensity])
        * np.array([nests.share, 1 - nests.share])
        * design.area_mm2
    )
    expected = intensity * design.area_mm2
    if design.cluster_size > 0:
        parents = rng.poisson(expected / design.cluster_size)
        numbers = rng.poisson(parents * design.cluster_size)
    else:
        parents, numbers = np.zeros(len(names), dtype=np.int64), rng.poisson(expected)

    rng = spawn_rng(seed, "simulate", "places", *image)
    clusters = [
        _clusters(rng, int(n), int(k), share)
        for n, k, share in zip(numbers, parents, shares, strict=True)
    ]
    needed = np.array([[cells.sum() for cells in marker] for marker in clusters]).sum(axis=0)
    crowd = np.array([frame[0], frame.sum(), frame[1]])  # of nests, of both, of the rest
    places = draw_places(rng, nests, design, needed=needed + crowd)
    rows: list[IntArray] = []
    types: list[np.ndarray] = []
    for name, marker in zip(names, clusters, strict=True):
        for compartment, sizes in enumerate(marker):
            where = places.compartment == compartment
            if design.cluster_size > 0:
                rows.append(places.take_around(rng, where, sizes, design.cluster_radius))
            else:
                rows.append(places.take(rng, where, int(sizes.sum())))
            types.append(np.full(len(rows[-1]), name, dtype=object))
    for where, n, usual, other in (
        (places.in_nest, frame[0], TUMOUR, STROMA),
        (~places.in_nest, frame[1], STROMA, TUMOUR),
    ):
        rows.append(places.take(rng, where, int(n)))
        types.append(np.where(rng.random(n) < design.purity, usual, other).astype(object))
    taken = np.concatenate(rows)
    regions = np.array(design.compartments.names, dtype=object)
    x, y = places.points[taken].T
    return pd.DataFrame(
        {
            "x": x,
            "y": y,
            "cell_type": np.concatenate(types),
            "region": regions[places.compartment[taken]],
        }
    )


def _clusters(
    rng: np.random.Generator, n_cells: int, n_parents: int, shares: FloatArray
) -> list[IntArray]:
    """Return the sizes of the clusters of each compartment; one each where there are no parents."""
    if n_parents == 0:
        return [np.array([n]) for n in rng.multinomial(n_cells, shares)]
    sizes = rng.multinomial(n_cells, np.full(n_parents, 1 / n_parents))
    home = rng.choice(len(shares), size=n_parents, p=shares)
    return [sizes[home == compartment] for compartment in range(len(shares))]


def _measured(
    cells: pd.DataFrame, names: list[str], regions: list[str], areas: FloatArray
) -> pd.DataFrame:
    """Return immune cells per mm^2 of the true regions, with their areas as weight."""
    keys = pd.MultiIndex.from_product([names, regions], names=["marker", "region"])
    seen = cells[cells["cell_type"].isin(names)]
    counted = seen.groupby(["cell_type", "region"]).size().reindex(keys, fill_value=0)
    weight = np.tile(areas, len(names))
    return pd.DataFrame(
        {"value": counted.to_numpy() / weight, "weight": weight}, index=keys
    ).reset_index()
