"""Synthetic images with a straight, known front, and what is measured of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SIDE = 400.0


def make_cells(*, n_patients: int, n_images: int = 2, seed: int = 1) -> pd.DataFrame:
    """Tumour left of x = 200; CD8 cells everywhere, CD20 cells right of the front."""
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(n_patients):
        for k in range(n_images):
            xy = rng.uniform(0, SIDE, size=(700, 2))
            kind = np.where(xy[:, 0] < 200, "CK", "stroma")
            immune = rng.random(700) < 0.1 + 0.01 * (p % 7)
            kind = np.where(immune, "CD8", kind)
            kind = np.where(immune & (xy[:, 0] > 180) & (rng.random(700) < 0.5), "CD20", kind)
            image = f"i{p:02d}_{k}"
            rows.append(
                pd.DataFrame(
                    {"patient_id": f"p{p:02d}", "image_id": image, "x": xy[:, 0], "y": xy[:, 1]}
                ).assign(cell_type=kind)
            )
    return pd.concat(rows, ignore_index=True)


def make_patients(n_patients: int, *, seed: int = 2) -> pd.DataFrame:
    """Exponential times, two thirds with the event."""
    rng = np.random.default_rng(seed)
    time = rng.exponential(30, n_patients).round(2) + 0.5
    event = (rng.random(n_patients) < 0.67).astype(int)
    ids = [f"p{p:02d}" for p in range(n_patients)]
    return pd.DataFrame({"patient_id": ids, "time": time, "event": event})


STUDY = """
[study]
name = "Synthetic tissue"
horizon = 20
[patients]
path = "patients.csv"
[cells]
path = "cells.parquet"
tumour = ["CK"]
window = "rectangle"
[regions]
invasive_front = [-50, 50]
peritumour = false
[features]
radii = [10, 20, 30]
[score]
markers = ["CD20", "CD8"]
"""


def write_study(folder: Path, *, n_patients: int, n_images: int = 2) -> Path:
    """Write the study file and its tables; return the file."""
    make_cells(n_patients=n_patients, n_images=n_images).to_parquet(folder / "cells.parquet")
    make_patients(n_patients).to_csv(folder / "patients.csv", index=False)
    path = folder / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path
