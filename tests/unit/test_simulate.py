"""Simulated studies: shape, truth, reproducibility."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.rivals.cox import RidgeCox
from times_stats.simulate import simulate_study


def wide(study):
    return study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)


def test_shape_and_keys():
    study = simulate_study(n_patients=60, markers=3, regions=4, n_cohorts=2, seed=1)
    assert list(study.patients.columns) == ["patient_id", "cohort", "time", "event", "tnm", "bclc"]
    assert study.patients["patient_id"].is_monotonic_increasing
    assert study.patients["cohort"].value_counts().to_dict() == {"C1": 30, "C2": 30}
    assert (study.patients["time"] > 0).all()
    assert set(study.patients["event"]) == {0, 1}
    assert set(study.patients["tnm"]) <= {"I", "II", "III", "IV"}
    assert set(study.patients["bclc"]) <= {"0", "A", "B", "C"}
    assert len(study.measurements) == 60 * 3 * 4
    assert (study.measurements["value"] > 0).all()


def test_same_seed_same_study_other_seed_another():
    first, again, other = (simulate_study(seed=s) for s in (5, 5, 6))
    pd.testing.assert_frame_equal(first.patients, again.patients)
    pd.testing.assert_frame_equal(first.measurements, again.measurements)
    assert not first.patients["time"].equals(other.patients["time"])


def test_mean_over_regions_is_the_amount_whatever_the_location():
    study = simulate_study(n_patients=80, markers=2, regions=3, seed=2)
    levels = wide(study).T.groupby(level="marker").mean().T
    np.testing.assert_allclose(np.log(levels), 4.0 + 0.6 * study.truth["levels"], rtol=1e-12)


def test_indices_have_unit_spread_and_are_unrelated():
    truth = simulate_study(n_patients=4000, markers=5, regions=2, seed=3).truth
    for name in ("level_index", "location_index", "stage_latent"):
        assert truth[name].std() == pytest.approx(1.0, abs=0.05)
    assert abs(truth["level_index"].corr(truth["location_index"])) < 0.05


def test_cox_regression_recovers_the_effects():
    study = simulate_study(
        n_patients=4000, effect=0.5, location_effect=np.log(2.0), stage_effect=0.3, seed=4
    )
    names = ["level_index", "location_index", "stage_latent"]
    X = pd.DataFrame({name: study.truth[name] for name in names})
    y = study.patients.set_index("patient_id")[["time", "event"]]
    model = RidgeCox(transform="none", penalty={"features": 0.0}).fit(X, y)
    se = np.sqrt(np.diag(model.covariance_))
    assert (np.abs(model.coef_ - [0.5, np.log(2.0), 0.3]) < 3.5 * se).all()
    assert 0.4 < y["event"].mean() < 0.7


def test_baseline_is_the_weibull_of_the_truth():
    study = simulate_study(n_patients=6000, effect=0.0, stage_effect=0.0, seed=5)
    shape, scale = study.truth["shape"], study.truth["scale"]
    followed = study.patients[study.patients["time"] > 0]
    # nobody is censored before month 20
    observed = (followed["time"] > 18.0).mean()
    assert observed == pytest.approx(np.exp(-((18.0 / scale) ** shape)), abs=0.02)


def test_missing_block_is_one_set_of_patients_and_markers():
    study = simulate_study(n_patients=50, markers=4, missing_block=True, seed=6)
    values = wide(study)
    absent = values.isna()
    assert absent["M1"].sum().sum() == 0
    assert absent["M2"].sum().sum() == 0
    assert (absent["M3"].sum() == 20).all()
    assert absent["M3"].to_numpy().tolist() == absent["M4"].to_numpy().tolist()


def test_one_region_has_no_location():
    study = simulate_study(n_patients=30, regions=1, location_effect=1.0, seed=7)
    assert (study.truth["location_index"] == 0).all()


def test_every_fault_is_listed():
    with pytest.raises(
        InputError, match=r"n_patients must be at least 10.*regions must be at least"
    ):
        simulate_study(n_patients=3, regions=0, seed=1)
    with pytest.raises(InputError, match="missing_block needs at least two markers"):
        simulate_study(markers=1, missing_block=True, seed=1)
