"""Fixtures shared by the suites: one compilation of each survival model per session."""

from __future__ import annotations

import pandas as pd
import pytest


def survival_columns() -> pd.MultiIndex:
    """Two markers in two regions: the smallest columns with every group of effects."""
    return pd.MultiIndex.from_product(
        [["CD57", "CXCL17"], ["invasive_front", "tumour"]], names=["marker", "region"]
    )


@pytest.fixture(scope="session")
def compiled_weibull():
    """Weibull model of two markers in two regions, one cohort (some 10-20 s to compile)."""
    from times_stats.survival.sampling import compile_survival
    from times_stats.survival.spec import SurvivalSpec

    return compile_survival(SurvivalSpec(), columns=survival_columns(), n_cohorts=1)


@pytest.fixture(scope="session")
def compiled_piecewise():
    """Piecewise model of the same columns with room for late entry and events found at scans."""
    from times_stats.survival.sampling import compile_survival
    from times_stats.survival.spec import SurvivalSpec

    return compile_survival(
        SurvivalSpec(baseline="piecewise"),
        columns=survival_columns(),
        n_cohorts=1,
        delayed_entry=True,
        interval_censoring=True,
    )


@pytest.fixture(scope="session")
def compiled_mspline():
    """M-spline model of the same columns with three cohorts."""
    from times_stats.survival.sampling import compile_survival
    from times_stats.survival.spec import SurvivalSpec

    return compile_survival(
        SurvivalSpec(baseline="mspline"), columns=survival_columns(), n_cohorts=3
    )


@pytest.fixture(scope="session")
def compiled_options():
    """Weibull model of the same columns with everything cohorts can differ in, and covariates."""
    from times_stats.survival.covariates import Covariate
    from times_stats.survival.sampling import compile_survival
    from times_stats.survival.spec import SurvivalSpec

    spec = SurvivalSpec(
        covariates=(
            Covariate("age", missing="model"),
            Covariate("stage", ("I", "II", "III", "IV"), by_cohort=True),
        ),
        cohort_effects=("level", "slope", "shape"),
        region_order=("tumour", "invasive_front"),
    )
    return compile_survival(spec, columns=survival_columns(), n_cohorts=3, n_missing=12)
