"""Random streams, folds grouped by patient, and bootstrap weights."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError


def spawn_rng(seed: int, *keys: str | int) -> np.random.Generator:
    """Return the random stream of one named task.

    The stream depends on the seed and the keys alone, so results do not change with the order of
    the tasks or the number of jobs.

    Parameters
    ----------
    seed : int
        Seed of the study, not negative.
    *keys : str or int
        Name of the task, such as ``"boosting", repeat, fold, marker``; a string enters by its
        CRC-32.

    Returns
    -------
    numpy.random.Generator
        PCG64 generator seeded by ``SeedSequence(seed, spawn_key=keys)``.

    Raises
    ------
    InputError
        If the seed or an integer key is negative.

    Examples
    --------
    >>> a = spawn_rng(1, "folds", 0).integers(100, size=3)
    >>> b = spawn_rng(1, "folds", 0).integers(100, size=3)
    >>> c = spawn_rng(1, "folds", 1).integers(100, size=3)
    >>> bool((a == b).all()), bool((a == c).all())
    (True, False)
    """
    numbers = [seed, *(key for key in keys if not isinstance(key, str))]
    if any(number < 0 for number in numbers):
        raise InputError("seed or key of a random stream is negative: use integers from 0 on")
    # A string and an integer never share a stream: each key is a pair (kind, value).
    spawn_key = [
        part
        for key in keys
        for part in ((1, zlib.crc32(key.encode())) if isinstance(key, str) else (0, int(key)))
    ]
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=spawn_key))


def assign_folds(
    groups: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    n_folds: int,
    n_repeats: int = 1,
    rng: np.random.Generator,
) -> IntArray:
    """Deal patients into folds, whole patients together and balanced within strata.

    In each repeat the patients of a stratum are shuffled and dealt in turn, going on from stratum
    to stratum, so fold sizes differ by one patient at most, and so do the counts within each
    stratum.

    Parameters
    ----------
    groups : array-like, shape (n_rows,)
        Patient of each row.
    strata : array-like, shape (n_rows,), optional
        Stratum of each row (event and cohort, say). A patient whose rows disagree takes the
        largest.
    n_folds, n_repeats : int
        Folds per repeat (2 or more) and number of repeats.
    rng : numpy.random.Generator
        Source of the shuffles; the result does not depend on the order of the rows.

    Returns
    -------
    ndarray of int64, shape (n_repeats, n_rows)
        Fold labels 0 to ``n_folds - 1``.

    Raises
    ------
    InputError
        If there are fewer patients than folds, fewer than two folds, or no repeat.

    Examples
    --------
    >>> folds = assign_folds(["a", "a", "b", "c"], n_folds=3, rng=spawn_rng(1))
    >>> folds.shape, bool(folds[0, 0] == folds[0, 1])
    ((1, 4), True)
    """
    names, row_patient = _codes(groups)
    n_patients = len(names)
    if n_folds < 2 or n_repeats < 1:
        raise InputError(
            f"n_folds is {n_folds} and n_repeats {n_repeats}: use 2 or more folds and 1 or more "
            "repeats"
        )
    if n_patients < n_folds:
        raise InputError(
            f"n_folds is {n_folds} but there are {n_patients} patients: use fewer folds"
        )
    stratum = np.zeros(n_patients, dtype=np.int64)
    if strata is not None:
        _, row_stratum = _codes(strata)
        if row_stratum.size != row_patient.size:
            raise InputError(
                f"strata has {row_stratum.size} values and groups {row_patient.size}: "
                "give one of each per row"
            )
        np.maximum.at(stratum, row_patient, row_stratum)
    folds = np.empty((n_repeats, row_patient.size), dtype=np.int64)
    for repeat in range(n_repeats):
        dealt = np.lexsort((rng.permutation(n_patients), stratum))
        label = np.empty(n_patients, dtype=np.int64)
        label[dealt] = rng.permutation(n_folds)[np.arange(n_patients) % n_folds]
        folds[repeat] = label[row_patient]
    return folds


def check_folds(folds: ArrayLike, groups: ArrayLike) -> IntArray:
    """Return folds as a checked array, whole patients in one fold of each repeat.

    Parameters
    ----------
    folds : array-like of int, shape (n_repeats, n_rows) or (n_rows,)
        Fold labels, 0 or more.
    groups : array-like, shape (n_rows,)
        Patient of each row.

    Returns
    -------
    ndarray of int64, shape (n_repeats, n_rows)

    Raises
    ------
    InputError
        If a patient is in two folds of one repeat (named), a repeat has fewer than two folds,
        labels are not whole numbers from 0 on, or the lengths differ.

    Examples
    --------
    >>> check_folds([0, 1, 1], ["a", "b", "b"])
    array([[0, 1, 1]])
    >>> check_folds([0, 1, 0], ["a", "b", "b"])
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: folds split patient b over several folds of one repeat: keep the
    \
