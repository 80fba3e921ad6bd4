from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.tables.cell_counts import count_cells, count_positive
from times_stats.tables.cell_faults import check_cells
from times_stats.tables.cell_opening import cells_from_frame, open_cells
from times_stats.tables.cell_writing import write_cells
from times_stats.tables.cells import iterate_images, list_images, read_image
from times_stats.tables.readers.cell_files import MISSING, find_files
from times_stats.tables.readers.delimited import _MISSING
from times_stats.tables.readers.engine import explain, open_engine

HALO = Path(__file__).parent / "fixtures" / "halo_tma" / "cells.csv"
PATIENT = {"patient_id": "patient", "image_id": "image"}


def write(path, text, *, encoding="utf-8"):
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def only(source):
    (cells,) = iterate_images(source)
    return cells


def refused(*args, **settings):
    with pytest.raises(InputError) as caught:
        open_cells(*args, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Generic --------------------------------------------------------------------------------------

PLAIN = "patient_id,image_id,x,y,cell_type\na,a1,1.5,2,CK\na,a1,3,4.25,B\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ";"),
        PLAIN.replace("a1", '"a1"').replace("CK", " CK "),
        PLAIN.replace("x,y", " x , y ").replace("1.5", " 1.5").replace("\n", "\n\n"),
        PLAIN.removesuffix("\n"),
        PLAIN.replace("1.5", "15e-1").replace("4.25", "+4.25"),
    ],
)
def test_text_in_any_dress_is_read_alike(tmp_path, text):
    cells = only(open_cells(write(tmp_path / "c.csv", text)))
    assert cells.points.tolist() == [[1.5, 2.0], [3.0, 4.25]]
    assert cells.cell_type.tolist() == ["CK", "B"]
    assert (cells.patient_id, cells.image_id) == ("a", "a1")


ODD = [
    'a "b"', "o'c", "x.y", "50 % of cells", "µm²", "CD8 (Opal 520), mean", "k0", "c1",
    "patient_id)", "SELECT", "{files}", "a;b", "A", "细胞",
]  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet", "memory"])
@pytest.mark.parametrize("name", ODD)
def test_odd_column_names_are_only_names(tmp_path, ending, name):
    frame = pd.DataFrame(
        {"a": ["p"], name: ["CK; DROP TABLE cells --"], "image": ["it's {1}"], "X": [1], "x_": [2]}
    )
    columns = {"patient_id": "a", "image_id": "image", "x": "X", "y": "x_", "cell_type": name}
    if ending == "memory":
        source = cells_from_frame(frame, columns=columns)
    else:
        path = tmp_path / f"c.{ending}"
        if ending == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)
        source = open_cells(path, columns=columns)
    cells = only(source)
    assert cells.cell_type.tolist() == ["CK; DROP TABLE cells --"]
    assert cells.image_id == "it's {1}"
    read = read_image(source, patient_id="p", image_id="it's {1}")
    assert read.points.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_names_that_differ_in_case_alone_are_two_columns(tmp_path, ending):
    frame = pd.DataFrame({"patient_id": ["p"], "image_id": ["i"], "x": [1], "X": [9], "y": [2]})
    frame["CD8_positive"] = True
    path = tmp_path / f"c.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    assert only(open_cells(path)).points.tolist() == [[1.0, 2.0]]
    assert only(open_cells(path, columns={"x": "X"})).points.tolist() == [[9.0, 2.0]]


@pytest.mark.parametrize("name", ["a[1].csv", "b*.csv", "TMA1_[3,B].csv", "it's.csv", "{a}.csv"])
def test_odd_file_names_are_only_names(tmp_path, name):
    write(tmp_path / name, PLAIN)
    write(tmp_path / "a1.csv", PLAIN.replace("CK", "decoy"))
    write(tmp_path / "b2.csv", PLAIN.replace("CK", "decoy"))
    assert "CK" in only(open_cells(tmp_path / name)).cell_type


def test_patterns_folders_and_lists_mean_files(tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path / "a.csv", PLAIN)
    write(tmp_path / "deep" / "b.csv.gz", PLAIN.replace("a1", "a2"))
    write(tmp_path / "notes.md", "no table")
    write(tmp_path / ".hidden.csv", "no table")
    for path in (
        tmp_path,
        str(tmp_path / "**" / "[ab].csv*"),
        [tmp_path / "a.csv", tmp_path / "deep"],
        [tmp_path / "a.csv", tmp_path, tmp_path / "a.csv"],
    ):
        source = open_cells(path)
        assert list_images(source)["image_id"].tolist() == ["a1", "a2"]
        assert len(source.files) == 2


