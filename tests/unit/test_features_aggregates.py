from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from times_stats.errors import InputError
from times_stats.features.aggregates import find_aggregates, label_aggregates

RING = [(10 * np.cos(a), 10 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 8, endpoint=False)]


def tissue(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two dense groups of B and T cells in scattered cells of all types."""
    rng = np.random.default_rng(seed)
    groups = [rng.normal(centre, 25, (60, 2)) for centre in ((150, 150), (450, 400))]
    scattered = rng.uniform(0, 600, (150, 2))
    points = np.concatenate([*groups, scattered])
    types = rng.choice(["B", "T"], size=120)
    return points, np.concatenate([types, rng.choice(["B", "T", "tumour"], size=150)])


def as_partition(label: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(label == k).tolist()) for k in set(label.tolist()) - {-1}}


@pytest.mark.parametrize("min_neighbours", [1, 4, 8])
def test_core_cells_are_those_of_dbscan(min_neighbours):
    points, types = tissue()
    member = np.flatnonzero(types != "tumour")
    found = label_aggregates(
        points, types, radius=18, min_cells=1, min_neighbours=min_neighbours, min_seeds=1
    )
    theirs = DBSCAN(eps=18, min_samples=min_neighbours).fit(points[member])
    core = np.zeros(len(points), dtype=bool)
    core[member[theirs.core_sample_indices_]] = True
    expected = np.full(len(points), -1)
    expected[member] = theirs.labels_
    with_seed = [k for k in set(theirs.labels_) if "B" in types[(expected == k) & core]]
    kept = core & np.isin(expected, with_seed)
    assert as_partition(np.where(kept, found, -1)) == as_partition(np.where(kept, expected, -1))
    assert (found[types == "tumour"] == -1).all()
    assert ((found >= 0) <= (expected >= 0)).all()  # noise stays outside


def test_border_cells_join_the_nearest_core_cell():
    left = [(x, y) for x in (0, 2, 4) for y in (0, 2)]
    right = [(x, y) for x in (20, 22, 24) for y in (0, 2)]
    options = {"radius": 8.5, "min_cells": 2, "min_neighbours": 6}
    for between, side in ((11.8, 0), (12.2, 6), (12.0, 0)):  # equally near: the smaller x
        points = np.array([*left, *right, (between, 1)])
        label = label_aggregates(points, ["B"] * 13, **options)
        assert label[0] != label[6]
        assert label[12] == label[side] == 0  # the larger one


def test_labels_do_not_depend_on_the_order_of_cells():
    points, types = tissue()
    points = np.round(points, -1)  # many ties
    moved = np.random.default_rng(3).permutation(len(points))
    options = {"radius": 20, "min_cells": 5, "min_neighbours": 4}
    label = label_aggregates(points, types, **options)
    assert label.max() >= 1
    assert (label_aggregates(points[moved], types[moved], **options) == label[moved]).all()
    table = find_aggregates(points, types, **options, distance=points[:, 0])
    again = find_aggregates(points[moved], types[moved], **options, distance=points[moved, 0])
    assert table.equals(again)


def test_two_groups_are_found_and_described():
    points, types = tissue()
    distance = points[:, 0] - 300
    options = {"radius": 15, "min_cells": 20, "min_neighbours": 5}
    table = find_aggregates(points, types, **options, distance=distance)
    label = label_aggregates(points, types, **options)
    assert len(table) == 2
    assert table.index.name == "aggregate"
    assert (np.diff(table["n_cells"]) <= 0).all()
    for number, row in table.iterrows():
        cells = label == number
        assert row["n_cells"] == cells.sum() == row["n_B"] + row["n_T"]
        assert row["n_B"] == (types[cells] == "B").sum()
        assert row["share_seeds"] == pytest.approx(row["n_B"] / row["n_cells"])
        np.testing.assert_allclose(row[["x", "y"]].to_numpy(float), points[cells].mean(axis=0))
        assert row["distance_mean"] == pytest.approx(distance[cells].mean())
        assert row["distance_min"] == distance[cells].min()
    centres = sorted(table[["x", "y"]].to_numpy().tolist())
    np.testing.assert_allclose(centres, [(150, 150), (450, 400)], atol=15)


def test_area_is_that_of_the_hull():
    table = find_aggregates(
        [(0, 0), (10, 0), (10, 10), (0, 10), (5, 5)], ["B"] * 5, radius=10, min_cells=3
    )
    assert table["area"].item() == 100
    line = find_aggregates([(0, 0), (5, 0), (10, 0)], ["B"] * 3, radius=5, min_cells=3)
    assert line["area"].item() == 0
    ring = find_aggregates(RING, ["B"] * 8, radius=8, min_cells=3)
    assert ring["area"].item() == pytest.approx(2 * np.sqrt(2) * 100)


def test_seeds_members_and_sizes_decide():
    points = [(0, 0), (5, 0), (10, 0), (100, 0), (105, 0), (110, 0), (115, 0)]
    types = ["T", "B", "T", "T", "T", "T", "T"]
    label = label_aggregates(points, types, radius=6, min_cells=3)
    assert label.tolist() == [0, 0, 0, -1, -1, -1, -1]  # the larger one has no B cell
    both = label_aggregates(points, types, seeds=["T"], radius=6, min_cells=3)
    assert both.tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert (label_aggregates(points, types, radius=6, min_cells=4) == -1).all()
    assert (label_aggregates(points, types, radius=6, min_cells=3, min_seeds=2) == -1).all()
    alone = label_aggregates(points, types, members=["B"], radius=6, min_cells=1)
    assert alone.tolist() == [-1, 0, -1, -1, -1, -1, -1]
    table = find_aggregates(points, types, seeds=["T"], radius=6, min_cells=3)
    assert table["n_cells"].tolist() == [4, 3]
    assert table["share_seeds"].tolist() == [1, pytest.approx(2 / 3)]


def test_no_aggregate_is_an_empty_table():
    for points, types in (([], []), ([(0, 0)], ["B"]), ([(0, 0), (1, 0)], ["tumour", "tumour"])):
        table = find_aggregates(points, types, radius=10, min_cells=2)
        assert table.shape == (0, 9)
        assert table.columns.tolist() == [
            "n_cells",
            "n_B",
            "n_T",
            "share_seeds",
            "x",
            "y",
            "area",
            "distance_mean",
            "distance_min",
        ]
        assert table["n_cells"].dtype == np.int64
        assert (label_aggregates(points, types, radius=10, min_cells=2) == -1).all()


def test_without_distances_there_is_none():
    table = find_aggregates(RING, ["B"] * 8, radius=8, min_cells=3)
    assert table[["distance_mean", "distance_min"]].isna().all(axis=None)


def test_coinciding_cells_are_one_aggregate():
    assert (
        label_aggregates([(1, 1)] * 3, ["B", "T", "T"], radius=1, min_cells=3).tolist() == [0] * 3
    )


def test_faults_are_named():
    points, types = [(0, 0), (1, 0)], ["B", "T"]
    with pytest.raises(InputError, match="seeds name plasma, which is not among the members"):
        label_aggregates(points, types, seeds=["plasma"], radius=1, min_cells=1)
    for name in ("min_cells", "min_neighbours", "min_seeds"):
        options = {"radius": 1, "min_cells": 1, name: 0}
        with pytest.raises(InputError, match=f"{name} is 0: give a whole number from 1 on"):
            label_aggregates(points, types, **options)
    with pytest.raises(InputError, match="radius is nan: give positive micrometres"):
        label_aggregates(points, types, radius=np.nan, min_cells=1)
    with pytest.raises(InputError, match="members is the string 'B': give a list"):
        label_aggregates(points, types, members="B", radius=1, min_cells=1)
    with pytest.raises(InputError, match="distance has 1 values and there are 2 points"):
        find_aggregates(points, types, radius=1, min_cells=1, distance=[1.0])
    with pytest.raises(InputError, match="distance is missing or infinite in row 0"):
        find_aggregates(points, types, radius=1, min_cells=1, distance=[np.nan, 1.0])
