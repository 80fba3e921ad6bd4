"""The tests of location without refits on the shipped lung cells, and what each leaves out.

python benchmarks/calibration/location_lung.py > benchmarks/calibration/location_lung.txt
"""

from __future__ import annotations

import textwrap

from threadpoolctl import threadpool_limits

import times_stats as ts
from times_stats.attribution.null_answers import run_location_nulls, tabulate_nulls
from times_stats.pipeline.preparation import prepare
from times_stats.pipeline.random_labels import move_labels
from times_stats.pipeline.steps import LABELLINGS, PERMUTATIONS


def main() -> None:
    """Print p-values and notes."""
    with threadpool_limits(limits=1):
        prepared = prepare(ts.datasets.load_lung_vectra())
        keep = prepared.stages.notna().all(axis=1).to_numpy()
        nulls = run_location_nulls(
            prepared.features[keep],
            prepared.outcome[keep],
            stages=prepared.stages[keep],
            levels=prepared.table.levels[keep],
            folds=prepared.folds[:, keep],
            n_permutations=PERMUTATIONS,
            n_refits=0,
            seed=prepared.study.seed,
            jobs=1,
        )
        labelled = move_labels(prepared, n_permutations=LABELLINGS)
    found = [*nulls, *([] if labelled is None else [labelled])]
    print(tabulate_nulls(found).round(4).to_string(index=False))
    for one in found:
        for note in one.notes:
            print(textwrap.fill(f"{one.null}: {note}", width=96, subsequent_indent="    "))


if __name__ == "__main__":
    main()