def test_files_of_other_headers_are_joined_by_name(tmp_path):
    write(tmp_path / "a.csv", PLAIN)
    write(
        tmp_path / "b.csv",
        "y,x,image_id,CD8_positive,patient_id,cell_type\n2,1,b1,1,b,CK\n",
    )
    pd.DataFrame(
        {"patient_id": ["c"], "image_id": [7], "x": [1], "y": [2.5], "cell_type": ["B"]}
    ).to_parquet(tmp_path / "c.parquet")
    source = open_cells(tmp_path, markers=[])
    assert list_images(source)["image_id"].tolist() == ["a1", "b1", "7"]
    assert [cells.points[0].tolist() for cells in iterate_images(source)] == [
        [1.5, 2.0],
        [1.0, 2.0],
        [1.0, 2.5],
    ]
    with pytest.raises(
        InputError, match=r"'CD8_positive' .* is missing for 3 cells of image a1, 7"
    ):
        check_cells(open_cells(tmp_path))


def test_identifiers_are_texts_whatever_their_kind(tmp_path):
    frame = pd.DataFrame(
        {"patient_id": [7.0], "image_id": [12], "x": [1], "y": [2], "cell_type": [3]}
    )
    frame.to_csv(tmp_path / "c.csv", index=False)
    frame.to_parquet(tmp_path / "c.parquet")
    for path in (tmp_path / "c.csv", tmp_path / "c.parquet"):
        cells = only(open_cells(path))
        assert (cells.patient_id, cells.image_id, cells.cell_type.tolist()) == ("7", "12", ["3"])
    write(tmp_path / "d.csv", PLAIN.replace("a,a1", "007,\u00a0a  1\t").replace("\na1", "\n"))
    cells = only(open_cells(tmp_path / "d.csv"))
    assert (cells.patient_id, cells.image_id) == ("007", "a 1")
    assert cells_from_frame(frame.assign(patient_id=[2.5])).layout is not None
    assert only(cells_from_frame(frame.assign(patient_id=[2.5]))).patient_id == "2.5"


def test_a_flag_may_serve_as_a_number():
    frame = pd.DataFrame(
        {"patient_id": "a", "image_id": "a1", "x": [1, 2], "y": 1, "seen": [True, False]}
    )
    cells = only(cells_from_frame(frame, markers=["seen"]))
    assert cells.intensity["seen"].tolist() == [1.0, 0.0]


def test_columns_of_mixed_kinds_are_read_as_text():
    frame = pd.DataFrame(
        {"patient_id": ["a", 7], "image_id": ["a1", "b1"], "x": [1, "2.5"], "y": [1, 2],
         "cell_type": pd.Categorical(["CK", "B"]), "seen": pd.Timestamp("2020-01-01"),
         "empty": None}
    )  # fmt: skip
    cells = list(iterate_images(cells_from_frame(frame)))
    assert [(c.patient_id, c.points[0, 0]) for c in cells] == [("7", 2.5), ("a", 1.0)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "0"], [True, False]),
        (["1.0", "0.0"], [True, False]),
        (["TRUE", "false"], [True, False]),
        (["yes", "No"], [True, False]),
        (["Positive", "negative"], [True, False]),
        (["CK+", "CK-"], [True, False]),
        ([" + ", "-"], [True, False]),
        ([1, 0], [True, False]),
        ([1.0, 0.0], [True, False]),
        ([True, False], [True, False]),
    ],
)
def test_flags_are_read_in_every_spelling(values, expected):
    frame = pd.DataFrame(
        {"patient_id": "a", "image_id": "a1", "x": [1, 2], "y": 1, "CK_positive": values}
    )
    assert only(cells_from_frame(frame)).positive["CK"].tolist() == expected


@pytest.mark.parametrize("values", [["2", "0"], [2, 0], [0.5, 0.0], ["CK", "0"], [-1, 0]])
def test_what_is_no_flag_is_a_fault(values):
    frame = pd.DataFrame(
        {"patient_id": "a", "image_id": "a1", "x": [1, 2], "y": 1, "CK_positive": values}
    )
    with pytest.raises(InputError, match=r"'CK_positive' .* is no flag for 1 cell of image a1"):
        check_cells(cells_from_frame(frame))


@pytest.mark.parametrize("value", ["1,5", "1_000", "0x10", "one", "1.5.2", "1 2"])
def test_what_is_no_number_is_a_fault(tmp_path, value):
    path = write(tmp_path / "c.tsv", PLAIN.replace(",", "\t").replace("1.5", value))
    with pytest.raises(InputError, match="column 'x' is not numeric for 1 cell of image a1") as e:
        check_cells(open_cells(path))
    assert ("decimal commas" in str(e.value)) == (value == "1,5")


@pytest.mark.parametrize("value", ["", "NA", "#N/A", "nan", "NULL", "  "])
def test_words_for_nothing_are_missing(tmp_path, value):
    path = write(tmp_path / "c.csv", PLAIN.replace("1.5", value))
    with pytest.raises(InputError, match="column 'x' is missing for 1 cell of image a1"):
        check_cells(open_cells(path))


def test_the_words_for_nothing_are_those_of_the_other_tables():
    assert list(MISSING) == _MISSING


