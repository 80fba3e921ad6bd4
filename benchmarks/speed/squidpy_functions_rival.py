"""The side of squidpy in squidpy_functions.py, run in squidpy's own environment.

Reads one request a line (JSON: call, points, out) and answers with the CPU seconds of the call.
"""

from __future__ import annotations

import json
import os
import sys
import time

# The answers have standard output to themselves: squidpy logs there.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
began = time.process_time()

import warnings  # noqa: E402

warnings.simplefilter("ignore")

import anndata  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import scanpy  # noqa: E402
import squidpy as sq  # noqa: E402

scanpy.settings.verbosity = 0
LARGEST, STEPS = 250.0, 51


def table(path: str) -> anndata.AnnData:
    """Return the cells of a file as squidpy takes them."""
    with np.load(path) as found:
        points, types = found["points"], found["types"]
    obs = pd.DataFrame({"type": pd.Categorical(types)}, index=np.arange(len(types)).astype(str))
    return anndata.AnnData(obs=obs, obsm={"spatial": points})


def ripley(cells: anndata.AnnData, mode: str, n_simulations: int) -> np.ndarray:
    """Return one of Ripley's statistics, type by radius."""
    found = sq.gr.ripley(
        cells,
        "type",
        mode=mode,
        n_simulations=n_simulations,
        max_dist=LARGEST,
        n_steps=STEPS,
        seed=1,
        copy=True,
    )
    stats = found[f"{mode}_stat"]
    return stats.pivot_table(index="type", columns="bins", values="stats", observed=True).to_numpy()


def arcs(graph: sq.gr.SpatialNeighborsResult) -> np.ndarray:
    """Return a graph as rows of source and target."""
    matrix = graph.connectivities.tocoo()
    return np.column_stack([matrix.row, matrix.col])


def prepare(cells: anndata.AnnData) -> None:
    """Put the graph there that counts and enrichment read."""
    if "spatial_connectivities" not in cells.obsp:
        sq.gr.spatial_neighbors_delaunay(cells, radius=50.0)


CALLS = {
    "L": lambda cells: ripley(cells, "L", 0),
    "L, 100 simulations": lambda cells: ripley(cells, "L", 100),
    "G": lambda cells: ripley(cells, "G", 0),
    "G, 100 simulations": lambda cells: ripley(cells, "G", 100),
    "F": lambda cells: ripley(cells, "F", 0),
    "F, 100 simulations": lambda cells: ripley(cells, "F", 100),
    "nearest": lambda cells: sq.gr.spatial_neighbors_knn(cells, n_neighs=6, copy=True),
    "radius": lambda cells: sq.gr.spatial_neighbors_radius(cells, radius=30.0, copy=True),
    "delaunay": lambda cells: sq.gr.spatial_neighbors_delaunay(cells, radius=50.0, copy=True),
    "enrichment": lambda cells: (
        sq.gr.nhood_enrichment(cells, "type", seed=1, copy=True, show_progress_bar=False).zscore
    ),
    "interactions": lambda cells: sq.gr.interaction_matrix(cells, "type", copy=True),
    "co-occurrence": lambda cells: sq.gr.co_occurrence(
        cells, "type", interval=np.linspace(0.0, LARGEST, STEPS), copy=True
    )[0],
}


def main() -> None:
    """Answer requests until there are no more."""
    imported = time.process_time() - began
    print(json.dumps({"squidpy": sq.__version__, "imported": imported}), file=answers, flush=True)
    kept: dict[str, anndata.AnnData] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["points"] not in kept:
            kept = {request["points"]: table(request["points"])}
        cells = kept[request["points"]]
        if request["call"] in ("enrichment", "interactions"):
            prepare(cells)
        started = time.process_time()
        value = CALLS[request["call"]](cells)
        seconds = time.process_time() - started
        if isinstance(value, tuple):
            value = arcs(value)
        np.save(request["out"], value)
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


if __name__ == "__main__":
    main()
