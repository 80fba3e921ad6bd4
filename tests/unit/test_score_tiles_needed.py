from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import spearmanr

from times_stats.datasets import load_times_published
from times_stats.errors import InputError
from times_stats.plots import figure_svg, plot_tile_curve
from times_stats.score import (
    TileComponents,
    count_tiles_needed,
    estimate_tile_components,
    pool_published,
    predict_tile_curve,
    resample_tiles,
    summarise_tiles,
)
from times_stats.simulate import simulate_published_study

PARTS = TileComponents(2.0, 1.0, n_patients=60, n_tiles=240, tiles_per_patient=4.0)


def measured(curve, measure):
    return curve[curve["measure"] == measure].set_index("n_tiles")["estimate"]


def probabilities(n=120, tiles=5, markers=3, seed=2, icc=0.5):
    rng = np.random.default_rng(seed)
    patient = np.repeat([f"p{i:03d}" for i in range(n)], tiles)
    theta = np.repeat(rng.normal(size=n), tiles)[:, None]
    noise = np.sqrt((1 - icc) / icc) * rng.normal(size=(n * tiles, markers))
    return pd.DataFrame(expit(theta + noise), index=patient, columns=list("ABC")[:markers])


def test_components_by_hand_and_on_unequal_numbers():
    rng = np.random.default_rng(1)
    count = rng.integers(2, 6, 4000)
    patient = np.repeat(np.arange(4000), count)
    value = 1.5 * rng.normal(size=4000)[patient] + 0.5 * rng.normal(size=patient.size)
    parts = estimate_tile_components(value, patient=patient)
    assert parts.between == pytest.approx(2.25, rel=0.06)
    assert parts.within == pytest.approx(0.25, rel=0.03)
    assert 3 < parts.tiles_per_patient < 3.6
    assert parts.n_tiles == count.sum()
    flat = estimate_tile_components([1, 3, 3, 1], patient=["a", "a", "b", "b"])
    assert (flat.between, flat.icc) == (0.0, 0.0)
    assert count_tiles_needed(flat)["estimate"] == np.inf
    same = estimate_tile_components([1, 1, 3, 3], patient=["a", "a", "b", "b"])
    assert same.icc_interval() == (1.0, 1.0)
    assert count_tiles_needed(same).tolist() == [1, 1, 1]


def test_interval_of_the_intraclass_correlation_covers():
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(400):
        value = rng.normal(size=(40, 1)) + rng.normal(size=(40, 4))
        parts = estimate_tile_components(value.ravel(), patient=np.repeat(np.arange(40), 4))
        lower, upper = parts.icc_interval()
        covered.append(lower <= 0.5 <= upper)
    assert abs(np.mean(covered) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 400)


def test_published_components_have_the_published_correlations():
    table = load_times_published().variance_components
    assert len(table) == 10
    for row in table.itertuples():
        parts = TileComponents(
            row.sd_between_patient**2,
            row.sd_within_patient**2,
            n_patients=row.patients,
            n_tiles=row.regions,
            tiles_per_patient=row.regions / row.patients,
        )
        assert parts.icc == pytest.approx(row.icc, abs=1e-3)
        curve = predict_tile_curve(parts, n_tiles=[1])
        assert measured(curve, "reliability")[1] == pytest.approx(row.icc, abs=1e-3)


def test_curve_by_hand():
    curve = predict_tile_curve(PARTS, n_tiles=[1, 2, 4, 8], n_all=4)
    reliability = measured(curve, "reliability")
    np.testing.assert_allclose(reliability, [2 / 3, 2 / 2.5, 2 / 2.25, 2 / 2.125])
    np.testing.assert_allclose(measured(curve, "correlation_truth") ** 2, reliability)
    together = measured(curve, "correlation_all")
    np.testing.assert_allclose(together, np.sqrt([2.25 / 3, 2.25 / 2.5, 1]))
    ranks = measured(curve, "spearman_all")
    np.testing.assert_allclose(ranks, 6 / np.pi * np.arcsin(together / 2))
    assert ranks[4] == pytest.approx(1)
    assert (curve["lower"] <= curve["estimate"]).all()
    assert (curve["estimate"] <= curve["upper"]).all()
    needed = count_tiles_needed(PARTS, reliability=0.9)
    assert needed["estimate"] == 5
    assert needed["lower"] <= 5 < needed["upper"]
    for n, enough in ((4, False), (5, True)):
        assert (measured(predict_tile_curve(PARTS, n_tiles=[n]), "reliability")[n] >= 0.9) == enough


