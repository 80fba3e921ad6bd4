"""One browser and one demo report for the tests of this folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from devtools import Browser, open_browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None and os.environ.get("CI"):
        pytest.fail("chromium is not installed; .ci/run installs it")
    if program is None:
        pytest.skip("chromium is not installed")
    with open_browser(program, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo report: the one named by TIMES_STATS_REPORT, or one made here."""
    named = os.environ.get("TIMES_STATS_REPORT")
    if named:
        return Path(named)
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "times_stats", "demo", "--out", str(folder), "--quiet"]
    subprocess.run(command, check=True)
    return folder / "report.html"
