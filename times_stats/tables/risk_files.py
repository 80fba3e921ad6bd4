"""Risks and predicted probabilities of anybody's model, one row a patient."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows, nearest_hint
from times_stats._typing import FloatArray
from times_stats.tables.columns import as_labels, as_numbers

AT = "@"
"""Stands between the name of a model and the month of its event probability."""

_NOT_RISKS = {"time", "event", "cause", "entry", "time_lower", "time_upper", "cohort"}


@dataclass(frozen=True, slots=True, eq=False)
class ForeignRisks:
    """Models of a risk file.

    Attributes
    ----------
    risk : DataFrame
        Indexed by ``patient_id``, a column per model: larger = earlier event.
    times : ndarray, shape (n_times,)
        Months of the event probabilities, increasing; empty where there is none.
    survival : dict of str to ndarray, shape (n, n_times)
        Probability of no event, of the models that have it.
    """

    risk: pd.DataFrame
    times: FloatArray
    survival: dict[str, FloatArray]


def check_risks(
    table: pd.DataFrame,
    *,
    patient_ids: Collection[str],
    horizon: float,
    columns: Sequence[str] | None = None,
) -> ForeignRisks:
    """Check a table of risks and put it into canonical form.

    Parameters
    ----------
    table : DataFrame
        ``patient_id`` and a column per prediction: ``name`` is a risk (any numbers, larger =
        earlier event), ``name@24`` the probability of the event by month 24. Columns named as an
        outcome or the cohort are no risks, and refused. A model with probabilities and no column
        ``name`` has the probability at the horizon for its risk.
    patient_ids : collection of str
        Patients of the study.
    horizon : float
        Months; every model with probabilities has one there.
    columns : sequence of str, optional
        Columns to read; every one but ``patient_id`` by default.

    Returns
    -------
    ForeignRisks

    Raises
    ------
    InputError
        Lists every fault of the table with columns, patients and remedy.

    Examples
    --------
    >>> table = pd.DataFrame({"patient_id": ["a", "b"], "new": [1.5, 0.2], "old@24": [0.4, 0.3]})
    >>> risks = check_risks(table, patient_ids=["a", "b", "c"], horizon=24)
    >>> list(risks.risk.columns), risks.times.tolist(), risks.survival["old"].ravel().tolist()
    (['new', 'old'], [24.0], [0.6, 0.7])
    """
    faults = Faults()
    names = [str(name) for name in table.columns]
    if table.empty:
        faults.add("the table has no rows: give one row per patient")
    if "patient_id" not in names:
        hint = nearest_hint("patient_id", names)
        faults.add(f"column 'patient_id' is missing{hint}: name the patients in it")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        faults.add(f"columns share the name {name_rows(repeated)}: give each its own")
    wanted = [name for name in names if name != "patient_id"] if columns is None else [*columns]
    for name in wanted:
        if name not in names:
            hint = nearest_hint(name, names)
            faults.add(f"column '{name}' is missing{hint}: name a column of the table")
    outcomes = [name for name in wanted if name.strip().casefold() in _NOT_RISKS]
    if outcomes:
        faults.add(
            f"column '{name_rows(outcomes)}' is of the outcome or the study, and no risk: take it "
            "out, or name the columns to read (--columns)"
        )
    if not wanted:
        faults.add("there is no column but 'patient_id': add one for each risk")
    faults.raise_if_any()
    ids = _identifiers(table["patient_id"], patient_ids, faults)
    risks: dict[str, FloatArray] = {}
    chances: dict[str, dict[float, FloatArray]] = {}
    for name in dict.fromkeys(wanted):
        model, at, when = name.rpartition(AT)
        numbers = _numbers(table[name], name, ids, probability=bool(at), faults=faults)
        if not at:
            risks[name] = numbers
            continue
        time = _month(when)
        if not model.strip() or time is None:
            faults.add(
                f"column '{name}' is not a name, {AT} and a month: write, say, 'score{AT}24'"
            )
        elif time in chances.setdefault(model, {}):
            faults.add(f"column '{name}' gives a second probability at {time:g}: keep one")
        else:
            chances[model][time] = numbers
    faults.raise_if_any()
    times = sorted({time for given in chances.values() for time in given})
    survival: dict[str, FloatArray] = {}
    for model, given in chances.items():
        absent = [time for time in sorted({*times, horizon}) if time not in given]
        if absent:
            faults.add(
                f"column '{model}{AT}{absent[0]:g}' is missing: give the event probabilities of "
                f"every model at the same months, the horizon of {horizon:g} among them"
            )
            continue
        curves = np.column_stack([given[time] for time in times])
        falling = (np.diff(curves, axis=1) < 0).any(axis=1)
        if falling.any():
            faults.add(
                f"event probabilities of '{model}' fall with time for patient "
                f"{name_rows(ids[falling])}: a probability by a later month cannot be smaller"
            )
        survival[model] = 1.0 - curves
        risks.setdefault(model, given[horizon])
    for model, values in risks.items():
        if np.ptp(values) == 0:
            faults.add(f"the risk '{model}' is the same for every patient: it ranks nobody")
    faults.raise_if_any()
    order = np.argsort(ids.to_numpy(dtype=object), kind="stable")
    risk = pd.DataFrame(risks, index=pd.Index(ids, name="patient_id")).iloc[order]
    return ForeignRisks(
        risk,
        np.array(times, dtype=np.float64),
        {model: curves[order] for model, curves in survival.items()},
    )


def _identifiers(values: pd.Series, known: Collection[str], faults: Faults) -> pd.Series:
    labels = as_labels(values).reset_index(drop=True)
    missing = labels.isna()
    if missing.any():
        rows = name_rows(np.flatnonzero(missing) + 1)
        faults.add(f"column 'patient_id' is missing in data row {rows}: name every patient")
    twice = labels.duplicated(keep=False) & ~missing
    if twice.any():
        faults.add(
            f"column 'patient_id' names patient {name_rows(labels[twice])} more than once: "
            "keep one row per patient"
        )
    foreign = ~labels.isin(list(known)) & ~missing
    if foreign.any():
        faults.add(
            f"the study has no patient {name_rows(labels[foreign])}: correct the names, or leave "
            "these rows out"
        )
    return labels.where(~missing, [f"in row {row}" for row in range(1, len(labels) + 1)])


def _numbers(
    values: pd.Series, name: str, ids: pd.Series, *, probability: bool, faults: Faults
) -> FloatArray:
    numbers, unreadable = as_numbers(values)
    missing = np.isnan(numbers) & ~unreadable
    for wrong, what, remedy in (
        (unreadable, "is not numeric", "give numbers, or take the column out"),
        (missing, "is missing", "complete it, or leave these rows out"),
        (np.isinf(numbers), "is infinite", "give finite numbers"),
        (
            probability & ~((numbers >= 0) & (numbers <= 1)) & np.isfinite(numbers),
            "is no probability",
            "give values from 0 to 1",
        ),
    ):
        if wrong.any():
            faults.add(f"column '{name}' {what} for patient {name_rows(ids[wrong])}: {remedy}")
    return numbers


def _month(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) and value > 0 else None
