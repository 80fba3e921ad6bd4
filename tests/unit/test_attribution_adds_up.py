"""From real boosters through the pooling: contributions add up to each patient's score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution.shapley import marker_region_shapley
from times_stats.boosting.calibration import complementary_log_log
from times_stats.features.matrix import build_feature_table
from times_stats.score.times_score import TimesScore
from times_stats.simulate import simulate_study
from times_stats.tables.study import build_study, outcome


@pytest.fixture(scope="module", params=["shrunken", "random_effects"])
def fitted(request):
    simulated = simulate_study(n_patients=100, markers=3, regions=2, missing_block=True, seed=8)
    settings = {
        "study": {"name": "simulated", "endpoint": "event", "horizon": 24},
        "score": {"missing": "keep"},
    }
    study = build_study(settings, simulated.patients, simulated.measurements)
    with pytest.warns(match="block"):
        features = build_feature_table(study).values
    score = TimesScore(horizon=24.0, n_folds=3, n_repeats=2, pooling=request.param)
    return score.fit(features, outcome(study)), features


def weights_of(table: pd.DataFrame) -> pd.DataFrame:
    return table.filter(like="weight_").rename(columns=lambda name: name.removeprefix("weight_"))


def test_out_of_fold_contributions_add_up(fitted):
    score, _ = fitted
    table = score.out_of_fold_
    phi = marker_region_shapley(score.out_of_fold_evidence_, weights_of(table))
    total = phi.sum(axis=1, skipna=True)
    assert total.abs().max() > 0.01
    np.testing.assert_allclose(total, table["linear_predictor"], atol=2e-6)


def test_contributions_of_new_patients_add_up_to_the_score(fitted):
    score, features = fitted
    new = features.iloc[::3] * 1.1
    table = score.predict_table(new)
    phi = marker_region_shapley(score.evidence(new), weights_of(table))
    # What no marker explains: the pooled baseline of the training folds.
    pooled = sum(
        weights_of(table)[marker]
        * complementary_log_log(table[f"probability_{marker}"].fillna(0.5).to_numpy())
        for marker in weights_of(table)
    )
    baseline = pooled - table["linear_predictor"]
    predicted = 1 - np.exp(-np.exp(baseline + phi.sum(axis=1, skipna=True)))
    np.testing.assert_allclose(predicted, table["score"], atol=2e-6)
