"""Nulls of location for stainings by region: labels exchangeable, and location given levels."""

from __future__ import annotations

import pandas as pd

from times_stats.attribution.null_inputs import check_permutations
from times_stats.attribution.null_permutations import (
    PermutableContrasts,
    exchange_labels,
    exchange_residuals,
)
from times_stats.attribution.score_statistic import NullTest, compare_contrasts


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
    return score_null(
        exchange_labels(features, outcome, stages=stages, seed=seed),
        columns=features.columns,
        n_permutations=n_permutations,
        stop_after=stop_after,
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
    return score_null(
        exchange_residuals(features, outcome, stages=stages, levels=levels, seed=seed),
        columns=features.columns,
        n_permutations=n_permutations,
        stop_after=stop_after,
    )


def score_null(
    given: PermutableContrasts, *, columns: pd.Index, n_permutations: int, stop_after: int | None
) -> NullTest:
    """Hold the score statistic against permuted ones; nothing is fitted again.

    Parameters
    ----------
    given : PermutableContrasts
        Contrasts and their permutations.
    columns : MultiIndex
        Marker and region of the contrasts that exist.
    n_permutations, stop_after
        As for `label_exchangeability_test`.

    Returns
    -------
    NullTest
    """
    return compare_contrasts(
        given.null,
        given.fixed,
        given.contrast,
        permute=given.permute,
        n_permutations=n_permutations,
        stop_after=stop_after,
        columns=columns,
        before=given.before,
        notes=[*given.notes],
    )
