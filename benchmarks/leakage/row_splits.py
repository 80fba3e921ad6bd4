"""How far splitting tiles in place of patients inflates concordance, where nothing predicts.

Studies of 61 patients (the discovery samples of Jia et al. 2025, doi:10.1038/s41586-025-08668-x)
with 3 to 5 tiles each, five markers in two regions, 27 events on average, and an outcome that
depends on nothing. `share` is the share of a marker's variance that lies between patients: with
0.9 tiles of a patient are nearly copies, with 0.1 nearly strangers. One model a marker (the shipped
`MarkerModel`, and one as deep as the published one), margins averaged over markers and tiles:

rows       five folds of tiles: a patient's tiles train the model that predicts the patient
patients   five folds of patients
two-stage  folds of patients for the evidence, then a ridge Cox on the evidence of all, in sample
nested     the same within five outer folds of patients, whose evidence comes from the inner models

Harrell's C of the patients, mean over studies with its Monte Carlo standard error; .5 is honest.

    python benchmarks/leakage/row_splits.py > benchmarks/leakage/row_splits.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from times_stats.boosting import CrossFit, MarkerModel, crossfit
from times_stats.boosting.evidence import apply_models, out_of_fold_margin
from times_stats.evaluation import concordance_harrell
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals.cox import RidgeCox

STUDIES, N, SHARES = 24, 61, (0.1, 0.5, 0.9)
COLUMNS = pd.MultiIndex.from_product(
    [[f"M{k}" for k in range(1, 6)], ["border", "centre"]], names=["marker", "region"]
)
DEEP = {"n_rounds": 300, "max_depth": 10, "learning_rate": 0.03, "min_child_weight": 3.0}
KEPT = Path(__file__).with_suffix(".csv")


def simulate(number: int, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return tiles, indexed by patient, and outcomes that do not depend on them."""
    rng = spawn_rng(number, "row splits", str(share))
    patients = pd.Index([f"P{i:02d}" for i in range(N)], name="patient_id")
    tiles = patients.repeat(rng.integers(3, 6, N))
    own = pd.DataFrame(rng.normal(size=(N, len(COLUMNS))), index=patients, columns=COLUMNS)
    noise = rng.normal(size=(len(tiles), len(COLUMNS)))
    values = np.sqrt(share) * own.loc[tiles].to_numpy() + np.sqrt(1 - share) * noise
    time, end = rng.exponential(60.0, N), rng.uniform(20.0, 80.0, N)
    outcome = pd.DataFrame(
        {"time": np.minimum(time, end).round(1) + 0.1, "event": (time <= end).astype(int)},
        index=patients,
    )
    return pd.DataFrame(np.exp(values), index=tiles, columns=COLUMNS), outcome


def by_patient(margin: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of a patient's tiles, by marker."""
    return margin.groupby(level=0).mean()


def concordance(outcome: pd.DataFrame, risk: pd.Series) -> float:
    """Return Harrell's C of the patients."""
    table = outcome.loc[risk.index]
    return float(
        concordance_harrell(table["time"].to_numpy(), table["event"].to_numpy(), risk.to_numpy())
    )


def cross_fitted(
    tiles: pd.DataFrame, outcome: pd.DataFrame, model: MarkerModel, groups: np.ndarray, seed: int
) -> CrossFit:
    """Cross-fit the marker models over rows in groups that stay together."""
    return crossfit(
        tiles, outcome, horizon=24.0, model=model, n_repeats=1, groups=groups, seed=seed
    )


def nested_risk(
    tiles: pd.DataFrame, outcome: pd.DataFrame, model: MarkerModel, seed: int
) -> pd.Series:
    """Predict every patient by evidence and second stage that never saw the patient."""
    patients = outcome.index.to_numpy()
    outer = assign_folds(
        patients,
        strata=outcome["event"].to_numpy(),
        n_folds=5,
        n_repeats=1,
        rng=spawn_rng(seed, "outer"),
    )[0]
    risk = pd.Series(np.nan, index=outcome.index)
    for fold in range(5):
        known, new = patients[outer != fold], patients[outer == fold]
        train, test = tiles.loc[known], tiles.loc[new]
        fit = cross_fitted(train, outcome.loc[known], model, train.index.to_numpy(), seed)
        evidence = by_patient(out_of_fold_margin(fit))
        second = RidgeCox(transform="standardise").fit(evidence, outcome.loc[evidence.index])
        told = by_patient(apply_models(fit, test).margin)
        risk[told.index] = second.predict(told)
    return risk


def one_study(number: int, share: float) -> list[dict[str, object]]:
    """Return the concordance of every way to split."""
    tiles, outcome = simulate(number, share)
    rows, patients = np.arange(len(tiles)), tiles.index.to_numpy()
    found = []
    for name, options in (("shipped", {}), ("deep", DEEP)):
        model = MarkerModel(**options)
        by_row = by_patient(out_of_fold_margin(cross_fitted(tiles, outcome, model, rows, number)))
        evidence = by_patient(
            out_of_fold_margin(cross_fitted(tiles, outcome, model, patients, number))
        )
        y = outcome.loc[evidence.index]
        second = RidgeCox(transform="standardise").fit(evidence, y)
        result = {
            "rows": concordance(outcome, by_row.mean(axis=1)),
            "patients": concordance(outcome, evidence.mean(axis=1)),
            "two-stage": concordance(outcome, pd.Series(second.predict(evidence), evidence.index)),
        }
        if name == "shipped":  # the deep one takes too long
            result["nested"] = concordance(outcome, nested_risk(tiles, outcome, model, number))
        found.append({"study": number, "share": share, "model": name, **result})
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    parts = Parallel(n_jobs=jobs)(
        delayed(one_study)(number, share) for share in SHARES for number in range(STUDIES)
    )
    table = pd.DataFrame([row for part in parts for row in part])
    table.round(6).to_csv(KEPT, index=False)
    ways = ["rows", "patients", "two-stage", "nested"]
    groups = table.groupby(["model", "share"], sort=False)[ways]
    mean, error = groups.mean(), groups.sem()
    shown = (mean.map("{:.3f}".format) + " (" + error.map("{:.3f}".format) + ")").replace(
        "nan (nan)", "-"
    )
    print(
        f"Harrell's C of {N} patients whose outcome depends on nothing, {STUDIES} studies a row\n"
    )
    print(shown.reset_index().to_string(index=False))


if __name__ == "__main__":
    main()
