"""Checks of the values in a study file: each says what a value must be, or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from times_stats._checks import name_rows, nearest_hint, nearest_key

type Check = Callable[[Any], str | None]


def text(value: Any) -> str | None:
    """Check a text that must not be blank."""
    return None if isinstance(value, str) and value.strip() else "must be a text in quotes"


def true_or_false(value: Any) -> str | None:
    """Check a truth value."""
    return None if isinstance(value, bool) else "must be true or false"


def whole_number(low: int) -> Check:
    """Return a check for whole numbers from `low` on."""

    def check(value: Any) -> str | None:
        good = isinstance(value, int) and not isinstance(value, bool) and value >= low
        return None if good else f"must be a whole number of at least {low}"

    return check


def number_between(low: float, high: float) -> Check:
    """Return a check for numbers between two limits."""

    def check(value: Any) -> str | None:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if good and math.isfinite(value) and low < value < high:
            return None
        limit = f"above {low:g}" + (f" and below {high:g}" if math.isfinite(high) else "")
        return f"must be a number {limit}"

    return check


def one_of(*known: str, planned: tuple[str, ...] = ()) -> Check:
    """Return a check for one of several texts."""

    def check(value: Any) -> str | None:
        if value in known:
            return None
        choice = " or ".join(repr(name) for name in known)
        if value in planned:
            return f"is not built yet for {value!r}: use {choice}"
        near = nearest_key(str(value), known)
        return f"must be {choice}" + (f" (nearest: {near!r})" if near else "")

    return check


def names(*, empty: bool = False, known: tuple[str, ...] = ()) -> Check:
    """Return a check for a list of texts, each once."""

    def check(value: Any) -> str | None:
        if not isinstance(value, list | tuple) or not all(text(name) is None for name in value):
            return 'must be a list of texts, such as ["a", "b"]'
        if not value and not empty:
            return "is an empty list: name at least one, or leave the key out"
        repeated = [name for name in value if list(value).count(name) > 1]
        if repeated:
            return f"names {name_rows(repeated)} twice: name each once"
        for name in value:
            if known and name not in known:
                hint = nearest_hint(name, known)
                return f"names the unknown system '{name}'{hint}: use one of {', '.join(known)}"
        return None

    return check


def mapping(value: Any) -> str | None:
    """Check names mapped to names."""
    good = isinstance(value, Mapping) and all(
        text(item) is None for pair in value.items() for item in pair
    )
    if not good:
        return 'must map names to names, such as { time = "RFS" }'
    return None


def text_or_texts(value: Any) -> str | None:
    """Check a text or a list of texts."""
    return None if isinstance(value, str) and value.strip() else names()(value)


def mapping_to_lists(value: Any) -> str | None:
    """Check names mapped to lists of names."""
    good = isinstance(value, Mapping) and all(
        text(name) is None and names(empty=True)(needed) is None for name, needed in value.items()
    )
    return None if good else 'must map names to lists, such as { Treg = ["CD3+", "FOXP3+"] }'


def limits_around_zero(value: Any) -> str | None:
    """Check two increasing numbers with 0 between them."""
    numbers = isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))
    if numbers and value[0] < value[1] and value[0] <= 0 <= value[1]:
        return None
    return "must be two micrometres, such as [-100, 100], with 0 between them"


def distance_or_false(value: Any) -> str | None:
    """Check a number that must be positive, or false."""
    if value is False or (_is_number(value) and value > 0):
        return None
    return "must be micrometres above 0, or false for no such region"


def rising_numbers(low: float, least: int) -> Check:
    """Return a check for a list of increasing numbers."""

    def check(value: Any) -> str | None:
        good = isinstance(value, list | tuple) and all(map(_is_number, value))
        if good and len(value) >= least and all(a < b for a, b in pairwise([low, *value])):
            return None
        return f"must be a list of at least {least} increasing numbers" + (
            f" above {low:g}" if math.isfinite(low) else ""
        )

    return check


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def image_pattern(*kinds: str) -> Check:
    """Return a check for a file name with the image in it, or one of several texts."""

    def check(value: Any) -> str | None:
        if isinstance(value, str) and (value in kinds or "{image_id}" in value):
            return None
        also = "".join(f"{kind!r}, or " for kind in kinds)
        return f"must be {also}a file name with {{image_id}} in it"

    return check
