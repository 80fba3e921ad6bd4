"""The published table beside simulated studies of its size, each fault of the study on or off.

What a study is, and what the names of the lines mean, is in ``published_study.py``. A study is
known by its effect and its number, which is its seed. Their rows are kept in ``published_table/``,
and studies that are there are not run again; tests run some of them again.

    python benchmarks/reproduction/published_table.py > benchmarks/reproduction/published_table.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from published_rows import hazard_ratio_table
from published_study import (
    CELLS_PER_TILE,
    COMPARED,
    COUNTED,
    EFFECTS,
    HONEST,
    LINES,
    MIDDLE,
    STAGED,
    SUMMARY,
    TABLES,
    one_study,
)

from times_stats.datasets import load_times_published

KEPT = Path(__file__).with_suffix("")
STUDIES = 100  # of each effect
PUBLISHED = "as published"
STAGE_METRICS = ("two_levels", "all_levels", "auc_filled", "auc_two_levels", "auc_all_levels")
# Printed in the paper and its capsule: doi:10.1038/s41586-025-08668-x, 10.24433/CO.7364332.v1
PRINTED = {"accuracy": 134 / 163, "sensitivity": 56 / 72, "specificity": 78 / 91}
STUDY = """61 + 231 patients, five markers in two regions, 3-5 tiles. Means over
studies (hazard ratios: medians); ranges hold nine tenths of the studies. Reach it: share of the
studies with at least the printed C."""
CAPTIONS = {
    1: """Paper and simulations, by what the markers tell. Published: the published line. Honest:
patients split, no overlap, random effects; distance from a stage in the same patients, with all
levels. Carried: how far the faults alone, without any effect, go from the honest line to the
printed number (HR: of its logarithm)""",
    3: f"""C of the score minus C of the stage. As published: score in 127 patients, stage in two
levels in {STAGED["tnm"][0]} (TNM) or {STAGED["bclc"][0]} (BCLC) of them. Then, one by one:
score in the stage's patients; stage in all its levels; new patients and the honest line""",
    4: """The stages alone, in new patients (simulated to resemble the printed HR). Filled: in 163
patients, those without a stage given the commoner level, as the authors did""",
    5: "Scores of 231 patients, tiles split",
    6: f"""The 61. Test AUC: tiles held out, mean of the markers. Right, middle: share classified
rightly, and with scores from {MIDDLE[0]} to {MIDDLE[1]}, of the patients that trained. Middle, new:
of the 231 others. Weight, largest: median and largest share of a patient's weight on one marker.
Shrunken: the largest with shrunken weights""",
    7: f"""Scores from the first 2 or 3 tiles: share of patients without one by the published rule,
and Spearman's correlation with the score from all tiles, by rule. Counts: cells, median
{CELLS_PER_TILE} of a marker in a region of a tile. Effect: moderate, {COUNTED} studies""",
    8: f"Trees of other sizes, {COMPARED} studies without an effect. Middle, weight: as in 6",
}
IN_STAGE = {"tnm": "TNM_ge_II", "bclc": "BCLC_BC_vs_A"}


def read_kept(studies: int = STUDIES) -> dict[str, pd.DataFrame]:
    """Return the kept rows of the first studies of each effect; none where nothing was run."""
    files = {table: KEPT / f"{table}.csv" for table in TABLES}
    kept = {table: pd.read_csv(file) for table, file in files.items() if file.exists()}
    none = pd.DataFrame(columns=["effect", "study"])
    return {table: (rows := kept.get(table, none))[rows["study"] < studies] for table in TABLES}


def run(studies: int) -> None:
    """Run the studies that are missing, and keep them ten at a time."""
    KEPT.mkdir(exist_ok=True)
    for start in range(0, studies, 10):
        for effect in EFFECTS:
            kept = read_kept(max(studies, STUDIES))
            done = set(kept["lines"].loc[kept["lines"]["effect"] == effect, "study"])
            missing = [n for n in range(start, min(start + 10, studies)) if n not in done]
            found = [one_study(effect, number) for number in missing]
            for table in TABLES:
                new = pd.DataFrame([row for part in found for row in part[table]])
                if len(new):
                    old = [kept[table]] if len(kept[table]) else []
                    whole = pd.concat([*old, new.round(4)], ignore_index=True)
                    whole.to_csv(KEPT / f"{table}.csv", index=False)


def text(value: float) -> str:
    """Return a number of the table; a hazard ratio may be large."""
    return "-" if value != value else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def ratio(logs: pd.Series) -> str:
    """Return the median hazard ratio."""
    return text(float(np.exp(logs.median())))


def spread(values: pd.Series) -> str:
    """Return mean and the range of nine tenths of the studies."""
    low, high = values.quantile([0.05, 0.95])
    return f"{values.mean():.3f} ({low:.2f} to {high:.2f})"


