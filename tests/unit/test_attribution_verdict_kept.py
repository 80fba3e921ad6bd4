"""The kept studies behind the rule of the verdict: computed again, and what they show."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "calibration" / "location_verdict.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("location_verdict_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kept(part):
    table = pd.read_csv(BENCHMARK.with_suffix("") / f"{part}.csv", keep_default_na=False)
    return table.apply(lambda column: pd.to_numeric(column, errors="coerce") if column.name not in (
        "effect", "whole verdict") else column)  # fmt: skip


def test_a_kept_study_follows_from_its_seed(benchmark):
    row = kept("studies").query("patients == 101 and effect == 'location 1.4' and study == 7")
    found = benchmark.judge(101, "location 1.4", 7)
    assert found == pytest.approx(row.iloc[0].to_dict(), abs=2e-6)


def test_location_adds_is_false_in_one_of_twenty_at_most(benchmark):
    table = benchmark.tabulate_alarms(kept("alarms"))
    together = table[table["patients"] == "all"].iloc[0]
    assert together["studies"] >= 900
    assert together["location adds"] <= 0.05
    error = np.sqrt(0.05 * 0.95 / table["studies"])
    assert (table["location adds"] <= 0.05 + 2.6 * error).all()


def test_the_rule_of_today_says_more_and_hides_no_gain(benchmark):
    table = benchmark.tabulate(kept("studies")).set_index(["effect", "patients"])
    located = table.loc[["location 1.4", "location 2.0"]]
    assert (located["new: adds"] > located["old: adds"]).mean() >= 5 / 6
    strong = table.loc["location 2.0"]
    assert (strong["gain"] > 0.03).all()
    assert (strong["new: suffice"] <= 0.025).all()
