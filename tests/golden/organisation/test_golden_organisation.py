"""Values from R (make_golden.R, session_info.txt); golden.csv names the function of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.features.cellular_neighbourhoods import neighbourhood_composition
from times_stats.features.composition import entropy_by_band
from times_stats.features.enrichment import neighbourhood_enrichment
from times_stats.features.infiltration import infiltration_gradient, infiltration_profile
from times_stats.features.mixing import count_interactions
from times_stats.features.neighbour_graph import (
    NeighbourGraph,
    delaunay_graph,
    nearest_neighbour_graph,
    radius_graph,
)
from times_stats.features.quadrats import morisita_horn, morisita_horn_index
from times_stats.regions.window import Window

HERE = Path(__file__).parent
GOLDEN = pd.read_csv(HERE / "golden.csv", dtype={"argument": str, "data": str})
CELLS = pd.read_csv(HERE / "cells.csv")
BANDS = pd.read_csv(HERE / "bands.csv")
POINTS = CELLS[["x", "y"]].to_numpy()
TYPES = ["B", "T", "stroma", "tumour"]
IMMUNE = ["B", "T"]


def golden(quantity: str, data: str | None = None) -> pd.DataFrame:
    rows = GOLDEN[GOLDEN["quantity"] == quantity]
    rows = rows if data is None else rows[rows["data"] == data]
    assert len(rows) > 0, quantity
    return rows


def build(name: str) -> NeighbourGraph:
    if name == "radius":
        return radius_graph(POINTS, radius=45)
    if name == "nearest":
        return nearest_neighbour_graph(POINTS, n_neighbours=6)
    return delaunay_graph(POINTS, longest=np.inf)


@pytest.mark.parametrize("name", ["radius", "nearest", "delaunay"])
def test_graphs_are_those_of_spdep_and_deldir(name):
    edges = pd.read_csv(HERE / "edges.csv")
    edges = edges[edges["graph"] == name]
    expected = set(zip(edges["source"] - 1, edges["target"] - 1, strict=True))
    if name == "delaunay":  # each link once
        expected |= {(j, i) for i, j in expected}
    graph = build(name)
    assert len(expected) == graph.source.size
    assert set(zip(graph.source.tolist(), graph.target.tolist(), strict=True)) == expected


@pytest.mark.parametrize("name", ["radius", "delaunay"])
def test_join_counts_are_those_of_spdep(name):
    joins = pd.read_csv(HERE / "joins.csv")
    joins = joins[joins["graph"] == name]
    assert len(joins) == 10
    table = neighbourhood_enrichment(build(name), CELLS["cell_type"], types=TYPES)
    for row in joins.itertuples():
        first, second = row.pair.split(":")
        arcs = 2 if first == second else 1  # spdep counts a link of one type once
        for pair in ((first, second), (second, first)):
            found = table.sel(type_from=pair[0], type_to=pair[1])
            assert int(found["count"]) == arcs * row.joins
            assert float(found["expected"]) == pytest.approx(arcs * row.expected, rel=1e-13)
            assert float(found["sd"]) == pytest.approx(arcs * np.sqrt(row.variance), rel=1e-12)
            assert float(found["z"]) == pytest.approx(row.z, rel=1e-11)
            assert found["reason"] == ""


def test_mixing_scores():
    for row in golden("mixing_score").itertuples():
        found = count_interactions(
            POINTS,
            CELLS["cell_type"],
            immune=IMMUNE,
            tumour=["tumour"],
            radius=float(row.argument),
        )
        for name in (
            "immune_tumour",
            "immune_immune",
            "mixing_score",
            "normalised_mixing_score",
        ):
            rows = golden(name)
            expected = rows.loc[rows["argument"] == row.argument, "value"].item()
            assert getattr(found, name) == pytest.approx(expected, rel=1e-13)


def test_morisita_horn_is_that_of_vegan():
    for row in golden("morisita_horn_index").itertuples():
        first, second = ([int(k) for k in part.split()] for part in row.data.split("|"))
        areas = None if row.argument == "equal areas" else [int(k) for k in row.argument.split()]
        found = morisita_horn_index(first, second, areas=areas)
        assert found == pytest.approx(row.value, abs=1e-14)
    row = golden("morisita_horn").iloc[0]
    immune = CELLS["cell_type"].isin(IMMUNE).to_numpy()
    tumour = (CELLS["cell_type"] == "tumour").to_numpy()
    window = Window.rectangle(x=(0, 400), y=(0, 300))
    found = morisita_horn(POINTS[immune], POINTS[tumour], window=window, side=50)
    assert found == pytest.approx(row["value"], rel=1e-13)


def test_gradient_is_that_of_glm():
    distance = CELLS.loc[CELLS["cell_type"].isin(IMMUNE), "distance"]
    edges = [*BANDS["lower"], BANDS["upper"].iloc[-1]]
    found = infiltration_gradient(distance, edges=edges, areas=BANDS["area"])
    assert (
        infiltration_profile(distance, edges=edges, areas=BANDS["area"])["count"].tolist()
        == BANDS["count"].tolist()
    )
    names = {
        "slope": "slope_poisson",
        "se": "se_poisson",
        "lower": "lower_poisson",
        "upper": "upper_poisson",
        "intercept": "intercept",
        "dispersion": "dispersion",
        "se_quasi": "se_quasi",
        "lower_quasi": "lower_quasi",
        "upper_quasi": "upper_quasi",
    }
    for name, quantity in names.items():
        expected = golden(quantity, "bands")["value"].item()
        assert getattr(found, name) == pytest.approx(expected, rel=1e-9), name
    assert (found.n_bands, found.n_cells) == (6, int(BANDS["count"].sum()))


def test_poisson_limits_are_those_of_poisson_test():
    low, high = golden("intensity_lower"), golden("intensity_upper")
    for row, other in zip(low.itertuples(), high.itertuples(), strict=True):
        table = infiltration_profile(
            np.ones(int(row.data)), edges=[0, 2], areas=[5e5], confidence_level=float(row.argument)
        )
        assert table["intensity_lower"].item() == pytest.approx(row.value, rel=1e-12)
        assert table["intensity_upper"].item() == pytest.approx(other.value, rel=1e-12)


@pytest.mark.parametrize("name", ["entropy", "effective_types", "entropy_miller_madow"])
def test_entropy_is_that_of_vegan(name):
    table = entropy_by_band(
        CELLS["distance"], CELLS["cell_type"], edges=[-200, 0, 100, 200], types=TYPES
    )
    assert table["reason"].eq("").all()
    np.testing.assert_allclose(table[name], golden(name)["value"], rtol=1e-13)


def test_windows_hold_the_cell_and_the_nearest_of_spdep():
    expected = pd.read_csv(HERE / "windows.csv")[TYPES].to_numpy()
    found = neighbourhood_composition(POINTS, CELLS["cell_type"], types=TYPES, n_neighbours=10)
    np.testing.assert_allclose(found.shares, expected, atol=1e-14)
