"""What must agree across the repository: versions, pins, layers, paths, licences."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import times_stats as ts

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCUMENTED = ("runtime", "dev", "docs")

NOT_TEXT = {".nc", ".parquet", ".png"}


def repository_files() -> list[Path]:
    """Return the text files of the repository: tracked or new, never the ignored ones."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in NOT_TEXT]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return dict(line.split("==") for line in lines)


def closure(requirements: list[str]) -> tuple[dict[str, str], set[str]]:
    """Return the installed distributions that requirements lead to, and the missing ones."""
    waiting = [(Requirement(text), "") for text in requirements]
    installed: dict[str, str] = {}
    missing: set[str] = set()
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for part in {"", *requirement.extras} - {e for n, e in seen if n == name}:
            seen.add((name, part))
            try:
                found = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                missing.add(name)
                continue
            installed[name] = found.version
            waiting += [(Requirement(text), part) for text in found.requires or ()]
    return installed, missing


def groups() -> dict[str, list[str]]:
    return {"runtime": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(
        r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert newest is not None
    assert citation["version"] == ts.__version__ == newest.group(1)
    assert citation["license"] == PROJECT["license"] == "BSD-3-Clause"


def test_the_python_that_pins_were_tested_with_is_supported():
    tested = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert tested == "3.12"
    assert PROJECT["requires-python"] == f">={tested}"


def test_constraints_are_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))


@pytest.mark.parametrize("group", DOCUMENTED)
def test_what_is_installed_equals_the_constraints(group):
    """Each group is pinned completely; a group that was not installed at all is skipped."""
    installed, missing = closure(groups()[group])
    roots = {canonicalize_name(Requirement(text).name) for text in groups()[group]}
    if group != "runtime" and roots <= missing | set(closure(groups()["runtime"])[0]):
        pytest.skip(f"the {group} extra is not installed here")
    if group == "docs" and missing:
        pytest.skip(f"the docs extra is not installed here: {', '.join(sorted(missing))}")
    assert not missing
    pinned = pins()
    assert {name: pinned.get(name, "not pinned") for name in installed} == installed


def test_every_pin_satisfies_the_requirements():
    pinned = pins()
    for text in (text for group in groups().values() for text in group):
        requirement = Requirement(text)
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), text


def test_no_gpl_at_run_time():
    """The project is BSD: a GPL library may be a test oracle, never a run-time dependency."""
    for name in closure(PROJECT["dependencies"])[0]:
        about = metadata.metadata(name)
        classifiers = [c for c in about.get_all("Classifier") or () if c.startswith("License")]
        stated = " ".join([about.get("License-Expression") or "", *classifiers])
        if not stated.strip():
            stated = (about.get("License") or "").partition("\n")[0]
        assert not re.search(r"\bA?GPL|General Public License", stated), f"{name}: {stated}"
    assert "scikit-survival" not in {Requirement(t).name for t in PROJECT["dependencies"]}


# Needed without an import of their own.
LOADED_BY_OTHERS = {
    "h5netcdf": "xarray reads and writes posteriors with it",
    "h5py": "h5netcdf stands on it",
    "numba": "nutpie compiles with it",
    "pyarrow": "pandas reads Parquet with it",
}


def test_every_runtime_dependency_is_used():
    used = set()
    for path in (ROOT / "times_stats").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE))
    used = {{"sklearn": "scikit-learn"}.get(name, name) for name in used}
    required = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert required - used <= set(LOADED_BY_OTHERS)


def test_xgboost_comes_from_one_distribution():
    """`xgboost` and `xgboost-cpu` provide the same import and would overwrite each other."""
    assert metadata.packages_distributions()["xgboost"].count("xgboost") >= 1
    assert set(metadata.packages_distributions()["xgboost"]) == {"xgboost"}


def test_no_absolute_path_registry_host_or_leftover_in_the_repository():
    absolute = re.compile(r"(^|[\s\"'(=`])(/(work|root|tmp|home|Users|farm|mnt)/|[A-Z]:\\\\)")
    registry = re.compile(r"https?://\S*(pypi|pythonhosted|npmjs|debian\.org)|index-url|find-links")
    leftover = re.compile(r"\b(TODO|FIXME|XXX)\b")
    faults = []
    assert {path.suffix for path in repository_files()} >= {"", ".csv", ".md", ".py", ".rst"}
    for path in repository_files():
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for pattern in (absolute, registry, leftover):
                if pattern.search(line):
                    faults.append(f"{path.relative_to(ROOT)}:{number}: {pattern.pattern}")
    assert not faults


def test_no_pickle_in_the_package():
    imported = r"\b(import|from) (pickle|cloudpickle|dill|shelve|marshal)\b"
    pattern = re.compile(rf"{imported}|joblib\.(load|dump)")
    files = list((ROOT / "times_stats").rglob("*.py"))
    assert len(files) > 40
    assert not [str(path) for path in files if pattern.search(path.read_text(encoding="utf-8"))]


def test_no_module_of_odds_and_ends():
    names = {path.stem for path in (ROOT / "times_stats").rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_layers_hold():
    """import-linter: imports point down the data flow, and every module has its layer."""
    program = shutil.which("lint-imports", path=Path(sys.executable).parent)
    assert program is not None
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 kept, 0 broken" in done.stdout


def test_package_data_is_declared():
    """Every file of the package that is not Python is matched by the packaging patterns."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    patterns = tomllib.loads(text)["tool"]["setuptools"]["package-data"]["times_stats"]
    package = ROOT / "times_stats"
    for path in package.rglob("*"):
        if path.is_dir() or path.suffix in {".py", ".pyc", ".nbi", ".nbc"}:
            continue
        inside = path.relative_to(package)
        assert any(inside.match(pattern) for pattern in patterns), str(inside)


def test_each_shipped_data_set_has_licence_and_citation():
    folders = [p for p in (ROOT / "times_stats" / "datasets").iterdir() if p.is_dir()]
    folders = [folder for folder in folders if folder.name != "__pycache__"]
    assert {folder.name for folder in folders} >= {"hcc_ihc_regions", "times_published"}
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        assert "LICENSE" in names, folder.name
        assert "CITATION" in names, folder.name


def test_hooks_are_local():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    repositories = yaml.safe_load(text)["repos"]
    assert [entry["repo"] for entry in repositories] == ["local"]
    hooks = {hook["id"] for entry in repositories for hook in entry["hooks"]}
    assert hooks == {"ruff-check", "ruff-format"}


def test_the_command_is_declared():
    assert PROJECT["scripts"] == {"times-stats": "times_stats.__main__:main"}
    points = {p.name for p in metadata.entry_points(group="console_scripts")}
    try:
        metadata.distribution("times-stats")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is used from the checkout, not installed")
    assert "times-stats" in points


def test_make_names_a_working_interpreter_or_says_what_to_do(tmp_path):
    """A candidate that stands on PATH but does not run is passed over; none left is one line."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shutil.copy(ROOT / "Makefile", tmp_path)
    broken = tmp_path / "python3.12"
    broken.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    broken.chmod(0o755)

    def make(candidates: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", f"CANDIDATES={candidates}", ".venv/python.stamp"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    refused = make(f"{broken} no-such-python")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "no working Python 3.12 or newer" in refused.stderr
    assert "make PYTHON=" in refused.stderr
    assert not (tmp_path / ".venv").exists()

    made = make(f"{broken} {sys.executable}")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / ".venv" / "python.stamp").exists()
