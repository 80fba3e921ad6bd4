"""The published study simulated: its line, and the same line with one fault after another gone.

Every study has 61 discovery and 231 other patients, five markers in two regions, 3 to 5 tiles (in
the published proportions), a scatter of tiles as of the five genes in multi-region tumours, and
stages tuned to the published hazard ratios of two-level stages (`simulate_published_study`). The
markers tell nothing of recurrence (`none`), or level and location have a log hazard ratio of .4 or
.8 per standard deviation each (`moderate`, `strong`).

The published line: one XGBoost model a marker on the tiles of the discovery patients, whose label
is that of their patient; three quarters of the *tiles* train; tile probabilities, their mean and
population variance by patient, `pool_published`, recurrence from .5 on. 163 labelled patients, of
whom the 61 are a part; Cox regressions of disease-free survival in 127 of them, of TNM II-IV in 104
of these, of BCLC B/C in another 100. Then one fault after the other is taken away:

as published         tiles split, the 61 among the 163
  61 all in Cox      the same, and all 61 are among the 127
  40, 20 of the 61   the same, with fewer of the 61 among the 163
tiles split, new     none of the 61 among the 163: only the split is wrong
patients split       three quarters of the *patients* train, the 61 among the 163
no overlap           patients split, 163 new patients
  shrunken weights   the same, `pool_shrunken`
  random effects     the same, `pool_random_effects`; both learn their prior from the 15 held out
shipped models       `MarkerModel` as it comes, on all 61; the mean margin of tiles and markers
what markers know    the true log hazard of the markers in these 163 patients, without the stage

Boosters have 300 trees of depth 10 at rate 1/30 in place of 1000 at rate .01 (three times as fast;
`compare_sizes`), a smallest node of three tiles at probability one half, and no
tuning.

What studies add up to is in ``published_table.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import xgboost as xgb
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from times_stats.boosting import MarkerModel
from times_stats.datasets import load_times_published
from times_stats.evaluation import concordance_harrell
from times_stats.evaluation.slopes import efron_slopes
from times_stats.resampling import spawn_rng
from times_stats.score import (
    VariancePrior,
    fit_tile_prior,
    pool_published,
    pool_random_effects,
    pool_shrunken,
)
from times_stats.simulate import simulate_published_study
from times_stats.staging import read_recorded_stage

type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]
type Places = NDArray[np.int64]
type Record = dict[str, object]

# The tables that studies add rows to. Lines stand last: they say which studies are kept.
TABLES = ("rivals", "splits", "tiles", "sizes", "scores", "lines")
EFFECTS = {"none": (0.0, 0.0), "moderate": (0.4, 0.4), "strong": (0.8, 0.8)}
COMPARED, COUNTED = 10, 50  # studies with trees of all sizes; with tiles of counts
DISCOVERY, LABELLED, IN_COX = 61, 163, 127
STAGED = {"tnm": (104, "II"), "bclc": (100, "B")}  # patients in the Cox model, lowest upper stage
TRAINED = 0.75
BOOSTER = {"objective": "binary:logistic", "max_depth": 10, "tree_method": "exact", "nthread": 1}
# Trees, rate, and the smallest node: p (1 - p) summed over its tiles, 1/4 a tile at the start.
HERE = "300 trees of rate 1/30, nodes of 3 tiles"
SIZES = {
    HERE: (300, 1 / 30, 0.75),
    "1000 trees of rate .01, nodes of 3 tiles": (1000, 0.01, 0.75),
    "300 trees of rate 1/30, nodes of 12 tiles": (300, 1 / 30, 3.0),
}
CELLS_PER_TILE = 5  # where cells are counted: median of a marker in a region of a tile
MIDDLE = (0.3, 0.7)
SUMMARY = ("min", "q1", "median", "q3", "max")


@dataclass(frozen=True, slots=True)
class Line:
    """One way to train, to choose the patients to judge by, and to pool."""

    split: str
    overlap: int
    rule: str = "published"
    all_in_cox: bool = False


LINES = {
    "as published": Line("tiles", 61),
    "  61 all in Cox": Line("tiles", 61, all_in_cox=True),
    "  40 of the 61": Line("tiles", 40),
    "  20 of the 61": Line("tiles", 20),
    "tiles split, new": Line("tiles", 0),
    "patients split": Line("patients", 61),
    "no overlap": Line("patients", 0),
    "  shrunken weights": Line("patients", 0, "shrunken"),
    "  random effects": Line("patients", 0, "random effects"),
    "shipped models": Line("patients", 0, "shipped"),
    "what markers know": Line("patients", 0, "truth"),
}
HONEST = "  random effects"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A study as the authors had it; discovery patients first.

    ``tiles`` (patient, tile, marker, region) is NaN beyond a patient's last tile; ``stages`` holds
    codes, lowest 0; ``upper`` whether a stage counts as high; ``known`` what the markers know.
    """

    tiles: Floats
    outcome: pd.DataFrame
    stages: pd.DataFrame
    upper: pd.DataFrame
    known: Floats


