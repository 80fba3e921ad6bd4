"""A saved model applied to new patients: score, interval, survival, and where the data leave it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from times_stats._checks import Faults
from times_stats.errors import InputError
from times_stats.features.matrix import complete_markers, feature_matrix
from times_stats.model_files import check_manifest, load_score
from times_stats.model_files.plain_json import parse_json
from times_stats.pipeline.checkpoints import replacing
from times_stats.pipeline.csv_files import write_csv
from times_stats.pipeline.outputs import CELLS
from times_stats.score.times_score import TimesScore
from times_stats.studies.reading import read_new_patients
from times_stats.survival.prediction import predict_rmst, predict_survival
from times_stats.survival.storage import load_posterior
from times_stats.tables.cell_measures import CellMeasures


def _range_warnings(model: TimesScore, features: pd.DataFrame) -> pd.Series:
    """Name, per patient, the values outside the range of the training patients."""
    low, high = model.training_range_["min"], model.training_range_["max"]
    said = pd.Series("", index=features.index)
    for key in features.columns:
        name = " ".join(map(str, key))
        for side, outside in (
            ("below", features[key] < low[key]),
            ("above", features[key] > high[key]),
        ):
            said[outside] += f"{name} {side} the training range; "
    return said.str.removesuffix("; ")


def _check_same_regions(folder: Path, cells: CellMeasures | None, source: str) -> None:
    """Refuse regions that were drawn by other rules than those of the model."""
    file = folder / CELLS
    if not file.exists() and cells is None:
        return
    if not file.exists():
        raise InputError(
            "the model was fitted to measurements: give [measurements], not [cells]", source=source
        )
    if cells is None:
        raise InputError(
            "the model was fitted to cells: give [cells], not [measurements]", source=source
        )
    expected = parse_json(file.read_bytes(), source=str(file))
    faults = Faults()
    for name, value in cells.settings.items():
        if value != expected.get(name):
            faults.add(
                f"{name} is {value} and was {expected.get(name)} when the model was fitted: "
                "draw the regions by the same rules"
            )
    faults.raise_if_any(source)


def apply_saved_model(
    model: str | os.PathLike[str],
    study: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
) -> pd.DataFrame:
    """Score new patients with the model of a finished run, without fitting anything.

    Parameters
    ----------
    model : path
        ``model/`` folder of a run.
    study : path
        Study file of the new patients. Outcome columns are not needed and never looked at.
    out : path, optional
        CSV file to write.
    jobs : int, default 1
        Processes that measure cells, in a study with cells.

    Returns
    -------
    DataFrame
        One row per patient: ``score`` with ``se``, ``lower``, ``upper``; ``survival`` at the
        horizon and ``rmst`` (months) with their 95 % credible intervals; weights; ``warnings``,
        which names values outside the training range and markers that could not be used.

    Raises
    ------
    ModelFileError
        If the model's files are damaged, altered or of another version.
    InputError
        If the new patients lack every marker of the model, or their regions were drawn by other
        rules.

    Examples
    --------
    >>> from times_stats.pipeline import apply_saved_model
    >>> apply_saved_model("run/model", "new.toml", out="scores.csv")  # doctest: +SKIP
    """
    folder = Path(model)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the model/ folder of a finished run")
    check_manifest(folder)
    score = load_score(folder)
    fit = load_posterior(folder)
    patients, measurements, cells = read_new_patients(Path(study), jobs=jobs)
    _check_same_regions(folder, cells, str(study))
    features = feature_matrix(measurements, patients["patient_id"], columns=fit.columns)
    usable = complete_markers(features)
    if not usable.to_numpy().any():
        raise InputError(
            "measurements: no new patient has any marker of the model in all its regions "
            f"({', '.join(usable.columns)}); check marker and region names",
            source=str(study),
        )
    horizon = score.horizon
    with threadpool_limits(limits=1):
        table: pd.DataFrame = score.predict_table(features)
        evidence = score.evidence(features)
        cohort = patients.set_index("patient_id")["cohort"].loc[features.index]
        survival = predict_survival(fit, evidence, times=[horizon], cohort=cohort)[:, :, 0]
        rmst = predict_rmst(fit, evidence, horizon=horizon, cohort=cohort)
    for name, draws in (("survival", survival), ("rmst", rmst)):
        values = draws.to_numpy()
        low, high = np.quantile(values, [0.025, 0.975], axis=0)
        table[name], table[f"{name}_lower"], table[f"{name}_upper"] = values.mean(axis=0), low, high
    known = usable.any(axis=1).to_numpy()
    table.loc[~known, table.filter(regex="^(survival|rmst)").columns] = np.nan
    outside = _range_warnings(score, features)
    table["warnings"] = [
        "; ".join(
            [said] * bool(said)
            + [f"{marker} not measured in all its regions" for marker in usable.columns[~row]]
        )
        for said, row in zip(outside, usable.to_numpy(), strict=True)
    ]
    if out is not None:
        with replacing(Path(out)) as part:
            write_csv(table.reset_index(), part)
    return table
