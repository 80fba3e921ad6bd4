"""Every system against a slow rule, on combinations of values at, below and above each limit.

Missing stands among the values of every column: an answer where the completions agree, missing
where they do not, and bounds that are their lowest and highest. Large grids are drawn from here;
the slow suite goes through all of each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from times_stats import staging

sys.path.insert(0, str(Path(__file__).parent))
import staging_oracle as oracle
from staging_grids import CLASSES, FEW, FLAG, GRIDS, LIVER, as_table, compare, compare_grid, grid_of


@pytest.mark.parametrize("system", list(GRIDS))
def test_a_system_equals_its_slow_rule(system):
    compare_grid(system, drawn=None if system == "okuda" else 300)


@pytest.mark.parametrize("system", ["bclc", "bclc_2011", "cnlc"])
def test_performance_and_liver_function(system):
    values = {"tumour_size_cm": (2.0, 9.0), "tumour_count": (1,), "vascular_invasion": ("none",)}
    values |= {"portal_vein_tumour_thrombus": (0,)}
    values |= {"nodal_metastasis": (0, 1), "distant_metastasis": (0,)}
    values |= {"ecog": (0, 1, 2, 3, 4, None)}
    if system != "cnlc":
        values["transplant_candidate"] = FLAG
    names, rows = grid_of(values, classes=tuple(CLASSES))
    order = ("Ia", "Ib", "IIa", "IIb", "IIIa", "IIIb", "IV") if system == "cnlc" else "0ABCD"
    compare(system, names, rows, order=order, others=FEW)


@pytest.mark.parametrize("system", ["child_pugh", "child_pugh_points"])
def test_child_pugh(system):
    rule = {"child_pugh": oracle.pugh, "child_pugh_points": oracle.points}[system]
    names, rows = grid_of(LIVER)
    answers = oracle.all_answers(lambda p: {rule(p)}, tuple(names), others=FEW_LIVER)
    left = [answers(row) for row in rows]
    table = as_table(names, rows)
    bounds = getattr(staging, f"{system}_bounds")(table)
    assert bounds["lowest"].tolist() == [min(found) for found in left]
    assert bounds["highest"].tolist() == [max(found) for found in left]
    answer = getattr(staging, system)(table)
    np.testing.assert_array_equal(answer.isna(), [len(found) > 1 for found in left])
    assert answer.dropna().tolist() == [next(iter(found)) for found in left if len(found) == 1]


# One value for each number of points.
FEW_LIVER = {
    "bilirubin_umol_l": (17.1, 40.0, 60.0),
    "albumin_g_l": (40.0, 30.0, 27.0),
    "inr": (1.0, 2.0, 2.4),
    "encephalopathy": (0, 1, 4),
}
