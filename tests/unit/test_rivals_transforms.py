"""Yeo-Johnson and standardisation learned on training patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import PowerTransformer, StandardScaler

from times_stats.errors import InputError
from times_stats.rivals.transforms import learn_transform

SKEWED = np.exp(np.linspace(-2.0, 2.0, 60))


def table(seed=0, n=150):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4))
    return pd.DataFrame(
        {"a": np.exp(z[:, 0]), "b": z[:, 1], "c": -np.exp(z[:, 2]), "d": 100 + 40 * z[:, 3]}
    )


def learn(X, gaussianise=True, rescale=True):
    p = X.shape[1]
    return learn_transform(
        X, gaussianise=np.full(p, gaussianise), rescale=np.full(p, rescale, dtype=bool)
    )


def test_continuous_columns_are_those_of_scikit_learn():
    X = table().to_numpy()
    # scipy searches the power to some 1e-7
    np.testing.assert_allclose(
        learn(table()).apply(X), PowerTransformer(method="yeo-johnson").fit_transform(X), atol=1e-6
    )


def test_other_columns_are_standardised_or_centred():
    X = table()
    state = learn_transform(
        X,
        gaussianise=np.array([True, False, False, False]),
        rescale=np.array([True, True, False, False]),
    )
    found = state.apply(X.to_numpy())
    values = X.to_numpy()
    np.testing.assert_allclose(found[:, 1], StandardScaler().fit_transform(values)[:, 1])
    np.testing.assert_allclose(found[:, 2:], values[:, 2:] - values[:, 2:].mean(axis=0))
    assert abs(found[:, 0].std() - 1) < 1e-9
    assert state.standardised_only == ()


def test_missing_values_are_left_out_and_stay_missing():
    X = table()
    holed = pd.concat([X, X[:3] * np.nan], ignore_index=True)
    found = learn(holed).apply(holed.to_numpy())
    np.testing.assert_allclose(found[:-3], learn(X).apply(X.to_numpy()), atol=1e-6)
    assert np.isnan(found[-3:]).all()


def test_test_patients_teach_nothing():
    X = table()
    state = learn(X[:100])
    shifted = X.to_numpy().copy()
    shifted[100:] += 1e3
    found = state.apply(X.to_numpy())
    np.testing.assert_array_equal(found[:100], state.apply(shifted)[:100])
    assert found[:100].mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-12)
    assert found[:100].std(axis=0) == pytest.approx(np.ones(4))


def test_two_values_are_standardised_only_and_constants_become_zero():
    X = pd.DataFrame(
        {
            "two": np.repeat([1.0, 2.0], 10),
            "flat": 7.0,
            "absent": np.nan,
            "rounding": 1e6 + 2e-10 * np.arange(20.0),
        }
    )
    state = learn(X)
    found = state.apply(X.to_numpy())
    assert set(found[:, 0]) == {-1.0, 1.0}
    assert (found[:, 1:] == 0).all()
    assert (state.apply(X.to_numpy() + 5)[:, 1:] == 0).all()
    assert state.standardised_only == ("rounding",)


@pytest.mark.parametrize(
    "column",
    [
        1000 + SKEWED,
        1e10 + SKEWED,
        1e-6 * SKEWED,
        np.r_[np.zeros(58), 1e-5, 2.0],
    ],
    ids=["far from 0", "very far from 0", "minute", "mostly constant"],
)
def test_columns_without_a_usable_power_are_standardised_and_named(column):
    X = table(n=60).assign(odd=column)
    state = learn(X)
    assert state.standardised_only == ("odd",)
    found = state.apply(X.to_numpy())
    np.testing.assert_allclose(found[:, 4], (column - column.mean()) / column.std(), atol=1e-5)
    np.testing.assert_allclose(
        found[:, :4], PowerTransformer().fit_transform(X.to_numpy()[:, :4]), atol=1e-6
    )


def test_huge_values_stay_finite_and_those_beyond_1e40_are_an_error():
    X = pd.DataFrame({"CD8": np.geomspace(1e-6, 1e39, 60)})
    state = learn(X)
    assert np.isfinite(state.apply(X.to_numpy())).all()
    assert np.isfinite(state.apply(-X.to_numpy())).all()
    with pytest.raises(InputError, match=r"\['CD8'\] hold values beyond 1e\+40"):
        learn(X * 100)
    with pytest.raises(InputError, match="another unit"):
        state.apply(100 * X.to_numpy())
