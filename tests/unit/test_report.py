from __future__ import annotations

import base64
import dataclasses
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from report_factory import make_contents, make_demo

from times_stats.errors import InputError
from times_stats.report.formatting import fixed, metric_interval, p_value
from times_stats.report.page import render_report, write_report
from times_stats.report.sections import _carriers
from times_stats.report.table_views import null_table, shapley_table
from times_stats.report.verdicts import discrimination_verdict, short_verdict, verdicts

SECTIONS = [
    "What is estimated",
    "Verdict",
    "Patients",
    "Comparison of models",
    "Risk groups",
    "Hazard ratios of the score",
    "Weights",
    "Which marker, which region",
    "Survival model",
    "Calibration",
    "Level or location",
    "Who carries it: levels or locations",
    "Diagnostics",
    "Provenance",
    "What the data do not show",
]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what a reader or a browser would meet; fails on tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] != "style":
            self.text.append(data)
        if self.stack and re.fullmatch("h[1-6]", self.stack[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def demo_html() -> str:
    return render_report(make_demo())


@pytest.fixture(scope="module")
def one_html() -> str:
    return render_report([make_contents()])


@pytest.fixture(scope="module")
def failed_html() -> str:
    return render_report([make_contents(status="failed")])


def pictures(html: str) -> list[str]:
    found = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", html)
    return [base64.b64decode(data).decode() for data in found]


def test_one_analysis_has_every_section_in_order(one_html):
    page = Page(one_html)
    assert [text for level, text in page.headings if level == 2] == SECTIONS
    assert [text for level, text in page.headings if level == 1] == [
        "Hepatocellular carcinoma, analysis B: complete markers"
    ]
    words = page.words
    for said in (
        "whichever comes first",
        "conditional on the fitted models",
        "Intervals are conditional on z",
        "Minimal detectable difference: 2.8 standard errors",
        "two levels in these data",
        "9f1c2b7d5a3e",
        "2026-11-22T02:10:44+00:00",
    ):
        assert said in words


def test_two_analyses_open_side_by_side(demo_html):
    page = Page(demo_html)
    assert page.headings[:2] == [(1, "Hepatocellular carcinoma"), (2, "2 analyses side by side")]
    front = demo_html[: demo_html.index("<article")]
    for said in ("Analysis A: all patients", "Analysis B: complete markers", "cannot tell"):
        assert said in front
    assert re.search(r"<th scope=\"row\">Patients</th><td>227</td><td>101</td>", front)
    assert front.count("C (Uno) within folds</span>") == 9
    assert [text for level, text in page.headings if level == 3][2 : 2 + len(SECTIONS)] == SECTIONS


def test_the_page_is_accessible(demo_html):
    page = Page(demo_html)
    assert ("html", {"lang": "en"}) in page.tags
    levels = [level for level, _ in page.headings]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    alts = [attrs.get("alt") or "" for tag, attrs in page.tags if tag == "img"]
    assert len(alts) >= 16
    assert all(len(alt) > 40 for alt in alts)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    anchors = [href[1:] for href in page.attributes("href") if href]
    assert set(anchors) <= set(ids)
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")


def test_the_page_stands_alone_and_is_small(demo_html):
    page = Page(demo_html)
    assert len(demo_html.encode()) < 3_000_000
    assert all(source.startswith("data:") for source in page.attributes("src"))
    assert all(href.startswith("#") for href in page.attributes("href"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "default-src 'none'" in demo_html
    assert "@import" not in demo_html
    assert "url(" not in demo_html


def test_the_same_contents_give_the_same_bytes(one_html, tmp_path):
    written = write_report([make_contents()], tmp_path / "a.html")
    assert written == tmp_path / "a.html"
    assert written.read_bytes() == one_html.encode()


def test_numbers_are_shown_with_honest_digits():
    table = make_contents().comparison
    chosen = (table["model"] == "tnm") & (table["metric"] == "concordance_harrell")
    table.loc[chosen & (table["reference"] == ""), ["estimate", "lower", "upper"]] = [
        0.59491,
        0.54,
        0.65049,
    ]
    html = render_report([make_contents(comparison=table, logrank_p=3e-6)])
    assert '0.595<span class="detail">0.540 to 0.650</span>' in html
    assert "p\u00a0&lt;\u00a0.001" in html
    assert "0.59491" not in html
    assert "nan" not in Page(html).words.lower().split()
    assert (fixed(-0.0004, 3), fixed(np.inf, 2), p_value(0.9999)) == ("0.000", "–", ">.999")
    assert metric_interval(np.nan, 0.2, "auc_horizon") == ""


def test_a_failed_survival_model_is_refused_everywhere(one_html, failed_html):
    page = Page(failed_html)
    words = page.words
    assert words.count("The survival model failed its convergence checks") == 3
    assert "largest R-hat 1.31 is above 1.01" in words
    assert "97 divergent transitions" in words
    for absent in ("Bayesian survival model", "Posterior of each slope", "Mean event-free time"):
        assert absent in Page(one_html).words
        assert absent not in words
    assert "worse than a ridge Cox model on levels" in Page(one_html).words
    assert "worse than a ridge Cox model on levels" not in words
    assert "Not shown: the predictions come from the survival model" in words
    drawn = "".join(pictures(failed_html))
    assert "Slope (0 ignores" in "".join(pictures(one_html))
    assert "Slope (0 ignores" not in drawn
    assert "Bayesian survival model" not in drawn
    alts = " ".join(attrs["alt"] or "" for tag, attrs in page.tags if tag == "img")
    assert "Bayesian survival model" not in alts
    contents = make_contents(status="failed")
    own = contents.comparison.query("model == 'survival_model'")["estimate"]
    shown = {f"{value:.6f}" for value in contents.shown_comparison["estimate"].dropna()}
    assert not shown & {f"{value:.6f}" for value in own.dropna()}


@pytest.mark.parametrize("status", ["failed", "", "unknown"])
def test_only_a_converged_model_is_shown(status):
    contents = make_contents()
    assert contents.survival_is_shown
    changed = dataclasses.replace(contents, diagnostics={"status": status})
    assert not changed.survival_is_shown
    assert not dataclasses.replace(contents, survival_status="failed").survival_is_shown


def test_calibration_of_other_models_stays_when_the_survival_model_failed():
    table = make_contents().calibration
    both = pd.concat([table.assign(model="survival_model"), table.assign(model="times_score")])
    contents = make_contents(status="failed", calibration=both)
    assert set(contents.shown_calibration["model"]) == {"times_score"}
    assert "Predicted and observed event probability" in render_report([contents])


def test_whatever_a_user_may_have_named_is_escaped():
    bad = "<script>alert('x')</script>"
    contents = make_contents(
        markers=(bad, "CD8"),
        name=bad,
        estimand={"population": bad, bad: bad},
        notes=[bad],
        warnings=[bad],
        provenance={bad: bad, "settings": {bad: [bad]}},
        flow=pd.DataFrame({"step": [bad], "n_patients": [1], "n_events": [1], "reason": [bad]}),
        patterns=pd.DataFrame({"pattern": [bad], "n_patients": [1], "n_events": [1]}),
    )
    contents = dataclasses.replace(
        contents,
        comparison=contents.comparison.replace({"model": {"tnm": bad}, "reference": {"tnm": bad}}),
        risk_groups=contents.risk_groups.replace({"risk_group": {"high": bad}}),
    )
    html = render_report([contents, contents])
    assert "<script" not in html.lower()
    assert html.count("&lt;script&gt;") > 30
    assert all("<script" not in svg.lower() for svg in pictures(html))
    Page(html)


def test_the_estimand_says_what_was_not_stated():
    words = Page(render_report([make_contents(estimand={"population": "resected"})])).words
    assert "Time zero not stated" in words
    assert "Intervals not stated" in words


def test_one_marker_has_no_weights_to_show():
    contents = make_demo()[0]
    assert "One marker only" in Page(render_report([contents])).words


def test_the_report_names_the_unit_of_the_evidence_and_what_is_left_to_the_mean():
    plain = Page(render_report([make_contents()])).words
    assert "linear predictor (log hazard)" in plain
    assert "mean of the training patients" not in plain
    contents = make_contents(evidence_unit="log odds")
    scores = contents.scores.assign(weight_prior=0.25)
    words = Page(render_report([dataclasses.replace(contents, scores=scores)])).words
    assert "linear predictor (log odds)" in words
    assert "(log hazard)" not in words
    assert "leaves the rest of the weight to the mean of the training patients" in words
    assert "negative weight" not in words
    scores.iloc[:3, scores.columns.get_loc("weight_CD8")] = -0.1
    words = Page(render_report([dataclasses.replace(contents, scores=scores)])).words
    assert "3 patients have a negative weight" in words


def test_an_empty_report_is_refused():
    with pytest.raises(InputError, match="no analysis to report"):
        render_report([])


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [
        (0.01, 0.08, "ranks these patients better than the TNM stage (+0.045, +0.010 to +0.080)"),
        (-0.08, -0.01, "ranks these patients worse than the TNM stage"),
        (-0.02, 0.05, "A difference is not shown, either way, from the TNM stage"),
    ],
)
def test_the_verdict_follows_the_interval(lower, upper, said):
    table = pd.DataFrame(
        {
            "model": "times_score",
            "reference": ["", "tnm"],
            "metric": "concordance_uno_within_folds",
            "estimate": [0.6, (lower + upper) / 2],
            "lower": [0.48, lower],
            "upper": [0.66, upper],
        }
    )
    text = " ".join(discrimination_verdict(table, "times_score"))
    assert short_verdict(table, "times_score").endswith("the TNM stage")
    assert said in text
    assert "not shown to rank patients better than chance" in text


def test_the_best_model_is_named_whoever_it_is():
    assert (
        "Highest C (Uno) within folds of the 9 models: Stage + TIMES score"
        in verdicts(make_contents())[-1]
    )


def table_words(table):
    cells = [cell for row in table.rows for cell in row]
    return [cell.text for cell in cells] + [cell.detail for cell in cells]


def test_games_stand_side_by_side_and_shares_only_where_there_are_some(one_html):
    assert "What each level and each location carries" in one_html
    carriers = make_contents().carriers
    table = shapley_table(carriers.table, horizon=24.0)
    assert {"CXCL17 level", "Stage", "always in"} <= set(table_words(table))
    assert "Share of the gain" in table.header
    assert "Shares are not given" not in table.note
    bare = shapley_table(carriers.table.assign(share=np.nan), horizon=24.0)
    assert "Share of the gain" not in bare.header
    assert "Shares are not given: the interval of the gain is not above 0." in bare.note


def test_games_that_were_not_played_say_why():
    contents = make_contents()
    contents.carriers.is_played = False
    contents.carriers.statement = "No game was played: 12 patients with 3 events."
    (section,) = _carriers(contents)
    assert section.paragraphs == ["No game was played: 12 patients with 3 events."]
    assert not section.tables
    assert not section.pictures


def test_no_p_value_of_a_permutation_test_is_printed_as_zero():
    nulls = make_contents().integration.nulls.assign(p_value=1e-4, p_error=1e-4)
    words = table_words(null_table(nulls))
    assert words.count("<0.001") == words.count("Monte Carlo error below 0.001") == len(nulls)


def test_tests_of_location_name_null_and_statistic():
    names = ["conditional location, refitted", "random labelling"]
    words = table_words(null_table(make_contents().integration.nulls.assign(null=names)))
    assert "Location is irrelevant given the levels" in words
    assert "out-of-fold gain, refitted" in words
    assert "Marks of immune cells lie at random among them" in words
