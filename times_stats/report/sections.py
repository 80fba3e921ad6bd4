"""The sections of the report: what each part of an analysis says and shows."""

from __future__ import annotations

import math

from times_stats.report import figures, table_views
from times_stats.report.cell_sections import cell_section
from times_stats.report.contents import ReportContents
from times_stats.report.formatting import p_phrase, true_minus
from times_stats.report.section import Section
from times_stats.report.table_views import Cell, Table
from times_stats.report.verdicts import verdicts

_REQUIRED_ESTIMAND = ("population", "time zero", "endpoint", "horizon", "intervals")


def stated_estimand(contents: ReportContents) -> dict[str, str]:
    """Return the estimand, with "not stated" for each element it must have and has not."""
    given = {str(key): str(value) for key, value in contents.estimand.items()}
    missing = {key: "not stated" for key in _REQUIRED_ESTIMAND if key not in given}
    return {**given, **missing}


def _estimand_table(contents: ReportContents) -> Table:
    rows = [[Cell(key.capitalize()), Cell(text)] for key, text in stated_estimand(contents).items()]
    return Table("What is estimated", ["Element", "Here"], rows, "", frozenset({1}))


def _answer(contents: ReportContents) -> str:
    """Return verdict and statement on level or location; the verdict is said once."""
    result = contents.integration
    statement = true_minus(result.statement)
    if statement.lower().startswith(result.verdict):
        return statement
    return f"{result.verdict[:1].upper()}{result.verdict[1:]}. {statement}"


def _refusal(contents: ReportContents) -> dict[str, object]:
    reasons = [str(reason) for reason in contents.diagnostics.get("reasons") or ()]
    return {
        "refused": "The survival model failed its convergence checks. Its numbers are not a "
        "result and are not shown anywhere on this page.",
        "reasons": reasons or ["no reason was recorded"],
    }


def _patients(contents: ReportContents) -> Section:
    return Section(
        "patients",
        "Patients",
        tables=[
            table_views.plain_table(contents.flow, caption="Flow of patients"),
            table_views.plain_table(contents.cohort_table, caption="Cohorts"),
            table_views.plain_table(
                contents.patterns,
                caption="Patterns of missing measurements",
                note="Missing measurements stay missing: nothing is imputed for the boosted "
                "models, and a marker is used only in patients in whom it is complete.",
            ),
        ],
    )


def _comparison(contents: ReportContents) -> Section:
    table = contents.shown_comparison
    references = [str(name) for name in dict.fromkeys(table["reference"]) if name]
    drawn = table[table["metric"] == table_views.HEADLINE]["reference"].tolist()
    return Section(
        "comparison",
        "Comparison of models",
        paragraphs=[
            "Every prediction is for a patient whose outcome the model has not seen. All "
            "intervals are 95 % bootstrap intervals over patients, conditional on the fitted "
            "models; differences are paired: the same patients, the same resamples. An interval of "
            "a difference that holds 0 does not show a difference, and does not show equality.",
        ],
        pictures=[
            figures.comparison_picture(table, reference=reference)
            for reference in ["", *references]
            if reference in drawn and reference != "no_predictors"
        ],
        tables=[
            table_views.comparison_table(table),
            *(table_views.difference_table(table, reference=name) for name in references),
            table_views.model_key_table(table),
        ],
    )


def _log_rank_sentence(p: float) -> str:
    if not math.isfinite(p):
        return "No log-rank test: some repeat puts all patients in one group."
    return (
        f"Log-rank {p_phrase(p)}, stratified by test fold: twice the median over the repeats. The "
        "curves pool all patients."
    )


