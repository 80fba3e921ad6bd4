"""Spatial functions of a study's patients, in the shape that nested models want."""

from __future__ import annotations

import pandas as pd

from times_stats.features.function_components import SpatialFunctions
from times_stats.features.measured_rows import AGGREGATES, IMAGE
from times_stats.tables.study import Study


def spatial_functions(study: Study) -> SpatialFunctions | None:
    """Return the spatial functions of a study's patients that its ladder ends with.

    Parameters
    ----------
    study : Study
        A study.

    Returns
    -------
    SpatialFunctions or None
        In the order of the patients; None in a study without cells. A curve is missing where
        radii are missing, or come from different numbers of images.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> spatial_functions(load_hcc_ihc()) is None
    True
    """
    if study.cells is None or not study.functions:
        return None
    markers = [*study.measurements["marker"].unique(), AGGREGATES]
    table = study.cells.patients
    table = table[table["marker"].isin(markers) & table["statistic"].isin(study.functions)]
    ids = pd.Index(study.patients["patient_id"], name="patient_id")
    plain = table[table["r"].isna() & table["region"].eq(IMAGE)]
    scalars = plain.pivot_table(
        index="patient_id", columns=["marker", "statistic"], values="value", dropna=False
    ).reindex(ids)
    # A curve whose radii come from different images would be a chimera: it counts as missing.
    curved = table[table["r"].notna()]
    n_images = curved.groupby(["patient_id", "marker", "statistic"])["n_images"]
    whole = n_images.transform("nunique").eq(1).to_numpy()
    curved = curved.assign(value=curved["value"].where(whole))
    curves = {
        (str(marker), str(statistic)): part.pivot_table(
            index="patient_id", columns="r", values="value", dropna=False
        ).reindex(ids)
        for (marker, statistic), part in curved.groupby(["marker", "statistic"])
    }
    return SpatialFunctions(scalars=scalars, curves=curves)
