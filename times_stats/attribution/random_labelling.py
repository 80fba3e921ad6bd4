"""Null of location for cells: the marks of immune cells move over their positions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from times_stats._checks import Faults
from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.null_inputs import (
    UntestableError,
    by_region,
    check_outcome,
    check_permutations,
    marker_and_region_names,
)
from times_stats.attribution.rank_scores import normal_scores_within
from times_stats.attribution.score_statistic import (
    NullTest,
    compare_contrasts,
    fit_without_location,
    weak_columns,
)
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng


def random_labelling_test(
    counts: pd.DataFrame,
    immune: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    stages: pd.DataFrame | None = None,
    n_permutations: int = 199,
    stop_after: int | None = None,
    seed: int = 0,
) -> NullTest:
    r"""Test location by moving the marks of immune cells over the positions of immune cells.

    Tumour cells, stroma cells, the boundary and the positions of all immune cells stay. Which of
    the immune cells carry a mark is drawn anew in each image, so that the number of marked cells by
    region is multivariate hypergeometric. With :math:`K_{imr}` marked cells and :math:`E_{imr}`
    expected by the share of immune cells in the region, each summed over the images of a patient,
    the contrast is :math:`c_{imr} = \log((K_{imr} + 1/2) / (E_{imr} + 1/2))` less its mean over
    patients; statistic and residuals are those of `label_exchangeability_test`, the levels being
    the numbers of cells of each mark and of immune cells in each region.

    Parameters
    ----------
    counts : DataFrame of int, shape (n_images, n_markers * n_regions)
        Marked cells of each image, indexed by (patient_id, image_id), columns (marker, region). A
        cell carries one mark at most: give disjoint phenotypes.
    immune : DataFrame of int, shape (n_images, n_regions)
        Immune cells, marked or not; same index, a column per region.
    outcome, stages
        As for `label_exchangeability_test`, indexed by patient_id.
    n_permutations, stop_after, seed
        As for `label_exchangeability_test`.

    Returns
    -------
    NullTest

    Raises
    ------
    InputError
        Tables of different images or patients; more marked than immune cells in a region.

    References
    ----------
    Besag J., Clifford P. (1991). Sequential Monte Carlo p-values. *Biometrika* 78, 301-304.
    doi:10.1093/biomet/78.2.301

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = pd.MultiIndex.from_product(
    ...     [[f"P{i:02d}" for i in range(60)], ["a"]], names=["patient_id", "image_id"]
    ... )
    >>> immune = pd.DataFrame({"front": 40, "centre": 60}, index=images)
    >>> marked = rng.binomial(immune["front"], 0.2), rng.binomial(immune["centre"], 0.2)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["front", "centre"]])
    >>> counts = pd.DataFrame(np.column_stack(marked), index=images, columns=columns)
    >>> outcome = pd.DataFrame(
    ...     {"time": rng.exponential(20, 60) + 0.1, "event": 1}, index=images.get_level_values(0)
    ... )
    >>> found = random_labelling_test(counts, immune, outcome, seed=1)
    >>> 0.05 < found.p_value <= 1
    True
    """
    check_permutations(n_permutations, stop_after)
    table, cohort = check_outcome(outcome, stages)
    marked, positions, patient = _check_counts(counts, immune, table)
    n, n_regions = len(table), positions.shape[1]
    total = marked.sum(axis=2)
    share = positions / np.maximum(positions.sum(axis=1, keepdims=True), 1)
    expected = _by_patient(total[:, :, None] * share[:, None, :], patient, n)
    cells = _by_patient(positions, patient, n)
    held = np.log(np.column_stack([_by_patient(total, patient, n), cells]) + 0.5)
    levels = normal_scores_within(held, cohort)
    known = np.column_stack([weak_columns(table, stages), levels])
    fixed = fit_without_location(table, known)
    rng = spawn_rng(seed, "random labelling")

    def contrasts(drawn: IntArray) -> FloatArray:
        found = np.log((_by_patient(drawn, patient, n) + 0.5) / (expected + 0.5))
        return np.asarray(found - found.mean(axis=0))

    def place(size: int) -> FloatArray:
        """Draw marked cells by region, one marker after the other among the cells left."""
        free = np.repeat(positions[None], size, axis=0)
        drawn = np.empty((size, *marked.shape), dtype=np.int64)
        for m in range(marked.shape[1]):
            left, rest = np.broadcast_to(total[:, m], (size, len(total))).copy(), free.sum(axis=2)
            for r in range(n_regions):
                rest = rest - free[:, :, r]
                drawn[:, :, m, r] = rng.hypergeometric(free[:, :, r], rest, left)
                left -= drawn[:, :, m, r]
            free -= drawn[:, :, m]
        return np.stack([contrasts(one) for one in drawn])

    contrast = contrasts(marked)
    if not contrast.any():
        raise UntestableError("every immune cell or none carries the marks: nothing can move")
    return compare_contrasts(
        "random labelling",
        fixed,
        contrast,
        permute=place,
        n_permutations=n_permutations,
        stop_after=stop_after,
        columns=counts.columns,
        before=contrast,
        notes=[],
    )


def _by_patient(values: FloatArray | IntArray, patient: IntArray, n: int) -> FloatArray:
    total = np.zeros((n, *values.shape[1:]))
    np.add.at(total, patient, values)
    return total


def _check_counts(
    counts: pd.DataFrame, immune: pd.DataFrame, table: pd.DataFrame
) -> tuple[IntArray, IntArray, IntArray]:
    """Return marked (image, marker, region) and immune cells (image, region), patient of each."""
    faults = Faults()
    if not counts.index.equals(immune.index):
        faults.add("counts and immune are not of the same images in the same order")
    if counts.index.nlevels != 2 or not counts.index.is_unique:
        faults.add("counts must be indexed by (patient_id, image_id), each image once")
    if counts.columns.nlevels != 2 or not counts.columns.is_unique:
        faults.add("counts must have columns of (marker, region), each once")
    if not immune.columns.is_unique:
        faults.add("immune holds a region twice: keep one column")
    faults.raise_if_any()
    markers, regions = marker_and_region_names(counts.columns)
    absent = [region for region in regions if region not in immune.columns]
    if absent:
        raise InputError(f"immune has no column for the regions {absent[:5]}")
    if len(regions) < 2 or counts.shape[1] != len(markers) * len(regions):
        raise InputError("counts must have every marker in every region, two regions or more")
    marked, positions = by_region(counts), immune[regions].to_numpy(dtype=np.float64)
    patient = table.index.get_indexer(counts.index.get_level_values(0))
    for name, values in (("counts", marked), ("immune", positions)):
        if not (np.isfinite(values) & (values >= 0) & (values % 1 == 0)).all():
            faults.add(f"{name} must be whole numbers of cells, 0 or more, and none missing")
    if (patient < 0).any():
        faults.add("some images are of patients without an outcome: leave them out")
    elif np.unique(patient).size < len(table):
        faults.add("some patients with an outcome have no image: leave them out and count them")
    faults.raise_if_any()
    if (marked.sum(axis=1) > positions).any():
        raise InputError(
            "more marked than immune cells in a region: immune cells must hold the marked ones, and"
            " a cell may carry one mark"
        )
    return marked.astype(np.int64), positions.astype(np.int64), patient
