"""What the README and the guides show: links that lead somewhere, examples that would run."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import times_stats as ts
from times_stats.__main__ import _parser
from times_stats._checks import Faults
from times_stats.tables.settings import check_settings

ROOT = Path(__file__).parents[2]
BUILT = {"_build", "generated", "jupyter_execute"}
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    + [
        page
        for pattern in ("*.md", "*.rst")
        for page in (ROOT / "docs").rglob(pattern)
        if not BUILT & set(page.relative_to(ROOT).parts)
    ]
)
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
INCLUDED = re.compile(r"^```\{(?:literalinclude|image|figure|include)\} (\S+)", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(language: str) -> list[tuple[str, str]]:
    """Return the fenced examples in one language, each with the page it stands on."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(name_of(p), text) for p in PAGES for text in fence.findall(p.read_text("utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_and_images_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    targets = [target for target in LINK.findall(text) if not re.match(r"\w+:|#", target)]
    targets += INCLUDED.findall(text)
    dead = [t for t in targets if not (page.parent / t.partition("#")[0]).is_file()]
    pages = re.findall(r"\{doc}`([^`]+)`", text)
    dead += [name for name in pages if not list(page.parent.glob(f"{name}.*"))]
    assert not dead


def test_the_readme_shows_a_figure():
    images = re.findall(r"!\[([^]]+)\]\(([^)]+\.png)\)", (ROOT / "README.md").read_text("utf-8"))
    assert images
    for description, path in images:
        assert len(description) > 40
        assert (ROOT / path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_study_files_shown_are_accepted(page, text):
    settings = tomllib.loads(text)
    settings["study"] = {"horizon": 1, **settings["study"]}  # new patients may leave it out
    faults = Faults()
    check_settings(settings, faults)
    faults.raise_if_any(source=page)


@pytest.mark.parametrize(("page", "text"), blocks("console"))
def test_commands_shown_are_understood(page, text):
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "times-stats":
            assert _parser().parse_args(words[1:]).command == words[1], page


def dotted(node: ast.expr) -> list[str]:
    """Return ["ts", "score", "pool_published"] of that expression, or nothing."""
    if isinstance(node, ast.Name):
        return [node.id]
    front = dotted(node.value) if isinstance(node, ast.Attribute) else []
    return [*front, node.attr] if front else []


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_calls_shown_exist_and_take_those_arguments(page, text):
    checked = 0
    for node in ast.walk(ast.parse(text)):
        names = dotted(node.func) if isinstance(node, ast.Call) else []
        if names[:1] != ["ts"]:
            continue
        found = ts
        for name in names[1:]:
            found = getattr(found, name)
        keywords = {word.arg: None for word in node.keywords}
        inspect.signature(found).bind(*node.args, **keywords)
        checked += 1
    assert checked, f"{page}: the example calls nothing of times_stats"


@pytest.fixture
def own_study(tmp_path, monkeypatch) -> Path:
    """The study file of the how-to page, beside tables with the column names it declares."""
    page = "docs/how-to/own_study.md"
    (text,) = (text for name, text in blocks("toml") if name == page)
    study = ts.datasets.load_hcc_ihc("complete")
    names = {"patient_id": "Number", "time": "RFS", "event": "Recurrence", "tnm": "TNM"}
    patients = study.patients.rename(columns=names)[list(names.values())].assign(Hospital="north")
    patients["RFS"] = (patients["RFS"] * 30.4375).round()
    measurements = study.measurements[["patient_id", "region", "marker", "value"]]
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    patients.to_csv(tmp_path / "patients.csv", index=False)
    measurements.rename(columns=names).to_csv(tmp_path / "measurements.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "study.toml"


def test_the_guide_to_an_own_study_runs(own_study):
    """The study file is read as it stands, and the lines that follow it are executed."""
    (text,) = (text for name, text in blocks("python") if name == "docs/how-to/own_study.md")
    tree = ast.parse(text)
    assert isinstance(tree.body[-1], ast.Expr)
    tree.body[-1] = ast.Assign([ast.Name("shown", ast.Store())], tree.body[-1].value)
    space: dict[str, object] = {}
    exec(compile(ast.fix_missing_locations(tree), "own_study.md", "exec"), space)
    assert 0 < float(space["shown"]) <= 1
    study = space["study"]
    assert study.score.markers == ("CD57", "CXCL17")
    assert study.survival.baseline == "mspline"
    original = ts.tables.outcome(ts.datasets.load_hcc_ihc("complete"))
    pd.testing.assert_series_equal(
        ts.tables.outcome(study)["time"].sort_index(), original["time"].sort_index(), atol=0.02
    )


def test_new_patients_need_no_outcome(own_study):
    """The study file shown for new patients is enough to read them."""
    (text,) = (t for name, t in blocks("toml") if name == "docs/how-to/score_new_patients.md")
    folder = own_study.parent
    (folder / "new.toml").write_text(text, encoding="utf-8")
    patients = pd.read_csv(folder / "patients.csv").rename(columns={"Number": "patient_id"})
    patients[["patient_id"]].to_csv(folder / "new_patients.csv", index=False)
    table = pd.read_csv(folder / "measurements.csv").rename(columns={"Number": "patient_id"})
    table.to_csv(folder / "new_measurements.csv", index=False)
    read, measurements, _ = ts.studies.read_new_patients(folder / "new.toml")
    assert len(read) == 101
    assert "time" not in read
    assert set(measurements["marker"]) >= {"CD57", "CXCL17"}
