"""The published TIMES components of the 61 discovery samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class PublishedTimes:
    """What the authors of the TIMES score published.

    Attributes
    ----------
    components : DataFrame
        61 samples indexed by ``slide_id``: ``mean_<marker>`` and ``weight_<marker>`` of five
        markers, the score ``TIMES``, the number of tiles ``n_roi``.
    results : dict
        Results printed in the authors' scripts.
    variance_components : DataFrame
        Spread of the five genes between and within patients of multi-region studies.

    Examples
    --------
    >>> load_times_published().components.shape[0]
    61
    """

    components: pd.DataFrame
    results: dict[str, Any]
    variance_components: pd.DataFrame


def load_times_published() -> PublishedTimes:
    """Load the published TIMES components.

    Returns
    -------
    PublishedTimes
        Components, printed results and variance components.

    References
    ----------
    Code Ocean capsule of the TIMES score, Copyright (c) 2024 Shuxia Hao, MIT licence.

    Examples
    --------
    >>> load_times_published().components.loc["A16", "TIMES"]
    np.float64(0.7967842)
    """
    folder = Path(str(files("times_stats") / "datasets" / "times_published"))
    components = pd.read_csv(folder / "components.csv", index_col="slide_id")
    results = json.loads((folder / "published_results.json").read_text(encoding="utf-8"))
    variance_components = pd.read_csv(folder / "variance_components.csv")
    return PublishedTimes(components, results, variance_components)
