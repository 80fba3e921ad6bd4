"""The command line: ``times-stats demo``, ``run``, ``stage``, ``score`` and the others."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from times_stats import __version__
from times_stats.errors import InputError, NotBuiltError, TimesStatsError, TimesStatsWarning

PLANNED = {
    "serve": "the calculator in a browser",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"times-stats: error: {message}; see {self.prog} --help\n")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return value


def _non_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return value


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="print errors only")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    jobs = _Parser(add_help=False)
    jobs.add_argument(
        "--jobs",
        type=_positive,
        default=os.cpu_count() or 1,
        help="processes; the results do not depend on it (default: %(default)s)",
    )
    spreading = _Parser(add_help=False, parents=[jobs])
    spreading.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="measure cells on a Dask cluster, such as tcp://host:8786; on this machine otherwise",
    )
    fitting = _Parser(add_help=False)
    fitting.add_argument("--seed", type=_non_negative, help="instead of the study's seed")
    parser = _Parser(prog="times-stats", description="From cells in tissue regions to a prognosis.")
    parser.add_argument("--version", action="version", version=f"times_stats {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    demo = commands.add_parser(
        "demo", parents=[common, fitting, jobs], help="the whole analysis on the shipped HCC data"
    )
    demo.add_argument("--out", required=True, type=Path, help="folder to write to")
    run = commands.add_parser(
        "run", parents=[common, fitting, spreading], help="the same on your study"
    )
    run.add_argument("study", type=Path, help="study file (TOML)")
    run.add_argument("--out", required=True, type=Path, help="folder to write to")
    features = commands.add_parser(
        "features", parents=[common, spreading], help="the feature table of a study with cells"
    )
    features.add_argument("study", type=Path, help="study file (TOML) with [cells]")
    features.add_argument("--out", required=True, type=Path, help="file: .csv or .parquet")
    stage = commands.add_parser(
        "stage", parents=[common], help="stages and scores from clinical columns"
    )
    stage.add_argument("patients", type=Path, help="table of patients: csv, tsv or parquet")
    stage.add_argument("--out", required=True, type=Path, help="CSV file to write")
    score = commands.add_parser("score", parents=[common, jobs], help="apply a fitted model")
    score.add_argument("model", type=Path, help="the model/ folder of a run")
    score.add_argument("--study", required=True, type=Path, help="study file of the new patients")
    score.add_argument("--out", required=True, type=Path, help="CSV file to write")
    audit = commands.add_parser("audit", parents=[common], help="check a finished run for leakage")
    audit.add_argument("run", type=Path, help="folder of a finished run")
    audit.add_argument("--out", type=Path, help="CSV file to write; nothing is written otherwise")
    compare = commands.add_parser(
        "compare", parents=[common, fitting], help="anybody's risks against the stages of a study"
    )
    compare.add_argument("study", type=Path, help="study file (TOML)")
    compare.add_argument(
        "--risk",
        required=True,
        type=Path,
        help="table with patient_id and a column per prediction: NAME is a risk (larger = earlier "
        "event), NAME@24 the probability of the event by month 24",
    )
    compare.add_argument("--columns", nargs="+", metavar="NAME", help="read these columns only")
    compare.add_argument("--out", required=True, type=Path, help="folder to write to")
    _add_simulate(
        commands.add_parser("simulate", parents=[common], help="a synthetic study with known truth")
    )
    for name, part in PLANNED.items():
        commands.add_parser(name, help=f"not built yet: {part}", add_help=False)
    return parser


# Option, how it is read, what it sets, and where it applies: every default is the function's own.
_EVERYWHERE = ("measurements", "cells", "published")
_SIMULATED: tuple[tuple[str, Callable[[str], float], str, tuple[str, ...], str], ...] = (
    ("--patients", int, "n_patients", ("measurements", "cells"), "number of patients"),
    ("--cohorts", int, "n_cohorts", ("measurements", "cells"), "number of cohorts"),
    ("--images", int, "n_images", _EVERYWHERE, "images (tiles) of each patient"),
    ("--markers", int, "markers", ("measurements", "cells"), "number of markers"),
    ("--regions", int, "regions", ("measurements",), "number of regions"),
    ("--effect", float, "effect", _EVERYWHERE, "log hazard ratio per sd of the level"),
    ("--location-effect", float, "location_effect", _EVERYWHERE, "the same of the location"),
    ("--stage-effect", float, "stage_effect", ("measurements", "cells"), "the same of severity"),
    ("--reliability", float, "reliability", ("measurements",), "of every region, up to 1"),
    ("--batch-effect", float, "batch_effect", ("measurements",), "sd of cohorts' stainings (log)"),
    ("--front-share", float, "front_share", ("cells",), "median share of cells in the front"),
    ("--exclusion", float, "exclusion", ("cells",), "share kept out of the tumour's centre"),
    ("--cluster-size", float, "cluster_size", ("cells",), "mean cells of a cluster, 0 for none"),
)


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, type=Path, help="new or empty folder to write to")
    parser.add_argument("--seed", type=_non_negative, default=1, help="(default: %(default)s)")
    parser.add_argument(
        "--level",
        choices=_EVERYWHERE,
        default="measurements",
        help="stainings by region, cells in images, or stainings in a study of the published size",
    )
    for option, kind, name, levels, text in _SIMULATED:
        where = "" if len(levels) == len(_EVERYWHERE) else f" ({' and '.join(levels)} only)"
        parser.add_argument(
            option, type=kind, dest=name, default=argparse.SUPPRESS, help=text + where
        )
    parser.add_argument(
        "--missing-block",
        action="store_true",
        default=argparse.SUPPRESS,
        help="half of the markers unmeasured in 40 %% of the patients (measurements only)",
    )


class _Display:
    """Progress on a terminal (rich), one line a step elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool, name: str = "") -> None:
        self._quiet = quiet
        self._name = name

    def named(self, name: str) -> _Display:
        """Return a display that prints lines with the name of the analysis."""
        return _Display(quiet=self._quiet, name=name)

    @contextmanager
    def step(self, title: str, *, total: int | None = None) -> Iterator[Callable[[], None]]:
        console = Console(stderr=True)
        if self._quiet:
            yield lambda: None
        elif self._name or not console.is_terminal:
            print(f"{self._name}: {title}" if self._name else title, file=sys.stderr, flush=True)
            yield lambda: None
        else:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
            with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
                task = bar.add_task(title, total=total)
                yield lambda: bar.advance(task)
                bar.update(task, total=total or 1, completed=total or 1)


