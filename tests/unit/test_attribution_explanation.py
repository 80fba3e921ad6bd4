"""Our TreeSHAP values are those of the shap library, and add up to the margin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shap

from times_stats.attribution.explanation import explain_marker_model
from times_stats.boosting.marker_model import MarkerModel


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(5)
    columns = pd.MultiIndex.from_product([["CD8"], ["adjacent", "tumour"]])
    X = pd.DataFrame(rng.gamma(2, 10, size=(150, 2)), columns=columns)
    time = rng.exponential(30 * np.exp(-X.iloc[:, 0] / 20))
    y = pd.DataFrame({"time": time, "event": rng.integers(0, 2, 150)})
    return MarkerModel(horizon=24.0).fit(X, y), X


def test_values_are_those_of_the_shap_library(fitted):
    model, X = fitted
    ours = explain_marker_model(model, X)
    theirs = shap.TreeExplainer(model.booster_).shap_values(X.to_numpy(dtype=np.float32))
    assert np.abs(ours.values).max() > 0.01
    np.testing.assert_allclose(ours.values, theirs, atol=2e-5)


def test_values_and_base_add_up_to_the_margin(fitted):
    model, X = fitted
    ours = explain_marker_model(model, X)
    margin = model.predict(X) + model.base_value_
    np.testing.assert_allclose(ours.values.sum(axis=1) + ours.base_values, margin, atol=2e-6)
    assert ours.feature_names == ["CD8 adjacent", "CD8 tumour"]
    np.testing.assert_array_equal(ours.data, X.to_numpy())
