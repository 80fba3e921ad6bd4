from __future__ import annotations

import numpy as np
import pytest

from times_stats.errors import InputError
from times_stats.features.band_limits import band_codes, check_distance, check_edges


def test_a_band_holds_its_lower_limit_and_not_its_upper_one():
    limits = check_edges([-100, 0, 50])
    distance = check_distance([-100.1, -100, -0.001, 0, 49.9, 50, 50.1])
    assert band_codes(distance, limits).tolist() == [-1, 0, 0, 1, 1, -1, -1]
    assert band_codes(check_distance([]), limits).tolist() == []


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        (["a", "b"], "edges are not numeric"),
        ([1.0], r"edges have shape \(1,\): give two limits or more"),
        ([[0, 1]], r"edges have shape \(1, 2\)"),
        ([0, 0, 1], "edges are not finite and strictly rising"),
        ([0, np.inf], "edges are not finite and strictly rising"),
        ([0, np.nan, 2], "edges are not finite and strictly rising"),
    ],
)
def test_limits_are_checked(edges, said):
    with pytest.raises(InputError, match=said):
        check_edges(edges)


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (["far"], "distance is not numeric"),
        ([[1.0]], r"distance has shape \(1, 1\)"),
        ([1, np.nan, np.inf], "distance is missing or infinite in row 1, 2: leave these cells out"),
    ],
)
def test_distances_are_checked(distance, said):
    with pytest.raises(InputError, match=said):
        check_distance(distance)
