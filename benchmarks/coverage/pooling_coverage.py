"""Coverage of 95 % intervals, for every pooling rule: pooling alone, and the whole line.

1. *Pooling alone.* 10,000 patients with known theta and five markers; true variances follow their
   prior, sample variances have one degree of freedom less than there are tiles, and everything else
   is learned from the patients, correlations of the errors apart (given, where there are any).
   Target: theta. ``new marker``: target theta plus the deviation of a marker that was not used.
2. *Tiles as probabilities.* The same patients as tiles whose logits scatter about theta, through
   the functions that take means and variances; correlations of the errors are estimated.
   ``published``: its score give or take 1.96 of the standard error it would claim.
3. *The whole line.* Training sets of one size are drawn from one population, and the scores of
   fixed new patients followed over them, on the scale of the log cumulative hazard. ``expected``:
   the target is the expected pooled value over training sets of that size (the mean over all other
   training sets). ``true hazard``: the patient's own log cumulative hazard at the horizon. ``se
   ratio``: root mean estimated variance over root mean variance between training sets.
4. *The whole line, with tiles.* Training patients have tiles, new patients are measured on fresh
   tiles for every training set; ``expected`` is over tiles and training sets. ``tiles``: the rules
   for tiles, whose intervals know of tiles alone. ``models``: a score of the means of the tiles,
   whose intervals know of training sets alone.

Signal of 3 and 4: log hazard ratio .35 per SD of one of the two regions of every marker, some 50 %
events; of 4, half of the variance of a tile lies within patients.

    python benchmarks/coverage/pooling_coverage.py > benchmarks/coverage/pooling_coverage.txt
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from times_stats.boosting.calibration import complementary_log_log
from times_stats.boosting.crossfitting import crossfit
from times_stats.boosting.evidence import apply_models
from times_stats.errors import DataWarning
from times_stats.resampling import spawn_rng
from times_stats.score.latent_evidence import fit_latent_prior
from times_stats.score.new_marker import predict_new_marker
from times_stats.score.pooling import estimate_between_marker_variance, pool_linear
from times_stats.score.published import pool_published
from times_stats.score.shrinkage import fit_variance_prior
from times_stats.score.tile_pooling import TilePooling
from times_stats.score.tile_tables import summarise_tiles
from times_stats.score.times_score import TimesScore

HORIZON = 24.0
MARKERS = 5
RULES = ("shrunken", "gls", "gls_truncated", "random_effects", "bayesian")


def split_rule(rule: str) -> dict[str, Any]:
    """Return the arguments of a rule."""
    if rule == "gls_truncated":
        return {"rule": "gls", "negative_weights": "truncate"}
    return {"rule": rule}


def pooling_alone(
    n: int, *, n_tiles: int, correlation: float, tau: float, rules: tuple[str, ...] = RULES
) -> list[dict[str, Any]]:
    """Coverage of theta by each rule, from estimates that are normal given their variances."""
    rng = spawn_rng(3, "pooling alone", n_tiles, int(100 * correlation), int(100 * tau))
    R = correlation + (1 - correlation) * np.eye(MARKERS)
    truth = 0.4 * 6 / rng.chisquare(6, (n, MARKERS))
    error = rng.multivariate_normal(np.zeros(MARKERS), R, n) * np.sqrt(truth / n_tiles)
    theta = rng.normal(size=n)
    estimate = theta[:, None] + tau * rng.normal(size=(n, MARKERS)) + error
    d = n_tiles - 1
    sample = truth * rng.chisquare(d, (n, MARKERS)) / d
    shrunken, df = fit_variance_prior(sample, df=d).shrink(sample, np.full_like(sample, d))
    given: dict[str, Any] = {"df": df, "error_correlation": R}
    rows = []
    for rule in rules:
        more = split_rule(rule)
        if rule == "random_effects":
            found = estimate_between_marker_variance(estimate, shrunken / n_tiles, **given)
            more["tau_squared"] = found
        if rule == "bayesian":
            told = pool_linear(estimate, shrunken / n_tiles, **given, rule="gls")
            more["latent_prior"] = fit_latent_prior(told.value, told.variance)
        pool = pool_linear(estimate, shrunken / n_tiles, **given, **more)
        row = {
            "tiles": n_tiles,
            "correlation": correlation,
            "tau": tau,
            "rule": rule,
            "coverage": np.mean((pool.lower <= theta) & (theta <= pool.upper)),
            "rmse": np.sqrt(np.mean((pool.value - theta) ** 2)),
            "width": np.mean(pool.upper - pool.lower),
            "negative": np.mean((pool.weights < 0).any(axis=1)),
        }
        if rule == "random_effects":
            new = theta + tau * rng.normal(size=n)
            for name, freedom in (("new marker, M - 2", None), ("new marker, normal", 1e6)):
                low, high = predict_new_marker(
                    pool.value,
                    pool.variance,
                    tau_squared=more["tau_squared"],
                    n_markers=np.full(n, MARKERS),
                    df=freedom,
                )
                row[name] = np.mean((low <= new) & (new <= high))
        rows.append(row)
    return rows


def tiles_as_probabilities(n: int, *, n_tiles: int, correlation: float) -> list[dict[str, Any]]:
    """Coverage of the probability expit(theta) by the rules for tiles."""
    rng = spawn_rng(3, "tiles", n_tiles, int(100 * correlation))
    R = correlation + (1 - correlation) * np.eye(MARKERS)
    spread = np.sqrt(0.15 * 6 / rng.chisquare(6, (n, MARKERS)))
    theta = rng.normal(size=n)
    error = rng.multivariate_normal(np.zeros(MARKERS), R, (n, n_tiles)) * spread[:, None]
    tiles = pd.DataFrame(
        expit(theta[:, None, None] + error).reshape(-1, MARKERS),
        index=np.repeat(np.arange(n), n_tiles),
    )
    summary = summarise_tiles(tiles)
    pooling = TilePooling(summary)
    rows = []
    for rule in ("published", *RULES):
        if rule == "published":
            table = pool_published(summary.mean, summary.variance)
            half = 1.96 * table["se_naive"]
            table = table.assign(lower=table["score"] - half, upper=table["score"] + half)
        else:
            table = pooling.table(summary, rule=rule)
        target = expit(theta)
        rows.append(
            {
                "tiles": n_tiles,
                "correlation": correlation,
                "estimated": summary.error_correlation[0, 1],
                "rule": rule,
                "coverage": np.mean((table["lower"] <= target) & (target <= table["upper"])),
                "rmse": np.sqrt(np.mean((logit(table["score"]) - theta) ** 2)),
            }
        )
    return rows


def draw(n: int, markers: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw markers of two correlated regions (.36) and an outcome."""
    z = np.hstack(
        [0.6 * rng.normal(size=(n, 1)) + 0.8 * rng.normal(size=(n, 2)) for _ in range(markers)]
    )
    names = [f"marker {m + 1}" for m in range(markers)]
    columns = pd.MultiIndex.from_product([names, ["adjacent", "tumour"]])
    ids = [f"p{i:04d}" for i in range(n)]
    time = rng.exponential(size=n) * np.exp(-true_log_hazard(z)) * HORIZON
    censored = rng.uniform(5, 70, size=n)
    outcome = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=ids
    )
    return pd.DataFrame(z, index=ids, columns=columns), outcome


