"""How often each verdict on location is given, by the rule of `decide` and by the one before it.

Studies of 101, 163 and 227 patients, 5 markers and 2 regions are drawn with no effect, with an
effect of the level (log hazard ratio .4 per SD), and with one of location besides (hazard ratio 1.4
or 2 per SD of one marker's location index). ``new`` is the rule of today: the conditional test
decides on "location adds", where all four gains are above 0, and the interval of the gain on
"levels suffice". ``old`` took the interval for both words. ``gain`` is the mean
headline estimate, ``sd`` its standard deviation over studies, ``se`` the mean bootstrap standard
error within a study.

The second table holds more studies of no effect of location. The test is made first and the gain
only where the test rejects, without which the verdict cannot be "location adds".

Columns are those of the ladder with logarithms in place of the Yeo-Johnson powers, which take most
of the time; the last lines hold some studies against `integration_test` itself.

Every study is kept in ``location_verdict/`` and a test computes one again. Parts are made anew
where they are named; without, the tables are made from what is kept.

    python benchmarks/calibration/location_verdict.py [studies] [alarms] [whole]
        > benchmarks/calibration/location_verdict.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from times_stats.attribution import conditional_location_test, integration_test
from times_stats.attribution.coalition_cox import fit_subset
from times_stats.attribution.ladder import boost
from times_stats.attribution.rungs import LadderData, RungDesign, collect_ladder
from times_stats.attribution.verdict import Gain, decide
from times_stats.evaluation.comparison import Prediction, compare
from times_stats.features.matrix import complete_markers, marker_levels
from times_stats.partial_likelihood import build_risk_sets
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.simulate import simulate_study

HERE = Path(__file__).with_suffix("")
SIZES = (101, 163, 227)
EFFECTS = {  # of the level (log hazard ratio), of location (hazard ratio)
    "none": (0.0, 1.0),
    "level": (0.4, 1.0),
    "location 1.4": (0.4, 1.4),
    "location 2.0": (0.4, 2.0),
}
STUDIES, ALARMS, WHOLE = 40, 160, 4
HORIZON, MARGIN, FOLDS, RESAMPLES, PERMUTATIONS = 36.0, 0.03, 5, 200, 199
METRIC = "concordance_uno_within_folds"
OTHERS = ("ridge", "boosted stage", "boosted")
type Study = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, np.ndarray]


def draw(n: int, effect: str, number: int) -> Study:
    """Return features, outcome, stages and folds of one study."""
    level, hazard_ratio = EFFECTS[effect]
    study = simulate_study(
        n_patients=n, effect=level, location_effect=float(np.log(hazard_ratio)), seed=number
    )
    patients = study.patients.set_index("patient_id")
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)
    outcome = patients[["time", "event"]]
    stages = patients[["tnm"]].astype(pd.CategoricalDtype(["I", "II", "III", "IV"], ordered=True))
    folds = assign_folds(
        outcome.index.to_numpy(),
        strata=outcome["event"].to_numpy(),
        n_folds=FOLDS,
        rng=spawn_rng(number, "folds"),
    )
    return features, outcome, stages, folds


def test_location(study: Study, number: int) -> float:
    """Return the p-value of the headline test."""
    features, outcome, stages, _ = study
    found = conditional_location_test(
        features, outcome, stages=stages, n_permutations=PERMUTATIONS, seed=number
    )
    return found.p_value


def standardise(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and standard deviation 1 in the training patients."""
    return (values - values[train].mean(axis=0)) / values[train].std(axis=0)


