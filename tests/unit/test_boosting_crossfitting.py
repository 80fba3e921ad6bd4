from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.boosting import (
    MarkerModel,
    apply_models,
    crossfit,
    out_of_fold_evidence,
    out_of_fold_log_hazard,
    out_of_fold_margin,
    out_of_fold_margin_variance,
)
from times_stats.errors import InputError

HORIZON = 24.0


def study(n=120, seed=1, markers=("CD57", "CD8")):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    columns = pd.MultiIndex.from_product(
        [list(markers), ["adjacent", "tumour"]], names=["marker", "region"]
    )
    features = pd.DataFrame(rng.lognormal(size=(n, len(columns))), index=index, columns=columns)
    time = rng.exponential(size=n) * 40 * np.exp(-0.8 * np.log(features.iloc[:, 1].to_numpy()))
    censored = rng.uniform(5, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(time, censored), "event": (time <= censored).astype(int)}, index=index
    )
    return features, y


def some_folds(n, repeats=2, seed=5):
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(n) % 4 for _ in range(repeats)])


def arrays(fit):
    return [fit.margin.to_numpy(), fit.probability.to_numpy(), fit.attribution.to_numpy()]


BOTH = pytest.mark.parametrize("objective", ["survival:cox", "survival:aft", "binary:logistic"])


@BOTH
def test_shapes_and_sums(objective):
    features, y = study()
    fit = crossfit(
        features, y, model=MarkerModel(objective=objective), horizon=HORIZON, n_repeats=2
    )
    assert fit.margin.dims == ("repeat", "patient", "marker")
    assert fit.attribution.dims == ("repeat", "patient", "feature")
    assert fit.folds.shape == (2, 120)
    assert (fit.n_repeats, fit.n_folds, fit.markers) == (2, 5, ("CD57", "CD8"))
    assert len(fit.models) == 2
    assert set(fit.models[1][4]) == {"CD57", "CD8"}
    z = out_of_fold_evidence(fit)
    assert z.columns.equals(features.columns)
    by_marker = z.T.groupby(level=0).sum().T
    np.testing.assert_allclose(by_marker, out_of_fold_margin(fit), atol=1e-6)
    assert ((fit.probability > 0) & (fit.probability < 1)).all()
    assert np.isfinite(out_of_fold_log_hazard(fit)).all(axis=None)


@BOTH
@pytest.mark.parametrize("patient", [3, 40])
def test_own_outcome_does_not_move_own_evidence(objective, patient):
    features, y = study()
    folds = some_folds(len(features))
    first = crossfit(
        features, y, model=MarkerModel(objective=objective), horizon=HORIZON, folds=folds
    )
    altered = y.copy()
    altered.iloc[patient, 0] = 60.0 if y.iloc[patient, 0] < 24 else 1.0
    altered.iloc[patient, 1] = 1 - y.iloc[patient, 1]
    second = crossfit(
        features, altered, model=MarkerModel(objective=objective), horizon=HORIZON, folds=folds
    )
    for before, after in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(before[:, patient], after[:, patient])
        assert not np.array_equal(before, after)


def test_jobs_do_not_change_anything():
    features, y = study()
    one = crossfit(features, y, horizon=HORIZON, n_repeats=3, jobs=1)
    two = crossfit(features, y, horizon=HORIZON, n_repeats=3, jobs=2)
    np.testing.assert_array_equal(one.folds, two.folds)
    for a, b in zip(arrays(one), arrays(two), strict=True):
        np.testing.assert_array_equal(a, b)
    a, b = apply_models(one, features), apply_models(two, features)
    pd.testing.assert_frame_equal(a.evidence, b.evidence, check_exact=True)


@pytest.mark.parametrize("given", [True, False])
def test_shuffled_rows_do_not_change_anything(given):
    features, y = study()
    folds = some_folds(len(features))
    order = np.random.default_rng(9).permutation(len(features))
    columns = np.random.default_rng(9).permutation(features.shape[1])
    first = crossfit(features, y, horizon=HORIZON, n_repeats=2, folds=folds if given else None)
    second = crossfit(
        features.iloc[order, columns],
        y.iloc[order[::-1]],
        horizon=HORIZON,
        n_repeats=2,
        folds=folds[:, order] if given else None,
    )
    np.testing.assert_array_equal(first.folds, second.folds)
    for a, b in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_tiles_of_a_patient_stay_together():
    features, y = study(60)
    tiles = pd.concat([features, features * 1.1, features * 0.9])
    fit = crossfit(tiles, y, horizon=HORIZON, n_repeats=2, groups=tiles.index.to_numpy())
    patients = fit.margin["patient"].to_numpy()
    for repeat in fit.folds:
        assert pd.Series(repeat).groupby(patients).nunique().max() == 1
    split = np.arange(len(tiles)) // 90
    with pytest.raises(InputError, match="folds split patient"):
        crossfit(tiles, y, horizon=HORIZON, folds=split, groups=tiles.index.to_numpy())


