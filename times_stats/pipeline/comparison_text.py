"""The short account of a comparison, in Markdown that a terminal can show as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from times_stats.tables.settings import StudySettings

_MODELS = {
    "concordance_harrell": "Harrell's C",
    "concordance_uno": "Uno's C",
    "auc_horizon": "AUC",
    "brier_horizon": "Brier",
    "ipa_horizon": "IPA",
    "calibration_slope": "slope",
}
_DIFFERENCES = ("concordance_harrell", "concordance_uno", "auc_horizon", "brier_horizon")
_SMALLEST_P = 0.001


def comparison_text(
    table: pd.DataFrame,
    added: pd.DataFrame,
    flow: pd.DataFrame,
    notes: Sequence[str],
    settings: StudySettings,
    *,
    risks: Sequence[str],
) -> str:
    """Write what was compared, with whom, and what was found.

    Parameters
    ----------
    table : DataFrame
        As ``table`` of `RiskComparison`.
    added : DataFrame
        As ``added`` of `RiskComparison`.
    flow : DataFrame
        Patients at each step.
    notes : sequence of str
        What was not compared, and why.
    settings : StudySettings
        The study.
    risks : sequence of str
        Columns of the risk file.

    Returns
    -------
    str
        Markdown.
    """
    everybody = table[table["cohort"] == ""]
    last = flow.iloc[-1]
    left_out = [reason for reason in flow["reason"] if reason and not reason.startswith("0 ")]
    lines = [
        f"# {settings.name}: {', '.join(risks)} against the stages",
        "",
        f"Population: {settings.population or 'not stated'}. Time zero: "
        f"{settings.time_zero or 'not stated'}. Endpoint: {settings.endpoint}. "
        f"Horizon: {settings.horizon:g} months.",
        f"Compared on the same {last['n_patients']} patients with {last['n_events']} events. "
        f"Left out: {'; '.join(left_out) or 'nobody'}.",
        "",
        *_grid(["model", *_MODELS.values()], _model_rows(everybody)),
        "",
    ]
    for metric in _DIFFERENCES:
        rows = everybody[(everybody["metric"] == metric) & (everybody["reference"] != "")]
        if rows.empty:
            continue
        lines += [
            f"Differences in {_MODELS[metric]}, {int(rows['n_differences'].iloc[0])} at once:",
            "",
            *_grid(
                ["", "difference", "alone", "all together", "adjusted p"],
                [_difference_row(row) for _, row in rows.iterrows()],
            ),
            "",
        ]
    cohorts = [name for name in table["cohort"].unique() if name]
    rows = table[
        (table["cohort"] != "")
        & (table["metric"] == "concordance_harrell")
        & (table["reference"] != "")
    ]
    if cohorts and not rows.empty:
        lines += [
            "Differences in Harrell's C by cohort; the families are those of each cohort:",
            "",
            *_grid(
                ["cohort", "events", "", "difference", "alone", "all together", "adjusted p"],
                [
                    [row["cohort"], str(row["events"]), *_difference_row(row)]
                    for _, row in rows.iterrows()
                ],
            ),
            "",
        ]
    if not added.empty:
        lines += [
            "Stage against stage and risk (log density of patients left out, nats a patient):",
            "",
            *_grid(
                ["", "gain in log density", "alone", "LR chi2 (1)", "p", "adjusted p", "adequacy"],
                [_added_row(row) for _, row in added.iterrows()],
            ),
            "",
            "If a risk was learned from these patients, out of fold or not, its gain and its p are "
            "both too good here. The gain is fair where `rivals.added_value` is given the score as "
            "each outer split saw it; the p is not.",
            "",
        ]
    lines += [f"- {note}" for note in notes]
    lines += [
        "- 95 % intervals, bootstrap of patients, conditional on the predictions as given and on "
        "the censoring weights.",
        "- The columns of the file are taken as they are. If their model was learned from these "
        "patients, and the predictions are not out of fold, their advantage is not real.",
        "- Stages: Kaplan-Meier in the training folds; C and AUC by their order, ties one half.",
        "- The likelihood ratio takes a risk for a number that came with the patient; for one that "
        "was learned from these patients it is conditional on how. Adequacy is the share of the "
        "likelihood ratio of both that the stage has alone. Its adjusted p is Holm's, for all "
        "rows of that table; the intervals of the gains are each alone.",
        "- C, AUC, IPA: larger is better; Brier: smaller; slope: 1 is best, below 1 the "
        "predictions differ too much. `all together`: these intervals hold every difference of "
        "the metric at once; p is adjusted for as many.",
        "",
    ]
    return "\n".join(lines)


def _model_rows(table: pd.DataFrame) -> list[list[str]]:
    alone = table[table["reference"] == ""]
    rows = []
    for model in alone["model"].unique():
        own = alone[alone["model"] == model].set_index("metric")
        cells = [_interval(own.loc[metric]) if metric in own.index else "-" for metric in _MODELS]
        rows.append([str(model), *cells])
    return rows


def _difference_row(row: pd.Series) -> list[str]:
    return [
        f"{row['model']} - {row['reference']}",
        f"{row['estimate']:+.3f}",
        _limits(row["lower"], row["upper"], "+.3f"),
        _limits(row["lower_simultaneous"], row["upper_simultaneous"], "+.3f"),
        _p_value(row["p_adjusted"]),
    ]


def _added_row(row: pd.Series) -> list[str]:
    return [
        f"{row['stage']} + {row['risk']}",
        f"{row['difference']:+.4f}",
        _limits(row["lower"], row["upper"], "+.4f"),
        f"{row['chi_squared']:.2f}",
        _p_value(row["p_value"]),
        _p_value(row["p_adjusted"]),
        f"{row['adequacy']:.2f}",
    ]


def _interval(row: pd.Series) -> str:
    return f"{row['estimate']:.3f} ({_limits(row['lower'], row['upper'], '.3f')})"


def _limits(lower: float, upper: float, form: str) -> str:
    return f"{lower:{form}} to {upper:{form}}" if np.isfinite(lower) else "no interval"


def _p_value(p: float) -> str:
    if np.isnan(p):
        return "-"
    return f"{p:.3f}" if p >= _SMALLEST_P else f"< {_SMALLEST_P}"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table whose columns stand under each other in plain text too."""
    # A bar in the name of a risk or cohort would end the cell.
    head, *rows = ([cell.replace("|", "\\|") for cell in row] for row in (head, *rows))
    widths = [max(3, *(len(row[k]) for row in [head, *rows])) for k in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in lines
    ]
