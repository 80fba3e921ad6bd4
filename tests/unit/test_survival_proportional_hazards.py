"""The test of constant effects: what must not move it, what it must find, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from times_stats.errors import InputError
from times_stats.survival.proportional_hazards import score_test_of_constant_effects


def simulate(seed, *, n=150, effect_late=1.0, strata=1):
    """Hazard exp(x1 + x2 / 2) a stratum's own, with the effect of x1 changed from time 1 on."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    stratum = rng.integers(0, strata, n)
    early = np.exp(x[:, 0] + 0.5 * x[:, 1] + stratum)
    late = np.exp(effect_late * x[:, 0] + 0.5 * x[:, 1] + stratum)
    total = rng.exponential(size=n)
    time = np.where(total < early, total / early, 1 + (total - early) / late)
    censored = rng.uniform(0.5, 4, n)
    return np.minimum(time, censored), (time <= censored).astype(int), x, stratum


def numbers(table):
    return table[["coefficient", "statistic", "slope", "lower", "upper"]].to_numpy()


def test_units_order_and_names_do_not_matter():
    time, event, x, stratum = simulate(1, strata=3)
    table = score_test_of_constant_effects(time, event, x, strata=stratum)
    scaled = score_test_of_constant_effects(time, event, x * [10, -0.1] + 7, strata=stratum)
    np.testing.assert_allclose(scaled["statistic"], table["statistic"], rtol=1e-9)
    for name in ("coefficient", "slope"):
        np.testing.assert_allclose(scaled[name] * [10, -0.1, 1], table[name], rtol=1e-8)
    order = np.random.default_rng(0).permutation(time.size)
    names = np.array(["south", "east", "north"])[stratum[order]]
    shuffled = score_test_of_constant_effects(time[order], event[order], x[order], strata=names)
    np.testing.assert_allclose(numbers(shuffled), numbers(table), rtol=1e-9)
    turned = score_test_of_constant_effects(time, event, x[:, ::-1], strata=stratum)
    np.testing.assert_allclose(numbers(turned)[[1, 0, 2]], numbers(table), rtol=1e-9)
    # A part that is constant within strata is the strata's own.
    moved = score_test_of_constant_effects(time, event, x + 5.0 * stratum[:, None], strata=stratum)
    np.testing.assert_allclose(numbers(moved), numbers(table), rtol=1e-8)


def test_the_parts_of_the_table_agree_with_each_other():
    time, event, x, _ = simulate(2)
    table = score_test_of_constant_effects(time, event, x, confidence_level=0.9)
    columns, whole = table.iloc[:2], table.iloc[2]
    z = columns["slope"] / ((columns["upper"] - columns["lower"]) / 2 / 1.6448536269514722)
    np.testing.assert_allclose(z**2, columns["statistic"], rtol=1e-9)
    outside = (columns["lower"] > 0) | (columns["upper"] < 0)
    assert outside.tolist() == (columns["p_value"] < 0.1).tolist()
    assert whole["column"] == "GLOBAL"
    assert table["df"].tolist() == [1, 1, 2]
    assert whole["statistic"] >= columns["statistic"].max()
    alone = score_test_of_constant_effects(time, event, x[:, :1], names=["first"])
    assert alone["column"].tolist() == ["first", "GLOBAL"]
    assert alone["statistic"].iloc[0] == pytest.approx(alone["statistic"].iloc[1])


@pytest.mark.parametrize("transform", ["km", "rank", "log", "identity"])
def test_constant_effects_are_left_in_peace_and_changing_ones_found(transform):
    calm = np.array(
        [
            score_test_of_constant_effects(time, event, x, strata=stratum, transform=transform)[
                "p_value"
            ]
            for time, event, x, stratum in (simulate(seed, strata=2) for seed in range(200))
        ]
    )
    low, high = binom.ppf([0.0005, 0.9995], len(calm), 0.05)
    for rejected in (calm < 0.05).sum(axis=0):
        assert low <= rejected <= high
    time, event, x, _ = simulate(5, n=600, effect_late=-0.5)
    table = score_test_of_constant_effects(time, event, x, transform=transform)
    assert table["p_value"].iloc[0] < 1e-6
    assert table["slope"].iloc[0] < 0
    assert table["p_value"].iloc[1] > 0.01


FAULTS = {
    "transform 'cubic' is not known": {"transform": "cubic"},
    "confidence_level is 95": {"confidence_level": 95},
    r"columns have shape \(4,\): give \(4, p\)": {"columns": [1, 2, 3, 4]},
    "columns are not numeric": {"columns": [["a"], ["b"], ["c"], ["d"]]},
    "columns are missing or infinite in row 1": {"columns": [[1], [np.nan], [3], [4]]},
    "names are 2 for 1 columns": {"names": ["a", "b"]},
    "entry has shape": {"entry": [0, 0]},
    "entry is not a number from 0 to before the time in row 2": {"entry": [0, 0, 3, 0]},
    "no event in the data": {"event": [0, 0, 0, 0]},
    "event is not 0 or 1 in row 3": {"event": [0, 0, 0, 2]},
    "stratum labels are missing in row 0": {"strata": [None, "a", "a", "a"]},
    "column 1 does not vary among patients at risk together": {"columns": [[1], [1], [1], [1]]},
    "column column 1 does not vary.*fewer strata": {"strata": ["a", "b", "c", "d"]},
    "not identified.*repeat each other": {"columns": [[1, 2], [3, 6], [0, 0], [2, 4]]},
    "not identified.*separate patients": {"columns": [[4], [3], [2], [1]]},
    "1 distinct event times cannot tell": {"time": [1, 2, 2, 4], "event": [0, 1, 1, 0]},
    "an event at time 0 has no logarithm, row 0": {"time": [0, 2, 3, 4], "transform": "log"},
}


@pytest.mark.parametrize("message", FAULTS)
def test_bad_input_is_named(message):
    given = {"time": [1, 2, 3, 4], "event": [1, 1, 0, 1], "columns": [[2], [3], [1], [2]]}
    given |= FAULTS[message]
    with pytest.raises(InputError, match=message):
        score_test_of_constant_effects(
            given.pop("time"), given.pop("event"), given.pop("columns"), **given
        )
