"""Nulls of location for stainings by region: labels exchangeable, and location given levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from times_stats._typing import FloatArray, IntArray
from times_stats.attribution.null_inputs import (
    UntestableError,
    check_features,
    check_levels,
    check_outcome,
    check_permutations,
)
from times_stats.attribution.rank_scores import normal_scores_within
from times_stats.attribution.score_statistic import (
    NullTest,
    compare_contrasts,
    fit_without_location,
    level_columns,
    weak_columns,
)
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

    Every marker in every region is first mapped to normal scores over the patients of a cohort, so
    that regions that merely stain darker are alike. With :math:`z_{imr}` the score and
    :math:`\bar z_{im}` its mean over regions, the level, the statistic is

    .. math:: Q = \sum_{m,r} \frac{\big(\sum_i e_i\, c_{imr}\big)^2}{\sum_i e_i^2\, c_{imr}^2},
              \qquad c_{imr} = z_{imr} - \bar z_{im},

    with :math:`e_i` the martingale residuals of a Cox model on stage, cohort and levels. A
    permutation exchanges the regions of a patient, one exchange for all markers, among regions in
    which the same markers were measured. Levels and residuals do not change, so nothing is fitted
    again.

    The null is *exchangeability and irrelevance*. The test also rejects where regions measure the
    same level with unequal precision, or where the hazard follows an amount to which one region
    contributes more than another: location, as a biologist means it, then says nothing. See
    ``benchmarks/calibration/location_nulls.txt`` for how often.

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
        Tables of different patients, no event, no patient with a marker in two regions, nothing to
        exchange.

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
    check_permutations(n_permutations, stop_after)
    table, cohort = check_outcome(outcome, stages)
    scores, level = _scores_and_level(features, table, cohort)
    known = np.column_stack([weak_columns(table, stages), level_columns(level)])
    fixed = fit_without_location(table, known)
    contrast = np.nan_to_num(scores - level[:, :, None])
    labels = _exchangeable_regions(np.isfinite(scores))
    stuck = int(((labels[:, :, None] == labels[:, None, :]).sum(axis=2) < 2).all(axis=1).sum())
    if stuck == len(table):
        raise UntestableError(
            "no patient has two regions with the same markers: there is nothing to exchange"
        )
    rng = spawn_rng(seed, "label exchangeability")

    def exchange(size: int) -> FloatArray:
        order = _permute_within(labels, size, rng)
        return np.take_along_axis(contrast[None], order[:, :, None, :], axis=3)

    told = f"{stuck} patients have no two regions with the same markers: nothing to exchange."
    return compare_contrasts(
        "label exchangeability",
        fixed,
        contrast,
        permute=exchange,
        n_permutations=n_permutations,
        stop_after=stop_after,
        columns=features.columns,
        before=contrast,
        notes=[told] if stuck else [],
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

    This is the headline null: *the outcome does not depend on location given the levels*. The level
    of a marker is `levels`, or the mean normal score over its regions. It must be what the hazard
    follows: where regions measure a level with unequal error, or the hazard follows another amount,
    location does tell of the outcome given the measured levels, and the test rejects.

    Parameters
    ----------
    features, outcome, stages
        As for `label_exchangeability_test`.
    levels : DataFrame, shape (n, n_markers or more), optional
        Levels as amounts, such as all cells over all areas. Levels that hold the value of a region
        leave little of the contrasts: see `free` in the scores of the result.
    n_permutations, stop_after, seed
        As for `label_exchangeability_test`.

    Returns
    -------
    NullTest

    Raises
    ------
    InputError
        As for `label_exchangeability_test`; or every patient is a stratum of its own, or levels
        leave nothing of the contrasts.

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
    check_permutations(n_permutations, stop_after)
    table, cohort = check_outcome(outcome, stages)
    scores, level = _scores_and_level(features, table, cohort)
    amounts = level
    if levels is not None:
        amounts = normal_scores_within(check_levels(levels, table), cohort)
    known = np.column_stack([weak_columns(table, stages), level_columns(amounts)])
    fixed = fit_without_location(table, known)
    contrast = scores - level[:, :, None]
    measured = np.isfinite(contrast)
    remove = _projections(measured, np.column_stack([np.ones(len(table)), known]))
    before = np.nan_to_num(contrast)
    left = remove(before)
    strata = _strata(cohort, measured, fixed.predictor)
    alone = int((np.bincount(strata) == 1).sum())
    if alone == len(table):
        raise UntestableError(
            "every patient has a cohort or missing regions of its own: nothing can be exchanged"
        )
    rng = spawn_rng(seed, "conditional location")

    def exchange(size: int) -> FloatArray:
        return remove(left[_permute_within(strata[None], size, rng)[:, 0]])

    told = f"{alone} patients are alone in their stratum and stay in place."
    return compare_contrasts(
        "conditional location",
        fixed,
        left,
        permute=exchange,
        n_permutations=n_permutations,
        stop_after=stop_after,
        columns=features.columns,
        before=before,
        notes=[told] if alone else [],
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
        Conditional location, label exchangeability; with a p-value of NaN where the sample cannot
        carry the test.
    """
    named = features.set_axis(features.columns.set_names(["marker", "region"]), axis=1)
    complete = complete_markers(named)
    values = features.where(
        complete[features.columns.get_level_values("marker")].to_numpy(dtype=np.bool_)
    )
    options: dict[str, Any] = {"stages": stages, "n_permutations": n_permutations, "seed": seed}
    return (
        _unless_untestable(
            "conditional location",
            outcome,
            partial(conditional_location_test, values, outcome, levels=levels, **options),
        ),
        _unless_untestable(
            "label exchangeability",
            outcome,
            partial(label_exchangeability_test, values, outcome, **options),
        ),
    )


