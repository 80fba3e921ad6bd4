"""A fitted `TimesScore` on disk: boosters as XGBoost JSON, the rest as JSON, with a manifest."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import xgboost as xgb

from times_stats import __version__
from times_stats._typing import FloatArray
from times_stats.boosting.bootstrapping import MarkerBootstrap
from times_stats.boosting.calibration import BreslowBaseline
from times_stats.boosting.constraints import directions_of_marker
from times_stats.boosting.crossfitting import CrossFit
from times_stats.boosting.failure_time import DISTRIBUTIONS
from times_stats.boosting.marker_model import OBJECTIVES, MarkerModel
from times_stats.errors import InputError, ModelFileError
from times_stats.model_files.booster_structure import MOST_BYTES, check_booster
from times_stats.model_files.manifest import check_manifest, read_listed, write_manifest
from times_stats.model_files.plain_json import as_numbers, as_object, as_whole, parse_json
from times_stats.score.latent_evidence import LatentPrior
from times_stats.score.pooling import NEGATIVE_WEIGHTS, RULES
from times_stats.score.shrinkage import VariancePrior
from times_stats.score.times_score import VARIANCES, TimesScore, estimate_split_share

SCORE_FILE = "score.json"
FORMAT = "times_stats score"
FORMAT_VERSION = 3
_SCORE_PARAMETERS = (
    "pooling",
    "variance",
    "n_bootstrap",
    "negative_weights",
    "horizon",
    "n_folds",
    "n_repeats",
    "seed",
)
_MODEL_PARAMETERS = (
    "objective",
    "horizon",
    "n_rounds",
    "learning_rate",
    "max_depth",
    "min_child_weight",
    "reg_lambda",
    "censoring_strata",
    "monotone_constraints",
    "region_interaction",
    "aft_distribution",
    "aft_scale",
    "seed",
    "min_events",
)


def save_score(model: TimesScore, directory: str | os.PathLike[str]) -> Path:
    """Save a fitted score: no pickle, no patients.

    Parameters
    ----------
    model : TimesScore
        Fitted.
    directory : path
        New or empty folder.

    Returns
    -------
    Path
        The folder: ``score.json``, ``boosters/*.json``, ``manifest.json``.

    Raises
    ------
    InputError
        If the score is not fitted or the folder is not empty.
    """
    if not model.__sklearn_is_fitted__():
        raise InputError("the score is not fitted: call fit before saving it")
    folder = Path(directory)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is no empty folder: give a new one")
    (folder / "boosters").mkdir(parents=True)
    crossfit = model.crossfit_
    fits: list[dict[str, Any]] = []
    for repeat, fold_models in enumerate(crossfit.models):
        for fold, models in enumerate(fold_models):
            for m, marker in enumerate(crossfit.markers):
                name = _booster_name(m, repeat, fold)
                fitted = models[marker]
                (folder / name).write_bytes(bytes(fitted.booster_.save_raw("json")))
                fits.append(_describe_fit(fitted))
    resampled: list[list[dict[str, Any] | None]] = []
    for draw, models in enumerate(() if model.bootstrap_ is None else model.bootstrap_.models):
        resampled.append([])
        for m, marker in enumerate(crossfit.markers):
            if marker in models:
                raw = bytes(models[marker].booster_.save_raw("json"))
                (folder / _resample_name(m, draw)).write_bytes(raw)
            resampled[-1].append(_describe_fit(models[marker]) if marker in models else None)
    latent = model.latent_prior_
    template = next(iter(crossfit.models[0][0].values()))
    described = {name: getattr(template, name) for name in _MODEL_PARAMETERS}
    described["monotone_constraints"] = _all_directions(crossfit)
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "score": {name: getattr(model, name) for name in _SCORE_PARAMETERS},
        "marker_model": described,
        "columns": [list(map(str, column)) for column in crossfit.columns],
        "n_repeats": crossfit.n_repeats,
        "n_folds": crossfit.n_folds,
        "prior": {"df": model.prior_.df.tolist(), "scale": model.prior_.scale.tolist()},
        "variance_df": model.variance_df_,
        "uninformative": list(model.uninformative_),
        "baseline_variance": model.baseline_variance_,
        "error_correlation": model.error_correlation_.tolist(),
        "tau_squared": model.tau_squared_,
        "latent_prior": None if latent is None else asdict(latent),
        "n_negative_weights": model.n_negative_weights_,
        "training_range": model.training_range_.to_numpy().tolist(),
        "fits": fits,
        "bootstrap_fits": resampled,
    }
    text = json.dumps(document, allow_nan=False, default=_plain)
    (folder / SCORE_FILE).write_text(text, encoding="utf-8")
    write_manifest(folder)
    return folder


def load_score(directory: str | os.PathLike[str]) -> TimesScore:
    """Load a score for new patients, checking every file before it is used.

    Parameters
    ----------
    directory : path
        Folder made by `save_score`; other files may have joined if the manifest was renewed.

    Returns
    -------
    TimesScore
        Predicts as the saved one did. Training patients were not saved: ``crossfit_`` holds the
        models and no patients, ``out_of_fold_`` is empty. A tuned score comes back with the
        parameters that were chosen, as a template that is not tuned again.

    Raises
    ------
    ModelFileError
        Whatever `check_manifest` and `check_booster` find, and damage in ``score.json``.
    """
    folder = Path(directory)
    hashes = check_manifest(folder)
    source = str(folder / SCORE_FILE)
    raw = read_listed(folder, SCORE_FILE, hashes.get(SCORE_FILE), most_bytes=4 * MOST_BYTES)
    document = as_object(
        parse_json(raw, source=source),
        {
            "format",
            "format_version",
            "package_version",
            "score",
            "marker_model",
            "columns",
            "n_repeats",
            "n_folds",
            "prior",
            "variance_df",
            "uninformative",
            "baseline_variance",
            "error_correlation",
            "tau_squared",
            "latent_prior",
            "n_negative_weights",
            "training_range",
            "fits",
            "bootstrap_fits",
        },
        what="the score",
        source=source,
    )
    if document["format"] != FORMAT or document["format_version"] != FORMAT_VERSION:
        raise ModelFileError(
            f"score of another format (this package reads version {FORMAT_VERSION}): fit and save "
            "it again",
            source=source,
        )
    columns = _read_columns(document["columns"], source)
    template = _read_template(document["marker_model"], source)
    score = _read_score(document["score"], template, source)
    n_repeats = as_whole(document["n_repeats"], low=2, high=1000, what="n_repeats", source=source)
    n_folds = as_whole(document["n_folds"], low=2, high=1000, what="n_folds", source=source)
    names = columns.get_level_values(0)
    markers = tuple(dict.fromkeys(names))
    n_fits = n_repeats * n_folds * len(markers)
    if not isinstance(document["fits"], list) or len(document["fits"]) != n_fits:
        raise ModelFileError(f"the score does not describe {n_fits} fits", source=source)
    described = iter(document["fits"])
    models: list[list[dict[str, MarkerModel]]] = []
    for repeat in range(n_repeats):
        models.append([])
        for fold in range(n_folds):
            fitted = {}
            for m, marker in enumerate(markers):
                name = _booster_name(m, repeat, fold)
                booster = read_listed(folder, name, hashes.get(name), most_bytes=MOST_BYTES)
                fitted[marker] = _read_fit(
                    next(described), booster, template, columns[names == marker], name, source
                )
            models[-1].append(fitted)
    n_draws = score.n_bootstrap if score.variance == "bootstrap" else 0
    resampled = document["bootstrap_fits"]
    if not isinstance(resampled, list) or len(resampled) != n_draws:
        raise ModelFileError(f"the score does not describe {n_draws} resamples", source=source)
    draws: list[dict[str, MarkerModel]] = []
    for draw, fits in enumerate(resampled):
        if not isinstance(fits, list) or len(fits) != len(markers):
            raise ModelFileError(f"resample {draw} does not describe the markers", source=source)
        draws.append({})
        for m, (marker, fit) in enumerate(zip(markers, fits, strict=True)):
            if fit is not None:
                name = _resample_name(m, draw)
                booster = read_listed(folder, name, hashes.get(name), most_bytes=MOST_BYTES)
                own = columns[names == marker]
                draws[-1][marker] = _read_fit(fit, booster, template, own, name, source)
    score.bootstrap_ = _resamples_without_patients(draws, markers) if draws else None
    score.crossfit_ = _without_patients(markers, columns, n_repeats, models, score.horizon)
    return _restore_learned(score, document, columns, len(markers), source)


def _booster_name(marker: int, repeat: int, fold: int) -> str:
    return f"boosters/marker{marker:03d}_repeat{repeat:03d}_fold{fold:03d}.json"


def _resample_name(marker: int, draw: int) -> str:
    return f"boosters/marker{marker:03d}_draw{draw:04d}.json"


def _all_directions(crossfit: CrossFit) -> dict[str, int] | None:
    """Constraints of all markers: each fitted model kept those of its own regions."""
    found: dict[str, int] = {}
    for model in crossfit.models[0][0].values():
        found.update(model.monotone_constraints or {})
    return found or None


def _describe_fit(model: MarkerModel) -> dict[str, Any]:
    baseline = model.baseline_
    return {
        "base_value": model.base_value_,
        "n_events": model.n_events_,
        "min_child_weight": model.min_child_weight_,
        "training_range": model.training_range_.tolist(),
        "baseline": None
        if baseline is None
        else {
            "times": baseline.times.tolist(),
            "cumulative_hazard": baseline.cumulative_hazard.tolist(),
            "variance": baseline.variance.tolist(),
            "last_time": baseline.last_time,
        },
    }


def _read_columns(value: Any, source: str) -> pd.MultiIndex:
    good = isinstance(value, list) and 1 <= len(value) <= 100_000
    good = good and all(
        isinstance(column, list) and len(column) == 2 and all(isinstance(x, str) for x in column)
        for column in value
    )
    pairs = [tuple(column) for column in value] if good else []
    if not good or pairs != sorted(set(pairs)):
        raise ModelFileError("the columns are damaged", source=source)
    return pd.MultiIndex.from_tuples(pairs, names=["marker", "region"])


def _read_template(value: Any, source: str) -> MarkerModel:
    given = as_object(value, set(_MODEL_PARAMETERS), what="marker_model", source=source)
    strata = given["censoring_strata"]
    if given["objective"] not in OBJECTIVES:
        raise ModelFileError("unknown objective", source=source)
    if not isinstance(strata, list) or not all(isinstance(name, str) for name in strata):
        raise ModelFileError("censoring_strata is damaged", source=source)
    for name in ("n_rounds", "max_depth", "seed", "min_events"):
        as_whole(given[name], low=0, high=2**63, what=name, source=source)
    for name in ("learning_rate", "reg_lambda"):
        as_numbers(given[name], (), what=name, source=source, low=0)
    if given["aft_distribution"] not in DISTRIBUTIONS:
        raise ModelFileError("unknown aft_distribution", source=source)
    as_numbers(given["aft_scale"], (), what="aft_scale", source=source, low=1e-3)
    if not isinstance(given["region_interaction"], bool):
        raise ModelFileError("region_interaction is damaged", source=source)
    directions = given["monotone_constraints"]
    good = directions is None or (
        isinstance(directions, dict)
        and all(type(value) is int and value in (-1, 0, 1) for value in directions.values())
    )
    if not good:
        raise ModelFileError("monotone_constraints is damaged", source=source)
    for name in ("horizon", "min_child_weight"):
        if given[name] is not None:
            as_numbers(given[name], (), what=name, source=source, low=0)
    return MarkerModel(**{**given, "censoring_strata": tuple(strata)})


def _read_score(value: Any, template: MarkerModel, source: str) -> TimesScore:
    given = as_object(value, set(_SCORE_PARAMETERS), what="the score", source=source)
    if given["pooling"] not in RULES:
        raise ModelFileError("unknown pooling", source=source)
    if given["variance"] not in VARIANCES:
        raise ModelFileError("unknown variance", source=source)
    if given["negative_weights"] not in NEGATIVE_WEIGHTS:
        raise ModelFileError("unknown negative_weights", source=source)
    as_whole(given["n_bootstrap"], low=0, high=100_000, what="n_bootstrap", source=source)
    for name in ("n_folds", "n_repeats", "seed"):
        as_whole(given[name], low=0, high=2**63, what=name, source=source)
    as_numbers(given["horizon"], (), what="horizon", source=source, low=0)
    return TimesScore(model=template, **given)


def _read_fit(
    value: Any,
    raw: bytes,
    template: MarkerModel,
    columns: pd.MultiIndex,
    name: str,
    source: str,
) -> MarkerModel:
    given = as_object(
        value,
        {"base_value", "n_events", "min_child_weight", "training_range", "baseline"},
        what=name,
        source=source,
    )
    checked = check_booster(raw, objective=template.objective, n_features=len(columns), source=name)
    model = MarkerModel(**template.get_params())
    names = [":".join(column) for column in columns]
    model.monotone_constraints = directions_of_marker(model.monotone_constraints, names)
    try:
        model.booster_ = xgb.Booster({"nthread": 1}, model_file=bytearray(checked))
    except xgb.core.XGBoostError as error:
        raise ModelFileError("XGBoost refuses this booster", source=name) from error
    model.n_features_in_ = len(columns)
    model.feature_names_in_ = np.array(names, dtype=object)
    model.base_value_ = float(as_numbers(given["base_value"], (), what=name, source=source))
    model.n_events_ = as_whole(given["n_events"], low=0, high=2**40, what=name, source=source)
    model.min_child_weight_ = float(
        as_numbers(given["min_child_weight"], (), what=name, source=source, low=0)
    )
    model.training_range_ = as_numbers(
        given["training_range"], (len(columns), 2), what=name, source=source
    )
    cox = template.objective == "survival:cox"
    if cox != (given["baseline"] is not None):
        raise ModelFileError(f"the baseline of {name} does not fit its objective", source=source)
    model.baseline_ = _read_baseline(given["baseline"], name, source) if cox else None
    return model


def _read_baseline(value: Any, name: str, source: str) -> BreslowBaseline:
    given = as_object(
        value,
        {"times", "cumulative_hazard", "variance", "last_time"},
        what=f"baseline of {name}",
        source=source,
    )
    what = f"baseline of {name}"
    times = as_numbers(given["times"], (-1,), what=what, source=source, low=0)
    hazard = as_numbers(given["cumulative_hazard"], (times.size,), what=what, source=source, low=0)
    variance = as_numbers(given["variance"], (times.size,), what=what, source=source, low=0)
    last = float(as_numbers(given["last_time"], (), what=what, source=source, low=0))
    rising = (np.diff(times) > 0).all()
    rising = rising and (np.diff(hazard) >= 0).all() and (np.diff(variance) >= 0).all()
    if times.size == 0 or not rising or hazard[0] <= 0 or times[-1] > last:
        raise ModelFileError(f"{what} does not rise with time", source=source)
    return BreslowBaseline(times=times, cumulative_hazard=hazard, variance=variance, last_time=last)


def _restore_learned(
    score: TimesScore, document: dict[str, Any], columns: pd.MultiIndex, n_markers: int, source: str
) -> TimesScore:
    def read(name: str, shape: tuple[int, ...], value: Any, low: float = -3e38) -> FloatArray:
        return as_numbers(value, shape, what=name, source=source, low=low)

    prior = as_object(document["prior"], {"df", "scale"}, what="the prior", source=source)
    least = 1e-300
    score.tuning_ = None
    score.prior_ = VariancePrior(
        df=read("prior", (1,), prior["df"], least),
        scale=read("prior", (1,), prior["scale"], least),
    )
    score.variance_df_ = float(read("variance_df", (), document["variance_df"], least))
    score.split_share_ = estimate_split_share(score.crossfit_)
    score.uninformative_ = _read_uninformative(document["uninformative"], score, source)
    score.baseline_variance_ = float(
        read("baseline_variance", (), document["baseline_variance"], 0.0)
    )
    score.tau_squared_ = float(read("tau_squared", (), document["tau_squared"], 0.0))
    score.latent_prior_ = None
    if (score.pooling == "bayesian") != (document["latent_prior"] is not None):
        raise ModelFileError("the latent prior does not fit the pooling", source=source)
    if score.pooling == "bayesian":
        latent = as_object(
            document["latent_prior"], {"mean", "sd", "mean_se"}, what="latent_prior", source=source
        )
        score.latent_prior_ = LatentPrior(
            mean=float(read("latent_prior", (), latent["mean"])),
            sd=float(read("latent_prior", (), latent["sd"], 0.0)),
            mean_se=float(read("latent_prior", (), latent["mean_se"], 0.0)),
        )
    score.n_negative_weights_ = as_whole(
        document["n_negative_weights"],
        low=0,
        high=2**40,
        what="n_negative_weights",
        source=source,
    )
    correlation = read("error_correlation", (n_markers, n_markers), document["error_correlation"])
    sound = np.allclose(np.diag(correlation), 1) and np.allclose(correlation, correlation.T)
    if not sound or np.linalg.eigvalsh(correlation).min() <= 0:
        raise ModelFileError("error_correlation is damaged", source=source)
    score.error_correlation_ = correlation
    score.training_range_ = pd.DataFrame(
        read("training_range", (len(columns), 2), document["training_range"]),
        index=columns,
        columns=["min", "max"],
    )
    nobody = pd.DataFrame(np.empty((0, len(columns))), columns=columns)
    score.out_of_fold_ = score.predict_table(nobody)
    score.out_of_fold_evidence_ = nobody
    return score


def _read_uninformative(value: Any, score: TimesScore, source: str) -> tuple[str, ...]:
    shares = zip(score.crossfit_.markers, score.split_share_, strict=True)
    found = tuple(marker for marker, share in shares if share == 0)
    if value != list(found):
        raise ModelFileError("the markers without a split are not those listed", source=source)
    return found


def _without_patients(
    markers: tuple[str, ...],
    columns: pd.MultiIndex,
    n_repeats: int,
    models: list[list[dict[str, MarkerModel]]],
    horizon: float,
) -> CrossFit:
    def empty(last: str, size: int) -> xr.DataArray:
        return xr.DataArray(np.empty((n_repeats, 0, size)), dims=("repeat", "patient", last))

    return CrossFit(
        markers=markers,
        columns=columns,
        folds=np.empty((n_repeats, 0), dtype=np.int64),
        margin=empty("marker", len(markers)),
        probability=empty("marker", len(markers)),
        attribution=empty("feature", len(columns)),
        models=models,
        horizon=float(horizon),
    )


def _resamples_without_patients(
    draws: list[dict[str, MarkerModel]], markers: tuple[str, ...]
) -> MarkerBootstrap:
    margin = xr.DataArray(
        np.empty((len(draws), 0, len(markers))),
        coords={"marker": list(markers)},
        dims=("draw", "patient", "marker"),
    )
    return MarkerBootstrap(models=tuple(draws), margin=margin)


def _plain(value: object) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, set)):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be saved in a model file")
