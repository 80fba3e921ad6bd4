"""The analysis of one study, from its tables to its report."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from times_stats.attribution.integration import IntegrationResult, integration_test
from times_stats.attribution.shapley import marker_region_shapley, summarise_attribution
from times_stats.boosting.marker_model import MarkerModel
from times_stats.errors import InputError, TimesStatsWarning
from times_stats.evaluation.comparison import Prediction, compare
from times_stats.model_files import save_score
from times_stats.pipeline.checkpoints import RunFolder, step_key
from times_stats.pipeline.findings import describe
from times_stats.pipeline.nested import NestedPredictions, high_risk, predict_nested
from times_stats.pipeline.outputs import audit_folds, write_outputs
from times_stats.pipeline.preparation import Prepared, prepare
from times_stats.pipeline.storage import (
    read_frames,
    read_nested,
    read_record,
    write_frames,
    write_nested,
    write_record,
)
from times_stats.provenance import collect_provenance
from times_stats.report.contents import ReportContents
from times_stats.resampling import spawn_rng
from times_stats.score.times_score import TimesScore
from times_stats.survival.sampling import (
    CompiledSurvival,
    SurvivalFit,
    compile_survival,
    fit_survival,
)
from times_stats.survival.storage import load_posterior, save_posterior
from times_stats.tables.study import Study


class Display(Protocol):
    """Shows the progress of long work."""

    def step(
        self, title: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[], None]]:
        """Enter a step; the value counts one piece done."""


class _Silent:
    def step(
        self, title: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[], None]]:
        del title, total
        return nullcontext(lambda: None)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a finished run found; the files in `out` hold the same.

    Attributes
    ----------
    study : Study
        The study as analysed.
    out : Path
        Folder with the report and the files.
    scores : DataFrame
        One row per patient: out-of-fold score with interval, weights, probabilities, risk group.
    comparison : DataFrame
        Tidy: model, reference, metric, estimate, lower, upper, se, n, events.
    attribution : DataFrame
        Mean absolute contribution of each marker in each region, with bootstrap interval.
    integration : IntegrationResult
        Level or location: ladder of models, paired differences, verdict.
    contents : ReportContents
        Everything the report shows.
    """

    study: Study
    out: Path
    scores: pd.DataFrame
    comparison: pd.DataFrame
    attribution: pd.DataFrame
    integration: IntegrationResult
    contents: ReportContents


def predictions(nested: NestedPredictions, stages: pd.DataFrame) -> list[Prediction]:
    """Turn the outer loop's arrays into predictions to compare, on patients with every stage."""
    known = stages.notna().all(axis=1).to_numpy()
    unscaled = {"null", *stages.columns}
    return [
        Prediction(
            name=name,
            risk=risk[:, known],
            survival=nested.survival[name][:, known],
            linear_predictor=None if name in unscaled else risk[:, known],
        )
        for name, risk in nested.linear_predictor.items()
    ]


def _compare(prepared: Prepared, nested: NestedPredictions) -> pd.DataFrame:
    stages, y, strata = prepared.stages, prepared.outcome, prepared.strata
    known = stages.notna().all(axis=1)
    return compare(
        y.loc[known],
        predictions(nested, stages),
        times=nested.times,
        horizon=prepared.study.horizon,
        references=[*stages.columns, "levels_ridge_cox"],
        null="null",
        strata=None if strata is None else strata.loc[known].to_numpy(),
        folds=prepared.folds[:, known.to_numpy()],
        n_resamples=prepared.study.evaluate.n_resamples,
        rng=spawn_rng(prepared.study.seed, "comparison"),
    )


