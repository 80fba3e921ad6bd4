"""What a score that knows nothing adds to a stage, by how the score was made.

Studies of 120 patients, a stage that matters, twenty columns of noise; the score is a ridge Cox
regression on the noise. `external`: learned from 120 other patients; `single level`: out of fold on
these patients, then cross-validated once more on the same folds; `nested`: made again inside each
outer training set. `gain`: mean difference in log density of patients left out, stage and score
less stage (nats a patient; below 0 is right, the price of a useless coefficient); `above 0`: share
of intervals that lie above 0; `p <= .05`: share of likelihood-ratio tests.

    python benchmarks/comparison/added_value_leak.py > benchmarks/comparison/added_value_leak.txt
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import times_stats as ts
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals import RidgeCox

STUDIES, N, COLUMNS, FOLDS = 200, 120, 20, 4


def learn(noise: pd.DataFrame, outcome: pd.DataFrame, train: np.ndarray) -> RidgeCox:
    """Return the score's model, with a fixed penalty."""
    model = RidgeCox(transform="standardise", penalty={"features": 5.0})
    return model.fit(noise[train], outcome[train])


def out_of_fold(
    noise: pd.DataFrame, outcome: pd.DataFrame, folds: np.ndarray, train: np.ndarray
) -> np.ndarray:
    """Return scores of the training patients, cross-fitted among them, and of all the others."""
    score = np.full(len(noise), np.nan)
    others = np.zeros((FOLDS, len(noise)))
    for fold in range(FOLDS):
        model = learn(noise, outcome, train & (folds != fold))
        predicted = model.predict(noise)
        others[fold] = predicted
        score[train & (folds == fold)] = predicted[train & (folds == fold)]
    score[~train] = others.mean(axis=0)[~train]
    return score


def one_study(number: int) -> dict[str, tuple[float, bool, bool]]:
    """Return gain, interval above 0 and a significant test, by how the score was made."""
    rng = spawn_rng(1, "added value", number)
    stage = pd.Series(rng.integers(0, 3, 2 * N))
    failure, censoring = rng.exponential(np.exp(-0.5 * stage)), rng.exponential(2, 2 * N)
    outcome = pd.DataFrame(
        {"time": np.minimum(failure, censoring), "event": (failure <= censoring).astype(int)}
    )
    noise = pd.DataFrame(rng.normal(size=(2 * N, COLUMNS)))
    elsewhere = learn(noise, outcome, np.arange(2 * N) >= N).predict(noise)[:N]
    outcome, noise, stage = outcome[:N], noise[:N], stage[:N]
    folds = assign_folds(outcome.index, strata=outcome["event"], n_folds=FOLDS, rng=rng)
    inner = assign_folds(outcome.index, strata=outcome["event"], n_folds=FOLDS, rng=rng)[0]
    everybody = np.ones(N, dtype=bool)
    scores = {
        "external": elsewhere,
        "single level": out_of_fold(noise, outcome, folds[0], everybody),
        "nested": np.array(
            [[out_of_fold(noise, outcome, inner, folds[0] != fold) for fold in range(FOLDS)]]
        ),
    }
    found = {}
    for name, score in scores.items():
        value = ts.rivals.added_value(
            outcome, stage, score, folds=folds, n_resamples=300, rng=spawn_rng(2, number)
        )
        gain = value.log_density.loc["difference"]
        found[name] = (float(gain["estimate"]), bool(gain["lower"] > 0), value.p_value <= 0.05)
    return found


def main() -> None:
    """Print the mean over studies."""
    studies = [one_study(number) for number in range(STUDIES)]
    print(f"{STUDIES} studies; Monte Carlo standard error of the gain in brackets")
    print(f"{'score':<14}{'gain':>20}{'above 0':>10}{'p <= .05':>10}")
    for name in studies[0]:
        rows = np.array([study[name] for study in studies], dtype=float)
        gain, se = rows[:, 0].mean(), rows[:, 0].std(ddof=1) / np.sqrt(STUDIES)
        shown = f"{gain:+.4f} ({se:.4f})"
        print(f"{name:<14}{shown:>20}{rows[:, 1].mean():>10.3f}{rows[:, 2].mean():>10.3f}")


if __name__ == "__main__":
    main()
