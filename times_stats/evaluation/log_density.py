"""The log density of what was observed: the score where events are only known to an interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.evaluation.inputs import check_probabilities

_KINDS = ("interval", "censored", "exact")


def log_density_score(
    kind: ArrayLike,
    survival_lower: ArrayLike,
    survival_upper: ArrayLike,
    *,
    hazard: ArrayLike | None = None,
    survival_entry: ArrayLike | None = None,
) -> FloatArray:
    """Log of the predicted probability (or density) of each patient's outcome.

    ``log[S(lower) - S(upper)]`` for an event between two visits, ``log S(lower)`` for a patient
    free of it at the last one, ``log h(t) + log S(t)`` for an event seen to happen; less ``log
    S(entry)`` where the patient was followed from then on only. The mean over patients compares
    models of the same outcomes: larger is better, and no censoring weight is needed.

    Parameters
    ----------
    kind : array-like of str, shape (n,)
        ``"interval"``, ``"censored"`` or ``"exact"``.
    survival_lower : array-like, shape (n,)
        Predicted survival at the last visit free of the event; at the event where it is exact.
    survival_upper : array-like, shape (n,)
        Predicted survival at the visit that found the event; not used for the other kinds, and may
        be NaN there.
    hazard : array-like, shape (n,), optional
        Predicted hazard at the event (per month), not negative; needed where an event is exact.
    survival_entry : array-like, shape (n,), optional
        Predicted survival at delayed entry, above 0.

    Returns
    -------
    ndarray, shape (n,)
        Minus infinity where what happened was predicted to be impossible.

    Raises
    ------
    InputError
        If a kind is unknown, a probability is not one, survival rises with time, or the hazard of
        an exact event is missing.

    Notes
    -----
    A proper score: Gneiting and Raftery (2007), doi:10.1198/016214506000001437. The Brier score
    and its relatives need the status at the horizon and are not defined for an interval that holds
    it. Scores of exact and of interval outcomes have different units: compare models on the same
    patients, never patients.

    Examples
    --------
    >>> log_density_score(["interval", "censored"], [0.9, 0.5], [0.4, 0.0]).round(3)
    array([-0.693, -0.693])
    >>> log_density_score(["exact"], [0.5], [0.5], hazard=[0.1], survival_entry=[0.8]).round(3)
    array([-2.773])
    """
    kinds = np.asarray(kind).astype(str)
    if kinds.ndim != 1:
        raise InputError(f"kind has {kinds.ndim} dimensions: give one for each patient")
    unknown = sorted(set(kinds.tolist()) - set(_KINDS))
    if unknown:
        raise InputError(f"kind {unknown[0]!r} is not known: use {', '.join(_KINDS)}")
    lower = check_probabilities(survival_lower, kinds.shape, "survival_lower")
    between, exact = kinds == "interval", kinds == "exact"
    upper = _upper(survival_upper, between)
    _refuse(between & (upper > lower), "survival_upper is above survival_lower")
    chance = np.where(between, lower - upper, lower)
    if exact.any():
        if hazard is None:
            raise InputError("an event is exact and there is no hazard: give the hazard at it")
        try:
            rates = np.asarray(hazard, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError("hazard is not numeric: give an array of numbers") from None
        if rates.shape != kinds.shape:
            raise InputError(f"hazard has shape {rates.shape}: give shape {kinds.shape}")
        _refuse(exact & ~(np.isfinite(rates) & (rates >= 0)), "hazard is missing or negative")
        chance = np.where(exact, chance * np.where(exact, rates, 1.0), chance)
    if survival_entry is not None:
        start = check_probabilities(survival_entry, kinds.shape, "survival_entry")
        _refuse(start == 0, "survival_entry is 0")
        _refuse(start < lower, "survival_entry is below survival_lower")
        chance = chance / start
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(chance))


def _upper(survival_upper: ArrayLike, between: BoolArray) -> FloatArray:
    try:
        given = np.asarray(survival_upper, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("survival_upper is not numeric: give an array of numbers") from None
    if given.shape == between.shape:
        given = np.where(between, given, 0.0)
    return check_probabilities(given, between.shape, "survival_upper")


def _refuse(wrong: BoolArray, what: str) -> None:
    if wrong.any():
        raise InputError(
            f"{what} in row {name_rows(np.flatnonzero(wrong))}: check what was predicted there"
        )
