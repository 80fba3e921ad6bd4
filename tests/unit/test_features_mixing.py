from __future__ import annotations

import math

import numpy as np
import pytest

from times_stats.errors import InputError
from times_stats.features.mixing import (
    Interactions,
    count_interactions,
    mixing_score,
    normalised_mixing_score,
)

GROUPS = {"immune": ["T", "B"], "tumour": ["tumour"]}


def scatter(n: int = 150, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    types = rng.choice(["T", "B", "tumour", "stroma"], size=n, p=[0.3, 0.1, 0.4, 0.2])
    return rng.uniform(0, 200, (n, 2)), types


def test_pairs_are_brute_force():
    points, types = scatter()
    immune, tumour = np.isin(types, ["T", "B"]), types == "tumour"
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    found = count_interactions(points, types, **GROUPS, radius=25)
    within = distance[np.ix_(immune, immune)] <= 25
    assert found.immune_tumour == (distance[np.ix_(immune, tumour)] <= 25).sum()
    assert found.immune_immune == np.triu(within, 1).sum()
    assert (found.n_immune, found.n_tumour) == (immune.sum(), tumour.sum())
    score = found.immune_tumour / found.immune_immune
    assert mixing_score(points, types, **GROUPS, radius=25) == score
    shares = found.immune_tumour / (immune.sum() * tumour.sum())
    shares /= found.immune_immune / math.comb(int(immune.sum()), 2)
    assert normalised_mixing_score(points, types, **GROUPS, radius=25) == pytest.approx(shares)


def test_radius_includes_its_own_length_and_cells_may_coincide():
    points, types = [(0, 0), (0, 0), (3, 4)], ["T", "B", "tumour"]
    found = count_interactions(points, types, **GROUPS, radius=5)
    assert (found.immune_tumour, found.immune_immune) == (2, 1)
    assert found.mixing_score == 2


def test_other_types_do_not_count():
    points, types = scatter()
    kept = types != "stroma"
    assert count_interactions(points, types, **GROUPS, radius=30) == count_interactions(
        points[kept], types[kept], **GROUPS, radius=30
    )


def test_random_labels_have_a_normalised_score_of_one():
    """Sums over labellings: the ratio of the mean counts, normalised, is one."""
    points, types = scatter(400)
    rng = np.random.default_rng(2)
    drawn = [
        count_interactions(points, rng.permutation(types), **GROUPS, radius=20) for _ in range(400)
    ]
    mean = Interactions(
        drawn[0].n_immune,
        drawn[0].n_tumour,
        sum(found.immune_tumour for found in drawn),
        sum(found.immune_immune for found in drawn),
    )
    assert mean.normalised_mixing_score == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("points", "types", "reason"),
    [
        ([], [], "no immune cell"),
        ([(0, 0)], ["tumour"], "no immune cell"),
        ([(0, 0), (1, 0)], ["T", "stroma"], "no tumour cell"),
        ([(0, 0), (1, 0)], ["T", "tumour"], "no two immune cells within the radius"),
        ([(0, 0), (90, 0), (1, 0)], ["T", "B", "tumour"], "no two immune cells within the radius"),
    ],
)
def test_undefined_scores_are_nan_with_a_reason(points, types, reason):
    found = count_interactions(points, types, **GROUPS, radius=10)
    assert found.reason == reason
    assert math.isnan(found.mixing_score)
    assert math.isnan(found.normalised_mixing_score)
    assert math.isnan(mixing_score(points, types, **GROUPS, radius=10))
    assert math.isnan(normalised_mixing_score(points, types, **GROUPS, radius=10))


def test_apart_is_zero_and_not_nan():
    points, types = [(0, 0), (1, 0), (99, 0)], ["T", "T", "tumour"]
    found = count_interactions(points, types, **GROUPS, radius=10)
    assert (found.mixing_score, found.normalised_mixing_score, found.reason) == (0, 0, "")


def test_faults_are_named():
    points, types = scatter()
    with pytest.raises(InputError, match="immune and tumour share the type T: put each type in"):
        mixing_score(points, types, immune=["T"], tumour=["tumour", "T"], radius=10)
    with pytest.raises(InputError, match="tumour is the string 'tumour': give a list"):
        mixing_score(points, types, immune=["T"], tumour="tumour", radius=10)
    with pytest.raises(InputError, match="radius is -1: give positive micrometres"):
        mixing_score(points, types, **GROUPS, radius=-1)
    with pytest.raises(InputError, match="points are missing or infinite in row 0"):
        mixing_score([(np.inf, 0)], ["T"], **GROUPS, radius=1)
