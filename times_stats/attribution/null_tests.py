"""Nulls of location for stainings by region: labels exchangeable, and location given levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from times_stats._checks import Faults, as_survival_table
from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.score_statistic import (
    NullTest,
    batches,
    by_region,
    check_stages,
    design_of_levels,
    fit_without_location,
    normal_scores,
    run_test,
    weak_columns,
)
from times_stats.errors import InputError
from times_stats.features.matrix import complete_markers
from times_stats.resampling import spawn_rng

_N_STRATA = 3


def label_exchangeability_test(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    stages: pd.DataFrame | None = None,
    n_permutations: int = 199,
    stop_after: int | None = None,
    seed: int = 0,
) -> NullTest:
    r"""Test whether it matters which region is which, by exchanging the regions of each patient.

    Every marker in every region is first mapped to normal scores over the patients, so that regions
    that merely stain darker are alike. With :math:`z_{imr}` the score and :math:`\bar z_{im}` its
    mean over regions, the level, the statistic is

    .. math:: Q = \sum_{m,r} \frac{\big(\sum_i e_i\, c_{imr}\big)^2}{\sum_i e_i^2\, c_{imr}^2},
              \qquad c_{imr} = z_{imr} - \bar z_{im},

    with :math:`e_i` the martingale residuals of a Cox model on stage, cohort and levels. A
    permutation exchanges the regions of a patient, one exchange for all markers, among regions in
    which the same markers were measured. Levels, residuals and Q's other terms do not change, so
    nothing is fitted again and the test is exact given the scores.

    The null is *exchangeability and irrelevance*: regions that measure the same level with unequal
    precision are not exchangeable, and the test then rejects although location, as a biologist
    means it, says nothing. See ``benchmarks/calibration/location_nulls.txt`` for how often.

    Parameters
    ----------
    features : DataFrame, shape (n, n_markers * n_regions)
        Raw values, indexed by patient, columns (marker, region), NaN = missing. A marker counts
        where it was measured in two regions or more.
    outcome : DataFrame
        Same index; columns `time` (months), `event`, optional `cohort`.
    stages : DataFrame of ordered categoricals, optional
        One column a staging system, nothing missing.
    n_permutations : int, default 199
    stop_after : int, optional
        Stop at this many permuted statistics as large as the observed one (`permutation_p`).
    seed : int, default 0

    Returns
    -------
    NullTest

    Raises
    ------
    InputError
        Tables of different patients, no event, no marker in two regions.

    References
    ----------
    Phipson B., Smyth G. K. (2010). Permutation p-values should never be zero. *Stat Appl Genet Mol
    Biol* 9, 39. doi:10.2202/1544-6115.1585

    Examples
    --------
    >>> from times_stats.simulate import simulate_study
    >>> study = simulate_study(location_effect=0.7, seed=1)
    >>> features = study.measurements.pivot_table(
    ...     index="patient_id", columns=["marker", "region"], values="value"
    ... )
    >>> outcome = study.patients.set_index("patient_id")[["time", "event"]]
    >>> label_exchangeability_test(features, outcome, seed=1).p_value
    0.005
    """
    table, features = _check(features, outcome, stages)
    scores = by_region(normal_scores(features))
    level = _mean_over_regions(scores)
    fixed = fit_without_location(table, stages, design_of_levels(level))
    contrast = np.nan_to_num(scores - level[:, :, None])
    labels = _exchangeable_regions(np.isfinite(scores))
    rng = spawn_rng(seed, "label exchangeability")

    def exchange(size: int) -> FloatArray:
        order = _permute_within(labels, size, rng)  # (size, n, n_regions)
        return np.take_along_axis(contrast[None], order[:, :, None, :], axis=3)

    fixed_labels = int(((labels[:, :, None] == labels[:, None, :]).sum(axis=2) < 2).all(1).sum())
    notes = (
        [f"{fixed_labels} patients have no two regions with the same markers: nothing to exchange."]
        if fixed_labels
        else []
    )
    return run_test(
        "label exchangeability",
        fixed,
        contrast,
        batches(exchange, n_permutations),
        features.columns,
        stop_after,
        notes,
    )


def conditional_location_test(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    stages: pd.DataFrame | None = None,
    levels: pd.DataFrame | None = None,
    n_permutations: int = 199,
    stop_after: int | None = None,
    seed: int = 0,
) -> NullTest:
    r"""Test whether location tells of the outcome what levels, stage and cohort do not.

    The contrasts of `label_exchangeability_test` are regressed on all levels, stages and cohorts;
    what is left of them is exchanged between patients of the same cohort, the same missing markers
    and a similar risk (thirds of the linear predictor of the Cox model without location). The
    statistic is Q of `label_exchangeability_test` with these residuals in place of c: products of
    two residuals, one of the outcome and one of location, each given the levels. As each has mean 0
    given the levels under the null, one of the two regressions may be somewhat wrong (projected
    covariance measure, Lundborg et al. 2024).

    This is the headline null: *the outcome does not depend on location given the levels*. Levels
    are the mean normal score of a marker over its regions and, beside it, `levels` or the plain
    mean.

    Parameters
    ----------
    features, outcome, stages
        As for `label_exchangeability_test`.
    levels : DataFrame, shape (n, n_markers or more), optional
        Levels as amounts, such as all cells over all areas; the plain mean over the regions, if
        left out.
    n_permutations, stop_after, seed
        As for `label_exchangeability_test`.

    Returns
    -------
    NullTest

    Raises
    ------
    InputError
        As for `label_exchangeability_test`; or every patient is a stratum of its own.

    References
    ----------
    Lundborg A. R., Kim I., Shah R. D., Samworth R. J. (2024). The projected covariance measure for
    assumption-lean variable significance testing. *Ann Stat* 52, 2851-2878. doi:10.1214/24-AOS2447

    Examples
    --------
    >>> from times_stats.simulate import simulate_study
    >>> study = simulate_study(location_effect=0.7, seed=1)
    >>> features = study.measurements.pivot_table(
    ...     index="patient_id", columns=["marker", "region"], values="value"
    ... )
    >>> outcome = study.patients.set_index("patient_id")[["time", "event"]]
    >>> conditional_location_test(features, outcome, seed=1).p_value
    0.005
    """
    table, features = _check(features, outcome, stages)
    scores = by_region(normal_scores(features))
    level = _mean_over_regions(scores)
    amounts = _amounts(features, levels)
    columns = design_of_levels(np.column_stack([level, amounts]))
    fixed = fit_without_location(table, stages, columns)
    contrast = scores - level[:, :, None]
    given = np.column_stack([np.ones(len(table)), weak_columns(table, stages), columns])
    remove = _projections(np.isfinite(contrast), given)
    left = remove(np.nan_to_num(contrast))
    pattern = np.unique(np.isfinite(level), axis=0, return_inverse=True)[1]
    risk = np.floor(_N_STRATA * (rankdata(fixed.predictor) - 0.5) / len(table)).astype(np.int64)
    strata = np.unique(np.column_stack([fixed.cohort, pattern, risk]), axis=0, return_inverse=True)
    _, place, count = strata[0], strata[1].ravel(), np.bincount(strata[1].ravel())
    alone = int((count == 1).sum())
    if alone == len(table):
        raise InputError(
            "every patient has a cohort and missing markers of its own: nothing can be exchanged"
        )
    notes = [f"{alone} patients are alone in their stratum and stay in place."] if alone else []
    rng = spawn_rng(seed, "conditional location")

    def exchange(size: int) -> FloatArray:
        return remove(left[_permute_within(place[None], size, rng)[:, 0]])

    return run_test(
        "conditional location",
        fixed,
        left,
        batches(exchange, n_permutations),
        features.columns,
        stop_after,
        notes,
    )


def run_location_nulls(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    stages: pd.DataFrame | None,
    levels: pd.DataFrame | None,
    n_permutations: int,
    seed: int,
) -> tuple[NullTest, NullTest]:
    """Run both tests on complete markers: those a patient has in all regions.

    Parameters
    ----------
    features, outcome, stages, levels, n_permutations, seed
        As for `conditional_location_test`.

    Returns
    -------
    tuple of NullTest
        Conditional location, label exchangeability.
    """
    complete = complete_markers(features)
    values = features.where(
        complete[features.columns.get_level_values("marker")].to_numpy(dtype=np.bool_)
    )
    return (
        conditional_location_test(
            values,
            outcome,
            stages=stages,
            levels=levels,
            n_permutations=n_permutations,
            seed=seed,
        ),
        label_exchangeability_test(
            values, outcome, stages=stages, n_permutations=n_permutations, seed=seed
        ),
    )


def tabulate_nulls(nulls: Sequence[NullTest]) -> pd.DataFrame:
    """Return a row for each test.

    Parameters
    ----------
    nulls : sequence of NullTest

    Returns
    -------
    DataFrame
        Columns null, statistic, p_value, p_error, n_permutations, n, events.
    """
    names = ["null", "statistic", "p_value", "p_error", "n_permutations", "n", "events"]
    return pd.DataFrame(
        [[getattr(found, name) for name in names] for found in nulls], columns=names
    )


def state_nulls(nulls: Sequence[NullTest]) -> str:
    """Say what the two tests found.

    Parameters
    ----------
    nulls : sequence of NullTest
        From `run_location_nulls`.

    Returns
    -------
    str
        One sentence with the p-values.
    """
    conditional, exchangeable = nulls
    return (
        f"Given the levels, the outcome depends on location with p = {conditional.p_value:.3f};"
        f" that the regions of a patient can be exchanged has p = {exchangeable.p_value:.3f}"
        f" ({conditional.n_permutations} permutations each)."
    )


def _amounts(features: pd.DataFrame, levels: pd.DataFrame | None) -> FloatArray:
    if levels is None:
        values = by_region(features)
        with np.errstate(invalid="ignore"):
            mean = np.where(np.isnan(values).any(axis=2), np.nan, values.mean(axis=2))
        levels = pd.DataFrame(mean, index=features.index)
    if not levels.index.equals(features.index):
        raise InputError("levels and features are not of the same patients in the same order")
    return normal_scores(levels).to_numpy()


def _projections(known: np.ndarray, given: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return what takes a regression on `given` out of contrasts, over the patients who have them.

    Permuted contrasts are put through it again: else their scores would spread less than the
    observed one, whose columns the residuals of the outcome were fitted to.
    """
    patterns, which = np.unique(known.reshape(len(known), -1), axis=1, return_inverse=True)
    bases = [_basis(given * rows[:, None]) for rows in patterns.T]

    def remove(contrast: FloatArray) -> FloatArray:
        flat = contrast.reshape(*contrast.shape[:-2], -1)
        left = np.empty_like(flat)
        for k, basis in enumerate(bases):
            own = flat[..., which == k]
            left[..., which == k] = own - basis @ (basis.T @ own)
        return np.asarray((left * known.reshape(len(known), -1)).reshape(contrast.shape))

    return remove


