"""Tuning: one choice of parameters for a whole training set, from its own cross-fitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from sklearn.base import clone

from times_stats._checks import name_rows, nearest_hint
from times_stats._typing import FloatArray, IntArray
from times_stats.boosting.crossfitting import CrossFit, crossfit
from times_stats.boosting.failure_time import failure_time_log_likelihood
from times_stats.boosting.marker_model import MIN_CHILD_WEIGHT, MarkerModel
from times_stats.errors import InputError
from times_stats.nonparametric import ipcw_weights
from times_stats.partial_likelihood import build_risk_sets, efron_log_likelihood

type Candidates = Literal["default"] | Sequence[Mapping[str, Any]]

TUNABLE = (
    "n_rounds",
    "learning_rate",
    "max_depth",
    "min_child_weight",
    "reg_lambda",
    "region_interaction",
    "aft_distribution",
    "aft_scale",
)
_ROUNDS = (25, 50, 100)
_DEPTHS = (1, 2)
_SCALES = (0.7, 1.0, 1.4, 2.0)
_SAME = 1e-6  # log-likelihoods nearer than this are tied: trees compute in single precision
_SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """The parameters a training set chose, and how each candidate did.

    Parameters
    ----------
    parameters : dict of str to object
        Chosen candidate: what it changes of the template.
    table : DataFrame
        One row per candidate, the simplest first: its parameters, ``log_likelihood`` (held-out, sum
        over patients and markers, mean over repeats), one ``log_likelihood_<marker>`` each,
        ``less_than_best`` and ``chosen``.
    """

    parameters: dict[str, Any]
    table: pd.DataFrame


def default_candidates(objective: str) -> list[dict[str, Any]]:
    """Return the small fixed search space of an objective.

    Parameters
    ----------
    objective : str
        As in `MarkerModel`.

    Returns
    -------
    list of dict
        25, 50 or 100 rounds of depth 1 or 2; for ``survival:aft`` 25, 50 or 100 rounds of a scale
        of .7, 1, 1.4 or 2.

    Examples
    --------
    >>> len(default_candidates("survival:cox")), default_candidates("survival:aft")[0]
    (6, {'n_rounds': 25, 'aft_scale': 0.7})
    """
    if objective == "survival:aft":
        return [{"n_rounds": rounds, "aft_scale": scale} for rounds in _ROUNDS for scale in _SCALES]
    return [{"n_rounds": rounds, "max_depth": depth} for rounds in _ROUNDS for depth in _DEPTHS]


def tune(
    features: pd.DataFrame,
    y: pd.DataFrame,
    *,
    candidates: Candidates,
    horizon: float,
    model: MarkerModel | None = None,
    n_folds: int = 5,
    n_repeats: int = 5,
    groups: object = None,
    folds: object = None,
    seed: int = 0,
    jobs: int = 1,
) -> tuple[Tuning, CrossFit]:
    """Choose among parameters by held-out log-likelihood, and cross-fit with the choice.

    Every candidate is cross-fitted on the same folds, and one is chosen for *all* markers and
    folds. For all folds, because margins of folds must share a scale: a fold with parameters of
    its own would be shrunk more or less than its neighbours. For all markers, because their
    variances share one prior and set their weights in the score, and because some sixty events
    hardly choose once, let alone five times over.

    The log-likelihood of a held-out fold, summed over folds and markers and averaged over repeats:

    - ``survival:cox``: partial, among the patients of the fold (Efron's ties), so that margins of
      different fold models are never compared;
    - ``survival:aft``: of the right-censored times;
    - ``binary:logistic``: of the event by the horizon, weighted by the inverse probability of
      censoring.

    Rows of one patient (tiles) are averaged first. Ties go to the simpler model: less total
    learning (``n_rounds`` x ``learning_rate``), then shallower trees, regions kept apart, a larger
    penalty, larger leaves.

    The chosen log-likelihood is the best of several, so it flatters. Performance comes from an
    outer loop in which the tuning is repeated in each training set.

    Parameters
    ----------
    features : DataFrame, shape (n, n_features)
        A row per patient (or tile, with `groups`), columns (marker, region), NaN = missing.
    y : DataFrame
        Outcome with the columns ``time`` and ``event``, matched by index.
    candidates : "default" or sequence of mapping
        Changes to the template, as in ``[{"n_rounds": 25}, {"n_rounds": 50}]``; ``"default"`` is
        `default_candidates` of the template's objective.
    horizon : float
        Months; horizon of the probabilities.
    model : MarkerModel, optional
        Template that the candidates change.
    n_folds, n_repeats, groups, folds, seed, jobs
        As in `crossfit`.

    Returns
    -------
    tuning : Tuning
    crossfit : CrossFit
        With the chosen parameters.

    Raises
    ------
    InputError
        No candidate; a parameter that is not tuned (`TUNABLE`) or given a value the model refuses;
        whatever `crossfit` finds.

    References
    ----------
    Verweij and van Houwelingen (1993), cross-validated partial likelihood,
    doi:10.1002/sim.4780122407.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(100, 2)), columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 100), "event": 1})
    >>> tuning, _ = tune(features, y, candidates=[{"n_rounds": 100}, {"n_rounds": 10}],
    ...                  horizon=24.0, n_repeats=2)
    >>> tuning.parameters  # nothing to learn
    {'n_rounds': 10}
    """
    template = MarkerModel(seed=seed) if model is None else cast("MarkerModel", clone(model))
    if template.objective == "binary:logistic" and template.horizon is None:
        template.set_params(horizon=horizon)
    models = _candidate_models(template, candidates)
    kept: tuple[float, int, CrossFit] | None = None
    scores = []
    for position, (_, candidate) in enumerate(models):
        fitted = crossfit(
            features,
            y,
            horizon=horizon,
            model=candidate,
            n_folds=n_folds,
            n_repeats=n_repeats,
            groups=groups,
            folds=folds,
            seed=seed,
            jobs=jobs,
        )
        by_marker = held_out_log_likelihood(fitted, y, groups=_sorted_groups(features, groups))
        total = float(by_marker.sum())
        scores.append({"log_likelihood": total, **by_marker.add_prefix("log_likelihood_")})
        if kept is None or total > kept[0] + _SAME * max(1.0, abs(kept[0])):
            kept = (total, position, fitted)
    assert kept is not None
    changed = list(dict.fromkeys(name for changes, _ in models for name in changes))
    table = pd.DataFrame(
        [
            {name: getattr(m, name) for name in changed} | s
            for (_, m), s in zip(models, scores, strict=True)
        ]
    )
    table["less_than_best"] = table["log_likelihood"].max() - table["log_likelihood"]
    table["chosen"] = np.arange(len(table)) == kept[1]
    return Tuning(parameters=dict(models[kept[1]][0]), table=table), kept[2]


def held_out_log_likelihood(crossfit: CrossFit, y: pd.DataFrame, *, groups: Any) -> pd.Series:
    """Log-likelihood of held-out patients under the models that did not see them.

    Parameters
    ----------
    crossfit : CrossFit
    y : DataFrame
        Outcome with the columns ``time`` and ``event``, matched by index.
    groups : array-like, shape (n,)
        Patient of each row of the cross-fit.

    Returns
    -------
    Series by marker
        Sum over patients, mean over repeats, as in `tune`.

    Examples
    --------
    >>> from times_stats.boosting import crossfit
    >>> rng = np.random.default_rng(1)
    >>> columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    >>> features = pd.DataFrame(rng.normal(size=(60, 2)), columns=columns)
    >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 60), "event": 1})
    >>> fit = crossfit(features, y, horizon=24.0, n_folds=2, n_repeats=2)
    >>> held_out_log_likelihood(fit, y, groups=features.index).index.to_list()
    ['CD8']
    """
    rows = crossfit.margin["patient"].to_numpy()
    outcome = y.loc[rows]
    patients, first, position = np.unique(
        np.asarray(groups).astype(str), return_index=True, return_inverse=True
    )
    one_each = outcome.iloc[first]
    template = next(iter(crossfit.models[0][0].values()))
    weight = _censoring_weights(one_each, template)
    found = {}
    for m, marker in enumerate(crossfit.markers):
        per_repeat = []
        for repeat, folds in enumerate(crossfit.folds):
            margin = _patient_means(
                crossfit.margin.to_numpy()[repeat, :, m], position, patients.size
            )
            probability = _patient_means(
                crossfit.probability.to_numpy()[repeat, :, m], position, patients.size
            )
            fold_of = folds[first]
            total = 0.0
            for fold in range(crossfit.n_folds):
                chosen = (fold_of == fold) & ~np.isnan(margin)
                fitted = crossfit.models[repeat][fold][marker]
                total += _fold_log_likelihood(
                    fitted,
                    one_each["time"].to_numpy(dtype=np.float64)[chosen],
                    one_each["event"].to_numpy()[chosen],
                    margin=margin[chosen],
                    probability=probability[chosen],
                    weight=weight[chosen],
                )
            per_repeat.append(total)
        found[marker] = float(np.mean(per_repeat))
    return pd.Series(found)


def _fold_log_likelihood(
    model: MarkerModel,
    time: FloatArray,
    event: IntArray,
    *,
    margin: FloatArray,
    probability: FloatArray,
    weight: FloatArray,
) -> float:
    if model.objective == "survival:cox":
        if not event.any():
            return 0.0
        sets = build_risk_sets(time, event)
        return efron_log_likelihood(sets, margin[sets.order])
    if model.objective == "survival:aft":
        each = failure_time_log_likelihood(
            time,
            event,
            model.base_value_ - margin,
            distribution=model.aft_distribution,
            scale=model.aft_scale,
        )
        return float(each.sum())
    happened = (event == 1) & (time <= float(model.horizon or 0))
    inside = np.clip(probability, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return float(weight @ np.where(happened, np.log(inside), np.log1p(-inside)))


def _censoring_weights(outcome: pd.DataFrame, model: MarkerModel) -> FloatArray:
    if model.objective != "binary:logistic":
        return np.ones(len(outcome))
    strata = None
    if len(model.censoring_strata):
        strata = outcome[list(model.censoring_strata)].astype(str).agg(" / ".join, axis=1)
    return ipcw_weights(
        outcome["time"], outcome["event"], horizon=float(model.horizon or 0), strata=strata
    )


def _patient_means(values: FloatArray, position: IntArray, n_patients: int) -> FloatArray:
    """Mean over a patient's complete rows; NaN without one."""
    known = ~np.isnan(values)
    count = np.bincount(position[known], minlength=n_patients)
    total = np.bincount(position[known], weights=values[known], minlength=n_patients)
    means = np.full(n_patients, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _sorted_groups(features: pd.DataFrame, groups: object) -> Any:
    names = features.index.to_numpy()
    order = np.argsort(names, kind="stable")
    return names[order] if groups is None else np.asarray(groups)[order]


def _candidate_models(
    template: MarkerModel, candidates: Candidates
) -> list[tuple[dict[str, Any], MarkerModel]]:
    """Candidates as models, the simplest first."""
    if isinstance(candidates, str):
        if candidates != "default":
            raise InputError(
                f"tuning is {candidates!r}: give None, 'default' or a list of parameters such as "
                "[{'n_rounds': 25}, {'n_rounds': 50}]"
            )
        listed = default_candidates(template.objective)
    else:
        try:
            listed = [dict(candidate) for candidate in candidates]
        except (TypeError, ValueError) as error:
            raise InputError(
                "tuning is no list of parameters: give one such as [{'n_rounds': 25}]"
            ) from error
    if not listed:
        raise InputError("tuning has no candidate: give one or more, or None")
    unknown = [name for changes in listed for name in changes if name not in TUNABLE]
    if unknown:
        raise InputError(
            f"tuning names {name_rows(unknown)}{nearest_hint(unknown[0], TUNABLE)}: tune "
            f"{', '.join(TUNABLE)}"
        )
    models = []
    for changes in listed:
        model = cast("MarkerModel", clone(template)).set_params(**changes)
        try:
            model.check_parameters()
        except InputError as error:
            raise InputError([f"tuning candidate {changes}: {f}" for f in error.faults]) from error
        models.append((changes, model))
    return sorted(models, key=lambda pair: _complexity(pair[1]))


def _complexity(model: MarkerModel) -> tuple[float, ...]:
    leaf = model.min_child_weight
    if leaf is None:
        leaf = MIN_CHILD_WEIGHT[model.objective]
    return (
        round(model.n_rounds * model.learning_rate, 9),
        model.max_depth,
        float(model.region_interaction),
        -model.reg_lambda,
        -leaf,
        -model.aft_scale,
    )
