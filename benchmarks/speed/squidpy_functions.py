"""Every spatial function that squidpy and times_stats both have: CPU seconds in turn, and errors.

CPU seconds of one core, median, the calls of the two alternating; each first call, which compiles,
is left out. Ten types in a square of 5,000 cells per mm2: six placed at random, four in clusters
(Thomas process), so that the true L of all and the true G and F of six are known. Radii every 5 um
to 250 um for both. The error columns hold, first for squidpy and then for times_stats, the distance
from a reference:

truth     root mean square over types and radii from 10 um on; L relative, G and F absolute,
          co-occurrence of types placed at random relative
spatstat  largest difference, the same way (isotropic L; Kaplan-Meier G and F on radii 0.05 um
          apart; F there on pixels of a 2,000th of the side)
arcs      share of the arcs of the exact graph that are missing or too many
exact     largest relative difference from counts of pairs in double precision
spdep     largest difference of a z score from spdep's closed form, and the largest one over |z|
          where |z| is above 1

squidpy takes its default of 1,000 permutations for the z scores, and single precision for
co-occurrence. It divides F and G by the number of distances within the largest radius, so both end
at 1.
squidpy's G looks from the cells of all other types to a type, over first and second neighbours; it
stands beside the G of the type itself, which its documentation describes, and beside the cross G
from all others. Its simulations (p values against complete randomness) are timed apart: times_stats
has nothing in their place. Its radius graph and nearest-neighbour graph hold distances too.

Run: python benchmarks/speed/squidpy_functions.py > benchmarks/speed/squidpy_functions.txt
(needs the environment of benchmarks/rivals/squidpy/requirements.txt; Rscript, spatstat, spdep)
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import json  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy.spatial import cKDTree  # noqa: E402

from times_stats import __version__  # noqa: E402
from times_stats.features import (  # noqa: E402
    NeighbourGraph,
    besag_l,
    cross_g,
    cross_k_all,
    delaunay_graph,
    empty_space_f,
    nearest_neighbour_g,
    nearest_neighbour_graph,
    neighbourhood_enrichment,
    radius_graph,
)
from times_stats.regions import Window  # noqa: E402

HERE = Path(__file__).parent
PYTHON = os.environ.get("SQUIDPY_PYTHON", ".venv-squidpy/bin/python")
R = np.arange(0.0, 251.0, 5.0)
FAR = R >= 10.0
PER_MM2 = {"random": (800, 700, 600, 500, 400, 300), "clustered": (425, 425, 425, 425)}
CENTRES_PER_MM2, SPREAD = 50.0, 20.0  # of the clusters, um
TYPES = [f"t{k}" for k in range(10)]
N_RANDOM = len(PER_MM2["random"])
LONGEST, NEAR, NEAREST = 50.0, 30.0, 6


@dataclass(frozen=True)
class Pattern:
    """Points of ten types, and the reference values of their statistics."""

    points: np.ndarray
    types: np.ndarray
    window: Window
    reference: dict[str, np.ndarray]

    def of(self, kind: str) -> np.ndarray:
        return self.points[self.types == kind]

    def others(self, kind: str) -> np.ndarray:
        return self.points[self.types != kind]


@dataclass(frozen=True)
class Row:
    """One line of the table: what is called on both sides, and how far each is from references."""

    question: str
    theirs: str
    ours: Callable[[Pattern], Any]
    error: Callable[[Pattern, np.ndarray], dict[str, float]]


class Rival:
    """A process of squidpy's environment that answers one request at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [PYTHON, str(HERE / "squidpy_functions_rival.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.about = self._answer()

    def call(self, name: str, points: Path) -> tuple[float, np.ndarray]:
        out = self.folder / "answer.npy"
        request = {"call": name, "points": str(points), "out": str(out)}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()["seconds"], np.load(out)

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def simulate(n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return some n points, their types and the side of their square."""
    rng = np.random.default_rng(n)
    side = float(np.sqrt(n / 5_000) * 1000.0)
    area = side**2 / 1e6
    places = [rng.uniform(0, side, (round(per * area), 2)) for per in PER_MM2["random"]]
    for per in PER_MM2["clustered"]:
        reach = 5 * SPREAD
        wide = (side + 2 * reach) ** 2 / 1e6
        centres = rng.uniform(-reach, side + reach, (rng.poisson(CENTRES_PER_MM2 * wide), 2))
        children = np.repeat(centres, rng.poisson(per / CENTRES_PER_MM2, len(centres)), axis=0)
        children = children + rng.normal(0, SPREAD, children.shape)
        places.append(children[((children > 0) & (children < side)).all(axis=1)])
    types = np.repeat(TYPES, [len(p) for p in places])
    order = rng.permutation(len(types))
    return np.concatenate(places)[order], types[order], side


def true_values() -> dict[str, np.ndarray]:
    """L of all types, G and F of those placed at random, from their processes."""
    thomas = -np.expm1(-(R**2) / (4 * SPREAD**2)) / (np.pi * CENTRES_PER_MM2 / 1e6)
    clustered = np.sqrt(R**2 + thomas)
    rows = [R] * N_RANDOM + [clustered] * (len(TYPES) - N_RANDOM)
    per_um2 = np.array(PER_MM2["random"])[:, None] / 1e6
    return {"true_l": np.array(rows), "true_g": -np.expm1(-per_um2 * np.pi * R**2)}


def exact_co_occurrence(points: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Co-occurrence from pairs counted by a tree of each type, in double precision."""
    trees = [cKDTree(points[types == kind]) for kind in TYPES]
    counts = np.array([[a.count_neighbors(b, R[1:]) for b in trees] for a in trees], dtype=float)
    for k, tree in enumerate(trees):
        counts[k, k] -= tree.n
    return ratio(counts)


def ratio(counts: np.ndarray) -> np.ndarray:
    """Share of one type around another over its share around all."""
    each = counts.sum(axis=1)
    return counts / each[:, None, :] / (each / each.sum(axis=0))[None, :, :]


def co_occurrence(pattern: Pattern) -> np.ndarray:
    """Our answer to squidpy's question: the uncorrected cross K as numbers of pairs."""
    k = cross_k_all(
        pattern.points, pattern.types, window=pattern.window, r=R[1:], correction="none"
    ).to_numpy()
    n = np.unique(pattern.types, return_counts=True)[1]
    return ratio(k * (n[:, None] * (n[None, :] - np.eye(len(n))))[:, :, None])


def exact_arcs(points: np.ndarray) -> dict[str, np.ndarray]:
    """Nearest neighbours and neighbours within a radius from all distances, block by block."""
    nearest, within = [], []
    for block in np.array_split(np.arange(len(points)), len(points) // 500 + 1):
        squared = ((points[block, None, :] - points[None, :, :]) ** 2).sum(axis=2)
        squared[np.arange(len(block)), block] = np.inf
        close = np.argpartition(squared, NEAREST, axis=1)[:, :NEAREST]
        nearest.append(np.column_stack([np.repeat(block, NEAREST), close.ravel()]))
        source, target = np.nonzero(squared <= NEAR**2)
        within.append(np.column_stack([block[source], target]))
    return {"nearest": np.concatenate(nearest), "radius": np.concatenate(within)}


def reference(points: np.ndarray, types: np.ndarray, side: float, folder: Path) -> dict[str, Any]:
    """All reference values, those of R included."""
    graph = delaunay_graph(points, longest=LONGEST)
    frame = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "type": types})
    frame.to_csv(folder / "points.csv", index=False, float_format="%.17g")
    arcs = pd.DataFrame({"source": graph.source, "target": graph.target})
    arcs.to_csv(folder / "arcs.csv", index=False)
    files = [folder / "points.csv", repr(side), folder / "arcs.csv", folder]
    subprocess.run(["Rscript", HERE / "squidpy_functions.R", *files], check=True)
    names = ("L", "own", "cross", "empty", "z")
    found = {name: pd.read_csv(folder / f"{name}.csv").to_numpy() for name in names}
    sides = pd.read_csv(folder / "deldir.csv").to_numpy()
    step = points[sides[:, 0]] - points[sides[:, 1]]
    sides = sides[(step**2).sum(axis=1) <= LONGEST**2]
    found["delaunay"] = np.concatenate([sides, sides[:, ::-1]])
    found["co-occurrence"] = exact_co_occurrence(points, types)
    return found | true_values() | exact_arcs(points)