def true_log_hazard(z: np.ndarray) -> np.ndarray:
    """Log cumulative hazard at the horizon, of a constant hazard."""
    return np.log(HORIZON / 40) + 0.35 * z[:, 1::2].sum(axis=1)


def as_tiles(features: pd.DataFrame, n_tiles: int, rng: np.random.Generator) -> pd.DataFrame:
    """Measure each patient on tiles, as much variance within patients as between them."""
    rows = features.loc[np.repeat(features.index, n_tiles)]
    return rows + rng.normal(size=rows.shape)


def one_set(
    n: int, markers: int, number: int, new: pd.DataFrame
) -> dict[tuple[str, str], np.ndarray]:
    """Fit one training set; value and limits of the new patients by source and rule."""
    features, outcome = draw(n, markers, spawn_rng(1, "training set", n, markers, number))
    found = {}
    for source in ("jackknife", "bootstrap"):
        score = TimesScore(horizon=HORIZON, seed=number, variance=source).fit(features, outcome)
        for rule in RULES:
            named = split_rule(rule)
            pooled = score.repool(pooling=named.pop("rule"), **named)
            table = pooled.predict_table(new)[["score", "lower", "upper"]]
            found[source, rule] = complementary_log_log(table.to_numpy())
    return found


def one_set_of_tiles(
    n: int, markers: int, number: int, new: pd.DataFrame
) -> dict[tuple[str, str], np.ndarray]:
    """Fit one training set of tiles; logit and limits of new patients on fresh tiles."""
    rng = spawn_rng(1, "training tiles", n, markers, number)
    features, outcome = draw(n, markers, rng)
    rows, fresh = as_tiles(features, 4, rng), as_tiles(new, 4, rng)
    fit = crossfit(
        rows, outcome, horizon=HORIZON, n_repeats=2, groups=rows.index.to_numpy(), seed=number
    )
    told = apply_models(fit, fresh).probability
    learned = pd.DataFrame(
        fit.probability.to_numpy().mean(axis=0), index=rows.sort_index(kind="stable").index
    ).set_axis(list(fit.markers), axis=1)
    pooling, tiles = TilePooling(summarise_tiles(learned)), summarise_tiles(told)
    limits = ["score", "lower", "upper"]
    found = {("tiles", rule): logit(pooling.table(tiles, rule=rule)[limits]) for rule in RULES}
    # Tiles averaged before any model sees them: the score of patients, as a run makes it.
    score = TimesScore(horizon=HORIZON, seed=number).fit(rows.groupby(level=0).mean(), outcome)
    means = fresh.groupby(level=0).mean()
    for rule in RULES:
        named = split_rule(rule)
        pooled = score.repool(pooling=named.pop("rule"), **named)
        found["models", rule] = logit(pooled.predict_table(means)[limits])
    return found


