"""Our Weibull model against brms: the same posterior from two programs, to Monte Carlo error.

One study of 300 patients, six cohorts, two markers in two regions. `brms_weibull.R` states our
model in brms 2.18, on brms's own Weibull likelihood and group-level effects, and says how the two
parameterisations, their priors and the Jacobian correspond. Each posterior mean and sd of the
baseline, the slopes, the scales and the cohort effects must lie within four combined Monte Carlo
standard errors; each effective sample size, bulk and tail, must be 10,000 or more on both sides.
Anything else ends with exit code 1.

Run: python benchmarks/agreement/brms_weibull.py --write-study     (the study as CSV)
     Rscript benchmarks/agreement/brms_weibull.R                   (r-cran-brms; some minutes)
     python benchmarks/agreement/brms_weibull.py > benchmarks/agreement/brms_weibull.txt
"""

from __future__ import annotations

import sys
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

from times_stats import __version__
from times_stats.resampling import spawn_rng
from times_stats.survival import SurvivalFit, SurvivalSpec, fit_survival

HERE = Path(__file__).parent
STUDY, THEIRS = HERE / "brms_weibull_study.csv", HERE / "brms_weibull.csv"
SESSION = HERE / "brms_weibull_session.txt"
COLUMNS = pd.MultiIndex.from_product([["A", "B"], ["x", "y"]], names=["marker", "region"])
SLOPES = np.array([0.9, 0.5, 0.2, 0.6])
COHORTS = ("Gao", "LCI", "LIRI", "Mainz", "TCGA", "Turin")
SHARES = (0.3, 0.25, 0.15, 0.12, 0.1, 0.08)
N, SHAPE, MONTHS, SEED = 300, 1.25, 40.0, 1
LEAST_ESS, MOST_ERRORS = 10_000, 4.0


def simulate() -> pd.DataFrame:
    """Return the study: evidence by column, cohort, and a censored Weibull outcome."""
    rng = spawn_rng(SEED, "agreement with brms")
    shared = rng.normal(0.0, 0.35, (N, 1))
    z = np.round(shared + rng.normal(0.0, 0.5, (N, len(COLUMNS))), 6)
    code = rng.choice(len(COHORTS), N, p=SHARES)
    eta = z @ SLOPES + rng.normal(0.0, 0.4, len(COHORTS))[code]
    happens = MONTHS * (rng.exponential(1.0, N) / np.exp(eta)) ** (1 / SHAPE)
    leaves = rng.uniform(12.0, 84.0, N)
    time = np.round(np.minimum(happens, leaves), 4).clip(min=1e-4)
    return pd.DataFrame(
        {
            "patient_id": [f"P{number:03d}" for number in range(N)],
            "time": time,
            "event": (happens <= leaves).astype(int),
            "cohort": np.array(COHORTS)[code],
            **{f"z{column + 1}": z[:, column] for column in range(len(COLUMNS))},
        }
    )


def fit(study: pd.DataFrame) -> SurvivalFit:
    """Fit our model with its shipped priors, with draws enough."""
    study = study.set_index("patient_id")
    z = study[["z1", "z2", "z3", "z4"]].set_axis(COLUMNS, axis=1)
    spec = SurvivalSpec(draws=25_000, tune=2_000)
    return fit_survival(
        spec, z, study[["time", "event"]], cohort=study["cohort"], seed=SEED, cores=1
    )


def summarise(ours: SurvivalFit) -> pd.DataFrame:
    """Return mean, sd, their Monte Carlo errors and effective sizes, a row per quantity."""
    posterior = ours.posterior["posterior"].to_dataset()
    found = {
        "log_shape": np.log(posterior["shape"]),
        "intercept": posterior["intercept"],
        "slope": posterior["slope"],
        "scale[cohort]": posterior["cohort_scale"],
    }
    for group in posterior["effect_group"].to_numpy():
        found[f"scale[{group}]"] = posterior["effect_scale"].sel(effect_group=group, drop=True)
    for cohort in posterior["cohort"].to_numpy():
        found[f"cohort[{cohort}]"] = posterior["cohort_effect"].sel(cohort=cohort, drop=True)
    for column, (marker, region) in enumerate(COLUMNS):
        beta = posterior["beta"].isel(coefficient=column).drop_vars(["marker", "region"])
        found[f"beta[{marker}, {region}]"] = beta
    draws = xr.Dataset(found)

    def each(values: xr.Dataset) -> dict[str, float]:
        return {str(name): float(values[name]) for name in found}

    return pd.DataFrame(
        {
            "mean": each(draws.mean()),
            "sd": each(draws.std(ddof=1)),
            "mcse_mean": each(az.mcse(draws, method="mean")),
            "mcse_sd": each(az.mcse(draws, method="sd")),
            "ess_bulk": each(az.ess(draws, method="bulk")),
            "ess_tail": each(az.ess(draws, method="tail")),
        }
    ).rename_axis("quantity")


