"""Yeo-Johnson and standardisation learned on training patients."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import PowerTransformer

from times_stats.rivals.transforms import estimate_power, learn_transform, yeo_johnson


def matrix(seed=0, n=150):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4))
    return np.column_stack([np.exp(z[:, 0]), z[:, 1], -np.exp(z[:, 2]), 100 + 40 * z[:, 3]])


def test_powers_are_those_of_scikit_learn():
    X = matrix()
    np.testing.assert_allclose(estimate_power(X), PowerTransformer().fit(X).lambdas_, atol=2e-4)


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
def test_transform_is_that_of_scikit_learn_and_increasing(power):
    X = np.linspace(-5, 5, 41)[:, None]
    reference = PowerTransformer(standardize=False).fit(X)
    reference.lambdas_ = np.array([power])
    found = yeo_johnson(X, np.array([power]))
    np.testing.assert_allclose(found, reference.transform(X), atol=1e-12)
    assert (np.diff(found[:, 0]) > 0).all()


def test_missing_values_are_left_out_and_stay_missing():
    X = matrix()
    holed = np.vstack([X, np.full((3, 4), np.nan)])
    every = np.ones(4, dtype=bool)
    state = learn_transform(holed, gaussianise=every, rescale=every)
    whole = learn_transform(X, gaussianise=every, rescale=every)
    np.testing.assert_allclose(state.power, whole.power, atol=1e-9)
    np.testing.assert_allclose(state.mean, whole.mean)
    assert np.isnan(state.apply(holed)[-3:]).all()


def test_test_patients_teach_nothing():
    X = matrix()
    every = np.ones(4, dtype=bool)
    state = learn_transform(X[:100], gaussianise=every, rescale=every)
    shifted = X.copy()
    shifted[100:] += 1e3
    np.testing.assert_array_equal(state.apply(X)[:100], state.apply(shifted)[:100])
    assert state.apply(X[:100]).mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-12)
    assert state.apply(X[:100]).std(axis=0) == pytest.approx(np.ones(4))


def test_two_values_are_standardised_only_and_constants_become_zero():
    X = np.column_stack([np.repeat([1.0, 2.0], 10), np.full(20, 7.0), np.full(20, np.nan)])
    every = np.ones(3, dtype=bool)
    state = learn_transform(X, gaussianise=every, rescale=every)
    assert state.power.tolist() == [1.0, 1.0, 1.0]
    assert state.constant.tolist() == [False, True, True]
    applied = state.apply(X)
    assert set(applied[:, 0]) == {-1.0, 1.0}
    assert (applied[:, 1:] == 0).all()


def test_huge_values_stay_finite():
    X = np.geomspace(1e-6, 1e12, 60)[:, None]
    every = np.ones(1, dtype=bool)
    state = learn_transform(X, gaussianise=every, rescale=every)
    assert np.isfinite(state.apply(X)).all()
    assert np.isfinite(state.apply(-X)).all()
