"""Performance games: coalitions fitted on fixed folds, their scores and shares."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution.coalition_cox import fit_subset
from times_stats.attribution.coalition_play import play_game
from times_stats.attribution.coalition_scores import build_score
from times_stats.attribution.performance_game import performance_shapley
from times_stats.attribution.player_columns import design_folds, find_players
from times_stats.errors import InputError
from times_stats.evaluation.brier import index_of_prediction_accuracy
from times_stats.evaluation.comparison import Prediction, compare
from times_stats.nonparametric import kaplan_meier
from times_stats.partial_likelihood import build_risk_sets
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals.cox import RidgeCox

HORIZON = 24.0


def study(
    n=120, *, seed=0, log_hazard=None, regions=("core", "rim"), markers=("A", "B"), n_repeats=1
):
    rng = spawn_rng(seed, "study")
    columns = pd.MultiIndex.from_product([markers, regions], names=["marker", "region"])
    index = pd.Index([f"P{i:03d}" for i in range(n)], name="patient_id")
    z = pd.DataFrame(rng.normal(size=(n, len(columns))), index=index, columns=columns)
    eta = np.zeros(n) if log_hazard is None else log_hazard(z).to_numpy()
    time = rng.exponential(25.0 * np.exp(-eta))
    limit = rng.uniform(20.0, 60.0, size=n)
    y = pd.DataFrame(
        {"time": np.ceil(np.minimum(time, limit)), "event": (time <= limit).astype(int)},
        index=index,
    )
    folds = assign_folds(
        index, strata=y["event"], n_folds=4, n_repeats=n_repeats, rng=spawn_rng(seed)
    )
    return np.exp(z), y, folds


def strong(z):
    return 0.9 * z["A", "rim"]


@pytest.fixture(scope="module")
def data():
    return study(log_hazard=strong)


@pytest.fixture(scope="module")
def repeated():
    return study(log_hazard=strong, n_repeats=2)


def play(data, **keywords):
    X, y, folds = data
    return performance_shapley(
        X, y, **({"folds": folds, "horizon": HORIZON, "n_resamples": 200, "seed": 1} | keywords)
    )


# --- the fit of a coalition -----------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 4, 12])
def test_fit_equals_ridge_cox_with_ties_and_weak_columns(p):
    rng = spawn_rng(p, "fit")
    X = pd.DataFrame(rng.normal(size=(90, p)), columns=[f"x{j}" for j in range(p)])
    X.insert(0, "stage", rng.integers(0, 2, 90))
    time = np.ceil(rng.exponential(8.0 * np.exp(-0.7 * X["x0"].to_numpy())))
    event = rng.integers(0, 2, 90)
    y = pd.DataFrame({"time": time, "event": event})
    free = RidgeCox(weak=["stage"], transform="standardise").fit(X, y)
    sets = build_risk_sets(time, event)
    design = free.transform_.apply(X.to_numpy(dtype=float))[sets.order]
    beta, penalty = fit_subset(sets, design, n_weak=1)
    assert abs(np.log(penalty / free.penalty_["features"])) < 0.1  # both search to .1
    fixed = RidgeCox(weak=["stage"], transform="standardise", penalty={"features": penalty})
    np.testing.assert_allclose(beta, fixed.fit(X, y).coef_, atol=1e-10)
    given, same = fit_subset(sets, design, n_weak=1, penalty=3.0)
    assert same == pytest.approx(3.0)
    three = RidgeCox(weak=["stage"], transform="standardise", penalty={"features": 3.0}).fit(X, y)
    np.testing.assert_allclose(given, three.coef_, atol=1e-10)


def test_a_fit_without_columns_or_with_weak_ones_only():
    rng = spawn_rng(1, "weak")
    x = rng.normal(size=(40, 1))
    sets = build_risk_sets(rng.exponential(size=40), np.ones(40, dtype=np.int64))
    beta, penalty = fit_subset(sets, np.empty((40, 0)), n_weak=0)
    assert beta.size == 0
    assert np.isnan(penalty)
    beta, penalty = fit_subset(sets, x[sets.order], n_weak=1)
    expected, _ = fit_subset(sets, x[sets.order], n_weak=0, penalty=0.25)
    np.testing.assert_allclose(beta, expected, atol=1e-12)
    assert np.isnan(penalty)


# --- scores ----------------------------------------------------------------------------------


def out_of_fold(data, predict):
    """Predictions of a ridge with all columns by RidgeCox itself, at the penalty of the game."""
    X, y, folds = data
    result = np.empty(folds.shape)
    for repeat, labels in enumerate(folds):
        for fold in np.unique(labels):
            train, test = labels != fold, labels == fold
            learned = RidgeCox().fit(X[train], y[train])
            sets = build_risk_sets(*(y.loc[train, c].to_numpy() for c in ("time", "event")))
            design = learned.transform_.apply(X[train].to_numpy())[sets.order]
            _, penalty = fit_subset(sets, design, n_weak=0)
            model = RidgeCox(penalty={"features": penalty}).fit(X[train], y[train])
            result[repeat, test] = predict(model, X[test], y[train])
    return result


def total(result, quantity):
    return result.totals.set_index("quantity").loc[quantity]


def test_concordance_of_everybody_is_that_of_compare_with_the_same_resamples(repeated):
    _, y, folds = repeated
    risk = out_of_fold(repeated, lambda model, new, _: model.predict(new))
    table = compare(
        y,
        [Prediction("ridge", risk)],
        times=[HORIZON],
        horizon=HORIZON,
        folds=folds,
        n_resamples=200,
        rng=spawn_rng(1, "shapley", "bootstrap"),
    ).set_index("metric")
    result = play(repeated)
    expected = table.loc["concordance_uno_within_folds"]
    for name in ("estimate", "lower", "upper", "se"):
        assert total(result, "all")[name] == pytest.approx(expected[name], abs=1e-12)
    assert total(result, "none")["estimate"] == pytest.approx(0.5, abs=1e-12)


def brier(y, survival):
    """Brier score at the horizon by way of the package's IPA against one half."""
    rival = np.full((len(y), 1), 0.5)
    ipa = index_of_prediction_accuracy(
        y["time"], y["event"], survival[:, None], times=[HORIZON], null_survival=rival
    )
    return 1 - ipa[0]


