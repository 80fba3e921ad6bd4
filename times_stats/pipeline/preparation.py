"""A checked study in the shape the steps want, with every remaining fault found first."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats._typing import IntArray
from times_stats.boosting.marker_model import Objective
from times_stats.features.matrix import FeatureTable, build_feature_table
from times_stats.nonparametric import check_censoring_strata, ipcw_weights
from times_stats.pipeline.nested import NestedSettings
from times_stats.resampling import assign_folds, spawn_rng, split_folds
from times_stats.score.pooling import Rule
from times_stats.score.times_score import VarianceSource
from times_stats.staging.recorded import read_recorded_stage
from times_stats.survival.spec import SurvivalSpec
from times_stats.tables.study import Study, outcome

type BaselineName = Literal["weibull", "piecewise", "mspline"]

N_TIMES = 8
LEAST_EVENTS = 20
LEAST_FOLLOWED = 10


@dataclass(frozen=True, slots=True)
class Prepared:
    """The analysed patients of a study in the shape the steps want."""

    study: Study
    table: FeatureTable
    features: pd.DataFrame
    outcome: pd.DataFrame
    stages: pd.DataFrame
    folds: IntArray
    settings: NestedSettings
    spec: SurvivalSpec

    @property
    def comparable(self) -> IntArray:
        """Label of each patient's test fold and cohort in each repeat, (n_repeats, n_patients).

        Patients with the same label can be ranked against each other: their predictions come from
        one training set, and differences between cohorts do not enter.
        """
        return split_folds(self.folds, self.outcome["cohort"])

    @property
    def strata(self) -> pd.Series | None:
        """Strata of the censoring distribution, one label per patient."""
        names = list(self.study.censoring_strata)
        return self.outcome[names].astype(str).agg(" / ".join, axis=1) if names else None


def prepare(study: Study) -> Prepared:
    """Check a study for every fault that would stop the analysis later, and shape its data.

    Parameters
    ----------
    study : Study
        A checked study.

    Returns
    -------
    Prepared
        Features, outcome, stages, outer folds and settings.

    Raises
    ------
    InputError
        If a fold would be left with too few events, or censoring is too heavy at the horizon.
    """
    table = build_feature_table(study)
    y = outcome(study)
    extra = [name for name in study.censoring_strata if name not in y]
    y = y.join(study.patients.set_index("patient_id")[extra])
    features, events = table.values, int(y["event"].sum())
    flow = study.flow
    stages = pd.DataFrame(
        {
            system: read_recorded_stage(
                study.patients.set_index("patient_id")[system], system=system
            )[0]
            for system in study.compare.staging
        },
        index=y.index,
    )
    if len(stages.columns):
        known = stages.notna().all(axis=1)
        row = {
            "step": "compared with every stage",
            "n_patients": int(known.sum()),
            "n_events": int(y.loc[known, "event"].sum()),
            "reason": f"{int((~known).sum())} without a recorded stage"
            if not known.all()
            else "all have their stages recorded",
        }
        flow = pd.concat([flow, pd.DataFrame([row])], ignore_index=True)
    study = dataclasses.replace(study, flow=flow)
    evaluate = study.evaluate
    smallest = int(events * (1 - 1 / evaluate.n_folds) * (1 - 1 / study.score.n_folds))
    followed = int((y["time"] > study.horizon).sum())
    faults = Faults()
    if smallest < LEAST_EVENTS:
        faults.add(
            f"column 'event' holds {events} events, which leaves about {smallest} in an inner "
            f"training fold; {LEAST_EVENTS} are needed before a boosted tree can split: add "
            "patients, or ask for more folds in [score] and [evaluate]"
        )
    if followed < LEAST_FOLLOWED:
        faults.add(
            f"column 'time' follows {followed} patients beyond the horizon of {study.horizon:g} "
            f"months; {LEAST_FOLLOWED} are needed: choose an earlier [study] horizon"
        )
    at_zero = y.index[y["time"] <= 0]
    if study.score.objective == "survival:aft" and len(at_zero):
        faults.add(
            f"column 'time' is 0 for patient {name_rows(at_zero)}, and [score] objective = "
            '"survival:aft" takes its logarithm: give half a day where the time was rounded down '
            'to 0, leave out patients censored at once, or use "survival:cox"'
        )
    faults.raise_if_any()
    folds = assign_folds(
        y.index.to_numpy(),
        strata=(y["event"].astype(str) + " " + y["cohort"]).to_numpy(),
        n_folds=evaluate.n_folds,
        n_repeats=evaluate.n_repeats,
        rng=spawn_rng(study.seed, "outer folds"),
    )
    times = study.horizon * np.arange(1, N_TIMES + 1) / N_TIMES
    settings = NestedSettings(
        horizon=study.horizon,
        times=times,
        objective=cast("Objective", study.score.objective),
        pooling=cast("Rule", study.score.pooling),
        variance=cast("VarianceSource", study.score.variance),
        censoring_strata=study.censoring_strata,
        tuning=study.score.tuning,
        n_folds=study.score.n_folds,
        n_repeats=study.score.n_repeats,
    )
    prepared = Prepared(
        study=study,
        table=table,
        features=features,
        outcome=y,
        stages=stages,
        folds=folds,
        settings=settings,
        spec=SurvivalSpec(baseline=cast("BaselineName", study.survival.baseline)),
    )
    if prepared.strata is not None:
        check_censoring_strata(y["time"], y["event"], prepared.strata)
    ipcw_weights(y["time"], y["event"], horizon=study.horizon, strata=prepared.strata)
    return prepared
