"""Every system against a slow rule, on all combinations of values at, below and above each limit.

Missing stands among the values of every column: an answer where the completions agree, missing
where they do not, and bounds that are their lowest and highest.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats import staging

sys.path.insert(0, str(Path(__file__).parent))
import staging_oracle as oracle

TUMOUR = {
    "tumour_size_cm": (2.0, 2.1, 3.0, 3.1, 5.0, 5.1, None),
    "tumour_count": (1, 2, 3, 4, None),
}
VESSELS = {
    "vascular_invasion": (*oracle.VALUES["vascular_invasion"], None),
    "portal_vein_tumour_thrombus": (0, 1, None),
}
FLAG = (0, 1, None)
SPREAD = {"nodal_metastasis": FLAG, "distant_metastasis": FLAG}
LIVER = {
    "bilirubin_umol_l": (34.1, 34.2, 51.3, 51.4, None),
    "albumin_g_l": (35.1, 35.0, 28.0, 27.9, None),
    "inr": (1.69, 1.7, 2.3, 2.31, None),
    "ascites": ("none", "mild", "moderate", None),
    "encephalopathy": (0, 1, 2, 3, 4, None),
}
# What fills a missing input where a grid is large: one value between any two limits of the rules.
FEW = {
    "tumour_size_cm": (1.0, 3.0, 5.0, 9.0),
    "tumour_count": (1, 2, 4),
    "ecog": (0, 1, 3),
    "bilirubin_umol_l": (17.1, 60.0),
    "albumin_g_l": (40.0, 27.0),
    "inr": (1.0, 2.4),
    "ascites": ("none", "moderate"),
    "encephalopathy": (0, 4),
}
# Five inputs of Child-Pugh at once, chosen to leave one class, two, or all of them.
CLASSES = {
    "A": (17.1, 40.0, 1.0, "none", 0),
    "A or B": (34.2, 40.0, None, "none", 0),
    "B": (34.2, 35.0, 1.0, "none", 0),
    "B or C": (60.0, 27.0, 1.0, "none", None),
    "C": (60.0, 27.0, 2.4, "none", 0),
    "any": (None,) * 5,
}


def grid_of(values, *, classes=()):
    """Return all combinations without contradiction, as tuples and their names."""
    names = [*values, *(LIVER if classes else ())]
    rows = product(*values.values())
    if classes:
        rows = (row + CLASSES[name] for row in rows for name in classes)
    keep = [row for row in rows if not oracle.contradicts(dict(zip(names, row, strict=True)))]
    return names, keep


def as_table(names, rows):
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return pd.DataFrame(
        {
            name: pd.Series(
                values, dtype="str" if name in ("vascular_invasion", "ascites") else float
            )
            for name, values in columns.items()
        }
    )


def compare(system, names, rows, *, order, others=None):
    table = as_table(names, rows)
    answers = oracle.all_answers(getattr(oracle, system), tuple(names), others=others)
    ranks = {answer: rank for rank, answer in enumerate(order)}
    left = [[ranks[answer] for answer in answers(row)] for row in rows]
    lowest = np.array([min(found) for found in left])
    highest = np.array([max(found) for found in left])
    bounds = getattr(staging, f"{system}_bounds")(table)
    answer = getattr(staging, system)(table)
    assert list(bounds.columns) == ["lowest", "highest"]
    codes = {side: _ranks(bounds[side], ranks) for side in bounds}
    np.testing.assert_array_equal(codes["lowest"], lowest)
    np.testing.assert_array_equal(codes["highest"], highest)
    np.testing.assert_array_equal(answer.isna().to_numpy(), lowest != highest)
    settled = lowest == highest
    np.testing.assert_array_equal(_ranks(answer[settled], ranks), lowest[settled])
    assert settled.any()
    assert not settled.all()
    return set(lowest[settled])


def _ranks(series, ranks):
    if isinstance(series.dtype, pd.CategoricalDtype):
        assert list(series.cat.categories) == list(ranks)
        assert series.cat.ordered
    return series.map(ranks).to_numpy(dtype=int)


@pytest.mark.parametrize("system", ["tnm", "tnm_ajcc7"])
def test_tnm(system):
    order = {
        "tnm": ("IA", "IB", "II", "IIIA", "IIIB", "IVA", "IVB"),
        "tnm_ajcc7": ("I", "II", "IIIA", "IIIB", "IIIC", "IVA", "IVB"),
    }[system]
    values = TUMOUR | {"satellites": FLAG} | VESSELS | {"adjacent_organ_invasion": FLAG} | SPREAD
    values |= {"tumour_size_cm": (2.0, 2.1, 5.0, 5.1, None), "tumour_count": (1, 2, None)}
    seen = compare(system, *grid_of(values), order=order)
    assert seen == set(range(len(order)))


@pytest.mark.parametrize("system", ["bclc", "bclc_2011"])
def test_bclc(system):
    values = TUMOUR | VESSELS | {"nodal_metastasis": FLAG, "distant_metastasis": (0, None)}
    values |= {"ecog": (0, 1, None), "transplant_candidate": (0, None)}
    names, rows = grid_of(values, classes=("B", "B or C"))
    seen = compare(system, names, rows, order="0ABCD", others=FEW)
    assert seen == set(range(5))


def test_cnlc():
    values = TUMOUR | VESSELS | SPREAD | {"ecog": (0, 2, 3, None)}
    order = ("Ia", "Ib", "IIa", "IIb", "IIIa", "IIIb", "IV")
    names, rows = grid_of(values, classes=("A", "B or C"))
    seen = compare("cnlc", names, rows, order=order, others=FEW)
    assert seen == set(range(7))


def test_performance_and_spread_of_bclc_and_cnlc():
    values = {"tumour_size_cm": (2.0,), "tumour_count": (1,), **VESSELS, **SPREAD}
    values |= {"ecog": (0, 1, 2, 3, 4, None)}
    order = ("Ia", "Ib", "IIa", "IIb", "IIIa", "IIIb", "IV")
    compare("cnlc", *grid_of(values, classes=tuple(CLASSES)), order=order, others=FEW)
    values |= {"tumour_size_cm": (2.0, 9.0), "transplant_candidate": FLAG}
    values |= {"vascular_invasion": ("none", "macro"), "distant_metastasis": (0,)}
    for system in ("bclc", "bclc_2011"):
        names, rows = grid_of(values, classes=tuple(CLASSES))
        compare(system, names, rows, order="0ABCD", others=FEW)


def test_child_pugh():
    names, rows = grid_of(LIVER)
    oracle_of = {"child_pugh": lambda p: {oracle.pugh(p)}, "points": lambda p: {oracle.points(p)}}
    table = as_table(names, rows)
    for system, rule, order in (
        ("child_pugh", oracle_of["child_pugh"], "ABC"),
        ("child_pugh_points", oracle_of["points"], range(5, 16)),
    ):
        answers = oracle.all_answers(rule, tuple(names))
        ranks = {answer: rank for rank, answer in enumerate(order)}
        left = [[ranks[answer] for answer in answers(row)] for row in rows]
        bounds = getattr(staging, f"{system}_bounds")(table)
        assert _ranks(bounds["lowest"], ranks).tolist() == [min(found) for found in left]
        assert _ranks(bounds["highest"], ranks).tolist() == [max(found) for found in left]
        answer = getattr(staging, system)(table)
        assert answer.isna().tolist() == [len(found) > 1 for found in left]


def test_okuda():
    values = {"tumour_over_half_liver": FLAG, "ascites": LIVER["ascites"]}
    values |= {"albumin_g_l": (30.1, 30.0, 29.9, None)}
    values |= {"bilirubin_umol_l": (51.2, 51.3, 51.4, None)}
    assert compare("okuda", *grid_of(values), order=("I", "II", "III")) == {0, 1, 2}


def test_clip():
    values = {"tumour_count": (1, 2, None), "tumour_over_half_liver": FLAG}
    values |= {"afp_ng_ml": (399.9, 400.0, 400.1, None)} | VESSELS
    names, rows = grid_of(values, classes=tuple(CLASSES))
    seen = compare("clip", names, rows, order=range(7), others=FEW)
    assert seen == set(range(7))


def test_jis():
    values = {"tumour_size_cm": (2.0, 2.1, None), "tumour_count": (1, 2, None)}
    values |= VESSELS | {"bile_duct_invasion": FLAG} | SPREAD
    names, rows = grid_of(values, classes=("A", "A or B", "C"))
    seen = compare("jis", names, rows, order=range(6), others=FEW)
    assert seen == set(range(6))


@pytest.mark.parametrize("system", ["milan", "up_to_seven", "up_to_seven_pathology"])
def test_transplantation(system):
    values = {
        "tumour_size_cm": (2.0, 2.1, 3.0, 3.1, 4.0, 4.1, 5.0, 5.1, 6.0, 6.1, None),
        "tumour_count": (1, 2, 3, 4, 6, 7, None),
    }
    names, rows = grid_of(values | VESSELS | SPREAD)
    others = {"tumour_count": (1, 2, 3, 4, 5, 6, 7, 8)}
    assert compare(system, names, rows, order=(False, True), others=others) == {0, 1}