def arcs_of(graph: NeighbourGraph) -> np.ndarray:
    """Return a graph as rows of source and target."""
    return np.column_stack([graph.source, graph.target])


def by_type(function: Callable[[Pattern, str], np.ndarray]) -> Callable[[Pattern], np.ndarray]:
    """Return the values of a function for each type."""
    return lambda pattern: np.array([function(pattern, kind) for kind in TYPES])


def from_l(pattern: Pattern, value: np.ndarray) -> dict[str, float]:
    """Errors of L, relative."""
    truth, golden = (pattern.reference[name][:, FAR] for name in ("true_l", "L"))
    value = value[:, FAR]
    return {
        "truth": float(np.sqrt(np.mean((value / truth - 1) ** 2))),
        "spatstat": float(np.abs(value / golden - 1).max()),
    }


def from_distribution(name: str) -> Callable[[Pattern, np.ndarray], dict[str, float]]:
    """Errors of G or F."""

    def errors(pattern: Pattern, value: np.ndarray) -> dict[str, float]:
        random = value[:N_RANDOM, FAR] - pattern.reference["true_g"][:, FAR]
        return {
            "truth": float(np.sqrt(np.mean(random**2))),
            "spatstat": float(np.abs(value - pattern.reference[name])[:, FAR].max()),
        }

    return errors


