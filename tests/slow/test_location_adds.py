"""A simulated study in which location matters, from the command line to the verdict."""

from __future__ import annotations

import pandas as pd
import pytest

from times_stats.__main__ import main

pytestmark = pytest.mark.slow

QUICK = """
[evaluate]
n_folds = 4
n_repeats = 1
n_resamples = 200
"""


def test_location_adds_from_simulation_to_report(tmp_path):
    study, out = tmp_path / "study", tmp_path / "run"
    words = ["simulate", "--out", str(study), "--patients", "320", "--markers", "2", "--seed", "4"]
    assert main([*words, "--location-effect", "1.0", "--quiet"]) == 0
    file = study / "study.toml"
    text = file.read_text(encoding="utf-8")
    text = text.replace("[compare]", f"n_repeats = 2\nn_folds = 4\n{QUICK}\n[compare]")
    file.write_text(text, encoding="utf-8")
    assert main(["run", str(file), "--out", str(out), "--jobs", "1", "--quiet"]) == 0

    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Location adds: where the markers sit tells of the outcome" in page
    assert "Who carries it: levels or locations" in page
    nulls = pd.read_csv(out / "location_nulls.csv").set_index("null")
    assert set(nulls.index) == {
        *("conditional location", "label exchangeability"),
        *("conditional location, refitted", "label exchangeability, refitted"),
    }
    assert (nulls["p_value"] <= 0.01).all()
    table = pd.read_csv(out / "shapley.csv", keep_default_na=False, na_values=[""])
    performance = table[table["game"] == "performance"].set_index("player")
    players = performance[performance["part"].isin(["level", "location"])]
    # the hazard follows where M1 sits, strongly, and M2's location is idle
    assert players["estimate"].idxmax() == "M1 location"
    assert performance.loc["M1 location", "lower"] > 0
    assert performance.loc["M2 location", "estimate"] < 0.01
    assert players["share"].sum() == pytest.approx(1)
    gain = performance.loc["all", "estimate"] - performance.loc["none", "estimate"]
    assert performance.loc["gain", "estimate"] == pytest.approx(gain)
    assert players["estimate"].sum() == pytest.approx(gain)
    prediction = table[table["game"] == "prediction"].set_index("player")["estimate"]
    assert prediction.drop("stage").idxmax() == "M1 location"
    assert (out / "figures" / "shapley_performance.svg").stat().st_size > 1000
