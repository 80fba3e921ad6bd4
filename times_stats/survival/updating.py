"""A new cohort's own effects from its first events; everything else stays as it was learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

from times_stats._checks import name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng
from times_stats.survival.checks import pointwise_log_likelihood
from times_stats.survival.cohorts import CohortDraws, cohort_baseline
from times_stats.survival.hazard import stacked
from times_stats.survival.outcomes import SurvivalOutcome, read_outcome
from times_stats.survival.patients import patient_values, read_patients
from times_stats.survival.predictive_checks import check_converged
from times_stats.survival.predictor import predictor_draws
from times_stats.survival.result import SurvivalFit

_N_STEPS = 60  # of the sampler; the effects of a cohort are few, and start in their distribution
_MOST_TRIES = 200  # points on one ellipse; the bracket shrinks to the present point long before
_LOG_SCALES = np.linspace(np.log(1e-3), np.log(8.0), 161)  # over the scale of the prior
_SCALES = (
    *("cohort_scale", "cohort_slope_scale"),
    *("covariate_cohort_scale", "cohort_shape_scale"),
)


def update_cohort(
    fit: SurvivalFit,
    new: pd.DataFrame | None,
    y: pd.DataFrame,
    *,
    name: str,
    covariates: pd.DataFrame | None = None,
    seed: int = 0,
) -> SurvivalFit:
    r"""Learn what a new cohort has for its own from its first patients, some 20 to 50 events.

    For each posterior draw of the common parameters :math:`\theta` and of the effects of the known
    cohorts :math:`a_1 \dots a_C`, the new cohort's effects (level, and slope, shape and effects of
    covariates where cohorts differ in them) and their scale are drawn given the cohort's patients:

    .. math:: p(a, \sigma \mid \theta, a_1 \dots a_C, y_\text{new}) \propto
        p(y_\text{new} \mid a, \theta)\, p(a \mid \sigma)\, p(\sigma)
        \prod_c p(a_c \mid \sigma)

    What is common does not learn from the new patients: the baseline is re-estimated, the score is
    not. The scale does: one cohort that differs from others that are alike must not be drawn to
    them as if it were one more of theirs. To have all learn, fit again with all patients.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    new : DataFrame, patients x (marker, region), or None
        Evidence of patients of the new cohort; None for a model of covariates alone.
    y : DataFrame
        Their outcome (see `read_outcome`).
    name : str
        Name of the cohort, which predictions can then ask for.
    covariates : DataFrame, optional
        Covariates of the specification.
    seed : int
        Same seed, same draws.

    Returns
    -------
    SurvivalFit
        The fit with one cohort more. Its diagnostics are those of the common parameters. In a fit
        of one cohort the scale of cohort levels comes from the prior, and the level of the new one
        differs from the intercept, which is that of the first, by root 2 of it.

    Raises
    ------
    InputError
        If the name is taken or no text, cohorts of the model do not differ in anything, a model of
        one cohort shall have more than a level by cohort, the fit failed its gate, its evidence is
        uncertain, or tables do not fit.

    Notes
    -----
    Elliptical slice sampling (Murray, Adams and MacKay 2010, arXiv:1001.0175) of the effects and
    inversion on a grid for the scale, 60 times in turn for all posterior draws at once; no
    compilation. It cuts the feedback of the new patients to the common
    parameters (Plummer 2015, doi:10.1007/s11222-014-9503-z).

    Examples
    --------
    >>> from times_stats.survival import predict_survival, update_cohort
    >>> updated = update_cohort(fit, first, y_first, name="west")  # doctest: +SKIP
    >>> predict_survival(updated, later, times=[24.0], cohort=labels)  # doctest: +SKIP
    """
    check_converged(fit)
    if not (isinstance(name, str) and name):
        raise InputError(f"name is {name!r}: give a text")
    if name in fit.cohorts:
        raise InputError(f"the fit has a cohort '{name}': give the new one another name")
    patients = read_patients(fit, new, covariates=covariates)
    odd = pd.Index(patients.names).symmetric_difference(y.index.astype(str))
    if len(odd) or y.index.has_duplicates:
        what = name_rows(odd if len(odd) else y.index[y.index.duplicated()])
        raise InputError(f"patient {what} does not have one row in each table: give it one")
    position = pd.Index(y.index.astype(str)).get_indexer(patients.names)
    outcome = read_outcome(y)[position]
    rng = spawn_rng(seed, "update cohort", name)
    posterior = _with_scale(fit, fit.posterior["posterior"].to_dataset(), rng)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    in_a_row = _in_a_row(posterior)
    values = patient_values(fit, in_a_row, patients)
    observed = _observed(outcome, fit)
    terms = _own_terms(fit, in_a_row)
    by_basis = fit.baseline.kind != "weibull"

    def log_density(state: FloatArray, rows: IntArray) -> FloatArray:
        some = in_a_row.isel(draw=rows)
        effects = _effects(terms, state, by_basis=by_basis)
        eta = predictor_draws(fit.spec, some, values.of_draws(rows), effects)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            pointwise = pointwise_log_likelihood(
                fit.baseline, cohort_baseline(some, effects), eta, observed
            )
        return np.nan_to_num(pointwise.sum(axis=1), nan=-np.inf, neginf=-np.inf, posinf=-np.inf)

    state, scales = _sample(terms, log_density, rng)
    updated = posterior.assign(
        {
            term.scale_name: (
                posterior[term.scale_name].dims,
                scale.reshape(posterior[term.scale_name].shape),
            )
            for term, scale in zip(terms, scales, strict=True)
        }
    )
    tree = {key: child.to_dataset() for key, child in fit.posterior.children.items()}
    effects = _effects(terms, state, by_basis=by_basis)
    tree["posterior"] = _with_cohort(fit, updated, effects, name, shape)
    return dataclasses.replace(
        fit,
        posterior=xr.DataTree.from_dict(tree),
        cohorts=(*fit.cohorts, name),
        n_cohorts=max(fit.n_cohorts, len(fit.cohorts) + 1),
    )


def _observed(outcome: SurvivalOutcome, fit: SurvivalFit) -> xr.Dataset:
    """Outcome as `pointwise_log_likelihood` wants it; follow-up of length 0 as in a fit."""
    time, event = outcome.time, outcome.event
    if ((time == 0) & (event == 1)).any():
        positive = time[time > 0]
        least = positive.min() if positive.size else fit.baseline.time_scale
        time = np.where((time == 0) & (event == 1), least / 2, time)
    values = {"time": time, "event": event, "entry": outcome.entry, "time_upper": outcome.upper}
    return xr.Dataset({name: (("patient",), value) for name, value in values.items()})


def _with_scale(fit: SurvivalFit, posterior: xr.Dataset, rng: np.random.Generator) -> xr.Dataset:
    """Posterior with a scale of cohort levels, from the prior where the fit had one cohort."""
    if fit.n_cohorts > 1:
        if not set(posterior) & set(_SCALES):
            raise InputError(
                "cohorts do not differ in anything in this model: fit it with cohort_effects"
            )
        return posterior
    more = [term.name for term in fit.spec.covariates if term.by_cohort]
    if fit.spec.cohort_effects != ("level",) or more:
        raise InputError(
            "a fit of one cohort can get a level for a new one and nothing else: fit it with "
            "cohort_effects=('level',) and no covariate by cohort"
        )
    sizes = (posterior.sizes["chain"], posterior.sizes["draw"])
    scale = fit.spec.prior_cohort_scale * np.abs(rng.standard_normal(sizes))
    return posterior.assign_coords(cohort=np.array(fit.cohorts, dtype=str)).assign(
        cohort_scale=(("chain", "draw"), scale),
        cohort_effect=(("chain", "draw", "cohort"), np.zeros((*sizes, 1))),
    )


def _in_a_row(posterior: xr.Dataset) -> xr.Dataset:
    """Return the draws of all chains as one chain."""
    return xr.Dataset(
        {
            name: (("chain", "draw", *values.dims[2:]), stacked(posterior, str(name))[None])
            for name, values in posterior.items()
        },
        coords={
            name: values
            for name, values in posterior.coords.items()
            if name not in ("chain", "draw")
        },
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _OwnTerm:
    """One kind of effect that a cohort has for its own."""

    scale_name: str
    scale: FloatArray  # (n_samples, width) or (n_samples, 1)
    width: int
    wider: float  # sd of a new cohort's effect over the scale
    prior_scale: float
    squares: FloatArray  # of the known cohorts' effects, summed, shape of the scale
    n_known: float  # number of independent effects behind a sum of squares


def _own_terms(fit: SurvivalFit, posterior: xr.Dataset) -> list[_OwnTerm]:
    spec, n_known = fit.spec, len(fit.cohorts) if fit.n_cohorts > 1 else 0
    terms = []
    for scale_name, name, prior_scale in (
        ("cohort_scale", "cohort_effect", spec.prior_cohort_scale),
        ("cohort_slope_scale", "cohort_slope", spec.prior_cohort_slope_scale),
        ("covariate_cohort_scale", "covariate_cohort_effect", spec.prior_cohort_slope_scale),
    ):
        if scale_name in posterior:
            wider = float(np.sqrt(2)) if fit.n_cohorts == 1 else 1.0
            scale = stacked(posterior, scale_name).reshape(posterior.sizes["draw"], -1)
            squares = (stacked(posterior, name) ** 2).sum(axis=-1).reshape(scale.shape)
            terms.append(
                _OwnTerm(scale_name, scale, scale.shape[1], wider, prior_scale, squares, n_known)
            )
    if "cohort_shape_scale" in posterior:
        scale = stacked(posterior, "cohort_shape_scale")[:, None]
        own = stacked(posterior, "cohort_shape_effect")
        steps = own[:, :, None] if own.ndim == 2 else np.diff(own, axis=-1)
        width = steps.shape[-1]
        # They sum to zero over the cohorts that the model has room for.
        n_free = n_known * (1 - 1 / fit.n_cohorts) * width
        terms.append(
            _OwnTerm(
                "cohort_shape_scale",
                scale,
                width,
                float(np.sqrt(1 + 1 / fit.n_cohorts)),
                spec.prior_cohort_shape_scale,
                (steps**2).sum(axis=(1, 2))[:, None],
                n_free,
            )
        )
    return terms


def _effects(terms: list[_OwnTerm], state: FloatArray, *, by_basis: bool) -> CohortDraws:
    """Effects of a cohort from their values side by side."""
    parts, at = {}, 0
    for term in terms:
        parts[term.scale_name] = state[:, at : at + term.width]
        at += term.width
    none = np.zeros((len(state), 1))
    shape = parts.get("cohort_shape_scale")
    if shape is not None and by_basis:
        shape = np.concatenate([none, np.cumsum(shape, axis=1)], axis=1)
    elif shape is not None:
        shape = shape[:, 0]
    return CohortDraws(
        level=parts.get("cohort_scale", none)[:, 0],
        slope=parts.get("cohort_slope_scale", none)[:, 0],
        covariates=parts.get("covariate_cohort_scale", none[:, :0]),
        shape=shape,
    )


def _sample(
    terms: list[_OwnTerm],
    log_density: Callable[[FloatArray, IntArray], FloatArray],
    rng: np.random.Generator,
) -> tuple[FloatArray, list[FloatArray]]:
    """Draw effects given their scales, and scales given all effects, in turn."""
    scales = [term.scale for term in terms]
    n_samples = len(scales[0])
    widths = [term.width for term in terms]
    state = np.concatenate(
        [term.wider * term.scale * rng.standard_normal((n_samples, term.width)) for term in terms],
        axis=1,
    )
    present = log_density(state, np.arange(n_samples))
    for _ in range(_N_STEPS):
        sd = np.concatenate(
            [
                np.broadcast_to(term.wider * scale, (n_samples, term.width))
                for term, scale in zip(terms, scales, strict=True)
            ],
            axis=1,
        )
        state, present = _elliptical_slice(state, present, sd, log_density, rng)
        own = np.split(state, np.cumsum(widths)[:-1], axis=1)
        scales = [_draw_scale(term, part, rng) for term, part in zip(terms, own, strict=True)]
    return state, scales


def _draw_scale(term: _OwnTerm, own: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw a half-normal scale given the effects of all cohorts, by inversion on a grid of logs."""
    shared = term.scale.shape[1] == 1
    more = ((own / term.wider) ** 2).sum(axis=1, keepdims=True) if shared else own**2
    n = term.n_known + (term.width if shared else 1)
    grid = term.prior_scale * np.exp(_LOG_SCALES)
    log_mass = (
        (1 - n) * _LOG_SCALES
        - 0.5 * (grid / term.prior_scale) ** 2
        - 0.5 * (term.squares + more)[:, :, None] / grid**2
    )
    mass = np.cumsum(np.exp(log_mass - log_mass.max(axis=2, keepdims=True)), axis=2)
    target = rng.random(more.shape) * mass[:, :, -1]
    cell = np.minimum((mass < target[:, :, None]).sum(axis=2), _LOG_SCALES.size - 1)
    within = rng.random(more.shape) - 0.5
    return np.asarray(grid[cell] * np.exp(within * (_LOG_SCALES[1] - _LOG_SCALES[0])))