def compare(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Return both summaries side by side, differences in combined Monte Carlo errors."""
    table = pd.DataFrame(index=ours.index)
    for what in ("mean", "sd"):
        error = np.hypot(ours[f"mcse_{what}"], theirs[f"mcse_{what}"])
        table[f"{what}_ours"], table[f"{what}_brms"] = ours[what], theirs[what]
        table[f"{what}_errors"] = (ours[what] - theirs[what]) / error
    for side, summary in (("ours", ours), ("brms", theirs)):
        table[f"ess_{side}"] = summary[["ess_bulk", "ess_tail"]].min(axis=1)
    return table


def main() -> int:
    study = simulate()
    if "--write-study" in sys.argv[1:]:
        study.to_csv(STUDY, index=False)
        return 0
    kept = pd.read_csv(STUDY)
    pd.testing.assert_frame_equal(kept, study, check_dtype=False, rtol=1e-12)
    seen = f"patients {N}, events {study['event'].sum()}, sum of times {study['time'].sum():.10g}\n"
    if seen not in SESSION.read_text(encoding="utf-8"):
        raise SystemExit("brms_weibull.csv is of another study: run brms_weibull.R again")
    theirs = pd.read_csv(THEIRS, index_col="quantity")
    ours = fit(study)
    summary = summarise(ours)
    if set(summary.index) != set(theirs.index):
        raise SystemExit("brms_weibull.csv holds other quantities: run brms_weibull.R again")
    table = compare(summary, theirs.loc[summary.index])
    print(
        f"times_stats {__version__} against brms: {N} patients, {int(study['event'].sum())} "
        f"events, {len(COHORTS)} cohorts, {len(COLUMNS)} columns.\n"
        "Differences of means and sds in combined Monte Carlo standard errors; ess is the smaller "
        f"of bulk and tail.\nOur fit: {ours.diagnostics.status}, "
        f"{ours.diagnostics.divergences} divergences in "
        f"{ours.spec.chains * ours.spec.draws:,} draws.\n"
    )
    with pd.option_context("display.width", 140, "display.float_format", "{:.4f}".format):
        shown = table.copy()
        for side in ("ours", "brms"):
            shown[f"ess_{side}"] = shown[f"ess_{side}"].map("{:,.0f}".format)
        for what in ("mean", "sd"):
            shown[f"{what}_errors"] = shown[f"{what}_errors"].map("{:+.2f}".format)
        print(shown.to_string())
    few = table.index[(table[["ess_ours", "ess_brms"]] < LEAST_ESS).any(axis=1)]
    differ = table.index[~(table[["mean_errors", "sd_errors"]].abs() <= MOST_ERRORS).all(axis=1)]
    worst = table[["mean_errors", "sd_errors"]].abs().max()
    # To first order a factor k^5 in the prior moves the mean of log k by five times its variance.
    moved = 5 * table.loc["log_shape", "sd_ours"] ** 2
    moved /= np.hypot(summary.loc["log_shape", "mcse_mean"], theirs.loc["log_shape", "mcse_mean"])
    print(f"\nHad the Jacobian been left out, log_shape would be off by about {moved:.0f} errors.")
    print(
        f"largest difference: {worst['mean_errors']:.2f} errors of a mean, "
        f"{worst['sd_errors']:.2f} of an sd; limit {MOST_ERRORS:g}"
    )
    for what, names in ((f"ESS below {LEAST_ESS:,}", few), ("differ", differ)):
        if len(names):
            print(f"{what}: {', '.join(names)}")
    agree = not len(few) and not len(differ) and ours.diagnostics.status == "converged"
    print("agreement" if agree else "NO agreement")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
