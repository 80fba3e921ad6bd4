"""The figures of a report as files of their own."""

from __future__ import annotations

import base64
from pathlib import Path

from times_stats.report.cell_sections import cell_pictures
from times_stats.report.contents import ReportContents
from times_stats.report.figures import (
    attribution_pictures,
    calibration_picture,
    comparison_picture,
    forest_picture,
    kaplan_meier_picture,
    ladder_picture,
    shapley_pictures,
    weights_picture,
)


def write_figures(contents: ReportContents, folder: Path) -> None:
    """Write the figures of one analysis as SVG files.

    Parameters
    ----------
    contents : ReportContents
        What the report shows; figures of a survival model that failed its checks are left out.
    folder : Path
        Folder that exists.
    """
    pictures = {
        "risk_groups": kaplan_meier_picture(contents),
        "comparison": comparison_picture(contents.shown_comparison),
        "weights": weights_picture(contents),
        "ladder": ladder_picture(contents, margin=contents.study.evaluate.margin),
        **shapley_pictures(contents),
        **cell_pictures(contents),
    }
    names = ("attribution", "contributions")
    pictures |= dict(zip(names, attribution_pictures(contents), strict=False))
    if contents.survival_is_shown:
        pictures["slopes"] = forest_picture(contents)
        pictures["calibration"] = calibration_picture(contents)
    for name, picture in pictures.items():
        data = base64.b64decode(picture.source.partition(",")[2])
        (folder / f"{name}.svg").write_bytes(data)
