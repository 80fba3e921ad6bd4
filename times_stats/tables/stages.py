"""Stage values as hospitals record them: numerals, letters, codes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats.tables.columns import as_labels

_NUMERALS = {"0": 0, "I": 1, "II": 2, "III": 3, "IV": 4}


def _roman(text: str) -> tuple[object, ...] | None:
    found = re.fullmatch(r"(0|I{1,3}|IV)([A-C]?)([1-3]?)", text)
    if found is None or (found[3] and not found[2]):
        return None
    return (_NUMERALS[found[1]], found[2], found[3])


def _letters(allowed: str) -> Callable[[str], tuple[object, ...] | None]:
    return lambda text: (allowed.index(text),) if len(text) == 1 and text in allowed else None


def _codes(low: int, high: int) -> Callable[[str], tuple[object, ...] | None]:
    return lambda text: (int(text),) if text.isdecimal() and low <= int(text) <= high else None


type _Form = tuple[str, str, Callable[[str], tuple[object, ...] | None]]

_CODED: _Form = ("code", "codes 1 to 9", _codes(1, 9))
_ROMAN: _Form = ("numeral", "numerals I to IV with A, B or C", _roman)
_POINTS: _Form = ("points", "points 0 to 6", _codes(0, 6))
SYSTEMS: dict[str, tuple[_Form, ...]] = {
    "tnm": (_ROMAN, _CODED),
    "tnm_ajcc7": (_ROMAN, _CODED),
    "stage": (_ROMAN, _CODED),
    "cnlc": (_ROMAN, _CODED),
    "okuda": (_ROMAN, _CODED),
    "bclc": (("letter", "0 and A to D", _letters("0ABCD")), _CODED),
    "child_pugh": (("letter", "A to C", _letters("ABC")), _CODED),
    "clip": (_POINTS,),
    "jis": (_POINTS,),
}


def order_stages(values: pd.Series, *, system: str, faults: Faults) -> tuple[pd.Series, str]:
    """Read recorded stages and put them in order.

    Parameters
    ----------
    values : Series
        Stages as recorded; the index names the patients.
    system : str
        One of `SYSTEMS`.
    faults : Faults
        Collects the values that cannot be read.

    Returns
    -------
    stages : Series
        Ordered categorical of the stages that occur, lowest first; missing stays missing.
    form : str
        How the column was read: ``numeral``, ``letter``, ``code`` or ``points``.

    Examples
    --------
    >>> stages, form = order_stages(pd.Series(["III", "I", None]), system="tnm", faults=Faults())
    >>> form, list(stages.cat.categories)
    ('numeral', ['I', 'III'])
    """
    labels = as_labels(values)
    clean = {label: _cleaned(label) for label in labels.dropna().unique()}
    forms = SYSTEMS[system]
    readings = [{label: read(text) for label, text in clean.items()} for _, _, read in forms]
    unread = [sum(rank is None for rank in reading.values()) for reading in readings]
    best = unread.index(min(unread))
    ranks = readings[best]
    wrong = labels.map(lambda label: ranks[label] is None, na_action="ignore").eq(True)
    if wrong.any():
        accepted = " or ".join(text for _, text, _ in forms)
        faults.add(
            f"column '{system}' cannot be read for patient "
            f"{name_rows(labels.index[wrong.to_numpy()])}: use {accepted}, one form in the column"
        )
    order = {clean[label]: rank for label, rank in ranks.items() if rank is not None}
    categories = sorted(order, key=lambda text: tuple(map(str, order[text])))
    texts = [None if pd.isna(label) else clean[label] for label in labels]
    kept = [text if text in order else None for text in texts]
    stages = pd.Series(
        pd.Categorical(kept, categories=categories, ordered=True),
        index=values.index,
        name=values.name,
    )
    return stages, forms[best][0]


def _cleaned(label: str) -> str:
    text = unicodedata.normalize("NFKC", label).upper().replace(" ", "")
    return text.removeprefix("STAGE")