def test_columns_are_mapped_and_types_renamed():
    frame = pd.DataFrame(
        {"core": ["a", "a", "b"], "px": [2, 4, 6], "py": [2, 2, 2], "class": ["Tumor", None, "B"],
         "zone": ["in", "", "out"], "ck": ["CK+", "CK-", "CK-"], "spon2": [0.5, 1.5, 2.5]}
    )  # fmt: skip
    source = cells_from_frame(
        frame,
        columns={
            "patient_id": "core", "image_id": "core", "x": "px", "y": "py", "cell_type": "class",
            "region": "zone", "CK_positive": "ck", "SPON2": "spon2",
        },
        pixel_size=0.5,
        cell_types={"Tumor": "tumour", "": "none"},
        regions={"in": "centre", "": "unassigned"},
    )  # fmt: skip
    check_cells(source)
    one, two = iterate_images(source)
    assert one.points.tolist() == [[1.0, 1.0], [2.0, 1.0]]
    assert one.cell_type.tolist() == ["tumour", "none"]
    assert one.region.tolist() == ["centre", "unassigned"]
    assert two.region.tolist() == ["out"]
    assert one.positive["CK"].tolist() == [True, False]
    assert one.intensity["SPON2"].tolist() == [0.5, 1.5]


def test_phenotypes_come_from_flags_and_overlaps_are_counted():
    frame = pd.DataFrame(
        {"patient_id": "a", "image_id": "a1", "x": range(4), "y": 0.0,
         "CD3_positive": [1, 1, 0, 0], "FOXP3_positive": [1, 0, 0, 1]}
    )  # fmt: skip
    phenotypes = {"Treg": ["CD3+", "FOXP3+"], "T": ["CD3+"], "lone": ["CD3-", "FOXP3+"]}
    with pytest.raises(InputError) as caught:
        check_cells(cells_from_frame(frame, phenotypes=phenotypes))
    assert caught.value.faults == (
        "columns 'CD3_positive', 'FOXP3_positive' (for cell_type) are missing for 1 cell of image "
        "a1: add a last phenotype that fits every cell, as in {'other': []}",
    )
    source = cells_from_frame(frame, phenotypes=phenotypes | {"other": []})
    assert only(source).cell_type.tolist() == ["Treg", "T", "other", "lone"]
    counts = check_cells(source).counts
    assert counts["what"].iloc[1] == "cells that fit several phenotypes, the first taken"
    assert counts["n_cells"].iloc[1] == 1


def test_faults_of_the_arguments_are_listed_together(tmp_path):
    path = write(tmp_path / "c.csv", PLAIN.replace("cell_type", "CD8_positive"))
    message = refused(
        path,
        columns={"patientid": "a", "region": "zone", "CD4_positive": "CD8_positiv"},
        cell_types={"a": "b"},
        phenotypes={"T": ["CD3+", "CD8"], "B": ["CD9+"]},
        markers=["CD88"],
        pixel_size=-1,
    )
    for part in (
        "columns has the unknown key 'patientid' (nearest: 'patient_id'): correct it",
        "column 'zone' (for region) is missing: name the right one in columns",
        "column 'CD8_positiv' (for CD4_positive) is missing (nearest: 'CD8_positive')",
        "markers names 'CD88' that the cells do not hold (nearest: 'CD8'): correct it",
        "phenotype 'T' needs 'CD3+', but there is no flag 'CD3'",
        "phenotype 'T' needs 'CD8': end each flag in + or -",
        "pixel_size is -1: give a number above 0, micrometres per pixel",
    ):
        assert part in message
    assert "format is 'qpath' (nearest: 'qupath'): choose one of" in refused(path, format="qpath")
    assert "duplicates is 'no': choose 'error', 'drop' or 'keep'" in refused(path, duplicates="no")
    assert "memory_mb is 5: give a whole number of at least 50" in refused(path, memory_mb=5)
    with pytest.raises(InputError, match="frame is a list: give a DataFrame with one row per"):
        cells_from_frame([])
    both = {"columns": {"cell_type": "image_id"}, "phenotypes": {"other": []}}
    assert "cell types are named by columns and by phenotypes" in refused(path, **both)
    assert "regions renames, but the cells have no region" in refused(path, regions={"a": "b"})


def test_columns_that_must_be_there(tmp_path):
    path = write(tmp_path / "c.csv", "patient_id,image,X,y\na,a1,1,2\n")
    message = refused(path)
    assert "column 'image_id' is missing (nearest: 'image'): name the right one" in message
    assert "column 'x' is missing (nearest: 'X'): name the right one in columns" in message
    assert "the file has patient_id, image, X, y" in message
    assert "the cells have neither a type nor a marker: map cell_type, or a flag" in message


def test_names_to_rename_must_be_in_the_file(tmp_path):
    path = write(tmp_path / "c.csv", PLAIN)
    source = open_cells(path, cell_types={"CD8": "T", "Ck": "tumour", "": "none"})
    with pytest.raises(InputError) as caught:
        check_cells(source)
    assert caught.value.faults == (
        "cell_types names 'CD8', which column 'cell_type' does not hold: correct or remove it",
        "cell_types names 'Ck', which column 'cell_type' does not hold (nearest: 'CK'): "
        "correct or remove it",
    )


