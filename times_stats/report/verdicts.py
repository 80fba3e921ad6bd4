"""What the comparison says, in words: better, worse, or not shown."""

from __future__ import annotations

import pandas as pd

from times_stats.plots.labels import metric_label, model_label
from times_stats.report.contents import SURVIVAL_MODEL, ReportContents
from times_stats.report.formatting import (
    metric_interval,
    metric_value,
    sentence_list,
)
from times_stats.report.table_views import HEADLINE, ordered_models

JUDGED = ("times_score", SURVIVAL_MODEL)
"""Models the report passes a verdict on."""


def _value(row: pd.Series, *, signed: bool = False) -> str:
    limits = metric_interval(row["lower"], row["upper"], HEADLINE, signed=signed)
    estimate = metric_value(row["estimate"], HEADLINE, signed=signed)
    return f"{estimate}, {limits}" if signed else f"{estimate} (95 % interval {limits})"


def _noun(model: str) -> str:
    label = model_label(model)
    return f"the {label}" if model in JUDGED or model in {"tnm", "bclc"} else label


def _sort_answers(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split paired differences by what their interval says; "no predictors" is left out."""
    paired = rows[(rows["reference"] != "") & (rows["reference"] != "no_predictors")]
    better, worse = paired["lower"] > 0, paired["upper"] < 0
    return {
        "better": paired[better],
        "worse": paired[worse],
        "open": paired[~better & ~worse],
    }


def short_verdict(comparison: pd.DataFrame, model: str) -> str:
    """Return in a few words which references a model beats, in C (Uno)."""
    rows = comparison[(comparison["metric"] == HEADLINE) & (comparison["model"] == model)]
    words = {"better": "better than", "worse": "worse than", "open": "no difference shown from"}
    parts = [
        f"{words[answer]} {sentence_list([_noun(str(key)) for key in chosen['reference']])}"
        for answer, chosen in _sort_answers(rows).items()
        if len(chosen)
    ]
    return "; ".join(parts) or "not compared"


def discrimination_verdict(comparison: pd.DataFrame, model: str) -> list[str]:
    """Return sentences on how well a model ranks patients, alone and against the references.

    Parameters
    ----------
    comparison : DataFrame
        Tidy comparison table (`times_stats.evaluation.compare`).
    model : str
        Key of the model.

    Returns
    -------
    list of str
        Empty when the table has no row of this model.
    """
    rows = comparison[(comparison["metric"] == HEADLINE) & (comparison["model"] == model)]
    alone = rows[rows["reference"] == ""]
    if alone.empty:
        return []
    name = model_label(model)
    first = alone.iloc[0]
    chance = (
        ""
        if first["lower"] > 0.5
        else " The interval holds 0.5: it is not shown to rank patients better than chance."
        if first["upper"] >= 0.5
        else " It ranks patients worse than chance."
    )
    sentences = [f"{name}: {metric_label(HEADLINE)} {_value(first)}.{chance}"]
    said = {
        answer: [
            f"{_noun(str(row['reference']))} ({_value(row, signed=True)})"
            for _, row in chosen.iterrows()
        ]
        for answer, chosen in _sort_answers(rows).items()
    }
    if said["better"]:
        sentences.append(f"It ranks these patients better than {sentence_list(said['better'])}.")
    if said["worse"]:
        sentences.append(f"It ranks these patients worse than {sentence_list(said['worse'])}.")
    if said["open"]:
        sentences.append(
            f"A difference is not shown, either way, from {sentence_list(said['open'])}."
        )
    return sentences


def best_model(comparison: pd.DataFrame) -> str:
    """Return a sentence that names the model with the highest C (Uno) in these patients."""
    models = ordered_models(comparison)
    rows = comparison[
        (comparison["metric"] == HEADLINE)
        & (comparison["reference"] == "")
        & (comparison["model"] == models[0])
    ]
    return (
        f"Highest {metric_label(HEADLINE)} of the {len(models)} models: {model_label(models[0])} "
        f"{_value(rows.iloc[0])}; being first of {len(models)} is not itself tested."
    )


def verdicts(contents: ReportContents) -> list[str]:
    """Return the verdicts of one analysis on discrimination, one paragraph each."""
    comparison = contents.shown_comparison
    paragraphs = [" ".join(discrimination_verdict(comparison, model)) for model in JUDGED]
    if not comparison[comparison["metric"] == HEADLINE].empty:
        paragraphs.append(best_model(comparison))
    return [paragraph for paragraph in paragraphs if paragraph]
