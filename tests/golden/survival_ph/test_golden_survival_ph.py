"""The test of constant effects against R survival::cox.zph (script: make_golden.R)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.survival.proportional_hazards import score_test_of_constant_effects

HERE = Path(__file__).parent
GOLDEN = pd.read_csv(HERE / "zph.csv", keep_default_na=False)


def read(problem):
    return pd.read_csv(HERE / f"{problem}.csv", skipinitialspace=True)


def test_the_problems_hold_what_they_are_for():
    plain, strata, late = (read(name) for name in ("plain", "strata", "late"))
    for data in (plain, strata, late):
        assert data.loc[data["event"] == 1, "time"].duplicated().sum() > 30
    assert strata["stratum"].nunique() == late["stratum"].nunique() == 3
    assert (late["entry"] > 0).sum() > 30
    assert late["entry"].isin(late.loc[late["event"] == 1, "time"]).sum() > 20
    assert not read("single")["time"].duplicated().any()


@pytest.mark.parametrize("transform", ["km", "rank", "log", "identity"])
@pytest.mark.parametrize("problem", ["plain", "strata", "late", "single"])
def test_statistics_and_slopes_equal_those_of_r(problem, transform):
    data = read(problem)
    names = [name for name in data if name.startswith("x")]
    found = score_test_of_constant_effects(
        data["time"],
        data["event"],
        data[names],
        entry=data["entry"] if (data["entry"] > 0).any() else None,
        strata=data["stratum"],
        transform=transform,
        names=names,
    ).set_index("column")
    assert [*found.index] == [*names, "GLOBAL"]
    golden = GOLDEN[(GOLDEN["problem"] == problem) & GOLDEN["transform"].isin(["", transform])]
    assert len(golden) == len(names) + 3 * (len(names) + 1) + len(names)
    for row in golden.itertuples():
        value = found.loc[row.name, row.quantity]
        np.testing.assert_allclose(value, row.value, rtol=1e-8, atol=1e-12, err_msg=str(row))
