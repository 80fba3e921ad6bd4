from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from times_stats.errors import InputError
from times_stats.nonparametric import kaplan_meier
from times_stats.plots.attributions import plot_attribution, plot_beeswarm
from times_stats.plots.calibration import plot_calibration
from times_stats.plots.comparison import plot_comparison
from times_stats.plots.forest import plot_forest
from times_stats.plots.labels import MODEL_LABELS, model_label, plain_text, rung_label
from times_stats.plots.ladder import plot_ladder
from times_stats.plots.shapley_bars import plot_shapley
from times_stats.plots.style import MODEL_COLOURS, figure_svg, group_colours, model_colour
from times_stats.plots.survival_curves import plot_kaplan_meier, plot_survival_curves
from times_stats.plots.weights import plot_weights, weight_summary

NASTY = "<script>$x_{$\x00 & \u809d"


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def tick_names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


@pytest.fixture
def groups() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    time = rng.exponential(30, 90).round(1)
    event = rng.integers(0, 2, 90)
    return pd.DataFrame(
        {"time": time, "event": event, "risk_group": np.repeat(["high", "intermediate", "low"], 30)}
    )


@pytest.fixture
def comparison() -> pd.DataFrame:
    estimates = {"times_score": 0.60, "tnm": 0.595, "levels_ridge_cox": 0.634}
    rows = [
        {"model": m, "reference": r, "metric": metric, "estimate": e, "lower": e - 0.05,
         "upper": e + 0.05}
        for metric in ("concordance_uno", "brier_horizon")
        for r in ("", "tnm")
        for m, e in estimates.items()
        if m != r
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_kaplan_meier_draws_the_estimate_and_the_numbers_at_risk(groups):
    figure = plot_kaplan_meier(groups, p_value=0.0004, horizon=24, end=48)
    curves, table = figure.axes
    line = next(line for line in curves.lines if str(line.get_label()).startswith("Low"))
    low = groups[groups["risk_group"] == "low"]
    x, y = line.get_data()
    expected = kaplan_meier(low["time"], low["event"]).at(np.asarray(x)[:-1])
    np.testing.assert_allclose(np.asarray(y)[:-1], expected)
    assert tick_names(table) == ["low", "intermediate", "high"]
    numbers = [text.get_text() for text in table.texts]
    at_12 = [int((groups.query("risk_group == @g")["time"] >= 12).sum()) for g in tick_names(table)]
    per_row = len(numbers) // 3
    assert [int(numbers[row * per_row + 1]) for row in range(3)] == at_12
    assert any("p < .001" in text.get_text() for text in curves.texts)


def test_kaplan_meier_starts_at_one_and_survives_events_at_time_zero():
    table = pd.DataFrame({"time": [0.0, 0.0, 5.0, 6.0], "event": [1, 0, 1, 1], "risk_group": "a"})
    curve = plot_kaplan_meier(table).axes[0].lines[0]
    assert np.asarray(curve.get_ydata())[0] == pytest.approx(0.75)
    assert np.asarray(curve.get_ydata())[-1] == 0


def test_predicted_curves_keep_the_profiles_apart():
    bands = pd.DataFrame(
        {
            "profile": np.repeat(["low", "high"], 3),
            "time": [0.0, 12, 24] * 2,
            "estimate": [1, 0.9, 0.8, 1, 0.6, 0.4],
            "lower": [1, 0.8, 0.7, 1, 0.5, 0.3],
            "upper": [1, 0.95, 0.9, 1, 0.7, 0.5],
        }
    )
    lines = plot_survival_curves(bands).axes[0].lines
    assert [line.get_label() for line in lines] == ["low", "high"]
    assert lines[0].get_color() != lines[1].get_color()


def test_comparison_is_sorted_best_first_in_the_colours_of_the_models(comparison):
    axes = plot_comparison(comparison).axes[0]
    assert tick_names(axes) == ["Ridge Cox, marker levels", "TIMES score", "TNM stage"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    expected = [model_colour(key) for key in ("levels_ridge_cox", "times_score", "tnm")]
    assert [to_hex(dot.get_color()).upper() for dot in dots] == [c.upper() for c in expected]
    brier = plot_comparison(comparison, metric="brier_horizon").axes[0]
    assert tick_names(brier)[0] == "TNM stage"
    assert "lower is better" in brier.get_xlabel()


def test_comparison_draws_paired_differences_and_refuses_what_is_not_there(comparison):
    axes = plot_comparison(comparison, reference="tnm").axes[0]
    assert axes.get_xlabel() == "Difference in C (Uno) from TNM stage"
    assert tick_names(axes) == ["Ridge Cox, marker levels", "TIMES score"]
    with pytest.raises(InputError, match="no row with metric 'auc'"):
        plot_comparison(comparison, metric="auc")
    with pytest.raises(InputError, match="comparison: column reference missing"):
        plot_comparison(comparison.drop(columns="reference"))
    with pytest.raises(InputError, match="no rows to draw"):
        plot_comparison(comparison.iloc[:0])


def test_forest_is_sorted_and_its_upper_axis_is_a_log_hazard_ratio():
    summary = pd.DataFrame(
        {"marker": ["B", "A"], "region": "rim", "mean": [0.2, 0.9], "lower": [-0.5, 0.2],
         "upper": [0.9, 1.6]}
    )  # fmt: skip
    figure = plot_forest(summary, prior=(-0.5, 1.5))
    axes = figure.axes[0]
    assert tick_names(axes) == ["A, rim", "B, rim", "Prior of each slope"]
    top = axes.child_axes[0]
    assert "log scale" in top.get_xlabel()
    assert top.get_xscale() == "log"
    figure.draw_without_rendering()
    np.testing.assert_allclose(np.exp(axes.get_xlim()), top.get_xlim())


def test_attribution_and_beeswarm_share_their_order():
    columns = pd.MultiIndex.from_tuples([("A", "r"), ("B", "r")], names=["marker", "region"])
    phi = pd.DataFrame(np.array([[0.1, -0.5], [-0.1, 0.5], [0.1, np.nan]]), columns=columns)
    summary = pd.DataFrame(
        {"marker": ["A", "B"], "region": "r", "mean_absolute": [0.1, 0.5], "lower": [0.05, 0.3],
         "upper": [0.2, 0.7]}
    )  # fmt: skip
    swarm = plot_beeswarm(phi, features=phi)
    assert (
        tick_names(swarm.axes[0])
        == tick_names(plot_attribution(summary).axes[0])
        == [
            "B, r",
            "A, r",
        ]
    )
    points = np.asarray(swarm.axes[0].collections[1].get_offsets())
    np.testing.assert_allclose(points[:, 0], phi["A", "r"])
    assert points[:, 1].min() < 1 < points[:, 1].max()
    assert len(plot_beeswarm(phi).axes) == 1


def test_calibration_keeps_unobserved_groups_out_of_the_way():
    table = pd.DataFrame(
        {"predicted": [0.6, 0.2], "observed": [np.nan, 0.3], "lower": [np.nan, 0.1],
         "upper": [np.nan, 0.5]}
    )  # fmt: skip
    axes = plot_calibration(table, horizon=24).axes[0]
    assert axes.get_xlim() == axes.get_ylim() == (0.0, 1.0)
    assert np.asarray(axes.lines[1].get_xdata()).tolist() == [0.2, 0.6]
    two = pd.concat([table.assign(model="times_score"), table.assign(model="survival_model")])
    labels = [text.get_text() for text in plot_calibration(two).axes[0].get_legend().get_texts()]
    assert labels == ["TIMES score", "Bayesian survival model"]


def test_weights_are_summarised_over_patients_largest_first():
    scores = pd.DataFrame({"weight_A": [0.2, 0.4, np.nan], "weight_B": [0.8, 0.6, np.nan]})
    table = weight_summary(scores)
    assert table["marker"].tolist() == ["B", "A"]
    assert table["median"].tolist() == pytest.approx([0.7, 0.3])
    assert table["n"].tolist() == [2, 2]
    assert tick_names(plot_weights(scores).axes[0]) == ["B", "A"]
    with pytest.raises(InputError, match="no column weight_"):
        plot_weights(scores[[]])
    drawn = plot_weights(scores.assign(weight_prior=0.1)).axes[0]
    assert tick_names(drawn) == ["B", "A", "mean of the training patients"]
    assert 0.5 in [line.get_xdata()[0] for line in drawn.lines]  # two markers, equal weights


def test_axes_name_the_unit_of_the_evidence():
    columns = pd.MultiIndex.from_tuples([("A", "r")], names=["marker", "region"])
    phi = pd.DataFrame([[0.1], [-0.1]], columns=columns)
    row = {"marker": ["A"], "region": "r", "lower": [0.05], "upper": [0.2]}
    swarm = plot_beeswarm(phi, unit="log odds")
    assert swarm.axes[0].get_xlabel() == "Contribution to the log odds"
    bars = plot_attribution(pd.DataFrame(row | {"mean_absolute": [0.1]}), unit="log odds")
    assert bars.axes[0].get_xlabel() == "Mean absolute contribution (log odds)"
    slopes = pd.DataFrame(row | {"mean": [0.1]})
    hazard, odds = plot_forest(slopes).axes[0], plot_forest(slopes, unit="log odds").axes[0]
    assert "1 takes it at face value" in hazard.get_xlabel()
    assert "evidence in log odds" in odds.get_xlabel()
    at_one = [[line.get_xdata()[0] for line in axes.lines].count(1.0) for axes in (hazard, odds)]
    assert at_one == [1, 0]


def test_ladder_draws_rungs_in_order_and_shades_the_margin():
    base = {"metric": "concordance_uno", "lower": 0.5, "upper": 0.7}
    table = pd.DataFrame(
        [
            {"learner": lr, "model": m, "estimate": e, **base}
            for lr in ("ridge_cox", "boosted_cox")
            for m, e in (("stage", 0.59), ("stage_levels", 0.62), ("stage_all_regions", 0.61))
        ]
    )
    differences = pd.DataFrame(
        [{"learner": "ridge_cox", "model": "stage_all_regions", "reference": "stage_levels",
          "metric": "concordance_uno", "estimate": -0.01, "lower": -0.04, "upper": 0.02}]
    )  # fmt: skip
    upper, lower = plot_ladder(table, differences=differences, margin=0.03).axes
    assert tick_names(upper) == ["Stage", "Stage + levels", "Stage + levels + location"]
    assert tick_names(lower) == ["Stage + levels + location\nminus stage + levels"]
    low, high = (f(lower.patches[0].get_extents().transformed(lower.transData.inverted()).intervalx)
                 for f in (min, max))  # fmt: skip
    assert (low, high) == pytest.approx((-0.03, 0.03))
    with pytest.raises(InputError, match="no row with metric"):
        plot_ladder(table, metric="auc_horizon")


def test_svg_is_reproducible_without_dates_and_keeps_foreign_text_harmless(comparison):
    table = comparison.assign(model=comparison["model"].replace("times_score", NASTY))
    first = figure_svg(plot_comparison(table))
    assert first == figure_svg(plot_comparison(table))
    assert "<script>" not in first
    assert "&lt;script&gt;$x" in first
    assert "\x00" not in first
    assert "Matplotlib v" not in first
    assert "<dc:date>" not in first


def test_every_model_has_one_colour_that_can_be_seen_on_white():
    assert len(set(MODEL_COLOURS.values())) == len(MODEL_COLOURS)
    for colour in [*MODEL_COLOURS.values(), model_colour("local_index"), *group_colours(5)]:
        assert 1.05 / (luminance(colour) + 0.05) >= 2.9, colour
    assert not set(group_colours(3)) & set(MODEL_COLOURS.values()) - {"#6B6B6B"}
    assert model_colour("local_index") == model_colour("local_index")


def test_labels_are_words():
    assert set(MODEL_COLOURS) <= set(MODEL_LABELS)
    assert model_label("my_index") == "my index"
    assert rung_label("tumour_region") == "Tumour region alone"
    assert rung_label("stage + tumour region alone") == "Stage + tumour region alone"
    assert plain_text("a" * 60) == "a" * 43 + "…"


def test_figures_do_not_touch_pyplot_or_the_style_of_the_caller():
    code = (
        "import sys, matplotlib as mpl, pandas as pd\n"
        "before = mpl.rcParams.copy()\n"
        "from times_stats.plots import plot_weights, figure_svg\n"
        "figure_svg(plot_weights(pd.DataFrame({'weight_A': [1.0]})))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert mpl.rcParams.copy() == before\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def players() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "player": ["A level", NASTY, "B level"],
            "estimate": [0.01, 0.05, -0.02],
            "lower": [-0.02, 0.01, -0.04],
            "upper": [0.03, 0.08, 0.0],
        }
    )


def test_shapley_bars_are_ordered_and_carry_their_intervals(players):
    axes = plot_shapley(players, quantity="Contribution to C").axes[0]
    assert tick_names(axes)[1:] == ["A level", "B level"]
    assert [bar.get_width() for bar in axes.patches] == [0.05, 0.01, -0.02]
    drawn = [line.get_xdata() for line in axes.lines[:3]]
    assert [list(map(float, x)) for x in drawn] == [[0.01, 0.08], [-0.02, 0.03], [-0.04, 0.0]]
    assert axes.get_xlabel() == "Contribution to C"


def test_shapley_bars_take_another_attribution_beside_them(players):
    beside = pd.DataFrame({"player": ["B level", "A level"], "estimate": [-0.01, 0.02]})
    figure = plot_shapley(players, beside=beside, beside_label="Sum of SHAP values")
    circles = figure.axes[0].lines[3].get_xdata()
    np.testing.assert_array_equal(circles, [np.nan, 0.02, -0.01])
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["Groups as players", "Sum of SHAP values"]
    assert figure_svg(figure) == figure_svg(
        plot_shapley(players, beside=beside, beside_label="Sum of SHAP values")
    )


def test_shapley_bars_need_their_columns(players):
    with pytest.raises(InputError, match="table: column upper missing"):
        plot_shapley(players.drop(columns="upper"))
    with pytest.raises(InputError, match="beside: column estimate missing"):
        plot_shapley(players, beside=players[["player"]])
    with pytest.raises(InputError, match="no rows to draw"):
        plot_shapley(players[:0])
