"""What a user installs: wheel and sdist, in fresh environments, outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]

# A frozen install is what is tested: no checkout, user site or path variable leaks in.
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "COV"))}

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, timeout: int = 420) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


def interpreter(version: str) -> str:
    """Return a Python of this version that runs, or skip; CI must have both."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [sys.executable, f"python{version}"]
    candidates += [str(path) for path in sorted(pyenv.glob(f"{version}*/bin/python{version}"))]
    check = f"import sys; assert '%d.%d' % sys.version_info[:2] == '{version}'"
    for candidate in candidates:
        found = shutil.which(candidate)
        if found and not subprocess.run([found, "-c", check], capture_output=True).returncode:
            return found
    if os.environ.get("CI"):
        pytest.fail(f"no Python {version} to test the distribution with")
    pytest.skip(f"no Python {version} on this machine")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> dict[str, Path]:
    """Build the sdist, and the wheel from that sdist, as an index would hold them."""
    source = tmp_path_factory.mktemp("source") / "times_stats"
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "demo", "build", "dist", "__pycache__", "*.egg-info", "_build", ".*_cache"
    )
    shutil.copytree(ROOT, source, ignore=ignored)
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, source, cwd=out)
    return {"wheel": next(out.glob("*.whl")), "sdist": next(out.glob("*.tar.gz"))}


def test_wheel_holds_the_package_and_its_data_and_nothing_else(distributions):
    with zipfile.ZipFile(distributions["wheel"]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        licences = {
            name.rpartition("licenses/")[2] for name in wheel.namelist() if "licenses/" in name
        }
    package = ROOT / "times_stats"
    expected = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected
    assert "times_stats/py.typed" in names
    assert licences >= {"LICENSE", "times_stats/datasets/hcc_ihc_regions/LICENSE"}


def test_sdist_holds_what_a_packager_needs(distributions):
    with tarfile.open(distributions["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"}
    assert names >= {"constraints.txt", "times_stats/datasets/times_published/LICENSE"}
    assert not [name for name in names if name.startswith((".venv", "demo/", ".git/"))]


# The wheel is built from the sdist, so one of each on each version covers both on both.
@pytest.mark.parametrize(("version", "kind"), [("3.12", "wheel"), ("3.13", "sdist")])
def test_demo_runs_outside_the_repository(version, kind, distributions, tmp_path):
    environment = tmp_path / "environment"
    run(interpreter(version), "-m", "venv", environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    install = ("-m", "pip", "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt")
    run(python, *install, distributions[kind], cwd=tmp_path)

    where = run(python, "-c", "import times_stats; print(times_stats.__file__)", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(environment)
    typed = run(python, "-m", "pip", "check", cwd=tmp_path)
    assert "No broken requirements" in typed.stdout

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = environment / "bin" / "times-stats"
    done = run(program, "demo", "--out", "out", "--seed", "1", cwd=elsewhere)
    assert "report.html" in done.stdout.strip().splitlines()[-1]

    out = elsewhere / "out"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert len(page) > 50_000
    for analysis, n_patients in (("all", 227), ("complete", 101)):
        scores = pd.read_csv(out / analysis / "scores.csv")
        assert len(scores) == n_patients
        assert scores["score"].between(0, 1).all()
        comparison = pd.read_csv(out / analysis / "comparison.csv")
        assert {"model", "metric", "estimate", "lower", "upper"} <= set(comparison.columns)
        assert (out / analysis / "provenance.json").is_file()

    # the saved model scores patients without refitting, from the same installation
    study = environment.glob(
        "lib/python*/site-packages/times_stats/datasets/hcc_ihc_regions/complete.toml"
    )
    command = (program, "score", out / "complete" / "model", "--study", next(study))
    run(*command, "--out", elsewhere / "new.csv", cwd=elsewhere)
    new = pd.read_csv(elsewhere / "new.csv")
    assert len(new) == 227  # every patient of the table; those with one marker are scored on it
    assert new["score"].between(0, 1).all()
