"""Tables of the report as plain cells, ready for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from times_stats._checks import name_rows
from times_stats.plots.comparison import sort_models
from times_stats.plots.labels import (
    learner_label,
    metric_label,
    model_description,
    model_label,
    rung_label,
)
from times_stats.plots.style import model_colour
from times_stats.plots.weights import weight_label, weight_summary
from times_stats.report.contents import ReportContents
from times_stats.report.formatting import (
    count,
    fixed,
    interval,
    metric_interval,
    metric_value,
    p_value,
    percent,
    percent_interval,
)

HEADLINE = "concordance_uno_within_folds"
"""Metric the models are ordered by."""

_METRICS = (
    "concordance_uno_within_folds",
    "concordance_uno",
    "concordance_harrell",
    "auc_horizon",
    "ipa_horizon",
    "brier_horizon",
    "integrated_brier",
    "calibration_slope",
    "calibration_in_the_large",
)
_NOT_COMPARED = {
    "calibration_slope",
    "calibration_in_the_large",
}
_NOT_SHOWN = {"concordance_harrell_within_folds"}
_COLUMN_NAMES = {
    "n_patients": "Patients",
    "n_events": "Events",
    "n": "Patients",
    "median_follow_up": "Median follow-up, months",
    "survival_at_horizon": "Event-free at the horizon",
    "events_by_horizon": "Events by the horizon",
    "p_value": "p",
    "max_rhat": "Largest R-hat",
    "min_ess": "Smallest effective sample size",
    "divergences": "Divergent transitions",
    "outer_fits": "Posterior fits of the outer loop",
    "outer_fits_failed": "of which failed",
    "outer_max_rhat": "Largest R-hat of the outer loop",
    "rmst": "Mean event-free months",
    "observed": "Kaplan–Meier",
    "q05": "5th percentile",
    "q25": "Lower quartile",
    "q75": "Upper quartile",
    "q95": "95th percentile",
}
_WHOLE = {"n_patients", "n_events", "n", "patients", "events", "events_by_horizon"}
_MONTHS = {"median_follow_up", "rmst", "time"}
_SHARES = {"survival_at_horizon", "share"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, a second line in small type, and the colour of a model."""

    text: str
    detail: str = ""
    colour: str = ""
    span: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """A table: caption, headings, rows; the first cell of a row is its heading."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    text_columns: frozenset[int] = field(default_factory=frozenset)


def column_name(key: object) -> str:
    """Return the heading of a column.

    Examples
    --------
    >>> column_name("events_by_horizon"), column_name("risk_group")
    ('Events by the horizon', 'Risk group')
    """
    name = str(key)
    if name in _COLUMN_NAMES:
        return _COLUMN_NAMES[name]
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _cell_text(value: object, column: str) -> str:
    if isinstance(value, str):
        return value.replace("_", " ") if column in {"risk_group", "region"} else value
    if column in _WHOLE:
        return count(value)
    if column == "p_value" or column.startswith("p_"):
        return p_value(value)
    if column in _SHARES:
        return percent(value)
    if column in _MONTHS:
        return fixed(value, 1)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    return fixed(value, 3) if isinstance(value, float) else str(value)


def plain_table(frame: pd.DataFrame, *, caption: str, note: str = "") -> Table:
    """Return a tidy table as cells, formatted by the names of its columns."""
    columns = [str(name) for name in frame.columns]
    records = frame.to_dict("records")
    text = frozenset(
        k for k, name in enumerate(frame.columns) if not pd.api.types.is_numeric_dtype(frame[name])
    )
    rows = [
        [
            Cell(_cell_text(value, column))
            for column, value in zip(columns, row.values(), strict=True)
        ]
        for row in records
    ]
    return Table(caption, [column_name(name) for name in columns], rows, note, text)


def model_cell(model: object, *, detail: str = "") -> Cell:
    """Return the heading of a model's row, with its colour in the figures."""
    return Cell(model_label(model), detail, model_colour(model))


def _metric_cell(rows: pd.DataFrame, metric: str, *, signed: bool = False) -> Cell:
    chosen = rows[rows["metric"] == metric]
    if chosen.empty:
        return Cell("–")
    row = chosen.iloc[0]
    limits = metric_interval(row["lower"], row["upper"], metric, signed=signed)
    return Cell(metric_value(row["estimate"], metric, signed=signed), limits)


