"""Simulated cells: level and location apart, and found again by the measuring line."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.features import CellPlan, measure_cells
from times_stats.regions import boundary_from_annotation, signed_distance
from times_stats.rivals import RidgeCox
from times_stats.simulate import PatientDesign, TissueDesign, simulate_cells
from times_stats.simulate.tissue import draw_nests
from times_stats.tables import cells_from_frame, check_cells

IMMUNE = ["M1", "M2"]
SMALL = {"side": 500, "nest_radius": 120, "front_width": 30, "level": 1000}
REGIONS = ["tumour_centre", "invasive_front", "adjacent"]


def immune_numbers(study):
    cells = study.cells
    return pd.crosstab(cells["image_id"], cells["cell_type"]).reindex(columns=IMMUNE, fill_value=0)


def immune_shares(study):
    """Share of each marker's cells in each true region, (patient, marker) in rows."""
    seen = study.cells[study.cells["cell_type"].isin(IMMUNE)]
    keys = [seen["patient_id"], seen["cell_type"]]
    counts = pd.crosstab(keys, seen["region"]).reindex(columns=REGIONS, fill_value=0)
    return counts.div(counts.sum(axis=1), axis=0)


@pytest.fixture(scope="module")
def study():
    return simulate_cells(n_patients=10, seed=3)


def test_shape_and_keys(study):
    assert study.patients["patient_id"].tolist() == [f"P{1 + i:03d}" for i in range(10)]
    assert study.cells["image_id"].nunique() == 10
    assert study.cells[["x", "y"]].min().min() >= 0
    assert study.cells[["x", "y"]].max().max() <= 1000
    assert set(study.cells["region"]) == set(REGIONS)
    assert set(study.cells["cell_type"]) == {*IMMUNE, "tumour", "stroma"}
    check_cells(cells_from_frame(study.cells), patient_ids=study.patients["patient_id"].tolist())


def test_truth_holds_every_argument(study):
    assert set(inspect.signature(simulate_cells).parameters) <= set(study.truth)
    named = ("n_patients", "n_images", "markers", "n_cohorts", "seed")
    assert [study.truth[name] for name in named] == [10, 1, 2, 1, 3]


def test_same_seed_same_study(study):
    again, other = (simulate_cells(n_patients=10, seed=seed) for seed in (3, 4))
    pd.testing.assert_frame_equal(study.cells, again.cells)
    pd.testing.assert_frame_equal(study.patients, again.patients)
    assert not immune_numbers(study).equals(immune_numbers(other))


@pytest.mark.parametrize("cluster_size", [0.0, 8.0])
def test_number_of_cells_does_not_move_with_their_place(cluster_size):
    designs = (
        {"front_share": 0.2, "location_sd": 0.1},
        {"front_share": 0.7, "exclusion": 0.9},
        {"front_share": 0.4, "location_sd": 2.0, "centre_share": 0.9},
    )
    studies = [
        simulate_cells(
            n_patients=10,
            seed=5,
            tissue_design=TissueDesign(**SMALL, cluster_size=cluster_size, **design),
        )
        for design in designs
    ]
    numbers = [immune_numbers(study) for study in studies]
    for other in numbers[1:]:
        pd.testing.assert_frame_equal(numbers[0], other)
    fronts = [immune_shares(study)["invasive_front"].mean() for study in studies]
    assert fronts[1] - fronts[0] > 0.3
    for name in ("level_index", "expected_intensity"):
        assert studies[0].truth[name].equals(studies[1].truth[name])


def test_numbers_are_poisson_around_their_level_whatever_the_nests():
    studies = [
        simulate_cells(
            n_patients=30, seed=7, tissue_design=TissueDesign(side=600, tumour_share=share)
        )
        for share in (0.25, 0.5)
    ]
    for study in studies:
        expected = study.truth["expected_intensity"].to_numpy() * 0.36
        scores = (immune_numbers(study).to_numpy() - expected) / np.sqrt(expected)
        n = scores.size
        assert abs(scores.mean()) < 3.5 / np.sqrt(n)
        assert (scores**2).mean() == pytest.approx(1.0, abs=3.5 * np.sqrt(2 / n))


