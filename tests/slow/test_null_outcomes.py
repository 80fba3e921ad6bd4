"""Shuffled outcomes: the nested loop finds nothing, the single-level one pretends to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.boosting.marker_model import MarkerModel
from times_stats.evaluation.discrimination import concordance_harrell
from times_stats.features.matrix import build_feature_table
from times_stats.pipeline.nested import RAW, SCORE, SURVIVAL, NestedSettings, predict_nested
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.score.times_score import TimesScore
from times_stats.simulate import simulate_study
from times_stats.survival.prediction import linear_predictor
from times_stats.survival.sampling import fit_survival
from times_stats.tables.study import build_study, outcome

N_SHUFFLES = 30
SETTINGS = NestedSettings(horizon=24.0, times=np.array([12.0, 24.0]), n_folds=5, n_repeats=2)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sampling")]


@pytest.fixture(scope="module")
def tissue(compiled_weibull):
    simulated = simulate_study(n_patients=120, markers=2, regions=2, seed=11)
    study = build_study(
        {"study": {"name": "null", "endpoint": "event", "horizon": 24}},
        simulated.patients,
        simulated.measurements,
    )
    # Under the names of the model that the session has compiled, 2 markers x 2 regions.
    features = build_feature_table(study).values.set_axis(compiled_weibull.columns, axis=1)
    return features, outcome(study)


def shuffled(y: pd.DataFrame, shuffle: int) -> pd.DataFrame:
    order = spawn_rng(5, "shuffle", shuffle).permutation(len(y))
    return y.iloc[order].set_axis(y.index)


def folds_of(y: pd.DataFrame, shuffle: int) -> np.ndarray:
    return assign_folds(
        y.index.to_numpy(),
        strata=y["event"].to_numpy(),
        n_folds=5,
        n_repeats=1,
        rng=spawn_rng(5, "folds", shuffle),
    )


def within_three_errors(values: np.ndarray) -> bool:
    error = values.std(ddof=1) / np.sqrt(len(values))
    return bool(abs(values.mean() - 0.5) <= 3 * error)


@pytest.mark.filterwarnings("ignore::times_stats.errors.ConvergenceWarning")
def test_nested_concordance_of_shuffled_outcomes_is_one_half(tissue, compiled_weibull):
    features, y = tissue
    found: dict[str, list[float]] = {SCORE: [], SURVIVAL: [], RAW: [], "ridge_cox": []}
    for shuffle in range(N_SHUFFLES):
        null = shuffled(y, shuffle)
        nested = predict_nested(
            features,
            null,
            pd.DataFrame(index=y.index),
            folds=folds_of(null, shuffle),
            settings=SETTINGS,
            compile_model=lambda: compiled_weibull,
            seed=shuffle,
            jobs=2,
        )
        for name, values in found.items():
            risk = nested.linear_predictor[name][0]
            values.append(concordance_harrell(null["time"], null["event"], risk))
    for name, values in found.items():
        assert within_three_errors(np.array(values)), (name, np.mean(values))


@pytest.mark.filterwarnings("ignore::times_stats.errors.ConvergenceWarning")
def test_single_level_second_stage_is_caught(tissue, compiled_weibull):
    features, y = tissue
    values = []
    for shuffle in range(N_SHUFFLES):
        null = shuffled(y, shuffle)
        evidence = (
            TimesScore(
                model=MarkerModel(horizon=24.0), horizon=24.0, n_folds=5, n_repeats=2, seed=shuffle
            )
            .fit(features, null)
            .out_of_fold_evidence_
        )
        fit = fit_survival(
            compiled_weibull.spec,
            evidence,
            null,
            seed=shuffle,
            compiled=compiled_weibull,
            cores=2,
        )
        risk = linear_predictor(fit, evidence).mean("sample").to_numpy()
        values.append(concordance_harrell(null["time"], null["event"], risk))
    assert np.mean(values) > 0.5
    assert not within_three_errors(np.array(values)), np.mean(values)
