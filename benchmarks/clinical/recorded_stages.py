"""Recorded stages of four clinical cohorts, held against the bounds from their raw inputs.

The data are public records put together elsewhere (see cohorts.py) and no part of the project: they
are read from the path given. What a cohort recorded in part is filled in with every value it may
have (a size of up to 5 cm by 2, 3 and 5 cm; several nodules by 2 and 4), and the bounds are the
lowest and highest over all fillings. Nodes, distant metastasis, invasion of adjacent organs, ECOG,
INR, ascites and encephalopathy are recorded nowhere, so that the upper bound is nearly always the
top; a second comparison therefore takes for granted what a resection suggests, and says so.

Run: python benchmarks/clinical/recorded_stages.py COHORTS_CSV > \
benchmarks/clinical/recorded_stages.txt
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from cohorts import NAMES, heading, print_table

from times_stats import staging
from times_stats.errors import DataWarning

type Fillings = dict[str, dict[object, tuple[object, ...]]]

UNRECORDED = {  # of patients who were resected
    "nodal_metastasis": False,
    "distant_metastasis": False,
    "adjacent_organ_invasion": False,
    "bile_duct_invasion": False,
    "tumour_over_half_liver": False,
    "ecog": 0,
    "bilirubin_umol_l": 12.0,
    "albumin_g_l": 42.0,
    "inr": 1.0,
    "ascites": "none",
    "encephalopathy": 0,
}
SEVERAL = {0.0: (1,), 1.0: (2, 4)}
SIZE = {0.0: (2.0, 3.0, 5.0), 1.0: (6.0,)}
ANY_INVASION = {0.0: ("none",), 1.0: ("micro", "macro", "major")}
MACROSCOPIC = {0.0: ("none", "micro"), 1.0: ("macro", "major")}
# Column of the collection, canonical column, and what each recorded value may mean.
CODINGS: dict[str, dict[str, tuple[str, dict[float, tuple[object, ...]]]]] = {
    "Gao": {
        "multiple_tumors": ("tumour_count", SEVERAL),
        "vascular_invasion": ("vascular_invasion", MACROSCOPIC),
    },
    "LCI": {
        "multiple_tumors": ("tumour_count", SEVERAL),
        "tumor_gt5cm": ("tumour_size_cm", SIZE),
        "afp_gt300": ("afp_ng_ml", {0.0: (300.0,), 1.0: (301.0, 400.0)}),
    },
    "LIRI": {"vascular_invasion": ("vascular_invasion", ANY_INVASION)},
    "TCGA": {"vascular_invasion": ("vascular_invasion", ANY_INVASION)},
}
NUMBERS = {
    "tumor_size_cm": "tumour_size_cm",
    "albumin_g_l": "albumin_g_l",
    "bilirubin_umol_l": "bilirubin_umol_l",
    "afp_ng_ml": "afp_ng_ml",
}


@dataclass(frozen=True)
class Comparison:
    """One recorded system of one cohort, and what it is held against."""

    cohort: str
    recorded: str
    system: str
    bounds: Callable[[pd.DataFrame], pd.DataFrame]
    read_as: str
    groups: bool = False  # I to IV without letters, where the edition is unknown


COMPARISONS = (
    Comparison("Gao", "tnm_raw", "AJCC 8", staging.tnm_bounds, "tnm"),
    Comparison("Gao", "bclc", "BCLC 2022", staging.bclc_bounds, "bclc"),
    Comparison("Gao", "bclc", "BCLC 2011", staging.bclc_2011_bounds, "bclc"),
    Comparison("LCI", "tnm_raw", "AJCC 7 groups", staging.tnm_ajcc7_bounds, "tnm_ajcc7", True),
    Comparison("LCI", "bclc", "BCLC 2022", staging.bclc_bounds, "bclc"),
    Comparison("LCI", "bclc", "BCLC 2011", staging.bclc_2011_bounds, "bclc"),
    Comparison("LCI", "clip", "CLIP", staging.clip_bounds, "clip"),
    Comparison("LIRI", "tnm_raw", "LCSGJ", staging.jis_bounds, "stage"),
    Comparison("TCGA", "tnm_raw", "AJCC 7 groups", staging.tnm_ajcc7_bounds, "tnm_ajcc7", True),
)


def canonical(table: pd.DataFrame, cohort: str) -> tuple[pd.DataFrame, Fillings]:
    """Return a cohort in canonical columns, and the fillings of what it recorded in part."""
    patients = table[list(NUMBERS)].rename(columns=NUMBERS)
    fillings: Fillings = {}
    for name, (column, meaning) in CODINGS[cohort].items():
        fillings[column] = table[name].map(meaning).to_dict()
    return patients.dropna(axis=1, how="all"), fillings


def filled(patients: pd.DataFrame, fillings: Fillings, turn: tuple[int, ...]) -> pd.DataFrame:
    """Return the table with one of the fillings of each column; the last, where there are fewer."""
    table = patients.copy()
    for place, (column, meant) in zip(turn, fillings.items(), strict=True):
        values = [
            None if not isinstance(row, tuple) else row[min(place, len(row) - 1)]
            for row in meant.values()
        ]
        table[column] = pd.Series(values, index=list(meant)).reindex(table.index)
    return table


def bounds_over_fillings(
    patients: pd.DataFrame, fillings: Fillings, comparison: Comparison, *, resected: bool
) -> pd.DataFrame:
    """Return the lowest and the highest bound over all fillings, patient by patient."""
    longest = [
        max((len(row) for row in meant.values() if isinstance(row, tuple)), default=1)
        for meant in fillings.values()
    ]
    found = []
    for turn in itertools.product(*(range(length) for length in longest)):
        table = filled(patients, fillings, turn)
        if comparison.system == "LCSGJ":  # JIS with Child-Pugh A, less one
            liver = ("bilirubin_umol_l", "albumin_g_l", "inr", "ascites", "encephalopathy")
            table = table.assign(**{name: UNRECORDED[name] for name in liver})
        if resected:
            table = table.assign(**{k: v for k, v in UNRECORDED.items() if k not in table})
            if "tumour_count" in table:
                table["satellites"] = table["tumour_count"].gt(1)
        found.append(comparison.bounds(table))
    result = found[0].copy()
    for other in found[1:]:
        result["lowest"] = result["lowest"].where(
            result["lowest"] <= other["lowest"], other["lowest"]
        )
        result["highest"] = result["highest"].where(
            result["highest"] >= other["highest"], other["highest"]
        )
    return result


def as_groups(bounds: pd.DataFrame) -> pd.DataFrame:
    """Return bounds without the letters of the stages."""
    numerals = pd.CategoricalDtype(["I", "II", "III", "IV"], ordered=True)
    return bounds.apply(lambda side: side.astype(str).str.rstrip("ABC").astype(numerals))


def compare_one(
    table: pd.DataFrame, comparison: Comparison, *, resected: bool
) -> dict[str, object]:
    """Hold the recorded stages of a cohort against the bounds, and print who lies outside."""
    cohort = table[table["cohort"] == comparison.cohort]
    patients, fillings = canonical(cohort, comparison.cohort)
    recorded, _ = staging.read_recorded_stage(
        cohort[comparison.recorded], system=comparison.read_as
    )
    bounds = bounds_over_fillings(patients, fillings, comparison, resected=resected)
    shown = recorded.astype(object)
    if comparison.groups:
        bounds, shown = as_groups(bounds), recorded.astype(object).str.rstrip("ABC")
    if comparison.system == "LCSGJ":
        bounds = bounds.apply(
            lambda side: pd.Categorical.from_codes(
                side.clip(upper=3).to_numpy(dtype=int), ["I", "II", "III", "IV"], ordered=True
            )
        )
    inside = staging.inside_bounds(shown, bounds)
    outside = inside.eq(False).fillna(False)
    raw = cohort.loc[
        outside, ["tumor_size_cm", "tumor_gt5cm", "multiple_tumors", "vascular_invasion"]
    ]
    reasons = raw.assign(
        recorded=recorded[outside].astype(str),
        bounds=bounds.astype(str).agg(" to ".join, axis=1)[outside],
        size=pd.cut(raw["tumor_size_cm"], [0, 2, 5, 99], labels=["up to 2", "2-5", "above 5"])
        .astype(str)
        .where(raw["tumor_size_cm"].notna(), raw["tumor_gt5cm"].map({0: "up to 5", 1: "above 5"})),
    ).drop(columns=["tumor_size_cm", "tumor_gt5cm"])
    if len(reasons):
        heading(
            f"{comparison.cohort}, {comparison.system}"
            f"{', as resected' if resected else ''}: {len(reasons)} outside"
        )
        names = {"multiple_tumors": "several", "vascular_invasion": "invasion"}
        said = {"several": {1.0: "yes", 0.0: "no"}, "invasion": {1.0: "yes", 0.0: "no"}}
        counted = reasons.rename(columns=names).replace(said).astype(object).fillna("?")
        columns = ["recorded", "bounds", "size", "several", "invasion"]
        counts = counted.groupby(columns).size().rename("patients")
        print_table(counts.reset_index().to_dict("records"))
    narrowed = (bounds["lowest"] == bounds["highest"]) & recorded.notna()
    order = range(7) if comparison.system == "CLIP" else bounds["lowest"].cat.categories
    bottom, top = order[0], order[-1]
    everything = (bounds["lowest"] == bottom) & (bounds["highest"] == top) & recorded.notna()
    judged = int(inside.notna().sum())
    return {
        "cohort": comparison.cohort,
        "recorded": comparison.recorded,
        "held against": comparison.system,
        "patients": len(cohort),
        "not recorded": int(recorded.isna().sum()),
        "compared": judged,
        "inside": int(inside.eq(True).sum()),
        "share": f"{inside.eq(True).sum() / judged:.3f}",
        "bounds of one stage": int(narrowed.sum()),
        "bounds of all": int(everything.sum()),
    }


def main() -> None:
    table = pd.read_csv(Path(sys.argv[1]), dtype={"patient_id": str, "bclc": str, "clip": str})
    table["cohort"] = table["cohort"].map(NAMES)
    table = table.set_index("patient_id").sort_index()
    print("Recorded stages against the bounds from raw inputs, by")
    print("benchmarks/clinical/recorded_stages.py")
    warnings.simplefilter("ignore", DataWarning)  # one bilirubin of Gao, below 3.4 umol/L
    for resected in (False, True):
        rows = [compare_one(table, one, resected=resected) for one in COMPARISONS]
        heading(
            "Taken for granted: N0 M0, no adjacent organ, ECOG 0, Child-Pugh A where not recorded"
            if resected
            else "Nothing taken for granted"
        )
        print_table(rows)
    heading("ALBI as the collection gives it")
    gao = table[table["albumin_g_l"].notna() & table["albi"].notna()]
    ours = staging.albi(gao)
    print(f"{len(gao)} patients; ours less theirs: {(ours - gao['albi']).min():.4f} to", end=" ")
    print(f"{(ours - gao['albi']).max():.4f}")
    other = ours - 0.0002 * gao["albumin_g_l"]
    print(f"with 0.0852 in place of 0.085: at most {(other - gao['albi']).abs().max():.0e} apart")
    theirs = pd.cut(gao["albi"], [-99, -2.60, -1.39, 99], labels=["1", "2", "3"]).astype(str)
    print(f"grades that differ: {(theirs != staging.albi_grade(gao).astype(str)).sum()}")


if __name__ == "__main__":
    main()
