"""Cumulative incidence where another event can come first: two cause-specific models."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.survival.cohorts import UnknownCohort
from times_stats.survival.hazard import baseline_cumulative_hazard
from times_stats.survival.outcomes import HIDDEN
from times_stats.survival.patients import PatientDraws, draw_patients, read_patients
from times_stats.survival.prediction import check_times
from times_stats.survival.result import SurvivalFit

_CELLS = 400  # between two times; narrower towards 0, where a Weibull hazard may be infinite
_LARGEST = 1e300  # cumulative hazard: nobody is left long before


def predict_cumulative_incidence(
    fit: SurvivalFit,
    competing: SurvivalFit,
    new: pd.DataFrame | None,
    *,
    times: ArrayLike,
    cohort: pd.Series | None = None,
    covariates: pd.DataFrame | None = None,
    unknown_cohort: UnknownCohort = "integrated",
) -> xr.DataArray:
    r"""Draw the probability of the event by each time, where a competing event may prevent it.

    .. math::

        F(t) = \int_0^t h(u)\, \exp\{-H(u) - H^*(u)\}\, du

    with the cause-specific hazards :math:`h` of the event and :math:`h^*` of the competing one.
    One minus the survival curve of the event alone would count events that patients no longer
    alive would have had.

    Parameters
    ----------
    fit : SurvivalFit
        Model of the event: fitted with ``event`` 1 where it happened, and patients censored at the
        competing event.
    competing : SurvivalFit
        Model of the competing event, fitted to the same patients the other way round.
    new : DataFrame, patients x (marker, region), or None
        Evidence, the same for both models; None for models of covariates alone.
    times : array-like, shape (n_times,)
        Months, 0 or more.
    cohort, covariates, unknown_cohort
        See `linear_predictor`.

    Returns
    -------
    DataArray
        Dims ``sample, patient, time``; coordinate ``extrapolated`` as in `predict_survival`, by
        the model that ends earlier. Samples beyond those of the smaller posterior are left out.
        Attribute ``n_filled`` counts missing evidence, which became 0.

    Raises
    ------
    InputError
        If columns or patients do not fit, or a time is negative or not finite; if a model holds
        events found at scans; if the models are of different patients, or a patient has the event
        in both.

    Notes
    -----
    The likelihood factorises over causes, so draws of the two fits may be paired as they come; the
    effects of an unknown cohort are drawn apart for both. The integral is a sum over 400 cells
    between each two of the times asked for, in each of which the share of the event among all
    events is that of the cumulative hazards: the incidences of both causes and the survival from
    both add up to 1 exactly. Prentice et al. (1978),
    doi:10.2307/2530374.

    Examples
    --------
    >>> from times_stats.survival import predict_cumulative_incidence
    >>> predict_cumulative_incidence(recurrence, death, new, times=[24.0])  # doctest: +SKIP
    """
    grid = check_times(times)
    _check_causes(fit, competing)
    edges = _cells(grid)
    drawn = [
        draw_patients(
            each,
            read_patients(
                each, new, cohort=cohort, covariates=covariates, unknown_cohort=unknown_cohort
            ),
            stream=stream,
        )
        for each, stream in ((fit, "unknown cohort"), (competing, "unknown cohort, competing"))
    ]
    if not len(drawn[0].names):
        raise InputError("the tables hold no patient: give one at least")
    n = min(len(each.eta) for each in drawn)
    patients = drawn[0].names
    bases = [_bases(each, by, edges) for each, by in zip((fit, competing), drawn, strict=True)]
    found = np.empty((n, len(patients), grid.size))
    position = np.searchsorted(edges, grid)
    for row in range(len(patients)):
        with np.errstate(over="ignore"):
            own, other = (
                np.minimum(
                    np.minimum(np.exp(by.eta[:n, row, None]), _LARGEST) * base[row][:n], _LARGEST
                )
                for by, base in zip(drawn, bases, strict=True)
            )
        more, all_more = np.diff(own, axis=1), np.diff(own + other, axis=1)
        survival = np.exp(-(own + other))
        share = np.divide(more, all_more, out=np.zeros_like(more), where=all_more > 0)
        steps = share * (survival[:, :-1] - survival[:, 1:])
        total = np.concatenate([np.zeros((n, 1)), np.cumsum(steps, axis=1)], axis=1)
        found[:, row] = total[:, position]
    seen = min(fit.baseline.last_event, competing.baseline.last_event)
    return xr.DataArray(
        found,
        dims=("sample", "patient", "time"),
        coords={"patient": patients, "time": grid, "extrapolated": ("time", grid > seen)},
        name="cumulative_incidence",
        attrs={"n_filled": drawn[0].n_filled, "n_drawn": drawn[0].n_drawn},
    )


def _check_causes(fit: SurvivalFit, competing: SurvivalFit) -> None:
    """Refuse fits that cannot be two causes of the same patients, as far as data are there."""
    found = [
        each.posterior["observed_data"].to_dataset()
        for each in (fit, competing)
        if "observed_data" in each.posterior.children
    ]
    for data in found:
        if "time_upper" in data and np.isfinite(data["time_upper"].to_numpy()).any():
            raise InputError(f"a model holds events found at scans: {HIDDEN}")
    if len(found) < 2:
        return
    names = [set(data["patient"].to_numpy().tolist()) for data in found]
    if names[0] != names[1]:
        raise InputError("the models were fitted to different patients: fit both to the same ones")
    first, second = (
        set(data["patient"].to_numpy()[data["event"].to_numpy() == 1].tolist()) for data in found
    )
    if first & second:
        raise InputError(
            f"patient {name_rows(sorted(first & second))} has the event in both models: censor "
            "each at the other cause"
        )


def _cells(times: FloatArray) -> FloatArray:
    """Edges of 400 cells before the first time asked for, and between each two."""
    limits = np.unique(np.concatenate([[0.0], times]))
    parts = [limits[:1]]
    for number, (low, high) in enumerate(itertools.pairwise(limits)):
        step = np.linspace(0.0, 1.0, _CELLS + 1)[1:] ** (2 if number == 0 else 1)
        part = low + (high - low) * step
        part[-1] = high
        parts.append(part)
    return np.concatenate(parts)


def _bases(fit: SurvivalFit, drawn: PatientDraws, times: FloatArray) -> list[FloatArray]:
    """Cumulative hazard at linear predictor 0 for each patient, by draw; cohorts share theirs."""
    found = [np.empty(0)] * len(drawn.names)
    for rows, posterior in drawn.groups:
        with np.errstate(over="ignore", invalid="ignore"):
            base = baseline_cumulative_hazard(fit.baseline, posterior, times)
        # A level beyond all numbers times nothing, at time 0, is nothing.
        base = np.nan_to_num(base, nan=0.0, posinf=_LARGEST)
        for row in np.flatnonzero(rows):
            found[row] = base
    return found
