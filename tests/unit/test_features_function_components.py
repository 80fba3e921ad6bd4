"""Principal components of curves: known curves, norms, signs, what is missing, and messages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from times_stats.errors import InputError
from times_stats.features.function_components import (
    SpatialFunctions,
    component_scores,
    learn_components,
)

UNEVEN = np.array([5.0, 10.0, 20.0, 40.0, 60.0, 100.0])


def trapezoid(values, r):
    return np.trapezoid(values, r, axis=-1)


def two_components(r, n=60, seed=1):
    """Curves a phi + b psi of two functions that are orthonormal under the trapezoid rule."""
    phi = 1 + 0 * r
    phi = phi / np.sqrt(trapezoid(phi**2, r))
    psi = r - trapezoid(r * phi, r) * phi
    psi = psi / np.sqrt(trapezoid(psi**2, r))
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 2))
    scores -= scores.mean(axis=0)
    scores = np.linalg.qr(scores)[0] * np.sqrt(n) * [5.0, 2.0]  # uncorrelated, sd 5 and 2
    return np.vstack([phi, psi]), scores


@pytest.mark.parametrize("r", [UNEVEN, np.linspace(10, 100, 10)], ids=["uneven", "even"])
def test_known_components_are_recovered(r):
    known, scores = two_components(r)
    mean = np.sin(r / 20)
    learned = learn_components(mean + scores @ known, r=r, n_components=4)
    assert learned.components.shape == (2, r.size)  # there are no more than two
    assert learned.n_curves == 60
    np.testing.assert_allclose(learned.mean, mean, atol=1e-12)
    np.testing.assert_allclose(learned.share, [25 / 29, 4 / 29], rtol=1e-10)
    np.testing.assert_allclose(learned.components, known, atol=1e-10)
    found = component_scores(learned, mean + scores @ known)
    np.testing.assert_allclose(found, scores, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(3, 12),
    n_r=st.integers(2, 8),
    n_components=st.integers(1, 3),
    seed=st.integers(0, 10_000),
)
def test_what_holds_for_any_curves(n, n_r, n_components, seed):
    rng = np.random.default_rng(seed)
    r = np.cumsum(rng.uniform(0.5, 20, n_r))
    curves = rng.normal(size=(n, n_r)) * rng.uniform(0.01, 100)
    learned = learn_components(curves, r=r, n_components=n_components)
    k = min(n_components, n - 1, n_r)
    assert learned.components.shape == (k, n_r)
    gram = trapezoid(learned.components[:, None] * learned.components[None], r)
    np.testing.assert_allclose(gram, np.eye(k), atol=1e-8)
    assert (trapezoid(learned.components, r) > -1e-8).all()
    scores = component_scores(learned, curves)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-8 * abs(curves).max() * r[-1])
    covariance = scores.T @ scores / n
    off = covariance - np.diag(np.diag(covariance))
    assert abs(off).max() < 1e-8 * covariance.max()
    assert (np.diff(learned.share) <= 1e-12).all()
    total = trapezoid((curves - curves.mean(axis=0)) ** 2, r).mean()
    np.testing.assert_allclose(learned.share, np.diag(covariance) / total, rtol=1e-8)


def test_even_spacing_without_end_weights_is_plain_pca():
    # The trapezoid weighs both ends by half; curves that are 0 there leave an unweighted PCA.
    rng = np.random.default_rng(4)
    curves = rng.normal(size=(30, 6))
    curves[:, [0, -1]] = 0.0
    learned = learn_components(curves, r=np.arange(6) * 4.0, n_components=2)
    plain = PCA(2).fit(curves)
    np.testing.assert_allclose(learned.share, plain.explained_variance_ratio_)
    cosine = (learned.components * 2 * plain.components_).sum(axis=1)  # norm 1 over 4 um steps
    np.testing.assert_allclose(abs(cosine), 1.0)


def test_uneven_spacing_is_not_plain_pca():
    rng = np.random.default_rng(4)
    curves = rng.normal(size=(30, 6))
    learned = learn_components(curves, r=UNEVEN, n_components=1)
    plain = PCA(1).fit(curves).components_[0]
    found = learned.components[0] / np.linalg.norm(learned.components[0])
    assert abs(found @ plain) < 0.99


def test_sign_is_that_of_the_integral_whatever_the_order_of_patients():
    known, scores = two_components(UNEVEN)
    curves = scores @ [known[0] + 0.3 * known[1], known[1]]
    first = learn_components(curves, r=UNEVEN).components
    assert (trapezoid(first, UNEVEN) > 0).all()
    for change in (-curves, curves[::-1]):
        np.testing.assert_allclose(learn_components(change, r=UNEVEN).components, first, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_sign_of_a_component_without_integral_is_that_of_its_end(seed):
    # Whatever is orthogonal to a constant has no integral: its sign would be rounding.
    known, scores = two_components(UNEVEN, seed=seed)
    learned = learn_components((scores * [1, (-1) ** seed]) @ known, r=UNEVEN)
    assert abs(trapezoid(learned.components[1], UNEVEN)) < 1e-9
    assert learned.components[1, -1] > 0


def test_curves_with_a_gap_are_left_out_and_have_no_score():
    known, scores = two_components(UNEVEN)
    curves = scores @ known
    spoiled = np.vstack([curves, curves[:3] * 100])
    spoiled[-3:, 2] = np.nan
    learned = learn_components(spoiled, r=UNEVEN)
    complete = learn_components(curves, r=UNEVEN)
    assert learned.n_curves == 60
    np.testing.assert_array_equal(learned.components, complete.components)
    found = component_scores(learned, spoiled)
    assert np.isnan(found[-3:]).all()
    assert np.isfinite(found[:-3]).all()


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_curves_have_no_component(n):
    curves = np.full((3, 6), np.nan)
    curves[:n] = 2.0
    learned = learn_components(curves, r=UNEVEN)
    assert learned.components.shape == (0, 6)
    assert learned.share.shape == (0,)
    assert learned.n_curves == n
    assert np.isnan(learned.mean).all() == (n == 0)
    assert component_scores(learned, curves).shape == (3, 0)


@pytest.mark.parametrize("shift", [0.0, 0.1, 1e6])
def test_equal_curves_have_no_component_of_rounding(shift):
    curves = np.tile(np.sin(UNEVEN) / 3 + shift, (7, 1))
    learned = learn_components(curves, r=UNEVEN)
    assert learned.components.shape == (0, 6)
    np.testing.assert_allclose(learned.mean, curves[0])
    tiny = curves + np.arange(7)[:, None] * 1e-6
    assert learn_components(tiny, r=UNEVEN).components.shape == (1, 6)


@pytest.mark.parametrize(
    ("curves", "keywords", "message"),
    [
        ([[1.0, 2.0]], {"r": [1.0]}, "r does not increase: give at least two increasing"),
        ([[1.0, 2.0]], {"r": [2.0, 2.0]}, "r does not increase"),
        ([[1.0, 2.0]], {"r": [np.nan, 2.0]}, "r does not increase"),
        ([[1.0, 2.0]], {"r": [1.0, np.inf]}, "r does not increase"),
        ([[1.0, 2.0]], {"r": [[1.0, 2.0]]}, "r does not increase"),
        ([1.0, 2.0], {"r": [1.0, 2.0]}, r"curves have shape \(2,\): give one row per patient"),
        ([[1.0]], {"r": [1.0, 2.0]}, "one column for each of the 2 distances"),
        ([[1.0, 2.0]], {"r": [1.0, 2.0], "n_components": 0}, "n_components is 0: give 1 or more"),
    ],
)
def test_faults_are_named(curves, keywords, message):
    with pytest.raises(InputError, match=message):
        learn_components(curves, **keywords)


def test_scores_need_the_distances_they_were_learned_on():
    learned = learn_components(np.eye(3), r=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match=r"curves have shape \(1, 2\).* of the 3 distances"):
        component_scores(learned, [[1.0, 2.0]])


def test_some_of_the_patients():
    ids = pd.Index(["a", "b", "c"], name="patient_id")
    scalars = pd.DataFrame({("CD8", "gradient"): [1.0, 2.0, 3.0]}, index=ids)
    curves = {("CD8", "l_self"): pd.DataFrame(np.arange(6.0).reshape(3, 2), index=ids)}
    part = SpatialFunctions(scalars, curves).of(np.array([True, False, True]))
    assert part.scalars.index.tolist() == ["a", "c"]
    assert part.curves["CD8", "l_self"].to_numpy().tolist() == [[0.0, 1.0], [4.0, 5.0]]
