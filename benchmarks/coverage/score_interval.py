"""Coverage of the score's interval over training sets, without and with the baseline hazard.

Many training sets of one size are drawn from one population and the scores of fixed new patients
followed over them. The target of a patient's interval is the expected score over training sets of
the same size: the mean over all other training sets. ``se ratio``: root mean estimated variance
over root mean variance between training sets, on the scale of the log cumulative hazard.
Signal: log hazard ratios 0 and .35 per SD of the two regions of every marker; some 50 % events.

    python benchmarks/coverage/score_interval.py --training-sets 40 --jobs 2
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from times_stats.boosting.calibration import complementary_log_log
from times_stats.resampling import spawn_rng
from times_stats.score.times_score import TimesScore

HORIZON = 24.0


def draw(n: int, markers: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw markers of two correlated regions (.36) and an outcome."""
    z = np.hstack(
        [0.6 * rng.normal(size=(n, 1)) + 0.8 * rng.normal(size=(n, 2)) for _ in range(markers)]
    )
    names = [f"marker {m + 1}" for m in range(markers)]
    columns = pd.MultiIndex.from_product([names, ["adjacent", "tumour"]])
    ids = [f"p{i:04d}" for i in range(n)]
    time = rng.exponential(size=n) * 40 * np.exp(-0.35 * z[:, 1::2].sum(axis=1))
    censored = rng.uniform(5, 70, size=n)
    outcome = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=ids
    )
    return pd.DataFrame(z, index=ids, columns=columns), outcome


def one_set(n: int, markers: int, number: int, new: pd.DataFrame) -> list[np.ndarray]:
    """Fit one training set; score and limits of the new patients without and with the baseline."""
    rng = spawn_rng(1, "training set", n, markers, number)
    score = TimesScore(horizon=HORIZON, seed=number).fit(*draw(n, markers, rng))
    full = score.baseline_variance_
    found = []
    for variance in (0.0, full):
        score.baseline_variance_ = variance
        table = score.predict_table(new)
        found.append(table[["score", "se", "lower", "upper"]].to_numpy())
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training-sets", type=int, default=40)
    parser.add_argument("--patients", type=int, default=101)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    rows = []
    for markers in (1, 3):
        new, _ = draw(60, markers, spawn_rng(2, "new patients", markers))
        results = Parallel(n_jobs=arguments.jobs)(
            delayed(one_set)(arguments.patients, markers, number, new)
            for number in range(arguments.training_sets)
        )
        score, se, lower, upper = np.moveaxis(np.array(results), -1, 0)
        others = (score.sum(axis=0) - score) / (len(score) - 1)
        log_hazard = complementary_log_log(score)
        slope = np.exp(log_hazard - np.exp(log_hazard))
        for k, baseline in enumerate(("left out", "added")):
            covered = ((lower <= others) & (others <= upper))[:, k]
            by_set = covered.mean(axis=1)
            true = log_hazard[:, k].var(axis=0, ddof=1).mean()
            rows.append(
                {
                    "n": arguments.patients,
                    "markers": markers,
                    "baseline": baseline,
                    "true": np.sqrt(true),
                    "se ratio": np.sqrt(((se / slope)[:, k] ** 2).mean() / true),
                    "coverage": covered.mean(),
                    "monte carlo se": by_set.std(ddof=1) / np.sqrt(len(by_set)),
                }
            )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
