"""Transforms of skewed stainings, learned on training patients and reused on others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.rivals.yeo_johnson import PoweredScaler, likeliest_powers, take_powers

_LARGEST = 1e40
_SD_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class ColumnTransform:
    """Learned transform of the columns of a table.

    Attributes
    ----------
    columns : tuple
        Column labels.
    steps : tuple of (int array, transformer)
        Positions of columns and the fitted transformer they go through; columns in no step, those
        without variation in training, become 0.
    standardised_only : tuple
        Columns that were to get a power and did not, because no usable one was found.
    """

    columns: tuple[object, ...]
    steps: tuple[tuple[IntArray, PoweredScaler | StandardScaler], ...]
    standardised_only: tuple[object, ...]

    def apply(self, values: FloatArray) -> FloatArray:
        """Return transformed data, shape (n, p); NaN stays NaN, constant columns become 0.

        Parameters
        ----------
        values : float array, shape (n, p)
            Patients, columns as in training.
        """
        _check_size(values, self.columns)
        transformed = np.zeros(values.shape)
        for positions, transformer in self.steps:
            transformed[:, positions] = transformer.transform(values[:, positions])
        return transformed


def learn_transform(
    X: pd.DataFrame, *, gaussianise: BoolArray, rescale: BoolArray
) -> ColumnTransform:
    """Learn the transform of each column from training patients.

    Columns of `gaussianise` with more than two distinct values get the most likely Yeo-Johnson
    power and are then standardised (what scikit-learn's `PowerTransformer` does, to the digits to
    which its search finds the power), the other columns of `rescale` are standardised, the rest
    centred. A column without variation becomes 0.

    The most likely power is unusable for a column that lies many standard deviations from 0 (1,000
    give or take 1 asks for an extreme power, and rounding then makes the column constant) or
    that hardly varies. A power outside -4 to 6, or one after which the training data do not have
    standard deviation 1, is therefore refused: the column is standardised and named in
    ``standardised_only``.

    Parameters
    ----------
    X : DataFrame, shape (n, p)
        Training data; NaN is left out.
    gaussianise : bool array, shape (p,)
        Columns that get a Yeo-Johnson power, unless they hold two values or fewer.
    rescale : bool array, shape (p,)
        Columns divided by their standard deviation.

    Returns
    -------
    ColumnTransform
        State to apply to these and to other patients.

    Raises
    ------
    InputError
        If a value is beyond 1e40 in size: powers of it cannot be computed.

    References
    ----------
    Yeo I.-K., Johnson R. A. (2000). A new family of power transformations to improve normality or
    symmetry. *Biometrika* 87, 954-959. doi:10.1093/biomet/87.4.954

    Examples
    --------
    >>> skewed = pd.DataFrame({"CD8": np.exp(np.linspace(0.0, 4.0, 50))})
    >>> state = learn_transform(skewed, gaussianise=np.array([True]), rescale=np.array([True]))
    >>> state.apply(skewed.to_numpy()).std().round(6), state.standardised_only
    (np.float64(1.0), ())
    """
    values = X.to_numpy(dtype=np.float64)
    columns = tuple(X.columns)
    _check_size(values, columns)
    n_distinct = np.array([np.unique(column[np.isfinite(column)]).size for column in values.T])
    wanted = np.flatnonzero(gaussianise & (n_distinct > 2))
    power, usable = _learn_power(values[:, wanted])
    powered = wanted[usable]
    others = np.setdiff1d(np.flatnonzero(n_distinct > 1), powered)
    stretched = others[rescale[others]]
    # what rounding leaves of a constant is no variation
    stretched = stretched[_spread_is_one(StandardScaler(), values[:, stretched])]
    scaler, centring = StandardScaler(), StandardScaler(with_std=False)
    steps = [(powered, power)] if powered.size else []
    for positions, transformer in ((stretched, scaler), (others[~rescale[others]], centring)):
        if positions.size:
            steps.append((positions, transformer.fit(values[:, positions])))
    return ColumnTransform(
        columns=columns,
        steps=tuple(steps),
        standardised_only=tuple(columns[j] for j in wanted[~usable]),
    )


def _learn_power(values: FloatArray) -> tuple[PoweredScaler, BoolArray]:
    """Fit the power of the columns that have a usable one; return the fit and which they are."""
    powers = likeliest_powers(values)
    usable: BoolArray = np.isfinite(powers)
    scaler = StandardScaler()
    # a power that rounding or overflow spoils is refused by what it does to the data
    with np.errstate(over="ignore", invalid="ignore"):
        powered = take_powers(values[:, usable], powers[usable])
        usable[usable] = _spread_is_one(scaler, powered)
    if usable.any():
        scaler.fit(take_powers(values[:, usable], powers[usable]))
    return PoweredScaler(powers[usable], scaler), usable


def _spread_is_one(scaler: StandardScaler, values: FloatArray) -> BoolArray:
    """Fit the scaler; return whether each training column has standard deviation 1 then."""
    if not values.shape[1]:
        return np.zeros(0, dtype=np.bool_)
    spread = np.nanstd(scaler.fit_transform(values), axis=0)
    standardised: BoolArray = np.abs(spread - 1.0) < _SD_TOLERANCE
    return standardised


def _check_size(values: FloatArray, columns: tuple[object, ...]) -> None:
    too_large = (np.abs(values) > _LARGEST).any(axis=0)
    if too_large.any():
        names = [str(columns[j]) for j in np.flatnonzero(too_large)[:5]]
        raise InputError(
            f"columns {names} hold values beyond {_LARGEST:g}, of which powers cannot be computed:"
            " give them in another unit, or mark what is not a measurement as missing"
        )