def predict(study: Study, number: int) -> dict[str, np.ndarray]:
    """Return out-of-fold risks of levels and of all regions, four analyses."""
    features, outcome, stages, folds = study
    data: LadderData = collect_ladder(
        features,
        levels=marker_levels(features),
        complete=complete_markers(features),
        stages=stages,
        cohort=None,
        tumour_region=None,
    )
    kinds = [f"{learner}{stage}" for learner in ("ridge", "boosted") for stage in (" stage", "")]
    risk = {
        f"{kind}/{rung}": np.empty(len(outcome)) for kind in kinds for rung in ("levels", "all")
    }
    steps = data.stage_steps.to_numpy()
    place = {marker: k for k, marker in enumerate(data.levels.columns)}
    own = [place[marker] for marker, _ in data.contrast_columns]
    time_, event = outcome["time"].to_numpy(), outcome["event"].to_numpy()
    for fold in range(FOLDS):
        train, test = np.flatnonzero(folds[0] != fold), np.flatnonzero(folds[0] == fold)
        levels = standardise(np.log(data.levels.to_numpy()), train)
        regions = standardise(np.log(features[[*data.contrast_columns]].to_numpy()), train)
        blocks = {"levels": levels, "all": np.column_stack([levels, regions - levels[:, own]])}
        sets = build_risk_sets(time_[train], event[train])
        for stage in (" stage", ""):
            weak = steps if stage else steps[:, :0]
            for rung, block in blocks.items():
                X = np.column_stack([weak - weak[train].mean(axis=0), standardise(block, train)])
                beta, _ = fit_subset(sets, X[train][sets.order], n_weak=weak.shape[1])
                risk[f"ridge{stage}/{rung}"][test] = X[test] @ beta
                table = pd.DataFrame(np.column_stack([weak, block]), index=outcome.index)
                design = RungDesign(table.add_prefix("column "), ())
                found = boost(design, train, test, outcome.iloc[train], number)
                risk[f"boosted{stage}/{rung}"][test] = found
    return risk


def measure(study: Study, number: int) -> dict[str, tuple[float, float, float, float]]:
    """Return the gain of each analysis: estimate, limits, standard error."""
    _, outcome, _, folds = study
    risk = predict(study, number)
    gains = {}
    for kind in ("ridge stage", *OTHERS):
        pair = [Prediction(rung, risk[f"{kind}/{rung}"][None]) for rung in ("all", "levels")]
        table = compare(
            outcome,
            pair,
            times=np.array([HORIZON / 2, HORIZON]),
            horizon=HORIZON,
            references=["levels"],
            folds=folds,
            n_resamples=RESAMPLES,
            rng=spawn_rng(number, "b"),
        ).query("model == 'all' and reference == 'levels' and metric == @METRIC")
        gains[kind] = tuple(table[["estimate", "lower", "upper", "se"]].iloc[0])
    return gains


def judge(n: int, effect: str, number: int) -> dict[str, object]:
    """Return the test and the gains of one study."""
    study = draw(n, effect, number)
    row: dict[str, object] = {"patients": n, "effect": effect, "study": number}
    row["p_value"] = test_location(study, number)
    gains = measure(study, number)
    row |= dict(zip(("gain", "lower", "upper", "se"), gains["ridge stage"], strict=True))
    return row | {kind: gains[kind][0] for kind in OTHERS}


def alarm(n: int, effect: str, number: int) -> dict[str, object]:
    """Return the test of one study, and its gains where the test rejects."""
    study = draw(n, effect, number)
    row: dict[str, object] = {"patients": n, "effect": effect, "study": number}
    row["p_value"] = test_location(study, number)
    return judge(n, effect, number) if row["p_value"] <= 0.05 else row


def whole(n: int, effect: str, number: int) -> dict[str, object]:
    """Return the gain and the verdict of `integration_test` itself beside those of the shortcut."""
    features, outcome, stages, folds = draw(n, effect, number)
    result = integration_test(
        features, outcome, stages=stages, folds=folds, horizon=HORIZON, n_resamples=RESAMPLES,
        n_permutations=PERMUTATIONS, margin=MARGIN, seed=number,
    )  # fmt: skip
    own = judge(n, effect, number)
    row = result.differences.query(
        "learner == 'ridge_cox' and metric == @METRIC and model == 'stage_all_regions'"
        " and reference == 'stage_levels'"
    ).iloc[0]
    return own | {"whole gain": row["estimate"], "whole verdict": result.verdict}


def verdict_now(row: dict[str, float]) -> str:
    """Return the verdict by the rule of today."""
    gain = Gain(row["gain"], row["lower"], row["upper"])
    others = [row[kind] for kind in OTHERS]
    return decide(gain, p_value=row["p_value"], sensitivity=others, margin=MARGIN)


