"""Kept rows of the reproduction page that take longer: other trees, and tiles that hold counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "reproduction"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table():
    sys.path.insert(0, str(FOLDER))
    try:
        import published_table
    finally:
        sys.path.remove(str(FOLDER))
    return published_table


@pytest.mark.parametrize(
    ("effect", "study"), [("none", 3), ("moderate", 7), ("moderate", 77), ("strong", 99)]
)
def test_kept_rows_follow_from_their_seeds(table, effect, study):
    kept = table.read_kept()
    for name, found in table.one_study(effect, study).items():
        rows = kept[name]
        expected = rows[(rows["study"] == study) & (rows["effect"] == effect)]
        assert len(expected) == len(found)
        if found:
            pd.testing.assert_frame_equal(
                pd.DataFrame(found)[[*expected.columns]],
                expected.reset_index(drop=True),
                check_dtype=False,
                rtol=0,
                atol=1e-4,
            )
