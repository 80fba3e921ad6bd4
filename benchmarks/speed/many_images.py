"""All spatial families of 600 images on two cores, against R and squidpy, in turn.

Each image holds 5,000 cells of five types in a rectangle of about 1 mm2: tumour nests, T and B
cells in clusters of their own, macrophages and stroma at random. times_stats describes all 600, in
rounds; in the same rounds the rivals describe a random sample of each round's images, and their
times are multiplied by the number of images over that of the sample. Two processes over images for
everybody (joblib; parallel::mclapply; joblib), wall seconds, CPU seconds of all processes beside
them: where the two cores had other work (see the load) the CPU ratio is the steadier one.
Importing, compiling and reading files come first and are reported apart.

times_stats  intensities; all 25 ordered cross K, translation and isotropic, 30 radii to 150 um; all
             25 G and cross G, F and pair correlation of each type; enrichment on 10 nearest
             neighbours in closed form; mixing score; Morisita-Horn of all pairs of types;
             composition of windows of 10 cells; aggregates
R            the same down to enrichment: spatstat's Kest, Kcross, Gest, Gcross, Fest, pcf; spdep's
             knearneigh and joincount.multi. G and F on radii 0.25 um apart, as they ask for
squidpy      its nearest set with its defaults: ripley F, G, L of each type with 100 simulations,
             10-nearest-neighbour graph, nhood_enrichment (1,000 permutations), interaction_matrix,
             co_occurrence (50 radii). Also without simulations, which nothing of times_stats
             replaces; and image by image with n_jobs=2 and two threads where it takes them (the CPU
             time of those jobs is not seen)

Run: python benchmarks/speed/many_images.py > benchmarks/speed/many_images.txt
(needs the environment of benchmarks/rivals/squidpy/requirements.txt; Rscript, spatstat, spdep)
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import itertools  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from joblib import Parallel, delayed  # noqa: E402

from times_stats import __version__  # noqa: E402
from times_stats.features import (  # noqa: E402
    count_interactions,
    cross_g,
    cross_k_all,
    empty_space_f,
    find_aggregates,
    intensity,
    morisita_horn,
    nearest_neighbour_g,
    nearest_neighbour_graph,
    neighbourhood_composition,
    neighbourhood_enrichment,
    pair_correlation,
)
from times_stats.regions import Window  # noqa: E402

HERE = Path(__file__).parent
PYTHON = os.environ.get("SQUIDPY_PYTHON", ".venv-squidpy/bin/python")
N_IMAGES, N_CELLS, N_ROUNDS, N_CORES = 600, 5_000, 3, 2
SAMPLE = {"R": 20, "defaults": 12, "no_simulations": 12, "n_jobs": 6}  # images a round
LABELS = {
    "defaults": "squidpy, defaults",
    "no_simulations": "squidpy, no simulations",
    "n_jobs": "squidpy, n_jobs=2",
}
R = np.arange(5.0, 151.0, 5.0)
SHARES = {"B": 0.08, "T": 0.22, "macrophage": 0.15, "stroma": 0.15, "tumour": 0.4}
CLUSTERS = {"B": (8, 25.0), "T": (40, 40.0), "tumour": (12, 70.0)}  # centres, spread in um
TYPES = tuple(SHARES)


class Image(NamedTuple):
    """One image."""

    points: np.ndarray
    types: np.ndarray
    width: float
    height: float


class Found(NamedTuple):
    """Time of one round of one package, scaled to all images of the round."""

    wall: float
    cpu: float
    imported: float
    load: float
    answer: dict[str, Any]


def simulate(number: int) -> Image:
    """Return an image of its own seed."""
    rng = np.random.default_rng([2026, number])
    width, height = rng.uniform(950.0, 1050.0, 2)
    box = np.array([width, height])
    types = np.repeat(TYPES, [round(share * N_CELLS) for share in SHARES.values()])
    points = rng.uniform(0, box, (N_CELLS, 2))
    for kind, (n_centres, spread) in CLUSTERS.items():
        rows = np.flatnonzero(types == kind)
        rows = rows[rng.random(rows.size) < 0.8]
        centres = rng.uniform(0, box, (n_centres, 2))
        near = centres[rng.integers(0, n_centres, rows.size)]
        near = near + rng.normal(0, spread, near.shape)
        points[rows] = np.abs(near)  # folded back into the window at its sides
    points = np.where(points > box, 2 * box - points, points)
    order = rng.permutation(N_CELLS)
    return Image(points[order], types[order], float(width), float(height))


def window_of(image: Image) -> Window:
    return Window.rectangle(x=(0, image.width), y=(0, image.height))


def of(image: Image, kind: str) -> np.ndarray:
    return image.points[image.types == kind]


def k_functions(image: Image) -> np.ndarray:
    """Return all cross K functions with both corrections."""
    window = window_of(image)
    return np.stack(
        [
            cross_k_all(image.points, image.types, window=window, r=R, correction=c).to_numpy()
            for c in ("translation", "isotropic")
        ]
    )


def g_functions(image: Image) -> np.ndarray:
    """Return G of each type and cross G of each two."""
    window = window_of(image)
    by_type = [of(image, kind) for kind in TYPES]
    return np.array(
        [
            nearest_neighbour_g(a, window=window, r=R)
            if a is b
            else cross_g(a, b, window=window, r=R)
            for a in by_type
            for b in by_type
        ]
    )


def f_functions(image: Image) -> np.ndarray:
    window = window_of(image)
    return np.array([empty_space_f(of(image, kind), window=window, r=R) for kind in TYPES])


def pair_correlations(image: Image) -> np.ndarray:
    window = window_of(image)
    return np.array([pair_correlation(of(image, kind), window=window, r=R) for kind in TYPES])


def enrichment(image: Image) -> np.ndarray:
    graph = nearest_neighbour_graph(image.points, n_neighbours=10)
    return neighbourhood_enrichment(graph, image.types, types=TYPES)["z"].to_numpy()


def overlaps(image: Image) -> list[float]:
    window = window_of(image)
    pairs = itertools.combinations([of(image, kind) for kind in TYPES], 2)
    return [morisita_horn(a, b, window=window, side=100.0) for a, b in pairs]


FAMILIES: dict[str, Callable[[Image], Any]] = {
    "intensities": lambda i: [intensity(of(i, kind), window=window_of(i)) for kind in TYPES],
    "cross K, two corrections": k_functions,
    "G and cross G": g_functions,
    "F": f_functions,
    "pair correlation": pair_correlations,
    "enrichment": enrichment,
    "mixing score": lambda i: (
        count_interactions(
            i.points, i.types, immune=("B", "T"), tumour=("tumour",), radius=30.0
        ).normalised_mixing_score
    ),
    "Morisita-Horn": overlaps,
    "neighbourhoods": lambda i: (
        neighbourhood_composition(i.points, i.types, types=TYPES, n_neighbours=10).shares
    ),
    "aggregates": lambda i: find_aggregates(i.points, i.types, radius=20.0, min_cells=20),
}


def describe(image: Image) -> tuple[dict[str, Any], float]:
    """Return all families of an image, and the CPU seconds of this process."""
    began = time.process_time()
    out = {name: family(image) for name, family in FAMILIES.items()}
    return out, time.process_time() - began


def ours(images: Sequence[Image]) -> Found:
    """Describe images by times_stats."""
    pool = Parallel(n_jobs=N_CORES)
    began = time.perf_counter()
    pool(delayed(describe)(images[0]) for _ in range(4))
    warm = time.perf_counter() - began
    started, own = time.perf_counter(), time.process_time()
    results = pool(delayed(describe)(image) for image in images)
    wall = time.perf_counter() - started
    cpu = time.process_time() - own + sum(seconds for _, seconds in results)
    return Found(wall, cpu, warm, load(), results[0][0])


def by_r(images: Sequence[Image], folder: Path) -> Found:
    """Describe images by R."""
    frames = [
        pd.DataFrame(i.points, columns=["x", "y"]).assign(
            image=number, type=i.types, width=i.width, height=i.height
        )
        for number, i in enumerate(images)
    ]
    table, out = folder / "images.csv", folder / "r"
    pd.concat(frames).to_csv(table, index=False, float_format="%.17g")
    subprocess.run(["Rscript", HERE / "many_images.R", table, out], check=True)
    row = pd.read_csv(f"{out}.time").iloc[0]
    names = ("intensity", "k", "g", "f", "pcf", "z")
    answer = {name: pd.read_csv(f"{out}.{name}").to_numpy() for name in names}
    answer["version"] = f"spatstat.explore {row['spatstat']}, spdep {row['spdep']}"
    wall, cpu, imported = (float(row[name]) for name in ("wall", "cpu", "imported"))
    return Found(wall, cpu, imported, load(), answer)


def by_squidpy(images: Sequence[Image], folder: Path, how: str) -> Found:
    """Describe images by squidpy."""
    table, out = folder / "images.npz", folder / "squidpy.json"
    np.savez(table, points=[i.points for i in images], types=[i.types for i in images])
    script = [PYTHON, HERE / "many_images_squidpy.py", table, out, how]
    subprocess.run(script, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads(out.read_text())
    answer = {"z": np.array(found["z"]), "version": f"squidpy {found['version']}"}
    return Found(found["wall"], found["cpu"], found["imported"], load(), answer)


def load() -> float:
    """Return the mean number of running processes of the last minute."""
    return os.getloadavg()[0]


def told(value: float, width: int, unit: str = "") -> str:
    """Return a number with one digit, or a dash where it was not measured."""
    text = f"{value:.1f}{unit}" if np.isfinite(value) else f"-{' ' * len(unit)}"
    return text.rjust(width)


def print_round(name: str, found: Found, n_images: int, n_round: int) -> tuple[float, float]:
    """Print one line, and return wall and CPU seconds of all images of the round."""
    wall, cpu = (seconds * n_round / n_images for seconds in (found.wall, found.cpu))
    print(
        f"  {LABELS.get(name, name):<24} {n_images:>4} images {found.wall:>8.1f} s wall "
        f"{told(found.cpu, 8)} s CPU; "
        f"for {n_round}: {wall:>7.1f} {told(cpu, 7)}; imports, compiling {found.imported:>5.1f} s; "
        f"load {found.load:.1f}",
        flush=True,
    )
    return wall, cpu


def print_ratios(spent: dict[str, list[tuple[float, float]]]) -> None:
    """Print the sums over the rounds as multiples of ours, and those of each round."""
    own = np.array(spent["times_stats"])
    for package, lines in spent.items():
        times = np.array(lines)
        (wall, cpu), (wall_ratio, cpu_ratio) = times.sum(0), times.sum(0) / own.sum(0)
        by_round = " ".join(told(value, 0) for value in times[:, 1] / own[:, 1])
        print(
            f"  {LABELS.get(package, package):<24} {wall:>8.0f} {wall_ratio:>6.1f}x "
            f"{told(cpu, 10)} {told(cpu_ratio, 7, 'x')}   {by_round}"
        )


def print_equality(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Print how far the answers to one image lie from R's."""
    k = theirs["k"].reshape(25, R.size, 2).transpose(2, 0, 1)
    own_k = mine["cross K, two corrections"].reshape(2, 25, R.size)
    amounts = np.array([one.estimate for one in mine["intensities"]])
    differ = {
        "intensity (relative)": np.abs(amounts / theirs["intensity"].ravel() - 1),
        "K translation (relative)": np.abs(own_k[0] / k[0] - 1),
        "K isotropic (relative)": np.abs(own_k[1] / k[1] - 1),
        "G": np.abs(mine["G and cross G"] - theirs["g"].reshape(25, -1)),
        "F": np.abs(mine["F"] - theirs["f"].reshape(5, -1)),
        "pair correlation (relative)": np.abs(
            mine["pair correlation"] / theirs["pcf"].reshape(5, -1) - 1
        ),
        "enrichment z, same type": np.abs(np.diag(mine["enrichment"]) - theirs["z"].ravel()),
    }
    print("\nLargest differences from R in the first image of a round")
    for name, values in differ.items():
        print(f"  {name:<28} {np.nanmax(values):.1e}")


