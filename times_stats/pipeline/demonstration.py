"""The main job on the shipped data: two study files, one report."""

from __future__ import annotations

import os
from pathlib import Path

from times_stats.datasets import load_hcc_ihc
from times_stats.errors import InputError
from times_stats.pipeline.analysis import run
from times_stats.pipeline.checkpoints import replacing
from times_stats.pipeline.steps import Display
from times_stats.report.page import write_report

ANALYSES = ("all", "complete")


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
        Processes; the results do not depend on it.
    display : Display, optional
        Shows progress.

    Returns
    -------
    Path
        The report.

    Examples
    --------
    >>> from times_stats.pipeline import run_demo
    >>> run_demo(out="demo")  # doctest: +SKIP
    PosixPath('demo/report.html')
    """
    out = Path(out)
    ours = {*ANALYSES, "report.html"}
    if out.is_dir() and any(path.name not in ours for path in out.iterdir()):
        raise InputError(f"{out} holds files of something else; name an empty or a new folder")
    results = [
        run(load_hcc_ihc(name), out=out / name, seed=seed, jobs=jobs, display=display)
        for name in ANALYSES
    ]
    with replacing(out / "report.html") as part:
        write_report([result.contents for result in results], part)
    return out / "report.html"