class Trained(NamedTuple):
    """Tile probabilities (patient, tile, marker), the tiles that trained, and the test AUC."""

    probability: Floats
    used: Flags
    auc: float


class Learned(NamedTuple):
    """What honest pooling learns from discovery patients that trained no model."""

    prior: VariancePrior
    tau_squared: float


def draw(effect: str, number: int, *, counts: bool = False) -> Drawn:
    """Simulate a study; with `counts`, tiles hold numbers of cells in place of stainings."""
    level, location = EFFECTS[effect]
    study = simulate_published_study(
        effect=level, location_effect=location, n_images=5, seed=number
    )
    patients = study.patients.set_index("patient_id")
    if not (patients["cohort"].to_numpy()[:DISCOVERY] == "discovery").all():
        raise SystemExit("error: discovery patients do not stand first")
    table = study.measurements.pivot_table(
        index=["patient_id", "image_id"], columns=["marker", "region"], values="value"
    )
    tiles = table.sort_index(axis=1).to_numpy(copy=True).reshape(len(patients), 5, 5, 2)
    rng = spawn_rng(number, "reproduction", "tiles")
    published = load_times_published().components["n_roi"].to_numpy()
    n_tiles = np.r_[rng.permutation(published), rng.choice(published, len(patients) - DISCOVERY)]
    if counts:
        tiles = rng.poisson(tiles * CELLS_PER_TILE / np.median(tiles)).astype(np.float64)
    tiles[np.arange(5) >= n_tiles[:, None]] = np.nan
    stages, upper = pd.DataFrame(index=patients.index), pd.DataFrame(index=patients.index)
    for system, (_, lowest) in STAGED.items():
        stage, _ = read_recorded_stage(patients[system], system=system)
        stages[system] = stage.cat.codes.astype(float)
        upper[system] = (stage >= lowest).astype(float)
    known = level * study.truth["level_index"] + location * study.truth["location_index"]
    return Drawn(tiles, patients[["time", "event"]], stages, upper, known.to_numpy())


def train(drawn: Drawn, split: str, number: int, size: str = HERE) -> Trained:
    """Fit a booster a marker on three quarters of the tiles, or of the patients, of the 61."""
    real = np.isfinite(drawn.tiles[:, :, 0, 0])
    own = real.copy()
    own[DISCOVERY:] = False
    rng = spawn_rng(number, "reproduction", "split", split)
    used = np.zeros_like(own)
    if split == "patients":
        used[rng.permutation(DISCOVERY)[: round(TRAINED * DISCOVERY)]] = True
        used &= own
    else:
        rows = np.argwhere(own)
        used[tuple(rng.permutation(rows)[: round(TRAINED * len(rows))].T)] = True
    held = own & ~used
    label = np.broadcast_to(drawn.outcome["event"].to_numpy()[:, None], own.shape)
    probability = np.full(drawn.tiles.shape[:3], np.nan)
    n_trees, rate, node = SIZES[size]
    settings = {**BOOSTER, "learning_rate": rate, "min_child_weight": node}
    for marker in range(drawn.tiles.shape[2]):
        values = drawn.tiles[:, :, marker]
        booster = xgb.train(settings, xgb.DMatrix(values[used], label[used], nthread=1), n_trees)
        probability[real, marker] = booster.predict(xgb.DMatrix(values[real], nthread=1))
    auc = float(roc_auc_score(label[held], probability[held].mean(axis=1)))
    return Trained(probability, used, auc)


