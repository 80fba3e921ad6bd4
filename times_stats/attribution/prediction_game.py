"""Who carries a patient's prediction: interventional Shapley values of groups of columns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.attribution.coalitions import MAX_EXACT_PLAYERS, ShapleyValues, shapley_values
from times_stats.attribution.off_support import LEAST_ROWS, OffSupport, off_support_fraction
from times_stats.errors import InputError
from times_stats.resampling import bootstrap_mean, spawn_rng

type Predictor = Callable[[pd.DataFrame], FloatArray]
_ROWS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class PredictionShapley:
    """Shapley values of a prediction, player by player.

    Attributes
    ----------
    values : DataArray, dims (patient, player, output)
        Attribution, in the units of the prediction; outputs are numbered, or times if the caller
        names them.
    monte_carlo_se : DataArray, dims (patient, player, output)
        Error from sampling orders; 0 where all coalitions were evaluated.
    base : DataArray, dims (output,)
        Mean prediction over the background.
    prediction : DataArray, dims (patient, output)
        Prediction of each patient: base plus the sum of its values.
    off_support : OffSupport
        How many of the hybrids that the values rest on are unlike any patient.
    is_exact : bool
        Whether all coalitions were evaluated.
    """

    values: xr.DataArray
    monte_carlo_se: xr.DataArray
    base: xr.DataArray
    prediction: xr.DataArray
    off_support: OffSupport
    is_exact: bool


def prediction_shapley(
    predict: Predictor,
    X: pd.DataFrame,
    background: pd.DataFrame,
    *,
    groups: Mapping[str, Sequence[Hashable]],
    outputs: Sequence[Hashable] | None = None,
    max_exact_players: int = MAX_EXACT_PLAYERS,
    n_pairs: int = 200,
    seed: int = 0,
) -> PredictionShapley:
    r"""Share out each patient's prediction among groups of columns.

    The worth of a coalition S for patient x is the mean prediction over the background with the
    columns of S set to the patient's,

    .. math:: v_S(x) = \frac1m \sum_{b=1}^m f(x_S, b_{\bar S}),

    and the values add up: :math:`f(x) = \text{base} + \sum_i \phi_i(x)`. They explain the *model*:
    a column it does not use gets 0 even where it is correlated with one it does use. The price is
    that hybrids of two patients may be unlike any patient, and the model was never trained there;
    their share is reported.

    Parameters
    ----------
    predict : callable
        Takes a table with the columns of `X` and returns (n,) or (n, k) finite numbers: log
        hazard, S(t) at k times, restricted mean survival time.
    X : DataFrame, shape (n, p)
        Patients to explain.
    background : DataFrame, shape (m, p)
        Patients to compare with, 20 or more, such as the training patients.
    groups : mapping of str to sequence of labels
        Columns of each player; every column in exactly one.
    outputs : sequence, optional
        Names of the k predictions, such as their times.
    max_exact_players, n_pairs : int
        As `shapley_values`.
    seed : int, default 0
        Seed of the hybrids drawn for `off_support`, and of orders beyond `max_exact_players`.

    Returns
    -------
    PredictionShapley

    Raises
    ------
    InputError
        Groups that do not divide the columns, tables of different columns, a small background, a
        prediction of the wrong shape or not finite.

    Notes
    -----
    With all coalitions ``2 ** n_players * n * m`` rows are predicted, in batches.

    References
    ----------
    Štrumbelj E., Kononenko I. (2014). Explaining prediction models and individual predictions with
    feature contributions. *Knowl Inf Syst* 41, 647-665. doi:10.1007/s10115-013-0679-x. Groups as
    players: Jullum M., Redelmeier A., Aas K. (2021). arXiv:2106.12228

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = pd.DataFrame(rng.normal(size=(30, 3)), columns=["a", "b", "c"])
    >>> result = prediction_shapley(
    ...     lambda table: (table["a"] - 2 * table["c"]).to_numpy(), X, X,
    ...     groups={"first": ["a", "b"], "second": ["c"]},
    ... )
    >>> bool(np.allclose(result.values[:, 0, 0], X["a"] - X["a"].mean()))
    True
    """
    named = _check_tables(X, background, groups)
    return _share_out(
        predict, X, background[X.columns], players=named, groups=named, outputs=outputs,
        max_exact_players=max_exact_players, n_pairs=n_pairs, seed=seed,
    )  # fmt: skip


def sum_feature_shapley(
    predict: Predictor,
    X: pd.DataFrame,
    background: pd.DataFrame,
    *,
    groups: Mapping[str, Sequence[Hashable]],
    outputs: Sequence[Hashable] | None = None,
    max_exact_players: int = MAX_EXACT_PLAYERS,
    n_pairs: int = 200,
    seed: int = 0,
) -> PredictionShapley:
    """Sum the Shapley values of single columns within groups, to set beside `prediction_shapley`.

    Every column is a player of its own; its values are those that SHAP estimates. Sums and group
    values are equal where the model adds up over groups. Where columns of different groups
    interact, the sum splits the interaction by the number of *columns* in it and the group game by
    the number of *groups*: a group gains by being cut into more columns, which is why the groups
    are the players here.

    Parameters
    ----------
    predict, X, background, groups, outputs
        As `prediction_shapley`.
    max_exact_players, n_pairs : int
        As `shapley_values`; the players are the columns.
    seed : int, default 0
        As `prediction_shapley`.

    Returns
    -------
    PredictionShapley
        Values of the groups. ``monte_carlo_se`` of a sum is the sum of its columns' errors, an
        upper bound.

    Raises
    ------
    InputError
        As `prediction_shapley`.

    References
    ----------
    Lundberg S. M., Lee S.-I. (2017). A unified approach to interpreting model predictions.
    *NeurIPS* 30. arXiv:1705.07874

    Examples
    --------
    Three columns multiply; two of them are one group:

    >>> signs = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0])).reshape(3, 8).T
    >>> X = pd.DataFrame(np.tile(signs, (5, 1)), columns=["a", "b", "c"])
    >>> groups = {"ab": ["a", "b"], "c": ["c"]}
    >>> def product(table):
    ...     return table.prod(axis=1).to_numpy()
    >>> patient = pd.DataFrame([[1.0, 1.0, 1.0]], columns=["a", "b", "c"])
    >>> grouped = prediction_shapley(product, patient, X, groups=groups)
    >>> summed = sum_feature_shapley(product, patient, X, groups=groups)
    >>> grouped.values[0, :, 0].values.round(1), summed.values[0, :, 0].values.round(1)
    (array([0.5, 0.5]), array([0.7, 0.3]))
    """
    named = _check_tables(X, background, groups)
    single = {str(position): np.array([position]) for position in range(X.shape[1])}
    return _share_out(
        predict, X, background[X.columns], players=single, groups=named, outputs=outputs,
        max_exact_players=max_exact_players, n_pairs=n_pairs, seed=seed,
    )  # fmt: skip


def summarise_prediction_shapley(
    result: PredictionShapley,
    *,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Average absolute attributions over patients, with bootstrap intervals.

    Intervals are percentiles of a bootstrap over the patients explained, conditional on the fitted
    model and the background.

    Parameters
    ----------
    result : PredictionShapley
        Values of the patients.
    n_resamples : int, default 1000
        Bootstrap resamples.
    confidence_level : float, default 0.95
        Level of the intervals.
    rng : numpy Generator
        Source of the resamples.

    Returns
    -------
    DataFrame
        Columns output, player, estimate (mean absolute value), lower, upper, se, share (of the sum
        over players; NaN where all are 0).

    Raises
    ------
    InputError
        If `confidence_level` is not inside (0, 1).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = pd.DataFrame(rng.normal(size=(50, 2)), columns=["a", "b"])
    >>> groups = {"a": ["a"], "b": ["b"]}
    >>> result = prediction_shapley(lambda table: table["a"].to_numpy(), X, X, groups=groups)
    >>> table = summarise_prediction_shapley(result, n_resamples=50, rng=rng)
    >>> table["share"].round(3).to_list()
    [1.0, 0.0]
    """
    if not 0.0 < confidence_level < 1.0:
        raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    size = np.abs(result.values.to_numpy())
    n, n_players, n_outputs = size.shape
    mean, lower, upper, drawn = bootstrap_mean(
        size.reshape(n, -1), n_resamples=n_resamples, confidence_level=confidence_level, rng=rng
    )
    total = mean.reshape(n_players, n_outputs).sum(axis=0)
    with np.errstate(invalid="ignore"):
        share = mean.reshape(n_players, n_outputs) / total
    table = pd.DataFrame(
        {
            "output": np.tile(result.values["output"].to_numpy(), n_players),
            "player": np.repeat(result.values["player"].to_numpy(), n_outputs),
            "estimate": mean,
            "lower": lower,
            "upper": upper,
            "se": drawn.std(axis=0, ddof=1),
            "share": share.ravel(),
        }
    )
    order = np.arange(n_players * n_outputs).reshape(n_players, n_outputs).T.ravel()
    return table.iloc[order].reset_index(drop=True)


