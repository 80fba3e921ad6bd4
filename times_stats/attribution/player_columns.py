"""Which columns each player of a performance game brings, as the training patients show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray, IntArray
from times_stats.attribution.rungs import LadderData, choose_patients, collect_ladder
from times_stats.attribution.unplayable import UnplayableError
from times_stats.errors import InputError
from times_stats.features.matrix import ALL_IMAGES, complete_markers, marker_levels
from times_stats.partial_likelihood import RiskSets, build_risk_sets
from times_stats.rivals.transforms import learn_transform

type Game = Literal["marker_region", "level_location"]
GAMES: tuple[Game, ...] = ("marker_region", "level_location")
LEVEL, LOCATION = "level", "location"
_ALWAYS_IN = -1


@dataclass(frozen=True, slots=True)
class Players:
    """Players of a game, and the data they are made from.

    Attributes
    ----------
    names : tuple of str
        Name of each player.
    markers, parts : tuple of str
        Its marker, and its region or "level" or "location".
    data : LadderData
        Values, levels, stages and cohorts before anything is learned.
    game : {"marker_region", "level_location"}
        The game.
    kept : bool array, shape (n_given,)
        Patients given that take part.
    notes : tuple of str
        Who was left out or filled.
    """

    names: tuple[str, ...]
    markers: tuple[str, ...]
    parts: tuple[str, ...]
    data: LadderData
    game: Game
    kept: BoolArray
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FoldDesign:
    """Columns of all players in one fold; transforms learned on its training patients.

    Attributes
    ----------
    repeat : int
        Repeat of the cross-validation.
    train, test : int array
        Positions of the patients.
    X : float array, shape (n, p)
        Standardised columns of all patients, gaps set to the training mean 0; those always in the
        model (stage, cohort; centred only) come first.
    owner : int array, shape (p,)
        Player of each column, -1 for columns always in.
    sets : RiskSets
        Risk sets of the training patients.
    """

    repeat: int
    train: IntArray
    test: IntArray
    X: FloatArray
    owner: IntArray
    sets: RiskSets

    @property
    def n_weak(self) -> int:
        """Number of columns that are always in the model."""
        return int((self.owner == _ALWAYS_IN).sum())

    def columns_of(self, coalition: BoolArray) -> BoolArray:
        """Return which columns a coalition sees, those always in included.

        Parameters
        ----------
        coalition : bool array, shape (n_players,)
            Who takes part.
        """
        return np.asarray(np.r_[coalition, True][self.owner], dtype=np.bool_)


def find_players(
    features: pd.DataFrame,
    *,
    game: Game,
    levels: pd.DataFrame | None,
    stages: pd.DataFrame | None,
    cohort: pd.Series | None,
    tumour_region: str | None,
) -> Players:
    """Name the players of a game and arrange their data.

    Parameters
    ----------
    features : DataFrame, shape (n, n_markers * n_regions)
        Raw values, columns (marker, region), NaN = missing.
    game : {"marker_region", "level_location"}
        Players: each marker in each region, or the level and the location of each marker.
    levels : DataFrame or None
        Level of each marker; the plain mean over its regions if None.
    stages : DataFrame of ordered categoricals or None
        Always in the model.
    cohort : Series or None
        Always in the model.
    tumour_region : str or None
        Region whose contrast is kept for every marker that has it.

    Returns
    -------
    Players

    Raises
    ------
    InputError
        Unknown game, no marker in two regions, no patient left, markers missing for some patients.

    Examples
    --------
    >>> columns = pd.MultiIndex.from_product([["A"], ["x", "y"]], names=["marker", "region"])
    >>> values = pd.DataFrame([[1.0, 2.0], [2.0, 5.0], [3.0, 1.0]], columns=columns)
    >>> find_players(values, game="level_location", levels=None, stages=None, cohort=None,
    ...              tumour_region=None).names
    ('A level', 'A location')
    """
    if game not in GAMES:
        raise InputError(f"game is {game!r}: use one of {', '.join(map(repr, GAMES))}")
    kept, notes = choose_patients(features, stages, otherwise="there is no game to play")
    complete = complete_markers(features)
    levels = marker_levels(features) if levels is None else levels
    data = collect_ladder(
        features[kept],
        levels=levels[kept],
        complete=complete[kept],
        stages=None if stages is None else stages[kept],
        cohort=None if cohort is None else cohort[kept],
        tumour_region=tumour_region,
    )
    _check_gaps(complete[kept])
    if game == "level_location":
        _check_gaps(data.levels.notna())
    pairs = _pairs(data, game)
    joint = " in " if game == "marker_region" else " "
    return Players(
        names=tuple(joint.join(pair) for pair in pairs),
        markers=tuple(marker for marker, _ in pairs),
        parts=tuple(part for _, part in pairs),
        data=data,
        game=game,
        kept=kept,
        notes=tuple(notes),
    )


def design_folds(
    players: Players, *, time: FloatArray, event: IntArray, rows: IntArray, folds: IntArray
) -> tuple[list[FoldDesign], set[str]]:
    """Build the columns of every fold once, for all coalitions.

    Parameters
    ----------
    players : Players
        Players and their data.
    time, event : array, shape (n,)
        Outcome of the rows.
    rows : int array, shape (n,)
        Patient of each row: all in order, or a bootstrap resample with copies.
    folds : int array, shape (n_repeats, n)
        Fold of each row.

    Returns
    -------
    list of FoldDesign
        Repeats in order, folds within them.
    set of str
        Markers of which a column was only standardised in some fold, for want of a usable power.

    Raises
    ------
    UnplayableError
        If a training set has no event.
    """
    data = _take(players.data, rows)
    designs, plain = [], set()
    for repeat, labels in enumerate(folds):
        for fold in np.unique(labels):
            test, train = np.flatnonzero(labels == fold), np.flatnonzero(labels != fold)
            if not event[train].any():
                raise UnplayableError(
                    f"no event among the training patients of fold {fold}: use fewer folds or"
                    " longer follow-up",
                    reason="a training set without events",
                )
            X, owner, powerless = _columns(players, data, train)
            plain |= powerless
            sets = build_risk_sets(time[train], event[train])
            designs.append(FoldDesign(repeat, train, test, X, owner, sets))
    return designs, plain


def _check_gaps(known: pd.DataFrame) -> None:
    """Refuse gaps: a fill would let the model learn who lacks a marker, and its follow-up."""
    faults = Faults()
    for marker in known.columns:
        lacking = known.index[~known[marker].to_numpy(dtype=np.bool_)]
        if len(lacking):
            faults.add(
                f"{marker} is incomplete in {len(lacking)} of {len(known)} patients"
                f" ({name_rows(lacking)}): the game needs all markers of all patients, so leave out"
                " these patients or the marker"
            )
    faults.raise_if_any()


def _pairs(data: LadderData, game: Game) -> list[tuple[str, str]]:
    if game == "marker_region":
        return [(str(column[0]), str(column[1])) for column in data.values.columns.to_list()]
    located = {marker for marker, _ in data.contrast_columns}
    markers = [str(m) for m in data.levels.columns if not str(m).endswith(ALL_IMAGES)]
    return [(marker, LEVEL) for marker in markers] + [
        (marker, LOCATION) for marker in markers if marker in located
    ]


def _take(data: LadderData, rows: IntArray) -> LadderData:
    return LadderData(
        values=data.values.iloc[rows],
        levels=data.levels.iloc[rows],
        stage_steps=data.stage_steps.iloc[rows],
        cohort_steps=data.cohort_steps.iloc[rows],
        contrast_columns=data.contrast_columns,
        tumour_columns=data.tumour_columns,
    )


def _columns(
    players: Players, data: LadderData, train: IntArray
) -> tuple[FloatArray, IntArray, set[str]]:
    index = {pair: k for k, pair in enumerate(zip(players.markers, players.parts, strict=True))}
    weak = np.hstack(
        [data.cohort_steps.to_numpy(np.float64), data.stage_steps.to_numpy(np.float64)]
    )
    if players.game == "marker_region":
        standardised, plain = _transform(data.values, train)
        own = [index[str(column[0]), str(column[1])] for column in data.values.columns.to_list()]
    else:
        raw, pairs, plain = _levels_and_locations(data, train)
        own = [index[pair] for pair in pairs]
        every = np.ones(raw.shape[1], dtype=np.bool_)
        state = learn_transform(pd.DataFrame(raw[train]), gaussianise=~every, rescale=every)
        standardised = state.apply(raw)
    weak = weak - weak[train].mean(axis=0)
    X = np.hstack([weak, np.where(np.isnan(standardised), 0.0, standardised)])
    return X, np.array([_ALWAYS_IN] * weak.shape[1] + own, dtype=np.int64), plain


def _transform(frame: pd.DataFrame, train: IntArray) -> tuple[FloatArray, set[str]]:
    """Return the transformed columns and the markers without a usable power."""
    values = frame.to_numpy(dtype=np.float64)
    every = np.ones(values.shape[1], dtype=np.bool_)
    # labels of rows are not needed, and slow to carry in every fold of every resample
    training = pd.DataFrame(values[train], columns=frame.columns)
    state = learn_transform(training, gaussianise=every, rescale=every)
    plain = {str(c[0] if isinstance(c, tuple) else c) for c in state.standardised_only}
    return state.apply(values), plain


def _levels_and_locations(
    data: LadderData, train: IntArray
) -> tuple[FloatArray, list[tuple[str, str]], set[str]]:
    """Return the columns of the rung of all regions, with marker and part of each."""
    regions, plain_regions = _transform(data.values, train)
    levels, plain_levels = _transform(data.levels, train)
    at = {(str(c[0]), str(c[1])): k for k, c in enumerate(data.values.columns.to_list())}
    level_at = {str(name): k for k, name in enumerate(data.levels.columns.to_list())}
    own = np.array([at[column] for column in data.contrast_columns])
    of_marker = np.array([level_at[marker] for marker, _ in data.contrast_columns])
    contrasts = regions[:, own] - levels[:, of_marker]
    pairs = [(name.removesuffix(ALL_IMAGES), LEVEL) for name in level_at]
    pairs += [(marker, LOCATION) for marker, _ in data.contrast_columns]
    return np.hstack([levels, contrasts]), pairs, plain_regions | plain_levels
