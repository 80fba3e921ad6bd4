"""What a value in a study file must be, and what is said where it is not."""

from __future__ import annotations

import math

import pytest

from times_stats.tables import setting_checks as checks

GOOD = [
    (checks.text, ["a", " a "]),
    (checks.text_or_texts, ["cells.csv", ["a.csv", "b.csv"]]),
    (checks.whole_number(2), [2, 30]),
    (checks.number_between(0, 0.5), [0.1, 0.4999]),
    (checks.number_between(0, math.inf), [1, 1e9]),
    (checks.one_of("drop", "keep"), ["drop", "keep"]),
    (checks.true_or_false, [True, False]),
    (checks.names(), [["a"], ("a", "b")]),
    (checks.names(empty=True), [[], ["a"]]),
    (checks.mapping, [{}, {"time": "RFS"}]),
    (checks.mapping_to_lists, [{}, {"T": ["CD3+"], "other": []}]),
    (checks.limits_around_zero, [[-100, 100], [0, 50], [-50, 0], (-0.5, 1e3)]),
    (checks.distance_or_false, [False, 1, 250.5]),
    (checks.rising_numbers(0, 2), [[10, 20], [0.5, 1, 9.5]]),
    (checks.rising_numbers(-math.inf, 3), [[-50, 0, 50]]),
    (checks.image_pattern("tissue"), ["tissue", "w/{image_id}.geojson"]),
    (checks.image_pattern(), ["{image_id}"]),
]
BAD = [
    (checks.text, ["", "  ", 3, None], "must be a text in quotes"),
    (checks.text_or_texts, ["", " ", 3, [3]], 'must be a list of texts, such as ["a", "b"]'),
    (checks.text_or_texts, [[]], "is an empty list: name at least one, or leave the key out"),
    (checks.whole_number(2), [1, 2.0, True, "3"], "must be a whole number of at least 2"),
    (
        checks.number_between(0, 0.5),
        [0, 0.5, math.nan, True, "0.1"],
        "must be a number above 0 and below 0.5",
    ),
    (checks.number_between(0, math.inf), [0, -1, math.inf], "must be a number above 0"),
    (checks.true_or_false, [1, "true", None], "must be true or false"),
    (checks.one_of("drop", "keep"), ["dropp"], "must be 'drop' or 'keep' (nearest: 'drop')"),
    (checks.one_of("drop", "keep"), ["zzz", 3], "must be 'drop' or 'keep'"),
    (
        checks.one_of("weibull", planned=("piecewise",)),
        ["piecewise"],
        "is not built yet for 'piecewise': use 'weibull'",
    ),
    (checks.names(), ["a", ["a", ""], [1], {"a": 1}], "must be a list of texts, such as"),
    (checks.names(), [["a", "b", "a"]], "names a twice: name each once"),
    (
        checks.names(known=("tnm", "bclc")),
        [["tmn"]],
        "names the unknown system 'tmn' (nearest: 'tnm'): use one of tnm, bclc",
    ),
    (checks.mapping, [[], {"a": 1}, {"a": ""}, "a"], "must map names to names, such as {"),
    (
        checks.mapping_to_lists,
        [{"T": "CD3+"}, {"T": [3]}, [], {"": []}],
        'must map names to lists, such as { Treg = ["CD3+", "FOXP3+"] }',
    ),
    (
        checks.limits_around_zero,
        [[10, 20], [-20, -10], [50, -50], [0, 0], [0], [-1, 0, 1], "ab", [-math.inf, 0], [True, 2]],
        "must be two micrometres, such as [-100, 100], with 0 between them",
    ),
    (
        checks.distance_or_false,
        [True, 0, -5, math.inf, math.nan, "250"],
        "must be micrometres above 0, or false for no such region",
    ),
    (
        checks.rising_numbers(0, 2),
        [[10], [0, 10], [20, 10], [10, 10], 10, ["10", "20"], [10, math.nan], [10, math.inf]],
        "must be a list of at least 2 increasing numbers above 0",
    ),
    (
        checks.rising_numbers(-math.inf, 3),
        [[-50, 50]],
        "must be a list of at least 3 increasing numbers",
    ),
    (
        checks.image_pattern("tissue", "rectangle"),
        ["tisue", "w.geojson", 3],
        "must be 'tissue', or 'rectangle', or a file name with {image_id} in it",
    ),
    (checks.image_pattern(), ["a.geojson"], "must be a file name with {image_id} in it"),
]


@pytest.mark.parametrize(("check", "values"), GOOD)
def test_good_values_pass(check, values):
    assert [check(value) for value in values] == [None] * len(values)


@pytest.mark.parametrize(("check", "values", "message"), BAD)
def test_bad_values_are_told_what_they_must_be(check, values, message):
    for value in values:
        said = check(value)
        assert said is not None, value
        assert said.startswith(message), value
        assert "\n" not in said


def test_message_ends_where_there_is_no_limit():
    assert checks.rising_numbers(-math.inf, 3)([]).endswith("numbers")
    assert checks.number_between(0, math.inf)(0).endswith("above 0")
