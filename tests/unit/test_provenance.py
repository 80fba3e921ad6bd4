"""Provenance: stable hashes, versions without heavy imports, JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from times_stats.datasets import load_hcc_ihc
from times_stats.provenance import collect_provenance, hash_frame

TABLE = pd.DataFrame({"patient_id": ["a", "b"], "time": [1.0, np.nan], "event": [1, 0]})


def test_hash_is_pinned_across_platforms():
    assert hash_frame(TABLE) == "467d61db29bde5770792e26f9f6796cdb283cd7d92a98deacf7005d81295eff5"


def test_hash_knows_values_not_storage():
    as_float = TABLE.astype({"event": float})
    as_nullable = TABLE.astype({"event": "Int64", "time": "Float64", "patient_id": "string"})
    as_category = TABLE.astype({"patient_id": "category"})
    zero = TABLE.assign(event=[1.0, -0.0])
    assert {hash_frame(t) for t in (as_float, as_nullable, as_category, zero)} == {
        hash_frame(TABLE)
    }


@pytest.mark.parametrize(
    "other",
    [
        TABLE[::-1],
        TABLE.assign(event=[1, 1]),
        TABLE.rename(columns={"time": "t"}),
        TABLE[["time", "patient_id", "event"]],
        TABLE.set_index("patient_id"),
        TABLE.assign(patient_id=["ab", ""]),
        TABLE.assign(patient_id=["a", None]),
        TABLE[:1],
    ],
)
def test_hash_changes_with_the_table(other):
    assert hash_frame(other) != hash_frame(TABLE)


def test_hash_reads_two_level_columns():
    columns = pd.MultiIndex.from_product([["A"], ["x", "y"]], names=["marker", "region"])
    wide = pd.DataFrame([[1.0, 2.0]], index=pd.Index(["P"], name="patient_id"), columns=columns)
    assert len(hash_frame(wide)) == 64
    assert hash_frame(wide) != hash_frame(wide * 2)


def test_provenance_is_json_and_repeats_itself():
    study = load_hcc_ihc("complete")
    settings = {"times": np.array([12.0, 24.0]), "seed": np.int64(3), "names": {"b", "a"}}
    found = collect_provenance(study, settings)
    assert found == collect_provenance(study, settings)
    assert json.loads(json.dumps(found)) == found
    assert found["settings"] == {"times": [12.0, 24.0], "seed": 3, "names": ["a", "b"]}
    assert found["source_hash"] == study.source_hash
    assert (found["n_patients"], found["n_events"]) == (101, 65)
    assert found["packages"]["numpy"] == np.__version__
    assert all(found["packages"].values())


def test_versions_are_read_without_importing_the_packages():
    code = (
        "import sys; from times_stats.provenance import _versions; v = _versions();"
        "heavy = {'pymc', 'xgboost', 'shap', 'sklearn', 'numba', 'matplotlib'} & set(sys.modules);"
        "assert v['pymc'] and not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
