"""Identities of the pooling rules, over random tables."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from times_stats.score import pool_published, pool_random_effects, pool_shrunken

TABLE = arrays(np.float64, (6, 3), elements=st.floats(0.0, 1.0))
SPREAD = arrays(np.float64, (6, 3), elements=st.floats(0.0, 0.2))
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
WEIGHTS = ["weight_1", "weight_2", "weight_3"]


@SETTINGS
@given(TABLE, SPREAD, st.integers(2, 6))
def test_always_finite_and_weights_sum_to_one(mean, variance, n_tiles):
    for pool in (pool_shrunken, pool_random_effects):
        table = pool(mean, variance, n_tiles=n_tiles)
        assert np.isfinite(table.to_numpy(dtype=float)).all()
        np.testing.assert_allclose(table[WEIGHTS].sum(axis=1), 1, rtol=1e-9)
        assert table["score"].between(0, 1).all()
        assert (table["lower"] <= table["score"]).all()
        assert (table["score"] <= table["upper"]).all()


@SETTINGS
@given(TABLE, SPREAD)
def test_symmetric_in_the_outcome(mean, variance):
    for pool in (pool_shrunken, pool_random_effects):
        table = pool(mean, variance, n_tiles=3)
        mirrored = pool(1 - mean, variance, n_tiles=3)
        np.testing.assert_allclose(table["score"], 1 - mirrored["score"], atol=1e-6)
        np.testing.assert_allclose(table["lower"], 1 - mirrored["upper"], atol=1e-6)


@SETTINGS
@given(st.permutations(range(6)), st.permutations(range(3)), st.integers(0, 1000))
def test_order_of_patients_and_markers_is_nothing(rows, columns, seed):
    rng = np.random.default_rng(seed)
    mean, variance = rng.uniform(0.05, 0.95, (6, 3)), rng.uniform(0.001, 0.05, (6, 3))
    for pool in (pool_shrunken, pool_random_effects):
        table = pool(mean, variance, n_tiles=4)
        moved = pool(mean[rows][:, columns], variance[rows][:, columns], n_tiles=4)
        np.testing.assert_allclose(moved["score"], table["score"].to_numpy()[rows], rtol=1e-7)


@SETTINGS
@given(st.integers(0, 1000))
def test_published_score_lies_between_the_means(seed):
    rng = np.random.default_rng(seed)
    mean, variance = rng.uniform(0.05, 1, (6, 3)), rng.uniform(0.001, 0.05, (6, 3))
    score = pool_published(mean, variance)["score"].to_numpy()
    assert ((mean.min(axis=1) <= score + 1e-12) & (score <= mean.max(axis=1) + 1e-12)).all()
