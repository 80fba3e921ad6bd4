"""A small simulation-based calibration of every baseline; the large one is in benchmarks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.survival.sampling import fit_survival
from times_stats.survival.sbc import N_RANKS, check_ranks, rank_truths
from times_stats.survival.spec import SurvivalSpec

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sampling")]

N_STUDIES = 30
NOT_RANKS = ["replicate", "n_events", "status"]


@pytest.fixture
def compiled(request, compiled_weibull, compiled_piecewise, compiled_mspline):
    return {
        "weibull": compiled_weibull,
        "piecewise": compiled_piecewise,
        "mspline": compiled_mspline,
    }[request.param]


@pytest.mark.parametrize(
    ("compiled", "kind"),
    [
        ("weibull", "right"),
        ("piecewise", "delayed"),
        ("piecewise", "interval"),
        ("mspline", "right"),
    ],
    indirect=["compiled"],
)
def test_ranks_of_the_truth_are_uniform(compiled, kind):
    spec = dataclasses.replace(compiled.spec.for_folds(), target_accept=0.98)
    ranks = rank_truths(spec, compiled, n_replicates=N_STUDIES, kind=kind, seed=20261125, cores=2)
    assert ranks["replicate"].tolist() == list(range(N_STUDIES))
    kept = ranks[ranks["status"] != "left out"]
    assert len(kept) > 0.8 * N_STUDIES
    assert (kept["n_events"] >= 5).all()
    values = kept.drop(columns=NOT_RANKS)
    assert {"slope", "beta 4", "log_likelihood", "survival of a new patient"} <= set(values)
    assert ((values >= 0) & (values <= N_RANKS)).all().all()
    found = check_ranks(ranks, prob=0.99)
    assert found["inside"].all(), found.to_string()
    assert (ranks["status"] == "failed").mean() <= 0.1


def test_studies_are_known_by_their_number(compiled_weibull):
    spec = dataclasses.replace(SurvivalSpec().for_folds(), tune=100, draws=200)
    options = {"n_patients": 40, "seed": 2}
    whole = rank_truths(spec, compiled_weibull, n_replicates=3, **options)
    parts = [
        rank_truths(spec, compiled_weibull, n_replicates=n, first=first, **options)
        for first, n in ((0, 1), (1, 2))
    ]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_one_column_in_one_cohort_is_fitted():
    """The smallest model there is: one slope, no effect of anything."""
    columns = pd.MultiIndex.from_tuples([("A", "x")])
    rng = np.random.default_rng(1)
    index = [f"p{number:03d}" for number in range(80)]
    z = pd.DataFrame(rng.normal(size=(80, 1)), index=index, columns=columns)
    y = pd.DataFrame({"time": rng.exponential(20, 80), "event": 1}, index=index)
    fit = fit_survival(SurvivalSpec().for_folds(), z, y, seed=1, cores=2)
    assert fit.diagnostics.status == "converged"
    posterior = fit.posterior["posterior"]
    np.testing.assert_array_equal(posterior["beta"].isel(coefficient=0), posterior["slope"])
    assert fit.centred == (False, False, False)


def test_calibration_needs_a_known_kind(compiled_weibull):
    with pytest.raises(InputError, match="kind is 'left': use 'right', 'delayed' or 'interval'"):
        rank_truths(SurvivalSpec(), compiled_weibull, n_replicates=1, kind="left")
    with pytest.raises(InputError, match="use 1 or more"):
        rank_truths(SurvivalSpec(), compiled_weibull, n_replicates=0)
