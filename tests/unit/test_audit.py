from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri

from times_stats.audit import find_leakage
from times_stats.datasets import load_hcc_ihc
from times_stats.errors import InputError
from times_stats.features import build_feature_table
from times_stats.simulate import simulate_study


def features():
    return build_feature_table(load_hcc_ihc("complete")).values


def test_a_clean_split_has_no_overlap():
    values = features()
    found = find_leakage(values.iloc[:80], values.iloc[80:])
    assert found.empty
    assert list(found.columns) == [
        *("kind", "train_id", "test_id", "n_features", "distance", "expected", "same_outcome")
    ]


def test_a_shared_patient_is_found_by_name_and_by_values():
    values = features()
    found = find_leakage(values.iloc[:81], values.iloc[80:])
    name = values.index[80]
    assert found["kind"].tolist() == ["patient_id", "identical_features"]
    assert found["test_id"].tolist() == [name, name]
    assert found["n_features"].tolist() == [0, 15]


def test_a_renamed_patient_is_found_by_values_whatever_the_order_of_columns():
    values = features()
    copied = values.iloc[[3]].set_axis(["copy"])
    found = find_leakage(values.iloc[:80], pd.concat([values.iloc[80:], copied]).iloc[:, ::-1])
    assert found[["train_id", "test_id"]].to_numpy().tolist() == [[values.index[3], "copy"]]


def test_gaps_count_as_equal_and_flat_rows_prove_nothing():
    train = pd.DataFrame(
        {
            "a": [1.0, 0.0, np.nan, -1.0, 3.0],
            "b": [2.0, -0.0, np.nan, -2.0, 4.0],
            "c": [np.nan] * 5,
        }
    )
    test = pd.DataFrame(
        {"a": [1.0, 0.0, np.nan], "b": [2.0, 0.0, np.nan], "c": [np.nan] * 3},
        index=["x", "y", "z"],
    )
    found = find_leakage(train, test)
    assert found["test_id"].tolist() == ["x"]
    assert found["n_features"].tolist() == [2]


def test_patients_tables_are_compared_by_their_identifiers():
    patients = load_hcc_ihc().patients
    found = find_leakage(patients.iloc[:100], patients.iloc[99:])
    assert found.query("kind == 'patient_id'")["test_id"].tolist() == [patients["patient_id"][99]]


def test_something_else_than_a_table_is_refused():
    with pytest.raises(InputError, match="test is a list: give a DataFrame"):
        find_leakage(features(), [1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"CD8": [1.0, np.inf, 3.0]}, r"train, column CD8: not finite in 1 row \(b\)"),
        ({"event": ["yes", "no", None]}, r"train, column event: no number in 2 rows \(a, b\)"),
        ({"patient_id": [None] * 3}, r"train has no patient_id in rows 0, 1, 2"),
    ],
)
def test_values_that_cannot_be_compared_are_refused(change, message):
    table = pd.DataFrame({"CD8": [1.0, 2.0, 3.0], "time": 1.0, "event": 1}, index=list("abc"))
    with pytest.raises(InputError, match=message):
        find_leakage(table.assign(**change))


def simulated(seed, **changes):
    study = simulate_study(n_patients=120, seed=seed, **changes)
    return study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value", observed=True
    )


def halves(values, copies):
    """Return a training half, and the other half with copies of training patients."""
    return values.iloc[:70], pd.concat([values.iloc[70:], copies])


@pytest.mark.parametrize("changes", [{}, {"markers": 1}, {"batch_effect": 0.5, "n_cohorts": 2}])
def test_clean_simulated_studies_are_silent(changes):
    """At most .01 pairs are expected in a comparison: 8 studies with none, in one table and two."""
    for seed in range(4):
        values = simulated(seed, **changes)
        assert find_leakage(values.iloc[:70], values.iloc[70:]).empty
        assert find_leakage(values).empty


def floored(share):
    def change(normal, limits):
        return np.where(normal < ndtri(share), limits, np.exp(normal))

    return change


def in_steps(normal, _limits):
    steps = np.array([0, 1, 5, *range(10, 100, 10)], float)
    return steps[(ndtr(normal) * len(steps)).astype(int)]


def mixed(normal, _limits):
    """Four binary columns, age and a marker of the serum."""
    yes = (normal[:, :4] > 0).astype(float)
    return np.column_stack([yes, np.round(60 + 10 * normal[:, 4]), np.exp(2 * normal[:, 5])])


COARSE = {
    "floor .02": floored(0.02),
    "floor .6": floored(0.6),
    "floor .8": floored(0.8),
    "steps": in_steps,
    "mixed": mixed,
    "skewed": lambda normal, _limits: np.exp(2 * normal),
}


