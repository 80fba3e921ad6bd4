"""Does the model predict the Kaplan-Meier curve it was fitted to? Replicated outcomes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from times_stats._checks import Faults, name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.nonparametric import StepCurve, kaplan_meier
from times_stats.nonparametric.risk_sets import divide, risk_sets
from times_stats.resampling import spawn_rng
from times_stats.survival.checks import training_values
from times_stats.survival.cohorts import cohort_baseline, draw_cohort
from times_stats.survival.hazard import baseline_cumulative_hazard
from times_stats.survival.prediction import check_times
from times_stats.survival.predictor import predictor_draws
from times_stats.survival.result import SurvivalFit

_CERTAIN = 700.0  # cumulative hazard of what must happen: no exponential draw comes near


def predictive_kaplan_meier(
    fit: SurvivalFit,
    *,
    times: ArrayLike,
    n_draws: int = 200,
    prob: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Compare the Kaplan-Meier curve of each cohort with those of outcomes the model predicts.

    For each draw of the posterior, every training patient gets an event time from its own survival
    curve, given that it was event-free at entry, and a censoring time; the same estimator is
    applied to these outcomes.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with its training data.
    times : array-like, shape (n_times,)
        Months, 0 or more.
    n_draws : int
        Replicated data sets, each from another draw of the posterior.
    prob : float
        Mass of the band at each time.
    seed : int
        Same seed, same replicates.

    Returns
    -------
    DataFrame
        Tidy: ``cohort``, ``time``, ``observed`` (Kaplan-Meier, with late entry where there is any),
        ``n_at_risk`` just before the time, and ``lower``, ``median``, ``upper`` of the replicates.
        Empty where nobody of the cohort is followed up to the time.

    Raises
    ------
    InputError
        If the fit did not converge or was saved without its training data; an argument is out of
        range; or events were found at scans. A Kaplan-Meier curve needs the times of events:
        middles or ends of intervals would bias the observed curve and not the replicated ones, and
        a replicate would need the visits that patients no longer made. Compare such models by
        `loo`.

    Notes
    -----
    Censoring is replicated, not left out: replicates that are all followed to the event have the
    same mean, but scatter less in the tail than a curve of few patients at risk does, and their
    band would be too narrow there. A patient who was censored keeps that time, which is known. For
    one with the event it is only known to be later: it is drawn from the reverse Kaplan-Meier curve
    of the cohort, given that it lies after the event. Follow-up that nobody's censoring ended
    stays open, and has no say up to the last time observed. Like the Kaplan-Meier curve itself,
    this takes censoring (and entry) to be unrelated to the outcome within a cohort.

    The band is pointwise. The data were used to fit and to check, so under a right model it covers
    the observed curve a little more often than `prob`; more so where evidence is uncertain or
    covariates are missing, as true values of the posterior know the outcome. Gelman et al. (2013),
    doi:10.1201/b16018, chapter 6.

    Examples
    --------
    >>> from times_stats.survival import predictive_kaplan_meier
    >>> predictive_kaplan_meier(fit, times=[0, 12, 24, 36])  # doctest: +SKIP
    """
    check_converged(fit)
    grid = check_times(times)
    n_samples = fit.posterior["posterior"].sizes["chain"] * fit.posterior["posterior"].sizes["draw"]
    faults = Faults()
    if not 1 < n_draws <= n_samples:
        faults.add(f"n_draws is {n_draws}: use 2 or more, up to the {n_samples} of the posterior")
    if not 0 < prob < 1:
        faults.add(f"prob is {prob}: use a number between 0 and 1")
    faults.raise_if_any()
    observed = check_seen_events(fit, "a Kaplan-Meier curve needs the times of events")
    thin = _thinned(fit, n_draws)
    posterior, values = thin.posterior["posterior"].to_dataset(), training_values(thin)
    parts = []
    for name, patients in observed.groupby("cohort", sort=True):
        rows = (observed["cohort"] == name).to_numpy()
        effects = draw_cohort(thin, posterior, str(name), stream="training")
        relative = predictor_draws(fit.spec, posterior, values[rows], effects)
        time, event, entry = (patients[key].to_numpy() for key in ("time", "event", "entry"))
        # Only the order of events against these times matters to the curve.
        nodes = np.unique(np.r_[0.0, grid[grid <= time.max()], time[event == 0], entry])
        hazard = baseline_cumulative_hazard(
            fit.baseline, cohort_baseline(posterior, effects), nodes
        )
        rng = spawn_rng(seed, "predictive check", str(name))
        replicates = np.array(
            [
                product_limit(*_replicate(nodes, *own, time, event, entry, rng), entry).at(grid)
                for own in zip(hazard, relative, strict=True)
            ]
        )
        followed = grid <= time.max()
        lower, median, upper = np.quantile(
            replicates, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=0
        )
        there = (entry[:, None] < grid) | (entry[:, None] == 0)
        part = {
            "observed": product_limit(time, event, entry).at(grid),
            "lower": lower,
            "median": median,
            "upper": upper,
        }
        parts.append(
            pd.DataFrame(
                {
                    "cohort": str(name),
                    "time": grid,
                    "n_at_risk": (there & (time[:, None] >= grid)).sum(axis=0),
                    **{key: np.where(followed, value, np.nan) for key, value in part.items()},
                }
            )
        )
    order = ["cohort", "time", "observed", "n_at_risk", "lower", "median", "upper"]
    return pd.concat(parts, ignore_index=True)[order]


