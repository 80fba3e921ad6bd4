"""Did the chains converge? The gate every fit passes, or fails as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import arviz as az
import numpy as np
import xarray as xr

from times_stats._typing import FloatArray
from times_stats.survival.spec import SurvivalSpec


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Outcome of the convergence gate.

    Parameters
    ----------
    status : {"converged", "failed"}
        A failed fit must not be reported as a result.
    max_rhat : float
        Largest rank-normalised split R-hat of any quantity of the posterior.
    min_ess : float
        Smallest effective sample size, bulk or tail, of any quantity.
    divergences : int
        Divergent transitions among the kept draws.
    reasons : tuple of str
        Why the gate was not passed, one sentence each.

    Examples
    --------
    >>> Diagnostics("failed", 1.2, 30.0, 0, ("R-hat of slope is 1.200, not below 1.01",)).status
    'failed'
    """

    status: Literal["converged", "failed"]
    max_rhat: float
    min_ess: float
    divergences: int
    reasons: tuple[str, ...] = ()


def diagnose(posterior: xr.Dataset, diverging: FloatArray, spec: SurvivalSpec) -> Diagnostics:
    """Hold a posterior against the gate of its specification.

    Parameters
    ----------
    posterior : Dataset
        Quantities with dims chain, draw and others. `fit_survival` hands in all but the single
        effects: results are made from their sums, the slopes, and from their scales.
    diverging : ndarray of bool, shape (n_chains, n_draws)
        Divergent transitions.
    spec : SurvivalSpec
        `max_rhat`, `min_ess` and `max_divergent`.

    Returns
    -------
    Diagnostics
        R-hat and effective sample sizes of Vehtari et al. (2021), doi:10.1214/20-BA1221. A value
        that cannot be computed (too few draws, a constant) fails.
    """
    reasons = []
    rhat_name, max_rhat = _worst(az.rhat(posterior), largest=True)
    if not max_rhat < spec.max_rhat:
        reasons.append(f"R-hat of {rhat_name} is {max_rhat:.3f}, not below {spec.max_rhat:g}")
    sizes = []
    for method in ("bulk", "tail"):
        name, size = _worst(az.ess(posterior, method=method), largest=False)
        sizes.append(size)
        if not size >= spec.min_ess:
            reasons.append(f"{method} ESS of {name} is {size:.0f}, below {spec.min_ess:g}")
    divergences = int(np.sum(diverging))
    if divergences > spec.max_divergent * np.size(diverging):
        reasons.append(
            f"{divergences} of {np.size(diverging)} draws diverged, "
            f"more than {spec.max_divergent:.1%}"
        )
    return Diagnostics(
        status="failed" if reasons else "converged",
        max_rhat=max_rhat,
        min_ess=float(np.min(sizes)),
        divergences=divergences,
        reasons=tuple(reasons),
    )


def _worst(values: Any, *, largest: bool) -> tuple[str, float]:
    """Name and value of the worst entry; one that is not a number is worst of all."""
    worst_name, worst = "", -np.inf if largest else np.inf
    for name, array in values.data_vars.items():
        flat = np.asarray(array, dtype=np.float64).ravel()
        if np.isnan(flat).any():
            return str(name), float("nan")
        found = float(flat.max() if largest else flat.min())
        if (found > worst) if largest else (found < worst):
            worst_name, worst = str(name), found
    return worst_name, worst
