"""Tuning and failure times in a study file: read, refused where they cannot work, kept on disk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.pipeline import front_sweep, nested, steps
from times_stats.pipeline.findings import _evidence_unit
from times_stats.pipeline.nested import NestedPredictions
from times_stats.pipeline.preparation import prepare
from times_stats.pipeline.storage import read_nested, write_nested
from times_stats.simulate import simulate_study
from times_stats.tables.study import build_study


@pytest.fixture(scope="module")
def simulated():
    return simulate_study(n_patients=90, markers=2, regions=2, seed=3)


def study_of(simulated, patients=None, **score):
    settings = {"study": {"name": "s", "endpoint": "event", "horizon": 24}, "score": score}
    given = simulated.patients if patients is None else patients
    return build_study(settings, given, simulated.measurements)


def test_settings_of_the_study_file_reach_the_outer_loop(simulated):
    plain = prepare(study_of(simulated)).settings
    assert (plain.tuning, plain.candidates, plain.objective) == (False, None, "survival:cox")
    chosen = prepare(study_of(simulated, tuning=True, objective="survival:aft")).settings
    assert (chosen.tuning, chosen.candidates) == (True, "default")
    assert chosen.marker_model().objective == "survival:aft"


@pytest.mark.parametrize("pooling", ["shrunken", "gls", "random_effects", "bayesian"])
def test_pooling_and_variances_reach_every_score_of_a_run(simulated, pooling, monkeypatch):
    prepared = prepare(study_of(simulated, pooling=pooling, variance="bootstrap"))
    assert (prepared.settings.pooling, prepared.settings.variance) == (pooling, "bootstrap")
    made = []

    def stopped(**options):
        made.append((options["pooling"], options["variance"]))
        raise InputError("far enough")

    every, y = np.arange(len(prepared.outcome)), prepared.outcome
    folds = {"train": every[:60], "test": every[60:]}
    for module in (nested, front_sweep, steps):
        monkeypatch.setattr(module, "TimesScore", stopped)
    stages = pd.DataFrame(index=y.index)
    for fit in (
        lambda: nested.learn_fold(
            prepared.features, y, stages, **folds, settings=prepared.settings, seed=1
        ),
        lambda: front_sweep._predict(prepared.features, y, every % 5, 0, prepared.study, 1),
        lambda: steps._fit_score(prepared, jobs=1),
    ):
        with pytest.raises(InputError, match="far enough"):
            fit()
    assert made == [(pooling, "bootstrap")] * 3


def test_the_unit_of_the_evidence_is_that_of_the_objective(simulated):
    units = {
        objective: _evidence_unit(prepare(study_of(simulated, objective=objective)))
        for objective in ("survival:cox", "survival:aft", "binary:logistic")
    }
    assert units == {
        "survival:cox": "log hazard",
        "survival:aft": "log hazard",
        "binary:logistic": "log odds",
    }
    tuned = prepare(study_of(simulated, objective="survival:aft", tuning=True))
    assert _evidence_unit(tuned) == "negative log time"


def test_failure_times_of_zero_stop_a_run_before_it_starts(simulated):
    patients = simulated.patients.copy()
    patients.loc[4, "time"] = 0.0
    name = patients.loc[4, "patient_id"]
    with pytest.raises(InputError, match=rf"time' is 0 for patient {name}, .*half a day"):
        prepare(study_of(simulated, patients, objective="survival:aft"))
    assert prepare(study_of(simulated, patients)).settings.objective == "survival:cox"


def test_the_choices_of_the_outer_loop_are_kept(tmp_path):
    tuned = ({"n_rounds": 25, "max_depth": 1}, {"n_rounds": 50, "max_depth": 2})
    kept = NestedPredictions(
        folds=np.array([[0, 1, 0]]),
        times=np.array([24.0]),
        linear_predictor={"score": np.zeros((1, 3))},
        survival={"score": np.ones((1, 3, 1))},
        above_cut=np.zeros((1, 3)),
        fits=pd.DataFrame({"model": ["score"], "status": ["converged"]}),
        n_borrowed=0,
        uninformative={},
        tuned=tuned,
    )
    write_nested(kept, tmp_path)
    assert read_nested(tmp_path).tuned == tuned
