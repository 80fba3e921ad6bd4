"""Save a fit in plain formats: NetCDF for the draws, JSON for the rest; no pickle, no warm-up."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from times_stats import __version__
from times_stats.errors import InputError, ModelFileError
from times_stats.survival.baseline import Baseline
from times_stats.survival.covariates import Covariate
from times_stats.survival.diagnostics import Diagnostics
from times_stats.survival.effects import check_columns
from times_stats.survival.result import SurvivalFit
from times_stats.survival.spec import SurvivalSpec

DRAWS_FILE = "posterior.nc"
RECORD_FILE = "survival.json"
_FORMAT = 2
_MAX_RECORD_BYTES = 4_000_000
_TRAINING = ("constant_data", "observed_data")


def save_posterior(fit: SurvivalFit, directory: str | Path, *, training_data: bool = True) -> None:
    """Write a fit as ``posterior.nc`` and ``survival.json``.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model.
    directory : path
        Folder, made if it is not there.
    training_data : bool
        Whether evidence and outcomes of the training patients go along. Leave them out of a model
        that is handed on.

    Examples
    --------
    >>> from times_stats.survival import save_posterior
    >>> save_posterior(fit, "model", training_data=False)  # doctest: +SKIP
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    groups = {
        name: child.to_dataset()
        for name, child in fit.posterior.children.items()
        if training_data or name not in _TRAINING
    }
    xr.DataTree.from_dict(groups).to_netcdf(folder / DRAWS_FILE, engine="h5netcdf")
    record = {
        "format": _FORMAT,
        "version": __version__,
        "spec": dataclasses.asdict(fit.spec),
        "baseline": dataclasses.asdict(fit.baseline),
        "diagnostics": dataclasses.asdict(fit.diagnostics),
        "columns": [list(pair) for pair in fit.columns],
        **{
            name: getattr(fit, name)
            for name in (
                *("cohorts", "n_cohorts", "n", "events", "n_filled", "n_modelled", "scaling"),
                *("seed", "slope_prior", "centred"),
            )
        },
    }
    text = json.dumps(record, indent=2, sort_keys=True)
    (folder / RECORD_FILE).write_text(text + "\n", encoding="utf-8")


def load_posterior(directory: str | Path) -> SurvivalFit:
    """Read a fit that `save_posterior` wrote; it predicts the same numbers.

    Parameters
    ----------
    directory : path
        Folder with ``posterior.nc`` and ``survival.json``.

    Returns
    -------
    SurvivalFit

    Raises
    ------
    ModelFileError
        If a file is missing, damaged, of another format, or the two do not belong together.

    Examples
    --------
    >>> load_posterior("no such folder")
    Traceback (most recent call last):
    ...
    times_stats.errors.ModelFileError: ...survival.json: the file is missing or unreadable: ...
    """
    folder = Path(directory)
    path = folder / RECORD_FILE
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            raise ModelFileError("the file is too large to be a record", source=str(path))
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(
            "the file is missing or unreadable: save the model again", source=str(path)
        ) from error
    try:
        fit = _from_record(record, _read_draws(folder / DRAWS_FILE))
        _check_shapes(fit, str(folder / DRAWS_FILE))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        detail = str(error) if isinstance(error, InputError) else type(error).__name__
        raise ModelFileError(
            f"the record is damaged or of another version ({detail}): save the model again",
            source=str(path),
        ) from error
    return fit


def _read_draws(path: Path) -> xr.DataTree:
    try:
        with xr.open_datatree(path, engine="h5netcdf") as stored:
            return stored.load()
    except Exception as error:  # h5py raises whatever it meets in a damaged file
        raise ModelFileError(
            "the posterior is missing or unreadable: save the model again", source=str(path)
        ) from error


