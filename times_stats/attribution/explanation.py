"""A marker model's SHAP values in the form that the shap library's own plots take."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shap

from times_stats.boosting.marker_model import MarkerModel


def explain_marker_model(model: MarkerModel, X: pd.DataFrame) -> shap.Explanation:
    r"""Explain a fitted marker model, for `shap.plots`.

    The values are exact TreeSHAP values in units of the margin (log hazard or log odds), one a
    region: with the base value :math:`\phi_0` they add up to the margin,
    :math:`f(x_i) = \phi_0 + \sum_r \phi_{ir}`. Inside the package they are computed by XGBoost
    itself; `shap.TreeExplainer` gives the same numbers.

    Parameters
    ----------
    model : MarkerModel
        Fitted model.
    X : DataFrame, shape (n, n_regions)
        Values of the marker, without gaps.

    Returns
    -------
    shap.Explanation
        ``values`` and ``data`` of shape (n, n_regions), ``base_values`` of shape (n,).

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    InputError
        If columns of training are missing, or values are.

    References
    ----------
    Lundberg S. M. et al. (2020). From local explanations to global understanding with explainable
    AI for trees. *Nat Mach Intell* 2, 56-67. doi:10.1038/s42256-019-0138-9

    Examples
    --------
    >>> from times_stats.attribution import explain_marker_model
    >>> shap.plots.beeswarm(explain_marker_model(model, X))  # doctest: +SKIP
    """
    values = model.attribute(X)
    return shap.Explanation(
        values=values,
        base_values=np.full(len(X), model.base_value_),
        data=X.to_numpy(dtype=np.float64),
        feature_names=[
            " ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in X.columns
        ],
    )
