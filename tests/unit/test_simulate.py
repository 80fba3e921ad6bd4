"""Simulated studies: shape, truth, reproducibility."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from times_stats.datasets import load_times_published
from times_stats.errors import InputError
from times_stats.evaluation import concordance_harrell
from times_stats.rivals.cox import RidgeCox
from times_stats.simulate import (
    PatientDesign,
    simulate_cells,
    simulate_published_study,
    simulate_study,
)
from times_stats.simulate.image_noise import PUBLISHED_ICC


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
    study = simulate_study(n_patients=30, regions=1, seed=7)
    assert (study.truth["location_index"] == 0).all()
    with pytest.raises(InputError, match="location_effect is 1, and one region has no location"):
        simulate_study(n_patients=30, regions=1, location_effect=1.0, seed=7)


@pytest.mark.parametrize("simulate", [simulate_study, simulate_cells, simulate_published_study])
@pytest.mark.parametrize("seed", [1.5, "1", True, -1, None])
def test_seed_is_a_whole_number(simulate, seed):
    with pytest.raises(InputError, match=f"seed is {seed!r}: give a whole number from 0 on"):
        simulate(seed=seed)


def test_truth_holds_every_argument():
    options = {"n_patients": 12, "markers": 3, "regions": 4, "n_cohorts": 2, "missing_block": True}
    truth = simulate_study(**options, batch_effect=0.1, seed=np.int64(8)).truth
    assert set(inspect.signature(simulate_study).parameters) <= set(truth)
    assert {name: truth[name] for name in options} == options
    assert (truth["batch_effect"], truth["seed"]) == (0.1, 8)
    published = simulate_published_study(n_images=2, seed=3).truth
    assert set(inspect.signature(simulate_study).parameters) <= set(published)
    assert (published["n_patients"], published["markers"], published["n_cohorts"]) == (292, 5, 6)


def test_times_are_in_tenths_of_a_month():
    design = PatientDesign(median_months=1.0)
    time = simulate_study(n_patients=300, patient_design=design, seed=2).patients["time"]
    np.testing.assert_allclose(time * 10, np.round(time * 10), rtol=1e-12)
    assert time.min() == 0.1


def test_every_fault_is_listed():
    with pytest.raises(
        InputError, match=r"n_patients must be at least 10.*regions must be at least"
    ):
        simulate_study(n_patients=3, regions=0, seed=1)
    with pytest.raises(InputError, match="missing_block needs at least two markers"):
        simulate_study(markers=1, missing_block=True, seed=1)


def log_wide(study):
    """Log values, patients (and images) in rows, (marker, region) in columns."""
    keys = [key for key in ("patient_id", "image_id") if key in study.measurements]
    values = study.measurements.pivot_table(index=keys, columns=["marker", "region"], sort=False)
    return np.log(values["value"].sort_index(axis=1))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"seed": 5}, (5485.4, 99, 59, 65, 1630, 106232.92989976608, 0.7641582862201313)),
        (
            {
                "n_patients": 60,
                "markers": 3,
                "regions": 4,
                "n_cohorts": 2,
                "location_effect": 0.7,
                "missing_block": True,
                "seed": 1,
            },
            (1447.9, 42, 20, 21, 624, 40607.08059030834, 0.8255354786863148),
        ),
    ],
)
def test_numbers_of_the_first_version_stand(options, expected):
    """Noted before images, reliability and batches came: benchmarks rest on these studies."""
    study = simulate_study(**options)
    patients, values = study.patients, study.measurements["value"]
    found = (
        patients["time"].sum(),
        patients["event"].sum(),
        (patients["tnm"] == "II").sum(),
        (patients["bclc"] == "A").sum(),
        len(values),
        values.sum(),
        study.truth["linear_predictor"].iloc[-1],
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_how_tissue_is_measured_changes_neither_patients_nor_truth():
    plain = simulate_study(n_patients=40, n_cohorts=2, seed=9)
    blurred = simulate_study(
        n_patients=40,
        n_cohorts=2,
        n_images=3,
        reliability=(0.9, 0.4),
        region_spread=(1.0, 2.0),
        region_shift=(0.0, 1.0),
        batch_effect=0.5,
        seed=9,
    )
    pd.testing.assert_frame_equal(plain.patients, blurred.patients)
    for name in ("linear_predictor", "levels", "true_values"):
        assert plain.truth[name].equals(blurred.truth[name])
    assert not plain.truth["batch_shift"].any(axis=None)
    pd.testing.assert_frame_equal(
        wide(plain), plain.truth["true_values"].sort_index(axis=1), check_names=False
    )


def test_reliability_of_each_region_is_the_one_asked_for():
    study = simulate_study(n_patients=4000, markers=2, reliability=(0.9, 0.4), seed=10)
    truth = np.log(study.truth["true_values"])
    measured = log_wide(study)
    for (marker, region), values in measured.items():
        asked = {"tumour_centre": 0.9, "invasive_front": 0.4}[region]
        share = truth[marker, region].corr(values) ** 2
        assert share == pytest.approx(asked, abs=0.03)
        slope = np.polyfit(truth[marker, region], values, 1)[0]
        assert slope == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("image_icc", [1.0, 0.6])
def test_reliability_is_that_of_one_image_before_images_scatter(image_icc):
    """Errors are found against the same images read without; image_icc 1 has no scatter at all."""
    n, k, asked = 4000, 3, np.array([0.4, 0.9])  # invasive front, tumour centre: in sorted order
    options = {"n_patients": n, "markers": 1, "n_images": k, "image_icc": image_icc, "seed": 15}
    exact, read = (
        np.log(simulate_study(**options, **extra).measurements["value"].to_numpy())
        for extra in ({}, {"reliability": (0.9, 0.4)})
    )
    error = (read - exact).reshape(n, k, 2)
    study = simulate_study(n_patients=n, markers=1, seed=15)
    truth = np.log(study.measurements["value"].to_numpy()).reshape(n, 2)
    of_mean = k * asked / (1 + (k - 1) * asked)
    readings = [(truth + error[:, image], asked) for image in range(k)]
    for reading, expected in [*readings, (truth + error.mean(axis=1), of_mean)]:
        for region in (0, 1):
            rho = np.corrcoef(truth[:, region], reading[:, region])[0, 1]
            se = 2 * rho * (1 - rho**2) / np.sqrt(n)
            assert abs(rho**2 - expected[region]) < 3.5 * se
    if image_icc == 1.0:
        np.testing.assert_allclose(exact.reshape(n, k, 2), truth[:, None].repeat(k, 1), rtol=1e-12)


def left_of_level(**options):
    """Correlation of true level and measured location, given the measured level; its se."""
    n, k = 4000, options.get("n_images", 1)
    study = simulate_study(n_patients=n, markers=1, seed=16, **options)
    values = study.measurements["value"].to_numpy().reshape(n, k, 2)
    level = np.log(values.mean(axis=2)).mean(axis=1)
    location = np.log(values[..., 1] / values[..., 0]).mean(axis=1)
    rest = [
        y - np.polyval(np.polyfit(level, y, 1), level)
        for y in (study.truth["levels"]["M1"].to_numpy(), location)
    ]
    return np.corrcoef(*rest)[0, 1], 1 / np.sqrt(n)


@pytest.mark.parametrize(
    "options",
    [
        {"n_images": 3, "image_icc": 0.5},
        {"n_cohorts": 40, "batch_effect": 0.5},
        {"reliability": 0.9, "region_shift": 1.0},
    ],
)
def test_what_does_not_mix_level_and_location(options):
    correlation, se = left_of_level(**options)
    assert abs(correlation) < 3.5 * se


@pytest.mark.parametrize(
    "options",
    [
        {"reliability": (0.9, 0.4)},
        {"region_spread": (1.0, 2.0)},
        {"region_spread": 2.0},
        {"region_shift": (0.0, 1.0)},
    ],
)
def test_what_mixes_level_and_location(options):
    correlation, se = left_of_level(**options)
    assert abs(correlation) > 10 * se


def test_spread_shift_and_batch_are_exactly_what_the_truth_says():
    options = {"n_patients": 60, "markers": 2, "n_cohorts": 3, "seed": 11}
    plain = log_wide(simulate_study(**options))
    study = simulate_study(
        **options, region_spread=(1.0, 1.5), region_shift=(0.3, -0.2), batch_effect=0.4
    )
    expected = plain.copy()
    for column in plain:
        front = column[1] == "invasive_front"
        expected[column] = 4 + (1.5 if front else 1.0) * (plain[column] - 4)
        expected[column] += -0.2 if front else 0.3
    shift = study.truth["batch_shift"].loc[study.patients["cohort"]].to_numpy()
    expected += np.repeat(shift, 2, axis=1)
    np.testing.assert_allclose(log_wide(study), expected, rtol=1e-12)
    assert study.truth["region_spread"].to_dict() == {"tumour_centre": 1.0, "invasive_front": 1.5}


def test_images_scatter_around_their_patient_as_published():
    n, k = 3000, 4
    study = simulate_study(n_patients=n, n_images=k, seed=12)
    assert study.measurements["image_id"].nunique() == n * k
    # rows run over patients, images, markers and regions; the mean over regions is the amount
    values = study.measurements["value"].to_numpy().reshape(n, k, 5, 2)
    amounts = np.log(values.mean(axis=3))
    within = amounts.var(axis=1, ddof=1).mean(axis=0)
    between = amounts.mean(axis=1).var(axis=0, ddof=1) - within / k
    icc = np.array(list(PUBLISHED_ICC.values()))
    variance = 2 * (1 - icc) ** 2 * (1 + (k - 1) * icc) ** 2 / (k * (k - 1) * (n - 1))
    assert (np.abs(between / (between + within) - icc) < 3.5 * np.sqrt(variance)).all()
    assert study.truth["image_icc"].tolist() == icc.tolist()


def test_published_scatter_is_that_of_the_shipped_table():
    table = load_times_published().variance_components
    weighted = (table["icc"] * table["patients"]).groupby(table["gene"]).sum()
    mean = weighted / table["patients"].groupby(table["gene"]).sum()
    assert mean.to_dict() == pytest.approx(PUBLISHED_ICC, abs=5e-4)


def test_images_are_named_in_their_order():
    study = simulate_study(n_patients=10, markers=1, regions=1, n_images=12, seed=1)
    first = study.measurements["image_id"].head(12).tolist()
    assert first == [f"P001_{1 + k}" for k in range(12)]


def test_published_study_has_its_size_recurrence_and_staging():
    """The targets stand in benchmarks/calibration/simulated_study.txt, from 300 studies."""
    rows = []
    for seed in range(30):
        study = simulate_published_study(n_images=1, seed=seed)
        patients = study.patients
        upper = {"tnm": ["II", "III", "IV"], "bclc": ["B", "C"]}
        rows.append(
            [patients["event"].mean()]
            + [
                concordance_harrell(patients["time"], patients["event"], patients[name].isin(high))
                for name, high in upper.items()
            ]
            + [patients["tnm"].eq("I").mean(), patients["bclc"].isin(["0", "A"]).mean()]
        )
    sizes = patients["cohort"].value_counts()
    assert sizes["discovery"] == 61
    assert len(sizes) == 6
    assert sizes.drop("discovery").sum() == 231
    assert "0" not in set(patients["bclc"])
    assert set(study.measurements["marker"]) == set(PUBLISHED_ICC)
    assert set(study.truth["batch_shift"].index) == set(patients["cohort"])
    mean, sd = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
    expected = [72 / 163, 0.584, 0.588, 56 / 164, 26 / 130]
    assert (np.abs(mean - expected) < 3.5 * sd / np.sqrt(len(rows))).all()


def test_stage_that_follows_nothing_says_nothing():
    design = PatientDesign(stage_agreement=(0.0, 1.0), follow_up=(60.0, 60.0))
    study = simulate_study(
        n_patients=3000, effect=0.0, stage_effect=1.0, patient_design=design, seed=13
    )
    latent = study.truth["stage_latent"].to_numpy()
    by_tnm = pd.Series(latent).groupby(study.patients["tnm"]).mean()
    assert by_tnm.abs().max() < 0.15
    cuts = pd.Series(latent).groupby(study.patients["bclc"]).agg(["min", "max"])
    assert (cuts["max"].to_numpy()[:-1] < cuts["min"].to_numpy()[1:]).all()
    assert study.patients.loc[study.patients["event"] == 0, "time"].eq(60.0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_images": 1.5, "markers": "2"}, "markers is '2': give a whole.*n_images is 1.5: give"),
        ({"n_images": 0}, "n_images must be at least 1, got 0"),
        (
            {"reliability": (0.5, 0.6, 0.7)},
            r"reliability is \(0.5, 0.6, 0.7\): give one number, or one for each",
        ),
        ({"reliability": 0.0}, r"reliability is out of its range.*\(0, 1\]"),
        ({"region_spread": (1.0, -1.0)}, "region_spread is out of its range: give positive"),
        ({"region_shift": float("nan")}, "region_shift is not finite"),
        ({"image_icc": 1.5}, "image_icc is 1.5: give one share of the variance"),
        ({"region_shift": "high"}, "region_shift is 'high': give one number"),
        ({"image_icc": (0.5, 0.5)}, "or one for each of the 5 markers"),
        ({"batch_effect": 0.3}, "batch_effect needs at least two cohorts: raise n_cohorts"),
        ({"batch_effect": -0.3, "n_cohorts": 2}, "batch_effect is -0.3"),
        ({"effect": float("inf")}, "effect is inf: give a finite log hazard ratio"),
        (
            {"patient_design": PatientDesign(cohort_sizes=(61, 100))},
            "cohort_sizes names 2 cohorts of 161 patients, and the study has 1 of 163",
        ),
    ],
)
def test_options_out_of_their_range_are_named(options, message):
    with pytest.raises(InputError, match=message):
        simulate_study(seed=1, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cohort_sizes": (5, 0)}, r"cohort_sizes is \(5, 0\)"),
        ({"cohort_sd": -1.0}, "cohort_sd is -1.0: give a number from 0 on"),
        ({"median_months": 0.0}, "median_months is 0.0: give a positive number"),
        ({"shape": float("nan")}, "shape is nan: give a positive number"),
        ({"follow_up": (20.0, 10.0)}, "the earlier first"),
        ({"follow_up": (20.0, float("inf"))}, "the earlier first"),
        ({"follow_up": (20.0,)}, "follow_up is .*: give two positive months"),
        ({"stage_agreement": (0.5, 1.2)}, "give two correlations from 0 to 1"),
        ({"tnm_cuts": (0.0, -1.0, 1.0)}, "give three numbers in increasing order"),
    ],
)
def test_patient_design_names_its_faults(options, message):
    with pytest.raises(InputError, match=message):
        PatientDesign(**options)
