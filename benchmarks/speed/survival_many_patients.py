"""Do fits of 50,000 patients converge? Every baseline, by the kernel.

Six cohorts, two markers in two regions, a Weibull truth. With 34,000 events every slope, cohort
level and weight of the baseline is known to a few per cent, and the sampler must move in those
terms: products of a latent value and a scale, both free, are curved ridges, and so are sums of a
common value and a deviation when only the sum is known. So the values sampled are the slopes
themselves (around slope, marker and region), the levels of the cohorts (around the level), and the
steps of the random walk; `centring` chooses this by the events behind each. With deviations
centred on 0 instead, as this package first had it, chains of 500 + 500 draws at a target acceptance
of .9 took 215 to 251 leapfrogs a draw (now 15 to 26 at that target) and ended at an R-hat of 1.012
to 1.014. Gate: that of `SurvivalSpec`; targets of acceptance are .95 here.

Run: python benchmarks/speed/survival_many_patients.py > benchmarks/speed/survival_many_patients.txt
"""

from __future__ import annotations

import dataclasses
import sys
import time
import warnings

import arviz as az
import numpy as np
import pandas as pd

from times_stats.errors import ConvergenceWarning
from times_stats.survival.sampling import compile_survival, fit_survival
from times_stats.survival.spec import SurvivalSpec

N, N_COHORTS = 50_000, 6
COLUMNS = pd.MultiIndex.from_product([["A", "B"], ["x", "y"]])
BETA = np.array([0.9, 0.5, 0.2, 0.6])
COHORTS = np.array([0.2, 0.1, -0.1, -0.2, 0.4, 0.0])


def simulate() -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """One study of many patients."""
    rng = np.random.default_rng(20261125)
    index = pd.Index([f"p{number:05d}" for number in range(N)])
    z = rng.normal(0, 0.5, (N, 4))
    code = rng.integers(0, N_COHORTS, N)
    relative = np.exp(z @ BETA + COHORTS[code])
    event_time = 30 * (rng.exponential(size=N) / relative) ** (1 / 1.3)
    end = rng.uniform(12, 84, N)
    y = pd.DataFrame(
        {"time": np.minimum(event_time, end), "event": (event_time <= end).astype(int)}, index
    )
    return (
        pd.DataFrame(z, index=index, columns=COLUMNS),
        y,
        pd.Series([f"c{k}" for k in code], index=index),
    )


def main() -> None:
    """Fit each baseline, and print what its chains say."""
    z, y, cohort = simulate()
    print(f"{N:,} patients, {int(y['event'].sum()):,} events, 4 chains of 1,000 + 1,000 draws\n")
    print(
        f"{'baseline':10} {'R-hat':>6} {'ESS':>5} {'divergent':>9} {'leapfrogs':>9} "
        f"{'seconds':>8} {'gate':>9}  least ESS by quantity"
    )
    for name in sys.argv[1:] or ("weibull", "piecewise", "mspline"):
        spec = dataclasses.replace(
            SurvivalSpec(baseline=name), tune=1000, draws=1000, target_accept=0.95
        )
        compiled = compile_survival(spec, columns=COLUMNS, n_cohorts=N_COHORTS, engine="kernel")
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit = fit_survival(spec, z, y, cohort=cohort, seed=1, compiled=compiled, cores=2)
        took = time.perf_counter() - begun
        posterior = fit.posterior["posterior"].to_dataset().drop_vars("effect")
        sizes = az.ess(posterior)
        least = {str(k): int(np.min(v)) for k, v in sizes.items()}
        steps = float(fit.posterior["sample_stats"]["n_steps"].mean())
        found = fit.diagnostics
        print(
            f"{name:10} {found.max_rhat:6.3f} {found.min_ess:5.0f} {found.divergences:9d} "
            f"{steps:9.0f} {took:8.0f} {found.status:>9}  {least}",
            flush=True,
        )


if __name__ == "__main__":
    main()