def test_predicted_curve_agrees_with_a_direct_simulation():
    """Components from 6 images a patient; then fewer of them, and the truth, directly."""
    study = simulate_published_study(n_images=6, seed=3)
    for marker in ("ZFP36", "SPON2"):
        own = study.measurements.query("marker == @marker")
        amount = np.log(own.groupby(["patient_id", "image_id"])["value"].mean())
        patient = amount.index.get_level_values(0)
        parts = estimate_tile_components(amount, patient=patient)
        assert parts.icc == pytest.approx(study.truth["image_icc"][marker], abs=0.06)
        curve = predict_tile_curve(parts, n_tiles=[1, 2, 3, 6], n_all=6)
        values = amount.to_numpy().reshape(-1, 6)
        level = study.truth["levels"][marker].to_numpy()
        rng = np.random.default_rng(1)
        for n in (1, 2, 3):
            few = [rng.permuted(values, axis=1)[:, :n].mean(axis=1) for _ in range(30)]
            direct = np.mean([np.corrcoef(few_, values.mean(axis=1))[0, 1] for few_ in few])
            assert direct == pytest.approx(measured(curve, "correlation_all")[n], abs=0.02)
            ranks = np.mean([spearmanr(few_, values.mean(axis=1))[0] for few_ in few])
            assert ranks == pytest.approx(measured(curve, "spearman_all")[n], abs=0.03)
            truth = np.mean([np.corrcoef(few_, level)[0, 1] for few_ in few])
            assert truth == pytest.approx(measured(curve, "correlation_truth")[n], abs=0.05)


def test_resampled_tiles_follow_the_curve_where_weights_are_equal():
    tiles = probabilities(markers=1)
    table = resample_tiles(tiles, rules=["equal"], n_tiles=[1, 2, 5], n_resamples=40)
    parts = estimate_tile_components(np.log(tiles["A"] / (1 - tiles["A"])), patient=tiles.index)
    curve = predict_tile_curve(parts, n_tiles=[1, 2, 5], n_all=5)
    for measure in ("correlation_all", "spearman_all"):
        direct = measured(table, measure)
        np.testing.assert_allclose(direct, measured(curve, measure), atol=0.03)
        assert direct[5] == pytest.approx(1)
    assert ((table["lower"] <= table["estimate"]) & (table["estimate"] <= table["upper"])).all()
    again = resample_tiles(tiles, rules=["equal"], n_tiles=[1, 2, 5], n_resamples=40)
    pd.testing.assert_frame_equal(table, again)


def test_weights_from_few_tiles_cost_agreement_and_zero_variances_cost_patients():
    tiles = probabilities(n=60).round(1)
    rules = ["equal", "published", "shrunken", "gls", "gls_truncated", "random_effects", "bayesian"]
    table = resample_tiles(tiles, rules=rules, n_tiles=[2], n_resamples=6)
    found = table[table["measure"] == "correlation_all"].set_index("rule")
    assert found["estimate"].idxmin() == "published"
    assert found.loc["published", "n_without"] > 1
    assert (found["n_without"].drop("published") == 0).all()
    assert (found["n"] == 60).all()