def shipped_risk(drawn: Drawn) -> Floats:
    """Return the mean margin of tiles and markers, by the package's models of the 61."""
    real = np.isfinite(drawn.tiles[:, :, 0, 0])
    patient, _ = np.nonzero(real)
    own = patient < DISCOVERY
    total = np.zeros(len(patient))
    for marker in range(drawn.tiles.shape[2]):
        values = drawn.tiles[:, :, marker][real]
        y = drawn.outcome.iloc[patient[own]].reset_index(drop=True)
        model = MarkerModel().fit(values[own], y, groups=patient[own])
        total += model.predict(values)
    return np.bincount(patient, total) / np.bincount(patient)


def moments(probability: Floats) -> tuple[Floats, Floats, Places]:
    """Return mean and population variance over a patient's tiles, and the number of tiles."""
    variance = np.nanvar(probability, axis=1)
    # Equal tiles have no variance, also where the mean of three of them is rounded.
    variance[np.nanmax(probability, axis=1) == np.nanmin(probability, axis=1)] = 0.0
    tiles = np.isfinite(probability[:, :, 0]).sum(axis=1)
    return np.nanmean(probability, axis=1), variance, tiles


def learn(trained: Trained) -> Learned:
    """Learn prior and spread between markers from the discovery patients held out."""
    held = ~trained.used[:DISCOVERY].any(axis=1)
    mean, variance, tiles = moments(trained.probability[:DISCOVERY][held])
    table = pool_random_effects(mean, variance, n_tiles=tiles)
    prior = fit_tile_prior(mean, variance, n_tiles=tiles)
    return Learned(prior, float(table["tau_squared"].iloc[0]))


def pool(probability: Floats, rule: str, learned: Learned | None = None) -> pd.DataFrame:
    """Pool the markers of each patient; no score where the published rule has none."""
    mean, variance, tiles = moments(probability)
    prior, tau = (None, None) if learned is None else learned
    if rule == "shrunken":
        return pool_shrunken(mean, variance, n_tiles=tiles, prior=prior)
    if rule == "random effects":
        return pool_random_effects(mean, variance, n_tiles=tiles, prior=prior, tau_squared=tau)
    scored = (variance > 0).all(axis=1)
    return (
        pool_published(mean[scored], variance[scored])
        .set_axis(np.flatnonzero(scored))
        .reindex(range(len(mean)))
    )


def patients_of(number: int, overlap: int) -> Places:
    """Return the 163 labelled patients: so many discovery patients first, then others."""
    rng = spawn_rng(number, "reproduction", "patients")
    own, new = rng.permutation(DISCOVERY), DISCOVERY + rng.permutation(231)
    return np.r_[own[:overlap], new[: LABELLED - overlap]]


def subsets_of(number: int, *, first: int = 0) -> dict[str, Places]:
    """Return who of the 163 is in each Cox regression; the first `first` are in that of TIMES."""
    rng = spawn_rng(number, "reproduction", "subsets")
    order = np.r_[np.arange(first), first + rng.permutation(LABELLED - first)]
    found = {"times": order[:IN_COX]}
    for system, (n, _) in STAGED.items():
        found[system] = rng.permutation(found["times"])[:n]
        # As many of the rest are staged as of those in the Cox regressions.
        share = round((LABELLED - IN_COX) * n / IN_COX)
        found[f"{system} staged"] = np.r_[found[system], order[IN_COX:][:share]]
    return found


