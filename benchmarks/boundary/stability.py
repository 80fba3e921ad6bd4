"""How far the boundary of real images depends on how they lie: turned, mirrored, moved, stirred.

Each of the 247 images of `lung_vectra` is measured as it is and again after a change that should
change nothing (mirrored, turned, moved by less than a micrometre) or hardly anything (every cell
stirred by up to 0.1 micrometres along each axis, less than a pixel of the microscope).
Images count whose boundary appears or vanishes; the others give the share of their cells that
change compartment, the mean move of the signed distance, and the worst image of both.

Run: python benchmarks/boundary/stability.py > benchmarks/boundary/stability.txt
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from joblib import Parallel, delayed

from times_stats.datasets.lung import lung_vectra_folder
from times_stats.regions.boundary import signed_distance, tumour_boundary
from times_stats.regions.compartments import Compartments, assign_compartments
from times_stats.regions.tissue import tissue_window
from times_stats.resampling import spawn_rng
from times_stats.tables.cell_opening import open_cells
from times_stats.tables.cells import iterate_images

COMPARTMENTS = Compartments(invasive_front=(-20, 20), peritumour=None)  # those of the shipped study
MOVED, STIRRED = np.array([0.37, -0.21]), 0.1
TURN = np.array([[np.sqrt(0.75), -0.5], [0.5, np.sqrt(0.75)]])

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
CHANGES: dict[str, Change] = {
    "mirrored in x": lambda points, _: points * [-1, 1],
    "mirrored in y": lambda points, _: points * [1, -1],
    "turned by 90 degrees": lambda points, _: points[:, ::-1] * [-1, 1],
    "turned by 30 degrees": lambda points, _: points @ TURN,
    "moved by (0.37, -0.21) um": lambda points, _: points + MOVED,
    "stirred by 0.1 um": lambda points, rng: points + rng.uniform(-STIRRED, STIRRED, points.shape),
}


def distances(points: np.ndarray, is_tumour: np.ndarray) -> np.ndarray:
    """Signed distance of each cell, NaN without a boundary."""
    window = tissue_window(points)
    found = tumour_boundary(points, is_tumour, window=window)
    return signed_distance(points, found)


def measure(number: int, points: np.ndarray, is_tumour: np.ndarray) -> np.ndarray:
    """Return one row per change: boundaries lost or won, share of cells moved, mean move."""
    rng = spawn_rng(1, "stability", str(number))
    before = distances(points, is_tumour)
    rows = []
    for change in CHANGES.values():
        after = distances(change(points, rng), is_tumour)
        known = np.isfinite(before) & np.isfinite(after)
        if not known.any():
            lost = bool(np.isfinite(before).any() or np.isfinite(after).any())
            rows.append([float(lost), np.nan, np.nan])
            continue
        codes = [
            assign_compartments(d[known], compartments=COMPARTMENTS).codes for d in (before, after)
        ]
        apart = np.abs(after[known] - before[known])
        rows.append([0.0, float(np.mean(codes[0] != codes[1])), float(apart.mean())])
    return np.array(rows)


def main() -> None:
    source = open_cells(lung_vectra_folder() / "cells.parquet")
    images = [(cells.points, cells.cell_type == "CK") for cells in iterate_images(source)]
    rows = np.stack(
        Parallel(n_jobs=2)(delayed(measure)(k, *image) for k, image in enumerate(images))
    )
    print(f"{len(images)} images of lung_vectra, windows drawn around the tissue")
    print(f"{'':26} {'boundary':>12} {'cells in another compartment':>30} {'distance, um':>20}")
    print(
        f"{'change':26} {'lost or won':>12} {'mean':>19} {'worst image':>10} {'mean':>9} "
        f"{'worst image':>10}"
    )
    for k, name in enumerate(CHANGES):
        lost, share, apart = rows[:, k].T
        print(
            f"{name:26} {int(lost.sum()):12d} {np.nanmean(share):19.3%} {np.nanmax(share):11.2%} "
            f"{np.nanmean(apart):9.4f} {np.nanmax(apart):11.3f}"
        )


if __name__ == "__main__":
    main()