def line_table(lines: pd.DataFrame, effect: str) -> pd.DataFrame:
    """Return the lines of one effect below what the paper prints."""
    printed = load_times_published().results
    cox_printed = printed["cox_dfs"]["TIMES"]
    paper = {name: text(value) for name, value in PRINTED.items()} | {
        "AUC": text(printed["smoothed_auc_recurrence"]["TIMES"]),
        "HR / unit": text(cox_printed["HR"]),
        "HR / SD": text(hazard_ratio_table().loc["per SD", "HR"]),
        "C": text(cox_printed["c_index"]),
        "reach it": "-",
    }
    rows = {"paper": paper}
    of_effect = lines[lines["effect"] == effect]
    for label, part in of_effect.groupby("line", sort=False):
        mean = part.mean(numeric_only=True)
        rows[str(label)] = {name: text(mean[name]) for name in PRINTED} | {
            "AUC": text(mean["auc"]),
            "HR / unit": "-"
            if LINES[str(label)].rule in ("truth", "shipped")
            else ratio(part["log_hr"]),
            "HR / SD": ratio(part["log_hr_sd"]),
            "C": spread(part["c"]),
            "reach it": f"{(part['c'] >= cox_printed['c_index']).mean():.2f}",
        }
    return pd.DataFrame(rows).T


def gaps(rivals: pd.DataFrame, effect: str, system: str) -> dict[str, pd.Series]:
    """Return C of the score minus C of a stage in each study, with one fault less in turn."""
    part = rivals[(rivals["system"] == system) & (rivals["effect"] == effect)].set_index("study")
    first, honest = (part[part["line"] == label] for label in (PUBLISHED, HONEST))
    return {
        PUBLISHED: first["times_own"] - first["two_levels"],
        "same patients": first["times_same"] - first["two_levels"],
        "all levels": first["times_same"] - first["all_levels"],
        "honest line": honest["times_same"] - honest["all_levels"],
    }


def printed_gap(system: str) -> float:
    """Return the printed C of the score minus that of a stage."""
    printed = load_times_published().results["cox_dfs"]
    return float(printed["TIMES"]["c_index"] - printed[IN_STAGE[system]]["c_index"])


def distance_table(rivals: pd.DataFrame) -> pd.DataFrame:
    """Return the distance in C from a stage, with one fault less from column to column."""
    rows = {}
    for system in IN_STAGE:
        rows[system.upper(), "paper"] = {PUBLISHED: text(printed_gap(system))}
        for effect in EFFECTS:
            found = gaps(rivals, effect, system)
            rows[system.upper(), effect] = {name: spread(gap) for name, gap in found.items()}
    return pd.DataFrame(rows).T.rename_axis(["stage", "effect"]).fillna("")


