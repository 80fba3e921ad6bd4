"""Figures of the report: embedded as SVG images with a text that says what they show."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from times_stats.plots.attributions import plot_attribution, plot_beeswarm
from times_stats.plots.calibration import plot_calibration
from times_stats.plots.comparison import plot_comparison, sort_models
from times_stats.plots.forest import plot_forest
from times_stats.plots.labels import feature_label, metric_label, model_label
from times_stats.plots.ladder import plot_ladder
from times_stats.plots.shapley_bars import plot_shapley
from times_stats.plots.style import figure_svg
from times_stats.plots.survival_curves import plot_kaplan_meier
from times_stats.plots.weights import PRIOR, plot_weights, weight_label, weight_summary
from times_stats.report.contents import ReportContents
from times_stats.report.formatting import fixed, percent, sentence_list
from times_stats.report.table_views import HEADLINE


@dataclass(frozen=True, slots=True)
class Picture:
    """One embedded figure: data address, size in pixels, alternative text and caption."""

    source: str
    alt: str
    caption: str
    width: int
    height: int


def embed_figure(figure: Figure, *, alt: str, caption: str) -> Picture:
    """Return a figure as an embedded picture."""
    svg = figure_svg(figure)
    data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    width, height = (round(96 * float(inches)) for inches in figure.get_size_inches())
    return Picture(f"data:image/svg+xml;base64,{data}", alt, caption, width, height)


def kaplan_meier_picture(contents: ReportContents) -> Picture:
    """Draw Kaplan-Meier curves by risk group, to 2.5 horizons at most."""
    study, groups = contents.study, contents.risk_groups
    last = float(groups["time"].max())
    end = min(last, 2.5 * study.horizon)
    sizes = [
        f"{group} ({len(part)} patients, {int(part['event'].sum())} events)"
        for group, part in groups.groupby("risk_group", sort=True, observed=True)
    ]
    cut = (
        f" Curves stop at {end:g} months; the longest follow-up is {last:g}." if end < last else ""
    )
    return embed_figure(
        plot_kaplan_meier(
            groups,
            p_value=contents.logrank_p if math.isfinite(contents.logrank_p) else None,
            horizon=study.horizon,
            end=end,
            endpoint=study.endpoint.partition(" (")[0],
        ),
        alt=f"Kaplan–Meier curves of {study.endpoint} by risk group, with numbers at risk: "
        f"{sentence_list(sizes)}.",
        caption=f"{study.endpoint[:1].upper()}{study.endpoint[1:]} by risk group (Kaplan–Meier, "
        "95 % pointwise bands on the log–log scale). Ticks are censored patients; the dotted line "
        f"is the horizon, {study.horizon:g} months.{cut}",
    )


def comparison_picture(comparison: pd.DataFrame, *, reference: str = "") -> Picture:
    """Draw C (Uno) of all models, or the differences from one reference."""
    chosen = comparison[(comparison["metric"] == HEADLINE) & (comparison["reference"] == reference)]
    said = [
        f"{model_label(row['model'])} {fixed(row['estimate'], 3, signed=bool(reference))} "
        f"({fixed(row['lower'], 3)} to {fixed(row['upper'], 3)})"
        for row in sort_models(chosen, metric=HEADLINE).to_dict("records")
    ]
    what = metric_label(HEADLINE)
    if reference:
        what = f"Difference in {what} from {model_label(reference)}"
    return embed_figure(
        plot_comparison(comparison, metric=HEADLINE, reference=reference),
        alt=f"{what}, with 95 % intervals: {'; '.join(said)}.",
        caption=f"{what}, best first, with 95 % intervals conditional on the fitted models.",
    )


def weights_picture(contents: ReportContents) -> Picture:
    """Draw the pooling weights over the patients."""
    table = weight_summary(contents.scores)
    said = [
        f"{weight_label(row['marker'])} {fixed(row['median'], 2)}"
        for row in table.to_dict("records")
    ]
    drawn = (
        " Bayesian pooling leaves the rest of the weight to the mean of the training patients."
        if PRIOR in set(table["marker"])
        else ""
    )
    return embed_figure(
        plot_weights(contents.scores),
        alt=f"Weight of each marker in the score, median over patients: {'; '.join(said)}.",
        caption="Weights over patients: median (dot), quartiles (thick), 5th to 95th percentile "
        f"(thin). Dashed: equal weights.{drawn}",
    )


def attribution_pictures(contents: ReportContents) -> list[Picture]:
    """Draw the summary by marker and region, and every patient's contributions."""
    rows = contents.attribution.sort_values("mean_absolute", ascending=False, kind="stable")
    said = [
        f"{feature_label((row['marker'], row['region']))} {fixed(row['mean_absolute'], 3)}"
        for row in rows.head(5).to_dict("records")
    ]
    pictures = [
        embed_figure(
            plot_attribution(rows, unit=contents.evidence_unit),
            alt=f"Mean absolute contribution by marker and region, largest: {'; '.join(said)}.",
            caption="Mean absolute contribution to the score’s linear predictor, with 95 % "
            "bootstrap intervals over patients, conditional on the fitted models.",
        )
    ]
    if contents.phi.notna().to_numpy().any():
        coloured = contents.features is not None
        pictures.append(
            embed_figure(
                plot_beeswarm(
                    contents.phi, features=contents.features, unit=contents.evidence_unit
                ),
                alt="Contribution of each marker and region in every patient, one dot a patient, "
                f"{len(contents.phi)} patients; positive values mean earlier events.",
                caption="Each dot is a patient; to the right: towards an earlier event."
                + (" Colour: rank of the measurement." if coloured else ""),
            )
        )
    return pictures


