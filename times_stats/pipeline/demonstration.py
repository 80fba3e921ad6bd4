"""The main job on the shipped data: two study files, one report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from joblib import Parallel, delayed

from times_stats.datasets import load_hcc_ihc
from times_stats.errors import InputError
from times_stats.pipeline.analysis import RunResult, run
from times_stats.pipeline.checkpoints import replacing
from times_stats.pipeline.steps import Display
from times_stats.report.page import write_report

type Analysis = Literal["all", "complete"]

ANALYSES: tuple[Analysis, ...] = ("all", "complete")


def run_demo(
    *,
    out: str | os.PathLike[str],
    seed: int | None = None,
    jobs: int = 1,
    display: Display | None = None,
) -> Path:
    """Analyse the shipped HCC data twice and set the two analyses side by side.

    Parameters
    ----------
    out : path
        Folder; ``all`` and ``complete`` below it are run folders of their own.
    seed : int, optional
        Instead of the seed of the shipped study files.
    jobs : int, default 1
        Processes; with two or more the analyses run beside each other. The results do not depend
        on it.
    display : Display, optional
        Shows progress.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    InputError
        If `out` holds files of something else.

    Examples
    --------
    >>> from times_stats.pipeline import run_demo
    >>> run_demo(out="demo")  # doctest: +SKIP
    PosixPath('demo/report.html')
    """
    out = Path(out)
    ours = {*ANALYSES, "report.html"}
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= ours):
        raise InputError(f"{out} holds files of something else; name an empty or a new folder")
    # Compilation and reports keep one core busy: side by side the analyses fill two.
    results = Parallel(n_jobs=min(jobs, len(ANALYSES)))(
        delayed(_analyse)(name, out, seed, max(1, jobs // len(ANALYSES)), display)
        for name in reversed(ANALYSES)  # the longer one first
    )
    with replacing(out / "report.html") as part:
        write_report([result.contents for result in reversed(results)], part)
    return out / "report.html"


def _analyse(
    name: Analysis, out: Path, seed: int | None, jobs: int, display: Display | None
) -> RunResult:
    shown = None if display is None else display.named(name)
    return run(load_hcc_ihc(name), out=out / name, seed=seed, jobs=jobs, display=shown)
