"""All images of a source: jobs and rows do not matter, names are checked, nothing is lost."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.features import CellPlan, measuring, pool_images
from times_stats.features.measuring import complete_plan, measure_cells
from times_stats.regions.compartments import Compartments
from times_stats.regions.window import Window
from times_stats.tables.cell_opening import cells_from_frame, open_cells

PLAN = CellPlan(
    tumour=("CK",),
    window="rectangle",
    compartments=Compartments(invasive_front=(-50, 50), peritumour=None),
    radii=(10.0, 20.0),
)
WINDOW = Window.rectangle(x=(0, 300), y=(0, 300))


def frame(n_patients=3, n_images=2, n_cells=200, seed=1):
    rng = np.random.default_rng(seed)
    parts = []
    for patient in range(n_patients):
        for image in range(n_images):
            xy = rng.uniform(0, 300, (n_cells, 2))
            kind = np.where(xy[:, 0] < 150, "CK", "stroma")
            kind = np.where(rng.random(n_cells) < 0.3, "CD8", kind)
            parts.append(
                pd.DataFrame(
                    {
                        "patient_id": f"p{patient}",
                        "image_id": f"p{patient}_{image}",
                        "x": xy[:, 0],
                        "y": xy[:, 1],
                        "cell_type": kind,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def cells():
    return frame()


@pytest.fixture(scope="module")
def measured(cells):
    return measure_cells(cells_from_frame(cells), plan=PLAN)


def assert_same(one, other):
    for name in ("images", "patients", "summary", "counts"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    for name in ("markers", "regions", "settings"):
        assert getattr(one, name) == getattr(other, name)


def test_tables_fit_together(measured):
    assert measured.markers == ("CD8", "stroma")
    assert measured.regions == ("tumour_centre", "invasive_front", "adjacent")
    assert measured.summary["image_id"].tolist() == [f"p{p}_{i}" for p in range(3) for i in (0, 1)]
    keys = ["patient_id", "image_id", "marker", "statistic", "region", "r"]
    assert measured.images[keys].equals(measured.images[keys].sort_values(keys, ignore_index=True))
    pd.testing.assert_frame_equal(measured.patients, pool_images(measured.images))
    assert measured.counts["what"].tolist() == ["cells in the table"]
    assert measured.counts["n_cells"].item() == 1200
    assert repr(measured) == "<CellMeasures: 6 images, 2 markers>"
    assert measured.settings == {
        "tumour": ["CK"],
        "window": "rectangle",
        "source": "boundary",
        "tumour_regions": [],
        "invasive_front": [-50.0, 50.0],
        "peritumour": None,
    }


def test_amounts_are_the_intensities_with_their_areas(measured, cells):
    amounts = measured.amounts()
    assert amounts.columns.tolist() == [
        *("patient_id", "marker", "region", "image_id", "value", "weight")
    ]
    counts = amounts.assign(n=amounts["value"] * amounts["weight"]).groupby("marker")["n"].sum()
    expected = cells.groupby("cell_type").size()
    assert counts["CD8"] == pytest.approx(expected["CD8"])
    assert counts["stroma"] == pytest.approx(expected["stroma"])
    pooled = measured.patients.query("statistic == 'intensity' and region != 'image'")
    for row in pooled.to_dict("records"):
        own = amounts.query(
            "patient_id == @row['patient_id'] and marker == @row['marker']"
            " and region == @row['region']"
        )
        assert row["value"] == pytest.approx(np.average(own["value"], weights=own["weight"]))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_neither_workers_nor_rows_nor_the_format_matter(ending, cells, measured, tmp_path):
    path = tmp_path / f"cells.{ending}"
    shuffled = cells.sample(frac=1, random_state=4)
    if ending == "csv":
        shuffled.to_csv(path, index=False)
    else:
        shuffled.to_parquet(path, index=False)
    with joblib.parallel_config("threading"):  # processes take seconds to start: see below
        assert_same(measure_cells(open_cells(path), plan=PLAN, jobs=2), measured)


@pytest.mark.slow
def test_processes_do_not_matter(cells, measured):
    assert_same(measure_cells(cells_from_frame(cells), plan=PLAN, jobs=2), measured)


def test_progress_counts_the_images(cells):
    done = []
    measure_cells(cells_from_frame(cells), plan=PLAN, advance=lambda: done.append(1))
    assert len(done) == 6


def test_images_are_streamed(monkeypatch):
    honest, read, ahead = measuring.iterate_images, [], []

    def counted(source):
        for image in honest(source):
            read.append(image.image_id)
            yield image

    monkeypatch.setattr(measuring, "iterate_images", counted)
    source = cells_from_frame(frame(n_patients=12, n_cells=40))
    done = []

    def advance():
        done.append(1)
        ahead.append(len(read) - len(done))

    measure_cells(source, plan=PLAN, advance=advance)
    assert len(done) == len(read) == 24
    assert max(ahead) <= 2


def test_pooled_over_images_of_which_some_lack_the_region(cells):
    one_type = cells.assign(
        cell_type=cells["cell_type"].where(cells["image_id"] != "p0_0", "stroma")
    )
    found = measure_cells(cells_from_frame(one_type), plan=PLAN)
    everything = found.patients.query("patient_id == 'p0' and statistic == 'intensity'")
    # The level needs no boundary: it holds both images.
    assert (everything[everything["region"] == "image"]["n_images"] == 2).all()
    rows = everything[everything["region"] != "image"]
    assert (rows["n_images"] == 1).all()
    assert (rows["n_missing"] == 1).all()
    assert rows["value"].notna().all()
    assert found.summary["reason"].tolist()[:2] == ["no tumour cell", ""]
    assert set(found.amounts().query("patient_id == 'p0'")["image_id"]) == {"p0_1"}


# Names.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tumour": ("CKs",)}, r"cells: tumour names 'CKs', which no cell is \(nearest: 'CK'\): c"),
        ({"markers": ("CD80",)}, r"markers names 'CD80', which no cell is \(nearest: 'CD8'\)"),
        ({"markers": ("zzzz",)}, r"markers names 'zzzz', which no cell is: correct it"),
        (
            {"aggregate_seeds": ("B",), "aggregate_members": ("B", "CD8")},
            "aggregate_seeds names 'B', which no cell is: correct it; aggregate_members names 'B'",
        ),
        (
            {"source": "column", "tumour_regions": ("Tumor",)},
            "the cells have no region column: map one in",
        ),
    ],
)
def test_unknown_names_are_faults_before_anything_is_measured(
    settings, message, cells, monkeypatch
):
    monkeypatch.setattr(measuring, "measure_image", None)
    plan = CellPlan(**{"tumour": ("CK",), **settings})
    with pytest.raises(InputError, match=message):
        measure_cells(cells_from_frame(cells), plan=plan)


def test_unknown_tumour_region_is_named_with_the_nearest(cells):
    labelled = cells.assign(region=np.where(cells["x"] < 150, "Tumor", "Stroma"))
    source = cells_from_frame(labelled)
    plan = CellPlan(tumour=("CK",), source="column", tumour_regions=("Tumour",))
    with pytest.raises(InputError, match=r"names 'Tumour', where no cell is \(nearest: 'Tumor'\)"):
        measure_cells(source, plan=plan)
    right = CellPlan(tumour=("CK",), source="column", tumour_regions=("Tumor",), window="rectangle")
    found = measure_cells(source, plan=right)
    assert found.settings["tumour_regions"] == ["Tumor"]
    assert found.summary["tumour_mm2"].to_numpy() == pytest.approx(0.045, rel=0.1)


def test_flags_are_markers_and_tumour_types_are_not(cells):
    flagged = cells.assign(PDL1_positive=cells.index % 2, CK_positive=cells["cell_type"] == "CK")
    source = cells_from_frame(flagged)
    assert complete_plan(source, PLAN).markers == ("CD8", "stroma", "PDL1")
    chosen = CellPlan(tumour=("CK",), markers=("PDL1",))
    assert complete_plan(source, chosen) is chosen


def test_cells_without_a_type_have_no_tumour(cells):
    bare = cells.drop(columns="cell_type").assign(CD8_positive=1)
    with pytest.raises(InputError, match="tumour names 'CK', which no cell is: correct it"):
        measure_cells(cells_from_frame(bare), plan=PLAN)


def test_a_declared_marker_that_no_cell_has_is_measured_as_absent(cells, measured):
    source = cells_from_frame(cells)
    declared = ("CD20", "CD8", "CK", "Tumor")
    plan = CellPlan(
        tumour=("CK", "CK_dim"),
        window="rectangle",
        compartments=PLAN.compartments,
        radii=PLAN.radii,
    )
    with pytest.raises(InputError, match="tumour names 'CK_dim'"):
        measure_cells(source, plan=plan, declared=declared)
    found = measure_cells(source, plan=plan, declared=(*declared, "CK_dim"))
    assert found.markers == ("CD8", "stroma", "CD20", "Tumor")
    amounts = found.amounts()
    assert (amounts.query("marker == 'CD20'")["value"] == 0).all()
    assert (amounts.groupby("marker").size() == 18).all()
    pd.testing.assert_frame_equal(
        amounts[amounts["marker"].isin(measured.markers)].reset_index(drop=True),
        measured.amounts(),
    )


# Windows and annotations.


def test_windows_of_all_images_or_of_none(cells, monkeypatch):
    source = cells_from_frame(cells)
    windows = dict.fromkeys(cells["image_id"].unique(), WINDOW)
    del windows["p1_0"], windows["p2_1"]
    with monkeypatch.context() as patched:
        patched.setattr(measuring, "measure_image", None)
        with pytest.raises(InputError, match=r"cells: image p1_0, p2_1 has no window: draw one f"):
            measure_cells(source, plan=PLAN, windows=windows)
    half = Window.rectangle(x=(0, 300), y=(0, 200))
    windows |= {"p1_0": half, "p2_1": WINDOW}
    found = measure_cells(source, plan=PLAN, windows=windows)
    assert found.settings["window"] == "given"
    outside = ((cells["image_id"] == "p1_0") & (cells["y"] > 200)).sum()
    row = found.counts.set_index("what").loc["cells outside the window, left out"]
    assert row[["n_cells", "n_images", "n_patients"]].tolist() == [outside, 1, 1]
    assert (row["images"], row["patients"]) == ("p1_0", "p1")
    assert found.summary["area_mm2"].tolist() == pytest.approx([0.09] * 2 + [0.06] + [0.09] * 3)


def test_annotations_of_some_images(cells):
    plan = CellPlan(
        tumour=("CK",), source="annotation", compartments=PLAN.compartments, window="rectangle"
    )
    drawn = {"p0_0": Window.rectangle(x=(-10, 150), y=(-10, 310))}
    found = measure_cells(cells_from_frame(cells), plan=plan, annotations=drawn)
    assert found.summary["reason"].tolist() == ["", *["the image has no annotation"] * 5]
    assert found.amounts()["image_id"].unique().tolist() == ["p0_0"]


def test_cells_at_the_limit_of_an_empty_region_are_counted():
    grid = [(x, y) for x in range(0, 301, 10) for y in range(0, 301, 10)]
    table = pd.DataFrame(grid, columns=["x", "y"], dtype=float).assign(
        patient_id="a", image_id="a1", cell_type=lambda t: np.where(t["x"] < 200, "CK", "CD8")
    )
    plan = CellPlan(
        tumour=("CK",),
        source="annotation",
        window="rectangle",
        compartments=Compartments(invasive_front=(-50, 105), peritumour=None),
    )
    drawn = {"a1": Window.rectangle(x=(0, 195), y=(0, 300))}
    found = measure_cells(cells_from_frame(table), plan=plan, annotations=drawn)
    row = found.counts.set_index("what").loc["cells of a region without area, left out"]
    assert row["n_cells"] == found.summary["n_without_area"].sum() == 31


# Faults of the cells.


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.assign(x=t["x"].mask(t.index == 3)), "column 'x' is missing for 1 cell of"),
        (lambda t: t.assign(y=t["y"].mask(t.index == 3, np.inf)), "column 'y' is infinite"),
        (lambda t: t.assign(cell_type=t["cell_type"].mask(t.index < 2)), "'cell_type' is missing"),
        (lambda t: pd.concat([t, t.iloc[:2]]), "2 cells of image p0_0 repeat another"),
        (lambda t: t.assign(patient_id=t["patient_id"].replace("p2", "p9")), "patient p9"),
    ],
    ids=["no x", "infinite y", "no type", "duplicate", "unknown patient"],
)
def test_faults_of_cells_are_raised_before_anything_is_measured(spoil, message, cells, monkeypatch):
    monkeypatch.setattr(measuring, "measure_image", None)
    source = cells_from_frame(spoil(cells))
    with pytest.raises(InputError, match=message):
        measure_cells(source, plan=PLAN, patient_ids=["p0", "p1", "p2"])


@pytest.fixture
def released(monkeypatch):
    """Fill with one entry each time a stream of images is closed."""
    honest, closed = measuring.iterate_images, []

    def watched(source):
        try:
            yield from honest(source)
        finally:
            closed.append(True)

    monkeypatch.setattr(measuring, "iterate_images", watched)
    return closed


@pytest.mark.parametrize("jobs", [1, 2])
def test_fault_inside_a_worker_reaches_the_caller_and_files_are_released(
    jobs, cells, released, monkeypatch
):
    def broken(cells, **_):
        raise InputError(f"image {cells.image_id[:2]} is odd")

    monkeypatch.setattr(measuring, "measure_image", broken)
    with (
        joblib.parallel_config("threading"),
        pytest.raises(InputError, match="image p0 is odd"),
    ):
        measure_cells(cells_from_frame(cells), plan=PLAN, jobs=jobs)
    assert released == [True]


def test_stop_asked_for_between_images_releases_the_files(cells, released):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_cells(cells_from_frame(cells), plan=PLAN, advance=stop)
    assert released == [True]