def check_converged(fit: SurvivalFit) -> None:
    """Refuse a fit that failed its gate: nothing computed from its draws is a result.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.

    Raises
    ------
    InputError
        With the reasons of the gate.
    """
    if fit.diagnostics.status != "converged":
        raise InputError(
            f"the fit failed its convergence gate ({'; '.join(fit.diagnostics.reasons)}): "
            "fit it again with more draws before checking it"
        )


def check_seen_events(fit: SurvivalFit, why: str) -> pd.DataFrame:
    """Return the outcomes of the training patients, if no event was found at a scan.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with its training data.
    why : str
        What the events must have been seen for.

    Returns
    -------
    DataFrame
        By patient: ``time``, ``event``, ``entry`` (0 where there is none) and ``cohort``.

    Raises
    ------
    InputError
        If the training data are absent, or events were found at scans.
    """
    tree = fit.training_data()
    data = tree["observed_data"].to_dataset()
    patients = pd.Index(data["patient"].to_numpy().astype(str), name="patient_id")
    if "time_upper" in data:
        found = np.isfinite(data["time_upper"].to_numpy())
        if found.any():
            raise InputError(
                f"{why}, and those of patient {name_rows(patients[found])} were found at scans: "
                "compare such models by loo"
            )
    code = tree["constant_data"]["cohort_index"].to_numpy()
    entry = data["entry"].to_numpy() if "entry" in data else np.zeros(len(patients))
    return pd.DataFrame(
        {
            "time": data["time"].to_numpy().astype(np.float64),
            "event": data["event"].to_numpy().astype(np.int64),
            "entry": entry.astype(np.float64),
            "cohort": np.array(fit.cohorts)[code],
        },
        index=patients,
    )


def product_limit(time: FloatArray, event: IntArray, entry: FloatArray) -> StepCurve:
    r"""Estimate survival by the product limit, patients at risk from just after their entry.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Checked follow-up (months) and event indicator.
    entry : ndarray, shape (n,)
        Months at which follow-up began, 0 for all where nobody came late.

    Returns
    -------
    StepCurve
        :math:`\prod_{s \le t} 1 - d(s)/Y(s)` with :math:`Y(s)` the patients of
        :math:`\text{entry} < s \le \text{time}`. Where few are at risk early, an early event of all
        of them ends the curve at 0, whatever comes later.

    Notes
    -----
    Tsai, Jewell and Wang (1987), doi:10.1093/biomet/74.4.883. R ``survfit(Surv(entry, time,
    event) ~ 1)``.

    Examples
    --------
    >>> curve = product_limit(np.array([2.0, 3.0, 4.0]), np.array([1, 1, 0]), np.array([0, 0, 2.0]))
    >>> curve.at_risk.tolist(), curve.at([2, 3]).tolist()
    ([2.0, 2.0, 1.0], [0.5, 0.25])
    """
    if not (entry > 0).any():
        return kaplan_meier(time, event)
    times, at_risk, events, _ = risk_sets(time, event, np.ones(time.size), entry=entry)
    values = np.cumprod(1 - divide(events, at_risk))
    left = at_risk - events
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.where(events > 0, events / (at_risk * left), 0.0)
        se = np.where(values > 0, values * np.sqrt(np.cumsum(greenwood)), np.nan)
    return StepCurve(times, values, at_risk, events, se)


def _thinned(fit: SurvivalFit, n_draws: int) -> SurvivalFit:
    """Return the fit with draws spread evenly over all chains, as one chain."""
    tree = fit.posterior
    posterior = tree["posterior"].to_dataset()
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    rows = np.linspace(0, np.prod(shape) - 1, n_draws).round().astype(np.int64)
    chain, draw = (xr.DataArray(at, dims="sample") for at in np.unravel_index(rows, shape))
    some = (
        posterior.isel(chain=chain, draw=draw)
        .drop_vars(["chain", "draw"])
        .rename(sample="draw")
        .expand_dims("chain")
        .assign_coords(chain=[0], draw=np.arange(n_draws))
        .transpose("chain", "draw", ...)
    )
    groups = {
        name: child.to_dataset()
        for name, child in tree.children.items()
        if name in ("constant_data", "observed_data")
    }
    return dataclasses.replace(fit, posterior=xr.DataTree.from_dict({"posterior": some, **groups}))


def _replicate(
    nodes: FloatArray,
    hazard: FloatArray,
    relative: FloatArray,
    time: FloatArray,
    event: IntArray,
    entry: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, IntArray]:
    """Draw outcomes of a cohort, an event at the node that ends the stretch in which it falls."""
    start = np.searchsorted(nodes, entry)
    target = hazard[start] + rng.standard_exponential(time.size) * np.exp(-relative)
    reached = np.maximum(np.searchsorted(hazard, target), start + 1)
    event_time = np.r_[nodes, np.inf][reached]
    end = np.where(event == 0, time, _later_censoring(time, event, entry, rng))
    happened = np.isfinite(event_time) & (event_time <= end)
    return np.minimum(np.minimum(event_time, end), nodes[-1]), happened.astype(np.int64)


def _later_censoring(
    time: FloatArray, event: IntArray, entry: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw a censoring time at or after each follow-up time, from the reverse Kaplan-Meier curve.

    Hazards are summed from the follow-up time on; infinite where nobody's censoring ends it.
    """
    times, at_risk, events, censored = risk_sets(time, event, np.ones(time.size), entry=entry)
    share = divide(censored, at_risk - events)
    with np.errstate(divide="ignore"):
        steps = np.where(share < 1, -np.log1p(-np.minimum(share, 1.0)), _CERTAIN)
    total = np.cumsum(steps)
    before = np.searchsorted(times, time)
    target = np.r_[0.0, total][before] + rng.standard_exponential(time.size)
    return np.asarray(np.r_[times, np.inf][np.searchsorted(total, target)])
