"""Checks of the arguments that every spatial statistic takes: points, types, window, radii."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import check_points, name_rows, nearest_hint
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.regions.window import Window


def check_points_in_window(points: ArrayLike, window: Window, *, name: str) -> FloatArray:
    """Return points that all lie in the window.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        Micrometres.
    window : Window
        Observed area.
    name : str
        Name of the argument in messages.

    Returns
    -------
    ndarray of float64 of shape (n, 2)

    Raises
    ------
    InputError
        If a point is not finite, or lies outside the window.

    Examples
    --------
    >>> window = Window.rectangle(x=(0, 1), y=(0, 1))
    >>> check_points_in_window([(0.5, 0.5)], window, name="points").shape
    (1, 2)
    """
    checked = check_points(points, name=name)
    outside = ~window.contains(checked)
    if outside.any():
        rows = name_rows(np.flatnonzero(outside))
        raise InputError(
            f"{name} lie outside the window in row {rows}: keep those that window.contains, "
            "or give the window in which they were seen"
        )
    return checked


def check_radii(r: ArrayLike) -> FloatArray:
    """Return radii as an array.

    Parameters
    ----------
    r : array-like of shape (n_r,)
        Micrometres, not negative, in any order; one number is an array of one.

    Returns
    -------
    ndarray of float64 of shape (n_r,)

    Raises
    ------
    InputError
        If there is none, or one is negative, missing or infinite.

    Examples
    --------
    >>> check_radii([10, 20])
    array([10., 20.])
    """
    try:
        radii = np.atleast_1d(np.asarray(r, dtype=np.float64))
    except (TypeError, ValueError):
        raise InputError("r is not numeric: give radii in micrometres") from None
    if radii.ndim != 1 or radii.size == 0:
        raise InputError(f"r has shape {radii.shape}: give a list of radii in micrometres")
    if not (np.isfinite(radii) & (radii >= 0)).all():
        raise InputError("r holds a radius that is negative or not finite: give micrometres from 0")
    return radii


def check_choice(value: str, known: tuple[str, ...], *, name: str) -> None:
    """Check that an option is one of those that are known.

    Parameters
    ----------
    value : str
        Option given.
    known : tuple of str
        Options.
    name : str
        Name of the argument in the message.

    Raises
    ------
    InputError
        If it is another.

    Examples
    --------
    >>> check_choice("bordr", ("border", "none"), name="correction")
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: correction is 'bordr': use border or none (nearest: 'border')
    """
    if value not in known:
        hint = nearest_hint(str(value), known)
        raise InputError(f"{name} is {value!r}: use {' or '.join(known)}{hint}")


def check_positive(value: float, *, name: str, what: str) -> float:
    """Return a number that must be positive and finite.

    Parameters
    ----------
    value : float
        Number given.
    name : str
        Name of the argument.
    what : str
        What it is, for the message.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If it is not positive and finite.

    Examples
    --------
    >>> check_positive(3, name="bandwidth", what="micrometres")
    3.0
    """
    number = float(value)
    if not (np.isfinite(number) and number > 0):
        raise InputError(f"{name} is {value}: give positive {what}")
    return number


def check_level(confidence_level: float) -> float:
    """Return a confidence level between 0 and 1.

    Parameters
    ----------
    confidence_level : float
        Number given.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If it is not between 0 and 1.

    Examples
    --------
    >>> check_level(0.95)
    0.95
    """
    if not 0.0 < confidence_level < 1.0:
        raise InputError(f"confidence_level is {confidence_level}: give a number between 0 and 1")
    return float(confidence_level)
