"""Is the jackknife standard error of a patient's margin about right: a simulation.

Many training sets of one size are drawn from one population; the margins of fixed new patients are
followed over them. ``true`` is the spread of the cross-fitted margin over training sets, ``se`` the
mean estimated standard error. ``out of fold``: a patient held out once per repeat, delete-d
jackknife over repeats. ``new``: mean over all fold models, grouped jackknife over folds.
``slope`` regresses the new patients' true log-hazard on their margin; mean over training sets.

    python benchmarks/coverage/margin_variance.py --training-sets 60 --jobs 2
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from times_stats.boosting.crossfitting import crossfit
from times_stats.boosting.marker_model import MarkerModel
from times_stats.resampling import spawn_rng

REGIONS = pd.MultiIndex.from_product([["marker"], ["adjacent", "tumour"]])
SIGNALS = {"null": (0.0, 0.0), "weak": (0.0, 0.35), "medium": (-0.3, 0.6)}
HORIZON, FOLDS, REPEATS = 12.0, 5, 5


def draw(n: int, signal: str, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw two correlated regions (.36) and an outcome with some 55 % events."""
    level = rng.normal(size=(n, 1))
    z = 0.6 * level + 0.8 * rng.normal(size=(n, 2))
    ids = [f"p{i:04d}" for i in range(n)]
    time = rng.exponential(size=n) * 40 * np.exp(-(z @ np.array(SIGNALS[signal])))
    censored = rng.uniform(5, 70, size=n)
    outcome = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=ids
    )
    return pd.DataFrame(np.exp(z), index=ids, columns=REGIONS), outcome


def one_set(
    n: int, signal: str, number: int, new: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cross-fit one training set; return margins and variances of the new patients."""
    rng = spawn_rng(1, "training set", signal, n, number)
    features, outcome = draw(n, signal, rng)
    fit = crossfit(
        features,
        outcome,
        horizon=HORIZON,
        model=MarkerModel(),
        n_folds=FOLDS,
        n_repeats=REPEATS,
        seed=number,
    )
    block = new.to_numpy()
    margins = np.array([[m["marker"].predict(block) for m in folds] for folds in fit.models])
    held_out = rng.integers(FOLDS, size=(REPEATS, 1, len(new)))
    single = np.take_along_axis(margins, held_out, axis=1)[:, 0]
    return (
        single.mean(axis=0),
        (FOLDS - 1) * single.var(axis=0, ddof=1),
        margins.mean(axis=(0, 1)),
        (FOLDS - 1) * margins.var(axis=1).mean(axis=0),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training-sets", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    rows = []
    for n in (100, 163):
        for signal in SIGNALS:
            new = draw(40, signal, spawn_rng(2, "new patients"))[0]
            results = Parallel(n_jobs=arguments.jobs)(
                delayed(one_set)(n, signal, number, new)
                for number in range(arguments.training_sets)
            )
            out, out_variance, mean, mean_variance = map(np.array, zip(*results, strict=True))
            truth = np.log(new.to_numpy()) @ np.array(SIGNALS[signal])
            centred = mean - mean.mean(axis=1, keepdims=True)
            slope = float(((centred @ truth) / (centred**2).sum(axis=1)).mean())
            for role, values, variance in (
                ("out of fold", out, out_variance),
                ("new", mean, mean_variance),
            ):
                true, se = values.std(axis=0, ddof=1), np.sqrt(variance)
                rows.append(
                    {
                        "n": n,
                        "signal": signal,
                        "patient": role,
                        "true": true.mean(),
                        "se": se.mean(),
                        "ratio": se.mean() / true.mean(),
                        "root mean square ratio": np.sqrt(variance.mean() / (true**2).mean()),
                        "slope": slope,
                    }
                )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
