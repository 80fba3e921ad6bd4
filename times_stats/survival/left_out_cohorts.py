"""Leave-one-cohort-out: a model judged where it was not made, before and after updating it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pandas as pd

from times_stats._checks import as_survival_table, name_rows
from times_stats.errors import ConvergenceWarning, InputError
from times_stats.evaluation.calibration import calibration_in_the_large, calibration_slope
from times_stats.evaluation.discrimination import concordance_harrell
from times_stats.resampling import spawn_rng
from times_stats.survival.inputs import read_labels
from times_stats.survival.prediction import linear_predictor, predict_survival
from times_stats.survival.result import SurvivalFit
from times_stats.survival.sampling import CompiledSurvival, compile_survival, fit_survival
from times_stats.survival.spec import SurvivalSpec
from times_stats.survival.updating import update_cohort

UPDATED = "its own, re-estimated"


@dataclass(frozen=True, slots=True, eq=False)
class LeftOutCohorts:
    """Fits without each cohort in turn, and how they predicted it.

    Parameters
    ----------
    table : DataFrame
        One row per cohort and ``baseline``: "integrated" over cohorts, or "re-estimated" from the
        cohort's first events. ``n``, ``events`` (of the patients judged, the same in both rows),
        ``n_update``, ``events_update`` (of the patients the baseline was re-estimated on),
        ``concordance`` (Harrell's C within the cohort), ``calibration_in_the_large`` (observed less
        predicted probability of the event by the horizon), ``calibration_slope``, and ``status`` of
        the fit.
    fits : dict of str to SurvivalFit
        Fit without the cohort, by its name.
    """

    table: pd.DataFrame
    fits: dict[str, SurvivalFit]


def leave_one_cohort_out(
    spec: SurvivalSpec,
    evidence: pd.DataFrame | None,
    y: pd.DataFrame,
    *,
    cohort: pd.Series,
    horizon: float,
    covariates: pd.DataFrame | None = None,
    n_update_events: int = 30,
    seed: int = 0,
    compiled: CompiledSurvival | None = None,
    cores: int = 1,
) -> LeftOutCohorts:
    """Fit without each cohort in turn, and judge the predictions for its patients.

    The left-out cohort is first one the model does not know, with its effects integrated out. Then
    its level, and whatever else is a cohort's own, is re-estimated from some of its patients
    (`update_cohort`): `n_update_events` patients with the event, and patients without it in the
    proportion of the cohort, at random. Both predictions are judged on its other patients.

    Parameters
    ----------
    spec : SurvivalSpec
        Model.
    evidence : DataFrame or None
        Evidence; None for a model of covariates alone. One table serves all left-out cohorts, so
        evidence that was learned from outcomes has seen those of the cohort it shall predict: the
        result is then no performance of a score. It is one of covariates, of evidence learned
        elsewhere, and of untrained regional values.
    y : DataFrame
        Right-censored outcome of all patients.
    cohort : Series
        Cohort by patient, three or more: what one cohort is fitted to knows no other.
    horizon : float
        Months at which calibration is judged.
    covariates : DataFrame, optional
        Covariates of the specification.
    n_update_events : int
        Events to re-estimate a cohort's baseline on.
    seed : int
        Same seed, same result.
    compiled : CompiledSurvival, optional
        From `compile_survival`, with room for all cohorts but one; compiled once if left out.
    cores : int
        Chains run at the same time.

    Returns
    -------
    LeftOutCohorts

    Raises
    ------
    InputError
        If there are fewer than three cohorts; the outcome is not right-censored from time zero; a
        cohort has fewer than twice `n_update_events` events; or tables do not fit.

    Examples
    --------
    >>> from times_stats.survival import leave_one_cohort_out
    >>> found = leave_one_cohort_out(spec, z, y, cohort=cohort, horizon=24.0)  # doctest: +SKIP
    >>> found.table[["cohort", "baseline", "concordance"]]  # doctest: +SKIP
    """
    for name in ("entry", "time_lower", "time_upper", "cause"):
        if name in y:
            raise InputError(f"the outcome has '{name}', which C and calibration here do not know")
    if n_update_events < 1:
        raise InputError(f"n_update_events is {n_update_events}: use 1 or more")
    as_survival_table(y)
    labels = read_labels(y.index, cohort)
    if labels.isna().any():
        without = name_rows(labels.index[labels.isna()])
        raise InputError(f"cohort is missing for patient {without}: name one for each")
    for what, table in (("evidence", evidence), ("covariates", covariates)):
        absent = y.index if table is None else y.index.difference(table.index)
        if table is not None and len(absent):
            raise InputError(f"{what} has no row for patient {name_rows(absent)}: give one each")
    names = sorted(labels.unique())
    if len(names) < 3:
        raise InputError(
            f"there are {len(names)} cohorts: with fewer than three, a fit without one of them "
            "learns nothing of how cohorts differ"
        )
    events = y["event"].groupby(labels).sum()
    few = events.index[events < 2 * n_update_events]
    if len(few):
        raise InputError(
            f"cohort {name_rows(few)} has fewer than {2 * n_update_events} events: use a smaller "
            "n_update_events, or merge cohorts"
        )
    if compiled is None:
        compiled = compile_survival(
            spec,
            columns=None if evidence is None else evidence.columns,
            n_cohorts=len(names) - 1,
            n_missing=0 if covariates is None else int(covariates.isna().to_numpy().sum()),
        )
    rows, fits = [], {}
    for name in names:
        others, own = y.index[labels != name], y.index[labels == name]

        def some(table: pd.DataFrame | None, chosen: pd.Index) -> pd.DataFrame | None:
            return None if table is None else table.loc[chosen]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # its status stands in the table
            fit = fit_survival(
                spec,
                some(evidence, others),
                y.loc[others],
                cohort=labels.loc[others],
                covariates=some(covariates, others),
                seed=seed,
                compiled=compiled,
                cores=cores,
            )
        fits[name] = fit
        first, later = _split(y.loc[own, "event"], n_update_events, seed, name)
        updated = update_cohort(
            fit,
            some(evidence, first),
            y.loc[first],
            name=UPDATED,
            covariates=some(covariates, first),
            seed=seed,
        )
        for baseline, each, label in (
            ("integrated", fit, None),
            ("re-estimated", updated, UPDATED),
        ):
            judged = _judge(
                each,
                some(evidence, later),
                y.loc[later],
                cohort=pd.Series(label, index=later, dtype=object),
                covariates=some(covariates, later),
                horizon=horizon,
            )
            rows.append(
                {
                    "cohort": name,
                    "baseline": baseline,
                    "n": len(later),
                    "events": int(y.loc[later, "event"].sum()),
                    "n_update": len(first),
                    "events_update": int(y.loc[first, "event"].sum()),
                    **judged,
                    "status": fit.diagnostics.status,
                }
            )
    return LeftOutCohorts(pd.DataFrame(rows), fits)


def _split(event: pd.Series, n_events: int, seed: int, name: str) -> tuple[pd.Index, pd.Index]:
    """Patients with and without the event at random, in the proportion of the cohort, and others.

    Drawn until the last event wanted, they would hold too many events for their number.
    """
    ordered, rng = event.sort_index(), spawn_rng(seed, "update on", name)
    with_event, without = ordered.index[ordered == 1], ordered.index[ordered == 0]
    n_without = round(n_events * len(without) / len(with_event))
    first = rng.permutation(len(with_event))[:n_events]
    more = rng.permutation(len(without))[:n_without]
    chosen = with_event[first].append(without[more])
    return chosen, ordered.index.difference(chosen)


def _judge(
    fit: SurvivalFit,
    evidence: pd.DataFrame | None,
    y: pd.DataFrame,
    *,
    cohort: pd.Series,
    covariates: pd.DataFrame | None,
    horizon: float,
) -> dict[str, float]:
    eta = linear_predictor(fit, evidence, cohort=cohort, covariates=covariates)
    alive = predict_survival(fit, evidence, times=[horizon], cohort=cohort, covariates=covariates)
    risk = eta.mean("sample").to_numpy()
    time, event = y["time"].to_numpy(), y["event"].to_numpy()
    return {
        "concordance": concordance_harrell(time, event, risk),
        "calibration_in_the_large": calibration_in_the_large(
            time, event, alive.mean("sample").to_numpy()[:, 0], horizon=horizon
        ),
        "calibration_slope": calibration_slope(time, event, risk),
    }