def test_ipa_of_everybody_is_that_of_the_evaluation_package(repeated):
    _, y, _ = repeated
    times = np.array([HORIZON])

    def ridge(model, new, _):
        return model.predict_survival(new, times=times)[:, 0]

    def null(_, new, training):
        curve = kaplan_meier(training["time"], training["event"])
        return np.full(len(new), curve.at(HORIZON))

    # squares are averaged over repeats before the ratio is taken
    own, mean = (
        np.mean([brier(y, row) for row in out_of_fold(repeated, how)]) for how in (ridge, null)
    )
    found = play(repeated, metric="ipa")
    assert total(found, "all")["estimate"] == pytest.approx(1 - own / mean, abs=1e-12)
    # without covariates the ridge predicts exp(-H), not Kaplan-Meier's product: nearly 0
    assert abs(total(found, "none")["estimate"]) < 0.01


def log_density_by_hand(time, event, eta, train, test):
    """Piecewise-exponential log density of the test patients, patient by patient."""
    t, d = np.minimum(time, HORIZON), (event == 1) & (time <= HORIZON)
    seen = t[train & d]
    cuts = np.unique(np.quantile(seen, [0.2, 0.4, 0.6, 0.8], method="lower"))
    edges = np.r_[0.0, cuts[cuts < seen.max()], np.inf]
    result = []
    rates = []
    for low, high in pairwise(edges):
        happened = (train & d & (t > low) & (t <= high)).sum()
        spent = (np.exp(eta) * np.clip(t - low, 0, min(high, 1e9) - low))[train].sum()
        rates.append(happened / spent)
    for i in np.flatnonzero(test):
        hazard = sum(
            rate * max(min(t[i], high) - low, 0.0)
            for rate, low, high in zip(rates, edges[:-1], edges[1:], strict=True)
        )
        own = next(r for r, high in zip(rates, edges[1:], strict=True) if t[i] <= high)
        result.append(d[i] * (np.log(own) + eta[i]) - np.exp(eta[i]) * hazard)
    return result


