from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats._checks import (
    Faults,
    as_survival_table,
    check_survival_arrays,
    name_rows,
    nearest_key,
)
from times_stats.errors import InputError


def test_faults_are_reported_together_on_one_line_and_once():
    faults = Faults()
    faults.extend(["first\nfault", "second", "second"])
    assert len(faults) == 2
    with pytest.raises(InputError) as caught:
        faults.raise_if_any("table.csv")
    assert str(caught.value) == "table.csv: first fault; second"
    assert caught.value.faults == ("first fault", "second")


def test_no_fault_raises_nothing():
    faults = Faults()
    faults.raise_if_any()
    assert not faults


def test_at_most_five_distinct_rows_are_named():
    assert name_rows(["a", "a", "b"]) == "a, b"
    assert name_rows(range(7)) == "0, 1, 2, 3, 4 (and 2 more)"


@pytest.mark.parametrize(("key", "nearest"), [("Horizn", "horizon"), ("tyme", "time"), ("q", None)])
def test_the_nearest_key_is_found_or_none(key, nearest):
    assert nearest_key(key, ["horizon", "time"]) == nearest


def test_survival_arrays_come_back_typed():
    time, event = check_survival_arrays(pd.Series([0, 3]), [True, False])
    assert time.dtype == np.float64
    assert event.dtype == np.int64
    assert event.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("time", "event", "message"),
    [
        (["x", 1], [0, 1], "time is not numeric"),
        ([[1.0, 2.0]], [0, 1], "time has 2 dimensions"),
        ([1.0], [0, 1], "time has 1 values and event 2"),
        ([], [], "time is empty"),
        ([1.0, np.nan], [0, 1], "time is missing or infinite in row 1"),
        ([1.0, np.inf], [0, 1], "time is missing or infinite in row 1"),
        ([-1.0, 1.0], [0, 1], "time is negative in row 0"),
        ([1.0, 1.0], [0, 2], "event is not 0 or 1 in row 1"),
        ([1.0, 1.0], [0, np.nan], "event is not 0 or 1 in row 1"),
    ],
)
def test_survival_arrays_that_cannot_be_used_are_refused(time, event, message):
    with pytest.raises(InputError, match=message):
        check_survival_arrays(time, event)


def test_all_faults_of_an_outcome_are_listed_without_its_values():
    with pytest.raises(InputError) as caught:
        check_survival_arrays([-77.25, 1.0], [0, 33])
    assert len(caught.value.faults) == 2
    assert "77" not in str(caught.value)
    assert "33" not in str(caught.value)


def test_a_survival_table_keeps_index_and_other_columns():
    table = as_survival_table(
        pd.DataFrame(
            {"time": [3, 5], "event": [True, False], "cohort": ["a", "b"]}, index=["p", "q"]
        )
    )
    assert table["time"].dtype == np.float64
    assert table["event"].tolist() == [1, 0]
    assert table.index.tolist() == ["p", "q"]
    assert table["cohort"].tolist() == ["a", "b"]


def test_a_survival_table_without_its_columns_names_the_nearest():
    with pytest.raises(InputError, match=r"no column 'time' \(nearest: 'tme'\).*'event'"):
        as_survival_table(pd.DataFrame({"tme": [1.0]}))
    with pytest.raises(InputError, match="the outcome is a list"):
        as_survival_table([1, 2])


@pytest.mark.parametrize("column", ["entry", "time_lower", "time_upper"])
def test_outcomes_that_are_not_read_are_refused(column):
    y = pd.DataFrame({"time": [3.0, 5.0], "event": [1, 0], column: [np.nan, 2.0]})
    with pytest.raises(InputError, match=f"the outcome has '{column}', and this takes outcomes"):
        as_survival_table(y)
    assert as_survival_table(y, right_censored=False)[column].tolist()[1] == 2.0
    assert len(as_survival_table(y.assign(**{column: 0.0}))) == 2
    with pytest.raises(InputError, match=f"the outcome has '{column}'"):
        as_survival_table(y.assign(**{column: ["late", None]}))


def test_event_and_cause_that_disagree_are_refused_everywhere():
    y = pd.DataFrame({"time": [3.0, 5.0], "event": [1, 1], "cause": [1, 2]})
    with pytest.raises(InputError, match="event and cause disagree in row 1"):
        as_survival_table(y)
    assert len(as_survival_table(y.assign(event=[1, 0]))) == 2
