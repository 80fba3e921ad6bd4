from __future__ import annotations

import gzip
import warnings

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from times_stats.datasets.lung import lung_vectra_folder
from times_stats.errors import DataWarning, InputError
from times_stats.regions.window import Window
from times_stats.tables import cell_scale
from times_stats.tables.cell_counts import count_cells, count_positive
from times_stats.tables.cell_faults import check_cells, find_outside
from times_stats.tables.cell_opening import cells_from_frame, open_cells
from times_stats.tables.cell_writing import write_cells
from times_stats.tables.cells import iterate_images, list_images, read_image


def draw(seed=0, *, patients=3, images=2, n=40):
    """Cells of several images, in the order of the images."""
    rng = np.random.default_rng(seed)
    parts = []
    for p in range(patients):
        for i in range(images):
            cells = pd.DataFrame(
                {
                    "patient_id": f"P{p}",
                    "image_id": f"P{p} image {i}",
                    "x": rng.uniform(0, 500, n).round(3),
                    "y": rng.uniform(0, 400, n).round(3),
                    "cell_type": rng.choice(["CK", "CD8", "other"], n),
                    "region": rng.choice(["centre", "front"], n),
                    "CD8_positive": rng.random(n) < 0.3,
                    "CD8": rng.gamma(2, size=n).round(4),
                }
            )
            parts.append(cells)
    return pd.concat(parts, ignore_index=True)


def assert_same_cells(one, other):
    assert (one.patient_id, one.image_id) == (other.patient_id, other.image_id)
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.cell_type, other.cell_type)
    np.testing.assert_array_equal(one.region, other.region)
    pd.testing.assert_frame_equal(one.positive, other.positive)
    pd.testing.assert_frame_equal(one.intensity, other.intensity)


def save(frame, path):
    name = path.name
    if name.endswith("parquet"):
        frame.to_parquet(path)
        return path
    separator = "\t" if ".tsv" in name or ".txt" in name else ","
    content = frame.to_csv(index=False, sep=separator).encode()
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    return path


@pytest.mark.parametrize(
    "name", ["c.csv", "c.csv.gz", "c.tsv", "c.tsv.gz", "c.txt", "c.parquet", "memory"]
)
def test_every_kind_of_file_and_order_of_rows_gives_the_same_cells(tmp_path, name):
    frame = draw()
    expected = list(iterate_images(cells_from_frame(frame)))
    shuffled = frame.sample(frac=1, random_state=1)
    source = (
        cells_from_frame(shuffled)
        if name == "memory"
        else open_cells(save(shuffled, tmp_path / name))
    )
    found = list(iterate_images(source))
    assert len(found) == 6
    for one, other in zip(expected, found, strict=True):
        assert_same_cells(one, other)
    first = frame[frame["image_id"] == "P0 image 0"].sort_values("x")
    np.testing.assert_array_equal(expected[0].points, first[["x", "y"]])
    np.testing.assert_array_equal(expected[0].cell_type, first["cell_type"])
    np.testing.assert_array_equal(expected[0].positive["CD8"], first["CD8_positive"])
    np.testing.assert_array_equal(expected[0].intensity["CD8"], first["CD8"])
    assert expected[0].points.dtype == np.float64


def test_ties_in_position_do_not_follow_the_order_of_rows():
    frame = pd.DataFrame(
        {
            "patient_id": "a",
            "image_id": "a1",
            "x": [1.0, 1.0, 1.0, 1.0],
            "y": [2.0, 2.0, 2.0, 2.0],
            "cell_type": ["T", "B", "B", "B"],
            "CD8_positive": [0, 1, 0, 0],
            "CD8": [1.0, 2.0, np.nan, 3.0],
        }
    )
    one = read_image(cells_from_frame(frame, duplicates="keep"), patient_id="a", image_id="a1")
    other = read_image(
        cells_from_frame(frame[::-1], duplicates="keep"), patient_id="a", image_id="a1"
    )
    assert one.cell_type.tolist() == ["B", "B", "B", "T"]
    assert one.intensity["CD8"].tolist()[:1] == [3.0]
    assert one.positive["CD8"].tolist() == [False, False, True, False]
    pd.testing.assert_frame_equal(one.intensity, other.intensity)
    pd.testing.assert_frame_equal(one.positive, other.positive)


