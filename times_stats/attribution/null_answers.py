"""The tests of location that a run makes, and their table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from times_stats._typing import IntArray
from times_stats.attribution.location_gain import REFITTED, refit_null
from times_stats.attribution.null_inputs import UntestableError
from times_stats.attribution.null_permutations import (
    CONDITIONAL,
    EXCHANGEABLE,
    PermutableContrasts,
    exchange_labels,
    exchange_residuals,
)
from times_stats.attribution.null_tests import score_null
from times_stats.attribution.score_statistic import NullTest
from times_stats.features.matrix import complete_markers


def run_location_nulls(
    features: pd.DataFrame,
    outcome: pd.DataFrame,
    *,
    stages: pd.DataFrame | None,
    levels: pd.DataFrame | None,
    folds: IntArray,
    n_permutations: int,
    n_refits: int,
    seed: int,
    jobs: int,
) -> tuple[NullTest, ...]:
    """Test both nulls on complete markers: those a patient has in all regions.

    Parameters
    ----------
    features, outcome, stages, levels, n_permutations, seed
        As for `conditional_location_test`.
    folds, jobs
        As for `location_gain_test`.
    n_refits : int
        Permutations under which models are fitted again; 0 for none.

    Returns
    -------
    tuple of NullTest
        Conditional location, label exchangeability, and the same refitted if there are refits; with
        a p-value of NaN where the sample cannot carry the test.
    """
    named = features.set_axis(features.columns.set_names(["marker", "region"]), axis=1)
    complete = complete_markers(named)
    values = features.where(
        complete[features.columns.get_level_values("marker")].to_numpy(dtype=np.bool_)
    )
    nulls: dict[str, Callable[[], PermutableContrasts]] = {
        CONDITIONAL: partial(
            exchange_residuals, values, outcome, stages=stages, levels=levels, seed=seed
        ),
        EXCHANGEABLE: partial(exchange_labels, values, outcome, stages=stages, seed=seed),
    }

    def score(prepare: Callable[[], PermutableContrasts]) -> NullTest:
        return score_null(
            prepare(), columns=values.columns, n_permutations=n_permutations, stop_after=None
        )

    def refit(prepare: Callable[[], PermutableContrasts]) -> NullTest:
        return refit_null(
            prepare(),
            folds=folds,
            n_permutations=n_refits,
            stop_after=None,
            jobs=jobs,
        )

    found = [
        unless_untestable(null, outcome, partial(score, prepare)) for null, prepare in nulls.items()
    ]
    if n_refits:
        found += [
            unless_untestable(null + REFITTED, outcome, partial(refit, prepare))
            for null, prepare in nulls.items()
        ]
    return tuple(found)


def unless_untestable(null: str, outcome: pd.DataFrame, test: Callable[[], NullTest]) -> NullTest:
    """Run a test, or say why this sample cannot carry it: the ladder stands without it.

    Parameters
    ----------
    null : str
        Name of the null hypothesis.
    outcome : DataFrame, shape (n, ...)
        Outcome of the patients.
    test : callable
        The test.

    Returns
    -------
    NullTest
        With a p-value of NaN, and the reason among the notes, where there is none.
    """
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
