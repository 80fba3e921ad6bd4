"""The steps of a run, each kept in the run folder when it ends."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from times_stats.attribution.carriers import Carriers, find_carriers
from times_stats.attribution.integration import IntegrationResult, integration_test
from times_stats.attribution.null_answers import tabulate_nulls
from times_stats.attribution.verdict import state_random_labelling
from times_stats.evaluation.comparison import Prediction, compare
from times_stats.model_files import save_score
from times_stats.pipeline.checkpoints import RunFolder
from times_stats.pipeline.nested import (
    RAW,
    SURVIVAL,
    NestedPredictions,
    failed_models,
    predict_nested,
)
from times_stats.pipeline.preparation import Prepared
from times_stats.pipeline.random_labels import move_labels
from times_stats.pipeline.storage import (
    read_frames,
    read_nested,
    read_record,
    write_frames,
    write_nested,
    write_record,
)
from times_stats.resampling import spawn_rng
from times_stats.score.times_score import TimesScore
from times_stats.studies.function_tables import spatial_functions
from times_stats.survival.sampling import (
    CompiledSurvival,
    SurvivalFit,
    compile_survival,
    fit_survival,
)
from times_stats.survival.storage import load_posterior, save_posterior

PERMUTATIONS = 9999  # half a second: a p-value near 5 % is then known to .002
REFITS = 199  # fits under a permutation: seconds, not milliseconds
LABELLINGS = 999  # draws of every image


class Display(Protocol):
    """Shows the progress of long work."""

    def step(
        self, title: str, *, total: int | None = None
    ) -> AbstractContextManager[Callable[[], None]]:
        """Enter a step; the value counts one piece done."""

    def named(self, name: str) -> Display:
        """Return a display for one of several analyses that run beside each other."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the steps of a run made.

    Attributes
    ----------
    model_path : Path
        Folder of the saved score.
    out_of_fold : DataFrame
        Cross-fitted score, interval, weights and probabilities, a row per patient.
    evidence : DataFrame
        Cross-fitted evidence z, columns (marker, region).
    nested : NestedPredictions
        Predictions of the outer loop.
    fit : SurvivalFit
        Survival model on all patients.
    integration : IntegrationResult
        Level or location.
    carriers : Carriers
        Shapley values of levels and locations.
    comparison : DataFrame
        Models and their paired differences.
    """

    model_path: Path
    out_of_fold: pd.DataFrame
    evidence: pd.DataFrame
    nested: NestedPredictions
    fit: SurvivalFit
    integration: IntegrationResult
    carriers: Carriers
    comparison: pd.DataFrame


def fit_steps(prepared: Prepared, folder: RunFolder, *, jobs: int, display: Display) -> Fitted:
    """Do the steps of a run, or read those that an earlier, stopped run had finished.

    Parameters
    ----------
    prepared : Prepared
        The analysed patients.
    folder : RunFolder
        Keeps the finished steps.
    jobs : int
        Processes; the results do not depend on it.
    display : Display
        Shows progress.

    Returns
    -------
    Fitted
        Read back from the kept files.
    """

    @functools.cache
    def compile_model() -> CompiledSurvival:
        return compile_survival(
            prepared.spec,
            columns=prepared.features.columns,
            n_cohorts=prepared.outcome["cohort"].nunique(),
        )

    with display.step("marker models and score"):
        model_path, tables = folder.step(
            "score",
            compute=lambda: _fit_score(prepared, jobs=jobs),
            write=_write_score,
            read=lambda path: (path / "model", read_frames(path)),
        )
    n_pieces = 2 * sum(len(np.unique(labels)) for labels in prepared.folds)
    with display.step("nested outer loop", total=n_pieces) as advance:
        nested = folder.step(
            "nested",
            compute=lambda: predict_nested(
                prepared.features,
                prepared.outcome,
                prepared.stages,
                levels=prepared.table.levels,
                folds=prepared.folds,
                settings=prepared.settings,
                compile_model=compile_model,
                seed=prepared.study.seed,
                jobs=jobs,
                advance=advance,
            ),
            write=write_nested,
            read=read_nested,
        )
    with display.step("survival model"):
        fit = folder.step(
            "survival",
            compute=lambda: _fit_survival(
                prepared, tables["evidence"], compile_model=compile_model, jobs=jobs
            ),
            write=save_posterior,
            read=load_posterior,
        )
    with display.step("level or location"):
        integration = folder.step(
            "integration",
            compute=lambda: _integrate(prepared, jobs=jobs),
            write=write_record,
            read=lambda path: read_record(IntegrationResult, path),
        )
    with display.step("who carries it"):
        carriers = folder.step(
            "carriers",
            compute=lambda: _find_carriers(prepared, jobs=jobs),
            write=write_record,
            read=lambda path: read_record(Carriers, path),
        )
    with display.step("comparison"):
        comparison = folder.step(
            "comparison",
            compute=lambda: {"comparison": _compare(prepared, nested, fit)},
            write=write_frames,
            read=read_frames,
        )["comparison"]
    return Fitted(
        model_path=model_path,
        out_of_fold=tables["out_of_fold"],
        evidence=tables["evidence"],
        nested=nested,
        fit=fit,
        integration=integration,
        carriers=carriers,
        comparison=comparison,
    )


def _fit_score(prepared: Prepared, *, jobs: int) -> TimesScore:
    study = prepared.study
    return TimesScore(
        model=prepared.settings.marker_model(),
        pooling=prepared.settings.pooling,
        variance=prepared.settings.variance,
        tuning=prepared.settings.candidates,
        horizon=study.horizon,
        n_folds=study.score.n_folds,
        n_repeats=study.score.n_repeats,
        seed=_seed(prepared, "score"),
        jobs=jobs,
    ).fit(prepared.features, prepared.outcome)


def _write_score(model: TimesScore, path: Path) -> None:
    save_score(model, path / "model")
    tables = {"out_of_fold": model.out_of_fold_, "evidence": model.out_of_fold_evidence_}
    write_frames(tables, path)


def _fit_survival(
    prepared: Prepared,
    evidence: pd.DataFrame,
    *,
    compile_model: Callable[[], CompiledSurvival],
    jobs: int,
) -> SurvivalFit:
    return fit_survival(
        prepared.spec,
        evidence,
        prepared.outcome,
        cohort=prepared.outcome["cohort"],
        seed=_seed(prepared, "full"),
        compiled=compile_model(),
        cores=jobs,
    )


def _integrate(prepared: Prepared, *, jobs: int) -> IntegrationResult:
    study = prepared.study
    found = integration_test(
        prepared.features,
        prepared.outcome,
        functions=spatial_functions(study),
        n_resamples=study.evaluate.n_resamples,
        n_permutations=PERMUTATIONS,
        n_refits=REFITS,
        margin=study.evaluate.margin,
        seed=study.seed,
        jobs=jobs,
        **build_design(prepared),
    )
    labelled = move_labels(prepared, n_permutations=LABELLINGS)
    if labelled is None:
        return found
    return dataclasses.replace(
        found,
        nulls=pd.concat([found.nulls, tabulate_nulls([labelled])], ignore_index=True),
        statement=f"{found.statement} {state_random_labelling(labelled)}",
        notes=(*found.notes, *(f"{labelled.null} test: {note}" for note in labelled.notes)),
    )


def _find_carriers(prepared: Prepared, *, jobs: int) -> Carriers:
    return find_carriers(
        prepared.features,
        prepared.outcome,
        n_resamples=prepared.study.evaluate.n_resamples,
        seed=prepared.study.seed,
        jobs=jobs,
        **build_design(prepared),
    )


def build_design(prepared: Prepared) -> dict[str, Any]:
    """Return what the ladder and the games are built from, by the names of their arguments.

    Parameters
    ----------
    prepared : Prepared
        The analysed patients.
    """
    study, strata = prepared.study, prepared.strata
    return {
        "stages": prepared.stages if len(prepared.stages.columns) else None,
        "levels": prepared.table.levels if prepared.table.is_weighted else None,
        "folds": prepared.folds,
        "horizon": study.horizon,
        "strata": None if strata is None else strata.to_numpy(),
        "tumour_region": study.score.tumour_region,
        "scaled_by_region": study.scaled_by_region,
    }


def _seed(prepared: Prepared, name: str) -> int:
    return int(spawn_rng(prepared.study.seed, name).integers(2**31))


def predictions(nested: NestedPredictions, stages: pd.DataFrame) -> list[Prediction]:
    """Turn the outer loop's arrays into predictions to compare, on patients with every stage."""
    known = stages.notna().all(axis=1).to_numpy()
    unscaled = {"no_predictors", *stages.columns}
    return [
        Prediction(
            name=name,
            risk=risk[:, known],
            survival=nested.survival[name][:, known],
            linear_predictor=None if name in unscaled else risk[:, known],
        )
        for name, risk in nested.linear_predictor.items()
    ]


def _compare(prepared: Prepared, nested: NestedPredictions, fit: SurvivalFit) -> pd.DataFrame:
    stages, y, strata = prepared.stages, prepared.outcome, prepared.strata
    known = stages.notna().all(axis=1)
    table = compare(
        y.loc[known],
        predictions(nested, stages),
        times=nested.times,
        horizon=prepared.study.horizon,
        references=[*stages.columns, "levels_ridge_cox"],
        null="no_predictors",
        strata=None if strata is None else strata.loc[known].to_numpy(),
        folds=prepared.comparable[:, known.to_numpy()],
        n_resamples=prepared.study.evaluate.n_resamples,
        rng=spawn_rng(prepared.study.seed, "comparison"),
    )
    failed = set(failed_models(nested.fits))
    if fit.diagnostics.status == "failed":
        failed.add(SURVIVAL)
    fitted = table["model"].isin({SURVIVAL, RAW})
    status = np.where(table["model"].isin(failed), "failed", np.where(fitted, "converged", ""))
    return table.assign(status=status)