def test_images_stream_across_batches_of_rows(monkeypatch):
    monkeypatch.setattr("times_stats.tables.cells._ROWS_AT_ONCE", 2048)
    frame = draw(patients=2, images=2, n=3000).sample(frac=1, random_state=2)
    sizes = [(cells.image_id, len(cells)) for cells in iterate_images(cells_from_frame(frame))]
    assert sizes == [(f"P{p} image {i}", 3000) for p in range(2) for i in range(2)]


def test_counts_are_those_of_pandas_with_zeros_for_types_an_image_lacks():
    frame = draw()
    lonely = frame["image_id"] == "P1 image 0"
    frame.loc[lonely, "cell_type"] = "CK"
    source = cells_from_frame(frame)
    listed = list_images(source)
    assert listed["n_cells"].tolist() == [40] * 6
    counts = count_cells(source)
    expected = frame.groupby(["patient_id", "image_id", "region", "cell_type"]).size()
    keyed = counts.set_index(["patient_id", "image_id", "region", "cell_type"])["n_cells"]
    assert keyed[keyed > 0].to_dict() == expected.to_dict()
    assert len(counts) == 6 * 2 * 3
    assert keyed.loc["P1", "P1 image 0", "front", "CD8"] == 0
    positive = count_positive(source)
    flags = frame.groupby(["patient_id", "image_id", "region"])["CD8_positive"].agg(["sum", "size"])
    np.testing.assert_array_equal(positive["n_positive"], flags["sum"])
    np.testing.assert_array_equal(positive["n_cells"], flags["size"])
    assert positive["marker"].unique().tolist() == ["CD8"]


def test_counts_without_regions_have_an_empty_region():
    source = cells_from_frame(draw().drop(columns="region"))
    assert count_cells(source)["region"].unique().tolist() == [""]
    assert read_image(source, patient_id="P0", image_id="P0 image 1").region is None


def test_counts_say_what_they_lack():
    flags = cells_from_frame(draw().drop(columns="cell_type"))
    with pytest.raises(InputError, match="the cells have no type: define phenotypes"):
        count_cells(flags)
    assert next(iterate_images(flags)).cell_type is None
    types = cells_from_frame(draw().drop(columns="CD8_positive"))
    with pytest.raises(InputError, match="the cells have no flag: map one, such as CD8_positive"):
        count_positive(types)


def test_written_cells_come_back_the_same_with_whole_images_in_row_groups(tmp_path):
    source = cells_from_frame(draw().sample(frac=1, random_state=3))
    written = write_cells(source, tmp_path / "c.parquet", row_group=70)
    for one, other in zip(iterate_images(source), iterate_images(written), strict=True):
        assert_same_cells(one, other)
    file = pq.ParquetFile(tmp_path / "c.parquet")
    assert file.num_row_groups == 3
    assert [file.metadata.row_group(i).num_rows for i in range(3)] == [80, 80, 80]
    with pytest.raises(InputError, match="is read from: write to another one"):
        write_cells(written, tmp_path / "c.parquet")
    with pytest.raises(InputError, match=r"does not end in \.parquet: name it so"):
        write_cells(source, tmp_path / "c.csv")
    with pytest.raises(InputError, match="cannot be written"):
        write_cells(source, tmp_path / "nowhere" / "c.parquet")


def test_a_share_of_the_images_is_read_alone():
    source = cells_from_frame(draw())
    share = list_images(source).iloc[[4, 1]]
    assert [cells.image_id for cells in iterate_images(source, images=share)] == [
        "P0 image 1",
        "P2 image 0",
    ]
    with pytest.raises(InputError, match=r"image P0 image 9 of that patient is not there \(near"):
        read_image(source, patient_id="P0", image_id="P0 image 9")
    with pytest.raises(InputError, match="images has no column 'patient_id'"):
        next(iterate_images(source, images=share[["image_id"]]))


