"""The differences of a comparison within subgroups, and whether the subgroups differ in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import Faults, as_survival_table, check_same_patients
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import InputError
from times_stats.evaluation.comparison import (
    Prediction,
    check_level,
    check_names,
    check_predictions,
    draw_metrics,
    find_horizon,
    tabulate_models,
)
from times_stats.evaluation.inputs import check_times

_MOST_LEVELS = 10


def compare_subgroups(
    outcome: pd.DataFrame,
    predictions: Sequence[Prediction],
    subgroups: pd.DataFrame,
    *,
    references: Sequence[str],
    times: ArrayLike,
    horizon: float,
    strata: ArrayLike | None = None,
    least_events: int = 10,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare predictions within each level of each subgroup variable.

    Parameters
    ----------
    outcome : DataFrame
        Outcome with the columns ``time`` (months) and ``event``, one row per patient. With
        ``cause`` the measures are those for competing events, as in `compare`.
    predictions : sequence of Prediction
        Models, patients in the order of `outcome`.
    subgroups : DataFrame, shape (n, n_variables)
        Labels, patients in the order of `outcome`; a missing label is in no subgroup. Cut numbers
        into groups first, at limits chosen before looking.
    references : sequence of str
        Models to subtract from every other model.
    times : array-like, shape (n_times,)
        Evaluation times (months) of the survival predictions; must hold `horizon`.
    horizon : float
        Landmark (months).
    strata : array-like, shape (n,), optional
        Strata of the censoring distribution, which is estimated within each subgroup.
    least_events : int
        Events below which a subgroup is listed and not evaluated.
    n_resamples : int
        Bootstrap resamples of each subgroup.
    confidence_level : float
        Level of the intervals.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    DataFrame
        Tidy: ``variable``, ``level``, then the columns of `compare`, ``p_heterogeneity`` (of the
        levels of a variable, for one difference and metric; NaN for a model alone and where fewer
        than two levels are evaluated) and ``reason``: why a subgroup was not evaluated, in a row
        without model.

    Raises
    ------
    InputError
        If inputs are not valid, an argument is not, or a variable has more than ten levels.

    Notes
    -----
    Cochran's Q, ``sum_l (d_l - d)^2 / s_l^2`` with d the mean weighted by ``1 / s_l^2``, against
    chi-squared with one degree of freedom less than levels: Cochran (1954), doi:10.2307/3001666.
    Subgroups share no patient, so their differences are independent, given the models. A difference
    that is significant in one subgroup and not in another says nothing: look at the heterogeneity,
    and count how many variables were looked at. Nothing here is adjusted for that.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> hazard = rng.normal(size=80)
    >>> outcome = pd.DataFrame({"time": rng.exponential(np.exp(-hazard)), "event": 1})
    >>> models = [Prediction("stage", (hazard > 0)[None] * 1.0), Prediction("new", hazard[None])]
    >>> sex = pd.DataFrame({"sex": ["female", "male"] * 40})
    >>> table = compare_subgroups(outcome, models, sex, references=["stage"], times=[0.5],
    ...                           horizon=0.5, n_resamples=50, rng=rng)
    >>> new = table[(table["reference"] == "stage") & (table["metric"] == "concordance_harrell")]
    >>> new[["level", "n"]].to_numpy().tolist(), bool((new["estimate"] > 0).all())
    ([['female', 40], ['male', 40]], True)
    """
    check_level(confidence_level)
    table = as_survival_table(outcome)
    _check_variables(subgroups, len(table))
    check_same_patients(subgroups, table.index, name="subgroups")
    check_same_patients(strata, table.index, name="strata")
    labels = None if strata is None else np.asarray(strata)
    _check_lengths(predictions, labels, len(table))
    # A wrong argument is an error here; inside the loop it would become every subgroup's reason.
    grid = check_times(times)
    find_horizon(grid, horizon)
    check_names(check_predictions(predictions, table.index, grid.size), references, None)
    if n_resamples < 1:
        raise InputError(f"n_resamples is {n_resamples}: give 1 or more")
    parts: list[pd.DataFrame] = []
    for variable in subgroups.columns:
        values = subgroups[variable]
        for level in sorted(values.dropna().unique(), key=str):
            member = (values == level).fillna(False).to_numpy(dtype=bool)
            n, events = int(member.sum()), int(table["event"].to_numpy()[member].sum())
            if events < least_events:
                reason = f"{events} events of {n} patients, fewer than {least_events}"
                parts.append(_unevaluated(reason, n, events))
            else:
                try:
                    drawn = draw_metrics(
                        table.loc[member],
                        [_of(model, member) for model in predictions],
                        times=times,
                        horizon=horizon,
                        references=references,
                        strata=None if labels is None else labels[member],
                        n_resamples=n_resamples,
                        rng=rng,
                    )
                except InputError as error:
                    parts.append(_unevaluated(error.faults[0], n, events))
                else:
                    found = tabulate_models(
                        drawn, references=references, confidence_level=confidence_level
                    )
                    parts.append(found[found["estimate"].notna()].assign(reason=""))
            parts[-1].insert(0, "variable", str(variable))
            parts[-1].insert(1, "level", str(level))
    result = pd.concat(parts, ignore_index=True)
    last = result.pop("reason")
    return result.assign(p_heterogeneity=_heterogeneity(result), reason=last)


