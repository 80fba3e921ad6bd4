"""The kept tables of the reproduction page: they follow from their seeds, and say what it says."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "reproduction"
CHEAP = 12  # the first ten studies also try other trees, and moderate ones tiles of counts


@pytest.fixture(scope="module")
def table():
    sys.path.insert(0, str(FOLDER))  # a benchmark of three scripts side by side
    try:
        import published_table
    finally:
        sys.path.remove(str(FOLDER))
    return published_table


@pytest.fixture(scope="module")
def rows():
    sys.path.insert(0, str(FOLDER))
    try:
        import published_rows
    finally:
        sys.path.remove(str(FOLDER))
    return published_rows


@pytest.fixture(scope="module")
def kept(table):
    return table.read_kept()


def same_rows(found: list[dict[str, object]], kept: pd.DataFrame, study: int, effect: str) -> None:
    chosen = kept[(kept["study"] == study) & (kept["effect"] == effect)]
    expected = chosen.reset_index(drop=True)
    pd.testing.assert_frame_equal(
        pd.DataFrame(found)[[*expected.columns]], expected, check_dtype=False, rtol=0, atol=1e-4
    )


def test_every_study_is_kept_with_all_its_lines(table, kept):
    counts = kept["lines"].groupby(["effect", "line"])["study"].agg(["nunique", "size"])
    assert (counts == table.STUDIES).all(axis=None)
    lines = {*table.LINES}
    for effect, part in kept["lines"].groupby("effect"):
        assert set(part["line"]) == (lines - {"what markers know"} if effect == "none" else lines)


def test_kept_rows_follow_from_their_seeds(table, kept):
    for name, found in table.one_study("strong", CHEAP).items():
        if found:
            same_rows(found, kept[name], CHEAP, "strong")


def test_kept_text_follows_from_the_kept_rows(table, kept):
    text = (FOLDER / "published_table.txt").read_text(encoding="utf-8")
    assert table.report(kept) == text.rstrip("\n")


def test_text_of_the_published_rows_is_computed(rows, capsys):
    rows.main()
    assert capsys.readouterr().out == (FOLDER / "published_rows.txt").read_text(encoding="utf-8")


def test_the_published_score_is_reproduced_and_its_weights_concentrate(rows):
    pools = rows.pooled()
    published = rows.load_times_published().components["TIMES"]
    assert (pools["published"]["score"] - published).abs().max() < 1e-7
    weights = rows.weight_table(pools)
    assert weights.loc["published", "largest"] == pytest.approx(0.981, abs=5e-4)
    assert (weights.loc[["shrunken", "random effects"], "largest"] < 0.5).all()


def means(kept: dict[str, pd.DataFrame], effect: str, metric: str) -> pd.DataFrame:
    part = kept["lines"][kept["lines"]["effect"] == effect]
    return part.groupby("line")[metric].agg(["mean", "sem"])


def test_without_effect_only_overlap_discriminates(kept):
    for metric in ("c", "auc"):
        found = means(kept, "none", metric)
        for line in ("tiles split, new", "no overlap", "  shrunken weights", "shipped models"):
            assert abs(found.loc[line, "mean"] - 0.5) <= 3 * found.loc[line, "sem"], line
        overlap = ["tiles split, new", "  20 of the 61", "  40 of the 61", "as published"]
        steps = found.loc[overlap, "mean"].diff().dropna()
        assert (steps > 3 * found.loc[overlap, "sem"].max()).all()


def test_with_an_effect_honest_weights_and_shallow_trees_order_patients_better(kept):
    lines = kept["lines"]
    c = lines[lines["effect"] == "strong"].pivot_table(index="study", columns="line", values="c")
    better = ["no overlap", "  random effects", "shipped models", "what markers know"]
    for worse, line in pairwise(better):
        gain = c[line] - c[worse]
        assert gain.mean() > 3 * gain.sem(), line
