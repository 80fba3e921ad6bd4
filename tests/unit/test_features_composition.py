from __future__ import annotations

import math

import numpy as np
import pytest

from times_stats.errors import InputError
from times_stats.features.composition import (
    NO_CELL,
    entropy_by_band,
    miller_madow_entropy,
    shannon_entropy,
)


def test_entropy_in_closed_form():
    assert shannon_entropy([3, 3, 3]) == pytest.approx(math.log(3))
    assert shannon_entropy([1, 3]) == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert shannon_entropy([0, 9, 0]) == 0
    assert math.copysign(1, shannon_entropy([9])) == 1
    assert math.isnan(shannon_entropy([0, 0]))
    assert math.isnan(shannon_entropy([]))


def test_correction_removes_the_leading_bias():
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(40, [0.4, 0.3, 0.2, 0.1], size=4000)
    truth = -sum(p * math.log(p) for p in (0.4, 0.3, 0.2, 0.1))
    plain = np.mean([shannon_entropy(row) for row in drawn])
    corrected = np.mean([miller_madow_entropy(row) for row in drawn])
    assert plain - truth == pytest.approx(-3 / 80, abs=0.01)
    assert abs(corrected - truth) < 0.2 * abs(plain - truth)
    assert math.isnan(miller_madow_entropy([0, 0]))
    assert miller_madow_entropy([4]) == 0


def test_bands_are_counted_one_by_one():
    distance = [-50, -50, -10, 10, 20, 30, 99, 500]
    types = ["T", "B", "T", "T", "other", "B", "other", "T"]
    table = entropy_by_band(distance, types, edges=[-100, -20, 0, 50, 100], types=["B", "T", "NK"])
    assert table["n_cells"].tolist() == [2, 1, 2, 0]
    assert table["n_other"].tolist() == [0, 0, 1, 1]
    assert table["n_types"].tolist() == [2, 1, 2, 0]
    assert table["lower"].tolist() == [-100, -20, 0, 50]
    assert table["upper"].tolist() == [-20, 0, 50, 100]
    np.testing.assert_allclose(table["entropy"], [math.log(2), 0, math.log(2), np.nan])
    np.testing.assert_allclose(table["effective_types"], [2, 1, 2, np.nan])
    np.testing.assert_allclose(
        table["entropy_miller_madow"], [math.log(2) + 0.25, 0, math.log(2) + 0.25, np.nan]
    )
    assert table["reason"].tolist() == ["", "", "", NO_CELL]


def test_no_cell_at_all():
    table = entropy_by_band([], [], edges=[0, 1], types=["B"])
    assert table["reason"].tolist() == [NO_CELL]
    assert table["entropy"].isna().all()


def test_faults_are_named():
    with pytest.raises(InputError, match="counts are negative or not finite in place 1"):
        shannon_entropy([1, -2])
    with pytest.raises(InputError, match="counts have 2 dimensions: give one count per type"):
        miller_madow_entropy([[1, 2]])
    with pytest.raises(InputError, match=r"cell_type has shape \(1,\) and there are 2 points"):
        entropy_by_band([1, 2], ["B"], edges=[0, 5], types=["B"])
    with pytest.raises(InputError, match="edges are not finite and strictly rising"):
        entropy_by_band([1], ["B"], edges=[5, 0], types=["B"])
