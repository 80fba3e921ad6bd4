"""The stage in clinical cohorts of liver cancer, read where they are: claims about real patients.

The data cannot be shipped. `benchmarks/clinical/cohorts.py` chooses the patients and the model, and
its output stands in the docs; here a few of its claims are held to it, with the sampler of a fold.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.survival.hazard import stacked
from times_stats.survival.left_out_cohorts import leave_one_cohort_out
from times_stats.survival.predictor import climbed_shares
from times_stats.survival.sampling import compile_survival, fit_survival

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "hcc_cohorts" / "harmonised.csv"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("clinical_cohorts"),
    pytest.mark.skipif(not DATA.exists(), reason=f"no clinical cohorts at {DATA}: not shipped"),
]


@pytest.fixture(scope="module")
def cohorts():
    """The benchmark as a module."""
    path = ROOT / "benchmarks" / "clinical" / "cohorts.py"
    spec = importlib.util.spec_from_file_location("clinical_cohorts_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks its module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def table(cohorts):
    return cohorts.read_cohorts(DATA)


@pytest.fixture(scope="module")
def compiled(cohorts):
    """Room for three cohorts: all with a recurrence, and all but one of the four with a death."""
    return compile_survival(cohorts.SPEC, n_cohorts=3)


@pytest.fixture(scope="module")
def fits(cohorts, table, compiled):
    """Recurrence-free survival in three cohorts, under the default prior and the doubled one."""
    y, cohort, stage = cohorts.outcome_and_stage(table, "rfs")
    found = {
        name: fit_survival(
            spec, None, y, cohort=cohort, covariates=stage, seed=3, compiled=compiled, cores=2
        )
        for name, spec in (
            ("default", cohorts.SPEC.for_folds()),
            ("doubled", cohorts.doubled(cohorts.SPEC).for_folds()),
        )
    }
    assert {fit.diagnostics.status for fit in found.values()} == {"converged"}
    return found


@pytest.fixture(scope="module")
def left_out(cohorts, table, compiled):
    found = {}
    for endpoint in cohorts.ENDPOINTS:
        y, cohort, stage = cohorts.outcome_and_stage(table, endpoint)
        found[endpoint] = leave_one_cohort_out(
            cohorts.SPEC.for_folds(),
            None,
            y,
            cohort=cohort,
            covariates=stage,
            horizon=cohorts.HORIZON,
            n_update_events=cohorts.N_UPDATE_EVENTS[endpoint],
            seed=3,
            compiled=compiled,
            cores=2,
        )
        assert (found[endpoint].table["status"] == "converged").all()
    return found


def test_patients_are_those_of_the_record(cohorts, table, capsys):
    """Events as the README of the data has them; everybody is used, or left out for a reason."""
    recorded = table.groupby("cohort")["rfs_event"].sum()
    assert recorded.to_dict() == {"Gao": 80, "LCI": 121, "LIRI": 0, "TCGA": 147}
    assert table.groupby("cohort")["os_event"].sum()["LIRI"] == 43
    used = {}
    for endpoint in cohorts.ENDPOINTS:
        reasons = cohorts.why_left_out(table, endpoint).groupby(table["cohort"]).value_counts()
        assert reasons.sum() == len(table)
        y, cohort, _ = cohorts.outcome_and_stage(table, endpoint)
        used[endpoint] = cohort.value_counts().sort_index().to_dict()
        assert len(y) == reasons.xs("", level=1).sum()
        assert (y["time"] > 0).all()
    assert list(used["rfs"]) == ["Gao", "LCI", "TCGA"]
    assert list(used["os"]) == ["Gao", "LCI", "LIRI", "TCGA"]
    # The log of the suite must show that this ran, whichever worker it was on.
    with capsys.disabled():
        print(f"\nclinical cohorts: ran on {DATA}, patients used {used}", file=sys.stderr)


def test_concordance_within_a_cohort_is_that_of_its_stage(cohorts, table, fits, left_out):
    """A monotone effect orders patients as their stage does, with or without their cohort."""
    y, cohort, stage = cohorts.outcome_and_stage(table, "rfs")
    by_stage = cohorts.concordance_within(y, cohorts.rank_of(stage), cohort)
    known = {"Gao": 0.640, "LCI": 0.628, "TCGA": 0.632}
    assert {name: round(value, 3) for name, value in by_stage.items()} == known
    by_model = cohorts.concordance_within(
        y, cohorts.mean_risk(fits["default"], cohort, stage), cohort
    )
    assert by_model == pytest.approx(by_stage, abs=1e-12)
    for endpoint, found in left_out.items():
        y, cohort, stage = cohorts.outcome_and_stage(table, endpoint)
        by_stage = cohorts.concordance_within(y, cohorts.rank_of(stage), cohort)
        for name, fit in found.fits.items():
            own = cohort.index[cohort == name]
            nobody = pd.Series(None, own, dtype=object)
            risk = cohorts.mean_risk(fit, nobody, stage.loc[own])
            without = cohorts.concordance_within(y.loc[own], risk, cohort[own])
            assert without == pytest.approx({name: by_stage[name]}, abs=1e-12)


def test_a_higher_stage_recurs_earlier_in_every_cohort(cohorts, fits):
    for fit in fits.values():
        climbed = climbed_shares(fit.posterior["posterior"].to_dataset(), "tnm_stage", 4)
        assert (np.diff(climbed.mean(axis=0)) > 0.05).all()  # no step is nothing
        for name, slope in cohorts.slopes(fit).items():
            third_to_first = np.exp(slope * climbed[:, 2])
            assert np.quantile(third_to_first, 0.025) > 1.2, name
            assert 2.0 < np.median(third_to_first) < 4.0, name


def test_the_sd_of_cohorts_moves_with_its_prior_and_the_common_effect_does_not(cohorts, fits):
    high, effect = {}, {}
    for name, fit in fits.items():
        posterior = fit.posterior["posterior"].to_dataset()
        high[name] = {
            what: np.quantile(stacked(posterior, scale), 0.975)
            for what, (_, scale) in cohorts.SCALES.items()
        }
        climbed = climbed_shares(posterior, "tnm_stage", 4)
        effect[name] = np.median(cohorts.slopes(fit)["common"] * climbed[:, 2])
    for what in cohorts.SCALES:  # three cohorts leave the upper end to the prior
        assert high["doubled"][what] > 1.15 * high["default"][what], what
    assert effect["doubled"] == pytest.approx(effect["default"], abs=0.1)