def test_repr_tells_the_size():
    source = cells_from_frame(draw())
    assert repr(source) == "<CellSource: generic, a frame, 1 flag, 1 staining>"
    cells = read_image(source, patient_id="P0", image_id="P0 image 0")
    assert repr(cells) == "<ImageCells: patient P0, image P0 image 0, 40 cells>"
    assert repr(check_cells(source)) == (
        "<CellReport: 3 patients, 6 images, 240 cells, nothing to report>"
    )


# Faults ---------------------------------------------------------------------------------------


def faults_of(frame, *, patient_ids=None, **settings):
    with pytest.raises(InputError) as caught:
        check_cells(cells_from_frame(frame, **settings), patient_ids=patient_ids)
    assert str(caught.value).startswith("cells: ")
    return list(caught.value.faults)


def test_all_faults_are_found_at_once_with_image_count_and_remedy():
    frame = draw().astype({"x": object, "y": object, "CD8_positive": object, "CD8": object})
    frame.loc[[0, 1, 45], "x"] = [None, "NA", ""]
    frame.loc[2, "y"] = "12,5"
    frame.loc[3, "x"] = "left"
    frame.loc[[85, 86], "y"] = [np.inf, "-Infinity"]
    frame.loc[[125, 126], "cell_type"] = None
    frame.loc[130, "region"] = " "
    frame.loc[165, "CD8_positive"] = "maybe"
    frame.loc[166, "CD8_positive"] = None
    frame.loc[167, "CD8"] = "high"
    frame.loc[[200, 201], "image_id"] = None
    frame.loc[210, "patient_id"] = None
    found = faults_of(frame, patient_ids=["P0", "P1", "P2"])
    assert found == [
        "column 'image_id' is missing for 2 cells (data row 201, 202): name every image",
        "column 'patient_id' is missing for 1 cell of image P2 image 1: name it in every row",
        "column 'x' is not numeric for 1 cell of image P0 image 0: "
        "give numbers with a decimal point",
        "column 'x' is missing for 3 cells of image P0 image 0, P0 image 1: "
        "complete it, or leave these cells out of the file",
        "column 'y' is not numeric for 1 cell of image P0 image 0: "
        "it has decimal commas, export the table with decimal points",
        "column 'y' is infinite for 2 cells of image P1 image 0: give finite numbers",
        "column 'cell_type' is missing for 2 cells of image P1 image 1: "
        "complete it, or name what has none with cell_types = {'': 'unclassified'}",
        "column 'region' is missing for 1 cell of image P1 image 1: "
        "complete it, or name what has none with regions = {'': 'unclassified'}",
        "column 'CD8_positive' (for the flag of CD8) is no flag for 1 cell of image P2 image 0: "
        "give 0 or 1, true or false, or a text that ends in + or -",
        "column 'CD8_positive' (for the flag of CD8) is missing for 1 cell of image P2 image 0: "
        "complete it, or leave it out with markers",
        "column 'CD8' (for the staining of CD8) is not numeric for 1 cell of image P2 image 0: "
        "give numbers with a decimal point",
    ]


def test_five_images_at_most_are_named():
    frame = draw(patients=7, images=1, n=5)
    frame["x"] = np.nan
    (found,) = faults_of(frame)
    assert "is missing for 35 cells of image P0 image 0, P1 image 0, " in found
    assert "P4 image 0 (and 2 more): complete it" in found


def test_rows_without_a_name_are_told_by_file(tmp_path):
    frame = draw(patients=1, n=6)
    frame.loc[8, "image_id"] = None
    save(frame[:6], tmp_path / "a.csv")
    save(frame[6:], tmp_path / "b.csv")
    with pytest.raises(InputError, match=r"for 1 cell \(data row 3 of 'b.csv'\): name every"):
        check_cells(open_cells(tmp_path))


def test_missing_stainings_are_kept_and_counted():
    frame = draw(patients=1)
    frame.loc[[0, 41], "CD8"] = np.nan
    report = check_cells(cells_from_frame(frame))
    row = report.counts.set_index("what").loc["cells without a staining of CD8, kept"]
    assert row.tolist() == [2, 2, 1, "P0 image 0, P0 image 1", "P0"]
    assert report.counts.loc[0].tolist() == [
        "cells in the table", 80, 2, 1, "P0 image 0, P0 image 1", "P0",
    ]  # fmt: skip
    cells = read_image(cells_from_frame(frame), patient_id="P0", image_id="P0 image 0")
    assert cells.intensity["CD8"].isna().sum() == 1