def _show_warning(message: Warning | str, *_args: object, **_kwargs: object) -> None:
    print(f"times-stats: warning: {message}", file=sys.stderr, flush=True)


def _demo(args: argparse.Namespace) -> None:
    from times_stats.pipeline.demonstration import run_demo

    report = run_demo(
        out=args.out, seed=args.seed, jobs=args.jobs, display=_Display(quiet=args.quiet)
    )
    print(f"report: {report}")


def _run(args: argparse.Namespace) -> None:
    from times_stats.pipeline.analysis import run
    from times_stats.pipeline.cluster import working_on
    from times_stats.studies.reading import read_study

    display = _Display(quiet=args.quiet)
    with working_on(args.dask), display.step("study") as advance:
        study = read_study(args.study, jobs=args.jobs, advance=advance)
    result = run(study, out=args.out, seed=args.seed, jobs=args.jobs, display=display)
    print(f"report: {result.out / 'report.html'}")


def _features(args: argparse.Namespace) -> None:
    from times_stats.pipeline.cell_features import write_features
    from times_stats.pipeline.cluster import working_on

    display = _Display(quiet=args.quiet)
    with working_on(args.dask):
        table = write_features(args.study, out=args.out, jobs=args.jobs, display=display)
    if not args.quiet:
        print(f"{table['patient_id'].nunique()} patients, {len(table)} features: {args.out}")


def _stage(args: argparse.Namespace) -> None:
    from times_stats.pipeline.staged_file import write_stages

    staged = write_stages(args.patients, out=args.out)
    if args.quiet:
        return
    print(f"{len(staged.table)} patients, {len(staged.answered)} stages and scores: {args.out}")
    unanswered = [name for name, count in staged.answered.items() if count == 0]
    for said, names in (("bounds only", unanswered), ("left out", staged.left_out)):
        alike: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            alike.setdefault(staged.absent[name], []).append(name)
        for absent, systems in alike.items():
            print(f"{said}: {', '.join(systems)} (no {', '.join(absent) or 'value'})")