def overview(kept: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return paper and simulations side by side, and what the faults carry without an effect."""
    printed = load_times_published().results
    cox = printed["cox_dfs"]["TIMES"]
    paper = {
        **PRINTED,
        "AUC": printed["smoothed_auc_recurrence"]["TIMES"],
        "HR / unit": cox["HR"],
        "C": cox["c_index"],
    }
    columns = {"AUC": "auc", "HR / unit": "log_hr", "C": "c"}
    found: dict[tuple[str, str], dict[str, float]] = {("", "paper"): dict(paper)}
    for effect in EFFECTS:
        for name, label in (("published", PUBLISHED), ("honest", HONEST)):
            lines = kept["lines"]
            part = lines[(lines["effect"] == effect) & (lines["line"] == label)]
            told = {row: float(part[columns.get(row, row)].mean()) for row in paper}
            told["HR / unit"] = float(np.exp(part["log_hr"].median()))
            found[effect, name] = told
    for system in IN_STAGE:
        row = f"C - C of {system.upper()}"
        found["", "paper"][row] = printed_gap(system)
        for effect in EFFECTS:
            told_gaps = gaps(kept["rivals"], effect, system)
            found[effect, "published"][row] = float(told_gaps[PUBLISHED].mean())
            found[effect, "honest"][row] = float(told_gaps["honest line"].mean())
    table = pd.DataFrame(found)
    scale = table.copy()
    scale.loc["HR / unit"] = np.log(scale.loc["HR / unit"])
    free, honest = scale["none", "published"], scale["none", "honest"]
    carried = (free - honest) / (scale["", "paper"] - honest)
    shown = table.map(text)
    shown["", "carried"] = carried.map("{:.0%}".format)
    return shown


def stage_table(rivals: pd.DataFrame) -> pd.DataFrame:
    """Return concordance and AUC of the stages alone, in two levels and in all."""
    printed = load_times_published().results
    cox_printed, auc = printed["cox_dfs"], printed["smoothed_auc_recurrence"]
    rows = []
    for system, in_cox in IN_STAGE.items():
        told, in_auc = cox_printed[in_cox], f"{system.upper()}_2level"
        paper = [told["HR"], told["c_index"], np.nan, auc[in_auc], np.nan, np.nan]
        rows.append([system.upper(), "paper", *map(text, paper)])
        # The patients of the honest line: the stage knows nothing of how the score was trained.
        new = rivals[(rivals["system"] == system) & (rivals["line"] == HONEST)]
        for effect, part in new.groupby("effect", sort=False):
            mean = part.mean(numeric_only=True)
            told = [text(mean[name]) for name in STAGE_METRICS]
            rows.append([system.upper(), effect, ratio(part["log_hr"]), *told])
    columns = ["HR", "C, 2 levels", "C, all", "AUC, filled", "AUC, 2 levels", "AUC, all"]
    return pd.DataFrame(rows, columns=["stage", "effect", *columns]).set_index(["stage", "effect"])


def split_table(splits: pd.DataFrame) -> pd.DataFrame:
    """Return what splits report of themselves, and how trained and new patients differ."""
    components = load_times_published().components
    weights = components.filter(like="weight_")
    largest = weights.max(axis=1) / weights.sum(axis=1)
    middle = components["TIMES"].between(*MIDDLE).mean()
    paper = ["", "", text(middle), "", text(largest.median()), text(largest.max()), ""]
    rows = [["paper", "tiles", *paper]]
    columns = ("auc", "trained_right", "middle_trained", "middle_new")
    shown = (*columns, "largest_median", "largest", "largest_shrunken")
    for (effect, split), part in splits.groupby(["effect", "split"], sort=False):
        mean = part.mean(numeric_only=True)
        rows.append([effect, split, *(text(mean[name]) for name in shown)])
    names = ["test AUC", "right", "middle", "middle, new", "weight", "largest", "shrunken"]
    return pd.DataFrame(rows, columns=["effect", "split", *names]).set_index(["effect", "split"])


def score_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of 231 scores, printed and simulated."""
    printed = load_times_published().results["cohort"]
    told = [printed["TIMES_summary"][name] for name in SUMMARY] + [printed["n_ge_0.5"] / 231]
    rows = [["paper", "231", *map(text, told)]]
    for (effect, who), part in scores.groupby(["effect", "patients"], sort=False):
        mean = part.mean(numeric_only=True)
        rows.append([effect, who, *(text(mean[name]) for name in (*SUMMARY, "high"))])
    names = ["effect", "patients", *SUMMARY, ".5 or more"]
    return pd.DataFrame(rows, columns=names).set_index(["effect", "patients"])


def tile_table(tiles: pd.DataFrame) -> pd.DataFrame:
    """Return patients without score and agreement with all tiles, by tiles used."""
    printed = load_times_published().results["stability"]
    rows = []
    for n_tiles in (2, 3):
        lost = printed[f"n_dropped_{n_tiles}_tiles"] / 240
        rank = printed[f"spearman_{n_tiles}_tiles_vs_all"]
        rows.append(["paper", str(n_tiles), text(lost), text(rank), "", ""])
    rules = ("none published", "published", "shrunken", "random effects")
    for (values, n_tiles), part in tiles[tiles["study"] < COUNTED].groupby(
        ["values", "tiles"], sort=False
    ):
        mean = part.mean(numeric_only=True)
        told = [text(mean[name]) if n_tiles < 5 or "none" in name else "" for name in rules]
        rows.append([values, "all" if n_tiles == 5 else str(n_tiles), *told])
    names = ["values", "tiles", "no score", "published", "shrunken", "random effects"]
    return pd.DataFrame(rows, columns=names).set_index(["values", "tiles"])


def size_table(sizes: pd.DataFrame) -> pd.DataFrame:
    """Return the two lines with trees of each size, and the 61 beside the published ones."""
    metrics = ["accuracy", "auc", "c", "middle_trained", "largest_median"]
    mean = sizes.groupby(["size", "line"], sort=False)[metrics].mean()
    names = ["accuracy", "AUC", "C", "middle", "weight"]
    return mean.set_axis(names, axis=1).map(text)


def report(kept: dict[str, pd.DataFrame]) -> str:
    """Return all tables as text."""
    lines, rivals = kept["lines"], kept["rivals"]
    n_studies = lines.groupby("effect")["study"].nunique().min()
    faults = [
        f"2. Fault by fault, the markers' effect: {effect} (log hazard ratio per SD: level {level},"
        f"\nlocation {location}). HR / SD of the paper: with the SD that its quartiles suggest\n\n"
        f"{line_table(lines, effect).to_string()}"
        for effect, (level, location) in EFFECTS.items()
    ]
    tables = {
        1: overview(kept),
        3: distance_table(rivals),
        4: stage_table(rivals),
        5: score_table(kept["scores"]),
        6: split_table(kept["splits"]),
        7: tile_table(kept["tiles"]),
        8: size_table(kept["sizes"]),
    }
    parts = [f"{n}. {CAPTIONS[n]}\n\n{table.to_string()}" for n, table in tables.items()]
    title = f"{n_studies} studies of each effect: {STUDY}"
    return "\n\n".join([title, parts[0], *faults, *parts[1:]])


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES, help="studies of each effect")
    studies = parser.parse_args().studies
    run(studies)
    print(report(read_kept(studies)))


if __name__ == "__main__":
    main()
