"""Anybody's risks compared with the stages of a study, on the same patients."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.evaluation.comparison import Prediction, draw_metrics, tabulate_models
from times_stats.evaluation.paired_differences import tabulate_pairs
from times_stats.nonparametric import check_censoring_strata
from times_stats.pipeline.checkpoints import MARK, replacing
from times_stats.pipeline.comparison_text import comparison_text
from times_stats.pipeline.csv_files import write_csv
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals.marginal import NullModel
from times_stats.rivals.nested_likelihood import added_value
from times_stats.rivals.stage import StageModel
from times_stats.staging.all_systems import SYSTEMS, stage_patients
from times_stats.staging.clinical_columns import COLUMNS
from times_stats.staging.recorded import read_recorded_stage
from times_stats.tables.readers.formats import read_table
from times_stats.tables.risk_files import AT, ForeignRisks, check_risks
from times_stats.tables.settings import StudySettings, check_settings
from times_stats.tables.study import check_horizon, check_tables, present_table
from times_stats.tables.study_files import parse_study_file, read_named_table

NULL = "no_predictors"
LEAST_EVENTS = 10
"""Events that a comparison, or one within a cohort, needs."""
MOST_UNSTAGED = 0.1
"""Share of patients without an answer above which a computed stage is not compared, and above which
leaving out the patients without every stage is noted."""
_LEVEL = 0.95
_TOGETHER = ("lower_simultaneous", "upper_simultaneous", "p_adjusted")
_OF_A_RUN = (MARK, "audit.json")
# The grade stands for the points that it groups.
_GROUPED = {"child_pugh_points"}
_COMPUTED = "_computed"


@dataclass(frozen=True, slots=True, eq=False)
class RiskComparison:
    """What `compare_risks` found.

    Attributes
    ----------
    table : DataFrame
        Tidy: ``cohort`` (empty for all patients), ``model``, ``reference`` (empty for a model
        alone, else the model subtracted), ``metric``, ``estimate``, ``lower``, ``upper``, ``se``,
        ``lower_simultaneous``, ``upper_simultaneous``, ``p_adjusted``, ``n_differences``, ``n``,
        ``events``. What a model does not have is not in it.
    added : DataFrame
        A row per risk of the file and stage: ``risk``, ``stage``, ``chi_squared``, ``df``,
        ``p_value``, ``p_adjusted`` (Holm, over the rows), ``coefficient``, ``adequacy``,
        ``log_density_stage``, ``log_density_both``, ``difference``, ``lower``, ``upper`` (each
        alone), ``n``, ``events``; see `rivals.added_value`.
    flow : DataFrame
        ``step``, ``n_patients``, ``n_events``, ``reason``.
    notes : tuple of str
        Stages and cohorts that were not compared, and why.
    text : str
        The short account, in Markdown.
    """

    table: pd.DataFrame
    added: pd.DataFrame
    flow: pd.DataFrame
    notes: tuple[str, ...]
    text: str


def compare_risks(
    study: str | os.PathLike[str],
    risk: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    seed: int | None = None,
) -> RiskComparison:
    """Compare the risks of a file with each other and with the stages of a study.

    Nothing is fitted but the stages: the survival of each stage is its Kaplan-Meier curve in the
    training folds, so that no patient's own outcome is part of the stage's prediction. The risks of
    the file are taken as they are; whether they were learned from these patients is not visible
    here, and if they were, their advantage is not real.

    Parameters
    ----------
    study : path
        Study file. Its patients, recorded stages (``[compare] staging``), clinical columns, horizon
        and ``[evaluate]`` are used; measurements and cells are not read.
    risk : path
        Table with ``patient_id`` and a column per prediction, named as in `tables.check_risks`.
    out : path
        Folder to write to: ``comparison.csv``, ``added_value.csv``, ``flow.csv``,
        ``comparison.md``.
    columns : sequence of str, optional
        Columns of the file to compare; all by default.
    seed : int, optional
        In place of the study's.

    Returns
    -------
    RiskComparison

    Raises
    ------
    InputError
        If a file has a fault, the folder is that of a run, too few events are left, or censoring is
        too heavy at the horizon.

    Notes
    -----
    A stage that the clinical columns give (`staging.stage_patients`) is compared under its name
    with ``_computed``, where it is known for nine patients in ten and takes two values at least.
    The family of simultaneous intervals are the differences that have a risk of the file in them.
    The calibration slope is that of the complementary log-log of the event probability at the
    horizon; a risk without probabilities has none, and a stage has none, since each fold has its
    own. Of a model with both, ``NAME@horizon``, as its complementary log-log, is what is added to
    the stages, and ``NAME`` what ranks patients. A probability of 0 or 1 is moved inside for both,
    and noted.

    Examples
    --------
    >>> from times_stats.pipeline import compare_risks
    >>> compare_risks("study.toml", "risks.csv", out="compared").table  # doctest: +SKIP
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder with --out")
    if held := [name for name in _OF_A_RUN if (folder / name).exists()]:
        raise InputError(
            f"{folder} holds {held[0]}, and is the folder of a run, which has a comparison.csv of "
            "its own: name another folder with --out"
        )
    settings, patients = _read_patients(Path(study))
    try:
        foreign = check_risks(
            read_table(Path(risk)),
            patient_ids=patients.index,
            horizon=settings.horizon,
            columns=columns,
        )
    except InputError as error:
        raise InputError(error.faults, source=str(risk)) from None
    chosen = settings.seed if seed is None else seed
    kept = patients.loc[foreign.risk.index]
    stages, notes = _stages(settings, kept)
    _check_free(foreign, [*stages.columns, NULL], str(risk))
    known = stages.notna().all(axis=1)
    flow = _flow(patients, kept, stages)
    notes += _costly_stages(stages)
    y = kept.loc[known]
    _check_events(y, str(risk))
    stages = stages.loc[known]
    folds = assign_folds(
        y.index.to_numpy(),
        strata=(y["event"].astype(str) + " " + y["cohort"]).to_numpy(),
        n_folds=settings.evaluate.n_folds,
        n_repeats=settings.evaluate.n_repeats,
        rng=spawn_rng(chosen, "comparison folds"),
    )
    models = [
        *_stage_predictions(y, stages, _grid(foreign, settings), folds),
        *_foreign_predictions(foreign, known.to_numpy(), settings.horizon, notes),
    ]
    family = _family(list(stages.columns), list(foreign.risk.columns))
    compared = _Comparison(models, family, _grid(foreign, settings), settings, chosen)
    strata = _strata(y, settings)
    if strata is not None:
        check_censoring_strata(y["time"], y["event"], strata)
    tables = [compared.tabulate(y, np.ones(len(y), dtype=bool), "")]
    cohorts = sorted(y["cohort"].unique())
    for cohort in cohorts if len(cohorts) > 1 else []:
        member = (y["cohort"] == cohort).to_numpy()
        try:
            _check_events(y.loc[member], "")
            tables.append(compared.tabulate(y, member, str(cohort)))
        except InputError as error:
            notes.append(f"cohort {cohort} is not compared on its own: {error.faults[0]}")
    table = pd.concat(tables, ignore_index=True)
    added = _added_values(compared, y, stages, folds, notes)
    text = comparison_text(table, added, flow, notes, settings, risks=list(foreign.risk.columns))
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in (("comparison", table), ("added_value", added), ("flow", flow)):
        with replacing(folder / f"{name}.csv") as part:
            write_csv(frame, part)
    with replacing(folder / "comparison.md") as part:
        part.write_text(text, encoding="utf-8")
    return RiskComparison(table, added, flow, tuple(notes), text)


