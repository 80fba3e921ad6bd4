"""A staging system: the columns it reads, its answers in order, and how it finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.staging.clinical_columns import ClinicalColumns, read_clinical, settled
from times_stats.staging.completions import Grid, search_completions, tabulate_rule

type Bounds = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, slots=True)
class StagingSystem:
    """One stage, grade or score, found from clinical columns.

    Attributes
    ----------
    name : str
        Name of the public function and of the result.
    columns : tuple of str
        Canonical columns it reads.
    search : callable
        Lowest and highest answer that the known inputs of each patient allow. Answers are ranks of
        `categories`, or numbers.
    categories : tuple of str
        Stages, lowest first; empty for a number.
    dtype : str
        ``category``, ``Int64``, ``boolean`` or ``float64``.
    limits : tuple of float
        Lowest and highest answer there is.
    """

    name: str
    columns: tuple[str, ...]
    search: Callable[[ClinicalColumns], Bounds]
    categories: tuple[str, ...] = ()
    dtype: str = "category"
    limits: tuple[float, float] = (-np.inf, np.inf)

    def stage(self, patients: pd.DataFrame) -> pd.Series:
        """Return the answer of each patient; missing where a missing input could change it."""
        inputs = read_clinical(patients, self.columns)
        return self.settle(inputs.index, self.search(inputs))

    def bound(self, patients: pd.DataFrame) -> pd.DataFrame:
        """Return the lowest and the highest answer that the known inputs allow."""
        inputs = read_clinical(patients, self.columns)
        return self.frame(inputs.index, self.search(inputs))

    def settle(self, index: pd.Index, bounds: Bounds) -> pd.Series:
        """Return what the bounds settle: the answer where they meet, missing elsewhere."""
        lowest, highest = bounds
        return self._series(index, np.where(lowest == highest, lowest, np.nan), self.name)

    def frame(self, index: pd.Index, bounds: Bounds) -> pd.DataFrame:
        """Return bounds as columns ``lowest`` and ``highest``."""
        lowest, highest = bounds
        return pd.DataFrame(
            {
                "lowest": self._series(index, lowest, "lowest"),
                "highest": self._series(index, highest, "highest"),
            },
            index=index,
        )

    def says_something(self, bounds: Bounds) -> bool:
        """Say whether the bounds of any patient are narrower than the whole system."""
        lowest, highest = bounds
        if self.categories:
            first, last = 0.0, float(len(self.categories) - 1)
        else:
            first, last = self.limits
        return bool(((lowest > first) | (highest < last)).any())

    def _series(self, index: pd.Index, values: FloatArray, name: str) -> pd.Series:
        if self.dtype == "category":
            codes = np.where(np.isnan(values), -1, values).astype(np.int64)
            names = pd.Index(self.categories)
            stages = pd.Categorical.from_codes(codes, categories=names, ordered=True)
            return pd.Series(stages, index=index, name=name)
        if self.dtype == "float64":
            return pd.Series(values, index=index, name=name)
        missing = np.isnan(values)
        whole = np.where(missing, 0, values).astype(np.int64)
        if self.dtype == "boolean":
            return pd.Series(pd.arrays.BooleanArray(whole == 1, missing), index=index, name=name)
        return pd.Series(pd.arrays.IntegerArray(whole, missing), index=index, name=name)


def known_or_between(values: FloatArray, low: float, high: float) -> Bounds:
    """Return the bounds of a term: its value, or its range where the value is missing.

    Parameters
    ----------
    values : ndarray of float
        Values of the term; NaN where missing.
    low, high : float
        Range of the term over all values of its input.

    Returns
    -------
    lowest, highest : ndarray of float

    Examples
    --------
    >>> known_or_between(np.array([2.0, np.nan]), 0, 3)
    (array([2., 0.]), array([2., 3.]))
    """
    missing = np.isnan(values)
    return np.where(missing, low, values), np.where(missing, high, values)


def graded(bounds: Bounds, *limits: float) -> Bounds:
    """Return the bounds of the grade from those of its score; a limit is of the lower grade.

    Parameters
    ----------
    bounds : pair of ndarray of float
        Lowest and highest score.
    *limits : float
        Limits between the grades, rising.

    Returns
    -------
    lowest, highest : ndarray of float
        Grades, counted from 0.

    Examples
    --------
    >>> graded((np.array([-2.6]), np.array([-1.0])), -2.60, -1.39)
    (array([0.]), array([2.]))
    """
    lowest, highest = (np.searchsorted(limits, settled(score)) for score in bounds)
    return lowest.astype(np.float64), highest.astype(np.float64)


def rule_search(
    rule: Callable[[Grid], IntArray],
    levels: Mapping[str, int],
    possible: Callable[[ClinicalColumns], Mapping[str, BoolArray]],
) -> Callable[[ClinicalColumns], Bounds]:
    """Return the search of a rule over the completions of what is known.

    Parameters
    ----------
    rule : callable
        The rule on complete inputs, over arrays of levels.
    levels : mapping of str to int
        Number of levels of each input.
    possible : callable
        Levels that the inputs of each patient may have.

    Returns
    -------
    callable
        Takes clinical columns and returns the lowest and highest outcome of each patient.

    Examples
    --------
    >>> import pandas as pd
    >>> from times_stats.staging.tumour_inputs import LEVELS, possible_inputs
    >>> levels = {"node": LEVELS["node"]}
    >>> search = rule_search(lambda on: on["node"], levels, possible_inputs)
    """

    @cache
    def table() -> IntArray:
        return tabulate_rule(rule, levels)

    def search(inputs: ClinicalColumns) -> Bounds:
        if not len(inputs.index):
            return np.empty(0), np.empty(0)
        known = possible(inputs)
        chosen = {name: known[name] for name in levels}
        lowest, highest = search_completions(table(), chosen, levels)
        return lowest.astype(np.float64), highest.astype(np.float64)

    return search