def _basis(columns: FloatArray) -> FloatArray:
    """Orthonormal basis of what the columns span, whatever their rank."""
    directions, size, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(directions[:, size > 1e-9 * size.max(initial=0.0)])


def _mean_over_regions(scores: FloatArray) -> FloatArray:
    """Mean over measured regions, NaN where there are fewer than two."""
    known = np.isfinite(scores)
    count = known.sum(axis=2)
    total = np.where(known, scores, 0.0).sum(axis=2)
    return np.where(count > 1, total / np.maximum(count, 1), np.nan)


def _exchangeable_regions(measured: np.ndarray) -> IntArray:
    """Group of each patient's regions, shape (n, n_regions): those with the same markers."""
    power = 2 ** np.arange(measured.shape[1], dtype=np.int64)
    return np.asarray((measured * power[None, :, None]).sum(axis=1))


def _permute_within(groups: IntArray, size: int, rng: np.random.Generator) -> IntArray:
    """Random orders of the last axis that move only within equal groups, shape (size, n, k)."""
    n, k = groups.shape
    where = np.argsort(groups, axis=1, kind="stable")
    noise = rng.random((size, n, k))
    drawn = np.lexsort((noise, np.broadcast_to(groups, noise.shape)), axis=-1)
    order = np.empty((size, n, k), dtype=np.int64)
    np.put_along_axis(order, np.broadcast_to(where, order.shape), drawn, axis=2)
    return order


def _check(
    features: pd.DataFrame, outcome: pd.DataFrame, stages: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check the tables, and keep markers measured in two regions or more."""
    table = as_survival_table(outcome)
    faults = Faults()
    if not table.index.equals(features.index):
        faults.add("outcome and features are not of the same patients in the same order")
    check_stages(faults, stages, table)
    faults.raise_if_any()
    markers = features.columns.get_level_values(0)
    measured = pd.Series(features.notna().any(axis=0).to_numpy()).groupby(markers.to_numpy()).sum()
    kept = features.loc[:, np.isin(markers, measured.index[measured >= 2])]
    if kept.shape[1] == 0:
        raise InputError(
            "level and location cannot be told apart: no marker was measured in two regions"
        )
    return table, kept
