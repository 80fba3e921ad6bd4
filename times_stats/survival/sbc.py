"""Simulation-based calibration: ranks of true values in the posteriors of simulated studies."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binom

from times_stats._typing import FloatArray
from times_stats.errors import ConvergenceWarning, InputError
from times_stats.resampling import spawn_rng
from times_stats.survival.checks import log_likelihood
from times_stats.survival.hazard import stacked
from times_stats.survival.prediction import predict_survival
from times_stats.survival.result import SurvivalFit
from times_stats.survival.sampling import CompiledSurvival, fit_survival
from times_stats.survival.simulated_studies import (
    TIME_SCALE,
    OutcomeKind,
    SimulatedStudy,
    new_patient,
    simulate_from_prior,
)
from times_stats.survival.spec import SurvivalSpec

N_RANKS = 100
"""Draws a truth is ranked among: ranks run from 0 to this."""

_LEAST_EVENTS = 5
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
    baseline are fixed, as the priors refer to them. Numbers among the covariates are standardised
    within the study, as a fit does; a tenth are missing where their missing values are modelled.
    Where the compiled model has room for uncertain evidence, all of it is: means of 3 to 9 tiles.

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
    if spec.chains * spec.draws < N_RANKS:
        raise InputError(f"{spec.chains * spec.draws} draws are fewer than {N_RANKS}: draw more")
    if kind not in ("right", "delayed", "interval"):
        raise InputError(f"kind is {kind!r}: use 'right', 'delayed' or 'interval'")
    rows = []
    for number in range(first, first + n_replicates):
        rng = spawn_rng(seed, "calibration", number)
        study = simulate_from_prior(
            spec, compiled, n_patients=n_patients, kind=kind, rng=rng, stream=(seed, number)
        )
        n_events = int(study.y["event"].sum())
        row: dict[str, object] = {"replicate": number, "n_events": n_events, "status": "left out"}
        if n_events >= _LEAST_EVENTS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fit = fit_survival(
                    spec,
                    study.evidence,
                    study.y,
                    cohort=study.cohort if compiled.n_cohorts > 1 else None,
                    covariates=study.covariates,
                    evidence_se=study.evidence_se,
                    n_tiles=study.n_tiles,
                    seed=int(rng.integers(2**31)),
                    compiled=compiled,
                    cores=cores,
                    baseline=study.baseline,
                )
            row |= {"status": fit.diagnostics.status, **_ranks(fit, study)}
        rows.append(row)
    return pd.DataFrame(rows)


def _ranks(fit: SurvivalFit, study: SimulatedStudy) -> dict[str, int]:
    """Rank of the truth among evenly thinned draws, for every quantity."""
    truth = study.truth
    groups = {name: child.to_dataset() for name, child in fit.posterior.children.items()}
    sizes = groups["posterior"].sizes
    at_truth = dataclasses.replace(
        fit, posterior=xr.DataTree.from_dict({**groups, "posterior": truth})
    )
    chosen = np.linspace(0, sizes["chain"] * sizes["draw"], N_RANKS, endpoint=False).astype(int)
    ranks = {}

    def add(name: str, drawn: FloatArray, true: FloatArray) -> None:
        ranks[name] = int((drawn[chosen] < true).sum())

    for name in (*_TRACKED, *(name for name in truth if str(name).startswith("steps_"))):
        if name not in truth:
            continue
        drawn, true = stacked(groups["posterior"], str(name)), stacked(truth, str(name))
        if drawn.ndim == 1:
            add(str(name), drawn, true[0])
            continue
        by_draw = drawn.reshape(len(drawn), -1)
        for k, value in enumerate(true.reshape(-1)[: by_draw.shape[1]]):
            add(f"{name} {k + 1}", by_draw[:, k], value)
    joint = [log_likelihood(each).sum("patient").to_numpy().ravel() for each in (fit, at_truth)]
    add("log_likelihood", joint[0], joint[1][0])
    alive = [
        predict_survival(each, times=[TIME_SCALE], **new_patient(fit)).to_numpy().ravel()
        for each in (fit, at_truth)
    ]
    add("survival of a new patient", alive[0], alive[1][0])
    return ranks


_TRACKED = (
    *("slope", "effect_scale", "beta", "intercept", "cohort_scale", "cohort_effect"),
    *("shape", "smoothness", "weight"),
    *("cohort_slope_scale", "cohort_slope", "cohort_shape_scale", "cohort_shape_effect"),
    *("covariate_effect", "covariate_cohort_scale", "covariate_cohort_effect"),
    *("evidence_mean", "evidence_sd"),
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