def cover(
    results: list[dict[tuple[str, str], np.ndarray]], truth: np.ndarray
) -> list[dict[str, Any]]:
    """Coverage of expectation and truth over training sets."""
    rows = []
    for source, rule in results[0]:
        drawn = np.array([found[source, rule] for found in results])
        value, lower, upper = np.moveaxis(drawn, -1, 0)
        others = (value.sum(axis=0) - value) / (len(value) - 1)
        covered = ((lower <= others) & (others <= upper)).mean(axis=1)
        se = (upper - lower) / (2 * 1.96)
        between = value.var(axis=0, ddof=1).mean()
        rows.append(
            {
                "variance": source,
                "rule": rule,
                "expected": covered.mean(),
                "monte carlo se": covered.std(ddof=1) / np.sqrt(len(covered)),
                "se ratio": np.sqrt((se**2).mean() / between),
                "true hazard": ((lower <= truth) & (truth <= upper)).mean(),
                "rmse to truth": np.sqrt(((value - truth) ** 2).mean()),
            }
        )
    return rows


def show(title: str, rows: list[dict[str, Any]]) -> None:
    print(title)
    print(pd.DataFrame(rows).round(3).to_string(index=False, na_rep=""), end="\n\n", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--training-sets", type=int, default=40)
    parser.add_argument("--training-sets-of-tiles", type=int, default=20)
    parser.add_argument("--training-patients", type=int, default=101)
    parser.add_argument("--markers", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    rows = []
    for n_tiles in (2, 4):
        for correlation, tau in ((0.0, 0.0), (0.5, 0.0), (0.9, 0.0), (0.0, 0.5), (0.5, 0.5)):
            rows += pooling_alone(
                arguments.patients, n_tiles=n_tiles, correlation=correlation, tau=tau
            )
    show("1. Pooling alone", rows)
    rows = []
    for n_tiles in (2, 4):
        for correlation in (0.0, 0.5):
            rows += tiles_as_probabilities(
                arguments.patients, n_tiles=n_tiles, correlation=correlation
            )
    show("2. Tiles as probabilities", rows)
    size = arguments.training_patients, arguments.markers
    new, _ = draw(60, arguments.markers, spawn_rng(2, "new patients", arguments.markers))
    truth = true_log_hazard(new.to_numpy())
    results = [one_set(*size, number, new) for number in range(arguments.training_sets)]
    show(f"3. The whole line: {len(results)} training sets of {size[0]}", cover(results, truth))
    numbers = range(arguments.training_sets_of_tiles)
    results = [one_set_of_tiles(*size, number, new) for number in numbers]
    # The score of tiles is a probability on the logit scale: so is its truth.
    truth = logit(-np.expm1(-np.exp(truth)))
    show(f"4. With tiles: {len(results)} training sets of {size[0]}", cover(results, truth))


if __name__ == "__main__":
    main()