def from_arcs(name: str) -> Callable[[Pattern, np.ndarray], dict[str, float]]:
    """Arcs that differ from those of the exact graph."""

    def errors(pattern: Pattern, value: np.ndarray) -> dict[str, float]:
        return {"arcs": changed(pattern.reference[name], value)}

    return errors


def changed(first: np.ndarray, second: np.ndarray) -> float:
    """Share of arcs that only one of two graphs has."""
    a, b = (set(map(tuple, arcs.tolist())) for arcs in (first, second))
    return len(a ^ b) / len(a)


def from_z(pattern: Pattern, value: np.ndarray) -> dict[str, float]:
    z = pattern.reference["z"]
    differ = np.abs(value - z)
    return {
        "spdep": float(differ.max()),
        "relative": float((differ / np.maximum(np.abs(z), 1)).max()),
    }


def from_counts(pattern: Pattern, value: np.ndarray) -> dict[str, float]:
    place = np.searchsorted(TYPES, pattern.types)
    arcs = pattern.reference["delaunay"]
    counts = np.zeros((len(TYPES), len(TYPES)))
    np.add.at(counts, (place[arcs[:, 0]], place[arcs[:, 1]]), 1.0)
    return {"exact": float(np.abs(value / counts - 1).max())}


def from_pairs(pattern: Pattern, value: np.ndarray) -> dict[str, float]:
    exact = np.nan_to_num(pattern.reference["co-occurrence"], nan=1.0)
    differ = np.abs(np.nan_to_num(value, nan=1.0) - exact) / np.where(exact > 0, exact, 1.0)
    apart = ~np.eye(N_RANDOM, dtype=bool)
    random = value[:N_RANDOM, :N_RANDOM, FAR[1:]][apart]
    return {
        "truth": float(np.sqrt(np.mean((random / random_share(pattern) - 1) ** 2))),
        "exact": float(differ.max()),
    }


def random_share(pattern: Pattern) -> np.ndarray:
    """Return the expected co-occurrence of types placed at random, 1 only without clusters."""
    n = np.unique(pattern.types, return_counts=True)[1].astype(float)
    k = np.pi * R[1:] ** 2 * np.ones((len(TYPES), len(TYPES), 1))
    own = np.pi * pattern.reference["true_l"][:, 1:] ** 2
    k[np.arange(len(TYPES)), np.arange(len(TYPES))] = own
    share = ratio(k * (n[:, None] * (n[None, :] - np.eye(len(n))))[:, :, None])
    apart = ~np.eye(N_RANDOM, dtype=bool)
    return share[:N_RANDOM, :N_RANDOM, FAR[1:]][apart]


def enrichment(pattern: Pattern, graph: NeighbourGraph) -> Any:
    return neighbourhood_enrichment(graph, pattern.types, types=TYPES)


def rows(pattern: Pattern) -> Iterator[Row]:
    """Return the table; the graph that counts rest on is made beforehand on both sides."""
    graph = delaunay_graph(pattern.points, longest=LONGEST)
    window = pattern.window
    ours_l = by_type(lambda p, kind: besag_l(p.of(kind), window=window, r=R))
    own = by_type(lambda p, kind: nearest_neighbour_g(p.of(kind), window=window, r=R))
    cross = by_type(lambda p, kind: cross_g(p.others(kind), p.of(kind), window=window, r=R))
    empty = by_type(lambda p, kind: empty_space_f(p.of(kind), window=window, r=R))
    yield Row("L of each type", "L", ours_l, from_l)
    yield Row("  and 100 simulations", "L, 100 simulations", ours_l, from_l)
    yield Row("G of each type", "G", own, from_distribution("own"))
    yield Row("  and 100 simulations", "G, 100 simulations", own, from_distribution("own"))
    yield Row("G from others to a type", "G", cross, from_distribution("cross"))
    yield Row("F of each type", "F", empty, from_distribution("empty"))
    yield Row("  and 100 simulations", "F, 100 simulations", empty, from_distribution("empty"))
    yield Row(
        "graph, 6 nearest",
        "nearest",
        lambda p: nearest_neighbour_graph(p.points, n_neighbours=NEAREST),
        from_arcs("nearest"),
    )
    yield Row(
        "graph, within 30 um",
        "radius",
        lambda p: radius_graph(p.points, radius=NEAR),
        from_arcs("radius"),
    )
    yield Row(
        "graph, Delaunay",
        "delaunay",
        lambda p: delaunay_graph(p.points, longest=LONGEST),
        from_arcs("delaunay"),
    )
    yield Row(
        "enrichment, z",
        "enrichment",
        lambda p: enrichment(p, graph)["z"].to_numpy(),
        from_z,
    )
    yield Row(
        "interaction matrix",
        "interactions",
        lambda p: enrichment(p, graph)["count"].to_numpy(),
        from_counts,
    )
    yield Row("co-occurrence", "co-occurrence", co_occurrence, from_pairs)


