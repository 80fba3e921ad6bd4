"""The analysis of one study, from its tables to its report."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from times_stats.attribution.integration import IntegrationResult
from times_stats.attribution.shapley import marker_region_shapley, summarise_attribution
from times_stats.audit.run_checks import check_record
from times_stats.errors import InputError, TimesStatsWarning
from times_stats.pipeline.audit_record import record_run
from times_stats.pipeline.cell_features import example_image
from times_stats.pipeline.checkpoints import RunFolder, step_key
from times_stats.pipeline.findings import describe
from times_stats.pipeline.outputs import cell_tables, write_outputs
from times_stats.pipeline.preparation import Prepared, prepare
from times_stats.pipeline.risk_groups import assign_risk_groups
from times_stats.pipeline.steps import Display, Fitted, fit_steps
from times_stats.provenance import collect_provenance
from times_stats.report.contents import ReportContents
from times_stats.resampling import spawn_rng
from times_stats.tables.study import Study


class _Silent:
    def step(
        self, title: str, *, total: int | None = None
    ) -> AbstractContextManager[Callable[[], None]]:
        del title, total
        return nullcontext(lambda: None)

    def named(self, name: str) -> Display:
        del name
        return self


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
        Everything the report shows, the findings of the audit among it.
    """

    study: Study
    out: Path
    scores: pd.DataFrame
    comparison: pd.DataFrame
    attribution: pd.DataFrame
    integration: IntegrationResult
    contents: ReportContents


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
        provenance = collect_provenance(
            study,
            {
                name: getattr(study, name)
                for name in (
                    *("endpoint", "horizon", "censoring_strata"),
                    *("score", "survival", "compare", "evaluate"),
                )
            }
            | {"survival_model": prepared.spec},
        )
        folder = RunFolder(out, key=step_key(provenance))
        display = display or _Silent()
        try:
            fitted = fit_steps(prepared, folder, jobs=jobs, display=display)
            with display.step("report"):
                result = _report(prepared, fitted, folder.out, provenance=provenance, said=said)
        except InputError:
            folder.discard()
            raise
        folder.finish()
        return result


def _report(
    prepared: Prepared,
    fitted: Fitted,
    out: Path,
    *,
    provenance: dict[str, Any],
    said: list[str],
) -> RunResult:
    study, oof = prepared.study, fitted.out_of_fold
    weights = oof.filter(like="weight_").rename(columns=lambda name: name.removeprefix("weight_"))
    phi = marker_region_shapley(fitted.evidence, weights)
    attribution = summarise_attribution(
        phi, n_resamples=study.evaluate.n_resamples, rng=spawn_rng(study.seed, "attribution")
    )
    scores = oof.assign(
        risk_group=np.where(assign_risk_groups(fitted.nested.above_cut), "high", "low")
    )
    record = record_run(prepared, fitted, scores=scores, provenance=provenance)
    contents = describe(
        prepared,
        fitted,
        scores=scores,
        phi=phi,
        attribution=attribution,
        provenance=provenance,
        warnings=said,
        tissue=example_image(study),
        audit=check_record(record),
    )
    write_outputs(
        out,
        contents,
        tables={
            "scores": scores.reset_index(),
            "comparison": fitted.comparison,
            "attribution": attribution,
            "integration": fitted.integration.differences,
            "location_nulls": fitted.integration.nulls,
            "shapley": fitted.carriers.table,
            **({} if study.cells is None else cell_tables(study.cells)),
        },
        fit=fitted.fit,
        model_path=fitted.model_path,
        record=record,
    )
    return RunResult(
        study=study,
        out=out,
        scores=scores,
        comparison=fitted.comparison,
        attribution=attribution,
        integration=fitted.integration,
        contents=contents,
    )