def test_log_density_equals_the_sum_by_hand(data):
    X, y, folds = data
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    players = find_players(
        X, game="marker_region", levels=None, stages=None, cohort=None, tumour_region=None
    )
    designs, _ = design_folds(players, time=time, event=event, rows=np.arange(len(y)), folds=folds)
    score = build_score(
        "log_density",
        time=time,
        event=event,
        horizon=HORIZON,
        folds=folds,
        strata=None,
        multiplicity=np.ones((1, len(y))),
        designs=designs,
    )
    for fold in designs:
        eta = 0.4 * fold.X[:, 0] - 0.2
        train, test = (np.isin(np.arange(len(y)), rows) for rows in (fold.train, fold.test))
        np.testing.assert_allclose(
            score.predict(fold, eta), log_density_by_hand(time, event, eta, train, test), atol=1e-12
        )


# --- the game --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["concordance", "ipa", "log_density"])
@pytest.mark.parametrize("game", ["marker_region", "level_location"])
def test_values_and_sums_add_up_to_the_gain(data, game, metric):
    result = play(data, game=game, metric=metric, n_resamples=20)
    gain = total(result, "gain")["estimate"]
    assert gain == pytest.approx(
        total(result, "all")["estimate"] - total(result, "none")["estimate"], abs=1e-12
    )
    assert result.players["estimate"].sum() == pytest.approx(gain, abs=1e-12)
    for _, table in result.sums.groupby("by"):
        assert table["estimate"].sum() == pytest.approx(gain, abs=1e-12)
    assert len(result.coalitions) == 16
    assert result.is_exact
    assert (result.players["monte_carlo_se"] == 0).all()
    assert set(result.sums.loc[result.sums["by"] == "part", "name"]) == (
        {"core", "rim"} if game == "marker_region" else {"level", "location"}
    )


def test_the_player_that_carries_the_hazard_gets_the_gain(data):
    result = play(data)
    table = result.players.set_index("player")
    assert table["estimate"].idxmax() == "A in rim"
    assert table.loc["A in rim", "lower"] > 0
    assert table["share"].sum() == pytest.approx(1.0)
    assert table.loc["A in rim", "share"] > 0.8
    assert "Of the gain: core" in result.statement
    assert "nteraction" not in result.statement
    assert result.totals["quantity"].to_list() == ["none", "all", "gain"]


def test_shares_are_only_given_where_there_is_a_gain():
    result = play(study(seed=5))
    gain = total(result, "gain")
    assert gain["lower"] <= 0
    assert result.players[["share", "share_lower", "share_upper"]].isna().all(axis=None)
    told = "Shares are not given: the interval of the gain is not above 0."
    assert told in result.statement
    assert told in result.notes
    assert "Of the gain" not in result.statement


@pytest.mark.parametrize("metric", ["concordance", "log_density"])
def test_a_player_that_never_varies_gets_nothing(data, metric):
    X, y, folds = data
    X = X.copy()
    X["B", "rim"] = 3.0
    table = play((X, y, folds), metric=metric, n_resamples=20).players.set_index("player")
    assert table.loc["B in rim", "estimate"] == pytest.approx(0.0, abs=1e-9)
    assert abs(table.loc["B in core", "estimate"]) > 1e-6


def test_twins_share_alike(data):
    X, y, folds = data
    X = X.copy()
    X["B", "rim"] = X["A", "rim"]
    table = play((X, y, folds), metric="log_density", n_resamples=20).players.set_index("player")
    assert table.loc["A in rim", "estimate"] == pytest.approx(
        table.loc["B in rim", "estimate"], abs=1e-6
    )


def test_relabelled_patients_change_nothing(data):
    X, y, folds = data
    order = spawn_rng(1, "order").permutation(len(X))
    moved = play((X.iloc[order], y.iloc[order], folds[:, order]), metric="log_density")
    kept = play(data, metric="log_density")
    np.testing.assert_allclose(moved.players["estimate"], kept.players["estimate"], atol=1e-9)


