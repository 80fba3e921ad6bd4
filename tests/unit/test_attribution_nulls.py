"""Nulls of location: exact where they claim it, blind to levels, and with the kept error rates."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution import (
    conditional_location_test,
    integration_test,
    label_exchangeability_test,
    random_labelling_test,
)
from times_stats.attribution.null_permutations import (
    _exchangeable_regions,
    _permute_within,
    _projections,
)
from times_stats.attribution.permutation import permutation_p
from times_stats.attribution.rank_scores import normal_scores_within
from times_stats.attribution.score_statistic import fit_without_location
from times_stats.errors import InputError
from times_stats.simulate import simulate_study

ROOT = Path(__file__).parents[2]
COLUMNS = pd.MultiIndex.from_product([["A", "B"], ["front", "centre"]], names=["marker", "region"])


def study(n=60, seed=0, columns=COLUMNS):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    features = pd.DataFrame(rng.lognormal(size=(n, len(columns))), index, columns)
    outcome = pd.DataFrame(
        {"time": rng.exponential(20, n).round(1) + 0.1, "event": rng.integers(0, 2, n)}, index
    )
    stages = pd.DataFrame(
        {"tnm": pd.Categorical(rng.choice(["I", "II"], n), ["I", "II"], ordered=True)}, index
    )
    return features, outcome, stages


def cells(n=40, seed=0, n_images=2):
    rng = np.random.default_rng(seed)
    names = [f"p{i:03d}" for i in range(n)]
    images = pd.MultiIndex.from_product(
        [names, [f"i{k}" for k in range(n_images)]], names=["patient_id", "image_id"]
    )
    immune = rng.poisson(60, (len(images), 2)) + 5
    first = rng.binomial(immune, 0.2)
    marked = np.stack([first, rng.binomial(immune - first, 0.1)], axis=1)
    outcome = pd.DataFrame({"time": rng.exponential(20, n) + 0.1, "event": 1}, index=names)
    return (
        pd.DataFrame(marked.reshape(len(images), -1), index=images, columns=COLUMNS),
        pd.DataFrame(immune, index=images, columns=["front", "centre"]),
        outcome,
    )


# P-values.


def test_the_observed_labelling_is_one_of_the_possible():
    found = permutation_p(1.0, iter([np.array([0.0, 2.0]), np.array([1.0, 0.5])]))
    assert (found.n_permutations, found.n_reached) == (4, 2)
    assert found.p_value == pytest.approx(3 / 5)
    assert found.error == pytest.approx(np.sqrt(0.6 * 0.4 / 4))


def test_stopping_early_draws_no_more_than_needed():
    drawn = []

    def batches():
        for start in range(0, 100, 10):
            drawn.append(start)
            yield np.full(10, 5.0)

    found = permutation_p(1.0, batches(), stop_after=12)
    assert (found.p_value, found.n_permutations, len(drawn)) == (1.0, 12, 2)
    never = permutation_p(9.0, iter([np.zeros(19)]), stop_after=5)
    assert never.p_value == 1 / 20


def test_no_permutation_is_refused():
    with pytest.raises(InputError, match="n_permutations of 1 or more"):
        permutation_p(1.0, iter([]))


def test_stopped_p_values_are_valid():
    rng = np.random.default_rng(0)
    p = np.array(
        [permutation_p(rng.random(), iter([rng.random(99)]), stop_after=10).p_value
         for _ in range(4000)]
    )  # fmt: skip
    for level in (0.05, 0.1, 0.3, 0.5):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / p.size)


# Exchanging regions.


def test_the_share_of_all_exchanges_is_what_random_ones_estimate():
    """Ten patients have 1,024 exchanges of two regions; the p-value over all of them is exact."""
    features, outcome, _ = study(n=10, seed=3)
    outcome["event"] = 1
    scores = normal_scores_within(features.to_numpy(), np.zeros(10, dtype=int))
    found = label_exchangeability_test(features, outcome, n_permutations=9999, seed=1)
    level = np.repeat((scores[:, ::2] + scores[:, 1::2]) / 2, 2, axis=1)
    contrast = scores - level
    z = found.scores["z"].to_numpy()
    residual = fit_without_location(outcome, level[:, ::2]).residual
    np.testing.assert_allclose(
        z, residual @ contrast / np.sqrt(residual**2 @ contrast**2), rtol=1e-10
    )
    every = np.array(list(itertools.product([1.0, -1.0], repeat=10)))
    permuted = np.einsum("si,ij->sj", every * residual, contrast)
    statistic = (permuted**2 / (residual**2 @ contrast**2)).sum(axis=1)
    exact = (statistic >= found.statistic * (1 - 1e-9)).mean()
    assert found.p_value == pytest.approx(exact, abs=4 * found.p_error)


def test_names_and_order_of_the_regions_do_not_matter():
    features, outcome, stages = study(seed=1)
    found = label_exchangeability_test(features, outcome, stages=stages)
    turned = features[features.columns[[1, 0, 3, 2]]]
    again = label_exchangeability_test(turned, outcome, stages=stages)
    assert again.statistic == pytest.approx(found.statistic, rel=1e-10)


def test_a_region_that_only_stains_stronger_changes_nothing():
    features, outcome, stages = study(seed=2)
    found = label_exchangeability_test(features, outcome, stages=stages)
    stronger = features.copy()
    stronger[("A", "front")] = 7 * stronger[("A", "front")] ** 2
    again = label_exchangeability_test(stronger, outcome, stages=stages)
    assert (again.statistic, again.p_value) == (found.statistic, found.p_value)


def test_regions_move_only_among_those_with_the_same_markers():
    groups = np.array([[3, 3, 1], [1, 3, 1], [0, 1, 2]])
    order = _permute_within(groups, 200, np.random.default_rng(0))
    assert (np.sort(order, axis=2) == np.arange(3)).all()
    moved = np.take_along_axis(np.broadcast_to(groups, order.shape), order, axis=2)
    assert (moved == groups).all()
    assert {tuple(row) for row in order[:, 0]} == {(0, 1, 2), (1, 0, 2)}
    assert {tuple(row) for row in order[:, 1]} == {(0, 1, 2), (2, 1, 0)}
    assert {tuple(row) for row in order[:, 2]} == {(0, 1, 2)}


def test_patients_with_nothing_to_exchange_are_counted():
    features, outcome, _ = study(n=30)
    features.iloc[:4, 0] = np.nan  # A in one region, B in both: no two regions are alike
    found = label_exchangeability_test(features, outcome)
    assert found.notes == (
        "4 patients have no two regions with the same markers: nothing to exchange.",
    )


# Location given levels.


def test_what_is_left_of_a_contrast_is_free_of_levels_however_often_it_is_taken_out():
    rng = np.random.default_rng(0)
    given = np.column_stack([np.ones(50), rng.normal(size=(50, 3))])
    given = np.column_stack([given, given[:, 1] + given[:, 2]])  # a column that repeats others
    known = rng.random((50, 2, 2)) < 0.8
    contrast = rng.normal(size=(3, 50, 2, 2)) * known
    remove = _projections(known, given)
    left = remove(contrast)
    np.testing.assert_allclose(remove(left), left, atol=1e-12)
    np.testing.assert_allclose(np.einsum("ip,bimr->bpmr", given, left), 0, atol=1e-10)
    assert (left[:, ~known] == 0).all()
    one, *_ = np.linalg.lstsq(given[known[:, 0, 0]], contrast[1, known[:, 0, 0], 0, 0], rcond=None)
    wanted = contrast[1, known[:, 0, 0], 0, 0] - given[known[:, 0, 0]] @ one
    np.testing.assert_allclose(left[1, known[:, 0, 0], 0, 0], wanted, atol=1e-10)


def test_location_is_found_and_levels_alone_are_not():
    for test in (label_exchangeability_test, conditional_location_test):
        rejected = {}
        for effect in (0.0, np.log(2.0)):
            p = []
            for seed in range(20):
                made = simulate_study(location_effect=effect, effect=0.8, seed=seed)
                features = made.measurements.pivot_table(
                    index="patient_id", columns=["marker", "region"], values="value"
                )
                outcome = made.patients.set_index("patient_id")[["time", "event"]]
                p.append(test(features, outcome, n_permutations=19, seed=seed).p_value)
            rejected[effect] = np.mean(np.array(p) <= 0.05)
        assert rejected[np.log(2.0)] >= 0.8
        assert rejected[0.0] <= 0.25  # 5 or fewer of 20: exceeded with probability .0003 at 5 %


def test_cohorts_bound_what_is_exchanged():
    features, outcome, stages = study(n=60, seed=4)
    outcome["cohort"] = ["a"] * 59 + ["b"]
    found = conditional_location_test(features, outcome, stages=stages)
    assert found.notes == ("1 patients are alone in their stratum and stay in place.",)
    alone = outcome.assign(cohort=[f"c{i}" for i in range(60)])
    with pytest.raises(InputError, match="cohort"):
        conditional_location_test(features, alone)


def test_results_repeat_and_differ_by_seed():
    features, outcome, stages = study(seed=5)
    for test in (label_exchangeability_test, conditional_location_test):
        found = [test(features, outcome, stages=stages, seed=seed).p_value for seed in (1, 1, 2, 3)]
        assert found[0] == found[1]
        assert len({*found[1:]}) > 1


# Random labelling.


def test_marks_that_cannot_move_are_refused():
    counts, immune, outcome = cells()
    counts.loc[:, ("A", slice(None))] = immune.to_numpy()
    counts.loc[:, ("B", slice(None))] = 0
    with pytest.raises(InputError, match="nothing can move"):
        random_labelling_test(counts, immune, outcome)
    # In one image each, all cells carry it: what moves is in the other image alone.
    counts, immune, outcome = cells()
    first = np.flatnonzero(counts.index.get_level_values("image_id") == "i0")
    counts.iloc[first, :2], counts.iloc[first, 2:] = immune.iloc[first].to_numpy(), 0
    found = random_labelling_test(counts, immune, outcome, n_permutations=19)
    assert 0 < found.p_value <= 1


def test_marks_at_the_front_of_early_events_are_found():
    counts, immune, outcome = cells(n=60, seed=1)
    share = (counts[("A", "front")] - counts[("A", "centre")]).groupby(level=0).sum()
    order = np.argsort(-share.to_numpy())
    outcome = outcome.iloc[order].assign(time=np.arange(1.0, 61.0)).sort_index()
    found = random_labelling_test(counts, immune, outcome, seed=1)
    assert found.p_value == 1 / 200
    z = found.scores.set_index(["marker", "region"])["z"]
    assert z["A", "front"] > 3 > -3 > z["A", "centre"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, i, o: (c + 100, i, o), "more marked than immune"),
        (lambda c, i, o: (c - 100, i, o), "counts must be whole numbers"),
        (lambda c, i, o: (c, i.iloc[::-1], o), "not of the same images"),
        (lambda c, i, o: (c, i.rename(columns={"front": "rim"}), o), "no column for the regions"),
        (lambda c, i, o: (c.iloc[:, :3], i, o), "every marker in every region"),
        (lambda c, i, o: (c.droplevel(1), i.droplevel(1), o), "each image once"),
        (lambda c, i, o: (c.droplevel(1, axis=1), i, o), "columns of"),
        (lambda c, i, o: (c, i, o.iloc[1:]), "patients without an outcome"),
        (lambda c, i, o: (c.iloc[2:], i.iloc[2:], o), "have no image"),
    ],
)
def test_bad_counts(change, message):
    with pytest.raises(InputError, match=message):
        random_labelling_test(*change(*cells()))


@pytest.mark.parametrize("test", [label_exchangeability_test, conditional_location_test])
def test_bad_tables(test):
    features, outcome, stages = study()
    with pytest.raises(InputError, match="not of the same patients"):
        test(features, outcome.iloc[::-1])
    with pytest.raises(InputError, match=r"stages are missing for 1 patients \(p003\)"):
        test(features, outcome, stages=stages.drop(index="p003").reindex(stages.index))
    with pytest.raises(InputError, match="ordered categoricals"):
        test(features, outcome, stages=stages.astype(str))
    apart = features.copy()
    apart.iloc[:30, ::2] = np.nan
    apart.iloc[30:, 1::2] = np.nan
    for odd in (features[[("A", "front")]], apart):
        with pytest.raises(InputError, match="no patient has a marker in two regions"):
            test(odd, outcome)
    with pytest.raises(InputError, match="no event"):
        test(features, outcome.assign(event=0))
    for options in ({"n_permutations": 0}, {"n_permutations": 9.5}, {"stop_after": 0}):
        with pytest.raises(InputError, match=f"{next(iter(options))} is .* whole number of 1"):
            test(features, outcome, **options)
    with pytest.raises(InputError, match="hold infinite values"):
        test(features.replace(features.iloc[3, 0], np.inf), outcome)
    with pytest.raises(InputError, match="not numbers"):
        test(features.astype({("A", "front"): str}), outcome)
    with pytest.raises(InputError, match="twice: keep one"):
        test(features[[*COLUMNS, COLUMNS[0]]], outcome)
    with pytest.raises(InputError, match="columns of"):
        test(features.droplevel(0, axis=1), outcome)
    doubled = [*range(59), 0]
    with pytest.raises(InputError, match=r"there twice \(p000\)"):
        test(features.iloc[doubled], outcome.iloc[doubled])
    with pytest.raises(InputError, match="cohort is missing"):
        test(features, outcome.assign(cohort=["a", None] * 30))


def test_levels_that_leave_nothing_are_refused():
    features, outcome, _ = study(n=20)
    rng = np.random.default_rng(0)
    many = pd.DataFrame(rng.normal(size=(20, 25)), index=features.index)
    with pytest.raises(InputError, match="leave nothing of where the markers sit"):
        conditional_location_test(features, outcome, levels=many)
    with pytest.raises(InputError, match="columns that are not numbers"):
        conditional_location_test(features, outcome, levels=many.astype(str))


def test_a_sample_that_cannot_carry_a_test_keeps_its_ladder():
    """Forty patients with 45 markers: levels leave nothing of the contrasts, and that is said."""
    rng = np.random.default_rng(0)
    columns = pd.MultiIndex.from_product(
        [[f"M{k}" for k in range(45)], ["a", "b"]], names=["marker", "region"]
    )
    features, outcome, _ = study(n=40, columns=columns)
    outcome["event"] = 1
    result = integration_test(
        features,
        outcome,
        stages=None,
        folds=rng.permutation(40)[None] % 4,
        horizon=20.0,
        n_resamples=20,
        n_permutations=19,
    )
    nulls = result.nulls.set_index("null")
    assert np.isnan(nulls.loc["conditional location", "p_value"])
    assert 0 < nulls.loc["label exchangeability", "p_value"] <= 1
    assert "(not testable here, the headline test)" in result.statement
    assert any("leave nothing of where the markers sit" in note for note in result.notes)
    assert len(result.differences)


def test_regions_of_many_markers_are_told_apart():
    """Seventy markers have more patterns than bits in a whole number."""
    measured = np.ones((2, 70, 2), dtype=bool)
    measured[0, 69, 1] = False
    groups = _exchangeable_regions(measured)
    assert groups[0, 0] != groups[0, 1]
    assert groups[1, 0] == groups[1, 1] == groups[0, 0]


def test_levels_that_hold_a_region_leave_little_and_say_so():
    features, outcome, _ = study(n=100)
    mean = pd.DataFrame({"A": features[("A", "front")], "B": features[("B", "front")]})
    free = conditional_location_test(features, outcome).scores["free"]
    assert (free > 0.9).all()
    held = conditional_location_test(features, outcome, levels=mean).scores["free"]
    assert (held < 0.7).all()


def test_a_cohort_that_stains_otherwise_changes_nothing():
    features, outcome, stages = study(n=90, seed=6)
    outcome["cohort"] = np.array(["a", "b", "c"])[np.arange(90) % 3]
    other = features.copy()
    other.loc[outcome["cohort"] == "b", ("A", "front")] *= 50
    for test in (label_exchangeability_test, conditional_location_test):
        found, again = (test(table, outcome, stages=stages) for table in (features, other))
        assert (again.statistic, again.p_value) == (found.statistic, found.p_value)


def test_images_without_cells_are_allowed():
    counts, immune, outcome = cells()
    counts.iloc[4] = 0
    immune.iloc[4] = 0
    assert 0 < random_labelling_test(counts, immune, outcome, n_permutations=19).p_value <= 1


# Kept p-values.


BENCHMARK = ROOT / "benchmarks" / "calibration" / "location_nulls.py"
KEPT = sorted(BENCHMARK.with_suffix("").glob("*.csv"))


@pytest.fixture(scope="module")
def location_nulls():
    spec = importlib.util.spec_from_file_location("location_nulls_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_p_values_of_every_case_are_kept(location_nulls):
    assert {file.stem for file in KEPT} == set(location_nulls.CASES)
    for file in KEPT:
        table = pd.read_csv(file)
        assert table["study"].tolist() == list(range(location_nulls.STUDIES))


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_kept_p_values_follow_from_their_seeds(location_nulls, file):
    table = pd.read_csv(file)
    for row in table.sample(5, random_state=len(file.stem)).to_dict("records"):
        assert location_nulls.one_study(file.stem, int(row["study"])) == pytest.approx(row)


def test_kept_rejections_are_those_claimed(location_nulls):
    """Size where the null holds, in one band for all rates; power at a hazard ratio of 2."""
    low, high = location_nulls.null_band()
    for file in KEPT:
        kind, _, hazard_ratio = location_nulls.CASES[file.stem]
        rejected = (pd.read_csv(file).drop(columns="study") <= 0.05).mean()
        if hazard_ratio == 1.0 and kind not in location_nulls.NOT_CLAIMED:
            assert rejected.between(low, high).all(), file.stem
        if hazard_ratio == 2.0 and kind != "marks":
            assert (rejected >= 0.8).all(), file.stem
