"""Ridge Cox: golden values from R, derivatives, learned penalties, nothing leaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from times_stats.errors import DataWarning, InputError
from times_stats.partial_likelihood import (
    build_risk_sets,
    efron_derivatives,
    efron_log_likelihood,
)
from times_stats.rivals.cox import RidgeCox, maximise_penalised
from times_stats.rivals.hazard_scale import hazard_ratios

GOLDEN = Path(__file__).parents[1] / "golden" / "rivals"
PROBLEMS = ("tied", "veteran")


def golden(problem, quantity):
    table = pd.read_csv(GOLDEN / "cox.csv", dtype={"name": str})
    chosen = table[(table["problem"] == problem) & (table["quantity"] == quantity)]
    assert len(chosen)
    return chosen.set_index("name")["value"]


def load(problem):
    frame = pd.read_csv(GOLDEN / f"{problem}.csv")
    return frame.drop(columns=["time", "event"]), frame[["time", "event"]]


def sample(n=120, p=4, *, slope=0.8, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, p)), columns=[f"x{j}" for j in range(p)])
    time = rng.exponential(20 * np.exp(-slope * X["x0"]))
    censoring = rng.uniform(5, 40, size=n)
    observed = np.minimum(time, censoring)
    y = pd.DataFrame(
        {"time": np.ceil(observed) if ties else observed, "event": (time <= censoring).astype(int)}
    )
    return X, y


@pytest.mark.parametrize("problem", PROBLEMS)
def test_unpenalised_fit_is_that_of_coxph_efron(problem):
    X, y = load(problem)
    model = RidgeCox(transform="none", penalty={"features": 0.0}).fit(X, y)
    np.testing.assert_allclose(model.coef_, golden(problem, "plain_coef"), rtol=1e-7)
    se = np.sqrt(np.diag(model.covariance_))
    np.testing.assert_allclose(se, golden(problem, "plain_se"), rtol=1e-7)
    assert model.log_likelihood_ == pytest.approx(
        golden(problem, "plain_loglik").iloc[0], rel=1e-10
    )
    base = golden(problem, "plain_cumhaz")
    survival = model.predict_survival(X.mean().to_frame().T, times=base.index.astype(float))
    np.testing.assert_allclose(-np.log(survival[0]), base, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("theta", [0.5, 5, 50])
def test_ridge_fit_is_that_of_coxph_ridge(problem, theta):
    X, y = load(problem)
    model = RidgeCox(transform="none", penalty={"features": float(theta)}).fit(X, y)
    np.testing.assert_allclose(model.coef_, golden(problem, f"ridge_{theta}_coef"), rtol=1e-6)
    loglik = golden(problem, f"ridge_{theta}_loglik").iloc[0]
    assert model.log_likelihood_ == pytest.approx(loglik, rel=1e-9)
    base = golden(problem, f"ridge_{theta}_cumhaz")
    survival = model.predict_survival(X.mean().to_frame().T, times=base.index.astype(float))
    np.testing.assert_allclose(-np.log(survival[0]), base, rtol=1e-6, atol=1e-12)


def test_null_log_likelihood_is_that_of_coxph():
    for problem in PROBLEMS:
        _, y = load(problem)
        sets = build_risk_sets(y["time"].to_numpy(float), y["event"].to_numpy())
        value = efron_log_likelihood(sets, np.zeros(len(y)))
        assert value == pytest.approx(golden(problem, "null_loglik").iloc[0], rel=1e-12)


def test_hazard_ratios_are_those_of_coxph():
    X, y = load("tied")
    score = 1 / (1 + np.exp(-(0.8 * X["x1"] - 0.4 * X["x2"] - 0.3)))
    table = hazard_ratios(y, score).set_index("per")
    for column, quantity in (
        ("unit", "score_unit"),
        ("hazard_ratio", "score_hr"),
        ("lower", "score_lower"),
        ("upper", "score_upper"),
    ):
        np.testing.assert_allclose(table[column], golden("tied", quantity)[table.index], rtol=1e-6)
    assert (table["n"] == 60).all()
    assert (table["events"] == y["event"].sum()).all()


def test_derivatives_match_finite_differences():
    X, y = sample(60, 3)
    sets = build_risk_sets(y["time"].to_numpy(), y["event"].to_numpy())
    Z = X.to_numpy()[sets.order]
    beta = np.array([0.5, -0.2, 0.1])
    value, gradient, information = efron_derivatives(sets, Z, Z @ beta)
    assert value == pytest.approx(efron_log_likelihood(sets, Z @ beta), rel=1e-12)
    step = 1e-5
    for j in range(3):
        up, down = beta.copy(), beta.copy()
        up[j] += step
        down[j] -= step
        above, below = efron_derivatives(sets, Z, Z @ up), efron_derivatives(sets, Z, Z @ down)
        assert (above[0] - below[0]) / (2 * step) == pytest.approx(gradient[j], rel=1e-6)
        np.testing.assert_allclose(
            -(above[1] - below[1]) / (2 * step), information[j], rtol=1e-5, atol=1e-6
        )


def test_learned_penalty_maximises_the_laplace_marginal_likelihood():
    X, y = sample(150, 6)
    model = RidgeCox(transform="standardise").fit(X, y)
    sets = build_risk_sets(y["time"].to_numpy(), y["event"].to_numpy())
    Z = ((X - X.mean()) / X.std(ddof=0)).to_numpy()[sets.order]

    def log_marginal(log_penalty):
        fit = maximise_penalised(sets, Z, np.full(6, np.exp(log_penalty)), np.zeros(6))
        _, _, information = efron_derivatives(sets, Z, Z @ fit.coefficients)
        total = information + np.exp(log_penalty) * np.eye(6)
        return (
            fit.log_likelihood
            - 0.5 * np.exp(log_penalty) * (fit.coefficients**2).sum()
            + 0.5 * 6 * log_penalty
            - 0.5 * np.linalg.slogdet(total)[1]
        )

    best = minimize_scalar(lambda v: -log_marginal(v), bounds=(-2.3, 9.2), method="bounded")
    assert np.log(model.penalty_["features"]) == pytest.approx(best.x, abs=0.15)
    assert model.log_marginal_likelihood_ == pytest.approx(-best.fun, abs=1e-3)


def test_groups_get_penalties_of_their_own():
    X, y = sample(200, 8, slope=1.0)
    noise = {f"x{j}": "noise" for j in range(1, 8)}
    model = RidgeCox(column_groups=noise).fit(X, y)
    assert model.penalty_["noise"] > 10 * model.penalty_["features"]
    alone = RidgeCox().fit(X[["x0"]], y)
    assert model.coef_[0] == pytest.approx(alone.coef_[0], abs=0.1)


def test_weak_columns_keep_their_unit_and_prior():
    X, y = sample(100, 2)
    stage = (X["x0"] > 0).astype(float)
    model = RidgeCox(weak=["stage"]).fit(pd.DataFrame({"stage": stage}), y)
    assert model.penalty_ == {}
    fixed = RidgeCox(transform="none", penalty={"features": 0.25}).fit(
        pd.DataFrame({"stage": stage}), y
    )
    assert model.coef_[0] == pytest.approx(fixed.coef_[0], rel=1e-9)


def test_missing_values_are_the_training_mean_and_are_counted():
    X, y = sample(100, 3)
    holed = X.copy()
    holed.iloc[:7, 1] = np.nan
    model = RidgeCox(transform="standardise").fit(holed, y)
    filled = holed.fillna(holed.mean())
    assert model.n_filled_ == 7
    np.testing.assert_allclose(model.predict(holed), model.predict(filled), atol=1e-12)


def test_constant_column_changes_nothing():
    X, y = sample(100, 2)
    with_constant = X.assign(flat=3.0, absent=np.nan)
    model = RidgeCox(penalty={"features": 5.0}).fit(with_constant, y)
    plain = RidgeCox(penalty={"features": 5.0}).fit(X, y)
    np.testing.assert_allclose(model.coef_, [*plain.coef_, 0.0, 0.0], atol=1e-10)


def test_predictions_are_survival_curves_and_ignore_column_order():
    X, y = sample()
    model = RidgeCox().fit(X, y)
    times = np.array([0.0, 5.0, 10.0, 500.0])
    survival = model.predict_survival(X, times=times)
    assert survival.shape == (120, 4)
    assert (np.diff(survival, axis=1) <= 0).all()
    assert (survival[:, 0] == 1).all()
    assert ((survival >= 0) & (survival <= 1)).all()
    np.testing.assert_array_equal(model.predict(X[X.columns[::-1]]), model.predict(X))
    order = np.argsort(model.predict(X))
    assert (np.diff(survival[order, 2]) <= 0).all()


def test_units_and_shift_of_time_do_not_matter():
    X, y = sample()
    model = RidgeCox(transform="standardise").fit(X, y)
    other = RidgeCox(transform="standardise").fit(X * 1000 + 7, y.assign(time=y["time"] * 30.4))
    np.testing.assert_allclose(model.predict(X), other.predict(X * 1000 + 7), atol=1e-8)


def test_skewed_columns_predict_as_their_logarithm():
    X, y = sample(150, 2)
    gaussian = RidgeCox(transform="standardise").fit(X, y).predict(X)
    skewed = np.exp(X + 2)
    assert np.corrcoef(RidgeCox().fit(skewed, y).predict(skewed), gaussian)[0, 1] > 0.99
    plain = RidgeCox(transform="standardise").fit(skewed, y).predict(skewed)
    assert np.corrcoef(plain, gaussian)[0, 1] < 0.95


def test_columns_without_a_usable_power_are_warned_of_and_standardised():
    X, y = sample(100, 2)
    far = X.assign(x1=1000 + X["x1"])
    with pytest.warns(DataWarning, match=r"no usable Yeo-Johnson power for columns \['x1'\]"):
        model = RidgeCox(penalty={"features": 5.0}).fit(far, y)
    Z = model.transform_.apply(far.to_numpy())
    np.testing.assert_allclose(Z[:, 1], (X["x1"] - X["x1"].mean()) / X["x1"].std(ddof=0))


def test_is_a_scikit_learn_estimator():
    model = RidgeCox(weak=("a",), penalty={"features": 2.0})
    assert clone(model).get_params() == model.get_params()


def test_separated_events_stay_finite():
    X = pd.DataFrame({"x": np.r_[np.zeros(20), np.ones(20)]})
    y = pd.DataFrame(
        {"time": np.r_[np.full(20, 50.0), np.arange(1, 21)], "event": np.repeat([0, 1], 20)}
    )
    model = RidgeCox().fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert model.coef_[0] > 0.5


def test_one_event_is_enough_and_none_is_an_error():
    X, y = sample(30)
    y["event"] = 0
    with pytest.raises(InputError, match="no event in the training data"):
        RidgeCox().fit(X, y)
    y.loc[3, "event"] = 1
    assert np.isfinite(RidgeCox().fit(X, y).predict(X)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: RidgeCox().fit(X[:-1], y), "X has 29 rows and y has 30"),
        (lambda X, y: RidgeCox(weak=["stage"]).fit(X, y), "weak names columns"),
        (lambda X, y: RidgeCox(column_groups={"q": "a"}).fit(X, y), "column_groups names columns"),
        (lambda X, y: RidgeCox(penalty={"other": 1.0}).fit(X, y), "no value for the groups"),
        (lambda X, y: RidgeCox(penalty={"features": -1.0}).fit(X, y), "must not be negative"),
        (lambda X, y: RidgeCox(transform="log").fit(X, y), "transform must be"),
        (lambda X, y: RidgeCox().fit(X.assign(x1=np.inf), y), "infinite"),
        (
            lambda X, y: RidgeCox().fit(X.assign(x1=X["x1"] * 1e41), y),
            r"\['x1'\] hold values beyond",
        ),
        (lambda X, y: RidgeCox().fit(X, y).predict(X * np.inf), "hold values beyond 1e"),
        (lambda X, y: RidgeCox().fit(X, y).predict(X[["x0"]]), "missing from X"),
        (
            lambda X, y: RidgeCox(penalty={"features": 0.0}).fit(X.assign(x1=X["x0"]), y),
            "not identified",
        ),
    ],
)
def test_faults_are_named(change, message):
    with pytest.raises(InputError, match=message):
        change(*sample(30))


def test_prediction_needs_a_fit():
    with pytest.raises(NotFittedError, match="not fitted"):
        RidgeCox().predict(sample(30)[0])


def test_hazard_ratio_needs_a_score_that_varies():
    _, y = sample(30)
    with pytest.raises(InputError, match="a score that varies"):
        hazard_ratios(y, pd.Series(1.0, index=y.index))
    with pytest.raises(InputError, match="score lacks patients"):
        hazard_ratios(y, pd.Series([1.0]))


def test_hazard_ratio_leaves_out_patients_without_a_score():
    X, y = sample(60)
    score = X["x0"].copy()
    score.iloc[:10] = np.nan
    full = hazard_ratios(y.iloc[10:], score.iloc[10:])
    pd.testing.assert_frame_equal(hazard_ratios(y, score), full)
    assert (full["n"] == 50).all()