def _risk(contents: ReportContents) -> list[Section]:
    names = sorted(set(contents.hazard_ratios.columns) & {"p_value", "n", "events"})
    return [
        Section(
            "groups",
            "Risk groups",
            paragraphs=[
                "Groups come from out-of-fold scores with cut-offs learned in the training "
                f"folds. {_log_rank_sentence(contents.logrank_p)}",
            ],
            pictures=[figures.kaplan_meier_picture(contents)],
        ),
        Section(
            "hazard-ratios",
            "Hazard ratios of the score",
            tables=[
                table_views.estimate_table(
                    contents.hazard_ratios,
                    keys=["per"],
                    estimate="hazard_ratio",
                    digits=2,
                    caption="Hazard ratio of the TIMES score in unseen patients",
                    heading="Hazard ratio",
                    extra=names,
                    note="Cox regression with Efron’s ties, stratified by test fold; geometric "
                    "mean over the repeats of the outer loop. One coefficient, written for three "
                    "steps of the same score. The interval takes the scores as given and is too "
                    "narrow: they were learned from the same patients."
                    if len(contents.hazard_ratios)
                    else "Not estimable: some repeat gives every patient the same score.",
                )
            ],
        ),
    ]


def _weights(contents: ReportContents) -> Section:
    n_markers = sum(str(name).startswith("weight_") for name in contents.scores.columns)
    if n_markers == 0:
        return Section("weights", "Weights", paragraphs=["No weights were recorded."])
    if n_markers == 1:
        text = "One marker only: it has weight 1 in every patient, so there is nothing to pool."
        return Section("weights", "Weights", paragraphs=[text])
    negative = int((contents.scores.filter(regex="^weight_") < 0).any(axis=1).sum())
    said = (
        f"{negative} patients have a negative weight: a marker whose errors go with those of a "
        "more exact one tells how far that one is off."
    )
    return Section(
        "weights",
        "Weights",
        paragraphs=[said] if negative else [],
        pictures=[figures.weights_picture(contents)],
        tables=[table_views.weights_table(contents.scores)],
        beside=True,
    )


def _attribution(contents: ReportContents) -> Section:
    rows = contents.attribution.sort_values("mean_absolute", ascending=False, kind="stable")
    return Section(
        "attribution",
        "Which marker, which region",
        paragraphs=[
            "Exact TreeSHAP contributions to the score’s linear predictor "
            f"({contents.evidence_unit}). They say what the score uses, not what causes the "
            "outcome."
        ],
        pictures=figures.attribution_pictures(contents) if len(rows) else [],
        tables=[
            table_views.estimate_table(
                rows,
                keys=["marker", "region"],
                estimate="mean_absolute",
                digits=3,
                caption="Mean absolute contribution by marker and region",
                heading="Mean absolute contribution",
                extra=["share"],
            )
        ],
    )


def _survival(contents: ReportContents) -> list[Section]:
    heading, calibration = "Survival model", "Calibration"
    shown = contents.shown_calibration
    if not contents.survival_is_shown:
        refusal = Section("survival", heading, **_refusal(contents))  # type: ignore[arg-type]
        if shown.empty:
            text = "Not shown: the predictions come from the survival model, which failed."
            return [refusal, Section("calibration", calibration, paragraphs=[text])]
    else:
        rows = contents.posterior.sort_values("mean", ascending=False, kind="stable")
        tables = [
            table_views.estimate_table(
                rows,
                keys=["marker", "region"],
                estimate="mean",
                digits=2,
                caption="Posterior of each slope",
                heading="Slope",
            )
        ]
        if len(contents.rmst):
            tables.append(
                table_views.estimate_table(
                    contents.rmst,
                    keys=["risk_group"],
                    estimate="rmst",
                    digits=1,
                    caption=f"Mean event-free time within {contents.study.horizon:g} months",
                    heading="Months",
                    extra=["observed", "n"],
                    note="Posterior mean of the restricted mean survival time, averaged over the "
                    "patients of each group. Fitted on these patients: a description of the "
                    "model, not its performance.",
                )
            )
        refusal = Section(
            "survival",
            heading,
            paragraphs=[
                "Slope of the hierarchical model on each marker’s evidence z in each region. "
                "The intervals are conditional on z."
            ],
            pictures=[figures.forest_picture(contents)] if len(rows) else [],
            tables=tables,
            beside=True,
        )
    table = table_views.calibration_table(shown)
    text = "Event probability by the horizon, predicted in the outer loop for unseen patients."
    pictures = [figures.calibration_picture(contents)] if len(shown) else []
    return [
        refusal,
        Section(
            "calibration",
            calibration,
            paragraphs=[text],
            pictures=pictures,
            tables=[table],
            beside=True,
        ),
    ]