def verdict_before(row: dict[str, float]) -> str:
    """Return the verdict by the rule that took the interval of the gain for both words."""
    others = [row[kind] for kind in OTHERS]
    if row["lower"] > 0.0 and all(estimate > 0.0 for estimate in others):
        return "location adds"
    if row["upper"] < MARGIN and all(estimate < MARGIN for estimate in others):
        return "levels suffice"
    return "cannot tell"


def tabulate(studies: pd.DataFrame) -> pd.DataFrame:
    """Return how often each rule says each verdict."""
    words = {"adds": "location adds", "suffice": "levels suffice", "cannot tell": "cannot tell"}
    rows = []
    for (n, effect), part in studies.groupby(["patients", "effect"], sort=False):
        records = part.to_dict("records")
        row: dict[str, object] = {"patients": n, "effect": effect}
        for name, rule in (("old", verdict_before), ("new", verdict_now)):
            said = [rule(record) for record in records]
            row |= {
                f"{name}: {short}": said.count(word) / len(said) for short, word in words.items()
            }
        row["test rejects"] = (part["p_value"] <= 0.05).mean()
        row |= {"gain": part["gain"].mean(), "sd": part["gain"].std(), "se": part["se"].mean()}
        rows.append(row)
    return pd.DataFrame(rows)


def tabulate_alarms(studies: pd.DataFrame) -> pd.DataFrame:
    """Return how often "location adds" is said where location is idle."""
    rows = []
    groups = [*studies.groupby(["patients", "effect"], sort=False), (("all", ""), studies)]
    for (n, effect), part in groups:
        said = [verdict_now(row) == "location adds" for row in part.to_dict("records")]
        share = np.mean(said)
        rows.append(
            {
                "patients": n,
                "effect": effect,
                "studies": len(part),
                "test rejects": (part["p_value"] <= 0.05).mean(),
                "location adds": share,
                "Monte Carlo error": np.sqrt(share * (1 - share) / len(part)),
            }
        )
    return pd.DataFrame(rows)


def make(part: str) -> pd.DataFrame:
    """Simulate one part."""
    if part == "studies":
        cells = [(n, effect, k) for n in SIZES for effect in EFFECTS for k in range(STUDIES)]
        return pd.DataFrame([judge(*cell) for cell in cells])
    if part == "alarms":
        cells = [
            (n, effect, 10_000 + k)
            for n in SIZES
            for effect in ("none", "level")
            for k in range(ALARMS)
        ]
        return pd.DataFrame([alarm(*cell) for cell in cells])
    cells = [(163, effect, k) for effect in ("level", "location 1.4") for k in range(WHOLE // 2)]
    return pd.DataFrame([whole(*cell) for cell in cells])


def main() -> None:
    """Simulate what is asked for, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["studies", "alarms", "whole", []])
    HERE.mkdir(exist_ok=True)
    for part in parser.parse_args().parts:
        with threadpool_limits(limits=1):
            made = make(part)
        made.round(6).to_csv(HERE / f"{part}.csv", index=False)
    kept = {part: pd.read_csv(HERE / f"{part}.csv", keep_default_na=False, na_values=[""])
            for part in ("studies", "alarms", "whole")}  # fmt: skip
    print(
        f"5 markers, 2 regions; horizon {HORIZON:g} months, margin {MARGIN:g}, {FOLDS} folds once,"
        f" {RESAMPLES} resamples,\n{PERMUTATIONS} permutations; {STUDIES} studies a row: a share"
        f" has a Monte Carlo error of {np.sqrt(0.25 / STUDIES):.2f} at most.\n"
    )
    print(tabulate(kept["studies"]).round(3).to_string(index=False))
    print("\nNo effect of location: how often 'location adds' is false\n")
    print(tabulate_alarms(kept["alarms"]).round(4).to_string(index=False))
    own = kept["whole"]
    far = (own["gain"] - own["whole gain"]).abs()
    same = [verdict_now(row) == row["whole verdict"] for row in own.to_dict("records")]
    print(
        f"\n{len(own)} studies of 163 patients by integration_test itself: the gain differs by"
        f" {far.mean():.3f} on average\nand {far.max():.3f} at most; verdicts agree in {sum(same)}"
    )


if __name__ == "__main__":
    main()
