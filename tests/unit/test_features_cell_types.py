from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.features.cell_types import check_types, is_among, type_codes


@pytest.mark.parametrize(
    "labels",
    [
        ["B", "T", "other", "B"],
        np.array(["B", "T", "other", "B"]),
        np.array(["B", "T", "other", "B"], dtype=object),
        pd.Series(["B", "T", "other", "B"], index=[9, 8, 7, 6]),
        pd.Series(["B", "T", "other", "B"], dtype="category"),
        pd.Categorical(["B", "T", "other", "B"]),
    ],
)
def test_codes_are_places_in_the_list(labels):
    assert type_codes(labels, types=["T", "B"], n_cells=4).tolist() == [1, 0, -1, 1]
    assert is_among(labels, types=["T"], n_cells=4).tolist() == [False, True, False, False]


def test_numbers_are_types_too():
    assert type_codes([3, 1, 2], types=[1, 2], n_cells=3).tolist() == [-1, 0, 1]


def test_no_cell_has_no_code():
    assert type_codes([], types=["B"], n_cells=0).shape == (0,)


def test_faults_are_named():
    with pytest.raises(InputError, match="types is the string 'B': give a list"):
        check_types("B")
    with pytest.raises(InputError, match="immune is empty: name at least one"):
        check_types([], name="immune")
    with pytest.raises(InputError, match="types names B more than once"):
        check_types(["B", "T", "B"])
    with pytest.raises(InputError, match=r"cell_type is missing in row 1, 2: name the type"):
        type_codes(["B", None, np.nan], types=["B"], n_cells=3)
    with pytest.raises(InputError, match=r"cell_type has shape \(1,\) and there are 2 points"):
        type_codes(["B"], types=["B"], n_cells=2)
    with pytest.raises(InputError, match=r"cell_type has shape \(1, 2\) and there are 2 points"):
        type_codes([["B", "T"]], types=["B"], n_cells=2)
