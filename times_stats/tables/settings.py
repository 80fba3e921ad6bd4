"""Settings of the study file: sections, keys, defaults, and what each accepts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from times_stats._checks import Faults, name_rows, nearest_key
from times_stats.tables.stages import SYSTEMS


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How markers become evidence and evidence the TIMES score: section ``[score]``.

    Attributes
    ----------
    markers, regions : tuple of str or None
        What is analysed; None for everything the measurements hold.
    objective : str
        ``survival:cox`` or ``binary:logistic`` (at the horizon).
    pooling : str
        ``shrunken`` or ``random_effects``.
    missing : str
        ``keep`` analyses every patient with a complete marker, ``complete`` only those with all.
    n_folds, n_repeats : int
        Cross-fitting folds of patients, and how often they are drawn.
    tumour_region : str or None
        Region that a biopsy gives; None where none of the regions is the tumour.

    Examples
    --------
    >>> ScoreSettings().pooling
    'shrunken'
    """

    markers: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    objective: str = "survival:cox"
    pooling: str = "shrunken"
    missing: str = "keep"
    n_folds: int = 5
    n_repeats: int = 4
    tumour_region: str | None = None


@dataclass(frozen=True, slots=True)
class SurvivalSettings:
    """The Bayesian survival model: section ``[survival]``.

    Attributes
    ----------
    baseline : str
        Baseline hazard: ``weibull`` or ``mspline``.

    Examples
    --------
    >>> SurvivalSettings().baseline
    'weibull'
    """

    baseline: str = "weibull"


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What the score is compared with: section ``[compare]``.

    Attributes
    ----------
    staging : tuple of str
        Columns of recorded stages.

    Examples
    --------
    >>> CompareSettings(staging=("tnm", "bclc")).staging
    ('tnm', 'bclc')
    """

    staging: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """The outer loop that measures performance: section ``[evaluate]``.

    Attributes
    ----------
    n_folds, n_repeats : int
        Outer folds of patients, and how often they are drawn.
    n_resamples : int
        Bootstrap resamples of the intervals.
    margin : float
        Difference in concordance too small to matter, for the verdict on location.

    Examples
    --------
    >>> EvaluateSettings().margin
    0.03
    """

    n_folds: int = 5
    n_repeats: int = 4
    n_resamples: int = 1000
    margin: float = 0.03


@dataclass(frozen=True, slots=True)
class StudySettings:
    """Every section of a study file, read and checked."""

    name: str
    endpoint: str
    population: str
    time_zero: str
    time_unit: str
    horizon: float
    censoring_strata: tuple[str, ...]
    seed: int
    patient_columns: dict[str, str]
    patients_path: str | None
    measurement_columns: dict[str, str]
    measurement_regions: dict[str, str]
    measurements_path: str | None
    score: ScoreSettings
    survival: SurvivalSettings
    compare: CompareSettings
    evaluate: EvaluateSettings


type _Check = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be a text in quotes"


def _whole(low: int) -> _Check:
    def check(value: Any) -> str | None:
        good = isinstance(value, int) and not isinstance(value, bool) and value >= low
        return None if good else f"must be a whole number of at least {low}"

    return check


def _between(low: float, high: float) -> _Check:
    def check(value: Any) -> str | None:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if good and math.isfinite(value) and low < value < high:
            return None
        limit = f"above {low:g}" + (f" and below {high:g}" if math.isfinite(high) else "")
        return f"must be a number {limit}"

    return check


def _one_of(*known: str, planned: tuple[str, ...] = ()) -> _Check:
    def check(value: Any) -> str | None:
        if value in known:
            return None
        choice = " or ".join(repr(name) for name in known)
        if value in planned:
            return f"is not built yet for {value!r}: use {choice}"
        near = nearest_key(str(value), known)
        return f"must be {choice}" + (f" (nearest: {near!r})" if near else "")

    return check


def _names(*, empty: bool = False, known: tuple[str, ...] = ()) -> _Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, list | tuple) or not all(_text(name) is None for name in value):
            return 'must be a list of texts, such as ["a", "b"]'
        if not value and not empty:
            return "is an empty list: name at least one, or leave the key out"
        repeated = [name for name in value if list(value).count(name) > 1]
        if repeated:
            return f"names {name_rows(repeated)} twice: name each once"
        for name in value:
            if known and name not in known:
                near = nearest_key(name, known)
                hint = f" (nearest: '{near}')" if near else ""
                return f"names the unknown system '{name}'{hint}: use one of {', '.join(known)}"
        return None

    return check


def _mapping(value: Any) -> str | None:
    good = isinstance(value, Mapping) and all(
        _text(item) is None for pair in value.items() for item in pair
    )
    if not good:
        return 'must map names to names, such as { time = "RFS" }'
    return None


_SECTIONS: dict[str, dict[str, tuple[Any, _Check]]] = {
    "study": {
        "name": ("study", _text),
        "endpoint": ("event-free survival", _text),
        "population": ("", _text),
        "time_zero": ("", _text),
        "time_unit": ("months", _one_of("months", "days")),
        "horizon": (math.nan, _between(0, math.inf)),
        "censoring_strata": (("cohort",), _names(empty=True)),
        "seed": (1, _whole(0)),
    },
    "patients": {"path": (None, _text), "columns": ({}, _mapping)},
    "measurements": {
        "path": (None, _text),
        "columns": ({}, _mapping),
        "regions": ({}, _mapping),
    },
    "score": {
        "markers": (None, _names()),
        "regions": (None, _names()),
        "objective": ("survival:cox", _one_of("survival:cox", "binary:logistic")),
        "pooling": ("shrunken", _one_of("shrunken", "random_effects", planned=("published",))),
        "missing": ("keep", _one_of("keep", "complete")),
        "n_folds": (5, _whole(2)),
        "n_repeats": (4, _whole(2)),
        "tumour_region": (None, _text),
    },
    "survival": {"baseline": ("weibull", _one_of("weibull", "mspline", planned=("piecewise",)))},
    "compare": {"staging": ((), _names(empty=True, known=tuple(SYSTEMS)))},
    "evaluate": {
        "n_folds": (5, _whole(2)),
        "n_repeats": (4, _whole(1)),
        "n_resamples": (1000, _whole(100)),
        "margin": (0.03, _between(0, 0.5)),
    },
}
_PLANNED_SECTIONS = {
    "cells": ("cell tables", "give [measurements] with one value per patient, region and marker"),
    "regions": ("regions from cells", "name the region of each value in [measurements]"),
    "therapy": ("treatment benefit", "remove the section"),
}
_PLANNED_KEYS = {
    ("evaluate", "thresholds"): ("decision curves", "remove the key"),
    ("survival", "n_basis"): ("a chosen number of basis functions", "remove the key"),
    ("patients", "format"): ("other formats", "save the table as csv or parquet"),
    ("measurements", "format"): ("other formats", "save the table as csv or parquet"),
    ("compare", "risk"): ("a foreign risk score", "remove the key"),
}


def check_settings(settings: Mapping[str, Any], faults: Faults) -> StudySettings:
    """Check the sections of a study file and fill in the defaults.

    Parameters
    ----------
    settings : mapping
        Sections of the study file, as TOML gives them.
    faults : Faults
        Collects what is wrong.

    Returns
    -------
    StudySettings
        With the default in place of a setting that is wrong or missing (a horizon of NaN).

    Examples
    --------
    >>> check_settings({"study": {"horizon": 24}}, Faults()).score.n_folds
    5
    """
    known = (*_SECTIONS, *_PLANNED_SECTIONS)
    for name in settings:
        if name in _PLANNED_SECTIONS:
            part, remedy = _PLANNED_SECTIONS[name]
            faults.add(f"section [{name}] is not built yet ({part}): {remedy}")
        elif name not in _SECTIONS:
            near = nearest_key(name, known)
            hint = f" (nearest: [{near}])" if near else ""
            faults.add(f"section [{name}] is unknown{hint}: correct or remove it")
    read = {name: _section(name, settings.get(name, {}), faults) for name in _SECTIONS}
    study, patients, measurements = (read[name] for name in ("study", "patients", "measurements"))
    return StudySettings(
        name=study["name"],
        endpoint=study["endpoint"],
        population=study["population"],
        time_zero=study["time_zero"],
        time_unit=study["time_unit"],
        horizon=float(study["horizon"]),
        censoring_strata=study["censoring_strata"],
        seed=study["seed"],
        patient_columns=dict(patients["columns"]),
        patients_path=patients["path"],
        measurement_columns=dict(measurements["columns"]),
        measurement_regions=dict(measurements["regions"]),
        measurements_path=measurements["path"],
        score=ScoreSettings(**read["score"]),
        survival=SurvivalSettings(**read["survival"]),
        compare=CompareSettings(**read["compare"]),
        evaluate=EvaluateSettings(**read["evaluate"]),
    )


def _section(section: str, given: Any, faults: Faults) -> dict[str, Any]:
    keys = _SECTIONS[section]
    if not isinstance(given, Mapping):
        faults.add(f"[{section}] is no section: write [{section}] on its own line, keys below")
        given = {}
    for key in given:
        if (section, key) in _PLANNED_KEYS:
            part, remedy = _PLANNED_KEYS[section, key]
            faults.add(f"[{section}] {key} is not built yet ({part}): {remedy}")
        elif key not in keys:
            near = nearest_key(key, keys)
            hint = f" (nearest: '{near}')" if near else ""
            faults.add(f"[{section}] has the unknown key '{key}'{hint}: correct or remove it")
    read: dict[str, Any] = {}
    for key, (default, check) in keys.items():
        value = given.get(key, default)
        problem = check(value) if key in given else None
        if key not in given and math.nan is default:
            faults.add(f"[{section}] {key} is missing: add it (months)")
        if problem:
            faults.add(f"[{section}] {key} {problem}; got {_shown(value)}")
            value = default
        read[key] = tuple(value) if isinstance(value, list) else value
    return read


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