def test_level_and_location_are_told_apart():
    level = study(seed=1, n=160, log_hazard=lambda z: 0.8 * (z["A", "core"] + z["A", "rim"]))
    place = study(seed=2, n=160, log_hazard=lambda z: 0.8 * (z["A", "core"] - z["A", "rim"]))
    for made, carrier in ((level, "level"), (place, "location")):
        result = play(made, game="level_location")
        sums = result.sums[result.sums["by"] == "part"].set_index("name")
        assert sums["estimate"].idxmax() == carrier
        assert sums.loc[carrier, "lower"] > 0
        assert result.players["player"].to_list() == [
            "A level", "B level", "A location", "B location",
        ]  # fmt: skip


def test_three_regions_give_a_location_of_two_columns():
    X, y, folds = study(regions=("core", "front", "rim"), markers=("A",))
    players = find_players(
        X, game="level_location", levels=None, stages=None, cohort=None, tumour_region="core"
    )
    designs, _ = design_folds(
        players,
        time=y["time"].to_numpy(),
        event=y["event"].to_numpy(),
        rows=np.arange(len(y)),
        folds=folds,
    )
    assert designs[0].owner.tolist() == [0, 1, 1]
    assert designs[0].columns_of(np.array([False, True])).tolist() == [False, True, True]


def test_columns_of_level_and_location_are_those_of_the_ladder():
    X, y, folds = study(regions=("core", "front", "rim"))
    X["B", "rim"] += 1e6  # has no usable power
    players = find_players(
        X, game="level_location", levels=None, stages=None, cohort=None, tumour_region="core"
    )
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    designs, plain = design_folds(
        players, time=time, event=event, rows=np.arange(len(y)), folds=folds
    )
    fold = designs[0]
    ladder, plain_ladder = players.data.build_designs(fold.train)
    rung = ladder["all_regions"].X.to_numpy()
    own = (rung - rung[fold.train].mean(axis=0)) / rung[fold.train].std(axis=0)
    np.testing.assert_allclose(fold.X, own, atol=1e-9)
    assert plain_ladder == {"B"}
    assert plain == {"B"}


def test_stage_and_cohort_are_always_in(data):
    X, y, folds = data
    rng = spawn_rng(3, "stage")
    hidden = np.log(X["A", "rim"].to_numpy()) + rng.normal(size=len(X))
    stages = pd.DataFrame({"tnm": pd.cut(hidden, [-9, 0, 9], labels=["I", "II"])}, index=X.index)
    stages.iloc[:3] = np.nan
    y = y.assign(cohort=np.where(np.arange(len(y)) % 2, "north", "south"))
    result = play((X, y, folds), stages=stages)
    assert result.n == len(X) - 3
    assert total(result, "none")["estimate"] > 0.55
    assert "3 patients without a recorded stage were left out (P000, P001, P002)." in result.notes
    assert "Cohort indicators are in every coalition." in result.notes


@pytest.mark.parametrize("game", ["marker_region", "level_location"])
def test_resamples_keep_stage_and_cohort(data, game):
    X, y, folds = data
    stages = pd.DataFrame(
        {"tnm": pd.Categorical(np.where(np.arange(120) % 3, "I", "II"), ordered=True)},
        index=X.index,
    )
    y = y.assign(cohort=np.where(np.arange(120) % 2, "north", "south"))
    result = play(
        (X[["A"]], y, folds),
        game=game,
        stages=stages,
        n_refits=20,
        n_resamples=20,
        metric="log_density",
    )
    assert result.n_failed_refits == 0
    assert total(result, "none")["refit_se"] > 0


def test_sampled_coalitions_are_near_the_exact_values(data):
    exact = play(data, n_resamples=20)
    found = play(data, n_resamples=20, max_exact_players=3, n_pairs=40)
    assert not found.is_exact
    assert total(found, "gain")["estimate"] == total(exact, "gain")["estimate"]
    assert found.players["estimate"].sum() == pytest.approx(total(exact, "gain")["estimate"])
    z = (found.players["estimate"] - exact.players["estimate"]) / found.players["monte_carlo_se"]
    assert z.abs().max() < 4.5
    assert "of 2^4 coalitions were fitted, along 80 orders" in " ".join(found.notes)


