"""The plan of what is measured: defaults, and every fault by its message."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from times_stats.errors import InputError
from times_stats.features import CellPlan
from times_stats.tables.cell_settings import CellSettings, FeatureSettings, RegionSettings


def test_defaults_are_those_of_the_study_file():
    plan, features, regions = CellPlan(tumour=("CK",)), FeatureSettings(), RegionSettings()
    for name in (field.name for field in dataclasses.fields(features)):
        if name != "functions":
            assert getattr(plan, name) == getattr(features, name), name
    assert plan.compartments.invasive_front == regions.invasive_front
    assert plan.compartments.peritumour == regions.peritumour
    assert plan.source == regions.source
    assert plan.window == CellSettings().window
    assert plan.markers is None


def test_a_plan_is_a_value():
    assert CellPlan(tumour=("CK",)) == CellPlan(tumour=("CK",))
    assert len({CellPlan(tumour=("CK",)), CellPlan(tumour=("CK",), quadrat=20.0)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        CellPlan(tumour=("CK",)).quadrat = 10.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tumour": "CK"}, "plan: tumour is a single text: give a list"),
        ({"markers": "CD8"}, "markers is a single text: give a list"),
        ({"tumour_regions": "Tumor"}, "tumour_regions is a single text: give a list"),
        ({"aggregate_seeds": "B"}, "aggregate_seeds is a single text: give a list"),
        ({"aggregate_members": "B"}, "aggregate_members is a single text: give a list"),
        ({"tumour": ()}, "tumour is empty: name the cell types that are tumour cells"),
        ({"markers": ()}, "markers is empty: name what is measured, or None for everything"),
        ({"markers": ("CD8", "CK")}, "markers names the tumour type CK: leave it out"),
        ({"source": "mask"}, "source is 'mask': use boundary or column or annotation"),
        ({"window": "hull"}, "window is 'hull': use tissue or rectangle"),
        ({"correction": "ripley"}, "correction is 'ripley': use border or translation or "),
        ({"source": "column"}, "tumour_regions is empty: name the labels of the region column"),
        ({"radii": ()}, "radii is (): give increasing micrometres above 0, 1 or more"),
        ({"radii": (0.0, 10.0)}, "radii is (0.0, 10.0): give increasing micrometres above 0"),
        ({"radii": (20.0, 10.0)}, "radii is (20.0, 10.0): give increasing"),
        ({"radii": (10.0, np.inf)}, "radii is (10.0, inf): give increasing"),
        ({"radii": (10.0, np.nan)}, "radii is (10.0, nan): give increasing"),
        ({"radii": ("10", "20")}, "radii is ('10', '20'): give increasing"),
        ({"radii": 10.0}, "radii is 10.0: give increasing"),
        ({"bands": (-50.0, 50.0)}, "bands is (-50.0, 50.0): give increasing micrometres, 3 or "),
        ({"bands": (-50.0, 0.0, 0.0)}, "bands is (-50.0, 0.0, 0.0): give increasing"),
        ({"bands": (-np.inf, 0.0, 5.0)}, "bands is (-inf, 0.0, 5.0): give increasing"),
        ({"mixing_radius": 0.0}, "mixing_radius is 0.0: give positive micrometres"),
        ({"quadrat": -1.0}, "quadrat is -1.0: give positive micrometres"),
        ({"aggregate_radius": np.nan}, "aggregate_radius is nan: give positive micrometres"),
        ({"quadrat": "50"}, "quadrat is '50': give positive micrometres"),
        ({"quadrat": True}, "quadrat is True: give positive micrometres"),
        ({"n_neighbours": 0}, "n_neighbours is 0: give a whole number of at least 1"),
        ({"min_cells": 1}, "min_cells is 1: give a whole number of at least 2"),
        ({"min_cells": 2.0}, "min_cells is 2.0: give a whole number of at least 2"),
        ({"aggregate_cells": True}, "aggregate_cells is True: give a whole number of at least 2"),
        ({"aggregate_seeds": ("B",)}, "aggregates need both aggregate_seeds and aggregate_members"),
        ({"aggregate_members": ("B",)}, "aggregates need both aggregate_seeds and aggregate_me"),
        (
            {"aggregate_seeds": ("B", "plasma"), "aggregate_members": ("B", "T")},
            "aggregate_seeds names plasma, not among aggregate_members: add it there",
        ),
    ],
)
def test_faults_are_named(settings, message):
    with pytest.raises(InputError) as caught:
        CellPlan(**{"tumour": ("CK",), **settings})
    assert message in str(caught.value)
    assert len(caught.value.faults) == 1


def test_faults_are_collected():
    with pytest.raises(InputError) as caught:
        CellPlan(tumour=(), source="mask", radii=(), quadrat=0.0, min_cells=0)
    assert len(caught.value.faults) == 5