def _check_lengths(predictions: Sequence[Prediction], strata: ArrayLike | None, n: int) -> None:
    """Refuse arrays that cannot be split by patient; `compare` checks the rest."""
    faults = Faults()
    for model in predictions:
        for name in ("risk", "survival", "linear_predictor"):
            part = getattr(model, name)
            if part is not None and (np.ndim(part) < 2 or np.shape(part)[1] != n):
                faults.add(
                    f"{name} of model '{model.name}' has shape {np.shape(part)}: give (n_repeats, "
                    f"{n}, ...)"
                )
    if strata is not None and np.shape(strata) != (n,):
        faults.add(f"strata have shape {np.shape(strata)}: give one for each of {n} patients")
    faults.raise_if_any()


def _of(model: Prediction, member: BoolArray) -> Prediction:
    risk, survival, predictor = (
        None if part is None else np.asarray(part)[:, member]
        for part in (model.risk, model.survival, model.linear_predictor)
    )
    if risk is None:
        raise AssertionError("a prediction has a risk")
    return Prediction(model.name, risk, survival, predictor)


def _unevaluated(reason: str, n: int, events: int) -> pd.DataFrame:
    row = {"model": "", "reference": "", "metric": ""}
    numbers = dict.fromkeys(("estimate", "lower", "upper", "se"), np.nan)
    return pd.DataFrame([{**row, **numbers, "n": n, "events": events, "reason": reason}])


def _heterogeneity(table: pd.DataFrame) -> FloatArray:
    """Return the p-value of Cochran's Q over the levels of each variable, for each row."""
    from scipy.stats import chi2

    p_values = np.full(len(table), np.nan)
    usable = table[(table["reference"] != "") & (table["se"] > 0)]
    for _, rows in usable.groupby(["variable", "model", "reference", "metric"]):
        if len(rows) < 2:
            continue
        precision = 1 / rows["se"].to_numpy() ** 2
        difference = rows["estimate"].to_numpy()
        centre = precision @ difference / precision.sum()
        q = precision @ (difference - centre) ** 2
        p_values[rows.index] = chi2.sf(q, len(rows) - 1)
    return p_values


def _check_variables(subgroups: pd.DataFrame, n: int) -> None:
    faults = Faults()
    if repeated := sorted({*subgroups.columns[subgroups.columns.duplicated()].astype(str)}):
        faults.add(f"subgroup variables share the name {', '.join(repeated)}: give each its own")
        faults.raise_if_any()
    if len(subgroups) != n:
        faults.add(f"subgroups have {len(subgroups)} rows and the outcome {n}: give as many")
    if not len(subgroups.columns):
        faults.add("subgroups have no column: give one for each variable")
    for variable in subgroups.columns:
        n_levels = subgroups[variable].nunique()
        if n_levels == 0:
            faults.add(f"subgroup variable '{variable}' has no value: leave it out")
        elif n_levels > _MOST_LEVELS:
            faults.add(
                f"subgroup variable '{variable}' has {n_levels} values: cut it into groups, "
                f"{_MOST_LEVELS} at most"
            )
    faults.raise_if_any()
