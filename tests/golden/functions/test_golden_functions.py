"""Principal components of curves against R: prcomp and eigen (make_golden.R, session_info.txt)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.features.function_components import component_scores, learn_components

HERE = Path(__file__).parent
CURVES = pd.read_csv(HERE / "curves.csv")
GOLDEN = pd.read_csv(HERE / "golden.csv")
R = CURVES.columns.to_numpy(dtype=np.float64)


@pytest.fixture(scope="module")
def learned():
    return learn_components(CURVES.to_numpy(), r=R, n_components=3)


def golden(quantity):
    rows = GOLDEN[GOLDEN["quantity"] == quantity]
    return rows.pivot_table(index="component", columns="row", values="value").to_numpy()


def test_distances_are_unequally_spaced():
    assert np.unique(np.diff(R)).size > 2


def test_components_and_mean(learned):
    np.testing.assert_allclose(learned.components, golden("component"), atol=1e-10)
    np.testing.assert_allclose(learned.mean, golden("mean")[0], rtol=1e-12)


def test_scores(learned):
    scores = component_scores(learned, CURVES.to_numpy())
    np.testing.assert_allclose(scores, golden("score").T, atol=1e-8)


def test_shares(learned):
    np.testing.assert_allclose(learned.share, golden("share")[:, 0], rtol=1e-10)
