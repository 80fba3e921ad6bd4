"""squidpy's side of many_images.py, run in its own environment: its nearest set, by its defaults.

Run: python many_images_squidpy.py POINTS.npz OUT.json HOW
HOW is one of defaults (two processes over images), no_simulations (the same, Ripley's statistics
without their 100 simulations) or n_jobs (images one by one, two jobs or threads inside).
"""

from __future__ import annotations

import os
import sys

HOW = sys.argv[3]
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["NUMBA_NUM_THREADS"] = "2" if HOW == "n_jobs" else "1"

import json  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from joblib import Parallel, delayed  # noqa: E402


def describe(
    points: np.ndarray, types: np.ndarray, how: str
) -> tuple[dict[str, np.ndarray], float]:
    """Return the statistics of one image, and the CPU seconds of this process."""
    began = time.process_time()
    import warnings

    warnings.simplefilter("ignore")
    import anndata
    import pandas as pd
    import scanpy
    import squidpy as sq

    scanpy.settings.verbosity = 0
    obs = pd.DataFrame({"type": pd.Categorical(types)}, index=np.arange(len(types)).astype(str))
    cells = anndata.AnnData(obs=obs, obsm={"spatial": points})
    simulations = {"n_simulations": 0} if how == "no_simulations" else {}
    out = {}
    for mode in "FGL":
        found = sq.gr.ripley(cells, "type", mode=mode, seed=1, copy=True, **simulations)
        out[mode] = found[f"{mode}_stat"]["stats"].to_numpy()
    sq.gr.spatial_neighbors_knn(cells, n_neighs=10)
    jobs = {"n_jobs": 2} if how == "n_jobs" else {}
    out["z"] = sq.gr.nhood_enrichment(
        cells, "type", seed=1, copy=True, show_progress_bar=False, **jobs
    ).zscore
    out["interactions"] = sq.gr.interaction_matrix(cells, "type", copy=True)
    out["co_occurrence"] = sq.gr.co_occurrence(cells, "type", copy=True)[0]
    return out, time.process_time() - began


def main() -> None:
    """Describe all images once the workers are warm, and write the time that took."""
    with np.load(sys.argv[1]) as found:
        images = list(zip(found["points"], found["types"], strict=True))
    pool = Parallel(n_jobs=1 if HOW == "n_jobs" else 2)
    began = time.perf_counter()
    pool(delayed(describe)(*images[0], HOW) for _ in range(2))
    warm = time.perf_counter() - began
    started, own = time.perf_counter(), time.process_time()
    results = pool(delayed(describe)(*image, HOW) for image in images)
    wall = time.perf_counter() - started
    # What the jobs of n_jobs spend is not seen.
    cpu = time.process_time() - own + sum(seconds for _, seconds in results)
    if HOW == "n_jobs":
        cpu = float("nan")
    import squidpy

    answer = {"wall": wall, "cpu": cpu, "imported": warm, "version": squidpy.__version__}
    answer["z"] = results[0][0]["z"].tolist()
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
