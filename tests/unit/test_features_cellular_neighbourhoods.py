from __future__ import annotations

import numpy as np
import pytest
import sklearn

import times_stats
from times_stats.errors import InputError
from times_stats.features.cellular_neighbourhoods import (
    NO_CELL,
    assign_neighbourhoods,
    learn_neighbourhoods,
    neighbourhood_composition,
    neighbourhood_shares,
)

TYPES = ["B", "T", "tumour"]
SHARES = ["share_0", "share_1", "share_2"]


def image(seed: int, n: int = 300):
    """Three stripes of tissue, each with a type of its own and some strangers."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 300, (n, 2))
    stripe = (points[:, 0] // 100).astype(int)
    stranger = rng.integers(0, 4, n)
    types = np.where(rng.random(n) < 0.8, stripe, stranger)
    return points, np.array([*TYPES, "other"])[types]


def composition(seed: int, n: int = 300, n_neighbours: int = 8):
    points, types = image(seed, n)
    return neighbourhood_composition(points, types, types=TYPES, n_neighbours=n_neighbours)


def learn(*images, n_neighbourhoods: int = 3, seed: int = 0):
    return learn_neighbourhoods(
        list(images), n_neighbourhoods=n_neighbourhoods, rng=np.random.default_rng(seed)
    )


def test_windows_are_brute_force():
    points, types = image(1, 60)
    found = neighbourhood_composition(points, types, types=TYPES, n_neighbours=7)
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    window = np.argsort(distance, axis=1)[:, :7]  # the cell itself is the nearest
    expected = np.stack([(types[window] == kind).mean(axis=1) for kind in TYPES], axis=1)
    np.testing.assert_allclose(found.shares, expected, atol=1e-15)
    assert found.types == tuple(TYPES)
    assert found.n_neighbours == 7
    assert repr(found) == "<NeighbourhoodComposition: 60 cells, 3 types, windows of 7 cells>"


def test_a_window_of_one_is_the_cell():
    points, types = image(1, 20)
    found = neighbourhood_composition(points, types, types=TYPES, n_neighbours=1)
    assert (found.shares == (types[:, None] == np.array(TYPES)[None])).all()


def test_a_small_image_is_one_window():
    found = neighbourhood_composition([(0, 0), (1, 0)], ["B", "T"], types=TYPES, n_neighbours=10)
    assert found.shares.tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0]]
    alone = neighbourhood_composition([(0, 0)], ["other"], types=TYPES, n_neighbours=10)
    assert alone.shares.tolist() == [[0, 0, 0]]
    empty = neighbourhood_composition([], [], types=TYPES, n_neighbours=10)
    assert empty.shares.shape == (0, 3)


def test_stripes_are_found_and_ordered_by_size():
    kinds = learn(composition(1), composition(2), composition(3))
    assert kinds.converged
    assert (kinds.n_images, kinds.n_cells.sum()) == (3, 900)
    assert (np.diff(kinds.n_cells) <= 0).all()
    assert sorted(kinds.centres.argmax(axis=1).tolist()) == [0, 1, 2]
    assert kinds.versions == (
        ("times_stats", times_stats.__version__),
        ("scikit-learn", sklearn.__version__),
    )
    assert repr(kinds) == "<Neighbourhoods: 3 kinds of 3 types, learned on 900 cells of 3 images>"
    points, _ = image(1)
    label = assign_neighbourhoods(kinds, composition(1))
    main = kinds.centres.argmax(axis=1)[label]
    inner = np.abs(points[:, 0] % 100 - 50) < 30
    assert (main == points[:, 0] // 100)[inner].mean() > 0.95


def test_the_inertia_is_that_of_the_cells():
    images = [composition(1), composition(2)]
    kinds = learn(*images)
    shares = np.concatenate([one.shares for one in images])
    label = np.concatenate([assign_neighbourhoods(kinds, one) for one in images])
    assert kinds.inertia == pytest.approx(((shares - kinds.centres[label]) ** 2).sum(), rel=1e-9)
    assert kinds.n_cells.tolist() == np.bincount(label).tolist()
    for number in range(3):  # k-means at rest: a centre is the mean of its cells
        np.testing.assert_allclose(
            kinds.centres[number], shares[label == number].mean(axis=0), atol=1e-3
        )


def test_learning_depends_on_neither_row_order_nor_image_order_nor_chance():
    points, types = image(1)
    moved = np.random.default_rng(5).permutation(len(points))
    shuffled = neighbourhood_composition(points[moved], types[moved], types=TYPES, n_neighbours=8)
    kinds = learn(composition(1), composition(2))
    again = learn(composition(2), shuffled)
    assert (kinds.centres == again.centres).all()
    assert (kinds.n_cells == again.n_cells).all()
    for seed in range(1, 6):  # well separated kinds: every start ends there, in the same order
        other = learn(composition(1), composition(2), seed=seed)
        np.testing.assert_allclose(other.centres, kinds.centres, atol=0.02)


def test_equal_sizes_are_ordered_by_centres():
    halves = neighbourhood_composition(
        [(0, 0), (1, 0), (90, 0), (91, 0)], ["B", "B", "T", "T"], types=["B", "T"], n_neighbours=2
    )
    for seed in range(5):
        kinds = learn(halves, n_neighbourhoods=2, seed=seed)
        assert kinds.centres.tolist() == [[0, 1], [1, 0]]
        assert kinds.n_cells.tolist() == [2, 2]


def test_assigning_learns_nothing():
    """Labels of an image are the same alone, among others, and cell by cell."""
    kinds = learn(composition(1), composition(2))
    before = kinds.centres.copy()
    third, fourth = composition(3), composition(4, n=50)
    alone = neighbourhood_shares(kinds, {"third": third})
    among = neighbourhood_shares(kinds, {"fourth": fourth, "third": third})
    assert alone.loc["third"].equals(among.loc["third"])
    assert (kinds.centres == before).all()
    label = assign_neighbourhoods(kinds, third)
    points, types = image(3)
    one_by_one = [
        assign_neighbourhoods(kinds, type(third)(third.shares[[row]], third.types, 8)).item()
        for row in range(0, len(points), 10)
    ]
    assert one_by_one == label[::10].tolist()
    assert len(types) == len(label)


def test_learning_does_not_see_images_left_out():
    kinds = learn(composition(1), composition(2))
    again = learn(composition(1), composition(2))  # a third image exists, and is not handed in
    assert (kinds.centres == again.centres).all()
    more = learn(composition(1), composition(2), composition(3))
    assert not np.array_equal(kinds.centres, more.centres)


def test_shares_of_images():
    kinds = learn(composition(1), composition(2))
    empty = neighbourhood_composition([], [], types=TYPES, n_neighbours=8)
    table = neighbourhood_shares(kinds, {"a": composition(3), "b": empty})
    assert table.index.tolist() == ["a", "b"]
    assert table.index.name == "image_id"
    assert table.columns.tolist() == ["n_cells", *SHARES, "reason"]
    assert table["n_cells"].tolist() == [300, 0]
    label = assign_neighbourhoods(kinds, composition(3))
    assert table.loc["a", SHARES].tolist() == (np.bincount(label, minlength=3) / 300).tolist()
    assert table.loc["b", SHARES].isna().all()
    assert table["reason"].tolist() == ["", NO_CELL]
    assert neighbourhood_shares(kinds, {}).shape == (0, 5)


def test_faults_are_named():
    kinds = learn(composition(1))
    with pytest.raises(InputError, match="compositions are empty: give one per training image"):
        learn()
    with pytest.raises(InputError, match="n_neighbourhoods is 0: give a whole number from 1 on"):
        learn(composition(1), n_neighbourhoods=0)
    with pytest.raises(InputError, match="n_neighbours is 0: give a whole number from 1 on"):
        composition(1, n_neighbours=0)
    with pytest.raises(InputError, match="windows have 9 cells and not 8: use one n_neighbours"):
        learn(composition(1), composition(2, n_neighbours=9))
    with pytest.raises(InputError, match="composition: windows have 9 cells and not 8"):
        assign_neighbourhoods(kinds, composition(2, n_neighbours=9))
    other = neighbourhood_composition([(0, 0)], ["B"], types=["T", "B"], n_neighbours=8)
    with pytest.raises(InputError, match=r"types are \('T', 'B'\) and not \('B', 'T', 'tumour'\)"):
        assign_neighbourhoods(kinds, other)
    with pytest.raises(InputError, match="but the training cells have 1 different compositions"):
        learn(other, n_neighbourhoods=2)
    empty = neighbourhood_composition([], [], types=TYPES, n_neighbours=8)
    with pytest.raises(InputError, match="but the training cells have 0 different compositions"):
        learn(empty, n_neighbourhoods=1)