def test_only_the_markers_asked_for_are_read():
    frame = pd.DataFrame(
        {"patient_id": ["a"], "image_id": ["a1"], "x": [1], "y": [1], "CD8_positive": [1],
         "CD8": [2.0], "CD4_positive": [0], "SPON2": [3.0], "age": [50]}
    )  # fmt: skip
    everything = only(cells_from_frame(frame))
    assert list(everything.positive) == ["CD8", "CD4"]
    assert list(everything.intensity) == ["CD8"]
    some = only(cells_from_frame(frame, markers=["SPON2", "CD4"]))
    assert list(some.positive) == ["CD4"]
    assert list(some.intensity) == ["SPON2"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.csv", b"", "file 'c.csv': the file is empty: give a header line"),
        ("c.csv", b"x\n1\n", "the header holds one column: save the table with commas or tabs"),
        ("c.csv", b"x,\xff\n1,2\n", r"the file is not UTF-8 \(line 1\)"),
        ("c.csv", b"x,\0\n1,2\n", "the file is binary, not text"),
        ("c.csv", b"x,x\n1,2\n", "column x occurs twice: rename or remove one"),
        ("c.csv.gz", b"x,y\n", "damaged or truncated"),
        ("c.parquet", b"PAR1", "no readable Parquet file"),
        ("c.xlsx", b"PK", "of no known format: save it as csv, tsv, txt"),
    ],
)
def test_headers_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_cells(tmp_path / name)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"a,a1,1\n", r"file 'c.csv': a row has 3 fields where the header has 5 \(line 3\)"),
        (b"a,a1,1,2,CK,6\n", r"a row has 6 fields where the header has 5 \(line 3\)"),
        (b"a,a1,1,2,\xff\n", r"file 'c.csv': the file is not UTF-8 \(line 3\)"),
        (b'a,a1,1,2,"CK\n', "an open quotation mark"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path, row, message):
    path = tmp_path / "c.csv"
    path.write_bytes(PLAIN.encode()[: PLAIN.index("\na,") + 1] + b"a,a1,1,2,CK\n" + row)
    source = open_cells(path)
    for read in (check_cells, lambda s: list(iterate_images(s))):
        with pytest.raises(InputError, match=message) as caught:
            read(source)
        assert "\n" not in str(caught.value)


def test_damaged_bodies_and_vanished_files(tmp_path):
    path = tmp_path / "c.csv.gz"
    rows = "".join(f"a,a1,{i}.125,{i * 7 % 1000},CK\n" for i in range(20_000))
    content = gzip.compress((PLAIN + rows).encode())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        list_images(open_cells(path))
    frame = pd.DataFrame({"patient_id": ["a"] * 5000, "image_id": "i", "x": range(5000), "y": 1})
    frame["cell_type"] = "CK"
    frame.to_parquet(tmp_path / "c.parquet")
    content = bytearray((tmp_path / "c.parquet").read_bytes())
    source = open_cells(tmp_path / "c.parquet")
    content[100:4000] = bytes(3900)
    (tmp_path / "c.parquet").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        list(iterate_images(source))
    (tmp_path / "c.parquet").unlink()
    with pytest.raises(InputError, match=r"'c.parquet': a file of cells is gone or cannot be op"):
        list_images(source)


def test_paths_that_lead_nowhere(tmp_path):
    write(tmp_path / "cells.csv", PLAIN)
    assert "file 'cell.csv' is missing (nearest: 'cells.csv')" in refused(tmp_path / "cell.csv")
    assert "holds no table: name files that end in .csv" in refused(tmp_path / "*.parquet")
    (tmp_path / "empty").mkdir()
    assert "holds no table" in refused(tmp_path / "empty")
    assert "path is an empty list: name a file of cells" in refused([])
    assert "is missing: correct the path" in refused(tmp_path / "no" / "c.csv")
    assert find_files(tmp_path / "cells.csv", endings=[".csv"]) == [tmp_path / "cells.csv"]


def test_the_engine_explains_itself():
    assert explain("IO Error: Input is not a GZIP stream: a b/t.csv.gz").startswith(
        "file 't.csv.gz': the file cannot be read (IO Error"
    )
    assert explain("Some Error: strange\nmore") == (
        "the file cannot be read (Some Error: strange): check or export it again"
    )
    with (
        pytest.raises(InputError, match="ran out of its memory: give it more with memory_mb"),
        open_engine(memory_mb=50) as engine,
    ):
        engine.sql("SELECT list(i) FROM range(100000000) t(i)").fetchall()
    frame = pd.DataFrame({"a": [1]})  # a name in Python is no table
    with pytest.raises(InputError, match="frame"), open_engine(memory_mb=50) as engine:
        engine.sql("SELECT * FROM frame").fetchall()
    assert len(frame) == 1