def _elliptical_slice(
    state: FloatArray,
    present: FloatArray,
    sd: FloatArray,
    log_density: Callable[[FloatArray, IntArray], FloatArray],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Move every row of the state once, under a normal prior times a likelihood."""
    other = sd * rng.standard_normal(state.shape)
    height = present + np.log(rng.random(len(state)))
    angle = rng.uniform(0.0, 2 * np.pi, len(state))
    low, high = angle - 2 * np.pi, angle.copy()
    moved, found = state.copy(), present.copy()
    rows = np.arange(len(state))  # still without a point above the height
    for _ in range(_MOST_TRIES):
        at = angle[rows, None]
        tried = state[rows] * np.cos(at) + other[rows] * np.sin(at)
        density = log_density(tried, rows)
        above = density > height[rows]
        moved[rows[above]], found[rows[above]] = tried[above], density[above]
        rows = rows[~above]
        if not rows.size:
            break
        beyond = angle[rows] < 0
        low[rows[beyond]] = angle[rows[beyond]]
        high[rows[~beyond]] = angle[rows[~beyond]]
        angle[rows] = rng.uniform(low[rows], high[rows])
    return moved, found


def _with_cohort(
    fit: SurvivalFit,
    posterior: xr.Dataset,
    effects: CohortDraws,
    name: str,
    shape: tuple[int, int],
) -> xr.Dataset:
    """Return the posterior with the effects of one cohort more."""
    own = {
        "cohort_effect": effects.level,
        "cohort_slope": effects.slope,
        "covariate_cohort_effect": effects.covariates,
        "cohort_shape_effect": effects.shape,
    }
    grown = {}
    for quantity, values in own.items():
        if quantity in posterior and values is not None:
            old = posterior[quantity]
            dims = tuple(dim for dim in old.dims if dim != "cohort")
            added = xr.DataArray(values.reshape(*shape, *values.shape[1:]), dims=dims)
            together = np.concatenate(
                [
                    old.transpose(*dims, "cohort").to_numpy(),
                    added.expand_dims("cohort", -1).to_numpy(),
                ],
                axis=-1,
            )
            grown[quantity] = xr.DataArray(together, dims=(*dims, "cohort")).transpose(*old.dims)
    kept = posterior.drop_vars([*grown, "cohort"], errors="ignore")
    names = np.array([*fit.cohorts, name], dtype=str)
    return kept.assign(grown).assign_coords(cohort=names)
