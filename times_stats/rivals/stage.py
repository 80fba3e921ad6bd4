"""A recorded stage as a rival: its order is the risk, Kaplan-Meier per stage the prediction."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from times_stats._checks import as_survival_table, name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.nonparametric import StepCurve, kaplan_meier


class StageModel(BaseEstimator):  # type: ignore[misc]
    """Kaplan-Meier per stage, learned in training; risk is the order of the stage.

    A stage without training patients takes the curve of the nearest lower stage that has some (of
    the nearest higher one if there is none below).

    Attributes
    ----------
    categories_ : tuple
        Stages in increasing order.
    curves_ : dict
        Kaplan-Meier curve of each stage.
    unseen_ : dict
        Stages without training patients, and the stage whose curve they borrow.

    References
    ----------
    Kaplan E. L., Meier P. (1958). Nonparametric estimation from incomplete observations. *JASA* 53,
    457-481. doi:10.1080/01621459.1958.10501452

    Examples
    --------
    >>> stage = pd.Series(pd.Categorical(["I", "I", "II", "II"], ["I", "II", "III"], ordered=True))
    >>> y = pd.DataFrame({"time": [4.0, 3.0, 2.0, 1.0], "event": [0, 1, 1, 1]})
    >>> model = StageModel().fit(stage, y)
    >>> model.predict(stage), model.unseen_
    (array([0., 0., 1., 1.]), {'III': 'II'})
    >>> model.predict_survival(stage[:1], times=np.array([3.5]))
    array([[0.5]])
    """

    def fit(self, stage: pd.Series, y: pd.DataFrame) -> Self:
        """Estimate survival per stage.

        Parameters
        ----------
        stage : Series of ordered categorical, shape (n,)
            Recorded stage, none missing.
        y : DataFrame, shape (n, ...)
            Columns `time` (months) and `event` (0 or 1).

        Returns
        -------
        StageModel
            The fitted model.

        Raises
        ------
        InputError
            If the stage is not ordered, has missing values or another length than `y`.
        """
        table = as_survival_table(y)
        codes = _codes(stage)
        if codes.size != len(table):
            raise InputError(
                f"stage has {codes.size} rows and y has {len(table)}: give one outcome per row"
            )
        self.categories_ = tuple(stage.cat.categories)
        time, event = table["time"].to_numpy(), table["event"].to_numpy()
        seen = np.unique(codes)
        self.curves_: dict[object, StepCurve] = {}
        self.unseen_: dict[object, object] = {}
        for code, name in enumerate(self.categories_):
            below = seen[seen <= code]
            source = int(below[-1] if below.size else seen[0])
            member = codes == source
            self.curves_[name] = kaplan_meier(time[member], event[member])
            if source != code:
                self.unseen_[name] = self.categories_[source]
        return self

    def predict(self, stage: pd.Series) -> FloatArray:
        """Return the risk, the position of the stage in its order, shape (n,).

        Parameters
        ----------
        stage : Series of ordered categorical, shape (n,)
            Stages with the categories of `fit`.
        """
        check_is_fitted(self, "curves_")
        return self._known_codes(stage).astype(np.float64)

    def predict_survival(self, stage: pd.Series, *, times: FloatArray) -> FloatArray:
        """Return the training curve of each patient's stage, shape (n, n_times).

        Parameters
        ----------
        stage : Series of ordered categorical, shape (n,)
            Stages with the categories of `fit`.
        times : float array, shape (n_times,)
            Months.
        """
        check_is_fitted(self, "curves_")
        curves = np.stack([self.curves_[name].at(times) for name in self.categories_])
        return np.asarray(curves[self._known_codes(stage)])

    def _known_codes(self, stage: pd.Series) -> np.ndarray:
        codes = _codes(stage)
        if tuple(stage.cat.categories) != self.categories_:
            raise InputError(
                f"stage has the categories {[*stage.cat.categories]} but the model was fitted with"
                f" {[*self.categories_]}: use the same ordered categories"
            )
        return codes


def _codes(stage: pd.Series) -> np.ndarray:
    if not isinstance(stage.dtype, pd.CategoricalDtype) or not stage.cat.ordered:
        raise InputError(
            "stage must be an ordered categorical: staging.read_recorded_stage makes one"
        )
    codes = stage.cat.codes.to_numpy()
    if (codes < 0).any():
        raise InputError(
            f"stage is missing for patients {name_rows(stage.index[codes < 0])}: leave them out"
        )
    return codes.astype(np.int64)