def print_profile(images: Sequence[Image]) -> None:
    """Print what each family of ours takes."""
    print(f"\ntimes_stats: CPU milliseconds an image, one process, mean of {len(images)} images")
    for name, family in FAMILIES.items():
        family(images[0])
        began = time.process_time()
        for image in images:
            family(image)
        print(f"  {name:<26} {(time.process_time() - began) / len(images) * 1e3:>8.1f}")


def main() -> None:
    """Run the rounds, and print them, their sums and ratios."""
    images = [simulate(number) for number in range(N_IMAGES)]
    rounds = np.array_split(np.arange(N_IMAGES), N_ROUNDS)
    rng = np.random.default_rng(7)
    spent: dict[str, list[tuple[float, float]]] = {}
    print(f"times_stats {__version__}; {N_IMAGES} images of {N_CELLS:,} cells; {N_CORES} processes")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, members in enumerate(rounds, start=1):
            print(f"Round {number}")
            chosen = rng.permutation(members)
            first = [images[k] for k in chosen]
            found = {"times_stats": ours(first)}
            n_of = {"times_stats": len(first)}
            for rival, n in SAMPLE.items():
                sample = first[:n]
                found[rival] = (
                    by_r(sample, folder) if rival == "R" else by_squidpy(sample, folder, rival)
                )
                n_of[rival] = n
            for package, one in found.items():
                line = print_round(package, one, n_of[package], len(members))
                spent.setdefault(package, []).append(line)
    versions = ", ".join(found[rival].answer["version"] for rival in ("R", "defaults"))
    print(f"\nAll {N_IMAGES} images, two processes; ratio = rival / times_stats; {versions}")
    print(f"  {'':<24} {'wall s':>8} {'ratio':>7} {'CPU s':>8} {'ratio':>7}   CPU ratio by round")
    print_ratios(spent)
    print_equality(found["times_stats"].answer, found["R"].answer)
    z = found["times_stats"].answer["enrichment"]
    differ = np.abs(found["defaults"].answer["z"] - z)
    print(f"  squidpy's z (largest |z| {np.abs(z).max():.0f})    {differ.max():.1e}")
    print_profile(images[:20])


if __name__ == "__main__":
    main()
