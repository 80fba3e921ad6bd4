from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import DataWarning, InputError
from times_stats.studies.reading import read_study
from times_stats.tables.measurements import check_measurements
from times_stats.tables.patients import check_patients
from times_stats.tables.settings import ScoreSettings
from times_stats.tables.study import build_study, outcome
from times_stats.tables.study_files import read_measured_patients as read_new_patients

SETTINGS = {"study": {"name": "toy", "horizon": 24}, "compare": {"staging": ["tnm"]}}


def tables(n=40):
    rng = np.random.default_rng(1)
    ids = [str(i) for i in range(1, n + 1)]
    patients = pd.DataFrame(
        {
            "patient_id": ids,
            "time": rng.integers(1, 60, n) + 0.5,
            "event": [1, 1, 0, 1] * (n // 4),
            "tnm": ["I", "II", "III", "II"] * (n // 4),
            "cohort": ["a", "b"] * (n // 2),
        }
    )
    rows = [
        (name, region, marker, rng.gamma(2.0))
        for name in ids
        for region in ("tumour", "adjacent")
        for marker in ("CD8", "CD57")
    ]
    return patients, pd.DataFrame(rows, columns=["patient_id", "region", "marker", "value"])


def settings(**sections):
    merged = copy.deepcopy(SETTINGS)
    for name, keys in sections.items():
        merged[name] = {**merged.get(name, {}), **keys}
    return merged


def with_value(table, column, rows, value):
    changed = table.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[rows, column] = value
    return changed


def write(folder, patients, measurements, text='[study]\nname = "toy"\nhorizon = 24\n'):
    patients.to_csv(folder / "patients.csv", index=False)
    measurements.to_csv(folder / "long.csv", index=False)
    path = folder / "study.toml"
    path.write_text(
        f'{text}\n[patients]\npath = "patients.csv"\n[measurements]\npath = "long.csv"\n'
    )
    return path


def test_a_study_is_sorted_canonical_and_complete():
    patients, long = tables()
    study = build_study(SETTINGS, patients, long)
    ids = study.patients["patient_id"].tolist()
    assert ids == sorted(patients["patient_id"])
    assert study.score == ScoreSettings(tumour_region="tumour")
    assert study.compare.staging == ("tnm",)
    assert study.flow["n_patients"].tolist() == [40] * 4
    assert study.flow["n_events"].tolist() == [30] * 4
    assert list(outcome(study).columns) == ["time", "event", "cohort"]
    assert outcome(study).index.name == "patient_id"
    assert "toy" in repr(study)
    assert "\n" not in repr(study)
    pickled = pickle.loads(pickle.dumps(study))
    assert pickled.source_hash == study.source_hash


def test_the_order_of_rows_changes_nothing():
    patients, long = tables()
    study = build_study(SETTINGS, patients, long)
    shuffled = build_study(
        SETTINGS, patients.sample(frac=1, random_state=2), long.sample(frac=1, random_state=3)
    )
    pd.testing.assert_frame_equal(study.patients, shuffled.patients)
    pd.testing.assert_frame_equal(study.measurements, shuffled.measurements)
    assert study.source_hash == shuffled.source_hash


def test_one_changed_outcome_value_or_setting_changes_the_hash():
    patients, long = tables()
    study = build_study(SETTINGS, patients, long)
    others = [
        build_study(SETTINGS, with_value(patients, "event", 0, 0), long),
        build_study(SETTINGS, patients, with_value(long, "value", 0, 9.0)),
        build_study(settings(study={"seed": 2}), patients, long),
    ]
    assert len({study.source_hash, *(other.source_hash for other in others)}) == 4


def test_file_and_tables_in_memory_give_the_same_study(tmp_path):
    patients, long = tables()
    path = write(tmp_path, patients, long)
    study = read_study(path)
    same = build_study({"study": {"name": "toy", "horizon": 24}}, patients, long)
    pd.testing.assert_frame_equal(study.patients, same.patients)
    pd.testing.assert_frame_equal(study.measurements, same.measurements)
    assert study.source_hash == same.source_hash
    assert study.path == str(path)


def test_identifiers_are_text_whatever_their_storage():
    patients, long = tables()
    expected = build_study(SETTINGS, patients, long).patients
    for kind in (int, float):
        study = build_study(
            SETTINGS,
            patients.astype({"patient_id": kind}),
            long.assign(patient_id=[f"{value}.0" for value in long["patient_id"]]),
        )
        pd.testing.assert_frame_equal(study.patients, expected)


def test_foreign_columns_regions_and_days_are_renamed_at_the_edge():
    patients, long = tables()
    days = patients.assign(time=patients["time"] * 30.4375).rename(
        columns={"time": "RFS", "tnm": "TNM", "event": "Rec"}
    )
    days["secret"] = 1
    study = build_study(
        settings(
            study={"time_unit": "days"},
            patients={"columns": {"time": "RFS", "tnm": "TNM", "event": "Rec"}},
            measurements={"columns": {"value": "x"}, "regions": {"T": "tumour", "N": "adjacent"}},
        ),
        days,
        long.replace({"tumour": "T", "adjacent": "N"}).rename(columns={"value": "x"}),
    )
    same = build_study(SETTINGS, patients, long)
    assert "secret" not in study.patients
    pd.testing.assert_frame_equal(study.patients, same.patients)
    pd.testing.assert_frame_equal(study.measurements, same.measurements)


def test_a_table_without_cohort_is_one_cohort():
    patients, long = tables()
    study = build_study(SETTINGS, patients.drop(columns="cohort"), long)
    assert set(study.patients["cohort"]) == {"all"}


def test_markers_and_regions_asked_for_are_kept_and_no_other():
    patients, long = tables()
    third = long[long["region"] == "adjacent"].assign(region="peritumour")
    asked = settings(score={"markers": ["CD8"], "regions": ["tumour", "adjacent"]})
    study = build_study(asked, patients, pd.concat([long, third]))
    assert set(study.measurements["marker"]) == {"CD8"}
    assert set(study.measurements["region"]) == {"tumour", "adjacent"}


def test_incomplete_patients_are_left_out_and_counted():
    patients, long = tables()
    early = long["patient_id"].astype(int) <= 24
    block = long[(long["marker"] == "CD8") | early]
    kept = build_study(settings(score={"missing": "keep"}), patients, block)
    assert kept.flow["n_patients"].tolist() == [40, 40, 40, 40]
    complete = build_study(settings(score={"missing": "complete"}), patients, block)
    assert complete.flow["n_patients"].tolist() == [40, 40, 24, 24]
    assert complete.flow["n_events"].tolist() == [30, 30, 18, 18]
    assert complete.flow["reason"].tolist()[2] == "16 left out: not every region of CD57"
    assert set(complete.measurements["patient_id"]) == set(complete.patients["patient_id"])
    assert set(complete.patients["patient_id"]) == {str(i) for i in range(1, 25)}


def test_horizon_and_spread_are_judged_on_the_patients_analysed():
    patients, long = tables()
    early = patients["patient_id"].astype(int) <= 24
    patients = patients.assign(time=patients["time"].where(~early, 5.0))
    few = long["patient_id"].astype(int) <= 24
    cd57 = long["marker"] == "CD57"
    block = long[few | ~cd57].assign(value=long["value"].mask(few & ~cd57, 1.0))
    with pytest.raises(InputError, match=r"constant for marker CD8.*beyond the follow-up"):
        build_study(settings(score={"missing": "complete"}), patients, block)


def test_no_complete_patient_is_a_fault_not_an_accident():
    patients, long = tables()
    early = long["patient_id"].astype(int) <= 20
    none = long[early == (long["marker"] == "CD8")]
    with pytest.raises(InputError, match="leaves 0 events among the 0 patients analysed"):
        build_study(settings(score={"missing": "complete"}), patients, none)


def test_patients_without_measurement_are_counted():
    patients, long = tables()
    study = build_study(SETTINGS, patients, long[~long["patient_id"].isin(["3", "5"])])
    assert study.flow["n_patients"].tolist() == [40, 38, 38, 38]
    assert study.flow["n_events"].tolist() == [30, 29, 29, 29]
    assert study.flow["reason"].iloc[1] == "2 left out: no measurement"


def test_losing_many_patients_to_a_region_is_a_warning():
    patients, long = tables()
    early = long["patient_id"].astype(int) <= 24
    with pytest.warns(DataWarning, match="16 of 40 patients have no complete marker"):
        study = build_study(SETTINGS, patients, long[(long["region"] == "tumour") | early])
    assert len(study.patients) == 24


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ({"tumour": "tumor core", "adjacent": "tumor edge"}, "tumor core"),
        ({"tumour": "tumour_centre", "adjacent": "peritumour"}, "tumour_centre"),
        ({"tumour": "intratumoral", "adjacent": "nontumoral"}, "intratumoral"),
        ({"tumour": "stroma", "adjacent": "nontumour"}, None),
    ],
)
def test_the_tumour_region_is_found_by_its_name(regions, expected):
    patients, long = tables()
    study = build_study(settings(measurements={"regions": regions}), patients, long)
    assert study.score.tumour_region == expected


def test_a_marker_scaled_within_regions_is_judged_on_every_patient():
    patients, long = tables()
    scaled = long.assign(
        value=long["value"] / long.groupby(["marker", "region"])["value"].transform("mean")
        + 10 * ((long["marker"] == "CD57") & (long["region"] == "tumour"))
    )
    study = build_study(SETTINGS, patients, scaled)
    assert study.scaled_by_region == ("CD8",)


def test_new_patients_need_no_outcome(tmp_path):
    patients, long = tables()
    path = write(tmp_path, patients[["patient_id"]].head(3), long.head(12), text="")
    new, measurements = read_new_patients(path)
    assert new["patient_id"].tolist() == ["1", "2", "3"]
    assert new["cohort"].tolist() == ["all"] * 3
    assert len(measurements) == 12


def test_new_patients_are_checked(tmp_path):
    patients, long = tables()
    path = write(tmp_path, patients.head(2), long.head(12).assign(value="high"), text="")
    with pytest.raises(InputError, match=r"'value' is not numeric.*names patient 3, unknown"):
        read_new_patients(path)


PATIENT_FAULTS = {
    "duplicate": (
        lambda p: with_value(p, "patient_id", 1, "1"),
        "column 'patient_id' names patient 1 more than once",
    ),
    "missing id": (
        lambda p: with_value(p, "patient_id", [1, 2], None),
        "column 'patient_id' is missing in data row 2, 3",
    ),
    "negative time": (
        lambda p: with_value(p, "time", 3, -7.25),
        "column 'time' is negative for patient 4",
    ),
    "missing time": (
        lambda p: with_value(p, "time", 3, None),
        "column 'time' is missing for patient 4",
    ),
    "time as text": (
        lambda p: with_value(p, "time", 3, "long"),
        "column 'time' is not numeric for patient 4",
    ),
    "decimal comma": (
        lambda p: with_value(p, "time", 3, "7,25"),
        "column 'time' is not numeric for patient 4.*decimal point",
    ),
    "infinite time": (
        lambda p: with_value(p, "time", 3, np.inf),
        "column 'time' is infinite for patient 4",
    ),
    "event 2": (
        lambda p: with_value(p, "event", 3, 2),
        "column 'event' is not 0 or 1 for patient 4",
    ),
    "event as text": (
        lambda p: with_value(p, "event", 3, "dead"),
        "column 'event' is not 0 or 1 for patient 4",
    ),
    "missing event": (
        lambda p: with_value(p, "event", 3, None),
        "column 'event' is missing for patient 4",
    ),
    "no event": (lambda p: p.assign(event=0), "column 'event' holds no event"),
    "few events": (
        lambda p: p.assign(event=[1] * 9 + [0] * 31),
        "column 'event' leaves 9 events among the 40 patients",
    ),
    "wrong column": (
        lambda p: p.rename(columns={"time": "tme"}),
        r"column 'time' is missing \(nearest: 'tme'\)",
    ),
    "no rows": (lambda p: p.iloc[:0], "patients: the table has no rows"),
    "missing cohort": (
        lambda p: with_value(p, "cohort", [0, 3], None),
        "column 'cohort' is missing for patient 1, 4",
    ),
    "stage absent": (lambda p: p.drop(columns="tnm"), "column 'tnm' is missing"),
    "stage empty": (lambda p: p.assign(tnm=None), "column 'tnm' has no value"),
    "stage unreadable": (
        lambda p: with_value(p, "tnm", [0, 3], "V"),
        "column 'tnm' cannot be read for patient 1, 4: use numerals",
    ),
    "delayed entry": (
        lambda p: p.assign(entry=0.0),
        r"column 'entry' \(delayed entry\) is not built yet",
    ),
    "competing": (
        lambda p: p.assign(cause=0),
        r"column 'cause' \(competing risks\) is not built yet",
    ),
}


@pytest.mark.parametrize("case", PATIENT_FAULTS)
def test_a_faulty_patients_table_is_refused(case):
    spoil, message = PATIENT_FAULTS[case]
    patients, long = tables()
    with pytest.raises(InputError, match=message) as caught:
        build_study(SETTINGS, spoil(patients), long, source="study.toml")
    text = str(caught.value)
    assert text.startswith("study.toml: ")
    assert "\n" not in text
    assert "7.25" not in text


MEASUREMENT_FAULTS = {
    "no rows": (lambda m: m.iloc[:0], "measurements: the table has no rows"),
    "wrong column": (
        lambda m: m.rename(columns={"value": "valu"}),
        r"column 'value' is missing \(nearest: 'valu'\)",
    ),
    "unknown patient": (
        lambda m: with_value(m, "patient_id", 0, "x9"),
        "column 'patient_id' names patient x9, unknown to the patients table",
    ),
    "not numeric": (
        lambda m: with_value(m, "value", 0, "high"),
        "column 'value' is not numeric for patient 1",
    ),
    "infinite": (
        lambda m: with_value(m, "value", 0, np.inf),
        "column 'value' is infinite for patient 1",
    ),
    "missing marker": (
        lambda m: with_value(m, "marker", [0, 4], None),
        "column 'marker' is missing in data row 1, 5",
    ),
    "repeated": (
        lambda m: pd.concat([m, m.iloc[:1]]),
        r"occurs more than once for patient 1 \(marker CD8\).*name the tiles",
    ),
    "repeated image": (
        lambda m: pd.concat([m, m.iloc[:1]]).assign(image_id="t1"),
        "occurs more than once for patient 1.*keep one row of each",
    ),
    "all missing": (lambda m: m.assign(value=np.nan), "column 'value' is missing in every row"),
    "constant": (
        lambda m: m.assign(value=m["value"].where(m["marker"] != "CD8", 2.0)),
        "column 'value' is constant for marker CD8",
    ),
    "constant by region": (
        lambda m: m.assign(value=m["value"].mask(m["marker"] == "CD8", m["region"] == "tumour")),
        "column 'value' is constant for marker CD8",
    ),
    "one region": (lambda m: m[m["region"] == "tumour"], "holds one region only"),
    "empty region": (
        lambda m: m.assign(value=m["value"].where(m["region"] != "adjacent")),
        "column 'value' is missing in every row of region adjacent",
    ),
    "empty marker": (
        lambda m: m.assign(value=m["value"].where(m["marker"] != "CD8")),
        "column 'value' is missing in every row of marker CD8",
    ),
    "rare marker": (
        lambda m: m[(m["marker"] == "CD8") | (m["patient_id"].astype(int) < 5)],
        "marker CD57 is complete in every region for fewer than 10 patients with an event",
    ),
}


@pytest.mark.parametrize("case", MEASUREMENT_FAULTS)
def test_a_faulty_measurements_table_is_refused(case):
    spoil, message = MEASUREMENT_FAULTS[case]
    patients, long = tables()
    with pytest.raises(InputError, match=message) as caught:
        build_study(SETTINGS, patients, spoil(long))
    assert "\n" not in str(caught.value)


SETTING_FAULTS = {
    "unknown section": ({"scor": {}}, r"section \[scor\] is unknown \(nearest: \[score\]\)"),
    "cells without a path": ({"cells": {}}, r"\[cells\] path is missing"),
    "cells without tumour": ({"cells": {"path": "c.csv"}}, r"\[cells\] tumour is missing"),
    "cells and measurements": (
        {"cells": {"path": "c.csv", "tumour": ["CK"]}, "measurements": {}},
        r"\[cells\] and \[measurements\] are both given",
    ),
    "regions without cells": ({"regions": {}}, r"section \[regions\] needs \[cells\]"),
    "features without cells": ({"features": {}}, r"section \[features\] needs \[cells\]"),
    "front beside the boundary": (
        {"cells": {"path": "c", "tumour": ["CK"]}, "regions": {"invasive_front": [10, 20]}},
        "invasive_front must be two micrometres",
    ),
    "peritumour inside the front": (
        {"cells": {"path": "c", "tumour": ["CK"]}, "regions": {"peritumour": 50}},
        r"peritumour ends at 50, inside the invasive front: give a distance above 100",
    ),
    "peritumour true": (
        {"cells": {"path": "c", "tumour": ["CK"]}, "regions": {"peritumour": True}},
        "peritumour must be micrometres above 0, or false",
    ),
    "labels without names": (
        {"cells": {"path": "c", "tumour": ["CK"]}, "regions": {"source": "column"}},
        "tumour_regions is missing",
    ),
    "annotation without files": (
        {"cells": {"path": "c", "tumour": ["CK"]}, "regions": {"source": "annotation"}},
        "annotation is missing",
    ),
    "window of one file": (
        {"cells": {"path": "c", "tumour": ["CK"], "window": "w.geojson"}},
        r"window must be 'tissue', or 'rectangle', or a file name with \{image_id\} in it",
    ),
    "falling radii": (
        {"cells": {"path": "c", "tumour": ["CK"]}, "features": {"radii": [20, 10]}},
        "radii must be a list of at least 2 increasing numbers above 0",
    ),
    "phenotypes as text": (
        {"cells": {"path": "c", "tumour": ["CK"], "phenotypes": {"T": "CD3+"}}},
        "phenotypes must map names to lists",
    ),
    "unknown key": ({"study": {"horizn": 3}}, r"unknown key 'horizn' \(nearest: 'horizon'\)"),
    "planned key": ({"evaluate": {"thresholds": [0.1]}}, "thresholds is not built yet"),
    "horizon zero": ({"study": {"horizon": 0}}, "horizon must be a number above 0; got 0"),
    "horizon late": ({"study": {"horizon": 99}}, "horizon of 99 months is beyond the follow-up"),
    "horizon early": ({"study": {"horizon": 0.25}}, "comes before the first event"),
    "unit": ({"study": {"time_unit": "weeks"}}, "time_unit must be 'months' or 'days'"),
    "seed": ({"study": {"seed": True}}, "seed must be a whole number of at least 0"),
    "name": ({"study": {"name": 3}}, "name must be a text"),
    "strata": (
        {"study": {"censoring_strata": ["cohrt"]}},
        r"censoring_strata names the unknown column 'cohrt' \(nearest: 'cohort'\)",
    ),
    "strata text": ({"study": {"censoring_strata": "cohort"}}, "must be a list of texts"),
    "baseline": ({"survival": {"baseline": "weibul"}}, r"nearest: 'weibull'"),
    "objective": ({"score": {"objective": "cox"}}, "objective must be 'survival:cox'"),
    "tuning": ({"score": {"tuning": "yes"}}, "tuning must be true or false; got 'yes'"),
    "pooling": ({"score": {"pooling": "shrunk"}}, r"pooling must be .*nearest: 'shrunken'"),
    "variance": ({"score": {"variance": "boot"}}, "variance must be 'jackknife' or 'bootstrap'"),
    "missing": ({"score": {"missing": "drop"}}, "missing must be 'keep' or 'complete'"),
    "folds": ({"score": {"n_folds": 1}}, r"\[score\] n_folds must be a whole number of at least 2"),
    "margin": ({"evaluate": {"margin": 2}}, "margin must be a number above 0 and below 0.5"),
    "marker": (
        {"score": {"markers": ["CD80"]}},
        r"\[score\] markers names 'CD80'.*\(nearest: 'CD8'\)",
    ),
    "marker twice": ({"score": {"markers": ["CD8", "CD8"]}}, "names CD8 twice"),
    "no marker": ({"score": {"markers": []}}, "markers is an empty list"),
    "region": ({"score": {"regions": ["tumor"]}}, r"regions names 'tumor'.*\(nearest: 'tumour'\)"),
    "tumour region": ({"score": {"tumour_region": "tumor"}}, "tumour_region names 'tumor'"),
    "staging": ({"compare": {"staging": ["tnn"]}}, r"unknown system 'tnn' \(nearest: 'tnm'\)"),
    "column key": (
        {"patients": {"columns": {"tyme": "x"}}},
        r"\[patients.columns\] has the unknown key 'tyme' \(nearest: 'time'\)",
    ),
    "column name": (
        {"patients": {"columns": {"time": "tim"}}},
        r"column 'tim' \(for time\) is missing \(nearest: 'time'\)",
    ),
    "planned column": (
        {"patients": {"columns": {"treatment": "arm"}}},
        r"column 'treatment' \(treatment benefit\) is not built yet",
    ),
    "columns no mapping": ({"patients": {"columns": ["time"]}}, "must map names to names"),
    "region map": (
        {"measurements": {"regions": {"tumor": "t"}}},
        r"\[measurements.regions\] names the region 'tumor'",
    ),
}


@pytest.mark.parametrize("case", SETTING_FAULTS)
def test_a_faulty_setting_is_refused(case):
    sections, message = SETTING_FAULTS[case]
    with pytest.raises(InputError, match=message) as caught:
        build_study(settings(**sections), *tables())
    assert "\n" not in str(caught.value)


def test_a_section_that_is_no_table_is_refused():
    with pytest.raises(InputError, match=r"\[score\] is no section"):
        build_study({**SETTINGS, "score": 3}, *tables())
    with pytest.raises(InputError, match=r"\[study\] horizon is missing"):
        build_study({}, *tables())


def test_the_faults_of_settings_and_both_tables_are_listed_at_once(tmp_path):
    patients, long = tables()
    path = write(
        tmp_path,
        patients.assign(time=-1.0, event=3),
        long.assign(value="x"),
        text="[study]\nhorizon = -1\nsed = 2\n",
    )
    with pytest.raises(InputError) as caught:
        read_study(path)
    text = str(caught.value)
    for part in ("horizon must be", "'sed'", "'time' is negative", "'event' is not", "'value' is"):
        assert part in text
    assert len(caught.value.faults) == 5
    assert "1, 2, 3, 4, 5 (and 35 more)" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the study file is missing"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[study\n", "no valid TOML"),
        (
            b"[study]\nhorizon = 24\n",
            r"\[patients\] path is missing.*\[measurements\] path is missing",
        ),
        (
            b'[study]\nhorizon=24\n[patients]\npath="p.csv"\n[measurements]\npath="m.csv"\n',
            "patients: file 'p.csv' is missing.*measurements: file 'm.csv' is missing",
        ),
    ],
)
def test_a_study_file_that_cannot_be_read_is_refused(tmp_path, content, message):
    path = tmp_path / "study.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_study(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_study_file(tmp_path):
    with pytest.raises(InputError, match="this is a folder"):
        read_study(tmp_path)


def test_the_tables_can_be_checked_alone():
    patients, long = tables()
    assert len(check_patients(patients)) == 40
    assert check_measurements(long)["image_id"].eq("").all()
    with pytest.raises(InputError, match=r"^patients: column 'event' is missing for patient 1"):
        check_patients(with_value(patients, "event", 0, None))
    with pytest.raises(InputError, match=r"^measurements: column 'region' is missing"):
        check_measurements(long.drop(columns="region"))


def test_text_of_numbers_is_read_exactly():
    patients, long = tables()
    text = long.assign(value=[repr(value) for value in long["value"]])
    pd.testing.assert_frame_equal(check_measurements(long), check_measurements(text))
    assert check_patients(patients.assign(event=patients["event"] == 1))["event"].sum() == 30


def test_clinical_columns_are_numbers_where_they_can_be():
    patients, _ = tables()
    checked = check_patients(patients.assign(age="61", sex="male"))
    assert checked["age"].tolist() == [61.0] * 40
    assert checked["sex"].tolist() == ["male"] * 40