# QuPath ---------------------------------------------------------------------------------------

QUPATH = (
    "Image\tObject ID\tObject type\tName\tClassification\tParent\tROI\tCentroid X µm\t"
    "Centroid Y µm\tNucleus: CD8 mean\tNucleus: CD8 max\tCD4: Cell: Mean\tDAPI: Mean\n"
    "s1.tif\tid-1\tCell\t\tTumor: CD8: PD1\tAnnotation\tPolygon\t10.5\t20\t3.5\t9\t1\t7\n"
    "s1.tif\tid-2\tDetection\t\tTumor\tAnnotation\tPolygon\t11.5\t21\t0.5\t1\t2\t8\n"
    "s1.tif\tid-3\tAnnotation\troi\t\tImage\tPolygon\t500\t500\t\t\t\t\n"
    "s1.tif\tid-4\tCell\t\tImmune: Negative\tAnnotation\tPolygon\t30\t2\t0.25\t1\t\t9\n"
)
SLIDES = pd.DataFrame({"image_id": ["s1.tif"], "patient_id": ["p1"]})


@pytest.mark.parametrize("dress", ["tab", "comma", "mu", "um", "old", "gz"])
def test_qupath_exports(tmp_path, dress):
    text = QUPATH
    name = "measurements.tsv.gz" if dress == "gz" else "measurements.tsv"
    if dress == "comma":
        text, name = text.replace("\t", ","), "measurements.csv"
    if dress in ("mu", "um"):
        text = text.replace("µm", "\u03bcm" if dress == "mu" else "um")
    if dress == "old":
        text = text.replace("Classification", "Class").replace("\tCell\t", "\tPathCellObject\t")
    path = write(tmp_path / name, text)
    source = open_cells(path, format="qupath", images=SLIDES)
    cells = only(source)
    assert cells.patient_id == "p1"
    assert cells.points.tolist() == [[10.5, 20.0], [11.5, 21.0], [30.0, 2.0]]
    assert cells.cell_type.tolist() == ["Tumor: CD8: PD1", "Tumor", "Immune: Negative"]
    assert list(cells.positive) == ["CD8", "Immune", "PD1", "Tumor"]
    assert cells.positive["CD8"].tolist() == [True, False, False]
    assert cells.positive["Tumor"].tolist() == [True, True, False]
    assert list(cells.intensity) == ["CD8 nucleus", "CD4 cell", "DAPI"]
    assert cells.intensity["CD8 nucleus"].tolist() == [3.5, 0.5, 0.25]
    counts = check_cells(source).counts
    assert counts["what"].iloc[1] == "cells without a staining of CD4 cell, kept"
    assert counts["what"].iloc[2] == "objects that are no cells, left out"
    assert counts["n_cells"].tolist() == [3, 1, 1]


def test_qupath_pixels_need_their_size(tmp_path):
    path = write(tmp_path / "m.tsv", QUPATH.replace("µm", "px"))
    assert "positions are in pixels: give pixel_size" in refused(
        path, format="qupath", images=SLIDES
    )
    cells = only(open_cells(path, format="qupath", images=SLIDES, pixel_size=0.25))
    assert cells.points[0].tolist() == [2.625, 5.0]
    path = write(tmp_path / "n.tsv", QUPATH)
    assert "positions are in micrometres already: leave pixel_size out" in refused(
        path, format="qupath", images=SLIDES, pixel_size=0.25
    )


def test_qupath_exports_of_images_with_and_without_pixel_size_are_one_table(tmp_path):
    write(tmp_path / "a.tsv", QUPATH)
    write(tmp_path / "b.tsv", QUPATH.replace("µm", "px").replace("s1.tif", "s2.tif"))
    images = pd.DataFrame({"image_id": ["s1.tif", "s2.tif"], "patient_id": ["p1", "p2"]})
    with pytest.raises(InputError, match=r"is missing for 3 cells of image s2\.tif"):
        check_cells(open_cells(tmp_path, format="qupath", images=images))
    source = open_cells(tmp_path, format="qupath", images=images, pixel_size=0.5)
    one, two = iterate_images(source)
    np.testing.assert_array_equal(one.points, 2 * two.points)


def test_qupath_unclassified_cells_can_be_named_and_other_columns_mapped(tmp_path):
    path = write(tmp_path / "m.tsv", QUPATH.replace("Immune: Negative", ""))
    with pytest.raises(InputError, match=r"'Classification' .* missing for 1 cell .* cell_types"):
        check_cells(open_cells(path, format="qupath", images=SLIDES))
    source = open_cells(
        path,
        format="qupath",
        columns={"patient_id": "Image", "region": "Parent", "CD8": "Nucleus: CD8 max"},
        cell_types={"": "unclassified", "Tumor: CD8: PD1": "Tumor"},
        markers=["CD8"],
    )
    cells = only(source)
    assert cells.cell_type.tolist() == ["Tumor", "Tumor", "unclassified"]
    assert cells.region.tolist() == ["Annotation"] * 3
    assert list(cells.positive) == ["CD8"]
    assert cells.intensity["CD8"].tolist() == [9.0, 1.0, 1.0]
    assert list(cells.intensity) == ["CD8 nucleus", "CD8"]


