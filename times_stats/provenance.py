"""Where a result comes from: versions, platform, data hash, seed, settings."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from times_stats import __version__
from times_stats.tables.study import Study

_PACKAGES = (
    "arviz",
    "h5netcdf",
    "h5py",
    "jinja2",
    "joblib",
    "matplotlib",
    "numba",
    "numpy",
    "nutpie",
    "pandas",
    "pyarrow",
    "pymc",
    "pytensor",
    "scikit-learn",
    "scipy",
    "shap",
    "statsmodels",
    "threadpoolctl",
    "xarray",
    "xgboost",
)


def hash_frame(frame: pd.DataFrame) -> str:
    """Return a SHA-256 of the values of a table: names, order of columns and rows included.

    Numbers enter as 64-bit little-endian floats (so that 1 and 1.0 agree), -0 as 0, every NaN
    alike; anything else as text. The hash is the same on every platform and pandas version.

    Parameters
    ----------
    frame : DataFrame
        Table; its index is part of it unless it just counts the rows.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> table = pd.DataFrame({"patient_id": ["a", "b"], "time": [1.0, np.nan]})
    >>> hash_frame(table) == hash_frame(table.copy()), hash_frame(table) == hash_frame(table[::-1])
    (True, False)
    """
    named = frame
    counts_rows = isinstance(frame.index, pd.RangeIndex) and frame.index.equals(
        pd.RangeIndex(len(frame))
    )
    if not counts_rows:
        index = frame.index.to_frame(index=False)
        index.columns = pd.Index([f"index:{name}" for name in frame.index.names])
        values = frame.reset_index(drop=True)
        values.columns = pd.Index([_name(column) for column in frame.columns])
        named = pd.concat([index, values], axis=1)
    digest = hashlib.sha256()
    digest.update(struct.pack("<qq", *named.shape))
    for position, column in enumerate(named.columns):
        _add_text(digest, _name(column))
        series = named.iloc[:, position]
        if pd.api.types.is_numeric_dtype(series.dtype):
            numbers = series.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0
            numbers = np.where(np.isnan(numbers), np.nan, numbers)
            digest.update(b"n" + numbers.astype("<f8").tobytes())
        else:
            digest.update(b"t")
            for value, missing in zip(series.astype(object), series.isna(), strict=True):
                if missing:
                    digest.update(b"\x00")
                else:
                    digest.update(b"\x01")
                    _add_text(digest, str(value))
    return digest.hexdigest()


def collect_provenance(study: Study, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is needed to make a result again, ready for JSON.

    No date and no machine name: two runs of the same study with the same versions agree.

    Parameters
    ----------
    study : Study
        The study analysed.
    settings : mapping
        Further settings of the run; dataclasses and arrays become plain values.

    Returns
    -------
    dict
        ``times_stats`` (version), ``packages``, ``python``, ``platform``, ``study``, ``seed``,
        ``source_hash``, ``patients_hash``, ``measurements_hash``, ``n_patients``, ``n_events``,
        ``settings``.

    Examples
    --------
    >>> from times_stats.datasets import load_hcc_ihc
    >>> collect_provenance(load_hcc_ihc(), {"horizon": 24.0})["n_patients"]
    227
    """
    return {
        "times_stats": __version__,
        "packages": _versions(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "study": study.name,
        "seed": study.seed,
        "source_hash": study.source_hash,
        "patients_hash": hash_frame(study.patients),
        "measurements_hash": hash_frame(study.measurements),
        "n_patients": len(study.patients),
        "n_events": int(study.patients["event"].sum()),
        "settings": json.loads(json.dumps(dict(settings), default=_plain, sort_keys=True)),
    }


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


def _name(column: object) -> str:
    return " / ".join(map(str, column)) if isinstance(column, tuple) else str(column)


def _add_text(digest: Any, text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    digest.update(struct.pack("<q", len(encoded)) + encoded)
