"""The feature table: patients by marker and region, with the reason for every gap."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._typing import BoolArray
from times_stats.errors import DataWarning
from times_stats.nonparametric import reverse_kaplan_meier
from times_stats.tables.selection import scaled_markers
from times_stats.tables.study import Study, outcome

NOT_MEASURED = "not measured"
VALUE_MISSING = "value missing"
ALL_IMAGES = ", all images"  # how the name of the level over all images ends
_SAME_LEVEL = 1e-9
_MIN_BLOCK = 5
_MIN_SHARE = 0.05


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FeatureTable:
    """Features of the patients of a study, in four tables with the same rows.

    Attributes
    ----------
    values : DataFrame, shape (n_patients, n_features)
        Indexed by ``patient_id``, columns (``marker``, ``region``) sorted; NaN where missing.
    reasons : DataFrame of str
        ``""`` where observed, else ``"not measured"`` (no row) or ``"value missing"`` (an empty
        row).
    n_images : DataFrame of int
        Number of images (tiles) each value is the mean of.
    levels : DataFrame, shape (n_patients, n_markers) or wider
        Amount of each marker whatever the region: the mean over regions, weighted where the images
        have weights. With areas as weights that is all cells over all area of the images that show
        regions. In a study with cells in which other images change it, a column
        ``"<marker>, all images"`` follows with the level over all images of a patient
        (`CellMeasures.levels`): an effect of either must not pass for one of location. NaN where
        the marker is incomplete.
    is_weighted : bool
        Whether images and regions weigh by their area or the like, not alike.
    outcome : DataFrame
        ``time`` (months), ``event``, ``cohort``.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> build_feature_table(load_hcc_ihc()).values.shape
    (227, 3)
    """

    values: pd.DataFrame
    reasons: pd.DataFrame
    n_images: pd.DataFrame
    levels: pd.DataFrame
    is_weighted: bool
    outcome: pd.DataFrame

    def __repr__(self) -> str:
        return f"<FeatureTable: {self.values.shape[0]} patients, {self.values.shape[1]} features>"


def build_feature_table(study: Study) -> FeatureTable:
    """Build the feature table of a study: the mean over images of each marker in each region.

    Where images have weights, such as the areas of a study with cells, means are weighted.

    Parameters
    ----------
    study : Study
        Holds the markers and regions its settings ask for.

    Returns
    -------
    FeatureTable
        Nothing is imputed.

    Warns
    -----
    DataWarning
        If some markers are missing for a block of patients (5 at least, and 5 %): a model over
        both blocks may learn the block, whose follow-up is given, in place of the marker.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> table = build_feature_table(load_hcc_ihc("complete"))
    >>> table.values.columns[0]
    ('CD15', 'adjacent')
    >>> int(table.values.isna().sum().sum())
    0
    """
    results = outcome(study)
    values, counts, weights = _widen(study.measurements, results.index)
    reasons = pd.DataFrame("", index=values.index, columns=values.columns, dtype="str")
    reasons = reasons.mask(values.isna(), VALUE_MISSING).mask(counts.isna(), NOT_MEASURED)
    if study.cells is not None:
        reasons = _reasons_of_cells(study.cells.patients, reasons)
    table = FeatureTable(
        values=values,
        reasons=reasons,
        n_images=counts.fillna(0).astype("int64"),
        levels=_levels(study, values, weights),
        is_weighted=weights is not None,
        outcome=results,
    )
    if study.score.missing == "keep":
        _warn_of_blocks(table)
    return table


def _levels(study: Study, values: pd.DataFrame, weights: pd.DataFrame | None) -> pd.DataFrame:
    levels = marker_levels(values, weights=weights)
    if study.cells is None:
        return levels
    every = study.cells.levels().reindex(index=levels.index, columns=levels.columns)
    every = every.where(levels.notna()).astype("float64")
    differs = ~np.isclose(every, levels, rtol=_SAME_LEVEL, atol=0.0, equal_nan=True).all(axis=0)
    return levels.join(every.loc[:, differs].add_suffix(ALL_IMAGES))


def feature_matrix(
    measurements: pd.DataFrame,
    patient_ids: Iterable[str],
    *,
    columns: pd.MultiIndex | None = None,
) -> pd.DataFrame:
    """Spread measurements to one row per patient and one column per marker and region.

    Parameters
    ----------
    measurements : DataFrame
        Canonical measurements (``patient_id``, ``marker``, ``region``, ``value``).
    patient_ids : iterable of str
        Rows wanted, in order.
    columns : MultiIndex, optional
        Columns wanted, as of a fitted model; what is not measured is missing, what the model does
        not know is dropped. By default all that are observed, sorted.

    Returns
    -------
    DataFrame of float64
        Mean over images, weighted where they have weights; NaN where missing.

    Examples
    --------
    >>> long = pd.DataFrame({"patient_id": ["1", "1"], "marker": ["A", "A"],
    ...                      "region": ["x", "y"], "value": [1.0, 2.0]})
    >>> feature_matrix(long, ["1", "2"]).to_numpy().tolist()
    [[1.0, 2.0], [nan, nan]]
    """
    rows = pd.Index(list(patient_ids), name="patient_id", dtype="str")
    values, _, _ = _widen(measurements, rows)
    return values if columns is None else values.reindex(columns=columns)


def missing_patterns(table: FeatureTable) -> pd.DataFrame:
    """Count the patients with each pattern of missing features.

    Parameters
    ----------
    table : FeatureTable
        Features of a study.

    Returns
    -------
    DataFrame
        ``pattern`` (``complete``, or what is missing), ``n_patients``, ``n_events``; the most
        frequent first.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> missing_patterns(build_feature_table(load_hcc_ihc()))
        pattern  n_patients  n_events
    0  complete         227       143
    """
    features: pd.DataFrame = table.values
    columns = [(str(key[0]), str(key[1])) for key in features.columns]
    patterns = [_describe(row, columns) for row in features.notna().to_numpy()]
    counted = (
        pd.DataFrame({"pattern": patterns, "event": table.outcome["event"].to_numpy()})
        .groupby("pattern", sort=True)["event"]
        .agg(n_patients="size", n_events="sum")
        .reset_index()
    )
    return counted.sort_values(
        ["n_patients", "pattern"], ascending=[False, True], ignore_index=True
    )


def complete_markers(features: pd.DataFrame) -> pd.DataFrame:
    """Tell which markers are observed in all their regions.

    Parameters
    ----------
    features : DataFrame
        Wide features, columns (``marker``, ``region``).

    Returns
    -------
    DataFrame of bool
        One row per patient, one column per marker.

    Examples
    --------
    >>> columns = pd.MultiIndex.from_product([["A"], ["x", "y"]], names=["marker", "region"])
    >>> complete_markers(pd.DataFrame([[1.0, 2.0], [1.0, np.nan]], columns=columns))["A"].tolist()
    [True, False]
    """
    return features.notna().T.groupby(level="marker").all().T


def marker_levels(features: pd.DataFrame, *, weights: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the level of each marker: the mean over its regions.

    Parameters
    ----------
    features : DataFrame
        Wide features, columns (``marker``, ``region``).
    weights : DataFrame, optional
        Weight of each value, such as the area of the region; regions weigh alike, if left out.

    Returns
    -------
    DataFrame
        One row per patient, one column per marker; NaN where the marker is incomplete.

    Examples
    --------
    >>> columns = pd.MultiIndex.from_product([["A"], ["x", "y"]], names=["marker", "region"])
    >>> marker_levels(pd.DataFrame([[1.0, 2.0], [1.0, np.nan]], columns=columns))["A"].tolist()
    [1.5, nan]
    """
    if weights is None:
        levels = features.T.groupby(level="marker").mean().T
    else:
        total = (features * weights).T.groupby(level="marker").sum().T
        levels = total / weights.where(features.notna()).T.groupby(level="marker").sum().T
    return levels.where(complete_markers(features)).astype("float64")