def _from_record(record: dict[str, Any], draws: xr.DataTree) -> SurvivalFit:
    if record["format"] != _FORMAT:
        raise ModelFileError(f"format {record['format']} is not {_FORMAT}: save the model again")
    given = record["baseline"]
    baseline = Baseline(
        kind=given["kind"],
        time_scale=float(given["time_scale"]),
        log_rate=float(given["log_rate"]),
        last_event=float(given["last_event"]),
        knots=tuple(float(knot) for knot in given["knots"]),
        n_shifted=int(given["n_shifted"]),
        n_uninformative=int(given["n_uninformative"]),
    )
    diagnostics = dict(record["diagnostics"])
    diagnostics["reasons"] = tuple(str(reason) for reason in diagnostics["reasons"])
    mean, sd = (float(value) for value in record["slope_prior"])
    slopes, cohorts, steps = (bool(value) for value in record["centred"])
    pairs = [(str(marker), str(region)) for marker, region in record["columns"]]
    spec = _read_spec(record["spec"])
    return SurvivalFit(
        spec=spec,
        posterior=draws,
        columns=check_columns(
            pd.MultiIndex.from_tuples(pairs) if pairs else pd.Index([]),
            may_be_empty=bool(spec.covariates),
        ),
        cohorts=tuple(str(name) for name in record["cohorts"]),
        n_cohorts=int(record["n_cohorts"]),
        baseline=baseline,
        diagnostics=Diagnostics(**diagnostics),
        n=int(record["n"]),
        events=int(record["events"]),
        n_filled=int(record["n_filled"]),
        n_modelled=int(record["n_modelled"]),
        scaling={
            str(name): (float(mean), float(sd)) for name, (mean, sd) in record["scaling"].items()
        },
        seed=int(record["seed"]),
        slope_prior=(mean, sd),
        centred=(slopes, cohorts, steps),
    )


def _read_spec(record: dict[str, Any]) -> SurvivalSpec:
    given = dict(record)
    given["covariates"] = tuple(
        Covariate(**{**term, "levels": tuple(term["levels"])}) for term in given["covariates"]
    )
    for name in ("cohort_effects", "region_order"):
        given[name] = tuple(str(value) for value in given[name])
    return SurvivalSpec(**given)


def _check_shapes(fit: SurvivalFit, source: str) -> None:
    """Refuse draws that do not have the sizes the record speaks of, or are not finite."""
    wanted: dict[str, int | tuple[int, ...]] = {"intercept": 0}
    if len(fit.columns):
        wanted |= {"slope": 0, "beta": len(fit.columns)}
    if fit.baseline.kind == "weibull":
        wanted["shape"] = 0
    else:
        wanted["weight"] = fit.spec.n_basis
    if fit.n_cohorts > 1:
        wanted |= _cohort_shapes(fit)
    if fit.spec.covariates:
        wanted["covariate_effect"] = len(fit.spec.covariates)
    wanted |= {
        f"steps_{term.name}": len(term.levels) - 1
        for term in fit.spec.covariates
        if len(term.levels) > 2
    }
    lacking = {term.name for term in fit.spec.covariates if not term.is_ordered} - set(fit.scaling)
    if lacking:
        raise ModelFileError("scaling of a covariate is missing: save it again", source=source)
    if "posterior" not in fit.posterior.children:
        raise ModelFileError("there is no group 'posterior': save the model again", source=source)
    posterior = fit.posterior["posterior"].to_dataset()
    scale_fine = fit.baseline.time_scale > 0 and np.isfinite(fit.baseline.time_scale)
    if fit.baseline.kind != fit.spec.baseline or not scale_fine:
        raise ModelFileError(
            "baseline and record do not agree: save the model again", source=source
        )
    if fit.baseline.knots and not (np.diff(fit.baseline.knots) > 0).all():
        raise ModelFileError("the knots do not ascend: save the model again", source=source)
    for name, size in wanted.items():
        found = posterior.get(name)
        shape = None if found is None else found.shape[2:]
        due = size if isinstance(size, tuple) else (size,) if size else ()
        if found is None or found.dims[:2] != ("chain", "draw") or shape != due:
            raise ModelFileError(
                f"draws of {name} do not have the shape the record says: save the model again",
                source=source,
            )
        if found.dtype.kind != "f" or not np.isfinite(found.to_numpy()).all():
            raise ModelFileError(
                f"draws of {name} are not finite numbers: save the model again", source=source
            )


def _cohort_shapes(fit: SurvivalFit) -> dict[str, int | tuple[int, ...]]:
    """Sizes of what cohorts have for their own."""
    n, spec = len(fit.cohorts), fit.spec
    found: dict[str, int | tuple[int, ...]] = {}
    if "level" in spec.cohort_effects:
        found |= {"cohort_scale": 0, "cohort_effect": n}
    if "slope" in spec.cohort_effects and len(fit.columns):
        found |= {"cohort_slope_scale": 0, "cohort_slope": n}
    if "shape" in spec.cohort_effects:
        shape = n if spec.baseline == "weibull" else (n, spec.n_basis)
        found |= {"cohort_shape_scale": 0, "cohort_shape_effect": shape}
    n_varying = sum(term.by_cohort for term in spec.covariates)
    if n_varying:
        found |= {
            "covariate_cohort_scale": n_varying,
            "covariate_cohort_effect": (n_varying, n),
        }
    return found
