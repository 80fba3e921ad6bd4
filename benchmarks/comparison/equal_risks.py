"""Five equally good risks: how often a comparison finds a difference that is not there.

Studies of 100 patients; each risk is the true log hazard with noise of its own, so that the ten
differences in Harrell's C are all 0. `single`: some 95 % interval of a difference alone leaves 0
out; `together`: some simultaneous one does; `adjusted p`: some is .05 or less. 199 resamples.

    python benchmarks/comparison/equal_risks.py > benchmarks/comparison/equal_risks.txt
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import times_stats as ts
from times_stats.evaluation import Prediction
from times_stats.resampling import spawn_rng

STUDIES, N, RISKS = 600, 100, 5


def one_study(number: int) -> tuple[bool, bool, bool]:
    """Return which of the three rules err."""
    rng = spawn_rng(1, "equal risks", number)
    hazard = rng.normal(size=N)
    failure, censoring = rng.exponential(np.exp(-hazard)), rng.exponential(2, N)
    outcome = pd.DataFrame(
        {"time": np.minimum(failure, censoring), "event": (failure <= censoring).astype(int)}
    )
    models = [Prediction(str(k), (hazard + rng.normal(size=N))[None]) for k in range(RISKS)]
    table = ts.evaluation.compare_pairs(
        outcome, models, times=[0.3], horizon=0.3, n_resamples=199, rng=rng
    )
    c = table[table["metric"] == "concordance_harrell"]
    alone = (c["lower"] > 0) | (c["upper"] < 0)
    together = (c["lower_simultaneous"] > 0) | (c["upper_simultaneous"] < 0)
    return bool(alone.any()), bool(together.any()), bool((c["p_adjusted"] <= 0.05).any())


def main() -> None:
    """Print the share of studies with an error."""
    errors = np.array([one_study(number) for number in range(STUDIES)])
    print(f"{STUDIES} studies, {RISKS} equal risks, {RISKS * (RISKS - 1) // 2} differences")
    for name, share in zip(("single", "together", "adjusted p"), errors.mean(axis=0), strict=True):
        se = np.sqrt(share * (1 - share) / STUDIES)
        print(f"{name:<12}{share:.3f} +- {se:.3f}")


if __name__ == "__main__":
    main()
