"""Nulls of location by refitted gain: the statistic, its permutations, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.attribution import location_gain_test
from times_stats.attribution.null_permutations import exchange_labels, exchange_residuals
from times_stats.errors import InputError
from times_stats.partial_likelihood import build_risk_sets, efron_log_likelihood
from times_stats.rivals.cox import RidgeCox
from times_stats.simulate import simulate_study

FOLDS = np.arange(90) % 3


def study(location_effect=0.0, n=90):
    made = simulate_study(n_patients=n, markers=2, location_effect=location_effect, seed=3)
    features = made.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    )
    patients = made.patients.set_index("patient_id")
    stages = patients[["tnm"]].astype(pd.CategoricalDtype(["I", "II", "III", "IV"], ordered=True))
    return features, patients[["time", "event"]], stages


@pytest.fixture(scope="module")
def located():
    return study(location_effect=1.0)


def cross_validated(X, weak, outcome, folds):
    """Sum over folds of what held-out patients add to the log partial likelihood, by RidgeCox."""

    def height(model, rows):
        y = outcome.iloc[rows]
        sets = build_risk_sets(y["time"].to_numpy(), y["event"].to_numpy())
        return efron_log_likelihood(sets, model.predict(X.iloc[rows])[sets.order])

    total, every = 0.0, np.arange(len(X))
    for fold in np.unique(folds):
        train = np.flatnonzero(folds != fold)
        model = RidgeCox(weak=weak, transform="none").fit(X.iloc[train], outcome.iloc[train])
        total += height(model, every) - height(model, train)
    return total


def test_statistic_is_the_gain_in_cross_validated_likelihood(located):
    features, outcome, stages = located
    found = location_gain_test(
        features, outcome, folds=FOLDS, stages=stages, n_permutations=1, seed=1
    )
    given = exchange_residuals(features, outcome, stages=stages, levels=None, seed=1)
    scale = lambda values: (values - values.mean(axis=0)) / values.std(axis=0)  # noqa: E731
    weak = pd.DataFrame(given.weak, outcome.index).add_prefix("stage ")
    levels = pd.DataFrame(scale(given.levels), outcome.index).add_prefix("level ")
    place = pd.DataFrame(scale(given.contrast.reshape(90, -1)), outcome.index).add_prefix("place ")
    without, with_it = pd.concat([weak, levels], axis=1), pd.concat([weak, levels, place], axis=1)
    names = tuple(weak.columns)
    gain = cross_validated(with_it, names, outcome, FOLDS) - cross_validated(
        without, names, outcome, FOLDS
    )
    assert found.statistic == pytest.approx(gain, abs=0.02)
    assert found.statistic > 2


def test_a_strong_effect_is_found_by_both_nulls_and_early_stops_are_early(located):
    features, outcome, stages = located
    for null in ("conditional location", "label exchangeability"):
        found = location_gain_test(
            features, outcome, folds=FOLDS, null=null, stages=stages, n_permutations=19, seed=1
        )
        assert found.p_value == pytest.approx(0.05)
        assert found.p_error == pytest.approx(np.sqrt(0.05 * 0.95 / 19))
        assert (found.null, found.n_permutations) == (f"{null}, refitted", 19)
    idle = study()
    whole = location_gain_test(*idle[:2], folds=FOLDS, n_permutations=39, seed=1)
    early = location_gain_test(*idle[:2], folds=FOLDS, n_permutations=39, stop_after=3, seed=1)
    assert early.statistic == whole.statistic
    assert early.n_permutations < 39
    assert early.p_value == pytest.approx(3 / early.n_permutations)


def test_the_mean_over_repeats_is_returned_and_jobs_change_nothing(located):
    features, outcome, _ = located
    options = {"n_permutations": 5, "null": "label exchangeability", "seed": 1}
    shifted = (np.arange(90) // 30)[None]
    one, other = (
        location_gain_test(features, outcome, folds=labels, **options).statistic
        for labels in (FOLDS[None], shifted)
    )
    both = np.vstack([FOLDS[None], shifted])
    found = location_gain_test(features, outcome, folds=both, **options)
    assert found.statistic == pytest.approx((one + other) / 2)


def test_exchanged_labels_change_the_gain_only_by_the_exchange(located):
    """A region whose labels are all exchanged is the same data: the gain stays, and counts."""
    features, outcome, _ = located
    swapped = features.set_axis(
        pd.MultiIndex.from_tuples(
            [
                (marker, {"tumour_centre": "invasive_front"}.get(region, "tumour_centre"))
                for marker, region in features.columns
            ],
            names=features.columns.names,
        ),
        axis=1,
    )
    options = {"folds": FOLDS, "n_permutations": 1, "null": "label exchangeability", "seed": 1}
    found = [location_gain_test(table, outcome, **options) for table in (features, swapped)]
    assert found[0].statistic == pytest.approx(found[1].statistic, abs=1e-8)
    given = exchange_labels(features, outcome, stages=None, seed=1)
    moved = given.permute(1)[0]
    np.testing.assert_allclose(np.sort(moved, axis=2), np.sort(given.contrast, axis=2), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"null": "labels"}, "null is 'labels': use 'conditional location' or"),
        ({"null": "label exchangeability", "levels": True}, "holds the mean over regions fixed"),
        ({"folds": np.arange(80) % 3}, "folds have shape"),
        ({"n_permutations": 0}, "n_permutations is 0"),
        ({"idle": True}, "no event is left without fold 0"),
    ],
)
def test_faults_are_named(located, change, message):
    features, outcome, _ = located
    options = {"folds": FOLDS, "n_permutations": 1} | change
    if options.pop("idle", False):
        outcome = outcome.assign(event=(FOLDS == 0).astype(int))
    if options.get("levels"):
        options["levels"] = features["M1"]
    with pytest.raises(InputError, match=message):
        location_gain_test(features, outcome, **options)
