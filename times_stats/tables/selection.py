"""Who and what is analysed: markers, regions, complete patients, and the flow of patients."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats.errors import DataWarning
from times_stats.tables.measurements import check_asked
from times_stats.tables.settings import ScoreSettings

MIN_EVENTS = 10
_MANY_LOST = 0.2


def select_measurements(
    measurements: pd.DataFrame, score: ScoreSettings, faults: Faults
) -> pd.DataFrame:
    """Keep the markers and regions asked for, and check that they can be analysed.

    Parameters
    ----------
    measurements : DataFrame
        Canonical measurements.
    score : ScoreSettings
        Names the markers and regions.
    faults : Faults
        Collects what is wrong: an unknown marker or region, one without a value, fewer than two
        regions.

    Returns
    -------
    DataFrame
        The rows of the markers and regions analysed.

    Examples
    --------
    >>> long = pd.DataFrame({"marker": ["A", "A", "B"], "region": ["x", "y", "x"],
    ...                      "value": [1.0, 2.0, 3.0]})
    >>> faults = Faults()
    >>> len(select_measurements(long, ScoreSettings(markers=("B",)), faults)), len(faults)
    (1, 1)
    """
    markers = sorted(measurements["marker"].unique())
    regions = sorted(measurements["region"].unique())
    check_asked(score.markers, markers, what="marker", faults=faults)
    check_asked(score.regions, regions, what="region", faults=faults)
    chosen = measurements[
        measurements["marker"].isin(score.markers or markers)
        & measurements["region"].isin(score.regions or regions)
    ].reset_index(drop=True)
    observed = chosen.dropna(subset=["value"])
    for what in ("region", "marker"):
        empty = sorted(set(chosen[what]) - set(observed[what]))
        if empty:
            faults.add(
                f"column 'value' is missing in every row of {what} {name_rows(empty)}: "
                f"give values, or leave the {what} out of [score] {what}s"
            )
    found = sorted(observed["region"].unique())
    if len(found) == 1 and chosen["region"].unique().size == 1:
        faults.add(
            f"column 'region' holds one region only ('{found[0]}'): this package compares "
            "regions; give measurements of at least two"
        )
    return chosen


def check_spread(measurements: pd.DataFrame, faults: Faults) -> None:
    """Record the markers that are constant in each of their regions.

    Parameters
    ----------
    measurements : DataFrame
        ``marker``, ``region``, ``value`` of the patients analysed.
    faults : Faults
        Collects what is wrong.

    Examples
    --------
    >>> long = pd.DataFrame({"marker": ["A", "A"], "region": ["x", "x"], "value": [1.0, 1.0]})
    >>> faults = Faults()
    >>> check_spread(long, faults)
    >>> faults.messages
    ["column 'value' is constant for marker A: it cannot predict; leave it out of [score] markers"]
    """
    values = measurements.dropna(subset=["value"]).groupby(["marker", "region"])["value"]
    most = values.agg("nunique").groupby("marker").max()
    constant = sorted(most.index[most == 1])
    if constant:
        faults.add(
            f"column 'value' is constant for marker {name_rows(constant)}: "
            "it cannot predict; leave it out of [score] markers"
        )


def scaled_markers(measurements: pd.DataFrame, *, tolerance: float = 0.05) -> list[str]:
    """Name the markers whose regional means agree, as if each region had been scaled on its own.

    Parameters
    ----------
    measurements : DataFrame
        ``marker``, ``region``, ``value``.
    tolerance : float
        Largest difference between regional means, relative to their mean.

    Returns
    -------
    list of str
        Markers with two regions or more and ``max - min <= tolerance * |mean|``, or whose means are
        all 0 within `tolerance` of the standard deviation (standardised within regions).

    Examples
    --------
    >>> long = pd.DataFrame({"marker": ["A"] * 4, "region": ["x", "x", "y", "y"],
    ...                      "value": [50.0, 150.0, 99.0, 101.0]})
    >>> scaled_markers(long)
    ['A']
    """
    found: list[str] = []
    for marker, rows in measurements.groupby("marker"):
        regions = rows.groupby("region")["value"]
        means = regions.mean().dropna().to_numpy()
        if means.size < 2:
            continue
        spread = float(np.sqrt(regions.var(ddof=0).mean()))
        agree = np.ptp(means) <= tolerance * abs(means.mean())
        centred = bool((np.abs(means) <= tolerance * spread).all())
        if agree or centred:
            found.append(str(marker))
    return found


def find_tumour_region(asked: str | None, regions: Collection[str], faults: Faults) -> str | None:
    """Return the region that a biopsy of the tumour gives.

    Parameters
    ----------
    asked : str or None
        ``[score] tumour_region`` of the study file.
    regions : collection of str
        Regions analysed.
    faults : Faults
        Collects what is wrong.

    Returns
    -------
    str or None
        The region asked for; else the first named for the tumour (its centre first), and neither
        beside it nor outside it; None where there is none.

    Examples
    --------
    >>> find_tumour_region(None, ["adjacent", "peritumour", "tumour"], Faults())
    'tumour'
    >>> find_tumour_region(None, ["nontumoral", "stroma"], Faults()) is None
    True
    """
    if asked is not None:
        if asked not in regions:
            hint = nearest_hint(asked, regions)
            faults.add(
                f"[score] tumour_region names '{asked}' that is not among the regions "
                f"analysed{hint}: correct or remove it"
            )
        return asked
    outside = re.compile(r"peri|non|adjacent|normal|margin|front|distant")
    inside = [name for name in sorted(regions) if not outside.search(name.lower())]
    for pattern in (r"tumou?r_?(centre|center|core)", r"tumou?r"):
        for name in inside:
            if re.search(pattern, name.lower().replace(" ", "_")):
                return name
    return None


def complete_by_marker(measurements: pd.DataFrame, patient_ids: pd.Index) -> pd.DataFrame:
    """Tell which markers are observed, for each patient, in every region the study has.

    Parameters
    ----------
    measurements : DataFrame
        Canonical measurements of the markers and regions analysed.
    patient_ids : Index
        Patients, in the order of the rows wanted.

    Returns
    -------
    DataFrame of bool
        One row per patient, one column per marker.

    Examples
    --------
    >>> long = pd.DataFrame({"patient_id": ["1", "1", "2"], "marker": ["A", "A", "A"],
    ...                      "region": ["x", "y", "x"], "value": [1.0, 2.0, 3.0]})
    >>> complete_by_marker(long, pd.Index(["1", "2"]))["A"].tolist()
    [True, False]
    """
    observed = measurements.dropna(subset=["value"])
    needed = observed.groupby("marker")["region"].nunique()
    counts = observed.groupby(["patient_id", "marker"])["region"].nunique()
    seen = counts.unstack("marker", fill_value=0)  # noqa: PD010
    seen = seen.reindex(index=patient_ids, columns=needed.index, fill_value=0)
    return seen == needed


def select_patients(
    patients: pd.DataFrame, measurements: pd.DataFrame, score: ScoreSettings, faults: Faults
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the patients who can be analysed, and count the others with the reason.

    Parameters
    ----------
    patients : DataFrame
        Canonical patients.
    measurements : DataFrame
        Canonical measurements of the markers and regions analysed.
    score : ScoreSettings
        ``missing`` says whether one complete marker is enough (``keep``) or all are needed.
    faults : Faults
        Collects what is wrong: too few events, in all or for a marker.

    Returns
    -------
    patients : DataFrame
        The patients analysed.
    flow : DataFrame
        ``step``, ``n_patients``, ``n_events``, ``reason``, from all patients to those analysed.

    Examples
    --------
    >>> patients = pd.DataFrame({"patient_id": ["1", "2"], "event": [1, 0]})
    >>> long = pd.DataFrame({"patient_id": ["1", "1"], "marker": ["A", "A"],
    ...                      "region": ["x", "y"], "value": [1.0, 2.0]})
    >>> kept, flow = select_patients(patients, long, ScoreSettings(missing="complete"), Faults())
    >>> flow["n_patients"].tolist()
    [2, 1, 1, 1]
    """
    ids = pd.Index(patients["patient_id"])
    event = patients["event"].to_numpy()
    complete = complete_by_marker(measurements, ids)
    measured = ids.isin(measurements.dropna(subset=["value"])["patient_id"].unique())
    enough = (complete.any(axis=1) if score.missing == "keep" else complete.all(axis=1)).to_numpy()
    lost = int((measured & ~enough).sum())
    if score.missing == "keep":
        step = "with at least one complete marker"
        reason = "not one marker in all its regions"
    else:
        step = "with every marker complete"
        short = complete.columns[~complete[measured].all(axis=0)]
        reason = f"not every region of {', '.join(short)}"
    rows = [
        ("patients in the table", np.ones(len(ids), bool), ""),
        ("with a measurement", measured, _reason(int((~measured).sum()), "no measurement")),
        (step, measured & enough, _reason(lost, reason)),
        ("analysed", measured & enough, ""),
    ]
    flow = pd.DataFrame(
        [(name, int(kept.sum()), int(event[kept].sum()), why) for name, kept, why in rows],
        columns=["step", "n_patients", "n_events", "reason"],
    )
    kept = measured & enough
    _check_events(complete[kept], event[kept], faults)
    if score.missing == "keep" and not faults and lost > _MANY_LOST * measured.sum():
        warnings.warn(
            f"{lost} of {int(measured.sum())} patients have no complete marker and are not "
            "analysed: name fewer regions in [score] regions to keep them",
            DataWarning,
            stacklevel=4,
        )
    return patients[kept].reset_index(drop=True), flow


def _reason(count: int, why: str) -> str:
    return f"{count} left out: {why}" if count else ""


def _check_events(complete: pd.DataFrame, event: np.ndarray, faults: Faults) -> None:
    total = int(event.sum())
    if total < MIN_EVENTS:
        faults.add(
            f"column 'event' leaves {total} events among the {len(event)} patients analysed: at "
            f"least {MIN_EVENTS} are needed; add patients, or ask for fewer markers or regions"
        )
        return
    events = complete.mul(event, axis=0).sum()
    few = events[events < MIN_EVENTS]
    if len(few):
        faults.add(
            f"marker {name_rows(few.index)} is complete in every region for fewer than "
            f"{MIN_EVENTS} patients with an event: leave it out of [score] markers, or name "
            "fewer regions"
        )
