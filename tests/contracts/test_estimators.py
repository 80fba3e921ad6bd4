"""The scikit-learn protocol, checked by reflection on every public estimator."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

import times_stats as ts

PATIENTS = [f"patient-{number:03d}" for number in range(90)]
MARKERS = ("CD57", "CXCL17")
REGIONS = ("peritumour", "tumour_centre")


def features(markers: tuple[str, ...] = MARKERS) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    columns = pd.MultiIndex.from_product([markers, REGIONS], names=["marker", "region"])
    values = rng.gamma(2.0, 10.0, size=(len(PATIENTS), len(columns)))
    return pd.DataFrame(values, index=pd.Index(PATIENTS, name="patient_id"), columns=columns)


def outcome() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    risk = features().iloc[:, 0].to_numpy() / 20
    event_time = rng.exponential(40 * np.exp(-risk))
    censoring_time = rng.uniform(12, 60, size=len(PATIENTS))
    return pd.DataFrame(
        {
            "time": np.minimum(event_time, censoring_time),
            "event": (event_time <= censoring_time).astype(int),
        },
        index=pd.Index(PATIENTS, name="patient_id"),
    )


def evidence() -> pd.DataFrame:
    return np.log(features()) - np.log(20.0)


def survival_model(kind: type) -> BaseEstimator:
    spec = ts.survival.SurvivalSpec().for_folds()
    return kind(spec=dataclasses.replace(spec, tune=500, draws=500))


def stages() -> pd.Series:
    codes = np.digitize(features().iloc[:, 0], [10.0, 25.0])
    values = pd.Categorical.from_codes(codes, ["I", "II", "III"], ordered=True)
    return pd.Series(values, index=pd.Index(PATIENTS, name="patient_id"), name="tnm")


# One instance and one input for each estimator; a new public estimator must be added here.
CASES: dict[str, tuple[Callable[[type], BaseEstimator], Callable[[], pd.DataFrame | pd.Series]]] = {
    "MarkerModel": (lambda kind: kind(n_rounds=20), lambda: features(("CD57",))),
    "TimesScore": (lambda kind: kind(horizon=24, n_folds=3, n_repeats=2), features),
    "RidgeCox": (lambda kind: kind(), features),
    "StageModel": (lambda kind: kind(), stages),
    "NullModel": (lambda kind: kind(), features),
    "SurvivalModel": (survival_model, evidence),
}


def public_estimators() -> dict[str, type]:
    """Return every public class that has fit and predict."""
    found = {}
    for name in ts.__all__:
        value = getattr(ts, name)
        members = (
            [getattr(value, inner) for inner in getattr(value, "__all__", ())]
            if isinstance(value, types.ModuleType)
            else [value]
        )
        for member in members:
            if inspect.isclass(member) and hasattr(member, "fit") and hasattr(member, "predict"):
                found[member.__name__] = member
    return found


HOME = {"MarkerModel": ts.boosting, "TimesScore": ts, "SurvivalModel": ts.survival}


def kind_of(name: str) -> type:
    return getattr(HOME.get(name, ts.rivals), name)


@pytest.fixture(params=sorted(CASES))
def case(request):
    build, data = CASES[request.param]
    return build(kind_of(request.param)), data()


@pytest.fixture(scope="module")
def fitted() -> dict[str, BaseEstimator]:
    return {
        name: build(kind_of(name)).fit(data(), outcome()) for name, (build, data) in CASES.items()
    }


def test_every_public_estimator_is_covered():
    assert set(public_estimators()) == set(CASES)
    assert all(issubclass(kind, BaseEstimator) for kind in public_estimators().values())


def test_parameters_are_stored_as_given_and_nothing_else(case):
    estimator, _ = case
    assert vars(estimator) == estimator.get_params(deep=False)


def test_clone_and_set_params(case):
    estimator, _ = case
    copy = clone(estimator)
    assert copy is not estimator
    assert repr(copy.get_params()) == repr(estimator.get_params())
    assert copy.set_params(**estimator.get_params(deep=False)) is copy
    with pytest.raises(ValueError, match="Invalid parameter"):
        copy.set_params(no_such_parameter=1)


def test_options_are_keyword_only(case):
    estimator, _ = case
    with pytest.raises(TypeError):
        type(estimator)(*range(4))
    parameters = inspect.signature(type(estimator).fit).parameters
    assert list(parameters)[2] == "y"
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[3:])


def test_predicting_before_fitting_says_so(case):
    estimator, data = case
    with pytest.raises(NotFittedError, match="fit"):
        estimator.predict(data)


def test_fitting_returns_self_and_leaves_parameters_and_data_alone(case):
    estimator, data = case
    before, given = repr(estimator.get_params()), outcome()
    kept = data.copy(deep=True)
    assert estimator.fit(data, given) is estimator
    assert repr(estimator.get_params()) == before
    learned = set(vars(estimator)) - set(estimator.get_params(deep=False))
    assert learned
    assert all(name.endswith("_") for name in learned if not name.startswith("_"))
    compare = (
        pd.testing.assert_series_equal
        if isinstance(data, pd.Series)
        else (pd.testing.assert_frame_equal)
    )
    compare(data, kept)
    pd.testing.assert_frame_equal(given, outcome())


@pytest.mark.parametrize("name", sorted(CASES))
def test_predictions_are_finite_and_follow_their_patients(name, fitted):
    data = CASES[name][1]()
    kept = data.copy(deep=True)
    risk = np.asarray(fitted[name].predict(data))
    assert risk.shape[0] == len(data)
    assert np.isfinite(risk).all()
    assert data.equals(kept)
    order = np.random.default_rng(3).permutation(len(data))
    shuffled = np.asarray(fitted[name].predict(data.iloc[order]))
    np.testing.assert_allclose(shuffled, risk[order], rtol=1e-12)
    subset = np.asarray(fitted[name].predict(data.iloc[:7]))
    np.testing.assert_allclose(subset, risk[:7], rtol=1e-12)


@pytest.mark.parametrize("name", sorted(CASES))
def test_fitting_twice_gives_the_same_predictions(name, fitted):
    build, make = CASES[name]
    data = make()
    again = build(kind_of(name)).fit(data, outcome())
    np.testing.assert_array_equal(again.predict(data), fitted[name].predict(data))


@pytest.mark.parametrize("name", sorted(set(CASES) - {"NullModel"}))
def test_row_order_of_the_training_data_does_not_matter(name, fitted):
    build, make = CASES[name]
    data = make()
    order = np.random.default_rng(4).permutation(len(data))
    other = build(kind_of(name)).fit(data.iloc[order], outcome().iloc[order])
    np.testing.assert_allclose(other.predict(data), fitted[name].predict(data), rtol=1e-4)


@pytest.mark.parametrize("name", ["MarkerModel", "TimesScore", "RidgeCox", "SurvivalModel"])
def test_a_missing_column_is_refused(name, fitted):
    data = CASES[name][1]()
    with pytest.raises(ts.errors.InputError):
        fitted[name].predict(data.iloc[:, 1:])


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_outcome_without_its_columns_is_refused(name):
    build, make = CASES[name]
    with pytest.raises(ts.errors.InputError, match="event"):
        build(kind_of(name)).fit(make(), outcome()[["time"]])
