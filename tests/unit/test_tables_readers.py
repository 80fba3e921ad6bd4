from __future__ import annotations

import gzip

import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.tables import read_table

TEXT = "patient_id,time\n007,1.5\n8,\n"


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.tsv.gz"])
def test_delimited_text_stays_text(tmp_path, name):
    text = TEXT.replace(",", "\t") if ".tsv" in name else TEXT
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    table = read_table(tmp_path / name)
    assert table["patient_id"].tolist() == ["007", "8"]
    assert table["time"].isna().tolist() == [False, True]


def test_byte_order_mark_blanks_and_none_are_read_as_meant(tmp_path):
    (tmp_path / "t.csv").write_bytes(
        "\ufeffpatient_id , vascular_invasion\n1, none\n2,NA\n".encode()
    )
    table = read_table(tmp_path / "t.csv")
    assert list(table.columns) == ["patient_id", "vascular_invasion"]
    assert table["vascular_invasion"].iloc[0] == "none"
    assert pd.isna(table["vascular_invasion"].iloc[1])


def test_parquet_comes_back_with_its_named_index_as_a_column(tmp_path):
    frame = pd.DataFrame({"time": [1.0]}, index=pd.Index([7], name="patient_id"))
    frame.to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").columns) == ["patient_id", "time"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "the file is empty"),
        ("t.csv", b"a,b\n\xff\xfe,1\n", r"not UTF-8 \(line 2\)"),
        ("t.csv", b"a,b\n\0,1\n", "binary, not text"),
        ("t.csv", b"a;b\n1;2\n", "the header holds no comma"),
        ("t.csv", b"a;b\n1;2,5\n", "the header holds no comma: .* points in decimals"),
        ("t.csv", b"a,a\n1,2\n", "column a occurs twice"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields where the header has 2"),
        ("t.csv", b'a,b\n"1,2\n', "cannot be told apart"),
        ("t.csv.gz", b"a,b\n", "damaged or truncated"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "damaged or truncated"),
        ("t.parquet", b"PAR1", "no readable Parquet file"),
        ("t.xlsx", b"PK", "of no known format"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_on_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_file_names_the_nearest_and_a_folder_is_no_file(tmp_path):
    (tmp_path / "patients.csv").write_text(TEXT)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"'patient.csv' is missing \(nearest: 'patients.csv'\)"):
        read_table(tmp_path / "patient.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path / "folder.csv")
    with pytest.raises(InputError, match="is missing: correct the path"):
        read_table(tmp_path / "nowhere" / "patients.csv")