def _read_patients(path: Path) -> tuple[StudySettings, pd.DataFrame]:
    """Read the patients of a study file, and none of its measurements."""
    faults = Faults()
    sections = parse_study_file(path)
    settings = check_settings(sections, faults)
    raw = read_named_table(sections, "patients", path, faults)
    canonical, _ = check_tables(settings, raw, None, faults, with_outcome=True)
    if canonical is not None and len(canonical):
        check_horizon(canonical, settings.horizon, faults)
    faults.raise_if_any(str(path))
    return settings, present_table(canonical).set_index("patient_id")


def _stages(settings: StudySettings, patients: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Read recorded stages, and compute those that are then known for nearly everybody."""
    found: dict[str, pd.Series] = {}
    notes: list[str] = []
    for recorded in settings.compare.staging:
        stage, _ = read_recorded_stage(patients[recorded], system=recorded)
        _keep(found, recorded, stage, len(patients), notes, least=0.0)
    if any(name in patients.columns for name in COLUMNS):
        staged = stage_patients(patients)
        for system in SYSTEMS:
            ordered = system.dtype in ("category", "Int64") and system.name not in _GROUPED
            if not ordered or not staged.answered.get(system.name):
                continue
            answer: pd.Series = staged.table[system.name]
            if system.dtype == "Int64":
                points = sorted(answer.dropna().unique())
                answer = answer.astype(pd.CategoricalDtype(points, ordered=True))
            name = f"{system.name}{_COMPUTED}"
            _keep(found, name, answer, len(patients), notes, least=1.0 - MOST_UNSTAGED)
    if not any(name.endswith(_COMPUTED) for name in found):
        notes.append("no stage is computed: the clinical columns settle none for most patients")
    return pd.DataFrame(found, index=patients.index), notes


def _keep(
    found: dict[str, pd.Series],
    name: str,
    stage: pd.Series,
    n: int,
    notes: list[str],
    *,
    least: float,
) -> None:
    n_known = int(stage.notna().sum())
    if n_known < least * n:
        notes.append(f"{name} is not compared: it is known for {n_known} of {n} patients")
    elif stage.nunique() < 2:
        notes.append(f"{name} is not compared: it is the same for every patient")
    else:
        found[name] = stage


def _costly_stages(stages: pd.DataFrame) -> list[str]:
    """Note that many patients are left out for want of a stage, and which stage costs most."""
    lost = stages.isna().any(axis=1)
    if lost.mean() <= MOST_UNSTAGED:
        return []
    regained = {
        name: int((lost & stages.drop(columns=name).notna().all(axis=1)).sum())
        for name in stages.columns
    }
    most = max(stages.columns, key=lambda name: (regained[name], stages[name].isna().sum()))
    remedy = (
        "complete its columns"
        if most.endswith(_COMPUTED)
        else "complete it, or take it out of [compare] staging"
    )
    return [
        f"{int(lost.sum())} of {len(stages)} patients are left out for want of a stage; {most} "
        f"costs most: {int(stages[most].isna().sum())} lack it, and without it {regained[most]} "
        f"more would be compared; {remedy}"
    ]


def _flow(patients: pd.DataFrame, kept: pd.DataFrame, stages: pd.DataFrame) -> pd.DataFrame:
    steps = [
        ("in the study", patients, ""),
        ("in the risk file", kept, f"{len(patients) - len(kept)} without a row in the risk file"),
    ]
    left = kept
    for system in stages.columns:
        known = stages.loc[left.index, system].notna()
        if not known.all():
            left = left.loc[known]
            steps.append((f"with {system}", left, f"{int((~known).sum())} without {system}"))
    steps.append(("compared", left, ""))
    return pd.DataFrame(
        [
            {
                "step": step,
                "n_patients": len(table),
                "n_events": int(table["event"].sum()),
                "reason": reason,
            }
            for step, table, reason in steps
        ]
    )


def _check_free(foreign: ForeignRisks, taken: list[str], source: str) -> None:
    clash = [name for name in foreign.risk.columns if name in taken]
    if clash:
        raise InputError(
            f"the risk {name_rows(clash)} has the name of a stage of the comparison: rename it",
            source=source,
        )


def _check_events(y: pd.DataFrame, source: str) -> None:
    events = int(y["event"].sum())
    if events < LEAST_EVENTS:
        raise InputError(
            f"{len(y)} patients with {events} events are left to compare, and {LEAST_EVENTS} "
            "events are needed: give the risks, and stages, of more patients",
            source=source or None,
        )


def _grid(foreign: ForeignRisks, settings: StudySettings) -> FloatArray:
    return foreign.times if foreign.times.size else np.array([settings.horizon])


def _strata(y: pd.DataFrame, settings: StudySettings) -> np.ndarray | None:
    names = list(settings.censoring_strata)
    return y[names].astype(str).agg(" / ".join, axis=1).to_numpy() if names else None


def _stage_predictions(
    y: pd.DataFrame, stages: pd.DataFrame, times: FloatArray, folds: IntArray
) -> list[Prediction]:
    """Stages and the model without predictors; their curves are those of the training folds."""
    names = [NULL, *stages.columns]
    survival = {name: np.full((*folds.shape, times.size), np.nan) for name in names}
    outcome = y[["time", "event"]]
    for repeat, labels in enumerate(folds):
        for fold in np.unique(labels):
            train, test = labels != fold, labels == fold
            null = NullModel().fit(outcome[train], outcome[train])
            survival[NULL][repeat, test] = null.predict_survival(outcome[test], times=times)
            for name in stages.columns:
                model = StageModel().fit(stages.loc[train, name], outcome[train])
                survival[name][repeat, test] = model.predict_survival(
                    stages.loc[test, name], times=times
                )
    ranks: dict[str, FloatArray] = {NULL: np.zeros(len(y))}
    for name in stages.columns:
        ranks[name] = stages[name].cat.codes.to_numpy().astype(np.float64)
    return [Prediction(name, ranks[name][None], survival[name]) for name in names]


def _foreign_predictions(
    foreign: ForeignRisks, known: BoolArray, horizon: float, notes: list[str]
) -> list[Prediction]:
    """Risks of the file; those with probabilities have a log-hazard too, the stages never."""
    predictions = []
    for name in foreign.risk.columns:
        risk = foreign.risk[name].to_numpy(dtype=np.float64)[known]
        curves = foreign.survival.get(name)
        if curves is None:
            predictions.append(Prediction(name, risk[None]))
        else:
            at_horizon = int(np.flatnonzero(np.isclose(foreign.times, horizon))[0])
            free = curves[known]
            predictor, n_ends = _log_hazard(free[:, at_horizon])
            column = f"{name}{AT}{horizon:g}"
            if predictor is None:
                notes.append(
                    f"{column} is 0 or 1 for every patient: it has no calibration slope, and "
                    f"{name} is added to the stages as it is"
                )
            elif n_ends:
                notes.append(
                    f"{column} is 0 or 1 for {n_ends} of {len(free)} patients: for the calibration "
                    "slope and the added value these stand half as far from 0 or 1 as the nearest "
                    "other patient; give more digits where there are some"
                )
            linear = None if predictor is None else predictor[None]
            predictions.append(Prediction(name, risk[None], free[None], linear))
    return predictions


def _family(stages: list[str], risks: list[str]) -> list[tuple[str, str]]:
    """Every risk less every stage, and less the risks before it."""
    against = [(risk, stage) for risk in risks for stage in stages]
    return against + [(later, first) for first, later in combinations(risks, 2)]


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """The models of a comparison, to be tabulated for all patients or for those of a cohort."""

    models: list[Prediction]
    family: list[tuple[str, str]]
    times: FloatArray
    settings: StudySettings
    seed: int

    def tabulate(self, y: pd.DataFrame, member: BoolArray, cohort: str) -> pd.DataFrame:
        """Return the metrics of each model and the differences of the family."""
        chosen = y.loc[member]
        drawn = draw_metrics(
            chosen[["time", "event"]],
            [_of(model, member) for model in self.models],
            times=self.times,
            horizon=self.settings.horizon,
            null=NULL,
            strata=_strata(chosen, self.settings),
            n_resamples=self.settings.evaluate.n_resamples,
            rng=spawn_rng(self.seed, "comparison", cohort),
        )
        tables = [tabulate_models(drawn, confidence_level=_LEVEL)]
        if self.family:
            tables.append(tabulate_pairs(drawn, self.family, confidence_level=_LEVEL))
        table = pd.concat(tables, ignore_index=True)
        # With one risk and no stage there is no difference, and the columns are there all the same.
        for name in (*_TOGETHER, "n_differences"):
            if name not in table:
                table[name] = np.nan
        table.insert(0, "cohort", cohort)
        keep = table["estimate"].notna()
        if self.times.size == 1:  # it would be the Brier score once more
            keep &= table["metric"] != "integrated_brier"
        last = ["n", "events"]
        order = [name for name in table.columns if name not in last] + last
        return table.loc[keep, order].reset_index(drop=True)


def _of(model: Prediction, member: BoolArray) -> Prediction:
    curves = None if model.survival is None else model.survival[:, member]
    predictor = None if model.linear_predictor is None else model.linear_predictor[:, member]
    return Prediction(model.name, model.risk[:, member], curves, predictor)


def _log_hazard(survival: FloatArray) -> tuple[FloatArray | None, int]:
    """Complementary log-log of the event probability, and how many were 0 or 1.

    It is infinite at 0 and at 1; these are moved half as far from there as the nearest other
    patient, which keeps the order of all. None where every patient is at an end.
    """
    low, high = survival <= 0, survival >= 1
    n_ends = int(low.sum() + high.sum())
    if n_ends == survival.size:
        return None, n_ends
    inside = survival[~(low | high)]
    moved = np.where(low, inside.min() / 2, np.where(high, (1 + inside.max()) / 2, survival))
    return np.asarray(np.log(-np.log(moved))), n_ends


_ADDED = (
    *("risk", "stage", "chi_squared", "df", "p_value", "p_adjusted", "coefficient", "adequacy"),
    *("log_density_stage", "log_density_both", "difference", "lower", "upper", "n", "events"),
)


def _added_values(
    compared: _Comparison,
    y: pd.DataFrame,
    stages: pd.DataFrame,
    folds: IntArray,
    notes: list[str],
) -> pd.DataFrame:
    """Each stage against the stage and each risk of the file; cohorts stand in both models."""
    cohorts = pd.get_dummies(y[["cohort"]], drop_first=True, dtype=float)
    rows = []
    for model in compared.models:
        if model.name == NULL or model.name in stages.columns:
            continue
        score = model.risk[0] if model.linear_predictor is None else model.linear_predictor[0]
        for stage in stages.columns:
            try:
                found = added_value(
                    y[["time", "event"]],
                    stages[stage],
                    score,
                    folds=folds,
                    covariates=cohorts,
                    n_resamples=compared.settings.evaluate.n_resamples,
                    rng=spawn_rng(compared.seed, "added value"),
                )
            except InputError as error:
                notes.append(f"{model.name} is not added to {stage}: {error.faults[0]}")
                continue
            density = found.log_density
            rows.append(
                {
                    "risk": model.name,
                    "stage": stage,
                    "chi_squared": found.chi_squared,
                    "df": found.df,
                    "p_value": found.p_value,
                    "coefficient": found.coefficient,
                    "adequacy": found.adequacy,
                    "log_density_stage": density.loc["stage", "estimate"],
                    "log_density_both": density.loc["stage_and_score", "estimate"],
                    "difference": density.loc["difference", "estimate"],
                    "lower": density.loc["difference", "lower"],
                    "upper": density.loc["difference", "upper"],
                    "n": found.n,
                    "events": found.events,
                }
            )
    added = pd.DataFrame(rows, columns=list(_ADDED))
    return added.assign(p_adjusted=_holm(added["p_value"].to_numpy(dtype=np.float64)))


def _holm(p_values: FloatArray) -> FloatArray:
    """Return p-values adjusted for all of them: Holm (1979), jstor.org/stable/4615733."""
    order = np.argsort(p_values, kind="stable")
    left = p_values.size - np.arange(p_values.size)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(left * p_values[order]), 1.0)
    return adjusted