def test_exact_duplicates_are_a_fault_unless_dropped_or_kept():
    frame = draw(patients=1, images=2)
    twice = pd.concat([frame, frame.iloc[[0, 0, 41]]], ignore_index=True)
    (found,) = faults_of(twice)
    assert found == (
        "3 cells of image P0 image 0, P0 image 1 repeat another in position and type: export them "
        "once, or open the cells with duplicates = 'drop' (one of each is kept) or 'keep'"
    )
    with pytest.raises(InputError, match="image P0 image 0 has cells that agree in position and"):
        next(iterate_images(cells_from_frame(twice)))
    dropped = cells_from_frame(twice.sample(frac=1, random_state=4), duplicates="drop")
    report = check_cells(dropped)
    row = report.counts.iloc[1]
    assert row["what"] == "cells that repeat another in position and type, dropped"
    assert (row["n_cells"], row["n_images"]) == (3, 2)
    assert report.n_cells == 83
    for one, other in zip(
        iterate_images(cells_from_frame(frame)), iterate_images(dropped), strict=True
    ):
        assert_same_cells(one, other)
    assert list_images(dropped)["n_cells"].tolist() == [40, 40]
    assert count_cells(dropped)["n_cells"].sum() == 80
    kept = cells_from_frame(twice, duplicates="keep")
    assert check_cells(kept).counts["what"].iloc[1].endswith("kept")
    assert list_images(kept)["n_cells"].tolist() == [42, 41]


def test_of_duplicates_the_same_one_is_kept_whatever_the_order():
    frame = pd.DataFrame(
        {"patient_id": "a", "image_id": "a1", "x": 1.0, "y": 1.0, "cell_type": "T",
         "CD8_positive": [1, 1], "CD8": [9.0, 7.0]}
    )  # fmt: skip
    for rows in (frame, frame[::-1]):
        source = cells_from_frame(rows, duplicates="drop")
        cells = read_image(source, patient_id="a", image_id="a1")
        assert cells.positive["CD8"].tolist() == [True]
        assert cells.intensity["CD8"].tolist() == [7.0]


def test_cells_of_different_flags_are_no_duplicates():
    frame = pd.DataFrame(
        {"patient_id": "a", "image_id": "a1", "x": [1.0] * 2 + [5.0], "y": 1.0, "cell_type": "T",
         "PD1_positive": [1, 0, 1]}
    )  # fmt: skip
    for duplicates in ("drop", "error"):
        source = cells_from_frame(frame, duplicates=duplicates)
        with pytest.warns(DataWarning, match="position"):
            check_cells(source)
        assert count_positive(source)["n_positive"].tolist() == [2]


def test_cells_of_two_types_at_one_position_are_kept_counted_and_warned_of():
    frame = draw(patients=1, images=1)
    frame.loc[1, ["x", "y"]] = frame.loc[0, ["x", "y"]]
    frame.loc[[0, 1], "cell_type"] = ["CK", "CD8"]
    message = "1 cell of image P0 image 0 sits at the position of another of a different type"
    with pytest.warns(DataWarning, match=message):
        report = check_cells(cells_from_frame(frame))
    assert report.counts["n_cells"].tolist() == [40, 1]


def test_one_image_under_two_patients_and_a_copied_image_are_faults():
    frame = draw(patients=2, images=2)
    frame["image_id"] = frame["image_id"].str[-7:]
    (found,) = faults_of(frame)
    assert found == (
        "image image 0, image 1 belongs to several patients (P0, P1): give every image a name of "
        "its own, such as patient and number, or correct its patient"
    )
    frame = draw(patients=2, images=1)
    copy = frame[frame["patient_id"] == "P0"].assign(image_id="copy", cell_type="other")
    (found,) = faults_of(pd.concat([frame, copy.sample(frac=1, random_state=5)]))
    assert found == (
        "image P0 image 0 and copy hold cells at the same positions: leave out the copy"
    )
    pair = frame.groupby("image_id").head(2)
    alike = pair.assign(x=[1.0, 2.0] * 2, y=[3.0, 4.0] * 2)
    assert check_cells(cells_from_frame(alike)).n_images == 2  # two cells may agree by chance


