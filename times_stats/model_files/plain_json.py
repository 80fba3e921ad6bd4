"""Strict reading of JSON that may be damaged or hostile."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import numpy as np

from times_stats._typing import FloatArray
from times_stats.errors import ModelFileError

_MOST_DEPTH = 24
_LARGEST = 3.0e38  # float32 holds no more


def parse_json(raw: bytes, *, source: str) -> Any:
    """Parse JSON, refusing what a model file never holds.

    Parameters
    ----------
    raw : bytes
        UTF-8 text.
    source : str
        File name, for the message.

    Returns
    -------
    object

    Raises
    ------
    ModelFileError
        Not UTF-8 or not JSON; nesting deeper than 24; a key given twice; NaN or infinity.

    Examples
    --------
    >>> parse_json(b'{"a": [1, 2.5]}', source="a.json")
    {'a': [1, 2.5]}
    """
    codes = np.frombuffer(raw, dtype=np.uint8)
    opened = np.isin(codes, (ord("["), ord("{"))).astype(np.int64)
    closed = np.isin(codes, (ord("]"), ord("}")))
    if codes.size and int((opened - closed).cumsum().max()) > _MOST_DEPTH:
        raise ModelFileError("nested too deep for a model file", source=source)
    try:
        return json.loads(
            raw.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_unique_keys
        )
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            "not valid JSON (damaged or of another format): copy or save the model again",
            source=source,
        ) from error


def as_object(value: Any, keys: set[str], *, what: str, source: str) -> dict[str, Any]:
    """Return an object that has exactly the given keys.

    Parameters
    ----------
    value : object
        Parsed JSON.
    keys : set of str
    what, source : str
        For the message.

    Returns
    -------
    dict

    Raises
    ------
    ModelFileError
        If it is something else.
    """
    if not isinstance(value, dict) or set(value) != keys:
        raise ModelFileError(
            f"{what} is damaged: its entries are not those expected", source=source
        )
    return value


def as_numbers(
    value: Any,
    shape: tuple[int, ...],
    *,
    what: str,
    source: str,
    low: float = -_LARGEST,
    high: float = _LARGEST,
) -> FloatArray:
    """Return (nested) lists of finite numbers as an array.

    Parameters
    ----------
    value : object
        Parsed JSON: a number for ``shape=()``; -1 in `shape` takes any length.
    shape : tuple of int
    what, source : str
        For the message.
    low, high : float
        Smallest and largest value allowed.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    ModelFileError
        Wrong types or lengths, values out of range.

    Examples
    --------
    >>> as_numbers([1, 2], (2,), what="a", source="a.json")
    array([1., 2.])
    """
    _check_nested(value, shape, low, high, what, source)
    return np.asarray(value, dtype=np.float64)


def as_whole(value: Any, *, low: int, high: int, what: str, source: str) -> int:
    """Return a whole number within limits.

    Parameters
    ----------
    value : object
        Parsed JSON.
    low, high : int
    what, source : str
        For the message.

    Returns
    -------
    int

    Raises
    ------
    ModelFileError
        If it is something else.
    """
    if type(value) is not int or not low <= value <= high:
        raise ModelFileError(f"{what} is damaged: a whole number was expected", source=source)
    return value


def _check_nested(
    value: Any, shape: tuple[int, ...], low: float, high: float, what: str, source: str
) -> None:
    if len(shape) > 1:
        good = isinstance(value, list) and shape[0] in (-1, len(value))
        if good:
            for item in value:
                _check_nested(item, shape[1:], low, high, what, source)
    else:
        items = value if shape else [value]
        good = isinstance(items, list) and (not shape or shape[0] in (-1, len(items)))
        good = good and {type(item) for item in items} <= {int, float}
        good = good and (not items or (low <= min(items) and max(items) <= high))
    if not good:
        raise ModelFileError(
            f"{what} is damaged: numbers of another count, type or range than expected",
            source=source,
        )


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found
