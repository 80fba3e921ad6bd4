"""What the report says of the cells: images, regions, and what could not be measured."""

from __future__ import annotations

import pandas as pd

from times_stats.features.measured_rows import IMAGE
from times_stats.plots.labels import statistic_label
from times_stats.plots.tissue import plot_functions, plot_regional_amounts, plot_tissue
from times_stats.regions.compartments import Compartments
from times_stats.report.contents import ReportContents
from times_stats.report.figures import Picture, embed_figure
from times_stats.report.formatting import count, fixed, percent, true_minus
from times_stats.report.section import Section
from times_stats.report.table_views import plain_table
from times_stats.tables.cell_measures import CellMeasures

_TUMOUR_L = "l_tumour"


def cell_section(contents: ReportContents) -> Section:
    """Return the section on cells of a study that has them.

    Parameters
    ----------
    contents : ReportContents
        What the report shows.

    Returns
    -------
    Section
    """
    cells = contents.study.cells
    if cells is None:
        raise AssertionError("the section is for studies with cells")
    return Section(
        "cells",
        "Cells, images, regions",
        paragraphs=_paragraphs(cells),
        pictures=list(cell_pictures(contents).values()),
        tables=[
            plain_table(_counted(cells), caption="Cells read"),
            plain_table(_by_reason(cells.summary), caption="Images by what became of them"),
            plain_table(
                _missing(cells),
                caption="Features that patients lack",
                note="A patient’s value is missing where none of its images gave one. It stays "
                "missing here; the ladder of nested models takes the training mean in its place "
                "and says for how many patients.",
            ),
        ],
    )


def _paragraphs(cells: CellMeasures) -> list[str]:
    summary, rules = cells.summary, cells.settings
    bounded = summary[summary["reason"] == ""]
    inner, outer = (true_minus(f"{limit:g}") for limit in _front(cells))
    placed = (bounded["n_cells"] - bounded["n_outside"]).sum()
    share = bounded["n_uncertain"].sum() / max(placed, 1)
    end = rules.get("peritumour")
    beyond = "" if end is None else f", the peritumour ends {end:g} µm outside"
    return [
        f"The invasive front reaches from {inner} to {outer} µm of the tumour’s boundary, negative "
        f"inside{beyond}. Intensities are cells per mm² of a region, all images of a patient "
        "together.",
        f"In images with a boundary the tumour covers {percent(_covered(bounded))} of the window "
        f"and the boundary is {fixed(bounded['boundary_um'].median() / 1000, 1)} mm long in the "
        f"median image. For {percent(share)} of their cells the region is open: a boundary beyond "
        "the frame of the window may be nearer than the one seen, and change it.",
    ]


def _front(cells: CellMeasures) -> tuple[float, float]:
    limits = cells.settings["invasive_front"]
    if not isinstance(limits, list):
        raise AssertionError("the limits of the front are a list")
    return float(limits[0]), float(limits[1])


def _covered(bounded: pd.DataFrame) -> float:
    total = float(bounded["area_mm2"].sum())
    return float(bounded["tumour_mm2"].sum()) / total if total > 0 else float("nan")


def _counted(cells: CellMeasures) -> pd.DataFrame:
    table = cells.counts[["what", "n_cells", "n_images", "n_patients"]]
    names = {"n_cells": "cells", "n_images": "images", "n_patients": "patients"}
    return table.rename(columns=names).astype(dict.fromkeys(names.values(), "int64"))


def _by_reason(summary: pd.DataFrame) -> pd.DataFrame:
    told = summary.assign(what=summary["reason"].where(summary["reason"] != "", "with a boundary"))
    groups = told.groupby("what", sort=False)
    table = pd.DataFrame(
        {
            "images": groups.size(),
            "patients": groups["patient_id"].nunique(),
            "cells": groups["n_cells"].sum(),
        }
    )
    return table.sort_values("images", ascending=False, kind="stable").reset_index()


def _missing(cells: CellMeasures) -> pd.DataFrame:
    table = cells.patients
    lacking = table[table["value"].isna()]
    rows = [
        {
            "feature": statistic_label(statistic),
            "region": "whole image" if region == IMAGE else str(region),
            "patients": part["patient_id"].nunique(),
            "markers": ", ".join(sorted(part["marker"].unique())),
            "reason": part["reason"].mode().iloc[0],
        }
        for (statistic, region), part in lacking.groupby(["statistic", "region"])
    ]
    return pd.DataFrame(rows, columns=["feature", "region", "patients", "markers", "reason"])


def cell_pictures(contents: ReportContents) -> dict[str, Picture]:
    """Draw an example image, the amounts by region, and one function of distance.

    Parameters
    ----------
    contents : ReportContents
        What the report shows.

    Returns
    -------
    dict of str to Picture
        By the names of their files; empty in a study without cells.
    """
    cells = contents.study.cells
    if cells is None:
        return {}
    used = set(contents.study.measurements["marker"])
    patients = cells.patients[cells.patients["marker"].isin(used)]
    pictures = {}
    if contents.tissue is not None and contents.tissue.boundary is not None:
        shown = contents.tissue
        end = cells.settings.get("peritumour")
        compartments = Compartments(
            invasive_front=_front(cells),
            peritumour=float(end) if isinstance(end, int | float) else None,
        )
        pictures["tissue"] = embed_figure(
            plot_tissue(shown, compartments=compartments, markers=tuple(sorted(used))),
            alt=f"Image {shown.cells.image_id}: {count(len(shown.points))} cells over the regions, "
            "with the boundary of the tumour.",
            caption=f"Image {shown.cells.image_id}, of median size among those with a boundary "
            "(black line): regions by distance to it. Look at more images before believing them.",
        )
    pictures["regions"] = embed_figure(
        plot_regional_amounts(patients, regions=cells.regions),
        alt="Intensity of each marker in each region, median and quartiles over patients.",
        caption="Amounts by region: median (dot) and quartiles over patients; linear up to 10, "
        "then logarithmic.",
    )
    if patients.loc[patients["statistic"] == _TUMOUR_L, "value"].notna().any():
        pictures["functions"] = embed_figure(
            plot_functions(patients, statistic=_TUMOUR_L, label="Cross L minus r, micrometres"),
            alt="Cross L function from each marker to tumour cells minus r, median and quartiles "
            "over patients.",
            caption="Tumour cells around the cells of each marker: above 0 more than if the two "
            "were independent and evenly spread over the window, below 0 fewer. Median and "
            "quartiles over patients.",
        )
    return pictures