def _unless_untestable(null: str, outcome: pd.DataFrame, test: Callable[[], NullTest]) -> NullTest:
    """Run a test, or say why this sample cannot carry it: the ladder stands without it."""
    try:
        return test()
    except UntestableError as error:
        return NullTest(
            null=null,
            statistic=np.nan,
            p_value=np.nan,
            p_error=np.nan,
            n_permutations=0,
            n=len(outcome),
            events=int(outcome["event"].sum()),
            scores=pd.DataFrame(columns=["marker", "region", "z", "free"]),
            notes=(str(error),),
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
    first = _evidence(conditional)
    second = _evidence(exchangeable)
    return (
        f"{first} against 'the outcome does not depend on location given the levels'"
        f" ({_figure(conditional)}, the headline test) and {second[0].lower()}{second[1:]} against"
        f" 'the regions of a patient can be exchanged' ({_figure(exchangeable)}); p-values of two"
        " tests, not corrected."
    )


def _evidence(found: NullTest) -> str:
    if np.isnan(found.p_value):
        return "No test"
    return "Evidence" if found.p_value <= 0.05 else "No evidence at 5 %"


def _figure(found: NullTest) -> str:
    return "not testable here" if np.isnan(found.p_value) else f"p = {found.p_value:.3f}"


def _scores_and_level(
    features: pd.DataFrame, table: pd.DataFrame, cohort: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return scores by patient, marker and region, and their mean over two or more regions."""
    scores = normal_scores_within(check_features(features, table), cohort)
    known = np.isfinite(scores)
    count = known.sum(axis=2)
    total = np.where(known, scores, 0.0).sum(axis=2)
    return scores, np.where(count > 1, total / np.maximum(count, 1), np.nan)


def _strata(cohort: IntArray, measured: np.ndarray, predictor: FloatArray) -> IntArray:
    """Tell apart patients by cohort, regions measured, and third of the linear predictor."""
    pattern = np.unique(measured.reshape(len(measured), -1), axis=0, return_inverse=True)[1]
    third = np.floor(_N_STRATA * (rankdata(predictor) - 0.5) / predictor.size)
    every = np.column_stack([cohort, pattern.ravel(), third])
    return np.asarray(np.unique(every, axis=0, return_inverse=True)[1].ravel())


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


def _exchangeable_regions(measured: np.ndarray) -> IntArray:
    """Group of each patient's regions, shape (n, n_regions): those with the same markers."""
    n, n_markers, n_regions = measured.shape
    rows = measured.transpose(0, 2, 1).reshape(-1, n_markers)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(n, n_regions)


def _permute_within(groups: IntArray, size: int, rng: np.random.Generator) -> IntArray:
    """Random orders of the last axis that move only within equal groups, shape (size, n, k)."""
    n, k = groups.shape
    where = np.argsort(groups, axis=1, kind="stable")
    noise = rng.random((size, n, k))
    drawn = np.lexsort((noise, np.broadcast_to(groups, noise.shape)), axis=-1)
    order = np.empty((size, n, k), dtype=np.int64)
    np.put_along_axis(order, np.broadcast_to(where, order.shape), drawn, axis=2)
    return order
