"""One gradient-boosted model of one marker: regions in, log-hazard, log-odds or log time out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from times_stats._checks import Faults, as_survival_table, name_rows
from times_stats._typing import BoolArray, FloatArray
from times_stats.boosting.calibration import (
    BreslowBaseline,
    estimate_baseline,
    event_probability,
)
from times_stats.boosting.constraints import check_directions, read_directions
from times_stats.boosting.failure_time import (
    DISTRIBUTIONS,
    FailureTimeDistribution,
    failure_time_probability,
    fit_failure_time_location,
    log_hazard_slope,
)
from times_stats.errors import InputError
from times_stats.nonparametric import ipcw_weights

type Objective = Literal["survival:cox", "survival:aft", "binary:logistic"]
_LARGEST = float(np.finfo(np.float32).max)  # XGBoost computes in single precision
OBJECTIVES: tuple[str, ...] = ("survival:cox", "survival:aft", "binary:logistic")
# A patient's hessian: on average the share of events (AFT: times 1 / scale^2); p (1 - p), at most
# 1/4.
MIN_CHILD_WEIGHT = {"survival:cox": 10.0, "survival:aft": 10.0, "binary:logistic": 2.5}
_SMALLEST_SCALE = 0.3  # XGBoost cuts the hessians of AFT, 1 / scale^2, at 15


@dataclass(frozen=True, slots=True)
class MarkerEvidence:
    """What one marker says of each patient.

    Parameters
    ----------
    margin : ndarray, shape (n,)
        Raw output minus base value: log-hazard (log-odds, negative log time) against the training
        average; larger is earlier.
    attribution : ndarray, shape (n, n_regions)
        TreeSHAP values of the margin; rows sum to `margin`.
    probability : ndarray, shape (n,)
        Probability of the event by the horizon.
    """

    margin: FloatArray
    attribution: FloatArray
    probability: FloatArray


class MarkerModel(BaseEstimator):  # type: ignore[misc]
    r"""Gradient-boosted model of the outcome on the regions of one marker.

    Rounds and depth are fixed: tuning them per fold would put the margins of the folds on
    different scales. The defaults suit 80-300 patients and weak signals: with two regions and
    hazard ratios of 1.4-1.8 per SD, calibration slopes on fresh patients were about .8-1.2, where
    100 rounds with a light penalty gave .3-.65, at equal or better concordance
    (``benchmarks/coverage/marker_model_defaults.py`` prints the table).

    Parameters
    ----------
    objective : {"survival:cox", "survival:aft", "binary:logistic"}, default "survival:cox"
        Cox partial likelihood (Breslow ties); accelerated failure time, ``log T = f + scale x
        error``, with right censoring; or the event by `horizon` with inverse probability of
        censoring weights. The margin of ``survival:aft`` is ``-f`` less its average, in units of
        *log time* (a margin of .7 halves the time), so larger is earlier as everywhere.
    horizon : float, optional
        Months; needed by ``binary:logistic``.
    n_rounds : int, default 50
        Trees.
    learning_rate : float, default 0.05
        Shrinkage of each tree.
    max_depth : int, default 2
        Depth 2 lets two regions interact, no more.
    min_child_weight : float, optional
        Smallest sum of hessians in a leaf; 10 for ``survival:cox``, ``10 / aft_scale ** 2`` for
        ``survival:aft`` and 2.5 for ``binary:logistic`` if left out. The Cox hessians of all
        patients sum to about the number of events, so a leaf holds some ten expected events (as
        with AFT); a logistic hessian is at most 1/4, so a leaf holds ten patients or more.
    reg_lambda : float, default 20
        Ridge penalty of leaf values: a leaf of 20 expected events moves half way (logistic: of 80
        patients or more).
    censoring_strata : sequence of str, default ()
        Columns of the outcome within which the censoring distribution is estimated (logistic).
    monotone_constraints : mapping of str to {-1, 0, 1}, optional
        By region, or by column (``"CD8:tumour"``): 1 where the *risk* may only rise with the
        value, -1 where it may only fall, 0 or left out where it is free. The risk, not the time:
        the direction means the same under every objective.
    region_interaction : bool, default True
        False keeps the regions apart: no tree splits on two of them, so the margin is a sum of
        one function of each region.
    aft_distribution : {"extreme", "normal", "logistic"}, default "extreme"
        Error of ``survival:aft``: T is Weibull, log-normal or log-logistic.
    aft_scale : float, default 1.0
        Scale of that error, fixed. With ``extreme`` the margin divided by the scale is a
        log-hazard, so by default its units are those of ``survival:cox``; ``reg_lambda`` and
        ``min_child_weight`` count hessians, which grow as ``1 / aft_scale ** 2``.
    seed : int, default 0
        Passed to XGBoost; with neither rows nor columns sampled it changes nothing.
    min_events : int, default 5
        Fewest patients with an event (logistic: and without one) that a fit accepts.

    Attributes
    ----------
    booster_ : xgboost.Booster
    base_value_ : float
        TreeSHAP base value, the mean raw output of the training fold weighted by hessian
        (``survival:aft``: mean log time; the raw output is base value minus margin).
    baseline_ : BreslowBaseline or None
        Baseline hazard of the training fold (``survival:cox``).
    feature_names_in_ : ndarray of str
    n_features_in_ : int
    n_events_ : int
        Patients with an event (logistic: by the horizon).
    min_child_weight_ : float
        The one used.
    training_range_ : ndarray, shape (n_regions, 2)
        Smallest and largest training value of each region.

    References
    ----------
    Chen and Guestrin (2016), doi:10.1145/2939672.2939785; Lundberg et al. (2020), TreeSHAP,
    doi:10.1038/s42256-019-0138-9; Barnwal et al. (2022), accelerated failure time in XGBoost,
    doi:10.1080/10618600.2022.2067548.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> X = pd.DataFrame({"tumour": rng.normal(size=120), "adjacent": rng.normal(size=120)})
    >>> y = pd.DataFrame({"time": rng.exponential(np.exp(-X["tumour"])), "event": 1})
    >>> model = MarkerModel().fit(X, y)
    >>> bool(np.allclose(model.attribute(X).sum(axis=1), model.predict(X)))
    True
    """

    def __init__(
        self,
        *,
        objective: Objective = "survival:cox",
        horizon: float | None = None,
        n_rounds: int = 50,
        learning_rate: float = 0.05,
        max_depth: int = 2,
        min_child_weight: float | None = None,
        reg_lambda: float = 20.0,
        censoring_strata: Sequence[str] = (),
        monotone_constraints: Mapping[str, int] | None = None,
        region_interaction: bool = True,
        aft_distribution: FailureTimeDistribution = "extreme",
        aft_scale: float = 1.0,
        seed: int = 0,
        min_events: int = 5,
    ) -> None:
        self.objective = objective
        self.horizon = horizon
        self.n_rounds = n_rounds
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_child_weight = min_child_weight
        self.reg_lambda = reg_lambda
        self.censoring_strata = censoring_strata
        self.monotone_constraints = monotone_constraints
        self.region_interaction = region_interaction
        self.aft_distribution = aft_distribution
        self.aft_scale = aft_scale
        self.seed = seed
        self.min_events = min_events

    def fit(
        self,
        X: pd.DataFrame | FloatArray,
        y: pd.DataFrame,
        *,
        groups: object = None,
        sample_weight: object = None,
    ) -> Self:
        """Fit the booster and its baseline.

        Parameters
        ----------
        X : DataFrame or ndarray, shape (n, n_regions)
            Values of the marker by region, complete rows only.
        y : DataFrame
            Outcome with the columns ``time`` (months) and ``event``; matched to `X` by index when
            the two indices differ, by position when they are equal.
        groups : array-like, shape (n,), optional
            Patient of each row (tiles): the rows of a patient share one unit of weight. (XGBoost
            weights the gradients of ``survival:cox`` but not its risk sets, so with unequal
            numbers of tiles patients with many tiles count for more in the risk sets.)
        sample_weight : array-like, shape (n,), optional
            Case weights.

        Returns
        -------
        MarkerModel

        Raises
        ------
        InputError
            Missing or infinite values, a marker constant in every region, too few events, an
            unknown objective, a missing horizon; the censoring probability at the horizon below
            .1 (logistic); a time of zero (AFT); constraints of regions that the marker lacks.
        """
        self.check_parameters()
        unit = 1.0 if self.objective != "survival:aft" else float(self.aft_scale) ** -2
        self.min_child_weight_ = float(
            MIN_CHILD_WEIGHT[self.objective] * unit
            if self.min_child_weight is None
            else self.min_child_weight
        )
        values = self._learn_names(X)
        directions = read_directions(self.monotone_constraints, list(self.feature_names_in_))
        outcome = _align_outcome(X, y)
        patients = np.arange(len(values)) if groups is None else np.asarray(groups)
        if not (len(outcome) == len(values) == len(patients)):
            raise InputError(
                f"X has {len(values)} rows, the outcome {len(outcome)}, groups {len(patients)}: "
                "give one row of each per patient or tile"
            )
        _check_values(values, self.feature_names_in_)
        weight = _case_weights(patients, sample_weight)
        if self.objective == "binary:logistic":
            label, censoring = self._logistic_labels(outcome)
            happened, known = label == 1, censoring > 0
            weight = weight * censoring
        else:
            label = _cox_labels(outcome)  # sorts by time and event for AFT as well
            happened = outcome["event"].to_numpy() == 1
            known = np.ones(len(values), dtype=bool)
        self._check_events(patients, happened, known)
        # One canonical row order: floating-point sums, hence trees, do not depend on the caller's.
        order = np.lexsort((*values.T[::-1], weight, label))
        order = order[weight[order] > 0]
        parameters = self._booster_parameters(directions)
        if self.objective == "survival:aft":
            matrix, location = self._failure_times(values, outcome, weight, order)
            parameters["base_score"] = float(np.exp(location))
        else:
            matrix = xgb.DMatrix(values[order], label[order], weight=weight[order], nthread=1)
        self.booster_ = xgb.train(parameters, matrix, self.n_rounds)
        contributions = self.booster_.predict(matrix, pred_contribs=True).astype(np.float64)
        self.base_value_ = float(contributions[0, -1])
        self.training_range_ = np.column_stack([values.min(axis=0), values.max(axis=0)])
        self.n_events_ = int(np.unique(patients[happened]).size)
        self.baseline_: BreslowBaseline | None = None
        if self.objective == "survival:cox":
            self.baseline_ = estimate_baseline(
                outcome["time"].to_numpy()[order],
                outcome["event"].to_numpy()[order],
                contributions[:, :-1].sum(axis=1),
                weight=weight[order],
            )
        return self

    def predict(self, X: pd.DataFrame | FloatArray) -> FloatArray:
        """Margin minus base value.

        Parameters
        ----------
        X : DataFrame or ndarray, shape (n, n_regions)

        Returns
        -------
        ndarray, shape (n,)
            Log-hazard (log-odds, negative log time) against the training average; NaN for
            incomplete rows.
        """
        return np.asarray(self.attribute(X).sum(axis=1), dtype=np.float64)

    def attribute(self, X: pd.DataFrame | FloatArray) -> FloatArray:
        """TreeSHAP values without base value.

        Parameters
        ----------
        X : DataFrame or ndarray, shape (n, n_regions)

        Returns
        -------
        ndarray, shape (n, n_regions)
            Rows sum to `predict`; NaN for incomplete rows.
        """
        values, complete = self._new_values(X)
        attribution = np.full(values.shape, np.nan)
        if complete.any():
            matrix = xgb.DMatrix(values[complete], nthread=1)
            contributions = self.booster_.predict(matrix, pred_contribs=True)
            # AFT boosts log time: with its sign turned, larger is earlier here as well.
            sign = -1.0 if self.objective == "survival:aft" else 1.0
            attribution[complete] = sign * contributions[:, :-1]
        return attribution

    def predict_event_probability(
        self, X: pd.DataFrame | FloatArray, *, horizon: float
    ) -> FloatArray:
        """Probability of the event by the horizon.

        ``1 - exp(-H_0(horizon) exp(margin))`` with the Breslow baseline of the training fold; for
        the logistic objective the inverse logit of margin plus base value; for ``survival:aft``
        ``1 - S((log(horizon) - base value + margin) / aft_scale)`` with S of its distribution.

        Parameters
        ----------
        X : DataFrame or ndarray, shape (n, n_regions)
        horizon : float
            Months; for ``binary:logistic`` the horizon of the fit.

        Returns
        -------
        ndarray, shape (n,)
            NaN for incomplete rows.

        Raises
        ------
        InputError
            If the training fold cannot say anything at that horizon.
        """
        return self.predict_evidence(X, horizon=horizon).probability

    def predict_evidence(self, X: pd.DataFrame | FloatArray, *, horizon: float) -> MarkerEvidence:
        """Margin, attribution and probability from one pass through the trees.

        Parameters
        ----------
        X : DataFrame or ndarray, shape (n, n_regions)
        horizon : float
            Months.

        Returns
        -------
        MarkerEvidence
            NaN for incomplete rows.

        Raises
        ------
        InputError
            If the columns of `X` are not those of the fit, a value is infinite, or the training
            fold cannot say anything at that horizon.

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> rng = np.random.default_rng(1)
        >>> X = pd.DataFrame({"tumour": rng.normal(size=60), "adjacent": rng.normal(size=60)})
        >>> y = pd.DataFrame({"time": rng.uniform(1, 40, 60), "event": 1})
        >>> told = MarkerModel().fit(X, y).predict_evidence(X, horizon=24.0)
        >>> told.margin.shape, told.attribution.shape, told.probability.shape
        ((60,), (60, 2), (60,))
        """
        attribution = self.attribute(X)
        margin = attribution.sum(axis=1)
        if self.objective == "survival:cox":
            assert self.baseline_ is not None
            probability = event_probability(np.log(self.baseline_.at(horizon)) + margin)
        elif self.objective == "survival:aft":
            if not horizon > 0:
                raise InputError(f"horizon is {horizon}: give a positive number of months")
            probability = failure_time_probability(
                self.base_value_ - margin,
                horizon=horizon,
                distribution=self.aft_distribution,
                scale=self.aft_scale,
            )
        elif horizon != self.horizon:
            raise InputError(
                f"horizon {horizon:g} asked of a logistic model fitted for {self.horizon:g}: "
                "fit a model for that horizon, or use survival:cox"
            )
        else:
            probability = 1 / (1 + np.exp(-(margin + self.base_value_)))
        return MarkerEvidence(margin, attribution, probability)

    def log_hazard_slope(self, log_hazard: FloatArray) -> FloatArray:
        """How fast the log cumulative hazard at the horizon rises with the margin.

        Parameters
        ----------
        log_hazard : ndarray
            Log cumulative hazard at the horizon; NaN stays NaN.

        Returns
        -------
        ndarray
            1 for ``survival:cox``, where margins are log hazards.

        Examples
        --------
        >>> MarkerModel().log_hazard_slope(np.array([-1.0]))
        array([1.])
        """
        if self.objective == "survival:cox":
            return np.ones_like(log_hazard)
        odds = self.objective == "binary:logistic"
        return log_hazard_slope(
            log_hazard,
            distribution="logistic" if odds else self.aft_distribution,
            scale=1.0 if odds else self.aft_scale,
        )

    @property
    def margin_unit(self) -> str:
        """What the margin and its attribution measure, in words for an axis.

        Returns
        -------
        str
            ``log hazard``, ``log odds``, or for ``survival:aft`` ``negative log time`` (with an
            extreme-value error of scale 1 that is a log hazard).

        Examples
        --------
        >>> MarkerModel(objective="survival:aft", aft_scale=2.0).margin_unit
        'negative log time'
        """
        if self.objective == "binary:logistic":
            return "log odds"
        proportional = self.aft_distribution == "extreme" and self.aft_scale == 1
        if self.objective == "survival:aft" and not proportional:
            return "negative log time"
        return "log hazard"

    def has_split(self) -> bool:
        """Whether any tree has a split; without one the marker says nothing of anybody.

        Returns
        -------
        bool
        """
        check_is_fitted(self)
        return bool(self.booster_.get_score(importance_type="weight"))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "booster_")

    def check_parameters(self) -> None:
        """Check the parameters, as a fit does first.

        Raises
        ------
        InputError
            Lists every parameter that is unknown or out of range.

        Examples
        --------
        >>> MarkerModel(n_rounds=100).check_parameters()
        """
        faults = Faults()
        for name in ("n_rounds", "max_depth", "min_events"):
            if not isinstance(getattr(self, name), Integral):
                faults.add(f"{name} is {getattr(self, name)!r}: give a whole number")
        for name in ("learning_rate", "min_child_weight", "reg_lambda", "aft_scale"):
            value = getattr(self, name)
            if not (isinstance(value, Real) or (value is None and name == "min_child_weight")):
                faults.add(f"{name} is {value!r}: give a number")
        faults.raise_if_any()
        if self.objective not in OBJECTIVES:
            faults.add(f"objective {self.objective!r} is unknown: use one of {OBJECTIVES}")
        if self.objective == "binary:logistic" and self.horizon is None:
            faults.add("objective 'binary:logistic' needs a horizon: give horizon= in months")
        for name in ("n_rounds", "max_depth", "min_events"):
            if getattr(self, name) < 1:
                faults.add(f"{name} is {getattr(self, name)}: give 1 or more")
        if not 0 < self.learning_rate <= 1:
            faults.add(f"learning_rate is {self.learning_rate}: give a number in (0, 1]")
        for name in ("min_child_weight", "reg_lambda"):
            value = getattr(self, name)
            if not (value is None and name == "min_child_weight") and not value >= 0:
                faults.add(f"{name} is {getattr(self, name)}: give 0 or more")
        if self.aft_distribution not in DISTRIBUTIONS:
            faults.add(
                f"aft_distribution {self.aft_distribution!r} is unknown: use one of {DISTRIBUTIONS}"
            )
        if not _SMALLEST_SCALE <= self.aft_scale < np.inf:
            faults.add(f"aft_scale is {self.aft_scale}: give a number of {_SMALLEST_SCALE} or more")
        if not isinstance(self.region_interaction, bool):
            faults.add(f"region_interaction is {self.region_interaction!r}: give True or False")
        if self.monotone_constraints is not None:
            try:
                check_directions(self.monotone_constraints)
            except InputError as error:
                faults.extend(error.faults)
        faults.raise_if_any()

    def _booster_parameters(self, directions: tuple[int, ...] | None) -> dict[str, Any]:
        """Parameters of `xgboost.train`; directions are those of the risk."""
        constraints: dict[str, Any] = {}
        if directions is not None:
            sign = -1 if self.objective == "survival:aft" else 1
            constraints["monotone_constraints"] = tuple(sign * d for d in directions)
        if not self.region_interaction:
            constraints["interaction_constraints"] = str([[j] for j in range(self.n_features_in_)])
        if self.objective == "survival:aft":
            constraints["aft_loss_distribution"] = self.aft_distribution
            constraints["aft_loss_distribution_scale"] = float(self.aft_scale)
        return {
            **constraints,
            "objective": self.objective,
            "tree_method": "exact",
            "max_depth": self.max_depth,
            "eta": self.learning_rate,
            "min_child_weight": self.min_child_weight_,
            "reg_lambda": self.reg_lambda,
            "seed": self.seed,
            "nthread": 1,
            "verbosity": 0,
        }

    def _learn_names(self, X: pd.DataFrame | FloatArray) -> FloatArray:
        values = _as_matrix(X)
        self.n_features_in_ = values.shape[1]
        self.feature_names_in_ = _column_names(X, values.shape[1])
        return values

    def _new_values(self, X: pd.DataFrame | FloatArray) -> tuple[FloatArray, BoolArray]:
        check_is_fitted(self)
        values = _as_matrix(X)
        names = _column_names(X, values.shape[1])
        if values.shape[1] != self.n_features_in_ or (
            isinstance(X, pd.DataFrame) and list(names) != list(self.feature_names_in_)
        ):
            raise InputError(
                f"the model was fitted on the columns {', '.join(self.feature_names_in_)} and got "
                f"{', '.join(names)}: give the same columns in the same order"
            )
        infinite = (np.abs(values) > _LARGEST).any(axis=1)
        if infinite.any():
            raise InputError(
                f"infinite values in row {name_rows(np.flatnonzero(infinite))}: leave them missing"
            )
        return values, np.asarray(~np.isnan(values).any(axis=1))

    def _logistic_labels(self, outcome: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        time, event = outcome["time"].to_numpy(), outcome["event"].to_numpy()
        strata = None
        if len(self.censoring_strata):
            columns = list(self.censoring_strata)
            strata = outcome[columns].astype(str).agg(" / ".join, axis=1).to_numpy()
        censoring = ipcw_weights(time, event, horizon=float(self.horizon or 0), strata=strata)
        return ((event == 1) & (time <= self.horizon)).astype(np.float64), censoring

    def _failure_times(
        self, values: FloatArray, outcome: pd.DataFrame, weight: FloatArray, order: Any
    ) -> tuple[xgb.DMatrix, float]:
        """Training data with the bounds of each time, and the location without any split."""
        time = outcome["time"].to_numpy(dtype=np.float64)
        event = outcome["event"].to_numpy()
        at_zero = time <= 0
        if at_zero.any():
            raise InputError(
                f"time is 0 for patient {name_rows(outcome.index[at_zero])}, and survival:aft "
                "takes its logarithm: give half a day where the time was rounded down to 0, leave "
                "out patients censored at once, or use survival:cox"
            )
        time, event, weight = time[order], event[order], weight[order]
        matrix = xgb.DMatrix(values[order], weight=weight, nthread=1)
        matrix.set_float_info("label_lower_bound", time)
        matrix.set_float_info("label_upper_bound", np.where(event == 1, time, np.inf))
        # XGBoost would start at a time of .5, which penalised trees do not leave.
        location = fit_failure_time_location(
            time, event, weight, distribution=self.aft_distribution, scale=self.aft_scale
        )
        return matrix, location

    def _check_events(self, patients: Any, happened: BoolArray, known: BoolArray) -> None:
        n_events = np.unique(patients[happened]).size
        if n_events < self.min_events:
            raise InputError(
                f"{n_events} patients with an event, {self.min_events} are needed to fit a "
                "marker model: use fewer folds, a later horizon or more patients"
            )
        n_without = np.unique(patients[known & ~happened]).size
        if self.objective == "binary:logistic" and n_without < self.min_events:
            raise InputError(
                f"{n_without} patients without an event at the horizon, {self.min_events} are "
                "needed to fit a marker model: use an earlier horizon or more patients"
            )


def _as_matrix(X: pd.DataFrame | FloatArray) -> FloatArray:
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the features are not numeric ({error}): give numbers") from error
    if values.ndim != 2 or values.shape[1] == 0:
        raise InputError(
            f"the features have shape {values.shape}: give a table, a row per patient and a "
            "column per region"
        )
    return values


def _column_names(X: pd.DataFrame | FloatArray, n_columns: int) -> np.ndarray[Any, Any]:
    if not isinstance(X, pd.DataFrame):
        return np.array([f"region_{j + 1}" for j in range(n_columns)], dtype=object)
    names = [":".join(map(str, c)) if isinstance(c, tuple) else str(c) for c in X.columns]
    return np.array(names, dtype=object)


def _align_outcome(X: pd.DataFrame | FloatArray, y: pd.DataFrame) -> pd.DataFrame:
    outcome = as_survival_table(y)
    if not isinstance(X, pd.DataFrame) or X.index.equals(outcome.index):
        return outcome
    missing = X.index.difference(outcome.index)
    if len(missing):
        raise InputError(f"no outcome for patient {name_rows(missing)}: add it or drop the rows")
    if not outcome.index.is_unique:
        twice = outcome.index[outcome.index.duplicated()]
        raise InputError(f"outcome given twice for patient {name_rows(twice)}: keep one row each")
    return outcome.loc[X.index]


def _check_values(values: FloatArray, names: np.ndarray[Any, Any]) -> None:
    if len(values) == 0:
        raise InputError("no complete row to fit a marker model on: check the measurements")
    wrong = ~(np.abs(values) <= _LARGEST).all(axis=1)
    if wrong.any():
        raise InputError(
            f"missing or infinite values in row {name_rows(np.flatnonzero(wrong))}: fit on "
            "patients with every region of the marker"
        )
    single = values.astype(np.float32)
    if (single == single[0]).all():
        raise InputError(
            f"constant features: {', '.join(names)} hold one value each: leave the marker out"
        )


def _case_weights(patients: Any, sample_weight: object) -> FloatArray:
    _, position, count = np.unique(patients, return_inverse=True, return_counts=True)
    weight = 1.0 / count[position]
    if sample_weight is not None:
        given = np.asarray(sample_weight, dtype=np.float64)
        if given.shape != weight.shape or not np.isfinite(given).all() or (given < 0).any():
            raise InputError("sample_weight must hold one finite weight >= 0 per row")
        weight = weight * given
    return np.asarray(weight, dtype=np.float64)


def _cox_labels(outcome: pd.DataFrame) -> FloatArray:
    """Dense ranks from 1, negative if censored: the sign survives a time of zero."""
    rank = np.unique(outcome["time"].to_numpy(), return_inverse=True)[1] + 1.0
    return np.where(outcome["event"].to_numpy() == 1, rank, -rank)