def test_clusters_are_over_dispersed_around_the_same_level_and_lie_together():
    flat, clustered = (
        simulate_cells(
            n_patients=20,
            markers=3,
            seed=8,
            tissue_design=TissueDesign(
                side=500,
                level=1600,
                level_sd=0.0,
                cluster_size=size,
                cluster_radius=15,
                nest_radius=120,
                front_width=30,
            ),
        )
        for size in (0.0, 10.0)
    )
    immune = clustered.cells[clustered.cells["cell_type"].str.startswith("M")]
    numbers = immune.groupby(["image_id", "cell_type"]).size().to_numpy()
    assert numbers.size == 60
    # Poisson many parents with Poisson many cells each: variance = mean (1 + size)
    sd = np.sqrt(400 * 11)
    assert abs(numbers.mean() - 400) < 3.5 * sd / np.sqrt(numbers.size)
    assert 0.6 < numbers.var(ddof=1) / sd**2 < 1.5
    assert nearest(flat) > 1.6 * nearest(clustered)


def nearest(study):
    """Mean distance of an M1 cell of the first image to the next one."""
    cells = study.cells[(study.cells["image_id"] == "P001_1") & (study.cells["cell_type"] == "M1")]
    points = cells[["x", "y"]].to_numpy()
    apart = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    return apart.min(axis=1).mean() * np.sqrt(len(points))


@pytest.mark.parametrize("cluster_size", [0.0, 8.0])
def test_cells_sit_where_the_truth_says(cluster_size):
    design = TissueDesign(**SMALL, cluster_size=cluster_size, exclusion=0.5)
    study = simulate_cells(n_patients=20, seed=9, tissue_design=design)
    # rows (patient, marker), as in the truth: its columns run over the regions of each marker
    expected = study.truth["expected_shares"].to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(expected.sum(axis=1), 1.0, rtol=1e-12)
    found = immune_shares(study).to_numpy()
    off = found - expected
    error = off.std(axis=0, ddof=1) / np.sqrt(len(off))
    assert (np.abs(off.mean(axis=0)) < 3.5 * error).all()
    # cells of one cluster share their region: the variance is 1 + size times the binomial one
    n = immune_numbers(study).to_numpy().reshape(-1, 1)
    variance = expected * (1 - expected) * (1 + cluster_size) / n
    assert (off**2 / variance).mean() == pytest.approx(1.0, abs=0.35)


def test_exclusion_keeps_cells_out_of_the_centre_and_leaves_the_front():
    free, excluded = (
        simulate_cells(n_patients=10, seed=10, tissue_design=TissueDesign(exclusion=share))
        for share in (0.0, 1.0)
    )
    found = immune_shares(excluded)
    assert (found["tumour_centre"] == 0).all()
    assert (immune_shares(free)["tumour_centre"] > 0.05).all()
    fronts = [
        s.truth["expected_shares"].xs("invasive_front", axis=1, level=1) for s in (free, excluded)
    ]
    pd.testing.assert_frame_equal(*fronts)


def test_regions_and_areas_are_those_of_the_package():
    design = TissueDesign()
    nests = draw_nests(np.random.default_rng(2), design)
    boundary = boundary_from_annotation(nests.tumour, window=nests.window, frame_tolerance=0.0)
    rng = np.random.default_rng(3)
    distance = signed_distance(rng.uniform(0, 1000, (40_000, 2)), boundary)
    share = np.bincount(np.digitize(distance, [-50, 50]), minlength=3) / 40_000
    np.testing.assert_allclose(share, nests.areas, atol=3.5 * 0.5 / 200)
    assert (distance < 0).mean() == pytest.approx(nests.share, abs=0.01)


def test_the_measuring_line_finds_the_truth(study):
    """Boundary from the cells, then intensities by region: neither sees the truth."""
    plan = CellPlan(
        tumour=("tumour",),
        markers=tuple(IMMUNE),
        compartments=TissueDesign().compartments,
        window="rectangle",
        radii=(20.0, 40.0),
    )
    measured = measure_cells(cells_from_frame(study.cells), plan=plan)
    assert (measured.summary["reason"] == "").all()
    images = study.truth["images"].set_index("image_id")
    summary = measured.summary.set_index("image_id")
    tumour = summary["tumour_mm2"] / summary["area_mm2"]
    np.testing.assert_allclose(tumour, images["tumour_share"], atol=0.06)
    keys = ["patient_id", "marker", "region"]
    amounts = measured.amounts().set_index(keys)
    truth = study.measurements.set_index(keys)["value"]
    both = np.log(pd.concat([amounts["value"], truth.rename("true")], axis=1))
    assert len(both) == 10 * 2 * 3
    for region, rows in both.groupby(level="region"):
        assert rows["value"].corr(rows["true"]) > 0.95, region
        assert abs((rows["value"] - rows["true"]).mean()) < 0.1, region
    counts = (amounts["value"] * amounts["weight"]).reset_index(name="n")
    sums = counts.pivot_table(index="patient_id", columns=["marker", "region"], values="n")
    front = sums.xs("invasive_front", axis=1, level="region") / sums.T.groupby("marker").sum().T
    expected = study.truth["expected_shares"].xs("invasive_front", axis=1, level="region")
    assert (front.corrwith(expected) > 0.85).all()
    assert (front - expected).abs().mean().max() < 0.07


