from __future__ import annotations

import numpy as np
import pytest

from times_stats.errors import InputError
from times_stats.resampling import assign_folds, bootstrap_weights, check_folds, spawn_rng


def test_spawned_streams_depend_on_seed_and_keys_alone():
    def draw(seed, *keys):
        return spawn_rng(seed, *keys).integers(2**31, size=4).tolist()

    assert draw(1, "folds", 0) == draw(1, "folds", 0)
    different = [
        draw(1),
        draw(2),
        draw(1, "folds"),
        draw(1, "folds", 0),
        draw(1, "folds", 1),
        draw(1, 0, "folds"),
        draw(1, 0),
        draw(1, "0"),
    ]
    assert len({tuple(values) for values in different}) == len(different)


def test_negative_seed_is_refused():
    with pytest.raises(InputError, match="negative"):
        spawn_rng(-1)
    with pytest.raises(InputError, match="negative"):
        spawn_rng(1, "fold", -1)


def test_folds_are_balanced_within_strata_and_keep_patients_together():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(101), rng.integers(1, 4, 101))
    stratum = (np.arange(101) % 3)[patient]
    folds = assign_folds(patient, strata=stratum, n_folds=5, n_repeats=4, rng=spawn_rng(3))
    assert folds.shape == (4, patient.size)
    np.testing.assert_array_equal(check_folds(folds, patient), folds)
    first = np.unique(patient, return_index=True)[1]
    for labels in folds[:, first]:
        assert np.ptp(np.bincount(labels, minlength=5)) <= 1
        for k in range(3):
            assert np.ptp(np.bincount(labels[np.arange(101) % 3 == k], minlength=5)) <= 1
    assert len({row.tobytes() for row in folds}) == 4


def test_folds_do_not_depend_on_the_order_of_the_rows():
    names = np.array([f"p{k}" for k in range(30)])
    stratum = np.arange(30) % 2
    shuffle = np.random.default_rng(1).permutation(30)
    straight = assign_folds(names, strata=stratum, n_folds=3, n_repeats=2, rng=spawn_rng(1))
    shuffled = assign_folds(
        names[shuffle], strata=stratum[shuffle], n_folds=3, n_repeats=2, rng=spawn_rng(1)
    )
    np.testing.assert_array_equal(straight[:, shuffle], shuffled)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ["a", "b"], "n_folds": 3}, "2 patients: use fewer folds"),
        ({"groups": ["a", "b"], "n_folds": 1}, "2 or more folds"),
        ({"groups": ["a", "b"], "n_folds": 2, "n_repeats": 0}, "1 or more repeats"),
        ({"groups": ["a", "b"], "strata": [1], "n_folds": 2}, "strata has 1 values"),
        ({"groups": ["a", None], "n_folds": 2}, "missing in row 1"),
        ({"groups": [["a", "b"]], "n_folds": 2}, "2 dimensions"),
    ],
)
def test_impossible_folds_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        assign_folds(**arguments, rng=spawn_rng(1))


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([[0, 1, 0], [0, 1, 1]], "split patient b over several folds"),
        ([0, 1], r"shape \(2,\)"),
        ([0, 0, 0], "one fold only"),
        ([0, 1.5, 1.5], "whole numbers"),
        ([0, -1, -1], "whole numbers"),
        (["x", "y", "y"], "not numeric"),
    ],
)
def test_faulty_folds_are_refused(folds, message):
    with pytest.raises(InputError, match=message):
        check_folds(folds, ["a", "b", "b"])


def test_bootstrap_weights_are_multinomial_counts():
    weights = bootstrap_weights(50, n_resamples=400, rng=spawn_rng(1))
    assert weights.shape == (400, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.25)
    assert weights.var() == pytest.approx(49 / 50, abs=0.05)
    with pytest.raises(InputError, match="1 or more"):
        bootstrap_weights(0, n_resamples=10, rng=spawn_rng(1))