def test_patients_who_are_unknown_or_without_image():
    frame = draw()
    (found,) = faults_of(frame, patient_ids=["P0", "P2"])
    assert found == (
        "image P1 image 0, P1 image 1 belongs to patient P1, unknown to the patients table: add "
        "them there or leave out their images"
    )
    with pytest.warns(DataWarning, match="patient P8, P9 has no image: nothing can be said"):
        report = check_cells(cells_from_frame(frame), patient_ids=["P0", "P1", "P2", "P9", "P8"])
    row = report.counts.set_index("what").loc["patients without an image"]
    assert (row["n_patients"], row["patients"]) == (2, "P8, P9")


def test_a_table_of_images_names_the_patients(tmp_path):
    frame = draw().drop(columns="patient_id")
    images = draw()[["image_id", "patient_id"]].drop_duplicates()
    images.to_csv(tmp_path / "images.csv", index=False)
    expected = list_images(cells_from_frame(draw()))
    for given in (images, tmp_path / "images.csv"):
        source = cells_from_frame(frame, images=given)
        pd.testing.assert_frame_equal(list_images(source), expected)
        assert_same_cells(
            next(iterate_images(source)), next(iterate_images(cells_from_frame(draw())))
        )
    (found,) = faults_of(frame, images=images[:-2])
    assert found == ("image P2 image 0, P2 image 1 is not in the table of images: add it there")
    more = pd.concat([images, pd.DataFrame({"image_id": ["Q"], "patient_id": ["P0"]})])
    with pytest.warns(DataWarning, match="names image Q, which holds no cell: check its name"):
        report = check_cells(cells_from_frame(frame, images=more))
    assert report.counts["what"].iloc[1] == "images named that hold no cell"


def test_faults_of_the_table_of_images(tmp_path):
    frame = draw().drop(columns="patient_id")

    def opened(images):
        with pytest.raises(InputError) as caught:
            cells_from_frame(frame, images=images)
        return str(caught.value)

    assert "no column 'patient_id' (nearest: 'patient'): name it so" in opened(
        pd.DataFrame({"image_id": ["a"], "patient": ["b"]})
    )
    assert "lacks an image_id or patient_id in data row 2: add it" in opened(
        pd.DataFrame({"image_id": ["a", None], "patient_id": ["b", "c"]})
    )
    assert "gives image a to several patients: keep one" in opened(
        pd.DataFrame({"image_id": ["a", "a"], "patient_id": ["b", "c"]})
    )
    assert "images: file 'x.csv' is missing" in opened(tmp_path / "x.csv")
    assert "the cells name no patient: map patient_id in columns, or give a table" in opened(None)
    both = {"patient_id": "region"}
    with pytest.raises(InputError, match="patients are named by columns and by images: give one"):
        cells_from_frame(
            frame, columns=both, images=pd.DataFrame({"image_id": ["a"], "patient_id": ["b"]})
        )


def test_implausible_sizes_warn():
    frame = draw(patients=1, images=1).assign(x=lambda d: d["x"] * 1000)
    with pytest.warns(DataWarning, match=r"P0 image 0 is wider than 5 cm \(P0 image 0: .* cm\)"):
        report = check_cells(cells_from_frame(frame))
    assert report.counts["what"].iloc[1] == "cells of images wider than 5 cm"
    frame = draw(patients=1, images=1)
    frame[["x", "y"]] /= 1000
    message = "half of the cells of image P0 image 0 are nearer than 1 micrometre to another"
    with pytest.warns(DataWarning, match=message):
        check_cells(cells_from_frame(frame))