def ordered_models(comparison: pd.DataFrame) -> list[str]:
    """Return the models of a comparison table, highest C (Uno) first."""
    single = comparison[comparison["reference"] == ""]
    ranked = sort_models(single[single["metric"] == HEADLINE], metric=HEADLINE)
    return [str(model) for model in dict.fromkeys([*ranked["model"], *single["model"]])]


def shown_metrics(comparison: pd.DataFrame) -> list[str]:
    """Return the metrics of a comparison table in the order of the report."""
    present = dict.fromkeys(str(metric) for metric in comparison["metric"])
    known = {*_METRICS, *_NOT_SHOWN}
    return [m for m in _METRICS if m in present] + [m for m in present if m not in known]


def _who(rows: pd.DataFrame) -> str:
    if not {"n", "events"} <= set(rows.columns):
        return ""
    pairs = rows[["n", "events"]].dropna().drop_duplicates()
    if len(pairs) != 1:
        return ""
    n, events = pairs.iloc[0]
    return f" on the same {count(n)} patients ({count(events)} events)"


def comparison_table(comparison: pd.DataFrame) -> Table:
    """Return one row per model and one column per metric."""
    single = comparison[comparison["reference"] == ""]
    metrics = shown_metrics(single)
    rows = [
        [
            model_cell(model),
            *(_metric_cell(single[single["model"] == model], metric) for metric in metrics),
        ]
        for model in ordered_models(comparison)
    ]
    return Table(
        f"Models{_who(single)}: estimate and 95 % interval, conditional on the fitted models",
        ["Model", *(metric_label(metric) for metric in metrics)],
        rows,
        "C and AUC: larger is better, 0.5 is chance. C within folds compares patients of one "
        "test fold and cohort only: pooling over folds can pull a model that knows nothing below "
        "0.5. Brier scores: smaller is better. IPA: share of the Brier score of “no predictors” "
        "that the model removes. "
        "Calibration slope: 1 is ideal, below 1 the predictions are too extreme. "
        "A dash: not defined for this model.",
    )


def difference_table(comparison: pd.DataFrame, *, reference: str) -> Table:
    """Return the paired differences of all models from one reference."""
    chosen = comparison[comparison["reference"] == reference]
    metrics = [metric for metric in shown_metrics(chosen) if metric not in _NOT_COMPARED]
    ranked = sort_models(chosen[chosen["metric"] == HEADLINE], metric=HEADLINE)["model"]
    models = dict.fromkeys([*map(str, ranked), *map(str, chosen["model"])])
    rows = [
        [
            model_cell(model),
            *(
                _metric_cell(chosen[chosen["model"] == model], metric, signed=True)
                for metric in metrics
            ),
        ]
        for model in models
    ]
    return Table(
        f"Model minus {model_label(reference)}: paired differences{_who(chosen)}, conditional on "
        "the fitted models",
        ["Model", *(metric_label(metric) for metric in metrics)],
        rows,
    )


def model_key_table(comparison: pd.DataFrame) -> Table:
    """Return what each model is, in one sentence."""
    rows = [[model_cell(m), Cell(model_description(m))] for m in ordered_models(comparison)]
    return Table("What is compared", ["Model", "What it is"], rows, "", frozenset({1}))


def estimate_table(
    frame: pd.DataFrame,
    *,
    keys: Sequence[str],
    estimate: str,
    digits: int,
    caption: str,
    heading: str,
    note: str = "",
    extra: Sequence[str] = (),
) -> Table:
    """Return keys, an estimate, its interval, and further columns."""
    rows = [
        [
            *(Cell(_cell_text(row[key], key)) for key in keys),
            Cell(fixed(row[estimate], digits)),
            Cell(interval(row["lower"], row["upper"], digits)),
            *(Cell(_cell_text(row[name], name)) for name in extra if name in row),
        ]
        for row in frame.to_dict("records")
    ]
    present = [name for name in extra if name in frame.columns]
    header = [*map(column_name, keys), heading, "95 % interval", *map(column_name, present)]
    return Table(caption, header, rows, note, frozenset(range(len(keys))))


def weights_table(scores: pd.DataFrame) -> Table:
    """Return quantiles of each marker's weight over the patients."""
    frame = weight_summary(scores)
    frame["marker"] = frame["marker"].map(weight_label)
    digits = {name: frame[name].map(lambda v: fixed(v, 3)) for name in frame.columns[1:-1]}
    shown = frame.assign(**digits)
    if len(set(frame["n"])) == 1:
        shown = shown.drop(columns="n")
    table = plain_table(shown, caption="Weight of each marker over the patients")
    return Table(table.caption, table.header, table.rows, "", frozenset({0}))


