"""One image: every value by hand, by brute force or by the function it names; every reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely

from times_stats.errors import InputError
from times_stats.features import CellPlan, measure_image
from times_stats.features.function_measures import (
    FEW_CELLS,
    FEW_MARKER,
    FEW_TUMOUR,
    SAME_PLACES,
    SMALL_WINDOW,
    UNSEEN,
)
from times_stats.features.infiltration import NO_CELL, ONE_BAND, OUTERMOST, infiltration_gradient
from times_stats.features.kfunctions import besag_l, cross_l
from times_stats.features.located_cells import NO_ANNOTATION, NO_WINDOW
from times_stats.features.measured_rows import (
    AGGREGATES,
    BY_REGION,
    COLUMNS,
    COMPOSITION,
    IMAGE,
    ORGANISATION,
    STATISTICS,
)
from times_stats.features.mixing import normalised_mixing_score
from times_stats.features.nearest_distances import cross_g
from times_stats.features.quadrats import morisita_horn
from times_stats.features.region_measures import NO_CELLS, NO_REGION
from times_stats.regions.boundary import ALL_TUMOUR, EVEN, NO_TUMOUR_CELL, NOT_INSIDE, TOO_FEW
from times_stats.regions.compartments import Compartments
from times_stats.regions.window import Window
from times_stats.tables.cells import ImageCells

WINDOW = Window.rectangle(x=(0, 400), y=(0, 300))
TUMOUR = Window.rectangle(x=(0, 200), y=(0, 300))  # its front is the line x = 200
PLAN = CellPlan(
    tumour=("CK",),
    markers=("CD8", "CD4"),
    source="annotation",
    compartments=Compartments(invasive_front=(-50, 50), peritumour=100),
    radii=(10.0, 20.0, 40.0),
    bands=(-100.0, -50.0, 0.0, 50.0, 100.0),
)
LIMITS = {
    "tumour_centre": (0, 150),
    "invasive_front": (150, 250),
    "peritumour": (250, 300),
    "adjacent": (300, 401),
}


def image(points, types=None, *, flags=None, region=None):
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    rows = pd.RangeIndex(len(points))
    return ImageCells(
        patient_id="p",
        image_id="p_1",
        points=points,
        cell_type=None if types is None else np.asarray(types, dtype=np.str_),
        positive=pd.DataFrame(flags or {}, index=rows, dtype=bool),
        intensity=pd.DataFrame(index=rows),
        region=None if region is None else np.asarray(region, dtype=np.str_),
    )


def tissue(n=600, seed=1):
    rng = np.random.default_rng(seed)
    points = rng.uniform((0, 0), (400, 300), (n, 2))
    inside = points[:, 0] < 200
    chance = np.where(inside[:, None], [0.7, 0.2, 0.0, 0.1], [0.0, 0.4, 0.3, 0.3])
    kinds = np.array(["CK", "CD8", "CD4", "other"])
    draws = (rng.random(n)[:, None] > chance.cumsum(axis=1)).sum(axis=1)
    return image(points, kinds[np.minimum(draws, 3)])


def measure(cells, plan=PLAN, window=WINDOW, annotation=TUMOUR):
    return measure_image(cells, plan=plan, window=window, annotation=annotation)


def changed(plan=PLAN, **settings):
    return CellPlan(**{name: getattr(plan, name) for name in plan.__slots__} | settings)


def pick(measured, statistic, marker="CD8", region=IMAGE):
    rows = measured.values.query(
        "statistic == @statistic and marker == @marker and region == @region"
    )
    assert len(rows)
    return rows


def one(measured, *names):
    return pick(measured, *names).iloc[0]


def test_table_has_every_row_once():
    cells = tissue()
    measured = measure(cells, changed(aggregate_seeds=("CD8",), aggregate_members=("CD8", "CD4")))
    table = measured.values
    assert table.columns.tolist() == COLUMNS
    assert not table.duplicated(COLUMNS[:6]).any()
    assert set(table["statistic"]) == set(STATISTICS) == {*BY_REGION, *ORGANISATION}
    assert (table["reason"].eq("") == table["value"].notna()).all()
    assert (table["information"].gt(0) == table["value"].notna()).all()
    by_region = table["statistic"].isin(BY_REGION)
    levels = table["statistic"].eq("intensity") & table["region"].eq(IMAGE)
    assert levels.sum() == 2
    assert (table["region"].eq(IMAGE) == (~by_region | levels)).all()
    functions = table["statistic"].isin(["l_tumour", "l_self", "g_tumour"])
    assert (table["r"].notna() == functions).all()
    assert (set(table["patient_id"]), set(table["image_id"])) == ({"p"}, {"p_1"})


@pytest.mark.parametrize("region", LIMITS)
def test_amounts_are_counts_over_areas(region):
    cells = tissue()
    low, high = LIMITS[region]
    held = (cells.points[:, 0] >= low) & (cells.points[:, 0] < high)
    area = (min(high, 400) - low) * 300 * 1e-6
    measured = measure(cells)
    for marker in ("CD8", "CD4"):
        count = (held & (cells.cell_type == marker)).sum()
        amount = one(measured, "intensity", marker, region)
        assert amount["value"] == pytest.approx(count / area, rel=1e-9)
        assert amount["information"] == pytest.approx(area, rel=1e-9)
        share = one(measured, "fraction", marker, region)
        assert share["value"] == pytest.approx(count / held.sum())
        assert share["information"] == held.sum()
    _, counts = np.unique(cells.cell_type[held], return_counts=True)
    shares = counts / counts.sum()
    entropy = one(measured, "entropy", COMPOSITION, region)
    assert entropy["value"] == pytest.approx(-(shares * np.log(shares)).sum())
    assert entropy["information"] == held.sum()
    none = one(measured, "intensity", "CD4", "tumour_centre")
    assert (none["value"], none["reason"]) == (0, "")


@pytest.mark.parametrize("source", ["boundary", "column"])
def test_estimated_boundaries_lose_no_cell(source):
    cells = tissue(n=2000)
    labels = np.where(cells.points[:, 0] < 200, "Tumor", "Stroma")
    cells = image(cells.points, cells.cell_type, region=labels)
    plan = changed(source=source, tumour_regions=("Tumor",))
    measured = measure(cells, plan, annotation=None)
    amounts = measured.values.query("statistic == 'intensity' and marker == 'CD8'")
    counts = amounts["value"] * amounts["information"]
    n = (cells.cell_type == "CD8").sum()
    assert counts[amounts["region"] != IMAGE].sum() == pytest.approx(n)
    assert counts[amounts["region"] == IMAGE].item() == pytest.approx(n)
    by_region = amounts["information"][amounts["region"] != IMAGE]
    assert by_region.sum() == pytest.approx(0.12, rel=1e-6)
    assert amounts["information"][amounts["region"] == IMAGE].item() == pytest.approx(0.12)
    assert measured.summary["boundary_um"] == pytest.approx(300, rel=0.3)
    assert measured.summary["tumour_mm2"] == pytest.approx(0.06, rel=0.1)
    assert measured.summary["reason"] == ""


def test_functions_are_those_of_their_modules():
    cells = tissue()
    own, tumour = (cells.points[cells.cell_type == kind] for kind in ("CD8", "CK"))
    radii = np.array(PLAN.radii)
    for correction in ("isotropic", "border"):
        measured = measure(cells, changed(correction=correction))
        setting = {"window": WINDOW, "r": radii, "correction": correction}
        expected = {
            "l_tumour": cross_l(own, tumour, **setting) - radii,
            "l_self": besag_l(own, **setting) - radii,
            "g_tumour": cross_g(own, tumour, window=WINDOW, r=radii),
        }
        for name, values in expected.items():
            rows = pick(measured, name)
            np.testing.assert_allclose(rows["value"], values, rtol=1e-12)
            np.testing.assert_array_equal(rows["r"], radii)
            assert (rows["information"] == len(own)).all()


def test_neighbour_excess_is_a_count_of_nearest_cells():
    cells = tissue(n=120)
    plan = changed(n_neighbours=7, min_cells=5)
    apart = np.linalg.norm(cells.points[:, None] - cells.points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1)[:, :7]
    is_tumour, own = cells.cell_type == "CK", cells.cell_type == "CD4"
    share = is_tumour[nearest][own].mean()
    expected = share - is_tumour.sum() / (len(cells) - 1)
    row = one(measure(cells, plan), "neighbour_excess", "CD4")
    assert row["value"] == pytest.approx(expected)
    assert row["value"] < 0
    assert row["information"] == own.sum()


def test_neighbour_excess_is_0_on_average_over_random_labels():
    rng = np.random.default_rng(5)
    cells = tissue(n=150)
    values = [
        one(measure(image(cells.points, rng.permutation(cells.cell_type))), "neighbour_excess")
        for _ in range(20)
    ]
    values = np.array([row["value"] for row in values])
    assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(values.size)


def test_scalars_are_those_of_their_modules():
    cells = tissue()
    own, tumour = cells.cell_type == "CD8", cells.cell_type == "CK"
    measured = measure(cells)
    distance = cells.points[:, 0] - 200
    gradient = infiltration_gradient(distance[own], edges=PLAN.bands, areas=[50.0 * 300] * 4)
    row = one(measured, "gradient")
    assert row["value"] == pytest.approx(gradient.slope, rel=1e-6)
    assert gradient.n_cells == (own & (abs(distance) < 100)).sum()
    assert row["information"] == pytest.approx(gradient.se**-2, rel=1e-6)
    kinds = np.where(own, "own", np.where(tumour, "tumour", "other"))
    score = normalised_mixing_score(
        cells.points, kinds, immune=["own"], tumour=["tumour"], radius=PLAN.mixing_radius
    )
    row = one(measured, "mixing")
    assert (row["value"], row["information"]) == (score, own.sum())
    overlap = morisita_horn(
        cells.points[own], cells.points[tumour], window=WINDOW, side=PLAN.quadrat
    )
    row = one(measured, "morisita_horn")
    assert (row["value"], row["information"]) == (overlap, pytest.approx(0.12))


def test_aggregates_by_hand():
    rng = np.random.default_rng(2)
    clump = np.array([50.0, 60.0]) + rng.uniform(-10, 10, (12, 2))
    alone = np.array([(300.0, 20.0), (300.0, 250.0), (380.0, 150.0)])
    points = np.concatenate([clump, alone])
    plan = changed(
        markers=("B", "T"),
        aggregate_seeds=("B",),
        aggregate_members=("B", "T"),
        aggregate_cells=12,
    )
    found = measure(image(points, ["B"] * 4 + ["T"] * 11), plan)
    row = one(found, "aggregate_intensity", AGGREGATES)
    assert row["value"] == pytest.approx(1 / 0.12)
    assert row["information"] == pytest.approx(0.12)
    row = one(found, "aggregate_share", AGGREGATES)
    assert (row["value"], row["information"]) == (12 / 15, 15)
    nobody = measure(image(points, ["CK"] * 15), plan)
    assert one(nobody, "aggregate_intensity", AGGREGATES)["value"] == 0
    row = one(nobody, "aggregate_share", AGGREGATES)
    assert np.isnan(row["value"])
    assert (row["information"], row["reason"]) == (0, FEW_MARKER)
    without = measure(image(points[:3], ["B"] * 3), plan, window=None)
    assert one(without, "aggregate_share", AGGREGATES)["reason"] == NO_WINDOW


def test_a_marker_that_no_cell_shows_is_0_where_the_region_is():
    measured = measure(tissue(), changed(markers=("CD20",)))
    rows = measured.values.query("statistic in ['intensity', 'fraction']")
    assert len(rows) == 9
    assert (rows["value"] == 0).all()
    assert (rows["information"] > 0).all()
    for name in ("l_tumour", "l_self", "g_tumour", "neighbour_excess", "mixing", "morisita_horn"):
        assert set(pick(measured, name, "CD20")["reason"]) == {FEW_MARKER}
    assert one(measured, "gradient", "CD20")["reason"] == FEW_MARKER


def test_markers_left_open_are_the_types_but_tumour_and_the_flags():
    cells = tissue()
    flags = {"PDL1": np.arange(len(cells)) % 3 == 0, "CK": cells.cell_type == "CK"}
    cells = image(cells.points, cells.cell_type, flags=flags)
    measured = measure(cells, changed(markers=None))
    markers = set(measured.values["marker"]) - {COMPOSITION}
    assert markers == {"CD4", "CD8", "other", "PDL1"}


def test_flags_count_in_tumour_cells_but_tumour_cells_are_not_their_own_partners():
    cells = tissue()
    rng = np.random.default_rng(3)
    positive = (cells.cell_type != "CD4") & (rng.random(len(cells)) < 0.5)
    flagged = image(cells.points, cells.cell_type, flags={"PDL1": positive})
    measured = measure(flagged, changed(markers=("PDL1",)))
    amounts = measured.values.query("statistic == 'intensity' and region != @IMAGE")
    assert (amounts["value"] * amounts["information"]).sum() == pytest.approx(positive.sum())
    own = positive & (cells.cell_type != "CK")
    assert 0 < own.sum() < positive.sum()
    expected = cross_l(
        cells.points[own], cells.points[cells.cell_type == "CK"], window=WINDOW, r=PLAN.radii
    )
    rows = pick(measured, "l_tumour", "PDL1")
    np.testing.assert_allclose(rows["value"], expected - np.array(PLAN.radii))
    assert (rows["information"] == own.sum()).all()


def test_cells_outside_a_given_window_are_left_out_and_counted():
    cells = tissue()
    small = Window.rectangle(x=(100, 400), y=(0, 300))
    seen = cells.points[:, 0] >= 100
    measured = measure(cells, window=small)
    expected = measure(image(cells.points[seen], cells.cell_type[seen]), window=small)
    pd.testing.assert_frame_equal(measured.values, expected.values)
    assert measured.summary["n_outside"] == (~seen).sum() > 0
    assert measured.summary["n_cells"] == len(cells)
    assert measured.summary["n_tumour"] == (cells.cell_type == "CK").sum()
    assert measured.summary["area_mm2"] == pytest.approx(0.09)


def test_moved_and_turned_images_measure_the_same():
    cells = tissue(n=300)
    here = measure(cells).values
    x, y = cells.points.T
    turned = image(np.column_stack([1000 - y, 5000 + x]), cells.cell_type)
    there = measure(
        turned,
        window=Window.rectangle(x=(700, 1000), y=(5000, 5400)),
        annotation=Window.rectangle(x=(700, 1000), y=(5000, 5200)),
    ).values
    pd.testing.assert_frame_equal(here, there, rtol=1e-6)


@pytest.mark.parametrize("kind", ["tissue", "rectangle"])
def test_window_drawn_around_the_cells(kind):
    cells = tissue()
    measured = measure(cells, changed(window=kind), window=None)
    size = np.ptp(cells.points, axis=0).prod() * 1e-6
    assert measured.summary["n_outside"] == 0
    assert measured.summary["area_mm2"] == pytest.approx(size, rel=0.1)
    assert (measured.summary["area_mm2"] == pytest.approx(size)) == (kind == "rectangle")


# Odd input: what comes out, and why.


@pytest.mark.parametrize("n_cells", [0, 1, 9])
@pytest.mark.parametrize("kind", ["tissue", "rectangle"])
def test_too_few_cells_for_a_window(n_cells, kind):
    cells = tissue()
    few = image(cells.points[:n_cells], ["CK"] * n_cells)
    measured = measure(few, changed(window=kind), window=None)
    assert measured.values["value"].isna().all()
    assert set(measured.values["reason"]) == {NO_WINDOW}
    assert (measured.values["information"] == 0).all()
    assert measured.summary["reason"] == NO_WINDOW
    assert np.isnan(measured.summary["area_mm2"])
    told = ("n_cells", "n_tumour", "n_outside", "n_uncertain", "n_without_area")
    assert [measured.summary[name] for name in told] == [n_cells, n_cells, 0, 0, 0]


def test_many_cells_on_one_place_are_no_tissue():
    cells = image([(5.0, 5.0)] * 30 + [(0.0, 0.0)] * 9, ["CK"] * 39)
    measured = measure(cells, window=None)
    assert set(measured.values["reason"]) == {NO_WINDOW}


@pytest.mark.parametrize("n_cells", [0, 1, 9])
def test_few_cells_in_a_given_window(n_cells):
    cells = tissue()
    few = image(cells.points[:n_cells], ["CK"] * n_cells)
    measured = measure(few, changed(source="boundary"), annotation=None)
    assert measured.summary["reason"] == TOO_FEW
    regions = measured.values[measured.values["region"] != IMAGE]
    assert set(regions["reason"]) == {TOO_FEW}
    assert set(pick(measured, "l_self")["reason"]) == {FEW_MARKER}
    assert one(measured, "gradient")["reason"] == TOO_FEW


def test_cells_on_a_line_along_an_axis_have_no_rectangle():
    points = np.column_stack([np.arange(60) * 5.0, np.zeros(60)])
    cells = image(points, ["CK"] * 30 + ["CD8"] * 30)
    measured = measure(cells, changed(window="rectangle"), window=None)
    assert set(measured.values["reason"]) == {"points lie on one line along an axis"}


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_cells_on_a_line_are_a_strip_of_tissue(slope):
    x = np.arange(100) * 5.0
    cells = image(np.column_stack([x, slope * x]), ["CK"] * 50 + ["CD8"] * 50)
    plan = changed(source="boundary", radii=(10.0, 20.0, 80.0))
    measured = measure(cells, plan, window=None, annotation=None)
    assert measured.summary["reason"] == ""
    amounts = measured.values.query(
        "statistic == 'intensity' and marker == 'CD8' and region != @IMAGE"
    )
    assert (amounts["value"] * amounts["information"]).sum() == pytest.approx(50)
    far = pick(measured, "l_self").set_index("r")["reason"]
    assert far.isin(["", SMALL_WINDOW]).all()
    assert far.iloc[-1] == SMALL_WINDOW  # a strip: hardly anything is left when it is moved so far


@pytest.mark.parametrize(
    ("kind", "reason"), [("CD8", NO_TUMOUR_CELL), ("CK", ALL_TUMOUR)], ids=["immune", "tumour"]
)
def test_one_type_has_no_boundary(kind, reason):
    cells = tissue()
    same = image(cells.points, [kind] * len(cells))
    measured = measure(same, changed(source="boundary"), annotation=None)
    regions = measured.values[measured.values["region"] != IMAGE]
    assert set(regions["reason"]) == {reason}
    assert regions["value"].isna().all()
    assert one(measured, "gradient")["reason"] == reason
    few = FEW_TUMOUR if kind == "CD8" else FEW_MARKER
    for name in ("l_tumour", "g_tumour", "neighbour_excess", "mixing", "morisita_horn"):
        assert set(pick(measured, name)["reason"]) == {few}
    assert pick(measured, "l_self")["value"].notna().all() == (kind == "CD8")
    assert measured.summary["reason"] == reason


def test_labels_without_place_have_no_boundary():
    cells = tissue()
    rng = np.random.default_rng(1)
    mixed = image(cells.points, rng.choice(["CK", "CD8"], len(cells)))
    measured = measure(mixed, changed(source="boundary"), annotation=None)
    assert measured.summary["reason"] == EVEN
    assert pick(measured, "l_tumour")["value"].notna().all()


def test_points_that_are_not_numbers_are_refused_whatever_the_window():
    cells = tissue()
    points = cells.points.copy()
    points[3, 0] = np.nan
    for setting in ({"window": None}, {"window": WINDOW}):
        with pytest.raises(InputError, match="missing or infinite in row 3"):
            measure(image(points, cells.cell_type), changed(window="rectangle"), **setting)


def test_same_places_in_another_order_are_the_same_places():
    rng = np.random.default_rng(5)
    places = rng.uniform(0, 200, (60, 2))
    points = np.concatenate([places, places[rng.permutation(60)]])
    measured = measure(image(points, ["CK"] * 60 + ["CD8"] * 60), window=None)
    assert set(pick(measured, "neighbour_excess")["reason"]) == {SAME_PLACES}


def test_one_quadrat_tells_nothing_of_mixing():
    rng = np.random.default_rng(6)
    points = rng.uniform(0, 55, (200, 2))
    kinds = np.where(points[:, 0] < 27, "CK", "CD8")
    small = Window.rectangle(x=(0, 55), y=(0, 55))
    measured = measure(image(points, kinds), changed(quadrat=50.0), window=small)
    assert set(pick(measured, "morisita_horn")["reason"]) == {SMALL_WINDOW}


def test_image_without_an_annotation():
    measured = measure(tissue(), annotation=None)
    assert measured.summary["reason"] == NO_ANNOTATION
    regions = measured.values[measured.values["region"] != IMAGE]
    assert set(regions["reason"]) == {NO_ANNOTATION}
    assert one(measured, "gradient")["reason"] == NO_ANNOTATION
    assert pick(measured, "l_tumour")["value"].notna().all()


def test_annotation_beside_the_window_shows_no_boundary():
    measured = measure(tissue(), annotation=Window.rectangle(x=(900, 990), y=(0, 300)))
    assert measured.summary["reason"] == NOT_INSIDE


def test_region_column_is_needed_where_the_boundary_comes_from_it():
    with pytest.raises(InputError, match=r"cells: the cells have no region column: map one in"):
        measure(tissue(), changed(source="column", tumour_regions=("Tumor",)))


def test_region_the_window_does_not_show_and_region_without_a_cell():
    cells = tissue()
    left = cells.points[:, 0] < 290
    narrow = Window.rectangle(x=(0, 290), y=(0, 300))
    measured = measure(image(cells.points[left], cells.cell_type[left]), window=narrow)
    assert one(measured, "intensity", "CD8", "adjacent")["reason"] == NO_REGION
    assert one(measured, "entropy", COMPOSITION, "adjacent")["reason"] == NO_REGION
    measured = measure(image(cells.points[left], cells.cell_type[left]))
    assert one(measured, "intensity", "CD8", "adjacent")["value"] == 0
    for name, marker in (("fraction", "CD8"), ("entropy", COMPOSITION)):
        row = one(measured, name, marker, "adjacent")
        assert np.isnan(row["value"])
        assert (row["information"], row["reason"]) == (0, NO_CELLS)


def test_one_cell_in_a_region():
    cells = tissue()
    kept = (cells.points[:, 0] < 300) | (np.arange(len(cells)) == np.argmax(cells.points[:, 0]))
    lonely = image(cells.points[kept], np.where(cells.points[kept, 0] < 300, "CK", "CD8"))
    measured = measure(lonely)
    assert one(measured, "intensity", "CD8", "adjacent")["value"] == pytest.approx(1 / 0.03)
    assert one(measured, "fraction", "CD8", "adjacent")["value"] == 1
    assert one(measured, "entropy", COMPOSITION, "adjacent")["value"] == 0
    assert one(measured, "gradient")["reason"] == FEW_MARKER


FRONT_AT_195 = Window.rectangle(x=(0, 195), y=(0, 300))


def pixels_to_the_frame():
    """Positions are whole pixels and the window ends at the outermost, 105 um from the front."""
    points = np.array([(x, y) for x in range(0, 301, 10) for y in range(0, 301, 10)], dtype=float)
    return image(points, np.where(points[:, 0] < 200, "CK", "CD8"))


def test_cell_on_the_frame_where_the_next_region_would_begin():
    cells = pixels_to_the_frame()
    plan = changed(
        window="rectangle", compartments=Compartments(invasive_front=(-50, 105), peritumour=None)
    )
    measured = measure(cells, plan, window=None, annotation=FRONT_AT_195)
    amounts = measured.values.query(
        "statistic == 'intensity' and marker == 'CD8' and region != @IMAGE"
    )
    total = (amounts["value"] * amounts["information"]).sum()
    assert total == pytest.approx((cells.cell_type == "CD8").sum() - 31)
    assert measured.summary["n_without_area"] == 31
    assert one(measured, "intensity", "CD8", "adjacent")["reason"] == NO_REGION


def test_cell_on_the_frame_where_the_next_band_would_begin():
    cells = pixels_to_the_frame()
    plan = changed(window="rectangle", bands=(-50.0, 0.0, 50.0, 105.0, 120.0))
    measured = measure(cells, plan, window=None, annotation=FRONT_AT_195)
    own = (cells.cell_type == "CD8") & (cells.points[:, 0] < 300)
    expected = infiltration_gradient(
        cells.points[own, 0] - 195, edges=plan.bands, areas=[15e3, 15e3, 16.5e3, 0.0]
    )
    row = one(measured, "gradient")
    assert row["value"] == pytest.approx(expected.slope, rel=1e-6)
    assert row["information"] == pytest.approx(expected.se**-2, rel=1e-6)
    assert measured.summary["n_without_area"] == 0


def test_small_window_against_the_radius():
    cells = tissue()
    plan = changed(radii=(10.0, 149.0, 150.0, 350.0))  # of a window of 400 by 300
    for name in ("l_tumour", "l_self"):
        rows = pick(measure(cells, plan), name)
        assert rows["reason"].tolist() == ["", "", "", SMALL_WINDOW]
        assert rows["value"].isna().tolist() == [False, False, False, True]


def test_pieces_far_apart_say_nothing_of_the_distance_between_them():
    """As the two cores of a tissue array: their common box is no window."""
    rng = np.random.default_rng(4)
    pieces = [shapely.box(0, 0, 60, 60), shapely.box(2000, 0, 2060, 60)]
    points = np.concatenate(
        [rng.uniform(0, 60, (40, 2)), rng.uniform([2000, 0], [2060, 60], (40, 2))]
    )
    cells = image(points, np.tile(["CK", "CD8"], 40))
    window = Window.from_geometry(shapely.MultiPolygon(pieces))
    rows = pick(measure(cells, changed(radii=(10.0, 100.0, 500.0)), window=window), "l_self")
    assert rows["reason"].tolist() == ["", SMALL_WINDOW, SMALL_WINDOW]


def test_a_share_beyond_what_was_seen_is_missing():
    """CD8 cells near the frame look no farther than the frame."""
    rng = np.random.default_rng(5)
    own = np.column_stack([rng.uniform(380, 399, 30), rng.uniform(10, 290, 30)])
    tumour = np.column_stack([rng.uniform(1, 20, 30), rng.uniform(10, 290, 30)])
    cells = image(np.concatenate([own, tumour]), ["CD8"] * 30 + ["CK"] * 30)
    rows = pick(measure(cells, changed(radii=(5.0, 15.0, 40.0))), "g_tumour")
    assert rows["value"].tolist()[:2] == [0.0, 0.0]
    assert np.isnan(rows["value"].iloc[2])
    assert rows["reason"].tolist() == ["", "", UNSEEN]


def test_a_marker_at_the_very_places_of_tumour_cells():
    points = np.random.default_rng(6).uniform(0, 300, (40, 2))
    cells = image(np.tile(points, (2, 1)), np.repeat(["CK", "CD8"], 40))
    measured = measure(cells)
    for name in ("l_tumour", "g_tumour", "mixing", "morisita_horn", "neighbour_excess"):
        assert set(pick(measured, name)["reason"]) == {SAME_PLACES}
    assert pick(measured, "l_self")["value"].notna().all()


def test_a_type_and_a_flag_of_one_name_must_agree():
    cells = tissue()
    flag = np.zeros(len(cells), dtype=bool)
    flag[np.flatnonzero(cells.cell_type == "CD8")[:5]] = True
    flagged = image(cells.points, cells.cell_type, flags={"CD8": flag})
    with pytest.raises(InputError, match=r"CD8 is a type and a flag, and .* lack the flag"):
        measure(flagged)


def test_most_cells_outside_the_window_is_a_fault_of_its_unit():
    with pytest.raises(InputError, match=r"cells outside its window: check the window"):
        measure(tissue(), window=Window.rectangle(x=(0, 4), y=(0, 3)))


def test_border_correction_of_a_small_window():
    cells = tissue()
    plan = changed(radii=(10.0, 149.0, 150.0, 350.0))
    border = pick(measure(cells, changed(plan, correction="border")), "l_self")
    assert border["reason"].iloc[-1] == SMALL_WINDOW
    assert border["value"].notna().iloc[0]


def test_too_few_of_either_and_no_more_cells_than_neighbours():
    cells = tissue()
    is_tumour = cells.cell_type == "CK"
    kinds = np.where(is_tumour & (np.cumsum(is_tumour) > 9), "other", cells.cell_type)
    assert (kinds == "CK").sum() == 9
    measured = measure(image(cells.points, kinds))
    assert set(pick(measured, "l_tumour")["reason"]) == {FEW_TUMOUR}
    assert pick(measured, "l_self")["value"].notna().all()
    assert one(measured, "mixing")["reason"] == FEW_TUMOUR
    few = image(cells.points[:12], ["CK", "CD8"] * 6)
    measured = measure(few, changed(min_cells=5, n_neighbours=12))
    row = one(measured, "neighbour_excess")
    assert np.isnan(row["value"])
    assert row["reason"] == FEW_CELLS
    assert one(measured, "morisita_horn")["value"] >= 0
    measured = measure(few, changed(min_cells=5, n_neighbours=11))
    assert one(measured, "neighbour_excess")["value"] == pytest.approx(0)


def test_gradients_without_a_slope():
    cells = tissue()
    x = cells.points[:, 0]
    for kept, reason in (
        ((cells.cell_type != "CD8") | (x > 320), NO_CELL),
        ((cells.cell_type != "CD8") | (abs(x - 275) < 25), OUTERMOST),
    ):
        measured = measure(image(cells.points[kept], cells.cell_type[kept]))
        row = one(measured, "gradient")
        assert np.isnan(row["value"])
        assert (row["information"], row["reason"]) == (0, reason)
    measured = measure(cells, changed(bands=(-900.0, -800.0, -20.0, 300.0, 400.0)[1:]))
    assert one(measured, "gradient")["value"] > 0
    measured = measure(cells, changed(bands=(-900.0, -300.0, 500.0)))
    assert one(measured, "gradient")["reason"] == ONE_BAND


def test_immune_cells_that_keep_apart_have_no_mixing_score():
    grid = np.array([(x, y) for x in range(20, 400, 40) for y in range(20, 300, 40)], dtype=float)
    points = np.concatenate([grid, grid[:20] + 5])
    measured = measure(image(points, ["CD8"] * len(grid) + ["CK"] * 20))
    row = one(measured, "mixing")
    assert row["reason"] == "no two immune cells within the radius"
    assert (np.isnan(row["value"]), row["information"]) == (True, 0)


def test_no_overlap_where_no_quadrat_is_kept():
    # Cells sit in corners of the window that cover less than a quarter of their quadrats.
    corners = Window.polygon([(0, 0), (101, 0), (101, 100), (100, 100), (100, 10), (0, 10)])
    points = [(2.0 + 4 * k, 5.0) for k in range(20)]
    measured = measure(
        image(points, ["CD8", "CK"] * 10),
        changed(min_cells=5, n_neighbours=3, quadrat=50.0),
        window=corners,
        annotation=None,
    )
    assert one(measured, "morisita_horn")["reason"] == SMALL_WINDOW


def test_cells_without_types_have_flags_only():
    cells = tissue()
    bare = image(cells.points, flags={"CD8": cells.cell_type == "CD8"})
    measured = measure(bare, changed(markers=None))
    assert set(measured.values["marker"]) == {"CD8", COMPOSITION}
    typed = measure(cells, changed(markers=("CD8",)))
    pd.testing.assert_series_equal(
        pick(measured, "l_self")["value"], pick(typed, "l_self")["value"], check_index=False
    )
    assert measured.summary["n_tumour"] == 0