def test_summary_of_tiles():
    tiles = probabilities(n=300, icc=0.9)
    tiles["B"] = np.clip(tiles["A"] + 0.01 * np.sin(np.arange(len(tiles))), 0, 1)
    tiles.iloc[:5, 2] = np.nan
    summary = summarise_tiles(tiles.sample(frac=1, random_state=1))
    first = tiles.loc["p001"]
    np.testing.assert_allclose(summary.mean.loc["p001"], first.mean())
    np.testing.assert_allclose(summary.variance.loc["p001"], first.var(ddof=0))
    assert summary.n_tiles.loc["p000"].tolist() == [5, 5, 0]
    assert np.isnan(summary.mean.loc["p000", "C"])
    assert summary.error_correlation[0, 1] > 0.8
    assert abs(summary.error_correlation[0, 2]) < 0.1
    assert pool_published(summary.mean, summary.variance)["weight_C"].iloc[0] == 0
    np.testing.assert_array_equal(summarise_tiles(tiles.iloc[5::5]).error_correlation, np.eye(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimate_tile_components([1, 2], patient=[1]), "value has shape"),
        (lambda: estimate_tile_components([1, np.nan], patient=[1, 1]), "missing or infinite"),
        (lambda: estimate_tile_components([1, 2], patient=[1, 2]), "2 tiles of 2 patients"),
        (lambda: estimate_tile_components([1, 2, 3], patient=["a", "a", None]), "tile in row 2"),
        (lambda: resample_tiles(probabilities(), n_resamples=0), "whole numbers of 1 or more"),
        (lambda: resample_tiles(probabilities(), n_tiles=[1.5]), "whole numbers of 1 or more"),
        (lambda: resample_tiles(probabilities(), confidence_level=95), "confidence_level is 95"),
        (lambda: predict_tile_curve(PARTS, n_tiles=[0]), "whole numbers of 1 or more"),
        (lambda: predict_tile_curve(PARTS, confidence_level=2), "confidence_level is 2"),
        (lambda: count_tiles_needed(PARTS, reliability=1), "reliability is 1"),
        (lambda: summarise_tiles(probabilities() + 1), "outside"),
        (lambda: summarise_tiles(np.ones((2, 2))), "tiles must be a DataFrame"),
        (lambda: resample_tiles(probabilities(), rules=["glss"]), "nearest: 'gls'"),
        (lambda: resample_tiles(probabilities(), n_tiles=[6]), "0 patients have 6 tiles"),
    ],
)
def test_faulty_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_tiles_that_are_all_alike_say_nothing():
    alike = estimate_tile_components([1, 1, 1, 1], patient=list("aabb"))
    assert (alike.icc, alike.icc_interval()) == (0.0, (0.0, 1.0))
    assert count_tiles_needed(alike).to_list() == [np.inf, 1.0, np.inf]
    apart = estimate_tile_components([1, 1, 2, 2], patient=list("aabb"))
    assert (apart.icc, apart.icc_interval()) == (1.0, (1.0, 1.0))
    tiles = pd.DataFrame(0.5, index=np.repeat(np.arange(20), 2), columns=["a", "b"])
    table = resample_tiles(tiles, rules=["equal", "shrunken"], n_tiles=[1], n_resamples=3)
    assert table[["estimate", "lower", "upper"]].isna().all(axis=None)


def test_figure():
    curve = predict_tile_curve(PARTS, n_tiles=[1, 2, 3], n_all=5)
    points = pd.DataFrame(
        {
            "rule": np.repeat(["published", "gls_truncated"], 2),
            "measure": "spearman_all",
            "n_tiles": [1, 2, 1, 2],
            "estimate": [0.5, 0.7, 0.6, 0.8],
            "lower": [0.4, 0.6, 0.5, 0.7],
            "upper": [0.6, 0.8, 0.7, 0.9],
        }
    )
    figure = plot_tile_curve(curve, measure="spearman_all", resampled=points, target=0.9)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["expected", "published", "gls truncated"]
    line = figure.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), measured(curve, "spearman_all"))
    assert "Spearman correlation with all tiles" in figure_svg(figure)
    with pytest.raises(InputError, match="no row with measure 'accuracy'"):
        plot_tile_curve(curve, measure="accuracy")
