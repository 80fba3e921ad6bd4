"""Does the survival model find the truth it was simulated from? Every baseline."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import ConvergenceWarning
from times_stats.survival.prediction import predict_rmst, predict_survival
from times_stats.survival.sampling import fit_survival
from times_stats.survival.spec import SurvivalSpec

pytestmark = pytest.mark.slow

N_STUDIES = 50
COHORTS = np.array(["east", "north", "south"])


def simulate(rng, columns, n, *, kind, n_cohorts):
    """One study from the prior: slopes, cohort effects, Weibull or bent hazard (log-normal)."""
    scale = np.abs(rng.normal(0, 0.5, 3))
    marker, region, both = (rng.normal(0, s, k) for s, k in zip(scale, (2, 2, 4), strict=True))
    slope = rng.normal(0.5, 0.5)
    beta = slope + marker[[0, 0, 1, 1]] + region[[0, 1, 0, 1]] + both
    effects = rng.normal(0, np.abs(rng.normal(0, 0.5)), n_cohorts)
    cohort = rng.integers(0, n_cohorts, n)
    z = rng.normal(0, 0.5, (n, 4))
    eta = z @ beta + effects[cohort] * (n_cohorts > 1)
    shape, level = np.exp(rng.normal(0, 0.3)), rng.normal(np.log(30), 0.2)
    hazard = rng.exponential(size=n) / np.exp(eta)
    if kind == "weibull":
        time = np.exp(level) * hazard ** (1 / shape)
    else:  # cumulative hazard of a log-normal: rises, then falls
        from scipy.stats import norm

        time = np.exp(level + 0.8 * norm.isf(np.exp(-hazard)))
    censored = rng.uniform(20, 90, n)
    index = pd.Index([f"p{number:04d}" for number in range(n)], name="patient_id")
    return (
        pd.DataFrame(z, columns=columns, index=index),
        pd.DataFrame(
            {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)},
            index=index,
        ),
        pd.Series(COHORTS[cohort], index=index) if n_cohorts > 1 else None,
        {"beta": beta, "effects": effects, "shape": shape, "level": level},
    )


def true_survival(truth, kind, times, eta):
    from scipy.stats import norm

    if kind == "weibull":
        hazard = (times / np.exp(truth["level"])) ** truth["shape"]
    else:
        hazard = -norm.logsf((np.log(times) - truth["level"]) / 0.8)
    return np.exp(-hazard * np.exp(eta))


def seen_late_and_at_scans(y, rng):
    """Some enter late, if they are still there; half of the events are found every 4 months."""
    entry = np.where(rng.random(len(y)) < 0.3, rng.uniform(0, 10, len(y)), 0.0)
    there = (y["time"] > entry).to_numpy()
    found = (rng.random(len(y)) < 0.5) & (y["event"] == 1)
    lower = np.maximum(4 * np.floor(y["time"] / 4), entry)
    upper = 4 * np.floor(y["time"] / 4) + 4
    y = y.assign(
        entry=entry,
        time=np.where(found, upper, y["time"]),
        time_lower=np.where(found, lower, np.nan),
        time_upper=np.where(found, upper, np.nan),
    )
    return y[there], there


@pytest.mark.parametrize(
    ("kind", "n_cohorts", "n_studies"),
    [("weibull", 1, N_STUDIES), ("piecewise", 1, N_STUDIES // 2), ("mspline", 3, N_STUDIES)],
)
def test_intervals_cover_and_estimates_are_unbiased(
    compiled_weibull, compiled_piecewise, compiled_mspline, kind, n_cohorts, n_studies
):
    compiled = {
        "weibull": compiled_weibull,
        "piecewise": compiled_piecewise,
        "mspline": compiled_mspline,
    }[kind]
    spec = dataclasses.replace(SurvivalSpec(baseline=kind).for_folds(), tune=700, draws=1000)
    rng = np.random.default_rng(20261122)
    inside_beta, errors, inside_survival, failed = [], [], [], 0
    for study in range(n_studies):
        z, y, cohort, truth = simulate(rng, compiled.columns, 250, kind=kind, n_cohorts=n_cohorts)
        if kind == "piecewise":  # this one has room for both
            y, there = seen_late_and_at_scans(y, rng)
            z = z[there]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit = fit_survival(spec, z, y, cohort=cohort, seed=study, compiled=compiled, cores=2)
        failed += fit.diagnostics.status == "failed"
        draws = fit.posterior["posterior"]["beta"].to_numpy().reshape(-1, 4)
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        inside_beta.append((low <= truth["beta"]) & (truth["beta"] <= high))
        errors.append((draws.mean(axis=0) - truth["beta"]) / draws.std(axis=0))
        new = pd.DataFrame(
            [[0.0] * 4, [0.5] * 4], columns=compiled.columns, index=["average", "high"]
        )
        known = pd.Series(COHORTS[0], index=new.index) if n_cohorts > 1 else None
        eta = new.to_numpy() @ truth["beta"] + truth["effects"][0] * (n_cohorts > 1)
        survival = predict_survival(fit, new, times=[12.0, 24.0], cohort=known).to_numpy()
        low, high = np.quantile(survival, [0.025, 0.975], axis=0)
        real = np.array([[true_survival(truth, kind, t, e) for t in (12.0, 24.0)] for e in eta])
        inside_survival.append((low <= real) & (real <= high))
        assert (predict_rmst(fit, new, horizon=24.0, cohort=known) <= 24).all()
    # Slopes of one study are dependent: three Monte Carlo errors of the mean over studies.
    for inside in (inside_beta, inside_survival):
        per_study = np.array(inside).reshape(n_studies, -1).mean(axis=1)
        margin = 3 * max(per_study.std(ddof=1), 0.05) / np.sqrt(n_studies)
        assert abs(per_study.mean() - 0.95) < margin, per_study.mean()
    per_study = np.array(errors).mean(axis=1)
    assert abs(per_study.mean()) < 3 * per_study.std(ddof=1) / np.sqrt(n_studies)
    assert failed <= 0.1 * n_studies, failed


def test_centred_and_non_centred_forms_agree(compiled_weibull):
    rng = np.random.default_rng(5)
    z, y, _, _ = simulate(rng, compiled_weibull.columns, 800, kind="weibull", n_cohorts=1)
    means = []
    for form in ("centred", "non_centred"):
        spec = dataclasses.replace(SurvivalSpec(), parameterisation=form, chains=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit = fit_survival(spec, z, y, seed=1, compiled=compiled_weibull, cores=2)
        draws = fit.posterior["posterior"]["beta"].to_numpy().reshape(-1, 4)
        means.append(draws.mean(axis=0))
        spread = draws.std(axis=0)
    np.testing.assert_array_less(np.abs(means[0] - means[1]), 0.25 * spread)


def test_a_cold_and_a_warm_compilation_give_the_same_draws(tmp_path):
    """Machine code from the disk cache must round as freshly made code does (no fast-math)."""
    script = textwrap.dedent(
        """
        import hashlib, numpy as np, pandas as pd
        from times_stats.survival.sampling import fit_survival
        from times_stats.survival.spec import SurvivalSpec
        columns = pd.MultiIndex.from_tuples([("A", "x"), ("A", "y")])
        rng = np.random.default_rng(0)
        index = [f"p{i:03d}" for i in range(90)]
        z = pd.DataFrame(rng.normal(size=(90, 2)), columns=columns, index=index)
        y = pd.DataFrame({"time": rng.exponential(20, 90), "event": rng.integers(0, 2, 90)},
                         index=index)
        fit = fit_survival(SurvivalSpec(baseline="mspline").for_folds(), z, y, cores=2)
        print(hashlib.sha256(fit.posterior["posterior"]["beta"].to_numpy().tobytes()).hexdigest())
        """
    )
    root = Path(__file__).parents[2]
    settings = {
        **os.environ,
        "PYTENSOR_FLAGS": f"base_compiledir={tmp_path}",
        "PYTHONPATH": str(root),
    }
    found = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=settings,
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        ).stdout
        for _ in range(2)
    ]
    assert len(found[0].strip()) == 64
    assert found[0] == found[1]