def test_distances_are_measured_in_five_images_and_the_first_cells(monkeypatch):
    images = pd.DataFrame({"n_cells": [5, 1, *[5] * 10]})
    assert np.flatnonzero(cell_scale.choose_images(images)).tolist() == [0, 3, 6, 8, 11]
    assert not cell_scale.choose_images(pd.DataFrame({"n_cells": [1]})).any()
    assert np.isnan(cell_scale.median_nearest(np.ones(1), np.ones(1)))
    monkeypatch.setattr(cell_scale, "_CELLS_MEASURED", 3)
    x = np.array([0.0, 2.0, 4.0, 4.1])
    assert cell_scale.median_nearest(x, np.zeros(4)) == 2.0


def test_a_table_without_cells_and_an_image_of_one_cell():
    empty = draw()[:0]
    assert faults_of(empty) == ["there is no cell: give a table with one row per cell"]
    assert list_images(cells_from_frame(empty)).empty
    assert list(iterate_images(cells_from_frame(empty))) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check_cells(cells_from_frame(draw()[:1]))
    assert report.n_cells == 1


def test_unchecked_faults_stop_the_reading():
    frame = draw(patients=1, images=1)

    def read(**changes):
        source = cells_from_frame(frame.assign(**changes))
        with pytest.raises(InputError) as caught:
            next(iterate_images(source))
        return str(caught.value)

    def holed(name):
        return {name: frame[name].astype(object).where(frame.index != 3, None)}

    assert "image P0 image 0: a position is missing or unreadable" in read(**holed("x"))
    assert "image P0 image 0: cell_type is missing" in read(**holed("cell_type"))
    assert "image P0 image 0: region is missing" in read(**holed("region"))
    assert "image P0 image 0: the flag of CD8 is missing" in read(**holed("CD8_positive"))
    assert "image_id is missing or unreadable in some cells: run" in read(image_id=None)
    source = cells_from_frame(frame.assign(**holed("image_id")))
    for grouped in (list_images, count_cells):
        with pytest.raises(InputError, match="image_id is missing or unreadable in some cells"):
            grouped(source)
    with pytest.raises(InputError, match="the flag of CD8 is missing or unreadable"):
        count_positive(cells_from_frame(frame.assign(**holed("CD8_positive"))))


def test_cells_outside_a_window_are_marked_and_counted():
    frame = pd.DataFrame(
        {"patient_id": "a", "image_id": "a1", "x": [1.0, 5.0, 11.0], "y": [1.0, 5.0, 1.0],
         "cell_type": "CK"}
    )  # fmt: skip
    cells = read_image(cells_from_frame(frame), patient_id="a", image_id="a1")
    outside, number = find_outside(cells, window=Window.rectangle(x=(0, 10), y=(0, 10)))
    assert outside.tolist() == [False, False, True]
    assert number == 1


# The shipped data -----------------------------------------------------------------------------


def test_the_shipped_lung_cells_are_whole_and_without_fault():
    folder = lung_vectra_folder()
    patients = pd.read_csv(folder / "patients.csv", dtype={"patient_id": str})
    source = open_cells(folder / "cells.parquet")
    report = check_cells(source, patient_ids=patients["patient_id"])
    assert (report.n_patients, report.n_images, report.n_cells) == (50, 247, 285_412)
    assert len(report.counts) == 1
    types = count_cells(source).groupby("cell_type")["n_cells"].sum()
    assert types.to_dict() == {
        "CK": 187_373,
        "other": 43_509,
        "CD14": 18_010,
        "CD4": 14_880,
        "CD8": 11_775,
        "CD19": 7_149,
        "unassigned": 2_716,
    }
    assert patients["survival_status"].sum() == 33
    assert set(patients["sex"]) == {"male", "female"}
    assert set(patients["stage"]) == {1, 2, 3}
    assert (folder / "cells.parquet").stat().st_size < 1_500_000
    for name in ("LICENSE", "CITATION"):
        assert (folder / name).read_text(encoding="utf-8").strip()


def test_the_row_groups_of_the_shipped_cells_hold_whole_images():
    file = pq.ParquetFile(lung_vectra_folder() / "cells.parquet")
    seen = []
    for i in range(file.num_row_groups):
        images = file.read_row_group(i, columns=["image_id"])["image_id"].unique().to_pylist()
        assert not set(images) & set(seen)
        seen += images
    assert len(seen) == 247
    assert file.num_row_groups > 40
