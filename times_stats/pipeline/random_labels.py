"""Random labelling in a run: the marks of a study's immune cells moved over their positions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from times_stats.attribution.null_answers import unless_untestable
from times_stats.attribution.null_inputs import UntestableError
from times_stats.attribution.random_labelling import random_labelling_test
from times_stats.attribution.score_statistic import NullTest
from times_stats.errors import InputError
from times_stats.pipeline.preparation import Prepared
from times_stats.studies.marked_cells import count_marked_cells

RANDOM_LABELLING = "random labelling"


def move_labels(prepared: Prepared, *, n_permutations: int) -> NullTest | None:
    """Test whether it matters which of the immune cells carry which mark.

    Parameters
    ----------
    prepared : Prepared
        The analysed patients.
    n_permutations : int

    Returns
    -------
    NullTest or None
        None in a study without cells; with a p-value of NaN, and the reason among the notes, where
        the cells cannot carry the test. The notes count what was left out.
    """
    if prepared.study.cells is None:
        return None
    outcome = prepared.outcome
    return unless_untestable(
        RANDOM_LABELLING,
        outcome,
        partial(_move, prepared, outcome, n_permutations=n_permutations),
    )


def _move(prepared: Prepared, outcome: pd.DataFrame, *, n_permutations: int) -> NullTest:
    try:
        marked = count_marked_cells(prepared.study)
    except InputError as error:
        raise UntestableError(error.faults) from error
    staged = prepared.stages.notna().all(axis=1).to_numpy(dtype=np.bool_)
    seen = outcome.index.isin(marked.counts.index.get_level_values("patient_id"))
    keep = staged & seen
    table = outcome[keep]
    own = marked.counts.index.get_level_values("patient_id").isin(table.index)
    lost = int((seen & ~staged).sum())
    notes = [f"{lost} patients without a recorded stage were left out."] if lost else []
    if not own.any() or not table["event"].any():
        raise UntestableError("no patient with an event has an image that shows regions")
    found = random_labelling_test(
        marked.counts[own],
        marked.immune[own],
        table,
        stages=prepared.stages[keep] if len(prepared.stages.columns) else None,
        n_permutations=n_permutations,
        seed=prepared.study.seed,
    )
    return replace(found, notes=(*marked.notes, *notes, *found.notes))