def test_levels_measured_do_not_follow_the_location():
    """What the line calls the level: all cells over all areas, the same in both studies."""
    levels = []
    for share in (0.2, 0.7):
        study = simulate_cells(
            n_patients=10, seed=12, tissue_design=TissueDesign(front_share=share)
        )
        rows = study.measurements.assign(n=lambda t: t["value"] * t["weight"])
        sums = rows.groupby(["patient_id", "marker"])[["n", "weight"]].sum()
        levels.append(sums["n"] / sums["weight"])
    np.testing.assert_allclose(levels[0], levels[1], rtol=1e-9)


def test_images_of_a_patient_scatter_around_it():
    design = TissueDesign(side=600, nest_radius=120, front_width=30)
    study = simulate_cells(n_patients=10, n_images=3, image_icc=0.5, seed=13, tissue_design=design)
    assert study.cells["image_id"].nunique() == 30
    assert study.truth["image_icc"].tolist() == [0.5, 0.5]
    logs = np.log(immune_numbers(study))
    by_patient = logs.groupby(logs.index.str[:4])
    # sd of a log level between patients is .5, so is that of an image around its patient
    assert np.sqrt(by_patient.var().mean().mean()) == pytest.approx(0.5, abs=0.15)


def test_cox_regression_recovers_level_and_location():
    """Tissue as small and empty as can be: the outcome is at issue here."""
    design = TissueDesign(
        side=200,
        nest_radius=60,
        front_width=12,
        level=50,
        tumour_intensity=100,
        stroma_intensity=100,
    )
    patients = PatientDesign(follow_up=(80.0, 80.0))
    study = simulate_cells(
        n_patients=250,
        markers=1,
        effect=0.5,
        location_effect=0.8,
        stage_effect=0.0,
        tissue_design=design,
        patient_design=patients,
        seed=14,
    )
    names = ["level_index", "location_index"]
    X = pd.DataFrame({name: study.truth[name] for name in names})
    y = study.patients.set_index("patient_id")[["time", "event"]]
    model = RidgeCox(transform="none", penalty={"features": 0.0}).fit(X, y)
    se = np.sqrt(np.diag(model.covariance_))
    assert (np.abs(model.coef_ - [0.5, 0.8]) < 3.5 * se).all()
    assert (se < 0.1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_patients": 5}, "n_patients must be at least 10"),
        ({"n_images": 0, "markers": 0}, "markers must be at least 1.*n_images must be at least 1"),
        ({"location_effect": float("nan")}, "location_effect is nan"),
        ({"image_icc": -1.0}, "image_icc is -1.0"),
        (
            {"tissue_design": TissueDesign(side=400, nest_radius=40, front_width=60)},
            "tissue: nests of radius 40 .* leave no room .*narrow front_width",
        ),
        (
            {"tissue_design": TissueDesign(side=300, nest_radius=60, front_width=20, level=1e7)},
            "more cells than there is room for: lower level",
        ),
    ],
)
def test_options_that_cannot_be_are_named(options, message):
    with pytest.raises(InputError, match=message):
        simulate_cells(**{"n_patients": 10, "seed": 1, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 0.0}, "side is 0.0: give a positive number"),
        ({"front_share": 1.0}, "front_share is 1.0: give a share between 0 and 1"),
        ({"exclusion": 1.5}, "exclusion is 1.5: give a share from 0 to 1"),
        ({"purity": 0.4}, "purity is 0.4: give a share above 0.5"),
        ({"nest_radius": 5.0}, "nest_radius is 5: give at least 33.3333 um"),
        ({"nest_radius": 40.0, "front_width": 90.0}, "nest_radius is 40: give at least 45 um"),
        ({"cluster_size": -1.0}, "cluster_size is -1.0: give a number from 0 on"),
        ({"level": float("nan"), "level_sd": -1.0}, "level is nan.*level_sd is -1.0"),
    ],
)
def test_tissue_design_names_its_faults(options, message):
    with pytest.raises(InputError, match=message):
        TissueDesign(**options)
