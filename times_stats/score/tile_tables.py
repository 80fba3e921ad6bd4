"""Tiles of patients, summed up for pooling: means, variances, and how errors go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.score.error_correlation import correlate_errors
from times_stats.score.marker_table import as_marker_table
from times_stats.score.tile_variances import EDGE, fit_tile_prior


@dataclass(frozen=True, slots=True, eq=False)
class TileSummary:
    """What pooling needs to know of the tiles.

    Parameters
    ----------
    mean : DataFrame, patient x marker
        Mean tile probability; NaN = no tile has the marker.
    variance : DataFrame, patient x marker
        Population variance of the tile probabilities.
    n_tiles : DataFrame, patient x marker
        Tiles behind each mean.
    error_correlation : ndarray, shape (n_markers, n_markers)
        Correlation of the markers' deviations from their patient's mean, on the logit scale.
    """

    mean: pd.DataFrame
    variance: pd.DataFrame
    n_tiles: pd.DataFrame
    error_correlation: FloatArray


def summarise_tiles(tiles: pd.DataFrame) -> TileSummary:
    """Sum up a table of tiles, patient by patient.

    Deviations of a tile from its patient's mean are taken to the logit scale (divided by m (1 - m))
    and divided by the patient's shrunken standard deviation before they are correlated over all
    tiles of all patients: the spread of two or three tiles alone would flatten the correlation.

    Parameters
    ----------
    tiles : DataFrame, shape (n_tiles, n_markers)
        Probability of each tile and marker in [0, 1], NaN = missing; the index holds the patient
        of each tile.

    Returns
    -------
    TileSummary
        Patients sorted. Without a patient of two tiles the correlation is the identity.

    Raises
    ------
    InputError
        If the table is not numeric or a value is outside [0, 1].

    Examples
    --------
    >>> tiles = pd.DataFrame({"CD8": [.2, .4, .7], "CD57": [.3, .3, .6]}, index=["a", "a", "b"])
    >>> summary = summarise_tiles(tiles)
    >>> summary.mean["CD8"].round(3).to_dict(), summary.n_tiles["CD8"].to_dict()
    ({'a': 0.3, 'b': 0.7}, {'a': 2, 'b': 1})
    """
    if not isinstance(tiles, pd.DataFrame):
        raise InputError("tiles must be a DataFrame: a row per tile, the patient in the index")
    values, patients, markers = as_marker_table(tiles)
    faults = Faults()
    wrong = ((values < 0) | (values > 1)).any(axis=1)
    if wrong.any():
        faults.add(
            f"probability outside [0, 1] in a tile of {name_rows(patients[wrong])}: give tile "
            "probabilities"
        )
    faults.raise_if_any("tiles")
    table = pd.DataFrame(values, index=patients, columns=list(markers))
    by_patient = table.groupby(level=0, sort=True)
    mean = by_patient.mean()
    variance = by_patient.var(ddof=0)
    n_tiles = by_patient.count()
    correlation = np.eye(len(markers))
    known = n_tiles.to_numpy(dtype=np.float64)
    if (known > 1).any(axis=0).all():
        counted = np.maximum(known, 1.0)
        prior = fit_tile_prior(mean, variance.fillna(0.0), n_tiles=counted)
        middle = mean.clip(EDGE, 1 - EDGE)
        slope = (middle * (1 - middle)).to_numpy()
        factor = np.divide(counted, counted - 1, out=np.zeros_like(counted), where=counted > 1)
        shrunken, _ = prior.shrink(variance.fillna(0.0).to_numpy() * factor / slope**2, counted - 1)
        scale = pd.DataFrame(slope * np.sqrt(shrunken), index=mean.index, columns=mean.columns)
        deviation = (table - mean.loc[table.index]) / scale.loc[table.index]
        correlation = correlate_errors(deviation.fillna(0.0).to_numpy())
    return TileSummary(mean, variance, n_tiles, correlation)
