"""Small run folders for the audit: least squares in the place of boosting and sampling.

The loop is the real one (outer folds, evidence cross-fitted inside, a second stage on it), and each
way to get it wrong can be asked for, so that what the audit reads comes from that mistake.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from times_stats.audit.run_checks import check_record
from times_stats.audit.run_record import (
    FILES,
    RunRecord,
    describe_record,
    digest_features,
    find_duplicates,
)
from times_stats.evaluation import concordance_harrell
from times_stats.pipeline.csv_files import write_csv
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

REPEATS, FOLDS = 2, 4
HASHES = {"patients_hash": "5d18fd11", "measurements_hash": "89c185c5"}


def simulate_tiles(*, n_patients: int = 60, n_images: int = 3, seed: int = 1):
    """Return features of tiles (index patient_id) and outcomes of patients."""
    study = simulate_study(n_patients=n_patients, n_images=n_images, seed=seed)
    keys = ["patient_id"] + (["image_id"] if n_images > 1 else [])
    tiles = study.measurements.pivot_table(
        index=keys, columns=["marker", "region"], values="value", observed=True
    )
    tiles = tiles.reset_index(level=keys[1:], drop=True)
    patients = study.patients.set_index("patient_id")[["time", "event", "tnm"]]
    return tiles, patients.assign(tnm=patients["tnm"].rank(method="dense"))


def fit(X, y, penalty=5.0):
    """Return the ridge coefficients of a standardised regression."""
    return np.linalg.solve(X.T @ X + penalty * np.eye(X.shape[1]), X.T @ (y - y.mean()))


def crossfit(X, y, groups, seed):
    """Return out-of-fold evidence, and the models that made it."""
    labels = assign_folds(groups, n_folds=4, rng=spawn_rng(seed, "inner"))[0]
    evidence, models = np.zeros(len(y)), []
    for fold in range(4):
        models.append(fit(X[labels != fold], y[labels != fold]))
        evidence[labels == fold] = X[labels == fold] @ models[-1]
    return evidence, np.mean(models, axis=0)


def make_record(
    tiles: pd.DataFrame,
    patients: pd.DataFrame,
    *,
    rows: bool = False,
    single_level: bool = False,
    in_sample: tuple[str, ...] = (),
) -> RunRecord:
    """Analyse a study; split tiles (`rows`), keep one level of evidence, or fit to everybody."""
    data = np.log(tiles) if rows else np.log(tiles).groupby(level=0).mean()
    names = data.index.to_numpy()
    X = data.to_numpy()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    outcome = patients.loc[names]
    y = -np.log(outcome["time"].to_numpy())
    groups = np.arange(len(names)) if rows else names
    outer = assign_folds(groups, n_folds=FOLDS, n_repeats=REPEATS, rng=spawn_rng(1, "outer"))
    everybody, _ = crossfit(X, y, groups, 99)
    own = {
        "times_score": X @ crossfit(X, y, groups, 99)[1],
        "survival_model": everybody * fit(everybody[:, None], y)[0],
        "ridge_cox": X @ fit(X, y),
    }
    parts, splits = [], []
    for repeat, labels in enumerate(outer):
        risk = {name: np.full(len(y), np.nan) for name in own}
        for fold in range(FOLDS):
            train, test = labels != fold, labels == fold
            evidence, model = crossfit(X[train], y[train], groups[train], 10 * repeat + fold)
            told = X[test] @ model
            if single_level:
                evidence, told = everybody[train], everybody[test]
            risk["times_score"][test] = X[test] @ model
            risk["survival_model"][test] = told * fit(evidence[:, None], y[train])[0]
            risk["ridge_cox"][test] = X[test] @ fit(X[train], y[train])
            keys = {"repeat": repeat, "fold": fold}
            for role, who, z in (("train", train, evidence), ("test", test, told)):
                splits.append(
                    pd.DataFrame({**keys, "patient_id": names[who], "role": role, "evidence": z})
                )
        risk |= {name: own[name] for name in in_sample}
        risk["tnm"] = outcome["tnm"].to_numpy()
        keys = {"repeat": repeat, "fold": labels, "patient_id": names}
        known = {k: outcome[k].to_numpy() for k in ("time", "event")}
        parts.append(pd.DataFrame({**keys, **known, "compared": 1, **risk}))
    predictions = pd.concat(parts, ignore_index=True)
    means = data.groupby(level=0).mean()
    score, _ = crossfit(X, y, groups, 7)
    duplicates = find_duplicates(means, patients.loc[means.index])
    return RunRecord(
        predictions=predictions,
        splits=pd.concat(splits, ignore_index=True),
        in_sample=pd.DataFrame({"patient_id": names, **own}),
        comparison=compare_again(predictions),
        scores=pd.DataFrame({"patient_id": names, "linear_predictor": score}),
        duplicates=duplicates,
        features=digest_features(means),
        hashes=HASHES,
        provenance=HASHES,
    )


def compare_again(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison of every model alone."""
    n = predictions["patient_id"].nunique()
    events = int(predictions.drop_duplicates("patient_id")["event"].sum())
    return pd.DataFrame(
        {
            "model": name,
            "reference": "",
            "metric": "concordance_harrell",
            "estimate": np.mean(
                [
                    concordance_harrell(part["time"], part["event"], part[name])
                    for _, part in predictions.groupby("repeat")
                ]
            ),
            "n": n,
            "events": events,
        }
        for name in predictions.columns[6:]
    )


def write_run(record: RunRecord, folder: Path) -> Path:
    """Write the files of a run that the audit reads, as the pipeline does."""
    for name in FILES:
        write_csv(getattr(record, name), folder / f"{name}.csv")
    files = {f"{name}.csv": folder / f"{name}.csv" for name in FILES}
    audit = describe_record(record, check_record(record), files)
    (folder / "audit.json").write_text(json.dumps(audit))
    (folder / "provenance.json").write_text(json.dumps({"seed": 1, **record.provenance}))
    return folder
