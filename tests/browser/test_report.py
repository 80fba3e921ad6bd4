"""The demo report as a reader opens it: no errors, nothing fetched, no sideways scrolling."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

FAULTY = """<!doctype html><html><head><meta charset="utf-8"><title>faulty</title>
<link rel="icon" href="data:,"></head>
<body style="margin:0"><div style="width:700px">wide</div>
<img src="http://127.0.0.1:9/tracker.png" alt="">
<script>console.error("planted"); setTimeout(() => { throw new Error("thrown"); }, 0);</script>
</body></html>"""

FACTS = {
    "title": "document.title",
    "headings": "document.querySelectorAll('h1, h2, h3').length",
    "figures": "document.querySelectorAll('svg, img').length",
    "empty_images": (
        "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
    ),
    "nameless_images": (
        "[...document.querySelectorAll('img:not([alt]), svg:not([role]):not([aria-label])"
        ":not([aria-labelledby]):not([aria-hidden])')].filter(x => !x.closest('figure')).length"
    ),
    "language": "document.documentElement.lang",
    "repeated_ids": (
        "(() => { const all = [...document.querySelectorAll('[id]')].map(x => x.id);"
        " return all.filter((x, i) => all.indexOf(x) !== i).slice(0, 5); })()"
    ),
    "dead_anchors": (
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(x => x.getAttribute('href').slice(1))"
        ".filter(x => x && !document.getElementById(x)).slice(0, 5)"
    ),
    "not_a_number": r"(document.body.innerText.match(/\b(NaN|nan|None|undefined|inf)\b/g) || [])",
}


def test_the_probe_catches_planted_faults(browser, tmp_path):
    page = tmp_path / "faulty.html"
    page.write_text(FAULTY, encoding="utf-8")
    narrow = browser.visit(page, width=400)
    assert narrow.overflow == 300
    assert any("planted" in line for line in narrow.console)
    assert any("Uncaught" in line for line in narrow.console)
    assert any("tracker.png" in url for url in narrow.requests)
    assert browser.visit(page, width=1200).overflow == 0


@pytest.mark.parametrize("width", [400, 1200])
def test_the_demo_report_is_quiet_self_contained_and_fits(browser, report, width):
    visit = browser.visit(report, width=width, expressions=FACTS)
    assert visit.console == []
    assert visit.requests == []
    assert visit.overflow <= 0
    assert visit.facts["title"]
    assert visit.facts["language"].startswith("en")
    assert visit.facts["headings"] >= 8
    assert visit.facts["figures"] >= 8
    assert visit.facts["empty_images"] == 0
    assert visit.facts["nameless_images"] == 0
    assert visit.facts["repeated_ids"] == []
    assert visit.facts["dead_anchors"] == []
    assert visit.facts["not_a_number"] == []


def test_the_demo_report_stands_alone_as_a_file(report):
    text = report.read_text(encoding="utf-8")
    assert 'src="http' not in text
    assert "@import" not in text
    assert '<link rel="stylesheet"' not in text
