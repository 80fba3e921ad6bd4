"""Grids of patients for the truth tables, and their comparison with the slow rules."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from times_stats import staging
from times_stats.resampling import spawn_rng

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


ORDERS = {
    "tnm": ("IA", "IB", "II", "IIIA", "IIIB", "IVA", "IVB"),
    "tnm_ajcc7": ("I", "II", "IIIA", "IIIB", "IIIC", "IVA", "IVB"),
    "bclc": tuple("0ABCD"),
    "bclc_2011": tuple("0ABCD"),
    "cnlc": ("Ia", "Ib", "IIa", "IIb", "IIIa", "IIIb", "IV"),
    "okuda": ("I", "II", "III"),
    "clip": tuple(range(7)),
    "jis": tuple(range(6)),
    "milan": (False, True),
    "up_to_seven": (False, True),
    "up_to_seven_pathology": (False, True),
}
_BCLC = (
    {
        **TUMOUR,
        **VESSELS,
        "nodal_metastasis": FLAG,
        "distant_metastasis": (0, None),
        "ecog": (0, 1, None),
        "transplant_candidate": FLAG,
    },
    ("B", "B or C", "C"),
)
_TNM = {
    "tumour_size_cm": (2.0, 2.1, 5.0, 5.1, None),
    "tumour_count": (1, 2, None),
    "satellites": FLAG,
    **VESSELS,
    "adjacent_organ_invasion": FLAG,
    **SPREAD,
}
_TRANSPLANTATION = {
    "tumour_size_cm": (2.0, 2.1, 3.0, 3.1, 4.0, 4.1, 5.0, 5.1, 6.0, 6.1, None),
    "tumour_count": (1, 2, 3, 4, 6, 7, None),
    **VESSELS,
    **SPREAD,
}
GRIDS = {
    "tnm": (_TNM, ()),
    "tnm_ajcc7": (_TNM, ()),
    "bclc": _BCLC,
    "bclc_2011": (_BCLC[0] | {"transplant_candidate": (0, None)}, ("B", "C")),
    "cnlc": ({**TUMOUR, **VESSELS, **SPREAD, "ecog": (0, 2, 3, None)}, ("A", "B or C")),
    "okuda": (
        {
            "tumour_over_half_liver": FLAG,
            "ascites": LIVER["ascites"],
            "albumin_g_l": (30.1, 30.0, 29.9, None),
            "bilirubin_umol_l": (51.2, 51.3, 51.4, None),
        },
        (),
    ),
    "clip": (
        {
            "tumour_count": (1, 2, None),
            "tumour_over_half_liver": FLAG,
            "afp_ng_ml": (399.9, 400.0, 400.1, None),
            **VESSELS,
        },
        tuple(CLASSES),
    ),
    "jis": (
        {
            "tumour_size_cm": (2.0, 2.1, None),
            "tumour_count": (1, 2, None),
            **VESSELS,
            "bile_duct_invasion": FLAG,
            **SPREAD,
        },
        ("A", "A or B", "C"),
    ),
    "milan": (_TRANSPLANTATION, ()),
    "up_to_seven": (_TRANSPLANTATION, ()),
    "up_to_seven_pathology": (_TRANSPLANTATION, ()),
}


def compare_grid(system, *, drawn=None):
    """Compare a system with its slow rule on its whole grid, or on rows drawn from it."""
    values, classes = GRIDS[system]
    others = FEW | {"tumour_count": range(1, 9)} if "up_to" in system else FEW
    if drawn is None:
        names, rows = grid_of(values, classes=classes)
    else:
        names, rows = drawn_from(values, classes=classes, n_rows=drawn)
    seen = compare(system, names, rows, order=ORDERS[system], others=others)
    assert drawn is not None or seen == set(range(len(ORDERS[system])))


def drawn_from(values, *, classes, n_rows):
    """Return rows drawn from a grid, without contradiction."""
    rng = spawn_rng(1, "truth table")
    names = [*values, *(LIVER if classes else ())]
    rows = []
    while len(rows) < n_rows:
        row = tuple(column[rng.integers(len(column))] for column in values.values())
        if classes:
            row += CLASSES[classes[rng.integers(len(classes))]]
        if not oracle.contradicts(dict(zip(names, row, strict=True))):
            rows.append(row)
    return names, rows
