"""The rival that knows no covariate: what the outcome looks like on average."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from times_stats._checks import as_survival_table
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.nonparametric import StepCurve, kaplan_meier


class NullModel(BaseEstimator):  # type: ignore[misc]
    """Kaplan-Meier of the training patients, the same for everybody (within a cohort).

    Where `X` has a column `cohort`, each cohort gets its own curve and a cohort that was not in
    training gets the curve of all training patients; otherwise there is one curve.

    Attributes
    ----------
    curve_ : StepCurve
        Kaplan-Meier of all training patients.
    cohort_curves_ : dict
        Kaplan-Meier of each training cohort; empty without a column `cohort`.

    References
    ----------
    Kaplan E. L., Meier P. (1958). Nonparametric estimation from incomplete observations. *JASA* 53,
    457-481. doi:10.1080/01621459.1958.10501452

    Examples
    --------
    >>> y = pd.DataFrame({"time": [1.0, 2.0, 3.0, 4.0], "event": [1, 0, 1, 0]})
    >>> NullModel().fit(y, y).predict_survival(y[:1], times=np.array([0.5, 2.0]))
    array([[1.  , 0.75]])
    """

    def fit(self, X: pd.DataFrame, y: pd.DataFrame) -> Self:
        """Estimate the curve, or one a cohort.

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Only an optional column `cohort` is read.
        y : DataFrame, shape (n, ...)
            Columns `time` (months) and `event` (0 or 1).

        Returns
        -------
        NullModel
            The fitted model.

        Raises
        ------
        InputError
            If `X` and `y` have different numbers of rows, or `y` is no survival table.
        """
        table = as_survival_table(y)
        if len(X) != len(table):
            raise InputError(
                f"X has {len(X)} rows and y has {len(table)}: give one outcome per row"
            )
        time, event = table["time"].to_numpy(), table["event"].to_numpy()
        self.curve_ = kaplan_meier(time, event)
        cohorts = _cohorts(X)
        self.cohort_curves_: dict[str, StepCurve] = {}
        if cohorts is not None:
            for name in np.unique(cohorts):
                member = cohorts == name
                self.cohort_curves_[str(name)] = kaplan_meier(time[member], event[member])
        return self

    def predict(self, X: pd.DataFrame) -> FloatArray:
        """Return the same risk, 0, for everybody, shape (n,).

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Patients.
        """
        check_is_fitted(self, "curve_")
        return np.zeros(len(X))

    def predict_survival(self, X: pd.DataFrame, *, times: FloatArray) -> FloatArray:
        """Return the training curve, that of the patient's cohort if known, shape (n, n_times).

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Patients; column `cohort` is read if training had one.
        times : float array, shape (n_times,)
            Months.
        """
        check_is_fitted(self, "curve_")
        survival = np.tile(self.curve_.at(times), (len(X), 1))
        cohorts = _cohorts(X)
        if cohorts is not None:
            for name, curve in self.cohort_curves_.items():
                survival[cohorts == name] = curve.at(times)
        return survival


def _cohorts(X: pd.DataFrame) -> np.ndarray | None:
    if X.columns.nlevels > 1 or "cohort" not in X.columns:
        return None
    return X["cohort"].astype(str).to_numpy(dtype=object)