# HALO -----------------------------------------------------------------------------------------

HALO_NAMES = {
    "Analysis.Region": "Analysis Region",
    "Object.Id": "Object Id",
    "CD3..FOXP3.": "CD3+ FOXP3+",
    "CD3..CD8.": "CD3+ CD8+",
    "CD3..CD8..FOXP3.": "CD3+ CD8+ FOXP3+",
    "CD3..PD1.": "CD3+ PD1+",
    "CD3..PD.L1.": "CD3+ PD.L1+",
    "CD8..PD1.": "CD8+ PD1+",
    "CD3..CD8..PD.L1.": "CD3+ CD8+ PD.L1+",
    "Cell.Area..m..": "Cell Area (µm²)",
    "Cytoplasm.Area..m..": "Cytoplasm Area (µm²)",
    "Nucleus.Area..m..": "Nucleus Area (µm²)",
    "Nucleus.Perimeter..m.": "Nucleus Perimeter (µm)",
    "Nucleus.Roundness": "Nucleus Roundness",
    "Classifier.Label": "Classifier Label",
}
CORES = {"patient_id": "deidentified_sample", "image_id": "deidentified_sample"}


def as_halo_wrote_it(raw):
    names = dict(HALO_NAMES)
    for name in raw.columns:
        if "Opal" in name or "DAPI" in name:
            stain, dye, rest = name.split("..")
            names[name] = f"{stain} ({dye.replace('.', ' ')}) {rest.replace('.', ' ')}"
    return raw.rename(columns=names)


def test_a_real_halo_export_as_r_spells_it():
    raw = pd.read_csv(HALO)
    source = open_cells(HALO, format="halo", columns=CORES, pixel_size=0.5)
    report = check_cells(source)
    assert (report.n_images, report.n_cells) == (2, len(raw))
    assert source.flags == (
        "CD3+ FOXP3+", "CD3+ CD8+", "CD3+ CD8+ FOXP3+", "CD3+ PD1+", "CD3+ PD.L1+", "CD8+ PD1+",
        "CD3+ CD8+ PD.L1+", "Nuclei", "FOXP3", "CD3", "CD8", "PD1", "PDL1",
    )  # fmt: skip
    assert source.stainings[:4] == (
        "Nuclei nucleus", "Nuclei cytoplasm", "FOXP3 nucleus", "FOXP3 cytoplasm",
    )  # fmt: skip
    for cells in iterate_images(source):
        core = raw[raw["deidentified_sample"] == cells.image_id]
        x = (core["XMin"] + core["XMax"]) / 4
        y = (core["YMin"] + core["YMax"]) / 4
        order = np.lexsort([y, x])
        np.testing.assert_array_equal(cells.points, np.column_stack([x, y])[order])
        np.testing.assert_array_equal(cells.region, core["Classifier.Label"].to_numpy()[order])
        for name, column in (("CD8", "CD8..Opal.520..Positive"), ("CD3+ CD8+", "CD3..CD8.")):
            np.testing.assert_array_equal(cells.positive[name], core[column].to_numpy()[order])
        np.testing.assert_array_equal(
            cells.intensity["CD8 nucleus"],
            core["CD8..Opal.520..Nucleus.Intensity"].to_numpy()[order],
        )
        assert cells.cell_type is None
    positive = count_positive(source).groupby("marker")["n_positive"].sum()
    assert positive["CD8"] == raw["CD8..Opal.520..Positive"].sum()


def test_halo_as_halo_spells_it_gives_the_same(tmp_path):
    raw = as_halo_wrote_it(pd.read_csv(HALO))
    raw["Image Location"] = "\\\\server\\scans\\" + raw.pop("deidentified_sample")
    raw.to_csv(tmp_path / "objects.csv", index=False)
    images = raw["Image Location"].str.rpartition("\\")[2]
    patients = pd.DataFrame({"image_id": images.unique(), "patient_id": images.unique()})
    spelled = open_cells(tmp_path / "objects.csv", format="halo", images=patients, pixel_size=0.5)
    in_r = open_cells(HALO, format="halo", columns=CORES, pixel_size=0.5)
    assert (spelled.flags, spelled.stainings) == (in_r.flags, in_r.stainings)
    for one, other in zip(iterate_images(spelled), iterate_images(in_r), strict=True):
        assert one.image_id == other.image_id
        np.testing.assert_array_equal(one.points, other.points)
        pd.testing.assert_frame_equal(one.positive, other.positive)
        pd.testing.assert_frame_equal(one.intensity, other.intensity)


