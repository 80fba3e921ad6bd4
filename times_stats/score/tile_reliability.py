"""How many tiles a patient needs: reliability from the spread between and within patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import f as f_distribution

from times_stats._checks import name_rows
from times_stats._typing import FloatArray
from times_stats.errors import InputError


@dataclass(frozen=True, slots=True)
class TileComponents:
    """Spread of a value over tiles: between patients, and within them.

    Parameters
    ----------
    between, within : float
        Variances; the variance between patients may be estimated as 0.
    n_patients, n_tiles : int
        Patients and tiles (all together) behind them.
    tiles_per_patient : float
        Tiles of a patient: the mean, or the analysis of variance's own n_0 where numbers differ.
    """

    between: float
    within: float
    n_patients: int
    n_tiles: int
    tiles_per_patient: float

    @property
    def icc(self) -> float:
        """Share of a tile's variance that lies between patients: the reliability of one tile."""
        total = self.between + self.within
        return self.between / total if total > 0 else 0.0

    def icc_interval(self, *, confidence_level: float = 0.95) -> tuple[float, float]:
        r"""Interval of the intraclass correlation.

        With :math:`F = 1 + n_0 \sigma_b^2 / \sigma_w^2`, F over the true value of that ratio is F
        distributed with patients less one and tiles less patients degrees of freedom: exact for
        normal values and equal numbers of tiles. Where the variance between patients was estimated
        as 0, F stands at 1 and the upper limit is too high rather than too low.

        Parameters
        ----------
        confidence_level : float, default .95

        Returns
        -------
        lower, upper : float
            In [0, 1].

        References
        ----------
        Searle (1971), Linear Models, section 9.9; McGraw and Wong (1996),
        doi:10.1037/1082-989X.1.1.30.
        """
        if not 0 < confidence_level < 1:
            raise InputError(f"confidence_level is {confidence_level}: give a number in (0, 1)")
        df = self.n_patients - 1, self.n_tiles - self.n_patients
        n0 = self.tiles_per_patient
        if self.within == 0:  # values that are all the same say nothing
            return (1.0, 1.0) if self.between > 0 else (0.0, 1.0)
        ratio = 1 + n0 * self.between / self.within
        tail = (1 + confidence_level) / 2
        low = ratio / f_distribution.ppf(tail, *df)
        high = ratio * f_distribution.ppf(tail, *df[::-1])
        lower, upper = ((f - 1) / (f - 1 + n0) for f in (low, high))
        return float(max(lower, 0.0)), float(max(upper, 0.0))


def estimate_tile_components(value: ArrayLike, *, patient: ArrayLike) -> TileComponents:
    r"""Split the spread over tiles by analysis of variance.

    .. math:: \sigma_w^2 = MS_w, \quad \sigma_b^2 = \max\{0, (MS_b - MS_w) / n_0\}, \quad
              n_0 = \frac{N - \sum_i n_i^2 / N}{I - 1}

    Parameters
    ----------
    value : array-like, shape (n,)
        One value per tile, on a scale where tiles scatter about alike: a log amount, a logit.
    patient : array-like, shape (n,)
        Patient of each tile.

    Returns
    -------
    TileComponents

    Raises
    ------
    InputError
        Missing values, unequal lengths, fewer than two patients or no patient with two tiles.

    References
    ----------
    Searle, Casella and McCulloch (1992), Variance Components, section 3.6,
    doi:10.1002/9780470316856.

    Examples
    --------
    >>> parts = estimate_tile_components([1, 3, 5, 7], patient=["a", "a", "b", "b"])
    >>> parts.within, parts.between
    (2.0, 7.0)
    """
    values = np.asarray(value, dtype=np.float64)
    owner = pd.Series(np.asarray(patient), dtype=object)
    if owner.isna().any():
        rows = name_rows(np.flatnonzero(owner.isna()))
        raise InputError(f"patient is missing for the tile in row {rows}: name one for each")
    names, code = np.unique(owner.to_numpy().astype(str), return_inverse=True)
    if values.ndim != 1 or values.size != code.size:
        raise InputError(
            f"value has shape {values.shape} and patient {code.size} entries: give one per tile"
        )
    if not np.isfinite(values).all():
        raise InputError("value is missing or infinite for some tiles: leave these tiles out")
    count = np.bincount(code).astype(np.float64)
    if names.size < 2 or values.size == names.size:
        raise InputError(
            f"{values.size} tiles of {names.size} patients: give two patients or more, and two "
            "tiles or more for some of them"
        )
    mean = np.bincount(code, weights=values) / count
    within = float(((values - mean[code]) ** 2).sum()) / (values.size - names.size)
    square = float((count * (mean - values.mean()) ** 2).sum()) / (names.size - 1)
    n0 = float((values.size - (count**2).sum() / values.size) / (names.size - 1))
    return TileComponents(
        between=max(0.0, (square - within) / n0),
        within=within,
        n_patients=int(names.size),
        n_tiles=int(values.size),
        tiles_per_patient=n0,
    )