def _ladder(contents: ReportContents) -> Section:
    result = contents.integration
    evaluate = getattr(contents.study, "evaluate", None)
    margin = getattr(evaluate, "margin", None)
    return Section(
        "ladder",
        "Level or location",
        callout=_answer(contents),
        pictures=[figures.ladder_picture(contents, margin=margin)],
        tables=[
            table_views.ladder_table(result.table),
            table_views.ladder_difference_table(result.differences),
            table_views.null_table(result.nulls),
        ],
    )


def _carriers(contents: ReportContents) -> list[Section]:
    carriers = contents.carriers
    if carriers is None:
        return []
    heading, statement = "Who carries it: levels or locations", true_minus(carriers.statement)
    if not carriers.is_played:
        return [Section("carriers", heading, paragraphs=[statement])]
    return [
        Section(
            "carriers",
            heading,
            paragraphs=[
                "Shapley values of ridge Cox regressions on the level of each marker and its "
                "location, what is left of its regions once the level is taken off. Two questions: "
                "what makes the predictions good (performance), and what moves them (prediction). "
                "Neither is a test, and the verdict above rests on neither.",
                statement,
            ],
            pictures=list(figures.shapley_pictures(contents).values()),
            tables=[table_views.shapley_table(carriers.table, horizon=carriers.horizon)],
        )
    ]


def audit_section(contents: ReportContents) -> list[Section]:
    """Return the findings of the audit as a section; none where there was no audit."""
    if contents.audit.empty:
        return []
    n_found, n_open = (
        int((contents.audit["status"] == status).sum()) for status in ("found", "not checked")
    )
    said = f"{n_found} of these checks found something." if n_found else "Nothing was found."
    if n_open:
        said += f" {n_open} could not be made."
    return [
        Section(
            "audit",
            "Audit",
            paragraphs=[f"Claims of this analysis, checked before its files were written. {said}"],
            tables=[table_views.audit_table(contents.audit)],
        )
    ]


def _closing(contents: ReportContents) -> list[Section]:
    failed = not contents.survival_is_shown
    refusal = _refusal(contents) if failed else {}
    notes = [true_minus(note) for note in contents.shown_notes]
    withheld = len(contents.survival_notes) if failed else 0
    if withheld:
        notes.append(
            f"{withheld} further remarks quote the survival model, which failed, and are left out."
        )
    return [
        Section(
            "diagnostics",
            "Diagnostics",
            tables=table_views.mapping_tables(contents.diagnostics, caption="Sampler"),
            bullets=[str(text) for text in contents.warnings],
            **refusal,  # type: ignore[arg-type]
        ),
        Section(
            "provenance",
            "Provenance",
            folded=table_views.mapping_tables(contents.provenance, caption="Provenance"),
        ),
        Section("limits", "What the data do not show", bullets=notes),
    ]


def build_sections(contents: ReportContents) -> list[Section]:
    """Return the sections of one analysis, in the order of the report."""
    opening = [
        Section("estimand", "What is estimated", tables=[_estimand_table(contents)]),
        Section(
            "verdict",
            "Verdict",
            callout=f"Level or location? {_answer(contents)}",
            bullets=verdicts(contents),
            **({} if contents.survival_is_shown else _refusal(contents)),  # type: ignore[arg-type]
        ),
    ]
    return [
        *opening,
        _patients(contents),
        *([] if contents.study.cells is None else [cell_section(contents)]),
        _comparison(contents),
        *_risk(contents),
        _weights(contents),
        _attribution(contents),
        *_survival(contents),
        _ladder(contents),
        *_carriers(contents),
        *audit_section(contents),
        *_closing(contents),
    ]