def concordance(outcome: pd.DataFrame, score: Floats) -> float:
    """Return Harrell's C of the patients who have a score."""
    known = np.isfinite(score)
    time, event = (outcome[name].to_numpy()[known] for name in ("time", "event"))
    return float(concordance_harrell(time, event, score[known]))


def log_hazard_ratio(outcome: pd.DataFrame, score: Floats) -> float:
    """Return the log hazard ratio per unit; infinite where nothing happened at the low end."""
    known = np.isfinite(score)
    time, event = (outcome[name].to_numpy()[known] for name in ("time", "event"))
    if np.ptp(score[known]) == 0:
        return np.nan
    slope = float(efron_slopes(time, event, score[known], np.ones((1, known.sum())))[0])
    return np.inf if np.isnan(slope) else slope


def judge(outcome: pd.DataFrame, score: Floats, in_cox: Places, *, risk: bool = False) -> Record:
    """Return classification at .5 in the 163 (not of a risk), and the Cox regression in 127."""
    event = outcome["event"].to_numpy()
    known = np.isfinite(score)
    found: Record = {"auc": roc_auc_score(event[known], score[known])}
    if not risk:
        high = score[known] >= 0.5
        found["accuracy"] = (high == event[known]).mean()
        found["sensitivity"] = high[event[known] == 1].mean()
        found["specificity"] = 1 - high[event[known] == 0].mean()
    outcome, score = outcome.iloc[in_cox], score[in_cox]
    log_hr = log_hazard_ratio(outcome, score)
    per_sd = log_hr * float(np.nanstd(score, ddof=1))
    return found | {"log_hr": log_hr, "log_hr_sd": per_sd, "c": concordance(outcome, score)}


def judge_stage(
    drawn: Drawn, who: Places, score: Floats, system: str, subsets: dict[str, Places]
) -> Record:
    """Return score and stage, in two levels and all, in the authors' patients and in the same."""
    outcome = drawn.outcome.iloc[who]
    full, two = (table[system].to_numpy()[who] for table in (drawn.stages, drawn.upper))
    own, same, staged = (subsets[key] for key in ("times", system, f"{system} staged"))
    event = outcome["event"].to_numpy()
    filled = np.full(LABELLED, float(two[staged].mean() >= 0.5))  # the commoner level
    filled[staged] = two[staged]
    in_stage = outcome.iloc[same]
    return {
        "times_own": concordance(outcome.iloc[own], score[own]),
        "times_same": concordance(in_stage, score[same]),
        "two_levels": concordance(in_stage, two[same]),
        "all_levels": concordance(in_stage, full[same]),
        "log_hr": log_hazard_ratio(in_stage, two[same]),
        "auc_filled": roc_auc_score(event, filled),
        "auc_two_levels": roc_auc_score(event[staged], two[staged]),
        "auc_all_levels": roc_auc_score(event[staged], full[staged]),
    }


def judge_split(drawn: Drawn, trained: Trained) -> Record:
    """Return what the split itself reports, and the scores of patients that trained or are new."""
    scores = pool(trained.probability, "published")
    own = trained.used.any(axis=1)
    largest = scores.filter(like="weight_").max(axis=1)[:DISCOVERY]
    middle = scores["score"].between(*MIDDLE)
    return {
        "auc": trained.auc,
        "middle_trained": middle[own].mean(),
        "middle_new": middle[DISCOVERY:].mean(),
        "largest_median": largest.median(),
        "largest": largest.max(),
        "largest_shrunken": pool(trained.probability[:DISCOVERY], "shrunken")
        .filter(like="weight_")
        .max(axis=1)
        .max(),
        "trained_right": ((scores["score"] >= 0.5) == drawn.outcome["event"].to_numpy())[
            own
        ].mean(),
    }