def _score(args: argparse.Namespace) -> None:
    from times_stats.pipeline.application import apply_saved_model

    table = apply_saved_model(args.model, args.study, out=args.out, jobs=args.jobs)
    if not args.quiet:
        print(f"{len(table)} patients scored: {args.out}")


def _compare(args: argparse.Namespace) -> None:
    from times_stats.pipeline.risk_comparison import compare_risks

    found = compare_risks(args.study, args.risk, out=args.out, columns=args.columns, seed=args.seed)
    if not args.quiet:
        print(f"{found.text}\n{len(found.table)} rows: {args.out / 'comparison.csv'}")


def _simulate(args: argparse.Namespace) -> None:
    from times_stats.pipeline.simulated_files import check_new_folder, write_simulated_study
    from times_stats.simulate import (
        TissueDesign,
        simulate_cells,
        simulate_published_study,
        simulate_study,
    )

    known = {name: (option, levels) for option, _, name, levels, _ in _SIMULATED}
    known["missing_block"] = ("--missing-block", ("measurements",))
    given = {name: value for name, value in vars(args).items() if name in known}
    foreign = [known[name][0] for name in given if args.level not in known[name][1]]
    if foreign:
        verb = "does" if len(foreign) == 1 else "do"
        raise InputError(
            f"{', '.join(foreign)} {verb} not apply to --level {args.level}: leave it out"
        )
    check_new_folder(args.out)
    display = _Display(quiet=args.quiet)
    with display.step("simulating"):
        if args.level == "cells":
            names = {field.name for field in dataclasses.fields(TissueDesign)}
            tissue = TissueDesign(**{n: given.pop(n) for n in list(given) if n in names})
            simulated = simulate_cells(**given, tissue_design=tissue, seed=args.seed)
        elif args.level == "published":
            simulated = simulate_published_study(**given, seed=args.seed)
        else:
            simulated = simulate_study(**given, seed=args.seed)
        study = write_simulated_study(simulated, out=args.out)
    if not args.quiet:
        events = int(simulated.patients["event"].sum())
        print(f"{len(simulated.patients)} patients, {events} events: {study}")


def _audit(args: argparse.Namespace) -> int:
    from times_stats._checks import name_rows
    from times_stats.audit.run_checks import FOUND, check_run
    from times_stats.pipeline.csv_files import write_csv

    findings = check_run(args.run)
    if args.out is not None:
        write_csv(findings.assign(patients=findings["patients"].map("; ".join)), args.out)
    for check, status, what, patients, remedy in findings.to_numpy().tolist():
        if args.quiet and status != FOUND:
            continue
        named = f" ({name_rows(patients)})" if patients else ""
        told = f"; {remedy}" if remedy else ""
        print(f"{status}: {check.replace('_', ' ')}: {what}{named}{told}")
    return 1 if (findings["status"] == FOUND).any() else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; those of the process by default.

    Returns
    -------
    int
        0; 1 where the audit found something or a fit failed; 2 for bad input; 130 when
        interrupted.

    Examples
    --------
    >>> main(["serve"])
    2
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words and words[0] in PLANNED:
            raise NotBuiltError(f"times-stats {words[0]}", PLANNED[words[0]])
        args = _parser().parse_args(words)
    except NotBuiltError as error:
        print(f"times-stats: error: {error}", file=sys.stderr)
        return 2
    work: dict[str, Callable[[argparse.Namespace], int | None]] = {
        "demo": _demo,
        "run": _run,
        "features": _features,
        "stage": _stage,
        "score": _score,
        "compare": _compare,
        "simulate": _simulate,
        "audit": _audit,
    }
    with warnings.catch_warnings():
        if not args.debug:
            warnings.simplefilter("ignore")
            warnings.simplefilter("ignore" if args.quiet else "always", TimesStatsWarning)
        warnings.showwarning = _show_warning
        try:
            return work[args.command](args) or 0
        except KeyboardInterrupt:
            print("times-stats: stopped; the same command resumes", file=sys.stderr)
            return 130
        except (TimesStatsError, OSError) as error:
            if args.debug:
                raise
            text = " ".join(str(error).split())
            print(f"times-stats: error: {text}", file=sys.stderr)
            return 2 if isinstance(error, InputError | NotBuiltError | OSError) else 1


if __name__ == "__main__":
    sys.exit(main())