def test_incomplete_markers_get_no_evidence_and_teach_nothing():
    features, y = study()
    holes = features.copy()
    holes.iloc[:30, 0] = np.nan
    holes.iloc[0] = np.nan
    folds = some_folds(len(features))
    fit = crossfit(holes, y, horizon=HORIZON, folds=folds)
    margin = out_of_fold_margin(fit)
    assert margin["CD57"].iloc[:30].isna().all()
    assert margin["CD57"].iloc[30:].notna().all()
    assert margin.iloc[0].isna().all()
    assert out_of_fold_margin_variance(fit)["CD57"].iloc[:30].isna().all()
    moved = holes.copy()
    moved.iloc[1:30, 1] = 99.0  # the other region of an incomplete marker
    again = crossfit(moved, y, horizon=HORIZON, folds=folds)
    for a, b in zip(arrays(fit), arrays(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_variance_is_the_delete_d_jackknife():
    features, y = study()
    fit = crossfit(features, y, horizon=HORIZON, n_folds=4, n_repeats=3)
    expected = 3 * fit.margin.to_numpy().var(axis=0, ddof=1)
    np.testing.assert_allclose(out_of_fold_margin_variance(fit), expected)
    single = crossfit(features, y, horizon=HORIZON, n_repeats=1)
    with pytest.raises(InputError, match="one repeat has no variance"):
        out_of_fold_margin_variance(single)


def test_new_patients_get_the_mean_of_the_fold_models():
    features, y = study()
    fit = crossfit(features, y, horizon=HORIZON, n_folds=3, n_repeats=2)
    new = study(10, seed=8)[0]
    new.iloc[0, 0] = np.nan
    told = apply_models(fit, new.iloc[:, ::-1])
    block = new["CD57"].set_axis(["CD57:adjacent", "CD57:tumour"], axis=1)
    margins = np.array([[m["CD57"].predict(block) for m in folds] for folds in fit.models])
    np.testing.assert_allclose(told.margin["CD57"], margins.mean(axis=(0, 1)))
    np.testing.assert_allclose(told.variance["CD57"], 2 * margins.var(axis=1).mean(axis=0))
    np.testing.assert_allclose(told.evidence.T.groupby(level=0).sum().T["CD8"], told.margin["CD8"])
    assert told.evidence.iloc[0, :2].isna().all()
    with pytest.raises(InputError, match="needs the features CD8:tumour"):
        apply_models(fit, new.drop(columns=[("CD8", "tumour")]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0.0}, "horizon is 0"),
        ({"folds": np.zeros(120, dtype=int)}, "does not use every label|one fold"),
        ({"folds": np.ones((2, 7), dtype=int)}, "folds has shape"),
        ({"model": MarkerModel(objective="binary:logistic", horizon=12.0)}, "give one horizon"),
        ({"horizon": 500.0}, "marker CD57, training fold 1: horizon 500 lies beyond"),
    ],
)
def test_faulty_arguments(arguments, message):
    features, y = study()
    with pytest.raises(InputError, match=message):
        crossfit(features, y, **({"horizon": HORIZON} | arguments))


def test_faulty_tables():
    features, y = study()
    with pytest.raises(InputError, match="no outcome for patient p119"):
        crossfit(features, y.iloc[:-1], horizon=HORIZON)
    with pytest.raises(InputError, match="outcome given twice for patient p000"):
        crossfit(features, pd.concat([y, y.iloc[:1]]), horizon=HORIZON)
    with pytest.raises(InputError, match="columns \\(marker, region\\)"):
        crossfit(features["CD8"], y, horizon=HORIZON)
    with pytest.raises(InputError, match="feature table is empty"):
        crossfit(features.iloc[:0], y, horizon=HORIZON)
    constant = features.copy()
    constant["CD8"] = 1.0
    with pytest.raises(InputError, match="marker CD8, training fold 1: constant features"):
        crossfit(constant, y, horizon=HORIZON)
    with pytest.raises(InputError, match=r"marker CD57, training fold 1: .* with an event"):
        crossfit(features, y.assign(event=[1] * 4 + [0] * 116), horizon=HORIZON)
