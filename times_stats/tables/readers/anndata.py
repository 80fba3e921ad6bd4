"""Cells in AnnData files (.h5ad), as scanpy, squidpy and spatialdata write them.

Positions are the first two columns of ``obsm["spatial"]``, the place that squidpy documents
(https://squidpy.readthedocs.io), or the columns ``x`` and ``y`` of ``obs``; the rest of ``obs``
holds identifiers, types, regions and flags (``CD8_positive``), and ``X`` one staining per variable.
The package anndata is an optional dependency, imported here alone. A file is read whole: write its
cells to Parquet once (`write_cells`) where it is large.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import name_rows
from times_stats.errors import InputError

ENDING = ".h5ad"
MAX_VARIABLES = 200  # more than a panel of proteins: a transcriptome, to be chosen from


def read_anndata(
    path: str | Path, *, markers: Sequence[str] | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the cells of an AnnData file as one table.

    Parameters
    ----------
    path : path
        File that ends in ``.h5ad``.
    markers : sequence of str, optional
        Variables of ``X`` to read; all of them, if there are 200 or fewer.

    Returns
    -------
    cells : DataFrame
        The columns of ``obs``, with ``x`` and ``y`` from ``obsm["spatial"]``, and the variables.
    variables : tuple of str
        Variables of ``X`` among the columns.

    Raises
    ------
    InputError
        If anndata is not installed, or the file is damaged, has no positions, or has names that
        ``obs`` and ``var`` share.

    Examples
    --------
    >>> read_anndata("missing.h5ad")  # doctest: +SKIP
    Traceback (most recent call last):
    ...
    times_stats.errors.InputError: file 'missing.h5ad': the file is no readable AnnData file: ...
    """
    with warnings.catch_warnings():  # what anndata does with pandas is not the user's to mend
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        return _read(Path(path), markers)


def _read(path: Path, markers: Sequence[str] | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    try:
        package: Any = importlib.import_module("anndata")
    except ImportError:
        raise InputError(
            "reading .h5ad files needs the package anndata: "
            "install it with pip install 'times_stats[anndata]'"
        ) from None
    try:
        data = package.read_h5ad(path, backed="r")
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  damaged files raise the errors of several libraries
        raise InputError(
            f"file '{path.name}': the file is no readable AnnData file: write it again"
        ) from None
    try:
        return _table(data, markers, path.name)
    finally:
        data.file.close()


def _table(
    data: Any, markers: Sequence[str] | None, name: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    cells = pd.DataFrame({str(key): values for key, values in data.obs.items()})
    cells = cells.reset_index(drop=True)
    if "spatial" in data.obsm:
        points = np.asarray(data.obsm["spatial"])
        if points.ndim != 2 or points.shape[1] < 2:
            raise InputError(
                f"file '{name}': obsm[\"spatial\"] has shape {points.shape}: give x and y per cell"
            )
        cells["x"], cells["y"] = points[:, 0], points[:, 1]
    elif not {"x", "y"} <= set(cells.columns):
        raise InputError(
            f"file '{name}' has no positions: put them into obsm[\"spatial\"], or x and y into obs"
        )
    variables = [str(variable) for variable in data.var_names]
    if markers is None and len(variables) > MAX_VARIABLES:
        raise InputError(
            f"file '{name}' holds {len(variables)} variables: name those wanted in markers"
        )
    chosen = variables if markers is None else [v for v in variables if v in set(markers)]
    shared = [variable for variable in chosen if variable in cells.columns]
    if shared:
        raise InputError(
            f"file '{name}': {name_rows(shared)} is in obs and in var: rename one of them"
        )
    if not chosen:
        return cells, ()
    try:
        values = data[:, chosen].to_memory().X
    except KeyError:
        return cells, ()  # no X in the file
    dense = np.asarray(values.todense() if hasattr(values, "todense") else values, dtype=np.float64)
    return pd.concat([cells, pd.DataFrame(dense, columns=chosen)], axis=1), tuple(chosen)
