"""Marker x region Shapley values add up; summaries and their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution.shapley import marker_region_shapley, summarise_attribution
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng


def sample(n=40, seed=0):
    rng = np.random.default_rng(seed)
    columns = pd.MultiIndex.from_product(
        [["A", "B", "C"], ["core", "rim"]], names=["marker", "region"]
    )
    index = pd.Index([f"P{i:02d}" for i in range(n)], name="patient_id")
    z = pd.DataFrame(rng.normal(size=(n, 6)), index=index, columns=columns)
    w = rng.dirichlet([1, 1, 1], size=n)
    return z, pd.DataFrame(w, index=index, columns=["A", "B", "C"])


def test_rows_sum_to_the_pooled_linear_predictor():
    z, w = sample()
    phi = marker_region_shapley(z, w)
    margins = z.T.groupby(level="marker").sum().T
    np.testing.assert_allclose(phi.sum(axis=1), (w * margins).sum(axis=1), atol=1e-12)
    assert phi.columns.equals(z.columns)


def test_column_order_of_the_weights_does_not_matter():
    z, w = sample()
    pd.testing.assert_frame_equal(
        marker_region_shapley(z, w[["C", "A", "B"]]), marker_region_shapley(z, w)
    )


def test_missing_marker_stays_missing_and_sums_skip_it():
    z, w = sample()
    z.iloc[0, :2] = np.nan
    w.iloc[0] = [0.0, 0.5, 0.5]
    phi = marker_region_shapley(z, w)
    assert phi.iloc[0, :2].isna().all()
    assert phi.iloc[0].sum() == pytest.approx(0.5 * z.iloc[0, 2:].sum())


def test_summary_is_the_mean_of_absolute_values_with_shares():
    z, w = sample()
    phi = marker_region_shapley(z, w)
    table = summarise_attribution(phi, n_resamples=400, rng=spawn_rng(1))
    np.testing.assert_allclose(table["mean_absolute"], phi.abs().mean())
    assert table["share"].sum() == pytest.approx(1.0)
    assert (table["lower"] < table["mean_absolute"]).all()
    assert (table["mean_absolute"] < table["upper"]).all()
    se = phi.abs().std(ddof=0) / np.sqrt(len(phi))
    width = (table["upper"] - table["lower"]).to_numpy()
    np.testing.assert_allclose(width, 3.92 * se, rtol=0.2)
    assert list(zip(table["marker"], table["region"], strict=True)) == list(phi.columns)


def test_summary_counts_a_missing_marker_as_no_contribution():
    z, w = sample()
    phi = marker_region_shapley(z, w)
    phi.iloc[:10, :2] = np.nan
    phi.iloc[39] = np.nan
    table = summarise_attribution(phi, n_resamples=20, rng=spawn_rng(1))
    expected = phi.iloc[:39].abs().fillna(0.0).mean()
    np.testing.assert_allclose(table["mean_absolute"], expected)
    assert table["n"].tolist() == [29, 29, 39, 39, 39, 39]


def test_no_attribution_at_all_has_no_shares():
    z, _ = sample()
    table = summarise_attribution(0.0 * z, n_resamples=5, rng=spawn_rng(1))
    assert table["share"].isna().all()
    with pytest.raises(InputError, match="no patient has an attribution"):
        summarise_attribution(np.nan * z, n_resamples=5, rng=spawn_rng(1))


def test_faults_are_listed():
    z, w = sample()
    with pytest.raises(InputError, match=r"no column for the markers \['C'\].*same patients"):
        marker_region_shapley(z, w[["A", "B"]].iloc[::-1])