def calibration_table(groups: pd.DataFrame) -> Table:
    """Return predicted and observed event probability by group, in per cent."""
    several = "model" in groups
    rows = [
        [
            *([model_cell(row["model"])] if several else []),
            Cell(count(row.get("group"))),
            Cell(count(row.get("n"))),
            Cell(percent(row["predicted"])),
            Cell(percent(row["observed"])),
            Cell(percent_interval(row["lower"], row["upper"])),
        ]
        for row in groups.to_dict("records")
    ]
    header = ["Group", "Patients", "Predicted", "Observed", "95 % interval"]
    return Table(
        "Predicted and observed event probability, lowest risk first",
        ["Model", *header] if several else header,
        rows,
    )


def ladder_table(table: pd.DataFrame, *, metric: str = HEADLINE) -> Table:
    """Return the rungs of the ladder by learner."""
    chosen = table[table["metric"] == metric]
    learners = [str(name) for name in dict.fromkeys(chosen["learner"])]
    rows = [
        [
            Cell(rung_label(rung)),
            *(
                _metric_cell(
                    chosen[(chosen["model"] == rung) & (chosen["learner"] == name)], metric
                )
                for name in learners
            ),
        ]
        for rung in dict.fromkeys(chosen["model"])
    ]
    return Table(
        f"Nested models: {metric_label(metric)}{_who(chosen)}",
        ["Predictors", *(learner_label(name) for name in learners)],
        rows,
    )


def ladder_difference_table(differences: pd.DataFrame, *, metric: str = HEADLINE) -> Table:
    """Return the paired differences between rungs with the minimal detectable difference."""
    chosen = differences[differences["metric"] == metric]
    rows = [
        [
            Cell(f"{rung_label(row['model'])} minus {_lower_first(rung_label(row['reference']))}"),
            Cell(learner_label(row["learner"])),
            Cell(
                metric_value(row["estimate"], metric, signed=True),
                metric_interval(row["lower"], row["upper"], metric, signed=True),
            ),
            Cell(metric_value(row.get("minimal_detectable_difference"), metric)),
        ]
        for row in chosen.to_dict("records")
    ]
    return Table(
        f"Paired differences in {metric_label(metric)} on the same folds",
        ["Difference", "Learner", "Estimate", "Minimal detectable difference"],
        rows,
        "Minimal detectable difference: 2.8 standard errors of the paired difference, the smallest "
        "true difference found with 80 % power at two-sided 5 %, were the fitted models fixed.",
        frozenset({1}),
    )


def null_table(nulls: pd.DataFrame) -> Table:
    """Return the tests that keep the levels and break location, with their p-values."""
    rows = [
        [
            Cell(_NULLS[row["null"].removesuffix(_REFITTED)]),
            Cell(_statistic(row["null"])),
            Cell(f"{row['n']:.0f} ({row['events']:.0f})"),
            _null_p(row["p_value"], row["p_error"]),
            Cell(f"{row['n_permutations']:.0f}"),
        ]
        for row in nulls.to_dict("records")
    ]
    return Table(
        "Tests of location that keep the levels",
        ["Null hypothesis", "Statistic", "Patients (events)", "p", "Permutations"],
        rows,
        "The first is the question, and without its rejection location is never said to add: does "
        "the outcome depend on location, given the levels? The first two nulls also fail where one "
        "region measures the "
        "same level more precisely than another. How often each test rejects where nothing is "
        "there: documentation, “Level or location?”. The p-values are not corrected for one "
        "another.",
        frozenset({1}),
    )


def _statistic(null: str) -> str:
    return "out-of-fold gain, refitted" if null.endswith(_REFITTED) else "scores, no refit"


def _null_p(p: float, error: float) -> Cell:
    if not p >= 0.0:
        return Cell("not testable here")
    told = f"{error:.3f}" if error >= 0.0005 else "below 0.001"
    return Cell(f"{p:.3f}" if p >= 0.001 else "<0.001", f"Monte Carlo error {told}")


_NULLS = {
    "conditional location": "Location is irrelevant given the levels",
    "label exchangeability": "Regions of a patient can be exchanged",
    "random labelling": "Marks of immune cells lie at random among them",
}
_REFITTED = ", refitted"
_ALWAYS_IN = ("stage", "cohort")  # players of the prediction game alone


