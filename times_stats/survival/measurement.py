"""Measurement error of the evidence, from the tiles it was averaged over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.errors import InputError

POPULATION_PRIOR = np.float64(0.5)  # a bare 0.5 would be single precision in the graph
"""Prior sd of the mean of the true evidence, and half-normal scale of its sd: log-hazard units,
about 0 because evidence holds no base value; an sd of 1 in one region would be a hazard ratio of
2.7 per sd."""
_GRID = np.linspace(-6.0, 6.0, 121)  # standard deviations of the product of two normal densities


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceError:
    """How far the evidence of each patient may be off.

    Parameters
    ----------
    se : ndarray, shape (n, n_coefficients)
        Standard error of the mean over tiles; 0 where the evidence is taken as exact.
    df : ndarray, shape (n, n_coefficients)
        Tiles less one.
    is_missing : ndarray of bool, shape (n, n_coefficients)
        Where nothing was measured.
    """

    se: FloatArray
    df: FloatArray
    is_missing: BoolArray

    def __getitem__(self, rows: np.ndarray) -> EvidenceError:
        """Return the errors of some patients."""
        return EvidenceError(self.se[rows], self.df[rows], self.is_missing[rows])

    @property
    def is_latent(self) -> BoolArray:
        """Where the evidence is a parameter of the model."""
        return (self.se > 0) | self.is_missing


def read_evidence_error(
    evidence: pd.DataFrame, evidence_se: pd.DataFrame, n_tiles: pd.DataFrame
) -> EvidenceError:
    """Check standard errors and numbers of tiles against the evidence.

    Parameters
    ----------
    evidence : DataFrame, patients x (marker, region)
        Evidence; missing where nothing was measured.
    evidence_se : DataFrame
        Standard errors with the same columns and patients: the square root of the variance between
        tiles over their number. 0 or missing where the evidence is to be taken as exact.
    n_tiles : DataFrame
        Tiles, 2 or more wherever there is a standard error.

    Returns
    -------
    EvidenceError

    Raises
    ------
    InputError
        If columns or patients differ, a standard error is negative or infinite, or there are fewer
        than two tiles where there is one.

    Examples
    --------
    >>> columns = pd.MultiIndex.from_tuples([("CD8", "front")])
    >>> evidence = pd.DataFrame([[0.3], [0.1]], index=["p1", "p2"], columns=columns)
    >>> se = pd.DataFrame([[0.2], [0.0]], index=["p1", "p2"], columns=columns)
    >>> error = read_evidence_error(evidence, se, se * 0 + 5)
    >>> error.is_latent.ravel().tolist(), error.df.ravel().tolist()
    ([True, False], [4.0, 4.0])
    """
    tables = []
    for name, table in (("evidence_se", evidence_se), ("n_tiles", n_tiles)):
        lacking = evidence.index.difference(table.index)
        if len(lacking):
            raise InputError(f"{name} has no row for patient {name_rows(lacking)}: give one each")
        if table.index.has_duplicates:
            raise InputError(f"{name} has a patient twice: keep one row each")
        absent = evidence.columns.difference(table.columns)
        if len(absent):
            raise InputError(
                f"{name} has no column {name_rows(absent)}: give those of the evidence"
            )
        tables.append(
            table.loc[evidence.index, evidence.columns].to_numpy(dtype=np.float64, na_value=np.nan)
        )
    se, tiles = np.nan_to_num(tables[0], nan=0.0, posinf=np.inf), tables[1]
    missing = evidence.isna().to_numpy()
    se = np.where(missing, 0.0, se)
    faults = Faults()
    for wrong, what, remedy in (
        ((se < 0) | np.isinf(se), "evidence_se is negative or infinite", "correct it"),
        ((se > 0) & ~(tiles >= 2), "n_tiles is below 2", "a standard error needs two tiles"),
    ):
        if wrong.any():
            rows = name_rows(evidence.index[wrong.any(axis=1)])
            faults.add(f"{what} for patient {rows}: {remedy}")
    faults.raise_if_any()
    return EvidenceError(se, np.where(se > 0, tiles - 1.0, np.maximum(tiles - 1.0, 1.0)), missing)


def latent_cells(
    evidence: FloatArray, error: EvidenceError | None, *, n_latent: int
) -> dict[str, FloatArray | IntArray]:
    """Lay out the uncertain values for the graph, with room for `n_latent` of them.

    Parameters
    ----------
    evidence : ndarray, shape (n, n_coefficients)
        Evidence, 0 where missing.
    error : EvidenceError, optional
        Which values are uncertain; none if left out.
    n_latent : int
        Room; what is not used gets a standard normal parameter that nothing depends on.

    Returns
    -------
    dict of str to ndarray
        ``z`` with 0 in place of uncertain values, ``z_centre`` (mean of each column), the place of
        uncertain values ``cell`` (from 1), ``is_exact``, and a vector of each of their properties.
    """
    latent = np.zeros(evidence.shape, dtype=np.bool_) if error is None else error.is_latent
    n = int(latent.sum())
    row, column = np.nonzero(latent)
    cell = np.zeros(evidence.shape, dtype=np.int64)
    cell[row, column] = np.arange(1, n + 1)
    vectors = {
        name: np.full(n_latent, value)
        for name, value in (
            *(("cell_z", 0.0), ("cell_se", 1.0), ("cell_df", 1.0), ("cell_measured", 0.0)),
            ("cell_used", 0.0),
        )
    }
    columns = np.zeros(n_latent, dtype=np.int64)
    if error is not None and n:
        measured = ~error.is_missing[row, column]
        columns[:n] = column
        vectors["cell_z"][:n] = evidence[row, column]
        vectors["cell_se"][:n] = np.where(measured, error.se[row, column], 1.0)
        vectors["cell_df"][:n] = error.df[row, column]
        vectors["cell_measured"][:n] = measured
        vectors["cell_used"][:n] = 1.0
    missing = np.zeros_like(latent) if error is None else error.is_missing
    return {
        "z": np.where(latent, 0.0, evidence),
        "z_centre": evidence.sum(axis=0) / np.maximum((~missing).sum(axis=0), 1),
        "is_exact": (~latent).astype(np.float64),
        "cell": cell,
        "cell_column": columns,
        **vectors,
    }


def cell_values(raw: Any, mean: Any, sd: Any, measured: Any, precision: Any) -> tuple[Any, Any]:
    """Turn standard parameters into true values, on the scale that each cell has given its column.

    A value that is measured well keeps to its measurement, one that is measured badly to the
    population; were errors normal, the parameter would be standard normal whatever mean and sd, so
    that the sampler meets no funnel.

    Parameters
    ----------
    raw : array or graph, shape (..., n_latent)
        Parameters.
    mean, sd : array or graph
        Population of the column of each.
    measured, precision : array or graph
        Measured value, and one over its squared standard error; 0 where nothing was measured.

    Returns
    -------
    value, width
        True values, and by how much they change with the parameter.
    """
    variance = 1.0 / (1.0 / sd**2 + precision)
    width = variance**0.5
    return variance * (mean / sd**2 + precision * measured) + width * raw, width


def draw_true_evidence(
    value: FloatArray,
    se: FloatArray,
    df: FloatArray,
    mean: FloatArray,
    sd: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    r"""Draw the true evidence of new patients from their own tiles and the population.

    The density is proportional to :math:`t_{df}((z - z^*)/se)\,\phi((z^* - m)/s)`; it is drawn from
    by inversion on a grid that spans both factors.

    Parameters
    ----------
    value, se, df : ndarray, shape (n,)
        Measured evidence, its standard error (infinite where nothing was measured), tiles less one.
    mean, sd : ndarray, shape (n_samples,)
        Population, by posterior draw.
    rng : Generator
        Source of the draws.

    Returns
    -------
    ndarray, shape (n_samples, n)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one = np.ones(20_000)
    >>> drawn = draw_true_evidence(
    ...     np.array([2.0]), np.array([1.0]), np.array([1e6]), 0 * one, one, rng
    ... )
    >>> float(drawn.mean().round(1)), float(drawn.var().round(1))
    (1.0, 0.5)
    """
    drawn = np.empty((mean.size, value.size))
    for patient in range(value.size):
        uniform = rng.random(mean.size)
        if not np.isfinite(se[patient]):
            drawn[:, patient] = mean + sd * rng.standard_normal(mean.size)
            continue
        # Population and tiles each pull; whichever is nearer, the grid reaches beyond it.
        low = np.minimum(mean - 6 * sd, value[patient] - 6 * se[patient])
        high = np.maximum(mean + 6 * sd, value[patient] + 6 * se[patient])
        middle = (mean / sd**2 + value[patient] / se[patient] ** 2) / (
            1 / sd**2 + 1 / se[patient] ** 2
        )
        width = 1 / np.sqrt(1 / sd**2 + 1 / se[patient] ** 2)
        fine = middle[:, None] + width[:, None] * _GRID
        wide = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, _GRID.size)
        grid = np.sort(np.concatenate([fine, wide], axis=1), axis=1)
        off = (value[patient] - grid) / se[patient]
        log_density = (
            -0.5 * (df[patient] + 1) * np.log1p(off**2 / df[patient])
            - 0.5 * ((grid - mean[:, None]) / sd[:, None]) ** 2
        )
        density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        mass = np.cumsum(np.diff(grid, axis=1) * (density[:, 1:] + density[:, :-1]) / 2, axis=1)
        target = uniform * mass[:, -1]
        right = np.minimum((mass < target[:, None]).sum(axis=1), mass.shape[1] - 1)
        rows = np.arange(mean.size)
        before = np.where(right > 0, mass[rows, right - 1], 0.0)
        share = (target - before) / np.maximum(mass[rows, right] - before, 1e-300)
        drawn[:, patient] = grid[rows, right] + share * (grid[rows, right + 1] - grid[rows, right])
    return drawn
