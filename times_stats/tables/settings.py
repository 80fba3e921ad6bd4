"""Settings of the study file: sections, keys, defaults, and what each accepts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from times_stats._checks import Faults, nearest_hint, nearest_key
from times_stats.tables.cell_settings import CellSettings, FeatureSettings, RegionSettings
from times_stats.tables.setting_checks import (
    Check,
    distance_or_false,
    image_pattern,
    limits_around_zero,
    mapping,
    mapping_to_lists,
    names,
    number_between,
    one_of,
    rising_numbers,
    text,
    text_or_texts,
    true_or_false,
    whole_number,
)
from times_stats.tables.stages import SYSTEMS


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How markers become evidence and evidence the TIMES score: section ``[score]``.

    Attributes
    ----------
    markers, regions : tuple of str or None
        What is analysed; None for everything the measurements hold.
    objective : str
        ``survival:cox``, ``survival:aft`` (Weibull times) or ``binary:logistic`` (at the
        horizon).
    tuning : bool
        Choose the size of the marker models anew in each training set, the outer ones included.
    pooling : str
        ``shrunken``, ``gls``, ``random_effects`` or ``bayesian``.
    variance : str
        Source of the variances of the margins: ``jackknife`` or ``bootstrap``.
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
    tuning: bool = False
    pooling: str = "shrunken"
    variance: str = "jackknife"
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
        Baseline hazard: ``weibull``, ``piecewise`` or ``mspline``.

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
    cells: CellSettings | None
    regions: RegionSettings
    features: FeatureSettings
    score: ScoreSettings
    survival: SurvivalSettings
    compare: CompareSettings
    evaluate: EvaluateSettings


_CELLS, _REGIONS, _FEATURES = CellSettings(), RegionSettings(), FeatureSettings()
_SECTIONS: dict[str, dict[str, tuple[Any, Check]]] = {
    "study": {
        "name": ("study", text),
        "endpoint": ("event-free survival", text),
        "population": ("", text),
        "time_zero": ("", text),
        "time_unit": ("months", one_of("months", "days")),
        "horizon": (math.nan, number_between(0, math.inf)),
        "censoring_strata": (("cohort",), names(empty=True)),
        "seed": (1, whole_number(0)),
    },
    "patients": {"path": (None, text), "columns": ({}, mapping)},
    "measurements": {
        "path": (None, text),
        "columns": ({}, mapping),
        "regions": ({}, mapping),
    },
    "cells": {
        "path": ((), text_or_texts),
        "format": (_CELLS.format, one_of("generic", "qupath", "halo", "inform", "anndata")),
        "tumour": ((), names()),
        "window": (_CELLS.window, image_pattern("tissue", "rectangle")),
        "columns": ({}, mapping),
        "cell_types": ({}, mapping),
        "regions": ({}, mapping),
        "phenotypes": ({}, mapping_to_lists),
        "markers": (None, names()),
        "images": (None, text),
        "pixel_size": (None, number_between(0, math.inf)),
        "outline_pixel_size": (None, number_between(0, math.inf)),
        "duplicates": (_CELLS.duplicates, one_of("error", "drop", "keep")),
    },
    "regions": {
        "source": (_REGIONS.source, one_of("boundary", "column", "annotation")),
        "invasive_front": (_REGIONS.invasive_front, limits_around_zero),
        "peritumour": (_REGIONS.peritumour, distance_or_false),
        "tumour_regions": ((), names()),
        "annotation": (None, image_pattern()),
    },
    "features": {
        "radii": (_FEATURES.radii, rising_numbers(0, 2)),
        "bands": (_FEATURES.bands, rising_numbers(-math.inf, 3)),
        "correction": (
            _FEATURES.correction,
            one_of("border", "translation", "isotropic", "none"),
        ),
        "n_neighbours": (_FEATURES.n_neighbours, whole_number(1)),
        "min_cells": (_FEATURES.min_cells, whole_number(2)),
        "mixing_radius": (_FEATURES.mixing_radius, number_between(0, math.inf)),
        "quadrat": (_FEATURES.quadrat, number_between(0, math.inf)),
        "aggregate_seeds": ((), names(empty=True)),
        "aggregate_members": ((), names(empty=True)),
        "aggregate_radius": (_FEATURES.aggregate_radius, number_between(0, math.inf)),
        "aggregate_cells": (_FEATURES.aggregate_cells, whole_number(2)),
        "functions": (_FEATURES.functions, names(empty=True)),
    },
    "score": {
        "markers": (None, names()),
        "regions": (None, names()),
        "objective": (
            "survival:cox",
            one_of("survival:cox", "survival:aft", "binary:logistic"),
        ),
        "tuning": (False, true_or_false),
        "pooling": (
            "shrunken",
            one_of("shrunken", "gls", "random_effects", "bayesian", planned=("published",)),
        ),
        "variance": ("jackknife", one_of("jackknife", "bootstrap")),
        "missing": ("keep", one_of("keep", "complete")),
        "n_folds": (5, whole_number(2)),
        "n_repeats": (4, whole_number(2)),
        "tumour_region": (None, text),
    },
    "survival": {"baseline": ("weibull", one_of("weibull", "piecewise", "mspline"))},
    "compare": {"staging": ((), names(empty=True, known=tuple(SYSTEMS)))},
    "evaluate": {
        "n_folds": (5, whole_number(2)),
        "n_repeats": (4, whole_number(1)),
        "n_resamples": (1000, whole_number(100)),
        "margin": (0.03, number_between(0, 0.5)),
    },
}
_PLANNED_SECTIONS = {
    "therapy": ("treatment benefit", "remove the section"),
}
_PLANNED_KEYS = {
    ("evaluate", "thresholds"): ("decision curves", "remove the key"),
    ("survival", "n_basis"): ("a chosen number of basis functions", "remove the key"),
    ("patients", "format"): ("other formats", "save the table as csv or parquet"),
    ("measurements", "format"): ("other formats", "save the table as csv or parquet"),
    ("compare", "risk"): ("a risk in the study file", "give it to times-stats compare --risk"),
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
    _check_cell_sections(settings, read, faults)
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
        cells=_cell_settings(read["cells"]) if "cells" in settings else None,
        regions=_region_settings(read["regions"]),
        features=FeatureSettings(**read["features"]),
        score=ScoreSettings(**read["score"]),
        survival=SurvivalSettings(**read["survival"]),
        compare=CompareSettings(**read["compare"]),
        evaluate=EvaluateSettings(**read["evaluate"]),
    )


def _check_cell_sections(
    settings: Mapping[str, Any], read: Mapping[str, dict[str, Any]], faults: Faults
) -> None:
    cells, regions = read["cells"], read["regions"]
    if "cells" not in settings:
        for name in ("regions", "features"):
            if name in settings:
                faults.add(f"section [{name}] needs [cells]: add it, or remove [{name}]")
        return
    if "measurements" in settings:
        faults.add("[cells] and [measurements] are both given: keep one of them")
    for key, remedy in (
        ("path", 'add path = "cells.parquet"'),
        ("tumour", 'name the cell types that are tumour cells, as in tumour = ["CK"]'),
    ):
        if not cells[key] and key not in settings["cells"]:
            faults.add(f"[cells] {key} is missing: {remedy}")
    if regions["source"] == "column" and not regions["tumour_regions"]:
        faults.add("[regions] tumour_regions is missing: name the labels that mean tumour")
    if regions["source"] == "annotation" and not regions["annotation"]:
        faults.add(
            '[regions] annotation is missing: add annotation = "annotations/{image_id}.geojson"'
        )
    outer = regions["invasive_front"][1]
    if regions["peritumour"] is not False and regions["peritumour"] <= outer:
        faults.add(
            f"[regions] peritumour ends at {regions['peritumour']:g}, inside the invasive front: "
            f"give a distance above {outer:g}, or false"
        )


def _cell_settings(read: dict[str, Any]) -> CellSettings:
    path = read["path"]
    phenotypes = {name: tuple(needed) for name, needed in read["phenotypes"].items()}
    chosen = {**read, "path": (path,) if isinstance(path, str) else tuple(path)}
    for name in ("columns", "cell_types", "regions"):
        chosen[name] = dict(read[name])
    return CellSettings(**{**chosen, "phenotypes": phenotypes})


def _region_settings(read: dict[str, Any]) -> RegionSettings:
    end = read["peritumour"]
    inner, outer = (float(limit) for limit in read["invasive_front"])
    peritumour = None if end is False or end is None else float(end)
    return RegionSettings(**{**read, "invasive_front": (inner, outer), "peritumour": peritumour})


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
            hint = nearest_hint(key, keys)
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
