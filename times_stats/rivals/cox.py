"""Ridge Cox regression whose penalty is learned from the training patients alone."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from times_stats._checks import as_survival_table
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import DataWarning, InputError
from times_stats.nonparametric.step_curve import step_value
from times_stats.partial_likelihood import (
    RiskSets,
    build_risk_sets,
    efron_cumulative_hazard,
    efron_derivatives,
    efron_log_likelihood,
)
from times_stats.rivals.transforms import ColumnTransform, learn_transform

WEAK_PRECISION = 1.0 / 2.0**2
"""Of the prior N(0, 2^2) of stages and cohorts, which no penalty is learned for."""
LOG_PENALTY_BOUNDS = (float(np.log(0.1)), float(np.log(1e4)))
"""Between which the log of a penalty is learned."""
_N_GRID = 5
_LOG_PENALTY_TOLERANCE = 0.1
_LOCAL_STEP = 1.5
_MAX_ROUNDS = 5
_MAX_NEWTON = 50
_NEWTON_TOLERANCE = 1e-14
_SEARCH_TOLERANCE = 1e-6
_NEAR_MAXIMUM = 1e-8
_MAX_HALVINGS = 30


@dataclass(frozen=True, slots=True)
class _PenalisedFit:
    coefficients: FloatArray
    information: FloatArray
    log_likelihood: float
    log_marginal: float


def maximise_penalised(
    sets: RiskSets,
    X: FloatArray,
    precision: FloatArray,
    start: FloatArray,
    *,
    tolerance: float = _NEWTON_TOLERANCE,
) -> _PenalisedFit:
    """Maximise the Efron log partial likelihood minus ``sum precision_j beta_j^2 / 2``.

    Parameters
    ----------
    sets : RiskSets
        Sorted sample.
    X : float array, shape (n, p)
        Covariates, in sorted order.
    precision : float array, shape (p,)
        Prior precision (penalty) of each coefficient.
    start : float array, shape (p,)
        Where Newton's method starts.
    tolerance : float
        The last step is taken once it promises a gain of less than half of this.

    Returns
    -------
    _PenalisedFit
        Coefficients, information with the penalty, log partial likelihood and the Laplace
        approximation of the log marginal likelihood.
    """
    beta = start
    predictor = X @ beta
    log_likelihood, gradient, information = efron_derivatives(sets, X, predictor)
    for _ in range(_MAX_NEWTON):
        objective = log_likelihood - 0.5 * float(precision @ beta**2)
        slope = gradient - precision * beta
        information[np.diag_indices_from(information)] += precision
        try:
            factor = cho_factor(information, check_finite=False)
        except LinAlgError:
            raise InputError(
                "the coefficients are not identified: drop columns that repeat each other or do"
                " not vary, or give a penalty above 0"
            ) from None
        step = cho_solve(factor, slope, check_finite=False)
        gain = float(slope @ step)
        if gain < tolerance:
            beta = beta + step
            objective += 0.5 * gain
            break
        length = 1.0
        for _ in range(_MAX_HALVINGS):
            trial = beta + length * step
            predictor = X @ trial
            height = efron_log_likelihood(sets, predictor) - 0.5 * float(precision @ trial**2)
            # so near the maximum, a comparison of heights would only compare rounding errors
            if height >= objective or gain < _NEAR_MAXIMUM:
                break
            length /= 2.0
        else:
            break
        beta = trial
        log_likelihood, gradient, information = efron_derivatives(sets, X, predictor)
    else:
        raise InputError(
            "the penalised Cox regression did not converge: raise the penalty, or look for a"
            " column that separates events from non-events"
        )
    log_determinant = 2.0 * float(np.log(np.diag(factor[0])).sum())
    positive = precision > 0.0
    log_marginal = objective + 0.5 * float(np.log(precision[positive]).sum()) - log_determinant / 2
    return _PenalisedFit(beta, information, log_likelihood, log_marginal)


class RidgeCox(BaseEstimator):  # type: ignore[misc]
    r"""Cox regression with a ridge penalty per group of columns, learned inside `fit`.

    Coefficients maximise the Efron log partial likelihood minus
    :math:`\tfrac12 \sum_j \lambda_{g(j)} \beta_j^2`, that is with prior
    :math:`\beta_j \sim N(0, 1/\lambda_{g(j)})`. Each :math:`\lambda_g` maximises the Laplace
    approximation of the log marginal likelihood

    .. math:: \ell(\hat\beta) - \tfrac12 \hat\beta' \Lambda \hat\beta
              + \tfrac12 \log|\Lambda| - \tfrac12 \log|I(\hat\beta) + \Lambda|

    over penalties between 0.1 and 10,000 (prior standard deviations of 3.2 down to .01 per
    standard deviation of the column): a grid of five, then a bounded search around the best, to .1
    on the log scale. With several groups the search goes group by group until no log penalty moves
    by more than that, five rounds at most; from the second round on it stays within 1.5 of the last
    value. No random number and no inner fold is used, so a fit is deterministic and
    tuning cannot leak out of the training patients.

    Parameters
    ----------
    column_groups : mapping, optional
        Column label to the name of its penalty group; columns left out are in group "features".
    weak : sequence of labels, optional
        Columns with the fixed prior N(0, 2^2) on their own scale, centred only: stages, cohorts.
    transform : {"yeo_johnson", "standardise", "none"}, default "yeo_johnson"
        What is learned about the other columns: Yeo-Johnson power and standardisation (power only
        for columns of more than two values), standardisation, or centring alone.
    penalty : mapping of str to float, optional
        Fixed penalty of each group, in place of learning it; 0 is no penalty.

    Attributes
    ----------
    coef_ : float array, shape (p,)
        Log hazard ratios per unit of the transformed columns.
    penalty_ : dict
        Penalty of each group.
    log_marginal_likelihood_, log_likelihood_ : float
        Laplace-approximated log marginal likelihood; log partial likelihood.
    covariance_ : float array, shape (p, p)
        Inverse of the penalised information: posterior covariance given the penalties.
    transform_ : ColumnTransform
        Learned transform.
    event_times_, baseline_cumulative_hazard_ : float array
        Cumulative hazard of a patient with linear predictor 0 (Breslow with Efron denominators).
    n_filled_ : int
        Missing values of the training data set to 0, the training mean, after standardising.
    n_events_ : int
        Events in the training data.
    feature_names_in_ : list
        Column labels.

    References
    ----------
    Verweij P. J. M., van Houwelingen H. C. (1994). Penalized likelihood in Cox regression. *Stat
    Med* 13, 2427-2436. doi:10.1002/sim.4780132307. MacKay D. J. C. (1992). Bayesian interpolation.
    *Neural Comput* 4, 415-447. doi:10.1162/neco.1992.4.3.415

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"])
    >>> y = pd.DataFrame({"time": rng.exponential(np.exp(-X["a"])), "event": 1})
    >>> model = RidgeCox().fit(X, y)
    >>> bool(model.coef_[0] > 0.5), model.predict(X).shape
    (True, (80,))
    """

    def __init__(
        self,
        *,
        column_groups: Mapping[Hashable, str] | None = None,
        weak: Sequence[Hashable] = (),
        transform: Literal["yeo_johnson", "standardise", "none"] = "yeo_johnson",
        penalty: Mapping[str, float] | None = None,
    ) -> None:
        self.column_groups = column_groups
        self.weak = weak
        self.transform = transform
        self.penalty = penalty

    def fit(self, X: pd.DataFrame, y: pd.DataFrame) -> Self:
        """Learn transforms, penalties, coefficients and the baseline.

        Parameters
        ----------
        X : DataFrame, shape (n, p)
            Covariates; NaN is filled with the training mean after standardising and counted.
        y : DataFrame, shape (n, ...)
            Columns `time` (months) and `event` (0 or 1).

        Returns
        -------
        RidgeCox
            The fitted model.

        Raises
        ------
        InputError
            No event, rows that do not match, infinite or huge values, unknown columns or groups.

        Warns
        -----
        DataWarning
            If a column has no usable Yeo-Johnson power and is only standardised.
        """
        table = as_survival_table(y)
        groups = self._group_columns(X, len(table))
        values = X.to_numpy(dtype=np.float64)
        time = table["time"].to_numpy(dtype=np.float64)
        event = table["event"].to_numpy(dtype=np.int64)
        self._check_training(values, event)
        is_weak = np.array([group is None for group in groups], dtype=np.bool_)
        self.transform_: ColumnTransform = learn_transform(
            X,
            gaussianise=~is_weak & (self.transform == "yeo_johnson"),
            rescale=~is_weak & (self.transform != "none"),
        )
        if self.transform_.standardised_only:
            named = [*self.transform_.standardised_only][:5]
            warnings.warn(
                f"no usable Yeo-Johnson power for columns {named}: they lie many"
                " standard deviations from 0 or hardly vary, and are only standardised; give such a"
                " marker a unit in which it starts near 0",
                DataWarning,
                stacklevel=2,
            )
        self.feature_names_in_ = list(X.columns)
        self.n_filled_ = int(np.isnan(values).sum())
        self.n_events_ = int(event.sum())
        self._fit_standardised(self._design(values), time, event, groups)
        return self

    def predict(self, X: pd.DataFrame) -> FloatArray:
        """Return the linear predictor, shape (n,): 0 at the training means, larger = earlier event.

        Parameters
        ----------
        X : DataFrame, shape (n, p)
            The columns seen in `fit`, in any order; NaN is filled with the training mean.

        Returns
        -------
        float array, shape (n,)
            Log hazard against a patient with the training means.

        Raises
        ------
        InputError
            A training column is absent, or a value is beyond 1e40 in size.
        """
        check_is_fitted(self, "coef_")
        absent = [name for name in self.feature_names_in_ if name not in X.columns]
        if absent:
            raise InputError(f"columns {absent[:5]} of the fitted model are missing from X")
        return self._design(X[self.feature_names_in_].to_numpy(dtype=np.float64)) @ self.coef_

    def predict_survival(self, X: pd.DataFrame, *, times: FloatArray) -> FloatArray:
        """Return S(t) = exp(-H0(t) exp(linear predictor)), shape (n, n_times).

        Beyond the last event time of the training data the curve stays flat.

        Parameters
        ----------
        X : DataFrame, shape (n, p)
            The columns seen in `fit`.
        times : float array, shape (n_times,)
            Months.

        Returns
        -------
        float array, shape (n, n_times)
            Probabilities of no event by each time.

        Raises
        ------
        InputError
            As `predict`.
        """
        predictor = self.predict(X)
        baseline = step_value(self.event_times_, self.baseline_cumulative_hazard_, times, start=0.0)
        survival: FloatArray = np.exp(-np.exp(predictor)[:, None] * baseline[None, :])
        return survival

    def _group_columns(self, X: pd.DataFrame, n_rows: int) -> list[str | None]:
        faults = []
        if len(X) != n_rows:
            faults.append(f"X has {len(X)} rows and y has {n_rows}: give one outcome per row")
        if self.transform not in ("yeo_johnson", "standardise", "none"):
            faults.append(
                f"transform must be 'yeo_johnson', 'standardise' or 'none', got {self.transform!r}"
            )
        named = dict(self.column_groups or {})
        for origin, labels in (("column_groups", [*named]), ("weak", [*self.weak])):
            unknown = [label for label in labels if label not in X.columns]
            if unknown:
                faults.append(f"{origin} names columns that X does not have: {unknown[:5]}")
        weak = set(self.weak)
        groups = [None if name in weak else named.get(name, "features") for name in X.columns]
        if self.penalty is not None:
            missing = sorted({group for group in groups if group is not None} - {*self.penalty})
            if missing:
                faults.append(f"penalty has no value for the groups {missing}")
            if any(value < 0.0 for value in self.penalty.values()):
                faults.append("penalty must not be negative")
        if faults:
            raise InputError(faults)
        return groups

    def _check_training(self, values: FloatArray, event: IntArray) -> None:
        if np.isinf(values).any():
            raise InputError("X holds infinite values: replace them or mark them as missing")
        if not event.any():
            raise InputError(
                "no event in the training data: a Cox regression needs at least one; use fewer"
                " folds or a longer follow-up"
            )

    def _design(self, values: FloatArray) -> FloatArray:
        standardised = self.transform_.apply(values)
        return np.where(np.isnan(standardised), 0.0, standardised)

    def _fit_standardised(
        self, design: FloatArray, time: FloatArray, event: IntArray, groups: list[str | None]
    ) -> None:
        sets = build_risk_sets(time, event)
        ordered = design[sets.order]
        names = sorted({group for group in groups if group is not None})
        if self.penalty is not None:
            self.penalty_ = {name: float(self.penalty[name]) for name in names}
            precision = _precision_of(groups, self.penalty_)
            fit = maximise_penalised(sets, ordered, precision, np.zeros(design.shape[1]))
        else:
            self.penalty_, fit = _learn_penalties(sets, ordered, groups, names)
        self.coef_ = fit.coefficients
        self.log_likelihood_ = fit.log_likelihood
        self.log_marginal_likelihood_ = fit.log_marginal
        self.covariance_ = np.linalg.inv(fit.information)
        self.event_times_ = sets.event_times
        self.baseline_cumulative_hazard_ = efron_cumulative_hazard(sets, ordered @ fit.coefficients)


def _precision_of(groups: list[str | None], penalty: Mapping[str, float]) -> FloatArray:
    return np.array([WEAK_PRECISION if group is None else penalty[group] for group in groups])


def _learn_penalties(
    sets: RiskSets, X: FloatArray, groups: list[str | None], names: list[str]
) -> tuple[dict[str, float], _PenalisedFit]:
    middle = float(np.mean(LOG_PENALTY_BOUNDS))
    log_penalty = dict.fromkeys(names, middle)
    latest = np.zeros(X.shape[1])
    heights: dict[tuple[float, ...], float] = {}

    def cost(name: str, value: float) -> float:
        nonlocal latest
        trial = {**log_penalty, name: float(value)}
        precision = _precision_of(groups, _exponential(trial))
        fit = maximise_penalised(sets, X, precision, latest, tolerance=_SEARCH_TOLERANCE)
        latest = fit.coefficients
        heights[tuple(trial.values())] = fit.log_marginal
        return -fit.log_marginal

    for round_number in range(_MAX_ROUNDS if len(names) > 1 else len(names)):
        before = dict(log_penalty)
        for name in names:
            if round_number == 0:
                grid = np.linspace(*LOG_PENALTY_BOUNDS, _N_GRID)
                centre = int(np.argmin([cost(name, value) for value in grid]))
                low, high = grid[max(centre - 1, 0)], grid[min(centre + 1, _N_GRID - 1)]
            else:
                low = max(log_penalty[name] - _LOCAL_STEP, LOG_PENALTY_BOUNDS[0])
                high = min(log_penalty[name] + _LOCAL_STEP, LOG_PENALTY_BOUNDS[1])
            minimize_scalar(
                partial(cost, name),
                bounds=(low, high),
                method="bounded",
                options={"xatol": _LOG_PENALTY_TOLERANCE},
            )
            best = max(heights.items(), key=lambda item: item[1])[0]
            log_penalty = dict(zip(names, best, strict=True))
        if all(abs(before[name] - log_penalty[name]) <= _LOG_PENALTY_TOLERANCE for name in names):
            break
    penalty = _exponential(log_penalty)
    return penalty, maximise_penalised(sets, X, _precision_of(groups, penalty), latest)


def _exponential(log_penalty: Mapping[str, float]) -> dict[str, float]:
    return {name: float(np.exp(value)) for name, value in log_penalty.items()}
