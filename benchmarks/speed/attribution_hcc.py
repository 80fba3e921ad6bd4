"""CPU seconds of attribution and test on the shipped liver-cancer data, as a run does them.

Both study files: the ladder with its tests, as many permutations and refits as a run makes, and the
two Shapley games. CPU time of one process: it does not depend on what else the machine does;
``wall`` says how busy it was. Compiled loops are warmed up first. The answers are printed below.

    python benchmarks/speed/attribution_hcc.py > benchmarks/speed/attribution_hcc.txt
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable

import pandas as pd
from threadpoolctl import threadpool_limits

import times_stats as ts
from times_stats.attribution.carriers import Carriers, find_carriers
from times_stats.attribution.integration import IntegrationResult, integration_test
from times_stats.pipeline.preparation import Prepared, prepare
from times_stats.pipeline.steps import PERMUTATIONS, REFITS, build_design

type Answer = IntegrationResult | Carriers


def clock(name: str, analysis: str, work: Callable[[], Answer]) -> dict[str, object]:
    """Return a row with the seconds of one step, and its statement."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    return {
        "analysis": analysis,
        "step": name,
        "CPU s": time.process_time() - cpu,
        "wall s": time.perf_counter() - wall,
        "statement": found.statement,
    }


def test_location(prepared: Prepared) -> Answer:
    """Climb the ladder and make the tests."""
    return integration_test(
        prepared.features,
        prepared.outcome,
        n_resamples=prepared.study.evaluate.n_resamples,
        n_permutations=PERMUTATIONS,
        n_refits=REFITS,
        margin=prepared.study.evaluate.margin,
        seed=prepared.study.seed,
        **build_design(prepared),
    )


def play(prepared: Prepared) -> Answer:
    """Play both games."""
    return find_carriers(
        prepared.features,
        prepared.outcome,
        n_resamples=prepared.study.evaluate.n_resamples,
        seed=prepared.study.seed,
        jobs=1,
        **build_design(prepared),
    )


def main() -> None:
    """Print the table."""
    with threadpool_limits(limits=1):
        studies = {name: prepare(ts.datasets.load_hcc_ihc(name)) for name in ("all", "complete")}
        play(studies["all"])
        rows = []
        for name, prepared in studies.items():
            rows.append(clock("ladder and tests", name, lambda p=prepared: test_location(p)))
            rows.append(clock("Shapley games", name, lambda p=prepared: play(p)))
    table = pd.DataFrame(rows)
    print(table.drop(columns="statement").round(1).to_string(index=False))
    print(f"\nladder, tests and games of both: {table['CPU s'].sum():.0f} CPU s (limit 180)")
    for row in table.to_dict("records"):
        print(f"\n{row['analysis']}, {row['step']}:")
        print(textwrap.fill(str(row["statement"]), width=96))


if __name__ == "__main__":
    main()
