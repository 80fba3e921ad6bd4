"""Patients that stand on both sides of a split, under whatever name and however copied."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import poisson

from times_stats._checks import Faults
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.audit.near_duplicates import EXPECTED, find_near_pairs, mask_limits
from times_stats.errors import InputError
from times_stats.tables.columns import as_labels

KINDS = (
    "patient_id",
    "similar_id",
    "identical_features",
    "near_features",
    "rescaled_features",
    "shared_values",
    "identical_scores",
)
"""Kinds of traces, in the order in which they are listed."""

_NO_FEATURES = ("patient_id", "cohort", "time", "event")
_COMMON = 0.05  # a value that this share of the patients has says nothing about who they are
_DIGITS = 6  # to which values count as equal
_LEAST_SHARED = 3
_NAMED = 5  # rows that a message lists
_LONE = 0.01  # ties a row in a column, beyond those of copies, above which it is too coarse
_DEPENDENCE = 10.0  # ties in one column make ties in others likelier where markers go together
_FACTOR = 5.0  # medians further apart than this are taken for another unit
_COLUMNS = ["kind", "train_id", "test_id", "n_features", "distance", "expected", "same_outcome"]


def find_leakage(
    train: pd.DataFrame, test: pd.DataFrame | None = None, *, score: str = "score"
) -> pd.DataFrame:
    """Find patients of the test table that the training table knows.

    Names are compared as written and after normalising them; features as they stand, nearly, in
    part and in other units; scores by how many are the same.

    Parameters
    ----------
    train, test : DataFrame
        Feature tables or patients tables, a row per patient or per tile. Patients are named by the
        column ``patient_id``, or by the index where there is no such column. Columns ``cohort``,
        ``time`` and ``event`` are no features. Without `test`, patients of `train` that are listed
        twice under two names are looked for.
    score : str, default "score"
        Column with predictions. Tables that share one feature only are compared by that.

    Returns
    -------
    DataFrame
        One row per trace and pair: ``kind`` (Notes), ``train_id``, ``test_id``, ``n_features``
        (values that agree), ``distance`` (root mean square difference in units of the spread
        between patients), ``expected`` (such pairs by chance in the whole comparison; 0 where
        chance plays no part), ``same_outcome`` (whether ``time`` and ``event`` agree; missing
        where a table has none). Empty if there are none.

    Raises
    ------
    InputError
        If an argument is no table, a patient has no name, ``time`` or ``event`` hold text, or
        a feature is infinite.

    Notes
    -----
    ``patient_id``: the same name in both. ``similar_id``: the same name but for case, leading zeros
    and white space that is not between two digits.

    Values count as graded where at least .8 of the values of their column differ in each table, no
    value is held by more than three rows, and they are not one of several smallest or largest
    values (`mask_limits` in `times_stats.audit.near_duplicates`). Two patients agree by chance in
    binary columns, percentages in steps and values at a detection limit, the more so where markers
    go together; such values are no evidence.

    ``identical_features``: every value agrees and gaps are in the same places; a row with fewer
    than two different observed values proves nothing. ``expected`` is the number of pairs that
    agree in all columns that are not graded, times the chance of a tie in each that is, and in the
    follow-up where that agrees and is graded; from 1 on the row is left out. So a copy whose every
    value is coarse is found by its follow-up only.

    ``near_features``: agreement of graded values to rounding, at most .1 of the spread between
    patients (the interquartile range over 1.35, of logs where all values are positive) apart and
    far nearer than to anybody else; up to .01 such pairs are expected by chance in a whole
    comparison (`find_near_pairs` there). Groups of fewer than 12 patients with the same gaps and
    coarse values are not searched. ``rescaled_features``: the same after columns whose medians
    differ more than fivefold are brought to each other by a power of ten. ``shared_values``: three
    or more graded values agree to six digits where others do not, as when some markers were stained
    anew; columns in which more than one patient in a hundred shares a value with somebody who is
    like them in at most one other are left out, and ties are taken for ten times as frequent as
    they are, since markers go together. ``identical_scores``: more scores agree to six digits than
    the ties within each table explain.

    A copy in an arbitrary other unit or a new staining of everything is not found.

    Examples
    --------
    >>> train = pd.DataFrame({"CD8": [1.5, 2.5], "CD4": [0.1, 0.2]}, index=["a", "b"])
    >>> test = pd.DataFrame({"CD8": [2.5, 9.0], "CD4": [0.2, 0.3]}, index=["c", "A"])
    >>> find_leakage(train, test)[["kind", "train_id", "test_id", "n_features"]]
                     kind train_id test_id  n_features
    0          similar_id        a       A           0
    1  identical_features        b       c           2
    """
    for name, table in (("train", train), ("test", test)):
        if not isinstance(table, pd.DataFrame) and not (name == "test" and table is None):
            raise InputError(f"{name} is a {type(table).__name__}: give a DataFrame")
    _check_table(train, "train")
    if test is not None:
        _check_table(test, "test")
    comparison = _Comparison(train, test, score=score)
    rows = [
        *comparison.same_names(),
        *comparison.same_rows(),
        *comparison.near_rows(),
        *comparison.shared_values(),
        *comparison.same_scores(),
    ]
    found = pd.DataFrame(rows, columns=_COLUMNS)
    rank = found["kind"].map({kind: place for place, kind in enumerate(KINDS)})
    found = (
        found.assign(rank=rank.astype("int64"))
        .sort_values(["rank", "train_id", "test_id", "distance"], kind="stable")
        .drop_duplicates(["kind", "train_id", "test_id"], ignore_index=True)
        .drop(columns="rank")
    )
    return found.astype(
        {
            "n_features": "int64",
            "distance": "float64",
            "expected": "float64",
            "same_outcome": "boolean",
        }
    )


def normalise_id(name: str) -> str:
    """Return a name without case, leading zeros and needless white space.

    White space between two digits stays, as one blank: "1 12" and "11 2" are two patients.

    Parameters
    ----------
    name : str
        Name of a patient.

    Returns
    -------
    str
        Equal for names that probably mean the same patient.

    Examples
    --------
    >>> normalise_id(" hcc 007"), normalise_id("HCC7"), normalise_id("1  12")
    ('hcc7', 'hcc7', '1 12')
    """
    words = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    joined = re.sub(r"(?<!\d) | (?!\d)", "", words)
    return re.sub(r"(?<![\d.])0+(?=\d)", "", joined)


type _Row = tuple[str, str, str, int, float, float, bool | None]


class _Comparison:
    """Two tables, or one with itself, as arrays."""

    def __init__(self, train: pd.DataFrame, test: pd.DataFrame | None, *, score: str) -> None:
        self.within = test is None
        other = train if test is None else test
        self.names = (_names(train), _names(other))
        shared: list[Hashable] = [
            name
            for name in train.columns
            if name in other.columns and _is_feature(train, name) and _is_feature(other, name)
        ]
        self.values = (_values(train, shared), _values(other, shared))
        codes = {name: k for k, name in enumerate(dict.fromkeys(self.names[0] + self.names[1]))}
        self.codes = tuple(np.array([codes[n] for n in part], np.int64) for part in self.names)
        known = all({"time", "event"} <= set(part.columns) for part in (train, other))
        self.outcomes = (
            tuple(
                part[["time", "event"]].apply(pd.to_numeric).to_numpy(np.float64, na_value=np.nan)
                for part in (train, other)
            )
            if known
            else None
        )
        self.n_pairs = len(self.names[0]) * len(self.names[1]) / (2 if self.within else 1)
        self.tie_chance = np.array(
            [
                self._tie_chance(*columns)
                for columns in zip(*(v.T for v in self.values), strict=True)
            ]
        )
        self.identical: set[tuple[int, int]] = set()
        self.similar: set[tuple[int, int]] = set()
        self.score = shared.index(score) if score in shared else 0 if len(shared) == 1 else None

    def _row(
        self,
        kind: str,
        pair: tuple[int, int],
        n_features: int,
        *,
        distance: float = 0.0,
        expected: float = 0.0,
    ) -> _Row:
        same = None
        if self.outcomes is not None:
            same = bool(np.array_equal(self.outcomes[0][pair[0]], self.outcomes[1][pair[1]]))
        names = (self.names[0][pair[0]], self.names[1][pair[1]])
        return (kind, *names, n_features, distance, expected, same)

    def _is_pair(self, i: int, j: int) -> bool:
        """Tell whether two rows may be reported: in one table each pair once, and two names."""
        return not self.within or (i < j and self.names[0][i] != self.names[1][j])

    def same_names(self) -> Iterable[_Row]:
        if not self.within:
            first = {name: i for i, name in reversed(list(enumerate(self.names[0])))}
            for j, name in enumerate(self.names[1]):
                if name in first:
                    yield self._row("patient_id", (first[name], j), 0)
        alike: dict[str, list[int]] = {}
        for i, name in enumerate(self.names[0]):
            alike.setdefault(normalise_id(name), []).append(i)
        for j, name in enumerate(self.names[1]):
            for i in alike.get(normalise_id(name), []):
                if self.names[0][i] != name and self._is_pair(i, j):
                    yield self._row("similar_id", (i, j), 0)

    def same_rows(self) -> Iterable[_Row]:
        known: dict[bytes, list[int]] = {}
        for i, row in enumerate(self.values[0]):
            known.setdefault(row.tobytes(), []).append(i)
        equal = [
            (i, j)
            for j, row in enumerate(self.values[1])
            if np.unique(row[~np.isnan(row)]).size > 1
            for i in known.get(row.tobytes(), [])
            if self._is_pair(i, j)
        ]
        if not equal:
            return
        fine = ~np.isnan(mask_limits(*self.values, within=self.within)[1])
        # Coarse values go together, so their chance is counted and not multiplied.
        chance = {
            pattern.tobytes(): self._n_equal(~pattern) * float(np.prod(self.tie_chance[pattern]))
            for pattern in np.unique(fine[[j for _, j in equal]], axis=0)
        }
        same_time = self._chance_of_time(equal)
        for i, j in equal:
            expected = chance[fine[j].tobytes()] * same_time.get((i, j), 1.0)
            if expected < 1:
                self.identical.add((i, j))
                n_features = int(np.isfinite(self.values[1][j]).sum())
                yield self._row("identical_features", (i, j), n_features, expected=expected)

    def _n_equal(self, columns: BoolArray) -> float:
        """Return the number of pairs of rows that agree in these columns, gaps included."""
        first, second = (Counter(row.tobytes() for row in v[:, columns]) for v in self.values)
        if self.within:
            return float(sum(_pairs(n) for n in first.values()))
        return float(sum(n * second[key] for key, n in first.items()))

    def _chance_of_time(self, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], float]:
        """Return the chance of a tie in follow-up for the pairs whose follow-up is one."""
        if self.outcomes is None:
            return {}
        first, second = self.outcomes
        known = ~np.isnan(mask_limits(first[:, :1], second[:, :1], within=self.within)[1][:, 0])
        chance = self._tie_chance(first[:, 0], second[:, 0])
        return {
            (i, j): chance for i, j in pairs if known[j] and np.array_equal(first[i], second[j])
        }

    def near_rows(self) -> Iterable[_Row]:
        train, test = self.values
        factor = _unit_factors(train, test)
        kinds = [("near_features", test)]
        if (factor != 1).any():
            kinds.append(("rescaled_features", test * factor))
        for kind, values in kinds:
            for pair in find_near_pairs(
                train,
                values,
                train_patients=self.codes[0],
                test_patients=self.codes[1],
                within=self.within,
                exact=kind == "rescaled_features",
            ):
                place = (pair.train, pair.test)
                if place not in self.similar:
                    self.similar.add(place)
                    yield self._row(
                        kind,
                        place,
                        pair.n_features,
                        distance=pair.distance,
                        expected=pair.expected,
                    )

    def shared_values(self) -> Iterable[_Row]:
        """Compare values that nearly nobody shares, column by column."""
        sides = mask_limits(*self.values, within=self.within)
        stacked = sides[0] if self.within else np.vstack(sides)
        codes = self.codes[0] if self.within else np.concatenate(self.codes)
        tied = [_tied_rows(column, codes) for column in stacked.T]
        agreeing = Counter(pair for pairs in tied for pair in pairs)
        # A copy agrees in several columns; pairs that agree in one or two show a coarse column.
        lone = [sum(agreeing[pair] < _LEAST_SHARED for pair in pairs) for pairs in tied]
        fine = [n <= max(1.0, _LONE * len(stacked)) for n in lone]
        shared = Counter(pair for k, pairs in enumerate(tied) if fine[k] for pair in pairs)
        chance = sum(
            (lone[k] + 1.0) / (_pairs(np.isfinite(stacked[:, k]).sum()) + 1.0)
            for k in np.flatnonzero(fine)
        )
        start = 0 if self.within else len(sides[0])
        for (first, second), count in shared.items():
            if not self.within and not first < start <= second:
                continue
            pair = (first, second - start)
            expected = self.n_pairs * float(poisson.sf(count - 1, _DEPENDENCE * chance))
            told = pair in self.identical or pair in self.similar
            if (
                count >= _LEAST_SHARED
                and expected <= EXPECTED
                and not told
                and self._is_pair(*pair)
            ):
                yield self._row("shared_values", pair, count, expected=expected)

    def same_scores(self) -> Iterable[_Row]:
        if self.score is None:
            return
        pairs, ties = self._equal_values(
            self.values[0][:, self.score], self.values[1][:, self.score]
        )
        expected = ties * self.n_pairs
        # In one table the ties are what is looked for, so chance cannot be told from copies.
        if not self.within and pairs and poisson.sf(len(pairs) - 1, expected) <= EXPECTED:
            for pair in pairs:
                yield self._row("identical_scores", pair, 1, expected=expected)

    def _equal_values(
        self, first: FloatArray, second: FloatArray
    ) -> tuple[list[tuple[int, int]], float]:
        """Return pairs of rows with an equal uncommon value, and the chance of a pair to have."""
        left, right = _rounded(first), _rounded(second)
        sides = (_places(left), _places(right))
        most = [max(1.0, _COMMON * len(part)) for part in (left, right)]
        common = {
            value
            for side, n in zip(sides, most, strict=True)
            for value in side
            if len(side[value]) > n
        }
        pairs = [
            (i, j)
            for value, rows in sides[1].items()
            if value not in common
            for j in rows
            for i in sides[0].get(value, [])
            if self._is_pair(i, j)
        ]
        # Rows of one patient (tiles) tie by nature and are no evidence of coarse values.
        ties = sum(
            _pairs(len(set(codes[rows])))
            for side, codes in zip(sides, self.codes, strict=True)
            for value, rows in side.items()
            if value not in common
        )
        possible = sum(_pairs(np.isfinite(column).sum()) for column in (first, second))
        return pairs, (ties + 1.0) / (possible + 1.0)

    def _tie_chance(self, first: FloatArray, second: FloatArray) -> float:
        """Return the chance that two patients of one table have the same value."""
        seen = [column[np.isfinite(column)] for column in (first, second)]
        counts = [np.unique(column, return_counts=True)[1] for column in seen]
        ties = sum(_pairs(count).sum() for count in counts)
        return float((ties + 1.0) / (sum(_pairs(column.size) for column in seen) + 1.0))


def _pairs(n: Any) -> Any:
    return n * (n - 1) / 2


def _rounded(column: FloatArray) -> list[float | None]:
    """Return values to six digits, None for zero and gaps."""
    return [
        float(f"{value:.{_DIGITS - 1}e}") if np.isfinite(value) and value != 0 else None
        for value in column
    ]


def _places(values: list[float | None]) -> dict[float, list[int]]:
    places: dict[float, list[int]] = {}
    for row, value in enumerate(values):
        if value is not None:
            places.setdefault(value, []).append(row)
    return places


def _tied_rows(column: FloatArray, codes: IntArray) -> list[tuple[int, int]]:
    """Return pairs of rows of two patients with an equal value, zero and gaps left out."""
    return [
        pair
        for rows in _places(_rounded(column)).values()
        for pair in combinations(rows, 2)
        if codes[pair[0]] != codes[pair[1]]
    ]


def _unit_factors(train: FloatArray, test: FloatArray) -> FloatArray:
    """Return the power of ten that brings each column of `test` to the size of `train`."""
    factor = np.ones(train.shape[1])
    for k in range(train.shape[1]):
        first, second = (np.abs(part[np.isfinite(part[:, k]), k]) for part in (train, test))
        if first.size and second.size:
            sizes = float(np.median(first)), float(np.median(second))
            if min(sizes) > 0 and max(sizes) / min(sizes) > _FACTOR:
                factor[k] = 10.0 ** np.round(np.log10(sizes[0] / sizes[1]))
    return factor


def _check_table(table: pd.DataFrame, name: str) -> None:
    """Refuse patients without a name and values that no distance can be taken of."""
    ids = table["patient_id"] if "patient_id" in table.columns else table.index.to_series()
    nameless = np.flatnonzero(ids.isna().to_numpy())
    if nameless.size:
        rows = ", ".join(str(row) for row in nameless[:_NAMED])
        raise InputError(f"{name} has no patient_id in rows {rows}: name every patient")
    names, faults = _names(table), Faults()
    for column in table.columns:
        values = table[column]
        if column in ("time", "event"):
            numbers = pd.to_numeric(values, errors="coerce")
            wrong = (values.notna() & numbers.isna()).to_numpy(dtype=bool)
            said, remedy = "no number", "write time in months and event as 0 or 1"
        elif _is_feature(table, column):
            wrong = np.isinf(values.to_numpy(dtype=np.float64, na_value=np.nan))
            said, remedy = "not finite", "leave such values empty"
        else:
            continue
        at = [names[row] for row in np.flatnonzero(wrong)]
        if at:
            shown = ", ".join(at[:_NAMED]) + (", ..." if len(at) > _NAMED else "")
            n_rows = f"{len(at)} row{'s' if len(at) > 1 else ''}"
            faults.add(f"{name}, column {column}: {said} in {n_rows} ({shown}): {remedy}")
    faults.raise_if_any()


def _names(table: pd.DataFrame) -> list[str]:
    names = table["patient_id"] if "patient_id" in table.columns else table.index.to_series()
    return [str(name) for name in as_labels(names)]


def _is_feature(table: pd.DataFrame, name: Hashable) -> bool:
    return name not in _NO_FEATURES and pd.api.types.is_numeric_dtype(table[name])


def _values(table: pd.DataFrame, columns: list[Hashable]) -> FloatArray:
    # One bit pattern each of zero and NaN, so that equal rows have equal bytes.
    values = table[columns].to_numpy(dtype=np.float64, na_value=np.nan) + 0.0
    values[np.isnan(values)] = np.nan
    return np.ascontiguousarray(values)
