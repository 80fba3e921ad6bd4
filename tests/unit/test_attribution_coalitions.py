"""Shapley values of set functions: axioms, all orders, and sampling."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from times_stats.attribution.coalitions import all_coalitions, shapley_values
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng

NAMES = list("abcdef")


def random_game(n, *, seed=0, k=None):
    """A set function without structure: a number, or k numbers, for each coalition."""
    table = spawn_rng(seed, "game").normal(size=(2**n,) if k is None else (2**n, k))
    return lambda coalitions: table[coalitions @ (1 << np.arange(n))]


def over_all_orders(value, n):
    total = np.zeros(n)
    for order in permutations(range(n)):
        inside = np.zeros((1, n), dtype=bool)
        before = value(inside)[0]
        for player in order:
            inside[0, player] = True
            after = value(inside)[0]
            total[player] += after - before
            before = after
    return total / len(list(permutations(range(n))))


def test_six_players_equal_the_average_over_all_orders():
    game = random_game(6, seed=3)
    found = shapley_values(game, NAMES)
    np.testing.assert_allclose(found.values, over_all_orders(game, 6), rtol=0, atol=1e-12)
    assert found.is_exact
    assert found.n_coalitions == 64
    assert (found.monte_carlo_se == 0).all()


@pytest.mark.parametrize("n", [1, 2, 5, 14])
def test_values_add_up_to_the_gain_of_everybody(n):
    game = random_game(n, k=2)
    found = shapley_values(game, [f"p{j}" for j in range(n)])
    gain = game(np.ones((1, n), dtype=bool))[0] - game(np.zeros((1, n), dtype=bool))[0]
    np.testing.assert_allclose(found.values.sum(axis=0), gain, atol=1e-11)
    np.testing.assert_allclose(found.full - found.empty, gain, atol=1e-15)


def test_players_who_do_the_same_get_the_same():
    base = random_game(4, seed=1)

    def value(coalitions):  # players 0 and 1 count, but not which of them
        merged = coalitions.copy()
        merged[:, 0] = coalitions[:, :2].any(axis=1)
        merged[:, 1] = coalitions[:, :2].all(axis=1)
        return base(merged)

    found = shapley_values(value, NAMES[:4]).values
    assert found[0] == pytest.approx(found[1], abs=1e-12)
    assert abs(found[2] - found[3]) > 1e-3


def test_a_player_who_only_adds_his_own_gets_that():
    base = random_game(5, seed=2)

    def value(coalitions):
        others = coalitions.copy()
        others[:, 2] = False
        return base(others) + 0.7 * coalitions[:, 2]

    assert shapley_values(value, NAMES[:5]).values[2] == pytest.approx(0.7, abs=1e-12)


def test_values_of_a_sum_of_games_add_up():
    one, two = random_game(6, seed=4), random_game(6, seed=5)
    together = shapley_values(lambda c: 2.0 * one(c) - 3.0 * two(c), NAMES).values
    apart = 2.0 * shapley_values(one, NAMES).values - 3.0 * shapley_values(two, NAMES).values
    np.testing.assert_allclose(together, apart, atol=1e-12)


def test_sampling_is_within_its_error_and_adds_up():
    game = random_game(6, seed=6)
    exact = shapley_values(game, NAMES)
    z = []
    for seed in range(100):
        found = shapley_values(
            game, NAMES, max_exact_players=5, n_pairs=40, rng=spawn_rng(seed, "orders")
        )
        assert not found.is_exact
        assert found.values.sum() == pytest.approx(float(exact.full - exact.empty), abs=1e-12)
        assert found.empty == exact.empty
        assert found.full == exact.full
        z.append((found.values - exact.values) / found.monte_carlo_se)
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(100)
    # t with 39 degrees of freedom: sd 1.027; 4 standard errors of a sd of 100 is .29
    assert np.abs(z.std(axis=0) - 1.027).max() < 0.29


def test_pairs_of_orders_need_no_sampling_where_players_only_meet_in_twos():
    pull = spawn_rng(0, "pull").normal(size=(6, 6))

    def value(coalitions):
        return np.einsum("ci,ij,cj->c", coalitions * 1.0, pull, coalitions * 1.0)

    exact = shapley_values(value, NAMES).values
    found = shapley_values(value, NAMES, max_exact_players=2, n_pairs=2, rng=spawn_rng(1))
    np.testing.assert_allclose(found.values, exact, atol=1e-12)
    np.testing.assert_allclose(found.monte_carlo_se, 0, atol=1e-12)


def test_coalitions_that_recur_are_evaluated_once():
    seen = []

    def value(coalitions):
        seen.append(coalitions)
        return coalitions.sum(axis=1).astype(float)

    shapley_values(value, NAMES, max_exact_players=2, n_pairs=300, rng=spawn_rng(1))
    (asked,) = seen
    assert len(asked) == len(np.unique(asked, axis=0)) == len(all_coalitions(6))


@pytest.mark.parametrize(
    ("players", "options", "message"),
    [
        ([], {}, "no players"),
        (["a", "b", "a"], {}, "players share the name a"),
        (NAMES, {"max_exact_players": 3}, "6 players are more than 3.*give rng"),
        (NAMES, {"max_exact_players": 21}, "max_exact_players is 21"),
        (NAMES, {"n_pairs": 1}, "n_pairs is 1"),
    ],
)
def test_faults_of_the_players(players, options, message):
    with pytest.raises(InputError, match=message):
        shapley_values(lambda c: c.sum(axis=1) * 1.0, players, **options)


def test_faults_of_the_set_function():
    with pytest.raises(InputError, match=r"returned shape \(3,\) for 4 coalitions"):
        shapley_values(lambda _: np.zeros(3), ["a", "b"])
    with pytest.raises(InputError, match="missing or infinite for 1 of 4 coalitions"):
        shapley_values(lambda c: np.where(c.any(axis=1), 1.0, np.nan), ["a", "b"])