def predict_tile_curve(
    components: TileComponents,
    *,
    n_tiles: Sequence[int] = tuple(range(1, 11)),
    n_all: int | None = None,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    r"""Predict reliability and agreement of the mean of n tiles.

    With :math:`\rho` the intraclass correlation (Spearman-Brown):

    .. math:: \text{reliability}(n) = \frac{n \rho}{1 + (n - 1) \rho}, \qquad
              \mathrm{corr}(\bar y_n, \bar y_N)
              = \sqrt{\frac{\text{reliability}(n)}{\text{reliability}(N)}}

    the second for n tiles *out of* the patient's N; its square root with N infinite is the
    correlation with the patient's true value. Spearman's correlation is
    :math:`(6 / \pi) \arcsin(r / 2)` of it, for normal values.

    The curve is that of a plain mean over tiles. A score whose weights are themselves learned from
    the patient's few tiles agrees less with itself: `resample_tiles` measures that.

    Parameters
    ----------
    components : TileComponents
    n_tiles : sequence of int, default 1 to 10
    n_all : int, optional
        Tiles N that a patient has in all; without it no agreement with them.
    confidence_level : float, default .95

    Returns
    -------
    DataFrame
        Tidy: ``measure`` (``reliability``, ``correlation_truth``, ``correlation_all``,
        ``spearman_all``), ``n_tiles``, ``estimate``, ``lower``, ``upper``. Limits are those of the
        intraclass correlation, carried through. Agreement with N tiles up to n = N.

    Raises
    ------
    InputError
        Numbers of tiles below 1.

    References
    ----------
    Spearman (1910), doi:10.1111/j.2044-8295.1910.tb00206.x; Brown (1910),
    doi:10.1111/j.2044-8295.1910.tb00207.x.

    Examples
    --------
    >>> parts = TileComponents(1.0, 1.0, n_patients=50, n_tiles=200, tiles_per_patient=4)
    >>> curve = predict_tile_curve(parts, n_tiles=[1, 2, 4], n_all=4)
    >>> curve[curve["measure"] == "reliability"]["estimate"].round(3).to_list()
    [0.5, 0.667, 0.8]
    """
    numbers = np.asarray(n_tiles, dtype=np.float64)
    smallest = min([*numbers, numbers.size, np.inf if n_all is None else n_all])
    if numbers.ndim != 1 or smallest < 1 or (numbers != np.floor(numbers)).any():
        raise InputError("n_tiles and n_all must be whole numbers of 1 or more")
    icc = np.array([components.icc, *components.icc_interval(confidence_level=confidence_level)])
    reliability = _spearman_brown(icc, numbers)
    found: dict[str, tuple[FloatArray, FloatArray]] = {
        "reliability": (numbers, reliability),
        "correlation_truth": (numbers, np.sqrt(reliability)),
    }
    if n_all is not None:
        inside = numbers[numbers <= n_all]
        # Written so that it stays finite where patients do not differ: sqrt(n / N).
        share = 1 - icc[:, None]
        agreement = np.sqrt(
            (icc[:, None] + share / n_all) / (icc[:, None] + share / inside[None, :])
        )
        found["correlation_all"] = inside, agreement
        found["spearman_all"] = inside, 6 / np.pi * np.arcsin(agreement / 2)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "measure": measure,
                    "n_tiles": number.astype(np.int64),
                    "estimate": values[0],
                    "lower": values[1],
                    "upper": values[2],
                }
            )
            for measure, (number, values) in found.items()
        ],
        ignore_index=True,
    )


def count_tiles_needed(
    components: TileComponents, *, reliability: float = 0.9, confidence_level: float = 0.95
) -> pd.Series:
    """Smallest number of tiles whose mean has a reliability.

    Parameters
    ----------
    components : TileComponents
    reliability : float, default .9
        Share of the variance of the mean over tiles that lies between patients, in (0, 1).
    confidence_level : float, default .95

    Returns
    -------
    Series
        ``estimate``, ``lower``, ``upper``; infinite where patients may not differ at all.

    Raises
    ------
    InputError
        A reliability outside (0, 1).

    Examples
    --------
    >>> parts = TileComponents(1.0, 1.0, n_patients=50, n_tiles=200, tiles_per_patient=4)
    >>> count_tiles_needed(parts)["estimate"]
    np.float64(9.0)
    """
    if not 0 < reliability < 1:
        raise InputError(f"reliability is {reliability}: give a number in (0, 1)")
    low, high = components.icc_interval(confidence_level=confidence_level)
    odds = reliability / (1 - reliability)
    needed = [
        max(1.0, float(np.ceil(odds * (1 - icc) / icc - 1e-9))) if icc > 0 else np.inf
        for icc in (components.icc, high, low)
    ]
    return pd.Series(needed, index=["estimate", "lower", "upper"], dtype=np.float64)


def _spearman_brown(icc: FloatArray, numbers: FloatArray) -> FloatArray:
    n = numbers[None, :]
    return np.asarray(n * icc[:, None] / (1 + (n - 1) * icc[:, None]), dtype=np.float64)