def shapley_table(table: pd.DataFrame, *, horizon: float) -> Table:
    """Return both games side by side: a row for each player, largest in performance first."""
    players = table[table["part"] != "total"]
    games = {name: part.set_index("player") for name, part in players.groupby("game", sort=False)}
    performance, prediction = games["performance"], games["prediction"]
    shared = performance["share"].notna().any()
    ranked = performance.sort_values("estimate", ascending=False, kind="stable").index
    rows = []
    for player in [*ranked, *(name for name in prediction.index if name not in ranked)]:
        name = str(player)
        cells = [Cell(name.capitalize() if name in _ALWAYS_IN else name)]
        if player in performance.index:
            row = performance.loc[player]
            cells.append(
                Cell(
                    fixed(row["estimate"], 3, signed=True),
                    interval(row["lower"], row["upper"], 3),
                )
            )
            if shared:
                limits = percent_interval(row["share_lower"], row["share_upper"])
                cells.append(Cell(percent(row["share"]), limits))
        else:
            cells.append(Cell("always in"))
            if shared:
                cells.append(Cell("–"))
        moved = prediction.loc[player]
        limits = interval(100 * moved["lower"], 100 * moved["upper"], 1)
        cells.append(Cell(fixed(100 * moved["estimate"], 1), limits))
        rows.append(cells)
    return Table(
        "What each level and each location carries",
        [
            "Player",
            f"Performance: C (Uno) within folds at {horizon:g} months",
            *(["Share of the gain"] if shared else []),
            f"Prediction: event by {horizon:g} months, percentage points",
        ],
        rows,
        "Performance: what the player adds to C, averaged over the orders in which players can "
        "arrive; below 0 it adds noise. Prediction: mean absolute move of a patient’s probability; "
        "above 0 even for what predicts nothing. 95 % intervals over "
        "resampled patients, conditional on the fitted models."
        + ("" if shared else " Shares are not given: the interval of the gain is not above 0."),
    )


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def mapping_tables(values: Mapping[str, Any], *, caption: str) -> list[Table]:
    """Return a nested mapping as tables: scalars first, then one table per inner mapping."""
    scalars = {k: v for k, v in values.items() if not isinstance(v, Mapping)}
    tables = []
    if scalars:
        rows = [
            [Cell(column_name(key)), Cell(_plain_value(value))] for key, value in scalars.items()
        ]
        tables.append(Table(caption, ["Item", "Value"], rows, "", frozenset({1})))
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            tables.extend(mapping_tables(value, caption=f"{caption}: {column_name(key).lower()}"))
    return tables


def _plain_value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain_value(item) for item in value) or "none"
    return "none" if value is None else str(value)


def front_table(
    analyses: Sequence[ReportContents],
    *,
    names: Sequence[str],
    shared: Sequence[tuple[str, Sequence[str]]],
    rows: Sequence[tuple[str, Sequence[str]]],
) -> Table:
    """Return the analyses side by side: given rows first, then C (Uno) of each model.

    A row of `shared` that reads the same for every analysis is written once.
    """
    body = [[Cell(name), *_spread(values)] for name, values in shared]
    body += [[Cell(name), *map(Cell, values)] for name, values in rows]
    tables = [contents.shown_comparison for contents in analyses]
    models = list(dict.fromkeys(model for table in tables for model in ordered_models(table)))
    models.sort(key=lambda model: model == "no_predictors")
    for model in models:
        cells = []
        for table in tables:
            single = table[(table["reference"] == "") & (table["model"] == model)]
            cells.append(_metric_cell(single, HEADLINE))
        body.append([model_cell(model, detail=metric_label(HEADLINE)), *cells])
    return Table(
        f"{len(names)} analyses side by side",
        ["", *names],
        body,
        "C (Uno): 95 % bootstrap interval over patients, conditional on the fitted models; every "
        "prediction is for a patient the model has not seen.",
        frozenset(range(1, len(names) + 1)),
    )


def _spread(values: Sequence[str]) -> list[Cell]:
    if len(values) > 1 and len(set(values)) == 1:
        return [Cell(values[0], span=len(values))]
    return [Cell(value) for value in values]


def audit_table(findings: pd.DataFrame) -> Table:
    """Return the findings of the audit, at most five patients named a row.

    Parameters
    ----------
    findings : DataFrame
        From `check_run`.

    Returns
    -------
    Table
        Check, result, what was seen, with patients and remedy in small type.
    """
    rows = []
    for check, status, what, patients, remedy in findings.to_numpy().tolist():
        detail = ". ".join(part for part in (name_rows(patients), remedy) if part)
        rows.append([Cell(column_name(check)), Cell(status), Cell(what, detail=detail)])
    return Table("Audit", ["Check", "Result", "What was seen"], rows, "", frozenset({1, 2}))