def test_halo_needs_pixels_and_an_image_and_takes_phenotypes(tmp_path):
    message = refused(HALO, format="halo")
    assert "positions are in pixels: give pixel_size, micrometres per pixel" in message
    assert "column 'image_id' is missing" in message
    source = open_cells(
        HALO,
        format="halo",
        columns=CORES,
        pixel_size=0.5,
        phenotypes={"cytotoxic": ["CD3+", "CD8+"], "other": []},
        markers=["CD3", "CD8"],
    )
    types = count_cells(source).groupby("cell_type")["n_cells"].sum()
    assert types.to_dict() == {"cytotoxic": 9, "other": 56}
    newer = as_halo_wrote_it(pd.read_csv(HALO)).rename(columns=lambda name: name.replace(
        "Positive", "Positive Classification").replace("CD8 (Opal 520)", "CD8"))  # fmt: skip
    newer.drop(columns="Classifier Label").to_csv(tmp_path / "new.csv", index=False)
    source = open_cells(tmp_path / "new.csv", format="halo", columns=CORES, pixel_size=0.5)
    assert "CD8" in source.flags
    cells = next(iterate_images(source))
    assert set(cells.region) == {"Layer 1"}


def test_halo_stains_without_a_dye_and_one_marker_under_two_dyes(tmp_path):
    names = "image_id,XMin,XMax,YMin,YMax,CD8.Positive,CD8.Nucleus.Intensity,CD8.Nucleus.OD\n"
    path = write(tmp_path / "r.csv", names + "i,0,2,0,4,1,3.5,9\n")
    columns = {"patient_id": "image_id", "image_id": "image_id"}
    cells = only(open_cells(path, format="halo", columns=columns, pixel_size=1))
    assert cells.points.tolist() == [[1.0, 2.0]]
    assert cells.positive["CD8"].tolist() == [True]
    assert cells.intensity["CD8 nucleus"].tolist() == [3.5]
    names = "image_id,XMin,XMax,YMin,YMax,PD1 (Opal 520) Positive,PD1 (Opal 650) Positive\n"
    path = write(tmp_path / "two.csv", names + "i,0,2,0,4,1,0\n")
    cells = only(open_cells(path, format="halo", columns=columns, pixel_size=1))
    assert list(cells.positive) == ["PD1 (Opal 520)", "PD1 (Opal 650)"]


# inForm ---------------------------------------------------------------------------------------

INFORM = (
    "Path\tSample Name\tTissue Category\tPhenotype\tCell ID\tCell X Position\tCell Y Position\t"
    "Slide ID\tNucleus Area (pixels)\tNucleus CD8 (Opal 520) Mean (Normalized Counts, Total "
    "Weighting)\tEntire Cell CD8 (Opal 520) Mean (Normalized Counts, Total Weighting)\t"
    "Nucleus DAPI Mean (Normalized Counts, Total Weighting)\tNucleus DAPI Max (Normalized "
    "Counts, Total Weighting)\n"
    "x\tS_[1,2].im3\tTumor\tCD8+\t1\t515\t20\tslide 1\t120\t3.5\t2.5\t7\t9\n"
    "x\tS_[1,2].im3\tStroma\tother\t2\t30\t40\tslide 1\t130\t0.5\t0.25\t8\t#N/A\n"
)


def test_inform_exports(tmp_path):
    path = write(tmp_path / "S_[1,2]_cell_seg_data.txt", INFORM)
    source = open_cells(path, format="inform", columns={"patient_id": "Slide ID"}, pixel_size=0.5)
    cells = only(source)
    assert (cells.patient_id, cells.image_id) == ("slide 1", "S_[1,2].im3")
    assert cells.points.tolist() == [[15.0, 20.0], [257.5, 10.0]]
    assert cells.cell_type.tolist() == ["other", "CD8+"]
    assert cells.region.tolist() == ["Stroma", "Tumor"]
    assert list(cells.intensity) == ["CD8 nucleus", "CD8 cell", "DAPI nucleus"]
    assert cells.intensity["CD8 cell"].tolist() == [0.25, 2.5]
    check_cells(source)


def test_inform_units_are_read_from_the_header(tmp_path):
    settings = {"format": "inform", "columns": {"patient_id": "Slide ID"}}
    path = write(tmp_path / "p.txt", INFORM)
    assert "positions are in pixels: give pixel_size" in refused(path, **settings)
    path = write(tmp_path / "m.txt", INFORM.replace("(pixels)", "(square microns)"))
    assert only(open_cells(path, **settings)).points[1, 0] == 515.0
    assert "in micrometres already" in refused(path, pixel_size=0.5, **settings)
    path = write(tmp_path / "u.txt", INFORM.replace(" (pixels)", ""))
    assert "does not say the unit of its positions: give pixel_size" in refused(path, **settings)
    assert only(open_cells(path, pixel_size=1, **settings)).points[1, 0] == 515.0


def test_inform_decimal_commas_are_refused_with_the_remedy(tmp_path):
    path = write(tmp_path / "c.txt", INFORM.replace("3.5", "3,5"))
    settings = {"format": "inform", "columns": {"patient_id": "Slide ID"}, "pixel_size": 0.5}
    message = r"CD8 \(Opal 520\) Mean .* is not numeric .* it has decimal commas, export the table"
    with pytest.raises(InputError, match=message):
        check_cells(open_cells(path, **settings))