def scaled_by_region(features: pd.DataFrame, *, tolerance: float = 0.05) -> list[str]:
    """Name the markers whose regional means agree, as if each region had been scaled on its own.

    The level of such a marker, the amount free of region, is not identified.

    Parameters
    ----------
    features : DataFrame
        Wide features, columns (``marker``, ``region``).
    tolerance : float
        Largest difference between regional means, relative to their mean.

    Returns
    -------
    list of str
        Markers with two regions or more and ``max - min <= tolerance * |mean|``, or whose means are
        all 0 within `tolerance` of the standard deviation (standardised within regions).

    Notes
    -----
    Selecting patients hides the trace: judge all that were measured, as ``Study.scaled_by_region``
    does.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> scaled_by_region(build_feature_table(load_hcc_ihc()).values)
    ['CXCL17']
    """
    return scaled_markers(features.melt(value_name="value"), tolerance=tolerance)


def _widen(
    measurements: pd.DataFrame, rows: pd.Index
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """Spread values, counts of images and, where there are weights, their sums."""
    keys = ["marker", "region"]

    def spread(column: pd.Series) -> pd.DataFrame:
        return column.unstack(keys).reindex(index=rows)  # noqa: PD010

    by_key = measurements.groupby(["patient_id", *keys], sort=True)
    means, weights = by_key["value"].mean(), None
    if "weight" in measurements:
        held = measurements.dropna(subset=["value"])
        weighted = held.assign(total=held["value"] * held["weight"])
        sums = weighted.groupby(["patient_id", *keys], sort=True)[["total", "weight"]].sum()
        means = (sums["total"] / sums["weight"]).reindex(means.index)
        weights = spread(sums["weight"])
    values = spread(means).sort_index(axis=1).astype("float64")
    values = values.loc[:, values.notna().any().to_numpy()]
    counts = spread(by_key["value"].count()).reindex(columns=values.columns)
    if weights is not None:
        weights = weights.reindex(columns=values.columns).astype("float64")
    return values, counts, weights


def _reasons_of_cells(pooled: pd.DataFrame, reasons: pd.DataFrame) -> pd.DataFrame:
    """Say why no image of a patient gave an intensity."""
    told = pooled[pooled["statistic"].eq("intensity") & pooled["reason"].ne("")]
    why = told.set_index(["patient_id", "marker", "region"])["reason"]
    wide = why.unstack(["marker", "region"])  # noqa: PD010
    wide = wide.reindex(index=reasons.index, columns=reasons.columns)
    return reasons.mask((reasons != "") & wide.notna(), wide)


def _describe(observed: BoolArray, columns: list[tuple[str, str]]) -> str:
    gone: dict[str, list[str]] = {}
    kept: set[str] = set()
    for (marker, region), there in zip(columns, observed, strict=True):
        if there:
            kept.add(marker)
        else:
            gone.setdefault(marker, []).append(region)
    parts = [
        f"{marker} ({', '.join(regions)})" if marker in kept else marker
        for marker, regions in gone.items()
    ]
    return f"without {', '.join(parts)}" if parts else "complete"


def _warn_of_blocks(table: FeatureTable) -> None:
    complete = complete_markers(table.values)
    partial = complete.columns[~complete.all()]
    blocks: dict[bytes, list[str]] = {}
    for marker in partial:
        blocks.setdefault(complete[marker].to_numpy().tobytes(), []).append(str(marker))
    for markers in blocks.values():
        present = complete[markers[0]].to_numpy()
        smallest = max(_MIN_BLOCK, _MIN_SHARE * present.size)
        if min(int(present.sum()), int((~present).sum())) < smallest:
            continue
        with_months, without_months = (
            _median_follow_up(table.outcome[chosen]) for chosen in (present, ~present)
        )
        warnings.warn(
            f"marker {', '.join(markers)} is complete for {int(present.sum())} patients (median "
            f"follow-up {with_months}, reverse Kaplan-Meier) and not for {int((~present).sum())} "
            f"({without_months}): a comparison over both blocks may reflect the block; "
            '[score] missing = "complete", or fewer markers, keeps to one',
            DataWarning,
            stacklevel=3,
        )


def _median_follow_up(results: pd.DataFrame) -> str:
    if results["event"].all():
        return "not estimable"
    curve = reverse_kaplan_meier(results["time"].to_numpy(), results["event"].to_numpy())
    median = float(curve.quantile(0.5))
    return f"{median:.0f} months" if np.isfinite(median) else "not reached"
