"""Statistics of tissue organisation on 34 breast cancers: a sanity check, see the data's README."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from times_stats.features.aggregates import find_aggregates
from times_stats.features.cellular_neighbourhoods import (
    learn_neighbourhoods,
    neighbourhood_composition,
    neighbourhood_shares,
)
from times_stats.features.enrichment import neighbourhood_enrichment
from times_stats.features.mixing import count_interactions
from times_stats.features.neighbour_graph import radius_graph
from times_stats.features.quadrats import morisita_horn
from times_stats.regions.window import Window

FILE = Path(__file__).parents[1] / "data" / "tnbc_mibi" / "cells.parquet"
PIXEL = 800 / 2048
TUMOUR = ["Epithelial", "Tumor/EGFR", "Tumor/Keratin"]
NEITHER = ["Endothelial/Vim", "Mesenchymal/SMA"]


@pytest.fixture(scope="module")
def images() -> dict[str, pd.DataFrame]:
    cells = pd.read_parquet(FILE)
    cells[["x", "y"]] = cells[["x", "y"]] / 32 * PIXEL
    return dict(iter(cells.groupby("patient_id")))


@pytest.fixture(scope="module")
def label(images) -> np.ndarray:
    return np.array([image["graph_label"].iloc[0] for image in images.values()])


def lower_limit(score: np.ndarray, label: np.ndarray) -> float:
    """Lower end of the 95 % DeLong interval of the AUC, by all pairs."""
    mixed, apart = score[label == 1], score[label == 0]
    win = (mixed[:, None] > apart) + (mixed[:, None] == apart) / 2
    se = np.sqrt(win.mean(1).var(ddof=1) / mixed.size + win.mean(0).var(ddof=1) / apart.size)
    return float(win.mean() - norm.ppf(0.975) * se)


def immune_of(image: pd.DataFrame) -> list[str]:
    return sorted(set(image["cell_type"]) - set(TUMOUR) - set(NEITHER))


def test_the_file_is_whole(images, label):
    assert len(images) == 34
    assert sum(map(len, images.values())) == 176_774
    assert (label == 1).sum() == 19
    assert all(
        image["graph_label"].min() == image["graph_label"].max() for image in images.values()
    )
    limits = pd.concat(images.values())[["x", "y"]].agg(["min", "max"])
    assert (limits.to_numpy() > 0).all()
    assert (limits.to_numpy() < 800).all()


def test_mixing_score_and_overlap_are_higher_in_mixed_tumours(images, label):
    """The labels came from a mixing score: a failure would be a fault, success is no validation."""
    window = Window.rectangle(x=(0, 800), y=(0, 800))
    mixing, overlap = [], []
    for image in images.values():
        points, types = image[["x", "y"]].to_numpy(), image["cell_type"]
        immune = immune_of(image)
        found = count_interactions(points, types, immune=immune, tumour=TUMOUR, radius=15)
        assert found.reason == ""
        mixing.append(found.mixing_score)
        sides = [points[types.isin(group)] for group in (immune, TUMOUR)]
        overlap.append(morisita_horn(*sides, window=window, side=50))
    assert lower_limit(np.array(mixing), label) > 0.5
    assert lower_limit(np.array(overlap), label) > 0.5


def test_like_cells_are_neighbours(images):
    """Types cluster in every tumour: the z score of a type with itself is high."""
    image = images["patient9"]
    graph = radius_graph(image[["x", "y"]], radius=15)
    types = ["B", "CD4T", "CD8T", "Epithelial"]
    table = neighbourhood_enrichment(graph, image["cell_type"], types=types)
    own = np.diag(table["z"].to_numpy())
    assert (own > 5).all()
    assert float(table["z"].sel(type_from="CD8T", type_to="Epithelial")) < -5


def test_kinds_learned_on_some_tumours_are_found_in_others(images):
    types = ["B", "CD4T", "CD8T", "Epithelial"]
    windows = {
        name: neighbourhood_composition(
            image[["x", "y"]], image["cell_type"], types=types, n_neighbours=10
        )
        for name, image in list(images.items())[:6]
    }
    training = dict(list(windows.items())[:3])
    kinds = learn_neighbourhoods(
        list(training.values()), n_neighbourhoods=4, rng=np.random.default_rng(1)
    )
    assert kinds.converged
    assert kinds.centres.sum(axis=1).max() <= 1 + 1e-12
    table = neighbourhood_shares(kinds, windows)
    np.testing.assert_allclose(table.filter(like="share_").sum(axis=1), 1)
    assert table["n_cells"].tolist() == [len(one.shares) for one in windows.values()]


def test_the_tumour_with_most_b_cells_has_large_aggregates(images):
    image = images["patient35"]
    assert (image["cell_type"] == "B").sum() > 4000
    table = find_aggregates(
        image[["x", "y"]],
        image["cell_type"],
        members=["B", "CD4T", "CD8T"],
        radius=15,
        min_cells=50,
        min_neighbours=6,
    )
    assert table["n_cells"].iloc[0] > 1000
    assert table["area"].max() < 800**2
    cold = images["patient7"]  # no B cell
    assert (
        len(
            find_aggregates(
                cold[["x", "y"]], cold["cell_type"], members=["B", "CD8T"], radius=15, min_cells=1
            )
        )
        == 0
    )