def compare(row: Row, pattern: Pattern, points: Path, rival: Rival) -> None:
    """Print one row: both times, their ratio, and the errors of both."""
    ours, (theirs_first, _) = row.ours(pattern), rival.call(row.theirs, points)
    repeats = 7 if theirs_first < 2.0 else 3
    ours_seconds, their_seconds = [], []
    for _ in range(repeats):
        began = time.process_time()
        ours = row.ours(pattern)
        ours_seconds.append(time.process_time() - began)
        seconds, theirs = rival.call(row.theirs, points)
        their_seconds.append(seconds)
    if isinstance(ours, NeighbourGraph):
        ours = arcs_of(ours)
    mine, other = float(np.median(ours_seconds)), float(np.median(their_seconds))
    wrong, right = row.error(pattern, theirs), row.error(pattern, ours)
    errors = "   ".join(f"{name} {wrong[name]:.1e} {right[name]:.1e}" for name in wrong)
    print(
        f"{len(pattern.points):>7,}  {row.question:<24} {other:>8.4f} {mine:>8.4f} "
        f"{other / mine:>7.1f}x   {errors}",
        flush=True,
    )


def against_row_order(pattern: Pattern, rival: Rival, folder: Path) -> None:
    """Print how much graphs change with the order of the rows, on whole micrometres."""
    whole = np.round(pattern.points)
    order = np.random.default_rng(1).permutation(len(whole))
    straight, shuffled = folder / "straight.npz", folder / "shuffled.npz"
    np.savez(straight, points=whole, types=pattern.types)
    np.savez(shuffled, points=whole[order], types=pattern.types[order])
    print(
        "\nCoordinates in whole um: share of the arcs that change when the rows are shuffled"
        f" ({len(whole) - len(np.unique(whole, axis=0))} cells coincide with another)"
    )
    for name, ours in (
        ("nearest", lambda p: nearest_neighbour_graph(p, n_neighbours=NEAREST)),
        ("delaunay", lambda p: delaunay_graph(p, longest=LONGEST)),
    ):
        theirs = changed(rival.call(name, straight)[1], order[rival.call(name, shuffled)[1]])
        mine = changed(arcs_of(ours(whole)), order[arcs_of(ours(whole[order]))])
        print(f"{len(whole):>7,}  {name:<24} squidpy {theirs:.1e}   times_stats {mine:.1e}")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rival = Rival(folder)
        for n in (5_000, 20_000):
            points, types, side = simulate(n)
            window = Window.rectangle(x=(0, side), y=(0, side))
            known = reference(points, types, side, folder)
            pattern = Pattern(points, types, window, known)
            file = folder / f"{n}.npz"
            np.savez(file, points=points, types=types)
            if n == 5_000:
                versions = pd.read_csv(folder / "versions.csv", dtype=str).iloc[0]
                print(
                    f"times_stats {__version__}, squidpy {rival.about['squidpy']} (import "
                    f"{rival.about['imported']:.1f} s CPU); references "
                    + ", ".join(f"{key} {value}" for key, value in versions.items())
                )
                print(f"CPU seconds, median; ratio = squidpy / times_stats; load {load()}")
                print(
                    f"{'cells':>7}  {'':<24} {'squidpy':>8} {'ours':>8} {'ratio':>8}   "
                    "errors: reference, squidpy, ours"
                )
            for row in rows(pattern):
                compare(row, pattern, file, rival)
            if n == 5_000:
                small = pattern
        against_row_order(small, rival, folder)
        print(f"\nLoad at the end {load()}")
        rival.close()


def load() -> str:
    """Mean number of running processes of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