def _share_out(
    predict: Predictor,
    X: pd.DataFrame,
    background: pd.DataFrame,
    *,
    players: dict[str, IntArray],
    groups: dict[str, IntArray],
    outputs: Sequence[Hashable] | None,
    max_exact_players: int,
    n_pairs: int,
    seed: int,
) -> PredictionShapley:
    """Play the game of the players, and add their values up within the groups they make."""
    shapley, numbers = _play(
        predict, X, background, players, max_exact_players=max_exact_players, n_pairs=n_pairs,
        seed=seed,
    )  # fmt: skip
    support = off_support_fraction(
        X, background, groups=players, rng=spawn_rng(seed, "shapley", "hybrids")
    )
    # a player belongs to the group that holds its columns
    belongs = np.array(
        [[np.isin(own, columns).all() for own in players.values()] for columns in groups.values()],
        dtype=np.float64,
    )
    return _arrange(shapley, numbers, X, [*groups], outputs, support, belongs)


def _play(
    predict: Predictor,
    X: pd.DataFrame,
    background: pd.DataFrame,
    players: dict[str, IntArray],
    *,
    max_exact_players: int,
    n_pairs: int,
    seed: int,
) -> tuple[ShapleyValues, FloatArray]:
    """Return the values of all patients and outputs side by side, and the predictions."""
    own = X.to_numpy(dtype=np.float64)
    other = background.to_numpy(dtype=np.float64)
    numbers = _predicted(predict, own, X.columns)
    base = _predicted(predict, other, X.columns).mean(axis=0)

    def worth(coalitions: BoolArray) -> FloatArray:
        return np.stack([one(coalition).ravel() for coalition in coalitions])

    def one(coalition: BoolArray) -> FloatArray:
        if coalition.all():
            return numbers
        if not coalition.any():
            return np.tile(base, (len(own), 1))
        columns = np.concatenate(
            [
                positions
                for positions, inside in zip(players.values(), coalition, strict=True)
                if inside
            ]
        )
        means = np.empty_like(numbers)
        step = max(1, _ROWS_AT_ONCE // len(other))
        for start in range(0, len(own), step):
            batch = own[start : start + step]
            hybrids = np.tile(other, (len(batch), 1))
            hybrids[:, columns] = np.repeat(batch[:, columns], len(other), axis=0)
            predicted = _predicted(predict, hybrids, X.columns)
            means[start : start + step] = predicted.reshape(len(batch), len(other), -1).mean(axis=1)
        return means

    shapley = shapley_values(
        worth,
        [*players],
        max_exact_players=max_exact_players,
        n_pairs=n_pairs,
        rng=spawn_rng(seed, "shapley", "orders"),
    )
    return shapley, numbers


def _predicted(predict: Predictor, values: FloatArray, columns: pd.Index) -> FloatArray:
    numbers = np.asarray(predict(pd.DataFrame(values, columns=columns)), dtype=np.float64)
    if numbers.ndim not in (1, 2) or len(numbers) != len(values):
        raise InputError(
            f"predict returned shape {numbers.shape} for {len(values)} patients: return one number,"
            " or one row of numbers, for each"
        )
    if not np.isfinite(numbers).all():
        raise InputError(
            "predict returned missing or infinite values: fill or leave out what the model cannot"
            " predict"
        )
    return numbers if numbers.ndim == 2 else numbers[:, None]


def _arrange(
    shapley: ShapleyValues,
    numbers: FloatArray,
    X: pd.DataFrame,
    names: list[str],
    outputs: Sequence[Hashable] | None,
    support: OffSupport,
    belongs: FloatArray,
) -> PredictionShapley:
    n, k = numbers.shape
    labels = [*range(k)] if outputs is None else [*outputs]
    if len(labels) != k:
        raise InputError(f"outputs names {len(labels)} predictions and predict returns {k}")

    def named(values: FloatArray) -> xr.DataArray:
        merged = np.tensordot(belongs, values.reshape(-1, n, k), axes=1)
        return xr.DataArray(
            merged.transpose(1, 0, 2),
            dims=("patient", "player", "output"),
            coords={"patient": X.index.to_numpy(), "player": names, "output": labels},
        )

    base = shapley.empty.reshape(n, k)[0]
    return PredictionShapley(
        values=named(shapley.values),
        monte_carlo_se=named(shapley.monte_carlo_se),
        base=xr.DataArray(base, dims=("output",), coords={"output": labels}),
        prediction=xr.DataArray(
            numbers,
            dims=("patient", "output"),
            coords={"patient": X.index.to_numpy(), "output": labels},
        ),
        off_support=support,
        is_exact=shapley.is_exact,
    )


def _check_tables(
    X: pd.DataFrame, background: pd.DataFrame, groups: Mapping[str, Sequence[Hashable]]
) -> dict[str, IntArray]:
    """Return the positions of each player's columns."""
    faults = Faults()
    columns: list[Hashable] = [*X.columns]
    if len(X) == 0:
        faults.add("X has no patient to explain")
    if len(background) < LEAST_ROWS:
        faults.add(
            f"the background has {len(background)} patients: whether hybrids are like them needs"
            f" {LEAST_ROWS} or more"
        )
    if set(columns) != set(background.columns):
        faults.add("X and background do not have the same columns: give both those of the model")
    named = [label for labels in groups.values() for label in labels]
    for wrong, what in (
        ([c for c in named if c not in columns], "groups name columns that X does not have"),
        ([c for c in columns if c not in named], "columns are in no group"),
        ([c for c in columns if named.count(c) > 1], "columns are in two groups"),
        ([name for name, labels in groups.items() if not len(labels)], "groups have no column"),
    ):
        if wrong:
            faults.add(f"{what} ({name_rows(wrong)}): put every column of X into exactly one")
    faults.raise_if_any()
    return {
        str(name): np.array([columns.index(label) for label in labels], dtype=np.int64)
        for name, labels in groups.items()
    }
