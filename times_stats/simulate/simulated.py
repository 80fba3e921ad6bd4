"""What a simulation returns: the tables of a study, and the truth behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True)
class SimulatedStudy:
    """A synthetic study and the truth behind it.

    Attributes
    ----------
    patients : DataFrame
        Columns patient_id, cohort, time (months, rounded to a tenth, at least .1), event, tnm,
        bclc; sorted by patient_id.
    measurements : DataFrame
        Long table patient_id, region, marker, value (arbitrary staining unit, positive), with
        image_id where there are images. Of a study with cells: cells per mm^2 in the true
        regions, with the area (mm^2) as ``weight``.
    truth : dict
        ``linear_predictor``, ``level_index``, ``location_index`` and ``stage_latent`` (Series by
        patient_id), ``levels`` (DataFrame patient x marker, standardised log amounts),
        ``cohort_effect`` (Series), the keyword arguments, ``shape`` and ``scale`` of the Weibull
        baseline: ``S(t | x) = exp(-(t / scale)^shape * exp(linear_predictor))``. What else there
        is stands with the function that simulated the study.
    cells : DataFrame or None
        Columns patient_id, image_id, x, y (micrometres), cell_type, region (the true one); None
        where stainings were simulated.
    """

    patients: pd.DataFrame
    measurements: pd.DataFrame
    truth: dict[str, Any] = field(default_factory=dict)
    cells: pd.DataFrame | None = None
