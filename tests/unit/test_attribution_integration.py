"""Level or location: the ladder, its verdicts and its statement."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution.integration import integration_test
from times_stats.attribution.ladder import predict_ladder
from times_stats.attribution.null_inputs import UntestableError
from times_stats.attribution.rungs import collect_ladder
from times_stats.attribution.score_statistic import NullTest
from times_stats.attribution.verdict import Gain, decide, describe_agreement, state_nulls
from times_stats.errors import InputError
from times_stats.evaluation.discrimination import concordance_harrell
from times_stats.features.matrix import complete_markers, marker_levels
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals.cox import RidgeCox
from times_stats.simulate import simulate_study


def prepare(*, n_folds=4, n_repeats=1, **keywords):
    study = simulate_study(**keywords)
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)
    outcome = study.patients.set_index("patient_id")[["time", "event", "cohort"]]
    stages = study.patients.set_index("patient_id")[["tnm"]].astype(
        pd.CategoricalDtype(["I", "II", "III", "IV"], ordered=True)
    )
    folds = assign_folds(
        outcome.index.to_numpy(),
        strata=outcome["event"].to_numpy(),
        n_folds=n_folds,
        n_repeats=n_repeats,
        rng=spawn_rng(1, "folds"),
    )
    return features, outcome, stages, folds


def climb(features, outcome, stages, folds, **keywords):
    settings = {"horizon": 24.0, "n_resamples": 200, "tumour_region": "tumour_centre", "seed": 1}
    return integration_test(features, outcome, stages=stages, folds=folds, **(settings | keywords))


def ladder_data(features, outcome, stages, tumour_region="tumour_centre"):
    return collect_ladder(
        features,
        levels=marker_levels(features),
        complete=complete_markers(features),
        stages=stages,
        cohort=outcome["cohort"],
        tumour_region=tumour_region,
    )


@pytest.fixture(scope="module")
def strong():
    return climb(
        *prepare(n_patients=300, markers=2, location_effect=np.log(2.5), effect=0.3, seed=11)
    )


def headline(result, learner="ridge_cox"):
    rows = result.differences.query(
        "learner == @learner and model == 'stage_all_regions' and reference == 'stage_levels'"
        " and metric == 'concordance_uno_within_folds'"
    )
    assert len(rows) == 1
    return rows.iloc[0]


def test_strong_location_effect_comes_out(strong):
    assert strong.verdict == "location adds"
    assert strong.statement.startswith("Location adds")
    assert (
        "The test rejects, and the estimated gain is above 0 in every analysis" in strong.statement
    )
    assert headline(strong)["estimate"] > 0.05
    assert headline(strong, "boosted_cox")["lower"] > 0


def test_statement_holds_the_figures(strong):
    row = headline(strong)
    for figure in (
        f"{row['estimate']:+.3f} ({row['lower']:+.3f} to {row['upper']:+.3f})",
        f"{row['minimal_detectable_difference']:.3f}",
        f"{row['n']} patients with {row['events']} events",
        "24 months",
        "the ridge Cox without the stage ",
        "the boosted Cox with the stage ",
        "the boosted Cox without the stage ",
    ):
        assert figure in strong.statement
    assert "not identified" not in strong.statement


def test_tables_are_tidy_and_detectable_difference_is_2_8_standard_errors(strong):
    assert list(strong.table.columns) == [
        "learner", "model", "metric", "estimate", "lower", "upper", "se", "n", "events",
    ]  # fmt: skip
    assert {"learner", "model", "reference", "minimal_detectable_difference"} <= {
        *strong.differences.columns
    }
    np.testing.assert_allclose(
        strong.differences["minimal_detectable_difference"], 2.8 * strong.differences["se"]
    )
    assert set(strong.table["model"]) == {
        "no_predictors", "stage", "stage_levels", "stage_tumour_region", "stage_all_regions",
        "levels", "tumour_region", "all_regions",
    }  # fmt: skip
    assert strong.table["estimate"].notna().all()
    single = strong.table.query(
        "learner == 'ridge_cox' and metric == 'concordance_uno_within_folds'"
    )
    single = single.set_index("model")["estimate"]
    assert headline(strong)["estimate"] == pytest.approx(
        single["stage_all_regions"] - single["stage_levels"]
    )


def test_levels_suffice_where_location_says_nothing():
    result = climb(*prepare(n_patients=600, markers=1, effect=0.9, location_effect=0.0, seed=12))
    assert result.verdict == "levels suffice"
    assert headline(result)["upper"] < 0.03


def test_few_patients_cannot_tell():
    result = climb(*prepare(n_patients=60, markers=3, location_effect=0.3, n_folds=3, seed=15))
    assert result.verdict == "cannot tell"
    assert headline(result)["minimal_detectable_difference"] > 0.03


@pytest.mark.parametrize(
    ("limits", "p_value", "sensitivity", "verdict"),
    [
        ((0.02, -0.01, 0.05), 0.05, [0.02, 0.01, 0.001], "location adds"),
        ((0.02, -0.01, 0.05), 0.01, [-0.02, 0.01, 0.01], "cannot tell"),
        ((0.02, -0.01, 0.05), 0.01, [0.02, 0.01, np.nan], "cannot tell"),
        ((0.02, 0.01, 0.05), 0.051, [0.02, 0.01, 0.001], "cannot tell"),
        ((0.02, 0.01, 0.05), np.nan, [0.02, 0.01, 0.001], "cannot tell"),
        ((0.0, -0.04, 0.05), 0.01, [0.02, 0.01, 0.001], "cannot tell"),
        ((-0.01, -0.04, 0.05), 0.01, [0.02, 0.01, 0.001], "cannot tell"),
        ((0.01, -0.02, 0.029), 0.4, [0.02, -0.01, 0.029], "levels suffice"),
        ((-0.03, -0.06, -0.01), 0.4, [-0.1, 0.0, 0.01], "levels suffice"),
        ((0.01, 0.001, 0.02), 0.01, [0.01, 0.01, 0.01], "levels suffice"),
        ((0.01, -0.02, 0.02), np.nan, [0.0, 0.0, 0.0], "levels suffice"),
        ((0.01, -0.02, 0.03), 0.4, [0.0, 0.0, 0.0], "cannot tell"),
        ((0.01, -0.02, 0.02), 0.4, [0.0, 0.03, 0.0], "cannot tell"),
        ((0.01, -0.02, 0.02), 0.4, [0.0, np.nan, 0.0], "cannot tell"),
        ((0.01, -0.02, 0.02), 0.01, [0.01, 0.04, 0.01], "location adds"),
        ((0.01, -0.02, 0.02), 0.01, [0.0, 0.04, 0.0], "cannot tell"),
        ((np.nan, np.nan, np.nan), 0.01, [0.01, 0.01, 0.01], "cannot tell"),
    ],
)
def test_verdict_rule(limits, p_value, sensitivity, verdict):
    found = decide(Gain(*limits), p_value=p_value, sensitivity=sensitivity, margin=0.03)
    assert found == verdict


@pytest.mark.parametrize(
    ("limits", "p_value", "estimates", "sentence"),
    [
        ((0.03, 0.01, 0.05), 0.01, (0.02, 0.01), "gain is above 0 in every analysis."),
        ((0.03, -0.01, 0.05), 0.01, (0.02, -0.01), "is above 0, but not in boosted."),
        ((0.03, -0.01, 0.05), 0.01, (0.0, -0.01), "is above 0, but not in bare and boosted."),
        (
            (-0.01, -0.05, 0.05),
            0.01,
            (0.0, -0.01),
            "rejects, but the estimated gain is not above 0",
        ),
        ((0.03, 0.01, 0.05), 0.20, (0.02, 0.01), "above 0, but the test does not reject: such"),
        ((0.03, 0.01, 0.05), np.nan, (0.02, 0.01), "above 0, but there is no test: such"),
        ((0.0, -0.01, 0.02), 0.20, (0.02, -0.01), "of all other analyses lie below 0.03."),
        ((0.0, -0.01, 0.02), 0.20, (0.03, 0.01), "below 0.03, but the estimate does not in bare."),
        (
            (0.0, -0.01, 0.04),
            0.20,
            (0.05, -0.01),
            "not reject, and the interval of the gain reaches",
        ),
        ((0.01, 0.001, 0.02), 0.01, (0.01, 0.01), "The test does see location: it tells of the"),
        (
            (0.01, 0.001, 0.02),
            0.01,
            (0.04, 0.01),
            "above 0 in every analysis. The interval of the gain lies below 0.03, but the estimate"
            " does not in bare.",
        ),
        (
            (0.01, 0.001, 0.02),
            0.01,
            (0.04, -0.01),
            "but not in boosted. The interval of the gain lies below 0.03, but the estimate does"
            " not in bare.",
        ),
        ((0.0, -0.01, 0.02), 0.20, (0.03, 0.01), "The test does not reject. The interval of"),
    ],
)
def test_what_disagrees_is_named(limits, p_value, estimates, sentence):
    named = dict(zip(("bare", "boosted"), estimates, strict=True))
    found = describe_agreement(Gain(*limits), p_value=p_value, sensitivity=named, margin=0.03)
    assert sentence in found
    assert found.endswith(".")


def test_no_p_value_is_printed_as_zero():
    found = [
        NullTest(null, 90.0, p, 0.0001, 9999, 60, 40, pd.DataFrame(), ())
        for null, p in (("conditional location", 0.0001), ("label exchangeability", 0.001))
    ]
    told = state_nulls(found)
    assert "levels' (p < 0.001, the headline test)" in told
    assert "exchanged' (p = 0.001)" in told


def test_a_refitted_test_that_cannot_be_made_says_why():
    features, outcome, stages, folds = prepare(n_patients=60, markers=2, n_folds=3, seed=16)
    refused = UntestableError("no event is left without fold 0: use fewer folds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("times_stats.attribution.null_answers.refit_null", _raise(refused))
        result = climb(features, outcome, stages, folds, n_permutations=19, n_refits=19)
    assert result.nulls["p_value"].isna().tolist() == [False, False, True, True]
    told = "conditional location, refitted test: no event is left without fold 0: use fewer folds"
    assert told in result.notes


def _raise(error):
    def refuse(*_, **__):
        raise error

    return refuse


def test_refitted_tests_stand_beside_those_without_refits():
    features, outcome, stages, folds = prepare(n_patients=60, markers=2, n_folds=3, seed=16)
    result = climb(features, outcome, stages, folds, n_permutations=19, n_refits=19)
    assert result.nulls["null"].tolist() == [
        "conditional location",
        "label exchangeability",
        "conditional location, refitted",
        "label exchangeability, refitted",
    ]
    assert result.nulls["p_value"].between(0.05, 1).all()
    told = result.nulls["p_value"].map("p = {:.3f}".format)
    assert f"under every permutation, {told[2]} and {told[3]}." in result.statement


def test_left_out_filled_and_assumed_things_are_noted():
    features, outcome, stages, folds = prepare(
        n_patients=80, markers=3, n_cohorts=2, missing_block=True, seed=13
    )
    features.iloc[0] = np.nan
    stages.iloc[[1, 2], 0] = np.nan
    result = climb(features, outcome, stages, folds, tumour_region=None)
    notes = " ".join(result.notes)
    assert "1 patients without any complete marker" in notes
    assert "2 patients without a recorded stage were left out (P002, P003)" in notes
    assert "M3 was incomplete in" in notes
    assert "regions weigh alike" in notes
    assert "no biopsy rung" in notes
    assert "Cohort indicators" in notes
    assert (result.table["n"] == 77).all()
    assert not result.table["model"].str.contains("tumour").any()


def test_without_stages_the_bare_contrast_is_the_headline():
    features, outcome, _, folds = prepare(n_patients=80, markers=2, seed=14)
    result = climb(features, outcome, None, folds)
    assert not result.table["model"].str.startswith("stage").any()
    assert result.differences["model"].iloc[0] == "all_regions"
    assert "the stage" not in result.statement
    assert "Other analyses: the boosted Cox " in result.statement


def test_markers_scaled_by_region_are_named_and_those_not_analysed_are_not():
    arguments = prepare(n_patients=80, markers=2, seed=14)
    result = climb(*arguments, scaled_by_region=("M1", "M7"))
    assert "not identified for M1:" in result.statement
    assert "M7" not in result.statement


def test_columns_without_a_usable_power_are_noted():
    features, outcome, stages, folds = prepare(n_patients=80, markers=2, seed=14)
    features["M2"] = 1000 + features["M2"] / features["M2"].to_numpy().max()
    result = climb(features, outcome, stages, folds)
    assert "no usable power for columns of M2 in some folds" in " ".join(result.notes)


@pytest.mark.slow
def test_jobs_do_not_change_the_result():
    arguments = prepare(n_patients=60, markers=2, n_folds=3, seed=16)
    one, two = (climb(*arguments, jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.differences, two.differences)
    assert one.statement == two.statement


def test_a_patients_outcome_does_not_move_its_own_prediction():
    features, outcome, stages, folds = prepare(n_patients=80, markers=2, seed=17)
    data = ladder_data(features, outcome, stages)
    altered = outcome.copy()
    altered.loc["P005", ["time", "event"]] = [1.0, 1 - altered.loc["P005", "event"]]
    times = np.array([24.0])
    before, after = (
        predict_ladder(data, y, folds=folds, times=times, seed=1)[0] for y in (outcome, altered)
    )
    for key in before:
        assert before[key].risk[0, 4] == after[key].risk[0, 4]
        if before[key].survival is not None:
            assert (before[key].survival[0, 4] == after[key].survival[0, 4]).all()
    assert (before["ridge_cox/levels"].risk != after["ridge_cox/levels"].risk).any()


def test_levels_and_contrasts_are_what_they_say():
    features, outcome, stages, _ = prepare(n_patients=80, markers=2, regions=3, seed=18)
    data = ladder_data(features, outcome, stages)
    pd.testing.assert_frame_equal(data.levels, features.T.groupby(level="marker").mean().T)
    assert data.contrast_columns == (
        ("M1", "invasive_front"), ("M1", "tumour_centre"),
        ("M2", "invasive_front"), ("M2", "tumour_centre"),
    )  # fmt: skip
    train = np.arange(60)
    designs, _ = data.build_designs(train)
    X = designs["stage_all_regions"].X
    assert [c for c in X if c.startswith("contrast")] == [
        f"contrast:{marker}:{region}" for marker, region in data.contrast_columns
    ]
    assert X["level:M1"].iloc[train].std(ddof=0) == pytest.approx(1.0)
    assert designs["levels"].X.shape[1] == 2
    assert designs["stage_levels"].weak == tuple(data.stage_steps.columns)
    changed = features.copy()
    changed.iloc[60:] *= 3.0
    again = ladder_data(changed, outcome, stages).build_designs(train)[0]["all_regions"].X
    pd.testing.assert_frame_equal(again.iloc[train], designs["all_regions"].X.iloc[train])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, y, s, k: climb(f, y[::-1], s, k), "outcome and features are not of the same"),
        (lambda f, y, s, k: climb(f, y, s[1:], k), "stages and features are not of the same"),
        (lambda f, y, s, k: climb(f, y, s, k, tumour_region="rim"), "not among the regions"),
        (
            lambda f, y, s, k: climb(
                f.xs("tumour_centre", level="region", axis=1, drop_level=False), y, s, k
            ),
            "no marker was measured in two regions",
        ),
        (lambda f, y, s, k: climb(f * np.nan, y, s, k), "nothing to compare"),
    ],
)
def test_faults_are_named(change, message):
    with pytest.raises(InputError, match=message):
        change(*prepare(n_patients=40, markers=2, seed=19))


def test_result_is_frozen(strong):
    with pytest.raises(dataclasses.FrozenInstanceError):
        strong.verdict = "cannot tell"


def test_ridge_cox_on_shuffled_outcomes_ranks_nobody():
    # Pairs within a fold only: pooling the predictors of all folds gives less than .5,
    # since an outcome pushes the models of the other folds the opposite way.
    features, outcome, _, _ = prepare(n_patients=163, markers=5, seed=3)
    y = outcome[["time", "event"]]
    values = []
    for shuffle in range(30):
        rng = spawn_rng(7, "shuffle", shuffle)
        shuffled = y.iloc[rng.permutation(len(y))].set_index(y.index)
        folds = assign_folds(
            y.index.to_numpy(), strata=shuffled["event"].to_numpy(), n_folds=5, rng=rng
        )[0]
        within = []
        for fold in range(5):
            train, test = folds != fold, folds == fold
            model = RidgeCox(transform="standardise").fit(features[train], shuffled[train])
            risk = model.predict(features[test])
            held_out = shuffled[test]
            within.append(concordance_harrell(held_out["time"], held_out["event"], risk))
        values.append(np.mean(within))
    mean, se = np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(mean - 0.5) < 3 * se
    assert se < 0.02
