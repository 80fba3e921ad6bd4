"""Stage values as hospitals record them: numerals, TNM, letters, codes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats.tables.columns import as_labels

_NUMERALS = {"0": 0, "I": 1, "II": 2, "III": 3, "IV": 4}
_TNM = re.compile(
    r"[CPYRAM]*T([1-4])([AB]?)(?:\((?:M|\d)\))?"
    r"(?:[CP]?N([X01])[A-C]?)?(?:[CP]?M([X01])[A-C]?)?"
)
_OF_T: dict[str, dict[str, str]] = {
    "tnm": {
        "1": "I", "1A": "IA", "1B": "IB", "2": "II",
        "3": "IIIA", "3A": "IIIA", "3B": "IIIB", "4": "IIIB",
    },
    "tnm_ajcc7": {"1": "I", "2": "II", "3": "III", "3A": "IIIA", "3B": "IIIB", "4": "IIIC"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """One recorded value, read.

    Attributes
    ----------
    read_as : str
        ``numeral``, ``tnm``, ``letter``, ``points`` or ``code``.
    stage : str
        The stage in its usual spelling.
    rank : tuple
        Orders the stages.
    note : str
        What was taken for granted; empty if nothing was.
    """

    read_as: str
    stage: str
    rank: tuple[object, ...]
    note: str = ""


type _Reader = Callable[[str], Reading | None]
type _Form = tuple[str, _Reader]


def _roman(text: str) -> Reading | None:
    found = re.fullmatch(r"(0|I{1,3}|IV)([A-C]?)([1-3]?)", text)
    if found is None or (found[3] and not found[2]):
        return None
    return Reading("numeral", text, (_NUMERALS[found[1]], found[2], found[3]))


def _roman_or_tnm(system: str) -> _Reader:
    def read(text: str) -> Reading | None:
        return _roman(text) or _from_tnm(text, system)

    return read


def _from_tnm(text: str, system: str) -> Reading | None:
    """Read T, N and M; what is X or not written counts as 0, and the note says so."""
    found = _TNM.fullmatch(re.sub(r"[,;/_-]", "", text))
    if found is None:
        return None
    primary, part, nodes, distant = found.groups()
    stage = _OF_T[system].get(primary + part)
    if stage is None:
        return None
    assumed = [
        f"{name}X read as {name}0" if value == "X" else f"{name} not written, read as {name}0"
        for name, value in (("N", nodes), ("M", distant))
        if value not in ("0", "1") and distant != "1" and not (name == "N" and nodes == "1")
    ]
    if part and system == "tnm" and primary == "3":
        assumed.insert(0, f"T3{part.lower()} is of the seventh edition, stage {stage} in both")
    if distant == "1":
        stage = "IVB"
    elif nodes == "1":
        stage = "IVA"
    numeral = stage.rstrip("ABC")
    rank = (_NUMERALS[numeral], stage.removeprefix(numeral), "")
    return Reading("tnm", stage, rank, "; ".join(assumed))


def _letters(allowed: str) -> _Reader:
    def read(text: str) -> Reading | None:
        known = len(text) == 1 and text in allowed
        return Reading("letter", text, (allowed.index(text),)) if known else None

    return read


def _numbers(read_as: str, low: int, high: int) -> _Reader:
    def read(text: str) -> Reading | None:
        known = text.isdecimal() and low <= int(text) <= high
        return Reading(read_as, text, (int(text),)) if known else None

    return read


_CODED: _Form = ("codes 1 to 9", _numbers("code", 1, 9))
_ROMAN: _Form = ("numerals I to IV with A, B or C", _roman)


def _tnm_form(system: str) -> _Form:
    return ("numerals I to IV with A, B or C, TNM such as pT2N0M0", _roman_or_tnm(system))


SYSTEMS: dict[str, tuple[_Form, ...]] = {
    "tnm": (_tnm_form("tnm"), _CODED),
    "tnm_ajcc7": (_tnm_form("tnm_ajcc7"), _CODED),
    "stage": (_ROMAN, _CODED),
    "cnlc": (_ROMAN, _CODED),
    "okuda": (_ROMAN, _CODED),
    "bclc": (("0 and A to D", _letters("0ABCD")), _CODED),
    "child_pugh": (("A to C", _letters("ABC")), _CODED),
    "clip": (("points 0 to 6", _numbers("points", 0, 6)),),
    "jis": (("points 0 to 5", _numbers("points", 0, 5)),),
}


def order_stages(
    values: pd.Series, *, system: str, faults: Faults
) -> tuple[pd.Series, pd.DataFrame]:
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
    readings : DataFrame
        ``recorded``, ``stage``, ``read_as`` and ``note`` of each value.

    Examples
    --------
    >>> values = pd.Series(["III", "pT1aNx M0", None])
    >>> stages, readings = order_stages(values, system="tnm", faults=Faults())
    >>> list(stages.cat.categories), readings["read_as"].tolist(), readings["note"][1]
    (['IA', 'III'], ['numeral', 'tnm', 'missing'], 'NX read as N0')
    """
    labels = as_labels(values)
    clean = {label: _cleaned(label) for label in labels.dropna().unique()}
    forms = SYSTEMS[system]
    tried = [{label: read(text) for label, text in clean.items()} for _, read in forms]
    unread = [sum(reading is None for reading in readings.values()) for readings in tried]
    readings = tried[unread.index(min(unread))]
    wrong = labels.map(lambda label: readings[label] is None, na_action="ignore").eq(True)
    if wrong.any():
        accepted = " or ".join(text for text, _ in forms)
        faults.add(
            f"column '{system}' cannot be read for patient "
            f"{name_rows(labels.index[wrong.to_numpy()])}: use {accepted}, one form in the column"
        )
    ranks = {reading.stage: reading.rank for reading in readings.values() if reading is not None}
    categories = sorted(ranks, key=lambda stage: tuple(map(str, ranks[stage])))
    read = [readings.get(label) if pd.notna(label) else None for label in labels]
    kept = [None if reading is None else reading.stage for reading in read]
    stages = pd.Series(
        pd.Categorical(kept, categories=categories, ordered=True),
        index=values.index,
        name=values.name,
    )
    account = pd.DataFrame(
        {
            "recorded": labels,
            "stage": pd.Series(kept, index=values.index, dtype="str"),
            "read_as": ["missing" if reading is None else reading.read_as for reading in read],
            "note": ["" if reading is None else reading.note for reading in read],
        },
        index=values.index,
    )
    return stages, account


def _cleaned(label: str) -> str:
    text = unicodedata.normalize("NFKC", label).upper().replace(" ", "")
    return text.removeprefix("STAGE")