def test_copies_of_a_patient_stay_on_one_side_of_every_fold(data):
    X, y, folds = data
    rows = np.sort(spawn_rng(1, "copies").integers(len(X), size=len(X)))
    assert len(np.unique(rows)) < len(X)
    players = find_players(
        X, game="marker_region", levels=None, stages=None, cohort=None, tumour_region=None
    )
    resampled = y.iloc[rows]
    designs, _ = design_folds(
        players,
        time=resampled["time"].to_numpy(),
        event=resampled["event"].to_numpy(),
        rows=rows,
        folds=folds[:, rows],
    )
    for fold in designs:
        assert not set(rows[fold.train]) & set(rows[fold.test])


def test_refits_give_intervals_of_their_own(data):
    without = play(data, metric="log_density")
    found = play(data, metric="log_density", n_refits=20)
    assert without.players["refit_se"].isna().all()
    assert (found.players["refit_se"] > 0).all()
    middle = (found.players["refit_lower"] + found.players["refit_upper"]) / 2
    np.testing.assert_allclose(middle, found.players["estimate"])
    reach = (found.players["refit_upper"] - middle) / found.players["refit_se"]
    np.testing.assert_allclose(reach, 2.0930240544082634)  # t of 19 degrees of freedom at .975
    pd.testing.assert_series_equal(found.players["lower"], without.players["lower"])
    assert found.n_failed_refits == 0
    assert "from refitted resamples" in found.statement


def test_resamples_that_cannot_be_played_are_counted_and_withhold_the_interval():
    X, y, _ = study(n=40, seed=3)
    few = y.assign(event=0)
    few.iloc[:11, few.columns.get_loc("event")] = 1
    few.iloc[:11, few.columns.get_loc("time")] = np.arange(2.0, 24.0, 2.0)
    # all events but one are in one fold; a third of the resamples miss that one
    labels = (np.arange(40) < 10).astype(int)[None]
    result = play((X, few, labels), metric="log_density", n_refits=20, n_resamples=20)
    failed = result.n_failed_refits
    assert failed > 1
    assert result.players["refit_se"].isna().all()
    assert result.players["share"].isna().all()
    notes = " ".join(result.notes)
    assert f"{failed} of 20 refitted resamples had no game to play: " in notes
    assert f"a training set without events ({failed})" in notes
    withheld = f"Shares are not given: {failed} of 20 refitted resamples had no game."
    assert withheld in notes
    assert withheld in result.statement
    assert "conditional on the fitted models" in result.statement


def refits_of(n_failed, factor):
    """Refits with the gain of the sample times a factor, the last of them without a game."""
    kept = []

    def play_resample(plan, table, labels, groups, number):
        if number >= 20 - n_failed:
            return "a training set without events" if number % 2 else "no event by the horizon"
        if not kept:
            none = np.empty((0, len(table)))
            rows = np.arange(len(table))
            kept.append(play_game(plan, table, rows, labels, groups, resamples=none))
        own = kept[0].shapley
        spread = 1.0 + factor * (number - 9.5)
        full = own.empty + spread * (own.full - own.empty)
        return replace(kept[0], shapley=replace(own, full=full, values=own.values * spread))

    return play_resample


@pytest.mark.parametrize(
    ("n_failed", "factor", "why"),
    [
        (0, 0.01, ""),
        (1, 0.01, ""),
        (2, 0.01, "2 of 20 refitted resamples had no game"),
        (0, 0.5, "the interval of the gain from refitted resamples is not above 0"),
    ],
)
def test_refits_that_fail_or_vary_withhold_the_shares(data, monkeypatch, n_failed, factor, why):
    monkeypatch.setattr(
        "times_stats.attribution.performance_game.play_resample", refits_of(n_failed, factor)
    )
    result = play(data, n_refits=20, n_resamples=100)
    assert total(result, "gain")["lower"] > 0
    assert result.n_failed_refits == n_failed
    assert result.players["share"].isna().all() == bool(why)
    assert ("Of the gain" in result.statement) == (not why)
    assert (f"Shares are not given: {why}." in result.notes) == bool(why)
    if n_failed == 2:
        assert (
            "2 of 20 refitted resamples had no game to play: no event by the horizon (1), a"
            " training set without events (1)." in result.notes
        )


