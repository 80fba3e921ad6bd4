"""How features and score move with the width of the invasive front."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from times_stats._typing import FloatArray, IntArray
from times_stats.boosting.calibration import complementary_log_log
from times_stats.boosting.marker_model import MarkerModel
from times_stats.errors import DataWarning, InputError
from times_stats.evaluation.comparison import Prediction, compare
from times_stats.features.cell_plan import CellPlan
from times_stats.features.located_cells import locate_cells
from times_stats.features.matrix import complete_markers, feature_matrix
from times_stats.features.measured_rows import as_table
from times_stats.features.measuring import complete_plan
from times_stats.features.patient_pooling import pool_images
from times_stats.features.region_measures import measure_regions
from times_stats.regions.compartments import Compartments
from times_stats.regions.window import Window
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.score.times_score import TimesScore
from times_stats.studies.reading import open_study_cells, read_study
from times_stats.tables.cells import ImageCells, iterate_images
from times_stats.tables.study import Study, outcome

_OUTER, _OUTER_REPEATS, _INNER_REPEATS = 5, 4, 2


@dataclass(frozen=True, slots=True, eq=False)
class FrontSweep:
    """What became of features and score at each width of the front.

    Attributes
    ----------
    features : DataFrame
        ``width`` (half of the front, micrometres), ``marker``, ``region``, ``n_patients`` with a
        value, ``median`` (cells per mm2), ``rank_correlation`` with the reference width over the
        patients of both (Spearman; NaN for an amount that does not vary).
    scores : DataFrame
        Mean over the outer repeats of the out-of-fold score's log cumulative hazard, a row per
        patient and a column per width.
    comparison : DataFrame
        As `compare` returns it, models named by their width: C within folds and its paired
        differences from the reference width.
    reference : float
        Reference width.
    n_left_out : int
        Patients who lack every marker at some width and are in no comparison.
    """

    features: pd.DataFrame
    scores: pd.DataFrame
    comparison: pd.DataFrame
    reference: float
    n_left_out: int


def sweep_front(
    study: str | os.PathLike[str],
    *,
    widths: Sequence[float],
    reference: float | None = None,
    seed: int | None = None,
    jobs: int = 1,
) -> FrontSweep:
    """Measure and score a study with cells at several widths of the invasive front.

    At width w the front reaches from -w to w micrometres of the boundary and everything beyond is
    ``adjacent``. The score at each width is cross-fitted inside the training patients of an outer
    loop, on the same folds for every width, with the study's objective, pooling and markers; the
    survival model is not fitted.

    Parameters
    ----------
    study : path
        Study file with ``[cells]``.
    widths : sequence of float
        Half widths, micrometres, two or more.
    reference : float, optional
        Width the others are compared with; the first, if left out.
    seed : int, optional
        In place of the study's.
    jobs : int, default 1
        Processes; the result does not depend on it.

    Returns
    -------
    FrontSweep

    Raises
    ------
    InputError
        If widths are not positive and distinct, the reference is none of them, or the study has no
        cells or too few patients at some width.

    Notes
    -----
    A width chosen because its C is highest is chosen by the outcome: its C is then no performance.

    Examples
    --------
    >>> from times_stats.datasets import lung_vectra_study_file
    >>> from times_stats.pipeline import sweep_front
    >>> sweep = sweep_front(lung_vectra_study_file(), widths=[10, 20])  # doctest: +SKIP
    """
    try:
        halves = [float(width) for width in widths]
    except (TypeError, ValueError):
        raise InputError("widths are not numeric: give micrometres") from None
    if len(halves) < 2 or len(set(halves)) < len(halves) or not all(w > 0 for w in halves):
        raise InputError(f"widths are {halves}: give two or more distinct micrometres above 0")
    middle = halves[0] if reference is None else float(reference)
    if middle not in halves:
        raise InputError(f"reference is {middle:g}: choose one of the widths")
    read = read_study(Path(study), jobs=jobs)
    if read.cells is None:
        raise InputError("this study has no [cells]: its regions have no width", source=str(study))
    with threadpool_limits(limits=1):
        amounts = _amounts(Path(study), halves, jobs=jobs)
        return _score(read, amounts, middle, read.seed if seed is None else seed, jobs)


def _amounts(path: Path, halves: list[float], *, jobs: int) -> dict[float, pd.DataFrame]:
    """Return the pooled intensities of every width, each boundary drawn once."""
    inputs = open_study_cells(path)
    plan = complete_plan(inputs.source, inputs.plan)
    tasks = (
        delayed(_measure_widths)(
            cells,
            plan,
            halves,
            None if inputs.windows is None else inputs.windows[cells.image_id],
            None if inputs.annotations is None else inputs.annotations.get(cells.image_id),
        )
        for cells in iterate_images(inputs.source)
    )
    parts = list(Parallel(n_jobs=jobs, return_as="generator")(tasks))
    pooled = {}
    for width in halves:
        table = pd.concat([part[width] for part in parts], ignore_index=True)
        pooled[width] = pool_images(table[table["statistic"] == "intensity"])
    return pooled


def _measure_widths(
    cells: ImageCells,
    plan: CellPlan,
    halves: list[float],
    window: Window | None,
    annotation: Window | None,
) -> dict[float, pd.DataFrame]:
    located = locate_cells(cells, plan=plan, window=window, annotation=annotation)
    return {
        width: as_table(
            cells,
            list(
                measure_regions(
                    located,
                    compartments=Compartments(invasive_front=(-width, width), peritumour=None),
                )
            ),
        )
        for width in halves
    }


def _score(
    study: Study, amounts: dict[float, pd.DataFrame], middle: float, seed: int, jobs: int
) -> FrontSweep:
    y = outcome(study)
    markers = sorted(study.measurements["marker"].unique())
    regions = study.score.regions or ("tumour_centre", "invasive_front", "adjacent")
    features = {
        width: feature_matrix(
            table[table["marker"].isin(markers) & table["region"].isin(regions)], y.index
        )
        for width, table in amounts.items()
    }
    for width, table in features.items():
        gone = sorted(set(regions) - set(table.columns.get_level_values("region")))
        if gone:
            raise InputError(f"width {width:g} leaves nothing of {gone[0]}: choose a smaller one")
    usable = np.logical_and.reduce(
        [complete_markers(x).any(axis=1).to_numpy() for x in features.values()]
    )
    kept = {width: x[usable] for width, x in features.items()}
    y = y[usable]
    folds = assign_folds(
        y.index.to_numpy(),
        strata=(y["event"].astype(str) + " " + y["cohort"]).to_numpy(),
        n_folds=_OUTER,
        n_repeats=_OUTER_REPEATS,
        rng=spawn_rng(seed, "front sweep"),
    )
    tasks = [
        (width, repeat, fold)
        for width in kept
        for repeat in range(_OUTER_REPEATS)
        for fold in range(_OUTER)
    ]
    parts = Parallel(n_jobs=jobs)(
        delayed(_predict)(kept[width], y, folds[repeat], fold, study, seed)
        for width, repeat, fold in tasks
    )
    risk = {width: np.empty(folds.shape) for width in kept}
    for (width, repeat, fold), part in zip(tasks, parts, strict=True):
        risk[width][repeat, folds[repeat] == fold] = part
    comparison = compare(
        y,
        [Prediction(name=f"{width:g}", risk=values) for width, values in risk.items()],
        times=[study.horizon],
        horizon=study.horizon,
        references=[f"{middle:g}"],
        folds=folds,
        n_resamples=study.evaluate.n_resamples,
        rng=spawn_rng(seed, "front sweep", "bootstrap"),
    )
    return FrontSweep(
        features=_describe(features, middle),
        scores=pd.DataFrame({w: v.mean(axis=0) for w, v in risk.items()}, index=y.index),
        comparison=comparison,
        reference=middle,
        n_left_out=int((~usable).sum()),
    )


def _predict(
    x: pd.DataFrame, y: pd.DataFrame, labels: IntArray, fold: int, study: Study, seed: int
) -> FloatArray:
    train, test = labels != fold, labels == fold
    with warnings.catch_warnings():
        # A marker without a split has weight 0, as everywhere.
        warnings.simplefilter("ignore", DataWarning)
        model = TimesScore(
            model=MarkerModel(
                objective=study.score.objective,  # type: ignore[arg-type]
                horizon=study.horizon,
                censoring_strata=study.censoring_strata,
            ),
            pooling=study.score.pooling,  # type: ignore[arg-type]
            variance=study.score.variance,  # type: ignore[arg-type]
            tuning="default" if study.score.tuning else None,
            horizon=study.horizon,
            n_folds=study.score.n_folds,
            n_repeats=_INNER_REPEATS,
            seed=int(spawn_rng(seed, "front sweep", "score", fold).integers(2**31)),
        ).fit(x[train], y[train])
    return complementary_log_log(model.predict(x[test]))


def _describe(features: dict[float, pd.DataFrame], middle: float) -> pd.DataFrame:
    rows = []
    for width, table in features.items():
        for key in table.columns:
            same = features[middle].get(key)
            both = pd.DataFrame({"here": table[key], "there": same}).dropna()
            rank = np.nan  # of an amount that is the same in all patients
            if len(both) and (np.ptp(both.to_numpy(), axis=0) > 0).all():
                rank = both["here"].corr(both["there"], method="spearman")
            rows.append(
                {
                    "width": width,
                    "marker": key[0],
                    "region": key[1],
                    "n_patients": int(table[key].notna().sum()),
                    "median": float(table[key].median()),
                    "rank_correlation": float(rank),
                }
            )
    return pd.DataFrame(rows)