rows of a patient together
    """
    names, patient = _codes(groups)
    try:
        given = np.asarray(folds, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("folds are not numeric: give whole numbers from 0 on") from None
    if given.ndim not in (1, 2) or given.shape[-1] != patient.size or given.size == 0:
        raise InputError(
            f"folds have shape {given.shape}: give (n_repeats, {patient.size}), a label per row"
        )
    if not (np.isfinite(given).all() and (given >= 0).all() and (given == np.floor(given)).all()):
        raise InputError("folds hold labels that are not whole numbers from 0 on: relabel them")
    labels = np.atleast_2d(given.astype(np.int64))
    if (labels.max(axis=1) == labels.min(axis=1)).any():
        raise InputError("folds have a repeat with one fold only: use 2 or more folds")
    _, first = np.unique(patient, return_index=True)
    split = (labels != labels[:, first[patient]]).any(axis=0)
    if split.any():
        raise InputError(
            f"folds split patient {name_rows(names[patient[split]])} over several folds of one "
            "repeat: keep the rows of a patient together"
        )
    return labels


def split_folds(folds: IntArray, labels: ArrayLike) -> IntArray:
    """Split every fold by a label, so that only patients of one fold and one label share a value.

    Parameters
    ----------
    folds : ndarray of int, shape (n_repeats, n_rows)
        Fold labels, 0 or more.
    labels : array-like, shape (n_rows,)
        Label of each row, such as its cohort.

    Returns
    -------
    ndarray of int, shape (n_repeats, n_rows)
        Labels of the parts, 0 or more; the folds themselves where there is one label.

    Examples
    --------
    >>> split_folds(np.array([[0, 0, 1]]), ["a", "b", "b"])
    array([[0, 1, 3]])
    """
    names, codes = _codes(labels)
    return folds * len(names) + codes


def bootstrap_weights(n: int, *, n_resamples: int, rng: np.random.Generator) -> IntArray:
    """Draw how often each patient occurs in each bootstrap resample.

    Parameters
    ----------
    n : int
        Number of patients.
    n_resamples : int
        Number of resamples.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray of int64, shape (n_resamples, n)
        Multinomial counts; each row sums to `n`.

    Raises
    ------
    InputError
        If `n` or `n_resamples` is not positive.

    Notes
    -----
    Efron (1979), doi:10.1214/aos/1176344552. Weights in place of copies let statistics that are
    quadratic forms of the weights be computed for all resamples at once.

    Examples
    --------
    >>> bootstrap_weights(4, n_resamples=3, rng=spawn_rng(1)).sum(axis=1)
    array([4, 4, 4])
    """
    if n < 1 or n_resamples < 1:
        raise InputError(
            f"a bootstrap of {n} patients and {n_resamples} resamples was asked for: use 1 or more"
        )
    return rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.int64)


def bootstrap_mean(
    values: FloatArray, *, n_resamples: int, confidence_level: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the mean over patients of each column, with a percentile bootstrap interval.

    Parameters
    ----------
    values : ndarray, shape (n, p)
        One row per patient, nothing missing.
    n_resamples : int
        Bootstrap resamples.
    confidence_level : float
        Level of the interval.
    rng : numpy Generator
        Source of the resamples.

    Returns
    -------
    mean, lower, upper : ndarray, shape (p,)
    drawn : ndarray, shape (n_resamples, p)
        Mean of each resample.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> bootstrap_mean(np.ones((9, 1)), n_resamples=50, confidence_level=0.95, rng=rng)[:3]
    (array([1.]), array([1.]), array([1.]))
    """
    drawn = bootstrap_weights(len(values), n_resamples=n_resamples, rng=rng) @ values / len(values)
    tail = (1.0 - confidence_level) / 2.0
    lower, upper = np.quantile(drawn, [tail, 1.0 - tail], axis=0)
    return values.mean(axis=0), lower, upper, drawn


def _codes(values: ArrayLike | Sequence[object]) -> tuple[np.ndarray, IntArray]:
    """Sorted distinct labels and the code of each row."""
    labels = np.asarray(values)
    if labels.ndim != 1:
        raise InputError(f"labels have {labels.ndim} dimensions: give one per row")
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        raise InputError(
            f"labels are missing in row {name_rows(np.flatnonzero(missing))}: give all"
        )
    if labels.dtype == object:
        labels = labels.astype(str)
    names, codes = np.unique(labels, return_inverse=True)
    return names, codes.astype(np.int64)
