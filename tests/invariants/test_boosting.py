"""Identities of the marker models, over random studies."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from times_stats.boosting import MarkerModel, crossfit, out_of_fold_evidence, out_of_fold_margin


def draw(seed, n=60):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:02d}" for i in range(n)], name="patient_id")
    columns = pd.MultiIndex.from_product([["CD57", "CD8"], ["adjacent", "tumour"]])
    features = pd.DataFrame(rng.lognormal(size=(n, 4)), index=index, columns=columns)
    time = np.round(rng.exponential(20, size=n))  # ties, and zeros
    event = (rng.random(n) < 0.7).astype(int)
    time[0] = 60.0
    return features, pd.DataFrame({"time": time, "event": event}, index=index)


SEEDS = st.integers(0, 10_000)
FAST = settings(max_examples=8, deadline=None, derandomize=True)


@FAST
@given(SEEDS)
def test_evidence_sums_to_the_margin(seed):
    features, y = draw(seed)
    model = MarkerModel(min_child_weight=1)
    fit = crossfit(features, y, model=model, horizon=20.0, n_folds=3, n_repeats=2)
    total = out_of_fold_evidence(fit).T.groupby(level=0).sum().T
    np.testing.assert_allclose(total, out_of_fold_margin(fit), atol=1e-6)


@FAST
@given(SEEDS)
def test_monotone_transformations_of_time_change_no_tree(seed):
    features, y = draw(seed)
    block = features["CD57"]
    model = MarkerModel(min_child_weight=1)
    margin = model.fit(block, y).predict(block)
    later = MarkerModel(min_child_weight=1).fit(block, y.assign(time=y["time"] ** 2 + 1))
    np.testing.assert_array_equal(margin, later.predict(block))


@FAST
@given(SEEDS)
def test_new_names_of_patients_change_no_evidence(seed):
    features, y = draw(seed)
    folds = np.random.default_rng(seed).permutation(60) % 3
    names = pd.Index([f"q{(7 * i) % 60:02d}" for i in range(60)])
    first = crossfit(features, y, horizon=20.0, folds=folds)
    second = crossfit(features.set_axis(names), y.set_axis(names), horizon=20.0, folds=folds)
    again = second.margin.sel(patient=names.to_numpy()).to_numpy()
    np.testing.assert_array_equal(first.margin.to_numpy(), again)
