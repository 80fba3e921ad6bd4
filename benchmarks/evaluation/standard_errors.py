"""How the standard errors by influence function cover, with competing events and censoring.

Studies of 150 patients with one covariate that raises the hazard of the event, a competing event,
and censoring that takes about a third. The model compared with the outcome is the true one, so the
target of every measure is its value in a large population without censoring. `sd`: spread of the
estimate over studies; `se`: mean estimated standard error, `known`: with the censoring weights
taken as known; `cover`: share of normal 95 % intervals (on `se`) that hold the target, with its
Monte Carlo standard error.

    python benchmarks/evaluation/standard_errors.py > benchmarks/evaluation/standard_errors.txt
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

import times_stats as ts
from times_stats.evaluation import InfluenceEstimate
from times_stats.resampling import spawn_rng

STUDIES, N, LARGE, HORIZON = 1000, 150, 400_000, 24.0
BASE, OTHER = 0.025, 0.012


def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return covariate, time to the first event, its cause, and the true survival."""
    x = rng.normal(size=n)
    rate = BASE * np.exp(x)
    time = rng.exponential(1 / (rate + OTHER))
    cause = np.where(rng.random(n) < rate / (rate + OTHER), 1, 2)
    incidence = rate / (rate + OTHER) * (1 - np.exp(-(rate + OTHER) * HORIZON))
    return x, time, cause, 1 - incidence


def targets(rng: np.random.Generator) -> dict[str, float]:
    """Return the measures in a large population that is followed to the end."""
    x, time, cause, survival = draw(LARGE, rng)
    case = (cause == 1) & (time <= HORIZON)
    rank = rankdata(x)
    n_cases = case.sum()
    pairs = n_cases * (LARGE - n_cases)
    # Uno's C is that of the cause-specific hazard here: the competing event ends follow-up
    alone = rng.exponential(1 / (BASE * np.exp(x)))
    everyone = np.ones(LARGE, dtype=int)
    return {
        "Harrell's C": np.nan,  # depends on the censoring: no target that is free of it
        "Uno's C": ts.evaluation.concordance_harrell(alone, everyone, x, horizon=HORIZON),
        "AUC": float((rank[case].sum() - n_cases * (n_cases + 1) / 2) / pairs),
        "Brier": float(np.mean((case - (1 - survival)) ** 2)),
    }


def estimates(rng: np.random.Generator) -> dict[str, InfluenceEstimate]:
    """Return the measures of one study."""
    x, time, cause, survival = draw(N, rng)
    censored = np.minimum(rng.exponential(60, N), rng.uniform(24, 72, N))
    seen = np.where(time <= censored, cause, 0)
    followed = np.minimum(time, censored)
    event = (seen == 1).astype(int)
    ev = ts.evaluation
    kw = {"times": [HORIZON], "cause": seen}
    return {
        "Harrell's C": ev.estimate_concordance_harrell(followed, event, x),
        "Uno's C": ev.estimate_concordance_uno(followed, event, x, horizon=HORIZON),
        "AUC": ev.estimate_auc(followed, event, x, **kw),
        "Brier": ev.estimate_brier(followed, event, survival[:, None], **kw),
    }


def main() -> None:
    """Print one row per measure."""
    target = targets(spawn_rng(1, "population"))
    found = [estimates(spawn_rng(1, "study", k)) for k in range(STUDIES)]
    print(f"{STUDIES} studies of {N} patients, horizon {HORIZON:g} months\n")
    print(
        f"{'measure':<13}{'target':>8}{'mean':>8}{'sd':>8}{'se':>8}{'known':>8}{'cover':>8}{'+-':>7}"
    )
    for name, aim in target.items():
        values = np.array([study[name].estimate[0] for study in found])
        se = np.array([study[name].se[0] for study in found])
        known = np.array([study[name].se_known_weights[0] for study in found])
        centre = values.mean() if np.isnan(aim) else aim
        cover = (np.abs(values - centre) <= 1.959964 * se).mean()
        error = np.sqrt(cover * (1 - cover) / STUDIES)
        shown = "-" if np.isnan(aim) else f"{aim:.4f}"
        print(
            f"{name:<13}{shown:>8}{values.mean():>8.4f}{values.std(ddof=1):>8.4f}"
            f"{se.mean():>8.4f}{known.mean():>8.4f}{cover:>8.3f}{error:>7.3f}"
        )
    print("\n-: no target free of the censoring; coverage of the mean over studies")


if __name__ == "__main__":
    main()
