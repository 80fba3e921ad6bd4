"""Tuning and failure times in a study file: read, refused where they cannot work, kept on disk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
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


def test_failure_times_of_zero_stop_a_run_before_it_starts(simulated):
    patients = simulated.patients.copy()
    patients.loc[4, "time"] = 0.0
    name = patients.loc[4, "patient_id"]
    with pytest.raises(InputError, match=rf"time' is 0 for patient {name}, .*half a day"):
        prepare(study_of(simulated, patients, objective="survival:aft"))
    assert prepare(study_of(simulated, patients)).settings.objective == "survival:cox"


def test_the_choices_of_the_outer_loop_are_kept(tmp_path):
    tuned = ({"n_rounds": 25, "max_depth": 1}, {"n_rounds": 50, "max_depth": 2})
    nested = NestedPredictions(
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
    write_nested(nested, tmp_path)
    assert read_nested(tmp_path).tuned == tuned
