"""Bad input: exit code 2, one line that names column, rows and remedy, no output folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.__main__ import main
from times_stats.simulate import simulate_study

STUDY = """
[study]
name = "simulated"
endpoint = "recurrence"
time_unit = "months"
horizon = 24
seed = 1
[patients]
path = "patients.csv"
[measurements]
path = "long.csv"
[compare]
staging = ["tnm"]
"""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    simulated = simulate_study(n_patients=60, markers=2, regions=2, seed=2)
    simulated.patients.to_csv(folder / "patients.csv", index=False)
    simulated.measurements.to_csv(folder / "long.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    return folder


def patients(change: Callable[[pd.DataFrame], pd.DataFrame | None]):
    return _table("patients.csv", change)


def measurements(change: Callable[[pd.DataFrame], pd.DataFrame | None]):
    return _table("long.csv", change)


def _table(name, change):
    def apply(folder: Path) -> None:
        frame = pd.read_csv(folder / name)
        changed = change(frame)
        (frame if changed is None else changed).to_csv(folder / name, index=False)

    return apply


def toml(old: str, new: str):
    def apply(folder: Path) -> None:
        text = (folder / "study.toml").read_text()
        assert old in text
        (folder / "study.toml").write_text(text.replace(old, new))

    return apply


def put(column: str, row: int, value: object):
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({column: object})
        frame.loc[row, column] = value
        return frame

    return change


def marker_constant(frame: pd.DataFrame) -> None:
    frame.loc[frame["marker"] == "M1", "value"] = 1.0


# What is done to a good study, and the words its one line must hold.
TABLE = {
    "missing study file": (lambda f: (f / "study.toml").unlink(), ["study.toml"]),
    "missing table": (lambda f: (f / "long.csv").unlink(), ["long.csv"]),
    "broken TOML": (toml("[study]", "[study"), ["study.toml"]),
    "not UTF-8": (
        lambda f: (f / "patients.csv").write_bytes(b"patient_id,time,event\n\xff\xfe,1,1\n"),
        ["UTF-8", "patients.csv"],
    ),
    "empty file": (lambda f: (f / "long.csv").write_text(""), ["long.csv"]),
    "wrong column": (patients(lambda d: d.rename(columns={"time": "tiem"})), ["time", "tiem"]),
    "renamed column absent": (
        toml('path = "patients.csv"', 'path = "patients.csv"\ncolumns = { time = "RFS" }'),
        ["RFS"],
    ),
    "duplicated patient": (
        patients(lambda d: pd.concat([d, d.iloc[[4]]])),
        ["patient_id", "P005"],
    ),
    "missing patient id": (patients(put("patient_id", 3, np.nan)), ["patient_id"]),
    "negative time": (patients(put("time", 2, -1)), ["time", "P003"]),
    "missing time": (patients(put("time", 2, np.nan)), ["time", "P003"]),
    "text time": (patients(put("time", 2, "soon")), ["time", "P003"]),
    "infinite time": (patients(put("time", 2, np.inf)), ["time", "P003"]),
    "event of 2": (patients(put("event", 5, 2)), ["event", "P006"]),
    "no event": (patients(lambda d: d.assign(event=0)), ["event"]),
    "too few events": (
        patients(lambda d: d.assign(event=[1] * 8 + [0] * (len(d) - 8))),
        ["event", "8"],
    ),
    "empty measurements": (measurements(lambda d: d.iloc[:0]), ["measurements", "no rows"]),
    "unknown patient": (measurements(put("patient_id", 0, "nobody")), ["nobody"]),
    "text value": (measurements(put("value", 1, "high")), ["value"]),
    "infinite value": (measurements(put("value", 1, np.inf)), ["value"]),
    "all values missing": (measurements(lambda d: d.assign(value=np.nan)), ["value"]),
    "constant marker": (measurements(marker_constant), ["M1"]),
    "duplicated measurement": (measurements(lambda d: pd.concat([d, d.iloc[[0]]])), ["P001"]),
    "one region only": (
        measurements(lambda d: d[d["region"] == d["region"].iloc[0]]),
        ["region"],
    ),
    "unknown marker": (
        toml("[compare]", '[score]\nmarkers = ["M1", "M3"]\n[compare]'),
        ["M3"],
    ),
    "unknown key": (toml("horizon = 24", "horizont = 24"), ["horizont", "horizon"]),
    "unknown section": (toml("[compare]", "[comparison]"), ["comparison", "compare"]),
    "horizon too late": (toml("horizon = 24", "horizon = 900"), ["horizon"]),
    "horizon of zero": (toml("horizon = 24", "horizon = 0"), ["horizon"]),
    "unknown unit": (toml('"months"', '"weeks"'), ["time_unit", "months"]),
    "unknown baseline": (toml("[compare]", '[survival]\nbaseline = "gamma"\n[compare]'), ["gamma"]),
    "stage column absent": (toml('["tnm"]', '["clip"]'), ["clip"]),
    "unreadable stage": (patients(put("tnm", 1, "big")), ["tnm", "P002"]),
    "part not built": (toml("[compare]", "[therapy]\n[compare]"), ["not built yet"]),
    "cells beside measurements": (
        toml("[compare]", '[cells]\npath = "c.csv"\n[compare]'),
        ["[cells] and [measurements]", "tumour is missing"],
    ),
    "heavy censoring": (
        # Nobody is followed to the horizon but one.
        patients(
            lambda d: d.assign(
                time=np.where(np.arange(len(d)) == 0, 30.0, np.minimum(d["time"], 20.0)),
                event=np.where(np.arange(len(d)) == 0, 1, d["event"]),
            )
        ),
        ["horizon"],
    ),
}


@pytest.mark.parametrize("fault", TABLE)
def test_bad_input_is_one_clear_line(fault, pristine, tmp_path, capsys):
    folder, out = tmp_path / "study", tmp_path / "out"
    shutil.copytree(pristine, folder)
    spoil, words = TABLE[fault]
    spoil(folder)
    code = main(["run", str(folder / "study.toml"), "--out", str(out), "--jobs", "1"])
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert said.err.splitlines()[-1] == lines[0]
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in said.err
    assert not out.exists()


def test_foreign_folder_is_refused(pristine, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep me")
    code = main(["run", str(pristine / "study.toml"), "--out", str(tmp_path)])
    assert code == 2
    assert "something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_unknown_command_and_missing_option_exit_2(capsys):
    for words in (["analyse"], ["run", "study.toml"], ["demo", "--out", "x", "--jobs", "0"]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["serve"])
def test_commands_of_later_parts_say_so(command, capsys):
    assert main([command, "--out", "x"]) == 2
    assert "not built yet" in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(Exception, match=r"study\.toml"):
        main(["run", str(tmp_path / "study.toml"), "--out", str(tmp_path / "o"), "--debug"])
