"""Readable names of models, metrics and regions: the one place where keys become words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

MODEL_LABELS: dict[str, str] = {
    "no_predictors": "No predictors",
    "tnm": "TNM stage",
    "bclc": "BCLC stage",
    "times_score": "TIMES score",
    "survival_model": "Bayesian survival model",
    "raw_survival_model": "Bayesian model, raw values",
    "ridge_cox": "Ridge Cox, all regions",
    "levels_ridge_cox": "Ridge Cox, marker levels",
    "stage_and_score": "Stage + TIMES score",
    "tnm_ajcc7": "TNM stage (AJCC 7)",
    "cnlc": "CNLC stage",
    "okuda": "Okuda stage",
    "clip": "CLIP score",
    "jis": "JIS score",
    "child_pugh": "Child–Pugh class",
}
"""Readable name of each model key; unknown keys are made readable by `model_label`."""

MODEL_DESCRIPTIONS: dict[str, str] = {
    "no_predictors": "Kaplan–Meier curve of the training patients, the same for everyone.",
    "times_score": "One boosted model per marker, pooled by inverse variance.",
    "survival_model": "Hierarchical Bayesian model on the cross-fitted evidence of each marker "
    "and region.",
    "raw_survival_model": "The same hierarchy on transformed measurements, without boosting.",
    "ridge_cox": "Penalised Cox regression on every marker in every region.",
    "levels_ridge_cox": "Penalised Cox regression on marker levels averaged over regions.",
    "stage_and_score": "Penalised Cox regression on the recorded stages and the TIMES score.",
}
"""One sentence on what each model is; models without one are recorded stages."""

RECORDED_STAGE = "Stage as recorded; survival by Kaplan–Meier per stage in the training patients."

METRIC_LABELS: dict[str, str] = {
    "concordance_harrell": "C (Harrell)",
    "concordance_uno": "C (Uno)",
    "concordance_harrell_within_folds": "C (Harrell) within folds",
    "concordance_uno_within_folds": "C (Uno) within folds",
    "auc_horizon": "AUC at horizon",
    "brier_horizon": "Brier score at horizon",
    "ipa_horizon": "IPA at horizon",
    "integrated_brier": "Integrated Brier score",
    "calibration_slope": "Calibration slope",
    "calibration_in_the_large": "Calibration in the large",
}
"""Readable name of each metric of the comparison table."""

LOWER_IS_BETTER = frozenset({"brier_horizon", "integrated_brier"})
"""Metrics in which the smaller value is the better one."""

RUNG_LABELS: dict[str, str] = {
    "stage": "Stage",
    "levels": "Levels",
    "tumour_region": "Tumour region alone",
    "all_regions": "Levels + location",
    "spatial_functions": "Levels + location + functions",
}
"""Readable name of each rung of the level-or-location ladder."""

STATISTIC_LABELS: dict[str, str] = {
    "intensity": "Cells per mm²",
    "fraction": "Share of cells",
    "entropy": "Entropy of cell types",
    "l_tumour": "Cross L to tumour cells",
    "l_self": "Besag’s L",
    "g_tumour": "Tumour cell within r",
    "gradient": "Infiltration gradient",
    "neighbour_excess": "Tumour cells among neighbours",
    "mixing": "Normalised mixing score",
    "morisita_horn": "Morisita–Horn index",
    "aggregate_intensity": "Aggregates per mm²",
    "aggregate_share": "Share of cells in aggregates",
}
"""Readable name of each statistic of cells."""

LEARNER_LABELS: dict[str, str] = {
    "ridge_cox": "Ridge Cox",
    "boosted_cox": "Boosted Cox",
}
"""Readable name of each learner of the ladder."""


def plain_text(value: object, *, length: int = 44) -> str:
    r"""Return one printable line: no control characters, cut with an ellipsis when too long.

    Parameters
    ----------
    value : object
        Anything a user may have named a marker, a region or a study.
    length : int, default 44
        Longest result, in characters.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> plain_text("CD8\x00 T cells")
    'CD8 T cells'
    """
    text = "".join(
        " " if character.isspace() else character
        for character in str(value)
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def model_label(key: object) -> str:
    """Return the readable name of a model.

    Parameters
    ----------
    key : object
        Key of the comparison table, such as ``"times_score"`` or a recorded stage.

    Returns
    -------
    str
        Its name in words.

    Examples
    --------
    >>> model_label("times_score"), model_label("local_index")
    ('TIMES score', 'local index')
    """
    name = str(key)
    return MODEL_LABELS.get(name, plain_text(name.replace("_", " ")))


def model_description(key: object) -> str:
    """Return one sentence that says what a model is."""
    return MODEL_DESCRIPTIONS.get(str(key), RECORDED_STAGE)


def metric_label(key: object) -> str:
    """Return the readable name of a metric."""
    name = str(key)
    return METRIC_LABELS.get(name, plain_text(name.replace("_", " ")))


def rung_label(key: object) -> str:
    """Return the readable name of a rung of the ladder.

    Examples
    --------
    >>> rung_label("stage_all_regions"), rung_label("stage_levels")
    ('Stage + levels + location', 'Stage + levels')
    """
    name = str(key)
    if name in RUNG_LABELS:
        return RUNG_LABELS[name]
    rest = name.removeprefix("stage_")
    if rest != name and rest in RUNG_LABELS:
        label = RUNG_LABELS[rest]
        return f"Stage + {label[:1].lower()}{label[1:]}"
    text = plain_text(name.replace("_", " "))
    return text[:1].upper() + text[1:]


def statistic_label(key: object) -> str:
    """Return the readable name of a statistic of cells."""
    name = str(key)
    return STATISTIC_LABELS.get(name, plain_text(name.replace("_", " ")))


def learner_label(key: object) -> str:
    """Return the readable name of a learner of the ladder."""
    name = str(key)
    return LEARNER_LABELS.get(name, plain_text(name.replace("_", " ")))


def feature_label(parts: object) -> str:
    """Return the name of a marker in a region, as in ``"CD57, intratumoral"``."""
    if isinstance(parts, str) or not isinstance(parts, Iterable):
        return plain_text(parts)
    return plain_text(", ".join(str(part).replace("_", " ") for part in parts))