def forest_picture(contents: ReportContents) -> Picture:
    """Draw the posterior slopes."""
    rows = contents.posterior.sort_values("mean", ascending=False, kind="stable")
    said = [
        f"{feature_label((row['marker'], row['region']))} {fixed(row['mean'], 2)} "
        f"({fixed(row['lower'], 2)} to {fixed(row['upper'], 2)})"
        for row in rows.to_dict("records")
    ]
    return embed_figure(
        plot_forest(rows, prior=contents.slope_prior, unit=contents.evidence_unit),
        alt=f"Posterior slopes with 95 % intervals: {'; '.join(said)}.",
        caption="Posterior mean and 95 % equal-tailed interval of each slope. Intervals are "
        "conditional on z, the cross-fitted evidence: they leave out the uncertainty of the "
        "boosted models. Upper axis: the hazard ratio, on a log scale.",
    )


def calibration_picture(contents: ReportContents) -> Picture:
    """Draw predicted against observed event probability."""
    rows = contents.shown_calibration
    said = [
        f"predicted {percent(row['predicted'])}, observed {percent(row['observed'])}"
        for row in rows.to_dict("records")
    ]
    return embed_figure(
        plot_calibration(rows, horizon=contents.study.horizon),
        alt=f"Calibration by group of predicted risk: {'; '.join(said)}.",
        caption="Groups by predicted event probability; bars are 95 % intervals of the observed "
        "proportion. On the dashed line predictions are right.",
    )


def ladder_picture(contents: ReportContents, *, margin: float | None) -> Picture:
    """Draw the level-or-location ladder."""
    result = contents.integration
    shaded = (
        "" if margin is None else f" Shaded: differences within {margin:g}, too small to matter."
    )
    return embed_figure(
        plot_ladder(result.table, differences=result.differences, metric=HEADLINE, margin=margin),
        alt=f"Level-or-location ladder of nested models. Verdict: {result.verdict}. "
        "The numbers are in the tables that follow.",
        caption="Nested models on the same folds, and the paired differences between them, with "
        f"95 % intervals conditional on the fitted models. Filled: headline learner.{shaded}",
    )


def shapley_pictures(contents: ReportContents) -> dict[str, Picture]:
    """Draw the performance game and the prediction game, by the names of their files."""
    carriers = contents.carriers
    if carriers is None or not carriers.is_played:
        return {}
    table = carriers.table[carriers.table["part"] != "total"]
    table = table.assign(player=table["player"].replace({"stage": "Stage", "cohort": "Cohort"}))
    months = f"{carriers.horizon:g} months"
    pictures = {}
    for game, quantity, unit, digits, caption in (
        (
            "performance",
            f"Shapley value: C (Uno) within folds at {months}",
            1,
            3,
            "What each player adds to performance, models refitted for every coalition",
        ),
        (
            "prediction",
            "Mean absolute Shapley value, percentage points",
            100,
            1,
            f"How far each player moves a patient’s event probability by {months}, by models "
            "learned without the patient",
        ),
    ):
        rows = table[table["game"] == game].sort_values("estimate", ascending=False, kind="stable")
        numbers = ["estimate", "lower", "upper"]
        rows = rows.assign(**{name: unit * rows[name] for name in numbers})
        said = [
            f"{row['player']} {fixed(row['estimate'], digits)} "
            f"({fixed(row['lower'], digits)} to {fixed(row['upper'], digits)})"
            for row in rows.to_dict("records")
        ]
        pictures[f"shapley_{game}"] = embed_figure(
            plot_shapley(rows, quantity=quantity),
            alt=f"{quantity}, largest first: {'; '.join(said)}.",
            caption=f"{caption}. Lines: 95 % intervals over patients, conditional on the fitted "
            "models.",
        )
    return pictures
