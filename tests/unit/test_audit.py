from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats import audit
from times_stats.audit import find_leakage
from times_stats.datasets import load_hcc_ihc
from times_stats.errors import InputError, NotBuiltError
from times_stats.features import build_feature_table


def features():
    return build_feature_table(load_hcc_ihc("complete")).values


def test_a_clean_split_has_no_overlap():
    values = features()
    found = find_leakage(values.iloc[:80], values.iloc[80:])
    assert found.empty
    assert list(found.columns) == ["kind", "train_id", "test_id", "n_features"]


def test_a_shared_patient_is_found_by_name_and_by_values():
    values = features()
    found = find_leakage(values.iloc[:81], values.iloc[80:])
    name = values.index[80]
    assert found["kind"].tolist() == ["patient_id", "identical_features"]
    assert found["test_id"].tolist() == [name, name]
    assert found["n_features"].tolist() == [0, 15]


def test_a_renamed_patient_is_found_by_values_whatever_the_order_of_columns():
    values = features()
    copied = values.iloc[[3]].set_axis(["copy"])
    found = find_leakage(values.iloc[:80], pd.concat([values.iloc[80:], copied]).iloc[:, ::-1])
    assert found[["train_id", "test_id"]].to_numpy().tolist() == [[values.index[3], "copy"]]


def test_gaps_count_as_equal_and_flat_rows_prove_nothing():
    train = pd.DataFrame({"a": [1.0, 0.0, np.nan], "b": [2.0, -0.0, np.nan], "c": [np.nan] * 3})
    test = pd.DataFrame(
        {"a": [1.0, 0.0, np.nan], "b": [2.0, 0.0, np.nan], "c": [np.nan] * 3},
        index=["x", "y", "z"],
    )
    found = find_leakage(train, test)
    assert found["test_id"].tolist() == ["x"]
    assert found["n_features"].tolist() == [2]


def test_patients_tables_are_compared_by_their_identifiers():
    patients = load_hcc_ihc().patients
    found = find_leakage(patients.iloc[:100], patients.iloc[99:])
    assert found.query("kind == 'patient_id'")["test_id"].tolist() == [patients["patient_id"][99]]


def test_something_else_than_a_table_is_refused():
    with pytest.raises(InputError, match="test is a list: give a DataFrame"):
        find_leakage(features(), [1])


def test_the_audit_of_a_run_is_planned():
    with pytest.raises(NotBuiltError, match="check_run is not built yet"):
        audit.check_run(None)
