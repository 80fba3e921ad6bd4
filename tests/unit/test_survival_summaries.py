"""Effect profiles and hazard ratios of covariates: against the draws, by another way."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from times_stats.errors import InputError
from times_stats.plots.effect_profiles import plot_effect_profile
from times_stats.survival.baseline import Baseline
from times_stats.survival.covariates import Covariate
from times_stats.survival.diagnostics import Diagnostics
from times_stats.survival.prediction import predict_hazard_ratio
from times_stats.survival.result import SurvivalFit
from times_stats.survival.spec import SurvivalSpec
from times_stats.survival.summaries import covariate_summary, effect_profile

ORDER = ("tumour_centre", "invasive_front", "peritumour", "adjacent")
STAGES = ("I", "II", "III")
SPEC = SurvivalSpec(
    covariates=(Covariate("age"), Covariate("stage", STAGES, by_cohort=True)), region_order=ORDER
)


def made_up_fit(spec=SPEC, cohorts=("east", "north")):
    """A fit with draws from a generator: the summaries read draws, however they were made."""
    rng = np.random.default_rng(5)
    # Neither markers nor regions stand in alphabetical order, nor regions in that of the distance.
    columns = pd.MultiIndex.from_tuples(
        [
            (marker, region)
            for marker in ("Ki67", "CD8")
            for region in ("peritumour", "tumour_centre", "invasive_front")
        ],
        names=["marker", "region"],
    )
    size = (2, 50)
    draws = xr.Dataset(
        {
            "beta": (("chain", "draw", "coefficient"), rng.normal(0.5, 0.3, (*size, 6))),
            "intercept": (("chain", "draw"), rng.normal(size=size)),
            "shape": (("chain", "draw"), rng.uniform(0.8, 1.2, size)),
            "covariate_effect": (("chain", "draw", "covariate"), rng.normal(0.4, 0.2, (*size, 2))),
            "steps_stage": (
                ("chain", "draw", "stage_step"),
                rng.dirichlet(np.ones(2), size),
            ),
        },
        coords={"covariate": ["age", "stage"], "stage_step": ["I to II", "II to III"]},
    )
    if len(cohorts) > 1:
        draws["cohort_effect"] = (("chain", "draw", "cohort"), rng.normal(0, 0.2, (*size, 2)))
        draws["covariate_cohort_effect"] = (
            ("chain", "draw", "varying_covariate", "cohort"),
            rng.normal(0, 0.2, (*size, 1, 2)),
        )
        draws["cohort_scale"] = (("chain", "draw"), np.abs(rng.normal(0, 0.3, size)))
        draws["covariate_cohort_scale"] = (
            ("chain", "draw", "varying_covariate"),
            np.abs(rng.normal(0, 0.3, (*size, 1))),
        )
        draws = draws.assign_coords(cohort=list(cohorts), varying_covariate=["stage"])
    return SurvivalFit(
        spec=spec,
        posterior=xr.DataTree.from_dict({"posterior": draws}),
        columns=columns,
        cohorts=cohorts,
        n_cohorts=len(cohorts),
        baseline=Baseline("weibull", 24.0, -1.0, 60.0),
        diagnostics=Diagnostics("converged", 1.0, 400.0, 0),
        n=100,
        events=50,
        n_filled=0,
        n_modelled=0,
        scaling={"age": (60.0, 8.0)},
        seed=1,
        slope_prior=(0.5, 0.5),
        centred=(False, False, False),
    )


def test_profile_follows_the_order_of_the_regions_and_the_draws():
    fit = made_up_fit()
    table = effect_profile(fit, prob=0.8)
    assert list(table) == ["marker", "region", "position", "mean", "lower", "upper"]
    assert table["marker"].tolist() == ["Ki67"] * 3 + ["CD8"] * 3
    assert table["region"].tolist() == ["tumour_centre", "invasive_front", "peritumour"] * 2
    assert table["position"].tolist() == [0, 1, 2] * 2  # adjacent was not measured
    beta = fit.posterior["posterior"]["beta"]
    for row in table.itertuples():
        own = beta[..., fit.columns.get_loc((row.marker, row.region))].to_numpy().ravel()
        assert row.mean == pytest.approx(own.mean())
        assert row.lower == pytest.approx(np.quantile(own, 0.1))
        assert row.upper == pytest.approx(np.quantile(own, 0.9))


def test_a_profile_needs_an_order_and_two_regions():
    fit = made_up_fit()
    without = dataclasses.replace(fit, spec=dataclasses.replace(SPEC, region_order=()))
    with pytest.raises(InputError, match=r"have no order.*region_order, or use posterior_summary"):
        effect_profile(without)
    draws = fit.posterior["posterior"].to_dataset().isel(coefficient=[0, 3])
    single = dataclasses.replace(
        fit, columns=fit.columns[[0, 3]], posterior=xr.DataTree.from_dict({"posterior": draws})
    )
    with pytest.raises(InputError, match="has 1 of the ordered regions"):
        effect_profile(single)
    with pytest.raises(InputError, match="prob is 95"):
        effect_profile(fit, prob=95)


def test_rows_of_the_covariates():
    table = covariate_summary(made_up_fit())
    assert list(table) == ["covariate", "level", "cohort", "hazard_ratio", "lower", "upper"]
    keys = table[["covariate", "level", "cohort"]].to_numpy().tolist()
    assert keys == [
        ["age", "", ""],
        *(["stage", level, cohort] for cohort in ("", "east", "north") for level in STAGES[1:]),
    ]
    assert (table["lower"] < table["hazard_ratio"]).all()
    assert (table["hazard_ratio"] < table["upper"]).all()


def test_ratios_are_those_of_two_patients_who_differ_in_one_covariate():
    """Against `predict_hazard_ratio`, which standardises the covariates and climbs the levels."""
    fit = made_up_fit()
    z = pd.DataFrame(0.0, index=["one"], columns=fit.columns)
    low = pd.DataFrame({"age": 50.0, "stage": "I"}, index=["one"])
    table = covariate_summary(fit, prob=0.9).set_index(["covariate", "level", "cohort"])
    for (name, level, cohort), row in table.iterrows():
        high = low.assign(**{name: level or 51.0})
        ratio = predict_hazard_ratio(
            fit,
            z,
            z,
            cohort=cohort or None,
            covariates=high,
            reference_covariates=low,
            unknown_cohort="average",
        )
        wanted = np.exp(np.quantile(np.log(ratio.to_numpy()), [0.5, 0.05, 0.95]))
        np.testing.assert_allclose(row[["hazard_ratio", "lower", "upper"]].astype(float), wanted)


def test_without_cohorts_there_is_one_ratio_each():
    table = covariate_summary(made_up_fit(cohorts=("all",)))
    assert table["level"].tolist() == ["", "II", "III"]
    assert (table["cohort"] == "").all()


def test_two_levels_are_one_step():
    spec = dataclasses.replace(
        SPEC, covariates=(Covariate("age"), Covariate("stage", ("no", "yes")))
    )
    fit = made_up_fit(spec, cohorts=("all",))
    draws = fit.posterior["posterior"].to_dataset().drop_vars(["steps_stage", "stage_step"])
    fit = dataclasses.replace(fit, posterior=xr.DataTree.from_dict({"posterior": draws}))
    row = covariate_summary(fit).iloc[1]
    assert row["level"] == "yes"
    effect = draws["covariate_effect"].sel(covariate="stage")
    assert row["hazard_ratio"] == pytest.approx(np.exp(float(effect.median())), rel=1e-3)


def test_a_model_without_covariates_has_no_ratios():
    fit = made_up_fit(dataclasses.replace(SPEC, covariates=()))
    with pytest.raises(InputError, match="no covariate: fit it with some"):
        covariate_summary(fit)
    with pytest.raises(InputError, match="prob is 0"):
        covariate_summary(made_up_fit(), prob=0)


def test_profile_is_drawn_as_tabulated():
    table = effect_profile(made_up_fit())
    shuffled = table.sample(frac=1, random_state=1).sort_values("marker", ascending=False)
    figure = plot_effect_profile(shuffled)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Ki67", "CD8"]
    for axes, marker in zip(figure.axes, ["Ki67", "CD8"], strict=True):
        own = table[table["marker"] == marker]
        line = next(line for line in axes.lines if line.get_marker() == "o")
        np.testing.assert_allclose(line.get_xdata(), own["position"])
        np.testing.assert_allclose(line.get_ydata(), own["mean"])
        names = [label.get_text() for label in axes.get_xticklabels()]
        assert names == ["tumour centre", "invasive front", "peritumour"]
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices
        assert corners[:, 1].min() == pytest.approx(own["lower"].min())
        assert corners[:, 1].max() == pytest.approx(own["upper"].max())


def test_profile_needs_its_columns():
    table = effect_profile(made_up_fit())
    with pytest.raises(InputError, match="column position missing"):
        plot_effect_profile(table.drop(columns="position"))
    with pytest.raises(InputError, match="no rows to draw"):
        plot_effect_profile(table.iloc[:0])