def test_other_errors_of_a_refit_are_not_swallowed(data, monkeypatch):
    whole = play_game

    def broken(*arguments, resamples):
        if len(resamples) == 0:
            raise InputError("a fault of another kind")
        return whole(*arguments, resamples=resamples)

    monkeypatch.setattr("times_stats.attribution.coalition_play.play_game", broken)
    with pytest.raises(InputError, match="a fault of another kind"):
        play(data, n_refits=20)


@pytest.mark.parametrize("game", ["marker_region", "level_location"])
def test_markers_missing_for_some_patients_are_refused(data, game):
    X, y, folds = data
    gaps = X.copy()
    gaps.iloc[:2] = np.nan
    assert play((gaps, y, folds), game=game, n_resamples=20).n == 118
    gaps.loc[gaps.index[2:42], ("B", "rim")] = np.nan
    with pytest.raises(
        InputError, match=r"B is incomplete in 40 of 118 patients \(P002.*leave out these patients"
    ):
        play((gaps, y, folds), game=game)
    levels = X.T.groupby(level="marker").mean().T
    levels.iloc[5, 0] = np.nan
    if game == "level_location":
        with pytest.raises(InputError, match=r"A is incomplete in 1 of 120 patients \(P005\)"):
            play(data, game=game, levels=levels)


def test_a_level_that_is_not_identified_is_named(data):
    result = play(data, game="level_location", scaled_by_region=["B", "Z"], n_resamples=20)
    assert "The regions of B were each scaled on their own" in " ".join(result.notes)
    plain = play(data, scaled_by_region=["B"], n_resamples=20)
    assert "scaled on their own" not in " ".join(plain.notes)


# --- faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"game": "marker"}, "game is 'marker': use one of 'marker_region', 'level_location'"),
        ({"metric": "auc"}, "metric is 'auc'"),
        ({"horizon": 0.5}, r"no event by the horizon 0.5"),
        ({"horizon": 500.0}, "longest follow-up"),
        ({"horizon": 500.0, "metric": "log_density"}, "follow-up ends at"),
        ({"confidence_level": 95.0}, "confidence_level is 95"),
        ({"n_refits": 1}, "n_refits is 1: give 0 for none, or 20 or more"),
        ({"n_refits": 19}, "n_refits is 19"),
        ({"n_refits": -1}, "n_refits is -1"),
        ({"n_resamples": 1}, "n_resamples is 1"),
        ({"strata": ["a", "b"]}, r"strata have shape \(2,\): give one for each of 120 patients"),
        ({"levels": pd.DataFrame({"A": [1.0]})}, "levels and features are not of the same"),
        ({"folds": np.zeros(120)}, "one fold only"),
    ],
)
def test_faults(data, keywords, message):
    with pytest.raises(InputError, match=message):
        play(data, **keywords)


def test_tables_of_other_patients(data):
    X, y, folds = data
    stages = pd.DataFrame({"tnm": pd.Categorical(["I"] * 120, ordered=True)}, index=X.index[::-1])
    with pytest.raises(InputError, match=r"outcome and features are not.*stages and features"):
        play((X, y.iloc[::-1], folds), stages=stages)
    with pytest.raises(InputError, match="no marker was measured in two regions"):
        play((X[[("A", "core")]], y, folds))
    with pytest.raises(InputError, match="there is no game to play"):
        play((X * np.nan, y, folds))


def test_training_patients_without_events(data):
    X, y, _ = data
    event = np.zeros(120, dtype=int)
    event[:20] = 1
    with pytest.raises(InputError, match="no event among the training patients of fold 0"):
        play((X, y.assign(event=event), (np.arange(120) >= 20).astype(int)))
