"""Plain files for the results of the steps: Parquet, NumPy arrays and JSON, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from times_stats.pipeline.nested import NestedPredictions


def write_frames(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write each table as ``name.parquet``."""
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet")


def read_frames(folder: Path) -> dict[str, pd.DataFrame]:
    """Read every Parquet table of a folder by its name."""
    return {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


def write_nested(nested: NestedPredictions, folder: Path) -> None:
    """Write the outer loop's predictions."""
    arrays = {
        "folds": nested.folds,
        "times": nested.times,
        "above_cut": nested.above_cut,
        **{f"linear_predictor/{name}": x for name, x in nested.linear_predictor.items()},
        **{f"survival/{name}": x for name, x in nested.survival.items()},
    }
    names = {
        "models": list(nested.linear_predictor),
        "n_borrowed": nested.n_borrowed,
        "uninformative": nested.uninformative,
        "tuned": nested.tuned,
    }
    np.savez(folder / "arrays.npz", **arrays, allow_pickle=False)
    (folder / "names.json").write_text(json.dumps(names))
    write_frames({"fits": nested.fits, "splits": nested.splits}, folder)


def read_nested(folder: Path) -> NestedPredictions:
    """Read what `write_nested` wrote."""
    stored = json.loads((folder / "names.json").read_text())
    names = stored["models"]
    frames = read_frames(folder)
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        return NestedPredictions(
            folds=arrays["folds"],
            times=arrays["times"],
            linear_predictor={name: arrays[f"linear_predictor/{name}"] for name in names},
            survival={name: arrays[f"survival/{name}"] for name in names},
            above_cut=arrays["above_cut"],
            fits=frames["fits"],
            splits=frames["splits"],
            n_borrowed=stored["n_borrowed"],
            uninformative=stored["uninformative"],
            tuned=tuple(stored["tuned"]),
        )


def write_record(record: Any, folder: Path) -> None:
    """Write a frozen dataclass of tables and plain values."""
    plain: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, pd.DataFrame):
            value.to_parquet(folder / f"{field.name}.parquet")
        else:
            plain[field.name] = value
    (folder / "plain.json").write_text(json.dumps(plain))


def read_record[T](kind: type[T], folder: Path) -> T:
    """Read what `write_record` wrote."""
    plain = json.loads((folder / "plain.json").read_text())
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
    return kind(**values, **read_frames(folder))
