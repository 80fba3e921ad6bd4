"""Cumulative incidence where another event can come first: two cause-specific models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.survival.hazard import baseline_cumulative_hazard
from times_stats.survival.prediction import check_times, linear_predictor
from times_stats.survival.result import SurvivalFit

_CELLS = 400  # of the time axis, narrower towards 0, where a Weibull hazard may be infinite


def predict_cumulative_incidence(
    fit: SurvivalFit,
    competing: SurvivalFit,
    new: pd.DataFrame,
    *,
    times: ArrayLike,
    cohort: pd.Series | None = None,
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
    new : DataFrame, patients x (marker, region)
        Evidence, the same for both models.
    times : array-like, shape (n_times,)
        Months, 0 or more.
    cohort : Series, optional
        See `linear_predictor`.

    Returns
    -------
    DataArray
        Dims ``sample, patient, time``; coordinate ``extrapolated`` as in `predict_survival`, by
        the model that ends earlier. Samples beyond those of the smaller posterior are left out.

    Raises
    ------
    InputError
        If columns or patients do not fit, or a time is negative or not finite.

    Notes
    -----
    The likelihood factorises over causes, so draws of the two fits may be paired as they come. The
    integral is a sum over 400 cells of the time axis, cut at the times asked for, in each of which
    the share of the event among all events is that of the cumulative hazards: the incidences of
    both causes and the survival from both add up to 1 exactly. Prentice et al. (1978),
    doi:10.2307/2530374.

    Examples
    --------
    >>> from times_stats.survival import predict_cumulative_incidence
    >>> predict_cumulative_incidence(recurrence, death, new, times=[24.0])  # doctest: +SKIP
    """
    grid = check_times(times)
    last = float(grid.max(initial=0.0))
    edges = np.union1d(last * np.linspace(0.0, 1.0, _CELLS + 1) ** 2, grid)
    hazards = [_hazards(each, new, edges, cohort) for each in (fit, competing)]
    n = min(hazard[0].shape[0] for hazard in hazards)
    patients = np.array(new.index.astype(str), dtype=str)
    found = np.empty((n, len(patients), grid.size))
    position = np.searchsorted(edges, grid)
    for row in range(len(patients)):
        own, other = (relative[:n, row, None] * base[:n] for relative, base in hazards)
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
    )


def _hazards(
    fit: SurvivalFit, new: pd.DataFrame, times: FloatArray, cohort: pd.Series | None
) -> tuple[FloatArray, FloatArray]:
    """Relative hazard of each patient, and the cumulative hazard at evidence 0, by draw."""
    if not len(new):
        raise InputError("the evidence holds no patient: give one at least")
    relative = np.exp(linear_predictor(fit, new, cohort=cohort).to_numpy())
    posterior = fit.posterior["posterior"].to_dataset()
    return relative, baseline_cumulative_hazard(fit.baseline, posterior, times)