def run(
    study: Study,
    *,
    out: str | os.PathLike[str],
    seed: int | None = None,
    jobs: int = 1,
    display: Display | None = None,
) -> RunResult:
    """Analyse a study and write its report.

    Parameters
    ----------
    study : Study
        From `read_study` or `datasets`.
    out : path
        Folder to write to: new, empty, or of an earlier run, whose files are replaced. A run that
        was stopped goes on from its last finished step.
    seed : int, optional
        Instead of the study's seed.
    jobs : int, default 1
        Processes; the results do not depend on it.
    display : Display, optional
        Shows progress.

    Returns
    -------
    RunResult
        Scores, comparison, attribution, the answer to level or location, and the report's contents.

    Raises
    ------
    InputError
        If the study cannot be analysed, or `out` holds files of something else; nothing is written.

    Examples
    --------
    >>> import times_stats as ts
    >>> study = ts.datasets.load_hcc_ihc("complete")
    >>> result = ts.run(study, out="run")  # doctest: +SKIP
    """
    if seed is not None:
        study = dataclasses.replace(study, seed=seed)
    with threadpool_limits(limits=1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            prepared = prepare(study)
        ours = [entry for entry in caught if issubclass(entry.category, TimesStatsWarning)]
        for entry in ours:
            warnings.warn(entry.message, stacklevel=2)
        said = [str(entry.message) for entry in ours]
        return _run(prepared, said, out=Path(out), jobs=jobs, display=display or _Silent())


def _run(
    prepared: Prepared, said: list[str], *, out: Path, jobs: int, display: Display
) -> RunResult:
    study = prepared.study
    provenance = collect_provenance(study, dataclasses.asdict(prepared.spec))
    folder = RunFolder(out, key=step_key(provenance))
    seeds = {name: int(spawn_rng(study.seed, name).integers(2**31)) for name in ("score", "full")}
    compiled: list[CompiledSurvival] = []

    def compile_model() -> CompiledSurvival:
        if not compiled:
            compiled.append(
                compile_survival(
                    prepared.spec,
                    columns=prepared.features.columns,
                    n_cohorts=prepared.outcome["cohort"].nunique(),
                )
            )
        return compiled[0]

    def fit_score() -> TimesScore:
        return TimesScore(
            model=MarkerModel(objective=prepared.settings.objective, horizon=study.horizon),
            pooling=prepared.settings.pooling,
            horizon=study.horizon,
            n_folds=study.score.n_folds,
            n_repeats=study.score.n_repeats,
            seed=seeds["score"],
            jobs=jobs,
        ).fit(prepared.features, prepared.outcome)

    def write_score(model: TimesScore, path: Path) -> None:
        save_score(model, path / "model")
        write_frames(
            {"out_of_fold": model.out_of_fold_, "evidence": model.out_of_fold_evidence_}, path
        )

    def read_score(path: Path) -> tuple[Path, dict[str, pd.DataFrame]]:
        return path / "model", read_frames(path)

    with display.step("marker models and score"):
        try:
            model_path, tables = folder.step(
                "score", compute=fit_score, write=write_score, read=read_score
            )
        except InputError:
            folder.discard()
            raise
    n_outer = 2 * prepared.folds.shape[0] * len(np.unique(prepared.folds))
    with display.step("nested outer loop", n_outer) as advance:
        nested: NestedPredictions = folder.step(
            "nested",
            compute=lambda: predict_nested(
                prepared.features,
                prepared.outcome,
                prepared.stages,
                folds=prepared.folds,
                settings=prepared.settings,
                compile_model=compile_model,
                seed=study.seed,
                jobs=jobs,
                advance=advance,
            ),
            write=write_nested,
            read=read_nested,
        )

    def fit_full() -> SurvivalFit:
        return fit_survival(
            prepared.spec,
            tables["evidence"],
            prepared.outcome,
            cohort=prepared.outcome["cohort"],
            seed=seeds["full"],
            compiled=compile_model(),
            cores=jobs,
        )

    with display.step("survival model"):
        fit = folder.step("survival", compute=fit_full, write=save_posterior, read=load_posterior)
    with display.step("level or location"):
        integration = folder.step(
            "integration",
            compute=lambda: integration_test(
                prepared.features,
                prepared.outcome,
                stages=prepared.stages if len(prepared.stages.columns) else None,
                folds=prepared.folds,
                horizon=study.horizon,
                strata=None if prepared.strata is None else prepared.strata.to_numpy(),
                n_resamples=study.evaluate.n_resamples,
                margin=study.evaluate.margin,
                tumour_region=study.score.tumour_region,
                scaled_by_region=study.scaled_by_region,
                seed=study.seed,
                jobs=jobs,
            ),
            write=write_record,
            read=lambda path: read_record(IntegrationResult, path),
        )
    with display.step("comparison"):
        comparison = folder.step(
            "comparison",
            compute=lambda: {"comparison": _compare(prepared, nested)},
            write=write_frames,
            read=read_frames,
        )["comparison"]
    with display.step("attribution and report"):
        oof = tables["out_of_fold"]
        weights = oof.filter(like="weight_").rename(
            columns=lambda name: name.removeprefix("weight_")
        )
        phi = marker_region_shapley(tables["evidence"], weights)
        attribution = summarise_attribution(
            phi, n_resamples=study.evaluate.n_resamples, rng=spawn_rng(study.seed, "attribution")
        )
        scores = oof.assign(risk_group=np.where(high_risk(nested), "high", "low"))
        contents = describe(
            prepared,
            scores=scores,
            nested=nested,
            comparison=comparison,
            fit=fit,
            evidence=tables["evidence"],
            phi=phi,
            attribution=attribution,
            integration=integration,
            provenance=provenance,
            warnings=said,
        )
        write_outputs(
            out,
            contents,
            tables={
                "scores": scores.reset_index(),
                "comparison": comparison,
                "attribution": attribution,
                "integration": integration.differences,
            },
            fit=fit,
            model_path=model_path,
            audit=audit_folds(prepared),
        )
        folder.finish()
    return RunResult(
        study=study,
        out=out,
        scores=scores,
        comparison=comparison,
        attribution=attribution,
        integration=integration,
        contents=contents,
    )
