"""Simulation-based calibration: ranks of true values in the posteriors of simulated studies."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binom

from times_stats._typing import FloatArray
from times_stats.errors import ConvergenceWarning, InputError
from times_stats.resampling import spawn_rng
from times_stats.survival.baseline import Baseline, log_hazard_terms
from times_stats.survival.checks import log_likelihood
from times_stats.survival.hazard import stacked
from times_stats.survival.prediction import predict_survival
from times_stats.survival.prior import draw_prior
from times_stats.survival.result import SurvivalFit
from times_stats.survival.sampling import CompiledSurvival, fit_survival
from times_stats.survival.spec import SurvivalSpec

type OutcomeKind = Literal["right", "delayed", "interval"]

N_RANKS = 100
"""Draws a truth is ranked among: ranks run from 0 to this."""

_TIME_SCALE, _LAST, _LOG_RATE = 24.0, 60.0, -0.5  # months, months, about 60 % of events by then
_CENSORED = (6.0, 72.0)  # months between which follow-up ends
_SCANS = 6.0  # months
_LATE = 0.3  # share of patients who enter late, within the first year
_LEAST_EVENTS = 5
_PATIENT = 0.5  # evidence of the new patient whose survival is ranked
_BISECTIONS = 60
_AT_ONCE = 1000  # simulated series of ranks
_BEYOND = 100  # of them that shall lie beyond the limit


def rank_truths(
    spec: SurvivalSpec,
    compiled: CompiledSurvival,
    *,
    n_replicates: int,
    n_patients: int = 100,
    kind: OutcomeKind = "right",
    first: int = 0,
    seed: int = 0,
    cores: int = 1,
) -> pd.DataFrame:
    """Draw truths from the prior, data from the truths, and rank each truth in its posterior.

    Ranks of a right posterior are uniform. Evidence is normal with sd 1/2, cohorts are equally
    likely, follow-up ends uniformly between 6 and 72 months, and scale, crude rate and knots of the
    baseline are fixed, as the priors refer to them.

    Parameters
    ----------
    spec : SurvivalSpec
        Model, priors that also generate, and sampler settings.
    compiled : CompiledSurvival
        From `compile_survival`: its columns and its number of cohorts are those of the study.
    n_replicates : int
        Studies.
    n_patients : int
        Patients of each.
    kind : {"right", "delayed", "interval"}
        ``delayed``: 30 % enter up to a year late, free of the event. ``interval``: events are found
        at scans every six months.
    first : int
        Number of the first study, to go on where an earlier call ended.
    seed : int
        With its number, the seed of a study.
    cores : int
        Chains run at the same time.

    Returns
    -------
    DataFrame
        One row per study: ``replicate``, ``n_events``, ``status`` (``converged``; ``failed`` the
        gate, ranked all the same; ``left out``, with fewer than five events, a rule that looks at
        the data only) and a column of ranks, 0 to 100, for each quantity: parameters, the joint log
        likelihood, and the survival at 24 months of a new patient.

    Raises
    ------
    InputError
        If a number is below 1, the kind is unknown, or `compiled` has no room for it.

    References
    ----------
    Talts et al. (2018), arXiv:1804.06788. Modrak et al. (2023), doi:10.1214/23-BA1404.

    Examples
    --------
    >>> compiled = compile_survival(spec, columns=columns)  # doctest: +SKIP
    >>> check_ranks(rank_truths(spec, compiled, n_replicates=500))  # doctest: +SKIP
    """
    if n_replicates < 1 or n_patients < 1:
        raise InputError("n_replicates and n_patients: use 1 or more")
    if kind not in ("right", "delayed", "interval"):
        raise InputError(f"kind is {kind!r}: use 'right', 'delayed' or 'interval'")
    if spec.chains * spec.draws < N_RANKS:
        raise InputError(f"{spec.chains * spec.draws} draws are fewer than {N_RANKS}: draw more")
    baseline = reference_baseline(spec)
    cohorts = tuple(f"cohort {number:05d}" for number in range(1, compiled.n_cohorts + 1))
    rows = []
    for number in range(first, first + n_replicates):
        rng = spawn_rng(seed, "calibration", number)
        truth = draw_prior(
            spec,
            columns=compiled.columns,
            baseline=baseline,
            cohorts=cohorts,
            n_draws=1,
            seed=int(rng.integers(2**31)),
        )
        evidence, cohort, y = _simulate(truth, baseline, compiled, cohorts, n_patients, kind, rng)
        n_events = int(y["event"].sum())
        row: dict[str, object] = {"replicate": number, "n_events": n_events, "status": "left out"}
        if n_events >= _LEAST_EVENTS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fit = fit_survival(
                    spec,
                    evidence,
                    y,
                    cohort=cohort if compiled.n_cohorts > 1 else None,
                    seed=int(rng.integers(2**31)),
                    compiled=compiled,
                    cores=cores,
                    baseline=baseline,
                )
            row |= {"status": fit.diagnostics.status, **_ranks(fit, truth)}
        rows.append(row)
    return pd.DataFrame(rows)


def reference_baseline(spec: SurvivalSpec) -> Baseline:
    """Return the scale, rate and evenly spaced knots that `rank_truths` simulates with.

    Parameters
    ----------
    spec : SurvivalSpec
        Form of the baseline.

    Returns
    -------
    Baseline

    Examples
    --------
    >>> reference_baseline(SurvivalSpec(baseline="piecewise", n_basis=3)).knots
    (0.0, 20.0, 40.0, 60.0)
    """
    knots = tuple(float(knot) for knot in np.linspace(0.0, _LAST, spec.n_knots))
    return Baseline(spec.baseline, _TIME_SCALE, _LOG_RATE, _LAST, knots)


def _simulate(
    truth: xr.Dataset,
    baseline: Baseline,
    compiled: CompiledSurvival,
    cohorts: tuple[str, ...],
    n: int,
    kind: OutcomeKind,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    index = pd.Index([f"p{number:05d}" for number in range(n)], name="patient_id")
    z = rng.normal(0.0, 0.5, (n, len(compiled.columns)))
    code = rng.integers(0, len(cohorts), n)
    code[: len(cohorts)] = np.arange(len(cohorts))[:n]  # every cohort has a patient
    eta = z @ stacked(truth, "beta")[0]
    if len(cohorts) > 1:
        eta = eta + stacked(truth, "cohort_effect")[0][code]
    relative = np.exp(eta + stacked(truth, "intercept")[0])
    entry = np.zeros(n)
    if kind == "delayed":
        entry = np.where(rng.random(n) < _LATE, rng.uniform(0.0, 12.0, n), 0.0)
    # One who entered late was free of the event until then.
    passed = _shape_integral(truth, baseline, entry)
    time = _invert(truth, baseline, passed + rng.exponential(size=n) / relative)
    time = np.maximum(time, np.nextafter(entry, np.inf))
    end = np.maximum(rng.uniform(*_CENSORED, n), entry + 1.0)
    if kind == "interval":
        end = _SCANS * np.floor(end / _SCANS)
    event = time <= end
    y = pd.DataFrame(
        {"time": np.where(event, time, end), "event": event.astype(np.int64)}, index=index
    )
    if kind == "delayed":
        y["entry"] = entry
    if kind == "interval":
        scan = np.maximum(np.ceil(time / _SCANS), 1.0)
        y["time_lower"] = np.where(event, _SCANS * (scan - 1.0), np.nan)
        y["time_upper"] = np.where(event, _SCANS * scan, np.nan)
        y["time"] = np.where(event, _SCANS * scan, end)
    evidence = pd.DataFrame(z, index=index, columns=compiled.columns)
    return evidence, pd.Series(np.array(cohorts)[code], index=index), y


def _shape_integral(truth: xr.Dataset, baseline: Baseline, times: FloatArray) -> FloatArray:
    """Cumulative hazard at intercept and eta 0."""
    if baseline.kind == "weibull":
        return np.asarray((times / baseline.time_scale) ** stacked(truth, "shape")[0])
    return np.asarray(log_hazard_terms(baseline, times)[1] @ stacked(truth, "weight")[0])


def _invert(truth: xr.Dataset, baseline: Baseline, target: FloatArray) -> FloatArray:
    """Return the times at which the cumulative hazard at intercept and eta 0 reaches the target."""
    if baseline.kind == "weibull":
        with np.errstate(over="ignore"):
            return np.asarray(baseline.time_scale * target ** (1 / stacked(truth, "shape")[0]))
    low, high = np.zeros(target.size), np.full(target.size, baseline.knots[-1])
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        below = _shape_integral(truth, baseline, middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    last = np.array([baseline.knots[-1]])
    beyond = target - _shape_integral(truth, baseline, last)
    rate = _shape_integral(truth, baseline, last + 1.0) - _shape_integral(truth, baseline, last)
    return np.where(beyond > 0, last + beyond / rate, high)


def _ranks(fit: SurvivalFit, truth: xr.Dataset) -> dict[str, int]:
    """Rank of the truth among evenly thinned draws, for every quantity."""
    groups = {name: child.to_dataset() for name, child in fit.posterior.children.items()}
    sizes = groups["posterior"].sizes
    at_truth = dataclasses.replace(
        fit, posterior=xr.DataTree.from_dict({**groups, "posterior": truth})
    )
    new = pd.DataFrame([[_PATIENT] * len(fit.columns)], index=["new"], columns=fit.columns)
    cohort = pd.Series([fit.cohorts[0]], index=["new"])
    chosen = np.linspace(0, sizes["chain"] * sizes["draw"], N_RANKS, endpoint=False).astype(int)
    ranks = {}

    def add(name: str, drawn: FloatArray, true: FloatArray) -> None:
        ranks[name] = int((drawn[chosen] < true).sum())

    for name in _TRACKED:
        if name not in truth:
            continue
        drawn, true = stacked(groups["posterior"], name), stacked(truth, name)
        if drawn.ndim == 1:
            add(name, drawn, true[0])
            continue
        for k in range(drawn.shape[1]):
            add(f"{name} {k + 1}", drawn[:, k], true[0, k])
    joint = [log_likelihood(each).sum("patient").to_numpy().ravel() for each in (fit, at_truth)]
    add("log_likelihood", joint[0], joint[1][0])
    alive = [
        predict_survival(each, new, times=[_TIME_SCALE], cohort=cohort).to_numpy().ravel()
        for each in (fit, at_truth)
    ]
    add("survival of a new patient", alive[0], alive[1][0])
    return ranks


_TRACKED = (
    *("slope", "effect_scale", "beta", "intercept", "cohort_scale", "cohort_effect"),
    *("shape", "smoothness", "weight"),
)


def ranks_by_quantity(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the ranks alone, of the studies that were not left out.

    Parameters
    ----------
    ranks : DataFrame
        From `rank_truths`.

    Returns
    -------
    DataFrame of int
        One row per study, one column per quantity.

    Raises
    ------
    InputError
        If there is no rank.

    Examples
    --------
    >>> ranks_by_quantity(pd.DataFrame({"status": ["converged", "left out"], "slope": [7, None]}))
       slope
    0      7
    """
    kept = ranks[ranks["status"] != "left out"]
    kept = kept.drop(columns=["replicate", "n_events", "status"], errors="ignore")
    if kept.empty:
        raise InputError("ranks hold no study: simulate some with rank_truths")
    return kept.astype(np.int64)