def describe_scores(trained: Trained, number: int) -> list[Record]:
    """Return the summary that the paper prints of 231 scores, with and without the 61."""
    scores = pool(trained.probability, "published")["score"]
    new = DISCOVERY + spawn_rng(number, "reproduction", "patients").permutation(231)
    found: list[Record] = []
    for label, who in (("61 + 170", np.r_[:DISCOVERY, new[:170]]), ("231 new", new)):
        values = scores[who].dropna()
        row = dict(zip(SUMMARY, values.quantile((0.0, 0.25, 0.5, 0.75, 1.0)), strict=True))
        found.append({"patients": label, **row, "high": (values >= 0.5).mean()})
    return found


def judge_tiles(trained: Trained, values: str) -> list[Record]:
    """Return how scores of 2 and 3 tiles agree with those of all, and who gets none."""
    rules = ("published", "shrunken", "random effects")
    whole = {rule: pool(trained.probability, rule)["score"] for rule in rules}
    found = []
    for n_tiles in (2, 3, 5):
        row: Record = {"values": values, "tiles": n_tiles}
        for rule in rules:
            part = pool(trained.probability[:, :n_tiles], rule)["score"]
            both = part.notna() & whole[rule].notna()
            row[f"none {rule}"] = part.isna().mean()
            row[rule] = float(spearmanr(part[both], whole[rule][both]).statistic)
        found.append(row)
    return found


def compare_sizes(drawn: Drawn, number: int) -> list[Record]:
    """Return the first and the last published line with trees of each size."""
    found: list[Record] = []
    for size in SIZES:
        for label in ("as published", "no overlap"):
            who = patients_of(number, LINES[label].overlap)
            trained = train(drawn, LINES[label].split, number, size)
            score = pool(trained.probability[who], "published")["score"].to_numpy()
            told = judge(drawn.outcome.iloc[who], score, subsets_of(number)["times"])
            rest = judge_split(drawn, trained)
            rest = {name: rest[name] for name in ("middle_trained", "largest_median")}
            found.append({"size": size, "line": label, **told, **rest})
    return found


def one_study(effect: str, number: int) -> dict[str, list[Record]]:
    """Return the rows that a study adds to each kept table."""
    name: Record = {"effect": effect, "study": number}
    drawn = draw(effect, number)
    trained = {split: train(drawn, split, number) for split in ("tiles", "patients")}
    learned = learn(trained["patients"])
    risks = {"truth": drawn.known, "shipped": shipped_risk(drawn)}
    rows: dict[str, list[Record]] = {table: [] for table in TABLES}
    for label, line in LINES.items():
        who = patients_of(number, line.overlap)
        subsets = subsets_of(number, first=line.overlap * line.all_in_cox)
        if line.rule == "truth" and effect == "none":
            continue
        if line.rule in risks:
            score = risks[line.rule][who]
        else:
            part = trained[line.split].probability[who]
            score = pool(part, line.rule, learned)["score"].to_numpy()
        outcome = drawn.outcome.iloc[who]
        told = judge(outcome, score, subsets["times"], risk=line.rule in risks)
        rows["lines"].append({**name, "line": label, **told})
        if label in ("as published", HONEST):
            for system in STAGED:
                told = judge_stage(drawn, who, score, system, subsets)
                rows["rivals"].append({**name, "line": label, "system": system, **told})
    for split, models in trained.items():
        rows["splits"].append({**name, "split": split, **judge_split(drawn, models)})
    rows["scores"] = [{**name, **row} for row in describe_scores(trained["tiles"], number)]
    if effect == "none" and number < COMPARED:
        rows["sizes"] = [{**name, **row} for row in compare_sizes(drawn, number)]
    if effect == "moderate" and number < COUNTED:
        counted = train(draw(effect, number, counts=True), "tiles", number)
        for values, models in (("stainings", trained["tiles"]), ("counts", counted)):
            rows["tiles"] += [{**name, **row} for row in judge_tiles(models, values)]
    return rows
