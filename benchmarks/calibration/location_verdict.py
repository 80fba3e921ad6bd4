"""How often each verdict on location is given, by the rule of `decide` and by the one before it.

Studies of 101, 163 and 227 patients, 5 markers and 2 regions are drawn with no effect, with an
effect of the level (log hazard ratio .4 per SD), and with one of location besides (hazard ratio 1.4
or 2 per SD of one marker's location index). ``new`` is the rule of today: the conditional test
decides on "location adds", the interval of the gain on "levels suffice". ``old`` took the interval
for both, with all four analyses above 0. ``gain`` is the mean headline estimate, ``sd`` its
standard deviation over studies, ``se`` the mean bootstrap standard error within a study.

The second table holds more studies of no effect of location. The test is made first and the gain
only where the test rejects, without which the verdict cannot be "location adds".

Columns are those of the ladder with logarithms in place of the Yeo-Johnson powers, which take most
of the time; the last lines hold some studies against `integration_test` itself.

    python benchmarks/calibration/location_verdict.py > benchmarks/calibration/location_verdict.txt
"""

from __future__ import annotations

import argparse
import time

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

SIZES = (101, 163, 227)
EFFECTS = {  # of the level (log hazard ratio), of location (hazard ratio)
    "none": (0.0, 1.0),
    "level": (0.4, 1.0),
    "location 1.4": (0.4, 1.4),
    "location 2.0": (0.4, 2.0),
}
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
            rng=spawn_rng(number, "bootstrap"),
        ).query("model == 'all' and reference == 'levels' and metric == @METRIC")
        gains[kind] = tuple(table[["estimate", "lower", "upper", "se"]].iloc[0])
    return gains


def decide_before(gain: Gain, sensitivity: list[float]) -> str:
    """Return the verdict by the rule that took the interval of the gain for both words."""
    if gain.lower > 0.0 and all(estimate > 0.0 for estimate in sensitivity):
        return "location adds"
    if gain.upper < MARGIN and all(estimate < MARGIN for estimate in sensitivity):
        return "levels suffice"
    return "cannot tell"


def judge(n: int, effect: str, number: int) -> dict[str, object]:
    """Return both verdicts on one study, and its gain."""
    study = draw(n, effect, number)
    p_value, gains = test_location(study, number), measure(study, number)
    gain, sensitivity = Gain(*gains["ridge stage"][:3]), [gains[kind][0] for kind in OTHERS]
    new = decide(gain, p_value=p_value, sensitivity=sensitivity, margin=MARGIN)
    return {
        "new": new,
        "old": decide_before(gain, sensitivity),
        "rejects": p_value <= 0.05,
        "gain": gain.estimate,
        "se": gains["ridge stage"][3],
    }


def summarise(n: int, effect: str, studies: pd.DataFrame) -> dict[str, object]:
    """Return one row of the table of verdicts."""
    row: dict[str, object] = {"patients": n, "effect": effect, "studies": len(studies)}
    for rule in ("old", "new"):
        for verdict, short in (
            ("location adds", "adds"), ("levels suffice", "suffice"), ("cannot tell", "cannot tell")
        ):  # fmt: skip
            row[f"{rule}: {short}"] = (studies[rule] == verdict).mean()
    row |= {"test": studies["rejects"].mean(), "gain": studies["gain"].mean()}
    return row | {"sd": studies["gain"].std(), "se": studies["se"].mean()}


def false_alarms(n: int, effect: str, first: int, n_studies: int) -> dict[str, object]:
    """Return how often the test rejects, and "location adds" is said, where location is idle."""
    rejected = said = 0
    for number in range(first, first + n_studies):
        study = draw(n, effect, number)
        p_value = test_location(study, number)
        if p_value > 0.05:
            continue
        rejected += 1
        gains = measure(study, number)
        gain, sensitivity = Gain(*gains["ridge stage"][:3]), [gains[kind][0] for kind in OTHERS]
        verdict = decide(gain, p_value=p_value, sensitivity=sensitivity, margin=MARGIN)
        said += verdict == "location adds"
    share = said / n_studies
    return {
        "patients": n,
        "effect": effect,
        "studies": n_studies,
        "test rejects": rejected / n_studies,
        "location adds": share,
        "Monte Carlo error": np.sqrt(share * (1 - share) / n_studies),
    }


def compare_with_whole(n: int, effect: str, number: int) -> tuple[float, bool]:
    """Return how far the gain is from that of `integration_test`, and whether verdicts agree."""
    features, outcome, stages, folds = draw(n, effect, number)
    whole = integration_test(
        features, outcome, stages=stages, folds=folds, horizon=HORIZON, n_resamples=RESAMPLES,
        n_permutations=PERMUTATIONS, margin=MARGIN, seed=number,
    )  # fmt: skip
    own = judge(n, effect, number)
    row = whole.differences.query(
        "learner == 'ridge_cox' and metric == @METRIC and model == 'stage_all_regions'"
        " and reference == 'stage_levels'"
    ).iloc[0]
    return abs(float(own["gain"]) - row["estimate"]), whole.verdict == own["new"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=30)
    parser.add_argument("--null-studies", type=int, default=250)
    parser.add_argument("--whole", type=int, default=8)
    arguments = parser.parse_args()
    start = time.process_time()
    with threadpool_limits(limits=1):
        rows = [
            summarise(
                n, effect, pd.DataFrame([judge(n, effect, k) for k in range(arguments.studies)])
            )
            for n in SIZES
            for effect in EFFECTS
        ]
        null_rows = [
            false_alarms(n, effect, 10_000, arguments.null_studies)
            for n in SIZES
            for effect in ("none", "level")
        ]
        whole = [
            compare_with_whole(163, effect, k)
            for k in range(arguments.whole // 2)
            for effect in ("level", "location 1.4")
        ]
    table, alarms = pd.DataFrame(rows), pd.DataFrame(null_rows)
    worst = np.sqrt(0.25 / arguments.studies)
    total = alarms["studies"].sum()
    share = float((alarms["location adds"] * alarms["studies"]).sum() / total)
    print(
        f"5 markers, 2 regions; horizon {HORIZON:g} months, margin {MARGIN:g}, {FOLDS} folds once,"
        f" {RESAMPLES} resamples,\n{PERMUTATIONS} permutations;"
        f" {(time.process_time() - start) / 60:.1f} CPU minutes. A share of {arguments.studies}"
        f" studies has a\nMonte Carlo error of {worst:.2f} at most.\n"
    )
    print(table.round(3).to_string(index=False))
    print("\nNo effect of location: how often 'location adds' is false\n")
    print(alarms.round(3).to_string(index=False))
    print(
        f"all {total} studies together: {share:.4f}, Monte Carlo error"
        f" {np.sqrt(share * (1 - share) / total):.4f}"
    )
    print(
        f"\n{len(whole)} studies of 163 patients by integration_test itself: gain differs by"
        f" {np.mean([far for far, _ in whole]):.4f} on average,"
        f"\n{max(far for far, _ in whole):.4f} at most; verdicts agree in"
        f" {sum(same for _, same in whole)} of {len(whole)}"
    )


if __name__ == "__main__":
    main()