def check_ranks(
    ranks: pd.DataFrame, *, prob: float = 0.99, n_simulations: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Hold ranks against uniform ones, all quantities together.

    Parameters
    ----------
    ranks : DataFrame
        From `rank_truths`; studies that were left out do not count.
    prob : float
        Probability that every quantity of a right posterior lies inside.
    n_simulations : int, optional
        Simulated series of uniform ranks; as many that a hundred lie beyond the limit, if left out.
    seed : int
        Of these.

    Returns
    -------
    DataFrame
        By quantity: ``n``, ``deviation`` (largest difference between the empirical and the uniform
        distribution function), ``tail`` (smallest two-sided binomial tail probability along it),
        ``limit`` (below which the tail is too small) and ``inside``.

    Raises
    ------
    InputError
        If there is no rank, or `prob` is not between 0 and 1.

    Notes
    -----
    The simultaneous band of Sailynoja et al. (2022), doi:10.1007/s11222-022-10090-6, by simulation,
    at a level divided by the number of quantities.

    Examples
    --------
    >>> uniform = pd.DataFrame({"status": "converged", "slope": np.arange(101)})
    >>> bool(check_ranks(uniform, n_simulations=2000)["inside"].item())
    True
    >>> narrow = uniform.assign(slope=50 + uniform["slope"] // 10)
    >>> bool(check_ranks(narrow, n_simulations=2000)["inside"].item())
    False
    """
    if not 0 < prob < 1:
        raise InputError(f"prob is {prob}: use a number between 0 and 1")
    kept = ranks_by_quantity(ranks)
    names, n = list(kept.columns), len(kept)
    if n_simulations is None:
        n_simulations = int(np.ceil(_BEYOND * len(names) / (1 - prob)))
    rng, table = spawn_rng(seed, "uniform ranks"), _tail_table(n)
    tails = np.concatenate(
        [
            _smallest_tail(
                rng.integers(0, N_RANKS + 1, (min(_AT_ONCE, n_simulations - k), n)), table
            )
            for k in range(0, n_simulations, _AT_ONCE)
        ]
    )
    limit = float(np.quantile(tails, (1 - prob) / len(names)))
    values = kept.to_numpy().T
    found = _smallest_tail(values, table)
    uniform = np.arange(1, N_RANKS + 2) / (N_RANKS + 1)
    deviation = [float(np.abs(_below(row[None])[0] / n - uniform).max()) for row in values]
    return pd.DataFrame(
        {
            "quantity": names,
            "n": n,
            "deviation": deviation,
            "tail": found,
            "limit": limit,
            "inside": found >= limit,
        }
    )


def _below(series: np.ndarray) -> np.ndarray:
    """Count the ranks at or below each value, for each series."""
    shape = (len(series), N_RANKS + 1)
    flat = series + shape[1] * np.arange(len(series))[:, None]
    counts = np.bincount(flat.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    return np.asarray(np.cumsum(counts, axis=1))


def _tail_table(n: int) -> FloatArray:
    """Two-sided binomial tail of every count at every value but the last, shape (n + 1, 100)."""
    probability = np.arange(1, N_RANKS + 1) / (N_RANKS + 1)
    counts = np.arange(n + 1)[:, None]
    lower, upper = binom.cdf(counts, n, probability), binom.sf(counts - 1, n, probability)
    return np.asarray(2 * np.minimum(lower, upper))


def _smallest_tail(series: np.ndarray, table: FloatArray) -> FloatArray:
    """Smallest tail along the distribution function of each series."""
    return np.asarray(table[_below(series)[:, :-1], np.arange(N_RANKS)].min(axis=1))
