"""Group Shapley values of predictions, sums of feature values, hybrids unlike any patient."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution.off_support import off_support_fraction
from times_stats.attribution.prediction_game import (
    prediction_shapley,
    sum_feature_shapley,
    summarise_prediction_shapley,
)
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng
from times_stats.rivals.cox import RidgeCox

TIMES = np.array([6.0, 12.0, 24.0])
COLUMNS = pd.MultiIndex.from_product(
    [["CD8", "CD57", "CD68"], ["core", "rim"]], names=["marker", "region"]
)
BY_CELL = {f"{marker} in {region}": [(marker, region)] for marker, region in COLUMNS}
BY_MARKER = {marker: [(marker, "core"), (marker, "rim")] for marker in ("CD8", "CD57", "CD68")}


@pytest.fixture(scope="module")
def cohort():
    rng = spawn_rng(1, "cohort")
    X = pd.DataFrame(np.exp(rng.normal(size=(60, 6))), columns=COLUMNS)
    hazard = np.exp(0.6 * np.log(X["CD8", "core"]) - 0.4 * np.log(X["CD57", "rim"]))
    time = rng.exponential(20.0 / hazard.to_numpy())
    y = pd.DataFrame({"time": np.minimum(time, 40.0), "event": (time < 40.0).astype(int)})
    return X, RidgeCox().fit(X, y)


def rmst(model, X, horizon=24.0):
    times = model.event_times_[model.event_times_ < horizon]
    steps = np.diff(np.r_[0.0, times, horizon])
    survival = model.predict_survival(X, times=np.r_[times, horizon])
    return steps[0] + survival[:, : times.size] @ steps[1:]


PREDICTIONS = {
    "log hazard": lambda model: model.predict,
    "survival": lambda model: lambda X: model.predict_survival(X, times=TIMES),
    "rmst": lambda model: lambda X: rmst(model, X),
}


def over_all_orders(predict, x, background, groups):
    """Shapley values of one patient, hybrid by hybrid and order by order."""
    worth = {}

    def value(coalition):
        if coalition not in worth:
            hybrids = background.copy()
            for name in coalition:
                for column in groups[name]:
                    hybrids[column] = x[column]
            worth[coalition] = np.asarray(predict(hybrids)).mean(axis=0)
        return worth[coalition]

    names = [*groups]
    orders = [*permutations(names)]
    total = dict.fromkeys(names, 0.0)
    for order in orders:
        for k, name in enumerate(order):
            before, after = frozenset(order[:k]), frozenset(order[: k + 1])
            total[name] = total[name] + (value(after) - value(before)) / len(orders)
    return np.stack([np.atleast_1d(total[name]) for name in names])


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_three_markers_in_two_regions_equal_the_average_over_all_orders(cohort, kind):
    X, model = cohort
    predict = PREDICTIONS[kind](model)
    result = prediction_shapley(predict, X[:2], X, groups=BY_CELL)
    assert result.values.dims == ("patient", "player", "output")
    for i in range(2):
        expected = over_all_orders(predict, X.iloc[i], X, BY_CELL)
        np.testing.assert_allclose(result.values[i], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_values_and_base_add_up_to_the_prediction(cohort, kind):
    X, model = cohort
    predict = PREDICTIONS[kind](model)
    result = prediction_shapley(predict, X, X[:30], groups=BY_MARKER)
    numbers = np.asarray(predict(X)).reshape(len(X), -1)
    base = np.asarray(predict(X[:30])).reshape(30, -1).mean(axis=0)
    np.testing.assert_allclose(result.values.sum("player") + base, numbers, rtol=0, atol=1e-8)
    np.testing.assert_allclose(result.base, base, atol=1e-12)
    np.testing.assert_allclose(result.prediction, numbers, atol=1e-12)
    assert result.is_exact


def test_of_a_log_hazard_groups_and_sums_of_columns_are_the_same(cohort):
    X, model = cohort
    grouped = prediction_shapley(model.predict, X, X, groups=BY_MARKER)
    summed = sum_feature_shapley(model.predict, X, X, groups=BY_MARKER)
    np.testing.assert_allclose(grouped.values, summed.values, atol=1e-10)
    transformed = model.transform_.apply(X.to_numpy()) * model.coef_
    own = (transformed - transformed.mean(axis=0)).reshape(len(X), 3, 2).sum(axis=2)
    np.testing.assert_allclose(grouped.values[:, :, 0], own, atol=1e-10)


def test_of_a_survival_probability_they_differ(cohort):
    X, model = cohort

    def predict(table):
        return model.predict_survival(table, times=TIMES)

    grouped = prediction_shapley(predict, X, X, groups=BY_MARKER, outputs=TIMES)
    summed = sum_feature_shapley(predict, X, X, groups=BY_MARKER, outputs=TIMES)
    assert grouped.values["output"].to_numpy().tolist() == TIMES.tolist()
    np.testing.assert_allclose(
        grouped.values.sum("player"), summed.values.sum("player"), atol=1e-10
    )
    assert np.abs(grouped.values - summed.values).max() > 1e-4


def test_an_interaction_is_split_by_groups_or_by_columns():
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, 8).T
    X = pd.DataFrame(np.tile(signs, (5, 1)), columns=["a", "b", "c"])
    groups = {"ab": ["a", "b"], "c": ["c"]}

    def product(table):
        return table.prod(axis=1).to_numpy()

    grouped = prediction_shapley(product, X, X, groups=groups).values[:, :, 0]
    summed = sum_feature_shapley(product, X, X, groups=groups).values[:, :, 0]
    whole = product(X)[:, None]
    np.testing.assert_allclose(grouped, whole * [1 / 2, 1 / 2], atol=1e-12)
    np.testing.assert_allclose(summed, whole * [2 / 3, 1 / 3], atol=1e-12)


def test_more_columns_than_can_be_tried_are_sampled_and_still_add_up(cohort):
    X, model = cohort

    def predict(table):
        return model.predict_survival(table, times=TIMES[:1])

    exact = prediction_shapley(predict, X[:5], X, groups=BY_CELL)
    found = prediction_shapley(
        predict, X[:5], X, groups=BY_CELL, max_exact_players=3, n_pairs=30, seed=2
    )
    assert not found.is_exact
    np.testing.assert_allclose(found.values.sum("player"), exact.values.sum("player"), atol=1e-10)
    z = (found.values - exact.values) / found.monte_carlo_se
    assert np.abs(z).max() < 4.5


def test_batches_change_nothing(cohort, monkeypatch):
    X, model = cohort
    whole = prediction_shapley(model.predict, X, X, groups=BY_MARKER).values
    monkeypatch.setattr("times_stats.attribution.prediction_game._ROWS_AT_ONCE", 100)
    np.testing.assert_allclose(
        prediction_shapley(model.predict, X, X, groups=BY_MARKER).values, whole, atol=1e-14
    )


def test_summary_is_the_mean_of_absolute_values_with_intervals(cohort):
    X, model = cohort
    result = prediction_shapley(
        lambda table: model.predict_survival(table, times=TIMES), X, X, groups=BY_MARKER
    )
    table = summarise_prediction_shapley(result, n_resamples=2000, rng=spawn_rng(1))
    assert table["player"].to_list() == [*BY_MARKER] * 3
    assert table["output"].to_list() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    size = np.abs(result.values)
    np.testing.assert_allclose(table["estimate"], size.mean("patient").T.to_numpy().ravel())
    np.testing.assert_allclose(table.groupby("output")["share"].sum(), 1.0)
    se = (size.std("patient") / np.sqrt(len(X))).T.to_numpy().ravel()
    np.testing.assert_allclose(table["se"], se, rtol=0.1)
    assert ((table["lower"] < table["estimate"]) & (table["estimate"] < table["upper"])).all()


def correlated(rho, *, n, seed):
    rng = spawn_rng(seed, "rows")
    shared, own = rng.normal(size=(n, 3, 1)), rng.normal(size=(n, 3, 2))
    return pd.DataFrame(np.exp(np.sqrt(rho) * shared + np.sqrt(1 - rho) * own).reshape(n, 6))


def mean_fraction(rho, groups, *, n=150):
    return np.mean([
        off_support_fraction(
            (X := correlated(rho, n=n, seed=seed)),
            X,
            groups=groups,
            n_hybrids=1000,
            rng=spawn_rng(seed),
        ).fraction
        for seed in range(20)
    ])  # fmt: skip


def test_hybrids_of_independent_groups_are_like_patients_and_of_correlated_ones_are_not():
    single = {str(j): np.array([j]) for j in range(6)}
    pairs = {str(j): np.array([2 * j, 2 * j + 1]) for j in range(3)}
    # sd of one fraction is about .02 (95 % quantile of 150 distances), of the mean of 20 .005
    assert mean_fraction(0.0, single) == pytest.approx(0.05, abs=0.02)
    assert mean_fraction(0.9, single) > 0.3
    # correlation inside the groups is kept by every hybrid
    assert mean_fraction(0.9, pairs) == pytest.approx(0.05, abs=0.02)


def tied(n_values, *, seed, n=150):
    return pd.DataFrame(spawn_rng(seed, "tied").integers(n_values, size=(n, 2)).astype(float))


def twice(table):
    return pd.concat([table, table], ignore_index=True)


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: tied(2, seed=seed),
        lambda seed: tied(5, seed=seed),
        lambda seed: tied(5, seed=seed, n=40),
        lambda seed: twice(tied(5, seed=seed)),
        lambda seed: twice(correlated(0.0, n=150, seed=seed)),
    ],
    ids=["two values", "five values", "five values, few rows", "tied rows twice", "rows twice"],
)
def test_ties_of_independent_columns_do_not_make_hybrids_look_strange(draw):
    fractions = []
    for seed in range(10):
        X = draw(seed)
        groups = {str(j): np.array([j]) for j in range(X.shape[1])}
        found = off_support_fraction(X, X, groups=groups, n_hybrids=1000, rng=spawn_rng(seed))
        fractions.append(found.fraction)
    # sd of one fraction is about .02, of the mean of 10 less than .01
    assert np.mean(fractions) < 0.07


def test_dependence_is_seen_through_ties_and_copies():
    shared = spawn_rng(1, "shared").integers(5, size=150).astype(float)
    groups = {"a": np.array([0]), "b": np.array([1])}
    X = pd.DataFrame({"a": shared, "b": shared})
    for table in (X, twice(X)):
        found = off_support_fraction(table, table, groups=groups, rng=spawn_rng(1))
        # two of independent rows differ with probability .8
        assert found.fraction == pytest.approx(0.8, abs=0.05)
    single = {str(j): np.array([j]) for j in range(6)}
    X = correlated(0.9, n=150, seed=1)
    once, again = (
        off_support_fraction(table, table, groups=single, rng=spawn_rng(1))
        for table in (X, twice(X))
    )
    assert once.limit == pytest.approx(again.limit)
    assert again.fraction == pytest.approx(once.fraction, abs=0.05)


def test_off_support_does_not_depend_on_the_scale_of_the_markers():
    X = correlated(0.5, n=80, seed=1)
    groups = {"a": np.arange(3), "b": np.arange(3, 6)}
    one = off_support_fraction(X, X, groups=groups, rng=spawn_rng(1))
    other = off_support_fraction(X**3 + 5, X**3 + 5, groups=groups, rng=spawn_rng(1))
    assert one == other
    assert one.se == pytest.approx(np.sqrt(one.fraction * (1 - one.fraction) / 4000))


def test_without_hybrids_there_is_no_fraction():
    X = correlated(0.5, n=30, seed=1)
    assert np.isnan(
        off_support_fraction(X, X, groups={"a": np.arange(6)}, rng=spawn_rng(1)).fraction
    )
    flat = X * 0.0
    groups = {"a": np.arange(3), "b": np.arange(3, 6)}
    assert off_support_fraction(flat, flat, groups=groups, rng=spawn_rng(1)).n_hybrids == 0


def test_missing_values_and_many_patients_are_taken():
    X = correlated(0.5, n=2100, seed=1)
    X.iloc[::7, 2] = np.nan
    found = off_support_fraction(
        X, X, groups={"a": np.arange(3), "b": np.arange(3, 6)}, n_hybrids=500, rng=spawn_rng(1)
    )
    assert 0.0 < found.fraction < 0.5


def test_faults_are_listed(cohort):
    X, model = cohort
    groups = {**BY_MARKER, "CD57": [("CD8", "core"), ("CD4", "rim")], "none": []}
    with pytest.raises(InputError) as caught:
        prediction_shapley(model.predict, X, X.iloc[:, :5], groups=groups)
    told = str(caught.value)
    for part in (
        "do not have the same columns",
        "that X does not have (('CD4', 'rim'))",
        "in no group (('CD57', 'core'), ('CD57', 'rim'))",
        "in two groups (('CD8', 'core'))",
        "groups have no column (none)",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda table: np.zeros(len(table) - 1), r"predict returned shape \(59,\) for 60"),
        (lambda table: np.full(len(table), np.nan), "missing or infinite"),
    ],
)
def test_a_prediction_that_is_none(cohort, predict, message):
    X, _ = cohort
    with pytest.raises(InputError, match=message):
        prediction_shapley(predict, X, X, groups=BY_MARKER)


def test_the_background_is_checked_before_anything_is_predicted(cohort):
    X, _ = cohort

    def predict(table):
        raise AssertionError("predicted")

    for play in (prediction_shapley, sum_feature_shapley):
        with pytest.raises(InputError, match="background has 19 patients"):
            play(predict, X, X[:19], groups=BY_MARKER)


def test_the_order_of_the_background_columns_changes_nothing(cohort):
    X, model = cohort
    moved = prediction_shapley(model.predict, X, X[X.columns[::-1]], groups=BY_MARKER)
    kept = prediction_shapley(model.predict, X, X, groups=BY_MARKER)
    assert moved.off_support == kept.off_support


def test_other_faults(cohort):
    X, model = cohort
    with pytest.raises(InputError, match="background has 19 patients"):
        prediction_shapley(model.predict, X, X[:19], groups=BY_MARKER)
    with pytest.raises(InputError, match="outputs names 2 predictions and predict returns 1"):
        prediction_shapley(model.predict, X, X, groups=BY_MARKER, outputs=["a", "b"])
    with pytest.raises(InputError, match="X has no patient"):
        prediction_shapley(model.predict, X[:0], X, groups=BY_MARKER)
    result = prediction_shapley(model.predict, X, X, groups=BY_MARKER)
    with pytest.raises(InputError, match="confidence_level is 1"):
        summarise_prediction_shapley(result, confidence_level=1.0, rng=spawn_rng(1))