@pytest.mark.parametrize("change", COARSE.values(), ids=COARSE)
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_coarse_and_correlated_columns_accuse_nobody(change, correlation):
    """Values at a limit, percentages and binary columns agree by chance, all the more together."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        common, own = rng.normal(size=(160, 1)), rng.normal(size=(160, 12))
        normal = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
        values = pd.DataFrame(change(normal, np.linspace(0.01, 0.02, 12)))
        values = values.set_axis([f"P{k}" for k in range(160)])
        assert find_leakage(values).empty
        assert find_leakage(values.iloc[:90], values.iloc[90:]).empty


@pytest.mark.parametrize("change", [floored(0.6), in_steps])
def test_coarse_copies_are_found_by_their_follow_up(change):
    rng = np.random.default_rng(1)
    values = pd.DataFrame(change(rng.normal(size=(80, 12)), np.linspace(0.01, 0.02, 12)))
    values = values.assign(time=rng.exponential(40, 80).round(2), event=1)
    copies = values.iloc[[3, 4]].set_axis(["y", "z"])
    copies.loc["z", "time"] = 99.0
    found = find_leakage(values.set_axis([f"P{k}" for k in range(80)]), copies)
    assert found[["kind", "train_id", "test_id"]].to_numpy().tolist() == [
        ["identical_features", "P3", "y"]
    ]
    assert found["expected"].max() < 0.01


def rounded(copies):
    return copies.map(lambda value: float(f"{value:.2e}"))


def stained_anew(copies):
    fresh = copies.copy()
    fresh.iloc[:, :4] = np.random.default_rng(1).lognormal(size=(10, 4))
    return fresh


@pytest.mark.parametrize(
    ("change", "kind"), [(rounded, "near_features"), (stained_anew, "shared_values")]
)
def test_copies_are_found_after_rounding_or_a_new_stain(change, kind):
    values = simulated(1)
    copies = values.iloc[:10].set_axis([f"copy {k}" for k in range(10)])
    found = find_leakage(*halves(values, change(copies)))
    assert found["kind"].unique().tolist() == [kind]
    assert found["train_id"].tolist() == values.index[:10].tolist()
    assert found["test_id"].tolist() == copies.index.tolist()
    assert found["expected"].max() < 0.01


def test_copies_in_another_unit_are_found():
    values = simulated(2)
    copies = values.iloc[:10].set_axis([f"copy {k}" for k in range(10)])
    train, test = halves(values, copies)
    test = test.mul(np.where(np.arange(test.shape[1]) < 3, 1000.0, 1.0))
    found = find_leakage(train, test)
    assert found["kind"].isin(["rescaled_features", "shared_values"]).all()
    assert set(found["test_id"]) == set(copies.index)
    assert find_leakage(train, test.iloc[:50]).empty


def test_tiles_of_one_patient_on_both_sides_are_found_by_name():
    study = simulate_study(n_patients=40, n_images=3, seed=3)
    tiles = study.measurements.pivot_table(
        index=["patient_id", "image_id"], columns=["marker", "region"], values="value"
    ).reset_index(level="image_id", drop=True)
    rng = np.random.default_rng(1)
    picked = rng.permutation(len(tiles)) < len(tiles) * 3 / 4
    found = find_leakage(tiles[picked], tiles[~picked])
    assert found["kind"].unique().tolist() == ["patient_id"]
    assert set(found["test_id"]) == set(tiles.index[picked]) & set(tiles.index[~picked])
    by_patient = tiles.index < tiles.index[90]
    assert find_leakage(tiles[by_patient], tiles[~by_patient]).empty


def test_names_are_compared_without_case_space_and_zeros():
    train = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["HCC 007", "x1", "1.05"])
    test = pd.DataFrame({"a": [4.0, 5.0, 6.0]}, index=["hcc7", "x10", "1.5"])
    found = find_leakage(train, test)
    assert found[["kind", "train_id", "test_id"]].to_numpy().tolist() == [
        ["similar_id", "HCC 007", "hcc7"]
    ]
    assert find_leakage(pd.concat([train, test]))["train_id"].tolist() == ["HCC 007"]


def test_white_space_between_digits_tells_patients_apart():
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["1 12", "11 2", "01 12"])
    assert find_leakage(table)[["train_id", "test_id"]].to_numpy().tolist() == [["1 12", "01 12"]]


def test_equal_outcomes_are_told_apart():
    values = simulated(4).set_axis([f"f{k}" for k in range(10)], axis=1)
    copies = values.iloc[:2].set_axis(["y", "z"])
    train, test = halves(values, copies)
    train = train.assign(time=np.arange(70.0), event=1)
    test = test.assign(time=[*range(100, 150), 0.0, 9.0], event=1)
    assert find_leakage(train, test)["same_outcome"].tolist() == [True, False]
    assert find_leakage(train, test.drop(columns="time"))["same_outcome"].isna().all()


def test_published_scores_in_two_tables_are_found():
    """The faults of the published study: both tables share the maximum .94822 (and 60 others)."""
    rng = np.random.default_rng(1)
    score = pd.Series(rng.beta(1.2, 1.8, 231)).round(5)
    score.iloc[0] = 0.94822
    names = [f"V{k}" for k in range(231)]
    validation = pd.DataFrame({"patient_id": names, "score": score})
    discovery = pd.DataFrame({"patient_id": [f"D{k}" for k in range(61)], "score": score[:61]})
    found = find_leakage(discovery, validation)
    assert found["kind"].unique().tolist() == ["identical_scores"]
    pairs = set(zip(found["train_id"], found["test_id"], strict=True))
    assert {(f"D{k}", f"V{k}") for k in range(61)} <= pairs
    fresh = discovery.assign(score=rng.beta(1.2, 1.8, 61).round(5))
    assert find_leakage(fresh, validation).empty
    coarse = [table.round({"score": 1}) for table in (fresh, validation)]
    assert find_leakage(*coarse).empty


def test_coarse_rows_that_chance_makes_alike_are_left_out():
    patients = load_hcc_ihc().patients[["patient_id", "age", "cirrhosis"]]
    assert find_leakage(patients.iloc[:100], patients.iloc[100:]).empty