def test_inform_phenotypes_in_several_columns_become_flags(tmp_path):
    text = INFORM.replace("\tPhenotype\t", "\tPhenotype CK\tPhenotype-T cells\t")
    text = text.replace("\tCD8+\t", "\tCK-\tCD8+\t").replace("\tother\t", "\tCK+\t\t")
    path = write(tmp_path / "merged.txt", text)
    settings = {"format": "inform", "columns": {"patient_id": "Slide ID"}, "pixel_size": 0.5}
    source = open_cells(path, **settings)
    cells = only(source)
    assert list(cells.positive) == ["CD8", "CK"]
    assert cells.positive["CK"].tolist() == [True, False]
    assert cells.positive["CD8"].tolist() == [False, True]
    assert cells.cell_type is None
    counts = check_cells(source).counts
    assert counts["what"].iloc[1] == (
        "cells with an empty phenotype in a column of several, taken as negative"
    )
    assert counts["n_cells"].iloc[1] == 1


# AnnData --------------------------------------------------------------------------------------


def test_anndata_is_asked_for_where_it_is_absent(tmp_path, monkeypatch):
    path = write(tmp_path / "c.h5ad", "x")

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("times_stats.tables.readers.anndata.importlib.import_module", absent)
    with pytest.raises(InputError, match=r"needs the package anndata: .*times_stats\[anndata\]"):
        open_cells(path, format="anndata")
    assert "of no known format: save it as h5ad" in refused(tmp_path / "c.csv", format="anndata")


def spatial(anndata, tmp_path, *, sparse=False, **changes):
    from scipy.sparse import csr_matrix

    values = np.array([[1.0, 0.0], [2.0, 5.0], [0.0, 7.0]], dtype=np.float32)
    parts = {
        "X": csr_matrix(values) if sparse else values,
        "obs": pd.DataFrame(
            {
                "donor": pd.Categorical(["a", "a", "b"]),
                "library": ["a1", "a1", "b1"],
                "cell_type": pd.Categorical(["CK", "B", "CK"]),
                "CD8_positive": [True, False, True],
            },
            index=["c1", "c2", "c3"],
        ),
        "var": pd.DataFrame(index=["CD8", "SPON2"]),
        "obsm": {"spatial": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of anndata, which is not ours
        anndata.AnnData(**(parts | changes)).write_h5ad(tmp_path / "c.h5ad")
    return tmp_path / "c.h5ad"


DONORS = {"patient_id": "donor", "image_id": "library"}


@pytest.mark.parametrize("sparse", [False, True])
def test_anndata_files(tmp_path, sparse):
    anndata = pytest.importorskip("anndata")
    path = spatial(anndata, tmp_path, sparse=sparse)
    source = open_cells(path, format="anndata", columns=DONORS, pixel_size=0.5)
    one, two = iterate_images(source)
    assert (one.patient_id, two.image_id) == ("a", "b1")
    assert one.points.tolist() == [[0.5, 1.0], [1.5, 2.0]]
    assert one.cell_type.tolist() == ["CK", "B"]
    assert one.positive["CD8"].tolist() == [True, False]
    assert one.intensity["CD8"].tolist() == [1.0, 2.0]
    assert one.intensity["SPON2"].tolist() == [0.0, 5.0]
    some = open_cells(path, format="anndata", columns=DONORS, markers=["SPON2"])
    assert list(next(iterate_images(some)).intensity) == ["SPON2"]
    written = write_cells(source, tmp_path / "c.parquet")
    assert list_images(written).equals(list_images(source))


def test_anndata_files_without_values_hold_cells_all_the_same(tmp_path):
    anndata = pytest.importorskip("anndata")
    path = spatial(anndata, tmp_path, X=None)
    assert list_images(open_cells(path, format="anndata", columns=DONORS))["n_cells"].sum() == 3


def test_faults_of_anndata_files(tmp_path):
    anndata = pytest.importorskip("anndata")

    def message(**changes):
        return refused(spatial(anndata, tmp_path, **changes), format="anndata", columns=DONORS)

    assert "has no positions: put them into obsm" in message(obsm={})
    flat = {"spatial": np.ones((3, 1))}
    assert 'obsm["spatial"] has shape (3, 1): give x and y per cell' in message(obsm=flat)
    shared = pd.DataFrame(index=["donor", "SPON2"])
    assert "donor is in obs and in var: rename one of them" in message(var=shared)
    wide = {"X": np.ones((3, 201)), "var": pd.DataFrame(index=[f"g{i}" for i in range(201)])}
    assert "holds 201 variables: name those wanted in markers" in message(**wide)
    path = write(tmp_path / "bad.h5ad", "no hdf5")
    assert "no readable AnnData file: write it again" in refused(path, format="anndata")
