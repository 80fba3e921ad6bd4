"""All 25 ordered cross K functions against R spatstat, in turn, and against bare loops over pairs.

CPU seconds of one core: 5 types, 30 radii to 150 um, 5,000 cells per mm2. The largest relative
difference from the values of spatstat stands beside each ratio (its border estimate is binned by
the radii asked for, so that one differs by design). A bare loop visits the same pairs through the
same grid: one only counts them, the other keeps one count per ordered pair of types.

Run: python benchmarks/speed/cross_k.py > benchmarks/speed/cross_k.txt   (needs Rscript, spatstat)
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from times_stats import __version__  # noqa: E402
from times_stats._compiled import compiled  # noqa: E402
from times_stats.features import cross_k_all  # noqa: E402
from times_stats.features.point_grid import (  # noqa: E402
    PointGrid,
    arrange_points,
    count_pairs,
    squared_limits,
)
from times_stats.regions import Window  # noqa: E402

HERE = Path(__file__).parent
RADII = np.arange(5.0, 151.0, 5.0)
PER_MM2 = 5_000
SPATSTAT = {"border": "border", "translation": "translate", "isotropic": "isotropic"}


@compiled
def count_by_type(grid: PointGrid, limit: float, n_types: int) -> np.ndarray:
    """Count the pairs of each two types: the least that any cross K must do."""
    counts = np.zeros((n_types, n_types), dtype=np.int64)
    for row in range(grid.rows):
        for column in range(grid.columns):
            cell = row * grid.columns + column
            low = max(column - grid.reach, 0)
            high = min(column + grid.reach, grid.columns - 1)
            for i in range(grid.start[cell], grid.start[cell + 1]):
                x, y, own = grid.x[i], grid.y[i], counts[grid.code[i]]
                for other in range(row, min(row + grid.reach, grid.rows - 1) + 1):
                    first = grid.start[other * grid.columns + low]
                    if other == row:
                        first = i + 1
                    for j in range(first, grid.start[other * grid.columns + high + 1]):
                        dx, dy = grid.x[j] - x, grid.y[j] - y
                        if dx * dx + dy * dy <= limit:
                            own[grid.code[j]] += 1
    return counts


def pattern(n: int) -> tuple[np.ndarray, np.ndarray, Window]:
    """Return points under complete randomness, their types and their window."""
    side = np.sqrt(n / PER_MM2) * 1000.0
    rng = np.random.default_rng(n)
    points = rng.uniform(0.0, side, size=(n, 2))
    return (
        points,
        np.array(list("ABCDE"))[rng.integers(0, 5, n)],
        Window.rectangle(x=(0, side), y=(0, side)),
    )


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time of some calls, after one to compile."""
    work()
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return float(np.median(found))


def against_spatstat(n: int, correction: str, repeats: int) -> None:
    """Print one row: both times, their ratio, and how far the values differ."""
    points, types, window = pattern(n)
    ours = cpu_seconds(
        lambda: cross_k_all(points, types, window=window, r=RADII, correction=correction), repeats
    )
    k = cross_k_all(points, types, window=window, r=RADII, correction=correction)
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder) / "points.csv", Path(folder) / "k.csv"
        frame = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "type": types})
        frame.to_csv(table, index=False, float_format="%.17g")
        command = [
            "Rscript",
            HERE / "cross_k.R",
            table,
            repr(window.bounds[2]),
            SPATSTAT[correction],
        ]
        subprocess.run([*command, str(repeats), out], check=True)
        theirs, version = pd.read_csv(f"{out}.time").iloc[0]
        values = pd.read_csv(out)
    expected = np.stack([values[f"{a} {b}"] for a in "ABCDE" for b in "ABCDE"])
    differ = np.nanmax(np.abs(k.to_numpy().reshape(25, -1) / expected - 1))
    print(
        f"{n:>9,}  {correction:<12} {theirs:>9.3f} {ours:>9.4f} {theirs / ours:>7.1f}x "
        f"{differ:>10.1e}   spatstat.explore {version}"
    )


def against_bare_loops(n: int) -> None:
    """Print the time of the translation correction as multiples of bare loops over its pairs."""
    points, types, window = pattern(n)
    _, codes = np.unique(types, return_inverse=True)
    nothing = np.zeros(n)
    limit = float(squared_limits(RADII[-1:])[0])

    def arrange() -> PointGrid:
        return arrange_points(points, codes, nothing, nothing, RADII)

    full = cpu_seconds(
        lambda: cross_k_all(points, types, window=window, r=RADII, correction="translation"), 3
    )
    counted = cpu_seconds(lambda: count_pairs(arrange(), limit), 3)
    by_type = cpu_seconds(lambda: count_by_type(arrange(), limit, 5), 3)
    pairs = count_pairs(arrange(), limit)
    print(
        f"{n:>9,}  {pairs:,} pairs: cross K {full:.2f} s; counting them {counted:.2f} s "
        f"({full / counted:.2f}x); counting them by type {by_type:.2f} s ({full / by_type:.2f}x)"
    )


def main() -> None:
    """Print both tables."""
    print(f"times_stats {__version__}; CPU seconds, median; ratio = spatstat / times_stats")
    print(
        f"{'cells':>9}  {'correction':<12} {'spatstat':>9} {'ours':>9} {'ratio':>8} {'differ':>10}"
    )
    for n, repeats in ((5_000, 7), (20_000, 5), (200_000, 1)):
        for correction in SPATSTAT:
            against_spatstat(n, correction, repeats)
    print("\nTranslation correction against bare loops over the same pairs")
    against_bare_loops(1_000_000)


if __name__ == "__main__":
    main()
